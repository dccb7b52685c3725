/*
 * OAuth 1.0a signatures (RFC 5849) with HMAC-SHA1, as Intuit's migration
 * endpoint wants them: the header's parameters and the URL are signed, a JSON
 * body is not.
 */

#ifndef _NGX_INTUIT_OAUTH1_H_INCLUDED_
#define _NGX_INTUIT_OAUTH1_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


typedef struct {
    ngx_str_t    url;                /* absolute; may have a query */
    ngx_str_t    consumer_key;
    ngx_str_t    consumer_secret;
    ngx_str_t    token;
    ngx_str_t    token_secret;
    ngx_str_t    nonce;
    time_t       timestamp;
} ngx_intuit_oauth1_t;


/*
 * Section 3.4.1: the signature base string for a method in upper case, of an
 * absolute URL (its query's parameters are signed, too) and n parameters, not
 * encoded.  NGX_OK; NGX_DECLINED: no URL, or its query is malformed;
 * NGX_ERROR.
 */
ngx_int_t ngx_intuit_oauth1_base(ngx_pool_t *pool, const char *method,
    const ngx_str_t *url, const ngx_keyval_t *params, ngx_uint_t n,
    ngx_str_t *base);

/* Section 3.4.2: HMAC-SHA1 of the base string, in base64.  NGX_OK or
 * NGX_ERROR. */
ngx_int_t ngx_intuit_oauth1_sign(ngx_pool_t *pool, const ngx_str_t *base,
    const ngx_str_t *consumer_secret, const ngx_str_t *token_secret,
    ngx_str_t *signature);

/* Section 3.5.1: the value of Authorization for a POST.  As the base. */
ngx_int_t ngx_intuit_oauth1_header(ngx_pool_t *pool,
    const ngx_intuit_oauth1_t *o, ngx_str_t *header);


#endif /* _NGX_INTUIT_OAUTH1_H_INCLUDED_ */
