//! The answers to bytes that are no request, and to requests that are refused before their body has
//! come. The tests ask the server over real sockets.

use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::{any, get, post};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use super::*;
use crate::listen::Connection;

/// Serves these routes; where.
async fn serving(router: Router) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(serve(listener, router, Options::default(), std::future::pending()));
    address
}

async fn exchange(address: std::net::SocketAddr, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // The server may have said all it has to say before it read all of it.
    let _ = stream.write_all(request).await;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

fn routes() -> Router {
    let refused = || async { (StatusCode::PAYLOAD_TOO_LARGE, "too large") };
    Router::new()
        .route("/", get(|| async { "hello" }))
        .route("/closed", any(|| async { StatusCode::UNAUTHORIZED.into_response() }))
        .route("/forbidden", any(|| async { StatusCode::FORBIDDEN.into_response() }))
        .route("/refused", post(refused))
}

const CLOSE: &str = "Host: x\r\nConnection: close\r\n\r\n";

#[tokio::test]
async fn a_request_knows_where_its_connection_comes_from() {
    let told = get(|axum::Extension(connection): axum::Extension<Connection>| async move {
        connection.address().to_string()
    });
    let address = serving(Router::new().route("/", told)).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    let own = stream.local_addr().unwrap().to_string();
    stream.write_all(format!("GET / HTTP/1.1\r\n{CLOSE}").as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.ends_with(&own), "{own}: {answer}");
}

#[tokio::test]
async fn what_is_no_request_is_answered_with_the_reason() {
    let address = serving(routes()).await;
    let many = (0..101).map(|i| format!("X-{i}: y\r\n")).collect::<Vec<_>>().concat();
    let long = "y".repeat(500_000);
    for (request, status, says) in [
        (format!("GET / HTTP/1.1\r\n{many}{CLOSE}"), 431, "more than 100 headers"),
        (format!("GET / HTTP/1.1\r\nX: {long}\r\n{CLOSE}"), 431, "64 KB"),
        (format!("GET /{} HTTP/1.1\r\n{CLOSE}", &long[..70_000]), 414, "URI"),
        (format!("GET /a b HTTP/1.1\r\n{CLOSE}"), 400, "not valid HTTP/1.1"),
        (format!("GET /a\u{1}b HTTP/1.1\r\n{CLOSE}"), 400, "not valid HTTP/1.1"),
        (format!("GET / HTTP/1.1\r\nX Y: z\r\n{CLOSE}"), 400, "not valid HTTP/1.1"),
        (format!("GET / HTTP/1.1\r\nX: a\u{1}b\r\n{CLOSE}"), 400, "not valid HTTP/1.1"),
        (format!("GET / HTTP/2.0\r\n{CLOSE}"), 400, "not valid HTTP/1.1"),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(), 400, "not HTTP/2"),
        ("\u{16}\u{3}\u{1}\r\n\r\n".to_owned(), 400, "not valid HTTP/1.1"),
        ("GET / HTTP/1.1\r\nConnection: close\r\n\r\n".to_owned(), 400, "Host is missing"),
        (format!("GET / HTTP/1.1\r\nHost: x\r\n{CLOSE}"), 400, "Host is there twice"),
        ("GET / HTTP/1.1\r\nHost: a@b\r\nConnection: close\r\n\r\n".to_owned(), 400, "not valid"),
    ] {
        let answer = exchange(address, request.as_bytes()).await;
        let shown: String = request.chars().take(40).collect();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{shown:?}: {answer}");
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        let envelope: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(envelope["success"], false, "{shown:?}");
        assert!(envelope["data"].as_str().unwrap().contains(says), "{shown:?}: {body}");
    }
    for good in [
        format!("GET / HTTP/1.1\r\n{CLOSE}"),
        "GET / HTTP/1.0\r\n\r\n".to_owned(),
        "GET / HTTP/1.1\r\nHost:\r\nConnection: close\r\n\r\n".to_owned(),
        "GET / HTTP/1.1\r\nHost: [::1]:9091\r\nConnection: close\r\n\r\n".to_owned(),
        "GET / HTTP/1.1\r\nHost: node_1:9091\r\nConnection: close\r\n\r\n".to_owned(),
    ] {
        let answer = exchange(address, good.as_bytes()).await;
        assert_eq!(answer.get(8..12), Some(" 200"), "{good}: {answer}");
        assert!(answer.ends_with("hello"), "{answer}");
    }
}

#[tokio::test]
async fn a_connection_is_told_of_a_bad_head_after_good_ones() {
    let address = serving(routes()).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut first = [0; 512];
    let read = stream.read(&mut first).await.unwrap();
    assert!(first[..read].ends_with(b"hello"));
    let long = format!("GET /{} HTTP/1.1\r\n{CLOSE}", "y".repeat(70_000));
    let _ = stream.write_all(long.as_bytes()).await;
    let mut second = String::new();
    stream.read_to_string(&mut second).await.unwrap();
    assert!(second.starts_with("HTTP/1.1 414 "), "{second}");
}

#[tokio::test]
async fn an_answer_arrives_although_the_body_is_still_coming() {
    let address = serving(routes()).await;
    // As Python's http.client does it: all of the body first, then the answer.
    for (path, length, status) in [
        ("/closed", 1_200_000, 401),
        ("/refused", 4_000_000, 413),
        ("/nowhere", 2_000_000, 404),
        ("/", 2_000_000, 405),
    ] {
        let head = format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n");
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(&vec![b'x'; length]).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{path}: {answer}");
        assert!(answer.contains("connection: close"), "{path}: {answer}");
    }
    let chunk = format!("4000\r\n{}\r\n", "x".repeat(0x4000));
    for chunks in [80, 500] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let head = "POST /closed HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
        let whole = format!("{head}{}0\r\n\r\n", chunk.repeat(chunks));
        stream.write_all(whole.as_bytes()).await.unwrap();
        let mut answer = vec![0; 512];
        let read = stream.read(&mut answer).await.unwrap();
        let answer = String::from_utf8_lossy(&answer[..read]);
        assert!(answer.starts_with("HTTP/1.1 401 "), "{chunks}: {answer}");
    }
    let waits = "POST /closed HTTP/1.1\r\nHost: x\r\nContent-Length: 9000000\r\n\
                 Expect: 100-continue\r\n\r\n";
    let answer = exchange(address, waits.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
}

#[tokio::test]
async fn a_short_body_that_nobody_read_does_not_end_the_connection() {
    let address = serving(routes()).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    let body = "x".repeat(100_000);
    let chunk = format!("{:x}\r\n{body}\r\n", body.len());
    for framed in [
        format!("Content-Length: {}\r\n\r\n{body}", body.len()),
        format!("Transfer-Encoding: chunked\r\n\r\n{chunk}0\r\n\r\n"),
    ] {
        let request = format!("POST /forbidden HTTP/1.1\r\nHost: x\r\n{framed}");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = vec![0; 1_024];
        let read = stream.read(&mut answer).await.unwrap();
        let answer = String::from_utf8_lossy(&answer[..read]);
        assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
        assert!(!answer.contains("connection: close"), "{answer}");
    }
}

#[tokio::test]
async fn it_serves_and_answers_what_is_under_way_when_told_to_stop() {
    let (enter, entered) = oneshot::channel::<()>();
    let (leave, left) = oneshot::channel::<()>();
    let gate = Arc::new(tokio::sync::Mutex::new(Some((enter, left))));
    let slow = get(move || async move {
        if let Some((enter, left)) = gate.lock().await.take() {
            let _ = enter.send(());
            let _ = left.await;
        }
        "done"
    });
    let router = Router::new().route("/", get(|| async { "hello" })).route("/slow", slow);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let leaving = Arc::new(AtomicBool::new(false));
    let options = Options {
        allowed_origin: Some("*".into()),
        leaving: leaving.clone(),
        ..Options::default()
    };
    let server = tokio::spawn(serve(listener, router, options, async {
        let _ = stopped.await;
    }));

    let answer = exchange(address, format!("GET / HTTP/1.1\r\n{CLOSE}").as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("hello"), "{answer}");
    assert!(answer.contains("access-control-allow-origin: *"), "{answer}");

    // It ends by itself, though the client would have kept it.
    leaving.store(true, Ordering::Relaxed);
    let answer = exchange(address, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert!(answer.contains("connection: close") && answer.ends_with("hello"), "{answer}");

    let request = format!("GET /slow HTTP/1.1\r\n{CLOSE}");
    let under_way = tokio::spawn(async move { exchange(address, request.as_bytes()).await });
    entered.await.unwrap();
    let mut silent = TcpStream::connect(address).await.unwrap();
    stop.send(()).unwrap();
    // Connected before, and not heard of yet.
    silent.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    silent.read_to_string(&mut answer).await.unwrap();
    assert!(answer.ends_with("hello"), "{answer}");
    leave.send(()).unwrap();
    assert!(under_way.await.unwrap().ends_with("done"));
    server.await.unwrap();
    assert!(TcpStream::connect(address).await.is_err());
}
