/*
 * One company on the status page.
 */

#include "ngx_http_intuit_status.h"


static void ngx_http_intuit_row_state(ngx_http_intuit_status_t *s,
    ngx_intuit_text_t *t, ngx_http_intuit_status_item_t *item);
static void ngx_http_intuit_row_login(ngx_http_intuit_status_t *s,
    ngx_intuit_text_t *t, ngx_http_intuit_provider_t *provider);
static void ngx_http_intuit_row_refreshed(ngx_http_intuit_status_t *s,
    ngx_intuit_text_t *t, const ngx_intuit_pair_t *pair);
static void ngx_http_intuit_row_end(ngx_http_intuit_status_t *s,
    ngx_intuit_text_t *t, const char *label, time_t end);
static void ngx_http_intuit_row_quota(ngx_http_intuit_status_t *s,
    ngx_intuit_text_t *t, ngx_http_intuit_shown_t *quota);
static void ngx_http_intuit_row_error(ngx_intuit_text_t *t,
    const ngx_intuit_connection_t *c);
static void ngx_http_intuit_row_actions(ngx_intuit_text_t *t,
    ngx_http_intuit_status_item_t *item, ngx_uint_t n);
static void ngx_http_intuit_row_form(ngx_intuit_text_t *t,
    ngx_http_intuit_status_item_t *item, const char *action);


void
ngx_http_intuit_html_row(ngx_http_intuit_status_t *s, ngx_intuit_text_t *t,
    ngx_http_intuit_status_item_t *item, ngx_uint_t n)
{
    ngx_intuit_connection_t  *c;

    c = &item->connection;

    ngx_intuit_text_put(t, "<tr role=\"row\"><th role=\"rowheader\" "
                           "scope=\"row\">");

    ngx_intuit_text_html(t, c->company.len ? &c->company : &c->realm);

    ngx_intuit_text_put(t, "<small>");

    if (c->company.len) {
        ngx_intuit_text_html(t, &c->realm);
        ngx_intuit_text_put(t, "<br>");
    }

    if (item->provider) {
        ngx_intuit_text_put(t, "by ");
        ngx_intuit_text_html(t, &item->provider->name);
    }

    ngx_intuit_text_put(t, "</small></th>");

    ngx_http_intuit_row_state(s, t, item);
    ngx_http_intuit_row_refreshed(s, t, &c->current);
    ngx_http_intuit_row_end(s, t, "Refresh token ends",
                            c->current.refresh_expires);
    ngx_http_intuit_row_end(s, t, "Consent ends", c->current.hard_expires);
    ngx_http_intuit_row_quota(s, t, &item->quota);
    ngx_http_intuit_row_error(t, c);

    if (s->manage) {
        ngx_http_intuit_row_actions(t, item, n);
    }

    ngx_intuit_text_put(t, "</tr>\n");
}


static void
ngx_http_intuit_row_state(ngx_http_intuit_status_t *s, ngx_intuit_text_t *t,
    ngx_http_intuit_status_item_t *item)
{
    ngx_intuit_connection_t  *c;

    static const char  *badges[] = {
        "<span class=\"b bad\">reconnect needed</span>",
        "<span class=\"b warn\">refresh failing</span>",
        "<span class=\"b warn\">expiring soon</span>",
        "<span class=\"b good\">connected</span>",
        "<span class=\"b soft\">unused</span>"
    };

    c = &item->connection;

    ngx_intuit_text_put(t, "<td role=\"cell\" data-l=\"State\"><div>");
    ngx_intuit_text_put(t, badges[item->state]);

    switch (item->state) {

    case NGX_HTTP_INTUIT_CONN_RECONNECT:
        ngx_intuit_text_put(t, "<small>An administrator of the company has to "
                               "connect it again.");
        ngx_http_intuit_row_login(s, t, item->provider);
        ngx_intuit_text_put(t, "</small>");
        break;

    case NGX_HTTP_INTUIT_CONN_EXPIRING:

        if (c->current.hard_expires == 0
            || c->current.hard_expires > c->current.refresh_expires)
        {
            ngx_intuit_text_put(t, "<small>A refresh prolongs it.</small>");
            break;
        }

        ngx_intuit_text_put(t, "<small>An administrator of the company has to "
                               "connect it again before the consent ends.");
        ngx_http_intuit_row_login(s, t, item->provider);
        ngx_intuit_text_put(t, "</small>");
        break;

    case NGX_HTTP_INTUIT_CONN_FAILING:
        ngx_intuit_text_print(t, "<small>%T failed in a row", c->failures);

        if (c->retry_at > s->now) {
            ngx_intuit_text_put(t, ", next try ");
            ngx_http_intuit_html_relative(t, c->retry_at, s->now);
        }

        ngx_intuit_text_put(t, "</small>");

        if (c->maybe_sent) {
            ngx_intuit_text_put(t, "<small>A request to Intuit was never "
                                   "answered: ");
            ngx_http_intuit_html_relative(t, c->maybe_sent, s->now);
            ngx_intuit_text_put(t, "</small>");
        }

        break;

    case NGX_HTTP_INTUIT_CONN_UNUSED:
        ngx_intuit_text_put(t, "<small>No provider of this configuration uses "
                               "it.</small>");
        break;

    default:
        break;
    }

    if (c->spare.access_token.len) {
        ngx_intuit_text_put(t, "<small>With spare tokens of another login."
                               "</small>");
    }

    ngx_intuit_text_put(t, "</div></td>");
}


/* where somebody can sign in with this provider */

static void
ngx_http_intuit_row_login(ngx_http_intuit_status_t *s, ngx_intuit_text_t *t,
    ngx_http_intuit_provider_t *provider)
{
    ngx_str_t  link;

    if (provider == NULL
        || ngx_http_intuit_login_link(s->request, provider, &link) != NGX_OK
        || link.len == 0)
    {
        return;
    }

    ngx_intuit_text_put(t, " <a href=\"");
    ngx_intuit_text_html(t, &link);
    ngx_intuit_text_put(t, "\">Sign in</a>");
}


static void
ngx_http_intuit_row_refreshed(ngx_http_intuit_status_t *s,
    ngx_intuit_text_t *t, const ngx_intuit_pair_t *pair)
{
    ngx_intuit_text_put(t, "<td role=\"cell\" data-l=\"Last refresh\"><div>");

    if (pair->refreshed) {
        ngx_http_intuit_html_relative(t, pair->refreshed, s->now);
        ngx_intuit_text_put(t, "<small>");
        ngx_http_intuit_html_date(t, pair->refreshed, 0);
        ngx_intuit_text_print(t, "<br>access token %s ",
                              s->now < pair->expires ? "ends" : "ended");
        ngx_http_intuit_html_relative(t, pair->expires, s->now);
        ngx_intuit_text_put(t, "</small>");

    } else {
        ngx_intuit_text_put(t, "<span class=\"none\">not known</span>");
    }

    ngx_intuit_text_put(t, "</div></td>");
}


static void
ngx_http_intuit_row_end(ngx_http_intuit_status_t *s, ngx_intuit_text_t *t,
    const char *label, time_t end)
{
    ngx_intuit_text_print(t, "<td role=\"cell\" data-l=\"%s\"><div>", label);

    if (end) {
        ngx_http_intuit_html_relative(t, end, s->now);
        ngx_intuit_text_put(t, "<small>");
        ngx_http_intuit_html_date(t, end, 0);
        ngx_intuit_text_put(t, "</small>");

    } else {
        ngx_intuit_text_put(t, "<span class=\"none\">not known</span>");
    }

    ngx_intuit_text_put(t, "</div></td>");
}


static void
ngx_http_intuit_row_quota(ngx_http_intuit_status_t *s, ngx_intuit_text_t *t,
    ngx_http_intuit_shown_t *quota)
{
    ngx_intuit_text_put(t, "<td role=\"cell\" data-l=\"Quota\"><div>");

    if (!quota->known) {
        ngx_intuit_text_put(t, "<span class=\"none\">not watched</span>"
                               "</div></td>");
        return;
    }

    ngx_intuit_text_print(t, "%ui of %ui<meter aria-label=\"Quota\" min=\"0\" "
                             "max=\"%ui\" low=\"%ui\" high=\"%ui\" "
                             "optimum=\"0\" value=\"%ui\">%ui of %ui</meter>",
                          quota->used, quota->limit, quota->limit,
                          quota->limit * 3 / 4, quota->limit * 19 / 20,
                          quota->used, quota->used, quota->limit);

    if (quota->queued) {
        ngx_intuit_text_print(t, "<small>%ui waiting</small>", quota->queued);
    }

    if (quota->held_until > s->now) {
        ngx_intuit_text_put(t, "<small>Intuit said 429: on hold, goes on ");
        ngx_http_intuit_html_relative(t, quota->held_until, s->now);
        ngx_intuit_text_put(t, "</small>");
    }

    ngx_intuit_text_put(t, "</div></td>");
}


static void
ngx_http_intuit_row_error(ngx_intuit_text_t *t,
    const ngx_intuit_connection_t *c)
{
    ngx_intuit_text_put(t, "<td role=\"cell\" data-l=\"Last error\"><div>");

    if (c->error.len == 0) {
        ngx_intuit_text_put(t, "<span class=\"none\">none</span></div></td>");
        return;
    }

    ngx_intuit_text_put(t, "<code>");
    ngx_intuit_text_html(t, &c->error);
    ngx_intuit_text_put(t, "</code>");

    if (c->tid.len) {
        ngx_intuit_text_put(t, "<small>intuit_tid <code>");
        ngx_intuit_text_html(t, &c->tid);
        ngx_intuit_text_put(t, "</code></small>");
    }

    ngx_intuit_text_put(t, "</div></td>");
}


static void
ngx_http_intuit_row_actions(ngx_intuit_text_t *t,
    ngx_http_intuit_status_item_t *item, ngx_uint_t n)
{
    ngx_str_t  *name;

    name = item->connection.company.len ? &item->connection.company
                                        : &item->connection.realm;

    ngx_intuit_text_put(t, "<td role=\"cell\" data-l=\"Actions\">");

    if (item->provider == NULL) {
        ngx_intuit_text_put(t, "</td>");
        return;
    }

    ngx_intuit_text_put(t, "<div class=\"do\">");

    if (item->state != NGX_HTTP_INTUIT_CONN_RECONNECT) {
        ngx_http_intuit_row_form(t, item, "refresh");
        ngx_intuit_text_print(t, "<button type=\"submit\" id=\"r%ui\" "
                                 "aria-label=\"Refresh ", n);
        ngx_intuit_text_html(t, name);
        ngx_intuit_text_put(t, "\">Refresh</button></form>");
    }

    /* asked twice, without a script */

    ngx_intuit_text_print(t, "<details><summary id=\"d%ui\" "
                             "aria-label=\"Disconnect ", n);
    ngx_intuit_text_html(t, name);
    ngx_intuit_text_put(t, "\">Disconnect</summary><p>Its tokens are revoked, "
                           "and nothing here reaches its books until somebody "
                           "connects it again.</p>");
    ngx_http_intuit_row_form(t, item, "disconnect");
    ngx_intuit_text_put(t, "<button type=\"submit\" class=\"bad\">Disconnect ");
    ngx_intuit_text_html(t, name);
    ngx_intuit_text_put(t, "</button></form></details></div></td>");
}


static void
ngx_http_intuit_row_form(ngx_intuit_text_t *t,
    ngx_http_intuit_status_item_t *item, const char *action)
{
    ngx_intuit_text_print(t, "<form method=\"post\"><input type=\"hidden\" "
                             "name=\"action\" value=\"%s\"><input "
                             "type=\"hidden\" name=\"provider\" value=\"",
                          action);
    ngx_intuit_text_html(t, &item->provider->name);
    ngx_intuit_text_put(t, "\"><input type=\"hidden\" name=\"realm\" "
                           "value=\"");
    ngx_intuit_text_html(t, &item->connection.realm);
    ngx_intuit_text_put(t, "\">");
}


void
ngx_http_intuit_html_date(ngx_intuit_text_t *t, time_t when,
    ngx_uint_t seconds)
{
    ngx_tm_t  tm;

    ngx_gmtime(when, &tm);

    ngx_intuit_text_print(t, "<time datetime=\"%4d-%02d-%02dT%02d:%02d:%02dZ\">"
                             "<span>%4d-%02d-%02d</span> <span>%02d:%02d",
                          tm.ngx_tm_year, tm.ngx_tm_mon, tm.ngx_tm_mday,
                          tm.ngx_tm_hour, tm.ngx_tm_min, tm.ngx_tm_sec,
                          tm.ngx_tm_year, tm.ngx_tm_mon, tm.ngx_tm_mday,
                          tm.ngx_tm_hour, tm.ngx_tm_min);

    if (seconds) {
        ngx_intuit_text_print(t, ":%02d", tm.ngx_tm_sec);
    }

    ngx_intuit_text_put(t, " UTC</span></time>");
}


/* "in 12 days", "3 minutes ago": rounded, and never one of a unit but 1 s */

void
ngx_http_intuit_html_relative(ngx_intuit_text_t *t, time_t when, time_t now)
{
    time_t       n;
    const char  *unit;

    n = (when > now) ? when - now : now - when;

    if (n < 1) {
        ngx_intuit_text_put(t, "now");
        return;
    }

    if (n < 90) {
        unit = "second";

    } else if (n < 90 * 60) {
        n = (n + 30) / 60;
        unit = "minute";

    } else if (n < 36 * 3600) {
        n = (n + 1800) / 3600;
        unit = "hour";

    } else if (n < 2 * 365 * 86400) {
        n = (n + 43200) / 86400;
        unit = "day";

    } else {
        n = (n + 182 * 86400) / (365 * 86400);
        unit = "year";
    }

    ngx_intuit_text_print(t, "%s%T %s%s%s", when > now ? "in " : "", n, unit,
                          n == 1 ? "" : "s", when > now ? "" : " ago");
}
