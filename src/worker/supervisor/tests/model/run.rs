//! A run of the model from its beginning to its end, with the faults and the checks after each
//! step.

use std::collections::BTreeMap;

use super::super::super::event::Event;
use super::departures::Broker;
use super::engine::PLAN_ENDS;
use super::random::Random;
use super::record::Checks;
use super::world::{LEASE, Log, Manner, Message, Node, Rule, Scenario, Worker, World};
use crate::command::{Command, Outcome, Reported};

/// The length of a step, in milliseconds.
const STEP: u64 = 25;
/// The time after the faults in which all must be over, in milliseconds.
const PATIENCE: u64 = 60_000;

impl World {
    pub(super) fn new(seed: u64, scenario: Scenario, without: Option<Rule>) -> Self {
        let manners = match scenario {
            Scenario::Storm => vec![Manner::Good, Manner::Silent, Manner::Zombie, Manner::Liar],
            Scenario::Moves | Scenario::Broker => {
                vec![Manner::Good, Manner::Silent, Manner::Good]
            }
            // So few that occurrences wait.
            Scenario::Calm => vec![Manner::Good],
            Scenario::Restarts => vec![Manner::Good, Manner::Good],
        };
        let workers = manners.into_iter().enumerate().map(|(n, manner)| Worker {
            name: format!("w{n}"),
            manner,
            beside: n % 3,
            dead_until: 0,
            runs: BTreeMap::new(),
            claim: None,
            next_beat: 0,
        });
        let mut world = Self {
            now: 0,
            scenario,
            without,
            random: Random(seed),
            log: Log::new(),
            nodes: (1..=3).map(Node::new).collect(),
            workers: workers.collect(),
            broker: Broker::default(),
            net: BTreeMap::new(),
            sent: 0,
            no_leader_until: 0,
            checks: Checks::default(),
            beats: BTreeMap::new(),
            claims: BTreeMap::new(),
        };
        for n in 0..world.nodes.len() {
            world.nodes[n].lease.until = LEASE;
            world.nodes[n].lease.since = Some(0);
            world.tell_shards(n);
        }
        world
    }

    /// Runs to the end; the error is the first violation.
    pub(super) fn run(&mut self) -> Result<(), String> {
        let mut open = Ok(());
        while self.now < PLAN_ENDS + PATIENCE {
            self.now += STEP;
            if self.has_faults() {
                self.go_wrong();
            }
            self.deliver();
            for n in 0..self.nodes.len() {
                if !self.nodes[n].alive && self.now >= self.nodes[n].dead_until {
                    self.revive(n);
                }
                if self.nodes[n].alive && self.now >= self.nodes[n].frozen_until {
                    self.wake(n);
                    self.work(n);
                }
            }
            self.lead();
            self.let_workers_work();
            let checks = self.now.is_multiple_of(200);
            if checks {
                self.check_store();
            }
            self.checks.take_broken()?;
            if checks && self.now > PLAN_ENDS + 2_000 {
                open = self.open();
                if open.is_ok() {
                    return self.check_ends();
                }
            }
        }
        open
    }

    /// Without the rule of the stall a node that was frozen takes no notice of it.
    fn wake(&mut self, n: usize) {
        let frozen = self.nodes[n].frozen_until;
        if frozen == 0 {
            return;
        }
        self.nodes[n].frozen_until = 0;
        if self.lacks(Rule::StallGrace) {
            let mut at = self.nodes[n].next_tick;
            while at < self.now {
                self.step_at(n, at, Event::Tick);
                at += 200;
            }
            self.step(n, Event::Tick);
        }
    }

    fn deliver(&mut self) {
        while let Some(first) = self.net.first_entry() {
            if first.key().0 > self.now {
                return;
            }
            let message = first.remove();
            if let Message::Confirm { n, life, claim, key, outcome } = message {
                self.take_confirm((n, life), (claim, key), outcome);
                continue;
            }
            let loses = self.has_faults();
            if loses && self.random.chance(20) {
                continue;
            }
            match message {
                Message::ToNode(n, event) => {
                    let reaches = match self.sender(&event) {
                        Some(w) => self.reaches(w, n),
                        None => self.is_reachable(n),
                    };
                    if !reaches {
                        continue;
                    }
                    if let Event::Heartbeat(heartbeat) = &event {
                        self.note_arrival(n, heartbeat);
                    }
                    let doubled = loses
                        && matches!(event, Event::Heartbeat(_) | Event::Reported { .. })
                        && self.random.chance(20);
                    if doubled {
                        self.nodes[n].inbox.push_back((self.now, event.clone()));
                    }
                    self.nodes[n].inbox.push_back((self.now, event));
                }
                Message::Answer { claim, node, effect } => self.take_answer(claim, node, effect),
                Message::Propose(reports) if self.has_leader() => {
                    let shard = self.log.shard();
                    for report in reports {
                        let command = Command::ReportRuns { reports: vec![report.clone()] };
                        if let Outcome::Reports(told) = self.apply(&command)
                            && matches!(told[..], [Reported::Counted(_)])
                        {
                            self.check_counted_before(&report, &shard);
                        }
                    }
                }
                Message::Propose(_) | Message::Confirm { .. } => {}
            }
        }
    }

    /// The worker whose words these are.
    fn sender(&self, event: &Event) -> Option<usize> {
        let name = match event {
            Event::Claim(claim) => &claim.worker,
            Event::Heartbeat(heartbeat) => &heartbeat.worker,
            Event::Reported { worker, .. } => worker,
            _ => return None,
        };
        self.workers.iter().position(|worker| *worker.name == **name)
    }

    /// Says whether anything may go wrong now.
    pub(super) fn has_faults(&self) -> bool {
        let has_any =
            matches!(self.scenario, Scenario::Restarts | Scenario::Storm | Scenario::Broker);
        has_any && self.now < PLAN_ENDS
    }

    /// What goes wrong.
    fn go_wrong(&mut self) {
        if self.scenario == Scenario::Restarts {
            return self.restart_the_owner();
        }
        self.break_broker();
        let n = self.random.below(3) as usize;
        let long = self.now + 200 + self.random.below(5_000);
        match self.random.below(2_000) {
            0..=3 if self.nodes[n].alive => self.kill(n, long),
            // Some are cut off for so long that others have their runs.
            4..=7 => self.nodes[n].cut_until = long + self.random.below(4_000),
            8..=12 => self.nodes[n].frozen_until = self.now + self.random.below(LEASE + 1_000),
            13 | 14 => self.no_leader_until = self.now + self.random.below(4_000),
            _ => {}
        }
    }

    /// The leader goes away, or the owner is started again, so soon that it is not taken for dead.
    fn restart_the_owner(&mut self) {
        let n = self.log.shard().owner as usize - 1;
        match self.random.below(1_000) {
            0..=9 => self.no_leader_until = self.now + 500 + self.random.below(1_000),
            10..=29 if self.nodes[n].alive => {
                let until = self.now + self.random.below(400);
                self.kill(n, until);
            }
            _ => {}
        }
    }
}
