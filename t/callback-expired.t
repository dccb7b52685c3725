#!/usr/bin/perl

# An attempt ends with login_timeout: a callback that comes later, be it the
# first or one that worked before, sends no code anywhere and signs nobody in,
# also where the browser has kept the cookie.
#
# Rows: CB-01 CB-16 CK-10

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

    intuit_provider brief {
        environment         sandbox;
        config_url          %%SIM%%/.well-known/openid_sandbox_configuration;
        api_url             %%SIM%%;
        client_id           sim-client-id;
        client_secret_file  %%DIR%%/secret;
        scope               openid email com.intuit.quickbooks.accounting;
        redirect_uri        http://localhost:%%PORT_8080%%/intuit/callback;
        allow_realm         any;
        login_timeout       2s;
        leeway              0;
        probe               off;
    }

    server {
        listen 127.0.0.1:%%PORT_8080%%;
        auth_intuit brief;
        root %%DIR%%/html;
    }
}
CONF

$t->write_file('html/page.html', "in\n");

sub begin {
    my $jar = $t->jar;
    my $r = $t->get('/page.html', -jar => $jar, -browser => 1);

    like(join("\n", $r->header('Set-Cookie')), qr/-login-[^;]*; Max-Age=2;/,
        'the browser is told when to forget it');
    return ($jar, $t->consent($jar, $r->header('Location')));
}

sub later {
    my ($jar, $callback) = @_;
    my $r;

    # a refusal for its age is the only one that may come: not so often that
    # the sessions of one login run out
    $t->wait_until(sub {
        select undef, undef, undef, 0.2;
        $r = $t->get($callback, -jar => $jar->clone, -browser => 1);
        $r->status != 302;
    });

    return $r;
}

# -- an attempt that is used again and again, until it is too old

my ($jar, $callback) = begin();
my $r = later($jar, $callback);

is($r->status, 400, 'what worked before is refused in the end');
like($r->body, qr/invalid_state/, 'for its age');
is($r->header('Set-Cookie'), undef, 'and leaves the cookies alone');
cmp_ok($t->sim->count(kind => 'token'), '<=', 1, 'the code was sent once');

# -- one that nobody has used meanwhile

($jar, $callback) = begin();

$t->sim->reset('journal');
later(begin());

my $before = $t->sim->count(kind => 'token');

is($t->get($callback, -jar => $jar->clone, -browser => 1)->status, 400,
    'the first use, too late');
is($t->sim->count(kind => 'token'), $before, 'no code was sent');

# -- signed in meanwhile: "Back" leads to the site

my $in = $t->jar;

# a login may itself be too slow for two seconds
$t->wait_until(sub { $t->login($in, '/intuit/login')->status == 302 });
$before = $t->sim->count(kind => 'token');

$r = $t->get($callback, -jar => $in, -browser => 1);
is($r->status, 302, 'who is signed in');
is($r->path, '/', 'is led to the site');
is($r->header('Set-Cookie'), undef, 'with the session as it is');
is($t->sim->count(kind => 'token'), $before, 'and no code was sent');

done_testing();
