"""Talks to the app of ws_app.py through a gateway; says `ok NAME` after each thing that is as it would be without one.
Ends by holding a connection open: says `open`, then `closed CODE` once it was closed. Arguments: address (ws://…), value
of the cookie header, origin."""

import asyncio
import os
import sys

import websockets
from websockets.asyncio.client import connect

base, cookie, origin = sys.argv[1:4]


def opened(path, **more):
    more.setdefault("additional_headers", {"Cookie": cookie})
    more.setdefault("origin", origin)
    return connect(base + path, proxy=None, open_timeout=30, max_size=None, **more)


def same(got, wanted):
    assert got == wanted, f"{got!r:.200} instead of {wanted!r:.200}"


def done(name):
    print("ok", name, flush=True)


async def refused(status, path, **more):
    try:
        async with opened(path, **more):
            pass
    except websockets.exceptions.InvalidStatus as error:
        same(error.response.status_code, status)
        return
    raise AssertionError(f"no {status}")


async def main():
    big = os.urandom(1 << 20)
    for name, more in (("packed", {}), ("plain", {"compression": None})):
        async with opened("/echo?a=1", **more) as socket:
            same(bool(socket.protocol.extensions), name == "packed")
            for message in ("hello", "", "ü\u2713" * 40_000, b"", big):
                await socket.send(message)
                same(await socket.recv(), message)
            # One message in many frames, a ping between them.
            await socket.send(["a" * 10] * 100)
            same(await socket.recv(), "a" * 1000)
            await (await socket.ping(b"there?"))
            await socket.close(1000, "bye")
            same(socket.close_code, 1000)
        done(f"{name} messages")

    async with opened("/many") as socket:
        same([await socket.recv() for _ in range(1000)], [str(number) for number in range(1000)])
    done("a thousand messages")

    async with opened("/echo", subprotocols=["v1.example"]) as socket:
        same(socket.subprotocol, "v1.example")
    done("a subprotocol")

    async with opened("/close") as socket:
        await socket.wait_closed()
        same((socket.close_code, socket.close_reason), (4001, "enough"))
    done("the app's own close code")

    async with opened("/who", additional_headers={"Cookie": f"{cookie}; own=1", "Remote-User": "eve"}) as socket:
        seen = (await socket.recv()).lower()
        assert '["remote-user", "alice@example.com"]' in seen, seen
        assert '["cookie", "own=1"]' in seen and "eve" not in seen, seen
    done("who asks")

    await refused(401, "/echo", additional_headers={})
    await refused(403, "/echo", origin="https://evil.example")
    done("nobody else")

    async with opened("/echo") as socket:
        await socket.send("still")
        same(await socket.recv(), "still")
        print("open", flush=True)
        try:
            await socket.recv()
        except websockets.exceptions.ConnectionClosed:
            pass
        print("closed", socket.close_code, flush=True)


asyncio.run(main())
