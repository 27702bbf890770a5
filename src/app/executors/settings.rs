//! The settings of an executor whose kind reads them itself: an object under the name of its kind,
//! which the kind validates. `edit` calls it; no kind is known here.

use serde_json::{Map, Value};

use crate::app::error::Error;
use crate::app::patch::Patch;
use crate::app::targets::settings::kinds::kinds;
use crate::app::targets::settings::read::read;
use crate::delivery::registry::Registry;
use crate::model::target::Executor;
use crate::secret::SecretJson;

/// The types that an executor may have: those of the published clients, and the kinds with
/// settings.
pub(super) fn types<'a>(published: &[&'a str], executors: &Registry) -> Vec<&'a str> {
    let own = kinds(executors).map(|executor| executor.kind());
    published.iter().copied().chain(own).collect()
}

/// The settings that a request gives, by kind. They are wiped when it is dropped.
#[derive(Clone)]
pub struct SettingsInput {
    given: Vec<(&'static str, Patch<SecretJson>)>,
    merges: bool,
}

/// The settings may hold secrets, so only the names of their kinds are printed.
impl std::fmt::Debug for SettingsInput {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.given.iter().map(|(kind, _)| kind)).finish()
    }
}

impl SettingsInput {
    /// The settings of each of `App::kinds_with_settings`. They are a patch of the settings that
    /// are there (`merges`), or whole.
    pub fn new(given: Vec<(&'static str, Patch<SecretJson>)>, merges: bool) -> Self {
        Self { given, merges }
    }

    /// Refuses settings of another type than the executor has after the request.
    pub(super) fn check_type(&self, new_type: &str) -> Result<(), Error> {
        let set = |(_, given): &&(&'static str, Patch<SecretJson>)| matches!(given, Patch::Set(_));
        match self.given.iter().filter(set).find(|(kind, _)| *kind != new_type) {
            None => Ok(()),
            Some((name, _)) => {
                let message = format!("{name} needs type {name}, not {new_type}");
                Err(Error::invalid(name, message))
            }
        }
    }

    /// The settings of an executor that has this type after the request, which [`Self::check_type`]
    /// has allowed. Settings of a type that this node does not know stay as they are.
    pub(super) fn apply_to(
        &self,
        new_type: &str,
        old: &Executor,
        executors: &Registry,
    ) -> Result<Option<Box<Value>>, Error> {
        let known = old.settings.as_ref().filter(|_| old.kind == new_type);
        let own = self.given.iter().find(|(kind, _)| *kind == new_type);
        let Some(((name, given), executor)) = own.zip(executors.get(new_type)) else {
            return Ok(known.cloned());
        };
        match (given, known) {
            (Patch::Set(given), known) => {
                let known = known.map(|known| &**known);
                Ok(Some(Box::new(read(executor, name, given, known, self.merges)?)))
            }
            (Patch::Keep, Some(known)) => Ok(Some(known.clone())),
            (Patch::Keep, None) if !executor.needs_settings() => {
                let none = SecretJson::from(Value::Object(Map::new()));
                Ok(Some(Box::new(read(executor, name, &none, None, false)?)))
            }
            (Patch::Clear, Some(_)) => {
                let message = format!("{name} cannot be null: leave it out to keep what is set");
                Err(Error::invalid(name, message))
            }
            (Patch::Clear, None) if !executor.needs_settings() => {
                let message = format!("{name} cannot be null: leave it out for its defaults");
                Err(Error::invalid(name, message))
            }
            (Patch::Keep | Patch::Clear, None) => {
                let message = format!("{name} is required for type {name}");
                Err(Error::invalid(name, message))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::app::targets::settings::fixture::test_kinds;
    use crate::app::targets::settings::kinds::show;
    use crate::model::target::WEBHOOK_URL;

    fn input(amqp: Patch<Value>) -> SettingsInput {
        input_that_merges(amqp, false)
    }

    fn input_that_merges(amqp: Patch<Value>, merges: bool) -> SettingsInput {
        let amqp = match amqp {
            Patch::Set(value) => Patch::Set(SecretJson::from(value)),
            Patch::Clear => Patch::Clear,
            Patch::Keep => Patch::Keep,
        };
        SettingsInput::new(vec![("amqp", amqp)], merges)
    }

    #[test]
    fn a_kind_that_is_registered_can_be_created_changed_and_shown() {
        let executors = test_kinds();
        assert_eq!(types(&[WEBHOOK_URL], &executors), [WEBHOOK_URL, "amqp", "other"]);
        let first = input(Patch::Set(json!({"routing_key": "a", "password": "hush"})));
        assert_eq!(format!("{first:?}"), r#"["amqp"]"#, "a secret is not printed");
        let settings = first.apply_to("amqp", &Executor::default(), &executors).unwrap();
        let old = Executor { kind: "amqp".to_owned(), settings, ..Executor::default() };
        let kept = input(Patch::Keep).apply_to("amqp", &old, &executors).unwrap();
        assert_eq!(kept, old.settings);
        let shown = |settings: &Option<Box<Value>>| {
            let shown = show("amqp", settings.as_deref().unwrap(), &executors);
            serde_json::to_value(shown).unwrap()
        };
        let first = shown(&old.settings);
        assert_eq!(first, json!({"amqp": {"routingKey": "a", "passwordSet": true}}));
        assert_eq!(show("newer", &json!(7), &executors), None);
        let back = input(Patch::Set(first["amqp"].clone()));
        let back = back.apply_to("amqp", &old, &executors).unwrap();
        assert_eq!(back, old.settings, "what is shown can be sent back");
    }

    #[test]
    fn a_patch_changes_what_it_names_and_a_replacement_all() {
        let executors = test_kinds();
        let given = json!({"routing_key": "a", "password": "hush", "headers": {"x_a": 1, "b": 2}});
        let settings = input(Patch::Set(given));
        let settings = settings.apply_to("amqp", &Executor::default(), &executors).unwrap();
        let old = Executor { kind: "amqp".to_owned(), settings, ..Executor::default() };
        let change = json!({"headers": {"x_a": null, "c": 3}});
        let patched = input_that_merges(Patch::Set(change.clone()), true);
        let patched = patched.apply_to("amqp", &old, &executors).unwrap().unwrap();
        assert_eq!(patched["headers"], json!({"b": 2, "c": 3}));
        let kept = |name: &str| old.settings.as_deref().unwrap()[name].clone();
        assert_eq!(patched["routingKey"], kept("routingKey"));
        assert_eq!(patched["password"], kept("password"), "the secret stays");
        let replaced = input(Patch::Set(change)).apply_to("amqp", &old, &executors);
        assert_eq!(replaced.unwrap_err().field_name(), Some("amqp.routingKey"));
    }

    #[test]
    fn settings_must_be_there_be_valid_and_belong_to_the_type() {
        let executors = test_kinds();
        let error = |amqp: Patch<Value>, new_type: &str| {
            let input = input(amqp);
            let made = input
                .check_type(new_type)
                .and_then(|()| input.apply_to(new_type, &Executor::default(), &executors));
            format!("{:?}", made.unwrap_err())
        };
        let field = |field: &str| format!("field: Some({field:?})");
        assert!(error(Patch::Keep, "amqp").contains("amqp is required for type amqp"));
        assert!(error(Patch::Clear, "amqp").contains(&field("amqp")));
        let empty = error(Patch::Set(json!({"routingKey": ""})), "amqp");
        assert!(empty.contains(&field("amqp.routingKey")), "{empty}");
        let other = error(Patch::Set(json!({"routingKey": "a"})), "container");
        assert!(other.contains("amqp needs type amqp, not container"), "{other}");
        let unknown = Executor {
            kind: "newer".to_owned(),
            settings: Some(Box::new(7.into())),
            ..Executor::default()
        };
        let kept = input(Patch::Keep).apply_to("newer", &unknown, &executors).unwrap();
        assert_eq!(kept, unknown.settings, "what this node does not know stays");
        let gone = input(Patch::Keep).apply_to("container", &unknown, &executors).unwrap();
        assert_eq!(gone, None);
    }

    #[test]
    fn a_kind_that_needs_no_settings_has_its_defaults_without_any() {
        let executors = test_kinds();
        let input = |other: Patch<SecretJson>| SettingsInput::new(vec![("other", other)], true);
        let made = |given| input(given).apply_to("other", &Executor::default(), &executors);
        let empty = made(Patch::Set(SecretJson::from(json!({})))).unwrap();
        assert!(empty.is_some());
        assert_eq!(made(Patch::Keep).unwrap(), empty);
        let null = made(Patch::Clear).unwrap_err();
        assert_eq!(null.field_name(), Some("other"));
        assert!(null.message().contains("leave it out for its defaults"), "{null:?}");
        let old = Executor { kind: "other".to_owned(), settings: empty, ..Executor::default() };
        let null = input(Patch::Clear).apply_to("other", &old, &executors).unwrap_err();
        assert_eq!(null.field_name(), Some("other"));
        assert!(null.message().contains("leave it out to keep what is set"), "{null:?}");
    }
}
