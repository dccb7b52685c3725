#!/usr/bin/perl

# The promise: "make demo" shows a login within seconds, as any user; another
# program on the port, keys that cannot work, and Ctrl-C are no accident: it says
# what it does about them, and leaves no process and no file behind.
# The attack: what is usual on somebody's machine, who is no root, has 8080 taken,
# and stops the demo before it is up, or after.

use strict;
use warnings;

use Cwd qw(abs_path);
use File::Basename qw(dirname);
use File::Temp qw(tempdir);
use IO::Socket::INET;
use POSIX qw(:sys_wait_h);
use Test::More;
use Time::HiRes qw(sleep);

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit::Port;

my $TOP = dirname(dirname(abs_path(__FILE__)));
my $PATIENCE = 120;

my $uid = $> ? $> : getpwnam 'nobody';
my $root = tempdir('intuit-test-demo-XXXXXX', TMPDIR => 1, CLEANUP => 1);
my $tmp = "$root/tmp";

chmod 0755, $root;
mkdir $tmp or die "$tmp: $!";
chown $uid, -1, $tmp;
chmod 0700, $tmp;

# as where a script has begun the tests in the background
$SIG{INT} = 'IGNORE';

my ($port, $lock) = Test::Intuit::Port::reserve();

# seen by all who come here: signed in nowhere, so the login comes first
{
    my $demo = start(PORT => $port);

    ok($demo->{said}->(qr{ready: +http://localhost:$port/}), 'it is ready');
    like($demo->{text}->(), qr/^Starting nginx and a simulated Intuit on port $port\.$/m,
        'and has said what it does');
    isnt((stat "/proc/$demo->{pid}")[4], 0, 'it is not root\'s');
    like(page($port), qr{^HTTP/1\.1 302 .*^Location: http://localhost:$port/simulated-intuit/}ms,
        'a visitor is led to the simulated Intuit');
    is(scalar(processes($demo->{pid})) >= 3, 1, 'nginx and the simulator run');

    stopped($demo, 'Ctrl-C');
}

# another program has the port
{
    my ($taken, $other) = Test::Intuit::Port::reserve();
    my $socket = listener($taken);
    my $demo = start(PORT => $taken);

    ok($demo->{said}->(qr/ready: +http/), 'a port is taken: it is ready');
    my ($chosen) = $demo->{text}->() =~ /^Port $taken is taken; using (\d+)\.$/m;
    ok($chosen && $chosen != $taken, '... and says on which port');
    like(page($chosen // $taken), qr/^HTTP\/1\.1 302 /, '... where it answers');
    stopped($demo, '... and Ctrl-C');

    # the redirect URI at Intuit has the port in it
    like(failed(PORT => $taken, INTUIT_CLIENT_ID => 'ABc', INTUIT_CLIENT_SECRET => 'Sx'),
        qr{port $taken is taken, .*PORT=\d+ make demo and register http://localhost:\d+/intuit/callback}s,
        'with real keys another port would not do: what to register is said');
}

# Ctrl-C before it is up
{
    my $demo = start(PORT => $port);
    $demo->{said}->(qr/^Starting nginx/m);
    stopped($demo, 'Ctrl-C as soon as it has begun');
}

like(failed(PORT => $port, INTUIT_CLIENT_ID => 'ABc'),
    qr/INTUIT_CLIENT_ID is set and INTUIT_CLIENT_SECRET is not/, 'a key without the other');
like(failed(PORT => $port, INTUIT_CLIENT_ID => 'ABc', INTUIT_CLIENT_SECRET => 'Sx',
    INTUIT_ENVIRONMENT => 'production'),
    qr/production keys cannot sign in at localhost/, 'production keys');
like(failed(PORT => 'http'), qr/PORT is "http", which is no port/, 'a port that is none');

# with keys, where nobody can be asked: a network of its own
SKIP: {
    my @apart = qw(unshare --net);
    my $up = 'ip link set lo up && exec "$@"';

    skip('a network of its own needs root, unshare and ip', 6)
        if $> != 0 || system("unshare --net sh -c 'ip link set lo up' 2> /dev/null");

    my $demo = start({ before => [ @apart, 'sh', '-c', $up, 'sh' ] }, PORT => $port,
        INTUIT_CLIENT_ID => 'ABc', INTUIT_CLIENT_SECRET => 'not-a-secret-of-anybody');

    ok($demo->{said}->(qr/Ctrl-C stops it/), 'with real keys');
    like($demo->{text}->(), qr{developer\.intuit\.com.*Redirect URIs.*^ +http://localhost:$port/intuit/callback$}ms,
        'it prints what to click, and exactly what to enter');
    unlike($demo->{text}->(), qr/not-a-secret|simulated Intuit,/, 'and no secret');
    stopped($demo, '... and Ctrl-C');
}

done_testing();


# As a user who is not root, with an empty directory for what is temporary.
sub start {
    my $o = ref $_[0] ? shift : {};
    my %env = @_;
    my $log = "$root/log";
    my @user = $> ? () : ('setpriv', '--reuid', $uid, '--regid', (getpwuid $uid)[3],
        '--clear-groups');

    unlink $log;
    open my $out, '>', $log or die "$log: $!";

    my $pid = fork // die "fork: $!";

    if (!$pid) {
        # what a terminal's Ctrl-C reaches: a shell cannot trap what was ignored
        # when it began
        setpgrp;
        $SIG{INT} = 'DEFAULT';
        delete @ENV{ grep { /^INTUIT_/ } keys %ENV };
        @ENV{ keys %env } = values %env;
        $ENV{TMPDIR} = $tmp;
        open STDIN, '<', '/dev/null';
        open STDOUT, '>&', $out;
        open STDERR, '>&', $out;
        exec @{ $o->{before} // [] }, @user, "$TOP/t/demo/run.sh" or die "exec: $!";
    }

    my $text = sub { open my $f, '<', $log or return ''; local $/; <$f> // '' };

    my $demo = { pid => $pid, text => $text };

    $demo->{said} = sub {
        my ($pattern) = @_;
        until_true(sub { $text->() =~ $pattern || ended($demo) });
        return $text->() =~ $pattern;
    };

    return $demo;
}

sub ended {
    my ($demo) = @_;

    $demo->{status} //= $? if waitpid($demo->{pid}, WNOHANG) == $demo->{pid};
    return defined $demo->{status};
}

sub until_true {
    my ($true) = @_;

    for (1 .. $PATIENCE * 20) {
        my $value = $true->();
        return $value if $value;
        sleep 0.05;
    }

    return 0;
}

# Four assertions about its end.
sub stopped {
    my ($demo, $name) = @_;
    my $pid = $demo->{pid};

    kill INT => -$pid;
    until_true(sub { ended($demo) });

    is($demo->{status}, 0, "$name ends it");
    like($demo->{text}->(), qr/^Stopped; nothing is left behind\.$/m, '... as it says');
    ok(until_true(sub { !processes($pid) }), '... no process is left')
        or kill KILL => processes($pid);
    is(join(' ', glob "$tmp/*"), '', '... and no file');
}

sub failed {
    my $demo = start(@_);

    until_true(sub { ended($demo) });
    isnt($demo->{status} // 0, 0, 'it does not start');

    return $demo->{text}->();
}

# those of a process group
sub processes {
    my ($group) = @_;

    return grep {
        my ($file, $stat);
        $stat = readline $file if open $file, '<', "/proc/$_/stat";
        $stat //= '';
        $stat =~ /^\d+ \(.*\) ([A-Z]) \d+ (\d+) /s && $2 == $group && $1 ne 'Z';
    } map { m{(\d+)$} } glob '/proc/[0-9]*';
}

sub listener {
    my ($where) = @_;

    return IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => $where,
        Listen => 5, ReuseAddr => 1) // die "port $where: $!";
}

sub page {
    my ($where) = @_;
    my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $where)
        // return "port $where: $!";

    print $socket "GET / HTTP/1.0\r\nHost: localhost:$where\r\nAccept: text/html\r\n"
        . "Sec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\n\r\n";

    local $/;
    return scalar(<$socket>) // '';
}
