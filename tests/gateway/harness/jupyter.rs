//! A real, unmodified JupyterLab that trusts whoever reaches it. Ends with the test.

use super::browser::try_fetch;
use super::eventually_within;
use super::free_port;
use super::program::Program;
use std::time::Duration;
use tempfile::TempDir;

pub struct Jupyter {
    pub port: u16,
    /// Its kernels end by themselves when it is gone.
    _program: Program,
    _folder: TempDir,
}

impl Jupyter {
    /// As its documentation says for a server behind a proxy that signs in: no token of its own.
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// With these files, name and text, in its folder.
    pub async fn start_with(files: &[(&str, &str)]) -> Self {
        let folder = TempDir::new().unwrap();
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let port = free_port();
        let path = |name: &str| folder.path().join(name).display().to_string();
        let arguments = [
            "lab".to_owned(),
            "--no-browser".to_owned(),
            "--allow-root".to_owned(),
            format!("--ServerApp.port={port}"),
            "--ServerApp.ip=127.0.0.1".to_owned(),
            "--ServerApp.port_retries=0".to_owned(),
            "--IdentityProvider.token=".to_owned(),
            "--ServerApp.allow_remote_access=True".to_owned(),
            "--LabApp.news_url=None".to_owned(),
            "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate".to_owned(),
            format!("--ServerApp.root_dir={}", folder.path().display()),
            format!("--LabApp.workspaces_dir={}", path("workspaces")),
            format!("--LabApp.user_settings_dir={}", path("settings")),
        ];
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let program = Program::start("jupyter", &arguments, folder.path());
        let app = Self { port, _program: program, _folder: folder };
        let url = format!("http://127.0.0.1:{port}/api");
        eventually_within(Duration::from_mins(2), "JupyterLab answers", async || {
            try_fetch(None, "GET", &url, &[], Vec::new()).await.ok().filter(|answer| answer.status == 200)
        })
        .await;
        app
    }
}
