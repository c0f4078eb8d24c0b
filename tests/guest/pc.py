# SPDX-License-Identifier: MIT
"""A PC under test that boots from its firmware: its text screen, its keyboard, and QMP to reach them."""
import os
import re
import tempfile
import time

from machine import Failure, Machine, try_connect
from pictures import keep, read_ppm
from qmp_client import Client

COLUMNS = 80
TEXT = 0xB8000
TEXT_BYTES = 0x8000

# What a character needs on a US keyboard, as sendkey names it.
KEYS = {" ": "spc", "\n": "ret", "\t": "tab", "\x1b": "esc", "-": "minus", "=": "equal", "[": "bracket_left",
        "]": "bracket_right", ";": "semicolon", "'": "apostrophe", "`": "grave_accent", "\\": "backslash",
        ",": "comma", ".": "dot", "/": "slash"}
SHIFTED = dict(zip('!@#$%^&*()_+{}:"~|<>?', "1234567890-=[];'`\\,./"))


def key_name(char):
    if char in SHIFTED:
        return "shift-" + key_name(SHIFTED[char])
    if char.isupper():
        return "shift-" + char.lower()
    return KEYS.get(char, char)


class Pc(Machine):
    """ring3 or QEMU with QMP on a socket, the first serial port on the terminal, and no window."""

    def __init__(self, vmm, args, patience=1):
        self.folder, self.qmp = tempfile.TemporaryDirectory(), None
        path = os.path.join(self.folder.name, "qmp")
        super().__init__(vmm, ["-display", "none", "-monitor", "none", "-qmp", f"unix:{path},server=on,wait=off",
                               "-serial", "stdio", *args], patience)
        try:
            self.qmp = Client(self.wait_until(lambda: try_connect(path), "no QMP"))
        except Failure:
            self.kill()
            raise

    def execute(self, command, **arguments):
        """Runs a QMP command and returns what it returns."""
        return self.qmp.execute(command, arguments)

    def monitor(self, line):
        return self.execute("human-monitor-command", **{"command-line": line})

    def screen(self):
        """All of the VGA's text memory as lines of 80: a console that scrolls by the start address is in it, too."""
        cells = bytearray()
        for line in self.monitor(f"xp /{TEXT_BYTES // 4}wx {TEXT:#x}").splitlines():
            for word in line.split(":", 1)[1].split():
                cells += int(word, 16).to_bytes(4, "little")
        text = bytes(c if 32 <= c < 127 else 32 for c in cells[::2]).decode()
        return "\n".join(text[i:i + COLUMNS].rstrip() for i in range(0, len(text), COLUMNS))

    def wait_screen(self, pattern, seconds=60, poll=0.5):
        """Waits for pattern on the screen; returns the match."""
        end = time.monotonic() + seconds * self.patience
        while True:
            text = self.screen()
            m = re.compile(pattern, re.M).search(text)
            if m:
                return m
            if self.process.poll() is not None:
                raise Failure(f"the machine ended; its console: {self.text[-1000:]}")
            if time.monotonic() > end:
                lines = [l for l in text.split("\n") if l]
                raise Failure(f"no {pattern!r} on the screen:\n" + "\n".join(lines[-60:]))
            self.idle(poll)

    def picture(self):
        """The screen's pixels, whatever its mode."""
        path = os.path.join(self.folder.name, "screen.ppm")
        self.execute("screendump", filename=path)
        return read_ppm(path)

    def wait_picture(self, condition, what, seconds=60, poll=0.5):
        """Waits until condition(picture) is true; its value."""
        end = time.monotonic() + seconds * self.patience
        while not (value := condition(picture := self.picture())):
            if self.process.poll() is not None:
                raise Failure(f"the machine ended; its console: {self.text[-1000:]}")
            if time.monotonic() > end:
                raise Failure(f"the screen does not show {what} but {keep('screen', picture)}")
            self.idle(poll)
        return value

    def idle(self, seconds):
        """Lets the guest run, and takes what its serial port says meanwhile."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if not self.read(left):
                time.sleep(max(0.0, end - time.monotonic()))
                return

    def key(self, name):
        self.monitor("sendkey " + name)

    def type(self, text):
        """Types text on the guest's keyboard; the machine keeps the keys in order, each down and up in turn."""
        for char in text:
            self.execute("send-key", keys=[{"type": "qcode", "data": k} for k in key_name(char).split("-")],
                         **{"hold-time": 20})

    def type_line(self, text):
        """Types a line at a prompt that shows it, no faster than that: a BIOS keeps 15 keys and drops the rest."""
        for at in range(0, len(text), 8):
            self.type(text[at:at + 8])
            self.wait_screen(re.escape(text[:at + 8].rstrip()), 20, 0.05)
        self.key("ret")

    def quit(self):
        try:
            self.execute("quit")
        except Failure:
            pass  # it may end before it answers
        return self.wait_exit(20)

    def kill(self):
        super().kill()
        if self.qmp:
            self.qmp.close()
        self.folder.cleanup()
