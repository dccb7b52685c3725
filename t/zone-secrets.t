#!/usr/bin/perl

# The attack: a copy of the shared zone, as a core file or a debugger brings it.
# The promise: no cookie that would open a session is in it, nor what a login or
# its callback is recognised by: of these it has hashes only.
#
# Rows: CK-02

use FindBin;
use lib "$FindBin::Bin/lib";
use MIME::Base64 qw(decode_base64url);
use Test::Intuit;

plan(skip_all => 'only root reads the memory of others') if $> != 0;

my $t = Test::Intuit->new();

$t->write_secret('secret', 'sim-client-secret');
$t->write_file('html/index.html', "in\n");

$t->conf(<<'CONF')->start;
load_module %%MODULE%%;
error_log %%DIR%%/logs/error.log info;
worker_processes 1;

events {}

http {
    access_log %%DIR%%/logs/access.log;
    intuit_shared_zone zone=intuit:1m;

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

# all of the worker's memory that it shares and that has no file
sub zone {
    my ($pid) = $t->workers;
    my $bytes = '';

    open my $maps, '<', "/proc/$pid/maps" or die "maps: $!";
    open my $mem, '<:raw', "/proc/$pid/mem" or die "mem: $!";

    while (<$maps>) {
        my ($from, $to) = m{^(\w+)-(\w+) rw-s .* /dev/zero} or next;
        no warnings 'portable';
        sysseek $mem, hex $from, 0 or die "mem: $!";
        sysread $mem, $bytes, hex($to) - hex($from), length $bytes
            or die "mem: $!";
    }

    return $bytes;
}

my (@jars, @states);

for (1 .. 3) {
    my $jar = $t->jar;
    my $r = $t->get('/index.html', -jar => $jar, -browser => 1);
    my $callback = $t->consent($jar, $r->header('Location'),
        realm => '9130347957983546');

    push @states, $callback =~ /[?&](?:state|code)=([^&]+)/g;
    $t->get($callback, -jar => $jar, -browser => 1);
    push @jars, $jar;
}

my $zone = zone();

cmp_ok(length $zone, '>=', 1 << 20, 'the zone is read');
cmp_ok(index($zone, 'ada@example.com'), '>=', 0, 'it knows who is signed in');

for my $jar (@jars) {
    my $cookie = $jar->get('__Host-intuit');

    is($t->get('/index.html', -jar => $jar)->body, "in\n", 'a cookie opens');
    is(index($zone, $cookie), -1, '... and is not in the zone');
    is(index($zone, decode_base64url($cookie)), -1, '... nor are its bits');
}

is(scalar(grep { index($zone, $_) >= 0 } @states), 0,
    'no code and no state is there');
is(index($zone, 'sim-client-secret'), -1, 'nor is the client secret');

done_testing();
