/*
 * What hosts share: names and sealed content.
 */

#include "ngx_intuit_shared.h"


#define NGX_INTUIT_SHARED_LABEL    "shared"

#define NGX_INTUIT_SHARED_AAD_LEN                                             \
    (sizeof(NGX_INTUIT_SHARED_LABEL) - 1 + 1 + NGX_INTUIT_SHARED_ID_LEN       \
     + NGX_INTUIT_SHARED_NUMBER_LEN)


static void ngx_intuit_shared_aad(u_char *p,
    const ngx_intuit_shared_t *shared);


ngx_int_t
ngx_intuit_shared_name(ngx_pool_t *pool, const ngx_str_t *prefix,
    const ngx_intuit_shared_t *shared, ngx_str_t *name)
{
    u_char  *p;

    p = ngx_pnalloc(pool, prefix->len + 2
                    + ngx_intuit_base64url_len(NGX_INTUIT_SHARED_ID_LEN));
    if (p == NULL) {
        return NGX_ERROR;
    }

    name->data = p;

    if (prefix->len) {
        p = ngx_cpymem(p, prefix->data, prefix->len);
    }

    *p++ = shared->kind;
    *p++ = ':';

    p = ngx_intuit_base64url_encode(p, shared->id, NGX_INTUIT_SHARED_ID_LEN);

    name->len = p - name->data;

    return NGX_OK;
}


u_char *
ngx_intuit_shared_number(u_char *p, uint64_t generation)
{
    ngx_int_t  i;

    for (i = NGX_INTUIT_SHARED_NUMBER_LEN - 1; i >= 0; i--) {
        p[i] = (u_char) ('0' + generation % 10);
        generation /= 10;
    }

    return p + NGX_INTUIT_SHARED_NUMBER_LEN;
}


ngx_int_t
ngx_intuit_shared_generation(const ngx_str_t *value, uint64_t *generation)
{
    u_char    *p;
    size_t     i;
    uint64_t   n, digit;

    if (value->len < NGX_INTUIT_SHARED_NUMBER_LEN) {
        return NGX_DECLINED;
    }

    p = value->data;
    n = 0;

    for (i = 0; i < NGX_INTUIT_SHARED_NUMBER_LEN; i++) {

        if (p[i] < '0' || p[i] > '9') {
            return NGX_DECLINED;
        }

        digit = p[i] - '0';

        if (n > (UINT64_MAX - digit) / 10) {
            return NGX_DECLINED;
        }

        n = n * 10 + digit;
    }

    *generation = n;

    return NGX_OK;
}


ngx_int_t
ngx_intuit_shared_seal(ngx_pool_t *pool, const ngx_intuit_key_t *key,
    const ngx_intuit_shared_t *shared, const ngx_str_t *plain,
    ngx_str_t *value)
{
    u_char     *p, buf[NGX_INTUIT_SHARED_AAD_LEN];
    ngx_str_t   aad, sealed;

    ngx_intuit_shared_aad(buf, shared);

    aad.data = buf;
    aad.len = sizeof(buf);

    if (ngx_intuit_seal(pool, key, &aad, plain, &sealed) != NGX_OK) {
        return NGX_ERROR;
    }

    value->len = NGX_INTUIT_SHARED_NUMBER_LEN + sealed.len;
    value->data = ngx_pnalloc(pool, value->len);
    if (value->data == NULL) {
        return NGX_ERROR;
    }

    p = ngx_intuit_shared_number(value->data, shared->generation);
    ngx_memcpy(p, sealed.data, sealed.len);

    return NGX_OK;
}


ngx_int_t
ngx_intuit_shared_open(ngx_pool_t *pool, const ngx_intuit_key_t *keys,
    ngx_uint_t n, ngx_intuit_shared_t *shared, const ngx_str_t *value,
    ngx_str_t *plain)
{
    u_char      buf[NGX_INTUIT_SHARED_AAD_LEN];
    ngx_str_t   aad, sealed;

    if (ngx_intuit_shared_generation(value, &shared->generation) != NGX_OK) {
        return NGX_DECLINED;
    }

    ngx_intuit_shared_aad(buf, shared);

    aad.data = buf;
    aad.len = sizeof(buf);

    sealed.data = value->data + NGX_INTUIT_SHARED_NUMBER_LEN;
    sealed.len = value->len - NGX_INTUIT_SHARED_NUMBER_LEN;

    return ngx_intuit_open(pool, keys, n, &aad, &sealed, plain);
}


static void
ngx_intuit_shared_aad(u_char *p, const ngx_intuit_shared_t *shared)
{
    p = ngx_cpymem(p, NGX_INTUIT_SHARED_LABEL,
                   sizeof(NGX_INTUIT_SHARED_LABEL) - 1);
    *p++ = shared->kind;
    p = ngx_cpymem(p, shared->id, NGX_INTUIT_SHARED_ID_LEN);

    (void) ngx_intuit_shared_number(p, shared->generation);
}
