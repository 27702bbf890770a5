//! A *ticket*: the sealed text of a session, or of a link into the web UI. It is sealed under
//! `SecretKey`, and has a proof in it that whoever has `SecretKey` alone cannot make: of the
//! operator's name and password, or of the verifier of a client's secret. `sessions` makes and
//! reads tickets; nothing is stored for them.

use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;

use super::pairs::Pair;
use crate::model::Millis;
use crate::model::target::Sealed;
use crate::secret::{Keys, purpose};

/// The longest life of a session, in seconds.
pub const SESSION_SECONDS: i64 = 12 * 3_600;
/// The time after which a session ends that nobody uses, in seconds.
pub(super) const IDLE_SECONDS: i64 = 3_600;
/// The time between two renewals of the cookie of a session that is used, in milliseconds.
const RENEWAL_INTERVAL: Millis = 5 * 60_000;
/// The life of a link, in seconds.
pub const LINK_SECONDS: i64 = 60;
/// The longest ticket that is read, in bytes.
const LONGEST: usize = 1_024;

/// The text of a session or a link, before it is sealed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Ticket {
    /// The API key of a client; `None` for the operator.
    pub(super) key: Option<String>,
    /// The mark of the operator's name and password, which nodes of earlier versions look at.
    mark: Option<String>,
    /// The proof; a ticket of an earlier version has none and opens nothing.
    #[serde(default)]
    proof: Option<String>,
    pub(super) expires: Millis,
    /// The instant at which the session was begun.
    #[serde(default)]
    pub(super) issued: Option<Millis>,
    /// The instant at which the cookie was made. The session was used then.
    #[serde(default)]
    used: Option<Millis>,
    /// A random number, which the tickets of a session have in common.
    pub(super) id: u64,
}

/// A token for a link that signs the operator in.
pub fn link_token(keys: &Keys, now: Millis) -> String {
    let expires = now + LINK_SECONDS * 1_000;
    Ticket { expires, used: None, ..Ticket::of_operator(keys, (now, now)) }
        .seal(keys, purpose::SIGN_IN_LINK)
}

impl Ticket {
    /// The ticket of a session of the operator that is begun now, and counts as begun at `issued`.
    pub(super) fn of_operator(keys: &Keys, (now, issued): (Millis, Millis)) -> Self {
        Self {
            key: None,
            mark: Some(keys.fingerprint()),
            proof: Some(keys.operator_proof()),
            expires: now + SESSION_SECONDS * 1_000,
            issued: Some(issued),
            used: Some(now),
            id: rand::random(),
        }
    }

    /// The ticket of a session of a client, by its key and the verifier of its secret.
    pub(super) fn of_client(
        keys: &Keys,
        (key, verifier): (String, &[u8]),
        at: (Millis, Millis),
    ) -> Self {
        let proof = Some(keys.client_proof(verifier));
        Self { key: Some(key), mark: None, proof, ..Self::of_operator(keys, at) }
    }

    /// The sealed text.
    pub(super) fn seal(&self, keys: &Keys, purpose: &str) -> String {
        // A ticket has texts and numbers only, which always serialise.
        let text = serde_json::to_string(self).expect("a ticket is plain data");
        keys.seal(&text, purpose).0
    }

    /// Opens a text that was sealed for this purpose, is not over, and was used within the hour.
    /// The proof of a client's is not looked at yet.
    pub(super) fn open(
        text: &str,
        (keys, purpose): (&Keys, &'static str),
        now: Millis,
    ) -> Option<Self> {
        if text.len() > LONGEST {
            return None;
        }
        let opened = keys.open(&Sealed(text.to_owned()), purpose).ok()?;
        let ticket: Self = serde_json::from_str(&opened).ok()?;
        let is_proven = ticket.key.is_some() || ticket.proves(&keys.operator_proof());
        let is_idle = ticket.used.is_some_and(|used| now >= used + IDLE_SECONDS * 1_000);
        (is_proven && !is_idle && now < ticket.expires).then_some(ticket)
    }

    /// Says whether its proof is of a pair: of its secret, or of the one before while that opens.
    pub(super) fn is_of(&self, pair: &Pair, keys: &Keys, now: Millis) -> bool {
        let old = pair.old_secret.as_ref().filter(|old| now < old.until);
        self.proves(&keys.client_proof(&pair.verifier))
            || old.is_some_and(|old| self.proves(&keys.client_proof(&old.verifier)))
    }

    /// The ticket with which a session goes on that is used now; `None` while this one is new.
    pub(super) fn renewed(&self, now: Millis) -> Option<Self> {
        let used = self.used?;
        (now - used >= RENEWAL_INTERVAL).then(|| Self { used: Some(now), ..self.clone() })
    }

    fn proves(&self, proof: &str) -> bool {
        let own = self.proof.as_deref().unwrap_or_default();
        own.as_bytes().ct_eq(proof.as_bytes()).into()
    }
}
