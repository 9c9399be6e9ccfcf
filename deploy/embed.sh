#!/bin/sh
# Writes the given SQL files as a C array of { name, text }, in the order given.
set -eu
echo '#include "common/db/migrate.h"'
echo 'const struct migration migrations[] = {'
for file in "$@"; do
    printf '    { "%s",\n' "$(basename "$file" .sql)"
    sed -e 's/\\/\\\\/g' -e 's/"/\\"/g' -e 's/^/      "/' -e 's/$/\\n"/' "$file"
    echo '    },'
done
echo '    { 0 }'
echo '};'
