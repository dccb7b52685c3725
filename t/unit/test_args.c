/*
 * Query strings: duplicates, disguises and malformed escapes of arguments.
 *
 * Rows: CB-03
 */

#include "ngx_intuit_args.h"
#include "ngx_intuit_stub.h"
#include "test.h"


typedef struct {
    const char   *args;
    const char   *name;
    ngx_int_t     rc;
    const char   *value;
} args_case_t;


static ngx_pool_t  *pool;


static const args_case_t  cases[] = {
    { "code=A", "code", NGX_OK, "A" },
    { "code=A&state=B", "code", NGX_OK, "A" },
    { "code=A&state=B", "state", NGX_OK, "B" },
    { "state=B&code=A", "code", NGX_OK, "A" },
    { "&&code=A&&", "code", NGX_OK, "A" },
    { "code=", "code", NGX_OK, "" },
    { "code", "code", NGX_OK, "" },
    { "code&state=B", "code", NGX_OK, "" },
    { "code=a=b==", "code", NGX_OK, "a=b==" },
    { "code=a+b%20c%2B", "code", NGX_OK, "a b c+" },
    { "code=%41%6a%4A", "code", NGX_OK, "AjJ" },
    { "code=%26state%3dB", "code", NGX_OK, "&state=B" },
    { "code=a?b/c:d@e;f", "code", NGX_OK, "a?b/c:d@e;f" },
    { "code=%0d%0a%ff", "code", NGX_OK, "\r\n\xff" },
    { "%63ode=A", "code", NGX_OK, "A" },
    { "%63%6F%64%65=A", "code", NGX_OK, "A" },
    { "a+b=A", "a b", NGX_OK, "A" },
    { "a%2bb=A", "a+b", NGX_OK, "A" },

    { "", "code", NGX_DECLINED, NULL },
    { "&", "code", NGX_DECLINED, NULL },
    { "&&&", "code", NGX_DECLINED, NULL },
    { "=", "code", NGX_DECLINED, NULL },
    { "=code", "code", NGX_DECLINED, NULL },
    { "==code=A", "code", NGX_DECLINED, NULL },
    { "=", "", NGX_DECLINED, NULL },
    { "Code=A", "code", NGX_DECLINED, NULL },
    { "codes=A", "code", NGX_DECLINED, NULL },
    { "cod=A", "code", NGX_DECLINED, NULL },
    { "xcode=A", "code", NGX_DECLINED, NULL },
    { " code=A", "code", NGX_DECLINED, NULL },
    { "code+=A", "code", NGX_DECLINED, NULL },
    { "code%00=A", "code", NGX_DECLINED, NULL },
    { "code%=A", "code", NGX_DECLINED, NULL },
    { "%6ode=A", "code", NGX_DECLINED, NULL },
    { "%2563ode=A", "code", NGX_DECLINED, NULL },
    { "state=code=A", "code", NGX_DECLINED, NULL },
    { "a;code=A", "code", NGX_DECLINED, NULL },
    { "a%26code=A", "code", NGX_DECLINED, NULL },

    { "code=A&code=B", "code", NGX_ABORT, NULL },
    { "code=A&code=A", "code", NGX_ABORT, NULL },
    { "code=A&code", "code", NGX_ABORT, NULL },
    { "code&code", "code", NGX_ABORT, NULL },
    { "code=A&%63ode=B", "code", NGX_ABORT, NULL },
    { "cod%65=A&state=B&%63ode=B", "code", NGX_ABORT, NULL },
    { "code=A&code=%zz", "code", NGX_ABORT, NULL },
    { "code=%", "code", NGX_ABORT, NULL },
    { "code=%4", "code", NGX_ABORT, NULL },
    { "code=%4&a=b", "code", NGX_ABORT, NULL },
    { "code=%zz", "code", NGX_ABORT, NULL },
    { "code=A%", "code", NGX_ABORT, NULL },
    { "code=A%00", "code", NGX_ABORT, NULL },
    { "code=%00", "code", NGX_ABORT, NULL },
    { "code=%u0041", "code", NGX_ABORT, NULL },

    { "foo=%zz&code=A", "code", NGX_OK, "A" },
    { "foo=%00&code=A&%zz=1", "code", NGX_OK, "A" },
    { "foo=1&foo=2&code=A", "code", NGX_OK, "A" },
};


static void
test_get(void)
{
    size_t              i;
    ngx_int_t           rc;
    ngx_str_t           args, name, value;
    const args_case_t  *c;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        c = &cases[i];

        args = ngx_intuit_stub_str(pool, c->args);
        name = ngx_intuit_stub_str(pool, c->name);
        ngx_str_null(&value);

        rc = ngx_intuit_args_get(pool, &args, c->name, &value);

        ok(rc == c->rc, "\"%s\" in \"%s\": %d", c->name, c->args, (int) rc);

        if (c->rc == NGX_OK && rc == NGX_OK) {
            is_str(&value, c->value, "... its value");
            ok(value.data != NULL, "... has an address");
        }

        ok(ngx_intuit_args_has(&args, &name) == (c->rc != NGX_DECLINED),
           "... has it or not");
    }

    ngx_str_null(&args);
    ok(ngx_intuit_args_get(pool, &args, "code", &value) == NGX_DECLINED,
       "no query string at all");
    ok(!ngx_intuit_args_has(&args, &name), "... has nothing");

    args = ngx_intuit_stub_mem(pool, "code=a\0b", 8);
    ok(ngx_intuit_args_get(pool, &args, "code", &value) == NGX_ABORT,
       "a raw NUL in the value");

    args = ngx_intuit_stub_str(pool, "code=A");
    ngx_intuit_stub_fail_after(0);
    ok(ngx_intuit_args_get(pool, &args, "code", &value) == NGX_ERROR,
       "no memory");
    ngx_intuit_stub_fail_after(-1);
}


static void
test_escape(void)
{
    size_t      len;
    u_char     *end;
    ngx_str_t   s, out, back;
    ngx_uint_t  b, good;

    static u_char  all[256];

    s = ngx_intuit_stub_str(pool, "aZ09-._~ +&=%/?#\r\n\xc3\xa9");

    len = ngx_intuit_escaped_len(&s);
    out.data = ngx_palloc(pool, len);
    out.len = ngx_intuit_escape(out.data, &s) - out.data;

    ok(out.len == len, "escaped: the length is right");
    is_str(&out, "aZ09-._~%20%2B%26%3D%25%2F%3F%23%0D%0A%C3%A9", "escaped");

    for (b = 0; b < 256; b++) {
        all[b] = (u_char) b;
    }

    good = 1;

    for (b = 1; b < 256; b++) {
        s = ngx_intuit_stub_mem(pool, all + b, 1);
        len = ngx_intuit_escaped_len(&s);
        out.data = ngx_palloc(pool, len);
        end = ngx_intuit_escape(out.data, &s);
        out.len = len;

        if ((size_t) (end - out.data) != len
            || len != (ngx_intuit_unreserved((u_char) b) ? 1 : 3)
            || ngx_intuit_unescape(pool, &out, &back) != NGX_OK
            || back.len != 1 || back.data[0] != b)
        {
            printf("# byte %02x\n", (unsigned) b);
            good = 0;
        }
    }

    ok(good, "escape and unescape: each byte but NUL comes back");

    ngx_str_null(&s);
    ok(ngx_intuit_escaped_len(&s) == 0, "escaped: nothing is nothing");
    ok(ngx_intuit_unescape(pool, &s, &out) == NGX_OK && out.len == 0,
       "unescaped: nothing is nothing");
}


int
main(void)
{
    pool = ngx_intuit_stub_pool();

    test_get();
    test_escape();

    ngx_destroy_pool(pool);

    return done_testing();
}
