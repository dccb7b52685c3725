#!/usr/bin/perl

# A reload switches a feature on or off, or gives the app another secret, key or
# callback, while people are signed in and others are at Intuit.  The promise:
# nobody goes round: who is signed in stays so, or is in again after one login;
# what the old key sealed is "log in again" and never an error of the server's; and
# the company stays connected.
#
# Rows: LES-25 LES-26 F-RLD-03

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;

my $t = Test::Intuit->new();

$t->write_secret('secret', 'sim-client-secret');
$t->write_secret('other', 'another-client-secret');
$t->write_secret('key', '5d' x 32);
$t->write_secret('key2', '7e' x 32);
$t->write_file('html/index.html', "in\n");

my %usual = (secret => 'secret', callback => '/intuit/callback', more => '',
    server => '', api => '');

sub conf {
    my %o = (%usual, @_);

    return <<'CONF' =~ s/%%([a-z]+)%%/$o{$1}/gr;
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
        client_secret_file  %%DIR%%/%%secret%%;
        scope               openid email com.intuit.quickbooks.accounting;
        redirect_uri        http://localhost:%%PORT_8080%%%%callback%%;
        allow_realm         any;
        probe               off;
        %%more%%
    }

    server {
        listen 127.0.0.1:%%PORT_8080%%;
        auth_intuit books;
        %%server%%

        location / { root %%DIR%%/html; }
        location /v3/company/ { intuit_proxy books; %%api%% }
    }
}
CONF
}

my $realm = '9130347957983546';

$t->conf(conf())->start;
my $jar = $t->signed_in(path => '/index.html', realm => $realm);

# how many logins it takes to be in again
sub logins {
    my ($browser) = @_;

    for my $count (0 .. 3) {
        my $r = $t->get('/index.html', -jar => $browser, -browser => 1);
        return $count if $r->body eq "in\n";
        return 'status ' . $r->status if $r->status != 302;

        $r = $t->get($t->consent($browser, $r->header('Location'),
            realm => $realm), -jar => $browser, -browser => 1);
        # with a Strict cookie the way on is a page
        return 'login ' . $r->status if $r->status !~ /^(?:200|30[23])$/;
    }

    return 'for ever';
}

# a feature, and how many logins it may cost
for my $case (
    [ 'pkce', 0, more => 'pkce on;' ],
    [ 'userinfo off', 0, more => 'userinfo off;' ],
    [ 'Strict cookies', 0, more => 'cookie_flags samesite=strict;' ],
    [ 'an encryption key', 0, more => 'encryption_key_file %%DIR%%/key;' ],
    [ 'another cookie', 1, more => 'cookie_name __Host-other;' ],
    [ 'shorter sessions', 0, more => 'session_timeout 2h; session_idle_timeout 1m;' ],
    [ 'other addresses', 0, more => 'login_uri /in; logout_uri /out; session_uri /who;' ],
    [ 'a smaller scope', 1, more => '' ],
    [ 'no limit', 0, server => 'intuit_limit off;' ],
    [ 'request ids', 0, api => 'intuit_request_id on;' ],
    [ 'files', 0, more => 'state_path %%DIR%%/state; encryption_key_file %%DIR%%/key;' ],
    [ 'another callback', 0, callback => '/other/callback' ],
    [ 'verify', 0, server => 'auth_intuit_mode verify;' ])
{
    my ($name, $most, @change) = @$case;
    my $text = conf(@change);

    $text =~ s/openid email com/openid com/ if $name eq 'a smaller scope';

    for my $way ([ "$name, on", $text ], [ "$name, off", conf() ]) {
        ok($t->reload($way->[1]), $way->[0]);

        my $logins = logins($jar);
        ok($logins =~ /^\d$/ && $logins <= $most, "... $logins logins");
        is($t->get("/v3/company/$realm/companyinfo/$realm", -jar => $jar,
            -json => 1)->status, 200, '... and the company is connected');
    }
}

# -- another secret, while people are at Intuit ------------------------------------

my @waiting = map {
    my $new = $t->jar;
    my $r = $t->get('/index.html', -jar => $new, -browser => 1);
    [ $new, $t->consent($new, $r->header('Location'), realm => $realm) ];
} 1 .. ($ENV{TEST_ALL} ? 2000 : 100);

$t->sim->control('POST', '/client', { client_id => 'sim-client-id',
    client_secret => 'another-client-secret' });
ok($t->reload(conf(secret => 'other')), 'another client secret');

is(logins($jar), 0, 'who is signed in stays so');

my %status;
$status{$t->get($_->[1], -jar => $_->[0], -browser => 1)->status}++ for @waiting;
is_deeply(\%status, { 400 => scalar @waiting },
    'what the old secret sealed is no login, each time');
is(logins($waiting[0][0]), 1, '... and one login later they are in');

$t->sim->control('POST', '/expire-access', { realm => $realm });
is($t->get("/v3/company/$realm/companyinfo/$realm", -jar => $jar,
    -json => 1)->status, 200, 'a refresh goes with the new secret');

done_testing();
