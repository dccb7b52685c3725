#!/usr/bin/perl

# The promise: "nginx -t" says what is wrong with intuit_store, and what to do.
# The attack: everything that could be written into it by mistake.

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;

my $t = Test::Intuit->new(sim => 0);

$t->write_secret('client_secret', 'not-a-secret-of-anybody');
$t->write_secret('key', join '', map { sprintf '%x', rand 16 } 1 .. 64);
$t->write_secret('password', 'not-the-password-of-anybody');
$t->write_file('empty', '', 0600);

sub conf {
    my ($store, $provider, $after) = @_;
    $provider //= 'store shared; encryption_key_file %%DIR%%/key;';
    $after //= '';

    return <<"EOC";
load_module %%MODULE%%;
error_log logs/error.log notice;

events {}

http {
    %%TEMP_PATHS%%
    access_log logs/access.log;

    $store

    intuit_provider books {
        environment         sandbox;
        client_id           ABc123;
        client_secret_file  %%DIR%%/client_secret;
        scope               openid email;
        redirect_uri        http://localhost:%%PORT_8080%%/intuit/callback;
        allow_email         any;
        probe               off;
        $provider
    }

    $after

    server {
        listen 127.0.0.1:%%PORT_8080%%;
        server_name localhost;
        auth_intuit books;
    }
}
EOC
}

sub good {
    my ($name, @conf) = @_;
    my ($status, $said) = $t->check_conf(conf(@conf));
    is($status, 0, $name) or diag($said);
}

sub wrong {
    my ($name, $pattern, @conf) = @_;
    my ($status, $said) = $t->check_conf(conf(@conf));
    isnt($status, 0, "$name is refused");
    like($said, $pattern, '... and it is said why');
}

good('the smallest one', 'intuit_store shared { server 127.0.0.1; }');
good('after the provider', '', undef, 'intuit_store shared { server 127.0.0.1; }');
good('one that nobody uses', 'intuit_store shared { server 127.0.0.1:6379 [::1]:6380; }', '');
good('all of it', 'intuit_store shared { server 127.0.0.1:1 127.0.0.1:2; '
    . 'server unix:/nowhere/redis.sock; user nginx; password_file %%DIR%%/password; '
    . 'ssl on; database 15; prefix staging:intuit:; connect_timeout 50ms; '
    . 'read_timeout 50ms; keepalive 2; }');

wrong('no such store', qr/there is no intuit_store "other": define it in the http block, or correct the name in /,
    'intuit_store shared { server 127.0.0.1; }', 'store other; encryption_key_file %%DIR%%/key;');
wrong('two of a name', qr/duplicate intuit_store "shared", the first is in /,
    'intuit_store shared { server 127.0.0.1; } intuit_store shared { server 127.0.0.1; }');
wrong('two for a provider', qr/"store" directive is duplicate/,
    'intuit_store shared { server 127.0.0.1; }', 'store shared; store shared;');
wrong('no key', qr/"store" without "encryption_key_file": put the output of "openssl rand -hex 32" into a file that all hosts have/,
    'intuit_store shared { server 127.0.0.1; }', 'store shared;');

for my $case (
    [ '', qr/intuit_store "shared" needs a "server host:port"/ ],
    [ 'server localhost:0;', qr/invalid port in "server" "localhost:0": write host:port/ ],
    [ 'server nobody.invalid;', qr/host not found in "server" "nobody.invalid"/ ],
    [ 'server localhost:26379;', qr/is a Sentinel, which is not supported \(nor is Redis Cluster\): name the server itself and its replicas/ ],
    [ 'server localhost; user nginx;', qr/has a "user" and no "password_file"/ ],
    [ 'server localhost; password_file %%DIR%%/empty;', qr/"password_file" "\S+empty" is an empty file: put the password into it/ ],
    [ 'server localhost; password_file %%DIR%%/none;', qr/password_file: cannot open / ],
    [ 'server localhost; ssl_trusted_certificate %%DIR%%/empty;', qr/has a "ssl_trusted_certificate" and no "ssl on"/ ],
    [ 'server localhost; database 1024;', qr/has a "database" beyond 1023/ ],
    [ 'server localhost; database x;', qr/invalid number/ ],
    [ 'server localhost; keepalive 0;', qr/has a "keepalive" below 1/ ],
    [ 'server localhost; read_timeout 0;', qr/has a time-out of 0/ ],
    [ 'server localhost; prefix "a b";', qr/has a "prefix" with a blank, brackets, \* or \? in it/ ],
    [ 'server localhost; prefix {a}:;', qr/prefix/ ],
    [ 'server localhost; prefix ' . 'a' x 65 . ';', qr/has a "prefix" of more than 64 bytes/ ],
    [ 'server localhost; cluster on;', qr/unknown directive "cluster"/ ],
    [ 'server localhost; client_id a;', qr/"client_id" directive is not allowed here/ ])
{
    my ($text, $pattern) = @$case;
    wrong("\"$text\"" =~ s/a{65}/a.../r, $pattern, "intuit_store shared { $text }");
}

done_testing;
