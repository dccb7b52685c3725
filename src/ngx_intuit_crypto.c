/*
 * Random bytes, hashes, sealing and base64url, on top of OpenSSL.
 *
 * nginx shares OpenSSL's error queue: every function that may have put
 * something there clears it.
 */

#include "ngx_intuit_crypto.h"
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <openssl/rand.h>


#define NGX_INTUIT_SEAL_VERSION  1

/* where the parts of a sealed string begin */
#define NGX_INTUIT_SEAL_ID       1
#define NGX_INTUIT_SEAL_NONCE    (NGX_INTUIT_SEAL_ID + NGX_INTUIT_KEY_ID_LEN)
#define NGX_INTUIT_SEAL_TEXT                                                  \
    (NGX_INTUIT_SEAL_NONCE + NGX_INTUIT_NONCE_LEN)

/* random bytes that a sealer has at hand */
#define NGX_INTUIT_RESERVE_LEN   1024

/* OpenSSL takes lengths as int */
#define NGX_INTUIT_SEAL_MAX      0x7fffff00


struct ngx_intuit_sealer_s {
    EVP_CIPHER_CTX     *ctx;
    u_char              id[NGX_INTUIT_KEY_ID_LEN];
    u_char              reserve[NGX_INTUIT_RESERVE_LEN];
    size_t              left;
};


static ngx_int_t ngx_intuit_hash_parts(EVP_MD_CTX *ctx,
    u_char out[NGX_INTUIT_HASH_LEN], const ngx_str_t *parts, ngx_uint_t n);
static ngx_int_t ngx_intuit_key_id(ngx_intuit_key_t *key);
static ngx_int_t ngx_intuit_hkdf(EVP_KDF_CTX *ctx, u_char *out, size_t len,
    const ngx_str_t *ikm, const char *info);
static ngx_int_t ngx_intuit_hex_digit(u_char c);
static u_char *ngx_intuit_seal_begin(ngx_pool_t *pool,
    const u_char id[NGX_INTUIT_KEY_ID_LEN], const ngx_str_t *aad,
    const ngx_str_t *plain, ngx_str_t *sealed);
static void ngx_intuit_sealer_free(void *data);
static ngx_int_t ngx_intuit_gcm_seal(EVP_CIPHER_CTX *ctx, const u_char *key,
    const ngx_str_t *aad, const ngx_str_t *plain, u_char *sealed);
static ngx_int_t ngx_intuit_gcm_open(EVP_CIPHER_CTX *ctx, const u_char *key,
    const ngx_str_t *aad, const ngx_str_t *sealed, u_char *plain);
static ngx_int_t ngx_intuit_base64url_digit(u_char c);


ngx_int_t
ngx_intuit_random(u_char *buf, size_t len)
{
    if (len <= NGX_INTUIT_SEAL_MAX && RAND_bytes(buf, (int) len) == 1) {
        return NGX_OK;
    }

    /* what was there before must not be taken for random */
    ngx_memzero(buf, len);
    ERR_clear_error();

    return NGX_ERROR;
}


ngx_int_t
ngx_intuit_hash(u_char out[NGX_INTUIT_HASH_LEN], const ngx_str_t *parts,
    ngx_uint_t n)
{
    ngx_int_t    rc;
    EVP_MD_CTX  *ctx;

    rc = NGX_ERROR;

    ctx = EVP_MD_CTX_new();

    if (ctx) {
        rc = ngx_intuit_hash_parts(ctx, out, parts, n);
        EVP_MD_CTX_free(ctx);
    }

    if (rc != NGX_OK) {
        ERR_clear_error();
    }

    return rc;
}


static ngx_int_t
ngx_intuit_hash_parts(EVP_MD_CTX *ctx, u_char out[NGX_INTUIT_HASH_LEN],
    const ngx_str_t *parts, ngx_uint_t n)
{
    u_char      len[8];
    uint64_t    v;
    ngx_int_t   k;
    ngx_uint_t  i;

    if (EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) != 1) {
        return NGX_ERROR;
    }

    for (i = 0; i < n; i++) {

        v = parts[i].len;

        for (k = 7; k >= 0; k--) {
            len[k] = (u_char) (v & 0xff);
            v >>= 8;
        }

        if (EVP_DigestUpdate(ctx, len, sizeof(len)) != 1
            || EVP_DigestUpdate(ctx, parts[i].data, parts[i].len) != 1)
        {
            return NGX_ERROR;
        }
    }

    return (EVP_DigestFinal_ex(ctx, out, NULL) == 1) ? NGX_OK : NGX_ERROR;
}


ngx_int_t
ngx_intuit_sha256(u_char out[NGX_INTUIT_HASH_LEN], const ngx_str_t *in)
{
    if (EVP_Digest(in->data, in->len, out, NULL, EVP_sha256(), NULL) != 1) {
        ERR_clear_error();
        return NGX_ERROR;
    }

    return NGX_OK;
}


ngx_int_t
ngx_intuit_hmac_sha1(u_char out[NGX_INTUIT_SHA1_LEN], const ngx_str_t *key,
    const ngx_str_t *in)
{
    size_t  len;

    if (EVP_Q_mac(NULL, "HMAC", NULL, "SHA1", NULL, key->data, key->len,
                  in->data, in->len, out, NGX_INTUIT_SHA1_LEN, &len)
        != NULL
        && len == NGX_INTUIT_SHA1_LEN)
    {
        return NGX_OK;
    }

    ERR_clear_error();

    return NGX_ERROR;
}


ngx_uint_t
ngx_intuit_equal(const ngx_str_t *a, const ngx_str_t *b)
{
    if (a->len != b->len) {
        return 0;
    }

    return a->len == 0 || CRYPTO_memcmp(a->data, b->data, a->len) == 0;
}


ngx_int_t
ngx_intuit_key_derive(ngx_intuit_key_t *key, const ngx_str_t *ikm,
    const char *info)
{
    EVP_KDF      *kdf;
    ngx_int_t     rc;
    EVP_KDF_CTX  *ctx;

    rc = NGX_ERROR;
    ctx = NULL;

    kdf = EVP_KDF_fetch(NULL, OSSL_KDF_NAME_HKDF, NULL);

    if (kdf) {
        ctx = EVP_KDF_CTX_new(kdf);
        EVP_KDF_free(kdf);
    }

    if (ctx) {
        rc = ngx_intuit_hkdf(ctx, key->key, NGX_INTUIT_KEY_LEN, ikm, info);
        EVP_KDF_CTX_free(ctx);
    }

    if (rc == NGX_OK) {
        rc = ngx_intuit_key_id(key);
    }

    if (rc != NGX_OK) {
        ngx_intuit_cleanse(key, sizeof(ngx_intuit_key_t));
        ERR_clear_error();
    }

    return rc;
}


static ngx_int_t
ngx_intuit_hkdf(EVP_KDF_CTX *ctx, u_char *out, size_t len,
    const ngx_str_t *ikm, const char *info)
{
    OSSL_PARAM  params[4], *p;

    /* no salt given is the same as an empty one (RFC 5869, section 2.2) */

    p = params;

    *p++ = OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST,
                                            (char *) "SHA256", 0);
    *p++ = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, ikm->data,
                                             ikm->len);
    *p++ = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO,
                                             (char *) info, ngx_strlen(info));
    *p = OSSL_PARAM_construct_end();

    return (EVP_KDF_derive(ctx, out, len, params) == 1) ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
ngx_intuit_key_id(ngx_intuit_key_t *key)
{
    u_char     hash[NGX_INTUIT_HASH_LEN];
    ngx_str_t  s;

    s.data = key->key;
    s.len = NGX_INTUIT_KEY_LEN;

    if (ngx_intuit_sha256(hash, &s) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_memcpy(key->id, hash, NGX_INTUIT_KEY_ID_LEN);

    return NGX_OK;
}


ngx_int_t
ngx_intuit_key_parse(ngx_intuit_key_t *key, const ngx_str_t *text)
{
    u_char     *p, *last;
    ngx_int_t   hi, lo;
    ngx_uint_t  i;

    p = text->data;
    last = p + text->len;

    while (p < last && (*p == ' ' || *p == '\t' || *p == CR || *p == LF)) {
        p++;
    }

    while (p < last && (last[-1] == ' ' || last[-1] == '\t'
                        || last[-1] == CR || last[-1] == LF))
    {
        last--;
    }

    if (last - p != 2 * NGX_INTUIT_KEY_LEN) {
        return NGX_DECLINED;
    }

    for (i = 0; i < NGX_INTUIT_KEY_LEN; i++, p += 2) {
        hi = ngx_intuit_hex_digit(p[0]);
        lo = ngx_intuit_hex_digit(p[1]);

        if (hi == NGX_ERROR || lo == NGX_ERROR) {
            ngx_intuit_cleanse(key, sizeof(ngx_intuit_key_t));
            return NGX_DECLINED;
        }

        key->key[i] = (u_char) (hi << 4 | lo);
    }

    return ngx_intuit_key_id(key);
}


static ngx_int_t
ngx_intuit_hex_digit(u_char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }

    c = (u_char) (c | 0x20);

    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }

    return NGX_ERROR;
}


ngx_int_t
ngx_intuit_seal(ngx_pool_t *pool, const ngx_intuit_key_t *key,
    const ngx_str_t *aad, const ngx_str_t *plain, ngx_str_t *sealed)
{
    u_char          *p;
    ngx_int_t        rc;
    EVP_CIPHER_CTX  *ctx;

    p = ngx_intuit_seal_begin(pool, key->id, aad, plain, sealed);

    if (p == NULL
        || ngx_intuit_random(p + NGX_INTUIT_SEAL_NONCE, NGX_INTUIT_NONCE_LEN)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    rc = NGX_ERROR;

    ctx = EVP_CIPHER_CTX_new();

    if (ctx) {
        rc = ngx_intuit_gcm_seal(ctx, key->key, aad, plain, p);
        EVP_CIPHER_CTX_free(ctx);
    }

    if (rc != NGX_OK) {
        ERR_clear_error();
    }

    return rc;
}


/* all but nonce, text and tag; NULL: no memory, or too long */

static u_char *
ngx_intuit_seal_begin(ngx_pool_t *pool, const u_char id[NGX_INTUIT_KEY_ID_LEN],
    const ngx_str_t *aad, const ngx_str_t *plain, ngx_str_t *sealed)
{
    u_char  *p;

    if (plain->len > NGX_INTUIT_SEAL_MAX || aad->len > NGX_INTUIT_SEAL_MAX) {
        return NULL;
    }

    p = ngx_pnalloc(pool, plain->len + NGX_INTUIT_SEAL_OVERHEAD);
    if (p == NULL) {
        return NULL;
    }

    p[0] = NGX_INTUIT_SEAL_VERSION;
    ngx_memcpy(p + NGX_INTUIT_SEAL_ID, id, NGX_INTUIT_KEY_ID_LEN);

    sealed->data = p;
    sealed->len = plain->len + NGX_INTUIT_SEAL_OVERHEAD;

    return p;
}


ngx_intuit_sealer_t *
ngx_intuit_sealer_create(ngx_pool_t *pool, const ngx_intuit_key_t *key)
{
    ngx_pool_cleanup_t   *cln;
    ngx_intuit_sealer_t  *sealer;

    cln = ngx_pool_cleanup_add(pool, sizeof(ngx_intuit_sealer_t));
    if (cln == NULL) {
        return NULL;
    }

    sealer = cln->data;
    sealer->left = 0;
    ngx_memcpy(sealer->id, key->id, NGX_INTUIT_KEY_ID_LEN);

    sealer->ctx = EVP_CIPHER_CTX_new();

    cln->handler = ngx_intuit_sealer_free;

    if (sealer->ctx == NULL
        || EVP_EncryptInit_ex(sealer->ctx, EVP_aes_256_gcm(), NULL, key->key,
                              NULL)
           != 1)
    {
        ERR_clear_error();
        return NULL;
    }

    return sealer;
}


static void
ngx_intuit_sealer_free(void *data)
{
    ngx_intuit_sealer_t  *sealer = data;

    EVP_CIPHER_CTX_free(sealer->ctx);
    ngx_intuit_cleanse(sealer->reserve, NGX_INTUIT_RESERVE_LEN);
}


ngx_int_t
ngx_intuit_sealer_random(ngx_intuit_sealer_t *sealer, u_char *buf, size_t len)
{
    u_char  *p;

    if (sealer->left < len) {

        if (len > NGX_INTUIT_RESERVE_LEN
            || ngx_intuit_random(sealer->reserve, NGX_INTUIT_RESERVE_LEN)
               != NGX_OK)
        {
            sealer->left = 0;
            ngx_memzero(buf, len);
            return NGX_ERROR;
        }

        sealer->left = NGX_INTUIT_RESERVE_LEN;
    }

    /* what was given is nobody's any more */

    sealer->left -= len;
    p = sealer->reserve + sealer->left;

    ngx_memcpy(buf, p, len);
    ngx_intuit_cleanse(p, len);

    return NGX_OK;
}


ngx_int_t
ngx_intuit_sealer_seal(ngx_intuit_sealer_t *sealer, ngx_pool_t *pool,
    const ngx_str_t *aad, const ngx_str_t *plain, ngx_str_t *sealed)
{
    u_char  *p;

    p = ngx_intuit_seal_begin(pool, sealer->id, aad, plain, sealed);

    if (p == NULL
        || ngx_intuit_sealer_random(sealer, p + NGX_INTUIT_SEAL_NONCE,
                                    NGX_INTUIT_NONCE_LEN)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ngx_intuit_gcm_seal(sealer->ctx, NULL, aad, plain, p) != NGX_OK) {
        ERR_clear_error();
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* key NULL: ctx has it already */

static ngx_int_t
ngx_intuit_gcm_seal(EVP_CIPHER_CTX *ctx, const u_char *key,
    const ngx_str_t *aad, const ngx_str_t *plain, u_char *sealed)
{
    int      n;
    u_char  *p, *tag;

    p = sealed + NGX_INTUIT_SEAL_TEXT;
    tag = p + plain->len;

    /* the default nonce length of GCM is ours */

    if (EVP_EncryptInit_ex(ctx, key ? EVP_aes_256_gcm() : NULL, NULL, key,
                           sealed + NGX_INTUIT_SEAL_NONCE)
        != 1)
    {
        return NGX_ERROR;
    }

    if (aad->len
        && EVP_EncryptUpdate(ctx, NULL, &n, aad->data, (int) aad->len) != 1)
    {
        return NGX_ERROR;
    }

    if (plain->len
        && EVP_EncryptUpdate(ctx, p, &n, plain->data, (int) plain->len) != 1)
    {
        return NGX_ERROR;
    }

    if (EVP_EncryptFinal_ex(ctx, tag, &n) != 1
        || EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, NGX_INTUIT_TAG_LEN,
                               tag)
           != 1)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


ngx_int_t
ngx_intuit_open(ngx_pool_t *pool, const ngx_intuit_key_t *keys, ngx_uint_t n,
    const ngx_str_t *aad, const ngx_str_t *sealed, ngx_str_t *plain)
{
    u_char          *p;
    size_t           len;
    ngx_int_t        rc;
    ngx_uint_t       i;
    EVP_CIPHER_CTX  *ctx;

    if (sealed->len < NGX_INTUIT_SEAL_OVERHEAD
        || sealed->len > NGX_INTUIT_SEAL_MAX
        || aad->len > NGX_INTUIT_SEAL_MAX
        || sealed->data[0] != NGX_INTUIT_SEAL_VERSION)
    {
        return NGX_DECLINED;
    }

    len = sealed->len - NGX_INTUIT_SEAL_OVERHEAD;

    p = NULL;
    rc = NGX_DECLINED;

    for (i = 0; i < n && rc == NGX_DECLINED; i++) {

        if (ngx_memcmp(keys[i].id, sealed->data + NGX_INTUIT_SEAL_ID,
                       NGX_INTUIT_KEY_ID_LEN)
            != 0)
        {
            continue;
        }

        if (p == NULL) {
            p = ngx_pnalloc(pool, len);
            if (p == NULL) {
                return NGX_ERROR;
            }
        }

        ctx = EVP_CIPHER_CTX_new();
        if (ctx == NULL) {
            ERR_clear_error();
            return NGX_ERROR;
        }

        rc = ngx_intuit_gcm_open(ctx, keys[i].key, aad, sealed, p);

        EVP_CIPHER_CTX_free(ctx);

        if (rc != NGX_OK) {
            /* the text before its tag was checked is nobody's */
            ngx_intuit_cleanse(p, len);
            ERR_clear_error();
        }
    }

    if (rc == NGX_OK) {
        plain->data = p;
        plain->len = len;
    }

    return rc;
}


static ngx_int_t
ngx_intuit_gcm_open(EVP_CIPHER_CTX *ctx, const u_char *key,
    const ngx_str_t *aad, const ngx_str_t *sealed, u_char *plain)
{
    int      n;
    size_t   len;
    u_char  *p, *tag, rest[NGX_INTUIT_TAG_LEN];

    p = sealed->data + NGX_INTUIT_SEAL_TEXT;
    len = sealed->len - NGX_INTUIT_SEAL_OVERHEAD;
    tag = p + len;

    if (EVP_DecryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, key,
                           sealed->data + NGX_INTUIT_SEAL_NONCE)
        != 1)
    {
        return NGX_ERROR;
    }

    if (aad->len
        && EVP_DecryptUpdate(ctx, NULL, &n, aad->data, (int) aad->len) != 1)
    {
        return NGX_ERROR;
    }

    if (len && EVP_DecryptUpdate(ctx, plain, &n, p, (int) len) != 1) {
        return NGX_ERROR;
    }

    if (EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, NGX_INTUIT_TAG_LEN,
                            tag)
        != 1)
    {
        return NGX_ERROR;
    }

    return (EVP_DecryptFinal_ex(ctx, rest, &n) == 1) ? NGX_OK : NGX_DECLINED;
}


u_char *
ngx_intuit_base64url_encode(u_char *dst, const u_char *src, size_t len)
{
    uint32_t           v;
    static const char  digits[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

    for ( /* void */ ; len >= 3; src += 3, len -= 3) {
        v = (uint32_t) src[0] << 16 | (uint32_t) src[1] << 8 | src[2];

        *dst++ = digits[v >> 18];
        *dst++ = digits[v >> 12 & 0x3f];
        *dst++ = digits[v >> 6 & 0x3f];
        *dst++ = digits[v & 0x3f];
    }

    if (len == 1) {
        *dst++ = digits[src[0] >> 2];
        *dst++ = digits[(src[0] & 0x03) << 4];

    } else if (len == 2) {
        *dst++ = digits[src[0] >> 2];
        *dst++ = digits[(src[0] & 0x03) << 4 | src[1] >> 4];
        *dst++ = digits[(src[1] & 0x0f) << 2];
    }

    return dst;
}


ngx_int_t
ngx_intuit_base64url_decode(ngx_pool_t *pool, ngx_str_t *dst,
    const ngx_str_t *src)
{
    u_char     *p;
    size_t      i;
    uint32_t    bits;
    ngx_int_t   digit;
    ngx_uint_t  nbits;

    if (src->len % 4 == 1) {
        return NGX_DECLINED;
    }

    dst->data = ngx_pnalloc(pool, src->len / 4 * 3 + src->len % 4);
    if (dst->data == NULL) {
        return NGX_ERROR;
    }

    p = dst->data;
    bits = 0;
    nbits = 0;

    for (i = 0; i < src->len; i++) {

        digit = ngx_intuit_base64url_digit(src->data[i]);
        if (digit == NGX_ERROR) {
            return NGX_DECLINED;
        }

        bits = (bits << 6 | (uint32_t) digit) & 0xffff;
        nbits += 6;

        if (nbits >= 8) {
            nbits -= 8;
            *p++ = (u_char) (bits >> nbits & 0xff);
        }
    }

    if (bits & ((1u << nbits) - 1)) {
        return NGX_DECLINED;
    }

    dst->len = p - dst->data;

    return NGX_OK;
}


static ngx_int_t
ngx_intuit_base64url_digit(u_char c)
{
    if (c >= 'A' && c <= 'Z') {
        return c - 'A';
    }

    if (c >= 'a' && c <= 'z') {
        return c - 'a' + 26;
    }

    if (c >= '0' && c <= '9') {
        return c - '0' + 52;
    }

    if (c == '-') {
        return 62;
    }

    if (c == '_') {
        return 63;
    }

    return NGX_ERROR;
}


void
ngx_intuit_cleanse(void *p, size_t len)
{
    if (p != NULL) {
        OPENSSL_cleanse(p, len);
    }
}
