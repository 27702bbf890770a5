//! The executor against receivers of its own, in this process.

mod answers;
#[path = "../../tests/fixtures/tls/server.rs"]
mod certs;
mod displaced;
mod flood;
mod kept;
mod leaving;
mod raw;

use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::extract::ConnectInfo;
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use axum::routing::post;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;

use super::*;
use crate::clock::SystemClock;
use lookup::Looking;

/// Serves a router on a port of its own; gives its address.
async fn serve(router: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async move { axum::serve(listener, service).await });
    address
}

fn executor(options: Options) -> Executor {
    Executor::new(options, Arc::new(SchedulerTime::new(Arc::new(SystemClock))))
        .expect("an executor")
}

fn call(url: &str) -> Call {
    Call::new(url.into(), Vec::new(), Bytes::from_static(b"[{}]"), || true)
}

fn answer(reply: Reply) -> Answer {
    match reply {
        Reply::Done(answer) => answer,
        Reply::Withheld | Reply::Refused { .. } | Reply::Unwanted(_) => panic!("{reply:?}"),
    }
}

async fn within<T>(what: &str, fact: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), fact).await.expect(what)
}

#[tokio::test]
async fn a_call_arrives_as_given_and_connections_are_kept() {
    let peers = Arc::new(Mutex::new(std::collections::BTreeSet::new()));
    let seen = peers.clone();
    let receive = move |ConnectInfo(peer): ConnectInfo<SocketAddr>,
                        headers: HeaderMap,
                        body: Bytes| async move {
        seen.lock().expect("no panic").insert(peer);
        let text =
            |name: &str| headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or("-").to_owned();
        let lines = ["user-agent", "webhook-id", "content-length", "transfer-encoding"].map(text);
        format!("{} {}", lines.join(" "), String::from_utf8_lossy(&body))
    };
    let address = serve(Router::new().route("/callback", post(receive))).await;
    let executor = executor(Options::default());
    for _ in 0..5 {
        let mut call = call(&format!("http://{address}/callback?a=b"));
        let id = (HeaderName::from_static("webhook-id"), HeaderValue::from_static("x-1"));
        call.headers.push(id);
        let answer = answer(executor.call(call).await);
        assert_eq!((answer.status, answer.class()), (200, Class::Success), "{answer:?}");
        assert!(answer.sent && answer.error.is_none());
        let expected = format!("Scheduler0/{} x-1 4 - [{{}}]", env!("CARGO_PKG_VERSION"));
        assert_eq!(answer.body, expected);
    }
    assert_eq!(peers.lock().expect("no panic").len(), 1, "one connection for all");
    assert_eq!(executor.load(), []);
}

#[tokio::test]
async fn a_withheld_call_writes_no_byte_even_on_an_open_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/", listener.local_addr().expect("an address"));
    let executor = executor(Options::default());
    let mut refused = call(&url);
    refused.body = Bytes::from(vec![b'x'; 300_000]);
    refused.before_send = Box::new(|| false);
    let (reply, bytes) = tokio::join!(executor.call(refused), async {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes).await;
        bytes
    });
    assert_eq!((reply, bytes.len()), (Reply::Withheld, 0));

    // The same where a connection is kept from the call before.
    let count = Arc::new(AtomicUsize::new(0));
    let counter = count.clone();
    let receive = move |body: Bytes| async move {
        counter.fetch_add(body.len(), Ordering::SeqCst);
    };
    let address = serve(Router::new().route("/", post(receive))).await;
    let url = format!("http://{address}/");
    answer(executor.call(call(&url)).await);
    let mut refused = call(&url);
    refused.before_send = Box::new(|| false);
    assert_eq!(executor.call(refused).await, Reply::Withheld);
    answer(executor.call(call(&url)).await);
    assert_eq!(count.load(Ordering::SeqCst), 8, "two of three arrived");
}

/// What a connection brings until it is closed, once the call is over.
async fn received(listener: &TcpListener) -> Vec<u8> {
    let (mut stream, _) = listener.accept().await.expect("a connection");
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes).await;
    bytes
}

fn plain(method: Method, url: &str, leave: impl FnMut() -> bool + Send + 'static) -> Call {
    Call { method, ..Call::new(url.into(), Vec::new(), Bytes::new(), leave) }
}

#[tokio::test]
async fn a_call_without_a_body_is_withheld_like_any_other() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/", listener.local_addr().expect("an address"));
    for method in [Method::GET, Method::HEAD, Method::DELETE, Method::POST] {
        let executor = executor(Options::default());
        let refused = plain(method.clone(), &url, || false);
        let (reply, bytes) = tokio::join!(executor.call(refused), received(&listener));
        assert_eq!((reply, bytes.len()), (Reply::Withheld, 0), "{method}");
    }
    // With leave it goes out, asked once, on a new connection and on a kept one.
    let lines = Arc::new(Mutex::new(Vec::new()));
    let seen = lines.clone();
    let receive = move |method: Method, headers: HeaderMap| async move {
        let names = headers.keys().map(ToString::to_string).filter(|n| n.contains("length"));
        seen.lock().expect("no panic").push((method, names.collect::<Vec<_>>().join(" ")));
    };
    let address = serve(Router::new().route("/", axum::routing::any(receive))).await;
    let url = format!("http://{address}/");
    let executor = executor(Options::default());
    for method in [Method::GET, Method::GET, Method::HEAD, Method::DELETE, Method::POST] {
        let (asked, asks) = (Arc::new(AtomicUsize::new(0)), AtomicUsize::new(0));
        let counter = asked.clone();
        let leave = move || {
            counter.store(asks.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            true
        };
        let answer = answer(executor.call(plain(method.clone(), &url, leave)).await);
        let asked = asked.load(Ordering::SeqCst);
        assert_eq!((answer.status, answer.sent, asked), (200, true, 1), "{method}");
        assert_eq!(executor.call(plain(method, &url, || false)).await, Reply::Withheld);
    }
    let none = [Method::GET, Method::GET, Method::HEAD, Method::DELETE].map(|m| (m, String::new()));
    let mut expected = none.to_vec();
    expected.push((Method::POST, "content-length".to_owned()));
    assert_eq!(*lines.lock().expect("no panic"), expected);
}

/// A resolver that lets something happen before it answers.
struct Meanwhile(Box<dyn Fn() + Send + Sync>);

impl Lookup for Meanwhile {
    fn lookup(&self, _: String, _: ProjectId) -> Looking {
        (self.0)();
        Box::pin(async { Ok(vec![SocketAddr::from(([127, 0, 0, 1], 0))]) })
    }
}

#[tokio::test]
async fn a_lease_that_ends_while_the_connection_is_opened_keeps_the_request_back() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://name.example:{}/", listener.local_addr().expect("a port").port());
    for (method, body) in [(Method::GET, ""), (Method::POST, ""), (Method::POST, "[{}]")] {
        let lease = Arc::new(std::sync::atomic::AtomicBool::new(true));
        let (held, ends) = (lease.clone(), lease.clone());
        let lookup = Arc::new(Meanwhile(Box::new(move || ends.store(false, Ordering::SeqCst))));
        let executor = executor(Options { lookup, ..Options::default() });
        let mut call = plain(method.clone(), &url, move || held.load(Ordering::SeqCst));
        call.body = Bytes::from_static(body.as_bytes());
        assert!(lease.load(Ordering::SeqCst), "it holds when the call is made");
        let (reply, bytes) = tokio::join!(executor.call(call), received(&listener));
        assert_eq!((reply, bytes.len()), (Reply::Withheld, 0), "{method} {body:?}");
    }
}

#[tokio::test]
async fn a_receiver_may_accept_now_and_report_later() {
    let at = |status: u16, line: &'static str| {
        move || async move {
            (StatusCode::from_u16(status).expect("a status"), [("scheduler-async", line)], "mine")
        }
    };
    let router = Router::new()
        .route("/yes", post(at(202, "True")))
        .route("/no", post(at(202, "false")))
        .route("/done", post(at(200, "true")));
    let address = serve(router).await;
    let executor = executor(Options::default());
    for (path, promised) in [("yes", true), ("no", false), ("done", false)] {
        let answer = answer(executor.call(call(&format!("http://{address}/{path}"))).await);
        assert_eq!((answer.accepted_async, &*answer.body), (promised, &b"mine"[..]), "{path}");
    }
    let mut strict = call(&format!("http://{address}/done"));
    strict.success_codes = Arc::new([202]);
    let answer = answer(executor.call(strict).await);
    assert_eq!(answer.error.as_deref(), Some("the receiver answered 200: mine"));
}

#[tokio::test]
async fn leave_is_asked_for_only_once_the_connection_stands() {
    // A port on which nobody listens: the connection fails, and nobody was asked.
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/x?key=hunter2", listener.local_addr().expect("an address"));
    drop(listener);
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = asked.clone();
    let mut call = call(&url);
    call.before_send = Box::new(move || counter.fetch_add(1, Ordering::SeqCst) == 0);
    let answer = answer(executor(Options::default()).call(call).await);
    assert_eq!((answer.status, answer.sent, asked.load(Ordering::SeqCst)), (0, false, 0));
    assert_eq!(answer.class(), Class::Retry { after: None });
    let error = answer.error.expect("a reason");
    assert!(error.to_lowercase().contains("refused") && !error.contains("hunter2"), "{error}");
}

#[tokio::test]
async fn a_receiver_that_does_not_answer_in_time_is_a_timeout() {
    let hang = || async { std::future::pending::<()>().await };
    let address = serve(Router::new().route("/", post(hang))).await;
    let executor = executor(Options::default());
    let mut call = call(&format!("http://{address}/"));
    call.timeout = Some(Duration::from_millis(50));
    let answer = within("it gives up", executor.call(call)).await;
    let answer = self::answer(answer);
    assert!(answer.sent, "{answer:?}");
    assert_eq!(answer.class(), Class::Retry { after: None });
    assert_eq!(answer.error.as_deref(), Some("timeout: no complete answer within 50ms"));
}

#[tokio::test]
async fn a_call_that_hangs_is_ended_when_nobody_wants_its_answer_any_more() {
    let hang = || async { std::future::pending::<()>().await };
    let address = serve(Router::new().route("/", post(hang))).await;
    let executor = executor(Options { max_workers: 1, ..Options::default() });
    let (asked, gone) = (Arc::new(AtomicUsize::new(0)), Arc::new(tokio::sync::Notify::new()));
    let (counter, notified) = (asked.clone(), gone.clone());
    let unwanted: Unwanted = Box::new(move || {
        counter.fetch_add(1, Ordering::SeqCst);
        Box::pin(async move { notified.notified().await })
    });
    let call = Call { unwanted: Some(unwanted), ..call(&format!("http://{address}/")) };
    let ending = async {
        while executor.occupancy().hanging == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(asked.load(Ordering::SeqCst), 1, "asked once it hangs");
        gone.notify_one();
    };
    let (reply, ()) = within("it ends", async { tokio::join!(executor.call(call), ending) }).await;
    let Reply::Unwanted(answer) = reply else { panic!("{reply:?}") };
    assert_eq!((answer.status, answer.sent), (0, true));
    assert_eq!(answer.error.as_deref(), Some(UNWANTED));
    assert!(answer.duration_ms >= 900, "{answer:?}");
    assert_eq!((executor.load(), executor.occupancy().hanging), (vec![], 0));
}

#[tokio::test]
async fn a_redirect_is_a_failure_and_not_followed() {
    let followed = Arc::new(AtomicUsize::new(0));
    let counter = followed.clone();
    let router = Router::new()
        .route("/", post(|| async { axum::response::Redirect::temporary("/there") }))
        .route(
            "/there",
            post(move || async move { counter.fetch_add(1, Ordering::SeqCst).to_string() }),
        );
    let address = serve(router).await;
    let answer =
        answer(executor(Options::default()).call(call(&format!("http://{address}/"))).await);
    assert_eq!((answer.status, answer.class()), (307, Class::Retry { after: None }));
    assert_eq!(followed.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_complaint_and_its_retry_after_come_through() {
    let busy = || async { (StatusCode::SERVICE_UNAVAILABLE, [("retry-after", "7")], "try later") };
    let address = serve(Router::new().route("/", post(busy))).await;
    let answer =
        answer(executor(Options::default()).call(call(&format!("http://{address}/"))).await);
    assert_eq!(answer.class(), Class::Retry { after: Some(Duration::from_secs(7)) });
    assert_eq!(answer.error.as_deref(), Some("the receiver answered 503: try later"));
}

#[tokio::test]
async fn an_answer_is_kept_up_to_a_limit_and_an_endless_one_is_left() {
    let endless = || async {
        let piece = || Ok::<_, std::io::Error>(Bytes::from(vec![b'y'; 10_000]));
        let stream = futures_util::stream::repeat_with(piece);
        axum::body::Body::from_stream(stream).into_response()
    };
    let address = serve(Router::new().route("/", post(endless))).await;
    let executor = executor(Options::default());
    let url = format!("http://{address}/");
    let reply = within("it is cut", executor.call(call(&url))).await;
    assert_eq!(answer(reply).body.len(), MAX_BODY);
    // The answer to a batch may name every job of the request.
    for (length, kept) in [(4, MAX_BATCH_BODY), (300_000, 300_000)] {
        let body = Bytes::from(vec![b'x'; length]);
        let large = Call { batch: true, body, ..call(&url) };
        let answer = answer(within("it is cut", executor.call(large)).await);
        assert_eq!((answer.status, answer.body.len()), (200, kept));
        let flaw = format!("its body is longer than the {kept} bytes that are read");
        assert_eq!(answer.flaw, Some(flaw));
    }
}

/// A resolver that sends every name to the same addresses.
struct Always(Vec<SocketAddr>);

impl Lookup for Always {
    fn lookup(&self, _: String, _: ProjectId) -> Looking {
        let addresses = self.0.clone();
        Box::pin(async move { Ok(addresses) })
    }
}

#[tokio::test]
async fn what_a_name_resolves_to_is_what_is_judged() {
    let count = Arc::new(AtomicUsize::new(0));
    let counter = count.clone();
    let receive = move || async move { counter.fetch_add(1, Ordering::SeqCst).to_string() };
    let address = serve(Router::new().route("/", post(receive))).await;
    let url = format!("http://innocent.example:{}/", address.port());
    let with = |addresses: &[&str], guard| {
        let addresses =
            addresses.iter().map(|a| SocketAddr::new(a.parse().expect("an address"), 0));
        let lookup = Arc::new(Always(addresses.collect()));
        executor(Options { guard, lookup, ..Options::default() })
    };
    let open = TargetGuard::default();
    let strict = TargetGuard { allow_loopback: false, ..TargetGuard::default() };
    for (executor, why) in [
        (with(&["169.254.169.254"], open.clone()), "link-local"),
        (with(&["::ffff:169.254.169.254", "fe80::1"], open.clone()), "link-local"),
        (with(&["127.0.0.1"], strict), "loopback"),
    ] {
        let answer = answer(within("refused at once", executor.call(call(&url))).await);
        assert_eq!((answer.status, answer.sent), (0, false));
        assert!(answer.error.as_deref().is_some_and(|e| e.contains(why)), "{answer:?}");
    }
    assert_eq!(count.load(Ordering::SeqCst), 0);
    // Of several addresses only the allowed ones are tried.
    let mixed = with(&["169.254.169.254", "127.0.0.1"], open);
    assert_eq!(answer(within("it arrives", mixed.call(call(&url))).await).status, 200);
    // An address in the URL itself never meets the resolver.
    let literal = answer(mixed.call(call("http://169.254.169.254/latest")).await);
    assert!(!literal.sent && literal.error.is_some_and(|e| e.contains("link-local")));
}

#[tokio::test]
async fn a_dead_destination_does_not_block_another() {
    let hang = || async { std::future::pending::<()>().await };
    let dead = serve(Router::new().route("/", post(hang))).await;
    let live = serve(Router::new().route("/", post(|| async {}))).await;
    for max_workers in [1, 2, 8] {
        let executor = executor(Options { max_workers, ..Options::default() });
        let hanging: Vec<_> = (0..20)
            .map(|_| {
                let executor = executor.clone();
                let call = call(&format!("http://{dead}/"));
                tokio::spawn(async move { executor.call(call).await })
            })
            .collect();
        within("all are in the queues", async {
            while executor.load().iter().map(|l| l.in_flight + l.queued).sum::<usize>() < 20 {
                tokio::task::yield_now().await;
            }
        })
        .await;
        for _ in 0..30 {
            let reply =
                within("the live one is served", executor.call(call(&format!("http://{live}/"))));
            assert_eq!(answer(reply.await).status, 200);
        }
        let load = executor.load();
        assert_eq!(load.len(), 1);
        assert!(load[0].in_flight <= max_workers, "{load:?}");
        assert_eq!(load[0].in_flight + load[0].queued, 20, "all of them still hang");
        hanging.iter().for_each(tokio::task::JoinHandle::abort);
    }
}

#[tokio::test]
async fn a_destination_that_keeps_failing_is_left_alone_and_others_are_not() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counter = calls.clone();
    let busy = move || async move {
        counter.fetch_add(1, Ordering::SeqCst);
        StatusCode::SERVICE_UNAVAILABLE
    };
    let dead = serve(Router::new().route("/", post(busy))).await;
    let live = serve(Router::new().route("/", post(|| async {}))).await;
    let clock = crate::clock::TestClock::new(1_763_700_000_000);
    let time = Arc::new(SchedulerTime::new(clock.clone()));
    let executor = Executor::new(Options::default(), Arc::clone(&time)).expect("an executor");
    let (dead, live) = (format!("http://{dead}/"), format!("http://{live}/"));
    for _ in 0..5 {
        assert_eq!(answer(executor.call(call(&dead)).await).status, 503);
        clock.advance(Duration::from_millis(500));
    }
    let failing = executor.open_breakers().remove(0);
    assert_eq!((failing.failures, failing.since), (5, time.now() - 500), "{failing:?}");
    let until = failing.next_probe;
    let obstacle = Obstacle::Failing;
    assert_eq!(
        executor.availability(&dead, 0),
        Availability::Unavailable { until, obstacle: obstacle.clone() }
    );
    let refused = Reply::Refused { until, obstacle };
    for _ in 0..100 {
        assert_eq!(executor.call(call(&dead)).await, refused);
        assert_eq!(answer(executor.call(call(&live)).await).status, 200);
    }
    clock.advance(Duration::from_secs(6));
    assert_eq!(
        (executor.availability(&dead, 0), executor.availability(&live, 0)),
        (Availability::Available, Availability::Available)
    );
    assert_eq!(answer(executor.call(call(&dead)).await).status, 503);
    assert!(matches!(executor.call(call(&dead)).await, Reply::Refused { .. }));
    assert_eq!(calls.load(Ordering::SeqCst), 6, "five to find out, and a probe");
    let calls = executor.calls();
    assert!(calls.refused >= 101 && calls.destinations.len() == 1, "{calls:?}");
    assert!(calls.destinations[0].open && dead.starts_with(&calls.destinations[0].name));
}

/// A resolver whose answer for a name changes with each question.
struct Changing(Mutex<std::collections::VecDeque<&'static str>>);

impl Lookup for Changing {
    fn lookup(&self, _: String, _: ProjectId) -> Looking {
        let mut answers = self.0.lock().expect("no panic");
        let address = answers.pop_front().expect("one question a connection");
        let address = SocketAddr::new(address.parse().expect("an address"), 0);
        Box::pin(async move { Ok(vec![address]) })
    }
}

#[tokio::test]
async fn the_address_that_was_judged_is_the_address_connected_to() {
    let count = Arc::new(AtomicUsize::new(0));
    let counter = count.clone();
    let receive = move || async move {
        counter.fetch_add(1, Ordering::SeqCst);
        [("connection", "close")]
    };
    let address = serve(Router::new().route("/", post(receive))).await;
    let url = format!("http://rebinding.example:{}/", address.port());
    // Were it asked once to judge and once to connect, the second answer would be the one used.
    let answers = ["127.0.0.1", "169.254.169.254", "::ffff:a9fe:a9fe", "0.0.0.0", "127.0.0.1"];
    let lookup = Arc::new(Changing(Mutex::new(answers.into())));
    let executor = executor(Options { lookup: lookup.clone(), ..Options::default() });
    for (nth, fine) in [true, false, false, false, true].into_iter().enumerate() {
        let answer = answer(within("an answer", executor.call(call(&url))).await);
        assert_eq!((answer.status == 200, answer.sent), (fine, fine), "{nth}: {answer:?}");
        let left = lookup.0.lock().expect("no panic").len();
        assert_eq!(left, answers.len() - 1 - nth, "one question a connection");
    }
    assert_eq!(count.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn forbidden_addresses_are_refused_however_they_are_written() {
    let lookup = Arc::new(Always(vec![SocketAddr::from(([127, 0, 0, 1], 0))]));
    let executor = executor(Options { lookup, ..Options::default() });
    for url in [
        "http://169.254.169.254/",
        "http://[::ffff:169.254.169.254]/",
        "http://[fe80::1]/",
        "http://[fd00:ec2::254]/",
        "http://0/",
        "http://0.0.0.0/",
        "http://[::]/",
        "http://0251.0376.0251.0376/",
        "http://169.254.43518/",
        "http://safe.example@169.254.169.254/",
        "http://169.254.169.254%2f@safe.example/",
        "http://metadata.google.internal/",
        "gopher://safe.example/",
    ] {
        let mut refused = call(url);
        refused.before_send = Box::new(|| panic!("nothing may be sent"));
        let answer = answer(within("refused at once", executor.call(refused)).await);
        assert!(!answer.sent && answer.error.is_some(), "{url}: {answer:?}");
    }
    assert_eq!(executor.open_breakers(), []);
}
