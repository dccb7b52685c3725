/*
 * A set of RSA public keys (RFC 7517, JWK Set).
 */

#ifndef _NGX_INTUIT_JWKS_H_INCLUDED_
#define _NGX_INTUIT_JWKS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


#define NGX_INTUIT_JWKS_KEYS       32       /* further keys are ignored */
#define NGX_INTUIT_RSA_MIN_BITS    2048
#define NGX_INTUIT_RSA_WEAK_BITS   1024     /* Intuit's own older key */


typedef struct {
    ngx_str_t     kid;          /* may be empty */
    void         *pkey;         /* EVP_PKEY, freed with the pool */
    ngx_uint_t    bits;
} ngx_intuit_jwk_t;

typedef struct {
    ngx_array_t   keys;         /* ngx_intuit_jwk_t */
    ngx_uint_t    ignored;      /* keys of other types, uses, sizes, doubles */
} ngx_intuit_jwks_t;


/*
 * Reads the set into pool.  Keys that cannot verify RS256 are left out and
 * counted: another kty, "use" other than "sig", "alg" other than RS256,
 * "key_ops" without "verify", a kid that is no string, fewer than min_bits or
 * more than 8192 bits, an even modulus, an exponent that is even, below 3 or
 * longer than 32 bits, base64url that is not canonical.  Of two usable keys
 * with one kid both are left out.  Members x5c, x5u, jku are never looked at.
 * NGX_OK (possibly with no key); NGX_DECLINED: not a JWK Set; NGX_ERROR.
 */
ngx_int_t ngx_intuit_jwks_parse(ngx_pool_t *pool, const ngx_str_t *text,
    ngx_uint_t min_bits, ngx_intuit_jwks_t *jwks);

/*
 * The key for a token's kid.  A token without kid (kid->len == 0) gets the
 * only key of the set, if there is just one.  NULL: none.
 */
ngx_intuit_jwk_t *ngx_intuit_jwks_find(const ngx_intuit_jwks_t *jwks,
    const ngx_str_t *kid);


#endif /* _NGX_INTUIT_JWKS_H_INCLUDED_ */
