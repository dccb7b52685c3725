/*
 * What goes upstream: the request's headers are cleaned wherever a login is
 * required, and intuit_proxy injects the company's token, for paths of that
 * company only.
 */

#include "ngx_http_intuit_refresh.h"


static ngx_int_t ngx_http_intuit_proxy_view(ngx_http_request_t *r,
    ngx_http_intuit_ctx_t *ctx, ngx_http_intuit_loc_conf_t *ilcf);
static ngx_int_t ngx_http_intuit_proxy_realm(ngx_http_request_t *r,
    ngx_http_intuit_ctx_t *ctx, ngx_http_intuit_loc_conf_t *ilcf);
static ngx_uint_t ngx_http_intuit_proxy_forwarded(ngx_http_request_t *r);
static ngx_uint_t ngx_http_intuit_proxy_local(ngx_http_request_t *r);
static ngx_uint_t ngx_http_intuit_proxy_host(ngx_http_request_t *r);
static ngx_uint_t ngx_http_intuit_server_named(ngx_http_request_t *r,
    ngx_str_t *host);
static ngx_int_t ngx_http_intuit_proxy_url(ngx_http_request_t *r,
    ngx_http_intuit_ctx_t *ctx, const ngx_str_t *realm);
static ngx_int_t ngx_http_intuit_proxy_path(ngx_http_request_t *r,
    ngx_str_t *path, ngx_str_t *args);
static ngx_int_t ngx_http_intuit_proxy_token(ngx_http_request_t *r,
    ngx_http_intuit_ctx_t *ctx);
static ngx_uint_t ngx_http_intuit_proxy_args(const ngx_str_t *args);
static ngx_int_t ngx_http_intuit_proxy_inject(ngx_http_request_t *r,
    ngx_http_intuit_ctx_t *ctx, const ngx_intuit_pair_t *pair);
static ngx_int_t ngx_http_intuit_proxy_end(ngx_http_request_t *r,
    ngx_int_t rc);
static ngx_int_t ngx_http_intuit_header_filter(ngx_http_request_t *r);
static ngx_uint_t ngx_http_intuit_own_cookie(ngx_http_request_t *r,
    ngx_str_t *value);


static ngx_http_output_header_filter_pt  ngx_http_next_header_filter;


/*
 * PREACCESS.  After an internal redirect an injected token is taken out, and
 * out of subrequests to other places; auth_request makes one long before the
 * request itself is cleaned.
 */

ngx_int_t
ngx_http_intuit_leave_handler(ngx_http_request_t *r)
{
    ngx_uint_t                   what;
    ngx_http_intuit_ctx_t       *ctx;
    ngx_http_intuit_loc_conf_t  *ilcf;
    ngx_http_intuit_srv_conf_t  *iscf;

    ctx = ngx_http_intuit_get_ctx(r->main, 0);
    ilcf = ngx_http_get_module_loc_conf(r, ngx_http_intuit_auth_module);
    iscf = ngx_http_get_module_srv_conf(r, ngx_http_intuit_auth_module);

    what = 0;

    if (ctx && ctx->injected && (r == r->main || ilcf->proxy == NULL)) {
        what = NGX_HTTP_INTUIT_CLEAN_AUTHORIZATION;

    } else if (r == r->main || iscf->uses.nelts == 0) {
        return NGX_DECLINED;
    }

    if (ngx_http_intuit_clean_request(r, what, NULL) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (r == r->main) {
        ctx->injected = 0;
        ngx_str_null(&ctx->api_url);
    }

    return NGX_DECLINED;
}


/*
 * PRECONTENT, first: before mirror and others copy the headers.  A location
 * without a login may lead to the same application, so in a server that uses
 * a provider nobody names himself anywhere; but there the client's own
 * Authorization may be what the application waits for.
 */

ngx_int_t
ngx_http_intuit_clean_handler(ngx_http_request_t *r)
{
    ngx_uint_t                   what;
    ngx_http_intuit_ctx_t       *ctx;
    ngx_http_intuit_loc_conf_t  *ilcf;
    ngx_http_intuit_srv_conf_t  *iscf;

    if (r != r->main) {
        return NGX_DECLINED;
    }

    ctx = ngx_http_intuit_get_ctx(r, 0);
    ilcf = ngx_http_get_module_loc_conf(r, ngx_http_intuit_auth_module);
    iscf = ngx_http_get_module_srv_conf(r, ngx_http_intuit_auth_module);

    if (iscf->uses.nelts == 0 || ngx_http_intuit_own_uri(r, ctx)) {
        /* at our own URIs nothing goes upstream */
        return NGX_DECLINED;
    }

    what = NGX_HTTP_INTUIT_CLEAN_IDENTITY;

    if (ilcf->auth || ilcf->proxy) {
        what |= NGX_HTTP_INTUIT_CLEAN_AUTHORIZATION;
    }

    if (ngx_http_intuit_clean_request(r, what, NULL) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return NGX_DECLINED;
}


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

    if (ngx_http_intuit_cross_site(r)) {
        rc = ngx_http_intuit_fail(r, ilcf->proxy,
                                  NGX_HTTP_INTUIT_E_CROSS_SITE, NULL);
        return ngx_http_intuit_proxy_end(r, rc);
    }

    rc = ilcf->realm ? ngx_http_intuit_proxy_realm(r, ctx, ilcf)
                     : ngx_http_intuit_proxy_view(r, ctx, ilcf);

    if (rc != NGX_OK) {
        return rc;
    }

    if (!ctx->api.loaded.has_connection) {
        rc = ngx_http_intuit_fail(r, ilcf->proxy,
                                  NGX_HTTP_INTUIT_E_NOT_CONNECTED, NULL);
        return ngx_http_intuit_proxy_end(r, rc);
    }

    /* what is refused anyway must not cost a refresh */

    rc = ngx_http_intuit_proxy_url(r, ctx, &ctx->api.loaded.connection.realm);
    if (rc != NGX_OK) {
        return rc;
    }

    rc = ngx_http_intuit_proxy_token(r, ctx);
    if (rc != NGX_OK) {
        return rc;
    }

    if (ngx_http_intuit_proxy_inject(r, ctx,
                                     &ctx->api.loaded.connection.current)
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

    if (ctx->auth.provider == ilcf->proxy) {
        ctx->api = ctx->auth;
        rc = ctx->api.rc;

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

    ngx_memzero(&ctx->api, sizeof(ngx_http_intuit_view_t));
    ctx->api.provider = ilcf->proxy;

    e = NGX_HTTP_INTUIT_E_NOT_CONNECTED;
    rc = NGX_DECLINED;

    if (ngx_intuit_realm_valid(&realm)) {

        if (ngx_http_intuit_store_id(&id, "connection", ilcf->proxy, &realm)
            != NGX_OK)
        {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        rc = ngx_http_intuit_connection_load(ilcf->proxy->store, &id, r->pool,
                                           &ctx->api.loaded.connection,
                                           &ctx->api.loaded.generation);
    }

    if (rc == NGX_OK) {
        ctx->api.rc = NGX_OK;
        ctx->api.loaded.has_connection = 1;
        return NGX_OK;
    }

    if (rc != NGX_DECLINED) {
        e = NGX_HTTP_INTUIT_E_STORE;
    }

    ctx->api.rc = rc;

    rc = ngx_http_intuit_fail(r, ilcf->proxy, e, NULL);

    return ngx_http_intuit_proxy_end(r, rc);
}


/* "verify" lets everybody in, and so guards nothing */

ngx_uint_t
ngx_http_intuit_guarded(ngx_http_request_t *r, ngx_http_intuit_ctx_t *ctx)
{
    ngx_http_intuit_loc_conf_t  *ilcf;

    ilcf = ngx_http_get_module_loc_conf(r, ngx_http_intuit_auth_module);

    if (ilcf->any_clients) {
        return 1;
    }

    if (ilcf->auth
        && (ilcf->mode == NGX_HTTP_INTUIT_MODE_REQUIRE
            || (ctx->auth.provider == ilcf->auth && ctx->auth.rc == NGX_OK)))
    {
        return 1;
    }

    return ngx_http_intuit_proxy_local(r)
           && ngx_http_intuit_proxy_host(r)
           && !ngx_http_intuit_proxy_forwarded(r);
}


/*
 * Behind a load balancer or a tunnel on this machine everybody's connection
 * comes from it, and realip may take an address from the client's own words.
 */

static ngx_uint_t
ngx_http_intuit_proxy_forwarded(ngx_http_request_t *r)
{
    ngx_uint_t        i, k;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    static const char  *names[] = {
        "x-forwarded-for", "x-real-ip", "forwarded", "via", NULL
    };

    for (part = &r->headers_in.headers.part; part; part = part->next) {

        h = part->elts;

        for (i = 0; i < part->nelts; i++) {
            for (k = 0; names[k]; k++) {
                if (ngx_intuit_header_is(&h[i].key, names[k])) {
                    return 1;
                }
            }
        }
    }

    return 0;
}


static ngx_uint_t
ngx_http_intuit_proxy_local(ngx_http_request_t *r)
{
    struct sockaddr      *sa;
    struct sockaddr_in   *sin;
#if (NGX_HAVE_INET6)
    u_char               *p;
    struct sockaddr_in6  *sin6;
#endif

    sa = r->connection->sockaddr;

    switch (sa->sa_family) {

#if (NGX_HAVE_UNIX_DOMAIN)
    case AF_UNIX:
        return 1;
#endif

#if (NGX_HAVE_INET6)
    case AF_INET6:
        sin6 = (struct sockaddr_in6 *) sa;
        p = sin6->sin6_addr.s6_addr;

        return IN6_IS_ADDR_LOOPBACK(&sin6->sin6_addr)
               || (IN6_IS_ADDR_V4MAPPED(&sin6->sin6_addr) && p[12] == 127);
#endif

    case AF_INET:
        sin = (struct sockaddr_in *) sa;

        return (ntohl(sin->sin_addr.s_addr) >> 24) == 127;
    }

    return 0;
}


static ngx_uint_t
ngx_http_intuit_proxy_host(ngx_http_request_t *r)
{
    ngx_str_t         *host, url;
    const char        *reason;
    ngx_intuit_url_t   u;

    /* HTTP/3 has an authority, and often no Host */

    host = r->headers_in.host ? &r->headers_in.host->value
                              : &r->headers_in.server;

    if (r->headers_in.host == NULL && host->len == 0) {
        return 1;
    }

    url.len = sizeof("http://") - 1 + host->len;
    url.data = ngx_pnalloc(r->pool, url.len);
    if (url.data == NULL) {
        return 0;
    }

    ngx_memcpy(url.data, "http://", sizeof("http://") - 1);
    ngx_memcpy(url.data + sizeof("http://") - 1, host->data, host->len);

    if (ngx_intuit_url_parse(&url, &u, &reason) != NGX_OK) {
        return 0;
    }

    return u.loopback || ngx_http_intuit_server_named(r, &u.host);
}


static ngx_uint_t
ngx_http_intuit_server_named(ngx_http_request_t *r, ngx_str_t *host)
{
    ngx_str_t                   *name, wanted;
    ngx_uint_t                   i;
    ngx_http_intuit_srv_conf_t  *iscf;

    iscf = ngx_http_get_module_srv_conf(r, ngx_http_intuit_auth_module);
    name = iscf->names.elts;

    for (i = 0; i < iscf->names.nelts; i++) {

        wanted = name[i];

        if (wanted.len == host->len
            && ngx_strncasecmp(wanted.data, host->data, host->len) == 0)
        {
            return 1;
        }

        /* "*.example.com", ".example.com"; others may fit anybody's name */

        if (wanted.len && wanted.data[0] == '*') {
            wanted.data++;
            wanted.len--;

        } else if (wanted.len == host->len + 1
                   && wanted.data[0] == '.'
                   && ngx_strncasecmp(wanted.data + 1, host->data, host->len)
                      == 0)
        {
            return 1;
        }

        if (wanted.len > 2
            && wanted.data[0] == '.'
            && wanted.len < host->len
            && ngx_strncasecmp(wanted.data,
                               host->data + host->len - wanted.len,
                               wanted.len)
               == 0)
        {
            return 1;
        }
    }

    return 0;
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

    provider = ctx->api.provider;
    e = NGX_HTTP_INTUIT_E_API_PATH;

    if (ngx_http_intuit_proxy_path(r, &path, &args) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (!ngx_intuit_api_path(&path) || !ngx_http_intuit_proxy_args(&args)) {
        goto refused;
    }

    e = NGX_HTTP_INTUIT_E_REALM_MISMATCH;

    if (ngx_intuit_api_realm(&path, &id) != NGX_OK) {
        goto refused;
    }

    if (!(id.len == 1 && id.data[0] == '-')
        && (id.len != realm->len
            || ngx_memcmp(id.data, realm->data, id.len) != 0))
    {
        goto refused;
    }

    base = &provider->api_url;
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


/* a token that serves; NGX_OK, or what the handler returns */

static ngx_int_t
ngx_http_intuit_proxy_token(ngx_http_request_t *r, ngx_http_intuit_ctx_t *ctx)
{
    ngx_int_t                    rc;
    ngx_http_intuit_provider_t  *provider;

    provider = ctx->api.provider;

    rc = ngx_http_intuit_refresh_view(r, ctx, &ctx->api);

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

    rc = ngx_http_intuit_fail(r, provider,
                              rc == NGX_DECLINED ? NGX_HTTP_INTUIT_E_RECONNECT
                              : rc == NGX_BUSY ? NGX_HTTP_INTUIT_E_BUSY
                              : NGX_HTTP_INTUIT_E_UNAVAILABLE,
                              "the access token has expired");

    return ngx_http_intuit_proxy_end(r, rc);
}


/* a rewrite to "...?q=$uri" puts unescaped bytes there: a second request */

static ngx_uint_t
ngx_http_intuit_proxy_args(const ngx_str_t *args)
{
    size_t  i;

    for (i = 0; i < args->len; i++) {
        if (args->data[i] <= 0x20 || args->data[i] == 0x7f) {
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


ngx_int_t
ngx_http_intuit_header_filter_init(ngx_conf_t *cf)
{
    (void) cf;

    ngx_http_next_header_filter = ngx_http_top_header_filter;
    ngx_http_top_header_filter = ngx_http_intuit_header_filter;

    return NGX_OK;
}


static ngx_int_t
ngx_http_intuit_header_filter(ngx_http_request_t *r)
{
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    if (r->upstream == NULL || r != r->main) {
        return ngx_http_next_header_filter(r);
    }

    part = &r->headers_out.headers.part;
    h = part->elts;

    for (i = 0; /* void */ ; i++) {

        if (i >= part->nelts) {
            if (part->next == NULL) {
                break;
            }

            part = part->next;
            h = part->elts;
            i = 0;
        }

        if (h[i].hash
            && !ngx_http_intuit_cookie_set_here(&h[i])
            && h[i].key.len == sizeof("Set-Cookie") - 1
            && ngx_strncasecmp(h[i].key.data, (u_char *) "Set-Cookie",
                               sizeof("Set-Cookie") - 1)
               == 0
            && ngx_http_intuit_own_cookie(r, &h[i].value))
        {
            h[i].hash = 0;
        }
    }

    return ngx_http_next_header_filter(r);
}


/* an upstream that sets a cookie of ours could choose our user's session */

static ngx_uint_t
ngx_http_intuit_own_cookie(ngx_http_request_t *r, ngx_str_t *value)
{
    u_char                        *p;
    ngx_str_t                      name;
    ngx_uint_t                     i;
    ngx_http_intuit_main_conf_t   *imcf;
    ngx_http_intuit_provider_t   **provider;

    name.data = value->data;

    /* of "=name=value" browsers send "name=value" back */

    while (name.data < value->data + value->len
           && (*name.data == ' ' || *name.data == '\t' || *name.data == '='))
    {
        name.data++;
    }

    p = name.data;

    while (p < value->data + value->len && *p != '=' && *p != ';'
           && *p != ' ' && *p != '\t')
    {
        p++;
    }

    name.len = p - name.data;

    imcf = ngx_http_get_module_main_conf(r, ngx_http_intuit_auth_module);
    provider = imcf->providers.elts;

    for (i = 0; i < imcf->providers.nelts; i++) {

        if ((name.len == provider[i]->cookie_name.len
             && ngx_memcmp(name.data, provider[i]->cookie_name.data, name.len)
                == 0)
            || (name.len == provider[i]->tries_name.len
                && ngx_memcmp(name.data, provider[i]->tries_name.data,
                              name.len)
                   == 0)
            || (name.len >= provider[i]->login_prefix.len
                && ngx_memcmp(name.data, provider[i]->login_prefix.data,
                              provider[i]->login_prefix.len)
                   == 0))
        {
            return 1;
        }
    }

    return 0;
}
