/*
 * The API refuses a token before its time: it was revoked, or another host has
 * refreshed the pair.  It is refreshed once for all who had it, and a request
 * that may be sent again is, once; others get the 401, when there is a new
 * token for the client's own second try.
 *
 *   401 -> load -> refresh | wait -> load -> the same location again | pass
 *
 * The request goes on with the last handler before the location's content: its
 * guards have been asked, its rewrites are done, its body is at hand.
 */

#include "ngx_http_intuit_peer.h"
#include "ngx_http_intuit_refresh.h"


static void ngx_http_intuit_replay_decide(ngx_http_request_t *r);
static ngx_int_t ngx_http_intuit_replay_token(ngx_http_request_t *r,
    ngx_http_intuit_ctx_t *ctx);
static ngx_int_t ngx_http_intuit_replay_refresh(ngx_http_request_t *r,
    ngx_http_intuit_ctx_t *ctx);
static ngx_uint_t ngx_http_intuit_replay_possible(ngx_http_request_t *r);
static void ngx_http_intuit_replay_again(ngx_http_request_t *r,
    ngx_http_intuit_ctx_t *ctx);


ngx_int_t
ngx_http_intuit_replay(ngx_http_request_t *r, ngx_http_intuit_ctx_t *ctx)
{
    ngx_http_intuit_view_t  *view;

    view = ctx->api;
    ctx->refresh_status = "refused";

    if (ngx_http_intuit_connection_id(&ctx->connection, view->provider,
                                      &view->loaded.connection.realm)
        != NGX_OK)
    {
        return NGX_DECLINED;
    }

    if (ctx->replayed) {
        ngx_http_intuit_store_count(view->provider->store,
                                    NGX_HTTP_INTUIT_N_UNCURED);
        ngx_http_intuit_connection_uncured(view->provider->store,
                                           &ctx->connection, ngx_time());

        ngx_log_error(NGX_LOG_WARN, r->connection->log, 0,
                      "intuit API refuses the new token, too: no refresh for "
                      "that for %d s, realm \"%V\"",
                      NGX_HTTP_INTUIT_CURE_PAUSE,
                      &view->loaded.connection.realm);

        return NGX_DECLINED;
    }

    ngx_http_intuit_store_count(view->provider->store,
                                NGX_HTTP_INTUIT_N_API_REFUSED);

    ctx->refused = view->loaded.connection.current.access_token;

    ngx_http_intuit_defer(r, ctx, ngx_http_intuit_replay_decide);

    return NGX_AGAIN;
}


static void
ngx_http_intuit_replay_decide(ngx_http_request_t *r)
{
    ngx_int_t               rc;
    ngx_event_t            *wev;
    ngx_http_intuit_ctx_t  *ctx;

    ctx = ngx_http_intuit_get_ctx(r, 0);
    wev = r->connection->write;

    if (wev->timer_set) {
        /* nginx waits for a slow client; but none was sent anything */
        ngx_del_timer(wev);
    }

    do {
        rc = ngx_http_intuit_replay_token(r, ctx);

        if (rc == NGX_AGAIN) {
            rc = ngx_http_intuit_replay_refresh(r, ctx);
        }

        if (rc == NGX_AGAIN) {
            /* parked */
            return;
        }

    } while (rc == NGX_DONE);

    if (rc == NGX_OK && ngx_http_intuit_replay_possible(r)) {
        ngx_http_intuit_replay_again(r, ctx);
        return;
    }

    ngx_http_intuit_fault_pass(r);
}


/*
 * NGX_OK: there is another token, or none for good, which the proxy's handler
 * will say; NGX_AGAIN: a refresh may help; NGX_DECLINED: nothing will.
 */

static ngx_int_t
ngx_http_intuit_replay_token(ngx_http_request_t *r,
    ngx_http_intuit_ctx_t *ctx)
{
    ngx_str_t                *token;
    ngx_http_intuit_view_t   *view;
    ngx_intuit_connection_t  *c;

    view = ctx->api;

    if (ngx_http_intuit_refresh_reload(r, view) != NGX_OK) {
        return NGX_DECLINED;
    }

    c = &view->loaded.connection;
    token = &c->current.access_token;

    if (c->dead
        || token->len != ctx->refused.len
        || ngx_memcmp(token->data, ctx->refused.data, token->len) != 0)
    {
        return NGX_OK;
    }

    if (ctx->cured
        || c->current.refresh_token.len == 0
        || ngx_http_intuit_refresh_after(view->provider, c, ngx_time()))
    {
        return NGX_DECLINED;
    }

    return ngx_http_intuit_connection_curable(view->provider->store,
                                              &ctx->connection, ngx_time())
           == NGX_OK ? NGX_AGAIN : NGX_DECLINED;
}


/* NGX_AGAIN: parked; NGX_DONE: over already; NGX_DECLINED: not now */

static ngx_int_t
ngx_http_intuit_replay_refresh(ngx_http_request_t *r,
    ngx_http_intuit_ctx_t *ctx)
{
    ngx_int_t                rc;
    ngx_http_intuit_view_t  *view;

    view = ctx->api;

    rc = ngx_http_intuit_refresh_start(view->provider, &ctx->connection,
                                       view->loaded.generation, 0);
    if (rc == NGX_ERROR) {
        return NGX_DECLINED;
    }

    if (rc == NGX_OK) {
        ngx_log_error(NGX_LOG_NOTICE, r->connection->log, 0,
                      "intuit API refuses the token, it is refreshed, "
                      "realm \"%V\"", &view->loaded.connection.realm);
    }

    ctx->cured = 1;
    ctx->provider = view->provider;
    ctx->generation = view->loaded.generation;

    if (ngx_http_intuit_refresh_ready(ctx)) {
        return NGX_DONE;
    }

    return ngx_http_intuit_park_until(r, ctx, &ctx->connection,
                                      ngx_http_intuit_refresh_ready,
                                      ngx_http_intuit_replay_decide)
           == NGX_OK ? NGX_AGAIN : NGX_DECLINED;
}


/*
 * What is sent twice must do the same as once: Intuit answers a POST whose
 * requestid it knows with what it has answered before.  And a body that went
 * upstream as it came is gone.
 */

static ngx_uint_t
ngx_http_intuit_replay_possible(ngx_http_request_t *r)
{
    if (r->request_body_no_buffering) {
        return 0;
    }

    return (r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD|NGX_HTTP_OPTIONS))
           || (r->method == NGX_HTTP_POST && ngx_http_intuit_known_again(r));
}


static void
ngx_http_intuit_replay_again(ngx_http_request_t *r,
    ngx_http_intuit_ctx_t *ctx)
{
    ngx_int_t                   i;
    ngx_http_phase_handler_t   *ph;
    ngx_http_core_main_conf_t  *cmcf;

    ctx->replayed = 1;

    ngx_http_intuit_store_count(ctx->api->provider->store,
                                NGX_HTTP_INTUIT_N_REPLAY);

    ngx_http_intuit_fault_drop(r, ctx);

    cmcf = ngx_http_get_module_main_conf(r, ngx_http_core_module);
    ph = cmcf->phase_engine.handlers;

    for (i = 0; ph[i].handler != ngx_http_intuit_proxy_handler; i++) {
        /* void */
    }

    r->phase_handler = i;
    r->write_event_handler = ngx_http_core_run_phases;

    ngx_http_core_run_phases(r);
}
