"""Start to first answer with an existing database, memory when idle, size of the stripped binary."""

import socket
import time

from harness.table import Table

NAME = "start"
COLUMNS = [("start", "ms to first answer", 1), ("resident", "MiB resident when idle", 1), ("size", "MiB binary", 1)]
IDLE = 2


def measure(stage):
    table = Table("Start, idle memory, size", COLUMNS)

    def run(proxy):
        gateway = proxy.http

        def once():
            gateway.stop()
            began = time.perf_counter()
            gateway.start_only()
            first_answer(gateway)
            took = time.perf_counter() - began
            time.sleep(IDLE)
            size = gateway.tools.linkgate.stat().st_size
            mib = 1024 * 1024
            return {"start": took * 1000, "resident": gateway.process.resident() / mib, "size": size / mib}

        return once

    return stage.rounds(table, {name: run(proxy) for name, proxy in stage.linkgates().items()})


def first_answer(gateway):
    """Asks until somebody listens; the first answer must be the app's, for the session that was made before."""
    request = f"GET / HTTP/1.1\r\nHost: localhost:{gateway.port}\r\nCookie: {gateway.cookie}\r\n\r\n".encode()
    end = time.monotonic() + 10
    while time.monotonic() < end:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", gateway.port)):
                time.sleep(0.0005)
                continue
            probe.sendall(request)
            answer = probe.recv(4096)
            if not answer.startswith(b"HTTP/1.1 200"):
                raise RuntimeError(f"the first answer is {answer[:200]!r}")
            return
    raise RuntimeError("nobody answers")
