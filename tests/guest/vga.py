#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Boots vga/patterns.asm and compares the screen in every video mode with vga/golden/*.png, which QEMU made (--update).

The guest says on the serial line when a picture is ready and waits there until it has been dumped.
"""
import argparse
import os
import sys
import tempfile

import pictures
from machine import Failure, Machine, try_connect

GOLDEN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "vga", "golden")
MODES = ("00 01 02 03 04 05 06 07 0d 0e 0f 10 11 12 13 101 110 111 112 142 144 03").split()
PATIENCE = 120
# QEMU widens 5-bit colours with zeros here, ring3 (and QEMU at 16 bits) with their upper bits: 31 is white.
FIVE_BITS = {"110"}


def start(vmm, image, folder, ram):
    """A machine with the image as its disk; returns it, its serial line and its monitor."""
    serial, control = os.path.join(folder, "serial"), os.path.join(folder, "monitor")
    m = Machine(vmm, ["-m", ram, "-display", "none", "-vga", "std", "-net", "none",
                      "-drive", f"file={image},format=raw,if=ide,snapshot=on",
                      "-serial", f"unix:{serial},server", "-monitor", f"unix:{control},server=on,wait=off"])
    try:
        line = m.wait_until(lambda: try_connect(serial), "no serial line", PATIENCE)
        line.settimeout(PATIENCE)
        return m, line, Monitor(m.wait_until(lambda: try_connect(control), "no monitor", PATIENCE))
    except (Failure, OSError):
        m.kill()
        raise


class Monitor:
    """The text monitor: commands, and answers up to the next prompt."""

    def __init__(self, s):
        self.socket = s
        s.settimeout(PATIENCE)
        self.answer()

    def answer(self):
        text = b""
        while not text.endswith(b") "):
            piece = self.socket.recv(4096)
            if not piece:
                raise Failure("the monitor went away: " + text.decode(errors="replace"))
            text += piece
        return text.decode(errors="replace")

    def command(self, line):
        self.socket.sendall(line.encode() + b"\n")
        return self.answer()


def compare(name, path, update):
    golden = os.path.join(GOLDEN, name + ".png")
    picture = pictures.read_ppm(path)
    if update:
        pictures.write_png(golden, picture)
        return True
    want = pictures.read_png(golden)
    if name in FIVE_BITS:
        picture, want = ((p[0], p[1], bytes(c & 0xF8 for c in p[2])) for p in (picture, want))
    wrong = pictures.difference(picture, want)
    print(f"{'FAILED' if wrong else 'ok':6} mode {name}h {picture[0]}x{picture[1]} {wrong or ''}")
    if wrong:
        print("       it is", pictures.keep(f"vga-{name}", picture))
    return not wrong


def check_png(monitor, folder, ppm):
    path = os.path.join(folder, "screen.png")
    said = monitor.command(f"screendump {path} -f png")
    if not os.path.exists(path):
        raise Failure(f"screendump -f png: {said}")
    wrong = pictures.difference(pictures.read_png(path), pictures.read_ppm(ppm))
    print(f"{'FAILED' if wrong else 'ok':6} screendump -f png {wrong or ''}")
    return not wrong


def run(args, folder):
    good = True
    m, line, monitor = start([args.vmm, *args.arg], args.image, folder, "32")
    try:
        for n, mode in enumerate(MODES):
            letter = line.recv(1)
            if letter != bytes([ord("A") + n]):
                raise Failure(f"the guest said {letter!r} before mode {mode}h")
            ppm = os.path.join(folder, "screen.ppm")
            said = monitor.command(f"screendump {ppm}")
            if not os.path.exists(ppm):
                raise Failure(f"screendump: {said}")
            good &= compare(mode, ppm, args.update)
            if n == 0 and not args.update:
                good &= check_png(monitor, folder, ppm)
            os.unlink(ppm)
            line.sendall(b"x")
        if line.recv(1) != b".":
            raise Failure("the guest did not come to its end")
        monitor.socket.sendall(b"quit\n")
        if (status := m.wait_exit(PATIENCE)) != 0:
            raise Failure(f"exit status {status}")
    finally:
        m.kill()
    return good


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--vmm", default="qemu-system-x86_64")
    parser.add_argument("--arg", action="append", default=[], help="an argument for the VMM")
    parser.add_argument("--image", required=True, help="patterns.asm, assembled")
    parser.add_argument("--update", action="store_true", help="make the golden images (with QEMU)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        try:
            return 0 if run(args, folder) else 1
        except (Failure, OSError) as e:
            print("FAILED:", e)
            return 1


if __name__ == "__main__":
    sys.exit(main())
