/*
 * intuit_status for Prometheus: its text format, version 0.0.4.  Seconds and
 * bytes; times are seconds since the epoch; all counters end in _total.
 */

#include "ngx_http_intuit_status.h"


typedef struct {
    const char  *name;
    const char  *help;
    time_t       value;
} ngx_http_intuit_metric_t;


static void ngx_http_intuit_metric_head(ngx_intuit_text_t *t,
    const char *name, const char *type, const char *help);
static void ngx_http_intuit_metrics_zone(ngx_http_intuit_status_t *s,
    ngx_intuit_text_t *t);
static void ngx_http_intuit_metrics_providers(ngx_http_intuit_status_t *s,
    ngx_intuit_text_t *t);
static void ngx_http_intuit_metrics_counters(ngx_http_intuit_status_t *s,
    ngx_intuit_text_t *t);
static void ngx_http_intuit_metrics_connections(ngx_http_intuit_status_t *s,
    ngx_intuit_text_t *t);
static void ngx_http_intuit_metrics_connection(ngx_http_intuit_status_t *s,
    ngx_http_intuit_status_item_t *item, ngx_intuit_text_t *family);
static void ngx_http_intuit_metric_value(ngx_intuit_text_t *family,
    ngx_uint_t n, ngx_http_intuit_status_item_t *item, time_t value);
static void ngx_http_intuit_metric_labels(ngx_intuit_text_t *t, ngx_uint_t n,
    ngx_http_intuit_status_item_t *item);


/* of a connection */

#define NGX_HTTP_INTUIT_FAMILIES  10

static const char  *ngx_http_intuit_families[NGX_HTTP_INTUIT_FAMILIES][2] = {
    { "intuit_connection_info",
      "A connection and its company's name." },
    { "intuit_connection_state",
      "1: the connection is in this state." },
    { "intuit_connection_up",
      "1: requests of this company can be served." },
    { "intuit_connection_access_token_expiry_timestamp_seconds",
      "When the access token ends." },
    { "intuit_connection_refresh_token_expiry_timestamp_seconds",
      "When the refresh token ends, unless it is renewed." },
    { "intuit_connection_consent_expiry_timestamp_seconds",
      "When somebody has to consent again, in any case." },
    { "intuit_connection_last_refresh_timestamp_seconds",
      "When the tokens were received." },
    { "intuit_connection_refresh_failures",
      "Failed refreshes in a row." },
    { "intuit_connection_quota_used_requests",
      "API requests in the last minute." },
    { "intuit_connection_quota_limit_requests",
      "API requests that a minute may have." }
};


ngx_int_t
ngx_http_intuit_status_metrics(ngx_http_intuit_status_t *s, ngx_str_t *body)
{
    ngx_intuit_text_t  t;

    ngx_intuit_text_init(&t, s->request->pool);

    ngx_http_intuit_metric_head(&t, "intuit_build_info", "gauge",
                                "Versions of the module and of nginx.");
    ngx_intuit_text_put(&t, "intuit_build_info{version=\""
                            NGX_HTTP_INTUIT_VERSION "\",nginx=\""
                            NGINX_VERSION "\"} 1\n");

    ngx_http_intuit_metrics_zone(s, &t);
    ngx_http_intuit_metrics_providers(s, &t);
    ngx_http_intuit_metrics_counters(s, &t);
    ngx_http_intuit_metrics_connections(s, &t);

    return ngx_intuit_text_end(&t, body);
}


static void
ngx_http_intuit_metric_head(ngx_intuit_text_t *t, const char *name,
    const char *type, const char *help)
{
    ngx_intuit_text_print(t, "# HELP %s %s\n# TYPE %s %s\n", name, help, name,
                          type);
}


static void
ngx_http_intuit_metrics_zone(ngx_http_intuit_status_t *s,
    ngx_intuit_text_t *t)
{
    ngx_uint_t  bit, i;

    const ngx_http_intuit_metric_t  zone[] = {
        { "intuit_zone_size_bytes", "Size of the shared memory zone.",
          (time_t) s->stat.size },
        { "intuit_zone_free_bytes", "Free pages of the zone.",
          (time_t) s->stat.free },
        { "intuit_sessions", "Sessions in the zone.",
          (time_t) s->stat.sessions },
        { "intuit_attempts", "Logins and other attempts kept in the zone.",
          (time_t) s->stat.logins },
        { "intuit_sessions_created_total", "Sessions made.",
          (time_t) s->stat.created },
        { "intuit_sessions_evicted_total",
          "Sessions that ended for want of room.", (time_t) s->stat.evicted },
        { "intuit_zone_refusals_total",
          "Records that there was no room for.", (time_t) s->stat.refused },
        { "intuit_zone_damaged_total", "Damaged records met.",
          (time_t) s->stat.damaged }
    };

    for (i = 0; i < sizeof(zone) / sizeof(zone[0]); i++) {
        ngx_http_intuit_metric_head(t, zone[i].name,
                                    ngx_strstr(zone[i].name, "_total")
                                    ? "counter" : "gauge", zone[i].help);
        ngx_intuit_text_print(t, "%s %T\n", zone[i].name, zone[i].value);
    }

    ngx_http_intuit_metric_head(t, "intuit_healthy", "gauge",
                                "1: this instance can serve.");
    ngx_intuit_text_print(t, "intuit_healthy %d\n",
                          s->problems & NGX_HTTP_INTUIT_UNHEALTHY ? 0 : 1);

    ngx_http_intuit_metric_head(t, "intuit_problem", "gauge",
                                "1: this is wrong with the instance.");

    for (bit = 0; ngx_http_intuit_status_problem(bit); bit++) {
        ngx_intuit_text_print(t, "intuit_problem{problem=\"%s\"} %d\n",
                              ngx_http_intuit_status_problem(bit),
                              s->problems & ((ngx_uint_t) 1 << bit) ? 1 : 0);
    }
}


static void
ngx_http_intuit_metrics_providers(ngx_http_intuit_status_t *s,
    ngx_intuit_text_t *t)
{
    ngx_uint_t                    i, state;
    ngx_http_intuit_note_t        note;
    ngx_http_intuit_provider_t  **provider;

    provider = s->imcf->providers.elts;

    ngx_http_intuit_metric_head(t, "intuit_keys_accepted", "gauge",
                                "1: Intuit accepts the client id and secret; "
                                "absent where it was not asked yet.");

    for (i = 0; i < s->imcf->providers.nelts; i++) {

        (void) ngx_http_intuit_status_keys(provider[i], &note);

        if (note.value == 0) {
            continue;
        }

        ngx_intuit_text_put(t, "intuit_keys_accepted{provider=\"");
        ngx_intuit_text_label(t, &provider[i]->name);
        ngx_intuit_text_print(t, "\"} %d\n", note.value
                                 == NGX_HTTP_INTUIT_CLIENT_ACCEPTED ? 1 : 0);
    }

    ngx_http_intuit_metric_head(t, "intuit_connections", "gauge",
                                "Connected companies by state.");

    for (i = 0; i < s->imcf->providers.nelts; i++) {
        for (state = 0; state < NGX_HTTP_INTUIT_CONN_UNUSED; state++) {
            ngx_intuit_text_put(t, "intuit_connections{provider=\"");
            ngx_intuit_text_label(t, &provider[i]->name);
            ngx_intuit_text_print(t, "\",state=\"%s\"} %ui\n",
                               ngx_http_intuit_status_state(state),
                               ngx_http_intuit_status_number(s, i, state));
        }
    }
}


static void
ngx_http_intuit_metrics_counters(ngx_http_intuit_status_t *s,
    ngx_intuit_text_t *t)
{
    ngx_uint_t   i, n;
    const char  *name;

    static const struct {
        const char  *family;                /* NULL: of the one before */
        const char  *help;
        const char  *series;
    } counters[] = {
        { "intuit_refreshes_total", "Refreshes of access tokens by result.",
          "intuit_refreshes_total{result=\"renewed\"}" },
        { NULL, NULL, "intuit_refreshes_total{result=\"failed\"}" },
        { NULL, NULL, "intuit_refreshes_total{result=\"ended\"}" },
        { "intuit_logins_total", "Logins and connects by result.",
          "intuit_logins_total{result=\"succeeded\"}" },
        { NULL, NULL, "intuit_logins_total{result=\"failed\"}" },
        { "intuit_disconnects_total", "Companies disconnected here.",
          "intuit_disconnects_total" },
        { "intuit_api_token_refusals_total",
          "Requests whose access token the API has refused.",
          "intuit_api_token_refusals_total" },
        { "intuit_replays_total",
          "Requests that were sent again with a new token.",
          "intuit_replays_total" },
        { "intuit_replays_refused_total",
          "Requests whose new token the API has refused as well.",
          "intuit_replays_refused_total" }
    };

    for (i = 0; i < sizeof(counters) / sizeof(counters[0]); i++) {

        if (counters[i].family) {
            ngx_http_intuit_metric_head(t, counters[i].family, "counter",
                                        counters[i].help);
        }

        ngx_intuit_text_print(t, "%s %ui\n", counters[i].series,
                              ngx_http_intuit_store_counted(s->imcf->store,
                                                            i));
    }

    ngx_http_intuit_metric_head(t, "intuit_errors_total", "counter",
                                "Answers of the module with an error word.");

    for (i = 0; i < NGX_HTTP_INTUIT_E_MAX; i++) {

        name = ngx_http_intuit_status_error(s, i, &n);

        if (name) {
            ngx_intuit_text_print(t, "intuit_errors_total{error=\"%s\"} %ui\n",
                                  name, n);
        }
    }
}


/*
 * A family is one piece, and a connection has a line in each: so every family
 * is a text of its own.
 */

static void
ngx_http_intuit_metrics_connections(ngx_http_intuit_status_t *s,
    ngx_intuit_text_t *t)
{
    ngx_str_t                        text;
    ngx_uint_t                       i;
    ngx_pool_t                      *pool;
    ngx_intuit_text_t                family[NGX_HTTP_INTUIT_FAMILIES];
    ngx_http_intuit_status_item_t    item;
    ngx_http_intuit_status_entry_t  *entry;

    entry = s->entries.elts;

    ngx_http_intuit_metric_head(t, "intuit_revocations_pending", "gauge",
                                "Revocations that wait for Intuit.");
    ngx_intuit_text_print(t, "intuit_revocations_pending %ui\n",
                          s->revocations);

    ngx_http_intuit_metric_head(t, "intuit_connections_omitted", "gauge",
                                "Connections beyond the first 1000, which "
                                "have no series of their own.");
    ngx_intuit_text_print(t, "intuit_connections_omitted %ui\n",
                          s->entries.nelts - (s->end - s->first));

    for (i = 0; i < NGX_HTTP_INTUIT_FAMILIES; i++) {
        ngx_intuit_text_init(&family[i], s->request->pool);
        ngx_http_intuit_metric_head(&family[i], ngx_http_intuit_families[i][0],
                                    "gauge", ngx_http_intuit_families[i][1]);
    }

    for (i = s->first; i < s->end; i++) {

        pool = ngx_create_pool(NGX_DEFAULT_POOL_SIZE,
                               s->request->connection->log);
        if (pool == NULL) {
            t->failed = 1;
            return;
        }

        if (ngx_http_intuit_status_item(s, &entry[i], pool, &item) == NGX_OK) {
            ngx_http_intuit_metrics_connection(s, &item, family);
        }

        ngx_destroy_pool(pool);
    }

    for (i = 0; i < NGX_HTTP_INTUIT_FAMILIES; i++) {

        if (ngx_intuit_text_end(&family[i], &text) != NGX_OK) {
            t->failed = 1;
            return;
        }

        ngx_intuit_text_bytes(t, &text);
    }
}


static void
ngx_http_intuit_metrics_connection(ngx_http_intuit_status_t *s,
    ngx_http_intuit_status_item_t *item, ngx_intuit_text_t *family)
{
    ngx_intuit_pair_t        *pair;
    ngx_intuit_connection_t  *c;

    c = &item->connection;
    pair = &c->current;

    ngx_http_intuit_metric_labels(&family[0], 0, item);
    ngx_intuit_text_put(&family[0], ",company=\"");
    ngx_intuit_text_label(&family[0], &c->company);
    ngx_intuit_text_put(&family[0], "\"} 1\n");

    ngx_http_intuit_metric_labels(&family[1], 1, item);
    ngx_intuit_text_print(&family[1], ",state=\"%s\"} 1\n",
                          ngx_http_intuit_status_state(item->state));

    ngx_http_intuit_metric_value(family, 2, item,
                       item->state < NGX_HTTP_INTUIT_CONN_UNUSED
                       && item->state != NGX_HTTP_INTUIT_CONN_RECONNECT
                       && (item->state != NGX_HTTP_INTUIT_CONN_FAILING
                           || s->now < pair->expires));

    /* what is unknown has no line */

    if (pair->expires) {
        ngx_http_intuit_metric_value(family, 3, item, pair->expires);
    }

    if (pair->refresh_expires) {
        ngx_http_intuit_metric_value(family, 4, item, pair->refresh_expires);
    }

    if (pair->hard_expires) {
        ngx_http_intuit_metric_value(family, 5, item, pair->hard_expires);
    }

    if (pair->refreshed) {
        ngx_http_intuit_metric_value(family, 6, item, pair->refreshed);
    }

    ngx_http_intuit_metric_value(family, 7, item, c->failures);

    if (item->quota.known) {
        ngx_http_intuit_metric_value(family, 8, item, item->quota.used);
        ngx_http_intuit_metric_value(family, 9, item, item->quota.limit);
    }
}


static void
ngx_http_intuit_metric_value(ngx_intuit_text_t *family, ngx_uint_t n,
    ngx_http_intuit_status_item_t *item, time_t value)
{
    ngx_http_intuit_metric_labels(&family[n], n, item);
    ngx_intuit_text_print(&family[n], "} %T\n", value);
}


/* the line's beginning, without the closing brace */

static void
ngx_http_intuit_metric_labels(ngx_intuit_text_t *t, ngx_uint_t n,
    ngx_http_intuit_status_item_t *item)
{
    ngx_intuit_text_print(t, "%s{provider=\"", ngx_http_intuit_families[n][0]);

    if (item->provider) {
        ngx_intuit_text_label(t, &item->provider->name);
    }

    ngx_intuit_text_put(t, "\",realm=\"");
    ngx_intuit_text_label(t, &item->connection.realm);
    ngx_intuit_text_put(t, "\"");
}
