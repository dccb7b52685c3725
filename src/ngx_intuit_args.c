/*
 * Percent-encoding (RFC 3986, section 2.1) and query strings.
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_intuit_args.h"


static void ngx_intuit_next_arg(u_char **pos, u_char *last, ngx_str_t *name,
    ngx_str_t *value);
static ngx_uint_t ngx_intuit_arg_is(const ngx_str_t *raw,
    const ngx_str_t *name);


ngx_int_t
ngx_intuit_args_get(ngx_pool_t *pool, const ngx_str_t *args, const char *name,
    ngx_str_t *value)
{
    u_char      *p, *last;
    ngx_int_t    rc;
    ngx_str_t    key, n, v, raw;
    ngx_uint_t   found;

    if (args->len == 0) {
        return NGX_DECLINED;
    }

    key.data = (u_char *) name;
    key.len = ngx_strlen(name);

    ngx_str_null(&raw);
    found = 0;

    p = args->data;
    last = p + args->len;

    while (p < last) {
        ngx_intuit_next_arg(&p, last, &n, &v);

        if (ngx_intuit_arg_is(&n, &key)) {
            raw = v;
            found++;
        }
    }

    if (found != 1) {
        return found ? NGX_ABORT : NGX_DECLINED;
    }

    rc = ngx_intuit_unescape(pool, &raw, value);

    return (rc == NGX_DECLINED) ? NGX_ABORT : rc;
}


ngx_uint_t
ngx_intuit_args_has(const ngx_str_t *args, const ngx_str_t *name)
{
    u_char     *p, *last;
    ngx_str_t   n, v;

    if (args->len == 0) {
        return 0;
    }

    p = args->data;
    last = p + args->len;

    while (p < last) {
        ngx_intuit_next_arg(&p, last, &n, &v);

        if (ngx_intuit_arg_is(&n, name)) {
            return 1;
        }
    }

    return 0;
}


/* takes the argument up to the next "&" and moves *pos behind that */

static void
ngx_intuit_next_arg(u_char **pos, u_char *last, ngx_str_t *name,
    ngx_str_t *value)
{
    u_char  *p;

    p = *pos;
    name->data = p;

    while (p < last && *p != '&' && *p != '=') {
        p++;
    }

    name->len = p - name->data;

    if (p < last && *p == '=') {
        p++;
    }

    value->data = p;

    while (p < last && *p != '&') {
        p++;
    }

    value->len = p - value->data;

    *pos = (p < last) ? p + 1 : p;
}


/* an argument without a name ("&&", "=x") is never one that is asked for */

static ngx_uint_t
ngx_intuit_arg_is(const ngx_str_t *raw, const ngx_str_t *name)
{
    size_t             i;
    ngx_int_t          rc;
    ngx_intuit_byte_t  b;

    if (raw->len == 0 || name->len == 0) {
        return 0;
    }

    b.pos = raw->data;
    b.last = raw->data + raw->len;

    for (i = 0; i < name->len; i++) {

        if (ngx_intuit_next_byte(&b) != NGX_OK) {
            return 0;
        }

        if (b.byte == '+' && !b.escaped) {
            b.byte = ' ';
        }

        if (b.byte != name->data[i]) {
            return 0;
        }
    }

    rc = ngx_intuit_next_byte(&b);

    return (rc == NGX_DONE);
}


ngx_int_t
ngx_intuit_unescape(ngx_pool_t *pool, const ngx_str_t *s, ngx_str_t *out)
{
    u_char             *p;
    ngx_int_t           rc;
    ngx_intuit_byte_t   b;

    /* one byte more, so that an empty value has an address too */

    p = ngx_pnalloc(pool, s->len + 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    out->data = p;
    out->len = 0;

    if (s->len == 0) {
        return NGX_OK;
    }

    b.pos = s->data;
    b.last = s->data + s->len;

    for ( ;; ) {
        rc = ngx_intuit_next_byte(&b);

        if (rc != NGX_OK) {
            break;
        }

        if (b.byte == '\0') {
            return NGX_DECLINED;
        }

        *p++ = (b.byte == '+' && !b.escaped) ? ' ' : b.byte;
    }

    if (rc != NGX_DONE) {
        return NGX_DECLINED;
    }

    out->len = p - out->data;

    return NGX_OK;
}


ngx_int_t
ngx_intuit_next_byte(ngx_intuit_byte_t *b)
{
    ngx_int_t  high, low;

    if (b->pos == b->last) {
        return NGX_DONE;
    }

    if (*b->pos != '%') {
        b->byte = *b->pos++;
        b->escaped = 0;
        return NGX_OK;
    }

    if (b->last - b->pos < 3) {
        return NGX_DECLINED;
    }

    high = ngx_intuit_hex_digit(b->pos[1]);
    low = ngx_intuit_hex_digit(b->pos[2]);

    if (high == NGX_ERROR || low == NGX_ERROR) {
        return NGX_DECLINED;
    }

    b->pos += 3;
    b->byte = (u_char) ((high << 4) | low);
    b->escaped = 1;

    return NGX_OK;
}


ngx_int_t
ngx_intuit_hex_digit(u_char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }

    c |= 0x20;

    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }

    return NGX_ERROR;
}


size_t
ngx_intuit_escaped_len(const ngx_str_t *s)
{
    size_t  i, len;

    len = s->len;

    for (i = 0; i < s->len; i++) {
        if (!ngx_intuit_unreserved(s->data[i])) {
            len += 2;
        }
    }

    return len;
}


u_char *
ngx_intuit_escape(u_char *dst, const ngx_str_t *s)
{
    size_t  i;
    u_char  c;

    static const u_char  hex[] = "0123456789ABCDEF";

    for (i = 0; i < s->len; i++) {
        c = s->data[i];

        if (ngx_intuit_unreserved(c)) {
            *dst++ = c;
            continue;
        }

        *dst++ = '%';
        *dst++ = hex[c >> 4];
        *dst++ = hex[c & 0xf];
    }

    return dst;
}


ngx_uint_t
ngx_intuit_unreserved(u_char c)
{
    return ((c >= 'a' && c <= 'z')
            || (c >= 'A' && c <= 'Z')
            || (c >= '0' && c <= '9')
            || c == '-' || c == '.' || c == '_' || c == '~');
}
