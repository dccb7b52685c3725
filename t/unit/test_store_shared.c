/* How the zone is compared with a store that other hosts share. */

#include "test_store.h"


static void
test_session(void)
{
    ngx_str_t             text;
    ngx_msec_t            age;
    ngx_http_intuit_id_t  key, company, found;

    open_store(ZONE_SIZE);

    key = id(1);
    company = id(2);

    ok(ngx_http_intuit_session_checked(store, &key, 5000, &age, &found)
       == NGX_DECLINED, "there is no session");

    text = session("s", 10);

    ok(ngx_http_intuit_session_create(store, &key, &text, 99999, &company, 1)
       == NGX_OK, "there is one");
    ok(ngx_http_intuit_session_checked(store, &key, 5000, &age, &found)
       == NGX_DECLINED, "which was never compared");
    ok(memcmp(&found, &company, sizeof(found)) == 0, "its company is known");

    ngx_http_intuit_store_check(store, &key, 4000);

    ok(ngx_http_intuit_session_checked(store, &key, 5000, &age, &found)
       == NGX_OK && age == 1000, "then it was, a second ago");

    ngx_http_intuit_store_check(store, &key, 0);

    ok(ngx_http_intuit_session_checked(store, &key, 5000, &age, &found)
       == NGX_DECLINED, "and is to be compared anew");

    close_store();
}


static void
test_connection(void)
{
    uint64_t                  generation;
    ngx_str_t                 text;
    ngx_msec_t                age;
    ngx_http_intuit_id_t      key;
    ngx_http_intuit_synced_t  synced;

    open_store(ZONE_SIZE);

    key = id(1);
    text = connection("t", 10);
    generation = 0;

    ok(ngx_http_intuit_connection_synced(store, &key, &synced)
       == NGX_DECLINED, "there is no connection");
    ok(synced.generation == 0 && synced.shared == 0, "... of no generation");

    ok(ngx_http_intuit_connection_save(store, &key, &text, &generation, 0)
       == NGX_OK, "there is one");
    ok(ngx_http_intuit_connection_synced(store, &key, &synced) == NGX_OK
       && synced.generation == generation && synced.shared == 0
       && synced.synced == 0, "which the store does not have");
    ok(ngx_http_intuit_connection_checked(store, &key, 5000, &age)
       == NGX_DECLINED, "and was never compared");

    synced.shared = 7;
    synced.synced = generation;
    ngx_http_intuit_connection_sync(store, &key, &synced);
    ngx_http_intuit_store_check(store, &key, 4999);

    ok(ngx_http_intuit_connection_save(store, &key, &text, &generation, 0)
       == NGX_OK, "it is changed here");
    ok(ngx_http_intuit_connection_synced(store, &key, &synced) == NGX_OK
       && synced.generation == generation && synced.shared == 7
       && synced.synced != generation, "and it shows that it was");
    ok(ngx_http_intuit_connection_checked(store, &key, 5000, &age) == NGX_OK
       && age == 1, "when it was compared is still known");

    close_store();
}


int
main(void)
{
    setup();

    test_session();
    test_connection();

    return done_testing();
}
