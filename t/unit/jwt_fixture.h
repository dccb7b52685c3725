/*
 * What the tests of ID tokens share: the parts of a good token, and the rules
 * that it meets.
 */

#ifndef _JWT_FIXTURE_H_INCLUDED_
#define _JWT_FIXTURE_H_INCLUDED_


#include "ngx_intuit_stub.h"
#include "ngx_intuit_crypto.h"
#include "ngx_intuit_jwt.h"


#define NOW      1700000000

#define ISS      "\"iss\":\"https://op.example/op/v1\""
#define AUD      "\"aud\":[\"client\"]"
#define EXP      "\"exp\":1700003600"
#define IAT      "\"iat\":1700000000"
#define SUB      "\"sub\":\"user-1\""
#define BASE     ISS "," AUD "," EXP "," IAT "," SUB
#define HEADER   "{\"kid\":\"k1\",\"alg\":\"RS256\"}"

#define len_of(a)  (sizeof(a) / sizeof((a)[0]))


typedef struct {
    const char  *text;
    const char  *reason;             /* NULL: taken */
} case_t;


static inline ngx_str_t
encode(ngx_pool_t *pool, ngx_str_t s)
{
    ngx_str_t  out;

    out.data = ngx_pnalloc(pool, ngx_intuit_base64url_len(s.len));
    out.len = ngx_intuit_base64url_encode(out.data, s.data, s.len) - out.data;

    return out;
}


static inline ngx_str_t
encode_text(ngx_pool_t *pool, const char *text)
{
    return encode(pool, ngx_intuit_stub_str(pool, text));
}


static inline ngx_str_t
join(ngx_pool_t *pool, ngx_str_t a, ngx_str_t b)
{
    return ngx_intuit_stub_fmt(pool, "%V.%V", &a, &b);
}


/* a token whose signature nobody looks at */

static inline ngx_str_t
unsigned_token(ngx_pool_t *pool, const char *header, const char *payload)
{
    ngx_str_t  text;

    text = join(pool, encode_text(pool, header), encode_text(pool, payload));

    return ngx_intuit_stub_fmt(pool, "%V.AAAA", &text);
}


static inline void
rules_init(ngx_intuit_jwt_rules_t *rules)
{
    memset(rules, 0, sizeof(ngx_intuit_jwt_rules_t));

    ngx_str_set(&rules->issuer, "https://op.example/op/v1");
    ngx_str_set(&rules->client_id, "client");
    rules->now = NOW;
    rules->leeway = 60;
}


#endif /* _JWT_FIXTURE_H_INCLUDED_ */
