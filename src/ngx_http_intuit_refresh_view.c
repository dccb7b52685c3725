/*
 * A client's request that needs an access token: it waits for the refresh
 * where that helps.
 */

#include "ngx_http_intuit_refresh.h"


#define NGX_HTTP_INTUIT_WAITS_MAX  3       /* of one request */


ngx_int_t
ngx_http_intuit_refresh_view(ngx_http_request_t *r,
    ngx_http_intuit_ctx_t *ctx, ngx_http_intuit_view_t *view)
{
    ngx_int_t   rc;
    ngx_uint_t  started;

    if (ctx->parked) {
        return NGX_AGAIN;
    }

    ctx->refresh_status = "failed";

    if ((ctx->waits || ctx->replayed)
        && ngx_http_intuit_refresh_reload(r, view) != NGX_OK)
    {
        return NGX_ERROR;
    }

    for ( ;; ) {

        rc = ngx_http_intuit_refresh(view->provider,
                                     &view->loaded.connection,
                                     view->loaded.generation,
                                     &ctx->connection, &started);

        if (rc == NGX_OK) {
            ctx->refresh_status = ctx->replayed ? "replayed"
                                  : ctx->waits ? "waited"
                                  : started ? "started" : "fresh";
        }

        if (rc == NGX_ERROR) {
            ctx->retry_after = ngx_http_intuit_refresh_after(view->provider,
                                                  &view->loaded.connection,
                                                  ngx_time());
        }

        if (rc != NGX_AGAIN) {
            return rc;
        }

        if (ctx->waits++ == NGX_HTTP_INTUIT_WAITS_MAX) {
            return NGX_ERROR;
        }

        ctx->provider = view->provider;
        ctx->generation = view->loaded.generation;

        if (!ngx_http_intuit_refresh_ready(ctx)) {
            break;
        }

        /* over already */

        if (ngx_http_intuit_refresh_reload(r, view) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    if (ngx_http_intuit_park_until(r, ctx, &ctx->connection,
                                   ngx_http_intuit_refresh_ready,
                                   ngx_http_core_run_phases)
        != NGX_OK)
    {
        return NGX_BUSY;
    }

    return NGX_AGAIN;
}


ngx_int_t
ngx_http_intuit_refresh_reload(ngx_http_request_t *r,
    ngx_http_intuit_view_t *view)
{
    ngx_http_intuit_id_t  id;

    if (ngx_http_intuit_connection_id(&id, view->provider,
                                      &view->loaded.connection.realm)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_intuit_connection_load(view->provider->store, &id, r->pool,
                                           &view->loaded.connection,
                                           &view->loaded.generation);
}


ngx_uint_t
ngx_http_intuit_refresh_ready(ngx_http_intuit_ctx_t *ctx)
{
    uint64_t    generation;
    ngx_uint_t  leased;

    if (ngx_http_intuit_connection_peek(ctx->provider->store,
                                        &ctx->connection, ngx_time(),
                                        &generation, &leased)
        != NGX_OK)
    {
        return 1;
    }

    return generation != ctx->generation || !leased;
}
