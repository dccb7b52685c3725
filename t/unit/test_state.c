/*
 * State files: a name tells what it is the name of, and nothing opens but what
 * was sealed, whole, for exactly that name.
 */

#include "ngx_intuit_state.h"
#include "ngx_intuit_stub.h"
#include "test.h"


static ngx_pool_t          *pool;
static u_char               owner[NGX_INTUIT_HASH_LEN];
static ngx_intuit_key_t     keys[2];
static ngx_intuit_state_t   state;
static ngx_str_t            plain = ngx_string("what a connection is made of");


static ngx_int_t
try_open(const ngx_intuit_state_t *as, u_char *data, size_t len)
{
    ngx_str_t  in, out;

    in.data = data;
    in.len = len;

    return ngx_intuit_state_open(pool, keys, 2, as, &in, &out);
}


static void
test_names(void)
{
    u_char               name[NGX_INTUIT_STATE_NAME_SIZE], c;
    size_t               i;
    ngx_uint_t           wrong;
    ngx_intuit_state_t   other;

    ngx_intuit_state_name(name, &state);

    ok(strlen((char *) name) == NGX_INTUIT_STATE_NAME_SIZE - 1,
       "a name fills its room");

    memset(&other, 0, sizeof(other));
    other.owner = owner;

    ok(ngx_intuit_state_parse(name, &other) == NGX_OK
       && other.generation == state.generation
       && memcmp(other.id, state.id, sizeof(other.id)) == 0,
       "it is read as it was written");

    wrong = 0;

    for (i = 0; name[i]; i++) {
        c = name[i];

        name[i] = 'G';
        wrong += (ngx_intuit_state_parse(name, &other) == NGX_OK);

        name[i] = '\0';
        wrong += (ngx_intuit_state_parse(name, &other) == NGX_OK);

        name[i] = c;
    }

    ok(wrong == 0, "one character off, or cut short, it is no name");

    owner[0] ^= 1;
    ok(ngx_intuit_state_parse(name, &other) == NGX_DECLINED,
       "another provider's name is not ours");
    owner[0] ^= 1;

    ngx_intuit_state_name_of(name, &state, "tmp");

    ok(ngx_intuit_state_name_is(name, owner, "tmp")
       && !ngx_intuit_state_name_is(name, owner, "lock")
       && ngx_intuit_state_parse(name, &other) == NGX_DECLINED,
       "a temporary file is known, and no state file");
}


static void
test_damage(void)
{
    size_t               i, len;
    ngx_str_t            sealed, out;
    ngx_uint_t           bit, wrong;
    ngx_intuit_state_t   other;

    ok(ngx_intuit_state_seal(pool, &keys[1], &state, &plain, &sealed)
       == NGX_OK, "sealed");

    ok(ngx_intuit_state_open(pool, keys, 2, &state, &sealed, &out) == NGX_OK
       && out.len == plain.len && memcmp(out.data, plain.data, out.len) == 0,
       "any key of the ring opens");

    ok(ngx_intuit_state_open(pool, keys, 1, &state, &sealed, &out)
       == NGX_DECLINED, "a key that is not in the ring does not");

    wrong = 0;

    for (len = 0; len < sealed.len; len++) {
        wrong += (try_open(&state, sealed.data, len) != NGX_DECLINED);
    }

    ok(wrong == 0, "cut anywhere, it does not open");

    for (i = 0; i < sealed.len; i++) {
        for (bit = 0; bit < 8; bit++) {
            sealed.data[i] ^= 1 << bit;
            wrong += (try_open(&state, sealed.data, sealed.len)
                      != NGX_DECLINED);
            sealed.data[i] ^= 1 << bit;
        }
    }

    ok(wrong == 0, "with any bit flipped, it does not open");

    other = state;
    other.generation++;
    ok(try_open(&other, sealed.data, sealed.len) == NGX_DECLINED,
       "nor as another generation");

    other = state;
    other.id[31] ^= 1;
    ok(try_open(&other, sealed.data, sealed.len) == NGX_DECLINED,
       "nor as another connection");

    owner[31] ^= 1;
    ok(try_open(&state, sealed.data, sealed.len) == NGX_DECLINED,
       "nor for another provider");
    owner[31] ^= 1;

    ok(try_open(&state, sealed.data, sealed.len) == NGX_OK,
       "and as itself it still does");
}


int
main(void)
{
    ngx_str_t  a = ngx_string("one"), b = ngx_string("two");

    pool = ngx_intuit_stub_pool();

    memset(owner, 0x5a, sizeof(owner));
    memset(state.id, 0xa5, sizeof(state.id));
    state.owner = owner;
    state.generation = 0x0123456789abcdefULL;

    ok(ngx_intuit_key_derive(&keys[0], &a, "state") == NGX_OK
       && ngx_intuit_key_derive(&keys[1], &b, "state") == NGX_OK, "keys");

    test_names();
    test_damage();

    ngx_destroy_pool(pool);

    return done_testing();
}
