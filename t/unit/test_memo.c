/*
 * A memo gives back what was put in under the same value and nothing under any
 * other, forgets rather than mixes up, and tags values with SipHash-2-4-128,
 * which OpenSSL computes alike.
 */

#include "ngx_intuit_stub.h"
#include "ngx_intuit_memo.h"
#include "test.h"

#include <openssl/evp.h>


static void
words(u_char *out, const uint64_t in[2])
{
    size_t  i;

    for (i = 0; i < 16; i++) {
        out[i] = (u_char) (in[i / 8] >> (8 * (i % 8)));
    }
}


static void
test_siphash(ngx_pool_t *pool)
{
    u_char            key[16], ours[16], theirs[16], text[80];
    size_t            i, len, wrong;
    uint64_t          k[2];
    ngx_str_t         in;
    ngx_intuit_tag_t  tag;

    for (i = 0; i < sizeof(text); i++) {
        text[i] = (u_char) (i * 37 + 200);
    }

    k[0] = 0xfedcba9876543210ULL;
    k[1] = 0x8877665544332211ULL;
    words(key, k);

    wrong = 0;

    for (i = 0; i <= sizeof(text); i++) {

        in = ngx_intuit_stub_mem(pool, (char *) text, i);
        ngx_intuit_siphash(k, &in, &tag);
        words(ours, tag.word);

        if (EVP_Q_mac(NULL, "SIPHASH", NULL, NULL, NULL, key, sizeof(key),
                      text, i, theirs, sizeof(theirs), &len)
            == NULL
            || len != sizeof(ours)
            || memcmp(ours, theirs, sizeof(ours)) != 0)
        {
            wrong++;
        }
    }

    ok(wrong == 0, "SipHash of 0 to 80 bytes is OpenSSL's");

    k[1] ^= 1;
    words(key, k);
    in = ngx_intuit_stub_mem(pool, (char *) text, 43);
    ngx_intuit_siphash(k, &in, &tag);
    words(theirs, tag.word);
    k[1] ^= 1;
    ngx_intuit_siphash(k, &in, &tag);
    words(ours, tag.word);
    ok(memcmp(ours, theirs, sizeof(ours)) != 0, "a bit of the key counts");
}


static void
test_memo(ngx_pool_t *pool)
{
    u_char              name[8], in[NGX_INTUIT_HASH_LEN];
    u_char              out[NGX_INTUIT_HASH_LEN];
    ngx_str_t           value;
    ngx_uint_t          i, kept, wrong;
    ngx_intuit_tag_t    tag, same;
    ngx_intuit_memo_t  *memo, *other;

    memo = ngx_intuit_memo_create(pool);
    other = ngx_intuit_memo_create(pool);

    if (!ok(memo && other, "two memos")) {
        return;
    }

    memset(in, 7, sizeof(in));

    value = ngx_intuit_stub_str(pool, "a cookie");
    ok(ngx_intuit_memo_get(memo, &value, &tag, out) == NGX_DECLINED,
       "nothing is known at first");

    ngx_intuit_memo_put(memo, &tag, in);
    ok(ngx_intuit_memo_get(memo, &value, &same, out) == NGX_OK
       && memcmp(in, out, sizeof(in)) == 0, "then what was put in is");
    ok(ngx_intuit_memo_get(other, &value, &same, out) == NGX_DECLINED
       && memcmp(&tag, &same, sizeof(tag)) != 0,
       "another memo has another key, and knows nothing of it");

    value = ngx_intuit_stub_str(pool, "a cookif");
    ok(ngx_intuit_memo_get(memo, &value, &same, out) == NGX_DECLINED,
       "nor is it known for another value");

    /* half a tag, in the same slot */

    same = tag;
    same.word[1] ^= 1;
    memset(in, 8, sizeof(in));
    ngx_intuit_memo_put(memo, &same, in);
    value = ngx_intuit_stub_str(pool, "a cookie");
    ok(ngx_intuit_memo_get(memo, &value, &tag, out) == NGX_DECLINED,
       "one whose tag differs in a bit has taken its place");

    /* more than there is room for */

    for (i = 0; i < 4000; i++) {
        value.len = sprintf((char *) name, "%u", (unsigned) i);
        value.data = name;
        memset(in, (int) i, sizeof(in));

        (void) ngx_intuit_memo_get(memo, &value, &tag, out);
        ngx_intuit_memo_put(memo, &tag, in);
    }

    kept = 0;
    wrong = 0;

    for (i = 0; i < 4000; i++) {
        value.len = sprintf((char *) name, "%u", (unsigned) i);
        value.data = name;
        memset(in, (int) i, sizeof(in));

        if (ngx_intuit_memo_get(memo, &value, &tag, out) == NGX_OK) {
            kept++;
            wrong += (memcmp(in, out, sizeof(in)) != 0);
        }
    }

    ok(kept > 64 && kept <= 1024, "of 4000 some are kept");
    ok(wrong == 0, "... each with its own hash");
}


int
main(void)
{
    ngx_pool_t  *pool;

    pool = ngx_intuit_stub_pool();

    test_siphash(pool);
    test_memo(pool);

    ngx_destroy_pool(pool);

    return done_testing();
}
