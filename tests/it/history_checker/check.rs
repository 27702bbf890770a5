//! The check of a whole history, object by object.

use std::collections::BTreeMap;

use super::history::{Op, Violation};
use super::search;

/// Checks a history key by key; returns the number of keys.
pub(crate) fn check(history: &[Op]) -> Result<usize, Violation> {
    let mut keys: BTreeMap<&str, Vec<&Op>> = BTreeMap::new();
    for op in history {
        keys.entry(&op.key).or_default().push(op);
    }
    for (key, ops) in &mut keys {
        ops.sort_by_key(|op| op.invoked);
        search::explain(ops)
            .map_err(|explanation| Violation { key: (*key).to_owned(), explanation })?;
    }
    Ok(keys.len())
}
