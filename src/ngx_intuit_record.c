/*
 * What is kept: one versioned run of bytes for each record.
 *
 *   version (1 byte), kind (1 byte), then the structure's members in their
 *   order: times as 8 bytes (two's complement), flags as one byte, strings as
 *   2 bytes of length and the text, all numbers in network byte order; a pair
 *   of tokens is preceded by a flag, and 0 stands for an empty one; in a
 *   session a string that may be a part of the claims, which come before it,
 *   is 2 bytes of length and, if that is not 0, 2 bytes of where it begins
 *   there, plus 1, or 0 and the text
 *
 * A change of a record's layout needs a new version for that kind.  Older ones
 * are read as well: files of connections outlive an upgrade, and hosts with
 * different versions share sessions.  Version 3 has no flag before a pair; a
 * session of version 3 or 4 has realm, sub and email, in full, before the
 * claims, and all of userinfo, which is not packed.
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_intuit_record.h"


#define NGX_INTUIT_RECORD_VERSION       4
#define NGX_INTUIT_RECORD_PACKED        5       /* of sessions */
#define NGX_INTUIT_RECORD_OLDEST        3

#define NGX_INTUIT_RECORD_CONNECTION    'C'
#define NGX_INTUIT_RECORD_SESSION       'S'
#define NGX_INTUIT_RECORD_LOGIN         'L'

#define NGX_INTUIT_RECORD_TIME_LEN      8


/*
 * With pos == NULL a writer only counts, so that one function gives both the
 * size of a record and its bytes.
 */

typedef struct {
    u_char       *pos;
    size_t        len;
    ngx_uint_t    failed;
} ngx_intuit_writer_t;

typedef struct {
    u_char       *pos;
    u_char       *last;
    ngx_uint_t    failed;
    ngx_uint_t    version;
} ngx_intuit_reader_t;

typedef void (*ngx_intuit_record_write_pt)(ngx_intuit_writer_t *w,
    const void *record);


static ngx_int_t ngx_intuit_record_encode(ngx_pool_t *pool,
    ngx_intuit_record_write_pt write, const void *record, ngx_str_t *out);
static void ngx_intuit_write_connection(ngx_intuit_writer_t *w,
    const void *record);
static void ngx_intuit_write_session(ngx_intuit_writer_t *w,
    const void *record);
static void ngx_intuit_write_login(ngx_intuit_writer_t *w,
    const void *record);
static void ngx_intuit_write_pair(ngx_intuit_writer_t *w,
    const ngx_intuit_pair_t *pair);
static ngx_uint_t ngx_intuit_no_pair(const ngx_intuit_pair_t *pair);
static void ngx_intuit_write_head(ngx_intuit_writer_t *w, u_char version,
    u_char kind);
static void ngx_intuit_write_bytes(ngx_intuit_writer_t *w, const u_char *p,
    size_t len);
static void ngx_intuit_write_time(ngx_intuit_writer_t *w, time_t t);
static void ngx_intuit_write_part(ngx_intuit_writer_t *w, const ngx_str_t *s,
    const ngx_str_t *whole);
static void ngx_intuit_write_number(ngx_intuit_writer_t *w, size_t n);
static void ngx_intuit_write_str(ngx_intuit_writer_t *w, const ngx_str_t *s);

static ngx_inline void ngx_intuit_read_head(ngx_intuit_reader_t *r,
    const ngx_str_t *in, ngx_uint_t version, u_char kind);
static ngx_inline ngx_int_t ngx_intuit_read_end(ngx_intuit_reader_t *r);
static ngx_inline void ngx_intuit_read_none(ngx_intuit_pair_t *pair);
static ngx_inline void ngx_intuit_read_some(ngx_intuit_reader_t *r,
    ngx_intuit_pair_t *pair);
static void ngx_intuit_read_pair(ngx_intuit_reader_t *reader,
    ngx_intuit_pair_t *pair);
static ngx_inline void ngx_intuit_read_fail(ngx_intuit_reader_t *r);
static ngx_inline u_char *ngx_intuit_read_bytes(ngx_intuit_reader_t *r,
    size_t len);
static void ngx_intuit_read_copy(ngx_intuit_reader_t *r, u_char *dst,
    size_t len);
static ngx_inline void ngx_intuit_read_flag(ngx_intuit_reader_t *r,
    ngx_uint_t *flag);
static ngx_inline void ngx_intuit_read_time(ngx_intuit_reader_t *r,
    time_t *t);
static ngx_inline time_t ngx_intuit_record_time(u_char **pos);
static ngx_inline void ngx_intuit_read_part(ngx_intuit_reader_t *r,
    ngx_str_t *s, const ngx_str_t *whole);
static ngx_inline void ngx_intuit_read_number(ngx_intuit_reader_t *r,
    size_t *n);
static ngx_inline void ngx_intuit_read_str(ngx_intuit_reader_t *r,
    ngx_str_t *s);


ngx_int_t
ngx_intuit_connection_encode(ngx_pool_t *pool,
    const ngx_intuit_connection_t *c, ngx_str_t *out)
{
    return ngx_intuit_record_encode(pool, ngx_intuit_write_connection, c, out);
}


ngx_int_t
ngx_intuit_session_encode(ngx_pool_t *pool, const ngx_intuit_session_t *s,
    ngx_str_t *out)
{
    return ngx_intuit_record_encode(pool, ngx_intuit_write_session, s, out);
}


ngx_int_t
ngx_intuit_login_encode(ngx_pool_t *pool, const ngx_intuit_login_t *l,
    ngx_str_t *out)
{
    return ngx_intuit_record_encode(pool, ngx_intuit_write_login, l, out);
}


static ngx_int_t
ngx_intuit_record_encode(ngx_pool_t *pool, ngx_intuit_record_write_pt write,
    const void *record, ngx_str_t *out)
{
    ngx_intuit_writer_t  w;

    ngx_memzero(&w, sizeof(ngx_intuit_writer_t));

    write(&w, record);

    if (w.failed) {
        return NGX_ERROR;
    }

    out->data = ngx_pnalloc(pool, w.len);
    if (out->data == NULL) {
        return NGX_ERROR;
    }

    w.pos = out->data;

    write(&w, record);

    out->len = w.pos - out->data;

    return NGX_OK;
}


static void
ngx_intuit_write_connection(ngx_intuit_writer_t *w, const void *record)
{
    u_char                          dead;
    const ngx_intuit_connection_t  *c;

    c = record;
    dead = c->dead ? 1 : 0;

    ngx_intuit_write_head(w, NGX_INTUIT_RECORD_VERSION,
                          NGX_INTUIT_RECORD_CONNECTION);
    ngx_intuit_write_str(w, &c->realm);
    ngx_intuit_write_str(w, &c->company);
    ngx_intuit_write_pair(w, &c->current);
    ngx_intuit_write_pair(w, &c->spare);
    ngx_intuit_write_pair(w, &c->arrived);
    ngx_intuit_write_str(w, &c->renews);
    ngx_intuit_write_bytes(w, &dead, 1);
    ngx_intuit_write_time(w, c->retry_at);
    ngx_intuit_write_time(w, c->failures);
    ngx_intuit_write_time(w, c->maybe_sent);
    ngx_intuit_write_str(w, &c->error);
    ngx_intuit_write_str(w, &c->tid);
}


static void
ngx_intuit_write_session(ngx_intuit_writer_t *w, const void *record)
{
    const ngx_intuit_session_t  *s;

    s = record;

    ngx_intuit_write_head(w, NGX_INTUIT_RECORD_PACKED,
                          NGX_INTUIT_RECORD_SESSION);
    ngx_intuit_write_time(w, s->created);
    ngx_intuit_write_time(w, s->expires);
    ngx_intuit_write_str(w, &s->claims);
    ngx_intuit_write_number(w, s->shared);
    ngx_intuit_write_str(w, &s->userinfo);
    ngx_intuit_write_part(w, &s->realm, &s->claims);
    ngx_intuit_write_part(w, &s->sub, &s->claims);
    ngx_intuit_write_part(w, &s->email, &s->claims);
    ngx_intuit_write_str(w, &s->id_token);
    ngx_intuit_write_pair(w, &s->own);
    ngx_intuit_write_str(w, &s->login);
}


static void
ngx_intuit_write_login(ngx_intuit_writer_t *w, const void *record)
{
    const ngx_intuit_login_t  *l;

    l = record;

    ngx_intuit_write_head(w, NGX_INTUIT_RECORD_VERSION,
                          NGX_INTUIT_RECORD_LOGIN);
    ngx_intuit_write_time(w, l->created);
    ngx_intuit_write_bytes(w, l->state, sizeof(l->state));
    ngx_intuit_write_bytes(w, l->nonce, sizeof(l->nonce));
    ngx_intuit_write_bytes(w, l->verifier, sizeof(l->verifier));
    ngx_intuit_write_str(w, &l->target);
}


static void
ngx_intuit_write_pair(ngx_intuit_writer_t *w, const ngx_intuit_pair_t *pair)
{
    u_char  some;

    some = !ngx_intuit_no_pair(pair);

    ngx_intuit_write_bytes(w, &some, 1);

    if (!some) {
        return;
    }

    ngx_intuit_write_str(w, &pair->access_token);
    ngx_intuit_write_str(w, &pair->refresh_token);
    ngx_intuit_write_str(w, &pair->scope);
    ngx_intuit_write_str(w, &pair->sub);
    ngx_intuit_write_time(w, pair->issued);
    ngx_intuit_write_time(w, pair->refreshed);
    ngx_intuit_write_time(w, pair->expires);
    ngx_intuit_write_time(w, pair->refresh_expires);
    ngx_intuit_write_time(w, pair->hard_expires);
}


static ngx_uint_t
ngx_intuit_no_pair(const ngx_intuit_pair_t *pair)
{
    return pair->access_token.len == 0
           && pair->refresh_token.len == 0
           && pair->scope.len == 0
           && pair->sub.len == 0
           && pair->issued == 0
           && pair->refreshed == 0
           && pair->expires == 0
           && pair->refresh_expires == 0
           && pair->hard_expires == 0;
}


static void
ngx_intuit_write_head(ngx_intuit_writer_t *w, u_char version, u_char kind)
{
    u_char  head[2];

    head[0] = version;
    head[1] = kind;

    ngx_intuit_write_bytes(w, head, sizeof(head));
}


static void
ngx_intuit_write_bytes(ngx_intuit_writer_t *w, const u_char *p, size_t len)
{
    w->len += len;

    if (w->pos != NULL && len != 0) {
        w->pos = ngx_cpymem(w->pos, p, len);
    }
}


static void
ngx_intuit_write_time(ngx_intuit_writer_t *w, time_t t)
{
    u_char      bytes[8];
    uint64_t    n;
    ngx_uint_t  i;

    n = (uint64_t) (int64_t) t;

    for (i = 8; i-- > 0; /* void */ ) {
        bytes[i] = (u_char) (n & 0xff);
        n >>= 8;
    }

    ngx_intuit_write_bytes(w, bytes, sizeof(bytes));
}


static void
ngx_intuit_write_part(ngx_intuit_writer_t *w, const ngx_str_t *s,
    const ngx_str_t *whole)
{
    size_t     n;
    uintptr_t  p, start;

    ngx_intuit_write_number(w, s->len);

    if (s->len == 0) {
        return;
    }

    p = (uintptr_t) s->data;
    start = (uintptr_t) whole->data;

    n = whole->len && p >= start && p + s->len <= start + whole->len
        ? p - start + 1 : 0;

    ngx_intuit_write_number(w, n);

    if (n == 0) {
        ngx_intuit_write_bytes(w, s->data, s->len);
    }
}


static void
ngx_intuit_write_str(ngx_intuit_writer_t *w, const ngx_str_t *s)
{
    ngx_intuit_write_number(w, s->len);
    ngx_intuit_write_bytes(w, s->data, s->len);
}


static void
ngx_intuit_write_number(ngx_intuit_writer_t *w, size_t n)
{
    u_char  bytes[2];

    if (n > NGX_INTUIT_RECORD_STRING_MAX) {
        w->failed = 1;
    }

    bytes[0] = (u_char) (n >> 8);
    bytes[1] = (u_char) (n & 0xff);

    ngx_intuit_write_bytes(w, bytes, sizeof(bytes));
}


ngx_int_t
ngx_intuit_connection_decode(const ngx_str_t *in, ngx_intuit_connection_t *c)
{
    u_char               *p;
    ngx_intuit_reader_t   r;

    ngx_intuit_read_head(&r, in, NGX_INTUIT_RECORD_VERSION,
                         NGX_INTUIT_RECORD_CONNECTION);
    ngx_intuit_read_str(&r, &c->realm);
    ngx_intuit_read_str(&r, &c->company);
    ngx_intuit_read_some(&r, &c->current);
    ngx_intuit_read_some(&r, &c->spare);
    ngx_intuit_read_some(&r, &c->arrived);
    ngx_intuit_read_str(&r, &c->renews);
    ngx_intuit_read_flag(&r, &c->dead);

    p = ngx_intuit_read_bytes(&r, 3 * NGX_INTUIT_RECORD_TIME_LEN);

    if (p != NULL) {
        c->retry_at = ngx_intuit_record_time(&p);
        c->failures = ngx_intuit_record_time(&p);
        c->maybe_sent = ngx_intuit_record_time(&p);
    }

    ngx_intuit_read_str(&r, &c->error);
    ngx_intuit_read_str(&r, &c->tid);

    return ngx_intuit_read_end(&r);
}


ngx_int_t
ngx_intuit_session_decode(const ngx_str_t *in, ngx_intuit_session_t *s)
{
    u_char               *p;
    ngx_intuit_reader_t   r;

    ngx_intuit_read_head(&r, in, NGX_INTUIT_RECORD_PACKED,
                         NGX_INTUIT_RECORD_SESSION);

    p = ngx_intuit_read_bytes(&r, 2 * NGX_INTUIT_RECORD_TIME_LEN);

    if (p != NULL) {
        s->created = ngx_intuit_record_time(&p);
        s->expires = ngx_intuit_record_time(&p);
    }

    if (r.version == NGX_INTUIT_RECORD_PACKED) {
        ngx_intuit_read_str(&r, &s->claims);
        ngx_intuit_read_number(&r, &s->shared);
        ngx_intuit_read_str(&r, &s->userinfo);
        ngx_intuit_read_part(&r, &s->realm, &s->claims);
        ngx_intuit_read_part(&r, &s->sub, &s->claims);
        ngx_intuit_read_part(&r, &s->email, &s->claims);

    } else {
        s->shared = 0;
        ngx_intuit_read_str(&r, &s->realm);
        ngx_intuit_read_str(&r, &s->sub);
        ngx_intuit_read_str(&r, &s->email);
        ngx_intuit_read_str(&r, &s->claims);
        ngx_intuit_read_str(&r, &s->userinfo);
    }

    ngx_intuit_read_str(&r, &s->id_token);
    ngx_intuit_read_some(&r, &s->own);
    ngx_intuit_read_str(&r, &s->login);

    return ngx_intuit_read_end(&r);
}


ngx_int_t
ngx_intuit_login_decode(const ngx_str_t *in, ngx_intuit_login_t *l)
{
    ngx_intuit_reader_t  r;

    ngx_memzero(l, sizeof(ngx_intuit_login_t));

    ngx_intuit_read_head(&r, in, NGX_INTUIT_RECORD_VERSION,
                         NGX_INTUIT_RECORD_LOGIN);
    ngx_intuit_read_time(&r, &l->created);
    ngx_intuit_read_copy(&r, l->state, sizeof(l->state));
    ngx_intuit_read_copy(&r, l->nonce, sizeof(l->nonce));
    ngx_intuit_read_copy(&r, l->verifier, sizeof(l->verifier));
    ngx_intuit_read_str(&r, &l->target);

    return ngx_intuit_read_end(&r);
}


/*
 * A reader that has failed is at its end and stays there, so that nothing more
 * can be read, not even an empty string: the decoders look once, at the end.
 * They copy the reader into a variable of their own, which compilers keep in
 * registers: records are read with each request.
 */

static ngx_inline void
ngx_intuit_read_head(ngx_intuit_reader_t *r, const ngx_str_t *in,
    ngx_uint_t version, u_char kind)
{
    u_char  *p;

    r->pos = in->data;
    r->last = in->len ? in->data + in->len : in->data;
    r->failed = 0;
    r->version = 0;

    p = ngx_intuit_read_bytes(r, 2);

    if (p == NULL) {
        return;
    }

    r->version = p[0];

    if (p[0] < NGX_INTUIT_RECORD_OLDEST || p[0] > version || p[1] != kind) {
        ngx_intuit_read_fail(r);
    }
}


static ngx_inline ngx_int_t
ngx_intuit_read_end(ngx_intuit_reader_t *r)
{
    return (r->failed || r->pos != r->last) ? NGX_DECLINED : NGX_OK;
}


static void
ngx_intuit_read_pair(ngx_intuit_reader_t *reader, ngx_intuit_pair_t *pair)
{
    u_char               *p;
    ngx_uint_t            some;
    ngx_intuit_reader_t   r;

    r = *reader;
    some = 1;

    if (r.version != NGX_INTUIT_RECORD_OLDEST) {
        ngx_intuit_read_flag(&r, &some);
    }

    ngx_intuit_read_str(&r, &pair->access_token);
    ngx_intuit_read_str(&r, &pair->refresh_token);
    ngx_intuit_read_str(&r, &pair->scope);
    ngx_intuit_read_str(&r, &pair->sub);

    p = ngx_intuit_read_bytes(&r, 5 * NGX_INTUIT_RECORD_TIME_LEN);

    if (p != NULL) {
        pair->issued = ngx_intuit_record_time(&p);
        pair->refreshed = ngx_intuit_record_time(&p);
        pair->expires = ngx_intuit_record_time(&p);
        pair->refresh_expires = ngx_intuit_record_time(&p);
        pair->hard_expires = ngx_intuit_record_time(&p);

        /* there is one way to write a record */
        if (r.version != NGX_INTUIT_RECORD_OLDEST && ngx_intuit_no_pair(pair)) {
            ngx_intuit_read_fail(&r);
        }
    }

    *reader = r;
}


/* what compilers make of ngx_memzero() here takes twice as long */

static ngx_inline void
ngx_intuit_read_none(ngx_intuit_pair_t *pair)
{
    ngx_str_null(&pair->access_token);
    ngx_str_null(&pair->refresh_token);
    ngx_str_null(&pair->scope);
    ngx_str_null(&pair->sub);

    pair->issued = 0;
    pair->refreshed = 0;
    pair->expires = 0;
    pair->refresh_expires = 0;
    pair->hard_expires = 0;
}


static ngx_inline void
ngx_intuit_read_some(ngx_intuit_reader_t *r, ngx_intuit_pair_t *pair)
{
    if (r->pos != r->last && *r->pos == 0
        && r->version != NGX_INTUIT_RECORD_OLDEST)
    {
        r->pos++;
        ngx_intuit_read_none(pair);
        return;
    }

    ngx_intuit_read_pair(r, pair);
}


static ngx_inline void
ngx_intuit_read_fail(ngx_intuit_reader_t *r)
{
    r->failed = 1;
    r->pos = r->last;
}


static ngx_inline u_char *
ngx_intuit_read_bytes(ngx_intuit_reader_t *r, size_t len)
{
    u_char  *p;

    if ((size_t) (r->last - r->pos) < len) {
        ngx_intuit_read_fail(r);
        return NULL;
    }

    p = r->pos;
    r->pos += len;

    return p;
}


static void
ngx_intuit_read_copy(ngx_intuit_reader_t *r, u_char *dst, size_t len)
{
    u_char  *p;

    p = ngx_intuit_read_bytes(r, len);

    if (p != NULL) {
        ngx_memcpy(dst, p, len);
    }
}


static ngx_inline void
ngx_intuit_read_flag(ngx_intuit_reader_t *r, ngx_uint_t *flag)
{
    u_char  *p;

    p = ngx_intuit_read_bytes(r, 1);

    if (p == NULL || *p > 1) {
        ngx_intuit_read_fail(r);
        return;
    }

    *flag = *p;
}


static ngx_inline void
ngx_intuit_read_time(ngx_intuit_reader_t *r, time_t *t)
{
    u_char  *p;

    p = ngx_intuit_read_bytes(r, NGX_INTUIT_RECORD_TIME_LEN);

    if (p != NULL) {
        *t = ngx_intuit_record_time(&p);
    }
}


/* an empty one, or a text that follows, is written in one way only */

static ngx_inline void
ngx_intuit_read_part(ngx_intuit_reader_t *r, ngx_str_t *s,
    const ngx_str_t *whole)
{
    size_t  len, place;

    len = 0;
    place = 0;

    ngx_intuit_read_number(r, &len);

    if (len) {
        ngx_intuit_read_number(r, &place);
    }

    s->len = len;

    if (place == 0) {
        s->data = ngx_intuit_read_bytes(r, len);
        return;
    }

    s->data = whole->data + place - 1;

    if (place - 1 + len > whole->len) {
        ngx_intuit_read_fail(r);
    }
}


static ngx_inline void
ngx_intuit_read_number(ngx_intuit_reader_t *r, size_t *n)
{
    u_char  *p;

    p = ngx_intuit_read_bytes(r, 2);

    if (p != NULL) {
        *n = ((size_t) p[0] << 8) | p[1];
    }
}


/* compilers make one load of this */

static ngx_inline time_t
ngx_intuit_record_time(u_char **pos)
{
    u_char    *p;
    uint64_t   n;

    p = *pos;
    *pos = p + NGX_INTUIT_RECORD_TIME_LEN;

    n = (uint64_t) p[0] << 56 | (uint64_t) p[1] << 48
        | (uint64_t) p[2] << 40 | (uint64_t) p[3] << 32
        | (uint64_t) p[4] << 24 | (uint64_t) p[5] << 16
        | (uint64_t) p[6] << 8 | (uint64_t) p[7];

    return (time_t) (int64_t) n;
}


static ngx_inline void
ngx_intuit_read_str(ngx_intuit_reader_t *r, ngx_str_t *s)
{
    u_char  *p;
    size_t   len, left;

    p = r->pos;
    left = r->last - p;

    if (left >= 2) {
        len = ((size_t) p[0] << 8) | p[1];

        if (left - 2 >= len) {
            s->data = p + 2;
            s->len = len;
            r->pos = p + 2 + len;
            return;
        }
    }

    ngx_str_null(s);
    ngx_intuit_read_fail(r);
}
