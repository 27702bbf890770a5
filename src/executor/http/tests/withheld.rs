//! Calls that the lease check keeps back: not a byte of them goes out.

use super::*;

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
    // When the check passes the call goes out, checked once, on a new connection and on a kept one.
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
        let check = move || {
            counter.store(asks.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            true
        };
        let answer = answer(executor.call(plain(method.clone(), &url, check)).await);
        let asked = asked.load(Ordering::SeqCst);
        assert_eq!((answer.code.http_code(), answer.sent, asked), (200, true, 1), "{method}");
        assert_eq!(executor.call(plain(method, &url, || false)).await, Reply::Withheld);
    }
    let none = [Method::GET, Method::GET, Method::HEAD, Method::DELETE].map(|m| (m, String::new()));
    let mut expected = none.to_vec();
    expected.push((Method::POST, "content-length".to_owned()));
    assert_eq!(*lines.lock().expect("no panic"), expected);
}

/// A resolver that runs a function before it answers.
struct Meanwhile(Box<dyn Fn() + Send + Sync>);

impl Lookup for Meanwhile {
    fn lookup(&self, _: String, _: ProjectId) -> LookupFuture {
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
async fn the_check_is_made_only_once_the_connection_stands() {
    // Nothing listens on the port: the connection fails, and no check was made.
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/x?key=hunter2", listener.local_addr().expect("an address"));
    drop(listener);
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = asked.clone();
    let mut call = call(&url);
    call.before_send = Box::new(move || counter.fetch_add(1, Ordering::SeqCst) == 0);
    let answer = answer(executor(Options::default()).call(call).await);
    assert_eq!((answer.code.http_code(), answer.sent, asked.load(Ordering::SeqCst)), (0, false, 0));
    assert_eq!(answer.class, Class::Retry { after: None });
    let error = answer.error.expect("a reason");
    assert!(error.to_lowercase().contains("refused") && !error.contains("hunter2"), "{error}");
}
