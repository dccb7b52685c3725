#!/usr/bin/perl

# The attack: an answer to a refresh in every shape that is no pair of tokens, or
# looks like one: cut at every byte, of the wrong type, twice, deep, huge, in
# another encoding, with an error beside the tokens.  The promise: nothing of it
# is stored or sent on, clients get the 503 of something that passes, and the
# same refresh token is good for the next try.  Odd lifetimes are bounded.
#
# Rows: TK-07 TK-11 NGX-R4 NGX-R5 LES-34 F-NET-06 F-NET-07 F-OP-05 F-OP-06
#       F-OP-09 F-OP-10 F-OP-11 F-OP-12 F-OP-13 F-OP-14 F-OP-15

use FindBin;
use lib "$FindBin::Bin/lib";
use Encode ();
use JSON::PP ();
use MIME::Base64 qw(encode_base64);
use Test::Intuit;
use Test::Intuit::Refresh;

plan(skip_all => no_clock()) if no_clock();

my $t = Test::Intuit->new();
watch($t);

$t->write_secret('secret', 'sim-client-secret');

$t->conf(<<'CONF');
load_module %%MODULE%%;
error_log %%DIR%%/logs/error.log info;
worker_processes 1;
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
        refresh_keepalive   0;      # the tokens of an earlier login are not asked for
    }

    server {
        listen 127.0.0.1:%%PORT_8080%%;

        location / {
            auth_intuit books;
            root %%DIR%%/html;
        }

        location /v3/company/ {
            intuit_proxy books realm=9130347957983546;
            add_header X-Expires $intuit_token_expires;
        }
    }
}
CONF

forward(0);
start_faked();
$t->signed_in(realm => '9130347957983546');

# a pair that would work, so that only its shape can be the reason
my %good = (token_type => 'bearer', expires_in => 3600,
    x_refresh_token_expires_in => 8726400,
    access_token => 'EVIL' x 10, refresh_token => 'RT1-EVIL' x 5);

sub json { return JSON::PP->new->canonical->encode({ %good, @_ }) }
sub body { return { status => 200, body => $_[0] } }
sub bytes { return { status => 200, body_base64 => encode_base64($_[0], '') } }
sub raw { return { raw_base64 => encode_base64($_[0], '') } }

my $json = json();
my $length = length $json;

# word => what has it in the log
my %shapes = (
    refused => [
        (map { { status => $_, body => $json } } 201, 202, 206, 304, 307, 400, 409),
    ],
    server_error => [
        raw("HTTP/1.1 999 What\r\nContent-Length: $length\r\n\r\n$json"),
        { status => 504 },
    ],
    throttled => [ map { { status => $_, body => $json } } 408, 425, 429 ],
    no_answer => [
        raw("HTTP/1.1 100 Continue\r\n\r\n"),
        raw("HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n$json"),
        raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
            . sprintf("%x\r\n", $length + 1) . $json),
        raw('garbage'),
        { headers => { 'X-Long' => 'x' x 65536 } },
        { pad => 1 << 20 },
        { endless => \1 },
        (map { body($_) } '{"a":' x 50_000, json(access_token => 'a' x 65536)),
    ],
    invalid_answer => [
        bytes("\xef\xbb\xbf$json"),
        bytes(Encode::encode('UTF-16', $json)),
        bytes(json() =~ s/EVIL/\xff/r),
        (map { body($_) }
            '[]', '""', '1', 'null', 'true', "[$json]", "$json$json", "$json}",
            '{"a":' x 10_000, '[' x 50_000, "{\"a\":[" . '[' x 2048 . ']' x 2048 . '],'
                . substr($json, 1),
            $json =~ s/"expires_in"/"token_type":"bearer","expires_in"/r,
            $json =~ s/EVIL/\\u0000/r, $json =~ s/EVIL/\\ud800/r,
            $json =~ s/EVIL/\\r\\nX-Evil: 1/r, $json =~ s/EVIL/ /r,
            '{' . join(',', map { qq("k$_":1) } 1 .. 5000) . '}',
            (map { json(access_token => $_) } '', 1, ['a'], {}, undef),
            (map { json(refresh_token => $_) } '', 'a b', "a\n"),
            (map { json(token_type => $_) } 'mac', '', 1, undef),
            (map { json(error => $_) } 'invalid_grant', 'server_error', ''),
            (map { $json =~ s/"expires_in":3600/"expires_in":$_/r }
                0, -1, 1e300, '"abc"', '" 3600"', '{}', '[]', 'true'),
        ),
        { status => 200, body => $json, gzip => \1 },
    ],
);

$t->secret($good{access_token}, $good{refresh_token});

# an answer without an end is under way until the simulator has seen it cut
$t->sim->config(concurrent => 'allow');

forward(61);

for my $word (sort keys %shapes) {
    bad($word, $_) for @{ $shapes{$word} };
    healed("what is $word");
}

# cut anywhere: with a length that is true, and with one that is not

for my $at (0 .. $length - 1) {
    next if !$ENV{TEST_ALL} && $at % 23 && $at < $length - 3;

    bad('invalid_answer', body(substr $json, 0, $at));
    bad('no_answer', raw("HTTP/1.1 200 OK\r\nContent-Length: $length\r\n\r\n"
        . substr $json, 0, $at));
}

healed('an answer that was cut anywhere');

# lifetimes: what is absurd is bounded, and what is missing is the usual one

for ([ 'missing' => { omit => ['expires_in'] }, 3600 ],
    [ '"3600"' => { merge => { expires_in => '3600' } }, 3600 ],
    [ '2^31' => { merge => { expires_in => 2 ** 31 } }, 400 * 86400 ],
    [ '2^40' => { merge => { expires_in => 2 ** 40 } }, 400 * 86400 ],
    [ '1' => { merge => { expires_in => 1 } }, 1 ])
{
    my ($name, $action, $life) = @$_;

    forward(24 * 60 * 401);
    # and the refresh token is as old: a new consent
    $t->signed_in(realm => '9130347957983546');
    forward(61);
    $t->sim->reset('scripts', 'journal');
    answer($action);

    my $r = call();
    is($r->status, 200, "expires_in $name");
    is($r->header('X-Expires') // '', now() + $life, '... is ' . $life)
        if $life > 1;
    is(scalar(sent()), 1, '... one refresh');
}

# an error beside tokens is an error

$t->sim->reset('scripts', 'journal');
forward(24 * 60 * 401);
$t->signed_in(realm => '9130347957983546');
forward(61);
$t->sim->reset('journal');
answer({ status => 400, body => json(error => 'invalid_grant') }, 3);
is(call()->status, 401, '400 with tokens and invalid_grant: it has ended');

ok(!grep({ /EVIL/ } map { $_->{headers}{authorization} // '' }
    $t->sim->journal), 'nothing of it was ever used');

done_testing();


sub bad {
    my ($word, $action) = @_;

    forward(2);    # the pause is over
    answer($action);

    my $before = log_has("refresh failed: $word");
    my $r = call();
    my $name = substr JSON::PP->new->canonical->allow_nonref
        ->encode($action), 0, 60;

    $name =~ s/[^ -~]/./g;

    is(join(' ', $r->status, ($r->json // {})->{error} // '',
        log_has("refresh failed: $word") - $before),
        '503 temporarily_unavailable 1', "$word: $name");
}

# the token that was there is still good
sub healed {
    my ($name) = @_;

    forward(2);
    is(call()->status, 200, "$name is healed");

    my %sent = map { $_ => 1 } sent();
    is(scalar keys %sent, 1, '... by the same refresh token');

    forward(61);
    $t->sim->reset('journal');
}
