/*
 * URLs and paths: what may be sent to a browser, what to an upstream.
 *
 * The return-target corpora are in t/corpus/return-target/.
 *
 * Rows: NGX-OR
 */

#include <errno.h>
#include <stdlib.h>

#include "ngx_intuit_stub.h"
#include "ngx_intuit_url.h"
#include "test.h"


#define CORPUS_LINE_MAX  8192


typedef struct {
    const char   *url;
    const char   *scheme;
    const char   *host;
    const char   *authority;
    const char   *origin;
    const char   *path;
    const char   *args;         /* NULL: has none */
    ngx_uint_t    port;
    ngx_uint_t    loopback;
    ngx_uint_t    literal;
} url_case_t;


static ngx_pool_t  *pool;


static const url_case_t  good_urls[] = {

    { "https://example.com", "https", "example.com", "example.com",
      "https://example.com", "/", NULL, 443, 0, 0 },

    { "https://example.com/", "https", "example.com", "example.com",
      "https://example.com", "/", NULL, 443, 0, 0 },

    { "http://example.com/a/b", "http", "example.com", "example.com",
      "http://example.com", "/a/b", NULL, 80, 0, 0 },

    { "https://example.com?a=b", "https", "example.com", "example.com",
      "https://example.com", "/", "a=b", 443, 0, 0 },

    { "https://example.com/?", "https", "example.com", "example.com",
      "https://example.com", "/", "", 443, 0, 0 },

    { "https://example.com:8443/c?a=b?c/d:e@f", "https", "example.com",
      "example.com:8443", "https://example.com:8443", "/c", "a=b?c/d:e@f",
      8443, 0, 0 },

    { "https://example.com/a@b:c", "https", "example.com", "example.com",
      "https://example.com", "/a@b:c", NULL, 443, 0, 0 },

    { "HtTpS://Example.COM/A", "https", "Example.COM", "Example.COM",
      "HtTpS://Example.COM", "/A", NULL, 443, 0, 0 },

    { "http://a:1", "http", "a", "a:1", "http://a:1", "/", NULL, 1, 0, 0 },

    { "http://a:65535/", "http", "a", "a:65535", "http://a:65535", "/", NULL,
      65535, 0, 0 },

    { "http://a_b-c.d/", "http", "a_b-c.d", "a_b-c.d", "http://a_b-c.d", "/",
      NULL, 80, 0, 0 },

    { "https://xn--bcher-kva.example/", "https", "xn--bcher-kva.example",
      "xn--bcher-kva.example", "https://xn--bcher-kva.example", "/", NULL,
      443, 0, 0 },

    { "https://1.2.3.4.com/", "https", "1.2.3.4.com", "1.2.3.4.com",
      "https://1.2.3.4.com", "/", NULL, 443, 0, 0 },

    { "http://localhost:8080/intuit/callback", "http", "localhost",
      "localhost:8080", "http://localhost:8080", "/intuit/callback", NULL,
      8080, 1, 0 },

    { "http://LOCALHOST", "http", "LOCALHOST", "LOCALHOST",
      "http://LOCALHOST", "/", NULL, 80, 1, 0 },

    { "http://a.b.localhost/", "http", "a.b.localhost", "a.b.localhost",
      "http://a.b.localhost", "/", NULL, 80, 1, 0 },

    { "http://localhost.example/", "http", "localhost.example",
      "localhost.example", "http://localhost.example", "/", NULL, 80, 0, 0 },

    { "http://evillocalhost/", "http", "evillocalhost", "evillocalhost",
      "http://evillocalhost", "/", NULL, 80, 0, 0 },

    { "http://127.0.0.1:9000/", "http", "127.0.0.1", "127.0.0.1:9000",
      "http://127.0.0.1:9000", "/", NULL, 9000, 1, 1 },

    { "http://127.255.255.254/", "http", "127.255.255.254",
      "127.255.255.254", "http://127.255.255.254", "/", NULL, 80, 1, 1 },

    { "http://128.0.0.1/", "http", "128.0.0.1", "128.0.0.1",
      "http://128.0.0.1", "/", NULL, 80, 0, 1 },

    { "http://127.0.0.1.example/", "http", "127.0.0.1.example",
      "127.0.0.1.example", "http://127.0.0.1.example", "/", NULL, 80, 0, 0 },

    { "http://[::1]/", "http", "::1", "[::1]", "http://[::1]", "/", NULL,
      80, 1, 1 },

    { "http://[0:0:0:0:0:0:0:1]:81?", "http", "0:0:0:0:0:0:0:1",
      "[0:0:0:0:0:0:0:1]:81", "http://[0:0:0:0:0:0:0:1]:81", "/", "",
      81, 1, 1 },

    { "https://[2001:db8::a]:444/x", "https", "2001:db8::a",
      "[2001:db8::a]:444", "https://[2001:db8::a]:444", "/x", NULL,
      444, 0, 1 },

    { "https://[::ffff:127.0.0.1]/", "https", "::ffff:127.0.0.1",
      "[::ffff:127.0.0.1]", "https://[::ffff:127.0.0.1]", "/", NULL,
      443, 0, 1 },
};


static const char  *bad_urls[] = {
    "", "h", "http", "http:", "http:/", "http://", "https://", "https:///a",
    "https://?a", "https://:443/", "//example.com", "/a", "example.com",
    "ftp://example.com", "httpss://example.com", "xhttps://example.com",
    "https:example.com", "https:/example.com", " https://example.com",
    "https://example.com ", "https://exa mple.com", "https://example.com/a b",
    "https://example.com/\t", "https://example.com/\r\n", "https://\n",
    "https://example.com/\x7f", "https://example.com/\x80",
    "https://ex\xc3\xa4mple.com/", "https://example.com\\a",
    "https://example.com/\\", "https://example.com/a?\\", "https:\\\\a",
    "https://example.com#", "https://example.com/#a", "https://a/?b#c",
    "https://user@example.com", "https://user:pass@example.com/",
    "https://@example.com", "https://oauth.platform.intuit.com@evil/",
    "https://oauth.platform.intuit.com:443@evil/", "https://a@b@c/",
    "https://a:/", "https://a:0", "https://a:65536", "https://a:99999",
    "https://a:080", "https://a:100000", "https://a:-1", "https://a:+1",
    "https://a:8o", "https://a:80:81", "https://a:80a/", "https://a:%38/",
    "https://.", "https://..", "https://.a", "https://a.", "https://a..b",
    "https://localhost./", "https://a%2eb/", "https://a%00b/", "https://a,b/",
    "https://a;b/", "https://a'b/", "https://a\"b/", "https://a<b/",
    "https://a|b/", "https://a*b/", "https://a!b/", "https://a$b/",
    "https://a&b/", "https://a=b/", "https://a(b/", "https://{a}/",
    "https://a~b/", "https://a^b/", "https://a`b/",
    "https://127.1/", "https://127.0.1/", "https://2130706433/",
    "https://0x7f000001/", "https://0x7f.1/", "https://a.0x7f/",
    "https://a.1/", "https://a.0x/", "https://256.0.0.1/",
    "https://1.2.3.4.5/", "https://1.2.3/", "https://0177.0.0.1/",
    "https://127.0.0.1./",
    "https://[/", "https://[]/", "https://[::1", "https://[::1]a/",
    "https://[::1]:/", "https://[::1]80/", "https://::1/", "https://[a]/",
    "https://[127.0.0.1]/", "https://[::1%25lo]/", "https://[::1%lo]/",
    "https://[:::1]/", "https://[1:2:3:4:5:6:7:8:9]/", "https://[::g]/",
    "https://[[::1]]/", "https://a[::1]/", "https://[::1]@evil/",
    "https://[v1.a]/",
    "https://[1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb]/",
};


static ngx_uint_t
same(const ngx_str_t *s, const char *text)
{
    return s->len == strlen(text)
           && (s->len == 0 || memcmp(s->data, text, s->len) == 0);
}


static void
test_parse(void)
{
    size_t             i;
    ngx_str_t          s;
    const char        *reason;
    ngx_intuit_url_t   u;
    const url_case_t  *c;

    for (i = 0; i < sizeof(good_urls) / sizeof(good_urls[0]); i++) {
        c = &good_urls[i];
        s = ngx_intuit_stub_str(pool, c->url);
        reason = NULL;

        if (!ok(ngx_intuit_url_parse(&s, &u, &reason) == NGX_OK,
                "url taken: %s", c->url))
        {
            printf("# %s\n", reason);
            continue;
        }

        ok(same(&u.scheme, c->scheme) && same(&u.host, c->host)
           && same(&u.authority, c->authority) && same(&u.origin, c->origin)
           && same(&u.path, c->path) && same(&u.args, c->args ? c->args : ""),
           "its parts: %s", c->url);

        ok(u.port == c->port
           && u.https == (strcmp(c->scheme, "https") == 0)
           && u.loopback == c->loopback && u.literal == c->literal
           && u.has_args == (c->args != NULL),
           "port %u and flags: %s", (unsigned) u.port, c->url);
    }

    for (i = 0; i < sizeof(bad_urls) / sizeof(bad_urls[0]); i++) {
        s = ngx_intuit_stub_str(pool, bad_urls[i]);
        reason = NULL;

        ok(ngx_intuit_url_parse(&s, &u, &reason) == NGX_DECLINED
           && reason != NULL && reason[0] != '\0',
           "url %u refused", (unsigned) i);
    }

    ngx_str_null(&s);

    ok(ngx_intuit_url_parse(&s, &u, &reason) == NGX_DECLINED,
       "no url at all");
}


static void
test_parse_bytes(void)
{
    char               text[] = "https://a/b?c";
    ngx_uint_t         b, good;
    ngx_str_t          s;
    const char        *reason;
    ngx_intuit_url_t   u;

    good = 1;

    for (b = 0; b < 256; b++) {
        text[10] = (char) b;
        s = ngx_intuit_stub_mem(pool, text, sizeof(text) - 1);

        if ((ngx_intuit_url_parse(&s, &u, &reason) == NGX_OK)
            != (b > 0x20 && b < 0x7f && b != '\\' && b != '#'))
        {
            printf("# byte %02x\n", (unsigned) b);
            good = 0;
        }
    }

    ok(good, "each byte in a path");

    good = 1;

    for (b = 0; b < 256; b++) {
        text[8] = (char) b;
        text[10] = 'b';
        s = ngx_intuit_stub_mem(pool, text, sizeof(text) - 1);

        if ((ngx_intuit_url_parse(&s, &u, &reason) == NGX_OK)
            != ((b >= 'a' && b <= 'z') || (b >= 'A' && b <= 'Z')
                || b == '-' || b == '_'))
        {
            printf("# byte %02x\n", (unsigned) b);
            good = 0;
        }
    }

    ok(good, "each byte as a host");
}


/* one line of a corpus, in place; the length, or -1 */

static int
unescape_line(char *line)
{
    int       n;
    char     *p, *q;
    unsigned  byte;

    for (p = line, q = line; *p != '\0'; /* void */ ) {

        if (*p != '\\') {
            *q++ = *p++;
            continue;
        }

        p++;

        switch (*p++) {

        case 't':
            *q++ = '\t';
            break;

        case 'r':
            *q++ = '\r';
            break;

        case 'n':
            *q++ = '\n';
            break;

        case '0':
            *q++ = '\0';
            break;

        case '\\':
            *q++ = '\\';
            break;

        case 'x':
            n = 0;

            if (sscanf(p, "%2x%n", &byte, &n) != 1 || n != 2) {
                return -1;
            }

            *q++ = (char) byte;
            p += 2;
            break;

        default:
            return -1;
        }
    }

    return (int) (q - line);
}


static void
test_corpus(const char *name, ngx_uint_t expected, unsigned at_least)
{
    int        len;
    FILE      *file;
    char       path[4096], line[CORPUS_LINE_MAX], *slash;
    unsigned   n, number;
    ngx_str_t  s;

    snprintf(path, sizeof(path), "%s", __FILE__);

    slash = strrchr(path, '/');
    slash = (slash == NULL) ? path : slash + 1;

    snprintf(slash, sizeof(path) - (slash - path),
             "../corpus/return-target/%s", name);

    file = fopen(path, "r");

    if (!ok(file != NULL, "%s: %s", path,
            file == NULL ? strerror(errno) : "open"))
    {
        return;
    }

    n = 0;

    for (number = 1; fgets(line, sizeof(line), file) != NULL; number++) {

        line[strcspn(line, "\n")] = '\0';

        if (line[0] == '\0' || line[0] == '#') {
            continue;
        }

        len = unescape_line(line);

        if (len < 0) {
            ok(0, "%s line %u: a bad escape", name, number);
            continue;
        }

        n++;
        s = ngx_intuit_stub_mem(pool, line, len);

        ok(ngx_intuit_return_target(&s) == expected, "%s line %u", name,
           number);
    }

    fclose(file);

    ok(n >= at_least, "%s: %u targets, at least %u", name, n, at_least);
}


static void
test_target_edges(void)
{
    size_t      i;
    u_char      text[2048];
    ngx_str_t   s;
    ngx_uint_t  b, good;

    ngx_str_null(&s);
    ok(!ngx_intuit_return_target(&s), "target: empty");

    memset(text, 'a', sizeof(text));
    text[0] = '/';

    for (i = 1022; i < 1027; i++) {
        s = ngx_intuit_stub_mem(pool, text, i);
        ok(ngx_intuit_return_target(&s) == (i <= 1024), "target of %u bytes",
           (unsigned) i);
    }

    good = 1;

    for (b = 0; b < 256; b++) {
        s = ngx_intuit_stub_fmt(pool, "/a?b=X");
        s.data[5] = (u_char) b;

        if (ngx_intuit_return_target(&s)
            != (b > 0x20 && b < 0x7f && b != '\\' && b != '#'))
        {
            printf("# byte %02x\n", (unsigned) b);
            good = 0;
        }
    }

    ok(good, "target: each byte in the query");

    good = 1;

    for (b = 0; b < 256; b++) {
        s = ngx_intuit_stub_fmt(pool, "/a%%%02xdb", (int) b);

        if (ngx_intuit_return_target(&s)
            != !(b < 0x20 || b == 0x7f || b == '/' || b == '\\'))
        {
            printf("# byte %02x\n", (unsigned) b);
            good = 0;
        }
    }

    ok(good, "target: each escaped byte in the path");

    good = 1;

    for (b = 0; b < 256; b++) {
        s = ngx_intuit_stub_fmt(pool, "/Xevil.example");
        s.data[1] = (u_char) b;

        if (ngx_intuit_return_target(&s)
            != (b > 0x20 && b < 0x7f && b != '\\' && b != '#' && b != '/'
                && b != '%'))
        {
            printf("# byte %02x\n", (unsigned) b);
            good = 0;
        }
    }

    ok(good, "target: each byte after the first slash");
}


static void
test_api_path(void)
{
    size_t      i;
    ngx_str_t   s;
    ngx_uint_t  b, good;

    static const char  *safe[] = {
        "/", "/v3/company/123/companyinfo/123", "/v3/company/-/query", "/a/",
        "/a.b/c", "/a..b", "/..a", "/a..", "/...", "/a:b@c", "/a,b=c&d+e",
        "/a%20b", "/a%41", "/caf%C3%A9", "/%e2%88%95", "/%f0%9f%98%80",
        "/%c2%80%c2%80a", "/%3a", "/a%e2%82%ac/%e2%82%ac", "/~a!b$c'(d)*",
    };

    static const char  *unsafe[] = {
        "", "a", "v3/company/1", "//", "//a", "/a//b", "/a//", "///",
        "/.", "/..", "/./a", "/../a", "/a/.", "/a/..", "/a/./b", "/a/../b",
        "/a;b", "/a;", "/;/", "/..;/a", "/a\\b", "\\a", "/\\", "/a?", "/a?b",
        "/a#", "/#b", "/a%2fb", "/a%2Fb", "/%2f", "/%5c", "/a%5Cb", "/%2e",
        "/%2e%2e/a", "/a%2eb", "/.%2e/", "/%25", "/a%252fb", "/%2525",
        "/%00", "/%0a", "/%0d%0a", "/%09", "/%1f", "/%7f", "/%", "/a%",
        "/%2", "/%zz", "/%2g", "/%u002f", "/a b", "/a\tb", "/a\r\nb",
        "/a\x7f", "/a\x80", "/caf\xc3\xa9", "/%c0%af", "/%c1%9c",
        "/%e0%80%af", "/%f0%80%80%af", "/%ff", "/%80", "/%c3", "/%c3a",
        "/%c3%28", "/%c3/%a9", "/%e2%88", "/%ed%a0%80", "/%f4%90%80%80",
        "/%c3%a9%a9", "http://a/b",
    };

    for (i = 0; i < sizeof(safe) / sizeof(safe[0]); i++) {
        s = ngx_intuit_stub_str(pool, safe[i]);
        ok(ngx_intuit_api_path(&s), "api path taken: %s", safe[i]);
    }

    for (i = 0; i < sizeof(unsafe) / sizeof(unsafe[0]); i++) {
        s = ngx_intuit_stub_str(pool, unsafe[i]);
        ok(!ngx_intuit_api_path(&s), "api path %u refused", (unsigned) i);
    }

    good = 1;

    for (b = 0; b < 256; b++) {
        s = ngx_intuit_stub_fmt(pool, "/aXb");
        s.data[2] = (u_char) b;

        if (ngx_intuit_api_path(&s)
            != (b > 0x20 && b < 0x7f && b != '\\' && b != '#' && b != '?'
                && b != ';' && b != '%'))
        {
            printf("# byte %02x\n", (unsigned) b);
            good = 0;
        }

        s = ngx_intuit_stub_fmt(pool, "/a%%%02xdb", (int) b);

        if (ngx_intuit_api_path(&s)
            != (b >= 0x20 && b < 0x7f && b != '/' && b != '\\' && b != '.'
                && b != '%'))
        {
            printf("# escaped byte %02x\n", (unsigned) b);
            good = 0;
        }
    }

    ok(good, "api path: each byte, plain and escaped");
}


static void
test_realm(void)
{
    size_t     i;
    ngx_str_t  s, id;

    static const struct {
        const char  *path;
        const char  *id;
    } paths[] = {
        { "/v3/company/123", "123" },
        { "/v3/company/123/", "123" },
        { "/v3/company/9130347957983546/query", "9130347957983546" },
        { "/v3/company/12345678901234567890", "12345678901234567890" },
        { "/v3/company/0/a", "0" },
        { "/v3/company/-", "-" },
        { "/v3/company/-/query", "-" },
        { "", NULL },
        { "/", NULL },
        { "/v3", NULL },
        { "/v3/company", NULL },
        { "/v3/company/", NULL },
        { "/v3/company//1", NULL },
        { "/v3/company/--", NULL },
        { "/v3/company/-1", NULL },
        { "/v3/company/1-", NULL },
        { "/v3/company/123456789012345678901", NULL },
        { "/v3/company/1a/", NULL },
        { "/v3/company/%31/", NULL },
        { "/v3/company/1%2f2/", NULL },
        { "/v3/company/1;2/", NULL },
        { "/v3/company/ 1/", NULL },
        { "/v3/company/+1/", NULL },
        { "/V3/company/1/", NULL },
        { "/v3/Company/1/", NULL },
        { "/v3/companyx/1/", NULL },
        { "/v4/company/1/", NULL },
        { "//v3/company/1/", NULL },
        { "/a/v3/company/1/", NULL },
        { "v3/company/1", NULL },
    };

    static const char  *good[] = { "0", "1", "123", "00000000000000000000",
                                   "99999999999999999999" };

    static const char  *bad[] = { "", "-", "-1", "+1", " 1", "1 ", "1a", "a",
                                  "1.0", "0x1", "1\n", "../../x", "1/2",
                                  "%31", "000000000000000000000",
                                  "\xd9\xa1" };

    for (i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        s = ngx_intuit_stub_str(pool, paths[i].path);

        if (paths[i].id == NULL) {
            ok(ngx_intuit_api_realm(&s, &id) == NGX_DECLINED,
               "no realm in %s", paths[i].path);
            continue;
        }

        if (ok(ngx_intuit_api_realm(&s, &id) == NGX_OK, "realm in %s",
               paths[i].path))
        {
            is_str(&id, paths[i].id, "... it is %s", paths[i].id);
            ok(id.data == s.data + 12, "... and points into the path");
        }
    }

    for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        s = ngx_intuit_stub_str(pool, good[i]);
        ok(ngx_intuit_realm_valid(&s), "a realm: %s", good[i]);
    }

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        s = ngx_intuit_stub_str(pool, bad[i]);
        ok(!ngx_intuit_realm_valid(&s), "no realm, %u", (unsigned) i);
    }

    s = ngx_intuit_stub_mem(pool, "1\0", 2);
    ok(!ngx_intuit_realm_valid(&s), "no realm: a NUL");
}


/* every code point encoded by the book, and every two-byte text */

static void
test_utf8(void)
{
    u_char      b[4];
    size_t      n;
    uint32_t    cp;
    ngx_str_t   s;
    ngx_uint_t  good, i, j;

    good = 1;

    for (cp = 0; cp < 0x110000; cp += (cp < 0x3000 ? 1 : 61)) {

        if (cp < 0x80) {
            b[0] = (u_char) cp;
            n = 1;

        } else if (cp < 0x800) {
            b[0] = (u_char) (0xc0 | (cp >> 6));
            b[1] = (u_char) (0x80 | (cp & 0x3f));
            n = 2;

        } else if (cp < 0x10000) {
            b[0] = (u_char) (0xe0 | (cp >> 12));
            b[1] = (u_char) (0x80 | ((cp >> 6) & 0x3f));
            b[2] = (u_char) (0x80 | (cp & 0x3f));
            n = 3;

        } else {
            b[0] = (u_char) (0xf0 | (cp >> 18));
            b[1] = (u_char) (0x80 | ((cp >> 12) & 0x3f));
            b[2] = (u_char) (0x80 | ((cp >> 6) & 0x3f));
            b[3] = (u_char) (0x80 | (cp & 0x3f));
            n = 4;
        }

        if (ngx_intuit_utf8_len(b, b + n)
            != ((cp >= 0xd800 && cp < 0xe000) ? 0 : n)
            || ngx_intuit_utf8_len(b, b + n - 1) != 0)
        {
            printf("# U+%04x\n", (unsigned) cp);
            good = 0;
        }
    }

    ok(good, "utf-8: code points, whole and cut short");

    good = 1;
    b[2] = 0x80;
    b[3] = 0x80;

    for (i = 0x80; i < 256; i++) {
        for (j = 0; j < 256; j++) {
            b[0] = (u_char) i;
            b[1] = (u_char) j;

            n = 0;

            if (i >= 0xc2 && i <= 0xf4 && j >= 0x80 && j <= 0xbf
                && !(i == 0xe0 && j < 0xa0) && !(i == 0xed && j > 0x9f)
                && !(i == 0xf0 && j < 0x90) && !(i == 0xf4 && j > 0x8f))
            {
                n = (i < 0xe0) ? 2 : (i < 0xf0) ? 3 : 4;
            }

            if (ngx_intuit_utf8_len(b, b + 4) != n) {
                printf("# %02x %02x\n", (unsigned) i, (unsigned) j);
                good = 0;
            }
        }
    }

    ok(good, "utf-8: every first and second byte");

    s = ngx_intuit_stub_mem(pool, "\xe2\x88\x41", 3);
    ok(ngx_intuit_utf8_len(s.data, s.data + 3) == 0, "utf-8: a bad third");
}


int
main(void)
{
    pool = ngx_intuit_stub_pool();

    test_parse();
    test_parse_bytes();
    test_corpus("refuse.txt", 0, 300);
    test_corpus("accept.txt", 1, 60);
    test_target_edges();
    test_api_path();
    test_realm();
    test_utf8();

    ngx_destroy_pool(pool);

    return done_testing();
}
