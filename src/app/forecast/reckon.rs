//! Forecasts as pure functions of the classes of jobs. The work is bounded: what is beyond the
//! bounds is counted as left out, never guessed.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use rusqlite::Connection;
use tokio::time::Instant;

use super::peaks::{LargestClasses, Peak};
use crate::model::job::JobDefinition;
use crate::model::target::ProjectPause;
use crate::model::{JobId, Millis, ProjectId};
use crate::schedule::Schedule;
use crate::store::jobs::{self, ClassBounds, ClassifiedJobs, JobClass, JobRow};
use crate::store::projects;

/// The most classes, and the jobs of a class whose instants are each looked at where jitter or an
/// `H` in the schedule spreads them.
const BOUNDS: ClassBounds =
    ClassBounds { recurring: 50_000, one_offs: 20_000, later: 1_000, samples: 16 };
/// The most steps of one forecast: schedules that are parsed, and instants that are looked at.
const MOST_STEPS: usize = 400_000;
/// The steps that each class may take before those that need more: one busy schedule must not cost
/// all others their turn.
const SMALL_SHARE: usize = 512;
/// The parts of a stretch that are counted by a division, and cost as much as one step.
const BUCKETS_OF_A_STEP: usize = 16;

/// The work that is left.
struct Budget {
    steps: usize,
    /// What the class that is reckoned may take of it.
    share: usize,
    until: Instant,
}

/// The work is used up.
struct UsedUp;

impl Budget {
    fn new(until: Instant) -> Self {
        Self { steps: MOST_STEPS, share: MOST_STEPS, until }
    }

    /// Lets the next class take so many steps at most.
    fn allot(&mut self, share: usize) {
        self.share = share.min(self.steps);
    }

    /// Takes some steps; fails where the class has too few left, or where it is too late.
    fn take(&mut self, steps: usize) -> Result<(), UsedUp> {
        let left = self.share.checked_sub(steps).filter(|_| Instant::now() < self.until);
        self.share = left.ok_or(UsedUp)?;
        // A share is no larger than what is left of all.
        self.steps -= steps;
        Ok(())
    }
}

/// A stretch of time in equal parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Its begin, which is in it.
    pub from: Millis,
    /// Its end, which is not.
    pub until: Millis,
    /// The number of parts, 1 or more. The last one may be shorter.
    pub buckets: usize,
}

/// Planned occurrences by their due instants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forecast {
    /// The stretch.
    pub span: Span,
    /// The length of a part, in milliseconds.
    pub width: Millis,
    /// The occurrences of each part.
    pub counts: Vec<u64>,
    /// The parts with by far the most occurrences, the highest first.
    pub peaks: Vec<Peak>,
    /// The jobs that are not in the counts, because reckoning them would take too long.
    pub left_out: u64,
}

/// The next occurrences of many jobs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpcomingFirings {
    /// The occurrences, the next one first.
    pub firings: Vec<NextFiring>,
    /// The jobs whose next occurrence was not looked at.
    pub left_out: u64,
}

/// The next occurrence of jobs that fire together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NextFiring {
    /// The due instant.
    pub due: Millis,
    /// The number of jobs.
    pub jobs: u64,
    /// The first of them.
    pub first: JobId,
    /// Their project.
    pub project: ProjectId,
    /// Their schedule; empty for one-offs.
    pub spec: String,
    /// The zone that it is read in.
    pub timezone: String,
}

/// Classes of jobs, with what decides when they fire.
#[derive(Debug, Default)]
pub(super) struct KnownClasses {
    pub(super) classes: Vec<JobClass>,
    pub(super) pauses: HashMap<ProjectId, Vec<ProjectPause>>,
    /// The one-offs that come first among those too far ahead for a forecast.
    pub(super) later: Vec<JobClass>,
    /// The jobs beyond the most classes.
    pub(super) beyond: u64,
}

impl KnownClasses {
    /// Reads the active jobs and the pauses of their projects.
    pub(super) fn read(
        conn: &Connection,
        project: Option<ProjectId>,
        (now, until): (Millis, Millis),
    ) -> rusqlite::Result<Self> {
        let ClassifiedJobs { classes, later, beyond } =
            jobs::classes(conn, project, (now, until), BOUNDS)?;
        let mut pauses = HashMap::new();
        for class in classes.iter().chain(&later) {
            if let Entry::Vacant(new) = pauses.entry(class.definition.project) {
                let all = projects::pauses(conn, *new.key())?;
                let ahead = all.into_iter().filter(|one| one.until.is_none_or(|end| end > now));
                new.insert(ahead.collect());
            }
        }
        Ok(Self { classes, pauses, later, beyond })
    }

    fn pauses(&self, project: ProjectId) -> &[ProjectPause] {
        self.pauses.get(&project).map_or(&[], Vec::as_slice)
    }
}

/// A job that stands for some jobs of its class.
struct Sample<'c> {
    job: &'c JobRow,
    definition: &'c JobDefinition,
    schedule: Arc<Schedule>,
    pauses: &'c [ProjectPause],
    /// The number of jobs that it stands for.
    weight: u64,
}

impl Sample<'_> {
    /// The first due instant after one that no pause covers.
    fn next(&self, mut after: Millis, budget: &mut Budget) -> Result<Option<Millis>, UsedUp> {
        loop {
            budget.take(1)?;
            let found = jobs::first_due(self.job, self.definition, &self.schedule, after);
            let Some((_, due)) = found else { return Ok(None) };
            match self.pauses.iter().find(|pause| pause.covers(due)) {
                None => return Ok(Some(due)),
                // A pause that covers an instant ends at it or later.
                Some(pause) => match pause.until {
                    Some(until) => after = until.max(due),
                    None => return Ok(None),
                },
            }
        }
    }

    /// The period of a schedule whose occurrences need not be looked at one by one.
    fn period(&self, from: Millis) -> Option<Millis> {
        let plain = self.definition.jitter == 0
            && self.definition.start.is_none()
            && self.definition.end.is_none()
            && self.pauses.is_empty()
            && self.job.from < from;
        self.schedule.period().filter(|period| plain && *period > 0)
    }
}

/// The jobs of a class that are looked at. Those that fire apart from each other are represented by
/// some of them.
fn samples<'c>(
    known: &'c KnownClasses,
    class: &'c JobClass,
    budget: &mut Budget,
) -> Result<Vec<Sample<'c>>, UsedUp> {
    let definition = &*class.definition;
    let hashed = Schedule::is_seed_dependent(&definition.spec);
    let apart = definition.jitter > 0 || hashed;
    let taken = if apart { class.samples.len() } else { 1 };
    let mut shared = None;
    let (each, rest) = (class.count / taken as u64, class.count % taken as u64);
    let mut samples = Vec::with_capacity(taken);
    for (job, place) in class.samples.iter().take(taken).zip(0..) {
        let schedule = if let Some(schedule) = &shared {
            Arc::clone(schedule)
        } else {
            budget.take(1)?;
            // Its text was checked when it was made.
            let Some(schedule) = jobs::parse(definition, job.id) else { continue };
            Arc::new(schedule)
        };
        if !hashed {
            shared = Some(Arc::clone(&schedule));
        }
        let pauses = known.pauses(definition.project);
        let weight = each + u64::from(place < rest);
        samples.push(Sample { job, definition, schedule, pauses, weight });
    }
    Ok(samples)
}

/// Counts the occurrences of each part of a stretch, until it is too late.
pub(super) fn forecast(known: &KnownClasses, span: Span, until: Instant) -> Forecast {
    let buckets = span.buckets.max(1);
    let long = (span.until - span.from).max(1);
    let width = (long + buckets as Millis - 1) / buckets as Millis;
    let mut counts = vec![0; buckets];
    let mut largest = LargestClasses::new(buckets);
    let (mut left_out, mut budget) = (known.beyond, Budget::new(until));
    let mut add = |class, own: Vec<u64>| {
        largest.add(class, &own);
        counts.iter_mut().zip(own).for_each(|(sum, own)| *sum += own);
    };
    let small = SMALL_SHARE + 2 * (1 + buckets / BUCKETS_OF_A_STEP);
    let mut busy = Vec::new();
    for class in &known.classes {
        budget.allot(small);
        match of_class(known, class, span, width, &mut budget) {
            Ok(own) => add(class, own),
            Err(UsedUp) => busy.push(class),
        }
    }
    // No one of them takes all that is left.
    for class in busy {
        budget.allot(budget.steps / 2);
        match of_class(known, class, span, width, &mut budget) {
            Ok(own) => add(class, own),
            Err(UsedUp) => left_out += class.count,
        }
    }
    let peaks = largest.peaks(&counts, |place| span.from + place as Millis * width);
    Forecast { span, width, counts, peaks, left_out }
}

/// The occurrences of a class, unless there are too many to look at.
fn of_class(
    known: &KnownClasses,
    class: &JobClass,
    span: Span,
    width: Millis,
    budget: &mut Budget,
) -> Result<Vec<u64>, UsedUp> {
    budget.take(1 + span.buckets / BUCKETS_OF_A_STEP)?;
    let mut counts = vec![0; span.buckets.max(1)];
    for sample in samples(known, class, budget)? {
        if let Some(period) = sample.period(span.from) {
            budget.take(1 + span.buckets / BUCKETS_OF_A_STEP)?;
            let before = |at: Millis| (at - 1 - sample.job.anchor).div_euclid(period).max(0);
            for (place, count) in (0..).zip(&mut counts) {
                let begin = span.from + place * width;
                let end = (begin + width).min(span.until);
                let fired = (before(end) - before(begin)).max(0);
                *count += fired.unsigned_abs() * sample.weight;
            }
            continue;
        }
        let mut after = span.from - 1;
        while let Some(due) = sample.next(after, budget)?.filter(|due| *due < span.until) {
            counts[((due - span.from) / width) as usize] += sample.weight;
            after = due;
        }
    }
    Ok(counts)
}

/// Finds the next occurrences after an instant, until it is too late.
pub(super) fn upcoming(
    known: &KnownClasses,
    now: Millis,
    limit: usize,
    until: Instant,
) -> UpcomingFirings {
    let mut firings = Vec::new();
    let (mut left_out, mut budget) = (known.beyond, Budget::new(until));
    for class in known.classes.iter().chain(&known.later) {
        budget.allot(usize::MAX);
        match next_of_class(known, class, now, &mut budget) {
            Ok((own, others)) => {
                firings.extend(own);
                left_out += others;
            }
            Err(UsedUp) => left_out += class.count,
        }
    }
    firings.sort_by_key(|firing| (firing.due, firing.first));
    firings.truncate(limit);
    UpcomingFirings { firings, left_out }
}

/// The next occurrences of a class, and the jobs that were not looked at.
fn next_of_class(
    known: &KnownClasses,
    class: &JobClass,
    now: Millis,
    budget: &mut Budget,
) -> Result<(Vec<NextFiring>, u64), UsedUp> {
    let definition = &class.definition;
    let samples = samples(known, class, budget)?;
    // Of jobs that fire apart from each other, each stands for itself.
    let apart = samples.len() > 1;
    let others = if apart { class.count - samples.len() as u64 } else { 0 };
    let mut firings = Vec::with_capacity(samples.len());
    for sample in samples {
        let Some(due) = sample.next(now, budget)? else { continue };
        firings.push(NextFiring {
            due,
            jobs: if apart { 1 } else { sample.weight },
            first: sample.job.id,
            project: definition.project,
            spec: definition.spec.clone(),
            timezone: definition.timezone.clone(),
        });
    }
    Ok((firings, others))
}
