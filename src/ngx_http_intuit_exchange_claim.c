/*
 * Before a code is sent, where several hosts share a store; and when it was.
 */

#include "ngx_http_intuit_exchange.h"
#include "ngx_http_intuit_share.h"


#define NGX_HTTP_INTUIT_CLAIM_LOOK  250   /* ms */


static ngx_int_t ngx_http_intuit_exchange_claimed(ngx_http_intuit_job_t *job);
static ngx_int_t ngx_http_intuit_exchange_elsewhere(
    ngx_http_intuit_job_t *job);


/* a code is sent once, whichever host the callback came to */

ngx_int_t
ngx_http_intuit_exchange_claim(ngx_http_intuit_job_t *job)
{
    ngx_http_intuit_exchange_ctx_t  *ctx;

    ctx = job->data;

    if (job->provider->redis == NULL) {
        job->step = ngx_http_intuit_exchange_code;
        return NGX_OK;
    }

    job->step = ngx_http_intuit_exchange_claimed;

    return ngx_http_intuit_share_claim(job, &ctx->in.login, &ctx->owner);
}


static ngx_int_t
ngx_http_intuit_exchange_claimed(ngx_http_intuit_job_t *job)
{
    ngx_http_intuit_login_t          login;
    ngx_http_intuit_exchange_ctx_t  *ctx;

    ctx = job->data;

    switch (ngx_http_intuit_share_claimed(job, &ctx->in.login, &login)) {

    case NGX_OK:
        ctx->claimed = 1;
        job->step = ngx_http_intuit_exchange_code;
        return NGX_OK;

    case NGX_BUSY:
        /* another host is at it */
        job->step = ngx_http_intuit_exchange_claim;
        return ngx_http_intuit_job_wait_for(job, NGX_HTTP_INTUIT_CLAIM_LOOK);

    case NGX_DECLINED:
        break;

    default:
        return ngx_http_intuit_exchange_fail(job, NGX_HTTP_INTUIT_E_STORE,
                                      "the shared store cannot be asked");
    }

    ctx->elsewhere = 1;
    ctx->result = login;

    if (login.state == NGX_HTTP_INTUIT_LOGIN_FAILED) {
        return NGX_DECLINED;
    }

    /* what the answer is about is to be known here, too */

    job->step = ngx_http_intuit_exchange_elsewhere;

    return ngx_http_intuit_share_get(job, &login.connection);
}


static ngx_int_t
ngx_http_intuit_exchange_elsewhere(ngx_http_intuit_job_t *job)
{
    ngx_http_intuit_exchange_ctx_t  *ctx;

    ctx = job->data;

    job->step = NULL;

    if (job->ask->rc == NGX_OK && job->ask->answer.value.text.len) {
        (void) ngx_http_intuit_share_adopt(job, &ctx->result.connection,
                                           &job->ask->answer.value.text);
    }

    return NGX_OK;
}


void
ngx_http_intuit_exchange_tell(ngx_http_intuit_job_t *job)
{
    ngx_http_intuit_exchange_ctx_t  *ctx;

    ctx = job->data;

    if (ctx->claimed) {
        ngx_http_intuit_share_ended(job, &ctx->in.login, &ctx->result);
    }
}
