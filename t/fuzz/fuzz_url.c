/*
 * Absolute URLs: the parts are parts of what was given, and the origin is one
 * of itself.
 */

#include "fuzz.h"
#include "ngx_intuit_url.h"


static void
inside(const ngx_str_t *part, const ngx_str_t *url)
{
    if (part->len != 0) {
        must(part->data >= url->data
             && part->data + part->len <= url->data + url->len);
    }
}


static void
fuzz(fuzz_t *f)
{
    ngx_int_t          rc;
    ngx_str_t          url;
    const char        *reason;
    ngx_intuit_url_t   u, o;

    url = fuzz_rest(f);
    reason = NULL;
    memset(&u, 0xa5, sizeof(ngx_intuit_url_t));

    rc = ngx_intuit_url_parse(&url, &u, &reason);
    fuzz_answer(rc, reason);

    if (rc != NGX_OK) {
        return;
    }

    must(fuzz_bytes(&url, 0x21, 0x7e));
    must(u.scheme.len == (u.https ? 5u : 4u));
    must(u.host.len >= 1 && u.port >= 1);
    must(u.path.len >= 1 && u.path.data[0] == '/');
    must(!fuzz_has(&u.authority, '@'));

    inside(&u.host, &url);
    inside(&u.authority, &url);
    inside(&u.origin, &url);
    inside(&u.args, &url);

    must(ngx_intuit_url_parse(&u.origin, &o, &reason) == NGX_OK);
    must(fuzz_same(&u.host, &o.host) && u.port == o.port);
    must(u.https == o.https && u.loopback == o.loopback);
    must(o.path.len == 1 && !o.has_args);
}
