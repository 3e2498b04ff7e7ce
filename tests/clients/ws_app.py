"""A WebSocket app by the `websockets` library. What it does is in the path: /echo, /close (4001 at once), /many (a
thousand messages), /who (tells the headers it saw). `/ended` by plain HTTP tells the close codes it got. Argument: port."""

import asyncio
import http
import json
import sys

from websockets.asyncio.server import serve

ended = []


async def handle(socket):
    path = socket.request.path.split("?")[0]
    try:
        if path == "/close":
            await socket.close(4001, "enough")
        elif path == "/who":
            headers = [[name, value] for name, value in socket.request.headers.raw_items()]
            await socket.send(json.dumps(headers))
        elif path == "/many":
            for number in range(1000):
                await socket.send(str(number))
        else:
            async for message in socket:
                if isinstance(message, str):
                    await socket.send(message)
                else:
                    # In pieces: one message of many frames.
                    await socket.send([message[at : at + 50_000] for at in range(0, len(message), 50_000)] or [b""])
        await socket.wait_closed()
    finally:
        ended.append([path, socket.close_code])


def plain(connection, request):
    if request.path == "/ended":
        return connection.respond(http.HTTPStatus.OK, json.dumps(ended))
    return None


async def main():
    async with serve(
        handle, "127.0.0.1", int(sys.argv[1]), process_request=plain, max_size=None,
        select_subprotocol=lambda connection, offered: offered[-1] if offered else None,
    ) as server:
        print("ready", flush=True)
        await server.serve_forever()


asyncio.run(main())
