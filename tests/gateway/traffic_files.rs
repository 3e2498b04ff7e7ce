//! A real file server, nginx, asked directly and through the gateway: ranges, conditions, compression and methods come
//! out the same.

use crate::harness::browser::Answer;
use crate::harness::browser::Browser;
use crate::harness::browser::try_fetch;
use crate::harness::eventually;
use crate::harness::free_port;
use crate::harness::gateway::Gateway;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use tempfile::TempDir;

const ALICE: &str = "alice@example.com";

struct Nginx {
    child: Child,
    url: String,
    _folder: TempDir,
}

impl Nginx {
    async fn start() -> Self {
        let folder = TempDir::new().unwrap();
        // nginx's worker is another user where nginx is started by root.
        std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let www = folder.path().join("www");
        std::fs::create_dir(&www).unwrap();
        std::fs::set_permissions(&www, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
        let text =
            (0..40_000).map(|line| format!("line {line} of a long text\n")).collect::<Vec<_>>().concat();
        std::fs::write(www.join("long.txt"), text).unwrap();
        std::fs::write(www.join("empty.txt"), "").unwrap();
        let port = free_port();
        let config = format!(
            "daemon off; worker_processes 1; pid {0}/pid; error_log {0}/log;\n\
             events {{ worker_connections 256; }}\n\
             http {{ access_log off; default_type application/octet-stream; types {{ text/plain txt; }}\n\
             client_body_temp_path {0}/a; proxy_temp_path {0}/b; fastcgi_temp_path {0}/c; uwsgi_temp_path {0}/d;\n\
             scgi_temp_path {0}/e; gzip on; gzip_types text/plain; gzip_min_length 1; gzip_vary on;\n\
             # Without this nginx packs nothing for a request that bears `Via`.\n gzip_proxied any;\n\
             server {{ listen 127.0.0.1:{port}; root {0}/www; location /put/ {{ dav_methods PUT DELETE MKCOL MOVE;\n\
             create_full_put_path on; client_max_body_size 0; }} }} }}\n",
            folder.path().display()
        );
        let file = folder.path().join("nginx.conf");
        std::fs::write(&file, config).unwrap();
        let child = Command::new("nginx")
            .arg("-c")
            .arg(&file)
            .arg("-e")
            .arg(folder.path().join("log"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("nginx: run tests/check.sh --install first");
        let url = format!("http://127.0.0.1:{port}");
        eventually("nginx answers", async || try_fetch(None, "GET", &url, &[], Vec::new()).await.ok()).await;
        Self { child, url, _folder: folder }
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // The master ends its worker when it is asked to; killed, it leaves it behind.
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let _ = self.child.wait();
    }
}

struct Both {
    nginx: Nginx,
    gateway: Gateway,
    alice: Browser,
}

impl Both {
    async fn start() -> Self {
        let nginx = Nginx::start().await;
        let gateway = Gateway::start(&format!(
            "[[site]]\nname = \"files\"\nurl = \"http://localhost:@PORT@\"\nupstream = \"{}\"\nallow = [\"{ALICE}\"]\n",
            nginx.url
        ))
        .await;
        let alice = Browser::new();
        gateway.sign_in(&alice, ALICE, &gateway.url("/.linkgate/")).await;
        Self { nginx, gateway, alice }
    }

    /// The same request both ways; the answers must be alike. Returns the one that came through the gateway.
    async fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
        let direct = format!("{}{path}", self.nginx.url);
        let direct = try_fetch(None, method, &direct, headers, Vec::new()).await.unwrap();
        let through = self.alice.send(method, &self.gateway.url(path), headers, Vec::new()).await;
        assert_eq!(through.status, direct.status, "{method} {path} {headers:?}");
        assert_eq!(shown(&through), shown(&direct), "{method} {path} {headers:?}");
        assert!(unbounded(&through) == unbounded(&direct), "{method} {path} {headers:?}: another body");
        through
    }
}

/// Names and values, but those that differ from one answer to the next.
fn shown(answer: &Answer) -> Vec<(String, String)> {
    let mut all: Vec<(String, String)> = answer
        .headers
        .iter()
        .filter(|(name, _)| {
            !["date", "connection", "cache-control", "transfer-encoding"].contains(&name.as_str())
        })
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
        .map(|(name, value)| (name, value.split("boundary=").next().unwrap_or_default().to_owned()))
        .collect();
    all.sort();
    all
}

/// The body, without the boundary that nginx counts up.
fn unbounded(answer: &Answer) -> Vec<u8> {
    let kind = answer.header("content-type");
    match kind.split_once("boundary=") {
        Some((_, boundary)) => String::from_utf8_lossy(&answer.body).replace(boundary, "-").into_bytes(),
        None => answer.body.clone(),
    }
}

#[tokio::test]
async fn ranges_come_out_as_the_file_server_makes_them() {
    let both = Both::start().await;
    let whole = both.ask("GET", "/long.txt", &[]).await.expect(200);
    let length = whole.body.len();
    let etag = whole.header("etag");
    let changed = whole.header("last-modified");

    let one = both.ask("GET", "/long.txt", &[("range", "bytes=100-199")]).await.expect(206);
    assert_eq!(one.body, whole.body[100..200]);
    assert_eq!(one.header("content-range"), format!("bytes 100-199/{length}"));
    let last = both.ask("GET", "/long.txt", &[("range", "bytes=-7")]).await.expect(206);
    assert_eq!(last.body, whole.body[length - 7..]);
    let open =
        both.ask("GET", "/long.txt", &[("range", &format!("bytes={}-", length - 3))]).await.expect(206);
    assert_eq!(open.body, whole.body[length - 3..]);

    let several = both.ask("GET", "/long.txt", &[("range", "bytes=0-9,500-509,-5")]).await.expect(206);
    assert!(several.header("content-type").starts_with("multipart/byteranges; boundary="));
    let text = String::from_utf8_lossy(&several.body).into_owned();
    assert_eq!(text.matches("Content-Range: bytes ").count(), 3, "{text}");

    both.ask("GET", "/long.txt", &[("range", "bytes=99999999-")]).await.expect(416);
    both.ask("GET", "/long.txt", &[("range", "nonsense")]).await;
    both.ask("HEAD", "/long.txt", &[("range", "bytes=0-9")]).await;
    both.ask("GET", "/empty.txt", &[("range", "bytes=0-9")]).await;

    for (condition, status) in [(etag.as_str(), 206), (changed.as_str(), 206), ("\"other\"", 200)] {
        let headers = [("range", "bytes=0-9"), ("if-range", condition)];
        both.ask("GET", "/long.txt", &headers).await.expect(status);
    }
}

#[tokio::test]
async fn conditions_compression_and_heads_come_out_as_the_file_server_makes_them() {
    let both = Both::start().await;
    let plain = both.ask("GET", "/long.txt", &[]).await.expect(200);
    let etag = plain.header("etag");
    let changed = plain.header("last-modified");
    both.ask("GET", "/long.txt", &[("if-none-match", &etag)]).await.expect(304);
    both.ask("GET", "/long.txt", &[("if-modified-since", &changed)]).await.expect(304);
    both.ask("GET", "/long.txt", &[("if-match", "\"other\"")]).await.expect(412);
    both.ask("HEAD", "/long.txt", &[]).await.expect(200);
    both.ask("GET", "/nowhere", &[]).await.expect(404);
    both.ask("POST", "/long.txt", &[]).await.expect(405);

    let packed = both.ask("GET", "/long.txt", &[("accept-encoding", "gzip")]).await.expect(200);
    assert_eq!(packed.header("content-encoding"), "gzip");
    assert_eq!(packed.header("vary"), "Accept-Encoding");
    assert!(packed.header("etag").starts_with("W/"));
    assert!(packed.body.starts_with(&[0x1f, 0x8b]) && packed.body.len() < plain.body.len() / 2);
}

#[tokio::test]
async fn files_are_put_moved_and_deleted() {
    let both = Both::start().await;
    let url = |path: &str| both.gateway.url(path);
    let text: Vec<u8> = (0..300_000_u32).flat_map(u32::to_le_bytes).collect();
    let put = both.alice.send("PUT", &url("/put/a"), &[], text.clone()).await;
    assert_eq!(put.status, 201, "{}", put.text());
    assert!(both.ask("GET", "/put/a", &[]).await.expect(200).body == text);
    let there = [("destination", "/put/b")];
    assert_eq!(both.alice.send("MOVE", &url("/put/a"), &there, Vec::new()).await.status, 204);
    both.ask("GET", "/put/a", &[]).await.expect(404);
    assert_eq!(both.alice.send("DELETE", &url("/put/b"), &[], Vec::new()).await.status, 204);
    both.ask("GET", "/put/b", &[]).await.expect(404);
}
