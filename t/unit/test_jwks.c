/*
 * The promise: of a stranger's key set only keys that can verify RS256 are
 * kept, none of them weak, none of them ambiguous, and never many.
 *
 * Rows: ID-13
 */

#include "test.h"
#include "ngx_intuit_stub.h"
#include "ngx_intuit_crypto.h"
#include "ngx_intuit_jwks.h"
#include <openssl/err.h>
#include <openssl/evp.h>


/* base64url of a modulus of so many bits: odd, and the top bit is set */

static ngx_str_t
modulus(ngx_pool_t *pool, size_t bits, u_char last)
{
    size_t      len;
    u_char     *p;
    ngx_str_t   s;

    len = (bits + 7) / 8;
    p = ngx_pnalloc(pool, len);
    memset(p, 0x5b, len);
    p[0] = (u_char) (0xff >> (len * 8 - bits));
    p[len - 1] = last;

    s.data = ngx_pnalloc(pool, ngx_intuit_base64url_len(len));
    s.len = ngx_intuit_base64url_encode(s.data, p, len) - s.data;

    return s;
}


/* a key of 2048 bits with these further members */

static ngx_str_t
key(ngx_pool_t *pool, const char *members)
{
    ngx_str_t  n;

    n = modulus(pool, 2048, 0x5b);

    return ngx_intuit_stub_fmt(pool, "{\"n\":\"%V\",%s}", &n, members);
}


static ngx_int_t
parse(ngx_pool_t *pool, ngx_str_t text, ngx_uint_t min,
    ngx_intuit_jwks_t *jwks)
{
    /* what must be set by the function is not set here */
    memset(jwks, 0xa5, sizeof(ngx_intuit_jwks_t));

    return ngx_intuit_jwks_parse(pool, &text, min, jwks);
}


/* A set of one key: 1 kept, 0 ignored, -1 anything else. */

static int
kept(ngx_pool_t *pool, ngx_str_t jwk, ngx_uint_t min)
{
    ngx_str_t          text;
    ngx_intuit_jwks_t  jwks;

    text = ngx_intuit_stub_fmt(pool, "{\"keys\":[%V]}", &jwk);

    if (parse(pool, text, min, &jwks) != NGX_OK
        || jwks.keys.nelts + jwks.ignored != 1)
    {
        return -1;
    }

    return (int) jwks.keys.nelts;
}


static void
test_shape(ngx_pool_t *pool)
{
    size_t             i;
    ngx_intuit_jwks_t  jwks;

    static const char *const  bad[] = {
        "", "{}", "[]", "null", "{\"keys\":null}", "{\"keys\":{}}",
        "{\"keys\":\"x\"}", "{\"keys\":[],\"keys\":[]}", "{\"keys\":[}",
        "{\"Keys\":[]}", "<html>", "{\"keys\":[]}x",
    };

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        ok(parse(pool, ngx_intuit_stub_str(pool, bad[i]), 2048, &jwks)
           == NGX_DECLINED, "not a key set: %s", bad[i]);
    }

    ok(parse(pool, ngx_intuit_stub_str(pool, "{\"keys\":[]}"), 2048, &jwks)
       == NGX_OK && jwks.keys.nelts == 0 && jwks.ignored == 0,
       "an empty set");

    ok(parse(pool, ngx_intuit_stub_str(pool,
       "{\"keys\":[1,\"x\",null,[],{}],\"x\":1}"), 2048, &jwks) == NGX_OK
       && jwks.keys.nelts == 0, "a set of junk");
}


static void
test_members(ngx_pool_t *pool)
{
    size_t  i;

    static const struct {
        const char  *members;
        int          kept;
    } cases[] = {
        { "\"kty\":\"RSA\",\"e\":\"AQAB\"", 1 },
        { "\"kty\":\"RSA\",\"e\":\"AQAB\",\"use\":\"sig\",\"alg\":\"RS256\","
          "\"kid\":\"k\"", 1 },
        { "\"kty\":\"RSA\",\"e\":\"AQAB\",\"x5c\":[\"junk\"],\"x5u\":"
          "\"https://evil.example/\",\"jku\":7,\"other\":{}", 1 },
        { "\"kty\":\"RSA\",\"e\":\"AQAB\",\"key_ops\":[\"verify\"]", 1 },
        { "\"kty\":\"RSA\",\"e\":\"AQAB\",\"key_ops\":[\"encrypt\"]", 0 },
        { "\"kty\":\"RSA\",\"e\":\"AQAB\",\"key_ops\":[]", 0 },
        { "\"kty\":\"RSA\",\"e\":\"AQAB\",\"key_ops\":\"x\"", 0 },
        { "\"kty\":\"RSA\",\"e\":\"AQAB\",\"key_ops\":7", 0 },
        { "\"kty\":\"RSA\",\"e\":\"AQAB\",\"use\":\"enc\"", 0 },
        { "\"kty\":\"RSA\",\"e\":\"AQAB\",\"use\":\"SIG\"", 0 },
        { "\"kty\":\"RSA\",\"e\":\"AQAB\",\"use\":1", 0 },
        { "\"kty\":\"RSA\",\"e\":\"AQAB\",\"alg\":\"RS512\"", 0 },
        { "\"kty\":\"RSA\",\"e\":\"AQAB\",\"alg\":\"PS256\"", 0 },
        { "\"kty\":\"RSA\",\"e\":\"AQAB\",\"alg\":\"RSA-OAEP\"", 0 },
        { "\"kty\":\"RSA\",\"e\":\"AQAB\",\"alg\":\"none\"", 0 },
        { "\"kty\":\"RSA\",\"e\":\"AQAB\",\"alg\":\"rs256\"", 0 },
        { "\"kty\":\"RSA\",\"e\":\"AQAB\",\"alg\":[]", 0 },
        { "\"kty\":\"RSA\",\"e\":\"AQAB\",\"kid\":7", 0 },
        { "\"kty\":\"rsa\",\"e\":\"AQAB\"", 0 },
        { "\"kty\":\"EC\",\"e\":\"AQAB\"", 0 },
        { "\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AA\",\"y\":\"AA\"", 0 },
        { "\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"AA\"", 0 },
        { "\"kty\":\"oct\",\"k\":\"AAAA\",\"alg\":\"HS256\"", 0 },
        { "\"kty\":\"oct\",\"k\":\"AAAA\",\"e\":\"AQAB\"", 0 },
        { "\"kty\":\"\",\"e\":\"AQAB\"", 0 }, { "\"e\":\"AQAB\"", 0 },
        { "\"kty\":1,\"e\":\"AQAB\"", 0 }, { "\"kty\":\"RSA\"", 0 },
        { "\"kty\":\"RSA\",\"e\":65537", 0 },
        { "\"kty\":\"RSA\",\"e\":\"\"", 0 },
        { "\"kty\":\"RSA\",\"e\":\"AQAB=\"", 0 },
        { "\"kty\":\"RSA\",\"e\":\"AQ==\"", 0 },
        { "\"kty\":\"RSA\",\"e\":\"A Q\"", 0 },
        { "\"kty\":\"RSA\",\"e\":\"AA\"", 0 },           /* 0 */
        { "\"kty\":\"RSA\",\"e\":\"AQ\"", 0 },           /* 1 */
        { "\"kty\":\"RSA\",\"e\":\"Ag\"", 0 },           /* 2 */
        { "\"kty\":\"RSA\",\"e\":\"Aw\"", 1 },           /* 3 */
        { "\"kty\":\"RSA\",\"e\":\"Ax\"", 0 },           /* 3, spare bits */
        { "\"kty\":\"RSA\",\"e\":\"BA\"", 0 },           /* 4 */
        { "\"kty\":\"RSA\",\"e\":\"AQAA\"", 0 },         /* 65536 */
        { "\"kty\":\"RSA\",\"e\":\"_____w\"", 1 },       /* 2^32 - 1 */
        { "\"kty\":\"RSA\",\"e\":\"AQAAAAE\"", 0 },      /* 2^32 + 1 */
        { "\"kty\":\"RSA\",\"e\":\"AAEAAQ\"", 1 },       /* a zero in front */
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        ok(kept(pool, key(pool, cases[i].members), 1024) == cases[i].kept,
           "%s: %s", cases[i].kept ? "kept" : "ignored", cases[i].members);
    }
}


static void
test_sizes(ngx_pool_t *pool)
{
    size_t     i;
    ngx_str_t  n, jwk;

    static const struct {
        size_t      bits;
        ngx_uint_t  min;
        int         kept;
    } cases[] = {
        { 512, 1024, 0 }, { 1023, 1024, 0 }, { 1024, 1024, 1 },
        { 1024, 2048, 0 }, { 2047, 2048, 0 }, { 2048, 2048, 1 },
        { 2048, 1024, 1 }, { 3072, 2048, 1 }, { 4096, 2048, 1 },
        { 8192, 2048, 1 }, { 8193, 2048, 0 }, { 16384, 2048, 0 },
        { 200000, 2048, 0 },
    };

    static const char *const  bad[] = {
        "null", "7", "\"\"", "\"AQAB\"", "\"%%%\"", "[]",
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        n = modulus(pool, cases[i].bits, 0x5b);
        jwk = ngx_intuit_stub_fmt(pool,
            "{\"kty\":\"RSA\",\"e\":\"AQAB\",\"n\":\"%V\"}", &n);

        ok(kept(pool, jwk, cases[i].min) == cases[i].kept,
           "%zu bits, at least %d: %s", cases[i].bits, (int) cases[i].min,
           cases[i].kept ? "kept" : "ignored");
    }

    n = modulus(pool, 2048, 0x5a);
    jwk = ngx_intuit_stub_fmt(pool,
        "{\"kty\":\"RSA\",\"e\":\"AQAB\",\"n\":\"%V\"}", &n);
    ok(kept(pool, jwk, 1024) == 0, "an even modulus is ignored");

    n = modulus(pool, 2048, 0x5b);
    jwk = ngx_intuit_stub_fmt(pool,
        "{\"kty\":\"RSA\",\"e\":\"AQAB\",\"n\":\"%V=\"}", &n);
    ok(kept(pool, jwk, 1024) == 0, "a padded modulus is ignored");

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        jwk = ngx_intuit_stub_fmt(pool,
            "{\"kty\":\"RSA\",\"e\":\"AQAB\",\"n\":%s}", bad[i]);
        ok(kept(pool, jwk, 1024) == 0, "ignored: n is %s", bad[i]);
    }
}


static void
test_find(ngx_pool_t *pool)
{
    ngx_str_t           a, b, c, e, text, kid;
    ngx_intuit_jwk_t   *jwk;
    ngx_intuit_jwks_t   jwks;

    a = key(pool, "\"kty\":\"RSA\",\"e\":\"AQAB\",\"kid\":\"a\"");
    b = key(pool, "\"kty\":\"RSA\",\"e\":\"AQAB\",\"kid\":\"b\"");
    c = key(pool, "\"kty\":\"RSA\",\"e\":\"AQAB\"");
    e = key(pool, "\"kty\":\"EC\",\"kid\":\"a\"");

    text = ngx_intuit_stub_fmt(pool, "{\"keys\":[%V,%V,%V,%V]}",
                               &a, &b, &c, &e);
    ok(parse(pool, text, 2048, &jwks) == NGX_OK && jwks.keys.nelts == 3
       && jwks.ignored == 1, "three usable keys");

    ngx_str_set(&kid, "b");
    jwk = ngx_intuit_jwks_find(&jwks, &kid);
    ok(jwk && jwk->kid.data[0] == 'b' && jwk->bits == 2048
       && EVP_PKEY_get_bits(jwk->pkey) == 2048, "found by its kid");

    ngx_str_set(&kid, "a");
    jwk = ngx_intuit_jwks_find(&jwks, &kid);
    ok(jwk && jwk->kid.data[0] == 'a',
       "an EC key of the same kid does not count");
    ngx_str_set(&kid, "A");
    ok(ngx_intuit_jwks_find(&jwks, &kid) == NULL, "a kid of other case");
    ngx_str_set(&kid, "ab");
    ok(ngx_intuit_jwks_find(&jwks, &kid) == NULL, "a longer kid");
    ngx_str_null(&kid);
    ok(ngx_intuit_jwks_find(&jwks, &kid) == NULL,
       "no kid, and the choice of three");

    text = ngx_intuit_stub_fmt(pool, "{\"keys\":[%V,%V]}", &e, &a);
    parse(pool, text, 2048, &jwks);
    jwk = ngx_intuit_jwks_find(&jwks, &kid);
    ok(jwk && jwk->kid.len == 1, "no kid, and just one key");
    ngx_str_set(&kid, "x");
    ok(ngx_intuit_jwks_find(&jwks, &kid) == NULL,
       "another kid does not get the only key");

    text = ngx_intuit_stub_fmt(pool, "{\"keys\":[%V]}", &c);
    parse(pool, text, 2048, &jwks);
    ok(ngx_intuit_jwks_find(&jwks, &kid) == NULL,
       "nor the only key without kid");

    text = ngx_intuit_stub_fmt(pool, "{\"keys\":[%V,%V,%V]}", &a, &b, &a);
    ok(parse(pool, text, 2048, &jwks) == NGX_OK && jwks.keys.nelts == 1
       && jwks.ignored == 2, "of two keys with one kid both go");
    ngx_str_set(&kid, "a");
    ok(ngx_intuit_jwks_find(&jwks, &kid) == NULL, "and are not found");
    ngx_str_set(&kid, "b");
    ok(ngx_intuit_jwks_find(&jwks, &kid) != NULL, "the third is");

    text = ngx_intuit_stub_fmt(pool, "{\"keys\":[%V,%V]}", &c, &c);
    ok(parse(pool, text, 2048, &jwks) == NGX_OK && jwks.keys.nelts == 2,
       "keys without kid are no doubles");

    text = ngx_intuit_stub_str(pool, "{\"keys\":[]}");
    parse(pool, text, 2048, &jwks);
    ngx_str_null(&kid);
    ok(ngx_intuit_jwks_find(&jwks, &kid) == NULL, "no kid and no key");
}


static ngx_str_t
many(ngx_pool_t *pool, size_t n)
{
    size_t      i;
    u_char     *p;
    ngx_str_t   s, mod;

    mod = modulus(pool, 2048, 0x5b);

    s.data = ngx_pnalloc(pool, n * (mod.len + 64) + 16);
    p = ngx_sprintf(s.data, "{\"keys\":[");

    for (i = 0; i < n; i++) {
        p = ngx_sprintf(p, "%s{\"kty\":\"RSA\",\"e\":\"AQAB\",\"n\":\"%V\","
                        "\"kid\":\"k%ui\"}", i ? "," : "", &mod,
                        (ngx_uint_t) i);
    }

    p = ngx_sprintf(p, "]}");
    s.len = p - s.data;

    return s;
}


static void
test_many(ngx_pool_t *pool)
{
    ngx_str_t          text;
    ngx_intuit_jwks_t  jwks;

    ok(parse(pool, many(pool, 32), 2048, &jwks) == NGX_OK
       && jwks.keys.nelts == 32 && jwks.ignored == 0, "32 keys");
    ok(parse(pool, many(pool, 33), 2048, &jwks) == NGX_OK
       && jwks.keys.nelts == 32 && jwks.ignored == 1, "33 keys");
    ok(parse(pool, many(pool, 500), 2048, &jwks) == NGX_OK
       && jwks.keys.nelts == 32 && jwks.ignored == 468, "500 keys");
    ok(parse(pool, many(pool, 10000), 2048, &jwks) == NGX_DECLINED,
       "10000 keys");

    text.len = 5 * 1024 * 1024;
    text.data = ngx_pnalloc(pool, text.len);
    memset(text.data, ' ', text.len);
    memcpy(text.data, "{\"keys\":[]}", 11);
    ok(parse(pool, text, 2048, &jwks) == NGX_DECLINED, "5 MiB");
}


static void
test_no_memory(void)
{
    ngx_int_t          n, rc;
    ngx_str_t          text;
    ngx_pool_t        *pool;
    ngx_intuit_jwks_t  jwks;

    for (rc = NGX_ERROR, n = 0; rc != NGX_OK && n < 200; n++) {
        pool = ngx_intuit_stub_pool();
        text = many(pool, 6);

        ngx_intuit_stub_fail_after(n);
        rc = parse(pool, text, 2048, &jwks);
        ngx_intuit_stub_fail_after(-1);

        if (rc == NGX_OK && jwks.keys.nelts != 6) {
            rc = NGX_ABORT;
            break;
        }

        ngx_destroy_pool(pool);
    }

    ok(rc == NGX_OK && n > 20, "each of %d failing allocations is seen",
       (int) n - 1);
}


int
main(void)
{
    ngx_pool_t  *pool;

    pool = ngx_intuit_stub_pool();

    test_shape(pool);
    test_members(pool);
    test_sizes(pool);
    test_find(pool);
    test_many(pool);

    ngx_destroy_pool(pool);

    test_no_memory();

    /* as if OpenSSL had left something on its way */
    pool = ngx_intuit_stub_pool();
    ERR_raise(ERR_LIB_USER, 1);
    ok(kept(pool, key(pool, "\"kty\":\"RSA\",\"e\":\"AQAB\""), 2048) == 1,
       "the last key");
    ngx_destroy_pool(pool);

    ok(ERR_peek_error() == 0, "OpenSSL's error queue is empty");

    return done_testing();
}
