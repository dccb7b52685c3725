#!/usr/bin/perl

# The API's address is looked up by nginx's resolver, and followed without a
# reload: no call fails when it changes, nor when one of several dies.  While
# the name servers are down, the old addresses stay in use; without any, calls
# say 503, nothing is sent, and they heal by themselves.
#
# Rows: F-NET-01 F-NET-09

use FindBin;
use lib "$FindBin::Bin/lib";
use File::Temp ();
use POSIX ();
use Test::Intuit;
use Test::Intuit::Dns;

my $certs = File::Temp->newdir;
my $t = Test::Intuit->new(sim => [ '--tls', '--dir', "$certs",
    '--host', 'localhost' ]);
my $dns = Test::Intuit::Dns->start('nxdomain');
my %value = (DNS => $dns->port, CERTS => "$certs");

$t->write_secret('secret', 'sim-client-secret');

$t->conf(<<'CONF' =~ s/%%(DNS|CERTS)%%/$value{$1}/gr);
load_module %%MODULE%%;
error_log %%DIR%%/logs/error.log info;
worker_processes 2;

events {}

http {
    %%TEMP_PATHS%%
    access_log %%DIR%%/logs/access.log;
    resolver 127.0.0.1:%%DNS%%;

    intuit_limit off;

    intuit_provider books {                         # https://localhost:...
        environment             sandbox;
        config_url              %%SIM%%/.well-known/openid_configuration;
        api_url                 %%SIM%%;
        client_id               sim-client-id;
        client_secret_file      %%DIR%%/secret;
        scope                   com.intuit.quickbooks.accounting;
        redirect_uri            http://localhost:%%PORT_8080%%/intuit/callback;
        probe                   off;
        ssl_trusted_certificate %%CERTS%%/ca.crt;
    }

    server {
        listen 127.0.0.1:%%PORT_8080%%;

        location = /connect {
            intuit_connect books;
        }

        location /v3/company/ {
            intuit_proxy books realm=9130347957983546;
        }
    }
}
CONF

my $realm = '9130347957983546';

sub call {
    return $t->get("/v3/company/-/companyinfo/$realm", -json => 1)->status;
}

sub logged {
    my ($what) = @_;
    return scalar grep { /$what/ } $t->log_lines;
}

# that many calls from now on, and none of them comes here
sub calls {
    my ($n, $not) = @_;

    return $t->wait_until(sub {
        $t->sim->reset('journal');
        return $t->wait_until(sub { $t->sim->count(kind => 'api') >= $n })
            && !($not && $t->sim->count(kind => 'api', listener => $not));
    });
}

# clients that call until they are told to stop, and what they saw
sub clients {
    my ($n) = @_;
    unlink $t->dir . '/enough';

    return map {
        my $client = $_;
        my $pid = fork // die "fork: $!";

        if ($pid == 0) {
            my ($count, @failed) = (0);

            while (!-e $t->dir . '/enough') {
                my $status = eval { call() } // 'died';
                $count++;
                push @failed, $status if $status ne '200';
                select undef, undef, undef, 0.01;
            }

            $t->write_file("client-$client", "$count @failed");
            POSIX::_exit(0);
        }

        [ $client, $pid ];
    } 1 .. $n;
}

sub stop_clients {
    my ($name, @clients) = @_;
    my ($calls, @all) = (0);

    $t->write_file('enough', '');

    for (@clients) {
        waitpid $_->[1], 0;
        my ($count, @failed) = split ' ', $t->read_file("client-$_->[0]");
        $calls += $count;
        push @all, @failed;
    }

    is("@all", '', "$name: none of $calls calls fails");
}

# -- without an address

$t->start;
pass('nginx starts without name servers');

$dns->answers('address 127.0.0.1');

my $pair = $t->sim->issue(realm => $realm,
    scope => 'com.intuit.quickbooks.accounting');

ok($t->wait_until(sub { $t->post('/connect',
    "realm=$realm&refresh_token=$pair->{refresh_token}", -json => 1,
    'Content-Type' => 'application/x-www-form-urlencoded')->status == 200 }),
    'connected, when they are back');

for my $how (qw(nxdomain servfail empty)) {
    $dns->answers($how);
    $t->reload;
    $t->sim->reset('journal');

    my $r = $t->get("/v3/company/-/companyinfo/$realm", -json => 1);

    is($r->status, 503, "$how: 503");
    is($r->json->{error}, 'temporarily_unavailable', '... for a while');
    ok($r->header('Retry-After'), '... with Retry-After');
    is($t->sim->count, 0, '... nothing was sent');
}

ok(logged('intuit could not resolve "localhost"'), 'it is in the log');

$dns->answers('hold');
$t->reload;

my @clients = clients(4);
my $before = $dns->queries;

ok($t->wait_until(sub { $dns->queries > $before }), 'calls wait for an answer');

my $c = $t->connect;
$c->send("GET /v3/company/-/companyinfo/$realm HTTP/1.1\r\n"
    . "Host: localhost\r\n\r\n");
$c->close;                                          # and one leaves

$dns->answers('address 127.0.0.1');
ok(calls(20), 'and are served');
stop_clients('after the wait', @clients);

# -- another address

$t->sim->control('POST', '/listen', { cert => 'good', port => $t->sim->port,
    address => '127.0.0.2' });

@clients = clients(4);
ok(calls(40), 'under load');

$dns->answers('address 127.0.0.2');

ok($t->wait_until(sub { logged('intuit has other addresses of "localhost"')
    == 2 }), 'both workers see the new address');
ok(calls(40, 'main'), '... and use it');
$t->sim->control('POST', '/down');
ok(calls(100), '... when the old one is gone');

my %handshakes = map { $_->{connection} => 1 } $t->sim->journal(kind => 'api');

stop_clients('a changed address', @clients);
cmp_ok(scalar keys %handshakes, '<=', 8, '... on kept connections');
# -- no name server

$dns->answers('servfail');
@clients = clients(2);
ok($t->wait_until(sub { logged('the old addresses stay in use') }),
    'no answer any more');

ok(calls(20), '... the old address is used');
stop_clients('without name servers', @clients);

# -- several addresses: one was never there, one dies

$t->sim->control('POST', '/up');
$dns->answers('address ::1 127.0.0.1 127.0.0.2');
$t->reload;

@clients = clients(4);
ok(calls(40), 'three addresses, one of which is dead');

$t->sim->control('POST', '/down');
ok(calls(40, 'main'), '... and another dies');
stop_clients('a dead address', @clients);

done_testing;
