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
        self.read_for(Reader::current(), phase, read).await
    }

    /// Reads for a reader that this task does not know, such as for the rest of an answer whose
    /// handler is over.
    pub(crate) async fn read_for<T, F>(
        &self,
        reader: Reader,
        phase: ReadPhase,
        read: F,
    ) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let actor = reader.actor().ok_or_else(Error::unauthorized)?;
        Ok(self.app.read_at(&actor, phase, read).await?)
    }

    /// Computes on a thread for the client of this request, with a read's permit.
    pub(crate) async fn compute<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Error> {
        let actor = Reader::current().actor().ok_or_else(Error::unauthorized)?;
        Ok(self.app.compute(&actor, work).await?)
    }
}
