/*
 * A company's quota that several hosts share: the store has the times of its
 * slots, as the zone has them on one host, and each host takes slices of them.
 *
 * One question at a time goes out for a company from a worker, for as many
 * slots as requests wait here by then.  A slot is for a certain time, by the
 * store's clock, so no two hosts' clocks are compared; an answer that took so
 * long that nobody knows when that is is not used.
 *
 * Each host says, too, how many slots it has had: what it has taken while the
 * store could not be asked, or the store has lost meanwhile, counts from then
 * on.
 */

#include "ngx_http_intuit_share.h"


#define NGX_HTTP_INTUIT_SLICE_MAX    32
#define NGX_HTTP_INTUIT_SLICE_LATE   50       /* ms that may be unknown */
#define NGX_HTTP_INTUIT_SLICE_FAR    500      /* ms, half of the way to it */
#define NGX_HTTP_INTUIT_SLICE_TRIES  3
#define NGX_HTTP_INTUIT_SLICE_PAUSE  1000     /* ms, when it cannot be asked */


typedef struct {
    ngx_queue_t                      queue;   /* of this worker's */
    ngx_uint_t                       number;
    ngx_http_intuit_provider_t      *provider;
    ngx_http_intuit_id_t             id;      /* of the quota */
    const ngx_http_intuit_limits_t  *limits;
    ngx_http_intuit_quota_share_t    share;
    uint64_t                         turn;    /* of a batch; 0: not yet */
    ngx_uint_t                       n;       /* slots that are wanted */

    ngx_uint_t                       given;
    ngx_uint_t                       picked;  /* bits */
    uint64_t                         now;     /* the store's clock */
    ngx_msec_t                       waits[NGX_HTTP_INTUIT_SLICE_MAX];
    ngx_msec_t                       busy;    /* there is none before */
    ngx_msec_t                       asked;
    ngx_msec_t                       half;    /* of the way there and back */
    ngx_uint_t                       tries;
    ngx_int_t                        rc;
    unsigned                         batch:1;
    unsigned                         turns:1; /* what was given is one */
    unsigned                         started:1;
    unsigned                         done:1;
} ngx_http_intuit_slice_t;


static ngx_http_intuit_slice_t *ngx_http_intuit_slice_join(
    const ngx_http_intuit_ctx_t *ctx);
static ngx_uint_t ngx_http_intuit_slice_ready(ngx_http_intuit_ctx_t *ctx);
static void ngx_http_intuit_slice_next(const ngx_http_intuit_id_t *id);
static void ngx_http_intuit_slice_start(ngx_http_intuit_slice_t *slice);
static ngx_int_t ngx_http_intuit_slice_send(ngx_http_intuit_job_t *job);
static ngx_int_t ngx_http_intuit_slice_answer(ngx_http_intuit_job_t *job);
static ngx_int_t ngx_http_intuit_slice_read(ngx_http_intuit_slice_t *slice,
    const ngx_str_t *text);
static ngx_int_t ngx_http_intuit_slice_number(u_char **pos,
    const u_char *last, uint64_t *value);
static void ngx_http_intuit_slice_done(ngx_http_intuit_job_t *job,
    ngx_int_t rc);
static void ngx_http_intuit_slice_end(ngx_http_intuit_slice_t *slice,
    ngx_int_t rc);
static void ngx_http_intuit_slice_rest(ngx_http_intuit_slice_t *slice);
static void ngx_http_intuit_slice_give_back(
    ngx_http_intuit_provider_t *provider, const ngx_http_intuit_id_t *id,
    const ngx_str_t *slots, const ngx_str_t *turns);


/* one a worker */
static ngx_queue_t  ngx_http_intuit_slices;
static ngx_uint_t   ngx_http_intuit_slice_last;
static ngx_msec_t   ngx_http_intuit_slice_half;   /* the last that was long */
static ngx_msec_t   ngx_http_intuit_slice_pause;  /* it is not asked before */
static ngx_uint_t   ngx_http_intuit_slice_paused;


/*
 * KEYS: the slots of all requests, those of the batches, the hosts (and the
 * hold).
 * ARGV: numbers (below), this host.
 *
 * 1125 and 60125 ms are the windows of ngx_http_intuit_store_shm_quota.c, and
 * the rules are those of its slots.  What lies farther ahead than anybody may
 * wait was written by another clock.  The answer is
 *
 *   held, ms; hosts; slots of this host so far; now; one word for each slot:
 *   ms until then, "t" in front: of the turn, "-": too far, and no more
 */

static ngx_str_t  ngx_http_intuit_slice_ask_script = ngx_string(
    "local a={} "
    "for x in string.gmatch(ARGV[1],'%d+') do a[#a+1]=tonumber(x) end "
    "local n,rate,burst,brate,queue,patience,lag,given,used,batch,turn="
        "unpack(a) "
    "local q,b,h,me=KEYS[1],KEYS[2],KEYS[3],ARGV[2] "
    "local T=redis.call('TIME') "
    "local now=T[1]*1000+math.floor(T[2]/1000) "
    "local function at(k,i) "
        "return tonumber(redis.call('LINDEX',k,-i) or 0) end "
    "local function s(x) return string.format('%.0f',x) end "
    "local function add(k,t) redis.call('RPUSH',k,s(t)) end "

    "if at(q,1)>now+patience+60000 then redis.call('DEL',q,b,h) end "

    "local hosts,held,told=1,0,nil "
    "local f=redis.call('HGETALL',h) "
    "for i=1,#f,2 do "
        "if f[i]=='h' then held=tonumber(f[i+1]) "
        "else "
            "local g,t=string.match(f[i+1],'(%d+) (%d+)') "
            "if f[i]==me then told=tonumber(g) "
            "elseif math.abs(now-tonumber(t))>60000 then "
                "redis.call('HDEL',h,f[i]) "
            "else hosts=hosts+1 end "
        "end "
    "end "
    "if held<=now or held>now+300000 then held=0 end "

    "for i=1,math.min(used,told and given-told or used) do "
        "add(q,math.max(now,at(q,1))) end "
    "given=math.max(given,told or 0) "

    "for _,k in ipairs({q,b}) do "
        "local x=redis.call('LINDEX',k,0) "
        "while x and tonumber(x)<now-60125 do "
            "redis.call('LPOP',k) x=redis.call('LINDEX',k,0) end "
    "end "

    "local from,r=now+lag,{} "
    "for i=1,n do "
        "local t=math.max(from,held,at(q,rate)+60125,at(q,burst)+1125) "
        "local l,k=at(q,1),q "
        "if l>0 and (t>from or l>from) then "
            "t=math.max(t,l+math.ceil(1125/burst)) end "
        "if batch==1 and turn==0 then "
            "local u=at(b,brate)+60125 "
            "if u>from then t,k=math.max(u,at(b,1)),b end "
        "end "
        "if t>from and (queue==0 or t-now>patience or at(k,queue)>now) then "
            "r[i]='-'..s(t-now) break end "
        "add(k,t) "
        "r[i]=s(t-now) "
        "if k==b then r[i]='t'..r[i] "
        "else "
            "given=given+1 "
            "if batch==1 then "
                "if turn>0 then redis.call('LREM',b,-1,s(turn)) end "
                "add(b,t) "
            "end "
        "end "
    "end "

    "redis.call('HSET',h,me,s(given)..' '..s(now)) "
    "for _,k in ipairs(KEYS) do redis.call('PEXPIRE',k,600000+patience) end "
    "return s(held>0 and held-now or 0)..' '..hosts..' '..s(given)..' '"
        "..s(now)..' '..table.concat(r,' ')"
);

/* the same keys; ARGV: slots, turns, each with a blank behind it */

static ngx_str_t  ngx_http_intuit_slice_return_script = ngx_string(
    "for i,k in ipairs({KEYS[1],KEYS[2]}) do "
        "for t in string.gmatch(ARGV[i],'%d+') do "
            "redis.call('LREM',k,-1,t) end "
    "end "
    "return 1"
);

/* the same keys; ARGV: ms.  What was given for later is void. */

static ngx_str_t  ngx_http_intuit_slice_hold_script = ngx_string(
    "local T=redis.call('TIME') "
    "local now=T[1]*1000+math.floor(T[2]/1000) "
    "local held=tonumber(redis.call('HGET',KEYS[3],'h') or 0) "
    "if held>now+300000 then held=0 end "
    "held=math.max(held,now+tonumber(ARGV[1])) "
    "redis.call('HSET',KEYS[3],'h',string.format('%.0f',held)) "
    "redis.call('PEXPIRE',KEYS[3],600000) "
    "for i=1,2 do "
        "local x=redis.call('LINDEX',KEYS[i],-1) "
        "while x and tonumber(x)>now do "
            "redis.call('RPOP',KEYS[i]) x=redis.call('LINDEX',KEYS[i],-1) end "
    "end "
    "return 1"
);


ngx_int_t
ngx_http_intuit_slice_ask(ngx_http_request_t *r, ngx_http_intuit_ctx_t *ctx,
    const ngx_http_intuit_quota_share_t *share)
{
    ngx_int_t                 rc;
    ngx_http_intuit_slice_t  *slice;

    slice = ngx_http_intuit_slice_join(ctx);
    if (slice == NULL) {
        return NGX_DECLINED;
    }

    slice->share = *share;

    ctx->limit->slot.slice = slice->number;
    ctx->limit->slot.ticket = NGX_HTTP_INTUIT_SLICE_MAX;

    if (ctx->limit->quota.state == NGX_HTTP_INTUIT_QUOTA_NONE) {
        ctx->limit->slot.ticket = slice->n++;
    }

    /* who is not parked after all is as one who has left */

    rc = ngx_http_intuit_park(r, ctx, ngx_http_intuit_slice_ready,
                              ngx_http_core_run_phases);

    ngx_http_intuit_slice_next(&slice->id);

    return rc;
}


/* the one that is yet to be sent; a batch has one for itself */

static ngx_http_intuit_slice_t *
ngx_http_intuit_slice_join(const ngx_http_intuit_ctx_t *ctx)
{
    ngx_queue_t                    *q, *queue;
    ngx_http_intuit_slice_t        *slice;
    const ngx_http_intuit_quota_t  *quota;

    quota = &ctx->limit->quota;
    queue = &ngx_http_intuit_slices;

    if (queue->next == NULL) {
        ngx_queue_init(queue);
    }

    for (q = ngx_queue_head(queue);
         q != ngx_queue_sentinel(queue) && !quota->batch;
         q = ngx_queue_next(q))
    {
        slice = ngx_queue_data(q, ngx_http_intuit_slice_t, queue);

        if (!slice->started
            && !slice->batch
            && slice->n < NGX_HTTP_INTUIT_SLICE_MAX
            && slice->limits == quota->limits
            && ngx_memcmp(slice->id.data, quota->id.data,
                          NGX_HTTP_INTUIT_ID_LEN)
               == 0)
        {
            return slice;
        }
    }

    slice = ngx_calloc(sizeof(ngx_http_intuit_slice_t), ngx_cycle->log);

    if (slice != NULL) {
        slice->number = ++ngx_http_intuit_slice_last;
        slice->provider = ctx->limit->provider;
        slice->id = quota->id;
        slice->limits = quota->limits;
        slice->batch = quota->batch;
        slice->turn = ctx->limit->slot.turn;

        ngx_queue_insert_tail(queue, &slice->queue);
    }

    return slice;
}


static ngx_uint_t
ngx_http_intuit_slice_ready(ngx_http_intuit_ctx_t *ctx)
{
    ngx_uint_t                ticket;
    ngx_queue_t              *q, *queue;
    ngx_http_intuit_slice_t  *slice;

    queue = &ngx_http_intuit_slices;
    slice = NULL;

    for (q = ngx_queue_head(queue);
         q != ngx_queue_sentinel(queue);
         q = ngx_queue_next(q))
    {
        slice = ngx_queue_data(q, ngx_http_intuit_slice_t, queue);

        if (slice->number == ctx->limit->slot.slice) {
            break;
        }

        slice = NULL;
    }

    if (slice != NULL && !slice->done) {
        return 0;
    }

    ctx->limit->slot.answered = 1;
    ctx->limit->slot.there = 0;
    ctx->limit->slot.answer = (slice == NULL) ? NGX_ERROR : slice->rc;

    if (ctx->limit->slot.answer != NGX_OK) {
        return 1;
    }

    ticket = ctx->limit->slot.ticket;

    if (ticket == NGX_HTTP_INTUIT_SLICE_MAX) {
        ctx->limit->slot.answer = NGX_DONE;
        return 1;
    }

    if (ticket >= slice->given) {
        ctx->limit->slot.answer = NGX_BUSY;
        ctx->limit->slot.wait = slice->busy;
        return 1;
    }

    slice->picked |= (ngx_uint_t) 1 << ticket;

    ctx->limit->slot.wait = slice->waits[ticket]
                      - ngx_min(slice->waits[ticket], slice->half);

    if (slice->turns) {
        ctx->limit->slot.turn = slice->now + slice->waits[ticket];
        ctx->limit->slot.answer = NGX_DECLINED;
        return 1;
    }

    ctx->limit->slot.there = slice->now + slice->waits[ticket];
    ctx->limit->slot.answer = ctx->limit->slot.wait ? NGX_AGAIN : NGX_OK;

    return 1;
}


/* sends the next one of this company, unless one is on its way */

static void
ngx_http_intuit_slice_next(const ngx_http_intuit_id_t *id)
{
    ngx_queue_t              *q, *queue;
    ngx_http_intuit_slice_t  *slice;

    queue = &ngx_http_intuit_slices;

    for (q = ngx_queue_head(queue);
         q != ngx_queue_sentinel(queue);
         q = ngx_queue_next(q))
    {
        slice = ngx_queue_data(q, ngx_http_intuit_slice_t, queue);

        if (ngx_memcmp(slice->id.data, id->data, NGX_HTTP_INTUIT_ID_LEN)
            != 0)
        {
            continue;
        }

        if (!slice->started) {
            ngx_http_intuit_slice_start(slice);
        }

        return;
    }
}


static void
ngx_http_intuit_slice_start(ngx_http_intuit_slice_t *slice)
{
    ngx_http_intuit_job_t  *job;

    slice->started = 1;
    slice->half = ngx_http_intuit_slice_half;

    job = NULL;

    if (!ngx_http_intuit_slice_paused
        || (ngx_msec_int_t) (ngx_current_msec - ngx_http_intuit_slice_pause)
           >= 0)
    {
        ngx_http_intuit_slice_paused = 0;
        job = ngx_http_intuit_job_create(slice->provider, "store");
    }

    if (job == NULL) {
        ngx_http_intuit_slice_end(slice, NGX_ERROR);
        return;
    }

    job->data = slice;
    job->step = ngx_http_intuit_slice_send;
    job->done = ngx_http_intuit_slice_done;

    ngx_http_intuit_job_run(job);
}


static ngx_int_t
ngx_http_intuit_slice_send(ngx_http_intuit_job_t *job)
{
    u_char                           buf[12 * NGX_INT64_LEN];
    u_char                           owner[2 * NGX_HTTP_INTUIT_QUOTA_OWNER_LEN];
    ngx_str_t                        args[3];
    ngx_http_intuit_slice_t         *slice;
    const ngx_http_intuit_limits_t  *limits;

    slice = job->data;
    limits = slice->limits;

    slice->asked = ngx_current_msec;

    args[0].data = buf;
    args[0].len = ngx_sprintf(buf, "%ui %ui %ui %ui %ui %M %M %uL %ui %d %uL",
                              slice->n, limits->rate, limits->burst_rate,
                              limits->batch_rate, limits->queue,
                              limits->timeout, slice->half,
                              slice->share.given, slice->share.used,
                              slice->batch, slice->turn)
                  - buf;

    args[1].data = owner;
    args[1].len = ngx_hex_dump(owner, slice->share.owner,
                               NGX_HTTP_INTUIT_QUOTA_OWNER_LEN)
                  - owner;

    ngx_str_null(&args[2]);

    job->step = ngx_http_intuit_slice_answer;

    return ngx_http_intuit_share_eval(job, &ngx_http_intuit_slice_ask_script,
                                      "qbh", &slice->id, args);
}


static ngx_int_t
ngx_http_intuit_slice_answer(ngx_http_intuit_job_t *job)
{
    ngx_msec_t                half;
    ngx_http_intuit_slice_t  *slice;

    slice = job->data;

    if (job->ask->rc != NGX_OK
        || ngx_http_intuit_slice_read(slice, &job->ask->answer.value.text)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_http_intuit_quota_told(slice->provider->store, &slice->id,
                               ngx_current_msec, &slice->share);

    half = (ngx_current_msec - slice->asked) / 2;

    ngx_http_intuit_slice_half = 0;

    if (half > NGX_HTTP_INTUIT_SLICE_LATE / 2) {
        ngx_http_intuit_slice_half = ngx_min(half, NGX_HTTP_INTUIT_SLICE_FAR);
    }

    if (half <= slice->half + NGX_HTTP_INTUIT_SLICE_LATE) {
        slice->half = half;
        return NGX_OK;
    }

    ngx_http_intuit_slice_rest(slice);

    if (++slice->tries == NGX_HTTP_INTUIT_SLICE_TRIES) {
        return NGX_ERROR;
    }

    slice->half = ngx_http_intuit_slice_half;

    return ngx_http_intuit_slice_send(job);
}


static ngx_int_t
ngx_http_intuit_slice_read(ngx_http_intuit_slice_t *slice,
    const ngx_str_t *text)
{
    u_char    *p, *last, c;
    uint64_t   held, hosts, wait;

    p = text->data;
    last = p + text->len;

    slice->given = 0;
    slice->turns = 0;

    if (ngx_http_intuit_slice_number(&p, last, &held) != NGX_OK
        || ngx_http_intuit_slice_number(&p, last, &hosts) != NGX_OK
        || ngx_http_intuit_slice_number(&p, last, &slice->share.given)
           != NGX_OK
        || ngx_http_intuit_slice_number(&p, last, &slice->now) != NGX_OK)
    {
        return NGX_ERROR;
    }

    slice->share.held = (ngx_msec_t) held;
    slice->share.hosts = (ngx_uint_t) hosts;

    while (p < last) {
        c = *p;

        if (c == '-' || c == 't') {
            p++;
        }

        if (slice->given == NGX_HTTP_INTUIT_SLICE_MAX
            || ngx_http_intuit_slice_number(&p, last, &wait) != NGX_OK)
        {
            return NGX_ERROR;
        }

        if (c == '-') {
            slice->busy = (ngx_msec_t) wait;
            break;
        }

        slice->turns = (c == 't');
        slice->waits[slice->given++] = (ngx_msec_t) wait;
    }

    return NGX_OK;
}


/* with the blank behind it, which the last one may not have */

static ngx_int_t
ngx_http_intuit_slice_number(u_char **pos, const u_char *last,
    uint64_t *value)
{
    u_char    *p;
    uint64_t   n;

    n = 0;

    for (p = *pos; p < last && *p >= '0' && *p <= '9'; p++) {

        if (n >> 56) {
            return NGX_ERROR;
        }

        n = n * 10 + (*p - '0');
    }

    if (p == *pos || (p < last && *p != ' ')) {
        return NGX_ERROR;
    }

    *pos = (p < last) ? p + 1 : p;
    *value = n;

    return NGX_OK;
}


static void
ngx_http_intuit_slice_done(ngx_http_intuit_job_t *job, ngx_int_t rc)
{
    if (rc != NGX_OK) {
        ngx_http_intuit_slice_paused = 1;
        ngx_http_intuit_slice_pause = ngx_current_msec
                                      + NGX_HTTP_INTUIT_SLICE_PAUSE;
    }

    ngx_http_intuit_slice_end(job->data, rc == NGX_OK ? NGX_OK : NGX_ERROR);
}


static void
ngx_http_intuit_slice_end(ngx_http_intuit_slice_t *slice, ngx_int_t rc)
{
    ngx_http_intuit_id_t  id;

    slice->rc = rc;
    slice->done = 1;

    /* who waits for it takes what is his */

    ngx_http_intuit_wake(&slice->id);

    if (rc == NGX_OK) {
        ngx_http_intuit_slice_rest(slice);
    }

    id = slice->id;

    ngx_queue_remove(&slice->queue);
    ngx_free(slice);

    ngx_http_intuit_slice_next(&id);
}


/* what nobody takes */

static void
ngx_http_intuit_slice_rest(ngx_http_intuit_slice_t *slice)
{
    u_char      buf[NGX_HTTP_INTUIT_SLICE_MAX * (NGX_INT64_LEN + 1)];
    ngx_str_t   rest, none;
    ngx_uint_t  i;

    rest.data = buf;
    rest.len = 0;

    ngx_str_set(&none, "");

    for (i = 0; i < slice->given; i++) {

        if (!(slice->picked & ((ngx_uint_t) 1 << i))) {
            rest.len = ngx_sprintf(buf + rest.len, "%uL ",
                                   slice->now + slice->waits[i])
                       - buf;
        }
    }

    if (rest.len == 0) {
        return;
    }

    if (slice->turns) {
        ngx_http_intuit_slice_give_back(slice->provider, &slice->id, &none,
                                        &rest);

    } else {
        ngx_http_intuit_slice_give_back(slice->provider, &slice->id, &rest,
                                        slice->batch ? &rest : &none);
    }
}


void
ngx_http_intuit_slice_return(const ngx_http_intuit_ctx_t *ctx)
{
    u_char     slot[NGX_INT64_LEN], turn[NGX_INT64_LEN];
    uint64_t   batch;
    ngx_str_t  slots, turns;

    batch = ctx->limit->slot.turn;

    if (ctx->limit->slot.there && ctx->limit->quota.batch) {
        batch = ctx->limit->slot.there;
    }

    slots.data = slot;
    slots.len = ngx_sprintf(slot, "%uL", ctx->limit->slot.there) - slot;

    turns.data = turn;
    turns.len = ngx_sprintf(turn, "%uL", batch) - turn;

    ngx_http_intuit_slice_give_back(ctx->limit->provider, &ctx->limit->quota.id,
                                    &slots, &turns);
}


static void
ngx_http_intuit_slice_give_back(ngx_http_intuit_provider_t *provider,
    const ngx_http_intuit_id_t *id, const ngx_str_t *slots,
    const ngx_str_t *turns)
{
    ngx_str_t  args[3];

    args[0] = *slots;
    args[1] = *turns;
    ngx_str_null(&args[2]);

    ngx_http_intuit_share_tell(provider, &ngx_http_intuit_slice_return_script,
                               "qbh", id, args);
}


void
ngx_http_intuit_slice_hold(ngx_http_intuit_provider_t *provider,
    const ngx_http_intuit_id_t *id, ngx_msec_t msec)
{
    u_char     number[NGX_INT_T_LEN];
    ngx_str_t  args[2];

    args[0].data = number;
    args[0].len = ngx_sprintf(number, "%M", msec) - number;
    ngx_str_null(&args[1]);

    ngx_http_intuit_share_tell(provider, &ngx_http_intuit_slice_hold_script,
                               "qbh", id, args);
}
