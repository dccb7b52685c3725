/*
 * The API's error answers.  They are short, and are held back until they are
 * complete: an answer that is replaced by another must not have begun to
 * reach the client.  One that is long is passed on as it comes; but for a 401,
 * in which a token may be, and which gives way to an error of ours if it is
 * long or compressed, as one of nginx's own does.  What Intuit says in them
 * goes to the log and into variables.
 */

#include "ngx_http_intuit_job.h"
#include "ngx_intuit_fault.h"


#define NGX_HTTP_INTUIT_FAULT_SIZE  16384

/* in r->buffered, beside those of nginx's filters (1, 2, 4) */
#define NGX_HTTP_INTUIT_BUFFERED    0x08


static ngx_int_t ngx_http_intuit_fault_header_filter(ngx_http_request_t *r);
static void ngx_http_intuit_fault_uncache(ngx_http_request_t *r);
static ngx_uint_t ngx_http_intuit_fault_no_http(ngx_http_request_t *r);
static ngx_int_t ngx_http_intuit_fault_instead(ngx_http_request_t *r,
    ngx_http_intuit_ctx_t *ctx);
static ngx_uint_t ngx_http_intuit_fault_short(ngx_http_request_t *r);
static void ngx_http_intuit_fault_tid(ngx_http_request_t *r,
    ngx_http_intuit_ctx_t *ctx);
static ngx_int_t ngx_http_intuit_fault_body_filter(ngx_http_request_t *r,
    ngx_chain_t *in);
static ngx_int_t ngx_http_intuit_fault_collect(ngx_http_request_t *r,
    ngx_http_intuit_ctx_t *ctx, ngx_chain_t **in);
static ngx_int_t ngx_http_intuit_fault_take(ngx_http_request_t *r,
    ngx_http_intuit_ctx_t *ctx, ngx_buf_t *b);
static ngx_int_t ngx_http_intuit_fault_cut(ngx_http_request_t *r,
    ngx_http_intuit_ctx_t *ctx);
static ngx_int_t ngx_http_intuit_fault_ours(ngx_http_request_t *r,
    ngx_http_intuit_ctx_t *ctx, ngx_chain_t *in);
static void ngx_http_intuit_fault_read(ngx_http_request_t *r,
    ngx_http_intuit_ctx_t *ctx);
static void ngx_http_intuit_fault_log(ngx_http_request_t *r,
    ngx_http_intuit_ctx_t *ctx, ngx_uint_t level);
static void ngx_http_intuit_fault_mixed_up(ngx_http_request_t *r,
    ngx_http_intuit_ctx_t *ctx);
static void ngx_http_intuit_fault_clear(ngx_http_request_t *r,
    ngx_http_intuit_ctx_t *ctx);
static ngx_int_t ngx_http_intuit_fault_replace(ngx_http_request_t *r,
    ngx_http_intuit_ctx_t *ctx);
static ngx_int_t ngx_http_intuit_fault_send(ngx_http_request_t *r,
    ngx_http_intuit_ctx_t *ctx, ngx_chain_t *in, ngx_uint_t last);


static ngx_http_output_header_filter_pt  ngx_http_next_header_filter;
static ngx_http_output_body_filter_pt    ngx_http_next_body_filter;


ngx_int_t
ngx_http_intuit_fault_init(ngx_conf_t *cf)
{
    (void) cf;

    ngx_http_next_header_filter = ngx_http_top_header_filter;
    ngx_http_top_header_filter = ngx_http_intuit_fault_header_filter;

    ngx_http_next_body_filter = ngx_http_top_body_filter;
    ngx_http_top_body_filter = ngx_http_intuit_fault_body_filter;

    return NGX_OK;
}


static ngx_int_t
ngx_http_intuit_fault_header_filter(ngx_http_request_t *r)
{
    ngx_http_intuit_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r->main, ngx_http_intuit_auth_module);

    if (ctx == NULL || !ctx->injected) {
        return ngx_http_next_header_filter(r);
    }

    ngx_http_intuit_fault_uncache(r);

    if (r != r->main) {
        return ngx_http_next_header_filter(r);
    }

    if (ngx_http_intuit_fault_no_http(r)) {
        return NGX_HTTP_BAD_GATEWAY;
    }

    if (r->err_status == NGX_HTTP_BAD_GATEWAY
        || r->err_status == NGX_HTTP_GATEWAY_TIME_OUT)
    {
        return ngx_http_intuit_fault_instead(r, ctx);
    }

    if (!ngx_http_intuit_fault_note(r, ctx)) {
        return ngx_http_next_header_filter(r);
    }

    if (r->headers_out.status != r->upstream->headers_in.status_n
        || !ngx_http_intuit_fault_short(r))
    {
        ngx_http_intuit_fault_say(r, ctx);
        return ngx_http_next_header_filter(r);
    }

    ctx->held = 1;
    ctx->unread = 0;
    ctx->answer = NULL;

    r->filter_need_in_memory = 1;

    if (r->headers_out.status == NGX_HTTP_UNAUTHORIZED) {
        /* nginx would drop the request's body now, if it is in a file */
        r->preserve_body = 1;
    }

    return NGX_OK;
}


/*
 * A 401 is about a token, and not about what was asked for; nor is one that
 * comes in the background, while the client has an old answer.
 */

static void
ngx_http_intuit_fault_uncache(ngx_http_request_t *r)
{
    ngx_http_intuit_loc_conf_t  *ilcf;

    ilcf = ngx_http_get_module_loc_conf(r, ngx_http_intuit_auth_module);

    if (ilcf->proxy
        && r->upstream
        && r->upstream->headers_in.status_n == NGX_HTTP_UNAUTHORIZED)
    {
        r->upstream->cacheable = 0;
    }
}


/*
 * nginx takes bytes without a status line for an answer of HTTP/0.9, a 200, and
 * has changed the client's request to that version.
 */

static ngx_uint_t
ngx_http_intuit_fault_no_http(ngx_http_request_t *r)
{
    u_char  *p;

    if (r->http_version != NGX_HTTP_VERSION_9
        || r->err_status
        || r->upstream == NULL
        || r->upstream->state == NULL
        || r->upstream->header_sent
        || r->http_protocol.len < sizeof("HTTP/1.1") - 1)
    {
        return 0;
    }

    /* "HTTP/1.1" */

    p = r->http_protocol.data + sizeof("HTTP/") - 1;

    r->http_version = (p[0] - '0') * 1000 + (p[2] - '0');
    r->upstream->cacheable = 0;
    r->upstream->state->status = NGX_HTTP_BAD_GATEWAY;

    return 1;
}


/*
 * nginx's page about an upstream that did not answer, for which there is no
 * error_page: it is said as all errors of this module are.
 */

static ngx_int_t
ngx_http_intuit_fault_instead(ngx_http_request_t *r,
    ngx_http_intuit_ctx_t *ctx)
{
    ngx_str_t   body;
    ngx_buf_t  *b;

    b = ngx_calloc_buf(r->pool);

    if (b == NULL
        || ngx_http_intuit_fail_instead(r, ctx->api->provider,
                                r->err_status == NGX_HTTP_BAD_GATEWAY
                                ? NGX_HTTP_INTUIT_E_API_DOWN
                                : NGX_HTTP_INTUIT_E_API_TIMEOUT, &body)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    b->pos = body.data;
    b->last = body.data + body.len;
    b->memory = 1;
    b->last_buf = 1;
    b->last_in_chain = 1;

    ctx->instead = 1;
    ctx->answer = b;

    return ngx_http_next_header_filter(r);
}


/* an answer of the API itself, and not ours nor another location's */

ngx_uint_t
ngx_http_intuit_fault_note(ngx_http_request_t *r, ngx_http_intuit_ctx_t *ctx)
{
    ngx_http_upstream_t  *u;

    u = r->upstream;

    /* without a state it comes from the cache */

    if (u == NULL || u->state == NULL
        || u->headers_in.status_n < NGX_HTTP_BAD_REQUEST)
    {
        return 0;
    }

    ctx->fault.status = u->headers_in.status_n;
    ngx_str_null(&ctx->fault_code);

    ngx_http_intuit_fault_tid(r, ctx);

    return 1;
}


static void
ngx_http_intuit_fault_tid(ngx_http_request_t *r, ngx_http_intuit_ctx_t *ctx)
{
    ngx_uint_t        n;
    ngx_table_elt_t  *h;

    ngx_str_null(&ctx->tid);

    h = ngx_http_intuit_header(&r->upstream->headers_in.headers, "intuit-tid",
                               &n);

    if (h) {
        ngx_intuit_log_safe(r->pool, &h->value, 64, &ctx->tid);
    }
}


static ngx_uint_t
ngx_http_intuit_fault_short(ngx_http_request_t *r)
{
    return r->method == NGX_HTTP_HEAD
           || r->headers_out.status == NGX_HTTP_UNAUTHORIZED
           || r->headers_out.content_length_n <= NGX_HTTP_INTUIT_FAULT_SIZE;
}


static ngx_int_t
ngx_http_intuit_fault_body_filter(ngx_http_request_t *r, ngx_chain_t *in)
{
    ngx_int_t               rc;
    ngx_http_intuit_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_intuit_auth_module);

    if (ctx && ctx->instead && r == r->main) {
        return ngx_http_intuit_fault_ours(r, ctx, in);
    }

    if (ctx == NULL || !ctx->held || r != r->main) {
        return ngx_http_next_body_filter(r, in);
    }

    rc = ngx_http_intuit_fault_collect(r, ctx, &in);

    if (rc == NGX_AGAIN) {
        return NGX_OK;
    }

    if (rc == NGX_DECLINED) {

        ngx_http_intuit_fault_say(r, ctx);

        return r->headers_out.status == NGX_HTTP_UNAUTHORIZED
               ? ngx_http_intuit_fault_cut(r, ctx)
               : ngx_http_intuit_fault_send(r, ctx, in, 0);
    }

    if (rc != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_http_intuit_fault_read(r, ctx);

    /* that no other token would cure */

    if (r->headers_out.status == NGX_HTTP_UNAUTHORIZED
        && !ctx->fault.mixed_up
        && ngx_http_intuit_replay(r, ctx) == NGX_AGAIN)
    {
        /* nginx takes the request for one whose client is slow */

        r->buffered |= NGX_HTTP_INTUIT_BUFFERED;
        return NGX_OK;
    }

    if (ctx->unread) {

        /* another answer cannot be made within this one */

        ngx_http_intuit_defer(r, ctx, ngx_http_intuit_fault_pass);

        r->buffered |= NGX_HTTP_INTUIT_BUFFERED;
        return NGX_OK;
    }

    ngx_http_intuit_fault_say(r, ctx);

    return ngx_http_intuit_fault_send(r, ctx, NULL, 1);
}


/* what could be half of a token is left out, as the other half is */

static ngx_int_t
ngx_http_intuit_fault_cut(ngx_http_request_t *r, ngx_http_intuit_ctx_t *ctx)
{
    ngx_buf_t    *b;
    ngx_chain_t   out;

    b = ngx_calloc_buf(r->pool);
    if (b == NULL) {
        return NGX_ERROR;
    }

    b->flush = 1;

    out.buf = b;
    out.next = NULL;

    ctx->answer = NULL;

    return ngx_http_intuit_fault_send(r, ctx, &out, 0);
}


/* nginx's page is dropped */

static ngx_int_t
ngx_http_intuit_fault_ours(ngx_http_request_t *r, ngx_http_intuit_ctx_t *ctx,
    ngx_chain_t *in)
{
    ngx_chain_t   out;

    if (ctx->answer == NULL || in == NULL) {
        return ngx_http_next_body_filter(r, NULL);
    }

    for ( /* void */ ; in; in = in->next) {
        in->buf->pos = in->buf->last;
    }

    out.buf = ctx->answer;
    out.next = NULL;

    ctx->answer = NULL;

    return ngx_http_next_body_filter(r, &out);
}


/*
 * NGX_OK: the answer is complete; NGX_AGAIN: it is not; NGX_DECLINED: it is too
 * long or has been cut, and what is left of `in` comes after what we have.
 */

static ngx_int_t
ngx_http_intuit_fault_collect(ngx_http_request_t *r,
    ngx_http_intuit_ctx_t *ctx, ngx_chain_t **in)
{
    ngx_int_t   rc;
    ngx_buf_t  *b;

    for ( /* void */ ; *in; *in = (*in)->next) {

        b = (*in)->buf;

        rc = ngx_http_intuit_fault_take(r, ctx, b);

        if (rc != NGX_OK) {
            return rc;
        }

        if (b->last_buf) {
            return NGX_OK;
        }

        if (b->flush && r->upstream->cleanup == NULL) {
            /* there will be no end */
            return NGX_DECLINED;
        }
    }

    return NGX_AGAIN;
}


static ngx_int_t
ngx_http_intuit_fault_take(ngx_http_request_t *r, ngx_http_intuit_ctx_t *ctx,
    ngx_buf_t *b)
{
    size_t      size, room;
    ngx_uint_t  refused;

    if (ngx_buf_special(b)) {
        return NGX_OK;
    }

    refused = (r->headers_out.status == NGX_HTTP_UNAUTHORIZED);
    room = ctx->answer ? ctx->answer->end - ctx->answer->last
                       : NGX_HTTP_INTUIT_FAULT_SIZE;
    size = b->last - b->pos;

    if (!ngx_buf_in_memory(b) || size > room) {

        if (!refused) {
            return NGX_DECLINED;
        }

        ctx->unread = 1;
    }

    if (ctx->unread) {
        goto taken;
    }

    if (ctx->answer == NULL) {
        ctx->answer = ngx_create_temp_buf(r->pool, NGX_HTTP_INTUIT_FAULT_SIZE);
        if (ctx->answer == NULL) {
            return NGX_ERROR;
        }
    }

    ctx->answer->last = ngx_cpymem(ctx->answer->last, b->pos, size);

taken:

    b->pos = b->last;

    if (b->in_file) {
        b->file_pos = b->file_last;
    }

    return NGX_OK;
}


/* a compressed one is not read: it is for the client alone, or for nobody */

static void
ngx_http_intuit_fault_read(ngx_http_request_t *r, ngx_http_intuit_ctx_t *ctx)
{
    ngx_str_t            body;
    ngx_table_elt_t     *encoding;
    ngx_intuit_fault_t   fault;

    encoding = r->headers_out.content_encoding;

    if (ctx->answer && encoding && encoding->value.len) {
        ctx->unread |= (r->headers_out.status == NGX_HTTP_UNAUTHORIZED);
        return;
    }

    if (ctx->answer == NULL || ctx->unread) {
        return;
    }

    body.data = ctx->answer->pos;
    body.len = ctx->answer->last - ctx->answer->pos;

    if (r->headers_out.status == NGX_HTTP_UNAUTHORIZED) {
        /* of the same length */
        ngx_intuit_fault_redact(&body);
    }

    if (ngx_intuit_fault_parse(r->pool, &body, &fault) != NGX_OK) {
        return;
    }

    ctx->fault_code = fault.code;
    ctx->fault.message = fault.message;

    /* others' details are about the books, and not for a log */

    if (r->headers_out.status == NGX_HTTP_UNAUTHORIZED) {
        ctx->fault.detail = fault.detail;
    }

    ctx->fault.mixed_up = (fault.code.len == 3
                           && ngx_memcmp(fault.code.data, "130", 3) == 0)
                          || (fault.code.len == 4
                              && ngx_memcmp(fault.code.data, "3100", 4) == 0);
}


void
ngx_http_intuit_fault_say(ngx_http_request_t *r, ngx_http_intuit_ctx_t *ctx)
{
    ngx_uint_t  level;

    switch (ctx->fault.status) {

    case NGX_HTTP_UNAUTHORIZED:
    case NGX_HTTP_FORBIDDEN:
    case NGX_HTTP_TOO_MANY_REQUESTS:
        level = NGX_LOG_WARN;
        break;

    default:
        level = ctx->fault.status >= NGX_HTTP_INTERNAL_SERVER_ERROR
                ? NGX_LOG_ERR : NGX_LOG_NOTICE;
    }

    ngx_http_intuit_fault_log(r, ctx, level);

    if (ctx->fault.mixed_up) {
        ngx_http_intuit_fault_mixed_up(r, ctx);
    }
}


static void
ngx_http_intuit_fault_log(ngx_http_request_t *r, ngx_http_intuit_ctx_t *ctx,
    ngx_uint_t level)
{
    ngx_http_intuit_said_t  *fault;

    fault = &ctx->fault;

    ngx_log_error(level, r->connection->log, 0,
                  "intuit API answered %ui%s%V%s%V%s%V%s, realm \"%V\", "
                  "intuit_tid: \"%V\"", fault->status,
                  ctx->fault_code.len ? ", code " : "", &ctx->fault_code,
                  fault->message.len ? ", \"" : "", &fault->message,
                  fault->detail.len ? ": " : "", &fault->detail,
                  fault->message.len ? "\"" : "",
                  &ctx->api->loaded.connection.realm, &ctx->tid);
}


static void
ngx_http_intuit_fault_mixed_up(ngx_http_request_t *r,
    ngx_http_intuit_ctx_t *ctx)
{
    ngx_http_intuit_provider_t  *provider;

    provider = ctx->api->provider;

    ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                  "intuit API does not take this app for this company, code "
                  "%V: sandbox and production do not mix, environment, "
                  "client_id and company have to be of one kind; provider "
                  "\"%V\" (%s:%ui) is %s", &ctx->fault_code, &provider->name,
                  provider->file, provider->line,
                  provider->environment == NGX_HTTP_INTUIT_PRODUCTION
                  ? "production" : "sandbox");
}


/* what was held back, and what has come since */

static ngx_int_t
ngx_http_intuit_fault_send(ngx_http_request_t *r, ngx_http_intuit_ctx_t *ctx,
    ngx_chain_t *in, ngx_uint_t last)
{
    ngx_int_t     rc;
    ngx_buf_t    *b;
    ngx_chain_t   out;

    ctx->held = 0;
    r->buffered &= ~NGX_HTTP_INTUIT_BUFFERED;

    rc = ngx_http_next_header_filter(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    b = ctx->answer;
    ctx->answer = NULL;

    if (b == NULL || b->pos == b->last) {

        if (!last) {
            return ngx_http_next_body_filter(r, in);
        }

        b = ngx_calloc_buf(r->pool);
        if (b == NULL) {
            return NGX_ERROR;
        }
    }

    b->last_buf = last;

    out.buf = b;
    out.next = in;

    return ngx_http_next_body_filter(r, &out);
}


void
ngx_http_intuit_fault_drop(ngx_http_request_t *r, ngx_http_intuit_ctx_t *ctx)
{
    ngx_http_intuit_fault_log(r, ctx, NGX_LOG_INFO);
    ngx_http_intuit_fault_clear(r, ctx);

    ngx_str_null(&ctx->tid);
}


static void
ngx_http_intuit_fault_clear(ngx_http_request_t *r, ngx_http_intuit_ctx_t *ctx)
{
    ctx->held = 0;
    ctx->unread = 0;
    ctx->answer = NULL;
    ngx_memzero(&ctx->fault, sizeof(ngx_http_intuit_said_t));
    ngx_str_null(&ctx->fault_code);

    ngx_http_clean_header(r);

    r->buffered &= ~NGX_HTTP_INTUIT_BUFFERED;
    r->err_status = 0;
    r->allow_ranges = 0;
    r->filter_need_in_memory = 0;

    /* its end was reached, and nginx makes another one */
    r->upstream = NULL;
}


void
ngx_http_intuit_fault_pass(ngx_http_request_t *r)
{
    ngx_int_t               rc;
    ngx_http_intuit_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_intuit_auth_module);

    ngx_http_intuit_fault_say(r, ctx);

    rc = ctx->unread ? ngx_http_intuit_fault_replace(r, ctx)
                     : ngx_http_intuit_fault_send(r, ctx, NULL, 1);

    ngx_http_finalize_request(r, rc);
}


/* the answer that cannot be looked at may have parts of a token in it */

static ngx_int_t
ngx_http_intuit_fault_replace(ngx_http_request_t *r,
    ngx_http_intuit_ctx_t *ctx)
{
    ngx_http_intuit_fault_clear(r, ctx);

    return ngx_http_intuit_fail(r, ctx->api->provider,
                                NGX_HTTP_INTUIT_E_API_REFUSED,
                                "the API's answer is long or compressed");
}
