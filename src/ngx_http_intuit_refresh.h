/*
 * Refreshing a connection: before its access token expires, or because it
 * has.
 */

#ifndef _NGX_HTTP_INTUIT_REFRESH_H_INCLUDED_
#define _NGX_HTTP_INTUIT_REFRESH_H_INCLUDED_


#include "ngx_http_intuit_job.h"


/*
 * Starts a refresh if the connection (as loaded, with its generation) needs
 * one and nobody else is at it.  Sets *id to the connection's.
 *
 *   NGX_OK        the current token serves, use it
 *   NGX_AGAIN     it has expired and is being refreshed: wait until the
 *                 connection's generation moves or its lease is given back
 *   NGX_DECLINED  it has ended: somebody has to consent again
 *   NGX_ERROR     it has expired and cannot be refreshed just now: 503
 */
ngx_int_t ngx_http_intuit_refresh(ngx_http_intuit_provider_t *provider,
    const ngx_intuit_connection_t *c, uint64_t generation,
    ngx_http_intuit_id_t *id);

/*
 * The same for a client's request, in a phase handler whose phase goes on with
 * ngx_http_core_run_phases: waits where that helps, and loads what came.
 *
 *   NGX_OK        view's token serves
 *   NGX_AGAIN     parked: return it; the handler is called again
 *   NGX_DECLINED  the connection has ended
 *   NGX_ERROR     no token just now
 *   NGX_BUSY      too many are waiting
 */
ngx_int_t ngx_http_intuit_refresh_view(ngx_http_request_t *r,
    ngx_http_intuit_ctx_t *ctx, ngx_http_intuit_view_t *view);


#endif /* _NGX_HTTP_INTUIT_REFRESH_H_INCLUDED_ */
