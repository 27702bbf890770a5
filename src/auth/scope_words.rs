//! The words by which a token names scopes: the names of `model::scope`, and the words of published
//! clients. What is no such word grants nothing.

use crate::model::scope::{Scope, Scopes};

/// The scopes of the cluster itself, which no word stands for.
pub(super) const OF_CLUSTER: [Scope; 2] = [Scope::ClusterRead, Scope::ClusterAdmin];

/// The scopes that a word stands for.
pub(super) fn scopes_of(word: &str) -> Scopes {
    match word {
        "read" => of(&[
            Scope::JobsRead,
            Scope::RunsRead,
            Scope::ProjectsRead,
            Scope::ExecutorsRead,
            Scope::CredentialsRead,
        ]),
        "write" => of(&[Scope::JobsWrite, Scope::ProjectsWrite, Scope::ExecutorsWrite]),
        "execute" => Scopes::one(Scope::RunsWrite),
        "admin" => Scopes::ALL.without(of(&OF_CLUSTER)),
        name => Scope::of(name).map_or(Scopes::NONE, Scopes::one),
    }
}

fn of(scopes: &[Scope]) -> Scopes {
    scopes.iter().copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_stands_for_scopes_and_none_for_the_cluster() {
        assert_eq!(scopes_of("execute").to_string(), "runs:write");
        assert_eq!(scopes_of("jobs:read").to_string(), "jobs:read");
        assert_eq!(scopes_of("cluster:admin").to_string(), "cluster:admin");
        assert_eq!(scopes_of("write").to_string(), "jobs:write, projects:write, executors:write");
        assert_eq!(scopes_of("read") & scopes_of("write"), Scopes::NONE);
        for word in ["read", "write", "execute", "admin"] {
            assert_eq!(scopes_of(word) & of(&OF_CLUSTER), Scopes::NONE, "{word}");
            assert_eq!(scopes_of(word).without(scopes_of("admin")), Scopes::NONE, "{word}");
        }
        for other in ["", "openid", "Read", "jobs", "jobs:*", "*", " read"] {
            assert_eq!(scopes_of(other), Scopes::NONE, "{other}");
        }
    }
}
