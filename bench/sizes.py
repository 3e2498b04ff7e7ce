"""What many records cost: fills a SQLite file and a Redis with as many as asked, by `linkgate store import`, and prints
bytes a record on disk and in Redis, and what a linkgate with that store needs to start and to live.

    python3 bench/sizes.py                      a million live sessions, ended ones, used links, lines of the log
    python3 bench/sizes.py --count 100000       fewer

Needs redis-server and a release build. Everything listens on the loopback, and is removed in the end.
"""

import argparse
import json
import pathlib
import subprocess
import tempfile
import time
import uuid

from harness.instances import Instances, Redis, Sqlite
from harness.tools import Tools, machine

HERE = pathlib.Path(__file__).parent
MIB = 1024 * 1024
DAY = 24 * 60 * 60 * 1000
KINDS = {"SQLite": Sqlite, "Redis": Redis}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split(":")[0] + ".")
    parser.add_argument("--count", type=int, default=1_000_000, help="records (1000000)")
    parser.add_argument("--binary", default=HERE.parent / "target/release/linkgate", help="the linkgate to measure")
    parser.add_argument("--tools", type=pathlib.Path, default=HERE / ".tools", help=argparse.SUPPRESS)
    options = parser.parse_args()
    tools = Tools(options.tools, options.binary)
    print(f"{options.count:,} records of as many people; {machine()}.\n", flush=True)
    print("| store | records | bytes a record in the store | import, records/s | ms from start to ready | MiB resident |")
    print("|---|---|---|---|---|---|", flush=True)
    for kind in KINDS:
        for what in RECORDS:
            with tempfile.TemporaryDirectory(prefix="linkgate-sizes-") as folder:
                print(row(pathlib.Path(folder), tools, kind, what, options.count), flush=True)


def row(folder, tools, kind, what, count):
    instances = Instances(folder / "one", tools, KINDS[kind], 1)
    try:
        process, port = instances.running[0]
        process.stop()
        config, export = instances.folder / "0.toml", folder / "export"
        command(tools, "store", "export", export, "--config", config)
        fill(export, count, what)
        before = size(instances, kind)
        began = time.monotonic()
        command(tools, "store", "import", export, "--config", config)
        took = time.monotonic() - began
        each = (size(instances, kind) - before) / count
        began = time.monotonic()
        instances.start(0)
        ready = time.monotonic() - began
        resident = instances.running[0][0].resident()
        return f"| {kind} | {what} | {each:.0f} | {count / took:,.0f} | {ready * 1000:,.0f} | {resident / MIB:.0f} |"
    finally:
        instances.stop()


def session(number, now, revoked_at=None):
    return "sessions", {"session": {
        "id": f"{number:032x}", "site": "bench", "email": f"person{number}@example.com", "generation": 0,
        "created_at": now, "seen_at": now, "ends_at": now + 30 * DAY, "idle_until": now + 7 * DAY,
        "device": "Firefox on Linux", "client": "203.0.113.7", "revoked_at": revoked_at,
    }}


def ended(number, now):
    return session(number, now, now)


def link(number, now):
    return "links", {"link": {
        "id": str(uuid.UUID(int=number)), "token_hash": f"{number:064x}", "site": "bench",
        "email": f"person{number}@example.com", "nonce_hash": f"{number + 1:064x}", "code_tag": None, "code_seed": None,
        "return_to": "https://wiki.example.com/page", "created_at": now, "expires_at": now + 600_000, "uses": 1, "uses_left": 0,
        "used_at": now, "session": f"{number:032x}", "revoked_at": None, "wrong_tries": 0, "code_tries": 0,
        "again_used": False, "by_hand": False, "note": "",
    }}


def event(number, now):
    return "audit", {"audit": {
        "at": now, "site": "bench", "email": f"person{number}@example.com", "what": "link.redeemed",
        "request": f"{number:016x}", "client": "203.0.113.7", "detail": "",
    }}


RECORDS = {"live sessions": session, "ended sessions": ended, "used links": link, "lines of the log": event}


def fill(export, count, what):
    """Writes records into an export of an empty store."""
    lines = [json.loads(line) for line in export.read_text().splitlines()]
    end = lines.pop()
    now = int(time.time() * 1000)
    with export.open("w") as file:
        for line in lines:
            file.write(json.dumps(line) + "\n")
        for number in range(1, count + 1):
            kind, record = RECORDS[what](number, now)
            file.write(json.dumps(record) + "\n")
        end["end"][kind] += count
        file.write(json.dumps(end) + "\n")


def size(instances, kind):
    """Bytes: of the file and its log, or of what Redis says its data take."""
    store = instances.store
    if kind == "SQLite":
        return sum(file.stat().st_size for file in store.file.parent.glob("linkgate.db*"))
    said = subprocess.run(["redis-cli", "-p", str(store.port), "INFO", "memory"], capture_output=True, text=True, check=True)
    return int(next(line for line in said.stdout.splitlines() if line.startswith("used_memory:")).partition(":")[2])


def command(tools, *arguments):
    words = [str(word) for word in (tools.linkgate, *arguments)]
    ran = subprocess.run(words, capture_output=True, text=True, check=False)
    if ran.returncode:
        raise SystemExit(f"{' '.join(words)}: {ran.stdout}{ran.stderr}")


if __name__ == "__main__":
    main()
