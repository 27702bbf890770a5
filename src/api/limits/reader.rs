//! The client whose request a task works on. `http::middleware` sets it around a handler; the reads
//! and answers of the handler are counted for it.

use std::time::Duration;

use crate::auth::Caller;
use crate::listen::Principal;

/// The longest time of a client's read, its waiting included.
const CLIENT_TIMEOUT: Duration = Duration::from_secs(2);
/// The longest time of an operator's read, its waiting included.
const OPERATOR_TIMEOUT: Duration = Duration::from_secs(30);

tokio::task_local! {
    static READER: Reader;
}

/// The principal that reads: all requests of a client are one reader, with whatever key of its
/// tree, and all operators are another. `None` is a request to a route that asks for no
/// credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reader(Option<Principal>);

/// The phase of a request in which it reads. It decides how long the read may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReadPhase {
    /// Nothing was written yet.
    BeforeWrite,
    /// The write was done, and this is its answer: a refusal would say that nothing came of it.
    AfterWrite,
}

impl ReadPhase {
    /// The longest time of a read in this phase, its waiting included.
    pub(crate) fn timeout(self, reader: Reader) -> Duration {
        match self {
            Self::BeforeWrite if !reader.is_operator() => CLIENT_TIMEOUT,
            Self::BeforeWrite | Self::AfterWrite => OPERATOR_TIMEOUT,
        }
    }
}

impl From<Caller> for Reader {
    fn from(caller: Caller) -> Self {
        Self(Some(caller.principal()))
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
        self.0
    }

    fn is_operator(self) -> bool {
        self.0 == Some(Caller::Operator.principal())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_to_a_write_that_was_done_may_take_long() {
        let client = Reader::from(Caller::Client { id: 1, root: 1 });
        for reader in [client, Reader::from(Caller::Operator), Reader(None)] {
            let timeout = ReadPhase::AfterWrite.timeout(reader);
            assert_eq!(timeout, Duration::from_secs(30), "{reader:?}");
        }
        assert_eq!(ReadPhase::BeforeWrite.timeout(client), Duration::from_secs(2));
        let operator = Reader::from(Caller::Operator);
        assert_eq!(ReadPhase::BeforeWrite.timeout(operator), Duration::from_secs(30));
    }

    #[test]
    fn the_keys_that_a_client_makes_itself_are_one_reader() {
        let of = |id, root| Reader::from(Caller::Client { id, root });
        assert_eq!(of(7, 1), of(8, 1));
        assert_ne!(of(7, 1), of(7, 2));
    }
}
