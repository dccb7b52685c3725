/*
 * intuit_disconnect: forgets a company's connection here, at once and in any
 * case, and then revokes its tokens at Intuit (RFC 7009, in Intuit's JSON).
 *
 * While Intuit is down the revocation is kept, in this worker's memory, and
 * tried again at growing intervals.
 */

#include "ngx_http_intuit_discovery.h"
#include "ngx_http_intuit_state.h"


#define NGX_HTTP_INTUIT_DISCONNECT_TRIES  8
#define NGX_HTTP_INTUIT_REVOCATIONS      128     /* waiting, a worker */
#define NGX_HTTP_INTUIT_REVOKE_MAX       60      /* s between two tries */
#define NGX_HTTP_INTUIT_REVOKE_TIME      86400   /* s until it is given up */


/* one allocation, with the strings behind it */
typedef struct {
    ngx_queue_t                  queue;
    ngx_event_t                  timer;
    ngx_http_intuit_provider_t  *provider;
    ngx_http_intuit_id_t         login;        /* the outcome, if waited */
    ngx_str_t                    realm;        /* may be empty */
    ngx_str_t                    token[2];     /* any of them will do */
    ngx_uint_t                   n;            /* the one that is tried */
    ngx_uint_t                   tries;
    time_t                       since;
    unsigned                     waited:1;
} ngx_http_intuit_revocation_t;

typedef struct {
    ngx_queue_t                  queue;
    ngx_uint_t                   n;
    unsigned                     initialized:1;
} ngx_http_intuit_revocations_t;


static void ngx_http_intuit_disconnect_body(ngx_http_request_t *r);
static ngx_int_t ngx_http_intuit_disconnect_form(ngx_http_request_t *r,
    ngx_http_intuit_provider_t *provider, ngx_str_t *realm, ngx_str_t *token);
static ngx_int_t ngx_http_intuit_disconnect_bury(ngx_http_request_t *r,
    ngx_http_intuit_provider_t *provider, const ngx_http_intuit_id_t *id,
    const ngx_str_t *realm);
static ngx_int_t ngx_http_intuit_disconnect_forget(ngx_http_request_t *r,
    ngx_http_intuit_provider_t *provider, const ngx_str_t *realm,
    ngx_intuit_connection_t *c);
static void ngx_http_intuit_disconnect_resume(ngx_http_request_t *r);
static ngx_int_t ngx_http_intuit_disconnect_answer(ngx_http_request_t *r,
    const ngx_str_t *revoked);
static ngx_http_intuit_revocation_t *ngx_http_intuit_revoke_create(
    ngx_http_intuit_provider_t *provider, const ngx_str_t *realm,
    const ngx_str_t *token);
static void ngx_http_intuit_revoke_run(
    ngx_http_intuit_revocation_t *revocation);
static ngx_int_t ngx_http_intuit_revoke_send(ngx_http_intuit_job_t *job);
static ngx_int_t ngx_http_intuit_revoke_result(ngx_http_intuit_job_t *job);
static void ngx_http_intuit_revoke_done(ngx_http_intuit_job_t *job,
    ngx_int_t rc);
static void ngx_http_intuit_revoke_tell(
    ngx_http_intuit_revocation_t *revocation, const char *revoked,
    const ngx_str_t *tid);
static void ngx_http_intuit_revoke_later(
    ngx_http_intuit_revocation_t *revocation);
static void ngx_http_intuit_revoke_timer(ngx_event_t *ev);
static void ngx_http_intuit_revoke_free(
    ngx_http_intuit_revocation_t *revocation);


/* one a worker */
static ngx_http_intuit_revocations_t  ngx_http_intuit_revocations;


ngx_int_t
ngx_http_intuit_disconnect_handler(ngx_http_request_t *r)
{
    return ngx_http_intuit_operator_handler(r, NULL,
                                            ngx_http_intuit_disconnect_body);
}


static void
ngx_http_intuit_disconnect_body(ngx_http_request_t *r)
{
    ngx_int_t                      rc;
    ngx_str_t                      realm, token[2], none;
    ngx_http_intuit_ctx_t         *ctx;
    ngx_intuit_connection_t        c;
    ngx_http_intuit_loc_conf_t    *ilcf;
    ngx_http_intuit_provider_t    *provider;
    ngx_http_intuit_revocation_t  *revocation;

    ilcf = ngx_http_get_module_loc_conf(r, ngx_http_intuit_auth_module);
    ctx = ngx_http_intuit_get_ctx(r, 0);
    provider = ilcf->action;

    ngx_memzero(&c, sizeof(ngx_intuit_connection_t));

    rc = ngx_http_intuit_disconnect_form(r, provider, &realm, &token[0]);

    if (rc == NGX_OK && realm.len) {
        rc = ngx_http_intuit_disconnect_forget(r, provider, &realm, &c);
    }

    if (rc != NGX_OK) {
        ngx_http_intuit_operator_fail(r, provider,
                                      rc == NGX_DECLINED
                                      ? NGX_HTTP_INTUIT_E_BODY
                                      : NGX_HTTP_INTUIT_E_STORE,
                                      "disconnect");
        return;
    }

    ngx_str_null(&token[1]);

    if (token[0].len == 0) {

        /* a refresh on its way may just have replaced the refresh token */

        token[0] = c.current.refresh_token;
        token[1] = c.current.access_token;
    }

    ngx_str_set(&none, "false");

    if (token[0].len == 0 && token[1].len == 0) {
        /* nothing that Intuit still knows about */
        rc = ngx_http_intuit_disconnect_answer(r, &none);
        ngx_http_finalize_request(r, rc);
        return;
    }

    revocation = ngx_http_intuit_revoke_create(provider, &realm, token);

    if (revocation == NULL) {
        rc = ngx_http_intuit_disconnect_answer(r, &none);
        ngx_http_finalize_request(r, rc);
        return;
    }

    if (ngx_http_intuit_operator_begin(r, provider) != NGX_OK) {

        /* what is to be done is done, but nobody can be told how it ended */

        ngx_http_intuit_revoke_run(revocation);

        ngx_str_set(&none, "\"pending\"");
        rc = ngx_http_intuit_disconnect_answer(r, &none);
        ngx_http_finalize_request(r, rc);
        return;
    }

    revocation->login = ctx->login;
    revocation->waited = 1;

    ngx_http_intuit_revoke_run(revocation);

    ngx_http_intuit_operator_wait(r, ngx_http_intuit_disconnect_resume);
}


/* NGX_OK; NGX_DECLINED: it cannot be understood; NGX_ERROR. */

static ngx_int_t
ngx_http_intuit_disconnect_form(ngx_http_request_t *r,
    ngx_http_intuit_provider_t *provider, ngx_str_t *realm, ngx_str_t *token)
{
    ngx_int_t                rc;
    ngx_str_t                text;
    ngx_uint_t               i;
    ngx_http_intuit_view_t   view;

    ngx_str_null(realm);
    ngx_str_null(token);

    rc = ngx_http_intuit_operator_text(r, &text);
    if (rc != NGX_OK) {
        return rc;
    }

    rc = ngx_intuit_args_get(r->pool, &text, "realm", realm);

    if (rc == NGX_OK || rc == NGX_DECLINED) {

        if (rc == NGX_OK && !ngx_intuit_realm_valid(realm)) {
            return NGX_DECLINED;
        }

        rc = ngx_intuit_args_get(r->pool, &text, "token", token);
    }

    if (rc == NGX_OK) {

        if (token->len == 0 || token->len > NGX_INTUIT_TOKEN_SIZE) {
            return NGX_DECLINED;
        }

        for (i = 0; i < token->len; i++) {
            if (token->data[i] < 0x21 || token->data[i] > 0x7e) {
                return NGX_DECLINED;
            }
        }

        return NGX_OK;
    }

    if (rc != NGX_DECLINED) {
        return rc == NGX_ABORT ? NGX_DECLINED : NGX_ERROR;
    }

    if (realm->len) {
        return NGX_OK;
    }

    /* the company of the session */

    view.provider = NULL;

    rc = ngx_http_intuit_identify(r, provider, &view);

    if (rc != NGX_OK) {
        return rc;
    }

    *realm = view.loaded.session.realm;

    return realm->len ? NGX_OK : NGX_DECLINED;
}


/* c stays empty when there is no connection */

static ngx_int_t
ngx_http_intuit_disconnect_forget(ngx_http_request_t *r,
    ngx_http_intuit_provider_t *provider, const ngx_str_t *realm,
    ngx_intuit_connection_t *c)
{
    uint64_t              generation;
    ngx_int_t             rc;
    ngx_http_intuit_id_t  id;

    if (ngx_http_intuit_store_id(&id, "connection", provider, realm)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    /* one that cannot be read goes as well */

    if (ngx_http_intuit_connection_load(provider->store, &id, r->pool, c,
                                        &generation)
        != NGX_OK)
    {
        ngx_memzero(c, sizeof(ngx_intuit_connection_t));
    }

    rc = provider->state_path
         ? ngx_http_intuit_disconnect_bury(r, provider, &id, realm)
         : ngx_http_intuit_connection_remove(provider->store, &id);

    if (rc == NGX_OK) {
        ngx_log_error(NGX_LOG_NOTICE, r->connection->log, 0,
                      "intuit connection is removed, provider \"%V\", "
                      "realm \"%V\"", &provider->name, realm);
    }

    return (rc == NGX_OK || rc == NGX_DECLINED) ? NGX_OK : NGX_ERROR;
}


/*
 * With state_path the connection stays as an ended one without tokens: a file
 * that was only left alone would bring the old tokens back at a restart.
 */

static ngx_int_t
ngx_http_intuit_disconnect_bury(ngx_http_request_t *r,
    ngx_http_intuit_provider_t *provider, const ngx_http_intuit_id_t *id,
    const ngx_str_t *realm)
{
    uint64_t                  generation;
    ngx_int_t                 rc;
    ngx_str_t                 encoded;
    ngx_uint_t                i;
    ngx_intuit_connection_t   c;

    for (i = 0; i < NGX_HTTP_INTUIT_DISCONNECT_TRIES; i++) {

        rc = ngx_http_intuit_connection_load(provider->store, id, r->pool, &c,
                                             &generation);
        if (rc != NGX_OK) {
            return rc;
        }

        ngx_memzero(&c, sizeof(ngx_intuit_connection_t));

        c.realm = *realm;
        c.dead = 1;
        ngx_str_set(&c.error, "disconnected");

        if (ngx_intuit_connection_encode(r->pool, &c, &encoded) != NGX_OK) {
            return NGX_ERROR;
        }

        rc = ngx_http_intuit_connection_save(provider->store, id, &encoded,
                                             &generation, ngx_time());
        if (rc == NGX_OK) {
            ngx_http_intuit_state_flush(provider, id);
            return NGX_OK;
        }

        if (rc != NGX_DECLINED) {
            return rc;
        }
    }

    return NGX_ERROR;
}


static void
ngx_http_intuit_disconnect_resume(ngx_http_request_t *r)
{
    ngx_int_t                 rc;
    ngx_str_t                 revoked;
    ngx_http_intuit_ctx_t    *ctx;
    ngx_http_intuit_login_t   login;

    ctx = ngx_http_intuit_get_ctx(r, 0);

    ngx_str_set(&revoked, "\"pending\"");

    if (ngx_http_intuit_operator_outcome(ctx, &login) == NGX_OK
        && login.state == NGX_HTTP_INTUIT_LOGIN_DONE
        && login.session.len)
    {
        revoked = login.session;
    }

    rc = ngx_http_intuit_disconnect_answer(r, &revoked);

    ngx_http_finalize_request(r, rc);
}


static ngx_int_t
ngx_http_intuit_disconnect_answer(ngx_http_request_t *r,
    const ngx_str_t *revoked)
{
    ngx_str_t  body;

    body.data = ngx_pnalloc(r->pool, revoked->len
                            + sizeof("{\"disconnected\":true,"
                                     "\"revoked\":}\n"));
    if (body.data == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    body.len = ngx_sprintf(body.data,
                           "{\"disconnected\":true,\"revoked\":%V}\n", revoked)
               - body.data;

    return ngx_http_intuit_send(r, NGX_HTTP_OK, "application/json", &body);
}


/* NULL: no memory, or too many are waiting */

static ngx_http_intuit_revocation_t *
ngx_http_intuit_revoke_create(ngx_http_intuit_provider_t *provider,
    const ngx_str_t *realm, const ngx_str_t *token)
{
    u_char                         *p;
    ngx_uint_t                      i;
    ngx_http_intuit_revocation_t   *revocation;
    ngx_http_intuit_revocations_t  *all;

    all = &ngx_http_intuit_revocations;

    if (!all->initialized) {
        ngx_queue_init(&all->queue);
        all->initialized = 1;
    }

    if (all->n >= NGX_HTTP_INTUIT_REVOCATIONS) {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "intuit revocation is given up: too many are waiting, "
                      "provider \"%V\", realm \"%V\"", &provider->name, realm);
        return NULL;
    }

    revocation = ngx_calloc(sizeof(ngx_http_intuit_revocation_t) + realm->len
                            + token[0].len + token[1].len, ngx_cycle->log);
    if (revocation == NULL) {
        return NULL;
    }

    p = (u_char *) revocation + sizeof(ngx_http_intuit_revocation_t);

    revocation->realm.data = p;
    revocation->realm.len = realm->len;

    if (realm->len) {
        p = ngx_cpymem(p, realm->data, realm->len);
    }

    for (i = 0; i < 2; i++) {
        revocation->token[i].data = p;
        revocation->token[i].len = token[i].len;

        if (token[i].len) {
            p = ngx_cpymem(p, token[i].data, token[i].len);
        }
    }

    revocation->provider = provider;
    revocation->since = ngx_time();

    revocation->timer.handler = ngx_http_intuit_revoke_timer;
    revocation->timer.data = revocation;
    revocation->timer.log = ngx_cycle->log;
    revocation->timer.cancelable = 1;

    ngx_queue_insert_tail(&all->queue, &revocation->queue);
    all->n++;

    return revocation;
}


static void
ngx_http_intuit_revoke_run(ngx_http_intuit_revocation_t *revocation)
{
    ngx_http_intuit_job_t  *job;

    job = ngx_http_intuit_job_create(revocation->provider, "revoke");

    if (job == NULL) {
        ngx_http_intuit_revoke_later(revocation);
        return;
    }

    revocation->n = revocation->token[0].len ? 0 : 1;

    job->data = revocation;
    job->step = ngx_http_intuit_revoke_send;
    job->done = ngx_http_intuit_revoke_done;

    ngx_http_intuit_job_run(job);
}


static ngx_int_t
ngx_http_intuit_revoke_send(ngx_http_intuit_job_t *job)
{
    u_char                        *p;
    ngx_int_t                      rc;
    ngx_str_t                      body, *token;
    ngx_intuit_endpoints_t         endpoints;
    ngx_http_intuit_revocation_t  *revocation;

    revocation = job->data;

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

    token = &revocation->token[revocation->n];

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
    ngx_uint_t                     status;
    ngx_http_intuit_fetch_t       *fetch;
    ngx_http_intuit_revocation_t  *revocation;

    revocation = job->data;
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

        if (revocation->n == 0 && revocation->token[1].len) {
            revocation->n = 1;
            job->step = ngx_http_intuit_revoke_send;
        }

        return NGX_OK;
    }

    ngx_log_error(NGX_LOG_ERR, job->log, 0,
                  "intuit revocation was refused: status %ui, realm \"%V\", "
                  "intuit_tid: \"%V\"", status, &revocation->realm,
                  &fetch->tid);

    return NGX_DECLINED;
}


static void
ngx_http_intuit_revoke_done(ngx_http_intuit_job_t *job, ngx_int_t rc)
{
    ngx_str_t                      tid;
    ngx_http_intuit_revocation_t  *revocation;

    revocation = job->data;

    ngx_str_null(&tid);

    if (job->fetch) {
        tid = job->fetch->tid;
        ngx_intuit_cleanse(job->fetch->body.data, job->fetch->body.len);
    }

    if (rc == NGX_OK) {
        ngx_log_error(NGX_LOG_NOTICE, job->log, 0,
                      "intuit revocation succeeded, realm \"%V\", "
                      "intuit_tid: \"%V\"", &revocation->realm, &tid);
    }

    if (rc == NGX_OK || rc == NGX_DECLINED) {
        ngx_http_intuit_revoke_tell(revocation, rc == NGX_OK ? "true"
                                                             : "false", &tid);
        ngx_http_intuit_revoke_free(revocation);
        return;
    }

    ngx_http_intuit_revoke_tell(revocation, "\"pending\"", &tid);
    ngx_http_intuit_revoke_later(revocation);
}


/* to the one who waits, if there is one */

static void
ngx_http_intuit_revoke_tell(ngx_http_intuit_revocation_t *revocation,
    const char *revoked, const ngx_str_t *tid)
{
    ngx_http_intuit_login_t  login;

    if (!revocation->waited) {
        return;
    }

    revocation->waited = 0;

    ngx_memzero(&login, sizeof(ngx_http_intuit_login_t));

    login.state = NGX_HTTP_INTUIT_LOGIN_DONE;
    login.session.data = (u_char *) revoked;
    login.session.len = ngx_strlen(revoked);
    login.tid = *tid;

    if (ngx_http_intuit_login_end(revocation->provider->store,
                                  &revocation->login, &login, ngx_time())
        == NGX_OK)
    {
        return;
    }

    /* no room: whoever waits hears "pending" */

    login.state = NGX_HTTP_INTUIT_LOGIN_FAILED;
    ngx_str_null(&login.session);

    (void) ngx_http_intuit_login_end(revocation->provider->store,
                                     &revocation->login, &login, ngx_time());
}


static void
ngx_http_intuit_revoke_later(ngx_http_intuit_revocation_t *revocation)
{
    time_t     t;
    ngx_str_t  tid;

    /* a job that could not be made */

    ngx_str_null(&tid);
    ngx_http_intuit_revoke_tell(revocation, "\"pending\"", &tid);

    if (ngx_time() - revocation->since >= NGX_HTTP_INTUIT_REVOKE_TIME) {

        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "intuit revocation is given up: Intuit does not answer, "
                      "provider \"%V\", realm \"%V\"",
                      &revocation->provider->name, &revocation->realm);

        ngx_http_intuit_revoke_free(revocation);
        return;
    }

    t = revocation->tries < 6 ? (time_t) 1 << revocation->tries
                              : NGX_HTTP_INTUIT_REVOKE_MAX;
    t = ngx_min(t, NGX_HTTP_INTUIT_REVOKE_MAX);

    revocation->tries++;

    ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                  "intuit revocation waits for Intuit, next try in %T s, "
                  "provider \"%V\", realm \"%V\"", t,
                  &revocation->provider->name, &revocation->realm);

    ngx_add_timer(&revocation->timer, t * 1000);
}


static void
ngx_http_intuit_revoke_timer(ngx_event_t *ev)
{
    ngx_http_intuit_revoke_run(ev->data);
}


static void
ngx_http_intuit_revoke_free(ngx_http_intuit_revocation_t *revocation)
{
    ngx_uint_t  i;

    if (revocation->timer.timer_set) {
        ngx_del_timer(&revocation->timer);
    }

    ngx_queue_remove(&revocation->queue);
    ngx_http_intuit_revocations.n--;

    for (i = 0; i < 2; i++) {
        ngx_intuit_cleanse(revocation->token[i].data,
                           revocation->token[i].len);
    }

    ngx_free(revocation);
}


void
ngx_http_intuit_disconnect_exit(void)
{
    ngx_queue_t                    *q;
    ngx_http_intuit_revocation_t   *revocation;
    ngx_http_intuit_revocations_t  *all;

    all = &ngx_http_intuit_revocations;

    while (all->initialized && !ngx_queue_empty(&all->queue)) {

        q = ngx_queue_head(&all->queue);
        revocation = ngx_queue_data(q, ngx_http_intuit_revocation_t, queue);

        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "intuit revocation is given up: the worker ends, "
                      "provider \"%V\", realm \"%V\"",
                      &revocation->provider->name, &revocation->realm);

        ngx_http_intuit_revoke_free(revocation);
    }
}
