"""What it costs to let nginx ask: nginx + linkgate by auth_request, as docs/nginx.md has it, against nginx alone."""

from harness import load
from harness.pair import Pair
from harness.table import BASE, Table

from .keepalive import COLUMNS

NAME = "pair"


def measure(stage):
    note = (
        "One request to the app is one more to linkgate: signed in, identity headers, assertion. CPU is that of all processes "
        "of both."
    )
    if not stage.tools.oauth2_proxy:
        note += " nginx + oauth2-proxy: oauth2-proxy could not be had here."
    table = Table("1 KiB GET, nginx asks by auth_request, 64 connections", COLUMNS, "cpu", note)
    pairs = {}

    def run(door):
        return lambda: load.wrk(stage.tools, door, seconds=stage.options.seconds)

    try:
        runs = {BASE: run(stage.proxies[BASE].plain())} if BASE in stage.proxies else {}
        for name, tools in stage.builds().items():
            pairs[name] = Pair(f"nginx-and-{name}", stage.folder, stage.upstream, tools)
            runs[f"nginx + {name}"] = run(pairs[name].plain())
        return stage.rounds(table, runs)
    finally:
        for pair in pairs.values():
            pair.stop()
