/*
 * A provider's endpoints and signing keys: Intuit's published literals, and
 * what the discovery document and the JWK Set said last.  One copy a worker.
 */

#ifndef _NGX_HTTP_INTUIT_DISCOVERY_H_INCLUDED_
#define _NGX_HTTP_INTUIT_DISCOVERY_H_INCLUDED_


#include "ngx_http_intuit_job.h"


struct ngx_http_intuit_runtime_s {
    ngx_pool_t               *document_pool;   /* NULL: none was read yet */
    ngx_intuit_endpoints_t    endpoints;
    time_t                    document_read;
    time_t                    document_tried;
    ngx_intuit_template_t     authorize;       /* URL, of these endpoints */

    ngx_pool_t               *keys_pool;       /* NULL: none were read yet */
    ngx_intuit_jwks_t         keys;
    time_t                    keys_read;
    time_t                    keys_tried;
    ngx_http_intuit_job_t    *keys_job;        /* is reading them now */

    ngx_uint_t                refresh_failures; /* in a row */

    ngx_event_t               probe;
    ngx_msec_t                probe_delay;
    ngx_uint_t                probe_tries;

    unsigned                  document_busy:1;
    unsigned                  state_failed:1;  /* the disk, and it was said */
};


/*
 * The endpoints to use now, copied into pool; starts reading the document in
 * the background when it is a day old.  For Intuit's own environments there
 * is always an answer.  NGX_OK; NGX_AGAIN: being read, wait for
 * ngx_http_intuit_endpoints_ready(); NGX_DECLINED: could not be read a moment
 * ago; NGX_ERROR: no memory.
 */
ngx_int_t ngx_http_intuit_endpoints_get(ngx_http_intuit_provider_t *provider,
    ngx_pool_t *pool, ngx_intuit_endpoints_t *endpoints);

/* The same without a copy: they are valid as long as the event that is handled
 * now. */
ngx_int_t ngx_http_intuit_endpoints_look(ngx_http_intuit_provider_t *provider,
    const ngx_intuit_endpoints_t **endpoints);

/* 1: no document is being read. */
ngx_uint_t ngx_http_intuit_endpoints_ready(
    const ngx_http_intuit_provider_t *provider);

/*
 * The same for a job: a step returns NGX_AGAIN, and `again` runs in a moment.
 */
ngx_int_t ngx_http_intuit_endpoints_wait(ngx_http_intuit_job_t *job,
    ngx_intuit_endpoints_t *endpoints, ngx_http_intuit_step_pt again);

/*
 * POSTs to an endpoint as the provider's client (RFC 6749, section 2.3.1, with
 * both values raw, as Intuit has it).  type: a literal.  A step returns what
 * this returns; `next` has the answer.
 */
ngx_int_t ngx_http_intuit_endpoint_post(ngx_http_intuit_job_t *job,
    const ngx_str_t *url, const char *type, const ngx_str_t *body,
    ngx_http_intuit_step_pt next);

/* A form for the token endpoint, the same way. */
ngx_int_t ngx_http_intuit_token_post(ngx_http_intuit_job_t *job,
    const ngx_intuit_endpoints_t *endpoints, const ngx_str_t *form,
    ngx_http_intuit_step_pt next);

/*
 * Fetches the JWK Set: a step may return what this returns.  NGX_AGAIN, or
 * NGX_DECLINED: asked too short a time ago (10 s, or 1 s while there are no
 * keys), or NGX_BUSY: another job is reading them, or NGX_ERROR.
 */
ngx_int_t ngx_http_intuit_keys_fetch(ngx_http_intuit_job_t *job,
    const ngx_str_t *url);

/* The job's part in reading the keys is over, however it ended. */
void ngx_http_intuit_keys_release(ngx_http_intuit_job_t *job);

/* 1: a job is reading the keys. */
ngx_uint_t ngx_http_intuit_keys_busy(
    const ngx_http_intuit_provider_t *provider);

/* Takes the fetched set over; RSA keys below 2048 bits count for Intuit's own
 * issuer only.  NGX_OK, or NGX_ERROR: the old one stays. */
ngx_int_t ngx_http_intuit_keys_store(ngx_http_intuit_job_t *job,
    const ngx_intuit_endpoints_t *endpoints);

/*
 * The key for a kid.  NULL: none; *fresh tells whether the set is younger
 * than a day.
 */
ngx_intuit_jwk_t *ngx_http_intuit_keys_find(
    ngx_http_intuit_provider_t *provider, const ngx_str_t *kid,
    ngx_uint_t *fresh);

/* 1: the issuer is Intuit itself (sandbox and production share one). */
ngx_uint_t ngx_http_intuit_own_issuer(const ngx_intuit_endpoints_t *endpoints);

/* Worker's end: frees what was read. */
void ngx_http_intuit_discovery_exit(ngx_http_intuit_provider_t *provider);


#endif /* _NGX_HTTP_INTUIT_DISCOVERY_H_INCLUDED_ */
