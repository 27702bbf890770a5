//! Calls of kinds that keep to the rules of the gate, and of kinds that do not.

use std::sync::Mutex;

use futures_util::FutureExt as _;

use super::*;
use crate::clock::SystemClock;
use crate::delivery::attempt::Class;
use crate::delivery::availability::Availability;
use crate::delivery::batch::Labels;
use crate::delivery::breaker::Rules;
use crate::delivery::call::Call;
use crate::delivery::call_queue::CallQueue;
use crate::delivery::destination::{Address, Destination, Limits};
use crate::delivery::destination_queues::QueueOptions;
use crate::delivery::gate::Gate;
use crate::delivery::registry::Registry;
use crate::delivery::reply::JobsAttempt;
use crate::delivery::request::PreparedRequest;
use crate::model::ProjectId;
use crate::model::call_target::CallTarget;
use crate::model::target::SigningSecret;

/// A request that is sent by a function of the test.
struct Scripted<F>(F);

impl<F, S> PreparedRequest for Scripted<F>
where
    F: FnOnce(Gate) -> S + Send + 'static,
    S: Future<Output = Reply> + Send + 'static,
{
    fn admit(&self) -> Result<(), String> {
        Ok(())
    }

    fn complete(
        &mut self,
        _: &CallTarget,
        _: &Labels<'_>,
        _: &[SigningSecret],
    ) -> Result<(), String> {
        Ok(())
    }

    fn send(self: Box<Self>, gate: Gate) -> Sending {
        Box::pin((self.0)(gate))
    }
}

fn queue(options: &QueueOptions) -> CallQueue {
    let time = Arc::new(SchedulerTime::new(Arc::new(SystemClock)));
    CallQueue::new(Registry::new([]), options, time)
}

fn call<S>(timeout: u64, send: impl FnOnce(Gate) -> S + Send + 'static) -> Call
where
    S: Future<Output = Reply> + Send + 'static,
{
    Call {
        request: Box::new(Scripted(send)),
        destination: Destination::new("d"),
        path: 0,
        project: 1,
        probe: false,
        limits: Limits::default(),
        jobs: 1,
        timeout: Duration::from_millis(timeout),
        before_send: Box::new(|| true),
        unwanted: None,
    }
}

/// Sends its first byte and never replies.
async fn hang(gate: Gate) -> Reply {
    assert!(gate.check().passes());
    std::future::pending().await
}

fn attempt(reply: Reply) -> Attempt {
    match reply {
        Reply::Done(attempt) | Reply::Unwanted(attempt) => attempt,
        other => panic!("{other:?}"),
    }
}

async fn within<T>(what: &str, fact: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), fact).await.expect(what)
}

#[tokio::test]
async fn a_call_ends_in_time_although_its_kind_does_not_ask() {
    let queue = queue(&QueueOptions::default());
    let kept = Arc::new(Mutex::new(None));
    let keep = Arc::clone(&kept);
    let send = move |gate: Gate| {
        *keep.lock().unwrap() = Some(Arc::clone(gate.check()));
        hang(gate)
    };
    let cut = attempt(within("an end", queue.call(call(30, send))).await);
    assert_eq!(cut.error.as_deref(), Some("timeout: no complete answer within 30ms"));
    assert_eq!((cut.class, cut.sent), (Class::Retry { after: None }, true));
    assert!(cut.duration_ms >= 30, "{cut:?}");
    assert_eq!(queue.load(), [], "its place is free again");
    let check: Arc<SendCheck> = kept.lock().unwrap().take().unwrap();
    assert!(!check.passes(), "what it left running sends nothing more");
    let silent = |_: Gate| std::future::pending();
    let cut = attempt(within("an end", queue.call(call(30, silent))).await);
    assert_eq!(cut.error.as_deref(), Some("timeout: no connection within 30ms"));
    assert!(!cut.sent);
}

#[tokio::test]
async fn a_kind_that_is_told_of_the_end_says_itself_what_came_of_its_jobs() {
    let queue = queue(&QueueOptions::default());
    let send = async |mut gate: Gate| {
        assert!(gate.check().passes());
        let end = gate.run(std::future::pending::<()>()).await;
        assert_eq!(end, Err(Interruption::TimedOut));
        assert!(!gate.check().passes(), "the call is over");
        let began = gate.tried();
        gate.finish(began, CallOutcome::Nothing);
        let part = JobsAttempt { jobs: vec![7], attempt: Attempt::default() };
        Reply::PerJob { parts: vec![part], rest: Rest::Withheld }
    };
    let reply = within("a reply", queue.call(call(30, send))).await;
    let Reply::PerJob { parts, rest: Rest::Withheld } = reply else { panic!("{reply:?}") };
    assert_eq!(parts[0].jobs, [7]);
    // Also where the exchange runs in another task than the call is watched by.
    let elsewhere = async |mut gate: Gate| {
        let task = tokio::spawn(async move { gate.run(std::future::pending::<()>()).await });
        let end = task.await.expect("no panic");
        Reply::Done(Attempt { error: Some(format!("{end:?}")), ..Attempt::default() })
    };
    let told = attempt(within("a reply", queue.call(call(30, elsewhere))).await);
    assert_eq!(told.error.as_deref(), Some("Err(TimedOut)"));
    // An exchange that is over in time is not touched.
    let quick = async |mut gate: Gate| {
        let done = gate.run(async { 5 }).await;
        Reply::Done(Attempt { error: Some(format!("{done:?}")), ..Attempt::default() })
    };
    let quick = attempt(queue.call(call(30, quick)).now_or_never().expect("at once"));
    assert_eq!(quick.error.as_deref(), Some("Ok(5)"));
}

#[tokio::test]
async fn a_call_ends_when_its_jobs_are_gone_although_its_kind_does_not_ask() {
    let queue = queue(&QueueOptions::default());
    let gone = |send| Call {
        unwanted: Some(Box::new(|| Box::pin(std::future::ready(())))),
        ..call(60_000, send)
    };
    let sent = within("an end", queue.call(gone(hang))).await;
    let Reply::Unwanted(sent) = sent else { panic!("{sent:?}") };
    assert_eq!(sent.error.as_deref(), Some(crate::delivery::interruption::UNWANTED));
    let silent = |_: Gate| std::future::pending();
    let call = Call {
        unwanted: Some(Box::new(|| Box::pin(std::future::ready(())))),
        ..call(60_000, silent)
    };
    assert_eq!(within("an end", queue.call(call)).await, Reply::Withheld);
}

#[tokio::test]
async fn a_call_makes_room_although_its_kind_does_not_ask() {
    let breaker = Rules { failures: 1, cooldown: 60_000 };
    let options =
        QueueOptions { max_workers: 1, max_hanging: 1, breaker, ..QueueOptions::default() };
    let queue = queue(&options);
    let of = |project: ProjectId, timeout| Call { project, ..call(timeout, hang) };
    let first = tokio::spawn({
        let (queue, call) = (queue.clone(), of(1, 300_000));
        async move { queue.call(call).await }
    });
    within("it hangs", async {
        while queue.occupancy().hanging == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    let second = attempt(within("its own timeout", queue.call(of(2, 2_000))).await);
    assert_eq!(second.error.as_deref(), Some("timeout: no complete answer within 2s"));
    let first = attempt(within("its end", first).await.expect("no panic"));
    let error = first.error.expect("it has failed");
    assert!(error.ends_with(" s: the node's places for hanging calls are full"), "{error}");
    let address = Address { destination: Destination::new("d"), path: 0, name: "d".into() };
    assert_eq!(queue.availability(&address, 1), Availability::Available, "it had time left");
}

#[tokio::test]
async fn jobs_that_are_kept_back_for_no_reason_are_put_off() {
    let queue = queue(&QueueOptions::default());
    let withheld = |asks: bool| {
        async move |gate: Gate| {
            if asks {
                let _ = gate.check().passes();
            }
            Reply::Withheld
        }
    };
    let may = |may: bool, send| Call { before_send: Box::new(move || may), ..call(1_000, send) };
    for (asks, leave) in [(false, true), (true, true), (false, false)] {
        let reply = queue.call(may(leave, withheld(asks))).await;
        let Reply::Refused { obstacle: Obstacle::Node(why), .. } = reply else {
            panic!("{asks} {leave}: {reply:?}")
        };
        assert_eq!(why, KEPT_BACK);
    }
    assert_eq!(queue.call(may(false, withheld(true))).await, Reply::Withheld);
    let rest = async |_: Gate| Reply::PerJob { parts: Vec::new(), rest: Rest::Withheld };
    let reply = queue.call(call(1_000, rest)).await;
    assert!(matches!(reply, Reply::PerJob { rest: Rest::Refused { .. }, .. }), "{reply:?}");
}
