#!/usr/bin/perl

# The attack: very many people sign in at once while Intuit takes its time.  The
# promise: all of them get in, each as himself, and what a login takes of memory
# while it waits is little.
#
# Rows: F-ABU-05

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;

my $N = $ENV{TEST_ALL} ? 1000 : 200;
my @users = qw(ada@example.com bob@example.com mallory@evil.example);

my $t = Test::Intuit->new();

$t->write_secret('secret', 'sim-client-secret');
$t->write_file('html/index.html', "in\n");

$t->conf(<<'CONF')->start;
load_module %%MODULE%%;
error_log %%DIR%%/logs/error.log info;
worker_processes 2;
worker_rlimit_nofile 16384;

events { worker_connections 8192; }

http {
    access_log %%DIR%%/logs/access.log;
    keepalive_requests 100000;

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
        login_timeout       1h;
        read_timeout        600s;
    }

    server {
        listen 127.0.0.1:%%PORT_8080%% backlog=4096;
        auth_intuit books;

        location / {
            root %%DIR%%/html;
            add_header X-User $intuit_claim_email;
        }
    }
}
CONF

sub memory {
    my $sum = 0;

    for my $pid ($t->workers) {
        open my $fh, '<', "/proc/$pid/smaps_rollup" or return 0;
        $sum += /^Private_Dirty:\s+(\d+)/ ? $1 : 0 while <$fh>;
    }

    return $sum;
}

# the keys are read, and the workers' memory is what it is
$t->signed_in(path => '/index.html', realm => '9130347957983546') for 1 .. 5;

my @logins;

for my $n (0 .. $N - 1) {
    my $jar = $t->jar;
    my $r = $t->get('/index.html', -jar => $jar, -browser => 1);
    my $callback = $t->consent($jar, $r->header('Location'),
        realm => '9130347957983546', user => $users[$n % @users]);

    push @logins, { jar => $jar, path => $callback, user => $users[$n % @users],
        cookie => $jar->header_for($callback) };
}

$t->sim->control('POST', '/reset', { only => [ 'journal' ] });
$t->sim->script({ kind => 'token', times => -1, action => { barrier => 'all' } });

my $before = memory();

for my $login (@logins) {
    $login->{c} = $t->connect(timeout => 300);
    $login->{c}->send("GET $login->{path} HTTP/1.1\r\nHost: localhost\r\n"
        . "Accept: text/html\r\nCookie: $login->{cookie}\r\n\r\n");
}

$t->sim->parked('all', $N);
my $each = (memory() - $before) / $N;

$t->sim->release('all', open => 1);

my (%status, @wrong);

for my $login (@logins) {
    my $r = $login->{c}->response;

    $status{$r ? $r->status : 0}++;
    $login->{c}->close;
    $login->{jar}->take($r) if $r;

    my $who = $t->get('/index.html', -jar => $login->{jar})->header('X-User');
    push @wrong, "$login->{user} is " . ($who // 'nobody')
        if ($who // '') ne $login->{user};
}

is_deeply(\%status, { 302 => $N }, "$N people at once sign in");
is(join("\n", @wrong), '', '... each as himself');
cmp_ok($each, '<', 32, sprintf '... a login that waits takes %.1f KB', $each)
    if Test::Intuit::variant() ne 'asan';

$t->sim->control('POST', '/reset', { only => [ 'journal' ] });

done_testing();
