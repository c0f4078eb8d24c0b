# SPDX-License-Identifier: MIT
"""An X server, and a user in front of it."""
import atexit
import os
import subprocess
import sys

from rig import fail

sys.path.append(os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "guest"))
from pictures import read_ppm  # pylint: disable=wrong-import-position


class XServer:
    """An Xvfb of our own; env is the environment of its clients."""

    def __init__(self, work, screen):
        read_end, write_end = os.pipe()
        self.log = open(os.path.join(work, "xvfb"), "wb")
        self.process = subprocess.Popen(
            ["Xvfb", "-displayfd", str(write_end), "-screen", "0", f"{screen[0]}x{screen[1]}x24", "-nolisten", "tcp"],
            pass_fds=[write_end], stdout=self.log, stderr=self.log)
        atexit.register(self.process.kill)
        os.close(write_end)
        with os.fdopen(read_end) as f:
            number = f.readline().strip()
        if not number:
            fail("Xvfb did not start")
        self.env = {**os.environ, "DISPLAY": ":" + number, "SDL_VIDEODRIVER": "x11"}
        self.env.pop("WAYLAND_DISPLAY", None)


class User:
    """Somebody at that server, played by xdrive; called with one of its commands, returns the words of its answer."""

    def __init__(self, server, work, xdrive):
        self.work = work
        self.process = subprocess.Popen([xdrive], env=server.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True, bufsize=1)

    def __call__(self, command):
        self.process.stdin.write(command + "\n")
        return self.answer(command)

    def answer(self, command):
        answer = self.process.stdout.readline().split()
        if not answer or answer[0] != "ok":
            fail(f"the user cannot '{command}'")
        return answer[1:]

    def all(self, commands, meanwhile):
        """These commands, one after the other, while meanwhile() does something else."""
        self.process.stdin.write("\n".join(commands) + "\n")
        meanwhile()
        for command in commands:
            self.answer(command)

    def press(self, *names):
        for name in names:
            self(f"key {name} down")
        for name in reversed(names):
            self(f"key {name} up")

    def shot(self):
        name = os.path.join(self.work, "shot.ppm")
        self("shot " + name)
        return read_ppm(name)
