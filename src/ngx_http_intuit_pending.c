/*
 * What is still to be done at Intuit, kept beside the connections.
 */

#include "ngx_http_intuit_pending.h"
#include "ngx_http_intuit_state.h"


#define NGX_HTTP_INTUIT_REVOCATIONS    64      /* waiting, a provider */
#define NGX_HTTP_INTUIT_PENDING_TRIES  8
#define NGX_HTTP_INTUIT_PENDING_LOOK   64
#define NGX_HTTP_INTUIT_PENDING_EXTRA  5       /* s past a job's deadline */


static ngx_int_t ngx_http_intuit_pending_change(
    ngx_http_intuit_provider_t *provider, const ngx_http_intuit_id_t *id,
    const ngx_str_t *token, time_t wait);


static ngx_str_t  ngx_http_intuit_pending_words[] = {
    ngx_null_string,
    ngx_string("pending_revocation"),
    ngx_string("pending_import")
};


ngx_http_intuit_pending_e
ngx_http_intuit_pending_kind(const ngx_intuit_connection_t *c)
{
    ngx_uint_t  i;

    for (i = NGX_HTTP_INTUIT_PENDING_REVOCATION;
         c->dead && i <= NGX_HTTP_INTUIT_PENDING_IMPORT;
         i++)
    {
        if (ngx_intuit_equal(&c->error, &ngx_http_intuit_pending_words[i])) {
            return (ngx_http_intuit_pending_e) i;
        }
    }

    return NGX_HTTP_INTUIT_PENDING_NONE;
}


ngx_uint_t
ngx_http_intuit_pending_disconnected(const ngx_intuit_connection_t *c)
{
    return c->dead && c->error.len == 12
           && ngx_memcmp(c->error.data, "disconnected", 12) == 0;
}


ngx_int_t
ngx_http_intuit_pending_id(const ngx_http_intuit_provider_t *provider,
    const ngx_intuit_connection_t *c, ngx_http_intuit_id_t *id)
{
    switch (ngx_http_intuit_pending_kind(c)) {

    case NGX_HTTP_INTUIT_PENDING_REVOCATION:
        /* its name */
        return ngx_http_intuit_store_id(id, "revocation", provider,
                                        &c->company);

    case NGX_HTTP_INTUIT_PENDING_IMPORT:
        return ngx_http_intuit_store_id(id, "import", provider, &c->realm);

    default:
        return ngx_http_intuit_connection_id(id, provider, &c->realm);
    }
}


void
ngx_http_intuit_pending_init(const ngx_http_intuit_provider_t *provider,
    ngx_intuit_connection_t *c, ngx_http_intuit_pending_e kind)
{
    c->dead = 1;
    c->error = ngx_http_intuit_pending_words[kind];
    c->retry_at = ngx_time() + ngx_http_intuit_job_deadline(provider) / 1000
                  + NGX_HTTP_INTUIT_PENDING_EXTRA;
}


/*
 * As many as there are numbers.  Others that share state_path or a store with
 * this nginx have their own, under other names.
 */

ngx_int_t
ngx_http_intuit_pending_keep(ngx_http_intuit_provider_t *provider,
    ngx_intuit_connection_t *c, ngx_pool_t *pool, ngx_http_intuit_id_t *id)
{
    uint64_t    generation;
    ngx_int_t   rc;
    ngx_str_t   encoded;
    ngx_uint_t  i;

    c->company.data = ngx_pnalloc(pool, NGX_INT_T_LEN + 1
                                        + NGX_HTTP_INTUIT_REVOCATIONS_LEN);
    if (c->company.data == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < NGX_HTTP_INTUIT_REVOCATIONS; i++) {

        c->company.len = ngx_sprintf(c->company.data, "%ui-%*s", i,
                                     (size_t) NGX_HTTP_INTUIT_REVOCATIONS_LEN,
                                     provider->revocations)
                         - c->company.data;

        if (ngx_http_intuit_pending_id(provider, c, id) != NGX_OK
            || ngx_intuit_connection_encode(pool, c, &encoded) != NGX_OK)
        {
            return NGX_ERROR;
        }

        generation = 0;

        rc = ngx_http_intuit_connection_save(provider->store, id, &encoded,
                                             &generation, ngx_time());

        ngx_intuit_cleanse(encoded.data, encoded.len);

        if (rc == NGX_OK) {
            ngx_http_intuit_state_flush(provider, id);
        }

        if (rc != NGX_DECLINED) {
            return rc;
        }
    }

    return NGX_BUSY;
}


ngx_int_t
ngx_http_intuit_pending_claim(ngx_http_intuit_provider_t *provider,
    const ngx_http_intuit_id_t *id, ngx_intuit_connection_t *c,
    uint64_t generation, ngx_pool_t *pool)
{
    time_t     now;
    ngx_str_t  encoded;

    now = ngx_time();

    /* later than any can be: the clock was set back */

    if (c->retry_at > now && c->retry_at <= now + NGX_HTTP_INTUIT_HOLD_MAX) {
        return NGX_DECLINED;
    }

    ngx_http_intuit_pending_init(provider, c, ngx_http_intuit_pending_kind(c));

    if (ngx_intuit_connection_encode(pool, c, &encoded) != NGX_OK) {
        return NGX_DECLINED;
    }

    return ngx_http_intuit_connection_save(provider->store, id, &encoded,
                                           &generation, now) == NGX_OK
           ? NGX_OK : NGX_DECLINED;
}


void
ngx_http_intuit_pending_later(ngx_http_intuit_provider_t *provider,
    const ngx_http_intuit_id_t *id, const ngx_str_t *token, time_t wait)
{
    (void) ngx_http_intuit_pending_change(provider, id, token, wait);
}


void
ngx_http_intuit_pending_remove(ngx_http_intuit_provider_t *provider,
    const ngx_http_intuit_id_t *id, const ngx_str_t *token)
{
    if (ngx_http_intuit_pending_change(provider, id, token, -1) == NGX_OK) {
        ngx_http_intuit_state_drop(provider, id);
    }
}


/* wait -1: it goes */

static ngx_int_t
ngx_http_intuit_pending_change(ngx_http_intuit_provider_t *provider,
    const ngx_http_intuit_id_t *id, const ngx_str_t *token, time_t wait)
{
    uint64_t                  generation;
    ngx_int_t                 rc;
    ngx_str_t                 encoded;
    ngx_uint_t                i;
    ngx_pool_t               *pool;
    ngx_intuit_connection_t   c;

    pool = ngx_create_pool(NGX_DEFAULT_POOL_SIZE, ngx_cycle->log);
    if (pool == NULL) {
        /* the end of the job's time will do */
        return NGX_ERROR;
    }

    rc = NGX_DECLINED;

    for (i = 0; i < NGX_HTTP_INTUIT_PENDING_TRIES; i++) {

        rc = ngx_http_intuit_connection_load(provider->store, id, pool, &c,
                                             &generation);
        if (rc != NGX_OK) {
            break;
        }

        if (token && !ngx_intuit_equal(token, &c.current.access_token)) {
            rc = NGX_DECLINED;
            break;
        }

        if (wait == -1) {
            rc = ngx_http_intuit_connection_remove(provider->store, id,
                                                   generation);

        } else {
            c.failures++;
            c.retry_at = ngx_time() + wait;

            if (ngx_intuit_connection_encode(pool, &c, &encoded) != NGX_OK) {
                rc = NGX_ERROR;
                break;
            }

            rc = ngx_http_intuit_connection_save(provider->store, id, &encoded,
                                                 &generation, ngx_time());

            ngx_intuit_cleanse(encoded.data, encoded.len);
        }

        if (rc != NGX_DECLINED) {
            break;
        }
    }

    ngx_destroy_pool(pool);

    return rc;
}


void
ngx_http_intuit_pending_exit(ngx_cycle_t *cycle,
    ngx_http_intuit_main_conf_t *imcf)
{
    uint64_t                      generation;
    ngx_uint_t                    i, k, n;
    ngx_pool_t                   *pool;
    ngx_http_intuit_id_t          ids[NGX_HTTP_INTUIT_PENDING_LOOK], id, own;
    ngx_intuit_connection_t       c;
    ngx_http_intuit_provider_t  **provider;

    if (imcf->store == NULL) {
        return;
    }

    pool = ngx_create_pool(NGX_DEFAULT_POOL_SIZE, cycle->log);
    if (pool == NULL) {
        return;
    }

    provider = imcf->providers.elts;
    ngx_memzero(&id, sizeof(ngx_http_intuit_id_t));

    do {
        n = ngx_http_intuit_connection_walk(imcf->store, &id, ids,
                                            NGX_HTTP_INTUIT_PENDING_LOOK);

        for (i = 0; i < n; i++) {
            id = ids[i];

            if (ngx_http_intuit_connection_load(imcf->store, &id, pool, &c,
                                                &generation)
                != NGX_OK
                || ngx_http_intuit_pending_kind(&c)
                   != NGX_HTTP_INTUIT_PENDING_REVOCATION)
            {
                continue;
            }

            for (k = 0; k < imcf->providers.nelts; k++) {

                if (provider[k]->state_path
                    || ngx_http_intuit_pending_id(provider[k], &c, &own)
                       != NGX_OK
                    || ngx_memcmp(own.data, id.data, NGX_HTTP_INTUIT_ID_LEN)
                       != 0)
                {
                    continue;
                }

                ngx_log_error(NGX_LOG_ERR, cycle->log, 0,
                              "intuit revocation is given up: nginx ends, "
                              "provider \"%V\", realm \"%V\"",
                              &provider[k]->name, &c.realm);
            }
        }

        ngx_reset_pool(pool);

    } while (n == NGX_HTTP_INTUIT_PENDING_LOOK);

    ngx_destroy_pool(pool);
}
