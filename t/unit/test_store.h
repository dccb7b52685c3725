/* What the tests of the store have in common. */

#ifndef _TEST_STORE_H_INCLUDED_
#define _TEST_STORE_H_INCLUDED_


#include <stdlib.h>

#include "ngx_http_intuit_store_shm.h"
#include "ngx_intuit_stub.h"
#include "ngx_slab_stub.h"
#include "test.h"


#define ZONE_SIZE  (256 * 1024)


static ngx_pool_t               *pool;
static ngx_cycle_t               cycle;
static ngx_shm_zone_t           *zone;
static ngx_http_intuit_store_t  *store;


/* nginx running without a zone of ours */
static inline void
setup(void)
{
    ngx_slab_stub_log.log_level = NGX_LOG_DEBUG;

    memset(&cycle, 0, sizeof(ngx_cycle_t));
    cycle.log = &ngx_slab_stub_log;
    ngx_cycle = &cycle;

    pool = ngx_intuit_stub_pool();
}


/* a store in a new zone in which limit bytes may be used */
static inline void
open_store(size_t limit)
{
    ngx_str_t   name = ngx_string("intuit");
    ngx_conf_t  cf;

    memset(&cf, 0, sizeof(ngx_conf_t));
    cf.pool = pool;

    zone = ngx_slab_stub_zone("intuit", ZONE_SIZE, limit);
    ngx_slab_stub_next(zone);

    store = ngx_http_intuit_store_shm(&cf, &name, ZONE_SIZE, &cycle);

    if (store == NULL || zone->init(zone, NULL) != NGX_OK) {
        abort();
    }

    ngx_slab_stub_lines = 0;
}


static inline void
close_store(void)
{
    ngx_slab_stub_free(zone);
}


/* 32 bytes that look like a hash */
static inline ngx_http_intuit_id_t
id(ngx_uint_t n)
{
    uint64_t              x;
    ngx_uint_t            i;
    ngx_http_intuit_id_t  id;

    x = n;

    for (i = 0; i < NGX_HTTP_INTUIT_ID_LEN; i++) {
        x = x * 6364136223846793005ULL + 1442695040888963407ULL;
        id.data[i] = (u_char) (x >> 56);
    }

    return id;
}


/* an encoded session of `sub`, made `size` bytes longer */
static inline ngx_str_t
session(const char *sub, size_t size)
{
    ngx_str_t             out;
    ngx_intuit_session_t  s;

    memset(&s, 0, sizeof(ngx_intuit_session_t));

    s.sub.data = (u_char *) sub;
    s.sub.len = strlen(sub);
    s.claims.data = ngx_palloc(pool, size + 1);
    s.claims.len = size;
    memset(s.claims.data, 'x', size);

    if (ngx_intuit_session_encode(pool, &s, &out) != NGX_OK) {
        abort();
    }

    return out;
}


static inline ngx_str_t
connection(const char *token, size_t size)
{
    ngx_str_t                out;
    ngx_intuit_connection_t  c;

    memset(&c, 0, sizeof(ngx_intuit_connection_t));

    c.current.access_token.data = (u_char *) token;
    c.current.access_token.len = strlen(token);
    c.company.data = ngx_palloc(pool, size + 1);
    c.company.len = size;
    memset(c.company.data, 'x', size);

    if (ngx_intuit_connection_encode(pool, &c, &out) != NGX_OK) {
        abort();
    }

    return out;
}


static inline ngx_http_intuit_store_stat_t
stat_of_store(void)
{
    ngx_http_intuit_store_stat_t  stat;

    ngx_http_intuit_store_stat(store, &stat);

    return stat;
}


#endif /* _TEST_STORE_H_INCLUDED_ */
