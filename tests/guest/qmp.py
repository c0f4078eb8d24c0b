#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The machine controlled from outside: QMP and the monitor on real sockets and terminals.

usage: qmp.py --vmm PROGRAM CASE...      qmp.py --list
"""
import os
import socket
import sys
import time

from harness import Bench, case, expect, free_port, linux_args, main, script
from machine import Failure, guest_image, initrd_with
from qmp_client import Client, Error, connect_socket, open_client

# Powers off when the power button is pressed; tells the time every 50 ms.
GUEST = script("""button=/sys/firmware/acpi/interrupts/ff_pwr_btn
mount -t sysfs s /sys 2>/dev/null
echo WAITING
while read n rest <$button && [ "$n" = 0 ]; do
    read up idle </proc/uptime
    echo "UP $up"
    sleep 0.05
done
echo PRESSED
poweroff -f
""")


class QmpBench(Bench):
    def listen(self, name):
        return f"unix:{self.path(name)},server=on,wait=off"

    def linux(self, *args):
        initrd = initrd_with(guest_image("cloud"), GUEST, self.path("initrd"))
        return self.start("-m", "256M", "-display", "none", *linux_args("quiet ring3.run=/run", initrd=initrd),
                          "-serial", "stdio", *args)

    def idle(self, *args):
        """A machine that stands still: only its control is of interest."""
        kernel = os.path.join(guest_image("cloud"), "vmlinuz")
        return self.start("-S", "-m", "64M", "-nodefaults", "-display", "none", "-kernel", kernel, *args)


@case
def lifecycle(b):
    """stop, query-status, cont, system_powerdown, SHUTDOWN; guest time stands still in between."""
    m = b.linux("-qmp", b.listen("qmp"), "-no-reboot")
    q = open_client(b.path("qmp"))
    m.wait_for(r"^UP ")
    expect(q.execute("query-status") == {"status": "running", "singlestep": False, "running": True}, "not running")
    q.execute("stop")
    q.wait_event("STOP")
    status = q.execute("query-status")
    expect(status["status"] == "paused" and not status["running"], f"stopped, but {status}")
    m.read(0.2)  # what was on its way
    before = len(m.text)
    up = float(m.text[m.text.rindex("\nUP ") + 3:].split()[0])
    end = time.monotonic() + 3
    while time.monotonic() < end:
        m.read(end - time.monotonic())
    expect(len(m.text) == before, "the guest ran on while it was stopped")
    m.seen = before
    q.execute("cont")
    q.wait_event("RESUME")
    after = float(m.wait_for(r"^UP ([0-9.]+)$").group(1))
    expect(0 <= after - up < 1.5, f"guest time jumped from {up} to {after} over a stop of 3 s")
    q.execute("system_powerdown")
    q.wait_event("POWERDOWN")
    m.wait_for(r"^PRESSED$")
    event = q.wait_event("SHUTDOWN")
    expect(event["data"] == {"guest": True, "reason": "guest-shutdown"}, f"SHUTDOWN says {event['data']}")
    expect("seconds" in event["timestamp"], "no time stamp")
    status = m.wait_exit()
    expect(status == 0, f"exit status {status}")


@case
def no_shutdown(b):
    """-no-shutdown keeps the machine, which has to be reset before it runs again."""
    m = b.linux("-qmp", b.listen("qmp"), "-no-shutdown")
    q = Client(b.path("qmp"))
    m.wait_for(r"^WAITING$")
    q.execute("system_powerdown")
    q.wait_event("SHUTDOWN")
    q.wait_event("STOP")
    expect(q.execute("query-status")["status"] == "shutdown", "not shut down")
    try:
        q.execute("cont")
        raise Failure("cont went through after a shutdown")
    except Error as e:
        expect(e.text == "Resetting the Virtual Machine is required", e.text)
    q.execute("system_reset")
    event = q.wait_event("RESET")
    expect(event["data"] == {"guest": False, "reason": "host-qmp-system-reset"}, f"RESET says {event['data']}")
    expect(q.execute("query-status")["status"] == "prelaunch", "not ready to launch")
    q.execute("cont")
    m.wait_for(r"^WAITING$")
    q.execute("quit")
    event = q.wait_event("SHUTDOWN")
    expect(event["data"] == {"guest": False, "reason": "host-qmp-quit"}, f"SHUTDOWN says {event['data']}")
    expect(m.wait_exit() == 0, "exit status")


@case
def inspect(b):
    """The guest's registers, memory and code while it runs; files; media; keys; several clients."""
    m = b.linux("-qmp", b.listen("qmp"), "-qmp-pretty", b.listen("qmp2"), "-monitor", b.listen("mon"), "-vga", "std")
    q, mon = Client(b.path("qmp")), connect_socket(b.path("mon"))
    pretty = connect_socket(b.path("qmp2"))
    m.wait_for(r"^WAITING$")
    hmp = lambda line: q.execute("human-monitor-command", {"command-line": line})
    text = hmp("info registers")
    expect("\r" not in text and "RIP=" in text and "CR3=" in text and "XMM15=" in text, "no registers")
    expect(hmp("info mem").count(" ur") > 3 and hmp("info tlb").count("\n") > 100, "no mappings")
    expect(hmp("x/3i $pc").count("0x") >= 3, "no code")
    q.execute("pmemsave", {"val": 0x100000, "size": 8192, "filename": b.path("mem")})
    expect(os.path.getsize(b.path("mem")) == 8192, "pmemsave wrote something else")
    q.execute("stop")
    words = hmp("xp/4xw 0x100000").split(":", 1)[1].split()
    with open(b.path("mem"), "rb") as f:
        saved = [f"0x{int.from_bytes(f.read(4), 'little'):08x}" for _ in range(4)]
    expect(words == saved, f"xp shows {words}, pmemsave wrote {saved}")
    with open(b.path("mem"), "rb") as f:
        total = 0
        for byte in f.read():
            total = ((total >> 1 | total << 15) + byte) & 0xffff
    expect(hmp("sum 0x100000 8192").strip() == f"{total:05d}", "sum")
    expect(hmp("gva2gpa 0x10").strip() == "Unmapped" and "gpa: 0x" in hmp("gva2gpa $pc"), "gva2gpa")
    hmp("o 0x70 0x0b")
    expect(hmp("i 0x71").startswith("portb[0x0071] = 0x"), "no port read")
    q.execute("screendump", {"filename": b.path("s.png"), "format": "png"})
    with open(b.path("s.png"), "rb") as f:
        expect(f.read(8) == b"\x89PNG\r\n\x1a\n", "no PNG")
    q.execute("send-key", {"keys": [{"type": "qcode", "data": "ctrl"}, {"type": "qcode", "data": "a"}]})
    cpus = q.execute("query-cpus-fast")
    expect(len(cpus) == 1 and os.path.isdir(f"/proc/{m.process.pid}/task/{cpus[0]['thread-id']}"), f"{cpus}")
    cd = [d for d in q.execute("query-block") if d["device"] == "ide1-cd0"]
    expect(cd and cd[0]["removable"] and "inserted" not in cd[0], f"no empty CD drive: {cd}")
    with open(b.path("cd.iso"), "wb") as f:
        f.write(bytes(2048 * 32))
    q.execute("blockdev-change-medium", {"device": "ide1-cd0", "filename": b.path("cd.iso")})
    cd = [d for d in q.execute("query-block") if d["device"] == "ide1-cd0"]
    expect(cd[0]["inserted"]["file"] == b.path("cd.iso"), f"{cd}")
    expect(b.path("cd.iso") in hmp("info block ide1-cd0"), "info block")
    event = q.wait_event("DEVICE_TRAY_MOVED")
    expect(event["data"]["device"] == "ide1-cd0" and event["data"]["tray-open"], f"{event}")
    q.execute("eject", {"device": "ide1-cd0", "force": True})
    expect("inserted" not in [d for d in q.execute("query-block") if d["device"] == "ide1-cd0"][0], "still there")
    for arguments, kind in (({"device": "nix"}, "DeviceNotFound"), ({"device": "ide1-cd0", "x": 1}, "GenericError")):
        try:
            q.execute("eject", arguments)
            raise Failure(f"eject {arguments} went through")
        except Error as e:
            expect(e.kind == kind, str(e))
    mon.settimeout(20)
    mon.sendall(b"info status\nquit\n")
    text = b""
    while b"VM status: paused" not in text:
        text += mon.recv(4096)
    expect(b"\n\t" in pretty.recv(65536), "-qmp-pretty is not indented")
    expect(m.wait_exit() == 0, "exit status")


def resident(m):
    with open(f"/proc/{m.process.pid}/status", encoding="ascii") as f:
        return int([line for line in f if line.startswith("VmRSS")][0].split()[1]) // 1024


@case
def garbage(b):
    """Garbage of every kind and size gets an error reply and nothing else."""
    m = b.idle("-qmp", b.listen("qmp"))
    q = Client(b.path("qmp"))
    before = resident(m)

    def refused(data, answers=1):
        q.send(data)
        for _ in range(answers):
            reply = q.read()
            expect("error" in reply, f"{data[:60]!r} gave {reply}")
        expect(q.execute("query-status")["status"] == "prelaunch", "no longer the same")

    refused(b"garbage\n")
    refused(b"{\"execute\": \"stop\n}\n", 2)
    refused(b"{\"execute\": \"\xff")
    refused(b"[" * 100000 + b"\n")
    refused(b"{\"a\":" * 1000 + b"\n")
    refused(bytes(range(1, 9)) + b"\n")
    refused(b"{\"execute\": \"" + b"x" * (100 << 20) + b"\"}\n")
    refused(b"y" * (100 << 20) + b"\n")
    refused(b"{\"execute\":\"human-monitor-command\",\"arguments\":{\"command-line\":7}}")
    text = q.execute("human-monitor-command", {"command-line": "p " + "(" * 3000})
    expect("nested too deeply" in text, text)
    text = q.execute("human-monitor-command", {"command-line": "z" * 500000})
    expect("unknown command" in text, text[:100])
    grown = resident(m) - before
    expect(grown < 16, f"the process grew by {grown} MiB")
    # Half a message and away; then somebody else.
    q.send(b"{\"execute\":")
    q.close()
    q = Client(b.path("qmp"))
    q.execute("quit", ident={"any": ["thing", 1.5, None]})
    expect(m.wait_exit() == 0, "exit status")


@case
def slow_client(b):
    """A client that asks and never reads makes neither the process grow nor the other clients wait."""
    m = b.idle("-qmp", b.listen("a"), "-qmp", b.listen("b"))
    slow = connect_socket(b.path("a"))
    slow.setblocking(False)
    q = Client(b.path("b"))
    before = resident(m)
    query = b"{\"execute\":\"qmp_capabilities\"}" + b"{\"execute\":\"query-commands\"}" * 20000
    sent = 0
    try:
        while sent < 64 << 20:
            sent += slow.send(query)
    except BlockingIOError:
        pass
    for _ in range(200):
        q.execute("cont")
        q.execute("stop")
    expect(sent < 8 << 20, f"{sent} bytes were read from a client that does not read")
    grown = resident(m) - before
    expect(grown < 24, f"the process grew by {grown} MiB")
    slow.close()
    Client(b.path("a")).close()
    q.execute("quit")
    expect(m.wait_exit() == 0, "exit status")


@case
def terminal(b):
    """The monitor on a terminal: history, completion, editing; and beside the console on one stream."""
    m = b.idle("-monitor", "stdio")
    m.wait_for(r"\(ring3\) ")
    m.send("info stat\t")
    m.wait_for(r"status +stats")
    m.send("us\n")
    m.wait_for(r"VM status: paused \(prelaunch\)")
    m.send("p 12\x1b[D3\n")  # left, then type
    m.wait_for(r"^0x84$")  # 132
    m.send("\x1b[A\x1b[A\n")  # up twice
    m.wait_for(r"VM status: paused \(prelaunch\)")
    m.send("sto\t\n")
    m.wait_for(r"\(ring3\) ")
    m.send("quit\n")
    expect(m.wait_exit() == 0, "exit status")
    m = b.idle("-serial", "mon:stdio")
    m.send("\x01c")
    m.wait_for(r"\(ring3\) ")
    m.send("info version\n")
    m.wait_for(r"^\d+\.\d+\.\d+")
    m.send("\x01c\x01cinfo name\n")
    m.wait_for(r"\(ring3\) ")
    m.send("q\n")
    expect(m.wait_exit() == 0, "exit status")


@case
def transports(b):
    """-monitor and -qmp over TCP, a pty, -chardev with -mon; and what cannot be opened is said."""
    port = free_port()
    m = b.idle("-monitor", f"tcp:127.0.0.1:{port},server=on,wait=off", "-monitor", "pty", "-chardev",
               f"socket,id=c,path={b.path('c')},server=on,wait=off", "-mon", "chardev=c,mode=control,pretty=on")
    name = m.wait_for(r"redirected to (/dev/\S+)").group(1)
    q = connect_socket(b.path("c"))
    expect(b"\"QMP\":" in q.recv(4096), "no greeting")
    with socket.create_connection(("127.0.0.1", port), 20) as tcp:
        tcp.sendall(b"info version\n")
        text = b""
        while not text.count(b"(ring3) ") == 2:
            text += tcp.recv(4096)
    fd = os.open(name, os.O_RDWR | os.O_NOCTTY)
    os.write(fd, b"info version\n")
    text = b""
    while b"0.1.0" not in text:
        text += os.read(fd, 4096)
    os.write(fd, b"quit\n")
    expect(m.wait_exit() == 0, "exit status")
    os.close(fd)
    for args, message in ((["-mon", "chardev=nix"], "there is no -chardev with id 'nix'"),
                          (["-mon", "mode=control"], "chardev= is missing"),
                          (["-mon", "chardev=c,mode=dance"], "expected readline or control"),
                          (["-qmp", "unix:/nonexistent/x,server=on"], "No such file or directory")):
        m = b.idle(*args)
        expect(m.wait_exit() == 1 and message in m.text, f"{args}: {m.text}")


if __name__ == "__main__":
    sys.exit(main(__doc__, QmpBench))
