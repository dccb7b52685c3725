/*
 * Jobs.
 */

#include "ngx_http_intuit_job.h"


/* of the worker's connections one in so many is not for jobs */
#define NGX_HTTP_INTUIT_SPARE    4

/* more references than a job's subrequests can drop */
#define NGX_HTTP_INTUIT_PIN      1000


static void ngx_http_intuit_job_request(ngx_http_request_t *r);
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

    ngx_http_intuit_job_request(r);

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


/* A GET of nothing, that its subrequests begin with. */

static void
ngx_http_intuit_job_request(ngx_http_request_t *r)
{
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
