"""A real SMTP server (aiosmtpd) for tests: writes every letter it takes into FOLDER as N.eml.

usage: smtp.py PORT FOLDER [REFUSALS]    the first REFUSALS letters are answered with 451.
Prints "ready" when it listens; ends with its standard input.
"""

import asyncio
import pathlib
import sys

from aiosmtpd.controller import UnthreadedController

port, folder = int(sys.argv[1]), pathlib.Path(sys.argv[2])
refusals = int(sys.argv[3]) if len(sys.argv) > 3 else 0


class Take:
    def __init__(self):
        self.refused = 0
        self.taken = 0

    async def handle_DATA(self, server, session, envelope):
        if self.refused < refusals:
            self.refused += 1
            return "451 4.3.0 Come back later"
        self.taken += 1
        part = folder / f"{self.taken}.part"
        part.write_bytes(envelope.content)
        part.rename(folder / f"{self.taken}.eml")
        return "250 2.0.0 Taken"


async def main():
    loop = asyncio.get_running_loop()
    controller = UnthreadedController(Take(), hostname="127.0.0.1", port=port, loop=loop)
    controller.server = await controller._create_server()
    print("ready", flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    controller.server.close()


asyncio.run(main())
