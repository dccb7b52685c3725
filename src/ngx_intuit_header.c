/*
 * Header values: cookies (RFC 6265), media types, identity names, times.
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_intuit_header.h"
#include "ngx_intuit_url.h"


#define ngx_intuit_is_blank(c)  ((c) == ' ' || (c) == '\t')


typedef struct {
    const char   *name;         /* lower case, with "-" */
    ngx_uint_t    prefix;       /* 1: every name that begins so */
} ngx_intuit_identity_t;


static void ngx_intuit_trim(ngx_str_t *s);
static void ngx_intuit_cookie_pair(const ngx_str_t *text, ngx_str_t *name,
    ngx_str_t *value);
static ngx_uint_t ngx_intuit_cookie_doomed(const ngx_str_t *text,
    const ngx_str_t *name, const ngx_str_t *prefix);
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
 */

static const ngx_intuit_identity_t  ngx_intuit_identities[] = {

    { "x-intuit-", 1 },
    { "x-auth-request-", 1 },
    { "x-authentik-", 1 },
    { "x-vouch-", 1 },
    { "x-oidc-", 1 },
    { "oidc-claim-", 1 },
    { "oidc-id-token", 1 },
    { "oidc-access-token", 1 },
    { "oidc-userinfo", 1 },
    { "x-claim-", 1 },
    { "x-jwt-claim-", 1 },
    { "x-goog-authenticated-user-", 1 },
    { "x-goog-iap-jwt-", 1 },
    { "x-ms-client-principal", 1 },
    { "x-amzn-oidc-", 1 },
    { "cf-access-authenticated-user-", 1 },
    { "tailscale-user-", 1 },
    { "x-pomerium-claim-", 1 },
    { "x-webauth-", 1 },

    { "x-user", 0 },
    { "x-users", 0 },
    { "x-user-id", 0 },
    { "x-user-uid", 0 },
    { "x-user-sub", 0 },
    { "x-user-name", 0 },
    { "x-user-fullname", 0 },
    { "x-user-full-name", 0 },
    { "x-user-login", 0 },
    { "x-user-email", 0 },
    { "x-user-mail", 0 },
    { "x-user-phone", 0 },
    { "x-user-role", 0 },
    { "x-user-roles", 0 },
    { "x-user-group", 0 },
    { "x-user-groups", 0 },
    { "x-user-realm", 0 },
    { "x-user-claims", 0 },
    { "x-userid", 0 },
    { "x-username", 0 },
    { "x-useremail", 0 },
    { "x-userinfo", 0 },
    { "x-user-info", 0 },
    { "x-email", 0 },
    { "x-mail", 0 },
    { "x-sub", 0 },
    { "x-subject", 0 },
    { "x-preferred-username", 0 },
    { "x-given-name", 0 },
    { "x-family-name", 0 },
    { "x-role", 0 },
    { "x-roles", 0 },
    { "x-group", 0 },
    { "x-groups", 0 },
    { "x-realm-id", 0 },

    { "remote-user", 0 },
    { "remote-email", 0 },
    { "remote-name", 0 },
    { "remote-groups", 0 },
    { "x-remote-user", 0 },
    { "x-remote-user-id", 0 },
    { "x-remote-user-name", 0 },
    { "x-remote-user-email", 0 },
    { "x-remote-user-groups", 0 },
    { "x-remote-username", 0 },
    { "x-remote-name", 0 },
    { "x-remote-email", 0 },
    { "x-remote-role", 0 },
    { "x-remote-roles", 0 },
    { "x-remote-group", 0 },
    { "x-remote-groups", 0 },
    { "x-remote-extra-", 1 },

    { "x-forwarded-user", 0 },
    { "x-forwarded-user-id", 0 },
    { "x-forwarded-username", 0 },
    { "x-forwarded-name", 0 },
    { "x-forwarded-email", 0 },
    { "x-forwarded-role", 0 },
    { "x-forwarded-roles", 0 },
    { "x-forwarded-group", 0 },
    { "x-forwarded-groups", 0 },
    { "x-forwarded-preferred-username", 0 },
    { "x-forwarded-access-token", 0 },
    { "x-forwarded-id-token", 0 },

    { "x-auth-user", 0 },
    { "x-auth-user-id", 0 },
    { "x-auth-userid", 0 },
    { "x-auth-username", 0 },
    { "x-auth-name", 0 },
    { "x-auth-email", 0 },
    { "x-auth-sub", 0 },
    { "x-auth-subject", 0 },
    { "x-auth-role", 0 },
    { "x-auth-roles", 0 },
    { "x-auth-group", 0 },
    { "x-auth-groups", 0 },
    { "x-authenticated-user", 0 },
    { "x-authenticated-userid", 0 },
    { "x-authenticated-user-id", 0 },
    { "x-authenticated-email", 0 },
    { "x-authenticated-groups", 0 },
    { "x-authenticated-scope", 0 },
    { "x-proxy-user", 0 },
    { "x-proxy-remote-user", 0 },
    { "x-sso-user", 0 },
    { "x-sso-email", 0 },
    { "x-logged-in-user", 0 },
    { "x-consumer-id", 0 },
    { "x-consumer-custom-id", 0 },
    { "x-consumer-username", 0 },
    { "x-consumer-groups", 0 },
    { "x-credential-identifier", 0 },
    { "x-anonymous-consumer", 0 },

    { NULL, 0 }
};


ngx_int_t
ngx_intuit_cookie_next(const ngx_str_t *header, size_t *pos, ngx_str_t *name,
    ngx_str_t *value)
{
    size_t     i;
    ngx_str_t  text;

    for (i = *pos; i < header->len; /* void */ ) {

        text.data = header->data + i;

        while (i < header->len && header->data[i] != ';') {
            i++;
        }

        text.len = header->data + i - text.data;

        if (i < header->len) {
            i++;
        }

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


static void
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


static void
ngx_intuit_cookie_pair(const ngx_str_t *text, ngx_str_t *name,
    ngx_str_t *value)
{
    size_t  i;

    for (i = 0; i < text->len; i++) {
        if (text->data[i] == '=') {
            break;
        }
    }

    name->data = text->data;

    if (i == text->len) {
        name->len = 0;
        *value = *text;
        return;
    }

    name->len = i;

    value->data = text->data + i + 1;
    value->len = text->len - i - 1;

    ngx_intuit_trim(name);
    ngx_intuit_trim(value);
}


ngx_uint_t
ngx_intuit_cookie_strip(ngx_str_t *header, const ngx_str_t *name,
    const ngx_str_t *prefix)
{
    u_char      *p, *last, *dst;
    ngx_str_t    text;
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

        if (ngx_intuit_cookie_doomed(&text, name, prefix)) {
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


static ngx_uint_t
ngx_intuit_cookie_doomed(const ngx_str_t *text, const ngx_str_t *name,
    const ngx_str_t *prefix)
{
    ngx_str_t  pair, n, value;

    pair = *text;

    ngx_intuit_trim(&pair);
    ngx_intuit_cookie_pair(&pair, &n, &value);

    if (n.len == 0) {
        return 0;
    }

    if (n.len == name->len && ngx_memcmp(n.data, name->data, n.len) == 0) {
        return 1;
    }

    return (prefix->len != 0
            && n.len >= prefix->len
            && ngx_memcmp(n.data, prefix->data, prefix->len) == 0);
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

    for (p = *pos; p < last; p++) {

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
    size_t                        i;
    const ngx_intuit_identity_t  *id;

    for (id = ngx_intuit_identities; id->name != NULL; id++) {

        for (i = 0; i < name->len && id->name[i] != '\0'; i++) {
            if (ngx_intuit_fold(name->data[i]) != (u_char) id->name[i]) {
                break;
            }
        }

        if (id->name[i] == '\0' && (i == name->len || id->prefix)) {
            return 1;
        }
    }

    return 0;
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
