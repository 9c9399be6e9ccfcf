#!/bin/sh
# Writes the given SQL files as a C array of { name, text, suits }, in the order given. A line
# "-- suits: N" says the oldest schema whose programs still work beside the step; without it, it
# is the step's own.
set -eu
echo '#include "common/db/migrate.h"'
echo 'const struct migration migrations[] = {'
number=0
for file in "$@"; do
    number=$((number + 1))
    suits=$(sed -n 's/^-- suits: \([0-9]*\)$/\1/p' "$file")
    printf '    { "%s",\n' "$(basename "$file" .sql)"
    sed -e 's/\\/\\\\/g' -e 's/"/\\"/g' -e 's/^/      "/' -e 's/$/\\n"/' "$file"
    echo "    , ${suits:-$number} },"
done
echo '    { 0 }'
echo '};'
