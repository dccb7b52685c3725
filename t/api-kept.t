#!/usr/bin/perl

# Connections to the API are kept: a hundred calls cost at most one TLS
# handshake, and a connection that has to be made again resumes the session.
# A connection is verified for one set of certificates: it serves no provider
# that trusts others.  Nothing of the client's own hop gets to Intuit, whatever
# "Connection" it sends.
#
# Rows: NGX-H4

use FindBin;
use lib "$FindBin::Bin/lib";
use File::Temp ();
use Test::Intuit;
use Test::Intuit::Dns;

my $certs = File::Temp->newdir;
my $t = Test::Intuit->new(sim => [ '--tls', '--dir', "$certs",
    '--host', 'localhost' ]);
my %value = (DNS => Test::Intuit::Dns->start, CERTS => "$certs");
my $dns = $value{DNS};

$value{DNS} = $dns->port;
$t->write_secret('secret', 'sim-client-secret');

my $conf = <<'CONF' =~ s/%%(DNS|CERTS)%%/$value{$1}/gr;
load_module %%MODULE%%;
error_log %%DIR%%/logs/error.log info;
worker_processes 1;

events {}

http {
    %%TEMP_PATHS%%
    access_log %%DIR%%/logs/access.log;
    resolver 127.0.0.1:%%DNS%% ipv6=off;
    proxy_ssl_name wrong.example;                   # for somebody else
    proxy_set_header Host wrong.example;
    proxy_set_header Connection close;

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

    intuit_provider same {                          # trusts the same
        environment             sandbox;
        config_url              %%SIM%%/.well-known/openid_configuration;
        api_url                 %%SIM%%;
        client_id               sim-client-id;
        client_secret_file      %%DIR%%/secret;
        scope                   com.intuit.quickbooks.accounting;
        redirect_uri            http://localhost:%%PORT_8081%%/intuit/callback;
        probe                   off;
        ssl_trusted_certificate %%CERTS%%/ca.crt;
    }

    intuit_provider strict {                        # has a list besides
        environment             sandbox;
        config_url              %%SIM%%/.well-known/openid_configuration;
        api_url                 %%SIM%%;
        client_id               sim-client-id;
        client_secret_file      %%DIR%%/secret;
        scope                   com.intuit.quickbooks.accounting;
        redirect_uri            http://localhost:%%PORT_8082%%/intuit/callback;
        probe                   off;
        ssl_trusted_certificate %%CERTS%%/ca.crt;
        ssl_crl                 %%CERTS%%/ca.crl;
    }

    server {
        listen 127.0.0.1:%%PORT_8080%%;
        location = /connect { intuit_connect books; }
        location /v3/company/ { intuit_proxy books realm=9130347957983546; }
    }

    server {
        listen 127.0.0.1:%%PORT_8081%%;
        location = /connect { intuit_connect same; }
        location /v3/company/ { intuit_proxy same realm=9130347957983546; }
    }

    server {
        listen 127.0.0.1:%%PORT_8082%%;
        location = /connect { intuit_connect strict; }
        location /v3/company/ { intuit_proxy strict realm=9130347957983546; }
    }
}
CONF

$t->conf($conf)->start;

my $realm = '9130347957983546';

sub call {
    my ($port, @more) = @_;
    return $t->get("/v3/company/-/companyinfo/$realm", -json => 1,
        -port => $t->port($port), @more)->status;
}

sub api { $t->sim->journal(kind => 'api') }

# their numbers, in the order of their first requests
sub connections {
    my %seen;
    return grep { !$seen{$_}++ } map { $_->{connection} } api();
}

for my $port (8080, 8081, 8082) {
    my $pair = $t->sim->issue(realm => $realm,
        scope => 'com.intuit.quickbooks.accounting');

    is($t->post('/connect', "realm=$realm&refresh_token=$pair->{refresh_token}",
        -json => 1, -port => $t->port($port),
        'Content-Type' => 'application/x-www-form-urlencoded')->status, 200,
        'connected');
}

# -- one handshake

$t->sim->reset('journal');

is(scalar(grep { call(8080) != 200 } 1 .. 100), 0, 'a hundred calls');
is(scalar(connections()), 1, '... with one handshake');
is(scalar(grep { $_->{tls}{sni} ne 'localhost' } api()), 0, '... by its name');
is(scalar(grep { $_->{host} !~ /^localhost:\d+$/ } api()), 0, '... and Host');

my ($kept) = connections();

# -- of the client's hop nothing gets there

$t->sim->reset('journal');

is(call(8080, Connection => 'close, X-Hop', 'Keep-Alive' => 'timeout=1',
    TE => 'trailers', Upgrade => 'h2c'), 200,
    'a client that closes its connection');

my ($sent) = api();

is_deeply([ grep { $sent->{headers}{$_} } qw(connection keep-alive te upgrade) ],
    [], 'Intuit sees none of it');
is(call(8080), 200, 'the next call');
is_deeply([ connections() ], [ $kept ], '... has the same connection');

# -- who shares it

$t->sim->reset('journal');

is(call(8081), 200, 'another provider that trusts the same');
is_deeply([ connections() ], [ $kept ], '... has the same connection');

$t->sim->reset('journal');

is(call(8082), 200, 'a provider that trusts others');

my ($strict) = api();

isnt($strict->{connection}, $kept, '... has one of its own');
ok(!$strict->{tls}{resumed}, '... verified for itself');

# -- a session is resumed

$t->sim->reset('journal');
$t->sim->script({ kind => 'api', action => { status => 200, body => '{}',
    headers => { Connection => 'close' } } });

is(call(8080), 200, 'Intuit says that it closes');
is(call(8080), 200, '... the next call');

my @entries = api();

isnt($entries[1]{connection}, $kept, '... has a new connection');
ok($entries[1]{tls}{resumed}, '... of the old TLS session');

# -- a list that has the certificate now: what is kept was verified before

$t->sim->control('POST', '/cert', { cert => 'revoked' });
$t->reload;
$t->sim->reset('journal');

is(call(8080), 200, 'a certificate that was revoked, without a list');
is(call(8082), 502, '... with the list, in spite of a kept connection');
is(call(8081), 200, '... again without it');
is(scalar(connections()), 1, '... on one connection');

# -- after a reload with kept connections nothing is left behind

ok($t->reload, 'the old worker ends');

done_testing;
