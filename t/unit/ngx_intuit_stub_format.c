/*
 * nginx's formatted output, for the pure layer's tests:
 *
 *     %[0][width][u|x|X]{i,z,d,D,l,L,O,T,M} %s %*s %*xs %V %c %p %Z %N %%
 *
 * Anything else aborts.
 */

#include "ngx_intuit_stub.h"


typedef struct {
    int       width;
    int       zero;
    int       sign;
    int       hex;               /* 1: lower case, 2: upper case */
    int       star;
    size_t    len;               /* of "*" */
} ngx_intuit_stub_spec_t;

/* a va_list may be an array, and then no pointer to a parameter fits it */
typedef struct {
    va_list   list;
} ngx_intuit_stub_args_t;


static const char *ngx_intuit_stub_spec(const char *fmt,
    ngx_intuit_stub_spec_t *spec, ngx_intuit_stub_args_t *args);
static u_char *ngx_intuit_stub_put(u_char *buf, u_char *last, char conversion,
    ngx_intuit_stub_spec_t *spec, ngx_intuit_stub_args_t *args);
static int64_t ngx_intuit_stub_arg(char conversion,
    ngx_intuit_stub_spec_t *spec, ngx_intuit_stub_args_t *args);
static u_char *ngx_intuit_stub_string(u_char *buf, u_char *last,
    ngx_intuit_stub_spec_t *spec, u_char *p);
static u_char *ngx_intuit_stub_text(u_char *buf, u_char *last, u_char *p,
    size_t len);
static u_char *ngx_intuit_stub_number(u_char *buf, u_char *last, uint64_t n,
    const ngx_intuit_stub_spec_t *spec);


u_char * ngx_cdecl
ngx_sprintf(u_char *buf, const char *fmt, ...)
{
    u_char   *p;
    va_list   args;

    va_start(args, fmt);
    p = ngx_vslprintf(buf, (u_char *) -1, fmt, args);
    va_end(args);

    return p;
}


u_char * ngx_cdecl
ngx_snprintf(u_char *buf, size_t max, const char *fmt, ...)
{
    u_char   *p;
    va_list   args;

    va_start(args, fmt);
    p = ngx_vslprintf(buf, buf + max, fmt, args);
    va_end(args);

    return p;
}


u_char * ngx_cdecl
ngx_slprintf(u_char *buf, u_char *last, const char *fmt, ...)
{
    u_char   *p;
    va_list   args;

    va_start(args, fmt);
    p = ngx_vslprintf(buf, last, fmt, args);
    va_end(args);

    return p;
}


u_char *
ngx_vslprintf(u_char *buf, u_char *last, const char *fmt, va_list args)
{
    ngx_intuit_stub_args_t  a;
    ngx_intuit_stub_spec_t  spec;

    va_copy(a.list, args);

    for ( /* void */ ; *fmt && buf < last; fmt++) {

        if (*fmt != '%') {
            *buf++ = *fmt;
            continue;
        }

        fmt = ngx_intuit_stub_spec(fmt + 1, &spec, &a);
        buf = ngx_intuit_stub_put(buf, last, *fmt, &spec, &a);
    }

    va_end(a.list);

    return buf;
}


/* What stands between "%" and the conversion, which is returned. */

static const char *
ngx_intuit_stub_spec(const char *fmt, ngx_intuit_stub_spec_t *spec,
    ngx_intuit_stub_args_t *args)
{
    memset(spec, 0, sizeof(ngx_intuit_stub_spec_t));

    spec->zero = (*fmt == '0');
    spec->sign = 1;

    while (*fmt >= '0' && *fmt <= '9') {
        spec->width = spec->width * 10 + (*fmt++ - '0');
    }

    for ( ;; fmt++) {

        switch (*fmt) {

        case 'u':
            spec->sign = 0;
            continue;

        case 'x':
        case 'X':
            spec->hex = (*fmt == 'x') ? 1 : 2;
            spec->sign = 0;
            continue;

        case '*':
            spec->star = 1;
            spec->len = va_arg(args->list, size_t);
            continue;
        }

        return fmt;
    }
}


static u_char *
ngx_intuit_stub_put(u_char *buf, u_char *last, char conversion,
    ngx_intuit_stub_spec_t *spec, ngx_intuit_stub_args_t *args)
{
    u_char      c;
    int64_t     n;
    ngx_str_t  *v;

    switch (conversion) {

    case '%':
        return ngx_intuit_stub_text(buf, last, (u_char *) "%", 1);

    case 'Z':
        return ngx_intuit_stub_text(buf, last, (u_char *) "", 1);

    case 'N':
        return ngx_intuit_stub_text(buf, last, (u_char *) "\n", 1);

    case 'c':
        c = (u_char) va_arg(args->list, int);
        return ngx_intuit_stub_text(buf, last, &c, 1);

    case 'V':
        v = va_arg(args->list, ngx_str_t *);
        return ngx_intuit_stub_text(buf, last, v->data, v->len);

    case 's':
        return ngx_intuit_stub_string(buf, last, spec,
                                      va_arg(args->list, u_char *));
    }

    n = ngx_intuit_stub_arg(conversion, spec, args);

    if (spec->sign && n < 0) {
        buf = ngx_intuit_stub_text(buf, last, (u_char *) "-", 1);
        n = (int64_t) (0 - (uint64_t) n);
    }

    return ngx_intuit_stub_number(buf, last, (uint64_t) n, spec);
}


static int64_t
ngx_intuit_stub_arg(char conversion, ngx_intuit_stub_spec_t *spec,
    ngx_intuit_stub_args_t *args)
{
    switch (conversion) {

    case 'i':
    case 'z':
        return va_arg(args->list, ngx_int_t);

    case 'd':
    case 'D':
        if (spec->sign) {
            return va_arg(args->list, int);
        }

        return va_arg(args->list, unsigned int);

    case 'l':
        return va_arg(args->list, long);

    case 'L':
    case 'O':
    case 'T':
    case 'M':
        return va_arg(args->list, int64_t);

    case 'p':
        spec->hex = 2;
        spec->sign = 0;
        return (intptr_t) va_arg(args->list, void *);
    }

    fprintf(stderr, "the stub has no format \"%%%c\"\n", conversion);
    abort();
}


static u_char *
ngx_intuit_stub_string(u_char *buf, u_char *last,
    ngx_intuit_stub_spec_t *spec, u_char *p)
{
    if (!spec->star) {
        spec->len = strlen((char *) p);
    }

    if (!spec->hex) {
        return ngx_intuit_stub_text(buf, last, p, spec->len);
    }

    spec->width = 2;
    spec->zero = 1;

    while (spec->len-- && (size_t) (last - buf) >= 2) {
        buf = ngx_intuit_stub_number(buf, last, *p++, spec);
    }

    return buf;
}


static u_char *
ngx_intuit_stub_text(u_char *buf, u_char *last, u_char *p, size_t len)
{
    len = ngx_min(len, (size_t) (last - buf));

    if (len) {
        memcpy(buf, p, len);
    }

    return buf + len;
}


static u_char *
ngx_intuit_stub_number(u_char *buf, u_char *last, uint64_t n,
    const ngx_intuit_stub_spec_t *spec)
{
    u_char       text[64], *p;
    uint64_t     base;
    const char  *digits;

    p = text + sizeof(text);
    base = spec->hex ? 16 : 10;
    digits = (spec->hex == 2) ? "0123456789ABCDEF" : "0123456789abcdef";

    do {
        *--p = (u_char) digits[n % base];
        n /= base;
    } while (n);

    while (text + sizeof(text) - p < spec->width && p > text) {
        *--p = spec->zero ? '0' : ' ';
    }

    return ngx_intuit_stub_text(buf, last, p, text + sizeof(text) - p);
}
