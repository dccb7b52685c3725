/*
 * Faults of the QuickBooks API.
 */

#include "ngx_intuit_fault.h"
#include "ngx_intuit_header.h"
#include "ngx_intuit_json.h"


#define NGX_INTUIT_FAULT_WORD  6


/* a tag of XML; names without their prefix */
typedef struct {
    u_char      *pos;        /* of what comes after it */
    u_char      *last;       /* of the document */
    ngx_str_t    name;
    ngx_str_t    attributes;
    unsigned     end:1;      /* </name> */
} ngx_intuit_tag_t;


static void ngx_intuit_fault_start(const ngx_str_t *body, ngx_str_t *text);
static ngx_int_t ngx_intuit_fault_json(ngx_pool_t *pool,
    const ngx_str_t *text, ngx_intuit_fault_t *fault);
static void ngx_intuit_fault_member(const ngx_intuit_json_t *json,
    const char *lower, const char *upper, ngx_str_t *value);
static ngx_int_t ngx_intuit_fault_xml(const ngx_str_t *text,
    ngx_intuit_fault_t *fault);
static ngx_int_t ngx_intuit_tag_next(ngx_intuit_tag_t *tag);
static void ngx_intuit_tag_split(ngx_intuit_tag_t *tag, u_char *p,
    u_char *last);
static ngx_uint_t ngx_intuit_tag_is(const ngx_intuit_tag_t *tag,
    const char *name);
static void ngx_intuit_tag_attribute(const ngx_intuit_tag_t *tag,
    const char *name, ngx_str_t *value);
static void ngx_intuit_tag_text(const ngx_intuit_tag_t *tag,
    ngx_str_t *value);
static void ngx_intuit_fault_redact_json(const ngx_str_t *text);
static u_char *ngx_intuit_fault_string(u_char *p, u_char *last);
static ngx_uint_t ngx_intuit_fault_detail(u_char *p, u_char *last);
static void ngx_intuit_fault_redact_xml(const ngx_str_t *text);
static void ngx_intuit_fault_mask(u_char *p, u_char *last);
static size_t ngx_intuit_fault_char(u_char *p, u_char *last, u_char *c);
static ngx_uint_t ngx_intuit_fault_word(u_char c);


ngx_int_t
ngx_intuit_fault_parse(ngx_pool_t *pool, const ngx_str_t *body,
    ngx_intuit_fault_t *fault)
{
    ngx_int_t           rc;
    ngx_str_t           text;
    ngx_intuit_fault_t  raw;

    ngx_memzero(fault, sizeof(ngx_intuit_fault_t));
    ngx_memzero(&raw, sizeof(ngx_intuit_fault_t));

    ngx_intuit_fault_start(body, &text);

    if (text.len == 0) {
        return NGX_DECLINED;
    }

    rc = (text.data[0] == '<') ? ngx_intuit_fault_xml(&text, &raw)
                               : ngx_intuit_fault_json(pool, &text, &raw);

    if (rc != NGX_OK) {
        return NGX_DECLINED;
    }

    ngx_intuit_log_safe(pool, &raw.code, NGX_INTUIT_FAULT_CODE, &fault->code);
    ngx_intuit_log_safe(pool, &raw.type, NGX_INTUIT_FAULT_TEXT, &fault->type);
    ngx_intuit_log_safe(pool, &raw.message, NGX_INTUIT_FAULT_TEXT,
                        &fault->message);

    /* a copy, and a word that is cut there must not be too short by that */

    ngx_intuit_log_safe(pool, &raw.detail, 8 * NGX_INTUIT_FAULT_TEXT,
                        &fault->detail);

    if (fault->detail.len) {
        ngx_intuit_fault_mask(fault->detail.data,
                              fault->detail.data + fault->detail.len);
    }

    fault->detail.len = ngx_min(fault->detail.len, NGX_INTUIT_FAULT_TEXT);

    return NGX_OK;
}


/* without a byte order mark and white space */

static void
ngx_intuit_fault_start(const ngx_str_t *body, ngx_str_t *text)
{
    *text = *body;

    if (text->len >= 3 && ngx_memcmp(text->data, "\xef\xbb\xbf", 3) == 0) {
        text->data += 3;
        text->len -= 3;
    }

    while (text->len
           && (*text->data == ' ' || *text->data == '\t'
               || *text->data == '\r' || *text->data == '\n'))
    {
        text->data++;
        text->len--;
    }
}


static ngx_int_t
ngx_intuit_fault_json(ngx_pool_t *pool, const ngx_str_t *text,
    ngx_intuit_fault_t *fault)
{
    u_char              *p;
    int64_t              n;
    ngx_array_t          errors;
    ngx_intuit_json_t   *json, *object, **error;

    json = ngx_intuit_json_parse(pool, text);

    if (json == NULL
        || (ngx_intuit_json_object(json, "fault", &object) != NGX_OK
            && ngx_intuit_json_object(json, "Fault", &object) != NGX_OK)
        || (ngx_intuit_json_objects(pool, object, "error", &errors) != NGX_OK
            && ngx_intuit_json_objects(pool, object, "Error", &errors)
               != NGX_OK)
        || errors.nelts == 0)
    {
        return NGX_DECLINED;
    }

    error = errors.elts;

    ngx_intuit_fault_member(object, "type", "Type", &fault->type);
    ngx_intuit_fault_member(error[0], "code", "Code", &fault->code);
    ngx_intuit_fault_member(error[0], "message", "Message", &fault->message);
    ngx_intuit_fault_member(error[0], "detail", "Detail", &fault->detail);

    if (fault->code.len == 0
        && ngx_intuit_json_integer(error[0], "code", &n) == NGX_OK)
    {
        p = ngx_pnalloc(pool, NGX_INT64_LEN);
        if (p == NULL) {
            return NGX_DECLINED;
        }

        fault->code.data = p;
        fault->code.len = ngx_sprintf(p, "%L", n) - p;
    }

    return NGX_OK;
}


static void
ngx_intuit_fault_member(const ngx_intuit_json_t *json, const char *lower,
    const char *upper, ngx_str_t *value)
{
    if (ngx_intuit_json_string(json, lower, value) != NGX_OK
        && ngx_intuit_json_string(json, upper, value) != NGX_OK)
    {
        ngx_str_null(value);
    }
}


/* no more of XML than these documents need: nothing is expanded or looked up */

static ngx_int_t
ngx_intuit_fault_xml(const ngx_str_t *text, ngx_intuit_fault_t *fault)
{
    ngx_uint_t        depth;
    ngx_intuit_tag_t  tag;

    tag.pos = text->data;
    tag.last = text->data + text->len;

    if (ngx_intuit_tag_next(&tag) != NGX_OK || tag.end) {
        return NGX_DECLINED;
    }

    if (ngx_intuit_tag_is(&tag, "IntuitResponse")
        && ngx_intuit_tag_next(&tag) != NGX_OK)
    {
        return NGX_DECLINED;
    }

    if (tag.end || !ngx_intuit_tag_is(&tag, "Fault")) {
        return NGX_DECLINED;
    }

    ngx_intuit_tag_attribute(&tag, "type", &fault->type);

    depth = 0;

    while (ngx_intuit_tag_next(&tag) == NGX_OK) {

        if (ngx_intuit_tag_is(&tag, "Error")) {

            if (tag.end) {
                return depth ? NGX_OK : NGX_DECLINED;
            }

            ngx_intuit_tag_attribute(&tag, "code", &fault->code);
            depth = 1;

        } else if (depth && !tag.end) {

            if (ngx_intuit_tag_is(&tag, "Message")) {
                ngx_intuit_tag_text(&tag, &fault->message);

            } else if (ngx_intuit_tag_is(&tag, "Detail")) {
                ngx_intuit_tag_text(&tag, &fault->detail);
            }
        }
    }

    return depth ? NGX_OK : NGX_DECLINED;
}


/* NGX_OK, or NGX_DONE: there is none that is whole */

static ngx_int_t
ngx_intuit_tag_next(ngx_intuit_tag_t *tag)
{
    u_char      *p, *start, quote;
    ngx_uint_t   plain;

    for ( ;; ) {

        start = ngx_strlchr(tag->pos, tag->last, '<');

        if (start == NULL) {
            tag->pos = tag->last;
            return NGX_DONE;
        }

        quote = '\0';
        plain = (start + 1 < tag->last
                 && (start[1] == '?' || start[1] == '!'));

        for (p = start + 1; p < tag->last; p++) {

            if (quote) {
                quote = (*p == quote) ? '\0' : quote;

            } else if (!plain && (*p == '"' || *p == '\'')) {
                quote = *p;

            } else if (*p == '>') {
                break;
            }
        }

        if (p == tag->last) {
            tag->pos = tag->last;
            return NGX_DONE;
        }

        tag->pos = p + 1;

        if (!plain) {
            ngx_intuit_tag_split(tag, start + 1, p);
            return NGX_OK;
        }
    }
}


static void
ngx_intuit_tag_split(ngx_intuit_tag_t *tag, u_char *p, u_char *last)
{
    tag->end = 0;

    if (p < last && *p == '/') {
        tag->end = 1;
        p++;
    }

    tag->name.data = p;

    while (p < last && *p > ' ' && *p != '/') {

        if (*p == ':') {
            tag->name.data = p + 1;
        }

        p++;
    }

    tag->name.len = p - tag->name.data;
    tag->attributes.data = p;
    tag->attributes.len = last - p;
}


static ngx_uint_t
ngx_intuit_tag_is(const ngx_intuit_tag_t *tag, const char *name)
{
    return tag->name.len == ngx_strlen(name)
           && ngx_memcmp(tag->name.data, name, tag->name.len) == 0;
}


static void
ngx_intuit_tag_attribute(const ngx_intuit_tag_t *tag, const char *name,
    ngx_str_t *value)
{
    size_t   len;
    u_char  *p, *last, *start, *end;

    ngx_str_null(value);

    len = ngx_strlen(name);
    p = tag->attributes.data;
    last = p + tag->attributes.len;

    while (p < last) {

        while (p < last && *p <= ' ') {
            p++;
        }

        start = p;

        while (p < last && *p > ' ' && *p != '=') {
            p++;
        }

        end = p;

        while (p < last && (*p <= ' ' || *p == '=')) {
            p++;
        }

        if (p == last || (*p != '"' && *p != '\'')) {
            continue;
        }

        value->data = p + 1;
        p = ngx_strlchr(value->data, last, *p);

        if (p == NULL) {
            break;
        }

        value->len = p - value->data;
        p++;

        if ((size_t) (end - start) == len
            && ngx_memcmp(start, name, len) == 0)
        {
            return;
        }
    }

    ngx_str_null(value);
}


static void
ngx_intuit_tag_text(const ngx_intuit_tag_t *tag, ngx_str_t *value)
{
    u_char  *p;

    p = ngx_strlchr(tag->pos, tag->last, '<');

    value->data = tag->pos;
    value->len = (p ? p : tag->last) - tag->pos;
}


void
ngx_intuit_fault_redact(ngx_str_t *body)
{
    ngx_str_t  text;

    ngx_intuit_fault_start(body, &text);

    if (text.len && text.data[0] == '<') {
        ngx_intuit_fault_redact_xml(&text);
        return;
    }

    ngx_intuit_fault_redact_json(&text);
}


/* strings that come after "detail":, all of a list or an object */

static void
ngx_intuit_fault_redact_json(const ngx_str_t *text)
{
    u_char      *p, *last, *start;
    ngx_uint_t   detail, depth;

    p = text->data;
    last = p + text->len;
    detail = 0;
    depth = 0;

    while (p < last) {

        if (*p != '"') {

            if (detail && (*p == '[' || *p == '{')) {
                depth++;

            } else if (depth) {
                depth -= (*p == ']' || *p == '}');
                detail = (depth != 0);

            } else if (*p == ',' || *p == '}' || *p == '{') {
                detail = 0;
            }

            p++;
            continue;
        }

        start = p + 1;
        p = ngx_intuit_fault_string(start, last);

        if (detail) {
            ngx_intuit_fault_mask(start, p);

        } else {
            detail = ngx_intuit_fault_detail(start, p);
        }

        /* past the quote */

        if (p < last) {
            p++;
        }
    }
}


static u_char *
ngx_intuit_fault_string(u_char *p, u_char *last)
{
    while (p < last && *p != '"') {
        p += (*p == '\\' && last - p > 1) ? 2 : 1;
    }

    return p;
}


/* "detail", with any of its letters escaped */

static ngx_uint_t
ngx_intuit_fault_detail(u_char *p, u_char *last)
{
    u_char       c;
    const char  *name;

    for (name = "detail"; p < last; name++) {

        p += ngx_intuit_fault_char(p, last, &c);

        if (*name == '\0' || (c | 0x20) != *name) {
            return 0;
        }
    }

    return *name == '\0';
}


/* all that is inside, be it CDATA with other tags */

static void
ngx_intuit_fault_redact_xml(const ngx_str_t *text)
{
    u_char            *p, *last, *bracket;
    ngx_intuit_tag_t   tag, end;

    tag.pos = text->data;
    tag.last = text->data + text->len;
    end.last = tag.last;

    while (ngx_intuit_tag_next(&tag) == NGX_OK) {

        if (tag.end
            || !ngx_intuit_fault_detail(tag.name.data,
                                        tag.name.data + tag.name.len)
            || *(tag.pos - 2) == '/')
        {
            continue;
        }

        p = tag.pos;

        do {
            last = ngx_strlcasestrn(p, tag.last, (u_char *) "</", 1);

            if (last == NULL) {
                last = tag.last;
                break;
            }

            p = last + 2;
            bracket = ngx_strlchr(p, tag.last, '>');
            ngx_intuit_tag_split(&end, last + 1, bracket ? bracket : tag.last);

        } while (!ngx_intuit_fault_detail(end.name.data,
                                          end.name.data + end.name.len));

        ngx_intuit_fault_mask(tag.pos, last);
        tag.pos = last;
    }
}


static void
ngx_intuit_fault_mask(u_char *p, u_char *last)
{
    u_char       c, *start;
    size_t       len;
    ngx_uint_t   n, letters, digits;

    while (p < last) {

        start = p;
        n = 0;
        letters = 0;
        digits = 0;

        for ( ;; ) {
            len = ngx_intuit_fault_char(p, last, &c);

            if (len == 0 || !ngx_intuit_fault_word(c)) {
                break;
            }

            if (c >= '0' && c <= '9') {
                digits = 1;

            } else if (c != '.' && c != '-' && c != '_') {
                letters = 1;
            }

            p += len;
            n++;
        }

        if (letters && digits && n >= NGX_INTUIT_FAULT_WORD) {
            ngx_memset(start, '*', p - start);
        }

        p += len;
    }
}


/*
 * The next one, its length, and what it reads as, which may be written as
 * several bytes: "\u0041", "&#x41;".  Zero: none of ASCII.
 */

static size_t
ngx_intuit_fault_char(u_char *p, u_char *last, u_char *c)
{
    size_t      len;
    u_char     *end;
    ngx_int_t   n;

    *c = '\0';

    if (p == last) {
        return 0;
    }

    n = *p;
    len = 1;

    if (*p == '\\' && last - p > 1) {
        len = (p[1] == 'u') ? 6 : 2;
        len = ngx_min(len, (size_t) (last - p));
        n = (len == 6) ? ngx_hextoi(p + 2, 4) : 0;

    } else if (*p == '&') {
        end = ngx_strlchr(p, last, ';');

        if (end && end - p < 10) {
            len = end - p + 1;
            n = 0;

            if (p[1] == '#') {
                n = ((p[2] | 0x20) == 'x') ? ngx_hextoi(p + 3, end - p - 3)
                                           : ngx_atoi(p + 2, end - p - 2);
            }
        }
    }

    *c = (n > 0 && n < 0x80) ? (u_char) n : '\0';

    return len;
}


static ngx_uint_t
ngx_intuit_fault_word(u_char c)
{
    return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z')
           || c == '.' || c == '-' || c == '_';
}
