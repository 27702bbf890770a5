//! The errors of a configuration. Each names the key, and where its value came from.

use std::path::PathBuf;

use super::Origin;

/// The first fault of a configuration.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file named by `--config`, or one that was found, cannot be read.
    #[error("{path}: {source}")]
    Read {
        /// The path as it was given or looked for.
        path: PathBuf,
        /// The error of the system.
        source: std::io::Error,
    },
    /// The file is not YAML, or not a mapping.
    #[error("{path} is not valid: {message}")]
    Syntax {
        /// The path of the file that was read.
        path: PathBuf,
        /// The fault, with its line.
        message: String,
    },
    /// No key has this name.
    #[error("unknown key {key} ({origin}){}", did_you_mean(.nearest.as_ref()))]
    Unknown {
        /// The name as given.
        key: String,
        /// The layer that it is in.
        origin: Origin,
        /// The known name that is most similar.
        nearest: Option<String>,
    },
    /// A value of the wrong type, out of range, or at odds with another.
    #[error("{key} ({origin}): {message}")]
    Invalid {
        /// The key as the file spells it, such as `RaftAddress`.
        key: String,
        /// The layer that its value came from.
        origin: Origin,
        /// The fault and the fix.
        message: String,
    },
}

fn did_you_mean(name: Option<&String>) -> String {
    name.map_or_else(String::new, |name| format!("; did you mean {name}?"))
}
