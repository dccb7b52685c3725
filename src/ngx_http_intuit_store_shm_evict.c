/*
 * Who has to go when there is no room.
 *
 * The slab gives a page to records of one size, and takes it back when the
 * last of them has gone.  A record of another size, or of a whole page, gets
 * nothing from sessions dropped here and there: with a million of them in
 * random order a quarter would have to go until there is a page with none,
 * under the lock.  So all sessions of one page go: that of the session idle
 * longest, or of one that was idle nearly as long.
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_intuit_store_shm.h"


#define NGX_HTTP_INTUIT_SHM_PAGES     16      /* pages are looked at */


static ngx_uint_t ngx_http_intuit_shm_evict_page(
    ngx_http_intuit_store_t *store, ngx_http_intuit_shm_record_t *record,
    ngx_uint_t pages);
static size_t ngx_http_intuit_shm_stride(ngx_http_intuit_store_t *store,
    u_char *page);
static ngx_uint_t ngx_http_intuit_shm_sessions(ngx_http_intuit_store_t *store,
    u_char *page, size_t stride, ngx_uint_t remove, ngx_uint_t *others);
static ngx_http_intuit_shm_record_t *ngx_http_intuit_shm_session_at(
    ngx_http_intuit_store_t *store, u_char *p);
static ngx_http_intuit_shm_record_t *ngx_http_intuit_shm_at(u_char *p);
static ngx_uint_t ngx_http_intuit_shm_used(u_char *p);


ngx_uint_t
ngx_http_intuit_shm_evict(ngx_http_intuit_store_t *store, size_t size,
    ngx_uint_t again)
{
    ngx_uint_t                     i, n, pages;
    ngx_queue_t                   *q, *queue;
    ngx_http_intuit_shm_record_t  *record;

    ngx_http_intuit_shm_assert_locked(store);

    queue = &store->shm->index[NGX_HTTP_INTUIT_SHM_SESSION].queue;

    if (ngx_queue_empty(queue)) {
        return 0;
    }

    pages = (ngx_http_intuit_shm_cost(size) + ngx_pagesize - 1) / ngx_pagesize;

    for (q = ngx_queue_last(queue), i = 0;
         again && q != ngx_queue_sentinel(queue)
         && i < NGX_HTTP_INTUIT_SHM_PAGES;
         q = ngx_queue_prev(q), i++)
    {
        record = ngx_queue_data(q, ngx_http_intuit_shm_record_t, queue);

        n = ngx_http_intuit_shm_evict_page(store, record, pages);
        if (n) {
            return n;
        }
    }

    q = ngx_queue_last(queue);
    record = ngx_queue_data(q, ngx_http_intuit_shm_record_t, queue);

    ngx_http_intuit_shm_remove(store, NGX_HTTP_INTUIT_SHM_SESSION, record);

    return 1;
}


/* How many sessions have gone from so many pages; 0: others are in them. */

static ngx_uint_t
ngx_http_intuit_shm_evict_page(ngx_http_intuit_store_t *store,
    ngx_http_intuit_shm_record_t *record, ngx_uint_t pages)
{
    size_t      stride;
    u_char     *page, *first;
    ngx_uint_t  i, n, others;

    first = (u_char *) ((uintptr_t) record & ~(uintptr_t) (ngx_pagesize - 1));

    if (first < store->shpool->start
        || first >= store->shpool->end
        || (size_t) (store->shpool->end - first) < pages * ngx_pagesize)
    {
        return 0;
    }

    if (ngx_http_intuit_shm_cost(record->size) >= ngx_pagesize) {
        ngx_http_intuit_shm_remove(store, NGX_HTTP_INTUIT_SHM_SESSION, record);
        return 1;
    }

    others = 0;
    stride = ngx_http_intuit_shm_cost(record->size);

    for (i = 0, page = first; i < pages; i++, page += ngx_pagesize) {

        if (i > 0) {
            stride = ngx_http_intuit_shm_stride(store, page);
        }

        if (stride == 0) {
            return 0;
        }

        (void) ngx_http_intuit_shm_sessions(store, page, stride, 0, &others);

        if (others) {
            return 0;
        }
    }

    stride = ngx_http_intuit_shm_cost(record->size);
    n = 0;

    for (i = 0, page = first; i < pages; i++, page += ngx_pagesize) {

        if (i > 0) {
            stride = ngx_http_intuit_shm_stride(store, page);
        }

        n += ngx_http_intuit_shm_sessions(store, page, stride, 1, &others);
    }

    return n;
}


/* What a page is cut into; 0: it does not begin with a session. */

static size_t
ngx_http_intuit_shm_stride(ngx_http_intuit_store_t *store, u_char *page)
{
    size_t                         stride;
    ngx_http_intuit_shm_record_t  *record;

    record = ngx_http_intuit_shm_session_at(store, page);
    if (record == NULL) {
        return 0;
    }

    stride = ngx_http_intuit_shm_cost(record->size);

    return (stride < ngx_pagesize) ? stride : 0;
}


/* Counts, or removes, the sessions of one page, and counts what else is
 * there. */

static ngx_uint_t
ngx_http_intuit_shm_sessions(ngx_http_intuit_store_t *store, u_char *page,
    size_t stride, ngx_uint_t remove, ngx_uint_t *others)
{
    u_char                        *p;
    ngx_uint_t                     n;
    ngx_http_intuit_shm_record_t  *record;

    n = 0;

    for (p = page; p < page + ngx_pagesize; p += stride) {

        record = ngx_http_intuit_shm_session_at(store, p);

        if (record == NULL) {
            *others += ngx_http_intuit_shm_used(p);
            continue;
        }

        n++;

        if (remove) {
            ngx_http_intuit_shm_remove(store, NGX_HTTP_INTUIT_SHM_SESSION,
                                       record);
        }
    }

    return n;
}


/*
 * The session that begins here, or NULL.  What is in a page is not known
 * beforehand, it may be text of somebody's: a session is what the tree finds
 * here.
 */

static ngx_http_intuit_shm_record_t *
ngx_http_intuit_shm_session_at(ngx_http_intuit_store_t *store, u_char *p)
{
    void                          *found;
    ngx_http_intuit_shm_record_t  *record;

    record = ngx_http_intuit_shm_at(p);

    if (record->magic
        != ngx_http_intuit_shm_magics[NGX_HTTP_INTUIT_SHM_SESSION])
    {
        return NULL;
    }

    found = ngx_http_intuit_shm_find(store, NGX_HTTP_INTUIT_SHM_SESSION,
                                     &record->id);

    return (found == record) ? record : NULL;
}


/* The record of the allocation that begins at p. */

static ngx_http_intuit_shm_record_t *
ngx_http_intuit_shm_at(u_char *p)
{
#if (NGX_INTUIT_SHM_DEBUG)
    p += NGX_HTTP_INTUIT_SHM_GUARD;
#endif

    return (ngx_http_intuit_shm_record_t *) p;
}


/* What was freed is empty.  A mistake costs time, and nothing else. */

static ngx_uint_t
ngx_http_intuit_shm_used(u_char *p)
{
    ngx_uint_t                      i;
    ngx_http_intuit_shm_record_t   *record;
    ngx_http_intuit_shm_handout_t  *handout;

    record = ngx_http_intuit_shm_at(p);
    handout = (ngx_http_intuit_shm_handout_t *) record;

    for (i = 0; i < NGX_HTTP_INTUIT_SHM_KINDS; i++) {
        if (record->magic == ngx_http_intuit_shm_magics[i]) {
            return 1;
        }
    }

    return handout->magic == NGX_HTTP_INTUIT_SHM_HANDOUT_MAGIC;
}
