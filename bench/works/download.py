"""1 MiB downloads over 16 connections."""

from harness import load, proxies
from harness.table import Table

NAME = "download"
COLUMNS = [
    ("throughput", "MiB/s", 0), ("cpu", "CPU µs/MiB", 0), ("user", "user", 0), ("system", "kernel", 0),
    ("resident", "MiB resident", 1),
]


def measure(stage, path="/1m", script=None, title="1 MiB download, 16 connections"):
    note = "“nginx” streams here as the others do: proxy_buffering off, proxy_request_buffering off."
    table = Table(title, COLUMNS, "throughput", note)
    runners = dict(stage.proxies)
    unbuffered = None
    if "nginx" in runners:
        unbuffered = proxies.nginx(
            f"nginx-{path[1:]}", stage.folder, stage.tls, stage.upstream, stage.tools, buffering=False
        )
        runners["nginx"] = unbuffered

    def run(proxy):
        def once():
            sample = load.wrk(
                stage.tools, proxy.plain(), path, seconds=stage.options.seconds, connections=16, script=script
            )
            return {**sample, "throughput": sample["rate"]}

        return once

    try:
        return stage.rounds(table, {name: run(proxy) for name, proxy in runners.items()})
    finally:
        if unbuffered:
            unbuffered.stop()
