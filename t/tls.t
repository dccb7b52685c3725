#!/usr/bin/perl

# Intuit is spoken to over TLS by its name, and the certificate has to be
# right: otherwise the login says 503 and not one byte of a request, with the
# client secret or a token in it, has left.
#
# Rows: TK-04 LES-35 F-NET-02 F-NET-03 F-TLS-01 F-TLS-02

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
        ssl_trusted_certificate %%CERTS%%/ca.crt;
        %%CRL%%
        %%TIMES%%
    }

    server {
        listen 127.0.0.1:%%PORT_8080%%;
        auth_intuit books;

        location / {
            root %%DIR%%/html;
        }

        location /v3/company/ {
            intuit_proxy books;
        }
    }
}
CONF

my $api = '/v3/company/-/companyinfo/9130347957983546';

my $plain = $conf =~ s/%%CRL%%//r =~ s/%%TIMES%%//r;
my $listed = $conf =~ s/%%CRL%%/ssl_crl $certs\/ca.crl;/r =~ s/%%TIMES%%//r;
my $short = $conf =~ s/%%CRL%%//r
    =~ s/%%TIMES%%/connect_timeout 500ms; read_timeout 500ms;/r;

$t->conf($plain)->start;

# what was decrypted: a failed handshake is in the journal without a method
sub requests {
    return grep { $_->{method} && ($_->{via} // '') ne 'control' }
        $t->sim->journal;
}

# -- right

sub right {
    my ($name) = @_;
    my $jar = accepted($t, $name, []);

    is($t->get($api, -jar => $jar, -json => 1)->status, 200, 'and the API');

    my @sent = requests();
    is(scalar(grep { $_->{tls}{sni} eq 'localhost' } @sent), @sent,
        'always with the name');
    return $jar;
}

my $jar = right('the good one');

for my $cert (qw(with-intermediate tls12 tls13)) {
    $t->sim->control('POST', '/cert', { cert => $cert });
    right($cert);
}

$t->reload($listed);
right('the good one, with a list of the revoked');

# -- wrong: from the token request on, and from the very beginning

sub wrong {
    my ($name) = @_;
    my $cert = $name;

    # the list has to have it before nginx reads the list
    $t->sim->control('POST', '/cert', { cert => $cert });

    my $callback = prepared($name eq 'revoked' ? $listed : $plain);

    $t->sim->control('POST', '/cert', { cert => $cert });
    $t->sim->reset('journal');

    my $r = $t->get($callback->[0], -jar => $callback->[1], -json => 1);

    is(join(' ', $r->status, ($r->json // {})->{error} // ''),
        '503 temporarily_unavailable', "$name: refused");
    ok(!(grep { $_ eq '__Host-intuit' } $callback->[1]->names), 'no session');
    is(scalar(requests()), 0, 'nothing was sent');

    is($t->get($api, -jar => $jar, -json => 1)->status, 502, 'nor by the API');
    is(scalar(requests()), 0, 'no token was sent');

    $t->reload;
    is($t->get('/', -browser => 1)->status, 503, 'nor is a document believed');
    is(scalar(requests()), 0, 'nothing was sent');
}

# a callback that is about to be requested from new workers, which have read
# the document and have no TLS session that could be resumed
sub prepared {
    my ($conf) = @_;

    $t->sim->control('POST', '/cert', { cert => 'good' });
    $t->reload($conf);

    my $jar = $t->jar;
    my $r = $t->get('/', -jar => $jar, -browser => 1);

    return [ $t->consent($jar, $r->header('Location')), $jar ];
}

wrong($_) for qw(revoked wrong-host expired not-yet self-signed other-ca
    no-intermediate tls10);

# -- trouble before TLS

for my $behave (qw(plain garbage alert rst close stall)) {
    my $listener = $t->sim->control('POST', '/listen', { behave => $behave,
        text => "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}" });
    my $callback = prepared_for($listener->{port},
        $behave eq 'stall' ? $short : $plain);

    my $r = $t->get($callback->[0], -jar => $callback->[1], -json => 1);

    is(join(' ', $r->status, ($r->json // {})->{error} // ''),
        '503 temporarily_unavailable', "$behave before TLS: refused");
    is(scalar(requests()), 0, 'nothing was sent');
}

# the token endpoint, and nothing else, is at that port
sub prepared_for {
    my ($port, $conf) = @_;

    $t->sim->reset('scripts');
    $t->sim->script({ kind => 'discovery', times => -1, action => { merge => {
        token_endpoint => "https://localhost:$port/token" } } });

    my $callback = prepared($conf);
    $t->sim->reset('journal');
    return $callback;
}

done_testing;
