"""1 KiB GET over 64 kept-alive HTTP/1.1 connections, as fast as it goes."""

from harness import load
from harness.table import Table

NAME = "keepalive"
COLUMNS = [
    ("cpu", "CPU µs/request", 2), ("user", "user", 2), ("system", "kernel", 2), ("rate", "requests/s", 0),
    ("resident", "MiB resident", 1),
]


def measure(stage):
    note = "linkgate: signed in, identity headers, assertion, full header rules. The others: no authentication."
    table = Table("1 KiB GET, HTTP/1.1 keep-alive, 64 connections", COLUMNS, "cpu", note)

    def run(proxy):
        return lambda: load.wrk(stage.tools, proxy.plain(), seconds=stage.options.seconds)

    return stage.rounds(table, {name: run(proxy) for name, proxy in stage.proxies.items()})
