package Test::Intuit::Metrics;

# A strict reader of Prometheus' text format, version 0.0.4.
#
#     my ($metrics, @wrong) = parse($text);
#     value($metrics, 'intuit_sessions', label => 'value')
#
# Stricter than Prometheus itself: HELP and TYPE have to be there, once, in
# front of a family's samples, which stand together; no series comes twice; no
# timestamps; the names are those that its conventions ask for.

use strict;
use warnings;

use Exporter 'import';

our @EXPORT = qw(parse value series);

my $NAME = qr/[a-zA-Z_:][a-zA-Z0-9_:]*/;
my $LABEL = qr/[a-zA-Z_][a-zA-Z0-9_]*/;
my $QUOTED = qr/"(?:[^"\\\n]|\\[\\n"])*"/;
my $VALUE = qr/[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?|NaN|[-+]?Inf/;


sub parse {
    my ($text) = @_;
    my (%family, %series, @wrong, $now);
    my $line = 0;

    push @wrong, 'the last line has no end' if $text !~ /\n\z/;
    push @wrong, 'it is no UTF-8' if !utf8::decode(my $copy = $text);
    push @wrong, 'there is a carriage return' if $text =~ /\r/;

    for (split /\n/, $text, -1) {
        $line++;
        next if $_ eq '';

        if (/^# (HELP|TYPE) ($NAME) (.+)$/) {
            my ($what, $name, $rest) = ($1, $2, $3);
            my $entry = $family{$name} //= {};

            push @wrong, "$line: $what of $name again" if $entry->{$what};
            push @wrong, "$line: $what of $name after its samples"
                if $entry->{samples};
            push @wrong, "$line: TYPE before HELP"
                if $what eq 'TYPE' && !$entry->{HELP};
            push @wrong, "$line: what is a $rest?"
                if $what eq 'TYPE' && $rest !~ /^(?:counter|gauge)$/;
            push @wrong, "$line: an odd escape"
                if $what eq 'HELP' && $rest =~ /\\(?![\\n])/;

            $entry->{$what} = $rest;
            $now = $name;
            next;
        }

        if (!/^($NAME)(?:\{((?:$LABEL=$QUOTED)(?:,$LABEL=$QUOTED)*)\})? ($VALUE)$/) {
            push @wrong, "$line: no sample: $_";
            next;
        }

        my ($name, $labels, $value) = ($1, $2 // '', $3);
        my %labels;

        while ($labels =~ /($LABEL)=($QUOTED)/g) {
            push @wrong, "$line: the label $1 twice" if exists $labels{$1};
            push @wrong, "$line: a reserved label: $1" if $1 =~ /^__/;
            $labels{$1} = unquote($2);
        }

        my $key = join "\n", $name, map { "$_=$labels{$_}" } sort keys %labels;

        push @wrong, "$line: $name has no TYPE" if !$family{$name}{TYPE};
        push @wrong, "$line: $name is not together" if ($now // '') ne $name;
        push @wrong, "$line: the same series again" if $series{$key}++;
        push @wrong, "$line: a counter of $value"
            if ($family{$name}{TYPE} // '') eq 'counter' && $value !~ /^\d+$/;

        push @{ $family{$name}{samples} }, [ \%labels, $value ];
    }

    push @wrong, map { conventions($_, $family{$_}) } sort keys %family;
    push @wrong, 'there are no metrics' if !%family;

    return (\%family, @wrong);
}

# https://prometheus.io/docs/practices/naming/
sub conventions {
    my ($name, $family) = @_;
    my $type = $family->{TYPE} // '';
    my @wrong;

    push @wrong, "$name: does not begin with the application"
        if $name !~ /^intuit_/;
    push @wrong, "$name: a colon is for rules" if $name =~ /:/;
    push @wrong, "$name: a counter without _total"
        if $type eq 'counter' && $name !~ /_total$/;
    push @wrong, "$name: a $type with _total"
        if $type ne 'counter' && $name =~ /_total$/;
    push @wrong, "$name: not a base unit"
        if $name =~ /_(?:ms|milliseconds|minutes|hours|days|kb|kilobytes|mb|percent)(?:_|$)/;
    push @wrong, "$name: a name of a histogram" if $name =~ /_(?:bucket|sum|count)$/;
    push @wrong, "$name: no HELP" if !$family->{HELP};

    return @wrong;
}

sub unquote {
    my ($text) = @_;
    my %meant = (n => "\n", '\\' => '\\', '"' => '"');

    $text = substr $text, 1, -1;
    $text =~ s/\\(.)/$meant{$1}/g;

    return $text;
}

sub series {
    my ($metrics, $name, %labels) = @_;

    return grep {
        my $has = $_->[0];
        !grep { ($has->{$_} // '') ne $labels{$_} } keys %labels;
    } @{ $metrics->{$name}{samples} // [] };
}

# undef: there is none, or several
sub value {
    my @found = series(@_);
    return @found == 1 ? $found[0][1] : undef;
}


1;
