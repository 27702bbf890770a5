//! The values that one request has shown and that were found good, so that each is checked once.

use std::collections::{HashMap, HashSet};

use crate::api::http::warnings::Warnings;
use crate::model::Millis;

/// What was checked before in this request and found good.
#[derive(Default)]
pub(crate) struct SeenValues {
    /// By zone, then by spec: the period.
    pub(crate) specs: HashMap<String, HashMap<String, Option<Millis>>>,
    pub(crate) urls: HashSet<String>,
    /// What the client is told of definitions that are good.
    pub(crate) warnings: Warnings,
}
