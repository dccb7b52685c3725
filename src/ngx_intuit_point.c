/*
 * Where a test kills a process.
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_intuit_point.h"


#if (NGX_INTUIT_SHM_DEBUG)

void
ngx_intuit_point(const char *name)
{
    char  *dir;
    char   path[NGX_MAX_PATH];

    dir = getenv("INTUIT_POINTS");

    if (dir == NULL) {
        return;
    }

    *ngx_snprintf((u_char *) path, sizeof(path) - 1, "%s/%s", dir, name) = '\0';

    /* of all who come by, one removes it */

    if (unlink(path) == 0) {
        (void) raise(SIGKILL);
    }
}

#endif
