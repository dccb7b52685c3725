#!/usr/bin/perl

# The attack: whatever can stand where a state file should.  Cut short, with a
# bit flipped, empty, huge, a directory, a symlink, a FIFO, of another user,
# readable for all, renamed: nginx starts without a crash, says which file and
# why, and leaves it exactly as it is, also when the company is connected anew.
# And "nginx -t" changes nothing.
#
# Rows: NGX-S1 F-DSK-03 F-DSK-04

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;

use Digest::SHA qw(sha256_hex);
use POSIX qw(mkfifo);

my $t = Test::Intuit->new();

my $REALM = '9130347957983546';
my $API = "/v3/company/-/companyinfo/$REALM";
my $STATE = $t->dir . '/state';

$t->write_secret('secret', 'sim-client-secret');
$t->write_secret('key', join '', map { sprintf '%x', rand 16 } 1 .. 64);

my $CONF = <<"CONF";
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

        state_path           %%DIR%%/state/;
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

$t->check_conf($CONF);
ok(!-e $STATE, '"nginx -t" makes no directory');

$t->conf($CONF)->start;
$t->signed_in(realm => $REALM);
$t->stop;

my ($FILE) = glob "$STATE/*.state";
my $GOOD = slurp($FILE);
my $LEN = length $GOOD;

sub flipped {
    my ($at, $bit) = @_;
    my $bytes = $GOOD;
    substr($bytes, $at, 1) ^= chr(1 << $bit);
    return $bytes;
}

my $damaged = qr/it was damaged, or no encryption_key_file has its key/;

my @shapes = (
    (map { my $n = $_; ("cut after $n bytes" =>
        sub { put(substr $GOOD, 0, $n) }, $damaged) }
        1, 5, 17, 32, 33, int($LEN / 2), $LEN - 17, $LEN - 1),
    (map { my $at = $_; ("a bit of byte $at flipped" =>
        sub { put(flipped($at, $at % 8)) }, $damaged) }
        0, 1, 5, 17, int($LEN / 2), $LEN - 16, $LEN - 1),
    'a byte more'   => sub { put("$GOOD\n") }, $damaged,
    'garbage'       => sub { put(join '', map { chr rand 256 } 1 .. 4096) }, $damaged,
    'zeros'         => sub { put("\0" x $LEN) }, $damaged,
    'empty'         => sub { put('') }, qr/it is empty/,
    'huge'          => sub { put("\1" x (1 << 20)) }, qr/it is too large/,
    'a directory'   => sub { mkdir $FILE or die }, qr/it is no regular file/,
    'a FIFO'        => sub { mkfifo($FILE, 0600) or die }, qr/it is no regular file/,
    'a symlink'     => sub { $t->write_file('aside', $GOOD);
        symlink $t->dir . '/aside', $FILE or die }, qr/it is a symbolic link/,
    'for all to read' => sub { put($GOOD); chmod 0644, $FILE }, qr/others may read or write it, chmod 0600/,
    ($> == 0 ? ('of another user' =>
        sub { put($GOOD); chown 65534, -1, $FILE }, qr/it belongs to another user/) : ()),
);

while (my ($name, $make, $why) = splice @shapes, 0, 3) {
    unlink $FILE or rmdir $FILE;
    $make->();

    my $before = look($FILE);
    my ($status, $said) = $t->check_conf($CONF);

    is($status, 0, "$name: nginx would start");
    like($said, qr/intuit state file "\Q$FILE\E" is not used, and left as it is: $why/,
        "$name: it says why");
    is(look($FILE), $before, "$name: nothing is changed");
}

# one of them for real, with a new login on top of it
unlink $FILE;
put(flipped(40, 3));
my $before = look($FILE);

$t->conf($CONF)->start;
is($t->get($API, -json => 1)->json->{error}, 'not_connected', 'not connected');
$t->signed_in(realm => $REALM);
is($t->get($API, -json => 1)->status, 200, 'connected anew');

my $newer = (sort glob "$STATE/*.state")[-1];
isnt($newer, $FILE, 'in a later file');
$t->stop;
is(look($FILE), $before, 'the damaged one is still evidence');

# an older generation under a later name is not taken for one
(my $renamed = $newer) =~ s/-\w+\.state$/-00000000000000ff.state/;
rename $newer, $renamed or die;
unlink $FILE;
$t->start;
is($t->get($API, -json => 1)->json->{error}, 'not_connected',
    'a renamed file does not open');

done_testing();


sub put {
    my ($bytes) = @_;
    open my $fh, '>:raw', $FILE or die "$FILE: $!";
    print $fh $bytes;
    close $fh;
    chmod 0600, $FILE;
}

sub slurp {
    my ($path) = @_;
    open my $fh, '<:raw', $path or die "$path: $!";
    local $/;
    return scalar <$fh>;
}

# type, mode, owner, time and content
sub look {
    my ($path) = @_;
    my @stat = (lstat $path)[2, 4, 7, 9];
    return join ' ', @stat, -f _ ? sha256_hex(slurp($path)) : readlink($path) // '';
}
