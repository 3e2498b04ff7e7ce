"""`/check/nginx`: the answer to another proxy's "may this pass?", for a signed-in person."""

from harness import load
from harness.table import Table

from .keepalive import COLUMNS

NAME = "check"
PATH = "/.linkgate/check/nginx"


def measure(stage):
    table = Table("/check/nginx, 64 connections", COLUMNS)
    runs = {}
    for name, proxy in stage.linkgates().items():
        runs[name] = lambda door=proxy.asked(): load.wrk(stage.tools, door, PATH, seconds=stage.options.seconds)
    return stage.rounds(table, runs)
