//! Sessions of browsers. A session is a sealed cookie and nothing is stored, so every node that has
//! the `SecretKey` of the cluster knows it. The key pair of a client is looked up with each request
//! like that of any other request: an archived key ends its sessions at once, and so does
//! `Command::EndSessions` for those that were begun before it. The web UI signs in and out; the API
//! accepts a session in place of a key pair.
//!
//! A link into the web UI holds a token in its fragment, which no log of a proxy sees. Whoever has
//! the secrets of the node can make one ([`link_token`]). It is good for a minute, and once at each
//! node.

use std::sync::{Mutex, PoisonError};

use axum::http::{HeaderMap, HeaderValue, header};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};

use super::caller::Caller;
use super::check::Auth;
use super::check_error::AuthError;
use super::limiter::CredentialKind;
use super::origin::Origin;
use super::pairs::{Pair, Pairs};
use super::site::Site;
use super::tries::Tries;
use crate::cluster::{self, Cluster};
use crate::model::Millis;
use crate::model::target::Sealed;
use crate::secret::{Keys, SecretText, purpose};

/// The life of a session, in seconds.
pub const SESSION_SECONDS: i64 = 12 * 3_600;
/// The life of a link, in seconds.
pub const LINK_SECONDS: i64 = 60;
/// The longest cookie and the longest token that is read, in bytes.
const LONGEST: usize = 1_024;
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
}

/// The time for which a session is valid, unless it is ended before: for answers that go on longer
/// than a request takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionLife {
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

/// The sealed text of a session or a link.
#[derive(Serialize, Deserialize)]
struct Ticket {
    /// The API key of a client; `None` for the operator.
    key: Option<String>,
    /// The mark of the operator's name and password, which ends the session when they change.
    mark: Option<String>,
    expires: Millis,
    /// The instant at which the session was begun; that of a ticket of an earlier version follows
    /// from its end.
    #[serde(default)]
    issued: Option<Millis>,
    /// A random number, by which two tickets differ.
    id: u64,
}

/// The sessions of one node.
pub struct Sessions {
    auth: Auth,
    site: Site,
    /// The name of the cookie. Cookies ignore ports, so that of each cluster has its own.
    cookie: String,
    tries: Tries,
    /// The links that were used: their ids and ends.
    used: Mutex<Vec<(u64, Millis)>>,
}

/// A token for a link that signs the operator in.
pub fn link_token(keys: &Keys, now: Millis) -> String {
    let expires = now + LINK_SECONDS * 1_000;
    let mark = Some(keys.fingerprint());
    let ticket = Ticket { key: None, mark, expires, issued: Some(now), id: rand::random() };
    seal(keys, &ticket, purpose::SIGN_IN_LINK)
}

impl Sessions {
    /// The sessions at a site.
    pub fn new(auth: Auth, site: Site) -> Self {
        let prefix = if site.is_secure() { "__Host-" } else { "" };
        let cookie = format!("{prefix}s0_{}", &auth.keys.fingerprint()[..8]);
        Self { auth, site, cookie, tries: Tries::default(), used: Mutex::default() }
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
        self.tries.forget(&login.name);
        self.begin(&caller, key, (origin.now, cluster)).await.map(Ok)
    }

    /// Signs in by the token of a link; `None` where it is not valid, is over, or was used here.
    pub async fn enter(
        &self,
        token: &str,
        (now, cluster): (Millis, &Cluster),
    ) -> Result<Option<HeaderValue>, cluster::Error> {
        if !self.use_link(token, now) {
            return Ok(None);
        }
        self.begin(&Caller::Operator, None, (now, cluster)).await.map(Some)
    }

    /// Begins a session, after all that were ended: the clock of the leader, which stamped the end
    /// of the others, may be ahead of this node's.
    async fn begin(
        &self,
        caller: &Caller,
        key: Option<String>,
        (now, cluster): (Millis, &Cluster),
    ) -> Result<HeaderValue, cluster::Error> {
        let pairs = self.auth.pairs(cluster).await?;
        let ended = pairs.sessions_from(key.as_deref());
        let issued = ended.map_or(now, |ended| now.max(ended.saturating_add(1)));
        Ok(self.issue(caller, key, (now, issued)))
    }

    /// Uses the token of a link up; `false` where it is not valid, is over, or was used here.
    fn use_link(&self, token: &str, now: Millis) -> bool {
        let Some(ticket) = self.open(token, purpose::SIGN_IN_LINK, now) else { return false };
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        used.retain(|(_, expires)| *expires > now);
        let is_new = used.len() < MOST_LINKS && !used.iter().any(|(id, _)| *id == ticket.id);
        if is_new {
            used.push((ticket.id, ticket.expires));
        }
        is_new
    }

    /// The session of a request, if it has one that is valid. It counts as a request of its key.
    pub async fn session(
        &self,
        headers: &HeaderMap,
        (origin, cluster): (&Origin, &Cluster),
    ) -> Result<Option<Result<Session, AuthError>>, cluster::Error> {
        let Some(text) = cookie(headers, &self.cookie) else { return Ok(None) };
        let Some(ticket) = self.open(text, purpose::SESSION, origin.now) else { return Ok(None) };
        let pairs = self.auth.pairs(cluster).await?;
        Ok(valid(&ticket, &pairs, |pair| self.auth.open(pair, origin)))
    }

    /// The cookie that ends a session in the browser.
    pub fn sign_out(&self) -> HeaderValue {
        self.set_cookie("", 0)
    }

    fn issue(
        &self,
        caller: &Caller,
        key: Option<String>,
        (now, issued): (Millis, Millis),
    ) -> HeaderValue {
        let keys = &self.auth.keys;
        let mark = matches!(caller, Caller::Operator).then(|| keys.fingerprint());
        let expires = now + SESSION_SECONDS * 1_000;
        let ticket = Ticket { key, mark, expires, issued: Some(issued), id: rand::random() };
        self.set_cookie(&seal(keys, &ticket, purpose::SESSION), SESSION_SECONDS)
    }

    fn set_cookie(&self, value: &str, seconds: i64) -> HeaderValue {
        let secure = if self.site.is_secure() { "; Secure" } else { "" };
        let text = format!(
            "{}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}",
            self.cookie
        );
        // Sealed text is base64, and the rest is fixed.
        HeaderValue::from_str(&text).expect("a cookie has letters, digits and dashes only")
    }

    /// Opens a sealed text that was made for this purpose and is not over.
    fn open(&self, text: &str, purpose: &'static str, now: Millis) -> Option<Ticket> {
        if text.len() > LONGEST {
            return None;
        }
        let opened = self.auth.keys.open(&Sealed(text.to_owned()), purpose).ok()?;
        let ticket: Ticket = serde_json::from_str(&opened).ok()?;
        let is_marked = match (&ticket.key, &ticket.mark) {
            (Some(_), _) => true,
            (None, mark) => mark.as_deref() == Some(&*self.auth.keys.fingerprint()),
        };
        (is_marked && now < ticket.expires).then_some(ticket)
    }
}

/// The session of a ticket that is not over, unless its key is, or may not be used here, or it was
/// ended. `open` says whose a pair is.
fn valid(
    ticket: &Ticket,
    pairs: &Pairs,
    open: impl FnOnce(&Pair) -> Option<Result<Caller, AuthError>>,
) -> Option<Result<Session, AuthError>> {
    let issued = ticket.issued.unwrap_or(ticket.expires - SESSION_SECONDS * 1_000);
    let ended = pairs.sessions_from(ticket.key.as_deref());
    let life = SessionLife { issued, expires: ticket.expires };
    // That it is not over was looked at when it was opened.
    if !life.holds(issued, ended) {
        return None;
    }
    let caller = match &ticket.key {
        None => Ok(Caller::Operator),
        Some(key) => open(pairs.by_key.get(key)?)?,
    };
    Some(caller.map(|caller| Session { caller, life }))
}

fn seal(keys: &Keys, ticket: &Ticket, purpose: &'static str) -> String {
    // A ticket has texts and numbers only, which always serialise.
    let text = serde_json::to_string(ticket).expect("a ticket is plain data");
    keys.seal(&text, purpose).0
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
mod tests {
    use std::collections::HashMap;
    use std::sync::Arc;

    use super::*;

    fn sessions(password: &str) -> Sessions {
        let keys = Keys::new(&"ab".repeat(32), "node", password).unwrap();
        Sessions::new(Auth::new(Arc::new(keys)), Site::default())
    }

    fn sealed(cookie: &HeaderValue) -> &str {
        let text = cookie.to_str().unwrap();
        text.split_once('=').unwrap().1.split(';').next().unwrap()
    }

    #[test]
    fn a_session_holds_for_its_time_its_purpose_and_its_password() {
        let here = sessions("pass");
        let cookie = here.issue(&Caller::Operator, None, (1_000, 1_000));
        let text = sealed(&cookie);
        let end = 1_000 + SESSION_SECONDS * 1_000;
        assert!(here.open(text, purpose::SESSION, end - 1).is_some());
        assert!(here.open(text, purpose::SESSION, end).is_none(), "it is over");
        assert!(here.open(text, purpose::SIGN_IN_LINK, 2_000).is_none(), "it is no link");
        assert!(sessions("other").open(text, purpose::SESSION, 2_000).is_none(), "new password");
        let mut broken = text.to_owned();
        broken.replace_range(20..21, if &text[20..21] == "A" { "B" } else { "A" });
        assert!(here.open(&broken, purpose::SESSION, 2_000).is_none(), "tampered with");
        for flag in ["HttpOnly", "SameSite=Lax", "Path=/"] {
            assert!(cookie.to_str().unwrap().contains(flag), "{flag}");
        }
    }

    #[test]
    fn a_link_signs_in_once_within_a_minute() {
        let here = sessions("pass");
        let token = link_token(&here.auth.keys, 1_000);
        assert!(!here.use_link(&token, 1_000 + LINK_SECONDS * 1_000), "it is over");
        assert!(here.use_link(&token, 2_000));
        assert!(!here.use_link(&token, 2_001), "it was used");
        let session = here.issue(&Caller::Operator, None, (1_000, 1_000));
        assert!(!here.use_link(sealed(&session), 2_000), "a session is no link");
    }

    #[test]
    fn sessions_that_were_begun_before_the_end_of_all_are_over() {
        let pair = |sessions_from| Pair { id: 7, root: 7, sessions_from, ..Pair::default() };
        let pairs = |client, operator_sessions_from| {
            let by_key = HashMap::from([("k".to_owned(), pair(client))]);
            Pairs { by_key, operator_sessions_from, ..Pairs::default() }
        };
        let ticket = |key: Option<&str>, issued| Ticket {
            key: key.map(str::to_owned),
            mark: None,
            expires: 5_000 + SESSION_SECONDS * 1_000,
            issued,
            id: 1,
        };
        let caller = |pair: &Pair| pair.caller(&Origin::new(6_000, None)).map(Ok);
        let holds = |ticket: &Ticket, pairs: &Pairs| valid(ticket, pairs, caller).is_some();
        for key in [None, Some("k")] {
            let ended = |at: Millis| {
                if key.is_some() { pairs(Some(at), None) } else { pairs(None, Some(at)) }
            };
            assert!(holds(&ticket(key, Some(5_000)), &pairs(None, None)));
            assert!(holds(&ticket(key, Some(5_000)), &ended(4_999)), "it was begun afterwards");
            assert!(!holds(&ticket(key, Some(5_000)), &ended(5_000)));
            assert!(!holds(&ticket(key, None), &ended(5_000)), "of an earlier version");
            assert!(holds(&ticket(key, None), &ended(4_999)), "of an earlier version");
            let other =
                if key.is_some() { pairs(None, Some(9_000)) } else { pairs(Some(9_000), None) };
            assert!(holds(&ticket(key, Some(5_000)), &other));
        }
        assert!(!holds(&ticket(Some("gone"), Some(5_000)), &pairs(None, None)));
    }

    #[test]
    fn a_site_of_https_has_cookies_of_its_own() {
        let keys = Keys::new(&"ab".repeat(32), "node", "pass").unwrap();
        let url = url::Url::parse("https://cron.example").unwrap();
        let sessions = Sessions::new(Auth::new(Arc::new(keys)), Site::new(Some(&url)));
        let text = sessions.sign_out();
        let text = text.to_str().unwrap();
        assert!(text.starts_with("__Host-s0_") && text.ends_with("; Secure"), "{text}");
    }

    #[test]
    fn a_cookie_is_found_among_others() {
        let headers = HeaderMap::from_iter([(
            header::COOKIE,
            HeaderValue::from_static("a=1; s0_ab=x-_y; s0_abc=2"),
        )]);
        assert_eq!(cookie(&headers, "s0_ab"), Some("x-_y"));
        assert_eq!(cookie(&headers, "s0"), None);
    }
}
