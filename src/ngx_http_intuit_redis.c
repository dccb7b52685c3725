/*
 * One exchange of a job with a store.
 */

#include "ngx_http_intuit_peer.h"
#include "ngx_http_intuit_redis_conf.h"


static void ngx_http_intuit_redis_enter(ngx_http_request_t *sr);
static ngx_int_t ngx_http_intuit_redis_create_request(ngx_http_request_t *r);
static ngx_buf_t *ngx_http_intuit_redis_buf(ngx_pool_t *pool,
    const ngx_str_t *text);
static ngx_int_t ngx_http_intuit_redis_get_peer(ngx_peer_connection_t *pc,
    void *data);
static void ngx_http_intuit_redis_server_name(ngx_http_upstream_t *u,
    ngx_http_intuit_redis_t *redis);
static ngx_int_t ngx_http_intuit_redis_reinit_request(ngx_http_request_t *r);
static ngx_int_t ngx_http_intuit_redis_process_header(ngx_http_request_t *r);
static ngx_int_t ngx_http_intuit_redis_whole(ngx_http_upstream_t *u,
    ngx_uint_t keepalive);
static ngx_int_t ngx_http_intuit_redis_error(ngx_http_request_t *r,
    ngx_http_intuit_redis_ask_t *ask);
static void ngx_http_intuit_redis_say(ngx_http_request_t *r,
    ngx_http_intuit_redis_ask_t *ask);
static ngx_int_t ngx_http_intuit_redis_filter_init(void *data);
static ngx_int_t ngx_http_intuit_redis_filter(void *data, ssize_t bytes);
static void ngx_http_intuit_redis_abort_request(ngx_http_request_t *r);
static void ngx_http_intuit_redis_finalize_request(ngx_http_request_t *r,
    ngx_int_t rc);
static ngx_int_t ngx_http_intuit_redis_done(ngx_http_request_t *sr,
    void *data, ngx_int_t rc);


ngx_int_t
ngx_http_intuit_redis_ask(ngx_http_intuit_job_t *job,
    const ngx_http_intuit_redis_ask_t *request)
{
    ngx_str_t                     uri;
    ngx_http_request_t           *sr;
    ngx_http_intuit_redis_ask_t  *ask;
    ngx_http_post_subrequest_t   *ps;

    ask = ngx_pcalloc(job->pool, sizeof(ngx_http_intuit_redis_ask_t));
    ps = ngx_palloc(job->pool, sizeof(ngx_http_post_subrequest_t));

    if (ask == NULL || ps == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(ask->args, request->args, sizeof(ask->args));
    ask->nargs = request->nargs;
    ask->rc = NGX_ERROR;
    ask->kind = NGX_INTUIT_RESP_WRONG;
    ask->redis = job->provider->redis;

    job->ask = ask;
    job->asking = 1;

    ps->handler = ngx_http_intuit_redis_done;
    ps->data = ask;

    ngx_str_set(&uri, "/");

    if (ngx_http_subrequest(job->request, &uri, NULL, &sr, ps,
                            NGX_HTTP_SUBREQUEST_WAITED
                            |NGX_HTTP_SUBREQUEST_IN_MEMORY)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    ask->request = sr;

    /* it is posted already */
    sr->write_event_handler = ngx_http_request_empty_handler;

    if (ngx_http_intuit_no_headers(sr) != NGX_OK) {
        return NGX_ERROR;
    }

    sr->write_event_handler = ngx_http_intuit_redis_enter;

    ngx_http_run_posted_requests(job->connection);

    return NGX_AGAIN;
}


void
ngx_http_intuit_redis_forget(ngx_http_intuit_job_t *job)
{
    ngx_buf_t  *b;

    b = &job->ask->request->upstream->buffer;

    if (b->start) {
        (void) ngx_pfree(job->pool, b->start);
        ngx_memzero(b, sizeof(ngx_buf_t));
    }
}


ngx_msec_t
ngx_http_intuit_redis_deadline(const ngx_http_intuit_redis_t *redis)
{
    /* to connect, to send, to read */

    return 2 * redis->connect_timeout + redis->read_timeout;
}


static void
ngx_http_intuit_redis_enter(ngx_http_request_t *sr)
{
    ngx_http_intuit_job_t  *job;

    job = ngx_http_intuit_job_of(sr);

    ngx_http_intuit_enter(sr, job->ask->redis->conf->loc_conf);
}


ngx_int_t
ngx_http_intuit_redis_handler(ngx_http_request_t *r)
{
    ngx_http_upstream_t    *u;
    ngx_http_intuit_job_t  *job;

    job = ngx_http_intuit_job_of(r);

    if (job == NULL || ngx_http_upstream_create(r) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    u = r->upstream;

    ngx_str_set(&u->schema, "redis://");
    u->output.tag = (ngx_buf_tag_t) &ngx_http_intuit_auth_module;
    u->conf = job->ask->redis->upstream_conf;
    u->ssl = job->ask->redis->ssl;

    u->create_request = ngx_http_intuit_redis_create_request;
    u->reinit_request = ngx_http_intuit_redis_reinit_request;
    u->process_header = ngx_http_intuit_redis_process_header;
    u->abort_request = ngx_http_intuit_redis_abort_request;
    u->finalize_request = ngx_http_intuit_redis_finalize_request;
    u->input_filter_init = ngx_http_intuit_redis_filter_init;
    u->input_filter = ngx_http_intuit_redis_filter;
    u->input_filter_ctx = r;

    r->main->count++;

    ngx_http_upstream_init(r);

    return NGX_DONE;
}


static ngx_int_t
ngx_http_intuit_redis_create_request(ngx_http_request_t *r)
{
    ngx_str_t                     text;
    ngx_buf_t                    *b;
    ngx_chain_t                  *cl;
    ngx_http_intuit_redis_ask_t  *ask;

    ask = ngx_http_intuit_job_of(r)->ask;

    if (ngx_intuit_resp_request(r->pool, ask->args, ask->nargs, &text)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    cl = ngx_alloc_chain_link(r->pool);
    b = ngx_http_intuit_redis_buf(r->pool, &text);

    if (cl == NULL || b == NULL) {
        return NGX_ERROR;
    }

    b->last_buf = 1;
    cl->buf = b;
    cl->next = NULL;

    ask->command = cl;
    ask->all = cl;

    if (ask->redis->hello.len) {

        /* in front of it, on a new connection */

        cl = ngx_alloc_chain_link(r->pool);
        b = ngx_http_intuit_redis_buf(r->pool, &ask->redis->hello);

        if (cl == NULL || b == NULL) {
            return NGX_ERROR;
        }

        cl->buf = b;
        cl->next = ask->command;

        ask->all = cl;
    }

    r->upstream->request_bufs = ask->all;

    return NGX_OK;
}


static ngx_buf_t *
ngx_http_intuit_redis_buf(ngx_pool_t *pool, const ngx_str_t *text)
{
    ngx_buf_t  *b;

    b = ngx_create_temp_buf(pool, text->len);

    if (b != NULL) {
        b->last = ngx_cpymem(b->last, text->data, text->len);
        b->flush = 1;
    }

    return b;
}


ngx_int_t
ngx_http_intuit_redis_init_peer(ngx_http_request_t *r,
    ngx_http_upstream_srv_conf_t *uscf)
{
    ngx_peer_connection_t        *pc;
    ngx_http_intuit_redis_ask_t  *ask;

    ask = ngx_http_intuit_job_of(r)->ask;

    if (ask->redis->init_peer(r, uscf) != NGX_OK) {
        return NGX_ERROR;
    }

    pc = &r->upstream->peer;

    ask->get = pc->get;
    pc->get = ngx_http_intuit_redis_get_peer;

    return NGX_OK;
}


static ngx_int_t
ngx_http_intuit_redis_get_peer(ngx_peer_connection_t *pc, void *data)
{
    ngx_int_t                     rc;
    ngx_http_request_t           *r;
    ngx_http_upstream_t          *u;
    ngx_http_intuit_redis_ask_t  *ask;

    u = (ngx_http_upstream_t *)
            ((u_char *) pc - offsetof(ngx_http_upstream_t, peer));
    r = u->input_filter_ctx;
    ask = ngx_http_intuit_job_of(r)->ask;

    rc = ask->get(pc, data);

    if (rc != NGX_OK && rc != NGX_DONE) {
        return rc;
    }

    if (rc == NGX_DONE) {
        ask->greetings = 0;
        u->request_bufs = ask->command;
        return rc;
    }

    ask->greetings = ask->redis->ngreetings;
    u->request_bufs = ask->all;

    if (ask->redis->ssl) {
        ngx_http_intuit_redis_server_name(u, ask->redis);
    }

    return rc;
}


/* the name for SNI and in the certificate is that of the configuration */

static void
ngx_http_intuit_redis_server_name(ngx_http_upstream_t *u,
    ngx_http_intuit_redis_t *redis)
{
    ngx_uint_t                    i;
    ngx_http_intuit_address_t    *address;
    ngx_http_intuit_addresses_t  *addresses;

    addresses = redis->peer.addresses;

    address = ngx_http_intuit_peer_address(&redis->peer, u->peer.sockaddr,
                                           u->peer.socklen);
    if (address == NULL) {
        return;
    }

    i = address - addresses->elts;
    u->ssl_name = redis->hosts[i];
}


static ngx_int_t
ngx_http_intuit_redis_reinit_request(ngx_http_request_t *r)
{
    (void) r;

    return NGX_OK;
}


/* an answer is no header, but it is as long as one, and there is no body */

static ngx_int_t
ngx_http_intuit_redis_process_header(ngx_http_request_t *r)
{
    ngx_int_t                     rc;
    ngx_buf_t                    *b;
    ngx_http_upstream_t          *u;
    ngx_http_intuit_redis_ask_t  *ask;

    u = r->upstream;
    b = &u->buffer;
    ask = ngx_http_intuit_job_of(r)->ask;

    for ( ;; ) {

        rc = ngx_intuit_resp_parse(&b->pos, b->last,
                                   NGX_HTTP_INTUIT_REDIS_VALUE, &ask->answer);

        if (rc == NGX_AGAIN) {
            return NGX_AGAIN;
        }

        if (rc != NGX_OK || (ask->greetings == 0 && b->pos != b->last)) {

            /* nobody knows whose the next bytes are */

            ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                          "intuit store \"%V\" answered something that is "
                          "none of ours", &ask->redis->name);

            return NGX_HTTP_UPSTREAM_INVALID_HEADER;
        }

        if (ask->answer.value.type == NGX_INTUIT_RESP_ERROR) {
            return ngx_http_intuit_redis_error(r, ask);
        }

        if (ask->greetings == 0) {
            break;
        }

        ask->greetings--;
    }

    ask->rc = NGX_OK;

    return ngx_http_intuit_redis_whole(u, 1);
}


/* it has been read, and there is no more */

static ngx_int_t
ngx_http_intuit_redis_whole(ngx_http_upstream_t *u, ngx_uint_t keepalive)
{
    u->keepalive = (keepalive != 0);
    u->headers_in.status_n = NGX_HTTP_OK;
    u->headers_in.content_length_n = 0;
    u->state->status = NGX_HTTP_OK;

    return NGX_OK;
}


static ngx_int_t
ngx_http_intuit_redis_error(ngx_http_request_t *r,
    ngx_http_intuit_redis_ask_t *ask)
{
    ngx_http_upstream_t  *u;

    u = r->upstream;

    ask->kind = ngx_intuit_resp_kind(&ask->answer.value.text);

    ngx_http_intuit_redis_say(r, ask);

    if (ask->kind == NGX_INTUIT_RESP_ELSEWHERE) {

        /* a kept connection would be no reason to leave this server */
        u->peer.cached = 0;

        return NGX_HTTP_UPSTREAM_INVALID_HEADER;
    }

    return ngx_http_intuit_redis_whole(u, ask->greetings == 0
                                       && ask->kind
                                          != NGX_INTUIT_RESP_REFUSED);
}


/* the first word only: what follows may be what was sent */

static void
ngx_http_intuit_redis_say(ngx_http_request_t *r,
    ngx_http_intuit_redis_ask_t *ask)
{
    size_t       len;
    ngx_str_t   *text, word;
    const char  *hint;

    static const char  *hints[] = {
        "the next server is asked",
        "look at \"user\", \"password_file\" and the user's ACL there",
        "it has no memory left: raise its maxmemory",
        "it is a node of a Redis Cluster, which is not supported",
        "it knows no scripts",
        "it is not understood"
    };

    if (ask->redis->refusing == ask->kind + 1) {
        return;
    }

    ask->redis->refusing = ask->kind + 1;

    text = &ask->answer.value.text;

    for (len = 0; len < text->len && text->data[len] != ' '; len++) {
        /* void */
    }

    text->len = len;
    hint = hints[ask->kind];

    ngx_intuit_log_safe(r->pool, text, 32, &word);

    ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                  "intuit store \"%V\" answered \"%V\": %s",
                  &ask->redis->name, &word, hint);
}


static ngx_int_t
ngx_http_intuit_redis_filter_init(void *data)
{
    ngx_http_request_t  *r = data;

    r->upstream->length = 0;

    return NGX_OK;
}


static ngx_int_t
ngx_http_intuit_redis_filter(void *data, ssize_t bytes)
{
    (void) data;
    (void) bytes;

    return NGX_ERROR;
}


static void
ngx_http_intuit_redis_abort_request(ngx_http_request_t *r)
{
    (void) r;
}


static void
ngx_http_intuit_redis_finalize_request(ngx_http_request_t *r, ngx_int_t rc)
{
    (void) r;
    (void) rc;
}


/* as ngx_http_intuit_fetch_done() */

static ngx_int_t
ngx_http_intuit_redis_done(ngx_http_request_t *sr, void *data, ngx_int_t rc)
{
    ngx_http_intuit_redis_ask_t  *ask = data;

    sr->connection->error = 0;

    if (ask->done) {
        return NGX_OK;
    }

    ask->done = 1;
    ask->sent = (sr->upstream && sr->upstream->request_sent);

    sr->connection->log->action = NULL;

    if (rc != NGX_OK) {
        ask->rc = NGX_ERROR;
    }

    if (ask->rc == NGX_OK) {
        ask->redis->refusing = 0;
    }

    ngx_http_intuit_job_arrives(sr);

    return NGX_OK;
}
