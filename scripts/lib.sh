# SPDX-License-Identifier: MIT
# Shared by the scripts: where things are, and how what is missing gets installed. Source it, with pipefail set.
ring3_root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
PATH=$PATH:/usr/sbin:/sbin # e2fsprogs and sfdisk, which an ordinary user's PATH lacks
ring3_cache=${RING3_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/ring3}

say() { printf '\033[1m==\033[0m %s\n' "$*"; }
die() { printf '%s: %s\n' "$(basename "$0")" "$*" >&2; exit 1; }

# no_root: says why nothing can be run as root here; 1 if it can.
no_root() {
    if [ "$(id -u)" = 0 ]; then return 1
    elif ! command -v sudo >/dev/null; then echo "there is no sudo here"
    elif [ -t 2 ] || sudo -n true 2>/dev/null; then return 1
    else echo "sudo wants a password, and there is no terminal to ask for it" # nobody would see it ask
    fi
}

as_root() {
    local why
    why=$(no_root) && die "needs root, and $why, to run: $*"
    if [ "$(id -u)" = 0 ]; then "$@"
    elif [ -t 2 ]; then sudo "$@"
    else sudo -n "$@"
    fi
}

# need PACKAGE...: installs the Debian packages that are missing; 1 if that fails.
need() {
    local p why missing=()
    for p in "$@"; do
        dpkg-query -W -f='${Status}' "$p" 2>/dev/null | grep -q 'ok installed' || missing+=("$p")
    done
    [ ${#missing[@]} = 0 ] && return
    command -v apt-get >/dev/null ||
        die "there is no apt-get here; what it would install is, by Debian's names: ${missing[*]}"
    why=$(no_root) && die "$why; as root: apt-get install --no-install-recommends ${missing[*]}"
    say "installing, as root, with apt-get: ${missing[*]}"
    if [ -z "${apt_updated:-}" ]; then
        as_root apt-get update -qq || say "apt-get update had errors; going on"
        apt_updated=1
    fi
    as_root env DEBIAN_FRONTEND=noninteractive LC_ALL=C apt-get install -y -q --no-install-recommends "${missing[@]}" |
        sed -unE 's/^(Need to get|After this operation)/   &/p' || # how much it is
        { say "could not install ${missing[*]}"; return 1; }
}

build_packages=(gcc g++ libc6-dev cmake ninja-build pkg-config libcapstone-dev libcjson-dev libffi-dev libslirp-dev libglib2.0-dev
    libpng-dev liburing-dev libedit-dev libncurses-dev libsdl2-dev libseccomp-dev acpica-tools)
test_packages=(check gdb nasm gcc-multilib libc6-dev-i386 python3 cpio xz-utils busybox-static qemu-system-x86 libxtst-dev
    openbox xvfb seabios ipxe-qemu e2fsprogs dosfstools mtools xorriso)

# build PRESET: configures, and builds the program without the tests; prints only what matters.
build() {
    say "building (preset $1)"
    (cd "$ring3_root" && cmake --preset "$1" >/dev/null && cmake --build --preset "$1" --target ring3 -- -j"$(nproc)")
}
