//! Backups over HTTP: a download for the command line, files in a folder of the node for the
//! published clients, and the progress of the last one.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use serde::Serialize;

use crate::api::http::action_router::{ActionRouter, get, post};
use crate::api::http::body::{JsonBody, SMALL};
use crate::api::http::context::RequestContext;
use crate::api::http::error::Error;
use crate::api::http::fields::Fields;
use crate::api::http::respond;
use crate::api::state::{ApiState, AppState};
use crate::app::Action;
use crate::app::backups::{BackupProgress, BackupState, StoredBackup};
use crate::model::time::rfc3339;

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
struct StoredBackupView {
    status: &'static str,
    message: String,
    backup_path: String,
    log_index: String,
    jobs: String,
    size: String,
}

/// The progress of the last backup. Texts that say nothing are empty.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ProgressView {
    operation_type: &'static str,
    status: &'static str,
    progress: u8,
    message: String,
    start_time: String,
    end_time: String,
    backup_path: String,
}

/// Streams a backup of the state that is applied here, by default with everything that was
/// committed before the request.
async fn download(State(state): ApiState, context: RequestContext) -> Result<Response, Error> {
    wait_until_applied(&state, &context).await?;
    let backup = state.app.download_backup(&context.actor).await?;
    let (file, length) = (Arc::new(backup.file), backup.length);
    let mut response = Response::new(Body::from_stream(pieces(file, length)));
    let headers = response.headers_mut();
    let name = format!("attachment; filename=\"scheduler0-{}.db\"", backup.facts.index);
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
    State(state): ApiState,
    context: RequestContext,
    _: JsonBody<SMALL>,
) -> Result<Response, Error> {
    wait_until_applied(&state, &context).await?;
    let stored = state.app.store_backup(&context.actor).await?;
    Ok(respond::ok(&view(&stored), context.casing()))
}

/// Writes a backup under a name of the client's choice.
async fn to_file(
    State(state): ApiState,
    context: RequestContext,
    body: JsonBody<SMALL>,
) -> Result<Response, Error> {
    let path = path_in(&body.0, "destPath")?;
    wait_until_applied(&state, &context).await?;
    let stored = state.app.store_backup_as(&context.actor, path).await?;
    Ok(respond::ok(&view(&stored), context.casing()))
}

/// Refuses to restore a running cluster, and says how it is done. The file is inspected first, so
/// that the client learns whether it would do.
async fn restore(
    State(state): ApiState,
    context: RequestContext,
    body: JsonBody<SMALL>,
) -> Result<Response, Error> {
    let path = path_in(&body.0, "backupPath")?;
    let found = state.app.inspect_backup(&context.actor, path).await?;
    let facts = &found.facts;
    let sound = if facts.hashed { "is sound" } else { "can be read, but has no hash to check" };
    Err(Error::conflict(format!(
        "the backup {sound} (log index {}, {} jobs), but a cluster is not restored while it runs: \
         stop its nodes, give this one an empty DataDir and run `scheduler0 restore {}` on it",
        facts.index,
        facts.jobs,
        found.path.display()
    )))
}

async fn progress(State(state): ApiState, context: RequestContext) -> Result<Response, Error> {
    let progress = state.app.backup_progress(&context.actor)?;
    Ok(respond::ok(&progress_view(progress), context.casing()))
}

fn view(stored: &StoredBackup) -> StoredBackupView {
    StoredBackupView {
        status: "completed",
        message: stored.summary(),
        backup_path: stored.path.display().to_string(),
        log_index: stored.facts.index.to_string(),
        jobs: stored.facts.jobs.to_string(),
        size: stored.length.to_string(),
    }
}

fn progress_view(progress: BackupProgress) -> ProgressView {
    let (operation_type, status) = match progress.state {
        BackupState::Idle => ("", "idle"),
        BackupState::UnderWay => ("backup", "in-progress"),
        BackupState::Completed => ("backup", "completed"),
        BackupState::Failed => ("backup", "failed"),
    };
    ProgressView {
        operation_type,
        status,
        progress: progress.percent,
        message: progress.message,
        start_time: progress.started.map(rfc3339).unwrap_or_default(),
        end_time: progress.ended.map(rfc3339).unwrap_or_default(),
        backup_path: progress.path,
    }
}

/// Waits until everything that was committed before is applied, unless the request wants less.
async fn wait_until_applied(state: &AppState, context: &RequestContext) -> Result<(), Error> {
    match context.text("consistency") {
        None => Ok(state.app.linearize().await?),
        Some(_) => context.apply_consistency(&state.app).await,
    }
}

fn path_in(body: &Bytes, name: &'static str) -> Result<String, Error> {
    let path = Fields::parse(body)?.text(name, LONGEST)?.filter(|path| !path.is_empty());
    path.ok_or_else(|| Error::invalid(name, format!("{name} is required: a file in BackupDir")))
}

fn pieces(file: Arc<File>, length: u64) -> impl futures_util::Stream<Item = io::Result<Bytes>> {
    futures_util::stream::try_unfold(0, move |at| {
        let file = file.clone();
        async move {
            if at == length {
                return Ok(None);
            }
            let size = (length - at).min(PIECE as u64) as usize;
            let piece = tokio::task::spawn_blocking(move || {
                let mut piece = vec![0; size];
                file.read_exact_at(&mut piece, at).map(|()| piece)
            });
            let piece = piece.await.map_err(io::Error::other)??;
            Ok(Some((Bytes::from(piece), at + size as u64)))
        }
    })
}
