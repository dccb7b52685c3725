/*
 * Answers of our own: headers, redirects, and the design of HTML pages.
 */

#include "ngx_http_intuit_auth_module.h"


static ngx_int_t ngx_http_intuit_send_type(ngx_http_request_t *r,
    ngx_uint_t status, const char *type);
static ngx_int_t ngx_http_intuit_send_body(ngx_http_request_t *r,
    ngx_str_t *body);
static ngx_int_t ngx_http_intuit_send_headers(ngx_http_request_t *r,
    ngx_str_t *body);
static ngx_uint_t ngx_http_intuit_has_header(ngx_http_request_t *r,
    const char *name);
static ngx_int_t ngx_http_intuit_csp(ngx_http_request_t *r,
    const ngx_str_t *style, const ngx_str_t *script);
static ngx_int_t ngx_http_intuit_csp_hash(ngx_http_request_t *r,
    const ngx_str_t *text, ngx_str_t *hash);
static u_char *ngx_http_intuit_json_name(u_char *p, const char *name);


/*
 * Contrast is at least 4.5:1 in both schemes.  The policy allows this very
 * text by its hash and no other style.
 */

static const char  ngx_http_intuit_style[] =
    ":root{color-scheme:light dark;--bg:#f3f5f7;--card:#fff;--text:#1a1f24;"
    "--soft:#56606b;--line:#d5dae0;--act:#0b6b34;--on:#fff}"
    "@media(prefers-color-scheme:dark){:root{--bg:#12161a;--card:#1c2228;"
    "--text:#e9edf1;--soft:#a9b3bd;--line:#39424c;--act:#63d391;"
    "--on:#06210f}}"
    "*{box-sizing:border-box}"
    "body{margin:0;min-height:100vh;display:grid;place-items:center;"
    "padding:1rem;background:var(--bg);color:var(--text);"
    "font:1rem/1.6 system-ui,-apple-system,\"Segoe UI\",Roboto,sans-serif}"
    "main{width:100%;max-width:36rem;background:var(--card);"
    "border:1px solid var(--line);border-top:.25rem solid var(--act);"
    "border-radius:.75rem;padding:clamp(1.25rem,5vw,2.5rem)}"
    "h1{margin:0 0 .75rem;font-size:1.5rem;line-height:1.25}"
    "h2{margin:0 0 .5rem;font-size:.875rem;color:var(--soft)}"
    "p,ul{margin:0 0 1rem}ul{padding-left:1.25rem}"
    "a{color:var(--act)}"
    ".act{display:inline-block;border:0;border-radius:.5rem;"
    "padding:.65rem 1.25rem;background:var(--act);color:var(--on);"
    "font:inherit;font-weight:600;text-decoration:none;cursor:pointer}"
    ".act:hover{text-decoration:underline}"
    ":focus-visible{outline:3px solid var(--act);outline-offset:3px}"
    "form{margin:0 0 1rem}"
    "section{margin-top:1.5rem;padding-top:1rem;"
    "border-top:1px solid var(--line)}"
    "dl{display:grid;grid-template-columns:max-content 1fr;"
    "gap:.15rem 1rem;margin:0;font-size:.875rem}"
    "dt{color:var(--soft)}"
    "dd{margin:0;font-family:ui-monospace,Menlo,Consolas,monospace}"
    "p,li,dd{overflow-wrap:anywhere}"
    "@media(max-width:26rem){dl{grid-template-columns:1fr;gap:0}"
    "dd{margin-bottom:.5rem}}"
    "@media(forced-colors:active){.act{border:1px solid}}";

static const char  ngx_http_intuit_page_head[] =
    "<!DOCTYPE html>\n"
    "<html lang=\"en\">\n"
    "<head>\n"
    "<meta charset=\"utf-8\">\n"
    "<meta name=\"viewport\" content=\"width=device-width,"
    " initial-scale=1\">\n"
    "<meta name=\"robots\" content=\"noindex\">\n"
    "<title>";

static const char  ngx_http_intuit_page_tail[] = "</main>\n</body>\n</html>\n";


ngx_int_t
ngx_http_intuit_send(ngx_http_request_t *r, ngx_uint_t status,
    const char *type, ngx_str_t *body)
{
    if (ngx_http_intuit_send_type(r, status, type) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_intuit_send_body(r, body);
}


ngx_int_t
ngx_http_intuit_send_instead(ngx_http_request_t *r, ngx_uint_t status,
    const char *type, ngx_str_t *body)
{
    return ngx_http_intuit_send_type(r, status, type) == NGX_OK
           ? ngx_http_intuit_send_headers(r, body) : NGX_ERROR;
}


static ngx_int_t
ngx_http_intuit_send_type(ngx_http_request_t *r, ngx_uint_t status,
    const char *type)
{
    ngx_str_t  style;

    if (ngx_strcmp(type, "text/html") == 0) {

        style.data = (u_char *) ngx_http_intuit_style;
        style.len = sizeof(ngx_http_intuit_style) - 1;

        if (!ngx_http_intuit_has_header(r, "Content-Security-Policy")
            && ngx_http_intuit_csp(r, &style, NULL) != NGX_OK)
        {
            return NGX_ERROR;
        }

        /* core's header filter puts "; charset=" between the two */
        ngx_str_set(&r->headers_out.charset, "utf-8");

    } else {
        ngx_str_null(&r->headers_out.charset);
    }

    r->headers_out.status = status;
    r->headers_out.content_type.data = (u_char *) type;
    r->headers_out.content_type.len = ngx_strlen(type);
    r->headers_out.content_type_len = r->headers_out.content_type.len;
    r->headers_out.content_type_lowcase = NULL;

    ngx_http_clear_location(r);

    return NGX_OK;
}


ngx_int_t
ngx_http_intuit_redirect(ngx_http_request_t *r, ngx_uint_t status,
    ngx_str_t *url)
{
    ngx_str_t         none;
    ngx_table_elt_t  *h;

    ngx_http_clear_location(r);

    h = ngx_list_push(&r->headers_out.headers);
    if (h == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    h->hash = 1;
    ngx_str_set(&h->key, "Location");
    h->value = *url;
    ngx_http_intuit_header_last(h);

    r->headers_out.location = h;
    r->headers_out.status = status;
    r->headers_out.content_type_len = 0;
    r->headers_out.content_type_lowcase = NULL;
    ngx_str_null(&r->headers_out.content_type);
    ngx_str_null(&r->headers_out.charset);

    ngx_str_null(&none);

    return ngx_http_intuit_send_body(r, &none);
}


static ngx_int_t
ngx_http_intuit_send_body(ngx_http_request_t *r, ngx_str_t *body)
{
    ngx_int_t     rc;
    ngx_buf_t    *b;
    ngx_chain_t   out;

    /* the client is not asked for a body that nobody wants */

    r->expect_tested = 1;

    rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    if (ngx_http_intuit_send_headers(r, body) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    b = ngx_calloc_buf(r->pool);
    if (b == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    b->pos = body->data;
    b->last = body->data + body->len;
    b->memory = body->len ? 1 : 0;
    b->last_buf = (r == r->main) ? 1 : 0;
    b->last_in_chain = 1;

    out.buf = b;
    out.next = NULL;

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    return ngx_http_output_filter(r, &out);
}


static ngx_int_t
ngx_http_intuit_send_headers(ngx_http_request_t *r, ngx_str_t *body)
{
    ngx_str_t   value;
    ngx_uint_t  i;

    static const char  *headers[][2] = {
        { "Cache-Control", "no-store" },
        { "X-Content-Type-Options", "nosniff" },
        { "Referrer-Policy", "no-referrer" }
    };

    for (i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
        value.data = (u_char *) headers[i][1];
        value.len = ngx_strlen(headers[i][1]);

        if (ngx_http_intuit_has_header(r, headers[i][0])) {
            continue;
        }

        if (ngx_http_intuit_add_header(r, headers[i][0], &value) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    /* an error_page that led here would put its own status in */

    r->err_status = 0;
    r->headers_out.status_line.len = 0;

    ngx_http_clear_accept_ranges(r);
    ngx_http_clear_last_modified(r);
    ngx_http_clear_etag(r);
    ngx_http_clear_content_length(r);

    r->headers_out.content_length_n = body->len;
    r->disable_not_modified = 1;

    return NGX_OK;
}


/* has the caller set one of its own? */

static ngx_uint_t
ngx_http_intuit_has_header(ngx_http_request_t *r, const char *name)
{
    size_t            len;
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    len = ngx_strlen(name);

    for (part = &r->headers_out.headers.part; part; part = part->next) {

        h = part->elts;

        for (i = 0; i < part->nelts; i++) {

            if (h[i].hash
                && h[i].key.len == len
                && ngx_strncasecmp(h[i].key.data, (u_char *) name, len) == 0)
            {
                return 1;
            }
        }
    }

    return 0;
}


/*
 * Browsers apply form-action to the redirect that follows a form as well, and
 * a logout leads to the redirect URI's origin, whatever the page's own is.
 */

static ngx_int_t
ngx_http_intuit_csp(ngx_http_request_t *r, const ngx_str_t *style,
    const ngx_str_t *script)
{
    u_char                 *p;
    ngx_str_t               value, origin, hash[2];
    ngx_http_intuit_ctx_t  *ctx;

    static const char       policy[] =
        "default-src 'none'; style-src 'sha256-%V'; %s%V%s"
        "frame-ancestors 'none'; base-uri 'none'; form-action 'self' %V";

    ngx_str_null(&hash[1]);

    if (ngx_http_intuit_csp_hash(r, style, &hash[0]) != NGX_OK
        || (script && ngx_http_intuit_csp_hash(r, script, &hash[1])
                      != NGX_OK))
    {
        return NGX_ERROR;
    }

    ngx_str_null(&origin);

    ctx = ngx_http_intuit_get_ctx(r, 0);

    if (ctx && ctx->endpoint) {
        origin = ctx->endpoint->provider->redirect.origin;
    }

    p = ngx_pnalloc(r->pool, sizeof(policy) + hash[0].len + hash[1].len
                             + sizeof("script-src 'sha256-'; connect-src "
                                      "'self'; ") + origin.len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    value.data = p;
    value.len = ngx_sprintf(p, policy, &hash[0],
                            script ? "script-src 'sha256-" : "", &hash[1],
                            script ? "'; connect-src 'self'; " : "", &origin)
                - p;

    if (origin.len == 0) {
        /* the blank before it */
        value.len--;
    }

    return ngx_http_intuit_add_header(r, "Content-Security-Policy", &value);
}


static ngx_int_t
ngx_http_intuit_csp_hash(ngx_http_request_t *r, const ngx_str_t *text,
    ngx_str_t *hash)
{
    u_char     bytes[NGX_INTUIT_HASH_LEN];
    ngx_str_t  digest;

    if (ngx_intuit_sha256(bytes, text) != NGX_OK) {
        return NGX_ERROR;
    }

    hash->data = ngx_pnalloc(r->pool,
                             ngx_base64_encoded_length(sizeof(bytes)));
    if (hash->data == NULL) {
        return NGX_ERROR;
    }

    digest.data = bytes;
    digest.len = sizeof(bytes);

    ngx_encode_base64(hash, &digest);

    return NGX_OK;
}


ngx_int_t
ngx_http_intuit_page(ngx_http_request_t *r, const char *title,
    const ngx_str_t *content, ngx_str_t *page)
{
    ngx_intuit_text_t  t;

    ngx_intuit_text_init(&t, r->pool);
    ngx_http_intuit_page_begin(&t, title, "");
    ngx_intuit_text_bytes(&t, content);
    ngx_intuit_text_put(&t, ngx_http_intuit_page_tail);

    return ngx_intuit_text_end(&t, page);
}


void
ngx_http_intuit_page_begin(ngx_intuit_text_t *t, const char *title,
    const char *style)
{
    ngx_str_t  text;

    text.data = (u_char *) title;
    text.len = ngx_strlen(title);

    ngx_intuit_text_put(t, ngx_http_intuit_page_head);
    ngx_intuit_text_html(t, &text);
    ngx_intuit_text_put(t, "</title>\n<style>");
    ngx_intuit_text_put(t, ngx_http_intuit_style);
    ngx_intuit_text_put(t, style);
    ngx_intuit_text_put(t, "</style>\n</head>\n<body>\n<main>\n<h1>");
    ngx_intuit_text_html(t, &text);
    ngx_intuit_text_put(t, "</h1>\n");
}


ngx_int_t
ngx_http_intuit_page_end(ngx_http_request_t *r, ngx_intuit_text_t *t,
    const char *style, const char *script, ngx_str_t *page)
{
    u_char     *p;
    ngx_str_t   styles, text;

    ngx_intuit_text_put(t, "</main>\n<script>");
    ngx_intuit_text_put(t, script);
    ngx_intuit_text_put(t, "</script>\n</body>\n</html>\n");

    if (ngx_intuit_text_end(t, page) != NGX_OK) {
        return NGX_ERROR;
    }

    text.data = (u_char *) script;
    text.len = ngx_strlen(script);

    styles.len = sizeof(ngx_http_intuit_style) - 1 + ngx_strlen(style);
    styles.data = ngx_pnalloc(r->pool, styles.len);
    if (styles.data == NULL) {
        return NGX_ERROR;
    }

    p = ngx_cpymem(styles.data, ngx_http_intuit_style,
                   sizeof(ngx_http_intuit_style) - 1);
    ngx_memcpy(p, style, ngx_strlen(style));

    return ngx_http_intuit_csp(r, &styles, &text);
}


ngx_uint_t
ngx_http_intuit_wants_html(ngx_http_request_t *r)
{
    ngx_str_t  *accept;

    accept = ngx_http_intuit_header_in(r, "accept");

    return accept && ngx_intuit_accepts(accept, "text/html");
}


u_char *
ngx_http_intuit_json_text(u_char *p, const char *name,
    const ngx_str_t *value)
{
    p = ngx_http_intuit_json_name(p, name);

    if (value->len == 0) {
        return ngx_cpymem(p, "null", sizeof("null") - 1);
    }

    *p++ = '"';
    p = ngx_intuit_json_escape(p, value);
    *p++ = '"';

    return p;
}


u_char *
ngx_http_intuit_json_words(u_char *p, const char *name, const char *words)
{
    p = ngx_http_intuit_json_name(p, name);

    *p++ = '"';
    p = ngx_cpymem(p, words, ngx_strlen(words));
    *p++ = '"';

    return p;
}


u_char *
ngx_http_intuit_json_number(u_char *p, const char *name, time_t value)
{
    p = ngx_http_intuit_json_name(p, name);

    if (value == 0) {
        return ngx_cpymem(p, "null", sizeof("null") - 1);
    }

    return ngx_sprintf(p, "%T", value);
}


static u_char *
ngx_http_intuit_json_name(u_char *p, const char *name)
{
    *p++ = '"';
    p = ngx_cpymem(p, name, ngx_strlen(name));
    *p++ = '"';
    *p++ = ':';

    return p;
}
