/*
 * A company's quota that hosts share: here it is noted what a store gave to
 * this one.
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_intuit_store_shm.h"
#include "ngx_intuit_crypto.h"


ngx_int_t
ngx_http_intuit_quota_share(ngx_http_intuit_store_t *store,
    const ngx_http_intuit_id_t *connection, const ngx_str_t *realm,
    ngx_http_intuit_quota_t *q, ngx_http_intuit_quota_share_t *share)
{
    u_char                        owner[NGX_HTTP_INTUIT_QUOTA_OWNER_LEN];
    ngx_http_intuit_shm_quota_t  *quota;

    static const u_char  none[NGX_HTTP_INTUIT_QUOTA_OWNER_LEN];

    if (ngx_intuit_random(owner, sizeof(owner)) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_http_intuit_shm_lock(store);

    quota = ngx_http_intuit_shm_quota_get(store, connection, realm, q);

    if (quota == NULL) {
        ngx_http_intuit_shm_unlock(store);
        return NGX_DECLINED;
    }

    if (ngx_memcmp(quota->owner, none, sizeof(none)) == 0) {
        ngx_memcpy(quota->owner, owner, sizeof(owner));
    }

    ngx_http_intuit_shm_quota_age(quota, q->now);
    ngx_http_intuit_shm_quota_touch(store, quota);

    ngx_memcpy(share->owner, quota->owner, sizeof(quota->owner));

    share->used = ngx_http_intuit_shm_ring_after(&quota->all, quota->times,
                                quota->clock - ngx_min(quota->clock, 60000));
    share->given = quota->given;
    share->hosts = quota->hosts;

    ngx_http_intuit_shm_unlock(store);

    return NGX_OK;
}


void
ngx_http_intuit_quota_told(ngx_http_intuit_store_t *store,
    const ngx_http_intuit_id_t *id, ngx_msec_t now,
    const ngx_http_intuit_quota_share_t *share)
{
    ngx_http_intuit_shm_quota_t  *quota;

    ngx_http_intuit_shm_lock(store);

    quota = ngx_http_intuit_shm_find(store, NGX_HTTP_INTUIT_SHM_QUOTA, id);

    if (quota != NULL) {
        ngx_http_intuit_shm_quota_age(quota, now);

        quota->told = quota->clock;
        quota->hosts = share->hosts;
        quota->given = ngx_max(quota->given, share->given);

        /* what is known already is not news when it comes back */

        if (share->held
            && quota->clock + share->held
               > quota->held + NGX_HTTP_INTUIT_SHM_UNHEARD)
        {
            (void) ngx_http_intuit_shm_quota_pause(quota, share->held);
        }
    }

    ngx_http_intuit_shm_unlock(store);
}


ngx_int_t
ngx_http_intuit_quota_given(ngx_http_intuit_store_t *store,
    ngx_http_intuit_quota_t *q, ngx_int_t rc)
{
    ngx_http_intuit_shm_quota_t  *quota;

    q->rc = rc;
    q->state = NGX_HTTP_INTUIT_QUOTA_NONE;

    ngx_http_intuit_shm_lock(store);

    quota = ngx_http_intuit_shm_find(store, NGX_HTTP_INTUIT_SHM_QUOTA, &q->id);

    if (quota != NULL) {
        ngx_http_intuit_shm_quota_age(quota, q->now);

        quota->rate = q->limits->rate;

        if (rc == NGX_BUSY) {
            quota->refused++;

        } else {
            q->slot = quota->clock + q->wait;
            q->epoch = quota->epoch;
            q->state = NGX_HTTP_INTUIT_QUOTA_SLOT;

            ngx_http_intuit_shm_ring_push(&quota->all, quota->times, q->slot);
            q->number = quota->all.n;

            if (q->batch) {
                ngx_http_intuit_shm_ring_push(&quota->batches,
                                              quota->times + quota->all.size,
                                              q->slot);
                q->batch_number = quota->batches.n;
            }

            quota->delayed += (q->wait != 0);
        }

        ngx_http_intuit_shm_quota_lasts(quota, q);
    }

    ngx_http_intuit_shm_unlock(store);

    return rc;
}
