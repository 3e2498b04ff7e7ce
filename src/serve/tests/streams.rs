//! HTTP/2.

use super::*;

#[tokio::test]
async fn http2_is_served_checked_and_drained() {
    let secure = secure(Vec::new());
    let socket = tls(&secure, "localhost", b"h2").await.unwrap();
    let (mut client, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(socket)).await.unwrap();
    let connection = tokio::spawn(connection);
    let request = |uri: &str, host: Option<&str>| {
        let mut request = Request::get(uri).body(Full::new(Bytes::new())).unwrap();
        if let Some(host) = host {
            request.headers_mut().insert("host", host.parse().unwrap());
        }
        request
    };
    let answer = client.send_request(request("https://localhost/a", None)).await.unwrap();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, "first tls h2 /a");
    let answer = client.send_request(request("https://localhost/a", Some("other"))).await.unwrap();
    assert_eq!(answer.status(), 400);
    assert!(client.send_request(request("https://localhost/panic", None)).await.is_err());
    assert_eq!(secure.server.counters().panics.load(Relaxed), 1);
    let waiting = tokio::spawn(client.send_request(request("https://localhost/wait", None)));
    secure.house.entered.acquire().await.unwrap().forget();
    let release = async {
        while TcpStream::connect(secure.address).await.is_ok() {
            tokio::task::yield_now().await;
        }
        secure.house.released.add_permits(1);
    };
    let (cut, ()) = tokio::join!(secure.server.drain(), release);
    assert_eq!(cut, 0);
    assert_eq!(waiting.await.unwrap().unwrap().status(), 200);
    connection.await.unwrap().unwrap();
}
