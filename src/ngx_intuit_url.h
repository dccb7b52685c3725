/*
 * URLs and paths (RFC 3986), read strictly.
 */

#ifndef _NGX_INTUIT_URL_H_INCLUDED_
#define _NGX_INTUIT_URL_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_intuit_args.h"


#define NGX_INTUIT_TARGET_SIZE    1024


typedef struct {
    ngx_str_t    scheme;      /* "http" or "https", lower case */
    ngx_str_t    host;        /* without brackets; lower case not enforced */
    ngx_str_t    authority;   /* host[:port] as written */
    ngx_str_t    origin;      /* scheme://authority */
    ngx_str_t    path;        /* "/" at least when the URL has none */
    ngx_str_t    args;        /* without "?" */
    in_port_t    port;        /* default filled in */
    unsigned     https:1;
    unsigned     loopback:1;  /* localhost, *.localhost, 127.0.0.0/8, ::1 */
    unsigned     literal:1;   /* host is an IP address */
    unsigned     has_args:1;
} ngx_intuit_url_t;


/*
 * Splits an absolute http(s) URL.  Refused: user info, a fragment, white
 * space, control bytes, bytes above 0x7e, backslash, an empty host, a port
 * outside 1..65535.  A host is an IPv6 address in brackets, an IPv4 address
 * of four decimal numbers, or letters, digits, "-" and "_" in labels that are
 * not empty (so no trailing dot) and the last of which is not a number.
 * The parts point into url, except scheme, a literal, and path, which may be
 * a literal "/".  NGX_OK or NGX_DECLINED with *reason (a literal).
 */
ngx_int_t ngx_intuit_url_parse(const ngx_str_t *url, ngx_intuit_url_t *u,
    const char **reason);

/*
 * May a browser be sent to this target on our own origin?  Only a path with
 * an optional query: begins with "/" not followed by "/" or "\"; 1..1024
 * bytes, all 0x21..0x7e, none of them backslash, no "#"; and, in its path
 * part, no segment "." or ".." (nor "..;x") and no empty segment at the front,
 * also after percent-decoding (an escape of "/", "\" or a control byte in the
 * path is refused; malformed escapes are refused).  1 yes, 0 no.
 */
ngx_uint_t ngx_intuit_return_target(const ngx_str_t *target);

/*
 * Is this request path safe to hand to an upstream that may read it
 * differently from nginx?  Refused: not beginning with "/", "//" anywhere,
 * segments "." and "..", backslash, ";" , any percent escape of a byte that is
 * "/", "\", ".", "%" or a control byte, escapes of bytes above 0x7f that are
 * not well-formed UTF-8, malformed escapes, bytes outside 0x21..0x7e, "?" and
 * "#".  1 yes, 0 no.
 */
ngx_uint_t ngx_intuit_api_path(const ngx_str_t *path);

/*
 * The company in an API path "/v3/company/<id>/..." (or ending after <id>).
 * id is "-" or 1..20 digits; id points into path.
 * NGX_OK, or NGX_DECLINED: the path has another shape.
 */
ngx_int_t ngx_intuit_api_realm(const ngx_str_t *path, ngx_str_t *id);

/* 1: 1..20 decimal digits. */
ngx_uint_t ngx_intuit_realm_valid(const ngx_str_t *realm);

/* Length of the well-formed UTF-8 sequence at p (RFC 3629), before last;
 * 0: there is none. */
size_t ngx_intuit_utf8_len(const u_char *p, const u_char *last);


#endif /* _NGX_INTUIT_URL_H_INCLUDED_ */
