#!/bin/bash

# The man page, from the directive reference and the page about variables:
#
#     man.sh docs > ngx_http_intuit_auth_module.5

set -eu

docs=${1:?which docs?}

{
    printf 'title: NGX_HTTP_INTUIT_AUTH_MODULE\nsection: 5\n'
    printf 'volume: nginx modules\n\n'
    printf '## Name\n\nngx_http_intuit_auth_module - %s\n\n' \
        'Intuit (QuickBooks) OAuth for nginx'
    printf '## Example\n\n'
    sed -n '/^```nginx$/,/^```$/p; /^```$/q' "$docs/../README.md"
    echo

    # a page's title is a section of this one
    for page in reference variables; do
        sed 's/^# /## /' "$docs/$page.md"
        echo
    done

    printf '## See also\n\n/usr/share/doc/%s/docs\n' \
        libnginx-mod-http-intuit-auth
} | sed -e 's/^##/#/' -e 's/\[\([^]]*\)\]([^)]*)/\1/g' \
    | lowdown -s -tman --parse-no-intraemph -
