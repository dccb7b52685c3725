/*
 * RESP2: answers in one piece and in many, and what is none.
 *
 * Rows: F-RED-04, F-RED-06, LES-07
 */

#include "ngx_intuit_resp.h"
#include "ngx_intuit_stub.h"
#include "test.h"


#define MAX  16


typedef struct {
    const char              *in;
    ngx_int_t                rc;
    ngx_intuit_resp_type_e   type;
    const char              *text;       /* NULL: none */
    int64_t                  number;
} resp_case_t;


static ngx_pool_t  *pool;


static const resp_case_t  cases[] = {
    { "+OK\r\n", NGX_OK, NGX_INTUIT_RESP_STATUS, "OK", 0 },
    { "+\r\n", NGX_OK, NGX_INTUIT_RESP_STATUS, "", 0 },
    { "-ERR no\r\n", NGX_OK, NGX_INTUIT_RESP_ERROR, "ERR no", 0 },
    { ":0\r\n", NGX_OK, NGX_INTUIT_RESP_NUMBER, NULL, 0 },
    { ":-2\r\n", NGX_OK, NGX_INTUIT_RESP_NUMBER, NULL, -2 },
    { ":123456789012345678\r\n", NGX_OK, NGX_INTUIT_RESP_NUMBER, NULL,
      123456789012345678 },
    { "$3\r\nabc\r\n", NGX_OK, NGX_INTUIT_RESP_STRING, "abc", 0 },
    { "$0\r\n\r\n", NGX_OK, NGX_INTUIT_RESP_STRING, "", 0 },
    { "$4\r\n\r\n+A\r\n", NGX_OK, NGX_INTUIT_RESP_STRING, "\r\n+A", 0 },
    { "$16\r\n0123456789abcdef\r\n", NGX_OK, NGX_INTUIT_RESP_STRING,
      "0123456789abcdef", 0 },
    { "$-1\r\n", NGX_OK, NGX_INTUIT_RESP_NIL, NULL, 0 },
    { "*-1\r\n", NGX_OK, NGX_INTUIT_RESP_NIL, NULL, 0 },
    { "*0\r\n", NGX_OK, NGX_INTUIT_RESP_ARRAY, NULL, 0 },
    { "*3\r\n$1\r\na\r\n$-1\r\n:5\r\n", NGX_OK, NGX_INTUIT_RESP_ARRAY, NULL,
      3 },

    /* no end, or another one */
    { "+O\nK\r\n", NGX_DECLINED, 0, NULL, 0 },
    { "+O\rK\r\n", NGX_DECLINED, 0, NULL, 0 },
    { "$1\r\nab\r\n", NGX_DECLINED, 0, NULL, 0 },
    { "$3\r\na\r\nbc", NGX_DECLINED, 0, NULL, 0 },
    { "$1\r\na\rb", NGX_DECLINED, 0, NULL, 0 },

    /* numbers in another way than the servers write them */
    { ":\r\n", NGX_DECLINED, 0, NULL, 0 },
    { ":-\r\n", NGX_DECLINED, 0, NULL, 0 },
    { ":-0\r\n", NGX_DECLINED, 0, NULL, 0 },
    { ":01\r\n", NGX_DECLINED, 0, NULL, 0 },
    { ":+1\r\n", NGX_DECLINED, 0, NULL, 0 },
    { ": 1\r\n", NGX_DECLINED, 0, NULL, 0 },
    { ":1 \r\n", NGX_DECLINED, 0, NULL, 0 },
    { ":1a\r\n", NGX_DECLINED, 0, NULL, 0 },
    { ":1234567890123456789\r\n", NGX_DECLINED, 0, NULL, 0 },
    { "$-2\r\n", NGX_DECLINED, 0, NULL, 0 },
    { "*-2\r\n", NGX_DECLINED, 0, NULL, 0 },

    /* too much */
    { "$17\r\n", NGX_DECLINED, 0, NULL, 0 },
    { "$536870912\r\n", NGX_DECLINED, 0, NULL, 0 },
    { "$123456789012345678\r\n", NGX_DECLINED, 0, NULL, 0 },
    { "*9\r\n", NGX_DECLINED, 0, NULL, 0 },
    { "*1000000000\r\n", NGX_DECLINED, 0, NULL, 0 },

    /* other shapes, RESP3, other protocols */
    { "*1\r\n*0\r\n", NGX_DECLINED, 0, NULL, 0 },
    { "*1\r\n*1\r\n:1\r\n", NGX_DECLINED, 0, NULL, 0 },
    { ">1\r\n+a\r\n", NGX_DECLINED, 0, NULL, 0 },
    { "_\r\n", NGX_DECLINED, 0, NULL, 0 },
    { "%0\r\n", NGX_DECLINED, 0, NULL, 0 },
    { "HTTP/1.1 400 Bad Request\r\n", NGX_DECLINED, 0, NULL, 0 },
    { "\r\n", NGX_DECLINED, 0, NULL, 0 },
    { "\x15\x03\x01", NGX_DECLINED, 0, NULL, 0 },
};


static void
test_case(const resp_case_t *c)
{
    size_t              n, len;
    u_char             *pos;
    ngx_int_t           rc;
    ngx_str_t           in;
    ngx_uint_t          early;
    ngx_intuit_resp_t   resp;

    len = strlen(c->in);
    early = 0;

    for (n = 0; n < len; n++) {
        in = ngx_intuit_stub_mem(pool, c->in, n);
        pos = in.data;
        rc = ngx_intuit_resp_parse(&pos, in.data + n, MAX, &resp);

        if (rc == NGX_OK || pos != in.data
            || (rc == NGX_DECLINED && c->rc == NGX_OK))
        {
            early = 1;
        }
    }

    ok(!early, "nothing is said too early");

    in = ngx_intuit_stub_mem(pool, c->in, len);
    pos = in.data;
    rc = ngx_intuit_resp_parse(&pos, in.data + len, MAX, &resp);

    if (!ok(rc == c->rc, "answer %d: %d", (int) (c - cases), (int) c->rc) || rc != NGX_OK) {
        return;
    }

    ok(pos == in.data + len, "... to its end");
    ok(resp.value.type == c->type, "... type");
    ok(resp.value.number == c->number, "... number");

    if (c->text) {
        is_str(&resp.value.text, c->text, "... text");
    }
}


static void
test_array(void)
{
    u_char             *pos;
    ngx_str_t           in;
    ngx_intuit_resp_t   resp;

    in = ngx_intuit_stub_str(pool, "*3\r\n$1\r\na\r\n$-1\r\n:5\r\n+OK\r\n");
    pos = in.data;

    ok(ngx_intuit_resp_parse(&pos, in.data + in.len, MAX, &resp) == NGX_OK
       && resp.nitems == 3, "an array");
    is_str(&resp.items[0].text, "a", "... its first");
    ok(resp.items[1].type == NGX_INTUIT_RESP_NIL, "... its second");
    ok(resp.items[2].number == 5, "... its third");

    ok(ngx_intuit_resp_parse(&pos, in.data + in.len, MAX, &resp) == NGX_OK,
       "and the answer after it");
    is_str(&resp.value.text, "OK", "... is its own");
    ok(pos == in.data + in.len, "... and the last");
}


static void
test_line(void)
{
    u_char             *pos;
    ngx_str_t           in;
    ngx_intuit_resp_t   resp;

    in.len = NGX_INTUIT_RESP_LINE + 3;
    in.data = ngx_palloc(pool, in.len);
    memset(in.data, 'a', in.len);
    in.data[0] = '-';
    memcpy(in.data + in.len - 2, "\r\n", 2);

    pos = in.data;
    ok(ngx_intuit_resp_parse(&pos, in.data + in.len, MAX, &resp) == NGX_OK,
       "the longest line");

    memset(in.data + 1, 'a', in.len - 1);
    pos = in.data;
    ok(ngx_intuit_resp_parse(&pos, in.data + in.len, MAX, &resp)
       == NGX_DECLINED, "a longer one is not waited for");
}


static void
test_request(void)
{
    ngx_str_t  args[3], out;

    args[0] = ngx_intuit_stub_str(pool, "SET");
    args[1] = ngx_intuit_stub_str(pool, "k\r\n*1\r\n");
    args[2] = ngx_intuit_stub_str(pool, "");

    ok(ngx_intuit_resp_request(pool, args, 3, &out) == NGX_OK, "a request");
    is_str(&out, "*3\r\n$3\r\nSET\r\n$7\r\nk\r\n*1\r\n\r\n$0\r\n\r\n",
           "... with lengths, whatever is in it");
}


static void
test_kind(const char *text, ngx_intuit_resp_kind_e kind)
{
    ngx_str_t  error;

    error = ngx_intuit_stub_str(pool, text);

    ok(ngx_intuit_resp_kind(&error) == kind, "\"%s\" is of kind %d", text,
       (int) kind);
}


int
main(void)
{
    size_t  i;

    pool = ngx_intuit_stub_pool();

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        test_case(&cases[i]);
    }

    test_array();
    test_line();
    test_request();

    test_kind("READONLY You can't write against a read only replica.",
              NGX_INTUIT_RESP_ELSEWHERE);
    test_kind("LOADING Redis is loading", NGX_INTUIT_RESP_ELSEWHERE);
    test_kind("MASTERDOWN Link with MASTER is down",
              NGX_INTUIT_RESP_ELSEWHERE);
    test_kind("NOAUTH Authentication required.", NGX_INTUIT_RESP_REFUSED);
    test_kind("NOPERM this user", NGX_INTUIT_RESP_REFUSED);
    test_kind("OOM command not allowed", NGX_INTUIT_RESP_FULL);
    test_kind("MOVED 3999 127.0.0.1:6381", NGX_INTUIT_RESP_CLUSTER);
    test_kind("CLUSTERDOWN Hash slot not served", NGX_INTUIT_RESP_CLUSTER);
    test_kind("NOSCRIPT No matching script.", NGX_INTUIT_RESP_SCRIPT);
    test_kind("WRONGTYPE Operation", NGX_INTUIT_RESP_WRONG);
    test_kind("ERR READONLY", NGX_INTUIT_RESP_WRONG);
    test_kind("READONLYX", NGX_INTUIT_RESP_WRONG);
    test_kind("BUSY", NGX_INTUIT_RESP_ELSEWHERE);
    test_kind("", NGX_INTUIT_RESP_WRONG);

    ngx_destroy_pool(pool);

    return done_testing();
}
