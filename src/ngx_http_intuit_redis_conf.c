/*
 * intuit_store { }: the block, its setters, and the upstream that it makes.
 */

#include "ngx_http_intuit_conf.h"
#include "ngx_http_intuit_redis_conf.h"


#define NGX_HTTP_INTUIT_REDIS_PORT       6379
#define NGX_HTTP_INTUIT_REDIS_SENTINEL   26379
#define NGX_HTTP_INTUIT_REDIS_DATABASES  1023
#define NGX_HTTP_INTUIT_REDIS_PREFIX     64


static ngx_http_intuit_redis_t *ngx_http_intuit_redis_get(ngx_conf_t *cf,
    ngx_str_t *name);
static ngx_int_t ngx_http_intuit_redis_check(ngx_conf_t *cf,
    ngx_http_intuit_redis_t *redis);
static ngx_int_t ngx_http_intuit_redis_upstream(ngx_conf_t *cf,
    ngx_http_intuit_redis_t *redis);
static ngx_int_t ngx_http_intuit_redis_wrong(ngx_conf_t *cf,
    ngx_http_intuit_redis_t *redis, const char *what);
static ngx_int_t ngx_http_intuit_redis_providers(ngx_conf_t *cf,
    ngx_http_intuit_main_conf_t *imcf);
static ngx_int_t ngx_http_intuit_redis_keys(ngx_conf_t *cf,
    ngx_http_intuit_provider_t *provider);
static ngx_int_t ngx_http_intuit_redis_hello(ngx_conf_t *cf,
    ngx_http_intuit_redis_t *redis);
static ngx_int_t ngx_http_intuit_redis_make(ngx_conf_t *cf,
    ngx_http_intuit_redis_t *redis);
static void ngx_http_intuit_redis_text(ngx_http_intuit_redis_t *redis,
    ngx_str_t *text);


extern ngx_module_t  ngx_http_proxy_module;


static char  ngx_http_intuit_redis_base[] =
    "tcp_nodelay off;"
    "proxy_buffering off;"
    "proxy_buffer_size 264k;"
    "proxy_buffers 4 264k;"
    "proxy_busy_buffers_size 264k;"
    "proxy_ignore_client_abort on;"
    "proxy_next_upstream error timeout invalid_header;";


static ngx_http_intuit_redis_t *
ngx_http_intuit_redis_get(ngx_conf_t *cf, ngx_str_t *name)
{
    ngx_uint_t                    i;
    ngx_http_intuit_redis_t      *redis, **p;
    ngx_http_intuit_main_conf_t  *imcf;

    imcf = ngx_http_conf_get_module_main_conf(cf,
                                              ngx_http_intuit_auth_module);
    p = imcf->stores.elts;

    for (i = 0; i < imcf->stores.nelts; i++) {
        if (p[i]->name.len == name->len
            && ngx_memcmp(p[i]->name.data, name->data, name->len) == 0)
        {
            return p[i];
        }
    }

    redis = ngx_pcalloc(cf->pool, sizeof(ngx_http_intuit_redis_t));
    if (redis == NULL) {
        return NULL;
    }

    redis->name = *name;
    redis->first_file = cf->conf_file->file.name.data;
    redis->first_line = cf->conf_file->line;
    redis->ssl = NGX_CONF_UNSET;
    redis->database = NGX_CONF_UNSET;
    redis->keepalive = NGX_CONF_UNSET;
    redis->connect_timeout = NGX_CONF_UNSET_MSEC;
    redis->read_timeout = NGX_CONF_UNSET_MSEC;

    redis->peer.addresses = ngx_pcalloc(cf->pool,
                                        sizeof(ngx_http_intuit_addresses_t));

    p = ngx_array_push(&imcf->stores);

    if (p == NULL || redis->peer.addresses == NULL) {
        return NULL;
    }

    *p = redis;

    return redis;
}


char *
ngx_http_intuit_redis_block(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char                     *rv;
    ngx_str_t                *value;
    ngx_http_intuit_redis_t  *redis;

    (void) cmd;
    (void) conf;

    value = cf->args->elts;

    redis = ngx_http_intuit_redis_get(cf, &value[1]);
    if (redis == NULL) {
        return NGX_CONF_ERROR;
    }

    if (redis->file) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "duplicate intuit_store \"%V\", the first is in "
                           "%s:%ui", &value[1], redis->file, redis->line);
        return NGX_CONF_ERROR;
    }

    redis->file = cf->conf_file->file.name.data;
    redis->line = cf->conf_file->line;

    rv = ngx_http_intuit_block(cf, redis, NGX_HTTP_INTUIT_STORE_CONF);

    if (rv != NGX_CONF_OK) {
        return rv;
    }

    return ngx_http_intuit_redis_check(cf, redis) == NGX_OK
           ? NGX_CONF_OK : NGX_CONF_ERROR;
}


char *
ngx_http_intuit_redis_set_server(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_url_t                     u;
    ngx_str_t                    *value;
    ngx_uint_t                    i, n;
    ngx_http_intuit_address_t    *address;
    ngx_http_intuit_addresses_t  *addresses;
    ngx_http_intuit_redis_t      *redis = conf;

    (void) cmd;

    addresses = redis->peer.addresses;
    value = cf->args->elts;

    for (n = 1; n < cf->args->nelts; n++) {

        /* not shown: there is a secret in it */

        if (ngx_strlchr(value[n].data, value[n].data + value[n].len, '@')
            || ngx_strncmp(value[n].data, "password", 8) == 0)
        {
            return "takes host:port: put the password into a file, and name "
                   "that by \"password_file\"";
        }

        ngx_memzero(&u, sizeof(ngx_url_t));

        u.url = value[n];
        u.default_port = NGX_HTTP_INTUIT_REDIS_PORT;

        if (ngx_parse_url(cf->pool, &u) != NGX_OK) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "%s in \"server\" \"%V\": write host:port",
                               u.err ? u.err : "no memory", &u.url);
            return NGX_CONF_ERROR;
        }

        if (u.port == NGX_HTTP_INTUIT_REDIS_SENTINEL) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "\"server\" \"%V\" is a Sentinel, which is "
                               "not supported (nor is Redis Cluster): name "
                               "the server itself and its replicas", &u.url);
            return NGX_CONF_ERROR;
        }

        for (i = 0; i < u.naddrs; i++) {

            if (addresses->n == NGX_HTTP_INTUIT_ADDRESSES_MAX) {
                return "has too many addresses";
            }

            redis->hosts[addresses->n] = u.host;

            address = &addresses->elts[addresses->n++];
            address->socklen = u.addrs[i].socklen;
            ngx_memcpy(&address->sockaddr, u.addrs[i].sockaddr,
                       u.addrs[i].socklen);
        }
    }

    return NGX_CONF_OK;
}


char *
ngx_http_intuit_redis_set_password(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_str_t                *value, name;
    ngx_http_intuit_redis_t  *redis = conf;

    (void) cmd;

    if (redis->password.len) {
        return "is duplicate";
    }

    value = cf->args->elts;
    name = value[1];

    if (ngx_conf_full_name(cf->cycle, &name, 1) != NGX_OK
        || ngx_http_intuit_read_file(cf, &name, &redis->password,
                                     "password_file")
           != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    if (redis->password.len == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"password_file\" \"%V\" is an empty file: put "
                           "the password into it", &name);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


char *
ngx_http_intuit_redis_set_ca(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_str_t                *value;
    ngx_http_intuit_redis_t  *redis = conf;

    (void) cmd;

    if (redis->ssl_trusted_certificate.len) {
        return "is duplicate";
    }

    value = cf->args->elts;

    return ngx_http_intuit_conf_file(cf, &value[1],
                                     &redis->ssl_trusted_certificate);
}


char *
ngx_http_intuit_set_store(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_str_t                   *value;
    ngx_http_intuit_provider_t  *provider = conf;

    (void) cmd;

    if (provider->redis) {
        return "is duplicate";
    }

    value = cf->args->elts;

    provider->redis = ngx_http_intuit_redis_get(cf, &value[1]);

    return provider->redis ? NGX_CONF_OK : NGX_CONF_ERROR;
}


static ngx_int_t
ngx_http_intuit_redis_check(ngx_conf_t *cf, ngx_http_intuit_redis_t *redis)
{
    size_t  i;

    ngx_conf_init_value(redis->ssl, 0);
    ngx_conf_init_value(redis->database, 0);
    ngx_conf_init_value(redis->keepalive, 16);
    ngx_conf_init_msec_value(redis->connect_timeout, 1000);
    ngx_conf_init_msec_value(redis->read_timeout, 2000);

    if (redis->prefix.data == NULL) {
        ngx_str_set(&redis->prefix, "intuit:");
    }

    if (redis->peer.addresses->n == 0) {
        return ngx_http_intuit_redis_wrong(cf, redis, "needs a \"server "
                                           "host:port\"");
    }

    if (redis->user.len && redis->password.len == 0) {
        return ngx_http_intuit_redis_wrong(cf, redis, "has a \"user\" and no "
                                           "\"password_file\"");
    }

    if (redis->ssl_trusted_certificate.len && !redis->ssl) {
        return ngx_http_intuit_redis_wrong(cf, redis, "has a "
                       "\"ssl_trusted_certificate\" and no \"ssl on\"");
    }

    if (redis->database > NGX_HTTP_INTUIT_REDIS_DATABASES) {
        return ngx_http_intuit_redis_wrong(cf, redis, "has a \"database\" "
                                           "beyond 1023");
    }

    if (redis->keepalive < 1) {
        return ngx_http_intuit_redis_wrong(cf, redis, "has a \"keepalive\" "
                                           "below 1");
    }

    if (redis->connect_timeout == 0 || redis->read_timeout == 0) {
        return ngx_http_intuit_redis_wrong(cf, redis, "has a time-out of 0");
    }

    if (redis->prefix.len > NGX_HTTP_INTUIT_REDIS_PREFIX) {
        return ngx_http_intuit_redis_wrong(cf, redis, "has a \"prefix\" of "
                                           "more than 64 bytes");
    }

    for (i = 0; i < redis->prefix.len; i++) {

        if (redis->prefix.data[i] <= ' ' || redis->prefix.data[i] > '~'
            || ngx_strchr("*?[]{}\\", redis->prefix.data[i]))
        {
            return ngx_http_intuit_redis_wrong(cf, redis, "has a \"prefix\" "
                                    "with a blank, brackets, * or ? in it");
        }
    }

    return ngx_http_intuit_redis_upstream(cf, redis);
}


static ngx_int_t
ngx_http_intuit_redis_upstream(ngx_conf_t *cf, ngx_http_intuit_redis_t *redis)
{
    u_char     *p;
    ngx_str_t  *name, text;

    /* a name that nobody can have (RFC 6761), and that goes nowhere */

    name = &redis->peer.name;

    name->data = ngx_pnalloc(cf->pool, sizeof("intuit-store-.invalid") - 1
                                       + 2 * redis->name.len);
    text.data = ngx_pnalloc(cf->pool, 128);

    if (name->data == NULL || text.data == NULL) {
        return NGX_ERROR;
    }

    p = ngx_cpymem(name->data, "intuit-store-", sizeof("intuit-store-") - 1);
    p = ngx_hex_dump(p, redis->name.data, redis->name.len);
    p = ngx_cpymem(p, ".invalid", sizeof(".invalid") - 1);
    name->len = p - name->data;

    text.len = ngx_sprintf(text.data, "keepalive %i; keepalive_timeout 60s; "
                           "keepalive_requests 1000000;", redis->keepalive)
               - text.data;

    return ngx_http_intuit_peer_upstream(cf, &redis->peer, &text);
}


static ngx_int_t
ngx_http_intuit_redis_wrong(ngx_conf_t *cf, ngx_http_intuit_redis_t *redis,
    const char *what)
{
    ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                  "intuit_store \"%V\" %s, in %s:%ui",
                  &redis->name, what, redis->file, redis->line);

    return NGX_ERROR;
}


ngx_int_t
ngx_http_intuit_redis_init(ngx_conf_t *cf)
{
    ngx_uint_t                    i;
    ngx_http_intuit_redis_t     **redis;
    ngx_http_intuit_main_conf_t  *imcf;

    imcf = ngx_http_conf_get_module_main_conf(cf,
                                              ngx_http_intuit_auth_module);
    redis = imcf->stores.elts;

    for (i = 0; i < imcf->stores.nelts; i++) {

        if (redis[i]->file == NULL) {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "there is no intuit_store \"%V\": define it in the "
                          "http block, or correct the name in %s:%ui",
                          &redis[i]->name, redis[i]->first_file,
                          redis[i]->first_line);
            return NGX_ERROR;
        }

        if (ngx_http_intuit_redis_hello(cf, redis[i]) != NGX_OK
            || ngx_http_intuit_redis_make(cf, redis[i]) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return ngx_http_intuit_redis_providers(cf, imcf);
}


static ngx_int_t
ngx_http_intuit_redis_providers(ngx_conf_t *cf,
    ngx_http_intuit_main_conf_t *imcf)
{
    ngx_uint_t                    i;
    ngx_http_intuit_provider_t  **provider;

    provider = imcf->providers.elts;

    for (i = 0; i < imcf->providers.nelts; i++) {

        if (provider[i]->redis == NULL) {
            continue;
        }

        if (provider[i]->keys.nelts == 0) {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "\"store\" without \"encryption_key_file\": put "
                          "the output of \"openssl rand -hex 32\" into a file "
                          "that all hosts have and name it, in "
                          "intuit_provider \"%V\" in %s:%ui",
                          &provider[i]->name, provider[i]->file,
                          provider[i]->line);
            return NGX_ERROR;
        }

        if (ngx_http_intuit_redis_keys(cf, provider[i]) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* what is sealed for the store is no state file */

static ngx_int_t
ngx_http_intuit_redis_keys(ngx_conf_t *cf,
    ngx_http_intuit_provider_t *provider)
{
    ngx_str_t          ikm;
    ngx_uint_t         i;
    ngx_intuit_key_t  *key;

    provider->share_keys = ngx_palloc(cf->pool, provider->keys.nelts
                                                * sizeof(ngx_intuit_key_t));
    if (provider->share_keys == NULL) {
        return NGX_ERROR;
    }

    key = provider->keys.elts;

    for (i = 0; i < provider->keys.nelts; i++) {

        ikm.data = key[i].key;
        ikm.len = NGX_INTUIT_KEY_LEN;

        if (ngx_intuit_key_derive(&provider->share_keys[i], &ikm,
                                  "intuit shared store")
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* what a new connection begins with */

static ngx_int_t
ngx_http_intuit_redis_hello(ngx_conf_t *cf, ngx_http_intuit_redis_t *redis)
{
    u_char      number[NGX_INT_T_LEN];
    ngx_str_t   args[3], auth, select;
    ngx_uint_t  n;

    ngx_str_set(&auth, "");
    ngx_str_set(&select, "");

    if (redis->password.len) {
        n = 0;
        ngx_str_set(&args[n], "AUTH");
        n++;

        if (redis->user.len) {
            args[n++] = redis->user;
        }

        args[n++] = redis->password;

        if (ngx_intuit_resp_request(cf->pool, args, n, &auth) != NGX_OK) {
            return NGX_ERROR;
        }

        redis->ngreetings++;
    }

    if (redis->database) {
        ngx_str_set(&args[0], "SELECT");
        args[1].data = number;
        args[1].len = ngx_sprintf(number, "%i", redis->database) - number;

        if (ngx_intuit_resp_request(cf->pool, args, 2, &select) != NGX_OK) {
            return NGX_ERROR;
        }

        redis->ngreetings++;
    }

    redis->hello.len = auth.len + select.len;

    if (redis->hello.len == 0) {
        return NGX_OK;
    }

    redis->hello.data = ngx_pnalloc(cf->pool, redis->hello.len);
    if (redis->hello.data == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(ngx_cpymem(redis->hello.data, auth.data, auth.len),
               select.data, select.len);

    return NGX_OK;
}


static ngx_int_t
ngx_http_intuit_redis_make(ngx_conf_t *cf, ngx_http_intuit_redis_t *redis)
{
    u_char                     buf[NGX_HTTP_INTUIT_CONF_SIZE];
    ngx_str_t                  text;
    ngx_http_core_loc_conf_t  *clcf;

    text.data = buf;

    ngx_http_intuit_redis_text(redis, &text);

    if (ngx_http_intuit_private_conf(cf, &text, &redis->conf) != NGX_OK) {
        return NGX_ERROR;
    }

    if (redis->conf == NULL) {
        return NGX_OK;
    }

    clcf = redis->conf->loc_conf[ngx_http_core_module.ctx_index];
    clcf->handler = ngx_http_intuit_redis_handler;

    redis->upstream_conf =
                 redis->conf->loc_conf[ngx_http_proxy_module.ctx_index];

    redis->init_peer = redis->peer.upstream->peer.init;
    redis->peer.upstream->peer.init = ngx_http_intuit_redis_init_peer;

    return NGX_OK;
}


static void
ngx_http_intuit_redis_text(ngx_http_intuit_redis_t *redis, ngx_str_t *text)
{
    u_char     *p, *last;
    ngx_str_t   ca;

    last = text->data + NGX_HTTP_INTUIT_CONF_SIZE;

    p = ngx_slprintf(text->data, last,
                     "%s"
                     "proxy_pass %s://%V;"
                     "proxy_connect_timeout %Mms;"
                     "proxy_send_timeout %Mms;"
                     "proxy_read_timeout %Mms;",
                     ngx_http_intuit_redis_base,
                     redis->ssl ? "https" : "http", &redis->peer.name,
                     redis->connect_timeout, redis->connect_timeout,
                     redis->read_timeout);

    if (redis->ssl) {
        ca = redis->ssl_trusted_certificate;

        if (ca.len == 0) {
            ngx_http_intuit_ca_bundle(&ca);
        }

        p = ngx_slprintf(p, last,
                         "proxy_ssl_verify on;"
                         "proxy_ssl_verify_depth 5;"
                         "proxy_ssl_server_name on;"
                         "proxy_ssl_protocols TLSv1.2 TLSv1.3;"
                         "proxy_ssl_trusted_certificate \"%V\";", &ca);
    }

    text->len = p - text->data;
}
