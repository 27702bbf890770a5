//! The workers of the model, and the gateways that they speak to: good, silent, zombie and lying.

use std::sync::Arc;

use super::super::super::event::{Beat, Claim, ClaimId, Effect, Event, Heartbeat};
use super::engine::PLAN_ENDS;
use super::world::{Held, JOBS, Manner, Message, PERIOD, SILENCE, START, Scenario, World};
use crate::command::{Command, Outcome, Reported};
use crate::model::claim::ClaimOrder;
use crate::model::run::{Occurrence, Phase};
use crate::model::run_report::{RunReport, Said};
use crate::store::runs;

/// The time between two heartbeats, in milliseconds.
const BEATS: u64 = 700;

impl World {
    /// A step of all workers.
    pub(super) fn let_workers_work(&mut self) {
        for w in 0..self.workers.len() {
            if self.now < self.workers[w].dead_until {
                continue;
            }
            if self.has_broker() {
                self.say_begun(w);
            } else {
                self.stop_unanswered(w);
            }
            self.ask_for_runs(w);
            self.finish_runs(w);
            self.beat(w);
            let is_silent = self.workers[w].manner == Manner::Silent && self.now < PLAN_ENDS;
            if is_silent && self.random.chance(8) {
                let worker = &mut self.workers[w];
                worker.dead_until = self.now + 5_000;
                worker.runs.clear();
                worker.claim = None;
            }
            if self.workers[w].manner == Manner::Liar && self.now < PLAN_ENDS {
                self.lie(w);
            }
        }
    }

    fn is_unruly(&self, w: usize) -> bool {
        self.workers[w].manner == Manner::Zombie && self.now < PLAN_ENDS
    }

    /// A worker stops what it had no answer about for too long.
    fn stop_unanswered(&mut self, w: usize) {
        let (now, unruly) = (self.now, self.is_unruly(w));
        let worker = &mut self.workers[w];
        worker.runs.retain(|_, held| unruly || now < held.answered + SILENCE);
        if worker.claim.is_some_and(|(_, sent)| now > sent + 2_000) {
            worker.claim = None;
        }
    }

    /// The node that the gateway of a worker takes for the owner. One that is cut off reaches only
    /// itself.
    fn owner(&mut self, w: usize) -> usize {
        let beside = self.workers[w].beside;
        if self.now < self.nodes[beside].cut_until {
            return beside;
        }
        let owner = self.log.shard().owner as usize - 1;
        let errs = self.scenario != Scenario::Calm && self.random.chance(100);
        if errs { self.random.below(self.nodes.len() as u64) as usize } else { owner }
    }

    fn ask_for_runs(&mut self, w: usize) {
        let worker = &self.workers[w];
        if worker.claim.is_some() || worker.runs.len() >= 2 || !self.random.chance(120) {
            return;
        }
        if self.has_broker() {
            return self.take_message(w);
        }
        let to = self.owner(w);
        let id = self.sent + 1;
        let (name, order) = (self.workers[w].name.as_str().into(), ClaimOrder::Fair);
        let max = 1 + self.random.below(2) as usize;
        let claim = Claim { id, worker: name, queues: vec![7], max, order, key: None };
        self.workers[w].claim = Some((id, self.now));
        self.claims.insert(id, (w, self.now));
        self.send(Message::ToNode(to, Event::Claim(claim)));
    }

    /// A claim is answered, if its worker still waits: 7.
    pub(super) fn take_answer(&mut self, id: ClaimId, node: u64, effect: Effect) {
        let Effect::Answer { runs, .. } = effect else { return };
        let Some((w, sent)) = self.claims.remove(&id) else { return };
        if self.now < self.workers[w].dead_until || self.workers[w].claim != Some((id, sent)) {
            return;
        }
        self.workers[w].claim = None;
        for handed in runs {
            if self.now >= sent + SILENCE {
                continue; // it may count as lost already
            }
            self.check_holders(w, handed.of, node);
            let finish = self.now + 100 + self.random.below(4_000);
            let (attempt, answered, from) = (handed.attempt, sent, (node, self.now));
            let held = Held { attempt, answered, finish, from, is_recorded: false, begins: None };
            self.workers[w].runs.insert(handed.of, held);
        }
    }

    /// No two workers that stop in time have a run at once, but where the claim of the first died
    /// with its owner.
    fn check_holders(&mut self, w: usize, of: Occurrence, node: u64) {
        let is_good = |manner| matches!(manner, Manner::Good | Manner::Silent);
        for other in (0..self.workers.len()).filter(|other| *other != w) {
            let worker = &self.workers[other];
            let Some(held) = worker.runs.get(&of) else { continue };
            let stops = self.now >= held.answered + SILENCE || self.now < worker.dead_until;
            let died =
                self.checks.has_died(held.from.0, held.from.1.saturating_sub(1_000), self.now);
            let is_excused = died && !held.is_recorded;
            if is_good(worker.manner) && !stops && !is_excused {
                let what = format!("7: {of:?} is held by two, the second from node {node}");
                self.checks.violate(what);
            }
        }
    }

    fn beat(&mut self, w: usize) {
        if self.now < self.workers[w].next_beat || self.workers[w].runs.is_empty() {
            return;
        }
        self.workers[w].next_beat = self.now + BEATS;
        self.note_recorded(w);
        let beat = |(of, held): (&Occurrence, &Held)| Beat {
            of: *of,
            attempt: held.attempt,
            progress: None,
            message: None,
        };
        let runs: Vec<_> = self.workers[w].runs.iter().map(beat).collect();
        let to = self.owner(w);
        let id = self.sent + 1;
        self.beats.insert(id, (w, self.now, runs.iter().map(|beat| beat.of).collect()));
        // A broker says of nobody who it is.
        let name = if self.has_broker() { "" } else { &self.workers[w].name };
        let worker: Arc<str> = name.into();
        self.send(Message::ToNode(to, Event::Heartbeat(Heartbeat { id, worker, runs })));
    }

    /// Notes which of a worker's runs the store has by now.
    fn note_recorded(&mut self, w: usize) {
        let (log, worker) = (&self.log, &mut self.workers[w]);
        for (of, held) in worker.runs.iter_mut().filter(|(_, held)| !held.is_recorded) {
            held.is_recorded = log.read(|c| runs::get(c, *of)).is_some_and(|run| {
                let is_its = |kept: &crate::model::run::WorkerRun| *kept.worker == *worker.name;
                run.attempt == held.attempt && run.worker.as_deref().is_some_and(is_its)
            });
        }
    }

    /// A heartbeat has come to a node: it counts from here on, whenever the node looks at it.
    pub(super) fn note_arrival(&mut self, n: usize, heartbeat: &Heartbeat) {
        let id = self.nodes[n].id;
        for beat in &heartbeat.runs {
            let its = self.log.read(|c| runs::get(c, beat.of)).filter(|run| {
                (beat.attempt == 0 || run.attempt == beat.attempt)
                    && run.worker.as_ref().is_some_and(|kept| *kept.worker == *heartbeat.worker)
            });
            if let Some(run) = its.filter(|_| self.nodes[n].loaded.is_some()) {
                self.checks.heard.insert((id, beat.of, run.attempt), self.now);
            }
        }
    }

    /// The answer to a heartbeat, with what the gateway reads in its store.
    pub(super) fn take_heard(&mut self, n: usize, id: u64, unknown: &[Occurrence]) {
        let Some((w, sent, all)) = self.beats.remove(&id) else { return };
        let loses = self.scenario == Scenario::Storm && self.random.chance(50);
        let is_old = !self.is_reachable(n);
        if loses
            || self.has_broker()
            || !self.reaches(w, n)
            || self.now < self.workers[w].dead_until
        {
            return;
        }
        for of in all {
            let (name, unruly) = (self.workers[w].name.clone(), self.is_unruly(w));
            let Some(held) = self.workers[w].runs.get_mut(&of) else { continue };
            if !unknown.contains(&of) {
                held.answered = held.answered.max(sent);
            }
            if is_old {
                continue; // its store is old, and knows of no end
            }
            let attempt = held.attempt;
            let run = self.log.read(|c| runs::get(c, of));
            let run = run.and_then(|run| Some((run.attempt, run.worker?)));
            match run {
                Some((its, kept)) if its == attempt && *kept.worker == name => {
                    let stops = kept.phase == Phase::Cancelling && !unruly;
                    if stops {
                        self.report(w, of, Said::Cancelled);
                    }
                }
                // Its record may be on its way.
                None if unknown.contains(&of) => {}
                _ if !unruly => {
                    self.workers[w].runs.remove(&of);
                }
                _ => {}
            }
        }
    }

    fn finish_runs(&mut self, w: usize) {
        let now = self.now;
        let runs = self.workers[w].runs.iter();
        let held = runs.filter(|(_, held)| held.finish <= now && held.begins.is_none());
        let done: Vec<_> = held.map(|(of, _)| *of).collect();
        for of in done {
            let said = match self.random.below(10) {
                0 if now < PLAN_ENDS => Said::Failed { error: None, retry: true },
                1 if now < PLAN_ENDS && !self.has_broker() => Said::Released,
                _ => Said::Done { result: None },
            };
            if self.has_broker() {
                self.say_end(w, of, said);
            } else {
                self.report(w, of, said);
            }
        }
    }

    /// A worker reports on a run, again until somebody answers.
    fn report(&mut self, w: usize, of: Occurrence, said: Said) {
        let Some(held) = self.workers[w].runs.get(&of) else { return };
        let beside = self.workers[w].beside;
        if !self.has_leader() || self.now < self.nodes[beside].cut_until {
            return;
        }
        let (attempt, worker) = (held.attempt, self.workers[w].name.clone());
        let report = RunReport { occurrence: of, attempt, worker, said };
        let Outcome::Reports(told) = self.apply(&Command::ReportRuns { reports: vec![report] })
        else {
            return;
        };
        let on_its_way = matches!(&told[..], [Reported::Refused { why, .. }]
            if why.kind == crate::command::RejectionKind::NotFound);
        if on_its_way {
            return;
        }
        self.workers[w].runs.remove(&of);
        let worker = self.workers[w].name.as_str().into();
        let to = self.owner(w);
        self.send(Message::ToNode(to, Event::Reported { of, attempt, worker, ends: true }));
    }

    /// A liar speaks of any run: a heartbeat, or a report in its own name.
    fn lie(&mut self, w: usize) {
        if !self.random.chance(15) {
            return;
        }
        let job = self.random.below(JOBS.len() as u64) + 1;
        let scheduled = START + (self.now / PERIOD * PERIOD).cast_signed();
        let occurrence = Occurrence { job, scheduled, run: 0 };
        let (attempt, worker) = (1 + self.random.below(2) as u32, self.workers[w].name.clone());
        let said = match self.random.below(3) {
            0 => Said::Failed { error: None, retry: true },
            1 => Said::Released,
            _ => Said::Cancelled,
        };
        if self.has_leader() {
            let report = RunReport { occurrence, attempt, worker, said };
            self.apply(&Command::ReportRuns { reports: vec![report] });
        }
    }
}
