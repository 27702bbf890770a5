//! The client whose request a task works on. `http::middleware` sets it around a handler; the
//! answers of the handler are counted for it.

use crate::app::Actor;
use crate::listen::Principal;

tokio::task_local! {
    static READER: Reader;
}

/// The actor that reads; `None` is a request to a route that asks for no credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reader(Option<Actor>);

impl From<Actor> for Reader {
    fn from(actor: Actor) -> Self {
        Self(Some(actor))
    }
}

impl Reader {
    /// The reader of the request that this task works on.
    pub(crate) fn current() -> Self {
        READER.try_with(|reader| *reader).unwrap_or(Self(None))
    }

    /// Works on a request of this reader.
    pub(crate) async fn scope<T>(self, work: impl Future<Output = T>) -> T {
        READER.scope(self, work).await
    }

    /// The principal that permits and bytes are counted by.
    pub(crate) fn principal(self) -> Option<Principal> {
        self.0.map(|actor| actor.principal)
    }

    /// The actor.
    pub(crate) fn actor(self) -> Option<Actor> {
        self.0
    }
}
