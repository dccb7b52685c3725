#!/usr/bin/perl

# Reads gcov's counts (JSON, by way of gcov -t) of all objects below the given
# directories, adds them up, and prints lines and branches for each source.  The
# first argument is a file for the lines that were not run.

use strict;
use warnings;

use JSON::PP;

my $missed = shift // die "coverage.pl MISSED DIRECTORY...\n";
my (%line, %branch);

for my $dir (@ARGV) {
    next if !-d $dir;

    for my $file (split /\n/, `find '$dir' -name '*.gcda'`) {
        my ($object) = $file =~ m{(.*)/};
        my $text = `cd '$object' && gcov -t -b -j '$file' 2>/dev/null`;
        next if $text eq '';

        read_counts(decode_json($_)) for grep { /^\{/ } split /\n/, $text;
    }
}

my @all = (0, 0, 0, 0);

printf "%-42s %14s %16s\n", '', 'lines', 'branches';

for my $source (sort keys %line) {
    my @lines = values %{ $line{$source} };
    my @branches = map { @$_ } values %{ $branch{$source} // {} };
    my @counts = (scalar(grep { $_ } @lines), scalar(@lines),
        scalar(grep { $_ } @branches), scalar(@branches));

    $all[$_] += $counts[$_] for 0 .. 3;
    show($source, @counts);
}

show('all', @all);
write_missed($missed);
exit($all[1] ? 0 : 1);


sub read_counts {
    my ($data) = @_;

    for my $file (@{ $data->{files} }) {
        my ($name) = $file->{file} =~ m{(ngx_(?:http_)?intuit_\w+\.[ch])$};
        next if !defined $name || $file->{file} =~ m{/t/|_stub};

        for my $l (@{ $file->{lines} }) {
            my $number = $l->{line_number};
            $line{$name}{$number} += $l->{count};

            my $sums = $branch{$name}{$number} //= [];
            my $i = 0;

            $sums->[$i++] += $_->{count} for @{ $l->{branches} };
        }
    }
}

sub show {
    my ($name, @c) = @_;

    printf "%-42s %5d/%-5d %3d%% %5d/%-5d %3d%%\n", $name,
        $c[0], $c[1], $c[1] ? 100 * $c[0] / $c[1] : 0,
        $c[2], $c[3], $c[3] ? 100 * $c[2] / $c[3] : 0;
}

# "file:line: text" of each line that was not run.
sub write_missed {
    my ($path) = @_;
    open my $out, '>', $path or die "$path: $!\n";

    for my $source (sort keys %line) {
        my ($file) = grep { -e } map { "$_/$source" } 'src', '.';
        open my $in, '<', $file // next or die "$file: $!\n";
        my @text = <$in>;

        print {$out} "$file:$_: $text[$_ - 1]"
            for grep { !$line{$source}{$_} } sort { $a <=> $b }
                keys %{ $line{$source} };
    }
}
