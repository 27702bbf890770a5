//! Backups over HTTP: a download for the command line, files in a folder of the node for the
//! published clients, and the progress of the last one. The routes are for operators, since a
//! backup holds every tenant's jobs and fills a disk.
//!
//! A node makes one backup at a time. Paths lead into `BackupDir` and nowhere else.

use crate::api::admin::backup_path::taken;
use crate::api::http::action_router::{ActionRouter, get, post};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use serde::Serialize;

use crate::api::admin::backup_path::confined;
use crate::api::http::body::{JsonBody, SMALL};
use crate::api::http::context::RequestContext;
use crate::api::http::error::Error;
use crate::api::http::fields::Fields;
use crate::api::http::respond;
use crate::api::state::{App, AppState};
use crate::app::Action;
use crate::cluster::backup::{self, Facts};
use crate::disk::modes;
use crate::model::time::rfc3339;
use crate::secret::purpose;

/// The bytes that are read of a file at once.
const PIECE: usize = 256 << 10;
/// The longest path, in bytes.
const LONGEST: usize = 1_024;

pub(crate) fn router() -> ActionRouter {
    ActionRouter::new()
        .route(
            "/cluster/backup",
            get(Action::ClusterBackup, download).post(Action::ClusterBackup, to_folder),
        )
        .route("/cluster/backup-to-file", post(Action::ClusterBackup, to_file))
        .route("/cluster/restore", post(Action::ClusterBackup, restore))
        .route("/cluster/backup-restore-progress", get(Action::ClusterBackup, progress))
}

/// A backup that was made in the folder.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CreatedBackup {
    status: &'static str,
    message: String,
    backup_path: String,
    log_index: String,
    jobs: String,
    size: String,
}

/// Streams a backup of the state that is applied here, by default with everything that was
/// committed before the request.
async fn download(State(app): App, context: RequestContext) -> Result<Response, Error> {
    wait_until_applied(&app, &context).await?;
    let folder = folder(&app).await?;
    let part = folder.join(part_name(&app));
    let ticket = app.backup.take(part.clone(), "")?;
    let (facts, file, length) = in_background(async move {
        let facts = write(&app, &part).await?;
        let file = blocking(move || {
            let file = File::open(&part)?;
            let length = file.metadata()?.len();
            // The open file is enough: it goes when the last byte is out, or when the client
            // leaves.
            fs::remove_file(&part)?;
            Ok((file, length))
        });
        let (file, length) = file.await.map_err(|e| failed(&e))?;
        ticket.complete(summary(&facts, length));
        Ok((facts, file, length))
    })
    .await?;
    let mut response = Response::new(Body::from_stream(pieces(Arc::new(file), length)));
    let headers = response.headers_mut();
    let name = format!("attachment; filename=\"scheduler0-{}.db\"", facts.index);
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/vnd.sqlite3"));
    // The name is made of digits and letters, which a header's value may have.
    if let Ok(name) = HeaderValue::from_str(&name) {
        headers.insert(header::CONTENT_DISPOSITION, name);
    }
    respond::no_store(&mut response);
    Ok(response)
}

/// Writes a backup into the folder, under a name made of the time.
async fn to_folder(
    State(app): App,
    context: RequestContext,
    _: JsonBody<SMALL>,
) -> Result<Response, Error> {
    wait_until_applied(&app, &context).await?;
    let folder = folder(&app).await?;
    let now: String = rfc3339(app.time.now()).chars().filter(|c| !"-:".contains(*c)).collect();
    let name = format!("scheduler0-{now}-node{}.db", app.config.node_id);
    keep(app, &context, folder.join(name)).await
}

/// Writes a backup under a name of the client's choice.
async fn to_file(
    State(app): App,
    context: RequestContext,
    body: JsonBody<SMALL>,
) -> Result<Response, Error> {
    let path = path_in(&body.0, "destPath")?;
    wait_until_applied(&app, &context).await?;
    let folder = folder(&app).await?;
    let to = blocking(move || Ok(confined(&folder, &path, "destPath"))).await;
    let to = to.map_err(|e| failed(&e))??;
    keep(app, &context, to).await
}

/// Refuses to restore a running cluster, and says how it is done. The file is inspected first, so
/// that the client learns whether it would do.
async fn restore(
    State(app): App,
    _: RequestContext,
    body: JsonBody<SMALL>,
) -> Result<Response, Error> {
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

async fn progress(State(app): App, context: RequestContext) -> Result<Response, Error> {
    let (mut progress, part) = app.backup.progress();
    if let Some(part) = part {
        let written = fs::metadata(part.with_extension("tmp")).map_or(0, |data| data.len());
        let whole = app.cluster.state_size().max(1);
        progress.percent = (written * 100 / whole).min(99) as u8;
    }
    Ok(respond::ok(&progress, context.casing()))
}

/// Makes a backup and gives it its name, whether or not the client still waits.
async fn keep(
    app: Arc<AppState>,
    context: &RequestContext,
    to: PathBuf,
) -> Result<Response, Error> {
    let part = to.with_file_name(part_name(&app));
    let ticket = app.backup.take(part.clone(), &to.display().to_string())?;
    let casing = context.casing();
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
        let message = summary(&facts, size);
        ticket.complete(message.clone());
        Ok(CreatedBackup {
            status: "completed",
            message,
            backup_path: to.display().to_string(),
            log_index: facts.index.to_string(),
            jobs: facts.jobs.to_string(),
            size: size.to_string(),
        })
    });
    Ok(respond::ok(&made.await?, casing))
}

async fn write(app: &AppState, part: &Path) -> Result<Facts, Error> {
    let sealed = app.keys.seal("scheduler0", purpose::BACKUP).0;
    let made = app.cluster.backup(part.to_owned(), sealed).await;
    made.map_err(|error| match error {
        backup::Error::Unborn => Error::unavailable(error.to_string()),
        error => failed(&error),
    })
}

fn summary(facts: &Facts, size: u64) -> String {
    format!("log index {}, {} jobs, {size} bytes", facts.index, facts.jobs)
}

/// Waits until everything that was committed before is applied, unless the request wants less.
async fn wait_until_applied(app: &AppState, context: &RequestContext) -> Result<(), Error> {
    match context.text("consistency") {
        None => Ok(app.cluster.linearize().await?),
        Some(_) => context.apply_consistency(&app.app).await,
    }
}

/// The folder, created if it is not there, with room for one more backup.
async fn folder(app: &Arc<AppState>) -> Result<PathBuf, Error> {
    let folder = app.config.backup_dir.clone();
    let made = blocking(move || {
        modes::create_dir_all(&folder)?;
        let folder = folder.canonicalize()?;
        let disk = rustix::fs::statvfs(&folder)?;
        Ok((folder, disk.f_bavail * disk.f_frsize))
    });
    let (folder, free) = made.await.map_err(|e| failed(&e))?;
    // A backup must not take the space that the node needs for itself.
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

fn failed(error: &dyn std::fmt::Display) -> Error {
    tracing::error!(%error, "a backup failed");
    Error::internal()
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}

/// Runs work to its end even when the client is gone.
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
