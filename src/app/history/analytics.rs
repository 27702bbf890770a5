//! Sums of executions: over the whole history, and over each minute of a range of up to a day, or
//! each hour of a longer one.
//!
//! Hours are counted as results are recorded (`store::counters`). Minutes are summed up from the
//! recorded requests when somebody asks, so that recording has no more work. Where a range holds
//! too many requests, its points are hours too, and [`Analytics::grain`] says so.

use std::collections::BTreeMap;

use crate::app::actor::Actor;
use crate::app::authz::{Action, Resource, authorize};
use crate::app::error::Error;
use crate::app::history::time_range::TimeRange;
use crate::app::state::App;
use crate::model::{Millis, ProjectId};
use crate::store::counters::{self, HOUR, MINUTE, OutcomeKind};

/// The longest range that has points by the minute.
const DAY: Millis = 24 * HOUR;
/// The most points by the hour.
const MOST_HOURS: i64 = 31 * 24;
/// The most recorded requests that are summed up for points by the minute: about half a second of
/// work.
const MOST_REQUESTS: u64 = 400_000;

/// Numbers of executions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// All of them, skipped ones too.
    pub scheduled: u64,
    /// Deliveries.
    pub success: u64,
    /// Failed and dead-lettered attempts.
    pub failed: u64,
}

/// The range of time that a point stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grain {
    /// A minute.
    Minute,
    /// An hour.
    Hour,
}

impl Grain {
    /// Its length in milliseconds.
    fn length(self) -> Millis {
        match self {
            Self::Minute => MINUTE,
            Self::Hour => HOUR,
        }
    }
}

/// The executions that were due in one minute or hour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnalyticsPoint {
    /// The first instant of the minute or hour.
    pub at: Millis,
    /// The numbers of executions.
    pub totals: Totals,
}

/// The sums of a range of time, without gaps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Analytics {
    /// The range of time that each point stands for.
    pub grain: Grain,
    /// The begin of the first point.
    pub begin: Millis,
    /// The end of the last point.
    pub end: Millis,
    /// The points, oldest first.
    pub points: Vec<AnalyticsPoint>,
}

impl App {
    /// Sums up the whole history, of one project or of all.
    ///
    /// # Errors
    ///
    /// `TooSlow` or `Busy` when it cannot be read in time.
    pub async fn get_totals(
        &self,
        actor: &Actor,
        project: Option<ProjectId>,
    ) -> Result<Totals, Error> {
        authorize(actor, Action::HistoryRead, Resource::of_project(project))?;
        let sums = self.read(actor, move |conn| {
            Ok(Totals {
                scheduled: counters::total(conn, project, &OutcomeKind::ALL)?,
                success: counters::total(conn, project, &[OutcomeKind::Delivered])?,
                failed: counters::total(conn, project, &[OutcomeKind::Failed, OutcomeKind::Dead])?,
            })
        });
        sums.await
    }

    /// Sums up a range of time, of one project or of all. It is the last day unless the caller
    /// names its ends.
    ///
    /// # Errors
    ///
    /// As [`App::get_totals`].
    pub async fn get_analytics(
        &self,
        actor: &Actor,
        project: Option<ProjectId>,
        range: TimeRange,
    ) -> Result<Analytics, Error> {
        authorize(actor, Action::HistoryRead, Resource::of_project(project))?;
        let found = self.read(actor, move |conn| {
            if range.end() - range.begin() <= DAY {
                let (begin, end) = covering(range, Grain::Minute, i64::MAX);
                let minutes = counters::by_minute(conn, project, (begin, end), MOST_REQUESTS)?;
                if let Some(sums) = minutes {
                    return Ok((Grain::Minute, begin, end, sums));
                }
            }
            let (begin, end) = covering(range, Grain::Hour, MOST_HOURS);
            let hours = counters::between(conn, project, begin, end)?.into_iter();
            Ok((Grain::Hour, begin, end, hours.map(|t| (t.hour, t.kind, t.count)).collect()))
        });
        let (grain, begin, end, sums) = found.await?;
        Ok(analytics(grain, (begin, end), sums))
    }
}

impl TimeRange {
    /// The range of analytics whose ends may be left out: the last day up to its end.
    ///
    /// # Errors
    ///
    /// `Invalid` where it ends before it begins.
    pub fn of_analytics(
        ends: (Option<Millis>, Option<Millis>),
        now: Millis,
    ) -> Result<Self, Error> {
        Self::new(ends, now, DAY)
    }
}

/// The whole steps that a range touches, as the begin of the first and the end of the last.
fn covering(range: TimeRange, grain: Grain, most: i64) -> (Millis, Millis) {
    let step = grain.length();
    let first = range.begin().div_euclid(step);
    let steps = (range.end().div_euclid(step) - first).min(most);
    (first * step, (first + steps + 1) * step)
}

fn analytics(
    grain: Grain,
    (begin, end): (Millis, Millis),
    counted: Vec<(Millis, OutcomeKind, u64)>,
) -> Analytics {
    let mut sums: BTreeMap<Millis, Totals> = BTreeMap::new();
    for (at, kind, count) in counted {
        let sum = sums.entry(at).or_default();
        sum.scheduled += count;
        match kind {
            OutcomeKind::Delivered => sum.success += count,
            OutcomeKind::Failed | OutcomeKind::Dead => sum.failed += count,
            OutcomeKind::Skipped | OutcomeKind::Running => {}
        }
    }
    let point = |at| AnalyticsPoint { at, totals: sums.get(&at).copied().unwrap_or_default() };
    let points = (begin..end).step_by(grain.length() as usize).map(point).collect();
    Analytics { grain, begin, end, points }
}
