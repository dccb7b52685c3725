/*
 * The promise: sealed bytes open only with their key, unaltered, and for the
 * purpose they were sealed for; base64url has one spelling for each value.
 *
 * Rows: CK-12 LES-08 LES-21 LES-25
 */

#include "test.h"
#include "ngx_intuit_stub.h"
#include "ngx_intuit_crypto.h"
#include "ngx_intuit_memo.h"
#include <openssl/err.h>


#define queue_clean(what)                                                     \
    ok(ERR_peek_error() == 0, "%s leaves OpenSSL's error queue empty", what)


static int
hex_is(const u_char *p, size_t len, const char *hex)
{
    u_char  text[128];

    ngx_hex_dump(text, (u_char *) p, len);

    return strlen(hex) == 2 * len && memcmp(text, hex, 2 * len) == 0;
}


static void
test_random(void)
{
    u_char  a[32], b[32];

    memset(a, 0, sizeof(a));
    memset(b, 0, sizeof(b));

    ok(ngx_intuit_random(a, sizeof(a)) == NGX_OK, "random bytes");
    ok(ngx_intuit_random(b, sizeof(b)) == NGX_OK, "random bytes again");
    ok(memcmp(a, b, sizeof(a)) != 0, "they differ");
    ok(ngx_intuit_random(a, 0) == NGX_OK, "no bytes at all");
}


static void
test_hash(ngx_pool_t *pool)
{
    u_char     a[NGX_INTUIT_HASH_LEN], b[NGX_INTUIT_HASH_LEN];
    ngx_str_t  s, parts[2], empty;

    ngx_str_null(&empty);

    s = ngx_intuit_stub_str(pool, "abc");
    ok(ngx_intuit_sha256(a, &s) == NGX_OK
       && hex_is(a, sizeof(a), "ba7816bf8f01cfea414140de5dae2223"
                               "b00361a396177a9cb410ff61f20015ad"),
       "SHA-256 of \"abc\" (FIPS 180-4)");

    ok(ngx_intuit_sha256(a, &empty) == NGX_OK
       && hex_is(a, sizeof(a), "e3b0c44298fc1c149afbf4c8996fb924"
                               "27ae41e4649b934ca495991b7852b855"),
       "SHA-256 of nothing");

    /* 8 bytes of length, big endian, then the text */
    s = ngx_intuit_stub_mem(pool, "\0\0\0\0\0\0\0\3abc", 11);
    parts[0] = ngx_intuit_stub_str(pool, "abc");
    ok(ngx_intuit_sha256(a, &s) == NGX_OK
       && ngx_intuit_hash(b, parts, 1) == NGX_OK
       && memcmp(a, b, sizeof(a)) == 0,
       "a hash of parts puts a part's length before it");

    parts[0] = ngx_intuit_stub_str(pool, "ab");
    parts[1] = ngx_intuit_stub_str(pool, "c");
    ngx_intuit_hash(a, parts, 2);
    parts[0] = ngx_intuit_stub_str(pool, "a");
    parts[1] = ngx_intuit_stub_str(pool, "bc");
    ngx_intuit_hash(b, parts, 2);
    ok(memcmp(a, b, sizeof(a)) != 0, "a byte moved to the next part shows");

    parts[0] = ngx_intuit_stub_str(pool, "abc");
    parts[1] = empty;
    ok(ngx_intuit_hash(a, parts, 2) == NGX_OK, "an empty part without data");
    ngx_intuit_hash(b, parts, 1);
    ok(memcmp(a, b, sizeof(a)) != 0, "an empty part counts");
}


static void
test_digest(ngx_pool_t *pool)
{
    u_char                a[NGX_INTUIT_HASH_LEN], b[NGX_INTUIT_HASH_LEN];
    u_char                text[65 + 3];
    ngx_str_t             s, value;
    ngx_intuit_digest_t  *one, *other;

    memset(text, 0, sizeof(text));
    memcpy(text, "begin", 5);
    memcpy(text + 64, "abc", 3);

    s = ngx_intuit_stub_str(pool, "begin");
    one = ngx_intuit_digest_create(pool, &s);
    s = ngx_intuit_stub_mem(pool, (char *) text, 64);
    other = ngx_intuit_digest_create(pool, &s);

    value = ngx_intuit_stub_str(pool, "abc");
    s = ngx_intuit_stub_mem(pool, (char *) text, 67);

    ok(one && ngx_intuit_digest(one, a, &value) == NGX_OK
       && ngx_intuit_sha256(b, &s) == NGX_OK
       && memcmp(a, b, sizeof(a)) == 0,
       "a digest is the SHA-256 of its block and the value");
    ok(ngx_intuit_digest(one, a, &value) == NGX_OK
       && memcmp(a, b, sizeof(a)) == 0, "... each time");
    ok(other && ngx_intuit_digest(other, a, &value) == NGX_OK
       && memcmp(a, b, sizeof(a)) == 0, "... its beginning filled up");

    value = ngx_intuit_stub_str(pool, "abd");
    ok(ngx_intuit_digest(one, a, &value) == NGX_OK
       && memcmp(a, b, sizeof(a)) != 0, "... another of another value");

    ngx_str_null(&value);
    s = ngx_intuit_stub_mem(pool, (char *) text, 64);
    ok(ngx_intuit_digest(one, a, &value) == NGX_OK
       && ngx_intuit_sha256(b, &s) == NGX_OK
       && memcmp(a, b, sizeof(a)) == 0, "... of nothing");

    s = ngx_intuit_stub_mem(pool, (char *) text, 65);
    ok(ngx_intuit_digest_create(pool, &s) == NULL, "a beginning too long");
}


static void
test_equal(ngx_pool_t *pool)
{
    ngx_str_t  a, b, empty;

    ngx_str_null(&empty);
    a = ngx_intuit_stub_str(pool, "secret");

    b = ngx_intuit_stub_str(pool, "secret");
    ok(ngx_intuit_equal(&a, &b) == 1, "equal strings");
    b = ngx_intuit_stub_str(pool, "secreT");
    ok(ngx_intuit_equal(&a, &b) == 0, "the last byte differs");
    b = ngx_intuit_stub_str(pool, "secre");
    ok(ngx_intuit_equal(&a, &b) == 0, "a prefix is not equal");
    ok(ngx_intuit_equal(&b, &a) == 0, "on either side");
    ok(ngx_intuit_equal(&a, &empty) == 0, "nor is nothing");
    ok(ngx_intuit_equal(&empty, &empty) == 1, "nothing equals nothing");
}


static void
test_key(ngx_pool_t *pool)
{
    size_t            i;
    u_char            ikm[22], hash[NGX_INTUIT_HASH_LEN];
    ngx_str_t         s;
    ngx_intuit_key_t  a, b;

    static const char *const  bad[] = {
        "", " ", "\n",
        "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1",
        "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f0",
        "000102030405060708090a0b0c0d0e0f 101112131415161718191a1b1c1d1e1f",
        "000102030405060708090a0b0c0d0e0f\n01112131415161718191a1b1c1d1e1f",
        "0x0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
        "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1g",
        "/00102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
        ":00102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
        "@00102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
        "\301010102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
    };

    memset(ikm, 0x0b, sizeof(ikm));
    s = ngx_intuit_stub_mem(pool, ikm, sizeof(ikm));

    ok(ngx_intuit_key_derive(&a, &s, "") == NGX_OK
       && hex_is(a.key, sizeof(a.key), "8da4e775a563c18f715f802a063c5a31"
                                       "b8a11f5c5ee1879ec3454e5f3c738d2d"),
       "HKDF with empty salt and info (RFC 5869, A.3)");

    ok(ngx_intuit_key_derive(&a, &s, "session") == NGX_OK
       && ngx_intuit_key_derive(&b, &s, "state") == NGX_OK
       && memcmp(a.key, b.key, sizeof(a.key)) != 0
       && memcmp(a.id, b.id, sizeof(a.id)) != 0,
       "another info gives another key and id");

    s = ngx_intuit_stub_str(pool, "x");
    ok(ngx_intuit_key_derive(&b, &s, "session") == NGX_OK,
       "one byte of key material");
    queue_clean("derivation");

    s = ngx_intuit_stub_str(pool,
        " \t000102030405060708090a0b0c0d0e0f"
        "101112131415161718191A1B1C1D1E1F\r\n");
    ok(ngx_intuit_key_parse(&a, &s) == NGX_OK && a.key[0] == 0
       && a.key[31] == 0x1f && a.key[26] == 0x1a,
       "a key file with white space around, digits of both cases");

    s = ngx_intuit_stub_mem(pool, a.key, sizeof(a.key));
    ngx_intuit_sha256(hash, &s);
    ok(memcmp(a.id, hash, sizeof(a.id)) == 0, "the id is the key's hash");

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        s = ngx_intuit_stub_str(pool, bad[i]);
        ok(ngx_intuit_key_parse(&a, &s) == NGX_DECLINED,
           "not a key file: case %zu", i);
    }
}


static void
test_seal(ngx_pool_t *pool)
{
    ngx_str_t         aad, plain, sealed, again, out, ikm;
    ngx_uint_t        len, good;
    ngx_intuit_key_t  keys[3];
    u_char            buf[200];

    ikm = ngx_intuit_stub_str(pool, "one");
    ngx_intuit_key_derive(&keys[0], &ikm, "t");
    ikm = ngx_intuit_stub_str(pool, "two");
    ngx_intuit_key_derive(&keys[1], &ikm, "t");

    aad = ngx_intuit_stub_str(pool, "login");
    ngx_intuit_random(buf, sizeof(buf));

    for (good = 0, len = 0; len <= sizeof(buf); len++) {
        plain = ngx_intuit_stub_mem(pool, buf, len);

        if (ngx_intuit_seal(pool, &keys[0], &aad, &plain, &sealed) == NGX_OK
            && sealed.len == len + NGX_INTUIT_SEAL_OVERHEAD
            && ngx_intuit_open(pool, keys, 2, &aad, &sealed, &out) == NGX_OK
            && out.len == len
            && memcmp(out.data, buf, len) == 0)
        {
            good++;
        }
    }

    ok(good == sizeof(buf) + 1, "every length 0..200 goes there and back");

    ok(sealed.data[0] == 1 && memcmp(sealed.data + 1, keys[0].id, 4) == 0,
       "version and key id come first");

    ngx_intuit_seal(pool, &keys[0], &aad, &plain, &again);
    ok(memcmp(sealed.data, again.data, sealed.len) != 0,
       "the same text sealed twice differs");

    ok(ngx_intuit_open(pool, keys + 1, 1, &aad, &sealed, &out)
       == NGX_DECLINED, "another key does not open it");
    ok(ngx_intuit_open(pool, keys, 0, &aad, &sealed, &out) == NGX_DECLINED,
       "nor does no key");

    /* two keys of one id: the second is tried as well */
    keys[2] = keys[0];
    memcpy(keys[1].id, keys[0].id, sizeof(keys[0].id));
    ok(ngx_intuit_open(pool, keys + 1, 2, &aad, &sealed, &out) == NGX_OK,
       "a foreign key with the same id is passed over");
    ok(ngx_intuit_open(pool, keys + 1, 1, &aad, &sealed, &out)
       == NGX_DECLINED, "and does not open it alone");

    aad = ngx_intuit_stub_str(pool, "logout");
    ok(ngx_intuit_open(pool, keys, 1, &aad, &sealed, &out) == NGX_DECLINED,
       "sealed for another purpose");
    ngx_str_null(&aad);
    ok(ngx_intuit_open(pool, keys, 1, &aad, &sealed, &out) == NGX_DECLINED,
       "opened without a purpose");
    ok(ngx_intuit_seal(pool, keys, &aad, &plain, &sealed) == NGX_OK
       && ngx_intuit_open(pool, keys, 1, &aad, &sealed, &out) == NGX_OK,
       "no purpose on both sides");
    ngx_str_null(&plain);
    ok(ngx_intuit_seal(pool, keys, &aad, &plain, &sealed) == NGX_OK
       && ngx_intuit_open(pool, keys, 1, &aad, &sealed, &out) == NGX_OK
       && out.len == 0,
       "an empty text without data");

    queue_clean("opening");
}


static void
test_sealer(ngx_pool_t *pool)
{
    u_char                big[2000], seen[200][32];
    ngx_str_t             ikm, aad, plain, sealed, again, out;
    ngx_uint_t            i, k, same;
    ngx_intuit_key_t      key;
    ngx_intuit_sealer_t  *sealer;

    ikm = ngx_intuit_stub_str(pool, "another secret");
    aad = ngx_intuit_stub_str(pool, "login");
    plain = ngx_intuit_stub_str(pool, "an attempt");

    ok(ngx_intuit_key_derive(&key, &ikm, "test") == NGX_OK, "a key");
    sealer = ngx_intuit_sealer_create(pool, &key);

    if (!ok(sealer != NULL, "a sealer of it")) {
        return;
    }

    for (i = 0; i < 3; i++) {
        ok(ngx_intuit_sealer_seal(sealer, pool, &aad, &plain, &sealed)
           == NGX_OK
           && ngx_intuit_open(pool, &key, 1, &aad, &sealed, &out) == NGX_OK
           && out.len == plain.len
           && memcmp(out.data, plain.data, out.len) == 0,
           "what it seals opens with the key, time %u", (unsigned) i);
    }

    ok(ngx_intuit_sealer_seal(sealer, pool, &aad, &plain, &again) == NGX_OK
       && memcmp(again.data, sealed.data, sealed.len) != 0,
       "no nonce comes twice");

    ngx_str_null(&plain);
    ok(ngx_intuit_sealer_seal(sealer, pool, &plain, &plain, &sealed)
       == NGX_OK
       && ngx_intuit_open(pool, &key, 1, &plain, &sealed, &out) == NGX_OK
       && out.len == 0, "nothing is sealed, too");

    same = 0;

    for (i = 0; i < 200; i++) {
        same += (ngx_intuit_sealer_random(sealer, seen[i], 32) != NGX_OK);

        for (k = 0; k < i; k++) {
            same += (memcmp(seen[i], seen[k], 32) == 0);
        }
    }

    ok(same == 0, "200 times 32 random bytes, none of them twice");

    ok(ngx_intuit_sealer_random(sealer, big, sizeof(big)) == NGX_ERROR
       && big[0] == 0 && big[sizeof(big) - 1] == 0,
       "no more than there is room for");
}


static void
test_altered(ngx_pool_t *pool)
{
    size_t            i;
    ngx_str_t         aad, plain, sealed, copy, out, ikm;
    ngx_uint_t        opened;
    ngx_intuit_key_t  key;

    ikm = ngx_intuit_stub_str(pool, "one");
    ngx_intuit_key_derive(&key, &ikm, "t");
    aad = ngx_intuit_stub_str(pool, "aad");
    plain = ngx_intuit_stub_str(pool, "a secret text");

    ngx_intuit_seal(pool, &key, &aad, &plain, &sealed);

    for (opened = 0, i = 0; i < sealed.len * 8; i++) {
        copy = ngx_intuit_stub_mem(pool, sealed.data, sealed.len);
        copy.data[i / 8] ^= (u_char) (1 << i % 8);

        if (ngx_intuit_open(pool, &key, 1, &aad, &copy, &out)
            != NGX_DECLINED)
        {
            opened++;
        }
    }

    ok(opened == 0, "no flipped bit of %zu goes unseen", i);

    for (opened = 0, i = 0; i < sealed.len; i++) {
        copy = ngx_intuit_stub_mem(pool, sealed.data, i);

        if (ngx_intuit_open(pool, &key, 1, &aad, &copy, &out)
            != NGX_DECLINED)
        {
            opened++;
        }
    }

    ok(opened == 0, "no prefix opens");

    copy.data = ngx_pcalloc(pool, sealed.len + 1);
    memcpy(copy.data, sealed.data, sealed.len);
    copy.len = sealed.len + 1;
    ok(ngx_intuit_open(pool, &key, 1, &aad, &copy, &out) == NGX_DECLINED,
       "nor does a longer one");

    /* as if a step before the last had left something */
    ERR_raise(ERR_LIB_USER, 1);
    ok(ngx_intuit_open(pool, &key, 1, &plain, &sealed, &out)
       == NGX_DECLINED, "another purpose");
    queue_clean("a refused text");

    ngx_intuit_stub_fail_after(0);
    ok(ngx_intuit_seal(pool, &key, &aad, &plain, &copy) == NGX_ERROR,
       "sealing without memory");
    ok(ngx_intuit_open(pool, &key, 1, &aad, &sealed, &copy) == NGX_ERROR,
       "opening without memory");
    ngx_intuit_stub_fail_after(-1);
}


static void
test_base64url(ngx_pool_t *pool)
{
    size_t      i, len;
    u_char      buf[70], text[100];
    ngx_str_t   s, out;
    ngx_uint_t  good, taken;

    static const char *const  pairs[][2] = {
        { "", "" }, { "f", "Zg" }, { "fo", "Zm8" }, { "foo", "Zm9v" },
        { "foob", "Zm9vYg" }, { "fooba", "Zm9vYmE" },
        { "foobar", "Zm9vYmFy" }, { "\xfb\xff\xbf", "-_-_" },
    };

    static const char *const  bad[] = {
        "A", "AAAAA", "Z", "Zm9vY", "Zg==", "Zg=", "Zm8=", "Zm9v=", " Zg", "Zg ", "Z g",
        "Zg\n", "Zm9v\r\n", "+_-_", "-/-_", "Zh", "Zv", "Zm9", "Zm-", "Zm9vYh",
        "Zm9vYmF", "Zm\x80v", "Zm.v", "====", "Z\xc3\xa9v",
    };

    for (i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        len = strlen(pairs[i][0]);
        s.data = text;
        s.len = ngx_intuit_base64url_encode(text, (u_char *) pairs[i][0], len)
                - text;

        ok(s.len == ngx_intuit_base64url_len(len), "length, case %zu", i);
        is_str(&s, pairs[i][1], "encodes to %s", pairs[i][1]);

        s = ngx_intuit_stub_str(pool, pairs[i][1]);
        ok(ngx_intuit_base64url_decode(pool, &out, &s) == NGX_OK,
           "decodes %s", pairs[i][1]);
        is_str(&out, pairs[i][0], "to the same");
    }

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        s = ngx_intuit_stub_str(pool, bad[i]);
        ok(ngx_intuit_base64url_decode(pool, &out, &s) == NGX_DECLINED,
           "refused: case %zu", i);
    }

    s = ngx_intuit_stub_mem(pool, "Zm\0v", 4);
    ok(ngx_intuit_base64url_decode(pool, &out, &s) == NGX_DECLINED,
       "refused: a NUL");

    ngx_intuit_random(buf, sizeof(buf));

    for (good = 0, len = 0; len <= sizeof(buf); len++) {
        s.data = text;
        s.len = ngx_intuit_base64url_encode(text, buf, len) - text;
        s = ngx_intuit_stub_mem(pool, s.data, s.len);

        good += ngx_intuit_base64url_decode(pool, &out, &s) == NGX_OK
                && out.len == len
                && (len == 0 || memcmp(out.data, buf, len) == 0);
    }

    ok(good == sizeof(buf) + 1, "every length goes there and back");

    /* of 64 * 64 spellings of one byte, 256 are taken */
    for (taken = 0, i = 0; i < 65536; i++) {
        text[0] = (u_char) (i >> 8);
        text[1] = (u_char) i;
        s.data = text;
        s.len = 2;
        taken += ngx_intuit_base64url_decode(pool, &out, &s) == NGX_OK;
    }

    ok(taken == 256, "one spelling for each byte");

    ngx_intuit_stub_fail_after(0);
    ok(ngx_intuit_base64url_decode(pool, &out, &s) == NGX_ERROR, "no memory");
    ngx_intuit_stub_fail_after(-1);
}


int
main(void)
{
    char         secret[8];
    ngx_pool_t  *pool;

    pool = ngx_intuit_stub_pool();

    test_random();
    test_hash(pool);
    test_digest(pool);
    test_equal(pool);
    test_key(pool);
    test_seal(pool);
    test_sealer(pool);
    test_altered(pool);
    test_base64url(pool);

    memset(secret, 'x', sizeof(secret));
    ngx_intuit_cleanse(secret, sizeof(secret));
    ok(memcmp(secret, "\0\0\0\0\0\0\0\0", 8) == 0, "cleansed");

    ngx_intuit_cleanse(NULL, sizeof(secret));
    ok(1, "what there was no memory for is passed over");

    ngx_destroy_pool(pool);

    return done_testing();
}
