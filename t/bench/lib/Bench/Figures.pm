package Bench::Figures;

# Arithmetic, and reading what other programs print.  Nothing here measures
# anything; t/bench.t tries all of it.

use strict;
use warnings;


sub median {
    my @sorted = sort { $a <=> $b } grep { defined } @_;

    return undef if !@sorted;

    my $middle = int @sorted / 2;

    return @sorted % 2 ? $sorted[$middle]
        : ($sorted[$middle - 1] + $sorted[$middle]) / 2;
}

# The medians of rounds: [ { a => 1 }, { a => 3 } ] to { a => 2 }
sub medians {
    my ($rounds) = @_;
    my %names = map { $_ => 1 } map { keys %$_ } @$rounds;

    return { map { my $name = $_;
        $name => median(map { $_->{$name} } @$rounds) } keys %names };
}

# Round by round, so that what happens to a whole round weighs on both: the
# median, the lowest and the highest of the ratios.
sub ratios {
    my ($these, $those, $name) = @_;
    my @ratios;

    for my $i (0 .. ($#$these < $#$those ? $#$these : $#$those)) {
        my ($x, $y) = ($these->[$i]{$name}, $those->[$i]{$name});
        push @ratios, $x / $y if defined $x && $y;
    }

    return if !@ratios;

    @ratios = sort { $a <=> $b } @ratios;
    return (median(@ratios), $ratios[0], $ratios[-1]);
}

# The order of a round: A B C, and the next time C B A.
sub order {
    my ($round, @contenders) = @_;
    return $round % 2 ? reverse @contenders : @contenders;
}


# -- wrk ----------------------------------------------------------------------

my %UNIT = (us => 1, ms => 1000, s => 1_000_000, m => 60_000_000);

# requests, seconds, rate, p50, p99 (microseconds), failed: answers other than
# 2xx and 3xx, socket: errors of sockets.  Dies when it is no report of wrk.
sub wrk {
    my ($text) = @_;
    my %r = (failed => 0, socket => 0);

    ($r{requests}, my $time, my $unit)
        = $text =~ /^\s*(\d+) requests in ([\d.]+)(us|ms|s|m),/m
        or die "this is no report of wrk:\n$text";

    $r{seconds} = $time * $UNIT{$unit} / 1_000_000;

    ($r{rate}) = $text =~ m{^Requests/sec:\s+([\d.]+)}m
        or die "wrk says no rate:\n$text";

    for my $p (50, 99) {
        $text =~ /^\s+$p%\s+([\d.]+)(us|ms|s|m)\s*$/m
            or die "wrk says no $p%:\n$text";
        $r{"p$p"} = $1 * $UNIT{$2};
    }

    $r{failed} = $1 if $text =~ /Non-2xx or 3xx responses: (\d+)/;

    if ($text =~ /Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)/) {
        $r{socket} = $1 + $2 + $3 + $4;
    }

    return \%r;
}

# "Active connections: 1 ... accepts handled requests 3 3 7": the last one
sub stub_status {
    my ($text) = @_;

    $text =~ /requests\s*\n\s*\d+\s+\d+\s+(\d+)/
        or die "this is no stub_status:\n$text";

    return $1;
}

# Does the server's own count agree with wrk's?  wrk ends without waiting for
# what is on its way, at most one request on each connection.
sub agree {
    my ($client, $server, $connections) = @_;
    return $server >= $client && $server <= $client + $connections;
}


# -- the system ---------------------------------------------------------------

# the time on a CPU, in nanoseconds: /proc/PID/schedstat
sub schedstat {
    my ($text) = @_;

    $text =~ /^(\d+) \d+ \d+\s*$/ or die "this is no schedstat: $text";
    return $1;
}

# kB: /proc/PID/smaps_rollup
sub pss {
    my ($text) = @_;

    $text =~ /^Pss:\s+(\d+) kB/m or die "this is no smaps_rollup: $text";
    return $1;
}


# -- callgrind ----------------------------------------------------------------

# What callgrind_annotate prints: function => { ir, object }.  What a function
# does by itself is listed once for each file that it has code of, and added up;
# with what it calls, each of these lines says all of it.  main() and what is
# above it were called before the counting began, and show everything as theirs.
sub annotate {
    my ($text, $inclusive) = @_;
    my (%all, $total);

    for my $line (split /\n/, $text) {

        # "12,345 (11.0%)  file.c:function [/usr/sbin/nginx]"
        $line =~ /^\s*([\d,]+)\s+\(\s*[\d.]+%\)\s+(.*)$/ or next;

        my ($count, $what) = ($1, $2);
        my ($object) = $what =~ s/\s+\[([^\]]*)\]\s*$// ? $1 : '';

        $count =~ tr/,//d;

        if ($what =~ /^PROGRAM TOTALS/) {
            $total = $count;
            next;
        }

        next if defined $total && $count == $total;

        $what =~ s/^(?:.*\/)?[^:\/]*://;
        # recursion: "f'2"
        $what =~ s/'\d+$//;
        # a symbol's version
        $what =~ s/\@\@?[\w.]+$//;

        $object =~ s{^.*/}{};
        $object =~ s/\.so\b.*$/.so/;

        my $name = $what !~ /^0x/ ? $what
            : $object eq '' ? '(unnamed)' : "(unnamed, $object)";

        my $f = $all{$name} //= { ir => 0, object => '' };

        $f->{ir} = !$inclusive || $what =~ /^0x/ ? $f->{ir} + $count
            : $f->{ir} > $count ? $f->{ir} : $count;
        $f->{object} = $object if $object ne '';
    }

    %all or die "callgrind_annotate said nothing:\n$text";

    return \%all;
}

# how much more, per request, of two runs of different length: what is not done
# per request cancels out
sub per_request {
    my ($short, $long, $requests) = @_;
    my %names = map { $_ => 1 } keys %$short, keys %$long;

    return { map {
        my $more = ($long->{$_}{ir} // 0) - ($short->{$_}{ir} // 0);
        $_ => { ir => $more / $requests,
            object => ($long->{$_} // $short->{$_})->{object} // '' }
    } keys %names };
}

# the functions that cost more than in the other, dearest first: [ name, more ]
sub above {
    my ($this, $that) = @_;
    my %names = map { $_ => 1 } keys %$this, keys %$that;

    return sort { abs $b->[1] <=> abs $a->[1] || $a->[0] cmp $b->[0] }
        map { [ $_, ($this->{$_}{ir} // 0) - ($that->{$_}{ir} // 0),
            ($this->{$_} // $that->{$_})->{object} ] } keys %names;
}

# what the counters of a dump add up to
sub summary {
    my ($text) = @_;

    $text =~ /^(?:summary|totals): (\d+)/m or die "this is no dump of callgrind\n";
    return $1;
}


# -- how it is shown ----------------------------------------------------------

sub thousands {
    my ($n) = @_;
    my $text = sprintf '%.0f', $n;

    1 while $text =~ s/^(-?\d+)(\d{3})/$1,$2/;
    return $text;
}

# A Markdown table: the head, then rows.  The first column is text, the others
# are numbers.
sub table {
    my (@rows) = @_;
    my @width;

    for my $row (@rows) {
        for my $i (0 .. $#$row) {
            my $n = length($row->[$i] // '');
            $width[$i] = $n if $n > ($width[$i] // 3);
        }
    }

    my $line = sub {
        my ($row) = @_;
        return '| ' . join(' | ', map { my $cell = $row->[$_] // '';
            $_ ? sprintf("%$width[$_]s", $cell)
               : sprintf("%-$width[$_]s", $cell) } 0 .. $#width) . " |\n";
    };

    my $rule = '|' . join('|', map { $_ ? '-' x ($width[$_] + 1) . ':'
        : '-' x ($width[$_] + 2) } 0 .. $#width) . "|\n";

    return $line->($rows[0]) . $rule . join '', map { $line->($_) } @rows[1 .. $#rows];
}


1;
