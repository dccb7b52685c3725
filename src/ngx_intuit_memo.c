/*
 * Hashes of values that were asked for lately, under a secret tag.
 */

#include "ngx_intuit_memo.h"
#include <openssl/err.h>
#include <openssl/evp.h>


#define NGX_INTUIT_MEMO_SLOTS  256      /* a power of two */
#define NGX_INTUIT_BLOCK_LEN   64       /* of SHA-256 */

#define ngx_intuit_rotate(x, n)  ((x) << (n) | (x) >> (64 - (n)))


typedef struct {
    ngx_intuit_tag_t          tag;
    u_char                    hash[NGX_INTUIT_HASH_LEN];
    ngx_uint_t                used;
} ngx_intuit_memo_slot_t;

struct ngx_intuit_memo_s {
    uint64_t                  key[2];
    ngx_intuit_memo_slot_t    slots[NGX_INTUIT_MEMO_SLOTS];
};

struct ngx_intuit_digest_s {
    EVP_MD_CTX         *begun;
    EVP_MD_CTX         *work;
    ngx_intuit_memo_t  *memo;
};


static void ngx_intuit_memo_free(void *data);
static void ngx_intuit_digest_free(void *data);
static ngx_inline void ngx_intuit_sip_round(uint64_t v[4]);
static ngx_inline void ngx_intuit_sip_take(uint64_t v[4], uint64_t word);
static ngx_inline uint64_t ngx_intuit_sip_end(uint64_t v[4]);
static ngx_inline uint64_t ngx_intuit_sip_word(const u_char *p);


ngx_intuit_memo_t *
ngx_intuit_memo_create(ngx_pool_t *pool)
{
    ngx_intuit_memo_t   *memo;
    ngx_pool_cleanup_t  *cln;

    cln = ngx_pool_cleanup_add(pool, sizeof(ngx_intuit_memo_t));
    if (cln == NULL) {
        return NULL;
    }

    memo = cln->data;
    ngx_memzero(memo, sizeof(ngx_intuit_memo_t));

    if (ngx_intuit_random((u_char *) memo->key, sizeof(memo->key)) != NGX_OK) {
        return NULL;
    }

    cln->handler = ngx_intuit_memo_free;

    return memo;
}


static void
ngx_intuit_memo_free(void *data)
{
    ngx_intuit_cleanse(data, sizeof(ngx_intuit_memo_t));
}


ngx_int_t
ngx_intuit_memo_get(const ngx_intuit_memo_t *memo, const ngx_str_t *value,
    ngx_intuit_tag_t *tag, u_char hash[NGX_INTUIT_HASH_LEN])
{
    const ngx_intuit_memo_slot_t  *slot;

    ngx_intuit_siphash(memo->key, value, tag);

    slot = &memo->slots[tag->word[0] & (NGX_INTUIT_MEMO_SLOTS - 1)];

    /* both words at once: no half of a tag can be found by its time */

    if (((slot->tag.word[0] ^ tag->word[0])
         | (slot->tag.word[1] ^ tag->word[1]))
        != 0
        || !slot->used)
    {
        return NGX_DECLINED;
    }

    ngx_memcpy(hash, slot->hash, NGX_INTUIT_HASH_LEN);

    return NGX_OK;
}


void
ngx_intuit_memo_put(ngx_intuit_memo_t *memo, const ngx_intuit_tag_t *tag,
    const u_char hash[NGX_INTUIT_HASH_LEN])
{
    ngx_intuit_memo_slot_t  *slot;

    slot = &memo->slots[tag->word[0] & (NGX_INTUIT_MEMO_SLOTS - 1)];

    slot->tag = *tag;
    slot->used = 1;
    ngx_memcpy(slot->hash, hash, NGX_INTUIT_HASH_LEN);
}


ngx_intuit_digest_t *
ngx_intuit_digest_create(ngx_pool_t *pool, const ngx_str_t *beginning)
{
    u_char                block[NGX_INTUIT_BLOCK_LEN];
    ngx_pool_cleanup_t   *cln;
    ngx_intuit_digest_t  *digest;

    if (beginning->len > sizeof(block)) {
        return NULL;
    }

    cln = ngx_pool_cleanup_add(pool, sizeof(ngx_intuit_digest_t));
    if (cln == NULL) {
        return NULL;
    }

    digest = cln->data;
    digest->begun = EVP_MD_CTX_new();
    digest->work = EVP_MD_CTX_new();
    digest->memo = ngx_intuit_memo_create(pool);

    cln->handler = ngx_intuit_digest_free;

    ngx_memzero(block, sizeof(block));
    ngx_memcpy(block, beginning->data, beginning->len);

    if (digest->begun == NULL
        || digest->work == NULL
        || digest->memo == NULL
        || EVP_DigestInit_ex(digest->begun, EVP_sha256(), NULL) != 1
        || EVP_DigestUpdate(digest->begun, block, sizeof(block)) != 1)
    {
        ERR_clear_error();
        return NULL;
    }

    return digest;
}


static void
ngx_intuit_digest_free(void *data)
{
    ngx_intuit_digest_t  *digest = data;

    EVP_MD_CTX_free(digest->begun);
    EVP_MD_CTX_free(digest->work);
}


ngx_int_t
ngx_intuit_digest(ngx_intuit_digest_t *digest, u_char out[NGX_INTUIT_HASH_LEN],
    const ngx_str_t *value)
{
    ngx_intuit_tag_t  tag;

    if (ngx_intuit_memo_get(digest->memo, value, &tag, out) == NGX_OK) {
        return NGX_OK;
    }

    if (EVP_MD_CTX_copy_ex(digest->work, digest->begun) != 1
        || EVP_DigestUpdate(digest->work, value->data, value->len) != 1
        || EVP_DigestFinal_ex(digest->work, out, NULL) != 1)
    {
        ERR_clear_error();
        return NGX_ERROR;
    }

    ngx_intuit_memo_put(digest->memo, &tag, out);

    return NGX_OK;
}


/* J.-P. Aumasson and D. J. Bernstein, "SipHash: a fast short-input PRF" */

void
ngx_intuit_siphash(const uint64_t key[2], const ngx_str_t *in,
    ngx_intuit_tag_t *tag)
{
    size_t     i, left;
    u_char    *p;
    uint64_t   word, v[4];

    v[0] = key[0] ^ 0x736f6d6570736575ULL;
    v[1] = key[1] ^ 0x646f72616e646f6dULL ^ 0xee;
    v[2] = key[0] ^ 0x6c7967656e657261ULL;
    v[3] = key[1] ^ 0x7465646279746573ULL;

    p = in->data;

    for (left = in->len; left >= 8; left -= 8) {
        ngx_intuit_sip_take(v, ngx_intuit_sip_word(p));
        p += 8;
    }

    /* the last bytes, and the length's lowest */

    word = (uint64_t) (in->len & 0xff) << 56;

    for (i = 0; i < left; i++) {
        word |= (uint64_t) p[i] << (8 * i);
    }

    ngx_intuit_sip_take(v, word);

    v[2] ^= 0xee;
    tag->word[0] = ngx_intuit_sip_end(v);

    v[1] ^= 0xdd;
    tag->word[1] = ngx_intuit_sip_end(v);
}


static ngx_inline void
ngx_intuit_sip_take(uint64_t v[4], uint64_t word)
{
    v[3] ^= word;

    ngx_intuit_sip_round(v);
    ngx_intuit_sip_round(v);

    v[0] ^= word;
}


static ngx_inline uint64_t
ngx_intuit_sip_end(uint64_t v[4])
{
    ngx_intuit_sip_round(v);
    ngx_intuit_sip_round(v);
    ngx_intuit_sip_round(v);
    ngx_intuit_sip_round(v);

    return v[0] ^ v[1] ^ v[2] ^ v[3];
}


static ngx_inline void
ngx_intuit_sip_round(uint64_t v[4])
{
    v[0] += v[1];
    v[1] = ngx_intuit_rotate(v[1], 13) ^ v[0];
    v[0] = ngx_intuit_rotate(v[0], 32);

    v[2] += v[3];
    v[3] = ngx_intuit_rotate(v[3], 16) ^ v[2];

    v[0] += v[3];
    v[3] = ngx_intuit_rotate(v[3], 21) ^ v[0];

    v[2] += v[1];
    v[1] = ngx_intuit_rotate(v[1], 17) ^ v[2];
    v[2] = ngx_intuit_rotate(v[2], 32);
}


static ngx_inline uint64_t
ngx_intuit_sip_word(const u_char *p)
{
    return (uint64_t) p[0] | (uint64_t) p[1] << 8 | (uint64_t) p[2] << 16
           | (uint64_t) p[3] << 24 | (uint64_t) p[4] << 32
           | (uint64_t) p[5] << 40 | (uint64_t) p[6] << 48
           | (uint64_t) p[7] << 56;
}
