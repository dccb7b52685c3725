/*
 * Records: what goes in comes out, and nothing else is taken for a record.
 *
 * Rows: LES-21
 */

#include <stdlib.h>

#include "ngx_intuit_record.h"
#include "ngx_intuit_stub.h"
#include "test.h"


typedef union {
    ngx_intuit_connection_t   connection;
    ngx_intuit_session_t      session;
    ngx_intuit_login_t        login;
} record_t;


static ngx_pool_t  *pool;


static ngx_int_t
decode(ngx_uint_t kind, const ngx_str_t *in)
{
    record_t  r;

    switch (kind) {

    case 0:
        return ngx_intuit_connection_decode(in, &r.connection);

    case 1:
        return ngx_intuit_session_decode(in, &r.session);

    default:
        return ngx_intuit_login_decode(in, &r.login);
    }
}


static ngx_uint_t
same(const ngx_str_t *a, const ngx_str_t *b)
{
    return a->len == b->len
           && (a->len == 0 || memcmp(a->data, b->data, a->len) == 0);
}


static ngx_uint_t
same_pair(const ngx_intuit_pair_t *a, const ngx_intuit_pair_t *b)
{
    return same(&a->access_token, &b->access_token)
           && same(&a->refresh_token, &b->refresh_token)
           && same(&a->scope, &b->scope)
           && same(&a->sub, &b->sub)
           && a->issued == b->issued
           && a->refreshed == b->refreshed
           && a->expires == b->expires
           && a->refresh_expires == b->refresh_expires
           && a->hard_expires == b->hard_expires;
}


static void
fill_pair(ngx_intuit_pair_t *p, const char *mark)
{
    p->access_token = ngx_intuit_stub_fmt(pool, "access-%s", mark);
    p->refresh_token = ngx_intuit_stub_fmt(pool, "refresh-%s", mark);
    p->scope = ngx_intuit_stub_fmt(pool, "openid %s", mark);
    p->sub = ngx_intuit_stub_fmt(pool, "sub-%s", mark);
    p->issued = 1700000000;
    p->refreshed = 1700000001;
    p->expires = 1700003600;
    p->refresh_expires = 1708726400;
    p->hard_expires = 1857680000;
}


static void
fill(ngx_intuit_connection_t *c, ngx_intuit_session_t *s,
    ngx_intuit_login_t *l)
{
    ngx_memzero(c, sizeof(*c));
    c->realm = ngx_intuit_stub_str(pool, "9130347957983546");
    c->company = ngx_intuit_stub_mem(pool, "Caf\xc3\xa9 \0 & Co", 13);
    fill_pair(&c->current, "current");
    fill_pair(&c->spare, "spare");
    fill_pair(&c->arrived, "arrived");
    c->renews = ngx_intuit_stub_str(pool, "current-access");
    c->dead = 1;
    c->retry_at = 1700000060;
    c->failures = 3;
    c->maybe_sent = 1700000001;
    c->error = ngx_intuit_stub_str(pool, "no_answer");
    c->tid = ngx_intuit_stub_str(pool, "1-6b04aee8-cd965c18044287526880f4e7");

    ngx_memzero(s, sizeof(*s));
    s->created = 1700000000;
    s->expires = 1700028800;
    s->realm = ngx_intuit_stub_str(pool, "123");
    s->claims = ngx_intuit_stub_str(pool, "\x01" "8f1c\"}");
    s->sub.data = s->claims.data + 1;
    s->sub.len = 4;
    s->email = ngx_intuit_stub_str(pool, "user@example.com");
    s->shared = 12;
    s->userinfo = ngx_intuit_stub_str(pool, " }");
    s->id_token = ngx_intuit_stub_str(pool, "a.b.c");
    s->login = ngx_intuit_stub_str(pool, "the attempt's id");
    fill_pair(&s->own, "own");

    ngx_memzero(l, sizeof(*l));
    l->created = 1700000000;
    memset(l->state, 0x53, sizeof(l->state));
    memset(l->nonce, 0x4e, sizeof(l->nonce));
    memset(l->verifier, 0x56, sizeof(l->verifier));
    l->target = ngx_intuit_stub_str(pool, "/a?b=c");
}


static void
test_round_trip(void)
{
    ngx_str_t                text;
    ngx_intuit_login_t       l, l2;
    ngx_intuit_session_t     s, s2;
    ngx_intuit_connection_t  c, c2;

    fill(&c, &s, &l);

    memset(&c2, 0xff, sizeof(c2));
    ok(ngx_intuit_connection_encode(pool, &c, &text) == NGX_OK
       && ngx_intuit_connection_decode(&text, &c2) == NGX_OK,
       "a connection, there and back");
    ok(same(&c.realm, &c2.realm) && same(&c.company, &c2.company)
       && same_pair(&c.current, &c2.current)
       && same_pair(&c.spare, &c2.spare)
       && same_pair(&c.arrived, &c2.arrived) && same(&c.renews, &c2.renews)
       && c2.dead == 1
       && c2.retry_at == c.retry_at && c2.failures == 3
       && c2.maybe_sent == c.maybe_sent
       && same(&c.error, &c2.error) && same(&c.tid, &c2.tid),
       "... is the same");
    ok(c2.realm.data > text.data
       && c2.spare.sub.data + c2.spare.sub.len < text.data + text.len,
       "... and points into the text");

    memset(&s2, 0xff, sizeof(s2));
    ok(ngx_intuit_session_encode(pool, &s, &text) == NGX_OK
       && ngx_intuit_session_decode(&text, &s2) == NGX_OK,
       "a session, there and back");
    ok(s2.created == s.created && s2.expires == s.expires
       && same(&s.realm, &s2.realm) && same(&s.sub, &s2.sub)
       && same(&s.email, &s2.email) && same(&s.claims, &s2.claims)
       && s2.shared == s.shared && same(&s.userinfo, &s2.userinfo)
       && same(&s.id_token, &s2.id_token) && same_pair(&s.own, &s2.own)
       && same(&s.login, &s2.login),
       "... is the same");
    ok(s2.sub.data == s2.claims.data + 1
       && s2.email.data > s2.claims.data + s2.claims.len,
       "... and what the claims have is there once");

    memset(&l2, 0xff, sizeof(l2));
    ok(ngx_intuit_login_encode(pool, &l, &text) == NGX_OK
       && ngx_intuit_login_decode(&text, &l2) == NGX_OK,
       "a login, there and back");
    ok(l2.created == l.created
       && memcmp(l.state, l2.state, sizeof(l.state)) == 0
       && memcmp(l.nonce, l2.nonce, sizeof(l.nonce)) == 0
       && memcmp(l.verifier, l2.verifier, sizeof(l.verifier)) == 0
       && same(&l.target, &l2.target),
       "... is the same");
}


static void
test_empty(void)
{
    ngx_str_t                text;
    ngx_intuit_login_t       l, l2;
    ngx_intuit_session_t     s, s2;
    ngx_intuit_connection_t  c, c2;

    ngx_memzero(&c, sizeof(c));
    ngx_memzero(&s, sizeof(s));
    ngx_memzero(&l, sizeof(l));

    ok(ngx_intuit_connection_encode(pool, &c, &text) == NGX_OK
       && ngx_intuit_connection_decode(&text, &c2) == NGX_OK
       && c2.realm.len == 0 && c2.current.access_token.len == 0
       && c2.dead == 0,
       "an empty connection");

    ok(ngx_intuit_session_encode(pool, &s, &text) == NGX_OK
       && ngx_intuit_session_decode(&text, &s2) == NGX_OK
       && s2.claims.len == 0 && s2.created == 0,
       "an empty session");

    ok(ngx_intuit_login_encode(pool, &l, &text) == NGX_OK
       && ngx_intuit_login_decode(&text, &l2) == NGX_OK
       && l2.target.len == 0,
       "an empty login");

    c.dead = 77;
    ok(ngx_intuit_connection_encode(pool, &c, &text) == NGX_OK
       && ngx_intuit_connection_decode(&text, &c2) == NGX_OK
       && c2.dead == 1,
       "a flag is 0 or 1");
}


/* the bytes themselves: other hosts and later versions read them */

static void
test_layout(void)
{
    ngx_str_t           text;
    ngx_intuit_login_t  l;

    static const char  golden[] =
        "\x04L\x00\x00\x00\x00\x65\x53\xf1\x00"
        "SSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSS"
        "NNNNNNNNNNNNNNNN"
        "VVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVV"
        "\x00\x06/a?b=c";

    ngx_memzero(&l, sizeof(l));
    l.created = 1700000000;
    memset(l.state, 'S', sizeof(l.state));
    memset(l.nonce, 'N', sizeof(l.nonce));
    memset(l.verifier, 'V', sizeof(l.verifier));
    l.target = ngx_intuit_stub_str(pool, "/a?b=c");

    ok(ngx_intuit_login_encode(pool, &l, &text) == NGX_OK
       && text.len == sizeof(golden) - 1
       && memcmp(text.data, golden, text.len) == 0,
       "a login's bytes, version 4");
}


/* sessions: as they are, and as the last version wrote them */

static void
test_session_layout(void)
{
    ngx_str_t             text;
    ngx_intuit_session_t  s, s2;

    static const char  golden[] =
        "\x05S\x00\x00\x00\x00\x65\x53\xf1\x00"
        "\x00\x00\x00\x00\x65\x54\x61\x80"
        "\x00\x07\x01" "8f1c\"}" "\x00\x0c" "\x00\x02 }"
        "\x00\x03\x00\x00" "123" "\x00\x04\x00\x02" "\x00\x00"
        "\x00\x00" "\x00" "\x00\x02" "id";

    static const char  last[] =
        "\x04S\x00\x00\x00\x00\x65\x53\xf1\x00"
        "\x00\x00\x00\x00\x65\x54\x61\x80"
        "\x00\x03" "123" "\x00\x04" "8f1c" "\x00\x00"
        "\x00\x0e{\"sub\":\"8f1c\"}" "\x00\x0f{\"sub\":\"8f1c\" }"
        "\x00\x00" "\x00" "\x00\x02" "id";

    ngx_memzero(&s, sizeof(s));
    s.created = 1700000000;
    s.expires = 1700028800;
    s.realm = ngx_intuit_stub_str(pool, "123");
    s.claims = ngx_intuit_stub_str(pool, "\x01" "8f1c\"}");
    s.sub.data = s.claims.data + 1;
    s.sub.len = 4;
    s.shared = 12;
    s.userinfo = ngx_intuit_stub_str(pool, " }");
    s.login = ngx_intuit_stub_str(pool, "id");

    ok(ngx_intuit_session_encode(pool, &s, &text) == NGX_OK
       && text.len == sizeof(golden) - 1
       && memcmp(text.data, golden, text.len) == 0,
       "a session's bytes, version 5");

    text = ngx_intuit_stub_mem(pool, last, sizeof(last) - 1);
    memset(&s2, 0xff, sizeof(s2));

    ok(ngx_intuit_session_decode(&text, &s2) == NGX_OK
       && s2.expires == 1700028800 && s2.shared == 0
       && same(&s2.realm, &s.realm) && same(&s2.sub, &s.sub)
       && s2.email.len == 0 && s2.claims.len == 14 && s2.userinfo.len == 15
       && same(&s2.login, &s.login), "one of version 4 is read");

    text.data[0] = 5;
    ok(ngx_intuit_session_decode(&text, &s2) == NGX_DECLINED,
       "... and not taken for one of version 5");

    /* where sub is, past the claims: 10 bytes follow */
    (void) ngx_intuit_session_encode(pool, &s, &text);
    text.data[text.len - 10] = 5;
    ok(ngx_intuit_session_decode(&text, &s2) == NGX_DECLINED,
       "a part that is not in the claims");
}


/* files of connections that the last version wrote: no flag before a pair */

static void
test_last_version(void)
{
    u_char                   *p;
    size_t                    len, at;
    ngx_str_t                 text, old;
    ngx_uint_t                i;
    ngx_intuit_login_t        l;
    ngx_intuit_session_t      s;
    ngx_intuit_connection_t   c, c2;
    const ngx_intuit_pair_t  *pair[3];

    fill(&c, &s, &l);

    pair[0] = &c.current;
    pair[1] = &c.spare;
    pair[2] = &c.arrived;

    (void) ngx_intuit_connection_encode(pool, &c, &text);

    old.data = ngx_palloc(pool, text.len);
    p = old.data;
    at = 2 + (2 + c.realm.len) + (2 + c.company.len);

    p = ngx_cpymem(p, text.data, at);

    for (i = 0; i < 3; i++) {
        at++;
        len = 4 * 2 + 5 * 8
              + pair[i]->access_token.len + pair[i]->refresh_token.len
              + pair[i]->scope.len + pair[i]->sub.len;

        p = ngx_cpymem(p, text.data + at, len);
        at += len;
    }

    p = ngx_cpymem(p, text.data + at, text.len - at);

    old.len = p - old.data;
    old.data[0] = 3;

    memset(&c2, 0xff, sizeof(c2));
    ok(old.len == text.len - 3
       && ngx_intuit_connection_decode(&old, &c2) == NGX_OK
       && same(&c.realm, &c2.realm)
       && same_pair(&c.current, &c2.current)
       && same_pair(&c.spare, &c2.spare)
       && same_pair(&c.arrived, &c2.arrived)
       && c2.dead == 1 && same(&c.tid, &c2.tid),
       "a connection of the last version is read");

    old.data[0] = 4;
    ok(ngx_intuit_connection_decode(&old, &c2) == NGX_DECLINED,
       "... and not taken for one of this");

    len = text.len;
    ngx_memzero(&c.spare, sizeof(c.spare));
    ngx_memzero(&c.arrived, sizeof(c.arrived));
    (void) ngx_intuit_connection_encode(pool, &c, &text);

    ok(len - text.len > 2 * (4 * 2 + 5 * 8)
       && ngx_intuit_connection_decode(&text, &c2) == NGX_OK
       && same_pair(&c.current, &c2.current)
       && same_pair(&c.spare, &c2.spare)
       && same_pair(&c.arrived, &c2.arrived),
       "an empty pair takes a byte");

    c.spare.hard_expires = 1;
    (void) ngx_intuit_connection_encode(pool, &c, &text);
    ok(ngx_intuit_connection_decode(&text, &c2) == NGX_OK
       && c2.spare.hard_expires == 1, "one with a time only is none");
}


static void
test_times(void)
{
    size_t              i;
    ngx_str_t           text;
    ngx_intuit_login_t  l, l2;

    static const int64_t  times[] = {
        0, 1, -1, 255, 256, 2147483647, 2147483648LL, 4294967296LL,
        -2147483649LL, 253402300799LL, INT64_MAX, INT64_MIN
    };

    for (i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
        ngx_memzero(&l, sizeof(l));
        l.created = (time_t) times[i];

        ok(ngx_intuit_login_encode(pool, &l, &text) == NGX_OK
           && ngx_intuit_login_decode(&text, &l2) == NGX_OK
           && l2.created == l.created,
           "the time %lld", (long long) times[i]);
    }
}


/* each prefix, each longer text, each changed head, each other decoder */

static void
test_damage(void)
{
    size_t                   i, n;
    ngx_str_t                text[3], part;
    ngx_uint_t               k, other, good, taken;
    ngx_intuit_login_t       l;
    ngx_intuit_session_t     s;
    ngx_intuit_connection_t  c;

    static const char  *names[] = { "connection", "session", "login" };

    static const u_char  version[] = { 4, 5, 4 };

    fill(&c, &s, &l);

    ok(ngx_intuit_connection_encode(pool, &c, &text[0]) == NGX_OK
       && ngx_intuit_session_encode(pool, &s, &text[1]) == NGX_OK
       && ngx_intuit_login_encode(pool, &l, &text[2]) == NGX_OK,
       "three records");

    for (k = 0; k < 3; k++) {

        ok(decode(k, &text[k]) == NGX_OK, "%s: whole", names[k]);

        good = 1;

        for (i = 0; i < text[k].len; i++) {
            part = ngx_intuit_stub_mem(pool, text[k].data, i);

            if (decode(k, &part) != NGX_DECLINED) {
                printf("# cut at %u\n", (unsigned) i);
                good = 0;
            }
        }

        ok(good, "%s: cut at each of %u bytes", names[k],
           (unsigned) text[k].len);

        for (n = 1; n < 4; n++) {
            part.len = text[k].len + n;
            part.data = ngx_pcalloc(pool, part.len);
            memcpy(part.data, text[k].data, text[k].len);

            ok(decode(k, &part) == NGX_DECLINED, "%s: %u bytes more",
               names[k], (unsigned) n);
        }

        good = 1;

        for (i = 0; i < 256; i++) {
            part = ngx_intuit_stub_mem(pool, text[k].data, text[k].len);
            part.data[0] = (u_char) i;
            taken = (decode(k, &part) == NGX_OK);
            good = good && taken == (i == version[k] || (i == 3 && k == 2));

            part.data[0] = version[k];
            part.data[1] = (u_char) i;
            taken = (decode(k, &part) == NGX_OK);
            good = good && taken == (i == text[k].data[1]);
        }

        ok(good, "%s: another version or kind", names[k]);

        for (other = 0; other < 3; other++) {
            if (other != k) {
                ok(decode(other, &text[k]) == NGX_DECLINED, "%s: no %s",
                   names[k], names[other]);
            }
        }

        /* whatever it decodes to, it must not read outside */

        for (i = 0; i < text[k].len; i++) {
            for (n = 0; n < 256; n += 51) {
                part = ngx_intuit_stub_mem(pool, text[k].data, text[k].len);
                part.data[i] = (u_char) n;
                (void) decode(k, &part);
            }
        }

        ok(1, "%s: each byte changed", names[k]);
    }

    part = ngx_intuit_stub_mem(pool, text[0].data, text[0].len);

    /* behind it: three times, two strings */
    part.data[part.len - 3 * 8 - (2 + c.error.len) - (2 + c.tid.len) - 1] = 2;

    ok(decode(0, &part) == NGX_DECLINED, "connection: a flag of 2");

    ngx_str_null(&part);

    for (k = 0; k < 3; k++) {
        ok(decode(k, &part) == NGX_DECLINED, "%s: nothing", names[k]);
    }
}


static void
test_limits(void)
{
    u_char                  *big;
    ngx_str_t                text;
    ngx_uint_t               i;
    ngx_intuit_login_t       l;
    ngx_intuit_session_t     s, s2;
    ngx_intuit_connection_t  c;

    fill(&c, &s, &l);

    big = ngx_palloc(pool, 65536);
    memset(big, 'x', 65536);

    s.claims.data = big;
    s.claims.len = 65535;
    ok(ngx_intuit_session_encode(pool, &s, &text) == NGX_OK
       && ngx_intuit_session_decode(&text, &s2) == NGX_OK
       && s2.claims.len == 65535 && same(&s2.own.sub, &s.own.sub),
       "a string of 65535 bytes");

    s.claims.len = 65536;
    ok(ngx_intuit_session_encode(pool, &s, &text) == NGX_ERROR,
       "a session with one of 65536");

    c.spare.sub.data = big;
    c.spare.sub.len = 65536;
    ok(ngx_intuit_connection_encode(pool, &c, &text) == NGX_ERROR,
       "a connection with one of 65536");

    l.target.data = big;
    l.target.len = 65536;
    ok(ngx_intuit_login_encode(pool, &l, &text) == NGX_ERROR,
       "a login with one of 65536");

    fill(&c, &s, &l);

    i = ngx_intuit_stub_allocations();
    ok(ngx_intuit_connection_encode(pool, &c, &text) == NGX_OK
       && ngx_intuit_stub_allocations() == i + 1,
       "one allocation");

    ngx_intuit_stub_fail_after(0);
    ok(ngx_intuit_connection_encode(pool, &c, &text) == NGX_ERROR
       && ngx_intuit_session_encode(pool, &s, &text) == NGX_ERROR
       && ngx_intuit_login_encode(pool, &l, &text) == NGX_ERROR,
       "no memory");
    ngx_intuit_stub_fail_after(-1);
}


int
main(void)
{
    pool = ngx_intuit_stub_pool();

    test_round_trip();
    test_empty();
    test_layout();
    test_session_layout();
    test_last_version();
    test_times();
    test_damage();
    test_limits();

    ngx_destroy_pool(pool);

    return done_testing();
}
