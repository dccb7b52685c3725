/*
 * state_path: the directive, and whether the directory will do.
 */

#include "ngx_http_intuit_state.h"


static ngx_int_t ngx_http_intuit_state_check(ngx_conf_t *cf,
    ngx_http_intuit_provider_t *provider);
static ngx_int_t ngx_http_intuit_state_parent(ngx_conf_t *cf,
    ngx_http_intuit_provider_t *provider);


char *
ngx_http_intuit_set_state_path(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_str_t                   *value;
    ngx_path_t                  *path;
    ngx_http_intuit_provider_t  *provider = conf;

    (void) cmd;

    if (provider->state_path) {
        return "is duplicate";
    }

    path = ngx_pcalloc(cf->pool, sizeof(ngx_path_t));
    if (path == NULL) {
        return NGX_CONF_ERROR;
    }

    value = cf->args->elts;
    path->name = value[1];

    while (path->name.len > 1 && path->name.data[path->name.len - 1] == '/') {
        path->name.data[--path->name.len] = '\0';
    }

    if (ngx_conf_full_name(cf->cycle, &path->name, 0) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    path->conf_file = cf->conf_file->file.name.data;
    path->line = cf->conf_file->line;

    provider->state_path = path;

    /* core makes its paths under "nginx -t", too, which is to change nothing */

    if (!ngx_test_config
        && ngx_add_path(cf, &provider->state_path) != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


ngx_int_t
ngx_http_intuit_state_init(ngx_conf_t *cf,
    ngx_http_intuit_provider_t *provider)
{
    ngx_str_t          ikm;
    ngx_uint_t         i;
    ngx_intuit_key_t  *key;

    if (provider->state_path == NULL) {
        return NGX_OK;
    }

    if (provider->keys.nelts == 0) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"state_path\" without \"encryption_key_file\": put "
                      "the output of \"openssl rand -hex 32\" into a file and "
                      "name it, in intuit_provider \"%V\" in %s:%ui",
                      &provider->name, provider->file, provider->line);
        return NGX_ERROR;
    }

    provider->state_keys = ngx_palloc(cf->pool, provider->keys.nelts
                                                * sizeof(ngx_intuit_key_t));
    if (provider->state_keys == NULL) {
        return NGX_ERROR;
    }

    key = provider->keys.elts;

    for (i = 0; i < provider->keys.nelts; i++) {

        ikm.data = key[i].key;
        ikm.len = NGX_INTUIT_KEY_LEN;

        if (ngx_intuit_key_derive(&provider->state_keys[i], &ikm,
                                  "intuit state file")
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

#if (NGX_THREADS)

    provider->state_pool = ngx_thread_pool_add(cf, NULL);
    if (provider->state_pool == NULL) {
        return NGX_ERROR;
    }

#endif

    return ngx_http_intuit_state_check(cf, provider);
}


static ngx_int_t
ngx_http_intuit_state_check(ngx_conf_t *cf,
    ngx_http_intuit_provider_t *provider)
{
    ngx_str_t        *name;
    ngx_err_t         err;
    const char       *wrong;
    ngx_file_info_t   fi;

    name = &provider->state_path->name;
    err = 0;
    wrong = NULL;

    if (ngx_file_info(name->data, &fi) == NGX_FILE_ERROR) {

        err = ngx_errno;

        if (err == NGX_ENOENT) {
            return ngx_http_intuit_state_parent(cf, provider);
        }

        wrong = "cannot be looked at";

    } else if (!ngx_is_dir(&fi)) {
        wrong = "is no directory";

    } else if (ngx_file_access(&fi) & 0077) {
        wrong = "is open to other users: chmod 0700";

    } else if (access((char *) name->data, R_OK|W_OK|X_OK) == -1) {
        err = ngx_errno;
        wrong = "cannot be written to";
    }

    if (wrong == NULL) {
        return NGX_OK;
    }

    ngx_log_error(NGX_LOG_EMERG, cf->log, err,
                  "\"state_path\" %V %s, in intuit_provider \"%V\" in %s:%ui",
                  name, wrong, &provider->name, provider->file,
                  provider->line);

    return NGX_ERROR;
}


/* the directory itself is made at the start */

static ngx_int_t
ngx_http_intuit_state_parent(ngx_conf_t *cf,
    ngx_http_intuit_provider_t *provider)
{
    u_char      *p;
    ngx_str_t   *name, parent;
    ngx_pool_t  *pool;

    name = &provider->state_path->name;
    pool = cf->temp_pool;

    parent.data = ngx_pnalloc(pool, name->len + 1);
    if (parent.data == NULL) {
        return NGX_ERROR;
    }

    p = ngx_cpymem(parent.data, name->data, name->len);

    while (p > parent.data + 1 && *p != '/') {
        p--;
    }

    *p = '\0';
    parent.len = p - parent.data;

    if (access((char *) parent.data, W_OK|X_OK) == -1) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, ngx_errno,
                      "\"state_path\" %V cannot be made in %V now: make it "
                      "yourself, mode 0700, for the user of the workers, in "
                      "intuit_provider \"%V\" in %s:%ui", name, &parent,
                      &provider->name, provider->file, provider->line);
        return NGX_ERROR;
    }

    return NGX_OK;
}
