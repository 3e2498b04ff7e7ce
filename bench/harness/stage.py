"""Everything that runs during one comparison: one upstream, all proxies at once (idle ones cost nothing), and rounds
in which each has its turn, in an order that moves on by one, so that no proxy always follows the same."""

import sys

from . import linkgate, proxies
from .tools import Certificate
from .upstream import Upstream


class Stage:
    def __init__(self, folder, tools, options):
        self.folder, self.tools, self.options = folder, tools, options
        self.tls = Certificate(folder / "tls", tools)
        self.upstream = Upstream(folder, tools)
        self.proxies = {}
        for name, start in self.known().items():
            if not options.proxies or name in options.proxies:
                self.proxies[name] = start()

    def known(self):
        """Every proxy by name, and how it is started; those whose program is missing are not here."""
        tools = self.tools

        def starter(make, name):
            return lambda: make(name, self.folder, self.tls, self.upstream, tools)

        known = {"nginx": starter(proxies.nginx, "nginx"), "linkgate": starter(linkgate.Linkgate, "linkgate")}
        for other in self.options.beside:
            name, _, binary = other.partition("=")
            known[name] = self.other_linkgate(name, binary)
        known["HAProxy"] = starter(proxies.haproxy, "HAProxy")
        if tools.envoy:
            known["Envoy"] = starter(proxies.envoy, "Envoy")
        if tools.caddy:
            known["Caddy"] = starter(proxies.caddy, "Caddy")
        return known

    def other_linkgate(self, name, binary):
        """Another build of linkgate, for figures before and after a change."""
        import copy
        import pathlib

        tools = copy.copy(self.tools)
        tools.linkgate = pathlib.Path(binary).resolve()
        return lambda: linkgate.Linkgate(name, self.folder, self.tls, self.upstream, tools)

    def linkgates(self):
        """Every build of linkgate on the stage, by name."""
        return {name: proxy for name, proxy in self.proxies.items() if isinstance(proxy, linkgate.Linkgate)}

    def builds(self):
        """The programs of every build of linkgate on the stage, by its name."""
        return {name: proxy.tools for name, proxy in self.linkgates().items()}

    def rounds(self, table, runs):
        """`runs`: by name, a function that measures once. A proxy that fails is out, and the table says why."""
        names = list(runs)
        for number in range(self.options.rounds):
            shift = number % len(names)
            done = {}
            for name in names[shift:] + names[:shift]:
                if name in table.failed:
                    continue
                self.say(f"{table.title}: round {number + 1} of {self.options.rounds}, {name}")
                try:
                    done[name] = runs[name]()
                except RuntimeError as error:
                    table.failed[name] = str(error).strip().splitlines()[0]
                    table.rows.pop(name, None)
                    print(f"\n{name}: {error}", file=sys.stderr)
            for name in names:
                if name in done:
                    table.add(name, done[name])
        return table

    def say(self, text):
        if sys.stderr.isatty():
            print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)

    def stop(self):
        for proxy in self.proxies.values():
            proxy.stop()
        self.upstream.stop()
