/*
 * Points at which a test kills the process that comes by, in debug builds
 * (NGX_INTUIT_SHM_DEBUG); of nothing else is there a trace in a release.
 *
 * The environment's INTUIT_POINTS names a directory.  Who passes the point
 * whose name a file in it has removes the file, and is killed: one process,
 * once.
 */

#ifndef _NGX_INTUIT_POINT_H_INCLUDED_
#define _NGX_INTUIT_POINT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


#if (NGX_INTUIT_SHM_DEBUG)

void ngx_intuit_point(const char *name);

#else

#define ngx_intuit_point(name)

#endif


#endif /* _NGX_INTUIT_POINT_H_INCLUDED_ */
