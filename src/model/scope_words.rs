//! Words for sets of scopes: what a key has that was made without any, and the aliases that
//! published clients send. `api` and `auth` read them; nothing stores a word.

use super::scope::{Scope, Scopes};

impl Scopes {
    /// Reading of all that a key may reach, but of keys.
    const READ: Self =
        set_of(&[Scope::JobsRead, Scope::RunsRead, Scope::ProjectsRead, Scope::ExecutorsRead]);
    /// Writing of the same, but of runs.
    const WRITE: Self = set_of(&[Scope::JobsWrite, Scope::ProjectsWrite, Scope::ExecutorsWrite]);

    /// The scopes of a key that names none, and of the word `*`: jobs, runs, projects, executors
    /// and credentials, read and written.
    pub const OF_KEYS: Self = set_of(&[
        Scope::JobsRead,
        Scope::JobsWrite,
        Scope::RunsRead,
        Scope::RunsWrite,
        Scope::ProjectsRead,
        Scope::ProjectsWrite,
        Scope::ExecutorsRead,
        Scope::ExecutorsWrite,
        Scope::CredentialsRead,
        Scope::CredentialsWrite,
    ]);

    /// The scopes on the cluster. Only an operator gives them, and a key that administers the
    /// cluster.
    pub const OF_CLUSTER: Self = set_of(&[Scope::ClusterRead, Scope::ClusterAdmin]);

    /// The scopes of a word: the name of a scope, or an alias. `None` for any other word.
    ///
    /// | alias | scopes |
    /// |---|---|
    /// | `*` | [`Scopes::OF_KEYS`] |
    /// | `read` | jobs, runs, projects and executors, read |
    /// | `write` | jobs, projects and executors, written |
    /// | `execute` | `runs:write` |
    /// | `admin` | all but those on the cluster |
    pub fn of_word(word: &str) -> Option<Self> {
        match word {
            "*" => Some(Self::OF_KEYS),
            "read" => Some(Self::READ),
            "write" => Some(Self::WRITE),
            "execute" => Some(Self::one(Scope::RunsWrite)),
            "admin" => Some(Self::ALL.without(Self::OF_CLUSTER)),
            name => Scope::of(name).map(Self::one),
        }
    }
}

/// A set of several scopes, where a constant is wanted.
pub const fn set_of(scopes: &[Scope]) -> Scopes {
    let (mut bits, mut next) = (0, 0);
    while next < scopes.len() {
        bits |= Scopes::one(scopes[next]).bits();
        next += 1;
    }
    Scopes::from_bits(bits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_published_clients_are_sets() {
        let shown = |word| Scopes::of_word(word).map(|scopes| scopes.to_string());
        let read = "jobs:read, runs:read, projects:read, executors:read";
        assert_eq!(shown("read").unwrap(), read);
        assert_eq!(shown("write").unwrap(), "jobs:write, projects:write, executors:write");
        assert_eq!(shown("execute").unwrap(), "runs:write");
        assert_eq!(shown("audit:read").unwrap(), "audit:read");
        let everything = Scopes::of_word("*").unwrap();
        assert_eq!(everything, Scopes::OF_KEYS);
        assert!(everything.iter().count() == 10 && (everything & Scopes::OF_CLUSTER).is_empty());
        let admin = Scopes::of_word("admin").unwrap();
        assert!(everything.without(admin).is_empty());
        assert_eq!(Scopes::ALL.without(admin), Scopes::OF_CLUSTER);
        for other in ["", "jobs", "Read", "jobs:read,runs:read", "**", "root"] {
            assert_eq!(Scopes::of_word(other), None, "{other}");
        }
    }
}
