//! The policy of targets at each connection: rebinding names, lists of projects over kept
//! connections, redirects, and answers that nobody is to read.

use super::addresses::{Always, Changing};
use super::*;
use crate::config::TargetPolicy;
use crate::model::target_pattern::TargetPattern;

fn patterns(texts: &[&str]) -> Arc<[TargetPattern]> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn guard(policy: TargetPolicy, allowed: &[&str]) -> TargetGuard {
    TargetGuard {
        allow_loopback: false,
        allow_private: false,
        policy,
        allowed: patterns(allowed),
        ..TargetGuard::default()
    }
}

fn always(ip: &str) -> Arc<Always> {
    Arc::new(Always(vec![SocketAddr::new(ip.parse().unwrap(), 0)]))
}

/// The text of an attempt that was refused before anything was sent.
fn refusal(attempt: &Attempt) -> &str {
    let error = attempt.error.as_deref().unwrap_or_default();
    assert!(!attempt.sent && error.starts_with("target_not_allowed: "), "{attempt:?}");
    error
}

/// Serves an answer with a body and counts the requests.
async fn counted(status: StatusCode, body: &'static str) -> (SocketAddr, Arc<AtomicUsize>) {
    let count = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&count);
    let receive = move || async move {
        counter.fetch_add(1, Ordering::SeqCst);
        (status, body)
    };
    (serve(Router::new().route("/", post(receive))).await, count)
}

#[tokio::test]
async fn a_name_that_rebinds_to_a_private_address_is_not_followed() {
    let (address, count) = counted(StatusCode::OK, "").await;
    let url = format!("http://rebinding.example:{}/", address.port());
    // At the first look it is public, at the connection it is not.
    let answers = ["127.0.0.1", "::ffff:127.0.0.1", "10.0.0.1", "2002:7f00:1::", "64:ff9b::7f00:1"];
    let lookup = Arc::new(Changing(Mutex::new(answers.into())));
    let guard = guard(TargetPolicy::Public, &[]);
    guard.check_url(&url).unwrap();
    let executor = executor(Options { guard, lookup, ..Options::default() });
    for ip in answers {
        let attempt = answer(within("refused at once", executor.call(call(&url))).await);
        assert!(refusal(&attempt).contains("it is a "), "{ip}");
    }
    assert_eq!(count.load(Ordering::SeqCst), 0);
    assert_eq!(executor.open_breakers(), [], "it says nothing about the receiver");
}

#[tokio::test]
async fn a_listed_name_or_network_is_called_and_its_answer_is_for_nobody_to_read() {
    const SECRET: &str = "the answer of an internal host";
    for (status, code) in [(StatusCode::OK, 200), (StatusCode::BAD_REQUEST, 400)] {
        let (address, count) = counted(status, SECRET).await;
        let port = address.port();
        let by_name = format!("listed.example:{port}");
        let by_network = format!("127.0.0.0/8:{port}");
        let url = format!("http://listed.example:{port}/");
        for (policy, allowed, hidden) in [
            (TargetPolicy::Public, vec![by_name.as_str()], true),
            (TargetPolicy::List, vec![by_name.as_str()], true),
            (TargetPolicy::List, vec![by_network.as_str()], true),
            (TargetPolicy::Open, vec![], false),
        ] {
            let is_open = policy == TargetPolicy::Open;
            let guard = TargetGuard { allow_loopback: is_open, ..guard(policy, &allowed) };
            let executor =
                executor(Options { guard, lookup: always("127.0.0.1"), ..Options::default() });
            // The second call goes over the kept connection.
            for _ in 0..2 {
                let attempt = answer(within("an answer", executor.call(call(&url))).await);
                assert_eq!(attempt.code.http_code(), code, "{attempt:?}");
                let shown = format!("{:?} {}", attempt.body, attempt.error.unwrap_or_default());
                assert_eq!(!shown.contains(SECRET), hidden, "{policy:?} {shown}");
            }
        }
        assert_eq!(count.load(Ordering::SeqCst), 8);
    }
}

#[tokio::test]
async fn a_hidden_answer_to_a_batch_still_names_the_jobs_that_failed() {
    let body = r#"{"failed": ["no execution"]}"#;
    let (address, _) = counted(StatusCode::OK, body).await;
    let url = format!("http://listed.example:{}/", address.port());
    let allowed = format!("listed.example:{}", address.port());
    let guard = guard(TargetPolicy::List, &[&allowed]);
    let executor = executor(Options { guard, lookup: always("127.0.0.1"), ..Options::default() });
    let call = Call { batch: true, ..call(&url) };
    let attempt = answer(within("an answer", executor.call(call)).await);
    assert_ne!(attempt.acceptance, Acceptance::All, "{attempt:?}");
    assert!(attempt.body.is_empty());
}

#[tokio::test]
async fn the_list_of_a_project_holds_over_the_kept_connection_of_another() {
    let (address, count) = counted(StatusCode::OK, "").await;
    let url = format!("http://name.example:{}/", address.port());
    let executor = executor(Options { lookup: always("127.0.0.1"), ..Options::default() });
    let with = |allowed: Option<&str>| Call {
        allowed: allowed.map(|allowed| patterns(&[allowed])),
        ..call(&url)
    };
    let ask = async |allowed| answer(within("an answer", executor.call(with(allowed))).await);
    assert_eq!(ask(None).await.code.http_code(), 200);
    // Its address is no one of these, though a connection to it is kept.
    assert!(refusal(&ask(Some("10.0.0.0/8:*")).await).contains("allowedTargets"));
    assert!(refusal(&ask(Some("other.example:*")).await).contains("allowedTargets"));
    assert_eq!(ask(Some("127.0.0.0/8:*")).await.code.http_code(), 200);
    assert_eq!(ask(Some("name.example:*")).await.code.http_code(), 200);
    assert_eq!(count.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn a_redirect_to_an_internal_host_is_not_followed() {
    let (inner, count) = counted(StatusCode::OK, "").await;
    let to = format!("http://{inner}/");
    let redirect = move || async move { (StatusCode::FOUND, [("location", to)]) };
    let outer = serve(Router::new().route("/", post(redirect))).await;
    let allowed = format!("outer.example:{}", outer.port());
    let guard = guard(TargetPolicy::List, &[&allowed]);
    let executor = executor(Options { guard, lookup: always("127.0.0.1"), ..Options::default() });
    let url = format!("http://outer.example:{}/", outer.port());
    let attempt = answer(within("an answer", executor.call(call(&url))).await);
    assert_eq!(attempt.code.http_code(), 302);
    assert_eq!(count.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn no_spelling_passes_the_policy_at_the_call() {
    let executor = executor(Options {
        guard: guard(TargetPolicy::Public, &["https://*.example.com"]),
        lookup: always("127.0.0.1"),
        ..Options::default()
    });
    for url in [
        "http://127.0.0.1:3000/",
        "http://0x7f.1:3000/",
        "http://017700000001:3000/",
        "http://2130706433:3000/",
        "http://[::ffff:7f00:1]:3000/",
        "http://[64:ff9b::7f00:1]:3000/",
        "http://[2002:7f00:1::]:3000/",
        "http://localhost:3000/",
        "http://evilexample.com/",
        "http://example.com:22/",
    ] {
        let mut refused = call(url);
        refused.before_send = Box::new(|| panic!("nothing may be sent"));
        let attempt = answer(within("refused at once", executor.call(refused)).await);
        refusal(&attempt);
    }
}
