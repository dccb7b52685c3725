/*
 * What intuit_status shows: all connections are looked at, a few hundred at a
 * time and each under a lock of its own, and those that need somebody come
 * first.
 */

#include "ngx_http_intuit_pending.h"
#include "ngx_http_intuit_status.h"


#define NGX_HTTP_INTUIT_STATUS_STEP   64          /* ids a lock */
#define NGX_HTTP_INTUIT_STATUS_LOOK   512         /* connections a look */
#define NGX_HTTP_INTUIT_STATUS_SOON   (14 * 86400)
#define NGX_HTTP_INTUIT_STATUS_FULL   60          /* s after a refusal */


static ngx_uint_t ngx_http_intuit_status_see(ngx_http_intuit_status_t *s,
    const ngx_http_intuit_id_t *id, ngx_pool_t *pool);
static ngx_uint_t ngx_http_intuit_status_owner(ngx_http_intuit_status_t *s,
    const ngx_http_intuit_id_t *id, const ngx_str_t *realm);
static ngx_uint_t ngx_http_intuit_status_of(const ngx_intuit_connection_t *c,
    time_t now);
static ngx_uint_t ngx_http_intuit_status_soon(time_t end, time_t since,
    time_t now);
static int ngx_libc_cdecl ngx_http_intuit_status_worst(const void *one,
    const void *two);
static int ngx_libc_cdecl ngx_http_intuit_status_order(const void *one,
    const void *two);
static void ngx_http_intuit_status_quota(ngx_http_intuit_provider_t *provider,
    const ngx_str_t *realm, time_t now, ngx_http_intuit_shown_t *quota);


static const char  *ngx_http_intuit_status_states[] = {
    "reconnect_needed",
    "refresh_failing",
    "expiring_soon",
    "connected",
    "unused"
};


static const char  *ngx_http_intuit_status_problems[] = {
    "keys_refused",
    "zone_full",
    "zone_damaged",
    "state_path_failing"
};


ngx_uint_t
ngx_http_intuit_status_look(ngx_http_intuit_status_t *s)
{
    ngx_uint_t            i, n, left, over;
    ngx_pool_t           *pool;
    ngx_http_intuit_id_t  ids[NGX_HTTP_INTUIT_STATUS_STEP];

    pool = ngx_create_pool(NGX_DEFAULT_POOL_SIZE,
                           s->request->connection->log);
    if (pool == NULL) {
        s->failed = 1;
        return 1;
    }

    over = 0;
    left = NGX_HTTP_INTUIT_STATUS_LOOK;

    while (left && !over) {

        n = ngx_http_intuit_connection_list(s->imcf->store, &s->last, ids,
                                            NGX_HTTP_INTUIT_STATUS_STEP);

        for (i = 0; i < n && !over; i++) {
            over = ngx_http_intuit_status_see(s, &ids[i], pool);
        }

        if (n < NGX_HTTP_INTUIT_STATUS_STEP) {
            over = 1;
            break;
        }

        s->last = ids[n - 1];
        left -= n;
    }

    ngx_destroy_pool(pool);

    return over;
}


/* 1: there is no memory for more */

static ngx_uint_t
ngx_http_intuit_status_see(ngx_http_intuit_status_t *s,
    const ngx_http_intuit_id_t *id, ngx_pool_t *pool)
{
    uint64_t                         generation;
    ngx_uint_t                       state, provider;
    ngx_intuit_connection_t          c;
    ngx_http_intuit_status_entry_t  *entry;

    if (ngx_http_intuit_connection_load(s->imcf->store, id, pool, &c,
                                        &generation)
        != NGX_OK
        || c.realm.len > NGX_HTTP_INTUIT_STATUS_REALM)
    {
        return 0;
    }

    if (ngx_http_intuit_pending_kind(&c) != NGX_HTTP_INTUIT_PENDING_NONE) {

        /* no company's connection */

        s->revocations += ngx_http_intuit_pending_kind(&c)
                          == NGX_HTTP_INTUIT_PENDING_REVOCATION;
        return 0;
    }

    if (ngx_http_intuit_pending_disconnected(&c)) {
        return 0;
    }

    provider = ngx_http_intuit_status_owner(s, id, &c.realm);

    state = (provider == s->imcf->providers.nelts)
            ? (ngx_uint_t) NGX_HTTP_INTUIT_CONN_UNUSED
            : ngx_http_intuit_status_of(&c, s->now);

    s->states[state]++;
    s->counts[provider * NGX_HTTP_INTUIT_CONN_MAX + state]++;

    entry = ngx_array_push(&s->entries);
    if (entry == NULL) {
        s->failed = 1;
        return 1;
    }

    entry->id = *id;
    entry->state = state;
    entry->provider = provider;
    entry->len = c.realm.len;
    ngx_memcpy(entry->realm, c.realm.data, c.realm.len);

    return 0;
}


/* whose is it?  The id is a hash of the provider and the company. */

static ngx_uint_t
ngx_http_intuit_status_owner(ngx_http_intuit_status_t *s,
    const ngx_http_intuit_id_t *id, const ngx_str_t *realm)
{
    ngx_uint_t                    i;
    ngx_http_intuit_id_t          own;
    ngx_http_intuit_provider_t  **provider;

    provider = s->imcf->providers.elts;

    for (i = 0; i < s->imcf->providers.nelts; i++) {

        if (ngx_http_intuit_connection_id(&own, provider[i], realm)
            == NGX_OK
            && ngx_memcmp(own.data, id->data, NGX_HTTP_INTUIT_ID_LEN) == 0)
        {
            break;
        }
    }

    return i;
}


static ngx_uint_t
ngx_http_intuit_status_of(const ngx_intuit_connection_t *c, time_t now)
{
    const ngx_intuit_pair_t  *pair;

    pair = &c->current;

    if (c->dead
        || pair->access_token.len == 0
        || (pair->refresh_token.len == 0 && now >= pair->expires)
        || (pair->refresh_expires && now >= pair->refresh_expires)
        || (pair->hard_expires && now >= pair->hard_expires))
    {
        return NGX_HTTP_INTUIT_CONN_RECONNECT;
    }

    if (c->failures || c->maybe_sent) {
        return NGX_HTTP_INTUIT_CONN_FAILING;
    }

    if (ngx_http_intuit_status_soon(pair->refresh_expires, pair->refreshed,
                                    now)
        || ngx_http_intuit_status_soon(pair->hard_expires, pair->issued, now))
    {
        return NGX_HTTP_INTUIT_CONN_EXPIRING;
    }

    return NGX_HTTP_INTUIT_CONN_CONNECTED;
}


/* within two weeks, or the last quarter of a shorter life */

static ngx_uint_t
ngx_http_intuit_status_soon(time_t end, time_t since, time_t now)
{
    return end != 0
           && end - now < ngx_min(NGX_HTTP_INTUIT_STATUS_SOON,
                                  (end - since) / 4);
}


void
ngx_http_intuit_status_sort(ngx_http_intuit_status_t *s)
{
    ngx_uint_t  n, per_page;

    n = s->entries.nelts;

    if (n > 1) {
        ngx_qsort(s->entries.elts, n, sizeof(ngx_http_intuit_status_entry_t),
                  s->format == NGX_HTTP_INTUIT_STATUS_JSON
                  ? ngx_http_intuit_status_order
                  : ngx_http_intuit_status_worst);
    }

    per_page = (s->format == NGX_HTTP_INTUIT_STATUS_JSON)
               ? NGX_HTTP_INTUIT_STATUS_MEMBERS
               : (s->format == NGX_HTTP_INTUIT_STATUS_HTML)
               ? NGX_HTTP_INTUIT_STATUS_PAGE : NGX_HTTP_INTUIT_STATUS_SERIES;

    s->pages = n ? (n + per_page - 1) / per_page : 1;

    /* a program that asks for too much gets an empty page, a person the last */

    if (s->page > s->pages && s->format != NGX_HTTP_INTUIT_STATUS_JSON) {
        s->page = s->pages;
    }

    s->first = ngx_min((s->page - 1) * per_page, n);
    s->end = ngx_min(s->first + per_page, n);
}


static int ngx_libc_cdecl
ngx_http_intuit_status_worst(const void *one, const void *two)
{
    const ngx_http_intuit_status_entry_t  *a = one;
    const ngx_http_intuit_status_entry_t  *b = two;

    if (a->state != b->state) {
        return a->state < b->state ? -1 : 1;
    }

    return ngx_http_intuit_status_order(one, two);
}


/* which does not depend on what happens to them */

static int ngx_libc_cdecl
ngx_http_intuit_status_order(const void *one, const void *two)
{
    const ngx_http_intuit_status_entry_t  *a = one;
    const ngx_http_intuit_status_entry_t  *b = two;

    if (a->provider != b->provider) {
        return a->provider < b->provider ? -1 : 1;
    }

    if (a->len != b->len) {
        return a->len < b->len ? -1 : 1;
    }

    return ngx_memcmp(a->realm, b->realm, a->len);
}


void
ngx_http_intuit_status_check(ngx_http_intuit_status_t *s)
{
    ngx_uint_t                    i;
    ngx_http_intuit_note_t        note;
    ngx_http_intuit_provider_t  **provider;

    ngx_http_intuit_store_stat(s->imcf->store, &s->stat);

    s->problems = 0;

    provider = s->imcf->providers.elts;

    for (i = 0; i < s->imcf->providers.nelts; i++) {

        if (ngx_http_intuit_noted(provider[i], "client", &note) == NGX_OK
            && note.value == NGX_HTTP_INTUIT_CLIENT_REFUSED)
        {
            s->problems |= NGX_HTTP_INTUIT_KEYS_REFUSED;
        }

        if (provider[i]->state_path
            && ngx_http_intuit_noted(provider[i], "state", &note) == NGX_OK
            && note.value)
        {
            s->problems |= NGX_HTTP_INTUIT_STATE_FAILING;
        }
    }

    if (s->stat.refused_last
        && s->now - s->stat.refused_last < NGX_HTTP_INTUIT_STATUS_FULL)
    {
        s->problems |= NGX_HTTP_INTUIT_ZONE_FULL;
    }

    if (s->stat.damaged) {
        s->problems |= NGX_HTTP_INTUIT_ZONE_DAMAGED;
    }
}


ngx_int_t
ngx_http_intuit_status_item(ngx_http_intuit_status_t *s,
    const ngx_http_intuit_status_entry_t *entry, ngx_pool_t *pool,
    ngx_http_intuit_status_item_t *item)
{
    uint64_t                      generation;
    ngx_http_intuit_provider_t  **provider;

    ngx_memzero(item, sizeof(ngx_http_intuit_status_item_t));

    if (ngx_http_intuit_connection_load(s->imcf->store, &entry->id, pool,
                                        &item->connection, &generation)
        != NGX_OK)
    {
        return NGX_DECLINED;
    }

    item->state = entry->state;

    if (entry->provider < s->imcf->providers.nelts) {
        provider = s->imcf->providers.elts;
        item->provider = provider[entry->provider];

        ngx_http_intuit_status_quota(item->provider, &item->connection.realm,
                                     s->now, &item->quota);
    }

    return NGX_OK;
}


/* the one place that asks how much of a company's quota is used */

static void
ngx_http_intuit_status_quota(ngx_http_intuit_provider_t *provider,
    const ngx_str_t *realm, time_t now, ngx_http_intuit_shown_t *quota)
{
    ngx_http_intuit_id_t          id;
    ngx_http_intuit_quota_stat_t  stat;

    ngx_memzero(quota, sizeof(ngx_http_intuit_shown_t));

    if (ngx_http_intuit_quota_id(&id, provider, realm) != NGX_OK
        || ngx_http_intuit_quota_stat(provider->store, &id, ngx_current_msec,
                                      &stat)
           != NGX_OK)
    {
        return;
    }

    quota->known = 1;
    quota->used = stat.used;
    quota->limit = stat.limit;
    quota->queued = stat.queued;

    if (stat.held) {
        quota->held_until = now + stat.held / 1000 + 1;
    }
}


const char *
ngx_http_intuit_status_keys(ngx_http_intuit_provider_t *provider,
    ngx_http_intuit_note_t *note)
{
    if (ngx_http_intuit_noted(provider, "client", note) != NGX_OK) {
        ngx_memzero(note, sizeof(ngx_http_intuit_note_t));
        return "unknown";
    }

    return note->value == NGX_HTTP_INTUIT_CLIENT_REFUSED ? "refused"
                                                         : "accepted";
}


const char *
ngx_http_intuit_status_state(ngx_uint_t state)
{
    return ngx_http_intuit_status_states[state];
}


const char *
ngx_http_intuit_status_problem(ngx_uint_t bit)
{
    return bit < sizeof(ngx_http_intuit_status_problems)
                 / sizeof(ngx_http_intuit_status_problems[0])
           ? ngx_http_intuit_status_problems[bit] : NULL;
}


const char *
ngx_http_intuit_status_health(ngx_uint_t problems)
{
    return problems & NGX_HTTP_INTUIT_UNHEALTHY
           ? "failing" : problems ? "degraded" : "ok";
}


ngx_uint_t
ngx_http_intuit_status_number(ngx_http_intuit_status_t *s,
    ngx_uint_t provider, ngx_uint_t state)
{
    return s->counts[provider * NGX_HTTP_INTUIT_CONN_MAX + state];
}


const char *
ngx_http_intuit_status_error(ngx_http_intuit_status_t *s, ngx_uint_t n,
    ngx_uint_t *answers)
{
    ngx_uint_t   i;
    const char  *name;

    name = ngx_http_intuit_error_name(n);
    *answers = 0;

    for (i = 0; i < NGX_HTTP_INTUIT_E_MAX; i++) {

        if (ngx_strcmp(ngx_http_intuit_error_name(i), name) != 0) {
            continue;
        }

        if (i < n) {
            return NULL;
        }

        *answers += ngx_http_intuit_store_counted(s->imcf->store,
                                                  NGX_HTTP_INTUIT_N_ERROR + i);
    }

    return name;
}
