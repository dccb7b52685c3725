/*
 * What is still to be done at Intuit when nobody waits for it any more: a
 * revocation, or the proof of the company for which an operator has brought
 * tokens.
 *
 * Each is a record beside the connections, marked as ended, under an id of
 * its own that no company leads to: its tokens serve nobody.  Like a
 * connection it outlives workers and reloads, and with state_path restarts.
 * The timer that looks after the connections finds it when its time has come.
 */

#ifndef _NGX_HTTP_INTUIT_PENDING_H_INCLUDED_
#define _NGX_HTTP_INTUIT_PENDING_H_INCLUDED_


#include "ngx_http_intuit_job.h"


typedef enum {
    NGX_HTTP_INTUIT_PENDING_NONE = 0,      /* a company's connection */
    NGX_HTTP_INTUIT_PENDING_REVOCATION,
    NGX_HTTP_INTUIT_PENDING_IMPORT
} ngx_http_intuit_pending_e;


/* What a record is. */
ngx_http_intuit_pending_e ngx_http_intuit_pending_kind(
    const ngx_intuit_connection_t *c);

/* 1: of a company that was disconnected, without tokens: kept only to be
 * forgotten after a restart, too. */
ngx_uint_t ngx_http_intuit_pending_disconnected(
    const ngx_intuit_connection_t *c);

/* The id that a record has, a company's connection as well, if it is this
 * provider's.  NGX_OK or NGX_ERROR. */
ngx_int_t ngx_http_intuit_pending_id(
    const ngx_http_intuit_provider_t *provider,
    const ngx_intuit_connection_t *c, ngx_http_intuit_id_t *id);

/*
 * Makes c, with a realm and what is to be kept in its current pair, a record
 * of this kind that is left alone as long as a job may take.
 */
void ngx_http_intuit_pending_init(const ngx_http_intuit_provider_t *provider,
    ngx_intuit_connection_t *c, ngx_http_intuit_pending_e kind);

/*
 * Keeps a revocation, made by the above.  NGX_OK sets *id; NGX_BUSY: too many
 * are waiting, or there is no room; NGX_ERROR.
 */
ngx_int_t ngx_http_intuit_pending_keep(ngx_http_intuit_provider_t *provider,
    ngx_intuit_connection_t *c, ngx_pool_t *pool, ngx_http_intuit_id_t *id);

/*
 * Is it time, and nobody else at it?  c as loaded, with its generation.
 * NGX_OK: the caller's, as long as a job may take; NGX_DECLINED: no.
 */
ngx_int_t ngx_http_intuit_pending_claim(ngx_http_intuit_provider_t *provider,
    const ngx_http_intuit_id_t *id, ngx_intuit_connection_t *c,
    uint64_t generation, ngx_pool_t *pool);

/*
 * Not now: after so many seconds again.  token: the access token of what is
 * meant, others may have come in its place meanwhile and are left alone; NULL:
 * whatever is there.
 */
void ngx_http_intuit_pending_later(ngx_http_intuit_provider_t *provider,
    const ngx_http_intuit_id_t *id, const ngx_str_t *token, time_t wait);

/* Done, or given up; token as above. */
void ngx_http_intuit_pending_remove(ngx_http_intuit_provider_t *provider,
    const ngx_http_intuit_id_t *id, const ngx_str_t *token);

/* The end of nginx: says which revocations end with the zone. */
void ngx_http_intuit_pending_exit(ngx_cycle_t *cycle,
    ngx_http_intuit_main_conf_t *imcf);

/* -- ngx_http_intuit_disconnect.c, _revoke.c, _exchange_import.c --------- */

/*
 * For intuit_status: forgets and revokes a company's connection (or revokes
 * token, if it is not empty), and answers the request, whose body was read.
 */
void ngx_http_intuit_disconnect_company(ngx_http_request_t *r,
    ngx_http_intuit_provider_t *provider, const ngx_str_t *realm,
    const ngx_str_t *token);

/*
 * A job that revokes tokens, any of the two (each may be empty) that belong to
 * a realm (may be empty), and that is kept until it is done.  It is to be run,
 * with the record that tells the outcome to the one who waits (or NULL), or
 * discarded.  NULL: no memory.
 */
ngx_http_intuit_job_t *ngx_http_intuit_revoke_create(
    ngx_http_intuit_provider_t *provider, const ngx_str_t *realm,
    const ngx_str_t *token);
void ngx_http_intuit_revoke_run(ngx_http_intuit_job_t *job,
    const ngx_http_intuit_id_t *login);
void ngx_http_intuit_revoke_discard(ngx_http_intuit_job_t *job);

/* What was kept (and claimed), once more: a revocation; the proof of what
 * intuit_connect or intuit_migrate has brought. */
void ngx_http_intuit_revoke_resume(ngx_http_intuit_provider_t *provider,
    const ngx_http_intuit_id_t *id, const ngx_intuit_connection_t *c);
void ngx_http_intuit_import_resume(ngx_http_intuit_provider_t *provider,
    const ngx_http_intuit_id_t *id, const ngx_intuit_connection_t *c);


#endif /* _NGX_HTTP_INTUIT_PENDING_H_INCLUDED_ */
