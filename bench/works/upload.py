"""1 MiB uploads over 16 connections; the upstream answers when it has the whole body."""

from . import download

NAME = "upload"

SCRIPT = 'wrk.method = "POST"\nwrk.body = string.rep("0123456789abcdef", 65536)\n'


def measure(stage):
    script = stage.folder / "upload.lua"
    script.write_text(SCRIPT)
    return download.measure(stage, "/upload", script, "1 MiB upload, 16 connections")
