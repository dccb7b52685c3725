/*
 * state_path: connections in files.
 */

#include "ngx_http_intuit_discovery.h"
#include "ngx_http_intuit_pending.h"
#include "ngx_http_intuit_share.h"
#include "ngx_http_intuit_state.h"
#include "ngx_http_intuit_state_file.h"


#define NGX_HTTP_INTUIT_STATE_RETRY      2000     /* ms */
#define NGX_HTTP_INTUIT_STATE_RETRY_MAX  60000


typedef struct {
    ngx_queue_t                    queue;
    ngx_event_t                    timer;
    ngx_msec_t                     delay;
    ngx_http_intuit_provider_t    *provider;
    ngx_http_intuit_id_t           id;
    unsigned                       drop:1;    /* if the store has it no more */
} ngx_http_intuit_state_flush_t;

struct ngx_http_intuit_state_op_s {
    ngx_http_intuit_state_work_t   work;
    ngx_int_t                    (*call)(ngx_http_intuit_state_work_t *work);
    ngx_http_intuit_provider_t    *provider;
    ngx_http_intuit_id_t           id;
    ngx_http_intuit_state_flush_t *flush;     /* NULL: of a job */
    ngx_int_t                      rc;
    unsigned                       done:1;
    unsigned                       freed:1;
};


static uint64_t ngx_http_intuit_state_load_file(ngx_cycle_t *cycle,
    ngx_http_intuit_provider_t *provider, ngx_http_intuit_state_work_t *work,
    int dir, ngx_uint_t *n);
static void ngx_http_intuit_state_work_init(ngx_http_intuit_state_work_t *work,
    ngx_http_intuit_provider_t *provider, ngx_pool_t *pool);
static ngx_http_intuit_state_op_t *ngx_http_intuit_state_create(
    ngx_http_intuit_provider_t *provider, const ngx_http_intuit_id_t *id);
static void ngx_http_intuit_state_run(ngx_http_intuit_state_op_t *op);
#if (NGX_THREADS)
static void ngx_http_intuit_state_thread(void *data, ngx_log_t *log);
static void ngx_http_intuit_state_event(ngx_event_t *ev);
#endif
static void ngx_http_intuit_state_complete(ngx_http_intuit_state_op_t *op);
static void ngx_http_intuit_state_say(ngx_http_intuit_state_op_t *op);
static ngx_int_t ngx_http_intuit_state_adopt(
    ngx_http_intuit_provider_t *provider, const ngx_http_intuit_id_t *id,
    const ngx_str_t *plain, uint64_t generation);
static void ngx_http_intuit_state_destroy(ngx_http_intuit_state_op_t *op);
static void ngx_http_intuit_state_sync(ngx_http_intuit_provider_t *provider,
    const ngx_http_intuit_id_t *id, ngx_uint_t drop);
static void ngx_http_intuit_state_flush_timer(ngx_event_t *ev);
static void ngx_http_intuit_state_flush_end(
    ngx_http_intuit_state_flush_t *flush, ngx_int_t rc);


/* what this worker has still to write, and whether it is at its end */
static ngx_queue_t  ngx_http_intuit_state_flushes;
static ngx_uint_t   ngx_http_intuit_state_exiting;


void
ngx_http_intuit_state_load(ngx_cycle_t *cycle,
    ngx_http_intuit_provider_t *provider)
{
    int                            dir;
    DIR                           *list;
    uint64_t                       last, generation;
    ngx_uint_t                     n;
    ngx_pool_t                    *pool;
    struct dirent                 *entry;
    ngx_http_intuit_state_work_t   work;

    pool = ngx_create_pool(NGX_DEFAULT_POOL_SIZE, cycle->log);
    if (pool == NULL) {
        return;
    }

    ngx_http_intuit_state_work_init(&work, provider, pool);

    list = NULL;
    dir = ngx_http_intuit_state_dir(&work);

    if (dir != -1) {
        list = opendir(work.path);
        work.err = ngx_errno;
    }

    if (list == NULL) {

        /* "nginx -t" before the first start */

        if (!(ngx_test_config && work.err == NGX_ENOENT)) {
            ngx_log_error(NGX_LOG_ALERT, cycle->log, work.err,
                          "intuit state_path \"%s\" cannot be read",
                          work.path);
        }

        goto done;
    }

    if (!ngx_test_config) {
        ngx_http_intuit_state_clean(&work, dir);
    }

    last = 0;
    n = 0;

    for ( ;; ) {

        entry = readdir(list);
        if (entry == NULL) {
            break;
        }

        if (ngx_intuit_state_parse((u_char *) entry->d_name, &work.state)
            == NGX_OK)
        {
            generation = ngx_http_intuit_state_load_file(cycle, provider,
                                                         &work, dir, &n);
            last = ngx_max(last, generation);
        }
    }

    (void) closedir(list);

    if (last) {
        (void) ngx_http_intuit_connection_next(provider->store, last);
    }

    ngx_log_error(NGX_LOG_NOTICE, cycle->log, 0,
                  "intuit state_path \"%s\": %ui files of provider %V read",
                  work.path, n, &provider->name);

done:

    if (dir != -1) {
        (void) close(dir);
    }

    ngx_destroy_pool(pool);
}


static uint64_t
ngx_http_intuit_state_load_file(ngx_cycle_t *cycle,
    ngx_http_intuit_provider_t *provider, ngx_http_intuit_state_work_t *work,
    int dir, ngx_uint_t *n)
{
    u_char                name[NGX_INTUIT_STATE_NAME_SIZE];
    ngx_int_t             rc;
    ngx_str_t             plain;
    const char           *wrong;
    ngx_http_intuit_id_t  id;

    ngx_str_null(&plain);

    wrong = ngx_http_intuit_state_read(work, dir, &plain);

    if (wrong == NULL) {
        ngx_memcpy(id.data, work->state.id, NGX_HTTP_INTUIT_ID_LEN);

        rc = ngx_http_intuit_state_adopt(provider, &id, &plain,
                                         work->state.generation);
        if (rc == NGX_OK) {
            (*n)++;

        } else {
            wrong = (rc == NGX_BUSY) ? "no room in intuit_shared_zone"
                                     : "it was written by another version";
        }

        ngx_intuit_cleanse(plain.data, plain.len);
    }

    if (wrong != NULL) {
        ngx_intuit_state_name(name, &work->state);

        ngx_log_error(NGX_LOG_ERR, cycle->log, work->err,
                      "intuit state file \"%s/%s\" is not used, and left as "
                      "it is: %s", work->path, name, wrong);
    }

    return work->state.generation;
}


static void
ngx_http_intuit_state_work_init(ngx_http_intuit_state_work_t *work,
    ngx_http_intuit_provider_t *provider, ngx_pool_t *pool)
{
    ngx_memzero(work, sizeof(ngx_http_intuit_state_work_t));

    work->pool = pool;
    work->path = (char *) provider->state_path->name.data;
    work->keys = provider->state_keys;
    work->nkeys = provider->keys.nelts;
    work->state.owner = provider->identity;
    work->lock = NGX_INVALID_FILE;
}


/* NGX_OK: it is in the store, or something newer is. */

static ngx_int_t
ngx_http_intuit_state_adopt(ngx_http_intuit_provider_t *provider,
    const ngx_http_intuit_id_t *id, const ngx_str_t *plain,
    uint64_t generation)
{
    uint64_t                 current;
    ngx_int_t                rc;
    ngx_uint_t               leased;
    ngx_http_intuit_id_t     own;
    ngx_intuit_connection_t  c;

    if (ngx_intuit_connection_decode(plain, &c) != NGX_OK
        || ngx_http_intuit_pending_id(provider, &c, &own) != NGX_OK
        || ngx_memcmp(own.data, id->data, NGX_HTTP_INTUIT_ID_LEN) != 0)
    {
        return NGX_ERROR;
    }

    for ( ;; ) {
        current = 0;

        (void) ngx_http_intuit_connection_peek(provider->store, id,
                                               ngx_time(), &current, &leased);
        if (current >= generation) {
            return NGX_OK;
        }

        rc = ngx_http_intuit_connection_replace(provider->store, id, plain,
                                                &current, generation,
                                                ngx_time());
        if (rc != NGX_DECLINED) {
            return rc;
        }
    }
}


ngx_http_intuit_state_op_t *
ngx_http_intuit_state_begin(ngx_http_intuit_provider_t *provider,
    const ngx_http_intuit_id_t *id, uint64_t base)
{
    ngx_http_intuit_state_op_t  *op;

    op = ngx_http_intuit_state_create(provider, id);
    if (op == NULL) {
        return NULL;
    }

    op->call = ngx_http_intuit_state_lock;
    op->work.base = base;

    ngx_http_intuit_state_run(op);

    return op;
}


ngx_http_intuit_state_op_t *
ngx_http_intuit_state_save(ngx_http_intuit_provider_t *provider,
    const ngx_http_intuit_id_t *id, uint64_t base, const ngx_str_t *encoded)
{
    ngx_http_intuit_state_op_t  *op;

    op = ngx_http_intuit_state_create(provider, id);
    if (op == NULL) {
        return NULL;
    }

    op->work.plain.len = encoded->len;
    op->work.plain.data = ngx_pstrdup(op->work.pool, (ngx_str_t *) encoded);

    if (op->work.plain.data == NULL) {
        ngx_http_intuit_state_destroy(op);
        return NULL;
    }

    op->call = ngx_http_intuit_state_write;
    op->work.base = base;
    op->work.state.generation = ngx_http_intuit_connection_next(
                                                     provider->store, base);
    ngx_http_intuit_state_run(op);

    return op;
}


/* of a pool of its own: a job may end before its thread does */

static ngx_http_intuit_state_op_t *
ngx_http_intuit_state_create(ngx_http_intuit_provider_t *provider,
    const ngx_http_intuit_id_t *id)
{
    ngx_pool_t                  *pool;
    ngx_http_intuit_state_op_t  *op;

    pool = ngx_create_pool(NGX_DEFAULT_POOL_SIZE, ngx_cycle->log);
    if (pool == NULL) {
        return NULL;
    }

    op = ngx_pcalloc(pool, sizeof(ngx_http_intuit_state_op_t));
    if (op == NULL) {
        ngx_destroy_pool(pool);
        return NULL;
    }

    ngx_http_intuit_state_work_init(&op->work, provider, pool);

    op->provider = provider;
    op->id = *id;
    ngx_memcpy(op->work.state.id, id->data, NGX_HTTP_INTUIT_ID_LEN);

    return op;
}


static void
ngx_http_intuit_state_run(ngx_http_intuit_state_op_t *op)
{
#if (NGX_THREADS)

    ngx_thread_task_t  *task;

    task = NULL;

    if (!ngx_http_intuit_state_exiting) {
        task = ngx_thread_task_alloc(op->work.pool, 0);
    }

    if (task != NULL) {
        task->ctx = op;
        task->handler = ngx_http_intuit_state_thread;
        task->event.data = op;
        task->event.handler = ngx_http_intuit_state_event;

        if (ngx_thread_task_post(op->provider->state_pool, task) == NGX_OK) {
            return;
        }
    }

#endif

    op->rc = op->call(&op->work);

    ngx_http_intuit_state_complete(op);
}


#if (NGX_THREADS)

static void
ngx_http_intuit_state_thread(void *data, ngx_log_t *log)
{
    ngx_http_intuit_state_op_t  *op = data;

    (void) log;

    op->rc = op->call(&op->work);
}


static void
ngx_http_intuit_state_event(ngx_event_t *ev)
{
    ngx_http_intuit_state_complete(ev->data);
}

#endif


static void
ngx_http_intuit_state_complete(ngx_http_intuit_state_op_t *op)
{
    if (op->rc == NGX_DECLINED
        && ngx_http_intuit_state_adopt(op->provider, &op->id, &op->work.plain,
                                       op->work.found)
           != NGX_OK)
    {
        op->rc = (op->call == ngx_http_intuit_state_lock) ? NGX_ABORT
                                                          : NGX_ERROR;
        op->work.what = "take over";
        op->work.err = 0;
    }

    ngx_http_intuit_state_say(op);

    op->done = 1;

    if (op->flush) {
        ngx_http_intuit_state_flush_end(op->flush, op->rc);
        op->freed = 1;
    }

    if (op->freed) {
        ngx_http_intuit_state_destroy(op);
    }
}


static void
ngx_http_intuit_state_say(ngx_http_intuit_state_op_t *op)
{
    ngx_http_intuit_runtime_t  *runtime;

    runtime = op->provider->runtime;

    if ((op->rc == NGX_ERROR || op->rc == NGX_ABORT) && !runtime->state_failed)
    {
        runtime->state_failed = 1;
        ngx_http_intuit_note(op->provider, "state", 1, NULL);

        ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, op->work.err,
                      "intuit state_path \"%s\" cannot be used (%s): tokens "
                      "are in memory only until it can, do not restart nginx",
                      op->work.path, op->work.what);
    }

    if (op->rc == NGX_OK && op->call == ngx_http_intuit_state_write
        && runtime->state_failed)
    {
        runtime->state_failed = 0;
        ngx_http_intuit_note(op->provider, "state", 0, NULL);

        ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                      "intuit state_path \"%s\" can be used again",
                      op->work.path);
    }
}


ngx_int_t
ngx_http_intuit_state_result(const ngx_http_intuit_state_op_t *op,
    uint64_t *generation)
{
    *generation = op->work.state.generation;

    return op->done ? op->rc : NGX_AGAIN;
}


const ngx_str_t *
ngx_http_intuit_state_found(const ngx_http_intuit_state_op_t *op)
{
    return op->work.found ? &op->work.plain : NULL;
}


void
ngx_http_intuit_state_free(ngx_http_intuit_state_op_t *op)
{
    op->freed = 1;

    if (op->done) {
        ngx_http_intuit_state_destroy(op);
    }
}


static void
ngx_http_intuit_state_destroy(ngx_http_intuit_state_op_t *op)
{
    if (op->work.lock != NGX_INVALID_FILE) {
        (void) close(op->work.lock);
    }

    ngx_intuit_cleanse(op->work.plain.data, op->work.plain.len);

    ngx_destroy_pool(op->work.pool);
}


void
ngx_http_intuit_state_flush(ngx_http_intuit_provider_t *provider,
    const ngx_http_intuit_id_t *id)
{
    ngx_http_intuit_state_sync(provider, id, 0);
}


void
ngx_http_intuit_state_drop(ngx_http_intuit_provider_t *provider,
    const ngx_http_intuit_id_t *id)
{
    ngx_http_intuit_state_sync(provider, id, 1);
}


static void
ngx_http_intuit_state_sync(ngx_http_intuit_provider_t *provider,
    const ngx_http_intuit_id_t *id, ngx_uint_t drop)
{
    ngx_queue_t                    *q, *queue;
    ngx_http_intuit_state_flush_t  *flush;

    if (provider->redis) {
        ngx_http_intuit_share_push(provider, id, drop);
    }

    if (provider->state_path == NULL) {
        return;
    }

    queue = &ngx_http_intuit_state_flushes;

    if (queue->next == NULL) {
        ngx_queue_init(queue);
    }

    for (q = ngx_queue_head(queue);
         q != ngx_queue_sentinel(queue);
         q = ngx_queue_next(q))
    {
        flush = ngx_queue_data(q, ngx_http_intuit_state_flush_t, queue);

        if (flush->timer.timer_set
            && ngx_memcmp(flush->id.data, id->data, NGX_HTTP_INTUIT_ID_LEN)
               == 0)
        {
            flush->drop = (drop != 0);
            return;
        }
    }

    flush = ngx_calloc(sizeof(ngx_http_intuit_state_flush_t), ngx_cycle->log);
    if (flush == NULL) {
        return;
    }

    flush->provider = provider;
    flush->id = *id;
    flush->drop = (drop != 0);
    flush->delay = NGX_HTTP_INTUIT_STATE_RETRY / 2;

    flush->timer.handler = ngx_http_intuit_state_flush_timer;
    flush->timer.data = flush;
    flush->timer.log = ngx_cycle->log;
    flush->timer.cancelable = 1;

    ngx_queue_insert_tail(queue, &flush->queue);

    /* what a job saves is in the store a moment later */

    ngx_add_timer(&flush->timer, 1);
}


static void
ngx_http_intuit_state_flush_timer(ngx_event_t *ev)
{
    uint64_t                        generation;
    ngx_int_t                       rc;
    ngx_intuit_connection_t         c;
    ngx_http_intuit_state_op_t     *op;
    ngx_http_intuit_state_flush_t  *flush;

    flush = ev->data;

    op = ngx_http_intuit_state_create(flush->provider, &flush->id);
    if (op == NULL) {
        ngx_http_intuit_state_flush_end(flush, NGX_ERROR);
        return;
    }

    rc = ngx_http_intuit_connection_load(flush->provider->store, &flush->id,
                                         op->work.pool, &c, &generation);

    if (rc == NGX_OK
        && ngx_intuit_connection_encode(op->work.pool, &c, &op->work.plain)
           != NGX_OK)
    {
        rc = NGX_ERROR;
    }

    if (rc == NGX_DECLINED && flush->drop) {
        op->call = ngx_http_intuit_state_unlink;
        op->work.base = ngx_http_intuit_connection_next(flush->provider->store,
                                                        0);

    } else if (rc == NGX_OK) {
        op->call = ngx_http_intuit_state_write;
        op->work.state.generation = generation;
        op->work.base = generation - 1;

        if (ngx_http_intuit_pending_disconnected(&c)) {
            op->work.buried = c.current.issued;
        }

    } else {
        ngx_http_intuit_state_destroy(op);
        ngx_http_intuit_state_flush_end(flush, rc);
        return;
    }

    op->flush = flush;

    ngx_http_intuit_state_run(op);
}


static void
ngx_http_intuit_state_flush_end(ngx_http_intuit_state_flush_t *flush,
    ngx_int_t rc)
{
    if (rc == NGX_ERROR && !ngx_http_intuit_state_exiting) {
        flush->delay = ngx_min(flush->delay * 2,
                               NGX_HTTP_INTUIT_STATE_RETRY_MAX);
        ngx_add_timer(&flush->timer, flush->delay);
        return;
    }

    ngx_queue_remove(&flush->queue);
    ngx_free(flush);
}


void
ngx_http_intuit_state_exit(void)
{
    ngx_queue_t                    *q, *queue;
    ngx_http_intuit_state_flush_t  *flush;

    queue = &ngx_http_intuit_state_flushes;

    if (queue->next == NULL) {
        return;
    }

    /* the threads have ended, and nobody is kept waiting any more */

    ngx_http_intuit_state_exiting = 1;

    while (!ngx_queue_empty(queue)) {
        q = ngx_queue_head(queue);
        flush = ngx_queue_data(q, ngx_http_intuit_state_flush_t, queue);

        if (flush->timer.timer_set) {
            ngx_del_timer(&flush->timer);
            ngx_http_intuit_state_flush_timer(&flush->timer);

        } else {
            ngx_queue_remove(q);
        }
    }
}
