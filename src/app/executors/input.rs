//! The fields of an executor that requests give, and the rules of each by itself. `edit` has the
//! rules that depend on the executor as it is.

use serde_json::Value;

use crate::app::error::Error;
use crate::app::executors::settings::SettingsInput;
use crate::app::patch::Patch;
use crate::secret::SecretText;

/// The longest name and the longest type, in bytes.
pub const LONGEST_NAME: usize = 256;
/// The longest `createdBy` and `modifiedBy`, in bytes.
pub const LONGEST_BY: usize = 256;
/// The longest text that is kept for clients, in bytes.
pub const LONGEST_TEXT: usize = 2_048;
/// The longest secret that is kept for clients, in bytes.
pub const LONGEST_SECRET: usize = 4_096;

/// The largest bound of calls under way.
const MOST_CONCURRENCY: u64 = 10_000;
/// The largest bound of calls begun in a second.
const MOST_RATE: u64 = 100_000;

/// The fields of a new executor, or of a change of one. A change keeps what it does not name.
#[derive(Clone, Debug)]
pub struct ExecutorInput {
    /// Its name; at most [`LONGEST_NAME`] bytes.
    pub name: Option<String>,
    /// Its type: one of the published clients.
    pub kind: Option<String>,
    /// Kept for the clients.
    pub region: Patch<String>,
    /// Kept for the clients.
    pub cloud_provider: Patch<String>,
    /// Kept for the clients.
    pub cloud_resource_url: Patch<String>,
    /// Kept for the clients.
    pub cloud_api_key: Patch<SecretText>,
    /// Kept for the clients.
    pub cloud_api_secret: Patch<SecretText>,
    /// The URL that batches are sent to. It replaces `http`.
    pub webhook_url: Patch<String>,
    /// The method of batches.
    pub webhook_method: Patch<String>,
    /// The secret that signs, checked by `app::signing::check_secret`.
    pub webhook_secret: Patch<SecretText>,
    /// The request for each occurrence. It replaces `webhook_url`.
    pub http: Patch<HttpInput>,
    /// The authorities of `webhook_url`, as PEM.
    pub ca: Patch<String>,
    /// The certificate that is shown to `webhook_url`, as PEM.
    pub client_cert: Patch<String>,
    /// The key of that certificate, as PEM.
    pub client_key: Patch<SecretText>,
    /// The settings of other kinds.
    pub settings: SettingsInput,
    /// Calls under way at a time, checked by [`max_concurrency`].
    pub max_concurrency: Patch<u32>,
    /// Calls begun in a second, checked by [`rate_per_second`].
    pub rate_per_second: Patch<u32>,
    /// The name that the creator gives itself.
    pub created_by: Option<String>,
    /// The name that whoever changes it gives itself.
    pub modified_by: Option<String>,
}

/// An `http` object as a request gives it.
#[derive(Clone, PartialEq)]
pub enum HttpInput {
    /// The whole object.
    Whole(Value),
    /// A JSON Merge Patch (RFC 7396) of the object that is there.
    Merge(Value),
}

/// The object may hold secrets, so it is not printed.
impl std::fmt::Debug for HttpInput {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Whole(_) => "Whole(..)",
            Self::Merge(_) => "Merge(..)",
        })
    }
}

/// Checks a bound of calls under way at a time, on each node.
///
/// # Errors
///
/// `Invalid` where it is 0 or too large.
pub fn max_concurrency(number: u64) -> Result<u32, Error> {
    limit("maxConcurrency", number, MOST_CONCURRENCY)
}

/// Checks a bound of calls begun in a second, on each node.
///
/// # Errors
///
/// As [`max_concurrency`].
pub fn rate_per_second(number: u64) -> Result<u32, Error> {
    limit("ratePerSecond", number, MOST_RATE)
}

fn limit(name: &'static str, number: u64, most: u64) -> Result<u32, Error> {
    if number == 0 || number > most {
        let message = format!("{name} must be from 1 to {most}, or null for no limit");
        return Err(Error::invalid(name, message));
    }
    Ok(number as u32)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_limit_is_in_its_bounds() {
        assert_eq!(max_concurrency(10_000).unwrap(), 10_000);
        assert_eq!(rate_per_second(100_000).unwrap(), 100_000);
        for refused in [max_concurrency(0), max_concurrency(10_001), max_concurrency(1 << 32)] {
            assert_eq!(refused.unwrap_err().field_name(), Some("maxConcurrency"));
        }
        assert_eq!(rate_per_second(100_001).unwrap_err().field_name(), Some("ratePerSecond"));
    }

    #[test]
    fn an_http_object_is_not_printed() {
        let given = json!({"auth": {"type": "bearer", "token": "hunter2"}});
        for input in [HttpInput::Whole(given.clone()), HttpInput::Merge(given)] {
            let printed = format!("{:?}", Patch::Set(input));
            assert!(printed.contains("(..)") && !printed.contains("hunter2"), "{printed}");
        }
    }
}
