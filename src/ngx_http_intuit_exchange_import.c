/*
 * Tokens that an operator has brought, by intuit_connect or intuit_migrate:
 *
 *   tokens -> keep -> realm -> company -> allow -> save
 *
 * They have replaced others at Intuit already, which nobody can give once
 * more.  So they are kept, before anything else can fail, until Intuit has
 * said whose they are; they serve nobody until then.
 */

#include "ngx_http_intuit_exchange.h"
#include "ngx_http_intuit_pending.h"
#include "ngx_http_intuit_state.h"


#define NGX_HTTP_INTUIT_IMPORT_WAIT  5       /* s, doubled each time */
#define NGX_HTTP_INTUIT_IMPORT_MAX   300


static ngx_int_t ngx_http_intuit_import_merge(ngx_http_intuit_job_t *job,
    ngx_intuit_connection_t *c, ngx_uint_t found);
static ngx_int_t ngx_http_intuit_import_kept(ngx_http_intuit_job_t *job);
static ngx_int_t ngx_http_intuit_import_lock(ngx_http_intuit_job_t *job);
static ngx_int_t ngx_http_intuit_import_locked(ngx_http_intuit_job_t *job);
static ngx_int_t ngx_http_intuit_import_taken(ngx_http_intuit_job_t *job);
static ngx_int_t ngx_http_intuit_import_found(ngx_http_intuit_job_t *job,
    const ngx_str_t *plain);
static ngx_int_t ngx_http_intuit_import_again(ngx_http_intuit_job_t *job);


ngx_int_t
ngx_http_intuit_import_keep(ngx_http_intuit_job_t *job)
{
    ngx_http_intuit_exchange_ctx_t  *ctx;

    ctx = job->data;

    ngx_http_intuit_exchange_pair(job, &ctx->pair);

    if (ctx->in.realm.len == 0) {
        /* of no company: there is nothing that could be proven */
        job->step = ngx_http_intuit_exchange_realm;
        return NGX_OK;
    }

    if (ngx_http_intuit_store_id(&ctx->import.id, "import", job->provider,
                                 &ctx->in.realm)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    ctx->import.merge = ngx_http_intuit_import_merge;
    ctx->import.next = ngx_http_intuit_import_kept;

    return ngx_http_intuit_save(job, &ctx->import);
}


/* the last one that was brought for a company counts */

static ngx_int_t
ngx_http_intuit_import_merge(ngx_http_intuit_job_t *job,
    ngx_intuit_connection_t *c, ngx_uint_t found)
{
    ngx_http_intuit_exchange_ctx_t  *ctx;

    (void) found;

    ctx = job->data;

    ngx_memzero(c, sizeof(ngx_intuit_connection_t));

    c->realm = ctx->in.realm;
    c->current = ctx->pair;
    c->spare.refresh_token = ctx->in.given[0];

    ngx_http_intuit_pending_init(job->provider, c,
                                 NGX_HTTP_INTUIT_PENDING_IMPORT);

    return NGX_OK;
}


static ngx_int_t
ngx_http_intuit_import_kept(ngx_http_intuit_job_t *job)
{
    ngx_http_intuit_exchange_ctx_t  *ctx;

    ctx = job->data;

    if (ctx->import.unwritten) {
        /* from now on it means nothing that there is no file */
        ngx_http_intuit_note(job->provider, "unwritten", 1, NULL);
    }

    if (ctx->import.rc == NGX_OK) {
        ctx->kept = 1;

    } else {
        ngx_log_error(NGX_LOG_CRIT, job->log, 0,
                      "intuit %s could not keep the tokens, realm \"%V\"",
                      job->name, &ctx->in.realm);
    }

    ngx_http_intuit_job_go_on(job);

    job->step = ngx_http_intuit_exchange_realm;

    return NGX_OK;
}


void
ngx_http_intuit_import_resume(ngx_http_intuit_provider_t *provider,
    const ngx_http_intuit_id_t *id, const ngx_intuit_connection_t *c)
{
    ngx_http_intuit_exchange_t   in;
    ngx_http_intuit_exchanged_t  kept;

    ngx_memzero(&in, sizeof(ngx_http_intuit_exchange_t));

    in.realm = c->realm;
    in.given[0] = c->spare.refresh_token;
    in.begin = ngx_http_intuit_import_lock;
    in.connect = 1;

    kept.id = *id;
    kept.pair = c->current;
    kept.failures = c->failures;

    in.kept = &kept;

    (void) ngx_http_intuit_exchange_start(provider, &in);
}


/* another nginx that shares the directory, and knows them from there, may be
 * at it: of two that send one refresh token Intuit ends both */

static ngx_int_t
ngx_http_intuit_import_lock(ngx_http_intuit_job_t *job)
{
    ngx_http_intuit_exchange_ctx_t  *ctx;

    ctx = job->data;
    ctx->import.next = ngx_http_intuit_import_locked;

    return ngx_http_intuit_save_begin(job, &ctx->import, 0);
}


/* the file says how far they have got; generations tell nothing here, those of
 * a put-off try are in no file */

static ngx_int_t
ngx_http_intuit_import_locked(ngx_http_intuit_job_t *job)
{
    const ngx_str_t                 *plain;
    ngx_http_intuit_note_t           note;
    ngx_http_intuit_exchange_ctx_t  *ctx;

    ctx = job->data;
    job->step = ngx_http_intuit_import_again;

    if (ctx->import.lock == NULL) {
        return NGX_OK;
    }

    plain = ngx_http_intuit_state_found(ctx->import.lock);

    if (plain) {
        return ngx_http_intuit_import_found(job, plain);
    }

    return ngx_http_intuit_noted(job->provider, "unwritten", &note) == NGX_OK
           ? NGX_OK : ngx_http_intuit_import_taken(job);
}


static ngx_int_t
ngx_http_intuit_import_found(ngx_http_intuit_job_t *job,
    const ngx_str_t *plain)
{
    ngx_str_t                        copy;
    ngx_intuit_connection_t          c;
    ngx_http_intuit_exchange_ctx_t  *ctx;

    ctx = job->data;

    copy.len = plain->len;
    copy.data = ngx_pstrdup(job->pool, (ngx_str_t *) plain);

    if (copy.data == NULL) {
        return NGX_ERROR;
    }

    if (ngx_intuit_connection_decode(&copy, &c) != NGX_OK
        || c.current.refreshed < ctx->pair.refreshed)
    {
        return NGX_OK;
    }

    ctx->pair = c.current;
    ctx->tokens.access_token = c.current.access_token;

    return NGX_OK;
}


/* what is in no file any more has been brought to an end there */

static ngx_int_t
ngx_http_intuit_import_taken(ngx_http_intuit_job_t *job)
{
    ngx_http_intuit_exchange_ctx_t  *ctx;

    ctx = job->data;

    ngx_log_error(NGX_LOG_NOTICE, job->log, 0,
                  "intuit %s was brought to an end by another nginx, "
                  "realm \"%V\"", job->name, &ctx->in.realm);

    ngx_http_intuit_pending_remove(job->provider, &ctx->import.id,
                                   &ctx->pair.access_token);
    ctx->kept = 0;

    ctx->result.state = NGX_HTTP_INTUIT_LOGIN_FAILED;
    ctx->result.error = NGX_HTTP_INTUIT_E_IMPORT;

    return NGX_DECLINED;
}


/* their access token may have ended meanwhile */

static ngx_int_t
ngx_http_intuit_import_again(ngx_http_intuit_job_t *job)
{
    ngx_int_t                        rc;
    ngx_str_t                        form;
    ngx_http_intuit_exchange_ctx_t  *ctx;

    ctx = job->data;

    rc = ngx_http_intuit_endpoints_wait(job, &ctx->endpoints,
                                        ngx_http_intuit_import_again);
    if (rc != NGX_OK) {
        return rc == NGX_AGAIN ? rc : NGX_ERROR;
    }

    if (ctx->pair.expires > ngx_time()) {
        job->step = ngx_http_intuit_exchange_realm;
        return NGX_OK;
    }

    if (ctx->pair.refresh_token.len == 0) {
        return ngx_http_intuit_exchange_fail(job, NGX_HTTP_INTUIT_E_IMPORT,
                                             "the tokens have ended");
    }

    ctx->in.given[0] = ctx->pair.refresh_token;

    if (ngx_intuit_refresh_request(job->pool, &ctx->in.given[0], &form)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_intuit_token_post(job, &ctx->endpoints, &form,
                                      ngx_http_intuit_exchange_tokens);
}


/* what Intuit has not answered does not end what it has given */

void
ngx_http_intuit_import_end(ngx_http_intuit_job_t *job)
{
    time_t                           wait;
    ngx_http_intuit_login_t         *result;
    ngx_http_intuit_exchange_ctx_t  *ctx;

    ctx = job->data;
    result = &ctx->result;

    if (!ctx->kept) {
        return;
    }

    if (result->state == NGX_HTTP_INTUIT_LOGIN_DONE
        || result->error == NGX_HTTP_INTUIT_E_REALM_UNPROVEN
        || result->error == NGX_HTTP_INTUIT_E_REALM_DENIED
        || result->error == NGX_HTTP_INTUIT_E_IMPORT)
    {
        ngx_http_intuit_pending_remove(job->provider, &ctx->import.id,
                                       &ctx->pair.access_token);
        return;
    }

    result->error = NGX_HTTP_INTUIT_E_PENDING;

    wait = ctx->failures < 6 ? NGX_HTTP_INTUIT_IMPORT_WAIT << ctx->failures
                             : NGX_HTTP_INTUIT_IMPORT_MAX;

    if (job->fetch && job->fetch->done) {
        wait = ngx_max(wait, job->fetch->retry_after);
    }

    ngx_log_error(NGX_LOG_WARN, job->log, 0,
                  "intuit %s waits for Intuit: the tokens are kept, next try "
                  "in %T s, realm \"%V\"", job->name, wait, &ctx->in.realm);

    ngx_http_intuit_pending_later(job->provider, &ctx->import.id,
                                  &ctx->pair.access_token, wait);
}
