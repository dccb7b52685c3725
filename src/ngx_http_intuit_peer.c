/*
 * The upstream of intuit_proxy.
 *
 * A request that comes this far has addresses (ngx_http_intuit_peer_find()).
 * It stays with one address while that works: a connection that is kept is
 * worth more than an even load.
 */

#include "ngx_http_intuit_peer.h"
#include "ngx_http_intuit_job.h"


#define NGX_HTTP_INTUIT_FAIL_TIMEOUT   10      /* as nginx's fail_timeout */


/* of one request */
typedef struct {
    ngx_http_intuit_peer_t       *peer;
    ngx_http_request_t           *request;
    ngx_uint_t                    generation;
    ngx_uint_t                    tried;      /* bits, of this generation */
    ngx_uint_t                    last;
} ngx_http_intuit_peer_data_t;


static ngx_uint_t ngx_http_intuit_peer_same(ngx_http_intuit_provider_t *a,
    ngx_http_intuit_provider_t *b);
static ngx_int_t ngx_http_intuit_peer_keepalive(ngx_conf_t *cf,
    ngx_http_upstream_srv_conf_t *uscf, ngx_str_t *text);
static ngx_int_t ngx_http_intuit_peer_init_upstream(ngx_conf_t *cf,
    ngx_http_upstream_srv_conf_t *uscf);
static ngx_int_t ngx_http_intuit_peer_init_peer(ngx_http_request_t *r,
    ngx_http_upstream_srv_conf_t *uscf);
static ngx_int_t ngx_http_intuit_peer_get(ngx_peer_connection_t *pc,
    void *data);
static ngx_http_intuit_address_t *ngx_http_intuit_peer_choose(
    ngx_http_intuit_peer_data_t *pd);
static void ngx_http_intuit_peer_free(ngx_peer_connection_t *pc, void *data,
    ngx_uint_t state);
static ngx_uint_t ngx_http_intuit_peer_repeatable(ngx_http_request_t *r);
static ngx_int_t ngx_http_intuit_peer_set_session(ngx_peer_connection_t *pc,
    void *data);
static void ngx_http_intuit_peer_save_session(ngx_peer_connection_t *pc,
    void *data);


/* kept a worker; closed before Intuit's load balancers would do it */

static ngx_str_t  ngx_http_intuit_peer_conf = ngx_string(
    "keepalive 64;"
    "keepalive_timeout 45s;"
);


ngx_int_t
ngx_http_intuit_peer_add(ngx_conf_t *cf, ngx_http_intuit_provider_t *provider)
{
    ngx_uint_t                    i;
    ngx_http_intuit_peer_t       *peer;
    ngx_http_intuit_provider_t  **providers;
    ngx_http_intuit_main_conf_t  *imcf;

    if (provider->peer) {
        return NGX_OK;
    }

    imcf = ngx_http_conf_get_module_main_conf(cf,
                                              ngx_http_intuit_auth_module);
    providers = imcf->providers.elts;

    for (i = 0; i < imcf->providers.nelts && providers[i] != provider; i++) {
        /* void */
    }

    peer = ngx_pcalloc(cf->pool, sizeof(ngx_http_intuit_peer_t));
    if (peer == NULL) {
        return NGX_ERROR;
    }

    peer->addresses = ngx_pcalloc(cf->pool,
                                  sizeof(ngx_http_intuit_addresses_t));
    if (peer->addresses == NULL) {
        return NGX_ERROR;
    }

    /* a name that nobody can have (RFC 6761), and that goes nowhere */

    peer->name.data = ngx_pnalloc(cf->pool, sizeof("intuit-.invalid") - 1
                                            + NGX_INT_T_LEN);
    if (peer->name.data == NULL) {
        return NGX_ERROR;
    }

    peer->name.len = ngx_sprintf(peer->name.data, "intuit-%ui.invalid", i)
                     - peer->name.data;

    provider->peer = peer;

    return ngx_http_intuit_peer_upstream(cf, peer, &ngx_http_intuit_peer_conf);
}


/* what the "upstream" directive does */

ngx_int_t
ngx_http_intuit_peer_upstream(ngx_conf_t *cf, ngx_http_intuit_peer_t *peer,
    ngx_str_t *text)
{
    ngx_url_t                      u;
    ngx_uint_t                     m, i;
    ngx_module_t                 **modules;
    ngx_http_module_t             *module;
    ngx_http_upstream_srv_conf_t  *uscf;

    ngx_memzero(&u, sizeof(ngx_url_t));

    u.host = peer->name;
    u.no_resolve = 1;
    u.no_port = 1;

    uscf = ngx_http_upstream_add(cf, &u, NGX_HTTP_UPSTREAM_CREATE);
    if (uscf == NULL) {
        return NGX_ERROR;
    }

    uscf->peer.init_upstream = ngx_http_intuit_peer_init_upstream;
    uscf->peer.data = peer;

    uscf->srv_conf = ngx_pcalloc(cf->pool,
                                 sizeof(void *) * ngx_http_max_module);
    uscf->servers = ngx_array_create(cf->pool, 1,
                                     sizeof(ngx_http_upstream_server_t));

    if (uscf->srv_conf == NULL || uscf->servers == NULL) {
        return NGX_ERROR;
    }

    modules = cf->cycle->modules;

    for (m = 0; modules[m]; m++) {

        if (modules[m]->type != NGX_HTTP_MODULE) {
            continue;
        }

        module = modules[m]->ctx;
        i = modules[m]->ctx_index;

        if (module->create_srv_conf) {
            uscf->srv_conf[i] = module->create_srv_conf(cf);
            if (uscf->srv_conf[i] == NULL) {
                return NGX_ERROR;
            }
        }
    }

    uscf->srv_conf[ngx_http_upstream_module.ctx_index] = uscf;

    peer->upstream = uscf;

    return ngx_http_intuit_peer_keepalive(cf, uscf, text);
}


static ngx_int_t
ngx_http_intuit_peer_keepalive(ngx_conf_t *cf,
    ngx_http_upstream_srv_conf_t *uscf, ngx_str_t *text)
{
    ngx_int_t             rc;
    ngx_uint_t            m;
    ngx_conf_t            save;
    ngx_module_t        **modules;
    ngx_http_conf_ctx_t   ctx;

    modules = cf->cycle->modules;

    for (m = 0; modules[m]; m++) {
        if (ngx_strcmp(modules[m]->name, "ngx_http_upstream_keepalive_module")
            == 0)
        {
            break;
        }
    }

    if (modules[m] == NULL) {
        ngx_conf_log_error(NGX_LOG_WARN, cf, 0,
                           "this nginx is built without "
                           "ngx_http_upstream_keepalive_module: intuit_proxy "
                           "needs a new connection for every call");
        return NGX_OK;
    }

    ctx = *(ngx_http_conf_ctx_t *) cf->ctx;
    ctx.srv_conf = uscf->srv_conf;

    save = *cf;

    cf->ctx = &ctx;
    cf->cmd_type = NGX_HTTP_UPS_CONF;

    rc = ngx_http_intuit_conf_text(cf, text);

    *cf = save;

    return rc;
}


static ngx_int_t
ngx_http_intuit_peer_init_upstream(ngx_conf_t *cf,
    ngx_http_upstream_srv_conf_t *uscf)
{
    (void) cf;

    uscf->peer.init = ngx_http_intuit_peer_init_peer;

    return NGX_OK;
}


ngx_int_t
ngx_http_intuit_peer_init(ngx_conf_t *cf, ngx_http_intuit_main_conf_t *imcf,
    ngx_uint_t n)
{
    u_char                       *p;
    ngx_uint_t                    i;
    ngx_addr_t                    addr;
    const char                   *reason;
    ngx_intuit_url_t              u;
    ngx_http_intuit_peer_t       *peer;
    ngx_http_intuit_address_t    *address;
    ngx_http_intuit_provider_t  **provider;

    provider = imcf->providers.elts;
    peer = provider[n]->peer;

    if (peer == NULL) {
        return NGX_OK;
    }

    for (i = 0; i < n; i++) {
        if (ngx_http_intuit_peer_same(provider[i], provider[n])) {
            provider[n]->peer = provider[i]->peer;
            return NGX_OK;
        }
    }

    if (ngx_intuit_url_parse(&provider[n]->api_url, &u, &reason) != NGX_OK) {
        return NGX_ERROR;
    }

    peer->authority = u.authority;
    peer->host = u.host;
    peer->port = u.port;

    peer->base.len = u.scheme.len + sizeof("://") - 1 + peer->name.len;
    peer->base.data = ngx_pnalloc(cf->pool, peer->base.len);
    if (peer->base.data == NULL) {
        return NGX_ERROR;
    }

    p = ngx_cpymem(peer->base.data, u.scheme.data, u.scheme.len);
    p = ngx_cpymem(p, "://", sizeof("://") - 1);
    ngx_memcpy(p, peer->name.data, peer->name.len);

    if (ngx_parse_addr(cf->pool, &addr, u.host.data, u.host.len) != NGX_OK) {
        return NGX_OK;
    }

    ngx_inet_set_port(addr.sockaddr, peer->port);

    address = &peer->addresses->elts[0];
    address->socklen = addr.socklen;
    ngx_memcpy(&address->sockaddr, addr.sockaddr, addr.socklen);

    peer->addresses->n = 1;
    peer->literal = 1;

    return NGX_OK;
}


/* a connection that was verified for one of them is good for the other */

static ngx_uint_t
ngx_http_intuit_peer_same(ngx_http_intuit_provider_t *a,
    ngx_http_intuit_provider_t *b)
{
    ngx_str_t   *x, *y;
    ngx_uint_t   i;

    static size_t  offsets[] = {
        offsetof(ngx_http_intuit_provider_t, api_url),
        offsetof(ngx_http_intuit_provider_t, ssl_trusted_certificate),
        offsetof(ngx_http_intuit_provider_t, ssl_crl)
    };

    if (a->peer == NULL) {
        return 0;
    }

    for (i = 0; i < sizeof(offsets) / sizeof(offsets[0]); i++) {

        x = (ngx_str_t *) ((char *) a + offsets[i]);
        y = (ngx_str_t *) ((char *) b + offsets[i]);

        if (x->len != y->len
            || (x->len && ngx_memcmp(x->data, y->data, x->len) != 0))
        {
            return 0;
        }
    }

    return 1;
}


static ngx_int_t
ngx_http_intuit_peer_init_peer(ngx_http_request_t *r,
    ngx_http_upstream_srv_conf_t *uscf)
{
    ngx_peer_connection_t        *pc;
    ngx_http_intuit_peer_data_t  *pd;

    pd = ngx_pcalloc(r->pool, sizeof(ngx_http_intuit_peer_data_t));
    if (pd == NULL) {
        return NGX_ERROR;
    }

    pd->peer = uscf->peer.data;
    pd->request = r;
    pd->generation = pd->peer->addresses->generation;

    pc = &r->upstream->peer;

    pc->data = pd;
    pc->get = ngx_http_intuit_peer_get;
    pc->free = ngx_http_intuit_peer_free;
    pc->tries = pd->peer->addresses->n;
    pc->set_session = ngx_http_intuit_peer_set_session;
    pc->save_session = ngx_http_intuit_peer_save_session;

    return NGX_OK;
}


static ngx_int_t
ngx_http_intuit_peer_get(ngx_peer_connection_t *pc, void *data)
{
    ngx_http_intuit_peer_data_t  *pd = data;

    ngx_str_t                  *name;
    ngx_pool_t                 *pool;
    ngx_sockaddr_t             *sockaddr;
    ngx_http_intuit_address_t  *address;

    pc->cached = 0;
    pc->connection = NULL;

    address = ngx_http_intuit_peer_choose(pd);
    if (address == NULL) {
        return NGX_BUSY;
    }

    if (address->len == 0) {
        address->len = ngx_sock_ntop(&address->sockaddr.sockaddr,
                                     address->socklen, address->text,
                                     NGX_SOCKADDR_STRLEN, 1);
    }

    /* $upstream_addr has the names of all attempts, to the end */

    pool = pd->request->pool;

    name = ngx_palloc(pool, sizeof(ngx_str_t) + sizeof(ngx_sockaddr_t)
                            + address->len);
    if (name == NULL) {
        return NGX_ERROR;
    }

    sockaddr = (ngx_sockaddr_t *) (name + 1);
    ngx_memcpy(sockaddr, &address->sockaddr, address->socklen);

    name->data = (u_char *) (sockaddr + 1);
    name->len = address->len;
    ngx_memcpy(name->data, address->text, address->len);

    pc->sockaddr = &sockaddr->sockaddr;
    pc->socklen = address->socklen;
    pc->name = name;

    return NGX_OK;
}


/* one that works, else one that has failed: there may be no other */

static ngx_http_intuit_address_t *
ngx_http_intuit_peer_choose(ngx_http_intuit_peer_data_t *pd)
{
    time_t                        now;
    ngx_uint_t                    i, k, chosen;
    ngx_http_intuit_address_t    *elt;
    ngx_http_intuit_addresses_t  *addresses;

    addresses = pd->peer->addresses;

    if (pd->generation != addresses->generation) {
        pd->generation = addresses->generation;
        pd->tried = 0;
    }

    now = ngx_time();
    chosen = addresses->n;

    for (i = 0; i < addresses->n; i++) {

        k = (addresses->current + i) % addresses->n;
        elt = &addresses->elts[k];

        if (pd->tried & ((ngx_uint_t) 1 << k)) {
            continue;
        }

        if (elt->failed == 0
            || now - elt->failed >= NGX_HTTP_INTUIT_FAIL_TIMEOUT)
        {
            chosen = k;
            break;
        }

        if (chosen == addresses->n) {
            chosen = k;
        }
    }

    if (chosen == addresses->n) {
        return NULL;
    }

    addresses->current = chosen;
    pd->tried |= (ngx_uint_t) 1 << chosen;
    pd->last = chosen;

    return &addresses->elts[chosen];
}


static void
ngx_http_intuit_peer_free(ngx_peer_connection_t *pc, void *data,
    ngx_uint_t state)
{
    ngx_http_intuit_peer_data_t  *pd = data;

    ngx_http_intuit_address_t  *address;

    address = ngx_http_intuit_peer_address(pd->peer, pc->sockaddr,
                                           pc->socklen);

    if (!(state & NGX_PEER_FAILED)) {

        if (address) {
            address->failed = 0;
        }

    } else if (pc->cached) {

        /* a kept connection that was closed says nothing of the address */

        if (pd->generation == pd->peer->addresses->generation) {
            pd->tried &= ~((ngx_uint_t) 1 << pd->last);
        }

    } else if (address) {
        address->failed = ngx_time();
    }

    if (state
        && pd->request->upstream->request_sent
        && !ngx_http_intuit_peer_repeatable(pd->request))
    {
        /* cached: core would allow one try more */
        pc->cached = 0;
        pc->tries = 0;
        return;
    }

    if (pc->tries) {
        pc->tries--;
    }
}


/*
 * May a request that has left be sent again?  An idempotent one (RFC 9110,
 * section 9.2.2), or one that Intuit itself knows again.
 */

static ngx_uint_t
ngx_http_intuit_peer_repeatable(ngx_http_request_t *r)
{
    return (r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD|NGX_HTTP_OPTIONS
                         |NGX_HTTP_TRACE|NGX_HTTP_PUT|NGX_HTTP_DELETE))
           || (r->method == NGX_HTTP_POST && ngx_http_intuit_known_again(r));
}


ngx_uint_t
ngx_http_intuit_known_again(ngx_http_request_t *r)
{
    u_char                 *p;
    ngx_str_t               args, id;
    ngx_http_intuit_ctx_t  *ctx;

    ctx = ngx_http_intuit_get_ctx(r, 0);

    if (ctx == NULL || ctx->api_url.len == 0) {
        return 0;
    }

    args.data = ctx->api_url.data + ctx->api_url.len;

    p = ngx_strlchr(ctx->api_url.data, args.data, '?');
    if (p == NULL) {
        return 0;
    }

    args.len = args.data - (p + 1);
    args.data = p + 1;

    return ngx_intuit_args_get(r->pool, &args, "requestid", &id) == NGX_OK
           && id.len;
}


static ngx_int_t
ngx_http_intuit_peer_set_session(ngx_peer_connection_t *pc, void *data)
{
    ngx_http_intuit_peer_data_t  *pd = data;

    ngx_http_intuit_address_t  *address;

    address = ngx_http_intuit_peer_address(pd->peer, pc->sockaddr,
                                           pc->socklen);

    if (address == NULL || address->session == NULL) {
        return NGX_OK;
    }

    return ngx_ssl_set_session(pc->connection, address->session);
}


static void
ngx_http_intuit_peer_save_session(ngx_peer_connection_t *pc, void *data)
{
    ngx_http_intuit_peer_data_t  *pd = data;

    ngx_ssl_session_t          *session;
    ngx_http_intuit_address_t  *address;

    address = ngx_http_intuit_peer_address(pd->peer, pc->sockaddr,
                                           pc->socklen);
    if (address == NULL) {
        return;
    }

    session = ngx_ssl_get_session(pc->connection);
    if (session == NULL) {
        return;
    }

    if (address->session) {
        ngx_ssl_free_session(address->session);
    }

    address->session = session;
}
