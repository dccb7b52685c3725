/*
 * The zone: made, taken over by a reload, refused, verified.
 *
 * Rows: F-SHM-04 F-RLD-06
 */

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test_store.h"


static ngx_shm_zone_t  running[2];


/* nginx running with the present zone, as its second one */
static void
run(void)
{
    memset(running, 0, sizeof(running));

    ngx_str_set(&running[0].shm.name, "other");
    running[1] = *zone;

    cycle.conf_ctx = (void ****) running;
    cycle.shared_memory.part.elts = running;
    cycle.shared_memory.part.nelts = 2;
    cycle.shared_memory.last = &cycle.shared_memory.part;
    cycle.shared_memory.size = sizeof(ngx_shm_zone_t);
}


static void
stop(void)
{
    cycle.conf_ctx = NULL;
    memset(&cycle.shared_memory, 0, sizeof(ngx_list_t));
}


static void
add_session(ngx_uint_t n)
{
    ngx_str_t             text;
    ngx_http_intuit_id_t  key;

    key = id(n);
    text = session("u", 10);

    (void) ngx_http_intuit_session_create(store, &key, &text, 9000, NULL, 1);
}


static void
add_connection(ngx_uint_t n)
{
    uint64_t              generation;
    ngx_str_t             text;
    ngx_http_intuit_id_t  key;

    generation = 0;
    key = id(n);
    text = connection("t", 10);

    (void) ngx_http_intuit_connection_save(store, &key, &text, &generation, 1);
}


/* a configuration with a zone of this size; what its initialization gives */
static ngx_int_t
reload(ngx_shm_zone_t *next, void *data, ngx_http_intuit_store_t **adopted)
{
    ngx_conf_t  cf;

    memset(&cf, 0, sizeof(ngx_conf_t));
    cf.pool = pool;

    ngx_slab_stub_next(next);
    ngx_slab_stub_lines = 0;

    *adopted = ngx_http_intuit_store_shm(&cf, &next->shm.name, next->shm.size,
                                         &cycle);

    return next->init(next, data);
}


static void
test_reload(void)
{
    ngx_str_t                 name = ngx_string("intuit");
    ngx_conf_t                cf;
    ngx_shm_zone_t            next;
    ngx_http_intuit_store_t  *adopted;
    ngx_http_intuit_loaded_t  loaded;
    ngx_http_intuit_id_t      key;

    open_store(ZONE_SIZE);
    add_session(1);
    add_connection(2);
    run();

    memset(&cf, 0, sizeof(ngx_conf_t));
    cf.pool = pool;
    ok(ngx_http_intuit_store_shm(&cf, &name, ZONE_SIZE, &cycle) == store,
       "a zone has one store");

    /* the same zone in the next configuration */

    next = *zone;
    next.data = NULL;

    ok(reload(&next, store, &adopted) == NGX_OK, "zone is taken over");
    ok(adopted != store, "by a store of the new configuration");
    ok(ngx_slab_stub_lines == 0, "without a word");

    key = id(1);
    ok(ngx_http_intuit_session_load(adopted, &key, 0, 1, pool, &loaded)
       == NGX_OK, "with its records");

    next.data = NULL;
    next.shm.exists = 1;
    ok(reload(&next, NULL, &adopted) == NGX_OK && adopted->shm == store->shm,
       "so it is where zones outlive processes");

    /* of another version */

    store->shm->layout++;
    next.data = NULL;
    ok(reload(&next, store, &adopted) == NGX_ERROR,
       "another layout is refused");
    ok(ngx_slab_stub_lines == 1 && ngx_slab_stub_level == NGX_LOG_EMERG,
       "in one line: %s", ngx_slab_stub_line);
    ok(strstr(ngx_slab_stub_line, "restart nginx") != NULL,
       "which names the remedy");
    store->shm->layout--;

    store->shm->magic++;
    next.data = NULL;
    ok(reload(&next, store, &adopted) == NGX_ERROR, "as is another magic");
    store->shm->magic--;

    stop();
    close_store();
}


static void
test_size(void)
{
    ngx_shm_zone_t           *larger;
    ngx_http_intuit_id_t      key;
    ngx_http_intuit_store_t  *adopted;

    open_store(ZONE_SIZE);
    add_session(1);
    add_session(2);
    add_connection(3);
    run();

    larger = ngx_slab_stub_zone("intuit", 2 * ZONE_SIZE, 2 * ZONE_SIZE);

    ok(reload(larger, NULL, &adopted) == NGX_ERROR,
       "another size is refused with connections");
    ok(ngx_slab_stub_lines == 1 && ngx_slab_stub_level == NGX_LOG_EMERG,
       "in one line: %s", ngx_slab_stub_line);
    ok(strstr(ngx_slab_stub_line, "intuit_shared_zone \"intuit\"") != NULL
       && strstr(ngx_slab_stub_line, "1 connections") != NULL
       && strstr(ngx_slab_stub_line, "set it back to zone=intuit:262144") != NULL,
       "with directive, number and remedy");
    ngx_slab_stub_free(larger);

    key = id(3);
    (void) ngx_http_intuit_connection_remove(store, &key, 0);

    larger = ngx_slab_stub_zone("intuit", 2 * ZONE_SIZE, 2 * ZONE_SIZE);
    ok(reload(larger, NULL, &adopted) == NGX_OK, "and not without");
    ok(ngx_slab_stub_lines == 1 && ngx_slab_stub_level == NGX_LOG_NOTICE,
       "but said: %s", ngx_slab_stub_line);
    ok(strstr(ngx_slab_stub_line, "2 sessions dropped") != NULL,
       "with the number of sessions");
    ngx_slab_stub_free(larger);

    add_connection(3);

    larger = ngx_slab_stub_zone("intuit2", 2 * ZONE_SIZE, 2 * ZONE_SIZE);
    ok(reload(larger, NULL, &adopted) == NGX_ERROR,
       "another name is refused with connections");
    ok(strstr(ngx_slab_stub_line, "the name of intuit_shared_zone") != NULL
       && strstr(ngx_slab_stub_line, "set it back to zone=intuit:262144")
          != NULL,
       "with directive and remedy");
    ngx_slab_stub_free(larger);

    larger = ngx_slab_stub_zone("intuit", ZONE_SIZE, ZONE_SIZE);
    ok(reload(larger, NULL, &adopted) == NGX_ERROR,
       "one of the same size that was not taken over is refused, too: %s",
       ngx_slab_stub_line);
    ngx_slab_stub_free(larger);

    store->shm->layout++;
    larger = ngx_slab_stub_zone("intuit", 2 * ZONE_SIZE, 2 * ZONE_SIZE);
    ok(reload(larger, NULL, &adopted) == NGX_ERROR,
       "so is the size of another version's zone: %s", ngx_slab_stub_line);
    store->shm->layout--;
    ngx_slab_stub_free(larger);

    /* it may be somebody else's */

    ((ngx_slab_pool_t *) running[1].shm.addr)->data = &key;
    larger = ngx_slab_stub_zone("intuit", 2 * ZONE_SIZE, 2 * ZONE_SIZE);
    ok(reload(larger, NULL, &adopted) == NGX_OK && ngx_slab_stub_lines == 0,
       "a running zone that is not ours does not count");
    ngx_slab_stub_free(larger);

    ((ngx_slab_pool_t *) running[1].shm.addr)->data = NULL;
    larger = ngx_slab_stub_zone("intuit", 2 * ZONE_SIZE, 2 * ZONE_SIZE);
    ok(reload(larger, NULL, &adopted) == NGX_OK && ngx_slab_stub_lines == 0,
       "nor one without anything in it");
    ngx_slab_stub_free(larger);

    /* at the first start and in nginx -t */

    ngx_cycle = NULL;
    larger = ngx_slab_stub_zone("intuit", ZONE_SIZE, ZONE_SIZE);
    ok(reload(larger, NULL, &adopted) == NGX_OK, "no cycle yet");
    ngx_slab_stub_free(larger);
    ngx_cycle = &cycle;

    stop();
    close_store();
}


/* the damages that verify has to see */

typedef void (*damage_pt)(ngx_http_intuit_shm_session_t *session,
    ngx_http_intuit_shm_login_t *login);


static void
damage_nothing(ngx_http_intuit_shm_session_t *s,
    ngx_http_intuit_shm_login_t *l)
{
    (void) s;
    (void) l;
}


static void
damage_overrun(ngx_http_intuit_shm_session_t *s,
    ngx_http_intuit_shm_login_t *l)
{
    (void) l;

    ((u_char *) s)[s->record.size]++;
}


static void
damage_underrun(ngx_http_intuit_shm_session_t *s,
    ngx_http_intuit_shm_login_t *l)
{
    (void) l;

    ((u_char *) s)[-1]++;
}


static void
damage_length(ngx_http_intuit_shm_session_t *s,
    ngx_http_intuit_shm_login_t *l)
{
    (void) l;

    s->len++;
}


static void
damage_id(ngx_http_intuit_shm_session_t *s, ngx_http_intuit_shm_login_t *l)
{
    (void) l;

    s->record.id.data[0]++;
}


static void
damage_magic(ngx_http_intuit_shm_session_t *s, ngx_http_intuit_shm_login_t *l)
{
    (void) l;

    s->record.magic++;
}


static void
damage_queue(ngx_http_intuit_shm_session_t *s, ngx_http_intuit_shm_login_t *l)
{
    (void) l;

    s->record.queue.prev->next = s->record.queue.next;
}


static void
damage_unqueued(ngx_http_intuit_shm_session_t *s,
    ngx_http_intuit_shm_login_t *l)
{
    (void) l;

    ngx_queue_remove(&s->record.queue);
}


static void
damage_untreed(ngx_http_intuit_shm_session_t *s,
    ngx_http_intuit_shm_login_t *l)
{
    ngx_rbtree_key_t  key;

    (void) l;

    key = s->record.node.key;
    ngx_rbtree_delete(&store->shm->index[0].tree, &s->record.node);
    s->record.node.key = key;
}


static void
damage_count(ngx_http_intuit_shm_session_t *s, ngx_http_intuit_shm_login_t *l)
{
    (void) s;
    (void) l;

    store->shm->index[1].count++;
}


static void
damage_state(ngx_http_intuit_shm_session_t *s, ngx_http_intuit_shm_login_t *l)
{
    (void) s;

    l->state = NGX_HTTP_INTUIT_LOGIN_FAILED;
}


static void
damage_bytes(ngx_http_intuit_shm_session_t *s, ngx_http_intuit_shm_login_t *l)
{
    (void) s;
    (void) l;

    store->shm->login_bytes++;
}


static void
damage_handout(ngx_http_intuit_shm_session_t *s,
    ngx_http_intuit_shm_login_t *l)
{
    (void) s;

    l->handout = NULL;
}


static void
damage_handout_overrun(ngx_http_intuit_shm_session_t *s,
    ngx_http_intuit_shm_login_t *l)
{
    (void) s;

    ((u_char *) l->handout)[l->handout->size]++;
}


static void
damage_tid(ngx_http_intuit_shm_session_t *s, ngx_http_intuit_shm_login_t *l)
{
    (void) s;

    l->tid_len = 65;
}


static struct {
    const char  *name;
    damage_pt    damage;
} damages[] = {
    { "nothing", damage_nothing },
    { "a record overrun", damage_overrun },
    { "a record underrun", damage_underrun },
    { "a wrong length", damage_length },
    { "a changed id", damage_id },
    { "another magic", damage_magic },
    { "a broken queue", damage_queue },
    { "a record in no queue", damage_unqueued },
    { "a record in no tree", damage_untreed },
    { "a wrong count", damage_count },
    { "a login in the wrong queue", damage_state },
    { "a wrong number of bytes", damage_bytes },
    { "a handout without a login", damage_handout },
    { "a handout overrun", damage_handout_overrun },
    { "a transaction id that is too long", damage_tid }
};


static void
test_verify(void)
{
    ngx_int_t                       rc;
    ngx_uint_t                      i, n;
    ngx_http_intuit_id_t            key;
    ngx_http_intuit_login_t         l;
    ngx_http_intuit_shm_login_t    *login;
    ngx_http_intuit_shm_session_t  *s;

    for (i = 0; i < sizeof(damages) / sizeof(damages[0]); i++) {

        open_store(ZONE_SIZE);

        for (n = 0; n < 9; n++) {
            add_session(n);
        }

        memset(&l, 0, sizeof(ngx_http_intuit_login_t));
        key = id(100);
        l.deadline = 10;
        l.expires = 900;
        (void) ngx_http_intuit_login_begin(store, &key, 1, pool, &l);
        l.state = NGX_HTTP_INTUIT_LOGIN_DONE;
        l.session = session("u", 100);
        (void) ngx_http_intuit_login_end(store, &key, &l, 1);

        store->locked = 1;
        login = ngx_http_intuit_shm_find(store, NGX_HTTP_INTUIT_SHM_LOGIN,
                                         &key);
        key = id(4);
        s = ngx_http_intuit_shm_find(store, NGX_HTTP_INTUIT_SHM_SESSION, &key);
        store->locked = 0;

        damages[i].damage(s, login);

        ngx_slab_stub_lines = 0;
        rc = ngx_http_intuit_store_verify(store);

        ok(rc == (i ? NGX_ERROR : NGX_OK), "verify sees %s",
           damages[i].name);
        ok(ngx_slab_stub_lines == (i ? 1 : 0),
           "and says: %s", i ? ngx_slab_stub_line : "nothing");

        close_store();
    }
}


/* 1: doing this aborts */
static int
dies(void (*doing)(void))
{
    int    status;
    pid_t  pid;

    fflush(stdout);

    pid = fork();

    if (pid == 0) {
        signal(SIGABRT, SIG_DFL);
        doing();
        _exit(0);
    }

    if (waitpid(pid, &status, 0) != pid) {
        return 0;
    }

    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}


static void
do_nothing(void)
{
    add_session(2);
}


static void
do_overrun(void)
{
    ngx_http_intuit_id_t           key;
    ngx_http_intuit_shm_record_t  *record;

    key = id(1);

    ngx_http_intuit_shm_lock(store);
    record = ngx_http_intuit_shm_find(store, NGX_HTTP_INTUIT_SHM_SESSION,
                                      &key);
    ((u_char *) record)[record->size] = 0;
    ngx_http_intuit_shm_unlock(store);
}


static void
do_unlocked(void)
{
    ngx_http_intuit_id_t  key;

    key = id(1);

    (void) ngx_http_intuit_shm_find(store, NGX_HTTP_INTUIT_SHM_SESSION, &key);
}


static void
test_abort(void)
{
    open_store(ZONE_SIZE);
    add_session(1);

    ok(!dies(do_nothing), "a debug build goes on in a sound zone");
    ok(dies(do_overrun), "and aborts in a damaged one");
    ok(dies(do_unlocked), "and when something looks without the lock");

    close_store();
}


int
main(void)
{
    setup();

    test_reload();
    test_size();
    test_verify();
    test_abort();

    ngx_destroy_pool(pool);

    return done_testing();
}
