/*
 * The promise: a well signed ID token is believed only for this issuer, this
 * client, this login and this time.  The attacks: borrowed tokens, and numbers
 * and strings that others misread.
 *
 * Rows: ID-01 ID-06 ID-09 F-CLK-01
 */

#include "test.h"
#include "jwt_fixture.h"


static ngx_int_t
check(ngx_pool_t *pool, const char *claims, ngx_intuit_jwt_rules_t *rules,
    ngx_intuit_jwt_t *jwt, const char **reason)
{
    ngx_str_t  text;

    text = unsigned_token(pool, HEADER, claims);
    *reason = NULL;

    if (ngx_intuit_jwt_parse(pool, &text, jwt, reason) != NGX_OK) {
        printf("# not parsed: %s\n", claims);
        return NGX_ABORT;
    }

    return ngx_intuit_jwt_check(pool, jwt, rules, reason);
}


static void
check_cases(ngx_pool_t *pool, const case_t *cases, size_t n,
    ngx_intuit_jwt_rules_t *rules)
{
    size_t             i;
    ngx_int_t          rc;
    const char        *reason;
    ngx_intuit_jwt_t   jwt;

    for (i = 0; i < n; i++) {
        rc = check(pool, cases[i].text, rules, &jwt, &reason);

        if (cases[i].reason == NULL) {
            ok(rc == NGX_OK, "taken: %s (%s)", cases[i].text,
               reason ? reason : "");

        } else {
            ok(rc == NGX_DECLINED && reason
               && strcmp(reason, cases[i].reason) == 0,
               "%s: %s", reason ? reason : "taken", cases[i].text);
        }
    }
}


static void
test_issuer_audience(ngx_pool_t *pool)
{
    ngx_intuit_jwt_rules_t  rules;

#define REST  EXP "," IAT "," SUB
#define bad_iss(text)                                                         \
    { "{" text AUD "," REST "}", "iss is not the issuer" }
#define aud(text, reason)  { "{" ISS "," text REST "}", reason }

    static const char  no_client[] = "aud does not hold the client";
    static const char  malformed[] = "aud is missing or malformed";
    static const char  no_azp[] = "aud has others, but no azp";
    static const char  bad_azp[] = "azp is not the client";

    static const case_t  cases[] = {
        { "{" BASE "}", NULL },
        bad_iss(""),
        bad_iss("\"iss\":null,"),
        bad_iss("\"iss\":\"\","),
        bad_iss("\"iss\":1,"),
        bad_iss("\"iss\":[\"https://op.example/op/v1\"],"),
        bad_iss("\"iss\":\"https://op.example/op/v1/\","),
        bad_iss("\"iss\":\"https://op.example/op/v\","),
        bad_iss("\"iss\":\"https://op.example/op/V1\","),
        bad_iss("\"iss\":\"https://OP.example/op/v1\","),
        bad_iss("\"iss\":\"http://op.example/op/v1\","),
        bad_iss("\"Iss\":\"https://op.example/op/v1\","),
        { "{\"iss\":\"https:\\/\\/op.example\\/op\\/v1\"," AUD "," REST "}",
          NULL },
        aud("\"aud\":\"client\",", NULL),
        aud("\"aud\":[\"client\"],", NULL),
        aud("\"aud\":[\"client\",\"client\"],", NULL),
        aud("\"aud\":[\"client\"],\"azp\":\"client\",", NULL),
        aud("\"aud\":[\"other\",\"client\"],\"azp\":\"client\",", NULL),
        aud("", malformed),
        aud("\"aud\":null,", malformed),
        aud("\"aud\":1,", malformed),
        aud("\"aud\":true,", malformed),
        aud("\"aud\":{\"client\":1},", malformed),
        aud("\"aud\":[\"client\",1],", malformed),
        aud("\"aud\":[\"client\",null],", malformed),
        aud("\"aud\":[[\"client\"]],", malformed),
        aud("\"aud\":[],", no_client),
        aud("\"aud\":\"\",", no_client),
        aud("\"aud\":\"other\",", no_client),
        aud("\"aud\":[\"other\"],", no_client),
        aud("\"aud\":\"clien\",", no_client),
        aud("\"aud\":\"client2\",", no_client),
        aud("\"aud\":\"client other\",", no_client),
        aud("\"aud\":\"CLIENT\",", no_client),
        aud("\"aud\":[\"a\",\"b\"],\"azp\":\"client\",", no_client),
        aud("\"aud\":[\"client\",\"other\"],", no_azp),
        aud("\"aud\":[\"other\",\"client\"],", no_azp),
        aud("\"aud\":[\"client\",\"\"],", no_azp),
        aud("\"aud\":[\"client\"],\"azp\":\"other\",", bad_azp),
        aud("\"aud\":\"client\",\"azp\":\"other\",", bad_azp),
        aud("\"aud\":[\"client\",\"other\"],\"azp\":\"other\",", bad_azp),
        aud("\"aud\":\"client\",\"azp\":\"\",", bad_azp),
        aud("\"aud\":\"client\",\"azp\":null,", bad_azp),
        aud("\"aud\":\"client\",\"azp\":[\"client\"],", bad_azp),
        aud("\"aud\":\"client\",\"azp\":1,", bad_azp),
    };

    rules_init(&rules);
    check_cases(pool, cases, len_of(cases), &rules);
}


static void
test_times(ngx_pool_t *pool)
{
    const char              *reason;
    ngx_intuit_jwt_t         jwt;
    ngx_intuit_jwt_rules_t   rules;

#define times(text, reason)  { "{" ISS "," AUD "," SUB text "}", reason }

    static const char  no_exp[] = "exp is missing or malformed";
    static const char  expired[] = "token has expired";
    static const char  no_iat[] = "iat is missing or malformed";
    static const char  future[] = "iat lies in the future";
    static const char  no_nbf[] = "nbf is malformed";
    static const char  early[] = "nbf lies in the future";

    static const case_t  cases[] = {
        times("," EXP "," IAT, NULL),
        /* the borders: now is ...0000, the leeway 60 */
        times(",\"exp\":1699999941," IAT, NULL),
        times(",\"exp\":1699999940," IAT, expired),
        times(",\"exp\":1699999939," IAT, expired),
        times(",\"exp\":0," IAT, expired),
        times(",\"exp\":9007199254740992," IAT, NULL),
        times("," IAT, no_exp),
        times(",\"exp\":null," IAT, no_exp),
        times(",\"exp\":9007199254740993," IAT, no_exp),
        times(",\"exp\":9223372036854775807," IAT, no_exp),
        times(",\"exp\":9223372036854775808," IAT, no_exp),
        times(",\"exp\":1e300," IAT, no_exp),
        times(",\"exp\":-1e300," IAT, no_exp),
        times(",\"exp\":-1," IAT, no_exp),
        times(",\"exp\":-9223372036854775808," IAT, no_exp),
        times(",\"exp\":1700003600.5," IAT, no_exp),
        times(",\"exp\":1700003600.0," IAT, NULL),
        times(",\"exp\":1.7000036e9," IAT, NULL),
        times(",\"exp\":\"1700003600\"," IAT, no_exp),
        times(",\"exp\":\"never\"," IAT, no_exp),
        times(",\"exp\":\"\"," IAT, no_exp),
        times(",\"exp\":true," IAT, no_exp),
        times(",\"exp\":[1700003600]," IAT, no_exp),
        times(",\"exp\":{}," IAT, no_exp),
        times("," EXP ",\"iat\":1700000060", NULL),
        times("," EXP ",\"iat\":1700000061", future),
        times("," EXP ",\"iat\":0", NULL),
        times("," EXP ",\"iat\":9007199254740992", future),
        times("," EXP, no_iat),
        times("," EXP ",\"iat\":null", no_iat),
        times("," EXP ",\"iat\":-1", no_iat),
        times("," EXP ",\"iat\":1e300", no_iat),
        times("," EXP ",\"iat\":\"1700000000\"", no_iat),
        times("," EXP ",\"iat\":1700000000.25", no_iat),
        times("," EXP "," IAT ",\"nbf\":1700000060", NULL),
        times("," EXP "," IAT ",\"nbf\":1700000061", early),
        times("," EXP "," IAT ",\"nbf\":0", NULL),
        times("," EXP "," IAT ",\"nbf\":null", no_nbf),
        times("," EXP "," IAT ",\"nbf\":-1", no_nbf),
        times("," EXP "," IAT ",\"nbf\":1e300", no_nbf),
        times("," EXP "," IAT ",\"nbf\":\"1\"", no_nbf),
        times("," EXP "," IAT ",\"nbf\":{}", no_nbf),
    };

    rules_init(&rules);
    check_cases(pool, cases, len_of(cases), &rules);

    ok(check(pool, "{" BASE "}", &rules, &jwt, &reason) == NGX_OK
       && jwt.exp == NOW + 3600 && jwt.iat == NOW, "times are handed out");

    rules.leeway = 0;
    rules.now = NOW + 3599;
    ok(check(pool, "{" BASE "}", &rules, &jwt, &reason) == NGX_OK,
       "no leeway: the last second");
    rules.now = NOW + 3600;
    ok(check(pool, "{" BASE "}", &rules, &jwt, &reason) == NGX_DECLINED,
       "no leeway: one later");
    rules.now = NOW - 1;
    ok(check(pool, "{" BASE "}", &rules, &jwt, &reason) == NGX_DECLINED,
       "no leeway: before it was issued");
}


static void
test_subject(ngx_pool_t *pool)
{
    size_t                   len;
    char                     sub[300], claims[600];
    const char              *reason;
    ngx_intuit_jwt_t         jwt;
    ngx_intuit_jwt_rules_t   rules;

#define sub_is(text, reason)                                                  \
    { "{" ISS "," AUD "," EXP "," IAT text "}", reason }

    static const char  missing[] = "sub is missing or malformed";
    static const char  odd[] = "sub is not printable";

    static const case_t  cases[] = {
        sub_is(",\"sub\":\"a\"", NULL),
        sub_is(",\"sub\":\"a b~!\"", NULL),
        sub_is("", missing),
        sub_is(",\"sub\":null", missing),
        sub_is(",\"sub\":\"\"", missing),
        sub_is(",\"sub\":1", missing),
        sub_is(",\"sub\":true", missing),
        sub_is(",\"sub\":[\"a\"]", missing),
        sub_is(",\"sub\":{}", missing),
        sub_is(",\"Sub\":\"a\"", missing),
        sub_is(",\"sub\":\"\\u00e9\"", odd),
        sub_is(",\"sub\":\"a\\n\"", odd),
        sub_is(",\"sub\":\"a\\r\\nX: y\"", odd),
        sub_is(",\"sub\":\"\\u007f\"", odd),
        sub_is(",\"sub\":\"\\u0001\"", odd),
        sub_is(",\"sub\":\"\\u202e\"", odd),
    };

    rules_init(&rules);
    check_cases(pool, cases, len_of(cases), &rules);

    for (len = 254; len <= 257; len++) {
        memset(sub, 'x', sizeof(sub));
        sub[len] = '\0';
        snprintf(claims, sizeof(claims),
                 "{" ISS "," AUD "," EXP "," IAT ",\"sub\":\"%s\"}", sub);

        ok(check(pool, claims, &rules, &jwt, &reason)
           == (len <= 255 ? NGX_OK : NGX_DECLINED), "sub of %zu bytes", len);
    }

    check(pool, "{" BASE "}", &rules, &jwt, &reason);
    is_str(&jwt.sub, "user-1", "sub is handed out");
}


static void
test_nonce(ngx_pool_t *pool)
{
    ngx_intuit_jwt_rules_t  rules;

#define more(text, reason)  { "{" BASE text "}", reason }

    static const char  other[] = "nonce is not the one sent";
    static const char  unasked[] = "nonce, but none was sent";

    static const case_t  sent[] = {
        more("", NULL),
        more(",\"nonce\":\"n-1\"", NULL),
        more(",\"nonce\":\"n-2\"", other),
        more(",\"nonce\":\"n-\"", other),
        more(",\"nonce\":\"n-11\"", other),
        more(",\"nonce\":\"N-1\"", other),
        more(",\"nonce\":\"\"", other),
        more(",\"nonce\":null", other),
        more(",\"nonce\":1", other),
        more(",\"nonce\":[\"n-1\"]", other),
    };

    static const case_t  required[] = {
        more("", "nonce is missing"),
        more(",\"nonce\":null", other),
        more(",\"nonce\":\"n-2\"", other),
        more(",\"nonce\":\"n-1\"", NULL),
    };

    static const case_t  not_sent[] = {
        more("", NULL),
        more(",\"nonce\":\"n-1\"", unasked),
        more(",\"nonce\":\"\"", unasked),
        more(",\"nonce\":null", unasked),
    };

    rules_init(&rules);
    check_cases(pool, not_sent, len_of(not_sent), &rules);

    ngx_str_set(&rules.nonce, "n-1");
    check_cases(pool, sent, len_of(sent), &rules);

    rules.nonce_required = 1;
    check_cases(pool, required, len_of(required), &rules);
}


static void
test_at_hash(ngx_pool_t *pool)
{
    ngx_intuit_jwt_rules_t  rules;

    static const char  other[] = "at_hash is not the token's";

    /* SHA-256("abc") is ba7816bf8f01cfea414140de5dae2223 b00361a3... */
    static const case_t  cases[] = {
        more("", NULL),
        more(",\"at_hash\":\"ungWv48Bz-pBQUDeXa4iIw\"", NULL),
        more(",\"at_hash\":\"ungWv48Bz-pBQUDeXa4iIg\"", other),
        more(",\"at_hash\":\"ungWv48Bz-pBQUDeXa4iI\"", other),
        more(",\"at_hash\":\"ungWv48Bz-pBQUDeXa4iIw==\"", other),
        more(",\"at_hash\":\"ungWv48Bz+pBQUDeXa4iIw\"", other),
        more(",\"at_hash\":\"ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0\"",
             other),
        more(",\"at_hash\":\"\"", other),
        more(",\"at_hash\":null", other),
        more(",\"at_hash\":1", other),
    };

    static const case_t  unchecked[] = {
        more(",\"at_hash\":\"x\"", NULL),
    };

    rules_init(&rules);
    check_cases(pool, unchecked, len_of(unchecked), &rules);

    ngx_str_set(&rules.access_token, "abc");
    check_cases(pool, cases, len_of(cases), &rules);
}


static void
test_realm(ngx_pool_t *pool)
{
    size_t                   i;
    const char              *reason;
    ngx_intuit_jwt_t         jwt;
    ngx_intuit_jwt_rules_t   rules;

    static const char  malformed[] = "realmid is malformed";

    static const case_t  cases[] = {
        more(",\"realmid\":\"\"", malformed),
        more(",\"realmid\":\"abc\"", malformed),
        more(",\"realmid\":\"12a\"", malformed),
        more(",\"realmid\":\" 12\"", malformed),
        more(",\"realmid\":\"-12\"", malformed),
        more(",\"realmid\":\"12\\n\"", malformed),
        more(",\"realmid\":\"123456789012345678901\"", malformed),
        more(",\"realmid\":-12", malformed),
        more(",\"realmid\":1.5", malformed),
        more(",\"realmid\":1e300", malformed),
        more(",\"realmid\":18446744073709551616", malformed),
        more(",\"realmid\":true", malformed),
        more(",\"realmid\":[]", malformed),
        more(",\"realmid\":[\"12\"]", malformed),
        more(",\"realmid\":{}", malformed),
        more(",\"realmId\":\"x\"", malformed),
        more(",\"realmid\":\"12\",\"realmId\":\"x\"", malformed),
        more(",\"realmid\":\"12\",\"realmId\":\"13\"",
             "realmid and realmId differ"),
    };

    static const char *const  taken[][2] = {
        { "{" BASE "}", "" },
        { "{" BASE ",\"realmid\":null}", "" },
        { "{" BASE ",\"realmid\":\"1\"}", "1" },
        { "{" BASE ",\"realmid\":\"12345678901234567890\"}",
          "12345678901234567890" },
        { "{" BASE ",\"realmId\":\"4620816365291273780\"}",
          "4620816365291273780" },
        { "{" BASE ",\"realmid\":4620816365291273780}",
          "4620816365291273780" },
        { "{" BASE ",\"realmid\":\"12\",\"realmId\":12}", "12" },
    };

    rules_init(&rules);
    check_cases(pool, cases, len_of(cases), &rules);

    for (i = 0; i < len_of(taken); i++) {
        ok(check(pool, taken[i][0], &rules, &jwt, &reason) == NGX_OK,
           "taken: %s", taken[i][0]);
        is_str(&jwt.realmid, taken[i][1], "as \"%s\"", taken[i][1]);
    }
}


int
main(void)
{
    ngx_pool_t  *pool;

    pool = ngx_intuit_stub_pool();

    test_issuer_audience(pool);
    test_times(pool);
    test_subject(pool);
    test_nonce(pool);
    test_at_hash(pool);
    test_realm(pool);

    ngx_destroy_pool(pool);

    return done_testing();
}
