#!/usr/bin/perl

# Draws sequences: NAME.svg beside each NAME.diagram.
#
#     diagram.pl docs/*.diagram
#
# A line is one of
#
#     title: TEXT            desc: TEXT, for those who cannot see it
#     actors: A | B | C      from left to right
#     A -> B: TEXT           an arrow
#     note A: TEXT           what A does by itself
#
# The picture brings its own ground, in light and in dark: it can be read
# on any page.

use strict;
use warnings;

use constant {
    CHAR => 7.3,                # of 13 pixels, on the average and a little more
    ROW  => 34,
    TOP  => 84,
    EDGE => 20,
};

my $STYLE = <<'CSS';
svg{color-scheme:light dark}
.g{fill:#fff}.a{fill:#eef3f0;stroke:#0b6b34}.n{fill:#fdf6e0;stroke:#835100}
.l{stroke:#9aa5af;stroke-dasharray:3 4}.m{stroke:#0b6b34;stroke-width:1.5}
.h{fill:#0b6b34}text{fill:#1a1f24;font:13px system-ui,sans-serif}.b{font-weight:600}
.s{stroke:#fff;stroke-width:6px;paint-order:stroke}
@media(prefers-color-scheme:dark){.g{fill:#12161a}.a{fill:#1c2b23;stroke:#63d391}
.n{fill:#2e2713;stroke:#f0b955}.l{stroke:#5b6670}.m{stroke:#63d391}
.h{fill:#63d391}text{fill:#e9edf1}.s{stroke:#12161a}}
CSS


die "which diagrams?\n" if !@ARGV;

for my $source (@ARGV) {
    my $target = $source =~ s/\.diagram$/.svg/r;
    die "$source: not named .diagram\n" if $target eq $source;

    open my $in, '<', $source or die "$source: $!\n";
    my $svg = draw($source, <$in>);

    open my $out, '>', $target or die "$target: $!\n";
    print $out $svg;
    close $out or die "$target: $!\n";
}


sub draw {
    my ($source, @lines) = @_;
    my (%said, @steps);

    for (@lines) {
        next if !/\S/;

        if (/^(title|desc|actors):\s*(.+?)\s*$/) {
            $said{$1} = $2;

        } elsif (/^note (.+?):\s*(.+?)\s*$/) {
            push @steps, [ $1, undef, $2 ];

        } elsif (/^(.+?) -> (.+?):\s*(.+?)\s*$/) {
            push @steps, [ $1, $2, $3 ];

        } else {
            die "$source:$.: not understood: $_";
        }
    }

    die "$source: needs title, desc and actors\n" if keys %said != 3;

    my @actors = split /\s*\|\s*/, $said{actors};
    my %at = map { $actors[$_] => $_ } 0 .. $#actors;

    for my $name (map { grep { defined } @$_[0, 1] } @steps) {
        die "$source: \"$name\" is no actor\n" if !exists $at{$name};
    }

    my @x = columns(\@actors, \%at, @steps);
    my $width = $x[-1] + box($actors[-1]) / 2 + EDGE;
    my $height = TOP + @steps * ROW + EDGE;
    my @out = (head(\%said, $width, $height));

    push @out, map { lane($actors[$_], $x[$_], $height) } 0 .. $#actors;

    for my $n (0 .. $#steps) {
        my ($from, $to, $text) = @{ $steps[$n] };
        my $y = TOP + ($n + 0.6) * ROW;

        push @out, defined $to ? arrow($x[$at{$from}], $x[$at{$to}], $y, $text)
            : note($x[$at{$from}], $y, $text);
    }

    return join('', @out) . "</svg>\n";
}

# how far the lanes are apart: what is said between two has to find its place
sub columns {
    my ($actors, $at, @steps) = @_;
    my @gap = map { (box($actors->[$_]) + box($actors->[$_ + 1])) / 2 + EDGE }
        0 .. $#$actors - 1;

    for my $step (sort { span($at, $a) <=> span($at, $b) } @steps) {
        my ($from, $to, $text) = @$step;
        my ($left, $right) = sort { $a <=> $b } $at->{$from}, $at->{ $to // $from };
        my $room = CHAR * length($text) + 2 * EDGE;

        # a note stands around its lane
        if ($left == $right) {
            $gap[$_] = max($gap[$_], $room / 2 + EDGE)
                for grep { $_ >= 0 && $_ <= $#gap } $left - 1, $left;
            next;
        }

        my $there = 0;
        $there += $gap[$_] for $left .. $right - 1;
        $gap[$_] += max(0, $room - $there) / ($right - $left) for $left .. $right - 1;
    }

    my @x = (EDGE + box($actors->[0]) / 2);

    for my $step (grep { !defined $_->[1] && $_->[0] eq $actors->[0] } @steps) {
        $x[0] = max($x[0], EDGE + CHAR * length($step->[2]) / 2 + 10);
    }

    push @x, $x[-1] + $_ for @gap;
    return map { int($_ + 0.5) } @x;
}

sub span {
    my ($at, $step) = @_;
    return defined $step->[1] ? abs($at->{ $step->[0] } - $at->{ $step->[1] }) : 0;
}

sub box { CHAR * length($_[0]) + 28 }

sub max { $_[0] > $_[1] ? $_[0] : $_[1] }

sub escaped {
    my ($text) = @_;
    my %entity = ('&' => '&amp;', '<' => '&lt;', '>' => '&gt;');
    return $text =~ s/([&<>])/$entity{$1}/gr;
}

sub head {
    my ($said, $width, $height) = @_;
    my ($title, $desc) = map { escaped($_) } @$said{qw(title desc)};

    $width = int $width;
    $height = int $height;

    return <<"SVG";
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 $width $height" width="$width" height="$height" role="img" aria-labelledby="t d">
<title id="t">$title</title>
<desc id="d">$desc</desc>
<style>
$STYLE</style>
<rect class="g" width="$width" height="$height" rx="8"/>
<text class="b" x="@{[ EDGE ]}" y="28">$title</text>
SVG
}

sub lane {
    my ($name, $x, $height) = @_;
    my $wide = box($name);

    return sprintf("<path class=\"l\" d=\"M%d %dV%d\"/>\n", $x, TOP - 14, $height - 12)
        . sprintf("<rect class=\"a\" x=\"%d\" y=\"%d\" width=\"%d\" height=\"28\" rx=\"6\"/>\n",
            $x - $wide / 2, TOP - 42, $wide)
        . sprintf("<text class=\"b\" x=\"%d\" y=\"%d\" text-anchor=\"middle\">%s</text>\n",
            $x, TOP - 23, escaped($name));
}

sub arrow {
    my ($from, $to, $y, $text) = @_;
    my $back = $to > $from ? -8 : 8;

    # the words first: their ground must not hide the line
    return words('s', ($from + $to) / 2, $y - 6, $text)
        . sprintf("<path class=\"m\" d=\"M%d %dH%d\"/>\n", $from, $y, $to + $back)
        . sprintf("<path class=\"h\" d=\"M%d %dl%d -5v10z\"/>\n", $to, $y, $back);
}

sub note {
    my ($x, $y, $text) = @_;
    my $wide = CHAR * length($text) + 20;

    return sprintf("<rect class=\"n\" x=\"%d\" y=\"%d\" width=\"%d\" height=\"22\" rx=\"4\"/>\n",
            $x - $wide / 2, $y - 15, $wide)
        . words('w', $x, $y, $text);
}

sub words {
    my ($class, $x, $y, $text) = @_;
    return sprintf("<text class=\"%s\" x=\"%d\" y=\"%d\" text-anchor=\"middle\">%s</text>\n",
        $class, $x, $y, escaped($text));
}
