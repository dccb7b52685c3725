/*
 * session_uri: tells a page's script who is signed in, never with a token; a
 * POST with action=refresh gets the connection a new one.
 */

#include "ngx_http_intuit_refresh.h"
#include "ngx_intuit_args.h"


#define NGX_HTTP_INTUIT_SESSION_FORM  1024    /* bytes */


static void ngx_http_intuit_session_form(ngx_http_request_t *r);
static ngx_uint_t ngx_http_intuit_session_asks(ngx_http_request_t *r);
static ngx_int_t ngx_http_intuit_session_refresh(ngx_http_request_t *r,
    ngx_http_intuit_ctx_t *ctx);
static ngx_int_t ngx_http_intuit_session_answer(ngx_http_request_t *r,
    ngx_http_intuit_ctx_t *ctx);
static ngx_int_t ngx_http_intuit_session_anonymous(ngx_http_request_t *r,
    ngx_http_intuit_provider_t *provider);
static ngx_int_t ngx_http_intuit_session_json(ngx_http_request_t *r,
    ngx_http_intuit_view_t *view, ngx_str_t *body);


ngx_int_t
ngx_http_intuit_session_handler(ngx_http_request_t *r)
{
    ngx_int_t                    rc;
    ngx_http_intuit_ctx_t       *ctx;
    ngx_http_intuit_provider_t  *provider;

    ctx = ngx_http_intuit_get_ctx(r, 0);
    provider = ctx->endpoint->provider;

    if (!(r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD|NGX_HTTP_POST))) {
        return ngx_http_intuit_method_not_allowed(r, provider,
                                                  "GET, HEAD, POST");
    }

    if (r->method != NGX_HTTP_POST) {
        rc = ngx_http_intuit_userinfo_handler(r);
        return rc == NGX_DECLINED ? ngx_http_intuit_session_answer(r, ctx)
                                  : rc;
    }

    if (ngx_http_intuit_cross_site(r)) {
        return ngx_http_intuit_fail(r, provider, NGX_HTTP_INTUIT_E_CROSS_SITE,
                                    "session");
    }

    if (r->headers_in.content_length_n > NGX_HTTP_INTUIT_SESSION_FORM) {
        return ngx_http_intuit_fail(r, provider, NGX_HTTP_INTUIT_E_ACTION,
                                    "the form is too long");
    }

    r->request_body_in_single_buf = 1;

    rc = ngx_http_read_client_request_body(r, ngx_http_intuit_session_form);

    return rc >= NGX_HTTP_SPECIAL_RESPONSE ? rc : NGX_DONE;
}


static void
ngx_http_intuit_session_form(ngx_http_request_t *r)
{
    ngx_int_t               rc;
    ngx_http_intuit_ctx_t  *ctx;

    ctx = ngx_http_intuit_get_ctx(r, 0);

    if (ngx_http_intuit_session_asks(r)) {
        rc = ngx_http_intuit_session_refresh(r, ctx);

    } else {
        rc = ngx_http_intuit_fail(r, ctx->endpoint->provider,
                                  NGX_HTTP_INTUIT_E_ACTION, NULL);
    }

    if (rc != NGX_AGAIN) {
        ngx_http_finalize_request(r, rc);
    }
}


/* 1: action=refresh */

static ngx_uint_t
ngx_http_intuit_session_asks(ngx_http_request_t *r)
{
    ngx_buf_t    *b;
    ngx_str_t     form, action;
    ngx_chain_t  *in;

    if (r->request_body == NULL || r->request_body->bufs == NULL
        || r->request_body->temp_file)
    {
        return 0;
    }

    /* a preread part and the rest may be in two buffers all the same */

    in = r->request_body->bufs;
    b = in->buf;

    if (in->next) {
        return 0;
    }

    form.data = b->pos;
    form.len = b->last - b->pos;

    return form.len <= NGX_HTTP_INTUIT_SESSION_FORM
           && ngx_intuit_args_get(r->pool, &form, "action", &action) == NGX_OK
           && action.len == 7
           && ngx_memcmp(action.data, "refresh", 7) == 0;
}


/* NGX_AGAIN: parked; else what ngx_http_finalize_request() takes */

static ngx_int_t
ngx_http_intuit_session_refresh(ngx_http_request_t *r,
    ngx_http_intuit_ctx_t *ctx)
{
    if (ngx_http_intuit_identify(r, ctx->endpoint->provider, &ctx->auth)
        != NGX_OK)
    {
        return ngx_http_intuit_session_answer(r, ctx);
    }

    return ngx_http_intuit_refresh_by_hand(r, ctx, ctx->auth,
                                           ngx_http_intuit_session_answer);
}


static ngx_int_t
ngx_http_intuit_session_answer(ngx_http_request_t *r,
    ngx_http_intuit_ctx_t *ctx)
{
    ngx_int_t                    rc;
    ngx_str_t                    body;
    ngx_http_intuit_provider_t  *provider;

    provider = ctx->endpoint->provider;

    rc = ngx_http_intuit_identify(r, provider, &ctx->auth);

    if (rc == NGX_ERROR) {
        return ngx_http_intuit_fail(r, provider, NGX_HTTP_INTUIT_E_STORE,
                                    NULL);
    }

    if (rc != NGX_OK) {
        return ngx_http_intuit_session_anonymous(r, provider);
    }

    if (ngx_http_intuit_session_json(r, ctx->auth, &body) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_intuit_send(r, NGX_HTTP_OK, "application/json", &body);
}


/* not a failure: the question has an answer, and no log line */

static ngx_int_t
ngx_http_intuit_session_anonymous(ngx_http_request_t *r,
    ngx_http_intuit_provider_t *provider)
{
    u_char     *p;
    ngx_str_t   body, link;

    if (ngx_http_intuit_login_link(r, provider, &link) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    p = ngx_pnalloc(r->pool, sizeof("{\"authenticated\":false,"
                                    "\"login_uri\":\"null\"}\n") - 1
                             + ngx_intuit_json_escaped_len(&link));
    if (p == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    body.data = p;

    p = ngx_sprintf(p, "{\"authenticated\":false,");
    p = ngx_http_intuit_json_text(p, "login_uri", &link);
    p = ngx_sprintf(p, "}\n");

    body.len = p - body.data;

    return ngx_http_intuit_send(r, NGX_HTTP_UNAUTHORIZED, "application/json",
                                &body);
}


static ngx_int_t
ngx_http_intuit_session_json(ngx_http_request_t *r,
    ngx_http_intuit_view_t *view, ngx_str_t *body)
{
    u_char                      *p;
    size_t                       len;
    ngx_str_t                    company, claims;
    const ngx_intuit_pair_t     *pair;
    const ngx_intuit_session_t  *session;

    session = &view->loaded.session;
    pair = ngx_http_intuit_view_pair(view);

    ngx_str_null(&company);

    if (view->loaded.has_connection) {
        company = view->loaded.connection.company;
    }

    if (ngx_intuit_session_claims(r->pool, session, &claims) != NGX_OK) {
        return NGX_ERROR;
    }

    if (claims.len == 0) {
        ngx_str_set(&claims, "{}");
    }

    /* 512: the names and three numbers */

    len = ngx_intuit_json_escaped_len(&view->provider->name)
          + ngx_intuit_json_escaped_len(&session->realm)
          + ngx_intuit_json_escaped_len(&company)
          + ngx_intuit_json_escaped_len(&session->sub)
          + ngx_intuit_json_escaped_len(&session->email)
          + claims.len + 512;

    p = ngx_pnalloc(r->pool, len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    body->data = p;

    p = ngx_sprintf(p, "{\"authenticated\":true,");
    p = ngx_http_intuit_json_text(p, "provider", &view->provider->name);
    *p++ = ',';
    p = ngx_http_intuit_json_text(p, "realm_id", &session->realm);
    *p++ = ',';
    p = ngx_http_intuit_json_text(p, "company", &company);
    *p++ = ',';
    p = ngx_http_intuit_json_text(p, "sub", &session->sub);
    *p++ = ',';
    p = ngx_http_intuit_json_text(p, "email", &session->email);
    p = ngx_sprintf(p, ",\"claims\":%V,", &claims);
    p = ngx_http_intuit_json_number(p, "session_expires", session->expires);
    *p++ = ',';
    p = ngx_http_intuit_json_number(p, "token_expires",
                                    pair ? pair->expires : 0);
    *p++ = ',';
    p = ngx_http_intuit_json_number(p, "refresh_token_expires",
                                    pair ? ngx_http_intuit_refresh_end(pair)
                                         : 0);
    p = ngx_sprintf(p, "}\n");

    body->len = p - body->data;

    return NGX_OK;
}
