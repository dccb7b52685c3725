/*
 * intuit_migrate: takes a company's OAuth 1.0a tokens over.  Intuit gives
 * OAuth 2.0 tokens for them, which become the company's connection once it is
 * proven.
 */

#include "ngx_http_intuit_exchange.h"
#include "ngx_intuit_oauth1.h"


#define NGX_HTTP_INTUIT_MIGRATE_MAX    1024    /* bytes of each value */

/* places in exchange->given */
#define NGX_HTTP_INTUIT_CONSUMER_KEY   1
#define NGX_HTTP_INTUIT_CONSUMER_HALF  2
#define NGX_HTTP_INTUIT_ACCESS_KEY     3
#define NGX_HTTP_INTUIT_ACCESS_HALF    4


static void ngx_http_intuit_migrate_body(ngx_http_request_t *r);
static ngx_int_t ngx_http_intuit_migrate_json(ngx_http_request_t *r,
    ngx_http_intuit_exchange_t *in);
static ngx_uint_t ngx_http_intuit_migrate_printable(const ngx_str_t *s);
static ngx_int_t ngx_http_intuit_migrate_send(ngx_http_intuit_job_t *job);
static ngx_int_t ngx_http_intuit_migrate_header(ngx_http_intuit_job_t *job,
    ngx_str_t *header);
static ngx_int_t ngx_http_intuit_migrate_request(ngx_http_intuit_job_t *job,
    ngx_str_t *body);
static ngx_int_t ngx_http_intuit_migrate_answer(ngx_http_intuit_job_t *job);


ngx_int_t
ngx_http_intuit_migrate_handler(ngx_http_request_t *r)
{
    return ngx_http_intuit_operator_handler(r, NULL,
                                            ngx_http_intuit_migrate_body);
}


static void
ngx_http_intuit_migrate_body(ngx_http_request_t *r)
{
    ngx_int_t                    rc;
    ngx_http_intuit_error_e      e;
    ngx_http_intuit_exchange_t   in;
    ngx_http_intuit_loc_conf_t  *ilcf;

    ilcf = ngx_http_get_module_loc_conf(r, ngx_http_intuit_auth_module);

    ngx_memzero(&in, sizeof(ngx_http_intuit_exchange_t));

    e = NGX_HTTP_INTUIT_E_MAX;

    rc = ngx_http_intuit_migrate_json(r, &in);

    if (rc != NGX_OK) {
        e = rc == NGX_DECLINED ? NGX_HTTP_INTUIT_E_BODY
                               : NGX_HTTP_INTUIT_E_INTERNAL;

    } else if (in.realm.len
               && !ngx_http_intuit_exchange_allows(ilcf->action, &in.realm))
    {
        /* before the tokens are spent */
        e = NGX_HTTP_INTUIT_E_REALM_DENIED;
    }

    if (e != NGX_HTTP_INTUIT_E_MAX) {
        ngx_http_intuit_operator_fail(r, ilcf->action, e, "migrate");
        return;
    }

    in.begin = ngx_http_intuit_migrate_send;

    ngx_http_intuit_connect_start(r, ilcf->action, &in);
}


/* NGX_OK; NGX_DECLINED: it cannot be understood; NGX_ERROR. */

static ngx_int_t
ngx_http_intuit_migrate_json(ngx_http_request_t *r,
    ngx_http_intuit_exchange_t *in)
{
    ngx_int_t           rc;
    ngx_str_t           text, *value;
    ngx_uint_t          i;
    ngx_intuit_json_t  *json;

    static const char  *name[] = {
        "consumer_key", "consumer_secret", "access_token", "access_secret"
    };

    rc = ngx_http_intuit_operator_text(r, &text);
    if (rc != NGX_OK) {
        return rc;
    }

    json = ngx_intuit_json_parse(r->pool, &text);
    if (json == NULL) {
        return NGX_DECLINED;
    }

    for (i = 0; i < 4; i++) {

        value = &in->given[NGX_HTTP_INTUIT_CONSUMER_KEY + i];

        if (ngx_intuit_json_string(json, name[i], value) != NGX_OK
            || !ngx_http_intuit_migrate_printable(value))
        {
            return NGX_DECLINED;
        }
    }

    rc = ngx_intuit_json_string(json, "realm", &in->realm);

    if (rc == NGX_DECLINED) {
        ngx_str_null(&in->realm);
        return NGX_OK;
    }

    return (rc == NGX_OK && ngx_intuit_realm_valid(&in->realm)) ? NGX_OK
                                                               : NGX_DECLINED;
}


static ngx_uint_t
ngx_http_intuit_migrate_printable(const ngx_str_t *s)
{
    ngx_uint_t  i;

    for (i = 0; i < s->len; i++) {
        if (s->data[i] < 0x20 || s->data[i] > 0x7e) {
            return 0;
        }
    }

    return s->len > 0 && s->len <= NGX_HTTP_INTUIT_MIGRATE_MAX;
}


static ngx_int_t
ngx_http_intuit_migrate_send(ngx_http_intuit_job_t *job)
{
    ngx_http_intuit_fetch_t  request;

    ngx_memzero(&request, sizeof(ngx_http_intuit_fetch_t));

    if (ngx_http_intuit_migrate_header(job, &request.authorization) != NGX_OK
        || ngx_http_intuit_migrate_request(job, &request.body) != NGX_OK)
    {
        return NGX_ERROR;
    }

    request.post = 1;
    request.url = job->provider->migrate_url;
    ngx_str_set(&request.content_type, "application/json");

    job->step = ngx_http_intuit_migrate_answer;

    return ngx_http_intuit_fetch(job, &request);
}


static ngx_int_t
ngx_http_intuit_migrate_header(ngx_http_intuit_job_t *job, ngx_str_t *header)
{
    u_char                           random[16], text[32];
    ngx_intuit_oauth1_t              o;
    ngx_http_intuit_exchange_ctx_t  *ctx;

    ctx = job->data;

    if (ngx_intuit_random(random, sizeof(random)) != NGX_OK) {
        return NGX_ERROR;
    }

    o.url = job->provider->migrate_url;
    o.consumer_key = ctx->in.given[NGX_HTTP_INTUIT_CONSUMER_KEY];
    o.consumer_secret = ctx->in.given[NGX_HTTP_INTUIT_CONSUMER_HALF];
    o.token = ctx->in.given[NGX_HTTP_INTUIT_ACCESS_KEY];
    o.token_secret = ctx->in.given[NGX_HTTP_INTUIT_ACCESS_HALF];
    o.timestamp = ngx_time();
    o.nonce.data = text;
    o.nonce.len = ngx_hex_dump(text, random, sizeof(random)) - text;

    return ngx_intuit_oauth1_header(job->pool, &o, header);
}


static ngx_int_t
ngx_http_intuit_migrate_request(ngx_http_intuit_job_t *job, ngx_str_t *body)
{
    u_char                      *p;
    size_t                       len;
    ngx_uint_t                   i;
    ngx_str_t                   *value[4];
    ngx_http_intuit_provider_t  *provider;

    static const char  *name[] = {
        "scope", "redirect_uri", "client_id", "client_secret"
    };

    provider = job->provider;

    value[0] = &provider->scope;
    value[1] = &provider->redirect_uri;
    value[2] = &provider->client_id;
    value[3] = &provider->client_secret;

    len = 2;

    for (i = 0; i < 4; i++) {
        len += ngx_strlen(name[i]) + ngx_intuit_json_escaped_len(value[i])
               + sizeof("\"\":\"null\",");
    }

    p = ngx_pnalloc(job->pool, len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    body->data = p;

    for (i = 0; i < 4; i++) {
        *p++ = i ? ',' : '{';
        p = ngx_http_intuit_json_text(p, name[i], value[i]);
    }

    *p++ = '}';

    body->len = p - body->data;

    return NGX_OK;
}


/* the answer is that of the token endpoint, and names the company */

static ngx_int_t
ngx_http_intuit_migrate_answer(ngx_http_intuit_job_t *job)
{
    ngx_str_t                        name, realm;
    ngx_intuit_json_t               *json;
    ngx_http_intuit_fetch_t         *fetch;
    ngx_http_intuit_exchange_ctx_t  *ctx;

    ctx = job->data;
    fetch = job->fetch;

    ngx_intuit_cleanse(fetch->body.data, fetch->body.len);

    if (fetch->rc != NGX_OK || fetch->status != NGX_HTTP_OK) {
        return ngx_http_intuit_exchange_tokens(job);
    }

    json = ngx_intuit_json_parse(job->pool, &fetch->answer);

    ngx_str_set(&name, "realmId");

    if (json
        && ngx_intuit_json_claim(job->pool, json, &name, &realm) == NGX_OK)
    {
        if (!ngx_intuit_realm_valid(&realm)
            || (ctx->in.realm.len
                && (ctx->in.realm.len != realm.len
                    || ngx_memcmp(ctx->in.realm.data, realm.data, realm.len)
                       != 0)))
        {
            ctx->result.tid = fetch->tid;

            return ngx_http_intuit_exchange_fail(job,
                                            NGX_HTTP_INTUIT_E_REALM_UNPROVEN,
                                            "the tokens are of another realm");
        }

        ctx->in.realm = realm;
    }

    return ngx_http_intuit_exchange_tokens(job);
}
