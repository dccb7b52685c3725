/*
 * State files: their names and their sealed content.
 *
 *   owner "-" id "-" generation ".state"     16, 64 and 16 hex digits
 *
 * owner stands for the provider, id for one of its connections; neither tells
 * a company's number.  The content is sealed for exactly this name, so that a
 * file that was renamed or copied over another one does not open.
 */

#ifndef _NGX_INTUIT_STATE_H_INCLUDED_
#define _NGX_INTUIT_STATE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_intuit_crypto.h"


#define NGX_INTUIT_STATE_ID_LEN      32
#define NGX_INTUIT_STATE_OWNER_LEN   8       /* bytes of it in a name */

/* room for any name that this file writes, with its zero byte */
#define NGX_INTUIT_STATE_NAME_SIZE                                            \
    (2 * NGX_INTUIT_STATE_OWNER_LEN + 2 * NGX_INTUIT_STATE_ID_LEN             \
     + 16 + sizeof("--.state"))


typedef struct {
    const u_char  *owner;                    /* NGX_INTUIT_HASH_LEN bytes */
    u_char         id[NGX_INTUIT_STATE_ID_LEN];
    uint64_t       generation;
} ngx_intuit_state_t;


/* The name of a state file; buf has NGX_INTUIT_STATE_NAME_SIZE bytes. */
void ngx_intuit_state_name(u_char *buf, const ngx_intuit_state_t *state);

/* A name of the same connection, with ".suffix" in place of the generation;
 * suffix has at most 16 bytes. */
void ngx_intuit_state_name_of(u_char *buf, const ngx_intuit_state_t *state,
    const char *suffix);

/*
 * Takes a name (zero-terminated) apart: state's owner is given, id and
 * generation are set.  NGX_OK, or NGX_DECLINED: not one of this owner's state
 * files.
 */
ngx_int_t ngx_intuit_state_parse(const u_char *name,
    ngx_intuit_state_t *state);

/* 1: a name that ngx_intuit_state_name_of() makes for this owner. */
ngx_uint_t ngx_intuit_state_name_is(const u_char *name, const u_char *owner,
    const char *suffix);

/* As ngx_intuit_seal() and ngx_intuit_open(), for this name and no other. */
ngx_int_t ngx_intuit_state_seal(ngx_pool_t *pool, const ngx_intuit_key_t *key,
    const ngx_intuit_state_t *state, const ngx_str_t *plain,
    ngx_str_t *sealed);
ngx_int_t ngx_intuit_state_open(ngx_pool_t *pool,
    const ngx_intuit_key_t *keys, ngx_uint_t n,
    const ngx_intuit_state_t *state, const ngx_str_t *sealed,
    ngx_str_t *plain);


#endif /* _NGX_INTUIT_STATE_H_INCLUDED_ */
