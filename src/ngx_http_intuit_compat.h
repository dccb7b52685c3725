/*
 * The only place that looks at nginx_version.
 */

#ifndef _NGX_HTTP_INTUIT_COMPAT_H_INCLUDED_
#define _NGX_HTTP_INTUIT_COMPAT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>


/*
 * The request's Cookie header lines: 1.23.0 turned the array of pointers into
 * a list linked through h->next.
 *
 *     ngx_table_elt_t             *h;
 *     ngx_uint_t                   i;
 *     ngx_http_intuit_cookies_t    cookies;
 *
 *     cookies = ngx_http_intuit_cookies(r);
 *
 *     ngx_http_intuit_cookies_each(cookies, h, i) {
 */

#if (nginx_version >= 1023000)

typedef ngx_table_elt_t  *ngx_http_intuit_cookies_t;

#define ngx_http_intuit_cookies(r)  (r)->headers_in.cookie

#define ngx_http_intuit_cookies_each(cookies, h, i)                           \
    for (i = 0, h = (cookies); h; h = h->next, i++)

#define ngx_http_intuit_header_last(h)  ((h)->next = NULL)

/* the header list is a new one: ngx_http_link_multi_headers() has to run */
#define ngx_http_intuit_headers_relink(r)                                     \
    (r)->headers_in.multi = 0;                                                \
    (r)->headers_in.multi_linked = 0

#else

typedef ngx_array_t  ngx_http_intuit_cookies_t;

#define ngx_http_intuit_cookies(r)  (r)->headers_in.cookies

#define ngx_http_intuit_cookies_each(cookies, h, i)                           \
    for (i = 0;                                                               \
         i < (cookies).nelts                                                  \
         && ((h = ((ngx_table_elt_t **) (cookies).elts)[i]), 1);              \
         i++)

#define ngx_http_intuit_header_last(h)
#define ngx_http_intuit_headers_relink(r)

#endif


/* A list without lines, and one more line of it. */

static ngx_inline void
ngx_http_intuit_cookies_none(ngx_http_request_t *r)
{
#if (nginx_version >= 1023000)
    r->headers_in.cookie = NULL;
#else
    ngx_memzero(&r->headers_in.cookies, sizeof(ngx_array_t));
#endif
}


static ngx_inline ngx_int_t
ngx_http_intuit_cookies_push(ngx_http_request_t *r, ngx_table_elt_t *h)
{
#if (nginx_version >= 1023000)

    ngx_table_elt_t  **last;

    for (last = &r->headers_in.cookie; *last; last = &(*last)->next) {
        /* void */
    }

    *last = h;
    h->next = NULL;

#else

    ngx_table_elt_t  **line;

    if (r->headers_in.cookies.elts == NULL
        && ngx_array_init(&r->headers_in.cookies, r->pool, 1,
                          sizeof(ngx_table_elt_t *))
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    line = ngx_array_push(&r->headers_in.cookies);
    if (line == NULL) {
        return NGX_ERROR;
    }

    *line = h;

#endif

    return NGX_OK;
}


#endif /* _NGX_HTTP_INTUIT_COMPAT_H_INCLUDED_ */
