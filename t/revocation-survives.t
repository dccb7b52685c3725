#!/usr/bin/perl

# A revocation that Intuit has not confirmed is owed to the one who asked for it: it
# outlives the worker, a reload, kill -9 and a start a while later.  It is sealed in
# state_path, done once Intuit answers, and then no file of it is left.  More than
# can be kept are said to be given up, and no number of them is a way to fill the
# zone.
#
# Rows: TK-13 F-OP-19

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;

my $t = Test::Intuit->new();

$t->write_secret('secret', 'sim-client-secret');
$t->write_secret('key', 'c0ffee' x 10 . 'beef');

$t->conf(<<'CONF')->start;
load_module %%MODULE%%;
error_log %%DIR%%/logs/error.log info;
worker_processes 2;

events {}

http {
    access_log %%DIR%%/logs/access.log;

    intuit_limit off;

    intuit_provider books {
        environment          sandbox;
        config_url           %%SIM%%/.well-known/openid_sandbox_configuration;
        api_url              %%SIM%%;
        client_id            sim-client-id;
        client_secret_file   %%DIR%%/secret;
        scope                openid com.intuit.quickbooks.accounting;
        redirect_uri         http://localhost:%%PORT_8080%%/intuit/callback;
        allow_realm          any;
        state_path           %%DIR%%/state;
        encryption_key_file  %%DIR%%/key;
        probe                off;
    }

    server {
        listen 127.0.0.1:%%PORT_8080%%;
        root %%DIR%%/html;

        location / {
            auth_intuit books;
        }

        location /v3/company/ {
            intuit_proxy books realm=9130347957983546;
        }

        location = /disconnect {
            intuit_disconnect books;
        }
    }
}
CONF

my $down = { kind => 'revoke', times => -1, action => { status => 503,
    headers => { 'Retry-After' => '1' } } };

sub disconnect {
    my ($body) = @_;
    return $t->post('/disconnect', $body, -json => 1,
        'Content-Type' => 'application/x-www-form-urlencoded')->json;
}

sub alive { scalar grep { $_->{state} eq 'active' } $t->sim->tokens }

sub files { my @files = glob $t->dir . '/state/*.state'; return @files }

sub asked { scalar $t->sim->count(kind => 'revoke') }

$t->signed_in(realm => '9130347957983546');
is(scalar(files()), 1, 'connected');

$t->sim->script($down);
is(disconnect('realm=9130347957983546')->{revoked}, 'pending',
    'disconnected while Intuit is down');
ok($t->wait_until(sub { files() == 2 }), 'which is in a file of its own');
is(alive(), 1, '... and Intuit does not know yet');

my ($token) = map { $_->{body} =~ /"token":"([^"]+)"/ ? $1 : () }
    $t->sim->journal(kind => 'revoke');
my $text = join '', map { $t->read_file(s{.*/}{state/}r) } files();
unlike($text, qr/\Q$token\E|9130347957983546/, '... sealed');

# the worker dies; then all of nginx

my $asked = asked();
$t->kill_worker($_, 'KILL') for $t->workers;
ok($t->wait_until(sub { asked() > $asked }, 300), 'other workers go on with it');

$t->crash;
$t->sim->reset('journal');
$t->start;
ok($t->wait_until(sub { asked() > 0 }, 300), '... and nginx after kill -9');
is(alive(), 1, '... still in vain');

my $log = grep { /revocation succeeded/ } $t->log_lines;
$t->sim->reset('scripts');
ok($t->wait_until(sub { alive() == 0 }), 'Intuit is back: revoked');
ok($t->wait_until(sub { files() == 1 }), '... and no file of it is left');
$log = grep { /revocation succeeded, realm "9130347957983546"/ } $t->log_lines;
is($log, 1, '... by one worker');

$t->stop;
$t->start;
$t->sim->reset('journal');
$t->signed_in(realm => '193514292156789');
is(asked(), 0, '... and nothing is left to be done after a restart');

# many of them

$t->sim->script($down);
my %revoked;
$revoked{disconnect("token=nobody-knows-this-token-$_")->{revoked}}++
    for 1 .. 70;
is($revoked{pending}, 64, 'as many are kept as there is room for');
is($revoked{(JSON::PP::false())}, 6, '... the others not');
ok($t->wait_log(qr/revocation is given up: too many are waiting/),
    '... says the log');

$t->sim->reset('scripts');
ok($t->wait_until(sub { files() == 2 }, 300), '... and all are done at last');

done_testing();
