/*
 * Faults of the QuickBooks API, in the three shapes that Intuit's servers
 * give them:
 *
 *   the gateway   {"fault":{"error":[{"message":..,"detail":..,"code":"3200",
 *                  ..}],"type":"AUTHENTICATION"},..}
 *   the service   {"Fault":{"Error":[{"Message":..,"Detail":..,"code":"2020",
 *                  ..}],"type":"ValidationFault"},..}
 *   either        <IntuitResponse ..><Fault type=".."><Error code="100">
 *                 <Message>..</Message><Detail>..</Detail></Error></Fault>..
 *
 * Which it is shows in the body; Content-Type says less.
 */

#ifndef _NGX_INTUIT_FAULT_H_INCLUDED_
#define _NGX_INTUIT_FAULT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


#define NGX_INTUIT_FAULT_CODE  16
#define NGX_INTUIT_FAULT_TEXT  128


/* of the first error; made safe for logs, in the pool given; may be empty */
typedef struct {
    ngx_str_t    code;       /* at most 16 bytes */
    ngx_str_t    type;       /* at most 128, as are the next */
    ngx_str_t    message;
    ngx_str_t    detail;     /* redacted */
} ngx_intuit_fault_t;


/* NGX_OK, or NGX_DECLINED: no fault is in it. */
ngx_int_t ngx_intuit_fault_parse(ngx_pool_t *pool, const ngx_str_t *body,
    ngx_intuit_fault_t *fault);

/*
 * Overwrites with "*" what may be a part of a token in the details of a fault:
 * words of six bytes and more that have letters and digits.  The body keeps its
 * length, and stays what it was, JSON or XML.  One that is damaged is redacted
 * as far as it can be read.
 */
void ngx_intuit_fault_redact(ngx_str_t *body);


#endif /* _NGX_INTUIT_FAULT_H_INCLUDED_ */
