#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Checks in the linked program what runs while the guest's vector state is in the registers.

usage: vectors.py RING3 ROOT

From each callback of a device model that says gpr_only (softmmu/address_space.h), and from the accesses and locks
around it, every path of machine code is followed through direct jumps, switches and calls, up to where it calls
vectors_save() (base/vectors.h). On the way no instruction may use a vector or x87 register, and nothing may be called
that cannot be followed: no shared library (memcpy!), and no function pointer but those of INDIRECT.
"""
import bisect
import glob
import os
import re
import struct
import subprocess
import sys

# Where a function pointer may be called with vector state live: the file, and the functions that it may point to.
INDIRECT = {
    "address_space.c": [],  # callbacks of models that are gpr_only; before all others it calls vectors_save()
    "interrupt.c": ["bt_kick", "accel_interp_kick"],  # cpu->kick
    "ioapic.c": ["lapic_bus_deliver"],
    "lapic.c": ["ioapic_eoi", "tick_taken"],
    "lapic_timer.c": [],  # cfg.guest_tsc, which only unit tests set
}
# Besides these and the devices' callbacks.
ROOTS = ["region_load", "region_store", "big_lock", "big_unlock", "as_load", "as_store"]
# What may be called of shared libraries, and why it uses general registers only.
LIBRARY = {
    "clock_gettime": "the kernel's vDSO, which has no others",
    "pthread_self": "reads the thread pointer",
}
# The program ends there: what state it leaves is of no interest.
NO_RETURN = {"abort", "__assert_fail", "__stack_chk_fail"}
HOOK = "vectors_hook"  # vectors_save() begins with a load of its first member
VECTOR = re.compile(r"%[xyz]mm\d|%mm\d|%st\b|%k[0-7]\b")
X87 = re.compile(r"f(?!s:)|emms|v?(ld|st)mxcsr|xsave|xrstor|vzero")
CLOBBERED = {"rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11"}


def output(*command):
    return subprocess.run(command, stdout=subprocess.PIPE, check=True, encoding="utf-8").stdout


class Program:
    """Instructions by address, symbols, and read-only data for the tables of switches."""

    def __init__(self, path):
        self.code, self.follow, self.starts, self.names = {}, {}, [], []
        last = None
        for line in output("objdump", "-d", "--no-show-raw-insn", path).splitlines():
            if m := re.match(r"([0-9a-f]+) <(.+)>:$", line):
                self.starts.append(int(m[1], 16))
                self.names.append(m[2])
            elif m := re.match(r" +([0-9a-f]+):\t(.*)$", line):
                at = int(m[1], 16)
                self.code[at] = re.sub(r"^((notrack|bnd|lock|rep\w*|data16|cs) )+", "", m[2].strip())
                if last is not None:
                    self.follow[last] = at
                last = at
        self.symbols, self.hook = self._read_symbols(path)
        self.tables = {}  # of each part of a function: what may be tables of its switches
        self.sections = []
        with open(path, "rb") as f:
            data = f.read()
        for m in re.finditer(r"\] (\.rodata\S*|\.data\.rel\.ro\S*) +PROGBITS +([0-9a-f]+) ([0-9a-f]+) ([0-9a-f]+)",
                             output("readelf", "-SW", path)):
            start, offset, size = (int(x, 16) for x in m.groups()[1:])
            self.sections.append((start, data[offset:offset + size]))

    @staticmethod
    def _read_symbols(path):
        """(file, function) -> address, with file None for global ones; the hook's offset from the thread pointer."""
        symbols, hook, file = {}, None, None
        for line in output("readelf", "-sW", path).splitlines():
            c = line.split()
            if len(c) < 8 or not re.match(r"\d+:$", c[0]):
                continue
            if c[3] == "FILE":
                file = c[7]
            elif c[3] == "FUNC" and c[6] != "UND":
                symbols[(file if c[4] == "LOCAL" else None, c[7])] = int(c[1], 16)
            elif c[3] == "TLS" and c[7] == HOOK:
                hook = int(c[1], 16)
        size, align = re.search(r"^ +TLS +(?:0x[0-9a-f]+ ){4}(0x[0-9a-f]+) R\S* +(0x[0-9a-f]+)", output(
            "readelf", "-lW", path), re.M).groups()
        size, align = int(size, 16), int(align, 16)
        return symbols, hook - (size + align - 1) // align * align

    def name(self, at):
        i = bisect.bisect_right(self.starts, at) - 1
        return self.names[i]

    def function(self, at):
        """The function's own name, without that of the part or clone that the compiler made of it."""
        return self.name(at).split("@")[0].split(".")[0]

    def body(self, at):
        i = bisect.bisect_right(self.starts, at) - 1
        at, end = self.starts[i], self.starts[i + 1] if i + 1 < len(self.starts) else 1 << 64
        while at is not None and at < end:
            yield at
            at = self.follow.get(at)

    def switch(self, at):
        """Targets of the indirect jump here, if it is a switch: tables hold 32-bit offsets from themselves."""
        name = self.name(at)
        if name not in self.tables:
            leas = [re.search(r"^lea .*\(%rip\),%r\w+ +# ([0-9a-f]+)", self.code[a]) for a in self.body(at)]
            self.tables[name] = {int(m[1], 16) for m in leas if m}
        return [t for base in self.tables[name] for t in self._targets(at, base)]

    def _targets(self, at, base):
        for start, data in self.sections:
            if start <= base < start + len(data):
                for i in range(base - start, len(data) - 3, 4):
                    target = (base + struct.unpack_from("<i", data, i)[0]) & (1 << 64) - 1
                    if target not in self.code or self.function(target) != self.function(at):
                        return
                    yield target


class Walk:
    """State at an instruction: None if vectors_save() was called on every path to it, else the registers that hold the
    hook's address on all of them."""

    def __init__(self, program, files):
        self.p, self.files = program, files
        self.problems, self.saves, self.seen, self.why = {}, {}, set(), {}

    def chain(self, at):
        names = []
        while at is not None and len(names) < 12:
            names.append(self.p.name(at))
            at = self.why.get(at)
        return " <- ".join(names)

    def problem(self, entry, at, text):
        name = self.p.name(at)
        self.problems.setdefault((name, text), f"{name} {text}: {at:x} {self.p.code[at]}; {self.chain(entry)}")

    def run(self, entry):
        """Follows a function; whether every return from it comes after vectors_save(). In a recursion: assumed so."""
        if entry in self.saves:
            return self.saves[entry]
        self.saves[entry] = True
        state, work, returns_live = {entry: frozenset()}, [entry], False
        while work:
            at = work.pop()
            self.seen.add(at)
            after, targets, returns = self.step(entry, at, state[at])
            returns_live |= returns
            for t in targets:
                new = after if t not in state else state[t] & after
                if t not in state or new != state[t]:
                    state[t] = new
                    work.append(t)
        if returns_live:
            self.saves[entry] = False
        return self.saves[entry]

    def step(self, entry, at, hooks):
        """What one instruction does with vector state live: the registers that hold the hook behind it, where execution
        goes on with the state still live, and whether it returns so."""
        text = self.p.code[at].split("#")[0].strip()
        mnemonic, _, operands = text.partition(" ")
        operands = operands.strip()
        following = [self.p.follow[at]] if at in self.p.follow else []
        if mnemonic == "ret":
            return hooks, [], True
        if VECTOR.search(operands) or X87.match(mnemonic):
            self.problem(entry, at, "uses vector or x87 state")
        if m := re.match(r"%fs:(?:0x([0-9a-f]+))?(?:\(%(\w+)\))?,", operands):
            direct = m[2] is None and m[1] and int(m[1], 16) == self.p.hook & (1 << 64) - 1
            if direct or (m[2] in hooks and m[1] in (None, "0")):
                return hooks, [], False  # vectors_save()
        if m := re.match(r"\$0x([0-9a-f]+),%(r\w+)$", operands):
            value = int(m[1], 16)
            if mnemonic == "mov" and value == self.p.hook & (1 << 64) - 1:
                return hooks | {m[2]}, following, False
        if mnemonic == "call":
            return self.call(entry, at, operands, hooks, following)
        if mnemonic.startswith("j"):
            if operands.startswith("*"):
                if targets := self.p.switch(at):
                    return hooks, targets, False
                self.call(entry, at, operands, hooks, following)  # a tail call
                return hooks, [], True
            target = int(operands.split()[0], 16)
            if target not in self.p.code or "@plt" in operands:
                self.call(entry, at, operands, hooks, following)
                return hooks, [], True
            return hooks, [target] + (following if mnemonic != "jmp" else []), False
        written = re.search(r"%(r\w+)$", operands)
        return hooks - {written[1]} if written and mnemonic not in ("cmp", "test", "push") else hooks, following, False

    def call(self, entry, at, operands, hooks, following):
        hooks = hooks - CLOBBERED
        if operands.startswith("*"):
            if self.files.get(self.p.function(at)) not in INDIRECT:
                self.problem(entry, at, "calls a function pointer")
            return hooks, following, False
        target, name = re.match(r"([0-9a-f]+) <([^>+]+)", operands).groups()
        if "@plt" in name:
            if name.split("@")[0] in NO_RETURN:
                return hooks, [], False
            if name.split("@")[0] not in LIBRARY:
                self.problem(entry, at, f"calls {name.split('@')[0]} of a shared library")
            return hooks, following, False
        target = int(target, 16)
        self.why.setdefault(target, entry)
        return hooks, [] if self.run(target) else following, False


def read_sources(root):
    """(path, text) of each file, and the file that defines a function."""
    sources, files = [], {}
    for path in sorted(glob.glob(os.path.join(root, "*", "*.c"))):
        with open(path, encoding="utf-8") as f:
            sources.append((path, f.read()))
        for m in re.finditer(r"^[a-z][\w *]*?\b(\w+)\([^;{}]*\)\s*\{", sources[-1][1], re.M):
            files.setdefault(m[1], os.path.basename(path))
    return sources, files


def callbacks(sources, program, problems):
    """The read and write functions of every io_ops with gpr_only: (name, address)."""
    for path, text in sources:
        for m in re.finditer(r"\{[^{}]*\.gpr_only = true[^{}]*\}", text):
            for name in re.findall(r"\.(?:read|write) = (\w+)", m[0].replace("##", "__")):
                pattern = re.compile(name.replace("__base", r"0x\w+") + "$")
                found = [(n, at) for (file, n), at in program.symbols.items()
                         if file == os.path.basename(path) and pattern.match(n)]
                if not found:
                    problems.append(f"{path}: no {name} in the program")
                yield from found


def main():
    program, problems = Program(sys.argv[1]), []
    sources, files = read_sources(sys.argv[2])
    walk = Walk(program, files)
    models = list(callbacks(sources, program, problems))
    names = ROOTS + [name for targets in INDIRECT.values() for name in targets]
    roots = [(name, at) for (_, name), at in program.symbols.items() if name in names]
    problems += [f"no {name} in the program" for name in set(names) - {name for name, _ in roots}]
    for _, at in models + roots:
        walk.run(at)
    problems += walk.problems.values()
    reached = {program.function(at) for at in walk.seen}
    print(*problems, f"{len(models)} callbacks, {len(reached)} functions, {len(problems)} problems", sep="\n")
    return 1 if problems or len(models) < 30 or len(reached) < 60 else 0


if __name__ == "__main__":
    sys.exit(main())
