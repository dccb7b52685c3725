/*
 * What hosts share: it opens under its own name and generation, and under no
 * other.
 */

#include "ngx_intuit_shared.h"
#include "ngx_intuit_stub.h"
#include "test.h"


static ngx_pool_t        *pool;
static ngx_intuit_key_t   keys[2];
static u_char             ids[2][NGX_INTUIT_SHARED_ID_LEN];


static ngx_int_t
open_as(const ngx_str_t *value, u_char kind, const u_char *id, ngx_uint_t n,
    ngx_str_t *plain)
{
    ngx_intuit_shared_t  s;

    s.kind = kind;
    s.id = id;
    s.generation = 0;

    return ngx_intuit_shared_open(pool, keys, n, &s, value, plain);
}


static void
test_seal(uint64_t generation)
{
    size_t                i;
    uint64_t              n;
    ngx_str_t             text, value, plain;
    ngx_uint_t            opened;
    ngx_intuit_shared_t   s;

    text = ngx_intuit_stub_str(pool, "a token");

    s.kind = NGX_INTUIT_SHARED_CONNECTION;
    s.id = ids[0];
    s.generation = generation;

    ok(ngx_intuit_shared_seal(pool, &keys[0], &s, &text, &value) == NGX_OK,
       "sealed");
    ok(memmem(value.data, value.len, "token", 5) == NULL, "unreadable");

    s.generation = 0;
    ok(ngx_intuit_shared_open(pool, keys, 2, &s, &value, &plain) == NGX_OK,
       "opened");
    is_str(&plain, "a token", "... the same");
    ok(s.generation == generation, "... and the generation");

    ok(open_as(&value, NGX_INTUIT_SHARED_SESSION, ids[0], 2, &plain)
       == NGX_DECLINED, "not as another kind");
    ok(open_as(&value, NGX_INTUIT_SHARED_CONNECTION, ids[1], 2, &plain)
       == NGX_DECLINED, "not under another name");
    ok(open_as(&value, NGX_INTUIT_SHARED_CONNECTION, ids[0], 0, &plain)
       == NGX_DECLINED, "not without its key");

    opened = 0;

    for (i = 0; i < value.len; i++) {
        value.data[i] ^= 1;
        opened += (open_as(&value, NGX_INTUIT_SHARED_CONNECTION, ids[0], 2,
                           &plain)
                   == NGX_OK);
        value.data[i] ^= 1;
    }

    ok(opened == 0, "not with a bit of another generation or content");

    for (i = 0; i < value.len; i++) {
        text.data = ngx_intuit_stub_mem(pool, value.data, i).data;
        text.len = i;
        opened += (open_as(&text, NGX_INTUIT_SHARED_CONNECTION, ids[0], 2,
                           &plain)
                   == NGX_OK);
    }

    ok(opened == 0, "not with a byte less");

    ok(ngx_intuit_shared_generation(&value, &n) == NGX_OK && n == generation,
       "the generation, without a key");

    value.len = NGX_INTUIT_SHARED_NUMBER_LEN - 1;
    ok(ngx_intuit_shared_generation(&value, &n) == NGX_DECLINED,
       "... and not of a part of it");
}


int
main(void)
{
    ngx_str_t             prefix, name, value, plain;
    ngx_intuit_shared_t   s;

    pool = ngx_intuit_stub_pool();

    memset(keys[0].key, 1, NGX_INTUIT_KEY_LEN);
    memset(keys[0].id, 1, NGX_INTUIT_KEY_ID_LEN);
    memset(keys[1].key, 2, NGX_INTUIT_KEY_LEN);
    memset(keys[1].id, 2, NGX_INTUIT_KEY_ID_LEN);
    memset(ids[1], 0xff, sizeof(ids[1]));

    prefix = ngx_intuit_stub_str(pool, "intuit:");
    s.kind = NGX_INTUIT_SHARED_SESSION;
    s.id = ids[0];
    s.generation = 7;

    ok(ngx_intuit_shared_name(pool, &prefix, &s, &name) == NGX_OK, "a name");
    is_str(&name, "intuit:s:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
           "... of prefix, kind and id");

    test_seal(0);
    test_seal(1);
    test_seal(UINT64_MAX);

    value = ngx_intuit_stub_str(pool, "18446744073709551616");
    ok(open_as(&value, 'c', ids[0], 2, &plain) == NGX_DECLINED,
       "a generation that is none");

    ngx_destroy_pool(pool);

    return done_testing();
}
