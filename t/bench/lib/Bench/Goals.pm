package Bench::Goals;

# What the module promises of its speed, beside what was measured.  A table
# that is not there yields no row.

use strict;
use warnings;

use Bench::Contenders;
use Bench::Figures;

use constant LIMIT => Bench::Contenders::LIMIT;


# [ figure, goal, measured, 1 or 0 ], ...
sub rows {
    my ($all) = @_;
    my %data = map { $_ => $all->{$_}{data} } keys %$all;

    return grep { defined } map { $_->(\%data) } \&rates, \&instructions,
        \&cpu, \&all_on, \&waiting, \&lookup, \&memory, \&stampede, \&reload,
        \&anonymous;
}

# of the rounds: the median ratio, and what the limit does to itself
sub ratio {
    my ($rounds, $name, $base, $what) = @_;
    my ($these, $those, $again) = @$rounds{$name, $base, 'limit-again'};

    return if !$these || !$those;

    my ($median) = Bench::Figures::ratios($these, $those, $what);
    my @spread = $again
        ? Bench::Figures::ratios($again, $rounds->{+LIMIT}, $what) : (1, 1, 1);

    return ($median, @spread[1, 2]);
}

sub rates {
    my ($d) = @_;

    return map {
        my ($ratio, $low) = ratio($d->{$_} // {}, 'signed-in', LIMIT, 'rate');
        !defined $ratio ? () : [ "signed-in requests/s to the limit, $_",
            sprintf('>= 0.985, or %.3f as in A/A', $low),
            sprintf('%.3f', $ratio), $ratio >= 0.985 || $ratio >= $low ]
    } qw(pinned unpinned);
}

sub instructions {
    my ($d) = @_;
    my $i = $d->{instructions} or return;
    my ($ours, $limit) = map { $i->{$_} && $i->{$_}{ir} } 'signed-in', LIMIT;

    return if !$ours || !$limit;
    return at_most('instructions per request over the limit', 3000,
        $ours - $limit, '%.0f');
}

sub cpu {
    my ($d) = @_;
    my ($ours, $limit) = @{ $d->{pinned} // {} }{'signed-in', LIMIT};

    return if !$ours || !$limit;
    return at_most('CPU per request over the limit, us', 1,
        Bench::Figures::median(map { $ours->[$_]{cpu} - $limit->[$_]{cpu} }
            0 .. ($#$ours < $#$limit ? $#$ours : $#$limit)), '%.1f');
}

sub all_on {
    my ($d) = @_;
    my $i = $d->{instructions} or return;
    my ($on, $off) = map { $i->{$_} && $i->{$_}{ir} } qw(all-on intuit-proxy);

    return if !$on || !$off;
    return at_most('quota, replay and status on: instructions more', 1000,
        $on - $off, '%.0f');
}

sub waiting {
    my ($d) = @_;
    my ($ratio, undef, $high) = ratio(($d->{rate} // {})->{rounds} // {},
        'signed-in', LIMIT, 'p99');

    return if !defined $ratio;
    return [ "p99 to the limit's at 80 % load",
        sprintf('<= 1.05, or %.2f as in A/A', $high), sprintf('%.2f', $ratio),
        $ratio <= 1.05 || $ratio <= $high ];
}

sub lookup {
    my ($d) = @_;
    my $s = $d->{store} or return;

    return at_most('lookup among ' . Bench::Figures::thousands($s->{sessions})
        . ' sessions to 1,000, instructions', 1.15,
        $s->{lookup_many_ir} / $s->{lookup_few_ir}, '%.3f');
}

sub memory {
    my ($d) = @_;
    my $s = $d->{store} or return;

    return (at_most('memory of a session that shares a connection, B', 512,
            $s->{cost}, '%.0f'),
        at_most('... with tokens of its own (1 KB), B', 2048, $s->{own_cost},
            '%.0f'));
}

sub stampede {
    my ($d) = @_;
    my ($r) = grep { $_->{name} eq 'signed-in' && $_->{crowd} == 1000 }
        @{ $d->{stampede} // [] } or return;

    return (at_most('1,000 at once on an expired token: token calls', 1,
            $r->{calls}, '%d'),
        at_most('... failures', 0, $r->{failures}, '%d'),
        at_most('... last answer, ms', 300, $r->{last}, '%.0f'));
}

sub reload {
    my ($d) = @_;
    my $r = $d->{reload} or return;
    my ($ours, $plain) = @$r{qw(ours plain)};

    return ([ 'reload with ' . Bench::Figures::thousands($r->{sessions})
            . ' sessions: failed requests', "<= $plain->{failed}, plain nginx",
            $ours->{failed}, $ours->{failed} <= $plain->{failed} ],
        at_most('... added p99, ms', 10,
            ($ours->{p99} - $ours->{quiet_p99}) / 1000, '%.1f'));
}

sub anonymous {
    my ($d) = @_;

    return map {
        my ($ratio) = ratio($d->{pinned} // {}, "anonymous-$_", 'return-302',
            'rate');
        !defined $ratio ? () : [ "anonymous $_ to a plain \"return 302\"",
            '>= 0.9', sprintf('%.2f', $ratio), $ratio >= 0.9 ]
    } 302, 401;
}

sub at_most {
    my ($figure, $most, $value, $format) = @_;

    return [ $figure, '<= ' . ($most >= 1000
            ? Bench::Figures::thousands($most) : $most),
        sprintf($format, $value), sprintf($format, $value) <= $most ];
}

sub markdown {
    my ($all) = @_;
    my @rows = rows($all) or return '';

    return Bench::Figures::table([ 'figure', 'goal', 'measured', 'met' ],
        map { [ @$_[0 .. 2], $_->[3] ? 'yes' : '**no**' ] } @rows);
}


1;
