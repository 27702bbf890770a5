//! The values of one request that were found valid, so that each is checked once.

use std::collections::{HashMap, HashSet};

use crate::api::http::warnings::Warnings;
use crate::model::Millis;

/// The values that were found valid.
#[derive(Default)]
pub(crate) struct SeenValues {
    /// The periods, by zone and then by spec.
    pub(crate) specs: HashMap<String, HashMap<String, Option<Millis>>>,
    pub(crate) urls: HashSet<String>,
    /// The warnings about valid definitions.
    pub(crate) warnings: Warnings,
}
