//! The model's world: clocks, a network that delays, doubles and loses, and what goes wrong.

use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::rc::Rc;

use scheduler0::model::Millis;
use scheduler0::model::lease::{Answer, Now, Renewal, Timing};
use scheduler0::model::process::{Process, Starts};
use scheduler0::worker::lease::Holder;

use super::Rule;
use super::check::Checks;
use super::faults::{ADD, COPY, LOST_JOURNAL, REMOVE};
use super::node::Node;
use super::raft::Append;
use super::random::Random;
use super::state::{Books, Entry};

/// When the model's time begins.
pub(crate) const BORN: Millis = 1_000_000;
/// `Timing::from(150, 500)`.
const TIMING: Timing = Timing { ttl: 4_000, fresh: 500, renew_every: 500, settle: 4_000 };
/// A step of the world.
const STEP: Millis = 50;

/// What may happen in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scenario {
    /// Everything.
    Faults,
    /// Everything, faster than anybody can recover: only safety is looked at.
    Storm,
    /// Drains, graceful restarts and new leaders only.
    Calm,
    /// One node that owns shards and does not lead is killed for good.
    Kill,
    /// Nodes restart with wrong clocks, at most one at a time.
    Clocks,
    /// Everything, while nodes are added and removed by force.
    Members,
    /// One owner gets no more of the log, while all else of it works.
    Deaf,
    /// Everything, while a copy of a member's folder is started beside it: only safety is looked at.
    Copies,
}

impl Scenario {
    /// How far clocks may be from the right time, in milliseconds.
    pub(crate) fn drift(self) -> Millis {
        if matches!(self, Scenario::Faults | Scenario::Storm | Scenario::Members | Scenario::Copies)
        {
            900
        } else {
            300
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) enum Message {
    Append(Append),
    Ack {
        term: u64,
        of_term: u64,
        upto: usize,
        sent_boot: u64,
    },
    Renewal(Renewal),
    /// With the renewal that it answers.
    Answer(Answer, Renewal),
}

pub(crate) struct World {
    pub(crate) seed: u64,
    pub(crate) scenario: Scenario,
    pub(crate) without: Option<Rule>,
    pub(crate) random: Random,
    pub(crate) timing: Timing,
    pub(crate) t: Millis,
    pub(crate) heals: Millis,
    ends: Millis,
    pub(crate) shards: u16,
    pub(crate) nodes: Vec<Node>,
    /// The members at the beginning, as bits; the other nodes wait to be added.
    pub(crate) founders: u64,
    pub(crate) arena: Vec<Entry>,
    pub(crate) committed: Vec<u32>,
    pub(crate) checks: Checks,
    /// The sides of a partition, and until when it lasts.
    pub(crate) side: Vec<bool>,
    pub(crate) parted_until: Millis,
    /// Until when a node's renewals are lost, and nothing else.
    pub(crate) mute: Vec<Millis>,
    /// The node that gets no more of the log, and since when.
    pub(crate) deaf: Option<(usize, Millis)>,
    pub(crate) restart: Vec<Option<Millis>>,
    /// When a node is to crash, because of what it just did.
    pub(crate) crash: Vec<Option<Millis>>,
    /// The kinds of fault of this run: some of them, so that they come close together.
    pub(crate) kinds: Vec<usize>,
    pub(crate) killed: Option<(usize, Millis)>,
    net: BTreeMap<(Millis, u64), (usize, usize, Message)>,
    posted: u64,
    pub(crate) next_fault: Millis,
    story: VecDeque<String>,
}

/// The first due instant of a shard's job after an instant.
pub(crate) fn next_due(shard: u16, after: Millis) -> Millis {
    let period = [400, 700, 1_100, 550][usize::from(shard) % 4];
    let offset = Millis::from(shard) * 7;
    ((after - offset).div_euclid(period) + 1) * period + offset
}

impl World {
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
            // A place for the copy's process.
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
        // Every fourth run has troubles of the disk; the others are what they would be without.
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
            t: BORN,
            heals: BORN + lasts,
            ends: BORN + lasts + heals,
            shards,
            nodes,
            founders: (1 << first) - 1,
            arena: Vec::new(),
            committed: Vec::new(),
            checks: Checks::new(shards, scenario),
            side: vec![false; n],
            parted_until: 0,
            mute: vec![0; n],
            deaf: None,
            restart: vec![None; n],
            crash: vec![None; n],
            kinds,
            killed: None,
            net: BTreeMap::new(),
            posted: 0,
            next_fault: BORN + random.between(500, 6_000),
            random,
            story: VecDeque::new(),
        }
    }

    fn node(random: &mut Random, i: usize, shards: u16, scenario: Scenario) -> Node {
        let drift = scenario.drift();
        let mut node = Node {
            id: i as u64 + 1,
            alive: true,
            original: None,
            starts: Starts::new(TIMING.dead_after()),
            announce_at: BORN,
            paused_until: 0,
            boots: 1,
            rate: [0.955, 0.98, 1.0, 1.045][random.below(4)],
            clock_off: random.between(-drift, drift),
            term: 0,
            log: Rc::new(Vec::new()),
            commit: 0,
            leader: None,
            hint: None,
            campaign_at: BORN + random.between(50, 1_000),
            renew_at: BORN,
            slow: false,
            draining: false,
            books: Books::new(shards),
            durable: Books::new(shards),
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

    /// A node's boot clock: at its own speed.
    pub(crate) fn boot(&self, id: usize) -> u64 {
        ((self.t - BORN) as f64 * self.nodes[id].rate) as u64 + 1_000_000 * (id as u64 + 1)
    }

    pub(crate) fn now(&self, id: usize) -> Now {
        Now { boot: self.boot(id), sched: self.t + self.nodes[id].clock_off }
    }

    /// Whether a node is up and not frozen.
    pub(crate) fn runs(&self, id: usize) -> bool {
        self.nodes[id].alive && self.nodes[id].paused_until <= self.t
    }

    pub(crate) fn linked(&self, a: usize, b: usize) -> bool {
        self.parted_until <= self.t || self.side[a] == self.side[b]
    }

    pub(crate) fn faulty(&self) -> bool {
        let calm = matches!(
            self.scenario,
            Scenario::Calm | Scenario::Kill | Scenario::Clocks | Scenario::Deaf
        );
        !calm && self.t < self.heals
    }

    pub(crate) fn tell(&mut self, line: impl FnOnce(&World) -> String) {
        let line = format!("{:>6} {}", self.t - BORN, line(self));
        self.story.push_back(line);
        if self.story.len() > 120 {
            self.story.pop_front();
        }
    }

    /// The last things that happened.
    pub(crate) fn story(&self) -> String {
        self.story.iter().fold(String::new(), |all, line| all + line + "\n")
    }

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

    fn deliver(&mut self) {
        while let Some(first) = self.net.first_entry() {
            if first.key().0 > self.t {
                return;
            }
            let (from, to, message) = first.remove();
            if !self.nodes[to].alive {
                continue;
            }
            if self.nodes[to].paused_until > self.t {
                self.posted += 1;
                let at = self.nodes[to].paused_until + 1;
                self.net.insert((at, self.posted), (from, to, message));
                continue;
            }
            match message {
                Message::Append(append) => self.on_append(to, from, &append),
                Message::Ack { term, of_term, upto, sent_boot } => {
                    self.on_ack(to, from, (term, of_term), upto, sent_boot);
                }
                Message::Renewal(renewal) => self.on_renewal(to, from, &renewal),
                Message::Answer(answer, asked) => self.on_answer(to, answer, &asked),
            }
        }
    }

    /// Runs to the end; says what did not hold.
    pub(crate) fn run(&mut self) -> Result<(), String> {
        while self.t < self.ends {
            self.t += STEP;
            self.misfortune();
            self.deliver();
            let turn = self.random.below(self.nodes.len());
            for i in 0..self.nodes.len() {
                let id = (i + turn) % self.nodes.len();
                if !self.runs(id) {
                    continue;
                }
                self.work(id)?;
                if self.nodes[id].leader.is_some() {
                    self.lead(id);
                } else if self.t >= self.nodes[id].campaign_at && !self.campaign(id) {
                    self.nodes[id].campaign_at = self.t + self.patience();
                }
            }
            self.checks.authority(&self.nodes, |id| self.boot(id), self.without)?;
            self.checks.broken()?;
            self.check_killed()?;
            self.check_deaf()?;
        }
        if matches!(self.scenario, Scenario::Storm | Scenario::Copies | Scenario::Deaf) {
            return Ok(());
        }
        let leads = (0..self.nodes.len())
            .filter(|n| self.nodes[*n].alive && self.nodes[*n].leader.is_some())
            .max_by_key(|n| self.nodes[*n].term)
            .ok_or("nobody leads")?;
        let mut owners = self.member_ids(leads);
        if let Some((id, _)) = self.killed {
            owners.remove(&self.nodes[id].id);
        }
        self.checks.at_end(&self.nodes[leads], &owners, self.t)
    }

    /// One TTL of log time passes before it counts as behind, and log time goes on twice a second.
    fn check_deaf(&self) -> Result<(), String> {
        let Some((id, at)) = self.deaf else { return Ok(()) };
        let bound = (self.timing.ttl + self.timing.dead_after()) as Millis + 2_000;
        let owner = self.nodes[id].id;
        let shards = &self.checks.truth().shards;
        if self.t > at + bound && shards.iter().any(|s| s.parts(owner).next().is_some()) {
            return Err(format!("node {owner}, which is behind, still owns after {bound} ms"));
        }
        Ok(())
    }

    fn check_killed(&self) -> Result<(), String> {
        let Some((id, at)) = self.killed else { return Ok(()) };
        let bound = (self.timing.dead_after() + 1_000) as Millis;
        let owner = self.nodes[id].id;
        let shards = &self.checks.truth().shards;
        if self.t > at + bound && shards.iter().any(|s| s.parts(owner).next().is_some()) {
            return Err(format!("killed node {owner} still owns after {} ms", self.t - at));
        }
        Ok(())
    }
}
