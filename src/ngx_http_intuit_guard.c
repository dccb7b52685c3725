/*
 * Who may use a location that asks for no session.
 */

#include "ngx_http_intuit_auth_module.h"


static ngx_uint_t ngx_http_intuit_guard_forwarded(ngx_http_request_t *r);
static ngx_uint_t ngx_http_intuit_guard_local(ngx_http_request_t *r);
static ngx_uint_t ngx_http_intuit_guard_host(ngx_http_request_t *r);
static ngx_uint_t ngx_http_intuit_guard_named(ngx_http_request_t *r,
    ngx_str_t *host);


/* "verify" lets everybody in, and so guards nothing */

ngx_uint_t
ngx_http_intuit_guarded(ngx_http_request_t *r, ngx_http_intuit_ctx_t *ctx)
{
    ngx_http_intuit_loc_conf_t  *ilcf;

    ilcf = ngx_http_get_module_loc_conf(r, ngx_http_intuit_auth_module);

    if (ilcf->any_clients) {
        return 1;
    }

    if (ilcf->auth
        && (ilcf->mode == NGX_HTTP_INTUIT_MODE_REQUIRE
            || (ctx->auth && ctx->auth->provider == ilcf->auth
                && ctx->auth->rc == NGX_OK)))
    {
        return 1;
    }

    return ngx_http_intuit_guard_local(r)
           && ngx_http_intuit_guard_host(r)
           && !ngx_http_intuit_guard_forwarded(r);
}


/*
 * Behind a load balancer or a tunnel on this machine everybody's connection
 * comes from it, and realip may take an address from the client's own words.
 * One that speaks the PROXY protocol need not add a header.
 */

static ngx_uint_t
ngx_http_intuit_guard_forwarded(ngx_http_request_t *r)
{
    ngx_list_t  *headers;
    ngx_uint_t   n;

    headers = &r->headers_in.headers;

    return r->http_connection->addr_conf->proxy_protocol
           || ngx_http_intuit_header(headers, "x-forwarded-for", &n)
           || ngx_http_intuit_header(headers, "x-real-ip", &n)
           || ngx_http_intuit_header(headers, "forwarded", &n)
           || ngx_http_intuit_header(headers, "via", &n);
}


static ngx_uint_t
ngx_http_intuit_guard_local(ngx_http_request_t *r)
{
    struct sockaddr      *sa;
    struct sockaddr_in   *sin;
#if (NGX_HAVE_INET6)
    u_char               *p;
    struct sockaddr_in6  *sin6;
#endif

    sa = r->connection->sockaddr;

    switch (sa->sa_family) {

#if (NGX_HAVE_UNIX_DOMAIN)
    case AF_UNIX:
        return 1;
#endif

#if (NGX_HAVE_INET6)
    case AF_INET6:
        sin6 = (struct sockaddr_in6 *) sa;
        p = sin6->sin6_addr.s6_addr;

        return IN6_IS_ADDR_LOOPBACK(&sin6->sin6_addr)
               || (IN6_IS_ADDR_V4MAPPED(&sin6->sin6_addr) && p[12] == 127);
#endif

    case AF_INET:
        sin = (struct sockaddr_in *) sa;

        return (ntohl(sin->sin_addr.s_addr) >> 24) == 127;
    }

    return 0;
}


static ngx_uint_t
ngx_http_intuit_guard_host(ngx_http_request_t *r)
{
    ngx_str_t         *host, url;
    const char        *reason;
    ngx_intuit_url_t   u;

    /* HTTP/3 has an authority, and often no Host */

    host = r->headers_in.host ? &r->headers_in.host->value
                              : &r->headers_in.server;

    if (r->headers_in.host == NULL && host->len == 0) {
        return 1;
    }

    url.len = sizeof("http://") - 1 + host->len;
    url.data = ngx_pnalloc(r->pool, url.len);
    if (url.data == NULL) {
        return 0;
    }

    ngx_memcpy(url.data, "http://", sizeof("http://") - 1);
    ngx_memcpy(url.data + sizeof("http://") - 1, host->data, host->len);

    if (ngx_intuit_url_parse(&url, &u, &reason) != NGX_OK) {
        return 0;
    }

    return u.loopback || ngx_http_intuit_guard_named(r, &u.host);
}


static ngx_uint_t
ngx_http_intuit_guard_named(ngx_http_request_t *r, ngx_str_t *host)
{
    ngx_str_t                   *name, wanted;
    ngx_uint_t                   i;
    ngx_http_intuit_srv_conf_t  *iscf;

    iscf = ngx_http_get_module_srv_conf(r, ngx_http_intuit_auth_module);
    name = iscf->names.elts;

    for (i = 0; i < iscf->names.nelts; i++) {

        wanted = name[i];

        if (wanted.len == host->len
            && ngx_strncasecmp(wanted.data, host->data, host->len) == 0)
        {
            return 1;
        }

        /* "*.example.com", ".example.com"; others may fit anybody's name */

        if (wanted.len && wanted.data[0] == '*') {
            wanted.data++;
            wanted.len--;

        } else if (wanted.len == host->len + 1
                   && wanted.data[0] == '.'
                   && ngx_strncasecmp(wanted.data + 1, host->data, host->len)
                      == 0)
        {
            return 1;
        }

        if (wanted.len > 2
            && wanted.data[0] == '.'
            && wanted.len < host->len
            && ngx_strncasecmp(wanted.data,
                               host->data + host->len - wanted.len,
                               wanted.len)
               == 0)
        {
            return 1;
        }
    }

    return 0;
}
