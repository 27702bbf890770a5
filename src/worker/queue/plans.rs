//! The plans of all definitions that this node has met, each read and parsed once. Loaders and
//! request builders ask for them on reader threads; nothing here writes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;

use super::plan::Plan;
use crate::model::JobId;
use crate::model::job::JobDefinition;
use crate::schedule::{Schedule, parse_zone};
use crate::store::definitions;

/// The most definitions that are kept. Above it all are dropped and read again when they are
/// needed.
const KEPT: usize = 8_192;

/// The definitions and plans read so far.
#[derive(Default)]
pub(in crate::worker) struct Plans {
    known: Mutex<HashMap<u64, Known>>,
}

#[derive(Clone)]
struct Known {
    definition: Arc<JobDefinition>,
    /// `None` when each job needs a plan of its own (`H` in the spec), or the spec cannot be read.
    plan: Option<Arc<Plan>>,
    seeded: bool,
}

impl Plans {
    /// A definition by its number.
    pub(in crate::worker) fn definition(
        &self,
        conn: &Connection,
        id: u64,
    ) -> rusqlite::Result<Option<Arc<JobDefinition>>> {
        Ok(self.get(conn, id)?.map(|known| known.definition))
    }

    /// The plan of a definition's job. `None` when there is no such definition, or this version
    /// cannot read its spec.
    pub(in crate::worker) fn plan(
        &self,
        conn: &Connection,
        definition: u64,
        job: JobId,
    ) -> rusqlite::Result<Option<Arc<Plan>>> {
        let Some(known) = self.get(conn, definition)? else { return Ok(None) };
        if known.seeded {
            return Ok(read(definition, &known.definition, Some(job)).map(Arc::new));
        }
        Ok(known.plan)
    }

    fn get(&self, conn: &Connection, id: u64) -> rusqlite::Result<Option<Known>> {
        if let Some(known) = self.lock().get(&id) {
            return Ok(Some(known.clone()));
        }
        let Some(definition) = definitions::get(conn, id)? else { return Ok(None) };
        let seeded = Schedule::is_seed_dependent(&definition.spec);
        let plan = if seeded { None } else { read(id, &definition, None).map(Arc::new) };
        let known = Known { definition: Arc::new(definition), plan, seeded };
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

fn read(id: u64, definition: &JobDefinition, seed: Option<JobId>) -> Option<Plan> {
    let schedule = if definition.is_one_off() {
        Ok(Schedule::once())
    } else {
        let zone = parse_zone(&definition.timezone);
        zone.and_then(|zone| {
            Schedule::stored(&definition.spec, zone, definition.dst, seed.unwrap_or(0))
        })
    };
    match schedule {
        Ok(schedule) => Some(Plan {
            definition: id,
            project: definition.project,
            schedule,
            seed,
            start: definition.start,
            end: definition.end,
            jitter: definition.jitter,
            misfire: definition.misfire,
        }),
        Err(error) => {
            // The API refuses such a spec, so a newer version wrote this one.
            tracing::error!(definition = id, %error, "a stored schedule cannot be read; its jobs do not fire here");
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
                let definition = JobDefinition {
                    spec: spec.into(),
                    timezone: "UTC".into(),
                    ..JobDefinition::default()
                };
                read(1, &definition, None).map(|plan| plan.schedule)
            };
            assert!(schedule(stored).is_some(), "{stored}");
            assert_eq!(schedule(stored), schedule(now), "{stored}");
        }
    }
}
