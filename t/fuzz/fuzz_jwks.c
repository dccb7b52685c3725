/*
 * Key sets.  The first byte chooses whether weak keys are taken.
 */

#include "fuzz.h"
#include "ngx_intuit_jwks.h"


static void
fuzz(fuzz_t *f)
{
    ngx_int_t           rc;
    ngx_str_t           text;
    ngx_uint_t          i, min;
    ngx_intuit_jwk_t   *key;
    ngx_intuit_jwks_t   jwks;

    min = (fuzz_byte(f) & 1) ? NGX_INTUIT_RSA_WEAK_BITS
                             : NGX_INTUIT_RSA_MIN_BITS;
    text = fuzz_rest(f);
    memset(&jwks, 0xa5, sizeof(ngx_intuit_jwks_t));

    rc = ngx_intuit_jwks_parse(f->pool, &text, min, &jwks);
    must(rc == NGX_OK || rc == NGX_DECLINED);

    if (rc != NGX_OK) {
        return;
    }

    must(jwks.keys.nelts <= NGX_INTUIT_JWKS_KEYS);

    key = jwks.keys.elts;

    for (i = 0; i < jwks.keys.nelts; i++) {
        must(key[i].pkey != NULL);
        must(key[i].bits >= min && key[i].bits <= 8192);

        if (key[i].kid.len != 0) {
            must(ngx_intuit_jwks_find(&jwks, &key[i].kid) == &key[i]);
        }
    }
}
