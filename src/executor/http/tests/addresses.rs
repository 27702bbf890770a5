//! The addresses that calls go to: names are checked by what they resolve to.

use super::*;

/// A resolver that sends every name to the same addresses.
pub(super) struct Always(pub(super) Vec<SocketAddr>);

impl Lookup for Always {
    fn lookup(&self, _: String, _: ProjectId) -> LookupFuture {
        let addresses = self.0.clone();
        Box::pin(async move { Ok(addresses) })
    }
}

#[tokio::test]
async fn a_name_is_checked_by_the_addresses_that_it_resolves_to() {
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
        assert_eq!((answer.code.http_code(), answer.sent), (0, false));
        assert!(answer.error.as_deref().is_some_and(|e| e.contains(why)), "{answer:?}");
    }
    assert_eq!(count.load(Ordering::SeqCst), 0);
    // Of several addresses only the allowed ones are tried.
    let mixed = with(&["169.254.169.254", "127.0.0.1"], open);
    assert_eq!(answer(within("it arrives", mixed.call(call(&url))).await).code.http_code(), 200);
    // An address in the URL itself never passes through the resolver.
    let literal = answer(mixed.call(call("http://169.254.169.254/latest")).await);
    assert!(!literal.sent && literal.error.is_some_and(|e| e.contains("link-local")));
}

/// A resolver whose answer for a name changes with each question.
pub(super) struct Changing(pub(super) Mutex<std::collections::VecDeque<&'static str>>);

impl Lookup for Changing {
    fn lookup(&self, _: String, _: ProjectId) -> LookupFuture {
        let mut answers = self.0.lock().expect("no panic");
        let address = answers.pop_front().expect("one question a connection");
        let address = SocketAddr::new(address.parse().expect("an address"), 0);
        Box::pin(async move { Ok(vec![address]) })
    }
}

#[tokio::test]
async fn the_address_that_was_checked_is_the_address_connected_to() {
    let count = Arc::new(AtomicUsize::new(0));
    let counter = count.clone();
    let receive = move || async move {
        counter.fetch_add(1, Ordering::SeqCst);
        [("connection", "close")]
    };
    let address = serve(Router::new().route("/", post(receive))).await;
    let url = format!("http://rebinding.example:{}/", address.port());
    // If the resolver were asked once for the check and once for the connection, the second answer
    // would be used.
    let answers = ["127.0.0.1", "169.254.169.254", "::ffff:a9fe:a9fe", "0.0.0.0", "127.0.0.1"];
    let lookup = Arc::new(Changing(Mutex::new(answers.into())));
    let executor = executor(Options { lookup: lookup.clone(), ..Options::default() });
    for (nth, fine) in [true, false, false, false, true].into_iter().enumerate() {
        let answer = answer(within("an answer", executor.call(call(&url))).await);
        assert_eq!(
            (answer.code.http_code() == 200, answer.sent),
            (fine, fine),
            "{nth}: {answer:?}"
        );
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
