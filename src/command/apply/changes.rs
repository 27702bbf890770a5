//! Rules of jobs that are paused, resumed, deleted by the dozen, or run out of turn. Called by `apply`
//! alone.

#![expect(clippy::unused_self, reason = "its rules land next")]

use super::{Applied, Entry, refuse};
use crate::command::{JobAction, RejectionKind};
use crate::model::JobId;

impl Entry<'_, '_> {
    pub(super) fn change_jobs(
        &mut self,
        _: &[(JobId, u64)],
        _: JobAction,
        _: Option<&str>,
    ) -> Applied {
        Err(refuse(RejectionKind::Invalid, "jobs cannot be changed by the dozen yet"))
    }

    pub(super) fn run_job(&mut self, _: JobId, _: bool) -> Applied {
        Err(refuse(RejectionKind::Invalid, "jobs cannot be run out of turn yet"))
    }
}
