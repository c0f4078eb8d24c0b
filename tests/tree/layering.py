#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Checks the source tree's shape: who includes whom, one owner per external library, lengths, first lines.

usage: layering.py ROOT
"""
import glob
import os
import re
import sys

# The table of docs/ARCHITECTURE.md: folder -> patterns of the headers it may include besides its own.
MAY_INCLUDE = {
    "base": [],
    "softmmu": [r"base/"],
    "shadowpt": [r"base/", r"softmmu/"],
    "cpu": [r"base/", r"softmmu/"],
    "translator": [r"base/", r"softmmu/", r"shadowpt/", r"cpu/"],
    "hw": [r"base/", r"softmmu/address_space\.h", r"cpu/interrupt\.h"],
    "virtio": [r"base/", r"softmmu/address_space\.h", r"hw/"],
    "frontends": [r"[a-z]+/"],
}
# The local APIC is a part of the CPU: its timer reads the TSC, its registers find their CPU by the thread.
EXCEPTIONS = {("hw/lapic_regs.c", "cpu/state.h"), ("hw/lapic_timer.c", "cpu/state.h")}
# Private headers stay inside their folder.
PRIVATE = re.compile(r"_?(internal|int)\.h$")
# External header -> the only files that may include it.
OWNERS = {
    "cjson/": r"frontends/qmp_internal\.h",
    "capstone/": r"translator/(verdict|quirks|disas)\.c",
    "ffi.h": r"translator/[a-z_]+\.c",
    "histedit.h": r"frontends/monitor_edit\.c",
    "glib.h": r"base/loop_glib\.c|hw/net_slirp\.c",
    "libslirp.h": r"hw/net_slirp_internal\.h",
    "liburing.h": r"hw/block_internal\.h",
    "seccomp.h": r"frontends/sandbox_linux\.c",
    "SDL": r"frontends/(display_sdl[a-z_]*\.[ch]|[a-z_]+_sdl\.c)",
}
MAX_LINES = 800
TABLES = re.compile(r"\.def$")


def check_includes(path, text, problems):
    folder = path.split("/", 1)[0]
    for m in re.finditer(r'^\s*#\s*include\s+(["<])([^">]+)[">]', text, re.M):
        kind, header = m[1], m[2]
        if kind == '"' and folder in MAY_INCLUDE:
            other = header.split("/", 1)[0]
            if header.endswith(".hex.h"):
                continue  # made by the build
            if "/" not in header:
                problems.append(f'{path}: #include "{header}" lacks its folder')
            elif other != folder:
                if (path, header) not in EXCEPTIONS and not any(re.match(p, header) for p in MAY_INCLUDE[folder]):
                    problems.append(f"{path}: {folder}/ may not include {header}")
                if PRIVATE.search(header):
                    problems.append(f"{path}: {header} is private to {other}/")
        if kind == "<" and folder in MAY_INCLUDE:
            for prefix, owner in OWNERS.items():
                if header.startswith(prefix) and not re.fullmatch(owner, path):
                    problems.append(f"{path}: <{header}> has one owner: {owner}")


def check_file(root, path, problems):
    with open(os.path.join(root, path), encoding="utf-8") as f:
        text = f.read()
    lines = text.splitlines()
    if not any("SPDX-License-Identifier: MIT" in line for line in lines[:2]):
        problems.append(f"{path}: no SPDX line at the top")
    if path.endswith(".h") and not re.search(r"^#pragma once$", text, re.M):
        problems.append(f"{path}: no #pragma once")
    if len(lines) > MAX_LINES and not TABLES.search(path):
        problems.append(f"{path}: {len(lines)} lines, want at most {MAX_LINES}")
    for number, line in enumerate(lines, 1):
        if line.rstrip() != line:
            problems.append(f"{path}:{number}: blank at the end of the line")
    check_includes(path, text, problems)


def main():
    root, problems, count = sys.argv[1], [], 0
    for folder in [*MAY_INCLUDE, "tests"]:
        for kind in ("c", "h", "S", "def"):
            for path in sorted(glob.glob(os.path.join(root, folder, "**", "*." + kind), recursive=True)):
                check_file(root, os.path.relpath(path, root), problems)
                count += 1
    print(*problems, f"{count} files, {len(problems)} problems", sep="\n")
    return 1 if problems or count < 100 else 0


if __name__ == "__main__":
    sys.exit(main())
