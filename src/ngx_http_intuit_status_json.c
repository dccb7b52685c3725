/*
 * intuit_status as JSON, version 1; conf-examples/status.schema.json
 * describes it.  Members may be added; what is there keeps its meaning.
 */

#include "ngx_http_intuit_status.h"


#define NGX_HTTP_INTUIT_STATUS_VERSION  1


static void ngx_http_intuit_json_zone(ngx_http_intuit_status_t *s,
    ngx_intuit_text_t *t);
static void ngx_http_intuit_json_providers(ngx_http_intuit_status_t *s,
    ngx_intuit_text_t *t);
static void ngx_http_intuit_json_connections(ngx_http_intuit_status_t *s,
    ngx_intuit_text_t *t);
static void ngx_http_intuit_json_item(ngx_http_intuit_status_item_t *item,
    ngx_intuit_text_t *t);
static void ngx_http_intuit_json_counters(ngx_http_intuit_status_t *s,
    ngx_intuit_text_t *t);


ngx_int_t
ngx_http_intuit_status_json(ngx_http_intuit_status_t *s, ngx_str_t *body)
{
    ngx_intuit_text_t  t;

    ngx_intuit_text_init(&t, s->request->pool);

    ngx_intuit_text_open(&t, NULL, '{');

    ngx_intuit_text_number(&t, "version", NGX_HTTP_INTUIT_STATUS_VERSION);
    ngx_intuit_text_time(&t, "time", s->now);

    ngx_intuit_text_open(&t, "software", '{');
    ngx_intuit_text_word(&t, "module", NGX_HTTP_INTUIT_VERSION);
    ngx_intuit_text_word(&t, "nginx", NGINX_VERSION);
    ngx_intuit_text_close(&t, '}');

    ngx_http_intuit_status_health_json(s->problems, &t, "health");
    ngx_http_intuit_json_zone(s, &t);
    ngx_http_intuit_json_providers(s, &t);
    ngx_http_intuit_json_connections(s, &t);
    ngx_http_intuit_json_counters(s, &t);

    ngx_intuit_text_close(&t, '}');
    ngx_intuit_text_put(&t, "\n");

    return ngx_intuit_text_end(&t, body);
}


void
ngx_http_intuit_status_health_json(ngx_uint_t problems, ngx_intuit_text_t *t,
    const char *name)
{
    ngx_uint_t  bit;

    ngx_intuit_text_open(t, name, '{');
    ngx_intuit_text_word(t, "status", ngx_http_intuit_status_health(problems));
    ngx_intuit_text_open(t, "problems", '[');

    for (bit = 0; ngx_http_intuit_status_problem(bit); bit++) {
        if (problems & ((ngx_uint_t) 1 << bit)) {
            ngx_intuit_text_word(t, NULL,
                                 ngx_http_intuit_status_problem(bit));
        }
    }

    ngx_intuit_text_close(t, ']');
    ngx_intuit_text_close(t, '}');
}


static void
ngx_http_intuit_json_zone(ngx_http_intuit_status_t *s, ngx_intuit_text_t *t)
{
    ngx_intuit_text_open(t, "zone", '{');
    ngx_intuit_text_string(t, "name", &s->imcf->zone_name);
    ngx_intuit_text_number(t, "size_bytes", s->stat.size);
    ngx_intuit_text_number(t, "free_bytes", s->stat.free);
    ngx_intuit_text_number(t, "sessions", s->stat.sessions);
    ngx_intuit_text_number(t, "sessions_created", s->stat.created);
    ngx_intuit_text_number(t, "sessions_evicted", s->stat.evicted);
    ngx_intuit_text_number(t, "attempts", s->stat.logins);
    ngx_intuit_text_number(t, "refusals", s->stat.refused);
    ngx_intuit_text_number(t, "damaged", s->stat.damaged);
    ngx_intuit_text_close(t, '}');
}


static void
ngx_http_intuit_json_providers(ngx_http_intuit_status_t *s,
    ngx_intuit_text_t *t)
{
    ngx_str_t                     tid;
    ngx_uint_t                    i, state;
    ngx_http_intuit_note_t        note;
    ngx_http_intuit_provider_t  **provider;

    provider = s->imcf->providers.elts;

    ngx_intuit_text_open(t, "providers", '[');

    for (i = 0; i < s->imcf->providers.nelts; i++) {

        ngx_intuit_text_open(t, NULL, '{');
        ngx_intuit_text_string(t, "name", &provider[i]->name);
        ngx_intuit_text_word(t, "environment",
                             provider[i]->environment
                             == NGX_HTTP_INTUIT_PRODUCTION
                             ? "production" : "sandbox");
        ngx_intuit_text_string(t, "redirect_uri", &provider[i]->redirect_uri);

        ngx_intuit_text_open(t, "keys", '{');
        ngx_intuit_text_word(t, "state",
                             ngx_http_intuit_status_keys(provider[i], &note));
        ngx_intuit_text_time(t, "since", note.when);

        tid.data = note.tid;
        tid.len = note.tid_len;
        ngx_intuit_text_string(t, "intuit_tid", &tid);
        ngx_intuit_text_close(t, '}');

        ngx_intuit_text_open(t, "connections", '{');

        for (state = 0; state < NGX_HTTP_INTUIT_CONN_UNUSED; state++) {
            ngx_intuit_text_number(t, ngx_http_intuit_status_state(state),
                               ngx_http_intuit_status_number(s, i, state));
        }

        ngx_intuit_text_close(t, '}');
        ngx_intuit_text_close(t, '}');
    }

    ngx_intuit_text_close(t, ']');
}


static void
ngx_http_intuit_json_connections(ngx_http_intuit_status_t *s,
    ngx_intuit_text_t *t)
{
    ngx_uint_t                       i;
    ngx_http_intuit_status_item_t    item;
    ngx_http_intuit_status_entry_t  *entry;

    entry = s->entries.elts;

    ngx_intuit_text_open(t, "connections", '{');
    ngx_intuit_text_number(t, "total", s->entries.nelts);
    ngx_intuit_text_number(t, "revocations_pending", s->revocations);
    ngx_intuit_text_number(t, "page", s->page);
    ngx_intuit_text_number(t, "pages", s->pages);
    ngx_intuit_text_open(t, "list", '[');

    for (i = s->first; i < s->end; i++) {

        if (ngx_http_intuit_status_item(s, &entry[i], s->request->pool, &item)
            == NGX_OK)
        {
            ngx_http_intuit_json_item(&item, t);
        }
    }

    ngx_intuit_text_close(t, ']');
    ngx_intuit_text_close(t, '}');
}


static void
ngx_http_intuit_json_item(ngx_http_intuit_status_item_t *item,
    ngx_intuit_text_t *t)
{
    ngx_str_t                 none;
    ngx_intuit_pair_t        *pair;
    ngx_intuit_connection_t  *c;

    ngx_str_null(&none);

    c = &item->connection;
    pair = &c->current;

    ngx_intuit_text_open(t, NULL, '{');
    ngx_intuit_text_string(t, "provider",
                           item->provider ? &item->provider->name : &none);
    ngx_intuit_text_string(t, "realm_id", &c->realm);
    ngx_intuit_text_string(t, "company", &c->company);
    ngx_intuit_text_word(t, "state",
                         ngx_http_intuit_status_state(item->state));
    ngx_intuit_text_string(t, "scope", &pair->scope);
    ngx_intuit_text_time(t, "consented", pair->issued);
    ngx_intuit_text_time(t, "last_refresh", pair->refreshed);
    ngx_intuit_text_time(t, "token_expires", pair->expires);
    ngx_intuit_text_time(t, "refresh_token_expires", pair->refresh_expires);
    ngx_intuit_text_time(t, "refresh_token_hard_expires", pair->hard_expires);
    ngx_intuit_text_bool(t, "spare", c->spare.access_token.len != 0);
    ngx_intuit_text_number(t, "failures", c->failures);
    ngx_intuit_text_time(t, "next_try", c->retry_at);
    ngx_intuit_text_time(t, "maybe_sent", c->maybe_sent);
    ngx_intuit_text_string(t, "error", &c->error);
    ngx_intuit_text_string(t, "intuit_tid", &c->tid);

    if (item->quota.known) {
        ngx_intuit_text_open(t, "quota", '{');
        ngx_intuit_text_number(t, "used", item->quota.used);
        ngx_intuit_text_number(t, "limit", item->quota.limit);
        ngx_intuit_text_number(t, "queued", item->quota.queued);
        ngx_intuit_text_time(t, "held_until", item->quota.held_until);
        ngx_intuit_text_close(t, '}');

    } else {
        ngx_intuit_text_string(t, "quota", &none);
    }

    ngx_intuit_text_close(t, '}');
}


static void
ngx_http_intuit_json_counters(ngx_http_intuit_status_t *s,
    ngx_intuit_text_t *t)
{
    ngx_uint_t   i, n;
    const char  *name;

    static const char  *names[] = {
        "refreshes", "refreshes_failed", "refreshes_ended", "logins",
        "logins_failed", "disconnects", "api_refusals", "replays",
        "replays_refused"
    };

    ngx_intuit_text_open(t, "counters", '{');

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        ngx_intuit_text_number(t, names[i],
                               ngx_http_intuit_store_counted(s->imcf->store,
                                                             i));
    }

    ngx_intuit_text_open(t, "errors", '{');

    for (i = 0; i < NGX_HTTP_INTUIT_E_MAX; i++) {

        name = ngx_http_intuit_status_error(s, i, &n);

        if (name) {
            ngx_intuit_text_number(t, name, n);
        }
    }

    ngx_intuit_text_close(t, '}');
    ngx_intuit_text_close(t, '}');
}
