//! The classes that were read last: to read those of a million jobs takes a moment, and pages ask
//! for them again and again. They are kept for longer the longer it took.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OwnedMutexGuard;
use tokio::time::{Duration, Instant, timeout};

use super::reckon::KnownClasses;
use crate::model::ProjectId;

/// The most that are kept.
const MOST: usize = 8;
/// They are kept for so many times the time that it took to read them ...
const TIMES: u32 = 20;
/// ... but no longer than this.
const LONGEST: Duration = Duration::from_mins(1);

/// The classes of all jobs and of some projects.
#[derive(Debug, Default)]
pub(in crate::app) struct ForecastCache {
    kept: Mutex<Vec<Kept>>,
    /// Held by the one forecast that is reckoned, also while it reads the classes: those who wait
    /// find them here.
    turn: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Debug)]
struct Kept {
    project: Option<ProjectId>,
    until: Instant,
    known: Arc<KnownClasses>,
}

impl ForecastCache {
    /// Waits for the turn to reckon; `None` when it does not come within the patience.
    pub(super) async fn turn(&self, patience: Duration) -> Option<OwnedMutexGuard<()>> {
        timeout(patience, Arc::clone(&self.turn).lock_owned()).await.ok()
    }

    pub(super) fn get(&self, project: Option<ProjectId>) -> Option<Arc<KnownClasses>> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        kept.retain(|one| one.until > now);
        kept.iter().find(|one| one.project == project).map(|one| Arc::clone(&one.known))
    }

    /// Keeps what took so long to read, in place of the oldest.
    pub(super) fn put(&self, project: Option<ProjectId>, known: Arc<KnownClasses>, took: Duration) {
        let until = Instant::now() + took.saturating_mul(TIMES).min(LONGEST);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|one| one.project != project);
        if kept.len() >= MOST {
            kept.remove(0);
        }
        kept.push(Kept { project, until, known });
    }
}
