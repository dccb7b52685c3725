package Test::Intuit::Schema;

# A small JSON Schema validator: the keywords that our schema uses, and no
# other.  problems($schema, $value) is a list of what is wrong; a keyword that
# is not known is wrong, too, so that nothing passes unchecked.

use strict;
use warnings;

use Exporter 'import';
use JSON::PP ();

our @EXPORT = qw(problems);

my %CHECK = (
    type                 => \&check_type,
    const                => sub { same($_[0], $_[1]) ? () : "is not $_[0]" },
    enum                 => sub {
        my ($allowed, $value) = @_;
        return (grep { same($_, $value) } @$allowed) ? () : 'is not in the list';
    },
    minimum              => sub {
        my ($least, $value) = @_;
        return !is_number($value) || $value >= $least ? () : "is below $least";
    },
    pattern              => sub {
        my ($pattern, $value) = @_;
        return !is_string($value) || $value =~ /$pattern/ ? () : "is no $pattern";
    },
    required             => sub {
        my ($names, $value) = @_;
        return ref $value ne 'HASH' ? ()
            : map { "lacks $_" } grep { !exists $value->{$_} } @$names;
    },
    properties           => \&check_properties,
    additionalProperties => \&check_others,
    items                => \&check_items,
    '$ref'               => \&check_ref,
    map({ $_ => sub { () } } qw(description title $schema $defs)),
);


sub problems {
    my ($schema, $value, $root, $where) = @_;
    $root //= $schema;
    $where //= '';
    my @wrong;

    for my $word (sort keys %$schema) {
        my $check = $CHECK{$word}
            or (push @wrong, "$where: the schema says \"$word\"") && next;

        push @wrong, map { /^\// ? $_ : "$where: $_" }
            $check->($schema->{$word}, $value, $root, $where, $schema);
    }

    return @wrong;
}

# JSON::PP leaves numbers and strings apart by their flags
sub is_number {
    my ($value) = @_;
    return defined $value && !ref $value && JSON::PP->new->allow_nonref
        ->encode($value) =~ /^-?\d/;
}

sub is_string {
    my ($value) = @_;
    return defined $value && !ref $value && !is_number($value);
}

sub same {
    my ($one, $two) = @_;
    my $json = JSON::PP->new->allow_nonref->canonical;
    return $json->encode($one) eq $json->encode($two);
}

sub check_type {
    my ($types, $value) = @_;
    my %is = (
        null    => !defined $value,
        boolean => scalar JSON::PP::is_bool($value),
        object  => ref $value eq 'HASH',
        array   => ref $value eq 'ARRAY',
        string  => scalar is_string($value),
        number  => scalar is_number($value),
        integer => (is_number($value) && $value =~ /^-?\d+$/) ? 1 : 0,
    );
    my @types = ref $types ? @$types : $types;

    return (grep { $is{$_} } @types) ? () : "is no @types";
}

sub check_properties {
    my ($properties, $value, $root, $where) = @_;
    return if ref $value ne 'HASH';

    return map { problems($properties->{$_}, $value->{$_}, $root, "$where/$_") }
        grep { exists $value->{$_} } sort keys %$properties;
}

sub check_others {
    my ($rule, $value, $root, $where, $schema) = @_;
    return if ref $value ne 'HASH';

    my @others = grep { !exists $schema->{properties}{$_} } sort keys %$value;

    return map { "has $_" } @others if !ref $rule || JSON::PP::is_bool($rule);
    return map { problems($rule, $value->{$_}, $root, "$where/$_") } @others;
}

sub check_items {
    my ($rule, $value, $root, $where) = @_;
    return if ref $value ne 'ARRAY';

    return map { problems($rule, $value->[$_], $root, "$where/$_") }
        0 .. $#$value;
}

sub check_ref {
    my ($ref, $value, $root, $where) = @_;
    my ($name) = $ref =~ m{^#/\$defs/(\w+)$} or return "has an odd $ref";
    my $schema = $root->{'$defs'}{$name} or return "has no $ref";

    return problems($schema, $value, $root, $where);
}


1;
