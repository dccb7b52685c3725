/* The right to refresh a connection, and the walk over all of them. */

#include <signal.h>
#include <sys/wait.h>

#include "test_store.h"


static void
save(ngx_uint_t n, uint64_t *generation)
{
    ngx_str_t             text;
    ngx_http_intuit_id_t  key;

    key = id(n);
    text = connection("t", 10);

    ok(ngx_http_intuit_connection_save(store, &key, &text, generation, 0)
       == NGX_OK, "connection %u", (unsigned) n);
}


static void
test_lease(void)
{
    uint64_t              generation;
    ngx_uint_t            abandoned, leased;
    ngx_http_intuit_id_t  key;

    static u_char  a[NGX_HTTP_INTUIT_LEASE_LEN] = "a";
    static u_char  b[NGX_HTTP_INTUIT_LEASE_LEN] = "b";

    open_store(ZONE_SIZE);

    key = id(1);
    generation = 0;

    ok(ngx_http_intuit_connection_lease(store, &key, a, 10, 1, &abandoned)
       == NGX_DECLINED, "no lease without a connection");

    save(1, &generation);

    ok(ngx_http_intuit_connection_lease(store, &key, a, 10, 1, &abandoned)
       == NGX_OK && !abandoned, "the first owner");
    ok(ngx_http_intuit_connection_lease(store, &key, b, 20, 9, &abandoned)
       == NGX_DECLINED, "nobody else before its end");

    save(1, &generation);

    ok(ngx_http_intuit_connection_peek(store, &key, 9, &generation, &leased)
       == NGX_OK && leased, "it survives a save");
    ok(ngx_http_intuit_connection_release(store, &key, b) == NGX_DECLINED,
       "only its owner gives it back");
    ok(ngx_http_intuit_connection_lease(store, &key, b, 20, 10, &abandoned)
       == NGX_OK && abandoned, "the second, of an owner that is gone");
    ok(ngx_http_intuit_connection_release(store, &key, a) == NGX_DECLINED,
       "a late owner gives nothing back");
    ok(ngx_http_intuit_connection_release(store, &key, b) == NGX_OK,
       "given back");
    ok(ngx_http_intuit_connection_lease(store, &key, a, 30, 11, &abandoned)
       == NGX_OK && !abandoned, "so the next one finds nothing left over");

    close_store();
}


/* a lease's end is not waited for where its owner's process is gone */

static void
test_gone(void)
{
    pid_t                 pid;
    uint64_t              generation;
    ngx_uint_t            abandoned, leased;
    ngx_http_intuit_id_t  key;

    static u_char  a[NGX_HTTP_INTUIT_LEASE_LEN] = "a";
    static u_char  b[NGX_HTTP_INTUIT_LEASE_LEN] = "b";

    open_store(ZONE_SIZE);

    key = id(1);
    generation = 0;
    save(1, &generation);

    pid = fork();

    if (pid == 0) {
        pause();
        _exit(0);
    }

    ngx_pid = pid;
    ok(ngx_http_intuit_connection_lease(store, &key, a, 100, 1, &abandoned)
       == NGX_OK, "a lease of another process");
    ngx_http_intuit_connection_asking(store, &key, a, 50);
    save(1, &generation);

    ngx_pid = getpid();
    ngx_current_msec++;
    ok(ngx_http_intuit_connection_lease(store, &key, b, 100, 60, &abandoned)
       == NGX_DECLINED, "that lives");

    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    ngx_current_msec++;

    ok(ngx_http_intuit_connection_peek(store, &key, 49, &generation, &leased)
       == NGX_OK && leased, "it is gone, and what it has sent is under way");
    ok(ngx_http_intuit_connection_peek(store, &key, 50, &generation, &leased)
       == NGX_OK && !leased, "for some time");

    ngx_http_intuit_connection_asking(store, &key, b, 0);
    ok(ngx_http_intuit_connection_peek(store, &key, 49, &generation, &leased)
       == NGX_OK && leased, "of which only its owner says that it is over");
    ngx_http_intuit_connection_asking(store, &key, a, 0);
    ok(ngx_http_intuit_connection_lease(store, &key, b, 100, 2, &abandoned)
       == NGX_OK && abandoned, "another one takes it over");
    ok(ngx_http_intuit_connection_lease(store, &key, a, 100, 2, &abandoned)
       == NGX_DECLINED, "who has it then");

    close_store();
}


static void
test_walk(void)
{
    uint64_t              generation[5];
    ngx_uint_t            i;
    ngx_http_intuit_id_t  ids[5], key;

    open_store(ZONE_SIZE);

    memset(&key, 0, sizeof(ngx_http_intuit_id_t));
    ok(ngx_http_intuit_connection_walk(store, &key, ids, 5) == 0, "nobody");

    for (i = 0; i < 5; i++) {
        generation[i] = 0;
        save(i, &generation[i]);
    }

    ok(ngx_http_intuit_connection_walk(store, &key, ids, 2) == 2, "two");
    key = id(1);
    ok(memcmp(&ids[1], &key, sizeof(key)) == 0, "the oldest first");

    ok(ngx_http_intuit_connection_walk(store, &ids[1], ids, 2) == 2,
       "two more");
    key = id(2);
    ok(memcmp(&ids[0], &key, sizeof(key)) == 0, "those that follow");

    /* what is saved anew comes last */

    save(3, &generation[3]);
    key = id(2);
    ok(ngx_http_intuit_connection_walk(store, &key, ids, 5) == 2, "the rest");
    key = id(3);
    ok(memcmp(&ids[1], &key, sizeof(key)) == 0, "the latest last");
    ok(ngx_http_intuit_connection_walk(store, &key, ids, 5) == 0, "the end");

    key = id(99);
    ok(ngx_http_intuit_connection_walk(store, &key, ids, 5) == 5,
       "from the beginning, if the last one is gone");

    close_store();
}


static void
test_cure(void)
{
    uint64_t              generation;
    ngx_http_intuit_id_t  key, other;

    open_store(ZONE_SIZE);

    key = id(1);
    other = id(2);
    generation = 0;

    ngx_http_intuit_connection_uncured(store, &key, 1000);

    ok(ngx_http_intuit_connection_curable(store, &key, 1000) == NGX_DECLINED,
       "nothing cures what is not there");

    save(1, &generation);
    generation = 0;
    save(2, &generation);

    ok(ngx_http_intuit_connection_curable(store, &key, 1000) == NGX_OK,
       "a refresh may help");

    ngx_http_intuit_connection_uncured(store, &key, 1000);

    ok(ngx_http_intuit_connection_curable(store, &key, 1000) == NGX_DECLINED
       && ngx_http_intuit_connection_curable(store, &key, 1059)
          == NGX_DECLINED, "it did not: none for a minute");
    ok(ngx_http_intuit_connection_curable(store, &other, 1059) == NGX_OK,
       "the other connection's may");

    generation = 1;
    save(1, &generation);

    ok(ngx_http_intuit_connection_curable(store, &key, 1059) == NGX_DECLINED,
       "which a save does not change");
    ok(ngx_http_intuit_connection_curable(store, &key, 1060) == NGX_OK,
       "after that one may");
    ok(ngx_http_intuit_connection_curable(store, &key, 999) == NGX_OK,
       "and when the clock was set back");

    close_store();
}


static void
test_hold(void)
{
    ngx_uint_t            i;
    ngx_http_intuit_id_t  key, other;

    open_store(ZONE_SIZE);

    key = id(1);
    other = id(2);

    ok(ngx_http_intuit_held(store, &key, 1000) == 0, "nothing is put off");

    ngx_http_intuit_hold(store, &key, 1060, 1000);
    ok(ngx_http_intuit_held(store, &key, 1000) == 60, "a minute");
    ok(ngx_http_intuit_held(store, &key, 1059) == 1, "... less");
    ok(ngx_http_intuit_held(store, &key, 1060) == 0, "... over");
    ok(ngx_http_intuit_held(store, &other, 1000) == 0, "... only this one");

    ngx_http_intuit_hold(store, &key, 1030, 1000);
    ok(ngx_http_intuit_held(store, &key, 1000) == 60, "never for less");
    ngx_http_intuit_hold(store, &key, 1090, 1000);
    ok(ngx_http_intuit_held(store, &key, 1000) == 90, "... but for longer");

    ngx_http_intuit_hold(store, &other, 1000000, 1000);
    ok(ngx_http_intuit_held(store, &other, 1000) == NGX_HTTP_INTUIT_HOLD_MAX,
       "never for too long");

    ok(ngx_http_intuit_held(store, &other, 10) == 0, "the clock is set back");
    ngx_http_intuit_hold(store, &other, 20, 10);
    ok(ngx_http_intuit_held(store, &other, 10) == 10, "... and counts anew");

    for (i = 100; i < 100 + 2 * NGX_HTTP_INTUIT_SHM_HOLDS; i++) {
        other = id(i);
        ngx_http_intuit_hold(store, &other, 1010 + i, 1000);
    }

    ok(ngx_http_intuit_held(store, &other, 1000) > 0, "many: the last is there");
    other = id(100);
    ok(ngx_http_intuit_held(store, &other, 1000) == 0,
       "... not the one with the least time");

    close_store();
}


int
main(void)
{
    setup();

    test_lease();
    test_gone();
    test_cure();
    test_walk();
    test_hold();

    ngx_destroy_pool(pool);

    return done_testing();
}
