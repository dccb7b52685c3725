#!/usr/bin/perl

# The promise: what "make bench" says is worth reading.  It reads the reports of
# other programs as they are, its sums are right, its load generator counts
# exactly, and every contender is a configuration that nginx takes.
# The attack: a report that is none, a failure that counts as an answer, a
# count that is wrong by a few, a contender with a mistake in it.

use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/bench/lib";
use Test::Intuit;

use JSON::PP ();

use Bench::Apache;
use Bench::Contenders;
use Bench::Figures;
use Bench::Goals;
use Bench::Instructions;
use Bench::Report;

my $t = Test::Intuit->new(sim => 0);

# a sub of Bench::Figures by its name
my %F = map { $_ => Bench::Figures->can($_) } qw(median medians ratios order
    wrk stub_status agree schedstat pss annotate per_request above
    summary thousands table);


# -- goals --------------------------------------------------------------------

my @round = map { { rate => 1000 * $_, cpu => 50 } } 1 .. 3;
my @goals = Bench::Goals::rows({
    pinned => { data => { limit => \@round, 'limit-again' => \@round,
        'signed-in' => [ map { { rate => 980 * $_, cpu => 50.5 } } 1 .. 3 ] } },
    store => { data => { sessions => 1000000, lookup_few_ir => 2000,
        lookup_many_ir => 2100, cost => 512, own_cost => 2049 } },
    reload => { data => { sessions => 1000000,
        plain => { failed => 1, p99 => 3000, quiet_p99 => 2000 },
        ours => { failed => 1, p99 => 14000, quiet_p99 => 2000 } } },
});

is(join(' ', map { $_->[3] ? 'yes' : 'no' } @goals),
    'no yes yes yes no yes no', 'goals are met or not');
is($goals[0][2], '0.980', '... by what was measured');
is_deeply([ Bench::Goals::rows({}) ], [], '... and of nothing there are none');


# -- sums ---------------------------------------------------------------------

is($F{median}->(3, 1, 2), 2, 'the median of three');
is($F{median}->(4, 1, 3, 2), 2.5, 'of four');
is($F{median}->(9, undef, 7), 8, 'what is not there does not count');
is($F{median}->(), undef, 'of nothing');

is_deeply($F{medians}->([ { a => 1, b => 5 }, { a => 3, b => 5 },
    { a => 100, b => 6 } ]), { a => 3, b => 5 }, 'medians by name');

# the second round was slow for both: its ratio is as good as any
is_deeply([ $F{ratios}->([ { r => 90 }, { r => 9 }, { r => 80 } ],
    [ { r => 100 }, { r => 10 }, { r => 100 } ], 'r') ], [ 0.9, 0.8, 0.9 ],
    'ratios are taken round by round');
is_deeply([ $F{ratios}->([ { r => 1 } ], [ { r => 0 } ], 'r') ], [],
    'no ratio to nothing');

is_deeply([ map { join '', $F{order}->($_, qw(a b c)) } 0 .. 2 ],
    [ qw(abc cba abc) ], 'rounds go there and back');

is($F{thousands}->(1234567), '1,234,567', 'thousands');
is($F{thousands}->(-1234.4), '-1,234', 'below zero');


# -- wrk ----------------------------------------------------------------------

my $report = <<'END';
Running 1s test @ http://127.0.0.1:8080/
  1 threads and 32 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     2.11ms    1.02ms  20.31ms   91.00%
    Req/Sec    15.86k     1.20k   17.00k    80.00%
  Latency Distribution
     50%  980.00us
     75%    2.20ms
     90%    3.10ms
     99%    1.02s
  15900 requests in 1.10s, 5.59MB read
Requests/sec:  14454.55
Transfer/sec:      5.08MB
END

is_deeply($F{wrk}->($report), { requests => 15900, seconds => 1.1,
    rate => 14454.55, p50 => 980, p99 => 1_020_000, failed => 0, socket => 0 },
    'a report of wrk, in microseconds');

my $bad = $report =~ s/^Requests/  Socket errors: connect 1, read 2, write 0, timeout 4\n  Non-2xx or 3xx responses: 12\nRequests/mr;

is($F{wrk}->($bad)->{failed}, 12, 'negative control: answers that are failures');
is($F{wrk}->($bad)->{socket}, 7, 'negative control: errors of sockets');
dies(sub { $F{wrk}->('unable to connect to 127.0.0.1:8080') },
    'what is no report');
dies(sub { $F{wrk}->($report =~ s/^.*99%.*\n//mr) }, 'a report without p99');

is($F{stub_status}->("Active connections: 2 \nserver accepts handled requests\n"
    . " 33 32 311 \nReading: 0 Writing: 1 Waiting: 1 \n"), 311, 'stub_status');
dies(sub { $F{stub_status}->('403') }, 'what is no stub_status');

ok($F{agree}->(100, 100, 32) && $F{agree}->(100, 132, 32),
    'the counts agree, but for what was on its way');
ok(!$F{agree}->(100, 99, 32), 'negative control: an answer from nowhere');
ok(!$F{agree}->(100, 133, 32), 'negative control: one request too many');


# -- the system ---------------------------------------------------------------

is($F{schedstat}->("123456789 55 66\n"), 123456789, 'schedstat');
dies(sub { $F{schedstat}->('') }, 'an empty one');
is($F{pss}->("a-b ---p 0 00:00 0 [rollup]\nRss: 9 kB\nPss:    77 kB\n"), 77,
    'smaps_rollup');


# -- callgrind ----------------------------------------------------------------

my $annotated = <<'END';
10,000 (100.0%)  PROGRAM TOTALS
--------------------------------------------------------------------------------
10,000 (100.0%)  ???:main [/usr/sbin/nginx]
 6,000 (60.00%)  src/a.c:ngx_intuit_hash [/x/ngx_http_intuit_auth_module.so]
 1,000 (10.00%)  /usr/include/bits/string.h:ngx_intuit_hash
   500 ( 5.00%)  ???:0x000000000029ad80 [/usr/lib/x86_64-linux-gnu/libcrypto.so.3]
   400 ( 4.00%)  ???:0x0000000000230920 [/usr/lib/x86_64-linux-gnu/libcrypto.so.3]
   300 ( 3.00%)  ./nptl/c.c:pthread_rwlock_unlock@@GLIBC_2.34
    50 ( 0.50%)  src/b.c:walk'2 [/x/ngx_http_intuit_auth_module.so]
END

my $self = $F{annotate}->($annotated);

is($self->{ngx_intuit_hash}{ir}, 7000, 'lines of one function are added up');
is($self->{ngx_intuit_hash}{object}, 'ngx_http_intuit_auth_module.so',
    'its object');
is($self->{'(unnamed, libcrypto.so)'}{ir}, 900, 'functions without a name');
is($self->{pthread_rwlock_unlock}{ir}, 300, 'a name with a version');
is($self->{walk}{ir}, 50, 'recursion');
ok(!$self->{main}, 'main is everything, and left out');
is($F{annotate}->($annotated, 1)->{ngx_intuit_hash}{ir}, 6000,
    'each line of a function with its callees says all of it');
dies(sub { $F{annotate}->('no such file') }, 'what is no annotation');

my $each = $F{per_request}->({ a => { ir => 150 }, b => { ir => 7 } },
    { a => { ir => 1150 }, b => { ir => 7 } }, 100);

is($each->{a}{ir}, 10, 'instructions per request');
is($each->{b}{ir}, 0, 'what is not done per request cancels out');

is_deeply([ map { "$_->[0] $_->[1]" } $F{above}->(
    { a => { ir => 9 }, b => { ir => 5 } },
    { a => { ir => 8 }, c => { ir => 2 } }) ], [ 'b 5', 'c -2', 'a 1' ],
    'the differences, dearest first');

is($F{summary}->("events: Ir\nsummary: 516936\n"), 516936, 'a dump');
dies(sub { $F{summary}->('events: Ir') }, 'a dump without its sum');

my %measured = (limit => { ir => 20000, self => {}, inclusive => {} },
    'signed-in' => { ir => 23000, self => { ngx_intuit_hash => { ir => 3000,
        object => 'intuit.so' } }, inclusive => { ngx_intuit_hash =>
        { ir => 3000, object => 'intuit.so' } } });

like(Bench::Instructions->markdown(\%measured), qr/signed in, proxy_pass.*\+3000/,
    'a table with what is over the limit');

my $svg = Bench::Report::svg({ instructions => { data => \%measured } });
my ($bars) = scalar(() = $svg =~ /height="14"/g);
is($bars, 2, 'a plot with a bar for each');
is($svg =~ tr/<//, $svg =~ tr/>//, 'whose brackets match');


# -- the contenders -----------------------------------------------------------

$t->write_secret('secret', 'sim-client-secret');
$t->write_secret('key', '0123456789abcdef' x 4);
$t->write_file('html/index.html', 'x' x 200);

my @contenders = Bench::Contenders::all();
my %names = map { $_->{name} => 1 } @contenders;

cmp_ok(scalar @contenders, '>=', 10, 'there are contenders');
is(scalar keys %names, scalar @contenders, 'each has a name of its own');
is_deeply([ grep { !$names{ $_->{alike} } } @contenders ], [],
    'each is compared with one of them');
is_deeply([ map { $_->{name} } Bench::Contenders::of('speed', 'anonymous-302') ],
    [ qw(limit return-302 anonymous-302) ],
    'some of them, with what they are compared with');

for my $c (grep { ($_->{class} // '') ne 'Bench::Apache' } @contenders) {
    for my $single (0, 1) {
        my ($status, $said) = $t->check_conf(filled(
            Bench::Contenders::conf($c, single => $single)));
        is($status, 0, "nginx takes $c->{name}" . ($single ? ', alone' : ''))
            or diag($said);
    }
}

my ($limit) = @contenders;
my ($status, $said) = $t->check_conf(filled(Bench::Contenders::conf(
    { %$limit, server => $limit->{server} =~ s/proxy_pass/proxy_pas/r })));
isnt($status, 0, 'negative control: a mistake in a contender');

($status, $said) = $t->check_conf(filled(Bench::Contenders::upstream_conf(
    $t->port('a') => '!= "Bearer a"', $t->port('b') => '!~ "^Bearer .{900}"')));
is($status, 0, 'nginx takes the upstream') or diag($said);

SKIP: {
    skip 'there is no Apache', 1 if !Bench::Apache->there;

    my $path = $t->write_file('apache.conf',
        $t->expand(filled(Bench::Apache::conf_of({}, workers => 2))));
    $said = `/usr/sbin/apache2 -d @{[ $t->dir ]} -f $path -t 2>&1`;
    is($?, 0, 'Apache takes its own') or diag($said);
}


# -- the load generator -------------------------------------------------------

my $load = $t->dir . '/load';
my $built = system('gcc', '-O1', '-Wall', '-Wextra', '-Werror', '-o', $load,
    "$FindBin::Bin/bench/load.c");

is($built, 0, 'the load generator builds');

$t->conf(filled(Bench::Contenders::upstream_conf(
    $t->port('good') => '!= "Bearer right"')))->start;

my $before = served();
my $r = load('right', '-c', 7, '-n', 500);

is($r->{sent}, 500, 'as many requests as were asked for');
is_deeply($r->{status}, { 200 => 500 }, 'all answered');
is(served() - $before, 500, 'and the server counts the same');
cmp_ok($r->{p50}, '<=', $r->{p99}, 'times are in order');

$before = served();
$r = load('right', '-c', 7, '-t', 0.5, '-r', 200);
is($r->{sent}, 100, 'at a rate: those that were due');
is(served() - $before, 100, 'and the server counts the same');

is_deeply(load('wrong', '-n', 20)->{status}, { 403 => 20 },
    'negative control: another token is refused, and said to be');

done_testing();


sub dies {
    my ($code, $name) = @_;
    ok(!eval { $code->(); 1 }, "negative control: $name");
}

# the placeholders that the bench fills in itself
sub filled {
    my ($conf) = @_;

    $conf =~ s/%%UPSTREAM%%/$t->port('upstream')/ge;
    $conf =~ s/%%TOKEN%%/'t' x 1024/ge;
    $conf =~ s/%%SIM%%/'http:\/\/127.0.0.1:' . $t->port('sim')/ge;
    return $conf;
}

sub served {
    my $r = $t->get('/', -port => $t->port('status'));
    return Bench::Figures::stub_status($r->body) - ++$t->{asked};
}

sub load {
    my ($token, @args) = @_;
    my $file = $t->write_file('request', "GET / HTTP/1.1\r\nHost: localhost\r\n"
        . "Authorization: Bearer $token\r\n\r\n");

    open my $fh, '-|', $load, '-p', $t->port('good'), '-f', $file, @args
        or die "$load: $!";
    my $line = do { local $/; <$fh> };

    return JSON::PP->new->decode($line);
}
