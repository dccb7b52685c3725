/*
 * Sessions and connections that several hosts share in a Redis or Valkey
 * server.
 *
 * The shared zone stays what all flows work with, under one lock and without
 * waiting.  It is a copy of what is in the store, of at most a second's age:
 *
 *   - before a request's session or company is looked up, what is older is
 *     read again, once for all requests of a worker that ask for it at the
 *     same time;
 *   - what is made or changed is written to the store before its client is
 *     answered, or (a connection) before anybody uses it;
 *   - a refresh holds a lease in the store, besides that of the zone: for one
 *     owner, and for longer than its job can take, by the store's own clock.
 *     Connections are compared and set: the number in front of each is one
 *     more than that of what was replaced, so who was overtaken writes nothing.
 *
 * A connection that the store does not have, or only older than it was known
 * to be, is written again: a failover has lost it.  A session that it does not
 * have is over.  While the store cannot be asked, a session of this host
 * goes on for NGX_HTTP_INTUIT_SHARE_STALE; what is written is kept, and
 * written when it can be.
 */

#ifndef _NGX_HTTP_INTUIT_SHARE_H_INCLUDED_
#define _NGX_HTTP_INTUIT_SHARE_H_INCLUDED_


#include "ngx_http_intuit_redis_conf.h"
#include "ngx_intuit_shared.h"


#define NGX_HTTP_INTUIT_SHARE_AGE    900      /* ms: read again after that */
#define NGX_HTTP_INTUIT_SHARE_STALE  60000    /* ms: without the store */
#define NGX_HTTP_INTUIT_SHARE_ENDS   8        /* sessions at once */
#define NGX_HTTP_INTUIT_SHARE_ARGS   2        /* of a script */

/* what is done, for ctx->share_what */
#define NGX_HTTP_INTUIT_SHARE_SESSION     1
#define NGX_HTTP_INTUIT_SHARE_CONNECTION  2
#define NGX_HTTP_INTUIT_SHARE_PUT         3
#define NGX_HTTP_INTUIT_SHARE_END         4


/* one exchange or two with the store, in a job of its own */
typedef struct {
    ngx_queue_t                   queue;      /* of this worker's */
    ngx_uint_t                    what;
    ngx_http_intuit_id_t          id;
    ngx_http_intuit_provider_t   *provider;
    ngx_http_intuit_id_t          connection; /* of a session */
    ngx_str_t                     session;    /* encoded */
    ngx_msec_t                    begun;
    time_t                        expires;
    ngx_http_intuit_id_t          ids[NGX_HTTP_INTUIT_SHARE_ENDS];
    ngx_uint_t                    n;
    ngx_int_t                     rc;
    unsigned                      done:1;
} ngx_http_intuit_share_op_t;


/* PREACCESS, last: what the flows will look up is brought into the zone. */
ngx_int_t ngx_http_intuit_share_handler(ngx_http_request_t *r);

/* Whose session that was, for this provider; NULL: it was not asked. */
const ngx_http_intuit_id_t *ngx_http_intuit_share_known(
    const ngx_http_intuit_ctx_t *ctx,
    const ngx_http_intuit_provider_t *provider);

/*
 * The same for a company's connection, for a phase handler whose phase goes
 * on with ngx_http_core_run_phases.  NGX_OK: the zone has what there is;
 * NGX_AGAIN: parked, return it; NGX_ERROR: the store cannot be asked.
 */
ngx_int_t ngx_http_intuit_share_connection(ngx_http_request_t *r,
    ngx_http_intuit_ctx_t *ctx, ngx_http_intuit_provider_t *provider,
    const ngx_http_intuit_id_t *id);

/*
 * The same for a request that waits elsewhere: resume is called when it is
 * done, with ctx->share_rc as NGX_OK or NGX_ERROR, and sets ctx->share_waits
 * to 0.
 */
ngx_int_t ngx_http_intuit_share_first(ngx_http_request_t *r,
    ngx_http_intuit_provider_t *provider, const ngx_http_intuit_id_t *id,
    void (*resume)(ngx_http_request_t *r));

/*
 * Writes a session that is in the zone already, or ends n of them; resume is
 * called when that is done, with ctx->share_rc as NGX_OK or NGX_ERROR.
 * NGX_AGAIN: parked; NGX_ERROR.  Without a shared store NGX_DECLINED: there
 * is nothing to be done.
 */
ngx_int_t ngx_http_intuit_share_put(ngx_http_request_t *r,
    ngx_http_intuit_provider_t *provider, const ngx_http_intuit_id_t *id,
    const ngx_http_intuit_login_t *login, void (*resume)(ngx_http_request_t *));
ngx_int_t ngx_http_intuit_share_end(ngx_http_request_t *r,
    ngx_http_intuit_provider_t *provider, const ngx_http_intuit_id_t *ids,
    ngx_uint_t n, void (*resume)(ngx_http_request_t *r));

/* Ends one, and nobody waits for that. */
void ngx_http_intuit_share_drop(ngx_http_intuit_provider_t *provider,
    const ngx_http_intuit_id_t *id);


/* -- ngx_http_intuit_share_session.c: first steps, with job->data ---------- */

ngx_int_t ngx_http_intuit_share_read(ngx_http_intuit_job_t *job);
ngx_int_t ngx_http_intuit_share_write(ngx_http_intuit_job_t *job);
ngx_int_t ngx_http_intuit_share_remove(ngx_http_intuit_job_t *job);


/* -- ngx_http_intuit_share_write.c, _login.c: for steps of a job ---------- */

/*
 * Asks for the lease of a connection, for *owner (made if it is empty), and
 * for what the store has of it.  Then, in the next step:
 * NGX_OK: it is held, and the zone has the newest; NGX_BUSY: it is somebody
 * else's, and the zone has what that has brought, if it has; NGX_ERROR: the
 * store cannot be asked.
 */
ngx_int_t ngx_http_intuit_share_lease(ngx_http_intuit_job_t *job,
    const ngx_http_intuit_id_t *id, ngx_str_t *owner);
ngx_int_t ngx_http_intuit_share_leased(ngx_http_intuit_job_t *job,
    const ngx_http_intuit_id_t *id);

/* Gives it back, some time soon. */
void ngx_http_intuit_share_release(ngx_http_intuit_provider_t *provider,
    const ngx_http_intuit_id_t *id, const ngx_str_t *owner);

/*
 * The same for a login attempt, which is claimed once for good, for *owner.
 * Then, in the next step: NGX_OK; NGX_BUSY: another host is at it, ask again;
 * NGX_DECLINED: it has ended there, *login says how (in job->pool; the session
 * as long as the zone would hand it out); NGX_ERROR: the store cannot be asked.
 */
ngx_int_t ngx_http_intuit_share_claim(ngx_http_intuit_job_t *job,
    const ngx_http_intuit_id_t *id, ngx_str_t *owner);
ngx_int_t ngx_http_intuit_share_claimed(ngx_http_intuit_job_t *job,
    const ngx_http_intuit_id_t *id, ngx_http_intuit_login_t *login);

/* Says how a claimed attempt has ended; and that nothing more is made of it. */
void ngx_http_intuit_share_ended(ngx_http_intuit_job_t *job,
    const ngx_http_intuit_id_t *id, const ngx_http_intuit_login_t *login);
void ngx_http_intuit_share_close(ngx_http_intuit_provider_t *provider,
    const ngx_http_intuit_id_t *id);

/* Asks for a connection; the answer is for ngx_http_intuit_share_adopt(). */
ngx_int_t ngx_http_intuit_share_get(ngx_http_intuit_job_t *job,
    const ngx_http_intuit_id_t *id);

/*
 * Compares and sets a connection; *next is the number that it is to have
 * there.  Then, in the next step: NGX_OK; NGX_DECLINED: there is another one,
 * now in the zone; NGX_ERROR: the store cannot be asked.
 */
ngx_int_t ngx_http_intuit_share_save(ngx_http_intuit_job_t *job,
    const ngx_http_intuit_id_t *id, const ngx_str_t *encoded, uint64_t *next);
ngx_int_t ngx_http_intuit_share_saved(ngx_http_intuit_job_t *job,
    const ngx_http_intuit_id_t *id);

/* Writes what the zone has of a connection by then, and tries it again until
 * that is done; drop: if it has none, the store is to have none, too. */
void ngx_http_intuit_share_push(ngx_http_intuit_provider_t *provider,
    const ngx_http_intuit_id_t *id, ngx_uint_t drop);

/*
 * Brings what the store has of a connection (data NULL: nothing) into the
 * zone, or the other way round where the zone has the newer one.  NGX_OK,
 * NGX_BUSY: no room, NGX_ERROR: it cannot be read (logged).
 */
ngx_int_t ngx_http_intuit_share_adopt(ngx_http_intuit_job_t *job,
    const ngx_http_intuit_id_t *id, const ngx_str_t *value);

/* Who a job is, there, if it is not said yet.  NGX_OK or NGX_ERROR. */
ngx_int_t ngx_http_intuit_share_owner(ngx_pool_t *pool, ngx_str_t *owner);

/* Its name in the store.  NGX_OK or NGX_ERROR. */
ngx_int_t ngx_http_intuit_share_name(ngx_pool_t *pool,
    const ngx_http_intuit_provider_t *provider, u_char kind,
    const ngx_http_intuit_id_t *id, ngx_str_t *name);

/*
 * Has a script run there: its keys are what is named so of each of the kinds,
 * one a letter, at most three; its arguments (copied) end with one without
 * data.  As ngx_http_intuit_redis_ask().
 */
ngx_int_t ngx_http_intuit_share_eval(ngx_http_intuit_job_t *job,
    const ngx_str_t *script, const char *kinds, const ngx_http_intuit_id_t *id,
    const ngx_str_t *args);

/* The same some time soon, in a job of its own, and nobody waits for it. */
void ngx_http_intuit_share_tell(ngx_http_intuit_provider_t *provider,
    const ngx_str_t *script, const char *kinds, const ngx_http_intuit_id_t *id,
    const ngx_str_t *args);


/* -- ngx_http_intuit_share_scan.c: what nobody has asked for --------------- */

/* Worker start: one of a host's brings connections that are only in the store
 * into the zone.  NGX_OK or NGX_ERROR. */
ngx_int_t ngx_http_intuit_scan_init(ngx_cycle_t *cycle,
    ngx_http_intuit_main_conf_t *imcf);


/* -- ngx_http_intuit_share_slice.c: a company's quota ---------------------- */

/*
 * Asks for a slot for ctx->limit (where it has one: whether that is still one),
 * together with the others that wait for this company.  NGX_OK: the request is
 * parked, and its phases run again with ctx->limit.slot.answer
 *
 *   NGX_OK        go now
 *   NGX_AGAIN     in that many ms
 *   NGX_DECLINED  the same, and ask again then: a batch, whose turn it is
 *   NGX_BUSY      too many wait, or it would take too long
 *   NGX_DONE      it had one; what is void by now the quota's record knows
 *   NGX_ERROR     the store cannot be asked
 *
 * NGX_DECLINED: too many are parked.
 */
ngx_int_t ngx_http_intuit_slice_ask(ngx_http_request_t *r,
    ngx_http_intuit_ctx_t *ctx, const ngx_http_intuit_quota_share_t *share);

/* Gives ctx->limit's slot, or turn, back. */
void ngx_http_intuit_slice_return(const ngx_http_intuit_ctx_t *ctx);

/* Nothing more for msec, on no host. */
void ngx_http_intuit_slice_hold(ngx_http_intuit_provider_t *provider,
    const ngx_http_intuit_id_t *id, ngx_msec_t msec);


#endif /* _NGX_HTTP_INTUIT_SHARE_H_INCLUDED_ */
