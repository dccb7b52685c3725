/*
 * Jobs: requests of the module's own, without a client.
 *
 * Every call to Intuit runs in a job, so that a client may leave at any
 * moment, over any HTTP version, without anything being lost.  A flow is a
 * chain of steps; each step names its successor before it returns:
 *
 *     job->step = ngx_http_intuit_callback_tokens;
 *     return ngx_http_intuit_fetch(job, &request);
 *
 * What a step returns:
 *   NGX_OK        done now: the successor runs at once; without a successor
 *                 the job has succeeded
 *   NGX_AGAIN     pending: the successor runs when the fetch has ended
 *   NGX_DECLINED  the job ends with a definite no
 *   NGX_ERROR     the job ends without an answer
 *
 * The job's memory is job->pool; it is destroyed after `done` was called.
 */

#ifndef _NGX_HTTP_INTUIT_JOB_H_INCLUDED_
#define _NGX_HTTP_INTUIT_JOB_H_INCLUDED_


#include "ngx_http_intuit_auth_module.h"
#include "ngx_http_intuit_fetch.h"
#include "ngx_http_intuit_redis.h"


/* ms between two looks at what another job, or another worker, does */
#define NGX_HTTP_INTUIT_POLL     20


typedef ngx_int_t (*ngx_http_intuit_step_pt)(ngx_http_intuit_job_t *job);
typedef void (*ngx_http_intuit_done_pt)(ngx_http_intuit_job_t *job,
    ngx_int_t rc);

typedef struct {
    ngx_http_log_ctx_t            http;       /* first: nginx reads it */
    ngx_http_intuit_job_t        *job;
} ngx_http_intuit_job_log_ctx_t;

typedef struct ngx_http_intuit_save_s  ngx_http_intuit_save_t;

struct ngx_http_intuit_job_s {
    ngx_http_intuit_step_pt       step;
    ngx_http_intuit_done_pt       done;       /* called once, may be NULL */
    void                         *data;       /* the flow's own */
    ngx_http_intuit_provider_t   *provider;
    const char                   *name;       /* for log lines */
    ngx_pool_t                   *pool;
    ngx_log_t                    *log;
    ngx_http_intuit_fetch_t      *fetch;      /* the running or last one */
    ngx_http_intuit_redis_ask_t  *ask;        /* the same, of a store */
    ngx_http_intuit_save_t       *save;       /* the same */
    const ngx_http_intuit_id_t   *wakes;      /* who waits for this; NULL:
                                               * whoever waits */

    /* private to ngx_http_intuit_job.c */
    ngx_connection_t             *connection;
    ngx_http_request_t           *request;
    ngx_http_connection_t         hc;
    ngx_log_t                     log_data;
    ngx_http_intuit_job_log_ctx_t log_ctx;
    ngx_event_t                   deadline;
    ngx_event_t                   poll;
    ngx_event_t                   arrives;
    ngx_event_t                   reap;
    unsigned                      waiting:1;
    unsigned                      asking:1;   /* for ask, not for fetch */
    unsigned                      ended:1;
    unsigned                      driving:1;
};


/*
 * A job with its pool; the caller sets step, done and data and then runs it.
 * NULL: no memory, or few free connections.
 */
ngx_http_intuit_job_t *ngx_http_intuit_job_create(
    ngx_http_intuit_provider_t *provider, const char *name);

/*
 * Starts the steps under the job's total deadline.  done may be called
 * before this returns.
 */
void ngx_http_intuit_job_run(ngx_http_intuit_job_t *job);

/*
 * For a step that waits for another job of this worker: the successor runs
 * in a moment and looks again.  The step returns what this returns.
 */
ngx_int_t ngx_http_intuit_job_wait(ngx_http_intuit_job_t *job);

/* The same, and not so soon: each look takes memory of the job's pool. */
ngx_int_t ngx_http_intuit_job_wait_for(ngx_http_intuit_job_t *job,
    ngx_msec_t msec);

/* For a job that has all it came for, and must not be cut off from now on. */
void ngx_http_intuit_job_hold(ngx_http_intuit_job_t *job);

/* For one that has got more to do: its whole time begins anew. */
void ngx_http_intuit_job_go_on(ngx_http_intuit_job_t *job);

/* Frees a job that was created but not run. */
void ngx_http_intuit_job_discard(ngx_http_intuit_job_t *job);

/* The longest time a job of this provider may take, in milliseconds. */
ngx_msec_t ngx_http_intuit_job_deadline(
    const ngx_http_intuit_provider_t *provider);

/* The job a request belongs to; NULL: it is a client's. */
ngx_http_intuit_job_t *ngx_http_intuit_job_of(ngx_http_request_t *r);

/*
 * For a handler of a subrequest's end: what the job's step has begun is over,
 * and it goes on as soon as core is through with the subrequest.  That does not
 * wait for core to post the job's request, which takes memory.
 */
void ngx_http_intuit_job_arrives(ngx_http_request_t *sr);


/* -- parked requests ---------------------------------------------------- */

/* 1: what the request waits for has come. */
typedef ngx_uint_t (*ngx_http_intuit_ready_pt)(ngx_http_intuit_ctx_t *ctx);
typedef void (*ngx_http_intuit_resume_pt)(ngx_http_request_t *r);

/*
 * Parks a client's request: resume is called from the event loop once ready
 * says so (asked when a job of this worker ends, and every 20 ms, or less often
 * if there are many, for what other workers do).  The client may leave
 * meanwhile.  The caller returns NGX_AGAIN from a phase handler, or NGX_DONE
 * after r->main->count++ from a content handler.  NGX_OK, or NGX_DECLINED: too
 * many are waiting, in all or for this company.
 */
ngx_int_t ngx_http_intuit_park(ngx_http_request_t *r,
    ngx_http_intuit_ctx_t *ctx, ngx_http_intuit_ready_pt ready,
    ngx_http_intuit_resume_pt resume);

/* The same, for what has this id: other jobs that have one leave it alone. */
ngx_int_t ngx_http_intuit_park_until(ngx_http_request_t *r,
    ngx_http_intuit_ctx_t *ctx, const ngx_http_intuit_id_t *id,
    ngx_http_intuit_ready_pt ready, ngx_http_intuit_resume_pt resume);

/* The same, for a time; nobody is asked. */
ngx_int_t ngx_http_intuit_park_for(ngx_http_request_t *r,
    ngx_http_intuit_ctx_t *ctx, ngx_msec_t msec,
    ngx_http_intuit_resume_pt resume);

/* Calls resume from the event loop, and at once, for a request that must not be
 * touched where it is now.  The client may leave meanwhile. */
void ngx_http_intuit_defer(ngx_http_request_t *r, ngx_http_intuit_ctx_t *ctx,
    ngx_http_intuit_resume_pt resume);

/* Takes a leaving request out (called by the context's pool cleanup). */
void ngx_http_intuit_unpark(ngx_http_intuit_ctx_t *ctx);

/* Asks the parked requests of this worker that may wait for it whether they are
 * ready; id NULL: all. */
void ngx_http_intuit_wake(const ngx_http_intuit_id_t *id);


#endif /* _NGX_HTTP_INTUIT_JOB_H_INCLUDED_ */
