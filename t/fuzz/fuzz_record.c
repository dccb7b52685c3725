/*
 * Records as they are kept: what is taken for one is, encoded again, the same
 * bytes; one of an older version is after that one of today's, which is.
 */

#include "fuzz.h"
#include "ngx_intuit_claims.h"
#include "ngx_intuit_record.h"


#define fuzz_kind(kind)                                                       \
                                                                              \
static ngx_int_t                                                              \
fuzz_##kind(fuzz_t *f, const ngx_str_t *in)                                   \
{                                                                             \
    ngx_int_t            rc;                                                  \
    ngx_str_t            out;                                                 \
    ngx_intuit_##kind##_t  record;                                            \
                                                                              \
    rc = ngx_intuit_##kind##_decode(in, &record);                             \
    must(rc == NGX_OK || rc == NGX_DECLINED);                                 \
                                                                              \
    if (rc == NGX_OK) {                                                       \
        must(ngx_intuit_##kind##_encode(f->pool, &record, &out) == NGX_OK);   \
        must(in->data[0] <= out.data[0]);                                     \
                                                                              \
        if (in->data[0] < out.data[0]) {                                      \
            must(fuzz_##kind(f, &out) == NGX_OK);                             \
                                                                              \
        } else {                                                              \
            must(fuzz_same(in, &out));                                        \
        }                                                                     \
    }                                                                         \
                                                                              \
    return rc;                                                                \
}


fuzz_kind(connection)
fuzz_kind(session)
fuzz_kind(login)


/* what is unpacked is, packed and unpacked again, the same */

static void
fuzz_claims(fuzz_t *f, const ngx_str_t *in)
{
    ngx_int_t             rc;
    ngx_str_t             text, packed, again;
    ngx_intuit_session_t  s;

    if (ngx_intuit_session_decode(in, &s) != NGX_OK) {
        return;
    }

    rc = ngx_intuit_session_userinfo(f->pool, &s, &text);
    must(rc == NGX_OK || rc == NGX_ERROR);

    rc = ngx_intuit_session_claims(f->pool, &s, &text);
    must(rc == NGX_OK || rc == NGX_ERROR);

    if (rc == NGX_OK) {
        must(ngx_intuit_claims_pack(f->pool, &text, &packed) == NGX_OK
             && packed.len <= text.len
             && ngx_intuit_claims_unpack(f->pool, &packed, &again) == NGX_OK
             && fuzz_same(&text, &again));
    }
}


static void
fuzz(fuzz_t *f)
{
    ngx_str_t  in;

    in = fuzz_rest(f);

    (void) fuzz_connection(f, &in);
    (void) fuzz_session(f, &in);
    (void) fuzz_login(f, &in);

    fuzz_claims(f, &in);
}
