/*
 * Hashes of values that were asked for lately, under a secret tag.
 */

#include "ngx_intuit_memo.h"
#include <openssl/err.h>
#include <openssl/evp.h>


#define NGX_INTUIT_MEMO_SLOTS  256      /* a power of two */
#define NGX_INTUIT_BLOCK_LEN   64       /* of SHA-256 */
#define NGX_INTUIT_ODD         0x9e3779b97f4a7c15ULL

/* the high bits of a product with an odd number depend on all bits of a tag */
#define ngx_intuit_memo_slot(tag)                                             \
    ((ngx_uint_t) ((((tag)->word[0] ^ ((tag)->word[1] >> 32))                 \
                    * NGX_INTUIT_ODD) >> 48)                                  \
     & (NGX_INTUIT_MEMO_SLOTS - 1))


typedef struct {
    ngx_intuit_tag_t          tag;
    u_char                    hash[NGX_INTUIT_HASH_LEN];
    ngx_uint_t                used;
} ngx_intuit_memo_slot_t;

struct ngx_intuit_memo_s {
    ngx_intuit_tag_key_t      key;
    ngx_intuit_memo_slot_t    slots[NGX_INTUIT_MEMO_SLOTS];
};

struct ngx_intuit_digest_s {
    EVP_MD_CTX         *begun;
    EVP_MD_CTX         *work;
    ngx_intuit_memo_t  *memo;
};


static void ngx_intuit_memo_free(void *data);
static void ngx_intuit_digest_free(void *data);

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

    if (ngx_intuit_random((u_char *) &memo->key, sizeof(memo->key)) != NGX_OK) {
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
    uint64_t                       differ;
    ngx_uint_t                     i;
    const ngx_intuit_memo_slot_t  *slot;

    if (value->len > NGX_INTUIT_TAG_PAIRS * sizeof(uint64_t)) {
        return NGX_ABORT;
    }

    ngx_intuit_tag(&memo->key, value, tag);

    slot = &memo->slots[ngx_intuit_memo_slot(tag)];

    /* all words at once: no part of a tag can be found by its time */

    differ = slot->tag.len ^ tag->len;

    for (i = 0; i < NGX_INTUIT_TAG_WORDS; i++) {
        differ |= slot->tag.word[i] ^ tag->word[i];
    }

    if (differ || !slot->used) {
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

    slot = &memo->slots[ngx_intuit_memo_slot(tag)];

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
    ngx_int_t         rc;
    ngx_intuit_tag_t  tag;

    rc = ngx_intuit_memo_get(digest->memo, value, &tag, out);

    if (rc == NGX_OK) {
        return NGX_OK;
    }

    if (EVP_MD_CTX_copy_ex(digest->work, digest->begun) != 1
        || EVP_DigestUpdate(digest->work, value->data, value->len) != 1
        || EVP_DigestFinal_ex(digest->work, out, NULL) != 1)
    {
        ERR_clear_error();
        return NGX_ERROR;
    }

    if (rc == NGX_DECLINED) {
        ngx_intuit_memo_put(digest->memo, &tag, out);
    }

    return NGX_OK;
}


/* the sums of words are modulo 2^32, that of their products is modulo 2^64 */

void
ngx_intuit_tag(const ngx_intuit_tag_key_t *key, const ngx_str_t *in,
    ngx_intuit_tag_t *tag)
{
    uint32_t    a, b, m[NGX_INTUIT_TAG_PAIRS][2];
    uint64_t    sum0, sum1, sum2, sum3;
    ngx_uint_t  i, pairs;

    const uint32_t  (*k)[2];

    pairs = (in->len + 7) / 8;

    if (pairs) {
        m[pairs - 1][0] = 0;
        m[pairs - 1][1] = 0;
        ngx_memcpy(m, in->data, in->len);
    }

    sum0 = sum1 = sum2 = sum3 = 0;

    for (i = 0; i < pairs; i++) {

        a = m[i][0];
        b = m[i][1];
        k = key->word[i];

        sum0 += (uint64_t) (a + k[0][0]) * (b + k[0][1]);
        sum1 += (uint64_t) (a + k[1][0]) * (b + k[1][1]);
        sum2 += (uint64_t) (a + k[2][0]) * (b + k[2][1]);
        sum3 += (uint64_t) (a + k[3][0]) * (b + k[3][1]);
    }

    tag->word[0] = sum0;
    tag->word[1] = sum1;
    tag->word[2] = sum2;
    tag->word[3] = sum3;
    tag->len = in->len;
}
