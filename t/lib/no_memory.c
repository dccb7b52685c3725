/*
 * Preloaded into nginx by no-memory.t: one allocation fails, the n-th from the
 * moment in which n is written to the file that INTUIT_NO_MEMORY names.
 *
 * Not counted is the buffer of jansson's reader where it grows, to 32 bytes, 64
 * and so on, nor what else of jansson's is of such a size: its lex_save() (2.14)
 * passes over that failure.  A string lacks a byte then; a number ends in the
 * assertion of lex_unget_unsave(), which is SIGABRT; a string's end is not found,
 * which is SIGSEGV.
 */

#define _GNU_SOURCE

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>


/* glibc's own, behind the names that are taken here */
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *p, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);


static int32_t  *left;       /* 0: none fails */


__attribute__((constructor)) static void
attach(void)
{
    int          fd;
    void        *p;
    const char  *path;

    path = getenv("INTUIT_NO_MEMORY");

    if (path == NULL) {
        return;
    }

    fd = open(path, O_RDWR);

    if (fd == -1) {
        abort();
    }

    p = mmap(NULL, sizeof(int32_t), PROT_READ|PROT_WRITE, MAP_SHARED, fd, 0);

    if (p == MAP_FAILED) {
        abort();
    }

    close(fd);
    left = p;
}


static int
fails(void *caller, size_t size)
{
    int32_t  n;
    Dl_info  info;

    if (left == NULL || __atomic_load_n(left, __ATOMIC_RELAXED) <= 0) {
        return 0;
    }

    if (size >= 32 && (size & (size - 1)) == 0
        && dladdr(caller, &info) && info.dli_fname
        && strstr(info.dli_fname, "/libjansson"))
    {
        return 0;
    }

    n = __atomic_sub_fetch(left, 1, __ATOMIC_RELAXED);

    if (n == 0) {
        errno = ENOMEM;
        return 1;
    }

    return 0;
}


void *
malloc(size_t size)
{
    return fails(__builtin_return_address(0), size) ? NULL : __libc_malloc(size);
}


void *
calloc(size_t n, size_t size)
{
    return fails(__builtin_return_address(0), n * size)
           ? NULL : __libc_calloc(n, size);
}


void *
realloc(void *p, size_t size)
{
    return fails(__builtin_return_address(0), size) ? NULL : __libc_realloc(p, size);
}


int
posix_memalign(void **p, size_t alignment, size_t size)
{
    if (fails(__builtin_return_address(0), size)) {
        return ENOMEM;
    }

    *p = __libc_memalign(alignment, size);

    return *p ? 0 : ENOMEM;
}
