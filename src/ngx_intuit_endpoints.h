/*
 * Where the requests go: Intuit's endpoints, and others' discovery documents.
 */

#ifndef _NGX_INTUIT_ENDPOINTS_H_INCLUDED_
#define _NGX_INTUIT_ENDPOINTS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


typedef struct {
    ngx_str_t    issuer;
    ngx_str_t    authorization_endpoint;
    ngx_str_t    token_endpoint;
    ngx_str_t    userinfo_endpoint;         /* may be empty */
    ngx_str_t    revocation_endpoint;       /* may be empty */
    ngx_str_t    jwks_uri;
    unsigned     iss_parameter:1;           /* RFC 9207 */
} ngx_intuit_endpoints_t;


/*
 * The environment's literals (Intuit's published discovery documents).
 * production: 1 or 0 (sandbox); they differ in the userinfo endpoint only.
 */
void ngx_intuit_endpoints_default(ngx_intuit_endpoints_t *e,
    ngx_uint_t production);

/*
 * Reads a discovery document (OpenID Connect Discovery 1.0, section 3) into
 * pool.  Every endpoint, and the issuer, must be https, or http on a loopback
 * host, in at most 2048 bytes, and the issuer has no query; issuer,
 * authorization_endpoint, token_endpoint and jwks_uri are required.
 * With host_suffix (".intuit.com", may be NULL) every host, the issuer's too,
 * must end with it, at a label's border; with issuer->len != 0 the issuer
 * must equal it.
 * NGX_OK, NGX_DECLINED with *reason (a literal), NGX_ERROR.
 */
ngx_int_t ngx_intuit_endpoints_parse(ngx_pool_t *pool, const ngx_str_t *text,
    const ngx_str_t *issuer, const char *host_suffix,
    ngx_intuit_endpoints_t *e, const char **reason);


#endif /* _NGX_INTUIT_ENDPOINTS_H_INCLUDED_ */
