#!/usr/bin/perl

# The promise: what every test asserts at its end can fail.
# The attack: a harness that looks at nothing, and so is always content.
#
# Every case below runs a whole little test of its own, with a plain nginx
# and one thing planted in it, and looks at the assertion that has to fail.
#
# Rows: NGX-C1 NGX-C2

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Intuit;

use File::Temp;


my $CONF = <<'EOC';
worker_processes 2;
error_log logs/error.log debug;

events {}

http {
    %%TEMP_PATHS%%
    access_log logs/access.log;

    server {
        listen 127.0.0.1:%%PORT_8080%%;

        location / {
            add_header Set-Cookie "session=a-cookie-of-some-length; Path=/";
            return 200 "hello";
        }
    }
}
EOC

my @ASSERTIONS = ('nginx ended cleanly', 'no worker died',
    'no [alert], no [emerg]', 'no report of a sanitizer',
    'no secret in the logs');

# what is planted, by the one assertion that it has to break
my @CASES = (
    [ 'nothing', [], q{} ],

    [ 'a killed worker', [ 'no worker died', 'no [alert], no [emerg]' ], q{
        my ($pid) = $t->workers;
        kill 'KILL', $pid;
        $t->wait_log(qr/exited on signal 9/);
    } ],

    [ 'a killed worker that the test has announced', [],
        q{ $t->kill_worker; } ],

    [ 'a reload', [], q{ $t->reload or die; } ],

    [ 'a master that is killed', [ 'nginx ended cleanly' ], q{
        my @workers = $t->workers;
        $t->stop(signal => 'KILL');
        kill 'TERM', @workers;
    } ],

    [ 'an alert', [ 'no [alert], no [emerg]' ], q{
        plant('error.log', '2026/01/01 00:00:00 [alert] 1#1: a stone');
    } ],

    [ 'an alert that the test has announced', [], q{
        $t->allow(qr/a stone/);
        plant('error.log', '2026/01/01 00:00:00 [alert] 1#1: a stone');
    } ],

    [ 'a report of AddressSanitizer', [ 'no report of a sanitizer' ], q{
        plant('asan.log.77', '==77==ERROR: AddressSanitizer: overflow');
    } ],

    [ 'a report of UBSan', [ 'no report of a sanitizer' ], q{
        plant('stderr.log', 'src/x.c:7:9: runtime error: shift');
    } ],

    [ 'an access token in access.log', [ 'no secret in the logs' ], q{
        $t->get('/?t=' . $t->sim->issue->{access_token});
    } ],

    [ 'a refresh token in error.log, after a reset', [
        'no secret in the logs' ], q{
        my $token = $t->sim->issue->{refresh_token};
        $t->sim->reset;
        plant('error.log', "2026/01/01 00:00:00 [info] 1#1: *1 $token");
    } ],

    [ 'the client secret in a debug line of ours', [
        'no secret in the logs' ], q{
        plant('error.log', '2026/01/01 00:00:00 [debug] 1#1: *1 '
            . 'intuit secret "' . $t->sim->{client_secret} . '"');
    } ],

    [ 'the same in a debug line of nginx', [], q{
        plant('error.log', '2026/01/01 00:00:00 [debug] 1#1: *1 '
            . 'http header: "X: ' . $t->sim->{client_secret} . '"');
    } ],

    [ 'the same in a debug entry of nginx that has many lines', [], q{
        plant('error.log', '2026/01/01 00:00:00 [debug] 1#1: *1 HTTP/1.1 '
            . "302\n" . 'X: ' . $t->sim->{client_secret} . "\nY: z");
    } ],

    [ 'the same in one of ours', [ 'no secret in the logs' ], q{
        plant('error.log', '2026/01/01 00:00:00 [debug] 1#1: *1 intuit '
            . "asks\n" . 'X: ' . $t->sim->{client_secret});
    } ],

    [ 'the same on standard error', [ 'no secret in the logs' ], q{
        plant('error.log', '2026/01/01 00:00:00 [debug] 1#1: *1 last');
        plant('stderr.log', 'X: ' . $t->sim->{client_secret});
    } ],

    [ 'a cookie in error.log', [ 'no secret in the logs' ], q{
        my $jar = $t->jar;
        $t->get('/', -jar => $jar);
        plant('error.log', '2026/01/01 00:00:00 [warn] 1#1: *1 "'
            . $jar->get('session') . '"');
    } ],

    [ 'an authorization code in access.log', [ 'no secret in the logs' ], q{
        my $location = $t->sim->authorize(url => '/connect/oauth2?'
            . 'client_id=sim-client-id&response_type=code&scope=openid'
            . '&state=xyz&redirect_uri=http%3A%2F%2Flocalhost%2Fcallback');
        my ($query) = $location =~ /(\?.*)/;
        $t->get("/$query");
    } ],
);


my $dir = File::Temp->newdir;

for my $case (@CASES) {
    my ($what, $expected, $code) = @$case;

    open my $script, '>', "$dir/case.pl" or die $!;
    print $script <<EOS;
use lib '$FindBin::Bin/lib';
use Test::Intuit;

my \$t = Test::Intuit->new;

sub plant {
    my (\$log, \$line) = \@_;
    open my \$fh, '>>', \$t->dir . "/logs/\$log" or die;
    print \$fh "\$line\\n";
}

\$t->conf(<<'END_OF_CONF');
${CONF}END_OF_CONF
\$t->start;
\$t->get('/')->status == 200 or die;
$code;
done_testing;
EOS
    close $script;

    my $tap = `$^X $dir/case.pl 2>&1`;
    my $status = $? >> 8;

    my @failed = grep { $tap =~ /^not ok \d+ - \Q$_\E$/m } @ASSERTIONS;
    my @passed = grep { $tap =~ /^ok \d+ - \Q$_\E$/m } @ASSERTIONS;

    is("@failed", "@$expected", "$what: what fails") or diag($tap);
    is(@failed + @passed, @ASSERTIONS, "$what: everything is asserted");
    is($status, scalar @$expected, "$what: exit status");
}


# a test that ends before its assertions is no success

{
    open my $script, '>', "$dir/case.pl" or die $!;
    print $script <<EOS;
use lib '$FindBin::Bin/lib';
use Test::Intuit;
my \$t = Test::Intuit->new(sim => 0);
\$t->conf(<<'END_OF_CONF');
${CONF}END_OF_CONF
\$t->start;
ok(1);
print STDERR "nginx ", \$t->pid, "\\n";
exit 0;
EOS
    close $script;

    my $tap = `$^X $dir/case.pl 2>&1`;
    my ($pid) = $tap =~ /^nginx (\d+)$/m;

    isnt($? >> 8, 0, 'a test without done_testing fails');
    ok($pid && !kill(0, $pid), 'and leaves no nginx behind');
}

done_testing;
