/*
 * A memo gives back what was put in under the same value and nothing under any
 * other, forgets rather than mixes up, and tags values with NH.
 */

#include "ngx_intuit_stub.h"
#include "ngx_intuit_memo.h"
#include "test.h"


/* once more, as RFC 4418 writes it down: k[], then the next iteration's */

static uint64_t
nh(const uint32_t *k, const u_char *text, size_t len)
{
    u_char    padded[64];
    size_t    i;
    uint32_t  m[16];
    uint64_t  y;

    memset(padded, 0, sizeof(padded));
    memcpy(padded, text, len);
    memcpy(m, padded, sizeof(m));

    y = 0;

    for (i = 0; i < (len + 7) / 8 * 2; i += 2) {
        y += (uint64_t) (uint32_t) (m[i] + k[i])
             * (uint64_t) (uint32_t) (m[i + 1] + k[i + 1]);
    }

    return y;
}


static void
test_tag(ngx_pool_t *pool)
{
    u_char                text[64];
    size_t                i, n, k, len, wrong;
    uint32_t              keys[NGX_INTUIT_TAG_WORDS][16];
    ngx_str_t             in;
    ngx_intuit_tag_t      tag, other;
    ngx_intuit_tag_key_t  key;

    for (i = 0; i < sizeof(text); i++) {
        text[i] = (u_char) (i * 37 + 200);
    }

    for (k = 0; k < NGX_INTUIT_TAG_WORDS; k++) {
        for (i = 0; i < 16; i++) {
            keys[k][i] = (uint32_t) (0x9e3779b9u * (k * 16 + i + 1));
            key.word[i / 2][k][i % 2] = keys[k][i];
        }
    }

    wrong = 0;

    for (len = 0; len <= sizeof(text); len++) {

        in = ngx_intuit_stub_mem(pool, (char *) text, len);
        ngx_intuit_tag(&key, &in, &tag);

        for (k = 0; k < NGX_INTUIT_TAG_WORDS; k++) {
            wrong += (tag.word[k] != nh(keys[k], text, len));
        }

        wrong += (tag.len != len);
    }

    ok(wrong == 0, "the tag of 0 to 64 bytes is NH, four times");

    in = ngx_intuit_stub_mem(pool, (char *) text, 43);
    ngx_intuit_tag(&key, &in, &tag);

    wrong = 0;

    for (i = 0; i < 43 * 8; i++) {
        in.data[i / 8] ^= (u_char) (1 << (i % 8));
        ngx_intuit_tag(&key, &in, &other);
        in.data[i / 8] ^= (u_char) (1 << (i % 8));

        for (k = 0; k < NGX_INTUIT_TAG_WORDS; k++) {
            wrong += (tag.word[k] == other.word[k]);
        }
    }

    ok(wrong == 0, "each bit of a cookie counts in each word");

    wrong = 0;

    for (n = 0; n < sizeof(key.word) / sizeof(uint32_t); n++) {
        uint32_t  *word = (uint32_t *) key.word + n;

        *word ^= 0x100;
        ngx_intuit_tag(&key, &in, &other);
        *word ^= 0x100;

        wrong += ((memcmp(tag.word, other.word, sizeof(tag.word)) == 0)
                  != (n >= 6 * 2 * NGX_INTUIT_TAG_WORDS));
    }

    ok(wrong == 0, "and each word of the key that is long enough for it");
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

    value = ngx_intuit_stub_str(pool, "a cookie of 65 bytes -- a cookie of 65 by"
                                "tes -- a cookie of 65 b");
    value.len = 65;
    ok(ngx_intuit_memo_get(memo, &value, &tag, out) == NGX_ABORT,
       "what is too long is not remembered");

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

    test_tag(pool);
    test_memo(pool);

    ngx_destroy_pool(pool);

    return done_testing();
}
