/*
 * What passes an application by: identity headers and tokens that are not its
 * own on the way up, cookies of ours on the way down.
 */

#include "ngx_http_intuit_cookie.h"


static ngx_int_t ngx_http_intuit_header_filter(ngx_http_request_t *r);
static ngx_uint_t ngx_http_intuit_own_cookie(ngx_http_request_t *r,
    ngx_str_t *value);


static ngx_http_output_header_filter_pt  ngx_http_next_header_filter;


/*
 * PREACCESS.  After an internal redirect an injected token is taken out, and
 * out of subrequests to other places; auth_request makes one long before the
 * request itself is cleaned.
 */

ngx_int_t
ngx_http_intuit_leave_handler(ngx_http_request_t *r)
{
    ngx_uint_t                   what;
    ngx_http_intuit_ctx_t       *ctx;
    ngx_http_intuit_loc_conf_t  *ilcf;
    ngx_http_intuit_srv_conf_t  *iscf;

    ctx = ngx_http_intuit_get_ctx(r->main, 0);
    ilcf = ngx_http_get_module_loc_conf(r, ngx_http_intuit_auth_module);
    iscf = ngx_http_get_module_srv_conf(r, ngx_http_intuit_auth_module);

    what = 0;

    if (ctx && ctx->injected && (r == r->main || ilcf->proxy == NULL)) {
        what = NGX_HTTP_INTUIT_CLEAN_AUTHORIZATION;

    } else if (r == r->main || iscf->uses.nelts == 0) {
        return NGX_DECLINED;
    }

    if (ngx_http_intuit_clean_request(r, what, NULL) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (r == r->main) {

        if (ngx_http_intuit_fault_note(r, ctx)) {
            /* an error_page takes the API's answer's place */
            ngx_http_intuit_fault_say(r, ctx);
        }

        ngx_http_intuit_limit_leave(r, ctx);

        ctx->injected = 0;
        ngx_str_null(&ctx->api_url);
    }

    return NGX_DECLINED;
}


/*
 * PRECONTENT, first: before mirror and others copy the headers.  A location
 * without a login may lead to the same application, so in a server that uses
 * a provider nobody names himself anywhere; but there the client's own
 * Authorization may be what the application waits for.
 */

ngx_int_t
ngx_http_intuit_clean_handler(ngx_http_request_t *r)
{
    ngx_uint_t                   what;
    ngx_http_intuit_ctx_t       *ctx;
    ngx_http_intuit_loc_conf_t  *ilcf;
    ngx_http_intuit_srv_conf_t  *iscf;

    if (r != r->main) {
        return NGX_DECLINED;
    }

    ctx = ngx_http_intuit_get_ctx(r, 0);
    ilcf = ngx_http_get_module_loc_conf(r, ngx_http_intuit_auth_module);
    iscf = ngx_http_get_module_srv_conf(r, ngx_http_intuit_auth_module);

    if (iscf->uses.nelts == 0 || ngx_http_intuit_own_uri(r, ctx)) {
        /* at our own URIs nothing goes upstream */
        return NGX_DECLINED;
    }

    what = NGX_HTTP_INTUIT_CLEAN_IDENTITY;

    if (ilcf->auth || ilcf->proxy) {
        what |= NGX_HTTP_INTUIT_CLEAN_AUTHORIZATION;
    }

    if (ngx_http_intuit_clean_request(r, what, NULL) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return NGX_DECLINED;
}


ngx_int_t
ngx_http_intuit_header_filter_init(ngx_conf_t *cf)
{
    (void) cf;

    ngx_http_next_header_filter = ngx_http_top_header_filter;
    ngx_http_top_header_filter = ngx_http_intuit_header_filter;

    return NGX_OK;
}


static ngx_int_t
ngx_http_intuit_header_filter(ngx_http_request_t *r)
{
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    if (r->upstream == NULL || r != r->main) {
        return ngx_http_next_header_filter(r);
    }

    part = &r->headers_out.headers.part;
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

        if (h[i].key.len == sizeof("Set-Cookie") - 1
            && h[i].hash
            && !ngx_http_intuit_cookie_set_here(&h[i])
            && ngx_strncasecmp(h[i].key.data, (u_char *) "Set-Cookie",
                               sizeof("Set-Cookie") - 1)
               == 0
            && ngx_http_intuit_own_cookie(r, &h[i].value))
        {
            h[i].hash = 0;
        }
    }

    return ngx_http_next_header_filter(r);
}


/* an upstream that sets a cookie of ours could choose our user's session */

static ngx_uint_t
ngx_http_intuit_own_cookie(ngx_http_request_t *r, ngx_str_t *value)
{
    u_char                       *p;
    ngx_str_t                     name;
    ngx_http_intuit_main_conf_t  *imcf;

    name.data = value->data;

    /* of "=name=value" browsers send "name=value" back */

    while (name.data < value->data + value->len
           && (*name.data == ' ' || *name.data == '\t' || *name.data == '='))
    {
        name.data++;
    }

    p = name.data;

    while (p < value->data + value->len && *p != '=' && *p != ';'
           && *p != ' ' && *p != '\t')
    {
        p++;
    }

    name.len = p - name.data;

    imcf = ngx_http_get_module_main_conf(r, ngx_http_intuit_auth_module);

    return ngx_intuit_cookie_named(&name, imcf->cookie_names.elts,
                                   imcf->cookie_names.nelts);
}
