/*
 * The module's HTTP client: one in-memory subrequest of a job, through
 * nginx's own proxy, in a location configuration that belongs to no server.
 * Nothing of a client's request and nothing of the operator's servers gets
 * in.  Redirects are not followed.
 */

#ifndef _NGX_HTTP_INTUIT_FETCH_H_INCLUDED_
#define _NGX_HTTP_INTUIT_FETCH_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>


/* room for a configuration text with two paths in it */
#define NGX_HTTP_INTUIT_CONF_SIZE  (2 * NGX_MAX_PATH + 2048)


typedef struct {
    /* in: strings live as long as the job */
    ngx_str_t      url;              /* absolute, from trusted sources */
    ngx_str_t      authorization;    /* whole value; empty: none */
    ngx_str_t      content_type;     /* with a body only */
    ngx_str_t      body;
    const char    *opt_in;           /* one more header, in lower case, whose
                                      * value is "true"; NULL: none */
    unsigned       post:1;

    /* out */
    ngx_int_t      rc;               /* NGX_OK: a whole answer has arrived;
                                      * NGX_ERROR: it has not */
    ngx_uint_t     status;
    ngx_str_t      answer;           /* body, at most 64 KiB */
    ngx_str_t      tid;              /* intuit_tid, log-safe; may be empty */
    time_t         retry_after;      /* s, by the answer; 0: not said */
    unsigned       done:1;
    unsigned       sent:1;           /* it may have reached the server */

    ngx_http_request_t  *subrequest; /* private to fetch.c */
} ngx_http_intuit_fetch_t;


struct ngx_http_intuit_job_s;
struct ngx_http_intuit_provider_s;


/*
 * Starts the fetch (copied into the job's pool; the result is job->fetch).
 * NGX_AGAIN: the job's next step runs when it has ended, well or not;
 * NGX_ERROR: it could not be started.
 */
ngx_int_t ngx_http_intuit_fetch(struct ngx_http_intuit_job_s *job,
    const ngx_http_intuit_fetch_t *request);

/* The job is about to drop a running fetch: sets sent. */
void ngx_http_intuit_fetch_abort(struct ngx_http_intuit_job_s *job);

/*
 * Builds the provider's private location configuration (postconfiguration).
 * NGX_OK or NGX_ERROR (logged).
 */
ngx_int_t ngx_http_intuit_fetch_init(ngx_conf_t *cf,
    struct ngx_http_intuit_provider_s *provider);

/*
 * A location configuration that belongs to no server and inherits nothing,
 * made of plain directives (postconfiguration).  Without any server in the
 * http block *conf stays as it is.  NGX_OK or NGX_ERROR (logged).
 */
ngx_int_t ngx_http_intuit_private_conf(ngx_conf_t *cf, ngx_str_t *text,
    ngx_http_conf_ctx_t **conf);

/* Enters the phases past the location search, in such a one. */
void ngx_http_intuit_enter(ngx_http_request_t *sr, void **loc_conf);

/* Takes what a subrequest has inherited away.  NGX_OK or NGX_ERROR. */
ngx_int_t ngx_http_intuit_no_headers(ngx_http_request_t *sr);

/* $intuit_fetch_url; to be called in preconfiguration. */
ngx_int_t ngx_http_intuit_fetch_add_variables(ngx_conf_t *cf);

/* The TLS sessions: $intuit_fetch_name, where they are kept, and a worker's
 * end. */
ngx_int_t ngx_http_intuit_fetch_tls_variable(ngx_conf_t *cf);
ngx_int_t ngx_http_intuit_fetch_tls_init(ngx_conf_t *cf,
    struct ngx_http_intuit_provider_s *provider);
void ngx_http_intuit_fetch_tls_exit(
    struct ngx_http_intuit_provider_s *provider);

/*
 * Parses plain directives ("name value; ...") into the location
 * configuration that cf stands in.  NGX_OK or NGX_ERROR (logged).
 */
ngx_int_t ngx_http_intuit_conf_text(ngx_conf_t *cf, ngx_str_t *text);

/* The CA bundle of this system; empty when none was found. */
void ngx_http_intuit_ca_bundle(ngx_str_t *file);


#endif /* _NGX_HTTP_INTUIT_FETCH_H_INCLUDED_ */
