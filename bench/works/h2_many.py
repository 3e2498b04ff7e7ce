"""As `h2`, with ten requests at once on each connection, as a browser loads a page."""

from . import h2

NAME = "h2_many"


def measure(stage):
    return h2.measure(stage, streams=10)
