/*
 * URLs and paths (RFC 3986), read strictly.
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_intuit_url.h"


static const char *ngx_intuit_url_bytes(const ngx_str_t *url);
static ngx_int_t ngx_intuit_url_scheme(const ngx_str_t *url,
    ngx_intuit_url_t *u);
static const char *ngx_intuit_url_authority(ngx_intuit_url_t *u);
static ngx_int_t ngx_intuit_url_port(u_char *p, u_char *last,
    in_port_t *port);
static const char *ngx_intuit_url_name(ngx_intuit_url_t *u);
static ngx_uint_t ngx_intuit_url_numeric(u_char *p, u_char *last);
static const char *ngx_intuit_url_address(ngx_intuit_url_t *u, int family);

static ngx_uint_t ngx_intuit_plain_path(const ngx_str_t *path,
    ngx_uint_t strict);
static ngx_uint_t ngx_intuit_escape_allowed(ngx_intuit_byte_t *b,
    ngx_uint_t strict);


ngx_int_t
ngx_intuit_url_parse(const ngx_str_t *url, ngx_intuit_url_t *u,
    const char **reason)
{
    u_char  *p, *last;

    ngx_memzero(u, sizeof(ngx_intuit_url_t));

    *reason = ngx_intuit_url_bytes(url);
    if (*reason != NULL) {
        return NGX_DECLINED;
    }

    if (ngx_intuit_url_scheme(url, u) != NGX_OK) {
        *reason = "it does not begin with \"https://\" or \"http://\"";
        return NGX_DECLINED;
    }

    last = url->data + url->len;
    u->authority.data = url->data + u->scheme.len + sizeof("://") - 1;

    for (p = u->authority.data; p < last; p++) {
        if (*p == '/' || *p == '?') {
            break;
        }
    }

    u->authority.len = p - u->authority.data;
    u->origin.data = url->data;
    u->origin.len = p - url->data;

    *reason = ngx_intuit_url_authority(u);
    if (*reason != NULL) {
        return NGX_DECLINED;
    }

    ngx_str_set(&u->path, "/");

    if (p < last && *p == '/') {
        u->path.data = p;

        while (p < last && *p != '?') {
            p++;
        }

        u->path.len = p - u->path.data;
    }

    if (p < last) {
        u->has_args = 1;
        u->args.data = p + 1;
        u->args.len = last - u->args.data;
    }

    return NGX_OK;
}


static const char *
ngx_intuit_url_bytes(const ngx_str_t *url)
{
    size_t  i;

    for (i = 0; i < url->len; i++) {

        if (url->data[i] < 0x21 || url->data[i] > 0x7e) {
            return "it has white space, a control byte or a byte above 0x7e";
        }

        if (url->data[i] == '\\') {
            return "it has a backslash";
        }

        if (url->data[i] == '#') {
            return "it has a fragment";
        }
    }

    return NULL;
}


static ngx_int_t
ngx_intuit_url_scheme(const ngx_str_t *url, ngx_intuit_url_t *u)
{
    size_t      i;
    ngx_uint_t  n;
    ngx_str_t  *scheme;

    static ngx_str_t  schemes[] = {
        ngx_string("http"),
        ngx_string("https")
    };

    for (n = 0; n < 2; n++) {
        scheme = &schemes[n];

        if (url->len < scheme->len + sizeof("://") - 1) {
            continue;
        }

        for (i = 0; i < scheme->len; i++) {
            if (ngx_tolower(url->data[i]) != scheme->data[i]) {
                break;
            }
        }

        if (i < scheme->len
            || ngx_memcmp(url->data + i, "://", sizeof("://") - 1) != 0)
        {
            continue;
        }

        u->scheme = *scheme;
        u->https = n;
        u->port = n ? 443 : 80;

        return NGX_OK;
    }

    return NGX_DECLINED;
}


static const char *
ngx_intuit_url_authority(ngx_intuit_url_t *u)
{
    u_char      *p, *last, *host;
    ngx_uint_t   brackets;

    p = u->authority.data;
    last = p + u->authority.len;

    if (u->authority.len && ngx_strlchr(p, last, '@') != NULL) {
        return "it has user information (\"@\")";
    }

    brackets = (p < last && *p == '[');

    if (brackets) {
        host = p + 1;
        p = ngx_strlchr(host, last, ']');

        if (p == NULL) {
            return "its host has no closing \"]\"";
        }

        u->host.len = p - host;
        p++;

    } else {
        host = p;

        while (p < last && *p != ':') {
            p++;
        }

        u->host.len = p - host;
    }

    u->host.data = host;

    if (u->host.len == 0) {
        return "it has no host";
    }

    if (p < last
        && (*p != ':' || ngx_intuit_url_port(p + 1, last, &u->port) != NGX_OK))
    {
        return "its port is not a number of 1 to 65535";
    }

    if (brackets) {
        return ngx_intuit_url_address(u, AF_INET6);
    }

    return ngx_intuit_url_name(u);
}


static ngx_int_t
ngx_intuit_url_port(u_char *p, u_char *last, in_port_t *port)
{
    ngx_uint_t  n;

    if (p == last || last - p > 5 || *p == '0') {
        return NGX_DECLINED;
    }

    for (n = 0; p < last; p++) {

        if (*p < '0' || *p > '9') {
            return NGX_DECLINED;
        }

        n = n * 10 + (*p - '0');
    }

    if (n > 65535) {
        return NGX_DECLINED;
    }

    *port = (in_port_t) n;

    return NGX_OK;
}


static const char *
ngx_intuit_url_name(ngx_intuit_url_t *u)
{
    size_t   i;
    u_char  *p, *last, *label;

    static const u_char  localhost[] = "localhost";

    label = u->host.data;
    last = u->host.data + u->host.len;

    for (p = label; p < last; p++) {

        if (*p == '.') {
            if (p == label) {
                return "its host has an empty label";
            }

            label = p + 1;
            continue;
        }

        if (!ngx_intuit_unreserved(*p) || *p == '~') {
            return "its host has a byte that no host name has";
        }
    }

    if (label == last) {
        return "its host has an empty label";
    }

    /*
     * A last label that is a number makes browsers and resolvers read the
     * whole host as an IPv4 address, in spellings that they do not agree on
     * (127.1, 0x7f000001, 017700000001): only four decimal numbers will do.
     */

    if (ngx_intuit_url_numeric(label, last)) {
        return ngx_intuit_url_address(u, AF_INET);
    }

    if (last - label != sizeof(localhost) - 1) {
        return NULL;
    }

    for (i = 0; i < sizeof(localhost) - 1; i++) {
        if (ngx_tolower(label[i]) != localhost[i]) {
            return NULL;
        }
    }

    u->loopback = 1;

    return NULL;
}


static ngx_uint_t
ngx_intuit_url_numeric(u_char *p, u_char *last)
{
    if (last - p >= 2 && p[0] == '0' && (p[1] | 0x20) == 'x') {

        for (p += 2; p < last; p++) {
            if (ngx_intuit_hex_digit(*p) == NGX_ERROR) {
                return 0;
            }
        }

        return 1;
    }

    for ( /* void */ ; p < last; p++) {
        if (*p < '0' || *p > '9') {
            return 0;
        }
    }

    return 1;
}


static const char *
ngx_intuit_url_address(ngx_intuit_url_t *u, int family)
{
    char              text[INET6_ADDRSTRLEN];
    struct in_addr    in;
    struct in6_addr   in6;

    if (u->host.len >= sizeof(text)) {
        return "its host is a malformed IP address";
    }

    ngx_memcpy(text, u->host.data, u->host.len);
    text[u->host.len] = '\0';

    u->literal = 1;

    if (family == AF_INET) {
        if (inet_pton(AF_INET, text, &in) != 1) {
            return "its host is a malformed IP address";
        }

        u->loopback = ((ntohl(in.s_addr) >> 24) == 127);

        return NULL;
    }

    if (inet_pton(AF_INET6, text, &in6) != 1) {
        return "its host is a malformed IP address";
    }

    u->loopback = IN6_IS_ADDR_LOOPBACK(&in6) ? 1 : 0;

    return NULL;
}


ngx_uint_t
ngx_intuit_return_target(const ngx_str_t *target)
{
    size_t     i;
    ngx_str_t  path;

    if (target->len == 0 || target->len > NGX_INTUIT_TARGET_SIZE) {
        return 0;
    }

    if (target->data[0] != '/'
        || (target->len > 1 && target->data[1] == '/'))
    {
        return 0;
    }

    path = *target;
    path.len = 0;

    for (i = 0; i < target->len; i++) {

        if (target->data[i] < 0x21
            || target->data[i] > 0x7e
            || target->data[i] == '\\'
            || target->data[i] == '#')
        {
            return 0;
        }

        if (target->data[i] == '?' && path.len == 0) {
            path.len = i;
        }
    }

    if (path.len == 0) {
        path.len = target->len;
    }

    return ngx_intuit_plain_path(&path, 0);
}


ngx_uint_t
ngx_intuit_api_path(const ngx_str_t *path)
{
    size_t  i;
    u_char  c, previous;

    if (path->len == 0 || path->data[0] != '/') {
        return 0;
    }

    previous = 0;

    for (i = 0; i < path->len; i++) {
        c = path->data[i];

        if (c < 0x21 || c > 0x7e
            || c == '\\' || c == ';' || c == '?' || c == '#'
            || (c == '/' && previous == '/'))
        {
            return 0;
        }

        previous = c;
    }

    return ngx_intuit_plain_path(path, 1);
}


/*
 * Escapes and dot segments.  Some servers cut path parameters off before they
 * look for dot segments, so "..;x" is taken for "..".
 */

static ngx_uint_t
ngx_intuit_plain_path(const ngx_str_t *path, ngx_uint_t strict)
{
    size_t             dots;
    ngx_int_t          rc;
    ngx_uint_t         only_dots;
    ngx_intuit_byte_t  b;

    b.pos = path->data;
    b.last = path->data + path->len;

    dots = 0;
    only_dots = 0;

    for ( ;; ) {
        rc = ngx_intuit_next_byte(&b);

        if (rc == NGX_DECLINED) {
            return 0;
        }

        if (rc == NGX_DONE) {
            break;
        }

        if (b.escaped && !ngx_intuit_escape_allowed(&b, strict)) {
            return 0;
        }

        if (b.byte == '.' && only_dots) {
            dots++;
            continue;
        }

        if (b.byte == '/' || b.byte == ';') {

            if (only_dots && (dots == 1 || dots == 2)) {
                return 0;
            }
        }

        only_dots = (b.byte == '/');
        dots = 0;
    }

    return !(only_dots && (dots == 1 || dots == 2));
}


static ngx_uint_t
ngx_intuit_escape_allowed(ngx_intuit_byte_t *b, ngx_uint_t strict)
{
    u_char              utf8[4];
    ngx_uint_t          n, len;
    ngx_intuit_byte_t   next;

    if (b->byte < 0x20 || b->byte == 0x7f
        || b->byte == '/' || b->byte == '\\')
    {
        return 0;
    }

    if (!strict) {
        return 1;
    }

    if (b->byte == '.' || b->byte == '%') {
        return 0;
    }

    if (b->byte < 0x80) {
        return 1;
    }

    /* an overlong sequence may be a "/" to the upstream */

    next = *b;
    utf8[0] = b->byte;

    for (n = 1; n < 4; n++) {

        if (ngx_intuit_next_byte(&next) != NGX_OK || !next.escaped) {
            break;
        }

        utf8[n] = next.byte;
    }

    len = ngx_intuit_utf8_len(utf8, utf8 + n);

    if (len == 0) {
        return 0;
    }

    b->pos += 3 * (len - 1);

    return 1;
}


size_t
ngx_intuit_utf8_len(const u_char *p, const u_char *last)
{
    u_char  low, high;
    size_t  i, len;

    if (p == last) {
        return 0;
    }

    if (p[0] < 0x80) {
        return 1;
    }

    /* the second byte's range excludes overlong forms and surrogates */

    low = 0x80;
    high = 0xbf;

    if (p[0] >= 0xc2 && p[0] <= 0xdf) {
        len = 2;

    } else if (p[0] >= 0xe0 && p[0] <= 0xef) {
        len = 3;
        low = (p[0] == 0xe0) ? 0xa0 : 0x80;
        high = (p[0] == 0xed) ? 0x9f : 0xbf;

    } else if (p[0] >= 0xf0 && p[0] <= 0xf4) {
        len = 4;
        low = (p[0] == 0xf0) ? 0x90 : 0x80;
        high = (p[0] == 0xf4) ? 0x8f : 0xbf;

    } else {
        return 0;
    }

    if ((size_t) (last - p) < len || p[1] < low || p[1] > high) {
        return 0;
    }

    for (i = 2; i < len; i++) {
        if (p[i] < 0x80 || p[i] > 0xbf) {
            return 0;
        }
    }

    return len;
}


ngx_int_t
ngx_intuit_api_realm(const ngx_str_t *path, ngx_str_t *id)
{
    u_char     *p, *last;
    ngx_str_t   realm;

    static const char  prefix[] = "/v3/company/";

    if (path->len < sizeof(prefix)
        || ngx_memcmp(path->data, prefix, sizeof(prefix) - 1) != 0)
    {
        return NGX_DECLINED;
    }

    p = path->data + sizeof(prefix) - 1;
    last = path->data + path->len;

    realm.data = p;

    while (p < last && *p != '/') {
        p++;
    }

    realm.len = p - realm.data;

    if (!(realm.len == 1 && realm.data[0] == '-')
        && !ngx_intuit_realm_valid(&realm))
    {
        return NGX_DECLINED;
    }

    *id = realm;

    return NGX_OK;
}


ngx_uint_t
ngx_intuit_realm_valid(const ngx_str_t *realm)
{
    size_t  i;

    if (realm->len == 0 || realm->len > 20) {
        return 0;
    }

    for (i = 0; i < realm->len; i++) {
        if (realm->data[i] < '0' || realm->data[i] > '9') {
            return 0;
        }
    }

    return 1;
}
