/*
 * What a shared zone needs of nginx's core, for one process: slabs over
 * malloc() within a limit of bytes, a search tree with the interface of
 * ngx_rbtree, a mutex that dies when it is locked twice, and a log that
 * remembers.  The tree is not balanced: identifiers are hashes.
 */

#ifndef _NGX_SLAB_STUB_H_INCLUDED_
#define _NGX_SLAB_STUB_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * A zone of size bytes, empty, named name.  The pool in it lets limit bytes be
 * in use at once; a piece takes what the real slab would take.
 */
ngx_shm_zone_t *ngx_slab_stub_zone(const char *name, size_t size,
    size_t limit);

/* What ngx_shared_memory_add() gives from now on. */
void ngx_slab_stub_next(ngx_shm_zone_t *zone);

/* Frees the zone and whatever is in it. */
void ngx_slab_stub_free(ngx_shm_zone_t *zone);

size_t ngx_slab_stub_used(ngx_shm_zone_t *zone);
void ngx_slab_stub_limit(ngx_shm_zone_t *zone, size_t limit);

/* Called when a mutex was unlocked; for doing what another process would. */
extern void (*ngx_slab_stub_unlocked)(void);

/* The log: lines since the last call, the last line, its level. */
extern ngx_log_t    ngx_slab_stub_log;
extern ngx_uint_t   ngx_slab_stub_lines;
extern ngx_uint_t   ngx_slab_stub_level;
extern char         ngx_slab_stub_line[1024];


#endif /* _NGX_SLAB_STUB_H_INCLUDED_ */
