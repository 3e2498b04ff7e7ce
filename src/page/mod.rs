//! Pages: what people see. Loads templates, texts, style and scripts (built in, or from a folder that wins over
//! them), picks the language and fills pages in. Never sends anything, never shows a value unescaped in HTML,
//! never reads a file after load.

mod error;
mod files;
#[cfg(test)]
mod samples;
mod texts;
mod words;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use fluent_bundle::{FluentArgs, FluentValue};
use minijinja::value::{Kwargs, Serde, Value, merge_maps};
use minijinja::{AutoEscape, Environment, Error, ErrorKind, UndefinedBehavior, context};
use serde::Serialize;

use self::error::nearest;
use self::files::{Asset, Files};
use self::texts::Texts;

pub use self::error::PageError;
pub use self::texts::Lang;

/// The names that built-in pages are given; a page in a folder that uses another one has a mistake.
const NAMES: &[&str] = &[
    "lang",
    "nonce",
    "prefix",
    "site",
    "start",
    "reference",
    "return_to",
    "invited",
    "remember_choice",
    "email",
    "error",
    "note",
    "sender",
    "subject",
    "code",
    "lifetime",
    "sent_again",
    "masked",
    "token",
    "code_hint",
    "current",
    "stay",
    "needs_address",
    "kind",
    "again",
    "host",
    "everywhere",
    "person",
    "apps",
    "sessions",
    "tokens",
    "login",
    "status",
    "detail",
    "retry",
    "letters",
    "link",
    "invited_by_admin",
];
const FUNCTIONS: &[&str] = &["t", "span", "date", "asset", "button", "on_button"];

/// Every page, text and picture of one site, ready to be filled in. Made once at start and on reload.
pub struct Pages {
    /// One environment a language, so that `t` knows its language even in macros and included files.
    environments: BTreeMap<Lang, Environment<'static>>,
    texts: Arc<Texts>,
    assets: Arc<BTreeMap<String, Asset>>,
}

impl std::fmt::Debug for Pages {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pages").field("languages", &self.environments.keys()).finish_non_exhaustive()
    }
}

impl Pages {
    /// The built-in pages alone.
    ///
    /// # Errors
    ///
    /// None that a released linkgate could give: tests load every built-in file.
    pub fn embedded() -> Result<Self, PageError> {
        Self::load(None, &BTreeMap::new())
    }

    /// The built-in pages, under those of `folder` file by file (texts: line by line), under `replaced_texts`,
    /// which are Fluent patterns by message id and win in every language.
    ///
    /// # Errors
    ///
    /// The first mistake found, with its file, line and cure. Everything is parsed here, nothing later.
    pub fn load(folder: Option<&Path>, replaced_texts: &BTreeMap<String, String>) -> Result<Self, PageError> {
        Self::load_with_logo(folder, None, replaced_texts)
    }

    /// As [`Pages::load`]; `logo` is a picture that becomes the asset `logo.svg`, `logo.png`, … by its ending.
    ///
    /// # Errors
    /// As [`Pages::load`].
    pub fn load_with_logo(
        folder: Option<&Path>,
        logo: Option<&Path>,
        replaced_texts: &BTreeMap<String, String>,
    ) -> Result<Self, PageError> {
        let mut files = Files::built_in()?;
        if let Some(folder) = folder {
            files.read(folder)?;
        }
        if let Some(logo) = logo {
            files.read_logo(logo)?;
        }
        let texts = Arc::new(Texts::new(files.texts, replaced_texts)?);
        let assets = Arc::new(files.assets);

        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_debug(false); // else errors would quote the visitor's values
        environment.set_auto_escape_callback(|name| match name.rsplit_once('.') {
            Some((_, "txt")) => AutoEscape::None,
            _ => AutoEscape::Html,
        });
        for (name, source) in files.templates {
            check_ids(&name, &source, &texts)?;
            environment
                .add_template_owned(name.clone(), source)
                .map_err(|error| template_error(&name, &error))?;
        }
        for name in &files.replaced {
            check_names(&environment, name)?;
        }
        let environments = texts
            .languages()
            .map(|lang| (lang, speaking(environment.clone(), lang, &texts, &assets)))
            .collect();
        Ok(Self { environments, texts, assets })
    }

    /// The best language for an `Accept-Language` header, else `fallback` (the site's), else English.
    #[must_use]
    pub fn negotiate(&self, accept_language: Option<&str>, fallback: &str) -> Lang {
        self.texts.negotiate(accept_language, fallback)
    }

    /// The name of the logo among the assets; `None`: there is none.
    #[must_use]
    pub fn logo(&self) -> Option<&str> {
        self.assets.keys().map(String::as_str).find(|name| name.starts_with("logo."))
    }

    /// The codes of all languages, sorted.
    pub fn languages(&self) -> impl Iterator<Item = &str> {
        self.environments.keys().map(Lang::code)
    }

    /// Fills in `page`, such as `"login.html"`. `lang` and an empty `reference` need not be in the context.
    ///
    /// # Errors
    ///
    /// An unknown page, or a value that the page needs and the context lacks.
    pub fn render<C: Serialize>(&self, page: &str, lang: Lang, context: C) -> Result<String, PageError> {
        let unknown = || PageError::UnknownPage { page: page.to_owned() };
        let fallback = || self.environments.get(&self.texts.negotiate(None, texts::FALLBACK));
        let environment = self.environments.get(&lang).or_else(fallback).ok_or_else(unknown)?;
        let template = environment.get_template(page).map_err(|_| unknown())?;
        let given = merge_maps([context! { reference => "" }, Value::from(Serde(context))]);
        let context = context! { lang => lang.code(), ..given };
        template.render(context).map_err(|error| {
            let page = error.name().unwrap_or(page).to_owned();
            PageError::Render { page, line: error.line().unwrap_or(0), reason: reason(&error) }
        })
    }

    /// The message `id`, as plain text (not escaped). Whole numbers among `args` choose plurals. An unknown id is
    /// answered with itself.
    #[must_use]
    pub fn text(&self, lang: Lang, id: &str, args: &[(&str, &str)]) -> String {
        let args = args.iter().map(|(name, value)| (*name, number_or_words(value))).collect();
        self.texts.text(lang, id, &args)
    }

    /// A span in words: "15 minutes", "24 hours", "30 days".
    #[must_use]
    pub fn span(&self, lang: Lang, span: Duration) -> String {
        span_text(&self.texts, lang, span)
    }

    /// A moment in words, always in UTC: "21 Nov 2026, 07:56 UTC".
    #[must_use]
    pub fn date(&self, lang: Lang, unix_seconds: i64) -> String {
        date_text(&self.texts, lang, unix_seconds)
    }

    /// A file that pages fetch from `/assets/`: its content type, its bytes, its entity tag (without quotes).
    /// Pages add `?v=` and the tag to the address, so it may be kept for ever.
    #[must_use]
    pub fn asset(&self, name: &str) -> Option<(&'static str, &[u8], &str)> {
        self.assets.get(name).map(|asset| (asset.content_type, &*asset.body, asset.etag.as_str()))
    }

    /// The style `/assets/site.css` of a site with this accent (`#rrggbb`); `None` if that is no such colour.
    /// Words on buttons and links are kept readable (4.5 to 1) whatever the colour.
    #[must_use]
    pub fn accent_css(accent: &str) -> Option<String> {
        words::accent_css(accent)
    }
}

/// Gives the templates their helpers, bound to `lang`.
fn speaking(
    mut environment: Environment<'static>,
    lang: Lang,
    texts: &Arc<Texts>,
    assets: &Arc<BTreeMap<String, Asset>>,
) -> Environment<'static> {
    let of = Arc::clone(texts);
    environment.add_function("t", move |id: &str, values: Kwargs| -> Result<String, Error> {
        if !of.has(id) {
            return Err(Error::new(
                ErrorKind::InvalidOperation,
                format!("no language has a text named {id:?}"),
            ));
        }
        let mut args = FluentArgs::new();
        for name in values.args() {
            args.set(name.to_owned(), fluent(&values.peek::<Value>(name)?));
        }
        Ok(of.text(lang, id, &args))
    });
    let of = Arc::clone(texts);
    environment.add_function("span", move |seconds: u64| span_text(&of, lang, Duration::from_secs(seconds)));
    let of = Arc::clone(texts);
    environment.add_function("date", move |unix_seconds: i64| date_text(&of, lang, unix_seconds));
    let of = Arc::clone(assets);
    environment.add_function("asset", move |name: &str| match of.get(name) {
        Some(asset) => Ok(format!("{name}?v={}", asset.etag)),
        None => Err(Error::new(
            ErrorKind::InvalidOperation,
            format!("there is no file {name:?} beside the pages"),
        )),
    });
    environment.add_function("button", words::button);
    environment.add_function("on_button", words::on_button);
    environment
}

fn fluent(value: &Value) -> FluentValue<'static> {
    match value.as_i64() {
        Some(number) if value.is_number() => FluentValue::from(number),
        _ => FluentValue::from(value.to_string()),
    }
}

/// A number only if it would be printed the same way.
fn number_or_words(value: &str) -> FluentValue<'_> {
    match value.parse::<u32>() {
        Ok(number) if number.to_string() == value => FluentValue::from(number),
        _ => FluentValue::from(value),
    }
}

fn span_text(texts: &Texts, lang: Lang, span: Duration) -> String {
    let (id, count) = words::span(span);
    let args = FluentArgs::from_iter([("count", FluentValue::from(count))]);
    texts.text(lang, id, &args)
}

fn date_text(texts: &Texts, lang: Lang, unix_seconds: i64) -> String {
    let (day, month, year, clock) = words::date(unix_seconds);
    let args = FluentArgs::from_iter([
        ("day", FluentValue::from(day)),
        ("month", FluentValue::from(month)),
        ("year", FluentValue::from(year)),
        ("time", FluentValue::from(clock)),
    ]);
    texts.text(lang, "date", &args)
}

/// Every `t("id"` in a template names a text that exists.
fn check_ids(name: &str, source: &str, texts: &Texts) -> Result<(), PageError> {
    for (line, text) in source.lines().enumerate() {
        for (at, call) in text.match_indices("t(\"") {
            let before = text.get(..at).unwrap_or("");
            let (id, rest) =
                text.get(at + call.len()..).and_then(|rest| rest.split_once('"')).unwrap_or(("", ""));
            // Not `format("`, and not an id that is put together from parts.
            let part_of_a_name = before.ends_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
            if !part_of_a_name && rest.trim_start().starts_with([',', ')']) && !texts.has(id) {
                let nearest = texts.nearest(id);
                let reason = format!("no language has a text named {id:?}; the nearest is {nearest:?}");
                return Err(PageError::Template { file: name.to_owned(), line: line + 1, reason });
            }
        }
    }
    Ok(())
}

/// A page that replaces a built-in one uses only names that pages are given.
fn check_names(environment: &Environment<'_>, name: &str) -> Result<(), PageError> {
    if !files::is_built_in(name) {
        return Ok(()); // a part of the operator's own, perhaps included where a loop gives it names
    }
    let template = environment.get_template(name).map_err(|error| template_error(name, &error))?;
    let known = || NAMES.iter().chain(FUNCTIONS).copied();
    let global = |wanted: &str| environment.globals().any(|(name, _)| name == wanted);
    let mut odd: Vec<String> = template.undeclared_variables(false).into_iter().collect();
    odd.retain(|name| !known().any(|one| one == name) && !global(name));
    odd.sort();
    let Some(first) = odd.first() else { return Ok(()) };
    let line =
        template.source().lines().position(|line| line.contains(first.as_str())).map_or(0, |at| at + 1);
    let reason = format!("no page is given {first:?}; the nearest name is {:?}", nearest(first, known()));
    Err(PageError::Template { file: name.to_owned(), line, reason })
}

fn template_error(name: &str, error: &Error) -> PageError {
    PageError::Template { file: name.to_owned(), line: error.line().unwrap_or(0), reason: reason(error) }
}

fn reason(error: &Error) -> String {
    match error.detail() {
        Some(detail) => format!("{}: {detail}", error.kind()),
        None => error.kind().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn built_in() -> Pages {
        Pages::embedded().expect("the built-in pages load")
    }

    fn ends(name: &str, ending: &str) -> bool {
        name.rsplit_once('.').is_some_and(|(_, own)| own == ending)
    }

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, body) in files {
            std::fs::write(folder.path().join(name), body).expect("a file");
        }
        folder
    }

    fn mistake(files: &[(&str, &str)]) -> String {
        let folder = folder(files);
        Pages::load(Some(folder.path()), &BTreeMap::new()).expect_err("a mistake").to_string()
    }

    fn replaced(id: &str, text: &str) -> BTreeMap<String, String> {
        BTreeMap::from([(id.to_owned(), text.to_owned())])
    }

    #[test]
    fn every_page_renders_in_every_language() {
        let pages = built_in();
        for code in pages.languages() {
            let lang = pages.negotiate(Some(code), "en");
            assert_eq!(lang.code(), code);
            for (page, case, context) in samples::all() {
                let html =
                    pages.render(page, lang, &context).unwrap_or_else(|e| panic!("{page} {case}: {e}"));
                let plain = ends(page, "txt");
                assert!(
                    !html.contains("{$") && (plain || !html.contains("<script>alert")),
                    "{page} {case} {code}"
                );
                assert!(context.get("reference").is_none() || html.contains("k3f9-2m7q"), "{page} {case}");
                if ends(page, "html") {
                    assert!(html.contains(&format!("<html lang=\"{code}\"")), "{page}");
                    assert_eq!(html.matches("<h1").count(), 1, "{page} {case}");
                }
                let own = ends(page, "html") && page != "letter.html";
                assert!(
                    !own || (!html.contains("style=") && !html.contains("onclick")),
                    "{page} breaks the policy"
                );
            }
        }
        let shown: Vec<_> = samples::all().into_iter().map(|(page, ..)| page).collect();
        for (name, _) in files::BUILT_IN {
            let part = ["base.html", "contact.html"].contains(name);
            let page = ends(name, "html") || ends(name, "txt");
            assert!(part || !page || shown.contains(name), "{name} has no sample");
        }
    }

    #[test]
    fn all_languages_say_the_same_things_with_the_same_values() {
        let source = |code: &str| files::BUILT_IN.iter().find(|(name, _)| *name == format!("{code}.ftl"));
        let english = texts::messages(source("en").expect("English").1);
        for code in built_in().languages() {
            assert_eq!(texts::messages(source(code).expect("a file").1), english, "{code}");
        }
    }

    #[test]
    fn every_text_is_used_by_a_page_or_a_letter() {
        let templates: String =
            files::BUILT_IN.iter().filter(|(n, _)| !ends(n, "ftl")).map(|(_, s)| *s).collect();
        let english = files::BUILT_IN.iter().find(|(name, _)| *name == "en.ftl").expect("English").1;
        for id in texts::messages(english).into_keys() {
            let made = ["error-", "link-", "span-"].iter().any(|start| id.starts_with(start));
            let by_us = ["date", "language-name"].contains(&id);
            assert!(made || by_us || templates.contains(&format!("t(\"{id}\"")), "{id}");
        }
    }

    #[test]
    fn plurals_are_right_in_every_language() {
        let pages = built_in();
        let said =
            |code, seconds| pages.span(pages.negotiate(Some(code), "en"), Duration::from_secs(seconds));
        for (code, seconds, words) in [
            ("en", 60, "1 minute"),
            ("en", 900, "15 minutes"),
            ("en", 86_400, "24 hours"),
            ("en", 2_592_000, "30 days"),
            ("en", 63_072_000, "2 years"),
            ("de", 3_600, "1 Stunde"),
            ("de", 172_800, "2 Tage"),
            ("fr", 60, "1 minute"),
            ("fr", 63_072_000, "2 ans"),
            ("es", 172_800, "2 días"),
            ("ru", 60, "1 минута"),
            ("ru", 180, "3 минуты"),
            ("ru", 600, "10 минут"),
            ("ru", 21 * 60, "21 минута"),
            ("ru", 22 * 3_600, "22 часа"),
            ("ru", 12 * 60, "12 минут"),
            ("ru", 5 * 365 * 86_400, "5 лет"),
        ] {
            assert_eq!(said(code, seconds), words);
        }
    }

    #[test]
    fn dates_read_naturally() {
        let pages = built_in();
        let said = |code| pages.date(pages.negotiate(Some(code), "en"), 1_795_247_760);
        assert_eq!(said("en"), "21 Nov 2026, 07:56 UTC");
        assert_eq!(said("de"), "21. November 2026, 07:56 Uhr UTC");
        assert_eq!(said("ru"), "21 ноября 2026 г., 07:56 UTC");
    }

    #[test]
    fn the_browser_chooses_then_the_site_then_english() {
        let pages = built_in();
        let chosen = |header, fallback| pages.negotiate(header, fallback).code().to_owned();
        assert_eq!(chosen(Some("de-AT,de;q=0.9,en;q=0.5"), "en"), "de");
        assert_eq!(chosen(Some("en;q=0.2, fr-CA;q=0.8"), "en"), "fr");
        assert_eq!(chosen(Some("xx, tlh;q=0.5"), "ru"), "ru");
        assert_eq!(chosen(None, "es"), "es");
        assert_eq!(chosen(None, "tlh"), "en");
        for hostile in [
            "",
            ",",
            ";;;q=",
            "*",
            "de;q=NaN",
            "é",
            "-",
            "a-b-c-d-e",
            "\0",
            &"ж,".repeat(5_000),
            &"x".repeat(99_999),
        ] {
            assert!(["en", "de"].contains(&chosen(Some(hostile), "en").as_str()), "{hostile:.20}");
        }
    }

    #[test]
    fn values_are_escaped_in_html_and_not_in_plain_letters() {
        let pages = built_in();
        let lang = pages.negotiate(None, "en");
        let find =
            |name: &str| samples::all().into_iter().find(|(page, ..)| *page == name).expect("a sample").2;
        let mut context = find("denied.html");
        context["current"] = "<script>alert(1)</script>\" onfocus=x".into();
        let html = pages.render("denied.html", lang, &context).expect("a page");
        assert!(
            html.contains("&lt;script&gt;alert(1)")
                && !html.contains("<script>")
                && !html.contains("\" onfocus")
        );
        let mut context = find("letter.txt");
        context["site"]["title"] = "Fish & Chips".into();
        assert!(pages.render("letter.txt", lang, &context).expect("a letter").contains("Fish & Chips"));
    }

    #[test]
    fn a_value_that_is_missing_is_an_error_that_names_the_page_and_line() {
        let pages = built_in();
        let error = pages.render("denied.html", pages.negotiate(None, "en"), BTreeMap::from([("host", "x")]));
        let said = error.expect_err("no context").to_string();
        assert!(said.contains(".html, line "), "{said}");
        assert!(matches!(
            pages.render("no.html", pages.negotiate(None, "en"), ()),
            Err(PageError::UnknownPage { .. })
        ));
    }

    #[test]
    fn a_new_language_is_one_file_and_may_be_incomplete() {
        let folder = folder(&[("nl.ftl", "login-title = Inloggen\n"), ("README.md", ""), (".hidden", "")]);
        let pages = Pages::load(Some(folder.path()), &BTreeMap::new()).expect("loads");
        let lang = pages.negotiate(Some("nl-BE"), "en");
        assert_eq!(lang.code(), "nl");
        assert_eq!(pages.text(lang, "login-title", &[]), "Inloggen");
        assert_eq!(pages.text(lang, "try-again", &[]), "Try again");
    }

    #[test]
    fn files_in_the_folder_win() {
        let folder = folder(&[
            ("signed-out.html", "<h1>{{ t(\"mine\", name=site.title) }}</h1>"),
            ("en.ftl", "mine = Bye, { $name }\nsign-in = Come in\n"),
            ("logo.svg", "<svg/>"),
            ("style.css", "body {}"),
        ]);
        let pages = Pages::load(Some(folder.path()), &BTreeMap::new()).expect("loads");
        let lang = pages.negotiate(None, "en");
        let context = context! { site => context! { title => "<b>" } };
        assert_eq!(
            pages.render("signed-out.html", lang, context).expect("a page"),
            "<h1>Bye, &lt;b&gt;</h1>"
        );
        assert_eq!(pages.text(lang, "sign-in", &[]), "Come in");
        assert_eq!(pages.asset("logo.svg").map(|(kind, ..)| kind), Some("image/svg+xml"));
        assert_eq!(pages.asset("style.css").map(|(_, body, _)| body), Some(b"body {}".as_slice()));
        assert!(pages.asset("../Cargo.toml").is_none());
    }

    #[test]
    fn mistakes_in_files_name_file_line_and_cure() {
        let said = mistake(&[("login.html", "<p>\n{% if x %}")]);
        assert!(said.starts_with("login.html, line 2"), "{said}");
        let said = mistake(&[("login.html", "<p>\n{{ emial }}")]);
        assert!(said.starts_with("login.html, line 2") && said.contains("\"email\""), "{said}");
        let said = mistake(&[("own.html", "\n\n{{ t(\"login-titel\") }}")]);
        assert!(said.starts_with("own.html, line 3") && said.contains("\"login-title\""), "{said}");
        let said = mistake(&[("nl.ftl", "a = b\nsign-in = { x\n")]);
        assert!(said.starts_with("nl.ftl, line 2"), "{said}");
        let said = mistake(&[("nl.ftl", "a = b\n\na = c\n")]);
        assert!(said.starts_with("nl.ftl, line 3") && said.contains("second time"), "{said}");
        let said = mistake(&[("not a language.ftl", "a = b\n")]);
        assert!(said.contains("not a language.ftl") && said.contains("rename"), "{said}");
        let said = mistake(&[("login.htm", "")]);
        assert!(said.contains("login.htm") && said.contains("rename"), "{said}");
        let gone = Pages::load(Some(Path::new("/nonexistent")), &BTreeMap::new()).expect_err("no folder");
        assert!(gone.to_string().contains("/nonexistent"));
    }

    #[test]
    fn replaced_texts_win_in_every_language_and_are_checked() {
        let pages = Pages::load(None, &replaced("letter-subject", "Your key to { $site }")).expect("loads");
        for code in pages.languages() {
            let lang = pages.negotiate(Some(code), "en");
            assert_eq!(pages.text(lang, "letter-subject", &[("site", "Wiki")]), "Your key to Wiki");
        }
        let said = |id, text| Pages::load(None, &replaced(id, text)).expect_err("a mistake").to_string();
        assert!(said("letter-subjekt", "x").contains("\"letter-subject\""));
        assert!(said("letter-subject", "{ $name }").contains("$site"));
        assert!(said("letter-subject", "{").contains("letter-subject"));
        for odd in ["", "two\nlines", "a = b", ".x = y", "[one]", "# no"] {
            assert!(Pages::load(None, &replaced("login-text", odd)).is_ok(), "{odd:?}");
        }
    }

    #[test]
    fn numbers_choose_plurals_and_words_stay_as_they_are() {
        let pages = built_in();
        let lang = pages.negotiate(None, "en");
        assert_eq!(pages.text(lang, "span-days", &[("count", "1")]), "1 day");
        assert_eq!(pages.text(lang, "start-hello", &[("name", "007")]), "Hello 007");
        assert_eq!(pages.text(lang, "start-hello", &[("name", "inf")]), "Hello inf");
        assert_eq!(pages.text(lang, "no-such-text", &[]), "no-such-text");
    }

    #[test]
    fn assets_have_a_type_a_body_and_a_stable_tag() {
        let (first, second) = (built_in(), built_in());
        for name in ["style.css", "wait.js", "login.js", "clean.js", "icon.svg"] {
            let (kind, body, tag) = first.asset(name).expect("built in");
            assert!(!kind.is_empty() && !body.is_empty() && tag.len() == 16);
            assert_eq!(second.asset(name).map(|(.., tag)| tag), Some(tag));
        }
    }

    #[test]
    fn pages_can_be_shared_between_threads() {
        fn shared<T: Send + Sync>() {}
        shared::<Pages>();
    }
}
