//! The valid key pairs, and the client that each belongs to. `check` makes the table of all
//! credentials and keeps it. Nothing here checks a secret or reads the store.

use std::collections::HashMap;

use crate::model::Millis;
use crate::model::credential::Credential;

/// The valid pairs of a cluster, and which sessions are over.
#[derive(Default)]
pub(super) struct Pairs {
    /// The valid pairs by their public key.
    pub(super) by_key: HashMap<String, Pair>,
    /// Sessions that operators began up to this instant are over.
    pub(super) operator_sessions_from: Option<Millis>,
}

impl Pairs {
    /// The instant up to which begun sessions of a key, or of operators, are over.
    pub(super) fn sessions_from(&self, key: Option<&str>) -> Option<Millis> {
        match key {
            Some(key) => self.by_key.get(key)?.sessions_from,
            None => self.operator_sessions_from,
        }
    }
}

/// The credential behind a key.
pub(super) struct Pair {
    /// The id of the credential.
    pub(super) id: u64,
    /// The id of the credential at the root of its tree: see [`super::Caller::Client`].
    pub(super) root: u64,
    /// The verifier of its secret.
    pub(super) verifier: Vec<u8>,
    /// Sessions that were begun with it up to this instant are over.
    pub(super) sessions_from: Option<Millis>,
}

/// The valid pairs of all credentials, with the ends of their sessions. An archived credential may
/// lie between a key and its root.
pub(super) fn pairs_of(
    rows: Vec<Credential>,
    ended: &HashMap<u64, Millis>,
) -> HashMap<String, Pair> {
    let roots = roots(&rows);
    let open = rows.into_iter().filter(|row| !row.archived);
    open.map(|Credential { id, api_key, verifier, .. }| {
        let root = roots.get(&id).copied().unwrap_or(id);
        (api_key, Pair { id, root, verifier, sessions_from: ended.get(&id).copied() })
    })
    .collect()
}

/// The root of each credential's tree. A credential whose parent does not exist is a root; the
/// credentials of a circle, which no command makes, have one root. Each is visited once, however
/// long the chains are.
fn roots(rows: &[Credential]) -> HashMap<u64, u64> {
    let parents: HashMap<u64, Option<u64>> = rows.iter().map(|row| (row.id, row.parent)).collect();
    let mut roots: HashMap<u64, u64> = HashMap::with_capacity(rows.len());
    for row in rows {
        let (mut path, mut at) = (Vec::new(), row.id);
        let root = loop {
            if let Some(root) = roots.get(&at) {
                break *root;
            }
            // The credential is its own root until more is known: a walk that meets it again has
            // gone in a circle.
            roots.insert(at, at);
            path.push(at);
            match parents.get(&at).copied().flatten().filter(|id| parents.contains_key(id)) {
                Some(parent) => at = parent,
                None => break at,
            }
        };
        roots.extend(path.into_iter().map(|id| (id, root)));
    }
    roots
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::caller::Caller;

    fn row(id: u64, parent: Option<u64>, archived: bool) -> Credential {
        Credential {
            id,
            api_key: id.to_string(),
            verifier: Vec::new(),
            archived,
            created: 0,
            modified: None,
            created_by: None,
            archived_by: None,
            parent,
        }
    }

    #[test]
    fn all_keys_of_a_tree_are_one_principal() {
        // 3 is below an archived credential, the parent of 4 does not exist, 5 and 6 are a circle
        // that 7 hangs on, and 9 comes before its parent.
        let rows = vec![
            row(1, None, false),
            row(2, Some(1), true),
            row(3, Some(2), false),
            row(4, Some(99), false),
            row(5, Some(6), false),
            row(6, Some(5), false),
            row(7, Some(6), false),
            row(9, Some(10), false),
            row(10, Some(4), false),
        ];
        let pairs = pairs_of(rows, &HashMap::from([(3, 77)]));
        let mut found: Vec<_> = pairs.values().map(|pair| (pair.id, pair.root)).collect();
        found.sort_unstable();
        let wanted = [(1, 1), (3, 1), (4, 4), (5, 5), (6, 5), (7, 5), (9, 4), (10, 4)];
        assert_eq!(found, wanted);
        assert_eq!((pairs["3"].sessions_from, pairs["4"].sessions_from), (Some(77), None));

        let client = |id: u64| Caller::Client { id, root: pairs[&id.to_string()].root };
        assert_eq!(client(3).principal(), client(1).principal());
        assert_ne!(client(3).principal(), client(4).principal());
        assert_ne!(client(1).principal(), Caller::Operator.principal());
        assert_eq!(client(3).client(), Some(3), "what it may reach is its own");
    }

    #[test]
    fn a_long_chain_of_keys_is_followed_once() {
        const LENGTH: u64 = 300_000;
        // A walk to the root from each of them would take 45 billion steps.
        let rows: Vec<_> = (1..=LENGTH).rev().map(|id| row(id, Some(id - 1), false)).collect();
        let roots = roots(&rows);
        assert!(roots.len() as u64 == LENGTH && roots.values().all(|root| *root == 1));
    }
}
