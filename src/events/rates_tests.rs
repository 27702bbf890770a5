//! Results by the minute against a plain list of all records that there ever were.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::rates::{KindCounts, MAX_RATE_PROJECTS, RATE_MINUTES, RateTable};
use crate::command::{Change, MinuteCounts};
use crate::model::{Millis, ProjectId};
use crate::store::counters::{MINUTE, OutcomeKind};

/// An instant at which log time may stand when a test begins.
const START: Millis = 29_000_000 * MINUTE;

/// A record.
#[derive(Clone, Copy, Debug)]
struct Record {
    id: u64,
    due: Millis,
    project: ProjectId,
    kind: OutcomeKind,
    count: u64,
}

/// A step of a test.
#[derive(Clone, Debug)]
enum Step {
    /// A transaction with records: (minutes before log time, project, kind, occurrences).
    Apply(Vec<(i64, ProjectId, usize, u64)>),
    /// So many minutes pass.
    Pass(i64),
    /// The node starts anew: it has read the store up to here, and its slices are still to come.
    Start,
    /// The next slice of so many records is read.
    Slice(usize),
    /// The node falls behind by so many transactions, which come later.
    Delay(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let record = (0..200_i64, 1..4_u64, 0..5_usize, 1..9_u64);
    prop_oneof![
        8 => prop::collection::vec(record, 0..6).prop_map(Step::Apply),
        2 => (1..40_i64).prop_map(Step::Pass),
        1 => Just(Step::Start),
        6 => (1..12_usize).prop_map(Step::Slice),
        1 => (1..5_usize).prop_map(Step::Delay),
    ]
}

/// The store, and the transactions that are on their way to the node.
#[derive(Default)]
struct Plain {
    records: Vec<Record>,
    now: Millis,
    on_their_way: Vec<(MinuteCounts, Millis)>,
}

impl Plain {
    fn apply(&mut self, records: &[(i64, ProjectId, usize, u64)]) {
        let mut change = Change::default();
        for (ago, project, kind, count) in records {
            let id = self.records.last().map_or(1, |last| last.id + last.count);
            let (due, kind) = (self.now - ago * MINUTE, OutcomeKind::ALL[*kind]);
            change.minutes.add(id, (*project, due, kind), *count, self.now);
            self.records.push(Record { id, due, project: *project, kind, count: *count });
        }
        self.on_their_way.push((change.minutes, self.now));
    }

    /// What a node shows that has applied and read everything.
    fn sums(&self, project: Option<ProjectId>) -> BTreeMap<i64, KindCounts> {
        let mut sums: BTreeMap<i64, KindCounts> = BTreeMap::new();
        for one in self.records.iter().filter(|one| project.is_none_or(|own| own == one.project)) {
            sums.entry(one.due.div_euclid(MINUTE)).or_default().add(one.kind, one.count);
        }
        sums
    }

    fn start(&self) -> Loading {
        let last = self.records.last().map_or(0, |last| last.id);
        let table = RateTable::new(Vec::new(), last, self.now);
        let from = table.begin();
        let left = self.records.iter().copied().filter(|one| one.due >= from);
        let mut left: Vec<_> = left.collect();
        left.sort_by_key(|one| (one.due, one.id));
        Loading { table, left }
    }
}

/// A node with what it still has to read.
struct Loading {
    table: RateTable,
    left: Vec<Record>,
}

impl Loading {
    fn slice(&mut self, most: usize) {
        let most = most.min(self.left.len());
        for one in self.left.drain(..most) {
            self.table.read(one.due, one.project, one.kind, one.count);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_table_has_each_record_once_whenever_it_was_read(
        steps in prop::collection::vec(step(), 1..80),
    ) {
        let mut plain = Plain { now: START, ..Plain::default() };
        let mut node = plain.start();
        let mut delayed = 0;
        for step in &steps {
            match step {
                Step::Apply(records) => plain.apply(records),
                Step::Pass(minutes) => plain.now += minutes * MINUTE,
                Step::Start => {
                    // Transactions that were on their way come to the new table too.
                    node = plain.start();
                }
                Step::Slice(most) => node.slice(*most),
                Step::Delay(transactions) => delayed = *transactions,
            }
            while plain.on_their_way.len() > delayed {
                let (counts, stamp) = plain.on_their_way.remove(0);
                node.table.take(&counts, stamp);
            }
            if plain.on_their_way.len() >= delayed {
                delayed = 0;
            }
        }
        for (counts, stamp) in plain.on_their_way.drain(..) {
            node.table.take(&counts, stamp);
        }
        node.slice(usize::MAX);

        let last = plain.now / MINUTE;
        let first = last - (RATE_MINUTES as i64 - 1);
        for project in [None, Some(1), Some(2), Some(3), Some(9)] {
            let shown = node.table.show(project, first, RATE_MINUTES).unwrap();
            let expected = plain.sums(project);
            for (minute, counts) in (first..).zip(&shown.minutes) {
                let counts = counts.unwrap_or_else(|| panic!("minute {minute} is not known"));
                let wanted = expected.get(&minute).copied().unwrap_or_default();
                prop_assert_eq!(counts, wanted, "minute {} of {:?}", minute - last, project);
            }
        }
    }
}

#[test]
fn minutes_before_the_first_read_are_not_known() {
    let table = RateTable::new(Vec::new(), 0, START);
    let first = START / MINUTE - 185;
    let shown = table.show(None, first, 10).unwrap();
    let known: Vec<_> = shown.minutes.iter().map(Option::is_some).collect();
    assert_eq!(known, [[false; 5], [true; 5]].concat());
}

#[test]
fn projects_beyond_the_bound_are_in_the_sums_and_are_not_told_apart() {
    let projects = MAX_RATE_PROJECTS as u64;
    let mut table = RateTable::new((1..projects).collect(), 0, START);
    assert!(!table.is_crowded());
    let mut counts = MinuteCounts::default();
    for project in 1..=projects + 5 {
        let what = (project, START, OutcomeKind::Delivered);
        counts.add(project, what, project, START);
    }
    table.take(&counts, START);
    let (minute, all) = (START / MINUTE, (1..=projects + 5).sum::<u64>());
    let shown = table.show(None, minute, 1).unwrap();
    assert_eq!(shown.minutes[0].unwrap().all(), all);
    let named = shown.projects.unwrap();
    assert_eq!((named.len(), named[0].0, named[0].1.all()), (64, projects, projects));
    assert_eq!(table.show(Some(projects), minute, 1).unwrap().minutes[0].unwrap().all(), projects);
    assert_eq!(table.show(Some(projects + 1), minute, 1), None);
    assert!(table.is_crowded(), "others may be the busiest by and by");
}

#[test]
fn a_transaction_that_lost_projects_leaves_the_sums_alone() {
    let mut table = RateTable::new(vec![5], 0, START);
    let mut counts = MinuteCounts::default();
    for project in 1..=3_000 {
        counts.add(project, (project, START, OutcomeKind::Dead), 1, START);
    }
    table.take(&counts, START);
    let shown = table.show(None, START / MINUTE, 1).unwrap();
    assert_eq!((shown.minutes[0].unwrap().of(OutcomeKind::Dead), shown.projects), (3_000, None));
    assert_eq!(table.show(Some(5), START / MINUTE, 1), None);
    assert!(table.is_crowded());
}

#[test]
fn what_lies_far_ahead_does_not_push_out_what_was() {
    let mut table = RateTable::new(Vec::new(), 0, START);
    let mut take = |id, due| {
        let mut counts = MinuteCounts::default();
        counts.add(id, (1, due, OutcomeKind::Delivered), 1, START);
        table.take(&counts, START);
    };
    take(1, START - 170 * MINUTE);
    take(2, START + 22 * MINUTE); // its slot is the same
    let shown = table.show(None, START / MINUTE - 170, 1).unwrap();
    assert_eq!(shown.minutes[0].unwrap().all(), 1);
}
