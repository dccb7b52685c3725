package Bench::Reload;

# A reload with many sessions in the zone while requests come at a fixed rate,
# and the same with plain nginx: who fails, and how long the slowest wait.

use strict;
use warnings;

use JSON::PP ();
use POSIX ();
use Time::HiRes qw(time sleep);

use Bench::Contenders;
use Bench::Figures;
use Bench::Nginx;
use Bench::Site;
use Bench::Store;

use constant RELOADS => 3;

my $STORE = Bench::Site->top . '/build/bench/store.so';


# sessions, rate (requests/s), seconds
sub run {
    my ($class, $site, $say, %o) = @_;
    my %c = map { $_->{name} => $_ } Bench::Contenders::all();
    my $zone = Bench::Store::zone_of($o{sessions});
    my %result;

    my $plain = $site->start($c{+Bench::Contenders::LIMIT},
        label => '-reload');

    my $ours = $site->start($c{'signed-in'}, label => '-reload',
        zone => $zone, load => "load_module $STORE;\n",
        main => "bench_store fill $o{sessions};\n");

    $say->('filling a zone with ' . Bench::Figures::thousands($o{sessions})
        . ' sessions');

    # the first reload fills it
    defined reload($ours) or die "the zone was not filled:\n", $ours->said;
    $site->check($ours);

    for my $pair ([ plain => $plain ], [ ours => $ours ]) {
        my ($name, $n) = @$pair;
        $say->("reloads under load: $name");
        $result{$name} = under_load($site, $n, %o);
    }

    $site->stop($plain, $ours);

    return { %result, sessions => $o{sessions}, rate => $o{rate} };
}

# seconds until the new workers are there; those of before may linger
sub reload {
    my ($n) = @_;
    my %old = map { $_ => 1 } $n->children;
    my $start = time;

    kill 'HUP', $n->{pid};

    $n->wait_until(sub {
        scalar(grep { !$old{$_} } $n->children) >= $n->expected_workers
            || $n->complaints }, 120) or return;

    my $spent = time - $start;

    $n->wait_until(sub { !grep { $old{$_} } $n->children }, 120);
    $n->{workers} = [ $n->children ];

    return $spent;
}

sub under_load {
    my ($site, $n, %o) = @_;
    my @args = (-c => 32, -t => $o{seconds}, -r => $o{rate});

    my $quiet = $site->load($n, @args);

    pipe my $out, my $in or die "pipe: $!\n";
    my $pid = fork // die "fork: $!\n";

    if ($pid == 0) {
        my $r = eval { $site->load($n, @args) };
        print $in JSON::PP->new->encode($r // { failed => "$@" });
        close $in;
        POSIX::_exit(0);
    }

    close $in;

    my @took;

    for (1 .. RELOADS) {
        sleep $o{seconds} / (RELOADS + 1) - 0.2;
        push @took, reload($n) // die "no new workers:\n", $n->said;
    }

    my $busy = JSON::PP->new->decode(do { local $/; <$out> });
    waitpid $pid, 0;

    die $busy->{failed} if $busy->{failed};

    my $c = $n->{contender};

    return {
        failed => $busy->{sent} - ($busy->{status}{ $c->{answer} } // 0),
        sent => $busy->{sent}, quiet_p99 => $quiet->{p99},
        p99 => $busy->{p99}, max => $busy->{max},
        took => Bench::Figures::median(@took),
        killed => Bench::Figures::median(map { killed($site, $n) }
            1 .. RELOADS),
    };
}

# seconds until there is another worker after one was killed, and answers are
# right again
sub killed {
    my ($site, $n) = @_;
    my ($victim) = $n->children;
    my $start = time;

    kill 'KILL', $victim;

    $n->wait_until(sub { my @now = $n->children;
        @now >= $n->expected_workers && !grep { $_ == $victim } @now }, 60)
        or die "no new worker:\n", $n->said;

    my $spent = time - $start;

    $n->wait_until(sub { $site->get($n)->status == $n->{contender}{answer} },
        60) or die "$n->{contender}{name}: wrong answers after a kill\n";

    return $spent;
}

sub markdown {
    my ($class, $r) = @_;
    my $ms = sub { sprintf '%.1f', $_[0] / 1000 };

    return Bench::Figures::table(
        [ RELOADS . ' reloads', 'requests', 'failed', 'p99 ms without',
            'p99 ms with', 'added', 'slowest ms', 'new workers after ms',
            'after a kill ms' ],
        map { my $x = $r->{$_->[0]};
            [ $_->[1], Bench::Figures::thousands($x->{sent}), $x->{failed},
                $ms->($x->{quiet_p99}), $ms->($x->{p99}),
                $ms->($x->{p99} - $x->{quiet_p99}), $ms->($x->{max}),
                map { sprintf '%.0f', $_ * 1000 } @$x{qw(took killed)} ] }
            [ plain => 'plain nginx (the limit)' ],
            [ ours => 'ours, ' . Bench::Figures::thousands($r->{sessions})
                . ' sessions' ]);
}


1;
