#!/usr/bin/perl

# A session ends on the server, whatever the browser keeps: an hour after its
# last use, and eight hours after the login however much it is used.  The
# clock of nginx is turned with libfaketime.
#
# Rows: CK-09 F-CLK-02

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;

my ($faketime) = glob '/usr/lib/*/faketime/libfaketime.so.1';

plan(skip_all => 'libfaketime is not installed') if !$faketime;
plan(skip_all => 'not with AddressSanitizer')
    if ($ENV{TEST_VARIANT} // '') eq 'asan';

my $t = Test::Intuit->new();

$t->write_secret('secret', 'sim-client-secret');
$t->write_file('html/index.html', "the tool\n");

$t->conf(<<'CONF');
load_module %%MODULE%%;
error_log %%DIR%%/logs/error.log info;
env FAKETIME_TIMESTAMP_FILE;
env FAKETIME_NO_CACHE;
env FAKETIME_DONT_FAKE_MONOTONIC;

events {}

http {
    access_log %%DIR%%/logs/access.log;

    intuit_provider books {
        environment           sandbox;
        config_url            %%SIM%%/.well-known/openid_sandbox_configuration;
        api_url               %%SIM%%;
        client_id             sim-client-id;
        client_secret_file    %%DIR%%/secret;
        scope                 openid email com.intuit.quickbooks.accounting;
        redirect_uri          http://localhost:%%PORT_8080%%/intuit/callback;
        allow_realm           any;
        probe                 off;
    }

    server {
        listen 127.0.0.1:%%PORT_8080%%;
        auth_intuit books;
        root %%DIR%%/html;
    }
}
CONF

my $minutes = 0;

# The file is replaced at once: nginx must not read half of it.
sub clock {
    $minutes += $_[0];
    $t->write_file('clock.new', "+${minutes}m\n");
    rename $t->dir . '/clock.new', $t->dir . '/clock' or die "clock: $!";
}

clock(0);

{
    local @ENV{qw(LD_PRELOAD FAKETIME_TIMESTAMP_FILE FAKETIME_NO_CACHE
        FAKETIME_DONT_FAKE_MONOTONIC)} = ($faketime, $t->dir . '/clock', 1, 1);
    $t->start;
}

sub in {
    my ($jar) = @_;
    return $t->get('/index.html', -json => 1, -jar => $jar)->status;
}

my ($idle, $busy) = map { $t->signed_in(realm => '9130347957983546',
    path => '/index.html') } 1 .. 2;

is(in($idle), 200, 'signed in');

# every use counts
for (1 .. 3) {
    clock(59);
    is(in($idle), 200, "used again after 59 minutes");
    is(in($busy), 200, '... and in the other browser');
}

clock(61);
is(in($idle), 401, 'not used for 61 minutes: the session has ended');
is(in($idle), 401, '... for good');

clock(-61);
is(in($busy), 200, 'another one has not');

while ($minutes + 50 < 8 * 60) {
    clock(50);
    is(in($busy), 200, "used after $minutes minutes in all");
}

clock(8 * 60 - $minutes - 1);
is(in($busy), 200, 'used a minute before the end');

clock(2);
is(in($busy), 401, 'eight hours after the login the session has ended');

my $r = $t->get('/intuit/session', -jar => $busy);
is($r->status, 401, '... the session document says so');

$t->sim->config(clock_offset => $minutes * 60);
$r = $t->login($busy, '/index.html', realm => '9130347957983546');
is($r->status, 302, '... and a new login works');
is(in($busy), 200, '... for the same browser');

done_testing();
