/*
 * Token answers, good and bad.
 */

#include "fuzz.h"
#include "ngx_intuit_oauth2.h"


static void
error_answer(fuzz_t *f, const ngx_str_t *text)
{
    size_t     i;
    ngx_str_t  error;

    memset(&error, 0xa5, sizeof(ngx_str_t));
    ngx_intuit_oauth2_error_parse(f->pool, text, &error);

    must(error.len <= 64);

    for (i = 0; i < error.len; i++) {
        must(error.data[i] == '_'
             || (error.data[i] >= 'a' && error.data[i] <= 'z'));
    }
}


static void
fuzz(fuzz_t *f)
{
    ngx_int_t             rc;
    ngx_str_t             text;
    const char           *reason;
    ngx_intuit_tokens_t   t, zero;

    text = fuzz_rest(f);
    error_answer(f, &text);

    reason = NULL;
    memset(&t, 0xa5, sizeof(ngx_intuit_tokens_t));
    memset(&zero, 0, sizeof(ngx_intuit_tokens_t));

    rc = ngx_intuit_tokens_parse(f->pool, &text, &t, &reason);
    fuzz_answer(rc, reason);

    if (rc != NGX_OK) {
        must(memcmp(&t, &zero, sizeof(ngx_intuit_tokens_t)) == 0);
        return;
    }

    must(t.access_token.len >= 1
         && t.access_token.len <= NGX_INTUIT_TOKEN_SIZE);
    must(fuzz_bytes(&t.access_token, 0x2b, 0x7e));
    must(t.refresh_token.len <= NGX_INTUIT_REFRESH_SIZE);
    must(fuzz_bytes(&t.refresh_token, 0x21, 0x7e));
    must(t.expires_in >= 1 && t.expires_in <= NGX_INTUIT_EXPIRES_MAX);
    must(t.refresh_expires_in >= 0
         && t.refresh_expires_in <= NGX_INTUIT_HARD_MAX);
    must(t.refresh_hard_expires_in >= 0
         && t.refresh_hard_expires_in <= NGX_INTUIT_HARD_MAX);
}
