/*
 * Records in the zone: memory, trees, queues, and who has to go when there is
 * no room.  Everything here runs under the lock and never logs, except when a
 * debug build finds damage.
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_intuit_store_shm.h"
#include "ngx_intuit_crypto.h"
#include "ngx_intuit_point.h"


/*
 * How many of a queue's last are looked at for one whose time is over: when
 * there is no room, and when there is.
 */
#define NGX_HTTP_INTUIT_SHM_SCAN      64
#define NGX_HTTP_INTUIT_SHM_GLANCE    8

#define NGX_HTTP_INTUIT_SHM_SWEEP     2

/* how often one record may ask somebody else to go */
#define NGX_HTTP_INTUIT_SHM_TRIES     128

#define NGX_HTTP_INTUIT_SHM_WARN      60      /* seconds */

#if (NGX_INTUIT_SHM_DEBUG)
#define NGX_HTTP_INTUIT_SHM_CANARY    0xc5
#define NGX_HTTP_INTUIT_SHM_JUNK      0x5a
#endif


static void ngx_http_intuit_shm_insert_value(ngx_rbtree_node_t *temp,
    ngx_rbtree_node_t *node, ngx_rbtree_node_t *sentinel);
static ngx_int_t ngx_http_intuit_shm_cmp(ngx_rbtree_key_t key,
    const ngx_http_intuit_id_t *id, const ngx_rbtree_node_t *node);
static ngx_int_t ngx_http_intuit_shm_drop_any(ngx_http_intuit_store_t *store,
    time_t now);
static ngx_int_t ngx_http_intuit_shm_drop_over(ngx_http_intuit_store_t *store,
    time_t now);
static ngx_int_t ngx_http_intuit_shm_drop_handout(
    ngx_http_intuit_store_t *store, time_t now);
static ngx_int_t ngx_http_intuit_shm_drop_login(ngx_http_intuit_store_t *store,
    ngx_uint_t scan, time_t now);
static ngx_int_t ngx_http_intuit_shm_drop_failed(
    ngx_http_intuit_store_t *store);
static ngx_int_t ngx_http_intuit_shm_drop_session(
    ngx_http_intuit_store_t *store, ngx_uint_t scan, time_t now);
static void ngx_http_intuit_shm_detach(ngx_http_intuit_store_t *store,
    ngx_http_intuit_shm_handout_t *handout);
static ngx_uint_t ngx_http_intuit_shm_handout_over(
    const ngx_http_intuit_shm_login_t *login, time_t now);


const uint32_t  ngx_http_intuit_shm_magics[NGX_HTTP_INTUIT_SHM_KINDS] = {
    0x73736573,                               /* a session */
    0x6e6e6f63,                               /* a connection */
    0x69676f6c,                               /* a login */
    0x746f7571                                /* a quota */
};


void
ngx_http_intuit_shm_init(ngx_http_intuit_shm_t *shm)
{
    ngx_uint_t                    i;
    ngx_http_intuit_shm_index_t  *index;

    for (i = 0; i < NGX_HTTP_INTUIT_SHM_KINDS; i++) {
        index = &shm->index[i];

        ngx_rbtree_init(&index->tree, &index->sentinel,
                        ngx_http_intuit_shm_insert_value);
        ngx_queue_init(&index->queue);
    }

    ngx_queue_init(&shm->failed);
    ngx_queue_init(&shm->handouts);

    shm->layout = NGX_HTTP_INTUIT_SHM_LAYOUT;
    shm->magic = NGX_HTTP_INTUIT_SHM_MAGIC;
}


ngx_rbtree_key_t
ngx_http_intuit_shm_key(const ngx_http_intuit_id_t *id)
{
    ngx_rbtree_key_t  key;

    /* hashes are evenly distributed: their first bytes will do */

    ngx_memcpy(&key, id->data, sizeof(ngx_rbtree_key_t));

    return key;
}


void *
ngx_http_intuit_shm_find(ngx_http_intuit_store_t *store,
    ngx_http_intuit_shm_kind_e kind, const ngx_http_intuit_id_t *id)
{
    ngx_int_t           rc;
    ngx_rbtree_t       *tree;
    ngx_rbtree_key_t    key;
    ngx_rbtree_node_t  *node;

    ngx_http_intuit_shm_assert_locked(store);

    tree = &store->shm->index[kind].tree;
    node = tree->root;
    key = ngx_http_intuit_shm_key(id);

    while (node != tree->sentinel) {

        rc = ngx_http_intuit_shm_cmp(key, id, node);

        if (rc == 0) {
            return ngx_rbtree_data(node, ngx_http_intuit_shm_record_t, node);
        }

        node = (rc < 0) ? node->left : node->right;
    }

    return NULL;
}


static void
ngx_http_intuit_shm_insert_value(ngx_rbtree_node_t *temp,
    ngx_rbtree_node_t *node, ngx_rbtree_node_t *sentinel)
{
    ngx_int_t                       rc;
    ngx_rbtree_node_t             **p;
    ngx_http_intuit_shm_record_t   *record;

    record = ngx_rbtree_data(node, ngx_http_intuit_shm_record_t, node);

    for ( ;; ) {

        rc = ngx_http_intuit_shm_cmp(node->key, &record->id, temp);

        p = (rc < 0) ? &temp->left : &temp->right;

        if (*p == sentinel) {
            break;
        }

        temp = *p;
    }

    *p = node;
    node->parent = temp;
    node->left = sentinel;
    node->right = sentinel;
    ngx_rbt_red(node);
}


static ngx_int_t
ngx_http_intuit_shm_cmp(ngx_rbtree_key_t key, const ngx_http_intuit_id_t *id,
    const ngx_rbtree_node_t *node)
{
    const ngx_http_intuit_shm_record_t  *record;

    if (key != node->key) {
        return (key < node->key) ? -1 : 1;
    }

    record = ngx_rbtree_data(node, const ngx_http_intuit_shm_record_t, node);

    return ngx_memcmp(id->data, record->id.data, NGX_HTTP_INTUIT_ID_LEN);
}


void
ngx_http_intuit_shm_insert(ngx_http_intuit_store_t *store,
    ngx_http_intuit_shm_kind_e kind, ngx_http_intuit_shm_record_t *record,
    const ngx_http_intuit_id_t *id, size_t size)
{
    ngx_http_intuit_shm_index_t  *index;

    ngx_http_intuit_shm_assert_locked(store);

    ngx_http_intuit_shm_change(store);

    ngx_http_intuit_shm_head(kind, record, id, size);

    index = &store->shm->index[kind];

    if (kind == NGX_HTTP_INTUIT_SHM_LOGIN) {
        store->shm->login_bytes += ngx_http_intuit_shm_cost(size);
    }

    index->tree.insert = ngx_http_intuit_shm_insert_value;

    ngx_rbtree_insert(&index->tree, &record->node);
    index->count++;

    ngx_memory_barrier();

    ngx_intuit_point("zone-insert");

    ngx_queue_insert_head(&index->queue, &record->queue);
}


void
ngx_http_intuit_shm_head(ngx_http_intuit_shm_kind_e kind,
    ngx_http_intuit_shm_record_t *record, const ngx_http_intuit_id_t *id,
    size_t size)
{
    record->magic = ngx_http_intuit_shm_magics[kind];
    record->size = (uint32_t) size;
    record->id = *id;
    record->node.key = ngx_http_intuit_shm_key(id);

    /* a queue of its own, so that leaving a queue it never joined is safe */
    ngx_queue_init(&record->queue);
}


void
ngx_http_intuit_shm_exchange(ngx_http_intuit_store_t *store,
    ngx_http_intuit_shm_kind_e kind, ngx_http_intuit_shm_record_t *old,
    ngx_http_intuit_shm_record_t *record, size_t size)
{
    ngx_rbtree_t                 *tree;
    ngx_rbtree_node_t            *node;
    ngx_http_intuit_shm_index_t  *index;

    ngx_http_intuit_shm_assert_locked(store);

    ngx_http_intuit_shm_change(store);

    ngx_http_intuit_shm_head(kind, record, &old->id, size);

    ngx_memory_barrier();

    index = &store->shm->index[kind];
    tree = &index->tree;

    /* the queue is what the zone is built again from */

    ngx_queue_insert_head(&index->queue, &record->queue);

    ngx_memory_barrier();

    ngx_intuit_point("zone-twice");

    /* the tree keeps its shape: one node is another one from now on */

    record->node = old->node;
    node = &record->node;

    if (tree->root == &old->node) {
        tree->root = node;

    } else if (node->parent->left == &old->node) {
        node->parent->left = node;

    } else {
        node->parent->right = node;
    }

    ngx_intuit_point("zone-exchange");

    if (node->left != tree->sentinel) {
        node->left->parent = node;
    }

    if (node->right != tree->sentinel) {
        node->right->parent = node;
    }

    ngx_memory_barrier();

    ngx_queue_remove(&old->queue);

    ngx_memory_barrier();

    ngx_http_intuit_shm_free(store, old, old->size);

    ngx_intuit_point("zone-exchanged");
}


void
ngx_http_intuit_shm_remove(ngx_http_intuit_store_t *store,
    ngx_http_intuit_shm_kind_e kind, ngx_http_intuit_shm_record_t *record)
{
    ngx_http_intuit_shm_index_t  *index;
    ngx_http_intuit_shm_login_t  *login;

    ngx_http_intuit_shm_assert_locked(store);

    ngx_http_intuit_shm_change(store);

    index = &store->shm->index[kind];

    if (kind == NGX_HTTP_INTUIT_SHM_LOGIN) {
        login = (ngx_http_intuit_shm_login_t *) record;

        if (login->handout != NULL) {
            ngx_http_intuit_shm_detach(store, login->handout);
        }

        store->shm->login_bytes -= ngx_http_intuit_shm_cost(record->size);
    }

    ngx_queue_remove(&record->queue);
    ngx_queue_init(&record->queue);

    ngx_memory_barrier();

    ngx_intuit_point("zone-remove");

    ngx_rbtree_delete(&index->tree, &record->node);
    index->count--;

    ngx_http_intuit_shm_free(store, record, record->size);
}


void *
ngx_http_intuit_shm_alloc(ngx_http_intuit_store_t *store, size_t size,
    time_t now)
{
    void                   *p;
    ngx_uint_t              i, k, n;
    ngx_http_intuit_shm_t  *shm;

    ngx_http_intuit_shm_assert_locked(store);

    shm = store->shm;
    n = 0;

    /* others wait for the lock: whoever gets nothing may come again */

    for (i = 0; /* void */ ; i++) {

        p = ngx_http_intuit_shm_get(store, size);

        if (p != NULL || i == NGX_HTTP_INTUIT_SHM_TRIES) {
            break;
        }

        if (i < NGX_HTTP_INTUIT_SHM_SCAN
            && ngx_http_intuit_shm_drop_any(store, now) == NGX_OK)
        {
            continue;
        }

        k = ngx_http_intuit_shm_evict(store, size, n);

        if (k == 0 && ngx_http_intuit_shm_drop_any(store, now) != NGX_OK) {
            break;
        }

        n += k;
    }

    if (p == NULL) {
        shm->refused++;
        shm->refused_last = now;
    }

    if (n) {
        shm->evicted += n;
        shm->unsaid += n;

        /* the clock may have been set back */

        if (now - shm->warned >= NGX_HTTP_INTUIT_SHM_WARN
            || shm->warned - now >= NGX_HTTP_INTUIT_SHM_WARN)
        {
            store->say = shm->unsaid;
            shm->unsaid = 0;
            shm->warned = now;
        }
    }

    return p;
}


void *
ngx_http_intuit_shm_get(ngx_http_intuit_store_t *store, size_t size)
{
    u_char  *p;

    ngx_http_intuit_shm_change(store);

#if (NGX_INTUIT_SHM_DEBUG)

    p = ngx_slab_alloc_locked(store->shpool,
                              size + 2 * NGX_HTTP_INTUIT_SHM_GUARD);
    if (p == NULL) {
        return NULL;
    }

    ngx_memset(p, NGX_HTTP_INTUIT_SHM_CANARY, NGX_HTTP_INTUIT_SHM_GUARD);
    p += NGX_HTTP_INTUIT_SHM_GUARD;
    ngx_memset(p + size, NGX_HTTP_INTUIT_SHM_CANARY,
               NGX_HTTP_INTUIT_SHM_GUARD);

#else

    p = ngx_slab_alloc_locked(store->shpool, size);
    if (p == NULL) {
        return NULL;
    }

#endif

    ngx_memzero(p, size);

    return p;
}


void
ngx_http_intuit_shm_free(ngx_http_intuit_store_t *store, void *p, size_t size)
{
#if (NGX_INTUIT_SHM_DEBUG)

    if (!ngx_http_intuit_shm_intact(p, size)) {
        ngx_http_intuit_shm_die(store, "has a damaged record");
    }

    ngx_intuit_cleanse(p, size);

    p = (u_char *) p - NGX_HTTP_INTUIT_SHM_GUARD;
    ngx_memset(p, NGX_HTTP_INTUIT_SHM_JUNK,
               size + 2 * NGX_HTTP_INTUIT_SHM_GUARD);

#else

    ngx_intuit_cleanse(p, size);

#endif

    ngx_slab_free_locked(store->shpool, p);
}


#if (NGX_INTUIT_SHM_DEBUG)

ngx_uint_t
ngx_http_intuit_shm_intact(const void *p, size_t size)
{
    ngx_uint_t     i;
    const u_char  *head, *tail;

    tail = (const u_char *) p + size;
    head = (const u_char *) p - NGX_HTTP_INTUIT_SHM_GUARD;

    for (i = 0; i < NGX_HTTP_INTUIT_SHM_GUARD; i++) {
        if (head[i] != NGX_HTTP_INTUIT_SHM_CANARY
            || tail[i] != NGX_HTTP_INTUIT_SHM_CANARY)
        {
            return 0;
        }
    }

    return 1;
}

#endif


size_t
ngx_http_intuit_shm_cost(size_t size)
{
    size_t  cost;

#if (NGX_INTUIT_SHM_DEBUG)
    size += 2 * NGX_HTTP_INTUIT_SHM_GUARD;
#endif

    /* the slab gives powers of two within a page, and whole pages above */

    if (size > ngx_pagesize / 2) {
        return ngx_align(size, ngx_pagesize);
    }

    for (cost = 8; cost < size; cost <<= 1) { /* void */ }

    return cost;
}


void
ngx_http_intuit_shm_sweep(ngx_http_intuit_store_t *store, time_t now)
{
    ngx_uint_t  i;

    ngx_http_intuit_shm_assert_locked(store);

    for (i = 0; i < NGX_HTTP_INTUIT_SHM_SWEEP; i++) {
        (void) ngx_http_intuit_shm_drop_handout(store, now);
        (void) ngx_http_intuit_shm_drop_login(store,
                                              NGX_HTTP_INTUIT_SHM_GLANCE,
                                              now);
        (void) ngx_http_intuit_shm_drop_session(store,
                                                NGX_HTTP_INTUIT_SHM_GLANCE,
                                                now);
    }
}


/* Drops one thing that is not missed much: NGX_OK, or NGX_DECLINED. */

static ngx_int_t
ngx_http_intuit_shm_drop_any(ngx_http_intuit_store_t *store, time_t now)
{
    if (ngx_http_intuit_shm_drop_over(store, now) == NGX_OK) {
        return NGX_OK;
    }

    return ngx_http_intuit_shm_drop_failed(store);
}


/* Drops one thing that nobody can use any more: NGX_OK, or NGX_DECLINED. */

static ngx_int_t
ngx_http_intuit_shm_drop_over(ngx_http_intuit_store_t *store, time_t now)
{
    if (ngx_http_intuit_shm_drop_handout(store, now) == NGX_OK) {
        return NGX_OK;
    }

    if (ngx_http_intuit_shm_drop_login(store, NGX_HTTP_INTUIT_SHM_SCAN, now)
        == NGX_OK)
    {
        return NGX_OK;
    }

    if (ngx_http_intuit_shm_drop_quota(store, now) == NGX_OK) {
        return NGX_OK;
    }

    return ngx_http_intuit_shm_drop_session(store, NGX_HTTP_INTUIT_SHM_SCAN,
                                            now);
}


static ngx_int_t
ngx_http_intuit_shm_drop_handout(ngx_http_intuit_store_t *store, time_t now)
{
    ngx_queue_t                    *q;
    ngx_http_intuit_shm_handout_t  *handout;

    if (ngx_queue_empty(&store->shm->handouts)) {
        return NGX_DECLINED;
    }

    q = ngx_queue_last(&store->shm->handouts);
    handout = ngx_queue_data(q, ngx_http_intuit_shm_handout_t, queue);

    if (!ngx_http_intuit_shm_handout_over(handout->login, now)) {
        return NGX_DECLINED;
    }

    ngx_http_intuit_shm_detach(store, handout);

    return NGX_OK;
}


static ngx_int_t
ngx_http_intuit_shm_drop_login(ngx_http_intuit_store_t *store,
    ngx_uint_t scan, time_t now)
{
    ngx_uint_t                     i, n;
    ngx_queue_t                   *q, *queues[2];
    ngx_http_intuit_shm_record_t  *record;
    ngx_http_intuit_shm_login_t   *login;

    queues[0] = &store->shm->failed;
    queues[1] = &store->shm->index[NGX_HTTP_INTUIT_SHM_LOGIN].queue;

    for (i = 0; i < 2; i++) {

        /* the oldest are not always the first to end */

        for (q = ngx_queue_last(queues[i]), n = 0;
             q != ngx_queue_sentinel(queues[i]) && n < scan;
             q = ngx_queue_prev(q), n++)
        {
            record = ngx_queue_data(q, ngx_http_intuit_shm_record_t, queue);
            login = (ngx_http_intuit_shm_login_t *) record;

            if (now >= login->expires) {
                ngx_http_intuit_shm_remove(store, NGX_HTTP_INTUIT_SHM_LOGIN,
                                           record);
                return NGX_OK;
            }
        }
    }

    return NGX_DECLINED;
}


static ngx_int_t
ngx_http_intuit_shm_drop_failed(ngx_http_intuit_store_t *store)
{
    ngx_queue_t                   *q;
    ngx_http_intuit_shm_record_t  *record;

    if (ngx_queue_empty(&store->shm->failed)) {
        return NGX_DECLINED;
    }

    q = ngx_queue_last(&store->shm->failed);
    record = ngx_queue_data(q, ngx_http_intuit_shm_record_t, queue);

    ngx_http_intuit_shm_remove(store, NGX_HTTP_INTUIT_SHM_LOGIN, record);

    return NGX_OK;
}


static ngx_int_t
ngx_http_intuit_shm_drop_session(ngx_http_intuit_store_t *store,
    ngx_uint_t scan, time_t now)
{
    ngx_queue_t                    *q, *queue;
    ngx_http_intuit_shm_record_t   *record;
    ngx_http_intuit_shm_session_t  *session;

    queue = &store->shm->index[NGX_HTTP_INTUIT_SHM_SESSION].queue;

    for (q = ngx_queue_last(queue);
         q != ngx_queue_sentinel(queue) && scan;
         q = ngx_queue_prev(q), scan--)
    {
        record = ngx_queue_data(q, ngx_http_intuit_shm_record_t, queue);
        session = (ngx_http_intuit_shm_session_t *) record;

        if (ngx_http_intuit_shm_session_over(session, session->idle, now)) {
            ngx_http_intuit_shm_remove(store, NGX_HTTP_INTUIT_SHM_SESSION,
                                       record);
            return NGX_OK;
        }
    }

    return NGX_DECLINED;
}


ngx_uint_t
ngx_http_intuit_shm_session_over(const ngx_http_intuit_shm_session_t *session,
    time_t idle, time_t now)
{
    return now >= session->expires
           || (idle > 0 && now - session->last > idle);
}


void
ngx_http_intuit_shm_login_age(ngx_http_intuit_store_t *store,
    ngx_http_intuit_shm_login_t *login, time_t now)
{
    ngx_http_intuit_shm_assert_locked(store);

    if (login->state == NGX_HTTP_INTUIT_LOGIN_PENDING
        && now > login->deadline)
    {
        login->error = 0;
        ngx_http_intuit_shm_login_failed(store, login, now);
        return;
    }

    if (login->handout != NULL
        && ngx_http_intuit_shm_handout_over(login, now))
    {
        ngx_http_intuit_shm_detach(store, login->handout);
    }
}


void
ngx_http_intuit_shm_login_failed(ngx_http_intuit_store_t *store,
    ngx_http_intuit_shm_login_t *login, time_t now)
{
    ngx_http_intuit_shm_assert_locked(store);

    ngx_http_intuit_shm_change(store);

    login->ended = now;
    login->state = NGX_HTTP_INTUIT_LOGIN_FAILED;

    ngx_queue_remove(&login->record.queue);
    ngx_queue_init(&login->record.queue);
    ngx_queue_insert_head(&store->shm->failed, &login->record.queue);
}


ngx_int_t
ngx_http_intuit_shm_login_room(ngx_http_intuit_store_t *store, size_t size,
    time_t now)
{
    size_t  share;

    ngx_http_intuit_shm_assert_locked(store);

    share = store->zone->shm.size / 4;
    size = ngx_http_intuit_shm_cost(size);

    while (store->shm->login_bytes + size > share) {

        if (ngx_http_intuit_shm_drop_handout(store, now) == NGX_OK) {
            continue;
        }

        if (ngx_http_intuit_shm_drop_login(store, NGX_HTTP_INTUIT_SHM_SCAN,
                                           now)
            == NGX_OK)
        {
            continue;
        }

        if (ngx_http_intuit_shm_drop_failed(store) == NGX_OK) {
            continue;
        }

        return NGX_BUSY;
    }

    return NGX_OK;
}


void
ngx_http_intuit_shm_login_attach(ngx_http_intuit_store_t *store,
    ngx_http_intuit_shm_login_t *login, ngx_http_intuit_shm_handout_t *handout,
    size_t size)
{
    ngx_http_intuit_shm_assert_locked(store);

    ngx_http_intuit_shm_change(store);

    handout->magic = NGX_HTTP_INTUIT_SHM_HANDOUT_MAGIC;
    handout->size = (uint32_t) size;
    handout->login = login;
    ngx_queue_init(&handout->queue);

    store->shm->login_bytes += ngx_http_intuit_shm_cost(size);

    ngx_memory_barrier();

    login->handout = handout;
    ngx_queue_insert_head(&store->shm->handouts, &handout->queue);
}


static void
ngx_http_intuit_shm_detach(ngx_http_intuit_store_t *store,
    ngx_http_intuit_shm_handout_t *handout)
{
    ngx_http_intuit_shm_change(store);

    store->shm->login_bytes -= ngx_http_intuit_shm_cost(handout->size);

    ngx_queue_remove(&handout->queue);
    ngx_queue_init(&handout->queue);

    handout->login->handout = NULL;

    ngx_memory_barrier();

    ngx_http_intuit_shm_free(store, handout, handout->size);
}


static ngx_uint_t
ngx_http_intuit_shm_handout_over(const ngx_http_intuit_shm_login_t *login,
    time_t now)
{
    /* a clock that was set back must not make the minute much longer */

    return now - login->ended >= NGX_HTTP_INTUIT_SHM_HANDOUT
           || login->ended - now >= NGX_HTTP_INTUIT_SHM_HANDOUT;
}
