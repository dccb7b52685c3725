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

#include "ngx_http_intuit_discovery.h"
#include "ngx_http_intuit_refresh.h"
#include "ngx_http_intuit_state.h"


#define NGX_HTTP_INTUIT_LEASE_MARGIN    5       /* s past the job's deadline */
#define NGX_HTTP_INTUIT_BACKOFF_MAX     60      /* s between two failures */
#define NGX_HTTP_INTUIT_CLIENT_HOLD     60      /* s after invalid_client */
#define NGX_HTTP_INTUIT_REFRESH_PAUSE   10      /* s between two successes */
#define NGX_HTTP_INTUIT_WAITS_MAX       3       /* of one request */


typedef struct {
    ngx_http_intuit_id_t         id;
    u_char                       owner[NGX_HTTP_INTUIT_LEASE_LEN];
    uint64_t                     generation;
    ngx_intuit_connection_t      connection;
    ngx_intuit_pair_t            pair;         /* the new one */
    ngx_http_intuit_save_t       save;
    unsigned                     saved:1;
} ngx_http_intuit_refresh_ctx_t;


static ngx_int_t ngx_http_intuit_refresh_start(
    ngx_http_intuit_provider_t *provider, const ngx_http_intuit_id_t *id,
    uint64_t generation);
static ngx_int_t ngx_http_intuit_refresh_lock(ngx_http_intuit_job_t *job);
static ngx_int_t ngx_http_intuit_refresh_load(ngx_http_intuit_job_t *job);
static ngx_int_t ngx_http_intuit_refresh_send(ngx_http_intuit_job_t *job);
static ngx_int_t ngx_http_intuit_refresh_answer(ngx_http_intuit_job_t *job);
static ngx_int_t ngx_http_intuit_refresh_tokens(ngx_http_intuit_job_t *job);
static ngx_int_t ngx_http_intuit_refresh_merge(ngx_http_intuit_job_t *job,
    ngx_intuit_connection_t *c, ngx_uint_t found);
static ngx_int_t ngx_http_intuit_refresh_saved(ngx_http_intuit_job_t *job);
static ngx_uint_t ngx_http_intuit_refresh_same_subject(
    ngx_http_intuit_job_t *job, const ngx_intuit_tokens_t *tokens);
static ngx_int_t ngx_http_intuit_refresh_refused(ngx_http_intuit_job_t *job);
static ngx_int_t ngx_http_intuit_refresh_later(ngx_http_intuit_job_t *job,
    const char *error, ngx_uint_t maybe_sent);
static ngx_int_t ngx_http_intuit_refresh_dead(ngx_http_intuit_job_t *job,
    const char *error);
static ngx_int_t ngx_http_intuit_refresh_save(ngx_http_intuit_job_t *job);
static void ngx_http_intuit_refresh_done(ngx_http_intuit_job_t *job,
    ngx_int_t rc);
static time_t ngx_http_intuit_refresh_backoff(time_t failures);
static ngx_int_t ngx_http_intuit_refresh_reload(ngx_http_request_t *r,
    ngx_http_intuit_view_t *view);
static ngx_uint_t ngx_http_intuit_refresh_ready(ngx_http_intuit_ctx_t *ctx);
static ngx_uint_t ngx_http_intuit_refresh_due(
    const ngx_http_intuit_provider_t *provider,
    const ngx_http_intuit_id_t *id, const ngx_intuit_pair_t *pair,
    time_t now);


ngx_int_t
ngx_http_intuit_refresh(ngx_http_intuit_provider_t *provider,
    const ngx_intuit_connection_t *c, uint64_t generation,
    ngx_http_intuit_id_t *id)
{
    time_t      now;
    ngx_uint_t  expired;

    if (c->dead || c->current.access_token.len == 0) {
        return NGX_DECLINED;
    }

    now = ngx_time();
    expired = (now >= c->current.expires);

    if (ngx_http_intuit_store_id(id, "connection", provider, &c->realm)
        != NGX_OK)
    {
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

    if (now < c->retry_at || now < provider->runtime->refresh_hold) {
        return expired ? NGX_ERROR : NGX_OK;
    }

    if (ngx_http_intuit_refresh_start(provider, id, generation) == NGX_ERROR
        && expired)
    {
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
    time_t  before, life;

    life = pair->expires - pair->refreshed;

    before = ngx_min(provider->refresh_before, life / 2);
    before -= before * id->data[0] / 1024;

    return pair->expires - now <= before
           && now - pair->refreshed >= NGX_HTTP_INTUIT_REFRESH_PAUSE;
}


/* NGX_OK: under way, here or elsewhere; NGX_ERROR: it cannot be started. */

static ngx_int_t
ngx_http_intuit_refresh_start(ngx_http_intuit_provider_t *provider,
    const ngx_http_intuit_id_t *id, uint64_t generation)
{
    time_t                          now;
    u_char                          owner[NGX_HTTP_INTUIT_LEASE_LEN];
    ngx_http_intuit_job_t          *job;
    ngx_http_intuit_refresh_ctx_t  *ctx;

    now = ngx_time();

    if (ngx_intuit_random(owner, sizeof(owner)) != NGX_OK) {
        return NGX_ERROR;
    }

    if (ngx_http_intuit_connection_lease(provider->store, id, owner,
                         now + ngx_http_intuit_job_deadline(provider) / 1000
                         + NGX_HTTP_INTUIT_LEASE_MARGIN, now)
        != NGX_OK)
    {
        return NGX_OK;
    }

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
    ngx_memcpy(ctx->owner, owner, sizeof(owner));

    job->data = ctx;
    job->step = ngx_http_intuit_refresh_lock;
    job->done = ngx_http_intuit_refresh_done;

    ngx_http_intuit_job_run(job);

    return NGX_OK;

failed:

    (void) ngx_http_intuit_connection_release(provider->store, id, owner);

    return NGX_ERROR;
}


static ngx_int_t
ngx_http_intuit_refresh_lock(ngx_http_intuit_job_t *job)
{
    ngx_http_intuit_refresh_ctx_t  *ctx;

    ctx = job->data;

    ctx->save.id = ctx->id;
    ctx->save.next = ngx_http_intuit_refresh_load;

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
        ctx->saved = 1;
        return NGX_OK;
    }

    job->step = ngx_http_intuit_refresh_send;

    return NGX_OK;
}


static ngx_int_t
ngx_http_intuit_refresh_send(ngx_http_intuit_job_t *job)
{
    ngx_int_t                       rc;
    ngx_intuit_endpoints_t          endpoints;
    ngx_http_intuit_fetch_t         request;
    ngx_http_intuit_refresh_ctx_t  *ctx;

    ctx = job->data;

    rc = ngx_http_intuit_endpoints_get(job->provider, job->pool, &endpoints);

    if (rc == NGX_AGAIN) {
        /* a worker that has just started is still reading the document */
        job->step = ngx_http_intuit_refresh_send;
        return ngx_http_intuit_job_wait(job);
    }

    if (rc != NGX_OK) {
        return ngx_http_intuit_refresh_later(job, "temporarily_unavailable",
                                             0);
    }

    ngx_memzero(&request, sizeof(ngx_http_intuit_fetch_t));

    if (ngx_intuit_refresh_request(job->pool,
                                   &ctx->connection.current.refresh_token,
                                   &request.body)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    request.post = 1;
    request.url = endpoints.token_endpoint;
    request.authorization = job->provider->basic;
    ngx_str_set(&request.content_type, "application/x-www-form-urlencoded");

    job->step = ngx_http_intuit_refresh_answer;

    return ngx_http_intuit_fetch(job, &request);
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

    ctx->connection.tid = fetch->tid;

    if (fetch->rc != NGX_OK) {
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
    time_t                          now;
    ngx_int_t                       rc;
    const char                     *reason;
    ngx_intuit_pair_t              *pair;
    ngx_intuit_tokens_t             tokens;
    ngx_http_intuit_refresh_ctx_t  *ctx;

    ctx = job->data;
    reason = NULL;

    rc = ngx_intuit_tokens_parse(job->pool, &job->fetch->answer, &tokens,
                                 &reason);

    ngx_intuit_cleanse(job->fetch->answer.data, job->fetch->answer.len);

    if (rc != NGX_OK) {
        ngx_log_error(NGX_LOG_ERR, job->log, 0,
                      "intuit refresh got an unusable answer: %s",
                      reason ? reason : "no memory");

        /* the token may have been rotated, and the new one is not known */
        return ngx_http_intuit_refresh_later(job, "invalid_answer", 1);
    }

    if (!ngx_http_intuit_refresh_same_subject(job, &tokens)) {
        return ngx_http_intuit_refresh_dead(job, "subject_changed");
    }

    now = ngx_time();

    ctx->pair = ctx->connection.current;
    pair = &ctx->pair;

    pair->access_token = tokens.access_token;
    pair->refreshed = now;
    pair->expires = now + tokens.expires_in;

    if (tokens.refresh_token.len) {
        pair->refresh_token = tokens.refresh_token;
    }

    if (tokens.scope.len) {
        pair->scope = tokens.scope;
    }

    if (tokens.refresh_expires_in) {
        pair->refresh_expires = now + tokens.refresh_expires_in;
    }

    if (tokens.refresh_hard_expires_in) {
        pair->hard_expires = now + tokens.refresh_hard_expires_in;
    }

    ctx->save.merge = ngx_http_intuit_refresh_merge;
    ctx->save.next = ngx_http_intuit_refresh_saved;

    return ngx_http_intuit_save(job, &ctx->save);
}


/*
 * A login may have changed the connection meanwhile; the new pair takes the
 * place of the one that it came from, wherever that is by now.
 */

static ngx_int_t
ngx_http_intuit_refresh_merge(ngx_http_intuit_job_t *job,
    ngx_intuit_connection_t *c, ngx_uint_t found)
{
    ngx_str_t                      *sent;
    ngx_http_intuit_refresh_ctx_t  *ctx;

    ctx = job->data;
    sent = &ctx->connection.current.refresh_token;

    if (!found) {
        return NGX_DECLINED;
    }

    if (ngx_intuit_equal(&c->current.access_token, &ctx->pair.access_token)) {
        return NGX_DONE;
    }

    if (ngx_intuit_equal(&c->current.refresh_token, sent)) {

        c->current = ctx->pair;
        c->dead = 0;
        c->retry_at = 0;
        c->failures = 0;
        c->maybe_sent = 0;
        c->tid = ctx->connection.tid;
        ngx_str_null(&c->error);

        return NGX_OK;
    }

    if (c->spare.access_token.len == 0
        || ngx_intuit_equal(&c->spare.refresh_token, sent))
    {
        c->spare = ctx->pair;
        return NGX_OK;
    }

    /* two pairs of two later logins */

    return NGX_DONE;
}


static ngx_int_t
ngx_http_intuit_refresh_saved(ngx_http_intuit_job_t *job)
{
    ngx_http_intuit_refresh_ctx_t  *ctx;

    ctx = job->data;

    if (ctx->save.rc == NGX_OK) {
        ctx->saved = 1;
        return NGX_OK;
    }

    ngx_log_error(NGX_LOG_CRIT, job->log, 0,
                  "intuit refresh could not be saved: %s, realm \"%V\"",
                  ctx->save.rc == NGX_DECLINED ? "the connection was removed"
                                               : "no room in the shared zone",
                  &ctx->connection.realm);

    return NGX_ERROR;
}


/*
 * An id_token is optional in a refresh answer (OpenID Connect Core, section
 * 12.2).  It came over TLS from the token endpoint itself; what counts is
 * that it names the same person.
 */

static ngx_uint_t
ngx_http_intuit_refresh_same_subject(ngx_http_intuit_job_t *job,
    const ngx_intuit_tokens_t *tokens)
{
    ngx_str_t                       sub, *owner;
    const char                     *reason;
    ngx_intuit_jwt_t                jwt;
    ngx_http_intuit_refresh_ctx_t  *ctx;

    ctx = job->data;
    owner = &ctx->connection.current.sub;

    if (tokens->id_token.len == 0 || owner->len == 0) {
        return 1;
    }

    if (ngx_intuit_jwt_parse(job->pool, &tokens->id_token, &jwt, &reason)
        != NGX_OK
        || ngx_intuit_json_string(jwt.claims, "sub", &sub) != NGX_OK)
    {
        /* nothing that could be wrong about somebody */
        return 1;
    }

    return sub.len == owner->len
           && ngx_memcmp(sub.data, owner->data, sub.len) == 0;
}


static ngx_int_t
ngx_http_intuit_refresh_refused(ngx_http_intuit_job_t *job)
{
    ngx_http_intuit_fetch_t        *fetch;
    ngx_str_t                       error;
    ngx_http_intuit_refresh_ctx_t  *ctx;

    ctx = job->data;
    fetch = job->fetch;

    ngx_intuit_oauth2_error_parse(job->pool, &fetch->answer, &error);

    ngx_log_error(NGX_LOG_ERR, job->log, 0,
                  "intuit refresh was refused: status %ui, error \"%V\", "
                  "realm \"%V\", intuit_tid: \"%V\"", fetch->status, &error,
                  &ctx->connection.realm, &fetch->tid);

    if (error.len == 13 && ngx_memcmp(error.data, "invalid_grant", 13) == 0) {
        return ngx_http_intuit_refresh_dead(job,
                                            ctx->connection.maybe_sent
                                            ? "rotation_lost"
                                            : "invalid_grant");
    }

    /* the operator's error, or Intuit's: nothing of the company's is lost */

    job->provider->runtime->refresh_hold = ngx_time()
                                           + NGX_HTTP_INTUIT_CLIENT_HOLD;

    if (fetch->status == NGX_HTTP_UNAUTHORIZED) {
        ngx_log_error(NGX_LOG_ERR, job->log, 0,
                      "intuit %s of provider %V (%s:%ui) is refused by Intuit",
                      job->provider->client_secret_file.len
                      ? "client_secret_file" : "client_secret",
                      &job->provider->name, job->provider->file,
                      job->provider->line);

        return ngx_http_intuit_refresh_later(job, "invalid_client", 0);
    }

    return ngx_http_intuit_refresh_later(job, "refused", 0);
}


/* not now: everything stays, and the next try is put off */

static ngx_int_t
ngx_http_intuit_refresh_later(ngx_http_intuit_job_t *job, const char *error,
    ngx_uint_t maybe_sent)
{
    time_t                          now;
    ngx_intuit_connection_t        *c;
    ngx_http_intuit_refresh_ctx_t  *ctx;

    ctx = job->data;
    c = &ctx->connection;
    now = ngx_time();

    c->failures++;
    c->retry_at = now + ngx_http_intuit_refresh_backoff(c->failures);
    c->error.data = (u_char *) error;
    c->error.len = ngx_strlen(error);

    if (maybe_sent && c->maybe_sent == 0) {
        c->maybe_sent = now;
    }

    ngx_log_error(NGX_LOG_WARN, job->log, 0,
                  "intuit refresh failed: %s%s, realm \"%V\", next try in "
                  "%T s, intuit_tid: \"%V\"", error,
                  maybe_sent ? " (it may have reached Intuit)" : "",
                  &c->realm, c->retry_at - now, &c->tid);

    (void) ngx_http_intuit_refresh_save(job);

    return NGX_DECLINED;
}


/* the pair is over: the spare one takes its place, if there is one */

static ngx_int_t
ngx_http_intuit_refresh_dead(ngx_http_intuit_job_t *job, const char *error)
{
    ngx_int_t                       rc;
    ngx_intuit_connection_t        *c;
    ngx_http_intuit_refresh_ctx_t  *ctx;

    ctx = job->data;
    c = &ctx->connection;

    c->error.data = (u_char *) error;
    c->error.len = ngx_strlen(error);
    c->retry_at = 0;
    c->failures = 0;
    c->maybe_sent = 0;

    if (c->spare.access_token.len) {

        c->current = c->spare;
        ngx_memzero(&c->spare, sizeof(ngx_intuit_pair_t));

        ngx_log_error(NGX_LOG_WARN, job->log, 0,
                      "intuit connection goes on with its spare tokens: %s, "
                      "realm \"%V\"", error, &c->realm);

    } else {
        ngx_memzero(&c->current, sizeof(ngx_intuit_pair_t));
        c->dead = 1;

        ngx_log_error(NGX_LOG_ERR, job->log, 0,
                      "intuit connection has ended: %s, realm \"%V\", an "
                      "administrator has to connect the company again, "
                      "intuit_tid: \"%V\"", error, &c->realm, &c->tid);
    }

    rc = ngx_http_intuit_refresh_save(job);

    return rc == NGX_OK ? NGX_DECLINED : rc;
}


/*
 * Fenced by the generation: a job that was overtaken cannot undo what its
 * successor wrote.
 */

static ngx_int_t
ngx_http_intuit_refresh_save(ngx_http_intuit_job_t *job)
{
    ngx_int_t                       rc;
    ngx_str_t                       encoded;
    ngx_http_intuit_refresh_ctx_t  *ctx;

    ctx = job->data;

    if (ngx_intuit_connection_encode(job->pool, &ctx->connection, &encoded)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    rc = ngx_http_intuit_connection_save(job->provider->store, &ctx->id,
                                         &encoded, &ctx->generation,
                                         ngx_time());

    if (rc == NGX_OK) {
        ctx->saved = 1;

        /* no tokens are in it that could be lost */
        ngx_http_intuit_state_flush(job->provider, &ctx->id);

        return NGX_OK;
    }

    ngx_log_error(NGX_LOG_CRIT, job->log, 0,
                  "intuit refresh could not be saved: %s, realm \"%V\"",
                  rc == NGX_DECLINED ? "the connection has changed meanwhile"
                                     : "no room in the shared zone",
                  &ctx->connection.realm);

    return NGX_ERROR;
}


static void
ngx_http_intuit_refresh_done(ngx_http_intuit_job_t *job, ngx_int_t rc)
{
    ngx_http_intuit_refresh_ctx_t  *ctx;

    ctx = job->data;

    if (rc == NGX_OK && job->fetch) {
        ngx_log_error(NGX_LOG_NOTICE, job->log, 0,
                      "intuit refresh succeeded, realm \"%V\", "
                      "intuit_tid: \"%V\"", &ctx->connection.realm,
                      &ctx->connection.tid);
    }

    if (rc == NGX_ERROR && !ctx->saved && ctx->connection.realm.len) {
        /* the deadline, or no memory */
        (void) ngx_http_intuit_refresh_later(job, "no_answer",
                                             job->fetch && job->fetch->sent);
    }

    ngx_http_intuit_save_over(&ctx->save);

    (void) ngx_http_intuit_connection_release(job->provider->store, &ctx->id,
                                              ctx->owner);

    ngx_intuit_cleanse(ctx->connection.current.access_token.data,
                       ctx->connection.current.access_token.len);
    ngx_intuit_cleanse(ctx->connection.current.refresh_token.data,
                       ctx->connection.current.refresh_token.len);
}


/* 1, 2, 4 ... seconds, and up to a quarter more at random */

static time_t
ngx_http_intuit_refresh_backoff(time_t failures)
{
    u_char  jitter;
    time_t  t;

    t = (failures < 7) ? (time_t) 1 << (failures - 1)
                       : NGX_HTTP_INTUIT_BACKOFF_MAX;
    t = ngx_min(t, NGX_HTTP_INTUIT_BACKOFF_MAX);

    if (ngx_intuit_random(&jitter, 1) != NGX_OK) {
        jitter = 0;
    }

    return t + t * jitter / 1024;
}


ngx_int_t
ngx_http_intuit_refresh_view(ngx_http_request_t *r,
    ngx_http_intuit_ctx_t *ctx, ngx_http_intuit_view_t *view)
{
    ngx_int_t  rc;

    if (ctx->parked) {
        return NGX_AGAIN;
    }

    if (ctx->waits && ngx_http_intuit_refresh_reload(r, view) != NGX_OK) {
        return NGX_ERROR;
    }

    for ( ;; ) {

        rc = ngx_http_intuit_refresh(view->provider,
                                     &view->loaded.connection,
                                     view->loaded.generation,
                                     &ctx->connection);
        if (rc != NGX_AGAIN) {
            return rc;
        }

        if (ctx->waits++ == NGX_HTTP_INTUIT_WAITS_MAX) {
            return NGX_ERROR;
        }

        ctx->provider = view->provider;
        ctx->generation = view->loaded.generation;

        if (!ngx_http_intuit_refresh_ready(ctx)) {
            break;
        }

        /* over already */

        if (ngx_http_intuit_refresh_reload(r, view) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    if (ngx_http_intuit_park(r, ctx, ngx_http_intuit_refresh_ready,
                             ngx_http_core_run_phases)
        != NGX_OK)
    {
        return NGX_BUSY;
    }

    return NGX_AGAIN;
}


static ngx_int_t
ngx_http_intuit_refresh_reload(ngx_http_request_t *r,
    ngx_http_intuit_view_t *view)
{
    ngx_http_intuit_id_t  id;

    if (ngx_http_intuit_store_id(&id, "connection", view->provider,
                                 &view->loaded.connection.realm)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_intuit_connection_load(view->provider->store, &id, r->pool,
                                           &view->loaded.connection,
                                           &view->loaded.generation);
}


static ngx_uint_t
ngx_http_intuit_refresh_ready(ngx_http_intuit_ctx_t *ctx)
{
    uint64_t    generation;
    ngx_uint_t  leased;

    if (ngx_http_intuit_connection_peek(ctx->provider->store,
                                        &ctx->connection, ngx_time(),
                                        &generation, &leased)
        != NGX_OK)
    {
        return 1;
    }

    return generation != ctx->generation || !leased;
}
