/*
 * The TLS sessions of fetches: a token call has a connection of its own, since
 * a kept one may be closed as the request leaves, and nobody can tell then what
 * became of the token.  But it resumes the session of the one before.
 *
 * For a host that is looked up at run time, core keeps none.  It asks for the
 * server's name just before the handshake: that is where ours come in.
 */

#include "ngx_http_intuit_job.h"


#define NGX_HTTP_INTUIT_FETCH_HOSTS     8
#define NGX_HTTP_INTUIT_FETCH_HOST_LEN  128


typedef struct {
    ngx_ssl_session_t               *session;  /* NULL: none */
    size_t                           len;
    u_char                           host[NGX_HTTP_INTUIT_FETCH_HOST_LEN];
} ngx_http_intuit_fetch_host_t;

/* a worker's; each provider has its own, as it has its own trust */
struct ngx_http_intuit_fetch_tls_s {
    ngx_http_intuit_fetch_host_t     hosts[NGX_HTTP_INTUIT_FETCH_HOSTS];
    ngx_uint_t                       next;     /* to be overwritten */
};


static ngx_int_t ngx_http_intuit_fetch_name_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_intuit_fetch_set_session(ngx_peer_connection_t *pc,
    void *data);
static void ngx_http_intuit_fetch_save_session(ngx_peer_connection_t *pc,
    void *data);
static ngx_http_intuit_fetch_host_t *ngx_http_intuit_fetch_host(
    ngx_http_intuit_job_t *job, ngx_uint_t make);


static ngx_str_t  ngx_http_intuit_fetch_name = ngx_string("intuit_fetch_name");


ngx_int_t
ngx_http_intuit_fetch_tls_variable(ngx_conf_t *cf)
{
    ngx_http_variable_t  *var;

    var = ngx_http_add_variable(cf, &ngx_http_intuit_fetch_name,
                                NGX_HTTP_VAR_NOCACHEABLE);
    if (var == NULL) {
        return NGX_ERROR;
    }

    var->get_handler = ngx_http_intuit_fetch_name_variable;

    return NGX_OK;
}


ngx_int_t
ngx_http_intuit_fetch_tls_init(ngx_conf_t *cf,
    ngx_http_intuit_provider_t *provider)
{
    provider->fetch_tls = ngx_pcalloc(cf->pool,
                                      sizeof(ngx_http_intuit_fetch_tls_t));

    return (provider->fetch_tls != NULL) ? NGX_OK : NGX_ERROR;
}


void
ngx_http_intuit_fetch_tls_exit(ngx_http_intuit_provider_t *provider)
{
    ngx_uint_t                     i;
    ngx_http_intuit_fetch_host_t  *host;

    if (provider->fetch_tls == NULL) {
        return;
    }

    for (i = 0; i < NGX_HTTP_INTUIT_FETCH_HOSTS; i++) {
        host = &provider->fetch_tls->hosts[i];

        if (host->session) {
            ngx_ssl_free_session(host->session);
            host->session = NULL;
        }
    }
}


static ngx_int_t
ngx_http_intuit_fetch_name_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_http_upstream_t  *u;

    (void) data;

    u = r->upstream;

    if (u == NULL || ngx_http_intuit_job_of(r) == NULL) {
        v->not_found = 1;
        return NGX_OK;
    }

    u->peer.set_session = ngx_http_intuit_fetch_set_session;
    u->peer.save_session = ngx_http_intuit_fetch_save_session;

    v->len = u->ssl_name.len;
    v->data = u->ssl_name.data;
    v->valid = 1;
    v->no_cacheable = 1;
    v->not_found = 0;

    return NGX_OK;
}


static ngx_int_t
ngx_http_intuit_fetch_set_session(ngx_peer_connection_t *pc, void *data)
{
    ngx_int_t                      rc;
    ngx_ssl_session_t             *session;
    ngx_http_request_t            *r;
    ngx_http_intuit_fetch_host_t  *host;

    (void) data;

    r = pc->connection->data;
    host = ngx_http_intuit_fetch_host(ngx_http_intuit_job_of(r), 0);

    if (host == NULL) {
        return NGX_OK;
    }

    /*
     * A copy: OpenSSL has each used once with TLS 1.3, so that nobody sees
     * which connections belong together (RFC 8446, appendix C.4), and logins
     * at the same time would have one among them.  Ours are from one address
     * and one client anyway.
     */

    session = SSL_SESSION_dup(host->session);
    if (session == NULL) {
        return NGX_OK;
    }

    rc = ngx_ssl_set_session(pc->connection, session);

    ngx_ssl_free_session(session);

    return rc;
}


static void
ngx_http_intuit_fetch_save_session(ngx_peer_connection_t *pc, void *data)
{
    ngx_connection_t              *c;
    ngx_ssl_session_t             *session;
    ngx_http_request_t            *r;
    ngx_http_intuit_fetch_host_t  *host;

    (void) data;

    c = pc->connection;
    r = c->data;

    /*
     * It comes before core has looked at the certificate, which is never seen
     * again when the session is resumed: a bad one would stay.
     */

    if (SSL_get_verify_result(c->ssl->connection) != X509_V_OK
        || ngx_ssl_check_host(c, &r->upstream->ssl_name) != NGX_OK)
    {
        return;
    }

    session = ngx_ssl_get_session(c);
    if (session == NULL) {
        return;
    }

    host = ngx_http_intuit_fetch_host(ngx_http_intuit_job_of(r), 1);
    if (host == NULL) {
        ngx_ssl_free_session(session);
        return;
    }

    if (host->session) {
        ngx_ssl_free_session(host->session);
    }

    host->session = session;
}


/* By host and port; NULL: there is none, or none can be made. */

static ngx_http_intuit_fetch_host_t *
ngx_http_intuit_fetch_host(ngx_http_intuit_job_t *job, ngx_uint_t make)
{
    u_char                        *p, *last;
    ngx_str_t                      name;
    ngx_uint_t                     i;
    ngx_http_intuit_fetch_tls_t   *tls;
    ngx_http_intuit_fetch_host_t  *host;

    if (job == NULL || job->fetch == NULL) {
        return NULL;
    }

    last = job->fetch->url.data + job->fetch->url.len;
    name.data = job->fetch->url.data + sizeof("https://") - 1;

    for (p = name.data; p < last && *p != '/' && *p != '?'; p++) { /* void */ }

    name.len = p - name.data;

    if (name.len == 0 || name.len > NGX_HTTP_INTUIT_FETCH_HOST_LEN) {
        return NULL;
    }

    tls = job->provider->fetch_tls;

    for (i = 0; i < NGX_HTTP_INTUIT_FETCH_HOSTS; i++) {
        host = &tls->hosts[i];

        if (host->session
            && host->len == name.len
            && ngx_strncasecmp(host->host, name.data, name.len) == 0)
        {
            return host;
        }
    }

    if (!make) {
        return NULL;
    }

    host = &tls->hosts[tls->next];
    tls->next = (tls->next + 1) % NGX_HTTP_INTUIT_FETCH_HOSTS;

    host->len = name.len;
    ngx_memcpy(host->host, name.data, name.len);

    return host;
}
