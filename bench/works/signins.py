"""Full sign-ins: asking, a letter into a sink, redeeming at the next instance; one, two and four instances, one store."""

from harness.instances import Instances, Redis, Sqlite
from harness.table import Table

NAME = "signins"
COLUMNS = [
    ("rate", "sign-ins/s", 0), ("cpu", "CPU ms/sign-in", 2), ("redeem_p50", "redeem p50 ms", 1),
    ("redeem_p99", "redeem p99 ms", 1), ("ask_p50", "ask p50 ms", 0), ("letter_p50", "letter p50 ms", 0),
]
LANES = 128
NOTE = (
    f"{LANES} people at once. CPU is that of all instances and of the Redis server. Asking takes whole steps of 100 ms on "
    "purpose, so that its time tells nothing. The letter's time is that of the outbox and of the sink. SQLite writes to the "
    "disk before each answer; Redis keeps an append-only file that it syncs once a second."
)


def measure(stage):
    table = Table("Sign-ins, several instances", COLUMNS, note=NOTE)

    def run(kind, name, count):
        def once():
            instances = Instances(stage.folder / f"signins-{name}-{count}", stage.tools, kind, count)
            try:
                return instances.sign_in(LANES, max(stage.options.seconds, 3))
            finally:
                instances.stop()

        return once

    kinds = [(Sqlite, "SQLite")] + ([(Redis, "Redis")] if stage.tools.redis else [])
    runs = {
        f"{name}, {count} instance{'s' * (count > 1)}": run(kind, name, count) for kind, name in kinds for count in (1, 2, 4)
    }
    return stage.rounds(table, runs)
