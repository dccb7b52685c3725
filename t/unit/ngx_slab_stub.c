#include "ngx_slab_stub.h"
#include <stdio.h>
#include <stdlib.h>


typedef struct {
    ngx_slab_pool_t   pool;               /* first: it is the zone's address */
    ngx_queue_t       blocks;
    size_t            used;
    size_t            limit;
    u_char           *pos;                /* for what lives with the zone */
    u_char           *last;
} ngx_slab_stub_region_t;

typedef struct {
    ngx_queue_t       queue;
    size_t            cost;
    size_t            unused;             /* a multiple of 16 bytes */
} ngx_slab_stub_block_t;


static size_t ngx_slab_stub_cost(size_t size);
static void ngx_slab_stub_replace(ngx_rbtree_t *tree, ngx_rbtree_node_t *u,
    ngx_rbtree_node_t *v);


void              (*ngx_slab_stub_unlocked)(void);

volatile ngx_time_t  *ngx_cached_time;

ngx_log_t           ngx_slab_stub_log;
ngx_uint_t          ngx_slab_stub_lines;
ngx_uint_t          ngx_slab_stub_level;
char                ngx_slab_stub_line[1024];

static ngx_shm_zone_t  *ngx_slab_stub_added;


/* zones */


ngx_shm_zone_t *
ngx_slab_stub_zone(const char *name, size_t size, size_t limit)
{
    ngx_shm_zone_t          *zone;
    ngx_slab_stub_region_t  *region;

    zone = calloc(1, sizeof(ngx_shm_zone_t));
    region = calloc(1, size);

    if (zone == NULL || region == NULL) {
        abort();
    }

    zone->shm.addr = (u_char *) region;
    zone->shm.size = size;
    zone->shm.name.data = (u_char *) name;
    zone->shm.name.len = strlen(name);
    zone->shm.log = &ngx_slab_stub_log;

    ngx_queue_init(&region->blocks);
    region->limit = limit;
    region->pos = (u_char *) (region + 1);
    region->last = (u_char *) region + size;

    region->pool.addr = region;
    region->pool.log_nomem = 1;
    region->pool.mutex.lock = &region->pool.lock.lock;

    return zone;
}


void
ngx_slab_stub_next(ngx_shm_zone_t *zone)
{
    ngx_slab_stub_added = zone;
}


void
ngx_slab_stub_free(ngx_shm_zone_t *zone)
{
    ngx_queue_t             *q;
    ngx_slab_stub_region_t  *region;

    region = (ngx_slab_stub_region_t *) zone->shm.addr;

    while (!ngx_queue_empty(&region->blocks)) {
        q = ngx_queue_head(&region->blocks);
        ngx_queue_remove(q);
        free(ngx_queue_data(q, ngx_slab_stub_block_t, queue));
    }

    free(region);
    free(zone);
}


size_t
ngx_slab_stub_used(ngx_shm_zone_t *zone)
{
    return ((ngx_slab_stub_region_t *) zone->shm.addr)->used;
}


void
ngx_slab_stub_limit(ngx_shm_zone_t *zone, size_t limit)
{
    ((ngx_slab_stub_region_t *) zone->shm.addr)->limit = limit;
}


ngx_shm_zone_t *
ngx_shared_memory_add(ngx_conf_t *cf, ngx_str_t *name, size_t size, void *tag)
{
    (void) cf;
    (void) name;
    (void) size;

    ngx_slab_stub_added->tag = tag;

    return ngx_slab_stub_added;
}


/* slabs: the locked ones over malloc(), the others once for each zone */


/* nobody is killed here */

void
ngx_slab_init(ngx_slab_pool_t *pool)
{
    (void) pool;

    abort();
}


void *
ngx_slab_alloc(ngx_slab_pool_t *pool, size_t size)
{
    u_char                  *p;
    ngx_slab_stub_region_t  *region;

    region = (ngx_slab_stub_region_t *) pool;

    p = ngx_align_ptr(region->pos, 16);

    if (p + size > region->last) {
        return NULL;
    }

    region->pos = p + size;

    return p;
}


void *
ngx_slab_calloc(ngx_slab_pool_t *pool, size_t size)
{
    void  *p;

    p = ngx_slab_alloc(pool, size);
    if (p != NULL) {
        ngx_memzero(p, size);
    }

    return p;
}


void *
ngx_slab_alloc_locked(ngx_slab_pool_t *pool, size_t size)
{
    size_t                   cost;
    ngx_slab_stub_block_t   *block;
    ngx_slab_stub_region_t  *region;

    if (!pool->lock.lock) {
        abort();
    }

    region = (ngx_slab_stub_region_t *) pool;
    cost = ngx_slab_stub_cost(size);

    if (region->used + cost > region->limit) {
        return NULL;
    }

    block = malloc(sizeof(ngx_slab_stub_block_t) + size);
    if (block == NULL) {
        abort();
    }

    memset(block + 1, 0xa5, size);

    block->cost = cost;
    region->used += cost;
    pool->pfree = (region->limit - region->used) / ngx_pagesize;

    ngx_queue_insert_head(&region->blocks, &block->queue);

    return block + 1;
}


void
ngx_slab_free_locked(ngx_slab_pool_t *pool, void *p)
{
    ngx_slab_stub_block_t   *block;
    ngx_slab_stub_region_t  *region;

    if (!pool->lock.lock) {
        abort();
    }

    region = (ngx_slab_stub_region_t *) pool;
    block = (ngx_slab_stub_block_t *) p - 1;

    ngx_queue_remove(&block->queue);

    region->used -= block->cost;
    pool->pfree = (region->limit - region->used) / ngx_pagesize;

    free(block);
}


static size_t
ngx_slab_stub_cost(size_t size)
{
    size_t  cost;

    if (size > ngx_pagesize / 2) {
        return (size + ngx_pagesize - 1) / ngx_pagesize * ngx_pagesize;
    }

    for (cost = 8; cost < size; cost *= 2) { /* void */ }

    return cost;
}


/* the mutex */


void
ngx_shmtx_lock(ngx_shmtx_t *mtx)
{
    if (*mtx->lock) {
        fprintf(stderr, "locked twice\n");
        abort();
    }

    *mtx->lock = 1;
}


void
ngx_shmtx_unlock(ngx_shmtx_t *mtx)
{
    if (!*mtx->lock) {
        fprintf(stderr, "unlocked twice\n");
        abort();
    }

    *mtx->lock = 0;

    if (ngx_slab_stub_unlocked != NULL) {
        ngx_slab_stub_unlocked();
    }
}


/* the log */


#if (NGX_HAVE_VARIADIC_MACROS)

void
ngx_log_error_core(ngx_uint_t level, ngx_log_t *log, ngx_err_t err,
    const char *fmt, ...)

#else

void
ngx_log_error_core(ngx_uint_t level, ngx_log_t *log, ngx_err_t err,
    const char *fmt, va_list args)

#endif
{
    u_char   *p;
#if (NGX_HAVE_VARIADIC_MACROS)
    va_list   args;
#endif

    (void) log;
    (void) err;

#if (NGX_HAVE_VARIADIC_MACROS)
    va_start(args, fmt);
#endif

    p = ngx_vslprintf((u_char *) ngx_slab_stub_line,
                      (u_char *) ngx_slab_stub_line
                      + sizeof(ngx_slab_stub_line) - 1,
                      fmt, args);
    *p = '\0';

#if (NGX_HAVE_VARIADIC_MACROS)
    va_end(args);
#endif

    ngx_slab_stub_level = level;
    ngx_slab_stub_lines++;
}


/* the tree */


void
ngx_rbtree_insert(ngx_rbtree_t *tree, ngx_rbtree_node_t *node)
{
    if (tree->root != tree->sentinel) {
        tree->insert(tree->root, node, tree->sentinel);
        return;
    }

    node->parent = NULL;
    node->left = tree->sentinel;
    node->right = tree->sentinel;

    tree->root = node;
}


void
ngx_rbtree_delete(ngx_rbtree_t *tree, ngx_rbtree_node_t *node)
{
    ngx_rbtree_node_t  *next, *sentinel;

    sentinel = tree->sentinel;

    if (node->left == sentinel) {
        ngx_slab_stub_replace(tree, node, node->right);

    } else if (node->right == sentinel) {
        ngx_slab_stub_replace(tree, node, node->left);

    } else {
        next = ngx_rbtree_min(node->right, sentinel);

        if (next->parent != node) {
            ngx_slab_stub_replace(tree, next, next->right);
            next->right = node->right;
            next->right->parent = next;
        }

        ngx_slab_stub_replace(tree, node, next);
        next->left = node->left;
        next->left->parent = next;
    }

    memset(node, 0, sizeof(ngx_rbtree_node_t));
}


static void
ngx_slab_stub_replace(ngx_rbtree_t *tree, ngx_rbtree_node_t *u,
    ngx_rbtree_node_t *v)
{
    if (u == tree->root) {
        tree->root = v;

    } else if (u == u->parent->left) {
        u->parent->left = v;

    } else {
        u->parent->right = v;
    }

    if (v != tree->sentinel) {
        v->parent = u->parent;
    }
}


ngx_rbtree_node_t *
ngx_rbtree_next(ngx_rbtree_t *tree, ngx_rbtree_node_t *node)
{
    if (node->right != tree->sentinel) {
        return ngx_rbtree_min(node->right, tree->sentinel);
    }

    while (node != tree->root && node == node->parent->right) {
        node = node->parent;
    }

    return (node == tree->root) ? NULL : node->parent;
}
