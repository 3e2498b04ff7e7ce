#!/usr/bin/env python3
"""What open WebSockets cost: opens thousands in one person's name, reads the server's resident memory, talks on all of
them at a steady rate, and revokes the session. Prints what it measured; fails where a bound is passed or a byte is
wrong. Needs python3 and four descriptors a WebSocket, two of them in the server.

    tests/slow/websockets.py [--binary target/release/linkgate] [--sockets 8000] [--bound 6144] [--rate 1000]
"""

import argparse
import asyncio
import base64
import hashlib
import http.client
import json
import multiprocessing
import pathlib
import re
import resource
import socket
import struct
import subprocess
import sys
import tempfile
import time
import urllib.parse

PER_ADDRESS = 1000
ALICE = "alice@example.com"
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
MASK = b"\x01\x02\x03\x04"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--binary", default="target/release/linkgate")
    parser.add_argument("--sockets", type=int, default=8000)
    parser.add_argument("--bound", type=int, default=6 * 1024, help="bytes a WebSocket; 0: none")
    parser.add_argument("--rate", type=int, default=1000, help="messages a second")
    parser.add_argument("--seconds", type=int, default=15)
    parser.add_argument("--p99", type=float, default=5.0, help="milliseconds; 0: no bound")
    options = parser.parse_args()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    options.sockets = min(options.sockets, (hard - 500) // 2)
    ready = multiprocessing.Queue()
    app = multiprocessing.Process(target=run_app, args=(ready,), daemon=True)
    app.start()
    with tempfile.TemporaryDirectory() as folder, Server(folder, options.binary, ready.get()) as server:
        failed = asyncio.run(measure(options, server))
    app.kill()
    sys.exit(failed)


async def measure(options, server):
    cookie = sign_in(server)
    failed = []

    def say(what, bad=False):
        print(what + (" OVER" if bad else ""), flush=True)
        failed.append(bad)

    warm_up = [await Client.open(server, cookie, index) for index in range(50)]
    await asyncio.sleep(3)
    before = server.resident()
    clients = [await Client.open(server, cookie, index) for index in range(options.sockets)]
    await asyncio.sleep(5)
    after = server.resident()
    each = (after - before) * 1024 / len(clients)
    over = options.bound and each > options.bound
    say(f"{len(clients)} WebSockets at rest: {each:.0f} bytes each ({before} -> {after} KiB resident)", bool(over))

    for client in clients:
        client.times.clear()
    start = time.perf_counter()
    for number in range(options.rate * options.seconds):
        due = start + number / options.rate
        while (now := time.perf_counter()) < due:
            await asyncio.sleep(due - now)
        clients[number * 7919 % len(clients)].say(number)
    await asyncio.sleep(2)
    times = sorted(one for client in clients for one in client.times)
    sent = options.rate * options.seconds
    p50, p99 = times[len(times) // 2] * 1000, times[len(times) * 99 // 100] * 1000
    say(f"echo at {options.rate}/s: {len(times)} of {sent} came back, p50 {p50:.2f} ms, p99 {p99:.2f} ms",
        len(times) != sent or bool(options.p99 and p99 > options.p99))
    after = server.resident()
    each = (after - before) * 1024 / len(clients)
    say(f"after that: {each:.0f} bytes each ({after} KiB resident)", bool(options.bound and each > options.bound))

    server.run("session", "revoke", "--email", ALICE)
    revoked = time.perf_counter()
    everybody = warm_up + clients
    while time.perf_counter() - revoked < 5 and not all(client.code for client in everybody):
        await asyncio.sleep(0.01)
    told = sum(client.code == 1008 for client in everybody)
    last = max(client.ended for client in everybody) - revoked
    say(f"revoked: {told} of {len(everybody)} were told 1008, the last {last * 1000:.0f} ms after the command",
        told != len(everybody) or last > 1.0)
    await asyncio.sleep(3)
    say(f"all closed: {server.resident()} KiB resident")
    return any(failed)


class Client(asyncio.Protocol):
    """One WebSocket: says numbers, and notes how long each took to come back."""

    @classmethod
    async def open(cls, server, cookie, index):
        source = (f"127.0.{1 + index // PER_ADDRESS}.1", 0)
        loop = asyncio.get_running_loop()
        _, self = await loop.create_connection(cls, "127.0.0.1", server.port, local_addr=source)
        self.transport.write((
            f"GET /echo HTTP/1.1\r\nHost: localhost:{server.port}\r\nOrigin: http://localhost:{server.port}\r\n"
            f"Cookie: {cookie}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n").encode())
        await asyncio.wait_for(self.opened, 30)
        return self

    def connection_made(self, transport):
        self.transport, self.data, self.times, self.sent = transport, b"", [], {}
        self.code, self.ended = 0, 0.0
        self.opened = asyncio.get_running_loop().create_future()

    def say(self, number):
        payload = struct.pack("!Q", number)
        self.sent[number] = time.perf_counter()
        masked = bytes(byte ^ MASK[at % 4] for at, byte in enumerate(payload))
        self.transport.write(b"\x82\x88" + MASK + masked)

    def data_received(self, data):
        self.data += data
        if not self.opened.done():
            if b"\r\n\r\n" not in self.data:
                return
            head, self.data = self.data.split(b"\r\n\r\n", 1)
            assert head.startswith(b"HTTP/1.1 101 "), head
            self.opened.set_result(None)
        while len(self.data) >= 2 and len(self.data) >= 2 + self.data[1]:
            opcode, payload = self.data[0] & 15, self.data[2:2 + self.data[1]]
            self.data = self.data[2 + self.data[1]:]
            if opcode == 8:
                self.code, self.ended = struct.unpack("!H", payload[:2])[0], time.perf_counter()
                self.transport.close()
            else:
                self.times.append(time.perf_counter() - self.sent.pop(struct.unpack("!Q", payload)[0]))

    def connection_lost(self, _):
        if not self.code:
            self.code, self.ended = 1006, time.perf_counter()


class Echo(asyncio.Protocol):
    """The app's end."""

    def connection_made(self, transport):
        self.transport, self.data, self.joined = transport, b"", False

    def data_received(self, data):
        self.data += data
        if not self.joined:
            if b"\r\n\r\n" not in self.data:
                return
            head, self.data = self.data.split(b"\r\n\r\n", 1)
            key = re.search(rb"(?i)sec-websocket-key: (\S+)", head)[1]
            proof = base64.b64encode(hashlib.sha1(key + GUID).digest())
            self.transport.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                                 b"Sec-WebSocket-Accept: " + proof + b"\r\n\r\n")
            self.joined = True
        while len(self.data) >= 6 and len(self.data) >= 6 + (self.data[1] & 127):
            opcode, length, mask = self.data[0], self.data[1] & 127, self.data[2:6]
            payload = bytes(byte ^ mask[at % 4] for at, byte in enumerate(self.data[6:6 + length]))
            self.data = self.data[6 + length:]
            self.transport.write(bytes([opcode, length]) + payload)
            if opcode & 15 == 8:
                self.transport.close()


def run_app(ready):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

    async def serve():
        server = await asyncio.get_running_loop().create_server(Echo, "127.0.0.1", 0, backlog=4096)
        ready.put(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(serve())


class Server:
    """The gateway with its limits out of the way, two workers."""

    def __init__(self, folder, binary, app):
        self.folder, self.binary, self.app = pathlib.Path(folder), binary, app

    def __enter__(self):
        self.port = free_port()
        for name in ("mail", "state"):
            (self.folder / name).mkdir()
        self.config = self.folder / "config.toml"
        self.config.write_text(f"""
listen = ["http://127.0.0.1:{self.port}"]
state_dir = "{self.folder}/state"
workers = 2
[mail]
from = "Example <login@example.com>"
url = "folder:{self.folder}/mail"
[monitor]
listen = "127.0.0.1:{free_port()}"
[log]
access = false
[limits]
connections = 19000
connections_per_client = 19000
[[site]]
name = "main"
url = "http://localhost:{self.port}"
upstream = "http://127.0.0.1:{self.app}"
allow = ["{ALICE}"]
""")
        log = open(self.folder / "log", "wb")
        self.child = subprocess.Popen([self.binary, "--config", self.config, "serve"], stdout=log, stderr=log)
        for _ in range(500):
            if self.child.poll() is not None:
                sys.exit(f"the server ended:\n{(self.folder / 'log').read_text()}")
            try:
                http.client.HTTPConnection("127.0.0.1", self.port, timeout=1).connect()
                return self
            except OSError:
                time.sleep(0.02)
        sys.exit("the server does not listen")

    def run(self, *arguments):
        command = [self.binary, "--config", self.config, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def resident(self):
        for line in pathlib.Path(f"/proc/{self.child.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
        return 0

    def __exit__(self, *_):
        self.child.kill()
        self.child.wait()


def sign_in(server):
    """A link made by hand, opened and confirmed with the address."""
    link = json.loads(server.run("link", "create", ALICE, "--json"))["link"]
    path = urllib.parse.urlsplit(link)
    token = urllib.parse.parse_qs(path.query)["token"][0]
    origin = f"http://localhost:{server.port}"
    form = urllib.parse.urlencode({"token": token, "email": ALICE})
    connection = http.client.HTTPConnection("127.0.0.1", server.port)
    connection.request("POST", path.path, form, {
        "Host": f"localhost:{server.port}", "Origin": origin, "Sec-Fetch-Site": "same-origin",
        "Content-Type": "application/x-www-form-urlencoded", "Accept": "text/html"})
    answer = connection.getresponse()
    for name, value in answer.getheaders():
        if name.lower() == "set-cookie" and value.startswith("linkgate="):
            return value.split(";")[0]
    sys.exit(f"no session: {answer.status} {answer.read()[:500]}")


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


if __name__ == "__main__":
    main()
