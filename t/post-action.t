#!/usr/bin/perl

# nginx makes requests of its own from one that has the company's token:
# post_action when it is over, parts of it by slice, and those that renew a cache
# in the background.  Whatever is beside the API gets neither the token nor our
# cookie, nobody is served from another's cache, and the workers end cleanly.
#
# Rows: NGX-I6

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;

my $t = Test::Intuit->new();

$t->write_secret('secret', 'sim-client-secret');
$t->write_file('html/index.html', "in\n");

$t->conf(<<'CONF')->start;
load_module %%MODULE%%;
error_log %%DIR%%/logs/error.log info;
worker_processes 2;

events {}

http {
    %%TEMP_PATHS%%
    access_log %%DIR%%/logs/access.log;
    proxy_cache_path %%DIR%%/cache keys_zone=app:1m;
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
        auth_intuit books;

        location / { root %%DIR%%/html; }

        location /v3/company/ {
            intuit_proxy books;
            post_action /after;
        }

        location /app/ {
            proxy_pass %%SIM%%;
            post_action /after;
        }

        location = /after {
            proxy_pass %%SIM%%/after;
        }

        location /sliced/ {
            slice 4;
            proxy_cache app;
            proxy_cache_key $uri$slice_range$intuit_session_id;
            proxy_cache_valid any 1h;
            proxy_set_header Range $slice_range;
            proxy_pass %%SIM%%;
        }

        location /renewed/ {
            proxy_cache app;
            proxy_cache_key $uri$intuit_session_id;
            proxy_cache_valid any 1s;
            proxy_cache_use_stale updating;
            proxy_cache_background_update on;
            proxy_set_header X-User $intuit_claim_email;
            proxy_pass %%SIM%%;
        }
    }
}
CONF

my $realm = '9130347957983546';
my $ada = $t->signed_in(realm => $realm, path => '/index.html');
my $bob = $t->signed_in(realm => $realm, path => '/index.html',
    user => 'bob@example.com');

sub app {
    $t->sim->reset('journal', 'scripts');
    $t->sim->script(@_, { kind => 'other', times => -1,
        action => { status => 200, body => 'app' } });
}

# what an application got of what is ours
sub leaks {
    my (@entries) = @_;
    return grep { ($_->{headers}{authorization} // '') ne ''
        || ($_->{headers}{cookie} // '') =~ /__Host-intuit/ } @entries;
}

for my $case (
    [ 'the API', "/v3/company/-/companyinfo/$realm" ],
    [ 'a fault of the API', "/v3/company/-/companyinfo/$realm",
        { kind => 'api', action => { fault => '610' } } ],
    [ 'a 401 and a refresh', "/v3/company/-/companyinfo/$realm",
        { kind => 'api', action => { fault => '3200' } } ],
    [ 'an application', '/app/x' ])
{
    my ($name, $path, @script) = @$case;

    app(@script);
    my $r = $t->get($path, -jar => $ada, -json => 1, Authorization => 'Basic eA==');
    like($r->status, qr/^(?:200|400|404)$/, "$name, with post_action");

    my ($after) = $t->sim->wait_for(kind => 'other', path => '/after');
    ok($after, '... which is made');
    is(scalar(leaks($t->sim->journal(kind => 'other'))), 0,
        '... without the token and our cookie');
}

app();
is($t->get("/v3/company/-/companyinfo/$realm", -json => 1)->status, 401,
    'a stranger');
is(scalar(leaks($t->sim->journal)), 0, '... gets nothing sent');

# -- in parts -------------------------------------------------------------------

$t->sim->reset('journal', 'scripts');
$t->sim->script(map { { kind => 'other', action => { status => 206, body => $_->[1],
    headers => { 'Content-Range' => "bytes $_->[0]/8", ETag => '"a"' } } } }
    [ '0-3', 'appl' ], [ '4-7', 'icat' ]);

my $r = $t->get('/sliced/x', -jar => $ada, Range => 'bytes=0-7');
is($r->body, 'applicat', 'slice: both parts');
is(scalar(leaks($t->sim->journal(kind => 'other'))), 0, '... nothing of ours');
is($t->get('/sliced/x', -json => 1)->status, 401, '... a stranger gets none');

# -- renewed in the background ----------------------------------------------------

sub renewed {
    my ($jar, $body) = @_;

    app({ kind => 'other', action => { status => 200, body => $body } });
    return $t->get('/renewed/x', -jar => $jar)->body;
}

is(renewed($ada, 'of ada'), 'of ada', 'a cache');
is(renewed($bob, 'of bob'), 'of bob', '... of each user');

my $until = time + 3;
$t->wait_until(sub { time >= $until });

is(renewed($ada, 'of ada, new'), 'of ada', '... is renewed');
my ($entry) = $t->sim->wait_for(kind => 'other');
is($entry->{headers}{'x-user'}, 'ada@example.com', '... by who asked');
is(scalar(leaks($t->sim->journal(kind => 'other'))), 0, '... nothing of ours');
ok($t->wait_until(sub { $t->get('/renewed/x', -jar => $ada)->body
    =~ /^(?:of ada, new|app)$/ }), '... for the next time');
is($t->get('/renewed/x', -json => 1)->status, 401, '... and for no stranger');

done_testing();
