#!/usr/bin/perl

# The promise: a refresh that fails takes nothing away that came while it was
# under way.  The attack: Intuit answers with an error, or calls the refresh
# token dead, just after somebody has signed in to the same company and so has
# changed the record that the failure is about to be written to.
#
# Rows: F-OP-01

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
worker_processes 4;
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

sub signs_in {
    $t->sim->config(clock_offset => minutes() * 60);
    my $jar = $t->signed_in(realm => '9130347957983546', @_);
    $t->sim->config(clock_offset => 0);
    return $jar;
}

# A refresh in the last minutes of the token, which waits at Intuit until
# somebody else has signed in, and then fails in this way.
sub meanwhile {
    my ($name, $user, $action, $word, $line) = @_;

    $t->sim->reset('journal', 'scripts');
    answer({ barrier => $word, %$action });
    clock(57);
    is(call()->status, 200, "$name: still valid, the request goes on");
    $t->sim->parked($word);

    my $before = log_has($line);
    signs_in(user => "$user\@example.com");
    $t->sim->release($word);

    ok($t->wait_until(sub { log_has($line) > $before }), "$name: $word");
}

signs_in();
meanwhile('an error', 'bob', { status => 500 }, 'server_error',
    qr/refresh failed: server_error/);

my $token = used();
is(call()->status, 200, '... and it goes on');
is(used(), $token, '... with the token that was there');
is(scalar(sent()), 1, '... without asking again at once');

clock(4);
is(call()->status, 200, '... also when that one has expired');
isnt(used(), $token, '... with another one');
is(scalar(sent()), 2, '... for which Intuit was asked once more');

meanwhile('a dead token', 'carol', { status => 400,
    json => { error => 'invalid_grant' } }, 'invalid_grant',
    qr/goes on with its spare tokens: /);

my ($new) = grep { $_->{user} eq 'carol@example.com' } $t->sim->tokens;

is(call()->status, 200, '... and the connection lives on');
is(used(), $new->{access_token}, '... with the tokens of the login');
ok(!log_has('connection has ended'), '... nothing has ended');

clock(61);
is(call()->status, 200, '... and they are refreshed in their turn');
is((sent())[-1], $new->{refresh_token}, '... with their own refresh token');

done_testing();
