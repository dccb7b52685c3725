/*
 * The way to an API host: an upstream of the module's own for each provider
 * that intuit_proxy names, shared by those with the same host and the same
 * certificates to trust.  Its addresses are looked up by nginx's resolver and
 * followed without a reload; its connections are kept by nginx's keepalive
 * module, its TLS sessions here.
 */

#ifndef _NGX_HTTP_INTUIT_PEER_H_INCLUDED_
#define _NGX_HTTP_INTUIT_PEER_H_INCLUDED_


#include "ngx_http_intuit_auth_module.h"


#define NGX_HTTP_INTUIT_ADDRESSES_MAX  16


typedef struct {
    ngx_sockaddr_t                sockaddr;
    socklen_t                     socklen;
    u_char                        text[NGX_SOCKADDR_STRLEN];
    size_t                        len;        /* of it; 0: not written yet */
    time_t                        failed;     /* when; 0: it works */
    ngx_ssl_session_t            *session;    /* NULL: none */
} ngx_http_intuit_address_t;

/* what a worker knows; all zero at first */
typedef struct {
    ngx_http_intuit_address_t     elts[NGX_HTTP_INTUIT_ADDRESSES_MAX];
    ngx_uint_t                    n;
    ngx_uint_t                    current;    /* the one in use */
    ngx_uint_t                    generation;
    time_t                        valid;      /* until then */
    time_t                        next;       /* no look-up before */
    ngx_resolver_ctx_t           *look_up;    /* NULL: none is under way */
    unsigned                      failed:1;   /* the last one did */
} ngx_http_intuit_addresses_t;

struct ngx_http_intuit_peer_s {
    ngx_str_t                     name;       /* of the upstream */
    ngx_str_t                     base;       /* "https://" name */
    ngx_str_t                     authority;  /* for Host and certificate */
    ngx_str_t                     host;       /* to be looked up */
    in_port_t                     port;
    ngx_http_intuit_addresses_t  *addresses;
    ngx_http_upstream_srv_conf_t *upstream;
    unsigned                      literal:1;  /* host is an address */
};


/*
 * Adds the provider's upstream, once, while intuit_proxy is read: what is in
 * the provider need not be known yet.  NGX_OK or NGX_ERROR (logged).
 */
ngx_int_t ngx_http_intuit_peer_add(ngx_conf_t *cf,
    ngx_http_intuit_provider_t *provider);

/*
 * Adds an upstream of this name, with the addresses of peer, and with text
 * for its keepalive module.  NGX_OK or NGX_ERROR (logged).
 */
ngx_int_t ngx_http_intuit_peer_upstream(ngx_conf_t *cf,
    ngx_http_intuit_peer_t *peer, ngx_str_t *text);

/* Postconfiguration, for the provider of this number; those before it are
 * done.  NGX_OK or NGX_ERROR (logged). */
ngx_int_t ngx_http_intuit_peer_init(ngx_conf_t *cf,
    ngx_http_intuit_main_conf_t *imcf, ngx_uint_t n);

/*
 * Sees to it that there are addresses for this request, by the resolver of
 * its location.  NGX_OK; NGX_AGAIN: being looked up, park until
 * ngx_http_intuit_peer_ready() and call again; NGX_DECLINED: there are none.
 */
ngx_int_t ngx_http_intuit_peer_find(ngx_http_request_t *r,
    ngx_http_intuit_peer_t *peer);

/* For a request that waits, with ctx->provider set. */
ngx_uint_t ngx_http_intuit_peer_ready(ngx_http_intuit_ctx_t *ctx);

/* What is known of an address; NULL: it is none of the host's now.  Not to be
 * kept. */
ngx_http_intuit_address_t *ngx_http_intuit_peer_address(
    ngx_http_intuit_peer_t *peer, struct sockaddr *sockaddr,
    socklen_t socklen);

/* 1: the request goes to the API with a requestid, by which Intuit knows it
 * again and does nothing twice. */
ngx_uint_t ngx_http_intuit_known_again(ngx_http_request_t *r);

/* Worker's end. */
void ngx_http_intuit_peer_exit(ngx_http_intuit_peer_t *peer);


#endif /* _NGX_HTTP_INTUIT_PEER_H_INCLUDED_ */
