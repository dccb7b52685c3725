/*
 * What intuit_connect, intuit_disconnect, intuit_migrate and intuit_status have
 * in common:
 * who may ask, the request's body, and waiting for the job that does it.
 */

#include "ngx_http_intuit_job.h"


#define NGX_HTTP_INTUIT_BODY_MAX     16384
#define NGX_HTTP_INTUIT_OUTCOME      60      /* s that an outcome is kept */


static ngx_int_t ngx_http_intuit_operator_read(ngx_http_request_t *r,
    ngx_http_intuit_provider_t *provider,
    ngx_http_client_body_handler_pt handler);
static ngx_uint_t ngx_http_intuit_operator_ready(ngx_http_intuit_ctx_t *ctx);


/*
 * The location's own guards have been asked.  Without auth_intuit that is no
 * guard that a page of another site could not make a browser pass.
 */

ngx_int_t
ngx_http_intuit_operator_handler(ngx_http_request_t *r,
    ngx_http_handler_pt get, ngx_http_client_body_handler_pt post)
{
    const char                  *allow;
    ngx_http_intuit_ctx_t       *ctx;
    ngx_http_intuit_loc_conf_t  *ilcf;
    ngx_http_intuit_provider_t  *provider;

    ctx = ngx_http_intuit_get_ctx(r, 1);
    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ilcf = ngx_http_get_module_loc_conf(r, ngx_http_intuit_auth_module);
    provider = ilcf->action;

    if (!ngx_http_intuit_guarded(r, ctx)) {
        return ngx_http_intuit_fail(r, provider,
                                    NGX_HTTP_INTUIT_E_CLIENT_ADDRESS, NULL);
    }

    if (ngx_http_intuit_cross_site(r)) {
        return ngx_http_intuit_fail(r, provider, NGX_HTTP_INTUIT_E_CROSS_SITE,
                                    NULL);
    }

    if (get
        && (r->method == NGX_HTTP_GET
            || (r->method == NGX_HTTP_HEAD && ilcf->status)))
    {
        return get(r);
    }

    if (post && r->method == NGX_HTTP_POST) {
        return ngx_http_intuit_operator_read(r, provider, post);
    }

    allow = get ? "GET, POST" : "POST";

    if (ilcf->status) {
        allow = post ? "GET, HEAD, POST" : "GET, HEAD";
    }

    return ngx_http_intuit_method_not_allowed(r, provider, allow);
}


/* It stays in memory: a token must never get to a temporary file. */

static ngx_int_t
ngx_http_intuit_operator_read(ngx_http_request_t *r,
    ngx_http_intuit_provider_t *provider,
    ngx_http_client_body_handler_pt handler)
{
    off_t                      max;
    ngx_int_t                  rc;
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    max = ngx_min(NGX_HTTP_INTUIT_BODY_MAX,
                  (off_t) clcf->client_body_buffer_size);

    if (r->headers_in.chunked || r->headers_in.content_length_n > max) {
        return ngx_http_intuit_fail(r, provider, NGX_HTTP_INTUIT_E_BODY,
                                    "the body is too long, or has no "
                                    "Content-Length");
    }

    r->request_body_in_single_buf = 1;

    rc = ngx_http_read_client_request_body(r, handler);

    return rc >= NGX_HTTP_SPECIAL_RESPONSE ? rc : NGX_DONE;
}


void
ngx_http_intuit_operator_fail(ngx_http_request_t *r,
    ngx_http_intuit_provider_t *provider, ngx_http_intuit_error_e error,
    const char *reason)
{
    ngx_http_finalize_request(r, ngx_http_intuit_fail(r, provider, error,
                                                      reason));
}


ngx_int_t
ngx_http_intuit_operator_text(ngx_http_request_t *r, ngx_str_t *text)
{
    u_char       *p;
    size_t        len;
    ngx_chain_t  *cl;

    ngx_str_null(text);

    if (r->request_body == NULL || r->request_body->bufs == NULL) {
        return NGX_OK;
    }

    len = 0;

    for (cl = r->request_body->bufs; cl; cl = cl->next) {

        if (cl->buf->in_file) {
            /* client_body_in_file_only */
            return NGX_DECLINED;
        }

        len += ngx_buf_size(cl->buf);
    }

    p = ngx_pnalloc(r->pool, len + 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    text->data = p;

    for (cl = r->request_body->bufs; cl; cl = cl->next) {
        if (cl->buf->last > cl->buf->pos) {
            p = ngx_cpymem(p, cl->buf->pos, cl->buf->last - cl->buf->pos);
        }
    }

    text->len = p - text->data;

    return NGX_OK;
}


/*
 * The outcome is kept like that of a login: the job tells it there, whoever
 * still waits.
 */

ngx_int_t
ngx_http_intuit_operator_begin(ngx_http_request_t *r,
    ngx_http_intuit_provider_t *provider)
{
    u_char                    random[32];
    time_t                    now;
    ngx_int_t                 rc;
    ngx_str_t                 value;
    ngx_http_intuit_ctx_t    *ctx;
    ngx_http_intuit_login_t   login;

    ctx = ngx_http_intuit_get_ctx(r, 0);
    now = ngx_time();

    value.data = random;
    value.len = sizeof(random);

    if (ngx_intuit_random(random, sizeof(random)) != NGX_OK
        || ngx_http_intuit_store_id(&ctx->login, "login", provider, &value)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_memzero(&login, sizeof(ngx_http_intuit_login_t));

    login.deadline = now + ngx_http_intuit_job_deadline(provider) / 1000 + 2;
    login.expires = login.deadline + NGX_HTTP_INTUIT_OUTCOME;

    rc = ngx_http_intuit_login_begin(provider->store, &ctx->login, now,
                                     r->pool, &login);

    ctx->provider = provider;
    ctx->request = r;

    return rc;
}


void
ngx_http_intuit_operator_wait(ngx_http_request_t *r,
    void (*resume)(ngx_http_request_t *r))
{
    ngx_http_intuit_ctx_t  *ctx;

    ctx = ngx_http_intuit_get_ctx(r, 0);

    if (ngx_http_intuit_operator_ready(ctx)) {
        resume(r);
        return;
    }

    if (ngx_http_intuit_park(r, ctx, ngx_http_intuit_operator_ready, resume)
        == NGX_OK)
    {
        return;
    }

    ngx_http_intuit_operator_fail(r, ctx->provider, NGX_HTTP_INTUIT_E_BUSY,
                                  "too many requests are waiting");
}


static ngx_uint_t
ngx_http_intuit_operator_ready(ngx_http_intuit_ctx_t *ctx)
{
    ngx_http_intuit_login_t  login;

    return ngx_http_intuit_operator_outcome(ctx, &login) != NGX_OK
           || login.state != NGX_HTTP_INTUIT_LOGIN_PENDING;
}


ngx_int_t
ngx_http_intuit_operator_outcome(ngx_http_intuit_ctx_t *ctx,
    ngx_http_intuit_login_t *login)
{
    return ngx_http_intuit_login_load(ctx->provider->store, &ctx->login,
                                      ngx_time(), ctx->request->pool, login);
}
