//! The target of a job in a request: exactly one of `callbackUrl`, `http` and `executorId`.
//! `definition` calls it; `executors` checks whether an executor can be sent to.

use serde_json::Value;

use crate::app::error::Error;
use crate::app::fields::canonical;
use crate::app::jobs::input::{DefinitionInput, Name, Names};
use crate::app::jobs::validate::policy;
use crate::app::jobs::validate::refusals::{at_most_one, unprocessable};
use crate::app::jobs::validate::rules::Rules;
use crate::app::jobs::validate::seen::SeenValues;
use crate::app::targets::http::read::read_target;
use crate::app::targets::http::url::address;
use crate::model::Millis;
use crate::model::job::JobDefinition;
use crate::model::target::HttpTarget;

impl SeenValues {
    /// Sets the target from exactly one of `callbackUrl`, `http` and `executorId`.
    pub(in crate::app::jobs) fn target(
        &mut self,
        rules: &Rules,
        definition: &mut JobDefinition,
        nulls: Names,
        old: Option<&HttpTarget>,
        input: &DefinitionInput<'_>,
    ) -> Result<(), Error> {
        let http = input.rare(Name::Http);
        at_most_one(&[
            ("callbackUrl", input.callback_url.is_some()),
            ("http", http.is_some()),
            ("executorId", input.executor.is_some()),
        ])?;
        let given = input.callback_url.is_some() || http.is_some() || input.executor.is_some();
        if given || nulls.has(Name::CallbackUrl) {
            definition.callback_url.clear();
        }
        if given || nulls.has(Name::Http) {
            definition.http = None;
        }
        if given || nulls.has(Name::Executor) {
            definition.executor = None;
        }
        if let Some(url) = &input.callback_url {
            self.url(rules, url)?;
            definition.callback_url = url.to_string();
        }
        if let Some(json) = http {
            let (target, timeout) = request(rules, json, old)?;
            definition.http = Some(Box::new(target));
            if let Some(timeout) = timeout {
                if input.rare(Name::Timeout).is_some() {
                    return Err(unprocessable(
                        "timeout",
                        "give one of timeout and http.timeout, not both",
                    ));
                }
                definition.delivery.timeout = Some(timeout);
            }
        }
        definition.executor = input.executor.or(definition.executor);
        if definition.callback_url.is_empty()
            && definition.http.is_none()
            && definition.executor.is_none()
        {
            let error = Error::invalid("callbackUrl", "job callback_url is required");
            return Err(error.because("give one of callbackUrl, http and executorId"));
        }
        Ok(())
    }

    fn url(&mut self, rules: &Rules, url: &str) -> Result<(), Error> {
        if self.urls.contains(url) {
            return Ok(());
        }
        let bad = || Error::invalid("callbackUrl", "job callback_url is not valid");
        if url.contains("{{") {
            let why = "it takes many jobs at once: placeholders are for http.url";
            return Err(bad().because(why));
        }
        address(url, &rules.guard).map_err(|why| bad().because(why))?;
        self.urls.insert(url.to_owned());
        Ok(())
    }
}

/// An `http` object, and the timeout in it, which is the job's.
fn request(
    rules: &Rules,
    json: &str,
    old: Option<&HttpTarget>,
) -> Result<(HttpTarget, Option<Millis>), Error> {
    let mut value = policy::value("http", json)?;
    let mut timeout = None;
    if let Value::Object(object) = &mut value {
        let is_it = |name: &String| canonical(name, &mut [0; 24]) == Some("timeout");
        if let Some(name) = object.keys().find(|name| is_it(name)).cloned()
            && let Some(given) = object.remove(&name)
            && !given.is_null()
        {
            timeout = Some(rules.timeout(&given)?);
        }
    }
    Ok((read_target(value, &rules.guard, &rules.keys, old)?, timeout))
}
