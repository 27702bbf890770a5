//! The fields of an executor in a request, and the executor that they make of an old one. A field
//! that the request does not name stays, in `PUT` as in `PATCH`: secrets are not shown, so no
//! client could send all of it. `PATCH` is a JSON Merge Patch (RFC 7396): within `http` too it
//! changes only the fields that it names, and null clears. In `PUT` a text that is null is one that
//! the client has not set, and `http` is replaced whole.

use serde_json::Value;
use zeroize::Zeroizing;

use crate::api::http::error::Error;
use crate::api::http::fields::Fields;
use crate::api::state::AppState;
use crate::api::targets::settings::{SettingsPatch, types};
use crate::api::targets::signing;
use crate::app::fields::check_text;
use crate::app::patch::Patch;
use crate::app::signing::{OVERLAP, changed};
use crate::app::targets::http::merge::merged;
use crate::app::targets::http::read::read_target;
use crate::app::targets::http::tls::{LONGEST_PEM, Names, TlsInput};
use crate::app::targets::http::url::check_url;
use crate::delivery::registry::Registry;
use crate::executor::guard::TargetGuard;
use crate::model::target::{Executor, Sealed, Tls, WEBHOOK_URL};
use crate::secret::purpose;

const LONGEST_NAME: usize = 256;
/// The longest `createdBy` and `modifiedBy`, in bytes.
const LONGEST_BY: usize = 256;
/// The longest text that is kept for clients, in bytes.
const LONGEST_TEXT: usize = 2_048;
/// The longest secret that is kept for clients, in bytes.
const LONGEST_SECRET: usize = 4_096;
const MOST_CONCURRENCY: u64 = 10_000;
const MOST_RATE: u64 = 100_000;

/// The kinds of the published clients.
const KINDS: [&str; 3] = [WEBHOOK_URL, "cloud_function", "container"];
/// The methods that can carry a batch.
const METHODS: [&str; 2] = ["POST", "PUT"];
/// Fields that a `GET` shows and nobody can set.
const READ_ONLY: &[&str] = &[
    "id",
    "version",
    "dateCreated",
    "dateModified",
    "accountId",
    "deletedBy",
    "webhookSecretSet",
    "previousSecretUntil",
    "cloudApiKeySet",
    "cloudApiSecretSet",
    "clientKeySet",
];
/// The names of the TLS fields of `webhookUrl`.
const TLS: Names = ["ca", "clientCert", "clientKey"];

/// The fields of a request.
pub(crate) struct ExecutorPatch {
    name: Option<String>,
    kind: Option<String>,
    region: Patch<String>,
    cloud_provider: Patch<String>,
    cloud_resource_url: Patch<String>,
    cloud_api_key: Patch<Zeroizing<String>>,
    cloud_api_secret: Patch<Zeroizing<String>>,
    webhook_url: Patch<String>,
    webhook_method: Patch<String>,
    webhook_secret: Patch<Zeroizing<String>>,
    http: Patch<Value>,
    ca: Patch<String>,
    client_cert: Patch<String>,
    client_key: Patch<Zeroizing<String>>,
    settings: SettingsPatch,
    /// `true` if `http` is a patch of the one that is there.
    merges: bool,
    max_concurrency: Patch<u32>,
    rate_per_second: Patch<u32>,
    created_by: Option<String>,
    modified_by: Option<String>,
}

impl ExecutorPatch {
    /// Reads the fields of a `POST` or `PUT`.
    pub(crate) fn read(fields: &mut Fields, executors: &Registry) -> Result<Self, Error> {
        Self::fields(fields, executors, false)
    }

    /// Reads the fields of a `PATCH`.
    pub(crate) fn patch(fields: &mut Fields, executors: &Registry) -> Result<Self, Error> {
        fields.not_null(&["name", "type"])?;
        Self::fields(fields, executors, true)
    }

    /// Reads the fields, each by itself. An empty text means that the client has not set the field.
    fn fields(fields: &mut Fields, executors: &Registry, merges: bool) -> Result<Self, Error> {
        let set = |text: Option<String>| text.filter(|text| !text.is_empty());
        let text = |fields: &mut Fields, name| {
            let given = fields.patch(name, |fields, name| fields.text(name, LONGEST_TEXT))?;
            Ok::<_, Error>(if merges || given != Patch::Clear { given } else { Patch::Keep })
        };
        // For these fields an empty text keeps the value, and only null in a patch clears it.
        let filled = |given: Patch<String>| match given {
            Patch::Set(text) if text.is_empty() => Patch::Keep,
            given => given,
        };
        let edit = Self {
            name: set(fields.text("name", LONGEST_NAME)?),
            kind: set(fields.text("type", LONGEST_NAME)?),
            region: text(fields, "region")?,
            cloud_provider: text(fields, "cloudProvider")?,
            cloud_resource_url: text(fields, "cloudResourceUrl")?,
            cloud_api_key: fields.patch("cloudApiKey", secret)?,
            cloud_api_secret: fields.patch("cloudApiSecret", secret)?,
            webhook_url: filled(text(fields, "webhookUrl")?),
            webhook_method: filled(text(fields, "webhookMethod")?),
            webhook_secret: fields
                .patch("webhookSecret", |fields, _| signing::read_secret(fields))?,
            http: fields.patch("http", |fields, name| Ok(fields.take(name)))?,
            ca: fields.patch("ca", |fields, name| fields.text(name, LONGEST_PEM))?,
            client_cert: fields
                .patch("clientCert", |fields, name| fields.text(name, LONGEST_PEM))?,
            client_key: fields.patch("clientKey", |fields, name| {
                Ok(fields.text(name, LONGEST_PEM)?.map(Zeroizing::new))
            })?,
            settings: SettingsPatch::read(fields, executors)?,
            merges,
            max_concurrency: fields.patch("maxConcurrency", |fields, name| {
                limit(name, fields.number(name)?, MOST_CONCURRENCY)
            })?,
            rate_per_second: fields.patch("ratePerSecond", |fields, name| {
                limit(name, fields.number(name)?, MOST_RATE)
            })?,
            created_by: fields.text("createdBy", LONGEST_BY)?,
            modified_by: by(fields)?,
        };
        fields.ignore(READ_ONLY);
        Ok(edit)
    }

    /// The new executor that the request makes.
    pub(crate) fn create(self, app: &AppState) -> Result<Executor, Error> {
        let blank = Executor {
            kind: WEBHOOK_URL.to_owned(),
            webhook_method: METHODS[0].to_owned(),
            created_by: self.created_by.clone(),
            ..Executor::default()
        };
        let made = self.apply_to(app, &blank)?;
        Ok(Executor { modified_by: None, ..made })
    }

    /// The executor after the request.
    pub(crate) fn apply_to(&self, app: &AppState, old: &Executor) -> Result<Executor, Error> {
        let mut new = old.clone();
        let guard = app.app.guard();
        for (said, place) in [
            (&self.region, &mut new.region),
            (&self.cloud_provider, &mut new.cloud_provider),
            (&self.cloud_resource_url, &mut new.cloud_resource_url),
        ] {
            match said {
                Patch::Keep => {}
                Patch::Clear => place.clear(),
                Patch::Set(said) => place.clone_from(said),
            }
        }
        if let Some(name) = &self.name {
            new.name.clone_from(name);
        }
        if new.name.trim().is_empty() {
            return Err(Error::invalid("name", "name field is required"));
        }
        if let Some(kind) = &self.kind {
            new.kind = one_of("type", kind, &types(&KINDS, &app.app.executors))?;
        }
        match &self.webhook_method {
            Patch::Keep => {}
            Patch::Clear => METHODS[0].clone_into(&mut new.webhook_method),
            Patch::Set(method) => {
                let method = one_of("webhookMethod", &method.to_ascii_uppercase(), &METHODS);
                new.webhook_method = method
                    .map_err(|e| e.because("for other methods give http instead of webhookUrl"))?;
            }
        }
        self.target(&mut new, old, app, &guard)?;
        new.tls = self.tls(&new, old, app)?;
        new.settings = self.settings.apply_to(&new.kind, old, &app.app.executors)?;
        let seal = |given: &Patch<Zeroizing<String>>, old: &Option<Sealed>, purpose| match given {
            Patch::Keep => old.clone(),
            Patch::Clear => None,
            Patch::Set(text) => Some(app.keys.seal(text, purpose)),
        };
        new.cloud_api_key = seal(&self.cloud_api_key, &old.cloud_api_key, purpose::CLOUD_API_KEY);
        new.cloud_api_secret =
            seal(&self.cloud_api_secret, &old.cloud_api_secret, purpose::CLOUD_API_SECRET);
        match &self.webhook_secret {
            Patch::Keep => {}
            Patch::Clear => new.signing.clear(),
            Patch::Set(text) => {
                let sealed = app.keys.seal(text, purpose::SIGNING);
                new.signing = changed(&old.signing, sealed, app.time.now(), OVERLAP);
            }
        }
        new.max_concurrency = self.max_concurrency.clone().apply_to(old.max_concurrency);
        new.rate_per_second = self.rate_per_second.clone().apply_to(old.rate_per_second);
        new.modified_by.clone_from(&self.modified_by);
        Ok(new)
    }

    /// The TLS of the URL for batches; `http` has its own.
    fn tls(
        &self,
        new: &Executor,
        old: &Executor,
        app: &AppState,
    ) -> Result<Option<Box<Tls>>, Error> {
        let named = [
            ("ca", matches!(self.ca, Patch::Set(_))),
            ("clientCert", matches!(self.client_cert, Patch::Set(_))),
            ("clientKey", matches!(self.client_key, Patch::Set(_))),
        ];
        if new.http.is_some() {
            return match named.iter().find(|(_, given)| *given) {
                None => Ok(None),
                Some((name, _)) => {
                    let message = format!("{name} is for webhookUrl: of http it stands in http");
                    Err(Error::invalid(name, message))
                }
            };
        }
        let known = old.tls.as_deref();
        let of = |given: &Patch<String>, part: fn(&Tls) -> &String| {
            given.clone().apply_to(known.map(|tls| part(tls).clone())).unwrap_or_default()
        };
        let input = TlsInput {
            ca: of(&self.ca, |tls| &tls.ca),
            client_cert: of(&self.client_cert, |tls| &tls.client_cert),
            client_key: self.client_key.clone().apply_to(None),
            forget_key: self.client_key == Patch::Clear,
        };
        Ok(input.read(TLS, &new.webhook_url, &app.keys, known)?)
    }

    /// Sets the target: a URL for batches, or a request for each occurrence. The one that the
    /// request names replaces the other.
    fn target(
        &self,
        new: &mut Executor,
        old: &Executor,
        app: &AppState,
        guard: &TargetGuard,
    ) -> Result<(), Error> {
        match (&self.http, &self.webhook_url) {
            (Patch::Set(_), Patch::Set(_)) => {
                let message = "give webhookUrl (batches) or http (a request each), not both";
                return Err(Error::invalid("http", message));
            }
            (Patch::Set(http), _) => {
                let known = old.http.as_deref();
                let http = http.clone();
                let whole = if self.merges { merged(known, http)? } else { http };
                let read = read_target(whole, guard, &app.keys, known)?;
                new.http = Some(Box::new(read));
                new.webhook_url.clear();
            }
            (_, Patch::Set(url)) => {
                check_url("webhookUrl", url, guard)?;
                if url.contains("{{") {
                    let message = "webhookUrl takes batches, placeholders are for http.url";
                    return Err(Error::invalid("webhookUrl", message));
                }
                new.webhook_url.clone_from(url);
                new.http = None;
            }
            (http, url) => {
                if *http == Patch::Clear {
                    new.http = None;
                }
                if *url == Patch::Clear {
                    new.webhook_url.clear();
                }
            }
        }
        match (new.kind == WEBHOOK_URL, &new.http) {
            (true, None) if new.webhook_url.is_empty() => {
                let message = "webhookUrl is required for type webhook_url, or http in its place";
                Err(Error::invalid("webhookUrl", message))
            }
            (false, Some(_)) => {
                let message = format!("http needs type {WEBHOOK_URL}, not {}", new.kind);
                Err(Error::invalid("http", message))
            }
            _ => Ok(()),
        }
    }
}

/// Reads `modifiedBy`.
pub(crate) fn by(fields: &mut Fields) -> Result<Option<String>, Error> {
    fields.text("modifiedBy", LONGEST_BY)
}

fn secret(fields: &mut Fields, name: &'static str) -> Result<Option<Zeroizing<String>>, Error> {
    let text = fields.text(name, LONGEST_SECRET)?.filter(|text| !text.is_empty());
    Ok(text.map(Zeroizing::new))
}

fn limit(name: &'static str, given: Option<u64>, most: u64) -> Result<Option<u32>, Error> {
    match given {
        Some(n) if n == 0 || n > most => {
            let message = format!("{name} must be from 1 to {most}, or null for no limit");
            Err(Error::invalid(name, message))
        }
        given => Ok(given.map(|n| n as u32)),
    }
}

fn one_of(field: &'static str, given: &str, known: &[&str]) -> Result<String, Error> {
    check_text(field, given, LONGEST_NAME)?;
    if !known.contains(&given) {
        let message = format!("{field} must be one of {}", known.join(", "));
        return Err(Error::invalid(field, message));
    }
    Ok(given.to_owned())
}
