//! The valid key pairs, and the client that each belongs to. `check` makes the table of all
//! credentials and keeps it. Nothing here checks a secret or reads the store.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::accounts::KnownAccounts;
use super::caller::Caller;
use super::origin::Origin;
use super::rates::{Buckets, Limits, Rates};
use crate::model::Millis;
use crate::model::credential::{Credential, HOUR_MS, KeyUse, OldSecret};
use crate::model::key_terms::KeyTerms;
use crate::model::reach::Reach;

/// The valid pairs of a cluster, which sessions are over, and the accounts.
#[derive(Default)]
pub(super) struct Pairs {
    /// The valid pairs by their public key.
    pub(super) by_key: HashMap<String, Pair>,
    /// Sessions that operators began up to this instant are over.
    pub(super) operator_sessions_from: Option<Millis>,
    /// The accounts of the same moment.
    pub(super) accounts: Arc<KnownAccounts>,
    /// The requests of keys, as they were counted so far.
    pub(super) buckets: Buckets,
    /// The sessions that were ended one by one, by their random numbers.
    pub(super) ended: HashSet<u64>,
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
    /// The secret before that one, which may still open.
    pub(super) old_secret: Option<OldSecret>,
    /// What it may be used for, until when, and from where.
    pub(super) terms: KeyTerms,
    /// The records that exist for its client.
    pub(super) reach: Arc<Reach>,
    /// The hour of its last use that the cluster knows.
    pub(super) last_hour: Option<i64>,
    /// Sessions that were begun with it up to this instant are over.
    pub(super) sessions_from: Option<Millis>,
    /// How many requests it may make.
    pub(super) limits: Limits,
}

#[cfg(test)]
impl Default for Pair {
    fn default() -> Self {
        let row = Credential::default();
        Self {
            id: 0,
            root: 0,
            verifier: Vec::new(),
            old_secret: None,
            reach: Arc::new(row.reach()),
            terms: row.terms,
            last_hour: None,
            sessions_from: None,
            limits: Limits::default(),
        }
    }
}

impl Pair {
    /// Its client, where the key opens something at this instant and from this address.
    pub(super) fn caller(&self, origin: &Origin) -> Option<Caller> {
        let holds = self.terms.hold_at(origin.now) && self.terms.allow_from(origin.address);
        let (id, root, scopes) = (self.id, self.root, self.terms.scopes());
        holds.then(|| Caller::Client { id, root, scopes, reach: Arc::clone(&self.reach) })
    }

    /// The use of it by a request, if the cluster knows of none in that hour.
    pub(super) fn new_use(&self, origin: &Origin) -> Option<KeyUse> {
        let hour = origin.now.div_euclid(HOUR_MS);
        let is_new = self.last_hour.is_none_or(|known| known < hour);
        is_new.then_some(KeyUse { id: self.id, hour, from: origin.address })
    }
}

/// The valid pairs of all credentials, with the ends of their sessions. An archived credential may
/// lie between a key and its root. `buckets` are those so far; the result has those from now on.
pub(super) fn pairs_of(
    rows: Vec<Credential>,
    ended: &HashMap<u64, Millis>,
    buckets: &Buckets,
) -> (HashMap<String, Pair>, Buckets) {
    let roots = roots(&rows);
    let rates = Rates::of(&rows, &roots, buckets);
    let open = rows.into_iter().filter(|row| !row.archived);
    let by_key = open.map(|row| {
        let reach = Arc::new(row.reach());
        let Credential { id, api_key, verifier, old_secret, terms, last_use, .. } = row;
        let root = roots.get(&id).copied().unwrap_or(id);
        let pair = Pair {
            id,
            root,
            limits: rates.limits(id, root),
            verifier,
            old_secret,
            terms,
            reach,
            last_hour: last_use.map(|used| used.hour),
            sessions_from: ended.get(&id).copied(),
        };
        (api_key, pair)
    });
    (by_key.collect(), rates.into_buckets())
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
    use crate::model::credential::LastUse;
    use crate::model::scope::{Scope, Scopes};

    fn row(id: u64, parent: Option<u64>, archived: bool) -> Credential {
        Credential { id, api_key: id.to_string(), archived, parent, ..Credential::default() }
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
        let (pairs, _) = pairs_of(rows, &HashMap::from([(3, 77)]), &Buckets::new());
        let mut found: Vec<_> = pairs.values().map(|pair| (pair.id, pair.root)).collect();
        found.sort_unstable();
        let wanted = [(1, 1), (3, 1), (4, 4), (5, 5), (6, 5), (7, 5), (9, 4), (10, 4)];
        assert_eq!(found, wanted);
        assert_eq!((pairs["3"].sessions_from, pairs["4"].sessions_from), (Some(77), None));

        let origin = Origin::new(0, None);
        let client = |id: u64| pairs[&id.to_string()].caller(&origin).unwrap();
        assert_eq!(client(3).principal(), client(1).principal());
        assert_ne!(client(3).principal(), client(4).principal());
        assert_ne!(client(1).principal(), Caller::Operator.principal());
        assert_eq!(client(3).client(), Some(3), "what it may reach is its own");
    }

    #[test]
    fn a_key_opens_until_its_end_and_from_its_networks_with_its_scopes() {
        let terms = KeyTerms {
            scopes: Some(Scopes::one(Scope::JobsRead)),
            expires: Some(1_000),
            allowed: vec!["10.0.0.0/8".parse().unwrap()],
            ..KeyTerms::default()
        };
        let row = Credential { terms, ..row(7, None, false) };
        let (pairs, _) = pairs_of(vec![row], &HashMap::new(), &Buckets::new());
        let caller = |now, address: &str| {
            let address = Some(address.parse().unwrap());
            pairs["7"].caller(&Origin { now, address, network: None })
        };
        let client = Caller::client_of_all(7, 7, Scopes::one(Scope::JobsRead));
        assert_eq!(caller(999, "10.1.1.1"), Some(client));
        assert_eq!(caller(1_000, "10.1.1.1"), None, "it has expired");
        assert_eq!(caller(999, "11.1.1.1"), None, "from elsewhere");
    }

    #[test]
    fn a_use_is_new_where_the_cluster_knows_of_none_in_that_hour() {
        let last_use = Some(LastUse { hour: 5, from: None });
        let (pairs, _) = pairs_of(
            vec![row(1, None, false), Credential { last_use, ..row(2, None, false) }],
            &HashMap::new(),
            &Buckets::new(),
        );
        let new = |key: &str, hour: i64| {
            let used = pairs[key].new_use(&Origin::new(hour * HOUR_MS + 7, None));
            used.map(|used| (used.id, used.hour))
        };
        assert_eq!(new("1", 5), Some((1, 5)));
        assert_eq!((new("2", 5), new("2", 4), new("2", 6)), (None, None, Some((2, 6))));
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
