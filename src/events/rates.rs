//! Results by the minute in which they were due, over the last three hours: of the projects with
//! most of them, and of all others together. This is plain data: `rate_feed` owns the one table of
//! a node, reads it from the store after a start, and adds what is applied from then on.
//!
//! A table has the records whose execution numbers it was told, each once (*counted once*): those
//! up to the number at which its reading began come from the store, and those above come from the
//! change feed. So the order in which both arrive does not matter, and the tables of all nodes that
//! have applied the same entries are the same. The store drops old records; who shows a table has
//! to ask from which minute on all are kept.

use crate::command::{MinuteCounts, NO_PROJECT};
use crate::model::{Millis, ProjectId};
use crate::store::counters::{MINUTE, OutcomeKind};

/// The minutes that are shown, with the one that is not over.
pub const RATE_MINUTES: usize = 181;
/// The minutes that have room. Some lie ahead of log time, since nodes stamp entries by their own
/// clocks.
const SLOTS: usize = RATE_MINUTES + 11;
const AHEAD: i64 = 10;
/// The most projects that are told apart.
pub const MAX_RATE_PROJECTS: usize = 64;

/// Results by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KindCounts([u32; OutcomeKind::ALL.len()]);

impl KindCounts {
    /// The number of a kind.
    pub fn of(&self, kind: OutcomeKind) -> u64 {
        self.0[kind as usize].into()
    }

    /// The number of all kinds together.
    pub fn all(&self) -> u64 {
        self.0.iter().copied().map(u64::from).sum()
    }

    /// Adds results of a kind.
    pub fn add(&mut self, kind: OutcomeKind, count: u64) {
        let place = &mut self.0[kind as usize];
        *place = place.saturating_add(count.try_into().unwrap_or(u32::MAX));
    }

    /// Adds other counts.
    pub fn join(&mut self, other: &Self) {
        for (own, more) in self.0.iter_mut().zip(other.0) {
            *own = own.saturating_add(more);
        }
    }

    /// Takes other counts away, which are a part of these.
    pub fn take_away(&mut self, part: &Self) {
        for (own, less) in self.0.iter_mut().zip(part.0) {
            *own = own.saturating_sub(less);
        }
    }
}

/// The results of some minutes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rates {
    /// The first minute, as its number since 1970.
    pub first: i64,
    /// The results of each minute from there on; `None` for minutes that the table does not know.
    pub minutes: Vec<Option<KindCounts>>,
    /// The projects that are told apart with what they have in these minutes, the busiest first;
    /// those with nothing are left out. `None` where projects cannot be told apart now.
    pub projects: Option<Vec<(ProjectId, KindCounts)>>,
}

/// One minute.
#[derive(Clone, Debug, Default)]
struct Slot {
    minute: i64,
    /// The results of all projects that are not told apart, and then those of each that is.
    counts: Vec<KindCounts>,
}

/// The results of the last minutes.
#[derive(Clone, Debug)]
pub(super) struct RateTable {
    slots: Vec<Slot>,
    /// The projects that are told apart, in the order of their places.
    projects: Vec<ProjectId>,
    /// Some results lost their project on the way: only sums over all projects are right.
    mixed: bool,
    /// The first minute whose records are all there.
    from: i64,
    /// The minute of log time.
    now: i64,
    /// The execution number up to which the store was read.
    read_to: u64,
}

impl RateTable {
    /// A table that is to be filled from the store with all records up to an execution number that
    /// were due from [`RateTable::begin`] on. `projects` are the busiest ones of that time: all of
    /// them, or as many as are told apart.
    pub(super) fn new(projects: Vec<ProjectId>, read_to: u64, now: Millis) -> Self {
        let now = now.div_euclid(MINUTE);
        let mut projects = projects;
        projects.truncate(MAX_RATE_PROJECTS);
        let from = now - (RATE_MINUTES as i64 - 1);
        Self { slots: vec![Slot::default(); SLOTS], projects, mixed: false, from, now, read_to }
    }

    /// The first instant from which on records are to be read.
    pub(super) fn begin(&self) -> Millis {
        self.from * MINUTE
    }

    /// The highest execution number that is to be read.
    pub(super) fn read_to(&self) -> u64 {
        self.read_to
    }

    /// Says whether it might tell other projects apart if it were read anew.
    pub(super) fn is_crowded(&self) -> bool {
        self.mixed || self.projects.len() >= MAX_RATE_PROJECTS
    }

    /// Adds a record that was read from the store.
    pub(super) fn read(&mut self, due: Millis, project: ProjectId, kind: OutcomeKind, count: u64) {
        self.add(due.div_euclid(MINUTE), project, kind, count);
    }

    /// Adds the records of an applied transaction, unless they were read. `stamp` is log time after
    /// it.
    pub(super) fn take(&mut self, counts: &MinuteCounts, stamp: Millis) {
        self.now = self.now.max(stamp.div_euclid(MINUTE));
        if counts.last().is_none_or(|last| last <= self.read_to) {
            return;
        }
        for (minute, project, kind, count) in counts.iter() {
            self.mixed |= project == NO_PROJECT;
            self.add(minute, project, kind, count);
        }
    }

    fn add(&mut self, minute: i64, project: ProjectId, kind: OutcomeKind, count: u64) {
        let kept = self.now - (RATE_MINUTES as i64 - 1)..=self.now + AHEAD;
        if minute < self.from || !kept.contains(&minute) {
            return;
        }
        let place = self.place(project);
        let slot = &mut self.slots[slot_of(minute)];
        if slot.minute != minute {
            slot.minute = minute;
            slot.counts.clear();
        }
        if slot.counts.len() <= place {
            slot.counts.resize(place + 1, KindCounts::default());
        }
        slot.counts[place].add(kind, count);
    }

    /// The place of a project: 0 for those that are not told apart. A project that comes while
    /// there is room had nothing before, and is told apart from here on.
    fn place(&mut self, project: ProjectId) -> usize {
        if let Some(known) = self.projects.iter().position(|known| *known == project) {
            return known + 1;
        }
        if project == NO_PROJECT || self.projects.len() >= MAX_RATE_PROJECTS {
            return 0;
        }
        self.projects.push(project);
        self.projects.len()
    }

    /// The results of `count` minutes from one on, of one project or of all; `None` where it cannot
    /// tell that project apart.
    pub(super) fn show(
        &self,
        project: Option<ProjectId>,
        first: i64,
        count: usize,
    ) -> Option<Rates> {
        let place = match project {
            None => None,
            Some(_) if self.mixed => return None,
            Some(wanted) => match self.projects.iter().position(|known| *known == wanted) {
                Some(known) => Some(known + 1),
                None if self.projects.len() >= MAX_RATE_PROJECTS => return None,
                // It had nothing. No slot has so many places.
                None => Some(usize::MAX),
            },
        };
        let mut sums = vec![KindCounts::default(); self.projects.len() + 1];
        let minutes = (first..).take(count).map(|minute| {
            if minute < self.from {
                return None;
            }
            let slot = &self.slots[slot_of(minute)];
            let counts = if slot.minute == minute { &slot.counts[..] } else { &[] };
            for (sum, own) in sums.iter_mut().zip(counts) {
                sum.join(own);
            }
            Some(match place {
                Some(place) => counts.get(place).copied().unwrap_or_default(),
                None => counts.iter().fold(KindCounts::default(), |mut all, one| {
                    all.join(one);
                    all
                }),
            })
        });
        let minutes = minutes.collect();
        let projects = (!self.mixed).then(|| {
            let named = self.projects.iter().copied().zip(sums.into_iter().skip(1));
            let mut found: Vec<_> = named.filter(|(_, sum)| sum.all() > 0).collect();
            found.sort_by_key(|(project, sum)| (std::cmp::Reverse(sum.all()), *project));
            found
        });
        Some(Rates { first, minutes, projects })
    }
}

fn slot_of(minute: i64) -> usize {
    minute.rem_euclid(SLOTS as i64) as usize
}
