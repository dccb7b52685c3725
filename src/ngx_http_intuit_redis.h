/*
 * A Redis or Valkey server as a store that several hosts share: one exchange
 * with it at a time, for a job.
 *
 * Through nginx's own upstreams: nothing blocks, connections are kept, TLS and
 * time-outs are nginx's.  A new connection begins with AUTH and SELECT.  The
 * servers of one store are one server and its replicas: who only reads, or
 * cannot just now, is left for the next one.
 */

#ifndef _NGX_HTTP_INTUIT_REDIS_H_INCLUDED_
#define _NGX_HTTP_INTUIT_REDIS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include "ngx_intuit_resp.h"


#define NGX_HTTP_INTUIT_REDIS_VALUE  (96 * 1024)   /* the longest one */
#define NGX_HTTP_INTUIT_REDIS_ARGS   12


struct ngx_http_intuit_job_s;
struct ngx_http_intuit_redis_s;

typedef struct {
    /* in: strings live as long as the job */
    ngx_str_t                        args[NGX_HTTP_INTUIT_REDIS_ARGS];
    ngx_uint_t                       nargs;

    /* out */
    ngx_int_t                        rc;      /* NGX_OK: there is an answer,
                                               * and it is no error */
    ngx_intuit_resp_t                answer;
    ngx_intuit_resp_kind_e           kind;    /* of an error */
    unsigned                         done:1;
    unsigned                         sent:1;  /* it may have been done */

    /* private */
    struct ngx_http_intuit_redis_s  *redis;
    ngx_http_request_t              *request;
    ngx_event_get_peer_pt            get;
    ngx_chain_t                     *command;
    ngx_chain_t                     *all;         /* with the greeting */
    ngx_uint_t                       greetings;   /* answers to that */
} ngx_http_intuit_redis_ask_t;


/*
 * Sends a command (copied into the job's pool; the result is job->ask).  A
 * command may be sent twice, where a connection or a server fails, so that it
 * has to be one that does nothing the second time.
 *
 * NGX_AGAIN: the job's next step runs when it has ended, well or not;
 * NGX_ERROR: it could not be started.
 */
ngx_int_t ngx_http_intuit_redis_ask(struct ngx_http_intuit_job_s *job,
    const ngx_http_intuit_redis_ask_t *request);

/* Frees the answer of a job that asks again and again. */
void ngx_http_intuit_redis_forget(struct ngx_http_intuit_job_s *job);

/* The longest time that may take, in milliseconds. */
ngx_msec_t ngx_http_intuit_redis_deadline(
    const struct ngx_http_intuit_redis_s *redis);


/* -- ngx_http_intuit_redis_conf.c ---------------------------------------- */

char *ngx_http_intuit_redis_block(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_intuit_redis_set_server(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_intuit_redis_set_password(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_intuit_redis_set_ca(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/* The directive "store" of intuit_provider. */
char *ngx_http_intuit_set_store(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/* Postconfiguration, for all of them.  NGX_OK or NGX_ERROR (logged). */
ngx_int_t ngx_http_intuit_redis_init(ngx_conf_t *cf);

/* For the location configuration of a store; and for its upstream. */
ngx_int_t ngx_http_intuit_redis_handler(ngx_http_request_t *r);
ngx_int_t ngx_http_intuit_redis_init_peer(ngx_http_request_t *r,
    ngx_http_upstream_srv_conf_t *uscf);


#endif /* _NGX_HTTP_INTUIT_REDIS_H_INCLUDED_ */
