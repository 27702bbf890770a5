//! What every handler wants to know of a request beside its body: who asks, by which mount, with
//! which query, about which id.

use std::borrow::Cow;
use std::sync::Arc;

use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::request::Parts;
use url::form_urlencoded;

use super::casing::canonical;
use super::error::Error;
use super::fields::interval;
use super::state::AppState;
use crate::auth::Caller;
use crate::model::Millis;
use crate::model::job::Casing;
use crate::model::time::parse_rfc3339;

/// Where the one router hangs: decides the casing of answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mount {
    /// `/`, `snake_case`: the README's program.
    Root,
    /// `/v1`, camelCase.
    V1,
    /// `/api/v1`, camelCase: the published clients, our command line and UI.
    ApiV1,
}

impl Mount {
    /// The mount of a path.
    pub fn of(path: &str) -> Self {
        let under = |prefix: &str| {
            path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        match () {
            () if under(Self::ApiV1.prefix()) => Self::ApiV1,
            () if under(Self::V1.prefix()) => Self::V1,
            () => Self::Root,
        }
    }

    /// What stands before a route's path.
    pub fn prefix(self) -> &'static str {
        match self {
            Self::Root => "",
            Self::V1 => "/v1",
            Self::ApiV1 => "/api/v1",
        }
    }

    /// The casing spoken there.
    pub fn casing(self) -> Casing {
        match self {
            Self::Root => Casing::Snake,
            Self::V1 | Self::ApiV1 => Casing::Camel,
        }
    }
}

/// A request without its body.
#[derive(Debug)]
pub(super) struct Ask {
    pub(super) mount: Mount,
    pub(super) caller: Caller,
    /// Names in canonical form. `super::query` has refused what the route does not know.
    parameters: Vec<(String, String)>,
}

impl Ask {
    /// The casing of the answer.
    pub(super) fn casing(&self) -> Casing {
        self.mount.casing()
    }

    /// A query parameter by its camelCase name, in either casing.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.texts(name).next()
    }

    /// All values of a query parameter that may come several times.
    pub(super) fn texts(&self, name: &str) -> impl Iterator<Item = &str> {
        let mut buffer = [0; 24];
        let wanted = canonical(name, &mut buffer).map(str::to_owned);
        let found = self.parameters.iter().filter(move |(known, _)| Some(known) == wanted.as_ref());
        found.map(|(_, value)| value.as_str())
    }

    /// The stretch of time that a query is about: `from` and `until`, or the published clients'
    /// `startDate` and `endDate`.
    pub(super) fn stretch(&self) -> Result<(Option<Millis>, Option<Millis>), Error> {
        interval(|name| self.instant(name))
    }

    /// A number in a query parameter.
    pub(super) fn number(&self, name: &'static str) -> Result<Option<u64>, Error> {
        let Some(text) = self.text(name) else { return Ok(None) };
        match text.parse() {
            Ok(number) if i64::try_from(number).is_ok() => Ok(Some(number)),
            _ => {
                let message = format!("{name} must be a whole number, 0 or more");
                Err(Error::invalid(name, message))
            }
        }
    }

    /// An instant in a query parameter: RFC 3339, or a date alone (its first instant in UTC).
    pub(super) fn instant(&self, name: &'static str) -> Result<Option<Millis>, Error> {
        let Some(text) = self.text(name) else { return Ok(None) };
        // In a query an unencoded plus sign stands for a space.
        let text = text.replace(' ', "+");
        let whole: Cow<'_, str> =
            if text.len() == 10 { format!("{text}T00:00:00Z").into() } else { text.into() };
        parse_rfc3339(&whole).map(Some).ok_or_else(|| {
            let message = format!("{name} must be RFC 3339, such as 2026-11-20T20:18:07Z");
            Error::invalid(name, message)
        })
    }

    /// Whether a query parameter says yes.
    pub(super) fn flag(&self, name: &'static str) -> Result<bool, Error> {
        match self.text(name) {
            None | Some("false" | "0") => Ok(false),
            Some("true" | "1") => Ok(true),
            Some(_) => Err(Error::invalid(name, format!("{name} must be true or false"))),
        }
    }

    /// Waits, where `?consistency=linearizable` asks for it, until this node has seen everything
    /// that was committed anywhere. Reads are local otherwise.
    pub(super) async fn settle(&self, app: &AppState) -> Result<(), Error> {
        match self.text("consistency") {
            None | Some("local") => Ok(()),
            Some("linearizable") => Ok(app.cluster.linearize().await?),
            Some(_) => {
                let message = "consistency must be local or linearizable";
                Err(Error::invalid("consistency", message))
            }
        }
    }

    /// 403 for API keys.
    pub(super) fn operators_only(&self) -> Result<(), Error> {
        match self.caller {
            Caller::Operator => Ok(()),
            Caller::Client { .. } => Err(Error::forbidden(
                "this route needs the node's username and password, an api key is not enough",
            )),
        }
    }
}

/// The parameters of a query, as given.
pub(super) fn parameters(query: &str) -> Vec<(String, String)> {
    form_urlencoded::parse(query.as_bytes()).into_owned().collect()
}

/// The same, names in canonical form.
fn known(query: &str) -> Vec<(String, String)> {
    let mut buffer = [0; 24];
    let canonical = |(name, value): (String, String)| {
        canonical(&name, &mut buffer).map(|name| (name.to_owned(), value))
    };
    parameters(query).into_iter().filter_map(canonical).collect()
}

impl FromRequestParts<Arc<AppState>> for Ask {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<AppState>) -> Result<Self, Error> {
        let mount = parts.extensions.get().copied().unwrap_or(Mount::Root);
        // Only routes behind `authenticate` take an `Ask`.
        let caller = parts.extensions.get().copied().ok_or_else(Error::unauthorized)?;
        Ok(Self { mount, caller, parameters: known(parts.uri.query().unwrap_or_default()) })
    }
}

/// The text in a route's `{id}`.
#[derive(Debug)]
pub(super) struct IdText(pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for IdText {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let params = RawPathParams::from_request_parts(parts, state)
            .await
            .map_err(|_| Error::bad_request("the path is not valid UTF-8"))?;
        let found = params.iter().find(|(name, _)| *name == "id");
        found
            .map(|(_, text)| Self(text.to_owned()))
            .ok_or_else(|| Error::not_found("this route needs an id"))
    }
}

/// The number in a route's `{id}`. One that no record can have is 0, which is never found.
#[derive(Clone, Copy, Debug)]
pub(super) struct Id(pub(super) u64);

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let IdText(text) = IdText::from_request_parts(parts, state).await?;
        if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
            return Err(Error::invalid("id", "id in the path must be a number"));
        }
        let id = text.parse().ok().filter(|id: &u64| i64::try_from(*id).is_ok());
        Ok(Self(id.unwrap_or(0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(query: &str) -> Ask {
        Ask { mount: Mount::Root, caller: Caller::Operator, parameters: known(query) }
    }

    #[test]
    fn mounts_are_told_by_their_prefix() {
        for (path, mount) in [
            ("/jobs", Mount::Root),
            ("/v1/jobs", Mount::V1),
            ("/v1", Mount::V1),
            ("/v1x/jobs", Mount::Root),
            ("/api/v1/jobs/1", Mount::ApiV1),
            ("/api", Mount::Root),
        ] {
            assert_eq!(Mount::of(path), mount, "{path}");
        }
    }

    #[test]
    fn parameters_are_known_in_either_casing() {
        for query in ["project_id=7", "projectId=7", "x&projectID=7"] {
            assert_eq!(ask(query).number("projectId").unwrap(), Some(7), "{query}");
        }
        for bad in ["-1", "1.5", "x", "%00", "18446744073709551615", "9999999999999999999999"] {
            let error = ask(&format!("limit={bad}")).number("limit").unwrap_err();
            assert_eq!(error.status(), 400, "{bad}");
        }
        let at = |text: &str| ask(&format!("startDate={text}")).instant("startDate");
        assert_eq!(at("1970-01-02").unwrap(), Some(86_400_000));
        assert_eq!(at("1970-01-01T01:00:00+01:00").unwrap(), Some(0));
        assert_eq!(at("tomorrow").unwrap_err().status(), 400);
        assert_eq!(at("%C3%A4%C3%A4%C3%A4%C3%A4%C3%A4").unwrap_err().status(), 400);
        assert!(ask("cascade=true").flag("cascade").unwrap());
        let many = ask("label=a%3D1&x=2&Label=b");
        assert!(many.texts("label").eq(["a=1", "b"]));
        let stretch = |query: &str| ask(query).stretch().map_err(|error| error.status().as_u16());
        assert_eq!(
            stretch("from=1970-01-02&endDate=1970-01-03"),
            Ok((Some(86_400_000), Some(172_800_000)))
        );
        assert_eq!(stretch("startDate=1970-01-02"), Ok((Some(86_400_000), None)));
        assert_eq!(stretch("from=1970-01-02&start_date=1970-01-02"), Err(400));
        assert!(ask("cascade=yes").flag("cascade").is_err());
    }
}
