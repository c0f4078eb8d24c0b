# SPDX-License-Identifier: MIT
"""A QMP client: QEMU's own package where it is installed, else this small one with the same few calls."""
import asyncio
import json
import socket
import time

from machine import Failure, try_connect


class Error(Failure):
    """An error reply: class and description."""

    def __init__(self, reply):
        self.kind, self.text = reply["class"], reply["desc"]
        super().__init__(f"{self.kind}: {self.text}")


def connect_socket(path, seconds=20):
    """Connects to a Unix socket that may not be there yet."""
    end = time.monotonic() + seconds
    while not (s := try_connect(path)):
        if time.monotonic() > end:
            raise Failure(f"nobody listens at {path}")
        time.sleep(0.02)
    return s


class Client:
    """Ours. Reading has a time limit; events are kept until somebody asks for them."""

    def __init__(self, where, negotiate=True, seconds=60):
        """where: a path, or a socket that is connected."""
        self.socket = where if isinstance(where, socket.socket) else connect_socket(where)
        self.socket.settimeout(seconds)
        self.file = self.socket.makefile("rb")
        self.events = []
        self.greeting = self.read()
        if negotiate:
            self.execute("qmp_capabilities")

    def read(self):
        try:
            line = self.file.readline()
        except TimeoutError:
            raise Failure("QMP does not answer") from None
        if not line:
            raise Failure("the machine closed QMP")
        return json.loads(line)

    def send(self, data):
        self.socket.sendall(data)

    def execute(self, name, arguments=None, ident=None):
        message = {"execute": name}
        if arguments is not None:
            message["arguments"] = arguments
        if ident is not None:
            message["id"] = ident
        self.send(json.dumps(message).encode() + b"\n")
        while True:
            reply = self.read()
            if "event" in reply:
                self.events.append(reply)
                continue
            if reply.get("id") != ident:
                raise Failure(f"id {ident!r} came back as {reply.get('id')!r}")
            if "error" in reply:
                raise Error(reply["error"])
            return reply["return"]

    def wait_event(self, name):
        """The next event of this name; those before it are dropped."""
        while True:
            while self.events:
                event = self.events.pop(0)
                if event["event"] == name:
                    return event
            message = self.read()
            if "event" in message:
                self.events.append(message)

    def close(self):
        self.file.close()
        self.socket.close()


class PackageClient:
    """The same over QEMU's package qemu.qmp."""

    def __init__(self, path):
        from qemu.qmp import QMPClient  # pylint: disable=import-error,import-outside-toplevel
        connect_socket(path).close()
        self.loop = asyncio.new_event_loop()
        self.client = QMPClient("test")
        self.loop.run_until_complete(self.client.connect(path))

    def execute(self, name, arguments=None):
        return self.loop.run_until_complete(self.client.execute(name, arguments))

    async def _next(self, name):
        async for event in self.client.events:
            if event["event"] == name:
                return event
        return None

    def wait_event(self, name):
        return self.loop.run_until_complete(asyncio.wait_for(self._next(name), 60))

    def close(self):
        self.loop.run_until_complete(self.client.disconnect())


def open_client(path):
    """QEMU's package, where there is one."""
    try:
        import qemu.qmp  # pylint: disable=import-error,unused-import,import-outside-toplevel
    except ImportError:
        return Client(path)
    return PackageClient(path)
