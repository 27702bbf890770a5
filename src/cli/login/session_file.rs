//! The file of the sessions: `scheduler0/sessions.json` in `XDG_CONFIG_HOME`, or in `~/.config`.
//! Only its owner may read it (0600, in a folder of 0700); a wider mode is refused, since somebody
//! may have read it already. A writer holds the lock of the file `sessions.lock`, so that of two
//! processes one refreshes a session; a reader needs none, since the file is replaced as a whole.

use std::collections::BTreeMap;
use std::fs::{self, File, Metadata, TryLockError};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use url::Url;
use zeroize::Zeroizing;

use super::session::Session;
use crate::cli::Failure;
use crate::disk::{self, modes};

/// The folder of the command line in the user's configuration.
const FOLDER: &str = "scheduler0";
/// The file in it.
const FILE: &str = "sessions.json";
/// The file whose lock a writer holds.
const LOCK: &str = "sessions.lock";
/// The version of the form of the file.
const VERSION: u32 = 1;
/// Time between two looks at the lock.
const LOCK_POLL_INTERVAL: Duration = Duration::from_millis(50);
/// The longest wait for the lock: a refresh by another process ends earlier.
const LOCK_TIMEOUT: Duration = Duration::from_mins(1);

/// The place of the sessions of this user.
#[derive(Clone, Debug)]
pub(in crate::cli) struct SessionFile {
    folder: PathBuf,
}

/// The sessions, while this process may change them.
pub(super) struct LockedSessions {
    file: SessionFile,
    sessions: Sessions,
    /// The lock is held until this is closed.
    _lock: File,
}

#[derive(Debug, Serialize, Deserialize)]
struct Sessions {
    version: u32,
    servers: BTreeMap<String, Session>,
}

impl Default for Sessions {
    fn default() -> Self {
        Self { version: VERSION, servers: BTreeMap::new() }
    }
}

/// The name of a server in the file: its URL without what does not tell two servers apart.
pub(in crate::cli) fn server_name(url: &str) -> String {
    match Url::parse(url) {
        Ok(url) => {
            let path = url.path().trim_end_matches('/');
            format!("{}{path}", url.origin().ascii_serialization())
        }
        Err(_) => url.trim_end_matches('/').to_owned(),
    }
}

impl SessionFile {
    /// The place in the home of this process's user. `None` where the environment names no home.
    pub(in crate::cli) fn of_process() -> Option<Self> {
        Self::of(|name| std::env::var_os(name).map(PathBuf::from))
    }

    /// The place by these variables. A relative `XDG_CONFIG_HOME` is ignored, as the XDG Base
    /// Directory Specification says.
    fn of(variable: impl Fn(&str) -> Option<PathBuf>) -> Option<Self> {
        let absolute = |path: &PathBuf| path.is_absolute();
        let configuration = variable("XDG_CONFIG_HOME").filter(absolute);
        let in_home = || variable("HOME").filter(absolute).map(|home| home.join(".config"));
        Some(Self { folder: configuration.or_else(in_home)?.join(FOLDER) })
    }

    /// The file, for messages.
    pub(in crate::cli) fn path(&self) -> PathBuf {
        self.folder.join(FILE)
    }

    /// The session of a server, by its [`server_name`].
    ///
    /// # Errors
    ///
    /// [`Failure::Usage`] where others may read the file, or it cannot be read.
    pub(in crate::cli) fn find(&self, server: &str) -> Result<Option<Session>, Failure> {
        Ok(self.read()?.servers.remove(server))
    }

    /// Waits until no other process changes the sessions. Makes the folder if it is missing.
    ///
    /// # Errors
    ///
    /// [`Failure::Usage`] where others may read the file, or it cannot be read; or another process
    /// holds the lock for longer than [`LOCK_TIMEOUT`].
    pub(super) async fn lock(&self) -> Result<LockedSessions, Failure> {
        let lock = tokio::time::timeout(LOCK_TIMEOUT, self.take_lock()).await;
        let lock = lock.unwrap_or_else(|_| {
            let reason = "another scheduler0 process holds it: end that process (`fuser` shows it)";
            Err(unusable(&self.folder.join(LOCK), &reason))
        })?;
        Ok(LockedSessions { file: self.clone(), sessions: self.read()?, _lock: lock })
    }

    async fn take_lock(&self) -> Result<File, Failure> {
        let path = self.folder.join(LOCK);
        let failed = |e: io::Error| unusable(&path, &e);
        modes::create_dir_all(&self.folder).map_err(failed)?;
        self.check_folder()?;
        let mut options = modes::options();
        let lock = options.read(true).write(true).create(true).truncate(false).open(&path);
        let lock = lock.map_err(failed)?;
        loop {
            match lock.try_lock() {
                Ok(()) => return Ok(lock),
                Err(TryLockError::WouldBlock) => tokio::time::sleep(LOCK_POLL_INTERVAL).await,
                Err(TryLockError::Error(e)) => return Err(failed(e)),
            }
        }
    }

    /// Refuses a folder that others may enter; `false` where there is none.
    fn check_folder(&self) -> Result<bool, Failure> {
        match fs::metadata(&self.folder) {
            Ok(meta) => refuse_open(&self.folder, &meta, "700").map(|()| true),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(e) => Err(unusable(&self.folder, &e)),
        }
    }

    fn read(&self) -> Result<Sessions, Failure> {
        let path = self.path();
        if !self.check_folder()? {
            return Ok(Sessions::default());
        }
        let mut file = match File::open(&path) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Sessions::default()),
            Err(e) => return Err(unusable(&path, &e)),
        };
        let failed = |e: io::Error| unusable(&path, &e);
        refuse_open(&path, &file.metadata().map_err(failed)?, "600")?;
        let mut text = Zeroizing::new(String::new());
        file.read_to_string(&mut text).map_err(failed)?;
        // The message of the parser may quote the file.
        let sessions: Sessions = serde_json::from_str(&text).map_err(|e| {
            let reason = format!(
                "it is no file of sessions (line {}): remove it, and log in again",
                e.line()
            );
            unusable(&path, &reason)
        })?;
        if sessions.version != VERSION {
            let reason = format!(
                "it has version {}, and this program knows {VERSION}: use the program that wrote \
                 it, or remove it and log in again",
                sessions.version
            );
            return Err(unusable(&path, &reason));
        }
        Ok(sessions)
    }
}

fn unusable(path: &Path, reason: &dyn std::fmt::Display) -> Failure {
    Failure::Usage(format!("{} cannot be used: {reason}", path.display()))
}

/// Refuses what is open to others or belongs to somebody else.
fn refuse_open(path: &Path, meta: &Metadata, wanted: &str) -> Result<(), Failure> {
    let path = path.display();
    if meta.uid() != rustix::process::geteuid().as_raw() {
        return Err(Failure::Usage(format!(
            "{path} belongs to another user: run the command as that user, or set HOME or \
             XDG_CONFIG_HOME to a folder of yours"
        )));
    }
    if modes::is_open_mode(meta.mode()) {
        return Err(Failure::Usage(format!(
            "{path} holds sessions, and other users may read it (mode {:o}): chmod {wanted} \
             {path}; if somebody else uses this machine, log out and in again as well",
            meta.mode() & 0o777
        )));
    }
    Ok(())
}

impl LockedSessions {
    /// The session of a server.
    pub(super) fn find(&self, server: &str) -> Option<&Session> {
        self.sessions.servers.get(server)
    }

    /// The names of all servers with a session.
    pub(super) fn servers(&self) -> impl Iterator<Item = &str> {
        self.sessions.servers.keys().map(String::as_str)
    }

    /// Keeps a session in place of the one that the server has.
    ///
    /// # Errors
    ///
    /// [`Failure::Usage`] where the file cannot be written; it is as it was then.
    pub(super) fn put(&mut self, server: &str, session: Session) -> Result<(), Failure> {
        self.sessions.servers.insert(server.to_owned(), session);
        self.write()
    }

    /// Deletes the session of a server, and returns it.
    ///
    /// # Errors
    ///
    /// [`Failure::Usage`] where the file cannot be written; it is as it was then.
    pub(super) fn remove(&mut self, server: &str) -> Result<Option<Session>, Failure> {
        let removed = self.sessions.servers.remove(server);
        if removed.is_some() {
            self.write()?;
        }
        Ok(removed)
    }

    fn write(&self) -> Result<(), Failure> {
        let path = self.file.path();
        let failed = |e: io::Error| unusable(&path, &e);
        let text = serde_json::to_string_pretty(&self.sessions).map_err(io::Error::from);
        let text = Zeroizing::new(text.map_err(failed)?);
        let new = path.with_extension("new");
        let written = disk::create_over(&new).and_then(|file| {
            disk::write_at(&file, text.as_bytes(), 0)?;
            disk::sync_all(&file)
        });
        written.and_then(|()| disk::rename(&new, &path)).map_err(failed)
    }
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt as _;

    use super::super::session::KeyPair;
    use super::*;

    const SERVER: &str = "http://127.0.0.1:9091";

    fn pair(secret: &str) -> Session {
        let api_secret = secret.to_owned().into();
        Session::Key(KeyPair { api_key: "s0_k".to_owned(), api_secret })
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o777
    }

    #[tokio::test]
    async fn sessions_are_kept_for_each_server_in_a_file_of_their_owner() {
        let home = tempfile::tempdir().unwrap();
        let file = SessionFile { folder: home.path().join("a/scheduler0") };
        assert_eq!(file.find(SERVER).unwrap(), None);
        assert!(!file.folder.exists(), "reading makes nothing");
        let mut locked = file.lock().await.unwrap();
        locked.put(SERVER, pair("one")).unwrap();
        locked.put("https://b", pair("two")).unwrap();
        assert_eq!(file.find(SERVER).unwrap(), Some(pair("one")));
        assert_eq!(file.find("https://b").unwrap(), Some(pair("two")));
        assert_eq!((mode(&file.folder), mode(&file.path())), (0o700, 0o600));
        assert_eq!(locked.remove(SERVER).unwrap(), Some(pair("one")));
        assert_eq!(locked.remove(SERVER).unwrap(), None);
        assert_eq!(file.find(SERVER).unwrap(), None);
        assert!(locked.servers().eq(["https://b"]));
    }

    #[tokio::test]
    async fn a_wider_mode_is_refused_with_the_command_that_narrows_it() {
        let home = tempfile::tempdir().unwrap();
        let file = SessionFile { folder: home.path().join("scheduler0") };
        file.lock().await.unwrap().put(SERVER, pair("hush")).unwrap();
        for (path, wide, right) in [
            (file.path(), 0o640, "600"),
            (file.path(), 0o604, "600"),
            (file.folder.clone(), 0o750, "700"),
        ] {
            fs::set_permissions(&path, Permissions::from_mode(wide)).unwrap();
            let said = file.find(SERVER).unwrap_err().to_string();
            let fix = format!("chmod {right} {}", path.display());
            assert!(said.contains(&fix) && said.contains(&format!("{wide:o}")), "{said}");
            assert!(file.lock().await.is_err(), "nor is it written");
            let right = u32::from_str_radix(right, 8).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(right)).unwrap();
        }
        assert_eq!(file.find(SERVER).unwrap(), Some(pair("hush")));
    }

    #[tokio::test]
    async fn a_file_of_something_else_is_refused_and_never_quoted() {
        let home = tempfile::tempdir().unwrap();
        fs::set_permissions(home.path(), Permissions::from_mode(0o700)).unwrap();
        let file = SessionFile { folder: home.path().to_owned() };
        for (text, wanted) in [
            ("{\"version\": 1, \"servers\": {\"a\": {\"kind\": \"hush\"}}}", "log in again"),
            ("hush", "log in again"),
            ("{\"version\": 2, \"servers\": {}}", "version 2"),
        ] {
            drop(fs::remove_file(file.path()));
            fs::write(file.path(), text).unwrap();
            fs::set_permissions(file.path(), Permissions::from_mode(0o600)).unwrap();
            let said = file.find(SERVER).unwrap_err().to_string();
            assert!(said.contains(wanted) && !said.contains("hush"), "{said}");
        }
    }

    #[tokio::test]
    async fn one_holds_the_lock_at_a_time() {
        let home = tempfile::tempdir().unwrap();
        let file = SessionFile { folder: home.path().join("scheduler0") };
        let mut first = file.lock().await.unwrap();
        let lock = File::open(file.folder.join(LOCK)).unwrap();
        assert!(matches!(lock.try_lock(), Err(TryLockError::WouldBlock)));
        let also = file.clone();
        let second = tokio::spawn(async move { also.lock().await.unwrap().find(SERVER).cloned() });
        first.put(SERVER, pair("first")).unwrap();
        drop(first);
        assert_eq!(second.await.unwrap(), Some(pair("first")), "it reads what the first wrote");
    }

    #[test]
    fn a_server_is_told_by_what_connects_to_it() {
        for same in ["http://Node:80", "http://node/", "http://node", "http://user@node:80/"] {
            assert_eq!(server_name(same), "http://node", "{same}");
        }
        assert_eq!(server_name("https://node:9091/cron/"), "https://node:9091/cron");
        assert_ne!(server_name("http://node"), server_name("https://node"));
    }

    #[test]
    fn the_folder_is_that_of_the_environment() {
        let of = |pairs: &'static [(&str, &str)]| {
            let found = |name: &str| pairs.iter().find(|(known, _)| *known == name);
            SessionFile::of(|name| found(name).map(|(_, value)| PathBuf::from(value)))
                .map(|file| file.path().display().to_string())
        };
        let own = "/x/scheduler0/sessions.json";
        assert_eq!(of(&[("XDG_CONFIG_HOME", "/x"), ("HOME", "/h")]).as_deref(), Some(own));
        let home = "/h/.config/scheduler0/sessions.json";
        assert_eq!(of(&[("HOME", "/h")]).as_deref(), Some(home));
        assert_eq!(of(&[("XDG_CONFIG_HOME", "x"), ("HOME", "/h")]).as_deref(), Some(home));
        assert_eq!(of(&[("HOME", "")]), None);
    }
}
