/*
 * Error answers of the API: a body.
 */

#include "fuzz.h"
#include "ngx_intuit_fault.h"


static void  text(const ngx_str_t *s, size_t max);


static void
fuzz(fuzz_t *f)
{
    size_t              i;
    ngx_int_t           rc, again;
    ngx_str_t           body, redacted;
    ngx_intuit_fault_t  fault, second;

    body = fuzz_rest(f);

    rc = ngx_intuit_fault_parse(f->pool, &body, &fault);
    must(rc == NGX_OK || rc == NGX_DECLINED);

    text(&fault.code, NGX_INTUIT_FAULT_CODE);
    text(&fault.type, NGX_INTUIT_FAULT_TEXT);
    text(&fault.message, NGX_INTUIT_FAULT_TEXT);
    text(&fault.detail, NGX_INTUIT_FAULT_TEXT);

    redacted = ngx_intuit_stub_mem(f->pool, body.data, body.len);
    ngx_intuit_fault_redact(&redacted);

    /* nothing but stars, and only in place of what a token may have */

    for (i = 0; i < body.len; i++) {
        must(redacted.data[i] == body.data[i] || redacted.data[i] == '*');
    }

    /* JSON stays JSON, and says the same */

    again = ngx_intuit_fault_parse(f->pool, &redacted, &second);

    if (rc == NGX_OK && body.len && body.data[0] == '{') {
        must(again == NGX_OK);
        must(fuzz_same(&second.code, &fault.code));
        must(fuzz_same(&second.message, &fault.message));
    }

    /* once is enough */

    body = ngx_intuit_stub_mem(f->pool, redacted.data, redacted.len);
    ngx_intuit_fault_redact(&body);
    must(fuzz_same(&body, &redacted));
}


static void
text(const ngx_str_t *s, size_t max)
{
    must(s->len <= max);
    must(fuzz_bytes(s, 0x20, 0x7e));
}
