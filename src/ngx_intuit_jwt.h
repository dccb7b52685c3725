/*
 * ID tokens: JWS compact serialization (RFC 7515), RS256 (RFC 7518, 3.3) and
 * nothing else, claims by OpenID Connect Core 1.0, section 3.1.3.7.
 *
 * The order is fixed by the types: parse, then verify with a key found by
 * jwt->kid, then check the claims.  Header members jwk, jku, x5u and x5c are
 * never read.
 */

#ifndef _NGX_INTUIT_JWT_H_INCLUDED_
#define _NGX_INTUIT_JWT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_intuit_json.h"
#include "ngx_intuit_jwks.h"


#define NGX_INTUIT_JWT_SIZE   16384


typedef struct {
    ngx_str_t            kid;            /* empty when absent */
    ngx_str_t            signed_part;    /* "header.payload" as received */
    ngx_str_t            signature;      /* decoded */
    ngx_str_t            payload;        /* decoded JSON text */
    ngx_intuit_json_t   *claims;

    /* set by ngx_intuit_jwt_check() */
    ngx_str_t            sub;
    ngx_str_t            realmid;        /* empty when absent */
    time_t               exp;
    time_t               iat;
} ngx_intuit_jwt_t;

typedef struct {
    ngx_str_t            issuer;
    ngx_str_t            client_id;
    ngx_str_t            nonce;          /* empty: none was sent */
    ngx_str_t            access_token;   /* for at_hash; empty: not checked */
    time_t               now;
    time_t               leeway;
    unsigned             nonce_required:1;
} ngx_intuit_jwt_rules_t;


/*
 * Splits and decodes.  Refused: not exactly three parts, an empty part, larger
 * than NGX_INTUIT_JWT_SIZE, base64url that is not canonical, alg other than the
 * string "RS256", any "crit", a "typ" other than "JWT" (compared without
 * case), a kid that is no string, header or payload not a JSON object.
 * NGX_OK, NGX_DECLINED with *reason set (a literal, safe to log), NGX_ERROR.
 */
ngx_int_t ngx_intuit_jwt_parse(ngx_pool_t *pool, const ngx_str_t *token,
    ngx_intuit_jwt_t *jwt, const char **reason);

/* RSASSA-PKCS1-v1_5 with SHA-256.  NGX_OK, or NGX_DECLINED: does not hold. */
ngx_int_t ngx_intuit_jwt_verify(const ngx_intuit_jwt_t *jwt,
    const ngx_intuit_jwk_t *key);

/*
 * The claim rules:
 *   iss   equals rules->issuer, byte for byte
 *   aud   a string or an array of strings, holds client_id; with a further
 *         audience azp is required; azp, when there, equals client_id
 *   exp   required, now < exp + leeway
 *   iat   required, not later than now + leeway
 *   nbf   when there, not later than now + leeway
 *   sub   required, 1..255 bytes of printable ASCII
 *   nonce when there, equals the one sent (also refused when none was sent);
 *         when absent, refused only if nonce_required
 *   at_hash  when there, the left half of SHA-256(access_token)
 *   realmid  (or realmId) when there, a string (or number) of 1..20 digits
 * Times are whole JSON numbers 0..2^53; strings are refused.  A realmid in both
 * spellings must be the same; one that is null is absent.  Any other claim of
 * these that is null is refused.  Returns as ngx_intuit_jwt_parse().
 */
ngx_int_t ngx_intuit_jwt_check(ngx_pool_t *pool, ngx_intuit_jwt_t *jwt,
    const ngx_intuit_jwt_rules_t *rules, const char **reason);


#endif /* _NGX_INTUIT_JWT_H_INCLUDED_ */
