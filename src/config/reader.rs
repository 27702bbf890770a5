//! Reads typed values out of the layers, with ranges and units. Called by `build` and `replicas`.

use std::fmt::Display;
use std::str::FromStr;
use std::time::Duration;

use serde_yaml::Value;
use url::Url;
use zeroize::Zeroizing;

use super::layers::Layers;
use super::{Config, EgressProxy, Error, LogFormat, LogLevel, Origin, keys, replica};
use crate::disk::modes;

const MB: f64 = 1_000_000.0;
/// The longest length of time that is accepted: a hundred years, in seconds.
const MAX_SECONDS: f64 = 3.2e9;

/// Reads typed values out of the layers; collects what is worth a warning.
pub(super) struct Reader {
    pub(super) layers: Layers,
}

impl Reader {
    pub(super) fn fail(&self, key: &str, message: impl Into<String>) -> Error {
        let (_, origin) = self.layers.get(key);
        Error::Invalid { key: key.to_owned(), origin: origin.clone(), message: message.into() }
    }

    /// The origin of a key's value.
    pub(super) fn origin(&self, key: &str) -> &Origin {
        self.layers.get(key).1
    }

    pub(super) fn raise<T: Display + PartialOrd + Copy>(
        &mut self,
        key: &str,
        value: T,
        least: T,
    ) -> T {
        if value >= least {
            return value;
        }
        let origin = self.origin(key).clone();
        self.layers
            .warnings
            .push(format!("{key} ({origin}): {value} is too small to work, {least} is used"));
        least
    }

    pub(super) fn text(&self, key: &str) -> Result<String, Error> {
        match self.layers.get(key).0 {
            Value::String(text) => Ok(text.trim().to_owned()),
            Value::Number(number) => Ok(number.to_string()),
            Value::Null => Ok(String::new()),
            other => Err(self.fail(key, format!("expected text, found {}", describe(other)))),
        }
    }

    /// A number that may be given as text: `Port: "9091"`, and all of the environment.
    pub(super) fn number<T: FromStr>(&self, key: &str, expected: &str) -> Result<T, Error> {
        let value = self.layers.get(key).0;
        let parsed = match value {
            Value::Number(number) => number.to_string().parse().ok(),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        };
        parsed.ok_or_else(|| {
            self.fail(key, format!("expected {expected}, found {}", describe(value)))
        })
    }

    pub(super) fn count<T: FromStr + PartialOrd + Display + From<u8>>(
        &self,
        key: &str,
        least: u8,
    ) -> Result<T, Error> {
        let expected = format!("a whole number, {least} or more");
        let value: T = self.number(key, &expected)?;
        if value < T::from(least) {
            return Err(self.fail(key, format!("expected {expected}, found {value}")));
        }
        Ok(value)
    }

    /// A whole number from `least` to the greatest of its type.
    pub(super) fn count_from(&self, key: &str, least: u8) -> Result<u32, Error> {
        let expected = format!("a whole number from {least} to {}", u32::MAX);
        let value: u32 = self.number(key, &expected)?;
        if value < u32::from(least) {
            return Err(self.fail(key, format!("expected {expected}, found {value}")));
        }
        Ok(value)
    }

    pub(super) fn fraction(&self, key: &str, expected: &str, positive: bool) -> Result<f64, Error> {
        let value: f64 = self.number(key, expected)?;
        if !(0.0..=MAX_SECONDS).contains(&value) || (positive && value == 0.0) {
            return Err(self.fail(key, format!("expected {expected}, found {value}")));
        }
        Ok(value)
    }

    pub(super) fn seconds(&self, key: &str) -> Result<Duration, Error> {
        self.fraction(key, "seconds as a number above 0", true).map(Duration::from_secs_f64)
    }

    pub(super) fn seconds_or_none(&self, key: &str) -> Result<Duration, Error> {
        self.fraction(key, "seconds as a number, 0 or more", false).map(Duration::from_secs_f64)
    }

    /// Reads a number of days; more than a century counts as one.
    pub(super) fn days(&self, key: &str) -> Result<Duration, Error> {
        let days = self.fraction(key, "a number of days above 0", true)?;
        Ok(Duration::from_secs_f64(days.min(36_500.0) * 86_400.0))
    }

    pub(super) fn bytes(&self, key: &str, positive: bool) -> Result<u64, Error> {
        let expected =
            if positive { "a number of MB above 0" } else { "a number of MB, 0 or more" };
        Ok((self.fraction(key, expected, positive)? * MB) as u64)
    }

    pub(super) fn boolean(&self, key: &str) -> Result<bool, Error> {
        let value = self.layers.get(key).0;
        match value {
            Value::Bool(value) => return Ok(*value),
            Value::String(text) => match text.trim().to_ascii_lowercase().as_str() {
                "true" | "1" | "yes" | "on" => return Ok(true),
                "false" | "0" | "no" | "off" => return Ok(false),
                _ => {}
            },
            _ => {}
        }
        Err(self.fail(key, format!("expected true or false, found {}", describe(value))))
    }

    /// `host:port` with both parts there.
    pub(super) fn address(&self, key: &str, text: &str) -> Result<String, Error> {
        if replica::split_address(text).is_some() {
            return Ok(text.to_owned());
        }
        Err(self.fail(key, format!("expected host:port, found {text:?}")))
    }

    /// `JobExecutionTimeout` and `MaxJobTimeout`.
    pub(super) fn timeouts(&self) -> Result<(Duration, Duration), Error> {
        let (usual, most) = ("JobExecutionTimeout", "MaxJobTimeout");
        let (given, longest) = (self.seconds(usual)?, self.seconds(most)?);
        let limit = Config::LONGEST_TIMEOUT;
        if longest > limit {
            let message = format!("expected at most {} seconds, a day", limit.as_secs());
            return Err(self.fail(most, message));
        }
        if given > longest {
            let message = format!(
                "expected at most MaxJobTimeout, which is {} seconds; raise that too, or let work \
                 that takes longer answer 202 with Scheduler-Async: true",
                longest.as_secs_f64()
            );
            return Err(self.fail(usual, message));
        }
        Ok((given, longest))
    }

    pub(super) fn retries(&self) -> Result<u32, Error> {
        let (key, most) = ("JobExecutionRetryMax", Config::MOST_RETRIES);
        let count: u32 = self.count(key, 0)?;
        if count > most {
            let message = format!("expected at most {most}, as a job may have, found {count}");
            return Err(self.fail(key, message));
        }
        Ok(count)
    }

    pub(super) fn log_level(&self) -> Result<LogLevel, Error> {
        let text = self.text("LogLevel")?;
        match text.to_ascii_uppercase().as_str() {
            "ERROR" => Ok(LogLevel::Error),
            "WARN" | "WARNING" => Ok(LogLevel::Warn),
            "INFO" => Ok(LogLevel::Info),
            "DEBUG" => Ok(LogLevel::Debug),
            _ => {
                let message = format!("expected ERROR, WARN, INFO or DEBUG, found {text:?}");
                Err(self.fail("LogLevel", message))
            }
        }
    }

    pub(super) fn log_format(&self) -> Result<LogFormat, Error> {
        let text = self.text("LogFormat")?;
        match text.to_ascii_lowercase().as_str() {
            "text" => Ok(LogFormat::Text),
            "json" => Ok(LogFormat::Json),
            _ => Err(self.fail("LogFormat", format!("expected text or json, found {text:?}"))),
        }
    }

    pub(super) fn protocol(&self) -> Result<(), Error> {
        match self.text("Protocol")?.to_ascii_lowercase().as_str() {
            "http" => Ok(()),
            "https" => {
                let message = "only http so far: put a proxy that speaks TLS in front of the node";
                Err(self.fail("Protocol", message))
            }
            other => Err(self.fail("Protocol", format!("expected http, found {other:?}"))),
        }
    }

    pub(super) fn port(&self) -> Result<u16, Error> {
        self.number("Port", "a port number from 0 to 65535")
    }

    pub(super) fn host(&self) -> Result<String, Error> {
        let host = self.text("Host")?;
        // The form of an address in a URL, and in RaftAddress.
        let host =
            host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(&host).to_owned();
        if host.contains(['/', ' '])
            || (host.contains(':') && host.parse::<std::net::Ipv6Addr>().is_err())
        {
            let message =
                format!("expected a name or address without protocol and port, found {host:?}");
            return Err(self.fail("Host", message));
        }
        Ok(host)
    }
}

impl Reader {
    pub(super) fn egress_proxy(&self) -> Result<Option<EgressProxy>, Error> {
        const KEY: &str = "EgressProxy";
        let text = Zeroizing::new(self.secret(KEY)?);
        if text.is_empty() {
            return Ok(None);
        }
        EgressProxy::read(&text).map(Some).map_err(|message| self.fail(KEY, message))
    }

    /// An http or https URL without anything behind its port, where browsers reach the web UI.
    pub(super) fn public_url(&self) -> Result<Option<Url>, Error> {
        const KEY: &str = "PublicUrl";
        let text = self.text(KEY)?;
        if text.is_empty() {
            return Ok(None);
        }
        let url = Url::parse(&text).ok().filter(|url| {
            let is_web = matches!(url.scheme(), "http" | "https") && url.has_host();
            let is_plain = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
            is_web && is_plain && url.username().is_empty() && url.password().is_none()
        });
        url.map(Some).ok_or_else(|| {
            let example = "expected the URL of the web UI without a path, such as \
                           https://cron.example.com";
            self.fail(KEY, format!("{example}, found {text:?}"))
        })
    }

    /// Warns of a secret in a file that group or others may read.
    pub(super) fn warn_of_open_file(&mut self) {
        let Some(path) = self.layers.file.clone() else { return };
        let stands = |key: &&&str| *self.origin(key) == Origin::File(path.clone());
        let Some(key) = keys::SECRETS.iter().find(stands) else { return };
        if modes::is_open(&path) {
            let path = path.display();
            self.layers.warnings.push(format!(
                "{key} stands in {path}, which others may read: chmod 600 it, or put the secret into \
                 .scheduler0 or a file of its own"
            ));
        }
    }

    /// A text that no message may quote. A number is none: `1e5` reads back as 100000.
    pub(super) fn secret(&self, key: &str) -> Result<String, Error> {
        match self.layers.get(key).0 {
            Value::String(_) | Value::Null => self.text(key),
            _ => Err(self.fail(key, "expected text (put it in quotes)")),
        }
    }
}

/// A value for an error message.
pub(super) fn describe(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Number(value) => value.to_string(),
        Value::String(text) => format!("{text:?}"),
        Value::Sequence(_) => "a list".to_owned(),
        Value::Mapping(_) => "a mapping".to_owned(),
        Value::Tagged(tagged) => format!("a value tagged {}", tagged.tag),
    }
}
