/*
 * Faults of Intuit's API: the three shapes, what only looks like one, and what
 * of a token may be in their details.
 */

#include "ngx_intuit_fault.h"
#include "ngx_intuit_stub.h"
#include "test.h"


typedef struct {
    const char   *body;
    const char   *code;      /* NULL: no fault */
    const char   *type;
    const char   *message;
    const char   *detail;
} fault_case_t;

typedef struct {
    const char   *body;
    const char   *redacted;
} redact_case_t;


static ngx_pool_t  *pool;


#define XML  "<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"yes\"?>"
#define NS   "xmlns=\"http://schema.intuit.com/finance/v3\""


static const fault_case_t  cases[] = {

    /* the gateway's */
    { "{\"warnings\":null,\"intuitObject\":null,\"fault\":{\"error\":[{"
      "\"message\":\"message=AuthenticationFailed; errorCode=003200; "
      "statusCode=401\",\"detail\":\"Token expired: AB01XyZ9876\","
      "\"code\":\"3200\",\"element\":null}],\"type\":\"AUTHENTICATION\"},"
      "\"report\":null,\"cdcresponse\":[]}",
      "3200", "AUTHENTICATION", "message=AuthenticationFailed; "
      "errorCode=003200; statusCode=401", "Token expired: ***********" },

    /* the service's */
    { "{\"Fault\":{\"Error\":[{\"Message\":\"Duplicate\",\"Detail\":\"x\","
      "\"code\":\"6140\",\"element\":\"\"}],\"type\":\"ValidationFault\"},"
      "\"time\":\"2026-01-01T00:00:00.000-08:00\"}",
      "6140", "ValidationFault", "Duplicate", "x" },
    { "\xef\xbb\xbf \t {\"Fault\":{\"Error\":[{\"code\":2020}]}}",
      "2020", "", "", "" },
    { "{\"fault\":{\"error\":[{},{\"code\":\"2\"}]}}", "", "", "", "" },
    { "{\"fault\":{\"error\":[{\"code\":\"1\"},{\"code\":\"2\"}]}}",
      "1", "", "", "" },
    { "{\"fault\":{\"error\":[{\"code\":\"12345678901234567890\"}]}}",
      "1234567890123456", "", "", "" },
    { "{\"fault\":{\"error\":[{\"code\":\"a\\r\\nb\\\"\"}]}}",
      "a??b?", "", "", "" },
    { "{\"fault\":{\"error\":[{\"code\":{},\"message\":7}]}}",
      "", "", "", "" },

    /* XML */
    { XML "<IntuitResponse time=\"2026-01-01\" " NS ">"
      "<Fault type=\"AuthenticationFault\"><Error code=\"130\">"
      "<Message>Accessing Wrong Cluster</Message><Detail>d</Detail>"
      "</Error></Fault></IntuitResponse>",
      "130", "AuthenticationFault", "Accessing Wrong Cluster", "d" },
    { "<Fault type='a'><Error element=\"code\" code='100' x=\"1\"/>"
      "<Message>m</Message></Fault>", "100", "a", "m", "" },
    { "<q:IntuitResponse xmlns:q=\"u\"><q:Fault><q:Error code=\"610\">"
      "<q:Message>m &amp; m</q:Message></q:Error></q:Fault>",
      "610", "", "m &amp; m", "" },
    { "<!-- it's --><Fault><Error code = \"3\"><Detail>Token: AB01XY99</Detail>"
      "</Error>", "3", "", "", "Token: ********" },
    { "<Fault><Error code=\"1\"></Error><Error code=\"2\"></Error></Fault>",
      "1", "", "", "" },
    { "<Fault><Error xcode=\"1\" codex=\"2\"></Error>", "", "", "", "" },
    { "<Fault><Error code=\"a>b\"></Error>", "a>b", "", "", "" },
    { "<Fault><Error code=\"1\"><Message>cut", "1", "", "cut", "" },

    /* none */
    { "", NULL, NULL, NULL, NULL },
    { " ", NULL, NULL, NULL, NULL },
    { "{", NULL, NULL, NULL, NULL },
    { "{}", NULL, NULL, NULL, NULL },
    { "[]", NULL, NULL, NULL, NULL },
    { "not a fault", NULL, NULL, NULL, NULL },
    { "{\"fault\":null}", NULL, NULL, NULL, NULL },
    { "{\"fault\":{}}", NULL, NULL, NULL, NULL },
    { "{\"fault\":{\"error\":[]}}", NULL, NULL, NULL, NULL },
    { "{\"fault\":{\"error\":{\"code\":\"1\"}}}", NULL, NULL, NULL, NULL },
    { "{\"x\":{\"fault\":{\"error\":[{\"code\":\"1\"}]}}}", NULL, NULL, NULL,
      NULL },
    { "<", NULL, NULL, NULL, NULL },
    { "<>", NULL, NULL, NULL, NULL },
    { "<!", NULL, NULL, NULL, NULL },
    { "<html><body>502 Bad Gateway</body></html>", NULL, NULL, NULL, NULL },
    { "<html><Fault><Error code=\"1\"></Error></Fault></html>", NULL, NULL,
      NULL, NULL },
    { "<IntuitResponse>", NULL, NULL, NULL, NULL },
    { "<IntuitResponse><QueryResponse/></IntuitResponse>", NULL, NULL, NULL,
      NULL },
    { "<Fault type=\"x\"></Fault>", NULL, NULL, NULL, NULL },
    { "</Fault><Error code=\"1\"></Error>", NULL, NULL, NULL, NULL },
    { "<Fault></Error>", NULL, NULL, NULL, NULL },
    { "<Fault", NULL, NULL, NULL, NULL },
    { "<Fault a=\">", NULL, NULL, NULL, NULL },

    { NULL, NULL, NULL, NULL, NULL }
};


static const redact_case_t  redact_cases[] = {
    { "{\"detail\":\"Token expired: AB01abcdef\",\"code\":\"AB01abcdef\"}",
      "{\"detail\":\"Token expired: **********\",\"code\":\"AB01abcdef\"}" },
    { "{\"Detail\" : \"eyJ.x-9_\"}", "{\"Detail\" : \"********\"}" },
    { "{\"detail\":\"abcdef 123456 ab12 a.b.c- 2\"}",
      "{\"detail\":\"abcdef 123456 ab12 a.b.c- 2\"}" },
    { "{\"detail\":null,\"x\":\"AB01abcdef\"}",
      "{\"detail\":null,\"x\":\"AB01abcdef\"}" },
    { "{\"x\":\"detail\",\"y\":\"AB01abcdef\"}",
      "{\"x\":\"detail\",\"y\":\"AB01abcdef\"}" },
    { "{\"details\":\"AB01abcdef\"}", "{\"details\":\"AB01abcdef\"}" },
    { "{\"detail\":\"a\\u00e9b1c2 \\\"AB01abcdef\\\" \\\\AB01abcd\"}",
      "{\"detail\":\"a\\u00e9b1c2 \\\"**********\\\" \\\\********\"}" },
    { "{\"detail\":\"AB01abc", "{\"detail\":\"*******" },
    { "{\"detail\":\"AB01abc\\", "{\"detail\":\"*******\\" },
    { "{\"detail\":\"\\u12", "{\"detail\":\"\\u12" },
    { "<Fault><Error code=\"AB01abcd\"><Message>AB01abcd</Message>"
      "<Detail>T: AB01abcd</Detail><Detail>AB01abce",
      "<Fault><Error code=\"AB01abcd\"><Message>AB01abcd</Message>"
      "<Detail>T: ********</Detail><Detail>********" },
    { "<a:Detail x=\"1\"><![CDATA[AB01abcd]]></a:Detail>AB01abcd",
      "<a:Detail x=\"1\"><![CDATA[********]]></a:Detail>AB01abcd" },
    { "<Detail>&#x41b1c2;b1c2d3 a&b1c2d3e4</Detail>",
      "<Detail>&#x41b1c2;****** a&********</Detail>" },
    { "{\"det\\u0061i\\u006C\":\"AB01abcdef\"}",
      "{\"det\\u0061i\\u006C\":\"**********\"}" },
    { "{\"detail\":\"\\u0041B01\\u0061b T\\u006fken\"}",
      "{\"detail\":\"**************** T\\u006fken\"}" },
    { "{\"detail\":[\"AB01abc\",{\"x\":[\"AB01abd\",1],\"y\":\"AB01abe\"},"
      "\"AB01abf\"],\"z\":\"AB01abg\"}",
      "{\"detail\":[\"*******\",{\"x\":[\"*******\",1],\"y\":\"*******\"},"
      "\"*******\"],\"z\":\"AB01abg\"}" },
    { "<detail>&#65;B01&#x61;b &lt;AB01abcd&gt;</detail>AB01abcd",
      "<detail>*************** &lt;********&gt;</detail>AB01abcd" },
    { "<Detail><![CDATA[a </b>AB01abcd</a>]]> AB01abcd</x:Detail >AB01abcd:a",
      "<Detail><![CDATA[a </b>********</a>]]> ********</x:Detail >AB01abcd:a" },
    { "<Detail/><Error code=\"AB01abcd\">", "<Detail/><Error code=\"AB01abcd\">" },
    { "plain AB01abcdef", "plain AB01abcdef" },
    { "", "" },

    { NULL, NULL }
};


static void
test_parse(const fault_case_t *c)
{
    ngx_int_t           rc;
    ngx_str_t           body;
    ngx_intuit_fault_t  fault;

    body = ngx_intuit_stub_str(pool, c->body);

    rc = ngx_intuit_fault_parse(pool, &body, &fault);

    if (c->code == NULL) {
        ok(rc == NGX_DECLINED, "no fault: %s", c->body);
        return;
    }

    ok(rc == NGX_OK, "a fault: %s", c->body);
    is_str(&fault.code, c->code, "code %s", c->code);
    is_str(&fault.type, c->type, "type %s", c->type);
    is_str(&fault.message, c->message, "message %s", c->message);
    is_str(&fault.detail, c->detail, "detail %s", c->detail);
}


/* whatever the point at which memory ends */

static void
test_memory(const fault_case_t *c)
{
    ngx_int_t           n;
    ngx_str_t           body;
    ngx_uint_t          before, needed;
    ngx_intuit_fault_t  fault;

    body = ngx_intuit_stub_str(pool, c->body);

    before = ngx_intuit_stub_allocations();
    (void) ngx_intuit_fault_parse(pool, &body, &fault);
    needed = ngx_intuit_stub_allocations() - before;

    for (n = 0; n < (ngx_int_t) needed; n++) {
        ngx_intuit_stub_fail_after(n);
        (void) ngx_intuit_fault_parse(pool, &body, &fault);
        ngx_intuit_stub_fail_after(-1);
    }

    ok(needed > 0, "%u allocations, each of which may fail",
       (unsigned) needed);
}


static void
test_long(void)
{
    u_char             *p;
    ngx_str_t           body;
    ngx_intuit_fault_t  fault;

    /* a word that is cut at the end of what is kept is redacted all the same */

    body.data = ngx_palloc(pool, 512);
    p = ngx_cpymem(body.data, "<Fault><Error><Detail>", 22);
    ngx_memset(p, ' ', 125);
    p = ngx_cpymem(p + 125, "AB01abcdefgh</Detail>", 21);
    body.len = p - body.data;

    ok(ngx_intuit_fault_parse(pool, &body, &fault) == NGX_OK, "a long detail");
    ok(fault.detail.len == NGX_INTUIT_FAULT_TEXT
       && ngx_memcmp(fault.detail.data + 124, " ***", 4) == 0,
       "cut, and redacted");
}


int
main(void)
{
    ngx_str_t             body;
    ngx_uint_t            i;
    const redact_case_t  *r;

    pool = ngx_intuit_stub_pool();

    for (i = 0; cases[i].body; i++) {
        test_parse(&cases[i]);
    }

    test_memory(&cases[0]);
    test_memory(&cases[8]);
    test_long();

    for (r = redact_cases; r->body; r++) {
        body = ngx_intuit_stub_str(pool, r->body);
        ngx_intuit_fault_redact(&body);
        is_str(&body, r->redacted, "redacted: %s", r->body);
    }

    ngx_destroy_pool(pool);

    return done_testing();
}
