//! Real SMTP servers for tests: aiosmtpd, told what to answer, and Postfix as an operator would run it.
//! Each lives as long as its value. Loopback only.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::Value;

/// How long a server may take to come up or to show a letter.
const PATIENCE: Duration = Duration::from_secs(20);

/// A certificate authority of our own and a certificate for `localhost`.
pub struct Authority {
    home: tempfile::TempDir,
}

impl Authority {
    pub fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let openssl = |arguments: &str| {
            let done =
                Command::new("openssl").args(arguments.split(' ')).current_dir(home.path()).output().unwrap();
            assert!(done.status.success(), "openssl: {}", String::from_utf8_lossy(&done.stderr));
        };
        fs::write(home.path().join("san"), "subjectAltName=DNS:localhost\nextendedKeyUsage=serverAuth\n")
            .unwrap();
        let key = "-newkey rsa:2048 -nodes";
        openssl(&format!("req -x509 {key} -days 30 -subj /CN=Test-CA -keyout ca.key -out ca.pem"));
        openssl(&format!("req {key} -subj /CN=localhost -keyout key.pem -out request.pem"));
        openssl(
            "x509 -req -in request.pem -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 -extfile san -out cert.pem",
        );
        Self { home }
    }

    /// What clients must trust.
    pub fn ca(&self) -> PathBuf {
        self.home.path().join("ca.pem")
    }

    pub fn certificate(&self) -> PathBuf {
        self.home.path().join("cert.pem")
    }

    pub fn key(&self) -> PathBuf {
        self.home.path().join("key.pem")
    }
}

/// aiosmtpd under our script `smtpd.py`.
pub struct SmtpServer {
    pub port: u16,
    child: Child,
    /// The script ends when this closes, even if the test is killed.
    _stdin: ChildStdin,
    lines: Receiver<String>,
}

impl SmtpServer {
    /// `mode`: `plain`, `starttls`, `tls`. `user`: name and password, or nobody signs in. `replies`: `step=reply`, each
    /// used once (`data=451 4.3.0 Busy`).
    pub fn start(mode: &str, authority: &Authority, user: Option<(&str, &str)>, replies: &[&str]) -> Self {
        let (name, password) = user.unwrap_or_default();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mail/smtpd.py");
        let mut child = Command::new(python())
            .args(["-W", "ignore"])
            .arg(script)
            .arg(mode)
            .args([authority.certificate(), authority.key()])
            .args([name, password])
            .args(replies)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (said, lines) = channel();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || stdout.lines().map_while(Result::ok).all(|line| said.send(line).is_ok()));
        let stdin = child.stdin.take().unwrap();
        let ready = lines.recv_timeout(PATIENCE).expect("the SMTP server comes up");
        let port = ready.strip_prefix("ready ").expect("ready PORT").parse().unwrap();
        Self { port, child, _stdin: stdin, lines }
    }

    /// The next letter that was taken: `hello`, `from`, `to`, `tls`, `signed_in`, `peer_port`, `data`.
    pub fn letter(&self) -> Value {
        serde_json::from_str(&self.lines.recv_timeout(PATIENCE).expect("a letter arrives")).unwrap()
    }

    /// Whether no further letter has been taken so far.
    pub fn is_empty(&self) -> bool {
        self.lines.try_recv().is_err()
    }
}

impl Drop for SmtpServer {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A Python that has aiosmtpd: the system's, or one set up below target/ once.
fn python() -> &'static Path {
    static PYTHON: OnceLock<PathBuf> = OnceLock::new();
    PYTHON.get_or_init(|| {
        let runs = |program: &Path, arguments: &[&str]| {
            let done =
                Command::new(program).args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).status();
            done.is_ok_and(|status| status.success())
        };
        let has = |program: &Path| runs(program, &["-c", "import aiosmtpd.smtp"]);
        let system = PathBuf::from("python3");
        if has(&system) {
            return system;
        }
        let venv = Path::new(env!("CARGO_TARGET_TMPDIR")).join("smtp-venv");
        let python = venv.join("bin/python");
        if !has(&python) {
            assert!(
                runs(&system, &["-m", "venv", &venv.display().to_string()]),
                "python3 -m venv (python3-venv)"
            );
            assert!(
                runs(&python, &["-m", "pip", "install", "-q", "aiosmtpd==1.4.6"]),
                "pip install aiosmtpd"
            );
        }
        python
    })
}

/// Postfix from the system's packages with a configuration of its own: encryption and sign-in required (Cyrus SASL),
/// letters into a folder. Needs root (it changes user) and the packages `postfix`, `sasl2-bin`, `libsasl2-modules`,
/// `libsasl2-modules-db`. The system's own Postfix is not touched.
pub struct Postfix {
    pub port: u16,
    home: tempfile::TempDir,
}

impl Postfix {
    pub fn start(authority: &Authority, user: &str, password: &str) -> Self {
        // Readable, because Postfix's helpers run as other users.
        let home = tempfile::Builder::new().permissions(fs::Permissions::from_mode(0o755)).tempdir().unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let place = home.path().display().to_string();
        for (folder, mode) in [("sasl", 0o755), ("spool", 0o755), ("data", 0o700), ("letters", 0o777)] {
            fs::create_dir(home.path().join(folder)).unwrap();
            fs::set_permissions(home.path().join(folder), fs::Permissions::from_mode(mode)).unwrap();
        }
        run("chown", &["postfix", &format!("{place}/data")], "");
        fs::write(home.path().join("main.cf"), MAIN_CF.replace("PLACE", &place)).unwrap();
        fs::write(home.path().join("master.cf"), MASTER_CF.replace("PORT", &port.to_string())).unwrap();
        let sasl = "pwcheck_method: auxprop\nauxprop_plugin: sasldb\nmech_list: PLAIN LOGIN\nsasldb_path: PLACE/sasl/db\n";
        fs::write(home.path().join("sasl/smtpd.conf"), sasl.replace("PLACE", &place)).unwrap();
        fs::copy(authority.certificate(), home.path().join("cert.pem")).unwrap();
        fs::copy(authority.key(), home.path().join("key.pem")).unwrap();
        let db = format!("{place}/sasl/db");
        run("saslpasswd2", &["-p", "-c", "-f", &db, "-u", "localhost", user], password);
        run("chown", &["postfix", &db], "");
        run("postfix", &["-c", &place, "start"], "");
        let server = Self { port, home };
        server.until("Postfix listens", || std::net::TcpStream::connect(("127.0.0.1", port)).ok());
        server
    }

    /// The first letter that was delivered, as it lies in the mailbox.
    pub fn letter(&self) -> String {
        let new = self.home.path().join("letters/all/new");
        self.until("a letter is delivered", || {
            let mut files = fs::read_dir(&new).ok()?.map_while(Result::ok);
            fs::read_to_string(files.next()?.path()).ok()
        })
    }

    fn until<T>(&self, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
        let started = std::time::Instant::now();
        while started.elapsed() < PATIENCE {
            if let Some(found) = look() {
                return found;
            }
            std::thread::yield_now();
        }
        panic!("{what}: {}", fs::read_to_string(self.home.path().join("log")).unwrap_or_default());
    }
}

impl Drop for Postfix {
    fn drop(&mut self) {
        drop(Command::new("postfix").arg("-c").arg(self.home.path()).arg("stop").output());
    }
}

fn run(program: &str, arguments: &[&str], input: &str) {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{program}: {error}"));
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let done = child.wait_with_output().unwrap();
    assert!(done.status.success(), "{program}: {}", String::from_utf8_lossy(&done.stderr));
}

const MAIN_CF: &str = "\
compatibility_level = 3.6
queue_directory = PLACE/spool
data_directory = PLACE/data
maillog_file_prefixes = PLACE
maillog_file = PLACE/log
myhostname = localhost
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mydestination =
alias_maps =
alias_database =
virtual_mailbox_domains = example.com
virtual_mailbox_base = PLACE/letters
virtual_mailbox_maps = static:all/
virtual_uid_maps = static:65534
virtual_gid_maps = static:65534
smtpd_tls_cert_file = PLACE/cert.pem
smtpd_tls_key_file = PLACE/key.pem
smtpd_tls_security_level = encrypt
smtpd_sasl_auth_enable = yes
smtpd_sasl_local_domain = localhost
cyrus_sasl_config_path = PLACE/sasl
smtpd_relay_restrictions = permit_sasl_authenticated, reject
smtpd_recipient_restrictions = permit_sasl_authenticated, reject
";

const MASTER_CF: &str = "\
127.0.0.1:PORT inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
error unix - - n - - error
retry unix - - n - - error
proxymap unix - - n - - proxymap
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
postlog unix-dgram n - n - 1 postlogd
";
