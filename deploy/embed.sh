#!/bin/sh
# embed.sh migrations FILE... - writes SQL files as a C array of { name, text, suits }, in the
#   order given. A line "-- suits: N" says the oldest schema whose programs still work beside the
#   step; without it, it is the step's own.
# embed.sh web FILE... - writes the pages' files as a C array of { name, text }.
set -eu
kind=$1
shift

text() { # file: its lines as C strings
    sed -e 's/\\/\\\\/g' -e 's/"/\\"/g' -e 's/^/      "/' -e 's/$/\\n"/' "$1"
}

if [ "$kind" = web ]; then
    echo '#include "handlers/handler.h"'
    echo 'const struct web_file web_files[] = {'
    for file in "$@"; do
        printf '    { "%s", STR(\n' "$(basename "$file")"
        text "$file"
        echo '    ) },'
    done
else
    echo '#include "common/db/migrate.h"'
    echo 'const struct migration migrations[] = {'
    number=0
    for file in "$@"; do
        number=$((number + 1))
        suits=$(sed -n 's/^-- suits: \([0-9]*\)$/\1/p' "$file")
        printf '    { "%s",\n' "$(basename "$file" .sql)"
        text "$file"
        echo "    , ${suits:-$number} },"
    done
fi
echo '    { 0 }'
echo '};'
