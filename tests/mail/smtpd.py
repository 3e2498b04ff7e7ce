"""A real SMTP server (aiosmtpd) that does as it is told.

    smtpd.py MODE CERT KEY USER PASSWORD [STEP=REPLY]...

MODE: plain, starttls, tls. USER empty: no AUTH. Each STEP=REPLY (mail, rcpt, data) is used once, in order; then
everything is accepted. Prints "ready PORT", then one JSON object for each letter taken. Ends when its standard input does.
"""

import asyncio
import json
import logging
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult

logging.disable()
mode, cert, key, user, password, *scripted = sys.argv[1:]
replies = {"mail": [], "rcpt": [], "data": []}
for step, reply in (word.split("=", 1) for word in scripted):
    replies[step].append(reply)


class Handler:
    def next(self, step):
        return replies[step].pop(0) if replies[step] else None

    async def handle_MAIL(self, server, session, envelope, address, options):
        reply = self.next("mail")
        if reply is None:
            envelope.mail_from = address
            reply = "250 2.1.0 Ok"
        return reply

    async def handle_RCPT(self, server, session, envelope, address, options):
        reply = self.next("rcpt")
        if reply is None:
            envelope.rcpt_tos.append(address)
            reply = "250 2.1.5 Ok"
        return reply

    async def handle_DATA(self, server, session, envelope):
        reply = self.next("data")
        if reply is not None:
            return reply
        letter = {
            "hello": session.host_name,
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "tls": session.ssl is not None or mode == "tls",
            "signed_in": bool(session.authenticated),
            "peer_port": session.peer[1],
            "data": envelope.content.decode("ascii"),
        }
        print(json.dumps(letter), flush=True)
        return "250 2.0.0 Ok: queued as TEST"


def authenticate(server, session, envelope, mechanism, data):
    good = data.login == user.encode() and data.password == password.encode()
    return AuthResult(success=good, handled=False)


async def main():
    context = None
    if mode != "plain":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cert, key)
    options = {"hostname": "localhost", "auth_require_tls": False}
    if user:
        options.update(authenticator=authenticate, auth_required=True)
    if mode == "starttls":
        options.update(tls_context=context, require_starttls=True)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: SMTP(Handler(), **options), "127.0.0.1", 0, ssl=context if mode == "tls" else None
    )
    print("ready", server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


asyncio.run(main())
