//! Backups over HTTP: a download for the command line, files in a folder of the node for the
//! published clients, and how far the last one is. All of it is for operators: a backup holds every
//! tenant's jobs, and fills a disk.
//!
//! One is made at a time. Paths lead into `BackupDir` and nowhere else.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use axum::routing::{get, post};
use serde::Serialize;

use super::App;
use super::ask::Ask;
use super::error::Error;
use super::fields::Fields;
use super::input::{Input, SMALL};
use super::reply;
use super::state::AppState;
use crate::cluster::backup::{self, Facts};
use crate::disk::modes;
use crate::model::time::rfc3339;
use crate::secret::purpose;

/// What is read of a file at once.
const PIECE: usize = 256 << 10;
/// The longest path.
const LONGEST: usize = 1_024;

/// How far the last operation of this node is.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Progress {
    operation_type: &'static str,
    status: &'static str,
    #[serde(rename = "progress")]
    percent: u8,
    message: String,
    start_time: String,
    end_time: String,
    backup_path: String,
}

/// The one place where a backup may be made.
#[derive(Debug)]
pub(super) struct Backups {
    /// How far, and the file that grows while one is under way.
    last: Mutex<(Progress, Option<PathBuf>)>,
}

impl Default for Backups {
    fn default() -> Self {
        let idle = Progress {
            status: "idle",
            message: "no backup was made since this node started".to_owned(),
            ..Progress::default()
        };
        Self { last: Mutex::new((idle, None)) }
    }
}

/// A backup under way; one that is dropped before its end has failed.
struct Ticket {
    app: Arc<AppState>,
    part: PathBuf,
}

impl Ticket {
    fn take(app: &Arc<AppState>, part: PathBuf, to: &str) -> Result<Self, Error> {
        let mut last = app.backups.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.1.is_some() {
            return Err(Error::conflict("a backup is under way on this node: wait for its end"));
        }
        let progress = Progress {
            operation_type: "backup",
            status: "in-progress",
            message: "the state is being written".to_owned(),
            start_time: rfc3339(app.time.now()),
            backup_path: to.to_owned(),
            ..Progress::default()
        };
        *last = (progress, Some(part.clone()));
        Ok(Self { app: app.clone(), part })
    }

    fn end(&self, status: &'static str, message: String) {
        let mut last = self.app.backups.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.1.take().is_some() {
            last.0.status = status;
            last.0.message = message;
            last.0.end_time = rfc3339(self.app.time.now());
            last.0.percent = if status == "completed" { 100 } else { 0 };
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.end("failed", "the backup could not be made: see the log of the node".to_owned());
        // What was renamed or is being sent has no such name any more.
        let _ = fs::remove_file(&self.part);
    }
}

pub(super) fn router() -> Router<Arc<AppState>> {
    Router::new()
        .route("/cluster/backup", get(download).post(to_folder))
        .route("/cluster/backup-to-file", post(to_file))
        .route("/cluster/restore", post(restore))
        .route("/cluster/backup-restore-progress", get(progress))
}

/// What came of a backup in the folder.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Made {
    status: &'static str,
    message: String,
    backup_path: String,
    log_index: String,
    jobs: String,
    size: String,
}

/// Streams a backup of what is applied here, and by default of all that was committed before.
async fn download(State(app): App, ask: Ask) -> Result<Response, Error> {
    ask.operators_only()?;
    settle(&app, &ask).await?;
    let folder = folder(&app).await?;
    let part = folder.join(part_name(&app));
    let ticket = Ticket::take(&app, part.clone(), "")?;
    let (facts, file, length) = in_background(async move {
        let facts = write(&app, &part).await?;
        let file = blocking(move || {
            let file = File::open(&part)?;
            let length = file.metadata()?.len();
            // Open is enough: nothing is left of it when the last byte is out, or nobody wants it.
            fs::remove_file(&part)?;
            Ok((file, length))
        });
        let (file, length) = file.await.map_err(|e| failed(&e))?;
        ticket.end("completed", told(&facts, length));
        Ok((facts, file, length))
    })
    .await?;
    let mut response = Response::new(Body::from_stream(pieces(Arc::new(file), length)));
    let headers = response.headers_mut();
    let name = format!("attachment; filename=\"scheduler0-{}.db\"", facts.index);
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/vnd.sqlite3"));
    // Made of digits and letters: it is a header's value.
    if let Ok(name) = HeaderValue::from_str(&name) {
        headers.insert(header::CONTENT_DISPOSITION, name);
    }
    reply::forget(&mut response);
    Ok(response)
}

/// Writes one into the folder, under a name made of the time.
async fn to_folder(State(app): App, ask: Ask, _: Input<SMALL>) -> Result<Response, Error> {
    ask.operators_only()?;
    settle(&app, &ask).await?;
    let folder = folder(&app).await?;
    let now: String = rfc3339(app.time.now()).chars().filter(|c| !"-:".contains(*c)).collect();
    let name = format!("scheduler0-{now}-node{}.db", app.config.node_id);
    keep(app, &ask, folder.join(name)).await
}

/// Writes one under a name of the client's choice.
async fn to_file(State(app): App, ask: Ask, body: Input<SMALL>) -> Result<Response, Error> {
    ask.operators_only()?;
    let path = path_in(&body.0, "destPath")?;
    settle(&app, &ask).await?;
    let folder = folder(&app).await?;
    let to = blocking(move || Ok(confined(&folder, &path, "destPath"))).await;
    let to = to.map_err(|e| failed(&e))??;
    keep(app, &ask, to).await
}

/// A running cluster is not restored: says how it is done. But first, whether the file would do.
async fn restore(State(app): App, ask: Ask, body: Input<SMALL>) -> Result<Response, Error> {
    ask.operators_only()?;
    let path = path_in(&body.0, "backupPath")?;
    let folder = folder(&app).await?;
    let found = blocking(move || Ok(confined(&folder, &path, "backupPath"))).await;
    let path = found.map_err(|e| failed(&e))??;
    let shown = path.clone();
    let facts = blocking(move || {
        if !path.is_file() {
            let message = format!("backupPath {} is not there", path.display());
            return Ok(Err(Error::not_found(message).field("backupPath")));
        }
        let wrong = |e: backup::Error| Error::invalid("backupPath", e.to_string());
        Ok(backup::inspect(&path).map_err(wrong))
    });
    let facts = facts.await.map_err(|e| failed(&e))??;
    let sound = if facts.hashed { "is sound" } else { "can be read, but has no hash to check" };
    Err(Error::conflict(format!(
        "the backup {sound} (log index {}, {} jobs), but a cluster is not restored while it runs: \
         stop its nodes, give this one an empty DataDir and run `scheduler0 restore {}` on it",
        facts.index,
        facts.jobs,
        shown.display()
    )))
}

async fn progress(State(app): App, ask: Ask) -> Result<Response, Error> {
    ask.operators_only()?;
    let (mut progress, part) = {
        let last = app.backups.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.clone()
    };
    if let Some(part) = part {
        let written = fs::metadata(part.with_extension("tmp")).map_or(0, |data| data.len());
        let whole = app.cluster.state_size().max(1);
        progress.percent = (written * 100 / whole).min(99) as u8;
    }
    Ok(reply::ok(&progress, ask.casing()))
}

/// Makes one and gives it its name, whether or not the client waits.
async fn keep(app: Arc<AppState>, ask: &Ask, to: PathBuf) -> Result<Response, Error> {
    let part = to.with_file_name(part_name(&app));
    let ticket = Ticket::take(&app, part.clone(), &to.display().to_string())?;
    let casing = ask.casing();
    let made = in_background(async move {
        let facts = write(&app, &part).await?;
        let name = to.clone();
        let size = blocking(move || {
            let size = fs::metadata(&part)?.len();
            if fs::symlink_metadata(&name).is_ok() {
                return Ok(None);
            }
            fs::rename(&part, &name)?;
            File::open(name.parent().unwrap_or(Path::new(".")))?.sync_all()?;
            Ok(Some(size))
        });
        let size = size.await.map_err(|e| failed(&e))?.ok_or_else(|| taken(&to))?;
        let message = told(&facts, size);
        ticket.end("completed", message.clone());
        Ok(Made {
            status: "completed",
            message,
            backup_path: to.display().to_string(),
            log_index: facts.index.to_string(),
            jobs: facts.jobs.to_string(),
            size: size.to_string(),
        })
    });
    Ok(reply::ok(&made.await?, casing))
}

async fn write(app: &AppState, part: &Path) -> Result<Facts, Error> {
    let sealed = app.keys.seal("scheduler0", purpose::BACKUP).0;
    let made = app.cluster.backup(part.to_owned(), sealed).await;
    made.map_err(|error| match error {
        backup::Error::Unborn => Error::unavailable(error.to_string()),
        error => failed(&error),
    })
}

fn told(facts: &Facts, size: u64) -> String {
    format!("log index {}, {} jobs, {size} bytes", facts.index, facts.jobs)
}

/// A backup of what was committed before it was asked for, unless less will do.
async fn settle(app: &AppState, ask: &Ask) -> Result<(), Error> {
    match ask.text("consistency") {
        None => Ok(app.cluster.linearize().await?),
        Some(_) => ask.settle(app).await,
    }
}

/// The folder, made if it isn't there, with room for one more.
async fn folder(app: &Arc<AppState>) -> Result<PathBuf, Error> {
    let folder = app.config.backup_dir.clone();
    let made = blocking(move || {
        modes::create_dir_all(&folder)?;
        let folder = folder.canonicalize()?;
        let disk = rustix::fs::statvfs(&folder)?;
        Ok((folder, disk.f_bavail * disk.f_frsize))
    });
    let (folder, free) = made.await.map_err(|e| failed(&e))?;
    // It must not take from the node what that needs to live.
    if free < app.cluster.state_size() + app.config.disk_reserve {
        return Err(Error::no_space());
    }
    Ok(folder)
}

fn part_name(app: &AppState) -> String {
    format!(".backup-of-node{}.part", app.config.node_id)
}

fn path_in(body: &Bytes, name: &'static str) -> Result<String, Error> {
    let path = Fields::parse(body)?.text(name, LONGEST)?.filter(|path| !path.is_empty());
    path.ok_or_else(|| Error::invalid(name, format!("{name} is required: a file in BackupDir")))
}

/// Where a path leads, which must be into the folder: no step up, no link out of it, no hidden file.
fn confined(folder: &Path, path: &str, field: &'static str) -> Result<PathBuf, Error> {
    let wrong = |what: &str| {
        Error::invalid(field, format!("{field} must name a file in BackupDir: {what}"))
    };
    let given = folder.join(path);
    let plain = |c: Component<'_>| !matches!(c, Component::ParentDir | Component::CurDir);
    if !given.components().all(plain) || path.contains('\0') {
        return Err(wrong("no . or .. in it"));
    }
    let (Some(parent), Some(name)) = (given.parent(), given.file_name()) else {
        return Err(wrong("it names none"));
    };
    if path.ends_with('/') || name.as_encoded_bytes().starts_with(b".") {
        return Err(wrong("it names a folder or a hidden file"));
    }
    let Ok(real) = parent.canonicalize() else {
        return Err(wrong("its folder is not there"));
    };
    if !real.starts_with(folder) {
        return Err(wrong("it leads out of that folder"));
    }
    let real = real.join(name);
    match fs::symlink_metadata(&real) {
        Ok(found) if found.is_symlink() => Err(wrong("it is a link")),
        Ok(_) if field == "destPath" => Err(taken(&real)),
        _ => Ok(real),
    }
}

fn taken(path: &Path) -> Error {
    Error::conflict(format!("{} exists already: choose another name", path.display()))
}

fn failed(error: &dyn std::fmt::Display) -> Error {
    tracing::error!(%error, "a backup failed");
    Error::internal()
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}

/// Goes on to its end when the client is gone.
async fn in_background<T: Send + 'static>(
    work: impl Future<Output = Result<T, Error>> + Send + 'static,
) -> Result<T, Error> {
    tokio::spawn(work).await.unwrap_or_else(|e| Err(failed(&e)))
}

fn pieces(file: Arc<File>, length: u64) -> impl futures_util::Stream<Item = io::Result<Bytes>> {
    futures_util::stream::try_unfold(0, move |at| {
        let file = file.clone();
        async move {
            if at == length {
                return Ok(None);
            }
            let size = (length - at).min(PIECE as u64) as usize;
            let piece = blocking(move || {
                let mut piece = vec![0; size];
                file.read_exact_at(&mut piece, at).map(|()| piece)
            });
            Ok(Some((Bytes::from(piece.await?), at + size as u64)))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_lead_into_the_folder_and_nowhere_else() {
        let top = tempfile::tempdir().unwrap();
        let top = top.path().canonicalize().unwrap();
        let folder = top.join("backups");
        fs::create_dir_all(folder.join("old")).unwrap();
        fs::write(folder.join("taken.db"), "x").unwrap();
        fs::write(top.join("outside.db"), "x").unwrap();
        std::os::unix::fs::symlink(&top, folder.join("up")).unwrap();
        std::os::unix::fs::symlink(top.join("outside.db"), folder.join("link.db")).unwrap();
        let to = |path: &str| confined(&folder, path, "destPath");
        assert_eq!(to("a.db").unwrap(), folder.join("a.db"));
        assert_eq!(to("old/a.db").unwrap(), folder.join("old/a.db"));
        assert_eq!(to(folder.join("b.db").to_str().unwrap()).unwrap(), folder.join("b.db"));
        for bad in [
            "",
            "../a.db",
            "old/../../a.db",
            "old/",
            "/etc/a.db",
            "up/a.db",
            "link.db",
            ".hidden",
            "missing/a.db",
            "..",
            "a\0b",
            "/",
            "old/..",
        ] {
            assert_eq!(to(bad).unwrap_err().status(), 400, "{bad:?}");
        }
        assert_eq!(to("taken.db").unwrap_err().status(), 409);
        assert!(confined(&folder, "taken.db", "backupPath").is_ok());
        assert!(confined(&folder, "link.db", "backupPath").is_err());
    }
}
