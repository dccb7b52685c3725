/*
 * State files, the blocking side: runs in a thread.  Nothing here logs, knows
 * a request, or touches the store.
 */

#ifndef _NGX_HTTP_INTUIT_STATE_FILE_H_INCLUDED_
#define _NGX_HTTP_INTUIT_STATE_FILE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_intuit_state.h"


#define NGX_HTTP_INTUIT_STATE_FILE_MAX  (256 * 1024)


/* one piece of work; memory comes from the pool, which is nobody else's */
typedef struct {
    ngx_pool_t               *pool;
    const char               *path;        /* of the directory */
    const ngx_intuit_key_t   *keys;
    ngx_uint_t                nkeys;
    ngx_intuit_state_t        state;       /* generation: to be written */
    uint64_t                  base;        /* what memory has */
    time_t                    buried;      /* a disconnect; 0: none is */
    ngx_str_t                 plain;       /* to write; or what was found */

    uint64_t                  found;       /* the newest that opens; 0: none */
    ngx_fd_t                  lock;        /* of a refresh */
    const char               *what;        /* has failed, with err */
    ngx_err_t                 err;
} ngx_http_intuit_state_work_t;


/*
 * Writes a file of a new generation, durably, and then removes the older ones
 * that open.  state's generation is raised if the name is taken.
 *
 * NGX_OK; NGX_DECLINED: there is a newer one than base (and of a consent after
 * the disconnect that is to be written), now in plain and found; NGX_ERROR:
 * what and err tell.
 */
ngx_int_t ngx_http_intuit_state_write(ngx_http_intuit_state_work_t *work);

/* Removes the files, up to base, that open.  NGX_OK; NGX_ERROR: what and err
 * tell. */
ngx_int_t ngx_http_intuit_state_unlink(ngx_http_intuit_state_work_t *work);

/*
 * Takes the right to refresh among all who share the directory, and looks for
 * a file newer than base.
 *
 * NGX_OK; NGX_BUSY: somebody has it; NGX_DECLINED: taken, and there is a newer
 * one, now in plain and found; NGX_ERROR: what and err tell.
 */
ngx_int_t ngx_http_intuit_state_lock(ngx_http_intuit_state_work_t *work);

/*
 * Reads and opens the file that state names.  NULL, or what is wrong with it
 * (and err, or 0).
 */
const char *ngx_http_intuit_state_read(ngx_http_intuit_state_work_t *work,
    int dir, ngx_str_t *plain);

/* Opens the directory.  -1: what and err tell. */
int ngx_http_intuit_state_dir(ngx_http_intuit_state_work_t *work);

/*
 * Removes what a writer has left that was killed; does nothing while one is
 * at work.
 */
void ngx_http_intuit_state_clean(ngx_http_intuit_state_work_t *work, int dir);


#endif /* _NGX_HTTP_INTUIT_STATE_FILE_H_INCLUDED_ */
