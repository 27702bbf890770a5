//! Random lives of templates and their instances: whatever happens, a system template has at most
//! one live instance, and exactly one while it is active, comes again, and nobody has ended the
//! chain; a second store that gets the log in other transactions comes to the same state.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::consistency::{definition_references, replay};
use super::templates::{broken_templates, put, system_template, user_template};
use super::*;
use crate::command::JobAction;
use crate::model::template::Template;
use crate::store::templates;

/// What happens, and two numbers that say which.
type Event = (u8, u8, u8);

/// A change of one of a few templates, or the end of a job. Ids are small, so that they are often
/// ones that exist.
pub(super) fn random_template_step((a, b, c): (u8, u8, u8)) -> Command {
    let id = u64::from(b % 4);
    let template = Template {
        kind: format!("t{}", c % 3),
        project: u64::from(a % 2) + 1,
        keep_completed: u32::from(c % 4),
        start_in_seconds: u32::from(b % 5),
        active: a % 8 > 0,
        reschedule: b % 3 > 0,
        label: format!("{}", c % 2),
        ..if a % 4 < 2 { system_template() } else { user_template() }
    };
    let definition = JobDefinition {
        project: template.project,
        delete_after_run: c % 7 == 0,
        ..template.definition.clone()
    };
    let template = Template { definition, ..template };
    match a % 16 {
        0..=6 => put(id, (c % 5 == 0).then_some(u64::from(c % 3)), template),
        7 => Command::DeleteTemplate { id, expect: None, terminate: b % 2 == 0, limit: 2 },
        8..=11 => {
            let template = Template { id, version: u64::from(c % 3) + 1, ..template };
            let instance = template.instance(i64::from(b) * 100);
            request(u128::from(b) + 10_000, instance, vec![NewJob::default()], a % 32 == 8)
        }
        _ => Command::TerminateJob {
            id: u64::from(c) % 90,
            reschedule: [None, Some(true), Some(false)][usize::from(b % 3)],
            reason: (b % 2 == 0).then(|| "r".into()),
        },
    }
}

/// A world of three system templates and one of users.
struct Chains {
    state: ApplyFixture,
    log: Vec<(Millis, Command)>,
    outcomes: Vec<Outcome>,
    /// The templates whose chain a caller has ended.
    ended: BTreeSet<u64>,
}

impl Chains {
    fn done(&mut self, command: Command) {
        self.outcomes.push(self.state.apply(&command));
        self.log.push((self.state.now, command));
    }

    /// One of the jobs that are not over.
    fn some_job(&self, which: u8) -> Option<u64> {
        let live: Vec<u64> = (1..=4).flat_map(|template| self.state.live(template)).collect();
        live.get(usize::from(which) % live.len().max(1)).copied()
    }

    fn step(&mut self, (kind, which, how): Event, seq: &mut u64) {
        self.state.now += i64::from(how % 8) * 900;
        let Some(id) = self.some_job(which) else { return self.edit(which, how) };
        let job = self.state.job(id);
        let ranges = |action| Command::ChangeJobs { jobs: vec![(id, 1)], action, by: None };
        match kind % 10 {
            0..=3 => {
                let end = match how % 4 {
                    0 => Verdict::Dead,
                    1 => Verdict::Retry { at: self.state.now + 500 },
                    _ => Verdict::Delivered,
                };
                self.state.now = self.state.now.max(job.anchor);
                let (due, scheduled) = (job.anchor, job.anchor);
                let attempt = AttemptRecord { due, scheduled, once: true, ..record([id], end) };
                let entries = vec![JournalEntry::Attempt(attempt)];
                let first = *seq;
                *seq += 1;
                self.done(Command::Record(JournalBatch {
                    node: 1,
                    incarnation: 1,
                    first,
                    entries,
                }));
            }
            4 => self.done(Command::DeleteJob { id, expect: None }),
            5 => {
                let reschedule = [None, Some(true), Some(false)][usize::from(how % 3)];
                if reschedule == Some(false) {
                    self.ended.extend(job.definition.template.map(|of| of.id));
                }
                self.done(Command::TerminateJob { id, reschedule, reason: None });
            }
            6 => self.done(ranges(JobAction::Pause { until: None })),
            7 => self.done(ranges(JobAction::Resume)),
            8 => self.done(Command::Expire { limit: 3 }),
            _ => self.edit(which, how),
        }
    }

    /// Edits a template, which may begin a chain again.
    fn edit(&mut self, which: u8, how: u8) {
        let id = u64::from(which % 4) + 1;
        let Some(old) = self.state.read(|c| templates::get(c, id)) else { return };
        let (active, label) = (!how.is_multiple_of(3), format!("{how}"));
        if active && !old.active {
            self.ended.remove(&id);
        }
        self.done(put(id, None, Template { active, label, keep_completed: 2, ..old }));
    }

    fn check(&self) -> Result<(), TestCaseError> {
        prop_assert_eq!(broken_templates(&self.state), Vec::<String>::new());
        for id in 1..=3 {
            let template = self.state.stored(id);
            let live = self.state.live(id);
            prop_assert!(live.len() <= 1, "template {} has {:?}", id, live);
            if template.active && !self.ended.contains(&id) {
                prop_assert_eq!(live.len(), 1, "template {}", id);
            }
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(feature = "slow") { 200 } else { 40 }))]

    #[test]
    fn a_system_template_has_one_live_instance_whatever_happens(
        events in prop::collection::vec(any::<Event>(), 1..80),
        chunks in prop::collection::vec(1_usize..20, 1..5),
    ) {
        let (state, log, outcomes) = (ApplyFixture::new(), Vec::new(), Vec::new());
        let mut chains = Chains { state, log, outcomes, ended: BTreeSet::new() };
        for n in 1..=3 {
            chains.done(put(0, None, Template { kind: format!("s{n}"), ..system_template() }));
        }
        chains.done(put(0, None, Template { reschedule: true, ..user_template() }));
        let template = chains.state.stored(4);
        for request_id in 0..3 {
            let instance = template.instance(2_000);
            chains.done(request(request_id, instance, vec![NewJob::default()], false));
        }
        let mut seq = 1;
        for event in events {
            chains.step(event, &mut seq);
            chains.check()?;
        }
        let mut other = ApplyFixture::new();
        let outcomes = replay(&mut other, &chains.log, &chunks, |_| (None, None));
        prop_assert_eq!(outcomes, chains.outcomes);
        prop_assert_eq!(other.hash(), chains.state.hash());
        prop_assert_eq!(definition_references(&other), vec![]);
    }
}
