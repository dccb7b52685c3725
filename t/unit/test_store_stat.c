/* Counters, notes, and the walk in the order of ids. */

#include "test_store.h"


#define CONNECTIONS  100


static void
save(ngx_uint_t n, uint64_t *generation)
{
    ngx_str_t             text;
    ngx_http_intuit_id_t  key;

    key = id(n);
    text = connection("t", 10);

    if (ngx_http_intuit_connection_save(store, &key, &text, generation, 0)
        != NGX_OK)
    {
        abort();
    }
}


static void
test_list(void)
{
    uint64_t              generation[CONNECTIONS], again;
    ngx_uint_t            i, k, n, met[CONNECTIONS], wrong;
    ngx_http_intuit_id_t  ids[7], after, key;

    open_store(ZONE_SIZE);

    memset(&after, 0, sizeof(ngx_http_intuit_id_t));
    memset(met, 0, sizeof(met));

    ok(ngx_http_intuit_connection_list(store, &after, ids, 7) == 0, "nobody");

    for (i = 0; i < CONNECTIONS; i++) {
        generation[i] = 0;
        save(i, &generation[i]);
    }

    wrong = 0;

    while ((n = ngx_http_intuit_connection_list(store, &after, ids, 7))) {

        for (k = 0; k < n; k++) {
            wrong += (memcmp(&after, &ids[k], sizeof(after)) == 0);

            for (i = 0; i < CONNECTIONS; i++) {
                key = id(i);
                met[i] += (memcmp(&ids[k], &key, sizeof(key)) == 0);
            }
        }

        after = ids[n - 1];

        /* others go on saving, and the one that was met last goes */

        for (i = 0; i < CONNECTIONS; i += 3) {
            if (generation[i]) {
                save(i, &generation[i]);
            }
        }

        (void) ngx_http_intuit_connection_remove(store, &after, 0);

        for (i = 0; i < CONNECTIONS; i++) {
            key = id(i);
            if (memcmp(&key, &after, sizeof(key)) == 0) {
                generation[i] = 0;
            }
        }
    }

    for (i = 0; i < CONNECTIONS; i++) {
        wrong += (met[i] != 1);
    }

    ok(wrong == 0, "everybody is met once, whatever happens meanwhile");

    again = 0;
    save(1000, &again);
    memset(&after, 0xff, sizeof(ngx_http_intuit_id_t));
    ok(ngx_http_intuit_connection_list(store, &after, ids, 7) == 0,
       "nobody comes after the last");

    close_store();
}


static void
test_counters(void)
{
    ngx_uint_t  i;

    open_store(ZONE_SIZE);

    for (i = 0; i < 5; i++) {
        ngx_http_intuit_store_count(store, NGX_HTTP_INTUIT_COUNTERS - 1);
    }

    ok(ngx_http_intuit_store_counted(store, NGX_HTTP_INTUIT_COUNTERS - 1) == 5,
       "counted");
    ok(ngx_http_intuit_store_counted(store, 0) == 0, "the others are not");
    ok(ngx_http_intuit_store_verify(store) == NGX_OK, "the zone is whole");

    close_store();
}


static void
test_notes(void)
{
    ngx_str_t               tid;
    ngx_uint_t              i, found;
    ngx_http_intuit_id_t    key;
    ngx_http_intuit_note_t  note;

    open_store(ZONE_SIZE);

    key = id(0);
    ok(ngx_http_intuit_store_noted(store, &key, &note) == NGX_DECLINED,
       "nothing is noted");

    tid = ngx_intuit_stub_str(pool, "1-2-3");
    ngx_http_intuit_store_note(store, &key, 5, &tid, 1000);

    ok(ngx_http_intuit_store_noted(store, &key, &note) == NGX_OK, "a note");
    ok(note.value == 5 && note.when == 1000 && note.tid_len == 5
       && memcmp(note.tid, "1-2-3", 5) == 0, "... as it was made");

    ngx_http_intuit_store_note(store, &key, 6, NULL, 1001);
    ok(ngx_http_intuit_store_noted(store, &key, &note) == NGX_OK
       && note.value == 6 && note.tid_len == 0, "... is replaced");

    tid.data = ngx_palloc(pool, 1000);
    tid.len = 1000;
    memset(tid.data, 'x', 1000);

    for (i = 1; i <= NGX_HTTP_INTUIT_SHM_NOTES; i++) {
        key = id(i);
        ngx_http_intuit_store_note(store, &key, i, &tid, 2000 + i);
    }

    key = id(0);
    ok(ngx_http_intuit_store_noted(store, &key, &note) == NGX_DECLINED,
       "the oldest gives way");

    for (found = 0, i = 1; i <= NGX_HTTP_INTUIT_SHM_NOTES; i++) {
        key = id(i);
        found += ngx_http_intuit_store_noted(store, &key, &note) == NGX_OK
                 && note.value == i
                 && note.tid_len == NGX_HTTP_INTUIT_NOTE_TID;
    }

    ok(found == NGX_HTTP_INTUIT_SHM_NOTES, "and nobody else");
    ok(ngx_http_intuit_store_verify(store) == NGX_OK, "the zone is whole");

    close_store();
}


/* no room: said with its time, after the sessions have gone */
static void
test_refused(void)
{
    time_t                        now;
    uint64_t                      generation;
    ngx_int_t                     rc;
    ngx_str_t                     text;
    ngx_uint_t                    i;
    ngx_http_intuit_id_t          key;
    ngx_http_intuit_store_stat_t  stat;

    open_store(64 * 1024);

    now = 5000;
    key = id(1);
    text = session("s", 100);
    ok(ngx_http_intuit_session_create(store, &key, &text, now + 60, NULL, now)
       == NGX_OK, "a session");

    stat = stat_of_store();
    ok(stat.created == 1 && stat.refused == 0 && stat.refused_last == 0,
       "is counted; nothing was refused yet");

    text = connection("t", 5000);

    for (rc = NGX_OK, i = 2; rc == NGX_OK && i < 1000; i++) {
        key = id(i);
        generation = 0;
        rc = ngx_http_intuit_connection_save(store, &key, &text, &generation,
                                             ++now);
    }

    ok(rc == NGX_BUSY, "connections fill the zone");

    stat = stat_of_store();
    ok(stat.refused == 1 && stat.refused_last == now && stat.evicted == 1,
       "which is counted, with its time");

    close_store();
}


int
main(void)
{
    setup();

    test_list();
    test_counters();
    test_notes();
    test_refused();

    ngx_destroy_pool(pool);

    return done_testing();
}
