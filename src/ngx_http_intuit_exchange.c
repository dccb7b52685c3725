/*
 * From code to session, in a job (a client may leave at any moment):
 *
 *   exchange -> tokens -> [keys ->] id_token -> realm -> [company ->]
 *   allow -> [userinfo ->] save
 *
 * Nothing is shared or stored before the realm is proven and the allow rules
 * have been asked.
 */

#include "ngx_http_intuit_exchange.h"


static ngx_int_t ngx_http_intuit_exchange_copy(ngx_pool_t *pool,
    ngx_http_intuit_exchange_ctx_t *ctx,
    const ngx_http_intuit_exchange_t *exchange);
static ngx_http_intuit_error_e ngx_http_intuit_exchange_refusal(
    ngx_http_intuit_job_t *job);
static ngx_int_t ngx_http_intuit_exchange_id_token(
    ngx_http_intuit_job_t *job);
static ngx_int_t ngx_http_intuit_exchange_keys(ngx_http_intuit_job_t *job);
static ngx_int_t ngx_http_intuit_exchange_wait(ngx_http_intuit_job_t *job);
static ngx_int_t ngx_http_intuit_exchange_verify(ngx_http_intuit_job_t *job);
static ngx_int_t ngx_http_intuit_exchange_company(ngx_http_intuit_job_t *job);
static ngx_int_t ngx_http_intuit_exchange_allow(ngx_http_intuit_job_t *job);
static ngx_int_t ngx_http_intuit_exchange_userinfo(
    ngx_http_intuit_job_t *job);
static ngx_int_t ngx_http_intuit_exchange_email(ngx_http_intuit_job_t *job);
static void ngx_http_intuit_exchange_done(ngx_http_intuit_job_t *job,
    ngx_int_t rc);
static ngx_int_t ngx_http_intuit_exchange_get(ngx_http_intuit_job_t *job,
    const ngx_str_t *url);


ngx_int_t
ngx_http_intuit_exchange_start(ngx_http_intuit_provider_t *provider,
    const ngx_http_intuit_exchange_t *exchange)
{
    ngx_http_intuit_job_t           *job;
    ngx_http_intuit_exchange_ctx_t  *ctx;

    job = ngx_http_intuit_job_create(provider, exchange->connect ? "connect"
                                                                  : "login");
    if (job == NULL) {
        return NGX_ERROR;
    }

    job->step = exchange->begin ? exchange->begin
                                : ngx_http_intuit_exchange_claim;
    job->done = ngx_http_intuit_exchange_done;

    ctx = ngx_pcalloc(job->pool, sizeof(ngx_http_intuit_exchange_ctx_t));
    if (ctx == NULL
        || ngx_http_intuit_exchange_copy(job->pool, ctx, exchange) != NGX_OK)
    {
        ngx_http_intuit_job_discard(job);
        return NGX_ERROR;
    }

    job->data = ctx;
    job->wakes = &ctx->in.login;

    ngx_http_intuit_job_run(job);

    return NGX_OK;
}


static ngx_int_t
ngx_http_intuit_exchange_copy(ngx_pool_t *pool,
    ngx_http_intuit_exchange_ctx_t *ctx,
    const ngx_http_intuit_exchange_t *exchange)
{
    u_char      *p;
    ngx_str_t   *s[7 + NGX_HTTP_INTUIT_GIVEN];
    ngx_uint_t   i, n;

    ctx->in = *exchange;

    if (exchange->kept) {
        ctx->pair = exchange->kept->pair;
        ctx->import.id = exchange->kept->id;
        ctx->failures = exchange->kept->failures;
        ctx->kept = 1;
    }

    n = 0;

    s[n++] = &ctx->in.code;
    s[n++] = &ctx->in.realm;
    s[n++] = &ctx->in.issuer;
    s[n++] = &ctx->pair.access_token;
    s[n++] = &ctx->pair.refresh_token;
    s[n++] = &ctx->pair.scope;
    s[n++] = &ctx->pair.sub;

    for (i = 0; i < NGX_HTTP_INTUIT_GIVEN; i++) {
        s[n++] = &ctx->in.given[i];
    }

    for (i = 0; i < n; i++) {

        if (s[i]->len == 0) {
            continue;
        }

        p = ngx_pstrdup(pool, s[i]);
        if (p == NULL) {
            return NGX_ERROR;
        }

        s[i]->data = p;
    }

    ctx->in.kept = NULL;
    ctx->tokens.access_token = ctx->pair.access_token;

    return NGX_OK;
}


ngx_int_t
ngx_http_intuit_exchange_code(ngx_http_intuit_job_t *job)
{
    u_char                           verifier[NGX_HTTP_INTUIT_COOKIE_LEN];
    ngx_int_t                        rc;
    ngx_str_t                        text, form;
    ngx_http_intuit_exchange_ctx_t  *ctx;

    ctx = job->data;

    rc = ngx_http_intuit_endpoints_wait(job, &ctx->endpoints,
                                        ngx_http_intuit_exchange_code);
    if (rc == NGX_AGAIN) {
        return rc;
    }

    if (rc != NGX_OK) {
        return ngx_http_intuit_exchange_fail(job,
                                             NGX_HTTP_INTUIT_E_UNAVAILABLE,
                                             "no discovery document");
    }

    if (ctx->endpoints.iss_parameter || ctx->in.issuer.len) {

        if (ctx->in.issuer.len != ctx->endpoints.issuer.len
            || ngx_memcmp(ctx->in.issuer.data, ctx->endpoints.issuer.data,
                          ctx->in.issuer.len)
               != 0)
        {
            return ngx_http_intuit_exchange_fail(job,
                                                 NGX_HTTP_INTUIT_E_CALLBACK,
                                                 "iss is another issuer's");
        }
    }

    ngx_str_null(&text);

    if (job->provider->pkce) {
        text.data = verifier;
        text.len = ngx_intuit_base64url_encode(verifier,
                                               ctx->in.attempt.verifier, 32)
                   - verifier;
    }

    if (ngx_intuit_code_request(job->pool, &ctx->in.code,
                                &job->provider->redirect_uri, &text, &form)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_intuit_token_post(job, &ctx->endpoints, &form,
                                      ngx_http_intuit_exchange_tokens);
}


ngx_int_t
ngx_http_intuit_exchange_tokens(ngx_http_intuit_job_t *job)
{
    ngx_int_t                        rc;
    const char                      *reason;
    ngx_http_intuit_fetch_t         *fetch;
    ngx_http_intuit_exchange_ctx_t  *ctx;

    ctx = job->data;
    fetch = job->fetch;

    ctx->result.tid = fetch->tid;

    if (fetch->rc != NGX_OK || fetch->status != NGX_HTTP_OK) {
        return ngx_http_intuit_exchange_fail(job,
                                    ngx_http_intuit_exchange_refusal(job),
                                    NULL);
    }

    reason = NULL;

    rc = ngx_intuit_tokens_parse(job->pool, &fetch->answer, &ctx->tokens,
                                 &reason);

    /* the parsed copies are all that is needed */
    ngx_intuit_cleanse(fetch->answer.data, fetch->answer.len);

    if (rc == NGX_ERROR) {
        return NGX_ERROR;
    }

    if (rc != NGX_OK) {
        return ngx_http_intuit_exchange_fail(job, NGX_HTTP_INTUIT_E_ANSWER,
                                             reason);
    }

    /* what an operator brings belongs to no login, and its realm is a claim */

    job->step = ctx->in.begin ? ngx_http_intuit_import_keep
                : job->provider->openid ? ngx_http_intuit_exchange_id_token
                : ngx_http_intuit_exchange_realm;

    return NGX_OK;
}


/* whose fault is it: the code's, the configuration's, or Intuit's? */

static ngx_http_intuit_error_e
ngx_http_intuit_exchange_refusal(ngx_http_intuit_job_t *job)
{
    ngx_str_t                        error;
    ngx_uint_t                       status;
    ngx_http_intuit_fetch_t         *fetch;
    ngx_http_intuit_exchange_ctx_t  *ctx;

    ctx = job->data;
    fetch = job->fetch;
    status = fetch->status;

    if (fetch->rc != NGX_OK || status >= 500
        || status == NGX_HTTP_REQUEST_TIME_OUT || status == 425
        || status == NGX_HTTP_TOO_MANY_REQUESTS)
    {
        ngx_log_error(NGX_LOG_ERR, job->log, 0,
                      "intuit token endpoint gave no answer (status %ui), "
                      "intuit_tid: \"%V\"", status, &fetch->tid);
        return NGX_HTTP_INTUIT_E_UNAVAILABLE;
    }

    ngx_intuit_oauth2_error_parse(job->pool, &fetch->answer, &error);

    ngx_log_error(NGX_LOG_ERR, job->log, 0,
                  "intuit token endpoint refused: status %ui, error \"%V\", "
                  "intuit_tid: \"%V\"", status, &error, &fetch->tid);

    if (error.len == 13 && ngx_memcmp(error.data, "invalid_grant", 13) == 0) {
        return ctx->in.begin ? NGX_HTTP_INTUIT_E_IMPORT
                             : NGX_HTTP_INTUIT_E_CODE;
    }

    (void) ngx_http_intuit_client_refused(job, &error);

    if (ctx->in.begin
        && (status == NGX_HTTP_UNAUTHORIZED || status == NGX_HTTP_BAD_REQUEST)
        && !(error.len == 14
             && ngx_memcmp(error.data, "invalid_client", 14) == 0))
    {
        return NGX_HTTP_INTUIT_E_IMPORT;
    }

    if (status == NGX_HTTP_UNAUTHORIZED || status == NGX_HTTP_BAD_REQUEST) {
        return NGX_HTTP_INTUIT_E_CLIENT;
    }

    return NGX_HTTP_INTUIT_E_ANSWER;
}


static ngx_int_t
ngx_http_intuit_exchange_id_token(ngx_http_intuit_job_t *job)
{
    ngx_int_t                        rc;
    ngx_uint_t                       fresh;
    const char                      *reason;
    ngx_intuit_jwk_t                *key;
    ngx_http_intuit_exchange_ctx_t  *ctx;

    ctx = job->data;

    if (ctx->tokens.id_token.len == 0) {
        return ngx_http_intuit_exchange_fail(job, NGX_HTTP_INTUIT_E_ID_TOKEN,
                                             "there is no id_token");
    }

    reason = NULL;

    rc = ngx_intuit_jwt_parse(job->pool, &ctx->tokens.id_token, &ctx->jwt,
                              &reason);
    if (rc == NGX_ERROR) {
        return NGX_ERROR;
    }

    if (rc != NGX_OK) {
        return ngx_http_intuit_exchange_fail(job, NGX_HTTP_INTUIT_E_ID_TOKEN,
                                             reason);
    }

    key = ngx_http_intuit_keys_find(job->provider, &ctx->jwt.kid, &fresh);

    if (key && fresh) {
        job->step = ngx_http_intuit_exchange_verify;
        return NGX_OK;
    }

    job->step = ngx_http_intuit_exchange_keys;

    rc = ngx_http_intuit_keys_fetch(job, &ctx->endpoints.jwks_uri);

    if (rc == NGX_DECLINED) {
        /* asked a moment ago */
        job->step = ngx_http_intuit_exchange_verify;
        return NGX_OK;
    }

    if (rc == NGX_BUSY) {
        job->step = ngx_http_intuit_exchange_wait;
        return ngx_http_intuit_job_wait(job);
    }

    return rc;
}


static ngx_int_t
ngx_http_intuit_exchange_keys(ngx_http_intuit_job_t *job)
{
    ngx_http_intuit_exchange_ctx_t  *ctx;

    ctx = job->data;

    /* on failure the keys read before still serve */
    (void) ngx_http_intuit_keys_store(job, &ctx->endpoints);

    ngx_http_intuit_keys_release(job);

    job->step = ngx_http_intuit_exchange_verify;

    return NGX_OK;
}


/* another login is reading the keys that this one needs as well */

static ngx_int_t
ngx_http_intuit_exchange_wait(ngx_http_intuit_job_t *job)
{
    if (ngx_http_intuit_keys_busy(job->provider)) {
        job->step = ngx_http_intuit_exchange_wait;
        return ngx_http_intuit_job_wait(job);
    }

    job->step = ngx_http_intuit_exchange_verify;

    return NGX_OK;
}


static ngx_int_t
ngx_http_intuit_exchange_verify(ngx_http_intuit_job_t *job)
{
    u_char                          *p;
    ngx_int_t                        rc;
    ngx_uint_t                       fresh;
    const char                      *reason;
    ngx_intuit_jwk_t                *key;
    ngx_intuit_jwt_rules_t           rules;
    ngx_http_intuit_exchange_ctx_t  *ctx;

    ctx = job->data;

    key = ngx_http_intuit_keys_find(job->provider, &ctx->jwt.kid, &fresh);
    if (key == NULL) {
        return ngx_http_intuit_exchange_fail(job, NGX_HTTP_INTUIT_E_KEYS,
                                             "no signing key for this kid");
    }

    if (ngx_intuit_jwt_verify(&ctx->jwt, key) != NGX_OK) {
        return ngx_http_intuit_exchange_fail(job, NGX_HTTP_INTUIT_E_ID_TOKEN,
                                             "signature does not hold");
    }

    p = ngx_pnalloc(job->pool, NGX_HTTP_INTUIT_COOKIE_LEN);
    if (p == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(&rules, sizeof(ngx_intuit_jwt_rules_t));

    rules.issuer = ctx->endpoints.issuer;
    rules.client_id = job->provider->client_id;
    rules.access_token = ctx->tokens.access_token;
    rules.now = ngx_time();
    rules.leeway = job->provider->leeway;
    rules.nonce.data = p;
    rules.nonce.len = ngx_intuit_base64url_encode(p, ctx->in.attempt.nonce, 16)
                      - p;
    rules.nonce_required = !ngx_http_intuit_own_issuer(&ctx->endpoints);

    reason = NULL;

    rc = ngx_intuit_jwt_check(job->pool, &ctx->jwt, &rules, &reason);
    if (rc == NGX_ERROR) {
        return NGX_ERROR;
    }

    if (rc != NGX_OK) {
        return ngx_http_intuit_exchange_fail(job, NGX_HTTP_INTUIT_E_ID_TOKEN,
                                             reason);
    }

    job->step = ngx_http_intuit_exchange_realm;

    return NGX_OK;
}


/*
 * The query's realmId is nobody's word: it counts when the signed id_token
 * says the same, or when Intuit lets the new token read that company.
 */

ngx_int_t
ngx_http_intuit_exchange_realm(ngx_http_intuit_job_t *job)
{
    u_char                          *p;
    ngx_str_t                        url;
    ngx_http_intuit_provider_t      *provider;
    ngx_http_intuit_exchange_ctx_t  *ctx;

    ctx = job->data;
    provider = job->provider;

    job->step = ngx_http_intuit_exchange_allow;

    if (ctx->jwt.realmid.len) {

        if (ctx->in.realm.len
            && (ctx->in.realm.len != ctx->jwt.realmid.len
                || ngx_memcmp(ctx->in.realm.data, ctx->jwt.realmid.data,
                              ctx->in.realm.len)
                   != 0))
        {
            return ngx_http_intuit_exchange_fail(job,
                                            NGX_HTTP_INTUIT_E_REALM_UNPROVEN,
                                            "id_token names another realm");
        }

        ctx->in.realm = ctx->jwt.realmid;
        return NGX_OK;
    }

    if (!provider->company) {
        ngx_str_null(&ctx->in.realm);
        return NGX_OK;
    }

    if (ctx->in.realm.len == 0) {
        return ngx_http_intuit_exchange_fail(job,
                                             NGX_HTTP_INTUIT_E_REALM_UNPROVEN,
                                             "no realmId came back");
    }

    if (!provider->accounting) {
        return ngx_http_intuit_exchange_fail(job,
                                             NGX_HTTP_INTUIT_E_REALM_UNPROVEN,
                                             "no scope to read CompanyInfo");
    }

    url.len = provider->api_url.len + sizeof("/v3/company//companyinfo/") - 1
              + 2 * ctx->in.realm.len;
    url.data = ngx_pnalloc(job->pool, url.len);
    if (url.data == NULL) {
        return NGX_ERROR;
    }

    p = ngx_sprintf(url.data, "%V/v3/company/%V/companyinfo/%V",
                    &provider->api_url, &ctx->in.realm, &ctx->in.realm);
    url.len = p - url.data;

    job->step = ngx_http_intuit_exchange_company;

    return ngx_http_intuit_exchange_get(job, &url);
}


static ngx_int_t
ngx_http_intuit_exchange_company(ngx_http_intuit_job_t *job)
{
    ngx_http_intuit_fetch_t         *fetch;
    ngx_http_intuit_exchange_ctx_t  *ctx;

    ctx = job->data;
    fetch = job->fetch;
    ctx->result.tid = fetch->tid;

    if (fetch->rc != NGX_OK || fetch->status >= 500
        || fetch->status == NGX_HTTP_TOO_MANY_REQUESTS)
    {
        return ngx_http_intuit_exchange_fail(job,
                                             NGX_HTTP_INTUIT_E_UNAVAILABLE,
                                             "CompanyInfo cannot be read now");
    }

    if (fetch->status != NGX_HTTP_OK
        || !ngx_intuit_companyinfo_parse(job->pool, &fetch->answer,
                                         &ctx->company))
    {
        return ngx_http_intuit_exchange_fail(job,
                                             NGX_HTTP_INTUIT_E_REALM_UNPROVEN,
                                             "CompanyInfo is refused");
    }

    job->step = ngx_http_intuit_exchange_allow;

    return NGX_OK;
}


static ngx_int_t
ngx_http_intuit_exchange_allow(ngx_http_intuit_job_t *job)
{
    u_char                          *reason;
    ngx_http_intuit_provider_t      *provider;
    ngx_http_intuit_exchange_ctx_t  *ctx;

    ctx = job->data;
    provider = job->provider;

    if (!ngx_http_intuit_exchange_allows(provider, &ctx->in.realm)) {
        /* the operator may want to copy the number */

        reason = ngx_pnalloc(job->pool, ctx->in.realm.len
                             + sizeof("realm \"\" is not in allow_realm"));
        if (reason == NULL) {
            return NGX_ERROR;
        }

        (void) ngx_sprintf(reason, "realm \"%V\" is not in allow_realm%Z",
                           &ctx->in.realm);

        return ngx_http_intuit_exchange_fail(job,
                                             NGX_HTTP_INTUIT_E_REALM_DENIED,
                                             (char *) reason);
    }

    if (ctx->in.begin) {
        /* nobody has signed in */
        job->step = ngx_http_intuit_exchange_save;
        return NGX_OK;
    }

    if (provider->userinfo && ctx->endpoints.userinfo_endpoint.len) {
        job->step = ngx_http_intuit_exchange_userinfo;
        return ngx_http_intuit_exchange_get(job,
                                        &ctx->endpoints.userinfo_endpoint);
    }

    job->step = ngx_http_intuit_exchange_email;

    return NGX_OK;
}


ngx_uint_t
ngx_http_intuit_exchange_allows(const ngx_http_intuit_provider_t *provider,
    const ngx_str_t *realm)
{
    ngx_str_t   *rule;
    ngx_uint_t   i;

    rule = provider->allow_realm.elts;

    for (i = 0; i < provider->allow_realm.nelts; i++) {

        if (rule[i].len == realm->len
            && ngx_memcmp(rule[i].data, realm->data, realm->len) == 0)
        {
            return 1;
        }
    }

    return provider->allow_realm.nelts == 0;
}


/* userinfo is an extra: without it the login goes on, unless e-mail rules */

static ngx_int_t
ngx_http_intuit_exchange_userinfo(ngx_http_intuit_job_t *job)
{
    ngx_int_t                        rc;
    const char                      *reason;
    ngx_http_intuit_fetch_t         *fetch;
    ngx_http_intuit_exchange_ctx_t  *ctx;

    ctx = job->data;
    fetch = job->fetch;

    job->step = ngx_http_intuit_exchange_email;

    if (fetch->rc != NGX_OK || fetch->status != NGX_HTTP_OK) {
        ngx_log_error(NGX_LOG_ERR, job->log, 0,
                      "intuit userinfo could not be read (status %ui), "
                      "intuit_tid: \"%V\"", fetch->status, &fetch->tid);

        if (job->provider->allow_email.nelts
            && (fetch->rc != NGX_OK || fetch->status >= 500
                || fetch->status == NGX_HTTP_TOO_MANY_REQUESTS))
        {
            return ngx_http_intuit_exchange_fail(job,
                                               NGX_HTTP_INTUIT_E_UNAVAILABLE,
                                               "no userinfo to judge by");
        }

        return NGX_OK;
    }

    reason = NULL;

    rc = ngx_intuit_userinfo_parse(job->pool, &fetch->answer, &ctx->jwt.sub,
                                   &ctx->userinfo, &reason);
    if (rc == NGX_ERROR) {
        return NGX_ERROR;
    }

    if (rc != NGX_OK) {
        ctx->userinfo = NULL;
        ngx_log_error(NGX_LOG_ERR, job->log, 0,
                      "intuit userinfo is not used: %s", reason);
        return NGX_OK;
    }

    return ngx_intuit_json_dump(job->pool, ctx->userinfo,
                                &ctx->userinfo_text);
}


static ngx_int_t
ngx_http_intuit_exchange_email(ngx_http_intuit_job_t *job)
{
    ngx_str_t   *rule, email;
    ngx_uint_t   i;

    job->step = ngx_http_intuit_exchange_save;

    if (job->provider->allow_email.nelts == 0) {
        return NGX_OK;
    }

    if (ngx_http_intuit_exchange_verified_email(job, &email) != NGX_OK) {
        return ngx_http_intuit_exchange_fail(job,
                                             NGX_HTTP_INTUIT_E_EMAIL_DENIED,
                                             "no verified e-mail address");
    }

    rule = job->provider->allow_email.elts;

    for (i = 0; i < job->provider->allow_email.nelts; i++) {
        if (ngx_intuit_email_matches(&email, &rule[i])) {
            return NGX_OK;
        }
    }

    return ngx_http_intuit_exchange_fail(job, NGX_HTTP_INTUIT_E_EMAIL_DENIED,
                                         "address is not in allow_email");
}


static void
ngx_http_intuit_exchange_done(ngx_http_intuit_job_t *job, ngx_int_t rc)
{
    ngx_int_t                        end;
    ngx_uint_t                       i;
    ngx_http_intuit_exchange_ctx_t  *ctx;

    ctx = job->data;

    ngx_http_intuit_keys_release(job);

    if (rc != NGX_OK && ctx->result.state != NGX_HTTP_INTUIT_LOGIN_FAILED) {
        ctx->result.state = NGX_HTTP_INTUIT_LOGIN_FAILED;
        ctx->result.error = NGX_HTTP_INTUIT_E_UNAVAILABLE;
    }

    ngx_http_intuit_import_end(job);
    ngx_http_intuit_save_over(&ctx->import);

    end = ngx_http_intuit_login_end(job->provider->store, &ctx->in.login,
                                    &ctx->result, ngx_time());

    if (end != NGX_OK && end != NGX_DECLINED) {

        /* nobody is left to wait for a session that there is no room for */

        (void) ngx_http_intuit_exchange_fail(job, NGX_HTTP_INTUIT_E_BUSY,
                                             "no room for the session");

        (void) ngx_http_intuit_login_end(job->provider->store, &ctx->in.login,
                                         &ctx->result, ngx_time());
    }

    if (ctx->elsewhere) {
        return;
    }

    ngx_http_intuit_exchange_tell(job);

    ngx_http_intuit_store_count(job->provider->store,
                         ctx->result.state == NGX_HTTP_INTUIT_LOGIN_DONE
                         ? NGX_HTTP_INTUIT_N_LOGIN
                         : NGX_HTTP_INTUIT_N_LOGIN_FAILED);

    if (ctx->result.state == NGX_HTTP_INTUIT_LOGIN_DONE) {
        ngx_http_intuit_client_accepted(job);

        ngx_log_error(NGX_LOG_NOTICE, job->log, 0,
                      "intuit %s succeeded, realm \"%V\", "
                      "intuit_tid: \"%V\"", job->name, &ctx->in.realm,
                      &ctx->result.tid);
    }

    for (i = 0; i < NGX_HTTP_INTUIT_GIVEN; i++) {
        ngx_intuit_cleanse(ctx->in.given[i].data, ctx->in.given[i].len);
    }

    ngx_intuit_cleanse(ctx->tokens.access_token.data,
                       ctx->tokens.access_token.len);
    ngx_intuit_cleanse(ctx->tokens.refresh_token.data,
                       ctx->tokens.refresh_token.len);
}


static ngx_int_t
ngx_http_intuit_exchange_get(ngx_http_intuit_job_t *job, const ngx_str_t *url)
{
    u_char                          *p;
    ngx_http_intuit_fetch_t          request;
    ngx_http_intuit_exchange_ctx_t  *ctx;

    ctx = job->data;

    ngx_memzero(&request, sizeof(ngx_http_intuit_fetch_t));

    request.url = *url;
    request.authorization.len = sizeof("Bearer ") - 1
                                + ctx->tokens.access_token.len;
    request.authorization.data = ngx_pnalloc(job->pool,
                                             request.authorization.len);
    if (request.authorization.data == NULL) {
        return NGX_ERROR;
    }

    p = ngx_cpymem(request.authorization.data, "Bearer ",
                   sizeof("Bearer ") - 1);
    ngx_memcpy(p, ctx->tokens.access_token.data,
               ctx->tokens.access_token.len);

    return ngx_http_intuit_fetch(job, &request);
}


ngx_int_t
ngx_http_intuit_exchange_fail(ngx_http_intuit_job_t *job,
    ngx_http_intuit_error_e error, const char *reason)
{
    ngx_http_intuit_exchange_ctx_t  *ctx;

    ctx = job->data;

    ctx->result.state = NGX_HTTP_INTUIT_LOGIN_FAILED;
    ctx->result.error = error;

    ngx_log_error(NGX_LOG_WARN, job->log, 0, "intuit %s failed: %s%s%s",
                  job->name, ngx_http_intuit_error_name(error),
                  reason ? ", " : "", reason ? reason : "");

    return NGX_DECLINED;
}
