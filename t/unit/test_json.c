/*
 * The promise: JSON from a stranger is bounded in size, depth and number of
 * values before a parser sees it, has one meaning (no doubled name, no NUL),
 * and no number of it becomes a wrong one.
 *
 * Rows: ID-16 ID-17 LES-34 F-OP-09 F-PRC-04
 */

#include "test.h"
#include "ngx_intuit_stub.h"
#include "ngx_intuit_json.h"


static const char  token_answer[] =
    "{\"token_type\":\"bearer\",\"access_token\":\"eyJlbmMiOiJBMTI4Q0JDLUhT"
    "MjU2IiwiYWxnIjoiZGlyIn0..abc\",\"expires_in\":3600,\"refresh_token\":"
    "\"AB11\\u0041\\/x\",\"x_refresh_token_expires_in\":8726400,"
    "\"id_token\":\"a.b.c\",\"n\":null,\"list\":[1,-2.5e3,true,{\"a\":[]}]}";


static ngx_intuit_json_t *
parse(ngx_pool_t *pool, const char *text)
{
    ngx_str_t  s;

    s = ngx_intuit_stub_str(pool, text);

    return ngx_intuit_json_parse(pool, &s);
}


static ngx_intuit_json_t *
parse_mem(ngx_pool_t *pool, const char *text, size_t len)
{
    ngx_str_t  s;

    s = ngx_intuit_stub_mem(pool, text, len);

    return ngx_intuit_json_parse(pool, &s);
}


static void
test_grammar(ngx_pool_t *pool)
{
    size_t  i;

    static const char *const  good[] = {
        "{}", " \t\r\n{ } \n", "{\"a\":{}}", "{\"\":1}",
        "{\"a\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\ud83d\\ude00\"}",
        "{\"a\":\"[[[{{{,,,\"}", "{\"a\":\"\\\"[\"}",
        "{\"a\":\"\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80\"}",
        "{\"a\":1,\"A\":2,\"a_\":3}", "{\"a\":[1,2.5,-0,1e10,true,null]}",
    };

    static const char *const  bad[] = {
        "", " ", "null", "true", "1", "\"a\"", "[]", "[{}]", "{", "}", "{]",
        "[}", "}{", "{}}", "{}{}", "{} x", "{}\"", "{},", ",{}", "{\"a\"}",
        "{\"a\":}", "{\"a\":1,}", "{a:1}", "{'a':1}", "{\"a\":01}",
        "{\"a\":+1}", "{\"a\":.5}", "{\"a\":1.}", "{\"a\":0x10}",
        "{\"a\":NaN}", "{\"a\":Infinity}", "{\"a\":1e999}", "{\"a\":-1e999}",
        "{\"a\":tru}", "{\"a\":True}", "{/**/}", "{} // x",
        "\xef\xbb\xbf{}", "{\"a\":\"\n\"}", "{\"a\":\"\t\"}",
        "{\"a\":\"\\x\"}", "{\"a\":\"\\", "{\"a\":\"\\\"", "{\"a",
        /* doubled names */
        "{\"a\":1,\"a\":1}", "{\"a\":1,\"b\":2,\"a\":3}",
        "{\"a\":1,\"\\u0061\":2}", "{\"x\":{\"a\":1,\"a\":2}}",
        "{\"x\":[{\"a\":1,\"a\":2}]}", "{\"\":1,\"\":2}",
        /* NUL, written out */
        "{\"a\":\"\\u0000\"}", "{\"a\":\"x\\u0000y\"}", "{\"a\\u0000\":1}",
        "{\"\\u0000\":1}", "{\"a\":[\"\\u0000\"]}",
        /* surrogates */
        "{\"a\":\"\\ud800\"}", "{\"a\":\"\\udc00\"}",
        "{\"a\":\"\\ud800\\ud800\"}", "{\"a\":\"\\ud83dx\"}",
        /* not UTF-8: alone, overlong, surrogate, too high, cut off */
        "{\"a\":\"\x80\"}", "{\"a\":\"\xc3\"}", "{\"a\":\"\xc0\xaf\"}",
        "{\"a\":\"\xe0\x80\xaf\"}", "{\"a\":\"\xed\xa0\x80\"}",
        "{\"a\":\"\xf4\x90\x80\x80\"}", "{\"a\":\"\xf8\x88\x80\x80\x80\"}",
        "{\"a\":\"\xff\"}", "{\"a\":\"\xe2\x82\"}", "{\"\xff\":1}",
        "{\"a\":\"\xf0\x80\x80\xaf\"}", "\xff{}", "{}\xff",
    };

    for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        ok(parse(pool, good[i]) != NULL, "taken: %zu", i);
    }

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        ok(parse(pool, bad[i]) == NULL, "refused: %zu", i);
    }

    ok(parse_mem(pool, "{}\0", 3) == NULL, "refused: a NUL at the end");
    ok(parse_mem(pool, "{\"a\0\":1}", 8) == NULL, "refused: in a name");
    ok(parse_mem(pool, "{\"a\":\"\0\"}", 9) == NULL, "refused: in a string");
    ok(parse_mem(pool, "\0{}", 3) == NULL, "refused: in front");
}


static void
test_prefixes(ngx_pool_t *pool)
{
    size_t      i;
    ngx_uint_t  taken;

    for (taken = 0, i = 0; i < sizeof(token_answer) - 1; i++) {
        taken += parse_mem(pool, token_answer, i) != NULL;
    }

    ok(taken == 0, "no prefix of a token answer is taken (%zu tried)", i);
    ok(parse(pool, token_answer) != NULL, "the whole is");
}


/* {"a":[[[...]]]}, in all depth levels */

static ngx_intuit_json_t *
parse_deep(ngx_pool_t *pool, size_t depth, const char *open,
    const char *close)
{
    size_t      i;
    u_char     *p;
    ngx_str_t   s;

    s.data = ngx_pnalloc(pool, depth * (strlen(open) + strlen(close)) + 16);
    p = ngx_cpymem(s.data, "{\"a\":", 5);

    for (i = 1; i < depth; i++) {
        p = ngx_cpymem(p, open, strlen(open));
    }

    *p++ = '1';

    for (i = 1; i < depth; i++) {
        p = ngx_cpymem(p, close, strlen(close));
    }

    *p++ = '}';
    s.len = p - s.data;

    return ngx_intuit_json_parse(pool, &s);
}


/* {"a":[1,1,...]} with n values in all, or {"0":1,"1":1,...} */

static ngx_intuit_json_t *
parse_many(ngx_pool_t *pool, size_t n, int names)
{
    size_t      i;
    u_char     *p;
    ngx_str_t   s;

    s.data = ngx_pnalloc(pool, n * 16 + 16);
    p = ngx_cpymem(s.data, names ? "{" : "{\"a\":[", names ? 1 : 6);

    for (i = names ? 1 : 2; i < n; i++) {
        if (names) {
            p = ngx_sprintf(p, "\"%ui\":", (ngx_uint_t) i);
        }

        *p++ = '1';
        *p++ = ',';
    }

    p = ngx_cpymem(p - 1, names ? "}" : "]}", names ? 1 : 2);
    s.len = p - s.data;

    return ngx_intuit_json_parse(pool, &s);
}


static void
test_limits(ngx_pool_t *pool)
{
    ngx_str_t  s;

    ok(parse_deep(pool, NGX_INTUIT_JSON_DEPTH, "[", "]") != NULL,
       "arrays at the limit of depth");
    ok(parse_deep(pool, NGX_INTUIT_JSON_DEPTH + 1, "[", "]") == NULL,
       "and one beyond");
    ok(parse_deep(pool, NGX_INTUIT_JSON_DEPTH, "{\"a\":", "}") != NULL,
       "objects at the limit of depth");
    ok(parse_deep(pool, NGX_INTUIT_JSON_DEPTH + 1, "{\"a\":", "}") == NULL,
       "and one beyond");
    ok(parse_deep(pool, 500000, "[", "]") == NULL, "very deep");

    ok(parse_many(pool, NGX_INTUIT_JSON_VALUES, 0) != NULL,
       "elements at the limit of values");
    ok(parse_many(pool, NGX_INTUIT_JSON_VALUES + 1, 0) == NULL,
       "and one beyond");
    ok(parse_many(pool, NGX_INTUIT_JSON_VALUES, 1) != NULL,
       "members at the limit of values");
    ok(parse_many(pool, NGX_INTUIT_JSON_VALUES + 1, 1) == NULL,
       "and one beyond");

    ok(parse(pool, "{\"a\":[{},[],{ },[\n]]}") != NULL, "empty containers");

    s.len = NGX_INTUIT_JSON_SIZE;
    s.data = ngx_pnalloc(pool, s.len + 1);
    memset(s.data, ' ', s.len + 1);
    s.data[0] = '{';
    s.data[1] = '}';
    ok(ngx_intuit_json_parse(pool, &s) != NULL, "a document of 1 MiB");
    s.len++;
    ok(ngx_intuit_json_parse(pool, &s) == NULL, "and one byte more");

    ngx_str_null(&s);
    ok(ngx_intuit_json_parse(pool, &s) == NULL, "no text at all");

    s.data = ngx_pnalloc(pool, 100000);
    s.len = 100000;
    memset(s.data, '"', s.len);
    ok(ngx_intuit_json_parse(pool, &s) == NULL, "only quotes");
    memset(s.data, '[', s.len);
    ok(ngx_intuit_json_parse(pool, &s) == NULL, "only brackets");
    memset(s.data, ',', s.len);
    ok(ngx_intuit_json_parse(pool, &s) == NULL, "only commas");
    memset(s.data, ':', s.len);
    ok(ngx_intuit_json_parse(pool, &s) == NULL, "only colons");
}


static void
test_integer(ngx_pool_t *pool)
{
    size_t              i;
    int64_t             n;
    ngx_int_t           rc;
    ngx_str_t           s;
    ngx_intuit_json_t  *json;

    static const struct {
        const char  *text;
        ngx_int_t    rc;
        int64_t      n;
    } cases[] = {
        { "0", NGX_OK, 0 }, { "-0", NGX_OK, 0 }, { "-0.0", NGX_OK, 0 },
        { "3600", NGX_OK, 3600 }, { "\"3600\"", NGX_OK, 3600 },
        { "-1", NGX_OK, -1 }, { "\"-1\"", NGX_OK, -1 },
        { "3600.0", NGX_OK, 3600 }, { "3.6e3", NGX_OK, 3600 },
        { "9007199254740992", NGX_OK, 9007199254740992 },
        { "-9007199254740992", NGX_OK, -9007199254740992 },
        { "\"9007199254740992\"", NGX_OK, 9007199254740992 },
        { "9007199254740993", NGX_ERROR, 0 },
        { "-9007199254740993", NGX_ERROR, 0 },
        { "\"9007199254740993\"", NGX_ERROR, 0 },
        { "9223372036854775807", NGX_ERROR, 0 },
        { "9223372036854775808", NGX_ERROR, 0 },
        { "-9223372036854775809", NGX_ERROR, 0 },
        { "123456789012345678901234567890", NGX_ERROR, 0 },
        { "\"99999999999999999\"", NGX_ERROR, 0 },
        { "1e300", NGX_ERROR, 0 }, { "-1e300", NGX_ERROR, 0 },
        { "9.3e18", NGX_ERROR, 0 }, { "3599.9", NGX_ERROR, 0 },
        { "1e-9", NGX_ERROR, 0 }, { "\"\"", NGX_ERROR, 0 },
        { "\"-\"", NGX_ERROR, 0 }, { "\"+1\"", NGX_ERROR, 0 },
        { "\" 1\"", NGX_ERROR, 0 }, { "\"1 \"", NGX_ERROR, 0 },
        { "\"1.0\"", NGX_ERROR, 0 }, { "\"0x10\"", NGX_ERROR, 0 },
        { "\"1e3\"", NGX_ERROR, 0 }, { "\"--1\"", NGX_ERROR, 0 },
        { "\"abc\"", NGX_ERROR, 0 }, { "true", NGX_ERROR, 0 },
        { "[]", NGX_ERROR, 0 }, { "{}", NGX_ERROR, 0 },
        { "null", NGX_DECLINED, 0 },
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        s = ngx_intuit_stub_fmt(pool, "{\"v\":%s}", cases[i].text);
        json = ngx_intuit_json_parse(pool, &s);
        n = 0;
        rc = json ? ngx_intuit_json_integer(json, "v", &n) : -100;
        ok(rc == cases[i].rc && n == cases[i].n, "integer %s",
           cases[i].text);
    }

    json = parse(pool, "{\"big\":9223372036854775808,\"n\":5,\"s\":\"x\"}");
    ok(ngx_intuit_json_integer(json, "n", &n) == NGX_OK && n == 5,
       "a number beyond 64 bits does not spoil the others");
    ok(ngx_intuit_json_string(json, "s", &s) == NGX_OK, "nor a string");
    ok(parse(pool, "{\"big\":9223372036854775808,\"n\":5,\"n\":6}") == NULL,
       "nor does it let a doubled name in");
    ok(parse(pool, "{\"big\":9223372036854775808,\"n\":\"\\u0000\"}") == NULL,
       "nor a NUL");
}


static void
test_getters(ngx_pool_t *pool)
{
    int64_t             n;
    ngx_str_t           s, *list;
    ngx_uint_t          b;
    ngx_array_t         a;
    ngx_intuit_json_t  *json, *o, **objects;

    json = parse(pool,
        "{\"s\":\"x\\u0041\",\"e\":\"\",\"n\":null,\"i\":1,\"t\":true,"
        "\"f\":false,\"o\":{\"k\":\"v\"},\"a\":[\"p\",\"q\"],\"z\":[],"
        "\"m\":[\"p\",1],\"objs\":[{\"k\":1},2,null,{\"k\":3}]}");

    ok(ngx_intuit_json_string(json, "s", &s) == NGX_OK, "string");
    is_str(&s, "xA", "its value");
    ok(ngx_intuit_json_string(json, "e", &s) == NGX_OK && s.len == 0,
       "an empty string");
    ok(ngx_intuit_json_string(json, "n", &s) == NGX_DECLINED, "null");
    ok(ngx_intuit_json_string(json, "S", &s) == NGX_DECLINED, "other case");
    ok(ngx_intuit_json_string(json, "i", &s) == NGX_ERROR, "a number");
    ok(ngx_intuit_json_string(json, "a", &s) == NGX_ERROR, "an array");

    ok(ngx_intuit_json_has(json, "n") == 1, "null is there");
    ok(ngx_intuit_json_has(json, "nn") == 0, "another is not");

    ok(ngx_intuit_json_integer(json, "none", &n) == NGX_DECLINED,
       "no such number");

    ok(ngx_intuit_json_bool(json, "t", &b) == NGX_OK && b == 1, "true");
    ok(ngx_intuit_json_bool(json, "f", &b) == NGX_OK && b == 0, "false");
    ok(ngx_intuit_json_bool(json, "i", &b) == NGX_ERROR, "1 is not true");
    ok(ngx_intuit_json_bool(json, "n", &b) == NGX_DECLINED, "nor is null");

    ok(ngx_intuit_json_object(json, "o", &o) == NGX_OK
       && ngx_intuit_json_string(o, "k", &s) == NGX_OK, "object");
    ok(ngx_intuit_json_object(json, "a", &o) == NGX_ERROR, "not an array");
    ok(ngx_intuit_json_object(json, "n", &o) == NGX_DECLINED, "not null");

    ok(ngx_intuit_json_strings(pool, json, "s", &a) == NGX_OK
       && a.nelts == 1, "a string as a list");
    ok(ngx_intuit_json_strings(pool, json, "a", &a) == NGX_OK
       && a.nelts == 2, "a list of strings");
    list = a.elts;
    is_str(&list[1], "q", "its second");
    ok(ngx_intuit_json_strings(pool, json, "z", &a) == NGX_OK
       && a.nelts == 0, "an empty list");
    ok(ngx_intuit_json_strings(pool, json, "m", &a) == NGX_ERROR,
       "a mixed list");
    ok(ngx_intuit_json_strings(pool, json, "o", &a) == NGX_ERROR,
       "an object is no list");
    ok(ngx_intuit_json_strings(pool, json, "n", &a) == NGX_DECLINED,
       "null is no list");

    ok(ngx_intuit_json_objects(pool, json, "objs", &a) == NGX_OK
       && a.nelts == 2, "objects, the rest left out");
    objects = a.elts;
    ok(ngx_intuit_json_integer(objects[1], "k", &n) == NGX_OK && n == 3,
       "the second of them");
    ok(ngx_intuit_json_objects(pool, json, "z", &a) == NGX_OK
       && a.nelts == 0, "an empty array of objects");
    ok(ngx_intuit_json_objects(pool, json, "o", &a) == NGX_ERROR,
       "an object is no array");
    ok(ngx_intuit_json_objects(pool, json, "n", &a) == NGX_DECLINED,
       "nor is null");

    json = parse(pool, "{\"a\":[1.5,\"\\u00e9\\/\",null], \"b\" : {}}");
    ok(ngx_intuit_json_dump(pool, json, &s) == NGX_OK, "dump");
    is_str(&s, "{\"a\":[1.5,\"\xc3\xa9/\",null],\"b\":{}}", "its text");
}


static void
test_claims(ngx_pool_t *pool)
{
    size_t              i;
    ngx_int_t           rc;
    ngx_str_t           name, s;
    ngx_intuit_json_t  *json;

    static const struct {
        const char  *name;
        const char  *value;              /* NULL: declined */
    } cases[] = {
        { "sub", "abc" }, { "SUB", "abc" }, { "s_u_b", "abc" },
        { "_sub_", "abc" }, { "su", NULL }, { "subb", NULL },
        { "email_verified", "true" }, { "emailVerified", "true" },
        { "emailverified", "true" }, { "given_name", "Inexact" },
        { "givenName", "Inexact" }, { "family_name", "exact" },
        { "familyName", "Camel" }, { "address", "{\"a\":[1,2]}" },
        { "list", "[\"x\"]" }, { "n", "3600" }, { "real", "0.1" },
        { "whole", "3600" }, { "min", "-9223372036854775808" },
        { "no", "false" }, { "null", NULL }, { "missing", NULL },
        { "crlf", NULL }, { "del", NULL }, { "tab", NULL },
        { "nested_del", NULL }, { "nested_lf", "[\"\\n\"]" },
        { "empty", "" }, { "utf8", "\xc3\xa9" }, { "", NULL }, { "_", NULL },
        { "two_forms", "first" }, { "odd", "yes" },
        { "exact_null", NULL },
    };

    json = parse(pool,
        "{\"sub\":\"abc\",\"emailVerified\":true,\"givenName\":\"Inexact\","
        "\"familyName\":\"Camel\",\"family_name\":\"exact\","
        "\"address\":{\"a\": [1, 2]},\"list\":[\"x\"],\"n\":3600,"
        "\"real\":0.1,\"whole\":3600.0,\"min\":-9223372036854775808,"
        "\"no\":false,\"null\":null,\"crlf\":\"a\\r\\nSet-Cookie: x\","
        "\"del\":\"a\\u007f\",\"tab\":\"\\t\",\"nested_del\":[\"\\u007f\"],"
        "\"nested_lf\":[\"\\n\"],\"empty\":\"\",\"utf8\":\"\\u00e9\","
        "\"__\":\"blank\",\"twoForms\":\"first\",\"TwoForms\":\"second\","
        "\"_o_d_d_\":\"yes\",\"exactNull\":\"a\",\"exact_null\":null}");

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        name = ngx_intuit_stub_str(pool, cases[i].name);
        rc = ngx_intuit_json_claim(pool, json, &name, &s);

        if (cases[i].value == NULL) {
            ok(rc == NGX_DECLINED, "claim \"%s\" declined", cases[i].name);
            continue;
        }

        if (rc != NGX_OK) {
            ngx_str_null(&s);
        }

        ok(rc == NGX_OK, "claim \"%s\"", cases[i].name);
        is_str(&s, cases[i].value, "its text is %.*s", (int) s.len, s.data);
    }

    name = ngx_intuit_stub_mem(pool, "sub\0", 4);
    ok(ngx_intuit_json_claim(pool, json, &name, &s) == NGX_DECLINED,
       "a NUL in a name is not its end");
}


static void
test_escape(ngx_pool_t *pool)
{
    size_t              i;
    u_char             *end;
    ngx_str_t           s, out, whole, back;
    ngx_intuit_json_t  *json;

    static const char *const  cases[][2] = {
        { "", "" }, { "plain", "plain" }, { "a\"b", "a\\\"b" },
        { "\\", "\\\\" }, { "\n\t\x01\x1f\x7f",
          "\\u000a\\u0009\\u0001\\u001f\\u007f" },
        { "</script>", "\\u003c/script\\u003e" }, { "a&b", "a\\u0026b" },
        { "\xc3\xa9\xf0\x9f\x98\x80", "\xc3\xa9\xf0\x9f\x98\x80" },
        { "a\xff" "b", "a\xef\xbf\xbd" "b" }, { "\xc3", "\xef\xbf\xbd" },
        { "\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" },
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        s = ngx_intuit_stub_str(pool, cases[i][0]);
        out.len = ngx_intuit_json_escaped_len(&s);
        out.data = ngx_pnalloc(pool, out.len);
        end = ngx_intuit_json_escape(out.data, &s);

        ok((size_t) (end - out.data) == out.len, "length, case %zu", i);
        is_str(&out, cases[i][1], "text, case %zu", i);

        whole = ngx_intuit_stub_fmt(pool, "{\"a\":\"%V\"}", &out);
        json = ngx_intuit_json_parse(pool, &whole);
        ok(json && ngx_intuit_json_string(json, "a", &back) == NGX_OK,
           "and it is JSON");
    }
}


static void
test_no_memory(void)
{
    ngx_int_t           n, rc;
    ngx_str_t           s, name;
    ngx_array_t         a;
    ngx_pool_t         *pool;
    ngx_uint_t          refused;
    ngx_intuit_json_t  *json;

    for (refused = 0, n = 0; n < 100; n++) {
        pool = ngx_intuit_stub_pool();
        s = ngx_intuit_stub_str(pool, token_answer);
        ngx_str_set(&name, "list");

        ngx_intuit_stub_fail_after(n);

        json = ngx_intuit_json_parse(pool, &s);
        rc = NGX_ERROR;

        if (json) {
            rc = ngx_intuit_json_claim(pool, json, &name, &s);
        }

        if (rc == NGX_OK) {
            rc = ngx_intuit_json_dump(pool, json, &s);
        }

        if (rc == NGX_OK) {
            rc = ngx_intuit_json_strings(pool, json, "id_token", &a);
        }

        ngx_intuit_stub_fail_after(-1);
        ngx_destroy_pool(pool);

        if (rc == NGX_OK) {
            break;
        }

        refused += rc == NGX_ERROR;
    }

    ok(n > 2 && n < 100 && refused == (ngx_uint_t) n,
       "each of %d failing allocations is seen", (int) n);
}


int
main(void)
{
    ngx_pool_t  *pool;

    pool = ngx_intuit_stub_pool();

    test_grammar(pool);
    test_prefixes(pool);
    test_limits(pool);
    test_integer(pool);
    test_getters(pool);
    test_claims(pool);
    test_escape(pool);

    ngx_destroy_pool(pool);

    test_no_memory();

    return done_testing();
}
