#!/usr/bin/perl

# The attack: Intuit's host neither takes a connection nor refuses it, as behind
# a firewall that drops.  The promise: each login and each call ends by
# connect_timeout with a 503 or an error that says so, nobody else waits, and all
# is well when it takes connections again.
#
# Rows: F-NET-02

use FindBin;
use lib "$FindBin::Bin/lib";
use IO::Socket::INET;
use Test::Intuit;
use Test::Intuit::Attempt;
use Time::HiRes qw(time);

my $t = Test::Intuit->new();

# its queue is full: what comes behind is not answered
my $full = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1')
    or die "listen: $!";
my @queue;

for (1 .. 20) {
    my $socket = IO::Socket::INET->new(Proto => 'tcp', Blocking => 0,
        PeerAddr => '127.0.0.1', PeerPort => $full->sockport);
    push @queue, $socket if $socket;
}

my $probe = IO::Socket::INET->new(Proto => 'tcp', PeerAddr => '127.0.0.1',
    PeerPort => $full->sockport, Timeout => 0.5);
plan(skip_all => 'a full queue takes connections here') if $probe;

$t->write_secret('secret', 'sim-client-secret');

$t->conf(<<'CONF' =~ s/%%FULL%%/$full->sockport/er)->start;
load_module %%MODULE%%;
error_log %%DIR%%/logs/error.log info;
worker_processes 1;

events {}

http {
    access_log %%DIR%%/logs/access.log;

    intuit_provider books {
        environment         sandbox;
        config_url          %%SIM%%/.well-known/openid_sandbox_configuration;
        api_url             http://127.0.0.1:%%FULL%%;
        client_id           sim-client-id;
        client_secret_file  %%DIR%%/secret;
        scope               openid email com.intuit.quickbooks.accounting;
        redirect_uri        http://localhost:%%PORT_8080%%/intuit/callback;
        allow_realm         any;
        probe               off;
        connect_timeout     1s;
        read_timeout        20s;
    }

    server {
        listen 127.0.0.1:%%PORT_8080%%;
        auth_intuit books;

        location / { root %%DIR%%/html; }
        location /v3/company/ {
            intuit_proxy books;
            proxy_connect_timeout 1s;
        }

        location = /open {
            auth_intuit off;
            empty_gif;
        }
    }
}
CONF

$t->write_file('html/index.html', "in\n");

sub in_time {
    my ($name, $code) = @_;
    my $begun = time;
    my @result = $code->();

    # far less than read_timeout, on a slow machine as well
    cmp_ok(time - $begun, '<', 15, "$name: by connect_timeout");
    return @result;
}

my $jar = $t->signed_in(path => '/index.html', realm => '9130347957983546');

my ($r) = in_time('a call of the API', sub {
    $t->get('/v3/company/-/query', -jar => $jar, -json => 1) });
is($r->status, 504, '... 504');

for my $kind (qw(token jwks userinfo)) {
    my $member = { token => 'token_endpoint', jwks => 'jwks_uri',
        userinfo => 'userinfo_endpoint' }->{$kind};

    $t->sim->reset('scripts', 'journal');
    $t->sim->script({ kind => 'discovery', times => -1, action => { merge => {
        $member => 'http://127.0.0.1:' . $full->sockport . '/x' } } });
    $t->reload;
    $t->wait_until(sub { $t->get('/', -browser => 1)->status == 302 });

    my $new = $t->jar;
    ($r) = in_time("a login, $kind", sub { $t->login($new, '/index.html',
        realm => '9130347957983546') });
    like($r->status, $kind eq 'userinfo' ? qr/^(?:302|503)$/ : qr/^503$/,
        '... ' . $r->status);
    is(scalar(grep { $_ eq '__Host-intuit' } $new->names),
        $r->status == 302 ? 1 : 0, '... with a session only if it worked');
    is($t->get('/open')->status, 200, '... others are served');
    is($t->get('/index.html', -jar => $jar)->body, "in\n",
        '... who is signed in is so still');
}

$t->sim->reset('scripts');
$t->reload;
$t->wait_until(sub { $t->get('/', -browser => 1)->status == 302 });
is($t->login($t->jar, '/index.html', realm => '9130347957983546')->status, 302,
    'afterwards a login works');

done_testing();
