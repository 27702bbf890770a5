//! The classes that were read last: to read those of a million jobs takes a moment, and pages ask
//! for them again and again. They are read anew while the kept ones are still shown, less often the
//! longer it takes.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::OwnedMutexGuard;
use tokio::time::{Duration, Instant, timeout};

use super::reckon::KnownClasses;
use crate::model::ProjectId;
use crate::model::reach::Reach;

/// The most that are kept.
const MOST: usize = 8;
/// They are fresh for so many times the time that it took to read them ...
const TIMES: u32 = 20;
/// ... but no longer than this ...
const FRESH: Duration = Duration::from_secs(30);
/// ... and are shown for this long.
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
    /// Whose jobs they are of: those within a reach.
    reach: Reach,
    project: Option<ProjectId>,
    fresh_until: Instant,
    until: Instant,
    known: Arc<KnownClasses>,
    /// Somebody reads them anew.
    renewing: bool,
}

/// Classes that were kept.
pub(super) struct Found {
    pub(super) known: Arc<KnownClasses>,
    /// They are old, and nobody else reads them anew: the caller must, and then say so by
    /// [`ForecastCache::put`] or [`ForecastCache::not_renewed`].
    pub(super) renew: bool,
}

/// The jobs that classes are of: those within a reach, and of one project, if one is named.
type Of<'a> = (&'a Reach, Option<ProjectId>);

impl Kept {
    fn is_of(&self, (reach, project): Of<'_>) -> bool {
        self.project == project && self.reach == *reach
    }
}

impl ForecastCache {
    /// Waits for the turn to reckon; `None` when it does not come within the patience.
    pub(super) async fn turn(&self, patience: Duration) -> Option<OwnedMutexGuard<()>> {
        timeout(patience, Arc::clone(&self.turn).lock_owned()).await.ok()
    }

    /// Finds what is kept and not too old `now`.
    pub(super) fn get(&self, of: Of<'_>, now: Instant) -> Option<Found> {
        let mut kept = self.kept();
        kept.retain(|one| one.until > now);
        let one = kept.iter_mut().find(|one| one.is_of(of))?;
        let renew = one.fresh_until <= now && !one.renewing;
        one.renewing |= renew;
        Some(Found { known: Arc::clone(&one.known), renew })
    }

    /// Keeps what was read from `begun` until `now`, in place of the oldest.
    pub(super) fn put(
        &self,
        (reach, project): (Reach, Option<ProjectId>),
        known: Arc<KnownClasses>,
        (begun, now): (Instant, Instant),
    ) {
        let took = now.saturating_duration_since(begun);
        let fresh_until = now + took.saturating_mul(TIMES).min(FRESH);
        let mut kept = self.kept();
        kept.retain(|one| !one.is_of((&reach, project)));
        if kept.len() >= MOST {
            kept.remove(0);
        }
        let until = now + LONGEST;
        kept.push(Kept { reach, project, fresh_until, until, known, renewing: false });
    }

    /// Notes that classes could not be read anew: the next one who asks may try.
    pub(super) fn not_renewed(&self, of: Of<'_>) {
        for one in self.kept().iter_mut().filter(|one| one.is_of(of)) {
            one.renewing = false;
        }
    }

    fn kept(&self) -> MutexGuard<'_, Vec<Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_old_is_shown_while_one_caller_reads_it_anew() {
        let (cache, all) = (ForecastCache::default(), Reach::all());
        let renews = |now| cache.get((&all, None), now).map(|found| found.renew);
        let begun = Instant::now();
        assert_eq!(renews(begun), None);
        let read = begun + Duration::from_millis(100);
        cache.put((Reach::all(), None), Arc::default(), (begun, read));
        assert_eq!(renews(read + Duration::from_secs(1)), Some(false));
        let old = read + Duration::from_secs(2);
        assert_eq!((renews(old), renews(old)), (Some(true), Some(false)));
        cache.not_renewed((&all, Some(1)));
        assert_eq!(renews(old), Some(false), "another project");
        cache.not_renewed((&all, None));
        assert_eq!(renews(old), Some(true));
        cache.put((Reach::all(), None), Arc::default(), (begun, old + Duration::from_secs(20)));
        let read = old + Duration::from_secs(20);
        assert_eq!(renews(read + FRESH / 2), Some(false));
        assert_eq!(renews(read + FRESH), Some(true));
        let bound = Reach::of_projects(1, Some(&[1]));
        assert!(cache.get((&bound, None), read).is_none(), "those of another reach");
        assert_eq!(renews(read + LONGEST), None, "too old to be shown");
    }
}
