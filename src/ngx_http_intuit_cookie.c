/*
 * Cookies of the browser's request and of our answers, and the cleaning of a
 * request before an upstream sees it.
 */

#include "ngx_http_intuit_auth_module.h"


#define NGX_HTTP_INTUIT_COOKIE_LINES  64
#define NGX_HTTP_INTUIT_COOKIE_AGE    (400 * 24 * 3600)    /* RFC 6265bis */


static void ngx_http_intuit_cookies_sent(ngx_http_request_t *r,
    ngx_http_intuit_cookies_t *cookies);
static ngx_uint_t ngx_http_intuit_request_dirty(ngx_http_request_t *r,
    ngx_uint_t what);
static ngx_uint_t ngx_http_intuit_header_unwanted(const ngx_table_elt_t *h,
    ngx_uint_t what);
static ngx_uint_t ngx_http_intuit_cookie_line(const ngx_table_elt_t *h);
static ngx_uint_t ngx_http_intuit_cookie_ours(ngx_http_request_t *r,
    const ngx_str_t *line);
static ngx_int_t ngx_http_intuit_cookie_clean(ngx_http_request_t *r,
    ngx_table_elt_t *h);
static ngx_int_t ngx_http_intuit_rebuild(ngx_http_request_t *r,
    ngx_list_t *list, ngx_uint_t what);
static ngx_int_t ngx_http_intuit_push_bearer(ngx_http_request_t *r,
    ngx_list_t *list, const ngx_str_t *bearer);
static void ngx_http_intuit_forget_variables(ngx_http_request_t *r);


/* our own Set-Cookie lines, told from an upstream's by this address */
static char  ngx_http_intuit_set_cookie[] = "Set-Cookie";


ngx_int_t
ngx_http_intuit_cookie_get(ngx_http_request_t *r, const ngx_str_t *name,
    ngx_str_t *value)
{
    size_t                      pos;
    ngx_str_t                   n, v;
    ngx_uint_t                  i, found;
    ngx_table_elt_t            *h;
    ngx_http_intuit_cookies_t   cookies;

    found = 0;

    ngx_http_intuit_cookies_sent(r, &cookies);

    ngx_http_intuit_cookies_each(cookies, h, i) {

        if (i == NGX_HTTP_INTUIT_COOKIE_LINES) {
            break;
        }

        pos = 0;

        while (ngx_intuit_cookie_next(&h->value, &pos, &n, &v) == NGX_OK) {

            if (n.len != name->len
                || ngx_memcmp(n.data, name->data, n.len) != 0)
            {
                continue;
            }

            if (!found) {
                found = 1;
                *value = v;
                continue;
            }

            if (v.len != value->len
                || ngx_memcmp(v.data, value->data, v.len) != 0)
            {
                return NGX_ABORT;
            }
        }
    }

    return found ? NGX_OK : NGX_DECLINED;
}


ngx_int_t
ngx_http_intuit_cookie_list(ngx_http_request_t *r, const ngx_str_t *prefix,
    ngx_uint_t max, ngx_array_t *found)
{
    size_t                      pos;
    ngx_str_t                   n, v;
    ngx_uint_t                  i;
    ngx_keyval_t               *kv;
    ngx_table_elt_t            *h;
    ngx_http_intuit_cookies_t   cookies;

    ngx_http_intuit_cookies_sent(r, &cookies);

    ngx_http_intuit_cookies_each(cookies, h, i) {

        if (i == NGX_HTTP_INTUIT_COOKIE_LINES) {
            break;
        }

        pos = 0;

        while (ngx_intuit_cookie_next(&h->value, &pos, &n, &v) == NGX_OK) {

            if (n.len < prefix->len
                || ngx_memcmp(n.data, prefix->data, prefix->len) != 0)
            {
                continue;
            }

            if (found->nelts >= max) {
                return NGX_OK;
            }

            kv = ngx_array_push(found);
            if (kv == NULL) {
                return NGX_ERROR;
            }

            kv->key = n;
            kv->value = v;
        }
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_intuit_cookie_set(ngx_http_request_t *r,
    ngx_http_intuit_provider_t *provider, const ngx_str_t *name,
    const ngx_str_t *value, time_t max_age, ngx_uint_t lax)
{
    u_char     *p;
    size_t      len;
    ngx_str_t   text;

    max_age = ngx_min(max_age, NGX_HTTP_INTUIT_COOKIE_AGE);

    len = name->len + 1 + (value ? value->len : 0)
          + sizeof("; Max-Age=") - 1 + NGX_TIME_T_LEN
          + provider->cookie_flags.len
          + sizeof("; SameSite=Strict") - 1;

    text.data = ngx_pnalloc(r->pool, len);
    if (text.data == NULL) {
        return NGX_ERROR;
    }

    p = ngx_cpymem(text.data, name->data, name->len);
    *p++ = '=';

    if (value) {
        p = ngx_cpymem(p, value->data, value->len);

    } else {
        max_age = 0;
    }

    if (value == NULL || max_age > 0) {
        p = ngx_sprintf(p, "; Max-Age=%T", max_age);
    }

    p = ngx_sprintf(p, "%V; SameSite=%s", &provider->cookie_flags,
                    (provider->strict && !lax) ? "Strict" : "Lax");

    text.len = p - text.data;

    return ngx_http_intuit_add_header(r, ngx_http_intuit_set_cookie, &text);
}


ngx_uint_t
ngx_http_intuit_cookie_set_here(const ngx_table_elt_t *h)
{
    return h->key.data == (u_char *) ngx_http_intuit_set_cookie;
}


ngx_int_t
ngx_http_intuit_clean_request(ngx_http_request_t *r, ngx_uint_t what,
    const ngx_str_t *bearer)
{
    ngx_list_t              list;
    ngx_http_intuit_ctx_t  *ctx;

    if (bearer == NULL && !ngx_http_intuit_request_dirty(r, what)) {
        return NGX_OK;
    }

    if (r == r->main) {
        ctx = ngx_http_intuit_get_ctx(r, 1);
        if (ctx == NULL) {
            return NGX_ERROR;
        }

        if (!ctx->cleaned) {
            ctx->cookies = ngx_http_intuit_cookies(r);
            ctx->cleaned = 1;
        }
    }

    if (ngx_list_init(&list, r->pool, 20, sizeof(ngx_table_elt_t)) != NGX_OK
        || ngx_http_intuit_rebuild(r, &list, what) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (what & NGX_HTTP_INTUIT_CLEAN_AUTHORIZATION) {
        r->headers_in.authorization = NULL;
    }

    if (bearer && ngx_http_intuit_push_bearer(r, &list, bearer) != NGX_OK) {
        return NGX_ERROR;
    }

    /* list.last may point at list.part, which moves */

    r->headers_in.headers = list;

    if (list.last == &list.part) {
        r->headers_in.headers.last = &r->headers_in.headers.part;
    }

    ngx_http_intuit_headers_relink(r);
    ngx_http_intuit_forget_variables(r);

    return NGX_OK;
}


/*
 * What the browser has sent: an internal redirect from a location whose
 * request was cleaned may lead to one that asks who is there.
 */

static void
ngx_http_intuit_cookies_sent(ngx_http_request_t *r,
    ngx_http_intuit_cookies_t *cookies)
{
    ngx_http_intuit_ctx_t  *ctx;

    ctx = ngx_http_intuit_get_ctx(r, 0);

    *cookies = (ctx && ctx->cleaned) ? ctx->cookies
                                     : ngx_http_intuit_cookies(r);
}


static ngx_uint_t
ngx_http_intuit_request_dirty(ngx_http_request_t *r, ngx_uint_t what)
{
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    for (part = &r->headers_in.headers.part; part; part = part->next) {

        h = part->elts;

        for (i = 0; i < part->nelts; i++) {

            if (ngx_http_intuit_header_unwanted(&h[i], what)) {
                return 1;
            }

            if (ngx_http_intuit_cookie_line(&h[i])
                && ngx_http_intuit_cookie_ours(r, &h[i].value))
            {
                return 1;
            }
        }
    }

    return 0;
}


static ngx_uint_t
ngx_http_intuit_header_unwanted(const ngx_table_elt_t *h, ngx_uint_t what)
{
    return ((what & NGX_HTTP_INTUIT_CLEAN_AUTHORIZATION)
            && ngx_intuit_header_is(&h->key, "authorization"))
           || ((what & NGX_HTTP_INTUIT_CLEAN_IDENTITY)
               && ngx_intuit_identity_header(&h->key));
}


static ngx_uint_t
ngx_http_intuit_cookie_line(const ngx_table_elt_t *h)
{
    return h->key.len == sizeof("cookie") - 1
           && ngx_strncasecmp(h->key.data, (u_char *) "cookie", h->key.len)
              == 0;
}


/* does the line hold a cookie of any provider? */

static ngx_uint_t
ngx_http_intuit_cookie_ours(ngx_http_request_t *r, const ngx_str_t *line)
{
    size_t                        pos;
    ngx_str_t                     n, v;
    ngx_uint_t                    i;
    ngx_http_intuit_provider_t  **provider, *p;
    ngx_http_intuit_main_conf_t  *imcf;

    imcf = ngx_http_get_module_main_conf(r, ngx_http_intuit_auth_module);
    provider = imcf->providers.elts;

    pos = 0;

    while (ngx_intuit_cookie_next(line, &pos, &n, &v) == NGX_OK) {

        for (i = 0; i < imcf->providers.nelts; i++) {

            p = provider[i];

            if ((n.len == p->cookie_name.len
                 && ngx_memcmp(n.data, p->cookie_name.data, n.len) == 0)
                || (n.len == p->tries_name.len
                    && ngx_memcmp(n.data, p->tries_name.data, n.len) == 0)
                || (n.len >= p->login_prefix.len
                    && ngx_memcmp(n.data, p->login_prefix.data,
                                  p->login_prefix.len)
                       == 0))
            {
                return 1;
            }
        }
    }

    return 0;
}


/* the bytes are copied: what others have of the client's stays as it is */

static ngx_int_t
ngx_http_intuit_cookie_clean(ngx_http_request_t *r, ngx_table_elt_t *h)
{
    u_char                       *data;
    ngx_str_t                     none;
    ngx_uint_t                    i;
    ngx_http_intuit_provider_t  **provider;
    ngx_http_intuit_main_conf_t  *imcf;

    imcf = ngx_http_get_module_main_conf(r, ngx_http_intuit_auth_module);
    provider = imcf->providers.elts;

    /* header values end with a zero byte, some code counts on it */

    data = ngx_pnalloc(r->pool, h->value.len + 1);
    if (data == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(data, h->value.data, h->value.len);
    h->value.data = data;

    ngx_str_null(&none);

    for (i = 0; i < imcf->providers.nelts; i++) {
        (void) ngx_intuit_cookie_strip(&h->value, &provider[i]->cookie_name,
                                       &provider[i]->login_prefix);
        (void) ngx_intuit_cookie_strip(&h->value, &provider[i]->tries_name,
                                       &none);
    }

    h->value.data[h->value.len] = '\0';

    return NGX_OK;
}


/*
 * Copies what may stay.  A subrequest shares its parent's lines, and the
 * gate still reads them, so none is changed in its place.
 */

static ngx_int_t
ngx_http_intuit_rebuild(ngx_http_request_t *r, ngx_list_t *list,
    ngx_uint_t what)
{
    ngx_uint_t        i, cookie;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h, *copy, line;

    ngx_http_intuit_cookies_none(r);

    for (part = &r->headers_in.headers.part; part; part = part->next) {

        h = part->elts;

        for (i = 0; i < part->nelts; i++) {

            if (ngx_http_intuit_header_unwanted(&h[i], what)) {
                continue;
            }

            line = h[i];
            cookie = ngx_http_intuit_cookie_line(&line);

            if (cookie && ngx_http_intuit_cookie_ours(r, &line.value)) {

                if (ngx_http_intuit_cookie_clean(r, &line) != NGX_OK) {
                    return NGX_ERROR;
                }

                if (line.value.len == 0) {
                    continue;
                }
            }

            copy = ngx_list_push(list);
            if (copy == NULL) {
                return NGX_ERROR;
            }

            *copy = line;
            ngx_http_intuit_header_last(copy);

            if (cookie && ngx_http_intuit_cookies_push(r, copy) != NGX_OK) {
                return NGX_ERROR;
            }
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_intuit_push_bearer(ngx_http_request_t *r, ngx_list_t *list,
    const ngx_str_t *bearer)
{
    ngx_table_elt_t  *h;

    h = ngx_list_push(list);
    if (h == NULL) {
        return NGX_ERROR;
    }

    ngx_str_set(&h->key, "Authorization");
    h->value = *bearer;
    h->lowcase_key = (u_char *) "authorization";

    /* a key of the hash of proxy_set_header names */
    h->hash = ngx_hash_key(h->lowcase_key, h->key.len);

    ngx_http_intuit_header_last(h);

    r->headers_in.authorization = h;

    return NGX_OK;
}


/*
 * A value that was read before ("if ($http_cookie ...)") is kept by nginx
 * and would be sent by proxy_set_header.
 */

static void
ngx_http_intuit_forget_variables(ngx_http_request_t *r)
{
    ngx_uint_t                  i;
    ngx_str_t                  *name;
    ngx_http_variable_t        *v;
    ngx_http_core_main_conf_t  *cmcf;

    cmcf = ngx_http_get_module_main_conf(r, ngx_http_core_module);
    v = cmcf->variables.elts;

    for (i = 0; i < cmcf->variables.nelts; i++) {

        name = &v[i].name;

        if ((name->len > 5 && ngx_memcmp(name->data, "http_", 5) == 0)
            || (name->len > 7 && ngx_memcmp(name->data, "cookie_", 7) == 0))
        {
            r->variables[i].valid = 0;
            r->variables[i].not_found = 0;
        }
    }
}
