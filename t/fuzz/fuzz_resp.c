/*
 * Answers of a store: bytes.  An answer is the same in one piece and in two,
 * all of it is within the bytes, and a request that was made of what was read
 * is read as that.
 */

#include "fuzz.h"
#include "ngx_intuit_resp.h"


#define MAX  64


static void
must_be_within(const ngx_intuit_resp_value_t *v, const ngx_str_t *in)
{
    if (v->text.len) {
        must(v->text.data >= in->data);
        must(v->text.data + v->text.len <= in->data + in->len);
    }

    must(v->type != NGX_INTUIT_RESP_STRING || v->text.len <= MAX);
}


static void
round_trip(fuzz_t *f, const ngx_intuit_resp_t *resp)
{
    u_char             *pos;
    ngx_str_t           args[NGX_INTUIT_RESP_ITEMS], out;
    ngx_uint_t          i;
    ngx_intuit_resp_t   again;

    for (i = 0; i < resp->nitems; i++) {
        args[i] = resp->items[i].text;
    }

    must(ngx_intuit_resp_request(f->pool, args, resp->nitems, &out)
         == NGX_OK);

    pos = out.data;
    must(ngx_intuit_resp_parse(&pos, out.data + out.len,
                               MAX + NGX_INTUIT_RESP_LINE, &again)
         == NGX_OK);
    must(pos == out.data + out.len);
    must(again.nitems == resp->nitems);

    for (i = 0; i < resp->nitems; i++) {
        must(fuzz_same(&again.items[i].text, &args[i]));
    }
}


static void
fuzz(fuzz_t *f)
{
    u_char             *pos, *end;
    size_t              n;
    ngx_int_t           rc, part;
    ngx_str_t           in, head;
    ngx_uint_t          i;
    ngx_intuit_resp_t   resp, other;

    in = fuzz_rest(f);
    pos = in.data;

    rc = ngx_intuit_resp_parse(&pos, in.data + in.len, MAX, &resp);
    must(rc == NGX_OK || rc == NGX_AGAIN || rc == NGX_DECLINED);

    end = pos;
    must(rc == NGX_OK || end == in.data);

    for (n = 0; n < in.len; n++) {
        head = ngx_intuit_stub_mem(f->pool, in.data, n);
        pos = head.data;
        part = ngx_intuit_resp_parse(&pos, head.data + n, MAX, &other);

        if (part == NGX_AGAIN) {
            continue;
        }

        /* what was said once stays true, whatever comes after */

        must(part == rc);
        must(part != NGX_OK || pos - head.data == end - in.data);
        break;
    }

    if (rc != NGX_OK) {
        return;
    }

    must_be_within(&resp.value, &in);
    (void) ngx_intuit_resp_kind(&resp.value.text);

    for (i = 0; i < resp.nitems; i++) {
        must_be_within(&resp.items[i], &in);
        must(resp.items[i].type != NGX_INTUIT_RESP_ARRAY);
    }

    if (resp.value.type == NGX_INTUIT_RESP_ARRAY) {
        round_trip(f, &resp);
    }
}
