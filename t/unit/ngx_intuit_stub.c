/*
 * nginx's pools and arrays over malloc(), for the pure layer's tests.
 */

#include "ngx_intuit_stub.h"


static void *ngx_intuit_stub_alloc(ngx_pool_t *pool, size_t size);


volatile ngx_cycle_t  *ngx_cycle;
ngx_uint_t             ngx_pagesize = 4096;
ngx_pid_t              ngx_pid;
volatile ngx_msec_t    ngx_current_msec;


static ngx_int_t   ngx_intuit_stub_left = -1;
static ngx_uint_t  ngx_intuit_stub_count;


ngx_pool_t *
ngx_intuit_stub_pool(void)
{
    ngx_pool_t  *pool;

    pool = ngx_create_pool(NGX_DEFAULT_POOL_SIZE, NULL);
    if (pool == NULL) {
        abort();
    }

    return pool;
}


void
ngx_intuit_stub_fail_after(ngx_int_t n)
{
    ngx_intuit_stub_left = n;
}


ngx_uint_t
ngx_intuit_stub_allocations(void)
{
    return ngx_intuit_stub_count;
}


ngx_str_t
ngx_intuit_stub_str(ngx_pool_t *pool, const char *text)
{
    return ngx_intuit_stub_mem(pool, text, strlen(text));
}


ngx_str_t
ngx_intuit_stub_mem(ngx_pool_t *pool, const void *data, size_t len)
{
    ngx_str_t  s;

    s.len = len;
    s.data = ngx_palloc(pool, len);
    if (s.data == NULL) {
        abort();
    }

    if (len) {
        memcpy(s.data, data, len);
    }

    return s;
}


ngx_str_t
ngx_intuit_stub_fmt(ngx_pool_t *pool, const char *fmt, ...)
{
    u_char     *buf, *end;
    va_list     args;
    ngx_str_t   s;

    buf = malloc(65536);
    if (buf == NULL) {
        abort();
    }

    va_start(args, fmt);
    end = ngx_vslprintf(buf, buf + 65536, fmt, args);
    va_end(args);

    s = ngx_intuit_stub_mem(pool, buf, end - buf);

    free(buf);

    return s;
}


void *
ngx_alloc(size_t size, ngx_log_t *log)
{
    (void) log;

    return malloc(size);
}


void *
ngx_calloc(size_t size, ngx_log_t *log)
{
    (void) log;

    return calloc(1, size);
}


ngx_pool_t *
ngx_create_pool(size_t size, ngx_log_t *log)
{
    ngx_pool_t  *pool;

    (void) size;

    pool = calloc(1, sizeof(ngx_pool_t));
    if (pool == NULL) {
        return NULL;
    }

    pool->log = log;

    return pool;
}


void
ngx_reset_pool(ngx_pool_t *pool)
{
    ngx_pool_large_t  *l, *next;

    for (l = pool->large; l; l = next) {
        next = l->next;
        free(l->alloc);
        free(l);
    }

    pool->large = NULL;
}


void
ngx_destroy_pool(ngx_pool_t *pool)
{
    ngx_pool_cleanup_t  *c;

    for (c = pool->cleanup; c; c = c->next) {
        if (c->handler) {
            c->handler(c->data);
        }
    }

    ngx_reset_pool(pool);
    free(pool);
}


static void *
ngx_intuit_stub_alloc(ngx_pool_t *pool, size_t size)
{
    ngx_pool_large_t  *l;

    ngx_intuit_stub_count++;

    if (ngx_intuit_stub_left == 0) {
        return NULL;
    }

    if (ngx_intuit_stub_left > 0) {
        ngx_intuit_stub_left--;
    }

    l = malloc(sizeof(ngx_pool_large_t));
    if (l == NULL) {
        return NULL;
    }

    l->alloc = malloc(size);
    if (l->alloc == NULL) {
        free(l);
        return NULL;
    }

    memset(l->alloc, 0xa5, size);

    l->next = pool->large;
    pool->large = l;

    return l->alloc;
}


void *
ngx_palloc(ngx_pool_t *pool, size_t size)
{
    return ngx_intuit_stub_alloc(pool, size);
}


void *
ngx_pnalloc(ngx_pool_t *pool, size_t size)
{
    return ngx_intuit_stub_alloc(pool, size);
}


void *
ngx_pcalloc(ngx_pool_t *pool, size_t size)
{
    void  *p;

    p = ngx_intuit_stub_alloc(pool, size);
    if (p) {
        memset(p, 0, size);
    }

    return p;
}


ngx_int_t
ngx_pfree(ngx_pool_t *pool, void *p)
{
    ngx_pool_large_t  *l;

    for (l = pool->large; l; l = l->next) {
        if (l->alloc == p) {
            free(l->alloc);
            l->alloc = NULL;
            return NGX_OK;
        }
    }

    return NGX_DECLINED;
}


ngx_pool_cleanup_t *
ngx_pool_cleanup_add(ngx_pool_t *p, size_t size)
{
    ngx_pool_cleanup_t  *c;

    c = ngx_palloc(p, sizeof(ngx_pool_cleanup_t));
    if (c == NULL) {
        return NULL;
    }

    c->data = NULL;
    c->handler = NULL;

    if (size) {
        c->data = ngx_palloc(p, size);
        if (c->data == NULL) {
            return NULL;
        }
    }

    c->next = p->cleanup;
    p->cleanup = c;

    return c;
}


ngx_array_t *
ngx_array_create(ngx_pool_t *p, ngx_uint_t n, size_t size)
{
    ngx_array_t  *a;

    a = ngx_palloc(p, sizeof(ngx_array_t));
    if (a == NULL || ngx_array_init(a, p, n, size) != NGX_OK) {
        return NULL;
    }

    return a;
}


void *
ngx_array_push(ngx_array_t *a)
{
    return ngx_array_push_n(a, 1);
}


void *
ngx_array_push_n(ngx_array_t *a, ngx_uint_t n)
{
    void        *elts;
    ngx_uint_t   nalloc;

    if (a->nelts + n > a->nalloc) {
        nalloc = 2 * (a->nelts + n);

        elts = ngx_palloc(a->pool, nalloc * a->size);
        if (elts == NULL) {
            return NULL;
        }

        memcpy(elts, a->elts, a->nelts * a->size);

        a->elts = elts;
        a->nalloc = nalloc;
    }

    a->nelts += n;

    return (u_char *) a->elts + (a->nelts - n) * a->size;
}
