package Test::Intuit::Jar;

# A browser's cookies for one host.  It remembers every value that it ever
# held: none of them may appear in a log.

use strict;
use warnings;


sub new { bless { cookies => {}, seen => {} }, $_[0] }

sub clone {
    my ($self) = @_;
    return bless { cookies => { map { $_ => { %{ $self->{cookies}{$_} } } }
        keys %{ $self->{cookies} } }, seen => $self->{seen} }, ref $self;
}

# Takes the Set-Cookie headers of a response.
sub take {
    my ($self, $response) = @_;

    for my $header ($response->header('Set-Cookie')) {
        my ($pair, @attributes) = split /\s*;\s*/, $header;
        my ($name, $value) = $pair =~ /^([^=]*)=(.*)$/s or next;
        my %attribute = map { /^([^=]*)=?(.*)$/s; (lc $1 => $2) } @attributes;

        $self->{seen}{$value} = 1 if $value ne '';

        if (gone(\%attribute)) {
            delete $self->{cookies}{$name};
            next;
        }

        $self->{cookies}{$name} = { value => $value,
            path => $attribute{path} || '/', attributes => \%attribute,
            header => $header };
    }

    return $self;
}

sub gone {
    my ($attribute) = @_;

    return $attribute->{'max-age'} <= 0
        if ($attribute->{'max-age'} // '') =~ /^-?\d+$/;

    return ($attribute->{expires} // '') =~ /\b(?:19\d\d|200\d)\b/;
}

# The value of a Cookie header for this path, undef when there is none.
sub header_for {
    my ($self, $path) = @_;
    my @pairs;

    $path =~ s/[?#].*//s;

    for my $name (sort keys %{ $self->{cookies} }) {
        my $cookie = $self->{cookies}{$name};

        push @pairs, "$name=$cookie->{value}"
            if path_matches($path, $cookie->{path});
    }

    return @pairs ? join('; ', @pairs) : undef;
}

sub path_matches {
    my ($path, $prefix) = @_;

    return $path eq $prefix
        || (index($path, $prefix) == 0
            && ($prefix =~ m{/$} || substr($path, length $prefix, 1) eq '/'));
}

sub names  { sort keys %{ $_[0]{cookies} } }
sub get    { ($_[0]{cookies}{$_[1]} // {})->{value} }
sub cookie { $_[0]{cookies}{$_[1]} }
sub remove { delete $_[0]{cookies}{$_[1]}; $_[0] }
sub clear  { $_[0]{cookies} = {}; $_[0] }

sub set {
    my ($self, $name, $value, $path) = @_;

    $self->{seen}{$value} = 1 if $value ne '';
    $self->{cookies}{$name} = { value => $value, path => $path // '/',
        attributes => {} };
    return $self;
}

# Any other secret that this browser has seen: the state of a login.
sub saw    { $_[0]{seen}{$_} = 1 for @_[1 .. $#_]; $_[0] }
sub values { sort keys %{ $_[0]{seen} } }


1;
