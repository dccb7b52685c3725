/*
 * The front door: directives and configuration of ngx_http_intuit_auth_module.
 * What they lead to lives in src/.
 */

#include "ngx_http_intuit_cookie.h"
#include "ngx_http_intuit_discovery.h"
#include "ngx_http_intuit_peer.h"
#include "ngx_http_intuit_pending.h"
#include "ngx_http_intuit_provider.h"
#include "ngx_http_intuit_redis_conf.h"
#include "ngx_http_intuit_share.h"
#include "ngx_http_intuit_state.h"


static char *ngx_http_intuit_shared_zone(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static ngx_int_t ngx_http_intuit_add_filters(ngx_conf_t *cf,
    ngx_http_intuit_main_conf_t *imcf);
static ngx_int_t ngx_http_intuit_add_handlers(ngx_conf_t *cf,
    ngx_http_intuit_main_conf_t *imcf);
static ngx_int_t ngx_http_intuit_resolver(ngx_conf_t *cf,
    ngx_http_intuit_main_conf_t *imcf);
static ngx_int_t ngx_http_intuit_preconfiguration(ngx_conf_t *cf);
static ngx_int_t ngx_http_intuit_init(ngx_conf_t *cf);
static void *ngx_http_intuit_create_main_conf(ngx_conf_t *cf);
static void *ngx_http_intuit_create_srv_conf(ngx_conf_t *cf);
static void *ngx_http_intuit_create_loc_conf(ngx_conf_t *cf);
static char *ngx_http_intuit_merge_loc_conf(ngx_conf_t *cf, void *parent,
    void *child);
static ngx_int_t ngx_http_intuit_use(ngx_conf_t *cf,
    ngx_http_intuit_provider_t *provider, ngx_uint_t auth,
    ngx_uint_t callback);
static ngx_int_t ngx_http_intuit_init_module(ngx_cycle_t *cycle);
static ngx_int_t ngx_http_intuit_init_process(ngx_cycle_t *cycle);
static void ngx_http_intuit_exit_process(ngx_cycle_t *cycle);
static void ngx_http_intuit_exit_master(ngx_cycle_t *cycle);


static ngx_conf_enum_t  ngx_http_intuit_environments[] = {
    { ngx_string("sandbox"), NGX_HTTP_INTUIT_SANDBOX },
    { ngx_string("production"), NGX_HTTP_INTUIT_PRODUCTION },
    { ngx_null_string, 0 }
};


static ngx_conf_enum_t  ngx_http_intuit_modes[] = {
    { ngx_string("require"), NGX_HTTP_INTUIT_MODE_REQUIRE },
    { ngx_string("verify"), NGX_HTTP_INTUIT_MODE_VERIFY },
    { ngx_null_string, 0 }
};


static ngx_http_intuit_action_t  ngx_http_intuit_connect = {
    ngx_http_intuit_connect_handler, 1
};


static ngx_http_intuit_action_t  ngx_http_intuit_disconnect = {
    ngx_http_intuit_disconnect_handler, 0
};


static ngx_http_intuit_action_t  ngx_http_intuit_migrate = {
    ngx_http_intuit_migrate_handler, 0
};


static ngx_command_t  ngx_http_intuit_commands[] = {

    { ngx_string("intuit_provider"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_BLOCK|NGX_CONF_TAKE1,
      ngx_http_intuit_provider_block,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("intuit_shared_zone"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_http_intuit_shared_zone,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("intuit_store"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_BLOCK|NGX_CONF_TAKE1,
      ngx_http_intuit_redis_block,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("auth_intuit"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_intuit_set_auth,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("auth_intuit_mode"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_intuit_set_either,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_intuit_loc_conf_t, mode),
      &ngx_http_intuit_modes },

    { ngx_string("auth_intuit_require"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_intuit_set_require,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("intuit_proxy"),
      NGX_HTTP_LOC_CONF|NGX_CONF_TAKE123,
      ngx_http_intuit_set_proxy,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("intuit_limit"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_intuit_set_limit,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("intuit_request_id"),
      NGX_HTTP_LOC_CONF|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_intuit_loc_conf_t, request_id),
      NULL },

    { ngx_string("intuit_connect"),
      NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_intuit_set_operator,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      &ngx_http_intuit_connect },

    { ngx_string("intuit_disconnect"),
      NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_intuit_set_operator,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      &ngx_http_intuit_disconnect },

    { ngx_string("intuit_migrate"),
      NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_intuit_set_operator,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      &ngx_http_intuit_migrate },

    { ngx_string("intuit_status"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS|NGX_CONF_TAKE123,
      ngx_http_intuit_set_status,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    /* inside intuit_provider { } */

    { ngx_string("include"),
      NGX_HTTP_INTUIT_PROVIDER_CONF|NGX_CONF_TAKE1,
      ngx_conf_include,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("environment"),
      NGX_HTTP_INTUIT_PROVIDER_CONF|NGX_CONF_TAKE1,
      ngx_http_intuit_set_either,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_intuit_provider_t, environment),
      &ngx_http_intuit_environments },

    { ngx_string("config_url"),
      NGX_HTTP_INTUIT_PROVIDER_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_str_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_intuit_provider_t, config_url),
      NULL },

    { ngx_string("api_url"),
      NGX_HTTP_INTUIT_PROVIDER_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_str_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_intuit_provider_t, api_url),
      NULL },

    { ngx_string("migrate_url"),
      NGX_HTTP_INTUIT_PROVIDER_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_str_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_intuit_provider_t, migrate_url),
      NULL },

    { ngx_string("client_id"),
      NGX_HTTP_INTUIT_PROVIDER_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_str_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_intuit_provider_t, client_id),
      NULL },

    { ngx_string("client_secret"),
      NGX_HTTP_INTUIT_PROVIDER_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_str_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_intuit_provider_t, client_secret),
      NULL },

    { ngx_string("client_secret_file"),
      NGX_HTTP_INTUIT_PROVIDER_CONF|NGX_CONF_TAKE1,
      ngx_http_intuit_set_secret_file,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("redirect_uri"),
      NGX_HTTP_INTUIT_PROVIDER_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_str_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_intuit_provider_t, redirect_uri),
      NULL },

    { ngx_string("scope"),
      NGX_HTTP_INTUIT_PROVIDER_CONF|NGX_CONF_1MORE,
      ngx_http_intuit_set_scope,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("extra_auth_args"),
      NGX_HTTP_INTUIT_PROVIDER_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_str_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_intuit_provider_t, extra_auth_args),
      NULL },

    { ngx_string("allow_realm"),
      NGX_HTTP_INTUIT_PROVIDER_CONF|NGX_CONF_1MORE,
      ngx_http_intuit_set_allow,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("allow_email"),
      NGX_HTTP_INTUIT_PROVIDER_CONF|NGX_CONF_1MORE,
      ngx_http_intuit_set_allow,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("pkce"),
      NGX_HTTP_INTUIT_PROVIDER_CONF|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_intuit_provider_t, pkce),
      NULL },

    { ngx_string("userinfo"),
      NGX_HTTP_INTUIT_PROVIDER_CONF|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_intuit_provider_t, userinfo),
      NULL },

    { ngx_string("probe"),
      NGX_HTTP_INTUIT_PROVIDER_CONF|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_intuit_provider_t, probe),
      NULL },

    { ngx_string("login_uri"),
      NGX_HTTP_INTUIT_PROVIDER_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_str_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_intuit_provider_t, login_uri),
      NULL },

    { ngx_string("logout_uri"),
      NGX_HTTP_INTUIT_PROVIDER_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_str_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_intuit_provider_t, logout_uri),
      NULL },

    { ngx_string("post_logout_uri"),
      NGX_HTTP_INTUIT_PROVIDER_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_str_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_intuit_provider_t, post_logout_uri),
      NULL },

    { ngx_string("session_uri"),
      NGX_HTTP_INTUIT_PROVIDER_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_str_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_intuit_provider_t, session_uri),
      NULL },

    { ngx_string("cookie_name"),
      NGX_HTTP_INTUIT_PROVIDER_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_str_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_intuit_provider_t, cookie_name),
      NULL },

    { ngx_string("cookie_flags"),
      NGX_HTTP_INTUIT_PROVIDER_CONF|NGX_CONF_1MORE,
      ngx_http_intuit_set_cookie_flags,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("session_timeout"),
      NGX_HTTP_INTUIT_PROVIDER_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_sec_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_intuit_provider_t, session_timeout),
      NULL },

    { ngx_string("session_idle_timeout"),
      NGX_HTTP_INTUIT_PROVIDER_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_sec_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_intuit_provider_t, session_idle_timeout),
      NULL },

    { ngx_string("login_timeout"),
      NGX_HTTP_INTUIT_PROVIDER_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_sec_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_intuit_provider_t, login_timeout),
      NULL },

    { ngx_string("refresh_before"),
      NGX_HTTP_INTUIT_PROVIDER_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_sec_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_intuit_provider_t, refresh_before),
      NULL },

    { ngx_string("refresh_keepalive"),
      NGX_HTTP_INTUIT_PROVIDER_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_sec_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_intuit_provider_t, refresh_keepalive),
      NULL },

    { ngx_string("leeway"),
      NGX_HTTP_INTUIT_PROVIDER_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_sec_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_intuit_provider_t, leeway),
      NULL },

    { ngx_string("connect_timeout"),
      NGX_HTTP_INTUIT_PROVIDER_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_intuit_provider_t, connect_timeout),
      NULL },

    { ngx_string("read_timeout"),
      NGX_HTTP_INTUIT_PROVIDER_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_intuit_provider_t, read_timeout),
      NULL },

    { ngx_string("ssl_trusted_certificate"),
      NGX_HTTP_INTUIT_PROVIDER_CONF|NGX_CONF_TAKE1,
      ngx_http_intuit_set_tls_file,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_intuit_provider_t, ssl_trusted_certificate),
      NULL },

    { ngx_string("ssl_crl"),
      NGX_HTTP_INTUIT_PROVIDER_CONF|NGX_CONF_TAKE1,
      ngx_http_intuit_set_tls_file,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_intuit_provider_t, ssl_crl),
      NULL },

    { ngx_string("encryption_key_file"),
      NGX_HTTP_INTUIT_PROVIDER_CONF|NGX_CONF_TAKE1,
      ngx_http_intuit_set_key_file,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("state_path"),
      NGX_HTTP_INTUIT_PROVIDER_CONF|NGX_CONF_TAKE1,
      ngx_http_intuit_set_state_path,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("store"),
      NGX_HTTP_INTUIT_PROVIDER_CONF|NGX_CONF_TAKE1,
      ngx_http_intuit_set_store,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    /* inside intuit_store { } */

    { ngx_string("server"),
      NGX_HTTP_INTUIT_STORE_CONF|NGX_CONF_1MORE,
      ngx_http_intuit_redis_set_server,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("user"),
      NGX_HTTP_INTUIT_STORE_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_str_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_intuit_redis_t, user),
      NULL },

    { ngx_string("password_file"),
      NGX_HTTP_INTUIT_STORE_CONF|NGX_CONF_TAKE1,
      ngx_http_intuit_redis_set_password,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("ssl"),
      NGX_HTTP_INTUIT_STORE_CONF|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_intuit_redis_t, ssl),
      NULL },

    { ngx_string("ssl_trusted_certificate"),
      NGX_HTTP_INTUIT_STORE_CONF|NGX_CONF_TAKE1,
      ngx_http_intuit_redis_set_ca,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("database"),
      NGX_HTTP_INTUIT_STORE_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_num_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_intuit_redis_t, database),
      NULL },

    { ngx_string("prefix"),
      NGX_HTTP_INTUIT_STORE_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_str_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_intuit_redis_t, prefix),
      NULL },

    { ngx_string("connect_timeout"),
      NGX_HTTP_INTUIT_STORE_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_intuit_redis_t, connect_timeout),
      NULL },

    { ngx_string("read_timeout"),
      NGX_HTTP_INTUIT_STORE_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_intuit_redis_t, read_timeout),
      NULL },

    { ngx_string("keepalive"),
      NGX_HTTP_INTUIT_STORE_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_num_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_intuit_redis_t, keepalive),
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_intuit_auth_module_ctx = {
    ngx_http_intuit_preconfiguration,      /* preconfiguration */
    ngx_http_intuit_init,                  /* postconfiguration */

    ngx_http_intuit_create_main_conf,      /* create main configuration */
    NULL,                                  /* init main configuration */

    ngx_http_intuit_create_srv_conf,       /* create server configuration */
    NULL,                                  /* merge server configuration */

    ngx_http_intuit_create_loc_conf,       /* create location configuration */
    ngx_http_intuit_merge_loc_conf         /* merge location configuration */
};


ngx_module_t  ngx_http_intuit_auth_module = {
    NGX_MODULE_V1,
    &ngx_http_intuit_auth_module_ctx,      /* module context */
    ngx_http_intuit_commands,              /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    ngx_http_intuit_init_module,           /* init module */
    ngx_http_intuit_init_process,          /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    ngx_http_intuit_exit_process,          /* exit process */
    ngx_http_intuit_exit_master,           /* exit master */
    NGX_MODULE_V1_PADDING
};


static char *
ngx_http_intuit_shared_zone(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    u_char                       *p;
    ssize_t                       size;
    ngx_str_t                    *value, s;
    ngx_http_intuit_main_conf_t  *imcf = conf;

    (void) cmd;

    if (imcf->zone_name.len) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_strncmp(value[1].data, "zone=", 5) != 0) {
        return "takes zone=name:size";
    }

    imcf->zone_name.data = value[1].data + 5;

    p = (u_char *) ngx_strchr(imcf->zone_name.data, ':');

    if (p == NULL || p == imcf->zone_name.data) {
        return "takes zone=name:size";
    }

    imcf->zone_name.len = p - imcf->zone_name.data;

    s.data = p + 1;
    s.len = value[1].data + value[1].len - s.data;

    size = ngx_parse_size(&s);

    if (size == NGX_ERROR) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid zone size \"%V\" in "
                           "\"intuit_shared_zone\"", &s);
        return NGX_CONF_ERROR;
    }

    if (size < (ssize_t) NGX_HTTP_INTUIT_ZONE_MIN) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "intuit_shared_zone \"%V\" is too small: %uzk is "
                           "the least, 16m the default", &imcf->zone_name,
                           (size_t) NGX_HTTP_INTUIT_ZONE_MIN / 1024);
        return NGX_CONF_ERROR;
    }

    imcf->zone_size = size;

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_intuit_preconfiguration(ngx_conf_t *cf)
{
    if (ngx_http_intuit_add_variables(cf) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_intuit_fetch_add_variables(cf);
}


static ngx_int_t
ngx_http_intuit_init(ngx_conf_t *cf)
{
    ngx_uint_t                     i, durable;
    ngx_http_intuit_provider_t   **provider;
    ngx_http_intuit_main_conf_t   *imcf;

    imcf = ngx_http_conf_get_module_main_conf(cf,
                                              ngx_http_intuit_auth_module);

    if (imcf->providers.nelts == 0) {

        if (imcf->status) {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "\"intuit_status\" has nothing to show: define an "
                          "intuit_provider in the http block");
            return NGX_ERROR;
        }

        return NGX_OK;
    }

    if (ngx_http_intuit_redis_init(cf) != NGX_OK) {
        return NGX_ERROR;
    }

    if (imcf->zone_name.len == 0) {
        ngx_str_set(&imcf->zone_name, "intuit");
        imcf->zone_size = 16 * 1024 * 1024;
    }

    imcf->store = ngx_http_intuit_store_shm(cf, &imcf->zone_name,
                                            imcf->zone_size,
                                            &ngx_http_intuit_auth_module);

    if (imcf->store == NULL
        || ngx_http_intuit_resolver(cf, imcf) != NGX_OK)
    {
        return NGX_ERROR;
    }

    imcf->keep_id_token = ngx_http_intuit_variable_used(cf,
                                                        "intuit_id_token");
    imcf->token_used = ngx_http_intuit_variable_used(cf,
                                                     "intuit_access_token");

    provider = imcf->providers.elts;
    durable = 1;

    for (i = 0; i < imcf->providers.nelts; i++) {

        if (provider[i]->file == NULL) {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "there is no intuit_provider \"%V\": define it in "
                          "the http block, or correct the name in %s:%ui",
                          &provider[i]->name, provider[i]->first_file,
                          provider[i]->first_line);
            return NGX_ERROR;
        }

        provider[i]->store = imcf->store;

        if (ngx_http_intuit_provider_init(cf, provider[i]) != NGX_OK
            || ngx_http_intuit_state_init(cf, provider[i]) != NGX_OK
            || ngx_http_intuit_fetch_init(cf, provider[i]) != NGX_OK
            || ngx_http_intuit_peer_init(cf, imcf, i) != NGX_OK)
        {
            return NGX_ERROR;
        }

        if (provider[i]->state_path == NULL) {
            durable = 0;
        }
    }

    if (durable) {
        ngx_http_intuit_store_durable(imcf->store);
    }

    if (ngx_http_intuit_cookie_names(cf, imcf) != NGX_OK
        || ngx_http_intuit_locations_init(cf, imcf) != NGX_OK
        || ngx_http_intuit_servers_init(cf) != NGX_OK
        || ngx_http_intuit_add_handlers(cf, imcf) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_intuit_add_filters(cf, imcf);
}


static ngx_int_t
ngx_http_intuit_add_filters(ngx_conf_t *cf, ngx_http_intuit_main_conf_t *imcf)
{
    if (imcf->proxied.nelts == 0) {
        /* nothing is sent to the API */
        return ngx_http_intuit_header_filter_init(cf);
    }

    if (ngx_http_intuit_limit_init(cf) != NGX_OK
        || ngx_http_intuit_header_filter_init(cf) != NGX_OK)
    {
        return NGX_ERROR;
    }

    /* after that one, so that it is asked first */

    return ngx_http_intuit_fault_init(cf);
}


/*
 * Handlers of a phase run from the array's end, so that the one in front is the
 * last to be asked; but those of the log phase run from its front.  Some have
 * nothing to do without an intuit_proxy or an intuit_store.
 */

static ngx_int_t
ngx_http_intuit_add_handlers(ngx_conf_t *cf, ngx_http_intuit_main_conf_t *imcf)
{
    ngx_uint_t                  i, used[3];
    ngx_array_t                *handlers;
    ngx_http_handler_pt        *h;
    ngx_http_core_main_conf_t  *cmcf;

    static struct {
        ngx_uint_t              phase;
        ngx_http_handler_pt     handler;
        ngx_uint_t              front;
        ngx_uint_t              needs;         /* an index of used */
    } phases[] = {
        { NGX_HTTP_SERVER_REWRITE_PHASE, ngx_http_intuit_endpoint_handler,
          1, 0 },
        { NGX_HTTP_PREACCESS_PHASE, ngx_http_intuit_leave_handler, 0, 0 },
        { NGX_HTTP_PREACCESS_PHASE, ngx_http_intuit_share_handler, 1, 2 },
        { NGX_HTTP_ACCESS_PHASE, ngx_http_intuit_access_handler, 1, 0 },
        { NGX_HTTP_PRECONTENT_PHASE, ngx_http_intuit_proxy_handler, 1, 1 },
        { NGX_HTTP_PRECONTENT_PHASE, ngx_http_intuit_clean_handler, 0, 0 },
        { NGX_HTTP_LOG_PHASE, ngx_http_intuit_log_handler, 1, 0 },
        { NGX_HTTP_LOG_PHASE, ngx_http_intuit_limit_log_handler, 1, 1 },
        { 0, NULL, 0, 0 }
    };

    used[0] = 1;
    used[1] = imcf->proxied.nelts;
    used[2] = imcf->stores.nelts;

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);

    for (i = 0; phases[i].handler; i++) {

        if (used[phases[i].needs] == 0) {
            continue;
        }

        handlers = &cmcf->phases[phases[i].phase].handlers;

        h = ngx_array_push(handlers);
        if (h == NULL) {
            return NGX_ERROR;
        }

        if (phases[i].front) {
            h = handlers->elts;
            ngx_memmove(h + 1, h, (handlers->nelts - 1) * sizeof(*h));
        }

        *h = phases[i].handler;
    }

    return NGX_OK;
}


/* the http block's resolver, or else the system's name servers */

static ngx_int_t
ngx_http_intuit_resolver(ngx_conf_t *cf, ngx_http_intuit_main_conf_t *imcf)
{
    ngx_uint_t                  i;
    ngx_http_core_loc_conf_t   *clcf, **proxied;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    imcf->resolver = clcf->resolver;

    if (imcf->resolver == NULL || imcf->resolver->connections.nelts == 0) {
        imcf->resolver = ngx_http_intuit_system_resolver(cf);
        if (imcf->resolver == NULL) {
            return NGX_ERROR;
        }
    }

    proxied = imcf->proxied.elts;

    for (i = 0; i < imcf->proxied.nelts; i++) {

        if (proxied[i]->resolver == NULL
            || proxied[i]->resolver->connections.nelts == 0)
        {
            proxied[i]->resolver = imcf->resolver;
        }
    }

    return NGX_OK;
}


static void *
ngx_http_intuit_create_main_conf(ngx_conf_t *cf)
{
    ngx_http_intuit_main_conf_t  *imcf;

    imcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_intuit_main_conf_t));
    if (imcf == NULL) {
        return NULL;
    }

    /*
     * set by ngx_pcalloc():
     *
     *     imcf->proxy_handler = NULL;
     *     imcf->store = NULL;
     *     imcf->zone_name = { 0, NULL };
     *     imcf->zone_size = 0;
     *     imcf->resolver = NULL;
     *     imcf->keep_id_token = 0;
     *     imcf->token_used = 0;
     *     imcf->status = 0;
     *     imcf->cookie_names = { NULL };
     *     imcf->sent = { NULL };
     */

    if (ngx_array_init(&imcf->providers, cf->pool, 4,
                       sizeof(ngx_http_intuit_provider_t *))
        != NGX_OK
        || ngx_array_init(&imcf->stores, cf->pool, 2,
                          sizeof(ngx_http_intuit_redis_t *))
           != NGX_OK
        || ngx_array_init(&imcf->proxied, cf->pool, 4,
                          sizeof(ngx_http_core_loc_conf_t *))
           != NGX_OK)
    {
        return NULL;
    }

    return imcf;
}


static void *
ngx_http_intuit_create_srv_conf(ngx_conf_t *cf)
{
    ngx_http_intuit_srv_conf_t  *iscf;

    iscf = ngx_pcalloc(cf->pool, sizeof(ngx_http_intuit_srv_conf_t));
    if (iscf == NULL) {
        return NULL;
    }

    /*
     * set by ngx_pcalloc():
     *
     *     iscf->lengths = 0;
     *
     * iscf->names is made in postconfiguration, by server_name
     */

    if (ngx_array_init(&iscf->uses, cf->pool, 2, sizeof(ngx_http_intuit_use_t))
        != NGX_OK
        || ngx_array_init(&iscf->endpoints, cf->pool, 4,
                          sizeof(ngx_http_intuit_endpoint_t))
           != NGX_OK)
    {
        return NULL;
    }

    return iscf;
}


static void *
ngx_http_intuit_create_loc_conf(ngx_conf_t *cf)
{
    ngx_http_intuit_loc_conf_t  *ilcf;

    ilcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_intuit_loc_conf_t));
    if (ilcf == NULL) {
        return NULL;
    }

    /*
     * set by ngx_pcalloc():
     *
     *     ilcf->realm = NULL;
     *     ilcf->any_clients = 0;
     *     ilcf->handler = NULL;
     *     ilcf->callback = 0;
     *     ilcf->status = 0;
     *     ilcf->manage = 0;
     */

    ilcf->auth = NGX_CONF_UNSET_PTR;
    ilcf->mode = NGX_CONF_UNSET_UINT;
    ilcf->require = NGX_CONF_UNSET_PTR;
    ilcf->proxy = NGX_CONF_UNSET_PTR;
    ilcf->limit = NGX_CONF_UNSET_PTR;
    ilcf->request_id = NGX_CONF_UNSET;
    ilcf->action = NGX_CONF_UNSET_PTR;

    return ilcf;
}


static char *
ngx_http_intuit_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_http_intuit_loc_conf_t  *prev = parent;
    ngx_http_intuit_loc_conf_t  *conf = child;

    ngx_http_core_loc_conf_t     *clcf, **proxied;
    ngx_http_intuit_main_conf_t  *imcf;

    ngx_conf_merge_ptr_value(conf->auth, prev->auth, NULL);
    ngx_conf_merge_uint_value(conf->mode, prev->mode,
                              NGX_HTTP_INTUIT_MODE_REQUIRE);
    ngx_conf_merge_ptr_value(conf->require, prev->require, NULL);
    ngx_conf_merge_ptr_value(conf->limit, prev->limit,
                             &ngx_http_intuit_limit_default);
    ngx_conf_merge_value(conf->request_id, prev->request_id, 0);

    /* as proxy_pass, intuit_proxy is inherited by "if" and limit_except only */

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (conf->proxy == NGX_CONF_UNSET_PTR) {

        if (clcf->noname && prev->proxy != NGX_CONF_UNSET_PTR && prev->proxy)
        {
            conf->proxy = prev->proxy;
            conf->realm = prev->realm;
            conf->any_clients = prev->any_clients;

            imcf = ngx_http_conf_get_module_main_conf(cf,
                                                 ngx_http_intuit_auth_module);

            proxied = ngx_array_push(&imcf->proxied);
            if (proxied == NULL) {
                return NGX_CONF_ERROR;
            }

            *proxied = clcf;

        } else {
            conf->proxy = NULL;
        }
    }

    /* and so are the handlers of intuit_connect and the like */

    if (conf->action == NGX_CONF_UNSET_PTR) {

        conf->action = NULL;

        if (clcf->noname && clcf->handler == NULL
            && prev->action != NGX_CONF_UNSET_PTR)
        {
            conf->action = prev->action;
            conf->handler = prev->handler;
            conf->callback = prev->callback;
            conf->status = prev->status;
            conf->manage = prev->manage;
            conf->any_clients |= prev->status ? prev->any_clients : 0;
            clcf->handler = conf->handler;
        }
    }

    if (conf->auth && ngx_http_intuit_use(cf, conf->auth, 1, 1) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    if (conf->proxy
        && ngx_http_intuit_use(cf, conf->proxy, conf->realm == NULL,
                               conf->realm == NULL)
           != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    if (conf->action
        && ngx_http_intuit_use(cf, conf->action, 0, conf->callback) != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


/* notes that the server whose configuration is merged uses the provider */

static ngx_int_t
ngx_http_intuit_use(ngx_conf_t *cf, ngx_http_intuit_provider_t *provider,
    ngx_uint_t auth, ngx_uint_t callback)
{
    ngx_uint_t                   i;
    ngx_http_intuit_use_t       *use;
    ngx_http_intuit_srv_conf_t  *iscf;

    if (auth) {
        provider->used_by_auth = 1;
    }

    iscf = ngx_http_conf_get_module_srv_conf(cf, ngx_http_intuit_auth_module);
    use = iscf->uses.elts;

    for (i = 0; i < iscf->uses.nelts; i++) {
        if (use[i].provider == provider) {
            use[i].auth |= auth;
            use[i].callback |= callback;
            return NGX_OK;
        }
    }

    use = ngx_array_push(&iscf->uses);
    if (use == NULL) {
        return NGX_ERROR;
    }

    use->provider = provider;
    use->auth = auth;
    use->callback = callback;

    return NGX_OK;
}


static ngx_int_t
ngx_http_intuit_init_module(ngx_cycle_t *cycle)
{
    ngx_uint_t                     i;
    ngx_http_intuit_provider_t   **provider;
    ngx_http_intuit_main_conf_t   *imcf;

    imcf = ngx_http_cycle_get_module_main_conf(cycle,
                                               ngx_http_intuit_auth_module);
    if (imcf == NULL) {
        return NGX_OK;
    }

    provider = imcf->providers.elts;

    for (i = 0; i < imcf->providers.nelts; i++) {
        if (provider[i]->state_path) {
            ngx_http_intuit_state_load(cycle, provider[i]);
        }
    }

    /* nothing that a file holds may end a running nginx */

    return ngx_http_intuit_clean_init(cycle, imcf);
}


static ngx_int_t
ngx_http_intuit_init_process(ngx_cycle_t *cycle)
{
    ngx_http_intuit_main_conf_t  *imcf;

    imcf = ngx_http_cycle_get_module_main_conf(cycle,
                                               ngx_http_intuit_auth_module);

    if (imcf == NULL
        || (ngx_process != NGX_PROCESS_WORKER
            && ngx_process != NGX_PROCESS_SINGLE))
    {
        return NGX_OK;
    }

    ngx_http_intuit_keepalive_init(cycle, imcf);

    if (ngx_http_intuit_scan_init(cycle, imcf) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_intuit_probe_init(cycle, imcf);
}


static void
ngx_http_intuit_exit_process(ngx_cycle_t *cycle)
{
    ngx_uint_t                     i;
    ngx_http_intuit_provider_t   **provider;
    ngx_http_intuit_main_conf_t   *imcf;

    imcf = ngx_http_cycle_get_module_main_conf(cycle,
                                               ngx_http_intuit_auth_module);
    if (imcf == NULL) {
        return;
    }

    provider = imcf->providers.elts;

    for (i = 0; i < imcf->providers.nelts; i++) {
        ngx_http_intuit_discovery_exit(provider[i]);
        ngx_http_intuit_fetch_tls_exit(provider[i]);

        if (provider[i]->peer) {
            ngx_http_intuit_peer_exit(provider[i]->peer);
        }
    }

    ngx_http_intuit_state_exit();
}


static void
ngx_http_intuit_exit_master(ngx_cycle_t *cycle)
{
    ngx_http_intuit_main_conf_t  *imcf;

    imcf = ngx_http_cycle_get_module_main_conf(cycle,
                                               ngx_http_intuit_auth_module);
    if (imcf != NULL) {
        ngx_http_intuit_pending_exit(cycle, imcf);
    }
}
