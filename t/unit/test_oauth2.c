/*
 * OAuth messages: what is sent, and what is believed of the answers.
 *
 * Rows: AZ-06 TK-01 TK-08
 */

#include <stdlib.h>

#include "ngx_intuit_args.h"
#include "ngx_intuit_oauth2.h"
#include "ngx_intuit_stub.h"
#include "test.h"


#define CALLBACK  "http://localhost:8080/intuit/callback"


static ngx_pool_t  *pool;


static ngx_uint_t
count(const ngx_str_t *s, const char *text)
{
    size_t      i, len;
    ngx_uint_t  n;

    n = 0;
    len = strlen(text);

    for (i = 0; i + len <= s->len; i++) {
        n += (memcmp(s->data + i, text, len) == 0);
    }

    return n;
}


static void
fill(ngx_intuit_authorize_t *a)
{
    ngx_memzero(a, sizeof(*a));

    a->client_id = ngx_intuit_stub_str(pool, "ABc&1");
    a->redirect_uri = ngx_intuit_stub_str(pool, CALLBACK);
    a->scope = ngx_intuit_stub_str(pool,
                                   "openid com.intuit.quickbooks.accounting");
    a->state = ngx_intuit_stub_str(pool, "st-ate_1");
    a->nonce = ngx_intuit_stub_str(pool, "non=ce");
    a->code_challenge = ngx_intuit_stub_str(pool, "chal-lenge");
}


#define OURS                                                                  \
    "client_id=ABc%261&response_type=code"                                    \
    "&scope=openid%20com.intuit.quickbooks.accounting"                        \
    "&redirect_uri=http%3A%2F%2Flocalhost%3A8080%2Fintuit%2Fcallback"         \
    "&state=st-ate_1&nonce=non%3Dce&code_challenge=chal-lenge"                \
    "&code_challenge_method=S256"

#define PLAIN                                                                 \
    "client_id=ABc%261&response_type=code"                                    \
    "&scope=openid%20com.intuit.quickbooks.accounting"                        \
    "&redirect_uri=http%3A%2F%2Flocalhost%3A8080%2Fintuit%2Fcallback"         \
    "&state=st-ate_1"


static void
test_authorize(void)
{
    size_t                  i, j;
    ngx_str_t               endpoint, url, query, value;
    ngx_uint_t              good;
    ngx_intuit_authorize_t  a;

    static const struct {
        const char  *endpoint;
        const char  *extra;
        const char  *url;
    } cases[] = {
        { "https://op/a", "", "https://op/a?" OURS },
        { "https://op/a?", "", "https://op/a?" OURS },
        { "https://op/a?x=1", "", "https://op/a?x=1&" OURS },
        { "https://op/a?x=1&", "", "https://op/a?x=1&" OURS },
        { "https://op/a?x=a?b&y", "", "https://op/a?x=a?b&y&" OURS },
        { "https://op/a", "locale=de&p=%20a+b",
          "https://op/a?" OURS "&locale=de&p=%20a+b" },
        { "https://op/a?x=1", "y=2", "https://op/a?x=1&" OURS "&y=2" },
        { "https://op/a", "&&y=2&&z&", "https://op/a?" OURS "&y=2&z" },

        /* never twice */
        { "https://op/a", "state=evil&y=2&scope=x",
          "https://op/a?" OURS "&y=2" },
        { "https://op/a", "%73tate=evil&cli%65nt_id=x",
          "https://op/a?" OURS },
        { "https://op/a?response_type=token&x=1", "",
          "https://op/a?x=1&" OURS },
        { "https://op/a?x=1", "x=2&%78=3&y=4", "https://op/a?x=1&" OURS
          "&y=4" },
        { "https://op/a?x=1&x=2", "y=1&y=2", "https://op/a?x=1&" OURS
          "&y=1" },
        { "https://op/a", "state", "https://op/a?" OURS },
        { "https://op/a", "nonce=&code_challenge_method=plain",
          "https://op/a?" OURS },

        /* no name, or none that can be read */
        { "https://op/a", "=x&%zz=1&%00=2&y=3", "https://op/a?" OURS
          "&y=3" },
    };

    static const char  *names[] = {
        "client_id", "response_type", "scope", "redirect_uri", "state",
        "nonce", "code_challenge", "code_challenge_method"
    };

    fill(&a);

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        endpoint = ngx_intuit_stub_str(pool, cases[i].endpoint);
        a.extra_args = ngx_intuit_stub_str(pool, cases[i].extra);

        ok(ngx_intuit_authorize_url(pool, &endpoint, &a, &url) == NGX_OK,
           "authorize url %u", (unsigned) i);

        if (!is_str(&url, cases[i].url, "... as it should be")) {
            printf("# %.*s\n", (int) url.len, url.data);
        }

        query.data = (u_char *) memchr(url.data, '?', url.len) + 1;
        query.len = url.data + url.len - query.data;
        good = 1;

        for (j = 0; j < sizeof(names) / sizeof(names[0]); j++) {
            good = good
                   && ngx_intuit_args_get(pool, &query, names[j], &value)
                      == NGX_OK;
        }

        ok(good, "... each parameter once");
    }

    ok(ngx_intuit_args_get(pool, &query, "redirect_uri", &value) == NGX_OK
       && value.len == a.redirect_uri.len
       && memcmp(value.data, a.redirect_uri.data, value.len) == 0,
       "the redirect_uri reads as it was");

    /* what is empty is not sent */

    ngx_str_null(&a.nonce);
    ngx_str_null(&a.code_challenge);
    ngx_str_null(&a.extra_args);
    endpoint = ngx_intuit_stub_str(pool, "https://op/a");

    ok(ngx_intuit_authorize_url(pool, &endpoint, &a, &url) == NGX_OK,
       "without nonce and PKCE");
    is_str(&url, "https://op/a?" PLAIN, "... neither is sent");

    a.extra_args = ngx_intuit_stub_str(pool, "y=1");

    for (i = 0; i < 3; i++) {
        ngx_intuit_stub_fail_after(i);
        ok(ngx_intuit_authorize_url(pool, &endpoint, &a, &url) == NGX_ERROR,
           "no memory, %u", (unsigned) i);
        ngx_intuit_stub_fail_after(-1);
    }
}


static void
test_requests(void)
{
    ngx_str_t  id, secret, code, uri, verifier, token, out;

    id = ngx_intuit_stub_str(pool, "Aladdin");
    secret = ngx_intuit_stub_str(pool, "open sesame");
    ok(ngx_intuit_basic_auth(pool, &id, &secret, &out) == NGX_OK,
       "basic credentials");
    is_str(&out, "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==", "... encoded");

    id = ngx_intuit_stub_str(pool, "a%b+c");
    secret = ngx_intuit_stub_str(pool, "d:e/f=\xc3\xa9");
    ok(ngx_intuit_basic_auth(pool, &id, &secret, &out) == NGX_OK,
       "odd credentials");
    is_str(&out, "Basic YSViK2M6ZDplL2Y9w6k=", "... raw, not form-encoded");

    secret = ngx_intuit_stub_str(pool, "");
    id = ngx_intuit_stub_str(pool, "a");
    ok(ngx_intuit_basic_auth(pool, &id, &secret, &out) == NGX_OK,
       "an empty secret");
    is_str(&out, "Basic YTo=", "... is one");

    code = ngx_intuit_stub_str(pool, "XAB11&a=b c");
    uri = ngx_intuit_stub_str(pool, CALLBACK);
    ngx_str_null(&verifier);

    ok(ngx_intuit_code_request(pool, &code, &uri, &verifier, &out) == NGX_OK,
       "a code's request");
    is_str(&out, "grant_type=authorization_code&code=XAB11%26a%3Db%20c"
           "&redirect_uri=http%3A%2F%2Flocalhost%3A8080%2Fintuit%2Fcallback",
           "... without a verifier");

    verifier = ngx_intuit_stub_str(pool, "ver-i_f.y~");
    ok(ngx_intuit_code_request(pool, &code, &uri, &verifier, &out) == NGX_OK,
       "a code's request with PKCE");
    is_str(&out, "grant_type=authorization_code&code=XAB11%26a%3Db%20c"
           "&redirect_uri=http%3A%2F%2Flocalhost%3A8080%2Fintuit%2Fcallback"
           "&code_verifier=ver-i_f.y~", "... with the verifier");

    token = ngx_intuit_stub_str(pool, "RT1-39-H3+/=&x");
    ok(ngx_intuit_refresh_request(pool, &token, &out) == NGX_OK,
       "a refresh request");
    is_str(&out, "grant_type=refresh_token&refresh_token=RT1-39-H3%2B%2F%3D"
           "%26x", "... escaped");

    ngx_intuit_stub_fail_after(0);
    ok(ngx_intuit_refresh_request(pool, &token, &out) == NGX_ERROR
       && ngx_intuit_code_request(pool, &code, &uri, &verifier, &out)
          == NGX_ERROR
       && ngx_intuit_basic_auth(pool, &id, &token, &out) == NGX_ERROR,
       "requests without memory");
    ngx_intuit_stub_fail_after(1);
    ok(ngx_intuit_basic_auth(pool, &id, &token, &out) == NGX_ERROR,
       "credentials with half of it");
    ngx_intuit_stub_fail_after(-1);
}


static void
test_error(void)
{
    size_t     i;
    ngx_str_t  text, error;

    static const struct {
        const char  *text;
        const char  *error;
    } cases[] = {
        { "{\"error\":\"invalid_grant\"}", "invalid_grant" },
        { "{\"error\":\"invalid_grant\",\"error_description\":"
          "\"Incorrect Token type or clientID\"}", "invalid_grant" },
        { "{\"error_description\":\"x\"}", "" },
        { "{\"error\":\"a\\r\\n[alert] b\"}", "" },
        { "{\"error\":\"Invalid_grant\"}", "" },
        { "{\"error\":\"AB11612345\"}", "" },
        { "{\"error\":\"\u00e9\"}", "" },
        { "{\"error\":1,\"error_description\":[]}", "" },
        { "{\"error\":null}", "" },
        { "{\"error\":\"\"}", "" },
        { "{\"error\":\"a\",\"error\":\"b\"}", "" },
        { "{}", "" },
        { "", "" },
        { "null", "" },
        { "[\"invalid_grant\"]", "" },
        { "\"invalid_grant\"", "" },
        { "<html><h1>502 Bad Gateway</h1></html>", "" },
        { "error=invalid_grant", "" },
        { "{\"error\":\"invalid_grant\"", "" },
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        text = ngx_intuit_stub_str(pool, cases[i].text);
        memset(&error, 0xff, sizeof(error));

        ngx_intuit_oauth2_error_parse(pool, &text, &error);

        is_str(&error, cases[i].error, "error %u", (unsigned) i);
    }

    for (i = 64; i < 66; i++) {
        text.len = sizeof("{\"error\":\"\"}") - 1 + i;
        text.data = ngx_palloc(pool, text.len);
        memset(text.data, 'a', text.len);
        memcpy(text.data, "{\"error\":\"", 10);
        memcpy(text.data + text.len - 2, "\"}", 2);

        ngx_intuit_oauth2_error_parse(pool, &text, &error);
        ok(error.len == (i == 64 ? 64 : 0), "error of %u", (unsigned) i);
    }
}


static void
test_userinfo(void)
{
    char                sub[300];
    size_t              i;
    ngx_int_t           rc;
    ngx_str_t           text, expected, value;
    const char         *reason;
    ngx_intuit_json_t  *claims;

    static const struct {
        const char  *text;
        const char  *sub;
        ngx_int_t    rc;
    } cases[] = {
        { "{\"sub\":\"u1\",\"email\":\"a@b.c\"}", "u1", NGX_OK },
        { "{\"sub\":\"u1\"}", "", NGX_OK },
        { "{\"sub\":\"u2\"}", "u1", NGX_DECLINED },
        { "{\"sub\":\"u\"}", "u1", NGX_DECLINED },
        { "{\"sub\":\"u11\"}", "u1", NGX_DECLINED },
        { "{\"sub\":\"U1\"}", "u1", NGX_DECLINED },
        { "{\"sub\":\"u1\\u0000\"}", "u1", NGX_DECLINED },
        { "{\"sub\":\"\"}", "", NGX_DECLINED },
        { "{\"sub\":\"a b\"}", "", NGX_DECLINED },
        { "{\"sub\":\"a\\n\"}", "", NGX_DECLINED },
        { "{\"sub\":\"\\u00e9\"}", "", NGX_DECLINED },
        { "{\"sub\":1}", "", NGX_DECLINED },
        { "{\"sub\":1}", "1", NGX_DECLINED },
        { "{\"sub\":null}", "", NGX_DECLINED },
        { "{\"sub\":[\"u1\"]}", "u1", NGX_DECLINED },
        { "{\"Sub\":\"u1\"}", "u1", NGX_DECLINED },
        { "{\"sub\":\"u2\",\"sub\":\"u1\"}", "u1", NGX_DECLINED },
        { "{}", "", NGX_DECLINED },
        { "[{\"sub\":\"u1\"}]", "u1", NGX_DECLINED },
        { "\"u1\"", "u1", NGX_DECLINED },
        { "", "", NGX_DECLINED },
        { "eyJhbGciOiJub25lIn0.e30.", "", NGX_DECLINED },
        { "{\"sub\":\"u1\"", "u1", NGX_DECLINED },
        { "{\"sub\":\"u1\"} x", "u1", NGX_DECLINED },
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        text = ngx_intuit_stub_str(pool, cases[i].text);
        expected = ngx_intuit_stub_str(pool, cases[i].sub);
        reason = NULL;
        claims = (ngx_intuit_json_t *) &text;

        rc = ngx_intuit_userinfo_parse(pool, &text, &expected, &claims,
                                       &reason);

        ok(rc == cases[i].rc
           && (rc == NGX_OK ? claims != NULL
                            : claims == NULL && reason != NULL),
           "userinfo %s for \"%s\"", cases[i].text, cases[i].sub);
    }

    for (i = 255; i < 257; i++) {
        memset(sub, 'a', sizeof(sub));
        sub[i] = '\0';
        text = ngx_intuit_stub_fmt(pool, "{\"sub\":\"%s\",\"a\":\"b\"}", sub);
        ngx_str_null(&expected);

        rc = ngx_intuit_userinfo_parse(pool, &text, &expected, &claims,
                                       &reason);

        ok(rc == (i == 255 ? NGX_OK : NGX_DECLINED), "a sub of %u bytes",
           (unsigned) i);

        if (rc == NGX_OK) {
            ok(ngx_intuit_json_string(claims, "a", &value) == NGX_OK
               && value.len == 1, "... the claims can be read");
        }
    }
}


static void
test_merge(void)
{
    ngx_str_t           text, out;
    ngx_intuit_json_t  *id, *info, *both;

    text = ngx_intuit_stub_str(pool, "{\"sub\":\"u1\",\"iss\":\"i\","
                               "\"email\":\"id@x\",\"aud\":[\"a\"]}");
    id = ngx_intuit_json_parse(pool, &text);

    text = ngx_intuit_stub_str(pool, "{\"sub\":\"evil\",\"email\":\"ui@x\","
                               "\"givenName\":\"J\\u00f6rg\","
                               "\"address\":{\"region\":\"CA\"},"
                               "\"emailVerified\":true,\"iss\":\"evil\"}");
    info = ngx_intuit_json_parse(pool, &text);

    ok(id != NULL && info != NULL, "claims to merge");

    ok(ngx_intuit_claims_merge(pool, id, info, &out) == NGX_OK, "merged");
    ok(count(&out, "\"sub\":\"u1\"") == 1 && count(&out, "\"sub\"") == 1
       && count(&out, "\"iss\":\"i\"") == 1 && count(&out, "evil") == 0
       && count(&out, "\"email\":\"id@x\"") == 1 && count(&out, "ui@x") == 0,
       "... the id_token's members win");
    ok(count(&out, "\"address\":{\"region\":\"CA\"}") == 1
       && count(&out, "\"emailVerified\":true") == 1
       && count(&out, "\"aud\":[\"a\"]") == 1,
       "... all are there, compact");

    both = ngx_intuit_json_parse(pool, &out);
    ok(both != NULL
       && ngx_intuit_json_string(both, "givenName", &text) == NGX_OK,
       "... it is an object again");
    is_str(&text, "J\xc3\xb6rg", "... with the same text");

    ok(ngx_intuit_json_string(info, "sub", &text) == NGX_OK,
       "the parts are as they were");
    is_str(&text, "evil", "... unchanged");

    ok(ngx_intuit_claims_merge(pool, id, NULL, &out) == NGX_OK
       && count(&out, "id@x") == 1, "an id_token alone");
    ok(ngx_intuit_claims_merge(pool, NULL, info, &out) == NGX_OK
       && count(&out, "ui@x") == 1, "userinfo alone");
    ok(ngx_intuit_claims_merge(pool, NULL, NULL, &out) == NGX_OK, "neither");
    is_str(&out, "{}", "... is an empty object");

    ngx_intuit_stub_fail_after(0);
    ok(ngx_intuit_claims_merge(pool, id, info, &out) == NGX_ERROR,
       "merged without memory");
    ngx_intuit_stub_fail_after(-1);
}


static void
test_company(void)
{
    size_t      i;
    ngx_str_t   text, name;
    ngx_uint_t  good;

    static const char  answer[] =
        "{\"CompanyInfo\":{\"CompanyName\":\"Sandbox & Co\",\"Id\":\"1\"},"
        "\"time\":\"2024-01-01T00:00:00.000-08:00\"}";

    static const struct {
        const char  *text;
        ngx_uint_t   yes;
        const char  *name;
    } cases[] = {
        { "{\"CompanyInfo\":{\"CompanyName\":\"A\"}}", 1, "A" },
        { "{\"CompanyInfo\":{}}", 1, "" },
        { "{\"CompanyInfo\":{\"CompanyName\":\"\"}}", 1, "" },
        { "{\"CompanyInfo\":{\"CompanyName\":null}}", 1, "" },
        { "{\"CompanyInfo\":{\"CompanyName\":1}}", 1, "" },
        { "{\"CompanyInfo\":{\"CompanyName\":\"A\"},\"fault\":null}", 1,
          "A" },
        { "{\"CompanyInfo\":null}", 0, "" },
        { "{\"CompanyInfo\":[]}", 0, "" },
        { "{\"CompanyInfo\":\"A\"}", 0, "" },
        { "{\"companyinfo\":{}}", 0, "" },
        { "{\"CompanyName\":\"A\"}", 0, "" },
        { "{\"Fault\":{\"Error\":[],\"type\":\"ValidationFault\"}}", 0, "" },
        { "{\"Fault\":{},\"CompanyInfo\":{\"CompanyName\":\"A\"}}", 0, "" },
        { "{\"CompanyInfo\":{\"CompanyName\":\"A\"},\"Fault\":1}", 0, "" },
        { "{\"CompanyInfo\":{\"CompanyName\":\"A\"},\"fault\":{}}", 0, "" },
        { "{}", 0, "" },
        { "", 0, "" },
        { "[{\"CompanyInfo\":{}}]", 0, "" },
        { "<IntuitResponse/>", 0, "" },
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        text = ngx_intuit_stub_str(pool, cases[i].text);
        name.len = 7;

        ok(ngx_intuit_companyinfo_parse(pool, &text, &name) == cases[i].yes,
           "company: %s", cases[i].text);
        is_str(&name, cases[i].name, "... its name");
    }

    text = ngx_intuit_stub_str(pool, answer);
    ok(ngx_intuit_companyinfo_parse(pool, &text, &name), "Intuit's answer");
    is_str(&name, "Sandbox & Co", "... the name");

    good = 1;

    for (i = 0; i < sizeof(answer) - 1; i++) {
        text = ngx_intuit_stub_mem(pool, answer, i);
        good = good && !ngx_intuit_companyinfo_parse(pool, &text, &name);
    }

    ok(good, "... cut at each of its bytes");

    for (i = 1024; i < 1026; i++) {
        text.data = ngx_palloc(pool, 31 + i + 3);
        text.len = 31 + i + 3;
        memset(text.data, 'a', text.len);
        memcpy(text.data, "{\"CompanyInfo\":{\"CompanyName\":\"", 31);
        memcpy(text.data + text.len - 3, "\"}}", 3);

        ok(ngx_intuit_companyinfo_parse(pool, &text, &name)
           && name.len == (i == 1024 ? 1024 : 0),
           "a name of %u bytes", (unsigned) i);
    }
}


static void
test_scope(void)
{
    size_t     i;
    ngx_str_t  s, wanted;

    static const struct {
        const char  *scope;
        const char  *word;
        ngx_uint_t   yes;
    } cases[] = {
        { "openid", "openid", 1 },
        { "openid email", "openid", 1 },
        { "email openid", "openid", 1 },
        { "a openid b", "openid", 1 },
        { "  a  openid  ", "openid", 1 },
        { "", "openid", 0 },
        { " ", "openid", 0 },
        { "openid2", "openid", 0 },
        { "xopenid", "openid", 0 },
        { "open id", "openid", 0 },
        { "OPENID", "openid", 0 },
        { "openid,email", "openid", 0 },
        { "openid\temail", "openid", 0 },
        { "com.intuit.quickbooks.payroll.timetracking",
          "com.intuit.quickbooks.payroll", 0 },
        { "a  b", "", 0 },
        { "", "", 0 },
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        s = ngx_intuit_stub_str(pool, cases[i].scope);
        ok(ngx_intuit_scope_has(&s, cases[i].word) == cases[i].yes,
           "scope \"%s\" and \"%s\"", cases[i].scope, cases[i].word);
    }

    ngx_str_null(&s);
    ok(!ngx_intuit_scope_has(&s, "openid"), "no scope");

    ok(ngx_intuit_scope_covers(&s, &s), "none covers none");

    wanted = ngx_intuit_stub_str(pool, "openid email");
    ok(!ngx_intuit_scope_covers(&s, &wanted), "none covers nothing else");
    ok(ngx_intuit_scope_covers(&wanted, &s), "any covers none");

    s = ngx_intuit_stub_str(pool, "email  a openid");
    ok(ngx_intuit_scope_covers(&s, &wanted), "more, in another order");
    ok(!ngx_intuit_scope_covers(&wanted, &s), "but not the other way round");
}


int
main(void)
{
    pool = ngx_intuit_stub_pool();

    test_authorize();
    test_requests();
    test_error();
    test_userinfo();
    test_merge();
    test_company();
    test_scope();

    ngx_destroy_pool(pool);

    return done_testing();
}
