#!/usr/bin/env bash
# Builds the image from deploy/container/Containerfile and runs it, without a daemon and without a registry of
# images: the base is made by debootstrap, the program is the one that was built on this machine
# (the Containerfile's stage `prebuilt`), and buildah runs both in a chroot. Ends with the image's size.
#
# Needs root, for debootstrap and chroot, and this machine to be a Debian with the libraries of that release.
# What is missing is installed with apt-get; the base and buildah's storage are kept in the cache folder
# (~/.cache/settle/container), so that a second run needs no network.
#
# Usage: scripts/container_test.sh [BINARY]      by default target/release/settle
set -euo pipefail

repository="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
cd "$repository"

binary="${1:-${CARGO_TARGET_DIR:-target}/release/settle}"
suite=bookworm
user=10001
cache="${XDG_CACHE_HOME:-$HOME/.cache}/settle/container"
base_tar="$cache/base-$suite.tar"
base_image="localhost/settle-base:$suite"
image="localhost/settle:test"

say() { printf 'container: %s\n' "$*" >&2; }
fail() {
    say "FAILED: $*"
    exit 1
}

[[ "$(id -u)" == 0 ]] || fail "debootstrap and chroot need root: run it as root, or in a virtual machine"
[[ -x $binary ]] || fail "there is no program at $binary: run \`make build\` first"

apt() {
    # Another apt-get may hold the lock on a machine that has just started: wait, do not fail.
    DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 "$@" >&2
}

missing=()
for program in buildah debootstrap strip; do
    command -v "$program" >/dev/null || missing+=("${program/strip/binutils}")
done
if ((${#missing[@]} > 0)); then
    command -v apt-get >/dev/null || fail "install these with the package manager of this system: ${missing[*]}"
    say "installing: ${missing[*]}"
    apt update && apt install -y --no-install-recommends "${missing[@]}"
fi

mkdir -p "$cache"
work="$(mktemp -d "$cache/work.XXXXXX")"
# A storage of its own: nothing of the user's images is touched. vfs works where overlay mounts are forbidden.
buildah=(buildah --root "$cache/storage" --runroot "$work/run" --storage-driver vfs)
container=""
service=""
cleanup() {
    status=$?
    # The shell inside ends the program when its input does. What is killed after that is ours, and named by its id.
    exec 3>&- || true
    if [[ -n $service ]]; then
        timeout 20 tail --pid="$service" -f /dev/null || true
        inside="$(sed -n 's/^settle is process //p' "$work/run.log")"
        for process in $inside "$service"; do
            kill -KILL "$process" 2>/dev/null || true
        done
    fi
    [[ -z $container ]] || "${buildah[@]}" rm "$container" >/dev/null 2>&1 || true
    "${buildah[@]}" rmi --force "$image" >/dev/null 2>&1 || true
    # Stages of the build that have no name.
    "${buildah[@]}" rmi --prune >/dev/null 2>&1 || true
    rm -rf "$work"
    exit "$status"
}
trap cleanup EXIT

# As small as the slim images are: without documents, translations and lists of packages.
make_base() {
    local rootfs="$work/rootfs"
    say "making a base of $suite by debootstrap, once"
    debootstrap --variant=minbase --include=ca-certificates,libssl3,libstdc++6,zlib1g "$suite" "$rootfs" >"$work/debootstrap.log" 2>&1 || {
        tail -n 20 "$work/debootstrap.log" >&2
        fail "debootstrap failed"
    }
    rm -rf "${rootfs:?}"/{dev,var/cache/apt,var/lib/apt/lists,var/log}/* \
        "${rootfs:?}"/usr/share/{doc,man,locale,info,lintian}/*
    tar -C "$rootfs" --numeric-owner -cf "$base_tar.new" .
    mv "$base_tar.new" "$base_tar"
    rm -rf "$rootfs"
}

import_base() {
    local empty
    empty="$("${buildah[@]}" from scratch)"
    "${buildah[@]}" add --quiet "$empty" "$base_tar" / >/dev/null
    "${buildah[@]}" commit --quiet --rm "$empty" "$base_image" >/dev/null
}

if [[ ! -f $base_tar ]]; then
    make_base
    "${buildah[@]}" rmi --force "$base_image" >/dev/null 2>&1 || true
fi
"${buildah[@]}" inspect --type image "$base_image" >/dev/null 2>&1 || import_base

# The context of the build: the program as the first stage of the Containerfile would leave it, and the licence.
context="$work/context"
mkdir "$context"
strip --strip-debug -o "$context/settle" "$binary"
cp LICENSE NOTICE "$context/"
version="$("$binary" --version | cut -d' ' -f2)"
say "building the image of settle $version"
"${buildah[@]}" build --isolation chroot --pull-never --quiet --format oci \
    --file deploy/container/Containerfile --ignorefile deploy/container/.containerignore \
    --target prebuilt --build-arg RUNTIME_BASE="$base_image" --build-arg BUILDER_BASE="$base_image" \
    --build-arg VERSION="$version" --tag "$image" "$context" >"$work/build.log" 2>&1 || {
    tail -n 30 "$work/build.log" >&2
    fail "the image cannot be built"
}

# What a platform reads before it starts anything.
config() { "${buildah[@]}" inspect --type image --format "{{$1}}" "$image"; }
expect() {
    local what="$1" expected="$2" found="$3"
    [[ $found == "$expected" ]] || fail "$what is '$found', '$expected' was expected"
    say "$what: $found"
}
expect "user of the image" "$user:$user" "$(config .OCIv1.Config.User)"
expect "entry point" "[settle]" "$(config .OCIv1.Config.Entrypoint)"
expect "signal to stop" "SIGTERM" "$(config .OCIv1.Config.StopSignal)"
expect "port" "map[9600/tcp:{}]" "$(config .OCIv1.Config.ExposedPorts)"
expect "volume" "map[/var/lib/settle:{}]" "$(config .OCIv1.Config.Volumes)"

container="$("${buildah[@]}" from --pull-never "$image")"
# What a read-only root file system leaves: no place but the volume can be written by the user.
"${buildah[@]}" run --isolation chroot --user root "$container" -- chmod 0755 /tmp /var/tmp /run/lock
run() { "${buildah[@]}" run --isolation chroot "$container" -- "$@" </dev/null; }

expect "version" "settle $version" "$(run settle --version)"
expect "user inside" "$user" "$(run id -u)"
expect "group inside" "$user" "$(run id -g)"
writable="$(run find / -xdev -writable -not -type l -not -path '/proc/*' -not -path '/sys/*' -not -path '/dev/*' \
    -not -path '/var/lib/settle*' 2>/dev/null || true)"
expect "places that the user can write, beside the volume" "" "$writable"
unresolved="$(run ldd /usr/local/bin/settle | grep 'not found' || true)"
expect "libraries that are missing" "" "$unresolved"

run settle demo --payments 1000 >"$work/demo.log" 2>&1 || {
    tail -n 30 "$work/demo.log" >&2
    fail "settle demo failed"
}
grep -q 1,000 "$work/demo.log" || fail "settle demo says nothing of its 1,000 payments"
say "settle demo --payments 1000: done"

# A service on the log that the demo left: probes, metrics, and the end by SIGTERM. The shell that starts it sends
# the signal when its input ends; the network is that of this machine, so the port is a free one of it.
mkfifo "$work/input"
exec 3<>"$work/input"
# shellcheck disable=SC2016 # the shell inside expands it
"${buildah[@]}" run --isolation chroot --env SETTLE__HTTP__LISTEN=127.0.0.1:0 "$container" -- sh -c '
    settle run --embedded settle-demo --config settle-demo/settle.toml &
    settle=$!
    echo "settle is process $settle"
    read -r _
    kill -TERM $settle
    wait $settle' <"$work/input" 3>&- >"$work/run.log" 2>&1 &
service=$!

address=""
for _ in $(seq 1 100); do
    address="$(grep -o '"address":"[0-9.:]*"' "$work/run.log" | head -n 1 | cut -d'"' -f4 || true)"
    [[ -z $address ]] || break
    kill -0 "$service" 2>/dev/null || break
    sleep 0.2
done
[[ -n $address ]] || {
    tail -n 30 "$work/run.log" >&2
    fail "settle run does not listen"
}

# The head and body of an answer, by nothing but bash.
get() {
    exec 4<>"/dev/tcp/${address%:*}/${address##*:}"
    printf 'GET %s HTTP/1.1\r\nHost: settle\r\n\r\n' "$1" >&4
    timeout 10 cat <&4
    exec 4>&-
}
answer=""
for _ in $(seq 1 100); do
    answer="$(get /readyz)"
    [[ $answer != "HTTP/1.1 200"* ]] || break
    sleep 0.2
done
expect "/readyz" "HTTP/1.1 200 OK" "$(head -n 1 <<<"$answer" | tr -d '\r')"
expect "/livez" "HTTP/1.1 200 OK" "$(get /livez | head -n 1 | tr -d '\r')"
get /metrics >"$work/metrics.txt"
for metric in settle_build_info settle_worker_ready settle_assigned_partitions; do
    grep -q "^$metric" "$work/metrics.txt" || fail "/metrics has no $metric"
done
say "/metrics: $(grep -c '^settle_' "$work/metrics.txt") series"

echo >&3
ended=0
timeout 60 tail --pid="$service" -f /dev/null || fail "settle run does not end after SIGTERM"
wait "$service" || ended=$?
service=""
[[ $ended == 0 ]] || tail -n 30 "$work/run.log" >&2
expect "exit code after SIGTERM" 0 "$ended"

size() { "${buildah[@]}" images --format '{{.Size}}' "$1"; }
say "size of the image: $(size "$image"); of its base: $(size "$base_image"); of the program in it: $(du -h "$context/settle" | cut -f1)"
say "everything passed"
