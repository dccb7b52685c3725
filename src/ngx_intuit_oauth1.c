/*
 * OAuth 1.0a signatures (RFC 5849).
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_intuit_args.h"
#include "ngx_intuit_crypto.h"
#include "ngx_intuit_oauth1.h"
#include "ngx_intuit_url.h"


#define NGX_INTUIT_OAUTH1_PARAMS  6       /* all but the signature */


static ngx_int_t ngx_intuit_oauth1_encode(ngx_pool_t *pool,
    const ngx_str_t *in, ngx_str_t *out);
static ngx_int_t ngx_intuit_oauth1_push(ngx_pool_t *pool, ngx_array_t *pairs,
    const ngx_str_t *name, const ngx_str_t *value);
static ngx_int_t ngx_intuit_oauth1_query(ngx_pool_t *pool,
    const ngx_str_t *args, ngx_array_t *pairs);
static void ngx_intuit_oauth1_sort(ngx_array_t *pairs);
static ngx_int_t ngx_intuit_oauth1_compare(const ngx_str_t *a,
    const ngx_str_t *b);
static ngx_int_t ngx_intuit_oauth1_join(ngx_pool_t *pool,
    const ngx_array_t *pairs, ngx_str_t *out);
static ngx_int_t ngx_intuit_oauth1_uri(ngx_pool_t *pool,
    const ngx_intuit_url_t *u, ngx_str_t *out);


ngx_int_t
ngx_intuit_oauth1_base(ngx_pool_t *pool, const char *method,
    const ngx_str_t *url, const ngx_keyval_t *params, ngx_uint_t n,
    ngx_str_t *base)
{
    u_char            *p;
    ngx_int_t          rc;
    ngx_str_t          uri, joined;
    ngx_uint_t         i;
    const char        *reason;
    ngx_array_t        pairs;
    ngx_intuit_url_t   u;

    if (ngx_intuit_url_parse(url, &u, &reason) != NGX_OK) {
        return NGX_DECLINED;
    }

    if (ngx_array_init(&pairs, pool, n + 4, sizeof(ngx_keyval_t)) != NGX_OK) {
        return NGX_ERROR;
    }

    rc = ngx_intuit_oauth1_query(pool, &u.args, &pairs);
    if (rc != NGX_OK) {
        return rc;
    }

    for (i = 0; i < n; i++) {
        if (ngx_intuit_oauth1_push(pool, &pairs, &params[i].key,
                                   &params[i].value)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    ngx_intuit_oauth1_sort(&pairs);

    if (ngx_intuit_oauth1_join(pool, &pairs, &joined) != NGX_OK
        || ngx_intuit_oauth1_uri(pool, &u, &uri) != NGX_OK)
    {
        return NGX_ERROR;
    }

    base->data = ngx_pnalloc(pool, ngx_strlen(method) + 2
                                   + ngx_intuit_escaped_len(&uri)
                                   + ngx_intuit_escaped_len(&joined));
    if (base->data == NULL) {
        return NGX_ERROR;
    }

    p = ngx_cpymem(base->data, method, ngx_strlen(method));
    *p++ = '&';
    p = ngx_intuit_escape(p, &uri);
    *p++ = '&';
    p = ngx_intuit_escape(p, &joined);

    base->len = p - base->data;

    return NGX_OK;
}


static ngx_int_t
ngx_intuit_oauth1_encode(ngx_pool_t *pool, const ngx_str_t *in,
    ngx_str_t *out)
{
    out->len = ngx_intuit_escaped_len(in);
    out->data = ngx_pnalloc(pool, out->len + 1);

    if (out->data == NULL) {
        return NGX_ERROR;
    }

    (void) ngx_intuit_escape(out->data, in);

    return NGX_OK;
}


static ngx_int_t
ngx_intuit_oauth1_push(ngx_pool_t *pool, ngx_array_t *pairs,
    const ngx_str_t *name, const ngx_str_t *value)
{
    ngx_keyval_t  *kv;

    kv = ngx_array_push(pairs);

    if (kv == NULL
        || ngx_intuit_oauth1_encode(pool, name, &kv->key) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_intuit_oauth1_encode(pool, value, &kv->value);
}


/* section 3.4.1.3.1: read as a form, then encoded in the one right way */

static ngx_int_t
ngx_intuit_oauth1_query(ngx_pool_t *pool, const ngx_str_t *args,
    ngx_array_t *pairs)
{
    u_char     *p, *end, *eq, *last;
    ngx_int_t   rc;
    ngx_str_t   raw, name, value;

    if (args->len == 0) {
        return NGX_OK;
    }

    last = args->data + args->len;

    for (p = args->data; p < last; p = end + 1) {

        end = ngx_strlchr(p, last, '&');
        if (end == NULL) {
            end = last;
        }

        if (end == p) {
            continue;
        }

        eq = ngx_strlchr(p, end, '=');
        if (eq == NULL) {
            eq = end;
        }

        raw.data = p;
        raw.len = eq - p;

        rc = ngx_intuit_unescape(pool, &raw, &name);

        if (rc == NGX_OK) {
            raw.data = (eq == end) ? end : eq + 1;
            raw.len = end - raw.data;

            rc = ngx_intuit_unescape(pool, &raw, &value);
        }

        if (rc != NGX_OK) {
            return rc;
        }

        if (ngx_intuit_oauth1_push(pool, pairs, &name, &value) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* section 3.4.1.3.2: by encoded name, then by encoded value; they are few */

static void
ngx_intuit_oauth1_sort(ngx_array_t *pairs)
{
    ngx_int_t      rc;
    ngx_uint_t     i, k;
    ngx_keyval_t  *kv, pair;

    kv = pairs->elts;

    for (i = 1; i < pairs->nelts; i++) {

        pair = kv[i];

        for (k = i; k > 0; k--) {

            rc = ngx_intuit_oauth1_compare(&kv[k - 1].key, &pair.key);

            if (rc == 0) {
                rc = ngx_intuit_oauth1_compare(&kv[k - 1].value, &pair.value);
            }

            if (rc <= 0) {
                break;
            }

            kv[k] = kv[k - 1];
        }

        kv[k] = pair;
    }
}


static ngx_int_t
ngx_intuit_oauth1_compare(const ngx_str_t *a, const ngx_str_t *b)
{
    ngx_int_t  rc;

    rc = ngx_memcmp(a->data, b->data, ngx_min(a->len, b->len));

    if (rc != 0) {
        return rc;
    }

    return (a->len > b->len) - (a->len < b->len);
}


static ngx_int_t
ngx_intuit_oauth1_join(ngx_pool_t *pool, const ngx_array_t *pairs,
    ngx_str_t *out)
{
    u_char        *p;
    size_t         len;
    ngx_uint_t     i;
    ngx_keyval_t  *kv;

    kv = pairs->elts;
    len = 0;

    for (i = 0; i < pairs->nelts; i++) {
        len += kv[i].key.len + kv[i].value.len + 2;
    }

    p = ngx_pnalloc(pool, len + 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    out->data = p;

    for (i = 0; i < pairs->nelts; i++) {

        if (i) {
            *p++ = '&';
        }

        p = ngx_cpymem(p, kv[i].key.data, kv[i].key.len);
        *p++ = '=';
        p = ngx_cpymem(p, kv[i].value.data, kv[i].value.len);
    }

    out->len = p - out->data;

    return NGX_OK;
}


/* section 3.4.1.2: lower case, no default port, no query */

static ngx_int_t
ngx_intuit_oauth1_uri(ngx_pool_t *pool, const ngx_intuit_url_t *u,
    ngx_str_t *out)
{
    u_char     *p, *colon;
    ngx_str_t   authority;

    authority = u->authority;

    if (u->port == (u->https ? 443 : 80)) {

        for (colon = authority.data + authority.len; colon > authority.data;
             colon--)
        {
            if (colon[-1] == ':') {
                authority.len = colon - 1 - authority.data;
                break;
            }

            if (colon[-1] < '0' || colon[-1] > '9') {
                break;
            }
        }
    }

    p = ngx_pnalloc(pool, u->scheme.len + sizeof("://") - 1 + authority.len
                          + u->path.len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    out->data = p;

    p = ngx_cpymem(p, u->scheme.data, u->scheme.len);
    p = ngx_cpymem(p, "://", sizeof("://") - 1);

    ngx_strlow(p, authority.data, authority.len);
    p += authority.len;

    p = ngx_cpymem(p, u->path.data, u->path.len);

    out->len = p - out->data;

    return NGX_OK;
}


ngx_int_t
ngx_intuit_oauth1_sign(ngx_pool_t *pool, const ngx_str_t *base,
    const ngx_str_t *consumer_secret, const ngx_str_t *token_secret,
    ngx_str_t *signature)
{
    u_char     *p;
    u_char      mac[NGX_INTUIT_SHA1_LEN];
    ngx_int_t   rc;
    ngx_str_t   key, digest;

    p = ngx_pnalloc(pool, ngx_intuit_escaped_len(consumer_secret) + 1
                          + ngx_intuit_escaped_len(token_secret));
    if (p == NULL) {
        return NGX_ERROR;
    }

    key.data = p;

    p = ngx_intuit_escape(p, consumer_secret);
    *p++ = '&';
    p = ngx_intuit_escape(p, token_secret);

    key.len = p - key.data;

    rc = ngx_intuit_hmac_sha1(mac, &key, base);

    ngx_intuit_cleanse(key.data, key.len);

    if (rc != NGX_OK) {
        return NGX_ERROR;
    }

    digest.data = mac;
    digest.len = sizeof(mac);

    signature->data = ngx_pnalloc(pool, ngx_base64_encoded_length(sizeof(mac)));
    if (signature->data == NULL) {
        return NGX_ERROR;
    }

    ngx_encode_base64(signature, &digest);

    return NGX_OK;
}


ngx_int_t
ngx_intuit_oauth1_header(ngx_pool_t *pool, const ngx_intuit_oauth1_t *o,
    ngx_str_t *header)
{
    u_char        *p;
    u_char         timestamp[NGX_TIME_T_LEN];
    size_t         len;
    ngx_int_t      rc;
    ngx_str_t      base;
    ngx_uint_t     i;
    ngx_keyval_t   params[NGX_INTUIT_OAUTH1_PARAMS + 1];

    ngx_str_set(&params[0].key, "oauth_consumer_key");
    params[0].value = o->consumer_key;

    ngx_str_set(&params[1].key, "oauth_token");
    params[1].value = o->token;

    ngx_str_set(&params[2].key, "oauth_signature_method");
    ngx_str_set(&params[2].value, "HMAC-SHA1");

    ngx_str_set(&params[3].key, "oauth_timestamp");
    params[3].value.data = timestamp;
    params[3].value.len = ngx_sprintf(timestamp, "%T", o->timestamp)
                          - timestamp;

    ngx_str_set(&params[4].key, "oauth_nonce");
    params[4].value = o->nonce;

    ngx_str_set(&params[5].key, "oauth_version");
    ngx_str_set(&params[5].value, "1.0");

    rc = ngx_intuit_oauth1_base(pool, "POST", &o->url, params,
                                NGX_INTUIT_OAUTH1_PARAMS, &base);
    if (rc != NGX_OK) {
        return rc;
    }

    ngx_str_set(&params[6].key, "oauth_signature");

    if (ngx_intuit_oauth1_sign(pool, &base, &o->consumer_secret,
                               &o->token_secret, &params[6].value)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    len = sizeof("OAuth ") - 1;

    for (i = 0; i < NGX_INTUIT_OAUTH1_PARAMS + 1; i++) {
        len += params[i].key.len + sizeof("=\"\",") - 1
               + ngx_intuit_escaped_len(&params[i].value);
    }

    p = ngx_pnalloc(pool, len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    header->data = p;

    p = ngx_cpymem(p, "OAuth ", sizeof("OAuth ") - 1);

    for (i = 0; i < NGX_INTUIT_OAUTH1_PARAMS + 1; i++) {

        if (i) {
            *p++ = ',';
        }

        p = ngx_cpymem(p, params[i].key.data, params[i].key.len);
        *p++ = '=';
        *p++ = '"';
        p = ngx_intuit_escape(p, &params[i].value);
        *p++ = '"';
    }

    header->len = p - header->data;

    return NGX_OK;
}
