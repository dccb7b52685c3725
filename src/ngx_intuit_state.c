/*
 * State files: their names and their sealed content.
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_intuit_state.h"


#define NGX_INTUIT_STATE_LABEL    "state"

#define NGX_INTUIT_STATE_AAD_LEN                                              \
    (sizeof(NGX_INTUIT_STATE_LABEL) - 1 + NGX_INTUIT_HASH_LEN                 \
     + NGX_INTUIT_STATE_ID_LEN + 8)


static u_char *ngx_intuit_state_prefix(u_char *p,
    const ngx_intuit_state_t *state);
static const u_char *ngx_intuit_state_unhex(const u_char *p, u_char *out,
    size_t len);
static void ngx_intuit_state_number(u_char *p, uint64_t n);
static void ngx_intuit_state_aad(u_char *p, const ngx_intuit_state_t *state);


void
ngx_intuit_state_name(u_char *buf, const ngx_intuit_state_t *state)
{
    u_char  *p, number[8];

    ngx_intuit_state_number(number, state->generation);

    p = ngx_intuit_state_prefix(buf, state);
    *p++ = '-';
    p = ngx_hex_dump(p, number, sizeof(number));

    ngx_memcpy(p, ".state", sizeof(".state"));
}


void
ngx_intuit_state_name_of(u_char *buf, const ngx_intuit_state_t *state,
    const char *suffix)
{
    u_char  *p;

    p = ngx_intuit_state_prefix(buf, state);
    *p++ = '.';

    ngx_memcpy(p, suffix, ngx_strlen(suffix) + 1);
}


static u_char *
ngx_intuit_state_prefix(u_char *p, const ngx_intuit_state_t *state)
{
    p = ngx_hex_dump(p, (u_char *) state->owner, NGX_INTUIT_STATE_OWNER_LEN);
    *p++ = '-';

    return ngx_hex_dump(p, (u_char *) state->id, NGX_INTUIT_STATE_ID_LEN);
}


ngx_int_t
ngx_intuit_state_parse(const u_char *name, ngx_intuit_state_t *state)
{
    u_char         owner[NGX_INTUIT_STATE_OWNER_LEN], number[8];
    ngx_uint_t     i;
    const u_char  *p;

    p = ngx_intuit_state_unhex(name, owner, sizeof(owner));

    if (p == NULL || *p++ != '-'
        || ngx_memcmp(owner, state->owner, sizeof(owner)) != 0)
    {
        return NGX_DECLINED;
    }

    p = ngx_intuit_state_unhex(p, state->id, NGX_INTUIT_STATE_ID_LEN);

    if (p == NULL || *p++ != '-') {
        return NGX_DECLINED;
    }

    p = ngx_intuit_state_unhex(p, number, sizeof(number));

    if (p == NULL || ngx_strcmp(p, ".state") != 0) {
        return NGX_DECLINED;
    }

    state->generation = 0;

    for (i = 0; i < sizeof(number); i++) {
        state->generation = state->generation << 8 | number[i];
    }

    return NGX_OK;
}


ngx_uint_t
ngx_intuit_state_name_is(const u_char *name, const u_char *owner,
    const char *suffix)
{
    u_char         hash[NGX_INTUIT_STATE_OWNER_LEN];
    u_char         id[NGX_INTUIT_STATE_ID_LEN];
    const u_char  *p;

    p = ngx_intuit_state_unhex(name, hash, sizeof(hash));

    if (p == NULL || *p++ != '-'
        || ngx_memcmp(hash, owner, sizeof(hash)) != 0)
    {
        return 0;
    }

    p = ngx_intuit_state_unhex(p, id, sizeof(id));

    return p != NULL && *p == '.' && ngx_strcmp(p + 1, suffix) == 0;
}


/* Lower case only, as it is written.  NULL: there is something else. */

static const u_char *
ngx_intuit_state_unhex(const u_char *p, u_char *out, size_t len)
{
    u_char      c, v;
    ngx_uint_t  i;

    v = 0;

    for (i = 0; i < 2 * len; i++) {

        c = *p++;

        if (c >= '0' && c <= '9') {
            c = (u_char) (c - '0');

        } else if (c >= 'a' && c <= 'f') {
            c = (u_char) (c - 'a' + 10);

        } else {
            return NULL;
        }

        v = (u_char) (v << 4 | c);

        if (i & 1) {
            *out++ = v;
        }
    }

    return p;
}


static void
ngx_intuit_state_number(u_char *p, uint64_t n)
{
    ngx_int_t  i;

    for (i = 7; i >= 0; i--) {
        p[i] = (u_char) (n & 0xff);
        n >>= 8;
    }
}


ngx_int_t
ngx_intuit_state_seal(ngx_pool_t *pool, const ngx_intuit_key_t *key,
    const ngx_intuit_state_t *state, const ngx_str_t *plain,
    ngx_str_t *sealed)
{
    u_char     buf[NGX_INTUIT_STATE_AAD_LEN];
    ngx_str_t  aad;

    ngx_intuit_state_aad(buf, state);

    aad.data = buf;
    aad.len = sizeof(buf);

    return ngx_intuit_seal(pool, key, &aad, plain, sealed);
}


ngx_int_t
ngx_intuit_state_open(ngx_pool_t *pool, const ngx_intuit_key_t *keys,
    ngx_uint_t n, const ngx_intuit_state_t *state, const ngx_str_t *sealed,
    ngx_str_t *plain)
{
    u_char     buf[NGX_INTUIT_STATE_AAD_LEN];
    ngx_str_t  aad;

    ngx_intuit_state_aad(buf, state);

    aad.data = buf;
    aad.len = sizeof(buf);

    return ngx_intuit_open(pool, keys, n, &aad, sealed, plain);
}


/* the id stands for provider and company */

static void
ngx_intuit_state_aad(u_char *p, const ngx_intuit_state_t *state)
{
    p = ngx_cpymem(p, NGX_INTUIT_STATE_LABEL,
                   sizeof(NGX_INTUIT_STATE_LABEL) - 1);
    p = ngx_cpymem(p, state->owner, NGX_INTUIT_HASH_LEN);
    p = ngx_cpymem(p, state->id, NGX_INTUIT_STATE_ID_LEN);

    ngx_intuit_state_number(p, state->generation);
}
