//! The error of a use case: what kind it is of, a message, and the field and place that it is
//! about. The API makes a status and JSON of it. It never carries a secret or a path of this
//! machine.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::command::Outcome;
use crate::model::run_report::RunState;
use crate::model::scope::Scopes;

/// The kind of an error, which decides its code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The input as a whole cannot be understood.
    Malformed,
    /// The value of a field is not valid.
    Invalid,
    /// Calls must not go to the target that a field names.
    TargetNotAllowed,
    /// The input is well-formed, but not what the use case accepts.
    Unprocessable,
    /// The payload for a template's instance is refused; the error has its fields.
    Payload,
    /// The key of the request was used with another input.
    KeyReused,
    /// The actor may not do this.
    Forbidden,
    /// The actor lacks scopes, which the error names.
    MissingScopes,
    /// The account would have more than its limit, or has used up its executions.
    QuotaExceeded,
    /// The account lacks a feature that the job needs.
    FeatureDisabled,
    /// The request names another account than that of its key.
    AccountMismatch,
    /// The record does not exist.
    NotFound,
    /// The state of a record conflicts with the request.
    Conflict,
    /// A member of the cluster is too old for this.
    UpgradePending,
    /// The record is not at the version that the request names.
    Stale,
    /// The input is too large.
    TooLarge,
    /// Not possible at the moment; nothing is wrong with the request.
    Unavailable,
    /// Other requests take too much at the moment.
    Busy,
    /// The actor has as many of these as it may have at a time.
    TooMany,
    /// The read took too long and was ended.
    TooSlow,
    /// The disk is nearly full.
    NoSpace,
    /// A fault of this program. No input leads here.
    Internal,
}

impl ErrorKind {
    /// The code of the kind, which programs tell errors apart by. Codes never change.
    pub fn code(self) -> &'static str {
        match self {
            Self::Malformed => "bad_request",
            Self::Invalid => "invalid",
            Self::TargetNotAllowed => "target_not_allowed",
            Self::Unprocessable => "unprocessable",
            Self::Payload => "payload",
            Self::KeyReused => "idempotency_key_reused",
            Self::Forbidden => "forbidden",
            Self::MissingScopes => "missing_scopes",
            Self::QuotaExceeded => "quota_exceeded",
            Self::FeatureDisabled => "feature_disabled",
            Self::AccountMismatch => "account_mismatch",
            Self::NotFound => "not_found",
            Self::Conflict => "conflict",
            Self::UpgradePending => "upgrade_pending",
            Self::Stale => "stale",
            Self::TooLarge => "too_large",
            Self::Unavailable => "unavailable",
            Self::Busy => "busy",
            Self::TooMany => "too_many",
            Self::TooSlow => "too_slow",
            Self::NoSpace => "no_space",
            Self::Internal => "internal",
        }
    }

    /// The seconds after which the same request may succeed, for kinds that pass by themselves.
    fn retry_after(self) -> Option<u64> {
        match self {
            Self::Unavailable | Self::Busy | Self::TooMany | Self::TooSlow => Some(1),
            Self::NoSpace => Some(30),
            _ => None,
        }
    }
}

/// An error that whoever asked is told.
#[derive(Clone, Debug)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    detail: Option<String>,
    field: Option<&'static str>,
    index: Option<usize>,
    state: Option<RunState>,
    fields: BTreeMap<String, String>,
    missing_scopes: Scopes,
}

impl Error {
    pub(super) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            detail: None,
            field: None,
            index: None,
            state: None,
            fields: BTreeMap::new(),
            missing_scopes: Scopes::NONE,
        }
    }

    /// The input as a whole cannot be understood.
    pub(crate) fn malformed(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Malformed, message)
    }

    /// The value of a field is not valid. `field` is its camelCase name.
    pub(crate) fn invalid(field: &'static str, message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Invalid, message).field(field)
    }

    /// Calls must not go to the target that a field names, by its camelCase name.
    pub(crate) fn target_not_allowed(field: &'static str, message: impl Into<String>) -> Self {
        Self::new(ErrorKind::TargetNotAllowed, message).field(field)
    }

    /// The input is well-formed, but not what the use case accepts.
    pub(crate) fn unprocessable(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unprocessable, message)
    }

    /// A payload is refused, for these reasons by field.
    pub(crate) fn payload(message: impl Into<String>, fields: BTreeMap<String, String>) -> Self {
        Self::new(ErrorKind::Payload, message).with_fields(fields)
    }

    /// The actor may not do this.
    pub(crate) fn forbidden(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Forbidden, message)
    }

    /// The account lacks a feature that the job needs.
    pub(crate) fn feature_disabled(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::FeatureDisabled, message)
    }

    /// The request names another account than that of its key.
    pub(crate) fn account_mismatch(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::AccountMismatch, message)
    }

    /// The record does not exist.
    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::NotFound, message)
    }

    /// The state of a record conflicts with the request.
    pub(crate) fn conflict(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Conflict, message)
    }

    /// The record is not at the version that the request names.
    pub(crate) fn stale(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Stale, message)
    }

    /// The input is too large.
    pub(crate) fn too_large(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::TooLarge, message)
    }

    /// Not possible at the moment: the same request may succeed soon.
    pub(crate) fn unavailable(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unavailable, message)
    }

    /// Other requests take too much at the moment.
    pub(crate) fn busy(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Busy, message)
    }

    /// The actor has as many of these as it may have at a time.
    pub(crate) fn too_many(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::TooMany, message)
    }

    /// The read took longer than `limit` and was ended. [`Error::narrow`] adds a way to ask for
    /// less.
    pub(crate) fn slow_read(limit: Duration) -> Self {
        let seconds = limit.as_secs();
        let message = format!("this takes more than {seconds} s to read, and was ended");
        Self::new(ErrorKind::TooSlow, message)
    }

    /// The disk is nearly full.
    pub(crate) fn no_space() -> Self {
        let message =
            "the disk of this node is nearly full: writes are refused until there is room";
        Self::new(ErrorKind::NoSpace, message)
    }

    /// A fault of this program. The cause goes to the log, not to whoever asked.
    pub(crate) fn internal() -> Self {
        Self::new(ErrorKind::Internal, "this node failed to answer: see its log")
    }

    /// Adds a way to ask for less to the error of a read that took too long.
    #[must_use]
    pub(crate) fn narrow(self, hint: &str) -> Self {
        if self.kind == ErrorKind::TooSlow { self.because(hint) } else { self }
    }

    /// Makes an input that is not valid one that is not accepted, for use cases whose whole purpose
    /// is to say whether a text is valid.
    #[must_use]
    pub(crate) fn into_unprocessable(mut self) -> Self {
        if matches!(self.kind, ErrorKind::Malformed | ErrorKind::Invalid) {
            self.kind = ErrorKind::Unprocessable;
        }
        self
    }

    /// Names the field, by its camelCase name.
    #[must_use]
    pub(crate) fn field(mut self, field: &'static str) -> Self {
        self.field = Some(field);
        self
    }

    /// Says of several fields what is wrong with each.
    #[must_use]
    pub(crate) fn with_fields(mut self, fields: BTreeMap<String, String>) -> Self {
        self.fields = fields;
        self
    }

    /// Names the index in the request's list.
    #[must_use]
    pub(crate) fn at(mut self, index: usize) -> Self {
        self.index = Some(index);
        self
    }

    /// Names the state of the run that the error is about.
    #[must_use]
    pub(crate) fn in_state(mut self, state: Option<RunState>) -> Self {
        self.state = state;
        self
    }

    /// Names the scopes that the actor lacks.
    #[must_use]
    pub(super) fn lacking(self, missing_scopes: Scopes) -> Self {
        Self { missing_scopes, ..self }
    }

    /// Adds a reason to a message that the original's clients know.
    #[must_use]
    pub(crate) fn because(mut self, reason: impl std::fmt::Display) -> Self {
        self.detail = Some(format!("{}: {reason}", self.message));
        self
    }

    /// Replaces the message in the detail, where the message that the original's clients know says
    /// too little.
    #[must_use]
    pub(crate) fn says(mut self, sentence: impl Into<String>) -> Self {
        self.detail = Some(sentence.into());
        self
    }

    /// The scopes that the actor lacks.
    pub fn missing_scopes(&self) -> Scopes {
        self.missing_scopes
    }

    /// The kind.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The short message, which clients of the original know.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The whole message, with its reason.
    pub fn detail(&self) -> &str {
        self.detail.as_ref().unwrap_or(&self.message)
    }

    /// The camelCase name of the field that the error is about.
    pub fn field_name(&self) -> Option<&'static str> {
        self.field
    }

    /// The index, in the request's list, of what the error is about.
    pub fn index(&self) -> Option<usize> {
        self.index
    }

    /// The state of the run that the error is about.
    pub fn state(&self) -> Option<RunState> {
        self.state
    }

    /// The error of each field, where several may be wrong. The names are the client's own.
    pub fn fields(&self) -> &BTreeMap<String, String> {
        &self.fields
    }

    /// The seconds after which the same request may succeed.
    pub fn retry_after(&self) -> Option<u64> {
        self.kind.retry_after()
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.detail())
    }
}

impl std::error::Error for Error {}

/// The error of an outcome that is no success: its rejection, or an internal error for an outcome
/// that the command cannot have.
pub(crate) fn refused(outcome: Outcome) -> Error {
    match outcome {
        Outcome::Rejected(rejection) => rejection.into(),
        other => {
            tracing::error!(outcome = %other, "a command came to an outcome that it cannot have");
            Error::internal()
        }
    }
}
