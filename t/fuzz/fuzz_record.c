/*
 * Records as they are kept: what is taken for one is, encoded again, the same
 * bytes.
 */

#include "fuzz.h"
#include "ngx_intuit_record.h"


static void
fuzz(fuzz_t *f)
{
    ngx_int_t                 rc;
    ngx_str_t                 in, out;
    ngx_intuit_login_t        l;
    ngx_intuit_session_t      s;
    ngx_intuit_connection_t   c;

    in = fuzz_rest(f);

    rc = ngx_intuit_connection_decode(&in, &c);
    must(rc == NGX_OK || rc == NGX_DECLINED);

    if (rc == NGX_OK) {
        must(ngx_intuit_connection_encode(f->pool, &c, &out) == NGX_OK);
        must(fuzz_same(&in, &out));
    }

    rc = ngx_intuit_session_decode(&in, &s);
    must(rc == NGX_OK || rc == NGX_DECLINED);

    if (rc == NGX_OK) {
        must(ngx_intuit_session_encode(f->pool, &s, &out) == NGX_OK);
        must(fuzz_same(&in, &out));
    }

    rc = ngx_intuit_login_decode(&in, &l);
    must(rc == NGX_OK || rc == NGX_DECLINED);

    if (rc == NGX_OK) {
        must(ngx_intuit_login_encode(f->pool, &l, &out) == NGX_OK);
        must(fuzz_same(&in, &out));
    }
}
