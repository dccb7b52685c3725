package Test::Intuit::Refresh;

# What the tests of refreshing have in common: one company's API call, what the
# simulator was asked and answers, and a clock for nginx.

use strict;
use warnings;

use Exporter qw(import);
use POSIX ();

our @EXPORT = qw(watch call sent used log_has answer clock minutes now
    forward start_faked no_clock valid);

my $api = '/v3/company/-/companyinfo/9130347957983546';
my ($t, $start, $minutes);


# the harness that the others mean
sub watch { ($t, $start, $minutes) = ($_[0], time, 0) }

sub call { return $t->get($api, -json => 1, @_) }

# the refresh tokens that were sent
sub sent {
    return map { $_->{body} =~ /refresh_token=([^&]+)/ ? $1 : () }
        $t->sim->journal(kind => 'token', grant_type => 'refresh_token');
}

# the access token of the last API call
sub used {
    my ($last) = reverse grep { $_->{method} eq 'GET' }
        $t->sim->journal(kind => 'api');
    return $last->{headers}{authorization} =~ s/^Bearer //r;
}

sub log_has {
    my ($pattern) = @_;
    return scalar grep { /$pattern/ } $t->log_lines;
}

sub answer {
    my ($action, $times) = @_;
    $t->sim->script({ kind => 'token', match => { grant_type =>
        'refresh_token' }, times => $times // 1, action => $action });
}

# nginx's clock stands still between; the file is replaced at once: nginx must
# not read half of it
sub clock {
    $minutes += $_[0];
    $t->write_file('clock.new', POSIX::strftime("%Y-%m-%d %H:%M:%S\n",
        localtime $start + 60 * $minutes));
    rename $t->dir . '/clock.new', $t->dir . '/clock' or die "clock: $!";
}

# how far it is ahead by now
sub minutes { return $minutes }

# what it shows
sub now { return $start + 60 * $minutes }

# nginx's clock, and Intuit's, which goes on from there
sub forward {
    clock($_[0]);
    $t->sim->config(clock_offset => now() - time);
}

# why there is no such clock here, or nothing
sub no_clock {
    return 'libfaketime is not installed' if !faketime();
    return 'not with AddressSanitizer' if ($ENV{TEST_VARIANT} // '') eq 'asan';
    return;
}

sub faketime { return (glob '/usr/lib/*/faketime/libfaketime.so.1')[0] }

# starts nginx with this clock; its conf names these variables with "env"
sub start_faked {
    local @ENV{qw(LD_PRELOAD FAKETIME_TIMESTAMP_FILE FAKETIME_NO_CACHE
        FAKETIME_DONT_FAKE_MONOTONIC)} = (faketime(), $t->dir . '/clock', 1, 1);
    return $t->start(@_);
}

# the access token of the company's pair that can be refreshed
sub valid {
    my ($pair) = grep { ($_->{realm} // '') eq '9130347957983546'
        && $_->{refresh_state} eq 'current' && $_->{state} eq 'active' }
        reverse $t->sim->tokens;
    return $pair->{access_token};
}


1;
