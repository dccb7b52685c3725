/*
 * ID tokens: RS256 and nothing else.
 */

#include "ngx_intuit_jwt.h"
#include "ngx_intuit_crypto.h"
#include "ngx_intuit_url.h"
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>


#define NGX_INTUIT_JWT_TIME_MAX   ((int64_t) 1 << 53)
#define NGX_INTUIT_JWT_SUB_MAX    255

/* the left half of a SHA-256 as base64url */
#define NGX_INTUIT_AT_HASH_LEN                                                \
    ngx_intuit_base64url_len(NGX_INTUIT_HASH_LEN / 2)


typedef ngx_int_t (*ngx_intuit_jwt_check_pt)(ngx_pool_t *pool,
    ngx_intuit_jwt_t *jwt, const ngx_intuit_jwt_rules_t *rules,
    const char **reason);


static ngx_int_t ngx_intuit_jwt_split(const ngx_str_t *token,
    ngx_str_t part[3]);
static ngx_int_t ngx_intuit_jwt_header(ngx_pool_t *pool,
    const ngx_str_t *text, ngx_intuit_jwt_t *jwt, const char **reason);
static ngx_int_t ngx_intuit_jwt_rs256(EVP_MD_CTX *ctx,
    const ngx_intuit_jwt_t *jwt, EVP_PKEY *pkey);
static ngx_int_t ngx_intuit_jwt_issuer(ngx_pool_t *pool,
    ngx_intuit_jwt_t *jwt, const ngx_intuit_jwt_rules_t *rules,
    const char **reason);
static ngx_int_t ngx_intuit_jwt_audience(ngx_pool_t *pool,
    ngx_intuit_jwt_t *jwt, const ngx_intuit_jwt_rules_t *rules,
    const char **reason);
static ngx_int_t ngx_intuit_jwt_times(ngx_pool_t *pool,
    ngx_intuit_jwt_t *jwt, const ngx_intuit_jwt_rules_t *rules,
    const char **reason);
static ngx_int_t ngx_intuit_jwt_time(const ngx_intuit_json_t *claims,
    const char *name, time_t *t);
static ngx_int_t ngx_intuit_jwt_subject(ngx_pool_t *pool,
    ngx_intuit_jwt_t *jwt, const ngx_intuit_jwt_rules_t *rules,
    const char **reason);
static ngx_int_t ngx_intuit_jwt_nonce(ngx_pool_t *pool,
    ngx_intuit_jwt_t *jwt, const ngx_intuit_jwt_rules_t *rules,
    const char **reason);
static ngx_int_t ngx_intuit_jwt_at_hash(ngx_pool_t *pool,
    ngx_intuit_jwt_t *jwt, const ngx_intuit_jwt_rules_t *rules,
    const char **reason);
static ngx_int_t ngx_intuit_jwt_realm(ngx_pool_t *pool,
    ngx_intuit_jwt_t *jwt, const ngx_intuit_jwt_rules_t *rules,
    const char **reason);
static ngx_int_t ngx_intuit_jwt_realm_claim(ngx_pool_t *pool,
    const ngx_intuit_json_t *claims, const char *name, ngx_str_t *realm);
static ngx_int_t ngx_intuit_jwt_refuse(const char **reason,
    const char *text);


static const ngx_intuit_jwt_check_pt  ngx_intuit_jwt_checks[] = {
    ngx_intuit_jwt_issuer,
    ngx_intuit_jwt_audience,
    ngx_intuit_jwt_times,
    ngx_intuit_jwt_subject,
    ngx_intuit_jwt_nonce,
    ngx_intuit_jwt_at_hash,
    ngx_intuit_jwt_realm,
    NULL
};


ngx_int_t
ngx_intuit_jwt_parse(ngx_pool_t *pool, const ngx_str_t *token,
    ngx_intuit_jwt_t *jwt, const char **reason)
{
    ngx_int_t  rc;
    ngx_str_t  part[3], header;

    ngx_memzero(jwt, sizeof(ngx_intuit_jwt_t));

    if (token->len > NGX_INTUIT_JWT_SIZE) {
        return ngx_intuit_jwt_refuse(reason, "token is too large");
    }

    if (ngx_intuit_jwt_split(token, part) != NGX_OK) {
        return ngx_intuit_jwt_refuse(reason, "token has not three parts");
    }

    jwt->signed_part.data = token->data;
    jwt->signed_part.len = part[0].len + 1 + part[1].len;

    rc = ngx_intuit_base64url_decode(pool, &header, &part[0]);

    if (rc == NGX_OK) {
        rc = ngx_intuit_base64url_decode(pool, &jwt->payload, &part[1]);
    }

    if (rc == NGX_OK) {
        rc = ngx_intuit_base64url_decode(pool, &jwt->signature, &part[2]);
    }

    if (rc == NGX_DECLINED) {
        return ngx_intuit_jwt_refuse(reason, "token is not base64url");
    }

    if (rc != NGX_OK) {
        return rc;
    }

    rc = ngx_intuit_jwt_header(pool, &header, jwt, reason);
    if (rc != NGX_OK) {
        return rc;
    }

    jwt->claims = ngx_intuit_json_parse(pool, &jwt->payload);

    if (jwt->claims == NULL) {
        return ngx_intuit_jwt_refuse(reason, "payload is not a JSON object");
    }

    return NGX_OK;
}


static ngx_int_t
ngx_intuit_jwt_split(const ngx_str_t *token, ngx_str_t part[3])
{
    size_t      i, start;
    ngx_uint_t  n;

    n = 0;
    start = 0;

    for (i = 0; i <= token->len; i++) {

        if (i < token->len && token->data[i] != '.') {
            continue;
        }

        if (n == 3 || i == start) {
            return NGX_DECLINED;
        }

        part[n].data = token->data + start;
        part[n].len = i - start;

        n++;
        start = i + 1;
    }

    return (n == 3) ? NGX_OK : NGX_DECLINED;
}


static ngx_int_t
ngx_intuit_jwt_header(ngx_pool_t *pool, const ngx_str_t *text,
    ngx_intuit_jwt_t *jwt, const char **reason)
{
    ngx_str_t           value;
    ngx_intuit_json_t  *header;

    header = ngx_intuit_json_parse(pool, text);

    if (header == NULL) {
        return ngx_intuit_jwt_refuse(reason, "header is not a JSON object");
    }

    if (ngx_intuit_json_string(header, "alg", &value) != NGX_OK
        || value.len != sizeof("RS256") - 1
        || ngx_strncmp(value.data, "RS256", value.len) != 0)
    {
        return ngx_intuit_jwt_refuse(reason, "alg is not RS256");
    }

    /* extensions that must be understood: none is */

    if (ngx_intuit_json_has(header, "crit")) {
        return ngx_intuit_jwt_refuse(reason, "header has crit");
    }

    /* tokens for other uses, such as "at+jwt", say so here (RFC 8725, 3.11) */

    if (ngx_intuit_json_has(header, "typ")
        && (ngx_intuit_json_string(header, "typ", &value) != NGX_OK
            || value.len != sizeof("JWT") - 1
            || ngx_strncasecmp(value.data, (u_char *) "JWT", value.len) != 0))
    {
        return ngx_intuit_jwt_refuse(reason, "typ is not JWT");
    }

    if (ngx_intuit_json_has(header, "kid")
        && ngx_intuit_json_string(header, "kid", &jwt->kid) != NGX_OK)
    {
        return ngx_intuit_jwt_refuse(reason, "kid is not a string");
    }

    return NGX_OK;
}


ngx_int_t
ngx_intuit_jwt_verify(const ngx_intuit_jwt_t *jwt, const ngx_intuit_jwk_t *key)
{
    ngx_int_t    rc;
    EVP_MD_CTX  *ctx;

    rc = NGX_DECLINED;

    ctx = EVP_MD_CTX_new();

    if (ctx) {
        rc = ngx_intuit_jwt_rs256(ctx, jwt, key->pkey);
        EVP_MD_CTX_free(ctx);
    }

    ERR_clear_error();

    return rc;
}


static ngx_int_t
ngx_intuit_jwt_rs256(EVP_MD_CTX *ctx, const ngx_intuit_jwt_t *jwt,
    EVP_PKEY *pkey)
{
    EVP_PKEY_CTX  *pctx;

    if (EVP_DigestVerifyInit(ctx, &pctx, EVP_sha256(), NULL, pkey) != 1
        || EVP_PKEY_CTX_set_rsa_padding(pctx, RSA_PKCS1_PADDING) != 1)
    {
        return NGX_DECLINED;
    }

    if (EVP_DigestVerify(ctx, jwt->signature.data, jwt->signature.len,
                         jwt->signed_part.data, jwt->signed_part.len)
        != 1)
    {
        return NGX_DECLINED;
    }

    return NGX_OK;
}


ngx_int_t
ngx_intuit_jwt_check(ngx_pool_t *pool, ngx_intuit_jwt_t *jwt,
    const ngx_intuit_jwt_rules_t *rules, const char **reason)
{
    ngx_int_t                       rc;
    const ngx_intuit_jwt_check_pt  *check;

    for (check = ngx_intuit_jwt_checks; *check; check++) {

        rc = (*check)(pool, jwt, rules, reason);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_intuit_jwt_issuer(ngx_pool_t *pool, ngx_intuit_jwt_t *jwt,
    const ngx_intuit_jwt_rules_t *rules, const char **reason)
{
    ngx_str_t  iss;

    (void) pool;

    if (ngx_intuit_json_string(jwt->claims, "iss", &iss) != NGX_OK
        || !ngx_intuit_equal(&iss, &rules->issuer))
    {
        return ngx_intuit_jwt_refuse(reason, "iss is not the issuer");
    }

    return NGX_OK;
}


static ngx_int_t
ngx_intuit_jwt_audience(ngx_pool_t *pool, ngx_intuit_jwt_t *jwt,
    const ngx_intuit_jwt_rules_t *rules, const char **reason)
{
    ngx_str_t    *aud, azp;
    ngx_uint_t    i, ours, others;
    ngx_array_t   list;

    if (ngx_intuit_json_strings(pool, jwt->claims, "aud", &list) != NGX_OK) {
        return ngx_intuit_jwt_refuse(reason, "aud is missing or malformed");
    }

    aud = list.elts;
    ours = 0;
    others = 0;

    for (i = 0; i < list.nelts; i++) {
        if (ngx_intuit_equal(&aud[i], &rules->client_id)) {
            ours++;

        } else {
            others++;
        }
    }

    if (ours == 0) {
        return ngx_intuit_jwt_refuse(reason, "aud does not hold the client");
    }

    if (!ngx_intuit_json_has(jwt->claims, "azp")) {

        if (others) {
            return ngx_intuit_jwt_refuse(reason, "aud has others, but no azp");
        }

        return NGX_OK;
    }

    if (ngx_intuit_json_string(jwt->claims, "azp", &azp) != NGX_OK
        || !ngx_intuit_equal(&azp, &rules->client_id))
    {
        return ngx_intuit_jwt_refuse(reason, "azp is not the client");
    }

    return NGX_OK;
}


static ngx_int_t
ngx_intuit_jwt_times(ngx_pool_t *pool, ngx_intuit_jwt_t *jwt,
    const ngx_intuit_jwt_rules_t *rules, const char **reason)
{
    time_t     nbf;
    ngx_int_t  rc;

    (void) pool;

    if (ngx_intuit_jwt_time(jwt->claims, "exp", &jwt->exp) != NGX_OK) {
        return ngx_intuit_jwt_refuse(reason, "exp is missing or malformed");
    }

    if (rules->now >= jwt->exp + rules->leeway) {
        return ngx_intuit_jwt_refuse(reason, "token has expired");
    }

    if (ngx_intuit_jwt_time(jwt->claims, "iat", &jwt->iat) != NGX_OK) {
        return ngx_intuit_jwt_refuse(reason, "iat is missing or malformed");
    }

    if (jwt->iat > rules->now + rules->leeway) {
        return ngx_intuit_jwt_refuse(reason, "iat lies in the future");
    }

    rc = ngx_intuit_jwt_time(jwt->claims, "nbf", &nbf);

    if (rc == NGX_ERROR) {
        return ngx_intuit_jwt_refuse(reason, "nbf is malformed");
    }

    if (rc == NGX_OK && nbf > rules->now + rules->leeway) {
        return ngx_intuit_jwt_refuse(reason, "nbf lies in the future");
    }

    return NGX_OK;
}


/* NumericDate (RFC 7519, section 2).  NGX_DECLINED: there is none. */

static ngx_int_t
ngx_intuit_jwt_time(const ngx_intuit_json_t *claims, const char *name,
    time_t *t)
{
    int64_t    n;
    ngx_str_t  s;

    if (!ngx_intuit_json_has(claims, name)) {
        return NGX_DECLINED;
    }

    /* the getter would take a string for a number; a JWT may not */

    if (ngx_intuit_json_string(claims, name, &s) == NGX_OK
        || ngx_intuit_json_integer(claims, name, &n) != NGX_OK
        || n < 0
        || n > NGX_INTUIT_JWT_TIME_MAX)
    {
        return NGX_ERROR;
    }

    *t = (time_t) n;

    return NGX_OK;
}


static ngx_int_t
ngx_intuit_jwt_subject(ngx_pool_t *pool, ngx_intuit_jwt_t *jwt,
    const ngx_intuit_jwt_rules_t *rules, const char **reason)
{
    size_t     i;
    ngx_str_t  sub;

    (void) pool;
    (void) rules;

    if (ngx_intuit_json_string(jwt->claims, "sub", &sub) != NGX_OK
        || sub.len == 0
        || sub.len > NGX_INTUIT_JWT_SUB_MAX)
    {
        return ngx_intuit_jwt_refuse(reason, "sub is missing or malformed");
    }

    for (i = 0; i < sub.len; i++) {
        if (sub.data[i] < 0x20 || sub.data[i] > 0x7e) {
            return ngx_intuit_jwt_refuse(reason, "sub is not printable");
        }
    }

    jwt->sub = sub;

    return NGX_OK;
}


static ngx_int_t
ngx_intuit_jwt_nonce(ngx_pool_t *pool, ngx_intuit_jwt_t *jwt,
    const ngx_intuit_jwt_rules_t *rules, const char **reason)
{
    ngx_str_t  nonce;

    (void) pool;

    if (!ngx_intuit_json_has(jwt->claims, "nonce")) {

        if (rules->nonce_required) {
            return ngx_intuit_jwt_refuse(reason, "nonce is missing");
        }

        return NGX_OK;
    }

    if (rules->nonce.len == 0) {
        return ngx_intuit_jwt_refuse(reason, "nonce, but none was sent");
    }

    if (ngx_intuit_json_string(jwt->claims, "nonce", &nonce) != NGX_OK
        || !ngx_intuit_equal(&nonce, &rules->nonce))
    {
        return ngx_intuit_jwt_refuse(reason, "nonce is not the one sent");
    }

    return NGX_OK;
}


static ngx_int_t
ngx_intuit_jwt_at_hash(ngx_pool_t *pool, ngx_intuit_jwt_t *jwt,
    const ngx_intuit_jwt_rules_t *rules, const char **reason)
{
    u_char     hash[NGX_INTUIT_HASH_LEN], buf[NGX_INTUIT_AT_HASH_LEN];
    ngx_str_t  claimed, computed;

    (void) pool;

    if (rules->access_token.len == 0
        || !ngx_intuit_json_has(jwt->claims, "at_hash"))
    {
        return NGX_OK;
    }

    if (ngx_intuit_sha256(hash, &rules->access_token) != NGX_OK) {
        return NGX_ERROR;
    }

    computed.data = buf;
    computed.len = ngx_intuit_base64url_encode(buf, hash,
                                               NGX_INTUIT_HASH_LEN / 2)
                   - buf;

    if (ngx_intuit_json_string(jwt->claims, "at_hash", &claimed) != NGX_OK
        || !ngx_intuit_equal(&claimed, &computed))
    {
        return ngx_intuit_jwt_refuse(reason, "at_hash is not the token's");
    }

    return NGX_OK;
}


static ngx_int_t
ngx_intuit_jwt_realm(ngx_pool_t *pool, ngx_intuit_jwt_t *jwt,
    const ngx_intuit_jwt_rules_t *rules, const char **reason)
{
    ngx_int_t  rc;
    ngx_str_t  other;

    (void) rules;

    ngx_str_null(&other);

    rc = ngx_intuit_jwt_realm_claim(pool, jwt->claims, "realmid",
                                    &jwt->realmid);

    if (rc == NGX_OK) {
        rc = ngx_intuit_jwt_realm_claim(pool, jwt->claims, "realmId", &other);
    }

    if (rc == NGX_DECLINED) {
        return ngx_intuit_jwt_refuse(reason, "realmid is malformed");
    }

    if (rc != NGX_OK) {
        return rc;
    }

    if (jwt->realmid.len == 0) {
        jwt->realmid = other;

    } else if (other.len && !ngx_intuit_equal(&other, &jwt->realmid)) {
        return ngx_intuit_jwt_refuse(reason, "realmid and realmId differ");
    }

    return NGX_OK;
}


/* NGX_OK: *realm is empty or 1..20 digits; NGX_DECLINED: something else. */

static ngx_int_t
ngx_intuit_jwt_realm_claim(ngx_pool_t *pool, const ngx_intuit_json_t *claims,
    const char *name, ngx_str_t *realm)
{
    ngx_int_t  rc;
    ngx_str_t  key;

    ngx_str_null(realm);

    rc = ngx_intuit_json_string(claims, name, realm);

    if (rc == NGX_DECLINED) {
        return NGX_OK;
    }

    if (rc == NGX_ERROR) {

        /* as text: a realm may have more digits than a whole double */

        key.data = (u_char *) name;
        key.len = ngx_strlen(name);

        rc = ngx_intuit_json_claim(pool, claims, &key, realm);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    return ngx_intuit_realm_valid(realm) ? NGX_OK : NGX_DECLINED;
}


static ngx_int_t
ngx_intuit_jwt_refuse(const char **reason, const char *text)
{
    *reason = text;

    return NGX_DECLINED;
}
