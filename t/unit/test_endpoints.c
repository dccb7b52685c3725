/*
 * Intuit's endpoints, and discovery documents from whoever sent them.
 *
 * Rows: DI-01
 */

#include <stdlib.h>

#include "ngx_intuit_endpoints.h"
#include "ngx_intuit_stub.h"
#include "test.h"


#define DOCUMENT                                                              \
    "{\"issuer\":\"https://oauth.platform.intuit.com/op/v1\","                \
    "\"authorization_endpoint\":"                                             \
    "\"https://appcenter.intuit.com/connect/oauth2\","                        \
    "\"token_endpoint\":"                                                     \
    "\"https://oauth.platform.intuit.com/oauth2/v1/tokens/bearer\","          \
    "\"userinfo_endpoint\":"                                                  \
    "\"https://accounts.platform.intuit.com/v1/openid_connect/userinfo\","    \
    "\"revocation_endpoint\":"                                                \
    "\"https://developer.api.intuit.com/v2/oauth2/tokens/revoke\","           \
    "\"jwks_uri\":\"https://oauth.platform.intuit.com/op/v1/jwks\","          \
    "\"response_types_supported\":[\"code\"],"                                \
    "\"subject_types_supported\":[\"public\"],"                               \
    "\"id_token_signing_alg_values_supported\":[\"RS256\"],"                  \
    "\"scopes_supported\":[\"openid\",\"email\"],"                            \
    "\"token_endpoint_auth_methods_supported\":"                              \
    "[\"client_secret_post\",\"client_secret_basic\"],"                       \
    "\"claims_supported\":[\"aud\",\"exp\",\"iat\",\"iss\",\"realmid\","      \
    "\"sub\"]}"

#define ISSUER  "https://oauth.platform.intuit.com/op/v1"


static ngx_pool_t  *pool;


/* a minimal document, one member of which is replaced by JSON text */

static ngx_str_t
document(const char *member, const char *json)
{
    char        text[8192];
    size_t      i, len;
    ngx_uint_t  found;

    static const char  *members[][2] = {
        { "issuer", "\"https://a.intuit.com/op\"" },
        { "authorization_endpoint", "\"https://b.intuit.com/auth\"" },
        { "token_endpoint", "\"https://c.intuit.com/token\"" },
        { "jwks_uri", "\"https://d.intuit.com/jwks\"" },
        { "userinfo_endpoint", "\"https://e.intuit.com/userinfo\"" },
        { "revocation_endpoint", "\"https://f.intuit.com/revoke\"" },
    };

    len = 0;
    found = (member == NULL);

    for (i = 0; i < sizeof(members) / sizeof(members[0]); i++) {

        if (member != NULL && strcmp(member, members[i][0]) == 0) {
            found = 1;

            if (json == NULL) {
                continue;
            }
        }

        len += snprintf(text + len, sizeof(text) - len, "%c\"%s\":%s",
                        len ? ',' : '{', members[i][0],
                        (member != NULL
                         && strcmp(member, members[i][0]) == 0)
                            ? json : members[i][1]);
    }

    if (!found) {
        len += snprintf(text + len, sizeof(text) - len, ",\"%s\":%s", member,
                        json);
    }

    text[len++] = '}';

    return ngx_intuit_stub_mem(pool, text, len);
}


static ngx_int_t
parse(const ngx_str_t *text, const char *issuer, const char *suffix,
    ngx_intuit_endpoints_t *e)
{
    ngx_int_t    rc;
    ngx_str_t    iss;
    const char  *reason;

    ngx_str_null(&iss);

    if (issuer != NULL) {
        iss = ngx_intuit_stub_str(pool, issuer);
    }

    reason = NULL;

    rc = ngx_intuit_endpoints_parse(pool, text, &iss, suffix, e, &reason);

    if (rc == NGX_DECLINED && reason == NULL) {
        ok(0, "a refusal without a reason");
    }

    return rc;
}


static ngx_uint_t
same(const ngx_str_t *a, const ngx_str_t *b)
{
    return a->len == b->len && a->len != 0
           && memcmp(a->data, b->data, a->len) == 0;
}


static void
test_defaults(void)
{
    ngx_str_t               text;
    ngx_intuit_endpoints_t  p, s, d;

    memset(&p, 0xff, sizeof(p));
    memset(&s, 0xff, sizeof(s));

    ngx_intuit_endpoints_default(&p, 1);
    ngx_intuit_endpoints_default(&s, 0);

    text = ngx_intuit_stub_str(pool, DOCUMENT);

    ok(parse(&text, ISSUER, ".intuit.com", &d) == NGX_OK,
       "Intuit's production document");
    ok(same(&p.issuer, &d.issuer)
       && same(&p.authorization_endpoint, &d.authorization_endpoint)
       && same(&p.token_endpoint, &d.token_endpoint)
       && same(&p.userinfo_endpoint, &d.userinfo_endpoint)
       && same(&p.revocation_endpoint, &d.revocation_endpoint)
       && same(&p.jwks_uri, &d.jwks_uri)
       && p.iss_parameter == 0 && d.iss_parameter == 0,
       "... says what the literals say");

    ok(same(&p.issuer, &s.issuer)
       && same(&p.authorization_endpoint, &s.authorization_endpoint)
       && same(&p.token_endpoint, &s.token_endpoint)
       && same(&p.revocation_endpoint, &s.revocation_endpoint)
       && same(&p.jwks_uri, &s.jwks_uri) && s.iss_parameter == 0,
       "the sandbox differs in nothing");
    is_str(&s.userinfo_endpoint,
           "https://sandbox-accounts.platform.intuit.com"
           "/v1/openid_connect/userinfo", "... but in userinfo");
}


static void
test_members(void)
{
    size_t                  i;
    ngx_str_t               text;
    ngx_intuit_endpoints_t  e;

    static const char  *required[] = {
        "issuer", "authorization_endpoint", "token_endpoint", "jwks_uri"
    };

    static const char  *optional[] = {
        "userinfo_endpoint", "revocation_endpoint"
    };

    static const char  *odd[] = {
        "1", "true", "[]", "{}", "[\"https://a.intuit.com\"]", "\"\"",
        "\" \"", "\"/a\"", "\"a.intuit.com\"", "\"//a.intuit.com/\"",
        "\"javascript:alert(1)\"", "\"ftp://a.intuit.com/\"",
        "\"http://a.intuit.com/\"", "\"HTTP://a.intuit.com/\"",
        "\"https://\"", "\"https:///a\"", "\"https://a.intuit.com/#b\"",
        "\"https://a.intuit.com/ b\"", "\"https://a.intuit.com/\\r\\nb\"",
        "\"https://a.intuit.com/\\u0000\"", "\"https://a.intuit.com/\\u00e9\"",
        "\"https://a.intuit.com\\\\b\"", "\"https://evil-intuit.com/\"",
        "\"https://evilintuit.com/\"", "\"https://intuit.com.evil/\"",
        "\"https://intuit.com/\"", "\"https://.intuit.com/\"",
        "\"https://a.intuit.com./\"", "\"https://evil/?a.intuit.com\"",
        "\"https://evil/a.intuit.com\"", "\"https://evil:1/.intuit.com\"",
        "\"https://oauth.platform.intuit.com@evil\"",
        "\"https://oauth.platform.intuit.com@evil.intuit.com\"",
        "\"https://evil\\\\.intuit.com/\"", "\"https://evil%2f.intuit.com/\"",
        "\"https://evil#.intuit.com/\"", "\"https://evil?.intuit.com\"",
        "\"https://a.intuit.com:0/\"", "\"https://a.intuit.com:99999/\"",
        "\"https://127.0.0.1/\"", "\"http://127.0.0.1/\"",
        "\"http://localhost/\"", "\"https://a.\\u0131ntuit.com/\"",
    };

    text = document(NULL, NULL);
    ok(parse(&text, NULL, ".intuit.com", &e) == NGX_OK, "six members");
    ok(parse(&text, NULL, NULL, &e) == NGX_OK, "... without a suffix");
    is_str(&e.revocation_endpoint, "https://f.intuit.com/revoke",
           "... the last");

    for (i = 0; i < sizeof(required) / sizeof(required[0]); i++) {
        text = document(required[i], NULL);
        ok(parse(&text, NULL, NULL, &e) == NGX_DECLINED, "no %s",
           required[i]);

        text = document(required[i], "null");
        ok(parse(&text, NULL, NULL, &e) == NGX_DECLINED, "%s: null",
           required[i]);
    }

    for (i = 0; i < sizeof(optional) / sizeof(optional[0]); i++) {
        text = document(optional[i], NULL);
        memset(&e, 0xff, sizeof(e));
        ok(parse(&text, NULL, NULL, &e) == NGX_OK
           && (i ? e.revocation_endpoint.len : e.userinfo_endpoint.len) == 0,
           "no %s", optional[i]);

        text = document(optional[i], "null");
        ok(parse(&text, NULL, NULL, &e) == NGX_OK
           && (i ? e.revocation_endpoint.len : e.userinfo_endpoint.len) == 0,
           "%s: null", optional[i]);
    }

    for (i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
        text = document("token_endpoint", odd[i]);
        ok(parse(&text, NULL, ".intuit.com", &e) == NGX_DECLINED,
           "token_endpoint: %s", odd[i]);

        text = document("userinfo_endpoint", odd[i]);
        ok(parse(&text, NULL, ".intuit.com", &e) == NGX_DECLINED,
           "userinfo_endpoint: %s", odd[i]);

        text = document("issuer", odd[i]);
        ok(parse(&text, NULL, ".intuit.com", &e) == NGX_DECLINED,
           "issuer: %s", odd[i]);
    }
}


static void
test_hosts(void)
{
    size_t                  i;
    ngx_str_t               text;
    ngx_intuit_endpoints_t  e;

    static const struct {
        const char  *url;
        const char  *suffix;
        ngx_int_t    rc;
    } cases[] = {
        { "\"https://op.example/jwks\"", NULL, NGX_OK },
        { "\"https://op.example:8443/jwks?a=b\"", NULL, NGX_OK },
        { "\"https://10.0.0.1/jwks\"", NULL, NGX_OK },
        { "\"http://127.0.0.1:9000/jwks\"", NULL, NGX_OK },
        { "\"http://127.1.2.3/jwks\"", NULL, NGX_OK },
        { "\"http://[::1]:9000/jwks\"", NULL, NGX_OK },
        { "\"http://localhost:9000/jwks\"", NULL, NGX_OK },
        { "\"http://sim.localhost/jwks\"", NULL, NGX_OK },
        { "\"http://op.example/jwks\"", NULL, NGX_DECLINED },
        { "\"http://10.0.0.1/jwks\"", NULL, NGX_DECLINED },
        { "\"http://0.0.0.0/jwks\"", NULL, NGX_DECLINED },
        { "\"http://[::]/jwks\"", NULL, NGX_DECLINED },
        { "\"http://127.1/jwks\"", NULL, NGX_DECLINED },
        { "\"http://127.0.0.1.evil/jwks\"", NULL, NGX_DECLINED },
        { "\"http://localhost.evil/jwks\"", NULL, NGX_DECLINED },
        { "\"http://evillocalhost/jwks\"", NULL, NGX_DECLINED },
        { "\"http://localhost@evil/jwks\"", NULL, NGX_DECLINED },
        { "\"http://[::ffff:127.0.0.1]/jwks\"", NULL, NGX_DECLINED },

        { "\"https://x.INTUIT.com/\"", ".intuit.com", NGX_OK },
        { "\"https://x.y.intuit.com:443/\"", ".intuit.com", NGX_OK },
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        text = document("jwks_uri", cases[i].url);
        ok(parse(&text, NULL, cases[i].suffix, &e) == cases[i].rc,
           "jwks_uri: %s", cases[i].url);
    }

    /* a suffix without its dot */

    text = document(NULL, NULL);
    ok(parse(&text, NULL, "intuit.com", &e) == NGX_OK, "suffix intuit.com");
    text = document("jwks_uri", "\"https://intuit.com/\"");
    ok(parse(&text, NULL, "intuit.com", &e) == NGX_OK, "... the host itself");
    ok(parse(&text, NULL, ".intuit.com", &e) == NGX_DECLINED,
       "... but not with the dot");
    text = document("jwks_uri", "\"https://evilintuit.com/\"");
    ok(parse(&text, NULL, "intuit.com", &e) == NGX_DECLINED,
       "... not the middle of a label");
}


static void
test_issuer(void)
{
    size_t                  i;
    char                    longest[2200];
    ngx_str_t               text;
    ngx_intuit_endpoints_t  e;

    static const char  *others[] = {
        "https://a.intuit.com/op/", "https://a.intuit.com/o",
        "https://a.intuit.com/opp", "https://A.intuit.com/op",
        "https://a.intuit.com:443/op", "https://a.intuit.com/%6fp",
        "https://b.intuit.com/op", "a",
    };

    text = document(NULL, NULL);
    ok(parse(&text, "https://a.intuit.com/op", NULL, &e) == NGX_OK,
       "the issuer asked for");

    for (i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        ok(parse(&text, others[i], NULL, &e) == NGX_DECLINED,
           "not the issuer %s", others[i]);
    }

    text = document("issuer", "\"https://a.intuit.com/op?x=1\"");
    ok(parse(&text, NULL, NULL, &e) == NGX_DECLINED, "an issuer's query");

    text = document("issuer", "\"https:\\/\\/a.intuit.com\\/op\"");
    ok(parse(&text, "https://a.intuit.com/op", NULL, &e) == NGX_OK,
       "escaped slashes");

    for (i = 2048; i < 2050; i++) {
        memset(longest, 'a', sizeof(longest));
        memcpy(longest, "\"https://a.intuit.com/", 22);
        strcpy(longest + 1 + i, "\"");

        text = document("token_endpoint", longest);
        ok(parse(&text, NULL, NULL, &e)
           == (i == 2048 ? NGX_OK : NGX_DECLINED),
           "an endpoint of %u bytes", (unsigned) i);
    }
}


static void
test_iss_parameter(void)
{
    size_t                  i;
    ngx_str_t               text;
    ngx_intuit_endpoints_t  e;

    static const char  name[] =
        "authorization_response_iss_parameter_supported";

    static const struct {
        const char  *json;
        ngx_int_t    rc;
        ngx_uint_t   on;
    } cases[] = {
        { "true", NGX_OK, 1 },
        { "false", NGX_OK, 0 },
        { "null", NGX_OK, 0 },
        { "\"true\"", NGX_DECLINED, 0 },
        { "1", NGX_DECLINED, 0 },
        { "[true]", NGX_DECLINED, 0 },
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        text = document(name, cases[i].json);
        ok(parse(&text, NULL, NULL, &e) == cases[i].rc
           && (cases[i].rc != NGX_OK || e.iss_parameter == cases[i].on),
           "iss parameter: %s", cases[i].json);
    }
}


static void
test_damage(void)
{
    size_t                  i;
    ngx_str_t               text;
    ngx_uint_t              good;
    ngx_intuit_endpoints_t  e;

    static const char  *bad[] = {
        "", " ", "null", "[]", "\"a\"", "1", "{", "}", "{}", "[{}]", "{}{}",
        "<html></html>", "{\"issuer\":\"https://a\",}", DOCUMENT "x",
        DOCUMENT DOCUMENT,
    };

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        text = ngx_intuit_stub_str(pool, bad[i]);
        ok(parse(&text, NULL, NULL, &e) == NGX_DECLINED, "no document, %u",
           (unsigned) i);
    }

    good = 1;

    for (i = 0; i < sizeof(DOCUMENT) - 1; i++) {
        text = ngx_intuit_stub_mem(pool, DOCUMENT, i);

        if (parse(&text, NULL, NULL, &e) != NGX_DECLINED) {
            printf("# cut at %u\n", (unsigned) i);
            good = 0;
        }
    }

    ok(good, "a document cut at each of its bytes");

    text = ngx_intuit_stub_str(pool,
               "{\"issuer\":\"https://a/\",\"issuer\":\"https://b/\","
               "\"authorization_endpoint\":\"https://a/\","
               "\"token_endpoint\":\"https://a/\","
               "\"jwks_uri\":\"https://a/\"}");
    ok(parse(&text, NULL, NULL, &e) == NGX_DECLINED, "a member twice");

    /* the endpoints live as long as the pool, not as the text */

    text = document(NULL, NULL);
    ok(parse(&text, NULL, NULL, &e) == NGX_OK, "a document again");
    memset(text.data, 'x', text.len);
    is_str(&e.token_endpoint, "https://c.intuit.com/token",
           "... outlives its text");
}


int
main(void)
{
    pool = ngx_intuit_stub_pool();

    test_defaults();
    test_members();
    test_hosts();
    test_issuer();
    test_iss_parameter();
    test_damage();

    ngx_destroy_pool(pool);

    return done_testing();
}
