//! Who may send next: `MaxWorkers` places for calls, given to destinations in turn.
//!
//! [`Executor`](super::Executor) takes a [`Turn`] before each call. Within a destination (scheme,
//! host and port) first come is first served; among destinations the places go round. One
//! destination never has more than three quarters of the places, and a call that has hung for a
//! while no longer counts against the *others*, so that dead endpoints cannot starve live ones, not
//! even with one or two workers.
//!
//! ```text
//!   a:3000  [c c c c c]  \
//!   b:443   [c]           >-- round robin -->  places (MaxWorkers)  --slow-->  overtime
//!   c:80    [c c]        /
//! ```

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;
use url::Url;

/// How many calls may be in overtime for each worker, and at least.
const OVERTIME_PER_WORKER: usize = 4;
const OVERTIME_AT_LEAST: usize = 16;

/// Where a call goes: scheme, host and port.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Destination(Arc<str>);

impl Destination {
    /// The destination of a URL.
    pub fn of(url: &Url) -> Self {
        let host = url.host_str().unwrap_or_default();
        let port = url.port_or_known_default().unwrap_or_default();
        Self(format!("{}://{host}:{port}", url.scheme()).into())
    }

    /// As text, for metrics.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// How busy a destination is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Load {
    /// Which.
    pub destination: Destination,
    /// Calls under way.
    pub in_flight: usize,
    /// Calls waiting for their turn.
    pub queued: usize,
}

/// The queues. Cloning gives another handle to the same ones.
#[derive(Clone, Debug)]
pub struct Lanes(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    max: usize,
    /// The most that one destination may have under way.
    share: usize,
    /// Places taken.
    busy: usize,
    /// Calls that no longer take a place.
    overtime: usize,
    lanes: BTreeMap<Destination, Lane>,
    /// Destinations with somebody waiting and their share not used up, in order of their turn.
    ring: VecDeque<Destination>,
}

#[derive(Debug, Default)]
struct Lane {
    waiting: VecDeque<oneshot::Sender<Turn>>,
    in_flight: usize,
    in_ring: bool,
}

/// A place: held while a call is under way, given back when dropped.
#[derive(Debug)]
pub struct Turn {
    lanes: Lanes,
    destination: Destination,
    overtime: bool,
    /// False only for a turn that could not be handed over: it never counted.
    counted: bool,
}

impl Lanes {
    /// Queues for that many places (at least one).
    pub fn new(max_workers: usize) -> Self {
        let max = max_workers.max(1);
        let share = if max <= 2 { max } else { max * 3 / 4 };
        Self(Arc::new(Mutex::new(State {
            max,
            share,
            busy: 0,
            overtime: 0,
            lanes: BTreeMap::new(),
            ring: VecDeque::new(),
        })))
    }

    /// The most that one destination may have under way.
    pub fn share(&self) -> usize {
        self.lock().share
    }

    /// Waits for a place. Giving up (dropping the future) gives up the wait, and the place if it
    /// was just granted.
    pub async fn turn(&self, destination: &Destination) -> Turn {
        loop {
            let (sender, receiver) = oneshot::channel();
            {
                let mut state = self.lock();
                let lane = state.lanes.entry(destination.clone()).or_default();
                lane.waiting.push_back(sender);
                state.enter_ring(destination);
                self.grant(&mut state);
            }
            // The sender lives in the queue until it is used; were it ever lost, wait again.
            if let Ok(turn) = receiver.await {
                return turn;
            }
        }
    }

    /// Every destination with something under way or waiting, in order of its name.
    pub fn load(&self) -> Vec<Load> {
        let state = self.lock();
        let loads = state.lanes.iter().map(|(destination, lane)| Load {
            destination: destination.clone(),
            in_flight: lane.in_flight,
            queued: lane.waiting.iter().filter(|w| !w.is_closed()).count(),
        });
        loads.collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives out what places there are.
    fn grant(&self, state: &mut State) {
        while state.busy < state.max {
            let Some(destination) = state.ring.pop_front() else { return };
            let Some(lane) = state.lanes.get_mut(&destination) else { continue };
            lane.in_ring = false;
            while let Some(waiting) = lane.waiting.pop_front() {
                let turn = Turn {
                    lanes: self.clone(),
                    destination: destination.clone(),
                    overtime: false,
                    counted: true,
                };
                match waiting.send(turn) {
                    Ok(()) => {
                        lane.in_flight += 1;
                        state.busy += 1;
                        break;
                    }
                    // One who gave up is passed over; the turn must not take the lock we hold.
                    Err(mut turn) => turn.counted = false,
                }
            }
            state.enter_ring(&destination);
            state.tidy(&destination);
        }
    }
}

impl State {
    fn enter_ring(&mut self, destination: &Destination) {
        let Some(lane) = self.lanes.get_mut(destination) else { return };
        if !lane.in_ring && !lane.waiting.is_empty() && lane.in_flight < self.share {
            lane.in_ring = true;
            self.ring.push_back(destination.clone());
        }
    }

    fn tidy(&mut self, destination: &Destination) {
        let idle = |l: &Lane| l.in_flight == 0 && l.waiting.is_empty() && !l.in_ring;
        if self.lanes.get(destination).is_some_and(idle) {
            self.lanes.remove(destination);
        }
    }
}

impl Turn {
    /// Says that this call hangs: its place goes to somebody else. For its own destination it goes
    /// on counting.
    pub fn overtime(&mut self) {
        let lanes = self.lanes.clone();
        let mut state = lanes.lock();
        let most = (state.max * OVERTIME_PER_WORKER).max(OVERTIME_AT_LEAST);
        if self.overtime || state.overtime >= most {
            return;
        }
        self.overtime = true;
        state.overtime += 1;
        state.busy -= 1;
        lanes.grant(&mut state);
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if !self.counted {
            return;
        }
        let mut state = self.lanes.lock();
        if let Some(lane) = state.lanes.get_mut(&self.destination) {
            lane.in_flight -= 1;
        }
        if self.overtime {
            state.overtime -= 1;
        } else {
            state.busy -= 1;
        }
        state.enter_ring(&self.destination);
        self.lanes.grant(&mut state);
        state.tidy(&self.destination);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt as _;

    fn to(name: &str) -> Destination {
        Destination(name.into())
    }

    /// The turn, if there is one at once.
    fn now(lanes: &Lanes, name: &str) -> Option<Turn> {
        lanes.turn(&to(name)).now_or_never()
    }

    #[test]
    fn a_destination_is_scheme_host_and_port() {
        let of = |u: &str| Destination::of(&Url::parse(u).expect("a URL"));
        assert_eq!(of("http://u:p@a.example/x?y=z").as_str(), "http://a.example:80");
        assert_eq!(of("https://a.example:8443/").as_str(), "https://a.example:8443");
        assert_ne!(of("http://a.example/"), of("https://a.example/"));
    }

    #[test]
    fn one_destination_gets_three_quarters_at_most() {
        let lanes = Lanes::new(8);
        let held: Vec<_> = (0..6).map(|_| now(&lanes, "a").expect("a place")).collect();
        assert!(now(&lanes, "a").is_none(), "its share is used up");
        let other = now(&lanes, "b").expect("a quarter is left to others");
        drop(held);
        assert!(now(&lanes, "a").is_some());
        drop(other);
        assert_eq!(lanes.load(), []);
    }

    #[test]
    fn places_go_round_among_destinations_and_first_come_first_served_within() {
        let lanes = Lanes::new(1);
        let first = now(&lanes, "a").expect("the only place");
        let mut waiting: Vec<_> = ["a", "a", "b", "c"]
            .into_iter()
            .map(|name| {
                let (lanes, name) = (lanes.clone(), to(name));
                async move { lanes.turn(&name).await }.boxed()
            })
            .collect();
        assert!(waiting.iter_mut().all(|w| w.now_or_never().is_none()));
        let load = lanes.load();
        assert_eq!((load[0].in_flight, load[0].queued, load[1].queued), (1, 2, 1));
        drop(first);
        let mut order = Vec::new();
        while !waiting.is_empty() {
            let mut turns = Vec::new();
            for at in (0..waiting.len()).rev() {
                if let Some(turn) = (&mut waiting[at]).now_or_never() {
                    order.push(turn.destination.as_str().to_owned());
                    turns.push(turn);
                    drop(waiting.remove(at));
                }
            }
            assert_eq!(turns.len(), 1, "one place, one turn");
        }
        assert_eq!(order, ["b", "c", "a", "a"], "a had its turn before b and c came");
    }

    #[test]
    fn a_hanging_call_stops_counting_against_others_only() {
        let lanes = Lanes::new(1);
        let mut hanging = now(&lanes, "dead").expect("the only place");
        assert!(now(&lanes, "live").is_none());
        hanging.overtime();
        let live = now(&lanes, "live").expect("the place is free again");
        assert!(now(&lanes, "dead").is_none(), "its own destination waits for it");
        drop(live);
        drop(hanging);
        assert!(now(&lanes, "dead").is_some());
    }

    #[test]
    fn a_turn_that_nobody_waits_for_any_more_is_not_lost() {
        let lanes = Lanes::new(1);
        let held = now(&lanes, "a").expect("the only place");
        let name = to("a");
        let mut given_up = lanes.turn(&name).boxed();
        assert!((&mut given_up).now_or_never().is_none());
        let next = to("a");
        let mut next = lanes.turn(&next).boxed();
        assert!((&mut next).now_or_never().is_none());
        drop(held); // granted to the first in line, who drops it without looking
        drop(given_up);
        assert!(next.now_or_never().is_some());
        assert_eq!(lanes.load(), []);
    }
}
