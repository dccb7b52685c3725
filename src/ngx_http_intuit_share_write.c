/*
 * Connections that several hosts share: leases, compare-and-set, and what has
 * to be written later.
 */

#include "ngx_http_intuit_share.h"
#include "ngx_intuit_point.h"


#define NGX_HTTP_INTUIT_SHARE_MARGIN  5000     /* ms past the job's deadline */
#define NGX_HTTP_INTUIT_SHARE_RETRY   500      /* ms, doubled each time */
#define NGX_HTTP_INTUIT_SHARE_RETRY_MAX  8000


/* what this worker has still to write, or to give back */
typedef struct {
    ngx_queue_t                   queue;
    ngx_event_t                   timer;
    ngx_msec_t                    delay;
    ngx_http_intuit_provider_t   *provider;
    ngx_http_intuit_id_t          id;
    uint64_t                      generation;  /* here, when it was sent */
    uint64_t                      next;        /* there */
    unsigned                      again:1;     /* it has changed meanwhile */
    unsigned                      drop:1;      /* if the zone has it no more */
} ngx_http_intuit_share_push_t;

/* what is to be done some time soon */
typedef struct {
    const ngx_str_t              *script;
    const char                   *kinds;
    ngx_http_intuit_id_t          id;
    ngx_str_t                     args[NGX_HTTP_INTUIT_SHARE_ARGS + 1];
} ngx_http_intuit_share_told_t;


static ngx_int_t ngx_http_intuit_share_tell_now(ngx_http_intuit_job_t *job);
static ngx_http_intuit_share_push_t *ngx_http_intuit_share_pushing(
    ngx_http_intuit_provider_t *provider, const ngx_http_intuit_id_t *id);
static void ngx_http_intuit_share_push_timer(ngx_event_t *ev);
static ngx_int_t ngx_http_intuit_share_push_send(ngx_http_intuit_job_t *job);
static ngx_int_t ngx_http_intuit_share_push_sent(ngx_http_intuit_job_t *job);
static ngx_int_t ngx_http_intuit_share_told(ngx_http_intuit_job_t *job);
static void ngx_http_intuit_share_push_done(ngx_http_intuit_job_t *job,
    ngx_int_t rc);
static ngx_int_t ngx_http_intuit_share_newer(ngx_http_intuit_job_t *job,
    const ngx_http_intuit_id_t *id, const ngx_intuit_connection_t *theirs);
static ngx_int_t ngx_http_intuit_share_take(ngx_http_intuit_job_t *job,
    const ngx_http_intuit_id_t *id, const ngx_str_t *encoded,
    uint64_t shared);


static ngx_queue_t  ngx_http_intuit_share_pushes;


/*
 * Who has it already, because an answer was lost, gets it.  Who does not get it
 * may have to wait for its end for nothing: a connection that is newer than
 * ARGV[3] is handed out all the same, in an array.
 */

static ngx_str_t  ngx_http_intuit_share_lease_script = ngx_string(
    "local o=redis.call('GET',KEYS[1]) "
    "if o and o~=ARGV[1] then "
        "local v=redis.call('GET',KEYS[2]) "
        "if v and string.sub(v,1,20)>ARGV[3] then return {v} end "
        "return false "
    "end "
    "redis.call('SET',KEYS[1],ARGV[1],'PX',ARGV[2]) "
    "return redis.call('GET',KEYS[2]) or ''"
);

static ngx_str_t  ngx_http_intuit_share_release_script = ngx_string(
    "if redis.call('GET',KEYS[1])~=ARGV[1] then return 0 end "
    "return redis.call('DEL',KEYS[1])"
);

static ngx_str_t  ngx_http_intuit_share_save_script = ngx_string(
    "local v=redis.call('GET',KEYS[1]) "
    "if v and v~=ARGV[2] and string.sub(v,1,20)>ARGV[1] then return v end "
    "redis.call('SET',KEYS[1],ARGV[2]) "
    "return 1"
);


ngx_int_t
ngx_http_intuit_share_name(ngx_pool_t *pool,
    const ngx_http_intuit_provider_t *provider, u_char kind,
    const ngx_http_intuit_id_t *id, ngx_str_t *name)
{
    ngx_intuit_shared_t  shared;

    shared.kind = kind;
    shared.id = id->data;

    return ngx_intuit_shared_name(pool, &provider->redis->prefix, &shared,
                                  name);
}


ngx_int_t
ngx_http_intuit_share_eval(ngx_http_intuit_job_t *job,
    const ngx_str_t *script, const char *kinds, const ngx_http_intuit_id_t *id,
    const ngx_str_t *args)
{
    ngx_uint_t                   n;
    ngx_http_intuit_redis_ask_t  ask;

    ngx_str_set(&ask.args[0], "EVAL");
    ask.args[1] = *script;
    ask.args[2].len = 1;
    ask.args[2].data = (u_char *) &"0123"[ngx_strlen(kinds)];

    n = 3;

    for ( /* void */ ; *kinds; kinds++) {
        if (ngx_http_intuit_share_name(job->pool, job->provider,
                                       (u_char) *kinds, id, &ask.args[n++])
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    for ( /* void */ ; args->data; args++) {

        ask.args[n].len = args->len;
        ask.args[n].data = ngx_pstrdup(job->pool, (ngx_str_t *) args);
        if (ask.args[n++].data == NULL) {
            return NGX_ERROR;
        }
    }

    ask.nargs = n;

    return ngx_http_intuit_redis_ask(job, &ask);
}


void
ngx_http_intuit_share_tell(ngx_http_intuit_provider_t *provider,
    const ngx_str_t *script, const char *kinds, const ngx_http_intuit_id_t *id,
    const ngx_str_t *args)
{
    ngx_uint_t                     i;
    ngx_http_intuit_job_t         *job;
    ngx_http_intuit_share_told_t  *told;

    job = ngx_http_intuit_job_create(provider, "store");
    if (job == NULL) {
        return;
    }

    told = ngx_pcalloc(job->pool, sizeof(ngx_http_intuit_share_told_t));
    if (told == NULL) {
        ngx_http_intuit_job_discard(job);
        return;
    }

    told->script = script;
    told->kinds = kinds;
    told->id = *id;

    for (i = 0; args[i].data; i++) {

        told->args[i].len = args[i].len;
        told->args[i].data = ngx_pstrdup(job->pool, (ngx_str_t *) &args[i]);
        if (told->args[i].data == NULL) {
            ngx_http_intuit_job_discard(job);
            return;
        }
    }

    job->data = told;
    job->step = ngx_http_intuit_share_tell_now;

    ngx_http_intuit_job_run(job);
}


static ngx_int_t
ngx_http_intuit_share_tell_now(ngx_http_intuit_job_t *job)
{
    ngx_http_intuit_share_told_t  *told;

    told = job->data;

    job->step = ngx_http_intuit_share_told;

    return ngx_http_intuit_share_eval(job, told->script, told->kinds,
                                      &told->id, told->args);
}


static ngx_int_t
ngx_http_intuit_share_told(ngx_http_intuit_job_t *job)
{
    return job->ask->rc;
}


ngx_int_t
ngx_http_intuit_share_lease(ngx_http_intuit_job_t *job,
    const ngx_http_intuit_id_t *id, ngx_str_t *owner)
{
    u_char                     number[NGX_INT_T_LEN];
    u_char                     shared[NGX_INTUIT_SHARED_NUMBER_LEN];
    ngx_str_t                  args[4];
    ngx_msec_t                 msec;
    ngx_http_intuit_synced_t   synced;

    if (ngx_http_intuit_share_owner(job->pool, owner) != NGX_OK) {
        return NGX_ERROR;
    }

    (void) ngx_http_intuit_connection_synced(job->provider->store, id,
                                             &synced);

    /* for as long as it can take to refresh, and to write that twice */

    msec = 2 * ngx_http_intuit_job_deadline(job->provider)
           + NGX_HTTP_INTUIT_SHARE_MARGIN;

    args[0] = *owner;
    args[1].data = number;
    args[1].len = ngx_sprintf(number, "%M", msec) - number;
    args[2].data = shared;
    args[2].len = ngx_intuit_shared_number(shared, synced.shared) - shared;
    ngx_str_null(&args[3]);

    return ngx_http_intuit_share_eval(job, &ngx_http_intuit_share_lease_script,
                                      "lc", id, args);
}


ngx_int_t
ngx_http_intuit_share_owner(ngx_pool_t *pool, ngx_str_t *owner)
{
    u_char  random[NGX_HTTP_INTUIT_LEASE_LEN];

    if (owner->len) {
        return NGX_OK;
    }

    owner->len = ngx_intuit_base64url_len(NGX_HTTP_INTUIT_LEASE_LEN);
    owner->data = ngx_pnalloc(pool, owner->len);

    if (owner->data == NULL
        || ngx_intuit_random(random, sizeof(random)) != NGX_OK)
    {
        ngx_str_null(owner);
        return NGX_ERROR;
    }

    (void) ngx_intuit_base64url_encode(owner->data, random, sizeof(random));

    return NGX_OK;
}


ngx_int_t
ngx_http_intuit_share_leased(ngx_http_intuit_job_t *job,
    const ngx_http_intuit_id_t *id)
{
    if (job->ask->rc != NGX_OK) {
        ngx_log_error(NGX_LOG_ERR, job->log, 0,
                      "intuit refresh is put off: the shared store cannot be "
                      "asked who else is at it");
        return NGX_ERROR;
    }

    if (job->ask->answer.value.type == NGX_INTUIT_RESP_NIL
        || job->ask->answer.value.type == NGX_INTUIT_RESP_ARRAY)
    {
        if (job->ask->answer.nitems == 1) {
            (void) ngx_http_intuit_share_adopt(job, id,
                                           &job->ask->answer.items[0].text);
        }

        ngx_http_intuit_redis_forget(job);
        return NGX_BUSY;
    }

    ngx_intuit_point("shared-lease-taken");

    return ngx_http_intuit_share_adopt(job, id,
                                       &job->ask->answer.value.text);
}


void
ngx_http_intuit_share_release(ngx_http_intuit_provider_t *provider,
    const ngx_http_intuit_id_t *id, const ngx_str_t *owner)
{
    ngx_str_t  args[2];

    /* where that fails, it ends by itself */

    args[0] = *owner;
    ngx_str_null(&args[1]);

    ngx_http_intuit_share_tell(provider, &ngx_http_intuit_share_release_script,
                               "l", id, args);
}


ngx_int_t
ngx_http_intuit_share_save(ngx_http_intuit_job_t *job,
    const ngx_http_intuit_id_t *id, const ngx_str_t *encoded, uint64_t *next)
{
    u_char                       number[NGX_INTUIT_SHARED_NUMBER_LEN];
    ngx_str_t                    args[3];
    ngx_intuit_shared_t          shared;
    ngx_http_intuit_synced_t     synced;
    ngx_http_intuit_provider_t  *provider;

    provider = job->provider;

    (void) ngx_http_intuit_connection_synced(provider->store, id, &synced);

    *next = synced.shared + 1;

    shared.kind = NGX_INTUIT_SHARED_CONNECTION;
    shared.id = id->data;
    shared.generation = *next;

    args[0].data = number;
    args[0].len = ngx_intuit_shared_number(number, synced.shared) - number;
    ngx_str_null(&args[2]);

    if (ngx_intuit_shared_seal(job->pool, provider->share_keys, &shared,
                               encoded, &args[1])
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_intuit_point("before-shared");

    return ngx_http_intuit_share_eval(job, &ngx_http_intuit_share_save_script,
                                      "c", id, args);
}


ngx_int_t
ngx_http_intuit_share_saved(ngx_http_intuit_job_t *job,
    const ngx_http_intuit_id_t *id)
{
    ngx_int_t                 rc;
    ngx_intuit_resp_value_t  *value;

    if (job->ask->rc != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_intuit_point("after-shared");

    value = &job->ask->answer.value;

    if (value->type != NGX_INTUIT_RESP_STRING) {
        return NGX_OK;
    }

    rc = ngx_http_intuit_share_adopt(job, id, &value->text);

    return rc == NGX_OK ? NGX_DECLINED : NGX_ERROR;
}


ngx_int_t
ngx_http_intuit_share_adopt(ngx_http_intuit_job_t *job,
    const ngx_http_intuit_id_t *id, const ngx_str_t *value)
{
    ngx_int_t                    rc;
    ngx_str_t                    plain;
    ngx_uint_t                   known;
    ngx_intuit_shared_t          shared;
    ngx_intuit_connection_t      c;
    ngx_http_intuit_synced_t     synced;
    ngx_http_intuit_provider_t  *provider;

    provider = job->provider;

    known = (ngx_http_intuit_connection_synced(provider->store, id, &synced)
             == NGX_OK);

    if (value->len == 0) {

        if (known) {
            /* lost there */
            ngx_http_intuit_share_push(provider, id, 0);
        }

        return NGX_OK;
    }

    shared.kind = NGX_INTUIT_SHARED_CONNECTION;
    shared.id = id->data;

    rc = ngx_intuit_shared_open(job->pool, provider->share_keys,
                                provider->keys.nelts, &shared, value, &plain);

    if (rc == NGX_ERROR) {
        return NGX_ERROR;
    }

    if (rc != NGX_OK || ngx_intuit_connection_decode(&plain, &c) != NGX_OK) {
        ngx_log_error(NGX_LOG_ERR, job->log, 0,
                      "intuit connection in the shared store cannot be read: "
                      "it was altered, or written with another "
                      "encryption_key_file or another version");
        return NGX_ERROR;
    }

    if (!known || shared.generation > synced.shared) {

        if (known && synced.shared == 0
            && ngx_http_intuit_share_newer(job, id, &c) == NGX_OK)
        {
            /* of a file, that has what could not be written there */

            synced.shared = shared.generation;
            ngx_http_intuit_connection_sync(provider->store, id, &synced);
            ngx_http_intuit_share_push(provider, id, 0);
            rc = NGX_OK;

        } else {
            rc = ngx_http_intuit_share_take(job, id, &plain,
                                            shared.generation);
        }

    } else if (shared.generation < synced.shared
               || synced.generation != synced.synced)
    {
        ngx_http_intuit_share_push(provider, id, 0);
    }

    ngx_intuit_cleanse(plain.data, plain.len);

    return rc;
}


/* NGX_OK: what the zone has was received later than that */

static ngx_int_t
ngx_http_intuit_share_newer(ngx_http_intuit_job_t *job,
    const ngx_http_intuit_id_t *id, const ngx_intuit_connection_t *theirs)
{
    uint64_t                 generation;
    ngx_intuit_connection_t  ours;

    if (ngx_http_intuit_connection_load(job->provider->store, id, job->pool,
                                        &ours, &generation)
        != NGX_OK)
    {
        return NGX_DECLINED;
    }

    return ours.current.refreshed > theirs->current.refreshed ? NGX_OK
                                                              : NGX_DECLINED;
}


static ngx_int_t
ngx_http_intuit_share_take(ngx_http_intuit_job_t *job,
    const ngx_http_intuit_id_t *id, const ngx_str_t *encoded, uint64_t shared)
{
    uint64_t                   generation;
    ngx_int_t                  rc;
    ngx_http_intuit_store_t   *store;
    ngx_http_intuit_synced_t   synced;

    store = job->provider->store;

    for ( ;; ) {
        (void) ngx_http_intuit_connection_synced(store, id, &synced);

        if (synced.shared >= shared) {
            /* another worker was faster */
            return NGX_OK;
        }

        generation = synced.generation;

        rc = ngx_http_intuit_connection_save(store, id, encoded, &generation,
                                             ngx_time());
        if (rc == NGX_OK) {
            break;
        }

        if (rc != NGX_DECLINED) {
            return rc;
        }
    }

    synced.shared = shared;
    synced.synced = generation;

    ngx_http_intuit_connection_sync(store, id, &synced);

    return NGX_OK;
}


void
ngx_http_intuit_share_push(ngx_http_intuit_provider_t *provider,
    const ngx_http_intuit_id_t *id, ngx_uint_t drop)
{
    ngx_http_intuit_share_push_t  *push;

    push = ngx_http_intuit_share_pushing(provider, id);

    if (push != NULL) {
        push->again = 1;
        push->drop = (drop != 0);
        return;
    }

    push = ngx_calloc(sizeof(ngx_http_intuit_share_push_t), ngx_cycle->log);
    if (push == NULL) {
        return;
    }

    push->provider = provider;
    push->id = *id;
    push->drop = (drop != 0);
    push->delay = NGX_HTTP_INTUIT_SHARE_RETRY / 2;

    push->timer.handler = ngx_http_intuit_share_push_timer;
    push->timer.data = push;
    push->timer.log = ngx_cycle->log;
    push->timer.cancelable = 1;

    ngx_queue_insert_tail(&ngx_http_intuit_share_pushes, &push->queue);

    /* what a job saves is in the zone a moment later */

    ngx_add_timer(&push->timer, 1);
}


static ngx_http_intuit_share_push_t *
ngx_http_intuit_share_pushing(ngx_http_intuit_provider_t *provider,
    const ngx_http_intuit_id_t *id)
{
    ngx_queue_t                   *q, *queue;
    ngx_http_intuit_share_push_t  *push;

    queue = &ngx_http_intuit_share_pushes;

    if (queue->next == NULL) {
        ngx_queue_init(queue);
    }

    for (q = ngx_queue_head(queue);
         q != ngx_queue_sentinel(queue);
         q = ngx_queue_next(q))
    {
        push = ngx_queue_data(q, ngx_http_intuit_share_push_t, queue);

        if (push->provider == provider
            && ngx_memcmp(push->id.data, id->data, NGX_HTTP_INTUIT_ID_LEN)
               == 0)
        {
            return push;
        }
    }

    return NULL;
}


static void
ngx_http_intuit_share_push_timer(ngx_event_t *ev)
{
    ngx_http_intuit_job_t         *job;
    ngx_http_intuit_share_push_t  *push;

    push = ev->data;

    job = ngx_http_intuit_job_create(push->provider, "store");

    if (job == NULL) {
        ngx_add_timer(ev, push->delay);
        return;
    }

    push->again = 0;

    job->data = push;
    job->step = ngx_http_intuit_share_push_send;
    job->done = ngx_http_intuit_share_push_done;

    ngx_http_intuit_job_run(job);
}


static ngx_int_t
ngx_http_intuit_share_push_send(ngx_http_intuit_job_t *job)
{
    ngx_int_t                      rc;
    ngx_str_t                      encoded;
    ngx_intuit_connection_t        c;
    ngx_http_intuit_synced_t       synced;
    ngx_http_intuit_redis_ask_t    ask;
    ngx_http_intuit_share_push_t  *push;

    push = job->data;

    rc = ngx_http_intuit_connection_load(push->provider->store, &push->id,
                                         job->pool, &c, &push->generation);
    if (rc == NGX_DECLINED) {

        if (!push->drop) {
            /* what this host does not know others may */
            return NGX_OK;
        }

        ngx_str_set(&ask.args[0], "DEL");
        ask.nargs = 2;

        if (ngx_http_intuit_share_name(job->pool, push->provider,
                                       NGX_INTUIT_SHARED_CONNECTION, &push->id,
                                       &ask.args[1])
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        job->step = ngx_http_intuit_share_told;

        return ngx_http_intuit_redis_ask(job, &ask);
    }

    if (rc != NGX_OK
        || ngx_intuit_connection_encode(job->pool, &c, &encoded) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ngx_http_intuit_connection_synced(push->provider->store, &push->id,
                                          &synced)
        != NGX_OK)
    {
        return NGX_OK;
    }

    job->step = ngx_http_intuit_share_push_sent;

    rc = ngx_http_intuit_share_save(job, &push->id, &encoded, &push->next);

    ngx_intuit_cleanse(encoded.data, encoded.len);

    return rc;
}


static ngx_int_t
ngx_http_intuit_share_push_sent(ngx_http_intuit_job_t *job)
{
    ngx_int_t                      rc;
    ngx_http_intuit_synced_t       synced;
    ngx_http_intuit_share_push_t  *push;

    push = job->data;

    rc = ngx_http_intuit_share_saved(job, &push->id);

    if (rc == NGX_OK) {
        synced.shared = push->next;
        synced.synced = push->generation;

        ngx_http_intuit_connection_sync(push->provider->store, &push->id,
                                        &synced);
    }

    /* another host has written a newer one, which is in the zone now */

    return rc == NGX_DECLINED ? NGX_OK : rc;
}


static void
ngx_http_intuit_share_push_done(ngx_http_intuit_job_t *job, ngx_int_t rc)
{
    ngx_http_intuit_share_push_t  *push;

    push = job->data;

    if (rc == NGX_OK && push->again) {
        ngx_add_timer(&push->timer, 1);
        return;
    }

    if (rc != NGX_OK) {
        push->delay = ngx_min(push->delay * 2,
                              NGX_HTTP_INTUIT_SHARE_RETRY_MAX);
        ngx_add_timer(&push->timer, push->delay);
        return;
    }

    ngx_queue_remove(&push->queue);
    ngx_free(push);
}
