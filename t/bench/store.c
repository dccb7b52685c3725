/*
 * A module for the bench only: it puts many sessions into the zone of the
 * module beside it, and measures the store's own functions there, in nginx's
 * real slab allocator and trees, as the release build has them.
 *
 *     bench_store fill COUNT;
 *     bench_store measure COUNT FILE;
 *     bench_store evict COUNT FILE;
 *
 * On a reload it copies what a real login has left in the zone: one session
 * and one connection; the sessions are of 10,000 connections in turn.  Where
 * there is none (at the start) it does nothing.  FILE gets one line of JSON.
 *
 * The longest of many calls is by the CPU time of this process, so that others
 * that run meanwhile are not in it; a verb holds the lock for less than that.
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include <valgrind/callgrind.h>
#include "ngx_http_intuit_store_shm.h"


#define BENCH_FEW      1000
#define BENCH_LOOKUPS  20000
#define BENCH_COMPANIES  10000
#define BENCH_STEP     64            /* ids a lock, of the status page */
#define BENCH_IDLE     (30 * 24 * 3600)


typedef struct {
    ngx_str_t                  mode;
    ngx_uint_t                 count;
    ngx_str_t                  file;
} bench_conf_t;

typedef struct {
    ngx_pool_t                *pool;
    ngx_http_intuit_store_t   *store;
    ngx_str_t                  session;     /* encoded */
    ngx_str_t                  own;         /* the same, with own tokens */
    ngx_str_t                  tokens;      /* the connection, encoded */
    time_t                     expires;
    time_t                     now;
    ngx_uint_t                 inserted;
    double                     clock;       /* ns, reading it twice */
    double                     spent;       /* ns, of all calls */
    double                     longest;     /* ns, of one call */
    uint64_t                   start;       /* of the current one */
} bench_t;


static void *bench_create_conf(ngx_cycle_t *cycle);
static char *bench_set(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
static ngx_int_t bench_init_module(ngx_cycle_t *cycle);


static ngx_command_t  bench_commands[] = {

    { ngx_string("bench_store"),
      NGX_MAIN_CONF|NGX_DIRECT_CONF|NGX_CONF_TAKE23,
      bench_set,
      0,
      0,
      NULL },

      ngx_null_command
};


static ngx_core_module_t  bench_module_ctx = {
    ngx_string("bench_store"),
    bench_create_conf,
    NULL
};


ngx_module_t  ngx_bench_store_module = {
    NGX_MODULE_V1,
    &bench_module_ctx,
    bench_commands,
    NGX_CORE_MODULE,
    NULL,                          /* init master */
    bench_init_module,
    NULL,                          /* init process */
    NULL,                          /* init thread */
    NULL,                          /* exit thread */
    NULL,                          /* exit process */
    NULL,                          /* exit master */
    NGX_MODULE_V1_PADDING
};


/* what nginx asks a dynamic module for */

ngx_module_t  *ngx_modules[] = { &ngx_bench_store_module, NULL };
char          *ngx_module_names[] = { "ngx_bench_store_module", NULL };
char          *ngx_module_order[] = { NULL };


static void *
bench_create_conf(ngx_cycle_t *cycle)
{
    return ngx_pcalloc(cycle->pool, sizeof(bench_conf_t));
}


static char *
bench_set(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_int_t      n;
    ngx_str_t     *value;
    bench_conf_t  *bcf;

    bcf = conf;
    value = cf->args->elts;

    n = ngx_atoi(value[2].data, value[2].len);

    if (n < BENCH_FEW) {
        return "has no count";
    }

    bcf->mode = value[1];
    bcf->count = n;

    if (cf->args->nelts > 3) {
        bcf->file = value[3];
    }

    return NGX_CONF_OK;
}


static uint64_t
bench_now(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);

    return (uint64_t) ts.tv_sec * 1000000000 + ts.tv_nsec;
}


static uint64_t
bench_cpu(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);

    return (uint64_t) ts.tv_sec * 1000000000 + ts.tv_nsec;
}


static void
bench_reset(bench_t *b)
{
    b->spent = 0;
    b->longest = 0;
}


static void
bench_begin(bench_t *b)
{
    b->start = bench_cpu();
}


static void
bench_end(bench_t *b)
{
    double  spent;

    spent = bench_cpu() - b->start - b->clock;

    b->spent += spent;
    b->longest = ngx_max(b->longest, spent);
}


/* what it costs to look at the clock */

static void
bench_calibrate(bench_t *b)
{
    ngx_uint_t  i;

    bench_reset(b);
    b->clock = 0;

    for (i = 0; i < BENCH_LOOKUPS; i++) {
        bench_begin(b);
        bench_end(b);
    }

    b->clock = b->spent / BENCH_LOOKUPS;
    bench_reset(b);
}


/* the identifier of session number n: as good as a hash (splitmix64) */

static void
bench_id(ngx_http_intuit_id_t *id, uint64_t n)
{
    uint64_t    z;
    ngx_uint_t  i;

    for (i = 0; i < NGX_HTTP_INTUIT_ID_LEN / 8; i++) {
        z = (n * 4 + i + 1) * 0x9e3779b97f4a7c15;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
        z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
        z ^= z >> 31;
        ngx_memcpy(id->data + i * 8, &z, 8);
    }
}


/* that of connection number n: no session's */

static void
bench_company(ngx_http_intuit_id_t *id, uint64_t n)
{
    bench_id(id, ((uint64_t) 1 << 40) + n);
}


static ngx_http_intuit_store_t *
bench_store(ngx_cycle_t *cycle)
{
    ngx_uint_t        i;
    ngx_shm_zone_t   *zone;
    ngx_list_part_t  *part;

    for (part = &cycle->shared_memory.part; part; part = part->next) {

        zone = part->elts;

        for (i = 0; i < part->nelts; i++) {
            if (zone[i].shm.name.len == 6
                && ngx_memcmp(zone[i].shm.name.data, "intuit", 6) == 0)
            {
                return zone[i].data;
            }
        }
    }

    return NULL;
}


static ngx_int_t
bench_copy(ngx_pool_t *pool, ngx_str_t *to, const u_char *data, size_t len)
{
    to->data = ngx_pnalloc(pool, len);
    if (to->data == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(to->data, data, len);
    to->len = len;

    return NGX_OK;
}


/* NGX_DECLINED: nobody has signed in */

static ngx_int_t
bench_sample(bench_t *b)
{
    ngx_queue_t                       *q;
    ngx_intuit_session_t               session;
    ngx_intuit_connection_t            connection;
    ngx_http_intuit_shm_index_t       *index;
    ngx_http_intuit_shm_session_t     *s;
    ngx_http_intuit_shm_connection_t  *c;

    index = &b->store->shm->index[NGX_HTTP_INTUIT_SHM_SESSION];

    if (index->count != 1) {
        return NGX_DECLINED;
    }

    q = ngx_queue_head(&index->queue);
    s = (ngx_http_intuit_shm_session_t *)
        ngx_queue_data(q, ngx_http_intuit_shm_record_t, queue);

    c = ngx_http_intuit_shm_find(b->store, NGX_HTTP_INTUIT_SHM_CONNECTION,
                                 &s->connection);

    if (c == NULL
        || bench_copy(b->pool, &b->session, s->data, s->len) != NGX_OK
        || bench_copy(b->pool, &b->tokens, c->data, c->len) != NGX_OK)
    {
        return NGX_ERROR;
    }

    b->expires = s->expires;

    if (ngx_intuit_session_decode(&b->session, &session) != NGX_OK
        || ngx_intuit_connection_decode(&b->tokens, &connection) != NGX_OK)
    {
        return NGX_ERROR;
    }

    /* a login without a company has its tokens in the session */

    session.own = connection.current;
    ngx_str_null(&session.realm);

    return ngx_intuit_session_encode(b->pool, &session, &b->own);
}


static ngx_int_t
bench_insert(bench_t *b, const ngx_str_t *encoded, ngx_uint_t count)
{
    ngx_int_t             rc;
    ngx_uint_t            i;
    ngx_http_intuit_id_t  id, company;

    for (i = 0; i < count; i++) {
        bench_id(&id, b->inserted);
        bench_company(&company, b->inserted++ % BENCH_COMPANIES);

        bench_begin(b);

        rc = ngx_http_intuit_session_create(b->store, &id, encoded,
                                            b->expires, &company, b->now);
        bench_end(b);

        if (rc != NGX_OK) {
            ngx_log_error(NGX_LOG_EMERG, ngx_cycle->log, 0,
                          "bench_store: no room for session %ui",
                          b->inserted);
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
bench_connect(bench_t *b, ngx_uint_t first, ngx_uint_t count)
{
    uint64_t              generation;
    ngx_int_t             rc;
    ngx_uint_t            i;
    ngx_http_intuit_id_t  id;

    for (i = first; i < first + count; i++) {
        bench_company(&id, i);
        generation = 0;

        bench_begin(b);

        rc = ngx_http_intuit_connection_save(b->store, &id, &b->tokens,
                                             &generation, b->now);
        bench_end(b);

        if (rc != NGX_OK) {
            ngx_log_error(NGX_LOG_EMERG, ngx_cycle->log, 0,
                          "bench_store: no room for connection %ui", i);
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* ns of one lookup among so many sessions, in random order; 0: it failed */

static double
bench_lookup(bench_t *b, ngx_uint_t among, const char *name)
{
    uint64_t                   start, spent;
    ngx_uint_t                 i;
    ngx_pool_t                *pool;
    ngx_http_intuit_id_t       id;
    ngx_http_intuit_loaded_t   loaded;

    spent = 0;

    /* collects nothing yet: --collect-atstart=no */

    CALLGRIND_START_INSTRUMENTATION;
    CALLGRIND_ZERO_STATS;

    for (i = 0; i < BENCH_LOOKUPS; i++) {

        pool = ngx_create_pool(8192, ngx_cycle->log);
        if (pool == NULL) {
            return 0;
        }

        bench_id(&id, (i * (uint64_t) 2654435761) % among);
        start = bench_now();

        CALLGRIND_TOGGLE_COLLECT;

        if (ngx_http_intuit_session_load(b->store, &id, BENCH_IDLE,
                                         ngx_time(), pool, &loaded)
            != NGX_OK
            || !loaded.has_connection)
        {
            return 0;
        }

        CALLGRIND_TOGGLE_COLLECT;

        spent += bench_now() - start;

        ngx_destroy_pool(pool);
    }

    CALLGRIND_DUMP_STATS_AT(name);
    CALLGRIND_STOP_INSTRUMENTATION;

    return (double) spent / BENCH_LOOKUPS;
}


static double
bench_cost(bench_t *b, size_t before, ngx_uint_t count)
{
    ngx_http_intuit_store_stat_t  stat;

    ngx_http_intuit_store_stat(b->store, &stat);

    return (double) (before - stat.free) / count;
}


static size_t
bench_free(bench_t *b)
{
    ngx_http_intuit_store_stat_t  stat;

    ngx_http_intuit_store_stat(b->store, &stat);

    return stat.free;
}


/* all connections, as the status page walks over them */

static void
bench_walk(bench_t *b)
{
    ngx_uint_t            n;
    ngx_http_intuit_id_t  ids[BENCH_STEP], last;

    ngx_memzero(&last, sizeof(ngx_http_intuit_id_t));

    do {
        bench_begin(b);
        n = ngx_http_intuit_connection_list(b->store, &last, ids, BENCH_STEP);
        bench_end(b);

        if (n) {
            last = ids[n - 1];
        }

    } while (n);
}


/* sessions that are over go as others come */

static ngx_int_t
bench_expire(bench_t *b, ngx_uint_t count, FILE *out)
{
    time_t      expires;
    ngx_uint_t  left;
    ngx_http_intuit_store_stat_t  stat;

    expires = b->expires;
    b->expires = b->now + 1;

    if (bench_insert(b, &b->session, count) != NGX_OK) {
        return NGX_ERROR;
    }

    b->expires = expires;
    b->now += 2;

    ngx_http_intuit_store_stat(b->store, &stat);
    left = stat.sessions;

    bench_reset(b);

    if (bench_insert(b, &b->session, count) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_http_intuit_store_stat(b->store, &stat);

    fprintf(out, "\"expire_ns\":%.0f,\"expire_longest_ns\":%.0f,"
            "\"expired\":%ld,", b->spent / count, b->longest,
            (long) (left + count - stat.sessions));

    return NGX_OK;
}


/* how many of all that were inserted are there */

static ngx_uint_t
bench_find(bench_t *b)
{
    ngx_uint_t            i, n;
    ngx_http_intuit_id_t  id;

    n = 0;

    ngx_http_intuit_shm_lock(b->store);

    for (i = 0; i < b->inserted; i++) {
        bench_id(&id, i);
        n += (ngx_http_intuit_shm_find(b->store, NGX_HTTP_INTUIT_SHM_SESSION,
                                       &id)
              != NULL);
    }

    ngx_http_intuit_shm_unlock(b->store);

    /* and no tree is out of order or balance */

    return (ngx_http_intuit_store_verify(b->store) == NGX_OK) ? n : 0;
}


/* what the next one does who finds that somebody was killed */

static void
bench_rebuild(bench_t *b, FILE *out)
{
    uint64_t                      start;
    ngx_http_intuit_store_stat_t  before, after;

    ngx_http_intuit_store_stat(b->store, &before);

    b->store->shm->busy = NGX_HTTP_INTUIT_SHM_CHANGED;

    start = bench_now();
    ngx_http_intuit_store_stat(b->store, &after);

    fprintf(out, "\"rebuild_ns\":%lu,\"rebuild_lost\":%ld,",
            (unsigned long) (bench_now() - start),
            (long) (before.sessions + before.connections - after.sessions
                    - after.connections));

    fprintf(out, "\"rebuild_found\":%lu,", (unsigned long) bench_find(b));

    b->store->shm->busy = NGX_HTTP_INTUIT_SHM_HELD;

    start = bench_now();
    ngx_http_intuit_store_stat(b->store, &after);

    fprintf(out, "\"looked_ns\":%lu}\n",
            (unsigned long) (bench_now() - start));
}


static ngx_int_t
bench_measure(bench_t *b, ngx_uint_t count, FILE *out)
{
    size_t                before;
    double                few, many;
    ngx_uint_t            i;
    ngx_http_intuit_id_t  id;

    before = bench_free(b);

    if (bench_connect(b, 0, BENCH_COMPANIES) != NGX_OK) {
        return NGX_ERROR;
    }

    fprintf(out, "{\"sessions\":%lu,\"connections\":%lu,"
            "\"connection_record\":%zu,\"connection_cost\":%.1f,"
            "\"save_ns\":%.0f,\"save_longest_ns\":%.0f,",
            (unsigned long) count, (unsigned long) BENCH_COMPANIES,
            sizeof(ngx_http_intuit_shm_connection_t) + b->tokens.len,
            bench_cost(b, before, BENCH_COMPANIES),
            b->spent / BENCH_COMPANIES, b->longest);

    before = bench_free(b);
    bench_reset(b);

    if (bench_insert(b, &b->session, BENCH_FEW) != NGX_OK) {
        return NGX_ERROR;
    }

    fprintf(out, "\"insert_few_ns\":%.0f,", b->spent / BENCH_FEW);

    few = bench_lookup(b, BENCH_FEW, "few");

    if (few == 0
        || bench_insert(b, &b->session, count - 2 * BENCH_FEW) != NGX_OK)
    {
        return NGX_ERROR;
    }

    fprintf(out, "\"insert_longest_ns\":%.0f,", b->longest);

    bench_reset(b);

    if (bench_insert(b, &b->session, BENCH_FEW) != NGX_OK) {
        return NGX_ERROR;
    }

    fprintf(out, "\"insert_ns\":%.0f,\"record\":%zu,\"encoded\":%zu,"
            "\"cost\":%.1f,", b->spent / BENCH_FEW,
            sizeof(ngx_http_intuit_shm_session_t) + b->session.len,
            b->session.len, bench_cost(b, before, count));

    many = bench_lookup(b, count, "many");
    if (many == 0) {
        return NGX_ERROR;
    }

    fprintf(out, "\"lookup_few_ns\":%.0f,\"lookup_many_ns\":%.0f,", few, many);

    before = bench_free(b);

    if (bench_insert(b, &b->own, BENCH_FEW) != NGX_OK) {
        return NGX_ERROR;
    }

    fprintf(out, "\"own_record\":%zu,\"own_cost\":%.1f,",
            sizeof(ngx_http_intuit_shm_session_t) + b->own.len,
            bench_cost(b, before, BENCH_FEW));

    bench_reset(b);
    bench_walk(b);

    fprintf(out, "\"walk_longest_ns\":%.0f,", b->longest);

    bench_reset(b);

    for (i = 0; i < BENCH_FEW; i++) {
        bench_id(&id, i);
        bench_begin(b);
        (void) ngx_http_intuit_session_remove(b->store, &id);
        bench_end(b);
    }

    fprintf(out, "\"remove_ns\":%.0f,", b->spent / BENCH_FEW);

    bench_rebuild(b, out);

    return NGX_OK;
}


/* all sessions are used, in no order: so they lie in the queue from then on */

static ngx_int_t
bench_shuffle(bench_t *b, ngx_uint_t sessions)
{
    uint64_t                  n;
    ngx_uint_t                i, count;
    ngx_pool_t               *pool;
    ngx_http_intuit_id_t      id;
    ngx_http_intuit_loaded_t  loaded;

    /* a stride that is prime to any count of sessions in use here */

    count = ngx_min(sessions, b->inserted);

    for (i = 0; i < count; i++) {
        n = b->inserted - 1 - (i * (uint64_t) 2654435761) % count;
        bench_id(&id, n);

        pool = ngx_create_pool(8192, ngx_cycle->log);
        if (pool == NULL) {
            return NGX_ERROR;
        }

        (void) ngx_http_intuit_session_load(b->store, &id, BENCH_IDLE,
                                            b->now + 61, pool, &loaded);
        ngx_destroy_pool(pool);
    }

    return NGX_OK;
}


/*
 * A zone that is full: every insert drops the session idle longest.  Then
 * connections come, which are larger than a session.
 */

static ngx_int_t
bench_evict(bench_t *b, ngx_uint_t count, FILE *out)
{
    ngx_uint_t                    evicted;
    ngx_http_intuit_store_stat_t  stat;

    fprintf(out, "{");

    if (bench_expire(b, count, out) != NGX_OK) {
        return NGX_ERROR;
    }

    do {
        if (bench_insert(b, &b->session, BENCH_FEW) != NGX_OK) {
            return NGX_ERROR;
        }

        ngx_http_intuit_store_stat(b->store, &stat);

    } while (stat.evicted == 0);

    bench_reset(b);

    if (bench_insert(b, &b->session, count) != NGX_OK) {
        return NGX_ERROR;
    }

    fprintf(out, "\"evict_ns\":%.0f,\"evict_longest_ns\":%.0f,"
            "\"evict_sessions\":%lu,", b->spent / count, b->longest,
            (unsigned long) stat.sessions);

    if (bench_shuffle(b, stat.sessions) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_http_intuit_store_stat(b->store, &stat);
    evicted = stat.evicted;
    bench_reset(b);

    if (bench_connect(b, 0, BENCH_FEW) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_http_intuit_store_stat(b->store, &stat);

    fprintf(out, "\"room_ns\":%.0f,\"room_longest_ns\":%.0f,"
            "\"room_evicted\":%.2f}\n", b->spent / BENCH_FEW, b->longest,
            (double) (stat.evicted - evicted) / BENCH_FEW);

    return NGX_OK;
}


static ngx_int_t
bench_init_module(ngx_cycle_t *cycle)
{
    FILE          *out;
    bench_t        b;
    ngx_int_t      rc;
    bench_conf_t  *bcf;

    bcf = (bench_conf_t *) ngx_get_conf(cycle->conf_ctx,
                                        ngx_bench_store_module);
    if (bcf->count == 0) {
        return NGX_OK;
    }

    ngx_memzero(&b, sizeof(bench_t));
    b.pool = cycle->pool;
    b.now = ngx_time();
    bench_calibrate(&b);
    b.store = bench_store(cycle);

    if (b.store == NULL) {
        return NGX_ERROR;
    }

    rc = bench_sample(&b);

    if (rc != NGX_OK) {
        return rc == NGX_DECLINED ? NGX_OK : NGX_ERROR;
    }

    if (bcf->file.len == 0) {
        return bench_connect(&b, 0, BENCH_COMPANIES) == NGX_OK
               ? bench_insert(&b, &b.session, bcf->count) : NGX_ERROR;
    }

    out = fopen((char *) bcf->file.data, "w");
    if (out == NULL) {
        return NGX_ERROR;
    }

    rc = bcf->mode.data[0] == 'e' ? bench_evict(&b, bcf->count, out)
                                  : bench_measure(&b, bcf->count, out);
    fclose(out);

    return rc;
}
