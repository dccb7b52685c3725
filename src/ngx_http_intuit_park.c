/*
 * Parked requests.
 */

#include "ngx_http_intuit_job.h"


/* companies are told apart by so many numbers where their requests wait, and
 * so is what they wait for */
#define NGX_HTTP_INTUIT_SHARES   1021
#define NGX_HTTP_INTUIT_QUEUES   1021

/* how many are asked at a time for what other workers do */
#define NGX_HTTP_INTUIT_ASKED    512


typedef struct {
    ngx_queue_t                 queues[NGX_HTTP_INTUIT_QUEUES];
                                              /* of ctx->waiting; the first:
                                               * for anything */
    ngx_event_t                 timer;
    ngx_uint_t                  next;         /* queue that is asked */
    ngx_uint_t                  queued;
    ngx_uint_t                  n;
    ngx_uint_t                  shares[NGX_HTTP_INTUIT_SHARES];
    unsigned                    initialized:1;
} ngx_http_intuit_parking_t;


static ngx_int_t ngx_http_intuit_parking_enter(ngx_http_request_t *r,
    ngx_http_intuit_ctx_t *ctx, ngx_http_intuit_resume_pt resume);
static ngx_uint_t *ngx_http_intuit_parking_share(ngx_http_intuit_ctx_t *ctx);
static void ngx_http_intuit_parking_resumes(ngx_http_request_t *r,
    ngx_http_intuit_ctx_t *ctx, ngx_http_intuit_resume_pt resume);
static ngx_uint_t ngx_http_intuit_parking_places(void);
static ngx_queue_t *ngx_http_intuit_parking_queue(
    const ngx_http_intuit_id_t *id);
static ngx_uint_t ngx_http_intuit_parking_ask(ngx_queue_t *queue);
static void ngx_http_intuit_parking_init(void);
static void ngx_http_intuit_parking_timer(ngx_event_t *ev);
static void ngx_http_intuit_parking_wake(ngx_event_t *ev);


/* one a worker */
static ngx_http_intuit_parking_t  ngx_http_intuit_parking;


ngx_int_t
ngx_http_intuit_park(ngx_http_request_t *r, ngx_http_intuit_ctx_t *ctx,
    ngx_http_intuit_ready_pt ready, ngx_http_intuit_resume_pt resume)
{
    return ngx_http_intuit_park_until(r, ctx, NULL, ready, resume);
}


ngx_int_t
ngx_http_intuit_park_until(ngx_http_request_t *r, ngx_http_intuit_ctx_t *ctx,
    const ngx_http_intuit_id_t *id, ngx_http_intuit_ready_pt ready,
    ngx_http_intuit_resume_pt resume)
{
    ngx_http_intuit_parking_t  *parking;

    parking = &ngx_http_intuit_parking;

    ngx_http_intuit_parking_init();

    if (ngx_http_intuit_parking_enter(r, ctx, resume) != NGX_OK) {
        return NGX_DECLINED;
    }

    ctx->ready = ready;
    parking->queued++;

    ngx_queue_insert_tail(ngx_http_intuit_parking_queue(id), &ctx->waiting);

    if (!parking->timer.timer_set) {
        ngx_add_timer(&parking->timer, NGX_HTTP_INTUIT_POLL);
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_intuit_park_for(ngx_http_request_t *r, ngx_http_intuit_ctx_t *ctx,
    ngx_msec_t msec, ngx_http_intuit_resume_pt resume)
{
    if (ngx_http_intuit_parking_enter(r, ctx, resume) != NGX_OK) {
        return NGX_DECLINED;
    }

    /* in no queue */

    ctx->ready = NULL;

    ngx_queue_init(&ctx->waiting);
    ngx_add_timer(&ctx->wake, msec);

    return NGX_OK;
}


static ngx_int_t
ngx_http_intuit_parking_enter(ngx_http_request_t *r,
    ngx_http_intuit_ctx_t *ctx, ngx_http_intuit_resume_pt resume)
{
    ngx_uint_t  *share;

    share = ngx_http_intuit_parking_share(ctx);

    /*
     * Nobody has more places than are free: with one company that is half of
     * them, with two a third each, and the next one always finds some.
     */

    if (*share + ngx_http_intuit_parking.n
        >= ngx_http_intuit_parking_places())
    {
        return NGX_DECLINED;
    }

    ngx_http_intuit_parking_resumes(r, ctx, resume);

    ctx->parked = 1;
    ctx->share = share;

    (*share)++;
    ngx_http_intuit_parking.n++;

    r->read_event_handler = ngx_http_test_reading;
    r->write_event_handler = ngx_http_request_empty_handler;

    return NGX_OK;
}


/* a request that waits has a connection, and its job two more */

static ngx_uint_t
ngx_http_intuit_parking_places(void)
{
    return ngx_max(NGX_HTTP_INTUIT_WAITERS_MIN, ngx_cycle->connection_n / 2);
}


/* what is of no company is as of one */

static ngx_uint_t *
ngx_http_intuit_parking_share(ngx_http_intuit_ctx_t *ctx)
{
    ngx_str_t                realm;
    ngx_http_intuit_view_t  *view;

    view = ctx->api ? ctx->api : ctx->auth;

    ngx_str_null(&realm);

    if (view) {
        realm = view->loaded.connection.realm;
    }

    return &ngx_http_intuit_parking.shares[ngx_crc32_short(realm.data,
                                                           realm.len)
                                           % NGX_HTTP_INTUIT_SHARES];
}


void
ngx_http_intuit_defer(ngx_http_request_t *r, ngx_http_intuit_ctx_t *ctx,
    ngx_http_intuit_resume_pt resume)
{
    ngx_http_intuit_parking_resumes(r, ctx, resume);

    ngx_post_event(&ctx->wake, &ngx_posted_events);
}


static void
ngx_http_intuit_parking_resumes(ngx_http_request_t *r,
    ngx_http_intuit_ctx_t *ctx, ngx_http_intuit_resume_pt resume)
{
    ctx->request = r;
    ctx->resume = resume;

    ctx->wake.handler = ngx_http_intuit_parking_wake;
    ctx->wake.data = ctx;
    ctx->wake.log = r->connection->log;
}


void
ngx_http_intuit_unpark(ngx_http_intuit_ctx_t *ctx)
{
    if (ctx->wake.timer_set) {
        ngx_del_timer(&ctx->wake);
    }

    if (ctx->parked) {
        ctx->parked = 0;
        ngx_queue_remove(&ctx->waiting);

        if (ctx->ready) {
            ngx_http_intuit_parking.queued--;
        }

        (*ctx->share)--;
        ngx_http_intuit_parking.n--;
    }

    if (ctx->wake.posted) {
        ngx_delete_posted_event(&ctx->wake);
    }
}


/*
 * Of ten thousand logins each that ends must not have all others asked.  What
 * waits for nothing in particular is asked each time.
 */

void
ngx_http_intuit_wake(const ngx_http_intuit_id_t *id)
{
    ngx_uint_t                  i;
    ngx_http_intuit_parking_t  *parking;

    parking = &ngx_http_intuit_parking;

    ngx_http_intuit_parking_init();

    if (id) {
        (void) ngx_http_intuit_parking_ask(&parking->queues[0]);
        (void) ngx_http_intuit_parking_ask(ngx_http_intuit_parking_queue(id));
        return;
    }

    for (i = 0; i < NGX_HTTP_INTUIT_QUEUES && parking->queued; i++) {
        (void) ngx_http_intuit_parking_ask(&parking->queues[i]);
    }
}


/* identifiers are hashes: their first bytes will do */

static ngx_queue_t *
ngx_http_intuit_parking_queue(const ngx_http_intuit_id_t *id)
{
    uint32_t  n;

    if (id == NULL) {
        return &ngx_http_intuit_parking.queues[0];
    }

    ngx_memcpy(&n, id->data, sizeof(uint32_t));

    return &ngx_http_intuit_parking.queues[1
                                           + n % (NGX_HTTP_INTUIT_QUEUES - 1)];
}


/* Returns how many were asked. */

static ngx_uint_t
ngx_http_intuit_parking_ask(ngx_queue_t *queue)
{
    ngx_uint_t              n;
    ngx_queue_t            *q, *next;
    ngx_http_intuit_ctx_t  *ctx;

    n = 0;

    for (q = ngx_queue_head(queue); q != ngx_queue_sentinel(queue); q = next) {

        next = ngx_queue_next(q);

        ctx = ngx_queue_data(q, ngx_http_intuit_ctx_t, waiting);
        n++;

        if (ctx->ready(ctx)) {
            ngx_http_intuit_unpark(ctx);
            ngx_post_event(&ctx->wake, &ngx_posted_events);
        }
    }

    return n;
}


static void
ngx_http_intuit_parking_init(void)
{
    ngx_uint_t                  i;
    ngx_http_intuit_parking_t  *parking;

    parking = &ngx_http_intuit_parking;

    if (parking->initialized) {
        return;
    }

    for (i = 0; i < NGX_HTTP_INTUIT_QUEUES; i++) {
        ngx_queue_init(&parking->queues[i]);
    }

    parking->timer.handler = ngx_http_intuit_parking_timer;
    parking->timer.data = parking;
    parking->timer.log = ngx_cycle->log;
    parking->initialized = 1;
}


static void
ngx_http_intuit_parking_timer(ngx_event_t *ev)
{
    ngx_uint_t                  i, n;
    ngx_http_intuit_parking_t  *parking;

    parking = ev->data;
    n = 0;

    for (i = 0;
         i < NGX_HTTP_INTUIT_QUEUES && n < NGX_HTTP_INTUIT_ASKED;
         i++)
    {
        n += ngx_http_intuit_parking_ask(&parking->queues[parking->next]);
        parking->next = (parking->next + 1) % NGX_HTTP_INTUIT_QUEUES;
    }

    if (parking->queued) {
        ngx_add_timer(ev, NGX_HTTP_INTUIT_POLL);
    }
}


static void
ngx_http_intuit_parking_wake(ngx_event_t *ev)
{
    ngx_connection_t       *c;
    ngx_http_request_t     *r;
    ngx_http_intuit_ctx_t  *ctx;

    ctx = ev->data;
    r = ctx->request;
    c = r->connection;

    ngx_http_set_log_request(c->log, r);

    ngx_http_intuit_unpark(ctx);

    r->read_event_handler = ngx_http_block_reading;

    ctx->resume(r);

    ngx_http_run_posted_requests(c);
}
