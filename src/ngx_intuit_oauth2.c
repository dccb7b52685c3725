/*
 * OAuth 2.0 (RFC 6749) and OpenID Connect messages in Intuit's dialect.
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_intuit_args.h"
#include "ngx_intuit_crypto.h"
#include "ngx_intuit_header.h"
#include "ngx_intuit_oauth2.h"
#include <jansson.h>


#define NGX_INTUIT_SCOPE_SIZE          4096
#define NGX_INTUIT_SUB_SIZE            255
#define NGX_INTUIT_COMPANY_SIZE        1024

#define NGX_INTUIT_ERROR_SIZE          64

#define NGX_INTUIT_EXPIRES_DEFAULT     3600


/* one name=value of a query string or a form; empty values can be left out */

typedef struct {
    const char   *name;
    ngx_str_t     value;
    ngx_uint_t    optional;
} ngx_intuit_form_arg_t;


static ngx_int_t ngx_intuit_form(ngx_pool_t *pool,
    const ngx_intuit_form_arg_t *args, ngx_str_t *out);
static ngx_int_t ngx_intuit_append_args(ngx_pool_t *pool,
    const ngx_str_t *args, const ngx_str_t *taken, ngx_str_t *query);

static const char *ngx_intuit_access_token(const ngx_intuit_json_t *json,
    ngx_intuit_tokens_t *t);
static const char *ngx_intuit_refresh_token(const ngx_intuit_json_t *json,
    ngx_intuit_tokens_t *t);
static const char *ngx_intuit_lifetimes(const ngx_intuit_json_t *json,
    ngx_intuit_tokens_t *t);
static time_t ngx_intuit_refresh_lifetime(const ngx_intuit_json_t *json,
    const char *name);
static ngx_uint_t ngx_intuit_b64token(const ngx_str_t *s);
static ngx_uint_t ngx_intuit_graphic(const ngx_str_t *s);
static void ngx_intuit_id_token(const ngx_intuit_json_t *json,
    ngx_str_t *id_token);
static void ngx_intuit_granted_scope(const ngx_intuit_json_t *json,
    ngx_str_t *scope);
static ngx_uint_t ngx_intuit_scope_holds(const ngx_str_t *scope,
    const ngx_str_t *word);


/*
 * The browser's way to Intuit must not carry a parameter twice (RFC 6749,
 * section 3.1): of the endpoint's and the configured arguments, those with a
 * name that is there already are left out.
 */

ngx_int_t
ngx_intuit_authorize_url(ngx_pool_t *pool, const ngx_str_t *endpoint,
    const ngx_intuit_authorize_t *a, ngx_str_t *url)
{
    u_char     *p;
    size_t      i;
    ngx_str_t   base, own, args, ours, query;

    ngx_intuit_form_arg_t  form[] = {
        { "client_id", a->client_id, 0 },
        { "response_type", ngx_string("code"), 0 },
        { "scope", a->scope, 0 },
        { "redirect_uri", a->redirect_uri, 0 },
        { "state", a->state, 0 },
        { "nonce", a->nonce, 1 },
        { "code_challenge", a->code_challenge, 1 },
        { "code_challenge_method", ngx_null_string, 1 },
        { NULL, ngx_null_string, 0 }
    };

    if (a->code_challenge.len != 0) {
        ngx_str_set(&form[7].value, "S256");
    }

    if (ngx_intuit_form(pool, form, &ours) != NGX_OK) {
        return NGX_ERROR;
    }

    base = *endpoint;
    ngx_str_null(&own);

    for (i = 0; i < endpoint->len; i++) {

        if (endpoint->data[i] == '?') {
            base.len = i;
            own.data = endpoint->data + i + 1;
            own.len = endpoint->len - i - 1;
            break;
        }
    }

    args = a->extra_args;

    p = ngx_pnalloc(pool, base.len + 1 + own.len + 1 + ours.len + 1 + args.len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    url->data = p;

    p = ngx_cpymem(p, base.data, base.len);
    *p++ = '?';

    query.data = p;
    query.len = 0;

    if (ngx_intuit_append_args(pool, &own, &ours, &query) != NGX_OK) {
        return NGX_ERROR;
    }

    if (query.len != 0) {
        query.data[query.len++] = '&';
    }

    ngx_memcpy(query.data + query.len, ours.data, ours.len);
    query.len += ours.len;

    if (ngx_intuit_append_args(pool, &args, NULL, &query) != NGX_OK) {
        return NGX_ERROR;
    }

    url->len = query.data + query.len - url->data;

    return NGX_OK;
}


/* appends the arguments that neither query nor taken has, with "&" before */

static ngx_int_t
ngx_intuit_append_args(ngx_pool_t *pool, const ngx_str_t *args,
    const ngx_str_t *taken, ngx_str_t *query)
{
    u_char     *p, *last, *end;
    ngx_int_t   rc;
    ngx_str_t   arg, raw, name;

    if (args->len == 0) {
        return NGX_OK;
    }

    last = args->data + args->len;

    for (p = args->data; p < last; p = end + 1) {

        end = ngx_strlchr(p, last, '&');
        if (end == NULL) {
            end = last;
        }

        arg.data = p;
        arg.len = end - p;

        raw.data = p;
        raw.len = 0;

        while (raw.len < arg.len && p[raw.len] != '=') {
            raw.len++;
        }

        if (raw.len == 0) {
            continue;
        }

        rc = ngx_intuit_unescape(pool, &raw, &name);

        if (rc == NGX_ERROR) {
            return NGX_ERROR;
        }

        if (rc == NGX_DECLINED
            || (taken != NULL && ngx_intuit_args_has(taken, &name))
            || ngx_intuit_args_has(query, &name))
        {
            continue;
        }

        if (query->len != 0) {
            query->data[query->len++] = '&';
        }

        ngx_memcpy(query->data + query->len, arg.data, arg.len);
        query->len += arg.len;
    }

    return NGX_OK;
}


/* args end with a NULL name */

static ngx_int_t
ngx_intuit_form(ngx_pool_t *pool, const ngx_intuit_form_arg_t *args,
    ngx_str_t *out)
{
    u_char                       *p;
    size_t                        len;
    const ngx_intuit_form_arg_t  *arg;

    len = 0;

    for (arg = args; arg->name != NULL; arg++) {
        len += ngx_strlen(arg->name) + sizeof("=&") - 1
               + ngx_intuit_escaped_len(&arg->value);
    }

    p = ngx_pnalloc(pool, len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    out->data = p;

    for (arg = args; arg->name != NULL; arg++) {

        if (arg->optional && arg->value.len == 0) {
            continue;
        }

        if (p != out->data) {
            *p++ = '&';
        }

        p = ngx_cpymem(p, arg->name, ngx_strlen(arg->name));
        *p++ = '=';
        p = ngx_intuit_escape(p, &arg->value);
    }

    out->len = p - out->data;

    return NGX_OK;
}


ngx_int_t
ngx_intuit_basic_auth(ngx_pool_t *pool, const ngx_str_t *client_id,
    const ngx_str_t *client_secret, ngx_str_t *value)
{
    u_char     *p;
    ngx_str_t   plain, encoded;

    static const char  scheme[] = "Basic ";

    plain.len = client_id->len + 1 + client_secret->len;

    plain.data = ngx_pnalloc(pool, plain.len);
    if (plain.data == NULL) {
        return NGX_ERROR;
    }

    p = ngx_pnalloc(pool,
                    sizeof(scheme) - 1 + ngx_base64_encoded_length(plain.len));
    if (p == NULL) {
        return NGX_ERROR;
    }

    value->data = p;

    encoded.data = ngx_cpymem(p, scheme, sizeof(scheme) - 1);

    p = ngx_cpymem(plain.data, client_id->data, client_id->len);
    *p++ = ':';
    ngx_memcpy(p, client_secret->data, client_secret->len);

    ngx_encode_base64(&encoded, &plain);

    ngx_intuit_cleanse(plain.data, plain.len);

    value->len = sizeof(scheme) - 1 + encoded.len;

    return NGX_OK;
}


ngx_int_t
ngx_intuit_code_request(ngx_pool_t *pool, const ngx_str_t *code,
    const ngx_str_t *redirect_uri, const ngx_str_t *verifier, ngx_str_t *body)
{
    ngx_intuit_form_arg_t  form[] = {
        { "grant_type", ngx_string("authorization_code"), 0 },
        { "code", *code, 0 },
        { "redirect_uri", *redirect_uri, 0 },
        { "code_verifier", *verifier, 1 },
        { NULL, ngx_null_string, 0 }
    };

    return ngx_intuit_form(pool, form, body);
}


ngx_int_t
ngx_intuit_refresh_request(ngx_pool_t *pool, const ngx_str_t *refresh_token,
    ngx_str_t *body)
{
    ngx_intuit_form_arg_t  form[] = {
        { "grant_type", ngx_string("refresh_token"), 0 },
        { "refresh_token", *refresh_token, 0 },
        { NULL, ngx_null_string, 0 }
    };

    return ngx_intuit_form(pool, form, body);
}


ngx_int_t
ngx_intuit_tokens_parse(ngx_pool_t *pool, const ngx_str_t *text,
    ngx_intuit_tokens_t *t, const char **reason)
{
    ngx_str_t           error;
    ngx_intuit_json_t  *json;

    ngx_memzero(t, sizeof(ngx_intuit_tokens_t));

    json = ngx_intuit_json_parse(pool, text);
    if (json == NULL) {
        *reason = "it is not a JSON object";
        return NGX_DECLINED;
    }

    /* whatever its type */

    if (ngx_intuit_json_string(json, "error", &error) != NGX_DECLINED) {
        *reason = "it has an \"error\"";
        return NGX_DECLINED;
    }

    *reason = ngx_intuit_access_token(json, t);

    if (*reason == NULL) {
        *reason = ngx_intuit_refresh_token(json, t);
    }

    if (*reason == NULL) {
        *reason = ngx_intuit_lifetimes(json, t);
    }

    if (*reason != NULL) {
        ngx_memzero(t, sizeof(ngx_intuit_tokens_t));
        return NGX_DECLINED;
    }

    ngx_intuit_id_token(json, &t->id_token);
    ngx_intuit_granted_scope(json, &t->scope);

    return NGX_OK;
}


static const char *
ngx_intuit_access_token(const ngx_intuit_json_t *json, ngx_intuit_tokens_t *t)
{
    ngx_str_t  type;

    if (ngx_intuit_json_string(json, "token_type", &type) != NGX_OK
        || !ngx_intuit_header_is(&type, "bearer"))
    {
        return "its token_type is not bearer";
    }

    if (ngx_intuit_json_string(json, "access_token", &t->access_token)
        != NGX_OK
        || t->access_token.len == 0)
    {
        return "it has no access_token";
    }

    if (t->access_token.len > NGX_INTUIT_TOKEN_SIZE) {
        return "its access_token is too long";
    }

    if (!ngx_intuit_b64token(&t->access_token)) {
        return "its access_token has a byte that no token has";
    }

    return NULL;
}


static const char *
ngx_intuit_refresh_token(const ngx_intuit_json_t *json, ngx_intuit_tokens_t *t)
{
    ngx_int_t  rc;

    rc = ngx_intuit_json_string(json, "refresh_token", &t->refresh_token);

    if (rc == NGX_ERROR || (rc == NGX_OK && t->refresh_token.len == 0)) {
        return "its refresh_token is no text";
    }

    if (rc == NGX_DECLINED) {
        ngx_str_null(&t->refresh_token);
    }

    if (t->refresh_token.len > NGX_INTUIT_REFRESH_SIZE) {
        return "its refresh_token is too long";
    }

    if (!ngx_intuit_graphic(&t->refresh_token)) {
        return "its refresh_token has a byte that no token has";
    }

    return NULL;
}


static const char *
ngx_intuit_lifetimes(const ngx_intuit_json_t *json, ngx_intuit_tokens_t *t)
{
    int64_t    n;
    ngx_int_t  rc;

    rc = ngx_intuit_json_integer(json, "expires_in", &n);

    if (rc == NGX_DECLINED) {
        n = NGX_INTUIT_EXPIRES_DEFAULT;

    } else if (rc != NGX_OK || n < 1) {
        return "its expires_in is no number of seconds";
    }

    t->expires_in = (time_t) ngx_min(n, NGX_INTUIT_EXPIRES_MAX);

    t->refresh_expires_in = ngx_intuit_refresh_lifetime(json,
                                             "x_refresh_token_expires_in");

    t->refresh_hard_expires_in = ngx_intuit_refresh_lifetime(json,
                                             "x_refresh_token_hard_expires_in");

    return NULL;
}


static time_t
ngx_intuit_refresh_lifetime(const ngx_intuit_json_t *json, const char *name)
{
    int64_t  n;

    if (ngx_intuit_json_integer(json, name, &n) != NGX_OK || n < 1) {
        return 0;
    }

    return (time_t) ngx_min(n, NGX_INTUIT_HARD_MAX);
}


/* RFC 6750, section 2.1: "=" at the end only, and not alone */

static ngx_uint_t
ngx_intuit_b64token(const ngx_str_t *s)
{
    u_char  c;
    size_t  i, len;

    len = s->len;

    while (len && s->data[len - 1] == '=') {
        len--;
    }

    for (i = 0; i < len; i++) {
        c = s->data[i];

        if ((c >= 'a' && c <= 'z')
            || (c >= 'A' && c <= 'Z')
            || (c >= '0' && c <= '9')
            || c == '-' || c == '.' || c == '_' || c == '~'
            || c == '+' || c == '/')
        {
            continue;
        }

        return 0;
    }

    return (len != 0);
}


static ngx_uint_t
ngx_intuit_graphic(const ngx_str_t *s)
{
    size_t  i;

    for (i = 0; i < s->len; i++) {
        if (s->data[i] < 0x21 || s->data[i] > 0x7e) {
            return 0;
        }
    }

    return 1;
}


/*
 * A refusal of these two would throw away a pair that Intuit has already
 * rotated: one that makes no sense is taken for absent, and who needs it
 * looks for it.
 */

static void
ngx_intuit_id_token(const ngx_intuit_json_t *json, ngx_str_t *id_token)
{
    if (ngx_intuit_json_string(json, "id_token", id_token) != NGX_OK
        || !ngx_intuit_graphic(id_token))
    {
        ngx_str_null(id_token);
    }
}


static void
ngx_intuit_granted_scope(const ngx_intuit_json_t *json, ngx_str_t *scope)
{
    size_t  i;

    if (ngx_intuit_json_string(json, "scope", scope) != NGX_OK
        || scope->len > NGX_INTUIT_SCOPE_SIZE)
    {
        ngx_str_null(scope);
        return;
    }

    for (i = 0; i < scope->len; i++) {

        if (scope->data[i] < 0x20 || scope->data[i] > 0x7e
            || scope->data[i] == '"' || scope->data[i] == '\\')
        {
            ngx_str_null(scope);
            return;
        }
    }
}


void
ngx_intuit_oauth2_error_parse(ngx_pool_t *pool, const ngx_str_t *text,
    ngx_str_t *error)
{
    u_char              c;
    size_t              i;
    ngx_str_t           word;
    ngx_intuit_json_t  *json;

    ngx_str_null(error);

    json = ngx_intuit_json_parse(pool, text);

    if (json == NULL
        || ngx_intuit_json_string(json, "error", &word) != NGX_OK
        || word.len > NGX_INTUIT_ERROR_SIZE)
    {
        return;
    }

    for (i = 0; i < word.len; i++) {
        c = word.data[i];

        if ((c < 'a' || c > 'z') && c != '_') {
            return;
        }
    }

    *error = word;
}


ngx_int_t
ngx_intuit_userinfo_parse(ngx_pool_t *pool, const ngx_str_t *text,
    const ngx_str_t *sub, ngx_intuit_json_t **claims, const char **reason)
{
    ngx_str_t           value;
    ngx_intuit_json_t  *json;

    *claims = NULL;

    json = ngx_intuit_json_parse(pool, text);
    if (json == NULL) {
        *reason = "it is not a JSON object";
        return NGX_DECLINED;
    }

    if (ngx_intuit_json_string(json, "sub", &value) != NGX_OK
        || value.len == 0
        || value.len > NGX_INTUIT_SUB_SIZE
        || !ngx_intuit_graphic(&value))
    {
        *reason = "it has no sub";
        return NGX_DECLINED;
    }

    if (sub->len != 0
        && (sub->len != value.len
            || ngx_memcmp(sub->data, value.data, sub->len) != 0))
    {
        *reason = "its sub is not the id_token's";
        return NGX_DECLINED;
    }

    *claims = json;

    return NGX_OK;
}


/* jansson itself: nothing else has to build an object */

ngx_int_t
ngx_intuit_claims_merge(ngx_pool_t *pool, const ngx_intuit_json_t *id_token,
    const ngx_intuit_json_t *userinfo, ngx_str_t *text)
{
    json_t      *merged;
    ngx_int_t    rc;
    ngx_uint_t   i;

    const ngx_intuit_json_t  *parts[2];

    parts[0] = userinfo;
    parts[1] = id_token;

    merged = json_object();
    if (merged == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < 2; i++) {

        if (parts[i] != NULL
            && json_object_update(merged, (json_t *) parts[i]) != 0)
        {
            json_decref(merged);
            return NGX_ERROR;
        }
    }

    rc = ngx_intuit_json_dump(pool, (ngx_intuit_json_t *) merged, text);

    json_decref(merged);

    return rc;
}


ngx_uint_t
ngx_intuit_companyinfo_parse(ngx_pool_t *pool, const ngx_str_t *text,
    ngx_str_t *name)
{
    ngx_intuit_json_t  *json, *info, *fault;

    ngx_str_null(name);

    json = ngx_intuit_json_parse(pool, text);
    if (json == NULL) {
        return 0;
    }

    /* the API writes "Fault", its gateway "fault" */

    if (ngx_intuit_json_object(json, "Fault", &fault) != NGX_DECLINED
        || ngx_intuit_json_object(json, "fault", &fault) != NGX_DECLINED)
    {
        return 0;
    }

    if (ngx_intuit_json_object(json, "CompanyInfo", &info) != NGX_OK) {
        return 0;
    }

    if (ngx_intuit_json_string(info, "CompanyName", name) != NGX_OK
        || name->len > NGX_INTUIT_COMPANY_SIZE)
    {
        ngx_str_null(name);
    }

    return 1;
}


ngx_uint_t
ngx_intuit_scope_has(const ngx_str_t *scope, const char *word)
{
    ngx_str_t  s;

    s.data = (u_char *) word;
    s.len = ngx_strlen(word);

    return ngx_intuit_scope_holds(scope, &s);
}


ngx_uint_t
ngx_intuit_scope_covers(const ngx_str_t *scope, const ngx_str_t *wanted)
{
    size_t     i;
    ngx_str_t  word;

    for (i = 0; i < wanted->len; i++) {

        word.data = wanted->data + i;

        while (i < wanted->len && wanted->data[i] != ' ') {
            i++;
        }

        word.len = wanted->data + i - word.data;

        if (word.len && !ngx_intuit_scope_holds(scope, &word)) {
            return 0;
        }
    }

    return 1;
}


static ngx_uint_t
ngx_intuit_scope_holds(const ngx_str_t *scope, const ngx_str_t *word)
{
    size_t  i, start;

    if (word->len == 0) {
        return 0;
    }

    for (i = 0; i < scope->len; i++) {

        start = i;

        while (i < scope->len && scope->data[i] != ' ') {
            i++;
        }

        if (i - start == word->len
            && ngx_memcmp(scope->data + start, word->data, word->len) == 0)
        {
            return 1;
        }
    }

    return 0;
}
