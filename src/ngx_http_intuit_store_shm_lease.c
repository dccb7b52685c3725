/*
 * The right to refresh a connection, in shared memory, and the way to those
 * that nobody asks for.
 *
 * A lease is a deadline, not a flag: an owner that dies with it holds nobody
 * up for longer.  And not even for so long where its process is seen to be
 * gone: all that have the zone are of one master, and so of one host.
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_intuit_store_shm.h"


static ngx_uint_t ngx_http_intuit_shm_leased(
    const ngx_http_intuit_shm_connection_t *connection, time_t now);
static ngx_uint_t ngx_http_intuit_shm_gone(ngx_pid_t pid);
static ngx_http_intuit_shm_hold_t *ngx_http_intuit_shm_hold(
    ngx_http_intuit_store_t *store, const ngx_http_intuit_id_t *id);


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
    time_t now, ngx_uint_t *abandoned)
{
    ngx_int_t                          rc;
    ngx_http_intuit_shm_connection_t  *connection;

    rc = NGX_DECLINED;

    ngx_http_intuit_shm_lock(store);

    connection = ngx_http_intuit_shm_find(store,
                                          NGX_HTTP_INTUIT_SHM_CONNECTION, id);

    if (connection != NULL && !ngx_http_intuit_shm_leased(connection, now)) {
        *abandoned = (connection->leased != 0);
        connection->leased = deadline;
        connection->pid = ngx_pid;
        connection->asking = 0;
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


void
ngx_http_intuit_connection_asking(ngx_http_intuit_store_t *store,
    const ngx_http_intuit_id_t *id,
    const u_char owner[NGX_HTTP_INTUIT_LEASE_LEN], time_t until)
{
    ngx_http_intuit_shm_connection_t  *connection;

    ngx_http_intuit_shm_lock(store);

    connection = ngx_http_intuit_shm_find(store,
                                          NGX_HTTP_INTUIT_SHM_CONNECTION, id);

    if (connection != NULL
        && ngx_memcmp(connection->owner, owner, NGX_HTTP_INTUIT_LEASE_LEN)
           == 0)
    {
        connection->asking = until;
    }

    ngx_http_intuit_shm_unlock(store);
}


/* one that lasts longer than any can is of a clock that was set back */

static ngx_uint_t
ngx_http_intuit_shm_leased(const ngx_http_intuit_shm_connection_t *connection,
    time_t now)
{
    if (now >= connection->leased
        || connection->leased - now > NGX_HTTP_INTUIT_HOLD_MAX)
    {
        return 0;
    }

    return now < connection->asking
           || !ngx_http_intuit_shm_gone(connection->pid);
}


/*
 * Another process may have got the number: then it is as before, and the lease
 * lasts until its deadline.  Those who wait ask again and again, all at the
 * same time.
 */

static ngx_uint_t
ngx_http_intuit_shm_gone(ngx_pid_t pid)
{
    static ngx_uint_t  gone;
    static ngx_pid_t   asked;
    static ngx_msec_t  when;

    if (pid == ngx_pid) {
        return 0;
    }

    if (pid != asked || when != ngx_current_msec) {
        asked = pid;
        when = ngx_current_msec;
        gone = (kill(pid, 0) == -1 && ngx_errno == NGX_ESRCH);
    }

    return gone;
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
        *leased = ngx_http_intuit_shm_leased(connection, now);
        rc = NGX_OK;
    }

    ngx_http_intuit_shm_unlock(store);

    return rc;
}


ngx_int_t
ngx_http_intuit_connection_curable(ngx_http_intuit_store_t *store,
    const ngx_http_intuit_id_t *id, time_t now)
{
    ngx_int_t                          rc;
    ngx_http_intuit_shm_connection_t  *connection;

    rc = NGX_DECLINED;

    ngx_http_intuit_shm_lock(store);

    connection = ngx_http_intuit_shm_find(store,
                                          NGX_HTTP_INTUIT_SHM_CONNECTION, id);

    /* a time that is yet to come: the clock was set back */

    if (connection != NULL
        && (now < connection->uncured
            || now - connection->uncured >= NGX_HTTP_INTUIT_CURE_PAUSE))
    {
        rc = NGX_OK;
    }

    ngx_http_intuit_shm_unlock(store);

    return rc;
}


void
ngx_http_intuit_connection_uncured(ngx_http_intuit_store_t *store,
    const ngx_http_intuit_id_t *id, time_t now)
{
    ngx_http_intuit_shm_connection_t  *connection;

    ngx_http_intuit_shm_lock(store);

    connection = ngx_http_intuit_shm_find(store,
                                          NGX_HTTP_INTUIT_SHM_CONNECTION, id);

    if (connection != NULL) {
        connection->uncured = now;
    }

    ngx_http_intuit_shm_unlock(store);
}


ngx_uint_t
ngx_http_intuit_connection_walk(ngx_http_intuit_store_t *store,
    const ngx_http_intuit_id_t *after, ngx_http_intuit_id_t *ids,
    ngx_uint_t max)
{
    ngx_uint_t                         n;
    ngx_queue_t                       *q, *queue;
    ngx_http_intuit_shm_record_t      *record;
    ngx_http_intuit_shm_connection_t  *connection;

    n = 0;

    ngx_http_intuit_shm_lock(store);

    queue = &store->shm->index[NGX_HTTP_INTUIT_SHM_CONNECTION].queue;

    connection = ngx_http_intuit_shm_find(store,
                                          NGX_HTTP_INTUIT_SHM_CONNECTION,
                                          after);

    q = (connection != NULL) ? &connection->record.queue : queue;

    for (q = ngx_queue_prev(q);
         q != ngx_queue_sentinel(queue) && n < max;
         q = ngx_queue_prev(q))
    {
        record = ngx_queue_data(q, ngx_http_intuit_shm_record_t, queue);
        ids[n++] = record->id;
    }

    ngx_http_intuit_shm_unlock(store);

    return n;
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


void
ngx_http_intuit_login_close(ngx_http_intuit_store_t *store,
    const ngx_http_intuit_id_t *id)
{
    ngx_http_intuit_shm_login_t  *login;

    ngx_http_intuit_shm_lock(store);

    login = ngx_http_intuit_shm_find(store, NGX_HTTP_INTUIT_SHM_LOGIN, id);

    if (login != NULL) {
        login->taken = NGX_HTTP_INTUIT_SHM_TAKES;
    }

    ngx_http_intuit_shm_unlock(store);
}


void
ngx_http_intuit_hold(ngx_http_intuit_store_t *store,
    const ngx_http_intuit_id_t *id, time_t until, time_t now)
{
    ngx_http_intuit_shm_hold_t  *hold;

    until = ngx_min(until, now + NGX_HTTP_INTUIT_HOLD_MAX);

    ngx_http_intuit_shm_lock(store);

    hold = ngx_http_intuit_shm_hold(store, id);

    if (hold->until < until
        || hold->until > now + NGX_HTTP_INTUIT_HOLD_MAX
        || ngx_memcmp(hold->id.data, id->data, NGX_HTTP_INTUIT_ID_LEN) != 0)
    {
        hold->id = *id;
        hold->until = until;
    }

    ngx_http_intuit_shm_unlock(store);
}


time_t
ngx_http_intuit_held(ngx_http_intuit_store_t *store,
    const ngx_http_intuit_id_t *id, time_t now)
{
    time_t                       until;
    ngx_http_intuit_shm_hold_t  *hold;

    until = 0;

    ngx_http_intuit_shm_lock(store);

    hold = ngx_http_intuit_shm_hold(store, id);

    if (ngx_memcmp(hold->id.data, id->data, NGX_HTTP_INTUIT_ID_LEN) == 0) {
        until = hold->until;
    }

    ngx_http_intuit_shm_unlock(store);

    /* later than any can be: the clock was set back */

    return (until > now && until <= now + NGX_HTTP_INTUIT_HOLD_MAX)
           ? until - now : 0;
}


/* the id's own, else the one whose time comes first */

static ngx_http_intuit_shm_hold_t *
ngx_http_intuit_shm_hold(ngx_http_intuit_store_t *store,
    const ngx_http_intuit_id_t *id)
{
    ngx_uint_t                   i;
    ngx_http_intuit_shm_hold_t  *hold, *first;

    hold = store->shm->holds;
    first = hold;

    for (i = 0; i < NGX_HTTP_INTUIT_SHM_HOLDS; i++) {

        if (ngx_memcmp(hold[i].id.data, id->data, NGX_HTTP_INTUIT_ID_LEN)
            == 0)
        {
            return &hold[i];
        }

        if (hold[i].until < first->until) {
            first = &hold[i];
        }
    }

    return first;
}
