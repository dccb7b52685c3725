package Log;

# What runs says "intuit" first in each of its log lines, and shows nothing
# that is secret in any.

use strict;
use warnings;

# No log line has a member or a variable of these names.
my $SECRET = qr/(?:->|\.|\b)(access_token|refresh_token|id_token|client_secret|secret
    |code|code_verifier|verifier|challenge|nonce|state|basic|bearer|authorization
    |cookie|signature|payload|claims|userinfo_text|sealed|answer|body|args|unparsed_uri
    |request_line|secret_bytes|key_bytes)\b(?!\s*(?:\(|\.\s*len|\.\s*nelts|->))/x;


sub check {
    my ($tree) = @_;
    my ($found, @wrong) = (0);

    for my $path ($tree->c_files) {
        my $text = $tree->uncommented($path);

        while ($text =~ /\b(ngx_(?:conf_)?log_(?:error|debug\d?|abort))(\((?:[^()"]|"(?:[^"\\]|\\.)*"|(?2))*\))/g) {
            my ($call, $arguments, $offset) = ($1, $2, $-[0]);
            $found++;

            my $all = join '', $arguments =~ /"((?:[^"\\]|\\.)*)"/g;
            my ($format) = $arguments =~ /"((?:[^"\\]|\\.)*)"/;
            my $values = $arguments =~ s/"(?:[^"\\]|\\.)*"/""/gr;

            # what is said while the configuration is read names a directive
            my $early = $call eq 'ngx_conf_log_error'
                || $arguments =~ /\b(?:cf->log|zone->shm\.log)\b/;

            push @wrong, Tree::place($path, $text, $offset,
                'the line does not begin with "intuit"')
                if !$early && ($format // '') !~ /^intuit /;

            push @wrong, map { Tree::place($path, $text, $offset,
                "\"$_\" in a log line") } $values =~ /$SECRET/g;
        }
    }

    return $found ? @wrong : 'found nothing: log lines';
}


sub controls {
    my $plant = sub {
        my ($line, $said) = @_;
        return [ 'src/ngx_http_intuit_exchange.c',
            sub { "$_[0]\n\nvoid x() {\n    $line\n}\n" }, $said ];
    };

    return (
        $plant->('ngx_log_error(NGX_LOG_INFO, job->log, 0, "asks");',
            qr/does not begin with "intuit"/),
        $plant->('ngx_log_debug1(NGX_LOG_DEBUG_HTTP, log, 0, "x: %V", &y);',
            qr/does not begin with "intuit"/),
        $plant->('ngx_log_error(NGX_LOG_INFO, job->log, 0, "intuit has \"%V\"",'
            . "\n                  &ctx->tokens.access_token);",
            qr/"access_token" in a log/),
        $plant->('ngx_log_error(NGX_LOG_INFO, log, 0, "intuit %V", &provider->client_secret);',
            qr/"client_secret" in a log/),
        $plant->('ngx_log_error(NGX_LOG_INFO, log, 0, "intuit %V", &code);',
            qr/"code" in a log/),
        $plant->('ngx_log_debug1(NGX_LOG_DEBUG_HTTP, log, 0, "intuit %V", &ctx->in.code);',
            qr/"code" in a log/),
        $plant->('ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "bad %V", &provider->basic);',
            qr/"basic" in a log/),
        $plant->('ngx_log_error(NGX_LOG_INFO, log, 0, "intuit %*s", n, attempt.nonce);',
            qr/"nonce" in a log/),
        $plant->('ngx_log_error(NGX_LOG_INFO, log, 0, "intuit %V", &fetch->answer);',
            qr/"answer" in a log/),
    );
}


1;
