/*
 * Connections that nobody uses: their refresh tokens, those in use and the
 * spare ones, are renewed long before they end.  Every worker looks, a few
 * connections at a time; the lease decides who does it.  So it is with what is
 * still to be done at Intuit.
 */

#include "ngx_http_intuit_pending.h"
#include "ngx_http_intuit_refresh.h"


#define NGX_HTTP_INTUIT_KEEPALIVE_TICK  1000    /* ms */
#define NGX_HTTP_INTUIT_KEEPALIVE_LOOK  64      /* connections a tick */


static void ngx_http_intuit_keepalive_timer(ngx_event_t *ev);
static void ngx_http_intuit_keepalive_look(ngx_http_intuit_main_conf_t *imcf,
    const ngx_http_intuit_id_t *id, ngx_pool_t *pool);
static void ngx_http_intuit_keepalive_pending(
    ngx_http_intuit_main_conf_t *imcf, const ngx_http_intuit_id_t *id,
    ngx_intuit_connection_t *c, uint64_t generation, ngx_pool_t *pool);
static ngx_uint_t ngx_http_intuit_keepalive_due(
    const ngx_http_intuit_provider_t *provider, const ngx_intuit_pair_t *pair,
    time_t now);


/* one a worker */
static ngx_event_t           ngx_http_intuit_keepalive;
static ngx_http_intuit_id_t  ngx_http_intuit_keepalive_last;


void
ngx_http_intuit_keepalive_init(ngx_cycle_t *cycle,
    ngx_http_intuit_main_conf_t *imcf)
{
    ngx_uint_t                    i, wanted;
    ngx_event_t                  *ev;
    ngx_http_intuit_provider_t  **provider;

    wanted = 0;
    provider = imcf->providers.elts;

    for (i = 0; i < imcf->providers.nelts; i++) {
        wanted |= (provider[i]->fetch_conf != NULL);
    }

    if (!wanted || imcf->store == NULL) {
        return;
    }

    ev = &ngx_http_intuit_keepalive;

    ev->handler = ngx_http_intuit_keepalive_timer;
    ev->data = imcf;
    ev->log = cycle->log;
    ev->cancelable = 1;

    ngx_add_timer(ev, NGX_HTTP_INTUIT_KEEPALIVE_TICK);
}


/* what is due is told by the wall clock, whatever has become of the timer */

static void
ngx_http_intuit_keepalive_timer(ngx_event_t *ev)
{
    ngx_uint_t                    i, n;
    ngx_pool_t                   *pool;
    ngx_http_intuit_id_t          ids[NGX_HTTP_INTUIT_KEEPALIVE_LOOK];
    ngx_http_intuit_main_conf_t  *imcf;

    if (ngx_exiting) {
        return;
    }

    imcf = ev->data;

    n = ngx_http_intuit_connection_walk(imcf->store,
                                        &ngx_http_intuit_keepalive_last, ids,
                                        NGX_HTTP_INTUIT_KEEPALIVE_LOOK);

    pool = n ? ngx_create_pool(NGX_DEFAULT_POOL_SIZE, ev->log) : NULL;

    if (pool) {

        for (i = 0; i < n; i++) {
            ngx_http_intuit_keepalive_look(imcf, &ids[i], pool);
        }

        ngx_destroy_pool(pool);
    }

    if (n == NGX_HTTP_INTUIT_KEEPALIVE_LOOK) {
        ngx_http_intuit_keepalive_last = ids[n - 1];

    } else {
        ngx_memzero(&ngx_http_intuit_keepalive_last,
                    sizeof(ngx_http_intuit_id_t));
    }

    ngx_add_timer(ev, NGX_HTTP_INTUIT_KEEPALIVE_TICK);
}


static void
ngx_http_intuit_keepalive_look(ngx_http_intuit_main_conf_t *imcf,
    const ngx_http_intuit_id_t *id, ngx_pool_t *pool)
{
    time_t                        now;
    uint64_t                      generation;
    ngx_uint_t                    i, current, spare, arrived;
    ngx_http_intuit_id_t          own;
    ngx_intuit_connection_t       c;
    ngx_http_intuit_provider_t  **provider;

    if (ngx_http_intuit_connection_load(imcf->store, id, pool, &c,
                                        &generation)
        != NGX_OK)
    {
        return;
    }

    if (ngx_http_intuit_pending_kind(&c) != NGX_HTTP_INTUIT_PENDING_NONE) {
        ngx_http_intuit_keepalive_pending(imcf, id, &c, generation, pool);
        return;
    }

    if (c.dead) {
        return;
    }

    now = ngx_time();
    provider = imcf->providers.elts;

    for (i = 0; i < imcf->providers.nelts; i++) {

        current = ngx_http_intuit_keepalive_due(provider[i], &c.current, now);
        spare = ngx_http_intuit_keepalive_due(provider[i], &c.spare, now);
        arrived = (provider[i]->redis && provider[i]->fetch_conf
                   && c.arrived.access_token.len);

        if (!current && !spare && !arrived) {
            continue;
        }

        /* whose is it? */

        if (ngx_http_intuit_connection_id(&own, provider[i], &c.realm)
            != NGX_OK
            || ngx_memcmp(own.data, id->data, NGX_HTTP_INTUIT_ID_LEN) != 0)
        {
            continue;
        }

        if (arrived) {

            /* unless its owner is alive: before another host's turn */

            (void) ngx_http_intuit_refresh_start(provider[i], id, generation,
                                                 0);
            return;
        }

        if (ngx_http_intuit_refresh_after(provider[i], &c, now) == 0
            && (current
                || ngx_http_intuit_refresh_spare_allowed(provider[i], &c,
                                                         now)))
        {
            (void) ngx_http_intuit_refresh_start(provider[i], id, generation,
                                                 !current);
        }

        return;
    }
}


/* what nobody waits for any more */

static void
ngx_http_intuit_keepalive_pending(ngx_http_intuit_main_conf_t *imcf,
    const ngx_http_intuit_id_t *id, ngx_intuit_connection_t *c,
    uint64_t generation, ngx_pool_t *pool)
{
    ngx_uint_t                    i;
    ngx_http_intuit_id_t          own;
    ngx_http_intuit_provider_t  **provider;

    provider = imcf->providers.elts;

    for (i = 0; i < imcf->providers.nelts; i++) {

        if (provider[i]->fetch_conf == NULL
            || ngx_http_intuit_pending_id(provider[i], c, &own) != NGX_OK
            || ngx_memcmp(own.data, id->data, NGX_HTTP_INTUIT_ID_LEN) != 0)
        {
            continue;
        }

        if (ngx_http_intuit_pending_claim(provider[i], id, c, generation, pool)
            != NGX_OK)
        {
            return;
        }

        if (ngx_http_intuit_pending_kind(c)
            == NGX_HTTP_INTUIT_PENDING_REVOCATION)
        {
            ngx_http_intuit_revoke_resume(provider[i], id, c);

        } else {
            ngx_http_intuit_import_resume(provider[i], id, c);
        }

        return;
    }
}


static ngx_uint_t
ngx_http_intuit_keepalive_due(const ngx_http_intuit_provider_t *provider,
    const ngx_intuit_pair_t *pair, time_t now)
{
    time_t  after;

    after = provider->refresh_keepalive;

    if (after == 0 || provider->fetch_conf == NULL
        || pair->refresh_token.len == 0)
    {
        return 0;
    }

    if (pair->refresh_expires) {
        after = ngx_min(after, (pair->refresh_expires - pair->refreshed) / 2);
    }

    return now - pair->refreshed >= after
           || ngx_http_intuit_refresh_unreal(pair, now);
}
