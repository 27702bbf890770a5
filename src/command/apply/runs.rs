//! Rules of runs: occurrences that others may have to wait for, and what a receiver says of one
//! later. Called by `apply` alone.

#![expect(clippy::unused_self, reason = "its rules land next")]

use super::{Applied, Entry, refuse};
use crate::command::RejectionKind;
use crate::model::run::{BeginRun, Occurrence, Report};

impl Entry<'_, '_> {
    pub(super) fn begin_run(&mut self, _: &BeginRun) -> Applied {
        Err(refuse(RejectionKind::Invalid, "runs are not kept yet"))
    }

    pub(super) fn report_run(&mut self, _: Occurrence, _: &Report) -> Applied {
        Err(refuse(RejectionKind::Invalid, "runs are not kept yet"))
    }

    pub(super) fn expire_runs(&mut self, _: u32) -> Applied {
        Err(refuse(RejectionKind::Invalid, "runs are not kept yet"))
    }
}
