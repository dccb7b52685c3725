/*
 * What the zone knows about itself: its use, counters, notes, and a walk over
 * all connections.
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_intuit_store_shm.h"


static ngx_http_intuit_shm_note_t *ngx_http_intuit_shm_note(
    ngx_http_intuit_store_t *store, const ngx_http_intuit_id_t *id);
static ngx_http_intuit_shm_record_t *ngx_http_intuit_shm_after(
    ngx_rbtree_t *tree, const ngx_http_intuit_id_t *id);


void
ngx_http_intuit_store_stat(ngx_http_intuit_store_t *store,
    ngx_http_intuit_store_stat_t *stat)
{
    ngx_http_intuit_shm_t  *shm;

    ngx_http_intuit_shm_lock(store);

    shm = store->shm;

    stat->sessions = shm->index[NGX_HTTP_INTUIT_SHM_SESSION].count;
    stat->connections = shm->index[NGX_HTTP_INTUIT_SHM_CONNECTION].count;
    stat->logins = shm->index[NGX_HTTP_INTUIT_SHM_LOGIN].count;
    stat->created = shm->created;
    stat->evicted = shm->evicted;
    stat->refused = shm->refused;
    stat->refused_last = shm->refused_last;
    stat->damaged = shm->damaged;
    stat->size = store->zone->shm.size;
    stat->free = store->shpool->pfree * ngx_pagesize;

    ngx_http_intuit_shm_unlock(store);
}


void
ngx_http_intuit_shm_damaged(ngx_http_intuit_store_t *store, const char *what)
{
    ngx_http_intuit_shm_lock(store);
    store->shm->damaged++;
    ngx_http_intuit_shm_unlock(store);

    ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, 0,
                  "intuit shared zone \"%V\" has a damaged %s record",
                  &store->zone->shm.name, what);
}


/* the header may be elsewhere since somebody was killed: not without lock */

void
ngx_http_intuit_store_count(ngx_http_intuit_store_t *store, ngx_uint_t n)
{
    if (n >= NGX_HTTP_INTUIT_COUNTERS) {
        return;
    }

    ngx_http_intuit_shm_lock(store);
    store->shm->counters[n]++;
    ngx_http_intuit_shm_unlock(store);
}


ngx_uint_t
ngx_http_intuit_store_counted(ngx_http_intuit_store_t *store, ngx_uint_t n)
{
    ngx_uint_t  value;

    if (n >= NGX_HTTP_INTUIT_COUNTERS) {
        return 0;
    }

    ngx_http_intuit_shm_lock(store);
    value = store->shm->counters[n];
    ngx_http_intuit_shm_unlock(store);

    return value;
}


void
ngx_http_intuit_store_note(ngx_http_intuit_store_t *store,
    const ngx_http_intuit_id_t *id, ngx_uint_t value, const ngx_str_t *tid,
    time_t now)
{
    ngx_uint_t                   i;
    ngx_http_intuit_shm_note_t  *note, *old;

    ngx_http_intuit_shm_lock(store);

    note = ngx_http_intuit_shm_note(store, id);

    if (note == NULL) {

        /* a free one is as old as can be */

        note = &store->shm->notes[0];

        for (i = 1; i < NGX_HTTP_INTUIT_SHM_NOTES; i++) {
            old = &store->shm->notes[i];

            if (old->note.when < note->note.when) {
                note = old;
            }
        }
    }

    ngx_memzero(note, sizeof(ngx_http_intuit_shm_note_t));

    note->note.value = value;
    note->note.when = now;

    if (tid != NULL && tid->len) {
        note->note.tid_len = ngx_min(tid->len, NGX_HTTP_INTUIT_NOTE_TID);
        ngx_memcpy(note->note.tid, tid->data, note->note.tid_len);
    }

    note->id = *id;

    ngx_http_intuit_shm_unlock(store);
}


ngx_int_t
ngx_http_intuit_store_noted(ngx_http_intuit_store_t *store,
    const ngx_http_intuit_id_t *id, ngx_http_intuit_note_t *note)
{
    ngx_http_intuit_shm_note_t  *found;

    ngx_http_intuit_shm_lock(store);

    found = ngx_http_intuit_shm_note(store, id);

    if (found != NULL) {
        *note = found->note;
    }

    ngx_http_intuit_shm_unlock(store);

    return (found != NULL) ? NGX_OK : NGX_DECLINED;
}


static ngx_http_intuit_shm_note_t *
ngx_http_intuit_shm_note(ngx_http_intuit_store_t *store,
    const ngx_http_intuit_id_t *id)
{
    ngx_uint_t  i;

    ngx_http_intuit_shm_assert_locked(store);

    for (i = 0; i < NGX_HTTP_INTUIT_SHM_NOTES; i++) {
        if (ngx_memcmp(store->shm->notes[i].id.data, id->data,
                       NGX_HTTP_INTUIT_ID_LEN)
            == 0)
        {
            return &store->shm->notes[i];
        }
    }

    return NULL;
}


ngx_uint_t
ngx_http_intuit_connection_list(ngx_http_intuit_store_t *store,
    const ngx_http_intuit_id_t *after, ngx_http_intuit_id_t *ids,
    ngx_uint_t max)
{
    ngx_uint_t                     n;
    ngx_rbtree_t                  *tree;
    ngx_rbtree_node_t             *node;
    ngx_http_intuit_shm_record_t  *record;

    n = 0;

    ngx_http_intuit_shm_lock(store);

    tree = &store->shm->index[NGX_HTTP_INTUIT_SHM_CONNECTION].tree;
    record = ngx_http_intuit_shm_after(tree, after);

    while (record != NULL && n < max) {
        ids[n++] = record->id;

        node = ngx_rbtree_next(tree, &record->node);
        record = node ? ngx_rbtree_data(node, ngx_http_intuit_shm_record_t,
                                        node)
                      : NULL;
    }

    ngx_http_intuit_shm_unlock(store);

    return n;
}


/* the one that comes after this id; NULL: the end */

static ngx_http_intuit_shm_record_t *
ngx_http_intuit_shm_after(ngx_rbtree_t *tree, const ngx_http_intuit_id_t *id)
{
    ngx_rbtree_key_t               key;
    ngx_rbtree_node_t             *node;
    ngx_http_intuit_shm_record_t  *record, *next;

    next = NULL;
    key = ngx_http_intuit_shm_key(id);

    for (node = tree->root; node != tree->sentinel; /* void */ ) {

        record = ngx_rbtree_data(node, ngx_http_intuit_shm_record_t, node);

        if (key < node->key
            || (key == node->key
                && ngx_memcmp(id->data, record->id.data,
                              NGX_HTTP_INTUIT_ID_LEN)
                   < 0))
        {
            next = record;
            node = node->left;

        } else {
            node = node->right;
        }
    }

    return next;
}


ngx_int_t
ngx_http_intuit_session_checked(ngx_http_intuit_store_t *store,
    const ngx_http_intuit_id_t *id, ngx_msec_t now, ngx_msec_t *age,
    ngx_http_intuit_id_t *connection)
{
    ngx_int_t                       rc;
    ngx_http_intuit_shm_session_t  *session;

    rc = NGX_DECLINED;
    ngx_memzero(connection, sizeof(ngx_http_intuit_id_t));

    ngx_http_intuit_shm_lock(store);

    session = ngx_http_intuit_shm_find(store, NGX_HTTP_INTUIT_SHM_SESSION, id);

    if (session != NULL) {
        *connection = session->connection;
        *age = now - session->checked;
        rc = session->checked ? NGX_OK : NGX_DECLINED;
    }

    ngx_http_intuit_shm_unlock(store);

    return rc;
}


ngx_int_t
ngx_http_intuit_connection_checked(ngx_http_intuit_store_t *store,
    const ngx_http_intuit_id_t *id, ngx_msec_t now, ngx_msec_t *age)
{
    ngx_int_t                          rc;
    ngx_http_intuit_shm_connection_t  *connection;

    rc = NGX_DECLINED;

    ngx_http_intuit_shm_lock(store);

    connection = ngx_http_intuit_shm_find(store,
                                          NGX_HTTP_INTUIT_SHM_CONNECTION, id);

    if (connection != NULL) {
        *age = now - connection->checked;
        rc = connection->checked ? NGX_OK : NGX_DECLINED;
    }

    ngx_http_intuit_shm_unlock(store);

    return rc;
}


void
ngx_http_intuit_store_check(ngx_http_intuit_store_t *store,
    const ngx_http_intuit_id_t *id, ngx_msec_t when)
{
    ngx_http_intuit_shm_session_t     *session;
    ngx_http_intuit_shm_connection_t  *connection;

    ngx_http_intuit_shm_lock(store);

    session = ngx_http_intuit_shm_find(store, NGX_HTTP_INTUIT_SHM_SESSION, id);

    if (session != NULL) {
        session->checked = when;
    }

    connection = ngx_http_intuit_shm_find(store,
                                          NGX_HTTP_INTUIT_SHM_CONNECTION, id);

    if (connection != NULL) {
        connection->checked = when;
    }

    ngx_http_intuit_shm_unlock(store);
}


ngx_int_t
ngx_http_intuit_connection_synced(ngx_http_intuit_store_t *store,
    const ngx_http_intuit_id_t *id, ngx_http_intuit_synced_t *synced)
{
    ngx_http_intuit_shm_connection_t  *connection;

    ngx_memzero(synced, sizeof(ngx_http_intuit_synced_t));

    ngx_http_intuit_shm_lock(store);

    connection = ngx_http_intuit_shm_find(store,
                                          NGX_HTTP_INTUIT_SHM_CONNECTION, id);

    if (connection != NULL) {
        synced->generation = connection->generation;
        synced->shared = connection->shared;
        synced->synced = connection->synced;
    }

    ngx_http_intuit_shm_unlock(store);

    return connection ? NGX_OK : NGX_DECLINED;
}


void
ngx_http_intuit_connection_sync(ngx_http_intuit_store_t *store,
    const ngx_http_intuit_id_t *id, const ngx_http_intuit_synced_t *synced)
{
    ngx_http_intuit_shm_connection_t  *connection;

    ngx_http_intuit_shm_lock(store);

    connection = ngx_http_intuit_shm_find(store,
                                          NGX_HTTP_INTUIT_SHM_CONNECTION, id);

    if (connection != NULL) {
        connection->shared = synced->shared;
        connection->synced = synced->synced;
    }

    ngx_http_intuit_shm_unlock(store);
}
