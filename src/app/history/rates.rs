//! Results by the minute over the last three hours, for charts that everybody looks at: from the
//! table that the node keeps in memory, so that a look costs the same with a million jobs. Minutes
//! that this node does not know are told apart from those in which nothing was due.

use crate::app::actor::Actor;
use crate::app::authz::{Action, Resource, authorize};
use crate::app::error::Error;
use crate::app::history::time_range::TimeRange;
use crate::app::state::App;
use crate::events::{KindCounts, MAX_RATE_PROJECTS, RATE_MINUTES, RateAnswer, Rates};
use crate::model::{Millis, ProjectId};
use crate::store::counters::{self, MINUTE};
use crate::store::meta;

/// The time that is shown unless the caller names another: 180 minutes, with the one that is not
/// over.
const SPAN: Millis = (RATE_MINUTES as Millis - 2) * MINUTE;
/// The id of a project that never was.
const NEVER: ProjectId = i64::MAX.cast_unsigned();
/// The most records that are summed up for a project that is not told apart: about a tenth of a
/// second of work.
const MOST_RECORDS: u64 = 100_000;

/// The results of some minutes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateReport {
    /// The begin of the first minute, in milliseconds since 1970.
    pub begin: Millis,
    /// The results of each minute, by when they were due, oldest first; `None` for minutes that
    /// this node does not know.
    pub minutes: Vec<Option<KindCounts>>,
    /// The busiest projects with what they have in these minutes; `None` where the report is of one
    /// project, or where projects are not told apart now.
    pub projects: Option<Vec<(ProjectId, KindCounts)>>,
    /// What all other projects have; `None` with `projects`.
    pub others: Option<KindCounts>,
}

impl RateReport {
    /// The begin of each minute with its results.
    pub fn points(&self) -> impl Iterator<Item = (Millis, Option<&KindCounts>)> {
        (0..).map(|n| self.begin + n * MINUTE).zip(self.minutes.iter().map(Option::as_ref))
    }
}

/// The range of a report: the first minute, as its number since 1970, and how many there are.
///
/// # Errors
///
/// `Invalid` where the range is longer than what is kept, or ends before it begins.
fn minutes(
    (from, until): (Option<Millis>, Option<Millis>),
    now: Millis,
) -> Result<(i64, usize), Error> {
    let range =
        TimeRange::new((from, until.map(|until| until.min(now))), now, SPAN).map_err(|error| {
            let ends_now = until.is_none_or(|until| until > now);
            if ends_now { Error::invalid("from", "from must not lie ahead of now") } else { error }
        })?;
    let first = range.begin().div_euclid(MINUTE);
    let count = range.end().div_euclid(MINUTE).saturating_sub(first).saturating_add(1);
    match usize::try_from(count) {
        Ok(count) if count <= RATE_MINUTES => Ok((first, count)),
        _ => {
            let message = "from and until may be three hours apart: longer ranges are at \
                           /executions/analytics";
            Err(Error::invalid("from", message))
        }
    }
}

impl App {
    /// The results of each minute of a range of up to three hours, of one project or of all. It is
    /// the last three hours unless the caller names its ends.
    ///
    /// # Errors
    ///
    /// `Invalid` where the range is too long, or ends before it begins; `TooSlow` or `Busy` when
    /// the store cannot be read in time.
    pub async fn get_rates(
        &self,
        actor: &Actor,
        project: Option<ProjectId>,
        ends: (Option<Millis>, Option<Millis>),
    ) -> Result<RateReport, Error> {
        authorize(actor, Action::HistoryRead, Resource::of_project(project))?;
        let (first, count) = minutes(ends, self.now())?;
        // What was dropped here is dropped everywhere: no node shows a part of a minute, and the
        // sums of projects are of the minutes that are shown.
        let dropped = self.read(actor, meta::history_dropped).await?;
        let gone = dropped.map_or(0, |dropped| dropped.div_euclid(MINUTE) - first + 1);
        let gone = usize::try_from(gone).unwrap_or(0).min(count);
        let (known, left) = (first + gone as i64, count - gone);
        let reached = self.reached_projects(actor).await?;
        let mut rates = match (reached, project) {
            (None, _) => self.rates_of(actor, project, (known, left)).await?,
            (Some(reached), Some(project)) => {
                let project = if reached.contains(&project) { project } else { NEVER };
                self.rates_of(actor, Some(project), (known, left)).await?
            }
            (Some(reached), None) => self.rates_of_all(actor, reached, (known, left)).await?,
        };
        rates.first = first;
        rates.minutes.splice(0..0, std::iter::repeat_n(None, gone));
        Ok(report(rates, project))
    }

    /// The results of so many minutes from one on, of one project or of all.
    async fn rates_of(
        &self,
        actor: &Actor,
        project: Option<ProjectId>,
        (first, count): (i64, usize),
    ) -> Result<Rates, Error> {
        let unknown = Rates { first, minutes: vec![None; count], projects: None };
        let answer = match count {
            0 => RateAnswer::NotRead,
            count => self.rates.show(project, first, count),
        };
        match (answer, project) {
            (RateAnswer::Rates(rates), _) => Ok(rates),
            (RateAnswer::NotApart, Some(project)) => self.sum_up(actor, project, unknown).await,
            (RateAnswer::NotRead | RateAnswer::NotApart, _) => Ok(unknown),
        }
    }

    /// The results of all these projects together, and of each.
    async fn rates_of_all(
        &self,
        actor: &Actor,
        projects: Vec<ProjectId>,
        (first, count): (i64, usize),
    ) -> Result<Rates, Error> {
        let mut all = vec![Some(KindCounts::default()); count];
        let mut named = Vec::new();
        for project in projects {
            let one = self.rates_of(actor, Some(project), (first, count)).await?;
            let mut sum = KindCounts::default();
            for (all, own) in all.iter_mut().zip(&one.minutes) {
                match (all.as_mut(), own) {
                    (Some(all), Some(own)) => {
                        all.join(own);
                        sum.join(own);
                    }
                    _ => *all = None,
                }
            }
            if sum.all() > 0 {
                named.push((project, sum));
            }
        }
        named.sort_by_key(|(project, sum)| (std::cmp::Reverse(sum.all()), *project));
        named.truncate(MAX_RATE_PROJECTS);
        Ok(Rates { first, minutes: all, projects: Some(named) })
    }

    /// Sums up the minutes of a project that is not told apart from its records. They stay unknown
    /// where there are too many.
    async fn sum_up(
        &self,
        actor: &Actor,
        project: ProjectId,
        mut rates: Rates,
    ) -> Result<Rates, Error> {
        let begin = rates.first * MINUTE;
        let end = begin + rates.minutes.len() as Millis * MINUTE;
        let summed = self.read(actor, move |conn| {
            counters::by_minute(conn, Some(project), (begin, end), MOST_RECORDS)
        });
        let Some(summed) = summed.await? else { return Ok(rates) };
        rates.minutes.fill(Some(KindCounts::default()));
        for (at, kind, count) in summed {
            let place = usize::try_from(at.div_euclid(MINUTE) - rates.first).unwrap_or(usize::MAX);
            if let Some(Some(counts)) = rates.minutes.get_mut(place) {
                counts.add(kind, count);
            }
        }
        Ok(rates)
    }
}

fn report(rates: Rates, project: Option<ProjectId>) -> RateReport {
    let Rates { first, minutes, projects } = rates;
    let projects = projects.filter(|_| project.is_none());
    let others = projects.as_ref().map(|named| {
        let mut rest = KindCounts::default();
        for one in minutes.iter().flatten() {
            rest.join(one);
        }
        for (_, one) in named {
            rest.take_away(one);
        }
        rest
    });
    RateReport { begin: first * MINUTE, minutes, projects, others }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::counters::OutcomeKind;

    const NOW: Millis = 1_000_000 * MINUTE + 30_000;

    #[test]
    fn a_range_is_the_minutes_that_it_touches() {
        let last = NOW.div_euclid(MINUTE);
        assert_eq!(minutes((None, None), NOW).unwrap(), (last - 179, 180));
        let until = NOW - 10 * MINUTE;
        assert_eq!(minutes((None, Some(until)), NOW).unwrap(), (last - 189, 180));
        assert_eq!(minutes((Some(until), Some(until)), NOW).unwrap(), (last - 10, 1));
        let ahead = NOW + 5 * MINUTE;
        assert_eq!(minutes((Some(until), Some(ahead)), NOW).unwrap(), (last - 10, 11));
        for (ends, field) in [
            ((Some(NOW - 182 * MINUTE), None), "from"),
            ((Some(Millis::MIN), Some(Millis::MAX)), "from"),
            ((Some(ahead), None), "from"),
            ((Some(ahead), Some(ahead)), "from"),
            ((Some(until), Some(until - 1)), "until"),
        ] {
            let error = minutes(ends, NOW).unwrap_err();
            assert_eq!(error.field_name(), Some(field), "{ends:?}: {}", error.detail());
        }
    }

    #[test]
    fn what_is_not_of_the_named_projects_is_of_the_others() {
        let counts = |delivered| {
            let mut counts = KindCounts::default();
            counts.add(OutcomeKind::Delivered, delivered);
            counts
        };
        let rates = Rates {
            first: 10,
            minutes: vec![Some(counts(5)), None, Some(counts(7))],
            projects: Some(vec![(1, counts(8)), (2, counts(3))]),
        };
        let all = report(rates.clone(), None);
        assert_eq!(all.others, Some(counts(1)));
        let points: Vec<_> = all.points().collect();
        assert_eq!(points[1], (11 * MINUTE, None));
        assert_eq!(points[2], (12 * MINUTE, Some(&counts(7))));
        let one = report(rates, Some(1));
        assert_eq!((one.projects, one.others), (None, None));
    }
}
