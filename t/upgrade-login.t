#!/usr/bin/perl

# A binary upgrade without files: two masters answer on one port, each with a zone
# of its own.  The promise: a login that was begun at the one is ended by either
# (its state is in the browser); somebody whose session is in the other zone is
# asked to sign in, once, and does not go round; and after a step back the first
# one's sessions are as they were.
#
# Rows: F-RLD-05

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;

my $t = Test::Intuit->new();

$t->write_secret('secret', 'sim-client-secret');
$t->write_file('html/index.html', "in\n");

$t->conf(<<'CONF')->start(daemon => 1);
load_module %%MODULE%%;
error_log %%DIR%%/logs/error.log info;
worker_processes 2;
env LD_PRELOAD;
env ASAN_OPTIONS;
env LSAN_OPTIONS;

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
        location / { root %%DIR%%/html; }
    }
}
CONF

my $realm = '9130347957983546';

sub begun {
    my $jar = $t->jar;
    my $r = $t->get('/index.html', -jar => $jar, -browser => 1);
    return [ $jar, $t->consent($jar, $r->header('Location'), realm => $realm) ];
}

sub ended {
    my ($jar, $callback) = @{ $_[0] };
    return $t->get($callback, -jar => $jar, -browser => 1)->status;
}

my $old = $t->signed_in(path => '/index.html', realm => $realm);
my @begun = map { begun() } 1 .. 20;
my ($first, @first) = ($t->pid, $t->workers);

ok($t->upgrade, 'USR2: there are two masters');

my %status;
$status{ended($_)}++ for @begun[0 .. 9];
is_deeply(\%status, { 302 => 10 }, 'logins that were begun before end well');

# while both answer, a request may come to the zone that does not know its session
my $pages = 0;

for (1 .. 60) {
    my $r = $t->get('/index.html', -jar => $old, -json => 1);
    $pages++ if $r->status == 200;
}
cmp_ok($pages, '>', 0, "of 60 requests $pages are served by the one that knows");

# -- the first one's workers end, its master stays ----------------------------------

kill 'WINCH', $first;
ok($t->wait_until(sub { !grep { -e "/proc/$_/exe" } @first }),
    'WINCH: the first one has no workers any more');

is($t->get('/index.html', -jar => $old, -json => 1)->status, 401,
    'the second does not know its sessions');
is($t->login($old, '/index.html', realm => $realm)->status, 302, 'a login');
is($t->get('/index.html', -jar => $old)->body, "in\n", '... and one is in');

%status = ();
$status{ended($_)}++ for @begun[10 .. 19];
is_deeply(\%status, { 302 => 10 }, 'logins that the first began end at the second');

# -- back again -------------------------------------------------------------------------

my ($second, @second) = ($t->pid, $t->workers);
my $new = begun();

kill 'HUP', $first;
ok($t->wait_until(sub { local $t->{pid} = $first; my @now = $t->children;
    @now == 2 }),
    'HUP: the first one has workers again');
kill 'QUIT', $second;
ok($t->wait_until(sub { !grep { -e "/proc/$_/exe" } $second, @second }),
    'QUIT: the second one has ended');

$t->{pid} = $first;
$t->{workers} = [ $t->children ];
delete $t->{retiring};

is(ended($new), 302, 'a login that the second began ends at the first');
is($t->get('/index.html', -jar => $new->[0])->body, "in\n", '... and one is in');

done_testing();
