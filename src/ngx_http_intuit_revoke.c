/*
 * Revoking a company's tokens at Intuit (RFC 7009, in Intuit's JSON), in a
 * job:
 *
 *   keep -> request -> answer
 *
 * It is kept before anything else, until Intuit has answered or a day is over:
 * whoever finds it after that asks once more.
 */

#include "ngx_http_intuit_discovery.h"
#include "ngx_http_intuit_pending.h"


#define NGX_HTTP_INTUIT_REVOKE_MAX   60      /* s between two tries */
#define NGX_HTTP_INTUIT_REVOKE_TIME  86400   /* s until it is given up */


/* the strings are the job's */
typedef struct {
    ngx_http_intuit_id_t         id;           /* of the record, if kept */
    ngx_http_intuit_id_t         login;        /* the outcome, if waited */
    ngx_str_t                    realm;        /* may be empty */
    ngx_str_t                    token[2];     /* any of them will do */
    ngx_uint_t                   n;            /* the one that is tried */
    time_t                       since;
    time_t                       tries;
    unsigned                     kept:1;
    unsigned                     waited:1;
} ngx_http_intuit_revoke_t;


static ngx_http_intuit_job_t *ngx_http_intuit_revoke_job(
    ngx_http_intuit_provider_t *provider, const ngx_str_t *realm,
    const ngx_str_t *token);
static ngx_int_t ngx_http_intuit_revoke_overtaken(ngx_http_intuit_job_t *job);
static ngx_int_t ngx_http_intuit_revoke_send(ngx_http_intuit_job_t *job);
static ngx_int_t ngx_http_intuit_revoke_result(ngx_http_intuit_job_t *job);
static void ngx_http_intuit_revoke_done(ngx_http_intuit_job_t *job,
    ngx_int_t rc);
static void ngx_http_intuit_revoke_tell(ngx_http_intuit_job_t *job,
    const char *revoked, const ngx_str_t *tid);
static void ngx_http_intuit_revoke_later(ngx_http_intuit_job_t *job);


ngx_http_intuit_job_t *
ngx_http_intuit_revoke_create(ngx_http_intuit_provider_t *provider,
    const ngx_str_t *realm, const ngx_str_t *token)
{
    ngx_int_t                  rc;
    ngx_http_intuit_job_t     *job;
    ngx_intuit_connection_t    c;
    ngx_http_intuit_revoke_t  *revoke;

    job = ngx_http_intuit_revoke_job(provider, realm, token);
    if (job == NULL) {
        return NULL;
    }

    revoke = job->data;
    revoke->since = ngx_time();

    ngx_memzero(&c, sizeof(ngx_intuit_connection_t));

    c.realm = *realm;
    c.current.refresh_token = token[0];
    c.current.access_token = token[1];
    c.current.issued = revoke->since;

    ngx_http_intuit_pending_init(provider, &c,
                                 NGX_HTTP_INTUIT_PENDING_REVOCATION);

    rc = ngx_http_intuit_pending_keep(provider, &c, job->pool, &revoke->id);

    revoke->kept = (rc == NGX_OK);

    return job;
}


static ngx_http_intuit_job_t *
ngx_http_intuit_revoke_job(ngx_http_intuit_provider_t *provider,
    const ngx_str_t *realm, const ngx_str_t *token)
{
    ngx_uint_t                 i;
    ngx_str_t                 *to[3];
    const ngx_str_t           *from[3];
    ngx_http_intuit_job_t     *job;
    ngx_http_intuit_revoke_t  *revoke;

    job = ngx_http_intuit_job_create(provider, "revoke");
    if (job == NULL) {
        return NULL;
    }

    revoke = ngx_pcalloc(job->pool, sizeof(ngx_http_intuit_revoke_t));
    if (revoke == NULL) {
        goto failed;
    }

    from[0] = realm;
    from[1] = &token[0];
    from[2] = &token[1];

    to[0] = &revoke->realm;
    to[1] = &revoke->token[0];
    to[2] = &revoke->token[1];

    for (i = 0; i < 3; i++) {

        if (from[i]->len == 0) {
            continue;
        }

        to[i]->len = from[i]->len;
        to[i]->data = ngx_pstrdup(job->pool, (ngx_str_t *) from[i]);

        if (to[i]->data == NULL) {
            goto failed;
        }
    }

    revoke->n = revoke->token[0].len ? 0 : 1;

    job->data = revoke;
    job->step = ngx_http_intuit_revoke_send;
    job->done = ngx_http_intuit_revoke_done;

    return job;

failed:

    ngx_http_intuit_job_discard(job);

    return NULL;
}


void
ngx_http_intuit_revoke_run(ngx_http_intuit_job_t *job,
    const ngx_http_intuit_id_t *login)
{
    ngx_http_intuit_revoke_t  *revoke;

    revoke = job->data;

    if (login) {
        revoke->login = *login;
        revoke->waited = 1;
    }

    ngx_http_intuit_job_run(job);
}


void
ngx_http_intuit_revoke_discard(ngx_http_intuit_job_t *job)
{
    ngx_http_intuit_revoke_t  *revoke;

    revoke = job->data;

    if (revoke->kept) {
        ngx_http_intuit_pending_remove(job->provider, &revoke->id, NULL);
    }

    ngx_http_intuit_job_discard(job);
}


void
ngx_http_intuit_revoke_resume(ngx_http_intuit_provider_t *provider,
    const ngx_http_intuit_id_t *id, const ngx_intuit_connection_t *c)
{
    ngx_int_t                  rc;
    ngx_str_t                  token[2];
    ngx_http_intuit_job_t     *job;
    ngx_http_intuit_revoke_t  *revoke;

    token[0] = c->current.refresh_token;
    token[1] = c->current.access_token;

    job = ngx_http_intuit_revoke_job(provider, &c->realm, token);
    if (job == NULL) {
        return;
    }

    revoke = job->data;

    revoke->id = *id;
    revoke->kept = 1;
    revoke->since = c->current.issued;
    revoke->tries = c->failures;

    rc = ngx_http_intuit_revoke_overtaken(job);

    if (rc == NGX_DECLINED) {
        ngx_http_intuit_job_run(job);
        return;
    }

    if (rc == NGX_OK) {
        ngx_log_error(NGX_LOG_WARN, job->log, 0,
                      "intuit revocation is given up: the company is "
                      "connected again, realm \"%V\"", &revoke->realm);

        ngx_http_intuit_pending_remove(provider, id, NULL);
    }

    ngx_http_intuit_job_discard(job);
}


/*
 * With one token of a company Intuit ends all that this app has of it: also
 * those that it was connected with since.  NGX_OK: it was; NGX_AGAIN: it may
 * soon be; NGX_DECLINED: it was not.
 */

static ngx_int_t
ngx_http_intuit_revoke_overtaken(ngx_http_intuit_job_t *job)
{
    uint64_t                   generation;
    ngx_str_t                 *realm;
    ngx_http_intuit_id_t       id;
    ngx_http_intuit_store_t   *store;
    ngx_intuit_connection_t    c;
    ngx_http_intuit_revoke_t  *revoke;

    revoke = job->data;
    realm = &revoke->realm;
    store = job->provider->store;

    if (realm->len == 0) {
        return NGX_DECLINED;
    }

    if (ngx_http_intuit_connection_id(&id, job->provider, realm) != NGX_OK) {
        return NGX_AGAIN;
    }

    if (ngx_http_intuit_connection_load(store, &id, job->pool, &c, &generation)
        == NGX_OK
        && !c.dead)
    {
        return NGX_OK;
    }

    if (ngx_http_intuit_store_id(&id, "import", job->provider, realm)
        != NGX_OK)
    {
        return NGX_AGAIN;
    }

    return ngx_http_intuit_connection_load(store, &id, job->pool, &c,
                                           &generation)
           == NGX_DECLINED ? NGX_DECLINED : NGX_AGAIN;
}


static ngx_int_t
ngx_http_intuit_revoke_send(ngx_http_intuit_job_t *job)
{
    u_char                    *p;
    ngx_int_t                  rc;
    ngx_str_t                  body, *token;
    ngx_intuit_endpoints_t     endpoints;
    ngx_http_intuit_revoke_t  *revoke;

    revoke = job->data;

    rc = ngx_http_intuit_endpoints_wait(job, &endpoints,
                                        ngx_http_intuit_revoke_send);
    if (rc != NGX_OK) {
        return rc == NGX_AGAIN ? rc : NGX_ERROR;
    }

    if (endpoints.revocation_endpoint.len == 0) {
        ngx_log_error(NGX_LOG_ERR, job->log, 0,
                      "intuit discovery document names no "
                      "revocation_endpoint");
        return NGX_DECLINED;
    }

    token = &revoke->token[revoke->n];

    p = ngx_pnalloc(job->pool, ngx_intuit_json_escaped_len(token)
                               + sizeof("{\"token\":\"\"}") - 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    body.data = p;
    p = ngx_cpymem(p, "{\"token\":\"", sizeof("{\"token\":\"") - 1);
    p = ngx_intuit_json_escape(p, token);
    p = ngx_cpymem(p, "\"}", 2);
    body.len = p - body.data;

    return ngx_http_intuit_endpoint_post(job, &endpoints.revocation_endpoint,
                                         "application/json", &body,
                                         ngx_http_intuit_revoke_result);
}


/*
 * 400 without a body: unknown, or revoked already.  With the other token
 * Intuit is asked once more, because a refresh token that was replaced is
 * unknown while its successor lives.
 */

static ngx_int_t
ngx_http_intuit_revoke_result(ngx_http_intuit_job_t *job)
{
    ngx_uint_t                 status;
    ngx_http_intuit_fetch_t   *fetch;
    ngx_http_intuit_revoke_t  *revoke;

    revoke = job->data;
    fetch = job->fetch;
    status = fetch->status;

    if (fetch->rc != NGX_OK || status >= 500
        || status == NGX_HTTP_REQUEST_TIME_OUT || status == 425
        || status == NGX_HTTP_TOO_MANY_REQUESTS)
    {
        return NGX_ERROR;
    }

    if (status == NGX_HTTP_OK) {
        return NGX_OK;
    }

    if (status == NGX_HTTP_BAD_REQUEST && fetch->answer.len == 0) {

        if (revoke->n == 0 && revoke->token[1].len) {
            revoke->n = 1;
            job->step = ngx_http_intuit_revoke_send;
        }

        return NGX_OK;
    }

    ngx_log_error(NGX_LOG_ERR, job->log, 0,
                  "intuit revocation was refused: status %ui, realm \"%V\", "
                  "intuit_tid: \"%V\"", status, &revoke->realm,
                  &fetch->tid);

    return NGX_DECLINED;
}


static void
ngx_http_intuit_revoke_done(ngx_http_intuit_job_t *job, ngx_int_t rc)
{
    ngx_str_t                  tid;
    ngx_uint_t                 i;
    ngx_http_intuit_revoke_t  *revoke;

    revoke = job->data;

    ngx_str_null(&tid);

    if (job->fetch) {
        tid = job->fetch->tid;
        ngx_intuit_cleanse(job->fetch->body.data, job->fetch->body.len);
    }

    if (rc == NGX_OK) {
        ngx_log_error(NGX_LOG_NOTICE, job->log, 0,
                      "intuit revocation succeeded, realm \"%V\", "
                      "intuit_tid: \"%V\"", &revoke->realm, &tid);
    }

    if (rc == NGX_OK || rc == NGX_DECLINED) {

        if (revoke->kept) {
            ngx_http_intuit_pending_remove(job->provider, &revoke->id, NULL);
        }

        ngx_http_intuit_revoke_tell(job, rc == NGX_OK ? "true" : "false",
                                    &tid);

    } else {
        ngx_http_intuit_revoke_later(job);
        ngx_http_intuit_revoke_tell(job, revoke->kept ? "\"pending\""
                                                      : "false", &tid);
    }

    for (i = 0; i < 2; i++) {
        ngx_intuit_cleanse(revoke->token[i].data, revoke->token[i].len);
    }
}


/* to the one who waits, if there is one */

static void
ngx_http_intuit_revoke_tell(ngx_http_intuit_job_t *job, const char *revoked,
    const ngx_str_t *tid)
{
    ngx_http_intuit_login_t    login;
    ngx_http_intuit_revoke_t  *revoke;

    revoke = job->data;

    if (!revoke->waited) {
        return;
    }

    ngx_memzero(&login, sizeof(ngx_http_intuit_login_t));

    login.state = NGX_HTTP_INTUIT_LOGIN_DONE;
    login.session.data = (u_char *) revoked;
    login.session.len = ngx_strlen(revoked);
    login.tid = *tid;

    if (ngx_http_intuit_login_end(job->provider->store, &revoke->login, &login,
                                  ngx_time())
        == NGX_OK)
    {
        return;
    }

    /* no room: whoever waits hears "pending" */

    login.state = NGX_HTTP_INTUIT_LOGIN_FAILED;
    ngx_str_null(&login.session);

    (void) ngx_http_intuit_login_end(job->provider->store, &revoke->login,
                                     &login, ngx_time());
}


static void
ngx_http_intuit_revoke_later(ngx_http_intuit_job_t *job)
{
    time_t                     t;
    const char                *reason;
    ngx_http_intuit_revoke_t  *revoke;

    revoke = job->data;
    reason = NULL;

    if (!revoke->kept) {
        reason = "too many are waiting";

    } else if (ngx_time() - revoke->since >= NGX_HTTP_INTUIT_REVOKE_TIME) {
        reason = "Intuit does not answer";
        ngx_http_intuit_pending_remove(job->provider, &revoke->id, NULL);
    }

    if (reason) {
        ngx_log_error(NGX_LOG_ERR, job->log, 0,
                      "intuit revocation is given up: %s, provider \"%V\", "
                      "realm \"%V\"", reason, &job->provider->name,
                      &revoke->realm);
        return;
    }

    t = revoke->tries < 6 ? (time_t) 1 << revoke->tries
                          : NGX_HTTP_INTUIT_REVOKE_MAX;

    if (job->fetch && job->fetch->done) {
        t = ngx_max(t, job->fetch->retry_after);
    }

    ngx_log_error(NGX_LOG_WARN, job->log, 0,
                  "intuit revocation waits for Intuit, next try in %T s, "
                  "provider \"%V\", realm \"%V\"", t, &job->provider->name,
                  &revoke->realm);

    ngx_http_intuit_pending_later(job->provider, &revoke->id, NULL, t);
}
