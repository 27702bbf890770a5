//! The export of the audit: all rows that are kept, oldest first, with the chain of their hashes.
//! It is read piece by piece, the next one when the reader has taken the one before. An export is
//! a row itself, which is its last one.

use crate::app::actor::Actor;
use crate::app::authz::{Action, Resource, authorize};
use crate::app::error::Error;
use crate::app::reads::ReadPhase;
use crate::app::state::App;
use crate::model::audit::{AuditNote, ChainHash};
use crate::model::audit_chain::{ExportEnd, ExportHead, export_line, hex};
use crate::store::{audit, in_force, meta};

/// The rows of a piece.
const PIECE: u32 = 500;

/// An export under way: what is left of it.
#[derive(Debug)]
pub struct AuditExport {
    actor: Actor,
    /// The row behind which it goes on, and its hash.
    at: (u64, ChainHash),
    /// Its last row.
    last: u64,
    rows: u64,
    head: Option<String>,
    ended: bool,
}

impl App {
    /// Begins an export of all rows, or of those behind a row.
    ///
    /// # Errors
    ///
    /// `MissingScopes` without `audit:read`; `Forbidden` for who reaches a part of the cluster;
    /// `NotFound` where the row to begin behind is not there; `TooSlow` or `Busy` when it cannot be
    /// read in time; `Unavailable` while the cluster is not founded.
    pub async fn export_audit(
        &self,
        actor: &Actor,
        after: Option<u64>,
    ) -> Result<AuditExport, Error> {
        authorize(actor, Action::AuditRead, Resource::Any)?;
        let reach = actor.reach().clone();
        if !self.read(actor, move |conn| Ok(in_force(conn, &reach)?.is_all())).await? {
            let message = "an export has the rows of all accounts, since each is chained to the one \
                           before: list those in reach by GET /audit, or ask an operator";
            return Err(Error::forbidden(message));
        }
        let (action, noun) = ("export".to_owned(), "audit".to_owned());
        self.note(actor, AuditNote { action, noun, ..AuditNote::default() }).await;
        let read = self.read(actor, move |conn| {
            Ok((meta::cluster_id(conn)?, audit::place(conn, after)?, audit::last(conn)?))
        });
        let (cluster, place, last) = read.await?;
        let unfounded = || Error::unavailable("the cluster is not founded yet: try again");
        let cluster = cluster.ok_or_else(unfounded)?;
        let place = place.ok_or_else(|| {
            let message = "the audit has no row of this number: leave after out, or give the number \
                           of the last row of an export";
            Error::not_found(message).field("after")
        })?;
        let head = ExportHead::new(cluster, (place.id, &place.chain), self.now());
        let head = serde_json::to_string(&head).map_err(|_| Error::internal())?;
        Ok(AuditExport {
            actor: actor.clone(),
            at: (place.id, place.chain),
            last: last.id,
            rows: 0,
            head: Some(head),
            ended: false,
        })
    }

    /// Reads the next piece of an export: whole lines, each with its end.
    ///
    /// # Errors
    ///
    /// `TooSlow` or `Busy` when it cannot be read in time; `Conflict` where rows that it has yet to
    /// read were dropped meanwhile: the reader was too slow.
    pub async fn export_piece(&self, export: &mut AuditExport) -> Result<String, Error> {
        let range = (export.at.0, export.last);
        let read = self.read_at(&export.actor, ReadPhase::AfterWrite, move |conn| {
            audit::behind(conn, range, PIECE)
        });
        let rows = read.await?.ok_or_else(|| {
            Error::conflict("old rows were dropped while the audit was exported: export it again")
        })?;
        let mut text = String::new();
        if let Some(head) = export.head.take() {
            push_line(&mut text, &head);
        }
        for (row, hash) in &rows {
            push_line(&mut text, &export_line(row, hash));
            export.at = (row.id, *hash);
            export.rows += 1;
        }
        if rows.len() < PIECE as usize {
            let (last, head) = (export.at.0, hex(&export.at.1));
            let end = ExportEnd { rows: export.rows, last, head };
            push_line(&mut text, &serde_json::to_string(&end).map_err(|_| Error::internal())?);
            export.ended = true;
        }
        Ok(text)
    }
}

impl AuditExport {
    /// True once its last piece was read, or once it was broken off.
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// Ends the export where it is: a piece could not be read.
    pub fn break_off(&mut self) {
        self.ended = true;
    }
}

fn push_line(text: &mut String, line: &str) {
    text.push_str(line);
    text.push('\n');
}
