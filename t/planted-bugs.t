#!/usr/bin/perl

# The promise: each kind of bug is seen by the guard that is meant for it.
# The attack: a guard that sees nothing.  One bug of each kind is planted in a
# copy of this tree, the copy is built, and a test that passes without it has
# to fail, for that reason.
#
# Slow: a part of "make test-all".

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use Test::Intuit::Plant;

plan skip_all => 'slow; make test-all runs it' if !$ENV{TEST_ALL};

# the copy has variants of its own
delete @ENV{qw(TEST_VARIANT TEST_MODULE TEST_NGINX MAKEFLAGS MAKELEVEL)};

my $copy = Test::Intuit::Plant->new;
my $asan_nginx = -x "$FindBin::Bin/../build/asan-nginx/nginx";

$copy->share('asan-nginx');

my $ACCESS = 'src/ngx_http_intuit_access.c';
my $HANDLER = "ngx_http_intuit_access_handler(ngx_http_request_t *r)\n{\n";

# what, the guard, what it says, and how it is planted: file, text, text
my @BUGS = (
    [ 'nothing', 'asan', undef ],

    [ 'an overrun on the heap', 'asan', qr/heap-buffer-overflow/,
        $ACCESS, $HANDLER, $HANDLER . q{
            volatile u_char *planted = ngx_alloc(16, r->connection->log);
            planted[16] = 1;
            ngx_free((void *) planted);
        } ],

    [ 'an overrun in a pool', 'pool', qr/heap-buffer-overflow/,
        'src/ngx_intuit_args.c', 'ngx_pnalloc(pool, s->len + 1)',
        'ngx_pnalloc(pool, s->len - 1)' ],

    [ 'a use after free', 'asan', qr/heap-use-after-free/,
        $ACCESS, $HANDLER, $HANDLER . q{
            volatile u_char *planted = ngx_alloc(16, r->connection->log);
            ngx_free((void *) planted);
            planted[1] = 1;
        } ],

    [ 'a leak', 'pool', qr/LeakSanitizer/, 'src/ngx_intuit_json.c',
        'cln->handler = ngx_intuit_json_free;', 'cln->handler = NULL;' ],

    [ 'a shift that is undefined', 'asan', qr/runtime error: shift exponent/,
        $ACCESS, $HANDLER, $HANDLER . q{
            volatile int planted = 40;
            planted = 1 << planted;
        } ],

    [ 'a walk in the zone without its lock', 'debug',
        qr/used without its lock/, 'src/ngx_http_intuit_store_shm.c',
        "        ngx_http_intuit_shm_lock(store);\n        rc = "
            . 'ngx_http_intuit_shm_read_login',
        '        rc = ngx_http_intuit_shm_read_login' ],

    [ 'a secret in a log line', 'debug', qr/no secret in the logs/,
        'src/ngx_http_intuit_exchange_save.c',
        'pair->access_token = ctx->tokens.access_token;',
        'pair->access_token = ctx->tokens.access_token;
         ngx_log_error(NGX_LOG_INFO, ngx_cycle->log, 0, "planted %V",
                       &pair->access_token);' ],

    [ 'nothing', 'lint', undef ],

    [ 'a pure file that knows of requests', 'lint',
        qr/ngx_http\.h: not for a pure file/, 'src/ngx_intuit_args.c',
        '#include "ngx_intuit_args.h"',
        qq{#include <ngx_http.h>
#include "ngx_intuit_args.h"} ],

    [ 'a gateway that knows a flow', 'lint',
        qr/exchange\.h: a flow, not for a gateway/, 'src/ngx_http_intuit_job.c',
        '#include "ngx_http_intuit_job.h"',
        qq{#include "ngx_http_intuit_job.h"
#include "ngx_http_intuit_exchange.h"} ],
);

for my $bug (@BUGS) {
    my ($what, $guard, $says, $file, $from, $to) = @$bug;

    SKIP: {
        skip "$what: no nginx with AddressSanitizer", 2
            if $guard eq 'pool' && !$asan_nginx;

        my $variant = $guard =~ /^(?:debug|lint)$/ ? 'debug' : 'asan';

        $copy->plant($file, $from, $to) if defined $file;

        # a bug that the compiler sees is not the one we want
        my ($failed, $built) = $copy->run(
            "EXTRA_CFLAGS=-w t/tools/build-module.sh $variant");
        is($failed, 0, "$what is built") or diag($built);

        my $test = $guard eq 'lint' ? 't/lint.t' : 't/login.t';
        my ($status, $output) = $copy->run(
            "TEST_KEEP=1 TEST_VARIANT=$variant prove -v -I t/lib $test");
        my $logs = logs($output);

        if (defined $says) {
            ok($status != 0 && "$output$logs" =~ $says, "$what is seen")
                or diag($output);

        } else {
            is($status, 0, 'all is well without a bug') or diag($output);
        }

        $copy->heal;
    }
}

# the analysers, each with a file that has what it is to find
$copy->write('src/ngx_intuit_planted.c', <<'EOC');
#include <stdlib.h>

int ngx_intuit_planted(int n);

int
ngx_intuit_planted(int n)
{
    char  *p, text[4];

    p = malloc(4);
    if (p == NULL) {
        return 0;
    }

    free(p);

    if (n) {
        free(p);
    }

    return text[4];
}
EOC

my ($status, $output) = $copy->run('t/tools/build-module.sh debug > /dev/null;'
    . ' t/tools/analyse.sh $PWD/src/ngx_intuit_planted.c');

isnt($status, 0, 'the analysers complain');
like($output, qr/gcc [1-9]\d* open/, 'gcc -fanalyzer does');
like($output, qr/tidy [1-9]\d* open/, 'clang-tidy does');
like($output, qr/cppcheck [1-9]\d* open/, 'cppcheck does');

done_testing();


# All that the test's nginx has left behind, which is removed.
sub logs {
    my ($output) = @_;
    my $text = '';

    for my $dir ($output =~ /^# kept: (\S+)$/mg) {
        $text .= `cat '$dir'/logs/* 2>/dev/null`;
        system('rm', '-rf', $dir);
    }

    return $text;
}
