//! The sources of a configuration. Tests make them up, so nothing here but
//! [`LoadOptions::from_process`] reads the process's environment.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::{keys, simple_scheduler};

/// The sources of a configuration; see [`LoadOptions::from_process`].
#[derive(Clone, Debug, Default)]
pub struct LoadOptions {
    /// `--config`: this file and no other; it must exist.
    pub path: Option<PathBuf>,
    /// Reads no file at all.
    pub no_file: bool,
    /// The environment; only `SCHEDULER0_*` and, where a node starts, `SIMPLE_SCHEDULER_*` are
    /// looked at.
    pub env: BTreeMap<String, String>,
    /// Key and value, as flags give them; the last layer.
    pub flags: Vec<(String, String)>,
    /// The working directory.
    pub work_dir: PathBuf,
    /// The folder that the binary is in.
    pub binary_dir: Option<PathBuf>,
    /// The configuration is for a node that starts, or shows what such a node would have. Only then
    /// do the variables of Simple Scheduler count: a client must not send the operator's password
    /// to an address out of another program's variable.
    pub for_node: bool,
}

impl LoadOptions {
    /// The process's own environment and folders, for a client.
    pub fn from_process(path: Option<PathBuf>, flags: Vec<(String, String)>) -> Self {
        // Variables that are not UTF-8 cannot be ours: all our names and values are text.
        let env = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .filter(|(name, _)| {
                name.starts_with(keys::PREFIX) || name.starts_with(simple_scheduler::PREFIX)
            })
            .collect();
        let work_dir = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("."));
        let binary_dir =
            std::env::current_exe().ok().and_then(|exe| Some(exe.parent()?.to_owned()));
        Self { path, no_file: false, env, flags, work_dir, binary_dir, for_node: false }
    }
}
