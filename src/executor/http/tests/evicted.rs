//! Calls that are ended while they hang, because others need their place.

use raw::Receiver;

use super::*;

#[tokio::test]
async fn a_call_that_is_ended_for_its_place_is_a_timeout_and_no_failure_of_its_destination() {
    let receiver = Receiver::start(None, |_, mut taken| while taken.read() {});
    let breaker = Rules { failures: 1, cooldown: 60_000 };
    let options = Options { max_workers: 1, max_hanging: 1, breaker, ..Options::default() };
    let executor = executor(options);
    let of = |project, seconds| Call {
        project,
        timeout: Some(Duration::from_secs(seconds)),
        ..call(&receiver.url())
    };
    let first = tokio::spawn({
        let (executor, call) = (executor.clone(), of(1, 300));
        async move { executor.call(call).await }
    });
    within("it hangs", async {
        while executor.occupancy().hanging == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    let second = answer(within("its own timeout", executor.call(of(2, 2))).await);
    assert_eq!(second.error.as_deref(), Some("timeout: no complete answer within 2s"));
    let first = answer(within("its end", first).await.expect("no panic"));
    assert_eq!((first.code.http_code(), first.sent), (0, true));
    let error = first.error.expect("it has failed");
    assert!(error.starts_with("timeout: ended after "), "{error}");
    assert!(error.ends_with(" s: the node's places for hanging calls are full"), "{error}");
    assert_eq!(
        executor.availability(&receiver.url(), 1),
        Availability::Available,
        "it had time left"
    );
}
