//! docs/kubernetes.md: no cluster runs here. The YAML can be read, it says what the page says of it, and an nginx as
//! ingress-nginx makes it of these annotations keeps what the page promises.

use crate::harness::app::App;
use crate::harness::guard::ALICE;
use crate::harness::guard::BOB;
use crate::harness::guard::Ground;
use crate::harness::guard::Guard;
use crate::harness::guard::HOST;
use crate::harness::guard::OTHER;
use crate::harness::guard::blocks;
use crate::harness::guard::debian;
use crate::harness::installed;
use crate::harness::promises::linkgate_takes_the_file_of;
use serde_json::Value;
use serde_json::json;
use std::process::Command;
use tempfile::NamedTempFile;

const PAGE: &str = include_str!("../../docs/kubernetes.md");
const IDENTITY: [&str; 5] =
    ["Remote-User", "Remote-Email", "Remote-Name", "Remote-Groups", "Linkgate-Assertion"];

/// The documents of the page's `number`th block.
fn documents(number: usize) -> Vec<Value> {
    read(PAGE, number)
}

fn read(page: &str, number: usize) -> Vec<Value> {
    let block = blocks(page, "yaml").into_iter().nth(number).expect("a block of YAML");
    let file = NamedTempFile::new().unwrap();
    std::fs::write(file.path(), block).unwrap();
    let script = format!("{}/tests/clients/read_yaml.py", env!("CARGO_MANIFEST_DIR"));
    let output = Command::new(installed("venv/bin/python")).arg(script).arg(file.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The annotations of the Ingress that asks, without the controller's prefix.
fn annotation(name: &str) -> String {
    let value = &documents(0)[0]["metadata"]["annotations"][format!("nginx.ingress.kubernetes.io/{name}")];
    value.as_str().unwrap_or_else(|| panic!("no {name}")).to_owned()
}

#[test]
fn the_ingresses_can_be_read_and_only_the_app_s_is_asked_about() {
    let [app, pages, question] = &documents(0)[..] else { panic!("two Ingresses and a ConfigMap") };
    assert_eq!(
        (&question["kind"], &question["metadata"]["name"]),
        (&json!("ConfigMap"), &json!("linkgate-question"))
    );
    assert_eq!(annotation("auth-proxy-set-headers"), "default/linkgate-question");
    // Whoever asks in the controller's name is asked about himself.
    assert_eq!(app["spec"]["rules"][0]["http"]["paths"][1]["path"], "/.linkgate/check/");
    for (one, service, path) in [(app, "wiki", "/"), (pages, "linkgate", "/.linkgate/")] {
        assert_eq!((&one["apiVersion"], &one["kind"]), (&json!("networking.k8s.io/v1"), &json!("Ingress")));
        let rule = &one["spec"]["rules"][0];
        assert_eq!(rule["host"], "wiki.example.com");
        assert_eq!(rule["http"]["paths"][0]["path"], path);
        assert_eq!(rule["http"]["paths"][0]["backend"]["service"]["name"], service);
    }
    assert_eq!(pages["metadata"].get("annotations"), None);
    assert!(annotation("auth-url").ends_with(":8080/.linkgate/check/nginx"));
    assert_eq!(annotation("auth-signin-redirect-param"), "return_to");
    let named = annotation("auth-response-headers");
    let named: Vec<&str> = named.split(',').collect();
    assert_eq!((&named[..5], &named[5..]), (&IDENTITY[..], &["Cookie", "Authorization"][..]));
}

#[test]
fn the_middleware_can_be_read_and_only_the_app_s_route_uses_it() {
    let [middleware, route] = &documents(1)[..] else { panic!("a Middleware and an IngressRoute") };
    let guard = &middleware["spec"]["forwardAuth"];
    assert!(guard["address"].as_str().unwrap().ends_with(":8080/.linkgate/check/forward"));
    assert_eq!(guard["trustForwardHeader"], false);
    let traefik = read(include_str!("../../docs/traefik.md"), 1);
    let expression =
        &traefik[0]["http"]["middlewares"]["linkgate"]["forwardAuth"]["authResponseHeadersRegex"];
    assert!(expression.is_string(), "{traefik:?}");
    assert_eq!(&guard["authResponseHeadersRegex"], expression);
    assert_eq!(guard["addAuthCookiesToResponse"], json!(["__Host-linkgate"]));
    let [pages, app] = &route["spec"]["routes"].as_array().unwrap()[..] else { panic!("two routes") };
    assert_eq!(pages.get("middlewares"), None);
    let rule =
        "PathPrefix(`/.linkgate/`) && !PathPrefix(`/.linkgate/check/`) && !Path(`/.linkgate/challenge`)";
    assert!(pages["match"].as_str().unwrap().ends_with(rule));
    assert!(include_str!("../../docs/traefik.md").contains(rule));
    assert_eq!(app["middlewares"], json!([{ "name": middleware["metadata"]["name"] }]));
    assert_eq!(app["services"][0]["name"], "wiki");
}

#[test]
fn linkgate_takes_the_file_of_the_page() {
    linkgate_takes_the_file_of(PAGE);
}

/// What ingress-nginx makes of the annotations: a question by `auth_request` with the visitor's headers, the headers
/// that are named taken over, 302 to the sign-in page for whoever got 401, and the second Ingress without a question.
fn ingress(ground: &Ground<'_>) -> Command {
    let (folder, port, app) = (ground.folder(), ground.port, ground.app);
    let linkgate = format!("http://127.0.0.1:{}", ground.place.port);
    let ask = annotation("auth-url").replace("http://linkgate.default.svc.cluster.local:8080", &linkgate);
    let (sign_in, back) = (annotation("auth-signin"), annotation("auth-signin-redirect-param"));
    let sign_in = sign_in.replace("wiki.example.com", &format!("{}:{port}", crate::harness::guard::HOST));
    let named: Vec<String> = annotation("auth-response-headers")
        .split(',')
        .enumerate()
        .map(|(n, name)| {
            let variable = name.to_lowercase().replace('-', "_");
            format!(
                "auth_request_set $told{n} $upstream_http_{variable}; proxy_set_header {name} $told{n};\n"
            )
        })
        .collect();
    let named = named.concat();
    let server = documents(0)[2]["data"]["X-Forwarded-Host"].as_str().expect("a header").to_owned();
    // The controller escapes by Lua; nginx's own way to the same end is a map, for what this test asks for.
    let config = format!(
        "daemon off; pid {folder}/nginx.pid; worker_processes 1; error_log stderr; events {{}}\n\
         http {{ access_log off; client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2;\n\
         fastcgi_temp_path {folder}/t3; uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;\n\
         map $request_uri $escaped_request_uri {{ default $request_uri; \"/page?a=1&b=2\" \"%2Fpage%3Fa%3D1%26b%3D2\"; }}\n\
         server {{ listen 127.0.0.1:{port} ssl; ssl_certificate {folder}/site.pem; ssl_certificate_key {folder}/site.key;\n\
         server_name {HOST};\n\
         location = /_external-auth {{ internal; proxy_pass_request_body off; proxy_set_header Content-Length \"\";\n\
         proxy_set_header X-Original-URL $scheme://$http_host$request_uri;\n\
         proxy_set_header X-Original-Method $request_method; proxy_set_header X-Real-IP $remote_addr;\n\
         proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header X-Auth-Request-Redirect $request_uri;\n\
         proxy_set_header X-Forwarded-Host \"{server}\"; proxy_http_version 1.1; proxy_pass {ask}; }}\n\
         location @signin {{ internal; return 302 {sign_in}?{back}=$scheme://$http_host$escaped_request_uri; }}\n\
         location / {{ auth_request /_external-auth; auth_request_set $auth_cookie $upstream_http_set_cookie;\n\
         add_header Set-Cookie $auth_cookie; error_page 401 = @signin;\n{named}\
         proxy_set_header Host $http_host; proxy_http_version 1.1; proxy_pass http://{app}; }}\n\
         location /.linkgate/check/ {{ auth_request /_external-auth; proxy_pass http://{app}; }}\n\
         location /.linkgate/ {{ proxy_set_header Host $http_host; proxy_set_header X-Forwarded-For $remote_addr;\n\
         proxy_set_header X-Forwarded-Proto $scheme; proxy_set_header X-Forwarded-Host $http_host;\n\
         proxy_http_version 1.1; proxy_pass {linkgate}; }} }} }}\n"
    );
    let mut command = debian("nginx");
    command.args(["-e", "stderr", "-p"]).arg(&folder).arg("-c").arg(ground.write("nginx.conf", &config));
    command
}

#[tokio::test]
async fn an_nginx_made_of_the_annotations_signs_people_in_and_lets_nobody_else_through() {
    let app = App::start().await;
    let guard = Guard::before(ingress, &app).await;
    let alice = guard.browser();
    let letter = guard.gateway.ask(&alice, ALICE, &guard.url("/page?a=1&b=2")).await;
    assert!(app.seen().is_empty(), "{:?}", app.seen());
    let page = alice.follow(&letter.link).await.expect(200);
    assert_eq!(page.url.as_str(), guard.url("/page?a=1&b=2"));
    let spoofed: Vec<(&str, &str)> = IDENTITY.iter().map(|name| (*name, "root")).collect();
    alice.visit_with(&guard.url("/second"), &spoofed).await.expect(200);
    let seen = app.request("/second").await;
    assert_eq!(seen.header("remote-user"), "1017");
    assert!(!seen.header("cookie").contains("__Host-linkgate="), "{seen:?}");
    assert!(!seen.headers.iter().any(|(_, value)| value == "root"), "{seen:?}");
    app.forget();
    assert_eq!(guard.browser().visit_with(&guard.url("/page"), &spoofed).await.status, 302);
    let bob = guard.browser();
    guard.gateway.sign_in(&bob, BOB, &guard.url("/.linkgate/")).await;
    bob.visit(&guard.url("/staff/")).await.expect(403);
    for who in [&alice, &bob] {
        let host = format!("{HOST}:{}", guard.port);
        let two = format!(
            "GET https://{host}/page HTTP/1.1\r\nhost: {OTHER}\r\ncookie: {}\r\nconnection: close\r\n\r\n",
            who.cookies(HOST)
        );
        assert_eq!(guard.exchange(two.as_bytes()).await.status, 403);
        let own = [("x-original-url", guard.url("/page")), ("x-original-method", "GET".to_owned())];
        let own: Vec<(&str, &str)> = own.iter().map(|(name, value)| (*name, value.as_str())).collect();
        who.visit_with(&guard.url("/.linkgate/check/nginx"), &own).await.expect(403);
    }
    guard.gateway.kill();
    alice.visit(&guard.url("/page")).await.expect(500);
    assert!(app.seen().is_empty(), "{:?}", app.seen());
}
