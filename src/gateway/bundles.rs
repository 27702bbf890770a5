//! Bundles: messages to a node share calls. A few calls to a node are under way at a time, and each
//! carries what has gathered meanwhile. `claims` and `heartbeats` have one of these each; so many
//! messages to a node that does not answer wait for each other, and for nobody else.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use super::supervisors::{Answer, Unanswered};
use crate::model::NodeId;

/// The most calls to a node that are under way at a time.
const CALLS: u32 = 4;
/// The most messages to a node that wait for a call.
const WAITING: usize = 8_192;

/// Makes a call: as many answers as messages, in their order.
type Call<Req, Resp> = Arc<dyn Fn(NodeId, Vec<Req>) -> Answer<Vec<Resp>> + Send + Sync>;
/// A message with the way of its answer.
type Message<Req, Resp> = (Req, oneshot::Sender<Result<Resp, Unanswered>>);

/// The messages of one kind.
pub(super) struct Bundles<Req, Resp>(Arc<Inner<Req, Resp>>);

struct Inner<Req, Resp> {
    call: Call<Req, Resp>,
    weight: fn(&Req) -> usize,
    most: usize,
    nodes: Mutex<BTreeMap<NodeId, Lane<Req, Resp>>>,
}

struct Lane<Req, Resp> {
    waiting: VecDeque<Message<Req, Resp>>,
    under_way: u32,
}

impl<Req: Send + 'static, Resp: Send + 'static> Bundles<Req, Resp> {
    /// Bundles of messages that weigh at most so much together; one message is always in it.
    pub(super) fn new(
        (weight, most): (fn(&Req) -> usize, usize),
        call: impl Fn(NodeId, Vec<Req>) -> Answer<Vec<Resp>> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(Inner { call: Arc::new(call), weight, most, nodes: Mutex::default() }))
    }

    /// Sends a message to a node and waits for its answer. A message whose sender has gone is not
    /// sent.
    pub(super) async fn send(&self, to: NodeId, message: Req) -> Result<Resp, Unanswered> {
        let (answer, answered) = oneshot::channel();
        let begins = {
            let mut nodes = self.0.nodes();
            let lane = nodes.entry(to).or_default();
            if lane.waiting.len() >= WAITING {
                return Err(Unanswered::Crowded);
            }
            lane.waiting.push_back((message, answer));
            let begins = lane.under_way < CALLS;
            lane.under_way += u32::from(begins);
            begins
        };
        if begins {
            tokio::spawn(Arc::clone(&self.0).carry(to));
        }
        answered.await.unwrap_or(Err(Unanswered::Silent))
    }
}

impl<Req, Resp> Default for Lane<Req, Resp> {
    fn default() -> Self {
        Self { waiting: VecDeque::new(), under_way: 0 }
    }
}

impl<Req: Send, Resp: Send> Inner<Req, Resp> {
    fn nodes(&self) -> MutexGuard<'_, BTreeMap<NodeId, Lane<Req, Resp>>> {
        self.nodes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes calls to a node until nothing waits for it.
    async fn carry(self: Arc<Self>, to: NodeId) {
        while let Some((messages, answers)) = self.next(to) {
            let outcome = (self.call)(to, messages).await;
            match outcome {
                Ok(told) if told.len() == answers.len() => {
                    for (answer, one) in answers.into_iter().zip(told) {
                        let _ = answer.send(Ok(one));
                    }
                }
                other => {
                    let why = other.err().unwrap_or(Unanswered::Silent);
                    for answer in answers {
                        let _ = answer.send(Err(why));
                    }
                }
            }
        }
    }

    /// The next bundle; `None` ends this call.
    fn next(
        &self,
        to: NodeId,
    ) -> Option<(Vec<Req>, Vec<oneshot::Sender<Result<Resp, Unanswered>>>)> {
        let mut nodes = self.nodes();
        let lane = nodes.get_mut(&to)?;
        let (mut messages, mut answers, mut room) = (Vec::new(), Vec::new(), self.most);
        while let Some((message, answer)) = lane.waiting.pop_front() {
            let weight = (self.weight)(&message);
            if answer.is_closed() {
                continue;
            }
            if !messages.is_empty() && weight > room {
                lane.waiting.push_front((message, answer));
                break;
            }
            room = room.saturating_sub(weight);
            messages.push(message);
            answers.push(answer);
        }
        if messages.is_empty() {
            lane.under_way -= 1;
            if lane.under_way == 0 {
                nodes.remove(&to);
            }
            return None;
        }
        Some((messages, answers))
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use futures_util::future::join_all;
    use tokio::sync::{Semaphore, mpsc};

    use super::*;

    /// Bundles whose calls are shown, and answered with their messages when a permit is given.
    fn bundles() -> (Bundles<u32, u32>, mpsc::UnboundedReceiver<(NodeId, usize)>, Arc<Semaphore>) {
        let (show, shown) = mpsc::unbounded_channel();
        let permits = Arc::new(Semaphore::new(0));
        let given = Arc::clone(&permits);
        let bundles = Bundles::new((|_| 1, 100), move |to, messages: Vec<u32>| {
            let (show, given) = (show.clone(), Arc::clone(&given));
            async move {
                show.send((to, messages.len())).unwrap();
                if to == 9 {
                    std::future::pending::<()>().await;
                }
                given.acquire().await.unwrap().forget();
                if messages.contains(&13) { Err(Unanswered::Silent) } else { Ok(messages) }
            }
            .boxed()
        });
        (bundles, shown, permits)
    }

    #[tokio::test]
    async fn four_calls_are_under_way_and_the_next_one_carries_the_rest() {
        let (bundles, mut shown, permits) = bundles();
        let mut sends: Vec<_> = (100..350).map(|n| Box::pin(bundles.send(2, n))).collect();
        for send in &mut sends {
            assert!(send.now_or_never().is_none());
            tokio::task::yield_now().await;
        }
        let first: Vec<_> = [shown.recv().await, shown.recv().await].into();
        assert_eq!(first, [Some((2, 1)); 2]);
        let more: Vec<_> = [shown.recv().await, shown.recv().await].into();
        assert_eq!(more, [Some((2, 1)); 2]);
        tokio::task::yield_now().await;
        assert!(shown.try_recv().is_err(), "four are under way");
        // Some have hung up.
        sends.truncate(230);
        permits.add_permits(100);
        let answers = join_all(sends).await;
        assert!(answers.into_iter().enumerate().all(|(n, told)| told == Ok(100 + n as u32)));
        let mut sizes: Vec<_> = std::iter::from_fn(|| shown.try_recv().ok()).collect();
        sizes.sort_unstable();
        assert_eq!(sizes, [(2, 26), (2, 100), (2, 100)]);
        assert!(bundles.0.nodes().is_empty());
    }

    #[tokio::test]
    async fn a_node_that_never_answers_delays_no_other_and_a_failed_call_fails_its_own() {
        let (bundles, _shown, permits) = bundles();
        permits.add_permits(100);
        let mut stuck: Vec<_> = (0..20).map(|n| Box::pin(bundles.send(9, n))).collect();
        assert!(stuck.iter_mut().all(|send| send.now_or_never().is_none()));
        assert_eq!(bundles.send(3, 7).await, Ok(7));
        assert_eq!(bundles.send(3, 13).await, Err(Unanswered::Silent));
        assert_eq!(bundles.send(3, 8).await, Ok(8));
    }

    #[test]
    fn a_heavy_message_travels_alone() {
        let call = |_, messages| async { Ok(messages) }.boxed();
        let bundles = Bundles::<u32, u32>::new((|n| *n as usize, 100), call);
        let waiting: VecDeque<_> =
            [60, 30, 20, 500, 10].into_iter().map(|n| (n, oneshot::channel())).collect();
        let (mut kept, mut lane) = (Vec::new(), Lane { waiting: VecDeque::new(), under_way: 1 });
        for (n, (answer, answered)) in waiting {
            kept.push(answered);
            lane.waiting.push_back((n, answer));
        }
        bundles.0.nodes().insert(2, lane);
        let bundled = std::iter::from_fn(|| bundles.0.next(2).map(|(messages, _)| messages));
        assert!(bundled.eq([vec![60, 30], vec![20], vec![500], vec![10]]));
        assert!(bundles.0.nodes().is_empty());
    }
}
