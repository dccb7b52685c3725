/*
 * Discovery documents: issuer NUL document, when the first byte has bit 1 set;
 * bit 0 asks for hosts below intuit.com.
 */

#include "fuzz.h"
#include "ngx_intuit_endpoints.h"
#include "ngx_intuit_url.h"


static void
endpoint(const ngx_str_t *s, const char *suffix)
{
    size_t             n;
    const char        *reason;
    ngx_intuit_url_t   u;

    must(s->len <= 2048);
    must(ngx_intuit_url_parse(s, &u, &reason) == NGX_OK);
    must(u.https || u.loopback);

    if (suffix) {
        n = strlen(suffix);
        must(u.host.len > n);
        must(ngx_strncasecmp(u.host.data + u.host.len - n, (u_char *) suffix,
                             n) == 0);
    }
}


static void
fuzz(fuzz_t *f)
{
    u_char                   flags;
    ngx_int_t                rc;
    ngx_str_t                issuer, text;
    const char              *reason, *suffix;
    ngx_intuit_endpoints_t   e;

    ngx_str_null(&issuer);

    flags = fuzz_byte(f);
    suffix = (flags & 1) ? ".intuit.com" : NULL;

    if (flags & 2) {
        issuer = fuzz_field(f);
    }

    text = fuzz_rest(f);
    reason = NULL;
    memset(&e, 0, sizeof(ngx_intuit_endpoints_t));

    rc = ngx_intuit_endpoints_parse(f->pool, &text, &issuer, suffix, &e,
                                    &reason);
    fuzz_answer(rc, reason);

    if (rc != NGX_OK) {
        return;
    }

    must(issuer.len == 0 || fuzz_same(&issuer, &e.issuer));

    endpoint(&e.issuer, suffix);
    endpoint(&e.authorization_endpoint, suffix);
    endpoint(&e.token_endpoint, suffix);
    endpoint(&e.jwks_uri, suffix);

    if (e.userinfo_endpoint.len != 0) {
        endpoint(&e.userinfo_endpoint, suffix);
    }

    if (e.revocation_endpoint.len != 0) {
        endpoint(&e.revocation_endpoint, suffix);
    }
}
