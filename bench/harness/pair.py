"""nginx before the app, asking linkgate by auth_request: the configuration that `linkgate snippet nginx` prints, which is
that of docs/nginx.md. Only what this machine wants is put in its place: address, the app, connections kept to it."""

import subprocess

from .linkgate import Gateway
from .processes import Process, free_port
from .proxies import FOREVER, Door


class Pair:
    """Both programs under way, and a person signed in through them."""

    def __init__(self, name, folder, upstream, tools):
        self.name, self.folder, self.upstream, self.tools = name, folder / name, upstream, tools
        self.port = free_port()
        trust = 'trusted_proxies = ["127.0.0.1"]'
        self.gateway = Gateway(self.folder / "linkgate", None, upstream, tools, trust=trust, front=self)

    def start(self, gateway):
        """nginx, once linkgate runs."""
        printed = subprocess.run(
            [self.tools.linkgate, "snippet", "nginx", "--config", gateway.config], check=True, capture_output=True, text=True
        ).stdout
        for there, here in (
            (f"listen {self.port};", f"listen 127.0.0.1:{self.port} reuseport backlog=4096;"),
            ("proxy_pass http://127.0.0.1:3000;", "proxy_pass http://app;"),
        ):
            if there not in printed:
                raise RuntimeError(f"the snippet says no more {there!r}:\n{printed}")
            printed = printed.replace(there, here)
        folder = self.folder / "nginx"
        folder.mkdir()
        config = folder / "nginx.conf"
        config.write_text(f"""
daemon off; worker_processes 2; worker_rlimit_nofile 20000;
pid {folder}/pid; error_log {folder}/error.log crit;
events {{ worker_connections 9000; }}
http {{
  access_log off; keepalive_requests {FOREVER}; keepalive_timeout 300s; client_max_body_size 0;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  upstream app {{ server 127.0.0.1:{self.upstream.port}; keepalive 256; keepalive_requests {FOREVER}; }}
{printed}
}}
""")
        command = [self.tools.nginx, "-e", folder / "error.log", "-p", folder, "-c", config]
        return Process(command, folder / "log").wait_for(self.port)

    def plain(self):
        """Where visitors come in; what it costs, it costs both."""
        both = Together(self.gateway.front, self.gateway.process)
        return Door(both, self.port, [f"Cookie: {self.gateway.cookie}"], self.gateway.origin)

    def stop(self):
        self.gateway.stop()


class Together:
    """Processes that do one work."""

    def __init__(self, *processes):
        self.processes = processes

    def cpu(self):
        user, system = zip(*(process.cpu() for process in self.processes), strict=True)
        return sum(user), sum(system)

    def resident(self):
        return sum(process.resident() for process in self.processes)
