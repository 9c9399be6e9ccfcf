#!/bin/sh
# No source file is longer than 620 lines and no function than 60, from its opening brace to its
# closing one, both in the first column. Prints each that is; exit status 1.
set -u
cd "$(dirname "$0")/../.." || exit 1

git ls-files '*.c' '*.h' '*.py' '*.sh' | while read -r file; do
    [ ! -f "$file" ] || awk -v file="$file" '
        /^\{/ { open = FNR }
        /^\}/ && open {
            if (FNR - open + 1 > 60)
                printf "%s:%d: a function of %d lines\n", file, open, FNR - open + 1
            open = 0
        }
        END { if (FNR > 620) printf "%s: %d lines\n", file, FNR }' "$file"
done | {
    ! grep .
}
