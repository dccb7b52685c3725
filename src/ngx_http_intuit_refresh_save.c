/*
 * What a refresh brings into the connection's record.  A login may have
 * changed that record meanwhile, and another worker, if this one was stopped
 * for longer than its lease: so the outcome is applied to the pair that was
 * refreshed, wherever that is now, and to nothing else.
 */

#include "ngx_http_intuit_pending.h"
#include "ngx_http_intuit_refresh.h"


#define NGX_HTTP_INTUIT_SAVE_TRIES      8
#define NGX_HTTP_INTUIT_SAVE_PAUSE      500     /* ms, where there is no room */
#define NGX_HTTP_INTUIT_BACKOFF_MAX     60      /* s between two failures */
#define NGX_HTTP_INTUIT_CLIENT_HOLD     60      /* s after invalid_client */
#define NGX_HTTP_INTUIT_SPARE_HOLD      3600    /* s after a failure */
#define NGX_HTTP_INTUIT_FAILURES_MAX    3       /* in a row, of a provider */


static ngx_uint_t ngx_http_intuit_refresh_own(ngx_http_intuit_job_t *job,
    uint64_t before);
static ngx_int_t ngx_http_intuit_refresh_merge(ngx_http_intuit_job_t *job,
    ngx_intuit_connection_t *c, ngx_uint_t found);
static ngx_int_t ngx_http_intuit_refresh_apply(ngx_http_intuit_job_t *job,
    ngx_intuit_connection_t *c);
static ngx_int_t ngx_http_intuit_refresh_saved(ngx_http_intuit_job_t *job);
static void ngx_http_intuit_refresh_lost(ngx_http_intuit_job_t *job,
    ngx_int_t rc);
static ngx_int_t ngx_http_intuit_refresh_reread(ngx_http_intuit_job_t *job);
static ngx_intuit_pair_t *ngx_http_intuit_refresh_pair(
    ngx_http_intuit_job_t *job, ngx_intuit_connection_t *c);
static ngx_intuit_pair_t *ngx_http_intuit_refresh_late(
    ngx_http_intuit_job_t *job, ngx_intuit_connection_t *c);
static void ngx_http_intuit_refresh_revoke(ngx_http_intuit_job_t *job);
static void ngx_http_intuit_refresh_forget(ngx_intuit_connection_t *c);
static void ngx_http_intuit_refresh_put_off(ngx_http_intuit_job_t *job,
    ngx_intuit_connection_t *c);
static void ngx_http_intuit_refresh_bury(ngx_http_intuit_job_t *job,
    ngx_intuit_connection_t *c, ngx_intuit_pair_t *pair);
static void ngx_http_intuit_refresh_say(ngx_http_intuit_job_t *job,
    const ngx_intuit_connection_t *c);
static void ngx_http_intuit_refresh_say_spare(ngx_http_intuit_job_t *job,
    const ngx_intuit_connection_t *c);
static ngx_uint_t ngx_http_intuit_refresh_is(
    const ngx_http_intuit_refresh_ctx_t *ctx, const char *error);
static time_t ngx_http_intuit_refresh_backoff(time_t failures);


/*
 * Fenced by the generation: a job that was overtaken cannot undo what its
 * successor wrote.
 */

ngx_int_t
ngx_http_intuit_refresh_save(ngx_http_intuit_job_t *job)
{
    uint64_t                        before;
    ngx_int_t                       rc;
    ngx_str_t                       encoded;
    ngx_uint_t                      i;
    ngx_intuit_connection_t         c;
    ngx_http_intuit_refresh_ctx_t  *ctx;

    ctx = job->data;
    rc = NGX_ERROR;

    if (ctx->result == NGX_HTTP_INTUIT_REFRESH_RENEWED) {

        /* tokens: into their file before anybody uses them */

        ngx_http_intuit_refresh_note(job);

        ctx->save.merge = ngx_http_intuit_refresh_merge;
        ctx->save.next = ngx_http_intuit_refresh_saved;

        return ngx_http_intuit_save(job, &ctx->save);
    }

    for (i = 0; i < NGX_HTTP_INTUIT_SAVE_TRIES; i++) {

        c = ctx->connection;

        rc = ngx_http_intuit_refresh_apply(job, &c);

        if (rc == NGX_DONE) {
            return NGX_OK;
        }

        if (ngx_intuit_connection_encode(job->pool, &c, &encoded) != NGX_OK) {
            return NGX_ERROR;
        }

        before = ctx->generation;

        rc = ngx_http_intuit_connection_save(job->provider->store, &ctx->id,
                                             &encoded, &ctx->generation,
                                             ngx_time());

        ngx_intuit_cleanse(encoded.data, encoded.len);

        if (rc == NGX_OK) {
            ctx->saved = 1;
            ngx_http_intuit_refresh_say(job, &c);

            /* no tokens are in it that could be lost */

            if (!ngx_http_intuit_refresh_own(job, before)) {
                ngx_http_intuit_state_flush(job->provider, &ctx->id);
            }

            return NGX_OK;
        }

        if (rc != NGX_DECLINED) {
            break;
        }

        rc = ngx_http_intuit_refresh_reread(job);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    ngx_http_intuit_refresh_lost(job, rc);

    return NGX_ERROR;
}


/*
 * That Intuit cannot be reached from here is not told to the hosts that share
 * the store: they may reach it.
 */

static ngx_uint_t
ngx_http_intuit_refresh_own(ngx_http_intuit_job_t *job, uint64_t before)
{
    ngx_http_intuit_synced_t        synced;
    ngx_http_intuit_refresh_ctx_t  *ctx;

    ctx = job->data;

    if (job->provider->redis == NULL
        || ctx->result != NGX_HTTP_INTUIT_REFRESH_LATER
        || ctx->maybe_sent || ctx->abandoned
        || !(ngx_http_intuit_refresh_is(ctx, "no_answer")
             || ngx_http_intuit_refresh_is(ctx, "temporarily_unavailable"))
        || ngx_http_intuit_connection_synced(job->provider->store, &ctx->id,
                                             &synced)
           != NGX_OK
        || synced.synced != before)
    {
        return 0;
    }

    synced.synced = ctx->generation;
    ngx_http_intuit_connection_sync(job->provider->store, &ctx->id, &synced);

    return 1;
}


/* the record as it is by now, with what the refresh has brought */

static ngx_int_t
ngx_http_intuit_refresh_merge(ngx_http_intuit_job_t *job,
    ngx_intuit_connection_t *c, ngx_uint_t found)
{
    ngx_int_t                       rc;
    ngx_http_intuit_refresh_ctx_t  *ctx;

    ctx = job->data;

    if (!found) {
        ngx_http_intuit_refresh_revoke(job);
        return NGX_DECLINED;
    }

    rc = ngx_http_intuit_refresh_apply(job, c);

    if (rc == NGX_OK) {
        ctx->connection = *c;
    }

    return rc;
}


/* NGX_OK, or NGX_DONE: the pair is no longer there */

static ngx_int_t
ngx_http_intuit_refresh_apply(ngx_http_intuit_job_t *job,
    ngx_intuit_connection_t *c)
{
    ngx_intuit_pair_t              *pair;
    ngx_http_intuit_refresh_ctx_t  *ctx;

    ctx = job->data;

    pair = ngx_http_intuit_refresh_pair(job, c);

    if (pair == NULL) {
        ngx_log_error(NGX_LOG_NOTICE, job->log, 0,
                      "intuit refresh came too late: the connection has "
                      "%s tokens now, realm \"%V\"",
                      ngx_http_intuit_pending_disconnected(c) ? "no" : "other",
                      &c->realm);

        if (ngx_http_intuit_pending_disconnected(c)) {
            ngx_http_intuit_refresh_revoke(job);
        }

        if (ctx->result != NGX_HTTP_INTUIT_REFRESH_RENEWED
            || c->arrived.access_token.len == 0)
        {
            ctx->result = NGX_HTTP_INTUIT_REFRESH_OVER;
            return NGX_DONE;
        }

        ctx->result = NGX_HTTP_INTUIT_REFRESH_OVER;

        ngx_http_intuit_refresh_forget(c);

        return NGX_OK;
    }

    c->tid = ctx->tid;

    if (ctx->result == NGX_HTTP_INTUIT_REFRESH_RENEWED) {
        ngx_http_intuit_refresh_renewed(job, c, pair);

    } else if (ctx->result == NGX_HTTP_INTUIT_REFRESH_DEAD) {
        ngx_http_intuit_refresh_bury(job, c, pair);

    } else if (pair == &c->current) {
        ngx_http_intuit_refresh_put_off(job, c);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_intuit_refresh_saved(ngx_http_intuit_job_t *job)
{
    ngx_http_intuit_refresh_ctx_t  *ctx;

    ctx = job->data;

    if (ctx->result == NGX_HTTP_INTUIT_REFRESH_OVER) {
        return NGX_OK;
    }

    if (ctx->save.rc == NGX_OK) {
        ctx->saved = 1;
        ngx_http_intuit_refresh_say(job, &ctx->connection);
        return NGX_OK;
    }

    if (ctx->save.rc == NGX_DECLINED) {
        return NGX_DECLINED;
    }

    ngx_http_intuit_refresh_lost(job, ctx->save.rc);

    if (ctx->save.rc == NGX_BUSY && !job->ended
        && ngx_current_msec - ctx->busy
           < ngx_http_intuit_job_deadline(job->provider))
    {
        /* nobody else has these tokens: as long as there is time */

        job->step = ngx_http_intuit_refresh_save;
        return ngx_http_intuit_job_wait_for(job,
                                            NGX_HTTP_INTUIT_SAVE_PAUSE);
    }

    return NGX_ERROR;
}


static void
ngx_http_intuit_refresh_lost(ngx_http_intuit_job_t *job, ngx_int_t rc)
{
    ngx_http_intuit_refresh_ctx_t  *ctx;

    ctx = job->data;

    if (ctx->unsaved) {
        return;
    }

    ctx->unsaved = 1;
    ctx->busy = ngx_current_msec;

    ngx_log_error(NGX_LOG_CRIT, job->log, 0,
                  "intuit refresh could not be saved: %s, realm \"%V\"",
                  rc == NGX_BUSY ? "no room in the shared zone"
                                 : "the record cannot be written",
                  &ctx->connection.realm);
}


/* NGX_DECLINED: the connection is gone, and whatever came for it with it */

static ngx_int_t
ngx_http_intuit_refresh_reread(ngx_http_intuit_job_t *job)
{
    ngx_int_t                       rc;
    ngx_intuit_connection_t         c;
    ngx_http_intuit_refresh_ctx_t  *ctx;

    ctx = job->data;

    rc = ngx_http_intuit_connection_load(job->provider->store, &ctx->id,
                                         job->pool, &c, &ctx->generation);
    if (rc != NGX_OK) {
        return rc;
    }

    ctx->connection = c;

    return NGX_OK;
}


/* the pair that was refreshed; an access token is nobody else's */

static ngx_intuit_pair_t *
ngx_http_intuit_refresh_pair(ngx_http_intuit_job_t *job,
    ngx_intuit_connection_t *c)
{
    ngx_str_t                      *token;
    ngx_http_intuit_refresh_ctx_t  *ctx;

    ctx = job->data;
    token = &ctx->sent.access_token;

    if (c->current.access_token.len == token->len
        && ngx_memcmp(c->current.access_token.data, token->data, token->len)
           == 0)
    {
        return &c->current;
    }

    if (c->spare.access_token.len == token->len
        && ngx_memcmp(c->spare.access_token.data, token->data, token->len)
           == 0)
    {
        return &c->spare;
    }

    return ngx_http_intuit_refresh_late(job, c);
}


/*
 * The connection was ended here while Intuit made new tokens of those that are
 * being revoked, which it may know no more when it is asked.
 */

static void
ngx_http_intuit_refresh_revoke(ngx_http_intuit_job_t *job)
{
    ngx_str_t                       token[2];
    ngx_http_intuit_job_t          *revoke;
    ngx_http_intuit_refresh_ctx_t  *ctx;

    ctx = job->data;

    if (ctx->result != NGX_HTTP_INTUIT_REFRESH_RENEWED
        || ctx->tokens.refresh_token.len == 0
        || ngx_intuit_equal(&ctx->tokens.refresh_token,
                            &ctx->sent.refresh_token))
    {
        return;
    }

    token[0] = ctx->tokens.refresh_token;
    token[1] = ctx->tokens.access_token;

    revoke = ngx_http_intuit_revoke_create(job->provider,
                                           &ctx->connection.realm, token);
    if (revoke) {
        ngx_http_intuit_revoke_run(revoke, NULL);
    }
}


/*
 * Whoever took over from us was refused because of what we have got: nobody
 * else has it.
 */

static ngx_intuit_pair_t *
ngx_http_intuit_refresh_late(ngx_http_intuit_job_t *job,
    ngx_intuit_connection_t *c)
{
    ngx_str_t                      *mine, *theirs;
    ngx_http_intuit_refresh_ctx_t  *ctx;

    ctx = job->data;

    if (ctx->result != NGX_HTTP_INTUIT_REFRESH_RENEWED
        || ngx_http_intuit_pending_disconnected(c))
    {
        return NULL;
    }

    if (c->dead) {
        c->dead = 0;
        c->current = ctx->sent;
        return &c->current;
    }

    mine = ctx->tokens.refresh_token.len ? &ctx->tokens.refresh_token
                                         : &ctx->sent.refresh_token;
    theirs = &c->current.refresh_token;

    if (c->spare.access_token.len
        || (mine->len == theirs->len
            && ngx_memcmp(mine->data, theirs->data, mine->len) == 0))
    {
        return NULL;
    }

    c->spare = ctx->sent;

    return &c->spare;
}


void
ngx_http_intuit_refresh_renewed(ngx_http_intuit_job_t *job,
    ngx_intuit_connection_t *c, ngx_intuit_pair_t *pair)
{
    ngx_intuit_tokens_t            *tokens;
    ngx_http_intuit_refresh_ctx_t  *ctx;

    ctx = job->data;
    tokens = &ctx->tokens;

    ngx_http_intuit_refresh_forget(c);

    pair->access_token = tokens->access_token;
    pair->refreshed = ctx->received;
    pair->expires = ctx->received + tokens->expires_in;

    /* RFC 6749, section 6: without a new one the old one goes on */

    if (tokens->refresh_token.len) {
        pair->refresh_token = tokens->refresh_token;
    }

    if (pair == &c->current
        && ngx_intuit_equal(&c->spare.refresh_token,
                            &ctx->sent.refresh_token))
    {
        /* no grant of its own, and the next one to send it would be refused */
        ngx_memzero(&c->spare, sizeof(ngx_intuit_pair_t));
    }

    if (tokens->scope.len) {
        pair->scope = tokens->scope;
    }

    if (tokens->refresh_expires_in) {
        pair->refresh_expires = ctx->received + tokens->refresh_expires_in;
    }

    if (tokens->refresh_hard_expires_in) {
        pair->hard_expires = ctx->received + tokens->refresh_hard_expires_in;
    }

    if (pair == &c->current) {
        c->retry_at = 0;
        c->failures = 0;
        c->maybe_sent = 0;
        ngx_str_null(&c->error);
    }
}


/* what had arrived is in a pair now, or of no use */

static void
ngx_http_intuit_refresh_forget(ngx_intuit_connection_t *c)
{
    ngx_memzero(&c->arrived, sizeof(ngx_intuit_pair_t));
    ngx_str_null(&c->renews);
}


static void
ngx_http_intuit_refresh_put_off(ngx_http_intuit_job_t *job,
    ngx_intuit_connection_t *c)
{
    time_t                          now, wait;
    ngx_http_intuit_refresh_ctx_t  *ctx;

    ctx = job->data;
    now = ngx_time();

    c->failures++;

    wait = ngx_http_intuit_refresh_backoff(c->failures);

    if (ngx_http_intuit_refresh_is(ctx, "invalid_client")) {
        wait = NGX_HTTP_INTUIT_CLIENT_HOLD;
    }

    if (job->fetch && job->fetch->done) {
        wait = ngx_max(wait, job->fetch->retry_after);
    }

    c->retry_at = now + wait;
    c->error.data = (u_char *) ctx->error;
    c->error.len = ngx_strlen(ctx->error);

    if ((ctx->maybe_sent || ctx->abandoned) && c->maybe_sent == 0) {
        c->maybe_sent = now;
    }
}


static void
ngx_http_intuit_refresh_bury(ngx_http_intuit_job_t *job,
    ngx_intuit_connection_t *c, ngx_intuit_pair_t *pair)
{
    ngx_http_intuit_refresh_ctx_t  *ctx;

    ctx = job->data;

    if (pair == &c->spare) {
        ngx_memzero(&c->spare, sizeof(ngx_intuit_pair_t));
        return;
    }

    if ((c->maybe_sent || ctx->abandoned)
        && ngx_http_intuit_refresh_is(ctx, "invalid_grant"))
    {

        /* an answer that never came has brought another token */

        ctx->error = "rotation_lost";
    }

    c->error.data = (u_char *) ctx->error;
    c->error.len = ngx_strlen(ctx->error);
    c->retry_at = 0;
    c->failures = 0;
    c->maybe_sent = 0;

    c->current = c->spare;
    ngx_memzero(&c->spare, sizeof(ngx_intuit_pair_t));

    c->dead = (c->current.access_token.len == 0);
}


static void
ngx_http_intuit_refresh_say(ngx_http_intuit_job_t *job,
    const ngx_intuit_connection_t *c)
{
    ngx_http_intuit_refresh_ctx_t  *ctx;

    ctx = job->data;

    if (ctx->spare) {
        ngx_http_intuit_refresh_say_spare(job, c);
        return;
    }

    ngx_http_intuit_store_count(job->provider->store,
                      ctx->result == NGX_HTTP_INTUIT_REFRESH_RENEWED
                      ? NGX_HTTP_INTUIT_N_REFRESHED
                      : ctx->result == NGX_HTTP_INTUIT_REFRESH_DEAD
                      ? NGX_HTTP_INTUIT_N_REFRESH_ENDED
                      : NGX_HTTP_INTUIT_N_REFRESH_FAILED);

    switch (ctx->result) {

    case NGX_HTTP_INTUIT_REFRESH_RENEWED:
        ngx_http_intuit_client_accepted(job);

        ngx_log_error(NGX_LOG_NOTICE, job->log, 0,
                      "intuit refresh succeeded, realm \"%V\", "
                      "intuit_tid: \"%V\"", &c->realm, &c->tid);
        break;

    case NGX_HTTP_INTUIT_REFRESH_DEAD:
        if (c->dead) {
            ngx_log_error(NGX_LOG_ERR, job->log, 0,
                          "intuit connection has ended: %s, realm \"%V\", an "
                          "administrator has to connect the company again, "
                          "intuit_tid: \"%V\"",
                          ctx->error, &c->realm, &c->tid);
            break;
        }

        ngx_log_error(NGX_LOG_WARN, job->log, 0,
                      "intuit connection goes on with its spare tokens: %s, "
                      "realm \"%V\"", ctx->error, &c->realm);
        break;

    default:
        ngx_log_error(NGX_LOG_WARN, job->log, 0,
                      "intuit refresh failed: %s%s, realm \"%V\", next try in "
                      "%T s, intuit_tid: \"%V\"", ctx->error,
                      ctx->maybe_sent ? " (it may have reached Intuit)" : "",
                      &c->realm, c->retry_at - ngx_time(), &c->tid);
    }
}


/* nobody needs it just now */

static void
ngx_http_intuit_refresh_say_spare(ngx_http_intuit_job_t *job,
    const ngx_intuit_connection_t *c)
{
    ngx_http_intuit_refresh_ctx_t  *ctx;

    ctx = job->data;

    if (ctx->result == NGX_HTTP_INTUIT_REFRESH_RENEWED) {
        ngx_log_error(NGX_LOG_NOTICE, job->log, 0,
                      "intuit refresh of the spare tokens succeeded, "
                      "realm \"%V\", intuit_tid: \"%V\"", &c->realm,
                      &c->tid);
        return;
    }

    ngx_log_error(NGX_LOG_WARN, job->log, 0,
                  "intuit refresh of the spare tokens failed: %s%s, "
                  "realm \"%V\", intuit_tid: \"%V\"", ctx->error,
                  ctx->result == NGX_HTTP_INTUIT_REFRESH_DEAD
                  ? ", they are dropped" : "", &c->realm, &c->tid);
}


/*
 * Keeps the provider's other connections from asking as well, in all workers:
 * at once after invalid_client or when Intuit says for how long, else after
 * several failures in a row.
 */

void
ngx_http_intuit_refresh_hold(ngx_http_intuit_job_t *job)
{
    time_t                          now, wait;
    ngx_http_intuit_id_t            id;
    ngx_http_intuit_runtime_t      *rt;
    ngx_http_intuit_refresh_ctx_t  *ctx;

    ctx = job->data;
    rt = job->provider->runtime;
    wait = 0;

    if (ngx_http_intuit_refresh_is(ctx, "invalid_client")) {
        wait = NGX_HTTP_INTUIT_CLIENT_HOLD;

    } else if (!ngx_http_intuit_refresh_is(ctx, "refused")
               && !ngx_http_intuit_refresh_is(ctx, "not_saved"))
    {
        /* what answers is about one connection only */

        rt->refresh_failures++;

        if (rt->refresh_failures >= NGX_HTTP_INTUIT_FAILURES_MAX) {
            wait = ngx_http_intuit_refresh_backoff(
                                             rt->refresh_failures
                                             - NGX_HTTP_INTUIT_FAILURES_MAX
                                             + 1);
        }

        if (job->fetch && job->fetch->done) {
            wait = ngx_max(wait, job->fetch->retry_after);
        }
    }

    now = ngx_time();

    if (ctx->spare
        && ngx_http_intuit_store_id(&id, "spare", job->provider,
                                    &ctx->connection.realm)
           == NGX_OK)
    {
        ngx_http_intuit_hold(job->provider->store, &id,
                             now + NGX_HTTP_INTUIT_SPARE_HOLD, now);
    }

    if (wait) {
        ngx_memcpy(id.data, job->provider->identity, NGX_HTTP_INTUIT_ID_LEN);
        ngx_http_intuit_hold(job->provider->store, &id, now + wait, now);
    }
}


static ngx_uint_t
ngx_http_intuit_refresh_is(const ngx_http_intuit_refresh_ctx_t *ctx,
    const char *error)
{
    return ngx_strcmp(ctx->error, error) == 0;
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
