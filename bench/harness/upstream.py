"""The app behind every proxy: nginx with two workers, from memory and the page cache."""

from .processes import Process, free_port

KIB = "0123456789abcdef" * 64


class Upstream:
    """/ answers 1 KiB, /1m 1 MiB, /upload takes a whole body and then answers, /who says what identity it was told."""

    def __init__(self, folder, tools):
        self.folder = folder / "upstream"
        self.folder.mkdir(parents=True)
        self.port = free_port()
        back = free_port()
        (self.folder / "1m").write_bytes(bytes(range(256)) * 4096)
        config = self.folder / "nginx.conf"
        config.write_text(f"""
daemon off; worker_processes 2; worker_rlimit_nofile 20000;
pid {self.folder}/pid; error_log {self.folder}/error.log crit;
events {{ worker_connections 9000; }}
http {{
  access_log off; keepalive_requests 1000000000; keepalive_timeout 300s; sendfile on; tcp_nopush on;
  default_type text/plain; client_max_body_size 0; client_body_buffer_size 2m; client_header_buffer_size 8k;
  client_body_temp_path {self.folder}/body; proxy_temp_path {self.folder}/proxy;
  fastcgi_temp_path {self.folder}/f; uwsgi_temp_path {self.folder}/u; scgi_temp_path {self.folder}/s;
  upstream done {{ server 127.0.0.1:{back}; keepalive 64; keepalive_requests 1000000000; }}
  server {{
    listen 127.0.0.1:{self.port} reuseport backlog=4096;
    root {self.folder};
    location / {{ return 200 "{KIB}"; }}
    location = /1m {{ open_file_cache max=10; }}
    location = /who {{ return 200 "$http_remote_user $http_linkgate_assertion"; }}
    location = /upload {{
      proxy_pass http://done; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_method GET;
      proxy_pass_request_body off; proxy_set_header Content-Length "";
    }}
  }}
  server {{ listen 127.0.0.1:{back}; location / {{ return 200 "taken"; }} }}
}}
""")
        self.process = Process([tools.nginx, "-e", self.folder / "error.log", "-p", self.folder, "-c", config],
                               self.folder / "log").wait_for(self.port)

    def stop(self):
        self.process.stop()
