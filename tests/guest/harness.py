# SPDX-License-Identifier: MIT
"""What the programs of this folder share: cases by name, the bench that a case works at, the run and its status."""
import argparse
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile

from machine import ROOT, Failure, Machine, guest_image

SKIPPED = 77  # CTest's SKIP_RETURN_CODE
QEMU = ["qemu-system-x86_64", "-accel", "tcg", "-cpu", "max"]
CASES = {}


class Skip(Exception):
    """What a case needs cannot be had here."""


def case(f):
    CASES[f.__name__] = f
    return f


def expect(condition, message):
    if not condition:
        raise Failure(message)


def expect_exit(m, status=0, seconds=60):
    got = m.wait_exit(seconds)
    expect(got == status, f"exit status {got}, want {status}; the console's end:\n{m.text[-1500:]}")


def made_by(script, *args):
    """What a script of scripts/ made, as it says in its last line."""
    p = subprocess.run([os.path.join(ROOT, "scripts", script), *args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                       stderr=subprocess.PIPE, check=False)
    if p.returncode:
        raise Skip(f"scripts/{script} {' '.join(args)}: {p.stderr.decode()[-300:].strip()}")
    return p.stdout.decode().splitlines()[-1]


def package(name, path):
    """A file of a Debian package, unpacked into the cache the first time."""
    full = os.path.join(made_by("guest-package", name), path)
    if not os.path.exists(full):
        raise Skip(f"{name} has no {path}")
    return full


def linux_args(append, flavour="cloud", initrd=None):
    image = guest_image(flavour)
    return ["-kernel", os.path.join(image, "vmlinuz"), "-initrd", initrd or os.path.join(image, "initrd.gz"),
            "-append", "console=ttyS0 " + append]


def script(text):
    """Files for a Linux guest that runs text: use with 'ring3.run=/run' on its command line."""
    return {"run": (0o755, ("#!/bin/sh\n" + text).encode())}


def drive(path, more=""):
    return ["-drive", f"file={path},format=raw{more}"]


def free_port():
    """A TCP port of the loopback that nobody has at the moment."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def refusal(vmm, args, word=""):
    """What ring3 will not start with: one line on stderr, with word in it, and status 1."""
    p = subprocess.run([vmm, *args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                       timeout=20, check=False)
    err = p.stderr.decode()
    expect(p.returncode == 1 and err.count("\n") == 1 and err.startswith("ring3: ") and word in err and not p.stdout,
           f"{' '.join(args)}: status {p.returncode}, stderr {err!r}, stdout {p.stdout[:200]!r}")


class Bench:
    """What a case works with: the options, a temporary folder, and the machines it started, which end with it."""

    def __init__(self, args, folder):
        self.args, self.folder, self.machines = args, folder, []
        self.note = ""  # stands behind the case's name when it passed

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, data):
        with open(self.path(name), "wb") as f:
            f.write(data)
        return self.path(name)

    def vmm(self):
        return [self.args.vmm, "-accel", self.args.accel]

    def start(self, *args, vmm=None, kind=Machine):
        m = kind(vmm or self.vmm(), list(args), 8 if self.args.accel == "interp" else 1)
        self.machines.append(m)
        return m


def run_case(name, args, bench):
    with tempfile.TemporaryDirectory(prefix=f"ring3-{name}-") as folder:
        b = bench(args, folder)
        try:
            CASES[name](b)
            print("ok  ", name, b.note, flush=True)
            return 0
        except Skip as e:
            print("SKIP", name + ":", e, flush=True)
            return SKIPPED
        except (Failure, OSError, subprocess.SubprocessError) as e:
            print("FAIL", name + ":", e, flush=True)
            return 1
        finally:
            for m in b.machines:
                m.kill()
                if args.verbose:
                    print(re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", m.text))


def main(doc, bench=Bench, options=None):
    """Runs the cases that the command line names; returns the exit status: 1 if one failed, 77 if one was skipped."""
    p = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--vmm", default=os.path.join(ROOT, "build/release/frontends/ring3"), help="the ring3 program")
    p.add_argument("--accel", default="bt")
    p.add_argument("--list", action="store_true", help="list the cases")
    p.add_argument("-v", "--verbose", action="store_true", help="print the console of each machine")
    p.add_argument("cases", nargs="*", metavar="CASE")
    if options:
        options(p)
    args = p.parse_args()
    for name in args.cases:
        if name not in CASES:
            p.error(f"there is no case {name!r} (try --list)")
    if args.list or not args.cases:
        for name, f in CASES.items():
            print(f"{name:12} {f.__doc__}")
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # a time limit: leave no machine behind
    results = {run_case(name, args, bench) for name in args.cases}
    return 1 if 1 in results else SKIPPED if SKIPPED in results else 0
