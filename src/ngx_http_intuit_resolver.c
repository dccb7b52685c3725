/*
 * The system's name servers, for those who set no "resolver".
 */

#include "ngx_http_intuit_auth_module.h"


#define NGX_HTTP_INTUIT_RESOLV_CONF   "/etc/resolv.conf"
#define NGX_HTTP_INTUIT_RESOLV_SIZE   8192
#define NGX_HTTP_INTUIT_RESOLV_MAX    3       /* as resolv.conf(5) has it */


static ngx_int_t ngx_http_intuit_resolver_line(ngx_conf_t *cf, u_char *p,
    u_char *last, ngx_array_t *names);


/* Called once, in postconfiguration.  The answer need not be there: nginx
 * starts with DNS down. */

ngx_resolver_t *
ngx_http_intuit_system_resolver(ngx_conf_t *cf)
{
    u_char       *p, *end, *last, buf[NGX_HTTP_INTUIT_RESOLV_SIZE];
    ssize_t       n;
    ngx_fd_t      fd;
    ngx_str_t    *name;
    ngx_array_t   names;

    if (ngx_array_init(&names, cf->pool, NGX_HTTP_INTUIT_RESOLV_MAX,
                       sizeof(ngx_str_t))
        != NGX_OK)
    {
        return NULL;
    }

    n = 0;

    fd = ngx_open_file(NGX_HTTP_INTUIT_RESOLV_CONF, NGX_FILE_RDONLY,
                       NGX_FILE_OPEN, 0);

    if (fd != NGX_INVALID_FILE) {
        n = ngx_read_fd(fd, buf, sizeof(buf));
        (void) ngx_close_file(fd);
    }

    last = buf + ngx_max(n, 0);

    for (p = buf; p < last; p = end + 1) {

        end = ngx_strlchr(p, last, LF);
        if (end == NULL) {
            end = last;
        }

        if (ngx_http_intuit_resolver_line(cf, p, end, &names) != NGX_OK) {
            return NULL;
        }
    }

    if (names.nelts == 0) {
        name = ngx_array_push(&names);
        if (name == NULL) {
            return NULL;
        }

        ngx_str_set(name, "127.0.0.1");
    }

    return ngx_resolver_create(cf, names.elts, names.nelts);
}


static ngx_int_t
ngx_http_intuit_resolver_line(ngx_conf_t *cf, u_char *p, u_char *last,
    ngx_array_t *names)
{
    size_t       len;
    u_char      *start;
    ngx_int_t    rc;
    ngx_str_t   *name;
    ngx_addr_t   addr;
    ngx_uint_t   v6;

    if (names->nelts == NGX_HTTP_INTUIT_RESOLV_MAX
        || last - p < 12
        || ngx_strncmp(p, "nameserver", 10) != 0
        || (p[10] != ' ' && p[10] != '\t'))
    {
        return NGX_OK;
    }

    p += 10;

    while (p < last && (*p == ' ' || *p == '\t')) {
        p++;
    }

    start = p;

    while (p < last && *p > ' ') {
        p++;
    }

    len = p - start;

    /*
     * What is no address is passed over, as libc does; so is a scoped one,
     * which a resolver directive cannot have.
     */

    rc = ngx_parse_addr(cf->pool, &addr, start, len);

    if (rc != NGX_OK) {
        return (rc == NGX_DECLINED) ? NGX_OK : NGX_ERROR;
    }

    v6 = (addr.sockaddr->sa_family != AF_INET);

    name = ngx_array_push(names);
    if (name == NULL) {
        return NGX_ERROR;
    }

    name->data = ngx_pnalloc(cf->pool, len + 2);
    if (name->data == NULL) {
        return NGX_ERROR;
    }

    name->len = ngx_sprintf(name->data, "%s%*s%s", v6 ? "[" : "", len, start,
                            v6 ? "]" : "")
                - name->data;

    return NGX_OK;
}
