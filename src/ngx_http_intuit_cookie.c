/*
 * Cookies of the browser's request and of our answers, and the cleaning of a
 * request before an upstream sees it.
 */

#include "ngx_http_intuit_cookie.h"


#define NGX_HTTP_INTUIT_COOKIE_LINES  64
#define NGX_HTTP_INTUIT_COOKIE_AGE    (400 * 24 * 3600)    /* RFC 6265bis */


/* what becomes of a line of the request's header */
typedef enum {
    NGX_HTTP_INTUIT_LINE_KEEP = 0,
    NGX_HTTP_INTUIT_LINE_DROP,
    NGX_HTTP_INTUIT_LINE_STRIP                /* of cookies: ours go */
} ngx_http_intuit_line_e;

typedef struct {
    ngx_uint_t                what;
    const ngx_table_elt_t    *ours;           /* a cookie of ours, known */
    ngx_table_elt_t          *first;          /* not to be kept; NULL: none */
    ngx_http_intuit_line_e    verdict;        /* ... but dropped or stripped */
} ngx_http_intuit_dirt_t;

/* a line that is not among the request's */
typedef struct {
    ngx_list_part_t           part;
    ngx_table_elt_t           line;
} ngx_http_intuit_own_line_t;


static ngx_http_intuit_ctx_t *ngx_http_intuit_cookies_sent(
    ngx_http_request_t *r, ngx_http_intuit_cookies_t *cookies);
static ngx_uint_t ngx_http_intuit_line_first(ngx_http_request_t *r,
    ngx_http_intuit_dirt_t *dirt);
static ngx_http_intuit_line_e ngx_http_intuit_line(
    const ngx_http_intuit_main_conf_t *imcf, const ngx_table_elt_t *h,
    const ngx_http_intuit_dirt_t *dirt);
static ngx_uint_t ngx_http_intuit_cookie_line(const ngx_table_elt_t *h);
static ngx_http_intuit_line_e ngx_http_intuit_cookie_ours(
    const ngx_http_intuit_main_conf_t *imcf, const ngx_str_t *line);
static ngx_int_t ngx_http_intuit_cookie_clean(ngx_http_request_t *r,
    const ngx_http_intuit_main_conf_t *imcf, ngx_str_t *value);
static ngx_int_t ngx_http_intuit_rebuild(ngx_http_request_t *r,
    ngx_list_t *list, const ngx_http_intuit_dirt_t *dirt);
static ngx_int_t ngx_http_intuit_keep_cookies(ngx_http_request_t *r,
    ngx_list_t *list, const ngx_table_elt_t *h,
    ngx_http_intuit_line_e verdict);
static ngx_int_t ngx_http_intuit_keep(ngx_http_request_t *r,
    ngx_list_t *list, ngx_table_elt_t *h, ngx_uint_t n);
static ngx_table_elt_t *ngx_http_intuit_keep_own(ngx_http_request_t *r,
    ngx_list_t *list);
static void ngx_http_intuit_keep_part(ngx_list_t *list, ngx_list_part_t *part);
static ngx_int_t ngx_http_intuit_headers_set(ngx_http_request_t *r,
    ngx_list_t *list);
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
    ngx_http_intuit_ctx_t      *ctx;
    ngx_http_intuit_cookies_t   cookies;

    found = 0;

    ctx = ngx_http_intuit_cookies_sent(r, &cookies);

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

                if (ctx && n.data == h->value.data && pos == h->value.len) {
                    /* whoever asks, it is one of ours */
                    ctx->own_cookie = h;
                }

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

    (void) ngx_http_intuit_cookies_sent(r, &cookies);

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

    p = ngx_cpymem(p, provider->cookie_flags.data, provider->cookie_flags.len);

    if (provider->strict && !lax) {
        p = ngx_cpymem(p, "; SameSite=Strict", sizeof("; SameSite=Strict") - 1);

    } else {
        p = ngx_cpymem(p, "; SameSite=Lax", sizeof("; SameSite=Lax") - 1);
    }

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
    ngx_list_t               list;
    ngx_http_intuit_ctx_t   *ctx;
    ngx_http_intuit_dirt_t   dirt;

    ctx = ngx_http_intuit_get_ctx(r, 0);

    dirt.what = what;
    dirt.ours = ctx ? ctx->own_cookie : NULL;

    if (!ngx_http_intuit_line_first(r, &dirt) && bearer == NULL) {
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

    ngx_memzero(&list, sizeof(ngx_list_t));

    if (ngx_http_intuit_rebuild(r, &list, &dirt) != NGX_OK) {
        return NGX_ERROR;
    }

    if (what & NGX_HTTP_INTUIT_CLEAN_AUTHORIZATION) {
        r->headers_in.authorization = NULL;
    }

    if (bearer && ngx_http_intuit_push_bearer(r, &list, bearer) != NGX_OK) {
        return NGX_ERROR;
    }

    if (ngx_http_intuit_headers_set(r, &list) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_http_intuit_headers_relink(r);
    ngx_http_intuit_forget_variables(r);

    return NGX_OK;
}


/*
 * What the browser has sent: an internal redirect from a location whose
 * request was cleaned may lead to one that asks who is there.
 */

static ngx_http_intuit_ctx_t *
ngx_http_intuit_cookies_sent(ngx_http_request_t *r,
    ngx_http_intuit_cookies_t *cookies)
{
    ngx_http_intuit_ctx_t  *ctx;

    ctx = ngx_http_intuit_get_ctx(r, 0);

    *cookies = (ctx && ctx->cleaned) ? ctx->cookies
                                     : ngx_http_intuit_cookies(r);
    return ctx;
}


/* Finds the first line that may not stay as it is. */

static ngx_uint_t
ngx_http_intuit_line_first(ngx_http_request_t *r, ngx_http_intuit_dirt_t *dirt)
{
    ngx_uint_t                    i;
    ngx_list_part_t              *part;
    ngx_table_elt_t              *h;
    ngx_http_intuit_main_conf_t  *imcf;

    imcf = ngx_http_get_module_main_conf(r, ngx_http_intuit_auth_module);

    dirt->first = NULL;
    dirt->verdict = NGX_HTTP_INTUIT_LINE_KEEP;

    for (part = &r->headers_in.headers.part; part; part = part->next) {

        h = part->elts;

        for (i = 0; i < part->nelts; i++) {

            if (ngx_intuit_header_plain(&h[i].key)) {
                continue;
            }

            dirt->verdict = ngx_http_intuit_line(imcf, &h[i], dirt);

            if (dirt->verdict != NGX_HTTP_INTUIT_LINE_KEEP) {
                dirt->first = &h[i];
                return 1;
            }
        }
    }

    return 0;
}


static ngx_http_intuit_line_e
ngx_http_intuit_line(const ngx_http_intuit_main_conf_t *imcf,
    const ngx_table_elt_t *h, const ngx_http_intuit_dirt_t *dirt)
{
    if (h == dirt->ours) {
        return NGX_HTTP_INTUIT_LINE_DROP;
    }

    if (ngx_http_intuit_cookie_line(h)) {
        return ngx_http_intuit_cookie_ours(imcf, &h->value);
    }

    if ((dirt->what & NGX_HTTP_INTUIT_CLEAN_IDENTITY)
        && ngx_intuit_identity_header(&h->key))
    {
        return NGX_HTTP_INTUIT_LINE_DROP;
    }

    if ((dirt->what & NGX_HTTP_INTUIT_CLEAN_AUTHORIZATION)
        && h->key.len == sizeof("authorization") - 1
        && ngx_intuit_header_is(&h->key, "authorization"))
    {
        return NGX_HTTP_INTUIT_LINE_DROP;
    }

    return NGX_HTTP_INTUIT_LINE_KEEP;
}


static ngx_uint_t
ngx_http_intuit_cookie_line(const ngx_table_elt_t *h)
{
    u_char  *p;

    p = h->key.data;

    /* looked at in each line of each request */

    return h->key.len == sizeof("cookie") - 1
           && (p[0] | 0x20) == 'c' && (p[1] | 0x20) == 'o'
           && (p[2] | 0x20) == 'o' && (p[3] | 0x20) == 'k'
           && (p[4] | 0x20) == 'i' && (p[5] | 0x20) == 'e';
}


/* does the line hold a cookie of any provider, and any other? */

static ngx_http_intuit_line_e
ngx_http_intuit_cookie_ours(const ngx_http_intuit_main_conf_t *imcf,
    const ngx_str_t *line)
{
    size_t      pos;
    ngx_str_t   n, v;
    ngx_uint_t  ours, others;

    pos = 0;
    ours = 0;
    others = 0;

    while (!(ours && others)
           && ngx_intuit_cookie_next(line, &pos, &n, &v) == NGX_OK)
    {
        if (ngx_intuit_cookie_named(&n, imcf->cookie_names.elts,
                                    imcf->cookie_names.nelts))
        {
            ours = 1;

        } else {
            others = 1;
        }
    }

    if (!ours) {
        return NGX_HTTP_INTUIT_LINE_KEEP;
    }

    return others ? NGX_HTTP_INTUIT_LINE_STRIP : NGX_HTTP_INTUIT_LINE_DROP;
}


/* the bytes are copied: what others have of the client's stays as it is */

static ngx_int_t
ngx_http_intuit_cookie_clean(ngx_http_request_t *r,
    const ngx_http_intuit_main_conf_t *imcf, ngx_str_t *value)
{
    u_char  *data;

    /* header values end with a zero byte, some code counts on it */

    data = ngx_pnalloc(r->pool, value->len + 1);
    if (data == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(data, value->data, value->len);
    value->data = data;

    (void) ngx_intuit_cookie_strip(value, imcf->cookie_names.elts,
                                   imcf->cookie_names.nelts);

    value->data[value->len] = '\0';

    return NGX_OK;
}


/*
 * Lists what may stay.  A subrequest shares its parent's lines, and the gate
 * still reads them, so none is changed in its place, but what stays as it is
 * need not be copied: the parts of the new list lie in those of the old one.
 * Lines of cookies are linked to each other and are therefore always copied.
 * Those before the first that has to go have been looked at.
 */

static ngx_int_t
ngx_http_intuit_rebuild(ngx_http_request_t *r, ngx_list_t *list,
    const ngx_http_intuit_dirt_t *dirt)
{
    ngx_uint_t                    i, start, reached;
    ngx_list_part_t              *part;
    ngx_table_elt_t              *h;
    ngx_http_intuit_line_e        verdict;
    ngx_http_intuit_main_conf_t  *imcf;

    imcf = ngx_http_get_module_main_conf(r, ngx_http_intuit_auth_module);

    ngx_http_intuit_cookies_none(r);

    reached = 0;

    for (part = &r->headers_in.headers.part; part; part = part->next) {

        h = part->elts;
        start = 0;

        for (i = 0; i < part->nelts; i++) {

            if (&h[i] == dirt->first) {
                reached = 1;
                verdict = dirt->verdict;

            } else if (ngx_intuit_header_plain(&h[i].key)) {
                continue;

            } else {
                verdict = reached ? ngx_http_intuit_line(imcf, &h[i], dirt)
                                  : NGX_HTTP_INTUIT_LINE_KEEP;
            }

            if (verdict == NGX_HTTP_INTUIT_LINE_KEEP
                && !ngx_http_intuit_cookie_line(&h[i]))
            {
                continue;
            }

            if (ngx_http_intuit_keep(r, list, &h[start], i - start) != NGX_OK
                || (verdict != NGX_HTTP_INTUIT_LINE_DROP
                    && ngx_http_intuit_keep_cookies(r, list, &h[i], verdict)
                       != NGX_OK))
            {
                return NGX_ERROR;
            }

            start = i + 1;
        }

        if (ngx_http_intuit_keep(r, list, &h[start], i - start) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_intuit_keep_cookies(ngx_http_request_t *r, ngx_list_t *list,
    const ngx_table_elt_t *h, ngx_http_intuit_line_e verdict)
{
    ngx_table_elt_t              *copy;
    ngx_http_intuit_main_conf_t  *imcf;

    imcf = ngx_http_get_module_main_conf(r, ngx_http_intuit_auth_module);

    copy = ngx_http_intuit_keep_own(r, list);
    if (copy == NULL) {
        return NGX_ERROR;
    }

    *copy = *h;
    ngx_http_intuit_header_last(copy);

    if (verdict == NGX_HTTP_INTUIT_LINE_STRIP
        && ngx_http_intuit_cookie_clean(r, imcf, &copy->value) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_intuit_cookies_push(r, copy);
}


/* some of the request's own */

static ngx_int_t
ngx_http_intuit_keep(ngx_http_request_t *r, ngx_list_t *list,
    ngx_table_elt_t *h, ngx_uint_t n)
{
    ngx_list_part_t  *part;

    if (n == 0) {
        return NGX_OK;
    }

    part = &list->part;

    if (part->nelts) {
        part = ngx_palloc(r->pool, sizeof(ngx_list_part_t));
        if (part == NULL) {
            return NGX_ERROR;
        }
    }

    part->elts = h;
    part->nelts = n;

    ngx_http_intuit_keep_part(list, part);

    return NGX_OK;
}


/* one that is to be filled */

static ngx_table_elt_t *
ngx_http_intuit_keep_own(ngx_http_request_t *r, ngx_list_t *list)
{
    ngx_list_part_t             *part;
    ngx_http_intuit_own_line_t  *own;

    own = ngx_palloc(r->pool, sizeof(ngx_http_intuit_own_line_t));
    if (own == NULL) {
        return NULL;
    }

    part = list->part.nelts ? &own->part : &list->part;
    part->elts = &own->line;
    part->nelts = 1;

    ngx_http_intuit_keep_part(list, part);

    return &own->line;
}


static void
ngx_http_intuit_keep_part(ngx_list_t *list, ngx_list_part_t *part)
{
    part->next = NULL;

    if (part != &list->part) {
        list->last->next = part;
    }

    list->last = part;
}


/*
 * Behind a part there is no room: with as many places in each as there are
 * lines in the last one, that one is full, and the next line that anybody adds
 * gets a part of its own.
 */

static ngx_int_t
ngx_http_intuit_headers_set(ngx_http_request_t *r, ngx_list_t *list)
{
    if (list->part.nelts == 0) {
        return ngx_list_init(&r->headers_in.headers, r->pool, 1,
                             sizeof(ngx_table_elt_t));
    }

    list->size = sizeof(ngx_table_elt_t);
    list->nalloc = list->last->nelts;
    list->pool = r->pool;

    r->headers_in.headers = *list;

    if (list->last == &list->part) {
        /* which has moved */
        r->headers_in.headers.last = &r->headers_in.headers.part;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_intuit_push_bearer(ngx_http_request_t *r, ngx_list_t *list,
    const ngx_str_t *bearer)
{
    ngx_table_elt_t  *h;

    h = ngx_http_intuit_keep_own(r, list);
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
    ngx_uint_t                   *index, i;
    ngx_http_intuit_main_conf_t  *imcf;

    imcf = ngx_http_get_module_main_conf(r, ngx_http_intuit_auth_module);
    index = imcf->sent.elts;

    for (i = 0; i < imcf->sent.nelts; i++) {
        r->variables[index[i]].valid = 0;
        r->variables[index[i]].not_found = 0;
    }
}


/* once it is known which variables there are */

ngx_int_t
ngx_http_intuit_clean_init(ngx_cycle_t *cycle,
    ngx_http_intuit_main_conf_t *imcf)
{
    ngx_str_t                  *name;
    ngx_uint_t                 *index, i;
    ngx_http_variable_t        *v;
    ngx_http_core_main_conf_t  *cmcf;

    cmcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_core_module);
    v = cmcf->variables.elts;

    if (ngx_array_init(&imcf->sent, cycle->pool, 8, sizeof(ngx_uint_t))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    for (i = 0; i < cmcf->variables.nelts; i++) {

        name = &v[i].name;

        if ((name->len > 5 && ngx_memcmp(name->data, "http_", 5) == 0)
            || (name->len > 7 && ngx_memcmp(name->data, "cookie_", 7) == 0))
        {
            index = ngx_array_push(&imcf->sent);
            if (index == NULL) {
                return NGX_ERROR;
            }

            *index = i;
        }
    }

    return NGX_OK;
}


/* a provider's cookies are ours, whoever is asked */

ngx_int_t
ngx_http_intuit_cookie_names(ngx_conf_t *cf,
    ngx_http_intuit_main_conf_t *imcf)
{
    ngx_uint_t                    i;
    ngx_intuit_cookie_name_t     *name;
    ngx_http_intuit_provider_t  **provider;

    if (ngx_array_init(&imcf->cookie_names, cf->pool,
                       3 * imcf->providers.nelts,
                       sizeof(ngx_intuit_cookie_name_t))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    provider = imcf->providers.elts;

    for (i = 0; i < imcf->providers.nelts; i++) {

        name = ngx_array_push_n(&imcf->cookie_names, 3);
        if (name == NULL) {
            return NGX_ERROR;
        }

        name[0].name = provider[i]->cookie_name;
        name[0].prefix = 0;
        name[1].name = provider[i]->tries_name;
        name[1].prefix = 0;
        name[2].name = provider[i]->login_prefix;
        name[2].prefix = 1;
    }

    return NGX_OK;
}
