/*
 * Text that grows while it is written: pages, JSON documents, metrics.
 *
 * Nothing has to be checked between two writes: when memory is short the text
 * fails as a whole, and says so at its end.
 */

#ifndef _NGX_INTUIT_TEXT_H_INCLUDED_
#define _NGX_INTUIT_TEXT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


typedef struct {
    ngx_pool_t  *pool;
    u_char      *start;
    u_char      *pos;
    u_char      *last;
    unsigned     failed:1;
    unsigned     comma:1;       /* JSON: something stands before */
} ngx_intuit_text_t;

#define NGX_INTUIT_TEMPLATE_MAX  3

typedef struct {
    ngx_str_t      text;       /* data NULL: not made yet */
    ngx_uint_t     n;
    size_t         at[NGX_INTUIT_TEMPLATE_MAX];
    size_t         len[NGX_INTUIT_TEMPLATE_MAX];
} ngx_intuit_template_t;


/* Begins an empty text in pool. */
void ngx_intuit_text_init(ngx_intuit_text_t *t, ngx_pool_t *pool);

/* Literals and bytes as they are; ngx_sprintf() formats, for at most 512
 * bytes; and what is written by others, escaped for HTML. */
void ngx_intuit_text_put(ngx_intuit_text_t *t, const char *s);
void ngx_intuit_text_bytes(ngx_intuit_text_t *t, const ngx_str_t *s);
void ngx_intuit_text_print(ngx_intuit_text_t *t, const char *fmt, ...);
void ngx_intuit_text_html(ngx_intuit_text_t *t, const ngx_str_t *s);

/*
 * JSON.  open and close: "{", "[" and their ends, with commas where they
 * belong; name may be NULL (in an array).  string: null for an empty one.
 */
void ngx_intuit_text_open(ngx_intuit_text_t *t, const char *name, char c);
void ngx_intuit_text_close(ngx_intuit_text_t *t, char c);
void ngx_intuit_text_string(ngx_intuit_text_t *t, const char *name,
    const ngx_str_t *value);
void ngx_intuit_text_word(ngx_intuit_text_t *t, const char *name,
    const char *value);
void ngx_intuit_text_number(ngx_intuit_text_t *t, const char *name,
    int64_t value);
void ngx_intuit_text_time(ngx_intuit_text_t *t, const char *name,
    time_t value);
void ngx_intuit_text_bool(ngx_intuit_text_t *t, const char *name,
    ngx_uint_t value);

/*
 * A label value of Prometheus' text format, without its quotes: backslash,
 * quote and line feed are escaped; other control bytes, and bytes that are no
 * UTF-8, become "?".
 */
void ngx_intuit_text_label(ngx_intuit_text_t *t, const ngx_str_t *value);

/* NGX_OK, and *s the text; NGX_ERROR: there was no memory for it. */
ngx_int_t ngx_intuit_text_end(ngx_intuit_text_t *t, ngx_str_t *s);

/*
 * The same text again and again, with other values in it: made of one that has
 * some, n of NGX_INTUIT_TEMPLATE_MAX at most (empty: none), each of which is
 * found there once.  The text is not copied.  NGX_OK, or NGX_DECLINED: one is
 * not found.
 */
ngx_int_t ngx_intuit_template_make(ngx_intuit_template_t *t,
    const ngx_str_t *text, const ngx_str_t *values, ngx_uint_t n);

/* With these values, as long as the first ones were.  NGX_OK or NGX_ERROR. */
ngx_int_t ngx_intuit_template_fill(const ngx_intuit_template_t *t,
    ngx_pool_t *pool, const ngx_str_t *values, ngx_str_t *out);


#endif /* _NGX_INTUIT_TEXT_H_INCLUDED_ */
