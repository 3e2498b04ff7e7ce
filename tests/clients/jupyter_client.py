"""Speaks Jupyter's own protocol through a gateway: starts a kernel, opens its WebSocket, runs `6*7`, and prints what comes
out. With `hold` it then says `open` and waits for the end of the WebSocket: `closed CODE`. Arguments: address of the server
(http://…/), value of the cookie header, optionally `hold`."""

import asyncio
import json
import sys
import urllib.request
import uuid

import websockets
from websockets.asyncio.client import connect

base, cookie = sys.argv[1:3]
origin = "/".join(base.split("/")[:3])


def ask(method, path, token=None, body=None):
    headers = {"Cookie": cookie, "Content-Type": "application/json", "Origin": origin, "Accept": "application/json"}
    if token:
        headers["Cookie"] += f"; _xsrf={token}"
        headers["X-XSRFToken"] = token
    request = urllib.request.Request(base + path, data=body, method=method, headers=headers)
    return urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=60)


async def main():
    page = ask("GET", "lab")
    cookies = page.headers.get_all("Set-Cookie") or []
    token = next(c.split(";")[0].split("=", 1)[1] for c in cookies if c.startswith("_xsrf="))
    me = json.load(ask("GET", "api/me", token))
    print("user", me["identity"]["username"] != "", flush=True)
    kernel = json.load(ask("POST", "api/kernels", token, b'{"name": "python3"}'))["id"]
    session = uuid.uuid4().hex
    address = base.replace("http", "ws", 1) + f"api/kernels/{kernel}/channels?session_id={session}"
    headers = {"Cookie": f"{cookie}; _xsrf={token}"}
    async with connect(
        address, additional_headers=headers, origin=origin, proxy=None, max_size=None, open_timeout=60
    ) as socket:
        header = {"msg_id": uuid.uuid4().hex, "username": "", "session": session, "msg_type": "execute_request",
                  "version": "5.3", "date": "2026-01-01T00:00:00Z"}
        content = {"code": "6*7", "silent": False, "store_history": True, "user_expressions": {},
                   "allow_stdin": False, "stop_on_error": True}
        await socket.send(json.dumps({"header": header, "parent_header": {}, "metadata": {}, "content": content,
                                      "channel": "shell", "buffers": []}))
        # Result and reply come by different channels of the kernel, in any order.
        got = {}
        while not {"result", "status"} <= got.keys():
            message = await asyncio.wait_for(socket.recv(), 60)
            if isinstance(message, bytes):
                continue
            message = json.loads(message)
            if message["parent_header"].get("msg_id") == header["msg_id"]:
                if message["msg_type"] == "execute_result":
                    got["result"] = message["content"]["data"]["text/plain"]
                if message["msg_type"] == "execute_reply":
                    got["status"] = message["content"]["status"]
        print("result", got["result"], flush=True)
        print("status", got["status"], flush=True)
        if "hold" in sys.argv:
            print("open", flush=True)
            try:
                while True:
                    await socket.recv()
            except websockets.exceptions.ConnectionClosed:
                pass
            print("closed", socket.close_code, flush=True)
            return
    ask("DELETE", f"api/kernels/{kernel}", token).read()


asyncio.run(main())
