#!/usr/bin/perl

# The promise: the second try goes well with what else a location may have:
# answers that are not buffered, compressed, cached or streamed, pages for
# errors, a second guard, a mirror; each of these sees one request and one
# answer.  Answers of two companies are never one in a cache.
# The attack: a client gets an answer made of both; a 401 stays in the cache; the
# first company's books for everybody who writes "-".
#
# Rows: BF-12 NGX-I6

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;

my $t = Test::Intuit->new();

$t->write_secret('secret', 'sim-client-secret');
$t->write_file('html/sorry.html', "sorry\n");

$t->conf(<<'CONF')->start;
load_module %%MODULE%%;
error_log %%DIR%%/logs/error.log info;
worker_processes 2;

events {}

http {
    %%TEMP_PATHS%%
    access_log %%DIR%%/logs/access.log;
    proxy_cache_path %%DIR%%/cache keys_zone=api:1m;
    proxy_cache_key $request_uri;
    root %%DIR%%/html;

    intuit_limit off;

    intuit_provider books {
        environment         sandbox;
        config_url          %%SIM%%/.well-known/openid_sandbox_configuration;
        api_url             %%SIM%%;
        client_id           sim-client-id;
        client_secret_file  %%DIR%%/secret;
        scope               openid email com.intuit.quickbooks.accounting;
        redirect_uri        http://localhost:%%PORT_8080%%/intuit/callback;
        allow_realm         any;
        probe               off;
    }

    server {
        listen 127.0.0.1:%%PORT_8080%%;

        location / {
            auth_intuit books;
        }

        location /v3/ {
            intuit_proxy books;
        }

        location /plain/ {
            rewrite ^/plain(/.*) $1 break;
            proxy_buffering off;
            intuit_proxy books;
        }

        location /gzip/ {
            rewrite ^/gzip(/.*) $1 break;
            gzip on;
            gzip_types *;
            gzip_min_length 1;
            gzip_http_version 1.0;
            intuit_proxy books;
        }

        location /cache/ {
            rewrite ^/cache(/.*) $1 break;
            proxy_cache api;
            proxy_cache_valid any 1h;
            proxy_cache_lock on;
            proxy_ignore_headers Cache-Control Expires;
            intuit_proxy books;
            add_header X-Cache $upstream_cache_status;
        }

        location /stale/ {
            rewrite ^/stale(/.*) $1 break;
            proxy_cache api;
            proxy_cache_valid 200 1s;
            proxy_cache_valid any 1h;
            proxy_cache_use_stale updating;
            proxy_cache_background_update on;
            proxy_ignore_headers Cache-Control Expires;
            intuit_proxy books;
            add_header X-Cache $upstream_cache_status;
        }

        location /pages/ {
            rewrite ^/pages(/.*) $1 break;
            proxy_intercept_errors on;
            error_page 403 404 500 /sorry.html;
            intuit_proxy books;
        }

        location = /sorry.html { }

        location /guarded/ {
            rewrite ^/guarded(/.*) $1 break;
            auth_request /guard;
            mirror /mirror;
            if ($http_x_inside) { set $unused 1; }
            intuit_proxy books;
        }

        location = /guard {
            internal;
            proxy_pass %%SIM%%/guard;
        }

        location = /mirror {
            internal;
            proxy_pass %%SIM%%/mirror;
        }
    }
}
CONF

my @realms = qw(9130347957983546 4620816365041297150);
my @jars = map { $t->signed_in(realm => $_) } @realms;

my $long = join '', map { "$_ a line of the answer\n" } 1 .. 20_000;

sub calls { $t->sim->count(kind => 'api') }

sub refuse {
    my (@rules) = @_;
    $t->sim->reset('journal', 'scripts');
    $t->sim->script({ kind => 'api', action => { fault => '3200' } }, @rules);
}

sub says { return { kind => 'api', action => { status => 200, body => $_[0],
    headers => { 'Content-Type' => 'text/plain', %{ $_[1] // {} } } } } }

sub ask { $t->get("$_[0]/v3/company/-/companyinfo/1", -jar => $jars[0],
    @_[1 .. $#_]) }


# -- one answer, whole --------------------------------------------------------

for my $where ('', '/plain', '/gzip', '/cache') {
    for my $how ([], [ chunked => \1 ], [ drip => { bytes => 100_000,
        interval_ms => 5 } ])
    {
        my $name = "$where " . ($how->[0] // '');

        refuse({ kind => 'api', action => { status => 200, body => $long,
            headers => { 'Content-Type' => 'text/plain', 'X-From' => 'second',
            'Cache-Control' => 'no-store' }, @$how } });
        my $r = ask($where,
            ($how->[0] ? (Accept => "text/$how->[0]") : ()));

        is($r->status, 200, "$name: 200");
        is($r->body, $long, '... whole');
        ok($r->complete, '... to its end');
        is($r->header('X-From'), 'second', '... with its headers');
        is($r->header('WWW-Authenticate'), undef, '... and no others');
        is(calls(), 2, '... the second of two');
    }
}

refuse(says($long));
my $r = ask('/gzip', 'Accept-Encoding' => 'gzip');
is($r->header('Content-Encoding'), 'gzip', 'compressed');
cmp_ok(length $r->body, '<', length($long) / 2, '... for once');

$t->sim->reset('scripts');
$t->sim->script({ kind => 'api', action => { status => 401, gzip => \1,
    body => 'refused' } }, says('body'));
is(ask('', 'Accept-Encoding' => 'gzip')->body, 'body',
    'a 401 that is compressed');


# -- a 401 that is odd --------------------------------------------------------

for my $case (
    [ 'empty', { status => 401, body => '' }, 200 ],
    [ 'in chunks', { status => 401, body => 'x' x 5000, chunked => \1 }, 200 ],
    [ 'in drops', { status => 401, body => 'x' x 50,
        drip => { bytes => 1, interval_ms => 1 } }, 200 ],
    [ 'with a redirect', { status => 401, body => 'x',
        headers => { 'X-Accel-Redirect' => '/sorry.html',
        'Location' => 'http://evil.example/' } }, 200 ],
    [ 'of 16 KB', { status => 401, body => 'x' x 16384 }, 200 ],
    [ 'of more, in chunks', { status => 401, body => 'x' x 100_000,
        chunked => \1 }, 200 ],
    [ 'of more', { status => 401, body => 'x' x 16385 }, 200 ])
{
    my ($name, $action, $status) = @$case;

    for my $where ('', '/plain') {
        $t->sim->reset('journal', 'scripts');
        $t->sim->script({ kind => 'api', action => $action }, says('good'));
        my $r = ask($where);
        is($r->status, $status, "$where a 401 $name: $status");
        is($r->body, $status == 200 ? 'good' : $action->{body},
            '... and one body');
        is($r->header('Location'), undef, '... of one answer')
            if $status == 200;
    }
}

$t->sim->reset('journal', 'scripts');
$t->sim->script({ kind => 'api', action => { status => 401, body => 'x' x 500,
    close_after => 100 } }, says('good'));
$r = ask('');
ok(!$r->complete, 'a 401 that is cut is no answer');
unlike($r->raw, qr/good/, '... nor half of one');


# -- the cache ----------------------------------------------------------------

sub cached { $t->get("/cache/v3/company/-/companyinfo/$_[0]",
    -jar => $jars[$_[0]], @_[1 .. $#_]) }

refuse(says('first'), says('second'));
is(cached(0)->body, 'first', 'the first company');
is(cached(0)->body, 'first', '... from the cache');
is(calls(), 2, '... which has no 401');
is(cached(0)->header('X-Cache'), 'HIT', '... but the answer');

for my $path (0, 1) {
    $t->sim->reset('journal', 'scripts');
    $t->sim->script(says('the other company'));
    $r = $t->get("/cache/v3/company/-/companyinfo/$path", -jar => $jars[1]);
    is($r->body, 'the other company', "nothing of it for the other: $path");
}

$t->sim->reset('journal', 'scripts');
$t->sim->script(says('json'));
is(cached(0, Accept => 'application/json')->body, 'json',
    'nor in another format');

$t->sim->reset('journal', 'scripts');
$t->sim->script({ kind => 'api', times => -1, action => { status => 401,
    body => 'no' } });
is(cached(1, Accept => 'a/b')->status, 401, 'a 401 that stays');
$t->sim->reset('journal', 'scripts');
$t->sim->script(says('later'));
is(cached(1, Accept => 'a/b')->body, 'later', '... does not stay in the cache');


$t->sim->reset('journal', 'scripts');
$t->sim->script({ kind => 'api', action => { status => 401,
    body => 'x' x 20_000 } }, says('later'));
is(cached(1, Accept => 'a/c')->json->{error}, 'api_refused',
    'nor does what comes in the place of one that is long');
is(cached(1, Accept => 'a/c')->body, 'later', '... and the next is asked for');

$t->sim->reset('journal', 'scripts');
$t->sim->script(says('old'), { kind => 'api', action => { fault => '3200' } },
    says('new'));
sub stale { ask('/stale', Accept => 'a/d') }

is(stale()->body, 'old', 'an answer that gets old');
$t->wait_until(sub { (stale()->header('X-Cache') // '') eq 'STALE' });
$t->sim->wait_for(kind => 'api', count => 2, answered => 1);
$t->wait_until(sub { stale()->body ne 'old' });
is(stale()->body, 'new', 'nor one that comes in the background');


# -- error pages, guards ------------------------------------------------------

$t->sim->reset('journal', 'scripts');
$t->sim->script({ kind => 'api', action => { fault => '3200' } },
    { kind => 'api', action => { status => 404, body => 'no' } });
$r = ask('/pages');
is($r->status, 404, 'a page for an error of the second try');
is($r->body, "sorry\n", '... instead of it');
is($r->header('WWW-Authenticate'), undef, '... and of the first');

$t->sim->reset('journal', 'scripts');
$t->sim->script({ kind => 'other', times => -1, action => { status => 200,
    body => 'x' } }, { kind => 'api', action => { fault => '3200' } },
    says('good'));
$r = ask('/guarded', 'X-Inside' => 1);
is($r->body, 'good', 'beside another guard');
is(calls(), 2, '... the second of two');
is($t->sim->count(kind => 'other', path => '/guard'), 1,
    '... which was asked once');
is($t->sim->count(kind => 'other', path => '/mirror'), 1,
    '... as was the mirror');

done_testing();
