//! The errors of secrets. No message quotes a secret.

use std::path::PathBuf;

use super::{FILE, MIN_PASSWORD};
use crate::config;

/// A fault of a secret or of the file that holds it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A secret is neither configured nor in a file.
    #[error(
        "{key} is not set: run `scheduler0 credential init`, or set {variable} (looked for {FILE} in {places})"
    )]
    Missing {
        /// The key as the file spells it.
        key: &'static str,
        /// The environment variable that sets it.
        variable: String,
        /// The folders that were searched.
        places: String,
    },
    /// `SecretKey` is not 64 hex characters.
    #[error(
        "SecretKey must be 64 hex characters (AES-256) and has {length}{reason}: make one with `scheduler0 credential init --generate` or `openssl rand -hex 32`"
    )]
    SecretKey {
        /// Its length in characters.
        length: usize,
        /// A further fault; empty if there is none.
        reason: &'static str,
    },
    /// `SecretKey` is a placeholder.
    #[error(
        "SecretKey is one byte over and over, which anybody can guess: make one with `openssl rand -hex 32`, or say --weak to use it as it is"
    )]
    RepeatedKey,
    /// `AuthPassword` is short enough to be guessed.
    #[error(
        "AuthPassword has {length} characters and needs {MIN_PASSWORD} or more, so that nobody can guess it: make one with `openssl rand -hex 16`, or say --weak to use it as it is"
    )]
    ShortPassword {
        /// Its length in characters.
        length: usize,
    },
    /// The file's owner lets others read it.
    #[error(
        "{path} has mode {mode:04o}: others may read the secrets of the cluster; chmod 600 it, or say --insecure to use it as it is"
    )]
    Readable {
        /// The path of the secrets file.
        path: PathBuf,
        /// Its permission bits, as `chmod` takes them.
        mode: u32,
    },
    /// HTTP Basic authentication cannot carry the text.
    #[error("{0} must have no {1} in it: HTTP Basic authentication cannot carry that (RFC 7617)")]
    SignIn(&'static str, &'static str),
    /// The file exists and may not be replaced.
    #[error(
        "{0} exists already: credentials made with it stop working under another secret key; use --force to replace it"
    )]
    Exists(PathBuf),
    /// The file is not the JSON it should be.
    #[error(
        "{path} is not valid: expected {{\"secretKey\", \"authUsername\", \"authPassword\"}} as JSON text values (line {line})"
    )]
    Syntax {
        /// The path of the secrets file.
        path: PathBuf,
        /// The line that is wrong.
        line: usize,
    },
    /// The file could not be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The path of the secrets file.
        path: PathBuf,
        /// The error of the system.
        source: std::io::Error,
    },
    /// A sealed secret was changed, belongs to something else, or was made under another
    /// `SecretKey`.
    #[error(
        "the {0} cannot be opened: it was sealed under another SecretKey, or changed since; \
         start all nodes with the SecretKey that it was set under, or set it anew"
    )]
    Sealed(String),
}

impl Error {
    pub(super) fn missing(key: &'static str, places: &[PathBuf]) -> Self {
        let places: Vec<_> = places.iter().map(|p| p.display().to_string()).collect();
        let variable = config::environment_name(key).unwrap_or_default();
        Self::Missing { key, variable, places: places.join(", ") }
    }
}
