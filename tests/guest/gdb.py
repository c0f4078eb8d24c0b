#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The real gdb debugs guests: one test case per run.

usage: gdb.py --vmm PROGRAM [--accel NAME] CASE...      gdb.py --list
"""
import os
import re
import subprocess
import sys

from harness import Bench, case, expect, free_port, linux_args, main
from machine import Failure, try_connect

HERE = os.path.dirname(os.path.abspath(__file__))
TEXT = 0xFFFFFFFF81000000  # where Linux is without KASLR


class GdbBench(Bench):
    """Runs gdb; stub: where the machine listens for it."""

    def __init__(self, args, folder):
        super().__init__(args, folder)
        self.socket, self.output = self.path("gdb.sock"), ""

    def stub(self):
        return ["-gdb", f"unix:{self.socket},server=on,wait=off"]

    def gdb(self, m, script, target=None, files=(), seconds=150):
        """Runs gdb with script, whose `say WHAT VALUE` lines come back as a list of (what, value)."""
        if not target:
            m.wait_until(lambda: os.path.exists(self.socket), "no socket for gdb")
            target = self.socket
        text = "set pagination off\nset confirm off\nset width 0\nset remotetimeout 20\n"
        text += "define target-again\n  disconnect\n  target remote " + target + "\nend\n"
        text += f"target remote {target}\n" + script
        path = self.path("script.gdb")
        with open(path, "w", encoding="ascii") as f:
            f.write(re.sub(r"(?m)^say (\S+) (.*)$", r'printf "SAY \1 %#lx\\n", (unsigned long)(\2)', text))
        try:
            p = subprocess.run(["gdb", "-q", "-nx", "-batch", *files, "-x", path], stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=seconds * m.patience,
                               check=False)
            self.output = p.stdout.decode(errors="replace")
        except subprocess.TimeoutExpired as e:
            raise Failure("gdb hangs:\n" + e.output.decode(errors="replace")[-2500:]) from e
        if self.args.verbose:
            print(self.output)
        # An error ends the script: the line it is in is said.
        expect("Error in sourced command file" not in self.output, "gdb's script failed:\n" + self.output[-2500:])
        return [(what, int(value, 0)) for what, value in re.findall(r"^SAY (\S+) (\S+)$", self.output, re.M)]


def compare(b, got, want):
    expect(got == want, "gdb saw\n  " + "\n  ".join(f"{w} {v:#x}" for w, v in got) + "\nand not\n  " +
           "\n  ".join(f"{w} {v:#x}" for w, v in want) + "\n" + b.output[-2500:])


# --- a boot sector: real mode, 32-bit, 64-bit

def boot_sector(b):
    """Builds it; returns the image and its labels."""
    source = os.path.join(HERE, "gdb", "boot_sector.asm")
    image = b.path("boot_sector.img")
    subprocess.run(["nasm", "-f", "bin", "-o", image, source], cwd=b.folder, check=True)
    with open(b.path("boot_sector.map"), encoding="ascii") as f:
        rows = re.findall(r"^ +([0-9A-F]+) +[0-9A-F]+ +(\w+)$", f.read(), re.M)
    labels = {name: int(value, 16) for value, name in rows}
    with open(image, "ab") as f:
        f.truncate(1 << 20)
    return image, labels


REAL = """
maintenance packet Qring3.Arch:i8086
target-again
say reset $eip
break *{start}
continue
delete
say start $eip
stepi
say step $eip
stepi 5
say ds $ds_base
watch *(short *)0x10010
continue
say stored *(short *)0x10010
say behind $eip
continue
say incremented *(short *)0x10010
delete
break *{again}
continue
say cx $cx
continue
say cx $cx
delete
set $cx = 1
hbreak *{other}
continue
delete
say other $eip
say cs $cs
stepi
say bx $bx
x/2i $eip
"""
PROTECTED = """
maintenance packet Qring3.Arch:i386
target-again
break *{code32}
continue
say code32 $eip
say cs $cs
say pe $cr0 & 1
x/i $eip
stepi
say ax $ax
delete
hbreak *{paging}
continue
say paging $eip
say table *(int *)0x20000
delete
"""
LONG = """
maintenance packet Qring3.Arch:auto
target-again
break *{code64}
continue
info registers efer
say code64 $rip
x/i $rip
stepi
say rax $rax
delete
watch *(long *)0x30000
continue
say value *(long *)0x30000
delete
hbreak *{last}
continue
say xmm1 $xmm1.v2_int64[0]
delete
maintenance packet Qqemu.PhyMemMode:1
say physical *(int *)0x21000 & ~0x20
maintenance packet Qqemu.PhyMemMode:0
set $rbx = 0xfedcba9876543210
stepi
say rax $rax
say rbx $rbx
monitor info status
kill
"""


@case
def modes(b):
    """A boot sector is stepped through 16-, 32- and 64-bit code with the matching architecture."""
    image, at = boot_sector(b)
    m = b.start("-m", "64M", "-drive", f"file={image},format=raw,if=ide", "-device", "isa-debug-exit,iobase=0xf4",
                "-display", "none", "-serial", "stdio", "-monitor", "none", "-S", *b.stub())
    got = b.gdb(m, "".join(s.format(**at) for s in (REAL, PROTECTED, LONG)))
    compare(b, got, [
        ("reset", 0xfffffff0), ("start", at["start"]), ("step", at["start"] + 1), ("ds", 0x10000), ("stored", 0x1234),
        ("behind", at["again"] - 3), ("incremented", 0x1235), ("cx", 2), ("cx", 1), ("other", at["other"]),
        ("cs", 0x700), ("bx", 0x700),
        ("code32", at["code32"]), ("cs", 8), ("pe", 1), ("ax", 0x10), ("paging", at["paging"]), ("table", 0x21003),
        ("code64", at["code64"]), ("rax", 0x123456789abcdef0), ("value", 0x123456789abcdef0),
        ("xmm1", 0x123456789abcdef0), ("physical", 0x22003), ("rax", 0x123456789abcde31), ("rbx", 0xfedcba9876543210)])
    for pattern in (r"xor +%ax,%ax", r"mov +\$0x10,%ax", r"movabs \$0x123456789abcdef0,%rax", r"efer .*LME LMA",
                    r"VM status: paused"):
        expect(re.search(pattern, b.output), f"gdb did not show {pattern!r}:\n{b.output[-2500:]}")
    expect(m.wait_exit(10) == 0, f"exit status {m.process.returncode}")


# --- Linux

def kernel_symbols(b):
    """Runs the kernel once to read its symbols; returns name -> address."""
    m = b.start(*linux_command("/bin/cat_/proc/kallsyms"))
    m.wait_for(r"GUEST-STATUS 0", 120)
    symbols = {}
    for value, name in re.findall(r"^([0-9a-f]{16}) [a-zA-Z] (\w+)$", m.text, re.M):
        symbols.setdefault(name, int(value, 16))
    m.wait_exit(30)
    return symbols


def linux_command(command):
    return ["-m", "512M", *linux_args(f"quiet nokaslr ring3.run={command}"), "-nographic", "-no-reboot"]


def symbol_file(b, symbols, names):
    """An ELF file with nothing but these symbols, which gdb takes for the kernel's."""
    source, elf = b.path("kernel.s"), b.path("kernel.elf")
    with open(source, "w", encoding="ascii") as f:
        f.write('.section .kernel, "ax", @nobits\n.skip 0x4000000\n')
    subprocess.run(["as", "-o", elf + ".o", source], check=True)
    subprocess.run(["ld", "-e", "0", "-o", elf + ".0", f"--section-start=.kernel={TEXT:#x}", elf + ".o"], check=True)
    add = []
    for name, kind in names.items():
        expect(name in symbols, f"the kernel has no symbol {name}")
        add += ["--add-symbol", f"{name}=.kernel:{symbols[name] - TEXT:#x},global,{kind}"]
    subprocess.run(["objcopy", *add, elf + ".0", elf], check=True)
    return elf


LINUX = """
say cr0 $cr0 & 0x80000001
break start_kernel
continue
say start_kernel $rip
say lma ($efer >> 10) & 1
set $sp0 = $rsp
stepi
stepi
stepi
say moved $rip != (unsigned long)&start_kernel
info registers cr3
delete
hbreak do_sys_openat2
continue
say openat $rip
say user_string *(char *)$rsi == '/'
delete
watch *(unsigned long *)&jiffies
set $before = *(unsigned long *)&jiffies
continue
say ticked *(unsigned long *)&jiffies > $before
set $before = *(unsigned long *)&jiffies
say kernel (unsigned long)$rip >> 32
continue
say ticked *(unsigned long *)&jiffies > $before
set $before = *(unsigned long *)&jiffies
stepi
delete
break {sleep}
continue
say sleeping $rip
set $return = *(unsigned long *)$rsp
tbreak *$return
continue
say returned $rip == $return
delete
continue
"""


@case
def linux(b):
    """Linux: breakpoints by symbol, steps, jiffies watched, and on to the end, over TCP."""
    sleep = "do_nanosleep"
    symbols = kernel_symbols(b)
    elf = symbol_file(b, symbols, {"start_kernel": "function", "do_sys_openat2": "function", sleep: "function",
                                   "jiffies": "object"})
    port = free_port()
    m = b.start(*linux_command("sleep_0.05"), "-gdb", f"tcp:127.0.0.1:{port}", "-S")
    m.wait_until(lambda: try_connect(("127.0.0.1", port)), "nobody listens").close()
    got = b.gdb(m, LINUX.format(sleep=sleep), f"127.0.0.1:{port}", [elf])
    compare(b, got, [
        ("cr0", 0x80000001), ("start_kernel", symbols["start_kernel"]), ("lma", 1), ("moved", 1),
        ("openat", symbols["do_sys_openat2"]), ("user_string", 1), ("ticked", 1), ("kernel", 0xffffffff), ("ticked", 1),
        ("sleeping", symbols[sleep]), ("returned", 1)])
    expect("exited normally" in b.output, "gdb did not hear of the guest's end:\n" + b.output[-1500:])
    m.wait_for(r"GUEST-STATUS 0")
    expect(m.wait_exit(30) == 0, f"exit status {m.process.returncode}")


if __name__ == "__main__":
    sys.exit(main(__doc__, GdbBench))
