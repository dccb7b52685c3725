/*
 * state_path: connections in files, so that they outlive a restart.
 *
 * Files are read and written in a thread.  What has arrived is in its file
 * before it is in the store; where the disk fails, nothing waits for it.
 */

#ifndef _NGX_HTTP_INTUIT_STATE_H_INCLUDED_
#define _NGX_HTTP_INTUIT_STATE_H_INCLUDED_


#include "ngx_http_intuit_job.h"


typedef struct ngx_http_intuit_state_op_s  ngx_http_intuit_state_op_t;


/* The directive. */
char *ngx_http_intuit_set_state_path(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/* Derives the keys and refuses a directory that will not do
 * (postconfiguration).  NGX_OK or NGX_ERROR (logged). */
ngx_int_t ngx_http_intuit_state_init(ngx_conf_t *cf,
    ngx_http_intuit_provider_t *provider);

/* Puts into the store what it does not have, or only older (in the master,
 * once the zone is there). */
void ngx_http_intuit_state_load(ngx_cycle_t *cycle,
    ngx_http_intuit_provider_t *provider);

/*
 * A refresh begins: takes its lock among all who share the directory.  base is
 * the generation that is to be refreshed.  NULL: no memory.
 */
ngx_http_intuit_state_op_t *ngx_http_intuit_state_begin(
    ngx_http_intuit_provider_t *provider, const ngx_http_intuit_id_t *id,
    uint64_t base);

/*
 * Writes a connection that is to follow generation base.  NULL: no memory.
 */
ngx_http_intuit_state_op_t *ngx_http_intuit_state_save(
    ngx_http_intuit_provider_t *provider, const ngx_http_intuit_id_t *id,
    uint64_t base, const ngx_str_t *encoded);

/*
 * How it ended.
 *   NGX_AGAIN     it has not
 *   NGX_OK        done; *generation is the one that was written
 *   NGX_DECLINED  there is a newer one in the directory, now in the store
 *   NGX_BUSY      somebody else is refreshing it
 *   NGX_ERROR     the disk has failed (logged): go on without
 *   NGX_ABORT     of a refresh: there is a newer one in the directory that the
 *                 store cannot take (logged): what it has was replaced
 */
ngx_int_t ngx_http_intuit_state_result(const ngx_http_intuit_state_op_t *op,
    uint64_t *generation);

/* What a refresh that has begun has found in the directory; NULL: nothing. */
const ngx_str_t *ngx_http_intuit_state_found(
    const ngx_http_intuit_state_op_t *op);

/* Frees it, and gives the refresh's lock back; it may still be running. */
void ngx_http_intuit_state_free(ngx_http_intuit_state_op_t *op);

/* Writes what the store has now, some time; tries again where the disk
 * fails. */
void ngx_http_intuit_state_flush(ngx_http_intuit_provider_t *provider,
    const ngx_http_intuit_id_t *id);

/* Removes the file of what the store has no more, the same way. */
void ngx_http_intuit_state_drop(ngx_http_intuit_provider_t *provider,
    const ngx_http_intuit_id_t *id);

/* A worker's end: writes what is still to be written. */
void ngx_http_intuit_state_exit(void);


/* -- ngx_http_intuit_save.c ---------------------------------------------- */

/*
 * Brings what a job has learnt into the connection as it is by now: found is
 * 0 when there is none (c is zero then).  NGX_OK; NGX_DONE: it is there
 * already; else the save ends with this.
 */
typedef ngx_int_t (*ngx_http_intuit_merge_pt)(ngx_http_intuit_job_t *job,
    ngx_intuit_connection_t *c, ngx_uint_t found);

struct ngx_http_intuit_save_s {
    ngx_http_intuit_id_t         id;
    ngx_http_intuit_merge_pt     merge;
    ngx_http_intuit_step_pt      next;       /* when it has ended, with rc */
    ngx_int_t                    rc;         /* NGX_OK, or as the store says */
    ngx_uint_t                   unwritten;  /* in no file yet */
    ngx_uint_t                   unleased;   /* among hosts: Intuit is not to
                                              * be asked */

    /* private */
    ngx_http_intuit_state_op_t  *lock;
    ngx_http_intuit_state_op_t  *op;
    ngx_str_t                    encoded;
    uint64_t                     generation;
    uint64_t                     following;  /* the file's; 0: no file */
    uint64_t                     shared;     /* of what hosts share, next */
    ngx_str_t                    owner;      /* of the lease there */
    ngx_uint_t                   tries;
};

/*
 * For a refresh of this generation, which must be over before another one
 * begins: a lease is one nginx's own, but the state files may be shared, as
 * they are during a binary upgrade.  save->next runs when nobody else is at
 * it and the store has what the files have.  A step returns what this returns.
 */
ngx_int_t ngx_http_intuit_save_begin(ngx_http_intuit_job_t *job,
    ngx_http_intuit_save_t *save, uint64_t generation);

/* The refresh is over, however it ended: for who shares the files, and for
 * who shares the store as well. */
void ngx_http_intuit_save_over(ngx_http_intuit_save_t *save);
void ngx_http_intuit_save_release(ngx_http_intuit_job_t *job,
    ngx_http_intuit_save_t *save);

/*
 * Saves a connection, first durably, then for everybody.  save lives as long
 * as the job; a step returns what this returns.
 */
ngx_int_t ngx_http_intuit_save(ngx_http_intuit_job_t *job,
    ngx_http_intuit_save_t *save);


#endif /* _NGX_HTTP_INTUIT_STATE_H_INCLUDED_ */
