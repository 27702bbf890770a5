//! Who asks, and whether they are who they say. The api's layer calls [`Auth::caller`] once a
//! request; what a caller may do is said where it is done. It never logs or returns what it was
//! shown.
//!
//! Whoever is wrong too often waits: see `limiter`, which says what that means for those who are right.
//!
//! All key pairs are held in memory and read again when the bell says that they changed: an archived
//! key stops on every node as soon as the entry is applied there, and a flood of wrong keys costs
//! this node a hash each and no look into the books.

mod limiter;
mod pairs;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, header};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use zeroize::Zeroizing;

use crate::cluster::{self, Cluster};
use crate::listen::Principal;
use crate::secret::Keys;
use crate::store::{Class, Page, credentials};

pub use limiter::Kind;
use limiter::Source;
use pairs::{Pair, pairs_of};

/// Between two lines in the log about failures.
const REPORT_INTERVAL: Duration = Duration::from_mins(1);

/// The longest header that is looked at, in bytes.
const LONGEST: usize = 1_024;

/// A caller who has proved it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    /// A client.
    Client {
        /// The number of its credential.
        id: u64,
        /// The number of the credential at the root of its tree: the one that an operator made, with
        /// whose key, or with keys that came of it, this one was made. Its own where it is a root.
        root: u64,
    },
    /// A node or the command line, by username and password.
    Operator,
}

impl Caller {
    /// The number that connections and memory are counted by for this caller. All keys of a tree are
    /// one: any key may make others, and would take a share for each.
    pub fn principal(self) -> Principal {
        match self {
            Self::Operator => Principal::MIN,
            Self::Client { root, .. } => Principal::MIN.saturating_add(1).saturating_add(root),
        }
    }

    /// The number of a client's credential; `None` for an operator.
    pub fn client(self) -> Option<u64> {
        match self {
            Self::Client { id, .. } => Some(id),
            Self::Operator => None,
        }
    }
}

/// Why nobody is let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The request shows nothing that could prove anybody.
    Nothing,
    /// What it shows is wrong.
    Wrong(Kind),
    /// Its network was wrong too often: a key that is wrong again, or a password that was not checked.
    Limited(Kind),
}

/// What a request shows of itself.
#[derive(Debug, PartialEq, Eq)]
enum Shown<'a> {
    KeyPair { key: &'a str, secret: &'a str },
    Basic(&'a str),
    Nothing,
}

/// The check. Cheap to clone.
#[derive(Clone)]
pub struct Auth {
    keys: Arc<Keys>,
    known: Arc<Known>,
    limiter: Arc<limiter::Limiter>,
}

struct Known {
    /// Counts the changes; the pairs below are good if they are of this one.
    wanted: AtomicU64,
    held: RwLock<Held>,
    /// Whose turn it is to read them.
    reading: tokio::sync::Mutex<()>,
}

/// The pairs that open something, by api key, as of a change. 0: not yet read.
#[derive(Default)]
struct Held {
    of: u64,
    pairs: Arc<HashMap<String, Pair>>,
}

impl Auth {
    /// A check that knows no pair yet; the first request reads them.
    pub fn new(keys: Arc<Keys>) -> Self {
        let (held, reading) = (RwLock::default(), tokio::sync::Mutex::default());
        let known = Known { wanted: AtomicU64::new(1), held, reading };
        Self { keys, known: Arc::new(known), limiter: Arc::default() }
    }

    /// Listens to the bell until the cluster is gone, and writes once a minute into the log who was
    /// wrong how often. Run it as a task beside the server.
    pub async fn follow(self, cluster: Cluster) {
        use tokio::sync::broadcast::error::RecvError;

        let mut changes = cluster.changes();
        // What was read before the bell was heard may be stale.
        self.forget();
        let mut report = tokio::time::interval(REPORT_INTERVAL);
        report.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let change = tokio::select! {
                change = changes.recv() => change,
                _ = report.tick() => {
                    self.report();
                    continue;
                }
            };
            match change {
                Ok(change) if !change.credentials && !change.replaced => {}
                Ok(_) | Err(RecvError::Lagged(_)) => self.forget(),
                Err(RecvError::Closed) => return,
            }
        }
    }

    fn report(&self) {
        if let Some(report) = self.limiter.report() {
            tracing::warn!(
                failures = report.failures,
                from = %report,
                "wrong passwords or keys within the last minute"
            );
        }
    }

    /// Forgets what is held: the next request reads the books. A handler that changed a credential
    /// calls it before it answers, so that on its node "archived" means archived.
    pub fn forget(&self) {
        self.known.wanted.fetch_add(1, Ordering::SeqCst);
    }

    /// Who sent these headers, from which network. Without a network (a request that came by no
    /// connection) nothing is limited.
    pub async fn caller(
        &self,
        headers: &HeaderMap,
        network: Option<IpAddr>,
        cluster: &Cluster,
    ) -> Result<Result<Caller, Refused>, cluster::Error> {
        match shown(headers) {
            Shown::KeyPair { key, secret } => {
                let pairs = self.pairs(cluster).await?;
                let caller = self.check_pair(&pairs, key, secret);
                Ok(caller.ok_or_else(|| self.wrong_key(network)))
            }
            Shown::Basic(encoded) => {
                let source = network.map(|network| Source::of(network, is_forwarded(headers)));
                Ok(self.check_password(encoded, source))
            }
            Shown::Nothing => Ok(Err(Refused::Nothing)),
        }
    }

    fn wrong_key(&self, network: Option<IpAddr>) -> Refused {
        match network {
            Some(network) if self.limiter.wrong_key(network, Instant::now()) => {
                Refused::Limited(Kind::Key)
            }
            _ => Refused::Wrong(Kind::Key),
        }
    }

    fn check_password(&self, encoded: &str, source: Option<Source>) -> Result<Caller, Refused> {
        let now = Instant::now();
        if source.is_some_and(|source| !self.limiter.admit_password(source, now)) {
            return Err(Refused::Limited(Kind::Password));
        }
        let right = check_basic(&self.keys, encoded);
        if let Some(source) = source {
            if right {
                self.limiter.signed_in(source, now);
            } else {
                self.limiter.wrong_password(source, now);
            }
        }
        if right { Ok(Caller::Operator) } else { Err(Refused::Wrong(Kind::Password)) }
    }

    fn check_pair(&self, pairs: &HashMap<String, Pair>, key: &str, secret: &str) -> Option<Caller> {
        // An unknown key is checked too, against nothing, so that it takes as long as a wrong secret.
        let pair = pairs.get(key);
        let verifier = pair.map_or(&[0; 32][..], |p| &p.verifier);
        let right = self.keys.verify(secret, verifier);
        pair.filter(|_| right).map(|p| Caller::Client { id: p.id, root: p.root })
    }

    async fn pairs(&self, cluster: &Cluster) -> Result<Arc<HashMap<String, Pair>>, cluster::Error> {
        let wanted = self.known.wanted.load(Ordering::SeqCst);
        if let Some(pairs) = self.held(wanted) {
            return Ok(pairs);
        }
        // One request reads, the others wait for what it finds.
        let _turn = self.known.reading.lock().await;
        let wanted = self.known.wanted.load(Ordering::SeqCst);
        if let Some(pairs) = self.held(wanted) {
            return Ok(pairs);
        }
        let all = Page { limit: u64::MAX, ..Page::default() };
        let read = move |conn: &rusqlite::Connection| credentials::list(conn, &all, None);
        let (_, rows) = cluster.read_as(Class::Credentials, read).await?;
        let pairs = Arc::new(pairs_of(rows));
        let mut held = self.known.held.write().unwrap_or_else(PoisonError::into_inner);
        // The count was taken before the read: a change in between is read by the next request.
        if held.of < wanted {
            *held = Held { of: wanted, pairs: pairs.clone() };
        }
        Ok(pairs)
    }

    /// What is held, if it is as new as that.
    fn held(&self, wanted: u64) -> Option<Arc<HashMap<String, Pair>>> {
        let held = self.known.held.read().unwrap_or_else(PoisonError::into_inner);
        (held.of >= wanted).then(|| held.pairs.clone())
    }
}

/// Whether a proxy says that it hands this request on for somebody else.
fn is_forwarded(headers: &HeaderMap) -> bool {
    headers.contains_key("x-forwarded-for") || headers.contains_key(header::FORWARDED)
}

fn shown(headers: &HeaderMap) -> Shown<'_> {
    let text = |name: &str| {
        let value = headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default();
        if value.len() <= LONGEST { value } else { "" }
    };
    let (key, secret) = (text("x-api-key"), text("x-secret-key"));
    if !key.is_empty() && !secret.is_empty() {
        return Shown::KeyPair { key, secret };
    }
    if !matches!(text("x-peer"), "cmd" | "peer") {
        return Shown::Nothing;
    }
    match text(header::AUTHORIZATION.as_str()).split_once(' ') {
        Some((scheme, encoded)) if scheme.eq_ignore_ascii_case("basic") => {
            Shown::Basic(encoded.trim())
        }
        _ => Shown::Nothing,
    }
}

fn check_basic(keys: &Keys, encoded: &str) -> bool {
    let Ok(decoded) = BASE64.decode(encoded).map(Zeroizing::new) else { return false };
    match std::str::from_utf8(&decoded).ok().and_then(|text| text.split_once(':')) {
        Some((username, password)) => keys.is_operator(username, password),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::credential::Credential;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn what_a_request_shows() {
        let pair = Shown::KeyPair { key: "k", secret: "s" };
        let long = "k".repeat(LONGEST + 1);
        let table: &[(&[(&'static str, &str)], Shown<'_>)] = &[
            (&[], Shown::Nothing),
            (&[("x-api-key", "k"), ("x-secret-key", "s")], pair),
            (&[("x-api-key", "k")], Shown::Nothing),
            (&[("x-api-key", ""), ("x-secret-key", "s")], Shown::Nothing),
            (&[("x-api-key", &long), ("x-secret-key", "s")], Shown::Nothing),
            (&[("authorization", "Basic YTpi")], Shown::Nothing),
            (&[("authorization", "Basic YTpi"), ("x-peer", "other")], Shown::Nothing),
            (&[("authorization", "Basic YTpi"), ("x-peer", "cmd")], Shown::Basic("YTpi")),
            (&[("authorization", "basic YTpi"), ("x-peer", "peer")], Shown::Basic("YTpi")),
            (&[("authorization", "Bearer YTpi"), ("x-peer", "peer")], Shown::Nothing),
            (
                &[("x-api-key", "k"), ("authorization", "Basic YTpi"), ("x-peer", "cmd")],
                Shown::Basic("YTpi"),
            ),
        ];
        for (given, wanted) in table {
            assert_eq!(&shown(&headers(given)), wanted, "{given:?}");
        }
    }

    #[test]
    fn a_key_pair_opens_only_when_both_parts_fit_and_it_is_not_archived() {
        let keys = Arc::new(Keys::new(&"ab".repeat(32), "node", "pass:word").unwrap());
        let credential = |id, archived| Credential {
            id,
            api_key: format!("key{id}"),
            verifier: keys.verifier("secret"),
            archived,
            created: 0,
            modified: None,
            created_by: None,
            archived_by: None,
            parent: None,
        };
        let pairs = pairs_of(vec![credential(1, false), credential(2, true)]);
        let auth = Auth::new(keys.clone());
        let client = Caller::Client { id: 1, root: 1 };
        assert_eq!(auth.check_pair(&pairs, "key1", "secret"), Some(client));
        assert_eq!(auth.check_pair(&pairs, "key1", "secre"), None);
        assert_eq!(auth.check_pair(&pairs, "key2", "secret"), None);
        assert_eq!(auth.check_pair(&pairs, "key3", "secret"), None);
        assert_eq!(auth.check_pair(&pairs, "key3", ""), None);

        let basic = |text: &str| check_basic(&keys, &BASE64.encode(text));
        assert!(basic("node:pass:word"));
        for wrong in ["node:pass", "node", "", ":", "Node:pass:word", "node:pass:word "] {
            assert!(!basic(wrong), "{wrong}");
        }
        assert!(!check_basic(&keys, "not base64"));
    }
}
