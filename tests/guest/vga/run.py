#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Boots patterns.asm and compares the screen in every video mode with golden/*.png, which QEMU made (--update).

The guest says on the serial line when a picture is ready and waits there until it has been dumped.
"""
import argparse
import os
import socket
import subprocess
import sys
import tempfile
import time

import pictures

HERE = os.path.dirname(os.path.abspath(__file__))
MODES = ("00 01 02 03 04 05 06 07 0d 0e 0f 10 11 12 13 101 110 111 112 142 144 03").split()
PATIENCE = 120
# QEMU widens 5-bit colours with zeros here, ring3 (and QEMU at 16 bits) with their upper bits: 31 is white.
FIVE_BITS = {"110"}


def connect(path, process):
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end and process.poll() is None:
        s = socket.socket(socket.AF_UNIX)
        try:
            s.connect(path)
            s.settimeout(PATIENCE)
            return s
        except OSError:
            s.close()
            time.sleep(0.02)
    sys.exit(f"FAILED: no connection to {os.path.basename(path)} (exit status {process.poll()})")


class Monitor:
    """The text monitor: commands, and answers up to the next prompt."""

    def __init__(self, s):
        self.socket = s
        self.answer()

    def answer(self):
        text = b""
        while not text.endswith(b") "):
            piece = self.socket.recv(4096)
            if not piece:
                sys.exit("FAILED: the monitor went away: " + text.decode(errors="replace"))
            text += piece
        return text.decode(errors="replace")

    def command(self, line):
        self.socket.sendall(line.encode() + b"\n")
        return self.answer()


def compare(name, path, update):
    golden = os.path.join(HERE, "golden", name + ".png")
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
        pictures.write_png(os.path.join(tempfile.gettempdir(), f"vga-{name}.png"), picture)
    return not wrong


def check_png(monitor, folder, ppm):
    path = os.path.join(folder, "screen.png")
    said = monitor.command(f"screendump {path} -f png")
    if not os.path.exists(path):
        sys.exit(f"FAILED: screendump -f png: {said}")
    wrong = pictures.difference(pictures.read_png(path), pictures.read_ppm(ppm))
    print(f"{'FAILED' if wrong else 'ok':6} screendump -f png {wrong or ''}")
    return not wrong


def run(args, folder):
    serial, control = os.path.join(folder, "serial"), os.path.join(folder, "monitor")
    process = subprocess.Popen(  # pylint: disable=consider-using-with
        [args.vmm, *args.arg, "-m", "32", "-display", "none", "-vga", "std", "-net", "none",
         "-drive", f"file={args.image},format=raw,if=ide,snapshot=on",
         "-serial", f"unix:{serial},server", "-monitor", f"unix:{control},server=on,wait=off"])
    good = True
    try:
        line = connect(serial, process)
        monitor = Monitor(connect(control, process))
        for n, mode in enumerate(MODES):
            letter = line.recv(1)
            if letter != bytes([ord("A") + n]):
                sys.exit(f"FAILED: the guest said {letter!r} before mode {mode}h")
            ppm = os.path.join(folder, "screen.ppm")
            said = monitor.command(f"screendump {ppm}")
            if not os.path.exists(ppm):
                sys.exit(f"FAILED: screendump: {said}")
            good &= compare(mode, ppm, args.update)
            if n == 0 and not args.update:
                good &= check_png(monitor, folder, ppm)
            os.unlink(ppm)
            line.sendall(b"x")
        if line.recv(1) != b".":
            sys.exit("FAILED: the guest did not come to its end")
        monitor.socket.sendall(b"quit\n")
        process.wait(PATIENCE)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    return good


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--vmm", default="qemu-system-x86_64")
    parser.add_argument("--arg", action="append", default=[], help="an argument for the VMM")
    parser.add_argument("--image", required=True, help="patterns.asm, assembled")
    parser.add_argument("--update", action="store_true", help="make the golden images (with QEMU)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        sys.exit(0 if run(args, folder) else 1)


if __name__ == "__main__":
    main()
