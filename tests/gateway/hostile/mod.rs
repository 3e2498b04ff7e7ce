//! Bad input: what has gone wrong in other gateways, and what this one answers. THREATS: docs/threat-model.md names
//! these tests.

mod forms;
mod headers;
mod requests;

use crate::harness::app::App;
use crate::harness::gateway::Gateway;

const ALICE: &str = "alice@example.com";

async fn start(app: &App) -> Gateway {
    Gateway::start(&format!(
        r#"
header_timeout = "1s"
body_timeout = "1s"
max_body = "64KiB"
[[site]]
name = "wiki"
url = "http://localhost:@PORT@"
allow = ["alice@example.com"]
[[site.app]]
name = "main"
host = "localhost"
upstream = "{0}"
[[site.app.route]]
path = "/open/Special:Export"
access = "deny"
[[site.app.route]]
path = "/open/{{nur}} für uns/"
access = "deny"
[[site.app.route]]
path = "/open/"
access = "public"
[[site.app.route]]
path = "/inside/"
access = "public"
clients = ["10.0.0.0/8"]
[[site.app.route]]
path = "/closed/"
access = "deny"
[[site]]
name = "other"
url = "http://other.localhost:@PORT@"
upstream = "{0}"
allow = ["bob@example.com"]
"#,
        app.url()
    ))
    .await
}
