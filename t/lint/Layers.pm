package Layers;

# Who may include whom, and use what:
#
#     front door    directives and configuration
#     flows         one story each; each knows its own header
#     gateways      job, fetch, store, ...: know no flow
#     pure          no nginx-http, no clock, no log, nothing global
#
# A file that is neither pure nor in one of the lists is a flow.

use strict;
use warnings;

my $FRONT = qr/^ngx_http_intuit_(?:auth_module|provider|provider_check|location|server)$/;
my $GATEWAY = qr/^ngx_http_intuit_(?:job|fetch|fetch_tls|conf|redis|redis_conf|share|share_\w+|peer|peer_address|discovery|resolver|cookie|page|save|pending|state|state_\w+|store|store_\w+)$/;
my $SHARED = qr/^ngx_http_intuit_(?:auth_module|compat)$/;
my $PURE = qr/^ngx_intuit_/;

# A story in several files, and who begins it.
my %INVITED = (
    ngx_http_intuit_callback => qr/^ngx_http_intuit_(?:exchange|login)$/,
    ngx_http_intuit_connect  => qr/^ngx_http_intuit_exchange$/,
    ngx_http_intuit_migrate  => qr/^ngx_http_intuit_exchange$/,
    ngx_http_intuit_proxy    => qr/^ngx_http_intuit_refresh$/,
    ngx_http_intuit_replay   => qr/^ngx_http_intuit_refresh$/,
    ngx_http_intuit_keepalive => qr/^ngx_http_intuit_refresh$/,
    ngx_http_intuit_session  => qr/^ngx_http_intuit_refresh$/,
    ngx_http_intuit_status   => qr/^ngx_http_intuit_refresh$/,
    ngx_http_intuit_access   => qr/./,
);

# What belongs to certain files alone.
my @OWNED = (
    [ qr/\bnginx_version\b/, qr/^ngx_http_intuit_compat$/, 'nginx_version' ],
    [ qr/\bngx_(?:slab|shmtx)_\w+|\bngx_slab_pool_t\b/,
        qr/^ngx_http_intuit_store_shm/, 'slab or mutex' ],
    [ qr/\bjson_\w+\b|\bjansson\.h\b/, qr/^ngx_intuit_(?:json|oauth2)$/,
        'jansson' ],
    [ qr/\bBIO_|\bEVP_\w+\(|\bRAND_\w+\(|\bOPENSSL_cleanse\b/,
        qr/^ngx_intuit_(?:crypto|memo|jwks|jwt)$/, 'libcrypto' ],
);

my @FORBIDDEN = (
    [ $PURE, qr/\bngx_http_\w+/, 'ngx_http_ in a pure file' ],
    [ $PURE, qr/\bngx_(?:time|timeofday|cycle|current_msec|cached_\w+)\b|\b(?:time|gettimeofday|clock_gettime)\(/,
        'a clock or the cycle in a pure file' ],
    [ $PURE, qr/\bngx_(?:conf_)?log_(?:error|debug\d?|abort)\b/,
        'logging in a pure file' ],
    [ $PURE, qr/^static (?!const )[^()\n;]*(?:;|=)/m,
        'a variable of the file in a pure file' ],
    [ qr/^ngx_http_intuit_(?:job|fetch)$/,
        qr/\bngx_intuit_(?:tokens|jwt|jwks|oauth2|code)_\w+\(|\bngx_http_intuit_(?:exchange|login|refresh|callback)_\w+\(/,
        'OAuth in a gateway that only carries' ],
);


sub check {
    my ($tree) = @_;
    my @files = $tree->sources;
    my (@wrong, $includes, %kind);

    for my $path (@files) {
        my ($name) = $path =~ m{(\w+)\.[ch]$};
        my $code = $tree->code($path);
        my $text = $tree->uncommented($path);

        $kind{kind($name)}++;

        while ($text =~ /^#include ["<]([\w\/]+)\.h[">]/mg) {
            $includes++;
            my $why = barred($name, $1) // next;
            push @wrong, Tree::place($path, $text, $-[0], "$1.h: $why");
        }

        for (@OWNED) {
            my ($pattern, $owner, $what) = @$_;
            push @wrong, Tree::matches($path,
                $what eq 'jansson' ? $text =~ s/"[^"\n]*"/""/gr : $code,
                $pattern, "$what is not for this file") if $name !~ $owner;
        }

        for (@FORBIDDEN) {
            my ($where, $pattern, $what) = @$_;
            push @wrong, Tree::matches($path, $code, $pattern, $what)
                if $name =~ $where;
        }
    }

    push @wrong, map { "found nothing: $_ files" }
        grep { !$kind{$_} } qw(front flow gateway pure);
    push @wrong, 'found nothing: includes' if !$includes;

    return @wrong;
}

sub kind {
    my ($name) = @_;
    return $name =~ $PURE ? 'pure' : $name =~ $FRONT ? 'front'
        : $name =~ $GATEWAY || $name =~ $SHARED ? 'gateway' : 'flow';
}

# Why a file may not include a header; undef: it may.
sub barred {
    my ($name, $header) = @_;
    my $kind = kind($name);

    if ($kind eq 'pure') {
        return $header =~ /^ngx_http|^ngx_event/ ? 'not for a pure file' : undef;
    }

    return if $header !~ /^ngx_http_intuit_/ || $header =~ $SHARED
        || $header =~ $GATEWAY || $name =~ /^\Q$header\E(?:_|$)/;

    return if $kind eq 'front';

    return 'for directives and configuration only' if $header =~ $FRONT;
    return 'a flow, not for a gateway' if $kind eq 'gateway';
    return if $INVITED{$name} && $header =~ $INVITED{$name};
    return 'another flow';
}


# file, what is planted into it (at its end), what has to be said
sub controls {
    my @planted = (
        [ 'src/ngx_intuit_url.c', '#include <ngx_http.h>', qr/ngx_http\.h: not for a pure/ ],
        [ 'src/ngx_intuit_url.c', 'void *x = ngx_http_get_module_ctx;', qr/ngx_http_ in a pure/ ],
        [ 'src/ngx_intuit_jwt.c', 'time_t t = ngx_time();', qr/a clock/ ],
        [ 'src/ngx_intuit_jwt.c', 'ngx_log_error(1, log, 0, "x");', qr/logging in a pure/ ],
        [ 'src/ngx_intuit_jwks.c', 'static ngx_uint_t  ngx_intuit_count;', qr/variable of the file/ ],
        [ 'src/ngx_http_intuit_fetch.c', '#include "ngx_http_intuit_exchange.h"', qr/a flow, not for a gateway/ ],
        [ 'src/ngx_http_intuit_job.c', 'void x() { ngx_intuit_tokens_parse(p); }', qr/OAuth in a gateway/ ],
        [ 'src/ngx_http_intuit_logout.c', '#include "ngx_http_intuit_exchange.h"', qr/exchange\.h: another flow/ ],
        [ 'src/ngx_http_intuit_logout.c', '#include "ngx_http_intuit_provider.h"', qr/configuration only/ ],
        [ 'src/ngx_http_intuit_cookie.c', '#if (nginx_version > 1)', qr/nginx_version is not/ ],
        [ 'src/ngx_http_intuit_session.c', 'void x() { ngx_shmtx_lock(m); }', qr/slab or mutex is not/ ],
        [ 'src/ngx_http_intuit_exchange.c', 'json_t *x;', qr/jansson is not/ ],
        [ 'src/ngx_http_intuit_login.c', '#include <jansson.h>', qr/jansson is not/ ],
        [ 'src/ngx_http_intuit_login.c', 'void x() { RAND_bytes(p, 1); }', qr/libcrypto is not/ ],
    );

    return map {
        my ($path, $line, $said) = @$_;
        [ $path, sub { "$_[0]$line\n" }, $said ]
    } @planted;
}


1;
