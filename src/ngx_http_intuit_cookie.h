/*
 * Cookies in and out, and the cleaning of a request before an upstream sees it.
 */

#ifndef _NGX_HTTP_INTUIT_COOKIE_H_INCLUDED_
#define _NGX_HTTP_INTUIT_COOKIE_H_INCLUDED_


#include "ngx_http_intuit_auth_module.h"


/*
 * The value of the request's cookie.  NGX_OK; NGX_DECLINED: not there;
 * NGX_ABORT: there several times with different values.
 */
ngx_int_t ngx_http_intuit_cookie_get(ngx_http_request_t *r,
    const ngx_str_t *name, ngx_str_t *value);

/*
 * All cookies whose names begin with prefix: pushes pairs (ngx_keyval_t) into
 * found, at most max.  NGX_OK or NGX_ERROR.
 */
ngx_int_t ngx_http_intuit_cookie_list(ngx_http_request_t *r,
    const ngx_str_t *prefix, ngx_uint_t max, ngx_array_t *found);

/*
 * Adds Set-Cookie with the provider's flags.  value NULL: deletes (same
 * attributes, Max-Age=0).  max_age 0: a session cookie.  lax: 1 for the login
 * cookies, which a cross-site redirect must bring back even when the session
 * cookie is Strict.
 */
ngx_int_t ngx_http_intuit_cookie_set(ngx_http_request_t *r,
    ngx_http_intuit_provider_t *provider, const ngx_str_t *name,
    const ngx_str_t *value, time_t max_age, ngx_uint_t lax);

/* 1: one of our own Set-Cookie lines, 0: an upstream's. */
ngx_uint_t ngx_http_intuit_cookie_set_here(const ngx_table_elt_t *h);

/*
 * Takes our cookies (of every provider) out of the request, and what else is
 * asked for, and puts Authorization: bearer in when bearer != NULL.  The
 * header list is a new one, so a subrequest's parent keeps its own; the
 * functions above go on seeing the cookies that the browser has sent.
 */
#define NGX_HTTP_INTUIT_CLEAN_AUTHORIZATION  1
#define NGX_HTTP_INTUIT_CLEAN_IDENTITY       2

ngx_int_t ngx_http_intuit_clean_request(ngx_http_request_t *r,
    ngx_uint_t what, const ngx_str_t *bearer);

/* What it needs to know: the names of our cookies, once the providers are
 * complete, and then the variables that hold what it takes away. */
ngx_int_t ngx_http_intuit_cookie_names(ngx_conf_t *cf,
    ngx_http_intuit_main_conf_t *imcf);
ngx_int_t ngx_http_intuit_clean_init(ngx_cycle_t *cycle,
    ngx_http_intuit_main_conf_t *imcf);


#endif /* _NGX_HTTP_INTUIT_COOKIE_H_INCLUDED_ */
