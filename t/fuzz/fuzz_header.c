/*
 * Header values and what is shown of them: rule or media type NUL text.
 */

#include "fuzz.h"
#include "ngx_intuit_header.h"
#include "ngx_intuit_json.h"


static void
html(fuzz_t *f, const ngx_str_t *s)
{
    u_char     *p;
    ngx_str_t   out;

    p = ngx_palloc(f->pool, ngx_intuit_html_escaped_len(s));
    out.data = p;
    out.len = ngx_intuit_html_escape(p, s) - p;

    must(out.len == ngx_intuit_html_escaped_len(s));
    must(!fuzz_has(&out, '<'));
    must(!fuzz_has(&out, '>'));
    must(!fuzz_has(&out, '"'));
    must(!fuzz_has(&out, '\''));
    must(fuzz_bytes(&out, 0x20, 0xff));
}


static void
json(fuzz_t *f, const ngx_str_t *s)
{
    u_char     *p, *start;
    ngx_str_t   out;

    p = ngx_palloc(f->pool, 6 + ngx_intuit_json_escaped_len(s) + 2);
    start = p;

    p = ngx_cpymem(p, "{\"a\":\"", 6);
    p = ngx_intuit_json_escape(p, s);
    must((size_t) (p - start) == 6 + ngx_intuit_json_escaped_len(s));
    p = ngx_cpymem(p, "\"}", 2);

    out.data = start;
    out.len = p - start;

    must(!fuzz_has(&out, '<'));
    must(!fuzz_has(&out, '&'));

    /* a NUL is escaped well, and refused by our own reader */
    if (!fuzz_has(s, '\0')) {
        must(ngx_intuit_json_parse(f->pool, &out) != NULL);
    }
}


static void
fuzz(fuzz_t *f)
{
    char       *type;
    ngx_str_t   s, out, rule;

    type = fuzz_cstr(f);
    s = fuzz_rest(f);

    html(f, &s);
    json(f, &s);

    ngx_intuit_log_safe(f->pool, &s, 100, &out);
    must(out.len <= 100 && fuzz_bytes(&out, 0x20, 0x7e));
    must(!fuzz_has(&out, '"'));

    rule.data = (u_char *) type;
    rule.len = strlen(type);

    if (ngx_intuit_email_matches(&s, &rule)) {
        must(fuzz_bytes(&s, 0x21, 0x7e));
        must(fuzz_has(&s, '@'));
    }

    must(ngx_intuit_retry_after(&s, 1000000000) >= 0);
    must(ngx_intuit_retry_after(&s, 1000000000) <= NGX_INTUIT_RETRY_MAX);

    (void) ngx_intuit_accepts(&s, type);
    (void) ngx_intuit_header_is(&s, type);
    (void) ngx_intuit_identity_header(&s);
}
