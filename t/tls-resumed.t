#!/usr/bin/perl

# Each call to Intuit but those to the API has a connection of its own, and
# resumes the TLS session of the one before: one full handshake a worker,
# although TLS 1.3 means a ticket for one use.  After a reload, with another
# list of revoked certificates maybe, everything is verified anew.

use FindBin;
use lib "$FindBin::Bin/lib";
use File::Temp ();
use Test::Intuit;
use Test::Intuit::Attempt;
use Test::Intuit::Dns;

my $certs = File::Temp->newdir;
my $t = Test::Intuit->new(sim => [ '--tls', '--dir', "$certs",
    '--host', 'localhost' ]);
my $dns = Test::Intuit::Dns->start;

$t->write_secret('secret', 'sim-client-secret');
$t->write_file('html/index.html', "the tool\n");

my %value = (DNS => $dns->port, CERTS => "$certs");

my $conf = <<'CONF' =~ s/%%(DNS|CERTS)%%/$value{$1}/gr;
load_module %%MODULE%%;
error_log %%DIR%%/logs/error.log info;
worker_processes 1;

events {}

http {
    %%TEMP_PATHS%%
    access_log %%DIR%%/logs/access.log;
    resolver 127.0.0.1:%%DNS%% ipv6=off;

    intuit_provider books {                         # https://localhost:...
        environment             sandbox;
        config_url              %%SIM%%/.well-known/openid_configuration;
        api_url                 %%SIM%%;
        client_id               sim-client-id;
        client_secret_file      %%DIR%%/secret;
        scope                   openid com.intuit.quickbooks.accounting;
        redirect_uri            http://localhost:%%PORT_8080%%/intuit/callback;
        allow_realm             any;
        probe                   off;
        userinfo                on;
        ssl_trusted_certificate %%CERTS%%/ca.crt;
    }

    server {
        listen 127.0.0.1:%%PORT_8080%%;
        auth_intuit books;

        location / {
            root %%DIR%%/html;
        }
    }
}
CONF

$t->conf($conf)->start;

# of each connection with a request, in the order they were made
sub handshakes {
    my %seen;
    return map { $_->{tls} } grep { $_->{method}
        && ($_->{via} // '') ne 'control' && !$seen{$_->{connection}}++ }
        $t->sim->journal;
}

for my $protocol (qw(tls13 tls12)) {
    $t->sim->control('POST', '/cert', { cert => $protocol });
    $t->reload if $protocol ne 'tls13';

    accepted($t, "$protocol: a first login", []);

    my ($first, @more) = handshakes();

    ok(!$first->{resumed}, '... has a handshake');
    cmp_ok(scalar @more, '>=', 2, '... more calls, by new connections');
    is(scalar(grep { !$_->{resumed} } @more), 0, '... resume its session');

    accepted($t, "$protocol: a second login", []);

    @more = handshakes();

    cmp_ok(scalar @more, '>=', 2, '... has new connections');
    is(scalar(grep { !$_->{resumed} } @more), 0, '... that all resume it');
}

# -- what was verified before is verified again

$t->sim->reset('journal');
$t->reload($conf =~ s/ca\.crt;/ca.crt; ssl_crl $value{CERTS}\/ca.crl;/r);

accepted($t, 'a list of the revoked, by a reload', []);
ok(!(handshakes())[0]{resumed}, '... nothing of before is resumed');

done_testing;
