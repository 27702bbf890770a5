//! The settings of an executor whose kind reads them itself: an object under the name of its kind,
//! which the executor of the kind validates and shows. `edit` calls it, and the API for what it
//! shows; no kind is known here.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::app::error::Error;
use crate::app::patch::Patch;
use crate::app::state::App;
use crate::delivery::executor::SharedExecutor;
use crate::delivery::registry::Registry;
use crate::model::target::{Executor, WEBHOOK_URL};

/// The kinds with settings.
fn kinds(executors: &Registry) -> impl Iterator<Item = &SharedExecutor> {
    // The first kind has fields of its own, which the published clients know.
    executors.all().filter(|executor| executor.kind() != WEBHOOK_URL)
}

/// The types that an executor may have: those of the published clients, and the kinds with
/// settings.
pub(super) fn types<'a>(published: &[&'a str], executors: &Registry) -> Vec<&'a str> {
    let own = kinds(executors).map(|executor| executor.kind());
    published.iter().copied().chain(own).collect()
}

impl App {
    /// The names of the kinds that have settings.
    pub fn kinds_with_settings(&self) -> impl Iterator<Item = &'static str> {
        kinds(&self.executors).map(|executor| executor.kind())
    }

    /// The settings of an executor as an answer shows them, under the name of their kind; `None`
    /// without any.
    pub fn show_settings(&self, executor: &Executor) -> Option<BTreeMap<String, Value>> {
        show(executor, &self.executors)
    }
}

/// The settings that a request gives, by kind.
#[derive(Clone)]
pub struct SettingsInput(Vec<(&'static str, Patch<Value>)>);

/// The settings may hold secrets, so only the names of their kinds are printed.
impl std::fmt::Debug for SettingsInput {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(kind, _)| kind)).finish()
    }
}

impl SettingsInput {
    /// The settings of each of [`App::kinds_with_settings`].
    pub fn new(given: Vec<(&'static str, Patch<Value>)>) -> Self {
        Self(given)
    }

    /// The settings of an executor that has this type after the request. Settings of a type that
    /// this node does not know stay as they are.
    pub(super) fn apply_to(
        &self,
        new_type: &str,
        old: &Executor,
        executors: &Registry,
    ) -> Result<Option<Box<Value>>, Error> {
        let set = |(_, given): &&(&'static str, Patch<Value>)| matches!(given, Patch::Set(_));
        if let Some((name, _)) = self.0.iter().filter(set).find(|(kind, _)| *kind != new_type) {
            return Err(Error::invalid(name, format!("{name} needs type {name}, not {new_type}")));
        }
        let known = old.settings.as_ref().filter(|_| old.kind == new_type);
        let own = self.0.iter().find(|(kind, _)| *kind == new_type);
        let Some(((name, given), executor)) = own.zip(executors.get(new_type)) else {
            return Ok(known.cloned());
        };
        match (given, known) {
            (Patch::Set(given), known) => {
                let valid = executor.validate(given.clone(), known.map(|known| &**known));
                let valid = valid.map_err(|error| Error::invalid(error.field, error.message))?;
                Ok(Some(Box::new(valid)))
            }
            (Patch::Keep, Some(known)) => Ok(Some(known.clone())),
            (Patch::Keep, None) | (Patch::Clear, _) => {
                let message = format!("{name} is required for type {name}");
                Err(Error::invalid(name, message))
            }
        }
    }
}

fn show(executor: &Executor, executors: &Registry) -> Option<BTreeMap<String, Value>> {
    let (settings, kind) = (executor.settings.as_deref()?, executors.get(&executor.kind)?);
    Some(BTreeMap::from([(executor.kind.clone(), kind.show(settings))]))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::executor::memory::MemoryExecutor;
    use crate::secret::Keys;

    fn executors() -> Registry {
        let keys = Keys::new(&"5e".repeat(32), "u", "p").unwrap();
        Registry::new([Arc::new(MemoryExecutor::new(Arc::new(keys))) as _])
    }

    fn input(memory: Patch<Value>) -> SettingsInput {
        SettingsInput::new(vec![("memory", memory)])
    }

    #[test]
    fn a_kind_that_is_registered_can_be_created_changed_and_shown() {
        let executors = executors();
        assert_eq!(types(&[WEBHOOK_URL], &executors), [WEBHOOK_URL, "memory"]);
        let first = input(Patch::Set(json!({"queue": "a", "secret": "hush"})));
        assert_eq!(format!("{first:?}"), r#"["memory"]"#, "a secret is not printed");
        let settings = first.apply_to("memory", &Executor::default(), &executors).unwrap();
        let old = Executor { kind: "memory".to_owned(), settings, ..Executor::default() };
        let kept = input(Patch::Keep).apply_to("memory", &old, &executors).unwrap();
        assert_eq!(kept, old.settings);
        let shown = serde_json::to_string(&show(&old, &executors)).unwrap();
        assert_eq!(shown, r#"{"memory":{"queue":"a","secretSet":true}}"#);
        assert_eq!(show(&Executor::default(), &executors), None);
    }

    #[test]
    fn settings_must_be_there_be_valid_and_belong_to_the_type() {
        let executors = executors();
        let error = |memory: Patch<Value>, new_type: &str| {
            let refused = input(memory).apply_to(new_type, &Executor::default(), &executors);
            format!("{:?}", refused.unwrap_err())
        };
        let field = |field: &str| format!("field: Some({field:?})");
        assert!(error(Patch::Keep, "memory").contains("memory is required for type memory"));
        assert!(error(Patch::Clear, "memory").contains(&field("memory")));
        let empty = error(Patch::Set(json!({"queue": ""})), "memory");
        assert!(empty.contains(&field("memory.queue")), "{empty}");
        let other = error(Patch::Set(json!({"queue": "a"})), "container");
        assert!(other.contains("memory needs type memory, not container"), "{other}");
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
}
