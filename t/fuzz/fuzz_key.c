/*
 * Key files.
 */

#include "fuzz.h"
#include "ngx_intuit_crypto.h"


static void
fuzz(fuzz_t *f)
{
    size_t             i;
    ngx_int_t          rc;
    ngx_str_t          text;
    ngx_uint_t         digits;
    ngx_intuit_key_t   key;

    text = fuzz_rest(f);
    memset(&key, 0xa5, sizeof(ngx_intuit_key_t));

    rc = ngx_intuit_key_parse(&key, &text);
    must(rc == NGX_OK || rc == NGX_DECLINED);

    if (rc != NGX_OK) {
        return;
    }

    digits = 0;

    for (i = 0; i < text.len; i++) {
        digits += isxdigit(text.data[i]) ? 1 : 0;
    }

    must(digits == 2 * NGX_INTUIT_KEY_LEN);
}
