/*
 * intuit_proxy: the company's token is injected, for paths of that company
 * only.
 */

#include "ngx_http_intuit_cookie.h"
#include "ngx_http_intuit_peer.h"
#include "ngx_http_intuit_refresh.h"
#include "ngx_http_intuit_share.h"


static ngx_int_t ngx_http_intuit_proxy_view(ngx_http_request_t *r,
    ngx_http_intuit_ctx_t *ctx, ngx_http_intuit_loc_conf_t *ilcf);
static ngx_int_t ngx_http_intuit_proxy_again(ngx_http_request_t *r,
    ngx_http_intuit_ctx_t *ctx, ngx_http_intuit_loc_conf_t *ilcf);
static ngx_int_t ngx_http_intuit_proxy_realm(ngx_http_request_t *r,
    ngx_http_intuit_ctx_t *ctx, ngx_http_intuit_loc_conf_t *ilcf);
static ngx_int_t ngx_http_intuit_proxy_fail(ngx_http_request_t *r,
    ngx_http_intuit_provider_t *provider, ngx_http_intuit_error_e error,
    const char *reason, const ngx_str_t *realm);
static ngx_int_t ngx_http_intuit_proxy_url(ngx_http_request_t *r,
    ngx_http_intuit_ctx_t *ctx, const ngx_str_t *realm);
static ngx_int_t ngx_http_intuit_proxy_target(ngx_http_request_t *r,
    ngx_str_t *path, ngx_str_t *args, ngx_str_t *id);
static ngx_int_t ngx_http_intuit_proxy_path(ngx_http_request_t *r,
    ngx_str_t *path, ngx_str_t *args);
static ngx_int_t ngx_http_intuit_proxy_peer(ngx_http_request_t *r,
    ngx_http_intuit_ctx_t *ctx);
static ngx_int_t ngx_http_intuit_proxy_request_id(ngx_http_request_t *r,
    ngx_http_intuit_ctx_t *ctx, ngx_str_t *args);
static ngx_int_t ngx_http_intuit_proxy_token(ngx_http_request_t *r,
    ngx_http_intuit_ctx_t *ctx);
static ngx_uint_t ngx_http_intuit_proxy_args(const ngx_str_t *args);
static ngx_int_t ngx_http_intuit_proxy_inject(ngx_http_request_t *r,
    ngx_http_intuit_ctx_t *ctx, const ngx_intuit_pair_t *pair);
static ngx_int_t ngx_http_intuit_proxy_end(ngx_http_request_t *r,
    ngx_int_t rc);


/* PRECONTENT, last: all guards have been asked. */

ngx_int_t
ngx_http_intuit_proxy_handler(ngx_http_request_t *r)
{
    ngx_int_t                    rc;
    ngx_http_intuit_ctx_t       *ctx;
    ngx_http_intuit_loc_conf_t  *ilcf;

    ilcf = ngx_http_get_module_loc_conf(r, ngx_http_intuit_auth_module);

    if (ilcf->proxy == NULL || r != r->main) {
        return NGX_DECLINED;
    }

    ctx = ngx_http_intuit_get_ctx(r, 1);
    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (ngx_http_intuit_own_uri(r, ctx)) {
        return NGX_DECLINED;
    }

    if (ctx->parked) {
        return NGX_AGAIN;
    }

    if (ngx_http_intuit_cross_site(r)) {
        rc = ngx_http_intuit_fail(r, ilcf->proxy,
                                  NGX_HTTP_INTUIT_E_CROSS_SITE, NULL);
        return ngx_http_intuit_proxy_end(r, rc);
    }

    if (ctx->stale) {
        rc = ngx_http_intuit_proxy_again(r, ctx, ilcf);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    rc = ilcf->realm ? ngx_http_intuit_proxy_realm(r, ctx, ilcf)
                     : ngx_http_intuit_proxy_view(r, ctx, ilcf);

    if (rc != NGX_OK) {
        return rc;
    }

    if (!ctx->api->loaded.has_connection) {
        return ngx_http_intuit_proxy_fail(r, ilcf->proxy,
                                          NGX_HTTP_INTUIT_E_NOT_CONNECTED,
                                          "there is no connection",
                                          &ctx->api->loaded.session.realm);
    }

    /* what is refused anyway must not cost a refresh */

    rc = ngx_http_intuit_proxy_url(r, ctx, &ctx->api->loaded.connection.realm);
    if (rc != NGX_OK) {
        return rc;
    }

    if (ngx_http_intuit_limit_body(r)) {
        return ngx_http_intuit_limit_read(r);
    }

    rc = ngx_http_intuit_proxy_peer(r, ctx);

    if (rc == NGX_OK) {
        rc = ngx_http_intuit_proxy_token(r, ctx);
    }

    if (rc == NGX_AGAIN) {
        /* a slot is for one who can go at its time */
        ngx_http_intuit_limit_release(ctx);
    }

    if (rc != NGX_OK) {
        return rc;
    }

    rc = ngx_http_intuit_limit(r, ctx);
    if (rc != NGX_OK) {
        return rc;
    }

    if (ngx_http_intuit_proxy_inject(r, ctx,
                                     &ctx->api->loaded.connection.current)
        != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return NGX_DECLINED;
}


/* by session: that of auth_intuit when it is the same provider's */

static ngx_int_t
ngx_http_intuit_proxy_view(ngx_http_request_t *r, ngx_http_intuit_ctx_t *ctx,
    ngx_http_intuit_loc_conf_t *ilcf)
{
    ngx_int_t  rc;

    if (ctx->auth && ctx->auth->provider == ilcf->proxy) {
        ctx->api = ctx->auth;
        rc = ctx->api->rc;

    } else {
        rc = ngx_http_intuit_identify(r, ilcf->proxy, &ctx->api);
    }

    if (rc == NGX_OK) {
        return NGX_OK;
    }

    rc = ngx_http_intuit_fail(r, ilcf->proxy,
                              rc == NGX_DECLINED
                              ? NGX_HTTP_INTUIT_E_LOGIN_REQUIRED
                              : NGX_HTTP_INTUIT_E_STORE, NULL);

    return ngx_http_intuit_proxy_end(r, rc);
}


/*
 * What was loaded before a wait is old by now; and he who was let in may have
 * signed out.  NGX_OK, or what the handler returns.
 */

static ngx_int_t
ngx_http_intuit_proxy_again(ngx_http_request_t *r, ngx_http_intuit_ctx_t *ctx,
    ngx_http_intuit_loc_conf_t *ilcf)
{
    ngx_int_t                    rc;
    ngx_http_intuit_provider_t  *provider;

    ctx->stale = 0;
    ctx->api = NULL;

    if (ctx->auth == NULL || ctx->auth->rc != NGX_OK) {
        return NGX_OK;
    }

    provider = ctx->auth->provider;
    ctx->auth = NULL;

    rc = ngx_http_intuit_identify(r, provider, &ctx->auth);

    if (rc == NGX_OK
        || (rc == NGX_DECLINED && ilcf->mode == NGX_HTTP_INTUIT_MODE_VERIFY))
    {
        return NGX_OK;
    }

    rc = ngx_http_intuit_fail(r, provider,
                              rc == NGX_DECLINED
                              ? NGX_HTTP_INTUIT_E_LOGIN_REQUIRED
                              : NGX_HTTP_INTUIT_E_STORE, NULL);

    return ngx_http_intuit_proxy_end(r, rc);
}


/*
 * By company: no session is asked for, the location's own guards decide.
 * Without auth_intuit that is only this machine, and no page of another name
 * that was made to resolve to it.
 */

static ngx_int_t
ngx_http_intuit_proxy_realm(ngx_http_request_t *r, ngx_http_intuit_ctx_t *ctx,
    ngx_http_intuit_loc_conf_t *ilcf)
{
    ngx_int_t                rc;
    ngx_str_t                realm;
    ngx_http_intuit_id_t     id;
    ngx_http_intuit_error_e  e;

    if (!ngx_http_intuit_guarded(r, ctx)) {
        rc = ngx_http_intuit_fail(r, ilcf->proxy,
                                  NGX_HTTP_INTUIT_E_CLIENT_ADDRESS, NULL);
        return ngx_http_intuit_proxy_end(r, rc);
    }

    if (ngx_http_complex_value(r, ilcf->realm, &realm) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ctx->api = ngx_http_intuit_view_create(r, ilcf->proxy);
    if (ctx->api == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    e = NGX_HTTP_INTUIT_E_NOT_CONNECTED;
    rc = NGX_DECLINED;

    if (ngx_intuit_realm_valid(&realm)) {

        if (ngx_http_intuit_connection_id(&id, ilcf->proxy, &realm)
            != NGX_OK)
        {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        rc = ngx_http_intuit_share_connection(r, ctx, ilcf->proxy, &id);

        if (rc == NGX_AGAIN) {
            ctx->api->provider = NULL;
            return NGX_AGAIN;
        }

        if (rc != NGX_OK) {
            rc = ngx_http_intuit_fail(r, ilcf->proxy, NGX_HTTP_INTUIT_E_STORE,
                                      "the shared store cannot be asked");
            return ngx_http_intuit_proxy_end(r, rc);
        }

        rc = ngx_http_intuit_connection_reserve(ilcf->proxy->store, &id,
                                  r->pool, &ctx->api->loaded.connection,
                                  &ctx->api->loaded.generation,
                                  ngx_http_intuit_limit_ask(r, ilcf->proxy,
                                                            0));
    }

    if (rc == NGX_OK) {
        ctx->api->rc = NGX_OK;
        ctx->api->loaded.has_connection = 1;
        return NGX_OK;
    }

    if (rc != NGX_DECLINED) {
        e = NGX_HTTP_INTUIT_E_STORE;
    }

    ctx->api->rc = rc;

    if (rc == NGX_DECLINED && ngx_intuit_realm_valid(&realm)) {
        return ngx_http_intuit_proxy_fail(r, ilcf->proxy, e,
                                          "there is no connection", &realm);
    }

    rc = ngx_http_intuit_fail(r, ilcf->proxy, e, NULL);

    return ngx_http_intuit_proxy_end(r, rc);
}


/* a failure that is about a company: the log says which */

static ngx_int_t
ngx_http_intuit_proxy_fail(ngx_http_request_t *r,
    ngx_http_intuit_provider_t *provider, ngx_http_intuit_error_e error,
    const char *reason, const ngx_str_t *realm)
{
    char  text[128];

    (void) ngx_snprintf((u_char *) text, sizeof(text), "%s, realm \"%V\"%Z",
                        reason, realm);

    text[sizeof(text) - 1] = '\0';

    return ngx_http_intuit_proxy_end(r, ngx_http_intuit_fail(r, provider, error,
                                                             text));
}


/*
 * The URL for upstream, built from a path that both sides read alike, with
 * "-" for the company filled in.  NGX_OK, or what the handler returns.
 */

static ngx_int_t
ngx_http_intuit_proxy_url(ngx_http_request_t *r, ngx_http_intuit_ctx_t *ctx,
    const ngx_str_t *realm)
{
    u_char                      *p;
    size_t                       head, rest;
    ngx_int_t                    rc;
    ngx_str_t                    path, args, id, *base;
    ngx_http_intuit_error_e      e;
    ngx_http_intuit_provider_t  *provider;

    const ngx_http_intuit_target_t  *target;

    provider = ctx->api->provider;
    target = ngx_http_intuit_api_target(r, ctx);

    rc = target->rc;
    path = target->path;
    args = target->args;
    id = target->id;

    if (rc == NGX_ERROR) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    e = (rc == NGX_DECLINED) ? NGX_HTTP_INTUIT_E_API_PATH
                             : NGX_HTTP_INTUIT_E_REALM_MISMATCH;

    if (rc != NGX_OK) {
        goto refused;
    }

    if (!(id.len == 1 && id.data[0] == '-')
        && (id.len != realm->len
            || ngx_memcmp(id.data, realm->data, id.len) != 0))
    {
        goto refused;
    }

    if (ngx_http_intuit_proxy_request_id(r, ctx, &args) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    base = &provider->peer->base;
    ctx->api_host = provider->peer->authority;

    head = id.data - path.data;
    rest = path.len - head - id.len;

    ctx->api_url.data = ngx_pnalloc(r->pool, base->len + head + realm->len
                                             + rest + 1 + args.len);
    if (ctx->api_url.data == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    p = ngx_cpymem(ctx->api_url.data, base->data, base->len);
    p = ngx_cpymem(p, path.data, head);
    p = ngx_cpymem(p, realm->data, realm->len);
    p = ngx_cpymem(p, id.data + id.len, rest);

    if (args.len) {
        *p++ = '?';
        p = ngx_cpymem(p, args.data, args.len);
    }

    ctx->api_url.len = p - ctx->api_url.data;

    return NGX_OK;

refused:

    rc = ngx_http_intuit_fail(r, provider, e, NULL);

    return ngx_http_intuit_proxy_end(r, rc);
}


/* asked for by the quota and by the proxy, mostly about the same URI */

const ngx_http_intuit_target_t *
ngx_http_intuit_api_target(ngx_http_request_t *r, ngx_http_intuit_ctx_t *ctx)
{
    ngx_http_intuit_target_t  *target;

    static const ngx_http_intuit_target_t  none = { .rc = NGX_ERROR };

    target = ctx->target;

    if (target == NULL) {
        target = ngx_pcalloc(r->pool, sizeof(ngx_http_intuit_target_t));
        if (target == NULL) {
            return &none;
        }

        ctx->target = target;
    }

    if (target->uri.data != r->uri.data
        || target->uri.len != r->uri.len
        || target->request_args.data != r->args.data
        || target->request_args.len != r->args.len
        || target->unparsed != r->valid_unparsed_uri)
    {
        target->uri = r->uri;
        target->request_args = r->args;
        target->unparsed = r->valid_unparsed_uri;

        target->rc = ngx_http_intuit_proxy_target(r, &target->path,
                                                  &target->args,
                                                  &target->id);
    }

    return target;
}


static ngx_int_t
ngx_http_intuit_proxy_target(ngx_http_request_t *r, ngx_str_t *path,
    ngx_str_t *args, ngx_str_t *id)
{
    if (ngx_http_intuit_proxy_path(r, path, args) != NGX_OK) {
        return NGX_ERROR;
    }

    if (!ngx_intuit_api_path(path) || !ngx_http_intuit_proxy_args(args)) {
        return NGX_DECLINED;
    }

    return ngx_intuit_api_realm(path, id) == NGX_OK ? NGX_OK : NGX_ABORT;
}


/* as the client wrote it, unless a rewrite has made another of it */

static ngx_int_t
ngx_http_intuit_proxy_path(ngx_http_request_t *r, ngx_str_t *path,
    ngx_str_t *args)
{
    u_char  *p;
    size_t   escape;

    if (r->valid_unparsed_uri) {

        *path = r->unparsed_uri;
        ngx_str_null(args);

        p = ngx_strlchr(path->data, path->data + path->len, '?');
        if (p) {
            args->data = p + 1;
            args->len = path->data + path->len - args->data;
            path->len = p - path->data;
        }

        return NGX_OK;
    }

    *args = r->args;

    escape = 2 * ngx_escape_uri(NULL, r->uri.data, r->uri.len, NGX_ESCAPE_URI);

    path->len = r->uri.len + escape;
    path->data = ngx_pnalloc(r->pool, path->len);
    if (path->data == NULL) {
        return NGX_ERROR;
    }

    (void) ngx_escape_uri(path->data, r->uri.data, r->uri.len, NGX_ESCAPE_URI);

    return NGX_OK;
}


/* an address to go to; NGX_OK, or what the handler returns */

static ngx_int_t
ngx_http_intuit_proxy_peer(ngx_http_request_t *r, ngx_http_intuit_ctx_t *ctx)
{
    ngx_int_t                    rc;
    ngx_http_intuit_provider_t  *provider;

    if (ctx->parked) {
        return NGX_AGAIN;
    }

    provider = ctx->api->provider;

    rc = ngx_http_intuit_peer_find(r, provider->peer);

    if (rc == NGX_OK) {
        return NGX_OK;
    }

    if (rc == NGX_AGAIN) {

        ctx->provider = provider;

        if (ngx_http_intuit_park(r, ctx, ngx_http_intuit_peer_ready,
                                 ngx_http_core_run_phases)
            == NGX_OK)
        {
            return NGX_AGAIN;
        }

        rc = NGX_BUSY;
    }

    rc = ngx_http_intuit_fail(r, provider,
                              rc == NGX_BUSY ? NGX_HTTP_INTUIT_E_BUSY
                                             : NGX_HTTP_INTUIT_E_UNAVAILABLE,
                              "the API's host has no address");

    return ngx_http_intuit_proxy_end(r, rc);
}


/*
 * Intuit carries a POST out once for each requestid.  Ours is the same whenever
 * this request is sent.
 */

static ngx_int_t
ngx_http_intuit_proxy_request_id(ngx_http_request_t *r,
    ngx_http_intuit_ctx_t *ctx, ngx_str_t *args)
{
    u_char                      *p;
    u_char                       random[16];
    size_t                       len;
    ngx_http_intuit_loc_conf_t  *ilcf;

    static ngx_str_t             name = ngx_string("requestid");

    ilcf = ngx_http_get_module_loc_conf(r, ngx_http_intuit_auth_module);

    if (!ilcf->request_id
        || r->method != NGX_HTTP_POST
        || ngx_intuit_args_has(args, &name))
    {
        return NGX_OK;
    }

    if (ctx->request_id.len == 0) {

        len = 2 * sizeof(random);

        ctx->request_id.data = ngx_pnalloc(r->pool, len);

        if (ctx->request_id.data == NULL
            || ngx_intuit_random(random, sizeof(random)) != NGX_OK)
        {
            return NGX_ERROR;
        }

        (void) ngx_hex_dump(ctx->request_id.data, random, sizeof(random));
        ctx->request_id.len = len;
    }

    p = ngx_pnalloc(r->pool, args->len + 1 + name.len + 1
                             + ctx->request_id.len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    len = ngx_sprintf(p, "%V%s%V=%V", args, args->len ? "&" : "", &name,
                      &ctx->request_id)
          - p;

    args->data = p;
    args->len = len;

    return NGX_OK;
}


/* a token that serves; NGX_OK, or what the handler returns */

static ngx_int_t
ngx_http_intuit_proxy_token(ngx_http_request_t *r, ngx_http_intuit_ctx_t *ctx)
{
    ngx_int_t                    rc;
    ngx_http_intuit_provider_t  *provider;

    provider = ctx->api->provider;

    rc = ngx_http_intuit_refresh_view(r, ctx, ctx->api);

    if (rc == NGX_OK || rc == NGX_AGAIN) {
        return rc;
    }

    if (rc == NGX_DECLINED && ngx_http_intuit_navigation(r)) {
        rc = ngx_http_intuit_login_start(r, provider, &r->unparsed_uri,
                                         NGX_HTTP_INTUIT_START_AUTOMATIC);

        if (rc != NGX_AGAIN) {
            return ngx_http_intuit_proxy_end(r, rc);
        }

        rc = NGX_DECLINED;
    }

    return ngx_http_intuit_proxy_fail(r, provider,
                              rc == NGX_DECLINED ? NGX_HTTP_INTUIT_E_RECONNECT
                              : rc == NGX_BUSY ? NGX_HTTP_INTUIT_E_BUSY
                              : NGX_HTTP_INTUIT_E_UNAVAILABLE,
                              rc == NGX_DECLINED
                              ? "the connection has ended"
                              : "the access token has expired",
                              &ctx->api->loaded.connection.realm);
}


/*
 * A rewrite to "...?q=$uri" puts unescaped bytes there: a second request.  What
 * comes after "#" is no argument to those who take it for a fragment, and the
 * requestid would be there.
 */

static ngx_uint_t
ngx_http_intuit_proxy_args(const ngx_str_t *args)
{
    size_t  i;

    for (i = 0; i < args->len; i++) {
        if (args->data[i] <= 0x20 || args->data[i] == 0x7f
            || args->data[i] == '#')
        {
            return 0;
        }
    }

    return 1;
}


static ngx_int_t
ngx_http_intuit_proxy_inject(ngx_http_request_t *r,
    ngx_http_intuit_ctx_t *ctx, const ngx_intuit_pair_t *pair)
{
    u_char     *p;
    ngx_str_t   bearer;

    bearer.len = sizeof("Bearer ") - 1 + pair->access_token.len;
    bearer.data = ngx_pnalloc(r->pool, bearer.len);
    if (bearer.data == NULL) {
        return NGX_ERROR;
    }

    p = ngx_cpymem(bearer.data, "Bearer ", sizeof("Bearer ") - 1);
    ngx_memcpy(p, pair->access_token.data, pair->access_token.len);

    ctx->injected = 1;

    return ngx_http_intuit_clean_request(r,
                                         NGX_HTTP_INTUIT_CLEAN_AUTHORIZATION
                                         |NGX_HTTP_INTUIT_CLEAN_IDENTITY,
                                         &bearer);
}


static ngx_int_t
ngx_http_intuit_proxy_end(ngx_http_request_t *r, ngx_int_t rc)
{
    ngx_http_finalize_request(r, rc);

    return NGX_DONE;
}
