//! Rules of named executors: names are unique, and an executor that jobs use stays in place and
//! callable.

use super::entry::{Applied, Entry, Refusal, expected, refuse};
use super::reach::no_executor;
use crate::command::{Outcome, RejectionKind};
use crate::model::account::Counted;
use crate::model::event::{Noun, RecordChange};
use crate::model::job::JobDefinition;
use crate::model::target::{Executor, is_queue, takes_messages};
use crate::model::{AccountId, FIRST_ACCOUNT};
use crate::store::meta::Sequence;
use crate::store::{executors, projects, templates};

impl Entry<'_, '_> {
    pub(super) fn create_executor(&mut self, new: &Executor) -> Applied {
        let account = self.reach.account_of_new();
        self.executor_name_is_free(account, &new.name, None)?;
        self.within_limit(account, Counted::Executors, 1)?;
        let id = self.tx.take(Sequence::Executor, 1)?;
        let executor =
            Executor { id, created: self.stamp, modified: None, version: 1, ..new.clone() };
        executors::insert(self.tx, account, &executor)?;
        self.count_held(account, Counted::Executors, 1)?;
        self.notes.changed(None, Some(&executor));
        self.record_changed(Noun::Executor, id, RecordChange::Created);
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
        let account = executors::account(self.tx, id)?.unwrap_or(FIRST_ACCOUNT);
        self.executor_name_is_free(account, &new.name, Some(id))?;
        self.jobs_can_still_go_there(&old, new)?;
        let executor = Executor {
            id,
            created: old.created,
            created_by: old.created_by.clone(),
            modified: Some(self.stamp),
            version: old.version + 1,
            ..new.clone()
        };
        let unchanged = Executor {
            modified: old.modified,
            modified_by: old.modified_by.clone(),
            version: old.version,
            ..executor.clone()
        };
        if unchanged == old {
            return Ok(Outcome::Done);
        }
        executors::update(self.tx, &executor)?;
        self.notes.changed(Some(&old), Some(&executor));
        self.record_changed(Noun::Executor, id, RecordChange::Updated);
        self.change.targets = true;
        Ok(Outcome::Done)
    }

    pub(super) fn delete_executor(&mut self, id: u64, expect: Option<u64>) -> Applied {
        let old = self.executor(id)?;
        expected("executor", expect, old.version)?;
        if self.tx.executor_in_use(id, |_| true)? {
            return Err(refuse(
                RejectionKind::Conflict,
                "executor is used by jobs: give them another target or delete them first",
            ));
        }
        if templates::uses_executor(self.tx, id, |_| true)? {
            return Err(refuse(
                RejectionKind::Conflict,
                "executor is the target of templates: give them another one or delete them first",
            ));
        }
        let account = executors::account(self.tx, id)?.unwrap_or(FIRST_ACCOUNT);
        executors::delete(self.tx, id)?;
        self.count_held(account, Counted::Executors, -1)?;
        self.notes.changed(Some(&old), None);
        self.record_changed(Noun::Executor, id, RecordChange::Deleted);
        self.change.targets = true;
        Ok(Outcome::Done)
    }

    /// Refuses a change that leaves jobs with an executor that cannot be called.
    fn jobs_can_still_go_there(&self, old: &Executor, new: &Executor) -> Result<(), Refusal> {
        // The next instance of a template is a job as well.
        let in_use = |such: fn(&JobDefinition) -> bool| {
            let by_jobs = self.tx.executor_in_use(old.id, such)?;
            Ok::<_, Refusal>(by_jobs || templates::uses_executor(self.tx, old.id, such)?)
        };
        let message = if old.takes_jobs() && new.kind != old.kind {
            if !in_use(|_| true)? {
                return Ok(());
            }
            "type cannot change while jobs use the executor: give the jobs another target first"
        } else if old.bus() != new.bus() {
            if !in_use(|_| true)? {
                return Ok(());
            }
            "bus cannot change while jobs use the queue, for their runs and names belong to it: give \
             the jobs another queue first"
        } else if new.takes_jobs() {
            let batched = old.takes_runs() && !new.takes_runs();
            if !batched || !in_use(|definition| definition.single_only().is_some())? {
                return Ok(());
            }
            "http cannot go while jobs with overlap, runTimeout or heartbeatTimeout use the \
             executor, for batches know none of them: keep http, or give the jobs another target \
             first"
        } else if !old.takes_jobs() || !in_use(|_| true)? {
            return Ok(());
        } else {
            "webhook_url and http cannot both go while jobs use the executor: keep one of them, or \
             give the jobs another target first"
        };
        Err(refuse(RejectionKind::Conflict, message))
    }

    /// Refuses a definition whose executor does not exist, or cannot take the job. The executor may
    /// have changed since the request was validated.
    pub(super) fn executor_fits(&self, definition: &JobDefinition) -> Result<(), Refusal> {
        let Some(id) = definition.executor else { return Ok(()) };
        let wrong =
            |what: &str| refuse(RejectionKind::Invalid, format!("executor with id {id} {what}"));
        let in_reach = self.reaches_executor(id)?;
        let found = if in_reach { executors::get(self.tx, id)? } else { None };
        let Some(executor) = found else {
            return Err(wrong("does not exist"));
        };
        if executors::account(self.tx, id)? != projects::account(self.tx, definition.project)? {
            return Err(wrong("is of another account than the project"));
        }
        if !executor.takes_jobs() {
            return Err(wrong("cannot be called: use one of type webhook_url"));
        }
        if definition.message.is_some() && !takes_messages(&executor.kind) {
            let kind = &executor.kind;
            return Err(wrong(&format!("is of type {kind}, which takes no message of a job")));
        }
        if let Some(field) = definition.single_only().filter(|_| !executor.takes_runs()) {
            return Err(wrong(&format!(
                "has no http target and is no queue of workers, which the job's {field} needs"
            )));
        }
        match definition.queue_only().filter(|_| !is_queue(&executor.kind)) {
            None => Ok(()),
            Some(field) => {
                Err(wrong(&format!("is no queue of workers, which the job's {field} needs")))
            }
        }
    }

    fn executor(&self, id: u64) -> Result<Executor, Refusal> {
        executors::get(self.tx, id)?.ok_or_else(no_executor)
    }

    fn executor_name_is_free(
        &self,
        account: AccountId,
        name: &str,
        but: Option<u64>,
    ) -> Result<(), Refusal> {
        match executors::id_in_account(self.tx, account, name)? {
            Some(id) if Some(id) != but => {
                Err(refuse(RejectionKind::Conflict, "executor with this name already exists"))
            }
            _ => Ok(()),
        }
    }
}
