/*
 * One HTTP exchange of a job.
 */

#include "ngx_http_intuit_job.h"


static ngx_int_t ngx_http_intuit_fetch_headers(ngx_http_request_t *sr,
    ngx_http_intuit_fetch_t *fetch);
static ngx_int_t ngx_http_intuit_fetch_header(ngx_http_request_t *sr,
    const char *name, const char *lowcase, ngx_str_t *value);
static ngx_int_t ngx_http_intuit_fetch_body(ngx_http_request_t *sr,
    ngx_str_t *body);
static void ngx_http_intuit_fetch_enter(ngx_http_request_t *sr);
static ngx_int_t ngx_http_intuit_fetch_done(ngx_http_request_t *sr,
    void *data, ngx_int_t rc);
static ngx_uint_t ngx_http_intuit_fetch_whole(ngx_http_request_t *sr);
static void ngx_http_intuit_fetch_answer(ngx_http_request_t *sr,
    ngx_http_intuit_fetch_t *fetch);
static ngx_int_t ngx_http_intuit_fetch_url_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_intuit_fetch_text(ngx_conf_t *cf,
    ngx_http_intuit_provider_t *provider, ngx_str_t *text);
static ngx_int_t ngx_http_intuit_fetch_create(ngx_conf_t *cf,
    ngx_http_conf_ctx_t *ctx, ngx_http_conf_ctx_t *parent);
static ngx_int_t ngx_http_intuit_fetch_merge(ngx_conf_t *cf,
    ngx_http_conf_ctx_t *ctx, ngx_http_conf_ctx_t *parent);


/*
 * What every fetch has.  A token must never get to a temporary file, and a
 * header of the answer must never steer nginx.
 */

static char  ngx_http_intuit_fetch_base[] =
    "proxy_pass $intuit_fetch_url;"
    "proxy_http_version 1.1;"
    "proxy_set_header Host $proxy_host;"
    "proxy_set_header Connection close;"
    "proxy_set_header Accept-Encoding identity;"
    "proxy_buffer_size 16k;"
    "proxy_buffers 8 16k;"
    "proxy_busy_buffers_size 32k;"
    "proxy_max_temp_file_size 0;"
    "proxy_ignore_client_abort on;"
    "proxy_next_upstream error timeout;"
    "proxy_next_upstream_tries 3;"
    "proxy_ignore_headers X-Accel-Redirect X-Accel-Expires X-Accel-Limit-Rate"
    " X-Accel-Buffering X-Accel-Charset Expires Cache-Control Set-Cookie Vary;"
    "subrequest_output_buffer_size 64k;"
    "resolver_timeout 5s;";

/* else merging would open the default access_log, which may be root's */
static ngx_str_t  ngx_http_intuit_fetch_quiet = ngx_string("access_log off;");

static ngx_str_t  ngx_http_intuit_fetch_var = ngx_string("intuit_fetch_url");

static const char  *ngx_http_intuit_ca_files[] = {
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
    "/usr/local/share/certs/ca-root-nss.crt",
    NULL
};


ngx_int_t
ngx_http_intuit_fetch(ngx_http_intuit_job_t *job,
    const ngx_http_intuit_fetch_t *request)
{
    ngx_str_t                    uri;
    ngx_http_request_t          *r, *sr;
    ngx_http_intuit_fetch_t     *fetch;
    ngx_http_post_subrequest_t  *ps;

    r = job->request;

    if (job->provider->ssl_trusted_certificate.len == 0
        && request->url.len > 6
        && ngx_strncasecmp(request->url.data, (u_char *) "https:", 6) == 0)
    {
        ngx_log_error(NGX_LOG_ERR, job->log, 0,
                      "intuit has no CA bundle to verify \"%V\" with: set "
                      "\"ssl_trusted_certificate\"", &request->url);
        return NGX_ERROR;
    }

    fetch = ngx_palloc(job->pool, sizeof(ngx_http_intuit_fetch_t));
    ps = ngx_palloc(job->pool, sizeof(ngx_http_post_subrequest_t));

    if (fetch == NULL || ps == NULL) {
        return NGX_ERROR;
    }

    *fetch = *request;
    fetch->rc = NGX_ERROR;
    fetch->status = 0;
    fetch->done = 0;
    fetch->sent = 0;
    fetch->retry_after = 0;
    ngx_str_null(&fetch->answer);
    ngx_str_null(&fetch->tid);

    job->fetch = fetch;

    ps->handler = ngx_http_intuit_fetch_done;
    ps->data = fetch;

    ngx_str_set(&uri, "/");

    if (ngx_http_subrequest(r, &uri, NULL, &sr, ps,
                            NGX_HTTP_SUBREQUEST_WAITED
                            |NGX_HTTP_SUBREQUEST_IN_MEMORY)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    fetch->subrequest = sr;

    /* it is posted already: with half its headers it must not begin */
    sr->write_event_handler = ngx_http_request_empty_handler;

    if (ngx_http_intuit_fetch_headers(sr, fetch) != NGX_OK) {
        return NGX_ERROR;
    }

    sr->write_event_handler = ngx_http_intuit_fetch_enter;

    ngx_log_error(NGX_LOG_INFO, job->log, 0, "intuit asks");

    ngx_http_run_posted_requests(job->connection);

    return NGX_AGAIN;
}


static ngx_int_t
ngx_http_intuit_fetch_headers(ngx_http_request_t *sr,
    ngx_http_intuit_fetch_t *fetch)
{
    ngx_str_t  accept, yes;

    ngx_str_set(&accept, "application/json");

    if (ngx_http_intuit_no_headers(sr) != NGX_OK
        || ngx_http_intuit_fetch_header(sr, "Accept", "accept", &accept)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (fetch->authorization.len
        && ngx_http_intuit_fetch_header(sr, "Authorization", "authorization",
                                        &fetch->authorization)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_str_set(&yes, "true");

    if (fetch->opt_in
        && ngx_http_intuit_fetch_header(sr, fetch->opt_in, fetch->opt_in, &yes)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (fetch->post) {
        sr->method = NGX_HTTP_POST;
        ngx_str_set(&sr->method_name, "POST");

        if (ngx_http_intuit_fetch_header(sr, "Content-Type", "content-type",
                                         &fetch->content_type)
            != NGX_OK
            || ngx_http_intuit_fetch_body(sr, &fetch->body) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_intuit_no_headers(ngx_http_request_t *sr)
{
    ngx_memzero(&sr->headers_in, sizeof(ngx_http_headers_in_t));
    sr->headers_in.content_length_n = -1;
    sr->headers_in.keep_alive_n = -1;

    return ngx_list_init(&sr->headers_in.headers, sr->pool, 4,
                         sizeof(ngx_table_elt_t));
}


static ngx_int_t
ngx_http_intuit_fetch_header(ngx_http_request_t *sr, const char *name,
    const char *lowcase, ngx_str_t *value)
{
    ngx_table_elt_t  *h;

    h = ngx_list_push(&sr->headers_in.headers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    h->key.data = (u_char *) name;
    h->key.len = ngx_strlen(name);
    h->lowcase_key = (u_char *) lowcase;
    h->hash = ngx_hash_key(h->lowcase_key, h->key.len);
    h->value = *value;
    ngx_http_intuit_header_last(h);

    return NGX_OK;
}


static ngx_int_t
ngx_http_intuit_fetch_body(ngx_http_request_t *sr, ngx_str_t *body)
{
    ngx_buf_t                *b;
    ngx_http_request_body_t  *rb;

    rb = ngx_pcalloc(sr->pool, sizeof(ngx_http_request_body_t));
    if (rb == NULL) {
        return NGX_ERROR;
    }

    b = ngx_calloc_buf(sr->pool);
    if (b == NULL) {
        return NGX_ERROR;
    }

    b->pos = body->data;
    b->last = body->data + body->len;
    b->start = b->pos;
    b->end = b->last;
    b->memory = 1;
    b->last_buf = 1;

    rb->bufs = ngx_alloc_chain_link(sr->pool);
    if (rb->bufs == NULL) {
        return NGX_ERROR;
    }

    rb->bufs->buf = b;
    rb->bufs->next = NULL;
    rb->buf = b;

    sr->request_body = rb;
    sr->headers_in.content_length_n = body->len;

    return NGX_OK;
}


/* enters the phases past the location search: no URI leads here */

static void
ngx_http_intuit_fetch_enter(ngx_http_request_t *sr)
{
    ngx_http_intuit_enter(sr, sr->main->loc_conf);
}


void
ngx_http_intuit_enter(ngx_http_request_t *sr, void **loc_conf)
{
    ngx_http_core_main_conf_t  *cmcf;

    cmcf = ngx_http_get_module_main_conf(sr, ngx_http_core_module);

    sr->loc_conf = loc_conf;
    ngx_http_update_location_config(sr);

    sr->phase_handler = cmcf->phase_engine.location_rewrite_index;
    sr->write_event_handler = ngx_http_core_run_phases;
    ngx_http_core_run_phases(sr);
}


/*
 * May be called several times.  An error after the header has arrived comes
 * with a good status, so rc is looked at first.  NGX_OK is returned in any
 * case: anything else would end the job's request as well.
 */

static ngx_int_t
ngx_http_intuit_fetch_done(ngx_http_request_t *sr, void *data, ngx_int_t rc)
{
    ngx_connection_t         *c;
    ngx_http_intuit_fetch_t  *fetch = data;

    c = sr->connection;

    if (c->error) {

        /*
         * A filter has failed: the answer is larger than its buffer.  Core
         * would end the job's request, and close a socket that is not there.
         */

        c->error = 0;
        rc = NGX_ERROR;
    }

    if (fetch->done) {
        return NGX_OK;
    }

    fetch->done = 1;
    fetch->sent = (sr->upstream && sr->upstream->request_sent);

    /* what core was doing is no longer what the next line is about */
    c->log->action = NULL;

    if (rc == NGX_OK && ngx_http_intuit_fetch_whole(sr)) {
        ngx_http_intuit_fetch_answer(sr, fetch);
    }

    ngx_log_error(NGX_LOG_INFO, c->log, 0,
                  "intuit answered: rc:%i status:%ui length:%uz tid:\"%V\"",
                  rc, fetch->status, fetch->answer.len, &fetch->tid);

    ngx_http_intuit_job_arrives(sr);

    return NGX_OK;
}


/* core says NGX_OK when the body of an answer was cut off, too */

static ngx_uint_t
ngx_http_intuit_fetch_whole(ngx_http_request_t *sr)
{
    ngx_event_pipe_t  *p;

    if (sr->upstream == NULL || sr->headers_out.status == 0) {
        return 0;
    }

    p = sr->upstream->pipe;

    /* length: what is still to come, -1 when only the end will tell */

    return p == NULL
           || (!p->upstream_error && !p->downstream_error && p->length <= 0);
}


void
ngx_http_intuit_fetch_abort(ngx_http_intuit_job_t *job)
{
    ngx_http_request_t  *sr;

    if (job->fetch == NULL || job->fetch->done) {
        return;
    }

    sr = job->fetch->subrequest;

    job->fetch->sent = (sr->upstream && sr->upstream->request_sent);
}


static void
ngx_http_intuit_fetch_answer(ngx_http_request_t *sr,
    ngx_http_intuit_fetch_t *fetch)
{
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    if (sr->out && sr->out->buf) {
        fetch->answer.data = sr->out->buf->pos;
        fetch->answer.len = sr->out->buf->last - sr->out->buf->pos;
    }

    part = &sr->upstream->headers_in.headers.part;
    h = part->elts;

    for (i = 0; /* void */ ; i++) {

        if (i >= part->nelts) {
            if (part->next == NULL) {
                break;
            }

            part = part->next;
            h = part->elts;
            i = 0;
        }

        if (h[i].hash == 0) {
            /* for want of memory half there */
            continue;
        }

        if (h[i].key.len == sizeof("intuit_tid") - 1
            && ngx_strncasecmp(h[i].key.data, (u_char *) "intuit_tid",
                               sizeof("intuit_tid") - 1)
               == 0)
        {
            ngx_intuit_log_safe(sr->pool, &h[i].value, 64, &fetch->tid);
        }

        if (h[i].key.len == sizeof("Retry-After") - 1
            && ngx_strncasecmp(h[i].key.data, (u_char *) "Retry-After",
                               sizeof("Retry-After") - 1)
               == 0)
        {
            fetch->retry_after = ngx_intuit_retry_after(&h[i].value,
                                                        ngx_time());
        }
    }

    fetch->status = sr->headers_out.status;
    fetch->rc = NGX_OK;

    if (sr->headers_out.content_length_n > 0
        && (size_t) sr->headers_out.content_length_n != fetch->answer.len)
    {
        fetch->rc = NGX_ERROR;
    }
}


ngx_int_t
ngx_http_intuit_fetch_add_variables(ngx_conf_t *cf)
{
    ngx_http_variable_t  *var;

    var = ngx_http_add_variable(cf, &ngx_http_intuit_fetch_var,
                                NGX_HTTP_VAR_NOCACHEABLE);
    if (var == NULL) {
        return NGX_ERROR;
    }

    var->get_handler = ngx_http_intuit_fetch_url_variable;

    return ngx_http_intuit_fetch_tls_variable(cf);
}


static ngx_int_t
ngx_http_intuit_fetch_url_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_http_intuit_job_t  *job;

    (void) data;

    job = ngx_http_intuit_job_of(r);

    if (job == NULL || job->fetch == NULL) {
        v->not_found = 1;
        return NGX_OK;
    }

    v->len = job->fetch->url.len;
    v->data = job->fetch->url.data;
    v->valid = 1;
    v->no_cacheable = 1;
    v->not_found = 0;

    return NGX_OK;
}


ngx_int_t
ngx_http_intuit_fetch_init(ngx_conf_t *cf,
    ngx_http_intuit_provider_t *provider)
{
    ngx_str_t  text;

    if (ngx_http_intuit_fetch_tls_init(cf, provider) != NGX_OK
        || ngx_http_intuit_fetch_text(cf, provider, &text) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_intuit_private_conf(cf, &text, &provider->fetch_conf);
}


ngx_int_t
ngx_http_intuit_private_conf(ngx_conf_t *cf, ngx_str_t *text,
    ngx_http_conf_ctx_t **conf)
{
    char                         *rv;
    ngx_conf_t                    save;
    ngx_uint_t                    paths;
    ngx_http_conf_ctx_t          *ctx, parent;
    ngx_http_core_loc_conf_t     *clcf, *http;
    ngx_http_core_srv_conf_t    **cscf;
    ngx_http_core_main_conf_t    *cmcf;
    ngx_http_intuit_main_conf_t  *imcf;

    imcf = ngx_http_conf_get_module_main_conf(cf,
                                              ngx_http_intuit_auth_module);
    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);
    http = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (cmcf->servers.nelts == 0) {
        return NGX_OK;
    }

    cscf = cmcf->servers.elts;

    ctx = ngx_palloc(cf->pool, sizeof(ngx_http_conf_ctx_t));
    if (ctx == NULL) {
        return NGX_ERROR;
    }

    ctx->main_conf = ((ngx_http_conf_ctx_t *) cf->ctx)->main_conf;
    ctx->srv_conf = cscf[0]->ctx->srv_conf;
    parent = *ctx;

    if (ngx_http_intuit_fetch_create(cf, ctx, &parent) != NGX_OK) {
        return NGX_ERROR;
    }

    clcf = ctx->loc_conf[ngx_http_core_module.ctx_index];
    clcf->loc_conf = ctx->loc_conf;
    clcf->exact_match = 1;
    clcf->resolver = imcf->resolver;
    clcf->error_log = http->error_log;
    ngx_str_set(&clcf->name, "/");

    save = *cf;

    cf->ctx = ctx;
    cf->cmd_type = NGX_HTTP_LOC_CONF;

    rv = NGX_CONF_OK;
    paths = cf->cycle->paths.nelts;

    if (ngx_http_intuit_conf_text(cf, &ngx_http_intuit_fetch_quiet) != NGX_OK
        || ngx_http_intuit_conf_text(cf, text) != NGX_OK
        || ngx_http_intuit_fetch_merge(cf, ctx, &parent) != NGX_OK)
    {
        rv = NGX_CONF_ERROR;
    }

    /* nor are the default temporary directories made: nothing is put there */

    cf->cycle->paths.nelts = paths;

    *cf = save;

    if (rv != NGX_CONF_OK) {
        return NGX_ERROR;
    }

    *conf = ctx;

    return NGX_OK;
}


static ngx_int_t
ngx_http_intuit_fetch_text(ngx_conf_t *cf,
    ngx_http_intuit_provider_t *provider, ngx_str_t *text)
{
    u_char  *p, *last;

    text->data = ngx_pnalloc(cf->pool, NGX_HTTP_INTUIT_CONF_SIZE);
    if (text->data == NULL) {
        return NGX_ERROR;
    }

    last = text->data + NGX_HTTP_INTUIT_CONF_SIZE;

    p = ngx_slprintf(text->data, last,
                     "%s"
                     "proxy_connect_timeout %Mms;"
                     "proxy_send_timeout %Mms;"
                     "proxy_read_timeout %Mms;"
                     "proxy_next_upstream_timeout %Mms;",
                     ngx_http_intuit_fetch_base,
                     provider->connect_timeout, provider->connect_timeout,
                     provider->read_timeout, provider->connect_timeout);

    if (provider->ssl_trusted_certificate.len) {
        p = ngx_slprintf(p, last,
                         "proxy_ssl_verify on;"
                         "proxy_ssl_verify_depth 5;"
                         "proxy_ssl_server_name on;"
                         "proxy_ssl_name $intuit_fetch_name;"
                         "proxy_ssl_protocols TLSv1.2 TLSv1.3;"
                         "proxy_ssl_trusted_certificate \"%V\";",
                         &provider->ssl_trusted_certificate);

        if (provider->ssl_crl.len) {
            p = ngx_slprintf(p, last, "proxy_ssl_crl \"%V\";",
                             &provider->ssl_crl);
        }
    }

    text->len = p - text->data;

    return NGX_OK;
}


/* an empty location configuration of every HTTP module, and its parent's */

static ngx_int_t
ngx_http_intuit_fetch_create(ngx_conf_t *cf, ngx_http_conf_ctx_t *ctx,
    ngx_http_conf_ctx_t *parent)
{
    ngx_uint_t          m;
    ngx_module_t      **modules;
    ngx_http_module_t  *module;

    ctx->loc_conf = ngx_pcalloc(cf->pool, sizeof(void *) * ngx_http_max_module);
    parent->loc_conf = ngx_pcalloc(cf->pool,
                                   sizeof(void *) * ngx_http_max_module);

    if (ctx->loc_conf == NULL || parent->loc_conf == NULL) {
        return NGX_ERROR;
    }

    modules = cf->cycle->modules;

    for (m = 0; modules[m]; m++) {

        if (modules[m]->type != NGX_HTTP_MODULE) {
            continue;
        }

        module = modules[m]->ctx;

        if (module->create_loc_conf == NULL) {
            continue;
        }

        ctx->loc_conf[modules[m]->ctx_index] = module->create_loc_conf(cf);
        parent->loc_conf[modules[m]->ctx_index] = module->create_loc_conf(cf);

        if (ctx->loc_conf[modules[m]->ctx_index] == NULL
            || parent->loc_conf[modules[m]->ctx_index] == NULL)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_intuit_fetch_merge(ngx_conf_t *cf, ngx_http_conf_ctx_t *ctx,
    ngx_http_conf_ctx_t *parent)
{
    ngx_uint_t          m, i;
    ngx_module_t      **modules;
    ngx_http_module_t  *module;

    modules = cf->cycle->modules;

    for (m = 0; modules[m]; m++) {

        if (modules[m]->type != NGX_HTTP_MODULE) {
            continue;
        }

        module = modules[m]->ctx;
        i = modules[m]->ctx_index;

        if (module->merge_loc_conf
            && module->merge_loc_conf(cf, parent->loc_conf[i],
                                      ctx->loc_conf[i])
               != NGX_CONF_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_intuit_conf_text(ngx_conf_t *cf, ngx_str_t *text)
{
    char         *rv;
    ngx_str_t     param;
    ngx_conf_t    save;
    ngx_array_t   args;

    if (ngx_array_init(&args, cf->temp_pool, 10, sizeof(ngx_str_t))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    save = *cf;
    param = cf->cycle->conf_param;

    cf->args = &args;
    cf->handler = NULL;
    cf->cycle->conf_param = *text;

    rv = ngx_conf_param(cf);

    cf->cycle->conf_param = param;
    *cf = save;

    return rv == NGX_CONF_OK ? NGX_OK : NGX_ERROR;
}


void
ngx_http_intuit_ca_bundle(ngx_str_t *file)
{
    ngx_uint_t       i;
    ngx_file_info_t  fi;

    for (i = 0; ngx_http_intuit_ca_files[i]; i++) {

        if (ngx_file_info(ngx_http_intuit_ca_files[i], &fi)
            != NGX_FILE_ERROR
            && ngx_is_file(&fi))
        {
            file->data = (u_char *) ngx_http_intuit_ca_files[i];
            file->len = ngx_strlen(file->data);
            return;
        }
    }

    ngx_str_null(file);
}
