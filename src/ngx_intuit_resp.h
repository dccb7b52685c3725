/*
 * What Redis and Valkey are asked, and what they say: RESP2.
 *
 * Requests are arrays of strings, each with its length: no byte of a value can
 * be taken for something else.  Of the answers only those shapes are read that
 * the module's own commands have; everything else ends the connection, since
 * nobody knows where the next answer would begin.
 */

#ifndef _NGX_INTUIT_RESP_H_INCLUDED_
#define _NGX_INTUIT_RESP_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


#define NGX_INTUIT_RESP_ITEMS   8        /* of an array */
#define NGX_INTUIT_RESP_LINE    512      /* bytes, without CR LF */


typedef enum {
    NGX_INTUIT_RESP_NIL = 0,
    NGX_INTUIT_RESP_STATUS,              /* text */
    NGX_INTUIT_RESP_ERROR,               /* text; the first word is its kind */
    NGX_INTUIT_RESP_NUMBER,              /* number */
    NGX_INTUIT_RESP_STRING,              /* text: any bytes */
    NGX_INTUIT_RESP_ARRAY                /* of items; none of them an array */
} ngx_intuit_resp_type_e;

typedef struct {
    ngx_intuit_resp_type_e   type;
    ngx_str_t                text;       /* points into what was parsed */
    int64_t                  number;
} ngx_intuit_resp_value_t;

typedef struct {
    ngx_intuit_resp_value_t  value;
    ngx_intuit_resp_value_t  items[NGX_INTUIT_RESP_ITEMS];
    ngx_uint_t               nitems;
} ngx_intuit_resp_t;

/* what is to be done about an error */
typedef enum {
    NGX_INTUIT_RESP_ELSEWHERE = 0,       /* this server cannot just now, or
                                          * only reads: ask another one */
    NGX_INTUIT_RESP_REFUSED,             /* user, password or their rights */
    NGX_INTUIT_RESP_FULL,                /* no memory left for more */
    NGX_INTUIT_RESP_CLUSTER,             /* a node of a Redis Cluster */
    NGX_INTUIT_RESP_SCRIPT,              /* it does not know the script */
    NGX_INTUIT_RESP_WRONG                /* anything else */
} ngx_intuit_resp_kind_e;


/*
 * A request of n arguments, allocated in pool.  NGX_OK or NGX_ERROR.
 */
ngx_int_t ngx_intuit_resp_request(ngx_pool_t *pool, const ngx_str_t *args,
    ngx_uint_t n, ngx_str_t *out);

/*
 * One answer at *pos; no string of it may be longer than max.
 *   NGX_OK        it is whole, and *pos behind it
 *   NGX_AGAIN     so far it is one: call again, with the same *pos, when more
 *                 has come (the bytes before may have moved)
 *   NGX_DECLINED  it is none of ours
 */
ngx_int_t ngx_intuit_resp_parse(u_char **pos, const u_char *last, size_t max,
    ngx_intuit_resp_t *resp);

ngx_intuit_resp_kind_e ngx_intuit_resp_kind(const ngx_str_t *error);


#endif /* _NGX_INTUIT_RESP_H_INCLUDED_ */
