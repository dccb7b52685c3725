/*
 * Return targets and API paths.  The input is tried as both.
 */

#include "fuzz.h"
#include "ngx_intuit_url.h"


/* is one of the path's segments ".", "..", or something that may become it? */
static ngx_uint_t
dots(const ngx_str_t *path)
{
    u_char  *p, *last;
    size_t   n;

    last = path->data + path->len;

    for (p = path->data; p < last; p++) {

        if (*p != '/') {
            continue;
        }

        for (n = 1; p + n < last && n < 3 && p[n] == '.'; n++) { /* void */ }

        if (n > 1 && (p + n == last || p[n] == '/')) {
            return 1;
        }
    }

    return 0;
}


static void
target(const ngx_str_t *s)
{
    ngx_str_t  path;

    must(s->len >= 1 && s->len <= NGX_INTUIT_TARGET_SIZE);
    must(fuzz_bytes(s, 0x21, 0x7e));
    must(s->data[0] == '/');
    must(s->len == 1 || (s->data[1] != '/' && s->data[1] != '\\'));
    must(!fuzz_has(s, '\\'));
    must(!fuzz_has(s, '#'));

    path = *s;

    for (path.len = 0; path.len < s->len; path.len++) {
        if (s->data[path.len] == '?') {
            break;
        }
    }

    must(!dots(&path));
}


static void
api_path(const ngx_str_t *s)
{
    size_t  i;

    must(s->len >= 1 && s->data[0] == '/');
    must(fuzz_bytes(s, 0x21, 0x7e));
    must(!dots(s));

    for (i = 0; i < s->len; i++) {
        must(memchr("\\;?#", s->data[i], 4) == NULL);
        must(i == 0 || s->data[i] != '/' || s->data[i - 1] != '/');
        must(s->data[i] != '%' || i + 2 < s->len);
    }
}


static void
fuzz(fuzz_t *f)
{
    ngx_str_t  s, id;

    s = fuzz_rest(f);

    if (ngx_intuit_return_target(&s)) {
        target(&s);
    }

    if (ngx_intuit_api_path(&s)) {
        api_path(&s);
    }

    if (ngx_intuit_api_realm(&s, &id) == NGX_OK) {
        must(id.data > s.data && id.data + id.len <= s.data + s.len);
        must(ngx_intuit_realm_valid(&id)
             || (id.len == 1 && id.data[0] == '-'));
    }

    if (ngx_intuit_realm_valid(&s)) {
        must(s.len >= 1 && s.len <= 20 && fuzz_bytes(&s, '0', '9'));
    }
}
