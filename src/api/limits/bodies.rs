//! The bounds on requests' bodies in memory: large ones at a time, and the bytes of all together.
//! `node` makes them once, for the API and for the forms of the web UI, so that no way of sending
//! bodies goes round them. `http::body` reads within them.

use std::sync::Arc;

use super::body_permits::BodyPermits;
use super::budget::Budget;

/// The bounds on bodies.
#[derive(Default)]
pub struct Bodies {
    /// The permits of large bodies.
    pub(crate) permits: BodyPermits,
    /// The budget of bodies in memory.
    pub(crate) budget: Arc<Budget>,
}

impl Bodies {
    /// The bounds of a node that may use so much memory, in bytes.
    pub fn within(max_memory: Option<u64>) -> Self {
        Self { permits: BodyPermits::default(), budget: Arc::new(Budget::within(max_memory)) }
    }
}
