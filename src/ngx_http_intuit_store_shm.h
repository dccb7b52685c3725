/*
 * The inside of the shared memory store; only ngx_http_intuit_store_shm*.c
 * include it.  What a zone holds:
 *
 *   header    found through shpool->data; magic and layout come first, so
 *             that another version of this module knows it is not its own
 *   records   one allocation each, with the encoded bytes at the end
 *   handouts  the session that a login made, while it is handed out
 *
 * A zone outlives configurations, pools and even this module's image, so
 * nothing in it points outside of it.  (The trees' insert functions do, and
 * are therefore set anew before each use.)
 *
 * The only lock is shpool->mutex: it is the one that the master process
 * unlocks when a worker dies with it.  Who takes it and changes more than
 * values says so in the header, and who finds this said there was preceded by
 * one who was killed: the zone is built again then, from its queues
 * (ngx_http_intuit_store_shm_rebuild.c), which takes two seconds for a million
 * sessions.  Most only look, and leave nothing to be built again.
 * Therefore a record is filled before it is linked, and when it takes the
 * place of another one, that one leaves the queue after it has come.
 */

#ifndef _NGX_HTTP_INTUIT_STORE_SHM_H_INCLUDED_
#define _NGX_HTTP_INTUIT_STORE_SHM_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_intuit_store.h"


#define NGX_HTTP_INTUIT_SHM_MAGIC        0x7a74496e

/* a zone with canaries is not one without */
#if (NGX_INTUIT_SHM_DEBUG)
#define NGX_HTTP_INTUIT_SHM_LAYOUT       0x8000000a
#define NGX_HTTP_INTUIT_SHM_GUARD        16        /* keeps the alignment */
#else
#define NGX_HTTP_INTUIT_SHM_LAYOUT       10
#endif

/* ms without a word of a shared store: is its slot still one? */
#define NGX_HTTP_INTUIT_SHM_UNHEARD      500

#define NGX_HTTP_INTUIT_SHM_RECORD_MAX   (128 * 1024)
#define NGX_HTTP_INTUIT_SHM_TID_MAX      64
#define NGX_HTTP_INTUIT_SHM_HANDOUT      60       /* seconds */
#define NGX_HTTP_INTUIT_SHM_TAKES        64
#define NGX_HTTP_INTUIT_SHM_REALM_MAX    32
#define NGX_HTTP_INTUIT_SHM_NOTES        32
#define NGX_HTTP_INTUIT_SHM_HOLDS        32

#define NGX_HTTP_INTUIT_SHM_HANDOUT_MAGIC  0x74756f68

/* the lock is free, held, and held by who changes more than a record's values:
 * the slab, a tree, a queue */
#define NGX_HTTP_INTUIT_SHM_FREE         0
#define NGX_HTTP_INTUIT_SHM_HELD         1
#define NGX_HTTP_INTUIT_SHM_CHANGED      2


typedef enum {
    NGX_HTTP_INTUIT_SHM_SESSION = 0,
    NGX_HTTP_INTUIT_SHM_CONNECTION,
    NGX_HTTP_INTUIT_SHM_LOGIN,
    NGX_HTTP_INTUIT_SHM_QUOTA,
    NGX_HTTP_INTUIT_SHM_KINDS
} ngx_http_intuit_shm_kind_e;


typedef struct ngx_http_intuit_shm_handout_s  ngx_http_intuit_shm_handout_t;

/* what every record begins with */
typedef struct {
    ngx_rbtree_node_t               node;
    ngx_queue_t                     queue;
    uint32_t                        magic;       /* of its kind */
    uint32_t                        size;        /* of the whole record */
    ngx_http_intuit_id_t            id;
} ngx_http_intuit_shm_record_t;

typedef struct {
    ngx_http_intuit_shm_record_t    record;
    ngx_http_intuit_id_t            connection;  /* zero: none */
    time_t                          expires;
    time_t                          last;        /* use */
    time_t                          idle;        /* as of the last use */
    ngx_msec_t                      checked;     /* 0: never */
    size_t                          len;
    u_char                          data[1];
} ngx_http_intuit_shm_session_t;

typedef struct {
    ngx_http_intuit_shm_record_t    record;
    uint64_t                        generation;
    ngx_http_intuit_id_t            quota;       /* zero: not known yet */
    time_t                          expires;     /* the token; 0: none */
    time_t                          leased;      /* until; 0: to nobody */
    u_char                          owner[NGX_HTTP_INTUIT_LEASE_LEN];
    ngx_pid_t                       pid;         /* the owner's process */
    time_t                          asking;      /* ... Intuit, until */
    time_t                          uncured;     /* when; 0: never */
    ngx_msec_t                      checked;     /* 0: never */
    uint64_t                        shared;      /* generation there, last */
    uint64_t                        synced;      /* generation here, then */
    size_t                          len;
    u_char                          data[1];
} ngx_http_intuit_shm_connection_t;

/* of one size, so that ending an attempt as failed never needs memory */
typedef struct {
    ngx_http_intuit_shm_record_t    record;
    time_t                          deadline;
    time_t                          expires;
    time_t                          ended;
    uint32_t                        state;
    uint32_t                        tid_len;
    uint32_t                        taken;       /* sessions made of it */
    ngx_uint_t                      error;
    ngx_http_intuit_id_t            connection;
    ngx_http_intuit_shm_handout_t  *handout;     /* NULL: none, or over */
    u_char                          tid[NGX_HTTP_INTUIT_SHM_TID_MAX];
} ngx_http_intuit_shm_login_t;

struct ngx_http_intuit_shm_handout_s {
    ngx_queue_t                     queue;
    uint32_t                        magic;
    uint32_t                        size;
    ngx_http_intuit_shm_login_t    *login;
    size_t                          len;
    u_char                          data[1];
};

/* the times of the slots given last, the n-th at n % size */
typedef struct {
    ngx_uint_t                      n;
    ngx_uint_t                      size;
    ngx_msec_t                      last;        /* the latest of them */
} ngx_http_intuit_shm_ring_t;

typedef struct {
    ngx_http_intuit_shm_record_t    record;
    u_char                          realm[NGX_HTTP_INTUIT_SHM_REALM_MAX];
    size_t                          realm_len;
    time_t                          over;        /* of no use from then on */
    ngx_uint_t                      rate;        /* as asked for last */
    ngx_msec_t                      clock;       /* of the worker ahead */
    ngx_msec_t                      held;        /* until */
    ngx_uint_t                      epoch;       /* slots before are void */
    uint64_t                        delayed;
    uint64_t                        refused;
    u_char                          owner[NGX_HTTP_INTUIT_QUOTA_OWNER_LEN];
    uint64_t                        given;       /* slots, to this host */
    ngx_uint_t                      hosts;       /* that share it; 0: ? */
    ngx_msec_t                      told;        /* by the shared store */
    ngx_http_intuit_shm_ring_t      all;
    ngx_http_intuit_shm_ring_t      batches;
    uint32_t                        times[1];    /* of all, then of batches */
} ngx_http_intuit_shm_quota_t;

typedef struct {
    ngx_rbtree_t                    tree;
    ngx_rbtree_node_t               sentinel;
    ngx_queue_t                     queue;       /* head: the latest */
    ngx_uint_t                      count;
} ngx_http_intuit_shm_index_t;

typedef struct {
    ngx_http_intuit_id_t            id;          /* zero: a free one */
    ngx_http_intuit_note_t          note;
} ngx_http_intuit_shm_note_t;

typedef struct {
    ngx_http_intuit_id_t            id;
    time_t                          until;
} ngx_http_intuit_shm_hold_t;

typedef struct {
    uint32_t                        magic;
    uint32_t                        layout;
    ngx_http_intuit_shm_index_t     index[NGX_HTTP_INTUIT_SHM_KINDS];
    ngx_queue_t                     failed;      /* these logins' queue */
    ngx_queue_t                     handouts;
    size_t                          login_bytes;
    uint64_t                        generation;  /* the last one given */
    ngx_uint_t                      created;     /* sessions */
    ngx_uint_t                      evicted;     /* sessions */
    ngx_uint_t                      unsaid;      /* ... and not yet logged */
    time_t                          warned;
    ngx_uint_t                      refused;     /* for want of room */
    time_t                          refused_last;
    ngx_uint_t                      damaged;     /* records that were met */
    ngx_uint_t                      counters[NGX_HTTP_INTUIT_COUNTERS];
    ngx_http_intuit_shm_note_t      notes[NGX_HTTP_INTUIT_SHM_NOTES];
    ngx_http_intuit_shm_hold_t      holds[NGX_HTTP_INTUIT_SHM_HOLDS];
    ngx_uint_t                      busy;        /* a value of below */
} ngx_http_intuit_shm_t;

/* the caller's memory for what is handed out */
typedef struct {
    u_char                         *data;        /* NULL: nothing yet */
    size_t                          size;
    size_t                          need;
} ngx_http_intuit_shm_copy_t;

/* one for each configuration; the zone's data */
struct ngx_http_intuit_store_s {
    ngx_shm_zone_t                 *zone;
    ngx_slab_pool_t                *shpool;
    ngx_http_intuit_shm_t          *shm;
    ngx_uint_t                      say;         /* when unlocked */
    size_t                          guess;       /* what a load needs */
    unsigned                        locked:1;    /* by this process */
    unsigned                        rebuilt:1;   /* ... and to be logged */
    unsigned                        durable:1;   /* connections are in files */
};


#if (NGX_INTUIT_SHM_DEBUG)

#define ngx_http_intuit_shm_assert_locked(store)                              \
    if (!(store)->locked) {                                                   \
        ngx_http_intuit_shm_die(store, "used without its lock");              \
    }

void ngx_http_intuit_shm_die(ngx_http_intuit_store_t *store, const char *what);

#else

#define ngx_http_intuit_shm_assert_locked(store)

#endif


/* -- ngx_http_intuit_store_shm_zone.c ------------------------------------ */

void ngx_http_intuit_shm_lock(ngx_http_intuit_store_t *store);

/* Logs what is to be said; in debug builds verifies first. */
void ngx_http_intuit_shm_unlock(ngx_http_intuit_store_t *store);

/* Makes the header in an empty zone.  NGX_OK or NGX_ERROR. */
ngx_int_t ngx_http_intuit_shm_create(ngx_http_intuit_store_t *store,
    void *(*alloc)(ngx_slab_pool_t *shpool, size_t size));

/* NULL: the record is what it says; else what is wrong. */
const char *ngx_http_intuit_shm_check_record(ngx_http_intuit_shm_kind_e kind,
    const ngx_http_intuit_shm_record_t *record);


/* -- ngx_http_intuit_store_shm_rebuild.c: under the lock ----------------- */

/* Builds the zone again from its records; header and records move. */
void ngx_http_intuit_shm_rebuild(ngx_http_intuit_store_t *store);


/* -- ngx_http_intuit_store_shm.c ------------------------------------------ */

/* NGX_OK: there is memory for need bytes; NGX_AGAIN: it has to be made. */
ngx_int_t ngx_http_intuit_shm_ready(ngx_http_intuit_shm_copy_t *copy,
    size_t need);

/* Not under the lock: takes copy->need bytes. */
ngx_int_t ngx_http_intuit_shm_make(ngx_http_intuit_shm_copy_t *copy,
    ngx_pool_t *pool);


ngx_uint_t ngx_http_intuit_shm_none(const ngx_http_intuit_id_t *id);


/* -- ngx_http_intuit_store_shm_quota.c ----------------------------------- */

/* Under the lock: a slot in the connection's quota, if that is known. */
void ngx_http_intuit_shm_quota_ask(ngx_http_intuit_store_t *store,
    const ngx_http_intuit_shm_connection_t *connection,
    ngx_http_intuit_quota_t *quota);

/* Under the lock: drops one whose minute is over, which says nothing that is
 * not true without it.  NGX_OK or NGX_DECLINED. */
ngx_int_t ngx_http_intuit_shm_drop_quota(ngx_http_intuit_store_t *store,
    time_t now);

/* Under the lock: that of the caller, made if need be, and from then on that of
 * the connection, too.  NULL: no room. */
ngx_http_intuit_shm_quota_t *ngx_http_intuit_shm_quota_get(
    ngx_http_intuit_store_t *store, const ngx_http_intuit_id_t *connection,
    const ngx_str_t *realm, const ngx_http_intuit_quota_t *q);

/* Under the lock: what is over is forgotten; it was used just now; it says
 * something until ... */
void ngx_http_intuit_shm_quota_age(ngx_http_intuit_shm_quota_t *quota,
    ngx_msec_t now);
void ngx_http_intuit_shm_quota_touch(ngx_http_intuit_store_t *store,
    ngx_http_intuit_shm_quota_t *quota);
void ngx_http_intuit_shm_quota_lasts(ngx_http_intuit_shm_quota_t *quota,
    const ngx_http_intuit_quota_t *q);

/* Under the lock: nothing more for msec; what is yet to come is taken back.
 * NGX_OK, or NGX_DECLINED: it was held already. */
ngx_int_t ngx_http_intuit_shm_quota_pause(ngx_http_intuit_shm_quota_t *quota,
    ngx_msec_t msec);

/* What a quota with rings of these lengths takes. */
size_t ngx_http_intuit_shm_quota_size(ngx_uint_t all, ngx_uint_t batches);


/* -- ngx_http_intuit_store_shm_ring.c ------------------------------------ */

/* the slot given `back` slots ago; 1: the last one */
ngx_msec_t ngx_http_intuit_shm_ring_at(const ngx_http_intuit_shm_ring_t *ring,
    const uint32_t *times, ngx_uint_t back);

/* when the window that it has opened is over; 0: it never was */
ngx_msec_t ngx_http_intuit_shm_ring_free(
    const ngx_http_intuit_shm_ring_t *ring, const uint32_t *times,
    ngx_uint_t back, ngx_msec_t window);

void ngx_http_intuit_shm_ring_push(ngx_http_intuit_shm_ring_t *ring,
    uint32_t *times, ngx_msec_t t);

/* a later time for one that is there */
void ngx_http_intuit_shm_ring_put(ngx_http_intuit_shm_ring_t *ring,
    uint32_t *times, ngx_uint_t number, ngx_msec_t t);

void ngx_http_intuit_shm_ring_pop(ngx_http_intuit_shm_ring_t *ring,
    const uint32_t *times);

/* how many of them come after t */
ngx_uint_t ngx_http_intuit_shm_ring_after(
    const ngx_http_intuit_shm_ring_t *ring, const uint32_t *times,
    ngx_msec_t t);


/* -- ngx_http_intuit_store_shm_record.c: all under the lock -------------- */

extern const uint32_t  ngx_http_intuit_shm_magics[NGX_HTTP_INTUIT_SHM_KINDS];

void ngx_http_intuit_shm_init(ngx_http_intuit_shm_t *shm);

ngx_rbtree_key_t ngx_http_intuit_shm_key(const ngx_http_intuit_id_t *id);

void *ngx_http_intuit_shm_find(ngx_http_intuit_store_t *store,
    ngx_http_intuit_shm_kind_e kind, const ngx_http_intuit_id_t *id);

/*
 * A piece of memory, zeroed.  Makes room by dropping what is over, failed
 * logins, and the sessions idle longest, in this order, but not for longer
 * than others can wait.  NULL: no room.
 */
void *ngx_http_intuit_shm_alloc(ngx_http_intuit_store_t *store, size_t size,
    time_t now);

/* The same without making room; and back, overwritten. */
void *ngx_http_intuit_shm_get(ngx_http_intuit_store_t *store, size_t size);
void ngx_http_intuit_shm_free(ngx_http_intuit_store_t *store, void *p,
    size_t size);

/* Sets the header of a record that is otherwise complete. */
void ngx_http_intuit_shm_head(ngx_http_intuit_shm_kind_e kind,
    ngx_http_intuit_shm_record_t *record, const ngx_http_intuit_id_t *id,
    size_t size);

/* The same, and links it. */
void ngx_http_intuit_shm_insert(ngx_http_intuit_store_t *store,
    ngx_http_intuit_shm_kind_e kind, ngx_http_intuit_shm_record_t *record,
    const ngx_http_intuit_id_t *id, size_t size);

/* The same in the place of another one of this id, which is freed. */
void ngx_http_intuit_shm_exchange(ngx_http_intuit_store_t *store,
    ngx_http_intuit_shm_kind_e kind, ngx_http_intuit_shm_record_t *old,
    ngx_http_intuit_shm_record_t *record, size_t size);

/* Unlinks, overwrites and frees a record. */
void ngx_http_intuit_shm_remove(ngx_http_intuit_store_t *store,
    ngx_http_intuit_shm_kind_e kind, ngx_http_intuit_shm_record_t *record);

/* Frees a few of those records and handouts whose time is over. */
void ngx_http_intuit_shm_sweep(ngx_http_intuit_store_t *store, time_t now);

/* 1: past its end, or idle for too long. */
ngx_uint_t ngx_http_intuit_shm_session_over(
    const ngx_http_intuit_shm_session_t *session, time_t idle, time_t now);

/* Turns a pending attempt past its deadline into a failed one, and takes a
 * session back that was handed out long enough. */
void ngx_http_intuit_shm_login_age(ngx_http_intuit_store_t *store,
    ngx_http_intuit_shm_login_t *login, time_t now);

/* Marks an attempt as failed: it may be dropped for want of room. */
void ngx_http_intuit_shm_login_failed(ngx_http_intuit_store_t *store,
    ngx_http_intuit_shm_login_t *login, time_t now);

/* Makes room for size more bytes in the logins' share of the zone.  NGX_OK,
 * or NGX_BUSY. */
ngx_int_t ngx_http_intuit_shm_login_room(ngx_http_intuit_store_t *store,
    size_t size, time_t now);

/* Attaches the session (a filled handout) to a login. */
void ngx_http_intuit_shm_login_attach(ngx_http_intuit_store_t *store,
    ngx_http_intuit_shm_login_t *login, ngx_http_intuit_shm_handout_t *handout,
    size_t size);

/* Before the first change of more than a record's values under the lock. */
void ngx_http_intuit_shm_change(ngx_http_intuit_store_t *store);

/* What an allocation of size bytes really takes. */
size_t ngx_http_intuit_shm_cost(size_t size);

/*
 * Ends sessions so that there may be room for size bytes: the one idle longest;
 * when that was not enough, `again`, all in a page that has nothing else in it.
 * Returns how many; 0: there are none.
 */
ngx_uint_t ngx_http_intuit_shm_evict(ngx_http_intuit_store_t *store,
    size_t size, ngx_uint_t again);

#if (NGX_INTUIT_SHM_DEBUG)
/* 1: the canaries around p are as they were set. */
ngx_uint_t ngx_http_intuit_shm_intact(const void *p, size_t size);
#endif


/* -- ngx_http_intuit_store_shm_stat.c ------------------------------------ */

/* A record that cannot be read: counted, and said.  Without the lock. */
void ngx_http_intuit_shm_damaged(ngx_http_intuit_store_t *store,
    const char *what);


#endif /* _NGX_HTTP_INTUIT_STORE_SHM_H_INCLUDED_ */
