package Bench::Apache;

# Apache with mod_auth_openidc, both Debian's, in front of the same upstream.
# It runs in the foreground, with its own configuration only.

use strict;
use warnings;

use Bench::Nginx;

our @ISA = ('Bench::Nginx');

use constant MODULES => '/usr/lib/apache2/modules';


sub there {
    return -x '/usr/sbin/apache2' && -e MODULES . '/mod_auth_openidc.so';
}

sub conf_of {
    my ($c, %o) = @_;
    my $workers = $o{workers} // 1;
    my $load = join '', map { "LoadModule ${_}_module @{[ MODULES ]}/mod_$_.so\n" }
        qw(mpm_event authn_core authz_core authz_user headers proxy
            proxy_http auth_openidc);

    return $load . <<"END" . <<'END';
StartServers $workers
MinSpareThreads 1
MaxSpareThreads 1000
ServerLimit $workers
ThreadsPerChild @{[ $o{threads} // 64 ]}
ThreadLimit @{[ $o{threads} // 64 ]}
MaxRequestWorkers @{[ $workers * ($o{threads} // 64) ]}
END
User www-data
Group www-data
ServerName localhost
ServerRoot %%DIR%%
PidFile %%DIR%%/apache.pid
DefaultRuntimeDir %%DIR%%
ErrorLog %%DIR%%/logs/error.log
LogLevel error
Listen 127.0.0.1:%%PORT_main%%
ListenBacklog 4096
KeepAlive On
MaxKeepAliveRequests 0
KeepAliveTimeout 300

OIDCProviderMetadataURL %%SIM%%/.well-known/openid_sandbox_configuration
OIDCProviderTokenEndpointAuth client_secret_basic
OIDCClientID sim-client-id
OIDCClientSecret sim-client-secret
OIDCScope "openid email com.intuit.quickbooks.accounting"
OIDCRedirectURI http://localhost:%%PORT_main%%/intuit/callback
OIDCCryptoPassphrase %%TOKEN%%
OIDCCacheType shm
OIDCCacheShmEntrySizeMax 65536
OIDCSessionType server-cache
OIDCSessionInactivityTimeout 3600
OIDCPassClaimsAs environment
OIDCRefreshAccessTokenBeforeExpiry 1

ProxyPass / http://127.0.0.1:%%UPSTREAM%%/ keepalive=On
ProxyPreserveHost Off

<Location />
    AuthType openid-connect
    Require valid-user
    RequestHeader set Authorization "Bearer %{OIDC_access_token}e"
</Location>
END
}

sub conf {
    my ($self, $text) = @_;

    $self->{main_port} = 'main';
    $self->{conf} = $self->expand($text);
    $self->write_file('apache.conf', $self->{conf});
    return $self;
}

sub start {
    my ($self) = @_;

    $self->{pid} = $self->spawn("$self->{dir}/logs/stderr.log",
        $self->valgrind, '/usr/sbin/apache2', '-d', $self->{dir}, '-f',
        "$self->{dir}/apache.conf", '-DFOREGROUND');

    $self->wait_until(sub { die $self->said if $self->gone;
        Test::Intuit::listening($self->port('main'))
            && (my @children = $self->children) == ($self->{conf} =~ /^StartServers (\d+)/m)[0]
    }) or die "Apache did not start:\n", $self->said;

    return $self;
}

sub children {
    my ($self) = @_;
    my @pids;

    for my $path (glob '/proc/[0-9]*/stat') {
        open my $fh, '<', $path or next;
        my ($pid, $parent) = (<$fh> // '') =~ /^(\d+) \(.*\) \w (\d+) /s
            or next;
        push @pids, $pid if $parent == ($self->{pid} // -1);
    }

    return sort { $a <=> $b } @pids;
}

sub stop {
    my ($self) = @_;

    return if !$self->{pid} || $self->{owner} != $$;

    kill 'TERM', $self->{pid};
    $self->wait_until(sub { $self->gone }) and return;

    kill 'KILL', $self->{pid}, $self->children;
    waitpid delete $self->{pid}, 0;
}

# at "LogLevel error" whatever is there is one; those of a stampede are counted
sub complaints {
    my ($self) = @_;
    return grep { /:(?:error|crit|alert|emerg)\]/ } $self->log_lines;
}


1;
