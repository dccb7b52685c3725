package Bench::Store;

# Table four: what a session and a connection take, and whether anything is
# dearer among a million sessions and 10,000 connections than among a thousand.
# One real login is copied; the copies go through the module's own functions
# into nginx's own slabs (store.c).

use strict;
use warnings;

use JSON::PP ();

use Bench::Contenders;
use Bench::Figures;
use Bench::Nginx;
use Bench::Site;

use constant {
    LOOKUPS => 20000,      # of store.c
    EVICTED => 20000,
};

my $STORE = Bench::Site->top . '/build/bench/store.so';


# sessions: how many are many
sub run {
    my ($class, $site, $say, %o) = @_;
    my $n = $o{sessions};

    my $zone = zone_of($n);
    my $many = Bench::Figures::thousands($n);

    $say->("the store with $many sessions");
    my $r = one($site, "measure $n", $zone, 'native');

    $say->("a zone that is full");
    $r = { %$r, %{ one($site, 'evict ' . EVICTED, '64m', 'evict') } };

    $say->("instructions of lookups among 1,000 and $many sessions");
    my $out = "$site->{dir}/callgrind.store";

    one($site, "measure $n", $zone, 'callgrind', 'valgrind',
        '--tool=callgrind', '--instr-atstart=no', '--collect-atstart=no',
        "--callgrind-out-file=$out.%p");

    @$r{qw(lookup_few_ir lookup_many_ir)} = map { dump_of($out, $_) }
        qw(few many);

    return $r;
}

# 2 KB each is more than they take, and it is only address space until then
sub zone_of {
    my ($sessions) = @_;
    return int($sessions * 2 / 1024) + 128 . 'm';
}

# Signs in, and lets a reload measure.
sub one {
    my ($site, $what, $zone, $label, @prefix) = @_;
    my $file = "$site->{dir}/store.$label";
    my ($c) = grep { $_->{name} eq 'signed-in' } Bench::Contenders::all();

    # a worker under valgrind has another name
    local $ENV{TEST_VALGRIND} = 1 if @prefix;

    my $n = $site->start($c, label => "-$label", zone => $zone,
        prefix => \@prefix, valgrind => scalar @prefix,
        load => "load_module $STORE;\n",
        main => "bench_store $what $file;\n");

    $site->check($n);
    kill 'HUP', $n->{pid};

    $n->wait_until(sub { $n->gone || -s $file
        && Bench::Nginx::slurp($file) =~ /\n\z/ || $n->complaints }, 600);

    -s $file or die "the store was not measured:\n", $n->said;

    # the requests go on, and the real session is there among the copies
    $site->check($n) if $what !~ /^evict/;
    $site->stop($n);

    return JSON::PP->new->decode(Bench::Nginx::slurp($file));
}

# instructions of one lookup
sub dump_of {
    my ($out, $name) = @_;

    for my $path (glob "$out.*") {
        my $text = Bench::Nginx::slurp($path);

        return Bench::Figures::summary($text) / LOOKUPS
            if $text =~ /^desc: Trigger: Client Request: \Q$name\E$/m;
    }

    die "callgrind wrote nothing about \"$name\"\n";
}

sub markdown {
    my ($class, $r) = @_;
    my $many = Bench::Figures::thousands($r->{sessions});
    my $ns = sub { sprintf '%s ns', Bench::Figures::thousands($_[0]) };
    my $us = sub { sprintf '%.1f us', $_[0] / 1000 };
    my $ms = sub { sprintf '%s ms', Bench::Figures::thousands($_[0] / 1e6) };

    return Bench::Figures::table(
        [ 'memory in the zone', 'its record', 'takes' ],
        [ 'session that shares a connection', "$r->{record} B",
            sprintf('%.0f B', $r->{cost}) ],
        [ 'session with tokens of its own (1 KB)', "$r->{own_record} B",
            sprintf('%.0f B', $r->{own_cost}) ],
        [ 'connection (1 KB token)', "$r->{connection_record} B",
            sprintf('%.0f B', $r->{connection_cost}) ],
    ) . "\n" . Bench::Figures::table(
        [ 'the store', '1,000 sessions', $many, 'ratio' ],
        [ 'lookup, instructions', map({ sprintf '%.0f', $_ }
            @$r{qw(lookup_few_ir lookup_many_ir)}),
            sprintf('%.3f', $r->{lookup_many_ir} / $r->{lookup_few_ir}) ],
        [ 'lookup, time (no other load)', map({ $ns->($_) }
            @$r{qw(lookup_few_ns lookup_many_ns)}),
            sprintf('%.2f', $r->{lookup_many_ns} / $r->{lookup_few_ns}) ],
        [ 'a new session', map({ $ns->($_) } @$r{qw(insert_few_ns insert_ns)}),
            sprintf('%.2f', $r->{insert_ns} / $r->{insert_few_ns}) ],
    ) . "\n" . Bench::Figures::table(
        [ 'the lock, with ' . $many . ' sessions and '
            . Bench::Figures::thousands($r->{connections}) . ' connections',
            'mean', 'longest' ],
        [ 'a new session', $ns->($r->{insert_ns}),
            $us->($r->{insert_longest_ns}) ],
        [ 'a new connection', $ns->($r->{save_ns}),
            $us->($r->{save_longest_ns}) ],
        [ 'a session ends', $ns->($r->{remove_ns}), '' ],
        [ 'the status page, 64 connections at a time', '',
            $us->($r->{walk_longest_ns}) ],
        [ 'a new session, and one that is over goes ('
            . Bench::Figures::thousands($r->{expired}) . ' went)',
            $ns->($r->{expire_ns}), $us->($r->{expire_longest_ns}) ],
        [ 'full zone ('
            . Bench::Figures::thousands($r->{evict_sessions})
            . ' sessions): a new session', $ns->($r->{evict_ns}),
            $us->($r->{evict_longest_ns}) ],
        [ sprintf('the same, in random order: a new connection (%.1f sessions'
            . ' go)', $r->{room_evicted}), $ns->($r->{room_ns}),
            $us->($r->{room_longest_ns}) ],
        [ 'a worker was killed as it held the lock', '',
            $us->($r->{looked_ns}) ],
        [ sprintf('the same, as it changed the zone: built again (%d lost)',
            $r->{rebuild_lost}), '', $ms->($r->{rebuild_ns}) ],
    );
}


1;
