//! A gateway on loopback between a raw visitor and a raw app: every byte is dictated and read by the test.

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderName;
use http::HeaderValue;
use http::Request;
use http::Response;
use http::StatusCode;
use http::header;
use http_body_util::Either;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::AsyncRead;
use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWrite;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::runtime::LocalOptions;
use tokio::time::timeout;

use crate::identity::CookieNames;
use crate::identity::EmailAddress;
use crate::identity::Identity;
use crate::policy::Accept;
use crate::policy::Access;
use crate::policy::AllowList;
use crate::policy::App;
use crate::policy::Asker;
use crate::policy::Groups;
use crate::policy::Handling;
use crate::policy::Host;
use crate::policy::IdentityHeaders;
use crate::policy::Origin;
use crate::policy::PathPattern;
use crate::policy::Route;
use crate::policy::RouteLimits;
use crate::policy::SignIn;
use crate::policy::Site;
use crate::policy::Target;
use crate::policy::Upstream;
use crate::policy::UpstreamHost;
use crate::policy::decide;
use crate::proxy::Connectors;
use crate::proxy::ForwardError;
use crate::proxy::IdentityHeaderValues;
use crate::proxy::Proxy;
use crate::proxy::Settings;
use crate::proxy::Stream;
use crate::proxy::Visit;
use crate::random::Random;

/// No test waits longer than this for its event.
const PATIENCE: Duration = Duration::from_secs(10);
pub(super) const LONG: Duration = Duration::from_mins(1);
pub(super) const SHORT: Duration = Duration::from_millis(40);

/// What a test may change.
pub(super) struct Plan {
    pub(super) settings: Settings,
    pub(super) limits: RouteLimits,
    pub(super) identity: IdentityHeaders,
    pub(super) signed_in: bool,
    pub(super) http2: bool,
    /// The upstream, given the port that the app listens on.
    pub(super) upstream: Box<dyn Fn(u16) -> Upstream>,
    /// What the app sees as `Host`.
    pub(super) host: UpstreamHost,
}

impl Plan {
    pub(super) fn usual() -> Self {
        Self {
            settings: Settings {
                pool_idle: LONG,
                max_idle_per_upstream: 8,
                max_under_way: 1000,
                via_name: "linkgate".into(),
                body_timeout: LONG,
                connectors: Arc::default(),
            },
            limits: RouteLimits {
                max_body: Some(1000),
                connect_timeout: LONG,
                response_timeout: LONG,
                idle_timeout: LONG,
            },
            identity: IdentityHeaders::Remote,
            signed_in: true,
            http2: false,
            upstream: Box::new(|port| Upstream::http("127.0.0.1", port)),
            host: UpstreamHost::Visitor,
        }
    }
}

pub(super) struct House {
    app: Option<TcpListener>,
    gateway: SocketAddr,
    pub(super) proxy: Rc<Proxy>,
    under_way: Rc<Cell<u32>>,
}

impl House {
    pub(super) async fn visitor(&self) -> Wire {
        Wire::new(TcpStream::connect(self.gateway).await.unwrap())
    }

    pub(super) async fn socket(&self) -> TcpStream {
        TcpStream::connect(self.gateway).await.unwrap()
    }

    /// The app's end of the next connection that the proxy opens.
    pub(super) async fn app(&self) -> Wire {
        let accepted = timeout(PATIENCE, self.app.as_ref().unwrap().accept()).await;
        Wire::new(accepted.expect("the proxy opens a connection").unwrap().0)
    }

    /// Where the app listens.
    pub(super) fn port(&self) -> u16 {
        self.app.as_ref().unwrap().local_addr().unwrap().port()
    }

    /// Idle connections to the app.
    pub(super) fn idle(&self) -> usize {
        let backends = self.proxy.groups.iter().flat_map(|group| &group.backends);
        backends.map(|backend| backend.shelf.len()).sum()
    }

    /// Open HTTP/2 connections to the app.
    pub(super) fn shared(&self) -> usize {
        let backends = self.proxy.groups.iter().flat_map(|group| &group.backends);
        backends.map(|backend| backend.lanes.len()).sum()
    }

    /// Requests that the gateway has no answer's head to yet.
    pub(super) fn under_way(&self) -> u32 {
        self.under_way.get()
    }

    pub(super) fn app_goes_away(&mut self) {
        self.app = None;
    }

    /// One exchange whose answer is "ok"; both wires stay open.
    pub(super) async fn warm(&self) -> (Wire, Wire) {
        let mut visitor = self.visitor().await;
        visitor.say("GET /warm HTTP/1.1\r\nhost: wiki.example.com\r\n\r\n").await;
        let mut app = self.app().await;
        app.until("\r\n\r\n").await;
        app.say("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
        visitor.until("\r\n\r\nok").await;
        (visitor, app)
    }
}

/// One end of a connection, read as text.
pub(super) struct Wire<S = TcpStream> {
    socket: S,
    read: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    pub(super) fn new(socket: S) -> Self {
        Self { socket, read: Vec::new() }
    }

    pub(super) fn into_socket(self) -> S {
        self.socket
    }

    pub(super) async fn say(&mut self, text: impl AsRef<[u8]>) {
        self.socket.write_all(text.as_ref()).await.unwrap();
    }

    /// Everything up to and including `mark`.
    pub(super) async fn until(&mut self, mark: &str) -> String {
        loop {
            if let Some(at) = self.read.windows(mark.len()).position(|w| w == mark.as_bytes()) {
                let rest = self.read.split_off(at + mark.len());
                return String::from_utf8(std::mem::replace(&mut self.read, rest)).unwrap();
            }
            let n = timeout(PATIENCE, self.socket.read_buf(&mut self.read)).await;
            let so_far = String::from_utf8_lossy(&self.read).into_owned();
            let n = n.unwrap_or_else(|_| panic!("{mark:?} never came after {so_far:?}"));
            assert_ne!(n.unwrap(), 0, "hung up before {mark:?}, after {so_far:?}");
        }
    }

    /// Everything until the other end hangs up, politely or not.
    pub(super) async fn rest(&mut self) -> String {
        loop {
            let n = timeout(PATIENCE, self.socket.read_buf(&mut self.read)).await;
            if matches!(n.expect("the other end hangs up"), Ok(0) | Err(_)) {
                return String::from_utf8_lossy(&std::mem::take(&mut self.read)).into_owned();
            }
        }
    }
}

/// Runs a test in a fresh house.
pub(super) fn in_house(plan: Plan, test: impl AsyncFnOnce(House)) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build_local(LocalOptions::default())
        .unwrap();
    runtime.block_on(async {
        let app = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = app.local_addr().unwrap().port();
        let gateway = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = gateway.local_addr().unwrap();
        let mut plan = plan;
        let host = host(&plan, port);
        let routes = host.app.as_ref().unwrap().routes();
        let upstreams = routes.iter().map(|route| route.upstream.as_ref().unwrap());
        plan.settings.connectors = Connectors::of(upstreams).unwrap();
        let proxy = Rc::new(Proxy::new(&plan.settings, &Random::seeded(7)));
        let (plan, host, under_way) = (Rc::new(plan), Rc::new(host), Rc::default());
        let serving =
            tokio::task::spawn_local(serve(gateway, Rc::clone(&proxy), plan, host, Rc::clone(&under_way)));
        test(House { app: Some(app), gateway: address, proxy, under_way }).await;
        serving.abort();
    });
}

/// Waits for what no socket tells.
pub(super) async fn until(what: &str, mut is: impl FnMut() -> bool) {
    let waiting = async {
        while !is() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("never: {what}"));
}

/// Counts a request until its answer begins, or its visitor leaves.
struct Waiting(Rc<Cell<u32>>);

impl Waiting {
    fn new(count: &Rc<Cell<u32>>) -> Self {
        count.set(count.get() + 1);
        Self(Rc::clone(count))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

async fn serve(
    gateway: TcpListener,
    proxy: Rc<Proxy>,
    plan: Rc<Plan>,
    host: Rc<Host>,
    under_way: Rc<Cell<u32>>,
) {
    while let Ok((tcp, _)) = gateway.accept().await {
        let (proxy, host, http2, signed_in) =
            (Rc::clone(&proxy), Rc::clone(&host), plan.http2, plan.signed_in);
        let under_way = Rc::clone(&under_way);
        let service = service_fn(move |request| {
            let waiting = Waiting::new(&under_way);
            let answer = answer(Rc::clone(&proxy), Rc::clone(&host), signed_in, request);
            async move {
                let answer = answer.await;
                drop(waiting);
                answer
            }
        });
        tokio::task::spawn_local(async move {
            if http2 {
                let builder = hyper::server::conn::http2::Builder::new(Local);
                drop(builder.serve_connection(TokioIo::new(tcp), service).await);
            } else {
                let builder = hyper::server::conn::http1::Builder::new();
                drop(builder.serve_connection(TokioIo::new(tcp), service).await);
            }
        });
    }
}

#[derive(Clone)]
pub(super) struct Local;

impl<F: Future + 'static> hyper::rt::Executor<F> for Local {
    fn execute(&self, future: F) {
        tokio::task::spawn_local(async move { drop(future.await) });
    }
}

async fn answer(
    proxy: Rc<Proxy>,
    host: Rc<Host>,
    signed_in: bool,
    request: Request<Incoming>,
) -> Result<Response<Either<Stream, Full<Bytes>>>, std::convert::Infallible> {
    let raw = request.uri().path_and_query().unwrap().as_str().to_owned();
    let target = Target::parse(true, "wiki.example.com", &raw).unwrap();
    let alice = Arc::new(alice());
    let who = signed_in.then_some(Asker { identity: &alice, by_bearer: false });
    let permitted = decide(&host, &target, request.method(), None, who).unwrap();
    let values = Rc::new(IdentityHeaderValues::new(&permitted.route().identity, &alice));
    let assertion = HeaderValue::from_static("signed");
    let visit = Visit {
        client: "192.0.2.7".parse().unwrap(),
        forwarded_for: None,
        secure: true,
        host: &HeaderValue::from_static("wiki.example.com"),
        port: &HeaderValue::from(443),
        request_id: &HeaderValue::from_static("r-1"),
        cookies: &CookieNames::new("linkgate", true),
        identity: Some(&values),
        consumed_authorization: raw == "/bearer",
        assertion: Some(&assertion),
    };
    let (head, body) = request.into_parts();
    let answer = match proxy.forward(&permitted, &target, &head, body, visit).await {
        Ok(answer) => answer.map(Either::Left),
        Err(error) => {
            let status = match error {
                ForwardError::Refused(_) | ForwardError::Tls(_) | ForwardError::Broken(_) => {
                    StatusCode::BAD_GATEWAY
                }
                ForwardError::ConnectTimeout | ForwardError::ResponseTimeout => StatusCode::GATEWAY_TIMEOUT,
                ForwardError::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
                ForwardError::VisitorBody(_) | ForwardError::Path(_) | ForwardError::UpgradeBody => {
                    StatusCode::BAD_REQUEST
                }
                ForwardError::Full => StatusCode::SERVICE_UNAVAILABLE,
                ForwardError::ForeignOrigin | ForwardError::NoTunnel => StatusCode::FORBIDDEN,
                ForwardError::BodyTimeout => StatusCode::REQUEST_TIMEOUT,
            };
            let text = Full::new(Bytes::from(format!("{error:?}\n")));
            Response::builder().status(status).body(Either::Right(text)).unwrap()
        }
    };
    Ok(answer)
}

fn alice() -> Identity {
    Identity {
        email: EmailAddress::parse("alice@example.com").unwrap(),
        name: "Alice".into(),
        user: "1017".into(),
        groups: vec!["family".into(), "staff".into()],
        attributes: std::collections::BTreeMap::new(),
        listed: true,
    }
}

const GERMAN: HeaderValue = HeaderValue::from_static("de");

/// What one route says to the app in a header of its own.
fn said() -> (HeaderName, HeaderValue) {
    (HeaderName::from_static("x-app-role"), HeaderValue::from_static("chief"))
}

fn host(plan: &Plan, port: u16) -> Host {
    let origin = Origin::parse("https://wiki.example.com").unwrap();
    let everyone = AllowList::parse(&["*".to_owned()]).unwrap();
    let upstream = Arc::new((plan.upstream)(port));
    let route = |path: &str, identity: IdentityHeaders| {
        Arc::new(Route {
            path: PathPattern::parse(path).unwrap(),
            methods: Vec::new(),
            clients: Vec::new(),
            access: if plan.signed_in { Access::SignedIn } else { Access::Public },
            allow: None,
            accept: Accept { session: true, bearer: true },
            identity,
            upstream: Some(Arc::clone(&upstream)),
            limits: plan.limits.clone(),
            ignore_case: false,
            handling: Handling {
                host: plan.host.clone(),
                request_headers: if path == "/table/" {
                    vec![said(), (header::ACCEPT_LANGUAGE, GERMAN)]
                } else {
                    vec![]
                },
                ..Handling::default()
            },
        })
    };
    let table = IdentityHeaders::Table(vec![("X-My-Name".into(), "{name}".into())]);
    let routes = vec![route("/table/", table), route("/", plan.identity.clone())];
    let app = Arc::new(App::new("wiki".into(), origin.clone(), None, routes));
    let site = Site {
        name: "wiki".into(),
        url: origin.clone(),
        start: "https://wiki.example.com/".into(),
        allow: everyone.clone(),
        sign_in: SignIn::SelfService,
        groups: Groups::default(),
        users: std::collections::HashMap::new(),
        administrators: AllowList::parse(&[]).unwrap(),
        apps: vec![Arc::clone(&app)],
        hosts: vec![origin.clone()],
    };
    Host { site: Arc::new(site), origin, app: Some(app) }
}
