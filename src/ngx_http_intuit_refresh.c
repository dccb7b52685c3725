/*
 * The refresh of a connection's access token (RFC 6749, section 6), in a job:
 *
 *   lease -> load -> request -> answer -> save -> release
 *
 * Intuit answers the second of two refreshes with invalid_grant, and a
 * rotated refresh token that is lost severs the company's connection.  So:
 * one owner at a time for all workers; what has arrived is saved before
 * anybody uses it; a request that may have arrived without an answer is noted;
 * and only invalid_grant, after the store was read once more, ends a
 * connection.
 */

#include "ngx_http_intuit_refresh.h"
#include "ngx_intuit_point.h"


#define NGX_HTTP_INTUIT_LEASE_MARGIN    5      /* s past the job's deadline */
#define NGX_HTTP_INTUIT_REFRESH_AHEAD   3600   /* s, of another clock */
#define NGX_HTTP_INTUIT_REFRESH_PAUSE   10     /* s between two successes */


static ngx_uint_t ngx_http_intuit_refresh_due(
    const ngx_http_intuit_provider_t *provider,
    const ngx_http_intuit_id_t *id, const ngx_intuit_pair_t *pair,
    time_t now);
static time_t ngx_http_intuit_refresh_before(
    const ngx_http_intuit_provider_t *provider, const ngx_intuit_pair_t *pair);
static ngx_int_t ngx_http_intuit_refresh_lock(ngx_http_intuit_job_t *job);
static ngx_int_t ngx_http_intuit_refresh_load(ngx_http_intuit_job_t *job);
static ngx_int_t ngx_http_intuit_refresh_send(ngx_http_intuit_job_t *job);
static ngx_int_t ngx_http_intuit_refresh_answer(ngx_http_intuit_job_t *job);
static ngx_int_t ngx_http_intuit_refresh_tokens(ngx_http_intuit_job_t *job);
static const char *ngx_http_intuit_refresh_changed(
    ngx_http_intuit_job_t *job);
static ngx_int_t ngx_http_intuit_refresh_refused(ngx_http_intuit_job_t *job);
static ngx_int_t ngx_http_intuit_refresh_later(ngx_http_intuit_job_t *job,
    const char *error, ngx_uint_t maybe_sent);
static ngx_int_t ngx_http_intuit_refresh_dead(ngx_http_intuit_job_t *job,
    const char *error);
static void ngx_http_intuit_refresh_done(ngx_http_intuit_job_t *job,
    ngx_int_t rc);


ngx_int_t
ngx_http_intuit_refresh(ngx_http_intuit_provider_t *provider,
    const ngx_intuit_connection_t *c, uint64_t generation,
    ngx_http_intuit_id_t *id, ngx_uint_t *started)
{
    time_t      now;
    ngx_int_t   rc;
    ngx_uint_t  expired;

    *started = 0;

    if (c->dead || c->current.access_token.len == 0) {
        return NGX_DECLINED;
    }

    now = ngx_time();
    expired = (now >= c->current.expires);

    if (!expired
        && c->current.expires - now
           > ngx_http_intuit_refresh_before(provider, &c->current)
        && !ngx_http_intuit_refresh_unreal(&c->current, now))
    {
        /* so it is nearly always, and no more needs to be known then */
        return NGX_OK;
    }

    if (ngx_http_intuit_connection_id(id, provider, &c->realm) != NGX_OK) {
        return NGX_ERROR;
    }

    if (!expired && !ngx_http_intuit_refresh_due(provider, id, &c->current,
                                                 now))
    {
        return NGX_OK;
    }

    if (c->current.refresh_token.len == 0) {
        return expired ? NGX_DECLINED : NGX_OK;
    }

    if (ngx_http_intuit_refresh_after(provider, c, now)) {
        return expired ? NGX_ERROR : NGX_OK;
    }

    rc = ngx_http_intuit_refresh_start(provider, id, generation, 0);

    *started = (rc == NGX_OK);

    if (rc == NGX_ERROR && expired) {
        return NGX_ERROR;
    }

    return expired ? NGX_AGAIN : NGX_OK;
}


/*
 * Early enough, at a moment of the connection's own so that not all are due
 * at once, and not again and again for tokens that live only shortly.
 */

static ngx_uint_t
ngx_http_intuit_refresh_due(const ngx_http_intuit_provider_t *provider,
    const ngx_http_intuit_id_t *id, const ngx_intuit_pair_t *pair, time_t now)
{
    time_t  before;

    if (ngx_http_intuit_refresh_unreal(pair, now)) {
        return 1;
    }

    before = ngx_http_intuit_refresh_before(provider, pair);
    before -= before * id->data[0] / 1024;

    return pair->expires - now <= before
           && now - pair->refreshed >= NGX_HTTP_INTUIT_REFRESH_PAUSE;
}


static time_t
ngx_http_intuit_refresh_before(const ngx_http_intuit_provider_t *provider,
    const ngx_intuit_pair_t *pair)
{
    time_t  life;

    life = pair->expires - pair->refreshed;

    return ngx_min(provider->refresh_before, life / 2);
}


ngx_uint_t
ngx_http_intuit_refresh_unreal(const ngx_intuit_pair_t *pair, time_t now)
{
    return pair->refreshed - now >= NGX_HTTP_INTUIT_REFRESH_AHEAD;
}


time_t
ngx_http_intuit_refresh_after(const ngx_http_intuit_provider_t *provider,
    const ngx_intuit_connection_t *c, time_t now)
{
    time_t                held, wait;
    ngx_http_intuit_id_t  id;

    ngx_memcpy(id.data, provider->identity, NGX_HTTP_INTUIT_ID_LEN);

    held = ngx_http_intuit_held(provider->store, &id, now);
    wait = c->retry_at - now;

    if (wait > NGX_HTTP_INTUIT_HOLD_MAX) {
        /* nothing is put off for so long: the clock was set back */
        wait = 0;
    }

    return ngx_max(held, wait);
}


ngx_uint_t
ngx_http_intuit_refresh_spare_allowed(ngx_http_intuit_provider_t *provider,
    const ngx_intuit_connection_t *c, time_t now)
{
    ngx_http_intuit_id_t  id;

    return ngx_http_intuit_store_id(&id, "spare", provider, &c->realm)
           == NGX_OK
           && ngx_http_intuit_held(provider->store, &id, now) == 0;
}


ngx_int_t
ngx_http_intuit_refresh_start(ngx_http_intuit_provider_t *provider,
    const ngx_http_intuit_id_t *id, uint64_t generation, ngx_uint_t spare)
{
    time_t                          now;
    u_char                          owner[NGX_HTTP_INTUIT_LEASE_LEN];
    ngx_int_t                       rc;
    ngx_uint_t                      abandoned;
    ngx_http_intuit_job_t          *job;
    ngx_http_intuit_refresh_ctx_t  *ctx;

    now = ngx_time();

    if (ngx_intuit_random(owner, sizeof(owner)) != NGX_OK) {
        return NGX_ERROR;
    }

    rc = ngx_http_intuit_connection_lease(provider->store, id, owner,
                         now + ngx_http_intuit_job_deadline(provider) / 1000
                         + NGX_HTTP_INTUIT_LEASE_MARGIN, now, &abandoned);
    if (rc != NGX_OK) {
        return rc;
    }

    ngx_intuit_point("lease-taken");

    job = ngx_http_intuit_job_create(provider, "refresh");
    if (job == NULL) {
        goto failed;
    }

    ctx = ngx_pcalloc(job->pool, sizeof(ngx_http_intuit_refresh_ctx_t));
    if (ctx == NULL) {
        ngx_http_intuit_job_discard(job);
        goto failed;
    }

    ctx->id = *id;
    ctx->generation = generation;
    ctx->abandoned = abandoned;
    ctx->spare = spare;
    ngx_memcpy(ctx->owner, owner, sizeof(owner));

    job->data = ctx;
    job->step = ngx_http_intuit_refresh_lock;
    job->done = ngx_http_intuit_refresh_done;
    job->wakes = &ctx->id;

    ngx_http_intuit_job_run(job);

    return NGX_OK;

failed:

    (void) ngx_http_intuit_connection_release(provider->store, id, owner);

    return NGX_ERROR;
}


static ngx_int_t
ngx_http_intuit_refresh_lock(ngx_http_intuit_job_t *job)
{
    uint64_t                        generation;
    ngx_intuit_connection_t         c;
    ngx_http_intuit_refresh_ctx_t  *ctx;

    ctx = job->data;

    ctx->save.id = ctx->id;
    ctx->save.next = ngx_http_intuit_refresh_load;

    /* what has arrived is written before another host asks for it once more */

    ctx->save.unleased = (job->provider->redis
                          && ngx_http_intuit_connection_load(
                                             job->provider->store, &ctx->id,
                                             job->pool, &c, &generation)
                          == NGX_OK
                          && generation == ctx->generation
                          && c.arrived.access_token.len);

    return ngx_http_intuit_save_begin(job, &ctx->save, ctx->generation);
}


/* with the lease in hand: is it still the pair that was seen to be due? */

static ngx_int_t
ngx_http_intuit_refresh_load(ngx_http_intuit_job_t *job)
{
    ngx_int_t                       rc;
    uint64_t                        generation;
    ngx_http_intuit_refresh_ctx_t  *ctx;

    ctx = job->data;

    rc = ngx_http_intuit_connection_load(job->provider->store, &ctx->id,
                                         job->pool, &ctx->connection,
                                         &generation);
    if (rc != NGX_OK) {
        return rc;
    }

    if (generation != ctx->generation) {
        /* somebody was faster */
        ctx->result = NGX_HTTP_INTUIT_REFRESH_OVER;
        return NGX_OK;
    }

    ctx->sent = ctx->spare ? ctx->connection.spare : ctx->connection.current;

    if (ctx->abandoned) {

        /* the last owner has died with it, and nobody knows how far it got */

        ngx_log_error(NGX_LOG_WARN, job->log, 0,
                      "intuit refresh was left unfinished by another worker, "
                      "realm \"%V\"", &ctx->connection.realm);
    }

    if (ctx->connection.arrived.access_token.len) {
        return ngx_http_intuit_refresh_resume(job);
    }

    job->step = ngx_http_intuit_refresh_send;

    return NGX_OK;
}


static ngx_int_t
ngx_http_intuit_refresh_send(ngx_http_intuit_job_t *job)
{
    ngx_int_t                       rc;
    ngx_str_t                       form;
    ngx_http_intuit_refresh_ctx_t  *ctx;

    ctx = job->data;

    rc = ngx_http_intuit_endpoints_wait(job, &ctx->endpoints,
                                        ngx_http_intuit_refresh_send);
    if (rc == NGX_AGAIN) {
        return rc;
    }

    if (rc == NGX_DECLINED) {
        return ngx_http_intuit_refresh_later(job, "temporarily_unavailable",
                                             0);
    }

    if (rc != NGX_OK) {
        return NGX_ERROR;
    }

    if (ngx_intuit_refresh_request(job->pool, &ctx->sent.refresh_token, &form)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_intuit_point("before-request");

    /*
     * Of two that are under way Intuit refuses one: should this process be
     * killed, its successor waits for as long as it would have done itself.
     */

    ngx_http_intuit_connection_asking(job->provider->store, &ctx->id,
                         ctx->owner,
                         ngx_time() + job->provider->read_timeout / 1000 + 1);

    return ngx_http_intuit_token_post(job, &ctx->endpoints, &form,
                                      ngx_http_intuit_refresh_answer);
}


static ngx_int_t
ngx_http_intuit_refresh_answer(ngx_http_intuit_job_t *job)
{
    ngx_uint_t                      status;
    ngx_http_intuit_fetch_t        *fetch;
    ngx_http_intuit_refresh_ctx_t  *ctx;

    ctx = job->data;
    fetch = job->fetch;
    status = fetch->status;

    ctx->tid = fetch->tid;

    ngx_intuit_point("answer-received");

    if (fetch->rc != NGX_OK || status < NGX_HTTP_OK) {
        return ngx_http_intuit_refresh_later(job, "no_answer", fetch->sent);
    }

    if (status == NGX_HTTP_OK) {
        return ngx_http_intuit_refresh_tokens(job);
    }

    if (status >= 500) {
        return ngx_http_intuit_refresh_later(job, "server_error", 1);
    }

    if (status == NGX_HTTP_REQUEST_TIME_OUT || status == 425
        || status == NGX_HTTP_TOO_MANY_REQUESTS)
    {
        return ngx_http_intuit_refresh_later(job, "throttled", 0);
    }

    return ngx_http_intuit_refresh_refused(job);
}


static ngx_int_t
ngx_http_intuit_refresh_tokens(ngx_http_intuit_job_t *job)
{
    ngx_int_t                       rc;
    const char                     *reason;
    ngx_http_intuit_refresh_ctx_t  *ctx;

    ctx = job->data;
    reason = NULL;

    rc = ngx_intuit_tokens_parse(job->pool, &job->fetch->answer, &ctx->tokens,
                                 &reason);

    ngx_intuit_cleanse(job->fetch->answer.data, job->fetch->answer.len);

    if (rc != NGX_OK) {
        ngx_log_error(NGX_LOG_ERR, job->log, 0,
                      "intuit refresh got an unusable answer: %s",
                      reason ? reason : "no memory");

        /* the token may have been rotated, and the new one is not known */
        return ngx_http_intuit_refresh_later(job, "invalid_answer", 1);
    }

    reason = ngx_http_intuit_refresh_changed(job);

    if (reason) {
        return ngx_http_intuit_refresh_dead(job, reason);
    }

    ctx->result = NGX_HTTP_INTUIT_REFRESH_RENEWED;
    ctx->received = ngx_time();

    job->provider->runtime->refresh_failures = 0;

    return ngx_http_intuit_refresh_save(job);
}


/*
 * An id_token is optional in a refresh answer (OpenID Connect Core, section
 * 12.2).  It came over TLS from the token endpoint itself; what counts is
 * that it speaks of the same person, by the same issuer.  Of one that cannot
 * be read nothing is believed, and the tokens beside it are kept: the old
 * ones may be gone.
 */

static const char *
ngx_http_intuit_refresh_changed(ngx_http_intuit_job_t *job)
{
    ngx_str_t                       iss, sub, *owner;
    const char                     *reason;
    ngx_intuit_jwt_t                jwt;
    ngx_http_intuit_refresh_ctx_t  *ctx;

    ctx = job->data;
    owner = &ctx->sent.sub;

    if (ctx->tokens.id_token.len == 0 || owner->len == 0
        || ngx_intuit_jwt_parse(job->pool, &ctx->tokens.id_token, &jwt,
                                &reason)
           != NGX_OK)
    {
        return NULL;
    }

    if (ngx_intuit_json_string(jwt.claims, "sub", &sub) == NGX_OK
        && (sub.len != owner->len
            || ngx_memcmp(sub.data, owner->data, sub.len) != 0))
    {
        return "subject_changed";
    }

    if (ngx_intuit_json_string(jwt.claims, "iss", &iss) == NGX_OK
        && (iss.len != ctx->endpoints.issuer.len
            || ngx_memcmp(iss.data, ctx->endpoints.issuer.data, iss.len)
               != 0))
    {
        return "issuer_changed";
    }

    return NULL;
}


static ngx_int_t
ngx_http_intuit_refresh_refused(ngx_http_intuit_job_t *job)
{
    ngx_str_t                       error;
    ngx_http_intuit_fetch_t        *fetch;
    ngx_http_intuit_refresh_ctx_t  *ctx;

    ctx = job->data;
    fetch = job->fetch;

    ngx_intuit_oauth2_error_parse(job->pool, &fetch->answer, &error);

    ngx_log_error(NGX_LOG_ERR, job->log, 0,
                  "intuit refresh was refused: status %ui, error \"%V\", "
                  "realm \"%V\", intuit_tid: \"%V\"", fetch->status, &error,
                  &ctx->connection.realm, &fetch->tid);

    if (error.len == 13 && ngx_memcmp(error.data, "invalid_grant", 13) == 0) {
        return ngx_http_intuit_refresh_dead(job, "invalid_grant");
    }

    /* the operator's error, or Intuit's: nothing of the company's is lost */

    if (ngx_http_intuit_client_refused(job, &error)) {
        ngx_log_error(NGX_LOG_ERR, job->log, 0,
                      "intuit %s of provider %V (%s:%ui) is refused by Intuit",
                      job->provider->client_secret_file.len
                      ? "client_secret_file" : "client_secret",
                      &job->provider->name, job->provider->file,
                      job->provider->line);

        return ngx_http_intuit_refresh_later(job, "invalid_client", 0);
    }

    /* what says that it was done may have been done */

    return ngx_http_intuit_refresh_later(job, "refused",
                              fetch->status < NGX_HTTP_SPECIAL_RESPONSE);
}


/* not now: everything stays, and the next try is put off */

static ngx_int_t
ngx_http_intuit_refresh_later(ngx_http_intuit_job_t *job, const char *error,
    ngx_uint_t maybe_sent)
{
    ngx_int_t                       rc;
    ngx_http_intuit_refresh_ctx_t  *ctx;

    ctx = job->data;

    ctx->result = NGX_HTTP_INTUIT_REFRESH_LATER;
    ctx->error = error;
    ctx->maybe_sent = maybe_sent;

    ngx_http_intuit_refresh_hold(job);

    rc = ngx_http_intuit_refresh_save(job);

    return rc == NGX_OK ? NGX_DECLINED : rc;
}


/* the pair is over: the spare one takes its place, if there is one */

static ngx_int_t
ngx_http_intuit_refresh_dead(ngx_http_intuit_job_t *job, const char *error)
{
    ngx_int_t                       rc;
    ngx_http_intuit_refresh_ctx_t  *ctx;

    ctx = job->data;

    ctx->result = NGX_HTTP_INTUIT_REFRESH_DEAD;
    ctx->error = error;

    rc = ngx_http_intuit_refresh_save(job);

    return rc == NGX_OK ? NGX_DECLINED : rc;
}


static void
ngx_http_intuit_refresh_done(ngx_http_intuit_job_t *job, ngx_int_t rc)
{
    ngx_intuit_connection_t        *c;
    ngx_http_intuit_refresh_ctx_t  *ctx;

    ctx = job->data;
    c = &ctx->connection;

    if (rc == NGX_ERROR && c->realm.len && !ctx->saved) {

        /* the deadline, no memory, or no room for what has come */

        (void) ngx_http_intuit_refresh_later(job,
                               ctx->result == NGX_HTTP_INTUIT_REFRESH_RENEWED
                               ? "not_saved" : "no_answer",
                               job->fetch && job->fetch->sent);
    }

    ngx_intuit_point("before-release");

    ngx_http_intuit_save_release(job, &ctx->save);

    (void) ngx_http_intuit_connection_release(job->provider->store, &ctx->id,
                                              ctx->owner);

    ngx_intuit_cleanse(c->current.access_token.data,
                       c->current.access_token.len);
    ngx_intuit_cleanse(c->current.refresh_token.data,
                       c->current.refresh_token.len);
    ngx_intuit_cleanse(ctx->sent.access_token.data,
                       ctx->sent.access_token.len);
    ngx_intuit_cleanse(ctx->sent.refresh_token.data,
                       ctx->sent.refresh_token.len);
    ngx_intuit_cleanse(ctx->tokens.access_token.data,
                       ctx->tokens.access_token.len);
    ngx_intuit_cleanse(ctx->tokens.refresh_token.data,
                       ctx->tokens.refresh_token.len);
}
