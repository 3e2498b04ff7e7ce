//! `linkgate init`: writes a first configuration and a secret. Asks on a terminal, takes flags elsewhere; never
//! overwrites a file.

use std::fs;
use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use super::Failure;
use super::arguments::Init;
use super::output;
use crate::config::{self, Environment};
use crate::random::Random;

/// Writes `file` and the secret.
pub fn run(asked: &Init, file: &Path) -> Result<(), Failure> {
    if file.exists() {
        return Err(Failure::Usage(format!(
            "{} is there already; name another with --config",
            file.display()
        )));
    }
    let answers = Answers {
        url: answer(asked.url.clone(), "url", "Where do people sign in?", "https://wiki.example.com")?,
        upstream: answer(asked.upstream.clone(), "upstream", "Where is the app?", "http://127.0.0.1:3000")?,
        allow: {
            let given = (!asked.allow.is_empty()).then(|| asked.allow.join(","));
            answer(given, "allow", "Who may sign in? (addresses and @domains, by comma)", "@example.com")?
        },
        from: answer(asked.from.clone(), "from", "Who do letters come from?", "Example <login@example.com>")?,
        mail_url: answer(
            asked.mail_url.clone(),
            "mail-url",
            "Which relay sends them?",
            "smtp://smtp.example.com:587",
        )?,
    };
    let text = answers.text(&asked.state_dir);
    // Whatever was answered is judged as the file will be.
    let (loaded, _) = config::load_text(&text, file, &Environment::default())?;
    let failed = |path: &Path, error: std::io::Error| Failure::Failed(format!("{}: {error}", path.display()));
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&loaded.state_dir)
        .map_err(|error| failed(&loaded.state_dir, error))?;
    loaded.master_secrets(&Random::system())?;
    let written = fs::OpenOptions::new().write(true).create_new(true).mode(0o640).open(file);
    written.and_then(|mut out| out.write_all(text.as_bytes())).map_err(|error| failed(file, error))?;
    output::line(&format!("{}\n{}", file.display(), loaded.master.generated.display()))?;
    output::remark("next: linkgate mail test you@example.com, then linkgate serve")
}

fn answer(given: Option<String>, flag: &str, question: &str, example: &str) -> Result<String, Failure> {
    if let Some(given) = given {
        return Ok(given);
    }
    let input = std::io::stdin();
    if !input.is_terminal() {
        return Err(Failure::Usage(format!("--{flag} is missing: {question} Such as {example:?}")));
    }
    write!(std::io::stderr(), "{question} [{example}] ")
        .map_err(|error| Failure::Failed(error.to_string()))?;
    let mut line = String::new();
    let read = input.lock().read_line(&mut line).map_err(|error| Failure::Failed(error.to_string()))?;
    match line.trim() {
        "" if read == 0 => Err(Failure::Failed("nothing was written".into())),
        "" => Ok(example.to_owned()),
        words => Ok(words.to_owned()),
    }
}

struct Answers {
    url: String,
    upstream: String,
    allow: String,
    from: String,
    mail_url: String,
}

impl Answers {
    fn text(&self, state_dir: &Path) -> String {
        let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
        let allow: Vec<String> =
            self.allow.split(',').map(str::trim).filter(|entry| !entry.is_empty()).map(quoted).collect();
        format!(
            "# config.toml.example explains every key; `linkgate check` finds every mistake.\n\n\
             state_dir = {}\n\n[mail]\nfrom = {}\nurl = {}\n# user = \"…\" and password_file = \"…\" where the relay asks\n\n\
             [[site]]\nurl = {}\nupstream = {}\nallow = [{}]\n",
            quoted(&state_dir.display().to_string()),
            quoted(&self.from),
            quoted(&self.mail_url),
            quoted(&self.url),
            quoted(&self.upstream),
            allow.join(", "),
        )
    }
}
