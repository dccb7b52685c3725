/*
 * Refreshing a connection: before its access token expires, or because it
 * has.
 */

#ifndef _NGX_HTTP_INTUIT_REFRESH_H_INCLUDED_
#define _NGX_HTTP_INTUIT_REFRESH_H_INCLUDED_


#include "ngx_http_intuit_discovery.h"
#include "ngx_http_intuit_state.h"


/*
 * Starts a refresh if the connection (as loaded, with its generation) needs
 * one and nobody else is at it (*started: this call did).  Sets *id to the
 * connection's.
 *
 *   NGX_OK        the current token serves, use it
 *   NGX_AGAIN     it has expired and is being refreshed: wait until the
 *                 connection's generation moves or its lease is given back
 *   NGX_DECLINED  it has ended: somebody has to consent again
 *   NGX_ERROR     it has expired and cannot be refreshed just now: 503
 */
ngx_int_t ngx_http_intuit_refresh(ngx_http_intuit_provider_t *provider,
    const ngx_intuit_connection_t *c, uint64_t generation,
    ngx_http_intuit_id_t *id, ngx_uint_t *started);

/*
 * Refreshes the current pair, or the spare one, however long its access token
 * lasts.  NGX_OK: the job has begun (and may be over); NGX_DECLINED: somebody
 * else is at it, or there is no such connection; NGX_ERROR: it cannot be
 * started.
 */
ngx_int_t ngx_http_intuit_refresh_start(ngx_http_intuit_provider_t *provider,
    const ngx_http_intuit_id_t *id, uint64_t generation, ngx_uint_t spare);

/* 1: the spare pair may be refreshed; it has not failed a moment ago. */
ngx_uint_t ngx_http_intuit_refresh_spare_allowed(
    ngx_http_intuit_provider_t *provider, const ngx_intuit_connection_t *c,
    time_t now);

/* Seconds to wait, because the connection or the provider has failed too
 * short a time ago; 0: none. */
time_t ngx_http_intuit_refresh_after(
    const ngx_http_intuit_provider_t *provider,
    const ngx_intuit_connection_t *c, time_t now);

/*
 * 1: the pair was received in the future, by a clock that has been set back
 * since; nothing that is known of its end can be relied on.
 */
ngx_uint_t ngx_http_intuit_refresh_unreal(const ngx_intuit_pair_t *pair,
    time_t now);

/*
 * For a client's request, in a phase handler whose phase goes on with
 * ngx_http_core_run_phases: waits where that helps, and loads what came.
 *
 *   NGX_OK        view's token serves
 *   NGX_AGAIN     parked: return it; the handler is called again
 *   NGX_DECLINED  the connection has ended
 *   NGX_ERROR     no token just now
 *   NGX_BUSY      too many are waiting
 */
ngx_int_t ngx_http_intuit_refresh_view(ngx_http_request_t *r,
    ngx_http_intuit_ctx_t *ctx, ngx_http_intuit_view_t *view);

/*
 * For a client's request, in a content handler: refreshes view's connection,
 * once a minute at most, and then calls answer.  NGX_AGAIN: parked, and it
 * will finalize the request; else what ngx_http_finalize_request() takes.
 */
ngx_int_t ngx_http_intuit_refresh_by_hand(ngx_http_request_t *r,
    ngx_http_intuit_ctx_t *ctx, ngx_http_intuit_view_t *view,
    ngx_http_intuit_answer_pt answer);

/* Loads a view's connection once more.  NGX_OK, NGX_DECLINED, NGX_ERROR. */
ngx_int_t ngx_http_intuit_refresh_reload(ngx_http_request_t *r,
    ngx_http_intuit_view_t *view);

/* For a request that is parked: ctx->connection has moved on from
 * ctx->generation, or nobody is at it any more. */
ngx_uint_t ngx_http_intuit_refresh_ready(ngx_http_intuit_ctx_t *ctx);


/* -- between the files of the job ---------------------------------------- */

typedef enum {
    NGX_HTTP_INTUIT_REFRESH_NONE = 0,
    NGX_HTTP_INTUIT_REFRESH_OVER,          /* somebody else was faster */
    NGX_HTTP_INTUIT_REFRESH_RENEWED,       /* with tokens */
    NGX_HTTP_INTUIT_REFRESH_LATER,
    NGX_HTTP_INTUIT_REFRESH_DEAD           /* the pair, for good */
} ngx_http_intuit_refresh_result_e;

typedef struct {
    ngx_http_intuit_id_t              id;
    u_char                            owner[NGX_HTTP_INTUIT_LEASE_LEN];
    uint64_t                          generation;
    ngx_intuit_connection_t           connection;   /* as loaded last */
    ngx_intuit_pair_t                 sent;         /* ... before that, the
                                                     * one to refresh */
    ngx_intuit_endpoints_t            endpoints;

    ngx_http_intuit_refresh_result_e  result;
    ngx_intuit_tokens_t               tokens;
    time_t                            received;
    const char                       *error;
    ngx_str_t                         tid;

    ngx_http_intuit_save_t            save;

    ngx_msec_t                        busy;         /* since when */
    unsigned                          spare:1;      /* it is the spare one */
    unsigned                          abandoned:1;  /* by the last owner */
    unsigned                          maybe_sent:1;
    unsigned                          saved:1;
    unsigned                          noted:1;      /* in the store */
    unsigned                          unsaved:1;    /* and it was said */
} ngx_http_intuit_refresh_ctx_t;

/*
 * Brings the result into the store: a step.  NGX_OK: saved, or of no use any
 * more; NGX_AGAIN: no room, the step comes again; NGX_DECLINED: there is no
 * connection any more; NGX_ERROR.
 */
ngx_int_t ngx_http_intuit_refresh_save(ngx_http_intuit_job_t *job);

/* Brings what has arrived into one of the connection's pairs. */
void ngx_http_intuit_refresh_renewed(ngx_http_intuit_job_t *job,
    ngx_intuit_connection_t *c, ngx_intuit_pair_t *pair);

/* Notes what has arrived in the store, before it is in its file. */
void ngx_http_intuit_refresh_note(ngx_http_intuit_job_t *job);

/* Saves what was noted by one who was killed: a step. */
ngx_int_t ngx_http_intuit_refresh_resume(ngx_http_intuit_job_t *job);

/* Puts the provider's other refreshes off as well, if it is the provider; and
 * that of a spare pair for an hour, as there is time. */
void ngx_http_intuit_refresh_hold(ngx_http_intuit_job_t *job);


#endif /* _NGX_HTTP_INTUIT_REFRESH_H_INCLUDED_ */
