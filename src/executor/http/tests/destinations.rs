//! Destinations that hang or keep failing, beside others.

use super::*;

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
            assert_eq!(answer(reply.await).code.http_code(), 200);
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
        assert_eq!(answer(executor.call(call(&dead)).await).code.http_code(), 503);
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
        assert_eq!(answer(executor.call(call(&live)).await).code.http_code(), 200);
    }
    clock.advance(Duration::from_secs(6));
    assert_eq!(
        (executor.availability(&dead, 0), executor.availability(&live, 0)),
        (Availability::Available, Availability::Available)
    );
    assert_eq!(answer(executor.call(call(&dead)).await).code.http_code(), 503);
    assert!(matches!(executor.call(call(&dead)).await, Reply::Refused { .. }));
    assert_eq!(calls.load(Ordering::SeqCst), 6, "five to find out, and a probe");
    let calls = executor.calls();
    assert!(calls.refused >= 101 && calls.destinations.len() == 1, "{calls:?}");
    assert!(calls.destinations[0].open && dead.starts_with(&calls.destinations[0].name));
}
