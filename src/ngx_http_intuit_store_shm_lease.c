/*
 * The right to refresh a connection, in shared memory.
 *
 * A lease is a deadline, not a flag: an owner that dies with it holds nobody
 * up for longer.
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_intuit_store_shm.h"


ngx_int_t
ngx_http_intuit_connection_save(ngx_http_intuit_store_t *store,
    const ngx_http_intuit_id_t *id, const ngx_str_t *encoded,
    uint64_t *generation, time_t now)
{
    return ngx_http_intuit_connection_replace(store, id, encoded, generation,
                                              0, now);
}


ngx_int_t
ngx_http_intuit_connection_lease(ngx_http_intuit_store_t *store,
    const ngx_http_intuit_id_t *id,
    const u_char owner[NGX_HTTP_INTUIT_LEASE_LEN], time_t deadline,
    time_t now)
{
    ngx_int_t                          rc;
    ngx_http_intuit_shm_connection_t  *connection;

    rc = NGX_DECLINED;

    ngx_http_intuit_shm_lock(store);

    connection = ngx_http_intuit_shm_find(store,
                                          NGX_HTTP_INTUIT_SHM_CONNECTION, id);

    if (connection != NULL && now >= connection->leased) {
        connection->leased = deadline;
        ngx_memcpy(connection->owner, owner, NGX_HTTP_INTUIT_LEASE_LEN);
        rc = NGX_OK;
    }

    ngx_http_intuit_shm_unlock(store);

    return rc;
}


ngx_int_t
ngx_http_intuit_connection_release(ngx_http_intuit_store_t *store,
    const ngx_http_intuit_id_t *id,
    const u_char owner[NGX_HTTP_INTUIT_LEASE_LEN])
{
    ngx_int_t                          rc;
    ngx_http_intuit_shm_connection_t  *connection;

    rc = NGX_DECLINED;

    ngx_http_intuit_shm_lock(store);

    connection = ngx_http_intuit_shm_find(store,
                                          NGX_HTTP_INTUIT_SHM_CONNECTION, id);

    if (connection != NULL
        && connection->leased
        && ngx_memcmp(connection->owner, owner, NGX_HTTP_INTUIT_LEASE_LEN)
           == 0)
    {
        connection->leased = 0;
        rc = NGX_OK;
    }

    ngx_http_intuit_shm_unlock(store);

    return rc;
}


ngx_int_t
ngx_http_intuit_connection_peek(ngx_http_intuit_store_t *store,
    const ngx_http_intuit_id_t *id, time_t now, uint64_t *generation,
    ngx_uint_t *leased)
{
    ngx_int_t                          rc;
    ngx_http_intuit_shm_connection_t  *connection;

    rc = NGX_DECLINED;

    ngx_http_intuit_shm_lock(store);

    connection = ngx_http_intuit_shm_find(store,
                                          NGX_HTTP_INTUIT_SHM_CONNECTION, id);

    if (connection != NULL) {
        *generation = connection->generation;
        *leased = (now < connection->leased);
        rc = NGX_OK;
    }

    ngx_http_intuit_shm_unlock(store);

    return rc;
}


uint64_t
ngx_http_intuit_connection_next(ngx_http_intuit_store_t *store,
    uint64_t least)
{
    uint64_t                generation;
    ngx_http_intuit_shm_t  *shm;

    ngx_http_intuit_shm_lock(store);

    shm = store->shm;

    shm->generation = ngx_max(shm->generation, least) + 1;
    generation = shm->generation;

    ngx_http_intuit_shm_unlock(store);

    return generation;
}
