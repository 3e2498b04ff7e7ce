//! Start, swap, drain, and the sockets that are listened on.

use super::*;

#[tokio::test]
async fn a_second_server_on_the_same_port_is_refused_with_the_cure() {
    let (server, address, house) = plain();
    let second = Server::start(settings(vec![Listen::Http(address)]), house, well());
    let error = second.err().unwrap().to_string();
    assert!(error.contains("already in use") && error.contains("stop the program"), "{error}");
    server.drain().await;
}

#[tokio::test]
async fn a_drain_lets_a_running_request_finish_and_closes_idle_connections_at_once() {
    let (server, address, house) = plain();
    let mut idle = TcpStream::connect(address).await.unwrap();
    idle.write_all(&get("/idle", "")).await.unwrap();
    read_until(&mut idle, "/idle").await;
    let running = tokio::spawn(async move { exchange(address, &get("/wait", "")).await });
    house.entered.acquire().await.unwrap().forget();
    let server = Arc::new(server);
    let drain = tokio::spawn({
        let server = Arc::clone(&server);
        async move { server.drain().await }
    });
    let mut rest = Vec::new();
    idle.read_to_end(&mut rest).await.unwrap();
    assert!(rest.is_empty());
    assert!(!drain.is_finished(), "a request is still running");
    while TcpStream::connect(address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    house.released.add_permits(1);
    let answer = running.await.unwrap();
    assert!(answer.ends_with("first /wait") && answer.contains("connection: close"), "{answer}");
    assert_eq!(drain.await.unwrap(), 0);
}

#[tokio::test]
async fn a_drain_ends_at_its_deadline_and_says_what_it_cut() {
    let mut hasty = settings(vec![Listen::Http(loopback())]);
    hasty.drain = Duration::from_millis(50);
    let (server, address, house) = start(hasty);
    let running = tokio::spawn(async move { exchange(address, &get("/wait", "")).await });
    house.entered.acquire().await.unwrap().forget();
    assert_eq!(server.drain().await, 1);
    assert_eq!(running.await.unwrap(), "");
}

#[tokio::test]
async fn a_swap_under_load_loses_nothing_and_changes_open_connections() {
    let (server, address, _) = plain();
    let load: Vec<_> = (0..8)
        .map(|_| {
            tokio::spawn(async move {
                let mut socket = TcpStream::connect(address).await.unwrap();
                let mut seen = HashMap::<String, u32>::new();
                while seen.get("third").is_none_or(|count| *count < 50) {
                    socket.write_all(&get("/load", "")).await.unwrap();
                    let answer = read_until(&mut socket, " /load").await;
                    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
                    let name = answer.rsplit("\r\n").next().unwrap().split(' ').next().unwrap().to_owned();
                    *seen.entry(name).or_default() += 1;
                }
            })
        })
        .collect();
    for name in ["second", "third"] {
        server.swap(House::new(name), None).await.unwrap();
        let answer = exchange(address, &get("/new", "Connection: close\r\n")).await;
        assert!(answer.ends_with(&format!("{name} /new")), "acknowledged means in use: {answer}");
    }
    for one in load {
        one.await.unwrap();
    }
    server.drain().await;
}

#[tokio::test]
async fn a_unix_socket_is_served_and_removed_at_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("web.sock");
    let listen = vec![Listen::Unix { path: path.clone(), mode: 0o600, group: None }];
    let server = Server::start(settings(listen), House::new("first"), well()).unwrap();
    for _ in 0..4 {
        let mut socket = UnixStream::connect(&path).await.unwrap();
        socket.write_all(&get("/a", "Connection: close\r\n")).await.unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).await.unwrap();
        assert!(answer.ends_with("first unix /a"), "{answer}");
    }
    server.drain().await;
    assert!(!path.exists());
}

#[tokio::test]
async fn ipv6_is_served_alone_or_together_with_ipv4() {
    let listen = ["[::1]:0", "[::]:0"].map(|address| Listen::Http(address.parse().unwrap()));
    let server = Server::start(settings(listen.to_vec()), House::new("first"), well()).unwrap();
    let (alone, both) = (server.local_addrs()[0], server.local_addrs()[1]);
    let who = |port: u16| {
        format!("GET /who HTTP/1.1\r\nHost: [::1]:{port}\r\nConnection: close\r\n\r\n").into_bytes()
    };
    let at = |ip: &str, port| SocketAddr::new(ip.parse().unwrap(), port);
    let answer = exchange(alone, &who(alone.port())).await;
    assert!(answer.contains("Ip([::1]:"), "{answer}");
    let answer = exchange(at("::1", both.port()), &who(both.port())).await;
    assert!(answer.contains("Ip([::1]:"), "{answer}");
    let answer = exchange(at("127.0.0.1", both.port()), &who(both.port())).await;
    assert!(answer.contains("Ip([::ffff:127.0.0.1]:"), "{answer}");
    assert!(TcpStream::connect(at("127.0.0.1", alone.port())).await.is_err());
    server.drain().await;
}
