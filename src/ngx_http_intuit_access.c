/*
 * Who is asking: our own URIs, the session gate, and what every flow needs
 * to know about a request.
 */

#include "ngx_http_intuit_cookie.h"
#include "ngx_http_intuit_refresh.h"
#include "ngx_http_intuit_share.h"


static ngx_http_intuit_endpoint_t *ngx_http_intuit_find_endpoint(
    ngx_http_request_t *r);
static void ngx_http_intuit_redact(ngx_http_request_t *r);
static void ngx_http_intuit_redact_text(u_char *data, size_t len);
static ngx_int_t ngx_http_intuit_access_anonymous(ngx_http_request_t *r,
    ngx_http_intuit_ctx_t *ctx, ngx_http_intuit_loc_conf_t *ilcf);
static ngx_int_t ngx_http_intuit_access_require(ngx_http_request_t *r,
    ngx_http_intuit_loc_conf_t *ilcf);
static ngx_int_t ngx_http_intuit_access_end(ngx_http_request_t *r,
    ngx_int_t rc);
static void ngx_http_intuit_ctx_cleanup(void *data);
static ngx_int_t ngx_http_intuit_view_load(ngx_http_request_t *r,
    ngx_http_intuit_view_t *view);
static ngx_int_t ngx_http_intuit_view_id(ngx_http_request_t *r,
    ngx_http_intuit_view_t *view);
static ngx_uint_t ngx_http_intuit_session_allowed(
    ngx_http_intuit_provider_t *provider, const ngx_intuit_session_t *session);
static ngx_uint_t ngx_http_intuit_navigates(ngx_http_request_t *r);
static ngx_uint_t ngx_http_intuit_same_origin(const ngx_str_t *origin,
    ngx_http_request_t *r);


/*
 * Runs last in the server's rewrite phase.  Our URIs keep the server's own
 * location configuration and skip the location search, so that no location
 * of the operator's can take them away; the phases that follow (access rules
 * among them) are the server's.
 */

ngx_int_t
ngx_http_intuit_endpoint_handler(ngx_http_request_t *r)
{
    ngx_http_intuit_ctx_t       *ctx;
    ngx_http_core_main_conf_t   *cmcf;
    ngx_http_intuit_endpoint_t  *ep;

    if (r != r->main) {
        return NGX_DECLINED;
    }

    ep = ngx_http_intuit_find_endpoint(r);

    if (ep == NULL) {
        return NGX_DECLINED;
    }

    ctx = ngx_http_intuit_get_ctx(r, 1);
    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ctx->endpoint = ep;

    if (ctx->args.data == NULL && r->args.len) {
        ctx->args.data = ngx_pstrdup(r->pool, &r->args);
        if (ctx->args.data == NULL) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        ctx->args.len = r->args.len;
    }

    if (ep->callback) {
        ngx_http_intuit_redact(r);
    }

    ngx_http_update_location_config(r);
    r->content_handler = ep->handler;

    cmcf = ngx_http_get_module_main_conf(r, ngx_http_core_module);

    r->phase_handler = cmcf->phase_engine.location_rewrite_index;
    ngx_http_core_run_phases(r);

    return NGX_DONE;
}


static ngx_http_intuit_endpoint_t *
ngx_http_intuit_find_endpoint(ngx_http_request_t *r)
{
    ngx_uint_t                   i;
    ngx_http_intuit_endpoint_t  *ep;
    ngx_http_intuit_srv_conf_t  *iscf;

    iscf = ngx_http_get_module_srv_conf(r, ngx_http_intuit_auth_module);

    if (!(iscf->lengths & (uint64_t) 1 << (r->uri.len & 63))) {
        return NULL;
    }

    ep = iscf->endpoints.elts;

    for (i = 0; i < iscf->endpoints.nelts; i++) {

        if (r->uri.len == ep[i].uri.len
            && ngx_memcmp(r->uri.data, ep[i].uri.data, r->uri.len) == 0)
        {
            return &ep[i];
        }
    }

    return NULL;
}


/* before access_log: core may have refused a callback before any phase ran */

ngx_int_t
ngx_http_intuit_log_handler(ngx_http_request_t *r)
{
    ngx_http_intuit_endpoint_t  *ep;

    ep = ngx_http_intuit_find_endpoint(r);

    if (ep && ep->callback) {
        ngx_http_intuit_redact(r);
    }

    return NGX_OK;
}


/*
 * The context outlives an internal redirect (error_page): it is the content
 * handler, which core resets then, that tells whether this is still our URI.
 */

ngx_uint_t
ngx_http_intuit_own_uri(ngx_http_request_t *r,
    const ngx_http_intuit_ctx_t *ctx)
{
    return ctx && ctx->endpoint
           && r->content_handler == ctx->endpoint->handler;
}


/*
 * Core logs the request line with every upstream error and in access_log.
 * The values of the callback's arguments are overwritten wherever core keeps
 * them: HTTP/1 has one buffer, HTTP/2 and 3 a second copy in request_line.
 */

static void
ngx_http_intuit_redact(ngx_http_request_t *r)
{
    u_char  *p, *last;

    ngx_http_intuit_redact_text(r->args.data, r->args.len);

    p = ngx_strlchr(r->unparsed_uri.data,
                    r->unparsed_uri.data + r->unparsed_uri.len, '?');
    if (p) {
        last = r->unparsed_uri.data + r->unparsed_uri.len;
        ngx_http_intuit_redact_text(p + 1, last - p - 1);
    }

    last = r->request_line.data + r->request_line.len;

    p = ngx_strlchr(r->request_line.data, last, '?');
    if (p) {
        /* up to the protocol */

        while (last > p && *(last - 1) != ' ') {
            last--;
        }

        if (last > p + 1) {
            ngx_http_intuit_redact_text(p + 1, last - p - 2);
        }
    }
}


static void
ngx_http_intuit_redact_text(u_char *data, size_t len)
{
    u_char      *p, *last;
    ngx_uint_t   value;

    value = 0;
    last = data + len;

    for (p = data; p < last; p++) {

        if (*p == '&') {
            value = 0;

        } else if (*p == '=' && !value) {
            value = 1;

        } else if (value) {
            *p = '*';
        }
    }
}


ngx_int_t
ngx_http_intuit_access_handler(ngx_http_request_t *r)
{
    ngx_int_t                     rc;
    ngx_http_intuit_ctx_t        *ctx;
    ngx_http_intuit_loc_conf_t   *ilcf;
    ngx_http_intuit_main_conf_t  *imcf;

    ctx = ngx_http_intuit_get_ctx(r, 0);

    if (ngx_http_intuit_own_uri(r, ctx)) {
        /* the way in must be open to those who are not in yet */
        return NGX_OK;
    }

    ilcf = ngx_http_get_module_loc_conf(r, ngx_http_intuit_auth_module);

    if (ilcf->auth == NULL) {
        return NGX_DECLINED;
    }

    ctx = ngx_http_intuit_get_ctx(r, 1);
    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (ctx->parked) {
        return NGX_AGAIN;
    }

    rc = ngx_http_intuit_identify(r, ilcf->auth, &ctx->auth);

    if (rc == NGX_ERROR) {
        rc = ngx_http_intuit_fail(r, ilcf->auth, NGX_HTTP_INTUIT_E_STORE,
                                  NULL);
        return ngx_http_intuit_access_end(r, rc);
    }

    if (rc == NGX_DECLINED
        && ilcf->mode == NGX_HTTP_INTUIT_MODE_REQUIRE)
    {
        return ngx_http_intuit_access_anonymous(r, ctx, ilcf);
    }

    if (ilcf->require) {
        rc = ngx_http_intuit_access_require(r, ilcf);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    if (ctx->auth->rc != NGX_OK) {
        /* let through, but nothing is vouched for */
        return NGX_DECLINED;
    }

    imcf = ngx_http_get_module_main_conf(r, ngx_http_intuit_auth_module);

    if (imcf->token_used
        && ctx->auth->loaded.has_connection
        && ngx_http_intuit_refresh_view(r, ctx, ctx->auth) == NGX_AGAIN)
    {
        /* without a token, $intuit_access_token is empty */
        return NGX_AGAIN;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_intuit_access_anonymous(ngx_http_request_t *r,
    ngx_http_intuit_ctx_t *ctx, ngx_http_intuit_loc_conf_t *ilcf)
{
    ngx_int_t  rc;

    if (!ngx_http_intuit_navigation(r)) {
        rc = ngx_http_intuit_fail(r, ilcf->auth,
                                  NGX_HTTP_INTUIT_E_LOGIN_REQUIRED, NULL);
        return ngx_http_intuit_access_end(r, rc);
    }

    rc = ngx_http_intuit_login_start(r, ilcf->auth, &r->unparsed_uri,
                                     NGX_HTTP_INTUIT_START_AUTOMATIC);

    if (rc == NGX_AGAIN) {
        /* the endpoints are being looked up */

        if (ngx_http_intuit_park(r, ctx, ngx_http_intuit_login_ready,
                                 ngx_http_core_run_phases)
            == NGX_OK)
        {
            return NGX_AGAIN;
        }

        rc = ngx_http_intuit_fail(r, ilcf->auth, NGX_HTTP_INTUIT_E_BUSY,
                                  NULL);
    }

    return ngx_http_intuit_access_end(r, rc);
}


static ngx_int_t
ngx_http_intuit_access_require(ngx_http_request_t *r,
    ngx_http_intuit_loc_conf_t *ilcf)
{
    ngx_int_t                   rc;
    ngx_str_t                   value;
    ngx_uint_t                  i, n;
    ngx_http_complex_value_t   *cv;
    ngx_http_intuit_require_t  *require;

    require = ilcf->require->elts;

    for (i = 0; i < ilcf->require->nelts; i++) {

        cv = require[i].values.elts;

        for (n = 0; n < require[i].values.nelts; n++) {

            if (ngx_http_complex_value(r, &cv[n], &value) != NGX_OK) {
                return NGX_HTTP_INTERNAL_SERVER_ERROR;
            }

            if (value.len && !(value.len == 1 && value.data[0] == '0')) {
                continue;
            }

            if (require[i].status) {
                return ngx_http_intuit_access_end(r, require[i].status);
            }

            rc = ngx_http_intuit_fail(r, ilcf->auth,
                                      NGX_HTTP_INTUIT_E_FORBIDDEN, NULL);
            return ngx_http_intuit_access_end(r, rc);
        }
    }

    return NGX_OK;
}


/* ends the request from within the access phase, whatever rc would mean */

static ngx_int_t
ngx_http_intuit_access_end(ngx_http_request_t *r, ngx_int_t rc)
{
    ngx_http_finalize_request(r, rc);

    return NGX_DONE;
}


ngx_http_intuit_ctx_t *
ngx_http_intuit_find_ctx(ngx_http_request_t *r, ngx_uint_t create)
{
    ngx_pool_cleanup_t     *cln;
    ngx_http_intuit_ctx_t  *ctx;

    if (r->internal || r->filter_finalize) {

        /* an internal redirect has wiped r->ctx */

        for (cln = r->pool->cleanup; cln; cln = cln->next) {

            if (cln->handler == ngx_http_intuit_ctx_cleanup) {
                ctx = cln->data;
                ngx_http_set_ctx(r, ctx, ngx_http_intuit_auth_module);
                return ctx;
            }
        }
    }

    if (!create) {
        return NULL;
    }

    ctx = ngx_pcalloc(r->pool, sizeof(ngx_http_intuit_ctx_t));
    if (ctx == NULL) {
        return NULL;
    }

    cln = ngx_pool_cleanup_add(r->pool, 0);
    if (cln == NULL) {
        return NULL;
    }

    cln->data = ctx;
    cln->handler = ngx_http_intuit_ctx_cleanup;

    ngx_http_set_ctx(r, ctx, ngx_http_intuit_auth_module);

    return ctx;
}


static void
ngx_http_intuit_ctx_cleanup(void *data)
{
    ngx_http_intuit_unpark(data);
    ngx_http_intuit_limit_release(data);
}


ngx_int_t
ngx_http_intuit_identify(ngx_http_request_t *r,
    ngx_http_intuit_provider_t *provider, ngx_http_intuit_view_t **known)
{
    ngx_http_intuit_view_t  *view;

    view = *known;

    if (view && view->provider == provider) {
        return view->rc;
    }

    /* that of another provider may be needed yet, where it was found */

    view = ngx_http_intuit_view_create(r, provider);
    if (view == NULL) {
        return NGX_ERROR;
    }

    *known = view;

    return ngx_http_intuit_view_load(r, view);
}


ngx_http_intuit_view_t *
ngx_http_intuit_view_create(ngx_http_request_t *r,
    ngx_http_intuit_provider_t *provider)
{
    ngx_http_intuit_ctx_t   *ctx;
    ngx_http_intuit_view_t  *view;

    ctx = ngx_http_intuit_get_ctx(r, 1);
    if (ctx == NULL) {
        return NULL;
    }

    view = &ctx->first;

    if (view->provider) {
        view = ngx_pcalloc(r->pool, sizeof(ngx_http_intuit_view_t));
        if (view == NULL) {
            return NULL;
        }
    }

    view->provider = provider;
    view->rc = NGX_DECLINED;

    return view;
}


static ngx_int_t
ngx_http_intuit_view_load(ngx_http_request_t *r, ngx_http_intuit_view_t *view)
{
    ngx_int_t                    rc;
    ngx_http_intuit_provider_t  *provider;

    provider = view->provider;

    rc = ngx_http_intuit_view_id(r, view);

    if (rc != NGX_OK) {
        view->rc = (rc == NGX_ERROR) ? NGX_ERROR : view->rc;
        return view->rc;
    }

    view->loaded.quota = ngx_http_intuit_limit_ask(r, provider, 1);

    rc = ngx_http_intuit_session_reserve(provider->store, &view->id,
                                         provider->session_idle_timeout,
                                         ngx_time(), r->pool, &view->loaded);

    view->rc = (rc == NGX_OK || rc == NGX_DECLINED) ? rc : NGX_ERROR;

    if (rc == NGX_OK
        && !ngx_http_intuit_session_allowed(provider, &view->loaded.session))
    {
        ngx_log_error(NGX_LOG_WARN, r->connection->log, 0,
                      "intuit session is ended: provider \"%V\" no longer "
                      "allows its company or e-mail address",
                      &provider->name);

        (void) ngx_http_intuit_session_remove(provider->store, &view->id);
        ngx_http_intuit_share_drop(provider, &view->id);

        ngx_memzero(&view->loaded, sizeof(ngx_http_intuit_loaded_t));
        view->rc = NGX_DECLINED;
    }

    return view->rc;
}


/* whose session it is; NGX_DECLINED: nobody's */

static ngx_int_t
ngx_http_intuit_view_id(ngx_http_request_t *r, ngx_http_intuit_view_t *view)
{
    ngx_int_t                    rc;
    ngx_str_t                    value;
    ngx_http_intuit_ctx_t       *ctx;
    ngx_http_intuit_provider_t  *provider;
    const ngx_http_intuit_id_t  *known;

    provider = view->provider;

    if (provider->redis) {
        ctx = ngx_http_intuit_get_ctx(r, 0);
        known = ctx ? ngx_http_intuit_share_known(ctx, provider) : NULL;

        if (known) {
            view->id = *known;
            return NGX_OK;
        }
    }

    rc = ngx_http_intuit_cookie_get(r, &provider->cookie_name, &value);

    if (rc == NGX_ABORT) {
        ngx_log_error(NGX_LOG_WARN, r->connection->log, 0,
                      "intuit session cookie was sent several times with "
                      "different values, none is believed");
        return NGX_DECLINED;
    }

    if (rc != NGX_OK || value.len != NGX_HTTP_INTUIT_COOKIE_LEN) {
        return NGX_DECLINED;
    }

    return ngx_http_intuit_session_id(&view->id, provider, &value);
}


/* sessions outlive a reload, and the rules under which they were made */

static ngx_uint_t
ngx_http_intuit_session_allowed(ngx_http_intuit_provider_t *provider,
    const ngx_intuit_session_t *session)
{
    ngx_str_t   *rule;
    ngx_uint_t   i;

    rule = provider->allow_realm.elts;

    for (i = 0; i < provider->allow_realm.nelts; i++) {
        if (rule[i].len == session->realm.len
            && ngx_memcmp(rule[i].data, session->realm.data, rule[i].len) == 0)
        {
            break;
        }
    }

    if (i && i == provider->allow_realm.nelts) {
        return 0;
    }

    rule = provider->allow_email.elts;

    for (i = 0; i < provider->allow_email.nelts; i++) {
        if (ngx_intuit_email_matches(&session->email, &rule[i])) {
            return 1;
        }
    }

    return i == 0;
}


const ngx_intuit_pair_t *
ngx_http_intuit_view_pair(const ngx_http_intuit_view_t *view)
{
    if (view->provider == NULL || view->rc != NGX_OK) {
        return NULL;
    }

    if (view->loaded.has_connection) {
        return view->loaded.connection.current.access_token.len
               ? &view->loaded.connection.current : NULL;
    }

    return view->loaded.session.own.access_token.len
           ? &view->loaded.session.own : NULL;
}


ngx_int_t
ngx_http_intuit_store_id(ngx_http_intuit_id_t *id, const char *kind,
    const ngx_http_intuit_provider_t *provider, const ngx_str_t *value)
{
    ngx_str_t  parts[3];

    parts[0].data = (u_char *) kind;
    parts[0].len = ngx_strlen(kind);
    parts[1].data = (u_char *) provider->identity;
    parts[1].len = NGX_INTUIT_HASH_LEN;
    parts[2] = *value;

    return ngx_intuit_hash(id->data, parts, 3);
}


ngx_int_t
ngx_http_intuit_session_id(ngx_http_intuit_id_t *id,
    const ngx_http_intuit_provider_t *provider, const ngx_str_t *cookie)
{
    return ngx_intuit_digest(provider->session_ids, id->data, cookie);
}


ngx_int_t
ngx_http_intuit_connection_id(ngx_http_intuit_id_t *id,
    const ngx_http_intuit_provider_t *provider, const ngx_str_t *realm)
{
    ngx_int_t         rc;
    ngx_intuit_tag_t  tag;

    rc = ngx_intuit_memo_get(provider->connection_ids, realm, &tag, id->data);

    if (rc == NGX_OK) {
        return NGX_OK;
    }

    if (ngx_http_intuit_store_id(id, "connection", provider, realm)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (rc == NGX_DECLINED) {
        ngx_intuit_memo_put(provider->connection_ids, &tag, id->data);
    }

    return NGX_OK;
}


ngx_uint_t
ngx_http_intuit_cross_site(ngx_http_request_t *r)
{
    ngx_str_t  *site, *origin;

    if (r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD)) {
        return 0;
    }

    site = ngx_http_intuit_header_in(r, "sec-fetch-site");

    if (site) {
        return !((site->len == 11
                  && ngx_memcmp(site->data, "same-origin", 11) == 0)
                 || (site->len == 4 && ngx_memcmp(site->data, "none", 4) == 0));
    }

    origin = ngx_http_intuit_header_in(r, "origin");

    if (origin == NULL) {
        /* every browser sends Origin with an unsafe method */
        return 0;
    }

    return !ngx_http_intuit_same_origin(origin, r);
}


static ngx_uint_t
ngx_http_intuit_same_origin(const ngx_str_t *origin, ngx_http_request_t *r)
{
    ngx_str_t         *host, *own;
    const char        *reason;
    ngx_intuit_url_t   u;

    if (ngx_intuit_url_parse(origin, &u, &reason) != NGX_OK) {
        return 0;
    }

    host = &r->headers_in.server;
    own = &u.host;

    if (r->headers_in.host) {
        host = &r->headers_in.host->value;
        own = &u.authority;
    }

    /* HTTP/3 has an authority, and often no Host */

    return host->len && host->len == own->len
           && ngx_strncasecmp(host->data, own->data, host->len) == 0;
}


/* asked more than once for an answer; a redirect may change the method only */

ngx_uint_t
ngx_http_intuit_navigation(ngx_http_request_t *r)
{
    ngx_http_intuit_ctx_t  *ctx;

    if (r->method != NGX_HTTP_GET) {
        return 0;
    }

    ctx = ngx_http_intuit_get_ctx(r, 0);

    if (ctx == NULL) {
        return ngx_http_intuit_navigates(r);
    }

    if (!ctx->navigation_known) {
        ctx->navigation_known = 1;
        ctx->navigation = ngx_http_intuit_navigates(r);
    }

    return ctx->navigation;
}


static ngx_uint_t
ngx_http_intuit_navigates(ngx_http_request_t *r)
{
    ngx_str_t  *h;

    if (ngx_http_intuit_header_in(r, "x-requested-with")
        || ngx_http_intuit_prefetch(r))
    {
        return 0;
    }

    h = ngx_http_intuit_header_in(r, "sec-fetch-mode");

    if (h) {
        if (h->len != 8 || ngx_memcmp(h->data, "navigate", 8) != 0) {
            return 0;
        }

        h = ngx_http_intuit_header_in(r, "sec-fetch-dest");

        return h == NULL
               || (h->len == 8 && ngx_memcmp(h->data, "document", 8) == 0);
    }

    h = ngx_http_intuit_header_in(r, "accept");

    return h && ngx_intuit_accepts(h, "text/html");
}


ngx_uint_t
ngx_http_intuit_prefetch(ngx_http_request_t *r)
{
    return ngx_http_intuit_header_in(r, "sec-purpose")
           || ngx_http_intuit_header_in(r, "purpose")
           || ngx_http_intuit_header_in(r, "x-moz")
           || ngx_http_intuit_header_in(r, "x-purpose");
}
