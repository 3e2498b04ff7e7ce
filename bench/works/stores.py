"""The same request with the store in SQLite and in Redis: a request asks neither, so it must cost the same."""

import secrets

from harness import load
from harness.instances import Redis
from harness.linkgate import Gateway
from harness.table import Table

from .keepalive import COLUMNS

NAME = "stores"


def measure(stage):
    note = "Signed in, identity headers, assertion, as in the first table."
    table = Table("1 KiB GET, 64 connections, by store", COLUMNS, note=note)
    if not stage.tools.redis:
        table.failed["Redis"] = "redis-server is not here"
        return table
    folder = stage.folder / "stores"
    folder.mkdir()
    secret = folder / "secret"
    secret.write_text(secrets.token_urlsafe(48))
    secret.chmod(0o600)
    redis = Redis(folder / "redis", stage.tools)
    gateways = {}
    try:
        for name, store in (("SQLite", 'kind = "sqlite"'), ("Redis", redis.config())):
            root, last = f'secret_file = "{secret}"', f"[store]\n{store}"
            gateways[name] = Gateway(folder / name, None, stage.upstream, stage.tools, extra=last, trust=root)
        runs = {name: run(stage, gateway.door()) for name, gateway in gateways.items()}
        return stage.rounds(table, runs)
    finally:
        for gateway in gateways.values():
            gateway.stop()
        redis.stop()


def run(stage, door):
    return lambda: load.wrk(stage.tools, door, seconds=stage.options.seconds)
