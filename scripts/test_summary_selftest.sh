#!/usr/bin/env bash
# Checks that scripts/test_summary.awk counts what cargo prints: a row per kind of run.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

failures=0

# expect NAME SUMMARY: the output of cargo is on standard input.
expect() {
    local found
    found="$(awk -f test_summary.awk)"
    if [[ $found != "$2" ]]; then
        printf 'test summary, %s: expected "%s", found "%s"\n' "$1" "$2" "$found" >&2
        failures=$((failures + 1))
    fi
}

expect "binaries and doc tests are added up" "settle: 15 passed, 0 failed, 3 skipped" <<'OUTPUT'
   Compiling settle-types v0.1.0 (crates/types)
     Running unittests src/lib.rs (target/release/deps/settle_types-0123456789abcdef)

running 12 tests
test money::tests::rounds_half_even ... ok
test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s

     Running tests/purity.rs (target/release/deps/purity-0123456789abcdef)
test result: ok. 1 passed; 0 failed; 2 ignored; 0 measured; 7 filtered out; finished in 0.01s

   Doc-tests settle_types
test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.40s

all doctests ran in 0.53s; merged doctests compilation took 0.12s
OUTPUT

expect "a failure is counted, whatever comes after it" "settle: 9 passed, 2 failed" <<'OUTPUT'
     Running unittests src/lib.rs (target/release/deps/settle_ledger-0123456789abcdef)
---- chain::tests::detects_a_gap stdout ----
the ledger said: test result: ok. 500 passed; 0 failed;
test result: FAILED. 4 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.02s
error: test failed, to rerun pass `-p settle-ledger --lib`
     Running unittests src/lib.rs (target/release/deps/settle_risk-0123456789abcdef)
test result: ok. 5 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.02s
error: 1 target failed:
OUTPUT

expect "a binary that never reports is a failure" "settle: 5 passed, 1 failed" <<'OUTPUT'
     Running unittests src/lib.rs (target/release/deps/settle_store-0123456789abcdef)
running 3 tests
error: test failed, to rerun pass `-p settle-store --lib`
  process didn't exit successfully (signal: 6, SIGABRT: process abort signal)
     Running unittests src/lib.rs (target/release/deps/settle_risk-0123456789abcdef)
test result: ok. 5 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.02s
OUTPUT

expect "colours are no part of the text" "settle: 3 passed, 0 failed" < <(
    printf '   \033[1m\033[32mDoc-tests\033[0m settle_log\n'
    printf 'test result: \033[32mok\033[m. 3 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out\n'
)

expect "a build that fails runs nothing" "settle: 0 passed, 0 failed" <<'OUTPUT'
error[E0425]: cannot find value `nothing` in this scope
OUTPUT

exit "$((failures > 0))"
