/*
 * logout_uri: ends the session, never the connection.
 */

#include "ngx_http_intuit_cookie.h"
#include "ngx_http_intuit_share.h"


#define NGX_HTTP_INTUIT_LOGOUT_COOKIES  8


static ngx_uint_t ngx_http_intuit_logout_meant(ngx_http_request_t *r,
    ngx_http_intuit_provider_t *provider);
static ngx_uint_t ngx_http_intuit_logout_referer(ngx_http_request_t *r,
    ngx_http_intuit_provider_t *provider);
static ngx_int_t ngx_http_intuit_logout_confirm(ngx_http_request_t *r,
    ngx_http_intuit_provider_t *provider);
static void ngx_http_intuit_logout_shared(ngx_http_request_t *r);
static ngx_int_t ngx_http_intuit_logout_over(ngx_http_request_t *r,
    ngx_http_intuit_provider_t *provider);
static ngx_int_t ngx_http_intuit_logout_sessions(ngx_http_request_t *r,
    ngx_http_intuit_provider_t *provider);
static ngx_int_t ngx_http_intuit_logout_done(ngx_http_request_t *r,
    ngx_http_intuit_provider_t *provider);
static ngx_uint_t ngx_http_intuit_value_is(const ngx_str_t *value,
    const char *text);


ngx_int_t
ngx_http_intuit_logout_handler(ngx_http_request_t *r)
{
    ngx_int_t                    rc;
    ngx_http_intuit_ctx_t       *ctx;
    ngx_http_intuit_provider_t  *provider;

    ctx = ngx_http_intuit_get_ctx(r, 0);
    provider = ctx->endpoint->provider;

    if (r->method != NGX_HTTP_POST && r->method != NGX_HTTP_GET) {
        return ngx_http_intuit_method_not_allowed(r, provider, "GET, POST");
    }

    if (ngx_http_intuit_cross_site(r)) {
        return ngx_http_intuit_fail(r, provider, NGX_HTTP_INTUIT_E_CROSS_SITE,
                                    "logout");
    }

    if (r->method == NGX_HTTP_GET
        && !ngx_http_intuit_logout_meant(r, provider))
    {
        return ngx_http_intuit_logout_confirm(r, provider);
    }

    rc = ngx_http_intuit_logout_sessions(r, provider);

    if (rc == NGX_AGAIN) {
        r->main->count++;
        return NGX_DONE;
    }

    if (rc == NGX_DECLINED) {
        return ngx_http_intuit_fail(r, provider, NGX_HTTP_INTUIT_E_STORE,
                                    "logout");
    }

    if (rc != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_intuit_logout_over(r, provider);
}


/* the store has it, too */

static void
ngx_http_intuit_logout_shared(ngx_http_request_t *r)
{
    ngx_int_t                    rc;
    ngx_http_intuit_ctx_t       *ctx;
    ngx_http_intuit_provider_t  *provider;

    ctx = ngx_http_intuit_get_ctx(r, 0);
    provider = ctx->endpoint->provider;

    ctx->share_waits = 0;

    rc = (ctx->share_rc == NGX_OK)
         ? ngx_http_intuit_logout_over(r, provider)
         : ngx_http_intuit_fail(r, provider, NGX_HTTP_INTUIT_E_STORE,
                                "logout");

    ngx_http_finalize_request(r, rc);
}


static ngx_int_t
ngx_http_intuit_logout_over(ngx_http_request_t *r,
    ngx_http_intuit_provider_t *provider)
{
    if (ngx_http_intuit_cookie_set(r, provider, &provider->cookie_name,
                                   NULL, 0, 0)
        != NGX_OK
        || ngx_http_intuit_cookie_set(r, provider, &provider->tries_name,
                                      NULL, 0, 1)
           != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_intuit_logout_done(r, provider);
}


/*
 * A GET that somebody wanted: a link on our own pages, or the address typed
 * in.  Not what an image, a frame, a prefetch or another site's link sends.
 */

static ngx_uint_t
ngx_http_intuit_logout_meant(ngx_http_request_t *r,
    ngx_http_intuit_provider_t *provider)
{
    ngx_str_t  *site, *mode;

    if (!ngx_http_intuit_navigation(r)) {
        return 0;
    }

    site = ngx_http_intuit_header_in(r, "sec-fetch-site");
    mode = ngx_http_intuit_header_in(r, "sec-fetch-mode");

    if (site && mode) {
        return ngx_http_intuit_value_is(mode, "navigate")
               && (ngx_http_intuit_value_is(site, "same-origin")
                   || ngx_http_intuit_value_is(site, "same-site")
                   || ngx_http_intuit_value_is(site, "none"));
    }

    if (site || mode || ngx_http_intuit_header_in(r, "sec-fetch-dest")) {
        return 0;
    }

    return ngx_http_intuit_logout_referer(r, provider);
}


/* for browsers that send no Sec-Fetch-* */

static ngx_uint_t
ngx_http_intuit_logout_referer(ngx_http_request_t *r,
    ngx_http_intuit_provider_t *provider)
{
    ngx_str_t         *referer;
    const char        *reason;
    ngx_intuit_url_t   u, *own;

    referer = ngx_http_intuit_header_in(r, "referer");

    if (referer == NULL
        || ngx_intuit_url_parse(referer, &u, &reason) != NGX_OK)
    {
        return 0;
    }

    own = &provider->redirect;

    return u.https == own->https
           && u.port == own->port
           && u.host.len == own->host.len
           && ngx_strncasecmp(u.host.data, own->host.data, u.host.len) == 0;
}


static ngx_int_t
ngx_http_intuit_logout_confirm(ngx_http_request_t *r,
    ngx_http_intuit_provider_t *provider)
{
    u_char     *p;
    ngx_str_t   content, page, policy;

    /* with "no-referrer" the form's POST would bring "Origin: null" */

    ngx_str_set(&policy, "same-origin");

    if (ngx_http_intuit_add_header(r, "Referrer-Policy", &policy) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    p = ngx_pnalloc(r->pool, 256
                    + ngx_intuit_html_escaped_len(&provider->logout_uri));
    if (p == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    content.data = p;

    p = ngx_sprintf(p, "<p>Your session on this site ends. You stay signed "
                       "in at Intuit.</p>\n<form method=\"post\" action=\"");
    p = ngx_intuit_html_escape(p, &provider->logout_uri);
    p = ngx_sprintf(p, "\">\n<button class=\"act\" type=\"submit\">Sign out"
                       "</button>\n</form>\n");

    content.len = p - content.data;

    if (ngx_http_intuit_page(r, "Sign out?", &content, &page) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_intuit_send(r, NGX_HTTP_OK, "text/html", &page);
}


/*
 * Removes the session of every cookie of the name, as it cannot be known
 * which of several is the browser's own.  Whoever has a copy of the login's
 * cookie and of the callback must not get another session of it afterwards.
 * NGX_AGAIN: parked, until no other host knows them; NGX_DECLINED: the store
 * failed.
 */

static ngx_int_t
ngx_http_intuit_logout_sessions(ngx_http_request_t *r,
    ngx_http_intuit_provider_t *provider)
{
    ngx_int_t                  rc;
    ngx_uint_t                 i, n;
    ngx_array_t                found;
    ngx_keyval_t              *kv;
    ngx_http_intuit_id_t       id, login;
    ngx_http_intuit_id_t       ended[NGX_HTTP_INTUIT_LOGOUT_COOKIES];
    ngx_http_intuit_loaded_t   loaded;

    if (ngx_array_init(&found, r->pool, 4, sizeof(ngx_keyval_t)) != NGX_OK
        || ngx_http_intuit_cookie_list(r, &provider->cookie_name, 64, &found)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    kv = found.elts;
    n = 0;

    for (i = 0; i < found.nelts && n < NGX_HTTP_INTUIT_LOGOUT_COOKIES; i++) {

        if (kv[i].key.len != provider->cookie_name.len
            || kv[i].value.len != NGX_HTTP_INTUIT_COOKIE_LEN)
        {
            continue;
        }

        if (ngx_http_intuit_session_id(&id, provider, &kv[i].value)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        ended[n++] = id;

        if (ngx_http_intuit_session_load(provider->store, &id,
                                         provider->session_idle_timeout,
                                         ngx_time(), r->pool, &loaded)
            == NGX_OK
            && loaded.session.login.len == NGX_HTTP_INTUIT_ID_LEN)
        {
            ngx_memcpy(login.data, loaded.session.login.data,
                       NGX_HTTP_INTUIT_ID_LEN);
            ngx_http_intuit_login_close(provider->store, &login);
            ngx_http_intuit_share_close(provider, &login);
        }

        rc = ngx_http_intuit_session_remove(provider->store, &id);

        if (rc == NGX_OK) {
            ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                          "intuit logout, provider \"%V\"", &provider->name);

        } else if (rc != NGX_DECLINED) {
            return NGX_DECLINED;
        }
    }

    rc = ngx_http_intuit_share_end(r, provider, ended, n,
                                   ngx_http_intuit_logout_shared);

    if (rc == NGX_AGAIN) {
        return NGX_AGAIN;
    }

    return rc == NGX_DECLINED ? NGX_OK : NGX_DECLINED;
}


static ngx_int_t
ngx_http_intuit_logout_done(ngx_http_request_t *r,
    ngx_http_intuit_provider_t *provider)
{
    u_char      *p;
    ngx_str_t    body, url, *accept, *origin, *uri;
    ngx_uint_t   status;

    accept = ngx_http_intuit_header_in(r, "accept");

    if (accept
        && ngx_intuit_accepts(accept, "application/json")
        && !ngx_intuit_accepts(accept, "text/html"))
    {
        ngx_str_set(&body, "{\"logged_out\":true}\n");

        return ngx_http_intuit_send(r, NGX_HTTP_OK, "application/json",
                                    &body);
    }

    status = (r->method == NGX_HTTP_POST) ? NGX_HTTP_SEE_OTHER
                                          : NGX_HTTP_MOVED_TEMPORARILY;

    uri = &provider->post_logout_uri;
    origin = &provider->redirect.origin;

    url.len = origin->len + uri->len;
    url.data = ngx_pnalloc(r->pool, url.len);
    if (url.data == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    p = ngx_cpymem(url.data, origin->data, origin->len);
    ngx_memcpy(p, uri->data, uri->len);

    return ngx_http_intuit_redirect(r, status, &url);
}


static ngx_uint_t
ngx_http_intuit_value_is(const ngx_str_t *value, const char *text)
{
    return value->len == ngx_strlen(text)
           && ngx_memcmp(value->data, text, value->len) == 0;
}
