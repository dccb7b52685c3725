/*
 * Cookie headers: name NUL prefix NUL header.  After stripping, the pairs
 * that were to stay are there, in their order, and the others are not.
 */

#include "fuzz.h"
#include "ngx_intuit_header.h"


static ngx_uint_t
ours(const ngx_str_t *pair, const ngx_str_t *name, const ngx_str_t *prefix)
{
    if (pair->len == 0) {
        return 0;
    }

    return fuzz_same(pair, name)
           || (prefix->len != 0 && pair->len >= prefix->len
               && ngx_memcmp(pair->data, prefix->data, prefix->len) == 0);
}


static void
fuzz(fuzz_t *f)
{
    size_t       pos, left;
    ngx_str_t    name, prefix, header, copy, n, v, n2, v2;
    ngx_uint_t   wanted;

    ngx_intuit_cookie_name_t  names[2];

    name = fuzz_field(f);
    prefix = fuzz_field(f);
    header = fuzz_rest(f);
    copy = ngx_intuit_stub_mem(f->pool, header.data, header.len);

    names[0].name = name;
    names[0].prefix = 0;
    names[1].name = prefix;
    names[1].prefix = 1;

    wanted = 0;

    for (pos = 0; ngx_intuit_cookie_next(&header, &pos, &n, &v) == NGX_OK; ) {
        must(pos <= header.len);
        wanted += ours(&n, &name, &prefix);
    }

    must(ngx_intuit_cookie_strip(&copy, names, 2) == wanted);
    must(copy.len <= header.len);

    pos = 0;
    left = 0;

    while (ngx_intuit_cookie_next(&header, &pos, &n, &v) == NGX_OK) {

        if (ours(&n, &name, &prefix)) {
            continue;
        }

        must(ngx_intuit_cookie_next(&copy, &left, &n2, &v2) == NGX_OK);
        must(fuzz_same(&n, &n2) && fuzz_same(&v, &v2));
    }

    must(ngx_intuit_cookie_next(&copy, &left, &n2, &v2) == NGX_DONE);
    must(ngx_intuit_cookie_strip(&copy, names, 2) == 0);
}
