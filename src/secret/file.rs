//! The `.scheduler0` file: reading, writing, and the way in which any file with secrets is written.
//! Called by `Keys::load` and by the command line; knows nothing of the use of the secrets.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::random::random_text;
use super::{Error, FILE};

/// The contents of `.scheduler0`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
#[serde(rename_all = "camelCase")]
pub struct SecretFile {
    /// 64 hex characters; the same on every node of a cluster.
    pub secret_key: String,
    /// The username of nodes and command line.
    pub auth_username: String,
    /// The password to it.
    pub auth_password: String,
}

impl SecretFile {
    /// Strong random values for everything.
    pub fn generate() -> Self {
        let key = Zeroizing::new(rand::random::<[u8; 32]>());
        Self {
            secret_key: hex::encode(key.as_slice()),
            auth_username: "scheduler0".to_owned(),
            auth_password: random_text::<24>().to_string(),
        }
    }

    /// Reads the first `.scheduler0` found in these folders, and says where it was.
    pub fn find(places: &[PathBuf]) -> Result<Option<(PathBuf, Self)>, Error> {
        for place in places {
            let path = place.join(FILE);
            match std::fs::read(&path) {
                Ok(bytes) => {
                    let bytes = Zeroizing::new(bytes);
                    // The message of serde may quote the value, so the error has only the line.
                    let file = serde_json::from_slice(&bytes)
                        .map_err(|e| Error::Syntax { path: path.clone(), line: e.line() })?;
                    return Ok(Some((path, file)));
                }
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
                Err(source) => return Err(Error::Io { path, source }),
            }
        }
        Ok(None)
    }

    /// Writes it into a folder, readable by its owner only, whole or not at all. Replaces an
    /// existing one only with `force`.
    pub fn write(&self, folder: &Path, force: bool) -> Result<PathBuf, Error> {
        let path = folder.join(FILE);
        if !force && path.exists() {
            return Err(Error::Exists(path));
        }
        let io = |source| Error::Io { path: path.clone(), source };
        let text = serde_json::to_vec_pretty(self).map_err(|e| io(e.into()))?;
        write_private(&path, &Zeroizing::new(text)).map_err(io)?;
        Ok(path)
    }
}

impl std::fmt::Debug for SecretFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SecretFile")
            .field("auth_username", &self.auth_username)
            .finish_non_exhaustive()
    }
}

/// Writes a file that only its owner may read, whole or not at all: a temporary file beside it
/// (mode 0600 from the start), fsync, rename, fsync of the folder.
pub fn write_private(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;

    let temporary = path.with_extension(format!("{}.tmp", std::process::id()));
    // A file left by a killed process with our process id would keep its own mode.
    match std::fs::remove_file(&temporary) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let mut file =
        std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    if let Err(e) = written.and_then(|()| std::fs::rename(&temporary, path)) {
        // The first error is the one to return.
        let _ = std::fs::remove_file(&temporary);
        return Err(e);
    }
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => std::fs::File::open(folder)?.sync_all(),
        _ => std::fs::File::open(".")?.sync_all(),
    }
}

/// Refuses a file of this process's user that group or others may read, unless `insecure`: the rule
/// of ssh for private keys. A file of another user only leads to a warning, and only if everybody
/// may read it: a secret that Docker or Kubernetes provides belongs to root and is readable by the
/// process's group.
pub(super) fn check_mode(path: &Path, insecure: bool) -> Result<(), Error> {
    use std::os::unix::fs::MetadataExt;

    let meta =
        std::fs::metadata(path).map_err(|source| Error::Io { path: path.to_owned(), source })?;
    let mode = meta.mode() & 0o777;
    let own = meta.uid() == rustix::process::geteuid().as_raw();
    if own && mode & 0o077 != 0 && !insecure {
        return Err(Error::Readable { path: path.to_owned(), mode });
    }
    if mode & if own { 0o077 } else { 0o007 } != 0 {
        tracing::warn!(path = %path.display(), "others may read this file: chmod 600 it");
    }
    Ok(())
}
