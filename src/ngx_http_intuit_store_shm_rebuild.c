/*
 * The zone made anew, after a process was killed while it held the lock.
 *
 * A tree that was being balanced and a slab that was being cut cannot be told
 * from good ones.  So nothing of them is used: the records are copied out
 * along their queues, the slab begins again, and the records are put back.
 *
 * A queue is good enough for that.  Its links are changed one by one, each is
 * a single store, and a record is complete before it is linked: from one of
 * its two ends every record can be reached that was in it before and after.
 * A connection's old record leaves its queue only after the new one is there.
 *
 * Everybody waits meanwhile, so the tree of sessions, of which there may be
 * millions, is not grown one by one: they are sorted, and it is made of that.
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_intuit_store_shm.h"
#include "ngx_intuit_crypto.h"


typedef struct {
    ngx_http_intuit_shm_kind_e      kind;
    ngx_http_intuit_shm_record_t   *record;      /* where it was */
    size_t                          size;        /* its bytes follow */
} ngx_http_intuit_shm_rescued_t;

/* a place in the tree to be */
typedef struct {
    ngx_rbtree_key_t                key;
    ngx_http_intuit_shm_record_t   *record;
} ngx_http_intuit_shm_leaf_t;

typedef struct {
    u_char                         *start;
    u_char                         *last;
    u_char                         *end;
    ngx_http_intuit_shm_leaf_t     *list;
    ngx_uint_t                      max;         /* of records in a zone */
} ngx_http_intuit_shm_rescue_t;


static ngx_int_t ngx_http_intuit_shm_rescue(ngx_http_intuit_store_t *store,
    ngx_http_intuit_shm_rescue_t *rescue);
static void ngx_http_intuit_shm_rescue_queue(ngx_http_intuit_store_t *store,
    ngx_http_intuit_shm_rescue_t *rescue, ngx_http_intuit_shm_kind_e kind,
    ngx_queue_t *queue);
static ngx_uint_t ngx_http_intuit_shm_whole(ngx_http_intuit_store_t *store,
    ngx_http_intuit_shm_kind_e kind,
    const ngx_http_intuit_shm_record_t *record);
static void ngx_http_intuit_shm_rescue_copy(
    ngx_http_intuit_shm_rescue_t *rescue, ngx_http_intuit_shm_kind_e kind,
    ngx_http_intuit_shm_record_t *record);
static ngx_int_t ngx_http_intuit_shm_renew(ngx_http_intuit_store_t *store,
    ngx_http_intuit_shm_rescue_t *rescue);
static void ngx_http_intuit_shm_put_back(ngx_http_intuit_store_t *store,
    const ngx_http_intuit_shm_rescued_t *rescued, time_t now);
static void ngx_http_intuit_shm_put_session(ngx_http_intuit_store_t *store,
    const ngx_http_intuit_shm_rescued_t *rescued);
static void ngx_http_intuit_shm_take_session(ngx_http_intuit_store_t *store,
    ngx_http_intuit_shm_record_t *record);
static void ngx_http_intuit_shm_plant(ngx_http_intuit_store_t *store,
    ngx_http_intuit_shm_leaf_t *list);
static int ngx_libc_cdecl ngx_http_intuit_shm_cmp_leaves(const void *one,
    const void *two);
static ngx_rbtree_node_t *ngx_http_intuit_shm_subtree(ngx_rbtree_t *tree,
    ngx_http_intuit_shm_leaf_t *list, ngx_uint_t n, ngx_uint_t depth,
    ngx_uint_t last);
#if (NGX_INTUIT_SHM_DEBUG)
static ngx_int_t ngx_http_intuit_shm_black(const ngx_rbtree_node_t *node,
    const ngx_rbtree_node_t *sentinel);
#endif
static ngx_uint_t ngx_http_intuit_shm_superseded(
    ngx_http_intuit_store_t *store, ngx_http_intuit_shm_kind_e kind,
    const ngx_http_intuit_shm_record_t *record);


void
ngx_http_intuit_shm_rebuild(ngx_http_intuit_store_t *store)
{
    u_char                         *p;
    time_t                          now;
    ngx_http_intuit_shm_rescue_t    rescue;
    ngx_http_intuit_shm_rescued_t  *rescued;

    ngx_http_intuit_shm_assert_locked(store);

    if (ngx_http_intuit_shm_rescue(store, &rescue) != NGX_OK) {
        /* no memory: whoever comes next tries again */
        return;
    }

    if (ngx_http_intuit_shm_renew(store, &rescue) == NGX_OK) {

        now = ngx_time();

        for (p = rescue.start;
             p < rescue.last;
             p += sizeof(ngx_http_intuit_shm_rescued_t)
                  + ngx_align(rescued->size, NGX_ALIGNMENT))
        {
            rescued = (ngx_http_intuit_shm_rescued_t *) p;

            /* sessions come last: nothing of the others asks for their tree */

            if (rescued->kind == NGX_HTTP_INTUIT_SHM_SESSION) {
                ngx_http_intuit_shm_put_session(store, rescued);

            } else {
                ngx_http_intuit_shm_put_back(store, rescued, now);
            }
        }

        ngx_http_intuit_shm_plant(store, rescue.list);

        store->rebuilt = 1;
    }

    ngx_intuit_cleanse(rescue.start, rescue.last - rescue.start);

    ngx_free(rescue.list);
    ngx_free(rescue.start);
}


static ngx_int_t
ngx_http_intuit_shm_rescue(ngx_http_intuit_store_t *store,
    ngx_http_intuit_shm_rescue_t *rescue)
{
    size_t                  size;
    ngx_http_intuit_shm_t  *shm;

    /* a queue is read from both ends at most, and copies have a head */

    size = 3 * store->zone->shm.size;

    rescue->max = store->zone->shm.size / sizeof(ngx_http_intuit_shm_record_t);
    rescue->list = ngx_alloc(rescue->max * sizeof(ngx_http_intuit_shm_leaf_t),
                             ngx_cycle->log);
    rescue->start = ngx_alloc(size, ngx_cycle->log);

    if (rescue->list == NULL || rescue->start == NULL) {

        if (rescue->list) {
            ngx_free(rescue->list);
        }

        return NGX_ERROR;
    }

    rescue->last = rescue->start;
    rescue->end = rescue->start + size;

    shm = store->shm;

    /* those first that must not be without room */

    ngx_http_intuit_shm_rescue_queue(store, rescue,
                       NGX_HTTP_INTUIT_SHM_CONNECTION,
                       &shm->index[NGX_HTTP_INTUIT_SHM_CONNECTION].queue);
    ngx_http_intuit_shm_rescue_queue(store, rescue,
                       NGX_HTTP_INTUIT_SHM_LOGIN,
                       &shm->index[NGX_HTTP_INTUIT_SHM_LOGIN].queue);
    ngx_http_intuit_shm_rescue_queue(store, rescue,
                       NGX_HTTP_INTUIT_SHM_LOGIN, &shm->failed);
    ngx_http_intuit_shm_rescue_queue(store, rescue,
                       NGX_HTTP_INTUIT_SHM_QUOTA,
                       &shm->index[NGX_HTTP_INTUIT_SHM_QUOTA].queue);
    ngx_http_intuit_shm_rescue_queue(store, rescue,
                       NGX_HTTP_INTUIT_SHM_SESSION,
                       &shm->index[NGX_HTTP_INTUIT_SHM_SESSION].queue);

    return NGX_OK;
}


/* the oldest first, so that they can be put back in this order */

static void
ngx_http_intuit_shm_rescue_queue(ngx_http_intuit_store_t *store,
    ngx_http_intuit_shm_rescue_t *rescue, ngx_http_intuit_shm_kind_e kind,
    ngx_queue_t *queue)
{
    ngx_uint_t                     n;
    ngx_queue_t                   *q;
    ngx_http_intuit_shm_record_t  *record;

    q = ngx_queue_last(queue);

    for (n = 0; n < rescue->max; n++) {

        if (q == ngx_queue_sentinel(queue)) {
            return;
        }

        record = ngx_queue_data(q, ngx_http_intuit_shm_record_t, queue);

        if (!ngx_http_intuit_shm_whole(store, kind, record)) {
            break;
        }

        ngx_http_intuit_shm_rescue_copy(rescue, kind, record);

        q = ngx_queue_prev(q);
    }

    /* the way back is interrupted: the other way round, from the head */

    q = ngx_queue_head(queue);

    for (n = 0; n < rescue->max && q != ngx_queue_sentinel(queue); n++) {

        record = ngx_queue_data(q, ngx_http_intuit_shm_record_t, queue);

        if (!ngx_http_intuit_shm_whole(store, kind, record)) {
            break;
        }

        rescue->list[n].record = record;

        q = ngx_queue_next(q);
    }

    while (n--) {
        ngx_http_intuit_shm_rescue_copy(rescue, kind, rescue->list[n].record);
    }
}


static ngx_uint_t
ngx_http_intuit_shm_whole(ngx_http_intuit_store_t *store,
    ngx_http_intuit_shm_kind_e kind,
    const ngx_http_intuit_shm_record_t *record)
{
    const u_char  *p, *end;

    static const size_t  sizes[NGX_HTTP_INTUIT_SHM_KINDS] = {
        sizeof(ngx_http_intuit_shm_session_t),
        sizeof(ngx_http_intuit_shm_connection_t),
        sizeof(ngx_http_intuit_shm_login_t),
        sizeof(ngx_http_intuit_shm_quota_t)
    };

    p = (const u_char *) record;
    end = store->shpool->end;

    return p >= store->shpool->start
           && (uintptr_t) p % sizeof(uint64_t) == 0
           && p < end
           && (size_t) (end - p) >= sizes[kind]
           && record->size >= sizes[kind]
           && record->size <= (size_t) (end - p)
           && ngx_http_intuit_shm_check_record(kind, record) == NULL;
}


static void
ngx_http_intuit_shm_rescue_copy(ngx_http_intuit_shm_rescue_t *rescue,
    ngx_http_intuit_shm_kind_e kind, ngx_http_intuit_shm_record_t *record)
{
    size_t                          size;
    ngx_http_intuit_shm_rescued_t  *rescued;

    size = sizeof(ngx_http_intuit_shm_rescued_t)
           + ngx_align((size_t) record->size, NGX_ALIGNMENT);

    if ((size_t) (rescue->end - rescue->last) < size) {
        /* it goes in a circle */
        return;
    }

    rescued = (ngx_http_intuit_shm_rescued_t *) rescue->last;

    rescued->kind = kind;
    rescued->record = record;
    rescued->size = record->size;
    ngx_memcpy(rescued + 1, record, record->size);

    rescue->last += size;
}


/* overwrites what is in the zone, and begins it again */

static ngx_int_t
ngx_http_intuit_shm_renew(ngx_http_intuit_store_t *store,
    ngx_http_intuit_shm_rescue_t *rescue)
{
    u_char                         *p;
    ngx_http_intuit_shm_t           old, *shm;
    ngx_http_intuit_shm_rescued_t  *rescued;

    for (p = rescue->start;
         p < rescue->last;
         p += sizeof(ngx_http_intuit_shm_rescued_t)
              + ngx_align(rescued->size, NGX_ALIGNMENT))
    {
        rescued = (ngx_http_intuit_shm_rescued_t *) p;
        ngx_intuit_cleanse(rescued->record, rescued->size);
    }

    old = *store->shm;

    ngx_slab_init(store->shpool);

    if (ngx_http_intuit_shm_create(store, ngx_slab_alloc_locked) != NGX_OK) {
        return NGX_ERROR;
    }

    shm = store->shm;

    shm->busy = NGX_HTTP_INTUIT_SHM_CHANGED;
    shm->generation = old.generation;
    shm->created = old.created;
    shm->evicted = old.evicted;
    shm->unsaid = old.unsaid;
    shm->warned = old.warned;
    shm->refused = old.refused;
    shm->refused_last = old.refused_last;
    shm->damaged = old.damaged;
    ngx_memcpy(shm->counters, old.counters, sizeof(shm->counters));
    ngx_memcpy(shm->notes, old.notes, sizeof(shm->notes));
    ngx_memcpy(shm->holds, old.holds, sizeof(shm->holds));

    return NGX_OK;
}


static void
ngx_http_intuit_shm_put_back(ngx_http_intuit_store_t *store,
    const ngx_http_intuit_shm_rescued_t *rescued, time_t now)
{
    u_char                              *p;
    size_t                               head;
    ngx_http_intuit_shm_login_t         *login;
    const ngx_http_intuit_shm_record_t  *record;

    record = (const ngx_http_intuit_shm_record_t *) (rescued + 1);

    if (ngx_http_intuit_shm_superseded(store, rescued->kind, record)) {
        return;
    }

    p = ngx_http_intuit_shm_alloc(store, rescued->size, now);
    if (p == NULL) {
        return;
    }

    head = sizeof(ngx_http_intuit_shm_record_t);
    ngx_memcpy(p + head, (const u_char *) record + head, rescued->size - head);

    if (rescued->kind != NGX_HTTP_INTUIT_SHM_LOGIN) {
        ngx_http_intuit_shm_insert(store, rescued->kind,
                                   (ngx_http_intuit_shm_record_t *) p,
                                   &record->id, rescued->size);
        return;
    }

    /* that an attempt was made is what counts, not what it has brought */

    login = (ngx_http_intuit_shm_login_t *) p;
    login->handout = NULL;

    ngx_http_intuit_shm_insert(store, rescued->kind, &login->record,
                               &record->id, rescued->size);

    if (login->state == NGX_HTTP_INTUIT_LOGIN_FAILED) {
        ngx_http_intuit_shm_login_failed(store, login, login->ended);
    }
}


/* into the queue, and not yet into the tree */

static void
ngx_http_intuit_shm_put_session(ngx_http_intuit_store_t *store,
    const ngx_http_intuit_shm_rescued_t *rescued)
{
    u_char                              *p;
    size_t                               head;
    ngx_queue_t                         *q;
    ngx_http_intuit_shm_index_t         *index;
    ngx_http_intuit_shm_record_t        *old;
    const ngx_http_intuit_shm_record_t  *record;

    index = &store->shm->index[NGX_HTTP_INTUIT_SHM_SESSION];
    record = (const ngx_http_intuit_shm_record_t *) (rescued + 1);

    for ( ;; ) {

        p = ngx_http_intuit_shm_get(store, rescued->size);
        if (p != NULL) {
            break;
        }

        /* they are cut to pages in another order now, and may need one more */

        if (ngx_queue_empty(&index->queue)) {
            return;
        }

        q = ngx_queue_last(&index->queue);
        old = ngx_queue_data(q, ngx_http_intuit_shm_record_t, queue);

        ngx_http_intuit_shm_take_session(store, old);
    }

    head = sizeof(ngx_http_intuit_shm_record_t);
    ngx_memcpy(p + head, (const u_char *) record + head, rescued->size - head);

    ngx_http_intuit_shm_head(NGX_HTTP_INTUIT_SHM_SESSION,
                             (ngx_http_intuit_shm_record_t *) p, &record->id,
                             rescued->size);

    ngx_queue_insert_head(&index->queue,
                          &((ngx_http_intuit_shm_record_t *) p)->queue);
    index->count++;
}


static void
ngx_http_intuit_shm_take_session(ngx_http_intuit_store_t *store,
    ngx_http_intuit_shm_record_t *record)
{
    store->shm->index[NGX_HTTP_INTUIT_SHM_SESSION].count--;

    ngx_queue_remove(&record->queue);
    ngx_http_intuit_shm_free(store, record, record->size);
}


/* makes the tree of the queue */

static void
ngx_http_intuit_shm_plant(ngx_http_intuit_store_t *store,
    ngx_http_intuit_shm_leaf_t *list)
{
    ngx_uint_t                     i, n, last;
    ngx_queue_t                   *q;
    ngx_http_intuit_shm_index_t   *index;
    ngx_http_intuit_shm_record_t  *record;

    index = &store->shm->index[NGX_HTTP_INTUIT_SHM_SESSION];
    n = 0;

    for (q = ngx_queue_head(&index->queue);
         q != ngx_queue_sentinel(&index->queue);
         q = ngx_queue_next(q))
    {
        record = ngx_queue_data(q, ngx_http_intuit_shm_record_t, queue);
        list[n].key = record->node.key;
        list[n++].record = record;
    }

    ngx_qsort(list, n, sizeof(ngx_http_intuit_shm_leaf_t),
              ngx_http_intuit_shm_cmp_leaves);

    /* one that was met twice, from both ends of the queue */

    for (i = 1, last = 0; i < n; i++) {

        if (ngx_http_intuit_shm_cmp_leaves(&list[last], &list[i]) == 0) {
            ngx_http_intuit_shm_take_session(store, list[i].record);
            continue;
        }

        list[++last] = list[i];
    }

    n = index->count;

    for (last = 0; n >> (last + 1); last++) { /* void */ }

    index->tree.root = ngx_http_intuit_shm_subtree(&index->tree, list, n, 0,
                                                   last);
    index->tree.root->parent = NULL;

#if (NGX_INTUIT_SHM_DEBUG)
    if (ngx_rbt_is_red(index->tree.root)
        || ngx_http_intuit_shm_black(index->tree.root, &index->sentinel)
           == NGX_ERROR)
    {
        ngx_http_intuit_shm_die(store, "has a tree out of balance");
    }
#endif
}


static int ngx_libc_cdecl
ngx_http_intuit_shm_cmp_leaves(const void *one, const void *two)
{
    const ngx_http_intuit_shm_leaf_t  *a = one;
    const ngx_http_intuit_shm_leaf_t  *b = two;

    if (a->key != b->key) {
        return (a->key < b->key) ? -1 : 1;
    }

    return ngx_memcmp(a->record->id.data, b->record->id.data,
                      NGX_HTTP_INTUIT_ID_LEN);
}


/*
 * The middle one is the root.  All levels are full but the last: with that red
 * and the others black, every way down has as many black ones.
 */

static ngx_rbtree_node_t *
ngx_http_intuit_shm_subtree(ngx_rbtree_t *tree,
    ngx_http_intuit_shm_leaf_t *list, ngx_uint_t n, ngx_uint_t depth,
    ngx_uint_t last)
{
    ngx_uint_t          half;
    ngx_rbtree_node_t  *node;

    if (n == 0) {
        return tree->sentinel;
    }

    half = n / 2;
    node = &list[half].record->node;

    node->left = ngx_http_intuit_shm_subtree(tree, list, half, depth + 1,
                                             last);
    node->right = ngx_http_intuit_shm_subtree(tree, list + half + 1,
                                              n - half - 1, depth + 1, last);

    if (node->left != tree->sentinel) {
        node->left->parent = node;
    }

    if (node->right != tree->sentinel) {
        node->right->parent = node;
    }

    if (depth == last && depth > 0) {
        ngx_rbt_red(node);

    } else {
        ngx_rbt_black(node);
    }

    return node;
}


#if (NGX_INTUIT_SHM_DEBUG)

/* how many black ones are on each way down; NGX_ERROR: they differ, or a red
 * one is below a red one */

static ngx_int_t
ngx_http_intuit_shm_black(const ngx_rbtree_node_t *node,
    const ngx_rbtree_node_t *sentinel)
{
    ngx_int_t  left, right;

    if (node == sentinel) {
        return 0;
    }

    left = ngx_http_intuit_shm_black(node->left, sentinel);
    right = ngx_http_intuit_shm_black(node->right, sentinel);

    if (left == NGX_ERROR
        || left != right
        || (ngx_rbt_is_red(node)
            && (ngx_rbt_is_red(node->left) || ngx_rbt_is_red(node->right))))
    {
        return NGX_ERROR;
    }

    return left + ngx_rbt_is_black(node);
}

#endif


/* one connection was met twice, with its old and its new record */

static ngx_uint_t
ngx_http_intuit_shm_superseded(ngx_http_intuit_store_t *store,
    ngx_http_intuit_shm_kind_e kind,
    const ngx_http_intuit_shm_record_t *record)
{
    ngx_http_intuit_shm_record_t            *there;
    ngx_http_intuit_shm_connection_t        *old;
    const ngx_http_intuit_shm_connection_t  *new;

    there = ngx_http_intuit_shm_find(store, kind, &record->id);

    if (there == NULL) {
        return 0;
    }

    if (kind == NGX_HTTP_INTUIT_SHM_CONNECTION) {
        old = (ngx_http_intuit_shm_connection_t *) there;
        new = (const ngx_http_intuit_shm_connection_t *) record;

        if (old->generation > new->generation) {
            return 1;
        }
    }

    ngx_http_intuit_shm_remove(store, kind, there);

    return 0;
}
