/*
 * intuit_status: connections, sessions, keys and memory, for people (HTML),
 * programs (JSON), Prometheus and load balancers; and, with "manage", forms
 * to refresh and to disconnect.
 */

#include "ngx_http_intuit_pending.h"
#include "ngx_http_intuit_refresh.h"
#include "ngx_http_intuit_status.h"
#include "ngx_intuit_args.h"


static ngx_int_t ngx_http_intuit_status_show(ngx_http_request_t *r);
static ngx_uint_t ngx_http_intuit_status_format(ngx_http_request_t *r,
    ngx_http_intuit_loc_conf_t *ilcf);
static void ngx_http_intuit_status_args(ngx_http_request_t *r,
    ngx_http_intuit_status_t *s);
static ngx_uint_t ngx_http_intuit_status_ready(ngx_http_intuit_ctx_t *ctx);
static void ngx_http_intuit_status_resume(ngx_http_request_t *r);
static ngx_int_t ngx_http_intuit_status_send(ngx_http_request_t *r,
    ngx_http_intuit_status_t *s);
static ngx_int_t ngx_http_intuit_status_send_health(ngx_http_request_t *r,
    ngx_http_intuit_status_t *s);
static void ngx_http_intuit_status_form(ngx_http_request_t *r);
static ngx_int_t ngx_http_intuit_status_read(ngx_http_request_t *r,
    ngx_str_t *action, ngx_http_intuit_provider_t **provider,
    ngx_str_t *realm);
static ngx_int_t ngx_http_intuit_status_refresh(ngx_http_request_t *r,
    ngx_http_intuit_ctx_t *ctx, ngx_http_intuit_provider_t *provider,
    const ngx_str_t *realm);
static ngx_int_t ngx_http_intuit_status_refreshed(ngx_http_request_t *r,
    ngx_http_intuit_ctx_t *ctx);


ngx_int_t
ngx_http_intuit_status_handler(ngx_http_request_t *r)
{
    ngx_http_intuit_loc_conf_t  *ilcf;

    ilcf = ngx_http_get_module_loc_conf(r, ngx_http_intuit_auth_module);

    return ngx_http_intuit_operator_handler(r, ngx_http_intuit_status_show,
                                            ilcf->manage
                                            ? ngx_http_intuit_status_form
                                            : NULL);
}


static ngx_int_t
ngx_http_intuit_status_show(ngx_http_request_t *r)
{
    ngx_http_intuit_ctx_t       *ctx;
    ngx_http_intuit_status_t    *s;
    ngx_http_intuit_loc_conf_t  *ilcf;

    ctx = ngx_http_intuit_get_ctx(r, 0);
    ilcf = ngx_http_get_module_loc_conf(r, ngx_http_intuit_auth_module);

    s = ngx_pcalloc(r->pool, sizeof(ngx_http_intuit_status_t));
    if (s == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    s->request = r;
    s->imcf = ngx_http_get_module_main_conf(r, ngx_http_intuit_auth_module);
    s->format = ngx_http_intuit_status_format(r, ilcf);
    s->manage = ilcf->manage;
    s->now = ngx_time();

    if (s->format == NGX_HTTP_INTUIT_STATUS_HEALTH) {
        return ngx_http_intuit_status_send_health(r, s);
    }

    ngx_http_intuit_status_args(r, s);

    s->counts = ngx_pcalloc(r->pool, (s->imcf->providers.nelts + 1)
                                     * NGX_HTTP_INTUIT_CONN_MAX
                                     * sizeof(ngx_uint_t));

    if (s->counts == NULL
        || ngx_array_init(&s->entries, r->pool, 64,
                          sizeof(ngx_http_intuit_status_entry_t))
           != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ctx->status = s;

    if (ngx_http_intuit_status_look(s)) {
        return ngx_http_intuit_status_send(r, s);
    }

    /* many: others have their turn in between */

    if (ngx_http_intuit_park(r, ctx, ngx_http_intuit_status_ready,
                             ngx_http_intuit_status_resume)
        != NGX_OK)
    {
        return ngx_http_intuit_fail(r, NULL, NGX_HTTP_INTUIT_E_BUSY, NULL);
    }

    r->main->count++;

    return NGX_DONE;
}


static ngx_uint_t
ngx_http_intuit_status_format(ngx_http_request_t *r,
    ngx_http_intuit_loc_conf_t *ilcf)
{
    if (ilcf->status != NGX_HTTP_INTUIT_STATUS_ASKED) {
        return ilcf->status;
    }

    return ngx_http_intuit_wants_html(r) ? NGX_HTTP_INTUIT_STATUS_HTML
                                         : NGX_HTTP_INTUIT_STATUS_JSON;
}


static void
ngx_http_intuit_status_args(ngx_http_request_t *r,
    ngx_http_intuit_status_t *s)
{
    ngx_int_t  n;
    ngx_str_t  value;

    s->page = 1;

    if (ngx_intuit_args_get(r->pool, &r->args, "page", &value) == NGX_OK
        && value.len <= 6)
    {
        n = ngx_atoi(value.data, value.len);
        s->page = (n > 0) ? n : 1;
    }

    if (ngx_intuit_args_get(r->pool, &r->args, "done", &value) == NGX_OK) {
        s->done = value;
    }
}


static ngx_uint_t
ngx_http_intuit_status_ready(ngx_http_intuit_ctx_t *ctx)
{
    return ngx_http_intuit_status_look(ctx->status);
}


static void
ngx_http_intuit_status_resume(ngx_http_request_t *r)
{
    ngx_http_intuit_ctx_t  *ctx;

    ctx = ngx_http_intuit_get_ctx(r, 0);

    ngx_http_finalize_request(r, ngx_http_intuit_status_send(r, ctx->status));
}


static ngx_int_t
ngx_http_intuit_status_send(ngx_http_request_t *r,
    ngx_http_intuit_status_t *s)
{
    ngx_int_t    rc;
    ngx_str_t    body, policy;
    const char  *type;

    if (s->failed) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_http_intuit_status_sort(s);
    ngx_http_intuit_status_check(s);

    switch (s->format) {

    case NGX_HTTP_INTUIT_STATUS_HTML:
        type = "text/html";
        rc = ngx_http_intuit_status_html(s, &body);

        /* with "no-referrer" a form's POST would bring "Origin: null" */

        ngx_str_set(&policy, "same-origin");

        if (ngx_http_intuit_add_header(r, "Referrer-Policy", &policy)
            != NGX_OK)
        {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        break;

    case NGX_HTTP_INTUIT_STATUS_PROMETHEUS:
        type = "text/plain; version=0.0.4; charset=utf-8";
        rc = ngx_http_intuit_status_metrics(s, &body);
        break;

    default:
        type = "application/json";
        rc = ngx_http_intuit_status_json(s, &body);
        break;
    }

    if (rc != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_intuit_send(r, NGX_HTTP_OK, type, &body);
}


/* cheap, as it is asked often: no connection is looked at */

static ngx_int_t
ngx_http_intuit_status_send_health(ngx_http_request_t *r,
    ngx_http_intuit_status_t *s)
{
    ngx_str_t          body;
    ngx_uint_t         status;
    ngx_intuit_text_t  t;

    ngx_http_intuit_status_check(s);

    ngx_intuit_text_init(&t, r->pool);
    ngx_http_intuit_status_health_json(s->problems, &t, NULL);
    ngx_intuit_text_put(&t, "\n");

    if (ngx_intuit_text_end(&t, &body) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    status = (s->problems & NGX_HTTP_INTUIT_UNHEALTHY)
             ? NGX_HTTP_SERVICE_UNAVAILABLE : NGX_HTTP_OK;

    return ngx_http_intuit_send(r, status, "application/json", &body);
}


static void
ngx_http_intuit_status_form(ngx_http_request_t *r)
{
    ngx_int_t                    rc;
    ngx_str_t                    action, realm, none;
    ngx_http_intuit_ctx_t       *ctx;
    ngx_http_intuit_provider_t  *provider;

    ctx = ngx_http_intuit_get_ctx(r, 0);

    rc = ngx_http_intuit_status_read(r, &action, &provider, &realm);

    if (rc == NGX_OK && action.len == 7
        && ngx_memcmp(action.data, "refresh", 7) == 0)
    {
        rc = ngx_http_intuit_status_refresh(r, ctx, provider, &realm);

        if (rc != NGX_AGAIN) {
            ngx_http_finalize_request(r, rc);
        }

        return;
    }

    if (rc == NGX_OK && action.len == 10
        && ngx_memcmp(action.data, "disconnect", 10) == 0)
    {
        ngx_str_null(&none);
        ngx_http_intuit_disconnect_company(r, provider, &realm, &none);
        return;
    }

    ngx_http_intuit_operator_fail(r, NULL,
                                  rc == NGX_ERROR ? NGX_HTTP_INTUIT_E_INTERNAL
                                                  : NGX_HTTP_INTUIT_E_BODY,
                                  "a form of the status page");
}


/* NGX_OK; NGX_DECLINED: it cannot be understood; NGX_ERROR. */

static ngx_int_t
ngx_http_intuit_status_read(ngx_http_request_t *r, ngx_str_t *action,
    ngx_http_intuit_provider_t **found, ngx_str_t *realm)
{
    ngx_int_t                     rc;
    ngx_str_t                     text, name;
    ngx_uint_t                    i;
    ngx_http_intuit_provider_t  **provider;
    ngx_http_intuit_main_conf_t  *imcf;

    rc = ngx_http_intuit_operator_text(r, &text);
    if (rc != NGX_OK) {
        return rc;
    }

    if (ngx_intuit_args_get(r->pool, &text, "action", action) != NGX_OK
        || ngx_intuit_args_get(r->pool, &text, "provider", &name) != NGX_OK
        || ngx_intuit_args_get(r->pool, &text, "realm", realm) != NGX_OK
        || !ngx_intuit_realm_valid(realm))
    {
        return NGX_DECLINED;
    }

    imcf = ngx_http_get_module_main_conf(r, ngx_http_intuit_auth_module);
    provider = imcf->providers.elts;

    for (i = 0; i < imcf->providers.nelts; i++) {

        if (provider[i]->name.len == name.len
            && ngx_memcmp(provider[i]->name.data, name.data, name.len) == 0)
        {
            *found = provider[i];
            return NGX_OK;
        }
    }

    return NGX_DECLINED;
}


/* NGX_AGAIN: parked; else what ngx_http_finalize_request() takes */

static ngx_int_t
ngx_http_intuit_status_refresh(ngx_http_request_t *r,
    ngx_http_intuit_ctx_t *ctx, ngx_http_intuit_provider_t *provider,
    const ngx_str_t *realm)
{
    ngx_int_t                rc;
    ngx_http_intuit_id_t     id;
    ngx_http_intuit_view_t  *view;

    view = ngx_http_intuit_view_create(r, provider);

    if (view == NULL
        || ngx_http_intuit_connection_id(&id, provider, realm) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ctx->api = view;

    rc = ngx_http_intuit_connection_load(provider->store, &id, r->pool,
                                         &view->loaded.connection,
                                         &view->loaded.generation);

    if (rc != NGX_OK && rc != NGX_DECLINED) {
        return ngx_http_intuit_fail(r, provider, NGX_HTTP_INTUIT_E_STORE,
                                    NULL);
    }

    view->loaded.has_connection = (rc == NGX_OK);

    return ngx_http_intuit_refresh_by_hand(r, ctx, view,
                                           ngx_http_intuit_status_refreshed);
}


static ngx_int_t
ngx_http_intuit_status_refreshed(ngx_http_request_t *r,
    ngx_http_intuit_ctx_t *ctx)
{
    ngx_str_t                 body;
    ngx_intuit_text_t         t;
    ngx_intuit_connection_t  *c;

    if (ngx_http_intuit_wants_html(r)) {
        return ngx_http_intuit_status_back(r, "refreshed");
    }

    c = &ctx->api->loaded.connection;

    ngx_intuit_text_init(&t, r->pool);

    ngx_intuit_text_open(&t, NULL, '{');
    ngx_intuit_text_bool(&t, "refreshed", 1);
    ngx_intuit_text_string(&t, "realm_id", &c->realm);
    ngx_intuit_text_time(&t, "token_expires", c->current.expires);
    ngx_intuit_text_close(&t, '}');
    ngx_intuit_text_put(&t, "\n");

    if (ngx_intuit_text_end(&t, &body) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_intuit_send(r, NGX_HTTP_OK, "application/json", &body);
}


/* the same page, by a relative reference; a reload repeats nothing */

ngx_int_t
ngx_http_intuit_status_back(ngx_http_request_t *r, const char *done)
{
    ngx_str_t  url;

    url.data = ngx_pnalloc(r->pool, sizeof("?done=") - 1 + ngx_strlen(done));
    if (url.data == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    url.len = ngx_sprintf(url.data, "?done=%s", done) - url.data;

    return ngx_http_intuit_redirect(r, NGX_HTTP_SEE_OTHER, &url);
}
