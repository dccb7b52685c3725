/*
 * Query strings: name NUL query.  What is found is there, and what is escaped
 * comes back.
 */

#include "fuzz.h"
#include "ngx_intuit_args.h"


static void
round_trip(fuzz_t *f, const ngx_str_t *s)
{
    u_char     *p;
    size_t      len;
    ngx_str_t   escaped, back;

    len = ngx_intuit_escaped_len(s);
    p = ngx_palloc(f->pool, len);

    escaped.data = p;
    escaped.len = ngx_intuit_escape(p, s) - p;

    must(escaped.len == len);
    must(fuzz_bytes(&escaped, 0x21, 0x7e));

    if (!fuzz_has(s, '\0')) {
        must(ngx_intuit_unescape(f->pool, &escaped, &back) == NGX_OK);
        must(fuzz_same(&back, s));
    }
}


static void
fuzz(fuzz_t *f)
{
    char       *name;
    ngx_int_t   rc;
    ngx_str_t   n, query, value;

    name = fuzz_cstr(f);
    n.data = (u_char *) name;
    n.len = strlen(name);
    query = fuzz_rest(f);

    rc = ngx_intuit_args_get(f->pool, &query, name, &value);
    must(rc == NGX_OK || rc == NGX_DECLINED || rc == NGX_ABORT);
    must(ngx_intuit_args_has(&query, &n) == (rc != NGX_DECLINED));

    if (rc == NGX_OK) {
        must(value.len <= query.len);
        must(!fuzz_has(&value, '\0'));
        round_trip(f, &value);
    }

    round_trip(f, &query);

    rc = ngx_intuit_unescape(f->pool, &query, &value);
    must(rc == NGX_OK || rc == NGX_DECLINED);
}
