/*
 * The part of nginx's core that the pure files need, over malloc(): each
 * ngx_palloc() is a block of its own, so that ASan sees every overrun and
 * every use after the pool's end; fresh memory is filled with 0xa5.
 *
 * The types are nginx's own; only the functions are made anew.
 */

#ifndef _NGX_INTUIT_STUB_H_INCLUDED_
#define _NGX_INTUIT_STUB_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/* A new pool; aborts when there is no memory. */
ngx_pool_t *ngx_intuit_stub_pool(void);

/*
 * Lets n more pool allocations succeed and all further ones fail;
 * n < 0 (the start value): none fails.
 */
void ngx_intuit_stub_fail_after(ngx_int_t n);

/* Pool allocations asked for since the start of the program. */
ngx_uint_t ngx_intuit_stub_allocations(void);

/*
 * A copy of a C string, or of len bytes, in a block of exactly its length
 * and without a NUL at its end: a reader that goes beyond it is seen.
 */
ngx_str_t ngx_intuit_stub_str(ngx_pool_t *pool, const char *text);
ngx_str_t ngx_intuit_stub_mem(ngx_pool_t *pool, const void *data, size_t len);

/* "%V" and the like, into pool; the result is cut at 64k. */
ngx_str_t ngx_intuit_stub_fmt(ngx_pool_t *pool, const char *fmt, ...);


#endif /* _NGX_INTUIT_STUB_H_INCLUDED_ */
