/*
 * Growing text: commas of JSON, escaping of labels, HTML and strings, and one
 * failure for the whole where memory is short.
 */

#include "ngx_intuit_stub.h"
#include "ngx_intuit_text.h"
#include "test.h"


typedef struct {
    const char   *in;
    size_t        len;       /* 0: up to the NUL */
    const char   *out;
} label_case_t;


static ngx_pool_t  *pool;


static const label_case_t  labels[] = {
    { "plain", 0, "plain" },
    { "", 0, "" },
    { "O'Brien & Sons <Joinery>", 0, "O'Brien & Sons <Joinery>" },
    { "say \"hi\"", 0, "say \\\"hi\\\"" },
    { "back\\slash", 0, "back\\\\slash" },
    { "two\nlines", 0, "two\\nlines" },
    { "\\n", 0, "\\\\n" },
    { "cr\rtab\tdel\x7f", 0, "cr?tab?del?" },
    { "nul\0byte", 8, "nul?byte" },
    { "caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x8d\x9e", 0,
      "caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x8d\x9e" },
    { "\xc3", 0, "?" },
    { "\xff\xfe\"", 0, "??\\\"" },
    { "\xed\xa0\x80", 0, "???" },
    { "\xc0\xaf", 0, "??" }
};


static void
test_labels(void)
{
    ngx_str_t          s, in;
    ngx_uint_t         i;
    ngx_intuit_text_t  t;

    for (i = 0; i < sizeof(labels) / sizeof(labels[0]); i++) {

        in = ngx_intuit_stub_mem(pool, labels[i].in,
                                 labels[i].len ? labels[i].len
                                               : strlen(labels[i].in));

        ngx_intuit_text_init(&t, pool);
        ngx_intuit_text_put(&t, "=");
        ngx_intuit_text_label(&t, &in);

        ok(ngx_intuit_text_end(&t, &s) == NGX_OK, "label %u is written",
           (unsigned) i);

        s.data++;
        s.len--;
        is_str(&s, labels[i].out, "... and escaped");
    }
}


static void
test_json(void)
{
    ngx_str_t          s, value, none;
    ngx_intuit_text_t  t;

    value = ngx_intuit_stub_str(pool, "a\"b<c>\n");
    ngx_str_null(&none);

    ngx_intuit_text_init(&t, pool);

    ngx_intuit_text_open(&t, NULL, '{');
    ngx_intuit_text_number(&t, "n", -5);
    ngx_intuit_text_string(&t, "s", &value);
    ngx_intuit_text_string(&t, "none", &none);
    ngx_intuit_text_word(&t, "w", "word");
    ngx_intuit_text_time(&t, "when", 1700000000);
    ngx_intuit_text_time(&t, "never", 0);
    ngx_intuit_text_bool(&t, "yes", 7);
    ngx_intuit_text_bool(&t, "no", 0);
    ngx_intuit_text_open(&t, "empty", '{');
    ngx_intuit_text_close(&t, '}');
    ngx_intuit_text_open(&t, "list", '[');
    ngx_intuit_text_open(&t, NULL, '{');
    ngx_intuit_text_close(&t, '}');
    ngx_intuit_text_open(&t, NULL, '{');
    ngx_intuit_text_number(&t, "big", 9007199254740993);
    ngx_intuit_text_close(&t, '}');
    ngx_intuit_text_word(&t, NULL, "last");
    ngx_intuit_text_close(&t, ']');
    ngx_intuit_text_close(&t, '}');

    ok(ngx_intuit_text_end(&t, &s) == NGX_OK, "a document");
    is_str(&s, "{\"n\":-5,\"s\":\"a\\\"b\\u003cc\\u003e\\u000a\",\"none\":null,"
               "\"w\":\"word\",\"when\":1700000000,\"never\":null,"
               "\"yes\":true,\"no\":false,\"empty\":{},"
               "\"list\":[{},{\"big\":9007199254740993},\"last\"]}",
           "has its commas, nulls and escapes");
}


static void
test_growth(void)
{
    ngx_int_t          n;
    ngx_str_t          s, part;
    ngx_uint_t         i, wrong;
    ngx_intuit_text_t  t;

    part = ngx_intuit_stub_str(pool, "<0123456789>");

    ngx_intuit_text_init(&t, pool);

    for (i = 0; i < 10000; i++) {
        ngx_intuit_text_html(&t, &part);
        ngx_intuit_text_print(&t, "%ui", i % 10);
    }

    ok(ngx_intuit_text_end(&t, &s) == NGX_OK, "a long text");
    ok(s.len == 10000 * 19, "... is as long as it should be");

    wrong = 0;

    for (i = 0; i < 10000; i++) {
        wrong += memcmp(s.data + 19 * i, "&lt;0123456789&gt;", 18) != 0
                 || s.data[19 * i + 18] != '0' + i % 10;
    }

    ok(wrong == 0, "... and whole");

    for (n = 0; n < 6; n++) {

        ngx_intuit_stub_fail_after(n);
        ngx_intuit_text_init(&t, pool);

        for (i = 0; i < 20000; i++) {
            ngx_intuit_text_put(&t, "0123456789");
            ngx_intuit_text_label(&t, &part);
            ngx_intuit_text_html(&t, &part);
            ngx_intuit_text_string(&t, "name", &part);
        }

        ngx_intuit_stub_fail_after(-1);

        ok(ngx_intuit_text_end(&t, &s) == NGX_ERROR,
           "no memory after %d blocks: no text", (int) n);
    }

    ngx_intuit_text_init(&t, pool);

    ok(ngx_intuit_text_end(&t, &s) == NGX_OK && s.len == 0, "an empty text");
}


/* an authorization URL: the same each time but for what is random */

static void
test_template(void)
{
    ngx_str_t              text, out, values[3];
    ngx_intuit_template_t  t;

    text = ngx_intuit_stub_str(pool, "https://x/?a=1&state=SSSS&nonce=NN&z=9");
    values[0] = ngx_intuit_stub_str(pool, "SSSS");
    values[1] = ngx_intuit_stub_str(pool, "NN");
    ngx_str_null(&values[2]);

    ok(ngx_intuit_template_make(&t, &text, values, 3) == NGX_OK,
       "a template of three values, one of them none");

    values[0] = ngx_intuit_stub_str(pool, "1234");
    values[1] = ngx_intuit_stub_str(pool, "ab");
    ok(ngx_intuit_template_fill(&t, pool, values, &out) == NGX_OK,
       "filled with others");
    is_str(&out, "https://x/?a=1&state=1234&nonce=ab&z=9", "... in place");
    is_str(&text, "https://x/?a=1&state=SSSS&nonce=NN&z=9",
           "... of a copy");

    values[1] = ngx_intuit_stub_str(pool, "z=99");
    ok(ngx_intuit_template_make(&t, &text, values, 2) == NGX_DECLINED,
       "a value that is not there");

    values[0] = ngx_intuit_stub_str(pool, "z=9");
    ok(ngx_intuit_template_make(&t, &text, values, 1) == NGX_OK
       && t.at[0] == text.len - 3, "one at the very end");
}


int
main(void)
{
    pool = ngx_intuit_stub_pool();

    test_labels();
    test_json();
    test_growth();
    test_template();

    ngx_destroy_pool(pool);

    return done_testing();
}
