/*
 * The addresses of an API host.
 *
 * They are looked up when a request finds them old, and so by an idle nginx
 * not at all.  Nothing points into the table but calls that end at once, so it
 * may change at any moment.
 */

#include "ngx_http_intuit_peer.h"
#include "ngx_http_intuit_job.h"


#define NGX_HTTP_INTUIT_ADDRESSES_OLD  30      /* beyond what DNS said */
#define NGX_HTTP_INTUIT_LOOK_UP_FIRST  1       /* next try, with none ... */
#define NGX_HTTP_INTUIT_LOOK_UP_NEXT   5       /* ... and with old ones */


static void ngx_http_intuit_peer_look_up(ngx_http_request_t *r,
    ngx_http_intuit_peer_t *peer);
static void ngx_http_intuit_peer_looked_up(ngx_resolver_ctx_t *ctx);
static void ngx_http_intuit_peer_accept(ngx_http_intuit_peer_t *peer,
    ngx_resolver_ctx_t *ctx);


ngx_int_t
ngx_http_intuit_peer_find(ngx_http_request_t *r, ngx_http_intuit_peer_t *peer)
{
    time_t                        now;
    ngx_http_intuit_addresses_t  *addresses;

    addresses = peer->addresses;
    now = ngx_time();

    if (peer->literal || (addresses->n && now < addresses->valid)) {
        return NGX_OK;
    }

    if (addresses->look_up == NULL && now >= addresses->next) {
        ngx_http_intuit_peer_look_up(r, peer);
    }

    /* while nobody answers, the old ones are better than none */

    if (addresses->look_up
        && (addresses->n == 0
            || (!addresses->failed
                && now >= addresses->valid + NGX_HTTP_INTUIT_ADDRESSES_OLD)))
    {
        return NGX_AGAIN;
    }

    return addresses->n ? NGX_OK : NGX_DECLINED;
}


ngx_uint_t
ngx_http_intuit_peer_ready(ngx_http_intuit_ctx_t *ctx)
{
    return ctx->provider->peer->addresses->look_up == NULL;
}


static void
ngx_http_intuit_peer_look_up(ngx_http_request_t *r,
    ngx_http_intuit_peer_t *peer)
{
    ngx_resolver_ctx_t           *ctx;
    ngx_http_core_loc_conf_t     *clcf;
    ngx_http_intuit_addresses_t  *addresses;

    addresses = peer->addresses;
    addresses->next = ngx_time() + NGX_HTTP_INTUIT_LOOK_UP_FIRST;

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    ctx = ngx_resolve_start(clcf->resolver, NULL);

    if (ctx == NULL || ctx == NGX_NO_RESOLVER) {
        return;
    }

    ctx->name = peer->host;
    ctx->handler = ngx_http_intuit_peer_looked_up;
    ctx->data = peer;
    ctx->timeout = clcf->resolver_timeout;

    addresses->look_up = ctx;

    if (ngx_resolve_name(ctx) != NGX_OK) {
        addresses->look_up = NULL;
    }
}


/* may be called before ngx_resolve_name() returns */

static void
ngx_http_intuit_peer_looked_up(ngx_resolver_ctx_t *ctx)
{
    ngx_int_t                     rc;
    ngx_http_intuit_peer_t       *peer;
    ngx_http_intuit_addresses_t  *addresses;

    rc = ctx->state;
    peer = ctx->data;
    addresses = peer->addresses;

    addresses->failed = (rc != NGX_OK);

    if (rc == NGX_OK) {
        ngx_http_intuit_peer_accept(peer, ctx);

    } else {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "intuit could not resolve \"%V\" (%i: %s)%s",
                      &peer->host, rc, ngx_resolver_strerror(rc),
                      addresses->n ? ", the old addresses stay in use" : "");

        addresses->next = ngx_time()
                          + (addresses->n ? NGX_HTTP_INTUIT_LOOK_UP_NEXT
                                          : NGX_HTTP_INTUIT_LOOK_UP_FIRST);
    }

    ngx_resolve_name_done(ctx);
    addresses->look_up = NULL;

    ngx_http_intuit_wake(NULL);
}


/* what is known of an address that is still there goes on being known */

static void
ngx_http_intuit_peer_accept(ngx_http_intuit_peer_t *peer,
    ngx_resolver_ctx_t *ctx)
{
    ngx_uint_t                    i, current, kept;
    ngx_http_intuit_address_t    *old, *elt;
    ngx_http_intuit_addresses_t   now, *addresses;

    addresses = peer->addresses;
    now = *addresses;

    now.n = ngx_min(ctx->naddrs, NGX_HTTP_INTUIT_ADDRESSES_MAX);
    current = 0;
    kept = 0;

    for (i = 0; i < now.n; i++) {

        elt = &now.elts[i];

        ngx_memzero(elt, sizeof(ngx_http_intuit_address_t));

        elt->socklen = ctx->addrs[i].socklen;
        ngx_memcpy(&elt->sockaddr, ctx->addrs[i].sockaddr, elt->socklen);
        ngx_inet_set_port(&elt->sockaddr.sockaddr, peer->port);

        old = ngx_http_intuit_peer_address(peer, &elt->sockaddr.sockaddr,
                                           elt->socklen);
        if (old == NULL) {
            continue;
        }

        elt->failed = old->failed;
        elt->session = old->session;
        old->session = NULL;
        kept++;

        if (old == &addresses->elts[addresses->current]) {
            current = i;
        }
    }

    if (addresses->n && (kept < now.n || now.n != addresses->n)) {
        ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                      "intuit has other addresses of \"%V\" now",
                      &peer->host);
    }

    for (i = 0; i < addresses->n; i++) {
        if (addresses->elts[i].session) {
            ngx_ssl_free_session(addresses->elts[i].session);
        }
    }

    now.current = current;
    now.generation++;
    now.valid = ngx_max(ctx->valid, ngx_time() + 1);

    *addresses = now;
}


ngx_http_intuit_address_t *
ngx_http_intuit_peer_address(ngx_http_intuit_peer_t *peer,
    struct sockaddr *sockaddr, socklen_t socklen)
{
    ngx_uint_t                  i;
    ngx_http_intuit_address_t  *elt;

    for (i = 0; i < peer->addresses->n; i++) {

        elt = &peer->addresses->elts[i];

        if (ngx_cmp_sockaddr(&elt->sockaddr.sockaddr, elt->socklen,
                             sockaddr, socklen, 1)
            == NGX_OK)
        {
            return elt;
        }
    }

    return NULL;
}


void
ngx_http_intuit_peer_exit(ngx_http_intuit_peer_t *peer)
{
    ngx_uint_t                    i;
    ngx_http_intuit_addresses_t  *addresses;

    addresses = peer->addresses;

    if (addresses->look_up) {
        ngx_resolve_name_done(addresses->look_up);
        addresses->look_up = NULL;
    }

    for (i = 0; i < addresses->n; i++) {
        if (addresses->elts[i].session) {
            ngx_ssl_free_session(addresses->elts[i].session);
            addresses->elts[i].session = NULL;
        }
    }
}
