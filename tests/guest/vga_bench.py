#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Times vga/bench.asm under a VMM: seconds for each kind of drawing. `--vmm qemu-system-x86_64` for comparison.

--watch SECONDS takes a screen dump that often meanwhile, as a window does.
"""
import argparse
import tempfile
import threading
import time

import vga

PHASES = {"a": "text fill, REP STOSW", "b": "text scroll, REP MOVSW", "c": "text by characters",
          "p": "mode 12h fill, REP STOSB", "q": "mode 12h, write mode 3", "d": "(BIOS)",
          "e": "1024x768x32 REP MOVSD", "f": "1024x768x32 by pixels"}


def watch(monitor, folder, seconds, stop):
    while not stop.wait(seconds):
        monitor.command(f"screendump {folder}/screen.ppm")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--vmm", required=True)
    parser.add_argument("--image", required=True, help="bench.asm, assembled")
    parser.add_argument("--watch", type=float, default=0)
    args = parser.parse_args()
    stop = threading.Event()
    with tempfile.TemporaryDirectory() as folder:
        machine, line, monitor = vga.start([args.vmm], args.image, folder, "64")
        if args.watch:
            threading.Thread(target=watch, args=(monitor, folder, args.watch, stop), daemon=True).start()
        letter = line.recv(1).decode()
        while letter in PHASES:
            began = time.monotonic()
            following = line.recv(1).decode()
            print(f"{PHASES[letter]:26} {time.monotonic() - began:8.3f} s")
            letter = following
        stop.set()
        machine.kill()


main()
