package Test::Intuit::Response;

# One HTTP response: status, headers in their order, body without chunking.

use strict;
use warnings;

use JSON::PP ();


sub new {
    my ($class, %fields) = @_;
    return bless { status => 0, headers => [], body => '', %fields }, $class;
}

sub status   { $_[0]{status} }
sub raw      { $_[0]{raw} }
sub body     { $_[0]{body} }

# Did the whole body arrive?
sub complete { $_[0]{complete} }

# The value of a header, undef without one; in list context all its values.
sub header {
    my ($self, $name) = @_;

    my @values = map { $_->[1] }
        grep { lc $_->[0] eq lc $name } @{ $self->{headers} };

    return wantarray ? @values : $values[0];
}

# [ name, value ] in the order of arrival
sub headers  { @{ $_[0]{headers} } }

# The body as data; undef when it is not JSON.
sub json {
    my ($self) = @_;
    return scalar eval { JSON::PP->new->utf8->decode($self->{body}) };
}

# Where a redirect goes to, without scheme and host.
sub path {
    my ($self) = @_;
    my $location = $self->header('Location') // return undef;

    $location =~ s{^https?://[^/?#]*}{};
    return $location eq '' ? '/' : $location;
}


1;
