/*
 * Remembers the hashes of the values that were asked for lately: a browser
 * sends the same cookie with each request, and SHA-256 of it costs more than
 * all the rest of finding its session.
 *
 * What is remembered is the hash under a tag of the value, which is SipHash-2-4
 * with 128 bits of result under a random key of the memo's own.  Without that
 * key, which never leaves the memory of nginx's processes, nobody can tell
 * which slot a value has, nor make a value that has another's tag but by trying
 * 2^128 of them: so the time of a look tells nothing about what is there.
 * Values are not kept.  Shared memory holds SHA-256 as before and knows no tag;
 * who can read a process' own memory finds key and tags there, beside the
 * cookies and tokens that are on their way.
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

typedef struct {
    uint64_t   word[2];
} ngx_intuit_tag_t;


/* It lives as long as the pool.  NULL: no memory, or no random bytes. */
ngx_intuit_memo_t *ngx_intuit_memo_create(ngx_pool_t *pool);

/* The hash that was remembered for value.  In any case *tag is set, for
 * ngx_intuit_memo_put().  NGX_OK or NGX_DECLINED. */
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

/* SipHash-2-4-128 of in, for which key and result are words in the order of
 * their bytes, the lowest first. */
void ngx_intuit_siphash(const uint64_t key[2], const ngx_str_t *in,
    ngx_intuit_tag_t *tag);


#endif /* _NGX_INTUIT_MEMO_H_INCLUDED_ */
