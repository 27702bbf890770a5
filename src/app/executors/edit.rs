//! The executor that the fields of a request make of an old one, or of none. `create` and `update`
//! call it.

use crate::app::error::Error;
use crate::app::executors::input::{ExecutorInput, HttpInput, LONGEST_NAME};
use crate::app::executors::queues;
use crate::app::executors::settings::types;
use crate::app::executors::tls;
use crate::app::fields::check_text;
use crate::app::patch::Patch;
use crate::app::signing::{OVERLAP, changed};
use crate::app::state::App;
use crate::app::targets::http::merge::merged;
use crate::app::targets::http::read::read_target;
use crate::app::targets::http::url::check_url;
use crate::delivery::registry::Registry;
use crate::executor::guard::TargetGuard;
use crate::model::Millis;
use crate::model::target::{Executor, Sealed, WEBHOOK_URL};
use crate::secret::{Keys, SecretText, purpose};

/// The kinds of the published clients.
const KINDS: [&str; 3] = [WEBHOOK_URL, "cloud_function", "container"];
/// The methods that can carry a batch.
const METHODS: [&str; 2] = ["POST", "PUT"];

/// The facts beside a request that an executor depends on. It is made anew for each try.
pub(super) struct Context<'a> {
    pub(super) keys: &'a Keys,
    pub(super) executors: &'a Registry,
    pub(super) guard: TargetGuard,
    pub(super) now: Millis,
}

impl App {
    /// The facts of this node as they are now.
    pub(super) fn executor_context(&self) -> Context<'_> {
        let (keys, executors) = (&*self.keys, &self.executors);
        Context { keys, executors, guard: self.guard(), now: self.now() }
    }
}

impl ExecutorInput {
    /// The new executor that the fields make.
    pub(super) fn create(&self, context: &Context<'_>) -> Result<Executor, Error> {
        let blank = Executor {
            kind: WEBHOOK_URL.to_owned(),
            webhook_method: METHODS[0].to_owned(),
            created_by: self.created_by.clone(),
            ..Executor::default()
        };
        let made = self.apply_to(context, &blank)?;
        Ok(Executor { modified_by: None, ..made })
    }

    /// The executor after a change by the fields.
    pub(super) fn apply_to(
        &self,
        context: &Context<'_>,
        old: &Executor,
    ) -> Result<Executor, Error> {
        let Context { keys, executors, guard, now } = context;
        let mut new = old.clone();
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
            new.kind = one_of("type", kind, &types(&KINDS, executors))?;
        }
        self.settings.check_type(&new.kind)?;
        match &self.webhook_method {
            Patch::Keep => {}
            Patch::Clear => METHODS[0].clone_into(&mut new.webhook_method),
            Patch::Set(method) => {
                let method = one_of("webhookMethod", &method.to_ascii_uppercase(), &METHODS);
                new.webhook_method = method
                    .map_err(|e| e.because("for other methods give http instead of webhookUrl"))?;
            }
        }
        // An answer shows the method of every type, and clients send it back.
        if new.webhook_method != old.webhook_method && !KINDS.contains(&new.kind.as_str()) {
            let message = format!(
                "webhookMethod is for calls, and this executor is of type {}: leave it out",
                new.kind
            );
            return Err(Error::invalid("webhookMethod", message));
        }
        self.set_target(&mut new, old, keys, guard)?;
        new.settings = self.settings.apply_to(&new.kind, old, executors)?;
        new.tls = tls::of(self, &new, old, keys)?;
        let seal = |given: &Patch<SecretText>, old: &Option<Sealed>, purpose| match given {
            Patch::Keep => old.clone(),
            Patch::Clear => None,
            Patch::Set(text) => Some(keys.seal(text, purpose)),
        };
        new.cloud_api_key = seal(&self.cloud_api_key, &old.cloud_api_key, purpose::CLOUD_API_KEY);
        new.cloud_api_secret =
            seal(&self.cloud_api_secret, &old.cloud_api_secret, purpose::CLOUD_API_SECRET);
        match &self.webhook_secret {
            Patch::Keep => {}
            Patch::Clear => new.signing.clear(),
            Patch::Set(text) => {
                let sealed = keys.seal(text, purpose::SIGNING);
                new.signing = changed(&old.signing, sealed, *now, OVERLAP);
            }
        }
        new.max_concurrency = self.max_concurrency.clone().apply_to(old.max_concurrency);
        new.rate_per_second = self.rate_per_second.clone().apply_to(old.rate_per_second);
        queues::check(self, &mut new, old)?;
        new.modified_by.clone_from(&self.modified_by);
        Ok(new)
    }

    /// Sets the target: a URL for batches, or a request for each occurrence. The one that the
    /// request names replaces the other.
    fn set_target(
        &self,
        new: &mut Executor,
        old: &Executor,
        keys: &Keys,
        guard: &TargetGuard,
    ) -> Result<(), Error> {
        match (&self.http, &self.webhook_url) {
            (Patch::Set(_), Patch::Set(_)) => {
                let message = "give webhookUrl (batches) or http (a request each), not both";
                return Err(Error::invalid("http", message));
            }
            (Patch::Set(http), _) => {
                let known = old.http.as_deref();
                let whole = match http {
                    HttpInput::Whole(object) => object.clone(),
                    HttpInput::Merge(patch) => merged(known, patch.clone())?,
                };
                let read = read_target(whole, guard, keys, known)?;
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
        if !KINDS.contains(&new.kind.as_str()) {
            let name = &new.kind;
            if matches!(self.webhook_url, Patch::Set(_)) {
                let message = format!(
                    "webhookUrl needs type {WEBHOOK_URL}, not {name}: where its calls go stands in \
                     {name}"
                );
                return Err(Error::invalid("webhookUrl", message));
            }
            if old.kind != *name && !matches!(self.http, Patch::Set(_)) {
                new.webhook_url.clear();
                new.http = None;
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

fn one_of(field: &'static str, given: &str, known: &[&str]) -> Result<String, Error> {
    check_text(field, given, LONGEST_NAME)?;
    if !known.contains(&given) {
        let message = format!("{field} must be one of {}", known.join(", "));
        return Err(Error::invalid(field, message));
    }
    Ok(given.to_owned())
}
