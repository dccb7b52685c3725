/*
 * Remembers the hashes of the values that were asked for lately: a browser
 * sends the same cookie with each request, and SHA-256 of it costs more than
 * all the rest of finding its session.
 *
 * What is remembered is the hash under a tag of the value: four times NH, the
 * universal hash of UMAC (RFC 4418, 5.2; J. Black et al., "UMAC: Fast and
 * Secure Message Authentication"), under independent random keys of the memo's
 * own, and the length.  Of any two values, chosen by whomever, as long as he
 * does not know the keys, the tags are alike with a probability of 2^-128: NH
 * promises 2^-32, and there are four.  So the time of a look tells nothing
 * about what is there.  Shared memory holds SHA-256 as before and knows no tag;
 * who can read a process' own memory finds keys and tags there, and may compute
 * values from them, beside the cookies and tokens that are on their way.
 *
 * Pure layer: nothing here logs or knows a request.
 */

#ifndef _NGX_INTUIT_MEMO_H_INCLUDED_
#define _NGX_INTUIT_MEMO_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_intuit_crypto.h"


typedef struct ngx_intuit_memo_s    ngx_intuit_memo_t;
typedef struct ngx_intuit_digest_s  ngx_intuit_digest_t;

#define NGX_INTUIT_TAG_WORDS  4
#define NGX_INTUIT_TAG_PAIRS  8        /* values of up to 64 bytes have a tag */

typedef struct {
    uint64_t   word[NGX_INTUIT_TAG_WORDS];
    size_t     len;                             /* of the value */
} ngx_intuit_tag_t;

typedef struct {
    uint32_t   word[NGX_INTUIT_TAG_PAIRS][NGX_INTUIT_TAG_WORDS][2];
} ngx_intuit_tag_key_t;


/* It lives as long as the pool.  NULL: no memory, or no random bytes. */
ngx_intuit_memo_t *ngx_intuit_memo_create(ngx_pool_t *pool);

/* The hash that was remembered for value.  In any case *tag is set, for
 * ngx_intuit_memo_put().  NGX_OK, NGX_DECLINED, or NGX_ABORT for a value that
 * is too long to be remembered. */
ngx_int_t ngx_intuit_memo_get(const ngx_intuit_memo_t *memo,
    const ngx_str_t *value, ngx_intuit_tag_t *tag,
    u_char hash[NGX_INTUIT_HASH_LEN]);

/* Remembers it, in the place of another. */
void ngx_intuit_memo_put(ngx_intuit_memo_t *memo, const ngx_intuit_tag_t *tag,
    const u_char hash[NGX_INTUIT_HASH_LEN]);

/*
 * SHA-256 over 64 bytes that are always the same, the beginning filled up with
 * zeros, and a value: cheap for what is asked with each request, since the
 * first block is done beforehand, and what was asked for lately is remembered.
 * beginning->len is 64 at most.  It lives as long as the pool.  NULL: no
 * memory.
 */
ngx_intuit_digest_t *ngx_intuit_digest_create(ngx_pool_t *pool,
    const ngx_str_t *beginning);

ngx_int_t ngx_intuit_digest(ngx_intuit_digest_t *digest,
    u_char out[NGX_INTUIT_HASH_LEN], const ngx_str_t *value);

/* The tag of in, of 64 bytes at most: see above.  The last pair of words is
 * filled up with zeros. */
void ngx_intuit_tag(const ngx_intuit_tag_key_t *key, const ngx_str_t *in,
    ngx_intuit_tag_t *tag);


#endif /* _NGX_INTUIT_MEMO_H_INCLUDED_ */
