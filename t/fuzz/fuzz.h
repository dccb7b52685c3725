/*
 * What the fuzz targets share.  A target is one file with one function,
 *
 *     static void fuzz(fuzz_t *f);
 *
 * that takes the input apart with fuzz_field() and fuzz_rest(), hands it to
 * the code under test, and states with must() what has to hold afterwards,
 * whatever the input is.  The sanitizers look after the memory.
 */

#ifndef _FUZZ_H_INCLUDED_
#define _FUZZ_H_INCLUDED_


#include <stdio.h>
#include <stdlib.h>

#include "ngx_intuit_stub.h"


typedef struct {
    ngx_pool_t     *pool;
    const u_char   *pos;
    const u_char   *last;
} fuzz_t;


#define must(cond)                                                            \
    if (!(cond)) {                                                            \
        fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__,     \
                #cond);                                                       \
        abort();                                                              \
    }


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz(fuzz_t *f);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_t  f;

    f.pool = ngx_intuit_stub_pool();
    f.pos = data;
    f.last = data + size;

    fuzz(&f);

    ngx_destroy_pool(f.pool);

    return 0;
}


/* 0 at the end */
static inline u_char
fuzz_byte(fuzz_t *f)
{
    return (f->pos < f->last) ? *f->pos++ : 0;
}


/* all that is left, in a block of exactly its length */
static inline ngx_str_t
fuzz_rest(fuzz_t *f)
{
    ngx_str_t  s;

    s = ngx_intuit_stub_mem(f->pool, f->pos, f->last - f->pos);
    f->pos = f->last;

    return s;
}


/* what comes before the next NUL byte; with none, all that is left */
static inline ngx_str_t
fuzz_field(fuzz_t *f)
{
    ngx_str_t      s;
    const u_char  *p;

    p = f->pos;

    while (p < f->last && *p != '\0') {
        p++;
    }

    s = ngx_intuit_stub_mem(f->pool, f->pos, p - f->pos);
    f->pos = (p < f->last) ? p + 1 : p;

    return s;
}


/* a NUL-terminated copy of the next field */
static inline char *
fuzz_cstr(fuzz_t *f)
{
    char       *p;
    ngx_str_t   s;

    s = fuzz_field(f);

    p = ngx_palloc(f->pool, s.len + 1);
    ngx_memcpy(p, s.data, s.len);
    p[s.len] = '\0';

    return p;
}


static inline ngx_uint_t
fuzz_same(const ngx_str_t *a, const ngx_str_t *b)
{
    return a->len == b->len
           && (a->len == 0 || ngx_memcmp(a->data, b->data, a->len) == 0);
}


/* 1: each byte is in low..high */
static inline ngx_uint_t
fuzz_bytes(const ngx_str_t *s, u_char low, u_char high)
{
    size_t  i;

    for (i = 0; i < s->len; i++) {
        if (s->data[i] < low || s->data[i] > high) {
            return 0;
        }
    }

    return 1;
}


static inline ngx_uint_t
fuzz_has(const ngx_str_t *s, u_char c)
{
    return s->len != 0 && memchr(s->data, c, s->len) != NULL;
}


/* what a parser may say, and it says why */
#define fuzz_answer(rc, reason)                                               \
    must((rc) == NGX_OK || (rc) == NGX_DECLINED);                             \
    must((rc) == NGX_OK || (reason) != NULL)


#endif /* _FUZZ_H_INCLUDED_ */
