/*
 * intuit_status as a page: what needs somebody stands first.  It is complete
 * without its script, which only puts a newer copy in its place.
 */

#include "ngx_http_intuit_status.h"


static void ngx_http_intuit_html_head(ngx_http_intuit_status_t *s,
    ngx_intuit_text_t *t);
static void ngx_http_intuit_html_problem(ngx_intuit_text_t *t,
    ngx_uint_t bit);
static void ngx_http_intuit_html_tiles(ngx_http_intuit_status_t *s,
    ngx_intuit_text_t *t);
static void ngx_http_intuit_html_tile(ngx_intuit_text_t *t, ngx_uint_t value,
    const char *class, const char *label);
static void ngx_http_intuit_html_connections(ngx_http_intuit_status_t *s,
    ngx_intuit_text_t *t);
static void ngx_http_intuit_html_pages(ngx_http_intuit_status_t *s,
    ngx_intuit_text_t *t);
static void ngx_http_intuit_html_providers(ngx_http_intuit_status_t *s,
    ngx_intuit_text_t *t);
static void ngx_http_intuit_html_provider(ngx_http_intuit_status_t *s,
    ngx_intuit_text_t *t, ngx_http_intuit_provider_t *provider);
static void ngx_http_intuit_html_zone(ngx_http_intuit_status_t *s,
    ngx_intuit_text_t *t);
static void ngx_http_intuit_html_counters(ngx_http_intuit_status_t *s,
    ngx_intuit_text_t *t);


/* contrast is at least 4.5:1 in both schemes, as in ngx_http_intuit_page.c */

static const char  ngx_http_intuit_status_style[] =
    ":root{--bad:#b3261e;--warn:#835100;--good:#0b6b34;--fill:#e3e8ed}"
    "@media(prefers-color-scheme:dark){:root{--bad:#ff9d94;--warn:#f0b955;"
    "--good:#63d391;--fill:#323b45}}"
    "body{display:block;padding:clamp(.5rem,2vw,2rem)}"
    "main{max-width:100rem;margin:0 auto;padding:clamp(1rem,2.5vw,2rem)}"
    "h1{margin:0 0 .25rem}"
    "h2{font-size:1.125rem;color:inherit;margin:0 0 .75rem}"
    ".at{display:flex;flex-wrap:wrap;gap:.25rem 1rem;align-items:center;"
    "color:var(--soft);font-size:.875rem;margin:0 0 1.25rem}"
    ".say{border-left:.25rem solid var(--good);padding:.5rem 1rem;"
    "background:var(--bg);border-radius:.25rem;margin:0 0 .75rem}"
    ".say.bad{border-color:var(--bad)}.say.warn{border-color:var(--warn)}"
    ".tiles{display:grid;gap:.75rem;margin:0;padding:0;list-style:none;"
    "grid-template-columns:repeat(auto-fill,minmax(8.5rem,1fr))}"
    ".tiles li{border:1px solid var(--line);border-radius:.5rem;"
    "padding:.6rem .9rem;font-size:.875rem;color:var(--soft)}"
    ".tiles b{display:block;font-size:1.625rem;line-height:1.3;"
    "color:var(--text);font-variant-numeric:tabular-nums}"
    ".tiles .bad b,.bad>.v{color:var(--bad)}"
    ".tiles .warn b{color:var(--warn)}.tiles .good b{color:var(--good)}"
    "small{display:block;color:var(--soft);font-size:.8125rem;"
    "line-height:1.45}"
    "table{width:100%;border-collapse:collapse;font-size:.9375rem;"
    "line-height:1.45}"
    "th,td{padding:.65rem 1rem .65rem 0;text-align:left;vertical-align:top;"
    "border-bottom:1px solid var(--line);font-weight:400;"
    "overflow-wrap:break-word}"
    "thead th{padding-top:0;color:var(--soft);font-size:.8125rem;"
    "font-weight:600;overflow-wrap:normal}"
    "th:last-child,td:last-child{padding-right:0}"
    "tbody th{font-weight:600}th small{font-weight:400}"
    "time span,td>div>code{white-space:nowrap}"
    "td code{font:.8125rem/1.45 ui-monospace,Menlo,Consolas,monospace;"
    "overflow-wrap:anywhere}"
    ".b{display:inline-block;border:1px solid;border-radius:1rem;"
    "padding:0 .65rem;font-size:.8125rem;font-weight:600;white-space:nowrap}"
    ".b.bad{color:var(--bad)}.b.warn{color:var(--warn)}"
    ".b.good{color:var(--good)}.b.soft{color:var(--soft)}"
    "meter{display:block;width:100%;max-width:14rem;height:.625rem;"
    "margin:.3rem 0;border:0;border-radius:.3rem;overflow:hidden;"
    "-webkit-appearance:none;appearance:none;background:var(--fill)}"
    "meter::-webkit-meter-inner-element{display:block}"
    "meter::-webkit-meter-bar{height:.625rem;border:0;border-radius:.3rem;"
    "background:var(--fill)}"
    "meter::-webkit-meter-optimum-value{background:var(--good)}"
    "meter::-moz-meter-bar{background:var(--good)}"
    "meter::-webkit-meter-suboptimum-value{background:var(--warn)}"
    "meter::-webkit-meter-even-less-good-value{background:var(--bad)}"
    "meter:-moz-meter-sub-optimum::-moz-meter-bar{background:var(--warn)}"
    "meter:-moz-meter-sub-sub-optimum::-moz-meter-bar{"
    "background:var(--bad)}"
    "button,summary{font-family:inherit;font-size:.8125rem;"
    "font-weight:600;line-height:1.4;color:var(--act);background:none;"
    "border:1px solid var(--line);"
    "border-radius:.4rem;padding:.3rem .7rem;cursor:pointer}"
    "button:hover,summary:hover{border-color:var(--act)}"
    "summary{display:inline-block;list-style:none}"
    "summary::-webkit-details-marker{display:none}"
    "button.bad{color:var(--bad);border-color:var(--bad)}"
    ".do{display:flex;flex-wrap:wrap;gap:.4rem;align-items:flex-start}"
    ".do form{margin:0}details p{margin:.5rem 0;max-width:18rem;"
    "font-size:.875rem}"
    ".pages{display:flex;flex-wrap:wrap;gap:1rem;margin:1rem 0 0;"
    "align-items:center;font-size:.9375rem}"
    ".two{display:grid;gap:0 2.5rem;"
    "grid-template-columns:repeat(auto-fit,minmax(min(22rem,100%),1fr))}"
    "dd{font-family:inherit;font-variant-numeric:tabular-nums}"
    ".none{color:var(--soft)}"
    ".stale{opacity:.6}"
    "@media(max-width:60rem){"
    "table,tbody,tr,th,td{display:block}"
    "thead{position:absolute;width:1px;height:1px;overflow:hidden;"
    "clip-path:inset(50%)}"
    "tbody tr{border:1px solid var(--line);border-radius:.6rem;"
    "padding:.75rem 1rem;margin:0 0 .75rem}"
    "th,td{border:0;padding:.25rem 0}"
    "tbody th{font-size:1.0625rem}"
    "td{display:grid;grid-template-columns:7.5rem 1fr;gap:.75rem}"
    "td::before{content:attr(data-l);color:var(--soft);font-size:.8125rem;"
    "padding-top:.1rem}"
    "td:empty{display:none}}"
    "@media(max-width:26rem){dl{grid-template-columns:max-content 1fr;"
    "gap:.15rem 1rem}}";


/*
 * Every ten seconds, while the page is seen and nobody is in the middle of
 * something.  The button is the script's own: it can be stopped.
 */

static const char  ngx_http_intuit_status_script[] =
    "(function(){\"use strict\";"
    "var main=document.querySelector(\"main\"),stop=false,busy=false,"
    "b=document.createElement(\"button\");"
    "b.type=\"button\";b.id=\"pause\";b.textContent=\"Pause updates\";"
    "b.onclick=function(){stop=!stop;"
    "b.textContent=stop?\"Resume updates\":\"Pause updates\";"
    "if(!stop)tick()};"
    "function place(){var e=document.getElementById(\"at\");"
    "if(e)e.append(b)}"
    "function tick(){"
    "var f=document.activeElement;"
    "if(stop||busy||document.hidden||main.querySelector(\"details[open]\")"
    "||(f&&f.form))return;"
    "busy=true;"
    "var u=new URL(location.href);u.searchParams.delete(\"done\");u.hash=\"\";"
    "fetch(u,{headers:{Accept:\"text/html\"},cache:\"no-store\","
    "redirect:\"error\"}).then(function(r){"
    "if(!r.ok)throw r.status;return r.text()}).then(function(x){"
    "var d=new DOMParser().parseFromString(x,\"text/html\")"
    ".querySelector(\"main\");"
    "if(!d||!d.querySelector(\"#at\"))throw 0;"
    "f=document.activeElement;"
    "var id=f&&main.contains(f)?f.id:\"\";"
    "main.replaceChildren.apply(main,Array.from(d.childNodes));"
    "main.classList.remove(\"stale\");place();"
    "if(id){f=document.getElementById(id);if(f)f.focus({preventScroll:true})}"
    "}).catch(function(){"
    "var e=document.getElementById(\"age\");"
    "if(e&&!main.classList.contains(\"stale\")){"
    "main.classList.add(\"stale\");"
    "e.textContent=\"cannot be updated, last seen at \"+e.textContent}"
    "}).finally(function(){busy=false})}"
    "place();setInterval(tick,10000);"
    "document.addEventListener(\"visibilitychange\",tick)})()";


static const char  *ngx_http_intuit_status_classes[] = {
    "bad", "warn", "warn", "good", "soft"
};


static const char  *ngx_http_intuit_status_tiles[] = {
    "to be connected again", "refresh failing", "expiring soon", "connected",
    "without a provider"
};


ngx_int_t
ngx_http_intuit_status_html(ngx_http_intuit_status_t *s, ngx_str_t *body)
{
    ngx_intuit_text_t  t;

    ngx_intuit_text_init(&t, s->request->pool);

    ngx_http_intuit_page_begin(&t, "QuickBooks connections",
                               ngx_http_intuit_status_style);

    ngx_http_intuit_html_head(s, &t);
    ngx_http_intuit_html_tiles(s, &t);
    ngx_http_intuit_html_connections(s, &t);
    ngx_http_intuit_html_providers(s, &t);

    ngx_intuit_text_put(&t, "<div class=\"two\">\n");
    ngx_http_intuit_html_zone(s, &t);
    ngx_http_intuit_html_counters(s, &t);
    ngx_intuit_text_put(&t, "</div>\n");

    return ngx_http_intuit_page_end(s->request, &t,
                                    ngx_http_intuit_status_style,
                                    ngx_http_intuit_status_script, body);
}


static void
ngx_http_intuit_html_head(ngx_http_intuit_status_t *s, ngx_intuit_text_t *t)
{
    ngx_uint_t  bit;

    ngx_intuit_text_put(t, "<p class=\"at\" id=\"at\"><span id=\"age\">");
    ngx_http_intuit_html_date(t, s->now, 1);
    ngx_intuit_text_print(t, "</span> <a id=\"again\" href=\"?page=%ui\">"
                             "Update</a></p>\n", s->page);

    if (s->done.len == 9 && ngx_memcmp(s->done.data, "refreshed", 9) == 0) {
        ngx_intuit_text_put(t, "<p class=\"say\" role=\"status\">The "
                               "connection has new tokens.</p>\n");

    } else if (s->done.len == 12
               && ngx_memcmp(s->done.data, "disconnected", 12) == 0)
    {
        ngx_intuit_text_put(t, "<p class=\"say\" role=\"status\">The company "
                               "is disconnected.</p>\n");
    }

    for (bit = 0; ngx_http_intuit_status_problem(bit); bit++) {
        if (s->problems & ((ngx_uint_t) 1 << bit)) {
            ngx_http_intuit_html_problem(t, bit);
        }
    }
}


static void
ngx_http_intuit_html_problem(ngx_intuit_text_t *t, ngx_uint_t bit)
{
    static const char  *texts[] = {
        "<strong>Intuit refuses a client id or secret.</strong> Nobody can "
        "sign in, and no token can be renewed. See \"Apps\" below.",

        "<strong>The shared memory is full.</strong> New logins are refused. "
        "Make <code>intuit_shared_zone</code> larger.",

        "<strong>The shared memory is damaged.</strong> Restart nginx.",

        "<strong>The disk cannot be written.</strong> New tokens are in memory "
        "only: do not restart nginx before <code>state_path</code> works "
        "again."
    };

    ngx_intuit_text_print(t, "<p class=\"say %s\">", bit < 3 ? "bad" : "warn");
    ngx_intuit_text_put(t, texts[bit]);
    ngx_intuit_text_put(t, "</p>\n");
}


static void
ngx_http_intuit_html_tiles(ngx_http_intuit_status_t *s, ngx_intuit_text_t *t)
{
    ngx_uint_t  state;

    ngx_intuit_text_put(t, "<ul class=\"tiles\">\n");

    for (state = 0; state < NGX_HTTP_INTUIT_CONN_MAX; state++) {

        if (s->states[state] || state == NGX_HTTP_INTUIT_CONN_CONNECTED) {
            ngx_http_intuit_html_tile(t, s->states[state],
                                      s->states[state]
                                      ? ngx_http_intuit_status_classes[state]
                                      : "soft",
                                      ngx_http_intuit_status_tiles[state]);
        }
    }

    ngx_http_intuit_html_tile(t, s->stat.sessions, "soft",
                              s->stat.sessions == 1 ? "session" : "sessions");

    ngx_intuit_text_put(t, "</ul>\n");
}


static void
ngx_http_intuit_html_tile(ngx_intuit_text_t *t, ngx_uint_t value,
    const char *class, const char *label)
{
    ngx_intuit_text_print(t, "<li class=\"%s\"><b>%ui</b>%s</li>\n", class,
                          value, label);
}


static void
ngx_http_intuit_html_connections(ngx_http_intuit_status_t *s,
    ngx_intuit_text_t *t)
{
    ngx_uint_t                       i;
    ngx_http_intuit_status_item_t    item;
    ngx_http_intuit_status_entry_t  *entry;

    ngx_intuit_text_put(t, "<section aria-labelledby=\"h-c\">\n"
                           "<h2 id=\"h-c\">Companies</h2>\n");

    if (s->entries.nelts == 0) {
        ngx_intuit_text_put(t, "<p class=\"none\">No company is connected. "
                               "It will be here once an administrator of a "
                               "company has signed in or consented.</p>\n"
                               "</section>\n");
        return;
    }

    ngx_intuit_text_put(t, "<table role=\"table\">\n"
        "<thead role=\"rowgroup\"><tr role=\"row\">"
        "<th role=\"columnheader\" scope=\"col\">Company</th>"
        "<th role=\"columnheader\" scope=\"col\">State</th>"
        "<th role=\"columnheader\" scope=\"col\">Last refresh</th>"
        "<th role=\"columnheader\" scope=\"col\">Refresh token ends</th>"
        "<th role=\"columnheader\" scope=\"col\">Consent ends</th>"
        "<th role=\"columnheader\" scope=\"col\">Quota</th>"
        "<th role=\"columnheader\" scope=\"col\">Last error</th>");

    if (s->manage) {
        ngx_intuit_text_put(t, "<th role=\"columnheader\" scope=\"col\">"
                               "Actions</th>");
    }

    ngx_intuit_text_put(t, "</tr></thead>\n<tbody role=\"rowgroup\">\n");

    entry = s->entries.elts;

    for (i = s->first; i < s->end; i++) {

        if (ngx_http_intuit_status_item(s, &entry[i], s->request->pool, &item)
            == NGX_OK)
        {
            ngx_http_intuit_html_row(s, t, &item, i - s->first);
        }
    }

    ngx_intuit_text_put(t, "</tbody>\n</table>\n");

    ngx_http_intuit_html_pages(s, t);

    ngx_intuit_text_put(t, "</section>\n");
}


static void
ngx_http_intuit_html_pages(ngx_http_intuit_status_t *s, ngx_intuit_text_t *t)
{
    if (s->pages == 1) {
        return;
    }

    ngx_intuit_text_print(t, "<nav class=\"pages\" aria-label=\"Pages\">"
                             "<span>%ui to %ui of %ui</span>",
                          s->first + 1, s->end, s->entries.nelts);

    if (s->page > 1) {
        ngx_intuit_text_print(t, "<a id=\"prev\" rel=\"prev\" "
                                 "href=\"?page=%ui\">Previous</a>",
                              s->page - 1);
    }

    if (s->page < s->pages) {
        ngx_intuit_text_print(t, "<a id=\"next\" rel=\"next\" "
                                 "href=\"?page=%ui\">Next</a>", s->page + 1);
    }

    ngx_intuit_text_put(t, "</nav>\n");
}


static void
ngx_http_intuit_html_providers(ngx_http_intuit_status_t *s,
    ngx_intuit_text_t *t)
{
    ngx_uint_t                    i;
    ngx_http_intuit_provider_t  **provider;

    ngx_intuit_text_put(t, "<section aria-labelledby=\"h-p\">\n"
        "<h2 id=\"h-p\">Apps</h2>\n<table role=\"table\">\n"
        "<thead role=\"rowgroup\"><tr role=\"row\">"
        "<th role=\"columnheader\" scope=\"col\">Provider</th>"
        "<th role=\"columnheader\" scope=\"col\">Environment</th>"
        "<th role=\"columnheader\" scope=\"col\">Client id and secret</th>"
        "<th role=\"columnheader\" scope=\"col\">Redirect URI to register</th>"
        "</tr></thead>\n<tbody role=\"rowgroup\">\n");

    provider = s->imcf->providers.elts;

    for (i = 0; i < s->imcf->providers.nelts; i++) {
        ngx_http_intuit_html_provider(s, t, provider[i]);
    }

    ngx_intuit_text_put(t, "</tbody>\n</table>\n</section>\n");
}


static void
ngx_http_intuit_html_provider(ngx_http_intuit_status_t *s,
    ngx_intuit_text_t *t, ngx_http_intuit_provider_t *provider)
{
    ngx_str_t               tid, file;
    ngx_http_intuit_note_t  note;

    (void) ngx_http_intuit_status_keys(provider, &note);

    ngx_intuit_text_put(t, "<tr role=\"row\"><th role=\"rowheader\" "
                           "scope=\"row\">");
    ngx_intuit_text_html(t, &provider->name);
    ngx_intuit_text_print(t, "</th><td role=\"cell\" "
                             "data-l=\"Environment\">%s</td>"
                             "<td role=\"cell\" data-l=\"Id and secret\"><div>",
                          provider->environment == NGX_HTTP_INTUIT_PRODUCTION
                          ? "production" : "sandbox");

    if (note.value == NGX_HTTP_INTUIT_CLIENT_ACCEPTED) {
        ngx_intuit_text_put(t, "<span class=\"b good\">accepted</span><small>");
        ngx_http_intuit_html_relative(t, note.when, s->now);
        ngx_intuit_text_put(t, "</small>");

    } else if (note.value == NGX_HTTP_INTUIT_CLIENT_REFUSED) {
        file.data = provider->file;
        file.len = ngx_strlen(provider->file);

        ngx_intuit_text_put(t, "<span class=\"b bad\">refused by Intuit</span>"
                               "<small>");
        ngx_http_intuit_html_relative(t, note.when, s->now);
        ngx_intuit_text_print(t, ": check client_id and %s in ",
                              provider->client_secret_file.len
                              ? "client_secret_file" : "client_secret");
        ngx_intuit_text_html(t, &file);
        ngx_intuit_text_print(t, ":%ui; development keys go with sandbox",
                              provider->line);

        if (note.tid_len) {
            tid.data = note.tid;
            tid.len = note.tid_len;
            ngx_intuit_text_put(t, "<br>intuit_tid <code>");
            ngx_intuit_text_html(t, &tid);
            ngx_intuit_text_put(t, "</code>");
        }

        ngx_intuit_text_put(t, "</small>");

    } else {
        ngx_intuit_text_put(t, "<span class=\"b soft\">not tried yet</span>");
    }

    ngx_intuit_text_put(t, "</div></td><td role=\"cell\" "
                           "data-l=\"Redirect URI\"><code>");
    ngx_intuit_text_html(t, &provider->redirect_uri);
    ngx_intuit_text_put(t, "</code></td></tr>\n");
}


static void
ngx_http_intuit_html_zone(ngx_http_intuit_status_t *s, ngx_intuit_text_t *t)
{
    ngx_uint_t  used, size, percent;

    size = s->stat.size / 1024;
    used = (s->stat.size - s->stat.free) / 1024;
    percent = size ? used * 100 / size : 0;

    ngx_intuit_text_put(t, "<section aria-labelledby=\"h-z\">\n"
                           "<h2 id=\"h-z\">Sessions and memory</h2>\n<dl>\n"
                           "<dt id=\"l-z\">Zone ");
    ngx_intuit_text_html(t, &s->imcf->zone_name);
    ngx_intuit_text_print(t, "</dt><dd>%ui%% of %ui kB in use<meter "
                             "aria-labelledby=\"l-z\" min=\"0\" max=\"100\" "
                             "low=\"75\" high=\"90\" optimum=\"0\" "
                             "value=\"%ui\">%ui%%</meter></dd>\n",
                          percent, size, percent, percent);
    ngx_intuit_text_print(t, "<dt>Sessions</dt><dd>%ui, and %ui made since "
                             "the start</dd>\n"
                             "<dt>Evicted</dt><dd>%ui for want of room</dd>\n"
                             "<dt>Attempts</dt><dd>%ui kept, of logins and "
                             "the like</dd>\n"
                             "<dt>Revocations</dt><dd>%ui wait for Intuit"
                             "</dd>\n</dl>\n</section>\n",
                          s->stat.sessions, s->stat.created, s->stat.evicted,
                          s->stat.logins, s->revocations);
}


static void
ngx_http_intuit_html_counters(ngx_http_intuit_status_t *s,
    ngx_intuit_text_t *t)
{
    ngx_uint_t   i, n;
    const char  *name;

    static const char  *names[] = {
        "Refreshes", "Refreshes failed", "Connections ended", "Logins",
        "Logins failed", "Disconnected here", "Tokens refused by the API",
        "Requests sent again", "... in vain"
    };

    ngx_intuit_text_put(t, "<section aria-labelledby=\"h-n\">\n"
                           "<h2 id=\"h-n\">Since the start</h2>\n<dl>\n");

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        ngx_intuit_text_print(t, "<dt>%s</dt><dd>%ui</dd>\n", names[i],
                              ngx_http_intuit_store_counted(s->imcf->store,
                                                            i));
    }

    for (i = 0; i < NGX_HTTP_INTUIT_E_MAX; i++) {

        name = ngx_http_intuit_status_error(s, i, &n);

        if (name && n) {
            ngx_intuit_text_print(t, "<dt>%s</dt><dd>%ui</dd>\n", name, n);
        }
    }

    ngx_intuit_text_print(t, "<dt>Software</dt><dd>module %s, nginx %s</dd>\n"
                             "</dl>\n</section>\n",
                          NGX_HTTP_INTUIT_VERSION, NGINX_VERSION);
}
