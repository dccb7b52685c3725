/*
 * The setters of directives, and what nginx -t says about them.
 */

#ifndef _NGX_HTTP_INTUIT_PROVIDER_H_INCLUDED_
#define _NGX_HTTP_INTUIT_PROVIDER_H_INCLUDED_


#include "ngx_http_intuit_auth_module.h"


/* The provider of that name; it is made when it is first mentioned, so that
 * the block may come later in the file.  NULL: no memory. */
ngx_http_intuit_provider_t *ngx_http_intuit_provider_get(ngx_conf_t *cf,
    ngx_str_t *name);

/* the block, and its directives that are no plain slots */
char *ngx_http_intuit_provider_block(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_intuit_set_secret_file(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_intuit_set_scope(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_intuit_set_allow(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_intuit_set_either(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_intuit_set_cookie_flags(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_intuit_set_tls_file(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_intuit_set_key_file(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/* what a directive for operators makes of a location (cmd->post) */
typedef struct {
    ngx_http_handler_pt          handler;
    ngx_uint_t                   callback;     /* needs the redirect URI */
} ngx_http_intuit_action_t;

/* in locations: auth_intuit, auth_intuit_require, intuit_proxy,
 * intuit_connect and the like, and intuit_status */
char *ngx_http_intuit_set_auth(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_intuit_set_require(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_intuit_set_proxy(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_intuit_set_limit(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_intuit_set_operator(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_intuit_set_status(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/*
 * Fills in defaults, derives keys and names, and refuses what cannot work,
 * naming the directive and the remedy.  Called in postconfiguration, before
 * ngx_http_intuit_servers_init().  NGX_OK or NGX_ERROR (logged).
 */
ngx_int_t ngx_http_intuit_provider_init(ngx_conf_t *cf,
    ngx_http_intuit_provider_t *provider);

/*
 * Refuses in the locations of intuit_proxy what would come between the API's
 * answer and this module.  NGX_OK or NGX_ERROR (logged).
 */
ngx_int_t ngx_http_intuit_locations_init(ngx_conf_t *cf,
    ngx_http_intuit_main_conf_t *imcf);

/*
 * Gives every server the URIs of the providers it uses; refuses URIs that
 * collide and a redirect host that no server has.
 */
ngx_int_t ngx_http_intuit_servers_init(ngx_conf_t *cf);


#endif /* _NGX_HTTP_INTUIT_PROVIDER_H_INCLUDED_ */
