/*
 * Saving a connection: its file first, the store after.  Others may save the
 * same connection meanwhile; then what was learnt is merged once more.
 */

#include "ngx_http_intuit_share.h"
#include "ngx_http_intuit_state.h"
#include "ngx_intuit_point.h"


#define NGX_HTTP_INTUIT_SAVE_TRIES       8
#define NGX_HTTP_INTUIT_SAVE_LEASE_POLL  200     /* ms */


static ngx_int_t ngx_http_intuit_save_lock(ngx_http_intuit_job_t *job);
static ngx_int_t ngx_http_intuit_save_locked(ngx_http_intuit_job_t *job);
static ngx_int_t ngx_http_intuit_save_lease(ngx_http_intuit_job_t *job);
static ngx_int_t ngx_http_intuit_save_leased(ngx_http_intuit_job_t *job);
static ngx_uint_t ngx_http_intuit_save_overtaken(ngx_http_intuit_job_t *job);
static ngx_int_t ngx_http_intuit_save_try(ngx_http_intuit_job_t *job);
static ngx_int_t ngx_http_intuit_save_written(ngx_http_intuit_job_t *job);
static ngx_int_t ngx_http_intuit_save_share(ngx_http_intuit_job_t *job);
static ngx_int_t ngx_http_intuit_save_shared(ngx_http_intuit_job_t *job);
static ngx_int_t ngx_http_intuit_save_store(ngx_http_intuit_job_t *job);
static ngx_int_t ngx_http_intuit_save_end(ngx_http_intuit_job_t *job,
    ngx_int_t rc);


ngx_int_t
ngx_http_intuit_save_begin(ngx_http_intuit_job_t *job,
    ngx_http_intuit_save_t *save, uint64_t generation)
{
    job->save = save;
    save->generation = generation;

    if (job->provider->state_path == NULL) {
        return ngx_http_intuit_save_lease(job);
    }

    return ngx_http_intuit_save_lock(job);
}


static ngx_int_t
ngx_http_intuit_save_lock(ngx_http_intuit_job_t *job)
{
    ngx_http_intuit_save_t  *save;

    save = job->save;

    save->lock = ngx_http_intuit_state_begin(job->provider, &save->id,
                                             save->generation);
    if (save->lock == NULL) {
        return NGX_ERROR;
    }

    return ngx_http_intuit_save_locked(job);
}


static ngx_int_t
ngx_http_intuit_save_locked(ngx_http_intuit_job_t *job)
{
    uint64_t                 generation;
    ngx_int_t                rc;
    ngx_http_intuit_save_t  *save;

    save = job->save;

    rc = ngx_http_intuit_state_result(save->lock, &generation);

    if (rc == NGX_AGAIN) {
        job->step = ngx_http_intuit_save_locked;
        return ngx_http_intuit_job_wait(job);
    }

    if (rc == NGX_BUSY) {
        ngx_http_intuit_save_over(save);

        job->step = ngx_http_intuit_save_lock;
        return ngx_http_intuit_job_wait(job);
    }

    if (rc == NGX_ABORT) {
        /* Intuit would take the replaced token for a stolen one */
        return NGX_ERROR;
    }

    ngx_intuit_point("file-locked");

    if (rc == NGX_DECLINED && job->provider->redis) {
        /* who wrote the file may not have come to that */
        ngx_http_intuit_share_push(job->provider, &save->id, 0);
    }

    /* a failed disk is no reason to let a connection end */

    return ngx_http_intuit_save_lease(job);
}


/* among all hosts, where they share a store */

static ngx_int_t
ngx_http_intuit_save_lease(ngx_http_intuit_job_t *job)
{
    ngx_http_intuit_save_t  *save;

    save = job->save;

    if (job->provider->redis == NULL || save->unleased) {
        job->step = save->next;
        return NGX_OK;
    }

    job->step = ngx_http_intuit_save_leased;

    return ngx_http_intuit_share_lease(job, &save->id, &save->owner);
}


static ngx_int_t
ngx_http_intuit_save_leased(ngx_http_intuit_job_t *job)
{
    ngx_int_t                rc;
    ngx_http_intuit_save_t  *save;

    save = job->save;

    rc = ngx_http_intuit_share_leased(job, &save->id);

    if (rc == NGX_BUSY) {

        if (ngx_http_intuit_save_overtaken(job)) {
            ngx_str_null(&save->owner);
            job->step = save->next;
            return NGX_OK;
        }

        job->step = ngx_http_intuit_save_lease;
        return ngx_http_intuit_job_wait_for(job,
                                            NGX_HTTP_INTUIT_SAVE_LEASE_POLL);
    }

    if (rc != NGX_OK) {
        /* another host may be at it, and nobody can tell */
        ngx_str_null(&save->owner);
        return NGX_ERROR;
    }

    job->step = save->next;

    return NGX_OK;
}


/* 1: somebody else has done it, and may have been killed with the lease */

static ngx_uint_t
ngx_http_intuit_save_overtaken(ngx_http_intuit_job_t *job)
{
    ngx_http_intuit_save_t    *save;
    ngx_http_intuit_synced_t   synced;

    save = job->save;

    return save->generation != 0
           && ngx_http_intuit_connection_synced(job->provider->store,
                                                &save->id, &synced)
              == NGX_OK
           && synced.generation != save->generation;
}


void
ngx_http_intuit_save_over(ngx_http_intuit_save_t *save)
{
    if (save->lock) {
        ngx_http_intuit_state_free(save->lock);
        save->lock = NULL;
    }
}


void
ngx_http_intuit_save_release(ngx_http_intuit_job_t *job,
    ngx_http_intuit_save_t *save)
{
    ngx_http_intuit_save_over(save);

    if (save->owner.len) {
        ngx_http_intuit_share_release(job->provider, &save->id, &save->owner);
        ngx_str_null(&save->owner);
    }
}


ngx_int_t
ngx_http_intuit_save(ngx_http_intuit_job_t *job, ngx_http_intuit_save_t *save)
{
    job->save = save;
    save->tries = 0;

    return ngx_http_intuit_save_try(job);
}


static ngx_int_t
ngx_http_intuit_save_try(ngx_http_intuit_job_t *job)
{
    ngx_int_t                rc;
    ngx_intuit_connection_t  c;
    ngx_http_intuit_save_t  *save;

    save = job->save;

    if (save->tries++ == NGX_HTTP_INTUIT_SAVE_TRIES) {
        return ngx_http_intuit_save_end(job, NGX_ERROR);
    }

    ngx_memzero(&c, sizeof(ngx_intuit_connection_t));
    save->generation = 0;

    rc = ngx_http_intuit_connection_load(job->provider->store, &save->id,
                                         job->pool, &c, &save->generation);

    if (rc != NGX_OK && rc != NGX_DECLINED) {
        return ngx_http_intuit_save_end(job, rc);
    }

    rc = save->merge(job, &c, rc == NGX_OK);

    if (rc != NGX_OK) {
        return ngx_http_intuit_save_end(job, rc == NGX_DONE ? NGX_OK : rc);
    }

    if (ngx_intuit_connection_encode(job->pool, &c, &save->encoded)
        != NGX_OK)
    {
        return ngx_http_intuit_save_end(job, NGX_ERROR);
    }

    save->following = 0;

    if (job->provider->state_path == NULL) {
        return ngx_http_intuit_save_share(job);
    }

    ngx_intuit_point("before-file");

    save->op = ngx_http_intuit_state_save(job->provider, &save->id,
                                          save->generation, &save->encoded);
    if (save->op == NULL) {
        return ngx_http_intuit_save_end(job, NGX_ERROR);
    }

    /* Intuit has answered: what is left is the disk's time */

    ngx_http_intuit_job_hold(job);

    return ngx_http_intuit_save_written(job);
}


static ngx_int_t
ngx_http_intuit_save_written(ngx_http_intuit_job_t *job)
{
    uint64_t                 generation;
    ngx_int_t                rc;
    ngx_http_intuit_save_t  *save;

    save = job->save;

    rc = ngx_http_intuit_state_result(save->op, &generation);

    if (rc == NGX_AGAIN) {
        job->step = ngx_http_intuit_save_written;
        return ngx_http_intuit_job_wait(job);
    }

    ngx_http_intuit_state_free(save->op);
    save->op = NULL;

    if (rc == NGX_DECLINED) {
        return ngx_http_intuit_save_try(job);
    }

    if (rc == NGX_ERROR) {
        /* tokens are not lost because a disk is full */
        save->unwritten = 1;
        ngx_http_intuit_state_flush(job->provider, &save->id);
    }

    save->following = generation;

    return ngx_http_intuit_save_share(job);
}


/* for the other hosts, before anybody uses it */

static ngx_int_t
ngx_http_intuit_save_share(ngx_http_intuit_job_t *job)
{
    ngx_http_intuit_save_t  *save;

    save = job->save;
    save->shared = 0;

    if (job->provider->redis == NULL) {
        return ngx_http_intuit_save_store(job);
    }

    ngx_http_intuit_job_hold(job);

    job->step = ngx_http_intuit_save_shared;

    return ngx_http_intuit_share_save(job, &save->id, &save->encoded,
                                      &save->shared);
}


static ngx_int_t
ngx_http_intuit_save_shared(ngx_http_intuit_job_t *job)
{
    ngx_int_t                rc;
    ngx_http_intuit_save_t  *save;

    save = job->save;

    rc = ngx_http_intuit_share_saved(job, &save->id);

    if (rc == NGX_DECLINED) {
        /* another host was faster */
        return ngx_http_intuit_save_try(job);
    }

    if (rc != NGX_OK) {
        /* it is kept here, and goes there as soon as that can be */
        save->shared = 0;
        ngx_http_intuit_share_push(job->provider, &save->id, 0);
    }

    return ngx_http_intuit_save_store(job);
}


static ngx_int_t
ngx_http_intuit_save_store(ngx_http_intuit_job_t *job)
{
    ngx_int_t                  rc;
    ngx_http_intuit_save_t    *save;
    ngx_http_intuit_synced_t   synced;

    save = job->save;

    ngx_intuit_point("before-store");

    rc = ngx_http_intuit_connection_replace(job->provider->store, &save->id,
                                            &save->encoded, &save->generation,
                                            save->following, ngx_time());
    if (rc == NGX_DECLINED) {
        /* another worker was faster */
        return ngx_http_intuit_save_try(job);
    }

    ngx_intuit_point("after-store");

    if (rc == NGX_OK && save->shared) {
        synced.shared = save->shared;
        synced.synced = save->generation;
        ngx_http_intuit_connection_sync(job->provider->store, &save->id,
                                        &synced);
    }

    return ngx_http_intuit_save_end(job, rc);
}


static ngx_int_t
ngx_http_intuit_save_end(ngx_http_intuit_job_t *job, ngx_int_t rc)
{
    ngx_http_intuit_save_t  *save;

    save = job->save;
    save->rc = rc;

    ngx_intuit_cleanse(save->encoded.data, save->encoded.len);

    job->step = save->next;

    return NGX_OK;
}
