# SPDX-License-Identifier: MIT
"""A ring3 under test with the guest of guest.asm: what it received, pictures, waiting."""
import atexit
import os
import socket
import subprocess
import sys
import time

PATIENCE = 60 * float(os.environ.get("RING3_TEST_PATIENCE", "1"))


def fail(text):
    sys.exit("FAILED: " + text)


def wait(what, condition, patience=PATIENCE):
    """Until condition() is true; its value."""
    end = time.monotonic() + patience
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            fail("waited in vain for " + (what() if callable(what) else what))
        time.sleep(0.02)


class Ring3:
    def __init__(self, program, work, image, *args, env=None, **popen):
        self.keys_file, self.mouse_file = os.path.join(work, "keys"), os.path.join(work, "mouse")
        self.monitor_path = os.path.join(work, "monitor")
        for name in (self.keys_file, self.mouse_file, self.monitor_path):
            if os.path.exists(name):
                os.unlink(name)
        self.errors = open(os.path.join(work, "errors"), "w+b")
        self.process = subprocess.Popen(
            [program, "-m", "32", "-drive", f"file={image},format=raw,snapshot=on", "-debugcon", "file:" + self.keys_file,
             "-serial", "file:" + self.mouse_file, "-monitor", f"unix:{self.monitor_path},server,nowait", *args],
            env=env, **{"stdin": subprocess.DEVNULL, "stderr": self.errors, **popen})
        atexit.register(self.process.kill)
        self.seen = {self.keys_file: 0, self.mouse_file: 0}
        wait("the guest", lambda: self.received(self.mouse_file)[:1] == b"R" or self.check_alive())
        self.take(self.keys_file)
        self.take(self.mouse_file)

    def check_alive(self):
        if self.process.poll() is not None:
            self.errors.seek(0)
            fail(f"ring3 ended with {self.process.returncode}: {self.errors.read().decode()}")

    def received(self, name):
        """What came since the last take()."""
        try:
            with open(name, "rb") as f:
                return f.read()[self.seen[name]:]
        except FileNotFoundError:
            return b""

    def take(self, name):
        data = self.received(name)
        self.seen[name] += len(data)
        return data

    def expect_keys(self, expected, what):
        wait(lambda: f"{what}: {len(expected)} bytes, got {len(self.received(self.keys_file))}",
             lambda: len(self.received(self.keys_file)) >= len(expected) or self.check_alive())
        got = self.take(self.keys_file)
        if got != expected:
            fail(f"{what}: expected {expected[:40].hex(' ')}, got {got[:40].hex(' ')} ({len(got)} bytes)")

    def monitor(self, command):
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(self.monitor_path)
            text = b""
            s.sendall(command.encode() + b"\n")
            s.settimeout(PATIENCE)
            while text.count(b"(ring3)") < 2:
                data = s.recv(4096)
                if not data:
                    break
                text += data
            return text.decode(errors="replace")

    def ended(self, what):
        """The exit status, soon."""
        wait(what, lambda: self.process.poll() is not None)
        return self.process.returncode

    def ends_well(self, what):
        """It ends soon, with status 0."""
        status = self.ended(what)
        if status:
            fail(f"exit status {status}")

    def cpu_seconds(self):
        with open(f"/proc/{self.process.pid}/stat") as f:
            fields = f.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def sandboxed(self):
        with open(f"/proc/{self.process.pid}/status") as f:
            return "Seccomp:\t2" in f.read()


def pixel(picture, x, y):
    at = (y * picture[0] + x) * 3
    return tuple(picture[2][at:at + 3])
