package Bench::Stampede;

# Table three: everybody comes at once, and the access token has just expired.
# How many refreshes are made, who fails, and how long the last one waits.

use strict;
use warnings;

use Time::HiRes qw(time sleep);

use Bench::Contenders;
use Bench::Figures;

use constant DELAY => 200;     # ms, of the token call


sub run {
    my ($class, $site, $say, %o) = @_;
    my @rows;

    for my $c (grep { $_->{stampede} } Bench::Contenders::all()) {
        for my $crowd (50, 1000) {
            $say->("$crowd at once on an expired token: $c->{name}");
            push @rows, one($site, $c, $crowd);
        }
    }

    return \@rows;
}

sub one {
    my ($site, $c, $crowd) = @_;
    my $sim = $site->sim;

    # what is taken to live for a second, and lives for an hour
    $sim->script({ kind => 'token', times => 1,
        action => { merge => { expires_in => 1 } } });

    my $n = $site->start($c, label => "-$crowd", threads => $crowd + 24);
    my $until = time + 2;

    # the new token is not known yet: any of its length will do
    my $old = $n->{token};
    $n->{any_token} = 1;
    $site->tokens;

    sleep $until - time if time < $until;

    $sim->script({ kind => 'token', times => -1,
        action => { delay_ms => DELAY } });

    my $before = $sim->count(grant_type => 'refresh_token');
    my $r = $site->load($n, -c => $crowd, -n => $crowd);
    my @calls = ($sim->journal(grant_type => 'refresh_token'))
        [ $before .. $sim->count(grant_type => 'refresh_token') - 1 ];

    # the same crowd, when there is nothing to wait for
    my $then = $site->load($n, -c => $crowd, -n => $crowd);
    my $good = $r->{status}{ $c->{answer} } // 0;

    $sim->control('DELETE', '/script');
    $site->stop($n);

    return {
        name     => $c->{name},
        title    => $c->{title},
        crowd    => $crowd,
        calls    => scalar @calls,
        refused  => scalar(grep { ($_->{status} // 0) != 200 } @calls),
        failures => $r->{sent} - $good,
        later    => $then->{sent} - ($then->{status}{ $c->{answer} } // 0),
        last     => $r->{max} / 1000,
        usual    => $then->{max} / 1000,
    };
}

sub markdown {
    my ($class, $rows) = @_;

    return Bench::Figures::table(
        [ 'contender', 'at once', 'token calls', 'refused', 'failures',
            'failures after it', 'last answer ms', 'beyond the ' . DELAY
            . ' ms', 'last answer with a fresh token ms' ],
        map { [ $_->{title}, $_->{crowd}, $_->{calls}, $_->{refused},
            $_->{failures}, $_->{later}, sprintf('%.0f', $_->{last}),
            sprintf('%+.0f', $_->{last} - DELAY),
            sprintf('%.0f', $_->{usual}) ] } @$rows);
}


1;
