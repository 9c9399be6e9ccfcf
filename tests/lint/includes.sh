#!/bin/sh
# Includes point one way: base <- bus, http, metrics, receipt, ws <- trace <- db <- store, auth <-
# handlers <- fcgi, cli; debated and streamd see common only. Prints each that does not; exit status 1.
set -u
cd "$(dirname "$0")/../.." || exit 1
status=0

check() { # folder, pattern of what it may include
    [ -d "$1" ] || return 0
    found=$(grep -rnE '^#include "' "$1" --include='*.c' --include='*.h' |
        grep -vE "#include \"($2)")
    if [ -n "$found" ]; then
        printf '%s\n' "$found"
        status=1
    fi
}

base='common/base/'
low="$base|common/(db|bus|http|metrics|receipt|trace|ws)/"
common="$low|common/(store|auth)/"
check common/base "$base"
for folder in bus http metrics receipt ws; do
    check "common/$folder" "$base|common/$folder/"
done
check common/trace "$base|common/(http|metrics|trace)/"
check common/db "$base|common/(trace|db)/"
check common/auth "$common"
check common/store "$common"
check handlers "$common|handlers/handler.h|handlers/debates/(agents|status).h"
check fcgi "$common|handlers/handler.h|fcgi/"
check cli "$common|handlers/handler.h|fcgi/|cli/"
check debated "$common|debated/"
check streamd "$common|streamd/"
exit $status
