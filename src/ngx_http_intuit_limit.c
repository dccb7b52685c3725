/*
 * intuit_limit: the company's quota.  What is over it waits for its slot, and
 * only what would wait for too long is refused; Intuit's own 429 holds the
 * company up.
 *
 *   (body ->)  ask (with the load)  ->  limit -> wait -> ask once more -> go
 *
 * The slot is reserved under the lock that the load of the connection takes
 * anyway.  It is asked for when nothing else can refuse the request, and its
 * body is here; a slot that was not used after all is given back when the
 * request ends.
 *
 * Hosts that share a store have one quota: then the store gives the slots, for
 * all that wait here at once, and they are noted here.  Without it a host goes
 * on with its part of the quota.
 */

#include "ngx_http_intuit_auth_module.h"
#include "ngx_http_intuit_job.h"
#include "ngx_http_intuit_share.h"


#define NGX_HTTP_INTUIT_LIMIT_HOLD      60   /* seconds after a 429 */
#define NGX_HTTP_INTUIT_LIMIT_HOLD_MAX  300  /* ... if Intuit asks for more */


static ngx_int_t ngx_http_intuit_limit_create(ngx_http_request_t *r,
    ngx_http_intuit_ctx_t *ctx);
static ngx_uint_t ngx_http_intuit_limit_batch(ngx_http_request_t *r);
static void ngx_http_intuit_limit_arrived(ngx_http_request_t *r);
static ngx_int_t ngx_http_intuit_limit_reserve(ngx_http_request_t *r,
    ngx_http_intuit_ctx_t *ctx);
static ngx_int_t ngx_http_intuit_limit_share(ngx_http_request_t *r,
    ngx_http_intuit_ctx_t *ctx, const ngx_http_intuit_id_t *id);
static void ngx_http_intuit_limit_answer(ngx_http_intuit_ctx_t *ctx,
    const ngx_http_intuit_id_t *id);
static void ngx_http_intuit_limit_part(ngx_http_intuit_ctx_t *ctx,
    const ngx_http_intuit_id_t *id);
static ngx_int_t ngx_http_intuit_limit_delay(ngx_http_request_t *r,
    ngx_http_intuit_ctx_t *ctx, ngx_uint_t dry_run);
static ngx_int_t ngx_http_intuit_limit_crowded(ngx_http_request_t *r,
    ngx_http_intuit_ctx_t *ctx);
static ngx_int_t ngx_http_intuit_limit_refuse(ngx_http_request_t *r,
    ngx_http_intuit_ctx_t *ctx, ngx_uint_t dry_run);
static ngx_int_t ngx_http_intuit_limit_fail(ngx_http_request_t *r,
    ngx_http_intuit_ctx_t *ctx, ngx_http_intuit_error_e error);
static ngx_int_t ngx_http_intuit_limit_filter(ngx_http_request_t *r);
#if (NGX_HTTP_CACHE)
static void ngx_http_intuit_limit_unspent(ngx_http_request_t *r);
#endif
static ngx_int_t ngx_http_intuit_limit_held(ngx_http_request_t *r,
    ngx_http_intuit_ctx_t *ctx);
static void ngx_http_intuit_limit_hold(ngx_http_request_t *r,
    ngx_http_intuit_ctx_t *ctx, ngx_int_t seconds);


extern ngx_module_t  ngx_http_proxy_module;


static ngx_http_output_header_filter_pt  ngx_http_next_header_filter;


/* the company's at this API, whichever provider asks for it */

ngx_int_t
ngx_http_intuit_quota_id(ngx_http_intuit_id_t *id,
    const ngx_http_intuit_provider_t *provider, const ngx_str_t *realm)
{
    ngx_str_t  parts[3];

    ngx_str_set(&parts[0], "quota");
    parts[1] = provider->api_url;
    parts[2] = *realm;

    return ngx_intuit_hash(id->data, parts, 3);
}


ngx_http_intuit_quota_t *
ngx_http_intuit_limit_ask(ngx_http_request_t *r,
    ngx_http_intuit_provider_t *provider, ngx_uint_t session)
{
    ngx_http_intuit_ctx_t       *ctx;
    ngx_http_intuit_quota_t     *quota;
    ngx_http_intuit_loc_conf_t  *ilcf;

    const ngx_http_intuit_target_t  *target;

    ilcf = ngx_http_get_module_loc_conf(r, ngx_http_intuit_auth_module);

    if (ilcf->proxy != provider
        || ilcf->limit->mode == NGX_HTTP_INTUIT_LIMIT_OFF
        || r != r->main
        || ngx_http_intuit_limit_body(r))
    {
        return NULL;
    }

    /* the session may be another company's, or of somebody refused yet */

    if (session && (ilcf->realm || ilcf->require)) {
        return NULL;
    }

    ctx = ngx_http_intuit_get_ctx(r, 1);
    if (ctx == NULL) {
        return NULL;
    }

    if (ngx_http_intuit_limit_create(r, ctx) != NGX_OK) {
        return NULL;
    }

    quota = &ctx->limit->quota;

    if (!ctx->limit->waiting) {
        ngx_http_intuit_limit_release(ctx);

        if (ngx_http_intuit_cross_site(r)) {
            return NULL;
        }

        target = ngx_http_intuit_api_target(r, ctx);

        if (target->rc != NGX_OK) {
            return NULL;
        }

        ngx_memzero(quota, sizeof(ngx_http_intuit_quota_t));

        quota->limits = &ilcf->limit->limits;
        quota->since = ngx_current_msec;
        quota->rc = NGX_DECLINED;
        quota->batch = ngx_http_intuit_limit_batch(r);

        if (!(target->id.len == 1 && target->id.data[0] == '-')) {
            quota->realm = target->id;
        }

        quota->shared = (provider->redis != NULL);

        ctx->limit->provider = provider;
    }

    quota->now = ngx_current_msec;
    quota->time = ngx_time();

    ctx->limit->waiting = 0;

    return quota;
}


/* few requests have one, and its room would make each other's context twice */

static ngx_int_t
ngx_http_intuit_limit_create(ngx_http_request_t *r, ngx_http_intuit_ctx_t *ctx)
{
    if (ctx->limit == NULL) {
        ctx->limit = ngx_pcalloc(r->pool, sizeof(ngx_http_intuit_limit_t));
    }

    return ctx->limit ? NGX_OK : NGX_ERROR;
}


static ngx_uint_t
ngx_http_intuit_limit_batch(ngx_http_request_t *r)
{
    u_char     *p, *last;
    ngx_str_t   id;

    /* decoded, as Intuit will read it */

    if (ngx_intuit_api_realm(&r->uri, &id) != NGX_OK) {
        return 0;
    }

    p = id.data + id.len;
    last = r->uri.data + r->uri.len;

    return last - p >= (ssize_t) sizeof("/batch") - 1
           && ngx_strncasecmp(p, (u_char *) "/batch", sizeof("/batch") - 1)
              == 0
           && (last - p == sizeof("/batch") - 1
               || p[sizeof("/batch") - 1] == '/');
}


ngx_uint_t
ngx_http_intuit_limit_body(ngx_http_request_t *r)
{
    ngx_http_upstream_conf_t    *ucf;
    ngx_http_intuit_loc_conf_t  *ilcf;

    if (r->request_body
        || r->discard_body
        || (r->headers_in.content_length_n <= 0 && !r->headers_in.chunked))
    {
        return 0;
    }

    ilcf = ngx_http_get_module_loc_conf(r, ngx_http_intuit_auth_module);

    /* what the proxy module's own configuration begins with */
    ucf = ngx_http_get_module_loc_conf(r, ngx_http_proxy_module);

    return ilcf->limit->mode != NGX_HTTP_INTUIT_LIMIT_OFF
           && ucf->request_buffering;
}


ngx_int_t
ngx_http_intuit_limit_read(ngx_http_request_t *r)
{
    ngx_int_t  rc;

    rc = ngx_http_read_client_request_body(r, ngx_http_intuit_limit_arrived);

    if (rc >= NGX_HTTP_SPECIAL_RESPONSE) {
        return rc;
    }

    ngx_http_finalize_request(r, NGX_DONE);

    return NGX_DONE;
}


static void
ngx_http_intuit_limit_arrived(ngx_http_request_t *r)
{
    ngx_http_intuit_ctx_t  *ctx;

    ctx = ngx_http_intuit_get_ctx(r, 0);

    ctx->stale = 1;

    /* a cache or an error_page may let go of one that is in a file */
    r->preserve_body = 1;

    r->write_event_handler = ngx_http_core_run_phases;
    ngx_http_core_run_phases(r);
}


ngx_int_t
ngx_http_intuit_limit(ngx_http_request_t *r, ngx_http_intuit_ctx_t *ctx)
{
    ngx_int_t                    rc;
    ngx_uint_t                   dry_run;
    ngx_http_intuit_quota_t     *quota;
    ngx_http_intuit_loc_conf_t  *ilcf;

    ilcf = ngx_http_get_module_loc_conf(r, ngx_http_intuit_auth_module);

    if (ilcf->limit->mode == NGX_HTTP_INTUIT_LIMIT_OFF) {
        return NGX_OK;
    }

    if (ngx_http_intuit_limit_create(r, ctx) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    quota = &ctx->limit->quota;
    dry_run = (ilcf->limit->mode == NGX_HTTP_INTUIT_LIMIT_DRY_RUN);

    rc = NGX_OK;

    if (quota->limits == NULL
        || quota->rc == NGX_DECLINED
        || ctx->limit->waiting)
    {
        rc = ngx_http_intuit_limit_reserve(r, ctx);

        if (rc != NGX_OK) {
            return rc == NGX_ERROR ? NGX_HTTP_INTERNAL_SERVER_ERROR : rc;
        }
    }

    switch (quota->rc) {

    case NGX_AGAIN:
        rc = ngx_http_intuit_limit_delay(r, ctx, dry_run);
        break;

    case NGX_BUSY:
        rc = ngx_http_intuit_limit_refuse(r, ctx, dry_run);
        break;

    case NGX_DECLINED:
        ngx_log_error(NGX_LOG_WARN, r->connection->log, 0,
                      "intuit quota is not kept: no room in the shared zone");

        /* fall through */

    default: /* NGX_OK */

        if (ctx->limit->status == NULL) {
            ctx->limit->status = "PASSED";
        }
    }

    if (rc != NGX_OK) {
        return rc;
    }

    /* a slot is for one request: a replay needs another */

    ctx->limit->taken = quota->state;

    quota->state = NGX_HTTP_INTUIT_QUOTA_NONE;
    quota->rc = NGX_DECLINED;

    ctx->limit->slot.turn = 0;
    ctx->limit->sent = 1;
    ctx->limit->states = r->upstream_states ? r->upstream_states->nelts : 0;

    return NGX_OK;
}


/*
 * Under a lock of its own: the load could not, or was not of this request.
 * NGX_OK, NGX_ERROR, or what the handler returns.
 */

static ngx_int_t
ngx_http_intuit_limit_reserve(ngx_http_request_t *r,
    ngx_http_intuit_ctx_t *ctx)
{
    ngx_str_t                *realm;
    ngx_http_intuit_id_t      id;
    ngx_http_intuit_quota_t  *quota;

    quota = &ctx->limit->quota;

    /* what was given for this request is not asked for anew */

    if (ctx->limit->waiting
        || (!ctx->limit->slot.answered && ctx->limit->slot.turn == 0
            && quota->state == NGX_HTTP_INTUIT_QUOTA_NONE))
    {
        quota = ngx_http_intuit_limit_ask(r, ctx->api->provider, 0);
        if (quota == NULL) {
            return NGX_ERROR;
        }
    }

    realm = &ctx->api->loaded.connection.realm;

    if (ngx_http_intuit_connection_id(&id, ctx->api->provider, realm)
        != NGX_OK
        || ngx_http_intuit_quota_id(&quota->id, ctx->api->provider, realm)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (quota->shared) {
        return ngx_http_intuit_limit_share(r, ctx, &id);
    }

    (void) ngx_http_intuit_quota_reserve(ctx->limit->provider->store, &id,
                                         realm, quota);

    return NGX_OK;
}


/* the same, of the store that hosts share */

static ngx_int_t
ngx_http_intuit_limit_share(ngx_http_request_t *r, ngx_http_intuit_ctx_t *ctx,
    const ngx_http_intuit_id_t *id)
{
    ngx_int_t                       rc;
    ngx_http_intuit_quota_t        *quota;
    ngx_http_intuit_quota_share_t   share;

    quota = &ctx->limit->quota;
    quota->rc = NGX_DECLINED;

    if (ctx->limit->slot.answered) {
        ngx_http_intuit_limit_answer(ctx, id);

    } else if (quota->state == NGX_HTTP_INTUIT_QUOTA_SLOT) {
        (void) ngx_http_intuit_quota_reserve(ctx->limit->provider->store, id,
                            &ctx->api->loaded.connection.realm, quota);
    }

    if (quota->rc != NGX_DECLINED) {
        return NGX_OK;
    }

    rc = ngx_http_intuit_quota_share(ctx->limit->provider->store, id,
                                     &ctx->api->loaded.connection.realm,
                                     quota, &share);
    if (rc != NGX_OK) {
        return rc == NGX_DECLINED ? NGX_OK : NGX_ERROR;
    }

    if (ngx_http_intuit_slice_ask(r, ctx, &share) != NGX_OK) {
        return ngx_http_intuit_limit_crowded(r, ctx);
    }

    ctx->limit->waiting = 1;
    ctx->stale = 1;

    return NGX_AGAIN;
}


/* quota->rc is NGX_DECLINED as long as there has to be asked once more */

static void
ngx_http_intuit_limit_answer(ngx_http_intuit_ctx_t *ctx,
    const ngx_http_intuit_id_t *id)
{
    ngx_int_t                 rc;
    ngx_msec_t                waited;
    ngx_http_intuit_quota_t  *quota;

    quota = &ctx->limit->quota;
    rc = ctx->limit->slot.answer;

    ctx->limit->slot.answered = 0;
    ctx->limit->waiting = 0;

    if (rc == NGX_ERROR) {
        ngx_http_intuit_limit_part(ctx, id);
        return;
    }

    if (rc == NGX_DONE) {
        /* it had one, which may be void by now */
        (void) ngx_http_intuit_quota_reserve(ctx->limit->provider->store, id,
                            &ctx->api->loaded.connection.realm, quota);
        return;
    }

    quota->wait = ctx->limit->slot.wait;

    if (rc == NGX_DECLINED) {
        /* a batch, for which only its turn among them is known yet */
        quota->rc = NGX_AGAIN;
        return;
    }

    waited = quota->now - quota->since;

    if (rc == NGX_AGAIN && waited + quota->wait > quota->limits->timeout) {
        rc = NGX_BUSY;
    }

    if (rc == NGX_BUSY) {
        ngx_http_intuit_slice_return(ctx);
    }

    ctx->limit->slot.turn = 0;

    (void) ngx_http_intuit_quota_given(ctx->limit->provider->store, quota,
                                       rc);
}


/* The store cannot be asked: as much as each gets if all others do the same. */

static void
ngx_http_intuit_limit_part(ngx_http_intuit_ctx_t *ctx,
    const ngx_http_intuit_id_t *id)
{
    ngx_str_t                      *realm;
    ngx_http_intuit_quota_t        *quota;
    ngx_http_intuit_store_t        *store;
    ngx_http_intuit_limits_t       *part;
    ngx_http_intuit_quota_share_t   share;

    quota = &ctx->limit->quota;
    part = &ctx->limit->part;
    store = ctx->limit->provider->store;
    realm = &ctx->api->loaded.connection.realm;

    ctx->limit->slot.turn = 0;

    if (ngx_http_intuit_quota_share(store, id, realm, quota, &share)
        != NGX_OK)
    {
        return;
    }

    *part = *quota->limits;

    if (share.hosts > 1) {
        part->rate = ngx_max(part->rate / share.hosts, 1);
        part->burst_rate = ngx_max(part->burst_rate / share.hosts, 1);
        part->batch_rate = ngx_max(part->batch_rate / share.hosts, 1);
    }

    quota->limits = part;
    quota->shared = 0;

    (void) ngx_http_intuit_quota_reserve(store, id, realm, quota);
}


static ngx_int_t
ngx_http_intuit_limit_delay(ngx_http_request_t *r, ngx_http_intuit_ctx_t *ctx,
    ngx_uint_t dry_run)
{
    ngx_msec_t  wait;

    wait = ctx->limit->quota.wait;

    if (ctx->limit->status == NULL) {
        ngx_log_error(NGX_LOG_WARN, r->connection->log, 0,
                      "intuit delaying request%s, wait: %M ms, realm \"%V\"",
                      dry_run ? ", dry run" : "", wait,
                      &ctx->api->loaded.connection.realm);
    }

    if (dry_run) {
        ctx->limit->status = "DELAYED_DRY_RUN";
        return NGX_OK;
    }

    ctx->limit->status = "DELAYED";

    if (ngx_http_intuit_park_for(r, ctx, wait, ngx_http_core_run_phases)
        == NGX_OK)
    {
        ctx->limit->waiting = 1;
        ctx->stale = 1;
        return NGX_AGAIN;
    }

    return ngx_http_intuit_limit_crowded(r, ctx);
}


static ngx_int_t
ngx_http_intuit_limit_crowded(ngx_http_request_t *r,
    ngx_http_intuit_ctx_t *ctx)
{
    ngx_http_intuit_limit_release(ctx);

    return ngx_http_intuit_limit_fail(r, ctx, NGX_HTTP_INTUIT_E_BUSY);
}


static ngx_int_t
ngx_http_intuit_limit_refuse(ngx_http_request_t *r, ngx_http_intuit_ctx_t *ctx,
    ngx_uint_t dry_run)
{
    ngx_msec_t  wait;

    wait = ctx->limit->quota.wait;

    ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                  "intuit limiting requests%s, next slot in %M ms, "
                  "realm \"%V\"", dry_run ? ", dry run" : "", wait,
                  &ctx->api->loaded.connection.realm);

    if (dry_run) {
        ctx->limit->status = "REJECTED_DRY_RUN";
        return NGX_OK;
    }

    ctx->limit->status = "REJECTED";

    ctx->retry_after = wait / 1000 + 1;

    return ngx_http_intuit_limit_fail(r, ctx, NGX_HTTP_INTUIT_E_QUOTA);
}


static ngx_int_t
ngx_http_intuit_limit_fail(ngx_http_request_t *r, ngx_http_intuit_ctx_t *ctx,
    ngx_http_intuit_error_e error)
{
    ngx_http_finalize_request(r, ngx_http_intuit_fail(r, ctx->api->provider,
                                                      error, NULL));

    return NGX_DONE;
}


void
ngx_http_intuit_limit_release(ngx_http_intuit_ctx_t *ctx)
{
    ngx_http_intuit_quota_t  *quota;

    if (ctx->limit == NULL) {
        return;
    }

    quota = &ctx->limit->quota;

    if (ctx->limit->slot.turn
        || (ctx->limit->slot.there
            && (ctx->limit->slot.answered
                || (quota->shared
                    && quota->state != NGX_HTTP_INTUIT_QUOTA_NONE))))
    {
        ngx_http_intuit_slice_return(ctx);
    }

    if (quota->state != NGX_HTTP_INTUIT_QUOTA_NONE) {
        ngx_http_intuit_quota_release(ctx->limit->provider->store, quota);
    }

    quota->rc = NGX_DECLINED;

    ctx->limit->slot.answered = 0;
    ctx->limit->slot.turn = 0;
    ctx->limit->slot.there = 0;
}


ngx_int_t
ngx_http_intuit_limit_init(ngx_conf_t *cf)
{
    (void) cf;

    ngx_http_next_header_filter = ngx_http_top_header_filter;
    ngx_http_top_header_filter = ngx_http_intuit_limit_filter;

    return NGX_OK;
}


static ngx_int_t
ngx_http_intuit_limit_filter(ngx_http_request_t *r)
{
    ngx_http_intuit_ctx_t  *ctx;

#if (NGX_HTTP_CACHE)

    if (r->cached && r == r->main) {
        ngx_http_intuit_limit_unspent(r);
    }

#endif

    if (r->headers_out.status != NGX_HTTP_TOO_MANY_REQUESTS
        || r->upstream == NULL
        || r->upstream->headers_in.status_n != NGX_HTTP_TOO_MANY_REQUESTS
#if (NGX_HTTP_CACHE)
        || r->cached
#endif
        || r != r->main)
    {
        return ngx_http_next_header_filter(r);
    }

    ctx = ngx_http_intuit_get_ctx(r, 0);

    if (ctx && ctx->limit && ctx->limit->sent
        && ngx_http_intuit_limit_held(r, ctx) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_next_header_filter(r);
}


#if (NGX_HTTP_CACHE)

/* from a cache: and not even in the background is Intuit asked */

static void
ngx_http_intuit_limit_unspent(ngx_http_request_t *r)
{
    ngx_http_intuit_ctx_t  *ctx;

    ctx = ngx_http_intuit_get_ctx(r, 0);

    if (ctx == NULL
        || ctx->limit == NULL
        || !ctx->limit->sent
        || (r->upstream->cache_status != NGX_HTTP_CACHE_HIT
            && r->upstream->cache_status != NGX_HTTP_CACHE_UPDATING))
    {
        return;
    }

    ctx->limit->sent = 0;
    ctx->limit->quota.state = ctx->limit->taken;

    ngx_http_intuit_limit_release(ctx);
}

#endif


/* Intuit documents no Retry-After, and says: a minute */

static ngx_int_t
ngx_http_intuit_limit_held(ngx_http_request_t *r, ngx_http_intuit_ctx_t *ctx)
{
    ngx_str_t         value;
    ngx_uint_t        n;
    ngx_table_elt_t  *h;

    h = ngx_http_intuit_header(&r->headers_out.headers, "retry-after", &n);

    if (h) {
        value = h->value;

    } else {
        ngx_str_set(&value, "60");

        if (ngx_http_intuit_add_header(r, "Retry-After", &value) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    ngx_http_intuit_limit_hold(r, ctx, ngx_atoi(value.data, value.len));

    return NGX_OK;
}


/* before access_log: nginx's own answer may have taken the 429's place */

ngx_int_t
ngx_http_intuit_limit_log_handler(ngx_http_request_t *r)
{
    ngx_http_intuit_ctx_t  *ctx;

    ctx = ngx_http_intuit_get_ctx(r, 0);

    if (ctx) {
        ngx_http_intuit_limit_leave(r, ctx);
    }

    return NGX_OK;
}


/* an error_page has taken it, which may have a 429 of its own */

void
ngx_http_intuit_limit_leave(ngx_http_request_t *r, ngx_http_intuit_ctx_t *ctx)
{
    ngx_uint_t                  i;
    ngx_http_upstream_state_t  *state;

    if (ctx->limit == NULL
        || !ctx->limit->sent
        || r->upstream_states == NULL)
    {
        return;
    }

    state = r->upstream_states->elts;

    for (i = ctx->limit->states; i < r->upstream_states->nelts; i++) {

        if (state[i].status == NGX_HTTP_TOO_MANY_REQUESTS) {
            ngx_http_intuit_limit_hold(r, ctx, NGX_ERROR);
            break;
        }
    }

    ctx->limit->sent = 0;
}


static void
ngx_http_intuit_limit_hold(ngx_http_request_t *r, ngx_http_intuit_ctx_t *ctx,
    ngx_int_t seconds)
{
    ctx->limit->sent = 0;

    if (seconds == NGX_ERROR) {
        seconds = NGX_HTTP_INTUIT_LIMIT_HOLD;
    }

    seconds = ngx_max(seconds, 1);
    seconds = ngx_min(seconds, NGX_HTTP_INTUIT_LIMIT_HOLD_MAX);

    if (ctx->limit->provider->redis) {
        ngx_http_intuit_slice_hold(ctx->limit->provider, &ctx->limit->quota.id,
                                   seconds * 1000);
    }

    if (ngx_http_intuit_quota_hold(ctx->limit->provider->store,
                                   &ctx->limit->quota.id, ngx_current_msec,
                                   seconds * 1000)
        == NGX_OK)
    {
        ngx_log_error(NGX_LOG_WARN, r->connection->log, 0,
                      "intuit quota is used up at Intuit (429): "
                      "nothing is sent for %i s, realm \"%V\"", seconds,
                      &ctx->api->loaded.connection.realm);
    }
}
