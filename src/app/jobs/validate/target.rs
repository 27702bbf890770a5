//! The target of a job in a request: exactly one of `callbackUrl`, `http`, the settings of another
//! kind under its name, and `executorId`; with the last one perhaps a `message`. `definition` calls
//! it; `executors` checks whether an executor can be sent to, and whether it takes the message.

use serde_json::Value;

use crate::app::error::Error;
use crate::app::fields::canonical;
use crate::app::jobs::input::{DefinitionInput, Name, Names};
use crate::app::jobs::validate::policy;
use crate::app::jobs::validate::refusals::{at_most_one, shortened, unprocessable};
use crate::app::jobs::validate::rules::Rules;
use crate::app::jobs::validate::seen::SeenValues;
use crate::app::targets::http::read::read_target;
use crate::app::targets::http::url::{Unfit, address};
use crate::app::targets::settings::kinds::message_fields;
use crate::app::targets::settings::names::make_camel;
use crate::app::targets::settings::read;
use crate::model::Millis;
use crate::model::job::JobDefinition;
use crate::model::target::{Configured, HttpTarget};
use crate::secret::SecretJson;

impl SeenValues {
    /// Sets the target from exactly one of the fields for it.
    pub(in crate::app::jobs) fn target(
        &mut self,
        rules: &Rules,
        definition: &mut JobDefinition,
        nulls: Names,
        old: Option<&JobDefinition>,
        input: &DefinitionInput<'_>,
    ) -> Result<(), Error> {
        let http = input.rare(Name::Http);
        let mut fields =
            vec![("callbackUrl", input.callback_url.is_some()), ("http", http.is_some())];
        fields.extend(rules.kinds_for_jobs().map(|kind| (kind, input.settings(kind).is_some())));
        fields.push(("executorId", input.executor.is_some()));
        at_most_one(&fields)?;
        let given = input.names_target();
        if given || nulls.has(Name::CallbackUrl) {
            definition.callback_url.clear();
        }
        if given || nulls.has(Name::Http) {
            definition.http = None;
        }
        let clears = |own: &Configured| input.clears_settings(&own.kind);
        if given || nulls.has(Name::Settings) && definition.target.as_deref().is_some_and(clears) {
            definition.target = None;
        }
        if given || nulls.has(Name::Executor) {
            definition.executor = None;
        }
        if let Some(url) = &input.callback_url {
            self.url(rules, url)?;
            definition.callback_url = url.to_string();
        }
        if let Some(json) = http {
            let (target, timeout) = request(rules, json, old.and_then(|old| old.http.as_deref()))?;
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
        if let Some(own) = own_settings(rules, old, input)? {
            definition.target = Some(Box::new(own));
        }
        definition.executor = input.executor.or(definition.executor);
        if definition.callback_url.is_empty()
            && definition.http.is_none()
            && definition.target.is_none()
            && definition.executor.is_none()
        {
            let error = Error::invalid("callbackUrl", "job callback_url is required");
            let (last, names) = fields.split_last().unwrap_or((&("executorId", false), &[]));
            let names: Vec<_> = names.iter().map(|(name, _)| *name).collect();
            return Err(error.because(format!("give one of {} and {}", names.join(", "), last.0)));
        }
        Ok(())
    }

    fn url(&mut self, rules: &Rules, url: &str) -> Result<(), Error> {
        const FIELD: &str = "callbackUrl";
        const MESSAGE: &str = "job callback_url is not valid";

        if self.urls.contains(url) {
            return Ok(());
        }
        let bad = || Error::invalid(FIELD, MESSAGE);
        if url.contains("{{") {
            let why = "it takes many jobs at once: placeholders are for http.url";
            return Err(bad().because(why));
        }
        address(url, &rules.guard).map_err(|unfit| {
            let error = match unfit {
                Unfit::Refused(_) => Error::target_not_allowed(FIELD, MESSAGE),
                Unfit::Unsound(_) => bad(),
            };
            error.because(unfit)
        })?;
        self.urls.insert(url.to_owned());
        Ok(())
    }
}

/// The settings that a job holds itself, as their kind has validated them.
fn own_settings(
    rules: &Rules,
    old: Option<&JobDefinition>,
    input: &DefinitionInput<'_>,
) -> Result<Option<Configured>, Error> {
    let given = input.settings.iter().find_map(|(kind, json)| Some((*kind, json.as_deref()?)));
    let Some((kind, json)) = given else { return Ok(None) };
    // The reader takes the kinds from the same registry.
    let Some(executor) = rules.executors.get(kind) else { return Ok(None) };
    let given = SecretJson::from(policy::value(kind, json)?);
    let known = old.and_then(|old| old.target.as_deref()).filter(|own| own.kind == kind);
    let settings = read::read(executor, kind, &given, known.map(|own| &own.settings), false)?;
    Ok(Some(Configured { kind: kind.to_owned(), settings }))
}

/// Sets the `message`, whose names it makes camelCase; `executors` has its kind validate it. It
/// goes with an executor: one that only the base had goes with it.
pub(in crate::app::jobs) fn message(
    rules: &Rules,
    definition: &mut JobDefinition,
    nulls: Names,
    input: &DefinitionInput<'_>,
) -> Result<(), Error> {
    const FIELD: &str = "message";
    let given = input.rare(Name::Message);
    if nulls.has(Name::Message) || definition.executor.is_none() {
        definition.message = None;
    }
    let Some(json) = given else { return Ok(()) };
    if definition.executor.is_none() {
        let message = "job message goes with executorId: it replaces fields of the executor's \
                       settings. Settings in the job itself have these fields in them";
        return Err(unprocessable(FIELD, message));
    }
    let mut value = policy::value(FIELD, json)?;
    if !value.is_object() {
        let message = "job message must be an object with the fields that it replaces";
        return Err(Error::invalid(FIELD, message));
    }
    make_camel(FIELD, &mut value, message_fields(&rules.executors))?;
    definition.message = Some(Box::new(value));
    Ok(())
}

/// Checks the type that a client names: that of HTTP calls, which published clients always send, or
/// the kind of the job's settings or of its executor's, which an answer shows.
pub(in crate::app::jobs) fn execution_type(
    rules: &Rules,
    definition: &JobDefinition,
    given: Option<&str>,
) -> Result<(), Error> {
    const FIELD: &str = "executionType";
    let Some(given) = given.filter(|given| *given != "http") else { return Ok(()) };
    if !rules.kinds_with_settings().any(|kind| kind == given) {
        let known: Vec<_> = ["http"].into_iter().chain(rules.kinds_with_settings()).collect();
        let message = format!(
            "job execution_type {} is not supported: use {}",
            shortened(given),
            known.join(" or ")
        );
        return Err(Error::invalid(FIELD, message));
    }
    let is_own = definition.target.as_ref().is_some_and(|own| own.kind == given);
    if is_own || definition.executor.is_some() {
        return Ok(());
    }
    let message = format!(
        "job execution_type {given} does not fit its target: leave it out, or give {given}"
    );
    Err(unprocessable(FIELD, message))
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
