/*
 * The setters of the directives in locations: what may stand there, and what
 * nginx -t says if it may not.
 */

#include "ngx_http_intuit_fetch.h"
#include "ngx_http_intuit_peer.h"
#include "ngx_http_intuit_provider.h"


#define NGX_HTTP_INTUIT_MIXED_UP                                              \
    "keeps the answers of all companies under one name"
#define NGX_HTTP_INTUIT_HIDDEN                                                \
    "with an \"error_page\" for 401 hides the API's 401"


/* a parameter of intuit_limit */
typedef struct {
    ngx_str_t                    name;
    const char                  *unit;
    ngx_int_t                    min;
    ngx_int_t                    max;
    size_t                       offset;
} ngx_http_intuit_number_t;


static ngx_int_t ngx_http_intuit_limit_option(ngx_conf_t *cf,
    ngx_str_t *value, ngx_http_intuit_limits_t *limits);
static ngx_int_t ngx_http_intuit_limit_number(
    const ngx_http_intuit_number_t *number, const ngx_str_t *value);
static ngx_int_t ngx_http_intuit_proxy_options(ngx_conf_t *cf,
    ngx_http_intuit_loc_conf_t *ilcf);
static ngx_int_t ngx_http_intuit_proxy_upstream(ngx_conf_t *cf,
    ngx_http_intuit_provider_t *provider);
static void ngx_http_intuit_location_realm(ngx_conf_t *cf,
    ngx_http_core_loc_conf_t *clcf);
static ngx_uint_t ngx_http_intuit_location_leaks(
    ngx_http_core_loc_conf_t *clcf, ngx_http_upstream_conf_t *ucf,
    ngx_http_intuit_main_conf_t *imcf);
static ngx_uint_t ngx_http_intuit_location_hides(
    ngx_http_core_loc_conf_t *clcf);


extern ngx_module_t  ngx_http_proxy_module;


/* what may be sent if nothing is said: a little less than Intuit's own
 * 500 a minute, 10 a second, and 40 batches a minute */

ngx_http_intuit_limit_conf_t  ngx_http_intuit_limit_default = {
    NGX_HTTP_INTUIT_LIMIT_ON,
    { 480, 9, 38, 100, 30000 }
};


static ngx_http_intuit_number_t  ngx_http_intuit_limit_numbers[] = {

    { ngx_string("rate="), "r/m", 1, 3000,
      offsetof(ngx_http_intuit_limits_t, rate) },

    { ngx_string("burst_rate="), "r/s", 1, 1000,
      offsetof(ngx_http_intuit_limits_t, burst_rate) },

    { ngx_string("batch_rate="), "r/m", 1, 3000,
      offsetof(ngx_http_intuit_limits_t, batch_rate) },

    { ngx_string("queue="), "", 0, 1000,
      offsetof(ngx_http_intuit_limits_t, queue) },

    { ngx_null_string, NULL, 0, 0, 0 }
};


char *
ngx_http_intuit_set_auth(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_str_t                   *value;
    ngx_http_intuit_loc_conf_t  *ilcf = conf;

    (void) cmd;

    if (ilcf->auth != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_strcmp(value[1].data, "off") == 0) {
        ilcf->auth = NULL;
        return NGX_CONF_OK;
    }

    ilcf->auth = ngx_http_intuit_provider_get(cf, &value[1]);

    if (ilcf->auth == NULL) {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


char *
ngx_http_intuit_set_require(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_str_t                         *value;
    ngx_uint_t                         i, n;
    ngx_http_intuit_require_t         *require;
    ngx_http_intuit_loc_conf_t        *ilcf = conf;
    ngx_http_compile_complex_value_t   ccv;

    (void) cmd;

    if (ilcf->require == NGX_CONF_UNSET_PTR) {
        ilcf->require = ngx_array_create(cf->pool, 2,
                                         sizeof(ngx_http_intuit_require_t));
        if (ilcf->require == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    require = ngx_array_push(ilcf->require);
    if (require == NULL) {
        return NGX_CONF_ERROR;
    }

    require->status = 0;

    value = cf->args->elts;
    n = cf->args->nelts;

    if (value[n - 1].len > 6 && ngx_strncmp(value[n - 1].data, "error=", 6)
                                == 0)
    {
        require->status = ngx_atoi(value[n - 1].data + 6, value[n - 1].len - 6);

        if (require->status < 400 || require->status > 599
            || require->status == NGX_HTTP_CLIENT_CLOSED_REQUEST
            || require->status == NGX_HTTP_CLOSE)
        {
            return "takes error=4xx or error=5xx";
        }

        n--;
    }

    if (n < 2) {
        return "needs a value to look at";
    }

    if (ngx_array_init(&require->values, cf->pool, n - 1,
                       sizeof(ngx_http_complex_value_t))
        != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    for (i = 1; i < n; i++) {

        ngx_memzero(&ccv, sizeof(ngx_http_compile_complex_value_t));

        ccv.cf = cf;
        ccv.value = &value[i];
        ccv.complex_value = ngx_array_push(&require->values);

        if (ccv.complex_value == NULL
            || ngx_http_compile_complex_value(&ccv) != NGX_OK)
        {
            return NGX_CONF_ERROR;
        }

        /* it would let everybody in */

        if (ccv.complex_value->lengths == NULL
            && ngx_strncmp(value[i].data, "intuit_", 7) == 0)
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid value \"%V\" in "
                               "\"auth_intuit_require\": write $%V",
                               &value[i], &value[i]);
            return NGX_CONF_ERROR;
        }
    }

    return NGX_CONF_OK;
}


char *
ngx_http_intuit_set_proxy(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_str_t                    *value;
    ngx_http_core_loc_conf_t     *clcf, **proxied;
    ngx_http_intuit_loc_conf_t   *ilcf = conf;
    ngx_http_intuit_main_conf_t  *imcf;

    (void) cmd;

    if (ilcf->proxy != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_strcmp(value[1].data, "off") == 0) {
        ilcf->proxy = NULL;
        return NGX_CONF_OK;
    }

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (clcf->handler) {
        return "stands beside proxy_pass or another handler: intuit_proxy "
               "itself goes to Intuit's API, remove the other one";
    }

    ilcf->proxy = ngx_http_intuit_provider_get(cf, &value[1]);

    if (ilcf->proxy == NULL
        || ngx_http_intuit_proxy_options(cf, ilcf) != NGX_OK
        || ngx_http_intuit_peer_add(cf, ilcf->proxy) != NGX_OK
        || ngx_http_intuit_proxy_upstream(cf, ilcf->proxy) != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    imcf = ngx_http_conf_get_module_main_conf(cf,
                                              ngx_http_intuit_auth_module);

    proxied = ngx_array_push(&imcf->proxied);
    if (proxied == NULL) {
        return NGX_CONF_ERROR;
    }

    *proxied = clcf;

    imcf->proxy_handler = clcf->handler;

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_intuit_proxy_options(ngx_conf_t *cf,
    ngx_http_intuit_loc_conf_t *ilcf)
{
    ngx_str_t                         *value, realm;
    ngx_uint_t                         i;
    ngx_http_compile_complex_value_t   ccv;

    value = cf->args->elts;

    for (i = 2; i < cf->args->nelts; i++) {

        if (ngx_strncmp(value[i].data, "realm=", 6) == 0 && value[i].len > 6) {

            realm.data = value[i].data + 6;
            realm.len = value[i].len - 6;

            if (ngx_http_script_variables_count(&realm) == 0
                && !ngx_intuit_realm_valid(&realm))
            {
                ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                                   "invalid realm \"%V\" in \"intuit_proxy\": "
                                   "write the company id (digits) or a "
                                   "variable", &realm);
                return NGX_ERROR;
            }

            ilcf->realm = ngx_palloc(cf->pool,
                                     sizeof(ngx_http_complex_value_t));
            if (ilcf->realm == NULL) {
                return NGX_ERROR;
            }

            ngx_memzero(&ccv, sizeof(ngx_http_compile_complex_value_t));

            ccv.cf = cf;
            ccv.value = &realm;
            ccv.complex_value = ilcf->realm;

            if (ngx_http_compile_complex_value(&ccv) != NGX_OK) {
                return NGX_ERROR;
            }

            continue;
        }

        if (ngx_strcmp(value[i].data, "clients=any") == 0) {
            ilcf->any_clients = 1;
            continue;
        }

        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid parameter \"%V\" in \"intuit_proxy\": "
                           "after the provider it takes realm=ID and "
                           "clients=any", &value[i]);
        return NGX_ERROR;
    }

    return NGX_OK;
}


/*
 * The API's side of the location.  Host and TLS are not the operator's to
 * inherit: a token goes to Intuit, verified, or nowhere.
 */

static ngx_int_t
ngx_http_intuit_proxy_upstream(ngx_conf_t *cf,
    ngx_http_intuit_provider_t *provider)
{
    u_char     *p, *last;
    ngx_str_t   text, ca;

    if (provider->file == NULL) {
        provider->early = 1;
    }

    ca = provider->ssl_trusted_certificate;

    if (ca.len == 0) {
        ngx_http_intuit_ca_bundle(&ca);
    }

    text.data = ngx_pnalloc(cf->pool, NGX_HTTP_INTUIT_CONF_SIZE);
    if (text.data == NULL) {
        return NGX_ERROR;
    }

    last = text.data + NGX_HTTP_INTUIT_CONF_SIZE;

    p = ngx_slprintf(text.data, last,
                     "proxy_pass $intuit_api_url;"
                     "proxy_http_version 1.1;"
                     "proxy_next_upstream error timeout non_idempotent;"
                     "proxy_set_header Host $intuit_api_host;"
                     "proxy_set_header Connection \"\";"
                     "proxy_ignore_headers X-Accel-Redirect;");

#if (NGX_HTTP_CACHE)

    /* not $request_uri, in which "-" is any company; JSON or XML by Accept */

    p = ngx_slprintf(p, last,
                     "proxy_cache_key \"$intuit_api_url $http_accept\";");
#endif

    if (ca.len) {
        p = ngx_slprintf(p, last,
                         "proxy_ssl_verify on;"
                         "proxy_ssl_verify_depth 5;"
                         "proxy_ssl_server_name on;"
                         "proxy_ssl_name $intuit_api_host;"
                         "proxy_ssl_protocols TLSv1.2 TLSv1.3;"
                         "proxy_ssl_trusted_certificate \"%V\";", &ca);
    }

    if (provider->ssl_crl.len) {
        p = ngx_slprintf(p, last, "proxy_ssl_crl \"%V\";",
                         &provider->ssl_crl);
    }

    text.len = p - text.data;

    if (ngx_http_intuit_conf_text(cf, &text) != NGX_OK) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "intuit_proxy sets proxy_pass, proxy_http_version, "
                           "proxy_cache_key and proxy_ssl_* itself: remove "
                           "them from this location");
        return NGX_ERROR;
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_intuit_locations_init(ngx_conf_t *cf,
    ngx_http_intuit_main_conf_t *imcf)
{
    const char                *directive, *why;
    ngx_uint_t                 i;
    ngx_http_upstream_conf_t  *ucf;
    ngx_http_core_loc_conf_t  *clcf, **proxied;

    proxied = imcf->proxied.elts;

    for (i = 0; i < imcf->proxied.nelts; i++) {

        clcf = proxied[i];

        ngx_http_intuit_location_realm(cf, clcf);

        /* what the proxy module's own configuration begins with */
        ucf = clcf->loc_conf[ngx_http_proxy_module.ctx_index];

        if (ngx_http_intuit_location_leaks(clcf, ucf, imcf)) {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "another handler beside intuit_proxy in the "
                          "location \"%V\" would get the company's token: "
                          "give it a location of its own", &clcf->name);
            return NGX_ERROR;
        }

        if (ucf->store > 0) {
            directive = "proxy_store";
            why = NGX_HTTP_INTUIT_MIXED_UP;

        } else if (ucf->intercept_errors
                   && ngx_http_intuit_location_hides(clcf))
        {
            directive = "proxy_intercept_errors";
            why = NGX_HTTP_INTUIT_HIDDEN;

        } else {
            continue;
        }

        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"%s\" %s: write \"%s off\" into the location \"%V\" "
                      "of intuit_proxy", directive, why, directive,
                      &clcf->name);
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* nobody could connect that company */

static void
ngx_http_intuit_location_realm(ngx_conf_t *cf, ngx_http_core_loc_conf_t *clcf)
{
    ngx_str_t                   *rule, *realm;
    ngx_uint_t                   i;
    ngx_http_intuit_loc_conf_t  *ilcf;

    ilcf = clcf->loc_conf[ngx_http_intuit_auth_module.ctx_index];

    if (ilcf->realm == NULL || ilcf->realm->lengths
        || ilcf->proxy == NULL || ilcf->proxy->allow_realm.nelts == 0)
    {
        return;
    }

    realm = &ilcf->realm->value;
    rule = ilcf->proxy->allow_realm.elts;

    for (i = 0; i < ilcf->proxy->allow_realm.nelts; i++) {
        if (rule[i].len == realm->len
            && ngx_memcmp(rule[i].data, realm->data, realm->len) == 0)
        {
            return;
        }
    }

    ngx_log_error(NGX_LOG_WARN, cf->log, 0,
                  "\"intuit_proxy\" has realm=%V in the location \"%V\", and "
                  "\"allow_realm\" has not: add it, in intuit_provider \"%V\" "
                  "in %s:%ui", realm, &clcf->name, &ilcf->proxy->name,
                  ilcf->proxy->file, ilcf->proxy->line);
}


/* "if" has no handler of its own, limit_except gets one that is inherited */

static ngx_uint_t
ngx_http_intuit_location_leaks(ngx_http_core_loc_conf_t *clcf,
    ngx_http_upstream_conf_t *ucf, ngx_http_intuit_main_conf_t *imcf)
{
    if (clcf->noname && clcf->handler == NULL) {
        return 0;
    }

    return clcf->handler != imcf->proxy_handler
           || ucf->upstream != NULL
           || (clcf->noname && !clcf->lmt_excpt);
}


static ngx_uint_t
ngx_http_intuit_location_hides(ngx_http_core_loc_conf_t *clcf)
{
    ngx_uint_t            i;
    ngx_http_err_page_t  *err_page;

    if (clcf->error_pages == NULL) {
        return 0;
    }

    err_page = clcf->error_pages->elts;

    for (i = 0; i < clcf->error_pages->nelts; i++) {
        if (err_page[i].status == NGX_HTTP_UNAUTHORIZED) {
            return 1;
        }
    }

    return 0;
}


char *
ngx_http_intuit_set_limit(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_str_t                     *value;
    ngx_uint_t                     i;
    ngx_http_intuit_loc_conf_t    *ilcf = conf;
    ngx_http_intuit_limit_conf_t  *limit;

    (void) cmd;

    if (ilcf->limit != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    limit = ngx_palloc(cf->pool, sizeof(ngx_http_intuit_limit_conf_t));
    if (limit == NULL) {
        return NGX_CONF_ERROR;
    }

    *limit = ngx_http_intuit_limit_default;
    ilcf->limit = limit;

    value = cf->args->elts;

    if (ngx_strcmp(value[1].data, "off") == 0) {
        limit->mode = NGX_HTTP_INTUIT_LIMIT_OFF;

        return cf->args->nelts > 2 ? "takes no parameters after \"off\""
                                   : NGX_CONF_OK;
    }

    if (ngx_strcmp(value[1].data, "dry_run") == 0) {
        limit->mode = NGX_HTTP_INTUIT_LIMIT_DRY_RUN;

    } else if (ngx_strcmp(value[1].data, "on") != 0) {
        return "begins with \"on\", \"off\" or \"dry_run\"";
    }

    for (i = 2; i < cf->args->nelts; i++) {
        if (ngx_http_intuit_limit_option(cf, &value[i], &limit->limits)
            != NGX_OK)
        {
            return NGX_CONF_ERROR;
        }
    }

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_intuit_limit_option(ngx_conf_t *cf, ngx_str_t *value,
    ngx_http_intuit_limits_t *limits)
{
    ngx_int_t                  n;
    ngx_str_t                  s;
    ngx_http_intuit_number_t  *number;

    for (number = ngx_http_intuit_limit_numbers; number->name.len; number++) {

        if (ngx_strncmp(value->data, number->name.data, number->name.len)
            != 0)
        {
            continue;
        }

        n = ngx_http_intuit_limit_number(number, value);

        if (n == NGX_ERROR) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid parameter \"%V\" in "
                               "\"intuit_limit\": write %V%i%s to %V%i%s",
                               value, &number->name, number->min, number->unit,
                               &number->name, number->max, number->unit);
            return NGX_ERROR;
        }

        *(ngx_uint_t *) ((char *) limits + number->offset) = n;

        return NGX_OK;
    }

    if (ngx_strncmp(value->data, "timeout=", 8) == 0) {

        s.data = value->data + 8;
        s.len = value->len - 8;

        n = ngx_parse_time(&s, 0);

        if (n == NGX_ERROR || n > 600000) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid parameter \"%V\" in "
                               "\"intuit_limit\": write a time of at most "
                               "10m, as in timeout=30s", value);
            return NGX_ERROR;
        }

        limits->timeout = n;

        return NGX_OK;
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid parameter \"%V\" in \"intuit_limit\": it "
                       "takes rate=, burst_rate=, batch_rate=, queue= and "
                       "timeout=", value);

    return NGX_ERROR;
}


static ngx_int_t
ngx_http_intuit_limit_number(const ngx_http_intuit_number_t *number,
    const ngx_str_t *value)
{
    size_t     len, unit;
    ngx_int_t  n;

    unit = ngx_strlen(number->unit);
    len = value->len - number->name.len;

    if (len <= unit
        || ngx_memcmp(value->data + value->len - unit, number->unit, unit)
           != 0)
    {
        return NGX_ERROR;
    }

    n = ngx_atoi(value->data + number->name.len, len - unit);

    return (n < number->min || n > number->max) ? NGX_ERROR : n;
}


char *
ngx_http_intuit_set_operator(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_str_t                   *value;
    ngx_http_core_loc_conf_t    *clcf;
    ngx_http_intuit_action_t    *action;
    ngx_http_intuit_loc_conf_t  *ilcf = conf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (clcf->handler
        || (ilcf->proxy != NGX_CONF_UNSET_PTR && ilcf->proxy != NULL))
    {
        return "stands beside another handler: give it a location of its own";
    }

    value = cf->args->elts;
    action = cmd->post;

    ilcf->action = ngx_http_intuit_provider_get(cf, &value[1]);

    if (ilcf->action == NULL) {
        return NGX_CONF_ERROR;
    }

    ilcf->handler = action->handler;
    ilcf->callback = action->callback;

    if (action->callback) {
        ilcf->action->connects = 1;
    }

    clcf->handler = action->handler;

    return NGX_CONF_OK;
}


char *
ngx_http_intuit_set_status(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_str_t                    *value;
    ngx_uint_t                    i, k;
    ngx_http_core_loc_conf_t     *clcf;
    ngx_http_intuit_loc_conf_t   *ilcf = conf;
    ngx_http_intuit_main_conf_t  *imcf;

    static const char  *formats[] = {
        "", "", "html", "json", "prometheus", "health", NULL
    };

    (void) cmd;

    if (ilcf->status) {
        return "is duplicate";
    }

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (clcf->handler
        || (ilcf->proxy != NGX_CONF_UNSET_PTR && ilcf->proxy != NULL))
    {
        return "stands beside another handler: give it a location of its own";
    }

    ilcf->status = NGX_HTTP_INTUIT_STATUS_ASKED;

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {

        if (ngx_strcmp(value[i].data, "manage") == 0) {
            ilcf->manage = 1;
            continue;
        }

        if (ngx_strcmp(value[i].data, "clients=any") == 0) {
            ilcf->any_clients = 1;
            continue;
        }

        k = 0;

        if (ngx_strncmp(value[i].data, "format=", 7) == 0) {
            for (k = NGX_HTTP_INTUIT_STATUS_HTML; formats[k]; k++) {
                if (ngx_strcmp(value[i].data + 7, formats[k]) == 0) {
                    break;
                }
            }
        }

        if (k == 0 || formats[k] == NULL) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid parameter \"%V\" in "
                               "\"intuit_status\": it takes format=html, "
                               "json, prometheus or health, manage, and "
                               "clients=any", &value[i]);
            return NGX_CONF_ERROR;
        }

        ilcf->status = k;
    }

    if (ilcf->manage && ilcf->status > NGX_HTTP_INTUIT_STATUS_JSON) {
        return "with \"manage\" is for people and programs: take format=html, "
               "format=json, or none";
    }

    if (ilcf->manage && ilcf->any_clients) {
        return "cannot let \"clients=any\" \"manage\": guard it with "
               "auth_intuit instead";
    }

    ilcf->action = NULL;
    ilcf->handler = ngx_http_intuit_status_handler;
    clcf->handler = ilcf->handler;

    imcf = ngx_http_conf_get_module_main_conf(cf,
                                              ngx_http_intuit_auth_module);
    imcf->status = 1;

    return NGX_CONF_OK;
}
