/*
 * Userinfo and company answers: sub NUL answer NUL claims of an ID token.
 */

#include "fuzz.h"
#include "ngx_intuit_oauth2.h"


static void
fuzz(fuzz_t *f)
{
    ngx_int_t           rc;
    ngx_str_t           sub, text, other, name, found, merged;
    const char         *reason;
    ngx_intuit_json_t  *claims, *id_token, *json;

    sub = fuzz_field(f);
    text = fuzz_field(f);
    other = fuzz_rest(f);

    if (ngx_intuit_companyinfo_parse(f->pool, &text, &name)) {
        must(name.len <= 1024);
    }

    reason = NULL;
    claims = NULL;

    rc = ngx_intuit_userinfo_parse(f->pool, &text, &sub, &claims, &reason);
    fuzz_answer(rc, reason);

    if (rc == NGX_OK) {
        must(claims != NULL);
        must(ngx_intuit_json_string(claims, "sub", &found) == NGX_OK);
        must(found.len >= 1 && found.len <= 255);
        must(fuzz_bytes(&found, 0x21, 0x7e));
        must(sub.len == 0 || fuzz_same(&sub, &found));

    } else {
        claims = NULL;
    }

    id_token = ngx_intuit_json_parse(f->pool, &other);

    rc = ngx_intuit_claims_merge(f->pool, id_token, claims, &merged);
    must(rc == NGX_OK);

    json = ngx_intuit_json_parse(f->pool, &merged);

    /* two within the limits may be one beyond them */
    if (id_token == NULL || claims == NULL) {
        must(json != NULL);
    }

    if (json && id_token
        && ngx_intuit_json_string(id_token, "sub", &found) == NGX_OK)
    {
        must(ngx_intuit_json_string(json, "sub", &name) == NGX_OK);
        must(fuzz_same(&name, &found));
    }
}
