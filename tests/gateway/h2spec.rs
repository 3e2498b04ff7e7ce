//! HTTP/2 by the book: h2spec, a public program that speaks it well and badly, against the TLS listener.

use crate::harness::app::App;
use crate::harness::authority::Authority;
use crate::harness::gateway::Gateway;
use crate::harness::gateway::HEAD;
use crate::harness::gateway::Place;
use crate::harness::installed;
use tokio::process::Command;

/// How many cases the version has that tests/clients/h2spec/go.mod pins; none of them is excepted.
const CASES: usize = 146;

#[tokio::test]
async fn h2spec_has_nothing_to_complain_of() {
    let app = App::start().await;
    let place = Place::new();
    let _authority = Authority::make(place.path(), &["localhost"]);
    let head = HEAD.replace("http://127", "https://127");
    let config = format!(
        r#"{head}
[tls]
certificate = "@DIR@/site.pem"
key = "@DIR@/site.key"
[[site]]
name = "wiki"
url = "https://localhost:@PORT@"
allow = ["alice@example.com"]
[[site.app]]
name = "main"
host = "localhost"
upstream = "{}"
access = "public"
"#,
        app.url()
    );
    let gateway = Gateway::start_with(place, &config).await;
    let report = gateway.place.path().join("report.xml");
    let output = Command::new(installed("go/bin/h2spec"))
        .args([
            "--host",
            "localhost",
            "--port",
            &gateway.place.port.to_string(),
            "--tls",
            "--insecure",
            "--strict",
        ])
        .args(["--path", "/open/h2spec", "--timeout", "20", "--junit-report"])
        .arg(&report)
        .output()
        .await
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let report = std::fs::read_to_string(&report).unwrap_or_default();
    let cases = cases(&report);
    assert_eq!(cases.len(), CASES, "{said}");
    let failed: Vec<&str> =
        cases.iter().filter(|(_, passed)| !*passed).map(|(name, _)| name.as_str()).collect();
    assert!(failed.is_empty() && output.status.success(), "{failed:?}\n{said}");
}

/// Every case that was run, and whether it passed.
fn cases(report: &str) -> Vec<(String, bool)> {
    let value = |element: &str, name: &str| {
        let rest = element.split_once(&format!(" {name}=\""))?.1;
        Some(rest.split_once('"')?.0.to_owned())
    };
    report
        .split("<testcase ")
        .skip(1)
        .map(|element| {
            let element = format!(" {element}");
            let name =
                [value(&element, "package"), value(&element, "classname")].map(Option::unwrap_or_default);
            let passed = !["<failure", "<error", "<skipped"].iter().any(|not| element.contains(not));
            (name.join(": "), passed)
        })
        .collect()
}
