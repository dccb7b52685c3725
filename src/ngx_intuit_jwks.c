/*
 * A set of RSA public keys (RFC 7517).
 */

#include "ngx_intuit_jwks.h"
#include "ngx_intuit_crypto.h"
#include "ngx_intuit_json.h"
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>


#define NGX_INTUIT_RSA_MAX_BITS       8192
#define NGX_INTUIT_RSA_EXPONENT_BITS  32

/* base64url of the longest modulus; a number in front is of no use either */
#define NGX_INTUIT_RSA_MAX_TEXT                                               \
    ngx_intuit_base64url_len(NGX_INTUIT_RSA_MAX_BITS / 8 + 1)


static ngx_int_t ngx_intuit_jwk_add(ngx_pool_t *pool,
    const ngx_intuit_json_t *json, ngx_uint_t min_bits,
    ngx_intuit_jwks_t *jwks);
static ngx_int_t ngx_intuit_jwk_usable(ngx_pool_t *pool,
    const ngx_intuit_json_t *json, ngx_str_t *kid);
static ngx_uint_t ngx_intuit_jwk_is(const ngx_intuit_json_t *json,
    const char *name, const char *value, ngx_uint_t required);
static ngx_int_t ngx_intuit_jwk_number(ngx_pool_t *pool,
    const ngx_intuit_json_t *json, const char *name, BIGNUM **bn);
static EVP_PKEY *ngx_intuit_jwk_pkey(const BIGNUM *n, const BIGNUM *e);
static EVP_PKEY *ngx_intuit_jwk_fromdata(OSSL_PARAM *params);
static void ngx_intuit_jwk_free(void *data);
static void ngx_intuit_jwks_drop_doubles(ngx_intuit_jwks_t *jwks);


ngx_int_t
ngx_intuit_jwks_parse(ngx_pool_t *pool, const ngx_str_t *text,
    ngx_uint_t min_bits, ngx_intuit_jwks_t *jwks)
{
    ngx_int_t            rc;
    ngx_uint_t           i;
    ngx_array_t          list;
    ngx_intuit_json_t   *json, **keys;

    json = ngx_intuit_json_parse(pool, text);
    if (json == NULL) {
        return NGX_DECLINED;
    }

    if (ngx_intuit_json_objects(pool, json, "keys", &list) != NGX_OK) {
        return NGX_DECLINED;
    }

    jwks->ignored = 0;

    if (ngx_array_init(&jwks->keys, pool, 4, sizeof(ngx_intuit_jwk_t))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    keys = list.elts;
    rc = NGX_OK;

    for (i = 0; i < list.nelts && rc != NGX_ERROR; i++) {

        rc = (jwks->keys.nelts < NGX_INTUIT_JWKS_KEYS)
             ? ngx_intuit_jwk_add(pool, keys[i], min_bits, jwks)
             : NGX_DECLINED;

        if (rc == NGX_DECLINED) {
            jwks->ignored++;
        }
    }

    ERR_clear_error();

    if (rc == NGX_ERROR) {
        return NGX_ERROR;
    }

    ngx_intuit_jwks_drop_doubles(jwks);

    return NGX_OK;
}


/* NGX_OK: added; NGX_DECLINED: not a key for us; NGX_ERROR: no memory. */

static ngx_int_t
ngx_intuit_jwk_add(ngx_pool_t *pool, const ngx_intuit_json_t *json,
    ngx_uint_t min_bits, ngx_intuit_jwks_t *jwks)
{
    BIGNUM              *n, *e;
    EVP_PKEY            *pkey;
    ngx_int_t            rc;
    ngx_str_t            kid;
    ngx_uint_t           bits;
    ngx_intuit_jwk_t    *jwk;
    ngx_pool_cleanup_t  *cln;

    rc = ngx_intuit_jwk_usable(pool, json, &kid);
    if (rc != NGX_OK) {
        return rc;
    }

    cln = ngx_pool_cleanup_add(pool, 0);
    if (cln == NULL) {
        return NGX_ERROR;
    }

    n = NULL;
    e = NULL;
    pkey = NULL;
    bits = 0;

    rc = ngx_intuit_jwk_number(pool, json, "n", &n);

    if (rc == NGX_OK) {
        rc = ngx_intuit_jwk_number(pool, json, "e", &e);
    }

    if (rc == NGX_OK) {
        bits = BN_num_bits(n);

        /* odd and of two bits at least: 3 or more */

        if (BN_is_odd(n)
            && bits >= min_bits
            && bits <= NGX_INTUIT_RSA_MAX_BITS
            && BN_is_odd(e)
            && BN_num_bits(e) >= 2
            && BN_num_bits(e) <= NGX_INTUIT_RSA_EXPONENT_BITS)
        {
            pkey = ngx_intuit_jwk_pkey(n, e);
        }
    }

    BN_free(n);
    BN_free(e);

    if (pkey == NULL) {
        return (rc == NGX_ERROR) ? NGX_ERROR : NGX_DECLINED;
    }

    cln->handler = ngx_intuit_jwk_free;
    cln->data = pkey;

    jwk = ngx_array_push(&jwks->keys);
    if (jwk == NULL) {
        return NGX_ERROR;
    }

    jwk->kid = kid;
    jwk->pkey = pkey;
    jwk->bits = bits;

    return NGX_OK;
}


/* What the key says of itself (RFC 7517, section 4). */

static ngx_int_t
ngx_intuit_jwk_usable(ngx_pool_t *pool, const ngx_intuit_json_t *json,
    ngx_str_t *kid)
{
    ngx_int_t     rc;
    ngx_str_t    *op;
    ngx_uint_t    i;
    ngx_array_t   ops;

    if (!ngx_intuit_jwk_is(json, "kty", "RSA", 1)
        || !ngx_intuit_jwk_is(json, "use", "sig", 0)
        || !ngx_intuit_jwk_is(json, "alg", "RS256", 0))
    {
        return NGX_DECLINED;
    }

    ngx_str_null(kid);

    if (ngx_intuit_json_string(json, "kid", kid) == NGX_ERROR) {
        return NGX_DECLINED;
    }

    rc = ngx_intuit_json_strings(pool, json, "key_ops", &ops);

    if (rc == NGX_DECLINED) {
        return NGX_OK;
    }

    if (rc == NGX_ERROR) {
        return NGX_DECLINED;
    }

    op = ops.elts;

    for (i = 0; i < ops.nelts; i++) {
        if (op[i].len == 6 && ngx_strncmp(op[i].data, "verify", 6) == 0) {
            return NGX_OK;
        }
    }

    return NGX_DECLINED;
}


static ngx_uint_t
ngx_intuit_jwk_is(const ngx_intuit_json_t *json, const char *name,
    const char *value, ngx_uint_t required)
{
    ngx_int_t  rc;
    ngx_str_t  s;

    rc = ngx_intuit_json_string(json, name, &s);

    if (rc == NGX_DECLINED) {
        return !required;
    }

    return rc == NGX_OK
           && s.len == ngx_strlen(value)
           && ngx_strncmp(s.data, value, s.len) == 0;
}


/* Base64urlUInt (RFC 7518, section 2). */

static ngx_int_t
ngx_intuit_jwk_number(ngx_pool_t *pool, const ngx_intuit_json_t *json,
    const char *name, BIGNUM **bn)
{
    ngx_int_t  rc;
    ngx_str_t  text, bytes;

    if (ngx_intuit_json_string(json, name, &text) != NGX_OK
        || text.len == 0
        || text.len > NGX_INTUIT_RSA_MAX_TEXT)
    {
        return NGX_DECLINED;
    }

    rc = ngx_intuit_base64url_decode(pool, &bytes, &text);
    if (rc != NGX_OK) {
        return rc;
    }

    *bn = BN_bin2bn(bytes.data, (int) bytes.len, NULL);

    return *bn ? NGX_OK : NGX_ERROR;
}


/* NULL: the numbers are no key, or no memory; OpenSSL does not tell which. */

static EVP_PKEY *
ngx_intuit_jwk_pkey(const BIGNUM *n, const BIGNUM *e)
{
    EVP_PKEY        *pkey;
    OSSL_PARAM      *params;
    OSSL_PARAM_BLD  *bld;

    pkey = NULL;
    params = NULL;

    bld = OSSL_PARAM_BLD_new();

    if (bld
        && OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_N, n)
        && OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_E, e))
    {
        params = OSSL_PARAM_BLD_to_param(bld);
    }

    if (params) {
        pkey = ngx_intuit_jwk_fromdata(params);
    }

    OSSL_PARAM_free(params);
    OSSL_PARAM_BLD_free(bld);

    return pkey;
}


static EVP_PKEY *
ngx_intuit_jwk_fromdata(OSSL_PARAM *params)
{
    EVP_PKEY      *pkey;
    EVP_PKEY_CTX  *ctx;

    ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
    if (ctx == NULL) {
        return NULL;
    }

    pkey = NULL;

    if (EVP_PKEY_fromdata_init(ctx) != 1
        || EVP_PKEY_fromdata(ctx, &pkey, EVP_PKEY_PUBLIC_KEY, params) != 1)
    {
        pkey = NULL;
    }

    EVP_PKEY_CTX_free(ctx);

    return pkey;
}


static void
ngx_intuit_jwk_free(void *data)
{
    EVP_PKEY_free(data);
}


/*
 * Which of two keys with one kid signed a token cannot be told, and picking
 * one would let its place in the list decide.
 */

static void
ngx_intuit_jwks_drop_doubles(ngx_intuit_jwks_t *jwks)
{
    ngx_uint_t         i, k, n, doubled;
    u_char             drop[NGX_INTUIT_JWKS_KEYS];
    ngx_intuit_jwk_t  *jwk;

    jwk = jwks->keys.elts;

    for (i = 0; i < jwks->keys.nelts; i++) {

        doubled = 0;

        for (k = 0; k < jwks->keys.nelts && jwk[i].kid.len; k++) {
            if (k != i
                && jwk[k].kid.len == jwk[i].kid.len
                && ngx_memcmp(jwk[k].kid.data, jwk[i].kid.data,
                              jwk[i].kid.len)
                   == 0)
            {
                doubled = 1;
            }
        }

        drop[i] = (u_char) doubled;
    }

    for (i = 0, n = 0; i < jwks->keys.nelts; i++) {

        if (drop[i]) {
            jwks->ignored++;
            continue;
        }

        jwk[n++] = jwk[i];
    }

    jwks->keys.nelts = n;
}


ngx_intuit_jwk_t *
ngx_intuit_jwks_find(const ngx_intuit_jwks_t *jwks, const ngx_str_t *kid)
{
    ngx_uint_t         i;
    ngx_intuit_jwk_t  *jwk;

    jwk = jwks->keys.elts;

    if (kid->len == 0) {
        return (jwks->keys.nelts == 1) ? jwk : NULL;
    }

    for (i = 0; i < jwks->keys.nelts; i++) {
        if (jwk[i].kid.len == kid->len
            && ngx_memcmp(jwk[i].kid.data, kid->data, kid->len) == 0)
        {
            return &jwk[i];
        }
    }

    return NULL;
}
