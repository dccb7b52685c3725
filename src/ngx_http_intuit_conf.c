/*
 * What the blocks and setters of several files share.
 */

#include "ngx_http_intuit_conf.h"


#define NGX_HTTP_INTUIT_SECRET_MAX  4096


/* the directives of the block find it as their location's configuration */

char *
ngx_http_intuit_block(ngx_conf_t *cf, void *conf, ngx_uint_t type)
{
    char                 *rv;
    ngx_conf_t            save;
    ngx_http_conf_ctx_t  *ctx;

    ctx = ngx_pcalloc(cf->pool, sizeof(ngx_http_conf_ctx_t));
    if (ctx == NULL) {
        return NGX_CONF_ERROR;
    }

    *ctx = *(ngx_http_conf_ctx_t *) cf->ctx;

    ctx->loc_conf = ngx_pcalloc(cf->pool, sizeof(void *) * ngx_http_max_module);
    if (ctx->loc_conf == NULL) {
        return NGX_CONF_ERROR;
    }

    ctx->loc_conf[ngx_http_intuit_auth_module.ctx_index] = conf;

    save = *cf;
    cf->ctx = ctx;
    cf->cmd_type = type;

    rv = ngx_conf_parse(cf, NULL);

    *cf = save;

    return rv;
}


/* read by the master, so that a file of root's own will do */

ngx_int_t
ngx_http_intuit_read_file(ngx_conf_t *cf, ngx_str_t *name, ngx_str_t *text,
    const char *directive)
{
    u_char           *p, buf[NGX_HTTP_INTUIT_SECRET_MAX + 1];
    ssize_t           n;
    ngx_fd_t          fd;
    ngx_file_info_t   fi;

    fd = ngx_open_file(name->data, NGX_FILE_RDONLY, NGX_FILE_OPEN, 0);

    if (fd == NGX_INVALID_FILE) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           "%s: cannot open \"%V\"", directive, name);
        return NGX_ERROR;
    }

    n = -1;

    if (ngx_fd_info(fd, &fi) != NGX_FILE_ERROR) {
        n = ngx_read_fd(fd, buf, sizeof(buf));
    }

    if (n == -1 || n > NGX_HTTP_INTUIT_SECRET_MAX) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, n == -1 ? ngx_errno : 0,
                           "%s: cannot read \"%V\", or it is longer than %d "
                           "bytes", directive, name,
                           NGX_HTTP_INTUIT_SECRET_MAX);
        (void) ngx_close_file(fd);
        return NGX_ERROR;
    }

    (void) ngx_close_file(fd);

    if (ngx_file_access(&fi) & 0004) {
        ngx_conf_log_error(NGX_LOG_WARN, cf, 0,
                           "%s: \"%V\" can be read by everybody, chmod 0600 "
                           "would do", directive, name);
    }

    p = buf;

    while (n && (*p == ' ' || *p == '\t' || *p == LF || *p == CR)) {
        p++;
        n--;
    }

    while (n && (p[n - 1] == ' ' || p[n - 1] == '\t' || p[n - 1] == LF
                 || p[n - 1] == CR))
    {
        n--;
    }

    text->len = n;
    text->data = ngx_pnalloc(cf->pool, n + 1);
    if (text->data == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(text->data, p, n);
    ngx_intuit_cleanse(buf, sizeof(buf));

    return NGX_OK;
}


ngx_uint_t
ngx_http_intuit_conf_unended(ngx_conf_t *cf)
{
    ngx_str_t      *value;
    ngx_uint_t      i;
    ngx_command_t  *cmd;

    value = cf->args->elts;

    for (i = 2; i < cf->args->nelts; i++) {

        for (cmd = ngx_http_intuit_auth_module.commands; cmd->name.len; cmd++) {

            if (cmd->name.len != value[i].len
                || ngx_memcmp(cmd->name.data, value[i].data, value[i].len)
                   != 0)
            {
                continue;
            }

            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "\"%V\" has \"%V\" among its values: put a "
                               "\";\" between them", &value[0], &value[i]);
            return 1;
        }
    }

    return 0;
}


char *
ngx_http_intuit_conf_file(ngx_conf_t *cf, ngx_str_t *value, ngx_str_t *file)
{
    size_t      i;
    ngx_str_t  *directive;

    *file = *value;

    if (ngx_conf_full_name(cf->cycle, file, 1) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    /* the path is written into a configuration text of the module's own */

    for (i = 0; i < file->len; i++) {
        if (file->data[i] < ' ' || file->data[i] == '"'
            || file->data[i] == '\\' || file->data[i] == '$')
        {
            return "has a quote, backslash or dollar sign in its path";
        }
    }

    /* OpenSSL's message would name no directive */

    if (access((char *) file->data, R_OK) == -1) {
        directive = cf->args->elts;
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           "%V: cannot open \"%V\"", directive, file);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}
