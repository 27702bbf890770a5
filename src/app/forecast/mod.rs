//! Forecasts: how many occurrences are planned for each part of a stretch of time, and which ones
//! come next among all jobs. Both follow from the schedules of all active jobs, in classes that
//! fire together. Retries, manual runs and what is late already are not in them.

mod cache;
mod peaks;
mod reckon;
#[cfg(test)]
mod reckon_tests;

pub(in crate::app) use cache::ForecastCache;
pub use peaks::Peak;
use reckon::KnownClasses;
pub use reckon::{Forecast, NextFiring, Span, UpcomingFirings};

use std::sync::Arc;

use rusqlite::Connection;
use tokio::sync::OwnedMutexGuard;
use tokio::time::{Duration, Instant};

use crate::app::actor::Actor;
use crate::app::authz::{Action, Resource, authorize};
use crate::app::error::Error;
use crate::app::reads::ReadPhase;
use crate::app::state::App;
use crate::model::{Millis, ProjectId};

/// The longest stretch of a forecast, in milliseconds.
pub const LONGEST: Millis = 7 * 24 * 3_600_000;
/// The most parts of a forecast.
pub const MOST_BUCKETS: usize = 1_440;
/// The time after which the jobs that are still to be reckoned are left out.
const LONGEST_RECKONING: Duration = Duration::from_secs(2);
/// The time for which a forecast waits for others: a node reckons one at a time.
const PATIENCE: Duration = Duration::from_secs(5);

/// The age of the jobs that a forecast is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// They may have been read up to a minute ago.
    Kept,
    /// They are read anew.
    Now,
}

impl App {
    /// Counts the planned occurrences of all jobs, or of a project's, in each part of a stretch.
    ///
    /// # Errors
    ///
    /// `Invalid` for a stretch that is empty, too long, or in the past; `TooSlow` or `Busy` when
    /// the jobs cannot be read in time.
    pub async fn forecast(
        &self,
        actor: &Actor,
        project: Option<ProjectId>,
        span: Span,
        freshness: Freshness,
    ) -> Result<Forecast, Error> {
        authorize(actor, Action::JobsRead, Resource::of_project(project))?;
        if span.until <= span.from || span.until - span.from > LONGEST {
            let message = "until must be after from, and at most 7 days after it";
            return Err(Error::invalid("until", message));
        }
        let now = self.now();
        if span.until <= now || span.from.saturating_sub(now) > LONGEST {
            let message =
                "from must be within the next 7 days, and until ahead: the past is in the history";
            return Err(Error::invalid("from", message));
        }
        let span = Span { from: span.from.max(now), ..span };
        let (known, turn) = self.known_classes(actor, project, freshness).await?;
        let work = move || {
            let _turn = turn;
            reckon::forecast(&known, span, Instant::now() + LONGEST_RECKONING)
        };
        self.compute(actor, work).await
    }

    /// Finds the next occurrences of all jobs, or of a project's, at most `limit`.
    ///
    /// # Errors
    ///
    /// `TooSlow` or `Busy` when the jobs cannot be read in time.
    pub async fn upcoming_firings(
        &self,
        actor: &Actor,
        project: Option<ProjectId>,
        limit: usize,
        freshness: Freshness,
    ) -> Result<UpcomingFirings, Error> {
        authorize(actor, Action::JobsRead, Resource::of_project(project))?;
        let (known, turn) = self.known_classes(actor, project, freshness).await?;
        let now = self.now();
        let work = move || {
            let _turn = turn;
            reckon::upcoming(&known, now, limit, Instant::now() + LONGEST_RECKONING)
        };
        self.compute(actor, work).await
    }

    /// The classes, read once for all who ask at the same time, and the turn to reckon with them.
    async fn known_classes(
        &self,
        actor: &Actor,
        project: Option<ProjectId>,
        freshness: Freshness,
    ) -> Result<(Arc<KnownClasses>, OwnedMutexGuard<()>), Error> {
        let turn = self.forecasts.turn(PATIENCE).await.ok_or_else(|| {
            Error::busy("this node reckons other forecasts: try again, or ask another node")
        })?;
        if freshness == Freshness::Kept
            && let Some(found) = self.forecasts.get((actor.reach(), project), Instant::now())
        {
            if found.renew {
                self.renew_classes(actor, project);
            }
            return Ok((found.known, turn));
        }
        let (span, begun) = (reckoned(self.now()), Instant::now());
        // The turn goes with the work, which goes on when the caller is gone.
        let read =
            self.read(actor, move |conn| Ok((KnownClasses::read(conn, project, span)?, turn)));
        let (known, turn) = read.await?;
        let known = Arc::new(known);
        let of = (actor.reach().clone(), project);
        self.forecasts.put(of, Arc::clone(&known), (begun, Instant::now()));
        Ok((known, turn))
    }

    /// Reads classes anew that are kept, beside the caller, who waits for nothing.
    fn renew_classes(&self, actor: &Actor, project: Option<ProjectId>) {
        let (reads, cluster) = (self.reads.clone(), self.cluster.clone());
        let (metrics, forecasts) = (Arc::clone(&self.metrics), Arc::clone(&self.forecasts));
        let (reach, span) = (actor.reach().clone(), reckoned(self.now()));
        let who = (actor.principal, reach.clone());
        let timeout = ReadPhase::BeforeWrite.timeout(actor);
        tokio::spawn(async move {
            let begun = Instant::now();
            let read = move |conn: &Connection| KnownClasses::read(conn, project, span);
            match reads.run(&cluster, &metrics, who, timeout, read).await {
                Ok(known) => {
                    forecasts.put((reach, project), Arc::new(known), (begun, Instant::now()));
                }
                // Whoever asks when they are too old gets the error.
                Err(_) => forecasts.not_renewed((&reach, project)),
            }
        });
    }
}

/// The time for which classes are read at an instant: any forecast from then on is within it, also
/// one that finds them kept.
fn reckoned(now: Millis) -> (Millis, Millis) {
    (now, now.saturating_add(2 * LONGEST))
}
