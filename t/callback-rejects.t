#!/usr/bin/perl

# A callback that is not the answer to this browser's own login is refused
# before anything is sent to Intuit: no token request, no session, and what
# the address says is not shown.  The attacks: a made-up, old, stolen or
# altered state, the attacker's own code and state in the victim's browser,
# repeated arguments, tokens in the address, codes and realms of any form.
#
# Rows: AZ-02 AZ-08 CB-01 CB-03 CB-05 CB-09 CB-10 CB-11 CB-12 CB-13 LES-11
#       LES-22

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;

my $t = Test::Intuit->new();

$t->write_secret('secret', 'sim-client-secret');

$t->conf(<<'CONF')->start;
load_module %%MODULE%%;
error_log %%DIR%%/logs/error.log info;
worker_processes 2;

events {}

http {
    access_log %%DIR%%/logs/access.log;
    large_client_header_buffers 4 64k;

    intuit_provider books {
        environment         sandbox;
        config_url          %%SIM%%/.well-known/openid_sandbox_configuration;
        api_url             %%SIM%%;
        client_id           sim-client-id;
        client_secret_file  %%DIR%%/secret;
        scope               openid email com.intuit.quickbooks.accounting;
        redirect_uri        http://localhost:%%PORT_8080%%/intuit/callback;
        allow_realm         9130347957983546;
        probe               off;
    }

    server {
        listen 127.0.0.1:%%PORT_8080%%;
        auth_intuit books;
    }
}
CONF

my $realm = '9130347957983546';
my ($jar, $callback, $state, $code);

sub begin {
    $jar = $t->jar;

    my $r = $t->get('/', -jar => $jar, -browser => 1);
    $callback = $t->consent($jar, $r->header('Location'), realm => $realm);

    ($state) = $callback =~ /[?&]state=([^&]+)/;
    ($code) = $callback =~ /[?&]code=([^&]+)/;
}

sub refused {
    my ($name, $status, $path, $browser) = @_;

    my $r = $t->get($path, -jar => $browser // $jar->clone, -browser => 1,
        'Sec-Fetch-Site' => 'cross-site');

    is($r->status, $status, $name);
    ok(!(grep { /^__Host-intuit=/ } $r->header('Set-Cookie')),
        "$name: no session");
    is($r->header('Cache-Control'), 'no-store', "$name: not to be kept");
    unlike($r->body, qr/\Q$code\E|\Q$state\E|<script|evil/i,
        "$name: nothing of it is shown");
}

begin();

my $uri = '/intuit/callback';
my $whole = "code=$code&realmId=$realm";

# any other last digit would do, but four bits of it count for nothing
(my $changed = $state) =~ s/^(.)/$1 eq 'A' ? 'B' : 'A'/e;

# [ name, status, query ]
my @bad = (
    [ 'nothing at all', 400, '' ],
    [ 'no state', 400, "?$whole" ],
    [ 'an empty state', 400, "?$whole&state=" ],
    [ 'a made-up state', 400, "?$whole&state=" . 'A' x 43 ],
    [ 'a tampered state', 400, "?$whole&state=$changed" ],
    [ 'a state cut short', 400, "?$whole&state=" . substr($state, 0, 42) ],
    [ 'a longer state', 400, "?$whole&state=${state}A" ],
    [ 'a state that is no base64url', 400, "?$whole&state=" . '!' x 43 ],
    [ 'a huge state', 400, "?$whole&state=" . 'A' x 20000 ],
    [ 'two states', 400, "?$whole&state=$state&state=$state" ],
    [ 'two other states', 400, "?$whole&state=a&state=b" ],
    [ 'a second state in disguise', 400, "?$whole&state=$state&%73tate=x" ],
    [ 'no code', 400, "?state=$state&realmId=$realm" ],
    [ 'an empty code', 400, "?state=$state&code=&realmId=$realm" ],
    [ 'two codes', 400, "?state=$state&$whole&code=B" ],
    [ 'a second code in disguise', 400, "?state=$state&$whole&%63ode=B" ],
    [ 'the name in capital hex', 400, "?state=$state&$whole&co%64%65=B" ],
    [ 'a code that is too long', 400,
        "?state=$state&realmId=$realm&code=" . 'c' x 4096 ],
    [ 'a code with a line end', 400,
        "?state=$state&realmId=$realm&code=a%0d%0aX:%20evil" ],
    [ 'a code with a zero byte', 400,
        "?state=$state&realmId=$realm&code=a%00b" ],
    [ 'a code with bad escapes', 400,
        "?state=$state&realmId=$realm&code=a%zz" ],
    [ 'two realms', 400, "?state=$state&$whole&realmId=1" ],
    [ 'two issuers', 400, "?state=$state&$whole&iss=a&iss=a" ],
    [ 'two errors', 400, "?state=$state&error=a&error=b" ],
    [ 'code and error', 400, "?state=$state&$whole&error=access_denied" ],
    [ 'an access token', 400, "?state=$state&access_token=x" ],
    [ 'a code and an access token', 400,
        "?state=$state&$whole&access_token=x" ],
    [ 'a code and an id_token', 400, "?state=$state&$whole&id%5ftoken=x" ],
    [ 'a realm that is a path', 403,
        "?state=$state&code=$code&realmId=../../x" ],
    [ 'an escaped path', 403,
        "?state=$state&code=$code&realmId=1%2f..%2f2" ],
    [ 'a realm with a line end', 403,
        "?state=$state&code=$code&realmId=1%0d%0aX-Evil:%201" ],
    [ 'a realm with a script', 403,
        "?state=$state&code=$code&realmId=<script>evil</script>" ],
    [ 'a realm that is too long', 403,
        "?state=$state&code=$code&realmId=" . '1' x 21 ],
    [ 'a huge realm', 403, "?state=$state&code=$code&realmId=" . '1' x 30000 ],
    [ 'a realm with a space', 403,
        "?state=$state&code=$code&realmId=+$realm" ],
    [ 'a negative realm', 403, "?state=$state&code=$code&realmId=-1" ],
);

refused($_->[0], $_->[1], $uri . $_->[2]) for @bad;

# of another browser, in both directions
my ($theirs, $their_callback) = ($jar, $callback);
begin();

refused('the callback in a browser without cookies', 400, $their_callback,
    $t->jar);
refused("the callback in another login's browser", 400, $their_callback,
    $jar->clone);
refused('and the other way round', 400, $callback, $theirs->clone);

# their cookie's value under our cookie's name
my $mixed = $jar->clone;
my ($mine) = grep { /login|state/ } $mixed->names;
my ($other) = grep { /login|state/ } $theirs->names;

ok($mine && $other, 'an attempt has a cookie');
$mixed->set($mine, $theirs->get($other));
refused('a cookie of another attempt', 400, $callback, $mixed);

for my $cut (0, 1, 20) {
    my $broken = $jar->clone;
    my $value = $broken->get($mine);

    substr $value, $cut, 1, substr($value, $cut, 1) eq 'A' ? 'B' : 'A';
    $broken->set($mine, $value);
    refused("a cookie altered at $cut", 400, $callback, $broken);
}

my $r = $t->get($callback, Cookie => [ "$mine=" . $jar->get($mine),
    "$mine=x" ], -browser => 1);
is($r->status, 400, 'two different cookies of one name: none is believed');

is($t->sim->count(kind => 'token'), 0, 'Intuit was asked for no token');
is($t->sim->count(kind => 'api'), 0, 'and for no company');

# unknown arguments mean nothing (RFC 6749, section 3.1)
$r = $t->get("$callback&foo=bar&session_state=1&state_=x", -jar => $jar,
    -browser => 1);
is($r->status, 302, 'after all this the login itself still works');
is($r->header('Location'), 'http://localhost:' . $t->port . '/',
    'and leads to a clean address');
is($r->header('Referrer-Policy'), 'no-referrer', 'that no referrer follows');

done_testing();
