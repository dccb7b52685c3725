/*
 * Header values: cookies (RFC 6265), media types, identity names, times.
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_intuit_header.h"
#include "ngx_intuit_url.h"


#define ngx_intuit_is_blank(c)  ((c) == ' ' || (c) == '\t')


typedef struct {
    ngx_str_t     name;         /* lower case, with "-" */
    ngx_uint_t    prefix;       /* 1: every name that begins so */
} ngx_intuit_identity_t;


static ngx_uint_t ngx_intuit_identity_begins(const ngx_str_t *name);
static ngx_int_t ngx_intuit_identity_cmp(const ngx_str_t *name,
    const ngx_intuit_identity_t *id);
static ngx_inline void ngx_intuit_trim(ngx_str_t *s);
static ngx_inline void ngx_intuit_cookie_pair(const ngx_str_t *text,
    ngx_str_t *name, ngx_str_t *value);
static ngx_uint_t ngx_intuit_same(const ngx_str_t *a, const char *lower);
static void ngx_intuit_next_element(u_char **pos, u_char *last,
    u_char separator, ngx_str_t *element);
static ngx_uint_t ngx_intuit_weight_zero(const ngx_str_t *parameter);
static u_char ngx_intuit_fold(u_char c);
static u_char *ngx_intuit_email_at(const ngx_str_t *email);
static const char *ngx_intuit_html_entity(u_char c);


/*
 * Names that applications, frameworks and gateways are known to take a user
 * from.  Only names that say who somebody is: credentials that a client
 * rightly sends itself (X-Auth-Token, X-Api-Key) are not here, and neither
 * are X-Remote-Addr or X-User-Agent, hence no shorter prefixes.
 *
 * In order, byte by byte, for each header of each request is looked up; no
 * name begins with one of the prefixes.
 */

static const ngx_intuit_identity_t  ngx_intuit_identities[] = {
    { ngx_string("cf-access-authenticated-user-"), 1 },
    { ngx_string("oidc-access-token"), 1 },
    { ngx_string("oidc-claim-"), 1 },
    { ngx_string("oidc-id-token"), 1 },
    { ngx_string("oidc-userinfo"), 1 },
    { ngx_string("remote-email"), 0 },
    { ngx_string("remote-groups"), 0 },
    { ngx_string("remote-name"), 0 },
    { ngx_string("remote-user"), 0 },
    { ngx_string("tailscale-user-"), 1 },
    { ngx_string("x-amzn-oidc-"), 1 },
    { ngx_string("x-anonymous-consumer"), 0 },
    { ngx_string("x-auth-email"), 0 },
    { ngx_string("x-auth-group"), 0 },
    { ngx_string("x-auth-groups"), 0 },
    { ngx_string("x-auth-name"), 0 },
    { ngx_string("x-auth-request-"), 1 },
    { ngx_string("x-auth-role"), 0 },
    { ngx_string("x-auth-roles"), 0 },
    { ngx_string("x-auth-sub"), 0 },
    { ngx_string("x-auth-subject"), 0 },
    { ngx_string("x-auth-user"), 0 },
    { ngx_string("x-auth-user-id"), 0 },
    { ngx_string("x-auth-userid"), 0 },
    { ngx_string("x-auth-username"), 0 },
    { ngx_string("x-authenticated-email"), 0 },
    { ngx_string("x-authenticated-groups"), 0 },
    { ngx_string("x-authenticated-scope"), 0 },
    { ngx_string("x-authenticated-user"), 0 },
    { ngx_string("x-authenticated-user-id"), 0 },
    { ngx_string("x-authenticated-userid"), 0 },
    { ngx_string("x-authentik-"), 1 },
    { ngx_string("x-claim-"), 1 },
    { ngx_string("x-consumer-custom-id"), 0 },
    { ngx_string("x-consumer-groups"), 0 },
    { ngx_string("x-consumer-id"), 0 },
    { ngx_string("x-consumer-username"), 0 },
    { ngx_string("x-credential-identifier"), 0 },
    { ngx_string("x-email"), 0 },
    { ngx_string("x-family-name"), 0 },
    { ngx_string("x-forwarded-access-token"), 0 },
    { ngx_string("x-forwarded-email"), 0 },
    { ngx_string("x-forwarded-group"), 0 },
    { ngx_string("x-forwarded-groups"), 0 },
    { ngx_string("x-forwarded-id-token"), 0 },
    { ngx_string("x-forwarded-name"), 0 },
    { ngx_string("x-forwarded-preferred-username"), 0 },
    { ngx_string("x-forwarded-role"), 0 },
    { ngx_string("x-forwarded-roles"), 0 },
    { ngx_string("x-forwarded-user"), 0 },
    { ngx_string("x-forwarded-user-id"), 0 },
    { ngx_string("x-forwarded-username"), 0 },
    { ngx_string("x-given-name"), 0 },
    { ngx_string("x-goog-authenticated-user-"), 1 },
    { ngx_string("x-goog-iap-jwt-"), 1 },
    { ngx_string("x-group"), 0 },
    { ngx_string("x-groups"), 0 },
    { ngx_string("x-intuit-"), 1 },
    { ngx_string("x-jwt-claim-"), 1 },
    { ngx_string("x-logged-in-user"), 0 },
    { ngx_string("x-mail"), 0 },
    { ngx_string("x-ms-client-principal"), 1 },
    { ngx_string("x-oidc-"), 1 },
    { ngx_string("x-pomerium-claim-"), 1 },
    { ngx_string("x-preferred-username"), 0 },
    { ngx_string("x-proxy-remote-user"), 0 },
    { ngx_string("x-proxy-user"), 0 },
    { ngx_string("x-realm-id"), 0 },
    { ngx_string("x-remote-email"), 0 },
    { ngx_string("x-remote-extra-"), 1 },
    { ngx_string("x-remote-group"), 0 },
    { ngx_string("x-remote-groups"), 0 },
    { ngx_string("x-remote-name"), 0 },
    { ngx_string("x-remote-role"), 0 },
    { ngx_string("x-remote-roles"), 0 },
    { ngx_string("x-remote-user"), 0 },
    { ngx_string("x-remote-user-email"), 0 },
    { ngx_string("x-remote-user-groups"), 0 },
    { ngx_string("x-remote-user-id"), 0 },
    { ngx_string("x-remote-user-name"), 0 },
    { ngx_string("x-remote-username"), 0 },
    { ngx_string("x-role"), 0 },
    { ngx_string("x-roles"), 0 },
    { ngx_string("x-sso-email"), 0 },
    { ngx_string("x-sso-user"), 0 },
    { ngx_string("x-sub"), 0 },
    { ngx_string("x-subject"), 0 },
    { ngx_string("x-user"), 0 },
    { ngx_string("x-user-claims"), 0 },
    { ngx_string("x-user-email"), 0 },
    { ngx_string("x-user-full-name"), 0 },
    { ngx_string("x-user-fullname"), 0 },
    { ngx_string("x-user-group"), 0 },
    { ngx_string("x-user-groups"), 0 },
    { ngx_string("x-user-id"), 0 },
    { ngx_string("x-user-info"), 0 },
    { ngx_string("x-user-login"), 0 },
    { ngx_string("x-user-mail"), 0 },
    { ngx_string("x-user-name"), 0 },
    { ngx_string("x-user-phone"), 0 },
    { ngx_string("x-user-realm"), 0 },
    { ngx_string("x-user-role"), 0 },
    { ngx_string("x-user-roles"), 0 },
    { ngx_string("x-user-sub"), 0 },
    { ngx_string("x-user-uid"), 0 },
    { ngx_string("x-useremail"), 0 },
    { ngx_string("x-userid"), 0 },
    { ngx_string("x-userinfo"), 0 },
    { ngx_string("x-username"), 0 },
    { ngx_string("x-users"), 0 },
    { ngx_string("x-vouch-"), 1 },
    { ngx_string("x-webauth-"), 1 }
};


ngx_int_t
ngx_intuit_cookie_next(const ngx_str_t *header, size_t *pos, ngx_str_t *name,
    ngx_str_t *value)
{
    u_char     *end;
    size_t      i;
    ngx_str_t   text;

    for (i = *pos; i < header->len; /* void */ ) {

        text.data = header->data + i;
        text.len = header->len - i;

        end = memchr(text.data, ';', text.len);

        if (end) {
            text.len = end - text.data;
            i++;
        }

        i += text.len;

        ngx_intuit_trim(&text);

        if (text.len == 0) {
            continue;
        }

        *pos = i;

        ngx_intuit_cookie_pair(&text, name, value);

        return NGX_OK;
    }

    *pos = i;

    return NGX_DONE;
}


static ngx_inline void
ngx_intuit_trim(ngx_str_t *s)
{
    while (s->len && ngx_intuit_is_blank(s->data[0])) {
        s->data++;
        s->len--;
    }

    while (s->len && ngx_intuit_is_blank(s->data[s->len - 1])) {
        s->len--;
    }
}


static ngx_inline void
ngx_intuit_cookie_pair(const ngx_str_t *text, ngx_str_t *name,
    ngx_str_t *value)
{
    u_char  *p;

    p = text->len ? memchr(text->data, '=', text->len) : NULL;

    name->data = text->data;

    if (p == NULL) {
        name->len = 0;
        *value = *text;
        return;
    }

    name->len = p - text->data;

    value->data = p + 1;
    value->len = text->len - name->len - 1;

    ngx_intuit_trim(name);
    ngx_intuit_trim(value);
}


ngx_uint_t
ngx_intuit_cookie_named(const ngx_str_t *name,
    const ngx_intuit_cookie_name_t *names, ngx_uint_t n)
{
    ngx_uint_t  i;

    for (i = 0; i < n; i++) {

        if (name->len >= names[i].name.len
            && names[i].name.len
            && (names[i].prefix || name->len == names[i].name.len)
            && ngx_memcmp(name->data, names[i].name.data, names[i].name.len)
               == 0)
        {
            return 1;
        }
    }

    return 0;
}


ngx_uint_t
ngx_intuit_cookie_strip(ngx_str_t *header,
    const ngx_intuit_cookie_name_t *names, ngx_uint_t n)
{
    u_char      *p, *last, *dst;
    ngx_str_t    text, pair, name, value;
    ngx_uint_t   kept, removed;

    if (header->len == 0) {
        return 0;
    }

    p = header->data;
    last = p + header->len;
    dst = p;

    kept = 0;
    removed = 0;

    for ( ;; ) {
        text.data = p;

        while (p < last && *p != ';') {
            p++;
        }

        text.len = p - text.data;

        pair = text;

        ngx_intuit_trim(&pair);
        ngx_intuit_cookie_pair(&pair, &name, &value);

        if (ngx_intuit_cookie_named(&name, names, n)) {
            removed++;

        } else {

            if (kept) {
                *dst++ = ';';

            } else if (removed) {

                /* these blanks are the removed pair's separator */

                while (text.len && ngx_intuit_is_blank(*text.data)) {
                    text.data++;
                    text.len--;
                }
            }

            dst = ngx_movemem(dst, text.data, text.len);
            kept = 1;
        }

        if (p == last) {
            break;
        }

        p++;
    }

    header->len = dst - header->data;

    return removed;
}


ngx_uint_t
ngx_intuit_accepts(const ngx_str_t *accept, const char *type)
{
    u_char      *p, *last, *q, *end;
    ngx_str_t    range, media, parameter;
    ngx_uint_t   zero;

    if (accept->len == 0) {
        return 0;
    }

    p = accept->data;
    last = p + accept->len;

    while (p < last) {
        ngx_intuit_next_element(&p, last, ',', &range);

        q = range.data;
        end = q + range.len;

        ngx_intuit_next_element(&q, end, ';', &media);

        if (!ngx_intuit_same(&media, type)) {
            continue;
        }

        for (zero = 0; q < end && !zero; /* void */ ) {
            ngx_intuit_next_element(&q, end, ';', &parameter);
            zero = ngx_intuit_weight_zero(&parameter);
        }

        if (!zero) {
            return 1;
        }
    }

    return 0;
}


/* a separator inside a quoted string (RFC 9110, section 5.6.4) is text */

static void
ngx_intuit_next_element(u_char **pos, u_char *last, u_char separator,
    ngx_str_t *element)
{
    u_char      *p;
    ngx_uint_t   quoted;

    quoted = 0;
    element->data = *pos;

    /* as a rule nothing is quoted, and the separator is found at once */

    p = memchr(*pos, '"', last - *pos);
    p = p ? *pos : memchr(*pos, separator, last - *pos);

    for (p = p ? p : last; p < last; p++) {

        if (*p == '"') {
            quoted = !quoted;
            continue;
        }

        if (quoted) {

            if (*p == '\\' && p + 1 < last) {
                p++;
            }

            continue;
        }

        if (*p == separator) {
            break;
        }
    }

    element->len = p - element->data;

    *pos = (p < last) ? p + 1 : p;

    ngx_intuit_trim(element);
}


/* "q=0", "q=0.000" (RFC 9110, section 12.4.2) */

static ngx_uint_t
ngx_intuit_weight_zero(const ngx_str_t *parameter)
{
    size_t     i;
    ngx_str_t  name, value;

    ngx_intuit_cookie_pair(parameter, &name, &value);

    if (!ngx_intuit_same(&name, "q") || value.len == 0
        || value.data[0] != '0')
    {
        return 0;
    }

    for (i = 1; i < value.len; i++) {
        if (value.data[i] != '0' && !(value.data[i] == '.' && i == 1)) {
            return 0;
        }
    }

    return 1;
}


static ngx_uint_t
ngx_intuit_same(const ngx_str_t *a, const char *lower)
{
    size_t  i;

    for (i = 0; i < a->len; i++) {

        if (lower[i] == '\0'
            || ngx_tolower(a->data[i]) != (u_char) lower[i])
        {
            return 0;
        }
    }

    return (lower[i] == '\0');
}


ngx_uint_t
ngx_intuit_identity_header(const ngx_str_t *name)
{
    ngx_int_t   rc;
    ngx_uint_t  low, high, middle;

    if (ngx_intuit_header_plain(name) || !ngx_intuit_identity_begins(name)) {
        return 0;
    }

    low = 0;
    high = sizeof(ngx_intuit_identities) / sizeof(ngx_intuit_identities[0]);

    while (low < high) {

        middle = (low + high) / 2;

        rc = ngx_intuit_identity_cmp(name, &ngx_intuit_identities[middle]);

        if (rc == 0) {
            return 1;
        }

        if (rc < 0) {
            high = middle;

        } else {
            low = middle + 1;
        }
    }

    return 0;
}


/* three bytes rule out nearly all that a browser sends */

static ngx_uint_t
ngx_intuit_identity_begins(const ngx_str_t *name)
{
    u_char  *p;

    if (name->len < 3) {
        return 0;
    }

    p = name->data;

    switch (p[0] | 0x20) {

    case 'x':
        return ngx_intuit_fold(p[1]) == '-';

    case 'c':
        return (p[1] | 0x20) == 'f' && ngx_intuit_fold(p[2]) == '-';

    case 'o':
        return (p[1] | 0x20) == 'i' && (p[2] | 0x20) == 'd';

    case 'r':
        return (p[1] | 0x20) == 'e' && (p[2] | 0x20) == 'm';

    case 't':
        return (p[1] | 0x20) == 'a' && (p[2] | 0x20) == 'i';
    }

    return 0;
}


static ngx_int_t
ngx_intuit_identity_cmp(const ngx_str_t *name, const ngx_intuit_identity_t *id)
{
    size_t     i, n;
    ngx_int_t  rc;

    n = ngx_min(name->len, id->name.len);

    for (i = 0; i < n; i++) {

        rc = ngx_intuit_fold(name->data[i]) - id->name.data[i];

        if (rc) {
            return rc;
        }
    }

    if (name->len > id->name.len) {
        return id->prefix ? 0 : 1;
    }

    return name->len < id->name.len ? -1 : 0;
}


ngx_uint_t
ngx_intuit_header_is(const ngx_str_t *name, const char *lower)
{
    size_t  i;

    for (i = 0; i < name->len; i++) {

        if (lower[i] == '\0'
            || ngx_intuit_fold(name->data[i]) != (u_char) lower[i])
        {
            return 0;
        }
    }

    return (lower[i] == '\0');
}


/* CGI and its heirs turn all three into "_" */

static u_char
ngx_intuit_fold(u_char c)
{
    return (c == '_' || c == '.') ? '-' : ngx_tolower(c);
}


ngx_uint_t
ngx_intuit_email_matches(const ngx_str_t *email, const ngx_str_t *rule)
{
    size_t   i;
    u_char  *at;

    at = ngx_intuit_email_at(email);

    if (at == NULL || rule->len == 0) {
        return 0;
    }

    if (rule->data[0] != '@') {
        at = email->data;
    }

    if ((size_t) (email->data + email->len - at) != rule->len) {
        return 0;
    }

    for (i = 0; i < rule->len; i++) {
        if (ngx_tolower(at[i]) != ngx_tolower(rule->data[i])) {
            return 0;
        }
    }

    return 1;
}


/* the only "@" of an address, with something on both sides of it */

static u_char *
ngx_intuit_email_at(const ngx_str_t *email)
{
    size_t   i;
    u_char   c, *at;

    at = NULL;

    for (i = 0; i < email->len; i++) {
        c = email->data[i];

        if (c < 0x21 || c > 0x7e || c == ',') {
            return NULL;
        }

        if (c == '@') {
            if (at != NULL) {
                return NULL;
            }

            at = &email->data[i];
        }
    }

    if (at == NULL || at == email->data
        || at == email->data + email->len - 1)
    {
        return NULL;
    }

    return at;
}


size_t
ngx_intuit_html_escaped_len(const ngx_str_t *s)
{
    size_t       i, len;
    const char  *entity;

    len = s->len;

    for (i = 0; i < s->len; i++) {
        entity = ngx_intuit_html_entity(s->data[i]);

        if (entity != NULL) {
            len += ngx_strlen(entity) - 1;
        }
    }

    return len;
}


u_char *
ngx_intuit_html_escape(u_char *dst, const ngx_str_t *s)
{
    size_t       len;
    u_char      *p, *last;
    const char  *entity;

    if (s->len == 0) {
        return dst;
    }

    p = s->data;
    last = p + s->len;

    while (p < last) {
        entity = ngx_intuit_html_entity(*p);

        if (entity != NULL) {
            dst = ngx_cpymem(dst, entity, ngx_strlen(entity));
            p++;
            continue;
        }

        len = ngx_intuit_utf8_len(p, last);

        if (len == 0 || *p < 0x20 || *p == 0x7f) {
            *dst++ = '?';
            p++;
            continue;
        }

        dst = ngx_cpymem(dst, p, len);
        p += len;
    }

    return dst;
}


static const char *
ngx_intuit_html_entity(u_char c)
{
    switch (c) {

    case '&':
        return "&amp;";

    case '<':
        return "&lt;";

    case '>':
        return "&gt;";

    case '"':
        return "&quot;";

    case '\'':
        return "&#39;";

    default:
        return NULL;
    }
}


time_t
ngx_intuit_retry_after(const ngx_str_t *value, time_t now)
{
    size_t  i;
    time_t  t;

    for (i = 0; i < value->len; i++) {
        if (value->data[i] < '0' || value->data[i] > '9') {
            break;
        }
    }

    if (value->len && i == value->len) {

        t = ngx_atotm(value->data, value->len);

        /* more than can be counted */
        return t == NGX_ERROR ? NGX_INTUIT_RETRY_MAX
                              : ngx_min(t, NGX_INTUIT_RETRY_MAX);
    }

    t = ngx_parse_http_time(value->data, value->len);

    if (t == NGX_ERROR || t <= now) {
        return 0;
    }

    return ngx_min(t - now, NGX_INTUIT_RETRY_MAX);
}


void
ngx_intuit_log_safe(ngx_pool_t *pool, const ngx_str_t *s, size_t max,
    ngx_str_t *out)
{
    u_char  c;
    size_t  i, len;

    ngx_str_null(out);

    len = ngx_min(s->len, max);

    if (len == 0) {
        return;
    }

    out->data = ngx_pnalloc(pool, len);
    if (out->data == NULL) {
        return;
    }

    for (i = 0; i < len; i++) {
        c = s->data[i];

        if (c < 0x20 || c > 0x7e || c == '"' || c == '\'' || c == '\\') {
            c = '?';
        }

        out->data[i] = c;
    }

    out->len = len;
}
