//! Levels: what a program of a version understands, as a number. Nodes of two versions live
//! together during an upgrade, and the log may hold only what all of them understand. `cluster`
//! compares the level of a command with that of the cluster before it proposes one; nothing here is
//! applied.
//!
//! | level | what it brought |
//! |---|---|
//! | 1 | everything of the first release |
//! | 2 | `ForVersion`, `ByClient`, `RaiseLevel`; the schema steps 3 and 4 |
//!
//! A variant never changes its level. A new variant takes the level of the release that brings it,
//! and [`LEVEL`] is the highest of them. The rules for a cluster of two levels are in
//! `docs/architecture.md`, "Levels".

use super::Command;

/// The level of this program.
pub const LEVEL: u32 = 2;

/// The level that brought the newest schema step: only a node of that level can open a snapshot of
/// this program's state.
pub const SCHEMA_LEVEL: u32 = 2;

impl Command {
    /// The lowest level whose programs can decode and apply this command.
    pub fn level(&self) -> u32 {
        match self {
            Self::Init { .. }
            | Self::Tick
            | Self::CreateProject(_)
            | Self::UpdateProject(_)
            | Self::DeleteProject { .. }
            | Self::CreateJobs(_)
            | Self::ActivateJobs { .. }
            | Self::DiscardJobs { .. }
            | Self::UpdateJob(_)
            | Self::DeleteJob { .. }
            | Self::CreateCredential(_)
            | Self::ArchiveCredential { .. }
            | Self::DeleteCredential { .. }
            | Self::Assign(_)
            | Self::Record(_)
            | Self::Register { .. }
            | Self::Checksum
            | Self::Retain { .. }
            | Self::ChangeJobs { .. }
            | Self::RunJob { .. }
            | Self::CreateExecutor(_)
            | Self::UpdateExecutor { .. }
            | Self::DeleteExecutor { .. }
            | Self::BeginRun(_)
            | Self::ReportRun { .. }
            | Self::Expire { .. }
            | Self::ReplayDeadLetters { .. }
            | Self::PurgeDeadLetters { .. }
            | Self::Conclude { .. }
            | Self::Retire { .. }
            | Self::Drain { .. }
            | Self::Recover { .. } => 1,
            Self::Once { command, .. } => command.level(),
            Self::ForVersion { command, .. } | Self::ByClient { command, .. } => {
                command.level().max(2)
            }
            Self::RaiseLevel { .. } => 2,
        }
    }

    /// The command in words of an older level, as the programs of that level said it; `None` where
    /// that would mean something else.
    ///
    /// `ByClient` falls back to the command inside: a client's key then reaches as far as it did
    /// before that variant. `ForVersion` does not: without its condition it would overwrite a
    /// change that its sender has not seen.
    #[must_use]
    pub fn in_words_of(self, level: u32) -> Option<Self> {
        if self.level() <= level {
            return Some(self);
        }
        match self {
            Self::ByClient { command, .. } => command.in_words_of(level),
            Self::Once { key, body, command } => {
                let command = Box::new(command.in_words_of(level)?);
                Some(Self::Once { key, body, command })
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn by_client(command: Command) -> Command {
        command.by_client(Some(7))
    }

    fn once(command: Command) -> Command {
        Command::Once { key: [1; 32], body: [2; 32], command: Box::new(command) }
    }

    #[test]
    fn a_command_is_as_new_as_the_newest_variant_in_it() {
        let delete = || Command::DeleteCredential { id: 3 };
        assert_eq!(Command::Tick.level(), 1);
        assert_eq!(once(delete()).level(), 1);
        assert_eq!(once(by_client(delete())).level(), 2);
        assert_eq!(Command::Tick.for_version(1, Some(2)).level(), 2);
        assert_eq!(Command::Tick.for_version(1, None).level(), 1);
        assert_eq!(Command::RaiseLevel { level: 2 }.level(), LEVEL);
    }

    #[test]
    fn a_clients_command_falls_back_and_a_condition_does_not() {
        let delete = || Command::DeleteCredential { id: 3 };
        assert_eq!(by_client(delete()).in_words_of(1), Some(delete()));
        assert_eq!(once(by_client(delete())).in_words_of(1), Some(once(delete())));
        let newer = once(by_client(delete()));
        assert_eq!(newer.clone().in_words_of(2), Some(newer), "nothing is taken from it");
        assert_eq!(once(Command::Tick.for_version(1, Some(2))).in_words_of(1), None);
        assert_eq!(Command::RaiseLevel { level: 2 }.in_words_of(1), None);
    }
}
