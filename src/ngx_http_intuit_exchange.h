/*
 * The job behind a callback: from code to session.
 */

#ifndef _NGX_HTTP_INTUIT_EXCHANGE_H_INCLUDED_
#define _NGX_HTTP_INTUIT_EXCHANGE_H_INCLUDED_


#include "ngx_http_intuit_discovery.h"
#include "ngx_http_intuit_state.h"


#define NGX_HTTP_INTUIT_GIVEN  5


/* tokens that were brought before, and kept */
typedef struct {
    ngx_http_intuit_id_t      id;          /* of the record */
    ngx_intuit_pair_t         pair;
    time_t                    failures;    /* to prove their company */
} ngx_http_intuit_exchanged_t;

/* what the callback or an operator brought; strings are copied */
typedef struct {
    ngx_http_intuit_id_t      login;       /* claimed by the caller */
    ngx_intuit_login_t        attempt;     /* target is not used */
    ngx_str_t                 code;
    ngx_str_t                 realm;       /* as in the query; may be empty */
    ngx_str_t                 issuer;      /* RFC 9207 "iss"; may be empty */
    ngx_str_t                 given[NGX_HTTP_INTUIT_GIVEN];
                                           /* by an operator: a refresh token
                                            * or nothing, then OAuth 1.0a:
                                            * keys and secrets */
    ngx_http_intuit_step_pt   begin;       /* sends that, instead of a code;
                                            * ..._exchange_tokens() is next */
    const ngx_http_intuit_exchanged_t  *kept;
                                           /* it is there already; copied */
    unsigned                  connect:1;   /* for a connection's new current
                                            * pair, and no session */
} ngx_http_intuit_exchange_t;


/* the job's own state (ngx_http_intuit_exchange*.c and what begins it) */
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
    ngx_http_intuit_save_t       import;
    time_t                       failures;
    ngx_http_intuit_login_t      result;
    ngx_str_t                    owner;       /* of the claim */
    unsigned                     kept:1;      /* under import's id */
    unsigned                     claimed:1;   /* before all other hosts */
    unsigned                     elsewhere:1; /* the result is another's */
} ngx_http_intuit_exchange_ctx_t;


/*
 * Starts the job; the attempt's record tells how it ended (done with an
 * encoded session, or failed with an ngx_http_intuit_error_e), whether the
 * client is still there or not.  NGX_OK, or NGX_ERROR: it was not started and
 * the record is untouched.
 */
ngx_int_t ngx_http_intuit_exchange_start(ngx_http_intuit_provider_t *provider,
    const ngx_http_intuit_exchange_t *exchange);

/* 1: allow_realm admits the company, or there is none. */
ngx_uint_t ngx_http_intuit_exchange_allows(
    const ngx_http_intuit_provider_t *provider, const ngx_str_t *realm);

/* -- for those with a begin of their own -------------------------------- */

/* The step after the token request. */
ngx_int_t ngx_http_intuit_exchange_tokens(ngx_http_intuit_job_t *job);

/*
 * For a POST whose body was read: runs the job with `in` and answers with
 * {"connected":true,...}, or as a failure.  Ends the request.
 */
void ngx_http_intuit_connect_start(ngx_http_request_t *r,
    ngx_http_intuit_provider_t *provider, ngx_http_intuit_exchange_t *in);

/* -- between the files of the job --------------------------------------- */

/* The first step of a callback, and the one that sends the code. */
ngx_int_t ngx_http_intuit_exchange_claim(ngx_http_intuit_job_t *job);
ngx_int_t ngx_http_intuit_exchange_code(ngx_http_intuit_job_t *job);

/* Tells the other hosts how it has ended. */
void ngx_http_intuit_exchange_tell(ngx_http_intuit_job_t *job);

/* The step that proves the company. */
ngx_int_t ngx_http_intuit_exchange_realm(ngx_http_intuit_job_t *job);

/* The pair that the token endpoint's answer makes. */
void ngx_http_intuit_exchange_pair(ngx_http_intuit_job_t *job,
    ngx_intuit_pair_t *pair);

/* The step that keeps what an operator has brought; and the end of that. */
ngx_int_t ngx_http_intuit_import_keep(ngx_http_intuit_job_t *job);
void ngx_http_intuit_import_end(ngx_http_intuit_job_t *job);

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
