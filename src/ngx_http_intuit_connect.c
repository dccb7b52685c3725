/*
 * intuit_connect: a company's connection without a login.  A GET goes to
 * Intuit for the consent and comes back by the callback; a POST imports a
 * refresh token.  Either way the new tokens become the connection's current
 * ones.
 */

#include "ngx_http_intuit_exchange.h"


static ngx_int_t ngx_http_intuit_connect_consent(ngx_http_request_t *r);
static void ngx_http_intuit_connect_consent_resume(ngx_http_request_t *r);
static void ngx_http_intuit_connect_body(ngx_http_request_t *r);
static ngx_int_t ngx_http_intuit_connect_form(ngx_http_request_t *r,
    ngx_http_intuit_exchange_t *in);
static ngx_int_t ngx_http_intuit_connect_refresh(ngx_http_intuit_job_t *job);
static void ngx_http_intuit_connect_resume(ngx_http_request_t *r);
static ngx_int_t ngx_http_intuit_connect_answer(ngx_http_request_t *r,
    ngx_http_intuit_provider_t *provider, const ngx_http_intuit_id_t *id);


ngx_int_t
ngx_http_intuit_connect_handler(ngx_http_request_t *r)
{
    return ngx_http_intuit_operator_handler(r, ngx_http_intuit_connect_consent,
                                            ngx_http_intuit_connect_body);
}


static ngx_int_t
ngx_http_intuit_connect_consent(ngx_http_request_t *r)
{
    ngx_int_t                    rc;
    ngx_str_t                    target;
    ngx_http_intuit_ctx_t       *ctx;
    ngx_http_intuit_loc_conf_t  *ilcf;
    ngx_http_intuit_provider_t  *provider;

    ctx = ngx_http_intuit_get_ctx(r, 0);

    ctx->attempt = ngx_pcalloc(r->pool, sizeof(ngx_intuit_login_t));
    if (ctx->attempt == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ctx->attempt->connect = 1;

    ilcf = ngx_http_get_module_loc_conf(r, ngx_http_intuit_auth_module);
    provider = ilcf->action;

    if ((ngx_http_intuit_header_in(r, "sec-fetch-mode")
         && !ngx_http_intuit_navigation(r))
        || ngx_http_intuit_prefetch(r))
    {
        return ngx_http_intuit_fail(r, provider, NGX_HTTP_INTUIT_E_CROSS_SITE,
                                    "not a navigation");
    }

    ngx_str_set(&target, "/");

    rc = ngx_http_intuit_login_start(r, provider, &target,
                                     NGX_HTTP_INTUIT_START_CONNECT);

    if (rc != NGX_AGAIN) {
        return rc;
    }

    if (ngx_http_intuit_park(r, ctx, ngx_http_intuit_login_ready,
                             ngx_http_intuit_connect_consent_resume)
        != NGX_OK)
    {
        return ngx_http_intuit_fail(r, provider, NGX_HTTP_INTUIT_E_BUSY, NULL);
    }

    r->main->count++;

    return NGX_DONE;
}


static void
ngx_http_intuit_connect_consent_resume(ngx_http_request_t *r)
{
    ngx_int_t  rc;

    rc = ngx_http_intuit_connect_handler(r);

    ngx_http_finalize_request(r, rc);
}


ngx_int_t
ngx_http_intuit_connected(ngx_http_request_t *r,
    ngx_http_intuit_provider_t *provider, const ngx_http_intuit_id_t *id)
{
    u_char                   *p;
    uint64_t                  generation;
    ngx_str_t                 content, page;
    ngx_intuit_connection_t   c;

    if (ngx_http_intuit_connection_load(provider->store, id, r->pool, &c,
                                        &generation)
        != NGX_OK)
    {
        return ngx_http_intuit_fail(r, provider,
                                    NGX_HTTP_INTUIT_E_NOT_CONNECTED,
                                    "disconnected meanwhile");
    }

    /* 256: markup */

    p = ngx_pnalloc(r->pool, 256 + ngx_intuit_html_escaped_len(&c.company)
                             + ngx_intuit_html_escaped_len(&c.realm));
    if (p == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    content.data = p;

    p = ngx_sprintf(p, "<p>This site can now use the company's data.</p>\n"
                       "<dl>\n");

    if (c.company.len) {
        p = ngx_sprintf(p, "<dt>Company</dt><dd>");
        p = ngx_intuit_html_escape(p, &c.company);
        p = ngx_sprintf(p, "</dd>\n");
    }

    p = ngx_sprintf(p, "<dt>Company ID (realm)</dt><dd>");
    p = ngx_intuit_html_escape(p, &c.realm);
    p = ngx_sprintf(p, "</dd>\n</dl>\n");

    content.len = p - content.data;

    if (ngx_http_intuit_page(r, "Connected", &content, &page) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_intuit_send(r, NGX_HTTP_OK, "text/html", &page);
}


static void
ngx_http_intuit_connect_body(ngx_http_request_t *r)
{
    ngx_int_t                    rc;
    ngx_http_intuit_error_e      e;
    ngx_http_intuit_exchange_t   in;
    ngx_http_intuit_loc_conf_t  *ilcf;

    ilcf = ngx_http_get_module_loc_conf(r, ngx_http_intuit_auth_module);

    ngx_memzero(&in, sizeof(ngx_http_intuit_exchange_t));

    e = NGX_HTTP_INTUIT_E_MAX;

    rc = ngx_http_intuit_connect_form(r, &in);

    if (rc != NGX_OK) {
        e = rc == NGX_DECLINED ? NGX_HTTP_INTUIT_E_BODY
                               : NGX_HTTP_INTUIT_E_INTERNAL;

    } else if (!ngx_http_intuit_exchange_allows(ilcf->action, &in.realm)) {
        /* before the token is spent */
        e = NGX_HTTP_INTUIT_E_REALM_DENIED;
    }

    if (e != NGX_HTTP_INTUIT_E_MAX) {
        ngx_http_intuit_operator_fail(r, ilcf->action, e, "connect");
        return;
    }

    in.begin = ngx_http_intuit_connect_refresh;

    ngx_http_intuit_connect_start(r, ilcf->action, &in);
}


void
ngx_http_intuit_connect_start(ngx_http_request_t *r,
    ngx_http_intuit_provider_t *provider, ngx_http_intuit_exchange_t *in)
{
    ngx_int_t                 rc;
    ngx_http_intuit_ctx_t    *ctx;
    ngx_http_intuit_login_t   login;

    ctx = ngx_http_intuit_get_ctx(r, 0);

    rc = ngx_http_intuit_operator_begin(r, provider);

    if (rc != NGX_OK) {
        ngx_http_intuit_operator_fail(r, provider,
                                      rc == NGX_BUSY
                                      ? NGX_HTTP_INTUIT_E_BUSY
                                      : NGX_HTTP_INTUIT_E_STORE,
                                      "connect");
        return;
    }

    in->login = ctx->login;
    in->connect = 1;

    if (ngx_http_intuit_exchange_start(provider, in) != NGX_OK) {

        ngx_memzero(&login, sizeof(ngx_http_intuit_login_t));
        login.state = NGX_HTTP_INTUIT_LOGIN_FAILED;
        login.error = NGX_HTTP_INTUIT_E_BUSY;

        (void) ngx_http_intuit_login_end(provider->store, &ctx->login, &login,
                                         ngx_time());
    }

    ngx_http_intuit_operator_wait(r, ngx_http_intuit_connect_resume);
}


/* NGX_OK; NGX_DECLINED: it cannot be understood; NGX_ERROR. */

static ngx_int_t
ngx_http_intuit_connect_form(ngx_http_request_t *r,
    ngx_http_intuit_exchange_t *in)
{
    ngx_int_t   rc;
    ngx_str_t   text, *token;
    ngx_uint_t  i;

    rc = ngx_http_intuit_operator_text(r, &text);
    if (rc != NGX_OK) {
        return rc;
    }

    token = &in->given[0];

    rc = ngx_intuit_args_get(r->pool, &text, "realm", &in->realm);

    if (rc == NGX_OK) {
        rc = ngx_intuit_args_get(r->pool, &text, "refresh_token", token);
    }

    if (rc != NGX_OK) {
        return rc == NGX_ERROR ? NGX_ERROR : NGX_DECLINED;
    }

    if (!ngx_intuit_realm_valid(&in->realm)
        || token->len == 0 || token->len > NGX_INTUIT_REFRESH_SIZE)
    {
        return NGX_DECLINED;
    }

    for (i = 0; i < token->len; i++) {
        if (token->data[i] < 0x21 || token->data[i] > 0x7e) {
            return NGX_DECLINED;
        }
    }

    return NGX_OK;
}


/* the imported token is used at once: nobody else may use it after us */

static ngx_int_t
ngx_http_intuit_connect_refresh(ngx_http_intuit_job_t *job)
{
    ngx_int_t                        rc;
    ngx_str_t                        form;
    ngx_http_intuit_exchange_ctx_t  *ctx;

    ctx = job->data;

    rc = ngx_http_intuit_endpoints_wait(job, &ctx->endpoints,
                                        ngx_http_intuit_connect_refresh);
    if (rc == NGX_AGAIN) {
        return rc;
    }

    if (rc != NGX_OK) {
        return ngx_http_intuit_exchange_fail(job,
                                             NGX_HTTP_INTUIT_E_UNAVAILABLE,
                                             "no discovery document");
    }

    if (ngx_intuit_refresh_request(job->pool, &ctx->in.given[0], &form)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_intuit_token_post(job, &ctx->endpoints, &form,
                                      ngx_http_intuit_exchange_tokens);
}


static void
ngx_http_intuit_connect_resume(ngx_http_request_t *r)
{
    ngx_int_t                 rc;
    ngx_http_intuit_ctx_t    *ctx;
    ngx_http_intuit_error_e   e;
    ngx_http_intuit_login_t   login;

    ctx = ngx_http_intuit_get_ctx(r, 0);

    if (ngx_http_intuit_operator_outcome(ctx, &login) != NGX_OK) {
        rc = ngx_http_intuit_fail(r, ctx->provider, NGX_HTTP_INTUIT_E_STORE,
                                  "connect");

    } else if (login.state == NGX_HTTP_INTUIT_LOGIN_DONE) {
        rc = ngx_http_intuit_connect_answer(r, ctx->provider,
                                            &login.connection);

    } else {
        ctx->tid = login.tid;
        e = login.error ? login.error : NGX_HTTP_INTUIT_E_UNAVAILABLE;

        rc = ngx_http_intuit_fail(r, ctx->provider, e, "connect");
    }

    ngx_http_finalize_request(r, rc);
}


static ngx_int_t
ngx_http_intuit_connect_answer(ngx_http_request_t *r,
    ngx_http_intuit_provider_t *provider, const ngx_http_intuit_id_t *id)
{
    u_char                   *p;
    uint64_t                  generation;
    ngx_str_t                 body;
    ngx_intuit_connection_t   c;

    if (ngx_http_intuit_connection_load(provider->store, id, r->pool, &c,
                                        &generation)
        != NGX_OK)
    {
        return ngx_http_intuit_fail(r, provider,
                                    NGX_HTTP_INTUIT_E_NOT_CONNECTED,
                                    "disconnected meanwhile");
    }

    p = ngx_pnalloc(r->pool, sizeof("{\"connected\":true,\"realm_id\":\"\","
                                    "\"company\":\"null\"}\n")
                             + ngx_intuit_json_escaped_len(&c.realm)
                             + ngx_intuit_json_escaped_len(&c.company));
    if (p == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    body.data = p;

    p = ngx_sprintf(p, "{\"connected\":true,");
    p = ngx_http_intuit_json_text(p, "realm_id", &c.realm);
    *p++ = ',';
    p = ngx_http_intuit_json_text(p, "company", &c.company);
    p = ngx_sprintf(p, "}\n");

    body.len = p - body.data;

    return ngx_http_intuit_send(r, NGX_HTTP_OK, "application/json", &body);
}
