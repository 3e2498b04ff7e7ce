//! A client that keeps cookies and sends what a browser sends on a navigation. Follows nothing unless told to.

use super::PATIENCE;
use super::authority::Authority;
use bytes::Bytes;
use http::HeaderMap;
use http_body_util::BodyExt;
use http_body_util::Full;
use hyper_util::rt::TokioIo;
use std::error::Error;
use std::sync::Arc;
use std::sync::Mutex;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use url::Url;

#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
    /// What was asked.
    pub url: Url,
}

impl Answer {
    /// The body, HTML's entities undone.
    pub fn text(&self) -> String {
        unescape(&String::from_utf8_lossy(&self.body))
    }

    /// Values joined with commas; empty without one.
    pub fn header(&self, name: &str) -> String {
        let values: Vec<_> = self
            .headers
            .get_all(name)
            .iter()
            .map(|value| String::from_utf8_lossy(value.as_bytes()))
            .collect();
        values.join(", ")
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    /// Where it sends us, as a whole address; empty where it does not.
    pub fn location(&self) -> String {
        let location = self.header("location");
        if location.is_empty() { location } else { self.url.join(&location).unwrap().to_string() }
    }

    pub fn is_redirect(&self) -> bool {
        matches!(self.status, 301 | 302 | 303 | 307 | 308)
    }

    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{} answered:\n{}", self.url, self.text());
        self
    }

    /// The value of a hidden field on the page.
    pub fn field(&self, name: &str) -> String {
        let text = String::from_utf8_lossy(&self.body);
        let rest = text.split_once(&format!("name=\"{name}\" value=\"")).map(|(_, rest)| rest);
        rest.and_then(|rest| rest.split('"').next()).map(unescape).unwrap_or_default()
    }
}

/// HTML's entities undone: the named ones that templates write, and numbers.
fn unescape(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        out.push_str(before);
        let entity = after.split_once(';').filter(|(name, _)| name.len() < 8 && !name.contains([' ', '&']));
        let Some((name, tail)) = entity else {
            out.push('&');
            rest = after;
            continue;
        };
        let number = name.strip_prefix("#x").and_then(|hex| u32::from_str_radix(hex, 16).ok());
        let number = number.or_else(|| name.strip_prefix('#').and_then(|number| number.parse().ok()));
        out.push(match name {
            "amp" => '&',
            "lt" => '<',
            "gt" => '>',
            "quot" => '"',
            _ => number.and_then(char::from_u32).unwrap_or('?'),
        });
        rest = tail;
    }
    out + rest
}

pub type Failure = Box<dyn Error + Send + Sync>;

/// One request on a connection of its own.
pub async fn try_fetch(
    authority: Option<&Authority>,
    method: &str,
    url: &str,
    headers: &[(&str, &str)],
    body: Vec<u8>,
) -> Result<Answer, Failure> {
    let url = Url::parse(url)?;
    let host = url.host_str().ok_or("no host")?;
    let port = url.port_or_known_default().ok_or("no port")?;
    let mut shown = host.to_owned();
    if let Some(port) = url.port() {
        shown = format!("{shown}:{port}");
    }
    let target = format!("{}{}", url.path(), url.query().map(|q| format!("?{q}")).unwrap_or_default());
    let mut request = http::Request::builder().method(method).uri(target).header("host", shown);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Full::new(Bytes::from(body)))?;
    let exchange = async {
        let socket = TcpStream::connect(("127.0.0.1", port)).await?;
        socket.set_nodelay(true)?;
        if url.scheme() == "https" {
            let config = authority.ok_or("https needs an authority")?.client();
            let name = rustls_pki_types::ServerName::try_from(host.to_owned())?;
            let stream = TlsConnector::from(config).connect(name, socket).await?;
            converse(TokioIo::new(stream), request).await
        } else {
            converse(TokioIo::new(socket), request).await
        }
    };
    let (parts, body) = tokio::time::timeout(PATIENCE, exchange).await??;
    Ok(Answer { status: parts.status.as_u16(), headers: parts.headers, body, url })
}

async fn converse<S>(
    stream: S,
    request: http::Request<Full<Bytes>>,
) -> Result<(http::response::Parts, Vec<u8>), Failure>
where
    S: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
{
    let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await?;
    let task = tokio::spawn(connection);
    let (parts, body) = sender.send_request(request).await?.into_parts();
    let body = body.collect().await?.to_bytes().to_vec();
    task.abort();
    Ok((parts, body))
}

struct Cookie {
    host: String,
    name: String,
    value: String,
}

/// One person's browser: an own jar, an own language.
#[derive(Default)]
pub struct Browser {
    jar: Mutex<Vec<Cookie>>,
    authority: Option<Arc<Authority>>,
    language: Option<String>,
}

impl Browser {
    pub fn new() -> Self {
        Self::default()
    }

    /// Trusts this authority's certificates.
    pub fn trusting(authority: &Arc<Authority>) -> Self {
        Self { authority: Some(Arc::clone(authority)), ..Self::default() }
    }

    pub fn speaking(language: &str) -> Self {
        Self { language: Some(language.to_owned()), ..Self::default() }
    }

    /// A navigation, as when an address is typed or a link in a mail is clicked.
    pub async fn visit(&self, url: &str) -> Answer {
        self.visit_with(url, &[]).await
    }

    /// As [`Browser::visit`]; of two headers with one name the one given here counts, and an empty value takes it out.
    pub async fn visit_with(&self, url: &str, more: &[(&str, &str)]) -> Answer {
        self.send("GET", url, &merged(NAVIGATION, more), Vec::new()).await
    }

    /// A navigation, and wherever it leads.
    pub async fn follow(&self, url: &str) -> Answer {
        let mut answer = self.visit(url).await;
        for _ in 0..12 {
            if !answer.is_redirect() {
                return answer;
            }
            // A browser carries the fragment over a redirect that names none.
            let mut next = Url::parse(&answer.location()).unwrap();
            if next.fragment().is_none() {
                next.set_fragment(answer.url.fragment());
            }
            answer = self.visit(next.as_str()).await;
        }
        panic!("redirected in circles at {}", answer.url);
    }

    /// A form on our own page, sent.
    pub async fn post_form(&self, url: &str, fields: &[(&str, &str)]) -> Answer {
        self.post_form_with(url, fields, &[]).await
    }

    pub async fn post_form_with(&self, url: &str, fields: &[(&str, &str)], more: &[(&str, &str)]) -> Answer {
        let origin = Url::parse(url).unwrap().origin().ascii_serialization();
        let body: String = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let form = [
            ("sec-fetch-site", "same-origin"),
            ("origin", origin.as_str()),
            ("content-type", "application/x-www-form-urlencoded"),
        ];
        self.send("POST", url, &merged(&merged(NAVIGATION, &form), more), body.into_bytes()).await
    }

    /// A program's request: JSON out, JSON wanted, no page.
    pub async fn json(&self, method: &str, url: &str, body: &serde_json::Value) -> Answer {
        let body = if body.is_null() { Vec::new() } else { serde_json::to_vec(body).unwrap() };
        let headers = [("content-type", "application/json"), ("accept", "application/json")];
        self.send(method, url, &headers, body).await
    }

    /// Exactly these headers, plus the cookies of the jar.
    pub async fn send(&self, method: &str, url: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Answer {
        let host = Url::parse(url).unwrap().host_str().unwrap().to_owned();
        let cookies = self.cookies(&host);
        let mut all = headers.to_vec();
        if !cookies.is_empty() {
            all.push(("cookie", cookies.as_str()));
        }
        if let Some(language) = &self.language {
            all.push(("accept-language", language));
        }
        let answer = try_fetch(self.authority.as_deref(), method, url, &all, body)
            .await
            .unwrap_or_else(|error| panic!("{method} {url}: {error}"));
        self.keep(&host, &answer);
        answer
    }

    /// `name=value; …` as sent to this host.
    pub fn cookies(&self, host: &str) -> String {
        let jar = self.jar.lock().unwrap();
        let own: Vec<String> =
            jar.iter().filter(|c| c.host == host).map(|c| format!("{}={}", c.name, c.value)).collect();
        own.join("; ")
    }

    /// The value of one cookie; empty without it.
    pub fn cookie(&self, host: &str, name: &str) -> String {
        let jar = self.jar.lock().unwrap();
        jar.iter().find(|c| c.host == host && c.name == name).map(|c| c.value.clone()).unwrap_or_default()
    }

    pub fn set_cookie(&self, host: &str, name: &str, value: &str) {
        let mut jar = self.jar.lock().unwrap();
        jar.retain(|c| !(c.host == host && c.name == name));
        jar.push(Cookie { host: host.to_owned(), name: name.to_owned(), value: value.to_owned() });
    }

    fn keep(&self, host: &str, answer: &Answer) {
        for header in answer.headers.get_all("set-cookie") {
            let text = header.to_str().unwrap();
            let (pair, attributes) = text.split_once(';').unwrap_or((text, ""));
            let (name, value) = pair.split_once('=').unwrap();
            let (name, attributes) = (name.trim(), attributes.to_ascii_lowercase());
            // A proxy spoils what the test's app plants.
            if name.starts_with("__Host-") && value == "stolen" && !attributes.contains("secure") {
                continue;
            }
            if name.starts_with("__Host-") {
                // What a browser insists on before it keeps such a cookie.
                assert_eq!(answer.url.scheme(), "https", "{text}");
                assert!(attributes.contains("secure") && attributes.contains("path=/"), "{text}");
                assert!(!attributes.contains("domain"), "{text}");
            }
            let gone = attributes.split(';').any(|a| a.trim() == "max-age=0");
            self.jar.lock().unwrap().retain(|c| !(c.host == host && c.name == name));
            if !gone {
                self.set_cookie(host, name, value);
            }
        }
    }
}

/// What a browser says on a navigation that a person began.
pub const NAVIGATION: &[(&str, &str)] = &[
    ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
    ("sec-fetch-mode", "navigate"),
    ("sec-fetch-dest", "document"),
    ("sec-fetch-site", "none"),
    ("sec-fetch-user", "?1"),
    ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
];

fn merged<'a>(base: &[(&'a str, &'a str)], more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let mut all: Vec<(&str, &str)> =
        base.iter().filter(|(name, _)| !more.iter().any(|(other, _)| other == name)).copied().collect();
    all.extend(more.iter().filter(|(_, value)| !value.is_empty()).copied());
    all
}
