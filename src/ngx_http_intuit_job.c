/*
 * Jobs and parked requests.
 */

#include "ngx_http_intuit_job.h"


#define NGX_HTTP_INTUIT_POLL     20      /* ms */

/* of the worker's connections one in so many is not for jobs */
#define NGX_HTTP_INTUIT_SPARE    4

/* companies are told apart by so many numbers where their requests wait, and
 * so is what they wait for */
#define NGX_HTTP_INTUIT_SHARES   1021
#define NGX_HTTP_INTUIT_QUEUES   1021

/* how many are asked at a time for what other workers do */
#define NGX_HTTP_INTUIT_ASKED    512

/* more references than a job's subrequests can drop */
#define NGX_HTTP_INTUIT_PIN      1000


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


static void ngx_http_intuit_job_handler(ngx_event_t *ev);
static ngx_uint_t ngx_http_intuit_job_arrived(ngx_http_intuit_job_t *job);
static void ngx_http_intuit_job_drive(ngx_http_intuit_job_t *job);
static void ngx_http_intuit_job_end(ngx_http_intuit_job_t *job, ngx_int_t rc);
static void ngx_http_intuit_job_poll(ngx_event_t *ev);
static void ngx_http_intuit_job_timeout(ngx_event_t *ev);
static void ngx_http_intuit_job_reap(ngx_event_t *ev);
static void ngx_http_intuit_job_event(ngx_event_t *ev);
static u_char *ngx_http_intuit_job_log_error(ngx_log_t *log, u_char *buf,
    size_t len);
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


ngx_http_intuit_job_t *
ngx_http_intuit_job_create(ngx_http_intuit_provider_t *provider,
    const char *name)
{
    ngx_connection_t       *c;
    ngx_http_request_t     *r;
    ngx_http_intuit_job_t  *job;

    /* clients leave and their jobs stay: others need connections as well */

    if (ngx_cycle->free_connection_n + ngx_cycle->reusable_connections_n
        < ngx_cycle->connection_n / NGX_HTTP_INTUIT_SPARE)
    {
        ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                      "intuit %s job is refused: worker_connections are "
                      "nearly used up", name);
        return NULL;
    }

    job = ngx_calloc(sizeof(ngx_http_intuit_job_t), ngx_cycle->log);
    if (job == NULL) {
        return NULL;
    }

    job->provider = provider;
    job->name = name;

    job->log_data = *ngx_cycle->log;
    job->log = &job->log_data;
    job->log->handler = ngx_http_intuit_job_log_error;
    job->log->data = &job->log_ctx;
    job->log->action = NULL;
    job->log_ctx.job = job;

    c = ngx_get_connection(0, job->log);
    if (c == NULL) {
        ngx_free(job);
        return NULL;
    }

    /* there is no socket: nothing may ever close descriptor 0 */
    c->fd = (ngx_socket_t) -1;

    job->connection = c;
    job->log->connection = c->number;
    job->log_ctx.http.connection = c;

    c->log = job->log;
    c->read->log = job->log;
    c->write->log = job->log;
    c->read->handler = ngx_http_intuit_job_event;
    c->write->handler = ngx_http_intuit_job_event;

    /* so that nothing tries to add the missing socket to the event loop */
    c->read->active = 1;
    c->write->active = 1;
    c->write->ready = 1;

    job->hc.conf_ctx = provider->fetch_conf;
    c->data = &job->hc;

    r = ngx_http_create_request(c);
    if (r == NULL) {
        ngx_free_connection(c);
        ngx_free(job);
        return NULL;
    }

    job->request = r;
    job->pool = r->pool;
    c->data = r;
    c->pool = r->pool;

    r->method = NGX_HTTP_GET;
    r->method_name = ngx_http_core_get_method;
    r->http_version = NGX_HTTP_VERSION_11;
    ngx_str_set(&r->http_protocol, "HTTP/1.1");
    ngx_str_set(&r->uri, "/");
    r->unparsed_uri = r->uri;
    r->read_event_handler = ngx_http_block_reading;
    r->write_event_handler = ngx_http_request_empty_handler;

    /*
     * Where core has no memory it ends a request, and closes its socket.  There
     * is none, and the request goes with its job.
     */
    r->blocked = 1;

    /* a job is no request of anybody's: nothing is written to access_log */
    r->logged = 1;

    ngx_str_set(&c->addr_text, "internal");

    if (ngx_list_init(&r->headers_in.headers, r->pool, 1,
                      sizeof(ngx_table_elt_t))
        != NGX_OK)
    {
        ngx_http_intuit_job_discard(job);
        return NULL;
    }

    return job;
}


ngx_msec_t
ngx_http_intuit_job_deadline(const ngx_http_intuit_provider_t *provider)
{
    ngx_msec_t  deadline;

    /* to connect, to send, to read */

    deadline = 2 * provider->connect_timeout + provider->read_timeout;

    if (provider->redis) {
        /* what is asked of a store before that */
        deadline += 2 * ngx_http_intuit_redis_deadline(provider->redis);
    }

    return deadline;
}


void
ngx_http_intuit_job_run(ngx_http_intuit_job_t *job)
{
    job->deadline.handler = ngx_http_intuit_job_timeout;
    job->deadline.data = job;
    job->deadline.log = job->log;

    ngx_add_timer(&job->deadline, ngx_http_intuit_job_deadline(job->provider));

    ngx_http_intuit_job_drive(job);
}


ngx_int_t
ngx_http_intuit_job_wait(ngx_http_intuit_job_t *job)
{
    return ngx_http_intuit_job_wait_for(job, NGX_HTTP_INTUIT_POLL);
}


ngx_int_t
ngx_http_intuit_job_wait_for(ngx_http_intuit_job_t *job, ngx_msec_t msec)
{
    job->waiting = 1;

    job->poll.handler = ngx_http_intuit_job_poll;
    job->poll.data = job;
    job->poll.log = job->log;

    ngx_add_timer(&job->poll, msec);

    return NGX_AGAIN;
}


void
ngx_http_intuit_job_hold(ngx_http_intuit_job_t *job)
{
    if (job->deadline.timer_set) {
        ngx_del_timer(&job->deadline);
    }
}


void
ngx_http_intuit_job_go_on(ngx_http_intuit_job_t *job)
{
    if (!job->ended) {
        ngx_add_timer(&job->deadline,
                      ngx_http_intuit_job_deadline(job->provider));
    }
}


void
ngx_http_intuit_job_discard(ngx_http_intuit_job_t *job)
{
    job->reap.data = job;
    ngx_http_intuit_job_reap(&job->reap);
}


ngx_http_intuit_job_t *
ngx_http_intuit_job_of(ngx_http_request_t *r)
{
    ngx_log_t  *log;

    log = r->connection->log;

    if (log->handler != ngx_http_intuit_job_log_error) {
        return NULL;
    }

    return ((ngx_http_intuit_job_log_ctx_t *) log->data)->job;
}


void
ngx_http_intuit_job_arrives(ngx_http_request_t *sr)
{
    ngx_http_intuit_job_t  *job;

    job = ngx_http_intuit_job_of(sr);

    if (job == NULL || job->driving || job->ended) {
        return;
    }

    job->arrives.handler = ngx_http_intuit_job_handler;
    job->arrives.data = job;
    job->arrives.log = job->log;

    ngx_post_event(&job->arrives, &ngx_posted_events);
}


static void
ngx_http_intuit_job_handler(ngx_event_t *ev)
{
    ngx_http_intuit_job_t  *job;

    job = ev->data;

    if (ngx_http_intuit_job_arrived(job)) {
        ngx_http_intuit_job_drive(job);
    }
}


/* 1: what the step has begun is over */

static ngx_uint_t
ngx_http_intuit_job_arrived(ngx_http_intuit_job_t *job)
{
    if (job->waiting) {
        return 0;
    }

    return job->asking ? job->ask->done : (job->fetch && job->fetch->done);
}


static void
ngx_http_intuit_job_drive(ngx_http_intuit_job_t *job)
{
    ngx_int_t                rc;
    ngx_http_intuit_step_pt  step;

    if (job->driving) {
        /* a fetch ended inside the step that started it */
        return;
    }

    for ( ;; ) {

        if (job->ended) {
            return;
        }

        step = job->step;
        job->step = NULL;
        job->asking = 0;

        /* what core had to say of the one before is known */
        job->connection->error = 0;

        job->driving = 1;
        rc = step(job);
        job->driving = 0;

        if (rc == NGX_AGAIN) {

            if (ngx_http_intuit_job_arrived(job)) {
                continue;
            }

            return;
        }

        if (rc != NGX_OK || job->step == NULL) {
            ngx_http_intuit_job_end(job, rc);
            return;
        }
    }
}


static void
ngx_http_intuit_job_end(ngx_http_intuit_job_t *job, ngx_int_t rc)
{
    job->ended = 1;

    if (job->deadline.timer_set) {
        ngx_del_timer(&job->deadline);
    }

    if (job->poll.timer_set) {
        ngx_del_timer(&job->poll);
    }

    if (job->arrives.posted) {
        ngx_delete_posted_event(&job->arrives);
    }

    if (job->done) {
        job->done(job, rc);
    }

    ngx_http_intuit_wake(job->wakes);

    /* callers up the stack still use the request */

    job->reap.handler = ngx_http_intuit_job_reap;
    job->reap.data = job;
    job->reap.log = ngx_cycle->log;

    ngx_post_event(&job->reap, &ngx_posted_events);
}


static void
ngx_http_intuit_job_poll(ngx_event_t *ev)
{
    ngx_http_intuit_job_t  *job;

    job = ev->data;
    job->waiting = 0;

    ngx_http_intuit_job_drive(job);
}


static void
ngx_http_intuit_job_timeout(ngx_event_t *ev)
{
    ngx_http_request_t     *r;
    ngx_http_cleanup_t     *cln;
    ngx_http_intuit_job_t  *job;

    job = ev->data;
    r = job->request;

    ngx_log_error(NGX_LOG_ERR, job->log, NGX_ETIMEDOUT,
                  "intuit job took longer than %M ms",
                  ngx_http_intuit_job_deadline(job->provider));

    /*
     * Closing the upstream drops a reference; the request must outlive that,
     * because the reaper frees it.
     */

    r->count += NGX_HTTP_INTUIT_PIN;

    ngx_http_intuit_fetch_abort(job);

    cln = r->cleanup;
    r->cleanup = NULL;

    while (cln) {
        if (cln->handler) {
            cln->handler(cln->data);
        }

        cln = cln->next;
    }

    ngx_http_intuit_job_end(job, NGX_ERROR);
}


static void
ngx_http_intuit_job_reap(ngx_event_t *ev)
{
    ngx_connection_t       *c;
    ngx_http_intuit_job_t  *job;

    job = ev->data;
    c = job->connection;

    job->request->count = 1;
    ngx_http_free_request(job->request, 0);

    if (c->read->timer_set) {
        ngx_del_timer(c->read);
    }

    if (c->write->timer_set) {
        ngx_del_timer(c->write);
    }

    if (c->read->posted) {
        ngx_delete_posted_event(c->read);
    }

    if (c->write->posted) {
        ngx_delete_posted_event(c->write);
    }

    c->pool = NULL;
    c->destroyed = 1;

    ngx_free_connection(c);

    ngx_free(job);
}


static void
ngx_http_intuit_job_event(ngx_event_t *ev)
{
    /* there is no socket that could become ready */
    (void) ev;
}


static u_char *
ngx_http_intuit_job_log_error(ngx_log_t *log, u_char *buf, size_t len)
{
    u_char                         *p;
    ngx_http_intuit_job_t          *job;
    ngx_http_intuit_job_log_ctx_t  *ctx;

    ctx = log->data;
    job = ctx->job;

    if (log->action) {
        p = ngx_snprintf(buf, len, " while %s", log->action);
        len -= p - buf;
        buf = p;
    }

    p = ngx_snprintf(buf, len, ", intuit job: %s, provider: \"%V\"",
                     job->name, &job->provider->name);

    if (job->asking) {
        len -= p - buf;
        buf = p;
        p = ngx_snprintf(buf, len, ", store");

    } else if (job->fetch) {
        len -= p - buf;
        buf = p;
        p = ngx_snprintf(buf, len, ", endpoint: \"%V\"", &job->fetch->url);
    }

    return p;
}


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
