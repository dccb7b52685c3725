/*
 * The times of the slots of a quota, given and yet to come: the last ones of
 * them, in a ring.  They are in order, nearly all of them.
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_intuit_store_shm.h"


ngx_msec_t
ngx_http_intuit_shm_ring_at(const ngx_http_intuit_shm_ring_t *ring,
    const uint32_t *times, ngx_uint_t back)
{
    uint32_t  age;

    back = ngx_min(back, ring->size);
    age = (uint32_t) ring->last - times[(ring->n - back) % ring->size];

    return ring->last - age;
}


ngx_msec_t
ngx_http_intuit_shm_ring_free(const ngx_http_intuit_shm_ring_t *ring,
    const uint32_t *times, ngx_uint_t back, ngx_msec_t window)
{
    if (ring->n < back) {
        return 0;
    }

    return ngx_http_intuit_shm_ring_at(ring, times, back) + window;
}


void
ngx_http_intuit_shm_ring_push(ngx_http_intuit_shm_ring_t *ring,
    uint32_t *times, ngx_msec_t t)
{
    times[ring->n % ring->size] = (uint32_t) t;
    ring->last = ring->n ? ngx_max(ring->last, t) : t;
    ring->n++;
}


void
ngx_http_intuit_shm_ring_put(ngx_http_intuit_shm_ring_t *ring,
    uint32_t *times, ngx_uint_t number, ngx_msec_t t)
{
    if (number > ring->n || ring->n - number >= ring->size) {
        return;
    }

    times[(number - 1) % ring->size] = (uint32_t) t;
    ring->last = ngx_max(ring->last, t);
}


void
ngx_http_intuit_shm_ring_pop(ngx_http_intuit_shm_ring_t *ring,
    const uint32_t *times)
{
    ring->last = (ring->n > 1) ? ngx_http_intuit_shm_ring_at(ring, times, 2)
                               : 0;
    ring->n--;
}


ngx_uint_t
ngx_http_intuit_shm_ring_after(const ngx_http_intuit_shm_ring_t *ring,
    const uint32_t *times, ngx_msec_t t)
{
    ngx_uint_t  low, high, back;

    low = 0;
    high = ngx_min(ring->n, ring->size);

    while (low < high) {
        back = low + (high - low + 1) / 2;

        if (ngx_http_intuit_shm_ring_at(ring, times, back) > t) {
            low = back;

        } else {
            high = back - 1;
        }
    }

    return low;
}
