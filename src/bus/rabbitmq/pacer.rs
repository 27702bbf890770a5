//! The pace of declarations: so many a second at a broker, the earliest due first, for a broker
//! that comes back must not be asked for the exchanges and queues of all jobs at once.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::MissedTickBehavior;

use crate::model::Millis;

/// The time between two rounds.
const ROUND: Duration = Duration::from_millis(10);
/// The turns of a round: 200 a second.
const TURNS: usize = 2;

/// The pacer of one broker.
#[derive(Debug, Default)]
pub(super) struct Pacer(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    /// Those who wait: the due instant, and the number by which the older of two comes first.
    queue: BinaryHeap<Reverse<Waiter>>,
    last: u64,
    is_running: bool,
}

#[derive(Debug)]
struct Waiter {
    due: Millis,
    number: u64,
    turn: oneshot::Sender<()>,
}

impl Waiter {
    fn place(&self) -> (Millis, u64) {
        (self.due, self.number)
    }
}

impl PartialEq for Waiter {
    fn eq(&self, other: &Self) -> bool {
        self.place() == other.place()
    }
}

impl Eq for Waiter {}

impl PartialOrd for Waiter {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Waiter {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.place().cmp(&other.place())
    }
}

impl Waiting {
    /// Grants the turns of a round; the number of those that were taken.
    fn grant(&mut self) -> usize {
        let mut granted = 0;
        while granted < TURNS
            && let Some(Reverse(waiter)) = self.queue.pop()
        {
            // Who does not wait any more takes no turn.
            granted += usize::from(waiter.turn.send(()).is_ok());
        }
        granted
    }
}

impl Pacer {
    /// Waits for a turn.
    pub(super) async fn turn(self: &Arc<Self>, due: Millis) {
        let (turn, granted) = oneshot::channel();
        let begins = {
            let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            waiting.last += 1;
            let number = waiting.last;
            waiting.queue.push(Reverse(Waiter { due, number, turn }));
            !std::mem::replace(&mut waiting.is_running, true)
        };
        if begins {
            tokio::spawn(Arc::clone(self).run());
        }
        // The task grants all turns; without it the node is stopping.
        let _ = granted.await;
    }

    /// Grants turns as long as somebody waits, and one round longer: the pace holds between them.
    async fn run(self: Arc<Self>) {
        let mut rounds = tokio::time::interval(ROUND);
        rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut is_idle = false;
        loop {
            rounds.tick().await;
            let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let granted = waiting.grant();
            if granted == 0 && is_idle {
                waiting.is_running = false;
                return;
            }
            is_idle = granted == 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_earliest_come_first_and_there_are_two_hundred_a_second() {
        let rounds = Duration::from_secs(1).as_millis() / ROUND.as_millis();
        assert_eq!(rounds * TURNS as u128, 200);
        let mut waiting = Waiting::default();
        let mut turns = Vec::new();
        for (number, due) in [5, 3, 9, 3, 1].into_iter().enumerate() {
            let (turn, granted) = oneshot::channel();
            let number = number as u64;
            waiting.queue.push(Reverse(Waiter { due, number, turn }));
            turns.push(Some(granted));
        }
        let mut is_granted = |n: usize| turns[n].as_mut().map(|turn| turn.try_recv().is_ok());
        assert_eq!(waiting.grant(), TURNS);
        let first: Vec<_> = (0..5).filter_map(&mut is_granted).collect();
        assert_eq!(first, [false, true, false, false, true], "the older of two comes first");
        // The one that was next has gone.
        turns[3] = None;
        assert_eq!(waiting.grant(), TURNS);
        assert_eq!(waiting.grant(), 0);
        assert!([0, 2].map(|n: usize| turns[n].as_mut().unwrap().try_recv().is_ok()) == [true; 2]);
    }

    #[tokio::test]
    async fn everybody_gets_a_turn_and_again_after_a_pause() {
        let pacer = Arc::new(Pacer::default());
        for _ in 0..2 {
            futures_util::future::join_all((0..20).map(|due| pacer.turn(due))).await;
            while pacer.0.lock().unwrap().is_running {
                tokio::time::sleep(ROUND).await;
            }
        }
    }
}
