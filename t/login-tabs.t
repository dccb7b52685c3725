#!/usr/bin/perl

# Several logins of one browser at a time do not disturb each other, in any
# order, and what is left of those that nobody finishes stays small: however
# many there were, the Cookie header is one that every server takes, and the
# next login works.
#
# Rows: AZ-11 CB-15 CK-10

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
            root %%DIR%%/html;
        }
    }
}
CONF

$t->write_file("html/tab-$_", "in\n") for 1 .. 5;

my $login = '/intuit/login?return_to=';

sub begin {
    my ($jar, $target) = @_;
    my $r = $t->get($login . $target, -jar => $jar, -browser => 1);

    is($r->status, 302, "a login for " . substr($target, 0, 20) . " begins")
        if $target !~ /abandoned/ || $r->status != 302;
    return $r->header('Location');
}

sub attempts { scalar grep { /-login-/ } $_[0]->names }

# -- five tabs, finished in reverse order

my $jar = $t->jar;
my @urls = map { begin($jar, "/tab-$_") } 1 .. 5;

is(attempts($jar), 5, 'five attempts are under way');

for my $tab (reverse 1 .. 5) {
    my $callback = $t->consent($jar, $urls[$tab - 1]);
    my $r = $t->get($callback, -jar => $jar, -browser => 1);

    is($r->status, 302, "tab $tab gets in");
    is($r->path, "/tab-$tab", 'to its own page');
    is($t->get($r->path, -jar => $jar)->body, "in\n", 'which opens');
    is(attempts($jar), $tab - 1, 'and leaves the other attempts alone');
}

is($t->sim->count(kind => 'token'), 5, 'five exchanges');

# -- one cancelled, one finished

$jar = $t->jar;
@urls = map { begin($jar, "/tab-$_") } 1 .. 2;

my $r = $t->get($t->consent($jar, $urls[0], deny => 1), -jar => $jar,
    -browser => 1);
is($r->status, 403, 'one tab is cancelled');
$r = $t->get($t->consent($jar, $urls[1]), -jar => $jar, -browser => 1);
is($r->status, 302, 'the other gets in');

# -- abandoned attempts, with addresses as long as they come

for my $length (10, 1500) {
    my ($largest, $most) = (0, 0);
    $jar = $t->jar;

    for my $n (1 .. 250) {
        begin($jar, '/abandoned/' . 'x' x $length);

        my $size = length $jar->header_for('/intuit/callback');

        $largest = $size if $size > $largest;
        $most = attempts($jar) if attempts($jar) > $most;
    }

    cmp_ok($largest, '<', 4096, "cookies of 250 abandoned attempts ($length)");
    cmp_ok($most, '<=', 8, 'and not many of them');

    my $url = begin($jar, '/tab-1');
    $r = $t->get($t->consent($jar, $url), -jar => $jar, -browser => 1);

    is($r->status, 302, 'the next one gets in');
    is($r->path, '/tab-1', 'to its page');
}

# -- cookies of attempts that somebody else has planted

$jar = $t->jar;
$jar->set("__Host-intuit-login-planted$_", 'A' x 300) for 1 .. 8;

$r = $t->login($jar, $login . '/tab-2');
is($r->status, 302, 'a login among planted cookies gets in');
is(attempts($jar), 0, 'and the planted ones are gone');

done_testing();
