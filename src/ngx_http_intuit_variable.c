/*
 * Variables.  They show what the request's own handlers have found out and
 * never look anything up themselves; those of a subrequest are the main
 * request's.
 */

#include "ngx_http_intuit_auth_module.h"


#define NGX_HTTP_INTUIT_CLAIM  "intuit_claim_"


/* what the number and string variables read */
typedef enum {
    NGX_HTTP_INTUIT_VAR_REALM = 0,
    NGX_HTTP_INTUIT_VAR_ACCESS_TOKEN,
    NGX_HTTP_INTUIT_VAR_ID_TOKEN,
    NGX_HTTP_INTUIT_VAR_EXPIRES,
    NGX_HTTP_INTUIT_VAR_REFRESH_EXPIRES
} ngx_http_intuit_variable_e;


static ngx_int_t ngx_http_intuit_variable_authenticated(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_intuit_variable_claim(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_intuit_variable_userinfo(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_intuit_variable_string(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_intuit_variable_time(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_intuit_variable_session_id(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_intuit_variable_login_uri(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_intuit_variable_ctx(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_intuit_variable_error(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_intuit_variable_refresh(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_intuit_variable_limit(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_intuit_variable_version(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_http_intuit_view_t *ngx_http_intuit_variable_view(
    ngx_http_request_t *r);
static ngx_uint_t ngx_http_intuit_variable_session(
    const ngx_http_intuit_view_t *view);
static ngx_int_t ngx_http_intuit_variable_set(ngx_http_variable_value_t *v,
    const ngx_str_t *value);
static ngx_uint_t ngx_http_intuit_has_control(const ngx_str_t *s);


static ngx_http_variable_t  ngx_http_intuit_variables[] = {

    { ngx_string("intuit_authenticated"), NULL,
      ngx_http_intuit_variable_authenticated, 0,
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string(NGX_HTTP_INTUIT_CLAIM), NULL,
      ngx_http_intuit_variable_claim, 0,
      NGX_HTTP_VAR_NOCACHEABLE|NGX_HTTP_VAR_PREFIX, 0 },

    { ngx_string("intuit_userinfo"), NULL,
      ngx_http_intuit_variable_userinfo, 0,
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("intuit_realm_id"), NULL,
      ngx_http_intuit_variable_string, NGX_HTTP_INTUIT_VAR_REALM,
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("intuit_access_token"), NULL,
      ngx_http_intuit_variable_string, NGX_HTTP_INTUIT_VAR_ACCESS_TOKEN,
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("intuit_id_token"), NULL,
      ngx_http_intuit_variable_string, NGX_HTTP_INTUIT_VAR_ID_TOKEN,
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    /* seconds since the epoch */

    { ngx_string("intuit_token_expires"), NULL,
      ngx_http_intuit_variable_time, NGX_HTTP_INTUIT_VAR_EXPIRES,
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("intuit_refresh_token_expires"), NULL,
      ngx_http_intuit_variable_time, NGX_HTTP_INTUIT_VAR_REFRESH_EXPIRES,
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("intuit_session_id"), NULL,
      ngx_http_intuit_variable_session_id, 0,
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("intuit_login_uri"), NULL,
      ngx_http_intuit_variable_login_uri, 0,
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("intuit_tid"), NULL,
      ngx_http_intuit_variable_ctx, offsetof(ngx_http_intuit_ctx_t, tid),
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("intuit_fault_code"), NULL,
      ngx_http_intuit_variable_ctx, offsetof(ngx_http_intuit_ctx_t, fault_code),
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("intuit_error"), NULL,
      ngx_http_intuit_variable_error, 0,
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("intuit_refresh_status"), NULL,
      ngx_http_intuit_variable_refresh, 0,
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("intuit_limit_status"), NULL,
      ngx_http_intuit_variable_limit, 0,
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("intuit_version"), NULL,
      ngx_http_intuit_variable_version, 0,
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    /* internal: where intuit_proxy goes, and what the host is called there */

    { ngx_string("intuit_api_url"), NULL,
      ngx_http_intuit_variable_ctx, offsetof(ngx_http_intuit_ctx_t, api_url),
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("intuit_api_host"), NULL,
      ngx_http_intuit_variable_ctx, offsetof(ngx_http_intuit_ctx_t, api_host),
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

      ngx_http_null_variable
};


ngx_int_t
ngx_http_intuit_add_variables(ngx_conf_t *cf)
{
    ngx_http_variable_t  *var, *v;

    for (v = ngx_http_intuit_variables; v->name.len; v++) {

        var = ngx_http_add_variable(cf, &v->name, v->flags);
        if (var == NULL) {
            return NGX_ERROR;
        }

        var->get_handler = v->get_handler;
        var->data = v->data;
    }

    return NGX_OK;
}


ngx_uint_t
ngx_http_intuit_variable_used(ngx_conf_t *cf, const char *name)
{
    size_t                      len;
    ngx_uint_t                  i;
    ngx_http_variable_t        *v;
    ngx_http_core_main_conf_t  *cmcf;

    len = ngx_strlen(name);

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);
    v = cmcf->variables.elts;

    for (i = 0; i < cmcf->variables.nelts; i++) {

        if (v[i].name.len == len
            && ngx_memcmp(v[i].name.data, name, len) == 0)
        {
            return 1;
        }
    }

    return 0;
}


static ngx_int_t
ngx_http_intuit_variable_authenticated(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_str_t                value;
    ngx_http_intuit_view_t  *view;

    (void) data;

    view = ngx_http_intuit_variable_view(r);

    if (view && ngx_http_intuit_variable_session(view)) {
        ngx_str_set(&value, "1");

    } else {
        ngx_str_set(&value, "0");
    }

    return ngx_http_intuit_variable_set(v, &value);
}


static ngx_int_t
ngx_http_intuit_variable_claim(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_int_t                rc;
    ngx_str_t                name, text, value;
    ngx_http_intuit_view_t  *view;

    name = *(ngx_str_t *) data;
    name.data += sizeof(NGX_HTTP_INTUIT_CLAIM) - 1;
    name.len -= sizeof(NGX_HTTP_INTUIT_CLAIM) - 1;

    ngx_str_null(&value);

    view = ngx_http_intuit_variable_view(r);

    if (view == NULL || view->loaded.session.claims.len == 0) {
        return ngx_http_intuit_variable_set(v, &value);
    }

    if (view->claims == NULL) {

        if (ngx_intuit_session_claims(r->main->pool, &view->loaded.session,
                                      &text)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        view->claims = ngx_intuit_json_parse(r->main->pool, &text);
        if (view->claims == NULL) {
            return NGX_ERROR;
        }
    }

    rc = ngx_intuit_json_claim(r->main->pool, view->claims, &name, &value);

    if (rc == NGX_ERROR) {
        return NGX_ERROR;
    }

    if (rc != NGX_OK) {
        ngx_str_null(&value);
    }

    return ngx_http_intuit_variable_set(v, &value);
}


static ngx_int_t
ngx_http_intuit_variable_userinfo(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_str_t                value;
    ngx_intuit_json_t       *json;
    ngx_http_intuit_view_t  *view;

    (void) data;

    ngx_str_null(&value);

    view = ngx_http_intuit_variable_view(r);

    if (view == NULL) {
        return ngx_http_intuit_variable_set(v, &value);
    }

    if (ngx_intuit_session_userinfo(r->main->pool, &view->loaded.session,
                                    &value)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ngx_http_intuit_has_control(&value)) {

        /* JSON may have line breaks between its tokens, a header may not */

        json = ngx_intuit_json_parse(r->main->pool, &value);

        if (json == NULL
            || ngx_intuit_json_dump(r->main->pool, json, &value) != NGX_OK)
        {
            return NGX_ERROR;
        }

        if (ngx_http_intuit_has_control(&value)) {
            ngx_str_null(&value);
        }
    }

    return ngx_http_intuit_variable_set(v, &value);
}


static ngx_int_t
ngx_http_intuit_variable_string(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_str_t                 value;
    ngx_http_intuit_view_t   *view;
    const ngx_intuit_pair_t  *pair;

    ngx_str_null(&value);

    view = ngx_http_intuit_variable_view(r);

    if (view == NULL) {
        return ngx_http_intuit_variable_set(v, &value);
    }

    switch (data) {

    case NGX_HTTP_INTUIT_VAR_REALM:
        value = view->loaded.session.realm;

        if (value.len == 0 && view->loaded.has_connection) {
            value = view->loaded.connection.realm;
        }

        break;

    case NGX_HTTP_INTUIT_VAR_ACCESS_TOKEN:
        pair = ngx_http_intuit_view_pair(view);

        if (pair && pair->expires > ngx_time()) {
            value = pair->access_token;
        }

        break;

    case NGX_HTTP_INTUIT_VAR_ID_TOKEN:
        value = view->loaded.session.id_token;
        break;

    default:
        break;
    }

    return ngx_http_intuit_variable_set(v, &value);
}


static ngx_int_t
ngx_http_intuit_variable_time(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    time_t                    t;
    ngx_str_t                 value;
    ngx_http_intuit_view_t   *view;
    const ngx_intuit_pair_t  *pair;

    ngx_str_null(&value);

    view = ngx_http_intuit_variable_view(r);
    pair = view ? ngx_http_intuit_view_pair(view) : NULL;

    if (pair == NULL) {
        return ngx_http_intuit_variable_set(v, &value);
    }

    t = (data == NGX_HTTP_INTUIT_VAR_EXPIRES)
        ? pair->expires : ngx_http_intuit_refresh_end(pair);

    if (t) {
        value.data = ngx_pnalloc(r->pool, NGX_TIME_T_LEN);
        if (value.data == NULL) {
            return NGX_ERROR;
        }

        value.len = ngx_sprintf(value.data, "%T", t) - value.data;
    }

    return ngx_http_intuit_variable_set(v, &value);
}


time_t
ngx_http_intuit_refresh_end(const ngx_intuit_pair_t *pair)
{
    if (pair->refresh_expires == 0) {
        return pair->hard_expires;
    }

    if (pair->hard_expires == 0) {
        return pair->refresh_expires;
    }

    return ngx_min(pair->refresh_expires, pair->hard_expires);
}


/* hashed once more: the store's own identifier is not for logs */

static ngx_int_t
ngx_http_intuit_variable_session_id(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    u_char                   hash[NGX_INTUIT_HASH_LEN];
    ngx_str_t                id, value;
    ngx_http_intuit_view_t  *view;

    (void) data;

    ngx_str_null(&value);

    view = ngx_http_intuit_variable_view(r);

    if (view == NULL || !ngx_http_intuit_variable_session(view)) {
        return ngx_http_intuit_variable_set(v, &value);
    }

    id.data = view->id.data;
    id.len = NGX_HTTP_INTUIT_ID_LEN;

    value.len = 16;
    value.data = ngx_pnalloc(r->pool, value.len);

    if (value.data == NULL || ngx_intuit_sha256(hash, &id) != NGX_OK) {
        return NGX_ERROR;
    }

    (void) ngx_hex_dump(value.data, hash, value.len / 2);

    return ngx_http_intuit_variable_set(v, &value);
}


static ngx_int_t
ngx_http_intuit_variable_login_uri(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_str_t                    value;
    ngx_http_intuit_ctx_t       *ctx;
    ngx_http_intuit_loc_conf_t  *ilcf;
    ngx_http_intuit_provider_t  *provider;

    (void) data;

    ngx_str_null(&value);

    ctx = ngx_http_intuit_get_ctx(r->main, 0);
    ilcf = ngx_http_get_module_loc_conf(r, ngx_http_intuit_auth_module);

    if (ctx && ctx->endpoint) {
        provider = ctx->endpoint->provider;

    } else {
        provider = ilcf->auth ? ilcf->auth : ilcf->proxy;
    }

    if (provider
        && ngx_http_intuit_login_link(r->main, provider, &value) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_intuit_variable_set(v, &value);
}


static ngx_int_t
ngx_http_intuit_variable_ctx(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_str_t               value;
    ngx_http_intuit_ctx_t  *ctx;

    ngx_str_null(&value);

    ctx = ngx_http_intuit_get_ctx(r->main, 0);

    if (ctx) {
        value = *(ngx_str_t *) ((char *) ctx + data);
    }

    return ngx_http_intuit_variable_set(v, &value);
}


static ngx_int_t
ngx_http_intuit_variable_error(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_str_t               value;
    ngx_http_intuit_ctx_t  *ctx;

    (void) data;

    ngx_str_null(&value);

    ctx = ngx_http_intuit_get_ctx(r->main, 0);

    if (ctx && ctx->failed) {
        value.data = (u_char *) ngx_http_intuit_error_name(ctx->error);
        value.len = ngx_strlen(value.data);
    }

    return ngx_http_intuit_variable_set(v, &value);
}


static ngx_int_t
ngx_http_intuit_variable_refresh(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_str_t               value;
    ngx_http_intuit_ctx_t  *ctx;

    (void) data;

    ngx_str_null(&value);

    ctx = ngx_http_intuit_get_ctx(r->main, 0);

    if (ctx && ctx->refresh_status) {
        value.data = (u_char *) ctx->refresh_status;
        value.len = ngx_strlen(value.data);
    }

    return ngx_http_intuit_variable_set(v, &value);
}


static ngx_int_t
ngx_http_intuit_variable_limit(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_str_t               value;
    ngx_http_intuit_ctx_t  *ctx;

    (void) data;

    ngx_str_null(&value);

    ctx = ngx_http_intuit_get_ctx(r->main, 0);

    if (ctx && ctx->limit && ctx->limit->status) {
        value.data = (u_char *) ctx->limit->status;
        value.len = ngx_strlen(value.data);
    }

    return ngx_http_intuit_variable_set(v, &value);
}


static ngx_int_t
ngx_http_intuit_variable_version(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_str_t  value;

    (void) r;
    (void) data;

    ngx_str_set(&value, NGX_HTTP_INTUIT_VERSION);

    return ngx_http_intuit_variable_set(v, &value);
}


/*
 * The login that guards the request, else the one whose token it uses.  What
 * an earlier location has found out (error_page) is nothing to one that asks
 * for a login with another provider.
 */

static ngx_http_intuit_view_t *
ngx_http_intuit_variable_view(ngx_http_request_t *r)
{
    ngx_http_intuit_ctx_t       *ctx;
    ngx_http_intuit_loc_conf_t  *ilcf;

    ctx = ngx_http_intuit_get_ctx(r->main, 0);

    if (ctx == NULL) {
        return NULL;
    }

    ilcf = ngx_http_get_module_loc_conf(r->main, ngx_http_intuit_auth_module);

    if (ctx->auth && ctx->auth->rc == NGX_OK
        && (ilcf->auth == NULL || ilcf->auth == ctx->auth->provider
            || ngx_http_intuit_own_uri(r->main, ctx)))
    {
        return ctx->auth;
    }

    if (ctx->api && ctx->api->rc == NGX_OK
        && (ilcf->auth == NULL || ilcf->proxy == ctx->api->provider))
    {
        return ctx->api;
    }

    return NULL;
}


/* a view of intuit_proxy with realm= has a connection and no session */

static ngx_uint_t
ngx_http_intuit_variable_session(const ngx_http_intuit_view_t *view)
{
    return view->loaded.session.expires != 0;
}


static ngx_int_t
ngx_http_intuit_variable_set(ngx_http_variable_value_t *v,
    const ngx_str_t *value)
{
    if (value->len == 0) {
        v->not_found = 1;
        return NGX_OK;
    }

    v->len = value->len;
    v->data = value->data;
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;

    return NGX_OK;
}


static ngx_uint_t
ngx_http_intuit_has_control(const ngx_str_t *s)
{
    size_t  i;

    for (i = 0; i < s->len; i++) {
        if (s->data[i] < 0x20 || s->data[i] == 0x7f) {
            return 1;
        }
    }

    return 0;
}
