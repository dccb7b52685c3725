/*
 * The zone: how it is made, taken over by a reload, locked and verified.
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_intuit_store_shm.h"
#include "ngx_intuit_point.h"


static ngx_int_t ngx_http_intuit_shm_init_zone(ngx_shm_zone_t *zone,
    void *data);
static ngx_int_t ngx_http_intuit_shm_adopt(ngx_shm_zone_t *zone);
static ngx_int_t ngx_http_intuit_shm_replace(ngx_shm_zone_t *zone);
static ngx_shm_zone_t *ngx_http_intuit_shm_running(ngx_shm_zone_t *zone);
static ngx_uint_t ngx_http_intuit_shm_named(ngx_shm_zone_t *zone,
    ngx_shm_zone_t *as);
static ngx_http_intuit_shm_t *ngx_http_intuit_shm_header(ngx_shm_zone_t *zone);
static void ngx_http_intuit_shm_release(ngx_http_intuit_store_t *store);
static const char *ngx_http_intuit_shm_check(ngx_http_intuit_store_t *store);
static const char *ngx_http_intuit_shm_check_tree(
    ngx_http_intuit_store_t *store, ngx_http_intuit_shm_kind_e kind);
static const char *ngx_http_intuit_shm_check_queue(
    ngx_http_intuit_store_t *store, ngx_http_intuit_shm_kind_e kind,
    ngx_queue_t *queue, ngx_uint_t *count);
static const char *ngx_http_intuit_shm_check_logins(
    ngx_http_intuit_store_t *store);
static const char *ngx_http_intuit_shm_check_handouts(
    ngx_http_intuit_store_t *store, ngx_uint_t *count, size_t *bytes);


ngx_http_intuit_store_t *
ngx_http_intuit_store_shm(ngx_conf_t *cf, ngx_str_t *name, size_t size,
    void *tag)
{
    ngx_shm_zone_t           *zone;
    ngx_http_intuit_store_t  *store;

    zone = ngx_shared_memory_add(cf, name, size, tag);
    if (zone == NULL) {
        return NULL;
    }

    if (zone->data != NULL) {
        return zone->data;
    }

    store = ngx_pcalloc(cf->pool, sizeof(ngx_http_intuit_store_t));
    if (store == NULL) {
        return NULL;
    }

    store->zone = zone;

    zone->init = ngx_http_intuit_shm_init_zone;
    zone->data = store;

    return store;
}


void
ngx_http_intuit_store_durable(ngx_http_intuit_store_t *store)
{
    store->durable = 1;
}


static ngx_int_t
ngx_http_intuit_shm_init_zone(ngx_shm_zone_t *zone, void *data)
{
    ngx_http_intuit_store_t  *store;

    store = zone->data;
    store->shpool = (ngx_slab_pool_t *) zone->shm.addr;

    if (data != NULL || zone->shm.exists) {
        return ngx_http_intuit_shm_adopt(zone);
    }

    if (ngx_http_intuit_shm_replace(zone) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_intuit_shm_create(store, ngx_slab_alloc);
}


ngx_int_t
ngx_http_intuit_shm_create(ngx_http_intuit_store_t *store,
    void *(*alloc)(ngx_slab_pool_t *shpool, size_t size))
{
    size_t                  len;
    ngx_str_t              *name;
    ngx_slab_pool_t        *shpool;
    ngx_http_intuit_shm_t  *shm;

    shpool = store->shpool;
    name = &store->zone->shm.name;

    len = sizeof(" in intuit_shared_zone \"\"") + name->len;

    shpool->log_ctx = alloc(shpool, len);
    if (shpool->log_ctx == NULL) {
        return NGX_ERROR;
    }

    ngx_sprintf(shpool->log_ctx, " in intuit_shared_zone \"%V\"%Z", name);

    shm = alloc(shpool, sizeof(ngx_http_intuit_shm_t));
    if (shm == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(shm, sizeof(ngx_http_intuit_shm_t));
    ngx_http_intuit_shm_init(shm);

    shpool->data = shm;
    store->shm = shm;

    /* from now on a full zone is our own business, and logged by us */
    shpool->log_nomem = 0;

    return NGX_OK;
}


/* The zone holds records already: of the configuration before this one. */

static ngx_int_t
ngx_http_intuit_shm_adopt(ngx_shm_zone_t *zone)
{
    ngx_http_intuit_shm_t    *shm;
    ngx_http_intuit_store_t  *store;

    store = zone->data;
    shm = ngx_http_intuit_shm_header(zone);

    if (shm == NULL || shm->layout != NGX_HTTP_INTUIT_SHM_LAYOUT) {
        ngx_log_error(NGX_LOG_EMERG, zone->shm.log, 0,
                      "intuit_shared_zone \"%V\" was made by another version "
                      "of this module; restart nginx instead of reloading it",
                      &zone->shm.name);
        return NGX_ERROR;
    }

    store->shm = shm;

    return NGX_OK;
}


/* The zone is new and empty; is there one whose records would be lost? */

static ngx_int_t
ngx_http_intuit_shm_replace(ngx_shm_zone_t *zone)
{
    ngx_str_t              *name;
    ngx_uint_t              sessions, connections, renamed;
    ngx_shm_zone_t         *running;
    ngx_http_intuit_shm_t  *shm;

    running = ngx_http_intuit_shm_running(zone);

    if (running == NULL) {
        return NGX_OK;
    }

    name = &running->shm.name;
    shm = ngx_http_intuit_shm_header(running);
    renamed = !ngx_http_intuit_shm_named(running, zone);

    /* of the same size, it would have been taken over if it were ours */

    if (shm->layout != NGX_HTTP_INTUIT_SHM_LAYOUT
        || (!renamed && running->shm.size == zone->shm.size))
    {
        ngx_log_error(NGX_LOG_EMERG, zone->shm.log, 0,
                      "the running intuit_shared_zone \"%V\" was made by "
                      "another version of this module; "
                      "restart nginx instead of reloading it", name);
        return NGX_ERROR;
    }

    /* single words, and out of date a moment later anyway: no lock */

    connections = shm->index[NGX_HTTP_INTUIT_SHM_CONNECTION].count;
    sessions = shm->index[NGX_HTTP_INTUIT_SHM_SESSION].count;

    if (connections && !((ngx_http_intuit_store_t *) zone->data)->durable) {
        ngx_log_error(NGX_LOG_EMERG, zone->shm.log, 0,
                      "the %s of intuit_shared_zone \"%V\" cannot be "
                      "changed by a reload: %ui connections would be lost; "
                      "set it back to zone=%V:%uz, or restart nginx and "
                      "connect the companies again",
                      renamed ? "name" : "size", name, connections, name,
                      running->shm.size);
        return NGX_ERROR;
    }

    ngx_log_error(NGX_LOG_NOTICE, zone->shm.log, 0,
                  "the %s of intuit_shared_zone \"%V\" has changed: "
                  "%ui sessions dropped",
                  renamed ? "name" : "size", name, sessions);

    return NGX_OK;
}


/*
 * The zone of the running configuration in whose place this one comes: that of
 * its name, or one of another name, as a configuration has one at most.
 */

static ngx_shm_zone_t *
ngx_http_intuit_shm_running(ngx_shm_zone_t *zone)
{
    ngx_uint_t        i;
    ngx_shm_zone_t   *running, *found;
    ngx_list_part_t  *part;

    /* while a configuration is being loaded, ngx_cycle is the old one */

    if (ngx_cycle == NULL || ngx_is_init_cycle(ngx_cycle)) {
        return NULL;
    }

    found = NULL;
    part = (ngx_list_part_t *) &ngx_cycle->shared_memory.part;
    running = part->elts;

    for (i = 0; /* void */ ; i++) {

        if (i >= part->nelts) {
            if (part->next == NULL) {
                break;
            }
            part = part->next;
            running = part->elts;
            i = 0;
        }

        /* by its header: a module loaded from elsewhere has another tag */

        if (running[i].shm.addr == NULL
            || running[i].shm.addr == zone->shm.addr
            || ngx_http_intuit_shm_header(&running[i]) == NULL)
        {
            continue;
        }

        found = &running[i];

        if (ngx_http_intuit_shm_named(found, zone)) {
            break;
        }
    }

    return found;
}


static ngx_uint_t
ngx_http_intuit_shm_named(ngx_shm_zone_t *zone, ngx_shm_zone_t *as)
{
    return zone->shm.name.len == as->shm.name.len
           && ngx_strncmp(zone->shm.name.data, as->shm.name.data,
                          as->shm.name.len)
              == 0;
}


/* The header of a zone, or NULL: it is not one of ours. */

static ngx_http_intuit_shm_t *
ngx_http_intuit_shm_header(ngx_shm_zone_t *zone)
{
    u_char                 *p;
    ngx_http_intuit_shm_t  *shm;

    p = ((ngx_slab_pool_t *) zone->shm.addr)->data;

    if (p < zone->shm.addr
        || p > zone->shm.addr + zone->shm.size - sizeof(ngx_http_intuit_shm_t))
    {
        return NULL;
    }

    shm = (ngx_http_intuit_shm_t *) p;

    return shm->magic == NGX_HTTP_INTUIT_SHM_MAGIC ? shm : NULL;
}


void
ngx_http_intuit_shm_lock(ngx_http_intuit_store_t *store)
{
    ngx_shmtx_lock(&store->shpool->mutex);

    store->locked = 1;

    /* another process may have built the zone again, elsewhere in it */

    store->shm = store->shpool->data;

    if (store->shm->busy == NGX_HTTP_INTUIT_SHM_CHANGED) {
        ngx_http_intuit_shm_rebuild(store);
    }

    store->shm->busy = NGX_HTTP_INTUIT_SHM_HELD;

    ngx_memory_barrier();

    ngx_intuit_point("zone-locked");
}


void
ngx_http_intuit_shm_change(ngx_http_intuit_store_t *store)
{
    ngx_http_intuit_shm_assert_locked(store);

    store->shm->busy = NGX_HTTP_INTUIT_SHM_CHANGED;

    ngx_memory_barrier();
}


void
ngx_http_intuit_shm_unlock(ngx_http_intuit_store_t *store)
{
#if (NGX_INTUIT_SHM_DEBUG)
    const char  *damage;

    damage = ngx_http_intuit_shm_check(store);

    if (damage != NULL) {
        ngx_http_intuit_shm_die(store, damage);
    }
#endif

    ngx_http_intuit_shm_release(store);
}


static void
ngx_http_intuit_shm_release(ngx_http_intuit_store_t *store)
{
    ngx_uint_t  n, rebuilt, sessions, connections;

    n = store->say;
    store->say = 0;

    rebuilt = store->rebuilt;
    store->rebuilt = 0;

    connections = store->shm->index[NGX_HTTP_INTUIT_SHM_CONNECTION].count;
    sessions = store->shm->index[NGX_HTTP_INTUIT_SHM_SESSION].count;

    ngx_memory_barrier();

    store->shm->busy = NGX_HTTP_INTUIT_SHM_FREE;
    store->locked = 0;

    ngx_shmtx_unlock(&store->shpool->mutex);

#if (NGX_INTUIT_SHM_DEBUG)
    ngx_log_debug0(NGX_LOG_DEBUG_CORE, ngx_cycle->log, 0,
                   "intuit shared zone was locked");
#endif

    if (rebuilt) {
        ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                      "intuit shared zone \"%V\" was built again, because a "
                      "process was killed in it: %ui connections and %ui "
                      "sessions are kept",
                      &store->zone->shm.name, connections, sessions);
    }

    if (n) {
        ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                      "intuit shared zone \"%V\" is full: "
                      "%ui sessions evicted; make intuit_shared_zone larger",
                      &store->zone->shm.name, n);
    }
}


#if (NGX_INTUIT_SHM_DEBUG)

void
ngx_http_intuit_shm_die(ngx_http_intuit_store_t *store, const char *what)
{
    ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, 0,
                  "intuit shared zone \"%V\" %s", &store->zone->shm.name, what);

    abort();
}

#endif


ngx_int_t
ngx_http_intuit_store_verify(ngx_http_intuit_store_t *store)
{
    const char  *damage;

    ngx_http_intuit_shm_lock(store);

    damage = ngx_http_intuit_shm_check(store);

    ngx_http_intuit_shm_release(store);

    if (damage == NULL) {
        return NGX_OK;
    }

    ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, 0,
                  "intuit shared zone \"%V\" %s", &store->zone->shm.name,
                  damage);

    return NGX_ERROR;
}


/* NULL: everything is as it should be; else what is not. */

static const char *
ngx_http_intuit_shm_check(ngx_http_intuit_store_t *store)
{
    ngx_uint_t              i, n;
    const char             *damage;
    ngx_http_intuit_shm_t  *shm;

    ngx_http_intuit_shm_assert_locked(store);

    shm = store->shm;

    if (shm->magic != NGX_HTTP_INTUIT_SHM_MAGIC
        || shm->layout != NGX_HTTP_INTUIT_SHM_LAYOUT)
    {
        return "has a damaged header";
    }

    for (i = 0; i < NGX_HTTP_INTUIT_SHM_KINDS; i++) {

        damage = ngx_http_intuit_shm_check_tree(store, i);
        if (damage != NULL) {
            return damage;
        }

        n = 0;

        damage = ngx_http_intuit_shm_check_queue(store, i,
                                                 &shm->index[i].queue, &n);

        if (damage == NULL && i == NGX_HTTP_INTUIT_SHM_LOGIN) {
            damage = ngx_http_intuit_shm_check_queue(store, i, &shm->failed,
                                                     &n);
        }

        if (damage != NULL) {
            return damage;
        }

        if (n != shm->index[i].count) {
            return "has a record that is in no queue";
        }
    }

    return ngx_http_intuit_shm_check_logins(store);
}


static const char *
ngx_http_intuit_shm_check_tree(ngx_http_intuit_store_t *store,
    ngx_http_intuit_shm_kind_e kind)
{
    ngx_uint_t                     n;
    const char                    *damage;
    ngx_rbtree_node_t             *node;
    ngx_http_intuit_shm_index_t   *index;
    ngx_http_intuit_shm_record_t  *record, *prev;

    ngx_http_intuit_shm_assert_locked(store);

    index = &store->shm->index[kind];

    if (index->tree.sentinel != &index->sentinel) {
        return "has a damaged tree";
    }

    if (index->tree.root == &index->sentinel) {
        return index->count ? "has lost a tree" : NULL;
    }

    prev = NULL;
    n = 0;

    for (node = ngx_rbtree_min(index->tree.root, &index->sentinel);
         node != NULL;
         node = ngx_rbtree_next(&index->tree, node))
    {
        if (++n > index->count) {
            return "has a record that is not counted";
        }

        record = ngx_rbtree_data(node, ngx_http_intuit_shm_record_t, node);

        damage = ngx_http_intuit_shm_check_record(kind, record);
        if (damage != NULL) {
            return damage;
        }

        if (prev != NULL
            && (prev->node.key > node->key
                || (prev->node.key == node->key
                    && ngx_memcmp(prev->id.data, record->id.data,
                                  NGX_HTTP_INTUIT_ID_LEN)
                       >= 0)))
        {
            return "has a record out of order or twice";
        }

        prev = record;
    }

    return (n == index->count) ? NULL : "has lost a record";
}


const char *
ngx_http_intuit_shm_check_record(ngx_http_intuit_shm_kind_e kind,
    const ngx_http_intuit_shm_record_t *record)
{
    size_t                                   size;
    const ngx_http_intuit_shm_login_t       *login;
    const ngx_http_intuit_shm_quota_t       *quota;
    const ngx_http_intuit_shm_session_t     *session;
    const ngx_http_intuit_shm_connection_t  *connection;

    if (record->magic != ngx_http_intuit_shm_magics[kind]
        || record->node.key != ngx_http_intuit_shm_key(&record->id))
    {
        return "has a record with a damaged head";
    }

    switch (kind) {

    case NGX_HTTP_INTUIT_SHM_SESSION:
        session = (const ngx_http_intuit_shm_session_t *) record;
        size = sizeof(ngx_http_intuit_shm_session_t) + session->len;
        break;

    case NGX_HTTP_INTUIT_SHM_CONNECTION:
        connection = (const ngx_http_intuit_shm_connection_t *) record;
        size = sizeof(ngx_http_intuit_shm_connection_t) + connection->len;
        break;

    case NGX_HTTP_INTUIT_SHM_QUOTA:
        quota = (const ngx_http_intuit_shm_quota_t *) record;
        size = ngx_http_intuit_shm_quota_size(quota->all.size,
                                              quota->batches.size);

        if (quota->realm_len > NGX_HTTP_INTUIT_SHM_REALM_MAX
            || quota->all.size == 0 || quota->batches.size == 0)
        {
            return "has a quota with a damaged length";
        }

        break;

    default: /* NGX_HTTP_INTUIT_SHM_LOGIN */
        login = (const ngx_http_intuit_shm_login_t *) record;
        size = sizeof(ngx_http_intuit_shm_login_t);

        if (login->tid_len > NGX_HTTP_INTUIT_SHM_TID_MAX) {
            return "has a login with a damaged length";
        }

        break;
    }

    if (size != record->size) {
        return "has a record with a damaged length";
    }

#if (NGX_INTUIT_SHM_DEBUG)
    if (!ngx_http_intuit_shm_intact(record, size)) {
        return "has an overrun record";
    }
#endif

    return NULL;
}


/* Adds the number of records to count. */

static const char *
ngx_http_intuit_shm_check_queue(ngx_http_intuit_store_t *store,
    ngx_http_intuit_shm_kind_e kind, ngx_queue_t *queue, ngx_uint_t *count)
{
    ngx_queue_t                   *q;
    ngx_http_intuit_shm_record_t  *record;
    ngx_http_intuit_shm_login_t   *login;

    ngx_http_intuit_shm_assert_locked(store);

    for (q = ngx_queue_head(queue);
         q != ngx_queue_sentinel(queue);
         q = ngx_queue_next(q))
    {
        if (++*count > store->shm->index[kind].count) {
            return "has too long a queue";
        }

        record = ngx_queue_data(q, ngx_http_intuit_shm_record_t, queue);

        if (record->magic != ngx_http_intuit_shm_magics[kind]
            || q->prev->next != q || q->next->prev != q)
        {
            return "has a damaged queue";
        }

        if (ngx_http_intuit_shm_find(store, kind, &record->id) != record) {
            return "has a record that cannot be found";
        }

        if (kind != NGX_HTTP_INTUIT_SHM_LOGIN) {
            continue;
        }

        login = (ngx_http_intuit_shm_login_t *) record;

        if ((login->state == NGX_HTTP_INTUIT_LOGIN_FAILED)
            != (queue == &store->shm->failed))
        {
            return "has a login in a wrong queue";
        }
    }

    return NULL;
}


static const char *
ngx_http_intuit_shm_check_logins(ngx_http_intuit_store_t *store)
{
    size_t                         bytes;
    ngx_uint_t                     n, handouts;
    const char                    *damage;
    ngx_rbtree_node_t             *node;
    ngx_http_intuit_shm_login_t   *login;
    ngx_http_intuit_shm_index_t   *index;
    ngx_http_intuit_shm_record_t  *record;

    n = 0;
    bytes = 0;
    handouts = 0;

    index = &store->shm->index[NGX_HTTP_INTUIT_SHM_LOGIN];

    damage = ngx_http_intuit_shm_check_handouts(store, &handouts, &bytes);
    if (damage != NULL) {
        return damage;
    }

    node = NULL;

    if (index->tree.root != &index->sentinel) {
        node = ngx_rbtree_min(index->tree.root, &index->sentinel);
    }

    while (node != NULL) {
        record = ngx_rbtree_data(node, ngx_http_intuit_shm_record_t, node);
        login = (ngx_http_intuit_shm_login_t *) record;

        bytes += ngx_http_intuit_shm_cost(record->size);
        n += (login->handout != NULL);

        node = ngx_rbtree_next(&index->tree, node);
    }

    if (n != handouts) {
        return "has a handout without its login";
    }

    if (bytes != store->shm->login_bytes) {
        return "has lost count of its logins' bytes";
    }

    return NULL;
}


/* Adds the number of handouts to count and what they take to bytes. */

static const char *
ngx_http_intuit_shm_check_handouts(ngx_http_intuit_store_t *store,
    ngx_uint_t *count, size_t *bytes)
{
    ngx_queue_t                    *q, *queue;
    ngx_http_intuit_shm_handout_t  *handout;

    queue = &store->shm->handouts;

    for (q = ngx_queue_head(queue);
         q != ngx_queue_sentinel(queue);
         q = ngx_queue_next(q))
    {
        if (++*count > store->shm->index[NGX_HTTP_INTUIT_SHM_LOGIN].count) {
            return "has too many handouts";
        }

        handout = ngx_queue_data(q, ngx_http_intuit_shm_handout_t, queue);

        if (handout->magic != NGX_HTTP_INTUIT_SHM_HANDOUT_MAGIC
            || handout->size
               != sizeof(ngx_http_intuit_shm_handout_t) + handout->len
            || q->prev->next != q || q->next->prev != q)
        {
            return "has a damaged handout";
        }

#if (NGX_INTUIT_SHM_DEBUG)
        if (!ngx_http_intuit_shm_intact(handout, handout->size)) {
            return "has an overrun handout";
        }
#endif

        if (handout->login->handout != handout
            || handout->login->state != NGX_HTTP_INTUIT_LOGIN_DONE)
        {
            return "has a handout of another login";
        }

        *bytes += ngx_http_intuit_shm_cost(handout->size);
    }

    return NULL;
}
