#!/usr/bin/perl

# Twenty reloads while browsers sign in without a pause: no more requests fail
# than at a plain location beside it, and no session is lost.
#
# Rows: F-RLD-01

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;
use POSIX ();

my $t = Test::Intuit->new();

$t->write_secret('secret', 'sim-client-secret');
$t->write_file('html/index.html', "the tool\n");
$t->write_file('html/plain.html', "plain\n");

$t->conf(<<'CONF')->start;
load_module %%MODULE%%;
error_log %%DIR%%/logs/error.log error;
worker_processes 2;

events {}

http {
    access_log off;

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
        root %%DIR%%/html;
        auth_intuit books;

        location = /plain.html {
            auth_intuit off;
        }
    }
}
CONF

# Calls the code until told to stop, in a process of its own, and writes down
# how often it was called and what it said: '' or why it failed.
sub keep_on {
    my ($name, $code, $end) = @_;
    my $pid = fork // die "fork: $!";

    return $pid if $pid;

    my ($count, @failed) = (0);

    while (!-e $t->dir . '/enough') {
        my $why = eval { $code->() } // "died: $@";
        $count++;
        push @failed, $why if $why ne '';
    }

    my @lost = $end ? $end->() : ();

    $t->write_file($name, join "\n", $count, scalar @lost, @failed);
    POSIX::_exit(0);
}

my @jars;

my $login = sub {
    my $jar = $t->jar;
    my $r = $t->login($jar, '/index.html', realm => '9130347957983546');

    return 'login: ' . $r->status if $r->status != 302;

    $r = $t->get('/index.html', -jar => $jar);
    return 'page: ' . $r->status if $r->status != 200;

    push @jars, $jar;
    return '';
};

my $lost = sub {
    return grep { $t->get('/index.html', -jar => $_)->status != 200 } @jars;
};

my $plain = sub {
    my $r = $t->get('/plain.html');
    return $r->status == 200 ? '' : 'plain: ' . $r->status;
};

my @pids = (keep_on('plain', $plain), map { keep_on($_, $login, $lost) }
    qw(login-a login-b));

my $reloaded = 0;
$reloaded += $t->reload() ? 1 : 0 for 1 .. 20;

$t->write_file('enough', '');
waitpid $_, 0 for @pids;

is($reloaded, 20, 'twenty reloads');

my ($plain_count, undef, @plain_failed) = split /\n/, $t->read_file('plain');

for my $name (qw(login-a login-b)) {
    my ($count, $lost, @failed) = split /\n/, $t->read_file($name);

    cmp_ok($count, '>', 10, "$name: there were logins");
    cmp_ok(scalar @failed, '<=', scalar @plain_failed,
        "$name: no more requests failed than of a plain location")
        or diag "@failed; plain: @plain_failed";
    is($lost, 0, "$name: no session was lost");
}

done_testing();
