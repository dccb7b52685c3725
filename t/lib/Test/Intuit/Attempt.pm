package Test::Intuit::Attempt;

# One login each, by a browser of its own, with a script for the simulator;
# and what has to be true of it whichever way it ends.

use strict;
use warnings;

use Exporter qw(import);
use Test::More ();

our @EXPORT = qw(attempt refused accepted);


# attempt($t, \@rules, realm => ..., user => ...): the callback's response
# (for an API client, so that an error is JSON) and the jar.  The journal and
# the scripts of before are gone.
sub attempt {
    my ($t, $rules, %o) = @_;
    my $jar = $t->jar;

    $t->sim->reset('journal', 'scripts');
    $t->sim->script(map { { times => -1, %$_ } } @$rules) if @$rules;

    my $r = $t->get('/', -jar => $jar, -browser => 1);
    my $location = $r->header('Location') // return ($r, $jar);
    my $callback = $t->consent($jar, $location, %o);

    return ($t->get($callback, -jar => $jar, -json => 1), $jar);
}

# Nobody is signed in, the code went out once and nothing else was asked for
# (asked => 'api 1 token 1' says so otherwise; documents and keys do not
# count), and no text of an answer, marked SECRETMARK, is shown.
sub refused {
    my ($t, $name, $status, $error, $rules, %o) = @_;
    my $expected = delete $o{asked} // 'token 1';
    my ($r, $jar) = attempt($t, $rules, %o);
    my $json = $r->json // {};
    my (%asked, @faults);

    # a connection that we closed is in the journal as well
    $asked{$_->{kind}}++ for grep { ($_->{via} // '') ne 'control'
        && ($_->{error} // '') !~ /^(?:ECONNRESET|EPIPE)$/
        && $_->{kind} !~ /^(?:discovery|jwks)$/ } $t->sim->journal;

    my $asked = join ' ', map { "$_ $asked{$_}" } sort keys %asked;

    push @faults, 'status ' . $r->status . ': ' . ($r->body // '')
        if $r->status != $status;
    push @faults, 'error ' . ($json->{error} // '')
        if ($json->{error} // '') ne $error;
    push @faults, 'no Retry-After'
        if $r->status == 503 && !$r->header('Retry-After');
    push @faults, 'a session' if grep { /^(?:__Host-)?intuit$/ } $jar->names;
    push @faults, 'text of the answer' if ($r->raw // '') =~ /SECRETMARK/i;
    push @faults, "asked: $asked" if $asked ne $expected;

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    return Test::More::is(join('; ', @faults), '', "$name: $status $error");
}

sub accepted {
    my ($t, $name, $rules, %o) = @_;
    my ($r, $jar) = attempt($t, $rules, %o);

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    Test::More::is($r->status, 302, "$name: accepted")
        or Test::More::diag($r->body);
    Test::More::is($t->get('/', -jar => $jar)->status, 200, 'and signed in');

    return $jar;
}


1;
