#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Run the 16-bit and segmented benchmarks under ring3 and QEMU in turns and print how many times faster ring3 is.

usage: run.py --ring3 PROGRAM [--qemu PROGRAM] [--rounds N] [--accel bt] [--arg ARG]...

Needs nasm. Each image is booted by the BIOS from a disk; a kernel's time is the least of its rounds, by RDTSC.
"""
import argparse
import math
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
IMAGES = {"real16": [], "segmented32": ["-DPM32"]}


def build(directory):
    paths = {}
    for name, flags in IMAGES.items():
        paths[name] = os.path.join(directory, name + ".img")
        subprocess.run(["nasm", "-f", "bin", *flags, "-o", paths[name], os.path.join(HERE, "bench.asm")], check=True)
        with open(paths[name], "r+b") as f:  # a disk that a BIOS believes in
            f.truncate(1440 * 1024)
    return paths


def run(command, image, directory, timeout):
    out = os.path.join(directory, "out")
    if os.path.exists(out):
        os.remove(out)
    subprocess.run([*command, "-m", "64", "-nodefaults", "-display", "none", "-no-reboot", "-debugcon", "file:" + out,
                    "-device", "isa-debug-exit,iobase=0xf4,iosize=0x04", "-drive", f"file={image},format=raw,if=ide"],
                   stdin=subprocess.DEVNULL, timeout=timeout, check=False)
    with open(out, encoding="ascii", errors="replace") as f:
        lines = f.read().split("\n")
    if "end" not in lines:
        raise RuntimeError(f"{command[0]}: the image did not come to its end: {lines[-3:]}")
    rows = [line.split() for line in lines if len(line.split()) == 3]
    return {name: (int(cycles, 16), checksum) for name, cycles, checksum in rows}


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--ring3", required=True)
    p.add_argument("--qemu", default="qemu-system-x86_64")
    p.add_argument("--accel", default="bt")
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--timeout", type=float, default=300)
    p.add_argument("--arg", action="append", default=[], help="one more argument for ring3")
    args = p.parse_args()
    commands = {"ring3": [args.ring3, "-accel", args.accel, *args.arg], "qemu": [args.qemu, "-accel", "tcg"]}
    bad = False
    with tempfile.TemporaryDirectory() as d:
        for name, image in build(d).items():
            best = {who: {} for who in commands}
            for _ in range(args.rounds):
                for who, command in commands.items():
                    for kernel, (cycles, checksum) in run(command, image, d, args.timeout).items():
                        old = best[who].get(kernel, (cycles, checksum))
                        best[who][kernel] = (min(cycles, old[0]), checksum)
            print(f"{name:12} {'ring3 Mcyc':>11} {'QEMU Mcyc':>11} {'ratio':>7}")
            ratios = []
            for kernel, (cycles, checksum) in best["ring3"].items():
                q = best["qemu"][kernel]
                ratios.append(q[0] / cycles)
                wrong = "" if q[1] == checksum else f"  CHECKSUM {checksum} AND {q[1]}"
                bad |= bool(wrong)
                print(f"  {kernel:10} {cycles / 1e6:11.1f} {q[0] / 1e6:11.1f} {ratios[-1]:7.2f}{wrong}")
            mean = math.exp(sum(map(math.log, ratios)) / len(ratios))
            print(f"  {'mean':10} {'':11} {'':11} {mean:7.2f}", flush=True)
    return bad


if __name__ == "__main__":
    sys.exit(main())
