//! Kept connections that turn out to be closed: one more try, and no more.

use raw::{OK, Receiver, Signal, Taken};

use super::leaving::{Names, identity};
use super::*;
use crate::clock::TestClock;

/// The way in which a receiver ends a connection over which it has answered one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// It closes the connection while the next request is on its way, and reads nothing of it.
    Unread,
    /// It reads the next request and closes the connection.
    Read,
    /// It reads the next request and resets the connection.
    Reset,
}

const ENDS: [End; 3] = [End::Unread, End::Read, End::Reset];

/// A receiver whose first connection ends in this way; later ones are served. For [`End::Unread`]
/// the signal ends it.
fn closing(end: End, tls: bool) -> (Receiver, Signal) {
    let (signal, told) = Signal::new();
    let told = Mutex::new(told);
    let tls = tls.then(|| certs::server(certs::SERVER, None));
    let receiver = Receiver::start(tls, move |number, mut taken| {
        if number > 0 {
            return taken.serve();
        }
        assert!(taken.read() && taken.send(OK));
        match end {
            End::Unread => {
                let done = told.lock().unwrap().recv();
                drop(taken);
                drop(done);
            }
            End::Read => {
                taken.read();
            }
            End::Reset => {
                taken.read();
                taken.reset();
            }
        }
    });
    (receiver, signal)
}

/// A call whose checks are counted. The first check gives the signal to the receiver.
fn told(url: &str, end: End, signal: &Signal, asked: &Arc<AtomicUsize>) -> Call {
    let (signal, asked) = (signal.clone(), Arc::clone(asked));
    let check = move || {
        if asked.fetch_add(1, Ordering::SeqCst) == 0 && end == End::Unread {
            signal.give();
        }
        true
    };
    Call::new(url.into(), Vec::new(), Bytes::from_static(b"[{}]"), check)
}

fn line(name: &'static str, value: &'static str) -> (HeaderName, HeaderValue) {
    (HeaderName::from_static(name), HeaderValue::from_static(value))
}

/// Checks what the receiver saw of one request that was sent twice: equal requests, the second one
/// over a new connection.
fn is_seen(seen: &[(usize, String)], end: End, what: &str) {
    let connections: Vec<_> = seen.iter().map(|(number, _)| *number).collect();
    let expected: &[usize] = if end == End::Unread { &[1] } else { &[0, 1] };
    assert_eq!(connections, expected, "{what}");
    assert!(seen.iter().all(|(_, text)| *text == seen[0].1), "{what}: {seen:?}");
}

#[tokio::test]
async fn a_kept_connection_that_is_closed_unanswered_costs_no_attempt() {
    for end in ENDS {
        for (method, length, batch) in
            [(Method::POST, 4, false), (Method::POST, 300_000, true), (Method::GET, 0, false)]
        {
            let what = format!("{end:?} {method} {length}");
            let (receiver, signal) = closing(end, false);
            let executor = executor(Options::default());
            let asked = Arc::new(AtomicUsize::new(0));
            let first = answer(executor.call(call(&receiver.url())).await);
            assert_eq!((first.code.http_code(), receiver.seen().len()), (200, 1), "{what}");
            let mut second = told(&receiver.url(), end, &signal, &asked);
            second.method = method;
            second.batch = batch;
            second.body = vec![b'x'; length].into();
            second.headers = vec![line("idempotency-key", "k-1"), line("scheduler-attempt", "1")];
            let answer = answer(within("an answer", executor.call(second)).await);
            assert_eq!((answer.code.http_code(), answer.error), (200, None), "{what}");
            assert_eq!(asked.load(Ordering::SeqCst), 2, "{what}: each has a check of its own");
            let seen = receiver.seen();
            is_seen(&seen, end, &what);
            assert!(seen[0].1.contains("idempotency-key: k-1\r\n"), "{what}");
            assert_eq!(executor.open_breakers(), [], "{what}");
        }
    }
}

#[tokio::test]
async fn one_more_try_is_made_within_tls_and_by_way_of_the_proxy() {
    for end in ENDS {
        let (receiver, signal) = closing(end, true);
        let url = format!("https://127.0.0.1:{}/", receiver.port);
        let executor = executor(Options::default());
        let asked = Arc::new(AtomicUsize::new(0));
        let tls = identity(certs::CA, "", "");
        let first = Call { tls: tls.clone(), ..call(&url) };
        assert_eq!(answer(executor.call(first).await).code.http_code(), 200, "{end:?}");
        receiver.seen();
        let second = Call { tls, ..told(&url, end, &signal, &asked) };
        let answer = answer(within("an answer", executor.call(second)).await);
        assert_eq!(
            (answer.code.http_code(), asked.load(Ordering::SeqCst)),
            (200, 2),
            "{end:?}: {answer:?}"
        );
        is_seen(&receiver.seen(), end, &format!("tls {end:?}"));
    }
    for end in ENDS {
        let (proxy, signal) = closing(end, false);
        let executor = executor(Options {
            lookup: Arc::new(Names(vec![("good.test", vec!["93.184.216.34"])])),
            proxy: Some(EgressProxy::read(&proxy.url()).unwrap()),
            ..Options::default()
        });
        let url = "http://good.test/x";
        let asked = Arc::new(AtomicUsize::new(0));
        assert_eq!(answer(executor.call(call(url)).await).code.http_code(), 200, "{end:?}");
        proxy.seen();
        let second = executor.call(told(url, end, &signal, &asked));
        let answer = answer(within("an answer", second).await);
        assert_eq!(
            (answer.code.http_code(), asked.load(Ordering::SeqCst)),
            (200, 2),
            "{end:?}: {answer:?}"
        );
        let seen = proxy.seen();
        is_seen(&seen, end, &format!("proxy {end:?}"));
        assert!(seen[0].1.starts_with("POST http://good.test/x HTTP/1.1\r\n"), "{seen:?}");
    }
}

/// A receiver that serves the first request, reads the next one over the same connection, and then
/// calls `next`.
fn then(next: impl Fn(&mut Taken) + Send + Sync + 'static) -> Receiver {
    Receiver::start(None, move |number, mut taken| {
        if number == 0 && !(taken.read() && taken.send(OK)) {
            return;
        }
        if taken.read() {
            next(&mut taken);
        }
    })
}

#[tokio::test]
async fn with_one_byte_of_an_answer_the_connection_is_no_excuse() {
    for begun in
        [&b"H"[..], b"HTTP/1.1 200 OK\r\ncontent-", b"HTTP/1.1 100 Continue\r\n\r\n", b"\r\n"]
    {
        let receiver = then(move |taken| {
            taken.send(begun);
        });
        let executor = executor(Options::default());
        answer(executor.call(call(&receiver.url())).await);
        receiver.seen();
        let failed = answer(within("a failure", executor.call(call(&receiver.url()))).await);
        assert_eq!((failed.code.http_code(), failed.sent), (0, true), "{failed:?}");
        let error = failed.error.unwrap();
        assert_eq!(error, "the receiver closed the connection in the head of its answer");
        assert_eq!(receiver.seen().len(), 1, "it went out once");
    }
}

#[tokio::test]
async fn a_fresh_connection_that_is_closed_is_a_failure_and_a_second_try_is_the_last() {
    let receiver = Receiver::start(None, |_, mut taken| {
        taken.read();
    });
    let executor = executor(Options::default());
    let failed = answer(within("a failure", executor.call(call(&receiver.url()))).await);
    let unanswered = "the receiver closed the connection without an answer";
    assert_eq!(
        (failed.code.http_code(), failed.sent, failed.error.as_deref()),
        (0, true, Some(unanswered))
    );
    assert_eq!(receiver.seen().len(), 1);

    let receiver = then(|_| {});
    answer(executor.call(call(&receiver.url())).await);
    receiver.seen();
    let failed = answer(within("a failure", executor.call(call(&receiver.url()))).await);
    let twice = format!("{unanswered}; then again: {unanswered}");
    assert_eq!((failed.code.http_code(), failed.sent, failed.error), (0, true, Some(twice)));
    let connections: Vec<_> = receiver.seen().into_iter().map(|(number, _)| number).collect();
    assert_eq!(connections, [0, 1], "twice and no more");
}

#[tokio::test]
async fn if_the_check_fails_before_the_second_try_the_first_one_has_failed() {
    let receiver = then(|_| {});
    let executor = executor(Options::default());
    answer(executor.call(call(&receiver.url())).await);
    receiver.seen();
    let mut checks = vec![false, true];
    let mut call = call(&receiver.url());
    call.before_send = Box::new(move || checks.pop().unwrap());
    let failed = answer(within("a failure", executor.call(call)).await);
    let unanswered = "the receiver closed the connection without an answer";
    assert_eq!(
        (failed.code.http_code(), failed.sent, failed.error.as_deref()),
        (0, true, Some(unanswered))
    );
    assert_eq!(receiver.seen().len(), 1, "not a byte of the second went out");
}

#[tokio::test]
async fn both_tries_have_the_time_of_one_call() {
    let (never, held) = std::sync::mpsc::channel::<()>();
    let held = Mutex::new(held);
    // The second one hangs until the test is over.
    let receiver = Receiver::start(None, move |number, mut taken| {
        if number == 0 {
            assert!(taken.read() && taken.send(OK) && taken.read());
        } else {
            taken.read();
            let _ = held.lock().unwrap().recv();
        }
    });
    let executor = executor(Options::default());
    answer(executor.call(call(&receiver.url())).await);
    let mut call = call(&receiver.url());
    call.timeout = Some(Duration::from_millis(400));
    let failed = answer(within("a failure", executor.call(call)).await);
    assert_eq!((failed.code.http_code(), failed.sent), (0, true));
    assert_eq!(failed.error.as_deref(), Some("timeout: no complete answer within 400ms"));
    assert_eq!(receiver.seen().len(), 3);
    drop(never);
}

#[tokio::test]
async fn no_more_connections_are_kept_than_the_bound_and_the_oldest_goes() {
    let (most, clock) = (20, TestClock::new(1_763_700_000_000));
    let receivers: Vec<_> =
        (0..=most).map(|_| Receiver::start(None, |_, mut taken| taken.serve())).collect();
    let time = Arc::new(SchedulerTime::new(clock.clone()));
    let executor = Executor::new(Options { max_idle: most, ..Options::default() }, time);
    let executor = executor.expect("an executor");
    for receiver in &receivers {
        clock.advance(Duration::from_millis(1));
        assert_eq!(answer(executor.call(call(&receiver.url())).await).code.http_code(), 200);
    }
    for (nth, connections) in [(most, [0, 0]), (1, [0, 0]), (0, [0, 1])] {
        clock.advance(Duration::from_millis(1));
        assert_eq!(answer(executor.call(call(&receivers[nth].url())).await).code.http_code(), 200);
        let seen = receivers[nth].seen();
        assert_eq!(seen.into_iter().map(|(of, _)| of).collect::<Vec<_>>(), connections, "{nth}");
    }
}
