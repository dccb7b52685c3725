/*
 * What intuit_store { } says.  Between the files of that store only.
 */

#ifndef _NGX_HTTP_INTUIT_REDIS_CONF_H_INCLUDED_
#define _NGX_HTTP_INTUIT_REDIS_CONF_H_INCLUDED_


#include "ngx_http_intuit_job.h"
#include "ngx_http_intuit_peer.h"


struct ngx_http_intuit_redis_s {
    ngx_str_t                     name;
    u_char                       *file;        /* where it is; NULL: */
    ngx_uint_t                    line;        /* mentioned only */
    u_char                       *first_file;
    ngx_uint_t                    first_line;

    ngx_str_t                     user;
    ngx_str_t                     password;
    ngx_flag_t                    ssl;
    ngx_str_t                     ssl_trusted_certificate;
    ngx_int_t                     database;
    ngx_str_t                     prefix;
    ngx_msec_t                    connect_timeout;
    ngx_msec_t                    read_timeout;
    ngx_int_t                     keepalive;

    /* derived */
    ngx_http_intuit_peer_t        peer;        /* its upstream */
    ngx_str_t                     hosts[NGX_HTTP_INTUIT_ADDRESSES_MAX];
    ngx_str_t                     hello;       /* AUTH, SELECT; may be empty */
    ngx_uint_t                    ngreetings;  /* answers to that */
    ngx_http_conf_ctx_t          *conf;        /* of no server */
    ngx_http_upstream_conf_t     *upstream_conf;
    ngx_http_upstream_init_peer_pt  init_peer; /* nginx's own */

    /* what a worker knows */
    ngx_uint_t                    refusing;    /* 1 + kind that was logged */
};


#endif /* _NGX_HTTP_INTUIT_REDIS_CONF_H_INCLUDED_ */
