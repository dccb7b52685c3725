/*
 * What the blocks and setters of several files share.
 */

#ifndef _NGX_HTTP_INTUIT_CONF_H_INCLUDED_
#define _NGX_HTTP_INTUIT_CONF_H_INCLUDED_


#include "ngx_http_intuit_auth_module.h"


/* Parses the block that cf stands in: its directives get conf. */
char *ngx_http_intuit_block(ngx_conf_t *cf, void *conf, ngx_uint_t type);

/* The text of a file, without white space around it.  NGX_OK or NGX_ERROR
 * (logged). */
ngx_int_t ngx_http_intuit_read_file(ngx_conf_t *cf, ngx_str_t *name,
    ngx_str_t *text, const char *directive);

/* 1 (logged): a value is a directive, so the one before lacks its ";". */
ngx_uint_t ngx_http_intuit_conf_unended(ngx_conf_t *cf);

/* The whole path of a file that a configuration text is to name, and that is
 * there.  NULL, or what is wrong. */
char *ngx_http_intuit_conf_file(ngx_conf_t *cf, ngx_str_t *value,
    ngx_str_t *file);


#endif /* _NGX_HTTP_INTUIT_CONF_H_INCLUDED_ */
