//! The registry of executors, by kind. `executor::registry` fills it; the worker looks up the
//! executor of each target in it, `app` the one of each executor's settings.

use std::sync::Arc;

use super::executor::SharedExecutor;

/// The executors of a node. Cloning gives another handle to the same ones.
#[derive(Clone)]
pub struct Registry(Arc<[SharedExecutor]>);

impl Registry {
    /// A registry of these executors, each of another kind.
    pub fn new(executors: impl IntoIterator<Item = SharedExecutor>) -> Self {
        Self(executors.into_iter().collect())
    }

    /// The executor of a kind; `None` if this node knows no such kind.
    pub fn get(&self, kind: &str) -> Option<&SharedExecutor> {
        // There are few: comparing is as fast as a map.
        self.0.iter().find(|executor| executor.kind() == kind)
    }

    /// All executors.
    pub fn all(&self) -> impl Iterator<Item = &SharedExecutor> {
        self.0.iter()
    }
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.all().map(|executor| executor.kind())).finish()
    }
}
