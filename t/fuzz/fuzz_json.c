/*
 * JSON and its limits: member's name NUL document.  What is read is, written
 * and read again, the same.
 */

#include "fuzz.h"
#include "ngx_intuit_json.h"


static void
members(fuzz_t *f, const ngx_intuit_json_t *json, char *name)
{
    int64_t             n;
    ngx_int_t           rc;
    ngx_str_t           s, claim;
    ngx_uint_t          i, on;
    ngx_array_t         a;
    ngx_intuit_json_t  *object;

    rc = ngx_intuit_json_string(json, name, &s);
    must(rc != NGX_OK || !fuzz_has(&s, '\0'));
    must(rc == NGX_DECLINED || ngx_intuit_json_has(json, name));

    rc = ngx_intuit_json_integer(json, name, &n);
    must(rc != NGX_OK || (n >= -(1LL << 53) && n <= (1LL << 53)));

    rc = ngx_intuit_json_bool(json, name, &on);
    must(rc != NGX_OK || on <= 1);

    (void) ngx_intuit_json_object(json, name, &object);

    rc = ngx_intuit_json_strings(f->pool, json, name, &a);

    for (i = 0; rc == NGX_OK && i < a.nelts; i++) {
        s = ((ngx_str_t *) a.elts)[i];
        must(!fuzz_has(&s, '\0'));
    }

    (void) ngx_intuit_json_objects(f->pool, json, name, &a);

    claim.data = (u_char *) name;
    claim.len = strlen(name);

    rc = ngx_intuit_json_claim(f->pool, json, &claim, &s);
    must(rc == NGX_OK || rc == NGX_DECLINED);

    for (i = 0; rc == NGX_OK && i < s.len; i++) {
        must(s.data[i] >= 0x20 && s.data[i] != 0x7f);
    }
}


static void
fuzz(fuzz_t *f)
{
    char               *name;
    ngx_str_t           text, dump, again;
    ngx_intuit_json_t  *json;

    name = fuzz_cstr(f);
    text = fuzz_rest(f);

    json = ngx_intuit_json_parse(f->pool, &text);
    if (json == NULL) {
        return;
    }

    members(f, json, name);

    must(ngx_intuit_json_dump(f->pool, json, &dump) == NGX_OK);

    json = ngx_intuit_json_parse(f->pool, &dump);
    must(json != NULL);
    must(ngx_intuit_json_dump(f->pool, json, &again) == NGX_OK);
    must(fuzz_same(&dump, &again));
}
