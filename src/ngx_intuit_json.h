/*
 * JSON from strangers (RFC 8259), read through jansson under limits.
 *
 * A document is refused when it is larger than 1 MiB, nested deeper than 32,
 * has more than 4096 values, a duplicate member name, a NUL inside a string
 * or name, invalid UTF-8, or anything after the value.
 * The limits are checked before jansson sees the text, so that its recursion
 * and its hash tables stay bounded.
 */

#ifndef _NGX_INTUIT_JSON_H_INCLUDED_
#define _NGX_INTUIT_JSON_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


#define NGX_INTUIT_JSON_SIZE     (1024 * 1024)
#define NGX_INTUIT_JSON_DEPTH    32
#define NGX_INTUIT_JSON_VALUES   4096

/* one byte of text becomes at most "\u001f" */
#define NGX_INTUIT_JSON_ESCAPE   6


typedef struct ngx_intuit_json_s  ngx_intuit_json_t;   /* a jansson value */


/*
 * Parses one object.  The value lives as long as pool (a pool cleanup frees
 * it).  NULL: not a JSON object within the limits, or no memory.  A real
 * number beyond the range of a double (1e999) makes the document unreadable.
 */
ngx_intuit_json_t *ngx_intuit_json_parse(ngx_pool_t *pool,
    const ngx_str_t *text);

/* Writes the value as compact JSON into pool.  NGX_OK or NGX_ERROR. */
ngx_int_t ngx_intuit_json_dump(ngx_pool_t *pool, const ngx_intuit_json_t *json,
    ngx_str_t *text);

/* 1: the object has a member of exactly this name, be it null. */
ngx_uint_t ngx_intuit_json_has(const ngx_intuit_json_t *json,
    const char *name);

/*
 * Member getters.  NGX_OK; NGX_DECLINED: no such member (or null);
 * NGX_ERROR: there, but of another type.  Strings point into the value and
 * live as long as its pool; they hold no NUL byte.
 */
ngx_int_t ngx_intuit_json_string(const ngx_intuit_json_t *json,
    const char *name, ngx_str_t *value);

/*
 * A whole number, also when written as a decimal string ("3600"): Intuit's
 * documents show both.  A real with no fraction is accepted.  Beyond
 * +-2^53 (1e300, 2^63): NGX_ERROR.
 */
ngx_int_t ngx_intuit_json_integer(const ngx_intuit_json_t *json,
    const char *name, int64_t *value);

ngx_int_t ngx_intuit_json_bool(const ngx_intuit_json_t *json,
    const char *name, ngx_uint_t *value);

ngx_int_t ngx_intuit_json_object(const ngx_intuit_json_t *json,
    const char *name, ngx_intuit_json_t **value);

/*
 * A member that is a string or an array of strings (JWT "aud"): an array of
 * ngx_str_t in pool.  Any other element type: NGX_ERROR.
 */
ngx_int_t ngx_intuit_json_strings(ngx_pool_t *pool,
    const ngx_intuit_json_t *json, const char *name, ngx_array_t *values);

/* A member that is an array of objects: an array of ngx_intuit_json_t *;
 * elements that are no objects are left out.  Both functions initialise
 * values; it may hold no element at all. */
ngx_int_t ngx_intuit_json_objects(ngx_pool_t *pool,
    const ngx_intuit_json_t *json, const char *name, ngx_array_t *values);

/*
 * Looks a claim up by a variable's name: letters are compared without case
 * and "_" is passed over on both sides ("email_verified" finds
 * "emailVerified").  An exact name wins over an inexact one, and of several
 * inexact ones the first in the document.
 * Strings come as they are, numbers and booleans as text ("true"/"false"),
 * arrays and objects as compact JSON.  Values live in pool.
 * NGX_DECLINED when there is none, when it is null, or when the text holds a
 * control byte (below 0x20, or 0x7f): such a value must not reach a header.
 */
ngx_int_t ngx_intuit_json_claim(ngx_pool_t *pool,
    const ngx_intuit_json_t *json, const ngx_str_t *name, ngx_str_t *value);

/* Length of s as a JSON string's content, and the escaping itself: quotes,
 * backslash, control bytes, and "<", ">", "&" (as \u003c ...), so that the
 * text is safe inside HTML as well; returns the end.  Bytes that are not
 * valid UTF-8 become U+FFFD. */
size_t ngx_intuit_json_escaped_len(const ngx_str_t *s);
u_char *ngx_intuit_json_escape(u_char *dst, const ngx_str_t *s);


#endif /* _NGX_INTUIT_JSON_H_INCLUDED_ */
