//! The modelled cluster: its nodes with their clocks, and a network that delays, doubles and loses
//! messages. The other files of the model add what happens in it.

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use scheduler0::model::Millis;
use scheduler0::model::lease::{Now, Timing};
use scheduler0::model::process::{Process, Starts};
use scheduler0::worker::lease::Holder;

use super::check::Checks;
use super::message::Message;
use super::node::Node;
use super::random::Random;
use super::scenario::{ADD, COPY, LOST_JOURNAL, REMOVE, Rule, START, Scenario, TIMING};
use super::state::{Entry, State};

/// The modelled cluster in a run.
pub(crate) struct ProtocolModel {
    pub(crate) seed: u64,
    pub(crate) scenario: Scenario,
    /// The rule that the run does without.
    pub(crate) without: Option<Rule>,
    pub(crate) random: Random,
    pub(crate) timing: Timing,
    /// The true time.
    pub(crate) t: Millis,
    /// The instant at which all faults are healed.
    pub(crate) heals: Millis,
    /// The instant at which the run ends.
    pub(crate) ends: Millis,
    pub(crate) shards: u16,
    pub(crate) nodes: Vec<Node>,
    /// The members at the beginning, as bits; the other nodes wait to be added.
    pub(crate) founders: u64,
    /// All log entries that were ever proposed; logs hold their indices.
    pub(crate) entries: Vec<Entry>,
    /// The committed log.
    pub(crate) committed: Vec<u32>,
    pub(crate) checks: Checks,
    /// The side of each node in a partition, which lasts until `partitioned_until`.
    pub(crate) side: Vec<bool>,
    pub(crate) partitioned_until: Millis,
    /// For each node the instant up to which its renewals are lost, and nothing else.
    pub(crate) mute: Vec<Millis>,
    /// The node that gets no more of the log, with the instant at which that began.
    pub(crate) deaf: Option<(usize, Millis)>,
    /// For each node the instant of its next start.
    pub(crate) restart: Vec<Option<Millis>>,
    /// For each node the instant of a crash that follows from its last step.
    pub(crate) crash: Vec<Option<Millis>>,
    /// The kinds of fault of this run: a few, so that they come close together.
    pub(crate) kinds: Vec<usize>,
    /// The node that was killed for good, with the instant of its death.
    pub(crate) killed: Option<(usize, Millis)>,
    /// Messages under way, by the instant of their arrival and a number: sender, receiver, message.
    pub(crate) net: BTreeMap<(Millis, u64), (usize, usize, Message)>,
    /// The number of messages so far.
    pub(crate) posted: u64,
    pub(crate) next_fault: Millis,
    /// The last events, for a failure.
    trace: VecDeque<String>,
}

impl ProtocolModel {
    pub(crate) fn new(seed: u64, scenario: Scenario, without: Option<Rule>) -> Self {
        let mut random = Random::new(seed);
        let sizes: &[usize] = match scenario {
            Scenario::Faults => &[1, 2, 3, 3, 3, 3, 4, 5],
            Scenario::Storm => &[3, 3, 4, 5],
            Scenario::Calm => &[1, 3, 3, 5],
            Scenario::Kill | Scenario::Deaf => &[3, 4, 5],
            Scenario::Copies => &[3, 3, 4],
            Scenario::Clocks => &[3, 5],
            Scenario::Members => &[1, 2, 3, 3, 3, 4],
        };
        let first = sizes[random.below(sizes.len())];
        let n = match scenario {
            Scenario::Members => first + 3,
            // One more for the process of the copy.
            Scenario::Copies => first + 1,
            _ => first,
        };
        let shards = random.between(2, 4) as u16;
        let mut nodes: Vec<Node> =
            (0..n).map(|i| Self::node(&mut random, i, shards, scenario)).collect();
        nodes[first..].iter_mut().for_each(|node| node.alive = false);
        let mut kinds: Vec<usize> = (0..LOST_JOURNAL).collect();
        let stormy = matches!(scenario, Scenario::Storm | Scenario::Members | Scenario::Copies);
        let few = if stormy { 4 } else { random.between(4, 12) as usize };
        while kinds.len() > few {
            kinds.remove(random.below(kinds.len()));
        }
        // Every fourth run has faults of the disk; the others are the same as without them.
        if seed.is_multiple_of(4) {
            kinds.push(LOST_JOURNAL);
        }
        if scenario == Scenario::Members {
            kinds.extend([ADD, REMOVE, REMOVE, REMOVE]);
        }
        if scenario == Scenario::Copies {
            kinds.extend([COPY, COPY]);
        }
        let (lasts, heals) = match scenario {
            Scenario::Faults | Scenario::Members => (30_000, 24_000),
            Scenario::Storm => (25_000, 0),
            Scenario::Copies => (40_000, 0),
            _ => (20_000, 24_000),
        };
        Self {
            seed,
            scenario,
            without,
            timing: TIMING,
            t: START,
            heals: START + lasts,
            ends: START + lasts + heals,
            shards,
            nodes,
            founders: (1 << first) - 1,
            entries: Vec::new(),
            committed: Vec::new(),
            checks: Checks::new(shards, scenario),
            side: vec![false; n],
            partitioned_until: 0,
            mute: vec![0; n],
            deaf: None,
            restart: vec![None; n],
            crash: vec![None; n],
            kinds,
            killed: None,
            net: BTreeMap::new(),
            posted: 0,
            next_fault: START + random.between(500, 6_000),
            random,
            trace: VecDeque::new(),
        }
    }

    fn node(random: &mut Random, i: usize, shards: u16, scenario: Scenario) -> Node {
        let drift = scenario.drift();
        let mut node = Node {
            id: i as u64 + 1,
            alive: true,
            original: None,
            starts: Starts::new(TIMING.dead_after()),
            announce_at: START,
            paused_until: 0,
            boots: 1,
            rate: [0.955, 0.98, 1.0, 1.045][random.below(4)],
            clock_off: random.between(-drift, drift),
            term: 0,
            log: Rc::new(Vec::new()),
            commit: 0,
            leader: None,
            hint: None,
            campaign_at: START + random.between(50, 1_000),
            renew_at: START,
            slow: false,
            draining: false,
            state: State::new(shards),
            durable: State::new(shards),
            holder: Holder::new(0, 0, 0, 0, []),
            leases: 0,
            flights: Vec::new(),
            journal: VecDeque::new(),
            forgotten: 0,
            incarnation: 1,
            rebuilds_at: None,
            copies: 0,
        };
        node.holder = node.fresh_holder();
        node
    }

    /// The process that runs at a place.
    pub(crate) fn process(&self, at: usize) -> Process {
        let boot = self.nodes[at].boots;
        let place = at as u64 + 1 + 100 * self.nodes[at].copies;
        Process { id: place * 10_000 + boot, place, boot }
    }

    /// A node's boot clock, which runs at its own speed.
    pub(crate) fn boot(&self, id: usize) -> u64 {
        ((self.t - START) as f64 * self.nodes[id].rate) as u64 + 1_000_000 * (id as u64 + 1)
    }

    pub(crate) fn now(&self, id: usize) -> Now {
        Now { boot: self.boot(id), sched: self.t + self.nodes[id].clock_off }
    }

    /// True for a node that is up and not frozen.
    pub(crate) fn runs(&self, id: usize) -> bool {
        self.nodes[id].alive && self.nodes[id].paused_until <= self.t
    }

    /// True when no partition lies between two nodes.
    pub(crate) fn linked(&self, a: usize, b: usize) -> bool {
        self.partitioned_until <= self.t || self.side[a] == self.side[b]
    }

    /// True while messages may be lost, doubled or late.
    pub(crate) fn faulty(&self) -> bool {
        let calm = matches!(
            self.scenario,
            Scenario::Calm | Scenario::Kill | Scenario::Clocks | Scenario::Deaf
        );
        !calm && self.t < self.heals
    }

    /// Adds an event to the trace.
    pub(crate) fn trace(&mut self, line: impl FnOnce(&ProtocolModel) -> String) {
        let line = format!("{:>6} {}", self.t - START, line(self));
        self.trace.push_back(line);
        if self.trace.len() > 120 {
            self.trace.pop_front();
        }
    }

    /// The last events as lines.
    pub(crate) fn trace_text(&self) -> String {
        self.trace.iter().fold(String::new(), |all, line| all + line + "\n")
    }

    /// Sends a message, which may be lost, doubled or late.
    pub(crate) fn send(&mut self, from: usize, to: usize, message: &Message) {
        if !self.linked(from, to) {
            return;
        }
        if self.mute[from] > self.t && matches!(message, Message::Renewal(_)) {
            return;
        }
        if self.deaf.is_some_and(|(deaf, _)| deaf == to) && matches!(message, Message::Append(_)) {
            return;
        }
        let faulty = self.faulty() && from != to;
        if faulty && self.random.chance(300) {
            return;
        }
        let copies = if faulty && self.random.chance(200) { 2 } else { 1 };
        for _ in 0..copies {
            let often = if self.scenario == Scenario::Storm { 1_500 } else { 500 };
            let late = faulty && self.random.chance(often);
            let delay = self.random.between(0, if late { 5_000 } else { 40 });
            self.posted += 1;
            self.net.insert((self.t + delay, self.posted), (from, to, message.clone()));
        }
    }
}
