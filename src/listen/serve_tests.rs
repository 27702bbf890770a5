//! A port under clients that connect and misbehave, over real sockets.

use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Extension;
use axum::http::StatusCode;
use axum::routing::{get, post};
use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::mpsc;

use super::*;
use crate::listen::{Connection, Principal};

/// Serves routes within bounds; returns the address.
async fn serving(router: Router, bounds: Bounds) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(serve(listener, router, bounds, std::future::pending()));
    address
}

/// Routes: one for anonymous requests, one that authenticates all as principal 7, one that answers
/// 401.
fn routes() -> Router {
    let authenticate = |Extension(connection): Extension<Connection>| async move {
        connection
            .authenticate(Principal::new(7).unwrap())
            .map_or(StatusCode::SERVICE_UNAVAILABLE, |()| StatusCode::OK)
    };
    Router::new()
        .route("/", get(|| async { "hello" }))
        .route("/prove", get(authenticate))
        .route("/closed", get(|| async { StatusCode::UNAUTHORIZED }))
}

/// Requests a path; returns the answer, which is small. An empty one means that the connection is
/// closed.
async fn ask(stream: &mut TcpStream, path: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
    // A closed connection may take the request or not.
    let _ = stream.write_all(request.as_bytes()).await;
    let mut answer = vec![0; 1_024];
    let read = stream.read(&mut answer).await.unwrap_or(0);
    String::from_utf8_lossy(&answer[..read]).into_owned()
}

/// Reads one answer with a body of known length.
async fn read_answer(stream: &mut TcpStream, buffer: &mut Vec<u8>) {
    loop {
        let text = String::from_utf8_lossy(&buffer[..buffer.len().min(512)]).into_owned();
        if let Some((head, _)) = text.split_once("\r\n\r\n") {
            let length = head.split_once("content-length: ").unwrap().1;
            let length: usize = length.split("\r\n").next().unwrap().parse().unwrap();
            let whole = head.len() + 4 + length;
            if buffer.len() >= whole {
                buffer.drain(..whole);
                return;
            }
        }
        assert!(stream.read_buf(buffer).await.unwrap() > 0, "the connection ended");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_take_its_answers_gets_no_more_of_them() {
    const ANSWER: usize = 100_000;
    const ASKED: usize = 500;
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = calls.clone();
    let large = get(move || {
        counted.fetch_add(1, Ordering::SeqCst);
        async { vec![b'x'; ANSWER] }
    });
    let bounds = Bounds { anonymous_requests: u32::MAX, ..Bounds::api(9, None) };
    let address = serving(Router::new().route("/", large), bounds).await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    let mut stream = socket.connect(address).await.unwrap();
    let all = "GET / HTTP/1.1\r\nHost: x\r\n\r\n".repeat(ASKED);
    stream.write_all(all.as_bytes()).await.unwrap();
    let (mut buffer, mut most) = (Vec::new(), 0);
    for read in 0..ASKED {
        most = most.max(calls.load(Ordering::SeqCst) - read);
        read_answer(&mut stream, &mut buffer).await;
    }
    // As many as the buffers of the system hold (4 MB by default, 6 at most), and a few.
    assert!(most < 100, "{most} answers were made before they were taken");
    assert_eq!(calls.load(Ordering::SeqCst), ASKED);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_not_taken_is_dropped() {
    struct Told(mpsc::UnboundedSender<()>);
    impl Drop for Told {
        fn drop(&mut self) {
            let _ = self.0.send(());
        }
    }
    let (ended, mut end) = mpsc::unbounded_channel();
    let endless = get(move || {
        let told = Told(ended.clone());
        let pieces = futures_util::stream::repeat_with(move || {
            let _ = &told;
            Ok::<_, std::io::Error>(Bytes::from_static(&[0; 16_384]))
        });
        async { Body::from_stream(pieces) }
    });
    let bounds = Bounds { write: Duration::from_millis(300), ..Bounds::api(9, None) };
    let address = serving(Router::new().route("/", endless), bounds).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    // The stream is dropped, though the client is there.
    end.recv().await.unwrap();
    drop(stream);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newcomer_is_served_however_many_anonymous_connections_there_are() {
    let address = serving(routes(), Bounds::api(8, None)).await;
    let mut client = TcpStream::connect(address).await.unwrap();
    assert!(ask(&mut client, "/prove").await.starts_with("HTTP/1.1 200"));
    let mut crowd = Vec::new();
    for n in 0..40 {
        let mut anonymous = TcpStream::connect(address).await.unwrap();
        match n % 3 {
            0 => {}
            1 => anonymous.write_all(b"GET / HT").await.unwrap(),
            _ => assert!(ask(&mut anonymous, "/").await.starts_with("HTTP/1.1 200"), "{n}"),
        }
        crowd.push(anonymous);
    }
    let mut newcomer = TcpStream::connect(address).await.unwrap();
    assert!(ask(&mut newcomer, "/").await.starts_with("HTTP/1.1 200"));
    assert!(ask(&mut client, "/prove").await.starts_with("HTTP/1.1 200"), "it was not closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_connections_and_heads_that_do_not_end_are_closed() {
    let bounds = Bounds {
        head: Duration::from_millis(200),
        idle: Duration::from_millis(400),
        ..Bounds::api(9, None)
    };
    let address = serving(routes(), bounds).await;
    let mut silent = TcpStream::connect(address).await.unwrap();
    let mut begun = TcpStream::connect(address).await.unwrap();
    begun.write_all(b"GET / HTTP/1.1\r\nHo").await.unwrap();
    let mut answered = TcpStream::connect(address).await.unwrap();
    assert!(ask(&mut answered, "/prove").await.starts_with("HTTP/1.1 200"));
    for stream in [&mut silent, &mut begun, &mut answered] {
        // The connection ends, by a reset where bytes were not read.
        let read = stream.read(&mut [0; 16]).await;
        assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_anonymous_connection_ends_after_some_requests_and_after_401_at_once() {
    let bounds = Bounds { anonymous_requests: 3, ..Bounds::api(9, None) };
    let address = serving(routes(), bounds).await;
    let mut anonymous = TcpStream::connect(address).await.unwrap();
    for _ in 0..2 {
        assert!(!ask(&mut anonymous, "/").await.contains("connection: close"));
    }
    assert!(ask(&mut anonymous, "/").await.contains("connection: close"));
    assert_eq!(ask(&mut anonymous, "/").await, "");
    let mut wrong = TcpStream::connect(address).await.unwrap();
    assert!(ask(&mut wrong, "/closed").await.contains("connection: close"));
    let mut client = TcpStream::connect(address).await.unwrap();
    assert!(!ask(&mut client, "/prove").await.contains("connection: close"));
    for _ in 0..9 {
        assert!(!ask(&mut client, "/").await.contains("connection: close"));
    }
    assert!(ask(&mut client, "/closed").await.contains("connection: close"));
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_are_not_http_1_are_answered_with_400_or_not_at_all() {
    let echo = post(|body: String| async { body });
    let address = serving(Router::new().route("/", echo), Bounds::raft(9, 9)).await;
    for bytes in
        ["PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0", "\u{16}\u{3}\u{1}\r\n\r\n"]
    {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(bytes.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        // The connection is closed in stages, so its end is not a reset.
        stream.read_to_end(&mut answer).await.unwrap();
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400"), "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn on_the_raft_port_anonymous_connections_are_closed_for_newcomers_and_members_never() {
    let address = serving(routes(), Bounds::raft(3, 2)).await;
    let connect = async || TcpStream::connect(address).await.unwrap();
    let mut members = [connect().await, connect().await];
    for member in &mut members {
        assert!(ask(member, "/prove").await.starts_with("HTTP/1.1 200"));
    }
    let mut crowd = Vec::new();
    for _ in 0..50 {
        let mut anonymous = connect().await;
        assert!(ask(&mut anonymous, "/").await.ends_with("hello"), "each newcomer is answered");
        crowd.push(anonymous);
    }
    let kept = crowd.split_off(47);
    for mut anonymous in crowd {
        assert_eq!(anonymous.read(&mut [0; 8]).await.unwrap_or(0), 0, "it is closed");
    }
    for mut anonymous in kept {
        let answer = ask(&mut anonymous, "/prove").await;
        assert!(answer.starts_with("HTTP/1.1 503"), "there are two members: {answer}");
        assert!(answer.contains("connection: close"), "{answer}");
    }
    for member in &mut members {
        assert!(ask(member, "/prove").await.starts_with("HTTP/1.1 200"));
    }
    drop(members);
    // A slot is given again once the end of its connection was seen.
    while !ask(&mut connect().await, "/prove").await.starts_with("HTTP/1.1 200") {}
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_without_a_credential_in_time_is_closed_and_a_member_stays() {
    let authenticate_within = Some(Duration::from_millis(300));
    let address = serving(
        routes(),
        Bounds { authenticate_within, anonymous_requests: u32::MAX, ..Bounds::raft(9, 9) },
    )
    .await;
    let connect = async || TcpStream::connect(address).await.unwrap();
    let mut member = connect().await;
    assert!(ask(&mut member, "/prove").await.starts_with("HTTP/1.1 200"));
    let (mut silent, mut halfway, mut busy) = (connect().await, connect().await, connect().await);
    halfway.write_all(b"POST /raft/append HTTP/1.1\r\nhost: x\r\n").await.unwrap();
    while !ask(&mut busy, "/").await.is_empty() {}
    for anonymous in [&mut silent, &mut halfway] {
        assert_eq!(anonymous.read(&mut [0; 8]).await.unwrap_or(0), 0);
    }
    assert!(ask(&mut member, "/prove").await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn members_that_all_connect_at_once_are_all_answered() {
    const AT_ONCE: usize = 90;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut members = Vec::new();
    for _ in 0..AT_ONCE {
        let mut member = TcpStream::connect(address).await.unwrap();
        member.write_all(b"GET /prove HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        members.push(member);
    }
    // On one thread, as on a node, the accept loop finds them all before any of them is read.
    let bounds = Bounds::raft(8, AT_ONCE);
    tokio::spawn(serve(listener, routes(), bounds, std::future::pending()));
    for (n, member) in members.iter_mut().enumerate() {
        let mut answer = [0; 12];
        member.read_exact(&mut answer).await.unwrap_or_else(|e| panic!("member {n}: {e}"));
        assert_eq!(&answer, b"HTTP/1.1 200", "member {n}");
    }
}
