//! Changes of the settings of a project: the defaults of its jobs, and the secrets that sign its
//! callbacks.

use crate::app::error::Error;
use crate::app::patch::Patch;
use crate::app::signing;
use crate::model::Millis;
use crate::model::delivery::Delivery;
use crate::model::project::ProjectSettings;
use crate::model::target_pattern::{MOST_PATTERNS, TargetPattern};
use crate::secret::{Keys, SecretText, purpose};

/// The longest delay, in milliseconds.
pub const LONGEST_DELAY: Millis = 366 * 86_400_000;
/// The bound of a job's `retryMax` too.
const MOST_RETRIES: u64 = 100;
/// The bound of a job's `retryFactor` too.
const LARGEST_FACTOR: f64 = 100.0;

/// The settings that a request names. A field that it does not name stays; a cleared field is left
/// to the configuration again.
#[derive(Clone, Debug)]
pub struct SettingsInput {
    /// Retries after the first attempt, checked by [`retry_max`].
    pub retry_max: Patch<u32>,
    /// Milliseconds.
    pub retry_delay: Patch<Millis>,
    /// Thousandths, made by [`retry_factor`].
    pub retry_factor: Patch<u32>,
    /// Milliseconds.
    pub retry_max_delay: Patch<Millis>,
    /// Milliseconds.
    pub timeout: Patch<Millis>,
    /// The secret that signs, checked by [`signing::check_secret`].
    pub secret: Patch<SecretText>,
    /// Where its jobs may call, read by [`allowed_targets`].
    pub allowed_targets: Patch<Vec<TargetPattern>>,
}

impl SettingsInput {
    /// Settings of a request that names none.
    pub fn none() -> Self {
        Self {
            retry_max: Patch::Keep,
            retry_delay: Patch::Keep,
            retry_factor: Patch::Keep,
            retry_max_delay: Patch::Keep,
            timeout: Patch::Keep,
            secret: Patch::Keep,
            allowed_targets: Patch::Keep,
        }
    }

    /// Says whether the request names no setting.
    pub(super) fn is_empty(&self) -> bool {
        self.retry_max == Patch::Keep
            && self.retry_delay == Patch::Keep
            && self.retry_factor == Patch::Keep
            && self.retry_max_delay == Patch::Keep
            && self.timeout == Patch::Keep
            && self.secret == Patch::Keep
            && self.allowed_targets == Patch::Keep
    }

    /// The settings after the request. A new secret leaves the old one a day.
    pub(super) fn apply_to(
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
        let allowed_targets = match &self.allowed_targets {
            Patch::Keep => old.allowed_targets.clone(),
            Patch::Clear => Vec::new(),
            Patch::Set(patterns) => patterns.clone(),
        };
        ProjectSettings { delivery, signing, allowed_targets }
    }
}

/// Reads where the jobs of a project may call.
///
/// # Errors
///
/// `Invalid` where there are none or too many, or one is no pattern.
pub fn allowed_targets(texts: &[String]) -> Result<Vec<TargetPattern>, Error> {
    const FIELD: &str = "allowedTargets";
    if texts.is_empty() || texts.len() > MOST_PATTERNS {
        let message = format!(
            "{FIELD} must name 1 to {MOST_PATTERNS} targets: with null, jobs may call wherever the \
             node allows"
        );
        return Err(Error::invalid(FIELD, message));
    }
    let mut patterns: Vec<TargetPattern> = Vec::with_capacity(texts.len());
    for text in texts {
        let pattern = text.parse::<TargetPattern>();
        let pattern =
            pattern.map_err(|error| Error::invalid(FIELD, format!("{FIELD}: {error}")))?;
        if !patterns.contains(&pattern) {
            patterns.push(pattern);
        }
    }
    Ok(patterns)
}

/// Checks a number of retries.
///
/// # Errors
///
/// `Invalid` where it is too large.
pub fn retry_max(number: u64) -> Result<u32, Error> {
    let message = || format!("retryMax must be at most {MOST_RETRIES}");
    let number = u32::try_from(number).ok().filter(|n| u64::from(*n) <= MOST_RETRIES);
    number.ok_or_else(|| Error::invalid("retryMax", message()))
}

/// Checks the factor by which delays grow; gives it in thousandths. `None` is no number.
///
/// # Errors
///
/// `Invalid` where it is no number in range.
pub fn retry_factor(factor: Option<f64>) -> Result<u32, Error> {
    match factor {
        Some(factor) if (1.0..=LARGEST_FACTOR).contains(&factor) => {
            Ok((factor * 1_000.0).round() as u32)
        }
        _ => {
            let message = format!("retryFactor must be a number from 1 to {LARGEST_FACTOR}");
            Err(Error::invalid("retryFactor", message))
        }
    }
}
