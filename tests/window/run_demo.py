#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""scripts/demo --desktop as a user has it, on an X server of our own: run_demo.py RING3 XDRIVE [--bless]

The window must show the README's picture, docs/desktop.png; --bless takes it anew. Status 77: the guest's package
cannot be had here.
"""
import os
import signal
import subprocess
import sys
import tempfile
import time

from rig import PATIENCE, fail, wait
from x11 import User, XServer
import installer_gui as gui  # pylint: disable=wrong-import-order
from harness import SKIPPED, Skip, package
from machine import ROOT
from pictures import keep, write_png

BLESS = "--bless" in sys.argv
RING3, XDRIVE = [os.path.abspath(a) for a in sys.argv[1:3]]
SCREEN = 2048, 1536  # what is off the screen has no pixels
TITLE = "ring3 (Debian installer)"


class Demo:
    """The script, its temporary files in a folder of our own."""

    def __init__(self, server, work):
        self.temporary = os.path.join(work, "tmp")
        os.mkdir(self.temporary)
        self.log = open(os.path.join(work, "log"), "w+b")
        self.process = subprocess.Popen(
            [os.path.join(ROOT, "scripts", "demo"), "--desktop"], stdin=subprocess.DEVNULL, stdout=self.log,
            stderr=self.log, env={**server.env, "RING3": RING3, "TMPDIR": self.temporary}, start_new_session=True)

    def check_alive(self):
        if self.process.poll() is not None:
            fail(f"the demo ended with {self.process.returncode}: {self.said()}")

    def said(self):
        self.log.seek(0)
        return self.log.read().decode(errors="replace")

    def kill(self):
        try:
            os.killpg(self.process.pid, signal.SIGTERM)
        except ProcessLookupError:
            pass
        self.process.wait()


def shows(demo, user, what, condition, patience=PATIENCE):
    """Waits until the window shows that."""
    end = time.monotonic() + patience
    while not condition(got := user.shot()):
        demo.check_alive()
        if time.monotonic() > end:
            fail(f"the window does not show {what} but {keep('demo', got)}")
        time.sleep(0.5)


def settled(user):
    """The picture once it has stood still for a second."""
    last, since = user.shot(), time.monotonic()

    def still():
        nonlocal last, since
        now = user.shot()
        if now != last:
            last, since = now, time.monotonic()
        return time.monotonic() - since > 1
    wait("the picture to come to rest", still)
    return last


def difference(a, b):
    """Left and upper edge of where two pictures of one size differ; None: nowhere."""
    width, height, _ = a
    row = 3 * width
    lines = [(a[2][y * row:][:row], b[2][y * row:][:row]) for y in range(height)]
    rows = [y for y, (p, q) in enumerate(lines) if p != q]
    if not rows:
        return None
    return min(next(i for i in range(row) if p[i] != q[i]) for p, q in (lines[y] for y in rows)) // 3, rows[0]


def press_continue(user):
    """The mouse from the corner to the button, in small steps, looking where it has got to: how far a step goes is
    the guest's driver's affair, and depends on their speed. The arrow's tip is its left upper end."""
    left, upper, right, lower = 1172, 762, 1256, 782  # the button, which lights up below the arrow, up to well inside it
    user("by 4000 4000")
    corner = settled(user)

    def arrives():
        x, y = difference(corner, user.shot()) or corner[:2]
        if left <= x <= right and upper <= y <= lower:
            return True
        dx = -2 if x > right else 2 if x < left else 0
        dy = -2 if y > lower else 2 if y < upper else 0
        user(f"by {dx} {dy}")
        return False
    wait("the pointer to reach the button", arrives)
    user("button 1 down")
    user("button 1 up")


def play(demo, server, user):
    print("-- the window shows the installer's picture", flush=True)
    wait("the window", lambda: demo.check_alive() or TITLE in subprocess.run(
        [XDRIVE], env=server.env, input=f"find {TITLE}\n", text=True, stdout=subprocess.PIPE, check=False).stdout)
    user(f"find {TITLE}")
    user("focus")
    if BLESS:
        shows(demo, user, "a list", gui.highlighted, 4 * PATIENCE)
        time.sleep(2)
        write_png(gui.LANGUAGES, user.shot())
    shows(demo, user, gui.LANGUAGES, gui.languages, 4 * PATIENCE)
    english = gui.highlighted(user.shot())[0]
    print("-- a key moves the highlighted line", flush=True)
    user.press("Down")
    shows(demo, user, "the next language highlighted", lambda p: (gui.highlighted(p) or (0,))[0] > english)
    user.press("Up")
    shows(demo, user, "the first one again", gui.languages)
    print("-- the first click takes the mouse, the second one presses a button", flush=True)
    user("move 640 100")
    user("button 1 down")
    user("button 1 up")
    user("title Press Ctrl-Alt-G to exit grab")
    press_continue(user)
    shows(demo, user, "the location page", gui.location, 2 * PATIENCE)
    user.press("Control_L", "Alt_L", "g")
    print("-- closing the window ends it", flush=True)
    user("close")
    wait("the demo's end", lambda: demo.process.poll() is not None)
    if demo.process.returncode or os.listdir(demo.temporary):
        fail(f"status {demo.process.returncode}, it left {os.listdir(demo.temporary)}: {demo.said()}")


def main():
    try:
        package("debian-installer-12-netboot-amd64", "usr")
    except Skip as e:
        print("SKIP window.demo:", e)
        return SKIPPED
    with tempfile.TemporaryDirectory() as work:
        server = XServer(work, SCREEN)
        user = User(server, work, XDRIVE)
        demo = Demo(server, work)
        try:
            play(demo, server, user)
        finally:
            demo.kill()
            user.process.kill()
            server.process.terminate()
            server.process.wait()
    print("ok")
    return 0


sys.exit(main())
