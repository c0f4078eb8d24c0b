#!/bin/sh
# SPDX-License-Identifier: MIT
# Every C file is as clang-format 14 writes it (scripts/lint --fix). Other versions differ: 77, skipped.
#   format.sh SOURCE CLANG-FORMAT
cd "$1" || exit 1
"$2" --version 2>/dev/null | grep -q 'version 14\.' || { echo "no clang-format 14"; exit 77; }
find base bench cpu frontends hw shadowpt softmmu tests translator virtio -name '*.[ch]' -print0 |
    xargs -0 "$2" --dry-run -Werror || { echo "run scripts/lint --fix"; exit 1; }
