#!/usr/bin/perl

# The promise: nginx needs no more rights with this module than without: whoever
# names his own logs and temporary directories needs none of root's.
# The attack: nginx started by somebody who is not root, in a container whose
# /var is empty; the module's own configurations, for its calls to Intuit and to
# the store, would open nginx's default files and make its default directories.

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;

my $t = Test::Intuit->new();

$t->write_secret('secret', 'sim-client-secret');
$t->write_secret('key', '7a' x 32);

$t->conf(<<'CONF')->start;
load_module %%MODULE%%;
error_log %%DIR%%/logs/error.log info;

events {}

http {
    %%TEMP_PATHS%%
    access_log %%DIR%%/logs/access.log;

    intuit_store shared {
        server  127.0.0.1:%%PORT_6379%%;
    }

    intuit_provider books {
        environment          sandbox;
        config_url           %%SIM%%/.well-known/openid_sandbox_configuration;
        api_url              %%SIM%%;
        client_id            sim-client-id;
        client_secret_file   %%DIR%%/secret;
        encryption_key_file  %%DIR%%/key;
        scope                openid email com.intuit.quickbooks.accounting;
        redirect_uri         http://localhost:%%PORT_8080%%/intuit/callback;
        allow_realm          9130347957983546;
        store                shared;
        probe                off;
    }

    server {
        listen 127.0.0.1:%%PORT_8080%%;
        auth_intuit books;

        location /v3/company/ {
            intuit_proxy books;
        }
    }
}
CONF

my $dir = $t->dir;
my @open = grep { m{^/} && !m{^/dev/|^\Q$dir\E/} }
    map { readlink // () } glob '/proc/' . $t->pid . '/fd/*';

is("@open", '', 'no file of nginx\'s default configuration is open');
ok(scalar(grep { (readlink // '') eq "$dir/logs/error.log" }
    glob '/proc/' . $t->pid . '/fd/*'), '... and those that are named are seen');

$t->stop;

SKIP: {
    skip('only root can be somebody else', 2) if $> != 0;

    my $alone = 'mount -t tmpfs none /var/lib && mount -t tmpfs none /var/log';

    skip('no namespaces here', 2)
        if system('unshare', '--mount', 'sh', '-c', "{ $alone; } 2> /dev/null");

    my $nobody = getpwnam 'nobody';
    system("chown -R $nobody $dir") == 0 or die 'chown';

    my @command = grep { !/^user / } map { s/\buser root; ?//r }
        $t->command('nginx.conf', '-t');
    my $said = '';

    open my $run, '-|', 'unshare', '--mount', 'sh', '-c', "$alone && exec \"\$@\" 2>&1",
        'sh', 'setpriv', '--reuid', $nobody, '--clear-groups', @command or die "unshare: $!";
    $said .= $_ while <$run>;
    close $run;

    is($?, 0, 'nobody can start it, with nothing in /var') or diag("@command\n$said");
    unlike($said, qr/\[emerg\]|denied/, 'and nothing is missed');
}

done_testing();
