/*
 * Percent-encoding (RFC 3986, section 2.1) and query strings.
 */

#ifndef _NGX_INTUIT_ARGS_H_INCLUDED_
#define _NGX_INTUIT_ARGS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/* a walk over percent-encoded text: set pos and last, then take bytes */
typedef struct {
    u_char       *pos;
    u_char       *last;
    u_char        byte;
    unsigned      escaped:1;  /* byte was written as %NN */
} ngx_intuit_byte_t;


/*
 * One argument of a query string.  The name is compared after decoding, so
 * that "%63ode" is "code".  The value is decoded into pool ("+" is a space).
 * NGX_OK; NGX_DECLINED: not there; NGX_ABORT: there more than once, or a
 * malformed escape, or a NUL byte; NGX_ERROR: no memory.
 * "name" without "=" is there and empty.  What other arguments hold does not
 * matter.
 */
ngx_int_t ngx_intuit_args_get(ngx_pool_t *pool, const ngx_str_t *args,
    const char *name, ngx_str_t *value);

/* 1: the query string has an argument of this name (after decoding). */
ngx_uint_t ngx_intuit_args_has(const ngx_str_t *args, const ngx_str_t *name);

/*
 * Decodes one name or value of a query string into pool ("+" is a space).
 * NGX_OK; NGX_DECLINED: a malformed escape, or a NUL byte; NGX_ERROR.
 */
ngx_int_t ngx_intuit_unescape(ngx_pool_t *pool, const ngx_str_t *s,
    ngx_str_t *out);

/* application/x-www-form-urlencoded with %20 for a space: everything but the
 * unreserved characters of RFC 3986, section 2.3 is escaped. */
size_t ngx_intuit_escaped_len(const ngx_str_t *s);
u_char *ngx_intuit_escape(u_char *dst, const ngx_str_t *s);

/* The next byte of the walk, decoded ("+" is itself).  NGX_OK; NGX_DONE at the
 * end; NGX_DECLINED: a malformed escape, pos stays. */
ngx_int_t ngx_intuit_next_byte(ngx_intuit_byte_t *b);

/* 0..15, or NGX_ERROR: not a hexadecimal digit. */
ngx_int_t ngx_intuit_hex_digit(u_char c);

/* RFC 3986, section 2.3: 1 unreserved, 0 not. */
ngx_uint_t ngx_intuit_unreserved(u_char c);


#endif /* _NGX_INTUIT_ARGS_H_INCLUDED_ */
