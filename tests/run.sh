#!/bin/sh
# Runs the given test programs and pytest folders, prints their output, and closes with
# "N passed, N failed". Exit status 1 if a test failed or a program ended without a report.
set -u
# Tests that choose at random draw from it; to be given again to repeat a run.
KILL_SEED=${KILL_SEED:-$(od -An -N4 -tu4 /dev/urandom | tr -d ' ')}
export KILL_SEED
echo "KILL_SEED=$KILL_SEED"
passed=0 failed=0

add() { # program, passed, failed, exit status
    if [ "$4" != 0 ] && [ "$3" = 0 ]; then
        echo "$1: ended with status $4"
        failed=$((failed + 1))
    fi
    passed=$((passed + $2)) failed=$((failed + $3))
}

for test in "$@"; do
    if [ -d "$test" ]; then
        ls "$test"/test_*.py >/dev/null 2>&1 || continue
        output=$(/usr/bin/python3 -m pytest -q -p no:cacheprovider "$test" 2>&1)
        status=$?
        printf '%s\n' "$output"
        last=$(printf '%s\n' "$output" | tail -n 1)
        good=$(printf '%s\n' "$last" | sed -n 's/.*[^0-9]*\b\([0-9][0-9]*\) passed.*/\1/p')
        bad=$(printf '%s\n' "$last" | grep -oE '[0-9]+ (failed|error)' | awk '{n += $1} END {print n + 0}')
    else
        output=$("$test" 2>&1)
        status=$?
        printf '%s\n' "$output"
        good=$(printf '%s\n' "$output" | grep -c '^\[       OK \]')
        # cmocka repeats the names of failed tests in its summary.
        bad=$(printf '%s\n' "$output" | sed -n 's/^\[  FAILED  \] \([a-z_0-9]*\)$/\1/p' | sort -u | wc -l)
    fi
    add "$test" "${good:-0}" "${bad:-0}" "$status"
done
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
