/*
 * Which server serves which provider's URIs.
 */

#include "ngx_http_intuit_provider.h"


typedef struct {
    ngx_str_t                    uri;
    ngx_int_t                  (*handler)(ngx_http_request_t *r);
    const char                  *directive;
    unsigned                     callback:1;
} ngx_http_intuit_uri_t;


static ngx_int_t ngx_http_intuit_server_init(ngx_conf_t *cf,
    ngx_http_intuit_srv_conf_t *iscf);
static ngx_int_t ngx_http_intuit_server_names(ngx_conf_t *cf,
    ngx_http_core_srv_conf_t *cscf, ngx_http_intuit_srv_conf_t *iscf);
static ngx_int_t ngx_http_intuit_server_add(ngx_conf_t *cf,
    ngx_http_intuit_srv_conf_t *iscf, ngx_http_intuit_use_t *use,
    ngx_http_intuit_uri_t *uri);
static ngx_int_t ngx_http_intuit_server_cookies(ngx_conf_t *cf,
    ngx_http_intuit_srv_conf_t *iscf);
static ngx_uint_t ngx_http_intuit_server_has(ngx_http_core_srv_conf_t *cscf,
    ngx_http_intuit_provider_t *provider);
static ngx_uint_t ngx_http_intuit_server_takes(ngx_str_t *name,
    ngx_str_t *host);
static ngx_http_intuit_use_t *ngx_http_intuit_server_use(
    ngx_http_intuit_srv_conf_t *iscf, ngx_http_intuit_provider_t *provider);


ngx_int_t
ngx_http_intuit_servers_init(ngx_conf_t *cf)
{
    ngx_uint_t                     i, s, found, used;
    ngx_http_core_srv_conf_t     **cscf;
    ngx_http_core_main_conf_t     *cmcf;
    ngx_http_intuit_srv_conf_t    *iscf;
    ngx_http_intuit_provider_t   **provider;
    ngx_http_intuit_main_conf_t   *imcf;

    imcf = ngx_http_conf_get_module_main_conf(cf,
                                              ngx_http_intuit_auth_module);
    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);

    cscf = cmcf->servers.elts;
    provider = imcf->providers.elts;

    for (s = 0; s < cmcf->servers.nelts; s++) {

        iscf = cscf[s]->ctx->srv_conf[ngx_http_intuit_auth_module.ctx_index];

        if (ngx_http_intuit_server_init(cf, iscf) != NGX_OK
            || ngx_http_intuit_server_cookies(cf, iscf) != NGX_OK
            || ngx_http_intuit_server_names(cf, cscf[s], iscf) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    for (i = 0; i < imcf->providers.nelts; i++) {

        found = 0;
        used = 0;

        for (s = 0; s < cmcf->servers.nelts; s++) {

            iscf = cscf[s]->ctx->srv_conf[
                                       ngx_http_intuit_auth_module.ctx_index];

            if (ngx_http_intuit_server_use(iscf, provider[i]) == NULL) {
                continue;
            }

            used = 1;

            if (ngx_http_intuit_server_has(cscf[s], provider[i])) {
                found = 1;
                break;
            }
        }

        if (used && !found) {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "no server that uses intuit_provider \"%V\" has the "
                          "host \"%V\" of its \"redirect_uri\": add it to "
                          "\"server_name\" or correct the URI, in %s:%ui",
                          &provider[i]->name, &provider[i]->redirect.host,
                          provider[i]->file, provider[i]->line);
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_intuit_server_init(ngx_conf_t *cf, ngx_http_intuit_srv_conf_t *iscf)
{
    ngx_uint_t              i, k, n;
    ngx_http_intuit_use_t  *use;
    ngx_http_intuit_uri_t   uri[4];

    use = iscf->uses.elts;

    for (i = 0; i < iscf->uses.nelts; i++) {

        if (!use[i].callback) {
            /* nobody comes back from Intuit with it here */
            continue;
        }

        ngx_memzero(uri, sizeof(uri));

        uri[0].uri = use[i].provider->redirect.path;
        uri[0].handler = ngx_http_intuit_callback_handler;
        uri[0].directive = "redirect_uri";
        uri[0].callback = 1;

        uri[1].uri = use[i].provider->login_uri;
        uri[1].handler = ngx_http_intuit_login_handler;
        uri[1].directive = "login_uri";

        uri[2].uri = use[i].provider->logout_uri;
        uri[2].handler = ngx_http_intuit_logout_handler;
        uri[2].directive = "logout_uri";

        uri[3].uri = use[i].provider->session_uri;
        uri[3].handler = ngx_http_intuit_session_handler;
        uri[3].directive = "session_uri";

        /* to connect a company is not to sign in */

        n = use[i].auth ? 4 : 1;

        for (k = 0; k < n; k++) {
            if (ngx_http_intuit_server_add(cf, iscf, &use[i], &uri[k])
                != NGX_OK)
            {
                return NGX_ERROR;
            }
        }
    }

    return NGX_OK;
}


/* core's own array is gone once the configuration has been read */

static ngx_int_t
ngx_http_intuit_server_names(ngx_conf_t *cf, ngx_http_core_srv_conf_t *cscf,
    ngx_http_intuit_srv_conf_t *iscf)
{
    ngx_str_t               *name;
    ngx_uint_t               i;
    ngx_http_server_name_t  *names;

    names = cscf->server_names.elts;

    if (ngx_array_init(&iscf->names, cf->pool, cscf->server_names.nelts + 1,
                       sizeof(ngx_str_t))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    for (i = 0; i < cscf->server_names.nelts; i++) {

#if (NGX_PCRE)
        if (names[i].regex) {
            continue;
        }
#endif

        name = ngx_array_push(&iscf->names);
        if (name == NULL) {
            return NGX_ERROR;
        }

        *name = names[i].name;
    }

    return NGX_OK;
}


/* Two providers may share the callback: the login cookie tells them apart. */

static ngx_int_t
ngx_http_intuit_server_add(ngx_conf_t *cf, ngx_http_intuit_srv_conf_t *iscf,
    ngx_http_intuit_use_t *use, ngx_http_intuit_uri_t *uri)
{
    ngx_uint_t                   i;
    ngx_http_intuit_endpoint_t  *ep;

    ep = iscf->endpoints.elts;

    for (i = 0; i < iscf->endpoints.nelts; i++) {

        if (ep[i].uri.len != uri->uri.len
            || ngx_memcmp(ep[i].uri.data, uri->uri.data, uri->uri.len) != 0
            || (ep[i].callback && uri->callback))
        {
            continue;
        }

        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"%V\" would serve two things in one server: "
                      "intuit_provider \"%V\" in %s:%ui needs another \"%s\"",
                      &uri->uri, &use->provider->name, use->provider->file,
                      use->provider->line, uri->directive);
        return NGX_ERROR;
    }

    ep = ngx_array_push(&iscf->endpoints);
    if (ep == NULL) {
        return NGX_ERROR;
    }

    ep->uri = uri->uri;
    ep->provider = use->provider;
    ep->handler = uri->handler;
    ep->callback = uri->callback;

    iscf->lengths |= (uint64_t) 1 << (ep->uri.len & 63);

    return NGX_OK;
}


/* signing in with one provider must not sign out of the other */

static ngx_int_t
ngx_http_intuit_server_cookies(ngx_conf_t *cf,
    ngx_http_intuit_srv_conf_t *iscf)
{
    ngx_uint_t                   i, k;
    ngx_http_intuit_use_t       *use;
    ngx_http_intuit_provider_t  *a, *b;

    use = iscf->uses.elts;

    for (i = 1; i < iscf->uses.nelts; i++) {

        a = use[i].provider;

        for (k = 0; k < i; k++) {

            b = use[k].provider;

            if (!use[i].auth || !use[k].auth
                || a->cookie_name.len != b->cookie_name.len
                || ngx_memcmp(a->cookie_name.data, b->cookie_name.data,
                              a->cookie_name.len)
                   != 0)
            {
                continue;
            }

            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "intuit_provider \"%V\" and \"%V\" would overwrite "
                          "each other's cookie \"%V\" in one server: one of "
                          "them needs another \"cookie_name\", in %s:%ui",
                          &b->name, &a->name, &a->cookie_name, a->file,
                          a->line);
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* a server without a name, and any server on localhost, takes every host */

static ngx_uint_t
ngx_http_intuit_server_has(ngx_http_core_srv_conf_t *cscf,
    ngx_http_intuit_provider_t *provider)
{
    ngx_str_t               *host;
    ngx_uint_t               i;
    ngx_http_server_name_t  *name;

    if (provider->redirect.loopback) {
        return 1;
    }

    host = &provider->redirect.host;
    name = cscf->server_names.elts;

    for (i = 0; i < cscf->server_names.nelts; i++) {

        if (name[i].name.len == 0
            || (name[i].name.len == 1 && name[i].name.data[0] == '_'))
        {
            return 1;
        }

#if (NGX_PCRE)
        if (name[i].regex) {
            return 1;
        }
#endif

        if (ngx_http_intuit_server_takes(&name[i].name, host)) {
            return 1;
        }
    }

    return 0;
}


/* a name, or "*.example.com", ".example.com", "www.example.*" */

static ngx_uint_t
ngx_http_intuit_server_takes(ngx_str_t *name, ngx_str_t *host)
{
    u_char  *p;
    size_t   len;

    p = name->data;
    len = name->len;

    if (len == host->len && ngx_strncasecmp(p, host->data, len) == 0) {
        return 1;
    }

    if (p[len - 1] == '*') {
        len--;
        return host->len > len && ngx_strncasecmp(p, host->data, len) == 0;
    }

    if (p[0] == '*') {
        p++;
        len--;

    } else if (p[0] != '.') {
        return 0;

    } else if (host->len == len - 1
               && ngx_strncasecmp(p + 1, host->data, host->len) == 0)
    {
        return 1;
    }

    return host->len > len
           && ngx_strncasecmp(p, host->data + host->len - len, len) == 0;
}


static ngx_http_intuit_use_t *
ngx_http_intuit_server_use(ngx_http_intuit_srv_conf_t *iscf,
    ngx_http_intuit_provider_t *provider)
{
    ngx_uint_t              i;
    ngx_http_intuit_use_t  *use;

    use = iscf->uses.elts;

    for (i = 0; i < iscf->uses.nelts; i++) {
        if (use[i].provider == provider) {
            return &use[i];
        }
    }

    return NULL;
}
