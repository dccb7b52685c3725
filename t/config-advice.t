#!/usr/bin/perl

# "nginx -t" of a configuration that works says what is to be registered at
# Intuit, to the letter, and warns of what works but should not be.

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;

my $t = Test::Intuit->new(sim => 0);

sub conf {
    my (%o) = @_;

    return <<"CONF";
load_module %%MODULE%%;
error_log %%DIR%%/logs/error.log info;

events {}

http {
    intuit_provider books {
        environment         $o{environment};
        client_id           sim-client-id;
        client_secret_file  %%DIR%%/secret;
        scope               openid email com.intuit.quickbooks.accounting;
        redirect_uri        $o{redirect_uri};
        allow_realm         any;
    }

    server {
        listen 127.0.0.1:%%PORT_8080%%;
        server_name $o{server_name};
        auth_intuit books;

        location / {
            root html;
        }

        location /v3/ {
            intuit_proxy books;
        }
    }
}
CONF
}

my %sandbox = (environment => 'sandbox', server_name => 'localhost',
    redirect_uri => 'http://localhost:8080/intuit/callback');
my $url = 'https://tools.example.com/intuit/callback';
my %production = (environment => 'production', redirect_uri => $url,
    server_name => 'tools.example.com');

$t->write_secret('secret', 'a-secret-of-some-length');

my ($status, $said) = $t->check_conf(conf(%sandbox));

is($status, 0, 'no resolver is needed');
like($said,
    qr{register exactly http://localhost:8080/intuit/callback as .*development},
    'the redirect URI to register is shown, and for which keys');
unlike($said, qr/\[(?:warn|error|emerg)\]/, 'and nothing is wrong');

($status, $said) = $t->check_conf(conf(%production));

is($status, 0, 'the same in production');
like($said, qr{register exactly \Q$url\E as .*production keys},
    'is shown for the production keys');

for my $name (qw(*.example.com .example.com tools.example.* ~^tools\. _
    TOOLS.example.com), 'a.example.org .tools.example.com')
{
    ($status, $said) = $t->check_conf(conf(%production, server_name => $name));
    is($status, 0, "server_name $name takes the redirect URI's host")
        or diag $said;
}

for my $name (qw(*.tools.example.com tools.example.org .example.org www.*
    ols.example.com *.example.com.evil.example))
{
    ($status, $said) = $t->check_conf(conf(%production, server_name => $name));
    isnt($status, 0, "server_name $name does not");
}

chmod 0644, $t->dir . '/secret';

($status, $said) = $t->check_conf(conf(%sandbox));

is($status, 0, 'a secret file that others can read is accepted');
like($said, qr/\[warn\] client_secret_file: .*can be read by everybody, chmod/,
    'with a warning');
unlike($said, qr/a-secret-of/, 'which does not show the secret');

chmod 0600, $t->dir . '/secret';

($status, $said) = $t->check_conf(conf(%sandbox,
    server_name => 'tools.example.com',
    redirect_uri => 'http://tools.example.com/cb'));

is($status, 0, 'plain http to a host name is accepted in the sandbox');
like($said, qr/\[warn\] "redirect_uri" .* is plain http and not localhost/,
    'with a warning');

$t->write_file('include/more.conf', "extra_auth_args &prompt=login;\n");

(my $text = conf(%sandbox)) =~ s/(client_id .*)/$1 include include\/*.conf;/;
($status, $said) = $t->check_conf($text);

is($status, 0, 'a provider may be made of several files') or diag $said;

done_testing();
