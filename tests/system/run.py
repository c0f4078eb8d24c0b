#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Run system-test images under one VMM and accelerator and judge their TAP output.

usage: run.py --vmm PROGRAM --accel NAME [--reset] [-v] [--arg ARG]... IMAGE...

The same image must pass everywhere; where a VMM other than ring3 is known to differ from the manual, a line
of deviations.tsv names the check, and it is reported as "known" and not counted.
"""
import argparse
import fnmatch
import os
import re
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))


def read_deviations(accel):
    """Lines: accelerator, image, check name (a glob), manual section, what happens instead; by tabs."""
    rows = []
    with open(os.path.join(HERE, "deviations.tsv"), encoding="utf-8") as f:
        for line in f:
            cols = line.rstrip("\n").split("\t")
            if not line.startswith("#") and len(cols) >= 3 and cols[0] == accel.split(",")[0]:
                rows.append((cols[1], cols[2]))
    return rows


def command(args, image, console, serial):
    return [args.vmm, "-accel", args.accel, "-cpu", args.cpu, "-m", "64", "-nodefaults", "-display", "none",
            "-no-reboot", "-debugcon", "file:" + console, "-serial", "file:" + serial,
            "-device", "isa-debug-exit,iobase=0xf4,iosize=0x04", "-kernel", image] + args.arg


def judge(args, image, status, console, serial):
    """Returns (problems, passed, known, skipped)."""
    name = os.path.splitext(os.path.basename(image))[0]
    deviations = [d for i, d in read_deviations(args.accel) if i == name]
    problems, passed, known, skipped, failed = [], 0, [], 0, 0
    for line in console.splitlines():
        m = re.match(r"(not )?ok (\d+) - (.*)", line)
        if not m:
            continue
        if int(m[2]) != passed + skipped + failed + 1:
            problems.append("lines out of order at: " + line)
        if m[1]:
            failed += 1
            (known if any(fnmatch.fnmatch(m[3], d + "*") for d in deviations) else problems).append(line)
        elif "# SKIP" in line:
            skipped += 1
        else:
            passed += 1
    total = passed + skipped + failed
    if args.reset:
        if status != 0 or not total:
            problems.append(f"exit status {status} after {total} checks, want 0 by way of a reset")
    else:
        plan = re.search(r"^1\.\.(\d+)$", console, re.M)
        if not plan or int(plan[1]) != total:
            problems.append(f"no plan, or not kept: the image stopped after {total} checks")
        if status != (3 if failed else 1):
            problems.append(f"exit status {status}, want {3 if failed else 1}")
    if serial.replace("\r", "") != console:
        problems.append(f"COM1 ({len(serial)} characters) differs from the debug console ({len(console)})")
    return problems, passed, known, skipped


def run_one(args, image):
    with tempfile.TemporaryDirectory() as d:
        files = [os.path.join(d, n) for n in ("console", "serial")]
        try:
            p = subprocess.run(command(args, image, *files), timeout=args.timeout, stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
            status, said = p.returncode, p.stdout.decode(errors="replace")
        except subprocess.TimeoutExpired as e:
            status, said = f"timeout after {args.timeout} s", (e.stdout or b"").decode(errors="replace")
        texts = []
        for f in files:
            texts.append(open(f, encoding="utf-8", errors="replace").read() if os.path.exists(f) else "")
    problems, passed, known, skipped = judge(args, image, status, *texts)
    print(f"{'FAIL' if problems else 'ok  '} {os.path.basename(image)} ({args.accel}): {passed} passed, "
          f"{skipped} skipped, {len(known)} known deviations, {len(problems)} problems")
    if args.verbose:
        print(texts[0], end="")
    if problems:
        for p in problems:
            print("   ", p)
        notes = [t for t in texts[0].splitlines() if t.startswith("#")]
        print("\n".join("    " + n for n in notes[-5:]))
        if said.strip():
            print("    the VMM said: " + said.strip()[-1000:].replace("\n", "\n    "))
    elif args.verbose and known:
        print("known:", *known, sep="\n    ")
    return not problems


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--vmm", required=True)
    p.add_argument("--accel", required=True)
    p.add_argument("--cpu", default="max")
    p.add_argument("--reset", action="store_true", help="the image ends in a triple fault, not a debug exit")
    p.add_argument("--arg", action="append", default=[], help="one more argument for the VMM")
    p.add_argument("--timeout", type=float, default=50)
    p.add_argument("-v", "--verbose", action="store_true")
    p.add_argument("images", nargs="+")
    args = p.parse_args()
    results = [run_one(args, i) for i in args.images]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
