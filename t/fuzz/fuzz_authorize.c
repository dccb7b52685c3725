/*
 * Authorization URLs: query of the endpoint NUL further arguments NUL state.
 * Our own parameters are in the URL once, with our values.
 */

#include "fuzz.h"
#include "ngx_intuit_args.h"
#include "ngx_intuit_oauth2.h"


static void
once(fuzz_t *f, const ngx_str_t *args, const char *name, ngx_str_t expected)
{
    ngx_str_t  value;

    must(ngx_intuit_args_get(f->pool, args, name, &value) == NGX_OK);
    must(fuzz_same(&value, &expected));
}


static void
fuzz(fuzz_t *f)
{
    size_t                   n;
    ngx_str_t                own, endpoint, url;
    ngx_intuit_authorize_t   a;

    memset(&a, 0, sizeof(ngx_intuit_authorize_t));

    own = fuzz_field(f);
    a.extra_args = fuzz_field(f);
    a.state = fuzz_field(f);

    ngx_str_set(&a.client_id, "an id");
    ngx_str_set(&a.redirect_uri, "https://app.example/intuit/callback?a=b&c");
    ngx_str_set(&a.scope, "openid email");
    ngx_str_set(&a.nonce, "n-o-n-c-e");

    endpoint = ngx_intuit_stub_fmt(f->pool, "https://op.example/a%s%V",
                                   own.len ? "?" : "", &own);

    must(ngx_intuit_authorize_url(f->pool, &endpoint, &a, &url) == NGX_OK);

    n = sizeof("https://op.example/a?") - 1;
    must(url.len > n);
    must(memcmp(url.data, "https://op.example/a?", n) == 0);

    url.data += n;
    url.len -= n;

    once(f, &url, "client_id", a.client_id);
    once(f, &url, "redirect_uri", a.redirect_uri);
    once(f, &url, "scope", a.scope);
    once(f, &url, "nonce", a.nonce);

    if (a.state.len != 0) {
        once(f, &url, "state", a.state);
    }
}
