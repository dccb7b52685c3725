#!/usr/bin/perl

# Intuit's signing keys: read once, and again when a token names a key that is
# not among them, so that a rotation heals by itself; but not again for every
# invented name.  Logins go on with the keys that are there while new ones
# cannot be read.  Of a set, only what is a good RSA key for signatures counts.
#
# Rows: TK-05 ID-12 ID-13 LES-11 F-OP-17

use FindBin;
use lib "$FindBin::Bin/lib";
use JSON::PP ();
use Test::Intuit;
use Test::Intuit::Attempt;

my $t = Test::Intuit->new(sim => [ '--issuer', 'http://127.0.0.1:1/op' ]);

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
        scope               openid com.intuit.quickbooks.accounting;
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

my $reads = sub { $t->sim->count(kind => 'jwks') };

sub keys_are { return { kind => 'jwks', action => { @_ } } }
sub unknown {
    return { kind => 'token', action => { id_token => { header => {
        kid => 'unknown-' . rand } } } };
}

# -- two logins before there are keys: one read serves both

$t->sim->script({ kind => 'jwks', action => { barrier => 'keys' } });

my @waiting = map {
    my $jar = $t->jar;
    my $r = $t->get('/', -jar => $jar, -browser => 1);
    my $callback = $t->consent($jar, $r->header('Location'));
    my $c = $t->connect;

    $c->send("GET $callback HTTP/1.1\r\nHost: localhost\r\nCookie: "
        . $jar->header_for($callback) . "\r\nConnection: close\r\n\r\n");
    $c;
} 1 .. 3;

$t->sim->parked('keys', 1);
$t->sim->wait_for(kind => 'token', count => 3, answered => 1);
$t->sim->release('keys');

is($_->response->status, 302, 'a login during the first read') for @waiting;
is($reads->(), 1, 'and one read');

accepted($t, 'another one', []);
is($reads->(), 0, 'and no read');

# -- rotation

$t->sim->control('POST', '/rotate-keys', { drop_old => JSON::PP::true });

accepted($t, 'after a rotation', []);
is($reads->(), 1, 'one read');

# -- invented names, and the keys cannot be read

ok($t->reload, 'new workers without keys');
accepted($t, 'a login', []);

my ($sum, $begun) = (0, time);

for (1 .. 12) {
    refused($t, 'an unknown kid', 503, 'keys_unavailable', [ unknown() ]);
    $sum += $reads->();
}

# one in ten seconds, however slow this machine is
cmp_ok($sum, '<=', 1 + (time - $begun) / 10, 'a read for all of them');

accepted($t, 'keys there, endpoint down', [ keys_are(status => 503) ]);

$t->reload;

refused($t, 'no keys, endpoint down', 503, 'keys_unavailable',
    [ keys_are(status => 503) ]);
$t->sim->reset('scripts');

ok($t->wait_until(sub { (attempt($t, []))[0]->status == 302 }), 'it heals');

# -- what is in a set

my $sim = $t->connect(port => $t->sim->port);
$sim->send("GET /op/v1/jwks HTTP/1.0\r\n\r\n");

my @good = @{ $sim->response->json->{keys} };
my ($key) = grep { $_->{kid} eq $t->sim->control('GET', '/state')
    ->{keys}{current} } @good;

my @junk = (
    {}, 1, undef, 'key', [ $key ],
    { %$key, kty => 'oct', k => 'c2VjcmV0' },
    { %$key, kty => 'EC', crv => 'P-256', x => 'AA', y => 'AA' },
    { %$key, kty => 'rsa' }, { %$key, use => 'enc' },
    { %$key, alg => 'HS256' }, { %$key, alg => 'RS512' },
    { %$key, key_ops => [ 'encrypt' ] }, { %$key, kid => 1 },
    { %$key, n => substr $key->{n}, 0, 86 }, { %$key, n => '' },
    { %$key, n => 'A' x 342 }, { %$key, n => "$key->{n}!" },
    { %$key, e => 'AQ' }, { %$key, e => 'Ag' }, { %$key, e => '' },
    { %$key, n => 'x' x 20000 }, { map { $_ => $key->{$_} } qw(kty kid e) },
);

sub set {
    my ($name, $status, $error, @action) = @_;
    $t->reload;

    $error ? refused($t, $name, $status, $error, [ keys_are(@action) ])
        : accepted($t, $name, [ keys_are(@action) ]);
}

set('none of the keys is one', 503, 'keys_unavailable',
    json => { keys => \@junk });
set('the same and ours', 302, '', json => { keys => [ @junk, @good ] });
set('without use and alg', 302, '', json => { keys => [
    { map { $_ => $key->{$_} } qw(kty kid n e) } ] });
set('the same kid twice', 503, 'keys_unavailable',
    json => { keys => [ $key, { %{ $good[-1] }, kid => $key->{kid},
        n => $good[1]{n} } ] });
set('300 others', 302, '', json => { keys => [
    (map { { kty => 'oct', kid => "k$_", k => 'AA' } } 1 .. 300), $key ] });
set($_->[0], 503, 'keys_unavailable', @$_[1 .. $#$_])
    for [ 'an empty set', json => { keys => [] } ],
        [ 'no set', json => { keys => { a => $key } } ],
        [ 'a list', json => [ $key ] ],
        [ 'HTML', body => '<html>SECRETMARK</html>' ],
        [ '10000 keys', json => { keys => [ ($key) x 10000 ] } ],
        [ 'a redirect', redirect => $t->sim->base . '/op/v1/jwks' ],
        [ 'half', close_after => 100 ];

done_testing;
