//! What a connection is for. Its owner says it once; `login` names the connection by it, `inbound`
//! decides by it what the broker may send, and `connection` whether it looks for an alarm.

/// The purpose of a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Role {
    /// Messages are published on it.
    #[default]
    Publisher,
    /// Messages are consumed on it. Nothing is ever published: during an alarm a broker stops
    /// reading from connections that publish, and acknowledgements have to be read.
    Consumer,
}

impl Role {
    /// The name that the broker shows of the connection.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Publisher => "scheduler0 publisher",
            Self::Consumer => "scheduler0 consumer",
        }
    }
}
