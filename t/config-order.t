#!/usr/bin/perl

# intuit_proxy takes the CAs and revocation lists of its provider when it is
# read.  A provider that is defined behind it must not have them: a token
# would go to a server whose certificate has been revoked.

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;

my $t = Test::Intuit->new(sim => 0);

$t->write_secret('secret', 'sim-client-secret');
$t->write_file('ca.crl', '');

sub check {
    my ($order, $line) = @_;
    my %part = (provider => <<"PROVIDER", server => <<'SERVER');
    intuit_provider books {
        environment         sandbox;
        client_id           sim-client-id;
        client_secret_file  %%DIR%%/secret;
        scope               openid com.intuit.quickbooks.accounting;
        redirect_uri        http://localhost:%%PORT_8080%%/intuit/callback;
        allow_realm         any;
        $line
    }
PROVIDER
    server {
        listen 127.0.0.1:%%PORT_8080%%;
        location /v3/company/ { intuit_proxy books; }
    }
SERVER

    return $t->check_conf("load_module %%MODULE%%;\n"
        . "error_log %%DIR%%/logs/error.log;\nevents {}\nhttp {\n"
        . join('', map { $part{$_} } @$order) . "}\n");
}

for my $directive ('ssl_crl', 'ssl_trusted_certificate') {
    my ($status, $said) = check([ 'server', 'provider' ],
        "$directive %%DIR%%/ca.crl;");

    isnt($status, 0, "$directive behind intuit_proxy");
    like($said, qr/"$directive".* comes too late: put the block before the /,
        'is refused with the remedy');

    ($status, $said) = check([ 'provider', 'server' ],
        "$directive %%DIR%%/ca.crl;");

    unlike($said, qr/comes too late/, "$directive before it is in its place");
}

is((check([ 'server', 'provider' ], ''))[0], 0,
    'a provider without both may stand behind');

done_testing();
