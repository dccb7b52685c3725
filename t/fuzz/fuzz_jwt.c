/*
 * ID tokens.  Without a NUL byte in it the input is a token; otherwise it is
 * header NUL claims NUL signature, which are encoded first.
 */

#include "fuzz.h"
#include "jwt_fixture.h"


static ngx_str_t
token(fuzz_t *f)
{
    ngx_str_t  header, claims, rest;

    header = fuzz_field(f);

    if (f->pos == f->last) {
        return header;
    }

    claims = fuzz_field(f);
    rest = fuzz_rest(f);

    header = encode(f->pool, header);
    claims = encode(f->pool, claims);
    rest = encode(f->pool, rest);
    claims = join(f->pool, header, claims);

    return join(f->pool, claims, rest);
}


/* a public key that nothing here has the private part of */
static ngx_intuit_jwk_t *
key(void)
{
    u_char                     n[256];
    ngx_str_t                  s, text;
    ngx_pool_t                *pool;
    static ngx_intuit_jwks_t   jwks;

    if (jwks.keys.nelts == 0) {
        /* lives as long as the program */
        static ngx_pool_t  *keep;

        keep = ngx_intuit_stub_pool();
        pool = keep;

        memset(n, 0x5b, sizeof(n));
        n[0] = 0xff;
        s.data = n;
        s.len = sizeof(n);
        s = encode(pool, s);

        text = ngx_intuit_stub_fmt(pool, "{\"keys\":[{\"kty\":\"RSA\","
                                   "\"kid\":\"k1\",\"e\":\"AQAB\","
                                   "\"n\":\"%V\"}]}", &s);

        must(ngx_intuit_jwks_parse(pool, &text, 2048, &jwks) == NGX_OK);
        must(jwks.keys.nelts == 1);
    }

    return jwks.keys.elts;
}


static void
fuzz(fuzz_t *f)
{
    ngx_int_t                rc;
    ngx_str_t                text;
    const char              *reason;
    ngx_intuit_jwt_t         jwt;
    ngx_intuit_jwt_rules_t   rules;

    reason = NULL;
    text = token(f);
    memset(&jwt, 0xa5, sizeof(ngx_intuit_jwt_t));

    rc = ngx_intuit_jwt_parse(f->pool, &text, &jwt, &reason);
    fuzz_answer(rc, reason);

    if (rc != NGX_OK) {
        return;
    }

    must(text.len <= NGX_INTUIT_JWT_SIZE);
    must(jwt.signed_part.len < text.len);
    must(ngx_intuit_jwt_verify(&jwt, key()) == NGX_DECLINED);

    rules_init(&rules);
    ngx_str_set(&rules.access_token, "an-access-token");
    ngx_str_set(&rules.nonce, "n");

    reason = NULL;
    rc = ngx_intuit_jwt_check(f->pool, &jwt, &rules, &reason);
    fuzz_answer(rc, reason);

    if (rc != NGX_OK) {
        return;
    }

    must(jwt.sub.len >= 1 && jwt.sub.len <= 255);
    must(fuzz_bytes(&jwt.sub, 0x20, 0x7e));
    must(jwt.realmid.len <= 20 && fuzz_bytes(&jwt.realmid, '0', '9'));
    must(jwt.exp > NOW - 60 && jwt.iat <= NOW + 60);
}
