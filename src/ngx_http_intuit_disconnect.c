/*
 * intuit_disconnect: forgets a company's connection here, at once and in any
 * case, and has its tokens revoked at Intuit.
 */

#include "ngx_http_intuit_pending.h"
#include "ngx_http_intuit_share.h"
#include "ngx_http_intuit_state.h"


#define NGX_HTTP_INTUIT_DISCONNECT_TRIES  8


/* what was asked for, while a shared store is asked first */
typedef struct {
    ngx_http_intuit_provider_t  *provider;
    ngx_str_t                    realm;
    ngx_str_t                    token;
} ngx_http_intuit_disconnect_t;


static void ngx_http_intuit_disconnect_body(ngx_http_request_t *r);
static ngx_int_t ngx_http_intuit_disconnect_form(ngx_http_request_t *r,
    ngx_http_intuit_provider_t *provider, ngx_str_t *realm, ngx_str_t *token);
static void ngx_http_intuit_disconnect_shared(ngx_http_request_t *r);
static void ngx_http_intuit_disconnect_now(ngx_http_request_t *r,
    ngx_http_intuit_provider_t *provider, const ngx_str_t *realm,
    const ngx_str_t *given);
static ngx_int_t ngx_http_intuit_disconnect_bury(ngx_http_request_t *r,
    ngx_http_intuit_provider_t *provider, const ngx_http_intuit_id_t *id,
    const ngx_str_t *realm);
static ngx_int_t ngx_http_intuit_disconnect_load(ngx_http_request_t *r,
    ngx_http_intuit_provider_t *provider, const ngx_str_t *realm,
    ngx_intuit_connection_t *c);
static ngx_int_t ngx_http_intuit_disconnect_forget(ngx_http_request_t *r,
    ngx_http_intuit_provider_t *provider, const ngx_str_t *realm);
static void ngx_http_intuit_disconnect_revoke(ngx_http_request_t *r,
    ngx_http_intuit_provider_t *provider, ngx_http_intuit_job_t *job);
static void ngx_http_intuit_disconnect_resume(ngx_http_request_t *r);
static ngx_int_t ngx_http_intuit_disconnect_answer(ngx_http_request_t *r,
    const ngx_str_t *revoked);


ngx_int_t
ngx_http_intuit_disconnect_handler(ngx_http_request_t *r)
{
    return ngx_http_intuit_operator_handler(r, NULL,
                                            ngx_http_intuit_disconnect_body);
}


static void
ngx_http_intuit_disconnect_body(ngx_http_request_t *r)
{
    ngx_int_t                    rc;
    ngx_str_t                    realm, token;
    ngx_http_intuit_loc_conf_t  *ilcf;

    ilcf = ngx_http_get_module_loc_conf(r, ngx_http_intuit_auth_module);

    rc = ngx_http_intuit_disconnect_form(r, ilcf->action, &realm, &token);

    if (rc == NGX_OK) {
        ngx_http_intuit_disconnect_company(r, ilcf->action, &realm, &token);
        return;
    }

    ngx_http_intuit_operator_fail(r, ilcf->action,
                                  rc == NGX_DECLINED ? NGX_HTTP_INTUIT_E_BODY
                                                    : NGX_HTTP_INTUIT_E_STORE,
                                  "disconnect");
}


/* a company that another host has connected is forgotten as well */

void
ngx_http_intuit_disconnect_company(ngx_http_request_t *r,
    ngx_http_intuit_provider_t *provider, const ngx_str_t *realm,
    const ngx_str_t *given)
{
    ngx_int_t                      rc;
    ngx_http_intuit_id_t           id;
    ngx_http_intuit_ctx_t         *ctx;
    ngx_http_intuit_disconnect_t  *disconnect;

    ctx = ngx_http_intuit_get_ctx(r, 0);

    disconnect = ngx_palloc(r->pool, sizeof(ngx_http_intuit_disconnect_t));

    if (disconnect == NULL
        || ngx_http_intuit_connection_id(&id, provider, realm)
           != NGX_OK)
    {
        ngx_http_intuit_operator_fail(r, provider, NGX_HTTP_INTUIT_E_INTERNAL,
                                      "disconnect");
        return;
    }

    disconnect->provider = provider;
    disconnect->realm = *realm;
    disconnect->token = *given;

    ctx->disconnect = disconnect;

    rc = realm->len ? ngx_http_intuit_share_first(r, provider, &id,
                                            ngx_http_intuit_disconnect_shared)
                    : NGX_OK;

    if (rc == NGX_AGAIN) {
        return;
    }

    ctx->share_rc = rc;

    ngx_http_intuit_disconnect_shared(r);
}


static void
ngx_http_intuit_disconnect_shared(ngx_http_request_t *r)
{
    ngx_http_intuit_ctx_t         *ctx;
    ngx_http_intuit_disconnect_t  *disconnect;

    ctx = ngx_http_intuit_get_ctx(r, 0);
    ctx->share_waits = 0;

    disconnect = ctx->disconnect;

    if (ctx->share_rc != NGX_OK) {
        ngx_http_intuit_operator_fail(r, disconnect->provider,
                                      NGX_HTTP_INTUIT_E_STORE, "disconnect");
        return;
    }

    ngx_http_intuit_disconnect_now(r, disconnect->provider,
                                   &disconnect->realm, &disconnect->token);
}


static void
ngx_http_intuit_disconnect_now(ngx_http_request_t *r,
    ngx_http_intuit_provider_t *provider, const ngx_str_t *realm,
    const ngx_str_t *given)
{
    ngx_int_t                 rc;
    ngx_str_t                 token[2];
    ngx_http_intuit_job_t    *job;
    ngx_intuit_connection_t   c;

    rc = NGX_OK;
    job = NULL;

    ngx_memzero(&c, sizeof(ngx_intuit_connection_t));

    if (realm->len) {
        rc = ngx_http_intuit_disconnect_load(r, provider, realm, &c);
    }

    if (rc == NGX_OK) {
        token[0] = *given;
        ngx_str_null(&token[1]);

        if (token[0].len == 0) {

            /* a refresh on its way may just have replaced the refresh token */

            token[0] = c.current.refresh_token;
            token[1] = c.current.access_token;
        }

        if (token[0].len || token[1].len) {
            /* kept before the connection that holds the tokens is gone */
            job = ngx_http_intuit_revoke_create(provider, realm, token);
        }

        if (realm->len) {
            rc = ngx_http_intuit_disconnect_forget(r, provider, realm);
        }
    }

    if (rc == NGX_OK) {
        ngx_http_intuit_disconnect_revoke(r, provider, job);
        return;
    }

    if (job) {
        ngx_http_intuit_revoke_discard(job);
    }

    ngx_http_intuit_operator_fail(r, provider,
                                  rc == NGX_DECLINED
                                  ? NGX_HTTP_INTUIT_E_BODY
                                  : NGX_HTTP_INTUIT_E_STORE,
                                  "disconnect");
}


/* job NULL: there is nothing that Intuit still knows about, or no memory */

static void
ngx_http_intuit_disconnect_revoke(ngx_http_request_t *r,
    ngx_http_intuit_provider_t *provider, ngx_http_intuit_job_t *job)
{
    ngx_str_t               word;
    ngx_http_intuit_ctx_t  *ctx;

    ctx = ngx_http_intuit_get_ctx(r, 0);

    if (job && ngx_http_intuit_operator_begin(r, provider) == NGX_OK) {
        ngx_http_intuit_revoke_run(job, &ctx->login);
        ngx_http_intuit_operator_wait(r, ngx_http_intuit_disconnect_resume);
        return;
    }

    ngx_str_set(&word, "false");

    if (job) {

        /* what is to be done is done, but nobody can be told how it ended */

        ngx_http_intuit_revoke_run(job, NULL);
        ngx_str_set(&word, "\"pending\"");
    }

    ngx_http_finalize_request(r, ngx_http_intuit_disconnect_answer(r, &word));
}


/* NGX_OK; NGX_DECLINED: it cannot be understood; NGX_ERROR. */

static ngx_int_t
ngx_http_intuit_disconnect_form(ngx_http_request_t *r,
    ngx_http_intuit_provider_t *provider, ngx_str_t *realm, ngx_str_t *token)
{
    ngx_int_t                rc;
    ngx_str_t                text;
    ngx_uint_t               i;
    ngx_http_intuit_view_t  *view;

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

    view = NULL;

    rc = ngx_http_intuit_identify(r, provider, &view);

    if (rc != NGX_OK) {
        return rc;
    }

    *realm = view->loaded.session.realm;

    return realm->len ? NGX_OK : NGX_DECLINED;
}


/*
 * c stays empty when there is no connection.  Tokens that wait for the proof
 * of this company are forgotten with it.
 */

static ngx_int_t
ngx_http_intuit_disconnect_load(ngx_http_request_t *r,
    ngx_http_intuit_provider_t *provider, const ngx_str_t *realm,
    ngx_intuit_connection_t *c)
{
    uint64_t                 generation;
    ngx_http_intuit_id_t     id;
    ngx_intuit_connection_t  import;

    if (ngx_http_intuit_connection_id(&id, provider, realm) != NGX_OK) {
        return NGX_ERROR;
    }

    /* one that cannot be read goes as well */

    if (ngx_http_intuit_connection_load(provider->store, &id, r->pool, c,
                                        &generation)
        != NGX_OK)
    {
        ngx_memzero(c, sizeof(ngx_intuit_connection_t));
    }

    if (ngx_http_intuit_store_id(&id, "import", provider, realm) == NGX_OK
        && ngx_http_intuit_connection_load(provider->store, &id, r->pool,
                                           &import, &generation)
           == NGX_OK)
    {
        if (c->current.access_token.len == 0) {
            c->current = import.current;
        }

        ngx_http_intuit_pending_remove(provider, &id, NULL);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_intuit_disconnect_forget(ngx_http_request_t *r,
    ngx_http_intuit_provider_t *provider, const ngx_str_t *realm)
{
    ngx_int_t             rc;
    ngx_http_intuit_id_t  id;

    if (ngx_http_intuit_connection_id(&id, provider, realm) != NGX_OK) {
        return NGX_ERROR;
    }

    rc = (provider->state_path || provider->redis)
         ? ngx_http_intuit_disconnect_bury(r, provider, &id, realm)
         : ngx_http_intuit_connection_remove(provider->store, &id, 0);

    if (rc == NGX_OK) {
        ngx_http_intuit_store_count(provider->store,
                                    NGX_HTTP_INTUIT_N_DISCONNECT);

        ngx_log_error(NGX_LOG_NOTICE, r->connection->log, 0,
                      "intuit connection is removed, provider \"%V\", "
                      "realm \"%V\"", &provider->name, realm);
    }

    return (rc == NGX_OK || rc == NGX_DECLINED) ? NGX_OK : NGX_ERROR;
}


/*
 * With state_path the connection stays as an ended one without tokens, and
 * with the time, which ends all consents before: a file that was only left
 * alone would bring the old tokens back at a restart, and so would another host
 * that shares a store.
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
        c.current.issued = ngx_time();
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
    ngx_str_t                    body;
    ngx_http_intuit_loc_conf_t  *ilcf;

    ilcf = ngx_http_get_module_loc_conf(r, ngx_http_intuit_auth_module);

    if (ilcf->manage && ngx_http_intuit_wants_html(r)) {
        return ngx_http_intuit_status_back(r, "disconnected");
    }

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
