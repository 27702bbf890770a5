//! Calls and their replies.

use super::*;

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
        assert_eq!((answer.code.http_code(), answer.class), (200, Class::Success), "{answer:?}");
        assert!(answer.sent && answer.error.is_none());
        let expected = format!("Scheduler0/{} x-1 4 - [{{}}]", env!("CARGO_PKG_VERSION"));
        assert_eq!(answer.body, expected);
    }
    assert_eq!(peers.lock().expect("no panic").len(), 1, "one connection for all");
    assert_eq!(executor.load(), []);
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
async fn a_receiver_that_does_not_answer_in_time_is_a_timeout() {
    let hang = || async { std::future::pending::<()>().await };
    let address = serve(Router::new().route("/", post(hang))).await;
    let executor = executor(Options::default());
    let mut call = call(&format!("http://{address}/"));
    call.timeout = Some(Duration::from_millis(50));
    let answer = within("it ends", executor.call(call)).await;
    let answer = self::answer(answer);
    assert!(answer.sent, "{answer:?}");
    assert_eq!(answer.class, Class::Retry { after: None });
    assert_eq!(answer.error.as_deref(), Some("timeout: no complete answer within 50ms"));
}

#[tokio::test]
async fn a_call_that_hangs_is_ended_when_its_jobs_are_deleted() {
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
    assert_eq!((answer.code.http_code(), answer.sent), (0, true));
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
    assert_eq!((answer.code.http_code(), answer.class), (307, Class::Retry { after: None }));
    assert_eq!(followed.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn an_error_and_its_retry_after_come_through() {
    let busy = || async { (StatusCode::SERVICE_UNAVAILABLE, [("retry-after", "7")], "try later") };
    let address = serve(Router::new().route("/", post(busy))).await;
    let answer =
        answer(executor(Options::default()).call(call(&format!("http://{address}/"))).await);
    assert_eq!(answer.class, Class::Wait { after: Duration::from_secs(7) });
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
        assert_eq!((answer.code.http_code(), answer.body.len()), (200, kept));
        let why = format!("its body is longer than the {kept} bytes that are read");
        assert_eq!(flaw(&answer), Some(why.as_str()));
    }
}
