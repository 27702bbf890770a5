//! The surroundings of a page: who looks, in which zone and theme, at which address. `enter` makes
//! a [`Context`] of each request, and a page takes a [`Page`], which exists only for who has signed
//! in.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, Uri, header};
use axum::response::{Html, IntoResponse, Response};
use chrono_tz::Tz;
use maud::Markup;
use sha2::{Digest, Sha256};
use url::{Url, form_urlencoded};

use crate::app::{Action, Actor, Resource, authorize};
use crate::auth::{Caller, Session};
use crate::listen::Connection;
use crate::model::Millis;
use crate::schedule::parse_zone;
use crate::ui::error::PageError;
use crate::ui::state::UiState;

/// The cookies of preferences. They are no secrets.
pub(crate) const THEME: &str = "s0_theme";
/// `utc`, `own` or `job`.
pub(crate) const ZONE: &str = "s0_zone";
/// The zone of the browser, which the script writes.
pub(crate) const OWN_ZONE: &str = "s0_tz";
/// The message for the next page.
pub(crate) const FLASH: &str = "s0_flash";

/// The zone in which instants are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ZoneChoice {
    /// UTC.
    Utc,
    /// That of the browser; UTC while it is not known.
    Own,
    /// That of the job, where there is one; else that of the browser.
    Job,
}

/// The surroundings of one request.
#[derive(Clone, Debug)]
pub(crate) struct Context {
    pub(crate) session: Option<Session>,
    /// `system`, `light` or `dark`.
    pub(crate) theme: &'static str,
    pub(crate) zone: ZoneChoice,
    pub(crate) own_zone: Option<Tz>,
    pub(crate) path: String,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) now: Millis,
    pub(crate) flash: Option<String>,
    /// The page to come back to from the answer to a form; `None` for a page itself.
    behind: Option<String>,
}

/// The last parts of paths that only take forms.
const ACTIONS: [&str; 20] = [
    "archive",
    "cancel",
    "change",
    "delete",
    "drain",
    "grant",
    "inspect",
    "lead",
    "pause",
    "preferences",
    "purge",
    "replay",
    "restore",
    "resume",
    "rotate",
    "run",
    "sign-out",
    "sign-out-everywhere",
    "terminate",
    "undrain",
];
/// The lists whose records have no page of their own.
const WITHOUT_PAGES: [&str; 3] = ["accounts", "dead-letters", "keys"];

/// Says whether a path can be opened.
fn is_page(path: &str) -> bool {
    let path = path.split('?').next().unwrap_or_default();
    let mut names = path.rsplit('/');
    let (last, noun) = (names.next().unwrap_or_default(), names.next().unwrap_or_default());
    // The form of a template has a page.
    let is_action =
        ACTIONS.contains(&last) && !(last == "run" && names.next() == Some("templates"));
    !is_action && !WITHOUT_PAGES.contains(&noun)
}

/// The page that the answer to a form leads back to: the one that the form was on, or else the
/// nearest one above its path.
fn page_behind(path: &str, referer: Option<&str>) -> String {
    let from = referer.and_then(|text| Url::parse(text).ok());
    let from = from.map(|url| match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    });
    if let Some(from) = from.filter(|from| own_path(from) == from && is_page(from)) {
        return from;
    }
    let mut place = path;
    while !is_page(place) {
        place = place.rsplit_once('/').map_or("/ui", |(above, _)| above);
    }
    own_path(place).to_owned()
}

impl Context {
    /// The surroundings of a request.
    pub(crate) fn of(
        uri: &Uri,
        headers: &HeaderMap,
        session: Option<Session>,
        now: Millis,
    ) -> Self {
        let cookie = |name: &str| cookie(headers, name);
        let theme = match cookie(THEME) {
            Some("light") => "light",
            Some("dark") => "dark",
            _ => "system",
        };
        let zone = match cookie(ZONE) {
            Some("utc") => ZoneChoice::Utc,
            Some("job") => ZoneChoice::Job,
            _ => ZoneChoice::Own,
        };
        let query = uri.query().unwrap_or_default();
        Self {
            session,
            theme,
            zone,
            own_zone: cookie(OWN_ZONE).and_then(|name| parse_zone(&name.replace("%2F", "/")).ok()),
            path: uri.path().to_owned(),
            query: form_urlencoded::parse(query.as_bytes()).into_owned().collect(),
            now,
            flash: cookie(FLASH).and_then(decoded),
            behind: None,
        }
    }

    /// The surroundings of the answer to a request of this method.
    #[must_use]
    pub(crate) fn answering(self, method: &Method, headers: &HeaderMap) -> Self {
        if matches!(*method, Method::GET | Method::HEAD) {
            return self;
        }
        let referer = headers.get(header::REFERER).and_then(|value| value.to_str().ok());
        let behind = Some(page_behind(&self.path, referer));
        Self { behind, ..self }
    }

    /// Says whether this is the answer to a form, which cannot be opened again.
    pub(crate) fn is_answer(&self) -> bool {
        self.behind.is_some()
    }

    /// A parameter of the address; empty ones count as absent.
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        let mut found = self.query.iter().filter(|(known, _)| known == name);
        found.next().map(|(_, value)| value.trim()).filter(|value| !value.is_empty())
    }

    /// A number in the address.
    ///
    /// # Errors
    ///
    /// 400 where it is none.
    pub(crate) fn number(&self, name: &str) -> Result<Option<u64>, PageError> {
        let Some(text) = self.parameter(name) else { return Ok(None) };
        let number = text.parse().ok().filter(|number| i64::try_from(*number).is_ok());
        let wrong = || PageError::bad_address(format!("{name} must be a whole number, 0 or more."));
        number.map(Some).ok_or_else(wrong)
    }

    /// The address of this page with other parameters: those named are replaced, and left out where
    /// they are `None`.
    pub(crate) fn address_with(&self, changes: &[(&str, Option<&str>)]) -> String {
        let kept = self.query.iter().filter(|(name, value)| {
            name != "part" && !value.is_empty() && !changes.iter().any(|(other, _)| other == name)
        });
        let kept = kept.map(|(name, value)| (name.as_str(), value.as_str()));
        let new = changes.iter().filter_map(|(name, value)| Some((*name, (*value)?)));
        address(&self.path, kept.chain(new))
    }

    /// The address of this page, to come back to; of the page behind it for the answer to a form.
    pub(crate) fn address(&self) -> String {
        self.behind.clone().unwrap_or_else(|| self.address_with(&[]))
    }

    /// The part of the page that is asked for, without its shell.
    pub(crate) fn part(&self) -> Option<&str> {
        self.parameter("part")
    }
}

/// An address with parameters.
pub(crate) fn address<'p>(
    path: &str,
    parameters: impl IntoIterator<Item = (&'p str, &'p str)>,
) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    for (name, value) in parameters {
        query.append_pair(name, value);
    }
    match query.finish() {
        query if query.is_empty() => path.to_owned(),
        query => format!("{path}?{query}"),
    }
}

/// The text of a cookie that was percent-encoded.
fn decoded(text: &str) -> Option<String> {
    form_urlencoded::parse(text.as_bytes()).next().map(|(text, _)| text.into_owned())
}

/// The value of a cookie.
pub(crate) fn cookie<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let lines = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
    let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.split_once('='));
    pairs.find(|(known, _)| known.trim() == name).map(|(_, value)| value.trim())
}

/// A path of this UI that a form or a link names to go on to; anything else is the overview.
pub(crate) fn own_path(text: &str) -> &str {
    let is_own = text == "/ui" || text.starts_with("/ui/") || text.starts_with("/ui?");
    let is_plain = text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    if is_own && is_plain { text } else { "/ui" }
}

/// A request by somebody who has signed in.
#[derive(Clone)]
pub(crate) struct Page {
    pub(crate) ui: Arc<UiState>,
    pub(crate) context: Arc<Context>,
    pub(crate) actor: Actor,
}

impl Page {
    /// Says whether the actor may do this, so that there is a button.
    pub(crate) fn may(&self, action: Action) -> bool {
        authorize(&self.actor, action, Resource::Any).is_ok()
    }

    /// Refuses a page that only leads to what the actor may not do.
    ///
    /// # Errors
    ///
    /// 403 where it may not.
    pub(crate) fn require(&self, action: Action) -> Result<(), PageError> {
        authorize(&self.actor, action, Resource::Any)
            .map_err(|denied| crate::app::Error::from(denied).into())
    }

    /// Says whether a part of the page is to be made: all are, unless one is asked for by name.
    pub(crate) fn wants(&self, part: &str) -> bool {
        self.context.part().is_none_or(|asked| asked == part)
    }

    /// The part of a page that was asked for, if one of these was. A browser that has it already is
    /// told so.
    pub(crate) fn asked_part(
        &self,
        headers: &HeaderMap,
        parts: &[(&str, &Markup)],
    ) -> Option<Response> {
        let asked = self.context.part()?;
        let (_, markup) = parts.iter().find(|(name, _)| *name == asked)?;
        let tag = format!("\"{}\"", hex::encode(&Sha256::digest(&markup.0)[..8]));
        let known = headers.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok());
        let mut response = if known == Some(&tag) {
            axum::http::StatusCode::NOT_MODIFIED.into_response()
        } else {
            Html(markup.0.clone()).into_response()
        };
        if let Ok(tag) = HeaderValue::from_str(&tag) {
            response.headers_mut().insert(header::ETAG, tag);
        }
        Some(response)
    }
}

/// The words for who has signed in.
pub(crate) fn who(session: &Session) -> String {
    match &session.caller {
        Caller::Operator => "operator".to_owned(),
        Caller::Client { id, .. } => format!("key {id}"),
        Caller::Token(token) => token.name.clone(),
    }
}

impl FromRequestParts<Arc<UiState>> for Page {
    type Rejection = PageError;

    async fn from_request_parts(
        parts: &mut Parts,
        ui: &Arc<UiState>,
    ) -> Result<Self, Self::Rejection> {
        // `enter` has put it there, and lets nobody without a session come so far.
        let context: Arc<Context> = parts.extensions.get().cloned().ok_or_else(PageError::fault)?;
        let session = context.session.as_ref().ok_or_else(PageError::fault)?;
        let address = parts.extensions.get::<Connection>().map(Connection::client_address);
        let actor = Actor::from(session.caller.clone()).at(address);
        Ok(Self { ui: ui.clone(), actor, context })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_way_back_leads_into_the_ui_only() {
        for own in ["/ui", "/ui/jobs?q=a%20b", "/ui?x=1"] {
            assert_eq!(own_path(own), own);
        }
        for other in ["", "//evil.example", "/uix", "https://a/ui/", "/ui/\\evil", "/ui/\r\nx"] {
            assert_eq!(own_path(other), "/ui", "{other}");
        }
    }

    #[test]
    fn the_answer_to_a_form_leads_back_to_a_page_that_can_be_opened() {
        let own = "http://a:1/ui/jobs?q=x";
        for (path, referer, back) in [
            ("/ui/jobs/7/run", Some(own), "/ui/jobs?q=x"),
            ("/ui/jobs/7/run", None, "/ui/jobs/7"),
            ("/ui/projects/1/rotate", Some("http://a:1/ui/projects/1/rotate"), "/ui/projects/1"),
            ("/ui/backups/inspect", Some("http://a:1/ui/backups/inspect"), "/ui/backups"),
            ("/ui/dead-letters/5/replay", None, "/ui/dead-letters"),
            ("/ui/dead-letters/purge", None, "/ui/dead-letters"),
            ("/ui/keys/3/archive", Some("https://evil.example/x"), "/ui/keys"),
            ("/ui/jobs/new", None, "/ui/jobs/new"),
            ("/ui/jobs/7/edit", Some("nonsense"), "/ui/jobs/7/edit"),
            ("/ui/preferences", None, "/ui"),
        ] {
            assert_eq!(page_behind(path, referer), back, "{path} {referer:?}");
        }
    }

    #[test]
    fn an_address_keeps_what_is_not_changed() {
        let uri: Uri = "/ui/jobs?q=a+b&status=&after=7&part=x".parse().unwrap();
        let context = Context::of(&uri, &HeaderMap::new(), None, 0);
        assert_eq!(context.address(), "/ui/jobs?q=a+b&after=7");
        let next = context.address_with(&[("after", None), ("status", Some("active"))]);
        assert_eq!(next, "/ui/jobs?q=a+b&status=active");
        assert_eq!(context.parameter("status"), None);
        assert!(context.number("q").is_err());
        assert_eq!(context.number("after").unwrap(), Some(7));
    }
}
