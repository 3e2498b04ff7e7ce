"""Which programs there are, and their versions. What is missing is said, never silently left out."""

import os
import pathlib
import re
import shutil
import subprocess


class Tools:
    """Paths of the programs; None where there is none."""

    def __init__(self, folder, linkgate):
        path = f"{folder}/bin:{folder}/venv/bin:{os.environ['PATH']}:/usr/sbin:/sbin"
        for name in ("wrk", "h2load", "nginx", "haproxy", "caddy", "envoy", "openssl", "pace", "signins"):
            setattr(self, name, shutil.which(name, path=path))
        self.redis = shutil.which("redis-server", path=path)
        self.oauth2_proxy = shutil.which("oauth2-proxy", path=path)
        self.linkgate = pathlib.Path(linkgate).resolve()

    def versions(self):
        """Name and version of everything that takes part."""
        asked = {
            "linkgate": [self.linkgate, "--version"], "nginx": [self.nginx, "-v"], "HAProxy": [self.haproxy, "-v"],
            "Caddy": [self.caddy, "version"], "Envoy": [self.envoy, "--version"],
            "oauth2-proxy": [self.oauth2_proxy, "--version"], "Redis": [self.redis, "--version"], "wrk": [self.wrk, "-v"], "h2load": [self.h2load, "--version"],
            "rustc": ["rustc", "--version"],
        }
        return {name: version(command) for name, command in asked.items()}

    def absent(self):
        names = {"Caddy": self.caddy, "Envoy": self.envoy, "oauth2-proxy": self.oauth2_proxy, "Redis": self.redis}
        return [name for name, path in names.items() if not path]


def version(command):
    if not command[0]:
        return "not here"
    said = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    numbers = re.findall(r"\d+\.\d+[\w.+-]*", said.stdout + said.stderr)
    return numbers[0] if numbers else "unknown"


def machine():
    """Cores, processor, kernel, memory."""
    cpu = re.findall(r"model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text())
    memory = re.findall(r"MemTotal:\s*(\d+)", pathlib.Path("/proc/meminfo").read_text())
    system = os.uname()
    model = cpu[0] if cpu else system.machine
    gib = int(memory[0]) / 1024 / 1024
    return f"{os.cpu_count()} cores ({model}), {gib:.0f} GiB, {system.sysname} {system.release}"


class Certificate:
    """A certificate for localhost, made for this run and thrown away with it: ECDSA P-256, as most are today."""

    def __init__(self, folder, tools):
        folder.mkdir(parents=True, exist_ok=True)
        self.certificate, self.key, self.both = folder / "cert.pem", folder / "key.pem", folder / "both.pem"
        subprocess.run(
            [tools.openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "7",
             "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
             "-keyout", self.key, "-out", self.certificate],
            check=True, capture_output=True,
        )
        self.both.write_text(self.certificate.read_text() + self.key.read_text())
