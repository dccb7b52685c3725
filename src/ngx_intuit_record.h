/*
 * What is kept: sessions, connections, and the state of a login on its way.
 * Each is encoded as one versioned run of bytes without pointers (network
 * byte order, length-prefixed strings), so that shared memory, files and a
 * remote store hold the same thing.
 */

#ifndef _NGX_INTUIT_RECORD_H_INCLUDED_
#define _NGX_INTUIT_RECORD_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


#define NGX_INTUIT_RECORD_STRING_MAX    65535


typedef struct {
    ngx_str_t    access_token;       /* empty: there is no pair */
    ngx_str_t    refresh_token;      /* may be empty */
    ngx_str_t    scope;              /* space-separated, as granted */
    ngx_str_t    sub;                /* owner; empty without openid */
    time_t       issued;             /* when the consent was given */
    time_t       refreshed;          /* when this pair was received */
    time_t       expires;            /* of the access token */
    time_t       refresh_expires;    /* rolling end; 0: unknown */
    time_t       hard_expires;       /* absolute end; 0: unknown */
} ngx_intuit_pair_t;

typedef struct {
    ngx_str_t           realm;
    ngx_str_t           company;     /* CompanyName; may be empty */
    ngx_intuit_pair_t   current;
    ngx_intuit_pair_t   spare;       /* access_token empty: none */
    ngx_intuit_pair_t   arrived;     /* not in a file yet; else empty */
    ngx_str_t           renews;      /* whose access token it replaces */
    ngx_uint_t          dead;        /* 1: current was refused for good */
    time_t              retry_at;    /* no refresh before; 0: none failed */
    time_t              failures;    /* of refreshing, in a row */
    time_t              maybe_sent;  /* an unanswered refresh; 0: none */
    ngx_str_t           error;       /* of the last failure; may be empty */
    ngx_str_t           tid;         /* Intuit's, of the last answer */
} ngx_intuit_connection_t;

typedef struct {
    time_t              created;
    time_t              expires;     /* absolute end of the session */
    ngx_str_t           realm;       /* empty: OpenID-only login */
    ngx_str_t           sub;         /* empty without openid */
    ngx_str_t           email;       /* empty when unknown or unverified */
    ngx_str_t           claims;      /* JSON: id_token and userinfo merged,
                                      * packed (ngx_intuit_claims.h) */
    size_t              shared;      /* bytes of them that userinfo begins
                                      * with, unpacked */
    ngx_str_t           userinfo;    /* the rest of it, packed; may be empty */
    ngx_str_t           id_token;    /* only when the configuration uses it */
    ngx_intuit_pair_t   own;         /* OpenID-only login: its own tokens */
    ngx_str_t           login;       /* the id of the attempt it came from */
} ngx_intuit_session_t;

/* the sealed login cookie's content */
typedef struct {
    time_t       created;
    u_char       state[32];
    u_char       nonce[16];
    u_char       verifier[32];       /* PKCE; the base64url text is sent */
    ngx_str_t    target;             /* where to go afterwards */
    ngx_uint_t   connect;            /* 1: no login, a company is connected;
                                      * not in the bytes, they are sealed
                                      * for the one or the other */
} ngx_intuit_login_t;


/*
 * Encoders: one allocation in pool.  NGX_OK or NGX_ERROR (no memory, or a
 * string longer than 65535 bytes).
 */
ngx_int_t ngx_intuit_connection_encode(ngx_pool_t *pool,
    const ngx_intuit_connection_t *c, ngx_str_t *out);
ngx_int_t ngx_intuit_session_encode(ngx_pool_t *pool,
    const ngx_intuit_session_t *s, ngx_str_t *out);
ngx_int_t ngx_intuit_login_encode(ngx_pool_t *pool,
    const ngx_intuit_login_t *l, ngx_str_t *out);

/*
 * Decoders: strings point into in, nothing is allocated.  NGX_OK, or
 * NGX_DECLINED: another version, truncated, trailing bytes.
 */
ngx_int_t ngx_intuit_connection_decode(const ngx_str_t *in,
    ngx_intuit_connection_t *c);
ngx_int_t ngx_intuit_session_decode(const ngx_str_t *in,
    ngx_intuit_session_t *s);
ngx_int_t ngx_intuit_login_decode(const ngx_str_t *in, ngx_intuit_login_t *l);


#endif /* _NGX_INTUIT_RECORD_H_INCLUDED_ */
