/*
 * What a session says about its user, kept short: most of these JSON texts are
 * the same words for everybody, and most of userinfo's text is the beginning of
 * the claims', which are made of it.
 *
 * In a packed text bytes that no JSON text has (control bytes but tab, line
 * feed and carriage return) stand for words.  A text without them, as version 4
 * of the records has it, is its own packed form.
 */

#ifndef _NGX_INTUIT_CLAIMS_H_INCLUDED_
#define _NGX_INTUIT_CLAIMS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_intuit_record.h"


/*
 * Sets a session's claims and userinfo (which may be empty), packed into pool;
 * realm, sub and email, which are set, are from then on a part of the claims
 * where these have them.  NGX_OK or NGX_ERROR (no memory, or no JSON text).
 */
ngx_int_t ngx_intuit_session_describe(ngx_pool_t *pool,
    ngx_intuit_session_t *s, const ngx_str_t *claims,
    const ngx_str_t *userinfo);

/* The texts again, in pool.  NGX_OK or NGX_ERROR (no memory, or not packed by
 * this). */
ngx_int_t ngx_intuit_session_claims(ngx_pool_t *pool,
    const ngx_intuit_session_t *s, ngx_str_t *text);
ngx_int_t ngx_intuit_session_userinfo(ngx_pool_t *pool,
    const ngx_intuit_session_t *s, ngx_str_t *text);

/* NGX_OK or NGX_ERROR. */
ngx_int_t ngx_intuit_claims_pack(ngx_pool_t *pool, const ngx_str_t *text,
    ngx_str_t *packed);
ngx_int_t ngx_intuit_claims_unpack(ngx_pool_t *pool, const ngx_str_t *packed,
    ngx_str_t *text);


#endif /* _NGX_INTUIT_CLAIMS_H_INCLUDED_ */
