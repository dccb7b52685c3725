/*
 * Claims and userinfo, packed for the store.
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_intuit_claims.h"


#define NGX_INTUIT_CLAIMS_WORDS  32


static const ngx_str_t *ngx_intuit_claims_word(const u_char *p, size_t len,
    u_char *code);
static ngx_uint_t ngx_intuit_claims_raw(u_char c);
static void ngx_intuit_claims_place(const ngx_str_t *claims, ngx_str_t *value);


/*
 * Records hold the numbers: what one of them stands for never changes.  The
 * empty ones are no codes; the last ones are of other providers, and of what
 * Intuit may say in another order.
 */

static const ngx_str_t  ngx_intuit_claims_words[NGX_INTUIT_CLAIMS_WORDS] = {
    ngx_null_string,                               /* 0 */
    ngx_string("{\"sub\":\""),
    ngx_string(",\"email\":\""),
    ngx_string(",\"emailVerified\":true"),
    ngx_string(",\"givenName\":\""),               /* 4 */
    ngx_string(",\"familyName\":\""),
    ngx_string(",\"phoneNumber\":\""),
    ngx_string(",\"phoneNumberVerified\":"),
    ngx_string(",\"address\":{\"streetAddress\":\""),
    ngx_null_string,                               /* 9: tab */
    ngx_null_string,                               /* 10: line feed */
    ngx_string(",\"locality\":\""),
    ngx_string(",\"region\":\""),                  /* 12 */
    ngx_null_string,                               /* 13: carriage return */
    ngx_string(",\"postalCode\":\""),
    ngx_string(",\"country\":\""),
    ngx_string(",\"aud\":[\""),                    /* 16 */
    ngx_string(",\"realmid\":\""),
    ngx_string(",\"auth_time\":"),
    ngx_string(",\"iss\":\"https://oauth.platform.intuit.com/op/v1\""),
    ngx_string(",\"exp\":"),                       /* 20 */
    ngx_string(",\"iat\":"),
    ngx_string(",\"nonce\":\""),
    ngx_string(",\"emailVerified\":false"),
    ngx_string(",\"sub\":\""),                     /* 24 */
    ngx_string(",\"iss\":\"https://"),
    ngx_string(",\"aud\":\""),
    ngx_string(",\"email_verified\":"),
    ngx_string(",\"name\":\""),                    /* 28 */
    ngx_string(",\"at_hash\":\""),
    ngx_string("\":\""),
    ngx_string("\",\"")
};


ngx_int_t
ngx_intuit_session_describe(ngx_pool_t *pool, ngx_intuit_session_t *s,
    const ngx_str_t *claims, const ngx_str_t *userinfo)
{
    size_t     n;
    ngx_str_t  rest;

    for (n = 0; n < claims->len && n < userinfo->len; n++) {
        if (claims->data[n] != userinfo->data[n]) {
            break;
        }
    }

    s->shared = ngx_min(n, NGX_INTUIT_RECORD_STRING_MAX);

    rest.data = userinfo->data + s->shared;
    rest.len = userinfo->len - s->shared;

    if (ngx_intuit_claims_pack(pool, claims, &s->claims) != NGX_OK
        || ngx_intuit_claims_pack(pool, &rest, &s->userinfo) != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_intuit_claims_place(&s->claims, &s->realm);
    ngx_intuit_claims_place(&s->claims, &s->sub);
    ngx_intuit_claims_place(&s->claims, &s->email);

    return NGX_OK;
}


static void
ngx_intuit_claims_place(const ngx_str_t *claims, ngx_str_t *value)
{
    size_t  i;

    for (i = 0; i + value->len <= claims->len && value->len; i++) {

        if (ngx_memcmp(claims->data + i, value->data, value->len) == 0) {
            value->data = claims->data + i;
            return;
        }
    }
}


ngx_int_t
ngx_intuit_session_claims(ngx_pool_t *pool, const ngx_intuit_session_t *s,
    ngx_str_t *text)
{
    return ngx_intuit_claims_unpack(pool, &s->claims, text);
}


ngx_int_t
ngx_intuit_session_userinfo(ngx_pool_t *pool, const ngx_intuit_session_t *s,
    ngx_str_t *text)
{
    u_char     *p;
    ngx_str_t   claims, rest;

    if (ngx_intuit_claims_unpack(pool, &s->userinfo, &rest) != NGX_OK) {
        return NGX_ERROR;
    }

    if (s->shared == 0) {
        *text = rest;
        return NGX_OK;
    }

    if (ngx_intuit_claims_unpack(pool, &s->claims, &claims) != NGX_OK
        || s->shared > claims.len)
    {
        return NGX_ERROR;
    }

    text->len = s->shared + rest.len;
    text->data = ngx_pnalloc(pool, text->len);
    if (text->data == NULL) {
        return NGX_ERROR;
    }

    p = ngx_cpymem(text->data, claims.data, s->shared);
    ngx_memcpy(p, rest.data, rest.len);

    return NGX_OK;
}


ngx_int_t
ngx_intuit_claims_pack(ngx_pool_t *pool, const ngx_str_t *text,
    ngx_str_t *packed)
{
    u_char           *p, *dst, *last, code;
    const ngx_str_t  *word;

    dst = ngx_pnalloc(pool, text->len + 1);
    if (dst == NULL) {
        return NGX_ERROR;
    }

    packed->data = dst;

    p = text->data;
    last = text->len ? p + text->len : p;

    while (p < last) {

        if (!ngx_intuit_claims_raw(*p)) {
            return NGX_ERROR;
        }

        word = ngx_intuit_claims_word(p, last - p, &code);

        if (word) {
            *dst++ = code;
            p += word->len;

        } else {
            *dst++ = *p++;
        }
    }

    packed->len = dst - packed->data;

    return NGX_OK;
}


/* the longest that the text begins with; NULL: none */

static const ngx_str_t *
ngx_intuit_claims_word(const u_char *p, size_t len, u_char *code)
{
    ngx_uint_t        i;
    const ngx_str_t  *word, *found;

    found = NULL;

    for (i = 0; i < NGX_INTUIT_CLAIMS_WORDS; i++) {

        word = &ngx_intuit_claims_words[i];

        if (word->len == 0
            || word->len > len
            || (found && found->len >= word->len)
            || ngx_memcmp(p, word->data, word->len) != 0)
        {
            continue;
        }

        found = word;
        *code = (u_char) i;
    }

    return found;
}


static ngx_uint_t
ngx_intuit_claims_raw(u_char c)
{
    return c >= NGX_INTUIT_CLAIMS_WORDS || c == '\t' || c == '\n' || c == '\r';
}


ngx_int_t
ngx_intuit_claims_unpack(ngx_pool_t *pool, const ngx_str_t *packed,
    ngx_str_t *text)
{
    u_char           *p;
    size_t            i;
    const ngx_str_t  *word;

    text->len = 0;

    for (i = 0; i < packed->len; i++) {

        if (ngx_intuit_claims_raw(packed->data[i])) {
            text->len++;
            continue;
        }

        word = &ngx_intuit_claims_words[packed->data[i]];

        if (word->len == 0) {
            return NGX_ERROR;
        }

        text->len += word->len;
    }

    if (text->len == packed->len) {
        *text = *packed;
        return NGX_OK;
    }

    p = ngx_pnalloc(pool, text->len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    text->data = p;

    for (i = 0; i < packed->len; i++) {

        if (ngx_intuit_claims_raw(packed->data[i])) {
            *p++ = packed->data[i];
            continue;
        }

        word = &ngx_intuit_claims_words[packed->data[i]];
        p = ngx_cpymem(p, word->data, word->len);
    }

    return NGX_OK;
}
