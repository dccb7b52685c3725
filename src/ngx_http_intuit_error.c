/*
 * The one place that turns a failure into an answer, a log line and the
 * variables $intuit_error and $intuit_tid.
 */

#include "ngx_http_intuit_auth_module.h"


#define NGX_HTTP_INTUIT_TIMESTAMP_LEN  (sizeof("2000-01-01T00:00:00Z") - 1)


typedef struct {
    ngx_uint_t                   status;
    const char                  *error;        /* a promise to clients */
    const char                  *title;
    const char                  *description;
    ngx_uint_t                   level;        /* of the log line */
    unsigned                     retry_after:1;
    unsigned                     login:1;      /* another login may help */
} ngx_http_intuit_failure_t;


static const ngx_http_intuit_failure_t *ngx_http_intuit_failure(
    ngx_http_intuit_error_e error);
static ngx_int_t ngx_http_intuit_fail_note(ngx_http_request_t *r,
    ngx_http_intuit_provider_t *provider,
    const ngx_http_intuit_failure_t *failure, const char *reason);
static const char *ngx_http_intuit_fail_body(ngx_http_request_t *r,
    ngx_http_intuit_provider_t *provider,
    const ngx_http_intuit_failure_t *failure, ngx_str_t *body);
static void ngx_http_intuit_fail_log(ngx_http_request_t *r,
    ngx_http_intuit_provider_t *provider,
    const ngx_http_intuit_failure_t *failure, const char *reason);
static ngx_uint_t ngx_http_intuit_has_error_page(ngx_http_request_t *r,
    ngx_uint_t status);
static ngx_int_t ngx_http_intuit_fail_json(ngx_http_request_t *r,
    const ngx_http_intuit_failure_t *failure, ngx_str_t *link,
    ngx_str_t *body);
static ngx_int_t ngx_http_intuit_fail_page(ngx_http_request_t *r,
    ngx_http_intuit_provider_t *provider,
    const ngx_http_intuit_failure_t *failure, ngx_str_t *link,
    ngx_str_t *body);
static ngx_int_t ngx_http_intuit_loop_hints(ngx_http_request_t *r,
    ngx_http_intuit_provider_t *provider, ngx_str_t *hints);
static u_char *ngx_http_intuit_timestamp(u_char *p);


/* by ngx_http_intuit_error_e */

static const ngx_http_intuit_failure_t
    ngx_http_intuit_failures[NGX_HTTP_INTUIT_E_MAX] =
{

    /* NGX_HTTP_INTUIT_E_INTERNAL */
    { NGX_HTTP_INTERNAL_SERVER_ERROR, "internal_error",
      "Something went wrong here",
      "The server could not finish this request. Please try again; if it "
      "happens again, give the details below to whoever runs this site.",
      NGX_LOG_ERR, 0, 0 },

    /* NGX_HTTP_INTUIT_E_LOGIN_REQUIRED */
    { NGX_HTTP_UNAUTHORIZED, "login_required",
      "Please sign in",
      "This needs a login with Intuit. Open login_uri in a browser.",
      NGX_LOG_INFO, 0, 1 },

    /* NGX_HTTP_INTUIT_E_LOGIN_LOOP */
    { NGX_HTTP_BAD_REQUEST, "login_loop",
      "Your browser does not keep the login",
      "You were sent to Intuit several times within a minute, and the login "
      "was not remembered: the browser did not send this site's cookie back. "
      "Allow cookies here, and open this site under the address that logins "
      "come back to.",
      NGX_LOG_WARN, 0, 1 },

    /* NGX_HTTP_INTUIT_E_ACCESS_DENIED */
    { NGX_HTTP_FORBIDDEN, "access_denied",
      "The login was cancelled",
      "Intuit was not given permission to share the data this site asks for. "
      "To go on, sign in again and choose Connect. Only an administrator of "
      "a company can give access to its books.",
      NGX_LOG_INFO, 0, 1 },

    /* NGX_HTTP_INTUIT_E_AUTHORIZATION */
    { NGX_HTTP_BAD_REQUEST, "authorization_error",
      "Intuit refused the login",
      "Intuit answered the login with an error. Please try again; if it "
      "happens again, give the details below to whoever runs this site.",
      NGX_LOG_ERR, 0, 1 },

    /* NGX_HTTP_INTUIT_E_STATE */
    { NGX_HTTP_BAD_REQUEST, "invalid_state",
      "This login is no longer valid",
      "It was started too long ago, in another browser or under another name "
      "of this site, or was used already. Please sign in again.",
      NGX_LOG_INFO, 0, 1 },

    /* NGX_HTTP_INTUIT_E_CALLBACK */
    { NGX_HTTP_BAD_REQUEST, "invalid_request",
      "This is not a complete login answer",
      "The address lacks something that Intuit sends, or has it twice. "
      "Please start again from the login page.",
      NGX_LOG_INFO, 0, 1 },

    /* NGX_HTTP_INTUIT_E_METHOD */
    { NGX_HTTP_NOT_ALLOWED, "method_not_allowed",
      "This cannot be done that way",
      "The address does not take requests of this method. Use one of those "
      "that the Allow header names.",
      NGX_LOG_INFO, 0, 0 },

    /* NGX_HTTP_INTUIT_E_CODE */
    { NGX_HTTP_BAD_REQUEST, "code_refused",
      "Intuit did not accept the login code",
      "A login code can be used once and for a few minutes only. Please sign "
      "in again.",
      NGX_LOG_WARN, 0, 1 },

    /* NGX_HTTP_INTUIT_E_CLIENT */
    { NGX_HTTP_BAD_GATEWAY, "client_refused",
      "This site is not set up correctly",
      "Intuit does not accept this site's own credentials. You can do "
      "nothing about it; please tell whoever runs this site.",
      NGX_LOG_ERR, 0, 0 },

    /* NGX_HTTP_INTUIT_E_UNAVAILABLE */
    { NGX_HTTP_SERVICE_UNAVAILABLE, "temporarily_unavailable",
      "Intuit cannot be reached right now",
      "Intuit does not answer, or asks to wait. Please try again in a "
      "moment.",
      NGX_LOG_ERR, 1, 0 },

    /* NGX_HTTP_INTUIT_E_ANSWER */
    { NGX_HTTP_BAD_GATEWAY, "invalid_answer",
      "Intuit's answer could not be read",
      "Please try again; if it happens again, give the details below to "
      "whoever runs this site.",
      NGX_LOG_ERR, 0, 1 },

    /* NGX_HTTP_INTUIT_E_ID_TOKEN */
    { NGX_HTTP_FORBIDDEN, "invalid_id_token",
      "The login could not be verified",
      "The proof of who you are did not pass this site's checks, so nobody "
      "was signed in. Please sign in again.",
      NGX_LOG_ERR, 0, 1 },

    /* NGX_HTTP_INTUIT_E_KEYS */
    { NGX_HTTP_SERVICE_UNAVAILABLE, "keys_unavailable",
      "The login cannot be verified right now",
      "Intuit's public keys could not be read. Please try again in a moment.",
      NGX_LOG_ERR, 1, 0 },

    /* NGX_HTTP_INTUIT_E_REALM_UNPROVEN */
    { NGX_HTTP_FORBIDDEN, "realm_not_proven",
      "The company could not be verified",
      "Intuit did not confirm that this login belongs to the company. Please "
      "sign in again and choose the company.",
      NGX_LOG_ERR, 0, 1 },

    /* NGX_HTTP_INTUIT_E_REALM_DENIED */
    { NGX_HTTP_FORBIDDEN, "realm_not_allowed",
      "This company may not sign in here",
      "The login worked, but this site is not open to the company you chose. "
      "You may sign in again and choose another one.",
      NGX_LOG_WARN, 0, 1 },

    /* NGX_HTTP_INTUIT_E_EMAIL_DENIED */
    { NGX_HTTP_FORBIDDEN, "email_not_allowed",
      "This account may not sign in here",
      "The login worked, but this site is not open to your e-mail address, "
      "or Intuit has not verified it. You may sign in with another account.",
      NGX_LOG_WARN, 0, 1 },

    /* NGX_HTTP_INTUIT_E_FORBIDDEN */
    { NGX_HTTP_FORBIDDEN, "forbidden",
      "You may not open this",
      "You are signed in, but this page is not open to your account. Please "
      "ask whoever runs this site if you think it should be.",
      NGX_LOG_WARN, 0, 0 },

    /* NGX_HTTP_INTUIT_E_CROSS_SITE */
    { NGX_HTTP_FORBIDDEN, "cross_site_request",
      "This request came from another site",
      "For your safety, actions are accepted from this site's own pages "
      "only. Open the page here and try again.",
      NGX_LOG_WARN, 0, 0 },

    /* NGX_HTTP_INTUIT_E_REALM_MISMATCH */
    { NGX_HTTP_FORBIDDEN, "realm_mismatch",
      "This is another company",
      "The company in the address is not the one you are connected to. "
      "Addresses of that one begin with /v3/company/-/",
      NGX_LOG_WARN, 0, 0 },

    /* NGX_HTTP_INTUIT_E_API_PATH */
    { NGX_HTTP_BAD_REQUEST, "invalid_path",
      "This address is not accepted",
      "The path can be read in more than one way, so it was not sent on. Use "
      "one without dot segments, double slashes, semicolons, backslashes and "
      "escaped slashes.",
      NGX_LOG_WARN, 0, 0 },

    /* NGX_HTTP_INTUIT_E_NOT_CONNECTED */
    { NGX_HTTP_FORBIDDEN, "not_connected",
      "The company is not connected",
      "Nobody has connected this company to this site yet, or the connection "
      "has ended. An administrator of the company has to connect it, in a "
      "browser: at login_uri, or where this site connects companies.",
      NGX_LOG_WARN, 0, 1 },

    /* NGX_HTTP_INTUIT_E_CLIENT_ADDRESS */
    { NGX_HTTP_FORBIDDEN, "client_not_allowed",
      "Not from this address",
      "This service answers to programs on its own host only. Call it there, "
      "by a name of this host, or ask whoever runs it for access.",
      NGX_LOG_WARN, 0, 0 },

    /* NGX_HTTP_INTUIT_E_STORE */
    { NGX_HTTP_SERVICE_UNAVAILABLE, "store_unavailable",
      "Your login cannot be looked up right now",
      "You have not been signed out. Please try again in a moment.",
      NGX_LOG_ERR, 1, 0 },

    /* NGX_HTTP_INTUIT_E_BUSY */
    { NGX_HTTP_SERVICE_UNAVAILABLE, "too_busy",
      "Too many requests are waiting",
      "Please try again in a moment.",
      NGX_LOG_WARN, 1, 0 },

    /* NGX_HTTP_INTUIT_E_RECONNECT */
    { NGX_HTTP_UNAUTHORIZED, "reconnect_required",
      "The company has to be connected again",
      "Intuit has ended the connection to this company. An administrator of "
      "the company has to connect it again, in a browser: at login_uri, or "
      "where this site connects companies.",
      NGX_LOG_WARN, 0, 1 },

    /* NGX_HTTP_INTUIT_E_ACTION */
    { NGX_HTTP_BAD_REQUEST, "invalid_request",
      "The request could not be understood",
      "A POST to this address needs a form with action=refresh.",
      NGX_LOG_INFO, 0, 0 },

    /* NGX_HTTP_INTUIT_E_TOO_SOON */
    { NGX_HTTP_TOO_MANY_REQUESTS, "too_soon",
      "The connection was refreshed a moment ago",
      "A connection can be refreshed by hand once a minute. Try again when "
      "Retry-After says, or go on with what there is.",
      NGX_LOG_INFO, 1, 0 },

    /* NGX_HTTP_INTUIT_E_TOKEN */
    { NGX_HTTP_UNAUTHORIZED, "invalid_token",
      "The access token was refused",
      "Intuit does not know this access token, or it has expired. Get a new "
      "one and try again.",
      NGX_LOG_INFO, 0, 0 },

    /* NGX_HTTP_INTUIT_E_BODY */
    { NGX_HTTP_BAD_REQUEST, "invalid_body",
      "This request is not complete",
      "Its body lacks something that is needed, has something twice or in "
      "another form, or is too long. Correct it and send it again.",
      NGX_LOG_WARN, 0, 0 },

    /* NGX_HTTP_INTUIT_E_IMPORT */
    { NGX_HTTP_BAD_REQUEST, "token_refused",
      "Intuit did not accept the token",
      "It has expired, was used or revoked already, or belongs to another "
      "app or environment. Nothing was changed here. Connect the company in "
      "a browser, or import a newer token.",
      NGX_LOG_WARN, 0, 0 },

    /* NGX_HTTP_INTUIT_E_PENDING */
    { NGX_HTTP_SERVICE_UNAVAILABLE, "not_proven_yet",
      "The company is not connected yet",
      "Intuit gave the tokens, and does not answer when it is asked about the "
      "company. The tokens are kept, and Intuit is asked again until it "
      "answers; then the company is connected. Do not send them again.",
      NGX_LOG_WARN, 1, 0 },

    /* NGX_HTTP_INTUIT_E_QUOTA */
    { NGX_HTTP_TOO_MANY_REQUESTS, "quota_exceeded",
      "Too many requests for this company",
      "Intuit takes only so many requests a minute for one company, and as "
      "many as may wait are waiting. Please try again later: Retry-After says "
      "when.",
      NGX_LOG_INFO, 1, 0 },

    /* NGX_HTTP_INTUIT_E_API_REFUSED */
    { NGX_HTTP_UNAUTHORIZED, "api_refused",
      "Intuit's API refuses the access token",
      "What it says is not shown, as parts of the token may be in it. Please "
      "try again: the token was renewed, if that could help.",
      NGX_LOG_INFO, 0, 0 },

    /* NGX_HTTP_INTUIT_E_API_DOWN */
    { NGX_HTTP_BAD_GATEWAY, "api_unavailable",
      "Intuit's API cannot be reached right now",
      "It does not answer, or not in a way that can be understood. A request "
      "that changes something may have been carried out all the same. Please "
      "try again in a moment.",
      NGX_LOG_ERR, 0, 0 },

    /* NGX_HTTP_INTUIT_E_API_TIMEOUT */
    { NGX_HTTP_GATEWAY_TIME_OUT, "api_timeout",
      "Intuit's API takes too long",
      "It did not answer in time. A request that changes something may have "
      "been carried out all the same. Please try again in a moment.",
      NGX_LOG_ERR, 0, 0 }
};


ngx_int_t
ngx_http_intuit_fail(ngx_http_request_t *r,
    ngx_http_intuit_provider_t *provider, ngx_http_intuit_error_e error,
    const char *reason)
{
    ngx_str_t                         body;
    const char                       *type;
    const ngx_http_intuit_failure_t  *failure;

    failure = ngx_http_intuit_failure(error);

    if (ngx_http_intuit_fail_note(r, provider, failure, reason) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (ngx_http_intuit_has_error_page(r, failure->status)) {
        return failure->status;
    }

    type = ngx_http_intuit_fail_body(r, provider, failure, &body);

    return type ? ngx_http_intuit_send(r, failure->status, type, &body)
                : NGX_HTTP_INTERNAL_SERVER_ERROR;
}


ngx_int_t
ngx_http_intuit_fail_instead(ngx_http_request_t *r,
    ngx_http_intuit_provider_t *provider, ngx_http_intuit_error_e error,
    ngx_str_t *body)
{
    const char                       *type;
    const ngx_http_intuit_failure_t  *failure;

    failure = ngx_http_intuit_failure(error);

    if (ngx_http_intuit_fail_note(r, provider, failure, NULL) != NGX_OK) {
        return NGX_ERROR;
    }

    type = ngx_http_intuit_fail_body(r, provider, failure, body);

    return type ? ngx_http_intuit_send_instead(r, failure->status, type, body)
                : NGX_ERROR;
}


/* for the log, the variables, the counters; and when to come again */

static ngx_int_t
ngx_http_intuit_fail_note(ngx_http_request_t *r,
    ngx_http_intuit_provider_t *provider,
    const ngx_http_intuit_failure_t *failure, const char *reason)
{
    ngx_str_t                     seconds;
    ngx_http_intuit_ctx_t        *ctx;
    ngx_http_intuit_main_conf_t  *imcf;

    ctx = ngx_http_intuit_get_ctx(r, 1);
    if (ctx == NULL) {
        return NGX_ERROR;
    }

    ctx->error = failure - ngx_http_intuit_failures;
    ctx->failed = 1;

    imcf = ngx_http_get_module_main_conf(r, ngx_http_intuit_auth_module);

    ngx_http_intuit_store_count(imcf->store, NGX_HTTP_INTUIT_N_ERROR
                                             + (ngx_uint_t) ctx->error);

    ngx_http_intuit_fail_log(r, provider, failure, reason);

    if (!failure->retry_after) {
        return NGX_OK;
    }

    seconds.data = ngx_pnalloc(r->pool, NGX_TIME_T_LEN);
    if (seconds.data == NULL) {
        return NGX_ERROR;
    }

    seconds.len = ngx_sprintf(seconds.data, "%T",
                              ctx->retry_after > 0
                              ? ctx->retry_after
                              : NGX_HTTP_INTUIT_RETRY_AFTER)
                  - seconds.data;

    return ngx_http_intuit_add_header(r, "Retry-After", &seconds);
}


/* its type; NULL: no memory */

static const char *
ngx_http_intuit_fail_body(ngx_http_request_t *r,
    ngx_http_intuit_provider_t *provider,
    const ngx_http_intuit_failure_t *failure, ngx_str_t *body)
{
    ngx_int_t               rc;
    ngx_str_t               link;
    ngx_uint_t              html;
    ngx_http_intuit_ctx_t  *ctx;

    ctx = ngx_http_intuit_get_ctx(r, 0);

    ngx_str_null(&link);

    /* an operator connects a company, and does not sign in */

    if (failure->login
        && provider
        && !(ctx->attempt && ctx->attempt->connect)
        && ngx_http_intuit_login_link(r, provider, &link) != NGX_OK)
    {
        return NULL;
    }

    html = failure->status != NGX_HTTP_UNAUTHORIZED
           && ngx_http_intuit_wants_html(r);

    rc = html ? ngx_http_intuit_fail_page(r, provider, failure, &link, body)
              : ngx_http_intuit_fail_json(r, failure, &link, body);

    if (rc != NGX_OK) {
        return NULL;
    }

    return html ? "text/html" : "application/json";
}


const char *
ngx_http_intuit_error_name(ngx_http_intuit_error_e error)
{
    return ngx_http_intuit_failure(error)->error;
}


static const ngx_http_intuit_failure_t *
ngx_http_intuit_failure(ngx_http_intuit_error_e error)
{
    /* numbers come back from records, which another version may have made */

    if ((ngx_uint_t) error >= NGX_HTTP_INTUIT_E_MAX) {
        error = NGX_HTTP_INTUIT_E_INTERNAL;
    }

    return &ngx_http_intuit_failures[error];
}


static void
ngx_http_intuit_fail_log(ngx_http_request_t *r,
    ngx_http_intuit_provider_t *provider,
    const ngx_http_intuit_failure_t *failure, const char *reason)
{
    u_char                 *p;
    u_char                  hint[NGX_MAX_ERROR_STR / 4];
    ngx_str_t               name, text;
    ngx_http_intuit_ctx_t  *ctx;

    ctx = ngx_http_intuit_get_ctx(r, 0);

    ngx_str_null(&name);
    ngx_str_null(&text);

    if (provider) {
        name = provider->name;
    }

    if (provider
        && provider->file
        && failure == &ngx_http_intuit_failures[NGX_HTTP_INTUIT_E_CLIENT])
    {
        /* the operator's error: say where to mend it */

        p = ngx_snprintf(hint, sizeof(hint),
                         ", check client_id and %s in %s:%ui",
                         provider->client_secret_file.len
                         ? "client_secret_file" : "client_secret",
                         provider->file, provider->line);

        text.data = hint;
        text.len = p - hint;
    }

    ngx_log_error(failure->level, r->connection->log, 0,
                  "intuit %s: %s%s%V%s%V, status_code: %ui%s%V",
                  failure->error, reason ? reason : failure->title,
                  name.len ? ", provider \"" : "", &name, name.len ? "\"" : "",
                  &text, failure->status, ctx->tid.len ? ", intuit_tid: " : "",
                  &ctx->tid);
}


/* as core will decide when it is given the status */

static ngx_uint_t
ngx_http_intuit_has_error_page(ngx_http_request_t *r, ngx_uint_t status)
{
    ngx_uint_t                 i;
    ngx_http_err_page_t       *err_page;
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    if (r->error_page || clcf->error_pages == NULL || r->uri_changes == 0) {
        return 0;
    }

    err_page = clcf->error_pages->elts;

    for (i = 0; i < clcf->error_pages->nelts; i++) {
        if (err_page[i].status == (ngx_int_t) status) {
            return 1;
        }
    }

    return 0;
}


static ngx_int_t
ngx_http_intuit_fail_json(ngx_http_request_t *r,
    const ngx_http_intuit_failure_t *failure, ngx_str_t *link,
    ngx_str_t *body)
{
    u_char                 *p;
    size_t                  len;
    ngx_http_intuit_ctx_t  *ctx;

    ctx = ngx_http_intuit_get_ctx(r, 0);

    len = sizeof("{\"error\":\"\",\"error_description\":\"\","
                 "\"status_code\":000,\"intuit_tid\":\"null\","
                 "\"timestamp\":\"\",\"login_uri\":\"\"}\n") - 1
          + ngx_strlen(failure->error) + ngx_strlen(failure->description)
          + ngx_intuit_json_escaped_len(&ctx->tid)
          + ngx_intuit_json_escaped_len(link)
          + NGX_HTTP_INTUIT_TIMESTAMP_LEN;

    p = ngx_pnalloc(r->pool, len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    body->data = p;

    *p++ = '{';
    p = ngx_http_intuit_json_words(p, "error", failure->error);
    *p++ = ',';
    p = ngx_http_intuit_json_words(p, "error_description",
                                   failure->description);
    p = ngx_sprintf(p, ",\"status_code\":%ui,", failure->status);
    p = ngx_http_intuit_json_text(p, "intuit_tid", &ctx->tid);
    p = ngx_cpymem(p, ",\"timestamp\":\"", sizeof(",\"timestamp\":\"") - 1);
    p = ngx_http_intuit_timestamp(p);
    *p++ = '"';

    if (link->len) {
        *p++ = ',';
        p = ngx_http_intuit_json_text(p, "login_uri", link);
    }

    *p++ = '}';
    *p++ = '\n';

    body->len = p - body->data;

    return NGX_OK;
}


static ngx_int_t
ngx_http_intuit_fail_page(ngx_http_request_t *r,
    ngx_http_intuit_provider_t *provider,
    const ngx_http_intuit_failure_t *failure, ngx_str_t *link,
    ngx_str_t *body)
{
    u_char                 *p;
    size_t                  len;
    ngx_str_t               content, origin, hints;
    ngx_http_intuit_ctx_t  *ctx;

    static const char       reference[] =
        "<section aria-labelledby=\"ref\">\n"
        "<h2 id=\"ref\">Details for support</h2>\n"
        "<dl>\n";

    ctx = ngx_http_intuit_get_ctx(r, 0);

    ngx_str_null(&origin);
    ngx_str_null(&hints);

    if (provider
        && failure == &ngx_http_intuit_failures[NGX_HTTP_INTUIT_E_LOGIN_LOOP])
    {
        if (ngx_http_intuit_loop_hints(r, provider, &hints) != NGX_OK) {
            return NGX_ERROR;
        }

        /* the way back leads to the host that can keep the cookie */
        origin = provider->redirect.origin;
    }

    /* 512: markup and what is short below */

    len = ngx_strlen(failure->description)
          + hints.len
          + ngx_intuit_html_escaped_len(&origin)
          + ngx_intuit_html_escaped_len(link)
          + sizeof(reference) - 1
          + ngx_strlen(failure->error)
          + ngx_intuit_html_escaped_len(&ctx->tid)
          + NGX_HTTP_INTUIT_TIMESTAMP_LEN + 512;

    p = ngx_pnalloc(r->pool, len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    content.data = p;

    p = ngx_sprintf(p, "<p>%s</p>\n%V", failure->description, &hints);

    if (link->len) {
        p = ngx_sprintf(p, "<p><a class=\"act\" href=\"");
        p = ngx_intuit_html_escape(p, &origin);
        p = ngx_intuit_html_escape(p, link);
        p = ngx_sprintf(p, "\">Sign in again</a></p>\n");
    }

    p = ngx_sprintf(p, "%s<dt>Error</dt><dd>%s</dd>\n"
                       "<dt>Status</dt><dd>%ui</dd>\n",
                    reference, failure->error, failure->status);

    if (ctx->tid.len) {
        p = ngx_sprintf(p, "<dt>intuit_tid</dt><dd>");
        p = ngx_intuit_html_escape(p, &ctx->tid);
        p = ngx_sprintf(p, "</dd>\n");
    }

    p = ngx_sprintf(p, "<dt>Time</dt><dd>");
    p = ngx_http_intuit_timestamp(p);
    p = ngx_sprintf(p, "</dd>\n</dl>\n</section>\n");

    content.len = p - content.data;

    return ngx_http_intuit_page(r, failure->title, &content, body);
}


/* why a cookie was not kept, the likely reasons first */

static ngx_int_t
ngx_http_intuit_loop_hints(ngx_http_request_t *r,
    ngx_http_intuit_provider_t *provider, ngx_str_t *hints)
{
    u_char      *p;
    size_t       len;
    ngx_str_t    host, *origin, *authority;
    ngx_uint_t   other;

    static const char  third[] =
        "<li>The browser blocks cookies for this site, or this page is shown "
        "inside another site's page, where cookies are not kept.</li>\n";

    origin = &provider->redirect.origin;
    authority = &provider->redirect.authority;

    ngx_str_null(&host);

    if (r->headers_in.host) {
        host = r->headers_in.host->value;
    }

    other = host.len != authority->len
            || ngx_strncasecmp(host.data, authority->data, host.len) != 0;

    /* 512: the fixed text below */

    len = sizeof(third) + 512
          + ngx_intuit_html_escaped_len(&host)
          + ngx_intuit_html_escaped_len(authority)
          + ngx_intuit_html_escaped_len(origin);

    p = ngx_pnalloc(r->pool, len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    hints->data = p;

    p = ngx_sprintf(p, "<p>Likely reasons:</p>\n<ul>\n");

    if (other && host.len) {
        p = ngx_sprintf(p, "<li>You opened this site as <strong>");
        p = ngx_intuit_html_escape(p, &host);
        p = ngx_sprintf(p, "</strong>, but logins come back to <strong>");
        p = ngx_intuit_html_escape(p, authority);
        p = ngx_sprintf(p, "</strong>, and a cookie belongs to one host. "
                           "Use the second address.</li>\n");
    }

    if (provider->redirect.https) {
        p = ngx_sprintf(p, "<li>The cookie needs a secure connection: the "
                           "address has to begin with <strong>");
        p = ngx_intuit_html_escape(p, origin);
        p = ngx_sprintf(p, "</strong>.</li>\n");
    }

    p = ngx_sprintf(p, "%s</ul>\n", third);

    hints->len = p - hints->data;

    return NGX_OK;
}


static u_char *
ngx_http_intuit_timestamp(u_char *p)
{
    ngx_tm_t  tm;

    static time_t  written;
    static u_char  text[NGX_HTTP_INTUIT_TIMESTAMP_LEN];

    if (written != ngx_time()) {
        written = ngx_time();

        ngx_gmtime(written, &tm);

        (void) ngx_snprintf(text, sizeof(text),
                            "%4d-%02d-%02dT%02d:%02d:%02dZ",
                            tm.ngx_tm_year, tm.ngx_tm_mon, tm.ngx_tm_mday,
                            tm.ngx_tm_hour, tm.ngx_tm_min, tm.ngx_tm_sec);
    }

    return ngx_cpymem(p, text, sizeof(text));
}
