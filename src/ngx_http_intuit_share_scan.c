/*
 * Connections that are in the store that hosts share, and that nobody has
 * asked this host for: brought into the zone, so that they are shown, and
 * looked after while nobody uses them.
 *
 * One worker of a host walks over the store's names, a few at a time, from the
 * start of nginx on.  Of each connection it gets the number that is in front
 * of it, and reads those of which the zone has another one, or none.  Nothing
 * is kept in the store for that, so it holds for what hosts of any version
 * have written, and after a failover.
 *
 * What is there is not believed: the work of a moment is bounded, whatever the
 * store says, and only what opens, and is of a provider of this host, counts.
 */

#include "ngx_http_intuit_pending.h"
#include "ngx_http_intuit_share.h"


#define NGX_HTTP_INTUIT_SCAN_TICK       100      /* ms between two pages */
#define NGX_HTTP_INTUIT_SCAN_PAUSE      5000     /* ms after the last one, and
                                                  * as long as it took */
#define NGX_HTTP_INTUIT_SCAN_REFUSED    600000   /* ms */
#define NGX_HTTP_INTUIT_SCAN_RETRY      1000     /* ms, doubled each time */
#define NGX_HTTP_INTUIT_SCAN_RETRY_MAX  60000

#define NGX_HTTP_INTUIT_SCAN_FOUND      1024     /* connections of a page */
#define NGX_HTTP_INTUIT_SCAN_LOOK       16       /* of them at a time */
#define NGX_HTTP_INTUIT_SCAN_STRANGE    1024     /* remembered */
#define NGX_HTTP_INTUIT_SCAN_ROOM       8        /* of the zone one in so many
                                                  * is not for them */
#define NGX_HTTP_INTUIT_SCAN_CURSOR     20       /* digits */

/* of what the script answers: an id and a generation */
#define NGX_HTTP_INTUIT_SCAN_ID                                               \
    ngx_intuit_base64url_len(NGX_HTTP_INTUIT_ID_LEN)
#define NGX_HTTP_INTUIT_SCAN_ENTRY                                            \
    (NGX_HTTP_INTUIT_SCAN_ID + NGX_INTUIT_SHARED_NUMBER_LEN)


typedef struct {
    ngx_http_intuit_id_t          id;
    uint64_t                      generation;
} ngx_http_intuit_scan_found_t;

/* one a store, in one worker */
typedef struct {
    ngx_event_t                   timer;
    ngx_http_intuit_main_conf_t  *imcf;
    ngx_http_intuit_provider_t   *provider;   /* the first one that has it */
    ngx_http_intuit_redis_t      *redis;

    u_char                        cursor[NGX_HTTP_INTUIT_SCAN_CURSOR];
    size_t                        cursor_len; /* 0: at the beginning */
    ngx_msec_t                    begun;
    ngx_msec_t                    retry;

    ngx_http_intuit_scan_found_t  found[NGX_HTTP_INTUIT_SCAN_FOUND];
    ngx_uint_t                    nfound;
    ngx_uint_t                    next;
    ngx_uint_t                    left;       /* for this job */
    ngx_msec_t                    asked;

    /* what was read for nothing, not to be read again */
    ngx_http_intuit_scan_found_t  strange[NGX_HTTP_INTUIT_SCAN_STRANGE];

    /* was said */
    unsigned                      refused:1;
    unsigned                      unreadable:1;
    unsigned                      full:1;
} ngx_http_intuit_scan_t;


static ngx_int_t ngx_http_intuit_scan_start(ngx_cycle_t *cycle,
    ngx_http_intuit_main_conf_t *imcf, ngx_http_intuit_provider_t *provider);
static void ngx_http_intuit_scan_timer(ngx_event_t *ev);
static ngx_int_t ngx_http_intuit_scan_page(ngx_http_intuit_job_t *job);
static ngx_int_t ngx_http_intuit_scan_listed(ngx_http_intuit_job_t *job);
static ngx_int_t ngx_http_intuit_scan_entries(ngx_http_intuit_job_t *job,
    ngx_str_t *text);
static ngx_int_t ngx_http_intuit_scan_look(ngx_http_intuit_job_t *job);
static ngx_uint_t ngx_http_intuit_scan_wanted(ngx_http_intuit_scan_t *scan,
    const ngx_http_intuit_scan_found_t *found);
static ngx_uint_t ngx_http_intuit_scan_room(ngx_http_intuit_scan_t *scan);
static ngx_int_t ngx_http_intuit_scan_read(ngx_http_intuit_job_t *job);
static ngx_http_intuit_provider_t *ngx_http_intuit_scan_owner(
    ngx_http_intuit_job_t *job, const ngx_http_intuit_id_t *id,
    const ngx_str_t *value);
static ngx_uint_t ngx_http_intuit_scan_is(ngx_http_intuit_job_t *job,
    ngx_http_intuit_provider_t *provider, const ngx_http_intuit_id_t *id,
    const ngx_str_t *plain);
static ngx_http_intuit_scan_found_t *ngx_http_intuit_scan_strange(
    ngx_http_intuit_scan_t *scan, const ngx_http_intuit_id_t *id);
static void ngx_http_intuit_scan_done(ngx_http_intuit_job_t *job,
    ngx_int_t rc);
static ngx_msec_t ngx_http_intuit_scan_after(ngx_http_intuit_scan_t *scan,
    ngx_int_t rc);


/*
 * ARGV: where to go on, and a pattern that ends in "*" for an id.  The answer
 * is where to go on then, and ids and generations of connections; 0: the user
 * may not ask for that.  What is longer than an answer may be is left out.
 */

static ngx_str_t  ngx_http_intuit_scan_script = ngx_string(
    "local r=redis.pcall('SCAN',ARGV[1],'MATCH',ARGV[2],'COUNT',256) "
    "if r.err then return 0 end "
    "local t={} "
    "for _,k in ipairs(r[2]) do "
        "if #k==#ARGV[2]+42 and #t<1024 then "
            "local g=redis.pcall('GETRANGE',k,0,19) "
            "if type(g)=='string' then "
                "if #g==20 and redis.call('GETRANGE',k,98304,98304)=='' then "
                    "t[#t+1]=string.sub(k,-43)..g "
                "end "
            "elseif not string.find(g.err,'WRONGTYPE',1,true) then "
                "return 0 "
            "end "
        "end "
    "end "
    "return {r[1],table.concat(t)}"
);

/* of the jobs here: nobody waits for them */

static const ngx_http_intuit_id_t  ngx_http_intuit_scan_nobody;


ngx_int_t
ngx_http_intuit_scan_init(ngx_cycle_t *cycle,
    ngx_http_intuit_main_conf_t *imcf)
{
    ngx_uint_t                    i, k;
    ngx_http_intuit_provider_t  **provider;

    if (ngx_worker != 0) {
        return NGX_OK;
    }

    provider = imcf->providers.elts;

    for (i = 0; i < imcf->providers.nelts; i++) {

        if (provider[i]->redis == NULL || provider[i]->fetch_conf == NULL) {
            continue;
        }

        for (k = 0; k < i; k++) {
            if (provider[k]->redis == provider[i]->redis
                && provider[k]->fetch_conf)
            {
                break;
            }
        }

        if (k == i
            && ngx_http_intuit_scan_start(cycle, imcf, provider[i]) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_intuit_scan_start(ngx_cycle_t *cycle,
    ngx_http_intuit_main_conf_t *imcf, ngx_http_intuit_provider_t *provider)
{
    ngx_http_intuit_scan_t  *scan;

    scan = ngx_pcalloc(cycle->pool, sizeof(ngx_http_intuit_scan_t));
    if (scan == NULL) {
        return NGX_ERROR;
    }

    scan->imcf = imcf;
    scan->provider = provider;
    scan->redis = provider->redis;

    scan->timer.handler = ngx_http_intuit_scan_timer;
    scan->timer.data = scan;
    scan->timer.log = cycle->log;
    scan->timer.cancelable = 1;

    ngx_add_timer(&scan->timer, NGX_HTTP_INTUIT_SCAN_TICK);

    return NGX_OK;
}


static void
ngx_http_intuit_scan_timer(ngx_event_t *ev)
{
    ngx_http_intuit_job_t   *job;
    ngx_http_intuit_scan_t  *scan;

    scan = ev->data;

    if (ngx_exiting) {
        return;
    }

    job = ngx_http_intuit_job_create(scan->provider, "store");

    if (job == NULL) {
        ngx_add_timer(ev, ngx_http_intuit_scan_after(scan, NGX_ERROR));
        return;
    }

    job->data = scan;
    job->step = (scan->next < scan->nfound) ? ngx_http_intuit_scan_look
                                            : ngx_http_intuit_scan_page;
    job->done = ngx_http_intuit_scan_done;
    job->wakes = &ngx_http_intuit_scan_nobody;

    scan->left = NGX_HTTP_INTUIT_SCAN_LOOK;

    ngx_http_intuit_job_run(job);
}


static ngx_int_t
ngx_http_intuit_scan_page(ngx_http_intuit_job_t *job)
{
    u_char                  *p;
    ngx_str_t                args[3], *prefix;
    ngx_http_intuit_scan_t  *scan;

    scan = job->data;
    prefix = &scan->redis->prefix;

    p = ngx_pnalloc(job->pool, prefix->len + 3);
    if (p == NULL) {
        return NGX_ERROR;
    }

    if (scan->cursor_len == 0) {
        scan->begun = ngx_current_msec;
        scan->cursor[scan->cursor_len++] = '0';
    }

    args[0].data = scan->cursor;
    args[0].len = scan->cursor_len;
    args[1].data = p;
    args[1].len = ngx_sprintf(p, "%V%c:*", prefix,
                              NGX_INTUIT_SHARED_CONNECTION)
                  - p;
    ngx_str_null(&args[2]);

    job->step = ngx_http_intuit_scan_listed;

    return ngx_http_intuit_share_eval(job, &ngx_http_intuit_scan_script, "",
                                      NULL, args);
}


static ngx_int_t
ngx_http_intuit_scan_listed(ngx_http_intuit_job_t *job)
{
    size_t                   i;
    ngx_str_t               *cursor;
    ngx_intuit_resp_t       *answer;
    ngx_http_intuit_scan_t  *scan;

    scan = job->data;
    answer = &job->ask->answer;

    if (job->ask->rc != NGX_OK) {
        return NGX_ERROR;
    }

    if (answer->value.type == NGX_INTUIT_RESP_NUMBER) {

        if (!scan->refused) {
            scan->refused = 1;

            ngx_log_error(NGX_LOG_WARN, job->log, 0,
                          "intuit store \"%V\" does not say which connections "
                          "it has: its user needs +scan and +getrange there; "
                          "until then those that nobody asks this host for "
                          "are not known here", &scan->redis->name);
        }

        return NGX_DECLINED;
    }

    cursor = &answer->items[0].text;

    if (answer->value.type != NGX_INTUIT_RESP_ARRAY || answer->nitems != 2
        || cursor->len == 0 || cursor->len > NGX_HTTP_INTUIT_SCAN_CURSOR)
    {
        return NGX_ERROR;
    }

    for (i = 0; i < cursor->len; i++) {
        if (cursor->data[i] < '0' || cursor->data[i] > '9') {
            return NGX_ERROR;
        }
    }

    if (ngx_http_intuit_scan_entries(job, &answer->items[1].text) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_memcpy(scan->cursor, cursor->data, cursor->len);
    scan->cursor_len = cursor->len;

    ngx_http_intuit_redis_forget(job);

    job->step = ngx_http_intuit_scan_look;

    return NGX_OK;
}


static ngx_int_t
ngx_http_intuit_scan_entries(ngx_http_intuit_job_t *job, ngx_str_t *text)
{
    u_char                        *p;
    ngx_int_t                      rc;
    ngx_str_t                      encoded, number, id;
    ngx_http_intuit_scan_t        *scan;
    ngx_http_intuit_scan_found_t  *found;

    scan = job->data;

    scan->nfound = 0;
    scan->next = 0;

    for (p = text->data;
         p + NGX_HTTP_INTUIT_SCAN_ENTRY <= text->data + text->len
         && scan->nfound < NGX_HTTP_INTUIT_SCAN_FOUND;
         p += NGX_HTTP_INTUIT_SCAN_ENTRY)
    {
        encoded.data = p;
        encoded.len = NGX_HTTP_INTUIT_SCAN_ID;
        number.data = p + NGX_HTTP_INTUIT_SCAN_ID;
        number.len = NGX_INTUIT_SHARED_NUMBER_LEN;

        found = &scan->found[scan->nfound];

        rc = ngx_intuit_base64url_decode(job->pool, &id, &encoded);

        if (rc == NGX_ERROR) {
            return NGX_ERROR;
        }

        if (rc != NGX_OK
            || ngx_intuit_shared_generation(&number, &found->generation)
               != NGX_OK)
        {
            continue;
        }

        ngx_memcpy(found->id.data, id.data, NGX_HTTP_INTUIT_ID_LEN);
        scan->nfound++;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_intuit_scan_look(ngx_http_intuit_job_t *job)
{
    ngx_http_intuit_scan_t        *scan;
    ngx_http_intuit_scan_found_t  *found;

    scan = job->data;

    while (scan->left && scan->next < scan->nfound) {

        found = &scan->found[scan->next++];

        if (!ngx_http_intuit_scan_wanted(scan, found)) {
            continue;
        }

        scan->left--;
        scan->asked = ngx_current_msec;

        ngx_http_intuit_job_go_on(job);

        job->step = ngx_http_intuit_scan_read;

        return ngx_http_intuit_share_get(job, &found->id);
    }

    return NGX_OK;
}


static ngx_uint_t
ngx_http_intuit_scan_wanted(ngx_http_intuit_scan_t *scan,
    const ngx_http_intuit_scan_found_t *found)
{
    ngx_http_intuit_synced_t       synced;
    ngx_http_intuit_scan_found_t  *strange;

    strange = ngx_http_intuit_scan_strange(scan, &found->id);

    if (strange->generation == found->generation
        && ngx_memcmp(strange->id.data, found->id.data,
                      NGX_HTTP_INTUIT_ID_LEN)
           == 0)
    {
        return 0;
    }

    if (ngx_http_intuit_connection_synced(scan->imcf->store, &found->id,
                                          &synced)
        == NGX_OK)
    {
        return synced.shared != found->generation;
    }

    return ngx_http_intuit_scan_room(scan);
}


/* sessions do not go for connections that nobody uses */

static ngx_uint_t
ngx_http_intuit_scan_room(ngx_http_intuit_scan_t *scan)
{
    ngx_http_intuit_store_stat_t  stat;

    ngx_http_intuit_store_stat(scan->imcf->store, &stat);

    if (stat.free > stat.size / NGX_HTTP_INTUIT_SCAN_ROOM) {
        return 1;
    }

    if (!scan->full) {
        scan->full = 1;

        ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                      "intuit store \"%V\" has more connections than there is "
                      "room for here: make intuit_shared_zone larger; those "
                      "that nobody asks this host for are not all known here",
                      &scan->redis->name);
    }

    return 0;
}


static ngx_int_t
ngx_http_intuit_scan_read(ngx_http_intuit_job_t *job)
{
    ngx_str_t                     *value;
    ngx_http_intuit_scan_t        *scan;
    ngx_http_intuit_provider_t    *provider;
    ngx_http_intuit_scan_found_t  *found;

    scan = job->data;
    found = &scan->found[scan->next - 1];
    value = &job->ask->answer.value.text;

    if (job->ask->rc != NGX_OK) {
        return NGX_ERROR;
    }

    if (value->len) {
        provider = ngx_http_intuit_scan_owner(job, &found->id, value);

        if (provider == NULL) {
            *ngx_http_intuit_scan_strange(scan, &found->id) = *found;

        } else {
            job->provider = provider;

            if (ngx_http_intuit_share_adopt(job, &found->id, value) == NGX_OK)
            {
                ngx_http_intuit_store_check(scan->imcf->store, &found->id,
                                            scan->asked);
            }
        }
    }

    ngx_http_intuit_redis_forget(job);

    job->step = ngx_http_intuit_scan_look;

    return NGX_OK;
}


/* NULL: nobody here has anything to do with it */

static ngx_http_intuit_provider_t *
ngx_http_intuit_scan_owner(ngx_http_intuit_job_t *job,
    const ngx_http_intuit_id_t *id, const ngx_str_t *value)
{
    ngx_str_t                     plain;
    ngx_uint_t                    i, own, opened;
    ngx_intuit_shared_t           shared;
    ngx_http_intuit_scan_t       *scan;
    ngx_http_intuit_provider_t  **provider;

    scan = job->data;
    opened = 0;

    shared.kind = NGX_INTUIT_SHARED_CONNECTION;
    shared.id = id->data;

    provider = scan->imcf->providers.elts;

    for (i = 0; i < scan->imcf->providers.nelts; i++) {

        if (provider[i]->redis != scan->redis
            || provider[i]->fetch_conf == NULL
            || ngx_intuit_shared_open(job->pool, provider[i]->share_keys,
                                      provider[i]->keys.nelts, &shared, value,
                                      &plain)
               != NGX_OK)
        {
            continue;
        }

        opened = 1;
        own = ngx_http_intuit_scan_is(job, provider[i], id, &plain);

        ngx_intuit_cleanse(plain.data, plain.len);

        if (own) {
            return provider[i];
        }
    }

    if (!opened && !scan->unreadable) {
        scan->unreadable = 1;

        ngx_log_error(NGX_LOG_WARN, job->log, 0,
                      "intuit store \"%V\" has connections that cannot be read "
                      "here: they were altered, or written with another "
                      "encryption_key_file or another version",
                      &scan->redis->name);
    }

    return NULL;
}


/*
 * What is still to be done at Intuit is its own host's; and of a company that
 * was disconnected nothing is to be known that was not known before.
 */

static ngx_uint_t
ngx_http_intuit_scan_is(ngx_http_intuit_job_t *job,
    ngx_http_intuit_provider_t *provider, const ngx_http_intuit_id_t *id,
    const ngx_str_t *plain)
{
    ngx_http_intuit_id_t      own;
    ngx_intuit_connection_t   c;
    ngx_http_intuit_synced_t  synced;

    return ngx_intuit_connection_decode(plain, &c) == NGX_OK
           && ngx_http_intuit_pending_kind(&c) == NGX_HTTP_INTUIT_PENDING_NONE
           && ngx_http_intuit_connection_id(&own, provider, &c.realm) == NGX_OK
           && ngx_memcmp(own.data, id->data, NGX_HTTP_INTUIT_ID_LEN) == 0
           && (!ngx_http_intuit_pending_disconnected(&c)
               || ngx_http_intuit_connection_synced(provider->store, id,
                                                    &synced)
                  == NGX_OK);
}


/* where it would be remembered */

static ngx_http_intuit_scan_found_t *
ngx_http_intuit_scan_strange(ngx_http_intuit_scan_t *scan,
    const ngx_http_intuit_id_t *id)
{
    ngx_uint_t  n;

    n = ((ngx_uint_t) id->data[0] << 8) | id->data[1];

    return &scan->strange[n % NGX_HTTP_INTUIT_SCAN_STRANGE];
}


static void
ngx_http_intuit_scan_done(ngx_http_intuit_job_t *job, ngx_int_t rc)
{
    ngx_http_intuit_scan_t  *scan;

    scan = job->data;

    ngx_add_timer(&scan->timer, ngx_http_intuit_scan_after(scan, rc));
}


static ngx_msec_t
ngx_http_intuit_scan_after(ngx_http_intuit_scan_t *scan, ngx_int_t rc)
{
    ngx_msec_t  pause;

    if (rc == NGX_ERROR) {
        pause = ngx_max(scan->retry, NGX_HTTP_INTUIT_SCAN_RETRY);
        scan->retry = ngx_min(2 * pause, NGX_HTTP_INTUIT_SCAN_RETRY_MAX);

        /* not its work */
        scan->begun = ngx_current_msec;

        return pause;
    }

    scan->retry = 0;

    if (rc == NGX_DECLINED) {
        scan->cursor_len = 0;
        return NGX_HTTP_INTUIT_SCAN_REFUSED;
    }

    if (scan->next < scan->nfound) {
        return 1;
    }

    if (scan->cursor_len != 1 || scan->cursor[0] != '0') {
        return NGX_HTTP_INTUIT_SCAN_TICK;
    }

    /* the end is where the beginning was */

    scan->cursor_len = 0;

    pause = ngx_current_msec - scan->begun;

    return ngx_max(pause, NGX_HTTP_INTUIT_SCAN_PAUSE);
}
