/*
 * Header values: cookies (RFC 6265), media types, identity names, times.
 */

#ifndef _NGX_INTUIT_HEADER_H_INCLUDED_
#define _NGX_INTUIT_HEADER_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


#define NGX_INTUIT_RETRY_MAX  600      /* s that a Retry-After may ask for */


/* cookies by name */
typedef struct {
    ngx_str_t     name;         /* empty: none */
    ngx_uint_t    prefix;       /* 1: every name that begins so */
} ngx_intuit_cookie_name_t;


/*
 * Walks the pairs of one Cookie header value.  *pos starts at 0 and is moved.
 * Pairs are separated by ";" only; blanks around name and value are dropped;
 * a pair without "=" has an empty name and the text as value; a pair that
 * begins with "=" has an empty name (never matches ours).  Quotes are bytes
 * like any other.  Pairs of nothing but blanks are passed over.
 * NGX_OK, or NGX_DONE at the end.
 */
ngx_int_t ngx_intuit_cookie_next(const ngx_str_t *header, size_t *pos,
    ngx_str_t *name, ngx_str_t *value);

/* 1: one of n names; 0: none.  An empty name never is. */
ngx_uint_t ngx_intuit_cookie_named(const ngx_str_t *name,
    const ngx_intuit_cookie_name_t *names, ngx_uint_t n);

/*
 * Removes every pair whose name is one of n, and leaves all other bytes as
 * they were, but for the separator of the removed pair.  A nameless pair is
 * never removed.  Works in place: *header gets shorter.  Returns the number of
 * pairs removed.
 */
ngx_uint_t ngx_intuit_cookie_strip(ngx_str_t *header,
    const ngx_intuit_cookie_name_t *names, ngx_uint_t n);

/*
 * Does the Accept value admit this media type ("text/html") by name?
 * Wildcards and q=0 do not count.  Compared without case.  1 yes, 0 no.
 */
ngx_uint_t ngx_intuit_accepts(const ngx_str_t *accept, const char *type);

/*
 * Is this the name of a header by which applications take a user's identity
 * (X-User, X-Email, X-Forwarded-User, X-Remote-User, X-Auth-Request-..., ...)
 * or one of our own (X-Intuit-...), in any case and with "_" or "." in place
 * of "-"?  1 yes, 0 no.
 */
ngx_uint_t ngx_intuit_identity_header(const ngx_str_t *name);

/* The same folding, against one lower-case name with "-": 1 equal. */
ngx_uint_t ngx_intuit_header_is(const ngx_str_t *name, const char *lower);

/*
 * E-mail rules: "user@example.com" (whole address) or "@example.com" (any
 * user of exactly that domain).  Without case; an address with any number of
 * "@" but one, with a control byte, blank, comma, or a byte above 0x7e never
 * matches.  1 yes, 0 no.
 */
ngx_uint_t ngx_intuit_email_matches(const ngx_str_t *email,
    const ngx_str_t *rule);

/* HTML text and attribute escaping of & < > " '; bytes that are not UTF-8
 * and control bytes become "?".  Returns the end. */
size_t ngx_intuit_html_escaped_len(const ngx_str_t *s);
u_char *ngx_intuit_html_escape(u_char *dst, const ngx_str_t *s);

/*
 * Retry-After (RFC 9110, section 10.2.3), seconds or a date: how many seconds
 * from now, at most NGX_INTUIT_RETRY_MAX.  0: it cannot be understood, or the
 * time has come.
 */
time_t ngx_intuit_retry_after(const ngx_str_t *value, time_t now);

/* For log lines: at most max bytes, control bytes, quotes, backslashes and
 * bytes above 0x7e as "?".  The copy lives in pool; on lack of memory *out is
 * empty. */
void ngx_intuit_log_safe(ngx_pool_t *pool, const ngx_str_t *s, size_t max,
    ngx_str_t *out);


/*
 * 1: by its first letter the name is no identity header's, nor Authorization or
 * Cookie; 0: it may be.  For nearly all headers no more has to be looked at.
 */
static ngx_inline ngx_uint_t
ngx_intuit_header_plain(const ngx_str_t *name)
{
    static const uint32_t  others = ~(1U << ('a' - '`') | 1U << ('c' - '`')
                                      | 1U << ('o' - '`') | 1U << ('r' - '`')
                                      | 1U << ('t' - '`') | 1U << ('x' - '`'));

    return name->len == 0
           || name->data[0] < 'A'
           || (others >> (name->data[0] & 0x1f) & 1);
}


#endif /* _NGX_INTUIT_HEADER_H_INCLUDED_ */
