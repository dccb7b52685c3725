/*
 * What every request asks for, in shared memory: its session, and the
 * connection.
 *
 * Nothing is logged, and nothing is allocated from the caller's pool, under
 * the lock: memory is taken beforehand, for as much as was needed lately.  If
 * it does not suffice, its length is known then, and it is tried once more.
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_intuit_store_shm.h"


/* the most that is taken before it is known to be needed */
#define NGX_HTTP_INTUIT_SHM_GUESS  8192


typedef struct {
    const ngx_http_intuit_id_t  *id;
    time_t                       idle;
    time_t                       now;
    ngx_http_intuit_quota_t     *quota;
    uint64_t                     generation;
    ngx_str_t                    session;
    ngx_str_t                    connection;  /* data NULL: none */
} ngx_http_intuit_shm_read_t;


static ngx_int_t ngx_http_intuit_shm_read_session(
    ngx_http_intuit_store_t *store, ngx_http_intuit_shm_read_t *read,
    ngx_http_intuit_shm_copy_t *copy);
static void ngx_http_intuit_shm_touch(ngx_http_intuit_store_t *store,
    ngx_http_intuit_shm_session_t *session, time_t idle, time_t now);
static ngx_int_t ngx_http_intuit_shm_guess(ngx_http_intuit_store_t *store,
    ngx_http_intuit_shm_copy_t *copy, ngx_pool_t *pool);
static ngx_int_t ngx_http_intuit_shm_grow(ngx_http_intuit_store_t *store,
    ngx_http_intuit_shm_copy_t *copy, ngx_pool_t *pool);


ngx_int_t
ngx_http_intuit_session_load(ngx_http_intuit_store_t *store,
    const ngx_http_intuit_id_t *id, time_t idle, time_t now, ngx_pool_t *pool,
    ngx_http_intuit_loaded_t *loaded)
{
    loaded->quota = NULL;

    return ngx_http_intuit_session_reserve(store, id, idle, now, pool, loaded);
}


ngx_int_t
ngx_http_intuit_session_reserve(ngx_http_intuit_store_t *store,
    const ngx_http_intuit_id_t *id, time_t idle, time_t now, ngx_pool_t *pool,
    ngx_http_intuit_loaded_t *loaded)
{
    ngx_int_t                   rc;
    ngx_http_intuit_shm_copy_t  copy;
    ngx_http_intuit_shm_read_t  read;

    loaded->generation = 0;
    loaded->has_connection = 0;

    read.quota = loaded->quota;
    read.id = id;
    read.idle = idle;
    read.now = now;

    if (ngx_http_intuit_shm_guess(store, &copy, pool) != NGX_OK) {
        return NGX_ERROR;
    }

    for ( ;; ) {
        ngx_http_intuit_shm_lock(store);
        rc = ngx_http_intuit_shm_read_session(store, &read, &copy);
        ngx_http_intuit_shm_unlock(store);

        if (rc != NGX_AGAIN) {
            break;
        }

        if (ngx_http_intuit_shm_grow(store, &copy, pool) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    if (rc != NGX_OK) {
        return rc;
    }

    if (ngx_intuit_session_decode(&read.session, &loaded->session) != NGX_OK) {

        /* it will not get better: the next request may sign in anew */

        (void) ngx_http_intuit_session_remove(store, id);
        ngx_http_intuit_shm_damaged(store, "session");
        return NGX_ERROR;
    }

    if (read.connection.data == NULL) {
        return NGX_OK;
    }

    if (ngx_intuit_connection_decode(&read.connection, &loaded->connection)
        != NGX_OK)
    {
        ngx_http_intuit_shm_damaged(store, "connection");
        return NGX_ERROR;
    }

    loaded->generation = read.generation;
    loaded->has_connection = 1;

    return NGX_OK;
}


/* NGX_OK; NGX_DECLINED: no session; NGX_AGAIN: copy is too small. */

static ngx_int_t
ngx_http_intuit_shm_read_session(ngx_http_intuit_store_t *store,
    ngx_http_intuit_shm_read_t *read, ngx_http_intuit_shm_copy_t *copy)
{
    u_char                            *p;
    ngx_http_intuit_shm_session_t     *session;
    ngx_http_intuit_shm_connection_t  *connection;

    ngx_http_intuit_shm_assert_locked(store);

    session = ngx_http_intuit_shm_find(store, NGX_HTTP_INTUIT_SHM_SESSION,
                                       read->id);
    if (session == NULL) {
        return NGX_DECLINED;
    }

    if (ngx_http_intuit_shm_session_over(session, read->idle, read->now)) {
        ngx_http_intuit_shm_remove(store, NGX_HTTP_INTUIT_SHM_SESSION,
                                   &session->record);
        return NGX_DECLINED;
    }

    ngx_http_intuit_shm_touch(store, session, read->idle, read->now);

    connection = NULL;

    if (!ngx_http_intuit_shm_none(&session->connection)) {
        connection = ngx_http_intuit_shm_find(store,
                                              NGX_HTTP_INTUIT_SHM_CONNECTION,
                                              &session->connection);
    }

    if (ngx_http_intuit_shm_ready(copy, session->len
                                  + (connection ? connection->len : 0))
        != NGX_OK)
    {
        return NGX_AGAIN;
    }

    read->session.data = copy->data;
    read->session.len = session->len;
    p = ngx_cpymem(copy->data, session->data, session->len);

    ngx_str_null(&read->connection);

    if (connection != NULL) {
        read->connection.data = p;
        read->connection.len = connection->len;
        ngx_memcpy(p, connection->data, connection->len);

        read->generation = connection->generation;

        if (read->quota != NULL) {
            ngx_http_intuit_shm_quota_ask(store, connection, read->quota);
        }
    }

    return NGX_OK;
}


static void
ngx_http_intuit_shm_touch(ngx_http_intuit_store_t *store,
    ngx_http_intuit_shm_session_t *session, time_t idle, time_t now)
{
    ngx_queue_t  *q;

    /* not for another worker's clock a moment ahead, but for one set back */

    if (now <= session->last && session->last - now < 60) {
        return;
    }

    session->last = now;
    session->idle = idle;

    q = &session->record.queue;

    ngx_http_intuit_shm_change(store);

    ngx_queue_remove(q);
    ngx_queue_init(q);
    ngx_queue_insert_head(
                  &store->shm->index[NGX_HTTP_INTUIT_SHM_SESSION].queue, q);
}


ngx_int_t
ngx_http_intuit_connection_load(ngx_http_intuit_store_t *store,
    const ngx_http_intuit_id_t *id, ngx_pool_t *pool,
    ngx_intuit_connection_t *connection, uint64_t *generation)
{
    return ngx_http_intuit_connection_reserve(store, id, pool, connection,
                                              generation, NULL);
}


ngx_int_t
ngx_http_intuit_connection_reserve(ngx_http_intuit_store_t *store,
    const ngx_http_intuit_id_t *id, ngx_pool_t *pool,
    ngx_intuit_connection_t *connection, uint64_t *generation,
    ngx_http_intuit_quota_t *quota)
{
    ngx_int_t                          rc;
    ngx_str_t                          encoded;
    ngx_http_intuit_shm_copy_t         copy;
    ngx_http_intuit_shm_connection_t  *record;

    ngx_str_null(&encoded);

    if (ngx_http_intuit_shm_guess(store, &copy, pool) != NGX_OK) {
        return NGX_ERROR;
    }

    for ( ;; ) {
        ngx_http_intuit_shm_lock(store);

        record = ngx_http_intuit_shm_find(store,
                                          NGX_HTTP_INTUIT_SHM_CONNECTION, id);
        if (record == NULL) {
            ngx_http_intuit_shm_unlock(store);
            return NGX_DECLINED;
        }

        rc = ngx_http_intuit_shm_ready(&copy, record->len);

        if (rc == NGX_OK) {
            encoded.data = copy.data;
            encoded.len = record->len;
            ngx_memcpy(copy.data, record->data, record->len);

            *generation = record->generation;

            if (quota != NULL) {
                ngx_http_intuit_shm_quota_ask(store, record, quota);
            }
        }

        ngx_http_intuit_shm_unlock(store);

        if (rc == NGX_OK) {
            break;
        }

        if (ngx_http_intuit_shm_grow(store, &copy, pool) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    if (ngx_intuit_connection_decode(&encoded, connection) != NGX_OK) {
        ngx_http_intuit_shm_damaged(store, "connection");
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* as much as was needed lately: mostly there is no second turn then */

static ngx_int_t
ngx_http_intuit_shm_guess(ngx_http_intuit_store_t *store,
    ngx_http_intuit_shm_copy_t *copy, ngx_pool_t *pool)
{
    ngx_memzero(copy, sizeof(ngx_http_intuit_shm_copy_t));

    copy->need = store->guess;

    return copy->need ? ngx_http_intuit_shm_make(copy, pool) : NGX_OK;
}


static ngx_int_t
ngx_http_intuit_shm_grow(ngx_http_intuit_store_t *store,
    ngx_http_intuit_shm_copy_t *copy, ngx_pool_t *pool)
{
    if (copy->need <= NGX_HTTP_INTUIT_SHM_GUESS) {
        store->guess = ngx_max(store->guess, copy->need);
    }

    return ngx_http_intuit_shm_make(copy, pool);
}


ngx_uint_t
ngx_http_intuit_shm_none(const ngx_http_intuit_id_t *id)
{
    static const ngx_http_intuit_id_t  zero;

    return ngx_memcmp(id->data, zero.data, NGX_HTTP_INTUIT_ID_LEN) == 0;
}
