/*
 * intuit_status: what its files share.  Nothing that is written by them is a
 * token, a cookie or a session's id.
 */

#ifndef _NGX_HTTP_INTUIT_STATUS_H_INCLUDED_
#define _NGX_HTTP_INTUIT_STATUS_H_INCLUDED_


#include "ngx_http_intuit_job.h"


#define NGX_HTTP_INTUIT_STATUS_REALM     20     /* digits */
#define NGX_HTTP_INTUIT_STATUS_PAGE      50     /* connections, HTML */
#define NGX_HTTP_INTUIT_STATUS_MEMBERS   100    /* ... JSON */
#define NGX_HTTP_INTUIT_STATUS_SERIES    1000   /* ... Prometheus */

/* what is wrong with the instance */
#define NGX_HTTP_INTUIT_KEYS_REFUSED     0x01
#define NGX_HTTP_INTUIT_ZONE_FULL        0x02
#define NGX_HTTP_INTUIT_ZONE_DAMAGED     0x04
#define NGX_HTTP_INTUIT_STATE_FAILING    0x08

/* ... and keeps it from serving */
#define NGX_HTTP_INTUIT_UNHEALTHY        0x07


/* the worst first */
typedef enum {
    NGX_HTTP_INTUIT_CONN_RECONNECT = 0,     /* ended: consent again */
    NGX_HTTP_INTUIT_CONN_FAILING,           /* refreshes fail, for now */
    NGX_HTTP_INTUIT_CONN_EXPIRING,          /* the refresh token, soon */
    NGX_HTTP_INTUIT_CONN_CONNECTED,
    NGX_HTTP_INTUIT_CONN_UNUSED,            /* of no provider that is left */
    NGX_HTTP_INTUIT_CONN_MAX
} ngx_http_intuit_conn_e;

/* a company's quota, as intuit_limit keeps it */
typedef struct {
    ngx_uint_t                   known;        /* 0: the rest is not valid */
    ngx_uint_t                   used;         /* in the last minute */
    ngx_uint_t                   limit;        /* a minute */
    ngx_uint_t                   queued;
    time_t                       held_until;   /* after a 429; 0: not held */
} ngx_http_intuit_shown_t;

/* a connection, as far as it is kept while all are looked at */
typedef struct {
    ngx_http_intuit_id_t         id;
    ngx_uint_t                   state;
    ngx_uint_t                   provider;     /* providers.nelts: none */
    size_t                       len;
    u_char                       realm[NGX_HTTP_INTUIT_STATUS_REALM];
} ngx_http_intuit_status_entry_t;

/* one that is shown */
typedef struct {
    ngx_http_intuit_provider_t  *provider;     /* NULL: none */
    ngx_uint_t                   state;
    ngx_intuit_connection_t      connection;
    ngx_http_intuit_shown_t      quota;
} ngx_http_intuit_status_item_t;

typedef struct {
    ngx_http_request_t          *request;
    ngx_http_intuit_main_conf_t *imcf;
    ngx_uint_t                   format;
    ngx_uint_t                   manage;
    time_t                       now;

    ngx_http_intuit_id_t         last;         /* that was looked at */
    ngx_array_t                  entries;      /* sorted at the end */
    ngx_uint_t                  *counts;       /* by provider and state */
    ngx_uint_t                   states[NGX_HTTP_INTUIT_CONN_MAX];
    ngx_uint_t                   revocations;  /* that wait for Intuit */

    ngx_http_intuit_store_stat_t stat;
    ngx_uint_t                   problems;

    ngx_uint_t                   page;         /* from 1 */
    ngx_uint_t                   pages;
    ngx_uint_t                   first;        /* entry of this page */
    ngx_uint_t                   end;          /* ... and behind its last */
    ngx_str_t                    done;         /* a word of our own */

    unsigned                     failed:1;     /* no memory */
} ngx_http_intuit_status_t;


/* -- ngx_http_intuit_status_view.c --------------------------------------- */

/* Looks at some more connections: 1 when all were seen. */
ngx_uint_t ngx_http_intuit_status_look(ngx_http_intuit_status_t *s);

/* Sorts what was seen, and chooses the page. */
void ngx_http_intuit_status_sort(ngx_http_intuit_status_t *s);

/* What is wrong, and the zone's use. */
void ngx_http_intuit_status_check(ngx_http_intuit_status_t *s);

/* Loads what an entry shows, into pool.  NGX_OK, or NGX_DECLINED: gone. */
ngx_int_t ngx_http_intuit_status_item(ngx_http_intuit_status_t *s,
    const ngx_http_intuit_status_entry_t *entry, ngx_pool_t *pool,
    ngx_http_intuit_status_item_t *item);

/* A provider's keys: "accepted", "refused", "unknown"; note is zeroed where
 * there is none. */
const char *ngx_http_intuit_status_keys(ngx_http_intuit_provider_t *provider,
    ngx_http_intuit_note_t *note);

/* "connected" and the like; "keys_refused" and the like for one bit, NULL:
 * there is no such; "ok", "degraded", "failing". */
const char *ngx_http_intuit_status_state(ngx_uint_t state);
const char *ngx_http_intuit_status_problem(ngx_uint_t bit);
const char *ngx_http_intuit_status_health(ngx_uint_t problems);

/*
 * How many answers had the word of error number n, or of another number with
 * the same word.  The word, or NULL: a smaller number has told it.
 */
const char *ngx_http_intuit_status_error(ngx_http_intuit_status_t *s,
    ngx_uint_t n, ngx_uint_t *answers);

/* Connections of a provider (by its index) in a state. */
ngx_uint_t ngx_http_intuit_status_number(ngx_http_intuit_status_t *s,
    ngx_uint_t provider, ngx_uint_t state);


/* -- the formats: NGX_OK or NGX_ERROR (no memory) ------------------------- */

ngx_int_t ngx_http_intuit_status_html(ngx_http_intuit_status_t *s,
    ngx_str_t *body);
ngx_int_t ngx_http_intuit_status_json(ngx_http_intuit_status_t *s,
    ngx_str_t *body);
ngx_int_t ngx_http_intuit_status_metrics(ngx_http_intuit_status_t *s,
    ngx_str_t *body);

/* One company of the page, the nth; a date and time, to the minute or the
 * second; "in 12 days", "3 minutes ago". */
void ngx_http_intuit_html_row(ngx_http_intuit_status_t *s,
    ngx_intuit_text_t *t, ngx_http_intuit_status_item_t *item, ngx_uint_t n);
void ngx_http_intuit_html_date(ngx_intuit_text_t *t, time_t when,
    ngx_uint_t seconds);
void ngx_http_intuit_html_relative(ngx_intuit_text_t *t, time_t when,
    time_t now);

/* {"status":"ok","problems":[]}, as format=health and in the JSON document */
void ngx_http_intuit_status_health_json(ngx_uint_t problems,
    ngx_intuit_text_t *t, const char *name);


#endif /* _NGX_HTTP_INTUIT_STATUS_H_INCLUDED_ */
