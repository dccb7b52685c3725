/*
 * Linked to the module's objects by no-call.t, with ld's --wrap for each name
 * below: one call fails, the n-th from the moment in which n is written to the
 * file that INTUIT_NO_CALL names, and its name is put behind n.  What fails is
 * what nginx, OpenSSL and jansson may refuse.
 */

#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>


typedef struct {
    int32_t   left;          /* 0: none fails */
    char      name[60];
} no_call_t;


static no_call_t  *no_call;


__attribute__((constructor)) static void
attach(void)
{
    int          fd;
    void        *p;
    const char  *path;

    path = getenv("INTUIT_NO_CALL");

    if (path == NULL) {
        return;
    }

    fd = open(path, O_RDWR);

    if (fd == -1) {
        abort();
    }

    p = mmap(NULL, sizeof(no_call_t), PROT_READ|PROT_WRITE, MAP_SHARED, fd, 0);

    if (p == MAP_FAILED) {
        abort();
    }

    close(fd);
    no_call = p;
}


static int
fails(const char *name)
{
    if (no_call == NULL
        || __atomic_load_n(&no_call->left, __ATOMIC_RELAXED) <= 0
        || __atomic_sub_fetch(&no_call->left, 1, __ATOMIC_RELAXED) != 0)
    {
        return 0;
    }

    strncpy(no_call->name, name, sizeof(no_call->name) - 1);

    return 1;
}


/* arguments are words: pointers, or numbers that fit into one */

#define WRAP(name, failure, params, args)                                      \
    extern intptr_t __real_##name params;                                      \
    intptr_t __wrap_##name params                                              \
    {                                                                          \
        return fails(#name) ? (intptr_t) (failure) : __real_##name args;       \
    }

#define P1  (intptr_t a)
#define A1  (a)
#define P2  (intptr_t a, intptr_t b)
#define A2  (a, b)
#define P3  (intptr_t a, intptr_t b, intptr_t c)
#define A3  (a, b, c)
#define P4  (intptr_t a, intptr_t b, intptr_t c, intptr_t d)
#define A4  (a, b, c, d)
#define P5  (intptr_t a, intptr_t b, intptr_t c, intptr_t d, intptr_t e)
#define A5  (a, b, c, d, e)
#define P6  (intptr_t a, intptr_t b, intptr_t c, intptr_t d, intptr_t e,        \
             intptr_t f)
#define A6  (a, b, c, d, e, f)
#define P0  (void)
#define A0  ()

#define NGX_ERROR  -1

/* nginx */
WRAP(ngx_palloc, 0, P2, A2)
WRAP(ngx_pnalloc, 0, P2, A2)
WRAP(ngx_pcalloc, 0, P2, A2)
WRAP(ngx_alloc, 0, P2, A2)
WRAP(ngx_calloc, 0, P2, A2)
WRAP(ngx_pstrdup, 0, P2, A2)
WRAP(ngx_array_create, 0, P3, A3)
WRAP(ngx_array_push, 0, P1, A1)
WRAP(ngx_array_push_n, 0, P2, A2)
WRAP(ngx_list_push, 0, P1, A1)
WRAP(ngx_create_temp_buf, 0, P2, A2)
WRAP(ngx_alloc_chain_link, 0, P1, A1)
WRAP(ngx_pool_cleanup_add, 0, P2, A2)
WRAP(ngx_create_pool, 0, P2, A2)
WRAP(ngx_slab_alloc_locked, 0, P2, A2)
WRAP(ngx_slab_alloc, 0, P2, A2)
WRAP(ngx_get_connection, 0, P2, A2)
WRAP(ngx_resolve_start, 0, P2, A2)
WRAP(ngx_resolver_create, 0, P3, A3)
WRAP(ngx_thread_pool_add, 0, P2, A2)
WRAP(ngx_thread_task_alloc, 0, P2, A2)
WRAP(ngx_thread_task_post, NGX_ERROR, P2, A2)
WRAP(ngx_shared_memory_add, 0, P4, A4)
WRAP(ngx_http_add_variable, 0, P3, A3)
WRAP(ngx_http_complex_value, NGX_ERROR, P3, A3)
WRAP(ngx_http_compile_complex_value, NGX_ERROR, P1, A1)
WRAP(ngx_http_create_request, 0, P1, A1)
WRAP(ngx_http_send_header, NGX_ERROR, P1, A1)
WRAP(ngx_http_subrequest, NGX_ERROR, P6, A6)
WRAP(ngx_http_upstream_add, 0, P3, A3)
WRAP(ngx_http_upstream_create, NGX_ERROR, P1, A1)

/* OpenSSL */
WRAP(RAND_bytes, 0, P2, A2)
WRAP(BN_bin2bn, 0, P3, A3)
WRAP(EVP_CIPHER_CTX_new, 0, P0, A0)
WRAP(EVP_CIPHER_CTX_ctrl, 0, P4, A4)
WRAP(EVP_EncryptInit_ex, 0, P5, A5)
WRAP(EVP_EncryptUpdate, 0, P5, A5)
WRAP(EVP_EncryptFinal_ex, 0, P3, A3)
WRAP(EVP_DecryptInit_ex, 0, P5, A5)
WRAP(EVP_DecryptUpdate, 0, P5, A5)
WRAP(EVP_Digest, 0, P6, A6)
WRAP(EVP_MD_CTX_new, 0, P0, A0)
WRAP(EVP_MD_CTX_copy_ex, 0, P2, A2)
WRAP(EVP_DigestInit_ex, 0, P3, A3)
WRAP(EVP_DigestUpdate, 0, P3, A3)
WRAP(EVP_DigestFinal_ex, 0, P3, A3)
WRAP(EVP_DigestVerifyInit, 0, P5, A5)
WRAP(EVP_DigestVerify, -1, P5, A5)
WRAP(EVP_KDF_fetch, 0, P3, A3)
WRAP(EVP_KDF_CTX_new, 0, P1, A1)
WRAP(EVP_KDF_derive, 0, P4, A4)
WRAP(EVP_PKEY_CTX_new_from_name, 0, P3, A3)
WRAP(EVP_PKEY_CTX_set_rsa_padding, 0, P2, A2)
WRAP(EVP_PKEY_fromdata_init, 0, P1, A1)
WRAP(EVP_PKEY_fromdata, 0, P4, A4)
WRAP(OSSL_PARAM_BLD_new, 0, P0, A0)
WRAP(OSSL_PARAM_BLD_push_BN, 0, P3, A3)
WRAP(OSSL_PARAM_BLD_to_param, 0, P1, A1)
WRAP(SSL_SESSION_dup, 0, P1, A1)

/* jansson */
WRAP(json_loadb, 0, P4, A4)
WRAP(json_object, 0, P0, A0)
WRAP(json_object_update, -1, P2, A2)
