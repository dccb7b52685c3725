/*
 * Configuration, request context and flow entry points of the module.
 *
 * Configuration structures are const once postconfiguration is over; what
 * changes while running lives in ngx_http_intuit_runtime_t (one copy a
 * worker) or in the store (one for all workers).
 */

#ifndef _NGX_HTTP_INTUIT_AUTH_MODULE_H_INCLUDED_
#define _NGX_HTTP_INTUIT_AUTH_MODULE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_intuit_compat.h"
#include "ngx_http_intuit_page.h"
#include "ngx_http_intuit_store.h"
#include "ngx_intuit_claims.h"
#include "ngx_intuit_crypto.h"
#include "ngx_intuit_header.h"
#include "ngx_intuit_json.h"
#include "ngx_intuit_jwks.h"
#include "ngx_intuit_jwt.h"
#include "ngx_intuit_memo.h"
#include "ngx_intuit_oauth2.h"
#include "ngx_intuit_record.h"
#include "ngx_intuit_text.h"
#include "ngx_intuit_url.h"


#define NGX_HTTP_INTUIT_VERSION        "1.0.0"

/* context of the directives inside intuit_provider { } */
#define NGX_HTTP_INTUIT_PROVIDER_CONF  0x00200000

/* ... and of those inside intuit_store { } */
#define NGX_HTTP_INTUIT_STORE_CONF     0x00800000

#define NGX_HTTP_INTUIT_SANDBOX        0
#define NGX_HTTP_INTUIT_PRODUCTION     1

#define NGX_HTTP_INTUIT_MODE_REQUIRE   0
#define NGX_HTTP_INTUIT_MODE_VERIFY    1

#define NGX_HTTP_INTUIT_LIMIT_OFF      0
#define NGX_HTTP_INTUIT_LIMIT_ON       1
#define NGX_HTTP_INTUIT_LIMIT_DRY_RUN  2

#define NGX_HTTP_INTUIT_LOGINS_MAX     8       /* login cookies a browser */
#define NGX_HTTP_INTUIT_LOGINS_BYTES   3500    /* all of them together */
#define NGX_HTTP_INTUIT_COOKIE_LEN     43      /* base64url of 32 bytes */
#define NGX_HTTP_INTUIT_WAITERS_MIN    2048    /* parked requests a worker */
#define NGX_HTTP_INTUIT_RETRY_AFTER    5
#define NGX_HTTP_INTUIT_SHARED_MAX     4
#define NGX_HTTP_INTUIT_REVOCATIONS_LEN  16

/* format= of intuit_status; 0: there is none */
#define NGX_HTTP_INTUIT_STATUS_ASKED       1   /* by Accept */
#define NGX_HTTP_INTUIT_STATUS_HTML        2
#define NGX_HTTP_INTUIT_STATUS_JSON        3
#define NGX_HTTP_INTUIT_STATUS_PROMETHEUS  4
#define NGX_HTTP_INTUIT_STATUS_HEALTH      5


typedef struct ngx_http_intuit_job_s       ngx_http_intuit_job_t;
typedef struct ngx_http_intuit_runtime_s   ngx_http_intuit_runtime_t;
typedef struct ngx_http_intuit_provider_s  ngx_http_intuit_provider_t;
typedef struct ngx_http_intuit_ctx_s       ngx_http_intuit_ctx_t;
typedef struct ngx_http_intuit_asked_s     ngx_http_intuit_asked_t;
typedef struct ngx_http_intuit_peer_s      ngx_http_intuit_peer_t;
typedef struct ngx_http_intuit_redis_s     ngx_http_intuit_redis_t;
typedef struct ngx_http_intuit_fetch_tls_s ngx_http_intuit_fetch_tls_t;

/* Answers a request that has waited: what ngx_http_finalize_request() takes. */
typedef ngx_int_t (*ngx_http_intuit_answer_pt)(ngx_http_request_t *r,
    ngx_http_intuit_ctx_t *ctx);


/*
 * Everything that can go wrong for a client, one row each in the table of
 * ngx_http_intuit_error.c (status, "error", words, log level).  The numbers
 * are kept in login records: append, never reorder.
 */
typedef enum {
    NGX_HTTP_INTUIT_E_INTERNAL = 0,
    NGX_HTTP_INTUIT_E_LOGIN_REQUIRED,
    NGX_HTTP_INTUIT_E_LOGIN_LOOP,
    NGX_HTTP_INTUIT_E_ACCESS_DENIED,          /* error=access_denied */
    NGX_HTTP_INTUIT_E_AUTHORIZATION,          /* any other error= */
    NGX_HTTP_INTUIT_E_STATE,                  /* missing, unknown, expired */
    NGX_HTTP_INTUIT_E_CALLBACK,               /* malformed callback */
    NGX_HTTP_INTUIT_E_METHOD,
    NGX_HTTP_INTUIT_E_CODE,                   /* invalid_grant for a code */
    NGX_HTTP_INTUIT_E_CLIENT,                 /* invalid_client */
    NGX_HTTP_INTUIT_E_UNAVAILABLE,            /* Intuit down, slow, 5xx, 429 */
    NGX_HTTP_INTUIT_E_ANSWER,                 /* Intuit's answer unreadable */
    NGX_HTTP_INTUIT_E_ID_TOKEN,
    NGX_HTTP_INTUIT_E_KEYS,                   /* no key to verify with, yet */
    NGX_HTTP_INTUIT_E_REALM_UNPROVEN,
    NGX_HTTP_INTUIT_E_REALM_DENIED,
    NGX_HTTP_INTUIT_E_EMAIL_DENIED,
    NGX_HTTP_INTUIT_E_FORBIDDEN,              /* auth_intuit_require */
    NGX_HTTP_INTUIT_E_CROSS_SITE,
    NGX_HTTP_INTUIT_E_REALM_MISMATCH,
    NGX_HTTP_INTUIT_E_API_PATH,
    NGX_HTTP_INTUIT_E_NOT_CONNECTED,          /* no connection for a realm */
    NGX_HTTP_INTUIT_E_CLIENT_ADDRESS,         /* realm= without a guard */
    NGX_HTTP_INTUIT_E_STORE,
    NGX_HTTP_INTUIT_E_BUSY,
    NGX_HTTP_INTUIT_E_RECONNECT,              /* the connection has ended */
    NGX_HTTP_INTUIT_E_ACTION,                 /* a form that asks nothing */
    NGX_HTTP_INTUIT_E_TOO_SOON,               /* refreshed a moment ago */
    NGX_HTTP_INTUIT_E_TOKEN,                  /* a client's own, refused */
    NGX_HTTP_INTUIT_E_BODY,                   /* of an operator's request */
    NGX_HTTP_INTUIT_E_IMPORT,                 /* an operator's token refused */
    NGX_HTTP_INTUIT_E_PENDING,                /* ... is to be proven yet */
    NGX_HTTP_INTUIT_E_QUOTA,                  /* too many wait for a slot */
    NGX_HTTP_INTUIT_E_API_REFUSED,            /* a 401 that cannot be shown */
    NGX_HTTP_INTUIT_E_API_DOWN,               /* nginx's 502 and 504 */
    NGX_HTTP_INTUIT_E_API_TIMEOUT,
    NGX_HTTP_INTUIT_E_MAX
} ngx_http_intuit_error_e;


/*
 * What is counted in the zone, for intuit_status; the numbers are kept over
 * reloads: append.
 */
typedef enum {
    NGX_HTTP_INTUIT_N_REFRESHED = 0,          /* refreshes, by their end */
    NGX_HTTP_INTUIT_N_REFRESH_FAILED,
    NGX_HTTP_INTUIT_N_REFRESH_ENDED,
    NGX_HTTP_INTUIT_N_LOGIN,                  /* logins and connects */
    NGX_HTTP_INTUIT_N_LOGIN_FAILED,
    NGX_HTTP_INTUIT_N_DISCONNECT,
    NGX_HTTP_INTUIT_N_API_REFUSED,            /* a 401 from the API */
    NGX_HTTP_INTUIT_N_REPLAY,                 /* ... and sent once more */
    NGX_HTTP_INTUIT_N_UNCURED,                /* ... in vain */

    NGX_HTTP_INTUIT_N_ERROR = 64              /* + ngx_http_intuit_error_e */
} ngx_http_intuit_counter_e;

/* what Intuit has said about a provider's keys */
#define NGX_HTTP_INTUIT_CLIENT_ACCEPTED  1
#define NGX_HTTP_INTUIT_CLIENT_REFUSED   2


struct ngx_http_intuit_provider_s {
    ngx_str_t                    name;
    u_char                      *file;         /* where it is defined; NULL: */
    ngx_uint_t                   line;         /* mentioned only */
    u_char                      *first_file;   /* the first mention */
    ngx_uint_t                   first_line;

    ngx_uint_t                   environment;
    ngx_str_t                    config_url;   /* empty: Intuit's own */
    ngx_str_t                    api_url;
    ngx_str_t                    migrate_url;
    ngx_str_t                    client_id;
    ngx_str_t                    client_secret;
    ngx_str_t                    client_secret_file;
    ngx_str_t                    redirect_uri;
    ngx_intuit_url_t             redirect;     /* redirect_uri taken apart */
    ngx_str_t                    scope;        /* joined by single spaces */
    ngx_str_t                    extra_auth_args;
    ngx_array_t                  allow_realm;  /* ngx_str_t */
    ngx_array_t                  allow_email;  /* ngx_str_t */
    ngx_flag_t                   pkce;
    ngx_flag_t                   userinfo;
    ngx_flag_t                   probe;
    ngx_str_t                    login_uri;
    ngx_str_t                    logout_uri;
    ngx_str_t                    post_logout_uri;
    ngx_str_t                    session_uri;
    ngx_str_t                    cookie_name;
    ngx_str_t                    cookie_flags; /* "; Path=/; HttpOnly..." */
    time_t                       session_timeout;
    time_t                       session_idle_timeout;
    time_t                       login_timeout;
    time_t                       refresh_before;
    time_t                       refresh_keepalive; /* 0: off */
    time_t                       leeway;
    ngx_msec_t                   connect_timeout;
    ngx_msec_t                   read_timeout;
    ngx_str_t                    ssl_trusted_certificate;
    ngx_str_t                    ssl_crl;
    ngx_array_t                  keys;         /* ngx_intuit_key_t, ring */
    ngx_path_t                  *state_path;   /* NULL: none */

    /* derived */
    ngx_str_t                    login_prefix; /* cookie_name "-login-" */
    ngx_str_t                    tries_name;   /* cookie_name "-tries" */
    u_char                       identity[NGX_INTUIT_HASH_LEN];
    ngx_intuit_digest_t         *session_ids;  /* of cookies */
    ngx_intuit_memo_t           *connection_ids; /* of realms */
    u_char                       revocations[NGX_HTTP_INTUIT_REVOCATIONS_LEN];
                                               /* what those here are called */
    ngx_intuit_key_t            *login_keys;   /* derived, one per key */
    ngx_uint_t                   nlogin_keys;
    ngx_intuit_sealer_t         *sealer;       /* with the first of them */
    ngx_intuit_key_t            *state_keys;   /* derived, one per key */
    void                        *state_pool;   /* of threads */
    ngx_intuit_key_t            *share_keys;   /* derived, one per key */
    ngx_str_t                    basic;        /* "Basic ..." */
    ngx_http_conf_ctx_t         *fetch_conf;   /* private, of no server */
    ngx_http_intuit_fetch_tls_t *fetch_tls;    /* its sessions */
    ngx_http_intuit_peer_t      *peer;         /* NULL: no intuit_proxy */
    ngx_http_intuit_store_t     *store;
    ngx_http_intuit_redis_t     *redis;        /* NULL: of this host only */
    ngx_http_intuit_runtime_t   *runtime;

    unsigned                     allow_realm_any:1;
    unsigned                     allow_email_any:1;
    unsigned                     used_by_auth:1;
    unsigned                     openid:1;     /* scope has openid */
    unsigned                     company:1;    /* scope has a company scope */
    unsigned                     accounting:1; /* CompanyInfo can be read */
    unsigned                     strict:1;     /* SameSite=Strict cookies */
    unsigned                     secure:1;     /* Secure cookies */
    unsigned                     early:1;      /* proxied before defined */
    unsigned                     connects:1;   /* by intuit_connect */
    unsigned                     own_ca:1;     /* ssl_trusted_certificate */
};

/* a provider's own URI in a server */
typedef struct {
    ngx_str_t                    uri;
    ngx_http_intuit_provider_t  *provider;
    ngx_int_t                  (*handler)(ngx_http_request_t *r);
    unsigned                     callback:1;   /* query string is secret */
} ngx_http_intuit_endpoint_t;

typedef struct {
    ngx_array_t                  providers;    /* ngx_http_intuit_provider_t* */
    ngx_array_t                  stores;       /* ngx_http_intuit_redis_t* */
    ngx_array_t                  proxied;      /* core loc confs to check */
    ngx_http_handler_pt          proxy_handler; /* of proxy_pass */
    ngx_http_intuit_store_t     *store;
    ngx_str_t                    zone_name;
    size_t                       zone_size;
    ngx_resolver_t              *resolver;
    ngx_uint_t                   keep_id_token;
    ngx_uint_t                   token_used;   /* $intuit_access_token */
    ngx_uint_t                   status;       /* there is an intuit_status */
    ngx_array_t                  cookie_names; /* ngx_intuit_cookie_name_t */
    ngx_array_t                  sent;         /* ngx_uint_t: variables of what
                                                * the client has sent */
} ngx_http_intuit_main_conf_t;

typedef struct {
    ngx_array_t                  uses;         /* of the next struct */
    ngx_array_t                  endpoints;    /* ngx_http_intuit_endpoint_t */
    uint64_t                     lengths;      /* of their URIs, as bits */
    ngx_array_t                  names;        /* ngx_str_t; core's are gone
                                                * after configuration */
} ngx_http_intuit_srv_conf_t;

typedef struct {
    ngx_http_intuit_provider_t  *provider;
    unsigned                     auth:1;       /* by auth_intuit */
    unsigned                     callback:1;   /* by intuit_connect */
} ngx_http_intuit_use_t;

typedef struct {
    ngx_array_t                  values;       /* ngx_http_complex_value_t */
    ngx_uint_t                   status;       /* 0: our 403 */
} ngx_http_intuit_require_t;

typedef struct {
    ngx_uint_t                   mode;
    ngx_http_intuit_limits_t     limits;
} ngx_http_intuit_limit_conf_t;

typedef struct {
    ngx_http_intuit_provider_t  *auth;         /* NULL: off */
    ngx_uint_t                   mode;
    ngx_array_t                 *require;      /* ngx_http_intuit_require_t */
    ngx_http_intuit_provider_t  *proxy;        /* NULL: off */
    ngx_http_complex_value_t    *realm;        /* realm=, else NULL */
    ngx_flag_t                   any_clients;
    ngx_http_intuit_limit_conf_t *limit;       /* never NULL */
    ngx_flag_t                   request_id;   /* added to a POST */
    ngx_http_intuit_provider_t  *action;       /* of intuit_connect and the */
    ngx_http_handler_pt          handler;      /* others; NULL: none */
    ngx_uint_t                   callback;     /* it needs the redirect URI */
    ngx_uint_t                   status;       /* format of intuit_status */
    ngx_uint_t                   manage;       /* it has forms */
} ngx_http_intuit_loc_conf_t;


/* who the request is, for one provider */
typedef struct {
    ngx_http_intuit_provider_t  *provider;
    ngx_int_t                    rc;           /* NGX_OK signed in;
                                                * NGX_DECLINED anonymous;
                                                * NGX_ERROR cannot know */
    ngx_http_intuit_id_t         id;           /* of the session */
    ngx_http_intuit_loaded_t     loaded;
    ngx_intuit_json_t           *claims;       /* parsed on first use */
} ngx_http_intuit_view_t;

/* a session that was read from what hosts share */
typedef struct {
    ngx_http_intuit_provider_t  *provider;     /* NULL: free */
    ngx_http_intuit_id_t         id;
} ngx_http_intuit_shared_t;

/* a request's slot in its company's quota */
typedef struct {
    ngx_http_intuit_quota_t      quota;
    ngx_http_intuit_provider_t  *provider;     /* in whose store that is */
    ngx_http_intuit_slot_t       slot;         /* that hosts share */
    ngx_http_intuit_limits_t     part;         /* without that: this host's */
    const char                  *status;       /* a word; NULL: none */
    ngx_uint_t                   states;       /* upstream's, before */
    ngx_http_intuit_quota_state_e  taken;      /* by what goes upstream */
    unsigned                     waiting:1;    /* parked, or just woken */
    unsigned                     sent:1;       /* 429 would be Intuit's */
} ngx_http_intuit_limit_t;

/* where a request at the API leads */
typedef struct {
    ngx_int_t                    rc;           /* NGX_OK; NGX_DECLINED: it can
                                                * be read in more than one way;
                                                * NGX_ABORT: it is no company's;
                                                * NGX_ERROR */
    ngx_str_t                    path;         /* as upstream will get it */
    ngx_str_t                    args;
    ngx_str_t                    id;           /* "-": to be filled in */
    ngx_str_t                    uri;          /* of the request that it was */
    ngx_str_t                    request_args; /* found for */
    ngx_uint_t                   unparsed;
} ngx_http_intuit_target_t;

/* what the API has said, safe to log */
typedef struct {
    ngx_uint_t                   status;
    ngx_str_t                    message;
    ngx_str_t                    detail;       /* redacted; of a 401 */
    unsigned                     mixed_up:1;   /* no token will help */
} ngx_http_intuit_said_t;

struct ngx_http_intuit_ctx_s {
    ngx_http_intuit_view_t      *auth;         /* of auth_intuit, and of */
    ngx_http_intuit_view_t      *api;          /* intuit_proxy, maybe the same;
                                                * NULL: not looked up yet */
    ngx_http_intuit_view_t       first;        /* that was needed of these */
    ngx_http_intuit_endpoint_t  *endpoint;     /* one of our own URIs */
    ngx_str_t                    args;         /* before it was overwritten */
    ngx_http_intuit_cookies_t    cookies;      /* before they were cleaned */
    ngx_table_elt_t             *own_cookie;   /* a line of one of ours */

    ngx_http_intuit_error_e      error;        /* valid if failed */
    ngx_str_t                    tid;          /* Intuit's transaction id */
    time_t                       retry_after;  /* s, for a failure; 0: any */
    ngx_http_intuit_target_t    *target;       /* NULL: not known yet */
    ngx_str_t                    api_url;      /* where intuit_proxy goes */
    ngx_str_t                    api_host;     /* what it says to whom */
    ngx_str_t                    request_id;   /* that we have added there */

    ngx_http_intuit_limit_t     *limit;        /* NULL: none was asked for */

    /* what is shared with other hosts (ngx_http_intuit_share.c) */
    ngx_http_intuit_shared_t    *shared;       /* ..._SHARED_MAX; NULL: none */
    ngx_http_intuit_id_t         share_id;     /* waited for */
    ngx_uint_t                   share_what;
    ngx_int_t                    share_rc;
    ngx_str_t                    share_cookie; /* of the new session */
    void                        *disconnect;   /* what is to be, then */

    /* a parked request (ngx_http_intuit_park.c) */
    ngx_http_request_t          *request;
    ngx_queue_t                  waiting;
    ngx_uint_t                  *share;        /* of the places, counted */
    ngx_event_t                  wake;
    ngx_uint_t                 (*ready)(ngx_http_intuit_ctx_t *ctx);
    void                       (*resume)(ngx_http_request_t *r);
    ngx_http_intuit_provider_t  *provider;     /* whose answer is awaited */
    ngx_http_intuit_id_t         login;        /* the attempt waited for */
    ngx_http_intuit_id_t         connection;   /* ... or the connection, */
    uint64_t                     generation;   /* for a later one of it */
    ngx_uint_t                   waits;        /* for refreshes */
    const char                  *refresh_status; /* a word; NULL: none */
    ngx_buf_t                   *answer;       /* of the API, held back */
    ngx_http_intuit_said_t       fault;        /* that is in it */
    ngx_str_t                    fault_code;
    ngx_str_t                    refused;      /* a token, by the API */
    ngx_http_intuit_asked_t     *asked;        /* for userinfo */
    ngx_http_intuit_view_t      *renewed;      /* by hand, and */
    ngx_http_intuit_answer_pt    then;         /* called */
    void                        *status;       /* for intuit_status */
    ngx_intuit_login_t          *attempt;      /* its cookie, opened */

    unsigned                     failed:1;
    unsigned                     share_waits:1;
    unsigned                     parked:1;
    unsigned                     stale:1;      /* time went by since a load */
    unsigned                     cleaned:1;
    unsigned                     injected:1;   /* the token is in headers */
    unsigned                     joined:1;     /* callback: job was begun */
    unsigned                     held:1;       /* the API's answer is */
    unsigned                     unread:1;     /* ... and nobody can read it */
    unsigned                     instead:1;    /* ours for nginx's answer */
    unsigned                     cured:1;      /* a refresh was waited for */
    unsigned                     replayed:1;   /* the request was sent again */
    unsigned                     navigation_known:1;
    unsigned                     navigation:1; /* valid if known */
};


extern ngx_module_t  ngx_http_intuit_auth_module;


/* -- ngx_http_intuit_access.c ------------------------------------------ */

/* SERVER_REWRITE, last: takes our own URIs out of the location search. */
ngx_int_t ngx_http_intuit_endpoint_handler(ngx_http_request_t *r);

/* LOG, first: no code in access_log, whoever answered. */
ngx_int_t ngx_http_intuit_log_handler(ngx_http_request_t *r);

/* ACCESS, last: the session gate. */
ngx_int_t ngx_http_intuit_access_handler(ngx_http_request_t *r);

/* The request's context, also after an internal redirect; NULL: no memory
 * (or, with create == 0, none yet). */
static ngx_inline ngx_http_intuit_ctx_t *ngx_http_intuit_get_ctx(
    ngx_http_request_t *r, ngx_uint_t create);

/* ... when it is not where nginx keeps it. */
ngx_http_intuit_ctx_t *ngx_http_intuit_find_ctx(ngx_http_request_t *r,
    ngx_uint_t create);

/* 1: the request is being answered by one of our own URIs. */
ngx_uint_t ngx_http_intuit_own_uri(ngx_http_request_t *r,
    const ngx_http_intuit_ctx_t *ctx);

/*
 * Looks the session cookie of this provider up (once a request: *view is what
 * was found before, or NULL).  NGX_OK signed in, NGX_DECLINED anonymous,
 * NGX_ERROR cannot know; then *view may be what it was.
 */
ngx_int_t ngx_http_intuit_identify(ngx_http_request_t *r,
    ngx_http_intuit_provider_t *provider, ngx_http_intuit_view_t **view);

/* One that nothing was found for yet.  NULL: no memory. */
ngx_http_intuit_view_t *ngx_http_intuit_view_create(ngx_http_request_t *r,
    ngx_http_intuit_provider_t *provider);

/* The pair that serves a view now: the connection's current one, or the
 * session's own.  NULL: none. */
const ngx_intuit_pair_t *ngx_http_intuit_view_pair(
    const ngx_http_intuit_view_t *view);

/*
 * Identifiers in the store: SHA-256 over kind, the provider's identity and
 * value, so that no provider's records answer to another's secret.
 * Kinds: "login" (state), "probe" ("").  NGX_OK or NGX_ERROR.
 */
ngx_int_t ngx_http_intuit_store_id(ngx_http_intuit_id_t *id,
    const char *kind, const ngx_http_intuit_provider_t *provider,
    const ngx_str_t *value);

/* The same for a session, by its cookie's value, and for a connection, by its
 * realm: those are asked for again and again.  NGX_OK or NGX_ERROR. */
ngx_int_t ngx_http_intuit_session_id(ngx_http_intuit_id_t *id,
    const ngx_http_intuit_provider_t *provider, const ngx_str_t *cookie);
ngx_int_t ngx_http_intuit_connection_id(ngx_http_intuit_id_t *id,
    const ngx_http_intuit_provider_t *provider, const ngx_str_t *realm);

/* 1: an unsafe method that a page of another site sent (Sec-Fetch-Site, else
 * Origin against Host). */
ngx_uint_t ngx_http_intuit_cross_site(ngx_http_request_t *r);

/* 1: a browser's top-level GET navigation, no prefetch. */
ngx_uint_t ngx_http_intuit_navigation(ngx_http_request_t *r);

/* 1: the browser asks ahead of its user. */
ngx_uint_t ngx_http_intuit_prefetch(ngx_http_request_t *r);


/* -- ngx_http_intuit_header.c ------------------------------------------ */

/* The last line of that lower-case name (RFC 9110, 5.1), with "_" and "." in
 * place of "-", too, and how many there are; NULL: none.  One that is not sent,
 * or of whose header only a half could be kept, has no hash, and is none. */
ngx_table_elt_t *ngx_http_intuit_header(ngx_list_t *headers, const char *lower,
    ngx_uint_t *n);

/* The value of a request header by its lower-case name, NULL: absent.  Of one
 * that is there more than once no value is believed: it is empty. */
ngx_str_t *ngx_http_intuit_header_in(ngx_http_request_t *r, const char *lower);

/* Adds a response header; name is a literal, value lives as long as r. */
ngx_int_t ngx_http_intuit_add_header(ngx_http_request_t *r, const char *name,
    const ngx_str_t *value);


/* -- flows -------------------------------------------------------------- */

/*
 * Content handlers of our own URIs; r->args was overwritten for the callback,
 * ctx->args has it.
 */
ngx_int_t ngx_http_intuit_login_handler(ngx_http_request_t *r);
ngx_int_t ngx_http_intuit_callback_handler(ngx_http_request_t *r);
ngx_int_t ngx_http_intuit_logout_handler(ngx_http_request_t *r);
ngx_int_t ngx_http_intuit_session_handler(ngx_http_request_t *r);

/* session_uri for a client with a bearer token of its own and no cookie:
 * NGX_DECLINED: this is none. */
ngx_int_t ngx_http_intuit_userinfo_handler(ngx_http_request_t *r);

/* Content handlers of locations: intuit_connect and the like. */
ngx_int_t ngx_http_intuit_connect_handler(ngx_http_request_t *r);
ngx_int_t ngx_http_intuit_disconnect_handler(ngx_http_request_t *r);
ngx_int_t ngx_http_intuit_migrate_handler(ngx_http_request_t *r);
ngx_int_t ngx_http_intuit_status_handler(ngx_http_request_t *r);

/* The way back to the status page, which says that this was done. */
ngx_int_t ngx_http_intuit_status_back(ngx_http_request_t *r,
    const char *done);

/* The page after a consent that intuit_connect began; id: the connection's. */
ngx_int_t ngx_http_intuit_connected(ngx_http_request_t *r,
    ngx_http_intuit_provider_t *provider, const ngx_http_intuit_id_t *id);

typedef enum {
    NGX_HTTP_INTUIT_START_ASKED = 0,          /* by login_uri */
    NGX_HTTP_INTUIT_START_AUTOMATIC,          /* counts for the loop breaker */
    NGX_HTTP_INTUIT_START_CONNECT             /* to connect a company */
} ngx_http_intuit_start_e;

/*
 * Answers with the redirect to Intuit and the attempt's cookie.
 * Returns what ngx_http_finalize_request() takes, or NGX_AGAIN: the endpoints
 * are being looked up, park until ngx_http_intuit_login_ready() and call again.
 */
ngx_int_t ngx_http_intuit_login_start(ngx_http_request_t *r,
    ngx_http_intuit_provider_t *provider, const ngx_str_t *target,
    ngx_http_intuit_start_e how);

/* For a request whose login_start said NGX_AGAIN: has the time come? */
ngx_uint_t ngx_http_intuit_login_ready(ngx_http_intuit_ctx_t *ctx);

/* "/intuit/login?return_to=..." for this request, in r->pool; empty where
 * nobody can sign in with this provider. */
ngx_int_t ngx_http_intuit_login_link(ngx_http_request_t *r,
    ngx_http_intuit_provider_t *provider, ngx_str_t *link);

/* -- ngx_http_intuit_guard.c, _clean.c, _proxy.c, _fault.c, _replay.c ---- */

/*
 * 1: a location that asks for no session may serve this request: auth_intuit
 * has let it in, or clients=any, or the client is of this machine and its
 * Host a name of ours (no page of another name that was made to resolve to
 * it).
 */
ngx_uint_t ngx_http_intuit_guarded(ngx_http_request_t *r,
    ngx_http_intuit_ctx_t *ctx);

/* PREACCESS: takes an injected token out again, and our cookies out of
 * subrequests. */
ngx_int_t ngx_http_intuit_leave_handler(ngx_http_request_t *r);

/* PRECONTENT, first: takes what is ours or identity out of the request. */
ngx_int_t ngx_http_intuit_clean_handler(ngx_http_request_t *r);

/* PRECONTENT, last: realm guard, token injection. */
ngx_int_t ngx_http_intuit_proxy_handler(ngx_http_request_t *r);

/* Where the request leads at the API; valid as long as the URI is. */
const ngx_http_intuit_target_t *ngx_http_intuit_api_target(
    ngx_http_request_t *r, ngx_http_intuit_ctx_t *ctx);

/* Header filter: upstream's Set-Cookie never touches our cookies. */
ngx_int_t ngx_http_intuit_header_filter_init(ngx_conf_t *cf);

/* Filters: the API's error answers are held back until they are complete. */
ngx_int_t ngx_http_intuit_fault_init(ngx_conf_t *cf);

/* 1: the API has answered this request with an error, which is noted in the
 * context; 0: it has not. */
ngx_uint_t ngx_http_intuit_fault_note(ngx_http_request_t *r,
    ngx_http_intuit_ctx_t *ctx);

/* Writes what was noted to the log, once it is sure that the client sees it. */
void ngx_http_intuit_fault_say(ngx_http_request_t *r,
    ngx_http_intuit_ctx_t *ctx);

/* Sends an answer that was held back, and ends the request; not from within
 * a filter. */
void ngx_http_intuit_fault_pass(ngx_http_request_t *r);

/* Throws it away, so that the location can be entered again. */
void ngx_http_intuit_fault_drop(ngx_http_request_t *r,
    ngx_http_intuit_ctx_t *ctx);

/*
 * The API has answered 401, and the answer is held back.  NGX_AGAIN: it is to
 * be kept; the request goes on from the event loop, where it is begun anew or
 * the answer passed.  NGX_DECLINED: there is nothing to be done about it.
 */
ngx_int_t ngx_http_intuit_replay(ngx_http_request_t *r,
    ngx_http_intuit_ctx_t *ctx);

/* intuit_limit where nothing is said */
extern ngx_http_intuit_limit_conf_t  ngx_http_intuit_limit_default;


/* -- ngx_http_intuit_limit.c --------------------------------------------- */

/* The quota of a company at the provider's API, in the store. */
ngx_int_t ngx_http_intuit_quota_id(ngx_http_intuit_id_t *id,
    const ngx_http_intuit_provider_t *provider, const ngx_str_t *realm);

/*
 * What the load of the connection is to ask the quota for, if this request
 * will go to the provider's API and nothing but its load can refuse it; else
 * NULL.  session: it is the connection of the session.
 */
ngx_http_intuit_quota_t *ngx_http_intuit_limit_ask(ngx_http_request_t *r,
    ngx_http_intuit_provider_t *provider, ngx_uint_t session);

/* 1: the client's body is to be read before a slot and a token are taken, which
 * are good for the moment: who holds it back could bunch requests. */
ngx_uint_t ngx_http_intuit_limit_body(ngx_http_request_t *r);

/* PRECONTENT: reads it and runs the handler again; what that returns now. */
ngx_int_t ngx_http_intuit_limit_read(ngx_http_request_t *r);

/* PRECONTENT, for ctx->api, when the request could go: its slot.  NGX_OK: now;
 * NGX_AGAIN: parked, return it; else what the handler returns. */
ngx_int_t ngx_http_intuit_limit(ngx_http_request_t *r,
    ngx_http_intuit_ctx_t *ctx);

/* A slot that was not used. */
void ngx_http_intuit_limit_release(ngx_http_intuit_ctx_t *ctx);

/* Header filter: 429 from Intuit. */
ngx_int_t ngx_http_intuit_limit_init(ngx_conf_t *cf);

/* The request goes elsewhere now: what is answered there is not Intuit's. */
void ngx_http_intuit_limit_leave(ngx_http_request_t *r,
    ngx_http_intuit_ctx_t *ctx);

/* LOG: 429 from Intuit that no filter has seen. */
ngx_int_t ngx_http_intuit_limit_log_handler(ngx_http_request_t *r);


/* A resolver with the name servers of /etc/resolv.conf. */
ngx_resolver_t *ngx_http_intuit_system_resolver(ngx_conf_t *cf);

/* Worker start: arms the key probe. */
ngx_int_t ngx_http_intuit_probe_init(ngx_cycle_t *cycle,
    ngx_http_intuit_main_conf_t *imcf);

/*
 * 1: Intuit's answer (its "error") refuses the app's keys, which is noted for
 * intuit_status; and the opposite.
 */
ngx_uint_t ngx_http_intuit_client_refused(ngx_http_intuit_job_t *job,
    const ngx_str_t *error);
void ngx_http_intuit_client_accepted(ngx_http_intuit_job_t *job);

/* A note about a provider ("client", "state"), valid for its present keys.
 * ngx_http_intuit_noted(): NGX_OK, NGX_DECLINED: there is none. */
void ngx_http_intuit_note(ngx_http_intuit_provider_t *provider,
    const char *kind, ngx_uint_t value, const ngx_str_t *tid);
ngx_int_t ngx_http_intuit_noted(ngx_http_intuit_provider_t *provider,
    const char *kind, ngx_http_intuit_note_t *note);

/* Worker start: arms the timer that looks after unused connections. */
void ngx_http_intuit_keepalive_init(ngx_cycle_t *cycle,
    ngx_http_intuit_main_conf_t *imcf);

ngx_int_t ngx_http_intuit_add_variables(ngx_conf_t *cf);

/*
 * Does the configuration use this variable (by a directive that indexes it)?
 * To be asked in postconfiguration.
 */
ngx_uint_t ngx_http_intuit_variable_used(ngx_conf_t *cf, const char *name);

/* When a pair can no longer be refreshed, by what Intuit has said; 0:
 * unknown. */
time_t ngx_http_intuit_refresh_end(const ngx_intuit_pair_t *pair);


/* -- ngx_http_intuit_operator.c ----------------------------------------- */

/*
 * The content handler of them all.  Refuses a request that is not from here,
 * of another site, or of another method than GET (and HEAD for intuit_status)
 * and POST; get or post may be NULL.  For a POST reads the body, at most 16
 * KiB, and calls post, which ends the request.
 */
ngx_int_t ngx_http_intuit_operator_handler(ngx_http_request_t *r,
    ngx_http_handler_pt get, ngx_http_client_body_handler_pt post);

/* A failure, for one that ends the request. */
void ngx_http_intuit_operator_fail(ngx_http_request_t *r,
    ngx_http_intuit_provider_t *provider, ngx_http_intuit_error_e error,
    const char *reason);

/* The body that was read, in r->pool.  NGX_OK; NGX_DECLINED: it is in a file;
 * NGX_ERROR. */
ngx_int_t ngx_http_intuit_operator_text(ngx_http_request_t *r,
    ngx_str_t *text);

/*
 * Makes a record for the outcome (ctx->login), which a job is to end with
 * ngx_http_intuit_login_end().  As ngx_http_intuit_login_begin().
 */
ngx_int_t ngx_http_intuit_operator_begin(ngx_http_request_t *r,
    ngx_http_intuit_provider_t *provider);

/* Calls resume, which ends the request, when the job has ended. */
void ngx_http_intuit_operator_wait(ngx_http_request_t *r,
    void (*resume)(ngx_http_request_t *r));

/* How it ended.  As ngx_http_intuit_login_load(). */
ngx_int_t ngx_http_intuit_operator_outcome(ngx_http_intuit_ctx_t *ctx,
    ngx_http_intuit_login_t *login);


/* -- ngx_http_intuit_error.c -------------------------------------------- */

/*
 * The one place that turns a failure into an answer: sets ctx->error, writes
 * one log line ("intuit <error>: <reason>"), and sends a page (browsers) or
 * JSON (Accept: application/json, or 401) - or, where the operator has an
 * error_page for the status, returns the status so that it is used.
 * reason: a short literal or log-safe text for the log only; may be NULL.
 * Returns what ngx_http_finalize_request() takes: NGX_OK among it, so that a
 * caller must not take the value for its own "go on".
 */
ngx_int_t ngx_http_intuit_fail(ngx_http_request_t *r,
    ngx_http_intuit_provider_t *provider, ngx_http_intuit_error_e error,
    const char *reason);

/* For a header filter, instead of an answer of nginx's own that has its status:
 * sets headers, and the body to be sent.  NGX_OK or NGX_ERROR. */
ngx_int_t ngx_http_intuit_fail_instead(ngx_http_request_t *r,
    ngx_http_intuit_provider_t *provider, ngx_http_intuit_error_e error,
    ngx_str_t *body);

/* 405 with an Allow header ("GET, POST"). */
ngx_int_t ngx_http_intuit_method_not_allowed(ngx_http_request_t *r,
    ngx_http_intuit_provider_t *provider, const char *allow);

/* The "error" word of a failure ("login_required"). */
const char *ngx_http_intuit_error_name(ngx_http_intuit_error_e error);


static ngx_inline ngx_http_intuit_ctx_t *
ngx_http_intuit_get_ctx(ngx_http_request_t *r, ngx_uint_t create)
{
    ngx_http_intuit_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_intuit_auth_module);

    if (ctx || (!create && !r->internal && !r->filter_finalize)) {
        return ctx;
    }

    return ngx_http_intuit_find_ctx(r, create);
}


#endif /* _NGX_HTTP_INTUIT_AUTH_MODULE_H_INCLUDED_ */
