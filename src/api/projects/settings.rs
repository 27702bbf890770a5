//! The settings of a project in requests and answers: the defaults of its jobs, and the secrets
//! that sign its callbacks.

use std::time::Duration;

use serde::Serialize;

use crate::api::http::error::Error;
use crate::api::http::fields::Fields;
use crate::api::targets::signing;
use crate::app::duration;
use crate::app::projects::settings::{
    LONGEST_DELAY, SettingsInput, allowed_targets, retry_factor, retry_max,
};
use crate::model::Millis;
use crate::model::project::ProjectSettings;
use crate::model::target_pattern::LONGEST_PATTERN;
use crate::schedule::show_duration;

/// Reads the settings that a request names. Null leaves a field to the configuration again.
pub(crate) fn read(fields: &mut Fields, max_timeout: Duration) -> Result<SettingsInput, Error> {
    let delay = |fields: &mut Fields, name| fields.duration(name, (0, LONGEST_DELAY));
    Ok(SettingsInput {
        retry_max: fields.patch("retryMax", |fields, name| {
            Ok(fields.number(name)?.map(retry_max).transpose()?)
        })?,
        retry_delay: fields.patch("retryDelay", delay)?,
        retry_factor: fields.patch("retryFactor", |fields, name| {
            let given = fields.take(name);
            Ok(given.map(|value| retry_factor(value.as_f64())).transpose()?)
        })?,
        retry_max_delay: fields.patch("retryMaxDelay", delay)?,
        timeout: fields.patch("timeout", |fields, name| {
            let given = fields.take(name);
            Ok(given.map(|value| duration::timeout(&value, max_timeout)).transpose()?)
        })?,
        secret: fields.patch("webhookSecret", |fields, _| signing::read_secret(fields))?,
        allowed_targets: fields.patch("allowedTargets", |fields, name| {
            Ok(fields
                .texts(name, LONGEST_PATTERN)?
                .map(|texts| allowed_targets(&texts))
                .transpose()?)
        })?,
    })
}

/// The settings as answers show them. Settings that are left to the configuration are absent.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SettingsView {
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_max: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_delay: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_factor: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_max_delay: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timeout: Option<String>,
    webhook_secret_set: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    previous_secret_until: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    allowed_targets: Vec<String>,
}

impl SettingsView {
    /// The settings, as of now.
    pub(crate) fn of(settings: &ProjectSettings, now: Millis) -> Self {
        let delivery = settings.delivery;
        Self {
            retry_max: delivery.retry_max,
            retry_delay: delivery.retry_delay.map(show_duration),
            retry_factor: delivery.retry_factor.map(|factor| f64::from(factor) / 1_000.0),
            retry_max_delay: delivery.retry_max_delay.map(show_duration),
            timeout: delivery.timeout.map(show_duration),
            webhook_secret_set: !settings.signing.is_empty(),
            previous_secret_until: signing::previous_until(&settings.signing, now),
            allowed_targets: settings.allowed_targets.iter().map(ToString::to_string).collect(),
        }
    }
}
