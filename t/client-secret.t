#!/usr/bin/perl

# Intuit compares "client_id:client_secret" as it stands in Authorization: Basic, and not
# form-encoded first, as RFC 6749 has it.  So whatever a secret is made of gets there byte
# for byte, from a file and from nginx.conf, to each endpoint that wants it.
#
# Rows: TK-02 TK-03

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;
use Encode ();
use MIME::Base64 qw(encode_base64);

my $t = Test::Intuit->new();

my $conf = <<'CONF';
load_module %%MODULE%%;
error_log %%DIR%%/logs/error.log notice;

events {}

http {
    access_log %%DIR%%/logs/access.log;

    intuit_provider books {
        environment         sandbox;
        config_url          %%SIM%%/.well-known/openid_sandbox_configuration;
        api_url             %%SIM%%;
        client_id           sim-client-id;
        client_secret_file  %%DIR%%/secret;
        scope               com.intuit.quickbooks.accounting;
        redirect_uri        http://localhost:%%PORT_8080%%/intuit/callback;
        allow_realm         any;
        probe               on;
    }

    server {
        listen 127.0.0.1:%%PORT_8080%%;

        location = /connect {
            intuit_connect books;
        }

        location = /disconnect {
            intuit_disconnect books;
        }
    }
}
CONF

my $realm = '9130347957983546';
my $form = 'application/x-www-form-urlencoded';

my %secrets = (
    'plain'            => 'plain-and-long-enough',
    'a colon'          => 'a:colon:and-another:',
    'a plus'           => '+plus+plus+plus+plus+',
    'a percent'        => '100%25%zz%-long-enough',
    'a space inside'   => 'a space inside of it',
    'bytes over 0x7e'  => "caf\xc3\xa9-\xc3\xa9-long-enough",
    'signs'            => q(!"#&'*,/<=>?@[\]^`{|}~;),
    'what base64 uses' => 'QUJD/+==QUJD/+==abcd',
);

my $started = 0;

sub accepted { scalar grep { /keys accepted by Intuit/ } $t->log_lines }

sub check {
    my ($name, $secret, $text) = @_;
    my $basic = 'Basic ' . encode_base64("sim-client-id:$secret", '');

    $t->sim->control(POST => '/client', { client_id => 'sim-client-id',
        client_secret => Encode::decode('UTF-8', $secret) });
    $t->sim->reset('journal');

    my $lines = accepted();
    $t->write_secret('secret', "$secret\n");
    $started++ ? $t->reload($text) : $t->conf($text)->start;

    ok($t->wait_until(sub { accepted() > $lines }), "$name: Intuit accepts it");

    my $token = $t->sim->issue(realm => $realm, scope =>
        'com.intuit.quickbooks.accounting')->{refresh_token};

    is($t->post('/connect', "realm=$realm&refresh_token=$token",
        'Content-Type' => $form)->status, 200, '... for tokens');
    is($t->post('/disconnect', "realm=$realm", 'Content-Type' => $form)->json
        ->{revoked}, JSON::PP::true(), '... for a revocation');

    my %sent = map { ($_->{headers}{authorization} => 1) }
        grep { $_->{kind} =~ /^(?:token|revoke)$/ } $t->sim->journal;
    is_deeply([keys %sent], [$basic], '... byte for byte');
}

check($_, $secrets{$_}, $conf) for sort keys %secrets;

check('in nginx.conf', 'in nginx.conf: +%3a "q"',
    $conf =~ s/client_secret_file .*;/client_secret 'in nginx.conf: +%3a "q"';/r);

done_testing();
