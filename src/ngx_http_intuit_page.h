/*
 * Answers of the module itself: pages, JSON, redirects and their headers.
 */

#ifndef _NGX_HTTP_INTUIT_PAGE_H_INCLUDED_
#define _NGX_HTTP_INTUIT_PAGE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_intuit_text.h"


/*
 * Sends a complete answer with our own security headers: Cache-Control:
 * no-store, X-Content-Type-Options, Referrer-Policy: no-referrer (unless the
 * caller has added another), Content-Security-Policy (html only; the same).
 * type: "text/html", "application/json".  The request body is discarded.
 * Returns what ngx_http_finalize_request() takes.
 */
ngx_int_t ngx_http_intuit_send(ngx_http_request_t *r, ngx_uint_t status,
    const char *type, ngx_str_t *body);

/* The headers of such an answer alone.  NGX_OK or NGX_ERROR. */
ngx_int_t ngx_http_intuit_send_instead(ngx_http_request_t *r,
    ngx_uint_t status, const char *type, ngx_str_t *body);

/* As above, with Location and an empty body; url is absolute, or relative to
 * this request. */
ngx_int_t ngx_http_intuit_redirect(ngx_http_request_t *r, ngx_uint_t status,
    ngx_str_t *url);

/* Wraps content (HTML, escaped by the caller) into our page design. */
ngx_int_t ngx_http_intuit_page(ngx_http_request_t *r, const char *title,
    const ngx_str_t *content, ngx_str_t *page);

/*
 * The same for a page that writes its own content between the two: with more
 * style, and a script that may ask this site for more.  The end adds the
 * Content-Security-Policy that allows just these.
 */
void ngx_http_intuit_page_begin(ngx_intuit_text_t *t, const char *title,
    const char *style);
ngx_int_t ngx_http_intuit_page_end(ngx_http_request_t *r,
    ngx_intuit_text_t *t, const char *style, const char *script,
    ngx_str_t *page);

/* 1: the client takes HTML by name (Accept); otherwise it gets JSON. */
ngx_uint_t ngx_http_intuit_wants_html(ngx_http_request_t *r);

/*
 * A JSON member: "name":"value", or null for an empty value or a zero number.
 * Writes no comma; p has room for the name, 8 bytes, and the escaped value or
 * NGX_TIME_T_LEN.  Words are our own, which need no escape.  Returns the end.
 */
u_char *ngx_http_intuit_json_text(u_char *p, const char *name,
    const ngx_str_t *value);
u_char *ngx_http_intuit_json_words(u_char *p, const char *name,
    const char *words);
u_char *ngx_http_intuit_json_number(u_char *p, const char *name, time_t value);


#endif /* _NGX_HTTP_INTUIT_PAGE_H_INCLUDED_ */
