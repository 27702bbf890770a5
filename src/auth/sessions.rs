//! Sessions of browsers. A session is a sealed cookie ([`Ticket`]) and nothing is stored, so every
//! node that has the secrets of the cluster knows it. The key pair of a client is looked up with
//! each request like that of any other request: an archived key ends its sessions at once, and so
//! do `Command::EndSessions` for those that were begun before it, and `Command::EndSession` for
//! one. The web UI signs in and out; the API accepts a session in place of a key pair.
//!
//! A session ends after 12 hours, and when nobody has used it for an hour. For that its cookie is
//! made anew every few minutes while it is used.
//!
//! A link into the web UI holds a token in its fragment, which no log of a proxy sees. Whoever has
//! the secrets of the node can make one ([`link_token`](super::link_token)). It is good for a
//! minute, and once at each node.

use std::sync::{Mutex, PoisonError};

use axum::http::{HeaderMap, HeaderValue, header};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::caller::Caller;
use super::check::Auth;
use super::check_error::AuthError;
use super::limiter::CredentialKind;
use super::origin::Origin;
use super::pairs::{Pair, Pairs};
use super::site::Site;
use super::ticket::{SESSION_SECONDS, Ticket};
use super::tries::Tries;
use crate::cluster::{self, Cluster};
use crate::model::Millis;
use crate::secret::{SecretText, purpose};

/// The most links that a node remembers as used.
const MOST_LINKS: usize = 1_024;

/// What a person enters to sign in.
#[derive(Clone, Debug)]
pub struct Login {
    /// An API key, or the operator's name.
    pub name: String,
    /// The secret of the key, or the operator's password.
    pub secret: SecretText,
}

/// A session that is valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Whoever signed in.
    pub caller: Caller,
    /// Its begin and end.
    pub life: SessionLife,
    /// The cookie with which it goes on; `None` while the one of the request is new.
    pub cookie: Option<HeaderValue>,
}

/// The time for which a session is valid, unless it is ended before: for answers that go on longer
/// than a request takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionLife {
    /// Its random number.
    pub id: u64,
    /// The instant at which it was begun.
    pub issued: Millis,
    /// The instant at which it ends.
    pub expires: Millis,
}

impl SessionLife {
    /// Says whether it holds at an instant, where sessions that were begun up to `ended` are over.
    pub fn holds(&self, now: Millis, ended: Option<Millis>) -> bool {
        now < self.expires && ended.is_none_or(|ended| ended < self.issued)
    }
}

/// The sessions of one node.
pub struct Sessions {
    auth: Auth,
    site: Site,
    /// The name of the cookie over http. Cookies ignore ports, so that of each cluster has its own.
    cookie: String,
    /// The name of the cookie over https, which no page of another host or of http can set.
    secure_cookie: String,
    tries: Tries,
    /// The links that were used: their ids and ends.
    used: Mutex<Vec<(u64, Millis)>>,
}

impl Sessions {
    /// The sessions at a site.
    pub fn new(auth: Auth, site: Site) -> Self {
        let cookie = format!("s0_{}", &auth.keys.fingerprint()[..8]);
        let secure_cookie = format!("__Host-{cookie}");
        Self { auth, site, cookie, secure_cookie, tries: Tries::default(), used: Mutex::default() }
    }

    /// The site.
    pub fn site(&self) -> &Site {
        &self.site
    }

    /// Signs in: checks name and secret, and returns the cookie. `headers` and `origin` are those
    /// of the request, by which wrong ones are counted.
    pub async fn sign_in(
        &self,
        login: &Login,
        headers: &HeaderMap,
        (origin, cluster): (&Origin, &Cluster),
    ) -> Result<Result<HeaderValue, AuthError>, cluster::Error> {
        if let Err(refused) = self.tries.admit(&login.name, origin.now) {
            return Ok(Err(refused));
        }
        let Some((kind, shown)) = shown(login, headers) else {
            return Ok(Err(AuthError::Wrong(CredentialKind::Password)));
        };
        let key = (kind == CredentialKind::Key).then(|| login.name.clone());
        let caller = match self.auth.caller(&shown, origin, cluster).await? {
            Ok(caller) => caller,
            Err(refused) => return Ok(Err(refused)),
        };
        // A key goes on to count: each session that it begins and ends is remembered.
        if key.is_none() {
            self.tries.forget(&login.name);
        }
        let begun = self.begin((&caller, key), headers, (origin.now, cluster)).await?;
        // The key was right a moment ago, and was archived since.
        Ok(begun.ok_or(AuthError::Wrong(CredentialKind::Key)))
    }

    /// Signs in by the token of a link; `None` where it is not valid, is over, or was used here.
    pub async fn enter(
        &self,
        token: &str,
        headers: &HeaderMap,
        (now, cluster): (Millis, &Cluster),
    ) -> Result<Option<HeaderValue>, cluster::Error> {
        if !self.use_link(token, now) {
            return Ok(None);
        }
        self.begin((&Caller::Operator, None), headers, (now, cluster)).await
    }

    /// Begins a session, after all that were ended: the clock of the leader, which stamped the end
    /// of the others, may be ahead of this node's. `None` where the key is none any more.
    async fn begin(
        &self,
        (caller, key): (&Caller, Option<String>),
        headers: &HeaderMap,
        (now, cluster): (Millis, &Cluster),
    ) -> Result<Option<HeaderValue>, cluster::Error> {
        let pairs = self.auth.pairs(cluster).await?;
        let ended = pairs.sessions_from(key.as_deref());
        let issued = ended.map_or(now, |ended| now.max(ended.saturating_add(1)));
        let keys = &self.auth.keys;
        let ticket = match (caller, key) {
            (Caller::Operator, _) => Ticket::of_operator(keys, (now, issued)),
            (_, Some(key)) => {
                let Some(pair) = pairs.by_key.get(&key) else { return Ok(None) };
                Ticket::of_client(keys, (key, &pair.verifier), (now, issued))
            }
            (_, None) => return Ok(None),
        };
        Ok(Some(self.set_cookie(&ticket, now, self.site.came_by_https(headers))))
    }

    /// Uses the token of a link up; `false` where it is not valid, is over, or was used here.
    fn use_link(&self, token: &str, now: Millis) -> bool {
        let opened = Ticket::open(token, (&self.auth.keys, purpose::SIGN_IN_LINK), now);
        let Some(ticket) = opened.filter(|ticket| ticket.key.is_none()) else { return false };
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        used.retain(|(_, expires)| *expires > now);
        let is_new = used.len() < MOST_LINKS && !used.iter().any(|(id, _)| *id == ticket.id);
        if is_new {
            used.push((ticket.id, ticket.expires));
        }
        is_new
    }

    /// The session of a request, if it has one that is valid. A request in the session of a key
    /// counts as one of the key's.
    pub async fn session(
        &self,
        headers: &HeaderMap,
        (origin, cluster): (&Origin, &Cluster),
    ) -> Result<Option<Result<Session, AuthError>>, cluster::Error> {
        let (text, is_secure) = match cookie(headers, &self.secure_cookie) {
            Some(text) => (text, true),
            // Where browsers come by https alone, a cookie of http is not ours.
            None if self.site.is_secure() => return Ok(None),
            None => match cookie(headers, &self.cookie) {
                Some(text) => (text, false),
                None => return Ok(None),
            },
        };
        let opened = Ticket::open(text, (&self.auth.keys, purpose::SESSION), origin.now);
        let Some(ticket) = opened else { return Ok(None) };
        let pairs = self.auth.pairs(cluster).await?;
        let open = |pair: &Pair| {
            let is_proven = ticket.is_of(pair, &self.auth.keys, origin.now);
            if is_proven { self.auth.open(pair, origin) } else { None }
        };
        let session = |(caller, life)| {
            let renewed = ticket.renewed(origin.now);
            let cookie = renewed.map(|ticket| self.set_cookie(&ticket, origin.now, is_secure));
            Session { caller, life, cookie }
        };
        Ok(valid(&ticket, &pairs, open).map(|opened| opened.map(session)))
    }

    /// The cookies that end a session in the browser.
    pub fn sign_out(&self) -> Vec<HeaderValue> {
        let plain = (!self.site.is_secure()).then(|| self.cookie_line("", 0, false));
        plain.into_iter().chain([self.cookie_line("", 0, true)]).collect()
    }

    fn set_cookie(&self, ticket: &Ticket, now: Millis, is_secure: bool) -> HeaderValue {
        let text = ticket.seal(&self.auth.keys, purpose::SESSION);
        let seconds = (ticket.expires - now).clamp(0, SESSION_SECONDS * 1_000) / 1_000;
        self.cookie_line(&text, seconds, is_secure)
    }

    fn cookie_line(&self, value: &str, seconds: i64, is_secure: bool) -> HeaderValue {
        let (name, secure) =
            if is_secure { (&self.secure_cookie, "; Secure") } else { (&self.cookie, "") };
        let text =
            format!("{name}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}");
        // Sealed text is base64, and the rest is fixed.
        let mut line =
            HeaderValue::from_str(&text).expect("a cookie has letters, digits and dashes only");
        line.set_sensitive(true);
        line
    }
}

/// Whose a ticket is that is not over, and the life of its session; `None` where the key is over,
/// or may not be used here, or the session was ended. `open` says whose a pair is.
fn valid(
    ticket: &Ticket,
    pairs: &Pairs,
    open: impl FnOnce(&Pair) -> Option<Result<Caller, AuthError>>,
) -> Option<Result<(Caller, SessionLife), AuthError>> {
    let issued = ticket.issued.unwrap_or(ticket.expires - SESSION_SECONDS * 1_000);
    let ended = pairs.sessions_from(ticket.key.as_deref());
    let life = SessionLife { id: ticket.id, issued, expires: ticket.expires };
    // That it is not over was looked at when it was opened.
    if !life.holds(issued, ended) || pairs.ended.contains(&ticket.id) {
        return None;
    }
    let caller = match &ticket.key {
        None => Ok(Caller::Operator),
        Some(key) => open(pairs.by_key.get(key)?)?,
    };
    Some(caller.map(|caller| (caller, life)))
}

/// The headers by which a program would show the same credentials, so that one check serves both;
/// `None` where they cannot be right.
fn shown(login: &Login, headers: &HeaderMap) -> Option<(CredentialKind, HeaderMap)> {
    let mut shown = HeaderMap::new();
    // The check of passwords asks whether a proxy speaks for another client.
    for name in ["x-forwarded-for", header::FORWARDED.as_str()] {
        if let (Some(value), Ok(name)) = (headers.get(name), name.parse::<header::HeaderName>()) {
            shown.insert(name, value.clone());
        }
    }
    let value = |text: &str| {
        let mut value = HeaderValue::from_str(text).ok()?;
        value.set_sensitive(true);
        Some(value)
    };
    let kind = if login.name.starts_with("s0_") {
        shown.insert("x-api-key", value(&login.name)?);
        shown.insert("x-secret-key", value(&login.secret)?);
        CredentialKind::Key
    } else {
        let pair = SecretText::from(format!("{}:{}", login.name, &*login.secret));
        let basic = SecretText::from(format!("Basic {}", BASE64.encode(pair.as_bytes())));
        shown.insert("x-peer", HeaderValue::from_static("cmd"));
        shown.insert(header::AUTHORIZATION, value(&basic)?);
        CredentialKind::Password
    };
    Some((kind, shown))
}

/// The value of a cookie of a request.
pub(super) fn cookie<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let lines = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
    let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.split_once('='));
    pairs.find(|(known, _)| known.trim() == name).map(|(_, value)| value.trim())
}

#[cfg(test)]
#[path = "sessions_tests.rs"]
mod tests;
