/*
 * The callback (RFC 6749, section 4.1.2), the client's side:
 *
 *   check -> claim the attempt -> (job) -> wait -> session cookie -> redirect
 *
 * The attempt is claimed once in the store.  A callback that arrives twice
 * waits for the first one's outcome and gets a session of its own.
 */

#include "ngx_http_intuit_cookie.h"
#include "ngx_http_intuit_exchange.h"
#include "ngx_http_intuit_login.h"
#include "ngx_http_intuit_share.h"


#define NGX_HTTP_INTUIT_CODE_MAX  2048


static const char *ngx_http_intuit_callback_parse(ngx_http_request_t *r,
    ngx_http_intuit_ctx_t *ctx, ngx_http_intuit_exchange_t *in,
    ngx_str_t *state, ngx_str_t *error);
static const char *ngx_http_intuit_callback_check(
    ngx_http_intuit_exchange_t *in, ngx_str_t *error);
static ngx_int_t ngx_http_intuit_callback_state(ngx_http_request_t *r,
    ngx_http_intuit_ctx_t *ctx, const ngx_str_t *state);
static ngx_int_t ngx_http_intuit_callback_stateless(ngx_http_request_t *r,
    ngx_http_intuit_ctx_t *ctx);
static ngx_int_t ngx_http_intuit_callback_error(ngx_http_request_t *r,
    ngx_http_intuit_ctx_t *ctx, ngx_str_t *error);
static ngx_int_t ngx_http_intuit_callback_claim(ngx_http_request_t *r,
    ngx_http_intuit_ctx_t *ctx, ngx_http_intuit_exchange_t *in);
static ngx_int_t ngx_http_intuit_callback_outcome(ngx_http_request_t *r,
    ngx_http_intuit_ctx_t *ctx, const ngx_http_intuit_login_t *login);
static ngx_int_t ngx_http_intuit_callback_session(ngx_http_request_t *r,
    ngx_http_intuit_ctx_t *ctx, const ngx_http_intuit_login_t *login);
static void ngx_http_intuit_callback_shared(ngx_http_request_t *r);
static ngx_int_t ngx_http_intuit_callback_signed_in(ngx_http_request_t *r,
    ngx_http_intuit_ctx_t *ctx);
static ngx_int_t ngx_http_intuit_callback_redirect(ngx_http_request_t *r,
    ngx_http_intuit_provider_t *provider, const ngx_str_t *target);
static ngx_int_t ngx_http_intuit_callback_hop(ngx_http_request_t *r,
    ngx_str_t *url);
static ngx_int_t ngx_http_intuit_callback_forget(ngx_http_request_t *r,
    ngx_http_intuit_ctx_t *ctx);
static ngx_int_t ngx_http_intuit_callback_park(ngx_http_request_t *r,
    ngx_http_intuit_ctx_t *ctx, const ngx_http_intuit_id_t *id,
    ngx_http_intuit_ready_pt ready);
static ngx_uint_t ngx_http_intuit_callback_ready(ngx_http_intuit_ctx_t *ctx);
static void ngx_http_intuit_callback_resume(ngx_http_request_t *r);


ngx_int_t
ngx_http_intuit_callback_handler(ngx_http_request_t *r)
{
    ngx_int_t                   rc;
    ngx_str_t                   state, error;
    const char                 *reason;
    ngx_intuit_endpoints_t      endpoints;
    ngx_http_intuit_ctx_t      *ctx;
    ngx_http_intuit_login_t     login;
    ngx_http_intuit_exchange_t  in;

    ctx = ngx_http_intuit_get_ctx(r, 0);

    if (!ctx->joined) {
        /* for refusals; the attempt tells which one it is */
        ctx->provider = ctx->endpoint->provider;
    }

    if (r->method != NGX_HTTP_GET) {
        return ngx_http_intuit_method_not_allowed(r, ctx->provider, "GET");
    }

    if (ngx_http_intuit_prefetch(r)) {
        return ngx_http_intuit_fail(r, ctx->provider,
                                    NGX_HTTP_INTUIT_E_CALLBACK, "prefetch");
    }

    if (ctx->joined) {
        rc = ngx_http_intuit_login_load(ctx->provider->store, &ctx->login,
                                        ngx_time(), r->pool, &login);

        if (rc != NGX_OK) {
            return ngx_http_intuit_fail(r, ctx->provider,
                                        rc == NGX_DECLINED
                                        ? NGX_HTTP_INTUIT_E_STATE
                                        : NGX_HTTP_INTUIT_E_STORE, NULL);
        }

        return ngx_http_intuit_callback_outcome(r, ctx, &login);
    }

    reason = ngx_http_intuit_callback_parse(r, ctx, &in, &state, &error);

    if (reason == NULL) {
        rc = ngx_http_intuit_callback_state(r, ctx, &state);

        if (rc == NGX_DECLINED) {
            return ngx_http_intuit_callback_stateless(r, ctx);
        }

        if (rc != NGX_OK) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        reason = ngx_http_intuit_callback_check(&in, &error);
    }

    if (reason) {
        return ngx_http_intuit_fail(r, ctx->provider,
                                    NGX_HTTP_INTUIT_E_CALLBACK, reason);
    }

    if (error.len) {
        return ngx_http_intuit_callback_error(r, ctx, &error);
    }

    if (in.realm.len && !ngx_intuit_realm_valid(&in.realm)) {
        return ngx_http_intuit_fail(r, ctx->provider,
                                    NGX_HTTP_INTUIT_E_REALM_UNPROVEN,
                                    "realmId is no number");
    }

    rc = ngx_http_intuit_endpoints_get(ctx->provider, r->pool, &endpoints);

    if (rc == NGX_AGAIN) {
        return ngx_http_intuit_callback_park(r, ctx, NULL,
                                             ngx_http_intuit_login_ready);
    }

    if (rc != NGX_OK) {
        return ngx_http_intuit_fail(r, ctx->provider,
                                    NGX_HTTP_INTUIT_E_UNAVAILABLE,
                                    "no discovery document");
    }

    return ngx_http_intuit_callback_claim(r, ctx, &in);
}


/*
 * Takes the query string apart.  NULL: go on, or why it is refused: a literal
 * for the log.
 */

static const char *
ngx_http_intuit_callback_parse(ngx_http_request_t *r,
    ngx_http_intuit_ctx_t *ctx, ngx_http_intuit_exchange_t *in,
    ngx_str_t *state, ngx_str_t *error)
{
    ngx_int_t   rc;
    ngx_str_t   description, *value[6];
    ngx_uint_t  i;

    static const char  *name[] = {
        "state", "code", "error", "error_description", "realmId", "iss"
    };

    static ngx_str_t  implicit[] = {
        ngx_string("access_token"),
        ngx_string("id_token"),
        ngx_null_string
    };

    ngx_memzero(in, sizeof(ngx_http_intuit_exchange_t));

    value[0] = state;
    value[1] = &in->code;
    value[2] = error;
    value[3] = &description;
    value[4] = &in->realm;
    value[5] = &in->issuer;

    for (i = 0; i < 6; i++) {

        ngx_str_null(value[i]);

        rc = ngx_intuit_args_get(r->pool, &ctx->args, name[i], value[i]);

        if (rc != NGX_OK && rc != NGX_DECLINED) {
            return "malformed or repeated argument";
        }
    }

    for (i = 0; implicit[i].len; i++) {
        if (ngx_intuit_args_has(&ctx->args, &implicit[i])) {
            return "a token in the query string";
        }
    }

    return NULL;
}


/* what a callback of this browser's own attempt must look like; as above */

static const char *
ngx_http_intuit_callback_check(ngx_http_intuit_exchange_t *in,
    ngx_str_t *error)
{
    ngx_uint_t  i;

    if ((in->code.len != 0) == (error->len != 0)) {
        return "neither or both of code and error";
    }

    if (in->code.len > NGX_HTTP_INTUIT_CODE_MAX) {
        return "code is too long";
    }

    for (i = 0; i < in->code.len; i++) {
        if (in->code.data[i] < 0x21 || in->code.data[i] > 0x7e) {
            return "code has impossible bytes";
        }
    }

    return NULL;
}


/*
 * The state counts only with the cookie that was sealed for it.  Providers
 * of one app share the redirect URI: the cookie tells which one it was.
 * NGX_OK sets ctx->provider and ctx->attempt; NGX_DECLINED; NGX_ERROR.
 */

static ngx_int_t
ngx_http_intuit_callback_state(ngx_http_request_t *r,
    ngx_http_intuit_ctx_t *ctx, const ngx_str_t *state)
{
    ngx_int_t                    rc;
    ngx_str_t                    raw, name, cookie, sealed;
    ngx_uint_t                   i;
    ngx_http_intuit_endpoint_t  *ep;
    ngx_http_intuit_srv_conf_t  *iscf;

    if (state->len != NGX_HTTP_INTUIT_COOKIE_LEN) {
        return NGX_DECLINED;
    }

    rc = ngx_intuit_base64url_decode(r->pool, &raw, state);
    if (rc != NGX_OK) {
        return rc;
    }

    ctx->attempt = ngx_pcalloc(r->pool, sizeof(ngx_intuit_login_t));
    if (ctx->attempt == NULL) {
        return NGX_ERROR;
    }

    iscf = ngx_http_get_module_srv_conf(r, ngx_http_intuit_auth_module);
    ep = iscf->endpoints.elts;

    for (i = 0; i < iscf->endpoints.nelts; i++) {

        if (!ep[i].callback
            || ep[i].uri.len != ctx->endpoint->uri.len
            || ngx_memcmp(ep[i].uri.data, ctx->endpoint->uri.data,
                          ep[i].uri.len)
               != 0)
        {
            continue;
        }

        if (ngx_http_intuit_login_cookie_name(r->pool, ep[i].provider,
                                              raw.data, &name)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        if (ngx_http_intuit_cookie_get(r, &name, &cookie) != NGX_OK) {
            continue;
        }

        rc = ngx_http_intuit_login_open(r->pool, ep[i].provider, &cookie,
                                        ctx->attempt);
        if (rc == NGX_ERROR) {
            return NGX_ERROR;
        }

        if (rc != NGX_OK) {
            continue;
        }

        sealed.data = ctx->attempt->state;
        sealed.len = sizeof(ctx->attempt->state);

        if (!ngx_intuit_equal(&sealed, &raw)) {
            continue;
        }

        ctx->provider = ep[i].provider;

        return ngx_http_intuit_store_id(&ctx->login, "login", ctx->provider,
                                        &raw);
    }

    return NGX_DECLINED;
}


/* no attempt of this browser: signed in already ("Back"), or refused */

static ngx_int_t
ngx_http_intuit_callback_stateless(ngx_http_request_t *r,
    ngx_http_intuit_ctx_t *ctx)
{
    ngx_str_t  target;

    switch (ngx_http_intuit_identify(r, ctx->provider, &ctx->auth)) {

    case NGX_OK:
        ngx_str_set(&target, "/");
        return ngx_http_intuit_callback_redirect(r, ctx->provider, &target);

    case NGX_ERROR:
        return ngx_http_intuit_fail(r, ctx->provider,
                                    NGX_HTTP_INTUIT_E_STORE, NULL);
    }

    return ngx_http_intuit_fail(r, ctx->provider, NGX_HTTP_INTUIT_E_STATE,
                                NULL);
}


static ngx_int_t
ngx_http_intuit_callback_error(ngx_http_request_t *r,
    ngx_http_intuit_ctx_t *ctx, ngx_str_t *error)
{
    ngx_str_t                word;
    ngx_http_intuit_error_e  e;

    ngx_intuit_log_safe(r->pool, error, 64, &word);

    ngx_log_error(NGX_LOG_WARN, r->connection->log, 0,
                  "intuit login was refused by Intuit: \"%V\"", &word);

    if (ngx_http_intuit_callback_forget(r, ctx) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (error->len == 13 && ngx_memcmp(error->data, "access_denied", 13) == 0)
    {
        e = NGX_HTTP_INTUIT_E_ACCESS_DENIED;

    } else if ((error->len == 12
                && ngx_memcmp(error->data, "server_error", 12) == 0)
               || (error->len == 23
                   && ngx_memcmp(error->data, "temporarily_unavailable", 23)
                      == 0))
    {
        e = NGX_HTTP_INTUIT_E_UNAVAILABLE;

    } else {
        e = NGX_HTTP_INTUIT_E_AUTHORIZATION;
    }

    return ngx_http_intuit_fail(r, ctx->provider, e, NULL);
}


static ngx_int_t
ngx_http_intuit_callback_claim(ngx_http_request_t *r,
    ngx_http_intuit_ctx_t *ctx, ngx_http_intuit_exchange_t *in)
{
    time_t                       now;
    ngx_int_t                    rc;
    ngx_http_intuit_login_t      login;
    ngx_http_intuit_provider_t  *provider;

    provider = ctx->provider;
    now = ngx_time();

    login.deadline = now + ngx_http_intuit_job_deadline(provider) / 1000 + 2;
    login.expires = ctx->attempt->created + provider->login_timeout
                    + provider->leeway + 1;

    rc = ngx_http_intuit_login_begin(provider->store, &ctx->login, now,
                                     r->pool, &login);

    if (rc == NGX_DECLINED) {
        return ngx_http_intuit_callback_outcome(r, ctx, &login);
    }

    if (rc != NGX_OK) {
        return ngx_http_intuit_fail(r, provider,
                                    rc == NGX_BUSY ? NGX_HTTP_INTUIT_E_BUSY
                                                   : NGX_HTTP_INTUIT_E_STORE,
                                    NULL);
    }

    in->login = ctx->login;
    in->attempt = *ctx->attempt;
    in->connect = ctx->attempt->connect;
    ngx_str_null(&in->attempt.target);

    if (ngx_http_intuit_exchange_start(provider, in) != NGX_OK) {

        ngx_memzero(&login, sizeof(ngx_http_intuit_login_t));
        login.state = NGX_HTTP_INTUIT_LOGIN_FAILED;
        login.error = NGX_HTTP_INTUIT_E_BUSY;

        (void) ngx_http_intuit_login_end(provider->store, &ctx->login, &login,
                                         now);
    }

    ctx->joined = 1;

    rc = ngx_http_intuit_login_load(provider->store, &ctx->login, now,
                                    r->pool, &login);
    if (rc != NGX_OK) {
        return ngx_http_intuit_fail(r, provider, NGX_HTTP_INTUIT_E_STORE,
                                    NULL);
    }

    return ngx_http_intuit_callback_outcome(r, ctx, &login);
}


static ngx_int_t
ngx_http_intuit_callback_outcome(ngx_http_request_t *r,
    ngx_http_intuit_ctx_t *ctx, const ngx_http_intuit_login_t *login)
{
    ctx->joined = 1;

    if (login->state == NGX_HTTP_INTUIT_LOGIN_PENDING) {
        return ngx_http_intuit_callback_park(r, ctx, &ctx->login,
                                             ngx_http_intuit_callback_ready);
    }

    ctx->tid = login->tid;

    if (login->state == NGX_HTTP_INTUIT_LOGIN_DONE
        && login->session.len
        && ngx_http_intuit_login_take(ctx->provider->store, &ctx->login,
                                      ngx_time())
           == NGX_OK)
    {
        return ngx_http_intuit_callback_session(r, ctx, login);
    }

    if (ngx_http_intuit_callback_forget(r, ctx) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (login->state == NGX_HTTP_INTUIT_LOGIN_DONE && ctx->attempt->connect) {
        return ngx_http_intuit_connected(r, ctx->provider,
                                         &login->connection);
    }

    if (login->state == NGX_HTTP_INTUIT_LOGIN_DONE) {
        /* over for longer, or asked for more often, than anybody needs */
        return ngx_http_intuit_callback_stateless(r, ctx);
    }

    return ngx_http_intuit_fail(r, ctx->provider,
                                login->error ? login->error
                                         : NGX_HTTP_INTUIT_E_UNAVAILABLE,
                                "the exchange failed");
}


/* every one who waited gets a session of its own, with a new identifier */

static ngx_int_t
ngx_http_intuit_callback_session(ngx_http_request_t *r,
    ngx_http_intuit_ctx_t *ctx, const ngx_http_intuit_login_t *login)
{
    u_char                       random[32];
    ngx_int_t                    rc;
    ngx_str_t                    value;
    ngx_uint_t                   i, shared;
    ngx_intuit_session_t         session;
    ngx_http_intuit_id_t         id;
    ngx_http_intuit_provider_t  *provider;

    provider = ctx->provider;

    value.len = NGX_HTTP_INTUIT_COOKIE_LEN;
    value.data = ngx_pnalloc(r->pool, value.len);

    if (value.data == NULL
        || ngx_intuit_session_decode(&login->session, &session) != NGX_OK
        || ngx_intuit_random(random, sizeof(random)) != NGX_OK)
    {
        return ngx_http_intuit_fail(r, provider, NGX_HTTP_INTUIT_E_INTERNAL,
                                    NULL);
    }

    (void) ngx_intuit_base64url_encode(value.data, random, sizeof(random));
    ngx_intuit_cleanse(random, sizeof(random));

    if (ngx_http_intuit_session_id(&id, provider, &value) != NGX_OK) {
        return ngx_http_intuit_fail(r, provider, NGX_HTTP_INTUIT_E_INTERNAL,
                                    NULL);
    }

    shared = 0;

    for (i = 0; i < NGX_HTTP_INTUIT_ID_LEN; i++) {
        shared |= login->connection.data[i];
    }

    rc = ngx_http_intuit_session_create(provider->store, &id, &login->session,
                                        session.expires,
                                        shared ? &login->connection : NULL,
                                        ngx_time());
    if (rc != NGX_OK) {
        return ngx_http_intuit_fail(r, provider,
                                    rc == NGX_BUSY ? NGX_HTTP_INTUIT_E_BUSY
                                                   : NGX_HTTP_INTUIT_E_STORE,
                                    "session could not be stored");
    }

    ctx->share_cookie = value;

    rc = ngx_http_intuit_share_put(r, provider, &id, login,
                                   ngx_http_intuit_callback_shared);

    if (rc == NGX_AGAIN) {
        r->main->count++;
        return NGX_DONE;
    }

    if (rc == NGX_ERROR) {
        (void) ngx_http_intuit_session_remove(provider->store, &id);

        return ngx_http_intuit_fail(r, provider, NGX_HTTP_INTUIT_E_STORE,
                                    "session could not be shared");
    }

    return ngx_http_intuit_callback_signed_in(r, ctx);
}


/* the other hosts know it: the browser may come to any of them */

static void
ngx_http_intuit_callback_shared(ngx_http_request_t *r)
{
    ngx_int_t               rc;
    ngx_http_intuit_ctx_t  *ctx;

    ctx = ngx_http_intuit_get_ctx(r, 0);
    ctx->share_waits = 0;

    if (ctx->share_rc == NGX_OK) {
        rc = ngx_http_intuit_callback_signed_in(r, ctx);

    } else {
        (void) ngx_http_intuit_session_remove(ctx->provider->store,
                                              &ctx->share_id);

        rc = ngx_http_intuit_fail(r, ctx->provider, NGX_HTTP_INTUIT_E_STORE,
                                  "session could not be shared");
    }

    ngx_http_finalize_request(r, rc);
}


static ngx_int_t
ngx_http_intuit_callback_signed_in(ngx_http_request_t *r,
    ngx_http_intuit_ctx_t *ctx)
{
    ngx_http_intuit_provider_t  *provider;

    provider = ctx->provider;

    /* the session that this browser had before is replaced */

    if (ngx_http_intuit_identify(r, provider, &ctx->auth) == NGX_OK) {
        (void) ngx_http_intuit_session_remove(provider->store, &ctx->auth->id);
        ngx_http_intuit_share_drop(provider, &ctx->auth->id);
    }

    if (ngx_http_intuit_callback_forget(r, ctx) != NGX_OK
        || ngx_http_intuit_cookie_set(r, provider, &provider->cookie_name,
                                      &ctx->share_cookie, 0, 0)
           != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_intuit_callback_redirect(r, provider,
                                             &ctx->attempt->target);
}


static ngx_int_t
ngx_http_intuit_callback_redirect(ngx_http_request_t *r,
    ngx_http_intuit_provider_t *provider, const ngx_str_t *target)
{
    u_char     *p;
    ngx_str_t   url;

    url.len = provider->redirect.origin.len + target->len;
    url.data = ngx_pnalloc(r->pool, url.len);
    if (url.data == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    p = ngx_cpymem(url.data, provider->redirect.origin.data,
                   provider->redirect.origin.len);
    ngx_memcpy(p, target->data, target->len);

    if (provider->strict) {
        return ngx_http_intuit_callback_hop(r, &url);
    }

    return ngx_http_intuit_redirect(r, NGX_HTTP_MOVED_TEMPORARILY, &url);
}


/*
 * A SameSite=Strict cookie is not sent along a redirect that another site
 * began: the browser must start anew from a page of ours.
 */

static ngx_int_t
ngx_http_intuit_callback_hop(ngx_http_request_t *r, ngx_str_t *url)
{
    u_char     *p;
    size_t      len;
    ngx_str_t   value, content, page;

    len = ngx_intuit_html_escaped_len(url);

    value.data = ngx_pnalloc(r->pool, sizeof("0;url=") - 1 + url->len);
    content.data = ngx_pnalloc(r->pool, len
                               + sizeof("<p><a href=\"\">Continue</a></p>"));

    if (value.data == NULL || content.data == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    p = ngx_cpymem(value.data, "0;url=", sizeof("0;url=") - 1);
    p = ngx_cpymem(p, url->data, url->len);
    value.len = p - value.data;

    p = ngx_cpymem(content.data, "<p><a href=\"", sizeof("<p><a href=\"") - 1);
    p = ngx_intuit_html_escape(p, url);
    p = ngx_cpymem(p, "\">Continue</a></p>",
                   sizeof("\">Continue</a></p>") - 1);
    content.len = p - content.data;

    if (ngx_http_intuit_add_header(r, "Refresh", &value) != NGX_OK
        || ngx_http_intuit_page(r, "Signed in", &content, &page) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_intuit_send(r, NGX_HTTP_OK, "text/html", &page);
}


/* the attempt is over: its cookie goes */

static ngx_int_t
ngx_http_intuit_callback_forget(ngx_http_request_t *r,
    ngx_http_intuit_ctx_t *ctx)
{
    ngx_str_t  name;

    if (ngx_http_intuit_login_cookie_name(r->pool, ctx->provider,
                                          ctx->attempt->state, &name)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_intuit_cookie_set(r, ctx->provider, &name, NULL, 0, 1);
}


static ngx_int_t
ngx_http_intuit_callback_park(ngx_http_request_t *r,
    ngx_http_intuit_ctx_t *ctx, const ngx_http_intuit_id_t *id,
    ngx_http_intuit_ready_pt ready)
{
    if (ngx_http_intuit_park_until(r, ctx, id, ready,
                                   ngx_http_intuit_callback_resume)
        != NGX_OK)
    {
        return ngx_http_intuit_fail(r, ctx->provider, NGX_HTTP_INTUIT_E_BUSY,
                                    "too many requests are waiting");
    }

    r->main->count++;

    return NGX_DONE;
}


static ngx_uint_t
ngx_http_intuit_callback_ready(ngx_http_intuit_ctx_t *ctx)
{
    ngx_pool_t               *pool;
    ngx_uint_t                pending;
    ngx_http_intuit_login_t   login;

    pool = ctx->request->pool;

    pending = (ngx_http_intuit_login_load(ctx->provider->store, &ctx->login,
                                          ngx_time(), pool, &login)
               == NGX_OK
               && login.state == NGX_HTTP_INTUIT_LOGIN_PENDING);

    return !pending;
}


static void
ngx_http_intuit_callback_resume(ngx_http_request_t *r)
{
    ngx_int_t  rc;

    rc = ngx_http_intuit_callback_handler(r);

    ngx_http_finalize_request(r, rc);
}
