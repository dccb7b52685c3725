#!/usr/bin/perl

# Every login makes a new session identifier and ends the browser's old one
# (session fixation, login CSRF): an identifier that a client brings is never
# adopted, whatever it looks like, and an attacker's finished attempt does not
# sign a victim in.
#
# Rows: CB-12 CB-14 CK-02 CK-03 CK-06 CK-08 LES-11 LES-30

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
            add_header X-User $intuit_claim_email;
            root %%DIR%%/html;
        }
    }
}
CONF

$t->write_file('html/page.html', "in\n");

my $cookie = '__Host-intuit';
my %seen;

sub in {
    my ($value) = @_;
    my $r = $t->get('/page.html', -json => 1, Cookie => "$cookie=$value");

    return $r->status == 200 ? $r->header('X-User') : $r->status;
}

# -- a new one at every login, and the old one is dead

my $jar = $t->jar;
my @old;

for my $user ('ada@example.com', 'ada@example.com', 'bob@example.com') {
    my $r = $t->login($jar, '/intuit/login?return_to=/page.html',
        user => $user);

    is($r->status, 302, "$user signs in");
    is($r->path, '/page.html', 'and is led to the page');
    is(scalar(grep { /^$cookie=/ } $r->header('Set-Cookie')), 1,
        'with one session cookie');
    unlike((grep { /^$cookie=/ } $r->header('Set-Cookie'))[0],
        qr/Max-Age|Expires|Domain/i, 'of this host, for as long as it is open');

    my $value = $jar->get($cookie);

    ok(!$seen{$value}++, 'that nobody had before');
    like($value, qr/^[\w-]{43}$/, 'of random bits');
    is(in($value), $user, 'and it is who has signed in');

    is(in($_), 401, 'an earlier one is dead') for @old;
    push @old, $value;
}

# -- an identifier that the client has chosen

for my $chosen ('A' x 43, 'x', '', '0', $old[0], '../../../etc/passwd',
    'a' x 2000, '"quoted"', 'a b')
{
    my $browser = $t->jar->set($cookie, $chosen);
    my $name = length $chosen > 43 ? 'long' : "\"$chosen\"";
    $name = 'that of a dead session' if $chosen eq $old[0];

    my $r = $t->login($browser, '/page.html');

    is($r->status, 302, "a login in spite of the identifier $name");
    isnt($browser->get($cookie), $chosen, 'gets another one');
    ok(!$seen{$browser->get($cookie)}++, 'a new one');
    is(in($chosen), 401, 'and the chosen one opens nothing');
}

# -- planted beside the real one, before or after it: none is believed

my $real = $t->signed_in(path => '/page.html')->get($cookie);

for my $pair ([ $real, 'A' x 43 ], [ 'A' x 43, $real ]) {
    my ($one, $two) = @$pair;

    is($t->get('/page.html', -json => 1,
        Cookie => "$cookie=$one; $cookie=$two")->status, 401,
        'two values in one line');
    is($t->get('/page.html', -json => 1,
        Cookie => [ "$cookie=$one", "$cookie=$two" ])->status, 401,
        'two values in two lines');
}

is($t->get('/page.html', Cookie => "$cookie=$real; $cookie=$real")->status,
    200, 'the same value twice is no contradiction');

# -- the attacker's attempt in the victim's browser

my $mallory = $t->jar;
my $r = $t->get('/page.html', -jar => $mallory, -browser => 1);
my $callback = $t->consent($mallory, $r->header('Location'),
    user => 'mallory@evil.example');

my $victim = $t->signed_in(user => 'bob@example.com', path => '/page.html');
my $before = $victim->get($cookie);
my $exchanges = $t->sim->count(kind => 'token');

$r = $t->get($callback, -jar => $victim, -browser => 1);
is($r->header('Set-Cookie'), undef, 'a victim who is signed in');
is($victim->get($cookie), $before, 'stays in the own session');
is(in($before), 'bob@example.com', 'as before');

$victim = $t->jar;
$r = $t->get($callback, -jar => $victim, -browser => 1);
is($r->status, 400, 'a victim who is not signed in');
is_deeply([ $victim->names ], [], 'gets nothing');

is($t->sim->count(kind => 'token'), $exchanges,
    "and the attacker's code was never sent");

done_testing();
