//! Bundles: messages to a node share calls. A few calls to a node are under way at a time, and each
//! carries what has gathered meanwhile. `claims` and `heartbeats` have one of these each; so many
//! messages to a node that does not answer wait for each other, and for nobody else.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::sync::oneshot;

use super::supervisors::{Answer, Unanswered};
use crate::model::NodeId;

/// The most calls to a node that are under way at a time.
const CALLS: u32 = 4;

/// Makes a call: as many answers as messages, in their order.
type Call<Req, Resp> = Arc<dyn Fn(NodeId, Vec<Req>) -> Answer<Vec<Resp>> + Send + Sync>;
/// The way of an answer.
type Way<Resp> = oneshot::Sender<Result<Resp, Unanswered>>;

/// A message that waits for a call.
struct Message<Req, Resp> {
    content: Req,
    answer: Way<Resp>,
    /// Goes when nobody waits for the answer any more, where `answer` does not say so.
    wanted: Option<Weak<()>>,
}

/// The bounds of the messages of one kind, by what they weigh.
#[derive(Clone, Copy)]
pub(super) struct Bounds<Req> {
    /// The weight of a message.
    pub(super) weight: fn(&Req) -> usize,
    /// The most in one call; one message is always in it.
    pub(super) in_call: usize,
    /// The most that waits for a call to one node.
    pub(super) waiting: usize,
}

/// The messages of one kind.
pub(super) struct Bundles<Req, Resp>(Arc<Inner<Req, Resp>>);

struct Inner<Req, Resp> {
    call: Call<Req, Resp>,
    bounds: Bounds<Req>,
    nodes: Mutex<BTreeMap<NodeId, Lane<Req, Resp>>>,
}

struct Lane<Req, Resp> {
    waiting: VecDeque<Message<Req, Resp>>,
    weight: usize,
    under_way: u32,
}

impl<Req: Send + 'static, Resp: Send + 'static> Bundles<Req, Resp> {
    /// Bundles within these bounds.
    pub(super) fn new(
        bounds: Bounds<Req>,
        call: impl Fn(NodeId, Vec<Req>) -> Answer<Vec<Resp>> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(Inner { call: Arc::new(call), bounds, nodes: Mutex::default() }))
    }

    /// Sends a message to a node and waits for its answer. A message whose sender has gone is not
    /// sent.
    pub(super) async fn send(&self, to: NodeId, message: Req) -> Result<Resp, Unanswered> {
        self.send_if(to, message, None).await
    }

    /// The same, for a sender that goes on waiting when the one that it asks for has gone: without
    /// `wanted` the message is not sent either.
    pub(super) async fn send_while(
        &self,
        to: NodeId,
        message: Req,
        wanted: Weak<()>,
    ) -> Result<Resp, Unanswered> {
        self.send_if(to, message, Some(wanted)).await
    }

    async fn send_if(
        &self,
        to: NodeId,
        message: Req,
        wanted: Option<Weak<()>>,
    ) -> Result<Resp, Unanswered> {
        let (answer, answered) = oneshot::channel();
        let Bounds { weight, waiting, .. } = self.0.bounds;
        let begins = {
            let mut nodes = self.0.nodes();
            let lane = nodes.entry(to).or_default();
            let weight = weight(&message);
            if !lane.waiting.is_empty() && lane.weight + weight > waiting {
                return Err(Unanswered::NotAsked);
            }
            lane.weight += weight;
            lane.waiting.push_back(Message { content: message, answer, wanted });
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
        Self { waiting: VecDeque::new(), weight: 0, under_way: 0 }
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
    fn next(&self, to: NodeId) -> Option<(Vec<Req>, Vec<Way<Resp>>)> {
        let mut nodes = self.nodes();
        let lane = nodes.get_mut(&to)?;
        let (mut messages, mut answers) = (Vec::new(), Vec::new());
        let mut room = self.bounds.in_call;
        while let Some(first) = lane.waiting.pop_front() {
            let weight = (self.bounds.weight)(&first.content);
            let is_wanted = first.is_wanted();
            if is_wanted && !messages.is_empty() && weight > room {
                lane.waiting.push_front(first);
                break;
            }
            lane.weight = lane.weight.saturating_sub(weight);
            if !is_wanted {
                let _ = first.answer.send(Err(Unanswered::Unwanted));
                continue;
            }
            room = room.saturating_sub(weight);
            messages.push(first.content);
            answers.push(first.answer);
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

impl<Req, Resp> Message<Req, Resp> {
    fn is_wanted(&self) -> bool {
        let has_gone = |wanted: &Weak<()>| wanted.strong_count() == 0;
        !self.answer.is_closed() && !self.wanted.as_ref().is_some_and(has_gone)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use futures_util::future::join_all;
    use tokio::sync::{Semaphore, mpsc};

    use super::*;

    const BOUNDS: Bounds<u32> = Bounds { weight: |_| 1, in_call: 100, waiting: 1_000 };

    /// Bundles whose calls are shown, and answered with their messages when a permit is given.
    #[expect(clippy::type_complexity, reason = "three parts, named where they are taken")]
    fn bundles() -> (Bundles<u32, u32>, mpsc::UnboundedReceiver<(NodeId, usize)>, Arc<Semaphore>) {
        let (show, shown) = mpsc::unbounded_channel();
        let permits = Arc::new(Semaphore::new(0));
        let given = Arc::clone(&permits);
        let bundles = Bundles::new(BOUNDS, move |to, messages: Vec<u32>| {
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

    #[tokio::test]
    async fn what_waits_for_a_node_is_bounded_by_its_weight() {
        let call = |_, _| std::future::pending().boxed();
        let bounds = Bounds { weight: |n: &u32| *n as usize, ..BOUNDS };
        let bundles = Bundles::<u32, u32>::new(bounds, call);
        let mut busy: Vec<_> = (0..CALLS).map(|_| Box::pin(bundles.send(2, 5_000))).collect();
        for send in &mut busy {
            assert!(send.now_or_never().is_none());
            tokio::task::yield_now().await;
        }
        let mut waits = [600, 400].map(|n| Box::pin(bundles.send(2, n)));
        assert!(waits.iter_mut().all(|send| send.now_or_never().is_none()));
        assert_eq!(bundles.send(2, 1).now_or_never(), Some(Err(Unanswered::NotAsked)));
        assert!(bundles.send(3, 1).now_or_never().is_none(), "another node is free");
    }

    #[tokio::test]
    async fn a_message_that_nobody_wants_any_more_is_not_sent() {
        let (bundles, mut shown, permits) = bundles();
        let mut busy: Vec<_> = (0..CALLS).map(|n| Box::pin(bundles.send(2, n))).collect();
        for send in &mut busy {
            assert!(send.now_or_never().is_none());
            assert_eq!(shown.recv().await, Some((2, 1)));
        }
        let wanted = Arc::new(());
        let mut sends = [20, 21].map(|n| {
            let wanted = if n == 20 { Arc::new(()) } else { Arc::clone(&wanted) };
            Box::pin(bundles.send_while(2, n, Arc::downgrade(&wanted)))
        });
        assert!(sends.iter_mut().all(|send| send.now_or_never().is_none()));
        permits.add_permits(100);
        let [gone, there] = sends;
        assert_eq!((gone.await, there.await), (Err(Unanswered::Unwanted), Ok(21)));
        assert_eq!(shown.recv().await, Some((2, 1)), "one was sent");
        drop(wanted);
    }

    #[test]
    fn a_heavy_message_travels_alone() {
        let call = |_, messages| async { Ok(messages) }.boxed();
        let bounds = Bounds { weight: |n: &u32| *n as usize, ..BOUNDS };
        let bundles = Bundles::<u32, u32>::new(bounds, call);
        let waiting: VecDeque<_> =
            [60, 30, 20, 500, 10].into_iter().map(|n| (n, oneshot::channel())).collect();
        let (mut kept, mut lane) = (Vec::new(), Lane { under_way: 1, ..Lane::default() });
        for (n, (answer, answered)) in waiting {
            kept.push(answered);
            lane.waiting.push_back(Message { content: n, answer, wanted: None });
        }
        bundles.0.nodes().insert(2, lane);
        let sent = std::iter::from_fn(|| bundles.0.next(2).map(|(messages, _)| messages));
        assert!(sent.eq([vec![60, 30], vec![20], vec![500], vec![10]]));
        assert!(bundles.0.nodes().is_empty());
    }
}
