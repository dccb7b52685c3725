/*
 * What hosts share in Redis or Valkey: its names and its sealed content.
 *
 *   name     prefix kind ":" id, the id as base64url
 *   content  generation, as 20 digits that a script there can compare, and
 *            what is sealed for exactly this kind, id and generation
 *
 * An id is a SHA-256 value of the secret or name that it stands for.  So
 * nobody who reads there learns a cookie, a company or a token, and what was
 * copied to another name, or is of another generation, does not open.
 */

#ifndef _NGX_INTUIT_SHARED_H_INCLUDED_
#define _NGX_INTUIT_SHARED_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_intuit_crypto.h"


#define NGX_INTUIT_SHARED_ID_LEN      32
#define NGX_INTUIT_SHARED_NUMBER_LEN  20

#define NGX_INTUIT_SHARED_SESSION     's'
#define NGX_INTUIT_SHARED_CONNECTION  'c'
#define NGX_INTUIT_SHARED_LEASE       'l'
#define NGX_INTUIT_SHARED_LOGIN       'a'
#define NGX_INTUIT_SHARED_OUTCOME     'o'
#define NGX_INTUIT_SHARED_QUOTA       'q'
#define NGX_INTUIT_SHARED_BATCHES     'b'
#define NGX_INTUIT_SHARED_HOSTS       'h'


typedef struct {
    u_char         kind;
    const u_char  *id;                       /* NGX_INTUIT_SHARED_ID_LEN */
    uint64_t       generation;
} ngx_intuit_shared_t;


/* The name, in pool.  NGX_OK or NGX_ERROR. */
ngx_int_t ngx_intuit_shared_name(ngx_pool_t *pool, const ngx_str_t *prefix,
    const ngx_intuit_shared_t *shared, ngx_str_t *name);

/* Writes the generation as it stands in front; returns the end. */
u_char *ngx_intuit_shared_number(u_char *p, uint64_t generation);

/* Reads it.  NGX_OK, or NGX_DECLINED: there is none. */
ngx_int_t ngx_intuit_shared_generation(const ngx_str_t *value,
    uint64_t *generation);

/* As ngx_intuit_seal() and ngx_intuit_open(); opening sets the generation. */
ngx_int_t ngx_intuit_shared_seal(ngx_pool_t *pool, const ngx_intuit_key_t *key,
    const ngx_intuit_shared_t *shared, const ngx_str_t *plain,
    ngx_str_t *value);
ngx_int_t ngx_intuit_shared_open(ngx_pool_t *pool,
    const ngx_intuit_key_t *keys, ngx_uint_t n, ngx_intuit_shared_t *shared,
    const ngx_str_t *value, ngx_str_t *plain);


#endif /* _NGX_INTUIT_SHARED_H_INCLUDED_ */
