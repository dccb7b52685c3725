/*
 * Claims and userinfo: what a login brought comes out of a session's record
 * byte for byte, and the record is short.
 */

#include <stdlib.h>

#include "ngx_intuit_claims.h"
#include "ngx_intuit_stub.h"
#include "test.h"


static ngx_pool_t  *pool;


static ngx_uint_t
same(const ngx_str_t *a, const ngx_str_t *b)
{
    return a->len == b->len
           && (a->len == 0 || memcmp(a->data, b->data, a->len) == 0);
}


static ngx_uint_t
within(const ngx_str_t *part, const ngx_str_t *whole)
{
    return part->data >= whole->data
           && part->data + part->len <= whole->data + whole->len;
}


static const char  email[] =
    "{\"sub\":\"6c2d1e50-4a0f-4e8f-9d52-0c9a9b1f7a01\","
    "\"email\":\"ada@example.com\",\"emailVerified\":true}";

static const char  profile[] =
    "{\"sub\":\"6c2d1e50-4a0f-4e8f-9d52-0c9a9b1f7a01\","
    "\"email\":\"ada@example.com\",\"emailVerified\":true,"
    "\"givenName\":\"Ada\",\"familyName\":\"King\","
    "\"phoneNumber\":\"+1 5558675309\",\"phoneNumberVerified\":false,"
    "\"address\":{\"streetAddress\":\"2700 Coast Avenue\","
    "\"locality\":\"Mountain View\",\"region\":\"CA\","
    "\"postalCode\":\"94043\",\"country\":\"US\"}}";

static const char  id_token[] =
    "\"aud\":[\"ABexampleclientid1234567890abcdefghijklmnopqrstuv\"],"
    "\"realmid\":\"9130347957983546\",\"auth_time\":1795720455,"
    "\"iss\":\"https://oauth.platform.intuit.com/op/v1\","
    "\"exp\":1795724055,\"iat\":1795720455,"
    "\"nonce\":\"MX4bZclMAgGJyJSFYj0ASg\"}";


/*
 * A session of Intuit's.  With the structure around it, a piece of 512 bytes has
 * to do for one whose userinfo has the e-mail address, and one of 1024 bytes
 * for one with all that userinfo may say.
 */

static void
test_session(const char *userinfo, size_t room)
{
    ngx_str_t             claims, info, record, text, own;
    ngx_intuit_session_t  s, s2;

    info = ngx_intuit_stub_str(pool, userinfo);

    /* the one object's members, and then the other's */
    claims = ngx_intuit_stub_fmt(pool, "%s,%s", userinfo, id_token);
    memmove(claims.data + info.len - 1, claims.data + info.len,
            claims.len - info.len);
    claims.len--;

    ngx_memzero(&s, sizeof(s));
    s.created = 1795720455;
    s.expires = 1795749255;
    s.realm = ngx_intuit_stub_str(pool, "9130347957983546");
    s.sub = ngx_intuit_stub_str(pool, "6c2d1e50-4a0f-4e8f-9d52-0c9a9b1f7a01");
    s.email = ngx_intuit_stub_str(pool, "ada@example.com");
    s.login = ngx_intuit_stub_mem(pool, "0123456789abcdef0123456789abcdef",
                                  32);
    own = s.sub;

    ok(ngx_intuit_session_describe(pool, &s, &claims, &info) == NGX_OK
       && same(&s.sub, &own) && within(&s.sub, &s.claims)
       && within(&s.realm, &s.claims) && within(&s.email, &s.claims),
       "a session is described");

    ok(ngx_intuit_session_encode(pool, &s, &record) == NGX_OK
       && ngx_intuit_session_decode(&record, &s2) == NGX_OK,
       "... written and read");

    ok(record.len <= room, "... in %u bytes", (unsigned) record.len);

    ok(ngx_intuit_session_claims(pool, &s2, &text) == NGX_OK
       && same(&text, &claims), "its claims are what they were");
    ok(ngx_intuit_session_userinfo(pool, &s2, &text) == NGX_OK
       && same(&text, &info), "so is userinfo");
}


/* texts that have little in common, or nothing, or nothing at all */

static void
test_texts(void)
{
    size_t                i, j;
    ngx_str_t             claims, info, text;
    ngx_intuit_session_t  s;

    static const char  *texts[] = {
        "", "{}", "{\"sub\":\"1\"}", "{\"sub\":\"1\",\"name\":\"\\u0001\"}",
        "{\"a\":[1,2,{}],\t\"b\":\r\n null}", "{\"sub\":\"2\",\"sub\":\"",
        "\xc3\xa9\x7f\xff", "\",\"\",\"\":\""
    };

    for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        for (j = 0; j < sizeof(texts) / sizeof(texts[0]); j++) {

            claims = ngx_intuit_stub_str(pool, texts[i]);
            info = ngx_intuit_stub_str(pool, texts[j]);

            ngx_memzero(&s, sizeof(s));
            s.sub = ngx_intuit_stub_str(pool, "1");

            ok(ngx_intuit_session_describe(pool, &s, &claims, &info) == NGX_OK
               && s.sub.len == 1 && s.sub.data[0] == '1'
               && ngx_intuit_session_claims(pool, &s, &text) == NGX_OK
               && same(&text, &claims)
               && ngx_intuit_session_userinfo(pool, &s, &text) == NGX_OK
               && same(&text, &info),
               "texts %u and %u", (unsigned) i, (unsigned) j);
        }
    }
}


static void
test_refused(void)
{
    u_char                c;
    ngx_str_t             in, out;
    ngx_uint_t            good, packs, unpacks;
    ngx_intuit_session_t  s;

    good = 1;

    for (c = 0; c < 0xff; c++) {
        in = ngx_intuit_stub_mem(pool, &c, 1);

        packs = (ngx_intuit_claims_pack(pool, &in, &out) == NGX_OK);
        unpacks = (ngx_intuit_claims_unpack(pool, &in, &out) == NGX_OK);

        good = good
               && packs == (c >= 0x20 || c == '\t' || c == '\n' || c == '\r')
               && unpacks == (c != 0);
    }

    ok(good, "bytes that no JSON has are packed by nobody");

    ngx_memzero(&s, sizeof(s));
    s.claims = ngx_intuit_stub_str(pool, "{}");
    s.shared = 3;
    ok(ngx_intuit_session_userinfo(pool, &s, &out) == NGX_ERROR,
       "more of the claims than there is");

    s.shared = 1;
    s.userinfo = ngx_intuit_stub_mem(pool, "\0", 1);
    ok(ngx_intuit_session_userinfo(pool, &s, &out) == NGX_ERROR,
       "userinfo that stands for nothing");

    in = ngx_intuit_stub_str(pool, "{\"sub\":\"1\"}");
    s.userinfo = in;

    ngx_intuit_stub_fail_after(0);
    ok(ngx_intuit_session_describe(pool, &s, &in, &in) == NGX_ERROR
       && ngx_intuit_session_userinfo(pool, &s, &out) == NGX_ERROR
       && ngx_intuit_session_claims(pool, &s, &out) == NGX_OK,
       "no memory");
    ngx_intuit_stub_fail_after(-1);
}


int
main(void)
{
    pool = ngx_intuit_stub_pool();

    test_session(email, 512 - 176);
    test_session(profile, 1024 - 176);
    test_texts();
    test_refused();

    ngx_destroy_pool(pool);

    return done_testing();
}
