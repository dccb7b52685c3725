/*
 * The last step of a login: the company's connection, and the session that
 * every one who waits gets a copy of.
 */

#include "ngx_http_intuit_exchange.h"


static ngx_int_t ngx_http_intuit_exchange_saved(ngx_http_intuit_job_t *job);
static ngx_int_t ngx_http_intuit_exchange_session(ngx_http_intuit_job_t *job,
    const ngx_intuit_pair_t *pair, ngx_intuit_session_t *session);
static void ngx_http_intuit_exchange_place(ngx_intuit_connection_t *c,
    const ngx_intuit_pair_t *pair, time_t now);
static ngx_int_t ngx_http_intuit_exchange_merge(ngx_http_intuit_job_t *job,
    ngx_intuit_connection_t *c, ngx_uint_t found);
static ngx_uint_t ngx_http_intuit_pair_same(const ngx_intuit_pair_t *a,
    const ngx_intuit_pair_t *b);
static void ngx_http_intuit_exchange_replace(ngx_intuit_connection_t *c,
    const ngx_intuit_pair_t *pair, const ngx_str_t *used);
static ngx_uint_t ngx_http_intuit_pair_known(const ngx_str_t *token,
    const ngx_intuit_pair_t *pair, const ngx_str_t *used);


ngx_int_t
ngx_http_intuit_exchange_save(ngx_http_intuit_job_t *job)
{
    ngx_http_intuit_exchange_ctx_t  *ctx;

    ctx = job->data;

    if (ctx->in.begin == NULL) {
        ngx_http_intuit_exchange_pair(job, &ctx->pair);
    }

    /* people of one company do not share what is theirs alone */

    if (!ctx->in.connect
        && (!job->provider->company || ctx->in.realm.len == 0))
    {
        return ngx_http_intuit_exchange_saved(job);
    }

    if (ngx_http_intuit_connection_id(&ctx->result.connection, job->provider,
                                      &ctx->in.realm)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    ctx->save.id = ctx->result.connection;
    ctx->save.merge = ngx_http_intuit_exchange_merge;
    ctx->save.next = ngx_http_intuit_exchange_saved;

    return ngx_http_intuit_save(job, &ctx->save);
}


static ngx_int_t
ngx_http_intuit_exchange_saved(ngx_http_intuit_job_t *job)
{
    ngx_intuit_session_t             session;
    ngx_http_intuit_exchange_ctx_t  *ctx;

    ctx = job->data;

    if (ctx->save.rc != NGX_OK) {
        return ngx_http_intuit_exchange_fail(job,
                               ctx->save.rc == NGX_BUSY
                               ? NGX_HTTP_INTUIT_E_BUSY
                               : NGX_HTTP_INTUIT_E_STORE,
                               "connection could not be saved");
    }

    if (ctx->in.connect) {
        /* nobody is signed in by that */
        ctx->result.state = NGX_HTTP_INTUIT_LOGIN_DONE;
        return NGX_OK;
    }

    if (ngx_http_intuit_exchange_session(job, &ctx->pair, &session)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ctx->save.merge == NULL) {
        session.own = ctx->pair;
    }

    if (ngx_intuit_session_encode(job->pool, &session, &ctx->result.session)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    ctx->result.state = NGX_HTTP_INTUIT_LOGIN_DONE;

    return NGX_OK;
}


void
ngx_http_intuit_exchange_pair(ngx_http_intuit_job_t *job,
    ngx_intuit_pair_t *pair)
{
    time_t                           now;
    ngx_http_intuit_exchange_ctx_t  *ctx;

    ctx = job->data;
    now = ngx_time();

    ngx_memzero(pair, sizeof(ngx_intuit_pair_t));

    pair->access_token = ctx->tokens.access_token;
    pair->refresh_token = ctx->tokens.refresh_token;

    if (pair->refresh_token.len == 0 && ctx->in.begin) {
        /* not said anew: the imported one goes on */
        pair->refresh_token = ctx->in.given[0];
    }

    pair->scope = ctx->tokens.scope.len ? ctx->tokens.scope
                                        : job->provider->scope;
    pair->sub = ctx->jwt.sub;
    pair->issued = now;
    pair->refreshed = now;
    pair->expires = now + ctx->tokens.expires_in;

    if (ctx->tokens.refresh_expires_in) {
        pair->refresh_expires = now + ctx->tokens.refresh_expires_in;
    }

    if (ctx->tokens.refresh_hard_expires_in) {
        pair->hard_expires = now + ctx->tokens.refresh_hard_expires_in;
    }
}


static ngx_int_t
ngx_http_intuit_exchange_session(ngx_http_intuit_job_t *job,
    const ngx_intuit_pair_t *pair, ngx_intuit_session_t *session)
{
    time_t                           now;
    ngx_str_t                        claims;
    ngx_http_intuit_main_conf_t     *imcf;
    ngx_http_intuit_exchange_ctx_t  *ctx;

    ctx = job->data;
    now = ngx_time();

    imcf = ngx_http_get_module_main_conf(job->request,
                                         ngx_http_intuit_auth_module);

    ngx_memzero(session, sizeof(ngx_intuit_session_t));

    session->created = now;
    session->expires = now + job->provider->session_timeout;
    session->sub = ctx->jwt.sub;
    session->login.data = ctx->in.login.data;
    session->login.len = NGX_HTTP_INTUIT_ID_LEN;

    if (job->provider->company) {
        session->realm = ctx->in.realm;
    }

    if (pair->refresh_expires && pair->refresh_expires < session->expires) {
        session->expires = pair->refresh_expires;
    }

    if (ngx_http_intuit_exchange_verified_email(job, &session->email)
        != NGX_OK)
    {
        ngx_str_null(&session->email);
    }

    if (imcf->keep_id_token) {
        session->id_token = ctx->tokens.id_token;
    }

    if (ngx_intuit_claims_merge(job->pool, ctx->jwt.claims, ctx->userinfo,
                                &claims)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_intuit_session_describe(job->pool, session, &claims,
                                       &ctx->userinfo_text);
}


/* the company's connection, made or changed */

static ngx_int_t
ngx_http_intuit_exchange_merge(ngx_http_intuit_job_t *job,
    ngx_intuit_connection_t *c, ngx_uint_t found)
{
    ngx_intuit_pair_t               *pair;
    ngx_http_intuit_exchange_ctx_t  *ctx;

    (void) found;

    ctx = job->data;
    pair = &ctx->pair;

    if (ngx_http_intuit_pair_same(&c->current, pair)
        || ngx_http_intuit_pair_same(&c->spare, pair))
    {
        return NGX_DONE;
    }

    if (ctx->in.connect) {
        ngx_http_intuit_exchange_replace(c, pair, &ctx->in.given[0]);

    } else {
        ngx_http_intuit_exchange_place(c, pair, ngx_time());
    }

    c->realm = ctx->in.realm;

    if (ctx->company.len) {
        c->company = ctx->company;
    }

    return NGX_OK;
}


static ngx_uint_t
ngx_http_intuit_pair_same(const ngx_intuit_pair_t *a,
    const ngx_intuit_pair_t *b)
{
    return ngx_intuit_equal(&a->access_token, &b->access_token)
           && ngx_intuit_equal(&a->refresh_token, &b->refresh_token);
}


/*
 * A pair that serves and may do as much stays, and the new one becomes its
 * spare, unless it is the same grant's.  Else the new one takes its place, and
 * what can still be refreshed is kept as the spare; a refresh that is under
 * way finds it there.
 */

static void
ngx_http_intuit_exchange_place(ngx_intuit_connection_t *c,
    const ngx_intuit_pair_t *pair, time_t now)
{
    ngx_str_t  none;

    if (!c->dead
        && c->current.access_token.len
        && c->current.expires > now
        && ngx_intuit_scope_covers(&c->current.scope, &pair->scope)
        && !ngx_intuit_equal(&c->current.refresh_token,
                             &pair->refresh_token))
    {
        c->spare = *pair;
        return;
    }

    ngx_str_null(&none);
    ngx_http_intuit_exchange_replace(c, pair, &none);
}


/*
 * The new pair takes the current one's place, which may still do as the spare
 * unless it is the same one.  Nothing is revoked at Intuit: that would end
 * both.
 */

static void
ngx_http_intuit_exchange_replace(ngx_intuit_connection_t *c,
    const ngx_intuit_pair_t *pair, const ngx_str_t *used)
{
    if (!c->dead && c->current.refresh_token.len
        && !ngx_http_intuit_pair_known(&c->current.refresh_token, pair, used))
    {
        c->spare = c->current;

    } else if (ngx_http_intuit_pair_known(&c->spare.refresh_token, pair, used))
    {
        ngx_memzero(&c->spare, sizeof(ngx_intuit_pair_t));
    }

    c->current = *pair;
    c->dead = 0;
    c->retry_at = 0;
    c->failures = 0;
    c->maybe_sent = 0;
    ngx_str_null(&c->error);
}


/* 1: of no use beside the pair, which was got with the refresh token `used` */

static ngx_uint_t
ngx_http_intuit_pair_known(const ngx_str_t *token,
    const ngx_intuit_pair_t *pair, const ngx_str_t *used)
{
    return token->len == 0
           || (token->len == pair->refresh_token.len
               && ngx_memcmp(token->data, pair->refresh_token.data,
                             token->len)
                  == 0)
           || (token->len == used->len
               && ngx_memcmp(token->data, used->data, token->len) == 0);
}


ngx_int_t
ngx_http_intuit_exchange_verified_email(ngx_http_intuit_job_t *job,
    ngx_str_t *email)
{
    ngx_str_t                        name, verified;
    ngx_intuit_json_t               *claims;
    ngx_http_intuit_exchange_ctx_t  *ctx;

    ctx = job->data;

    claims = ctx->userinfo ? ctx->userinfo : ctx->jwt.claims;

    if (claims == NULL) {
        return NGX_DECLINED;
    }

    ngx_str_set(&name, "email_verified");

    if (ngx_intuit_json_claim(job->pool, claims, &name, &verified) != NGX_OK
        || verified.len != 4 || ngx_memcmp(verified.data, "true", 4) != 0)
    {
        return NGX_DECLINED;
    }

    ngx_str_set(&name, "email");

    return ngx_intuit_json_claim(job->pool, claims, &name, email);
}
