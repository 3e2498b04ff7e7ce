"""Latency at a rate below saturation: 64 connections, open loop (see bench/pace.rs)."""

from harness import load
from harness.table import Table

NAME = "fixed_rate"
COLUMNS = [
    ("p50", "p50 ms", 2), ("p99", "p99 ms", 2), ("p999", "p99.9 ms", 2), ("reached", "of the rate", 2),
    ("cpu", "CPU µs/request", 2),
]


def measure(stage):
    rate = stage.options.rate
    note = "“of the rate”: below 1 the proxy did not keep up, and its times say so."
    table = Table(f"1 KiB GET at {rate:,} requests/s, 64 connections", COLUMNS, "p99", note)

    def run(proxy):
        return lambda: load.pace(stage.tools, proxy.plain(), seconds=stage.options.seconds, rate=rate)

    return stage.rounds(table, {name: run(proxy) for name, proxy in stage.proxies.items()})
