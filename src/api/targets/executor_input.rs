//! The fields of an executor in a request. A field that the request does not name stays, in `PUT`
//! as in `PATCH`: secrets are not shown, so no client could send all of it. `PATCH` is a JSON Merge
//! Patch (RFC 7396): within `http` too it changes only the fields that it names, and null clears.
//! In `PUT` a text that is null is one that the client has not set, and `http` is replaced whole.
//! `app::executors` has the rules.

use crate::api::http::error::Error;
use crate::api::http::fields::Fields;
use crate::api::targets::signing;
use crate::app::executors::input::{
    ExecutorInput, HttpInput, LONGEST_BY, LONGEST_NAME, LONGEST_SECRET, LONGEST_TEXT,
    max_concurrency, rate_per_second,
};
use crate::app::executors::settings::SettingsInput;
use crate::app::patch::Patch;
use crate::app::targets::http::tls::LONGEST_PEM;
use crate::secret::{SecretJson, SecretText};

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

/// Reads the fields of a `POST` or `PUT`. `kinds` are the names of the kinds with settings.
pub(crate) fn read(
    fields: &mut Fields,
    kinds: impl Iterator<Item = &'static str>,
) -> Result<ExecutorInput, Error> {
    read_fields(fields, kinds, false)
}

/// Reads the fields of a `PATCH`.
pub(crate) fn read_patch(
    fields: &mut Fields,
    kinds: impl Iterator<Item = &'static str>,
) -> Result<ExecutorInput, Error> {
    fields.not_null(&["name", "type"])?;
    read_fields(fields, kinds, true)
}

/// Reads the fields, each by itself. An empty text means that the client has not set the field.
fn read_fields(
    fields: &mut Fields,
    kinds: impl Iterator<Item = &'static str>,
    merges: bool,
) -> Result<ExecutorInput, Error> {
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
    let http = if merges { HttpInput::Merge } else { HttpInput::Whole };
    let input = ExecutorInput {
        name: set(fields.text("name", LONGEST_NAME)?),
        kind: set(fields.text("type", LONGEST_NAME)?),
        region: text(fields, "region")?,
        cloud_provider: text(fields, "cloudProvider")?,
        cloud_resource_url: text(fields, "cloudResourceUrl")?,
        cloud_api_key: fields.patch("cloudApiKey", secret)?,
        cloud_api_secret: fields.patch("cloudApiSecret", secret)?,
        webhook_url: filled(text(fields, "webhookUrl")?),
        webhook_method: filled(text(fields, "webhookMethod")?),
        webhook_secret: fields.patch("webhookSecret", |fields, _| signing::read_secret(fields))?,
        http: fields.patch("http", |fields, name| Ok(fields.take(name).map(http)))?,
        ca: fields.patch("ca", |fields, name| fields.text(name, LONGEST_PEM))?,
        client_cert: fields.patch("clientCert", |fields, name| fields.text(name, LONGEST_PEM))?,
        client_key: fields.patch("clientKey", |fields, name| {
            Ok(fields.text(name, LONGEST_PEM)?.map(SecretText::from))
        })?,
        settings: settings(fields, kinds, merges)?,
        max_concurrency: fields.patch("maxConcurrency", |fields, name| {
            Ok(fields.number(name)?.map(max_concurrency).transpose()?)
        })?,
        rate_per_second: fields.patch("ratePerSecond", |fields, name| {
            Ok(fields.number(name)?.map(rate_per_second).transpose()?)
        })?,
        created_by: fields.text("createdBy", LONGEST_BY)?,
        modified_by: modified_by(fields)?,
    };
    fields.ignore(READ_ONLY);
    Ok(input)
}

/// Takes the objects of all kinds out of the fields of a request.
fn settings(
    fields: &mut Fields,
    kinds: impl Iterator<Item = &'static str>,
    merges: bool,
) -> Result<SettingsInput, Error> {
    let take = |fields: &mut Fields, name| Ok(fields.take(name).map(SecretJson::from));
    let given = kinds.map(|kind| Ok((kind, fields.patch(kind, take)?)));
    Ok(SettingsInput::new(given.collect::<Result<_, Error>>()?, merges))
}

/// Reads the name that the caller gives itself.
pub(crate) fn modified_by(fields: &mut Fields) -> Result<Option<String>, Error> {
    fields.text("modifiedBy", LONGEST_BY)
}

fn secret(fields: &mut Fields, name: &'static str) -> Result<Option<SecretText>, Error> {
    let text = fields.text(name, LONGEST_SECRET)?.filter(|text| !text.is_empty());
    Ok(text.map(SecretText::from))
}
