/*
 * The only place that looks at nginx_version.
 */

#ifndef _NGX_HTTP_INTUIT_COMPAT_H_INCLUDED_
#define _NGX_HTTP_INTUIT_COMPAT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>


/*
 * Walks the request's Cookie header lines: 1.23.0 turned the array of
 * pointers into a list linked through h->next.
 *
 *     ngx_table_elt_t  *h;
 *     ngx_uint_t        i;
 *
 *     ngx_http_intuit_cookies_each(r, h, i) {
 */

#if (nginx_version >= 1023000)

#define ngx_http_intuit_cookies_each(r, h, i)                                 \
    for (i = 0, h = (r)->headers_in.cookie; h; h = h->next, i++)

#define ngx_http_intuit_header_last(h)  ((h)->next = NULL)

/* the header list is a new one: ngx_http_link_multi_headers() has to run */
#define ngx_http_intuit_headers_relink(r)                                     \
    (r)->headers_in.multi = 0;                                                \
    (r)->headers_in.multi_linked = 0

#else

#define ngx_http_intuit_cookies_each(r, h, i)                                 \
    for (i = 0;                                                               \
         i < (r)->headers_in.cookies.nelts                                    \
         && ((h = ((ngx_table_elt_t **) (r)->headers_in.cookies.elts)[i]),    \
             1);                                                              \
         i++)

#define ngx_http_intuit_header_last(h)
#define ngx_http_intuit_headers_relink(r)

#endif


#endif /* _NGX_HTTP_INTUIT_COMPAT_H_INCLUDED_ */
