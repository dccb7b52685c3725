/*
 * Header lines of requests and of responses, by name.
 */

#include "ngx_http_intuit_auth_module.h"


static ngx_table_elt_t *ngx_http_intuit_header_last_of(ngx_list_t *headers,
    const char *lower, ngx_uint_t folded, ngx_uint_t *n);


ngx_table_elt_t *
ngx_http_intuit_header(ngx_list_t *headers, const char *lower, ngx_uint_t *n)
{
    return ngx_http_intuit_header_last_of(headers, lower, 1, n);
}


/* folded: "_" and "." are "-" as well */

static ngx_table_elt_t *
ngx_http_intuit_header_last_of(ngx_list_t *headers, const char *lower,
    ngx_uint_t folded, ngx_uint_t *n)
{
    size_t            len;
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h, *found;

    len = ngx_strlen(lower);
    found = NULL;
    *n = 0;

    for (part = &headers->part; part; part = part->next) {

        h = part->elts;

        for (i = 0; i < part->nelts; i++) {

            if (h[i].key.len != len
                || h[i].hash == 0
                || !(folded
                     ? ngx_intuit_header_is(&h[i].key, lower)
                     : ngx_strncasecmp(h[i].key.data, (u_char *) lower, len)
                       == 0))
            {
                continue;
            }

            found = &h[i];
            (*n)++;
        }
    }

    return found;
}


ngx_str_t *
ngx_http_intuit_header_in(ngx_http_request_t *r, const char *lower)
{
    ngx_uint_t        n;
    ngx_table_elt_t  *h;

    static ngx_str_t  several = ngx_null_string;

    h = ngx_http_intuit_header_last_of(&r->headers_in.headers, lower, 0, &n);

    if (h == NULL) {
        return NULL;
    }

    return n == 1 ? &h->value : &several;
}


ngx_int_t
ngx_http_intuit_add_header(ngx_http_request_t *r, const char *name,
    const ngx_str_t *value)
{
    ngx_table_elt_t  *h;

    h = ngx_list_push(&r->headers_out.headers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    h->hash = 1;
    h->key.data = (u_char *) name;
    h->key.len = ngx_strlen(name);
    h->value = *value;
    ngx_http_intuit_header_last(h);

    return NGX_OK;
}
