"""The side-by-side run: reads the options, sets the stage, does the works, writes the results. Start it by compare.sh."""

import argparse
import datetime
import importlib
import pathlib
import subprocess
import sys
import tempfile

from harness.stage import Stage
from harness.tools import Tools, machine
from works import ALL

HERE = pathlib.Path(__file__).parent


def main():
    options = read()
    tools = Tools(options.tools, options.binary)
    began = datetime.datetime.now(datetime.UTC)
    tables = []
    with tempfile.TemporaryDirectory(prefix="linkgate-bench-") as folder:
        # Workers of nginx drop root and must reach their folders.
        pathlib.Path(folder).chmod(0o755)
        stage = Stage(pathlib.Path(folder), tools, options)
        try:
            for name in options.only or ALL:
                table = importlib.import_module(f"works.{name}").measure(stage)
                print("\r\033[K" + table.markdown() if sys.stderr.isatty() else table.markdown(), flush=True)
                tables.append(table)
        finally:
            stage.stop()
    if options.out:
        pathlib.Path(options.out).write_text(page(options, tools, began, tables))


def read():
    parser = argparse.ArgumentParser(prog="compare.sh", description=__doc__.split(":")[0] + ".")
    parser.add_argument("--rounds", type=int, default=9, help="turns of each proxy in each work (9)")
    parser.add_argument("--seconds", type=int, default=6, help="length of one run (6)")
    parser.add_argument("--rate", type=int, default=20000, help="requests a second of the latency work (20000)")
    parser.add_argument("--only", type=lambda text: text.split(","), default=[], help=f"works, by comma: {','.join(ALL)}")
    parser.add_argument("--proxies", type=lambda text: text.split(","), default=[], help="proxies, by comma (all)")
    parser.add_argument("--binary", default=HERE.parent / "target/release/linkgate", help="the linkgate to measure")
    parser.add_argument("--beside", action="append", default=[], metavar="NAME=BINARY", help="another build, side by side")
    parser.add_argument("--out", default="", help="write the results to this file (bench/RESULTS.md is the published one)")
    parser.add_argument("--tools", type=pathlib.Path, default=HERE / ".tools", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if unknown := set(options.only) - set(ALL):
        parser.error(f"no such work: {', '.join(unknown)}")
    return options


def page(options, tools, began, tables):
    """The published page."""
    versions = ", ".join(f"{name} {version}" for name, version in tools.versions().items())
    commit = subprocess.run(
        ["git", "-C", HERE, "describe", "--always", "--dirty"], capture_output=True, text=True, check=False
    ).stdout.strip()
    absent = "".join(f" {name} could not be had here and was not measured." for name in tools.absent())
    head = f"""# Side by side

Written by `bench/compare.sh`; do not edit. {began:%Y-%m-%d}, {machine()}. linkgate at {commit or "an unknown commit"}.
Versions: {versions}.{absent}

{options.rounds} interleaved rounds of {options.seconds} s; min–**median**–max. Load generator, proxy and upstream share the
machine. CPU is what the proxy's processes used (user and kernel, from /proc) divided by its requests; ratios are taken
within a round. Every proxy has two workers, no access log, and keeps connections to the upstream alive. Anything under
3 % is noise.

"""
    return head + "\n".join(table.markdown() for table in tables)


if __name__ == "__main__":
    main()
