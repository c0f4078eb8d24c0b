# SPDX-License-Identifier: MIT
# Shared by the scripts: where things are, and how what is missing gets installed. Source it.
ring3_root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
PATH=$PATH:/usr/sbin:/sbin # e2fsprogs and sfdisk, which an ordinary user's PATH lacks
ring3_cache=${RING3_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/ring3}

say() { printf '\033[1m==\033[0m %s\n' "$*"; }
die() { printf '%s: %s\n' "$(basename "$0")" "$*" >&2; exit 1; }

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"
    elif ! command -v sudo >/dev/null; then die "needs root, and there is no sudo, to run: $*"
    elif [ -t 2 ]; then sudo "$@"
    elif sudo -n true 2>/dev/null; then sudo -n "$@" # no terminal: nobody would see it ask for a password
    else die "needs root, and sudo a password, to run: $*"
    fi
}

# need PACKAGE...: installs the Debian packages that are missing; 1 if that fails.
need() {
    local missing=()
    for p in "$@"; do
        dpkg-query -W -f='${Status}' "$p" 2>/dev/null | grep -q 'ok installed' || missing+=("$p")
    done
    [ ${#missing[@]} = 0 ] && return
    say "installing ${missing[*]}"
    as_root env DEBIAN_FRONTEND=noninteractive apt-get update -qq || say "apt-get update had errors; going on"
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null ||
        { say "could not install ${missing[*]}"; return 1; }
}

build_packages=(gcc g++ libc6-dev cmake ninja-build pkg-config libcapstone-dev libcjson-dev libffi-dev libslirp-dev libglib2.0-dev
    libpng-dev liburing-dev libedit-dev libncurses-dev libsdl2-dev libseccomp-dev acpica-tools)
test_packages=(check gdb nasm gcc-multilib libc6-dev-i386 python3 cpio xz-utils busybox-static qemu-system-x86 libxtst-dev
    openbox xvfb seabios ipxe-qemu e2fsprogs)

# build PRESET: configures and builds; prints only what matters.
build() {
    say "building (preset $1)"
    (cd "$ring3_root" && cmake --preset "$1" >/dev/null && cmake --build --preset "$1" -- -j"$(nproc)")
}
