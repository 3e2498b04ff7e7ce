"""1 KiB GET over TLS 1.3 and HTTP/2: 64 connections, one request at a time on each."""

from harness import load
from harness.table import Table

from .keepalive import COLUMNS

NAME = "h2"


def measure(stage, streams=1):
    title = f"1 KiB GET, TLS 1.3 + HTTP/2, 64 connections, {streams} at a time on each"
    table = Table(title, COLUMNS, "cpu")

    def run(proxy):
        return lambda: load.h2load(stage.tools, proxy.secure(), seconds=stage.options.seconds, streams=streams)

    return stage.rounds(table, {name: run(proxy) for name, proxy in stage.proxies.items()})
