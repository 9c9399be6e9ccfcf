#!/bin/sh
# Runs the given test programs, pytest folders and pytest files, prints their output, and closes
# with "N passed, N failed". Exit status 1 if a test failed or a program ended without a report.
# TEST_REPORTS: the folder where programs built with sanitizers report; a report is a failure.
set -u
# Tests that choose at random draw from it; to be given again to repeat a run.
KILL_SEED=${KILL_SEED:-$(od -An -N4 -tu4 /dev/urandom | tr -d ' ')}
export KILL_SEED
echo "KILL_SEED=$KILL_SEED"
passed=0 failed=0

# Everyone may write there: some tests run programs as another user.
if [ -n "${TEST_REPORTS:-}" ]; then
    rm -rf "$TEST_REPORTS"
    mkdir -p "$TEST_REPORTS"
    chmod 1777 "$TEST_REPORTS"
    export ASAN_OPTIONS="abort_on_error=1:detect_leaks=1:log_path=$TEST_REPORTS/report"
    export UBSAN_OPTIONS="abort_on_error=1:print_stacktrace=1:log_path=$TEST_REPORTS/report"
fi

add() { # program, passed, failed, exit status
    if [ "$4" != 0 ] && [ "$3" = 0 ]; then
        echo "$1: ended with status $4"
        failed=$((failed + 1))
    fi
    passed=$((passed + $2)) failed=$((failed + $3))
}

for test in "$@"; do
    if [ -d "$test" ] || [ "$test" != "${test%.py}" ]; then
        output=$(/usr/bin/python3 -m pytest -q -rs -p no:cacheprovider "$test" 2>&1)
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
if [ -n "${TEST_REPORTS:-}" ]; then
    reports=0
    for report in "$TEST_REPORTS"/*; do
        [ -e "$report" ] || continue
        cat "$report"
        reports=$((reports + 1))
    done
    echo "$reports reports of the sanitizers"
    failed=$((failed + reports))
fi
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
