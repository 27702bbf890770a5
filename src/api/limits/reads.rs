//! The reads of a handler, through the node's read queue. Every handler reads this way; the reader
//! of the request is taken from its task.

use rusqlite::Connection;

use super::reader::{ReadPhase, Reader};
use crate::api::http::error::Error;
use crate::api::state::AppState;

impl AppState {
    /// Reads this node's state for the client of this request, before anything is written.
    ///
    /// # Errors
    ///
    /// 503 when the read takes too long, or too many reads wait already.
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
        self.reads.run(&self.cluster, &self.metrics, reader, phase.timeout(reader), read).await
    }

    /// Computes on a thread for the client of this request, with a read's permit.
    pub(crate) async fn compute<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Error> {
        let reader = Reader::current();
        let timeout = ReadPhase::BeforeWrite.timeout(reader);
        let permit = self.reads.permit(&self.metrics, reader, timeout).await?;
        let done = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            work()
        });
        // The task fails only when the work panics, which no input makes it do.
        done.await.map_err(|_| Error::internal())
    }
}
