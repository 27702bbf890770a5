//! Tests of the worker as a whole, on a [`fixture`] with a real store, a real journal, a clock that
//! the test moves, and a receiver that it scripts.

mod brokers;
mod brokers_heard;
mod brokers_patience;
mod chunks;
mod deferral;
mod fairness;
mod firing;
mod fixture;
mod held_back;
mod isolation;
mod jitter;
mod late_changes;
mod overlap;
mod poison;
mod program_faults;
mod queues;
mod queues_edited;
mod queues_moved;
mod recovery;
mod second_kind;
mod targets;
mod timing;
mod wake_ups;

#[tokio::test]
async fn an_engine_that_was_asked_to_stop_counts_as_running_and_one_that_panicked_does_not() {
    let broken = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let is_broken = async |begin_proposals: bool, engine: tokio::task::JoinHandle<()>| {
        let (stop, stopped) = tokio::sync::watch::channel(begin_proposals);
        super::handle::attend(engine, stopped, broken.clone()).await;
        drop(stop);
        broken.load(std::sync::atomic::Ordering::SeqCst)
    };
    assert!(!is_broken(true, tokio::spawn(async {})).await);
    let aborted = tokio::spawn(std::future::pending());
    aborted.abort();
    assert!(!is_broken(false, aborted).await, "the runtime ends");
    assert!(is_broken(true, tokio::spawn(async { panic!("a test's") })).await);
}
