#!/usr/bin/perl

# The promise: without "resolver" the name servers are those of the system, as
# resolv.conf(5) has them: IPv4 and IPv6, the first three, 127.0.0.1 if there are
# none.
# The attack: lines that are no addresses, or addresses of one link only.  nginx
# starts all the same, and asks the others.
#
# Rows: F-NET-01

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;

plan(skip_all => 'needs root, for an /etc/resolv.conf of its own') if $> != 0;
plan(skip_all => 'unshare does not work here')
    if system('unshare -m true 2>/dev/null');
plan(skip_all => 'not with AddressSanitizer')
    if ($ENV{TEST_VARIANT} // '') eq 'asan';

my $conf = <<'CONF';
load_module %%MODULE%%;
error_log %%DIR%%/logs/error.log info;
worker_processes 1;

events {}

http {
    %%TEMP_PATHS%%
    access_log off;

    intuit_provider books {
        environment         sandbox;
        config_url          https://intuit.test:%%SIM_PORT%%/.well-known/openid_sandbox_configuration;
        api_url             %%SIM%%;
        client_id           sim-client-id;
        client_secret_file  %%DIR%%/secret;
        scope               openid email;
        redirect_uri        http://localhost:%%PORT_8080%%/intuit/callback;
        allow_email         any;
        probe               off;
        connect_timeout     1s;
    }

    server {
        listen 127.0.0.1:%%PORT_8080%%;

        location / {
            auth_intuit books;
            root %%DIR%%/html;
        }
    }
}
CONF

# what resolv.conf has, who is asked, who is not
for (
    [ 'an address', "# ours\nsearch x\nnameserver 127.0.0.9 # old\n", '127.0.0.9' ],
    [ 'an address of IPv6', "nameserver\t::1\noptions edns0\n", '[::1]' ],
    [ 'nothing', '', '127.0.0.1' ],
    [ 'what is no address', "nameserver\nnameserver  \nnameserver what?\n"
        . "nameserver fe80::1%eth0\nnameservers 127.0.0.7\nnameserver 127.0.0.8",
        '127.0.0.8' ],
) {
    my ($name, $text, $server) = @$_;
    my $t = Test::Intuit->new(label => $name);

    $t->write_secret('secret', 'sim-client-secret');
    my $file = $t->write_file('resolv.conf', $text);

    # its own mounts, then nginx
    my $real = Test::Intuit::nginx();
    local $ENV{TEST_NGINX} = $t->write_file('nginx.sh', "#!/bin/sh\nexec unshare -m"
        . " sh -c 'mount --bind $file /etc/resolv.conf && exec $real \"\$\@\"'"
        . " nginx \"\$\@\"\n", 0755);

    my ($status, $said) = $t->check_conf($conf);
    is($status, 0, "$name: nginx takes it") or diag($said);

    $t->start;
    $t->get('/', -browser => 1);

    ok($t->wait_log(qr/resolver: \Q$server\E:53/), "$name: $server is asked")
        or diag($t->log_lines);
    is(scalar(grep { /resolver: (?!\Q$server\E:53)/ } $t->log_lines), 0,
        "$name: and nobody else");
    $t->stop;
}

done_testing();
