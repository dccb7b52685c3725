/*
 * Tokens between their arrival and their file, or the store that hosts share.
 *
 * A disk may take seconds, and a worker may be killed meanwhile; what it has
 * received nobody else has.  So the tokens are noted in the store at once,
 * beside the pair that they renew, where nobody uses them yet; and who finds
 * them there, when their owner is gone, goes on where it was stopped.
 */

#include "ngx_http_intuit_refresh.h"
#include "ngx_intuit_point.h"


void
ngx_http_intuit_refresh_note(ngx_http_intuit_job_t *job)
{
    uint64_t                        generation;
    ngx_str_t                       encoded;
    ngx_intuit_pair_t               arrived, *pair;
    ngx_intuit_connection_t         c;
    ngx_http_intuit_refresh_ctx_t  *ctx;

    ctx = job->data;

    if ((job->provider->state_path == NULL && job->provider->redis == NULL)
        || ctx->noted)
    {
        return;
    }

    ctx->noted = 1;

    c = ctx->connection;
    pair = ctx->spare ? &c.spare : &c.current;

    ngx_http_intuit_refresh_renewed(job, &c, pair);
    arrived = *pair;

    c = ctx->connection;
    c.arrived = arrived;
    c.renews = ctx->sent.access_token;

    if (ngx_intuit_connection_encode(job->pool, &c, &encoded) != NGX_OK) {
        return;
    }

    /* of the same generation: nothing has changed for those who wait */

    generation = ctx->generation;

    if (ngx_http_intuit_connection_replace(job->provider->store, &ctx->id,
                                           &encoded, &generation, generation,
                                           ngx_time())
        == NGX_OK)
    {
        ngx_http_intuit_connection_asking(job->provider->store, &ctx->id,
                                          ctx->owner, 0);

        ngx_intuit_point("answer-noted");
    }

    ngx_intuit_cleanse(encoded.data, encoded.len);
}


ngx_int_t
ngx_http_intuit_refresh_resume(ngx_http_intuit_job_t *job)
{
    ngx_intuit_pair_t              *arrived;
    ngx_intuit_tokens_t            *tokens;
    ngx_http_intuit_refresh_ctx_t  *ctx;

    ctx = job->data;
    arrived = &ctx->connection.arrived;
    tokens = &ctx->tokens;

    ngx_log_error(NGX_LOG_NOTICE, job->log, 0,
                  "intuit refresh goes on with what another worker had "
                  "received, realm \"%V\"", &ctx->connection.realm);

    /* the pair that was sent, as far as it is to be found again */

    ctx->sent = *arrived;
    ctx->sent.access_token = ctx->connection.renews;
    ctx->spare = ngx_intuit_equal(&ctx->connection.spare.access_token,
                                  &ctx->connection.renews);

    tokens->access_token = arrived->access_token;
    tokens->refresh_token = arrived->refresh_token;
    tokens->scope = arrived->scope;
    tokens->expires_in = arrived->expires - arrived->refreshed;

    if (arrived->refresh_expires) {
        tokens->refresh_expires_in = arrived->refresh_expires
                                     - arrived->refreshed;
    }

    if (arrived->hard_expires) {
        tokens->refresh_hard_expires_in = arrived->hard_expires
                                          - arrived->refreshed;
    }

    ctx->result = NGX_HTTP_INTUIT_REFRESH_RENEWED;
    ctx->received = arrived->refreshed;
    ctx->tid = ctx->connection.tid;
    ctx->noted = 1;

    return ngx_http_intuit_refresh_save(job);
}
