#!/usr/bin/env bash
# Runs the tests (unit, integration and doc tests), shows their output as it comes, keeps it in
# test.log of the target folder, and ends with one line that counts them:
#
#     settle: 412 passed, 0 failed
#
# The exit status is cargo's, and 1 if no test ran: a run that tests nothing must not look green.
#
# Usage: scripts/test.sh [arguments of cargo test]      without arguments, the whole workspace
set -euo pipefail

repository="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
cd "$repository"

target="${CARGO_TARGET_DIR:-target}"
log="$target/test.log"
mkdir -p "$target"

if (($# == 0)); then
    set -- --workspace
fi
# Tests that fail must not hide those that come after them.
set -- test --release --locked --no-fail-fast "$@"

set +e
cargo "$@" 2>&1 | tee "$log"
statuses=("${PIPESTATUS[@]}")
set -e
cargo_status="${statuses[0]}"

if ((statuses[1] != 0)); then
    echo "test: the output could not be kept in $log, so the tests cannot be counted: is the disk full?" >&2
    exit 1
fi

summary="$(awk -f scripts/test_summary.awk "$log")"
if ((cargo_status != 0)) && [[ $summary == *" 0 failed"* ]]; then
    echo "test: cargo ended with status $cargo_status before the tests could run or report: see $log" >&2
fi

exit_status=$cargo_status
if [[ $summary == "settle: 0 passed, 0 failed"* ]] && ((cargo_status == 0)); then
    echo "test: no test ran" >&2
    exit_status=1
fi
echo "$summary"
exit "$exit_status"
