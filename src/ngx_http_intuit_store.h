/*
 * The store: sessions, connections and logins on their way, in verbs of the
 * domain.  Callers never see slab, mutex or wire format.
 *
 * Identifiers are SHA-256 values of the secret or name they stand for, so the
 * store never holds a usable cookie.
 *
 * Return codes, for every verb:
 *   NGX_OK        done
 *   NGX_DECLINED  a definite no: not found, exists already, generation moved
 *   NGX_BUSY      no room: the caller answers 503
 *   NGX_ERROR     cannot know (no memory, damaged record): 5xx, never 401
 *   NGX_AGAIN     reserved for stores that answer later; shared memory never
 *                 returns it
 * Everything that is handed out is a copy in the caller's pool.
 */

#ifndef _NGX_HTTP_INTUIT_STORE_H_INCLUDED_
#define _NGX_HTTP_INTUIT_STORE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_intuit_record.h"


#define NGX_HTTP_INTUIT_ID_LEN       32
#define NGX_HTTP_INTUIT_LEASE_LEN    16
#define NGX_HTTP_INTUIT_HOLD_MAX     3600     /* seconds */
#define NGX_HTTP_INTUIT_CURE_PAUSE   60       /* seconds */
#define NGX_HTTP_INTUIT_ZONE_MIN     (256 * 1024)
#define NGX_HTTP_INTUIT_COUNTERS     128     /* the callers number them */
#define NGX_HTTP_INTUIT_NOTE_TID     64
#define NGX_HTTP_INTUIT_QUOTA_OWNER_LEN  16


typedef struct ngx_http_intuit_store_s  ngx_http_intuit_store_t;

typedef struct {
    u_char                    data[NGX_HTTP_INTUIT_ID_LEN];
} ngx_http_intuit_id_t;

/* what may be sent for one company */
typedef struct {
    ngx_uint_t                rate;             /* requests a minute */
    ngx_uint_t                burst_rate;       /* requests a second */
    ngx_uint_t                batch_rate;       /* batches a minute */
    ngx_uint_t                queue;            /* requests that may wait */
    ngx_msec_t                timeout;          /* the longest wait */
} ngx_http_intuit_limits_t;

typedef enum {
    NGX_HTTP_INTUIT_QUOTA_NONE = 0,             /* no slot */
    NGX_HTTP_INTUIT_QUOTA_BATCH,                /* one among the batches */
    NGX_HTTP_INTUIT_QUOTA_SLOT                  /* one among all requests */
} ngx_http_intuit_quota_state_e;

/* a request, and its slot in the company's quota */
typedef struct {
    const ngx_http_intuit_limits_t  *limits;
    ngx_msec_t                since;            /* when it came */
    ngx_msec_t                now;
    time_t                    time;             /* the same by the wall */
    ngx_str_t                 realm;            /* of its path; empty: any */
    unsigned                  batch:1;
    unsigned                  shared:1;         /* its slots come from a store
                                                 * that other hosts share */

    /* the store's answer */
    ngx_int_t                 rc;
    ngx_msec_t                wait;
    ngx_http_intuit_id_t      id;               /* of the quota */

    /* the store's own */
    ngx_http_intuit_quota_state_e  state;
    ngx_uint_t                epoch;
    ngx_uint_t                number;           /* of the slot */
    ngx_uint_t                batch_number;
    ngx_msec_t                slot;
} ngx_http_intuit_quota_t;

typedef struct {
    ngx_uint_t                limit;            /* a minute, as used last */
    ngx_uint_t                used;             /* in the last minute */
    ngx_uint_t                batches;          /* ... of these */
    ngx_uint_t                queued;           /* slots still to come */
    ngx_msec_t                held;             /* for so long; 0: it is not */
    uint64_t                  delayed;          /* since it is known here */
    uint64_t                  refused;
} ngx_http_intuit_quota_stat_t;

/* what a host and the store that it shares a quota with tell each other */
typedef struct {
    /* this host */
    u_char                    owner[NGX_HTTP_INTUIT_QUOTA_OWNER_LEN];
    ngx_uint_t                used;             /* slots of the last minute and
                                                 * those yet to come */
    uint64_t                  given;            /* since it is known here */

    /* the other one, after that */
    ngx_uint_t                hosts;            /* that share it; 0: ? */
    ngx_msec_t                held;             /* for so long; 0: it is not */
} ngx_http_intuit_quota_share_t;

/* a slot that was asked for there, together with others */
typedef struct {
    ngx_uint_t                slice;            /* of these */
    ngx_uint_t                ticket;
    ngx_int_t                 answer;           /* valid if answered */
    ngx_msec_t                wait;             /* the same */
    uint64_t                  there;            /* when it is, by that clock */
    uint64_t                  turn;             /* the same among the batches */
    unsigned                  answered:1;
} ngx_http_intuit_slot_t;

typedef struct {
    ngx_intuit_session_t      session;
    ngx_intuit_connection_t   connection;       /* valid if has_connection */
    uint64_t                  generation;       /* of the connection */
    ngx_http_intuit_quota_t  *quota;            /* the caller's; see below */
    unsigned                  has_connection:1;
} ngx_http_intuit_loaded_t;

typedef enum {
    NGX_HTTP_INTUIT_LOGIN_PENDING = 1,          /* a job is at work */
    NGX_HTTP_INTUIT_LOGIN_DONE,                 /* session below is valid */
    NGX_HTTP_INTUIT_LOGIN_FAILED                /* error below is valid */
} ngx_http_intuit_login_state_e;

typedef struct {
    ngx_http_intuit_login_state_e  state;
    ngx_uint_t                error;            /* the flow's own number */
    time_t                    deadline;         /* of a pending job */
    time_t                    expires;          /* of a new claim */
    time_t                    ended;            /* when done or failed */
    ngx_str_t                 session;          /* encoded; empty if expired */
    ngx_http_intuit_id_t      connection;       /* zero: none */
    ngx_str_t                 tid;              /* Intuit's transaction id */
} ngx_http_intuit_login_t;

typedef struct {
    ngx_uint_t                sessions;
    ngx_uint_t                connections;
    ngx_uint_t                logins;
    ngx_uint_t                created;          /* sessions, since start */
    ngx_uint_t                evicted;          /* the same */
    ngx_uint_t                refused;          /* no room, since start */
    time_t                    refused_last;     /* ... and when; 0: never */
    ngx_uint_t                damaged;          /* records found to be */
    size_t                    size;
    size_t                    free;             /* pages free, in bytes */
} ngx_http_intuit_store_stat_t;

/* a short remark that all workers share */
typedef struct {
    ngx_uint_t                value;            /* the caller's own */
    time_t                    when;
    size_t                    tid_len;
    u_char                    tid[NGX_HTTP_INTUIT_NOTE_TID];
} ngx_http_intuit_note_t;


/*
 * Declares the zone (during configuration).  On reload with the same size the
 * records are taken over.  With another size the reload is refused while the
 * running zone holds connections (they would be lost), and otherwise goes
 * on, saying in one log line how many sessions were dropped.
 */
ngx_http_intuit_store_t *ngx_http_intuit_store_shm(ngx_conf_t *cf,
    ngx_str_t *name, size_t size, void *tag);

/* Every connection is stored elsewhere, too: a reload may change the size. */
void ngx_http_intuit_store_durable(ngx_http_intuit_store_t *store);

/*
 * Loads a session and, under the same lock, its connection; counts as use:
 * the session's idle time starts anew (written at most once a second).
 * A session idle for longer than `idle` or past its end is removed.
 */
ngx_int_t ngx_http_intuit_session_load(ngx_http_intuit_store_t *store,
    const ngx_http_intuit_id_t *id, time_t idle, time_t now, ngx_pool_t *pool,
    ngx_http_intuit_loaded_t *loaded);

/* The same, and asks loaded->quota (the caller's; NULL: none) for a slot under
 * the same lock, as ngx_http_intuit_connection_reserve() does. */
ngx_int_t ngx_http_intuit_session_reserve(ngx_http_intuit_store_t *store,
    const ngx_http_intuit_id_t *id, time_t idle, time_t now, ngx_pool_t *pool,
    ngx_http_intuit_loaded_t *loaded);

/*
 * connection may be NULL.  When the zone is full, sessions past their end go
 * first, then the one idle longest (counted, one warning a minute); so it is
 * for connections and logins that need room, too.
 */
ngx_int_t ngx_http_intuit_session_create(ngx_http_intuit_store_t *store,
    const ngx_http_intuit_id_t *id, const ngx_str_t *encoded, time_t expires,
    const ngx_http_intuit_id_t *connection, time_t now);

ngx_int_t ngx_http_intuit_session_remove(ngx_http_intuit_store_t *store,
    const ngx_http_intuit_id_t *id);

/* Connections are never evicted. */
ngx_int_t ngx_http_intuit_connection_load(ngx_http_intuit_store_t *store,
    const ngx_http_intuit_id_t *id, ngx_pool_t *pool,
    ngx_intuit_connection_t *connection, uint64_t *generation);

/*
 * The same, and asks for a slot in the company's quota under the same lock.
 * quota->rc is then
 *
 *   NGX_OK        go now
 *   NGX_AGAIN     a slot is reserved; in quota->wait ms ask again with the
 *                 same quota: it may have been put off meanwhile
 *   NGX_BUSY      too many wait, or it would take too long: there may be a
 *                 slot in quota->wait ms
 *   NGX_DECLINED  not asked: the quota has yet to be made (reserve below),
 *                 another company is in the path, or the token has expired
 *
 * A slot is spent as soon as its time is there.  Slots are given in the order
 * of the requests: never more than burst_rate in a second or rate in a minute,
 * each with an eighth of a second added, and for those that wait evenly, so
 * that what the network does to their distances makes no 429.  Batches that
 * have to wait for other batches hold nobody else up.
 */
ngx_int_t ngx_http_intuit_connection_reserve(ngx_http_intuit_store_t *store,
    const ngx_http_intuit_id_t *id, ngx_pool_t *pool,
    ngx_intuit_connection_t *connection, uint64_t *generation,
    ngx_http_intuit_quota_t *quota);

/*
 * The same without a load.  The quota, quota->id, is made if it is not there,
 * and is from then on that of the connection, too.  Returns quota->rc;
 * NGX_DECLINED: no room in the zone.
 */
ngx_int_t ngx_http_intuit_quota_reserve(ngx_http_intuit_store_t *store,
    const ngx_http_intuit_id_t *connection, const ngx_str_t *realm,
    ngx_http_intuit_quota_t *quota);

/*
 * For a quota that hosts share (quota->shared): nothing is given here, and what
 * the others above say is NGX_DECLINED until a slot that was given there is
 * noted; when its time has come and nobody has heard of the store for half a
 * second, once more: it may be held up.
 *
 * share:  makes it if it is not there, and says what is to be told.  NGX_OK, or
 *         NGX_DECLINED: no room
 * told:   and what was answered
 * given:  a slot in quota->wait ms, or with NGX_BUSY none before that.  Sets
 *         and returns quota->rc
 */
ngx_int_t ngx_http_intuit_quota_share(ngx_http_intuit_store_t *store,
    const ngx_http_intuit_id_t *connection, const ngx_str_t *realm,
    ngx_http_intuit_quota_t *quota, ngx_http_intuit_quota_share_t *share);
void ngx_http_intuit_quota_told(ngx_http_intuit_store_t *store,
    const ngx_http_intuit_id_t *id, ngx_msec_t now,
    const ngx_http_intuit_quota_share_t *share);
ngx_int_t ngx_http_intuit_quota_given(ngx_http_intuit_store_t *store,
    ngx_http_intuit_quota_t *quota, ngx_int_t rc);

/* Gives a slot back that was not used: to somebody else if it is the last
 * one given, otherwise it is lost. */
void ngx_http_intuit_quota_release(ngx_http_intuit_store_t *store,
    ngx_http_intuit_quota_t *quota);

/*
 * Nothing more for `msec`: Intuit has said so.  Slots that were reserved and
 * not yet used are taken back.  NGX_OK; NGX_DECLINED: it was held already (and
 * now maybe longer), or is not known here.
 */
ngx_int_t ngx_http_intuit_quota_hold(ngx_http_intuit_store_t *store,
    const ngx_http_intuit_id_t *id, ngx_msec_t now, ngx_msec_t msec);

/* How it stands.  NGX_DECLINED: it is not known here,
 * nothing was asked for lately. */
ngx_int_t ngx_http_intuit_quota_stat(ngx_http_intuit_store_t *store,
    const ngx_http_intuit_id_t *id, ngx_msec_t now,
    ngx_http_intuit_quota_stat_t *stat);

/*
 * Compare-and-set: *generation is the one that was loaded, 0 to create.
 * NGX_OK sets *generation to the new one; NGX_DECLINED: it moved (or exists).
 * A record that could not be replaced for want of room stays as it was.
 */
ngx_int_t ngx_http_intuit_connection_save(ngx_http_intuit_store_t *store,
    const ngx_http_intuit_id_t *id, const ngx_str_t *encoded,
    uint64_t *generation, time_t now);

/*
 * Up to max connections' ids, the one saved longest ago first; those that
 * come after the one named, or from the beginning if it is zero or gone.
 * Returns how many; 0: the end.
 */
ngx_uint_t ngx_http_intuit_connection_walk(ngx_http_intuit_store_t *store,
    const ngx_http_intuit_id_t *after, ngx_http_intuit_id_t *ids,
    ngx_uint_t max);

/*
 * The same in the order of their ids, which does not change while somebody
 * walks: connections that are there from the beginning to the end are met
 * exactly once.
 */
ngx_uint_t ngx_http_intuit_connection_list(ngx_http_intuit_store_t *store,
    const ngx_http_intuit_id_t *after, ngx_http_intuit_id_t *ids,
    ngx_uint_t max);

/*
 * The same with a new generation of the caller's: `next` is greater than all
 * that this connection ever had, or the one that it has: then nobody who waits
 * takes notice.  0: the store's to choose.
 */
ngx_int_t ngx_http_intuit_connection_replace(ngx_http_intuit_store_t *store,
    const ngx_http_intuit_id_t *id, const ngx_str_t *encoded,
    uint64_t *generation, uint64_t next, time_t now);

/* A generation greater than `least` and all that were ever given. */
uint64_t ngx_http_intuit_connection_next(ngx_http_intuit_store_t *store,
    uint64_t least);

/* generation: the one that was loaded, or 0: whatever is there.
 * NGX_DECLINED: it moved, or is gone. */
ngx_int_t ngx_http_intuit_connection_remove(ngx_http_intuit_store_t *store,
    const ngx_http_intuit_id_t *id, uint64_t generation);

/*
 * The lease: the right to refresh a connection, for one owner (random bytes)
 * until `deadline`, which must be later than the owner's job can end, and less
 * than NGX_HTTP_INTUIT_HOLD_MAX away: one that seems to last longer is over,
 * its clock was set back.  It survives a save.  That of a process which is gone
 * is over at once.  NGX_OK, with *abandoned set to 1 if the last owner never
 * gave it back; NGX_DECLINED: another owner has it, or there is no such
 * connection.
 */
ngx_int_t ngx_http_intuit_connection_lease(ngx_http_intuit_store_t *store,
    const ngx_http_intuit_id_t *id,
    const u_char owner[NGX_HTTP_INTUIT_LEASE_LEN], time_t deadline,
    time_t now, ngx_uint_t *abandoned);

/*
 * The owner is about to send what must not meet a second one of its kind: until
 * then its lease is not over, even if its process is gone.  0: the answer is
 * here, and noted.
 */
void ngx_http_intuit_connection_asking(ngx_http_intuit_store_t *store,
    const ngx_http_intuit_id_t *id,
    const u_char owner[NGX_HTTP_INTUIT_LEASE_LEN], time_t until);

/* Gives it back.  NGX_DECLINED: it was not (or no longer) this owner's. */
ngx_int_t ngx_http_intuit_connection_release(ngx_http_intuit_store_t *store,
    const ngx_http_intuit_id_t *id,
    const u_char owner[NGX_HTTP_INTUIT_LEASE_LEN]);

/*
 * For those who wait: the connection's generation, and whether somebody holds
 * the lease.  NGX_DECLINED: no such connection.
 */
ngx_int_t ngx_http_intuit_connection_peek(ngx_http_intuit_store_t *store,
    const ngx_http_intuit_id_t *id, time_t now, uint64_t *generation,
    ngx_uint_t *leased);

/*
 * Puts something off for all workers (a provider's refreshes) until then, if it
 * is not put off for longer already.  Of many such things the one that is put
 * off for the shortest time is forgotten.
 */
void ngx_http_intuit_hold(ngx_http_intuit_store_t *store,
    const ngx_http_intuit_id_t *id, time_t until, time_t now);

/* Seconds until then; 0: it is not put off. */
time_t ngx_http_intuit_held(ngx_http_intuit_store_t *store,
    const ngx_http_intuit_id_t *id, time_t now);

/*
 * An API refuses this connection's current token.  NGX_OK: a refresh may cure
 * that; NGX_DECLINED: one that cured nothing is too short a time ago, or there
 * is no such connection.
 */
ngx_int_t ngx_http_intuit_connection_curable(ngx_http_intuit_store_t *store,
    const ngx_http_intuit_id_t *id, time_t now);

/* A refresh has cured nothing: none for this reason for 60 seconds. */
void ngx_http_intuit_connection_uncured(ngx_http_intuit_store_t *store,
    const ngx_http_intuit_id_t *id, time_t now);

/*
 * Claims a login attempt, once.  NGX_OK: the caller owns it and must end it
 * before login->deadline; NGX_DECLINED: it was claimed before, *login tells
 * how it stands (a pending one past its deadline is turned into failed, error
 * 0).  The record lives until login->expires; both are the caller's to set.
 * Failed ones may be dropped earlier for want of room, the others never:
 * NGX_BUSY.  Logins may use at most a quarter of the zone.
 */
ngx_int_t ngx_http_intuit_login_begin(ngx_http_intuit_store_t *store,
    const ngx_http_intuit_id_t *id, time_t now, ngx_pool_t *pool,
    ngx_http_intuit_login_t *login);

/* How it stands.  NGX_DECLINED: no such attempt. */
ngx_int_t ngx_http_intuit_login_load(ngx_http_intuit_store_t *store,
    const ngx_http_intuit_id_t *id, time_t now, ngx_pool_t *pool,
    ngx_http_intuit_login_t *login);

/*
 * Ends a claimed attempt: login's state, error, session, connection and tid
 * (its first 64 bytes) are kept; the session part is handed out for 60 s only.
 * NGX_DECLINED when the record is gone, or has ended already (a job that is
 * later than its deadline has failed, whatever it brings).  NGX_BUSY: no room
 * for the session; the attempt is still pending and can be ended as failed,
 * which needs no room.
 */
ngx_int_t ngx_http_intuit_login_end(ngx_http_intuit_store_t *store,
    const ngx_http_intuit_id_t *id, const ngx_http_intuit_login_t *login,
    time_t now);

/*
 * Asked before a session is made of what an attempt has handed out.
 * NGX_DECLINED: it is over, or as many have been made as one login may: who
 * repeats a callback must not drive others' sessions out.
 */
ngx_int_t ngx_http_intuit_login_take(ngx_http_intuit_store_t *store,
    const ngx_http_intuit_id_t *id, time_t now);

/* No more sessions are made of this attempt: one of them has been ended. */
void ngx_http_intuit_login_close(ngx_http_intuit_store_t *store,
    const ngx_http_intuit_id_t *id);

void ngx_http_intuit_store_stat(ngx_http_intuit_store_t *store,
    ngx_http_intuit_store_stat_t *stat);

/*
 * For those who compare the zone with a store that other hosts share: how many
 * ms ago that was done for a session (its connection is set, or zero) or a
 * connection.  NGX_OK; NGX_DECLINED: it is not in the zone, or was never
 * compared.
 */
ngx_int_t ngx_http_intuit_session_checked(ngx_http_intuit_store_t *store,
    const ngx_http_intuit_id_t *id, ngx_msec_t now, ngx_msec_t *age,
    ngx_http_intuit_id_t *connection);
ngx_int_t ngx_http_intuit_connection_checked(ngx_http_intuit_store_t *store,
    const ngx_http_intuit_id_t *id, ngx_msec_t now, ngx_msec_t *age);

/*
 * A connection, its generation here, that of the shared store when they were
 * the same last (0: never), and what it was here then.
 */
typedef struct {
    uint64_t                  generation;
    uint64_t                  shared;
    uint64_t                  synced;
} ngx_http_intuit_synced_t;

/* NGX_OK or NGX_DECLINED: there is no such connection. */
ngx_int_t ngx_http_intuit_connection_synced(ngx_http_intuit_store_t *store,
    const ngx_http_intuit_id_t *id, ngx_http_intuit_synced_t *synced);

/* They are the same now, as synced's other two members say. */
void ngx_http_intuit_connection_sync(ngx_http_intuit_store_t *store,
    const ngx_http_intuit_id_t *id, const ngx_http_intuit_synced_t *synced);

/* It was done just now, or is to be done anew (0).  Of each kind the one that
 * is there. */
void ngx_http_intuit_store_check(ngx_http_intuit_store_t *store,
    const ngx_http_intuit_id_t *id, ngx_msec_t when);

/* Adds one to a counter, and reads it.  Those from
 * NGX_HTTP_INTUIT_COUNTERS on stay 0. */
void ngx_http_intuit_store_count(ngx_http_intuit_store_t *store,
    ngx_uint_t n);
ngx_uint_t ngx_http_intuit_store_counted(ngx_http_intuit_store_t *store,
    ngx_uint_t n);

/*
 * Keeps a remark (of tid, which may be NULL, the first 64 bytes) under an id;
 * of 32 of them the oldest is overwritten.
 */
void ngx_http_intuit_store_note(ngx_http_intuit_store_t *store,
    const ngx_http_intuit_id_t *id, ngx_uint_t value, const ngx_str_t *tid,
    time_t now);

/* NGX_OK, or NGX_DECLINED: nothing was noted. */
ngx_int_t ngx_http_intuit_store_noted(ngx_http_intuit_store_t *store,
    const ngx_http_intuit_id_t *id, ngx_http_intuit_note_t *note);

/*
 * Walks over everything in the zone, under the lock.  NGX_OK, or NGX_ERROR:
 * it is damaged (one [alert] line says where).  Built with
 * NGX_INTUIT_SHM_DEBUG, every verb does so, and aborts.
 */
ngx_int_t ngx_http_intuit_store_verify(ngx_http_intuit_store_t *store);


#endif /* _NGX_HTTP_INTUIT_STORE_H_INCLUDED_ */
