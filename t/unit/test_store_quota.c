/*
 * A company's quota: in no second and no minute more than is allowed, in the
 * order of the requests, within bounds, and nothing is lost for good.
 */

#include "test_store.h"


#define SECOND  1125
#define MINUTE  60125
#define START   5000000000ULL       /* more than 32 bits of milliseconds */
#define SENT    20000


static ngx_http_intuit_limits_t  limits = { 480, 9, 38, 100, 30000 };

static ngx_str_t   realm = ngx_string("9130347957983546");
static ngx_str_t   other = ngx_string("193514292156789");

static uint64_t    sent[SENT], batches[SENT];
static ngx_uint_t  nsent, nbatches;


static ngx_http_intuit_quota_t
quota(ngx_uint_t n, uint64_t now, ngx_uint_t batch)
{
    ngx_http_intuit_quota_t  q;

    memset(&q, 0, sizeof(ngx_http_intuit_quota_t));

    q.limits = &limits;
    q.id = id(n);
    q.since = now;
    q.now = now;
    q.time = 1000000 + now / 1000;
    q.batch = batch;

    return q;
}


static ngx_int_t
reserve(ngx_http_intuit_quota_t *q)
{
    ngx_http_intuit_id_t  key;

    key = id(1);

    return ngx_http_intuit_quota_reserve(store, &key, &realm, q);
}


static ngx_int_t
once(uint64_t now, ngx_uint_t batch)
{
    ngx_http_intuit_quota_t  q;

    q = quota(7, now, batch);

    return reserve(&q);
}


static ngx_http_intuit_quota_stat_t
stat_of(ngx_uint_t n, uint64_t now)
{
    ngx_http_intuit_id_t          key;
    ngx_http_intuit_quota_stat_t  stat;

    key = id(n);
    (void) ngx_http_intuit_quota_stat(store, &key, now, &stat);

    return stat;
}


static void
test_burst(void)
{
    ngx_uint_t               i;
    ngx_http_intuit_quota_t  q, next;

    open_store(ZONE_SIZE);

    for (i = 0; i < 9; i++) {
        if (once(START, 0) != NGX_OK) {
            break;
        }
    }

    ok(i == 9, "nine at once");

    q = quota(7, START, 0);
    ok(reserve(&q) == NGX_AGAIN && q.wait == SECOND, "the tenth waits: %u",
       (unsigned) q.wait);

    next = quota(7, START, 0);
    ok(reserve(&next) == NGX_AGAIN && next.wait == SECOND + SECOND / 9,
       "the eleventh a little longer: %u", (unsigned) next.wait);
    ok(stat_of(7, START).used == 9 && stat_of(7, START).queued == 2
       && stat_of(7, START).delayed == 2, "nine used, two wait");

    q.now = START + 100;
    ok(reserve(&q) == NGX_AGAIN && q.wait == SECOND - 100,
       "asked again it waits for the rest");

    q.now = START + SECOND;
    ok(reserve(&q) == NGX_OK, "then it goes");
    q.now = START + SECOND + 50;
    ok(reserve(&q) == NGX_OK, "also when it comes late");
    ok(stat_of(7, START + SECOND).queued == 1
       && stat_of(7, START + SECOND).used == 10, "one waits");

    /* another worker, which looked at its clock earlier */

    ok(once(START + 80000, 0) == NGX_OK && once(START + 79998, 0) == NGX_OK,
       "a worker that is behind waits for nothing");

    /* another company */

    q = quota(8, START, 0);
    ok(reserve(&q) == NGX_OK, "another company has its own");

    close_store();
}


/* nobody waits for what was released last; the rest is lost */

static void
test_release(void)
{
    ngx_uint_t               i;
    ngx_http_intuit_quota_t  q[3];

    open_store(ZONE_SIZE);

    for (i = 0; i < 9; i++) {
        (void) once(START, 0);
    }

    for (i = 0; i < 3; i++) {
        q[i] = quota(7, START, 0);
        (void) reserve(&q[i]);
    }

    ngx_http_intuit_quota_release(store, &q[2]);
    ngx_http_intuit_quota_release(store, &q[2]);
    ok(stat_of(7, START).queued == 2, "the last is given back, once");
    ngx_http_intuit_quota_release(store, &q[0]);
    ok(stat_of(7, START).queued == 2, "the first is lost");

    q[2] = quota(7, START, 0);
    (void) reserve(&q[2]);
    ok(q[2].wait == SECOND + 2 * (SECOND / 9), "the next takes its place");

    close_store();

    open_store(ZONE_SIZE);

    for (i = 0; i < 20; i++) {
        q[0] = quota(7, START, 1);
        if (reserve(&q[0]) != NGX_OK) {
            break;
        }
        ngx_http_intuit_quota_release(store, &q[0]);
    }

    ok(i == 20 && stat_of(7, START).used == 0
       && stat_of(7, START).batches == 0, "what is refused costs nothing");

    close_store();
}


static void
test_bounds(void)
{
    ngx_uint_t                i;
    ngx_http_intuit_quota_t   q;
    ngx_http_intuit_limits_t  saved = limits;

    open_store(ZONE_SIZE);

    for (i = 0; i < 200; i++) {
        q = quota(7, START, 0);
        if (reserve(&q) == NGX_BUSY) {
            break;
        }
    }

    ok(i == 109, "a hundred wait, after nine");
    ok(q.wait == SECOND + 100 * (SECOND / 9), "the next is told how long: %u",
       (unsigned) q.wait);
    ok(stat_of(7, START).refused == 1, "and counted");
    ok(once(START + SECOND, 0) == NGX_AGAIN, "there is room when one goes");
    ok(once(START + SECOND, 0) == NGX_BUSY, "for one");

    limits.timeout = 5000;
    close_store();
    open_store(ZONE_SIZE);

    for (i = 0; i < 200; i++) {
        q = quota(7, START, 0);
        if (reserve(&q) == NGX_BUSY) {
            break;
        }
    }

    ok(i == 9 + 1 + (5000 - SECOND) / (SECOND / 9), "none longer than 5 s");

    limits.queue = 0;
    close_store();
    open_store(ZONE_SIZE);

    for (i = 0; i < 200; i++) {
        if (once(START, 0) == NGX_BUSY) {
            break;
        }
    }

    ok(i == 9, "none at all");
    ok(once(START + SECOND - 1, 0) == NGX_BUSY
       && once(START + SECOND, 0) == NGX_OK, "until the second is over");

    limits = saved;
    close_store();
}


static void
test_batches(void)
{
    ngx_uint_t               i;
    uint64_t                 now;
    ngx_http_intuit_quota_t  q, next;

    open_store(ZONE_SIZE);

    now = START;

    for (i = 0; i < 38; i++, now += 200) {
        if (once(now, 1) != NGX_OK) {
            break;
        }
    }

    ok(i == 38, "38 batches");

    q = quota(7, now, 1);
    ok(reserve(&q) == NGX_BUSY && q.wait == START + MINUTE - now,
       "the next would have to wait for too long");

    now = START + 40000;
    q = quota(7, now, 1);
    ok(reserve(&q) == NGX_AGAIN && q.wait == START + MINUTE - now,
       "later it waits");
    next = quota(7, now, 1);
    ok(reserve(&next) == NGX_AGAIN && next.wait == q.wait + 200,
       "as does the one after it");
    ok(once(now, 0) == NGX_OK, "others do not");

    /* when its time comes there is a crowd of others */

    now = START + MINUTE;

    for (i = 0; i < 12; i++) {
        (void) once(now, 0);
    }

    q.now = now;
    ok(reserve(&q) == NGX_AGAIN && q.wait == SECOND + 3 * (SECOND / 9),
       "then it is one among all: %u", (unsigned) q.wait);
    ok(stat_of(7, now).batches == 37, "and counted when it goes");

    next.now = now + 200;
    ok(reserve(&next) == NGX_AGAIN, "so does the next");
    next.now += next.wait;
    q.now += q.wait;
    ok(reserve(&q) == NGX_OK && reserve(&next) == NGX_OK, "both go");

    close_store();
}


static void
test_hold(void)
{
    ngx_uint_t               i;
    ngx_http_intuit_id_t     key;
    ngx_http_intuit_quota_t  q, batch;

    open_store(ZONE_SIZE);

    key = id(7);
    ok(ngx_http_intuit_quota_hold(store, &key, START, 60000) == NGX_DECLINED,
       "nothing to hold");

    for (i = 0; i < 10; i++) {
        q = quota(7, START, 0);
        (void) reserve(&q);
    }

    batch = quota(7, START, 1);
    (void) reserve(&batch);

    ok(ngx_http_intuit_quota_hold(store, &key, START, 60000) == NGX_OK,
       "held");
    ok(ngx_http_intuit_quota_hold(store, &key, START + 1, 60000)
       == NGX_DECLINED, "it was already, and is for a little longer");
    ok(stat_of(7, START + 1).held == 60000 && stat_of(7, START + 1).queued == 0,
       "nobody has a slot");

    ok(once(START + 20000, 0) == NGX_BUSY, "too long for new ones");

    q.now = START + SECOND;
    ok(reserve(&q) == NGX_BUSY && q.wait == 60001 - SECOND,
       "and for those that wait already");
    ngx_http_intuit_quota_release(store, &q);

    q = quota(7, START + 40000, 0);
    ok(reserve(&q) == NGX_AGAIN && q.wait == 20001, "later ones wait");
    q.now += q.wait;
    ok(reserve(&q) == NGX_OK, "until it is over");

    close_store();
}


/* every slot of a long run with crowds, pauses, batches and leavers */

static ngx_uint_t
most(uint64_t *times, ngx_uint_t n, uint64_t window)
{
    ngx_uint_t  i, k, max;

    max = 0;
    k = 0;

    for (i = 0; i < n; i++) {
        while (times[i] - times[k] >= window) {
            k++;
        }
        max = ngx_max(max, i - k + 1);
    }

    return max;
}


static int
by_time(const void *a, const void *b)
{
    uint64_t  x = *(const uint64_t *) a, y = *(const uint64_t *) b;

    return (x > y) - (x < y);
}


static void
test_random(void)
{
    uint64_t                 now, from;
    ngx_uint_t               i, k, n, refused;
    ngx_http_intuit_quota_t  q[300], *p;

    open_store(ZONE_SIZE);

    srandom(1);
    nsent = nbatches = n = refused = 0;
    now = START;

    /* 20 minutes in steps of a millisecond, in which something happens */

    for (from = now; now < from + 1200000; now++) {

        for (k = 0, i = 0; i < n; i++) {
            p = &q[i];

            if (p->now + p->wait > now) {
                q[k++] = *p;
                continue;
            }

            p->now = now;
            p->time = 1000000 + now / 1000;

            switch (reserve(p)) {
            case NGX_OK:
                sent[nsent++] = now;
                if (p->batch) {
                    batches[nbatches++] = now;
                }
                break;
            case NGX_AGAIN:
                q[k++] = *p;
                break;
            default:
                refused++;
            }
        }

        n = k;

        /* a crowd now and then, and quiet minutes */

        if ((now / 100000) % 3 == 2 || n > 290
            || random() % ((now / 7000) % 2 ? 400 : 60) != 0)
        {
            continue;
        }

        q[n] = quota(7, now, random() % 12 == 0);
        p = &q[n];

        switch (reserve(p)) {
        case NGX_OK:
            sent[nsent++] = now;
            if (p->batch) {
                batches[nbatches++] = now;
            }
            break;
        case NGX_AGAIN:
            if (random() % 20 == 0) {
                ngx_http_intuit_quota_release(store, p);
            } else {
                n++;
            }
            break;
        default:
            refused++;
        }
    }

    qsort(sent, nsent, sizeof(uint64_t), by_time);
    qsort(batches, nbatches, sizeof(uint64_t), by_time);

    ok(nsent > 4000, "%u were sent, %u refused", (unsigned) nsent,
       (unsigned) refused);
    ok(nbatches > 200, "%u batches", (unsigned) nbatches);
    ok(most(sent, nsent, SECOND) == 9, "at most 9 in a second: %u",
       (unsigned) most(sent, nsent, SECOND));
    ok(most(sent, nsent, 60000) <= 480 && most(sent, nsent, 60000) > 440,
       "at most 480 in a minute: %u", (unsigned) most(sent, nsent, 60000));
    ok(most(batches, nbatches, 60000) <= 38, "at most 38 batches: %u",
       (unsigned) most(batches, nbatches, 60000));

    close_store();
}


/* the configuration changes, and old workers are still there */

static void
test_numbers(void)
{
    ngx_uint_t                i, n;
    uint64_t                  now;
    ngx_http_intuit_limits_t  saved = limits;

    open_store(ZONE_SIZE);

    limits.rate = 60;
    limits.queue = 0;
    now = START;

    for (n = 0, i = 0; i < 100; i++, now += 200) {
        n += (once(now, 0) == NGX_OK);
    }

    ok(n == 60, "60 in a minute");

    limits.rate = 900;
    limits.batch_rate = 100;
    limits.burst_rate = 20;

    for (i = 0; i < 30; i++, now += 200) {
        n += (once(now, 0) == NGX_OK);
    }

    ok(n == 90, "more, by other numbers");
    ok(stat_of(7, now).used == 90, "with the old ones in mind");

    limits = saved;
    ok(once(now, 0) == NGX_OK, "and back");
    ok(stat_of_store().size != 0, "all is well");

    close_store();
}


/* one lock with a load, once the connection's quota is known */

static void
test_load(void)
{
    uint64_t                  generation;
    ngx_str_t                 text;
    ngx_http_intuit_id_t      key, skey;
    ngx_intuit_connection_t   c;
    ngx_http_intuit_quota_t   q;
    ngx_http_intuit_loaded_t  loaded;

    open_store(ZONE_SIZE);

    key = id(1);
    skey = id(2);
    generation = 0;

    memset(&c, 0, sizeof(ngx_intuit_connection_t));
    c.realm = realm;
    ngx_str_set(&c.current.access_token, "token");
    c.current.expires = 1000000 + START / 1000 + 100;

    (void) ngx_intuit_connection_encode(pool, &c, &text);
    (void) ngx_http_intuit_connection_save(store, &key, &text, &generation, 1);

    text = session("u", 10);
    (void) ngx_http_intuit_session_create(store, &skey, &text, 1 << 30, &key,
                                          1);

    q = quota(7, START, 0);
    ok(ngx_http_intuit_connection_reserve(store, &key, pool, &c, &generation,
                                          &q)
       == NGX_OK && q.rc == NGX_DECLINED, "not known yet");
    ok(reserve(&q) == NGX_OK, "made");

    (void) ngx_intuit_connection_encode(pool, &c, &text);
    (void) ngx_http_intuit_connection_save(store, &key, &text, &generation, 1);

    q = quota(0, START, 0);
    ok(ngx_http_intuit_connection_reserve(store, &key, pool, &c, &generation,
                                          &q)
       == NGX_OK && q.rc == NGX_OK, "a slot with the connection");

    q = quota(0, START, 0);
    q.realm = realm;
    loaded.quota = &q;
    ok(ngx_http_intuit_session_reserve(store, &skey, 0, 2, pool, &loaded)
       == NGX_OK && q.rc == NGX_OK && loaded.quota == &q,
       "a slot with the session");
    ok(stat_of(7, START).used == 3, "three in all");
    ok(stat_of(7, START).limit == 480, "of 480");

    q = quota(0, START, 0);
    q.realm = other;
    (void) ngx_http_intuit_session_reserve(store, &skey, 0, 2, pool, &loaded);
    ok(q.rc == NGX_DECLINED, "none for another company");

    q = quota(0, START + 100000, 0);
    (void) ngx_http_intuit_session_reserve(store, &skey, 0, 2, pool, &loaded);
    ok(q.rc == NGX_DECLINED, "none without a token");

    loaded.quota = &q;
    q.rc = 99;
    ok(ngx_http_intuit_session_load(store, &skey, 0, 2, pool, &loaded)
       == NGX_OK && loaded.quota == NULL && q.rc == 99,
       "who asks for none gets none");

    close_store();
}


static void
test_room(void)
{
    ngx_uint_t               i;
    ngx_http_intuit_quota_t  q;

    open_store(20000);

    for (i = 0; i < 20; i++) {
        q = quota(100 + i, START, 0);
        if (reserve(&q) == NGX_DECLINED) {
            break;
        }
    }

    ok(i > 2 && i < 20, "no room for more than %u in use", (unsigned) i);

    q = quota(200, START + 70000, 0);
    ok(reserve(&q) == NGX_OK, "one of a minute ago makes room");
    ok(stat_of(100, START).used == 0, "the oldest");

    ok(ngx_http_intuit_shm_quota_size(480, 138) <= 4096 - 32,
       "the default takes a page: %u",
       (unsigned) ngx_http_intuit_shm_quota_size(480, 138));

    close_store();
}


int
main(void)
{
    setup();

    test_burst();
    test_release();
    test_bounds();
    test_batches();
    test_hold();
    test_random();
    test_numbers();
    test_load();
    test_room();

    ngx_destroy_pool(pool);

    return done_testing();
}
