//! The real nginx as an app: servers as the test writes them, stopped and started at will. Ends with the test.

use super::PATIENCE;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::time::Instant;
use tempfile::TempDir;

pub struct Nginx {
    child: Option<Child>,
    folder: TempDir,
}

impl Nginx {
    /// `servers`: what stands in `http { … }`; `@DIR@` is its folder, which `prepare` fills.
    pub fn start(prepare: impl FnOnce(&Path), servers: &str) -> Self {
        let folder = TempDir::new().unwrap();
        // nginx's worker is another user where nginx is started by root.
        std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
        prepare(folder.path());
        let config = format!(
            "daemon off; worker_processes 1; pid @DIR@/pid; error_log @DIR@/log;\n\
             events {{ worker_connections 256; }}\n\
             http {{ access_log @DIR@/access; default_type text/plain; client_body_temp_path @DIR@/a;\n\
             proxy_temp_path @DIR@/b; fastcgi_temp_path @DIR@/c; uwsgi_temp_path @DIR@/d; scgi_temp_path @DIR@/e;\n\
             client_max_body_size 0;\n{servers}\n}}\n"
        );
        let config = config.replace("@DIR@", &folder.path().display().to_string());
        std::fs::write(folder.path().join("nginx.conf"), config).unwrap();
        let mut nginx = Self { child: None, folder };
        nginx.again();
        nginx
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Starts it, and waits until it accepts.
    pub fn again(&mut self) {
        // Debian keeps servers in sbin, which is not on everybody's path.
        let program = ["/usr/sbin/nginx", "/usr/bin/nginx"].into_iter().find(|path| Path::new(path).exists());
        let mut child = Command::new(program.expect("nginx: run tests/check.sh --install first"))
            .arg("-c")
            .arg(self.path("nginx.conf"))
            .arg("-e")
            .arg(self.path("log"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let begun = Instant::now();
        // It writes this file when it listens.
        while std::fs::read_to_string(self.path("pid")).ok().and_then(|pid| pid.trim().parse().ok())
            != Some(child.id())
        {
            assert!(child.try_wait().unwrap().is_none() && begun.elapsed() < PATIENCE, "{}", self.log());
            std::thread::yield_now();
        }
        self.child = Some(child);
    }

    /// Stops it at once: from now on connections are refused.
    pub fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // SIGTERM: its workers end with it.
            let _ = Command::new("kill").arg(child.id().to_string()).status();
            let _ = child.wait();
        }
    }

    /// What it complained of.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    /// How many requests it has answered.
    pub fn answered(&self) -> usize {
        std::fs::read_to_string(self.path("access")).unwrap_or_default().lines().count()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        self.stop();
    }
}
