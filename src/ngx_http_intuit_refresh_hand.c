/*
 * A refresh that somebody asks for: at most once a minute for a connection,
 * whoever asks, and by whatever way.
 */

#include "ngx_http_intuit_refresh.h"


#define NGX_HTTP_INTUIT_HAND_PAUSE  60      /* s */


static ngx_int_t ngx_http_intuit_hand_claim(ngx_http_request_t *r,
    ngx_http_intuit_ctx_t *ctx);
static void ngx_http_intuit_hand_resume(ngx_http_request_t *r);
static ngx_int_t ngx_http_intuit_hand_refreshed(ngx_http_request_t *r,
    ngx_http_intuit_ctx_t *ctx);


ngx_int_t
ngx_http_intuit_refresh_by_hand(ngx_http_request_t *r,
    ngx_http_intuit_ctx_t *ctx, ngx_http_intuit_view_t *view,
    ngx_http_intuit_answer_pt answer)
{
    ngx_int_t                    rc;
    ngx_intuit_connection_t     *c;
    ngx_http_intuit_provider_t  *provider;

    ctx->renewed = view;
    ctx->then = answer;

    provider = view->provider;
    c = &view->loaded.connection;

    if (!view->loaded.has_connection) {
        return ngx_http_intuit_fail(r, provider,
                                    NGX_HTTP_INTUIT_E_NOT_CONNECTED, NULL);
    }

    if (c->dead || c->current.refresh_token.len == 0) {
        return ngx_http_intuit_fail(r, provider, NGX_HTTP_INTUIT_E_RECONNECT,
                                    NULL);
    }

    ctx->retry_after = ngx_http_intuit_refresh_after(provider, c, ngx_time());

    if (ctx->retry_after > 0) {
        return ngx_http_intuit_fail(r, provider,
                                    NGX_HTTP_INTUIT_E_UNAVAILABLE,
                                    "a refresh has failed a moment ago");
    }

    rc = ngx_http_intuit_hand_claim(r, ctx);

    if (rc != NGX_DECLINED) {
        return rc;
    }

    ctx->provider = provider;
    ctx->generation = view->loaded.generation;

    rc = ngx_http_intuit_refresh_start(provider, &ctx->connection,
                                       ctx->generation, 0);

    if (rc == NGX_ERROR || ngx_http_intuit_refresh_ready(ctx)) {
        return ngx_http_intuit_hand_refreshed(r, ctx);
    }

    if (ngx_http_intuit_park_until(r, ctx, &ctx->connection,
                                   ngx_http_intuit_refresh_ready,
                                   ngx_http_intuit_hand_resume)
        != NGX_OK)
    {
        return ngx_http_intuit_fail(r, provider, NGX_HTTP_INTUIT_E_BUSY, NULL);
    }

    return NGX_AGAIN;
}


/*
 * Once a minute, over all workers and sessions.  NGX_DECLINED: go on; else
 * the request has been answered.
 */

static ngx_int_t
ngx_http_intuit_hand_claim(ngx_http_request_t *r,
    ngx_http_intuit_ctx_t *ctx)
{
    time_t                       now;
    ngx_int_t                    rc;
    ngx_str_t                   *realm;
    ngx_http_intuit_id_t         id;
    ngx_http_intuit_login_t      claim;
    ngx_http_intuit_provider_t  *provider;

    now = ngx_time();
    provider = ctx->renewed->provider;
    realm = &ctx->renewed->loaded.connection.realm;

    if (ngx_http_intuit_connection_id(&ctx->connection, provider, realm)
        != NGX_OK
        || ngx_http_intuit_store_id(&id, "refresh", provider, realm) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    claim.deadline = now + NGX_HTTP_INTUIT_HAND_PAUSE;
    claim.expires = now + NGX_HTTP_INTUIT_HAND_PAUSE;

    rc = ngx_http_intuit_login_begin(provider->store, &id, now, r->pool,
                                     &claim);

    if (rc == NGX_DECLINED) {
        ctx->retry_after = ngx_max(claim.deadline - now, 1);

        return ngx_http_intuit_fail(r, provider, NGX_HTTP_INTUIT_E_TOO_SOON,
                                    NULL);
    }

    if (rc != NGX_OK) {
        return ngx_http_intuit_fail(r, provider,
                                    rc == NGX_BUSY ? NGX_HTTP_INTUIT_E_BUSY
                                                   : NGX_HTTP_INTUIT_E_STORE,
                                    NULL);
    }

    ngx_memzero(&claim, sizeof(ngx_http_intuit_login_t));
    claim.state = NGX_HTTP_INTUIT_LOGIN_DONE;

    (void) ngx_http_intuit_login_end(provider->store, &id, &claim, now);

    return NGX_DECLINED;
}


static void
ngx_http_intuit_hand_resume(ngx_http_request_t *r)
{
    ngx_http_finalize_request(r,
             ngx_http_intuit_hand_refreshed(r,
                                               ngx_http_intuit_get_ctx(r, 0)));
}


static ngx_int_t
ngx_http_intuit_hand_refreshed(ngx_http_request_t *r,
    ngx_http_intuit_ctx_t *ctx)
{
    ngx_str_t                    old;
    ngx_intuit_connection_t     *c;
    ngx_http_intuit_provider_t  *provider;

    provider = ctx->renewed->provider;
    c = &ctx->renewed->loaded.connection;
    old = c->current.access_token;

    ctx->refresh_status = "failed";

    if (ngx_http_intuit_refresh_reload(r, ctx->renewed) != NGX_OK) {
        return ngx_http_intuit_fail(r, provider, NGX_HTTP_INTUIT_E_STORE,
                                    NULL);
    }

    if (c->dead) {
        return ngx_http_intuit_fail(r, provider, NGX_HTTP_INTUIT_E_RECONNECT,
                                    NULL);
    }

    if (c->current.access_token.len == old.len
        && ngx_memcmp(c->current.access_token.data, old.data, old.len) == 0)
    {
        ctx->retry_after = ngx_http_intuit_refresh_after(provider, c,
                                                         ngx_time());

        return ngx_http_intuit_fail(r, provider,
                                    NGX_HTTP_INTUIT_E_UNAVAILABLE,
                                    "the refresh has failed");
    }

    ctx->refresh_status = "waited";

    return ctx->then(r, ctx);
}
