//! The sample app of `demo`: shows what reached it. Never knows of linkgate but by the headers it is sent.

use axum::Router;
use axum::extract::Request;
use axum::response::Html;
use minijinja::Environment;
use minijinja::context;

/// What the app shows of a request.
const SHOWN: [&str; 8] = [
    "remote-user",
    "remote-email",
    "remote-name",
    "remote-groups",
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-forwarded-host",
    "x-request-id",
];

/// The app; `prefix` is where the gateway's own pages live.
///
/// # Errors
/// The built-in page does not parse: a mistake of ours.
pub fn router(prefix: &str) -> Result<Router, minijinja::Error> {
    let mut pages = Environment::new();
    pages.add_template("app.html", include_str!("app.html"))?;
    let prefix = prefix.to_owned();
    Ok(Router::new().fallback(move |request: Request| {
        let answer = show(&pages, &prefix, &request);
        async move { answer }
    }))
}

fn show(pages: &Environment<'_>, prefix: &str, request: &Request) -> Html<String> {
    let value = |name: &str| {
        let value = request.headers().get(name);
        value.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).unwrap_or_default()
    };
    let headers: Vec<_> = SHOWN.iter().map(|&name| context! { name => name, value => value(name) }).collect();
    let called = [value("remote-name"), value("remote-user")].into_iter().find(|name| !name.is_empty());
    let context = context! {
        name => called.unwrap_or_else(|| "stranger".to_owned()),
        path => request.uri().path_and_query().map_or("/", |path| path.as_str()),
        headers => headers,
        prefix => prefix,
    };
    let page = pages.get_template("app.html").and_then(|page| page.render(context));
    Html(page.unwrap_or_else(|error| format!("The sample page could not be shown: {error}")))
}
