"""What authentication itself costs: the same binary, a public route without a session against a signed-in one."""

from harness import load
from harness.table import Table

from .keepalive import COLUMNS

NAME = "authentication"


def measure(stage):
    table = Table("The cost of authentication: public route against signed-in route", COLUMNS)

    def run(door, path):
        return lambda: load.wrk(stage.tools, door, path, seconds=stage.options.seconds)

    runs = {}
    for name, proxy in stage.linkgates().items():
        runs[f"{name}, public"] = run(proxy.public(), "/public/")
        runs[f"{name}, signed in"] = run(proxy.plain(), "/")
    stage.rounds(table, runs)
    for name in stage.linkgates():
        public, signed_in = table.rows.get(f"{name}, public"), table.rows.get(f"{name}, signed in")
        if public and signed_in:
            costs = sorted(one["cpu"] - other["cpu"] for one, other in zip(signed_in, public, strict=True))
            table.note += f"{name}: {costs[0]:.2f}–**{costs[len(costs) // 2]:.2f}**–{costs[-1]:.2f} µs a request. "
    return table
