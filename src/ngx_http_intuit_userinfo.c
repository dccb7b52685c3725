/*
 * session_uri for a program that brings an access token of its own: whose is
 * it?  Intuit is asked in a job:
 *
 *   ask -> answer
 *
 * Neither the token nor the answer is kept.
 */

#include "ngx_http_intuit_cookie.h"
#include "ngx_http_intuit_discovery.h"


#define NGX_HTTP_INTUIT_BEARER_MAX  4096


/* the client's side, in its own pool; the job writes here while job is set */
struct ngx_http_intuit_asked_s {
    ngx_http_intuit_job_t        *job;        /* NULL: it has ended */
    ngx_http_request_t           *request;
    ngx_http_intuit_error_e       error;
    ngx_str_t                     body;       /* empty: error is valid */
    unsigned                      done:1;
};

typedef struct {
    ngx_http_intuit_asked_t      *asked;      /* NULL: the client has left */
    ngx_str_t                     authorization;
    ngx_http_intuit_error_e       error;
    ngx_str_t                     body;
} ngx_http_intuit_userinfo_ctx_t;


static ngx_uint_t ngx_http_intuit_userinfo_bearer(ngx_http_request_t *r,
    ngx_str_t *value);
static ngx_int_t ngx_http_intuit_userinfo_start(ngx_http_request_t *r,
    ngx_http_intuit_ctx_t *ctx, const ngx_str_t *bearer);
static ngx_int_t ngx_http_intuit_userinfo_ask(ngx_http_intuit_job_t *job);
static ngx_int_t ngx_http_intuit_userinfo_answer(ngx_http_intuit_job_t *job);
static void ngx_http_intuit_userinfo_done(ngx_http_intuit_job_t *job,
    ngx_int_t rc);
static ngx_uint_t ngx_http_intuit_userinfo_ready(ngx_http_intuit_ctx_t *ctx);
static void ngx_http_intuit_userinfo_resume(ngx_http_request_t *r);
static ngx_int_t ngx_http_intuit_userinfo_send(ngx_http_request_t *r,
    ngx_http_intuit_ctx_t *ctx);
static void ngx_http_intuit_userinfo_leave(void *data);


ngx_int_t
ngx_http_intuit_userinfo_handler(ngx_http_request_t *r)
{
    ngx_str_t                    value, bearer;
    ngx_http_intuit_ctx_t       *ctx;
    ngx_http_intuit_provider_t  *provider;

    ctx = ngx_http_intuit_get_ctx(r, 0);
    provider = ctx->endpoint->provider;

    if (!ngx_http_intuit_userinfo_bearer(r, &bearer)
        || ngx_http_intuit_cookie_get(r, &provider->cookie_name, &value)
           != NGX_DECLINED)
    {
        return NGX_DECLINED;
    }

    if (bearer.len > NGX_HTTP_INTUIT_BEARER_MAX) {
        return ngx_http_intuit_fail(r, provider, NGX_HTTP_INTUIT_E_TOKEN,
                                    "too long");
    }

    if (ngx_http_intuit_userinfo_start(r, ctx, &bearer) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (ctx->asked->done) {
        return ngx_http_intuit_userinfo_send(r, ctx);
    }

    if (ngx_http_intuit_park(r, ctx, ngx_http_intuit_userinfo_ready,
                             ngx_http_intuit_userinfo_resume)
        != NGX_OK)
    {
        return ngx_http_intuit_fail(r, provider, NGX_HTTP_INTUIT_E_BUSY, NULL);
    }

    r->main->count++;

    return NGX_DONE;
}


/* the header as it came; 1: "Bearer" and something printable */

static ngx_uint_t
ngx_http_intuit_userinfo_bearer(ngx_http_request_t *r, ngx_str_t *value)
{
    size_t      i;
    ngx_str_t  *h;

    h = ngx_http_intuit_header_in(r, "authorization");

    if (h == NULL || h->len <= sizeof("Bearer ") - 1
        || ngx_strncasecmp(h->data, (u_char *) "Bearer ",
                           sizeof("Bearer ") - 1)
           != 0)
    {
        return 0;
    }

    for (i = sizeof("Bearer ") - 1; i < h->len; i++) {

        if (h->data[i] < 0x21 || h->data[i] > 0x7e) {
            return 0;
        }
    }

    *value = *h;

    return 1;
}


static ngx_int_t
ngx_http_intuit_userinfo_start(ngx_http_request_t *r,
    ngx_http_intuit_ctx_t *ctx, const ngx_str_t *bearer)
{
    ngx_pool_cleanup_t              *cln;
    ngx_http_intuit_job_t           *job;
    ngx_http_intuit_asked_t         *asked;
    ngx_http_intuit_userinfo_ctx_t  *uctx;

    cln = ngx_pool_cleanup_add(r->pool, sizeof(ngx_http_intuit_asked_t));
    if (cln == NULL) {
        return NGX_ERROR;
    }

    asked = cln->data;
    ngx_memzero(asked, sizeof(ngx_http_intuit_asked_t));
    cln->handler = ngx_http_intuit_userinfo_leave;

    asked->request = r;
    ctx->asked = asked;

    job = ngx_http_intuit_job_create(ctx->endpoint->provider, "userinfo");
    if (job == NULL) {
        return NGX_ERROR;
    }

    uctx = ngx_pcalloc(job->pool, sizeof(ngx_http_intuit_userinfo_ctx_t));
    if (uctx == NULL) {
        ngx_http_intuit_job_discard(job);
        return NGX_ERROR;
    }

    uctx->authorization.len = bearer->len;
    uctx->authorization.data = ngx_pnalloc(job->pool, bearer->len);
    if (uctx->authorization.data == NULL) {
        ngx_http_intuit_job_discard(job);
        return NGX_ERROR;
    }

    ngx_memcpy(uctx->authorization.data, bearer->data, bearer->len);

    uctx->error = NGX_HTTP_INTUIT_E_UNAVAILABLE;
    uctx->asked = asked;
    asked->job = job;

    job->data = uctx;
    job->step = ngx_http_intuit_userinfo_ask;
    job->done = ngx_http_intuit_userinfo_done;

    ngx_http_intuit_job_run(job);

    return NGX_OK;
}


static ngx_int_t
ngx_http_intuit_userinfo_ask(ngx_http_intuit_job_t *job)
{
    ngx_int_t                        rc;
    ngx_intuit_endpoints_t           endpoints;
    ngx_http_intuit_fetch_t          request;
    ngx_http_intuit_userinfo_ctx_t  *uctx;

    uctx = job->data;

    rc = ngx_http_intuit_endpoints_get(job->provider, job->pool, &endpoints);

    if (rc == NGX_AGAIN) {
        job->step = ngx_http_intuit_userinfo_ask;
        return ngx_http_intuit_job_wait(job);
    }

    if (rc != NGX_OK || endpoints.userinfo_endpoint.len == 0) {
        return NGX_ERROR;
    }

    ngx_memzero(&request, sizeof(ngx_http_intuit_fetch_t));

    request.url = endpoints.userinfo_endpoint;
    request.authorization = uctx->authorization;

    job->step = ngx_http_intuit_userinfo_answer;

    return ngx_http_intuit_fetch(job, &request);
}


static ngx_int_t
ngx_http_intuit_userinfo_answer(ngx_http_intuit_job_t *job)
{
    ngx_str_t                        any;
    const char                      *reason;
    ngx_intuit_json_t               *claims;
    ngx_http_intuit_fetch_t         *fetch;
    ngx_http_intuit_userinfo_ctx_t  *uctx;

    uctx = job->data;
    fetch = job->fetch;

    if (fetch->rc != NGX_OK || fetch->status >= 500
        || fetch->status == NGX_HTTP_TOO_MANY_REQUESTS)
    {
        return NGX_DECLINED;
    }

    if (fetch->status == NGX_HTTP_UNAUTHORIZED) {
        uctx->error = NGX_HTTP_INTUIT_E_TOKEN;
        return NGX_DECLINED;
    }

    if (fetch->status == NGX_HTTP_FORBIDDEN) {
        uctx->error = NGX_HTTP_INTUIT_E_FORBIDDEN;
        return NGX_DECLINED;
    }

    uctx->error = NGX_HTTP_INTUIT_E_ANSWER;

    ngx_str_null(&any);

    if (fetch->status != NGX_HTTP_OK
        || ngx_intuit_userinfo_parse(job->pool, &fetch->answer, &any, &claims,
                                     &reason)
           != NGX_OK)
    {
        return NGX_DECLINED;
    }

    return ngx_intuit_json_dump(job->pool, claims, &uctx->body);
}


static void
ngx_http_intuit_userinfo_done(ngx_http_intuit_job_t *job, ngx_int_t rc)
{
    ngx_http_intuit_ctx_t           *ctx;
    ngx_http_intuit_asked_t         *asked;
    ngx_http_intuit_userinfo_ctx_t  *uctx;

    uctx = job->data;
    asked = uctx->asked;

    ngx_intuit_cleanse(uctx->authorization.data, uctx->authorization.len);

    if (asked == NULL) {
        return;
    }

    asked->job = NULL;
    asked->done = 1;
    asked->error = uctx->error;

    ctx = ngx_http_intuit_get_ctx(asked->request, 0);

    if (job->fetch && job->fetch->tid.len) {

        ctx->tid.data = ngx_pstrdup(asked->request->pool, &job->fetch->tid);

        if (ctx->tid.data) {
            ctx->tid.len = job->fetch->tid.len;
        }
    }

    if (rc != NGX_OK) {
        return;
    }

    asked->body.data = ngx_pstrdup(asked->request->pool, &uctx->body);

    if (asked->body.data) {
        asked->body.len = uctx->body.len;
    }
}


static ngx_uint_t
ngx_http_intuit_userinfo_ready(ngx_http_intuit_ctx_t *ctx)
{
    return ctx->asked->done;
}


static void
ngx_http_intuit_userinfo_resume(ngx_http_request_t *r)
{
    ngx_http_finalize_request(r,
             ngx_http_intuit_userinfo_send(r, ngx_http_intuit_get_ctx(r, 0)));
}


static ngx_int_t
ngx_http_intuit_userinfo_send(ngx_http_request_t *r,
    ngx_http_intuit_ctx_t *ctx)
{
    ngx_str_t                 challenge;
    ngx_http_intuit_asked_t  *asked;

    asked = ctx->asked;

    if (asked->body.len) {
        return ngx_http_intuit_send(r, NGX_HTTP_OK, "application/json",
                                    &asked->body);
    }

    if (asked->error == NGX_HTTP_INTUIT_E_TOKEN) {

        /* RFC 6750, section 3 */

        ngx_str_set(&challenge, "Bearer error=\"invalid_token\"");

        if (ngx_http_intuit_add_header(r, "WWW-Authenticate", &challenge)
            != NGX_OK)
        {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
    }

    return ngx_http_intuit_fail(r, ctx->endpoint->provider, asked->error,
                                "a client's own token");
}


/* the client has left, answered or not */

static void
ngx_http_intuit_userinfo_leave(void *data)
{
    ngx_http_intuit_asked_t *asked = data;

    ngx_http_intuit_userinfo_ctx_t  *uctx;

    if (asked->job) {
        uctx = asked->job->data;
        uctx->asked = NULL;
    }
}
