/*
 * A login attempt whose callback may come to several hosts: it is claimed by
 * one of them, and the others learn how it has ended.
 */

#include "ngx_http_intuit_share.h"


#define NGX_HTTP_INTUIT_SHARE_HANDOUT  60000   /* ms, as in the zone */

/* what is sealed: state, error, connection, length of tid; tid; session */
#define NGX_HTTP_INTUIT_SHARE_LOGIN    (1 + 4 + NGX_HTTP_INTUIT_ID_LEN + 1)


static ngx_int_t ngx_http_intuit_share_outcome(ngx_http_intuit_job_t *job,
    const ngx_http_intuit_id_t *id, const ngx_str_t *value,
    ngx_http_intuit_login_t *login);
static size_t ngx_http_intuit_share_claim_time(
    const ngx_http_intuit_provider_t *provider, u_char *p);


/*
 * KEYS: the claim, and how it has ended.  ARGV: who claims it, for how long
 * (ms).  The answer is 1, nothing (it is not known yet), or what there is and
 * its age.
 */

static ngx_str_t  ngx_http_intuit_share_claim_script = ngx_string(
    "local o=redis.call('GET',KEYS[1]) "
    "if o and o~=ARGV[1] then "
        "local v=redis.call('GET',KEYS[2]) "
        "if not v then return false end "
        "return {v,ARGV[2]-redis.call('PTTL',KEYS[2])} "
    "end "
    "redis.call('SET',KEYS[1],ARGV[1],'PX',ARGV[2]) "
    "return 1"
);

static ngx_str_t  ngx_http_intuit_share_ended_script = ngx_string(
    "return redis.call('SET',KEYS[1],ARGV[1],'PX',ARGV[2])"
);

/* nothing: that is neither a session nor a failure */

static ngx_str_t  ngx_http_intuit_share_close_script = ngx_string(
    "if redis.call('EXISTS',KEYS[1])==0 then return 0 end "
    "return redis.call('SET',KEYS[1],'','KEEPTTL')"
);


ngx_int_t
ngx_http_intuit_share_claim(ngx_http_intuit_job_t *job,
    const ngx_http_intuit_id_t *id, ngx_str_t *owner)
{
    u_char     number[NGX_TIME_T_LEN + 3];
    ngx_str_t  args[3];

    if (ngx_http_intuit_share_owner(job->pool, owner) != NGX_OK) {
        return NGX_ERROR;
    }

    args[0] = *owner;
    args[1].data = number;
    args[1].len = ngx_http_intuit_share_claim_time(job->provider, number);
    ngx_str_null(&args[2]);

    return ngx_http_intuit_share_eval(job, &ngx_http_intuit_share_claim_script,
                                      "ao", id, args);
}


/* as long as its cookie may be of use */

static size_t
ngx_http_intuit_share_claim_time(const ngx_http_intuit_provider_t *provider,
    u_char *p)
{
    return ngx_sprintf(p, "%T000", provider->login_timeout + provider->leeway
                                   + 1)
           - p;
}


ngx_int_t
ngx_http_intuit_share_claimed(ngx_http_intuit_job_t *job,
    const ngx_http_intuit_id_t *id, ngx_http_intuit_login_t *login)
{
    ngx_int_t           rc;
    ngx_intuit_resp_t  *answer;

    answer = &job->ask->answer;

    if (job->ask->rc != NGX_OK) {
        return NGX_ERROR;
    }

    switch (answer->value.type) {

    case NGX_INTUIT_RESP_NUMBER:
        return NGX_OK;

    case NGX_INTUIT_RESP_NIL:
        ngx_http_intuit_redis_forget(job);
        return NGX_BUSY;

    case NGX_INTUIT_RESP_ARRAY:

        if (answer->nitems != 2) {
            return NGX_ERROR;
        }

        rc = ngx_http_intuit_share_outcome(job, id, &answer->items[0].text,
                                           login);

        if (rc == NGX_DECLINED
            && answer->items[1].number > NGX_HTTP_INTUIT_SHARE_HANDOUT)
        {
            ngx_str_null(&login->session);
        }

        return rc;

    default:
        return NGX_ERROR;
    }
}


static ngx_int_t
ngx_http_intuit_share_outcome(ngx_http_intuit_job_t *job,
    const ngx_http_intuit_id_t *id, const ngx_str_t *value,
    ngx_http_intuit_login_t *login)
{
    u_char                      *p, *last;
    ngx_str_t                    plain;
    ngx_intuit_shared_t          shared;
    ngx_http_intuit_provider_t  *provider;

    provider = job->provider;

    ngx_memzero(login, sizeof(ngx_http_intuit_login_t));
    login->state = NGX_HTTP_INTUIT_LOGIN_DONE;

    if (value->len == 0) {
        /* one of its sessions has been ended */
        return NGX_DECLINED;
    }

    shared.kind = NGX_INTUIT_SHARED_OUTCOME;
    shared.id = id->data;

    if (ngx_intuit_shared_open(job->pool, provider->share_keys,
                               provider->keys.nelts, &shared, value, &plain)
        != NGX_OK
        || plain.len < NGX_HTTP_INTUIT_SHARE_LOGIN)
    {
        return NGX_ERROR;
    }

    p = plain.data;
    last = p + plain.len;

    if (*p++ != NGX_HTTP_INTUIT_LOGIN_DONE) {
        login->state = NGX_HTTP_INTUIT_LOGIN_FAILED;
    }

    login->error = ((ngx_uint_t) p[0] << 24) | (p[1] << 16) | (p[2] << 8)
                   | p[3];
    p += 4;

    ngx_memcpy(login->connection.data, p, NGX_HTTP_INTUIT_ID_LEN);
    p += NGX_HTTP_INTUIT_ID_LEN;

    login->tid.len = *p++;
    login->tid.data = p;

    if ((size_t) (last - p) < login->tid.len) {
        return NGX_ERROR;
    }

    p += login->tid.len;

    login->session.data = p;
    login->session.len = last - p;

    return NGX_DECLINED;
}


void
ngx_http_intuit_share_ended(ngx_http_intuit_job_t *job,
    const ngx_http_intuit_id_t *id, const ngx_http_intuit_login_t *login)
{
    u_char               *p, number[NGX_TIME_T_LEN + 3];
    size_t                tid;
    ngx_str_t             plain, args[3];
    ngx_intuit_shared_t   shared;

    tid = ngx_min(login->tid.len, 255);

    plain.len = NGX_HTTP_INTUIT_SHARE_LOGIN + tid + login->session.len;
    plain.data = ngx_pnalloc(job->pool, plain.len);
    if (plain.data == NULL) {
        return;
    }

    p = plain.data;

    *p++ = (u_char) login->state;
    *p++ = (u_char) (login->error >> 24);
    *p++ = (u_char) (login->error >> 16);
    *p++ = (u_char) (login->error >> 8);
    *p++ = (u_char) login->error;
    p = ngx_cpymem(p, login->connection.data, NGX_HTTP_INTUIT_ID_LEN);
    *p++ = (u_char) tid;

    if (tid) {
        p = ngx_cpymem(p, login->tid.data, tid);
    }

    if (login->session.len) {
        ngx_memcpy(p, login->session.data, login->session.len);
    }

    shared.kind = NGX_INTUIT_SHARED_OUTCOME;
    shared.id = id->data;
    shared.generation = 0;

    args[1].data = number;
    args[1].len = ngx_http_intuit_share_claim_time(job->provider, number);
    ngx_str_null(&args[2]);

    if (ngx_intuit_shared_seal(job->pool, job->provider->share_keys, &shared,
                               &plain, &args[0])
        == NGX_OK)
    {
        ngx_http_intuit_share_tell(job->provider,
                                   &ngx_http_intuit_share_ended_script, "o",
                                   id, args);
    }

    ngx_intuit_cleanse(plain.data, plain.len);
}


void
ngx_http_intuit_share_close(ngx_http_intuit_provider_t *provider,
    const ngx_http_intuit_id_t *id)
{
    static const ngx_str_t  none = ngx_null_string;

    if (provider->redis) {
        ngx_http_intuit_share_tell(provider,
                                   &ngx_http_intuit_share_close_script, "o",
                                   id, &none);
    }
}
