/*
 * OAuth 2.0 (RFC 6749) and OpenID Connect messages in Intuit's dialect:
 * what is sent, and what comes back.  Nothing here does I/O.
 */

#ifndef _NGX_INTUIT_OAUTH2_H_INCLUDED_
#define _NGX_INTUIT_OAUTH2_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_intuit_endpoints.h"
#include "ngx_intuit_json.h"


#define NGX_INTUIT_TOKEN_SIZE      8192     /* longest access token accepted */
#define NGX_INTUIT_REFRESH_SIZE    2048
#define NGX_INTUIT_EXPIRES_MAX     (400 * 24 * 3600)
#define NGX_INTUIT_HARD_MAX        (10 * 366 * 24 * 3600)


typedef struct {
    ngx_str_t    access_token;
    ngx_str_t    refresh_token;             /* empty when absent */
    ngx_str_t    id_token;                  /* empty when absent */
    ngx_str_t    scope;                     /* empty when absent */
    time_t       expires_in;                /* >= 1 */
    time_t       refresh_expires_in;        /* 0: not said */
    time_t       refresh_hard_expires_in;   /* 0: not said */
} ngx_intuit_tokens_t;

typedef struct {
    ngx_str_t    client_id;
    ngx_str_t    redirect_uri;
    ngx_str_t    scope;
    ngx_str_t    state;
    ngx_str_t    nonce;                     /* empty: not sent */
    ngx_str_t    code_challenge;            /* empty: no PKCE; else S256 */
    ngx_str_t    extra_args;                /* raw, appended with "&" */
} ngx_intuit_authorize_t;


/* The authorization request's URL (RFC 6749, section 4.1.1) in pool; a query
 * that the endpoint already has is kept.  Each parameter is there once: of the
 * endpoint's and the extra arguments, those with a name of ours or one that
 * came before are left out.  NGX_OK or NGX_ERROR. */
ngx_int_t ngx_intuit_authorize_url(ngx_pool_t *pool, const ngx_str_t *endpoint,
    const ngx_intuit_authorize_t *a, ngx_str_t *url);

/* "Basic " + base64(id ":" secret), both raw, as Intuit expects it. */
ngx_int_t ngx_intuit_basic_auth(ngx_pool_t *pool, const ngx_str_t *client_id,
    const ngx_str_t *client_secret, ngx_str_t *value);

/* Bodies of token requests (RFC 6749, sections 4.1.3 and 6); verifier may be
 * empty (RFC 7636, section 4.5). */
ngx_int_t ngx_intuit_code_request(ngx_pool_t *pool, const ngx_str_t *code,
    const ngx_str_t *redirect_uri, const ngx_str_t *verifier, ngx_str_t *body);
ngx_int_t ngx_intuit_refresh_request(ngx_pool_t *pool,
    const ngx_str_t *refresh_token, ngx_str_t *body);

/*
 * A token answer with status 200 (RFC 6749, section 5.1), strings in pool.
 * Refused: not a JSON object; an "error" that is not null; access_token
 * missing, empty, longer than NGX_INTUIT_TOKEN_SIZE or with a byte outside
 * b64token (RFC 6750, section 2.1: ALPHA DIGIT - . _ ~ + / and = at the end);
 * token_type not "bearer" (without case); a refresh token that is empty, too
 * long or has a byte outside 0x21..0x7e; a negative, zero or unreadable
 * expires_in.
 * expires_in: missing = 3600; above NGX_INTUIT_EXPIRES_MAX = that.  The two
 * refresh lifetimes (x_refresh_token_expires_in,
 * x_refresh_token_hard_expires_in): unreadable or <= 0 = 0; above
 * NGX_INTUIT_HARD_MAX = that.  An id_token or a scope that
 * is none counts as absent.
 * Unknown members are passed over.  When refused, *t is all zero.
 * NGX_OK, NGX_DECLINED with *reason (a literal), NGX_ERROR.
 */
ngx_int_t ngx_intuit_tokens_parse(ngx_pool_t *pool, const ngx_str_t *text,
    ngx_intuit_tokens_t *t, const char **reason);

/*
 * The "error" of an error answer (RFC 6749, section 5.2) when it is what such
 * a word is made of: lower-case letters and "_", 64 at most; else empty.
 * Nothing else of the answer is told: it may repeat what was sent.
 */
void ngx_intuit_oauth2_error_parse(ngx_pool_t *pool, const ngx_str_t *text,
    ngx_str_t *error);

/*
 * Userinfo (OpenID Connect Core, section 5.3.2): a JSON object with "sub"
 * of 1..255 bytes, 0x21..0x7e.  When sub->len != 0 its sub must equal it.
 * NGX_OK, NGX_DECLINED with *reason, NGX_ERROR.
 */
ngx_int_t ngx_intuit_userinfo_parse(ngx_pool_t *pool, const ngx_str_t *text,
    const ngx_str_t *sub, ngx_intuit_json_t **claims, const char **reason);

/*
 * One JSON object with the members of both (either may be NULL); on a clash
 * the id_token's member wins.  Compact text in pool.
 */
ngx_int_t ngx_intuit_claims_merge(ngx_pool_t *pool,
    const ngx_intuit_json_t *id_token, const ngx_intuit_json_t *userinfo,
    ngx_str_t *text);

/* 1: the body is a v3 CompanyInfo answer ({"CompanyInfo":{...}}, an object,
 * not a Fault); company's name into *name (empty when it has none, or one
 * that is longer than 1024 bytes). */
ngx_uint_t ngx_intuit_companyinfo_parse(ngx_pool_t *pool,
    const ngx_str_t *text, ngx_str_t *name);

/* 1: the space-separated list `scope` holds the word. */
ngx_uint_t ngx_intuit_scope_has(const ngx_str_t *scope, const char *word);

/* 1: every word of the list `wanted` is in `scope` as well. */
ngx_uint_t ngx_intuit_scope_covers(const ngx_str_t *scope,
    const ngx_str_t *wanted);


#endif /* _NGX_INTUIT_OAUTH2_H_INCLUDED_ */
