/*
 * Token answers: tokens, types and lifetimes, good and odd.
 *
 * Rows: TK-07 F-OP-12
 */

#include <stdlib.h>

#include "ngx_intuit_oauth2.h"
#include "ngx_intuit_stub.h"
#include "test.h"


#define ANSWER                                                                \
    "{\"token_type\":\"bearer\",\"access_token\":\"eyJ.a..b-c_d~e+f/g==\","   \
    "\"expires_in\":3600,\"refresh_token\":\"AB11-x\","                       \
    "\"x_refresh_token_expires_in\":8726400,\"id_token\":\"h.p.s\"}"


static ngx_pool_t  *pool;


static const char  *no_tokens[] = {
    "", " ", "null", "[]", "{}", "\"a\"", "<html>502</html>",
    "[" ANSWER "]", ANSWER "x", ANSWER ANSWER, ANSWER "\n{}",

    /* an error with status 200 */
    "{\"error\":\"invalid_grant\"}",
    "{\"error\":\"invalid_grant\",\"token_type\":\"bearer\","
    "\"access_token\":\"a\"}",
    "{\"token_type\":\"bearer\",\"access_token\":\"a\",\"error\":\"\"}",
    "{\"token_type\":\"bearer\",\"access_token\":\"a\",\"error\":1}",
    "{\"token_type\":\"bearer\",\"access_token\":\"a\",\"error\":false}",
    "{\"token_type\":\"bearer\",\"access_token\":\"a\",\"error\":{}}",
    "{\"token_type\":\"bearer\",\"access_token\":\"a\",\"error\":[]}",

    /* the type */
    "{\"access_token\":\"a\"}",
    "{\"token_type\":null,\"access_token\":\"a\"}",
    "{\"token_type\":1,\"access_token\":\"a\"}",
    "{\"token_type\":\"\",\"access_token\":\"a\"}",
    "{\"token_type\":\"mac\",\"access_token\":\"a\"}",
    "{\"token_type\":\"DPoP\",\"access_token\":\"a\"}",
    "{\"token_type\":\"bearerx\",\"access_token\":\"a\"}",
    "{\"token_type\":\" bearer\",\"access_token\":\"a\"}",
    "{\"token_type\":\"bearer\\u0000\",\"access_token\":\"a\"}",
    "{\"token_type\":[\"bearer\"],\"access_token\":\"a\"}",
    "{\"Token_Type\":\"bearer\",\"access_token\":\"a\"}",

    /* the access token */
    "{\"token_type\":\"bearer\"}",
    "{\"token_type\":\"bearer\",\"access_token\":null}",
    "{\"token_type\":\"bearer\",\"access_token\":\"\"}",
    "{\"token_type\":\"bearer\",\"access_token\":1}",
    "{\"token_type\":\"bearer\",\"access_token\":true}",
    "{\"token_type\":\"bearer\",\"access_token\":[\"a\"]}",
    "{\"token_type\":\"bearer\",\"access_token\":{}}",
    "{\"token_type\":\"bearer\",\"access_token\":\"a\\r\\nX-Evil: 1\"}",
    "{\"token_type\":\"bearer\",\"access_token\":\"a\\n\"}",
    "{\"token_type\":\"bearer\",\"access_token\":\"a\\u0000b\"}",
    "{\"token_type\":\"bearer\",\"access_token\":\"a b\"}",
    "{\"token_type\":\"bearer\",\"access_token\":\" a\"}",
    "{\"token_type\":\"bearer\",\"access_token\":\"a\\tb\"}",
    "{\"token_type\":\"bearer\",\"access_token\":\"a,b\"}",
    "{\"token_type\":\"bearer\",\"access_token\":\"a;b\"}",
    "{\"token_type\":\"bearer\",\"access_token\":\"a\\\"b\"}",
    "{\"token_type\":\"bearer\",\"access_token\":\"a\\\\b\"}",
    "{\"token_type\":\"bearer\",\"access_token\":\"a%b\"}",
    "{\"token_type\":\"bearer\",\"access_token\":\"a\\u00e9\"}",
    "{\"token_type\":\"bearer\",\"access_token\":\"a\\u007f\"}",
    "{\"token_type\":\"bearer\",\"access_token\":\"=\"}",
    "{\"token_type\":\"bearer\",\"access_token\":\"=a\"}",
    "{\"token_type\":\"bearer\",\"access_token\":\"a=b\"}",
    "{\"token_type\":\"bearer\",\"access_token\":\"a\","
    "\"access_token\":\"b\"}",

    /* the refresh token */
    "{\"token_type\":\"bearer\",\"access_token\":\"a\","
    "\"refresh_token\":\"\"}",
    "{\"token_type\":\"bearer\",\"access_token\":\"a\","
    "\"refresh_token\":1}",
    "{\"token_type\":\"bearer\",\"access_token\":\"a\","
    "\"refresh_token\":\"a b\"}",
    "{\"token_type\":\"bearer\",\"access_token\":\"a\","
    "\"refresh_token\":\"a\\r\\n\"}",
    "{\"token_type\":\"bearer\",\"access_token\":\"a\","
    "\"refresh_token\":\"\\u00e9\"}",
};


static ngx_int_t
parse_tokens(const ngx_str_t *text, ngx_intuit_tokens_t *t)
{
    ngx_int_t    rc;
    const char  *reason;

    reason = NULL;
    memset(t, 0xff, sizeof(*t));

    rc = ngx_intuit_tokens_parse(pool, text, t, &reason);

    if (rc == NGX_DECLINED
        && (reason == NULL || t->access_token.len != 0
            || t->refresh_token.len != 0))
    {
        ok(0, "a refusal without a reason, or with a token");
    }

    return rc;
}


static void
test_tokens(void)
{
    size_t               i;
    ngx_str_t            text;
    ngx_uint_t           good;
    ngx_intuit_tokens_t  t;

    text = ngx_intuit_stub_str(pool, ANSWER);

    ok(parse_tokens(&text, &t) == NGX_OK, "Intuit's answer");
    is_str(&t.access_token, "eyJ.a..b-c_d~e+f/g==", "... access token");
    is_str(&t.refresh_token, "AB11-x", "... refresh token");
    is_str(&t.id_token, "h.p.s", "... id_token");
    ok(t.scope.len == 0 && t.expires_in == 3600
       && t.refresh_expires_in == 8726400 && t.refresh_hard_expires_in == 0,
       "... lifetimes");

    memset(text.data, 'x', text.len);
    is_str(&t.refresh_token, "AB11-x", "... outlive the text");

    for (i = 0; i < sizeof(no_tokens) / sizeof(no_tokens[0]); i++) {
        text = ngx_intuit_stub_str(pool, no_tokens[i]);

        if (!ok(parse_tokens(&text, &t) == NGX_DECLINED, "no tokens, %u",
                (unsigned) i))
        {
            printf("# %s\n", no_tokens[i]);
        }
    }

    good = 1;

    for (i = 0; i < sizeof(ANSWER) - 1; i++) {
        text = ngx_intuit_stub_mem(pool, ANSWER, i);

        if (parse_tokens(&text, &t) != NGX_DECLINED) {
            printf("# cut at %u\n", (unsigned) i);
            good = 0;
        }
    }

    ok(good, "an answer cut at each of its bytes");
}


static void
test_tokens_taken(void)
{
    size_t               i;
    ngx_str_t            text;
    ngx_intuit_tokens_t  t;

    static const char  *types[] = { "bearer", "BEARER", "Bearer", "bEaReR" };

    static const struct {
        const char  *member;
        const char  *scope;
        const char  *id_token;
    } odd[] = {
        { "\"scope\":\"openid a.b\"", "openid a.b", "" },
        { "\"scope\":\"\"", "", "" },
        { "\"scope\":null", "", "" },
        { "\"scope\":1", "", "" },
        { "\"scope\":[\"openid\"]", "", "" },
        { "\"scope\":\"a\\r\\nb\"", "", "" },
        { "\"scope\":\"a\\\"b\"", "", "" },
        { "\"scope\":\"\\u00e9\"", "", "" },
        { "\"id_token\":\"\"", "", "" },
        { "\"id_token\":null", "", "" },
        { "\"id_token\":1", "", "" },
        { "\"id_token\":{}", "", "" },
        { "\"id_token\":\"a b\"", "", "" },
        { "\"id_token\":\"a.b.c\\n\"", "", "" },
        { "\"id_token\":\"a.b.c\"", "", "a.b.c" },
        { "\"error\":null", "", "" },
        { "\"errors\":1,\"error_description\":\"x\"", "", "" },
        { "\"realmId\":\"1\",\"unknown\":{\"a\":[1,2,{}]}", "", "" },
    };

    for (i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        text = ngx_intuit_stub_fmt(pool, "{\"token_type\":\"%s\","
                                   "\"access_token\":\"a\"}", types[i]);
        ok(parse_tokens(&text, &t) == NGX_OK && t.access_token.len == 1
           && t.refresh_token.len == 0 && t.id_token.len == 0
           && t.expires_in == 3600 && t.refresh_expires_in == 0,
           "type %s, nothing else", types[i]);
    }

    for (i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
        text = ngx_intuit_stub_fmt(pool, "{\"token_type\":\"bearer\","
                                   "\"access_token\":\"a\",%s}",
                                   odd[i].member);
        ok(parse_tokens(&text, &t) == NGX_OK, "taken with %s", odd[i].member);
        is_str(&t.scope, odd[i].scope, "... the scope");
        is_str(&t.id_token, odd[i].id_token, "... the id_token");
    }
}


static void
test_token_bytes(void)
{
    u_char              *big;
    size_t               i;
    ngx_str_t            text;
    ngx_uint_t           b, good, access, refresh;
    ngx_intuit_tokens_t  t;

    good = 1;

    for (b = 0; b < 256; b++) {

        text = ngx_intuit_stub_str(pool, "{\"token_type\":\"bearer\","
                                   "\"access_token\":\"aXa\"}");
        text.data[40] = (u_char) b;

        access = (b >= 'a' && b <= 'z') || (b >= 'A' && b <= 'Z')
                 || (b >= '0' && b <= '9')
                 || (b && strchr("-._~+/", (int) b) != NULL);

        if ((parse_tokens(&text, &t) == NGX_OK) != access) {
            printf("# access token: %02x\n", (unsigned) b);
            good = 0;
        }

        text = ngx_intuit_stub_str(pool, "{\"token_type\":\"bearer\","
                                   "\"access_token\":\"a\","
                                   "\"refresh_token\":\"aXa\"}");
        text.data[60] = (u_char) b;

        /* a quote ends the string, a backslash escapes an "a": no JSON */

        refresh = b > 0x20 && b < 0x7f && b != '"' && b != '\\';

        if ((parse_tokens(&text, &t) == NGX_OK) != refresh) {
            printf("# refresh token: %02x\n", (unsigned) b);
            good = 0;
        }
    }

    ok(good, "each byte in both tokens");

    big = ngx_palloc(pool, 9000);
    memset(big, 'a', 9000);

    for (i = 8191; i < 8194; i++) {
        text = ngx_intuit_stub_fmt(pool, "{\"token_type\":\"bearer\","
                                   "\"access_token\":\"%*s\"}", i, big);
        ok((parse_tokens(&text, &t) == NGX_OK) == (i <= 8192),
           "an access token of %u bytes", (unsigned) i);
    }

    for (i = 2047; i < 2050; i++) {
        text = ngx_intuit_stub_fmt(pool, "{\"token_type\":\"bearer\","
                                   "\"access_token\":\"a\","
                                   "\"refresh_token\":\"%*s\"}", i, big);
        ok((parse_tokens(&text, &t) == NGX_OK) == (i <= 2048),
           "a refresh token of %u bytes", (unsigned) i);
    }
}


/* -1: refused */

static void
test_lifetimes(void)
{
    size_t               i;
    ngx_str_t            text;
    ngx_int_t            rc;
    ngx_intuit_tokens_t  t;

    static const struct {
        const char  *json;
        time_t       access;
        time_t       refresh;
    } cases[] = {
        { "3600", 3600, 3600 },
        { "1", 1, 1 },
        { "\"3600\"", 3600, 3600 },
        { "\"1\"", 1, 1 },
        { "3600.0", 3600, 3600 },
        { "3.6e3", 3600, 3600 },
        { "0", -1, 0 },
        { "-0", -1, 0 },
        { "0.0", -1, 0 },
        { "-1", -1, 0 },
        { "-3600", -1, 0 },
        { "\"0\"", -1, 0 },
        { "\"-1\"", -1, 0 },
        { "0.5", -1, 0 },
        { "3599.9", -1, 0 },
        { "\"3599.9\"", -1, 0 },
        { "\" 3600\"", -1, 0 },
        { "\"3600 \"", -1, 0 },
        { "\"+3600\"", -1, 0 },
        { "\"3600s\"", -1, 0 },
        { "\"0x10\"", -1, 0 },
        { "\"1e3\"", -1, 0 },
        { "\"\"", -1, 0 },
        { "\"abc\"", -1, 0 },
        { "\"3600\\u0000\"", -1, -1 },
        { "\"99999999999999999999\"", -1, 0 },
        { "\"\xd9\xa3\xd9\xa6\"", -1, 0 },
        { "null", 3600, 0 },
        { "true", -1, 0 },
        { "false", -1, 0 },
        { "{}", -1, 0 },
        { "[]", -1, 0 },
        { "[3600]", -1, 0 },
        { "1e300", -1, 0 },
        { "-1e300", -1, 0 },
        { "9007199254740993", -1, 0 },
        { "9223372036854775807", -1, 0 },
        { "-9223372036854775808", -1, 0 },
        { "9223372036854775808", -1, 0 },
        { "1e999", -1, -1 },
        { "34560000", 34560000, 34560000 },
        { "34560001", 34560000, 34560001 },
        { "316224000", 34560000, 316224000 },
        { "316224001", 34560000, 316224000 },
        { "2147483647", 34560000, 316224000 },
        { "2147483648", 34560000, 316224000 },
        { "\"2147483648\"", 34560000, 316224000 },
        { "4294967296", 34560000, 316224000 },
        { "9007199254740991", 34560000, 316224000 },
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        text = ngx_intuit_stub_fmt(pool, "{\"token_type\":\"bearer\","
                                   "\"access_token\":\"a\","
                                   "\"expires_in\":%s}", cases[i].json);
        rc = parse_tokens(&text, &t);

        ok(cases[i].access < 0 ? rc == NGX_DECLINED
                               : rc == NGX_OK
                                 && t.expires_in == cases[i].access,
           "expires_in %s", cases[i].json);

        text = ngx_intuit_stub_fmt(pool, "{\"token_type\":\"bearer\","
                                   "\"access_token\":\"a\","
                                   "\"x_refresh_token_expires_in\":%s,"
                                   "\"x_refresh_token_hard_expires_in\":%s}",
                                   cases[i].json, cases[i].json);
        rc = parse_tokens(&text, &t);

        ok(cases[i].refresh < 0 ? rc == NGX_DECLINED
                                : rc == NGX_OK && t.expires_in == 3600
                                  && t.refresh_expires_in == cases[i].refresh
                                  && t.refresh_hard_expires_in
                                     == cases[i].refresh,
           "... as a refresh token's");
    }

    text = ngx_intuit_stub_str(pool, "{\"token_type\":\"bearer\","
                               "\"access_token\":\"a\"}");
    ok(parse_tokens(&text, &t) == NGX_OK && t.expires_in == 3600
       && t.refresh_expires_in == 0 && t.refresh_hard_expires_in == 0,
       "no lifetime at all");

    text = ngx_intuit_stub_str(pool, "{\"token_type\":\"bearer\","
                               "\"access_token\":\"a\",\"expires_in\":1,"
                               "\"expires_in\":2}");
    ok(parse_tokens(&text, &t) == NGX_DECLINED, "two lifetimes");
}


int
main(void)
{
    pool = ngx_intuit_stub_pool();

    test_tokens();
    test_tokens_taken();
    test_token_bytes();
    test_lifetimes();

    ngx_destroy_pool(pool);

    return done_testing();
}
