/*
 * The sealed login cookie, shared by the authorization request and the
 * callback.
 */

#ifndef _NGX_HTTP_INTUIT_LOGIN_H_INCLUDED_
#define _NGX_HTTP_INTUIT_LOGIN_H_INCLUDED_


#include "ngx_http_intuit_auth_module.h"


#define NGX_HTTP_INTUIT_AAD_LEN  (sizeof("connect:") - 1 + NGX_INTUIT_HASH_LEN)


/* The attempt's cookie name: prefix and the first characters of the state. */
ngx_int_t ngx_http_intuit_login_cookie_name(ngx_pool_t *pool,
    ngx_http_intuit_provider_t *provider, const u_char state[32],
    ngx_str_t *name);

/*
 * Opens a login cookie's value.  NGX_OK; NGX_DECLINED: not ours, altered,
 * another provider's, or older than login_timeout; NGX_ERROR: no memory.
 * attempt->connect tells what it was sealed for.
 */
ngx_int_t ngx_http_intuit_login_open(ngx_pool_t *pool,
    ngx_http_intuit_provider_t *provider, const ngx_str_t *cookie,
    ngx_intuit_login_t *attempt);


#endif /* _NGX_HTTP_INTUIT_LOGIN_H_INCLUDED_ */
