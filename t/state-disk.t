#!/usr/bin/perl

# The attack: a disk that is full just when Intuit sends a new refresh token,
# and the old one is dead at once; later one that is read-only.  The promise:
# the old file stays whole, the new token goes on in memory with one [alert],
# is written as soon as there is room, and is there after a crash.
#
# Rows: F-DSK-01 F-DSK-07

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;

plan(skip_all => 'only root can mount a small disk') if $> != 0;

if (!$ENV{TEST_STATE_DISK}) {
    $ENV{TEST_STATE_DISK} = 1;

    plan(skip_all => 'no mount namespaces here')
        if system("unshare -m mount -t tmpfs none /mnt 2>/dev/null");

    exec 'unshare', '-m', $^X, $0, @ARGV;
}

my $t = Test::Intuit->new();

my $REALM = '9130347957983546';
my $API = "/v3/company/-/companyinfo/$REALM";
my $STATE = $t->dir . '/state';

$t->write_secret('secret', 'sim-client-secret');
$t->write_secret('key', join '', map { sprintf '%x', rand 16 } 1 .. 64);

my $conf = <<"CONF";
load_module %%MODULE%%;
error_log %%DIR%%/logs/error.log info;
worker_processes 1;

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

        state_path           %%DIR%%/state;
        encryption_key_file  %%DIR%%/key;
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

$t->allow(qr/\[alert\].*intuit state_path ".*" cannot be used/);

mkdir $STATE, 0700 or die "$STATE: $!";
system('mount', '-t', 'tmpfs', '-o', 'size=64k,mode=0700', 'none', $STATE) == 0 or die;

$t->sim->config(rotate_after => 0);
$t->sim->script({ kind => 'token', times => 1,
    action => { merge => { expires_in => 1 } } });

$t->conf($conf)->start;
$t->signed_in(realm => $REALM);

my ($old) = glob "$STATE/*.state";
my $sealed = slurp($old);

# no room left
open my $filler, '>', "$STATE/filler" or die $!;
$filler->autoflush(1);
1 while syswrite $filler, 'x' x 4096;

my $until = time + 2;
$t->wait_until(sub { time >= $until });

is($t->get($API, -json => 1)->status, 200, 'a refresh on a full disk');
is(used(), current(), 'with the token that Intuit holds valid');
ok($t->wait_log(qr/\[alert\].*intuit state_path ".*" cannot be used \(/),
    'and the log says what is wrong');
is(slurp($old), $sealed, 'the old file is whole');
is(scalar(my @temp = glob "$STATE/*.tmp"), 0, 'nothing half is left');

is($t->get($API, -json => 1)->status, 200, 'and it goes on');
is(refreshes(), 1, 'without asking Intuit again');

close $filler;
unlink "$STATE/filler" or die $!;

ok($t->wait_log(qr/intuit state_path ".*" can be used again/),
    'there is room again');
ok($t->wait_until(sub { !-e $old }), 'and the new token is in its file');

$t->crash;
$t->start;

is($t->get($API, -json => 1)->status, 200, 'which a crash does not undo');
is(used(), current(), 'the token is the same');
is(refreshes(), 1, 'without another refresh');

system('mount', '-o', 'remount,ro', $STATE) == 0 or die;

is($t->signed_in(realm => '4620816365041297150') ? 1 : 0, 1,
    'a login on a read-only disk');
like(($t->check_conf($conf))[1], qr/"state_path" \S+ cannot be written to/,
    'which "nginx -t" names');

$t->stop;
system('umount', $STATE);

done_testing();


sub slurp {
    my ($path) = @_;
    open my $fh, '<:raw', $path or die "$path: $!";
    local $/;
    return unpack 'H*', scalar <$fh>;
}

sub refreshes {
    return scalar grep { $_->{body} =~ /grant_type=refresh_token/ }
        $t->sim->journal(kind => 'token');
}

sub used {
    my @calls = grep { $_->{path} =~ /companyinfo/ }
        $t->sim->journal(kind => 'api');
    return $calls[-1]{headers}{authorization};
}

sub current {
    my ($pair) = grep { $_->{realm} eq $REALM && $_->{access_state} eq 'valid'
        && $_->{state} eq 'active' } $t->sim->tokens;
    return "Bearer $pair->{access_token}";
}
