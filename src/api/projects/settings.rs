//! The settings of a project in requests and answers: the defaults of its jobs, and the secrets
//! that sign its callbacks.

use std::time::Duration;

use serde::Serialize;
use zeroize::Zeroizing;

use crate::api::http::duration;
use crate::api::http::error::Error;
use crate::api::http::fields::{Fields, Patch};
use crate::api::targets::signing;
use crate::model::Millis;
use crate::model::delivery::Delivery;
use crate::model::project::ProjectSettings;
use crate::secret::{Keys, purpose};

const YEAR: Millis = 366 * 86_400_000;
/// The bound of a job's `retryMax` too.
const MOST_RETRIES: u64 = 100;
/// The bound of a job's `retryFactor` too.
const LARGEST_FACTOR: f64 = 100.0;

/// The settings that a request names. A field that it does not name stays; null leaves the field to
/// the configuration again.
pub(crate) struct SettingsPatch {
    retry_max: Patch<u32>,
    retry_delay: Patch<Millis>,
    retry_factor: Patch<u32>,
    retry_max_delay: Patch<Millis>,
    timeout: Patch<Millis>,
    secret: Patch<Zeroizing<String>>,
}

impl SettingsPatch {
    /// Reads the fields.
    pub(crate) fn read(fields: &mut Fields, max_timeout: Duration) -> Result<Self, Error> {
        let delay = |fields: &mut Fields, name| fields.duration(name, (0, YEAR));
        Ok(Self {
            retry_max: fields.patch("retryMax", |fields, name| match fields.number(name)? {
                Some(n) if n > MOST_RETRIES => {
                    let message = format!("retryMax must be at most {MOST_RETRIES}");
                    Err(Error::invalid(name, message))
                }
                given => Ok(given.map(|n| n as u32)),
            })?,
            retry_delay: fields.patch("retryDelay", delay)?,
            retry_factor: fields.patch("retryFactor", factor)?,
            retry_max_delay: fields.patch("retryMaxDelay", delay)?,
            timeout: fields.patch("timeout", |fields, name| {
                let given = fields.take(name);
                given.map(|value| duration::timeout(&value, max_timeout)).transpose()
            })?,
            secret: fields.patch("webhookSecret", |fields, _| signing::read_secret(fields))?,
        })
    }

    /// Says whether the request names no setting.
    pub(crate) fn is_empty(&self) -> bool {
        self.retry_max == Patch::Keep
            && self.retry_delay == Patch::Keep
            && self.retry_factor == Patch::Keep
            && self.retry_max_delay == Patch::Keep
            && self.timeout == Patch::Keep
            && self.secret == Patch::Keep
    }

    /// The settings after the request. A new secret leaves the old one a day.
    pub(crate) fn apply_to(
        &self,
        old: &ProjectSettings,
        keys: &Keys,
        now: Millis,
    ) -> ProjectSettings {
        let before = old.delivery;
        let delivery = Delivery {
            retry_max: self.retry_max.clone().apply_to(before.retry_max),
            retry_delay: self.retry_delay.clone().apply_to(before.retry_delay),
            retry_factor: self.retry_factor.clone().apply_to(before.retry_factor),
            retry_max_delay: self.retry_max_delay.clone().apply_to(before.retry_max_delay),
            timeout: self.timeout.clone().apply_to(before.timeout),
        };
        let signing = match &self.secret {
            Patch::Keep => old.signing.clone(),
            Patch::Clear => Vec::new(),
            Patch::Set(text) => {
                let sealed = keys.seal(text, purpose::SIGNING);
                signing::changed(&old.signing, sealed, now, signing::OVERLAP)
            }
        };
        ProjectSettings { delivery, signing }
    }
}

fn factor(fields: &mut Fields, name: &'static str) -> Result<Option<u32>, Error> {
    let Some(value) = fields.take(name) else { return Ok(None) };
    match value.as_f64() {
        Some(factor) if (1.0..=LARGEST_FACTOR).contains(&factor) => {
            Ok(Some((factor * 1_000.0).round() as u32))
        }
        _ => {
            let message = format!("retryFactor must be a number from 1 to {LARGEST_FACTOR}");
            Err(Error::invalid(name, message))
        }
    }
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
}

impl SettingsView {
    /// The settings, as of now.
    pub(crate) fn of(settings: &ProjectSettings, now: Millis) -> Self {
        let delivery = settings.delivery;
        Self {
            retry_max: delivery.retry_max,
            retry_delay: delivery.retry_delay.map(duration::show),
            retry_factor: delivery.retry_factor.map(|factor| f64::from(factor) / 1_000.0),
            retry_max_delay: delivery.retry_max_delay.map(duration::show),
            timeout: delivery.timeout.map(duration::show),
            webhook_secret_set: !settings.signing.is_empty(),
            previous_secret_until: signing::previous_until(&settings.signing, now),
        }
    }
}
