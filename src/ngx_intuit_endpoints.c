/*
 * Where the requests go: Intuit's endpoints, and others' discovery documents.
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_intuit_endpoints.h"
#include "ngx_intuit_json.h"
#include "ngx_intuit_url.h"


#define NGX_INTUIT_ENDPOINT_SIZE    2048


typedef struct {
    const char   *name;
    ngx_str_t    *value;
    ngx_uint_t    optional;
    const char   *missing;
    const char   *refused;
} ngx_intuit_endpoint_t;


static ngx_uint_t ngx_intuit_endpoint_usable(const ngx_str_t *text,
    const char *host_suffix);
static ngx_uint_t ngx_intuit_host_within(const ngx_str_t *host,
    const char *suffix);


void
ngx_intuit_endpoints_default(ngx_intuit_endpoints_t *e, ngx_uint_t production)
{
    ngx_memzero(e, sizeof(ngx_intuit_endpoints_t));

    ngx_str_set(&e->issuer, "https://oauth.platform.intuit.com/op/v1");

    ngx_str_set(&e->authorization_endpoint,
                "https://appcenter.intuit.com/connect/oauth2");

    ngx_str_set(&e->token_endpoint,
                "https://oauth.platform.intuit.com/oauth2/v1/tokens/bearer");

    ngx_str_set(&e->revocation_endpoint,
                "https://developer.api.intuit.com/v2/oauth2/tokens/revoke");

    ngx_str_set(&e->jwks_uri, "https://oauth.platform.intuit.com/op/v1/jwks");

    if (production) {
        ngx_str_set(&e->userinfo_endpoint,
                    "https://accounts.platform.intuit.com"
                    "/v1/openid_connect/userinfo");

    } else {
        ngx_str_set(&e->userinfo_endpoint,
                    "https://sandbox-accounts.platform.intuit.com"
                    "/v1/openid_connect/userinfo");
    }
}


ngx_int_t
ngx_intuit_endpoints_parse(ngx_pool_t *pool, const ngx_str_t *text,
    const ngx_str_t *issuer, const char *host_suffix,
    ngx_intuit_endpoints_t *e, const char **reason)
{
    ngx_int_t               rc;
    ngx_uint_t              i, iss;
    ngx_intuit_json_t      *json;
    ngx_intuit_endpoint_t  *ep;

    ngx_intuit_endpoint_t   table[] = {

        { "issuer", &e->issuer, 0,
          "it has no issuer",
          "its issuer is not an acceptable URL" },

        { "authorization_endpoint", &e->authorization_endpoint, 0,
          "it has no authorization_endpoint",
          "its authorization_endpoint is not an acceptable URL" },

        { "token_endpoint", &e->token_endpoint, 0,
          "it has no token_endpoint",
          "its token_endpoint is not an acceptable URL" },

        { "jwks_uri", &e->jwks_uri, 0,
          "it has no jwks_uri",
          "its jwks_uri is not an acceptable URL" },

        { "userinfo_endpoint", &e->userinfo_endpoint, 1, NULL,
          "its userinfo_endpoint is not an acceptable URL" },

        { "revocation_endpoint", &e->revocation_endpoint, 1, NULL,
          "its revocation_endpoint is not an acceptable URL" }
    };

    ngx_memzero(e, sizeof(ngx_intuit_endpoints_t));

    json = ngx_intuit_json_parse(pool, text);
    if (json == NULL) {
        *reason = "it is not a JSON object";
        return NGX_DECLINED;
    }

    for (i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        ep = &table[i];

        rc = ngx_intuit_json_string(json, ep->name, ep->value);

        if (rc == NGX_DECLINED) {

            if (ep->optional) {
                ngx_str_null(ep->value);
                continue;
            }

            *reason = ep->missing;
            return NGX_DECLINED;
        }

        if (rc != NGX_OK
            || !ngx_intuit_endpoint_usable(ep->value, host_suffix))
        {
            *reason = ep->refused;
            return NGX_DECLINED;
        }
    }

    if (ngx_strlchr(e->issuer.data, e->issuer.data + e->issuer.len, '?')
        != NULL)
    {
        *reason = "its issuer has a query";
        return NGX_DECLINED;
    }

    if (issuer->len != 0
        && (issuer->len != e->issuer.len
            || ngx_memcmp(issuer->data, e->issuer.data, issuer->len) != 0))
    {
        *reason = "its issuer is another one";
        return NGX_DECLINED;
    }

    rc = ngx_intuit_json_bool(json,
                          "authorization_response_iss_parameter_supported",
                          &iss);

    if (rc == NGX_ERROR) {
        *reason = "its authorization_response_iss_parameter_supported is not "
                  "true or false";
        return NGX_DECLINED;
    }

    e->iss_parameter = (rc == NGX_OK && iss) ? 1 : 0;

    return NGX_OK;
}


static ngx_uint_t
ngx_intuit_endpoint_usable(const ngx_str_t *text, const char *host_suffix)
{
    const char        *reason;
    ngx_intuit_url_t   u;

    if (text->len > NGX_INTUIT_ENDPOINT_SIZE) {
        return 0;
    }

    if (ngx_intuit_url_parse(text, &u, &reason) != NGX_OK) {
        return 0;
    }

    if (!u.https && !u.loopback) {
        return 0;
    }

    return host_suffix == NULL || ngx_intuit_host_within(&u.host, host_suffix);
}


/* a suffix without a dot in front does not reach into the middle of a label */

static ngx_uint_t
ngx_intuit_host_within(const ngx_str_t *host, const char *suffix)
{
    size_t   i, len;
    u_char  *p;

    len = ngx_strlen(suffix);

    if (host->len < len) {
        return 0;
    }

    p = host->data + host->len - len;

    for (i = 0; i < len; i++) {
        if (ngx_tolower(p[i]) != ngx_tolower((u_char) suffix[i])) {
            return 0;
        }
    }

    return p == host->data ? suffix[0] != '.'
                           : (suffix[0] == '.' || p[-1] == '.');
}
