/*
 * RESP2: requests out, answers in.
 */

#include "ngx_intuit_resp.h"


/* digits that an int64_t always has room for */
#define NGX_INTUIT_RESP_DIGITS  18


typedef struct {
    ngx_str_t                word;
    ngx_intuit_resp_kind_e   kind;
} ngx_intuit_resp_word_t;


static ngx_int_t ngx_intuit_resp_value(u_char **pos, const u_char *last,
    size_t max, ngx_intuit_resp_value_t *value);
static ngx_int_t ngx_intuit_resp_string(u_char **pos, const u_char *last,
    size_t max, ngx_intuit_resp_value_t *value);
static ngx_int_t ngx_intuit_resp_line(u_char **pos, const u_char *last,
    ngx_str_t *line);
static ngx_int_t ngx_intuit_resp_number(const ngx_str_t *line,
    int64_t *number);


static const ngx_intuit_resp_word_t  ngx_intuit_resp_words[] = {
    { ngx_string("READONLY"), NGX_INTUIT_RESP_ELSEWHERE },
    { ngx_string("LOADING"), NGX_INTUIT_RESP_ELSEWHERE },
    { ngx_string("MASTERDOWN"), NGX_INTUIT_RESP_ELSEWHERE },
    { ngx_string("MISCONF"), NGX_INTUIT_RESP_ELSEWHERE },
    { ngx_string("NOREPLICAS"), NGX_INTUIT_RESP_ELSEWHERE },
    { ngx_string("BUSY"), NGX_INTUIT_RESP_ELSEWHERE },
    { ngx_string("NOAUTH"), NGX_INTUIT_RESP_REFUSED },
    { ngx_string("WRONGPASS"), NGX_INTUIT_RESP_REFUSED },
    { ngx_string("NOPERM"), NGX_INTUIT_RESP_REFUSED },
    { ngx_string("OOM"), NGX_INTUIT_RESP_FULL },
    { ngx_string("MOVED"), NGX_INTUIT_RESP_CLUSTER },
    { ngx_string("ASK"), NGX_INTUIT_RESP_CLUSTER },
    { ngx_string("CROSSSLOT"), NGX_INTUIT_RESP_CLUSTER },
    { ngx_string("CLUSTERDOWN"), NGX_INTUIT_RESP_CLUSTER },
    { ngx_string("NOSCRIPT"), NGX_INTUIT_RESP_SCRIPT },
    { ngx_null_string, NGX_INTUIT_RESP_WRONG }
};


ngx_int_t
ngx_intuit_resp_request(ngx_pool_t *pool, const ngx_str_t *args, ngx_uint_t n,
    ngx_str_t *out)
{
    u_char      *p;
    size_t       len;
    ngx_uint_t   i;

    len = sizeof("*" CRLF) - 1 + NGX_INT_T_LEN;

    for (i = 0; i < n; i++) {
        len += sizeof("$" CRLF CRLF) - 1 + NGX_SIZE_T_LEN + args[i].len;
    }

    p = ngx_pnalloc(pool, len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    out->data = p;

    p = ngx_sprintf(p, "*%ui" CRLF, n);

    for (i = 0; i < n; i++) {
        p = ngx_sprintf(p, "$%uz" CRLF, args[i].len);

        if (args[i].len) {
            p = ngx_cpymem(p, args[i].data, args[i].len);
        }

        *p++ = CR;
        *p++ = LF;
    }

    out->len = p - out->data;

    return NGX_OK;
}


ngx_int_t
ngx_intuit_resp_parse(u_char **pos, const u_char *last, size_t max,
    ngx_intuit_resp_t *resp)
{
    u_char      *p;
    ngx_int_t    rc;
    ngx_uint_t   i;

    p = *pos;
    resp->nitems = 0;

    rc = ngx_intuit_resp_value(&p, last, max, &resp->value);
    if (rc != NGX_OK) {
        return rc;
    }

    if (resp->value.type == NGX_INTUIT_RESP_ARRAY) {

        for (i = 0; i < (ngx_uint_t) resp->value.number; i++) {

            rc = ngx_intuit_resp_value(&p, last, max, &resp->items[i]);
            if (rc != NGX_OK) {
                return rc;
            }

            if (resp->items[i].type == NGX_INTUIT_RESP_ARRAY) {
                return NGX_DECLINED;
            }
        }

        resp->nitems = i;
    }

    *pos = p;

    return NGX_OK;
}


static ngx_int_t
ngx_intuit_resp_value(u_char **pos, const u_char *last, size_t max,
    ngx_intuit_resp_value_t *value)
{
    u_char      type;
    ngx_int_t   rc;
    ngx_str_t   line;

    value->number = 0;
    ngx_str_null(&value->text);

    if (*pos == last) {
        return NGX_AGAIN;
    }

    type = **pos;

    if (type != '+' && type != '-' && type != ':' && type != '$'
        && type != '*')
    {
        return NGX_DECLINED;
    }

    (*pos)++;

    rc = ngx_intuit_resp_line(pos, last, &line);
    if (rc != NGX_OK) {
        return rc;
    }

    if (type == '+' || type == '-') {
        value->type = (type == '+') ? NGX_INTUIT_RESP_STATUS
                                    : NGX_INTUIT_RESP_ERROR;
        value->text = line;
        return NGX_OK;
    }

    if (ngx_intuit_resp_number(&line, &value->number) != NGX_OK) {
        return NGX_DECLINED;
    }

    if (type == ':') {
        value->type = NGX_INTUIT_RESP_NUMBER;
        return NGX_OK;
    }

    if (value->number == -1) {
        value->type = NGX_INTUIT_RESP_NIL;
        value->number = 0;
        return NGX_OK;
    }

    if (value->number < 0) {
        return NGX_DECLINED;
    }

    if (type == '$') {
        return ngx_intuit_resp_string(pos, last, max, value);
    }

    value->type = NGX_INTUIT_RESP_ARRAY;

    return value->number > NGX_INTUIT_RESP_ITEMS ? NGX_DECLINED : NGX_OK;
}


static ngx_int_t
ngx_intuit_resp_string(u_char **pos, const u_char *last, size_t max,
    ngx_intuit_resp_value_t *value)
{
    u_char  *p;
    size_t   len, left;

    if ((uint64_t) value->number > max) {
        return NGX_DECLINED;
    }

    len = (size_t) value->number;
    left = last - *pos;
    p = *pos + len;

    if (left <= len) {
        return NGX_AGAIN;
    }

    if (*p != CR || (left > len + 1 && p[1] != LF)) {
        return NGX_DECLINED;
    }

    if (left < len + 2) {
        return NGX_AGAIN;
    }

    value->type = NGX_INTUIT_RESP_STRING;
    value->number = 0;
    value->text.data = *pos;
    value->text.len = len;

    *pos = p + 2;

    return NGX_OK;
}


static ngx_int_t
ngx_intuit_resp_line(u_char **pos, const u_char *last, ngx_str_t *line)
{
    u_char  *p;

    for (p = *pos; p < last; p++) {

        if (*p == LF || p - *pos > NGX_INTUIT_RESP_LINE) {
            return NGX_DECLINED;
        }

        if (*p != CR) {
            continue;
        }

        if (p + 1 == last) {
            return NGX_AGAIN;
        }

        if (p[1] != LF) {
            return NGX_DECLINED;
        }

        line->data = *pos;
        line->len = p - *pos;

        *pos = p + 2;

        return NGX_OK;
    }

    return NGX_AGAIN;
}


/* as the servers write it, and in no other way */

static ngx_int_t
ngx_intuit_resp_number(const ngx_str_t *line, int64_t *number)
{
    size_t    i, minus;
    int64_t   n;

    minus = (line->len && line->data[0] == '-');

    if (line->len == minus || line->len - minus > NGX_INTUIT_RESP_DIGITS
        || (line->data[minus] == '0' && line->len > 1))
    {
        return NGX_DECLINED;
    }

    n = 0;

    for (i = minus; i < line->len; i++) {

        if (line->data[i] < '0' || line->data[i] > '9') {
            return NGX_DECLINED;
        }

        n = n * 10 + (line->data[i] - '0');
    }

    *number = minus ? -n : n;

    return NGX_OK;
}


ngx_intuit_resp_kind_e
ngx_intuit_resp_kind(const ngx_str_t *error)
{
    size_t                         len;
    const ngx_intuit_resp_word_t  *w;

    for (len = 0; len < error->len && error->data[len] != ' '; len++) {
        /* void */
    }

    for (w = ngx_intuit_resp_words; w->word.len; w++) {
        if (w->word.len == len
            && ngx_memcmp(w->word.data, error->data, len) == 0)
        {
            break;
        }
    }

    return w->kind;
}
