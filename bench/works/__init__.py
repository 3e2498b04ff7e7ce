"""One file a work. Each has NAME (for --only), TITLE, and measure(stage) -> Table; the order is that of ALL.

A new work is a new file here and its name in ALL.
"""

ALL = [
    "keepalive", "fixed_rate", "h2", "h2_many", "download", "upload", "authentication", "check", "pair", "start",
    "stores", "signins",
]
