#!/usr/bin/env bash
# Checks that a build, the tests and clippy share one compiled RocksDB.
#
# Cargo builds a dependency again when the features of anything it is built with differ, and test-only
# dependencies can change features of the crates that generate RocksDB's bindings: a procedural macro
# that uses `regex`, such as rstest, is enough. Then `make demo` and `make test` would compile its C++
# twice, ten minutes each. This compares what RocksDB is built with, with and without the test-only ones.
set -euo pipefail

repository="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
cd "$repository"

# Prints the crates below librocksdb-sys with their features, for the given kinds of dependencies.
built_with() {
    cargo tree --locked --workspace --edges "$1" --prefix depth --no-dedupe --format ' {p} [{f}]' |
        awk '
            { depth = $1 + 0 }
            inside && depth <= top { inside = 0 }
            !inside && $2 == "librocksdb-sys" { inside = 1; top = depth }
            inside { $1 = ""; print }
        ' | sort -u
}

without_tests="$(built_with normal,build)"
with_tests="$(built_with normal,build,dev)"

if [[ -z $without_tests ]]; then
    echo "one RocksDB: librocksdb-sys is not among the dependencies: correct or remove this check" >&2
    exit 1
fi
if ! diff <(echo "$without_tests") <(echo "$with_tests") >&2; then
    echo "one RocksDB: a test-only dependency changes what RocksDB is built with (< build, > tests)." >&2
    echo "Remove it, or choose its features so that these crates stay as they are: cargo tree --invert CRATE --edges features" >&2
    exit 1
fi
