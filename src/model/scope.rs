//! Scopes: what a credential or an access token may be used for. Their names are words of the API
//! and of tokens ("scope" of RFC 6749, section 3.3). `app::authz` says which action needs which.

use std::fmt;
use std::ops::{BitAnd, BitOr};

use serde::{Deserialize, Serialize};

/// One scope. Writing does not include reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Scope {
    /// Reads jobs, templates and previews.
    JobsRead,
    /// Creates, changes, pauses and deletes jobs and templates.
    JobsWrite,
    /// Reads executions, runs, workers and dead letters.
    RunsRead,
    /// Runs jobs now, works on runs, reports and cancels them, replays dead letters.
    RunsWrite,
    /// Reads projects.
    ProjectsRead,
    /// Creates, changes, pauses and deletes projects.
    ProjectsWrite,
    /// Reads executors.
    ExecutorsRead,
    /// Creates, changes and deletes executors.
    ExecutorsWrite,
    /// Reads credentials.
    CredentialsRead,
    /// Creates, changes, archives and deletes credentials.
    CredentialsWrite,
    /// Reads the audit.
    AuditRead,
    /// Reads accounts.
    AccountsRead,
    /// Creates, changes and deletes accounts.
    AccountsWrite,
    /// Reads the status of the cluster.
    ClusterRead,
    /// Administers the cluster: members, backups, checksums.
    ClusterAdmin,
}

impl Scope {
    /// All scopes, in the order of their numbers.
    pub const ALL: [Self; 15] = [
        Self::JobsRead,
        Self::JobsWrite,
        Self::RunsRead,
        Self::RunsWrite,
        Self::ProjectsRead,
        Self::ProjectsWrite,
        Self::ExecutorsRead,
        Self::ExecutorsWrite,
        Self::CredentialsRead,
        Self::CredentialsWrite,
        Self::AuditRead,
        Self::AccountsRead,
        Self::AccountsWrite,
        Self::ClusterRead,
        Self::ClusterAdmin,
    ];

    /// Its name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::JobsRead => "jobs:read",
            Self::JobsWrite => "jobs:write",
            Self::RunsRead => "runs:read",
            Self::RunsWrite => "runs:write",
            Self::ProjectsRead => "projects:read",
            Self::ProjectsWrite => "projects:write",
            Self::ExecutorsRead => "executors:read",
            Self::ExecutorsWrite => "executors:write",
            Self::CredentialsRead => "credentials:read",
            Self::CredentialsWrite => "credentials:write",
            Self::AuditRead => "audit:read",
            Self::AccountsRead => "accounts:read",
            Self::AccountsWrite => "accounts:write",
            Self::ClusterRead => "cluster:read",
            Self::ClusterAdmin => "cluster:admin",
        }
    }

    /// The scope of a name; `None` for a name that is no scope.
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.name() == name)
    }
}

/// A set of scopes. Its bits are those of [`Scope`] as numbers, and are stored: they never change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Scopes(u32);

impl Scopes {
    /// No scope.
    pub const NONE: Self = Self(0);
    /// Every scope.
    pub const ALL: Self = Self((1 << Scope::ALL.len()) - 1);

    /// The set of one scope.
    pub const fn one(scope: Scope) -> Self {
        Self(1 << scope as u8)
    }

    /// A set by its bits. Bits that are no scope of this version are kept: they grant nothing here.
    pub const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    /// Its bits.
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// True where it has the scope.
    pub const fn has(self, scope: Scope) -> bool {
        self.0 & (1 << scope as u8) != 0
    }

    /// What it has that `other` lacks.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// True where it has no scope.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Its scopes, in the order of their numbers.
    pub fn iter(self) -> impl Iterator<Item = Scope> {
        Scope::ALL.into_iter().filter(move |scope| self.has(*scope))
    }
}

impl BitOr for Scopes {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitAnd for Scopes {
    type Output = Self;

    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        scopes.into_iter().fold(Self::NONE, |all, scope| all | Self::one(scope))
    }
}

/// Their names, with commas.
impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, scope) in self.iter().enumerate() {
            let comma = if number == 0 { "" } else { ", " };
            write!(f, "{comma}{}", scope.name())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scope_is_found_by_its_name_and_has_a_bit_of_its_own() {
        for scope in Scope::ALL {
            assert_eq!(Scope::of(scope.name()), Some(scope));
            let set = Scopes::one(scope);
            assert!(set.has(scope) && set.iter().eq([scope]), "{scope:?}");
        }
        assert_eq!(Scope::ALL.into_iter().collect::<Scopes>(), Scopes::ALL);
        assert_eq!(Scope::of("jobs"), None);
    }

    #[test]
    fn sets_are_shown_by_names_and_subtracted() {
        let both: Scopes = [Scope::RunsWrite, Scope::JobsRead].into_iter().collect();
        assert_eq!(both.to_string(), "jobs:read, runs:write");
        assert_eq!(both.without(Scopes::one(Scope::JobsRead)), Scopes::one(Scope::RunsWrite));
        assert_eq!(Scopes::NONE.to_string(), "");
    }
}
