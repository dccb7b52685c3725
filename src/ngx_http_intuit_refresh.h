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


#endif /* _NGX_HTTP_INTUIT_REFRESH_H_INCLUDED_ */
