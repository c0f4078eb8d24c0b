#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Sits at a terminal that shows -display curses: run_curses.py RING3 GUEST_IMAGE"""
import fcntl
import os
import pty
import struct
import subprocess
import sys
import tempfile
import termios
import threading

from rig import PATIENCE, Ring3, fail, wait

RING3, IMAGE = [os.path.abspath(a) for a in sys.argv[1:3]]
DONE = b"!"


class Terminal:
    def __init__(self, columns=100, rows=30):
        self.master, self.slave = pty.openpty()
        self.resize(columns, rows)
        self.before = termios.tcgetattr(self.slave)
        self.shown = bytearray()
        threading.Thread(target=self.read, daemon=True).start()

    def resize(self, columns, rows):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def read(self):
        while True:
            try:
                self.shown += os.read(self.master, 65536)
            except OSError:
                return

    def type(self, data):
        os.write(self.master, data)

    def wait_for(self, text, what):
        wait(lambda: f"{what}; the terminal got {bytes(self.shown[-300:])}", lambda: text.encode() in self.shown)
        self.shown.clear()


def start(terminal, work):
    env = {**os.environ, "TERM": "xterm-256color", "LC_ALL": "C"}
    env.pop("DISPLAY", None)
    return Ring3(RING3, work, IMAGE, "-display", "curses", env=env, stdin=terminal.slave, stdout=terminal.slave,
                 start_new_session=True,
                 preexec_fn=lambda: fcntl.ioctl(terminal.slave, termios.TIOCSCTTY, 0))


def keys(guest, terminal, typed, expected, what):
    terminal.type(typed)
    guest.expect_keys(bytes.fromhex(expected), what)


def main():
    with tempfile.TemporaryDirectory() as work:
        terminal = Terminal()
        guest = start(terminal, work)
        print("-- characters beyond ASCII, and the colours' attributes", flush=True)
        terminal.wait_for("\u2593", "the shades of CP437")
        print("-- keys", flush=True)
        keys(guest, terminal, b"a", "1e9e", "a")
        keys(guest, terminal, b"A", "2a1e9eaa", "A")
        keys(guest, terminal, b"\x03", "1d2eae9d", "Ctrl-C is the guest's")
        keys(guest, terminal, b"\x1bx", "382dadb8", "Alt-X")
        keys(guest, terminal, b"\x1b", "0181", "Escape")
        keys(guest, terminal, b"\x1bOA", "e048e0c8", "cursor up")
        keys(guest, terminal, b"\x1b[17;2~", "2a40c0aa", "Shift-F6")
        keys(guest, terminal, b"\x7f", "0e8e", "Backspace")
        keys(guest, terminal, b"\r", "1c9c", "Enter")
        keys(guest, terminal, b"\x01\x01", "1d1e9e9d", "Ctrl-A twice")
        print("-- 1,000 keys at once", flush=True)
        threading.Thread(target=terminal.type, args=(b"qwertzuiop" * 100,)).start()
        codes = [0x10, 0x11, 0x12, 0x13, 0x14, 0x2c, 0x16, 0x17, 0x18, 0x19]
        guest.expect_keys(b"".join(bytes([c, c | 0x80]) for c in codes) * 100, "1,000 keys")
        print("-- graphics modes are named; the terminal may change its size", flush=True)
        keys(guest, terminal, b"\x1bOR", "3dbd" + DONE.hex(), "F3")
        terminal.wait_for("800x600 graphic mode", "the mode's name")
        terminal.resize(60, 20)
        terminal.wait_for("800x600 graphic mode", "the name in a smaller terminal")
        keys(guest, terminal, b"\x1bOP", "3bbb" + DONE.hex(), "F1")
        terminal.wait_for("\u2593", "text again")
        print("-- Ctrl-A X leaves, and the terminal is as before", flush=True)
        if not guest.sandboxed():
            fail("the machine runs without its sandbox")
        terminal.type(b"\x01x")
        guest.ends_well("the end")
        if termios.tcgetattr(terminal.slave) != terminal.before:
            fail("the terminal was not restored")
        print("-- refusals", flush=True)
        for options, env in ((["-serial", "stdio"], {}), ([], {"TERM": "no-such-terminal"})):
            refused = subprocess.run([RING3, "-m", "16", "-display", "curses", *options], env={**os.environ, **env},
                                     stdin=terminal.slave, stdout=terminal.slave, stderr=subprocess.PIPE, timeout=PATIENCE)
            if refused.returncode != 1 or refused.stderr.count(b"\n") != 1:
                fail(f"{options} {env}: status {refused.returncode}, {refused.stderr}")
        refused = subprocess.run([RING3, "-m", "16", "-display", "curses"], stdin=subprocess.DEVNULL,
                                 capture_output=True, timeout=PATIENCE)
        if refused.returncode != 1 or refused.stderr.count(b"\n") != 1:
            fail(f"without a terminal: status {refused.returncode}, {refused.stderr}")
    print("ok")


main()
