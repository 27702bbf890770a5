//! Active jobs in classes: jobs that fire at the same instants, as far as that can be told without
//! reading a schedule. Forecasts are made of them.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use rusqlite::{Connection, params};

use super::row::JobRow;
use crate::model::job::{JobDefinition, JobStatus};
use crate::model::{JobId, Millis, ProjectId};
use crate::store::catalog::definitions::DefinitionCache;
use crate::store::db::hint;
use crate::store::row::id_at;

/// Jobs of one definition, and of one phase where the schedule has one.
#[derive(Clone, Debug)]
pub struct JobClass {
    /// Their definition.
    pub definition: Arc<JobDefinition>,
    /// The first ones, in the order of their ids: for those that fire apart from each other.
    pub samples: Vec<JobRow>,
    /// Their number.
    pub count: u64,
}

/// The bounds of a walk through all jobs.
#[derive(Clone, Copy, Debug)]
pub struct ClassBounds {
    /// The most classes of jobs that fire again and again.
    pub recurring: usize,
    /// The most classes of one-offs, which have a bound of their own: where there are many, they do
    /// not push the others out.
    pub one_offs: usize,
    /// The most one-offs that are due after the stretch.
    pub later: usize,
    /// The most samples of a class.
    pub samples: usize,
}

/// The active jobs in classes.
#[derive(Clone, Debug, Default)]
pub struct ClassifiedJobs {
    /// The classes, the largest first.
    pub classes: Vec<JobClass>,
    /// The one-offs that are due first after the stretch, each by itself.
    pub later: Vec<JobClass>,
    /// The jobs beyond the most classes.
    pub beyond: u64,
}

/// The active jobs, or those of a project, in classes. One-offs are among them if they are due
/// within `(now, until]`; of those that are due later, the first ones are given apart. No more
/// definitions are loaded than there may be classes: jobs of further ones are counted.
pub fn classes(
    conn: &Connection,
    project: Option<ProjectId>,
    (now, until): (Millis, Millis),
    most: ClassBounds,
) -> rusqlite::Result<ClassifiedJobs> {
    let of = match project {
        Some(_) => {
            let hint = hint(conn, "INDEXED BY jobs_by_project")?;
            format!("jobs {hint} WHERE project_id = ?1")
        }
        None => "jobs WHERE ?1 IS NULL".into(),
    };
    let mut select = conn.prepare_cached(&format!(
        "SELECT id, shape_id, created, anchor, plan_from FROM {of} AND status = 0 ORDER BY id"
    ))?;
    let mut rows = select.query(params![project.map(|id| id as i64)])?;
    let mut definitions = DefinitionCache::default();
    let mut classes: HashMap<(u64, Millis, Millis), JobClass> = HashMap::new();
    let (mut one_offs, mut beyond) = (0, 0);
    let mut later: BTreeMap<(Millis, JobId), (JobRow, Arc<JobDefinition>)> = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let job = JobRow {
            id: id_at(row, 0)?,
            definition_id: id_at(row, 1)?,
            created: row.get(2)?,
            anchor: row.get(3)?,
            from: row.get(4)?,
            status: JobStatus::Active,
        };
        let is_room = definitions.len() < most.recurring + most.one_offs;
        if !is_room && !definitions.has(job.definition_id) {
            beyond += 1;
            continue;
        }
        let definition = definitions.get(conn, job.definition_id)?;
        let phase = match definition.period {
            _ if definition.is_one_off() => {
                let reach = until.saturating_add(definition.jitter);
                if job.anchor <= now.saturating_sub(definition.jitter) {
                    continue;
                }
                if job.anchor > reach {
                    later.insert((job.anchor, job.id), (job, definition));
                    if later.len() > most.later {
                        later.pop_last();
                    }
                    continue;
                }
                job.anchor
            }
            Some(period) => job.anchor.rem_euclid(period.max(1)),
            None => 0,
        };
        // A job whose pause ends later fires from then on.
        let key = (job.definition_id, phase, if job.from > now { job.from } else { 0 });
        let one_off = definition.is_one_off();
        let (known, bound) = if one_off {
            (one_offs, most.one_offs)
        } else {
            (classes.len() - one_offs, most.recurring)
        };
        if let Some(class) = classes.get_mut(&key) {
            class.count += 1;
            if class.samples.len() < most.samples {
                class.samples.push(job);
            }
        } else if known < bound {
            one_offs += usize::from(one_off);
            classes.insert(key, JobClass { definition, samples: vec![job], count: 1 });
        } else {
            beyond += 1;
        }
    }
    let mut classes: Vec<_> = classes.into_values().collect();
    // The largest first; the order of equals is that of their first jobs.
    classes.sort_by_key(|class| (std::cmp::Reverse(class.count), class.samples[0].id));
    let alone = |(job, definition)| JobClass { definition, samples: vec![job], count: 1 };
    Ok(ClassifiedJobs { classes, later: later.into_values().map(alone).collect(), beyond })
}
