//! The parts of a request that every handler may need beside the body: its actor, its route prefix
//! and its query. `middleware` has put the first two there.

use crate::api::http::fields::interval;
use std::borrow::Cow;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use url::form_urlencoded;

use crate::api::http::error::Error;
use crate::api::http::route_prefix::RoutePrefix;
use crate::api::state::AppState;
use crate::app::fields::canonical;
use crate::app::{Actor, App};
use crate::auth::{Caller, ChosenAccount};
use crate::listen::Connection;
use crate::model::Millis;
use crate::model::job::Casing;
use crate::model::reach::Reach;
use crate::model::time::parse_rfc3339;

/// A request without its body.
#[derive(Debug)]
pub(crate) struct RequestContext {
    pub(crate) prefix: RoutePrefix,
    pub(crate) actor: Actor,
    /// Values by canonical names. `http::query` has refused the names that the route does not know.
    parameters: Vec<(String, String)>,
}

impl RequestContext {
    /// The casing of the answer.
    pub(crate) fn casing(&self) -> Casing {
        self.prefix.casing()
    }

    /// A query parameter by its camelCase name, in either casing.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.texts(name).next()
    }

    /// All values of a query parameter that may come several times.
    pub(crate) fn texts(&self, name: &str) -> impl Iterator<Item = &str> {
        let mut buffer = [0; 24];
        let wanted = canonical(name, &mut buffer).map(str::to_owned);
        let found = self.parameters.iter().filter(move |(known, _)| Some(known) == wanted.as_ref());
        found.map(|(_, value)| value.as_str())
    }

    /// The interval that a query names: `from` and `until`, or the published clients' `startDate`
    /// and `endDate`.
    pub(crate) fn interval(&self) -> Result<(Option<Millis>, Option<Millis>), Error> {
        interval(|name| self.instant(name))
    }

    /// A number in a query parameter.
    pub(crate) fn number(&self, name: &'static str) -> Result<Option<u64>, Error> {
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
    pub(crate) fn instant(&self, name: &'static str) -> Result<Option<Millis>, Error> {
        let Some(text) = self.text(name) else { return Ok(None) };
        // In a query an unencoded plus sign means a space.
        let text = text.replace(' ', "+");
        let whole: Cow<'_, str> =
            if text.len() == 10 { format!("{text}T00:00:00Z").into() } else { text.into() };
        parse_rfc3339(&whole).map(Some).ok_or_else(|| {
            let message = format!("{name} must be RFC 3339, such as 2026-11-20T20:18:07Z");
            Error::invalid(name, message)
        })
    }

    /// A truth value in a query parameter; absence is false.
    pub(crate) fn flag(&self, name: &'static str) -> Result<bool, Error> {
        match self.text(name) {
            None | Some("false" | "0") => Ok(false),
            Some("true" | "1") => Ok(true),
            Some(_) => Err(Error::invalid(name, format!("{name} must be true or false"))),
        }
    }

    /// Says whether the caller asks for all that was committed before the request.
    pub(crate) fn is_linearizable(&self) -> bool {
        self.text("consistency") == Some("linearizable")
    }

    /// Waits until this node has applied everything that was committed anywhere, where
    /// `?consistency=linearizable` asks for it. Reads are local otherwise.
    pub(crate) async fn apply_consistency(&self, app: &App) -> Result<(), Error> {
        match self.text("consistency") {
            None | Some("local") => Ok(()),
            Some("linearizable") => Ok(app.linearize().await?),
            Some(_) => {
                let message = "consistency must be local or linearizable";
                Err(Error::invalid("consistency", message))
            }
        }
    }
}

/// The parameters of a query, by the names given.
pub(crate) fn parameters(query: &str) -> Vec<(String, String)> {
    form_urlencoded::parse(query.as_bytes()).into_owned().collect()
}

/// The parameters of a query, by canonical names.
fn known(query: &str) -> Vec<(String, String)> {
    let mut buffer = [0; 24];
    let canonical = |(name, value): (String, String)| {
        canonical(&name, &mut buffer).map(|name| (name.to_owned(), value))
    };
    parameters(query).into_iter().filter_map(canonical).collect()
}

impl FromRequestParts<Arc<AppState>> for RequestContext {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<AppState>) -> Result<Self, Error> {
        let prefix = parts.extensions.get().copied().unwrap_or(RoutePrefix::Root);
        // Only routes behind `authenticate` take a `RequestContext`.
        let caller: Caller = parts.extensions.get().cloned().ok_or_else(Error::unauthorized)?;
        let address = parts.extensions.get::<Connection>().map(Connection::client_address);
        let actor = Actor::from(caller).at(address);
        let actor = match parts.extensions.get() {
            Some(ChosenAccount(account)) => actor.within(&Reach::of_account(*account)),
            None => actor,
        };
        Ok(Self { prefix, actor, parameters: known(parts.uri.query().unwrap_or_default()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context(query: &str) -> RequestContext {
        RequestContext {
            prefix: RoutePrefix::Root,
            actor: Actor::from(Caller::Operator),
            parameters: known(query),
        }
    }

    #[test]
    fn parameters_are_known_in_either_casing() {
        for query in ["project_id=7", "projectId=7", "x&projectID=7"] {
            assert_eq!(context(query).number("projectId").unwrap(), Some(7), "{query}");
        }
        for bad in ["-1", "1.5", "x", "%00", "18446744073709551615", "9999999999999999999999"] {
            let error = context(&format!("limit={bad}")).number("limit").unwrap_err();
            assert_eq!(error.status(), 400, "{bad}");
        }
        let at = |text: &str| context(&format!("startDate={text}")).instant("startDate");
        assert_eq!(at("1970-01-02").unwrap(), Some(86_400_000));
        assert_eq!(at("1970-01-01T01:00:00+01:00").unwrap(), Some(0));
        assert_eq!(at("tomorrow").unwrap_err().status(), 400);
        assert_eq!(at("%C3%A4%C3%A4%C3%A4%C3%A4%C3%A4").unwrap_err().status(), 400);
        assert!(context("cascade=true").flag("cascade").unwrap());
        let many = context("label=a%3D1&x=2&Label=b");
        assert!(many.texts("label").eq(["a=1", "b"]));
        let interval =
            |query: &str| context(query).interval().map_err(|error| error.status().as_u16());
        assert_eq!(
            interval("from=1970-01-02&endDate=1970-01-03"),
            Ok((Some(86_400_000), Some(172_800_000)))
        );
        assert_eq!(interval("startDate=1970-01-02"), Ok((Some(86_400_000), None)));
        assert_eq!(interval("from=1970-01-02&start_date=1970-01-02"), Err(400));
        assert!(context("cascade=yes").flag("cascade").is_err());
    }
}
