#!/usr/bin/env bash
# Makes this machine able to build and test Settle, and does nothing when it is already able to.
#
# Needed to build: cargo (by rustup), a C++20 compiler for RocksDB, libclang for the bindings to it,
# make, and OpenSSL's headers with pkg-config for the Kafka client.
# Needed by the tests that start Kafka, a registry and an S3 server: Java 17 or newer, and Maven; by those of
# other clients: kcat and Python.
#
# What is missing is installed with apt-get as root or through a sudo that asks for no password;
# anywhere else the exact line to run is printed, and the exit status is 1 if a build needs it.
#
# Usage: scripts/setup.sh [--check] [--build]
#   --check   never installs anything
#   --build   only what a build needs: no Java, no Maven, no kcat, no Python
set -euo pipefail

repository="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
cd "$repository"

# A shell that was open before rustup ran does not have its folder on PATH yet.
export PATH="$PATH:${CARGO_HOME:-${HOME:-}/.cargo}/bin"

may_install=yes
wants_tests=yes
for argument in "$@"; do
    case "$argument" in
    --check) may_install=no ;;
    --build) wants_tests=no ;;
    *)
        echo "setup: unknown argument '$argument'; usage: scripts/setup.sh [--check] [--build]" >&2
        exit 2
        ;;
    esac
done

say() { printf 'setup: %s\n' "$*" >&2; }

require_cargo() {
    if ! command -v cargo >/dev/null; then
        say "cargo is not installed. Install Rust with rustup, then run this again:"
        say "  curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y --profile minimal"
        exit 1
    fi
    if ! cargo --version >/dev/null 2>&1; then
        require_pinned_toolchain
    fi
    # A cargo that rustup does not manage ignores rust-toolchain.toml: say what it is too old for
    # before it fails on a manifest that it cannot read.
    local found wanted
    found="$(cargo --version | cut -d' ' -f2)"
    wanted="$(sed -n 's/^rust-version *= *"\(.*\)"/\1/p' Cargo.toml)"
    if [[ -n $wanted && "$(printf '%s\n' "$wanted" "$found" | sort -V | head -n 1)" != "$wanted" ]]; then
        say "cargo $found is too old: Settle needs $wanted or newer. Install Rust with rustup, then run this again:"
        say "  curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y --profile minimal"
        exit 1
    fi
}

# rustup may be told not to fetch toolchains by itself: then cargo is there and cannot start.
require_pinned_toolchain() {
    if [[ $may_install == yes ]] && command -v rustup >/dev/null; then
        say "installing the Rust toolchain that rust-toolchain.toml names"
        rustup toolchain install >&2 && return
    fi
    say "cargo cannot start. It says:"
    cargo --version >&2 || true
    say "install the toolchain that rust-toolchain.toml names with this line, then run this again:"
    say "  rustup toolchain install"
    exit 1
}

# Compiles a line instead of looking for a file: a compiler without its headers, or one that is too
# old for C++20, would otherwise fail minutes later, in the middle of RocksDB.
has_cxx_compiler() {
    command -v "${CC:-cc}" >/dev/null || return 1
    printf '#include <cstdint>\n#include <string>\n' |
        "${CXX:-c++}" -std=c++20 -x c++ -fsyntax-only - >/dev/null 2>&1
}

contains_libclang() {
    compgen -G "$1/libclang.so*" >/dev/null || compgen -G "$1/libclang-[0-9]*.so*" >/dev/null
}

# The order and the places are those of bindgen, which loads the library while it runs.
has_libclang_library() {
    if [[ -n ${LIBCLANG_PATH:-} ]]; then
        [[ -f $LIBCLANG_PATH ]] || contains_libclang "$LIBCLANG_PATH"
        return
    fi
    local directory
    local -a named=()
    IFS=: read -r -a named <<<"${LD_LIBRARY_PATH:-}:${LIBRARY_PATH:-}"
    for directory in "${named[@]}" \
        /usr/lib/llvm-*/lib /usr/lib64/llvm*/lib /usr/local/llvm*/lib \
        /usr/lib/*-linux-gnu /usr/lib64 /usr/lib /usr/local/lib; do
        if [[ -n $directory ]] && contains_libclang "$directory"; then
            return 0
        fi
    done
    if command -v llvm-config >/dev/null; then
        contains_libclang "$(llvm-config --prefix)/lib"
        return
    fi
    return 1
}

# libclang's own headers (stddef.h, stdarg.h) come in another package than the library, and
# bindgen fails without them. Whoever names a library or arguments is taken to know where they are.
has_libclang_headers() {
    [[ -n ${LIBCLANG_PATH:-} || -n ${BINDGEN_EXTRA_CLANG_ARGS:-} ]] && return 0
    local pattern
    for pattern in '/usr/lib*/llvm*/lib/clang/*/include' '/usr/lib*/clang/*/include' \
        '/usr/local/lib*/clang/*/include' '/usr/local/llvm*/lib/clang/*/include'; do
        if compgen -G "$pattern/stddef.h" >/dev/null; then
            return 0
        fi
    done
    return 1
}

has_libclang() {
    # Elsewhere the library has other names and places, which bindgen knows; its error names them.
    [[ "$(uname -s)" == Linux ]] || return 0
    has_libclang_library && has_libclang_headers
}

# The Kafka client is linked against the system's OpenSSL, which its build looks up with pkg-config.
has_openssl_headers() {
    command -v pkg-config >/dev/null && pkg-config --exists openssl
}

has_java() {
    local version
    command -v java >/dev/null || return 1
    # 17.0.15 and 21 give the number before the first dot; 1.8.0 gives 1, which is too old anyway.
    version="$(java -version 2>&1 | sed -n 's/.* version "\([0-9]*\).*/\1/p' | head -n 1)"
    ((${version:-0} >= 17))
}

has_python() {
    "${SETTLE_PYTHON:-python3}" -c 'import ensurepip, sys, venv; assert sys.version_info >= (3, 9)' 2>/dev/null
}

# Distributions have 17, or a newer one as their default.
java_package() {
    if [[ -n "$(apt-cache search --names-only '^openjdk-17-jre-headless$' 2>/dev/null)" ]]; then
        echo openjdk-17-jre-headless
    else
        echo default-jre-headless
    fi
}

# Fills `missing` (what, for people) and `packages` (for apt-get), and counts what a build needs.
find_missing() {
    missing=()
    packages=()
    if ! has_cxx_compiler; then
        missing+=("a C++20 compiler")
        packages+=(g++)
    fi
    if ! has_libclang; then
        missing+=("libclang")
        packages+=(libclang-dev)
    fi
    if ! command -v make >/dev/null; then
        missing+=("make")
        packages+=(make)
    fi
    if ! has_openssl_headers; then
        missing+=("OpenSSL's headers and pkg-config")
        packages+=(libssl-dev pkg-config)
    fi
    missing_for_build=${#missing[@]}
    [[ $wants_tests == yes ]] || return 0
    if ! has_java; then
        missing+=("Java 17 or newer (for tests)")
        packages+=("$(java_package)")
    fi
    if ! command -v mvn >/dev/null; then
        missing+=("Maven (for tests)")
        packages+=(maven)
    fi
    if ! command -v kcat >/dev/null; then
        missing+=("kcat (for tests)")
        packages+=(kcat)
    fi
    if ! has_python; then
        missing+=("Python 3.9 or newer with venv (for tests)")
        packages+=(python3 python3-venv)
    fi
}

# Without Java there is still a program, a demo and most of the tests.
exit_unless_it_builds() {
    if ((missing_for_build > 0)); then
        exit 1
    fi
    say "the build needs none of it; the tests that start Kafka will fail and say so"
    exit 0
}

join_with_comma() {
    local joined
    joined="$(printf ', %s' "$@")"
    printf '%s' "${joined:2}"
}

print_how_to_install() {
    local sudo="sudo "
    [[ "$(id -u)" == 0 ]] && sudo=""
    if command -v apt-get >/dev/null; then
        say "install it with this line, then run this again:"
        say "  ${sudo}apt-get update && ${sudo}apt-get install -y --no-install-recommends ${packages[*]}"
    else
        say "install it with the package manager of this system, then run this again"
    fi
}

# Says whether apt-get may be run, and leaves in `as_root` what must stand before it.
as_root=()
can_become_root() {
    if [[ "$(id -u)" == 0 ]]; then
        return 0
    fi
    if command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
        as_root=(sudo -n)
        return 0
    fi
    return 1
}

apt() {
    # Another apt-get may hold the lock on a machine that has just started: wait, do not fail.
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 "$@" >&2
}

require_cargo

# Nothing that apt-get installs would be looked at while this variable points elsewhere.
if [[ -n ${LIBCLANG_PATH:-} ]] && ! has_libclang_library; then
    say "LIBCLANG_PATH is '$LIBCLANG_PATH', where there is no libclang.so: correct the variable or unset it"
    exit 1
fi

find_missing
if ((${#missing[@]} > 0)); then
    say "missing: $(join_with_comma "${missing[@]}")"
    if [[ $may_install == no ]] || ! command -v apt-get >/dev/null || ! can_become_root; then
        print_how_to_install
        exit_unless_it_builds
    fi
    if ! apt update; then
        say "apt-get failed (its messages are above)"
        print_how_to_install
        exit_unless_it_builds
    fi
    # Which packages there are is only known now.
    find_missing
    say "installing: ${packages[*]}"
    if ! apt install -y --no-install-recommends "${packages[@]}"; then
        say "apt-get failed (its messages are above)"
        print_how_to_install
        exit_unless_it_builds
    fi
    find_missing
    if ((${#missing[@]} > 0)); then
        say "still missing after the installation: $(join_with_comma "${missing[@]}")"
        exit_unless_it_builds
    fi
    say "installed"
fi

if ! compgen -G "${CARGO_TARGET_DIR:-target}/release/build/librocksdb-sys-*/out/librocksdb.a" >/dev/null; then
    say "the first build compiles RocksDB: about ten minutes on two cores, once"
fi
