package Bench::Speed;

# Table one: how fast, how long, how dear.  The contenders run at the same time
# and are asked in turn, A B C and then C B A, so that what the machine does
# meanwhile happens to all of them; ratios are taken round by round.

use strict;
use warnings;

use Bench::Contenders;
use Bench::Figures;

use constant {
    CONNECTIONS => 32,
    LIMIT       => Bench::Contenders::LIMIT,
    LOAD        => 0.8,     # of what the limit can do
};


# way: pinned (one worker on a core of its own) or unpinned (two workers).
# { name => [ { rate, p50, p99, cpu, memory, busy }, ... ] }
sub run {
    my ($class, $site, $say, %o) = @_;
    my @running = map { $say->("starting $_->{name}"); $site->start($_) }
        Bench::Contenders::of('speed', @{ $o{only} });
    my %rounds;

    for my $round (0 .. $o{rounds} - 1) {
        for my $n (Bench::Figures::order($round, @running)) {
            my $r = measure($site, $n, $o{seconds});
            my $name = $n->{contender}{name};

            push @{ $rounds{$name} }, $r;
            $say->(sprintf 'round %d of %d: %-22s %7s requests/s, %5.1f us'
                . ' of CPU each, p99 %.2f ms', $round + 1, $o{rounds}, $name,
                Bench::Figures::thousands($r->{rate}), $r->{cpu},
                $r->{p99} / 1000);
        }
    }

    $site->stop(@running);

    return \%rounds;
}

sub measure {
    my ($site, $n, $seconds) = @_;
    my $c = $n->{contender};

    $site->check($n);

    my ($served, $cpu) = ($site->served, $n->cpu);
    my $r = wrk($site, $n, $seconds);

    $cpu = $n->cpu - $cpu;
    $served = $site->settled - $served;

    my $failed = $c->{answer} < 400 ? $r->{failed}
        : $r->{requests} - $r->{failed};

    $failed == 0 && $r->{socket} == 0
        or die "$c->{name}: $failed wrong answers of $r->{requests},"
            . " $r->{socket} errors of sockets\n", $n->said;

    !$c->{upstream} || Bench::Figures::agree($r->{requests}, $served,
        CONNECTIONS)
        or die "$c->{name}: wrk counts $r->{requests} answers, the upstream"
            . " $served\n";

    $site->check($n);

    return { rate => $r->{rate}, p50 => $r->{p50}, p99 => $r->{p99},
        cpu => $cpu / $r->{requests}, memory => $n->memory,
        busy => $cpu / 1e6 / $r->{seconds} };
}

sub wrk {
    my ($site, $n, $seconds) = @_;
    my @headers = map { ('-H', "$_->[0]: $_->[1]") } $site->headers($n);

    my @command = ($site->others, 'wrk', '-t', 1, '-c', CONNECTIONS,
        '-d', "${seconds}s", '--timeout', '10s', '--latency', @headers,
        'http://127.0.0.1:' . $n->port('main') . $n->{contender}{path});

    open my $fh, '-|', @command or die "wrk: $!\n";
    my $text = do { local $/; <$fh> };
    close $fh or die "wrk failed:\n$text\n";

    return Bench::Figures::wrk($text);
}


# p99 at a load that all of them can bear: requests are due at fixed times.
# limit: what the limit can do, requests/s
sub rate {
    my ($class, $site, $say, %o) = @_;
    my $rate = $o{limit} * LOAD;
    my @running = map { $site->start($_) }
        Bench::Contenders::of('rate', @{ $o{only} });
    my %rounds;

    for my $round (0 .. $o{rounds} - 1) {
        for my $n (Bench::Figures::order($round, @running)) {
            $site->check($n);
            my $r = $site->exact_load($n, -c => 2 * CONNECTIONS,
                -t => $o{seconds}, -r => $rate);
            $site->check($n);

            my $name = $n->{contender}{name};
            push @{ $rounds{$name} }, { rate => $r->{answered} / $r->{seconds},
                map { $_ => $r->{$_} } qw(p50 p99 max) };
            $say->(sprintf 'round %d of %d: %-22s at %s requests/s: p99'
                . ' %.2f ms', $round + 1, $o{rounds}, $name,
                Bench::Figures::thousands($rate), $r->{p99} / 1000);
        }
    }

    $site->stop(@running);

    return { rate => $rate, rounds => \%rounds };
}


# -- what is shown ------------------------------------------------------------

sub markdown {
    my ($class, $rounds) = @_;
    my $limit = $rounds->{+LIMIT};
    my $base = Bench::Figures::medians($limit);
    my @rows = ([ 'contender', 'requests/s', 'to the limit', '(of all rounds)',
        'p50 ms', 'p99 ms', 'CPU us', 'over it', 'core busy', 'memory MB' ]);

    for my $c (Bench::Contenders::of('speed')) {
        my $these = $rounds->{$c->{name}} or next;
        my $m = Bench::Figures::medians($these);
        my $those = $rounds->{$c->{alike}} // $limit;
        my ($ratio, $low, $high)
            = Bench::Figures::ratios($these, $those, 'rate');
        my $over = Bench::Figures::median(map {
            $these->[$_]{cpu} - $those->[$_]{cpu} } 0 .. $#$these);

        my $self = $c->{alike} eq $c->{name};

        push @rows, [ $c->{title}, Bench::Figures::thousands($m->{rate}),
            sprintf('%.3f', $ratio), $self ? ''
                : sprintf('%.2f to %.2f', $low, $high),
            sprintf('%.2f', $m->{p50} / 1000), sprintf('%.2f', $m->{p99} / 1000),
            sprintf('%.1f', $m->{cpu}), $self ? '' : sprintf('%+.1f', $over),
            sprintf('%.0f %%', $m->{busy} * 100),
            sprintf('%.1f', $m->{memory} / 1024) ];
    }

    return Bench::Figures::table(@rows);
}

sub rate_markdown {
    my ($class, $result) = @_;
    my $rounds = $result->{rounds};
    my @rows = ([ 'contender', 'requests/s', 'p50 ms', 'p99 ms',
        "p99 to the limit's", '(of all rounds)' ]);

    for my $c (Bench::Contenders::of('rate')) {
        my $these = $rounds->{$c->{name}} or next;
        my $m = Bench::Figures::medians($these);
        my ($ratio, $low, $high)
            = Bench::Figures::ratios($these, $rounds->{+LIMIT}, 'p99');

        push @rows, [ $c->{title}, Bench::Figures::thousands($m->{rate}),
            sprintf('%.2f', $m->{p50} / 1000), sprintf('%.2f', $m->{p99} / 1000),
            sprintf('%.2f', $ratio), $c->{name} eq LIMIT ? ''
                : sprintf('%.2f to %.2f', $low, $high) ];
    }

    return Bench::Figures::table(@rows);
}


1;
