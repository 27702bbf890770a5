//! Receivers that send informational answers or header lines without an end. The call ends by their
//! bytes, long before its time is up. (`meter` has the tests below TLS.)

use std::sync::atomic::AtomicU64;

use raw::Receiver;

use super::*;

/// More bytes than the socket buffers of both ends hold and the call reads before it ends.
const FLOOD: u64 = 64 * 1_024 * 1_024;

/// A receiver that reads a request, sends `first`, and then `again` until the connection ends, but
/// no more than [`FLOOD`] bytes; and the number of bytes sent.
fn flooding(first: &'static [u8], again: &'static [u8]) -> (Receiver, Arc<AtomicU64>) {
    let sent = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&sent);
    let receiver = Receiver::start(None, move |_, mut taken| {
        let piece = again.repeat(8_192 / again.len());
        let mut more = taken.read() && taken.send(first);
        while more && counter.load(Ordering::SeqCst) < FLOOD {
            more = taken.send(&piece);
            counter.fetch_add(piece.len() as u64, Ordering::SeqCst);
        }
    });
    (receiver, sent)
}

const ENDLESS: &str = "the receiver sends no end of informational answers";

async fn is_ended(executor: &Executor, call: Call) -> Attempt {
    let call = Call { timeout: Some(Duration::from_mins(5)), ..call };
    let answer = answer(within("its end", executor.call(call)).await);
    assert_eq!((answer.code.http_code(), answer.sent), (0, true), "{answer:?}");
    answer
}

#[tokio::test]
async fn informational_answers_without_an_end_end_the_call() {
    let executor = executor(Options::default());
    for (first, again) in [
        (&b""[..], &b"HTTP/1.1 100 Continue\r\n\r\n"[..]),
        (b"", b"HTTP/1.1 103 Early Hints\r\nlink: </a>; rel=preload\r\n\r\n"),
        (b"HTTP/1.1 200 OK\r\n", b"x-a: b\r\n"),
        (b"HTTP/1.1 200 OK\r\nx-a: ", b"b"),
        (b"HTTP/1.1 200 ", b"OK"),
    ] {
        let (receiver, sent) = flooding(first, again);
        let error = is_ended(&executor, call(&receiver.url())).await.error.unwrap();
        let shown = String::from_utf8_lossy(again);
        assert!(error.starts_with(ENDLESS), "{shown}: {error}");
        assert!(sent.load(Ordering::SeqCst) < FLOOD / 2, "{shown}");
    }
}

#[tokio::test]
async fn the_bound_holds_for_each_answer_over_a_kept_connection() {
    let informational = b"HTTP/1.1 100 Continue\r\n\r\n".repeat(1_000);
    let receiver = Receiver::start(None, move |_, mut taken| {
        for _ in 0..5 {
            if !(taken.read() && taken.send(&informational) && taken.send(raw::OK)) {
                return;
            }
        }
        let mut more = taken.read();
        while more {
            more = taken.send(&informational);
        }
    });
    let executor = executor(Options::default());
    for _ in 0..5 {
        let answer = answer(executor.call(call(&receiver.url())).await);
        assert_eq!((answer.code.http_code(), &*answer.body), (200, &b"ok"[..]), "{answer:?}");
    }
    let error = is_ended(&executor, call(&receiver.url())).await.error.unwrap();
    assert!(error.starts_with(ENDLESS), "{error}");
    assert!(receiver.seen().iter().all(|(connection, _)| *connection == 0));
}

#[tokio::test]
async fn a_long_body_behind_a_head_is_no_flood() {
    let body = vec![b'x'; 300_000];
    let receiver = Receiver::start(None, move |_, mut taken| {
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
        let whole = [head.as_bytes(), &body].concat();
        while taken.read() && taken.send(&whole) {}
    });
    let executor = executor(Options::default());
    for _ in 0..20 {
        let batch = Call { batch: true, ..call(&receiver.url()) };
        let answer = answer(executor.call(batch).await);
        assert_eq!(
            (answer.code.http_code(), answer.body.len()),
            (200, MAX_BATCH_BODY),
            "{answer:?}"
        );
    }
    assert!(receiver.seen().iter().all(|(connection, _)| *connection == 0), "it is kept");
}
