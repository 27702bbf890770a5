//! The ring and its cursors against a plain list of all facts that there ever were.

use proptest::prelude::*;

use super::position::{EventId, Position};
use super::ring::{Cursor, LostReason, Read, Ring};
use crate::command::{Change, ChangeEvents};
use crate::model::event::{Fact, JobChange, RunChange, TemplateMark};
use crate::model::job_set::JobSet;
use crate::model::run::Occurrence;

/// A step of a test.
#[derive(Clone, Debug)]
enum Step {
    /// A transaction of so many entries, each with so many facts of so many bytes.
    Add { entries: Vec<(u8, u8)> },
    /// A transaction whose facts were too many.
    Gap,
    /// A snapshot that covers so many entries more.
    Replace { entries: u8 },
    /// The log becomes another one.
    Recover,
    /// A reader reads.
    Read { reader: usize, most: usize },
    /// A reader comes to this node from another one, with the same place.
    Hop { reader: usize },
}

fn step() -> impl Strategy<Value = Step> {
    let entries = prop::collection::vec((0..4_u8, 0..=255_u8), 1..5);
    prop_oneof![
        8 => entries.prop_map(|entries| Step::Add { entries }),
        1 => Just(Step::Gap),
        1 => (1..5_u8).prop_map(|entries| Step::Replace { entries }),
        1 => Just(Step::Recover),
        10 => (0..3_usize, 1..6_usize).prop_map(|(reader, most)| Step::Read { reader, most }),
        2 => (0..3_usize).prop_map(|reader| Step::Hop { reader }),
    ]
}

fn fact(bytes: u8) -> Fact {
    // It grew to more than it holds, as those that `apply` makes do.
    let mut message = String::with_capacity(2 * usize::from(bytes) + 64);
    message.extend((0..bytes).map(|_| 'x'));
    let message = Some(message);
    let change = RunChange::Progress { percent: None, message };
    Fact::Run { project: 1, of: Occurrence { job: 1, scheduled: 0, run: 0 }, attempt: 1, change }
}

/// The plain list: all facts of the present log, and how far it is applied.
#[derive(Default)]
struct Plain {
    facts: Vec<Position>,
    applied: u64,
    lineage: u32,
}

/// A reader and what it has seen for certain: all up to a place.
struct Reader {
    cursor: Cursor,
}

impl Plain {
    fn change(&mut self, step: &Step) -> Change {
        let mut events = ChangeEvents::default();
        let mut replaced = false;
        match step {
            Step::Add { entries } => {
                for (facts, bytes) in entries {
                    self.applied += 1;
                    events.begin(self.applied, 0);
                    (0..*facts).for_each(|_| events.add(fact(*bytes)));
                }
            }
            Step::Gap => {
                self.applied += 1;
                events.begin(self.applied, 0);
                events.add(fact(9));
                events.add(Fact::Gap);
            }
            Step::Replace { entries } => {
                self.applied += u64::from(*entries);
                replaced = true;
            }
            Step::Recover | Step::Read { .. } | Step::Hop { .. } => {}
        }
        self.facts.extend(events.facts().iter().map(Position::of));
        Change { index: self.applied, events, replaced, ..Change::default() }
    }

    fn end(&self) -> EventId {
        EventId { lineage: self.lineage, position: Position::after_entry(self.applied) }
    }

    /// The facts behind a place, at most so many.
    fn behind(&self, place: Position, most: usize) -> Vec<Position> {
        self.facts.iter().copied().filter(|fact| *fact > place).take(most).collect()
    }
}

/// Compares a read with the list. A reader sees the next facts, or is told that it does not.
fn check(
    ring: &Ring,
    plain: &Plain,
    reader: &mut Reader,
    most: usize,
) -> Result<(), TestCaseError> {
    let before = reader.cursor.id();
    match ring.read(&mut reader.cursor, most) {
        Read::Events(events) => {
            let seen: Vec<_> = events.iter().map(|event| Position::of(event)).collect();
            prop_assert_eq!(&seen, &plain.behind(before.position, most));
            prop_assert!(reader.cursor.id().position >= seen[seen.len() - 1]);
        }
        Read::Nothing => {
            prop_assert_eq!(plain.behind(before.position, 1), vec![]);
            prop_assert_eq!(reader.cursor.id(), plain.end());
        }
        Read::Ahead => prop_assert!(!before.position.is_applied(plain.applied)),
        Read::Lost { reason, from, to } => {
            prop_assert_eq!((from, to), (before, plain.end()));
            let other = before.lineage != plain.lineage;
            prop_assert_eq!(reason == LostReason::Lineage, other);
        }
    }
    prop_assert_eq!(reader.cursor.id().lineage, plain.lineage);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_reader_sees_every_fact_once_and_in_order_or_is_told(
        steps in prop::collection::vec(step(), 1..120),
        limit in 300_usize..6_000,
    ) {
        let mut plain = Plain::default();
        let mut ring = Ring::new(limit, 0, 0);
        // The other node has nothing before the entry that it began behind.
        let mut other: Option<Ring> = None;
        let mut readers: Vec<_> =
            (0..3).map(|_| Reader { cursor: Cursor::new(plain.end()) }).collect();
        let mut there = [false; 3];
        for (n, step) in steps.iter().enumerate() {
            match step {
                Step::Read { reader, most } => {
                    let away = other.as_mut().filter(|_| there[*reader]);
                    let node = away.unwrap_or(&mut ring);
                    check(node, &plain, &mut readers[*reader], *most)?;
                }
                Step::Hop { reader } => there[*reader] = !there[*reader],
                Step::Recover => {
                    plain.lineage += 1;
                    plain.facts.clear();
                    for node in std::iter::once(&mut ring).chain(other.as_mut()) {
                        node.restart(plain.lineage, plain.applied);
                    }
                }
                _ => {
                    let change = plain.change(step);
                    let nodes = std::iter::once(&mut ring).chain(other.as_mut());
                    for (node, limit) in nodes.zip([limit, 2 * limit]) {
                        node.add(&change);
                        node.add(&change); // known already
                        prop_assert!(node.bytes() <= limit.max(600), "{}", node.bytes());
                        prop_assert_eq!(node.bytes(), node.recounted());
                        prop_assert_eq!(node.end(), plain.end());
                    }
                }
            }
            if n == steps.len() / 3 {
                other = Some(Ring::new(2 * limit, plain.lineage, plain.applied));
            }
        }
        for reader in &mut readers {
            while reader.cursor.id() != plain.end() {
                check(&ring, &plain, reader, 3)?;
            }
        }
    }
}

#[test]
fn a_reader_that_is_ahead_of_this_node_waits_for_it() {
    let mut plain = Plain::default();
    let mut ring = Ring::new(10_000, 0, 0);
    let mut ahead = Cursor::new(EventId { lineage: 0, position: Position { index: 2, number: 1 } });
    ring.add(&plain.change(&Step::Add { entries: vec![(1, 0)] }));
    assert_eq!(ring.read(&mut ahead, 9), Read::Ahead);
    ring.add(&plain.change(&Step::Add { entries: vec![(2, 0), (1, 0)] }));
    let Read::Events(events) = ring.read(&mut ahead, 9) else { panic!() };
    let seen: Vec<_> = events.iter().map(|event| (event.index, event.number)).collect();
    assert_eq!(seen, [(2, 2), (3, 1)]);
}

#[test]
fn the_bytes_of_grown_lists_are_counted_as_they_are_kept() {
    let mut ring = Ring::new(4_000, 0, 0);
    for index in 1..200_u64 {
        let mut jobs = JobSet::default();
        for job in 0..index % 50 {
            jobs.add(job * 10, 1);
        }
        let mut events = ChangeEvents::default();
        events.begin(index, 0);
        let template = TemplateMark::NoTemplate;
        let change = JobChange::Created;
        events.add(Fact::Jobs { project: Some(1), template, change, jobs });
        ring.add(&Change { index, events, ..Change::default() });
        assert_eq!(ring.bytes(), ring.recounted());
        assert!(ring.bytes() <= 4_000, "{}", ring.bytes());
    }
}

#[test]
fn facts_that_were_too_many_lose_all_readers_before_them() {
    let mut plain = Plain::default();
    let mut ring = Ring::new(10_000, 0, 0);
    let mut cursor = Cursor::new(ring.end());
    ring.add(&plain.change(&Step::Add { entries: vec![(3, 0)] }));
    ring.add(&plain.change(&Step::Gap));
    assert!(matches!(ring.read(&mut cursor, 9), Read::Lost { reason: LostReason::Expired, .. }));
    ring.add(&plain.change(&Step::Add { entries: vec![(1, 0)] }));
    assert!(matches!(ring.read(&mut cursor, 9), Read::Events(events) if events.len() == 1));
}
