/*
 * The promise: OAuth 1.0a signatures are those of RFC 5849, by its own
 * examples, those of OAuth Core 1.0, and by another implementation.
 */

#include "test.h"
#include "ngx_intuit_stub.h"
#include "ngx_intuit_crypto.h"
#include "ngx_intuit_oauth1.h"


typedef struct {
    const char   *name;
    const char   *method;
    const char   *url;
    const char   *consumer_secret;
    const char   *token_secret;
    const char   *params[16];
    const char   *base;
    const char   *signature;        /* NULL: not published */
} vector_t;


static const vector_t  vectors[] = {

    /* c2 and the second a3 are of the body, which is a form */

    { "RFC 5849, 3.4.1", "POST",
      "http://example.com/request?b5=%3D%253D&a3=a&c%40=&a2=r%20b",
      "", "",
      { "oauth_consumer_key", "9djdj82h48djs9d2",
        "oauth_token", "kkk9d7dh3k39sjv7",
        "oauth_signature_method", "HMAC-SHA1",
        "oauth_timestamp", "137131201",
        "oauth_nonce", "7d8f3e4a",
        "c2", "", "a3", "2 q" },
      "POST&http%3A%2F%2Fexample.com%2Frequest&a2%3Dr%2520b%26a3%3D2%2520q"
      "%26a3%3Da%26b5%3D%253D%25253D%26c%2540%3D%26c2%3D%26oauth_consumer_"
      "key%3D9djdj82h48djs9d2%26oauth_nonce%3D7d8f3e4a%26oauth_signature_m"
      "ethod%3DHMAC-SHA1%26oauth_timestamp%3D137131201%26oauth_token%3Dkkk"
      "9d7dh3k39sjv7", NULL },

    { "RFC 5849, 1.2, the token request", "POST",
      "https://photos.example.net/token",
      "kd94hf93k423kf44", "hdhd0244k9j7ao03",
      { "oauth_consumer_key", "dpf43f3p2l4k3l03",
        "oauth_token", "hh5s93j4hdidpola",
        "oauth_signature_method", "HMAC-SHA1",
        "oauth_timestamp", "137131201",
        "oauth_nonce", "walatlh",
        "oauth_verifier", "hfdp7dh39dks9884" },
      NULL, "gKgrFCywp7rO0OXSjdot/IHF7IU=" },

    { "RFC 5849, 1.2, the photo", "GET",
      "http://photos.example.net/photos?file=vacation.jpg&size=original",
      "kd94hf93k423kf44", "pfkkdhi9sl3r4s00",
      { "oauth_consumer_key", "dpf43f3p2l4k3l03",
        "oauth_token", "nnch734d00sl2jdk",
        "oauth_signature_method", "HMAC-SHA1",
        "oauth_timestamp", "137131202",
        "oauth_nonce", "chapoH" },
      NULL, "MdpQcU8iPSUjWoN/UDMsK2sui9I=" },

    { "OAuth Core 1.0, appendix A.5", "GET",
      "http://photos.example.net/photos?file=vacation.jpg&size=original",
      "kd94hf93k423kf44", "pfkkdhi9sl3r4s00",
      { "oauth_consumer_key", "dpf43f3p2l4k3l03",
        "oauth_token", "nnch734d00sl2jdk",
        "oauth_signature_method", "HMAC-SHA1",
        "oauth_timestamp", "1191242096",
        "oauth_nonce", "kllo9940pd9333jh",
        "oauth_version", "1.0" },
      "GET&http%3A%2F%2Fphotos.example.net%2Fphotos&file%3Dvacation.jpg%26"
      "oauth_consumer_key%3Ddpf43f3p2l4k3l03%26oauth_nonce%3Dkllo9940pd933"
      "3jh%26oauth_signature_method%3DHMAC-SHA1%26oauth_timestamp%3D119124"
      "2096%26oauth_token%3Dnnch734d00sl2jdk%26oauth_version%3D1.0%26size%"
      "3Doriginal", "tR3+Ty81lMeYAr/Fid0kMTYa/WM=" },

    /* section 3.4.1.2 */

    { "upper case and a default port", "GET",
      "http://EXAMPLE.COM:80/r%20v/X?id=123", "", "", { NULL },
      "GET&http%3A%2F%2Fexample.com%2Fr%2520v%2FX&id%3D123", NULL },

    { "another port", "GET", "https://www.example.net:8080/?q=1", "", "",
      { NULL }, "GET&https%3A%2F%2Fwww.example.net%3A8080%2F&q%3D1", NULL },

    { "the other scheme's port", "GET", "https://example.com:80/", "", "",
      { NULL }, "GET&https%3A%2F%2Fexample.com%3A80%2F&", NULL }
};


static ngx_pool_t  *pool;


static void
test_vectors(void)
{
    size_t           i;
    ngx_str_t        url, base, signature, secret[2];
    ngx_uint_t       n;
    ngx_keyval_t     params[8];
    const vector_t  *v;

    for (i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        v = &vectors[i];

        url = ngx_intuit_stub_str(pool, v->url);
        secret[0] = ngx_intuit_stub_str(pool, v->consumer_secret);
        secret[1] = ngx_intuit_stub_str(pool, v->token_secret);

        for (n = 0; v->params[2 * n]; n++) {
            params[n].key = ngx_intuit_stub_str(pool, v->params[2 * n]);
            params[n].value = ngx_intuit_stub_str(pool, v->params[2 * n + 1]);
        }

        if (!ok(ngx_intuit_oauth1_base(pool, v->method, &url, params, n, &base)
                == NGX_OK, "%s: a base string", v->name))
        {
            continue;
        }

        if (v->base) {
            is_str(&base, v->base, "%s: which it is", v->name);
        }

        ok(ngx_intuit_oauth1_sign(pool, &base, &secret[0], &secret[1],
                                  &signature)
           == NGX_OK, "%s: a signature", v->name);

        if (v->signature) {
            is_str(&signature, v->signature, "%s: which it is", v->name);
        }
    }
}


/* computed with Perl's Digest::SHA */

static void
test_header(void)
{
    ngx_str_t            header;
    ngx_intuit_oauth1_t  o;

    ngx_memzero(&o, sizeof(o));

    o.url = ngx_intuit_stub_str(pool,
        "https://developer.api.intuit.com/v2/oauth2/tokens/migrate");
    o.consumer_key = ngx_intuit_stub_str(pool, "key/1 +2");
    o.consumer_secret = ngx_intuit_stub_str(pool, "consumer&secret=%");
    o.token = ngx_intuit_stub_str(pool, "token~._-\xc3\xa9");
    o.token_secret = ngx_intuit_stub_str(pool, "token secret*!'()");
    o.nonce = ngx_intuit_stub_str(pool, "0123456789abcdef");
    o.timestamp = 1700000000;

    ok(ngx_intuit_oauth1_header(pool, &o, &header) == NGX_OK, "a header");
    is_str(&header,
           "OAuth oauth_consumer_key=\"key%2F1%20%2B2\","
           "oauth_token=\"token~._-%C3%A9\","
           "oauth_signature_method=\"HMAC-SHA1\","
           "oauth_timestamp=\"1700000000\","
           "oauth_nonce=\"0123456789abcdef\","
           "oauth_version=\"1.0\","
           "oauth_signature=\"1kO83mkVnLCL4%2FnWB%2BxA%2FtxN0Tc%3D\"", "which it is");
}


static void
test_refusals(void)
{
    size_t     i;
    ngx_str_t  url, base;

    static const char  *bad[] = {
        "", "example.com/", "ftp://example.com/", "http://", "http://a/#b",
        "http://a/?b=%", "http://a/?%zz=1", "http://a/?b=%00"
    };

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        url = ngx_intuit_stub_str(pool, bad[i]);
        ok(ngx_intuit_oauth1_base(pool, "GET", &url, NULL, 0, &base)
           == NGX_DECLINED, "refused: \"%s\"", bad[i]);
    }
}


static void
test_memory(void)
{
    ngx_int_t            i, rc;
    ngx_str_t            header;
    ngx_intuit_oauth1_t  o;

    ngx_memzero(&o, sizeof(o));
    o.url = ngx_intuit_stub_str(pool, "https://example.com/a?b=c&d");
    o.consumer_key = ngx_intuit_stub_str(pool, "k");

    for (i = 0; i < 100; i++) {
        ngx_intuit_stub_fail_after(i);
        rc = ngx_intuit_oauth1_header(pool, &o, &header);
        ngx_intuit_stub_fail_after(-1);

        if (rc == NGX_OK) {
            break;
        }

        ok(rc == NGX_ERROR, "no memory after %d allocations", (int) i);
    }

    ok(i > 10 && i < 100, "with enough memory it works");
}


int
main(void)
{
    pool = ngx_intuit_stub_pool();

    test_vectors();
    test_header();
    test_refusals();
    test_memory();

    ngx_destroy_pool(pool);

    return done_testing();
}
