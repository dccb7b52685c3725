/*
 * intuit_provider { }: defaults, derived values, and what cannot work.
 */

#include "ngx_http_intuit_provider.h"
#include "ngx_http_intuit_fetch.h"
#include "ngx_http_intuit_job.h"


/* a lease that seems to last longer than this is taken for one of a clock that
 * was set back, so no job may */
#define NGX_HTTP_INTUIT_TIME_MAX  (NGX_HTTP_INTUIT_HOLD_MAX / 2 * 1000)


static ngx_int_t ngx_http_intuit_provider_error(ngx_conf_t *cf,
    ngx_http_intuit_provider_t *provider, const char *fmt, ...);
static ngx_int_t ngx_http_intuit_provider_app(ngx_conf_t *cf,
    ngx_http_intuit_provider_t *provider);
static ngx_int_t ngx_http_intuit_provider_urls(ngx_conf_t *cf,
    ngx_http_intuit_provider_t *provider);
static ngx_int_t ngx_http_intuit_provider_args(ngx_conf_t *cf,
    ngx_http_intuit_provider_t *provider);
static ngx_int_t ngx_http_intuit_provider_redirect(ngx_conf_t *cf,
    ngx_http_intuit_provider_t *provider);
static ngx_int_t ngx_http_intuit_provider_uris(ngx_conf_t *cf,
    ngx_http_intuit_provider_t *provider);
static ngx_int_t ngx_http_intuit_provider_scope(ngx_conf_t *cf,
    ngx_http_intuit_provider_t *provider);
static ngx_uint_t ngx_http_intuit_provider_company(const ngx_str_t *scope);
static ngx_int_t ngx_http_intuit_provider_cookie(ngx_conf_t *cf,
    ngx_http_intuit_provider_t *provider);
static ngx_int_t ngx_http_intuit_provider_keys(ngx_conf_t *cf,
    ngx_http_intuit_provider_t *provider);
static ngx_int_t ngx_http_intuit_provider_tls(ngx_conf_t *cf,
    ngx_http_intuit_provider_t *provider);


static ngx_str_t  ngx_http_intuit_api_urls[] = {
    ngx_string("https://sandbox-quickbooks.api.intuit.com"),
    ngx_string("https://quickbooks.api.intuit.com")
};

static ngx_str_t  ngx_http_intuit_migrate_urls[] = {
    ngx_string("https://developer-sandbox.api.intuit.com"
               "/v2/oauth2/tokens/migrate"),
    ngx_string("https://developer.api.intuit.com/v2/oauth2/tokens/migrate")
};

/* arguments of the authorization request that are ours to set */

static ngx_str_t  ngx_http_intuit_own_args[] = {
    ngx_string("client_id"),
    ngx_string("response_type"),
    ngx_string("scope"),
    ngx_string("redirect_uri"),
    ngx_string("state"),
    ngx_string("nonce"),
    ngx_string("code_challenge"),
    ngx_string("code_challenge_method"),
    ngx_null_string
};


static ngx_int_t
ngx_http_intuit_provider_error(ngx_conf_t *cf,
    ngx_http_intuit_provider_t *provider, const char *fmt, ...)
{
    u_char   *p, text[NGX_MAX_CONF_ERRSTR];
    va_list   args;

    va_start(args, fmt);
    p = ngx_vslprintf(text, text + NGX_MAX_CONF_ERRSTR, fmt, args);
    va_end(args);

    ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                  "%*s, in intuit_provider \"%V\" in %s:%ui",
                  (size_t) (p - text), text, &provider->name, provider->file,
                  provider->line);

    return NGX_ERROR;
}


ngx_int_t
ngx_http_intuit_provider_init(ngx_conf_t *cf,
    ngx_http_intuit_provider_t *provider)
{
    u_char     beginning[sizeof("session") - 1 + NGX_INTUIT_HASH_LEN];
    u_char     random[NGX_HTTP_INTUIT_REVOCATIONS_LEN / 2];
    ngx_str_t  parts[4];

    if (ngx_http_intuit_provider_app(cf, provider) != NGX_OK) {
        return NGX_ERROR;
    }

    if (provider->used_by_auth
        && provider->allow_realm.nelts == 0 && !provider->allow_realm_any
        && provider->allow_email.nelts == 0 && !provider->allow_email_any)
    {
        return ngx_http_intuit_provider_error(cf, provider,
                   "no \"allow_realm\" or \"allow_email\": every Intuit "
                   "customer could sign in (\"allow_realm any\" if that is "
                   "meant)");
    }

    ngx_conf_init_value(provider->pkce, 0);
    ngx_conf_init_value(provider->probe, 1);
    ngx_conf_init_value(provider->session_timeout, 8 * 3600);
    ngx_conf_init_value(provider->session_idle_timeout, 3600);
    ngx_conf_init_value(provider->login_timeout, 600);
    ngx_conf_init_value(provider->refresh_before, 300);
    ngx_conf_init_value(provider->refresh_keepalive, 30 * 86400);
    ngx_conf_init_value(provider->leeway, 60);
    ngx_conf_init_msec_value(provider->connect_timeout, 5000);
    ngx_conf_init_msec_value(provider->read_timeout, 10000);

    if (provider->connect_timeout > NGX_HTTP_INTUIT_TIME_MAX
        || ngx_http_intuit_job_deadline(provider) > NGX_HTTP_INTUIT_TIME_MAX)
    {
        return ngx_http_intuit_provider_error(cf, provider,
                   "\"connect_timeout\", twice, and \"read_timeout\" are more "
                   "than 30 minutes: write shorter times");
    }

    if (ngx_http_intuit_provider_urls(cf, provider) != NGX_OK
        || ngx_http_intuit_provider_args(cf, provider) != NGX_OK
        || ngx_http_intuit_provider_redirect(cf, provider) != NGX_OK
        || ngx_http_intuit_provider_uris(cf, provider) != NGX_OK
        || ngx_http_intuit_provider_scope(cf, provider) != NGX_OK
        || ngx_http_intuit_provider_cookie(cf, provider) != NGX_OK
        || ngx_http_intuit_provider_tls(cf, provider) != NGX_OK)
    {
        return NGX_ERROR;
    }

    /* another app or another Intuit: nothing kept for the old one is valid */

    parts[0] = provider->name;
    parts[1] = provider->client_id;
    parts[2] = provider->config_url.len
               ? provider->config_url
               : ngx_http_intuit_api_urls[provider->environment];
    parts[3] = provider->api_url;

    if (ngx_intuit_hash(provider->identity, parts, 4) != NGX_OK
        || ngx_intuit_basic_auth(cf->pool, &provider->client_id,
                                 &provider->client_secret, &provider->basic)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    parts[0].data = ngx_cpymem(beginning, "session", sizeof("session") - 1);
    ngx_memcpy(parts[0].data, provider->identity, NGX_INTUIT_HASH_LEN);

    parts[0].data = beginning;
    parts[0].len = sizeof(beginning);

    provider->session_ids = ngx_intuit_digest_create(cf->pool, &parts[0]);
    provider->connection_ids = ngx_intuit_memo_create(cf->pool);

    if (provider->session_ids == NULL
        || provider->connection_ids == NULL
        || ngx_intuit_random(random, sizeof(random)) != NGX_OK)
    {
        return NGX_ERROR;
    }

    (void) ngx_hex_dump(provider->revocations, random, sizeof(random));

    return ngx_http_intuit_provider_keys(cf, provider);
}


/* a placeholder that was not filled in would be sent to Intuit as it is */

static ngx_int_t
ngx_http_intuit_provider_app(ngx_conf_t *cf,
    ngx_http_intuit_provider_t *provider)
{
    ngx_str_t  *id, *secret;

    id = &provider->client_id;
    secret = &provider->client_secret;

    if (provider->environment == NGX_CONF_UNSET_UINT) {
        return ngx_http_intuit_provider_error(cf, provider,
                   "no \"environment\": write sandbox or production");
    }

    if (id->len == 0) {
        return ngx_http_intuit_provider_error(cf, provider,
                   "no \"client_id\": it is on the app's Keys page at Intuit");
    }

    if (ngx_strlchr(id->data, id->data + id->len, '$')
        || ngx_strlchr(id->data, id->data + id->len, ' '))
    {
        return ngx_http_intuit_provider_error(cf, provider,
                   "\"client_id\" is \"%V\": copy it from the app's Keys page "
                   "at Intuit, there are no variables here", id);
    }

    if (secret->len == 0) {
        return ngx_http_intuit_provider_error(cf, provider,
                   "no \"client_secret\" or \"client_secret_file\": the "
                   "secret is on the app's Keys page at Intuit");
    }

    /* not shown: it may be a secret all the same */

    if (provider->client_secret_file.len == 0
        && (secret->data[0] == '/'
            || (secret->len > 1 && secret->data[0] == '$'
                && secret->data[1] == '{')))
    {
        return ngx_http_intuit_provider_error(cf, provider,
                   "\"client_secret\" has a path or a variable: write the "
                   "secret itself, or \"client_secret_file\" and a path");
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_intuit_provider_urls(ngx_conf_t *cf,
    ngx_http_intuit_provider_t *provider)
{
    const char        *reason;
    ngx_str_t         *other;
    ngx_intuit_url_t   u;

    if (provider->config_url.len) {

        if (ngx_intuit_url_parse(&provider->config_url, &u, &reason) != NGX_OK
            || !(u.https || u.loopback))
        {
            return ngx_http_intuit_provider_error(cf, provider,
                       "\"config_url\" must be an https URL (http on "
                       "loopback only), not %V", &provider->config_url);
        }
    }

    if (provider->api_url.len == 0) {
        provider->api_url = ngx_http_intuit_api_urls[provider->environment];
    }

    if (ngx_intuit_url_parse(&provider->api_url, &u, &reason) != NGX_OK
        || !(u.https || u.loopback) || u.has_args || u.path.len > 1)
    {
        return ngx_http_intuit_provider_error(cf, provider,
                   "\"api_url\" must be https://host (http on loopback only), "
                   "without a path, not %V", &provider->api_url);
    }

    provider->api_url = u.origin;

    other = &ngx_http_intuit_api_urls[!provider->environment];

    if (u.origin.len == other->len
        && ngx_strncasecmp(u.origin.data, other->data, other->len) == 0)
    {
        return ngx_http_intuit_provider_error(cf, provider,
                   "\"api_url\" %V is of the other \"environment\", which has "
                   "other companies: leave it out, or change both", other);
    }

    if (provider->migrate_url.len == 0) {
        provider->migrate_url =
                          ngx_http_intuit_migrate_urls[provider->environment];
    }

    if (ngx_intuit_url_parse(&provider->migrate_url, &u, &reason) != NGX_OK
        || !(u.https || u.loopback) || u.has_args)
    {
        return ngx_http_intuit_provider_error(cf, provider,
                   "\"migrate_url\" must be an https URL without arguments "
                   "(http on loopback only), not %V", &provider->migrate_url);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_intuit_provider_args(ngx_conf_t *cf,
    ngx_http_intuit_provider_t *provider)
{
    ngx_str_t   *args;
    ngx_uint_t   i;

    args = &provider->extra_auth_args;

    if (args->len && (args->data[0] == '&' || args->data[0] == '?')) {
        args->data++;
        args->len--;
    }

    for (i = 0; ngx_http_intuit_own_args[i].len; i++) {

        if (ngx_intuit_args_has(args, &ngx_http_intuit_own_args[i])) {
            return ngx_http_intuit_provider_error(cf, provider,
                       "\"extra_auth_args\" repeats an argument that the "
                       "module sends itself: leave \"%V\" out",
                       &ngx_http_intuit_own_args[i]);
        }
    }

    for (i = 0; i < args->len; i++) {

        if (args->data[i] <= ' ' || args->data[i] > '~'
            || args->data[i] == '#')
        {
            return ngx_http_intuit_provider_error(cf, provider,
                       "\"extra_auth_args\" must be written "
                       "percent-encoded, not \"%V\"", args);
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_intuit_provider_redirect(ngx_conf_t *cf,
    ngx_http_intuit_provider_t *provider)
{
    const char        *reason;
    ngx_intuit_url_t  *u;

    u = &provider->redirect;

    if (provider->redirect_uri.len == 0) {
        return ngx_http_intuit_provider_error(cf, provider,
                   "no \"redirect_uri\": write the absolute URL that is "
                   "registered with the app");
    }

    if (ngx_intuit_url_parse(&provider->redirect_uri, u, &reason) != NGX_OK) {
        return ngx_http_intuit_provider_error(cf, provider,
                   "\"redirect_uri\" must be an absolute URL such as "
                   "https://tools.example.com/intuit/callback, not %V",
                   &provider->redirect_uri);
    }

    if (u->path.len < 2 || u->has_args
        || !ngx_intuit_return_target(&u->path)
        || ngx_strlchr(u->path.data, u->path.data + u->path.len, '%'))
    {
        return ngx_http_intuit_provider_error(cf, provider,
                   "\"redirect_uri\" needs a plain path of its own such as "
                   "/intuit/callback, without arguments, not %V",
                   &provider->redirect_uri);
    }

    if (provider->environment == NGX_HTTP_INTUIT_PRODUCTION) {

        if (!u->https || u->literal || u->loopback) {
            return ngx_http_intuit_provider_error(cf, provider,
                       "\"redirect_uri\" of a production app must be https "
                       "with a host name: Intuit accepts no http, IP address "
                       "or localhost there, and it is %V",
                       &provider->redirect_uri);
        }

    } else if (!u->https && !u->loopback) {
        ngx_log_error(NGX_LOG_WARN, cf->log, 0,
                      "\"redirect_uri\" %V is plain http and not localhost: "
                      "anybody on the way can read codes and cookies, in "
                      "intuit_provider \"%V\" in %s:%ui",
                      &provider->redirect_uri, &provider->name,
                      provider->file, provider->line);
    }

    /* a notice would go to the log file alone */

    if (ngx_test_config && !ngx_quiet_mode) {
        ngx_log_stderr(0, "intuit_provider \"%V\": register exactly %V as "
                       "the app's redirect URI (%s keys)", &provider->name,
                       &provider->redirect_uri,
                       provider->environment == NGX_HTTP_INTUIT_PRODUCTION
                       ? "production" : "development");
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_intuit_provider_uris(ngx_conf_t *cf,
    ngx_http_intuit_provider_t *provider)
{
    ngx_str_t   *uri[4];
    ngx_uint_t   i;

    static const char  *name[] = {
        "login_uri", "logout_uri", "session_uri", "post_logout_uri"
    };

    static ngx_str_t    dflt[] = {
        ngx_string("/intuit/login"),
        ngx_string("/intuit/logout"),
        ngx_string("/intuit/session"),
        ngx_string("/")
    };

    uri[0] = &provider->login_uri;
    uri[1] = &provider->logout_uri;
    uri[2] = &provider->session_uri;
    uri[3] = &provider->post_logout_uri;

    for (i = 0; i < 4; i++) {

        if (uri[i]->len == 0) {
            *uri[i] = dflt[i];
            continue;
        }

        if (!ngx_intuit_return_target(uri[i])
            || (i < 3
                && (uri[i]->len < 2
                    || ngx_strlchr(uri[i]->data, uri[i]->data + uri[i]->len,
                                   '?')
                    || ngx_strlchr(uri[i]->data, uri[i]->data + uri[i]->len,
                                   '%'))))
        {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "invalid path \"%V\" in \"%s\": write a local path "
                          "such as %V, in intuit_provider \"%V\" in %s:%ui",
                          uri[i], name[i], &dflt[i], &provider->name,
                          provider->file, provider->line);
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_intuit_provider_scope(ngx_conf_t *cf,
    ngx_http_intuit_provider_t *provider)
{
    const char  **s;

    static const char  *userinfo[] = {
        "email", "profile", "phone", "address", NULL
    };

    if (provider->scope.len == 0) {
        return ngx_http_intuit_provider_error(cf, provider,
                   "no \"scope\": write for example \"openid email "
                   "com.intuit.quickbooks.accounting\"");
    }

    provider->openid = ngx_intuit_scope_has(&provider->scope, "openid");
    provider->accounting = ngx_intuit_scope_has(&provider->scope,
                                          "com.intuit.quickbooks.accounting");

    provider->company = ngx_http_intuit_provider_company(&provider->scope);

    if (provider->connects && !provider->company) {
        return ngx_http_intuit_provider_error(cf, provider,
                   "\"scope\" has no company to connect by intuit_connect: "
                   "add com.intuit.quickbooks.accounting to \"%V\"",
                   &provider->scope);
    }

    if (provider->userinfo == NGX_CONF_UNSET) {

        provider->userinfo = 0;

        for (s = userinfo; *s && provider->openid; s++) {
            if (ngx_intuit_scope_has(&provider->scope, *s)) {
                provider->userinfo = 1;
            }
        }
    }

    if (provider->allow_email.nelts
        && !(provider->openid && provider->userinfo
             && ngx_intuit_scope_has(&provider->scope, "email")))
    {
        return ngx_http_intuit_provider_error(cf, provider,
                   "\"allow_email\" needs \"openid email\" in \"scope\" and "
                   "\"userinfo on\"; \"scope\" is \"%V\"", &provider->scope);
    }

    return NGX_OK;
}


/* 1: the scope asks for a company, not just for who somebody is */

static ngx_uint_t
ngx_http_intuit_provider_company(const ngx_str_t *scope)
{
    u_char      *p, *last, *word;
    size_t       len;
    ngx_uint_t   i;

    static ngx_str_t  openid[] = {
        ngx_string("openid"),
        ngx_string("profile"),
        ngx_string("email"),
        ngx_string("phone"),
        ngx_string("address"),
        ngx_string("intuit_name"),
        ngx_null_string
    };

    last = scope->data + scope->len;

    for (word = scope->data; word < last; word = p + 1) {

        p = ngx_strlchr(word, last, ' ');
        if (p == NULL) {
            p = last;
        }

        len = p - word;

        for (i = 0; openid[i].len; i++) {
            if (len == openid[i].len
                && ngx_memcmp(word, openid[i].data, len) == 0)
            {
                break;
            }
        }

        if (openid[i].len == 0) {
            return 1;
        }
    }

    return 0;
}


static ngx_int_t
ngx_http_intuit_provider_cookie(ngx_conf_t *cf,
    ngx_http_intuit_provider_t *provider)
{
    u_char      *p;
    ngx_str_t   *name;
    ngx_uint_t   i, host;

    name = &provider->cookie_name;

    if (provider->redirect.https || provider->redirect.loopback) {
        provider->secure = 1;

    } else if (provider->secure) {
        return ngx_http_intuit_provider_error(cf, provider,
                   "\"cookie_flags\" has secure, but \"redirect_uri\" is "
                   "plain http: browsers would not keep the cookies of %V",
                   &provider->redirect_uri);
    }

    if (name->len == 0) {

        if (provider->secure) {
            ngx_str_set(name, "__Host-intuit");

        } else {
            ngx_str_set(name, "intuit");
        }
    }

    for (i = 0; i < name->len; i++) {

        if (name->data[i] <= ' ' || name->data[i] > '~'
            || ngx_strchr("()<>@,;:\\\"/[]?={}", name->data[i]))
        {
            return ngx_http_intuit_provider_error(cf, provider,
                       "\"cookie_name\" has a character that no cookie name "
                       "may have: write letters and digits, not \"%V\"", name);
        }
    }

    host = (name->len > 7
            && (ngx_strncasecmp(name->data, (u_char *) "__Host-", 7) == 0
                || ngx_strncasecmp(name->data, (u_char *) "__Secu", 6) == 0));

    if (host && !provider->secure) {
        return ngx_http_intuit_provider_error(cf, provider,
                   "\"cookie_name\" begins with __Host- or __Secure-, which "
                   "browsers keep over https and on localhost only: write "
                   "another than \"%V\", or https in \"redirect_uri\"", name);
    }

    if (provider->secure) {
        ngx_str_set(&provider->cookie_flags, "; Path=/; HttpOnly; Secure");

    } else {
        ngx_str_set(&provider->cookie_flags, "; Path=/; HttpOnly");
    }

    provider->login_prefix.len = name->len + sizeof("-login-") - 1;
    provider->tries_name.len = name->len + sizeof("-tries") - 1;

    provider->login_prefix.data = ngx_pnalloc(cf->pool,
                                              provider->login_prefix.len);
    provider->tries_name.data = ngx_pnalloc(cf->pool,
                                            provider->tries_name.len);

    if (provider->login_prefix.data == NULL
        || provider->tries_name.data == NULL)
    {
        return NGX_ERROR;
    }

    p = ngx_cpymem(provider->login_prefix.data, name->data, name->len);
    ngx_memcpy(p, "-login-", sizeof("-login-") - 1);

    p = ngx_cpymem(provider->tries_name.data, name->data, name->len);
    ngx_memcpy(p, "-tries", sizeof("-tries") - 1);

    return NGX_OK;
}


/* login cookies are sealed with keys of their own, derived from the ring */

static ngx_int_t
ngx_http_intuit_provider_keys(ngx_conf_t *cf,
    ngx_http_intuit_provider_t *provider)
{
    ngx_str_t          ikm;
    ngx_uint_t         i, n;
    ngx_intuit_key_t  *key;

    key = provider->keys.elts;
    n = ngx_max(provider->keys.nelts, 1);

    provider->login_keys = ngx_palloc(cf->pool, n * sizeof(ngx_intuit_key_t));
    if (provider->login_keys == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < n; i++) {

        ikm = provider->client_secret;

        if (provider->keys.nelts) {
            ikm.data = key[i].key;
            ikm.len = NGX_INTUIT_KEY_LEN;
        }

        if (ngx_intuit_key_derive(&provider->login_keys[i], &ikm,
                                  "intuit login cookie")
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    provider->nlogin_keys = n;

    provider->sealer = ngx_intuit_sealer_create(cf->pool,
                                                provider->login_keys);
    if (provider->sealer == NULL) {
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_intuit_provider_tls(ngx_conf_t *cf,
    ngx_http_intuit_provider_t *provider)
{
    if (provider->early && (provider->own_ca || provider->ssl_crl.len)) {
        return ngx_http_intuit_provider_error(cf, provider,
                   "\"ssl_trusted_certificate\" or \"ssl_crl\" comes too late: "
                   "put the block before the locations with intuit_proxy");
    }

    if (!provider->own_ca) {
        ngx_http_intuit_ca_bundle(&provider->ssl_trusted_certificate);
    }

    if (provider->ssl_trusted_certificate.len == 0
        && provider->config_url.len == 0)
    {
        return ngx_http_intuit_provider_error(cf, provider,
                   "no CA bundle on this system: install ca-certificates or "
                   "set \"ssl_trusted_certificate\"");
    }

    return NGX_OK;
}
