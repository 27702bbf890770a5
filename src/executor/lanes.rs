//! Who may send next: `MaxWorkers` places for calls, given to destinations in turn.
//!
//! [`Executor`](super::Executor) takes a [`Turn`] before each call. Within a lane (a destination, that
//! is scheme, host and port, under its limits) first come is first served; among lanes the places go
//! round. One lane never has more than three quarters of the places, or than its own limits allow, and
//! a call that has hung for a while no longer counts against the *others*, so that dead endpoints
//! cannot starve live ones, not even with one or two workers. A destination that keeps failing takes
//! nothing for a while (`breaker`), and what waits for it is turned away.
//!
//! ```text
//!   a:3000  [c c c c c]  \
//!   b:443   [c]           >-- round robin -->  places (MaxWorkers)  --slow-->  overtime
//!   c:80    [c c]        /         |
//!                            breaker, rate
//! ```

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;
use url::Url;

use super::breaker::{Breaker, Leave, Outcome, Rules};
use super::pauses::Pauses;
use super::rate::Bucket;
use super::{Limits, Options};
use crate::clock::Clock;
use crate::model::ProjectId;
use crate::model::postponement::Obstacle;

/// How many calls may be in overtime for each worker, and at least.
const OVERTIME_PER_WORKER: usize = 4;
const OVERTIME_AT_LEAST: usize = 16;
/// So long a call waits for its turn; then it is turned away for as long. Not whole seconds: at
/// those, others are due.
const PATIENCE_MS: u64 = 10_250;
/// Breakers that say nothing are forgotten above this number.
const KEPT: usize = 1_024;

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

/// A destination that takes nothing, in boot-clock milliseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shut {
    /// Which.
    pub destination: Destination,
    /// When its breaker opened.
    pub since: u64,
    /// Failures in a row.
    pub failures: u32,
    /// When the next probe may go out.
    pub probe_at: u64,
}

/// What a call asks for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wish {
    /// A hash of its path.
    pub path: u64,
    /// What its target bears.
    pub limits: Limits,
    /// Whose call it is.
    pub project: ProjectId,
    /// It goes out although the breaker is open.
    pub probe: bool,
}

/// A call that is turned away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// When to come again, in boot-clock milliseconds.
    pub until: u64,
    /// Why.
    pub obstacle: Obstacle,
}

/// Calls of the same lane share its limits.
type Key = (Destination, Limits);

/// The queues. Cloning gives another handle to the same ones.
#[derive(Clone)]
pub struct Lanes {
    state: Arc<Mutex<State>>,
    clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for Lanes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lanes").field("state", &self.state).finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct State {
    max: usize,
    /// The most that one lane may have under way.
    share: usize,
    /// What lanes without limits of their own have.
    limits: Limits,
    rules: Rules,
    /// Places taken.
    busy: usize,
    /// Calls that no longer take a place.
    overtime: usize,
    lanes: BTreeMap<Key, Lane>,
    /// Lanes with somebody waiting and their share not used up, in order of their turn.
    ring: VecDeque<Key>,
    breakers: BTreeMap<Destination, Breaker>,
    /// At so many of them, those that say nothing are forgotten.
    prune_at: usize,
    pauses: Pauses,
    /// Calls turned away because a breaker was open.
    refused: u64,
}

#[derive(Debug, Default)]
struct Lane {
    waiting: VecDeque<Waiting>,
    in_flight: usize,
    in_ring: bool,
    bucket: Option<Bucket>,
    /// A timer runs until the bucket has something.
    timed: bool,
}

#[derive(Debug)]
struct Waiting {
    wish: Wish,
    sender: oneshot::Sender<Result<Turn, Refusal>>,
}

/// A place: held while a call is under way, given back when dropped.
#[derive(Debug)]
pub struct Turn {
    lanes: Lanes,
    key: Key,
    path: u64,
    project: ProjectId,
    probe: bool,
    overtime: bool,
    /// False only for a turn that could not be handed over: it never counted.
    counted: bool,
}

impl Lanes {
    /// Queues for `max_workers` places (at least one).
    pub fn new(options: &Options, clock: Arc<dyn Clock>) -> Self {
        let max = options.max_workers.max(1);
        let share = if max <= 2 { max } else { max * 3 / 4 };
        let state = State {
            max,
            share,
            limits: options.limits,
            rules: options.breaker,
            busy: 0,
            overtime: 0,
            lanes: BTreeMap::new(),
            ring: VecDeque::new(),
            breakers: BTreeMap::new(),
            prune_at: KEPT,
            pauses: Pauses::default(),
            refused: 0,
        };
        Self { state: Arc::new(Mutex::new(state)), clock }
    }

    /// The most that one lane may have under way.
    pub fn share(&self) -> usize {
        self.lock().share
    }

    /// Waits for a place, or is turned away. Giving up (dropping the future) gives up the wait, and
    /// the place if it was just granted.
    pub async fn turn(&self, destination: &Destination, wish: Wish) -> Result<Turn, Refusal> {
        let limits = wish.limits;
        let now = self.clock.boot();
        let (sender, mut receiver) = oneshot::channel();
        {
            let key = (destination.clone(), limits);
            let mut state = self.lock();
            let own = limits.rate_per_second.or(state.limits.rate_per_second);
            let bucket = || own.map(|rate| Bucket::new(rate, now));
            let lane = state
                .lanes
                .entry(key.clone())
                .or_insert_with(|| Lane { bucket: bucket(), ..Lane::default() });
            lane.waiting.push_back(Waiting { wish, sender });
            state.enter_ring(&key);
            self.grant(&mut state);
        }
        if let Ok(granted) = receiver.try_recv() {
            return granted;
        }
        let deadline = now + PATIENCE_MS;
        let full = |until| Err(Refusal { until, obstacle: Obstacle::Full });
        loop {
            tokio::select! {
                biased;
                granted = &mut receiver => return granted.unwrap_or(full(deadline)),
                () = self.clock.sleep_until(deadline) => {}
            }
            if self.clock.boot() >= deadline {
                return full(deadline + PATIENCE_MS);
            }
        }
    }

    /// Why a destination takes nothing for a path and a project, if it does not.
    pub fn refusal(
        &self,
        destination: &Destination,
        path: u64,
        project: ProjectId,
    ) -> Option<Refusal> {
        let now = self.clock.boot();
        let mut state = self.lock();
        if let Some(until) = state.pauses.until(destination, project, now) {
            return Some(Refusal { until, obstacle: Obstacle::Asked });
        }
        match state.breakers.get(destination)?.look(path, now) {
            Leave::No(until) => {
                state.refused += 1;
                Some(Refusal { until, obstacle: Obstacle::Failing })
            }
            Leave::Go | Leave::Probe | Leave::Wait => None,
        }
    }

    /// Every destination with something under way or waiting, in order of its name.
    pub fn load(&self) -> Vec<Load> {
        let state = self.lock();
        let mut loads: Vec<Load> = Vec::new();
        for ((destination, _), lane) in &state.lanes {
            let queued = lane.waiting.iter().filter(|w| !w.sender.is_closed()).count();
            match loads.last_mut().filter(|load| load.destination == *destination) {
                Some(load) => {
                    load.in_flight += lane.in_flight;
                    load.queued += queued;
                }
                None if lane.in_flight + queued == 0 => {}
                None => loads.push(Load {
                    destination: destination.clone(),
                    in_flight: lane.in_flight,
                    queued,
                }),
            }
        }
        loads
    }

    /// Every destination that takes nothing, in order of its name.
    pub fn shut(&self) -> Vec<Shut> {
        let now = self.clock.boot();
        let mut state = self.lock();
        state.breakers.retain(|_, breaker| !breaker.is_idle(now));
        let shut = |(destination, breaker): (&Destination, &Breaker)| {
            let open = breaker.open()?;
            Some(Shut {
                destination: destination.clone(),
                since: open.since,
                failures: open.failures,
                probe_at: open.probe_at,
            })
        };
        state.breakers.iter().filter_map(shut).collect()
    }

    /// The destinations that have asked projects to wait, and how many projects each, in order of its
    /// name.
    pub fn asked(&self) -> Vec<(Destination, usize)> {
        self.lock().pauses.asked(self.clock.boot())
    }

    /// How many calls were turned away because their destination keeps failing.
    pub fn refused(&self) -> u64 {
        self.lock().refused
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives out what places there are.
    fn grant(&self, state: &mut State) {
        let now = self.clock.boot();
        while state.busy < state.max {
            let Some(key) = state.ring.pop_front() else { return };
            let granted = self.serve(state, &key, now);
            if granted {
                state.enter_ring(&key);
            }
            state.tidy(&key, now);
        }
    }

    /// Serves the first one who waits in a lane; whether there is a reason to look there again.
    fn serve(&self, state: &mut State, key: &Key, now: u64) -> bool {
        let Some(lane) = state.lanes.get_mut(key) else { return false };
        lane.in_ring = false;
        while lane.waiting.front().is_some_and(|first| first.sender.is_closed()) {
            // One who gave up is passed over.
            lane.waiting.pop_front();
        }
        let Some(first) = lane.waiting.front() else { return false };
        if let Some(ready) = lane.bucket.map(|b| b.ready_at(now)).filter(|at| *at > now) {
            self.look_again(lane, key, ready);
            return false;
        }
        let wish = first.wish;
        if let Some(until) = state.pauses.until(&key.0, wish.project, now) {
            if let Some(first) = lane.waiting.pop_front() {
                // Whoever gave up meanwhile needs no answer.
                let _ = first.sender.send(Err(Refusal { until, obstacle: Obstacle::Asked }));
            }
            return true;
        }
        let leave = match state.breakers.get_mut(&key.0) {
            None => Leave::Go,
            Some(breaker) if wish.probe => breaker.force(now),
            Some(breaker) => breaker.ask(wish.path, now),
        };
        if leave == Leave::Wait {
            return false;
        }
        let Some(first) = lane.waiting.pop_front() else { return false };
        if let Leave::No(until) = leave {
            state.refused += 1;
            // Whoever gave up meanwhile needs no answer.
            let _ = first.sender.send(Err(Refusal { until, obstacle: Obstacle::Failing }));
            return true;
        }
        let turn = Turn {
            lanes: self.clone(),
            key: key.clone(),
            path: wish.path,
            project: wish.project,
            probe: leave == Leave::Probe,
            overtime: false,
            counted: true,
        };
        match first.sender.send(Ok(turn)) {
            Ok(()) => {
                if let Some(bucket) = &mut lane.bucket {
                    bucket.take(now);
                }
                lane.in_flight += 1;
                state.busy += 1;
            }
            // The turn must not take the lock we hold.
            Err(Ok(mut turn)) => {
                turn.counted = false;
                state.settle(&turn, now, Outcome::Nothing, now);
            }
            Err(Err(_)) => {}
        }
        true
    }

    /// Looks at a lane again when its bucket has something.
    fn look_again(&self, lane: &mut Lane, key: &Key, at: u64) {
        // Outside of a runtime (it is being shut down) nobody is served any more.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        if std::mem::replace(&mut lane.timed, true) {
            return;
        }
        let (lanes, key) = (self.clone(), key.clone());
        runtime.spawn(async move {
            while lanes.clock.boot() < at {
                lanes.clock.sleep_until(at).await;
            }
            let mut state = lanes.lock();
            if let Some(lane) = state.lanes.get_mut(&key) {
                lane.timed = false;
            }
            state.enter_ring(&key);
            lanes.grant(&mut state);
        });
    }
}

impl State {
    fn enter_ring(&mut self, key: &Key) {
        let ramp = self.breakers.get(&key.0).and_then(Breaker::ramp);
        let Some(lane) = self.lanes.get_mut(key) else { return };
        let own = key.1.max_concurrency.or(self.limits.max_concurrency);
        let most = [own, ramp].into_iter().flatten().map(|most| most.max(1) as usize).min();
        let most = self.share.min(most.unwrap_or(usize::MAX));
        if !lane.in_ring && !lane.timed && !lane.waiting.is_empty() && lane.in_flight < most {
            lane.in_ring = true;
            self.ring.push_back(key.clone());
        }
    }

    /// Lets every lane of a destination be looked at: its breaker may have moved.
    fn wake(&mut self, destination: &Destination) {
        let lanes = self.lanes.range((destination.clone(), Limits::default())..);
        let keys = lanes.map(|(key, _)| key).take_while(|key| key.0 == *destination);
        for key in keys.cloned().collect::<Vec<_>>() {
            self.enter_ring(&key);
        }
    }

    /// Notes what came of a turn's call.
    fn settle(&mut self, turn: &Turn, began: u64, outcome: Outcome, now: u64) {
        let failed = matches!(outcome, Outcome::Failed { .. });
        let destination = &turn.key.0;
        match outcome {
            Outcome::Asked { after } => {
                self.pauses.note(destination, turn.project, now.saturating_add(after), now);
            }
            Outcome::Fine => self.pauses.clear(destination, turn.project, began),
            Outcome::Failed { .. } | Outcome::Nothing => {}
        }
        if failed && self.rules.failures > 0 && !self.breakers.contains_key(destination) {
            if self.breakers.len() >= self.prune_at {
                self.breakers.retain(|_, breaker| !breaker.is_idle(now));
                self.prune_at = KEPT.max(2 * self.breakers.len());
            }
            self.breakers.insert(destination.clone(), Breaker::new(destination.as_str()));
        }
        let Some(breaker) = self.breakers.get_mut(destination) else { return };
        let was = breaker.open().is_some();
        breaker.over(self.rules, (turn.path, turn.probe, began), outcome, now);
        match (was, breaker.open()) {
            (false, Some(open)) => tracing::warn!(
                destination = destination.as_str(),
                failures = open.failures,
                "a destination keeps failing: it is left alone but for probes"
            ),
            (true, None) => tracing::info!(
                destination = destination.as_str(),
                "a destination that kept failing answers again"
            ),
            _ => {}
        }
        if breaker.is_idle(now) {
            self.breakers.remove(destination);
        }
    }

    fn tidy(&mut self, key: &Key, now: u64) {
        let idle = |l: &Lane| {
            let used = l.in_flight > 0 || !l.waiting.is_empty() || l.in_ring || l.timed;
            !used && l.bucket.is_none_or(|bucket| bucket.is_full(now))
        };
        if self.lanes.get(key).is_some_and(idle) {
            self.lanes.remove(key);
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
        if !self.overtime && state.overtime < most {
            self.overtime = true;
            state.overtime += 1;
            state.busy -= 1;
        }
        // Nobody waits for a probe that hangs.
        state.wake(&self.key.0);
        lanes.grant(&mut state);
    }

    /// Says what came of the call, which began at an instant (boot clock).
    pub fn over(mut self, began: u64, outcome: Outcome) {
        let lanes = self.lanes.clone();
        lanes.lock().settle(&self, began, outcome, lanes.clock.boot());
        self.probe = false;
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if !self.counted {
            return;
        }
        let now = self.lanes.clock.boot();
        let mut state = self.lanes.lock();
        if let Some(lane) = state.lanes.get_mut(&self.key) {
            lane.in_flight -= 1;
        }
        if self.overtime {
            state.overtime -= 1;
        } else {
            state.busy -= 1;
        }
        if self.probe {
            state.settle(self, now, Outcome::Nothing, now);
        }
        state.wake(&self.key.0);
        self.lanes.grant(&mut state);
        state.tidy(&self.key, now);
    }
}

#[cfg(test)]
mod tests;
