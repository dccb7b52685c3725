/*
 * What several hosts share, for the requests that need it.
 */

#include "ngx_http_intuit_cookie.h"
#include "ngx_http_intuit_share.h"


static ngx_int_t ngx_http_intuit_share_identity(ngx_http_request_t *r,
    ngx_http_intuit_ctx_t *ctx, ngx_http_intuit_provider_t *provider);
static ngx_int_t ngx_http_intuit_share_remember(ngx_http_request_t *r,
    ngx_http_intuit_ctx_t *ctx, ngx_http_intuit_provider_t *provider,
    const ngx_http_intuit_id_t *id);
static ngx_int_t ngx_http_intuit_share_look(ngx_http_request_t *r,
    ngx_http_intuit_ctx_t *ctx, ngx_http_intuit_share_op_t *wanted);
static ngx_int_t ngx_http_intuit_share_begin(ngx_http_request_t *r,
    ngx_http_intuit_ctx_t *ctx, ngx_http_intuit_share_op_t *wanted,
    void (*resume)(ngx_http_request_t *r));
static ngx_int_t ngx_http_intuit_share_wait(ngx_http_request_t *r,
    const ngx_http_intuit_share_op_t *wanted, ngx_http_intuit_step_pt step,
    void (*resume)(ngx_http_request_t *r));
static ngx_int_t ngx_http_intuit_share_age(
    const ngx_http_intuit_share_op_t *wanted, ngx_msec_t limit,
    ngx_http_intuit_id_t *connection);
static ngx_int_t ngx_http_intuit_share_park(ngx_http_request_t *r,
    ngx_http_intuit_ctx_t *ctx, const ngx_http_intuit_share_op_t *op,
    void (*resume)(ngx_http_request_t *r));
static ngx_uint_t ngx_http_intuit_share_ready(ngx_http_intuit_ctx_t *ctx);
static ngx_queue_t *ngx_http_intuit_share_queue(void);
static ngx_http_intuit_share_op_t *ngx_http_intuit_share_find(
    ngx_uint_t what, const ngx_http_intuit_id_t *id);
static ngx_http_intuit_share_op_t *ngx_http_intuit_share_start(
    const ngx_http_intuit_share_op_t *wanted, ngx_http_intuit_step_pt step);
static void ngx_http_intuit_share_done(ngx_http_intuit_job_t *job,
    ngx_int_t rc);
static void ngx_http_intuit_share_gone(void *data);


/* one a worker */
static ngx_queue_t  ngx_http_intuit_share_ops;


ngx_int_t
ngx_http_intuit_share_handler(ngx_http_request_t *r)
{
    ngx_int_t                    rc;
    ngx_uint_t                   i;
    ngx_http_intuit_ctx_t       *ctx;
    ngx_http_intuit_loc_conf_t  *ilcf;
    ngx_http_intuit_provider_t  *provider[3];

    if (r != r->main) {
        return NGX_DECLINED;
    }

    ctx = ngx_http_intuit_get_ctx(r, 1);
    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (ctx->parked) {
        return NGX_AGAIN;
    }

    ilcf = ngx_http_get_module_loc_conf(r, ngx_http_intuit_auth_module);

    provider[0] = ilcf->auth;
    provider[1] = ilcf->proxy;
    provider[2] = ilcf->action;

    if (ngx_http_intuit_own_uri(r, ctx)) {
        provider[0] = ctx->endpoint->provider;
    }

    for (i = 0; i < 3; i++) {

        if (provider[i] == NULL || provider[i]->redis == NULL
            || ngx_http_intuit_share_known(ctx, provider[i]) != NULL)
        {
            continue;
        }

        rc = ngx_http_intuit_share_identity(r, ctx, provider[i]);

        if (rc == NGX_AGAIN) {
            return NGX_AGAIN;
        }

        if (rc != NGX_OK) {
            rc = ngx_http_intuit_fail(r, provider[i], NGX_HTTP_INTUIT_E_STORE,
                                      "the shared store cannot be asked");
            ngx_http_finalize_request(r, rc);
            return NGX_DONE;
        }
    }

    return NGX_DECLINED;
}


static ngx_int_t
ngx_http_intuit_share_identity(ngx_http_request_t *r,
    ngx_http_intuit_ctx_t *ctx, ngx_http_intuit_provider_t *provider)
{
    ngx_int_t                   rc;
    ngx_str_t                   value;
    ngx_http_intuit_share_op_t  wanted;

    rc = ngx_http_intuit_cookie_get(r, &provider->cookie_name, &value);

    if (rc != NGX_OK || value.len != NGX_HTTP_INTUIT_COOKIE_LEN) {
        return NGX_OK;
    }

    ngx_memzero(&wanted, sizeof(ngx_http_intuit_share_op_t));

    wanted.what = NGX_HTTP_INTUIT_SHARE_SESSION;
    wanted.provider = provider;

    if (ngx_http_intuit_session_id(&wanted.id, provider, &value) != NGX_OK) {
        return NGX_ERROR;
    }

    rc = ngx_http_intuit_share_look(r, ctx, &wanted);

    return rc == NGX_OK
           ? ngx_http_intuit_share_remember(r, ctx, provider, &wanted.id) : rc;
}


static ngx_int_t
ngx_http_intuit_share_remember(ngx_http_request_t *r,
    ngx_http_intuit_ctx_t *ctx, ngx_http_intuit_provider_t *provider,
    const ngx_http_intuit_id_t *id)
{
    ngx_uint_t  i;

    if (ctx->shared == NULL) {
        ctx->shared = ngx_pcalloc(r->pool, NGX_HTTP_INTUIT_SHARED_MAX
                                           * sizeof(ngx_http_intuit_shared_t));
        if (ctx->shared == NULL) {
            return NGX_ERROR;
        }
    }

    for (i = 0; i < NGX_HTTP_INTUIT_SHARED_MAX; i++) {

        if (ctx->shared[i].provider == NULL) {
            ctx->shared[i].provider = provider;
            ctx->shared[i].id = *id;
            break;
        }
    }

    return NGX_OK;
}


const ngx_http_intuit_id_t *
ngx_http_intuit_share_known(const ngx_http_intuit_ctx_t *ctx,
    const ngx_http_intuit_provider_t *provider)
{
    ngx_uint_t  i;

    for (i = 0; ctx->shared && i < NGX_HTTP_INTUIT_SHARED_MAX; i++) {
        if (ctx->shared[i].provider == provider) {
            return &ctx->shared[i].id;
        }
    }

    return NULL;
}


ngx_int_t
ngx_http_intuit_share_connection(ngx_http_request_t *r,
    ngx_http_intuit_ctx_t *ctx, ngx_http_intuit_provider_t *provider,
    const ngx_http_intuit_id_t *id)
{
    ngx_http_intuit_share_op_t  wanted;

    if (provider->redis == NULL) {
        return NGX_OK;
    }

    ngx_memzero(&wanted, sizeof(ngx_http_intuit_share_op_t));

    wanted.what = NGX_HTTP_INTUIT_SHARE_CONNECTION;
    wanted.provider = provider;
    wanted.id = *id;

    return ngx_http_intuit_share_look(r, ctx, &wanted);
}


ngx_int_t
ngx_http_intuit_share_first(ngx_http_request_t *r,
    ngx_http_intuit_provider_t *provider, const ngx_http_intuit_id_t *id,
    void (*resume)(ngx_http_request_t *r))
{
    ngx_http_intuit_share_op_t  wanted;

    if (provider->redis == NULL) {
        return NGX_OK;
    }

    ngx_memzero(&wanted, sizeof(ngx_http_intuit_share_op_t));

    wanted.what = NGX_HTTP_INTUIT_SHARE_CONNECTION;
    wanted.provider = provider;
    wanted.id = *id;

    return ngx_http_intuit_share_begin(r, ngx_http_intuit_get_ctx(r, 0),
                                       &wanted, resume);
}


static ngx_int_t
ngx_http_intuit_share_look(ngx_http_request_t *r, ngx_http_intuit_ctx_t *ctx,
    ngx_http_intuit_share_op_t *wanted)
{
    ngx_int_t             rc;
    ngx_http_intuit_id_t  unused;

    if (ctx->share_waits) {
        ctx->share_waits = 0;
        rc = ctx->share_rc;

    } else {
        rc = ngx_http_intuit_share_begin(r, ctx, wanted,
                                         ngx_http_core_run_phases);
    }

    if (rc == NGX_ERROR) {
        return ngx_http_intuit_share_age(wanted, NGX_HTTP_INTUIT_SHARE_STALE,
                                         &unused);
    }

    return rc;
}


/* NGX_OK: it was asked a moment ago; NGX_AGAIN: parked; NGX_ERROR */

static ngx_int_t
ngx_http_intuit_share_begin(ngx_http_request_t *r, ngx_http_intuit_ctx_t *ctx,
    ngx_http_intuit_share_op_t *wanted,
    void (*resume)(ngx_http_request_t *r))
{
    ngx_http_intuit_share_op_t  *op;

    if (ngx_http_intuit_share_age(wanted, NGX_HTTP_INTUIT_SHARE_AGE,
                                  &wanted->connection)
        == NGX_OK)
    {
        return NGX_OK;
    }

    op = ngx_http_intuit_share_find(wanted->what, &wanted->id);

    if (op == NULL || op->done) {
        return ngx_http_intuit_share_wait(r, wanted,
                                          ngx_http_intuit_share_read, resume);
    }

    return ngx_http_intuit_share_park(r, ctx, op, resume) == NGX_OK
           ? NGX_AGAIN : NGX_ERROR;
}


/* NGX_AGAIN: it is being done, and the request is parked; NGX_ERROR */

static ngx_int_t
ngx_http_intuit_share_wait(ngx_http_request_t *r,
    const ngx_http_intuit_share_op_t *wanted, ngx_http_intuit_step_pt step,
    void (*resume)(ngx_http_request_t *r))
{
    ngx_http_intuit_ctx_t       *ctx;
    ngx_http_intuit_share_op_t  *op;

    ctx = ngx_http_intuit_get_ctx(r, 0);
    op = ngx_http_intuit_share_start(wanted, step);

    if (op == NULL
        || ngx_http_intuit_share_park(r, ctx, op, resume) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return NGX_AGAIN;
}


/* NGX_OK: the zone has it, as it was not longer ago; else NGX_ERROR */

static ngx_int_t
ngx_http_intuit_share_age(const ngx_http_intuit_share_op_t *wanted,
    ngx_msec_t limit, ngx_http_intuit_id_t *connection)
{
    ngx_int_t   rc;
    ngx_msec_t  age;

    if (wanted->what == NGX_HTTP_INTUIT_SHARE_SESSION) {
        rc = ngx_http_intuit_session_checked(wanted->provider->store,
                                             &wanted->id, ngx_current_msec,
                                             &age, connection);

    } else {
        rc = ngx_http_intuit_connection_checked(wanted->provider->store,
                                                &wanted->id, ngx_current_msec,
                                                &age);
    }

    return (rc == NGX_OK && age <= limit) ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
ngx_http_intuit_share_park(ngx_http_request_t *r, ngx_http_intuit_ctx_t *ctx,
    const ngx_http_intuit_share_op_t *op,
    void (*resume)(ngx_http_request_t *r))
{
    ctx->share_what = op->what;
    ctx->share_id = op->id;
    ctx->share_rc = NGX_ERROR;

    if (ngx_http_intuit_park_until(r, ctx, &ctx->share_id,
                                   ngx_http_intuit_share_ready, resume)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    ctx->share_waits = 1;

    return NGX_OK;
}


static ngx_uint_t
ngx_http_intuit_share_ready(ngx_http_intuit_ctx_t *ctx)
{
    ngx_http_intuit_share_op_t  *op;

    op = ngx_http_intuit_share_find(ctx->share_what, &ctx->share_id);

    if (op == NULL) {
        return 1;
    }

    ctx->share_rc = op->rc;

    return op->done;
}


static ngx_queue_t *
ngx_http_intuit_share_queue(void)
{
    if (ngx_http_intuit_share_ops.next == NULL) {
        ngx_queue_init(&ngx_http_intuit_share_ops);
    }

    return &ngx_http_intuit_share_ops;
}


/* the latest of them */

static ngx_http_intuit_share_op_t *
ngx_http_intuit_share_find(ngx_uint_t what, const ngx_http_intuit_id_t *id)
{
    ngx_queue_t                 *q, *queue;
    ngx_http_intuit_share_op_t  *op;

    queue = ngx_http_intuit_share_queue();

    for (q = ngx_queue_head(queue);
         q != ngx_queue_sentinel(queue);
         q = ngx_queue_next(q))
    {
        op = ngx_queue_data(q, ngx_http_intuit_share_op_t, queue);

        if (op->what == what
            && ngx_memcmp(op->id.data, id->data, NGX_HTTP_INTUIT_ID_LEN) == 0)
        {
            return op;
        }
    }

    return NULL;
}


static ngx_http_intuit_share_op_t *
ngx_http_intuit_share_start(const ngx_http_intuit_share_op_t *wanted,
    ngx_http_intuit_step_pt step)
{
    ngx_pool_cleanup_t          *cln;
    ngx_http_intuit_job_t       *job;
    ngx_http_intuit_share_op_t  *op;

    job = ngx_http_intuit_job_create(wanted->provider, "store");
    if (job == NULL) {
        return NULL;
    }

    cln = ngx_pool_cleanup_add(job->pool, sizeof(ngx_http_intuit_share_op_t));
    if (cln == NULL) {
        ngx_http_intuit_job_discard(job);
        return NULL;
    }

    op = cln->data;
    *op = *wanted;
    op->begun = ngx_current_msec;
    op->rc = NGX_ERROR;

    if (op->session.len) {
        op->session.data = ngx_pstrdup(job->pool, &op->session);
        if (op->session.data == NULL) {
            ngx_http_intuit_job_discard(job);
            return NULL;
        }
    }

    /* with the job's memory, which whoever waits sees for the last time when
     * the job has ended */

    cln->handler = ngx_http_intuit_share_gone;
    ngx_queue_insert_head(ngx_http_intuit_share_queue(), &op->queue);

    job->data = op;
    job->step = step;
    job->done = ngx_http_intuit_share_done;
    job->wakes = &op->id;

    ngx_http_intuit_job_run(job);

    return op;
}


static void
ngx_http_intuit_share_done(ngx_http_intuit_job_t *job, ngx_int_t rc)
{
    ngx_http_intuit_share_op_t  *op;

    op = job->data;

    op->rc = (rc == NGX_OK) ? NGX_OK : NGX_ERROR;
    op->done = 1;

    ngx_intuit_cleanse(op->session.data, op->session.len);
}


static void
ngx_http_intuit_share_gone(void *data)
{
    ngx_http_intuit_share_op_t  *op = data;

    ngx_queue_remove(&op->queue);
}


ngx_int_t
ngx_http_intuit_share_put(ngx_http_request_t *r,
    ngx_http_intuit_provider_t *provider, const ngx_http_intuit_id_t *id,
    const ngx_http_intuit_login_t *login,
    void (*resume)(ngx_http_request_t *r))
{
    ngx_http_intuit_share_op_t  wanted;

    if (provider->redis == NULL) {
        return NGX_DECLINED;
    }

    ngx_memzero(&wanted, sizeof(ngx_http_intuit_share_op_t));

    wanted.what = NGX_HTTP_INTUIT_SHARE_PUT;
    wanted.provider = provider;
    wanted.id = *id;
    wanted.connection = login->connection;
    wanted.session = login->session;

    return ngx_http_intuit_share_wait(r, &wanted, ngx_http_intuit_share_write,
                                      resume);
}


ngx_int_t
ngx_http_intuit_share_end(ngx_http_request_t *r,
    ngx_http_intuit_provider_t *provider, const ngx_http_intuit_id_t *ids,
    ngx_uint_t n, void (*resume)(ngx_http_request_t *r))
{
    ngx_http_intuit_share_op_t  wanted;

    if (provider->redis == NULL || n == 0) {
        return NGX_DECLINED;
    }

    ngx_memzero(&wanted, sizeof(ngx_http_intuit_share_op_t));

    wanted.what = NGX_HTTP_INTUIT_SHARE_END;
    wanted.provider = provider;
    wanted.id = ids[0];
    wanted.n = ngx_min(n, NGX_HTTP_INTUIT_SHARE_ENDS);
    ngx_memcpy(wanted.ids, ids, wanted.n * sizeof(ngx_http_intuit_id_t));

    return ngx_http_intuit_share_wait(r, &wanted, ngx_http_intuit_share_remove,
                                      resume);
}


void
ngx_http_intuit_share_drop(ngx_http_intuit_provider_t *provider,
    const ngx_http_intuit_id_t *id)
{
    ngx_http_intuit_share_op_t  wanted;

    if (provider->redis == NULL) {
        return;
    }

    ngx_memzero(&wanted, sizeof(ngx_http_intuit_share_op_t));

    wanted.what = NGX_HTTP_INTUIT_SHARE_END;
    wanted.provider = provider;
    wanted.id = *id;
    wanted.ids[0] = *id;
    wanted.n = 1;

    (void) ngx_http_intuit_share_start(&wanted, ngx_http_intuit_share_remove);
}
