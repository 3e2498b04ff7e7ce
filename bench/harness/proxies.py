"""The other proxies, each configured as its manual says for this work: two workers, no access log, connections to the
upstream kept alive. All forward everything and authenticate nobody."""

import json

from .processes import Process, free_port

# More than any run sends over one connection.
FOREVER = 1_000_000_000


class Proxy:
    """A proxy under way: a plain port, a TLS port, and how to reach them."""

    def __init__(self, name, folder, tls):
        self.name = name
        self.folder = folder / name
        self.folder.mkdir(parents=True)
        self.tls = tls
        self.port = free_port()
        self.tls_port = free_port()
        # Request headers that a visitor of this proxy sends besides Host.
        self.headers = []

    def launch(self, command, environment=None):
        self.process = Process(command, self.folder / "log", environment)
        self.process.wait_for(self.port).wait_for(self.tls_port)
        return self

    def write(self, name, text):
        path = self.folder / name
        path.write_text(text)
        return path

    # Of one work, in case a proxy needs more than one process for both ports.
    def plain(self):
        return Door(self.process, self.port, self.headers, f"http://localhost:{self.port}")

    def secure(self):
        return Door(self.process, self.tls_port, self.headers, f"https://localhost:{self.tls_port}")

    def stop(self):
        self.process.stop()


class Door:
    """One port of a proxy, and the process behind it."""

    def __init__(self, process, port, headers, origin):
        self.process = process
        self.port = port
        self.headers = headers
        self.origin = origin

    @property
    def host(self):
        return self.origin.partition("//")[2]


def nginx(name, folder, tls, upstream, tools, buffering=True):
    proxy = Proxy(name, folder, tls)
    buffers = "" if buffering else "proxy_buffering off; proxy_request_buffering off;"
    config = proxy.write("nginx.conf", f"""
daemon off; worker_processes 2; worker_rlimit_nofile 20000;
pid {proxy.folder}/pid; error_log {proxy.folder}/error.log crit;
events {{ worker_connections 9000; }}
http {{
  access_log off; keepalive_requests {FOREVER}; keepalive_timeout 300s; client_max_body_size 0;
  client_body_temp_path {proxy.folder}/body; proxy_temp_path {proxy.folder}/proxy;
  fastcgi_temp_path {proxy.folder}/f; uwsgi_temp_path {proxy.folder}/u; scgi_temp_path {proxy.folder}/s;
  upstream app {{ server 127.0.0.1:{upstream.port}; keepalive 256; keepalive_requests {FOREVER}; }}
  server {{
    listen 127.0.0.1:{proxy.port} reuseport backlog=4096;
    listen 127.0.0.1:{proxy.tls_port} ssl http2 reuseport backlog=4096;
    ssl_certificate {tls.certificate}; ssl_certificate_key {tls.key}; ssl_protocols TLSv1.3; ssl_session_tickets on;
    location / {{
      proxy_pass http://app; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_set_header Host $http_host; {buffers}
    }}
  }}
}}
""")
    return proxy.launch([tools.nginx, "-e", proxy.folder / "error.log", "-p", proxy.folder, "-c", config])


def haproxy(name, folder, tls, upstream, tools):
    proxy = Proxy(name, folder, tls)
    config = proxy.write("haproxy.cfg", f"""
global
  nbthread 2
  maxconn 9000
  ssl-default-bind-options ssl-min-ver TLSv1.3
defaults
  mode http
  http-reuse always
  timeout connect 5s
  timeout client 300s
  timeout server 300s
frontend front
  bind 127.0.0.1:{proxy.port} backlog 4096
  bind 127.0.0.1:{proxy.tls_port} backlog 4096 ssl crt {tls.both} alpn h2,http/1.1
  default_backend app
backend app
  server app 127.0.0.1:{upstream.port}
""")
    return proxy.launch([tools.haproxy, "-db", "-f", config])


def caddy(name, folder, tls, upstream, tools):
    proxy = Proxy(name, folder, tls)
    config = proxy.write("Caddyfile", f"""
{{
  admin off
  auto_https off
  persist_config off
  log {{
    level ERROR
  }}
}}
http://localhost:{proxy.port} {{
  bind 127.0.0.1
  reverse_proxy 127.0.0.1:{upstream.port} {{
    transport http {{
      keepalive_idle_conns_per_host 256
    }}
  }}
}}
https://localhost:{proxy.tls_port} {{
  bind 127.0.0.1
  tls {tls.certificate} {tls.key}
  reverse_proxy 127.0.0.1:{upstream.port} {{
    transport http {{
      keepalive_idle_conns_per_host 256
    }}
  }}
}}
""")
    home = {"HOME": str(proxy.folder), "XDG_DATA_HOME": str(proxy.folder), "GOMAXPROCS": "2"}
    return proxy.launch([tools.caddy, "run", "--adapter", "caddyfile", "--config", config], home)


def envoy(name, folder, tls, upstream, tools):
    proxy = Proxy(name, folder, tls)

    def listener(port, transport):
        routes = {"virtual_hosts": [{
            "name": "all", "domains": ["*"],
            "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "app", "timeout": "0s"}}],
        }]}
        router = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"
        manager = {
            "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
            "stat_prefix": "front", "codec_type": "AUTO", "route_config": routes,
            "http_filters": [{"name": "envoy.filters.http.router", "typed_config": {"@type": router}}],
        }
        return {
            "name": f"port-{port}", "enable_reuse_port": True,
            "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}},
            "filter_chains": [{
                "filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}],
                **transport,
            }],
        }

    secure = {"transport_socket": {"name": "envoy.transport_sockets.tls", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
        "common_tls_context": {
            "alpn_protocols": ["h2", "http/1.1"],
            "tls_certificates": [{
                "certificate_chain": {"filename": str(tls.certificate)}, "private_key": {"filename": str(tls.key)},
            }],
        },
    }}}
    endpoint = {"address": {"socket_address": {"address": "127.0.0.1", "port_value": upstream.port}}}
    cluster = {
        "name": "app", "type": "STATIC", "connect_timeout": "5s",
        "load_assignment": {"cluster_name": "app", "endpoints": [{"lb_endpoints": [{"endpoint": endpoint}]}]},
    }
    resources = {"listeners": [listener(proxy.port, {}), listener(proxy.tls_port, secure)], "clusters": [cluster]}
    config = proxy.write("envoy.json", json.dumps({"static_resources": resources}))
    command = [tools.envoy, "-c", config, "--concurrency", "2", "--disable-hot-restart", "--log-level", "error"]
    return proxy.launch(command)
