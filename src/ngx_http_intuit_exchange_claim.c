/*
 * Before a code is sent, where several hosts share a store.
 */

#include "ngx_http_intuit_exchange.h"
#include "ngx_http_intuit_share.h"


static ngx_int_t ngx_http_intuit_exchange_claimed(ngx_http_intuit_job_t *job);


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

    return ngx_http_intuit_share_claim(job, &ctx->in.login);
}


static ngx_int_t
ngx_http_intuit_exchange_claimed(ngx_http_intuit_job_t *job)
{
    ngx_int_t  rc;

    rc = ngx_http_intuit_share_claimed(job);

    if (rc == NGX_BUSY) {
        return ngx_http_intuit_exchange_fail(job, NGX_HTTP_INTUIT_E_STATE,
                                      "another host has it already");
    }

    if (rc != NGX_OK) {
        return ngx_http_intuit_exchange_fail(job, NGX_HTTP_INTUIT_E_STORE,
                                      "the shared store cannot be asked");
    }

    job->step = ngx_http_intuit_exchange_code;

    return NGX_OK;
}
