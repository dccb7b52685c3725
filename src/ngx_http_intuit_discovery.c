/*
 * Discovery document and JWK Set.
 */

#include "ngx_http_intuit_discovery.h"


#define NGX_HTTP_INTUIT_DAY             86400
#define NGX_HTTP_INTUIT_RETRY           10      /* s after a failure */
#define NGX_HTTP_INTUIT_RETRY_NEEDED    1       /* s where nothing else helps */
#define NGX_HTTP_INTUIT_KEYS_COOLDOWN   10      /* s between two reads */


static ngx_int_t ngx_http_intuit_post(ngx_http_intuit_job_t *job,
    const ngx_str_t *url, const char *type, const ngx_str_t *body,
    const char *opt_in, ngx_http_intuit_step_pt next);
static ngx_int_t ngx_http_intuit_document_start(
    ngx_http_intuit_provider_t *provider);
static ngx_int_t ngx_http_intuit_document_fetch(ngx_http_intuit_job_t *job);
static ngx_int_t ngx_http_intuit_document_read(ngx_http_intuit_job_t *job);
static void ngx_http_intuit_document_done(ngx_http_intuit_job_t *job,
    ngx_int_t rc);
static ngx_int_t ngx_http_intuit_endpoints_copy(ngx_pool_t *pool,
    const ngx_intuit_endpoints_t *from, ngx_intuit_endpoints_t *to);
static ngx_int_t ngx_http_intuit_pstrdup(ngx_pool_t *pool,
    const ngx_str_t *from, ngx_str_t *to);


static ngx_str_t  ngx_http_intuit_documents[] = {
    ngx_string("https://developer.intuit.com/.well-known/"
               "openid_sandbox_configuration/"),
    ngx_string("https://developer.intuit.com/.well-known/"
               "openid_configuration/")
};


ngx_int_t
ngx_http_intuit_endpoints_get(ngx_http_intuit_provider_t *provider,
    ngx_pool_t *pool, ngx_intuit_endpoints_t *endpoints)
{
    ngx_int_t                      rc;
    const ngx_intuit_endpoints_t  *known;

    rc = ngx_http_intuit_endpoints_look(provider, &known);

    if (rc != NGX_OK) {
        return rc;
    }

    return ngx_http_intuit_endpoints_copy(pool, known, endpoints);
}


ngx_int_t
ngx_http_intuit_endpoints_look(ngx_http_intuit_provider_t *provider,
    const ngx_intuit_endpoints_t **endpoints)
{
    time_t                      now, retry;
    ngx_http_intuit_runtime_t  *rt;

    rt = provider->runtime;
    now = ngx_time();

    retry = (rt->document_pool || provider->config_url.len == 0)
            ? NGX_HTTP_INTUIT_RETRY : NGX_HTTP_INTUIT_RETRY_NEEDED;

    if (!rt->document_busy
        && (rt->document_pool == NULL
            || now - rt->document_read >= NGX_HTTP_INTUIT_DAY)
        && (rt->document_tried == 0
            || now - rt->document_tried >= retry
            || now < rt->document_tried))
    {
        (void) ngx_http_intuit_document_start(provider);
    }

    if (rt->document_pool) {
        *endpoints = &rt->endpoints;
        return NGX_OK;
    }

    if (provider->config_url.len == 0) {
        ngx_intuit_endpoints_default(&rt->endpoints,
                   provider->environment == NGX_HTTP_INTUIT_PRODUCTION);

        *endpoints = &rt->endpoints;
        return NGX_OK;
    }

    return rt->document_busy ? NGX_AGAIN : NGX_DECLINED;
}


ngx_uint_t
ngx_http_intuit_endpoints_ready(const ngx_http_intuit_provider_t *provider)
{
    return !provider->runtime->document_busy;
}


ngx_int_t
ngx_http_intuit_endpoints_wait(ngx_http_intuit_job_t *job,
    ngx_intuit_endpoints_t *endpoints, ngx_http_intuit_step_pt again)
{
    ngx_int_t  rc;

    rc = ngx_http_intuit_endpoints_get(job->provider, job->pool, endpoints);

    if (rc == NGX_AGAIN) {
        job->step = again;
        return ngx_http_intuit_job_wait(job);
    }

    return rc;
}


ngx_int_t
ngx_http_intuit_endpoint_post(ngx_http_intuit_job_t *job,
    const ngx_str_t *url, const char *type, const ngx_str_t *body,
    ngx_http_intuit_step_pt next)
{
    return ngx_http_intuit_post(job, url, type, body, NULL, next);
}


ngx_int_t
ngx_http_intuit_token_post(ngx_http_intuit_job_t *job,
    const ngx_intuit_endpoints_t *endpoints, const ngx_str_t *form,
    ngx_http_intuit_step_pt next)
{
    /* Intuit tells the absolute end of a refresh token to those who ask */

    return ngx_http_intuit_post(job, &endpoints->token_endpoint,
                                "application/x-www-form-urlencoded", form,
                                "x-include-refresh-token-hard-expires-in",
                                next);
}


static ngx_int_t
ngx_http_intuit_post(ngx_http_intuit_job_t *job, const ngx_str_t *url,
    const char *type, const ngx_str_t *body, const char *opt_in,
    ngx_http_intuit_step_pt next)
{
    ngx_http_intuit_fetch_t  request;

    ngx_memzero(&request, sizeof(ngx_http_intuit_fetch_t));

    request.post = 1;
    request.url = *url;
    request.authorization = job->provider->basic;
    request.content_type.data = (u_char *) type;
    request.content_type.len = ngx_strlen(type);
    request.body = *body;
    request.opt_in = opt_in;

    job->step = next;

    return ngx_http_intuit_fetch(job, &request);
}


static ngx_int_t
ngx_http_intuit_document_start(ngx_http_intuit_provider_t *provider)
{
    ngx_http_intuit_job_t  *job;

    provider->runtime->document_tried = ngx_time();

    job = ngx_http_intuit_job_create(provider, "discovery");
    if (job == NULL) {
        return NGX_ERROR;
    }

    provider->runtime->document_busy = 1;

    job->step = ngx_http_intuit_document_fetch;
    job->done = ngx_http_intuit_document_done;

    ngx_http_intuit_job_run(job);

    return NGX_OK;
}


static ngx_int_t
ngx_http_intuit_document_fetch(ngx_http_intuit_job_t *job)
{
    ngx_http_intuit_fetch_t      request;
    ngx_http_intuit_provider_t  *provider;

    provider = job->provider;

    ngx_memzero(&request, sizeof(ngx_http_intuit_fetch_t));

    request.url = provider->config_url.len
                  ? provider->config_url
                  : ngx_http_intuit_documents[provider->environment];

    job->step = ngx_http_intuit_document_read;

    return ngx_http_intuit_fetch(job, &request);
}


static ngx_int_t
ngx_http_intuit_document_read(ngx_http_intuit_job_t *job)
{
    ngx_int_t                    rc;
    ngx_str_t                    issuer;
    ngx_pool_t                  *pool;
    const char                  *reason, *suffix;
    ngx_intuit_endpoints_t       endpoints, literal;
    ngx_http_intuit_fetch_t     *fetch;
    ngx_http_intuit_runtime_t   *rt;
    ngx_http_intuit_provider_t  *provider;

    fetch = job->fetch;
    provider = job->provider;
    rt = provider->runtime;

    if (fetch->rc != NGX_OK || fetch->status != NGX_HTTP_OK) {
        ngx_log_error(NGX_LOG_WARN, job->log, 0,
                      "intuit discovery document could not be read "
                      "(status %ui)%s", fetch->status,
                      provider->config_url.len ? ""
                      : ", Intuit's published endpoints are used");
        return NGX_ERROR;
    }

    pool = ngx_create_pool(NGX_DEFAULT_POOL_SIZE, ngx_cycle->log);
    if (pool == NULL) {
        return NGX_ERROR;
    }

    suffix = NULL;
    ngx_str_null(&issuer);

    if (provider->config_url.len == 0) {
        ngx_intuit_endpoints_default(&literal, provider->environment
                                               == NGX_HTTP_INTUIT_PRODUCTION);
        issuer = literal.issuer;
        suffix = ".intuit.com";
    }

    reason = "no memory";

    rc = ngx_intuit_endpoints_parse(pool, &fetch->answer, &issuer, suffix,
                                    &endpoints, &reason);
    if (rc == NGX_OK) {
        /* the parsed strings may point into the job's answer */
        rc = ngx_http_intuit_endpoints_copy(pool, &endpoints, &endpoints);
    }

    if (rc != NGX_OK) {
        ngx_log_error(NGX_LOG_ERR, job->log, 0,
                      "intuit discovery document is refused: %s", reason);
        ngx_destroy_pool(pool);
        return NGX_ERROR;
    }

    if (rt->document_pool) {
        ngx_destroy_pool(rt->document_pool);
    }

    rt->document_pool = pool;

    /* it was in the other pool */
    ngx_str_null(&rt->authorize.text);
    rt->endpoints = endpoints;
    rt->document_read = ngx_time();

    return NGX_OK;
}


static void
ngx_http_intuit_document_done(ngx_http_intuit_job_t *job, ngx_int_t rc)
{
    ngx_http_intuit_runtime_t  *rt;

    (void) rc;

    rt = job->provider->runtime;

    /* those who waited must not find that it is time for another try */

    rt->document_tried = ngx_time();
    rt->document_busy = 0;
}


ngx_int_t
ngx_http_intuit_keys_fetch(ngx_http_intuit_job_t *job, const ngx_str_t *url)
{
    time_t                      now, cooldown;
    ngx_http_intuit_fetch_t     request;
    ngx_http_intuit_runtime_t  *rt;

    rt = job->provider->runtime;
    now = ngx_time();

    if (rt->keys_job) {
        return NGX_BUSY;
    }

    cooldown = rt->keys_pool ? NGX_HTTP_INTUIT_KEYS_COOLDOWN
                             : NGX_HTTP_INTUIT_RETRY_NEEDED;

    if (rt->keys_tried && now >= rt->keys_tried
        && now - rt->keys_tried < cooldown)
    {
        return NGX_DECLINED;
    }

    rt->keys_tried = now;
    rt->keys_job = job;

    ngx_memzero(&request, sizeof(ngx_http_intuit_fetch_t));
    request.url = *url;

    return ngx_http_intuit_fetch(job, &request);
}


void
ngx_http_intuit_keys_release(ngx_http_intuit_job_t *job)
{
    if (job->provider->runtime->keys_job == job) {
        job->provider->runtime->keys_job = NULL;
    }
}


ngx_uint_t
ngx_http_intuit_keys_busy(const ngx_http_intuit_provider_t *provider)
{
    return provider->runtime->keys_job != NULL;
}


ngx_int_t
ngx_http_intuit_keys_store(ngx_http_intuit_job_t *job,
    const ngx_intuit_endpoints_t *endpoints)
{
    ngx_pool_t                 *pool;
    ngx_uint_t                  i, bits;
    ngx_intuit_jwk_t           *key;
    ngx_intuit_jwks_t           keys;
    ngx_http_intuit_fetch_t    *fetch;
    ngx_http_intuit_runtime_t  *rt;

    fetch = job->fetch;
    rt = job->provider->runtime;

    if (fetch->rc != NGX_OK || fetch->status != NGX_HTTP_OK) {
        ngx_log_error(NGX_LOG_ERR, job->log, 0,
                      "intuit signing keys could not be read (status %ui)",
                      fetch->status);
        return NGX_ERROR;
    }

    pool = ngx_create_pool(NGX_DEFAULT_POOL_SIZE, ngx_cycle->log);
    if (pool == NULL) {
        return NGX_ERROR;
    }

    /* Intuit still signs with a 1024-bit key in places; nobody else may */

    bits = ngx_http_intuit_own_issuer(endpoints) ? NGX_INTUIT_RSA_WEAK_BITS
                                                 : NGX_INTUIT_RSA_MIN_BITS;

    if (ngx_intuit_jwks_parse(pool, &fetch->answer, bits, &keys) != NGX_OK) {
        ngx_log_error(NGX_LOG_ERR, job->log, 0,
                      "intuit signing keys are refused: not a JWK Set");
        ngx_destroy_pool(pool);
        return NGX_ERROR;
    }

    key = keys.keys.elts;

    for (i = 0; i < keys.keys.nelts; i++) {
        if (key[i].bits < NGX_INTUIT_RSA_MIN_BITS) {
            ngx_log_error(NGX_LOG_WARN, job->log, 0,
                          "intuit signing key has only %ui bits",
                          key[i].bits);
        }
    }

    if (rt->keys_pool) {
        ngx_destroy_pool(rt->keys_pool);

    } else {
        /* the cooldown is for unknown kids, which the first set is not for */
        rt->keys_tried = 0;
    }

    rt->keys_pool = pool;
    rt->keys = keys;
    rt->keys_read = ngx_time();

    return NGX_OK;
}


ngx_intuit_jwk_t *
ngx_http_intuit_keys_find(ngx_http_intuit_provider_t *provider,
    const ngx_str_t *kid, ngx_uint_t *fresh)
{
    ngx_http_intuit_runtime_t  *rt;

    rt = provider->runtime;

    *fresh = rt->keys_pool != NULL
             && ngx_time() - rt->keys_read < NGX_HTTP_INTUIT_DAY;

    if (rt->keys_pool == NULL) {
        return NULL;
    }

    return ngx_intuit_jwks_find(&rt->keys, kid);
}


ngx_uint_t
ngx_http_intuit_own_issuer(const ngx_intuit_endpoints_t *endpoints)
{
    ngx_intuit_endpoints_t  literal;

    ngx_intuit_endpoints_default(&literal, 1);

    return literal.issuer.len == endpoints->issuer.len
           && ngx_memcmp(literal.issuer.data, endpoints->issuer.data,
                         literal.issuer.len)
              == 0;
}


void
ngx_http_intuit_discovery_exit(ngx_http_intuit_provider_t *provider)
{
    ngx_http_intuit_runtime_t  *rt;

    rt = provider->runtime;

    if (rt->document_pool) {
        ngx_destroy_pool(rt->document_pool);
        rt->document_pool = NULL;
    }

    if (rt->keys_pool) {
        ngx_destroy_pool(rt->keys_pool);
        rt->keys_pool = NULL;
    }
}


static ngx_int_t
ngx_http_intuit_endpoints_copy(ngx_pool_t *pool,
    const ngx_intuit_endpoints_t *from, ngx_intuit_endpoints_t *to)
{
    ngx_intuit_endpoints_t  e;

    e = *from;

    if (ngx_http_intuit_pstrdup(pool, &from->issuer, &e.issuer) != NGX_OK
        || ngx_http_intuit_pstrdup(pool, &from->authorization_endpoint,
                                   &e.authorization_endpoint)
           != NGX_OK
        || ngx_http_intuit_pstrdup(pool, &from->token_endpoint,
                                   &e.token_endpoint)
           != NGX_OK
        || ngx_http_intuit_pstrdup(pool, &from->userinfo_endpoint,
                                   &e.userinfo_endpoint)
           != NGX_OK
        || ngx_http_intuit_pstrdup(pool, &from->revocation_endpoint,
                                   &e.revocation_endpoint)
           != NGX_OK
        || ngx_http_intuit_pstrdup(pool, &from->jwks_uri, &e.jwks_uri)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    *to = e;

    return NGX_OK;
}


static ngx_int_t
ngx_http_intuit_pstrdup(ngx_pool_t *pool, const ngx_str_t *from,
    ngx_str_t *to)
{
    if (from->len == 0) {
        ngx_str_null(to);
        return NGX_OK;
    }

    to->data = ngx_pnalloc(pool, from->len);
    if (to->data == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(to->data, from->data, from->len);
    to->len = from->len;

    return NGX_OK;
}
