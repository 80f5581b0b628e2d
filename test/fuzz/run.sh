#!/bin/sh
# SPDX-License-Identifier: MIT
# Runs fuzz targets one after another: run.sh FOLDER SECONDS TARGET...
# A failing input is kept under FOLDER/failures and named; the last line is `N passed, N failed`.
folder=$1
seconds=$2
shift 2
passed=0
failed=0
mkdir -p "$folder/failures"
for target; do
    corpus=$folder/corpus/$target
    mkdir -p "$corpus" "$folder/seeds/$target"
    echo "== $target, $seconds s"
    if "$folder/$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
        -verbosity=0 -artifact_prefix="$folder/failures/$target-" "$corpus" "$folder/seeds/$target" \
        > "$folder/$target.log" 2>&1; then
        grep -E 'number_of_executed_units|new_units_added' "$folder/$target.log"
        echo "ok - $target"
        passed=$((passed + 1))
    else
        cat "$folder/$target.log"
        echo "not ok - $target; the failing input is the newest of $folder/failures/$target-*"
        failed=$((failed + 1))
    fi
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
