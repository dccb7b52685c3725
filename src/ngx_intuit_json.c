/*
 * JSON from strangers, read through jansson under limits.
 *
 * ngx_intuit_json_t is jansson's json_t under another name; this file is
 * where the one becomes the other.
 */

#include "ngx_intuit_json.h"
#include "ngx_intuit_url.h"
#include <jansson.h>


/* the whole numbers that a double holds exactly */
#define NGX_INTUIT_JSON_WHOLE    ((int64_t) 1 << 53)

/* a number as text: sign and 19 digits */
#define NGX_INTUIT_JSON_NUMBER   (sizeof("-9223372036854775808") - 1)


static ngx_int_t ngx_intuit_json_limits(const ngx_str_t *text);
static u_char *ngx_intuit_json_string_end(u_char *p, u_char *last);
static ngx_uint_t ngx_intuit_json_empty(u_char *p, u_char *last);
static void ngx_intuit_json_free(void *data);
static ngx_int_t ngx_intuit_json_member(const ngx_intuit_json_t *json,
    const char *name, json_t **value);
static ngx_int_t ngx_intuit_json_decimal(const json_t *value, int64_t *n);
static void ngx_intuit_json_str(const json_t *value, ngx_str_t *s);
static json_t *ngx_intuit_json_lookup(const json_t *json,
    const ngx_str_t *name);
static ngx_uint_t ngx_intuit_json_alike(const ngx_str_t *a,
    const char *b);
static ngx_int_t ngx_intuit_json_text(ngx_pool_t *pool, const json_t *value,
    ngx_str_t *text);
static ngx_int_t ngx_intuit_json_write(ngx_pool_t *pool, const json_t *value,
    size_t flags, ngx_str_t *text);
static ngx_inline ngx_uint_t ngx_intuit_json_plain(u_char c);
static size_t ngx_intuit_json_escape_one(u_char *dst, const u_char **p,
    const u_char *last);


ngx_intuit_json_t *
ngx_intuit_json_parse(ngx_pool_t *pool, const ngx_str_t *text)
{
    char                *data;
    json_t              *json;
    json_error_t         error;
    ngx_pool_cleanup_t  *cln;

    if (ngx_intuit_json_limits(text) != NGX_OK) {
        return NULL;
    }

    cln = ngx_pool_cleanup_add(pool, 0);
    if (cln == NULL) {
        return NULL;
    }

    data = (char *) text->data;

    json = json_loadb(data, text->len, JSON_REJECT_DUPLICATES, &error);

    if (json == NULL && json_error_code(&error) == json_error_numeric_overflow)
    {
        /*
         * A whole number beyond 64 bits in some member must not make the
         * others unreadable; as a real it is out of the getters' range.
         */
        json = json_loadb(data, text->len,
                          JSON_REJECT_DUPLICATES|JSON_DECODE_INT_AS_REAL,
                          &error);
    }

    if (json == NULL) {
        return NULL;
    }

    cln->handler = ngx_intuit_json_free;
    cln->data = json;

    return json_is_object(json) ? (ngx_intuit_json_t *) json : NULL;
}


/*
 * Counts without regard to the grammar, which is jansson's task: as many
 * values as this finds is the most that jansson may build before it sees an
 * error, and in a correct document it is their exact number.
 */

static ngx_int_t
ngx_intuit_json_limits(const ngx_str_t *text)
{
    u_char      *p, *last;
    ngx_uint_t   depth, values;

    if (text->len == 0 || text->len > NGX_INTUIT_JSON_SIZE) {
        return NGX_DECLINED;
    }

    depth = 0;
    values = 1;
    last = text->data + text->len;

    for (p = text->data; p < last; p++) {

        switch (*p) {

        case '"':
            p = ngx_intuit_json_string_end(p + 1, last);
            if (p == NULL) {
                return NGX_DECLINED;
            }

            break;

        case '{':
        case '[':
            if (++depth > NGX_INTUIT_JSON_DEPTH) {
                return NGX_DECLINED;
            }

            if (!ngx_intuit_json_empty(p + 1, last)) {
                values++;
            }

            break;

        case '}':
        case ']':
            if (depth-- == 0) {
                return NGX_DECLINED;
            }

            break;

        case ',':
            values++;
            break;
        }

        if (values > NGX_INTUIT_JSON_VALUES) {
            return NGX_DECLINED;
        }
    }

    return (depth == 0) ? NGX_OK : NGX_DECLINED;
}


/* The closing quote; NULL: there is none. */

static u_char *
ngx_intuit_json_string_end(u_char *p, u_char *last)
{
    for ( /* void */ ; p < last; p++) {

        if (*p == '"') {
            return p;
        }

        if (*p == '\\') {
            p++;
        }
    }

    return NULL;
}


static ngx_uint_t
ngx_intuit_json_empty(u_char *p, u_char *last)
{
    while (p < last && (*p == ' ' || *p == '\t' || *p == CR || *p == LF)) {
        p++;
    }

    return p < last && (*p == '}' || *p == ']');
}


static void
ngx_intuit_json_free(void *data)
{
    json_decref(data);
}


ngx_int_t
ngx_intuit_json_dump(ngx_pool_t *pool, const ngx_intuit_json_t *json,
    ngx_str_t *text)
{
    return ngx_intuit_json_write(pool, (const json_t *) json, JSON_COMPACT,
                                 text);
}


ngx_uint_t
ngx_intuit_json_has(const ngx_intuit_json_t *json, const char *name)
{
    return json_object_get((const json_t *) json, name) != NULL;
}


static ngx_int_t
ngx_intuit_json_member(const ngx_intuit_json_t *json, const char *name,
    json_t **value)
{
    *value = json_object_get((const json_t *) json, name);

    if (*value == NULL || json_is_null(*value)) {
        return NGX_DECLINED;
    }

    return NGX_OK;
}


ngx_int_t
ngx_intuit_json_string(const ngx_intuit_json_t *json, const char *name,
    ngx_str_t *value)
{
    json_t  *v;

    if (ngx_intuit_json_member(json, name, &v) != NGX_OK) {
        return NGX_DECLINED;
    }

    if (!json_is_string(v)) {
        return NGX_ERROR;
    }

    ngx_intuit_json_str(v, value);

    return NGX_OK;
}


ngx_int_t
ngx_intuit_json_integer(const ngx_intuit_json_t *json, const char *name,
    int64_t *value)
{
    double    d;
    json_t   *v;
    int64_t   n;

    if (ngx_intuit_json_member(json, name, &v) != NGX_OK) {
        return NGX_DECLINED;
    }

    if (json_is_real(v)) {
        d = json_real_value(v);

        /* the range first: converting what does not fit is undefined */

        if (!(d >= -NGX_INTUIT_JSON_WHOLE && d <= NGX_INTUIT_JSON_WHOLE)) {
            return NGX_ERROR;
        }

        n = (int64_t) d;

        if ((double) n != d) {
            return NGX_ERROR;
        }

    } else if (json_is_integer(v)) {
        n = json_integer_value(v);

    } else if (ngx_intuit_json_decimal(v, &n) != NGX_OK) {
        return NGX_ERROR;
    }

    if (n < -NGX_INTUIT_JSON_WHOLE || n > NGX_INTUIT_JSON_WHOLE) {
        return NGX_ERROR;
    }

    *value = n;

    return NGX_OK;
}


static ngx_int_t
ngx_intuit_json_decimal(const json_t *value, int64_t *n)
{
    size_t       i, len;
    ngx_uint_t   minus;
    const char  *p;

    if (!json_is_string(value)) {
        return NGX_ERROR;
    }

    p = json_string_value(value);
    len = json_string_length(value);

    minus = (len && *p == '-');

    if (minus) {
        p++;
        len--;
    }

    /* 2^53 has 16 digits: no overflow below */

    if (len == 0 || len > 16) {
        return NGX_ERROR;
    }

    for (*n = 0, i = 0; i < len; i++) {
        if (p[i] < '0' || p[i] > '9') {
            return NGX_ERROR;
        }

        *n = *n * 10 + (p[i] - '0');
    }

    if (minus) {
        *n = -*n;
    }

    return NGX_OK;
}


ngx_int_t
ngx_intuit_json_bool(const ngx_intuit_json_t *json, const char *name,
    ngx_uint_t *value)
{
    json_t  *v;

    if (ngx_intuit_json_member(json, name, &v) != NGX_OK) {
        return NGX_DECLINED;
    }

    if (!json_is_boolean(v)) {
        return NGX_ERROR;
    }

    *value = json_is_true(v) ? 1 : 0;

    return NGX_OK;
}


ngx_int_t
ngx_intuit_json_object(const ngx_intuit_json_t *json, const char *name,
    ngx_intuit_json_t **value)
{
    json_t  *v;

    if (ngx_intuit_json_member(json, name, &v) != NGX_OK) {
        return NGX_DECLINED;
    }

    if (!json_is_object(v)) {
        return NGX_ERROR;
    }

    *value = (ngx_intuit_json_t *) v;

    return NGX_OK;
}


ngx_int_t
ngx_intuit_json_strings(ngx_pool_t *pool, const ngx_intuit_json_t *json,
    const char *name, ngx_array_t *values)
{
    json_t     *v, *element;
    size_t      i, n;
    ngx_str_t  *s;

    if (ngx_intuit_json_member(json, name, &v) != NGX_OK) {
        return NGX_DECLINED;
    }

    if (!json_is_string(v) && !json_is_array(v)) {
        return NGX_ERROR;
    }

    n = json_is_array(v) ? json_array_size(v) : 1;

    if (ngx_array_init(values, pool, n ? n : 1, sizeof(ngx_str_t)) != NGX_OK) {
        return NGX_ERROR;
    }

    for (i = 0; i < n; i++) {
        element = json_is_array(v) ? json_array_get(v, i) : v;

        if (!json_is_string(element)) {
            return NGX_ERROR;
        }

        s = ngx_array_push(values);
        if (s == NULL) {
            return NGX_ERROR;
        }

        ngx_intuit_json_str(element, s);
    }

    return NGX_OK;
}


ngx_int_t
ngx_intuit_json_objects(ngx_pool_t *pool, const ngx_intuit_json_t *json,
    const char *name, ngx_array_t *values)
{
    size_t               i, n;
    json_t              *v, *element;
    ngx_intuit_json_t  **object;

    if (ngx_intuit_json_member(json, name, &v) != NGX_OK) {
        return NGX_DECLINED;
    }

    if (!json_is_array(v)) {
        return NGX_ERROR;
    }

    n = json_array_size(v);

    if (ngx_array_init(values, pool, n ? n : 1, sizeof(ngx_intuit_json_t *))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    for (i = 0; i < n; i++) {
        element = json_array_get(v, i);

        if (!json_is_object(element)) {
            continue;
        }

        object = ngx_array_push(values);
        if (object == NULL) {
            return NGX_ERROR;
        }

        *object = (ngx_intuit_json_t *) element;
    }

    return NGX_OK;
}


static void
ngx_intuit_json_str(const json_t *value, ngx_str_t *s)
{
    s->data = (u_char *) json_string_value(value);
    s->len = json_string_length(value);
}


ngx_int_t
ngx_intuit_json_claim(ngx_pool_t *pool, const ngx_intuit_json_t *json,
    const ngx_str_t *name, ngx_str_t *value)
{
    size_t      i;
    json_t     *v;
    ngx_str_t   text;

    v = ngx_intuit_json_lookup((const json_t *) json, name);

    if (v == NULL || json_is_null(v)) {
        return NGX_DECLINED;
    }

    if (ngx_intuit_json_text(pool, v, &text) != NGX_OK) {
        return NGX_ERROR;
    }

    for (i = 0; i < text.len; i++) {
        if (text.data[i] < 0x20 || text.data[i] == 0x7f) {
            return NGX_DECLINED;
        }
    }

    *value = text;

    return NGX_OK;
}


static json_t *
ngx_intuit_json_lookup(const json_t *json, const ngx_str_t *name)
{
    void        *iter;
    json_t      *object, *found;
    const char  *key;

    found = NULL;

    /* jansson's iterators want it so; nothing is changed */
    object = (json_t *) json;

    for (iter = json_object_iter(object);
         iter;
         iter = json_object_iter_next(object, iter))
    {
        key = json_object_iter_key(iter);

        if (ngx_strlen(key) == name->len
            && (name->len == 0
                || ngx_memcmp(key, name->data, name->len) == 0))
        {
            return json_object_iter_value(iter);
        }

        /* of several inexact ones the first: jansson keeps the order */

        if (found == NULL && ngx_intuit_json_alike(name, key)) {
            found = json_object_iter_value(iter);
        }
    }

    return found;
}


static ngx_uint_t
ngx_intuit_json_alike(const ngx_str_t *a, const char *b)
{
    size_t      i;
    ngx_uint_t  some;

    some = 0;

    for (i = 0; i < a->len; i++) {

        if (a->data[i] == '_') {
            continue;
        }

        while (*b == '_') {
            b++;
        }

        if (ngx_tolower(a->data[i]) != ngx_tolower(*b)) {
            return 0;
        }

        /* a NUL in the name would be equal to the end of b */

        if (*b++ == '\0') {
            return 0;
        }

        some = 1;
    }

    while (*b == '_') {
        b++;
    }

    return some && *b == '\0';
}


static ngx_int_t
ngx_intuit_json_text(ngx_pool_t *pool, const json_t *value, ngx_str_t *text)
{
    double     d;
    int64_t    n;
    u_char     buf[NGX_INTUIT_JSON_NUMBER];
    ngx_str_t  s;

    switch (json_typeof(value)) {

    case JSON_STRING:
        ngx_intuit_json_str(value, &s);
        break;

    case JSON_TRUE:
        ngx_str_set(&s, "true");
        break;

    case JSON_FALSE:
        ngx_str_set(&s, "false");
        break;

    case JSON_INTEGER:
        n = json_integer_value(value);
        s.data = buf;
        s.len = ngx_sprintf(buf, "%L", n) - buf;
        break;

    case JSON_REAL:
        d = json_real_value(value);

        if (d >= -NGX_INTUIT_JSON_WHOLE && d <= NGX_INTUIT_JSON_WHOLE
            && (double) (int64_t) d == d)
        {
            n = (int64_t) d;
            s.data = buf;
            s.len = ngx_sprintf(buf, "%L", n) - buf;
            break;
        }

        /* 15 digits: 0.1 stays 0.1 */

        return ngx_intuit_json_write(pool, value, JSON_REAL_PRECISION(15),
                                     text);

    default:
        return ngx_intuit_json_write(pool, value, JSON_COMPACT, text);
    }

    text->data = ngx_pnalloc(pool, s.len);
    if (text->data == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(text->data, s.data, s.len);
    text->len = s.len;

    return NGX_OK;
}


static ngx_int_t
ngx_intuit_json_write(ngx_pool_t *pool, const json_t *value, size_t flags,
    ngx_str_t *text)
{
    size_t   len;
    u_char  *p;

    flags |= JSON_ENCODE_ANY;

    len = json_dumpb(value, NULL, 0, flags);
    if (len == 0) {
        return NGX_ERROR;
    }

    p = ngx_pnalloc(pool, len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    if (json_dumpb(value, (char *) p, len, flags) != len) {
        return NGX_ERROR;
    }

    text->data = p;
    text->len = len;

    return NGX_OK;
}


size_t
ngx_intuit_json_escaped_len(const ngx_str_t *s)
{
    size_t         len;
    u_char         buf[NGX_INTUIT_JSON_ESCAPE];
    const u_char  *p, *last;

    len = 0;
    p = s->data;
    last = p + s->len;

    while (p < last) {

        if (ngx_intuit_json_plain(*p)) {
            p++;
            len++;
            continue;
        }

        len += ngx_intuit_json_escape_one(buf, &p, last);
    }

    return len;
}


u_char *
ngx_intuit_json_escape(u_char *dst, const ngx_str_t *s)
{
    const u_char  *p, *last;

    p = s->data;
    last = p + s->len;

    while (p < last) {

        if (ngx_intuit_json_plain(*p)) {
            *dst++ = *p++;
            continue;
        }

        dst += ngx_intuit_json_escape_one(dst, &p, last);
    }

    return dst;
}


/* nearly all are: letters, digits, blanks */

static ngx_inline ngx_uint_t
ngx_intuit_json_plain(u_char c)
{
    return c >= '?' ? (c < 0x7f && c != '\\')
                    : (c >= ' ' && c != '"' && c != '&' && c != '<'
                       && c != '>');
}


static size_t
ngx_intuit_json_escape_one(u_char *dst, const u_char **p, const u_char *last)
{
    u_char         c;
    size_t         n;
    const u_char  *src;

    src = *p;
    c = *src;

    if (c >= 0x80) {
        n = ngx_intuit_utf8_len(src, last);

        if (n == 0) {
            *p = src + 1;
            ngx_memcpy(dst, "\xef\xbf\xbd", 3);
            return 3;
        }

        *p = src + n;
        ngx_memcpy(dst, src, n);
        return n;
    }

    *p = src + 1;

    if (c == '"' || c == '\\') {
        dst[0] = '\\';
        dst[1] = c;
        return 2;
    }

    if (c < 0x20 || c == 0x7f || c == '<' || c == '>' || c == '&') {
        return ngx_sprintf(dst, "\\u00%02xd", (int) c) - dst;
    }

    dst[0] = c;

    return 1;
}
