//! Schedules as pure functions of time (placeholder head; the module lands with its engine).

use serde::{Deserialize, Serialize};

/// What happens at the two changes of the clock.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
pub struct DstRule;
