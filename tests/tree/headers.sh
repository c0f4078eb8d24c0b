#!/bin/sh
# SPDX-License-Identifier: MIT
# Every header compiles alone.   usage: headers.sh COMPILER ROOT [FLAGS...]
cc=$1
root=$2
shift 2
failed=0
count=0
# SDL need not be there: neither is then what is built on it.
sdl=1
echo '#include <SDL.h>' | "$cc" -fsyntax-only "$@" -x c - 2>/dev/null || sdl=0
for folder in base softmmu shadowpt cpu translator hw virtio frontends; do
    for h in "$root/$folder"/*.h; do
        case $h in *_sdl.h) [ $sdl = 1 ] || continue ;; esac
        count=$((count + 1))
        "$cc" -std=gnu11 -D_GNU_SOURCE -fsyntax-only -Wall -Wextra -Wno-unused-parameter -Werror -I"$root" "$@" \
            -include "$h" -x c /dev/null || { echo "not alone: $h"; failed=$((failed + 1)); }
    done
done
echo "$count headers, $failed failed"
[ $failed = 0 ] && [ $count -gt 50 ]
