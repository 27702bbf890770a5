//! The edit of each job that is met. The edit of a definition is made once, by the rules of a patch
//! of one job; what depends on the job is checked for each. It reads the projects and the executors
//! that definitions name, and writes nothing.

use std::collections::HashMap;

use rusqlite::Connection;

use crate::app::error::Error;
use crate::app::jobs::input::JobInput;
use crate::app::jobs::validate::edit::{EditMode, SharedEdit};
use crate::app::jobs::validate::executors::{Check, OwnValues, missing, suit};
use crate::app::jobs::validate::features;
use crate::app::jobs::validate::payload::definition_bytes;
use crate::app::jobs::validate::project_targets::{self, lists_of};
use crate::app::jobs::validate::rules::Rules;
use crate::app::warnings::Warnings;
use crate::command::JobEdit;
use crate::model::job::{Job, JobDefinition};
use crate::model::template::{STAYS_INSTANCE, breaks_instance};
use crate::store::{executors, projects, templates};

/// The most definitions whose edit is kept, and the most bytes of them; with more, all are
/// forgotten, and made again when they are met again.
const MOST_KEPT: usize = 4_096;
const MOST_BYTES: usize = 32 << 20;

/// An edit of many jobs.
pub(super) struct BulkPlan {
    rules: Rules,
    set: JobInput<'static>,
    known: HashMap<u64, Known>,
    bytes: usize,
    /// Warnings about what is valid and probably not meant.
    pub(super) warnings: Warnings,
}

/// What becomes of a definition.
enum Known {
    Fits(Box<Fit>),
    Refused(Error),
}

struct Fit {
    edit: SharedEdit,
    check: Option<Check>,
}

/// What the edit does to a job.
pub(super) enum Looked {
    /// It changes the job.
    Changes(Box<JobEdit>),
    /// The job is so already.
    Same,
    /// The job is refused the edit.
    Refused(Error),
}

impl BulkPlan {
    pub(super) fn new(rules: Rules, set: JobInput<'static>) -> Self {
        let warnings = Warnings::default();
        Self { rules, set, known: HashMap::new(), bytes: 0, warnings }
    }

    /// What the edit does to a job.
    pub(super) fn look(&mut self, conn: &Connection, job: &Job) -> rusqlite::Result<Looked> {
        if !self.known.contains_key(&job.definition_id) {
            let known = match self.judge(conn, &job.definition)? {
                Ok(fit) => Known::Fits(Box::new(fit)),
                Err(error) => Known::Refused(error),
            };
            self.keep(job.definition_id, known);
        }
        let Self { rules, set, known, .. } = self;
        Ok(match known.get_mut(&job.definition_id) {
            Some(Known::Fits(fit)) => match fit.edit_of(rules, set, job) {
                Ok(edit) if is_same(job, &edit) => Looked::Same,
                Ok(edit) => Looked::Changes(Box::new(edit)),
                Err(error) => Looked::Refused(error),
            },
            Some(Known::Refused(error)) => Looked::Refused(error.clone()),
            // It was put there above.
            None => Looked::Refused(Error::internal()),
        })
    }

    fn keep(&mut self, definition: u64, known: Known) {
        if self.known.len() >= MOST_KEPT || self.bytes > MOST_BYTES {
            self.known.clear();
            self.bytes = 0;
        }
        if let Known::Fits(fit) = &known {
            self.bytes += definition_bytes(&fit.edit.definition);
        }
        self.known.insert(definition, known);
    }

    /// The edit of the jobs of a definition, by the rules of a patch. What `command::apply` would
    /// refuse all of them for is refused here.
    fn judge(
        &mut self,
        conn: &Connection,
        old: &JobDefinition,
    ) -> rusqlite::Result<Result<Fit, Error>> {
        let (rules, warnings) = (&self.rules, &mut self.warnings);
        let mut edit = match SharedEdit::of(rules, old, &self.set, EditMode::Patch, warnings) {
            Ok(edit) => edit,
            Err(error) => return Ok(Err(error)),
        };
        let new = &mut edit.definition;
        if breaks_instance(old, new) && is_of_template(conn, old)? {
            let field = if old.project == new.project { "spec" } else { "projectId" };
            return Ok(Err(Error::conflict(STAYS_INSTANCE).field(field)));
        }
        if old.project != new.project && !projects::exists(conn, new.project)? {
            let message = format!("project with id {} does not exist", new.project);
            return Ok(Err(Error::malformed(message).field("projectId")));
        }
        let executor = match new.executor {
            None => None,
            Some(id) => match executors::get(conn, id)? {
                None => return Ok(Err(missing(id))),
                found => found,
            },
        };
        let has = features::of_project(conn, new.project)?;
        let lists = lists_of(conn, [new.project])?;
        let check = suit(&rules.executors, new, executor.as_ref());
        let check = check.and_then(|check| {
            features::check(has, new, executor.as_ref())?;
            project_targets::check(&rules.executors, &lists, new, executor.as_ref())?;
            Ok(check)
        });
        Ok(check.map(|check| Fit { edit, check }))
    }
}

impl Fit {
    fn edit_of(&mut self, rules: &Rules, set: &JobInput<'_>, job: &Job) -> Result<JobEdit, Error> {
        let edit = self.edit.of_job(rules, job, set)?;
        if let Some(check) = &self.check {
            let (data, external_id) = (edit.data.as_str(), edit.external_id.as_deref());
            check.job(OwnValues { definition: 0, data, external_id }, rules.payload_max)?;
        }
        Ok(edit)
    }
}

/// Says whether an edit leaves a job as it is.
fn is_same(job: &Job, edit: &JobEdit) -> bool {
    let at = job.definition.is_one_off().then_some(job.anchor);
    *job.definition == edit.definition && job.data == edit.data && at == edit.at
}

/// Says whether the template that made jobs of a definition is still there: without it they are
/// jobs like any other.
fn is_of_template(conn: &Connection, definition: &JobDefinition) -> rusqlite::Result<bool> {
    let Some(of) = definition.template else { return Ok(false) };
    Ok(templates::get(conn, of.id)?.is_some())
}
