/*
 * The key probe: once for each new id and secret, a token request with a
 * bogus code.  invalid_grant: the keys are good; invalid_client: they are
 * not.  It answers the newcomer's first question and holds nothing up.
 */

#include "ngx_http_intuit_discovery.h"


#define NGX_HTTP_INTUIT_PROBE_DELAY  100            /* ms after start */
#define NGX_HTTP_INTUIT_PROBE_MAX    (600 * 1000)   /* ms between tries */
#define NGX_HTTP_INTUIT_PROBE_KEEP   (10 * 365 * 86400)


static void ngx_http_intuit_probe_timer(ngx_event_t *ev);
static ngx_int_t ngx_http_intuit_probe_id(
    ngx_http_intuit_provider_t *provider, ngx_http_intuit_id_t *id);
static ngx_int_t ngx_http_intuit_note_id(ngx_http_intuit_provider_t *provider,
    const char *kind, ngx_http_intuit_id_t *id);
static ngx_int_t ngx_http_intuit_probe_fetch(ngx_http_intuit_job_t *job);
static ngx_int_t ngx_http_intuit_probe_answer(ngx_http_intuit_job_t *job);
static void ngx_http_intuit_probe_done(ngx_http_intuit_job_t *job,
    ngx_int_t rc);
static void ngx_http_intuit_probe_again(
    ngx_http_intuit_provider_t *provider);


ngx_int_t
ngx_http_intuit_probe_init(ngx_cycle_t *cycle,
    ngx_http_intuit_main_conf_t *imcf)
{
    ngx_uint_t                    i;
    ngx_event_t                  *ev;
    ngx_http_intuit_provider_t  **provider;

    provider = imcf->providers.elts;

    for (i = 0; i < imcf->providers.nelts; i++) {

        if (!provider[i]->probe || provider[i]->fetch_conf == NULL) {
            continue;
        }

        ev = &provider[i]->runtime->probe;

        ev->handler = ngx_http_intuit_probe_timer;
        ev->data = provider[i];
        ev->log = cycle->log;
        ev->cancelable = 1;

        provider[i]->runtime->probe_delay = NGX_HTTP_INTUIT_PROBE_DELAY;

        ngx_add_timer(ev, NGX_HTTP_INTUIT_PROBE_DELAY);
    }

    return NGX_OK;
}


static void
ngx_http_intuit_probe_timer(ngx_event_t *ev)
{
    time_t                       now;
    ngx_int_t                    rc;
    ngx_pool_t                  *pool;
    ngx_http_intuit_id_t         id;
    ngx_http_intuit_job_t       *job;
    ngx_http_intuit_login_t      probe;
    ngx_http_intuit_provider_t  *provider;

    provider = ev->data;
    now = ngx_time();

    if (ngx_exiting || ngx_http_intuit_probe_id(provider, &id) != NGX_OK) {
        return;
    }

    pool = ngx_create_pool(NGX_MIN_POOL_SIZE, ev->log);
    if (pool == NULL) {
        return;
    }

    probe.deadline = now + ngx_http_intuit_job_deadline(provider) / 1000 + 2;
    probe.expires = now + NGX_HTTP_INTUIT_PROBE_KEEP;

    rc = ngx_http_intuit_login_begin(provider->store, &id, now, pool, &probe);

    ngx_destroy_pool(pool);

    if (rc == NGX_DECLINED) {

        /* asked already; what failed before a reload is tried again */

        if (probe.state == NGX_HTTP_INTUIT_LOGIN_FAILED) {
            ngx_http_intuit_probe_again(provider);
        }

        return;
    }

    if (rc != NGX_OK) {
        ngx_http_intuit_probe_again(provider);
        return;
    }

    job = ngx_http_intuit_job_create(provider, "probe");
    if (job == NULL) {
        ngx_memzero(&probe, sizeof(ngx_http_intuit_login_t));
        probe.state = NGX_HTTP_INTUIT_LOGIN_FAILED;
        (void) ngx_http_intuit_login_end(provider->store, &id, &probe, now);
        return;
    }

    job->step = ngx_http_intuit_probe_fetch;
    job->done = ngx_http_intuit_probe_done;

    ngx_http_intuit_job_run(job);
}


static ngx_int_t
ngx_http_intuit_probe_id(ngx_http_intuit_provider_t *provider,
    ngx_http_intuit_id_t *id)
{
    u_char     text[NGX_INTUIT_HASH_LEN + NGX_INT64_LEN];
    ngx_str_t  parts[2], value;

    /* a new secret is a new question; a retry has a number of its own */

    parts[0] = provider->client_id;
    parts[1] = provider->client_secret;

    if (ngx_intuit_hash(text, parts, 2) != NGX_OK) {
        return NGX_ERROR;
    }

    value.data = text;
    value.len = ngx_sprintf(text + NGX_INTUIT_HASH_LEN, "%ui",
                            provider->runtime->probe_tries)
                - text;

    return ngx_http_intuit_store_id(id, "probe", provider, &value);
}


static ngx_int_t
ngx_http_intuit_probe_fetch(ngx_http_intuit_job_t *job)
{
    ngx_int_t                    rc;
    ngx_str_t                    code, verifier, form;
    ngx_intuit_endpoints_t       endpoints;
    ngx_http_intuit_provider_t  *provider;

    provider = job->provider;

    rc = ngx_http_intuit_endpoints_wait(job, &endpoints,
                                        ngx_http_intuit_probe_fetch);
    if (rc != NGX_OK) {
        return rc == NGX_AGAIN ? rc : NGX_ERROR;
    }

    ngx_str_set(&code, "key-probe");
    ngx_str_null(&verifier);

    if (ngx_intuit_code_request(job->pool, &code, &provider->redirect_uri,
                                &verifier, &form)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_intuit_token_post(job, &endpoints, &form,
                                      ngx_http_intuit_probe_answer);
}


static ngx_int_t
ngx_http_intuit_probe_answer(ngx_http_intuit_job_t *job)
{
    ngx_str_t                    error;
    ngx_http_intuit_fetch_t     *fetch;
    ngx_http_intuit_provider_t  *provider;

    fetch = job->fetch;
    provider = job->provider;

    if (fetch->rc != NGX_OK || fetch->status >= 500
        || fetch->status == NGX_HTTP_TOO_MANY_REQUESTS)
    {
        return NGX_ERROR;
    }

    ngx_intuit_oauth2_error_parse(job->pool, &fetch->answer, &error);

    if (error.len == 13 && ngx_memcmp(error.data, "invalid_grant", 13) == 0) {
        ngx_http_intuit_client_accepted(job);

        ngx_log_error(NGX_LOG_NOTICE, job->log, 0,
                      "intuit keys accepted by Intuit (%s); register exactly "
                      "%V",
                      provider->environment == NGX_HTTP_INTUIT_PRODUCTION
                      ? "production" : "sandbox",
                      &provider->redirect_uri);
        return NGX_OK;
    }

    if (ngx_http_intuit_client_refused(job, &error)) {
        ngx_log_error(NGX_LOG_ERR, job->log, 0,
                      "intuit %s of provider %V (%s:%ui) is refused by Intuit, "
                      "or its client_id is; development keys go with sandbox",
                      provider->client_secret_file.len ? "client_secret_file"
                                                       : "client_secret",
                      &provider->name, provider->file, provider->line);
        return NGX_OK;
    }

    ngx_log_error(NGX_LOG_WARN, job->log, 0,
                  "intuit key probe got status %ui, error \"%V\"",
                  fetch->status, &error);

    return NGX_OK;
}


static void
ngx_http_intuit_probe_done(ngx_http_intuit_job_t *job, ngx_int_t rc)
{
    ngx_http_intuit_id_t      id;
    ngx_http_intuit_login_t   probe;

    ngx_memzero(&probe, sizeof(ngx_http_intuit_login_t));

    probe.state = (rc == NGX_OK) ? NGX_HTTP_INTUIT_LOGIN_DONE
                                 : NGX_HTTP_INTUIT_LOGIN_FAILED;

    if (ngx_http_intuit_probe_id(job->provider, &id) == NGX_OK) {
        (void) ngx_http_intuit_login_end(job->provider->store, &id, &probe,
                                         ngx_time());
    }

    if (rc != NGX_OK) {
        ngx_http_intuit_probe_again(job->provider);
    }
}


static void
ngx_http_intuit_probe_again(ngx_http_intuit_provider_t *provider)
{
    ngx_http_intuit_runtime_t  *rt;

    rt = provider->runtime;

    if (ngx_exiting) {
        return;
    }

    rt->probe_tries++;
    rt->probe_delay = ngx_min(ngx_max(rt->probe_delay * 4, 1000),
                              NGX_HTTP_INTUIT_PROBE_MAX);

    ngx_add_timer(&rt->probe, rt->probe_delay);
}


ngx_uint_t
ngx_http_intuit_client_refused(ngx_http_intuit_job_t *job,
    const ngx_str_t *error)
{
    if (job->fetch->status != NGX_HTTP_UNAUTHORIZED
        && !(error->len == 14
             && ngx_memcmp(error->data, "invalid_client", 14) == 0))
    {
        return 0;
    }

    ngx_http_intuit_note(job->provider, "client",
                         NGX_HTTP_INTUIT_CLIENT_REFUSED, &job->fetch->tid);

    return 1;
}


void
ngx_http_intuit_client_accepted(ngx_http_intuit_job_t *job)
{
    ngx_http_intuit_note_t  note;

    /* first heard of then, and not said again by every refresh */

    if (ngx_http_intuit_noted(job->provider, "client", &note) != NGX_OK
        || note.value != NGX_HTTP_INTUIT_CLIENT_ACCEPTED)
    {
        /* a refresh that another worker has begun asks nothing itself */

        ngx_http_intuit_note(job->provider, "client",
                             NGX_HTTP_INTUIT_CLIENT_ACCEPTED,
                             job->fetch ? &job->fetch->tid : NULL);
    }
}


void
ngx_http_intuit_note(ngx_http_intuit_provider_t *provider, const char *kind,
    ngx_uint_t value, const ngx_str_t *tid)
{
    ngx_http_intuit_id_t  id;

    if (ngx_http_intuit_note_id(provider, kind, &id) == NGX_OK) {
        ngx_http_intuit_store_note(provider->store, &id, value, tid,
                                   ngx_time());
    }
}


ngx_int_t
ngx_http_intuit_noted(ngx_http_intuit_provider_t *provider, const char *kind,
    ngx_http_intuit_note_t *note)
{
    ngx_http_intuit_id_t  id;

    if (ngx_http_intuit_note_id(provider, kind, &id) != NGX_OK) {
        return NGX_DECLINED;
    }

    return ngx_http_intuit_store_noted(provider->store, &id, note);
}


/* other keys are other notes */

static ngx_int_t
ngx_http_intuit_note_id(ngx_http_intuit_provider_t *provider,
    const char *kind, ngx_http_intuit_id_t *id)
{
    u_char     hash[NGX_INTUIT_HASH_LEN];
    ngx_str_t  parts[2], value;

    parts[0] = provider->client_id;
    parts[1] = provider->client_secret;

    if (ngx_intuit_hash(hash, parts, 2) != NGX_OK) {
        return NGX_ERROR;
    }

    value.data = hash;
    value.len = sizeof(hash);

    return ngx_http_intuit_store_id(id, kind, provider, &value);
}
