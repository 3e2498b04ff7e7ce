//! The files behind the pages: those built in, and those of a folder that win over them. Never follows a name
//! from a request: everything is read once, at load.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use aws_lc_rs::digest;

use super::error::PageError;

/// More than this in one file is a mistake, not a page.
const LARGEST_BYTES: u64 = 4 * 1024 * 1024;

/// Everything that pages are made of, by file name.
pub(super) struct Files {
    /// `*.html` and `*.txt`.
    pub templates: BTreeMap<String, Cow<'static, str>>,
    /// Fluent sources by language code; later ones win line by line.
    pub texts: BTreeMap<String, Vec<Text>>,
    /// Style, scripts, pictures.
    pub assets: BTreeMap<String, Asset>,
    /// Templates that came from the folder.
    pub replaced: Vec<String>,
}

/// One Fluent file.
pub(super) struct Text {
    pub file: String,
    pub source: Cow<'static, str>,
}

/// One file that browsers fetch by itself.
pub(super) struct Asset {
    pub content_type: &'static str,
    pub body: Cow<'static, [u8]>,
    /// The start of the body's SHA-256, in hexadecimal.
    pub etag: String,
}

impl Asset {
    fn new(content_type: &'static str, body: Cow<'static, [u8]>) -> Self {
        use std::fmt::Write as _;
        let hash = digest::digest(&digest::SHA256, &body);
        let etag = hash.as_ref().iter().take(8).fold(String::new(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        });
        Self { content_type, body, etag }
    }
}

macro_rules! built_in {
    ($($name:literal)*) => {
        &[$(($name, include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/pages/", $name)))),*]
    };
}

/// Every built-in file: name and source.
pub(super) const BUILT_IN: &[(&str, &str)] = built_in!(
    "base.html" "contact.html" "login.html" "waiting.html" "verify.html" "confirm.html" "other-person.html"
    "link-problem.html" "denied.html" "logout.html" "signed-out.html" "start.html" "lost-post.html"
    "error.html" "inbox.html" "letter.html" "letter.txt"
    "style.css" "login.js" "wait.js" "clean.js" "icon.svg"
    "en.ftl" "de.ftl" "fr.ftl" "ru.ftl" "es.ftl"
);

impl Files {
    pub(super) fn built_in() -> Result<Self, PageError> {
        let mut files = Self {
            templates: BTreeMap::new(),
            texts: BTreeMap::new(),
            assets: BTreeMap::new(),
            replaced: Vec::new(),
        };
        for (name, source) in BUILT_IN {
            files.add(name, Cow::Borrowed(source.as_bytes()))?;
        }
        Ok(files)
    }

    /// Reads `folder`; what lies there wins over what is built in. Names that begin with a dot, end with `~` or
    /// `.md`, and folders are passed over.
    pub(super) fn read(&mut self, folder: &Path) -> Result<(), PageError> {
        let unreadable = |path: &Path, reason: &dyn ToString| PageError::Unreadable {
            file: path.display().to_string(),
            reason: reason.to_string(),
        };
        let mut found = Vec::new();
        for entry in fs::read_dir(folder).map_err(|error| unreadable(folder, &error))? {
            found.push(entry.map_err(|error| unreadable(folder, &error))?.path());
        }
        found.sort();
        for path in found {
            let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
                return Err(unreadable(&path, &"its name is not UTF-8"));
            };
            if name.starts_with('.')
                || name.ends_with('~')
                || path.extension().is_some_and(|ending| ending == "md")
            {
                continue;
            }
            let about = fs::metadata(&path).map_err(|error| unreadable(&path, &error))?;
            if about.is_dir() {
                continue;
            }
            if !about.is_file() || about.len() > LARGEST_BYTES {
                return Err(unreadable(&path, &"it is not an ordinary file of at most 4 MiB"));
            }
            let body = fs::read(&path).map_err(|error| unreadable(&path, &error))?;
            self.add(name, Cow::Owned(body))?;
            if self.templates.contains_key(name) {
                self.replaced.push(name.to_owned());
            }
        }
        Ok(())
    }

    /// Takes a picture from anywhere as the one logo.
    pub(super) fn read_logo(&mut self, path: &Path) -> Result<(), PageError> {
        let body = fs::read(path).map_err(|error| PageError::Unreadable {
            file: path.display().to_string(),
            reason: error.to_string(),
        })?;
        let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
        self.assets.retain(|name, _| !name.starts_with("logo."));
        self.add(&format!("logo.{ending}"), Cow::Owned(body))
    }

    fn add(&mut self, name: &str, body: Cow<'static, [u8]>) -> Result<(), PageError> {
        let (stem, ending) = name.rsplit_once('.').unwrap_or((name, ""));
        let content_type = match ending {
            "html" | "txt" => {
                self.templates.insert(name.to_owned(), utf8(name, body)?);
                return Ok(());
            }
            "ftl" => {
                let text = Text { file: name.to_owned(), source: utf8(name, body)? };
                self.texts.entry(stem.to_owned()).or_default().push(text);
                return Ok(());
            }
            "css" => "text/css; charset=utf-8",
            "js" => "text/javascript; charset=utf-8",
            "svg" => "image/svg+xml",
            "png" => "image/png",
            "jpg" | "jpeg" => "image/jpeg",
            "webp" => "image/webp",
            "ico" => "image/x-icon",
            _ => {
                let cure = "pages end in .html or .txt, texts in .ftl, the rest in .css, .js, .svg, .png, .jpg, \
                            .webp or .ico; rename it, or move it out of the folder";
                return Err(PageError::UnknownFile { file: name.to_owned(), cure: cure.to_owned() });
            }
        };
        self.assets.insert(name.to_owned(), Asset::new(content_type, body));
        Ok(())
    }
}

/// Whether a template of this name is built in.
pub(super) fn is_built_in(name: &str) -> bool {
    BUILT_IN.iter().any(|(one, _)| *one == name)
}

fn utf8(name: &str, body: Cow<'static, [u8]>) -> Result<Cow<'static, str>, PageError> {
    let broken = |at: usize, body: &[u8]| PageError::Template {
        file: name.to_owned(),
        line: line_of(body, at),
        reason: "this is not UTF-8; save the file as UTF-8".to_owned(),
    };
    match body {
        Cow::Borrowed(bytes) => {
            std::str::from_utf8(bytes).map(Cow::Borrowed).map_err(|error| broken(error.valid_up_to(), bytes))
        }
        Cow::Owned(bytes) => String::from_utf8(bytes)
            .map(|text| Cow::Owned(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text)))
            .map_err(|error| broken(error.utf8_error().valid_up_to(), error.as_bytes())),
    }
}

/// The line, counted from one, of the byte at `offset`.
pub(super) fn line_of(body: &[u8], offset: usize) -> usize {
    body.iter().take(offset).filter(|byte| **byte == b'\n').count() + 1
}
