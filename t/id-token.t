#!/usr/bin/perl

# An id_token signs somebody in only when Intuit's key has signed it, with
# RS256, for this app, this login and this moment.  The attacks are those of
# RFC 8725 and OpenID Connect Core, section 16: no signature, the public key
# as an HMAC secret, a key of the attacker's in the header, a token made for
# another app, another user's or another login's token, members given twice.
# Nothing is asked with the new access token before the id_token has passed.
#
# Rows: AZ-03 ID-01 ID-02 ID-03 ID-04 ID-05 ID-06 ID-07 ID-08 ID-09 ID-11
#       ID-15 ID-16 ID-17 ID-18 LES-11 LES-27 LES-31 LES-33 F-CLK-01

use FindBin;
use lib "$FindBin::Bin/lib";
use JSON::PP ();
use MIME::Base64 qw(encode_base64url);
use Test::Intuit;
use Test::Intuit::Attempt;

my $issuer = 'http://127.0.0.1:1/op';
my $t = Test::Intuit->new(sim => [ '--issuer', $issuer ]);

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
        scope               openid email com.intuit.quickbooks.accounting;
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

my ($true, $now) = (JSON::PP::true, time);

sub forged { return [ { kind => 'token', action => { id_token => { @_ } } } ] }

sub bad {
    my ($name, @change) = @_;
    refused($t, $name, 403, 'invalid_id_token', forged(@change));
}

sub claim { bad("$_[0] " . shown($_[1]), claims => { $_[0] => $_[1] }) }
sub header { bad("$_[0] " . shown($_[1]), header => { $_[0] => $_[1] }) }
sub shown {
    return substr(JSON::PP->new->allow_nonref->ascii->canonical
        ->encode($_[0]), 0, 50);
}

accepted($t, 'as it is', []);

# -- signature

bad("alg $_", alg => $_) for qw(none None HS256 HS384 RS384 RS512 PS256 ES256),
    '';
bad('alg none, no signature', alg => 'none', sign_with => 'none');
bad("HS256 with $_", alg => 'HS256', hs_secret => $_)
    for qw(public_pem modulus client_secret);
bad('RS256 without a signature', sign_with => 'none');
bad('another key under the same kid', sign_with => 'other');
header(alg => $_) for 'rs256', 'RS256 ', undef, 1, [ 'RS256' ], $true, "RS256\x{0}";
bad('no alg', omit_header => [ 'alg' ]);
refused($t, 'no kid', 503, 'keys_unavailable',
    forged(omit_header => [ 'kid' ]));

header(crit => $_) for [ 'exp' ], [], undef;
header(typ => $_) for 'at+jwt', 'logout+jwt', 'application/at+jwt', '', 1, [];
header(kid => $_) for 1, [ 'a' ], {};

bad("a key in the header: $_->[0]", sign_with => 'other',
    header => { $_->[0] => $_->[1] })
    for [ jwk => { kty => 'RSA', n => 'AQAB', e => 'AQAB' } ],
        [ jku => $t->sim->base . '/jku' ], [ x5u => $t->sim->base . '/x5u' ],
        [ x5c => [ 'MIIB' ] ];

# -- parts

my $pair = $t->sim->issue(realm => '9130347957983546',
    id_token => { claims => { nonce => 'x' } });
my ($head, $payload, $signature) = split /\./, $pair->{id_token};

sub flipped {
    my ($text) = @_;
    my $at = int(length($text) * 5 / 6);
    substr($text, $at, 1) =~ tr/A-Za-z0-9_-/B-ZAb-za1-90\-_/;
    return $text;
}

bad($_->[0], raw => join '.', @$_[1 .. $#$_])
    for [ 'one part', $head ], [ 'two parts', $head, $payload ],
        [ 'four parts', $head, $payload, $signature, '' ],
        [ 'five parts', $head, $payload, $signature, 'a', 'b' ],
        [ 'an empty header', '', $payload, $signature ],
        [ 'an empty payload', $head, '', $signature ],
        [ 'an empty signature', $head, $payload, '' ],
        [ 'a bit of the header', flipped($head), $payload, $signature ],
        [ 'a bit of the payload', $head, flipped($payload), $signature ],
        [ 'a bit of the signature', $head, $payload, flipped($signature) ],
        [ 'half a signature', $head, $payload, substr $signature, 0, 171 ],
        [ 'padding', $head, "$payload=", $signature ],
        [ 'padding at the end', $head, $payload, "$signature=" ],
        [ 'a blank', $head, " $payload", $signature ],
        [ 'a line break', $head, "$payload\n", $signature ],
        [ 'a letter of base64', $head, $payload, '+' . substr $signature, 1 ],
        [ 'an array for a header', encode_base64url('["RS256"]'), $payload,
            $signature ],
        [ 'no JSON', encode_base64url('RS256'), $payload, $signature ];

bad('an access token', raw => $pair->{access_token});
bad('empty', raw => '');
bad('too large', claims => { x => 'x' x 30000 });

refused($t, 'no id_token', 403, 'invalid_id_token', [ { kind => 'token',
    action => { omit => [ 'id_token' ] } } ]);
refused($t, 'id_token ' . shown($_), 403, 'invalid_id_token', [ {
    kind => 'token', action => { merge => { id_token => $_ } } } ])
    for undef, 1, [], {};

# -- claims

bad("no $_", omit => [ $_ ]) for qw(iss aud exp iat sub nonce);

claim(iss => $_) for 'https://oauth.platform.intuit.com/op/v1', "$issuer/",
    uc $issuer, "$issuer ", substr($issuer, 0, -1), "$issuer\x{0}.example",
    '', undef, 1, [ $issuer ];
claim(aud => $_) for 'other', [], [ 'other' ], [ [ 'sim-client-id' ] ],
    'sim-client-id-2', 'sim-client', ' sim-client-id', 'SIM-CLIENT-ID',
    "sim-client-id\x{0}", [ 'sim-client-id', 'other' ],
    [ 'sim-client-id', 1 ], { 'sim-client-id' => 1 }, undef, 1;
claim(azp => $_) for 'other', '', 1, [ 'sim-client-id' ], undef;
bad('azp of another app, one of two audiences',
    claims => { aud => [ 'sim-client-id', 'other' ], azp => 'other' });

claim(exp => $_) for $now - 3600, 0, -1, "@{[ $now + 3600 ]}", 1e300,
    9223372036854775807, undef, $true, [ $now + 3600 ], $now + 3600.5;
claim(iat => $_) for $now + 3600, "$now", -1, 1e300, undef, [];
claim(nbf => $_) for $now + 3600, "$now", -1, 1e300, [], $true;

claim(nonce => $_) for 'other', '', undef, 1, [ '$nonce' ], "\x{0}";

claim(sub => $_) for '', 1, [ 'a' ], {}, undef, 'a' x 256, "a\x{0}b",
    "a\nb", "a\x{7f}", "\x{e9}";

claim(at_hash => $_) for '', 'wrong', 'A' x 22, 'A' x 43, 1, undef, [];

claim(realmid => $_) for 'x', '', '1 2', '1' x 21, { a => 1 }, "1\x{0}";

# -- JSON

my $rest = qq("iss":"$issuer","aud":"sim-client-id","iat":$now,)
    . '"exp":' . ($now + 3600);

bad($_->[0], payload_raw => $_->[1])
    for [ 'sub twice', qq({"sub":"a",$rest,"sub":"b"}) ],
        [ 'an array', qq([{"sub":"a",$rest}]) ],
        [ 'text', '"sub"' ], [ 'nothing', '{}' ], [ 'null', 'null' ],
        [ 'half', qq({"sub":"a",$rest) ],
        [ 'something after it', qq({"sub":"a",$rest}{}) ];

# -- what is allowed to be there

sub good { accepted($t, $_[0], forged(@_[1 .. $#_])) }

good('typ JWT', header => { typ => 'JWT' });
good('aud as text', claims => { aud => 'sim-client-id' });
good('azp is the app', claims => { aud => [ 'sim-client-id' ],
    azp => 'sim-client-id' });
good('nbf and exp within the leeway', claims => { nbf => time + 30,
    iat => time + 30, exp => time - 30 });
good('a jwk that nobody looks at', header => { jwk => { kty => 'RSA' } });
good('sub of 255', claims => { sub => 'a' x 255 }, omit => [ 'x' ]);

is($t->sim->count(path => '/jku') + $t->sim->count(path => '/x5u'), 0,
    'no key was fetched from where a header says');

done_testing;
