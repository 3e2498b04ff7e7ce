#!/usr/bin/env python3
"""How much memory an idle connection costs: opens thousands from several loopback addresses, asks one request on each,
waits until they have lain idle, and reads the server's resident memory. Prints one line for each way of connecting;
fails where a bound is given and passed. Needs python3 and openssl, and as many descriptors as connections.

    tests/slow/idle.py [--binary target/release/linkgate] [--connections 15000] [--idle 10] [--bound-h1 8192] [h1 tls h2 silent]
"""

import argparse
import os
import pathlib
import resource
import selectors
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time

PER_ADDRESS = 1000


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--binary", default="target/release/linkgate")
    parser.add_argument("--connections", type=int, default=15000)
    parser.add_argument("--idle", type=float, default=10.0)
    parser.add_argument("--bound-h1", type=int, default=8192, help="bytes a connection; 0: none")
    parser.add_argument("--sequence", action="store_true", help="one after the other, not all at once")
    parser.add_argument("ways", nargs="*", default=["h1", "tls", "h2", "silent"])
    options = parser.parse_args()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    connections = min(options.connections, hard - 200)
    failed = False
    for way in options.ways or ["h1", "tls", "h2", "silent"]:
        each, before, after = measure(way, options, connections)
        bound = options.bound_h1 if way in ("h1", "silent") else 0
        verdict = "" if not bound else (" ok" if each <= bound else f" OVER {bound}")
        failed |= bool(bound) and each > bound
        print(f"{way:6} {connections} idle: {each:7.0f} bytes each ({before} -> {after} KiB resident){verdict}", flush=True)
    sys.exit(failed)


def measure(way, options, connections):
    with tempfile.TemporaryDirectory() as folder, App() as app, Server(folder, options.binary, app.port) as server:
        warm_up = [open_one(way, server, index) for index in range(50)]
        for one in warm_up:
            finish_one(way, one)
        time.sleep(5)
        before = server.resident()
        held = []
        if options.sequence:
            for index in range(connections):
                one = open_one(way, server, index)
                finish_one(way, one)
                held.append(one)
        else:
            for index in range(connections):
                held.append(open_one(way, server, index))
            for one in held:
                finish_one(way, one)
        time.sleep(options.idle if way != "silent" else 3)
        after = server.resident()
        if way == "silent":
            check_open(held)
        else:
            for index in range(0, connections, max(1, connections // 100)):
                ask_again(way, held[index])
        for one in warm_up + held:
            one.close()
        return (after - before) * 1024 / connections, before, after


REQUEST = b"GET /open/ HTTP/1.1\r\nHost: localhost\r\n\r\n"


def open_one(way, server, index):
    source = f"127.0.{1 + index // PER_ADDRESS}.1"
    port = server.plain if way in ("h1", "silent") else server.secure
    one = socket.create_connection(("127.0.0.1", port), source_address=(source, 0), timeout=60)
    if way in ("tls", "h2"):
        one = context(way).wrap_socket(one, server_hostname="localhost")
    if way == "h2":
        # Preface, empty SETTINGS, a request for / in literals of HPACK.
        one.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0, b"") + request_frame(1))
    elif way != "silent":
        one.sendall(REQUEST)
    return one


def context(way, kept={}):
    if way not in kept:
        kept[way] = ssl.create_default_context()
        kept[way].check_hostname = False
        kept[way].verify_mode = ssl.CERT_NONE
        kept[way].set_alpn_protocols(["h2" if way == "h2" else "http/1.1"])
    return kept[way]


def frame(kind, flags, stream, payload):
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def request_frame(stream):
    # :method GET, :scheme https, :path /open/, :authority localhost
    literal = lambda index, text: bytes([index, len(text)]) + text
    block = b"\x82\x87" + literal(0x04, b"/open/") + literal(0x01, b"localhost")
    return frame(1, 5, stream, block)


def finish_one(way, one):
    if way == "h2":
        finish_h2(one)
    elif way != "silent":
        finish_h1(one)


def finish_h1(one):
    data = b""
    while b"\r\n\r\n" not in data:
        data += read(one)
    head, body = data.split(b"\r\n\r\n", 1)
    assert head.startswith(b"HTTP/1.1 200 "), head
    length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    while len(body) < length:
        body += read(one)


def finish_h2(one):
    data = b""
    while True:
        while len(data) < 9 or len(data) < 9 + int.from_bytes(data[:3], "big"):
            data += read(one)
        length, kind, flags = int.from_bytes(data[:3], "big"), data[3], data[4]
        payload, data = data[9:9 + length], data[9 + length:]
        if kind == 4 and not flags & 1:
            one.sendall(frame(4, 1, 0, b""))
        elif kind == 6 and not flags & 1:
            one.sendall(frame(6, 1, 0, payload))
        assert kind not in (3, 7), f"reset or goodbye: {payload}"
        if kind in (0, 1) and flags & 1:
            return


def read(one):
    data = one.recv(65536)
    assert data, "the server closed the connection"
    return data


def ask_again(way, one):
    if way == "h2":
        one.sendall(request_frame(3))
    else:
        one.sendall(REQUEST)
    finish_one(way, one)


def check_open(held):
    for one in held:
        one.setblocking(False)
        try:
            assert one.recv(1), "the server closed a connection within its time"
        except BlockingIOError:
            pass


class App:
    """Answers every request with a kibibyte, on one thread."""

    ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 1024\r\n\r\n" + b"x" * 1024

    def __enter__(self):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
        self.listener.setblocking(False)
        self.port = self.listener.getsockname()[1]
        self.running = True
        threading.Thread(target=self.run, daemon=True).start()
        return self

    def run(self):
        selector = selectors.DefaultSelector()
        selector.register(self.listener, selectors.EVENT_READ, None)
        while self.running:
            for key, _ in selector.select(1):
                if key.data is None:
                    try:
                        connection, _ = self.listener.accept()
                    except BlockingIOError:
                        continue
                    connection.setblocking(True)
                    selector.register(connection, selectors.EVENT_READ, connection)
                    continue
                data = key.data.recv(65536)
                if data:
                    key.data.sendall(self.ANSWER * data.count(b"\r\n\r\n"))
                else:
                    selector.unregister(key.data)
                    key.data.close()

    def __exit__(self, *_):
        self.running = False
        self.listener.close()


class Server:
    """The gateway with its limits out of the way, two workers."""

    def __init__(self, folder, binary, app):
        self.folder, self.binary, self.app = pathlib.Path(folder), binary, app

    def __enter__(self):
        certificate, key = self.folder / "cert.pem", self.folder / "key.pem"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
             "-subj", "/CN=test", "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", certificate],
            check=True, capture_output=True)
        self.plain, self.secure = free_port(), free_port()
        (self.folder / "mail").mkdir()
        # Plain http beside https redirects, so each has a server of its own; the measured one is started on demand.
        self.children = {}
        for name, listen, tls in (
            ("plain", f"http://127.0.0.1:{self.plain}", ""),
            ("secure", f"https://127.0.0.1:{self.secure}", f'[tls]\ncertificate = "{certificate}"\nkey = "{key}"\n'),
        ):
            state = self.folder / f"state-{name}"
            state.mkdir()
            url = listen.replace("127.0.0.1", "localhost")
            config = self.folder / f"{name}.toml"
            config.write_text(f"""
listen = ["{listen}"]
state_dir = "{state}"
workers = 2
{tls}[mail]
from = "Example <login@example.com>"
url = "folder:{self.folder}/mail"
[monitor]
listen = "127.0.0.1:{free_port()}"
[log]
access = false
[limits]
connections = 19000
connections_per_client = 19000
header_timeout = "60s"
idle_timeout = "10m"
[[site]]
name = "main"
url = "{url}"
allow = ["alice@example.com"]
[[site.app]]
host = "localhost"
upstream = "http://127.0.0.1:{self.app}"
[[site.app.route]]
path = "/open/"
access = "public"
""")
            log = open(self.folder / f"{name}.log", "wb")
            self.children[name] = subprocess.Popen(
                [self.binary, "--config", config, "serve"], stdout=log, stderr=log)
            wait_for(self.plain if name == "plain" else self.secure, self.children[name], self.folder / f"{name}.log")
        return self

    def resident(self):
        total = 0
        for child in self.children.values():
            for line in pathlib.Path(f"/proc/{child.pid}/status").read_text().splitlines():
                if line.startswith("VmRSS:"):
                    total += int(line.split()[1])
        return total

    def __exit__(self, *_):
        for child in self.children.values():
            child.kill()
            child.wait()


def wait_for(port, child, log):
    for _ in range(500):
        if child.poll() is not None:
            sys.exit(f"the server ended:\n{log.read_text()}")
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.02)
    sys.exit(f"the server does not listen:\n{log.read_text()}")


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


if __name__ == "__main__":
    main()
