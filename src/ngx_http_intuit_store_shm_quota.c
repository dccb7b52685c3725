/*
 * A company's quota, in shared memory: the times at which its last requests
 * were sent, and those at which the ones that wait will be.
 *
 * Intuit counts what arrives within a second and within a minute, so these
 * are sliding windows and no leaky bucket: a slot is late enough when the one
 * given `rate` slots before is a minute old.  As slots are given in order,
 * that is one look into a ring for each window, however many wait.  Nothing
 * is counted up and down, so whoever dies with a slot takes nothing but that
 * slot with him.
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_intuit_store_shm.h"


/* an eighth of a second more than Intuit's, for the network's jitter */
#define NGX_HTTP_INTUIT_SHM_SECOND  1125
#define NGX_HTTP_INTUIT_SHM_MINUTE  60125

/* no slot lies so far ahead: this is another clock */
#define NGX_HTTP_INTUIT_SHM_AHEAD   3600000


static ngx_http_intuit_shm_quota_t *ngx_http_intuit_shm_quota_make(
    ngx_http_intuit_store_t *store, ngx_http_intuit_shm_quota_t *old,
    const ngx_str_t *realm, const ngx_http_intuit_quota_t *q);
static void ngx_http_intuit_shm_quota_copy(ngx_http_intuit_shm_quota_t *quota,
    const ngx_http_intuit_shm_quota_t *old);
static ngx_uint_t ngx_http_intuit_shm_quota_fits(
    const ngx_http_intuit_shm_quota_t *quota,
    const ngx_http_intuit_limits_t *limits);
static void ngx_http_intuit_shm_quota_take(ngx_http_intuit_store_t *store,
    ngx_http_intuit_shm_quota_t *quota, ngx_http_intuit_quota_t *q);
static ngx_int_t ngx_http_intuit_shm_quota_elsewhere(
    const ngx_http_intuit_shm_quota_t *quota,
    const ngx_http_intuit_quota_t *q);
static ngx_int_t ngx_http_intuit_shm_quota_batch(
    ngx_http_intuit_shm_quota_t *quota, ngx_http_intuit_quota_t *q);
static ngx_int_t ngx_http_intuit_shm_quota_slot(
    ngx_http_intuit_shm_quota_t *quota, ngx_http_intuit_quota_t *q);
static ngx_uint_t ngx_http_intuit_shm_quota_full(
    const ngx_http_intuit_shm_ring_t *ring, const uint32_t *times,
    const ngx_http_intuit_shm_quota_t *quota, ngx_http_intuit_quota_t *q);


size_t
ngx_http_intuit_shm_quota_size(ngx_uint_t all, ngx_uint_t batches)
{
    return offsetof(ngx_http_intuit_shm_quota_t, times)
           + (all + batches) * sizeof(uint32_t);
}


ngx_int_t
ngx_http_intuit_quota_reserve(ngx_http_intuit_store_t *store,
    const ngx_http_intuit_id_t *connection, const ngx_str_t *realm,
    ngx_http_intuit_quota_t *q)
{
    ngx_http_intuit_shm_quota_t  *quota;

    q->rc = NGX_DECLINED;

    ngx_http_intuit_shm_lock(store);

    quota = ngx_http_intuit_shm_quota_get(store, connection, realm, q);

    if (quota != NULL) {
        ngx_http_intuit_shm_quota_take(store, quota, q);
    }

    ngx_http_intuit_shm_unlock(store);

    return q->rc;
}


ngx_http_intuit_shm_quota_t *
ngx_http_intuit_shm_quota_get(ngx_http_intuit_store_t *store,
    const ngx_http_intuit_id_t *connection, const ngx_str_t *realm,
    const ngx_http_intuit_quota_t *q)
{
    ngx_http_intuit_shm_quota_t       *quota;
    ngx_http_intuit_shm_connection_t  *c;

    quota = ngx_http_intuit_shm_find(store, NGX_HTTP_INTUIT_SHM_QUOTA, &q->id);

    if (quota == NULL || !ngx_http_intuit_shm_quota_fits(quota, q->limits)) {
        quota = ngx_http_intuit_shm_quota_make(store, quota, realm, q);
    }

    if (quota != NULL) {
        c = ngx_http_intuit_shm_find(store, NGX_HTTP_INTUIT_SHM_CONNECTION,
                                     connection);
        if (c != NULL) {
            c->quota = q->id;
        }
    }

    return quota;
}


/* A new one, or one with longer rings in the place of the old one. */

static ngx_http_intuit_shm_quota_t *
ngx_http_intuit_shm_quota_make(ngx_http_intuit_store_t *store,
    ngx_http_intuit_shm_quota_t *old, const ngx_str_t *realm,
    const ngx_http_intuit_quota_t *q)
{
    size_t                           size;
    ngx_uint_t                       all, batches;
    const ngx_http_intuit_limits_t  *limits;
    ngx_http_intuit_shm_quota_t     *quota;

    limits = q->limits;

    all = ngx_max(limits->rate, limits->burst_rate);
    all = ngx_max(all, limits->queue);
    batches = limits->batch_rate + limits->queue;

    /* one that is over might be dropped to make room for its successor */

    if (old != NULL && q->time >= old->over) {
        ngx_http_intuit_shm_remove(store, NGX_HTTP_INTUIT_SHM_QUOTA,
                                   &old->record);
        old = NULL;
    }

    if (old != NULL) {
        all = ngx_max(all, old->all.size);
        batches = ngx_max(batches, old->batches.size);
    }

    size = ngx_http_intuit_shm_quota_size(all, batches);

    quota = ngx_http_intuit_shm_alloc(store, size, q->time);
    if (quota == NULL) {
        return NULL;
    }

    quota->all.size = all;
    quota->batches.size = batches;

    quota->realm_len = ngx_min(realm->len, NGX_HTTP_INTUIT_SHM_REALM_MAX);
    ngx_memcpy(quota->realm, realm->data, quota->realm_len);

    if (old != NULL) {
        ngx_http_intuit_shm_quota_copy(quota, old);
        ngx_http_intuit_shm_remove(store, NGX_HTTP_INTUIT_SHM_QUOTA,
                                   &old->record);
    }

    ngx_http_intuit_shm_insert(store, NGX_HTTP_INTUIT_SHM_QUOTA,
                               &quota->record, &q->id, size);

    return quota;
}


static void
ngx_http_intuit_shm_quota_copy(ngx_http_intuit_shm_quota_t *quota,
    const ngx_http_intuit_shm_quota_t *old)
{
    ngx_uint_t  i;

    quota->over = old->over;
    quota->rate = old->rate;
    quota->clock = old->clock;
    quota->held = old->held;
    quota->epoch = old->epoch;
    quota->delayed = old->delayed;
    quota->refused = old->refused;
    quota->given = old->given;
    quota->hosts = old->hosts;
    quota->told = old->told;
    ngx_memcpy(quota->owner, old->owner, sizeof(old->owner));

    quota->all.n = old->all.n;
    quota->all.last = old->all.last;
    quota->batches.n = old->batches.n;
    quota->batches.last = old->batches.last;

    for (i = 1; i <= old->all.n && i <= old->all.size; i++) {
        quota->times[(old->all.n - i) % quota->all.size] =
                              old->times[(old->all.n - i) % old->all.size];
    }

    for (i = 1; i <= old->batches.n && i <= old->batches.size; i++) {
        quota->times[quota->all.size
                     + (old->batches.n - i) % quota->batches.size] =
            old->times[old->all.size
                       + (old->batches.n - i) % old->batches.size];
    }
}


static ngx_uint_t
ngx_http_intuit_shm_quota_fits(const ngx_http_intuit_shm_quota_t *quota,
    const ngx_http_intuit_limits_t *limits)
{
    return quota->all.size >= limits->rate
           && quota->all.size >= limits->burst_rate
           && quota->all.size >= limits->queue
           && quota->batches.size >= limits->batch_rate + limits->queue;
}


void
ngx_http_intuit_shm_quota_ask(ngx_http_intuit_store_t *store,
    const ngx_http_intuit_shm_connection_t *connection,
    ngx_http_intuit_quota_t *q)
{
    ngx_http_intuit_shm_quota_t  *quota;

    ngx_http_intuit_shm_assert_locked(store);

    q->rc = NGX_DECLINED;

    /* without a token it would wait, and send nothing at its time */

    if (ngx_http_intuit_shm_none(&connection->quota)
        || q->time >= connection->expires)
    {
        return;
    }

    quota = ngx_http_intuit_shm_find(store, NGX_HTTP_INTUIT_SHM_QUOTA,
                                     &connection->quota);

    if (quota == NULL || !ngx_http_intuit_shm_quota_fits(quota, q->limits)) {
        return;
    }

    if (q->realm.len
        && (q->realm.len != quota->realm_len
            || ngx_memcmp(q->realm.data, quota->realm, quota->realm_len) != 0))
    {
        return;
    }

    q->id = connection->quota;

    ngx_http_intuit_shm_quota_take(store, quota, q);
}


static void
ngx_http_intuit_shm_quota_take(ngx_http_intuit_store_t *store,
    ngx_http_intuit_shm_quota_t *quota, ngx_http_intuit_quota_t *q)
{
    ngx_int_t  rc;

    ngx_http_intuit_shm_quota_age(quota, q->now);
    ngx_http_intuit_shm_quota_touch(store, quota);

    quota->rate = q->limits->rate;

    if (q->epoch != quota->epoch) {
        q->state = NGX_HTTP_INTUIT_QUOTA_NONE;
    }

    rc = NGX_OK;

    if (q->shared) {
        rc = ngx_http_intuit_shm_quota_elsewhere(quota, q);

    } else if (q->state == NGX_HTTP_INTUIT_QUOTA_SLOT) {
        rc = (q->slot > quota->clock) ? NGX_AGAIN : NGX_OK;

    } else {
        q->epoch = quota->epoch;

        if (q->batch) {
            rc = ngx_http_intuit_shm_quota_batch(quota, q);
        }

        if (rc == NGX_OK) {
            rc = ngx_http_intuit_shm_quota_slot(quota, q);
        }
    }

    q->rc = rc;
    q->wait = (rc == NGX_OK || q->slot <= q->now) ? 0 : q->slot - q->now;

    if (rc == NGX_BUSY) {
        q->state = NGX_HTTP_INTUIT_QUOTA_NONE;
        quota->refused++;

    } else if (rc == NGX_AGAIN) {
        q->wait = ngx_max(q->wait, 1);
        quota->delayed += (q->since == q->now);
    }

    ngx_http_intuit_shm_quota_lasts(quota, q);
}


/* for a slot that is given elsewhere: is it there, and has its time come? */

static ngx_int_t
ngx_http_intuit_shm_quota_elsewhere(const ngx_http_intuit_shm_quota_t *quota,
    const ngx_http_intuit_quota_t *q)
{
    if (q->state != NGX_HTTP_INTUIT_QUOTA_SLOT) {
        return NGX_DECLINED;
    }

    if (q->slot > quota->clock) {
        return NGX_AGAIN;
    }

    return (quota->clock - quota->told > NGX_HTTP_INTUIT_SHM_UNHEARD)
           ? NGX_DECLINED : NGX_OK;
}


void
ngx_http_intuit_shm_quota_lasts(ngx_http_intuit_shm_quota_t *quota,
    const ngx_http_intuit_quota_t *q)
{
    ngx_msec_t  last;

    last = ngx_max(quota->all.last, quota->batches.last);
    last = ngx_max(last, quota->held) + NGX_HTTP_INTUIT_SHM_MINUTE;

    if (last > quota->clock) {
        quota->over = q->time + (last - quota->clock) / 1000 + 1;
    }
}


/*
 * Its turn among the batches.  Until then it has no slot among all requests,
 * so that those can go on.
 */

static ngx_int_t
ngx_http_intuit_shm_quota_batch(ngx_http_intuit_shm_quota_t *quota,
    ngx_http_intuit_quota_t *q)
{
    uint32_t                    *times;
    ngx_uint_t                   back;
    ngx_http_intuit_shm_ring_t  *ring;

    ring = &quota->batches;
    times = quota->times + quota->all.size;

    if (q->state == NGX_HTTP_INTUIT_QUOTA_BATCH
        && q->batch_number <= ring->n)
    {
        /* those before it may have been held up */

        back = ring->n - q->batch_number + q->limits->batch_rate + 1;

        q->slot = ngx_max(q->slot,
                          ngx_http_intuit_shm_ring_free(ring, times, back,
                                                NGX_HTTP_INTUIT_SHM_MINUTE));

        if (q->slot <= quota->clock) {
            return NGX_OK;
        }

        if (q->slot - q->since > q->limits->timeout) {
            return NGX_BUSY;
        }

        ngx_http_intuit_shm_ring_put(ring, times, q->batch_number, q->slot);

        return NGX_AGAIN;
    }

    q->state = NGX_HTTP_INTUIT_QUOTA_NONE;
    q->slot = ngx_http_intuit_shm_ring_free(ring, times,
                                            q->limits->batch_rate,
                                            NGX_HTTP_INTUIT_SHM_MINUTE);

    if (q->slot <= quota->clock) {
        return NGX_OK;
    }

    q->slot = ngx_max(q->slot, ring->last);

    if (ngx_http_intuit_shm_quota_full(ring, times, quota, q)) {
        return NGX_BUSY;
    }

    ngx_http_intuit_shm_ring_push(ring, times, q->slot);

    q->batch_number = ring->n;
    q->state = NGX_HTTP_INTUIT_QUOTA_BATCH;

    return NGX_AGAIN;
}


static ngx_int_t
ngx_http_intuit_shm_quota_slot(ngx_http_intuit_shm_quota_t *quota,
    ngx_http_intuit_quota_t *q)
{
    uint32_t                        *times;
    ngx_msec_t                       t, minute, second;
    ngx_http_intuit_shm_ring_t      *ring;
    const ngx_http_intuit_limits_t  *limits;

    limits = q->limits;
    ring = &quota->all;
    times = quota->times;

    minute = ngx_http_intuit_shm_ring_free(ring, times, limits->rate,
                                           NGX_HTTP_INTUIT_SHM_MINUTE);
    second = ngx_http_intuit_shm_ring_free(ring, times, limits->burst_rate,
                                           NGX_HTTP_INTUIT_SHM_SECOND);

    t = ngx_max(quota->clock, quota->held);
    t = ngx_max(t, minute);
    t = ngx_max(t, second);

    if (ring->n && (t > quota->clock || ring->last > quota->clock)) {

        /* who has to wait anyway need not come in a crowd */

        t = ngx_max(t, ring->last + NGX_HTTP_INTUIT_SHM_SECOND
                                    / limits->burst_rate);
    }

    q->slot = t;

    if (t > quota->clock
        && ngx_http_intuit_shm_quota_full(ring, times, quota, q))
    {
        return NGX_BUSY;
    }

    ngx_http_intuit_shm_ring_push(ring, times, t);

    quota->given++;
    q->number = ring->n;

    if (q->batch) {
        times = quota->times + quota->all.size;
        ring = &quota->batches;

        if (q->state == NGX_HTTP_INTUIT_QUOTA_BATCH) {
            ngx_http_intuit_shm_ring_put(ring, times, q->batch_number, t);

        } else {
            ngx_http_intuit_shm_ring_push(ring, times, t);
            q->batch_number = ring->n;
        }
    }

    q->state = NGX_HTTP_INTUIT_QUOTA_SLOT;

    return (t > quota->clock) ? NGX_AGAIN : NGX_OK;
}


/* 1: q may not wait until q->slot: it is too far, or enough others wait. */

static ngx_uint_t
ngx_http_intuit_shm_quota_full(const ngx_http_intuit_shm_ring_t *ring,
    const uint32_t *times, const ngx_http_intuit_shm_quota_t *quota,
    ngx_http_intuit_quota_t *q)
{
    ngx_uint_t  queue;

    queue = q->limits->queue;

    return queue == 0
           || q->slot - q->since > q->limits->timeout
           || (ring->n >= queue
               && ngx_http_intuit_shm_ring_at(ring, times, queue)
                  > quota->clock);
}


/*
 * Slots older than a minute limit nobody.  The clock is monotonic and common
 * to all processes, but a worker that is busy looks at it late.
 */

void
ngx_http_intuit_shm_quota_age(ngx_http_intuit_shm_quota_t *quota,
    ngx_msec_t now)
{
    if (quota->clock < now
        || quota->clock - now > NGX_HTTP_INTUIT_SHM_AHEAD)
    {
        quota->clock = now;
    }

    now = quota->clock;

    if (quota->all.n
        && (quota->all.last + NGX_HTTP_INTUIT_SHM_MINUTE <= now
            || quota->all.last > now + NGX_HTTP_INTUIT_SHM_AHEAD))
    {
        quota->all.n = 0;
        quota->all.last = 0;
        quota->epoch++;
    }

    if (quota->batches.n
        && (quota->batches.last + NGX_HTTP_INTUIT_SHM_MINUTE <= now
            || quota->batches.last > now + NGX_HTTP_INTUIT_SHM_AHEAD))
    {
        quota->batches.n = 0;
        quota->batches.last = 0;
    }

    if (quota->held > now + NGX_HTTP_INTUIT_SHM_AHEAD) {
        quota->held = 0;
    }
}


/* the one used longest ago is the last, and the first to be dropped */

void
ngx_http_intuit_shm_quota_touch(ngx_http_intuit_store_t *store,
    ngx_http_intuit_shm_quota_t *quota)
{
    ngx_queue_t  *q, *queue;

    queue = &store->shm->index[NGX_HTTP_INTUIT_SHM_QUOTA].queue;
    q = &quota->record.queue;

    if (ngx_queue_head(queue) == q) {
        return;
    }

    ngx_queue_remove(q);
    ngx_queue_init(q);
    ngx_queue_insert_head(queue, q);
}


ngx_int_t
ngx_http_intuit_shm_drop_quota(ngx_http_intuit_store_t *store, time_t now)
{
    ngx_queue_t                   *q, *queue;
    ngx_http_intuit_shm_quota_t   *quota;
    ngx_http_intuit_shm_record_t  *record;

    queue = &store->shm->index[NGX_HTTP_INTUIT_SHM_QUOTA].queue;

    if (ngx_queue_empty(queue)) {
        return NGX_DECLINED;
    }

    q = ngx_queue_last(queue);
    record = ngx_queue_data(q, ngx_http_intuit_shm_record_t, queue);
    quota = (ngx_http_intuit_shm_quota_t *) record;

    if (now < quota->over) {
        return NGX_DECLINED;
    }

    ngx_http_intuit_shm_remove(store, NGX_HTTP_INTUIT_SHM_QUOTA, record);

    return NGX_OK;
}


void
ngx_http_intuit_quota_release(ngx_http_intuit_store_t *store,
    ngx_http_intuit_quota_t *q)
{
    ngx_http_intuit_shm_quota_t  *quota;

    if (q->state == NGX_HTTP_INTUIT_QUOTA_NONE) {
        return;
    }

    ngx_http_intuit_shm_lock(store);

    quota = ngx_http_intuit_shm_find(store, NGX_HTTP_INTUIT_SHM_QUOTA, &q->id);

    if (quota != NULL && q->epoch == quota->epoch) {

        if (q->state == NGX_HTTP_INTUIT_QUOTA_SLOT
            && q->number == quota->all.n)
        {
            ngx_http_intuit_shm_ring_pop(&quota->all, quota->times);
        }

        if (q->batch && q->batch_number == quota->batches.n) {
            quota->batches.n--;
        }
    }

    ngx_http_intuit_shm_unlock(store);

    q->state = NGX_HTTP_INTUIT_QUOTA_NONE;
}


ngx_int_t
ngx_http_intuit_quota_hold(ngx_http_intuit_store_t *store,
    const ngx_http_intuit_id_t *id, ngx_msec_t now, ngx_msec_t msec)
{
    ngx_int_t                     rc;
    ngx_http_intuit_shm_quota_t  *quota;

    rc = NGX_DECLINED;

    ngx_http_intuit_shm_lock(store);

    quota = ngx_http_intuit_shm_find(store, NGX_HTTP_INTUIT_SHM_QUOTA, id);

    if (quota != NULL) {
        ngx_http_intuit_shm_quota_age(quota, now);
        rc = ngx_http_intuit_shm_quota_pause(quota, msec);
    }

    ngx_http_intuit_shm_unlock(store);

    return rc;
}


ngx_int_t
ngx_http_intuit_shm_quota_pause(ngx_http_intuit_shm_quota_t *quota,
    ngx_msec_t msec)
{
    ngx_int_t   rc;
    ngx_msec_t  now;

    now = quota->clock;
    rc = (quota->held <= now) ? NGX_OK : NGX_DECLINED;

    quota->held = ngx_max(quota->held, now + msec);
    quota->epoch++;

    while (quota->all.n && quota->all.last > now) {
        ngx_http_intuit_shm_ring_pop(&quota->all, quota->times);
    }

    /* the latest is not always the last here, and stays the measure */

    while (quota->batches.n
           && ngx_http_intuit_shm_ring_at(&quota->batches,
                                     quota->times + quota->all.size, 1) > now)
    {
        quota->batches.n--;
    }

    return rc;
}


ngx_int_t
ngx_http_intuit_quota_stat(ngx_http_intuit_store_t *store,
    const ngx_http_intuit_id_t *id, ngx_msec_t now,
    ngx_http_intuit_quota_stat_t *stat)
{
    uint32_t                     *times;
    ngx_http_intuit_shm_quota_t  *quota;

    ngx_memzero(stat, sizeof(ngx_http_intuit_quota_stat_t));

    ngx_http_intuit_shm_lock(store);

    quota = ngx_http_intuit_shm_find(store, NGX_HTTP_INTUIT_SHM_QUOTA, id);

    if (quota == NULL) {
        ngx_http_intuit_shm_unlock(store);
        return NGX_DECLINED;
    }

    ngx_http_intuit_shm_quota_age(quota, now);

    now = quota->clock;
    times = quota->times + quota->all.size;

    stat->limit = quota->rate;
    stat->queued = ngx_http_intuit_shm_ring_after(&quota->all, quota->times,
                                                  now);
    stat->used = ngx_http_intuit_shm_ring_after(&quota->all, quota->times,
                                                now - ngx_min(now, 60000))
                 - stat->queued;
    stat->batches = ngx_http_intuit_shm_ring_after(&quota->batches, times,
                                                   now - ngx_min(now, 60000))
                    - ngx_http_intuit_shm_ring_after(&quota->batches, times,
                                                     now);
    stat->held = (quota->held > now) ? quota->held - now : 0;
    stat->delayed = quota->delayed;
    stat->refused = quota->refused;

    ngx_http_intuit_shm_unlock(store);

    return NGX_OK;
}
