/*
 * nginx's string functions, for the pure layer's tests.
 */

#include "ngx_intuit_stub.h"
#include <arpa/inet.h>


static void ngx_intuit_stub_encode(ngx_str_t *dst, ngx_str_t *src,
    const char *alphabet, ngx_uint_t padding);
static ngx_int_t ngx_intuit_stub_decode(ngx_str_t *dst, ngx_str_t *src,
    const char *alphabet);


static const char  ngx_intuit_stub_base64_std[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char  ngx_intuit_stub_base64_url[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";


void
ngx_strlow(u_char *dst, u_char *src, size_t n)
{
    while (n--) {
        *dst++ = ngx_tolower(*src);
        src++;
    }
}


void
ngx_explicit_memzero(void *buf, size_t n)
{
    memset(buf, 0, n);
    __asm__ __volatile__ ("" : : "r" (buf) : "memory");
}


u_char *
ngx_cpystrn(u_char *dst, u_char *src, size_t n)
{
    if (n == 0) {
        return dst;
    }

    while (--n && *src) {
        *dst++ = *src++;
    }

    *dst = '\0';

    return dst;
}


u_char *
ngx_pstrdup(ngx_pool_t *pool, ngx_str_t *src)
{
    u_char  *dst;

    dst = ngx_pnalloc(pool, src->len);
    if (dst && src->len) {
        memcpy(dst, src->data, src->len);
    }

    return dst;
}


ngx_int_t
ngx_strcasecmp(u_char *s1, u_char *s2)
{
    return strcasecmp((char *) s1, (char *) s2);
}


ngx_int_t
ngx_strncasecmp(u_char *s1, u_char *s2, size_t n)
{
    return strncasecmp((char *) s1, (char *) s2, n);
}


u_char *
ngx_strnstr(u_char *s1, char *s2, size_t len)
{
    size_t  n;

    n = strlen(s2);

    for ( /* void */ ; len >= n && *s1; s1++, len--) {
        if (memcmp(s1, s2, n) == 0) {
            return s1;
        }
    }

    return NULL;
}


u_char *
ngx_strlcasestrn(u_char *s1, u_char *last, u_char *s2, size_t n)
{
    /* as in nginx: n is the length of s2 less one */

    for ( /* void */ ; (size_t) (last - s1) > n; s1++) {
        if (strncasecmp((char *) s1, (char *) s2, n + 1) == 0) {
            return s1;
        }
    }

    return NULL;
}


ngx_int_t
ngx_memn2cmp(u_char *s1, u_char *s2, size_t n1, size_t n2)
{
    int  rc;

    rc = memcmp(s1, s2, ngx_min(n1, n2));

    return rc ? rc : (n1 > n2) - (n1 < n2);
}


ngx_int_t
ngx_atoi(u_char *line, size_t n)
{
    ngx_int_t  value;

    if (n == 0) {
        return NGX_ERROR;
    }

    for (value = 0; n--; line++) {
        if (*line < '0' || *line > '9'
            || value > (NGX_MAX_INT_T_VALUE - (*line - '0')) / 10)
        {
            return NGX_ERROR;
        }

        value = value * 10 + (*line - '0');
    }

    return value;
}


/* the three forms of a date in HTTP */

time_t
ngx_parse_http_time(u_char *value, size_t len)
{
    char        text[64], *end;
    ngx_uint_t  i;
    struct tm   tm;

    static const char  *forms[] = {
        "%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT",
        "%a %b %d %H:%M:%S %Y"
    };

    if (len >= sizeof(text)) {
        return NGX_ERROR;
    }

    memcpy(text, value, len);
    text[len] = '\0';

    for (i = 0; i < 3; i++) {
        memset(&tm, 0, sizeof(tm));
        end = strptime(text, forms[i], &tm);

        if (end == text + len) {
            return timegm(&tm);
        }
    }

    return NGX_ERROR;
}


time_t
ngx_atotm(u_char *line, size_t n)
{
    return (time_t) ngx_atoi(line, n);
}


off_t
ngx_atoof(u_char *line, size_t n)
{
    return (off_t) ngx_atoi(line, n);
}


ngx_int_t
ngx_hextoi(u_char *line, size_t n)
{
    u_char     c;
    ngx_int_t  value;

    if (n == 0) {
        return NGX_ERROR;
    }

    for (value = 0; n--; line++) {
        c = ngx_tolower(*line);

        if (value > NGX_MAX_INT_T_VALUE / 16) {
            return NGX_ERROR;
        }

        if (c >= '0' && c <= '9') {
            value = value * 16 + (c - '0');

        } else if (c >= 'a' && c <= 'f') {
            value = value * 16 + (c - 'a' + 10);

        } else {
            return NGX_ERROR;
        }
    }

    return value;
}


u_char *
ngx_hex_dump(u_char *dst, u_char *src, size_t len)
{
    while (len--) {
        *dst++ = (u_char) "0123456789abcdef"[*src >> 4];
        *dst++ = (u_char) "0123456789abcdef"[*src++ & 15];
    }

    return dst;
}


static void
ngx_intuit_stub_encode(ngx_str_t *dst, ngx_str_t *src,
    const char *alphabet, ngx_uint_t padding)
{
    u_char    *d;
    size_t     i, k, n;
    uint32_t   v;

    d = dst->data;

    for (i = 0; i < src->len; i += 3) {
        n = ngx_min(src->len - i, 3);

        for (v = 0, k = 0; k < 3; k++) {
            v = v << 8 | (k < n ? src->data[i + k] : 0);
        }

        for (k = 0; k < 4; k++) {
            if (k <= n) {
                *d++ = alphabet[v >> (18 - 6 * k) & 63];

            } else if (padding) {
                *d++ = '=';
            }
        }
    }

    dst->len = d - dst->data;
}


void
ngx_encode_base64(ngx_str_t *dst, ngx_str_t *src)
{
    ngx_intuit_stub_encode(dst, src, ngx_intuit_stub_base64_std, 1);
}


void
ngx_encode_base64url(ngx_str_t *dst, ngx_str_t *src)
{
    ngx_intuit_stub_encode(dst, src, ngx_intuit_stub_base64_url, 0);
}


ngx_int_t
ngx_decode_base64(ngx_str_t *dst, ngx_str_t *src)
{
    return ngx_intuit_stub_decode(dst, src, ngx_intuit_stub_base64_std);
}


ngx_int_t
ngx_decode_base64url(ngx_str_t *dst, ngx_str_t *src)
{
    return ngx_intuit_stub_decode(dst, src, ngx_intuit_stub_base64_url);
}


static ngx_int_t
ngx_intuit_stub_decode(ngx_str_t *dst, ngx_str_t *src, const char *alphabet)
{
    /* lenient where nginx is: padding ends the text, spare bits are dropped */

    u_char      *d;
    size_t       i, len;
    uint32_t     v;
    const char  *p;

    for (len = 0; len < src->len && src->data[len] != '='; len++) {
        if (src->data[len] == '\0'
            || strchr(alphabet, src->data[len]) == NULL)
        {
            return NGX_ERROR;
        }
    }

    if (len % 4 == 1) {
        return NGX_ERROR;
    }

    d = dst->data;

    for (v = 0, i = 0; i < len; i++) {
        p = strchr(alphabet, src->data[i]);
        v = v << 6 | (uint32_t) (p - alphabet);

        if (i % 4) {
            *d++ = (u_char) (v >> (6 - 2 * (i % 4)));
        }
    }

    dst->len = d - dst->data;

    return NGX_OK;
}


in_addr_t
ngx_inet_addr(u_char *text, size_t len)
{
    char            buf[16];
    struct in_addr  in;

    if (len >= sizeof(buf)) {
        return INADDR_NONE;
    }

    memcpy(buf, text, len);
    buf[len] = '\0';

    return inet_pton(AF_INET, buf, &in) == 1 ? in.s_addr : INADDR_NONE;
}


#if (NGX_HAVE_INET6)

ngx_int_t
ngx_inet6_addr(u_char *p, size_t len, u_char *addr)
{
    char  buf[64];

    if (len >= sizeof(buf)) {
        return NGX_ERROR;
    }

    memcpy(buf, p, len);
    buf[len] = '\0';

    return inet_pton(AF_INET6, buf, addr) == 1 ? NGX_OK : NGX_ERROR;
}

#endif
