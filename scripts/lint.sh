#!/usr/bin/env bash
# Runs every check of the source that needs no test run, all of them even when one fails, and ends
# with the list of those that failed. A tool that is not installed is named and skipped, except for
# those that come with the Rust toolchain.
set -euo pipefail

repository="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
cd "$repository"

failed=()
skipped=()

check() {
    local name="$1"
    shift
    printf 'lint: %s\n' "$name" >&2
    "$@" || failed+=("$name")
}

check_if_installed() {
    local name="$1" program="$2"
    shift 2
    if command -v "$program" >/dev/null; then
        check "$name" "$@"
    else
        skipped+=("$program")
    fi
}

check "format" cargo fmt --all -- --check
check "clippy" cargo clippy --release --locked --workspace --all-targets -- -D warnings
check "test summary" scripts/test_summary_selftest.sh
check "one RocksDB" scripts/check_one_rocksdb.sh
check_if_installed "shell scripts" shellcheck shellcheck scripts/*.sh .ci/run
check_if_installed "spelling" typos typos
# Advisories change without a change of the source, and need the network: `make advisories`.
check_if_installed "dependencies" cargo-deny cargo deny --locked check bans licenses sources

if ((${#skipped[@]} > 0)); then
    printf 'lint: skipped, not installed: %s\n' "${skipped[*]}" >&2
fi
if ((${#failed[@]} > 0)); then
    printf 'lint: failed: %s\n' "$(printf ', %s' "${failed[@]}" | cut -c3-)" >&2
    exit 1
fi
echo "lint: everything passed" >&2
