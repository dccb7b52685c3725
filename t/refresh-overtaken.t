#!/usr/bin/perl

# A worker that is at a refresh for longer than its lease lasts (the host was asleep,
# or its clock was set) is overtaken by another one.  If that one has got tokens, the
# late ones do not replace them; if it was refused, because Intuit has given the new
# refresh token to the first, the only valid pair there is must not be thrown away.
#
# Rows: F-OP-01 F-CLK-03

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;
use Test::Intuit::Refresh;

plan(skip_all => no_clock()) if no_clock();

my $t = Test::Intuit->new();
watch($t);

$t->write_secret('secret', 'sim-client-secret');

$t->conf(<<'CONF');
load_module %%MODULE%%;
error_log %%DIR%%/logs/error.log info;
worker_processes 2;
env FAKETIME_TIMESTAMP_FILE;
env FAKETIME_NO_CACHE;
env FAKETIME_DONT_FAKE_MONOTONIC;

events {}

http {
    access_log %%DIR%%/logs/access.log;

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
            root %%DIR%%/html;
        }

        location /v3/company/ {
            intuit_proxy books realm=9130347957983546;
        }
    }
}
CONF


clock(0);

start_faked();

my $api = '/v3/company/-/companyinfo/9130347957983546';

sub asks {
    my $c = $t->connect(timeout => 30);
    $c->send("GET $api HTTP/1.1\r\nHost: localhost\r\n"
        . "Accept: application/json\r\nConnection: close\r\n\r\n");
    return $c;
}

$t->signed_in(realm => '9130347957983546');

# both get tokens

$t->sim->config(concurrent => 'allow');
answer({ barrier => 'late', when => 'after' });
clock(61);
my $first = asks();
$t->sim->parked('late');

clock(1);
is(call()->status, 200, 'a minute later another one has taken over');
my $token = used();
ok(log_has('left unfinished by another worker'), '... and says so');

$t->sim->release('late');
is($first->response->status, 200, 'the first is served');
ok($t->wait_until(sub { log_has('refresh came too late') }),
    '... its tokens come too late');
is(call()->status, 200, 'after that');
is(used(), $token, '... the later ones are in use');

# the second one is refused

$t->sim->config(concurrent => 'reject');
answer({ barrier => 'only', when => 'after', rotate => \1 });
clock(61);
$first = asks();
$t->sim->parked('only');

clock(1);
is(call()->status, 401, 'the one that took over is refused');
ok(log_has('connection has ended: rotation_lost'), '... and says why');

my $succeeded = log_has('refresh succeeded');
$t->sim->release('only');
ok($t->wait_until(sub { log_has('refresh succeeded') > $succeeded }),
    'the first has got the tokens');
is(call()->status, 200, '... and the connection lives on');

my ($now) = grep { $_->{refresh_state} eq 'current'
    && $_->{state} eq 'active' } $t->sim->tokens;
is(used(), $now->{access_token}, '... with what Intuit takes for valid');

done_testing();
