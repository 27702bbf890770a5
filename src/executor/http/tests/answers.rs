//! Answers as bytes on a socket: cut, folded, coded, late. Errors of this node. The age of a
//! connection.

use std::io::Write as _;

use tokio::io::AsyncWriteExt as _;

use super::*;
use crate::clock::TestClock;
use crate::model::attempt::parse_execution_id;
use crate::model::result_code::ResultCode;

const NAMES: &str = r#"{"note":"hello","failed":["c1000000-1-2","c1000000-2-2"]}"#;

/// A receiver that answers every request with the same bytes and closes the connection.
async fn says(bytes: Vec<u8>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/", listener.local_addr().expect("an address"));
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            let mut request = Vec::new();
            while !request.ends_with(b"[{}]") {
                let mut piece = [0; 4_096];
                match stream.read(&mut piece).await {
                    Ok(n) if n > 0 => request.extend_from_slice(&piece[..n]),
                    _ => break,
                }
            }
            let _ = stream.write_all(&bytes).await;
        }
    });
    url
}

fn batch(url: &str) -> Call {
    Call { batch: true, ..call(url) }
}

fn gzip(plain: &str) -> Vec<u8> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    packed.write_all(plain.as_bytes()).expect("memory");
    packed.finish().expect("memory")
}

fn with_length(lines: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\n{lines}content-length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

/// An executor whose breakers never open.
fn patient() -> Executor {
    let breaker = Rules { failures: 0, cooldown: 0 };
    executor(Options { breaker, ..Options::default() })
}

#[tokio::test]
async fn an_answer_to_a_batch_that_is_cut_anywhere_accepts_nothing() {
    let chunks = format!(
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{}\r\n{:x}\r\n{}\r\n0\r\n\r\n",
        20,
        &NAMES[..20],
        NAMES.len() - 20,
        &NAMES[20..]
    );
    let unframed = format!("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{NAMES}");
    let executor = patient();
    for (how, bytes) in [
        ("length", with_length("", NAMES.as_bytes())),
        ("chunks", chunks.into_bytes()),
        ("gzip", with_length("content-encoding: gzip\r\n", &gzip(NAMES))),
        ("bom", with_length("", format!("\u{feff}{NAMES}").as_bytes())),
        ("until the end", unframed.into_bytes()),
    ] {
        let whole = answer(executor.call(batch(&says(bytes.clone()).await)).await);
        let named =
            ["c1000000-1-2", "c1000000-2-2"].map(|id| parse_execution_id(id).expect("an id"));
        let named = Acceptance::AllBut(named.to_vec());
        assert_eq!((whole.code.http_code(), whole.acceptance), (200, named), "{how}");
        let head = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("a head") + 4;
        for cut in 0..bytes.len() {
            let url = says(bytes[..cut].to_vec()).await;
            let cut_off = answer(executor.call(batch(&url)).await);
            if cut < head {
                assert_eq!(cut_off.code.http_code(), 0, "{how} cut at {cut}: {cut_off:?}");
                continue;
            }
            // Without a frame an answer that ends with its head is one without a body.
            let empty = how == "until the end" && cut == head;
            assert!(flaw(&cut_off).is_some() || empty, "{how} cut at {cut}: {cut_off:?}");
            assert_eq!(cut_off.code.http_code(), 200);
            // For a single call the status says it all.
            let single = answer(executor.call(call(&url)).await);
            assert_eq!((single.class, single.error), (Class::Success, None), "{how} {cut}");
        }
    }
}

#[tokio::test]
async fn an_answer_before_the_end_of_the_body_counts_also_when_the_connection_is_reset() {
    for reset in [false, true] {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/", listener.local_addr().expect("an address"));
        let receiver = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            let read = stream.read(&mut [0; 4_096]).await.expect("the head");
            assert!(read > 0);
            let refusal = b"HTTP/1.1 413 Payload Too Large\r\ncontent-length: 0\r\n\r\n";
            stream.write_all(refusal).await.expect("it is read");
            if reset {
                stream.set_zero_linger().expect("an option of the socket");
            }
        });
        let body = Bytes::from(vec![b'x'; 2_000_000]);
        let call = Call { body, ..batch(&url) };
        let reply = answer(within("an answer", patient().call(call)).await);
        assert_eq!(
            (reply.code, reply.answered, reply.sent),
            (ResultCode::Http(413), true, true),
            "{reply:?}"
        );
        receiver.await.expect("the receiver");
    }
}

#[tokio::test]
async fn an_answer_that_cannot_be_read_says_why() {
    let executor = patient();
    let bomb = gzip(&" ".repeat(5_000_000));
    let odd = "its Content-Encoding is br; gzip and none are read".to_owned();
    let long = format!("its body is longer than the {MAX_BATCH_BODY} bytes that are read");
    for (bytes, why) in [
        (with_length("content-encoding: br\r\n", b"x"), odd),
        (with_length("content-encoding: gzip\r\n", &bomb), long),
    ] {
        let answer = answer(executor.call(batch(&says(bytes).await)).await);
        assert_eq!((answer.code.http_code(), flaw(&answer)), (200, Some(why.as_str())));
    }
    let plain = with_length("content-encoding: gzip\r\n", NAMES.as_bytes());
    let answer = answer(executor.call(batch(&says(plain).await)).await);
    let why = flaw(&answer).expect("a reason");
    assert!(why.starts_with("its body is not the gzip that it says it is"), "{why}");
}

#[tokio::test]
async fn a_body_that_does_not_end_in_time_leaves_the_status_as_it_is() {
    let endless = || async {
        let first = futures_util::stream::iter([Ok::<_, std::io::Error>(Bytes::from("{"))]);
        let stream = futures_util::StreamExt::chain(first, futures_util::stream::pending());
        axum::body::Body::from_stream(stream).into_response()
    };
    let address = serve(Router::new().route("/", post(endless))).await;
    let url = format!("http://{address}/");
    let executor = executor(Options::default());
    for whole in [true, false] {
        let mut call = Call { batch: whole, ..call(&url) };
        call.timeout = Some(Duration::from_millis(50));
        let answer = answer(within("it ends", executor.call(call)).await);
        let why = whole.then_some("its body was not complete within 50ms");
        assert_eq!((answer.code.http_code(), flaw(&answer)), (200, why));
        assert_eq!(answer.error, None);
    }
}

/// A resolver that fails with an error number of the system, or with a text of getaddrinfo(3).
struct Failing(Result<i32, &'static str>);

impl Lookup for Failing {
    fn lookup(&self, _: String, _: ProjectId) -> LookupFuture {
        let error = match self.0 {
            Ok(number) => std::io::Error::from_raw_os_error(number),
            Err(text) => std::io::Error::other(text),
        };
        Box::pin(async move { Err(error) })
    }
}

#[tokio::test]
async fn a_local_error_is_no_attempt_and_no_failure_of_the_receiver() {
    let text = |text| format!("failed to lookup address information: {text}").leak() as &str;
    for (failing, kind, words) in [
        (Ok(24), "descriptors", "too many open files"),
        (Ok(23), "descriptors", "too many open files"),
        (Ok(12), "memory", "out of memory"),
        (Err(text("Temporary failure in name resolution")), "resolver", "no name server answers"),
    ] {
        let lookup = Arc::new(Failing(failing));
        let executor = executor(Options { lookup, ..Options::default() });
        for _ in 0..20 {
            let reply = executor.call(call("http://name.example:1/")).await;
            let Reply::Refused { obstacle, .. } = reply else { panic!("{kind}: {reply:?}") };
            assert_eq!(obstacle, Obstacle::Node(words.to_owned()));
        }
        assert_eq!(executor.open_breakers(), []);
        let count = executor.calls().own_errors.into_iter().find(|(name, _)| *name == kind);
        assert_eq!(count, Some((kind, 20)));
    }
    // A name that does not exist is a failure of the receiver.
    for failing in [Err(text("Name or service not known")), Ok(111), Ok(99)] {
        let lookup = Arc::new(Failing(failing));
        let executor = executor(Options { lookup, ..Options::default() });
        let answer = answer(executor.call(call("http://name.example:1/")).await);
        assert_eq!((answer.code.http_code(), answer.sent), (0, false));
    }
}

/// A resolver that never answers.
struct Silent;

impl Lookup for Silent {
    fn lookup(&self, _: String, _: ProjectId) -> LookupFuture {
        Box::pin(std::future::pending())
    }
}

#[tokio::test]
async fn a_name_server_that_does_not_answer_is_no_failure_of_the_receiver() {
    let connect_timeout = Duration::from_millis(50);
    let options = Options { connect_timeout, lookup: Arc::new(Silent), ..Options::default() };
    let reply = executor(options).call(call("http://name.example:1/")).await;
    assert!(matches!(reply, Reply::Refused { obstacle: Obstacle::Node(_), .. }), "{reply:?}");
}

#[tokio::test]
async fn a_domain_whose_name_servers_are_down_is_left_alone_without_an_attempt() {
    let clock = TestClock::new(1_763_700_000_000);
    let time = Arc::new(SchedulerTime::new(clock.clone()));
    let lookup = Arc::new(Failing(Err("Temporary failure in name resolution")));
    let options = Options { lookup, ..Options::default() };
    let executor = Executor::new(options, time).expect("an executor");
    let mut obstacles = Vec::new();
    for _ in 0..6 {
        let reply = executor.call(call("http://name.example:1/")).await;
        let Reply::Refused { obstacle, .. } = reply else { panic!("{reply:?}") };
        obstacles.push(obstacle);
        clock.advance(Duration::from_millis(600));
    }
    let node = Obstacle::Node("no name server answers".to_owned());
    assert_eq!(obstacles[..5], [(); 5].map(|()| node.clone()));
    assert_eq!(obstacles[5], Obstacle::Failing, "it holds no place any more");
    assert_eq!(executor.open_breakers().len(), 1);
}

#[tokio::test]
async fn a_receiver_that_asks_to_wait_is_not_called_for_that_project() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counter = calls.clone();
    let busy = move || async move {
        counter.fetch_add(1, Ordering::SeqCst);
        (StatusCode::TOO_MANY_REQUESTS, [("retry-after", "7")], "slowly")
    };
    let address = serve(Router::new().route("/", post(busy))).await;
    let clock = TestClock::new(1_763_700_000_000);
    let time = Arc::new(SchedulerTime::new(clock.clone()));
    let executor = Executor::new(Options::default(), Arc::clone(&time)).expect("an executor");
    let url = format!("http://{address}/");
    let of = |project| Call { project, ..call(&url) };
    assert_eq!(answer(executor.call(of(1)).await).code.http_code(), 429);
    let wait = Reply::Refused { until: time.now() + 7_000, obstacle: Obstacle::Asked };
    for _ in 0..10 {
        assert_eq!(executor.call(of(1)).await, wait);
    }
    let paused = || executor.calls().destinations.iter().map(|d| d.paused).collect::<Vec<_>>();
    assert_eq!(paused(), [1]);
    assert_eq!(answer(executor.call(of(2)).await).code.http_code(), 429);
    assert_eq!(paused(), [2]);
    clock.advance(Duration::from_secs(7));
    assert_eq!(paused(), [0; 0]);
    assert_eq!(answer(executor.call(of(1)).await).code.http_code(), 429);
    assert_eq!((calls.load(Ordering::SeqCst), executor.open_breakers()), (3, vec![]));
}

#[tokio::test]
async fn a_folded_header_line_is_read() {
    let folded = b"HTTP/1.1 200 OK\r\nX-N: a\r\n  b\r\ncontent-length: 2\r\n\r\nok".to_vec();
    let answer = answer(patient().call(call(&says(folded).await)).await);
    assert_eq!((answer.code.http_code(), answer.error, &*answer.body), (200, None, &b"ok"[..]));
}

#[tokio::test]
async fn a_busy_connection_is_closed_after_two_minutes() {
    let peers = Arc::new(Mutex::new(std::collections::BTreeSet::new()));
    let seen = peers.clone();
    let receive = move |ConnectInfo(peer): ConnectInfo<SocketAddr>| async move {
        seen.lock().expect("no panic").insert(peer);
    };
    let address = serve(Router::new().route("/", post(receive))).await;
    let clock = TestClock::new(1_763_700_000_000);
    let time = Arc::new(SchedulerTime::new(clock.clone()));
    let executor = Executor::new(Options::default(), time).expect("an executor");
    let url = format!("http://{address}/");
    let count = || peers.lock().expect("no panic").len();
    for lives in 1..=3 {
        // A call takes no connection that is older than the bound, and makes a new one.
        within("a connection of its own", async {
            while count() < lives {
                assert_eq!(answer(executor.call(call(&url)).await).code.http_code(), 200);
            }
        })
        .await;
        for _ in 0..100 {
            clock.advance(Duration::from_secs(1));
            assert_eq!(answer(executor.call(call(&url)).await).code.http_code(), 200);
        }
        assert_eq!(count(), lives, "it is kept while it is young");
        clock.advance(Duration::from_secs(20));
    }
}
