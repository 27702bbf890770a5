//! Permits: what a piece of work has obtained on its way and need not ask for again. Data only.

use std::sync::Arc;

use super::adaptive_limit::{AdaptiveLimit, LimitPlaces};

/// The permits of a piece of work.
#[derive(Default)]
pub(super) struct Permits {
    /// Places at its destination, or in its project.
    pub(super) limit: Option<LimitPlaces>,
    /// `BeginRun` was applied for it; the boot-clock instant up to which that may be used (the
    /// begin rule).
    pub(super) begun: Option<u64>,
    /// It goes out although its destination keeps failing.
    pub(super) probe: bool,
}

impl Permits {
    /// A place in a limit: one that it holds, or a free one.
    pub(super) fn place(&mut self, limit: &Arc<AdaptiveLimit>) -> Option<LimitPlaces> {
        let held = self.limit.as_mut().and_then(|held| held.split(limit));
        held.or_else(|| limit.try_take())
    }
}
