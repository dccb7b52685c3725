/*
 * The store's verbs: what is kept, for how long, and who has to go when there
 * is no room.
 *
 * Rows: F-SHM-01 F-SHM-04
 */

#include "test_store.h"


#define HOUR  3600


static ngx_http_intuit_loaded_t  loaded;
static ngx_http_intuit_login_t   login;


static ngx_int_t
create(ngx_uint_t n, size_t size, time_t expires, time_t now)
{
    ngx_str_t             text;
    ngx_http_intuit_id_t  key;

    key = id(n);
    text = session("u", size);

    return ngx_http_intuit_session_create(store, &key, &text, expires, NULL,
                                          now);
}


static ngx_int_t
load(ngx_uint_t n, time_t now)
{
    ngx_http_intuit_id_t  key;

    key = id(n);

    return ngx_http_intuit_session_load(store, &key, HOUR, now, pool, &loaded);
}


static ngx_int_t
save(ngx_uint_t n, const char *token, size_t size, uint64_t *generation)
{
    ngx_str_t             text;
    ngx_http_intuit_id_t  key;

    key = id(n);
    text = connection(token, size);

    return ngx_http_intuit_connection_save(store, &key, &text, generation, 0);
}


static ngx_int_t
begin(ngx_uint_t n, time_t deadline, time_t expires, time_t now)
{
    ngx_http_intuit_id_t  key;

    key = id(n);

    login.deadline = deadline;
    login.expires = expires;

    return ngx_http_intuit_login_begin(store, &key, now, pool, &login);
}


static ngx_int_t
look(ngx_uint_t n, time_t now)
{
    ngx_http_intuit_id_t  key;

    key = id(n);

    return ngx_http_intuit_login_load(store, &key, now, pool, &login);
}


static ngx_int_t
end(ngx_uint_t n, ngx_http_intuit_login_state_e state, size_t size, time_t now)
{
    ngx_http_intuit_id_t     key;
    ngx_http_intuit_login_t  l;

    memset(&l, 0, sizeof(ngx_http_intuit_login_t));

    key = id(n);
    l.state = state;
    l.error = (state == NGX_HTTP_INTUIT_LOGIN_FAILED) ? 7 : 0;
    l.connection = id(500);
    ngx_str_set(&l.tid, "1-0123abcd");

    if (state == NGX_HTTP_INTUIT_LOGIN_DONE) {
        l.session = session("u", size);
    }

    return ngx_http_intuit_login_end(store, &key, &l, now);
}


static void
test_session(void)
{
    ngx_str_t             text;
    ngx_http_intuit_id_t  key;

    open_store(ZONE_SIZE);

    ok(load(1, 1000) == NGX_DECLINED, "no session");

    key = id(1);
    text = session("123-abc", 100);

    ok(ngx_http_intuit_session_create(store, &key, &text, 1000 + 8 * HOUR,
                                      NULL, 1000)
       == NGX_OK, "session is created");
    ok(ngx_http_intuit_session_create(store, &key, &text, 1000 + 8 * HOUR,
                                      NULL, 1000)
       == NGX_DECLINED, "not twice");

    ok(load(1, 1000) == NGX_OK, "session is loaded");
    is_str(&loaded.session.sub, "123-abc", "with its contents");
    ok(loaded.session.claims.len == 100, "all of them");
    ok(loaded.has_connection == 0, "it has no connection");

    ok(load(1, 1000 + HOUR) == NGX_OK, "idle for as long as allowed");
    ok(load(1, 1000 + 2 * HOUR) == NGX_OK, "idle time starts anew");
    ok(load(1, 1000 + 3 * HOUR + 1) == NGX_DECLINED, "idle too long");
    ok(load(1, 1000 + 2 * HOUR) == NGX_DECLINED, "and removed");
    ok(stat_of_store().sessions == 0, "and not counted");

    ok(create(2, 10, 1500, 1000) == NGX_OK, "a short session");
    ok(load(2, 1499) == NGX_OK, "there to its last second");
    ok(load(2, 1500) == NGX_DECLINED, "and not at its end");
    ok(load(2, 1400) == NGX_DECLINED, "nor ever again");

    ok(create(3, 10, 9000, 1000) == NGX_OK, "another");
    key = id(3);
    ok(ngx_http_intuit_session_remove(store, &key) == NGX_OK, "is removed");
    ok(ngx_http_intuit_session_remove(store, &key) == NGX_DECLINED, "once");
    ok(load(3, 1000) == NGX_DECLINED, "and gone");

    ok(create(4, 10, 9000, 1000) == NGX_OK, "another");
    ok(create(4, 10, 9000, 9000) == NGX_OK, "made anew after its end");

    /* no limit of idle time */

    key = id(5);
    ok(create(5, 10, 90000, 1000) == NGX_OK, "another");
    ok(ngx_http_intuit_session_load(store, &key, 0, 89999, pool, &loaded)
       == NGX_OK, "idle time without a limit");

    /* a clock that was set back */

    ok(create(6, 10, 100000, 50000) == NGX_OK, "session of the future");
    ok(load(6, 20000) == NGX_OK, "loaded in the past");
    ok(load(6, 20000 + HOUR + 1) == NGX_DECLINED, "has an idle time there");

    ok(ngx_http_intuit_store_verify(store) == NGX_OK, "zone is in order");
    ok(ngx_slab_stub_lines == 0, "nothing was logged");

    close_store();
}


static void
test_collision(void)
{
    ngx_uint_t            i;
    ngx_str_t             text;
    ngx_http_intuit_id_t  key;

    open_store(ZONE_SIZE);

    for (i = 0; i < 20; i++) {
        key = id(9);
        key.data[31] = (u_char) (i * 7);
        text = session(i & 1 ? "odd" : "even", i);

        (void) ngx_http_intuit_session_create(store, &key, &text, 9000, NULL,
                                              1);
    }

    ok(stat_of_store().sessions == 20, "ids with the same beginning");

    key = id(9);
    key.data[31] = 21;
    ok(ngx_http_intuit_session_load(store, &key, 0, 1, pool, &loaded)
       == NGX_OK, "are told apart");
    ok(loaded.session.claims.len == 3, "one of them");

    key.data[31] = 22;
    ok(ngx_http_intuit_session_load(store, &key, 0, 1, pool, &loaded)
       == NGX_DECLINED, "and an unknown one is unknown");

    close_store();
}


static void
test_connection(void)
{
    uint64_t                 first, second, generation;
    ngx_str_t                text;
    ngx_http_intuit_id_t     key, skey;
    ngx_intuit_connection_t  c;

    open_store(ZONE_SIZE);

    key = id(1);
    skey = id(2);

    ok(ngx_http_intuit_connection_load(store, &key, pool, &c, &generation)
       == NGX_DECLINED, "no connection");

    generation = 5;
    ok(save(1, "t0", 0, &generation) == NGX_DECLINED,
       "a connection that is gone is not saved");

    first = 0;
    ok(save(1, "t1", 0, &first) == NGX_OK, "connection is created");
    ok(first != 0, "with a generation");

    generation = 0;
    ok(save(1, "t2", 0, &generation) == NGX_DECLINED, "not created twice");

    text = session("u", 0);
    ok(ngx_http_intuit_session_create(store, &skey, &text, 9000, &key, 1)
       == NGX_OK, "a session of it");
    ok(load(2, 1) == NGX_OK && loaded.has_connection, "finds it");
    is_str(&loaded.connection.current.access_token, "t1", "the right one");
    ok(loaded.generation == first, "of the right generation");

    second = first;
    ok(save(1, "token-2", 3000, &second) == NGX_OK, "connection is changed");
    ok(second != first, "generation moves");

    generation = first;
    ok(save(1, "t3", 0, &generation) == NGX_DECLINED, "late writer loses");
    ok(generation == first, "its generation stays");

    ok(ngx_http_intuit_connection_load(store, &key, pool, &c, &generation)
       == NGX_OK, "connection is loaded");
    ok(generation == second, "its generation, too");
    is_str(&c.current.access_token, "token-2", "new contents");

    ok(load(2, 1) == NGX_OK, "the session again");
    is_str(&loaded.connection.current.access_token, "token-2",
           "sees the new contents");

    ok(ngx_http_intuit_connection_remove(store, &key, first) == NGX_DECLINED,
       "not removed by one who knows an older one");
    ok(ngx_http_intuit_connection_remove(store, &key, second) == NGX_OK,
       "removed");
    ok(ngx_http_intuit_connection_remove(store, &key, 0) == NGX_DECLINED,
       "once");
    ok(load(2, 1) == NGX_OK && !loaded.has_connection,
       "its session has none then");

    generation = 0;
    ok(save(1, "t4", 0, &generation) == NGX_OK, "created anew");
    ok(generation != first && generation != second,
       "with a number that never was");
    generation = second;
    ok(save(1, "t5", 0, &generation) == NGX_DECLINED,
       "so the old writer still loses");

    close_store();
}


static void
test_login(void)
{
    open_store(ZONE_SIZE);

    ok(look(1, 100) == NGX_DECLINED, "no such attempt");
    ok(end(1, NGX_HTTP_INTUIT_LOGIN_DONE, 0, 100) == NGX_DECLINED,
       "nor can it end");

    ok(begin(1, 130, 700, 100) == NGX_OK, "claimed");
    ok(begin(1, 130, 700, 100) == NGX_DECLINED, "not twice");
    ok(login.state == NGX_HTTP_INTUIT_LOGIN_PENDING, "it is pending");
    ok(login.deadline == 130, "with its deadline");
    ok(login.session.len == 0 && login.tid.len == 0, "and no outcome");

    ok(end(1, NGX_HTTP_INTUIT_LOGIN_DONE, 5000, 110) == NGX_OK, "ended");
    ok(end(1, NGX_HTTP_INTUIT_LOGIN_FAILED, 0, 110) == NGX_DECLINED,
       "not twice");

    ok(begin(1, 140, 700, 110) == NGX_DECLINED, "claimed still");
    ok(login.state == NGX_HTTP_INTUIT_LOGIN_DONE, "it is done");
    ok(login.session.len > 5000, "session is handed out");
    is_str(&login.tid, "1-0123abcd", "and the transaction id");
    ok(memcmp(login.connection.data, id(500).data, 32) == 0,
       "and the connection");
    ok(login.ended == 110, "and when it ended");

    ok(look(1, 169) == NGX_OK && login.session.len, "for 59 seconds");
    ok(look(1, 170) == NGX_OK && login.session.len == 0, "not for 60");
    ok(login.state == NGX_HTTP_INTUIT_LOGIN_DONE, "done it stays");
    ok(look(1, 150) == NGX_OK && login.session.len == 0,
       "what was taken back stays so");
    ok(look(1, 700) == NGX_DECLINED, "until it expires");

    ok(begin(2, 130, 700, 100) == NGX_OK, "another");
    ok(end(2, NGX_HTTP_INTUIT_LOGIN_FAILED, 0, 110) == NGX_OK, "fails");
    ok(look(2, 120) == NGX_OK
       && login.state == NGX_HTTP_INTUIT_LOGIN_FAILED && login.error == 7,
       "and says why");
    ok(begin(2, 200, 700, 120) == NGX_DECLINED, "claimed still");

    ok(begin(3, 130, 700, 100) == NGX_OK, "another");
    ok(look(3, 130) == NGX_OK
       && login.state == NGX_HTTP_INTUIT_LOGIN_PENDING,
       "pending at its deadline");
    ok(look(3, 131) == NGX_OK
       && login.state == NGX_HTTP_INTUIT_LOGIN_FAILED && login.error == 0,
       "failed after it");
    ok(end(3, NGX_HTTP_INTUIT_LOGIN_DONE, 10, 132) == NGX_DECLINED,
       "a late job changes nothing");

    ok(begin(4, 130, 700, 100) == NGX_OK, "another");
    ok(begin(4, 200, 700, 131) == NGX_DECLINED
       && login.state == NGX_HTTP_INTUIT_LOGIN_FAILED,
       "a second claim sees the deadline, too");

    ok(begin(5, 130, 700, 100) == NGX_OK, "another");
    ok(end(5, NGX_HTTP_INTUIT_LOGIN_DONE, 10, 131) == NGX_DECLINED,
       "as does the job itself");

    ok(begin(6, 130, 700, 100) == NGX_OK, "a last one");
    ok(end(6, NGX_HTTP_INTUIT_LOGIN_DONE, 10, 110) == NGX_OK, "is done");
    ok(look(6, 10) == NGX_OK && login.session.len == 0,
       "a clock set back does not prolong the handing out");

    ok(ngx_http_intuit_store_verify(store) == NGX_OK, "zone is in order");

    close_store();
}


/* sessions of 1024 bytes in a zone for sixteen */
static void
test_eviction(void)
{
    ngx_uint_t  i, bad;

    open_store(16 * 1024);

    for (i = 0; i < 16; i++) {
        (void) create(i, 700, 99999, 1000 + i);
    }

    ok(stat_of_store().sessions == 16, "zone is full");
    ok(stat_of_store().evicted == 0, "and nobody was sent away");

    ok(load(0, 2000) == NGX_OK, "the oldest is used");
    ok(create(16, 700, 99999, 2000) == NGX_OK, "one more");

    ok(load(1, 2000) == NGX_DECLINED, "the one idle longest is gone");
    ok(load(0, 2000) == NGX_OK, "the one just used is not");
    ok(load(2, 2000) == NGX_OK, "nor the next");
    ok(stat_of_store().evicted == 1, "it is counted");
    ok(ngx_slab_stub_lines == 1, "and logged");
    ok(ngx_slab_stub_level == NGX_LOG_WARN, "as a warning");
    ok(strcmp(ngx_slab_stub_line, "intuit shared zone \"intuit\" is full: "
              "1 sessions evicted; make intuit_shared_zone larger")
       == 0, "in these words: %s", ngx_slab_stub_line);

    for (i = 17; i < 20; i++) {
        (void) create(i, 700, 99999, 2010);
    }

    ok(stat_of_store().evicted == 4, "three more");
    ok(ngx_slab_stub_lines == 1, "are not logged at once");

    ok(create(20, 700, 99999, 2060) == NGX_OK, "a minute later");
    ok(ngx_slab_stub_lines == 2, "they are");
    ok(strstr(ngx_slab_stub_line, "full: 4 sessions") != NULL,
       "with their number: %s", ngx_slab_stub_line);

    /* the order: 3, 4, 5, 6 went; 7 would be next, but this one ended */

    ok(load(7, 2060) == NGX_OK, "the next to go is used");
    (void) create(21, 700, 2100, 2061);
    (void) create(22, 700, 99999, 2062);

    ok(create(23, 700, 99999, 2200) == NGX_OK, "one more");
    ok(load(21, 2099) == NGX_DECLINED, "the one past its end went first");
    ok(stat_of_store().evicted == 7, "and does not count");

    for (bad = 0, i = 24; i < 200; i++) {
        bad += create(i, 700, 99999, 3000 + i) != NGX_OK;
        bad += load(0, 3000 + i) != NGX_OK;
    }

    ok(bad == 0, "one that is used stays whatever comes");
    ok(stat_of_store().sessions == 16, "sixteen as before");

    /* one too long for the zone must not drive the others out */

    ok(create(300, ZONE_SIZE / 8 + 1, 99999, 4000) == NGX_ERROR,
       "a record that is too long is refused");
    ok(ngx_slab_stub_level == NGX_LOG_ERR, "and logged");
    ok(stat_of_store().sessions == 16, "for nothing");

    close_store();
}


static void
test_sweep(void)
{
    ngx_uint_t  i;

    open_store(ZONE_SIZE);

    for (i = 0; i < 10; i++) {
        (void) create(i, 10, 2000, 1000);
        (void) begin(100 + i, 1010, 1500, 1000);
    }

    (void) create(20, 10, 9000, 3000);

    ok(stat_of_store().sessions == 9, "a new session takes two old ones away");
    ok(stat_of_store().logins == 8, "and two logins");

    for (i = 21; i < 30; i++) {
        (void) create(i, 10, 9000, 3000);
    }

    ok(stat_of_store().sessions == 10, "in the end all of them");
    ok(stat_of_store().logins == 0, "and all logins");

    /* an attempt that is kept for years is no cork */

    (void) begin(200, 3010, 999999999, 3000);
    (void) end(200, NGX_HTTP_INTUIT_LOGIN_DONE, 0, 3000);

    for (i = 201; i < 1200; i++) {
        (void) begin(i, 3010 + i, 3100 + i, 3000 + i);
    }

    ok(stat_of_store().logins < 110, "logins end behind one kept for long");
    ok(look(200, 99999) == NGX_OK, "which is there still");

    close_store();
}


static void
test_connections_stay(void)
{
    uint64_t                 generation, kept;
    ngx_uint_t               i, n, bad;
    ngx_http_intuit_id_t     key;
    ngx_intuit_connection_t  c;

    open_store(32 * 1024);

    for (i = 0; i < 16; i++) {
        (void) create(i, 700, 99999, 1000);
    }

    for (n = 0; n < 100; n++) {
        generation = 0;

        if (save(1000 + n, "t", 560, &generation) != NGX_OK) {
            break;
        }
    }

    ok(n == 32, "connections take all the room");
    ok(stat_of_store().sessions == 0, "of the sessions");
    ok(save(1000 + n, "t", 560, &generation) == NGX_BUSY,
       "until there is none");

    ok(create(500, 700, 99999, 1000) == NGX_BUSY, "no session gets in");
    ok(begin(1, 1010, 2000, 1000) == NGX_BUSY, "nor a login");

    key = id(1000);
    ok(ngx_http_intuit_connection_load(store, &key, pool, &c, &kept)
       == NGX_OK, "a connection");
    generation = kept;
    ok(save(1000, "n", 5000, &generation) == NGX_BUSY,
       "cannot be replaced by a larger one");
    ok(generation == kept, "its generation stays");
    ok(ngx_http_intuit_connection_load(store, &key, pool, &c, &kept)
       == NGX_OK && kept == generation, "so it stays as it was");
    is_str(&c.current.access_token, "t", "with its contents");

    for (bad = 0, i = 0; i < n; i++) {
        key = id(1000 + i);
        bad += ngx_http_intuit_connection_load(store, &key, pool, &c,
                                               &generation)
               != NGX_OK;
    }

    ok(bad == 0, "all of them are there");

    close_store();
}


/* in this zone, logins may have 64k: 128 of 512 bytes */
static void
test_login_share(void)
{
    ngx_int_t   rc;
    ngx_uint_t  n, max;

    open_store(ZONE_SIZE);

    max = ZONE_SIZE / 4
          / ngx_http_intuit_shm_cost(sizeof(ngx_http_intuit_shm_login_t));

    for (n = 0; n < 2000; n++) {
        if (begin(n, 1100, 2000, 1000) != NGX_OK) {
            break;
        }
    }

    ok(n == max, "%u logins in a quarter of the zone", (unsigned) n);
    ok(ngx_slab_stub_used(zone) <= ZONE_SIZE / 4, "and no more");
    ok(begin(3000, 1100, 2000, 1000) == NGX_BUSY, "pending ones stay");

    ok(end(0, NGX_HTTP_INTUIT_LOGIN_DONE, 100, 1001) == NGX_BUSY,
       "no room for a session");
    ok(look(0, 1001) == NGX_OK
       && login.state == NGX_HTTP_INTUIT_LOGIN_PENDING && login.ended == 0
       && login.tid.len == 0,
       "the attempt is as it was");
    ok(end(0, NGX_HTTP_INTUIT_LOGIN_FAILED, 0, 1001) == NGX_OK,
       "to fail it needs none");
    ok(end(1, NGX_HTTP_INTUIT_LOGIN_FAILED, 0, 1002) == NGX_OK, "another");

    ok(begin(3000, 1100, 2000, 1002) == NGX_OK, "one more fits now");
    ok(look(0, 1002) == NGX_DECLINED, "for the oldest failed one");
    ok(look(1, 1002) == NGX_OK, "the other one has not gone");

    ok(end(2, NGX_HTTP_INTUIT_LOGIN_DONE, 100, 1003) == NGX_OK,
       "a session in the place of a failed login");
    ok(look(1, 1003) == NGX_DECLINED, "which has gone");
    ok(look(2, 1003) == NGX_OK && login.session.len, "it is handed out");

    ok(begin(3001, 1100, 2000, 1004) == NGX_BUSY, "full again");
    ok(begin(3001, 1100, 2000, 1063) == NGX_OK,
       "sessions handed out make room after their minute");

    ok(begin(3002, 1100, 2900, 1101) == NGX_BUSY,
       "pending ones are kept until they expire");
    ok(begin(3002, 2100, 2900, 2000) == NGX_OK, "and not beyond");

    rc = NGX_OK;

    for (n = 4000; rc == NGX_OK && n < 6000; n++) {
        rc = begin(n, 2100, 2900, 2000);
        rc = (rc == NGX_OK) ? end(n, NGX_HTTP_INTUIT_LOGIN_FAILED, 0, 2000)
                            : rc;
    }

    ok(rc == NGX_OK, "failing logins without end replace each other");
    ok(ngx_slab_stub_used(zone) <= ZONE_SIZE / 4, "in their quarter");

    close_store();
}


static void
test_failed_first(void)
{
    ngx_uint_t  i, n;

    open_store(32 * 1024);

    /* as many logins as there is room for in the place of one session */

    n = 1024 / ngx_http_intuit_shm_cost(sizeof(ngx_http_intuit_shm_login_t));

    for (i = 0; i < 30; i++) {
        (void) create(i, 700, 99999, 1000 + i);
    }

    for (i = 100; i < 100 + 2 * n; i++) {
        (void) begin(i, 1100, 2000, 1000);
        (void) end(i, NGX_HTTP_INTUIT_LOGIN_FAILED, 0, 1001);
    }

    ok(stat_of_store().sessions == 30 && stat_of_store().logins == 2 * n,
       "zone is full");

    (void) create(50, 700, 99999, 1050);

    ok(stat_of_store().sessions == 31, "a session");
    ok(stat_of_store().logins == n, "in the place of failed logins");
    ok(stat_of_store().evicted == 0, "and of no other session");
    ok(look(100 + n - 1, 1050) == NGX_DECLINED
       && look(100 + n, 1050) == NGX_OK,
       "the oldest ones");

    (void) create(51, 700, 99999, 1051);
    (void) create(52, 700, 99999, 1052);

    ok(stat_of_store().evicted == 1, "sessions only after that");
    ok(load(0, 1053) == NGX_DECLINED, "the one idle longest");

    ok(begin(200, 1100, 2000, 1053) == NGX_OK, "a login finds room, too");
    ok(stat_of_store().evicted == 2, "for a session");

    close_store();
}


/* what another process does between our two looks */

static ngx_uint_t  rounds;
static size_t      growth;


static void
grow_session(void)
{
    ngx_uint_t            n;
    ngx_str_t             text;
    ngx_http_intuit_id_t  key;

    ngx_slab_stub_unlocked = NULL;

    n = rounds++;
    key = id(1);

    (void) ngx_http_intuit_session_remove(store, &key);

    if (n < 3) {
        text = session("u", 10 + growth * (n + 1));
        (void) ngx_http_intuit_session_create(store, &key, &text, 9000, NULL,
                                              1);
        ngx_slab_stub_unlocked = grow_session;
    }
}


static void
grow_and_rest(void)
{
    grow_session();

    if (rounds == 3) {
        ngx_slab_stub_unlocked = NULL;
    }
}


static void
count_round(void)
{
    rounds++;
}


static void
test_one_look(void)
{
    open_store(ZONE_SIZE);

    (void) create(1, 1000, 9000, 1);

    rounds = 0;
    ngx_slab_stub_unlocked = count_round;
    ok(load(1, 1) == NGX_OK && rounds == 2, "the first load asks twice");

    rounds = 0;
    ok(load(1, 1) == NGX_OK && rounds == 1, "the second once");
    ok(load(2, 1) == NGX_DECLINED && rounds == 2, "so for what is not there");

    ngx_slab_stub_unlocked = NULL;
    (void) create(1, 100, 9000, 1);
    (void) create(2, 20000, 9000, 1);
    (void) load(2, 1);
    ok(store->guess < 2000, "one long record does not cost everybody memory");

    close_store();
}


static void
test_races(void)
{
    ngx_http_intuit_id_t  key;

    open_store(ZONE_SIZE);

    /* by one byte */

    (void) create(1, 12, 9000, 1);

    growth = 1;
    rounds = 2;
    ngx_slab_stub_unlocked = grow_and_rest;
    ok(load(1, 1) == NGX_OK, "a session that grows while it is loaded");
    ok(loaded.session.claims.len == 13, "comes in its new length");

    key = id(1);
    (void) ngx_http_intuit_session_remove(store, &key);
    (void) create(1, 10, 9000, 1);

    growth = 1000;
    rounds = 0;
    store->guess = 0;
    ngx_slab_stub_unlocked = grow_session;
    ok(load(1, 1) == NGX_DECLINED, "one that grows and goes, is gone");
    ngx_slab_stub_unlocked = NULL;

    (void) create(2, 10, 9000, 1);

    ngx_intuit_stub_fail_after(0);
    ok(load(2, 1) == NGX_ERROR, "no memory is no answer");
    ngx_intuit_stub_fail_after(-1);

    ok(load(2, 1) == NGX_OK, "and changes nothing");

    close_store();
}


static void
test_damage(void)
{
    uint64_t                           generation;
    ngx_str_t                          text;
    ngx_http_intuit_id_t               key, ckey;
    ngx_intuit_connection_t            c;
    ngx_http_intuit_shm_session_t     *s;
    ngx_http_intuit_shm_connection_t  *r;

    open_store(ZONE_SIZE);

    (void) create(1, 10, 9000, 1);
    key = id(1);

    ngx_http_intuit_shm_lock(store);
    s = ngx_http_intuit_shm_find(store, NGX_HTTP_INTUIT_SHM_SESSION, &key);
    s->data[0] ^= 0xff;
    ngx_http_intuit_shm_unlock(store);

    ok(load(1, 1) == NGX_ERROR, "a damaged session is no answer");
    ok(ngx_slab_stub_level == NGX_LOG_ALERT, "and is logged");
    ok(load(1, 1) == NGX_DECLINED, "once: then it is gone");

    generation = 0;
    ckey = id(2);
    (void) save(2, "t", 10, &generation);
    text = session("u", 0);
    (void) ngx_http_intuit_session_create(store, &key, &text, 9000, &ckey, 1);

    ngx_http_intuit_shm_lock(store);
    r = ngx_http_intuit_shm_find(store, NGX_HTTP_INTUIT_SHM_CONNECTION, &ckey);
    r->data[0] ^= 0xff;
    ngx_http_intuit_shm_unlock(store);

    ok(ngx_http_intuit_connection_load(store, &ckey, pool, &c, &generation)
       == NGX_ERROR, "a damaged connection is no answer");
    ok(load(1, 1) == NGX_ERROR, "nor for its session");
    ok(stat_of_store().connections == 1, "but it is never dropped");

    close_store();
}


int
main(void)
{
    setup();

    test_session();
    test_collision();
    test_connection();
    test_login();
    test_eviction();
    test_sweep();
    test_connections_stay();
    test_login_share();
    test_failed_first();
    test_one_look();
    test_races();
    test_damage();

    ngx_destroy_pool(pool);

    return done_testing();
}
