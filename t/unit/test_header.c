/*
 * Cookies, media types, identity headers, e-mail rules, escaping.
 *
 * Rows: BF-02 CK-07 LES-04 LES-18
 */

#include <stdlib.h>

#include "ngx_intuit_header.h"
#include "ngx_intuit_stub.h"
#include "test.h"


#define FLOOD  8192


typedef struct {
    const char   *header;
    const char   *pairs;        /* "name|value" joined by newlines */
} cookie_case_t;

typedef struct {
    const char   *before;
    const char   *after;
    ngx_uint_t    removed;
} strip_case_t;

typedef struct {
    const char   *text;
    const char   *rule;
    ngx_uint_t    yes;
} rule_case_t;


static ngx_pool_t  *pool;


static const cookie_case_t  cookies[] = {
    { "", "" },
    { ";", "" },
    { ";;", "" },
    { " ; ;\t; ", "" },
    { "a=1", "a|1" },
    { "a=1; b=2", "a|1\nb|2" },
    { "a=1;b=2", "a|1\nb|2" },
    { " \ta \t= \t1 \t; b = 2 ", "a|1\nb|2" },
    { "a=1;", "a|1" },
    { ";a=1;;;b=2;", "a|1\nb|2" },
    { "a=", "a|" },
    { "a", "|a" },
    { "a; b", "|a\n|b" },
    { "=", "|" },
    { "==", "|=" },
    { "=a", "|a" },
    { "=__Host-x=evil", "|__Host-x=evil" },
    { " = __Host-x=evil", "|__Host-x=evil" },
    { "a=b=c==", "a|b=c==" },
    { "a=\"1; b=2\"", "a|\"1\nb|2\"" },
    { "\"a\"=1", "\"a\"|1" },
    { "a=1, b=2", "a|1, b=2" },
    { "a b=1 2", "a b|1 2" },
    { "__host-x=1; __Host-x=2", "__host-x|1\n__Host-x|2" },
    { "a=1\r\n; b=2", "a|1\r\n\nb|2" },
    { "$Version=1; a=1", "$Version|1\na|1" },
    { "a=\xff\x80", "a|\xff\x80" },
    { "a=1; a=2; a=1", "a|1\na|2\na|1" },
};


/* the name is "__Host-x", the prefix "__Host-x-login-" */

static const strip_case_t  strips[] = {

    /* only, first, middle, last */
    { "__Host-x=s", "", 1 },
    { "__Host-x=s; a=1", "a=1", 1 },
    { "a=1; __Host-x=s; b=2", "a=1; b=2", 1 },
    { "a=1; __Host-x=s", "a=1", 1 },

    /* without and with more blanks, the others byte for byte */
    { "a=1;__Host-x=s;b=2", "a=1;b=2", 1 },
    { "__Host-x=s;a=1", "a=1", 1 },
    { "a=1;__Host-x=s", "a=1", 1 },
    { "a=1 ;  __Host-x=s ;\tb=2  ", "a=1 ;\tb=2  ", 1 },
    { " a=1; __Host-x=s; b=2", " a=1; b=2", 1 },
    { "a=1; __Host-x=s;  b = 2 ;c", "a=1;  b = 2 ;c", 1 },
    { "a=1;__Host-x=s; b=2", "a=1; b=2", 1 },
    { "a=1; __Host-x=s;b=2", "a=1;b=2", 1 },

    /* duplicates */
    { "__Host-x=s; __Host-x=t", "", 2 },
    { "__Host-x=s; a=1; __Host-x=t; b=2; __Host-x=u", "a=1; b=2", 3 },
    { "a=1; __Host-x=s; __Host-x=s; b=2", "a=1; b=2", 2 },
    { "__Host-x=1;__Host-x=2;__Host-x=3;a=4", "a=4", 3 },

    /* the prefix */
    { "__Host-x-login-abc=s", "", 1 },
    { "__Host-x-login-=s", "", 1 },
    { "a=1; __Host-x-login-q=s; b=2; __Host-x=t", "a=1; b=2", 2 },
    { "__Host-x-logi=s", "__Host-x-logi=s", 0 },
    { "__Host-x-Login-a=s", "__Host-x-Login-a=s", 0 },

    /* disguises and near misses */
    { " __Host-x = s ; a=1", "a=1", 1 },
    { "\t__Host-x\t=s", "", 1 },
    { "__Host-x=", "", 1 },
    { "__Host-x=a=b", "", 1 },
    { "__Host-x=\"a; b=2\"", "b=2\"", 1 },
    { "__host-x=s; __HOST-X=s", "__host-x=s; __HOST-X=s", 0 },
    { "__Host-xx=s; x__Host-x=s; __Host-=s", "__Host-xx=s; x__Host-x=s; "
      "__Host-=s", 0 },
    { "=__Host-x=evil", "=__Host-x=evil", 0 },
    { "__Host-x", "__Host-x", 0 },
    { "a=__Host-x=s", "a=__Host-x=s", 0 },
    { "a=\"__Host-x=s\"", "a=\"__Host-x=s\"", 0 },

    /* nothing to take away: nothing changes */
    { "", "", 0 },
    { ";", ";", 0 },
    { ";;;", ";;;", 0 },
    { "; ;", "; ;", 0 },
    { "=", "=", 0 },
    { " a=1 ;; b ", " a=1 ;; b ", 0 },
    { "a=1; b=\"c d\"; e=%20;f", "a=1; b=\"c d\"; e=%20;f", 0 },

    /* empty pairs beside ours */
    { ";__Host-x=s", "", 1 },
    { "__Host-x=s;", "", 1 },
    { "a=1; __Host-x=s;", "a=1;", 1 },
    { "__Host-x=s;;a=1", ";a=1", 1 },
    { ";;__Host-x=s;;", ";;;", 1 },
};


static void
test_cookie_next(void)
{
    char        text[256];
    size_t      i, pos, len;
    ngx_str_t   header, name, value;
    ngx_uint_t  n, inside;

    for (i = 0; i < sizeof(cookies) / sizeof(cookies[0]); i++) {
        header = ngx_intuit_stub_str(pool, cookies[i].header);
        pos = 0;
        len = 0;
        n = 0;
        inside = 1;

        while (ngx_intuit_cookie_next(&header, &pos, &name, &value)
               == NGX_OK)
        {
            len += snprintf(text + len, sizeof(text) - len, "%s%.*s|%.*s",
                            n++ ? "\n" : "", (int) name.len, name.data,
                            (int) value.len, value.data);

            inside = inside && pos <= header.len && name.data >= header.data
                     && value.data + value.len <= header.data + header.len;
        }

        text[len] = '\0';

        ok(strcmp(text, cookies[i].pairs) == 0, "cookies in %u",
           (unsigned) i);
        ok(inside && pos == header.len
           && ngx_intuit_cookie_next(&header, &pos, &name, &value)
              == NGX_DONE,
           "... and no more");
    }

    ngx_str_null(&header);
    pos = 0;
    ok(ngx_intuit_cookie_next(&header, &pos, &name, &value) == NGX_DONE,
       "cookies: no header");

    header = ngx_intuit_stub_mem(pool, "a\0b=c\0d", 7);
    ok(ngx_intuit_cookie_next(&header, &pos, &name, &value) == NGX_OK
       && name.len == 3 && value.len == 3,
       "cookies: a NUL is a byte like any other");
}


static void
test_cookie_strip(void)
{
    size_t      i, n;
    u_char      flood[FLOOD];
    ngx_str_t   header, copy, name, prefix, none, k, v;
    ngx_uint_t  removed;

    ngx_intuit_cookie_name_t  ours[2];

    name = ngx_intuit_stub_str(pool, "__Host-x");
    prefix = ngx_intuit_stub_str(pool, "__Host-x-login-");
    ngx_str_null(&none);

    ours[0].name = name;
    ours[0].prefix = 0;
    ours[1].name = prefix;
    ours[1].prefix = 1;

    for (i = 0; i < sizeof(strips) / sizeof(strips[0]); i++) {
        header = ngx_intuit_stub_str(pool, strips[i].before);

        removed = ngx_intuit_cookie_strip(&header, ours, 2);

        ok(removed == strips[i].removed, "strip, %u: %u removed",
           (unsigned) i, (unsigned) removed);
        is_str(&header, strips[i].after, "... leaves \"%s\"",
               strips[i].after);

        n = 0;

        while (ngx_intuit_cookie_next(&header, &n, &k, &v) == NGX_OK) {
            if (k.len >= name.len
                && memcmp(k.data, name.data, name.len) == 0
                && (k.len == name.len
                    || (k.len >= prefix.len
                        && memcmp(k.data, prefix.data, prefix.len) == 0)))
            {
                ok(0, "... one of ours is left");
            }
        }
    }

    header = ngx_intuit_stub_str(pool, "a=1; __Host-x-login-q=s; __Host-x=t");
    removed = ngx_intuit_cookie_strip(&header, ours, 1);
    ok(removed == 1, "strip without a prefix");
    is_str(&header, "a=1; __Host-x-login-q=s", "... takes the name only");

    header = ngx_intuit_stub_str(pool, "a; =b; __Host-x-login-q=s");
    removed = ngx_intuit_cookie_strip(&header, &ours[1], 1);
    ok(removed == 1, "strip without a name");
    is_str(&header, "a; =b", "... takes no nameless pair");

    header = ngx_intuit_stub_str(pool, "a; =b; c=d");
    copy = ngx_intuit_stub_str(pool, "a; =b; c=d");
    ours[0].name = none;
    ours[1].name = none;
    removed = ngx_intuit_cookie_strip(&header, ours, 2);
    ours[0].name = name;
    ours[1].name = prefix;
    ok(removed == 0 && header.len == copy.len
       && memcmp(header.data, copy.data, copy.len) == 0,
       "strip nothing");

    ok(ngx_intuit_cookie_strip(&none, ours, 2) == 0,
       "strip: no header");

    memset(flood, ';', FLOOD);
    header = ngx_intuit_stub_mem(pool, flood, FLOOD);
    n = 0;
    ok(ngx_intuit_cookie_next(&header, &n, &k, &v) == NGX_DONE
       && n == FLOOD, "8 KB of semicolons hold no pair");
    ok(ngx_intuit_cookie_strip(&header, ours, 2) == 0
       && header.len == FLOOD, "... and nothing to strip");

    memcpy(flood + FLOOD - 11, "; __Host-x=", 11);
    header = ngx_intuit_stub_mem(pool, flood, FLOOD);
    ok(ngx_intuit_cookie_strip(&header, ours, 2) == 1
       && header.len == FLOOD - 11, "... but one at the end");
}


/* every way to place ours among three others, against a plain rebuild */

static void
test_cookie_strip_matrix(void)
{
    char        before[256], after[256];
    ngx_str_t   header;
    ngx_uint_t  n, i, kind, ours, good, first, any;
    const char  *part, *join;

    static const ngx_intuit_cookie_name_t  names[] = {
        { ngx_string("__Host-x"), 0 },
        { ngx_string("__Host-x-login-"), 1 }
    };

    static const char  *parts[] = {
        "a=1", "b=\"x y\"", "__Host-x=s", "__Host-x-login-k=t"
    };

    good = 1;

    for (n = 0; n < 2 * 4 * 4 * 4 * 4 * 4; n++) {

        join = (n & 1) ? ";" : "; ";
        before[0] = '\0';
        after[0] = '\0';
        ours = 0;
        first = 1;
        any = 0;

        for (i = 0; i < 5; i++) {
            kind = (n >> (1 + 2 * i)) & 3;
            part = parts[kind];

            if (any) {
                strcat(before, join);
            }

            strcat(before, part);
            any = 1;

            if (kind >= 2) {
                ours++;
                continue;
            }

            if (!first) {
                strcat(after, join);
            }

            strcat(after, part);
            first = 0;
        }

        header = ngx_intuit_stub_str(pool, before);

        if (ngx_intuit_cookie_strip(&header, names, 2) != ours
            || header.len != strlen(after)
            || memcmp(header.data, after, header.len) != 0)
        {
            printf("# \"%s\"\n", before);
            good = 0;
        }
    }

    ok(good, "strip: 2048 headers of five pairs");
}


static void
test_accepts(void)
{
    size_t     i;
    ngx_str_t  s;

    static const rule_case_t  cases[] = {
        { "text/html", "text/html", 1 },
        { "TEXT/Html", "text/html", 1 },
        { "text/html,application/xhtml+xml,*/*;q=0.8", "text/html", 1 },
        { "application/json, text/html", "text/html", 1 },
        { " \ttext/html ; charset=utf-8 ", "text/html", 1 },
        { "text/html;level=1;q=0.4", "text/html", 1 },
        { "text/html;q=1", "text/html", 1 },
        { "text/html;q=0.001", "text/html", 1 },
        { "text/html;q=0, text/html", "text/html", 1 },
        { "text/plain;x=\"a,b\", text/html", "text/html", 1 },
        { "text/html;x=\"a;q=0\"", "text/html", 1 },
        { "text/html;x=\"\\\";q=0\"", "text/html", 1 },
        { ",,text/html,,", "text/html", 1 },
        { "application/json", "application/json", 1 },

        { "", "text/html", 0 },
        { ",", "text/html", 0 },
        { ";", "text/html", 0 },
        { "*/*", "text/html", 0 },
        { "text/*", "text/html", 0 },
        { "text/*, */*;q=0.1", "text/html", 0 },
        { "text/html;q=0", "text/html", 0 },
        { "text/html;q=0.0", "text/html", 0 },
        { "text/html;q=0.000", "text/html", 0 },
        { "text/html;Q=0", "text/html", 0 },
        { "text/html; q = 0 ", "text/html", 0 },
        { "text/html;level=1;q=0", "text/html", 0 },
        { "text/html;q=0;x=1", "text/html", 0 },
        { "text/htmlx", "text/html", 0 },
        { "text/htm", "text/html", 0 },
        { "xtext/html", "text/html", 0 },
        { "text /html", "text/html", 0 },
        { "text/plain;x=\"text/html\"", "text/html", 0 },
        { "text/plain;x=\", text/html ,\"", "text/html", 0 },
        { "text/plain;x=\"text/html, text/html", "text/html", 0 },
        { "a=text/html", "text/html", 0 },
        { "\"text/html\"", "text/html", 0 },
        { "text/html\\", "text/html", 0 },
        { "\"\\", "text/html", 0 },
        { "application/json-seq", "application/json", 0 },
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        s = ngx_intuit_stub_str(pool, cases[i].text);
        ok(ngx_intuit_accepts(&s, cases[i].rule) == cases[i].yes,
           "accept %s: %s", cases[i].text, cases[i].yes ? "yes" : "no");
    }

    ngx_str_null(&s);
    ok(!ngx_intuit_accepts(&s, "text/html"), "accept: no header");
}


static void
test_identity(void)
{
    char        text[64];
    size_t      i, j;
    ngx_str_t   s;
    ngx_uint_t  good, n;

    /* every row of the table, found by halving: one out of order is missed */

    static const char  *identity[] = {
        "x-user", "x-user-id", "x-user-name", "x-username", "x-user-email",
        "x-user-roles", "x-email", "x-mail", "x-remote-user", "remote-user",
        "x-remote-email", "x-remote-groups", "x-forwarded-user",
        "x-forwarded-email", "x-forwarded-groups",
        "x-forwarded-preferred-username", "x-forwarded-access-token",
        "x-auth-request-user", "x-auth-request-email",
        "x-auth-request-access-token", "x-auth-user", "x-authenticated-user",
        "x-webauth-user", "x-authentik-username", "oidc-claim-sub",
        "x-intuit-realm", "x-intuit-access-token", "x-intuit-x", "x-roles",
        "x-groups", "x-preferred-username", "x-realm-id", "x-userinfo",
        "x-ms-client-principal", "x-ms-client-principal-name",
        "x-amzn-oidc-data", "x-goog-authenticated-user-email",
        "x-consumer-username", "cf-access-authenticated-user-x",
        "oidc-access-token", "oidc-id-token", "oidc-userinfo", "remote-email",
        "remote-groups", "remote-name", "tailscale-user-x",
        "x-anonymous-consumer", "x-auth-email", "x-auth-group",
        "x-auth-groups", "x-auth-name", "x-auth-role", "x-auth-roles",
        "x-auth-sub", "x-auth-subject", "x-auth-user-id", "x-auth-userid",
        "x-auth-username", "x-authenticated-email", "x-authenticated-groups",
        "x-authenticated-scope", "x-authenticated-user-id",
        "x-authenticated-userid", "x-claim-x", "x-consumer-custom-id",
        "x-consumer-groups", "x-consumer-id", "x-credential-identifier",
        "x-family-name", "x-forwarded-group", "x-forwarded-id-token",
        "x-forwarded-name", "x-forwarded-role", "x-forwarded-roles",
        "x-forwarded-user-id", "x-forwarded-username", "x-given-name",
        "x-goog-iap-jwt-x", "x-group", "x-jwt-claim-x", "x-logged-in-user",
        "x-oidc-x", "x-pomerium-claim-x", "x-proxy-remote-user",
        "x-proxy-user", "x-remote-extra-x", "x-remote-group", "x-remote-name",
        "x-remote-role", "x-remote-roles", "x-remote-user-email",
        "x-remote-user-groups", "x-remote-user-id", "x-remote-user-name",
        "x-remote-username", "x-role", "x-sso-email", "x-sso-user", "x-sub",
        "x-subject", "x-user-claims", "x-user-full-name", "x-user-fullname",
        "x-user-group", "x-user-groups", "x-user-info", "x-user-login",
        "x-user-mail", "x-user-phone", "x-user-realm", "x-user-role",
        "x-user-sub", "x-user-uid", "x-useremail", "x-userid", "x-users",
        "x-vouch-x",
    };

    static const char  *harmless[] = {
        "", "x", "x-", "user", "email", "host", "accept", "cookie",
        "content-type", "user-agent", "x-user-agent", "x-forwarded-for",
        "x-forwarded-proto", "x-forwarded-host", "x-forwarded-port",
        "x-forwarded", "x-real-ip", "x-remote-addr", "x-request-id",
        "x-requested-with", "x-csrf-token", "x-auth-token", "x-api-key",
        "x-users-online", "x-userx", "x-emails", "xuser", "x-intuit",
        "x-intuitive", "x-correlation-id", "authorization", "origin",
        "referer", "remote-users", "intuit-signature", "intuit-tid",
    };

    for (i = 0; i < sizeof(identity) / sizeof(identity[0]); i++) {
        good = 1;

        /* case, then each of "-", "_" and "." in turn */

        for (n = 0; n < 6; n++) {
            snprintf(text, sizeof(text), "%s", identity[i]);

            for (j = 0; text[j] != '\0'; j++) {

                if (text[j] == '-') {
                    text[j] = "-_.-_."[(n + j * (n > 2)) % 6];

                } else if (n & 1) {
                    text[j] = (char) ngx_toupper(text[j]);
                }
            }

            s = ngx_intuit_stub_str(pool, text);

            if (!ngx_intuit_identity_header(&s)) {
                printf("# %s\n", text);
                good = 0;
            }
        }

        ok(good, "identity header: %s, in every spelling", identity[i]);
    }

    for (i = 0; i < sizeof(harmless) / sizeof(harmless[0]); i++) {
        s = ngx_intuit_stub_str(pool, harmless[i]);
        ok(!ngx_intuit_identity_header(&s), "no identity header: \"%s\"",
           harmless[i]);
    }

    s = ngx_intuit_stub_mem(pool, "x-user\0", 7);
    ok(!ngx_intuit_identity_header(&s), "no identity header: a NUL");

    s = ngx_intuit_stub_str(pool, "X_Auth.request-USER");
    ok(ngx_intuit_header_is(&s, "x-auth-request-user"), "header is");
    ok(!ngx_intuit_header_is(&s, "x-auth-request-use"), "... not shorter");
    ok(!ngx_intuit_header_is(&s, "x-auth-request-users"), "... not longer");
    ok(!ngx_intuit_header_is(&s, ""), "... not nothing");

    ngx_str_null(&s);
    ok(ngx_intuit_header_is(&s, ""), "nothing is nothing");
    ok(!ngx_intuit_header_is(&s, "a"), "... and no name");
}


static void
test_email(void)
{
    size_t      i;
    ngx_str_t   email, rule;
    ngx_uint_t  b, good;

    static const rule_case_t  cases[] = {
        { "user@company.com", "@company.com", 1 },
        { "User@COMPANY.com", "@company.com", 1 },
        { "user@company.com", "@Company.COM", 1 },
        { "user@company.com", "user@company.com", 1 },
        { "USER@company.com", "user@Company.com", 1 },
        { "a.b+c%d'e@company.com", "@company.com", 1 },
        { "a@localhost", "@localhost", 1 },

        { "attacker@evil.com@company.com", "@company.com", 0 },
        { "@evil.com@company.com", "@company.com", 0 },
        { "attacker@evil.com@company.com", "attacker@evil.com@company.com",
          0 },
        { "user@@company.com", "@company.com", 0 },
        { "user@@company.com", "@@company.com", 0 },
        { "\"a@b\"@company.com", "@company.com", 0 },
        { "user@company.com@", "@company.com", 0 },
        { "user@company.com@", "@company.com@", 0 },
        { "@company.com", "@company.com", 0 },
        { "company.com", "@company.com", 0 },
        { "company.com", "company.com", 0 },
        { "user", "user", 0 },
        { "user@", "user@", 0 },
        { "user@", "@", 0 },
        { "@", "@", 0 },
        { "", "@company.com", 0 },
        { "", "", 0 },
        { "user@company.com", "", 0 },
        { "user@company.com", "@", 0 },
        { "user@company.com", "company.com", 0 },
        { "user@company.com", "user", 0 },
        { "user@company.com.", "@company.com", 0 },
        { "user@company.com", "@company.com.", 0 },
        { "user@company.com.", "user@company.com", 0 },
        { "user@sub.company.com", "@company.com", 0 },
        { "user@sub.company.com", "@.company.com", 0 },
        { "user@evil-company.com", "@company.com", 0 },
        { "user@evilcompany.com", "@company.com", 0 },
        { "user@company.com.evil.com", "@company.com", 0 },
        { "user@company.comm", "@company.com", 0 },
        { "user@company.co", "@company.com", 0 },
        { "xuser@company.com", "user@company.com", 0 },
        { "ser@company.com", "user@company.com", 0 },
        { "user@company.com ", "@company.com", 0 },
        { " user@company.com", "user@company.com", 0 },
        { "us er@company.com", "@company.com", 0 },
        { "user@company.com\n", "@company.com", 0 },
        { "user@company.com\r\n", "@company.com", 0 },
        { "a@evil.com,user@company.com", "@company.com", 0 },
        { "evil,user@company.com", "@company.com", 0 },
        { "<user@company.com>", "@company.com", 0 },
        { "us\xc3\xa9r@company.com", "@company.com", 0 },
        { "user@c\xd0\xbempany.com", "@company.com", 0 },
        { "user@c\xd0\xbempany.com", "@c\xd0\xbempany.com", 0 },
        { "user\xef\xbc\xa0" "company.com", "@company.com", 0 },
        { "user@company\xe3\x80\x82" "com", "@company.com", 0 },
        { "user@company.\xc4\xb1om", "@company.iom", 0 },
        { "user@\xe2\x84\xaa.com", "@k.com", 0 },
        { "user@company.com\xe2\x80\x8b", "@company.com", 0 },
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        email = ngx_intuit_stub_str(pool, cases[i].text);
        rule = ngx_intuit_stub_str(pool, cases[i].rule);

        ok(ngx_intuit_email_matches(&email, &rule) == cases[i].yes,
           "e-mail %u %s rule %s", (unsigned) i,
           cases[i].yes ? "matches" : "does not match", cases[i].rule);
    }

    email = ngx_intuit_stub_mem(pool, "a\0@company.com", 14);
    rule = ngx_intuit_stub_str(pool, "@company.com");
    ok(!ngx_intuit_email_matches(&email, &rule), "e-mail: a NUL");

    email = ngx_intuit_stub_mem(pool, "a@company.com\0", 14);
    ok(!ngx_intuit_email_matches(&email, &rule), "e-mail: a NUL at the end");

    good = 1;

    for (b = 0; b < 256; b++) {
        email = ngx_intuit_stub_str(pool, "aXb@company.com");
        email.data[1] = (u_char) b;

        if (ngx_intuit_email_matches(&email, &rule)
            != (b > 0x20 && b < 0x7f && b != '@' && b != ','))
        {
            printf("# byte %02x\n", (unsigned) b);
            good = 0;
        }
    }

    ok(good, "e-mail: each byte");
}


static void
test_html(void)
{
    size_t      i, len;
    u_char     *end;
    ngx_str_t   s, out;
    ngx_uint_t  b, good;

    static const struct {
        const char  *in;
        const char  *out;
    } cases[] = {
        { "", "" },
        { "plain text", "plain text" },
        { "<script>alert('&\"')</script>",
          "&lt;script&gt;alert(&#39;&amp;&quot;&#39;)&lt;/script&gt;" },
        { "&amp;", "&amp;amp;" },
        { "caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80",
          "caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80" },
        { "a\tb\r\nc\x7f", "a?b??c?" },
        { "\xff\xfe", "??" },
        { "a\xc3", "a?" },
        { "\xc3<", "?&lt;" },
        { "\xe2\x82<", "??&lt;" },
        { "\xf0\x9f\x98\"", "???&quot;" },
        { "\xc0\xbc", "??" },
        { "\xe0\x80\xbc", "???" },
        { "\xed\xa0\x80", "???" },
        { "\xf4\x90\x80\x80", "????" },
        { "%s%n", "%s%n" },
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        s = ngx_intuit_stub_str(pool, cases[i].in);
        len = ngx_intuit_html_escaped_len(&s);
        out.data = ngx_palloc(pool, len);
        out.len = ngx_intuit_html_escape(out.data, &s) - out.data;

        ok(out.len == len, "html %u: the length is right", (unsigned) i);
        is_str(&out, cases[i].out, "... and the text");
    }

    good = 1;

    for (b = 0; b < 256; b++) {
        s = ngx_intuit_stub_str(pool, "X");
        s.data[0] = (u_char) b;

        len = ngx_intuit_html_escaped_len(&s);
        out.data = ngx_palloc(pool, len);
        end = ngx_intuit_html_escape(out.data, &s);

        if ((size_t) (end - out.data) != len
            || memchr(out.data, '<', len) || memchr(out.data, '>', len)
            || memchr(out.data, '"', len) || memchr(out.data, '\'', len)
            || ((b < 0x20 || b > 0x7e) && (len != 1 || out.data[0] != '?')))
        {
            printf("# byte %02x\n", (unsigned) b);
            good = 0;
        }
    }

    ok(good, "html: each byte");
}


static void
test_log_safe(void)
{
    size_t      i;
    u_char      all[256];
    ngx_str_t   s, out;
    ngx_uint_t  good;

    for (i = 0; i < 256; i++) {
        all[i] = (u_char) i;
    }

    s = ngx_intuit_stub_mem(pool, all, 256);
    ngx_intuit_log_safe(pool, &s, 1000, &out);

    good = (out.len == 256);

    for (i = 0; i < out.len; i++) {
        if (out.data[i] != ((i < 0x20 || i > 0x7e || i == '"' || i == '\''
                             || i == '\\') ? '?' : i))
        {
            good = 0;
        }
    }

    ok(good, "log: each byte");

    s = ngx_intuit_stub_str(pool, "a\r\n[alert] b");
    ngx_intuit_log_safe(pool, &s, 64, &out);
    is_str(&out, "a??[alert] b", "log: no new line");

    ngx_intuit_log_safe(pool, &s, 4, &out);
    is_str(&out, "a??[", "log: cut");

    ngx_intuit_log_safe(pool, &s, s.len, &out);
    ok(out.len == s.len, "log: as long as allowed");

    ngx_intuit_log_safe(pool, &s, 0, &out);
    ok(out.len == 0, "log: nothing allowed");

    ngx_str_null(&out);
    ngx_intuit_log_safe(pool, &out, 10, &out);
    ok(out.len == 0, "log: nothing there");

    ngx_intuit_stub_fail_after(0);
    ngx_intuit_log_safe(pool, &s, 64, &out);
    ngx_intuit_stub_fail_after(-1);
    ok(out.len == 0, "log: no memory");
}


static void
test_retry_after(void)
{
    ngx_str_t   s;
    ngx_uint_t  i;

    /* Sun, 06 Nov 1994 08:49:37 GMT */
    static const time_t  now = 784111777;

    static const struct {
        const char  *value;
        time_t       t;
    } cases[] = {
        { "0", 0 },
        { "1", 1 },
        { "120", 120 },
        { "0120", 120 },
        { "601", NGX_INTUIT_RETRY_MAX },
        { "1000000000", NGX_INTUIT_RETRY_MAX },
        { "99999999999999999999999999", NGX_INTUIT_RETRY_MAX },
        { "Sun, 06 Nov 1994 08:50:37 GMT", 60 },
        { "Sunday, 06-Nov-94 08:50:37 GMT", 60 },
        { "Sun Nov  6 08:50:37 1994", 60 },
        { "Sun, 06 Nov 1994 08:49:37 GMT", 0 },
        { "Sun, 06 Nov 1994 08:49:36 GMT", 0 },
        { "Mon, 06 Nov 2034 08:49:37 GMT", NGX_INTUIT_RETRY_MAX },
        { "Sun, 32 Nov 1994 08:50:37 GMT", 0 },
        { "", 0 },
        { "-1", 0 },
        { "+1", 0 },
        { "1.5", 0 },
        { "10s", 0 },
        { "1e3", 0 },
        { "0x10", 0 },
        { "10, 20", 0 },
        { "soon", 0 },
        { ",", 0 },
        { "Sun, 06 Nov 1994", 0 },
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        s = ngx_intuit_stub_str(pool, cases[i].value);
        ok(ngx_intuit_retry_after(&s, now) == cases[i].t,
           "Retry-After: \"%s\"", cases[i].value);
    }
}


int
main(void)
{
    pool = ngx_intuit_stub_pool();

    test_cookie_next();
    test_cookie_strip();
    test_cookie_strip_matrix();
    test_accepts();
    test_identity();
    test_email();
    test_html();
    test_log_safe();
    test_retry_after();

    ngx_destroy_pool(pool);

    return done_testing();
}
