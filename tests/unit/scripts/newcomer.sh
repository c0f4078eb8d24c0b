#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# What the scripts and the build say on a machine that lacks something.   usage: newcomer.sh ROOT CMAKE CASE
#   terminal     demo without a terminal says what to do
#   no_apt no_sudo   one line names the packages
#   once         what is installed is not installed again
#   build        configures with no more than README.md asks for
set -u
root=$1 cmake=$2 case=$3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/bin"
for tool in bash env dirname basename grep sed tr cat; do ln -s "$(command -v $tool)" "$work/bin/$tool"; done
fail() { echo "$case: $*" >&2; cat "$work/out" >&2; exit 1; }

stub() { # name line: a program in the only folder of PATH
    printf '#!%s\n%s\n' "$(command -v bash)" "$2" >"$work/bin/$1"
    chmod 755 "$work/bin/$1"
}
demo() { # runs demo on the machine of the stubs, as an ordinary user
    stub id 'echo 1000'
    # lib.sh adds the system folders, which are this machine's
    status=0
    env -i HOME="$work" PATH="$work/bin" "$root/scripts/demo" "$@" </dev/null >"$work/out" 2>&1 || status=$?
}
one_line() { # regular expression: that, and no more
    [ $status = 1 ] || fail "status $status, not 1"
    [ "$(wc -l <"$work/out")" = 1 ] && grep -qE "$1" "$work/out" || fail "not one line like '$1':"
}

case $case in
terminal)
    stub dpkg-query 'echo install ok installed'
    demo
    one_line '^demo: .*terminal.*--batch'
    ;;
no_apt)
    demo --batch
    one_line '^demo: .*no apt-get.* cpio .* gcc '
    ;;
no_sudo)
    stub dpkg-query 'exit 1'
    stub apt-get 'exit 1'
    demo --batch
    one_line '^demo: .*no sudo.* apt-get install .* cpio .* gcc '
    ;;
once) # ends in the build, which is behind the installation
    stub dpkg-query 'echo install ok installed'
    stub apt-get 'echo apt-get was called; exit 1'
    stub sudo 'echo sudo was called; exit 1'
    stub cmake 'echo cmake was called >&2; exit 1'
    stub nproc 'echo 2'
    demo --batch
    grep -q 'cmake was called' "$work/out" || fail "did not get as far as the build"
    ! grep -qE '(apt-get|sudo) was called' "$work/out" || fail "installs again"
    ;;
build) # the real pkg-config, which does not know what only tests use, and a compiler without 32-bit libc
    real=$(command -v pkg-config)
    stub pkg-config "case \" \$* \" in *\ check\ * | *\ xtst\ * | *\ sdl2\ * | *\ ncursesw\ * | *libseccomp*) exit 1 ;; esac
        exec $real \"\$@\""
    stub cc "case \" \$* \" in *\ -m32\ *) exit 1 ;; esac; exec $(command -v cc) \"\$@\""
    PKG_CONFIG=$work/bin/pkg-config CC=$work/bin/cc "$cmake" -G Ninja -S "$root" -B "$work/build" >"$work/out" 2>&1 ||
        fail "does not configure"
    ! grep -q guest_i386_program "$work/build/build.ninja" || fail "would build a program for a libc that is not there"
    ;;
esac
