#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Plays a user at the SDL window, on an X server of our own: run_sdl.py RING3 XDRIVE GUEST_IMAGE [--bless]

--bless writes the golden pictures instead of comparing with them.
"""
import os
import subprocess
import sys
import tempfile
import time

from rig import PATIENCE, Ring3, fail, pixel, wait
from x11 import User, XServer
from pictures import crop, keep, read_png, write_png  # pylint: disable=wrong-import-order

HERE = os.path.dirname(os.path.abspath(__file__))
BLESS = "--bless" in sys.argv
RING3, XDRIVE, IMAGE = [os.path.abspath(a) for a in sys.argv[1:4]]
SCREEN = 2048, 1536  # room for every size below: what is off the screen has no pixels
LETTERS = list(range(24, 34)) + list(range(38, 47)) + list(range(52, 59))  # X key codes: set 1 codes + 8
DONE = b"!"


def truecolour():
    """What F3 draws: the row in green and red, the column in blue and green."""
    return 800, 600, b"".join((y << 8 | x).to_bytes(3, "big") for y in range(600) for x in range(800))


class Onlooker(User):
    """A user who knows what the guest of guest.asm draws."""

    def golden(self, name):
        """The window shows this picture, at the latest soon."""
        path = os.path.join(HERE, "golden", name + ".png")
        if BLESS and name != "truecolour":
            time.sleep(1)
            write_png(path, self.shot())
            return None
        want = truecolour() if name == "truecolour" else read_png(path)
        end = time.monotonic() + PATIENCE
        while (got := self.shot()) != want:
            if time.monotonic() > end:
                fail(f"the window does not show {path} but {keep(name, got)}")
            time.sleep(0.05)
        return want


def say(text):
    print("--", text, flush=True)


def picture(guest, user, key, code, name):
    user.press(key)
    guest.expect_keys(bytes([code, code | 0x80]) + DONE, key)
    return user.golden(name)


def mouse_packets(guest, count):
    wait(f"{count} mouse packets", lambda: len(guest.received(guest.mouse_file)) >= 4 * count)
    data = guest.take(guest.mouse_file)
    return [data[i:i + 4] for i in range(0, len(data), 4)]


def movement(packets):
    def signed(byte, sign):
        return byte - 256 if sign else byte
    return (sum(signed(p[1], p[0] & 0x10) for p in packets), sum(signed(p[2], p[0] & 0x20) for p in packets))


def test_keys(guest, user):
    say("1,000 key strokes in a second")
    user("type 1000 " + " ".join(map(str, LETTERS)))
    codes = [LETTERS[i % len(LETTERS)] - 8 for i in range(1000)]
    guest.expect_keys(b"".join(bytes([c, c | 0x80]) for c in codes), "1,000 keys")
    say("a key that is held repeats at the keyboard's rate")
    user("key a down")
    wait("three repetitions", lambda: guest.received(guest.keys_file).count(b"\x1e") >= 4)
    user("key a up")
    wait("the release", lambda: guest.received(guest.keys_file).endswith(b"\x9e"))
    if set(guest.take(guest.keys_file)[:-1]) != {0x1e}:
        fail("a held key sent something else")
    say("keys with prefixes, and Pause")
    user.press("Up")
    user.press("KP_Enter")
    user.press("Control_R")
    user.press("Pause")
    guest.expect_keys(bytes.fromhex("e048e0c8 e01ce09c e01de09d e11d45e19dc5"), "prefixed keys")


def test_mouse(guest, user):
    say("the first click takes the mouse")
    user("move 300 200")
    user("button 1 down")
    user("button 1 up")
    user("title Press Ctrl-Alt-G to exit grab")
    guest.take(guest.mouse_file)
    for _ in range(20):
        user("by 3 -2")
    total = [0, 0]
    end = time.monotonic() + PATIENCE
    while total != [60, 40]:  # the mouse counts upwards
        if time.monotonic() > end:
            fail(f"20 movements by 3, -2 arrived as {total}")
        data = guest.received(guest.mouse_file)
        data = data[:len(data) // 4 * 4]
        guest.seen[guest.mouse_file] += len(data)
        dx, dy = movement([data[i:i + 4] for i in range(0, len(data), 4)])
        total = [total[0] + dx, total[1] + dy]
    say("buttons and wheel")
    for button, bit in ((1, 1), (3, 2), (2, 4)):
        user(f"button {button} down")
        user(f"button {button} up")
        got = [p[0] & 7 for p in mouse_packets(guest, 2)]
        if got != [bit, 0]:
            fail(f"button {button} arrived as {got}")
    user("button 4 down")
    user("button 4 up")
    user("button 5 down")
    user("button 5 up")
    wait("the wheel", lambda: len(guest.received(guest.mouse_file)) >= 8)
    if [p[3] for p in mouse_packets(guest, 2)] != [0xff, 1]:
        fail("the wheel's turns came wrong")
    say("Ctrl-Alt-G lets go")
    user.press("Control_L", "Alt_L", "g")
    user("title ring3 (window)")
    wait("the title", lambda: "exit grab" not in " ".join(user("find ring3")))
    wait("the modifiers", lambda: len(guest.received(guest.keys_file)) >= 4)
    got = guest.take(guest.keys_file)
    if got[:2] != b"\x1d\x38" or sorted(got[2:]) != [0x9d, 0xb8]:
        fail(f"Ctrl-Alt-G arrived as {got.hex(' ')}")
    user("by 50 50")
    user.press("b")
    guest.expect_keys(bytes.fromhex("30b0"), "a key after the grab")
    if guest.take(guest.mouse_file):
        fail("the mouse moved though it was let go")


def test_sizes(server, guest, user, work, golden):
    say("zoom: Ctrl-Alt-plus, -minus and -0")
    user.press("Control_L", "Alt_L", "equal")
    user("size 1000 750")
    user.press("Control_L", "Alt_L", "minus")
    user("size 800 600")
    user.press("Control_L", "Alt_L", "minus")
    user("size 600 450")
    user.press("Control_L", "Alt_L", "0")
    user("size 800 600")
    user.golden("truecolour")
    say("a window of another shape: the picture in the middle, black beside it")
    user("resize 1000 600")
    user("size 1000 600")
    wait("the resized picture", lambda: crop(user.shot(), 100, 0, 800, 600) == golden)
    shot = user.shot()
    for x in (0, 99, 900, 999):
        if pixel(shot, x, 300) != (0, 0, 0):
            fail(f"the border is not black at {x}")
    user("resize 400 300")
    user("size 400 300")
    wait("the small picture", lambda: abs(pixel(user.shot(), 199, 149)[2] - 398 % 256) < 4)
    say("pictures while its size changes")
    other = User(server, work, XDRIVE)
    other("find ring3")
    other.all(["resize 400 300", "resize 1300 900"] * 2000, meanwhile=lambda: [user.shot() for _ in range(40)])
    other.process.kill()
    user.press("Control_L", "Alt_L", "u")
    user("size 800 600")
    user.golden("truecolour")
    guest.take(guest.keys_file)


def test_state(guest, user):
    say("the title says when the machine is paused")
    guest.monitor("stop")
    user("title [Paused]")
    guest.monitor("cont")
    wait("the title", lambda: "[Paused]" not in " ".join(user("find ring3")))
    say("a still screen costs next to nothing")
    time.sleep(2)  # the window looks less often after a second without change
    before, seconds = guest.cpu_seconds(), 5
    time.sleep(seconds)
    share = (guest.cpu_seconds() - before) / seconds
    say(f"   {100 * share:.1f} % of a core")
    if share > 0.10:
        fail(f"a still screen takes {100 * share:.0f} % of a core")
    if not guest.sandboxed():
        fail("the machine runs without its sandbox")


def start(server, user, work, *options):
    guest = Ring3(RING3, work, IMAGE, "-name", "window", *options, env=server.env)
    user("find ring3 (window)")
    user("focus")
    return guest


def test_close(server, user, work):
    say("closing: a guest that does not listen is ended")
    guest = start(server, user, work, "-display", "sdl")
    user("close")
    guest.ends_well("the end")
    say("closing: a guest that listens powers off")
    guest = start(server, user, work, "-display", "sdl")
    user.press("F4")
    guest.expect_keys(b"\x3e\xbe" + DONE, "F4")
    user("close")
    guest.ends_well("the guest's power-off")
    say("closing: the second time ends it anyway")
    guest = start(server, user, work, "-display", "sdl")
    user.press("F5")
    guest.expect_keys(b"\x3f\xbf" + DONE, "F5")
    user("close")
    user.press("a")
    guest.expect_keys(b"\x1e\x9e", "a key after the first close")
    user("close")
    guest.ends_well("the end")
    say("window-close=off: nothing happens; a signal ends it")
    guest = start(server, user, work, "-display", "sdl,window-close=off,grab-mod=rctrl,scaling=integer")
    user("close")
    user.press("a")
    guest.expect_keys(b"\x1e\x9e", "a key after closing in vain")
    say("scaling=integer, and another grab key")
    user.press("F3")
    guest.expect_keys(b"\x3d\xbd" + DONE, "F3")
    golden = user.golden("truecolour")
    user("resize 1300 900")
    user("size 1300 900")
    wait("the picture at its own size", lambda: crop(user.shot(), 250, 150, 800, 600) == golden)
    user.press("Control_R", "0")
    user("size 800 600")
    guest.process.terminate()
    guest.ends_well("the end by a signal")


def test_full_screen(server, user, work):
    say("full screen: -full-screen, Ctrl-Alt-F, and back (under a window manager)")
    manager = subprocess.Popen(["openbox", "--sm-disable"], env={**server.env, "XDG_CACHE_HOME": work}, # its log
                               stderr=subprocess.DEVNULL)
    try:
        user("manager")
        guest = start(server, user, work, "-display", "sdl", "-full-screen")
        user(f"size {SCREEN[0]} {SCREEN[1]}")
        user("title Press Ctrl-Alt-G to exit grab")
        user.press("Control_L", "Alt_L", "f")
        user("size 720 400")
        user.golden("text")
        user.press("Control_L", "Alt_L", "f")
        user(f"size {SCREEN[0]} {SCREEN[1]}")
        # 720x400 as large as fits: 2048x1137, in the middle.
        wait("the black border", lambda: pixel(user.shot(), 640, 100) == (0, 0, 0))
        wait("the picture", lambda: any(crop(user.shot(), 0, 260, 2048, 1)[2]))
        user.press("Control_L", "Alt_L", "f")
        user("size 720 400")
        guest.process.terminate()
        guest.ended("the end")
    finally:
        manager.terminate()
        manager.wait()


def test_defaults(server, user, work):
    say("a window is the default where there is an X server, and with -vga none it shows that")
    guest = Ring3(RING3, work, IMAGE, "-name", "window", env=server.env)
    user("find ring3 (window)")
    guest.process.terminate()
    guest.ended("the end")
    env = {k: v for k, v in server.env.items() if k != "DISPLAY"}
    guest = Ring3(RING3, work, IMAGE, env=env)
    guest.process.terminate()
    guest.ended("the end")
    guest.errors.seek(0)
    said = guest.errors.read().decode()
    if said.count("\n") != 1 or "-nographic" not in said:
        fail(f"without a window system it said: {said}")
    refused = subprocess.run([RING3, "-display", "sdl", "-m", "16"], env={**env, "SDL_VIDEODRIVER": "x11"},
                             stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE)
    if refused.returncode != 1 or refused.stderr.count(b"\n") != 1:
        fail(f"-display sdl without an X server: status {refused.returncode}, {refused.stderr}")


def main():
    with tempfile.TemporaryDirectory() as work:
        server = XServer(work, SCREEN)
        user = Onlooker(server, work, XDRIVE)
        try:
            guest = start(server, user, work, "-display", "sdl")
            user.golden("text")
            test_keys(guest, user)
            picture(guest, user, "F2", 0x3c, "colours256")
            golden = picture(guest, user, "F3", 0x3d, "truecolour")
            test_mouse(guest, user)
            test_sizes(server, guest, user, work, golden)
            test_state(guest, user)
            picture(guest, user, "F1", 0x3b, "text")
            guest.process.terminate()
            guest.ended("the end")
            test_close(server, user, work)
            test_defaults(server, user, work)
            test_full_screen(server, user, work)
        finally:
            user.process.kill()
            server.process.terminate()
            server.process.wait()
    print("ok")


main()
