//! Rules of named executors: names are unique, jobs keep their executor alive and callable. Called
//! by `apply` alone.

use super::{Applied, Entry, Refusal, expected, refuse};
use crate::command::{Outcome, RejectionKind};
use crate::model::target::Executor;
use crate::store::executors;
use crate::store::meta::Counter;

impl Entry<'_, '_> {
    pub(super) fn create_executor(&mut self, new: &Executor) -> Applied {
        self.executor_name_is_free(&new.name, None)?;
        let id = self.tx.take(Counter::Executor, 1)?;
        let executor =
            Executor { id, created: self.stamp, modified: None, version: 1, ..new.clone() };
        executors::insert(self.tx, &executor)?;
        self.change.targets = true;
        Ok(Outcome::Created(id))
    }

    pub(super) fn update_executor(
        &mut self,
        id: u64,
        expect: Option<u64>,
        new: &Executor,
    ) -> Applied {
        let old = self.executor(id)?;
        expected("executor", expect, old.version)?;
        self.executor_name_is_free(&new.name, Some(id))?;
        self.jobs_can_still_go_there(&old, new)?;
        let executor = Executor {
            id,
            created: old.created,
            created_by: old.created_by,
            modified: Some(self.stamp),
            version: old.version + 1,
            ..new.clone()
        };
        executors::update(self.tx, &executor)?;
        self.change.targets = true;
        Ok(Outcome::Done)
    }

    pub(super) fn delete_executor(&mut self, id: u64, expect: Option<u64>) -> Applied {
        expected("executor", expect, self.executor(id)?.version)?;
        if self.tx.executor_in_use(id)? {
            return Err(refuse(
                RejectionKind::Conflict,
                "executor is used by jobs: give them another target or delete them first",
            ));
        }
        executors::delete(self.tx, id)?;
        self.change.targets = true;
        Ok(Outcome::Done)
    }

    /// A change must not leave jobs with an executor that nothing can be sent to.
    fn jobs_can_still_go_there(&self, old: &Executor, new: &Executor) -> Result<(), Refusal> {
        if !old.takes_jobs() || new.takes_jobs() || !self.tx.executor_in_use(old.id)? {
            return Ok(());
        }
        let message = if new.kind == old.kind {
            "webhook_url and http cannot both go while jobs use the executor: keep one of them, or \
             give the jobs another target first"
        } else {
            "type cannot change while jobs use the executor: keep webhook_url, or give the jobs \
             another target first"
        };
        Err(refuse(RejectionKind::Conflict, message))
    }

    /// What a job refers to must exist.
    pub(super) fn executor_exists(&self, id: u64) -> Result<(), Refusal> {
        if executors::get(self.tx, id)?.is_some() {
            return Ok(());
        }
        Err(refuse(RejectionKind::Invalid, format!("executor with id {id} does not exist")))
    }

    fn executor(&self, id: u64) -> Result<Executor, Refusal> {
        executors::get(self.tx, id)?
            .ok_or_else(|| refuse(RejectionKind::NotFound, "executor does not exist"))
    }

    fn executor_name_is_free(&self, name: &str, but: Option<u64>) -> Result<(), Refusal> {
        match executors::id_by_name(self.tx, name)? {
            Some(id) if Some(id) != but => {
                Err(refuse(RejectionKind::Conflict, "executor with this name already exists"))
            }
            _ => Ok(()),
        }
    }
}
