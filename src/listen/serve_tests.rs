//! A port under clients that connect, and do not do what clients do: over real sockets.

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

/// Serves these routes within these bounds; where.
async fn serving(router: Router, bounds: Bounds) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(serve(listener, router, bounds, std::future::pending()));
    address
}

/// Routes: one that needs nothing, one that takes anybody as principal 7, one that takes nobody.
fn routes() -> Router {
    let prove = |Extension(connection): Extension<Connection>| async move {
        connection
            .prove(Principal::new(7).unwrap())
            .map_or(StatusCode::SERVICE_UNAVAILABLE, |()| StatusCode::OK)
    };
    Router::new()
        .route("/", get(|| async { "hello" }))
        .route("/prove", get(prove))
        .route("/closed", get(|| async { StatusCode::UNAUTHORIZED }))
}

/// Asks for a path; the answer, which is small. Empty: the connection is closed.
async fn ask(stream: &mut TcpStream, path: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
    // A connection that was closed may take it, or not.
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
async fn who_does_not_take_its_answers_is_given_no_more_of_them() {
    const ANSWER: usize = 100_000;
    const ASKED: usize = 500;
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = calls.clone();
    let large = get(move || {
        counted.fetch_add(1, Ordering::SeqCst);
        async { vec![b'x'; ANSWER] }
    });
    let bounds = Bounds { unproved_requests: u32::MAX, ..Bounds::api(9, None) };
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
    // What the buffers of the system have (4 MB by default, at most 6), and a few.
    assert!(most < 100, "{most} answers were made before they were taken");
    assert_eq!(calls.load(Ordering::SeqCst), ASKED);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_nobody_takes_is_given_up() {
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
    // Its stream is dropped, though the client is there.
    end.recv().await.unwrap();
    drop(stream);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newcomer_is_served_however_many_strangers_hold_connections() {
    let address = serving(routes(), Bounds::api(8, None)).await;
    let mut client = TcpStream::connect(address).await.unwrap();
    assert!(ask(&mut client, "/prove").await.starts_with("HTTP/1.1 200"));
    let mut strangers = Vec::new();
    for n in 0..40 {
        let mut stranger = TcpStream::connect(address).await.unwrap();
        match n % 3 {
            0 => {}
            1 => stranger.write_all(b"GET / HT").await.unwrap(),
            _ => assert!(ask(&mut stranger, "/").await.starts_with("HTTP/1.1 200"), "{n}"),
        }
        strangers.push(stranger);
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
        // Ends, by a reset where something was not read.
        let read = stream.read(&mut [0; 16]).await;
        assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_is_asked_to_come_again_after_some_requests_and_after_401_at_once() {
    let bounds = Bounds { unproved_requests: 3, ..Bounds::api(9, None) };
    let address = serving(routes(), bounds).await;
    let mut stranger = TcpStream::connect(address).await.unwrap();
    for _ in 0..2 {
        assert!(!ask(&mut stranger, "/").await.contains("connection: close"));
    }
    assert!(ask(&mut stranger, "/").await.contains("connection: close"));
    assert_eq!(ask(&mut stranger, "/").await, "");
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
async fn what_is_not_http_1_is_not_answered_by_a_router_alone() {
    let echo = post(|body: String| async { body });
    let address = serving(Router::new().route("/", echo), Bounds::raft(9, 9)).await;
    for bytes in
        ["PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0", "\u{16}\u{3}\u{1}\r\n\r\n"]
    {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(bytes.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        // Closed in stages: the end comes as such.
        stream.read_to_end(&mut answer).await.unwrap();
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400"), "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn on_the_raft_port_strangers_push_out_strangers_and_never_a_member() {
    let address = serving(routes(), Bounds::raft(3, 2)).await;
    let connect = async || TcpStream::connect(address).await.unwrap();
    let mut members = [connect().await, connect().await];
    for member in &mut members {
        assert!(ask(member, "/prove").await.starts_with("HTTP/1.1 200"));
    }
    let mut strangers = Vec::new();
    for _ in 0..50 {
        let mut stranger = connect().await;
        assert!(ask(&mut stranger, "/").await.ends_with("hello"), "whoever comes is answered");
        strangers.push(stranger);
    }
    let kept = strangers.split_off(47);
    for mut stranger in strangers {
        assert_eq!(stranger.read(&mut [0; 8]).await.unwrap_or(0), 0, "it is closed");
    }
    for mut stranger in kept {
        let answer = ask(&mut stranger, "/prove").await;
        assert!(answer.starts_with("HTTP/1.1 503"), "there are two members: {answer}");
        assert!(answer.contains("connection: close"), "{answer}");
    }
    for member in &mut members {
        assert!(ask(member, "/prove").await.starts_with("HTTP/1.1 200"));
    }
    drop(members);
    // A place that is free again is given again, once the end of the connection was seen.
    while !ask(&mut connect().await, "/prove").await.starts_with("HTTP/1.1 200") {}
}

#[tokio::test(flavor = "multi_thread")]
async fn who_shows_no_credential_in_time_is_closed_and_a_member_stays() {
    let prove_within = Some(Duration::from_millis(300));
    let address = serving(
        routes(),
        Bounds { prove_within, unproved_requests: u32::MAX, ..Bounds::raft(9, 9) },
    )
    .await;
    let connect = async || TcpStream::connect(address).await.unwrap();
    let mut member = connect().await;
    assert!(ask(&mut member, "/prove").await.starts_with("HTTP/1.1 200"));
    let (mut silent, mut halfway, mut busy) = (connect().await, connect().await, connect().await);
    halfway.write_all(b"POST /raft/append HTTP/1.1\r\nhost: x\r\n").await.unwrap();
    while !ask(&mut busy, "/").await.is_empty() {}
    for stranger in [&mut silent, &mut halfway] {
        assert_eq!(stranger.read(&mut [0; 8]).await.unwrap_or(0), 0);
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
    // One thread, as on a node: the accept loop finds them all before any of them is read.
    let bounds = Bounds::raft(8, AT_ONCE);
    tokio::spawn(serve(listener, routes(), bounds, std::future::pending()));
    for (n, member) in members.iter_mut().enumerate() {
        let mut answer = [0; 12];
        member.read_exact(&mut answer).await.unwrap_or_else(|e| panic!("member {n}: {e}"));
        assert_eq!(&answer, b"HTTP/1.1 200", "member {n}");
    }
}
