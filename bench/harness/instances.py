"""Several linkgates that share one store, and load that signs people in at them by real letters."""

import json
import secrets
import shutil
import subprocess
import time
import urllib.error
import urllib.request

from .processes import Process, free_port

CONFIG = """
listen = ["http://127.0.0.1:{port}"]
state_dir = "{state}"
secret_file = "{folder}/secret"
workers = 2
[mail]
from = "Example <login@example.com>"
url = "smtp+plain://127.0.0.1:{sink}"
[monitor]
listen = "127.0.0.1:{monitor}"
[log]
level = "error"
access = false
[limits]
ask_per_client = "1000000/1s"
ask_per_domain = "1000000/1s"
ask_per_site = "1000000/1s"
redeem_per_client = "1000000/1s"
connections_per_client = 10000
[store]
{store}
[[site]]
name = "bench"
url = "http://localhost:8080"
upstream = "http://127.0.0.1:9"
allow = ["@example.com"]
"""


class Redis:
    """A server of our own that writes every change to its file, and syncs it once a second."""

    def __init__(self, folder, tools):
        folder.mkdir(parents=True)
        self.port = free_port()
        command = [tools.redis, "--port", self.port, "--bind", "127.0.0.1", "--dir", folder, "--appendonly", "yes", "--save", ""]
        self.process = Process(command, folder / "log").wait_for(self.port)

    def config(self):
        return f'kind = "redis"\nurl = "redis://127.0.0.1:{self.port}"'

    def stop(self):
        self.process.stop()


class Sqlite:
    """One file, next to which every instance runs."""

    def __init__(self, folder, _tools):
        folder.mkdir(parents=True)
        self.file = folder / "linkgate.db"
        self.process = None

    def config(self):
        return f'kind = "sqlite"\npath = "{self.file}"'

    def stop(self):
        pass


class Instances:
    """`count` linkgates with one store of `kind`."""

    def __init__(self, folder, tools, kind, count):
        self.tools, self.sink = tools, free_port()
        folder.mkdir(parents=True)
        (folder / "secret").write_text(secrets.token_urlsafe(48))
        (folder / "secret").chmod(0o600)
        self.folder, self.store, self.running, self.monitors = folder, kind(folder / "store", tools), [], []
        try:
            for number in range(count):
                state = folder / f"state-{number}"
                state.mkdir()
                port, config = free_port(), folder / f"{number}.toml"
                monitor = free_port()
                config.write_text(CONFIG.format(port=port, monitor=monitor, state=state, folder=folder, sink=self.sink, store=self.store.config()))
                self.monitors.append(monitor)
                self.running.append((None, port))
                self.start(number)
        except Exception:
            self.stop()
            raise

    def start(self, number):
        """Returns when it lets people in: /readyz says so."""
        _, port = self.running[number]
        command = [self.tools.linkgate, "serve", "--config", self.folder / f"{number}.toml"]
        process = Process(command, self.folder / f"{number}.log")
        self.running[number] = (process, port)
        process.wait_for(self.monitors[number])
        end = time.monotonic() + 60
        while not is_ready(self.monitors[number]):
            if time.monotonic() > end:
                raise RuntimeError(f"linkgate does not get ready:\n{process.last_words()}")
            time.sleep(0.005)

    def sign_in(self, lanes, seconds):
        """Sign-ins of so many people at once for so long, and what they cost all processes but the load generator."""
        before = self.cpu()
        command = [self.tools.signins, "localhost:8080", f"127.0.0.1:{self.sink}", lanes, seconds]
        command += [f"127.0.0.1:{port}" for _, port in self.running]
        ran = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
        if ran.returncode:
            words = "".join(process.last_words() for process, _ in self.running)
            raise RuntimeError(f"signins: {ran.stdout}{ran.stderr}{words}")
        said = json.loads(ran.stdout)
        if not said["signins"]:
            raise RuntimeError("nobody was signed in")
        # A second of warming up was worked and not counted.
        work = (self.cpu() - before) * seconds / (seconds + 1)
        milliseconds = {key: said[key] / 1000 for key in ("ask_p50", "letter_p50", "redeem_p50", "redeem_p99")}
        return {"rate": said["signins"] / seconds, "cpu": work * 1000 / said["signins"], **milliseconds}

    def cpu(self):
        """Seconds of all linkgates and the store so far."""
        processes = [process for process, _ in self.running] + [self.store.process] * bool(self.store.process)
        return sum(sum(process.cpu()) for process in processes)

    def stop(self):
        for process, _ in self.running:
            if process:
                process.stop()
        self.store.stop()
        shutil.rmtree(self.folder)


def is_ready(monitor):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{monitor}/readyz", timeout=10) as answer:
            return answer.status == 200
    except (urllib.error.URLError, OSError):
        return False
