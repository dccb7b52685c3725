/*
 * The store's verbs, in shared memory.
 *
 * Nothing is logged, and nothing is allocated from the caller's pool, under
 * the lock: what is handed out is asked for its length first, and copied when
 * there is memory for it.  It may have grown in between; then once more.
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_intuit_store_shm.h"


static ngx_int_t ngx_http_intuit_shm_read_login(
    ngx_http_intuit_store_t *store, const ngx_http_intuit_id_t *id,
    time_t now, ngx_http_intuit_shm_copy_t *copy,
    ngx_http_intuit_login_t *login);
static ngx_int_t ngx_http_intuit_shm_claim(ngx_http_intuit_store_t *store,
    const ngx_http_intuit_id_t *id, time_t deadline, time_t expires,
    time_t now);
static ngx_int_t ngx_http_intuit_shm_end(ngx_http_intuit_store_t *store,
    const ngx_http_intuit_id_t *id, const ngx_http_intuit_login_t *login,
    time_t now);
static ngx_http_intuit_shm_login_t *ngx_http_intuit_shm_login(
    ngx_http_intuit_store_t *store, const ngx_http_intuit_id_t *id,
    time_t now);
static ngx_int_t ngx_http_intuit_shm_handout(ngx_http_intuit_store_t *store,
    ngx_http_intuit_shm_login_t *login, const ngx_str_t *session, time_t now);
static ngx_int_t ngx_http_intuit_shm_delete(ngx_http_intuit_store_t *store,
    ngx_http_intuit_shm_kind_e kind, const ngx_http_intuit_id_t *id,
    uint64_t generation);
static ngx_int_t ngx_http_intuit_shm_fits(ngx_http_intuit_store_t *store,
    const ngx_str_t *encoded);


ngx_int_t
ngx_http_intuit_session_create(ngx_http_intuit_store_t *store,
    const ngx_http_intuit_id_t *id, const ngx_str_t *encoded, time_t expires,
    const ngx_http_intuit_id_t *connection, time_t now)
{
    size_t                          size;
    ngx_http_intuit_shm_session_t  *session;

    if (ngx_http_intuit_shm_fits(store, encoded) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_http_intuit_shm_lock(store);

    ngx_http_intuit_shm_sweep(store, now);

    session = ngx_http_intuit_shm_find(store, NGX_HTTP_INTUIT_SHM_SESSION, id);

    if (session != NULL) {

        if (!ngx_http_intuit_shm_session_over(session, session->idle, now)) {
            ngx_http_intuit_shm_unlock(store);
            return NGX_DECLINED;
        }

        ngx_http_intuit_shm_remove(store, NGX_HTTP_INTUIT_SHM_SESSION,
                                   &session->record);
    }

    size = sizeof(ngx_http_intuit_shm_session_t) + encoded->len;

    session = ngx_http_intuit_shm_alloc(store, size, now);

    if (session == NULL) {
        ngx_http_intuit_shm_unlock(store);
        return NGX_BUSY;
    }

    if (connection != NULL) {
        session->connection = *connection;
    }

    session->expires = expires;
    session->last = now;
    session->len = encoded->len;
    store->shm->created++;
    ngx_memcpy(session->data, encoded->data, encoded->len);

    ngx_http_intuit_shm_insert(store, NGX_HTTP_INTUIT_SHM_SESSION,
                               &session->record, id, size);

    ngx_http_intuit_shm_unlock(store);

    return NGX_OK;
}


ngx_int_t
ngx_http_intuit_session_remove(ngx_http_intuit_store_t *store,
    const ngx_http_intuit_id_t *id)
{
    return ngx_http_intuit_shm_delete(store, NGX_HTTP_INTUIT_SHM_SESSION, id,
                                      0);
}


ngx_int_t
ngx_http_intuit_connection_replace(ngx_http_intuit_store_t *store,
    const ngx_http_intuit_id_t *id, const ngx_str_t *encoded,
    uint64_t *generation, uint64_t next, time_t now)
{
    size_t                             size;
    uint64_t                           current;
    ngx_intuit_connection_t            c;
    ngx_http_intuit_shm_connection_t  *old, *record;

    if (ngx_http_intuit_shm_fits(store, encoded) != NGX_OK
        || ngx_intuit_connection_decode(encoded, &c) != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_http_intuit_shm_lock(store);

    old = ngx_http_intuit_shm_find(store, NGX_HTTP_INTUIT_SHM_CONNECTION, id);
    current = (old != NULL) ? old->generation : 0;

    if (current != *generation) {
        ngx_http_intuit_shm_unlock(store);
        return NGX_DECLINED;
    }

    size = sizeof(ngx_http_intuit_shm_connection_t) + encoded->len;

    /* the old record stays until there is a new one */

    record = ngx_http_intuit_shm_alloc(store, size, now);

    if (record == NULL) {
        ngx_http_intuit_shm_unlock(store);
        return NGX_BUSY;
    }

    /* of the zone, so that no number comes twice for a connection made anew */

    if (next == 0) {
        next = store->shm->generation + 1;
    }

    store->shm->generation = ngx_max(store->shm->generation, next);

    record->generation = next;
    record->len = encoded->len;
    ngx_memcpy(record->data, encoded->data, encoded->len);

    if (!c.dead && c.current.access_token.len) {
        record->expires = c.current.expires;
    }

    if (old != NULL) {
        record->quota = old->quota;
        record->leased = old->leased;
        record->pid = old->pid;
        record->asking = old->asking;
        record->uncured = old->uncured;
        record->checked = old->checked;
        record->shared = old->shared;
        record->synced = old->synced;
        ngx_memcpy(record->owner, old->owner, NGX_HTTP_INTUIT_LEASE_LEN);

        ngx_http_intuit_shm_exchange(store, NGX_HTTP_INTUIT_SHM_CONNECTION,
                                     &old->record, &record->record, size);

    } else {
        ngx_http_intuit_shm_insert(store, NGX_HTTP_INTUIT_SHM_CONNECTION,
                                   &record->record, id, size);
    }

    *generation = next;

    ngx_http_intuit_shm_unlock(store);

    return NGX_OK;
}


ngx_int_t
ngx_http_intuit_connection_remove(ngx_http_intuit_store_t *store,
    const ngx_http_intuit_id_t *id, uint64_t generation)
{
    return ngx_http_intuit_shm_delete(store, NGX_HTTP_INTUIT_SHM_CONNECTION,
                                      id, generation);
}


ngx_int_t
ngx_http_intuit_login_begin(ngx_http_intuit_store_t *store,
    const ngx_http_intuit_id_t *id, time_t now, ngx_pool_t *pool,
    ngx_http_intuit_login_t *login)
{
    time_t     deadline, expires;
    ngx_int_t  rc;

    deadline = login->deadline;
    expires = login->expires;

    for ( ;; ) {
        ngx_http_intuit_shm_lock(store);
        rc = ngx_http_intuit_shm_claim(store, id, deadline, expires, now);
        ngx_http_intuit_shm_unlock(store);

        if (rc == NGX_OK) {
            ngx_memzero(login, sizeof(ngx_http_intuit_login_t));
            login->state = NGX_HTTP_INTUIT_LOGIN_PENDING;
            login->deadline = deadline;
            login->expires = expires;
        }

        if (rc != NGX_DECLINED) {
            return rc;
        }

        rc = ngx_http_intuit_login_load(store, id, now, pool, login);

        if (rc == NGX_OK) {
            return NGX_DECLINED;
        }

        if (rc != NGX_DECLINED) {
            return rc;
        }

        /* it has gone in between */
    }
}


static ngx_int_t
ngx_http_intuit_shm_claim(ngx_http_intuit_store_t *store,
    const ngx_http_intuit_id_t *id, time_t deadline, time_t expires,
    time_t now)
{
    size_t                        size;
    ngx_http_intuit_shm_login_t  *login;

    ngx_http_intuit_shm_assert_locked(store);

    ngx_http_intuit_shm_sweep(store, now);

    if (ngx_http_intuit_shm_login(store, id, now) != NULL) {
        return NGX_DECLINED;
    }

    size = sizeof(ngx_http_intuit_shm_login_t);

    if (ngx_http_intuit_shm_login_room(store, size, now) != NGX_OK) {
        return NGX_BUSY;
    }

    login = ngx_http_intuit_shm_alloc(store, size, now);

    if (login == NULL) {
        return NGX_BUSY;
    }

    login->state = NGX_HTTP_INTUIT_LOGIN_PENDING;
    login->deadline = deadline;
    login->expires = expires;

    ngx_http_intuit_shm_insert(store, NGX_HTTP_INTUIT_SHM_LOGIN,
                               &login->record, id, size);

    return NGX_OK;
}


/* As it stands now, or NULL: no such attempt. */

static ngx_http_intuit_shm_login_t *
ngx_http_intuit_shm_login(ngx_http_intuit_store_t *store,
    const ngx_http_intuit_id_t *id, time_t now)
{
    ngx_http_intuit_shm_login_t  *login;

    login = ngx_http_intuit_shm_find(store, NGX_HTTP_INTUIT_SHM_LOGIN, id);
    if (login == NULL) {
        return NULL;
    }

    if (now >= login->expires) {
        ngx_http_intuit_shm_remove(store, NGX_HTTP_INTUIT_SHM_LOGIN,
                                   &login->record);
        return NULL;
    }

    ngx_http_intuit_shm_login_age(store, login, now);

    return login;
}


ngx_int_t
ngx_http_intuit_login_load(ngx_http_intuit_store_t *store,
    const ngx_http_intuit_id_t *id, time_t now, ngx_pool_t *pool,
    ngx_http_intuit_login_t *login)
{
    ngx_int_t                   rc;
    ngx_http_intuit_shm_copy_t  copy;

    ngx_memzero(&copy, sizeof(ngx_http_intuit_shm_copy_t));

    for ( ;; ) {
        ngx_http_intuit_shm_lock(store);
        rc = ngx_http_intuit_shm_read_login(store, id, now, &copy, login);
        ngx_http_intuit_shm_unlock(store);

        if (rc != NGX_AGAIN) {
            return rc;
        }

        if (ngx_http_intuit_shm_make(&copy, pool) != NGX_OK) {
            return NGX_ERROR;
        }
    }
}


static ngx_int_t
ngx_http_intuit_shm_read_login(ngx_http_intuit_store_t *store,
    const ngx_http_intuit_id_t *id, time_t now,
    ngx_http_intuit_shm_copy_t *copy, ngx_http_intuit_login_t *login)
{
    u_char                         *p;
    ngx_http_intuit_shm_login_t    *record;
    ngx_http_intuit_shm_handout_t  *handout;

    ngx_http_intuit_shm_assert_locked(store);

    ngx_memzero(login, sizeof(ngx_http_intuit_login_t));

    record = ngx_http_intuit_shm_login(store, id, now);
    if (record == NULL) {
        return NGX_DECLINED;
    }

    handout = record->handout;

    if (ngx_http_intuit_shm_ready(copy, record->tid_len
                                  + (handout ? handout->len : 0))
        != NGX_OK)
    {
        return NGX_AGAIN;
    }

    login->state = record->state;
    login->error = record->error;
    login->deadline = record->deadline;
    login->ended = record->ended;
    login->connection = record->connection;

    p = copy->data;

    if (record->tid_len) {
        login->tid.data = p;
        login->tid.len = record->tid_len;
        p = ngx_cpymem(p, record->tid, record->tid_len);
    }

    if (handout != NULL) {
        login->session.data = p;
        login->session.len = handout->len;
        ngx_memcpy(p, handout->data, handout->len);
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_intuit_login_end(ngx_http_intuit_store_t *store,
    const ngx_http_intuit_id_t *id, const ngx_http_intuit_login_t *login,
    time_t now)
{
    ngx_int_t  rc;

    if (login->state == NGX_HTTP_INTUIT_LOGIN_DONE
        && ngx_http_intuit_shm_fits(store, &login->session) != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_http_intuit_shm_lock(store);
    rc = ngx_http_intuit_shm_end(store, id, login, now);
    ngx_http_intuit_shm_unlock(store);

    return rc;
}


static ngx_int_t
ngx_http_intuit_shm_end(ngx_http_intuit_store_t *store,
    const ngx_http_intuit_id_t *id, const ngx_http_intuit_login_t *login,
    time_t now)
{
    ngx_http_intuit_shm_login_t  *record;

    ngx_http_intuit_shm_assert_locked(store);

    record = ngx_http_intuit_shm_login(store, id, now);

    if (record == NULL || record->state != NGX_HTTP_INTUIT_LOGIN_PENDING) {
        return NGX_DECLINED;
    }

    if (login->state == NGX_HTTP_INTUIT_LOGIN_DONE
        && login->session.len
        && ngx_http_intuit_shm_handout(store, record, &login->session, now)
           != NGX_OK)
    {
        return NGX_BUSY;
    }

    record->ended = now;
    record->error = login->error;
    record->connection = login->connection;

    /* longer than Intuit's are; for people to read, so cut if need be */

    if (login->tid.len) {
        record->tid_len = ngx_min(login->tid.len, NGX_HTTP_INTUIT_SHM_TID_MAX);
        ngx_memcpy(record->tid, login->tid.data, record->tid_len);
    }

    if (login->state != NGX_HTTP_INTUIT_LOGIN_DONE) {
        ngx_http_intuit_shm_login_failed(store, record, now);
        return NGX_OK;
    }

    ngx_memory_barrier();

    record->state = NGX_HTTP_INTUIT_LOGIN_DONE;

    return NGX_OK;
}


static ngx_int_t
ngx_http_intuit_shm_handout(ngx_http_intuit_store_t *store,
    ngx_http_intuit_shm_login_t *login, const ngx_str_t *session, time_t now)
{
    size_t                          size;
    ngx_http_intuit_shm_handout_t  *handout;

    size = sizeof(ngx_http_intuit_shm_handout_t) + session->len;

    if (ngx_http_intuit_shm_login_room(store, size, now) != NGX_OK) {
        return NGX_BUSY;
    }

    handout = ngx_http_intuit_shm_alloc(store, size, now);

    if (handout == NULL) {
        return NGX_BUSY;
    }

    handout->len = session->len;
    ngx_memcpy(handout->data, session->data, session->len);

    ngx_http_intuit_shm_login_attach(store, login, handout, size);

    return NGX_OK;
}


ngx_int_t
ngx_http_intuit_login_take(ngx_http_intuit_store_t *store,
    const ngx_http_intuit_id_t *id, time_t now)
{
    ngx_int_t                     rc;
    ngx_http_intuit_shm_login_t  *login;

    rc = NGX_DECLINED;

    ngx_http_intuit_shm_lock(store);

    login = ngx_http_intuit_shm_login(store, id, now);

    if (login != NULL
        && login->handout != NULL
        && login->taken < NGX_HTTP_INTUIT_SHM_TAKES)
    {
        login->taken++;
        rc = NGX_OK;
    }

    ngx_http_intuit_shm_unlock(store);

    return rc;
}


static ngx_int_t
ngx_http_intuit_shm_delete(ngx_http_intuit_store_t *store,
    ngx_http_intuit_shm_kind_e kind, const ngx_http_intuit_id_t *id,
    uint64_t generation)
{
    ngx_http_intuit_shm_record_t  *record;

    ngx_http_intuit_shm_lock(store);

    record = ngx_http_intuit_shm_find(store, kind, id);

    /* only a connection has one */

    if (record != NULL && generation != 0
        && ((ngx_http_intuit_shm_connection_t *) record)->generation
           != generation)
    {
        record = NULL;
    }

    if (record != NULL) {
        ngx_http_intuit_shm_remove(store, kind, record);
    }

    ngx_http_intuit_shm_unlock(store);

    return (record != NULL) ? NGX_OK : NGX_DECLINED;
}


ngx_int_t
ngx_http_intuit_shm_ready(ngx_http_intuit_shm_copy_t *copy, size_t need)
{
    if (need <= copy->size) {
        return NGX_OK;
    }

    copy->need = need;

    return NGX_AGAIN;
}


ngx_int_t
ngx_http_intuit_shm_make(ngx_http_intuit_shm_copy_t *copy, ngx_pool_t *pool)
{
    copy->data = ngx_pnalloc(pool, copy->need);
    if (copy->data == NULL) {
        return NGX_ERROR;
    }

    copy->size = copy->need;

    return NGX_OK;
}


/*
 * A record that could never be stored must not drive everybody else out
 * first.
 */

static ngx_int_t
ngx_http_intuit_shm_fits(ngx_http_intuit_store_t *store,
    const ngx_str_t *encoded)
{
    size_t  max;

    max = store->zone->shm.size / 8;
    max = ngx_min(max, NGX_HTTP_INTUIT_SHM_RECORD_MAX);

    if (encoded->len <= max) {
        return NGX_OK;
    }

    ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                  "intuit shared zone \"%V\": a record of %uz bytes "
                  "is too long, at most %uz are kept",
                  &store->zone->shm.name, encoded->len, max);

    return NGX_ERROR;
}
