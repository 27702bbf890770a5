//! Shapes as the worker uses them: read once, their schedules parsed once, shared by all jobs that
//! have them. Loaders and senders ask it on blocking threads; it never writes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;

use super::plan::Plan;
use crate::model::JobId;
use crate::model::job::JobShape;
use crate::schedule::{Schedule, parse_zone};
use crate::store::shapes;

/// So many shapes are remembered; above that, all are forgotten and read again as they are met.
const KEPT: usize = 8_192;

/// The shapes met so far.
#[derive(Default)]
pub(super) struct Plans {
    known: Mutex<HashMap<u64, Known>>,
}

#[derive(Clone)]
struct Known {
    shape: Arc<JobShape>,
    /// `None` when each job needs its own (`H` in the spec), or when the spec can't be read.
    plan: Option<Arc<Plan>>,
    seeded: bool,
}

impl Plans {
    /// A shape by its number; `None` when there is none.
    pub(super) fn shape(
        &self,
        conn: &Connection,
        id: u64,
    ) -> rusqlite::Result<Option<Arc<JobShape>>> {
        Ok(self.get(conn, id)?.map(|known| known.shape))
    }

    /// What a job of a shape fires by; `None` when there is no such shape or its spec makes no
    /// sense to this version.
    pub(super) fn plan(
        &self,
        conn: &Connection,
        shape: u64,
        job: JobId,
    ) -> rusqlite::Result<Option<Arc<Plan>>> {
        let Some(known) = self.get(conn, shape)? else { return Ok(None) };
        if known.seeded {
            return Ok(read(shape, &known.shape, Some(job)).map(Arc::new));
        }
        Ok(known.plan)
    }

    fn get(&self, conn: &Connection, id: u64) -> rusqlite::Result<Option<Known>> {
        if let Some(known) = self.lock().get(&id) {
            return Ok(Some(known.clone()));
        }
        let Some(shape) = shapes::get(conn, id)? else { return Ok(None) };
        let seeded = Schedule::is_seed_dependent(&shape.spec);
        let plan = if seeded { None } else { read(id, &shape, None).map(Arc::new) };
        let known = Known { shape: Arc::new(shape), plan, seeded };
        let mut all = self.lock();
        if all.len() >= KEPT {
            all.clear();
        }
        all.insert(id, known.clone());
        Ok(Some(known))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<u64, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read(id: u64, shape: &JobShape, seed: Option<JobId>) -> Option<Plan> {
    let schedule = if shape.is_one_off() {
        Ok(Schedule::once())
    } else {
        let zone = parse_zone(&shape.timezone);
        zone.and_then(|zone| Schedule::stored(&shape.spec, zone, shape.dst, seed.unwrap_or(0)))
    };
    match schedule {
        Ok(schedule) => Some(Plan {
            shape: id,
            project: shape.project,
            schedule,
            seed,
            start: shape.start,
            end: shape.end,
            jitter: shape.jitter,
            misfire: shape.misfire,
        }),
        Err(error) => {
            // The api refuses such a spec: this one was written by a newer version.
            tracing::error!(shape = id, %error, "a stored schedule cannot be read; its jobs do not fire here");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stored_spec_that_no_new_job_may_have_still_fires_as_it_did() {
        for (stored, now) in [
            ("@every 500ms", "@every 1s"),
            ("@every -1m", "@every 1s"),
            ("0 12 * * ? *", "0 12 * * * *"),
            ("1,,2 * * * *", "1,2 * * * *"),
        ] {
            let schedule = |spec: &str| {
                let shape =
                    JobShape { spec: spec.into(), timezone: "UTC".into(), ..JobShape::default() };
                read(1, &shape, None).map(|plan| plan.schedule)
            };
            assert!(schedule(stored).is_some(), "{stored}");
            assert_eq!(schedule(stored), schedule(now), "{stored}");
        }
    }
}
