/*
 * intuit_provider { }: the block and its setters.
 */

#include "ngx_http_intuit_provider.h"
#include "ngx_http_intuit_conf.h"
#include "ngx_http_intuit_discovery.h"


ngx_http_intuit_provider_t *
ngx_http_intuit_provider_get(ngx_conf_t *cf, ngx_str_t *name)
{
    ngx_uint_t                    i;
    ngx_http_intuit_provider_t   *provider, **p;
    ngx_http_intuit_main_conf_t  *imcf;

    imcf = ngx_http_conf_get_module_main_conf(cf,
                                              ngx_http_intuit_auth_module);
    p = imcf->providers.elts;

    for (i = 0; i < imcf->providers.nelts; i++) {
        if (p[i]->name.len == name->len
            && ngx_memcmp(p[i]->name.data, name->data, name->len) == 0)
        {
            return p[i];
        }
    }

    provider = ngx_pcalloc(cf->pool, sizeof(ngx_http_intuit_provider_t));
    if (provider == NULL) {
        return NULL;
    }

    provider->name = *name;
    provider->first_file = cf->conf_file->file.name.data;
    provider->first_line = cf->conf_file->line;
    provider->environment = NGX_CONF_UNSET_UINT;
    provider->pkce = NGX_CONF_UNSET;
    provider->userinfo = NGX_CONF_UNSET;
    provider->probe = NGX_CONF_UNSET;
    provider->session_timeout = NGX_CONF_UNSET;
    provider->session_idle_timeout = NGX_CONF_UNSET;
    provider->login_timeout = NGX_CONF_UNSET;
    provider->refresh_before = NGX_CONF_UNSET;
    provider->refresh_keepalive = NGX_CONF_UNSET;
    provider->leeway = NGX_CONF_UNSET;
    provider->connect_timeout = NGX_CONF_UNSET_MSEC;
    provider->read_timeout = NGX_CONF_UNSET_MSEC;

    provider->runtime = ngx_pcalloc(cf->pool,
                                    sizeof(ngx_http_intuit_runtime_t));

    if (provider->runtime == NULL
        || ngx_array_init(&provider->allow_realm, cf->pool, 2,
                          sizeof(ngx_str_t))
           != NGX_OK
        || ngx_array_init(&provider->allow_email, cf->pool, 2,
                          sizeof(ngx_str_t))
           != NGX_OK
        || ngx_array_init(&provider->keys, cf->pool, 2,
                          sizeof(ngx_intuit_key_t))
           != NGX_OK)
    {
        return NULL;
    }

    p = ngx_array_push(&imcf->providers);
    if (p == NULL) {
        return NULL;
    }

    *p = provider;

    return provider;
}


char *
ngx_http_intuit_provider_block(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_str_t                   *value;
    ngx_http_intuit_provider_t  *provider;

    (void) cmd;
    (void) conf;

    value = cf->args->elts;

    provider = ngx_http_intuit_provider_get(cf, &value[1]);
    if (provider == NULL) {
        return NGX_CONF_ERROR;
    }

    if (provider->file) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "duplicate intuit_provider \"%V\", the first is in "
                           "%s:%ui", &value[1], provider->file,
                           provider->line);
        return NGX_CONF_ERROR;
    }

    provider->file = cf->conf_file->file.name.data;
    provider->line = cf->conf_file->line;

    return ngx_http_intuit_block(cf, provider, NGX_HTTP_INTUIT_PROVIDER_CONF);
}


/* as ngx_conf_set_enum_slot(), of two values, which the message names */

char *
ngx_http_intuit_set_either(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_str_t        *value;
    ngx_uint_t       *np, i;
    ngx_conf_enum_t  *e;

    np = (ngx_uint_t *) ((u_char *) conf + cmd->offset);

    if (*np != NGX_CONF_UNSET_UINT) {
        return "is duplicate";
    }

    value = cf->args->elts;
    e = cmd->post;

    for (i = 0; i < 2; i++) {

        if (e[i].name.len == value[1].len
            && ngx_memcmp(e[i].name.data, value[1].data, value[1].len) == 0)
        {
            *np = e[i].value;
            return NGX_CONF_OK;
        }
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid value \"%V\" in \"%V\": write %V or %V",
                       &value[1], &cmd->name, &e[0].name, &e[1].name);

    return NGX_CONF_ERROR;
}


char *
ngx_http_intuit_set_secret_file(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_str_t                   *value;
    ngx_http_intuit_provider_t  *provider = conf;

    (void) cmd;

    if (provider->client_secret_file.len) {
        return "is duplicate";
    }

    if (provider->client_secret.len) {
        return "stands beside \"client_secret\": keep one of the two";
    }

    value = cf->args->elts;
    provider->client_secret_file = value[1];

    if (ngx_conf_full_name(cf->cycle, &provider->client_secret_file, 1)
        != NGX_OK
        || ngx_http_intuit_read_file(cf, &provider->client_secret_file,
                                     &provider->client_secret,
                                     "client_secret_file")
           != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    if (provider->client_secret.len == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"client_secret_file\" \"%V\" is an empty file: "
                           "put the app's client secret into it",
                           &provider->client_secret_file);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


char *
ngx_http_intuit_set_scope(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    u_char                      *p;
    size_t                       len, k;
    ngx_str_t                   *value;
    ngx_uint_t                   i;
    ngx_http_intuit_provider_t  *provider = conf;

    (void) cmd;

    if (provider->scope.len) {
        return "is duplicate";
    }

    if (ngx_http_intuit_conf_unended(cf)) {
        return NGX_CONF_ERROR;
    }

    value = cf->args->elts;
    len = 0;

    for (i = 1; i < cf->args->nelts; i++) {
        len += value[i].len + 1;
    }

    p = ngx_pnalloc(cf->pool, len);
    if (p == NULL) {
        return NGX_CONF_ERROR;
    }

    provider->scope.data = p;

    for (i = 1; i < cf->args->nelts; i++) {

        for (k = 0; k < value[i].len; k++) {

            if (value[i].data[k] <= ' ' || value[i].data[k] > '~'
                || ngx_strchr("\"\\,", value[i].data[k]))
            {
                ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                                   "invalid value \"%V\" in \"scope\": write "
                                   "scopes as separate words, without quotes "
                                   "and commas", &value[i]);
                return NGX_CONF_ERROR;
            }
        }

        p = ngx_cpymem(p, value[i].data, value[i].len);
        *p++ = ' ';
    }

    provider->scope.len = len - 1;

    return NGX_CONF_OK;
}


char *
ngx_http_intuit_set_allow(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_str_t                   *value, *rule;
    ngx_uint_t                   i, email, pieces;
    ngx_array_t                 *rules;
    ngx_http_intuit_provider_t  *provider = conf;

    email = (cmd->name.len == sizeof("allow_email") - 1
             && cmd->name.data[6] == 'e');
    rules = email ? &provider->allow_email : &provider->allow_realm;
    pieces = 0;

    if (ngx_http_intuit_conf_unended(cf)) {
        return NGX_CONF_ERROR;
    }

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {

        if (ngx_strcmp(value[i].data, "any") == 0) {

            if (email) {
                provider->allow_email_any = 1;

            } else {
                provider->allow_realm_any = 1;
            }

            continue;
        }

        /* a mask would be taken for an address, and let nobody in */

        if (email
            ? ngx_strchr(value[i].data, '@') == NULL
              || ngx_strchr(value[i].data, '*') != NULL
            : !ngx_intuit_realm_valid(&value[i]))
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid value \"%V\" in \"%V\": %s", &value[i],
                               &cmd->name,
                               email ? "write name@example.com, @example.com "
                                       "or any"
                                     : "write company ids (digits) or any");
            return NGX_CONF_ERROR;
        }

        rule = ngx_array_push(rules);
        if (rule == NULL) {
            return NGX_CONF_ERROR;
        }

        *rule = value[i];

        pieces += (value[i].len <= 4);
    }

    /* Intuit's pages show "9130 3479 5798 3546" */

    if (!email && pieces > 1 && pieces == cf->args->nelts - 1) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid value \"%V %V\" in \"allow_realm\": write "
                           "a company id without blanks", &value[1],
                           &value[2]);
        return NGX_CONF_ERROR;
    }

    if ((email && provider->allow_email_any && rules->nelts)
        || (!email && provider->allow_realm_any && rules->nelts))
    {
        return "has both \"any\" and values: keep one of the two";
    }

    return NGX_CONF_OK;
}


char *
ngx_http_intuit_set_cookie_flags(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_str_t                   *value;
    ngx_uint_t                   i;
    ngx_http_intuit_provider_t  *provider = conf;

    (void) cmd;

    if (ngx_http_intuit_conf_unended(cf)) {
        return NGX_CONF_ERROR;
    }

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {

        if (ngx_strcasecmp(value[i].data, (u_char *) "secure") == 0) {
            provider->secure = 1;

        } else if (ngx_strcasecmp(value[i].data, (u_char *) "httponly") == 0) {
            /* always */

        } else if (ngx_strcasecmp(value[i].data, (u_char *) "samesite=lax")
                   == 0)
        {
            provider->strict = 0;

        } else if (ngx_strcasecmp(value[i].data, (u_char *) "samesite=strict")
                   == 0)
        {
            provider->strict = 1;

        } else {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid value \"%V\" in \"cookie_flags\": "
                               "write secure, samesite=lax or "
                               "samesite=strict", &value[i]);
            return NGX_CONF_ERROR;
        }
    }

    return NGX_CONF_OK;
}


char *
ngx_http_intuit_set_key_file(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_str_t                   *value, name, text;
    ngx_intuit_key_t            *key;
    ngx_http_intuit_provider_t  *provider = conf;

    (void) cmd;

    value = cf->args->elts;
    name = value[1];

    if (ngx_conf_full_name(cf->cycle, &name, 1) != NGX_OK
        || ngx_http_intuit_read_file(cf, &name, &text, "encryption_key_file")
           != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    key = ngx_array_push(&provider->keys);
    if (key == NULL) {
        return NGX_CONF_ERROR;
    }

    if (ngx_intuit_key_parse(key, &text) != NGX_OK) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"encryption_key_file\" \"%V\" holds no key: make "
                           "one with \"openssl rand -hex 32\"", &name);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


char *
ngx_http_intuit_set_tls_file(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char                        *rv;
    ngx_str_t                   *value, *file;
    ngx_http_intuit_provider_t  *provider = conf;

    file = (ngx_str_t *) ((u_char *) provider + cmd->offset);

    if (file->len) {
        return "is duplicate";
    }

    value = cf->args->elts;

    rv = ngx_http_intuit_conf_file(cf, &value[1], file);

    if (rv == NGX_CONF_OK && file == &provider->ssl_trusted_certificate) {
        provider->own_ca = 1;
    }

    return rv;
}
