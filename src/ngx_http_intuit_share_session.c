/*
 * Jobs that read, write and end sessions in the store that hosts share.
 */

#include "ngx_http_intuit_share.h"


static ngx_int_t ngx_http_intuit_share_answer(ngx_http_intuit_job_t *job);
static ngx_int_t ngx_http_intuit_share_found(ngx_http_intuit_job_t *job,
    const ngx_str_t *value);
static ngx_int_t ngx_http_intuit_share_read_connection(
    ngx_http_intuit_job_t *job);
static ngx_int_t ngx_http_intuit_share_company(ngx_http_intuit_job_t *job);
static ngx_int_t ngx_http_intuit_share_written(ngx_http_intuit_job_t *job);
static ngx_uint_t ngx_http_intuit_share_none(const ngx_http_intuit_id_t *id);


/*
 * Both begin with a write, so that a replica, which may be behind, refuses
 * them.
 */

static ngx_str_t  ngx_http_intuit_share_session_script = ngx_string(
    "if redis.call('PEXPIRE',KEYS[1],ARGV[1])==0 then return false end "
    "local c=false "
    "if #KEYS==2 then c=redis.call('GET',KEYS[2]) end "
    "return {redis.call('GET',KEYS[1]),c}"
);

static ngx_str_t  ngx_http_intuit_share_connection_script = ngx_string(
    "redis.call('PERSIST',KEYS[1]) "
    "return redis.call('GET',KEYS[1])"
);


ngx_int_t
ngx_http_intuit_share_read(ngx_http_intuit_job_t *job)
{
    u_char                        number[NGX_TIME_T_LEN + 3];
    ngx_uint_t                    n;
    ngx_http_intuit_share_op_t   *op;
    ngx_http_intuit_redis_ask_t   ask;

    op = job->data;

    if (op->what == NGX_HTTP_INTUIT_SHARE_CONNECTION) {
        op->connection = op->id;
        return ngx_http_intuit_share_read_connection(job);
    }

    n = 0;

    ngx_str_set(&ask.args[n], "EVAL");
    n++;
    ask.args[n++] = ngx_http_intuit_share_session_script;
    ngx_str_set(&ask.args[n], "1");
    n++;

    if (ngx_http_intuit_share_name(job->pool, op->provider,
                                   NGX_INTUIT_SHARED_SESSION, &op->id,
                                   &ask.args[n++])
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (!ngx_http_intuit_share_none(&op->connection)) {

        ngx_str_set(&ask.args[2], "2");

        if (ngx_http_intuit_share_name(job->pool, op->provider,
                                       NGX_INTUIT_SHARED_CONNECTION,
                                       &op->connection, &ask.args[n++])
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    ask.args[n].data = number;
    ask.args[n].len = ngx_sprintf(number, "%T000",
                                  op->provider->session_idle_timeout)
                      - number;
    ask.args[n].data = ngx_pstrdup(job->pool, &ask.args[n]);
    if (ask.args[n].data == NULL) {
        return NGX_ERROR;
    }

    ask.nargs = n + 1;

    job->step = ngx_http_intuit_share_answer;

    return ngx_http_intuit_redis_ask(job, &ask);
}


static ngx_int_t
ngx_http_intuit_share_answer(ngx_http_intuit_job_t *job)
{
    ngx_int_t                    rc;
    ngx_http_intuit_id_t         asked;
    ngx_intuit_resp_t           *answer;
    ngx_http_intuit_share_op_t  *op;

    op = job->data;
    answer = &job->ask->answer;

    if (job->ask->rc != NGX_OK) {
        return NGX_ERROR;
    }

    if (answer->value.type == NGX_INTUIT_RESP_NIL) {
        (void) ngx_http_intuit_session_remove(op->provider->store, &op->id);
        return NGX_OK;
    }

    if (answer->value.type != NGX_INTUIT_RESP_ARRAY || answer->nitems != 2) {
        return NGX_ERROR;
    }

    asked = op->connection;

    rc = ngx_http_intuit_share_found(job, &answer->items[0].text);

    if (rc != NGX_OK) {

        /* not to be used: the next request may sign in anew */

        (void) ngx_http_intuit_session_remove(op->provider->store, &op->id);
        return rc == NGX_DECLINED ? NGX_OK : rc;
    }

    if (ngx_http_intuit_share_none(&op->connection)) {
        return NGX_OK;
    }

    if (ngx_memcmp(asked.data, op->connection.data, NGX_HTTP_INTUIT_ID_LEN)
        != 0)
    {
        return ngx_http_intuit_share_read_connection(job);
    }

    rc = ngx_http_intuit_share_adopt(job, &op->connection,
                                     &answer->items[1].text);
    if (rc == NGX_OK) {
        ngx_http_intuit_store_check(op->provider->store, &op->connection,
                                    op->begun);
    }

    return rc;
}


/* NGX_OK: it is in the zone; NGX_DECLINED: there is no session in it */

static ngx_int_t
ngx_http_intuit_share_found(ngx_http_intuit_job_t *job,
    const ngx_str_t *value)
{
    ngx_int_t                    rc;
    ngx_str_t                    plain, encoded;
    ngx_intuit_session_t         session;
    ngx_intuit_shared_t          shared;
    ngx_http_intuit_share_op_t  *op;
    ngx_http_intuit_provider_t  *provider;

    op = job->data;
    provider = op->provider;

    shared.kind = NGX_INTUIT_SHARED_SESSION;
    shared.id = op->id.data;

    rc = ngx_intuit_shared_open(job->pool, provider->share_keys,
                                provider->keys.nelts, &shared, value, &plain);
    if (rc == NGX_ERROR) {
        return NGX_ERROR;
    }

    if (rc != NGX_OK || plain.len < NGX_HTTP_INTUIT_ID_LEN) {
        goto unreadable;
    }

    ngx_memcpy(op->connection.data, plain.data, NGX_HTTP_INTUIT_ID_LEN);

    encoded.data = plain.data + NGX_HTTP_INTUIT_ID_LEN;
    encoded.len = plain.len - NGX_HTTP_INTUIT_ID_LEN;

    if (ngx_intuit_session_decode(&encoded, &session) != NGX_OK) {
        goto unreadable;
    }

    if (session.expires <= ngx_time()) {
        return NGX_DECLINED;
    }

    rc = ngx_http_intuit_session_create(provider->store, &op->id, &encoded,
                                        session.expires,
                                        ngx_http_intuit_share_none(
                                                          &op->connection)
                                        ? NULL : &op->connection, ngx_time());

    ngx_intuit_cleanse(plain.data, plain.len);

    if (rc != NGX_OK && rc != NGX_DECLINED) {
        return NGX_ERROR;
    }

    ngx_http_intuit_store_check(provider->store, &op->id, op->begun);

    return NGX_OK;

unreadable:

    ngx_log_error(NGX_LOG_WARN, job->log, 0,
                  "intuit session in the shared store cannot be read: it was "
                  "altered, or written with another encryption_key_file or "
                  "another version");

    return NGX_DECLINED;
}


static ngx_int_t
ngx_http_intuit_share_read_connection(ngx_http_intuit_job_t *job)
{
    ngx_http_intuit_share_op_t  *op;

    op = job->data;

    job->step = ngx_http_intuit_share_company;

    return ngx_http_intuit_share_get(job, &op->connection);
}


ngx_int_t
ngx_http_intuit_share_get(ngx_http_intuit_job_t *job,
    const ngx_http_intuit_id_t *id)
{
    static const ngx_str_t  none = ngx_null_string;

    return ngx_http_intuit_share_eval(job,
                                      &ngx_http_intuit_share_connection_script,
                                      "c", id, &none);
}


static ngx_int_t
ngx_http_intuit_share_company(ngx_http_intuit_job_t *job)
{
    ngx_int_t                    rc;
    ngx_http_intuit_share_op_t  *op;

    op = job->data;

    if (job->ask->rc != NGX_OK) {
        return NGX_ERROR;
    }

    rc = ngx_http_intuit_share_adopt(job, &op->connection,
                                     &job->ask->answer.value.text);
    if (rc == NGX_OK) {
        ngx_http_intuit_store_check(op->provider->store, &op->connection,
                                    op->begun);
    }

    return rc;
}


ngx_int_t
ngx_http_intuit_share_write(ngx_http_intuit_job_t *job)
{
    u_char                       *p;
    time_t                        life;
    ngx_str_t                     plain;
    ngx_intuit_session_t          session;
    ngx_intuit_shared_t           shared;
    ngx_http_intuit_share_op_t   *op;
    ngx_http_intuit_redis_ask_t   ask;

    op = job->data;

    plain.len = NGX_HTTP_INTUIT_ID_LEN + op->session.len;
    plain.data = ngx_pnalloc(job->pool, plain.len);

    p = ngx_pnalloc(job->pool, NGX_TIME_T_LEN + 3);

    if (plain.data == NULL || p == NULL
        || ngx_intuit_session_decode(&op->session, &session) != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_memcpy(ngx_cpymem(plain.data, op->connection.data,
                          NGX_HTTP_INTUIT_ID_LEN),
               op->session.data, op->session.len);

    shared.kind = NGX_INTUIT_SHARED_SESSION;
    shared.id = op->id.data;
    shared.generation = 0;

    ngx_str_set(&ask.args[0], "SET");
    ngx_str_set(&ask.args[3], "PX");
    ask.nargs = 5;

    life = session.expires - ngx_time();
    life = ngx_max(ngx_min(life, op->provider->session_idle_timeout), 1);

    ask.args[4].data = p;
    ask.args[4].len = ngx_sprintf(p, "%T000", life) - p;

    if (ngx_http_intuit_share_name(job->pool, op->provider, shared.kind,
                                   &op->id, &ask.args[1])
        != NGX_OK
        || ngx_intuit_shared_seal(job->pool, op->provider->share_keys, &shared,
                                  &plain, &ask.args[2])
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_intuit_cleanse(plain.data, plain.len);

    job->step = ngx_http_intuit_share_written;

    return ngx_http_intuit_redis_ask(job, &ask);
}


ngx_int_t
ngx_http_intuit_share_remove(ngx_http_intuit_job_t *job)
{
    ngx_uint_t                    i;
    ngx_http_intuit_share_op_t   *op;
    ngx_http_intuit_redis_ask_t   ask;

    op = job->data;

    ngx_str_set(&ask.args[0], "DEL");

    for (i = 0; i < op->n; i++) {
        if (ngx_http_intuit_share_name(job->pool, op->provider,
                                       NGX_INTUIT_SHARED_SESSION, &op->ids[i],
                                       &ask.args[i + 1])
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    ask.nargs = op->n + 1;

    job->step = ngx_http_intuit_share_written;

    return ngx_http_intuit_redis_ask(job, &ask);
}


static ngx_int_t
ngx_http_intuit_share_written(ngx_http_intuit_job_t *job)
{
    ngx_uint_t                   i;
    ngx_http_intuit_share_op_t  *op;

    op = job->data;

    if (job->ask->rc == NGX_OK && op->what == NGX_HTTP_INTUIT_SHARE_PUT) {
        ngx_http_intuit_store_check(op->provider->store, &op->id, op->begun);
    }

    /* somebody may have read one just before, and brought it back */

    for (i = 0; job->ask->rc == NGX_OK && i < op->n; i++) {
        (void) ngx_http_intuit_session_remove(op->provider->store,
                                              &op->ids[i]);
    }

    return job->ask->rc;
}


static ngx_uint_t
ngx_http_intuit_share_none(const ngx_http_intuit_id_t *id)
{
    static const ngx_http_intuit_id_t  zero;

    return ngx_memcmp(id->data, zero.data, NGX_HTTP_INTUIT_ID_LEN) == 0;
}
