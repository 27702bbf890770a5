//! The reads of handlers that are no use cases yet, through the application's queue.

use rusqlite::Connection;

use super::reader::Reader;
use crate::api::http::error::Error;
use crate::api::state::AppState;
use crate::app::reads::ReadPhase;

impl AppState {
    /// Reads this node's state for the client of this request, before anything is written.
    pub(crate) async fn read<T, F>(&self, read: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        self.read_at(ReadPhase::BeforeWrite, read).await
    }

    /// Reads within the time that this phase of a request has.
    pub(crate) async fn read_at<T, F>(&self, phase: ReadPhase, read: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let actor = Reader::current().actor().ok_or_else(Error::unauthorized)?;
        Ok(self.app.read_at(&actor, phase, read).await?)
    }
}
