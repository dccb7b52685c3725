#!/usr/bin/perl

# A company that was connected once stays connected: after a restart, after
# everything was killed at once, and after a new encryption key, a program
# without a browser goes on with the token that Intuit gave last.
# The attack: a look at the files.  Nothing of a token, nor the company's
# number, is in them in clear, and nobody but the workers' user reads them.
#
# Rows: F-DSK-04

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;

my $t = Test::Intuit->new();

my $REALM = '9130347957983546';
my $API = "/v3/company/-/companyinfo/$REALM";
my $STATE = $t->dir . '/state';

# the workers are not who starts nginx, as in production
my $USER = $> == 0 && defined getpwnam 'www-data' ? 'user www-data;' : '';

$t->write_secret('secret', 'sim-client-secret');
$t->write_secret('first.key', key());
$t->write_secret('second.key', key());

sub key {
    return join '', map { sprintf '%x', rand 16 } 1 .. 64;
}

sub configured {
    my ($keys) = @_;

    return $t->conf(<<"CONF");
$USER
load_module %%MODULE%%;
error_log %%DIR%%/logs/error.log info;
worker_processes 2;

events {}

http {
    %%TEMP_PATHS%%
    access_log %%DIR%%/logs/access.log;

    intuit_limit off;

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

        state_path          %%DIR%%/state;
        $keys
    }

    server {
        listen 127.0.0.1:%%PORT_8080%%;

        location / {
            auth_intuit books;
            root %%DIR%%/html;
        }

        location /v3/company/ {
            intuit_proxy books realm=$REALM;
        }
    }
}
CONF
}

my $FIRST = 'encryption_key_file %%DIR%%/first.key;';
my $SECOND = 'encryption_key_file %%DIR%%/second.key;';

sub files { return my @files = glob "$STATE/*.state" }

sub slurp {
    my ($path) = @_;
    open my $fh, '<:raw', $path or die "$path: $!";
    local $/;
    return scalar <$fh>;
}

sub content { return join '', map { "$_\n" . slurp($_) } glob "$STATE/{,.}*[a-z]" }

sub refreshes {
    return scalar grep { $_->{body} =~ /grant_type=refresh_token/ }
        $t->sim->journal(kind => 'token');
}

# the next token's life ends, for the gateway, in a second
sub short {
    $t->sim->script({ kind => 'token', times => 1,
        action => { merge => { expires_in => 1 } } });
}

sub over {
    my $until = time + 2;
    $t->wait_until(sub { time >= $until });
}


configured($FIRST)->start;
short();
$t->signed_in(realm => $REALM);

my @files = files();
is(scalar @files, 1, 'a file for the connection');
is((stat $files[0])[2] & 07777, 0600, 'for the workers\' user alone');
is((stat $STATE)[2] & 07777, 0700, 'in a directory of its own');

over();
is($t->get($API, -json => 1)->status, 200, 'refreshed');
is(refreshes(), 1, 'once');

@files = files();
is(scalar @files, 1, 'the older file is gone');

my $text = content();
unlike($text, qr/$REALM/, 'no company in clear');
for my $token ($t->sim->tokens) {
    unlike($text, qr/\Q$token->{access_token}\E|\Q$token->{refresh_token}\E/,
        'no token in clear');
}

$t->stop;
$t->start;
is($t->get($API, -json => 1)->status, 200, 'connected after a restart');
is(refreshes(), 1, 'with the token that was there');

# what a writer that was killed has left
$t->write_file('state/' . ($files[0] =~ m{([^/]+)-\w+\.state$})[0] . '.tmp', 'x');

$t->crash;
$t->start;
is($t->get($API, -json => 1)->status, 200, 'and after a kill of everything');
is(scalar(() = glob "$STATE/*.tmp"), 0, 'which leaves nothing half');

# a new key, which seals from now on; the old one opens
$t->stop;
configured("$SECOND $FIRST")->start;
is($t->get($API, -json => 1)->status, 200, 'and with a new key');

short();
$t->signed_in(realm => $REALM);
$t->stop;

configured($SECOND)->start;
is($t->get($API, -json => 1)->status, 200,
    'which is enough once something was saved');

# the wrong key: nothing can be read, and nothing is touched
$t->stop;
my %sealed = map { $_ => slurp($_) } files();
configured($FIRST)->start;

is($t->get($API, -json => 1)->json->{error}, 'not_connected',
    'without its key there is no connection');
ok($t->wait_log(qr/intuit state file ".*" is not used, and left as it is: .*no encryption_key_file has its key/),
    'and a line says why');

$t->signed_in(realm => $REALM);
is($t->get($API, -json => 1)->status, 200, 'it can be connected anew');

is(scalar(files()), 2, 'in a file of its own');
ok(slurp($_) eq $sealed{$_}, 'the old one is as it was') for keys %sealed;

done_testing();
