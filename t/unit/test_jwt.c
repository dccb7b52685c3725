/*
 * The promise: an ID token is believed only when the issuer's RSA key signed
 * exactly these bytes with RS256.  The attacks: forged headers (alg, crit, typ,
 * jwk), altered parts, other encodings of the same bytes, other signatures.
 *
 * Rows: ID-04 ID-05 LES-33 F-PRC-04
 */

#include "test.h"
#include "ngx_intuit_stub.h"
#include "jwt_fixture.h"
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>


/* a signature over a text, with any padding and digest */

static ngx_str_t
sign_with(ngx_pool_t *pool, EVP_PKEY *pkey, ngx_str_t text, const EVP_MD *md,
    int padding)
{
    size_t         len;
    u_char         buf[1024];
    EVP_MD_CTX    *ctx;
    EVP_PKEY_CTX  *pctx;

    len = sizeof(buf);
    ctx = EVP_MD_CTX_new();

    if (ctx == NULL
        || EVP_DigestSignInit(ctx, &pctx, md, NULL, pkey) != 1
        || EVP_PKEY_CTX_set_rsa_padding(pctx, padding) != 1
        || EVP_DigestSign(ctx, buf, &len, text.data, text.len) != 1)
    {
        abort();
    }

    EVP_MD_CTX_free(ctx);

    return ngx_intuit_stub_mem(pool, buf, len);
}


static ngx_str_t
sign(ngx_pool_t *pool, EVP_PKEY *pkey, ngx_str_t text)
{
    return sign_with(pool, pkey, text, EVP_sha256(), RSA_PKCS1_PADDING);
}


/* a whole token, honestly signed */

static ngx_str_t
token(ngx_pool_t *pool, EVP_PKEY *pkey, const char *header,
    const char *payload)
{
    ngx_str_t  text;

    text = join(pool, encode_text(pool, header), encode_text(pool, payload));

    return join(pool, text, encode(pool, sign(pool, pkey, text)));
}


/* the whole way of a login: parse, find the key, verify, check */

static ngx_int_t
login(ngx_pool_t *pool, ngx_str_t text, const ngx_intuit_jwks_t *jwks)
{
    ngx_int_t                rc;
    const char              *reason;
    ngx_intuit_jwk_t        *key;
    ngx_intuit_jwt_t         jwt;
    ngx_intuit_jwt_rules_t   rules;

    reason = NULL;
    rules_init(&rules);

    /* a block of its own, so that a read beyond the token is seen */
    text = ngx_intuit_stub_mem(pool, text.data, text.len);

    rc = ngx_intuit_jwt_parse(pool, &text, &jwt, &reason);

    if (rc == NGX_OK) {
        key = ngx_intuit_jwks_find(jwks, &jwt.kid);
        if (key == NULL) {
            return NGX_DECLINED;
        }

        rc = ngx_intuit_jwt_verify(&jwt, key);
        reason = "signature";
    }

    if (rc == NGX_OK) {
        rc = ngx_intuit_jwt_check(pool, &jwt, &rules, &reason);
    }

    if (rc != NGX_OK && (rc != NGX_DECLINED || reason == NULL)) {
        printf("# rc:%d without a reason\n", (int) rc);
        return NGX_ABORT;
    }

    return rc;
}


static ngx_str_t
number(ngx_pool_t *pool, EVP_PKEY *pkey, const char *name)
{
    int        len;
    u_char     buf[1024];
    BIGNUM    *bn;
    ngx_str_t  s;

    bn = NULL;

    if (EVP_PKEY_get_bn_param(pkey, name, &bn) != 1) {
        abort();
    }

    len = BN_bn2bin(bn, buf);
    BN_free(bn);

    s.data = buf;
    s.len = len;

    return encode(pool, s);
}


static void
jwks_of(ngx_pool_t *pool, EVP_PKEY *a, EVP_PKEY *b, ngx_intuit_jwks_t *jwks)
{
    ngx_str_t  text, an, ae, bn, be;

    an = number(pool, a, OSSL_PKEY_PARAM_RSA_N);
    ae = number(pool, a, OSSL_PKEY_PARAM_RSA_E);
    bn = number(pool, b, OSSL_PKEY_PARAM_RSA_N);
    be = number(pool, b, OSSL_PKEY_PARAM_RSA_E);

    text = ngx_intuit_stub_fmt(pool,
        "{\"keys\":[{\"kty\":\"RSA\",\"kid\":\"k1\",\"n\":\"%V\",\"e\":\"%V\"},"
        "{\"kty\":\"RSA\",\"kid\":\"k2\",\"n\":\"%V\",\"e\":\"%V\"}]}",
        &an, &ae, &bn, &be);

    if (ngx_intuit_jwks_parse(pool, &text, NGX_INTUIT_RSA_WEAK_BITS, jwks)
        != NGX_OK || jwks->keys.nelts != 2)
    {
        abort();
    }
}


/* the example of RFC 7515, appendix A.2: not signed by this program */

static void
test_rfc7515(ngx_pool_t *pool)
{
    ngx_str_t           text, set, kid;
    const char         *reason;
    ngx_intuit_jwk_t   *key;
    ngx_intuit_jwt_t    jwt;
    ngx_intuit_jwks_t   jwks;

    set = ngx_intuit_stub_str(pool,
        "{\"keys\":[{\"kty\":\"RSA\",\"e\":\"AQAB\",\"n\":\"ofgWCuLjybRlzo0tZW"
        "JjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1"
        "Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb"
        "_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapH"
        "g665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8"
        "NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ\"}]}");

    text = ngx_intuit_stub_str(pool,
        "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQo"
        "gImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.cC4hiUPoj9Eetdgtv3hF"
        "80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W"
        "2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO7"
        "5vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12j"
        "zDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgG"
        "Y9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw");

    ngx_str_null(&kid);
    key = NULL;

    if (ngx_intuit_jwks_parse(pool, &set, 2048, &jwks) == NGX_OK) {
        key = ngx_intuit_jwks_find(&jwks, &kid);
    }

    if (!ok(key != NULL, "RFC 7515, A.2: the key")) {
        return;
    }

    ok(ngx_intuit_jwt_parse(pool, &text, &jwt, &reason) == NGX_OK
       && jwt.kid.len == 0, "RFC 7515, A.2: the token");
    ok(ngx_intuit_jwt_verify(&jwt, key) == NGX_OK,
       "RFC 7515, A.2: the signature");

    jwt.signed_part.len--;
    ok(ngx_intuit_jwt_verify(&jwt, key) == NGX_DECLINED,
       "RFC 7515, A.2: not over less text");
}


static void
test_header(ngx_pool_t *pool)
{
    size_t             i;
    ngx_int_t          rc;
    ngx_str_t          text;
    const char        *reason;
    ngx_intuit_jwt_t   jwt;

    static const case_t  cases[] = {
        { HEADER, NULL },
        { "{\"alg\":\"RS256\"}", NULL },
        { "{\"alg\":\"RS256\",\"typ\":\"JWT\"}", NULL },
        { "{\"alg\":\"RS256\",\"typ\":\"jwt\"}", NULL },
        { "{\"alg\":\"RS256\",\"jwk\":{\"kty\":\"RSA\"},\"jku\":\"https://e/\""
          ",\"x5u\":\"https://e/\",\"x5c\":[\"AA\"],\"cty\":1}", NULL },
        { "{\"alg\":\"none\"}", "alg is not RS256" },
        { "{\"alg\":\"None\"}", "alg is not RS256" },
        { "{\"alg\":\"NONE\"}", "alg is not RS256" },
        { "{\"alg\":\"\"}", "alg is not RS256" },
        { "{\"alg\":null}", "alg is not RS256" },
        { "{}", "alg is not RS256" },
        { "{\"alg\":[\"RS256\"]}", "alg is not RS256" },
        { "{\"alg\":\"rs256\"}", "alg is not RS256" },
        { "{\"alg\":\"RS256 \"}", "alg is not RS256" },
        { "{\"alg\":\"RS25\"}", "alg is not RS256" },
        { "{\"alg\":\"RS384\"}", "alg is not RS256" },
        { "{\"alg\":\"RS512\"}", "alg is not RS256" },
        { "{\"alg\":\"PS256\"}", "alg is not RS256" },
        { "{\"alg\":\"HS256\"}", "alg is not RS256" },
        { "{\"alg\":\"ES256\"}", "alg is not RS256" },
        { "{\"Alg\":\"RS256\"}", "alg is not RS256" },
        { "{\"alg\":\"RS256\",\"crit\":[\"exp\"]}", "header has crit" },
        { "{\"alg\":\"RS256\",\"crit\":[]}", "header has crit" },
        { "{\"alg\":\"RS256\",\"crit\":null}", "header has crit" },
        { "{\"alg\":\"RS256\",\"b64\":false,\"crit\":[\"b64\"]}",
          "header has crit" },
        { "{\"alg\":\"RS256\",\"typ\":\"at+jwt\"}", "typ is not JWT" },
        { "{\"alg\":\"RS256\",\"typ\":\"logout+jwt\"}", "typ is not JWT" },
        { "{\"alg\":\"RS256\",\"typ\":\"JW\"}", "typ is not JWT" },
        { "{\"alg\":\"RS256\",\"typ\":\"\"}", "typ is not JWT" },
        { "{\"alg\":\"RS256\",\"typ\":null}", "typ is not JWT" },
        { "{\"alg\":\"RS256\",\"typ\":1}", "typ is not JWT" },
        { "{\"alg\":\"RS256\",\"kid\":1}", "kid is not a string" },
        { "{\"alg\":\"RS256\",\"kid\":null}", "kid is not a string" },
        { "{\"alg\":\"RS256\",\"kid\":[\"k1\"]}", "kid is not a string" },
        { "[\"RS256\"]", "header is not a JSON object" },
        { "\"RS256\"", "header is not a JSON object" },
        { "RS256", "header is not a JSON object" },
        { "{\"alg\":\"none\",\"alg\":\"RS256\"}",
          "header is not a JSON object" },
        { "{\"alg\":\"RS256\\u0000\"}", "header is not a JSON object" },
        { "{\"alg\":\"RS256\"}x", "header is not a JSON object" },
        { "{\"alg\":\"RS256\",\"x\":\"\xff\"}",
          "header is not a JSON object" },
    };

    for (i = 0; i < len_of(cases); i++) {
        text = unsigned_token(pool, cases[i].text, "{" BASE "}");
        reason = NULL;
        rc = ngx_intuit_jwt_parse(pool, &text, &jwt, &reason);

        if (cases[i].reason == NULL) {
            ok(rc == NGX_OK, "header taken: %s", cases[i].text);

        } else {
            ok(rc == NGX_DECLINED && reason
               && strcmp(reason, cases[i].reason) == 0,
               "header %s: %s", cases[i].text, reason ? reason : "taken");
        }
    }
}


static void
test_shape(ngx_pool_t *pool)
{
    size_t             i;
    ngx_int_t          rc;
    ngx_str_t          text, h, p;
    const char        *reason;
    ngx_intuit_jwt_t   jwt;

    /* %V: a good header, a good payload */
    static const case_t  cases[] = {
        { "%V.%V.AAAA", NULL },
        { "%V.%V", "token has not three parts" },
        { "%V.%V.", "token has not three parts" },
        { "%V.%V.AAAA.", "token has not three parts" },
        { "%V.%V.AAAA.AAAA", "token has not three parts" },
        { "%V.%V.AAAA.AAAA.AAAA", "token has not three parts" },
        { ".%V.%V.AAAA", "token has not three parts" },
        { "%V..%V", "token has not three parts" },
        { "%V..AAAA", "token has not three parts" },
        { ".%V.AAAA", "token has not three parts" },
        { "", "token has not three parts" },
        { ".", "token has not three parts" },
        { "..", "token has not three parts" },
        { "...", "token has not three parts" },
        { "abc", "token has not three parts" },
        { "%V.%V.AAAA=", "token is not base64url" },
        { "%V.%V.AA==", "token is not base64url" },
        { "%V.%V.AB", "token is not base64url" },
        { "%V.%V.AAAAA", "token is not base64url" },
        { "%V.%V.AA+A", "token is not base64url" },
        { "%V.%V.AA/A", "token is not base64url" },
        { "%V=.%V.AAAA", "token is not base64url" },
        { "%V.%V==.AAAA", "token is not base64url" },
        { " %V.%V.AAAA", "token is not base64url" },
        { "%V.%V.AAAA ", "token is not base64url" },
        { "%V.%V.AAAA\n", "token is not base64url" },
        { "%V.\n%V.AAAA", "token is not base64url" },
        { "%V.%V.AA\r\nAA", "token is not base64url" },
    };

    static const char *const  payloads[] = {
        "[]", "null", "\"x\"", "1", "{", "{}{}",
        "{\"sub\":\"a\",\"sub\":\"b\"}",
        "{\"sub\":\"a\\u0000b\"}", "{\"sub\":\"\xff\"}", "{\"s\\u0000\":1}",
    };

    h = encode_text(pool, HEADER);
    p = encode_text(pool, "{" BASE "}");

    for (i = 0; i < len_of(cases); i++) {
        text = ngx_intuit_stub_fmt(pool, cases[i].text, &h, &p);
        reason = NULL;
        rc = ngx_intuit_jwt_parse(pool, &text, &jwt, &reason);

        ok(cases[i].reason == NULL
           ? rc == NGX_OK
           : rc == NGX_DECLINED && reason
             && strcmp(reason, cases[i].reason) == 0,
           "shape %zu: %s", i, reason ? reason : "taken");
    }

    for (i = 0; i < len_of(payloads); i++) {
        text = unsigned_token(pool, HEADER, payloads[i]);
        reason = NULL;
        rc = ngx_intuit_jwt_parse(pool, &text, &jwt, &reason);
        ok(rc == NGX_DECLINED
           && strcmp(reason, "payload is not a JSON object") == 0,
           "payload refused: %zu", i);
    }

    text = unsigned_token(pool, "{}", "{" BASE "}");
    text.data[4] = '\0';
    ok(ngx_intuit_jwt_parse(pool, &text, &jwt, &reason) == NGX_DECLINED,
       "a NUL in the token");
}


static void
test_size(ngx_pool_t *pool)
{
    size_t             rest;
    ngx_str_t          text, h, p;
    const char        *reason;
    ngx_intuit_jwt_t   jwt;

    h = encode_text(pool, "{\"alg\":\"RS256\"}   ");
    p = encode_text(pool, "{}");

    /* the signature fills the token up to the limit */
    text = ngx_intuit_stub_fmt(pool, "%V.%V.", &h, &p);
    rest = NGX_INTUIT_JWT_SIZE - text.len;
    rest -= (rest % 4 == 1);
    p.data = ngx_pnalloc(pool, rest + 4);
    memset(p.data, 'A', rest + 4);
    p.len = rest;
    h = text;

    text = ngx_intuit_stub_fmt(pool, "%V%V", &h, &p);
    ok(ngx_intuit_jwt_parse(pool, &text, &jwt, &reason) == NGX_OK,
       "a token of %zu bytes", text.len);

    p.len = rest + 4;
    text = ngx_intuit_stub_fmt(pool, "%V%V", &h, &p);
    ok(ngx_intuit_jwt_parse(pool, &text, &jwt, &reason) == NGX_DECLINED
       && strcmp(reason, "token is too large") == 0,
       "a token of %zu bytes", text.len);
}


/* all bits of one part of a good token, one after the other */

static ngx_uint_t
flip(ngx_str_t part[3], int which, const ngx_intuit_jwks_t *jwks)
{
    size_t       i, step;
    ngx_str_t    copy[3], text;
    ngx_pool_t  *temp;
    ngx_uint_t   taken;

    taken = 0;

    /* of the signature every fifth bit: each costs an RSA operation */
    step = (which == 2) ? 5 : 1;

    for (i = 0; i < part[which].len * 8; i += step) {
        temp = ngx_intuit_stub_pool();

        memcpy(copy, part, sizeof(copy));
        copy[which] = ngx_intuit_stub_mem(temp, part[which].data,
                                          part[which].len);
        copy[which].data[i / 8] ^= (u_char) (1 << i % 8);

        text = join(temp, join(temp, encode(temp, copy[0]),
                               encode(temp, copy[1])),
                    encode(temp, copy[2]));

        taken += login(temp, text, jwks) != NGX_DECLINED;

        ngx_destroy_pool(temp);
    }

    return taken;
}


static void
test_altered(ngx_pool_t *pool, EVP_PKEY *pkey, const ngx_intuit_jwks_t *jwks)
{
    size_t      i;
    ngx_str_t   good, part[3], text;
    ngx_uint_t  taken;

    part[0] = ngx_intuit_stub_str(pool, HEADER);
    part[1] = ngx_intuit_stub_str(pool, "{" BASE "}");
    text = join(pool, encode(pool, part[0]), encode(pool, part[1]));
    part[2] = sign(pool, pkey, text);
    good = join(pool, text, encode(pool, part[2]));

    ok(login(pool, good, jwks) == NGX_OK, "a good token is taken");
    ok(flip(part, 0, jwks) == 0, "no flipped bit in the header");
    ok(flip(part, 1, jwks) == 0, "no flipped bit in the payload");
    ok(flip(part, 2, jwks) == 0, "no flipped bit in the signature");

    for (taken = 0, i = 0; i < good.len; i++) {
        text = good;
        text.len = i;
        taken += login(pool, text, jwks) != NGX_DECLINED;
    }

    ok(taken == 0, "no prefix of %zu", i);

    /* 256 bytes are 342 characters, the last of which has 4 spare bits */

    for (taken = 0, i = 0; i < 64; i++) {
        text = ngx_intuit_stub_mem(pool, good.data, good.len);
        text.data[text.len - 1] = (u_char)
            "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
            [i];
        taken += login(pool, text, jwks) == NGX_OK;
    }

    ok(taken == 1, "one spelling of the signature's end");

    text = ngx_intuit_stub_fmt(pool, "%V==", &good);
    ok(login(pool, text, jwks) == NGX_DECLINED, "no padding at the end");
    text = ngx_intuit_stub_fmt(pool, "%V.", &good);
    ok(login(pool, text, jwks) == NGX_DECLINED, "no fourth, empty part");
}


/* signatures of other lengths and values over an honest text */

static void
test_signatures(ngx_pool_t *pool, EVP_PKEY *pkey,
    const ngx_intuit_jwks_t *jwks)
{
    size_t     i, n;
    u_char     buf[600];
    ngx_str_t  text, sig, s;

    static const size_t  lengths[] = { 1, 32, 64, 128, 255, 257, 512 };

    text = join(pool, encode_text(pool, HEADER),
                encode_text(pool, "{" BASE "}"));
    sig = sign(pool, pkey, text);

    ok(login(pool, join(pool, text, encode(pool, sig)), jwks) == NGX_OK,
       "the honest signature");

    for (i = 0; i < len_of(lengths); i++) {
        for (n = 0; n < 3; n++) {
            memset(buf, n == 1 ? 0xff : 0, sizeof(buf));
            s.data = buf;
            s.len = lengths[i];

            if (n == 2) {
                /* the good bytes, cut or with zeros in front */
                memcpy(s.len > sig.len ? buf + s.len - sig.len : buf,
                       sig.data, ngx_min(s.len, sig.len));
            }

            ok(login(pool, join(pool, text, encode(pool, s)), jwks)
               == NGX_DECLINED, "a signature of %zu bytes, kind %zu",
               lengths[i], n);
        }
    }

    memset(buf, 0, sizeof(buf));
    s.len = sig.len;
    ok(login(pool, join(pool, text, encode(pool, s)), jwks) == NGX_DECLINED,
       "the value 0");
    buf[sig.len - 1] = 1;
    ok(login(pool, join(pool, text, encode(pool, s)), jwks) == NGX_DECLINED,
       "the value 1");

    s = sign_with(pool, pkey, text, EVP_sha512(), RSA_PKCS1_PADDING);
    ok(login(pool, join(pool, text, encode(pool, s)), jwks) == NGX_DECLINED,
       "RS512 under the name of RS256");
    s = sign_with(pool, pkey, text, EVP_sha1(), RSA_PKCS1_PADDING);
    ok(login(pool, join(pool, text, encode(pool, s)), jwks) == NGX_DECLINED,
       "SHA-1 under the name of RS256");
    s = sign_with(pool, pkey, text, EVP_sha256(), RSA_PKCS1_PSS_PADDING);
    ok(login(pool, join(pool, text, encode(pool, s)), jwks) == NGX_DECLINED,
       "PS256 under the name of RS256");

    /* another token's signature */
    s = sign(pool, pkey, join(pool, encode_text(pool, HEADER),
                              encode_text(pool, "{}")));
    ok(login(pool, join(pool, text, encode(pool, s)), jwks) == NGX_DECLINED,
       "the signature of another token");
}


static void
test_forged(ngx_pool_t *pool, EVP_PKEY *pkey, EVP_PKEY *other,
    EVP_PKEY *evil, const ngx_intuit_jwks_t *jwks)
{
    size_t       i;
    u_char       mac[EVP_MAX_MD_SIZE], der[1024], *p;
    unsigned     maclen;
    ngx_str_t    text, n, e, header, s;

    static const char *const  algs[] = { "HS256", "RS256", "none", "None" };

    ok(login(pool, token(pool, pkey, HEADER, "{" BASE "}"), jwks) == NGX_OK,
       "k1 signed with k1");
    ok(login(pool, token(pool, other,
       "{\"kid\":\"k2\",\"alg\":\"RS256\"}", "{" BASE "}"), jwks) == NGX_OK,
       "k2, of 1024 bits and knowingly taken, signed with k2");
    ok(login(pool, token(pool, other, HEADER, "{" BASE "}"), jwks)
       == NGX_DECLINED, "k1 signed with k2");
    ok(login(pool, token(pool, evil, HEADER, "{" BASE "}"), jwks)
       == NGX_DECLINED, "k1 signed with a foreign key");
    ok(login(pool, token(pool, pkey,
       "{\"kid\":\"k3\",\"alg\":\"RS256\"}", "{" BASE "}"), jwks)
       == NGX_DECLINED, "an unknown kid");
    ok(login(pool, token(pool, pkey, "{\"alg\":\"RS256\"}", "{" BASE "}"),
       jwks) == NGX_DECLINED, "no kid, and two keys");

    /* the attacker's own key in the header (CVE-2018-0114) */
    n = number(pool, evil, OSSL_PKEY_PARAM_RSA_N);
    e = number(pool, evil, OSSL_PKEY_PARAM_RSA_E);
    header = ngx_intuit_stub_fmt(pool,
        "{\"kid\":\"k1\",\"alg\":\"RS256\",\"jku\":\"https://evil.example/\","
        "\"jwk\":{\"kty\":\"RSA\",\"kid\":\"k1\",\"n\":\"%V\",\"e\":\"%V\"}}%Z",
        &n, &e);
    ok(login(pool, token(pool, evil, (char *) header.data, "{" BASE "}"),
       jwks) == NGX_DECLINED, "a self-signed token with its key inside");
    ok(login(pool, token(pool, pkey, (char *) header.data, "{" BASE "}"),
       jwks) == NGX_OK, "that key is not looked at");

    /* HMAC with the public key as the secret (CVE-2015-9235) */
    p = der;
    s.data = der;
    s.len = i2d_PUBKEY(pkey, &p);

    for (i = 0; i < len_of(algs); i++) {
        header = ngx_intuit_stub_fmt(pool,
            "{\"kid\":\"k1\",\"alg\":\"%s\"}", algs[i]);
        text = join(pool, encode(pool, header),
                    encode_text(pool, "{" BASE "}"));

        HMAC(EVP_sha256(), s.data, (int) s.len, text.data, text.len, mac,
             &maclen);
        e.data = mac;
        e.len = maclen;

        ok(login(pool, join(pool, text, encode(pool, e)), jwks)
           == NGX_DECLINED, "%s, HMAC with the public key", algs[i]);

        ok(login(pool, join(pool, text,
           encode(pool, sign(pool, evil, text))), jwks)
           == NGX_DECLINED, "%s, signed with a foreign key", algs[i]);

        text = ngx_intuit_stub_fmt(pool, "%V.", &text);
        ok(login(pool, text, jwks) == NGX_DECLINED,
           "%s, and no signature", algs[i]);
    }

    /* well signed, but for somebody else */
    ok(login(pool, token(pool, pkey, HEADER,
       "{" ISS ",\"aud\":\"evil\"," EXP "," IAT "," SUB "}"), jwks)
       == NGX_DECLINED, "a good signature does not replace the claims");
}


static void
test_no_memory(EVP_PKEY *pkey)
{
    ngx_int_t                n, rc;
    ngx_str_t                text;
    ngx_pool_t              *pool;
    const char              *reason;
    ngx_intuit_jwt_t         jwt;
    ngx_intuit_jwt_rules_t   rules;

    rules_init(&rules);

    for (rc = NGX_ERROR, n = 0; rc != NGX_OK && n < 100; n++) {
        pool = ngx_intuit_stub_pool();
        text = token(pool, pkey, HEADER, "{" BASE ",\"realmid\":12}");

        ngx_intuit_stub_fail_after(n);
        rc = ngx_intuit_jwt_parse(pool, &text, &jwt, &reason);

        if (rc == NGX_OK) {
            rc = ngx_intuit_jwt_check(pool, &jwt, &rules, &reason);
        }

        ngx_intuit_stub_fail_after(-1);
        ngx_destroy_pool(pool);
    }

    ok(rc == NGX_OK && n > 5, "each of %d failing allocations is seen",
       (int) n - 1);
}


int
main(void)
{
    EVP_PKEY           *key, *weak, *evil;
    ngx_pool_t         *pool;
    ngx_intuit_jwks_t   jwks;

    pool = ngx_intuit_stub_pool();

    key = EVP_RSA_gen(2048);
    weak = EVP_RSA_gen(1024);
    evil = EVP_RSA_gen(2048);

    if (key == NULL || weak == NULL || evil == NULL) {
        abort();
    }

    jwks_of(pool, key, weak, &jwks);
    ERR_clear_error();

    test_rfc7515(pool);
    test_header(pool);
    test_shape(pool);
    test_size(pool);
    test_altered(pool, key, &jwks);
    test_signatures(pool, key, &jwks);
    test_forged(pool, key, weak, evil, &jwks);
    test_no_memory(key);

    ok(ERR_peek_error() == 0, "OpenSSL's error queue is empty");

    ngx_destroy_pool(pool);

    EVP_PKEY_free(key);
    EVP_PKEY_free(weak);
    EVP_PKEY_free(evil);

    return done_testing();
}
