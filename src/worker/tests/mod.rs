//! The engine's stories, told in a small world: real store, a real journal, a clock that the test
//! moves, and a receiver that says what it is told to say.

mod fair;
mod held;
mod jitter;
mod poison;
mod sending;
mod sift;
mod stories;
mod timing;
mod wakes;
mod world;

#[tokio::test]
async fn an_engine_that_was_asked_to_stop_counts_as_running_and_one_that_panicked_does_not() {
    let broken = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let is_broken = async |asked: bool, engine: tokio::task::JoinHandle<()>| {
        let (stop, stopped) = tokio::sync::watch::channel(asked);
        super::attend(engine, stopped, broken.clone()).await;
        drop(stop);
        broken.load(std::sync::atomic::Ordering::SeqCst)
    };
    assert!(!is_broken(true, tokio::spawn(async {})).await);
    let aborted = tokio::spawn(std::future::pending());
    aborted.abort();
    assert!(!is_broken(false, aborted).await, "the runtime ends");
    assert!(is_broken(true, tokio::spawn(async { panic!("a test's") })).await);
}
