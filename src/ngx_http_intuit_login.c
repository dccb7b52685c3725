/*
 * The authorization request (RFC 6749, section 4.1.1): state, nonce, PKCE,
 * the attempt's sealed cookie, and the redirect to Intuit.
 *
 * An attempt is kept in the browser only, so that anonymous traffic takes no
 * memory here.
 */

#include "ngx_http_intuit_cookie.h"
#include "ngx_http_intuit_discovery.h"
#include "ngx_http_intuit_login.h"


#define NGX_HTTP_INTUIT_TRIES        2      /* automatic starts ... */
#define NGX_HTTP_INTUIT_TRIES_TIME   60     /* ... in so many seconds */
#define NGX_HTTP_INTUIT_SUFFIX_LEN   8


typedef struct {
    ngx_str_t    name;
    size_t       size;
    time_t       created;
} ngx_http_intuit_old_login_t;


static ngx_int_t ngx_http_intuit_login_random(ngx_intuit_sealer_t *sealer,
    ngx_intuit_login_t *attempt);
static ngx_int_t ngx_http_intuit_login_tries(ngx_http_request_t *r,
    ngx_http_intuit_provider_t *provider);
static ngx_int_t ngx_http_intuit_login_attempt(ngx_http_request_t *r,
    ngx_http_intuit_provider_t *provider, ngx_intuit_login_t *attempt);
static ngx_int_t ngx_http_intuit_login_evict(ngx_http_request_t *r,
    ngx_http_intuit_provider_t *provider, size_t size);
static ngx_int_t ngx_http_intuit_login_url(ngx_http_request_t *r,
    ngx_http_intuit_provider_t *provider, const ngx_intuit_login_t *attempt,
    ngx_str_t *url);
static ngx_int_t ngx_http_intuit_login_values(ngx_http_request_t *r,
    ngx_http_intuit_provider_t *provider, const ngx_intuit_login_t *attempt,
    ngx_intuit_authorize_t *a);
static void ngx_http_intuit_login_aad(ngx_http_intuit_provider_t *provider,
    ngx_uint_t connect, u_char *buf, ngx_str_t *aad);
static void ngx_http_intuit_login_target(ngx_http_request_t *r,
    const ngx_str_t *wanted, ngx_str_t *target);
static ngx_uint_t ngx_http_intuit_login_own_uri(ngx_http_request_t *r,
    const ngx_str_t *target);
static void ngx_http_intuit_login_resume(ngx_http_request_t *r);
static ngx_uint_t ngx_http_intuit_login_is_here(ngx_http_request_t *r,
    ngx_http_intuit_provider_t *provider);
static ngx_int_t ngx_http_intuit_login_elsewhere(ngx_http_request_t *r,
    ngx_http_intuit_provider_t *provider, ngx_str_t *link);


ngx_int_t
ngx_http_intuit_login_handler(ngx_http_request_t *r)
{
    ngx_int_t                    rc;
    ngx_str_t                    target, *mode;
    ngx_http_intuit_ctx_t       *ctx;
    ngx_http_intuit_provider_t  *provider;

    ctx = ngx_http_intuit_get_ctx(r, 0);
    provider = ctx->endpoint->provider;

    if (r->method != NGX_HTTP_GET) {
        return ngx_http_intuit_method_not_allowed(r, provider, "GET");
    }

    mode = ngx_http_intuit_header_in(r, "sec-fetch-mode");

    if ((mode && !ngx_http_intuit_navigation(r))
        || ngx_http_intuit_prefetch(r))
    {
        return ngx_http_intuit_fail(r, provider,
                                    NGX_HTTP_INTUIT_E_LOGIN_REQUIRED,
                                    "not a navigation");
    }

    rc = ngx_intuit_args_get(r->pool, &ctx->args, "return_to", &target);

    if (rc == NGX_ERROR) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (rc != NGX_OK) {
        ngx_str_set(&target, "/");
    }

    rc = ngx_http_intuit_login_start(r, provider, &target,
                                     NGX_HTTP_INTUIT_START_ASKED);

    if (rc != NGX_AGAIN) {
        return rc;
    }

    if (ngx_http_intuit_park(r, ctx, ngx_http_intuit_login_ready,
                             ngx_http_intuit_login_resume)
        != NGX_OK)
    {
        return ngx_http_intuit_fail(r, provider, NGX_HTTP_INTUIT_E_BUSY, NULL);
    }

    r->main->count++;

    return NGX_DONE;
}


static void
ngx_http_intuit_login_resume(ngx_http_request_t *r)
{
    ngx_int_t  rc;

    rc = ngx_http_intuit_login_handler(r);

    ngx_http_finalize_request(r, rc);
}


ngx_uint_t
ngx_http_intuit_login_ready(ngx_http_intuit_ctx_t *ctx)
{
    return ngx_http_intuit_endpoints_ready(ctx->provider);
}


ngx_int_t
ngx_http_intuit_login_start(ngx_http_request_t *r,
    ngx_http_intuit_provider_t *provider, const ngx_str_t *target,
    ngx_http_intuit_start_e how)
{
    ngx_int_t               rc;
    ngx_str_t               url;
    ngx_intuit_login_t      attempt;
    ngx_http_intuit_ctx_t  *ctx;

    ctx = ngx_http_intuit_get_ctx(r, 1);
    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ctx->provider = provider;

    attempt.connect = (how == NGX_HTTP_INTUIT_START_CONNECT);

    ngx_http_intuit_login_target(r, target, &attempt.target);

    rc = ngx_http_intuit_login_url(r, provider, NULL, &url);

    if (rc == NGX_AGAIN) {
        return NGX_AGAIN;
    }

    if (rc == NGX_DECLINED) {
        return ngx_http_intuit_fail(r, provider,
                                    NGX_HTTP_INTUIT_E_UNAVAILABLE,
                                    "no discovery document");
    }

    if (how == NGX_HTTP_INTUIT_START_AUTOMATIC) {
        rc = ngx_http_intuit_login_tries(r, provider);

        if (rc == NGX_DECLINED) {
            return ngx_http_intuit_fail(r, provider,
                                        NGX_HTTP_INTUIT_E_LOGIN_LOOP,
                                        "third start within a minute");
        }
    }

    if (rc != NGX_OK
        || ngx_http_intuit_login_random(provider->sealer, &attempt) != NGX_OK
        || ngx_http_intuit_login_attempt(r, provider, &attempt) != NGX_OK
        || ngx_http_intuit_login_url(r, provider, &attempt, &url) != NGX_OK)
    {
        return ngx_http_intuit_fail(r, provider, NGX_HTTP_INTUIT_E_INTERNAL,
                                    "no memory or no random bytes");
    }

    ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                  "intuit %s starts, provider \"%V\"",
                  attempt.connect ? "connect" : "login", &provider->name);

    return ngx_http_intuit_redirect(r, NGX_HTTP_MOVED_TEMPORARILY, &url);
}


static ngx_int_t
ngx_http_intuit_login_random(ngx_intuit_sealer_t *sealer,
    ngx_intuit_login_t *attempt)
{
    if (ngx_intuit_sealer_random(sealer, attempt->state,
                                 sizeof(attempt->state))
        != NGX_OK
        || ngx_intuit_sealer_random(sealer, attempt->nonce,
                                    sizeof(attempt->nonce))
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_intuit_sealer_random(sealer, attempt->verifier,
                                    sizeof(attempt->verifier));
}


/*
 * Counts starts that nobody asked for, in a cookie "first.count": a browser
 * that does not keep the session cookie would go round for ever.
 * NGX_OK, NGX_DECLINED: enough, NGX_ERROR.
 */

static ngx_int_t
ngx_http_intuit_login_tries(ngx_http_request_t *r,
    ngx_http_intuit_provider_t *provider)
{
    u_char     *p, buf[NGX_TIME_T_LEN + 2];
    time_t      first, now;
    ngx_int_t   n;
    ngx_str_t   value;

    now = ngx_time();
    first = now;
    n = 0;

    if (ngx_http_intuit_cookie_get(r, &provider->tries_name, &value)
        == NGX_OK
        && value.len > 2
        && value.data[value.len - 2] == '.')
    {
        first = ngx_atotm(value.data, value.len - 2);
        n = value.data[value.len - 1] - '0';

        if (first == (time_t) NGX_ERROR || first > now
            || now - first >= NGX_HTTP_INTUIT_TRIES_TIME || n < 0 || n > 9)
        {
            first = now;
            n = 0;
        }
    }

    if (n >= NGX_HTTP_INTUIT_TRIES) {
        return NGX_DECLINED;
    }

    p = ngx_sprintf(buf, "%T.%i", first, n + 1);

    value.len = p - buf;
    value.data = ngx_pnalloc(r->pool, value.len);
    if (value.data == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(value.data, buf, value.len);

    return ngx_http_intuit_cookie_set(r, provider, &provider->tries_name,
                                      &value, NGX_HTTP_INTUIT_TRIES_TIME, 1);
}


/* seals the attempt into its cookie */

static ngx_int_t
ngx_http_intuit_login_attempt(ngx_http_request_t *r,
    ngx_http_intuit_provider_t *provider, ngx_intuit_login_t *attempt)
{
    u_char     buf[NGX_HTTP_INTUIT_AAD_LEN];
    ngx_str_t  name, plain, sealed, aad, value;

    attempt->created = ngx_time();

    ngx_http_intuit_login_aad(provider, attempt->connect, buf, &aad);

    if (ngx_intuit_login_encode(r->pool, attempt, &plain) != NGX_OK
        || ngx_intuit_sealer_seal(provider->sealer, r->pool, &aad, &plain,
                                  &sealed)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    value.len = ngx_intuit_base64url_len(sealed.len);
    value.data = ngx_pnalloc(r->pool, value.len);
    if (value.data == NULL) {
        return NGX_ERROR;
    }

    (void) ngx_intuit_base64url_encode(value.data, sealed.data, sealed.len);

    if (ngx_http_intuit_login_cookie_name(r->pool, provider, attempt->state,
                                          &name)
        != NGX_OK
        || ngx_http_intuit_login_evict(r, provider, name.len + value.len)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_intuit_cookie_set(r, provider, &name, &value,
                                      provider->login_timeout, 1);
}


ngx_int_t
ngx_http_intuit_login_cookie_name(ngx_pool_t *pool,
    ngx_http_intuit_provider_t *provider, const u_char state[32],
    ngx_str_t *name)
{
    u_char  *p;

    name->len = provider->login_prefix.len + NGX_HTTP_INTUIT_SUFFIX_LEN;
    name->data = ngx_pnalloc(pool, name->len);
    if (name->data == NULL) {
        return NGX_ERROR;
    }

    p = ngx_cpymem(name->data, provider->login_prefix.data,
                   provider->login_prefix.len);
    (void) ngx_intuit_base64url_encode(p, state,
                                       NGX_HTTP_INTUIT_SUFFIX_LEN / 4 * 3);

    return NGX_OK;
}


ngx_int_t
ngx_http_intuit_login_open(ngx_pool_t *pool,
    ngx_http_intuit_provider_t *provider, const ngx_str_t *cookie,
    ngx_intuit_login_t *attempt)
{
    u_char      buf[NGX_HTTP_INTUIT_AAD_LEN];
    time_t      now;
    ngx_int_t   rc;
    ngx_str_t   sealed, plain, aad;
    ngx_uint_t  connect;

    rc = ngx_intuit_base64url_decode(pool, &sealed, cookie);
    if (rc != NGX_OK) {
        return rc;
    }

    connect = 0;

    for ( ;; ) {
        ngx_http_intuit_login_aad(provider, connect, buf, &aad);

        rc = ngx_intuit_open(pool, provider->login_keys,
                             provider->nlogin_keys, &aad, &sealed, &plain);

        if (rc != NGX_DECLINED || connect) {
            break;
        }

        connect = 1;
    }

    if (rc != NGX_OK) {
        return rc;
    }

    rc = ngx_intuit_login_decode(&plain, attempt);
    if (rc != NGX_OK) {
        return rc;
    }

    attempt->connect = connect;

    now = ngx_time();

    if (now - attempt->created >= provider->login_timeout
        || attempt->created > now + provider->leeway)
    {
        return NGX_DECLINED;
    }

    return NGX_OK;
}


/*
 * Makes room for one more login cookie: those that open no more go, then the
 * oldest, until count and size are within bounds.
 */

static ngx_int_t
ngx_http_intuit_login_evict(ngx_http_request_t *r,
    ngx_http_intuit_provider_t *provider, size_t size)
{
    ngx_uint_t                    i, n, oldest;
    ngx_keyval_t                 *kv;
    ngx_array_t                   found;
    ngx_intuit_login_t            attempt;
    ngx_http_intuit_old_login_t  *old;

    if (ngx_array_init(&found, r->pool, 8, sizeof(ngx_keyval_t)) != NGX_OK
        || ngx_http_intuit_cookie_list(r, &provider->login_prefix, 64, &found)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (found.nelts == 0) {
        return NGX_OK;
    }

    old = ngx_palloc(r->pool,
                     found.nelts * sizeof(ngx_http_intuit_old_login_t));
    if (old == NULL) {
        return NGX_ERROR;
    }

    kv = found.elts;
    n = found.nelts;

    for (i = 0; i < n; i++) {
        old[i].name = kv[i].key;
        old[i].size = kv[i].key.len + kv[i].value.len;
        old[i].created = 0;

        if (ngx_http_intuit_login_open(r->pool, provider, &kv[i].value,
                                       &attempt)
            == NGX_OK)
        {
            old[i].created = attempt.created;
        }

        size += old[i].size;
    }

    while (n) {

        oldest = 0;

        for (i = 1; i < n; i++) {
            if (old[i].created < old[oldest].created) {
                oldest = i;
            }
        }

        if (old[oldest].created
            && n < NGX_HTTP_INTUIT_LOGINS_MAX
            && size <= NGX_HTTP_INTUIT_LOGINS_BYTES)
        {
            break;
        }

        if (ngx_http_intuit_cookie_set(r, provider, &old[oldest].name, NULL,
                                       0, 1)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        size -= old[oldest].size;
        old[oldest] = old[--n];
    }

    return NGX_OK;
}


/*
 * attempt == NULL: only asks whether the endpoint is known.  The URL is the
 * same each time but for what is random, and this attempt's is as good as any
 * to find the places.
 */

static ngx_int_t
ngx_http_intuit_login_url(ngx_http_request_t *r,
    ngx_http_intuit_provider_t *provider, const ngx_intuit_login_t *attempt,
    ngx_str_t *url)
{
    ngx_int_t                      rc;
    ngx_str_t                      text, values[3];
    ngx_pool_t                    *pool;
    ngx_intuit_authorize_t         a;
    ngx_http_intuit_runtime_t     *rt;
    const ngx_intuit_endpoints_t  *endpoints;

    rc = ngx_http_intuit_endpoints_look(provider, &endpoints);

    if (rc != NGX_OK || attempt == NULL) {
        return rc;
    }

    if (ngx_http_intuit_login_values(r, provider, attempt, &a) != NGX_OK) {
        return NGX_ERROR;
    }

    values[0] = a.state;
    values[1] = a.nonce;
    values[2] = a.code_challenge;

    rt = provider->runtime;

    if (rt->authorize.text.data == NULL) {

        /* Intuit's own endpoints are there for good */

        pool = rt->document_pool ? rt->document_pool : ngx_cycle->pool;

        if (ngx_intuit_authorize_url(pool, &endpoints->authorization_endpoint,
                                     &a, &text)
            != NGX_OK
            || ngx_intuit_template_make(&rt->authorize, &text, values, 3)
               != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return ngx_intuit_template_fill(&rt->authorize, r->pool, values, url);
}


static ngx_int_t
ngx_http_intuit_login_values(ngx_http_request_t *r,
    ngx_http_intuit_provider_t *provider, const ngx_intuit_login_t *attempt,
    ngx_intuit_authorize_t *a)
{
    u_char     *state, *nonce, *verifier, *challenge;
    u_char      hash[NGX_INTUIT_HASH_LEN];
    ngx_str_t   text;

    ngx_memzero(a, sizeof(ngx_intuit_authorize_t));

    state = ngx_pnalloc(r->pool, 4 * NGX_HTTP_INTUIT_COOKIE_LEN);
    if (state == NULL) {
        return NGX_ERROR;
    }

    nonce = state + NGX_HTTP_INTUIT_COOKIE_LEN;
    verifier = nonce + NGX_HTTP_INTUIT_COOKIE_LEN;
    challenge = verifier + NGX_HTTP_INTUIT_COOKIE_LEN;

    a->client_id = provider->client_id;
    a->redirect_uri = provider->redirect_uri;
    a->scope = provider->scope;
    a->extra_args = provider->extra_auth_args;

    a->state.data = state;
    a->state.len = ngx_intuit_base64url_encode(state, attempt->state,
                                               sizeof(attempt->state))
                   - state;

    if (provider->openid) {
        a->nonce.data = nonce;
        a->nonce.len = ngx_intuit_base64url_encode(nonce, attempt->nonce,
                                                   sizeof(attempt->nonce))
                       - nonce;
    }

    if (provider->pkce) {
        text.data = verifier;
        text.len = ngx_intuit_base64url_encode(verifier, attempt->verifier,
                                               sizeof(attempt->verifier))
                   - verifier;

        if (ngx_intuit_sha256(hash, &text) != NGX_OK) {
            return NGX_ERROR;
        }

        a->code_challenge.data = challenge;
        a->code_challenge.len = ngx_intuit_base64url_encode(challenge, hash,
                                                            sizeof(hash))
                                - challenge;
    }

    return NGX_OK;
}


static void
ngx_http_intuit_login_aad(ngx_http_intuit_provider_t *provider,
    ngx_uint_t connect, u_char *buf, ngx_str_t *aad)
{
    u_char  *p;

    p = connect ? ngx_cpymem(buf, "connect:", sizeof("connect:") - 1)
                : ngx_cpymem(buf, "login:", sizeof("login:") - 1);

    p = ngx_cpymem(p, provider->identity, NGX_INTUIT_HASH_LEN);

    aad->data = buf;
    aad->len = p - buf;
}


/* where to go afterwards: a path of ours, and none that would go round */

static void
ngx_http_intuit_login_target(ngx_http_request_t *r, const ngx_str_t *wanted,
    ngx_str_t *target)
{
    *target = *wanted;

    if (!ngx_intuit_return_target(wanted)
        || ngx_http_intuit_login_own_uri(r, wanted))
    {
        ngx_str_set(target, "/");
    }
}


/* 1: one of our own URIs, however it is spelt (or no memory to tell) */

static ngx_uint_t
ngx_http_intuit_login_own_uri(ngx_http_request_t *r, const ngx_str_t *target)
{
    u_char                      *p, *q, *last, *src, *dst;
    ngx_str_t                    path;
    ngx_uint_t                   i;
    ngx_http_intuit_endpoint_t  *ep;
    ngx_http_intuit_srv_conf_t  *iscf;

    last = target->data + target->len;

    p = ngx_strlchr(target->data, last, '?');
    if (p) {
        last = p;
    }

    path.data = ngx_pnalloc(r->pool, last - target->data + 1);
    if (path.data == NULL) {
        return 1;
    }

    src = target->data;
    dst = path.data;

    ngx_unescape_uri(&dst, &src, last - src, 0);

    /* as merge_slashes does */

    for (p = path.data, q = p; p < dst; p++) {
        if (*p != '/' || q == path.data || q[-1] != '/') {
            *q++ = *p;
        }
    }

    path.len = q - path.data;

    iscf = ngx_http_get_module_srv_conf(r, ngx_http_intuit_auth_module);
    ep = iscf->endpoints.elts;

    for (i = 0; i < iscf->endpoints.nelts; i++) {

        if (path.len == ep[i].uri.len
            && ngx_memcmp(path.data, ep[i].uri.data, path.len) == 0)
        {
            return 1;
        }
    }

    return 0;
}


ngx_int_t
ngx_http_intuit_login_link(ngx_http_request_t *r,
    ngx_http_intuit_provider_t *provider, ngx_str_t *link)
{
    u_char     *p;
    ngx_str_t   target;

    if (!provider->used_by_auth) {
        /* the path may be another provider's login */
        ngx_str_null(link);
        return NGX_OK;
    }

    if (!ngx_http_intuit_login_is_here(r, provider)) {
        return ngx_http_intuit_login_elsewhere(r, provider, link);
    }

    if (!ngx_http_intuit_navigation(r)) {
        *link = provider->login_uri;
        return NGX_OK;
    }

    ngx_http_intuit_login_target(r, &r->unparsed_uri, &target);

    if (target.len == 1) {
        *link = provider->login_uri;
        return NGX_OK;
    }

    link->data = ngx_pnalloc(r->pool, provider->login_uri.len
                                      + sizeof("?return_to=") - 1
                                      + ngx_intuit_escaped_len(&target));
    if (link->data == NULL) {
        return NGX_ERROR;
    }

    p = ngx_cpymem(link->data, provider->login_uri.data,
                   provider->login_uri.len);
    p = ngx_cpymem(p, "?return_to=", sizeof("?return_to=") - 1);
    p = ngx_intuit_escape(p, &target);

    link->len = p - link->data;

    return NGX_OK;
}


/* a server that only uses the tokens has no login of its own */

static ngx_uint_t
ngx_http_intuit_login_is_here(ngx_http_request_t *r,
    ngx_http_intuit_provider_t *provider)
{
    ngx_uint_t                   i;
    ngx_http_intuit_endpoint_t  *ep;
    ngx_http_intuit_srv_conf_t  *iscf;

    iscf = ngx_http_get_module_srv_conf(r, ngx_http_intuit_auth_module);

    ep = iscf->endpoints.elts;

    for (i = 0; i < iscf->endpoints.nelts; i++) {
        if (ep[i].provider == provider
            && ep[i].handler == ngx_http_intuit_login_handler)
        {
            return 1;
        }
    }

    return 0;
}


static ngx_int_t
ngx_http_intuit_login_elsewhere(ngx_http_request_t *r,
    ngx_http_intuit_provider_t *provider, ngx_str_t *link)
{
    u_char  *p;

    link->len = provider->redirect.origin.len + provider->login_uri.len;

    link->data = ngx_pnalloc(r->pool, link->len);
    if (link->data == NULL) {
        return NGX_ERROR;
    }

    p = ngx_cpymem(link->data, provider->redirect.origin.data,
                   provider->redirect.origin.len);
    ngx_memcpy(p, provider->login_uri.data, provider->login_uri.len);

    return NGX_OK;
}


ngx_int_t
ngx_http_intuit_method_not_allowed(ngx_http_request_t *r,
    ngx_http_intuit_provider_t *provider, const char *allow)
{
    ngx_str_t  value;

    value.data = (u_char *) allow;
    value.len = ngx_strlen(allow);

    if (ngx_http_intuit_add_header(r, "Allow", &value) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_intuit_fail(r, provider, NGX_HTTP_INTUIT_E_METHOD, NULL);
}
