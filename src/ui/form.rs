//! Forms: the body of a POST as names and values, what its use case is told beside them, and the
//! answers to one. The length and the time of a body are bounded, and its memory counts like that
//! of a body of the API. `enter` has checked where it comes from.

use std::sync::Arc;

use axum::extract::{FromRequest, Request};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use serde_json::{Number, Value};
use url::form_urlencoded;

use crate::api::{Hold, read_body};
use crate::app::conditions::{Conditions, NamedVersion, Versions};
use crate::app::idempotency::Key;
use crate::app::{Error, ErrorKind};
use crate::ui::context::{FLASH, Page, who};
use crate::ui::error::PageError;
use crate::ui::state::UiState;

/// The longest body of an ordinary form, in bytes.
const LONGEST: usize = 1 << 20;
/// The longest body of a form with the data of a job, in bytes: the largest data, percent-encoded.
const LONGEST_WITH_DATA: usize = 8 << 20;
/// The longest body of somebody who has not signed in.
pub(crate) const LONGEST_OPEN: usize = 64 * 1_024;

/// The fields of a form.
#[derive(Clone, Debug, Default)]
pub(crate) struct Form {
    fields: Vec<(String, String)>,
    /// The memory that the body was counted with, for as long as the fields are there.
    _hold: Option<Arc<Hold>>,
}

/// A form that may hold the data of a job.
#[derive(Clone, Debug)]
pub(crate) struct LongForm(pub(crate) Form);

impl Form {
    /// Reads the body of a request.
    ///
    /// # Errors
    ///
    /// 400 where it is no form, too long or too slow; 503 where this node, or its share for one
    /// client, has no memory for it.
    pub(crate) async fn read(
        ui: &UiState,
        request: Request,
        longest: usize,
    ) -> Result<Self, PageError> {
        let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        if !kind.is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded")) {
            return Err(PageError::bad_form("It must be sent as a browser sends a form."));
        }
        let read = read_body(&ui.bodies, request, longest).await;
        let (body, hold) = read.map_err(crate::api::Error::into_app)?;
        let fields = form_urlencoded::parse(&body).into_owned().collect();
        Ok(Self { fields, _hold: Some(Arc::new(hold)) })
    }

    /// A form of these fields.
    pub(crate) fn of(fields: Vec<(String, String)>) -> Self {
        Self { fields, _hold: None }
    }

    /// The form without some of its fields.
    #[must_use]
    pub(crate) fn without(mut self, names: &[&str]) -> Self {
        self.fields.retain(|(name, _)| !names.contains(&name.as_str()));
        self
    }

    /// The form with another value of a field.
    #[must_use]
    pub(crate) fn with(&self, name: &str, value: &str) -> Self {
        let mut form = self.clone().without(&[name]);
        form.fields.push((name.to_owned(), value.to_owned()));
        form
    }

    /// All fields, in their order.
    pub(crate) fn fields(&self) -> impl Iterator<Item = (&str, &str)> {
        self.fields.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// A field as it was entered; `None` where the form does not have it.
    pub(crate) fn raw(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// All values of a field that may come several times.
    pub(crate) fn each(&self, name: &str) -> impl Iterator<Item = &str> {
        self.fields.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The names of all fields, in their order.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.fields.iter().map(|(name, _)| name.as_str())
    }

    /// A field without spaces around it; empty fields count as absent.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.raw(name).map(str::trim).filter(|value| !value.is_empty())
    }
}

impl FromRequest<Arc<UiState>> for Form {
    type Rejection = PageError;

    async fn from_request(request: Request, ui: &Arc<UiState>) -> Result<Self, PageError> {
        Self::read(ui, request, LONGEST).await
    }
}

impl FromRequest<Arc<UiState>> for LongForm {
    type Rejection = PageError;

    async fn from_request(request: Request, ui: &Arc<UiState>) -> Result<Self, PageError> {
        Form::read(ui, request, LONGEST_WITH_DATA).await.map(Self)
    }
}

/// Leads to a page that says what was done.
pub(crate) fn done(to: &str, message: &str) -> Response {
    let mut response = Redirect::to(to).into_response();
    let text: String = form_urlencoded::byte_serialize(message.as_bytes()).collect();
    let cookie = format!("{FLASH}={text}; Path=/ui; Max-Age=20; HttpOnly; SameSite=Lax");
    if let Ok(cookie) = HeaderValue::from_str(&cookie) {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response
}

impl Page {
    /// The name under which a change by this page is noted.
    pub(crate) fn by(&self) -> Option<String> {
        self.context.session.as_ref().map(|session| format!("{} (web)", who(session)))
    }

    /// The idempotency key of a form, so that a double click is one request.
    /// What was entered is part of the key: a form that is
    /// changed and sent once more is another request.
    pub(crate) fn key(&self, form: &Form, route: &str, body: &str) -> Option<Key> {
        let given = format!("{} {body}", form.text("key")?);
        Some(Key::new(&self.actor, route, given.as_bytes(), body.as_bytes()))
    }
}

/// The condition that a record is still at the version that a form was made from.
pub(crate) fn at_version(form: &Form) -> Conditions {
    let version = form.text("version").and_then(|text| text.parse().ok());
    let named =
        version.map(|version| Versions::Listed(vec![NamedVersion { version, weak: false }]));
    Conditions { if_match: named, if_none_match: None }
}

/// The status of a form that is shown once more with an error in it.
///
/// # Errors
///
/// The error as a page, where it has nothing to do with what was entered.
pub(crate) fn refused_status(error: &Error) -> Result<StatusCode, PageError> {
    let of_input = matches!(
        error.kind(),
        ErrorKind::Malformed
            | ErrorKind::Invalid
            | ErrorKind::TargetNotAllowed
            | ErrorKind::Unprocessable
            | ErrorKind::Payload
            | ErrorKind::Conflict
            | ErrorKind::Stale
            | ErrorKind::TooLarge
            | ErrorKind::Unavailable
            | ErrorKind::NoSpace
    );
    let page = PageError::from(error.clone());
    if of_input { Ok(page.status) } else { Err(page) }
}

/// A text as a number where it is one; else as it is, for the error of `app`.
pub(crate) fn number(text: &str) -> Value {
    serde_json::from_str::<Number>(text).map_or_else(|_| text.into(), Value::Number)
}
