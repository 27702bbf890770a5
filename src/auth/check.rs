//! The check of a request's credentials. The API's middleware calls [`Auth::caller`] once a
//! request. The check never logs or returns the credentials it was shown.
//!
//! A caller that is wrong too often is limited: see `limiter`, which says what that means for
//! callers that are right.
//!
//! All key pairs are held in memory and read again when a change of them is published. So an
//! archived key stops on every node as soon as the entry is applied there, and a flood of wrong
//! keys costs this node a hash each and no read of the store.

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
use crate::secret::Keys;
use crate::store::{Page, ReadClass, accounts, credentials, ended_sessions, meta, projects};

use super::account_rates::AccountRates;
use super::accounts::KnownAccounts;
use super::caller::Caller;
use super::check_error::AuthError;
use super::limiter::{CredentialKind, Limiter, Source};
use super::oidc::{Oidc, TokenError};
use super::origin::Origin;
use super::pairs::{Pair, Pairs, pairs_of};
use super::presented::{Presented, presented};
use super::rates::Buckets;
use super::uses::{self, Uses};

/// The interval of log lines about failures.
const REPORT_INTERVAL: Duration = Duration::from_mins(1);

/// The check of credentials. Cheap to clone.
#[derive(Clone)]
pub struct Auth {
    pub(super) keys: Arc<Keys>,
    cache: Arc<PairCache>,
    uses: Arc<Uses>,
    limiter: Arc<Limiter>,
    account_rates: Arc<AccountRates>,
    /// The requests in a second of a key that has no rate of its own.
    usual_rate: Option<u32>,
    /// The instant from which rates count the time.
    began: Instant,
    /// The verifier of access tokens; `None` where no issuer is configured.
    oidc: Option<Arc<Oidc>>,
}

struct PairCache {
    /// The version of the pairs: it grows with each change. Cached pairs are valid if they are of
    /// this version.
    version: AtomicU64,
    held: RwLock<CachedPairs>,
    /// A lock for the request that reads the pairs.
    reading: tokio::sync::Mutex<()>,
}

/// The valid pairs by API key, as of a version; 0 is not yet read.
#[derive(Default)]
struct CachedPairs {
    version: u64,
    pairs: Arc<Pairs>,
}

impl Auth {
    /// A check without pairs; the first request reads them.
    pub fn new(keys: Arc<Keys>) -> Self {
        let (held, reading) = (RwLock::default(), tokio::sync::Mutex::default());
        let cache = PairCache { version: AtomicU64::new(1), held, reading };
        let (uses, limiter, account_rates) = (Arc::default(), Arc::default(), Arc::default());
        let (usual_rate, began) = (None, Instant::now());
        let cache = Arc::new(cache);
        Self { keys, cache, uses, limiter, account_rates, usual_rate, began, oidc: None }
    }

    /// Lets keys that have no rate of their own make so many requests in a second.
    #[must_use]
    pub fn with_rate(self, usual_rate: Option<u32>) -> Self {
        Self { usual_rate, ..self }
    }

    /// Accepts the access tokens that this verifier accepts.
    #[must_use]
    pub fn with_oidc(self, oidc: Arc<Oidc>) -> Self {
        Self { oidc: Some(oidc), ..self }
    }

    /// The verifier of access tokens; `None` where no issuer is configured.
    pub fn oidc(&self) -> Option<&Oidc> {
        self.oidc.as_deref()
    }

    /// Follows the change feed until the cluster is gone, logs once a minute which networks were
    /// wrong how often, and tells the cluster now and then which keys were used. Run it as a task
    /// beside the server.
    pub async fn follow(self, cluster: Cluster) {
        tokio::select! {
            () = self.follow_changes(&cluster) => {}
            () = self.tell_uses(&cluster) => {}
        }
    }

    /// Tells the cluster of new uses every ten minutes, for ever. Uses that it cannot be told of
    /// now, without a leader or below the level of the command, wait for the next time.
    async fn tell_uses(&self, cluster: &Cluster) {
        loop {
            tokio::time::sleep(uses::INTERVAL).await;
            let Ok(pairs) = self.pairs(cluster).await else { continue };
            let Some(command) = self.uses.command(&pairs) else { continue };
            if let Err(error) = cluster.propose(command.clone()).await {
                tracing::debug!(%error, "the last uses of keys cannot be told to the cluster yet");
                self.uses.put_back(command);
            }
        }
    }

    async fn follow_changes(&self, cluster: &Cluster) {
        use tokio::sync::broadcast::error::RecvError;

        let mut changes = cluster.changes();
        // Pairs that were read before the feed was open may be stale.
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
                "wrong passwords, keys or access tokens within the last minute"
            );
        }
    }

    /// Drops the cached pairs, so that the next request reads the store. A use case that changed a
    /// credential calls it before it answers, so that on its node an archived key is refused at
    /// once.
    pub fn forget(&self) {
        self.cache.version.fetch_add(1, Ordering::SeqCst);
    }

    /// The caller of a request with these headers and this origin. Nothing is limited without a
    /// network. A key that has expired, or is used from where it may not be, is as wrong as one
    /// that does not exist.
    pub async fn caller(
        &self,
        headers: &HeaderMap,
        origin: &Origin,
        cluster: &Cluster,
    ) -> Result<Result<Caller, AuthError>, cluster::Error> {
        let network = origin.network;
        let presented = match presented(headers) {
            Ok(presented) => presented,
            Err(error) => return Ok(Err(error)),
        };
        match presented {
            Presented::KeyPair { key, secret } => {
                let pairs = self.pairs(cluster).await?;
                let caller = self.check_pair(&pairs.by_key, (key, secret), origin);
                Ok(match caller {
                    Some(caller) => caller,
                    None => Err(self.wrong_key(network)),
                })
            }
            Presented::Basic(encoded) => {
                let source = network.map(|network| Source::of(network, is_forwarded(headers)));
                Ok(self.check_password(encoded, source))
            }
            Presented::Token(token) => Ok(self.check_token(token, network).await),
            Presented::Nothing => Ok(Err(AuthError::Missing)),
        }
    }

    async fn check_token(&self, token: &str, network: Option<IpAddr>) -> Result<Caller, AuthError> {
        const NO_ISSUER: TokenError =
            TokenError::Issuer("this node accepts no access tokens: OidcIssuers is not set");
        let checked = match &self.oidc {
            Some(oidc) => oidc.caller(token).await,
            None => Err(NO_ISSUER),
        };
        if let (Err(error), Some(network)) = (&checked, network)
            && *error != TokenError::Unavailable
        {
            self.limiter.wrong_token(network, Instant::now());
        }
        checked.map(Caller::Token).map_err(AuthError::Token)
    }

    fn wrong_key(&self, network: Option<IpAddr>) -> AuthError {
        let kind = CredentialKind::Key;
        let wait = network.and_then(|network| self.limiter.wrong_key(network, Instant::now()));
        wait.map_or(AuthError::Wrong(kind), |wait| AuthError::Limited { kind, wait })
    }

    fn check_password(&self, encoded: &str, source: Option<Source>) -> Result<Caller, AuthError> {
        let (now, kind) = (Instant::now(), CredentialKind::Password);
        if let Some(source) = source {
            let admitted = self.limiter.admit_password(source, now);
            admitted.map_err(|wait| AuthError::Limited { kind, wait })?;
        }
        let right = check_basic(&self.keys, encoded);
        if let Some(source) = source {
            if right {
                self.limiter.signed_in(source, now);
            } else {
                self.limiter.wrong_password(source, now);
            }
        }
        if right { Ok(Caller::Operator) } else { Err(AuthError::Wrong(kind)) }
    }

    fn check_pair(
        &self,
        pairs: &HashMap<String, Pair>,
        (key, secret): (&str, &str),
        origin: &Origin,
    ) -> Option<Result<Caller, AuthError>> {
        // An unknown key is checked against nothing, so that it takes as long as a wrong secret.
        let pair = pairs.get(key);
        let verifier = pair.map_or(&[0; 32][..], |p| &p.verifier);
        let old = pair.and_then(|p| p.old_secret.as_ref()).filter(|old| origin.now < old.until);
        let right = self.keys.verify(secret, verifier)
            || old.is_some_and(|old| self.keys.verify(secret, &old.verifier));
        self.open(pair.filter(|_| right)?, origin)
    }

    /// The client of a pair that a request may use, which is noted as its use; an error where the
    /// key made as many as it may.
    pub(super) fn open(&self, pair: &Pair, origin: &Origin) -> Option<Result<Caller, AuthError>> {
        let caller = pair.caller(origin)?;
        if let Err(wait) = pair.limits.take(self.usual_rate, self.began.elapsed()) {
            return Some(Err(AuthError::Rate { wait }));
        }
        if let Some(used) = pair.new_use(origin) {
            self.uses.note(used);
        }
        Some(Ok(caller))
    }

    pub(super) async fn pairs(&self, cluster: &Cluster) -> Result<Arc<Pairs>, cluster::Error> {
        let version = self.cache.version.load(Ordering::SeqCst);
        if let Some(pairs) = self.held(version) {
            return Ok(pairs);
        }
        // One request reads, and the others wait for its result.
        let _turn = self.cache.reading.lock().await;
        let version = self.cache.version.load(Ordering::SeqCst);
        if let Some(pairs) = self.held(version) {
            return Ok(pairs);
        }
        let all = Page { limit: u64::MAX, ..Page::default() };
        let read = move |conn: &rusqlite::Connection| {
            let (_, rows) = credentials::list(conn, &all, None)?;
            let ended = credentials::ended_sessions(conn)?;
            let single = ended_sessions::all(conn)?;
            let operators = meta::operator_sessions_from(conn)?;
            let known = KnownAccounts::of(
                accounts::all(conn)?,
                meta::had_accounts(conn)?,
                projects::any_lists_targets(conn)?,
            );
            Ok((rows, ended, operators, single, known))
        };
        let (rows, from, operator_sessions_from, ended, accounts) =
            cluster.read_as(ReadClass::Credentials, read).await?;
        let old = self.held(0);
        let none = Buckets::new();
        let buckets = old.as_ref().map_or(&none, |pairs| &pairs.buckets);
        let (by_key, buckets) = pairs_of(rows, &from, buckets);
        let accounts = Arc::new(accounts);
        let mut held = self.cache.held.write().unwrap_or_else(PoisonError::into_inner);
        let pairs = Arc::new(Pairs { by_key, operator_sessions_from, accounts, buckets, ended });
        // The version was taken before the read: the next request reads a change in between.
        if held.version < version {
            *held = CachedPairs { version, pairs: pairs.clone() };
        }
        Ok(pairs)
    }

    /// Counts a request of a caller for its account. Operators belong to none.
    ///
    /// # Errors
    ///
    /// The time to wait, where the account made as many as it may.
    pub fn count_request(&self, accounts: &KnownAccounts, caller: &Caller) -> Result<(), Duration> {
        let Some(id) = caller.account() else { return Ok(()) };
        let limit = accounts.get(id).and_then(|account| account.requests_per_second);
        limit.map_or(Ok(()), |limit| self.account_rates.take(id, limit))
    }

    /// The accounts of the cluster, as this node has them.
    pub async fn accounts(&self, cluster: &Cluster) -> Result<Arc<KnownAccounts>, cluster::Error> {
        Ok(Arc::clone(&self.pairs(cluster).await?.accounts))
    }

    /// The cached pairs, if they are of that version or a newer one.
    fn held(&self, version: u64) -> Option<Arc<Pairs>> {
        let held = self.cache.held.read().unwrap_or_else(PoisonError::into_inner);
        (held.version >= version).then(|| held.pairs.clone())
    }
}

/// Says whether a proxy forwards this request for another client, by its own words.
fn is_forwarded(headers: &HeaderMap) -> bool {
    headers.contains_key("x-forwarded-for") || headers.contains_key(header::FORWARDED)
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
    use crate::command::Command;
    use crate::model::credential::{Credential, OldSecret};
    use crate::model::scope::Scopes;

    #[test]
    fn a_key_pair_opens_only_when_both_parts_fit_and_it_is_not_archived() {
        let keys = Arc::new(Keys::new(&"ab".repeat(32), "node", "pass:word").unwrap());
        let credential = |id, archived| Credential {
            id,
            api_key: format!("key{id}"),
            verifier: keys.verifier("secret"),
            archived,
            ..Credential::default()
        };
        let old = OldSecret { verifier: keys.verifier("old"), until: 1_000 };
        let rotated = Credential { old_secret: Some(old), ..credential(4, false) };
        let rows = vec![credential(1, false), credential(2, true), rotated];
        let (pairs, _) = pairs_of(rows, &HashMap::new(), &Buckets::new());
        let auth = Auth::new(keys.clone());
        let at = |now| Origin::new(now, None);
        let opens = |key, secret, now| auth.check_pair(&pairs, (key, secret), &at(now));
        let client = |id| Some(Ok(Caller::client_of_all(id, id, Scopes::OF_KEYS)));
        assert_eq!(opens("key1", "secret", 0), client(1));
        assert_eq!(opens("key1", "secre", 0), None);
        assert_eq!(opens("key2", "secret", 0), None);
        assert_eq!(opens("key3", "secret", 0), None);
        assert_eq!(opens("key3", "", 0), None);
        // Both secrets of a rotated one, until the overlap is over.
        assert_eq!(
            (opens("key4", "old", 999), opens("key4", "secret", 999)),
            (client(4), client(4))
        );
        assert_eq!(
            (opens("key4", "old", 1_000), opens("key4", "secret", 1_000)),
            (None, client(4))
        );
        // Only what was right counts as a use.
        let told = auth.uses.command(&Pairs { by_key: pairs, ..Pairs::default() });
        let Some(Command::TouchCredentials(told)) = told else { panic!("{told:?}") };
        assert_eq!(told.iter().map(|used| used.id).collect::<Vec<_>>(), [1, 4]);

        let basic = |text: &str| check_basic(&keys, &BASE64.encode(text));
        assert!(basic("node:pass:word"));
        for wrong in ["node:pass", "node", "", ":", "Node:pass:word", "node:pass:word "] {
            assert!(!basic(wrong), "{wrong}");
        }
        assert!(!check_basic(&keys, "not base64"));
    }
}
