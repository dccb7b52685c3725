/*
 * Random operations against a simple model of the store, in a zone with room
 * for everything and in one with far too little.  A debug build verifies the
 * whole zone after each of them.
 *
 *     test_store_random [operations [seed]]
 */

#include "test_store.h"


#define SESSIONS      60
#define CONNECTIONS   20
#define LOGINS        40

#define IDLE          300


typedef struct {
    int         there;
    unsigned    version;
    size_t      size;
    int         connection;              /* -1: none */
    time_t      expires;
    time_t      last;
    time_t      idle;
    uint64_t    used;                    /* place in the queue */
} model_session_t;

typedef struct {
    int         there;
    unsigned    version;
    size_t      size;
    uint64_t    generation;
} model_connection_t;

typedef struct {
    int         there;
    unsigned    version;
    size_t      size;
    int         state;
    time_t      deadline;
    time_t      expires;
    time_t      ended;
    ngx_uint_t  error;
    uint64_t    failed;                  /* place in the queue */
} model_login_t;


static uint64_t            seed;
static uint64_t            clock_of_uses;
static uint64_t            last_generation;
static uint64_t            last_missing;
static ngx_uint_t          evicted;
static unsigned            versions;
static time_t              now;
static int                 tight;
static ngx_uint_t          busy;

static model_session_t     sessions[SESSIONS];
static model_connection_t  connections[CONNECTIONS];
static model_login_t       logins[LOGINS];

static const char         *wrong;


static unsigned
number(unsigned n)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;

    return (unsigned) ((seed >> 20) % n);
}


static void
expect(int good, const char *what)
{
    if (!good && wrong == NULL) {
        wrong = what;
    }
}


static const char *
name(unsigned version)
{
    static char  text[32];

    snprintf(text, sizeof(text), "v%u", version);

    return text;
}


static int
same(const ngx_str_t *s, unsigned version)
{
    const char  *text;

    text = name(version);

    return s->len == strlen(text) && memcmp(s->data, text, s->len) == 0;
}


static size_t
any_size(void)
{
    return number(10) ? number(900) : number(9000);
}


static int
session_over(const model_session_t *m, time_t idle)
{
    return now >= m->expires || (idle > 0 && now - m->last > idle);
}


/* whom the store has evicted, if it went by its rules */
static void
evict(void)
{
    ngx_uint_t                    i;
    model_session_t              *m, *oldest;
    ngx_http_intuit_store_stat_t  stat;

    stat = stat_of_store();

    while (evicted < stat.evicted) {
        oldest = NULL;

        for (i = 0; i < SESSIONS; i++) {
            m = &sessions[i];

            if (m->there && !session_over(m, m->idle)
                && (oldest == NULL || m->used < oldest->used))
            {
                oldest = m;
            }
        }

        expect(oldest != NULL, "more were evicted than were there");

        if (oldest == NULL) {
            break;
        }

        oldest->there = 0;
        evicted++;
    }

    expect(tight || evicted == 0, "eviction in spite of room");
}


static void
no_room(void)
{
    busy++;

    expect(tight, "busy in spite of room");
    expect(stat_of_store().sessions == 0, "busy before sessions were evicted");
}


static void
op_session_create(ngx_uint_t n)
{
    int                    there, c;
    size_t                 size;
    time_t                 expires;
    ngx_int_t              rc;
    ngx_str_t              text;
    model_session_t       *m;
    ngx_http_intuit_id_t   key, ckey;

    m = &sessions[n];
    key = id(n);
    there = m->there && !session_over(m, m->idle);
    c = (int) number(CONNECTIONS + 5);
    c = (c < CONNECTIONS) ? c : -1;
    ckey = id(1000 + c);
    size = any_size();
    expires = now + 1 + number(1000);
    text = session(name(++versions), size);

    rc = ngx_http_intuit_session_create(store, &key, &text, expires,
                                        c < 0 ? NULL : &ckey, now);

    if (there) {
        expect(rc == NGX_DECLINED, "session was created twice");
        return;
    }

    m->there = 0;
    evict();

    if (rc == NGX_BUSY) {
        no_room();
        return;
    }

    expect(rc == NGX_OK, "session was not created");

    m->there = 1;
    m->version = versions;
    m->size = size;
    m->connection = c;
    m->expires = expires;
    m->last = now;
    m->idle = 0;
    m->used = ++clock_of_uses;
}


static void
op_session_load(ngx_uint_t n)
{
    ngx_int_t                  rc;
    model_session_t           *m;
    model_connection_t        *c;
    ngx_http_intuit_id_t       key;
    ngx_http_intuit_loaded_t   loaded;

    m = &sessions[n];
    key = id(n);

    rc = ngx_http_intuit_session_load(store, &key, IDLE, now, pool, &loaded);

    if (!m->there || session_over(m, IDLE)) {
        m->there = 0;
        expect(rc == NGX_DECLINED, "a session that should not be there");
        return;
    }

    expect(rc == NGX_OK, "a session has gone");

    if (rc != NGX_OK) {
        return;
    }

    expect(same(&loaded.session.sub, m->version)
           && loaded.session.claims.len == m->size,
           "a session has other contents");

    if (now > m->last) {
        m->last = now;
        m->idle = IDLE;
        m->used = ++clock_of_uses;
    }

    c = (m->connection < 0) ? NULL : &connections[m->connection];

    expect(loaded.has_connection == (c != NULL && c->there),
           "a session has another connection");

    if (loaded.has_connection && c != NULL) {
        expect(loaded.generation == c->generation
               && same(&loaded.connection.current.access_token, c->version)
               && loaded.connection.company.len == c->size,
               "a session's connection has other contents");
    }
}


static void
op_session_remove(ngx_uint_t n)
{
    ngx_int_t              rc;
    model_session_t       *m;
    ngx_http_intuit_id_t   key;

    m = &sessions[n];
    key = id(n);

    rc = ngx_http_intuit_session_remove(store, &key);

    if (!m->there) {
        expect(rc == NGX_DECLINED, "removed what was not there");

    } else if (!session_over(m, m->idle)) {
        expect(rc == NGX_OK, "a session has gone before it was removed");
    }

    m->there = 0;
}


static void
op_connection_save(ngx_uint_t n)
{
    int                    right;
    size_t                 size;
    uint64_t               generation, before;
    ngx_int_t              rc;
    ngx_str_t              text;
    model_connection_t    *m;
    ngx_http_intuit_id_t   key;

    m = &connections[n];
    key = id(1000 + n);
    size = any_size();
    text = connection(name(++versions), size);

    right = number(4) != 0;
    generation = m->there ? m->generation : 0;

    if (!right) {
        generation += 1 + number(3);
    }

    before = generation;
    rc = ngx_http_intuit_connection_save(store, &key, &text, &generation, now);
    evict();

    if (!right) {
        expect(rc == NGX_DECLINED && generation == before,
               "a writer of another generation was let in");
        return;
    }

    if (rc == NGX_BUSY) {
        no_room();
        expect(generation == before, "generation moved in vain");
        return;
    }

    expect(rc == NGX_OK, "connection was not saved");
    expect(generation > last_generation, "generation is not new");

    last_generation = generation;
    m->there = 1;
    m->version = versions;
    m->size = size;
    m->generation = generation;
}


static void
op_connection_load(ngx_uint_t n)
{
    uint64_t                  generation;
    ngx_int_t                 rc;
    model_connection_t       *m;
    ngx_http_intuit_id_t      key;
    ngx_intuit_connection_t   c;

    m = &connections[n];
    key = id(1000 + n);

    rc = ngx_http_intuit_connection_load(store, &key, pool, &c, &generation);

    expect(rc == (m->there ? NGX_OK : NGX_DECLINED),
           "a connection has come or gone");

    if (rc == NGX_OK) {
        expect(generation == m->generation
               && same(&c.current.access_token, m->version)
               && c.company.len == m->size,
               "a connection has other contents");
    }
}


static void
op_connection_remove(ngx_uint_t n)
{
    ngx_int_t              rc;
    model_connection_t    *m;
    ngx_http_intuit_id_t   key;

    m = &connections[n];
    key = id(1000 + n);

    rc = ngx_http_intuit_connection_remove(store, &key, 0);

    expect(rc == (m->there ? NGX_OK : NGX_DECLINED),
           "a removed connection has come or gone");

    m->there = 0;
}


static void
login_age(model_login_t *m)
{
    if (m->there && now >= m->expires) {
        m->there = 0;
    }

    if (m->there && m->state == NGX_HTTP_INTUIT_LOGIN_PENDING
        && now > m->deadline)
    {
        m->state = NGX_HTTP_INTUIT_LOGIN_FAILED;
        m->ended = now;
        m->error = 0;
        m->version = 0;
        m->failed = ++clock_of_uses;
    }
}


/* what the store says of an attempt that it knows */
static void
login_check(const model_login_t *m, const ngx_http_intuit_login_t *l)
{
    int                   handed;
    ngx_intuit_session_t  s;

    expect((int) l->state == m->state && l->deadline == m->deadline
           && l->ended == m->ended, "a login is in another state");

    if (m->state == NGX_HTTP_INTUIT_LOGIN_FAILED) {
        expect(l->error == m->error, "a login has another error");
    }

    if (m->state == NGX_HTTP_INTUIT_LOGIN_PENDING || m->version == 0) {
        expect(l->tid.len == 0, "a login without an outcome has one");

    } else {
        expect(same(&l->tid, m->version), "a login has another outcome");
    }

    handed = m->state == NGX_HTTP_INTUIT_LOGIN_DONE && now - m->ended < 60;

    expect((l->session.len != 0) == handed, "a login's session's minute");

    if (handed && l->session.len) {
        expect(ngx_intuit_session_decode(&l->session, &s) == NGX_OK
               && same(&s.sub, m->version) && s.claims.len == m->size,
               "a login's session has other contents");
    }
}


/* 1: the store has forgotten it, and was allowed to */
static int
login_dropped(model_login_t *m)
{
    if (!tight || m->state != NGX_HTTP_INTUIT_LOGIN_FAILED) {
        return 0;
    }

    if (m->failed > last_missing) {
        last_missing = m->failed;
    }

    m->there = 0;

    return 1;
}


static void
op_login_begin(ngx_uint_t n)
{
    time_t                    deadline, expires;
    ngx_int_t                 rc;
    model_login_t            *m;
    ngx_http_intuit_id_t      key;
    ngx_http_intuit_login_t   l;

    m = &logins[n];
    key = id(2000 + n);
    deadline = now + number(40);
    expires = now + 1 + number(200);

    login_age(m);

    l.deadline = deadline;
    l.expires = expires;
    rc = ngx_http_intuit_login_begin(store, &key, now, pool, &l);
    evict();

    if (rc == NGX_DECLINED) {
        expect(m->there, "a login was claimed by nobody");
        expect(m->state != NGX_HTTP_INTUIT_LOGIN_FAILED
               || m->failed > last_missing,
               "a failed login outlived a later one");
        login_check(m, &l);
        return;
    }

    if (m->there) {
        expect(login_dropped(m), "a login was claimed twice");
    }

    if (rc == NGX_BUSY) {
        busy++;
        expect(tight, "busy in spite of room");
        return;
    }

    expect(rc == NGX_OK, "a login was not claimed");

    m->there = 1;
    m->state = NGX_HTTP_INTUIT_LOGIN_PENDING;
    m->deadline = deadline;
    m->expires = expires;
    m->ended = 0;
    m->version = 0;
}


static void
op_login_load(ngx_uint_t n)
{
    ngx_int_t                 rc;
    model_login_t            *m;
    ngx_http_intuit_id_t      key;
    ngx_http_intuit_login_t   l;

    m = &logins[n];
    key = id(2000 + n);

    login_age(m);

    rc = ngx_http_intuit_login_load(store, &key, now, pool, &l);

    if (rc == NGX_DECLINED) {
        expect(!m->there || login_dropped(m), "a login has gone");
        return;
    }

    expect(rc == NGX_OK && m->there, "a login that should not be there");

    if (rc == NGX_OK && m->there) {
        expect(m->state != NGX_HTTP_INTUIT_LOGIN_FAILED
               || m->failed > last_missing,
               "a failed login outlived a later one");
        login_check(m, &l);
    }
}


static void
op_login_end(ngx_uint_t n)
{
    size_t                    size;
    ngx_int_t                 rc;
    const char               *text;
    model_login_t            *m;
    ngx_http_intuit_id_t      key;
    ngx_http_intuit_login_t   l;

    m = &logins[n];
    key = id(2000 + n);
    text = name(++versions);
    size = number(450);

    login_age(m);

    memset(&l, 0, sizeof(ngx_http_intuit_login_t));
    l.tid.data = (u_char *) text;
    l.tid.len = strlen(text);

    if (number(3)) {
        l.state = NGX_HTTP_INTUIT_LOGIN_DONE;
        l.session = session(text, size);

    } else {
        l.state = NGX_HTTP_INTUIT_LOGIN_FAILED;
        l.error = 1 + number(20);
    }

    rc = ngx_http_intuit_login_end(store, &key, &l, now);
    evict();

    if (!m->there || m->state != NGX_HTTP_INTUIT_LOGIN_PENDING) {
        expect(rc == NGX_DECLINED, "a login ended twice");
        return;
    }

    if (rc == NGX_BUSY) {
        busy++;
        expect(tight && l.state == NGX_HTTP_INTUIT_LOGIN_DONE,
               "no room to end a login");
        return;
    }

    expect(rc == NGX_OK, "a login did not end");

    m->state = (int) l.state;
    m->error = l.error;
    m->ended = now;
    m->version = versions;
    m->size = size;

    if (l.state == NGX_HTTP_INTUIT_LOGIN_FAILED) {
        m->failed = ++clock_of_uses;
    }
}


static void
step(void)
{
    unsigned  op;

    now += number(4) ? 0 : number(4);
    now += number(500) ? 0 : number(400);

    op = number(100);

    if (op < 18) {
        op_session_create(number(SESSIONS));

    } else if (op < 48) {
        op_session_load(number(SESSIONS));

    } else if (op < 52) {
        op_session_remove(number(SESSIONS));

    } else if (op < 62) {
        op_connection_save(number(CONNECTIONS));

    } else if (op < 70) {
        op_connection_load(number(CONNECTIONS));

    } else if (op < 73) {
        op_connection_remove(number(CONNECTIONS));

    } else if (op < 82) {
        op_login_begin(number(LOGINS));

    } else if (op < 92) {
        op_login_load(number(LOGINS));

    } else {
        op_login_end(number(LOGINS));
    }
}


static void
play(size_t limit, unsigned operations)
{
    unsigned                      i;
    ngx_pool_t                   *store_pool;
    ngx_http_intuit_store_stat_t  stat;

    memset(sessions, 0, sizeof(sessions));
    memset(connections, 0, sizeof(connections));
    memset(logins, 0, sizeof(logins));

    now = 1000000;
    evicted = 0;
    busy = 0;
    last_missing = 0;
    last_generation = 0;

    open_store(limit);

    store_pool = pool;
    pool = ngx_intuit_stub_pool();

    for (i = 0; i < operations && wrong == NULL; i++) {
        step();
        ngx_reset_pool(pool);
    }

    ok(wrong == NULL, "%u operations as in the model, %s room",
       i, tight ? "with little" : "with plenty of");

    if (wrong != NULL) {
        printf("# operation %u: %s\n", i, wrong);
    }

    /* the end of everything gives everything back */

    now += 100000;

    for (i = 0; i < SESSIONS; i++) {
        op_session_load(i);
    }

    for (i = 0; i < LOGINS; i++) {
        op_login_load(i);
    }

    for (i = 0; i < CONNECTIONS; i++) {
        op_connection_remove(i);
    }

    stat = stat_of_store();

    ok(stat.sessions == 0 && stat.connections == 0 && stat.logins == 0,
       "no record is left");
    ok(ngx_slab_stub_used(zone) == 0, "no byte is left");
    ok(!tight == (stat.evicted == 0) && !tight == (busy == 0),
       "%u sessions were evicted, %u times there was no room",
       (unsigned) stat.evicted, (unsigned) busy);

    ngx_destroy_pool(pool);
    pool = store_pool;
    close_store();
}


int
main(int argc, char **argv)
{
    unsigned  operations;

    operations = (argc > 1) ? (unsigned) atoi(argv[1]) : 200000;
    seed = (argc > 2) ? (uint64_t) atoll(argv[2]) : 20261123;

    setup();

    tight = 0;
    play(4 * 1024 * 1024, operations / 2);

    tight = 1;
    play(40 * 1024, operations / 4);
    play(12 * 1024, operations / 4);

    ngx_destroy_pool(pool);

    return done_testing();
}
