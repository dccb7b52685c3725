package Test::Intuit::Oidc;

# The second identity provider, npm's oidc-provider, as a child process: what
# it can be told to do is described in t/oidc/provider.mjs.

use strict;
use warnings;

use Cwd qw(abs_path);
use File::Basename qw(dirname);
use IO::Select;
use JSON::PP ();
use POSIX ();
use Test::More ();

use constant {
    PATIENCE => 60,
    HOPS     => 8,      # redirects between the authorization and the callback
};

my $TOP = abs_path(dirname(__FILE__) . '/../../../..');


# Before anything is started: the whole test is left out where the package is
# not there ("make test" installs it, and fails when it cannot).
sub needed {
    return if -e "$TOP/t/node_modules/oidc-provider/package.json";

    Test::More::plan(skip_all =>
        'oidc-provider is not installed; t/tools/setup.sh test does it');
}

# t: the test; client_id, client_secret, redirect_uri; pkce => 1: required
sub start {
    my ($class, %o) = @_;
    my $t = $o{t};

    my $self = bless { t => $t, dir => $t->dir, owner => $$ }, $class;

    my @options = map { ('--' . tr/_/-/r, $o{$_}) }
        qw(client_id client_secret redirect_uri);
    push @options, '--pkce' if $o{pkce};

    pipe my $out_read, my $out_write or die "pipe: $!";
    pipe my $in_read, my $in_write or die "pipe: $!";

    my $pid = fork // die "fork: $!";

    if ($pid == 0) {
        open STDIN, '<&', $in_read;
        open STDOUT, '>&', $out_write;
        open STDERR, '>', "$self->{dir}/oidc.stderr";
        close $in_write;
        exec 'node', "$TOP/t/oidc/provider.mjs", @options
            or POSIX::_exit(127);
    }

    close $out_write;
    close $in_read;

    @$self{qw(pid stdin)} = ($pid, $in_write);

    my $line = '';

    while ($line !~ /\n/) {
        IO::Select->new($out_read)->can_read(PATIENCE)
            && sysread $out_read, $line, 4096, length $line
            or die "oidc-provider did not start:\n",
                $t->read_file('oidc.stderr');
    }

    $self->{info} = JSON::PP->new->decode($line);
    $t->secret($o{client_secret});

    return $self;
}

sub base { $_[0]{info}{base} }
sub port { $_[0]{info}{port} }

sub control {
    my ($self, $method, $path, $data) = @_;
    my $body = defined $data ? JSON::PP->new->utf8->encode($data) : '';
    my $r = $self->{t}->request($method, "/control/$path", -port => $self->port,
        -body => $body);

    $r->status == 200 or die "oidc-provider: $method $path: ", $r->body, "\n";
    return $r->json;
}

sub rotate { $_[0]->control('POST', 'rotate') }
sub forge  { $_[0]->control('POST', 'forge', { id_token => $_[1] }) }
sub hold   { $_[0]->control('POST', 'hold') }

# lose => 1: what was held reaches the provider, but is not answered
sub release {
    my ($self, %o) = @_;
    $self->control('POST', 'release', { lose => $o{lose} ? \1 : \0 });
}

# The requests that came; all that is secret in them is told to the test.
sub journal {
    my ($self, $path) = @_;
    my @all = @{ $self->control('GET', 'journal') };

    for my $entry (@all) {
        $self->{t}->secret(grep { defined && length } $entry->{form}{code},
            $entry->{form}{code_verifier}, $entry->{query}{state},
            $entry->{authorization} =~ /(\S+)$/ ? $1 : undef,
            $entry->{form}{refresh_token},
            map { $entry->{answer}{$_} } qw(access_token id_token refresh_token));
    }

    return grep { !defined $path || $_->{path} eq $path } @all;
}

sub count {
    my ($self, $path) = @_;
    return scalar(my @found = $self->journal($path));
}

# The browser's way from an authorization URL to the callback, whose URL is
# returned.  The provider's own cookies are in a jar of this login.
sub authorize {
    my ($self, $url) = @_;
    my $jar = $self->{t}->jar;
    my $base = $self->base;

    for (1 .. HOPS) {
        my ($path) = $url =~ m{^\Q$base\E(/.*)} or return $url;

        my $r = $self->{t}->get($path, -port => $self->port, -jar => $jar,
            Host => '127.0.0.1:' . $self->port);

        $url = $r->header('Location')
            // die "no redirect from $path: ", $r->status, "\n", $r->body;
        $url = "$base$url" if $url =~ m{^/};
    }

    die "too many redirects\n";
}

# A whole login: the response of the callback.  realm: the company that the
# browser brings along, as it does from Intuit.
sub login {
    my ($self, $jar, $path, %o) = @_;
    my $t = $self->{t};

    my $r = $t->get($path, -browser => 1, -jar => $jar);
    my $url = $self->authorize($r->header('Location') // return $r);

    $self->{callback} = $url =~ s{^https?://[^/]*}{}r;
    $self->{callback} .= "&realmId=$o{realm}" if defined $o{realm};
    $t->secret($1) while $url =~ /[?&](?:code|state)=([^&]+)/g;

    return $t->get($self->{callback}, -browser => 1, -jar => $jar,
        'Sec-Fetch-Site' => 'cross-site');
}

sub stop {
    my ($self) = @_;

    return if !$self->{pid} || $self->{owner} != $$;

    my $pid = delete $self->{pid};
    local $?;

    close $self->{stdin};
    kill 'TERM', $pid;
    waitpid $pid, 0;
}

sub DESTROY { $_[0]->stop }


1;
