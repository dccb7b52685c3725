/*
 * The job behind a callback: from code to session.
 */

#ifndef _NGX_HTTP_INTUIT_EXCHANGE_H_INCLUDED_
#define _NGX_HTTP_INTUIT_EXCHANGE_H_INCLUDED_


#include "ngx_http_intuit_discovery.h"
#include "ngx_http_intuit_state.h"


/* what the callback brought; strings are copied */
typedef struct {
    ngx_http_intuit_id_t      login;       /* claimed by the caller */
    ngx_intuit_login_t        attempt;     /* target is not used */
    ngx_str_t                 code;
    ngx_str_t                 realm;       /* as in the query; may be empty */
    ngx_str_t                 issuer;      /* RFC 9207 "iss"; may be empty */
} ngx_http_intuit_exchange_t;


/* the job's own state (ngx_http_intuit_exchange*.c only) */
typedef struct {
    ngx_http_intuit_exchange_t   in;
    ngx_intuit_endpoints_t       endpoints;
    ngx_intuit_tokens_t          tokens;
    ngx_intuit_jwt_t             jwt;
    ngx_intuit_json_t           *userinfo;
    ngx_str_t                    userinfo_text;
    ngx_str_t                    company;
    ngx_intuit_pair_t            pair;
    ngx_http_intuit_save_t       save;
    ngx_http_intuit_login_t      result;
} ngx_http_intuit_exchange_ctx_t;


/*
 * Starts the job; the attempt's record tells how it ended (done with an
 * encoded session, or failed with an ngx_http_intuit_error_e), whether the
 * client is still there or not.  NGX_OK, or NGX_ERROR: it was not started and
 * the record is untouched.
 */
ngx_int_t ngx_http_intuit_exchange_start(ngx_http_intuit_provider_t *provider,
    const ngx_http_intuit_exchange_t *exchange);

/* -- between the two files of the job ----------------------------------- */

/* The last step: saves connection and session. */
ngx_int_t ngx_http_intuit_exchange_save(ngx_http_intuit_job_t *job);

/* Ends the job as failed; returns NGX_DECLINED for the step to return.
 * reason: a literal for the log, or NULL. */
ngx_int_t ngx_http_intuit_exchange_fail(ngx_http_intuit_job_t *job,
    ngx_http_intuit_error_e error, const char *reason);

/* The address that Intuit vouches for.  NGX_OK, or NGX_DECLINED: none. */
ngx_int_t ngx_http_intuit_exchange_verified_email(ngx_http_intuit_job_t *job,
    ngx_str_t *email);


#endif /* _NGX_HTTP_INTUIT_EXCHANGE_H_INCLUDED_ */
