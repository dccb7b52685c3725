/*
 * Random bytes, hashes, sealing and base64url, on top of OpenSSL.
 *
 * Pure layer: nothing here knows a request, a configuration or a clock.
 * No function of this file logs, and none keeps a copy of a secret.
 * OpenSSL's error queue, which nginx shares, is left empty after an error.
 */

#ifndef _NGX_INTUIT_CRYPTO_H_INCLUDED_
#define _NGX_INTUIT_CRYPTO_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


#define NGX_INTUIT_HASH_LEN      32      /* SHA-256 */
#define NGX_INTUIT_SHA1_LEN      20
#define NGX_INTUIT_KEY_LEN       32      /* AES-256 */
#define NGX_INTUIT_KEY_ID_LEN    4
#define NGX_INTUIT_NONCE_LEN     12      /* AES-GCM */
#define NGX_INTUIT_TAG_LEN       16

/* what sealing adds: version, key id, nonce, tag */
#define NGX_INTUIT_SEAL_OVERHEAD                                              \
    (1 + NGX_INTUIT_KEY_ID_LEN + NGX_INTUIT_NONCE_LEN + NGX_INTUIT_TAG_LEN)


typedef struct {
    u_char     id[NGX_INTUIT_KEY_ID_LEN];     /* first bytes of SHA-256(key) */
    u_char     key[NGX_INTUIT_KEY_LEN];
} ngx_intuit_key_t;

typedef struct ngx_intuit_sealer_s  ngx_intuit_sealer_t;


/* Fills buf with len random bytes.  NGX_OK, or NGX_ERROR: buf is zero. */
ngx_int_t ngx_intuit_random(u_char *buf, size_t len);

/*
 * SHA-256 over n parts.  Each part is preceded by its length (8 bytes, big
 * endian), so that moving a byte from one part to the next changes the result.
 */
ngx_int_t ngx_intuit_hash(u_char out[NGX_INTUIT_HASH_LEN],
    const ngx_str_t *parts, ngx_uint_t n);

/* Plain SHA-256 of one string (PKCE, at_hash).  NGX_OK or NGX_ERROR. */
ngx_int_t ngx_intuit_sha256(u_char out[NGX_INTUIT_HASH_LEN],
    const ngx_str_t *in);

/* HMAC-SHA1 (RFC 2104), for OAuth 1.0a only.  NGX_OK or NGX_ERROR. */
ngx_int_t ngx_intuit_hmac_sha1(u_char out[NGX_INTUIT_SHA1_LEN],
    const ngx_str_t *key, const ngx_str_t *in);

/* Constant-time comparison; the lengths are not secret.  1 equal, 0 not. */
ngx_uint_t ngx_intuit_equal(const ngx_str_t *a, const ngx_str_t *b);

/*
 * Derives a sealing key by HKDF-SHA256 (RFC 5869) from ikm (any length >= 1)
 * with an empty salt and the given info string, and sets the key's id.
 * NGX_OK, or NGX_ERROR: the key is zero.
 */
ngx_int_t ngx_intuit_key_derive(ngx_intuit_key_t *key, const ngx_str_t *ikm,
    const char *info);

/*
 * Reads a key file's content: 64 hex digits, white space around them allowed.
 * NGX_OK; NGX_DECLINED: it is anything else; NGX_ERROR.
 */
ngx_int_t ngx_intuit_key_parse(ngx_intuit_key_t *key, const ngx_str_t *text);

/*
 * AES-256-GCM with a random nonce; aad binds the purpose and the owner.
 * sealed is allocated in pool: version 1, key id, nonce, ciphertext, tag.
 * NGX_OK or NGX_ERROR.
 */
ngx_int_t ngx_intuit_seal(ngx_pool_t *pool, const ngx_intuit_key_t *key,
    const ngx_str_t *aad, const ngx_str_t *plain, ngx_str_t *sealed);

/*
 * The same with a key that was made ready, and random bytes that are fetched in
 * advance: what anybody may ask for has to be cheap.  To be created before
 * processes are forked, and used after that: no two have the same bytes.  It
 * lives as long as the pool.  NULL: no memory.
 */
ngx_intuit_sealer_t *ngx_intuit_sealer_create(ngx_pool_t *pool,
    const ngx_intuit_key_t *key);
ngx_int_t ngx_intuit_sealer_seal(ngx_intuit_sealer_t *sealer,
    ngx_pool_t *pool, const ngx_str_t *aad, const ngx_str_t *plain,
    ngx_str_t *sealed);

/* As ngx_intuit_random(), up to 1 KB. */
ngx_int_t ngx_intuit_sealer_random(ngx_intuit_sealer_t *sealer, u_char *buf,
    size_t len);

/*
 * Opens what ngx_intuit_seal() made, with whichever of the n keys has the
 * id.  NGX_OK, plain in pool; NGX_DECLINED: not ours, altered, or sealed for
 * another aad; NGX_ERROR: no memory.
 */
ngx_int_t ngx_intuit_open(ngx_pool_t *pool, const ngx_intuit_key_t *keys,
    ngx_uint_t n, const ngx_str_t *aad, const ngx_str_t *sealed,
    ngx_str_t *plain);

#define ngx_intuit_base64url_len(n)  (((n) * 4 + 2) / 3)

/* Encodes without padding (RFC 4648, section 5); returns the end. */
u_char *ngx_intuit_base64url_encode(u_char *dst, const u_char *src,
    size_t len);

/*
 * Strict: no padding, no white space, no other alphabet, and unused bits of
 * the last character must be zero (one encoding for each value).
 * dst is allocated in pool.  NGX_OK, NGX_DECLINED: not canonical base64url;
 * NGX_ERROR: no memory.
 */
ngx_int_t ngx_intuit_base64url_decode(ngx_pool_t *pool, ngx_str_t *dst,
    const ngx_str_t *src);

/*
 * Overwrites a secret so that the compiler cannot drop it.  NULL: there was no
 * memory for it, whatever len says.
 */
void ngx_intuit_cleanse(void *p, size_t len);


#endif /* _NGX_INTUIT_CRYPTO_H_INCLUDED_ */
