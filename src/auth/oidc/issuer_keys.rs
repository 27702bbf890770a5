//! The keys of one issuer, as this node knows them, and when it asks for them again. `oidc` looks a
//! key up for each token that is not cached.
//!
//! - Keys are refreshed in the background, every [`REFRESH_INTERVAL`] unless the issuer says how
//!   long they hold.
//! - A token with a key that is not known makes this node ask at once, but at most once in
//!   [`ASK_INTERVAL`], however many such tokens come. Requests that wait for the same answer share
//!   it (single flight).
//! - An answer that is no key set changes nothing. Known keys are used for [`HOLD`] after they were
//!   last told; then nothing is accepted until the issuer answers again.
//! - Ids that the issuer did not know are remembered until the next refresh, so that a token with
//!   one costs no request.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::algorithm::{Algorithm, PublicKey};
use super::error::TokenError;
use super::key_set::KeySet;
use super::provider::{Fetched, Provider};
use crate::clock::Clock;

/// The time between refreshes where the issuer says none.
const REFRESH_INTERVAL: Duration = Duration::from_mins(10);
/// The bounds on the time that an issuer says.
const SHORTEST_INTERVAL: Duration = Duration::from_mins(1);
const LONGEST_INTERVAL: Duration = Duration::from_hours(24);
/// The time between two requests for keys, the failed ones included.
const ASK_INTERVAL: Duration = Duration::from_secs(30);
/// The time for which keys are used that could not be refreshed.
const HOLD: Duration = Duration::from_hours(24);
/// The most ids that are remembered as unknown.
const MOST_UNKNOWN: usize = 1_024;

const UNKNOWN_KEY: TokenError = TokenError::Invalid("its issuer has no such key (kid)");

/// The keys of an issuer. Instants are of the boot clock, in milliseconds.
pub(super) struct IssuerKeys {
    issuer: String,
    provider: Provider,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
    /// The turn to ask the issuer. Whoever has it asks, and the others wait for it.
    turn: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Default)]
struct State {
    keys: Arc<KeySet>,
    /// A number that changes when a key is gone or changed: verdicts by older ones are void.
    version: u64,
    /// The instant at which the keys were told.
    told: Option<u64>,
    /// The instant of the last request for keys.
    asked: Option<u64>,
    /// The last request failed.
    failed: bool,
    /// The instant of the next refresh.
    refresh: u64,
    /// Ids that the issuer did not know when it was asked, the oldest first.
    unknown: VecDeque<String>,
}

/// The result of a look at the keys that are known.
enum Found {
    Key(Arc<PublicKey>),
    /// There are keys of that id, and none is for this algorithm.
    OtherAlgorithm,
    /// No key has that id.
    None,
    /// No key has that id, and the issuer was asked about it.
    KnownAsUnknown,
    /// There are no keys, or too old ones.
    NoKeys,
}

impl IssuerKeys {
    /// An issuer whose keys are not known yet.
    pub(super) fn new(issuer: String, provider: Provider, clock: Arc<dyn Clock>) -> Arc<Self> {
        let (state, turn) = (Mutex::default(), Arc::default());
        Arc::new(Self { issuer, provider, clock, state, turn })
    }

    /// The version of the keys.
    pub(super) fn version(&self) -> u64 {
        self.state().version
    }

    /// The key that a token names, and the version of the keys that it is of. Asks the issuer where
    /// it is not known and the issuer may be asked.
    ///
    /// # Errors
    ///
    /// `Invalid` where the issuer has no such key, or one for another algorithm; `Unavailable`
    /// where it does not say.
    pub(super) async fn key(
        self: &Arc<Self>,
        id: Option<&str>,
        algorithm: &str,
    ) -> Result<(Arc<PublicKey>, u64), TokenError> {
        let Some(wanted) = Algorithm::of(algorithm) else {
            return Err(TokenError::Invalid("its alg is none of RS256, PS256, ES256 and EdDSA"));
        };
        let asks = matches!(self.look(id, wanted).0, Found::None | Found::NoKeys);
        if asks {
            self.ask(id, wanted).await;
        }
        let (found, version) = self.look(id, wanted);
        match found {
            Found::Key(key) => Ok((key, version)),
            Found::OtherAlgorithm => {
                Err(TokenError::Invalid("its alg is not that of the key (kid)"))
            }
            Found::NoKeys => Err(TokenError::Unavailable),
            // The issuer may have a new key, and does not tell.
            Found::None if self.state().failed => Err(TokenError::Unavailable),
            Found::None | Found::KnownAsUnknown => Err(UNKNOWN_KEY),
        }
    }

    /// Asks for the keys whenever they are to be refreshed, without end.
    pub(super) async fn follow(self: Arc<Self>) {
        loop {
            let next = self.state().refresh;
            self.clock.sleep_until(next).await;
            let turn = Arc::clone(&self.turn).lock_owned().await;
            // A token may have made this node ask meanwhile.
            if self.clock.boot() >= self.state().refresh {
                self.fetch().await;
                self.state().unknown.clear();
            }
            drop(turn);
        }
    }

    fn look(&self, id: Option<&str>, algorithm: Algorithm) -> (Found, u64) {
        let state = self.state();
        let now = self.clock.boot();
        let is_told = state.told.is_some_and(|told| now.saturating_sub(told) < millis(HOLD));
        let found = match state.keys.named(id) {
            _ if !is_told => Found::NoKeys,
            [] if id.is_some_and(|id| state.unknown.iter().any(|known| known == id)) => {
                Found::KnownAsUnknown
            }
            [] => Found::None,
            keys => match keys.iter().find(|key| key.algorithm == algorithm) {
                Some(key) => Found::Key(Arc::clone(key)),
                None => Found::OtherAlgorithm,
            },
        };
        (found, state.version)
    }

    /// Asks the issuer, unless it was asked a moment ago. A caller that goes away does not end the
    /// request that others wait for.
    async fn ask(self: &Arc<Self>, id: Option<&str>, algorithm: Algorithm) {
        let turn = Arc::clone(&self.turn).lock_owned().await;
        // Whoever had the turn before may have asked.
        let is_known = !matches!(self.look(id, algorithm).0, Found::None | Found::NoKeys);
        let now = self.clock.boot();
        let may_ask = {
            let asked = self.state().asked;
            asked.is_none_or(|asked| now.saturating_sub(asked) >= millis(ASK_INTERVAL))
        };
        if is_known || !may_ask {
            return;
        }
        let (keys, id) = (Arc::clone(self), id.map(str::to_owned));
        let asking = tokio::spawn(async move {
            let is_told = keys.fetch().await;
            if let Some(id) =
                id.filter(|id| is_told && keys.state().keys.named(Some(id)).is_empty())
            {
                keys.remember_unknown(id);
            }
            drop(turn);
        });
        // It fails only by a panic, which has been printed.
        let _ = asking.await;
    }

    /// Asks the issuer, and keeps what it says. The caller has the turn.
    async fn fetch(&self) -> bool {
        self.state().asked = Some(self.clock.boot());
        let fetched = self.provider.fetch().await;
        let is_told = fetched.is_ok();
        let had_failed = self.keep(fetched.as_ref().ok());
        match fetched {
            Ok(_) if had_failed => {
                tracing::info!(issuer = %self.issuer, "the keys of the issuer are told again");
            }
            Err(why) if !had_failed => {
                tracing::warn!(
                    issuer = %self.issuer, %why,
                    "the keys of the issuer cannot be fetched: known ones are used for a day"
                );
            }
            _ => {}
        }
        is_told
    }

    /// Keeps the keys, or notes that there was no answer. Returns whether the request before this
    /// one had failed.
    fn keep(&self, fetched: Option<&Fetched>) -> bool {
        let now = self.clock.boot();
        let mut state = self.state();
        let wait = match fetched {
            None => ASK_INTERVAL,
            Some(Fetched { keys, max_age }) => {
                if !state.keys.is_within(keys) {
                    state.version += 1;
                }
                state.keys = Arc::new(keys.clone());
                state.told = Some(now);
                max_age
                    .map_or(REFRESH_INTERVAL, |age| age.clamp(SHORTEST_INTERVAL, LONGEST_INTERVAL))
            }
        };
        state.refresh = now + millis(wait);
        std::mem::replace(&mut state.failed, fetched.is_none())
    }

    fn remember_unknown(&self, id: String) {
        let mut state = self.state();
        if state.unknown.len() >= MOST_UNKNOWN {
            state.unknown.pop_front();
        }
        state.unknown.push_back(id);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn millis(time: Duration) -> u64 {
    time.as_millis() as u64
}
