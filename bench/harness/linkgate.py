"""linkgate with everything on: a person signed in by a real link, identity headers, assertion, full header rules."""

import http.client
import json
import shutil
import ssl
import subprocess
import urllib.parse

from .processes import Process, free_port
from .proxies import Door

PERSON = "alice@example.com"

CONFIG = """
listen = ["{scheme}://127.0.0.1:{port}"]
state_dir = "{folder}/state"
workers = 2
{trust}
{tls}
[mail]
from = "Example <login@example.com>"
url = "folder:{folder}/mail"
[monitor]
listen = "127.0.0.1:{monitor}"
[log]
level = "warn"
access = false
[limits]
connections = 20000
connections_per_client = 20000
[[user]]
email = "alice@example.com"
name = "Alice Example"
groups = ["staff", "editors"]
[[site]]
name = "bench"
url = "{origin}"
allow = ["@example.com"]
[[site.app]]
{app}
[[site.app.route]]
path = "/public/"
access = "public"
{extra}
"""


class Linkgate:
    """One gateway for plain HTTP and one for TLS, for with TLS on, plain requests are sent there."""

    def __init__(self, name, folder, tls, upstream, tools, environment=None):
        self.name, self.tools = name, tools
        folder = folder / name
        self.http = Gateway(folder / "http", None, upstream, tools, environment)
        self.https = Gateway(folder / "https", tls, upstream, tools, environment)
        trust = 'trusted_proxies = ["127.0.0.1"]'
        self.guard = Gateway(folder / "guard", None, upstream, tools, environment, trust=trust)

    def plain(self):
        return self.http.door()

    def secure(self):
        return self.https.door()

    def asked(self):
        """Where another proxy asks, for a visitor of its own."""
        door = self.guard.door()
        told = [f"X-Original-URL: {door.origin}/page", "X-Original-Method: GET", "X-Forwarded-Host: localhost", "X-Forwarded-For: 203.0.113.7"]
        return Door(door.process, door.port, [*door.headers, *told], door.origin)

    def public(self):
        """Without a session, for routes that ask for none."""
        door = self.http.door()
        return Door(door.process, door.port, [], door.origin)

    def stop(self):
        self.http.stop()
        self.https.stop()
        self.guard.stop()


class Gateway:
    """One running linkgate, and the cookie of a person signed in there."""

    def __init__(self, folder, tls, upstream, tools, environment=None, extra="", trust="", front=None):
        """`front`: a proxy that forwards in its place and asks it. Visitors come by `front.port`; `front.start(self)`
        starts it before anybody signs in, and returns its process."""
        self.folder, self.tls, self.tools, self.environment = folder, tls, tools, environment or {}
        for part in ("state", "mail"):
            (folder / part).mkdir(parents=True)
        self.port = free_port()
        scheme = "https" if tls else "http"
        self.visited = front.port if front else self.port
        self.origin = f"{scheme}://localhost:{self.visited}"
        files = f'[tls]\ncertificate = "{tls.certificate}"\nkey = "{tls.key}"' if tls else ""
        self.config = folder / "config.toml"
        self.config.write_text(CONFIG.format(
            scheme=scheme, port=self.port, folder=folder, tls=files, monitor=free_port(), origin=self.origin,
            app=f'upstream = "http://127.0.0.1:{upstream.port}"' if not front else 'host = "localhost"',
            extra=extra, trust=trust,
        ))
        self.start()
        self.front = front.start(self) if front else None
        self.cookie = self.sign_in()
        told = self.ask("GET", "/who")[2].split()
        if told[:1] != [PERSON] or len(told) != 2 or told[1].count(".") != 2:
            raise RuntimeError(f"the app was not told who asks: {told}")

    def start(self):
        self.start_only()
        self.process.wait_for(self.port)

    def start_only(self):
        command = [self.tools.linkgate, "serve", "--config", self.config]
        self.process = Process(command, self.folder / "log", self.environment)

    def stop(self):
        if self.front:
            self.front.stop()
        self.process.stop()

    def remove(self):
        self.stop()
        shutil.rmtree(self.folder)

    def door(self):
        return Door(self.process, self.port, [f"Cookie: {self.cookie}"], self.origin)

    def sign_in(self):
        """Makes a link as an administrator would, opens it as a browser would; the session's cookie."""
        made = subprocess.run(
            [self.tools.linkgate, "link", "create", PERSON, "--json", "--config", self.config],
            check=True, capture_output=True, text=True,
        )
        link = urllib.parse.urlsplit(json.loads(made.stdout)["link"])
        token = urllib.parse.parse_qs(link.query)["token"][0]
        form = urllib.parse.urlencode({"token": token, "email": PERSON})
        headers = {
            "Origin": self.origin, "Sec-Fetch-Site": "same-origin", "Content-Type": "application/x-www-form-urlencoded",
        }
        status, answer, text = self.ask("POST", link.path, form, headers)
        for line in answer.get_all("Set-Cookie", []):
            pair = line.partition(";")[0]
            if pair.partition("=")[0] in ("linkgate", "__Host-linkgate"):
                return pair
        raise RuntimeError(f"signing in ended with {status}: {text[:500]}")

    def ask(self, method, path, body=None, headers=None):
        if self.tls:
            trust = ssl.create_default_context(cafile=self.tls.certificate)
            connection = http.client.HTTPSConnection("localhost", self.visited, context=trust)
        else:
            connection = http.client.HTTPConnection("localhost", self.visited)
        headers = dict(headers or {})
        if getattr(self, "cookie", None):
            headers["Cookie"] = self.cookie
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        text = answer.read().decode(errors="replace")
        connection.close()
        return answer.status, answer.headers, text
