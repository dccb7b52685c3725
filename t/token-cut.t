#!/usr/bin/perl

# An answer that ends early signs nobody in, wherever it ends: the beginning
# of an answer must never pass for one.  The code is not sent again.
#
# Rows: TK-12 F-NET-06 F-OP-08 F-OP-09

use FindBin;
use lib "$FindBin::Bin/lib";
use JSON::PP ();
use MIME::Base64 qw(encode_base64);
use Test::Intuit;
use Test::Intuit::Attempt;

my $t = Test::Intuit->new;

$t->write_secret('secret', 'sim-client-secret');
$t->write_file('html/index.html', "the tool\n");

$t->conf(<<'CONF')->start;
load_module %%MODULE%%;
error_log %%DIR%%/logs/error.log info;

events {}

http {
    %%TEMP_PATHS%%
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
        probe               off;
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

# tokens that CompanyInfo would accept, so that only the cut can be the reason
my $pair = $t->sim->issue(realm => '9130347957983546');
my $json = JSON::PP->new->canonical->encode({ token_type => 'bearer',
    expires_in => 3600, map { $_ => $pair->{$_} }
    qw(access_token refresh_token) });
my $length = length $json;
my $type = 'Content-Type: application/json';

my %form = (
    'with its length' =>
        "HTTP/1.1 200 OK\r\n$type\r\nContent-Length: $length\r\n\r\n$json",
    'to the end of the connection' =>
        "HTTP/1.1 200 OK\r\n$type\r\nConnection: close\r\n\r\n$json",
    'in chunks' => "HTTP/1.1 200 OK\r\n$type\r\nTransfer-Encoding: chunked"
        . sprintf("\r\n\r\n%x;name=value\r\n%s\r\n%x\r\n%s\r\n0\r\nT: 1\r\n\r\n",
            100, substr($json, 0, 100), $length - 100, substr $json, 100),
);

sub outcome {
    my ($bytes) = @_;

    my ($r, $jar) = attempt($t, [ { kind => 'token', action => {
        $bytes eq '' ? (rst => JSON::PP::true)
            : (raw_base64 => encode_base64($bytes, '')) } } ]);

    my $session = grep { $_ eq '__Host-intuit' } $jar->names;

    return join ' ', $r->status, ($r->json // {})->{error} // 'ok',
        'session', $session, 'token', $t->sim->count(kind => 'token'),
        'api', $t->sim->count(kind => 'api');
}

for my $name (sort keys %form) {
    my $bytes = $form{$name};
    my $head = index($bytes, "\r\n\r\n") + 4;
    my $tail = length $bytes;
    my %seen;

    # every byte about the borders, each eleventh elsewhere
    for my $at (0 .. $tail - 1) {
        next if $at % 11 && abs($at - $head) > 2 && $at < $tail - 12;
        push @{ $seen{ outcome(substr $bytes, 0, $at) } }, $at;
    }

    my %expected = map { +"$_ session 0 token 1 api 0" => 1 }
        '503 temporarily_unavailable', '502 invalid_answer';

    is(join('; ', map { "$_: at @{ $seen{$_} }" }
        grep { !$expected{$_} } keys %seen), '', "$name, cut anywhere");

    is(outcome($bytes), '302 ok session 1 token 1 api 1', "$name, whole");
}

done_testing;
