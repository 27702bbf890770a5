//! An occurrence that is not over, as walks through the state give it. `open_runs` and `open_parts`
//! make it; nothing here reads.

use std::sync::Arc;

use crate::model::job::Pending;
use crate::model::run::{Occurrence, Run};

/// An occurrence that is not over.
#[derive(Clone, Debug)]
pub struct OpenRun {
    /// The occurrence.
    pub occurrence: Occurrence,
    /// The row that it is in. Its other members are in it, too.
    pub row: Option<Arc<Pending>>,
    /// Its run: under way, or the place that its row keeps.
    pub run: Option<Run>,
}

impl OpenRun {
    pub(super) fn empty(occurrence: Occurrence) -> Self {
        Self { occurrence, row: None, run: None }
    }
}
