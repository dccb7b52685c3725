/*
 * Sealed cookies.  Two ways: the input as a cookie's value, which nobody could
 * have made; and something sealed, altered in one place: position (2 bytes),
 * change (1 byte), another owner or not (1 byte), text.
 */

#include "fuzz.h"
#include "ngx_intuit_crypto.h"
#include "ngx_intuit_record.h"


static void
keys(ngx_intuit_key_t *key)
{
    ngx_str_t  one = ngx_string("the first secret of two");
    ngx_str_t  two = ngx_string("the second secret of two");

    must(ngx_intuit_key_derive(&key[0], &one, "fuzz") == NGX_OK);
    must(ngx_intuit_key_derive(&key[1], &two, "fuzz") == NGX_OK);
}


static void
stranger(fuzz_t *f, const ngx_intuit_key_t *key, const ngx_str_t *cookie)
{
    u_char     *p;
    ngx_int_t   rc;
    ngx_str_t   aad = ngx_string("owner"), sealed, plain, again;

    rc = ngx_intuit_base64url_decode(f->pool, &sealed, cookie);
    must(rc == NGX_OK || rc == NGX_DECLINED);

    if (rc != NGX_OK) {
        sealed = *cookie;

    } else {
        p = ngx_palloc(f->pool, ngx_intuit_base64url_len(sealed.len));
        again.data = p;
        again.len = ngx_intuit_base64url_encode(p, sealed.data, sealed.len)
                    - p;

        must(fuzz_same(cookie, &again));
    }

    must(ngx_intuit_open(f->pool, key, 2, &aad, &sealed, &plain)
         == NGX_DECLINED);

    /* with the right version and key, too */
    if (sealed.len > NGX_INTUIT_KEY_ID_LEN) {
        sealed.data[0] = 1;
        ngx_memcpy(sealed.data + 1, key[1].id, NGX_INTUIT_KEY_ID_LEN);

        must(ngx_intuit_open(f->pool, key, 2, &aad, &sealed, &plain)
             == NGX_DECLINED);
    }
}


static void
altered(fuzz_t *f, const ngx_intuit_key_t *key)
{
    u_char               change, other;
    size_t               at;
    ngx_int_t            rc;
    ngx_str_t            aad = ngx_string("owner"), text, sealed, plain;
    ngx_intuit_login_t   login;

    at = fuzz_byte(f) * 256;
    at += fuzz_byte(f);
    change = fuzz_byte(f);
    other = fuzz_byte(f) & 1;
    text = fuzz_rest(f);

    must(ngx_intuit_seal(f->pool, &key[at % 2], &aad, &text, &sealed)
         == NGX_OK);
    must(sealed.len == text.len + NGX_INTUIT_SEAL_OVERHEAD);

    sealed.data[at % sealed.len] ^= change;

    if (other) {
        ngx_str_set(&aad, "other");
    }

    rc = ngx_intuit_open(f->pool, key, 2, &aad, &sealed, &plain);

    if (change || other) {
        must(rc == NGX_DECLINED);
        return;
    }

    must(rc == NGX_OK);
    must(fuzz_same(&plain, &text));

    (void) ngx_intuit_login_decode(&plain, &login);
}


static void
fuzz(fuzz_t *f)
{
    ngx_str_t                 cookie;
    ngx_uint_t                way;
    static ngx_intuit_key_t   key[2];

    if (key[0].id[0] == key[1].id[0]) {
        keys(key);
    }

    way = fuzz_byte(f) & 1;

    if (way) {
        altered(f, key);
        return;
    }

    cookie = fuzz_rest(f);
    stranger(f, key, &cookie);
}
