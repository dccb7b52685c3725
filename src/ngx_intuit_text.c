/*
 * Text that grows while it is written.
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_intuit_header.h"
#include "ngx_intuit_json.h"
#include "ngx_intuit_text.h"
#include "ngx_intuit_url.h"


#define NGX_INTUIT_TEXT_FIRST   4096
#define NGX_INTUIT_TEXT_FORMAT  512


static u_char *ngx_intuit_text_room(ngx_intuit_text_t *t, size_t len);
static void ngx_intuit_text_name(ngx_intuit_text_t *t, const char *name);


void
ngx_intuit_text_init(ngx_intuit_text_t *t, ngx_pool_t *pool)
{
    ngx_memzero(t, sizeof(ngx_intuit_text_t));

    t->pool = pool;
}


/* len bytes at t->pos, or NULL */

static u_char *
ngx_intuit_text_room(ngx_intuit_text_t *t, size_t len)
{
    u_char  *p;
    size_t   used, size;

    if (t->failed) {
        return NULL;
    }

    if ((size_t) (t->last - t->pos) >= len) {
        return t->pos;
    }

    used = t->pos - t->start;
    size = ngx_max(2 * (size_t) (t->last - t->start), used + len);
    size = ngx_max(size, NGX_INTUIT_TEXT_FIRST);

    p = ngx_palloc(t->pool, size);

    if (p == NULL) {
        t->failed = 1;
        return NULL;
    }

    if (used) {
        ngx_memcpy(p, t->start, used);
        (void) ngx_pfree(t->pool, t->start);
    }

    t->start = p;
    t->pos = p + used;
    t->last = p + size;

    return t->pos;
}


void
ngx_intuit_text_put(ngx_intuit_text_t *t, const char *s)
{
    ngx_str_t  text;

    text.data = (u_char *) s;
    text.len = ngx_strlen(s);

    ngx_intuit_text_bytes(t, &text);
}


void
ngx_intuit_text_bytes(ngx_intuit_text_t *t, const ngx_str_t *s)
{
    u_char  *p;

    p = ngx_intuit_text_room(t, s->len);

    if (p != NULL && s->len) {
        t->pos = ngx_cpymem(p, s->data, s->len);
    }
}


void
ngx_intuit_text_print(ngx_intuit_text_t *t, const char *fmt, ...)
{
    u_char   *p;
    va_list   args;

    p = ngx_intuit_text_room(t, NGX_INTUIT_TEXT_FORMAT);

    if (p == NULL) {
        return;
    }

    va_start(args, fmt);
    t->pos = ngx_vslprintf(p, p + NGX_INTUIT_TEXT_FORMAT, fmt, args);
    va_end(args);
}


void
ngx_intuit_text_html(ngx_intuit_text_t *t, const ngx_str_t *s)
{
    u_char  *p;

    p = ngx_intuit_text_room(t, ngx_intuit_html_escaped_len(s));

    if (p != NULL) {
        t->pos = ngx_intuit_html_escape(p, s);
    }
}


void
ngx_intuit_text_open(ngx_intuit_text_t *t, const char *name, char c)
{
    ngx_intuit_text_name(t, name);
    ngx_intuit_text_print(t, "%c", c);

    t->comma = 0;
}


void
ngx_intuit_text_close(ngx_intuit_text_t *t, char c)
{
    ngx_intuit_text_print(t, "%c", c);

    t->comma = 1;
}


void
ngx_intuit_text_string(ngx_intuit_text_t *t, const char *name,
    const ngx_str_t *value)
{
    u_char  *p;

    ngx_intuit_text_name(t, name);

    if (value->len == 0) {
        ngx_intuit_text_put(t, "null");
        return;
    }

    p = ngx_intuit_text_room(t, ngx_intuit_json_escaped_len(value) + 2);

    if (p != NULL) {
        *p++ = '"';
        p = ngx_intuit_json_escape(p, value);
        *p++ = '"';

        t->pos = p;
    }
}


void
ngx_intuit_text_word(ngx_intuit_text_t *t, const char *name,
    const char *value)
{
    ngx_str_t  text;

    text.data = (u_char *) value;
    text.len = ngx_strlen(value);

    ngx_intuit_text_string(t, name, &text);
}


void
ngx_intuit_text_number(ngx_intuit_text_t *t, const char *name, int64_t value)
{
    ngx_intuit_text_name(t, name);
    ngx_intuit_text_print(t, "%L", value);
}


void
ngx_intuit_text_time(ngx_intuit_text_t *t, const char *name, time_t value)
{
    ngx_intuit_text_name(t, name);

    if (value) {
        ngx_intuit_text_print(t, "%T", value);

    } else {
        ngx_intuit_text_put(t, "null");
    }
}


void
ngx_intuit_text_bool(ngx_intuit_text_t *t, const char *name, ngx_uint_t value)
{
    ngx_intuit_text_name(t, name);
    ngx_intuit_text_put(t, value ? "true" : "false");
}


/* names are ours and need no escaping */

static void
ngx_intuit_text_name(ngx_intuit_text_t *t, const char *name)
{
    if (t->comma) {
        ngx_intuit_text_put(t, ",");
    }

    t->comma = 1;

    if (name) {
        ngx_intuit_text_print(t, "\"%s\":", name);
    }
}


void
ngx_intuit_text_label(ngx_intuit_text_t *t, const ngx_str_t *value)
{
    u_char  *p, *s, *last;
    size_t   len;

    p = ngx_intuit_text_room(t, 2 * value->len);

    if (p == NULL) {
        return;
    }

    last = value->data + value->len;

    for (s = value->data; s < last; s += len) {

        len = ngx_intuit_utf8_len(s, last);

        if (len == 0 || (*s < 0x20 && *s != LF) || *s == 0x7f) {
            *p++ = '?';
            len = 1;
            continue;
        }

        if (*s == LF) {
            *p++ = '\\';
            *p++ = 'n';
            continue;
        }

        if (*s == '\\' || *s == '"') {
            *p++ = '\\';
        }

        p = ngx_cpymem(p, s, len);
    }

    t->pos = p;
}


ngx_int_t
ngx_intuit_text_end(ngx_intuit_text_t *t, ngx_str_t *s)
{
    if (t->failed) {
        return NGX_ERROR;
    }

    s->data = t->start;
    s->len = t->pos - t->start;

    return NGX_OK;
}


ngx_int_t
ngx_intuit_template_make(ngx_intuit_template_t *t, const ngx_str_t *text,
    const ngx_str_t *values, ngx_uint_t n)
{
    size_t      at;
    ngx_uint_t  i;

    for (i = 0; i < n; i++) {

        for (at = 0; at + values[i].len <= text->len; at++) {

            if (values[i].len == 0
                || ngx_memcmp(text->data + at, values[i].data, values[i].len)
                   == 0)
            {
                break;
            }
        }

        if (at + values[i].len > text->len) {
            return NGX_DECLINED;
        }

        t->at[i] = at;
        t->len[i] = values[i].len;
    }

    t->n = n;
    t->text = *text;

    return NGX_OK;
}


ngx_int_t
ngx_intuit_template_fill(const ngx_intuit_template_t *t, ngx_pool_t *pool,
    const ngx_str_t *values, ngx_str_t *out)
{
    ngx_uint_t  i;

    out->len = t->text.len;
    out->data = ngx_pnalloc(pool, out->len);
    if (out->data == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(out->data, t->text.data, out->len);

    for (i = 0; i < t->n; i++) {

        if (t->len[i]) {
            ngx_memcpy(out->data + t->at[i], values[i].data, t->len[i]);
        }
    }

    return NGX_OK;
}
