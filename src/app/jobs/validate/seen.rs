//! The values of one request that were found valid, so that each is checked once.

use std::collections::{HashMap, HashSet};

use crate::app::warnings::Warnings;
use crate::model::Millis;

/// The values that were found valid.
#[derive(Default)]
pub(in crate::app::jobs) struct SeenValues {
    /// The periods, by zone and then by spec.
    pub(in crate::app::jobs) specs: HashMap<String, HashMap<String, Option<Millis>>>,
    pub(in crate::app::jobs) urls: HashSet<String>,
    /// The warnings about valid definitions.
    pub(in crate::app::jobs) warnings: Warnings,
}
