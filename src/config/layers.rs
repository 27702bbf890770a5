//! The layers: reads each, checks the names in it, and keeps of every key the value that counts and
//! where it came from. Knows nothing of types or ranges (`build` does).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_yaml::Value;

use super::keys::{self, Name};
use super::{EXAMPLE, Error, FILE, LoadOptions, Origin, files, simple_scheduler};

/// The merged values of all layers.
pub(super) struct Layers {
    values: BTreeMap<&'static str, (Value, Origin)>,
    /// The file that was read.
    pub(super) file: Option<PathBuf>,
    /// Messages about values that were ignored.
    pub(super) warnings: Vec<String>,
}

impl Layers {
    /// The value of a key that counts. Every key has one, if only the default.
    pub(super) fn get(&self, name: &str) -> (&Value, &Origin) {
        self.values.get(name).map_or((&Value::Null, &Origin::Default), |(v, o)| (v, o))
    }

    fn set(&mut self, name: &'static str, value: Value, origin: Origin) -> Result<(), Error> {
        if value.as_str().is_some_and(in_quotes) {
            if let Some(variable) = keys::secret_file_of(name) {
                // All nodes have the same secrets, perhaps with such quotes: one of them cannot
                // leave them out before the others do.
                self.warnings.push(format!(
                    "{name} ({origin}) has quotes around it, which are part of it: if they are \
                     meant, put it into a file and name that in {variable}, which is taken \
                     literally; if not, leave them out on all nodes at once"
                ));
            } else {
                let message = "the value has quotes around it that are part of it: leave them out \
                               (docker's --env-file takes them literally)";
                return Err(Error::Invalid {
                    key: name.to_owned(),
                    origin,
                    message: message.to_owned(),
                });
            }
        }
        // `Key:` with nothing behind it, and `${VARIABLE:-}` of a compose file, mean "as default".
        let empty = value.is_null() || value.as_str().is_some_and(|text| text.trim().is_empty());
        if !empty || origin == Origin::Default {
            self.values.insert(name, (value, origin));
        }
        Ok(())
    }
}

/// Reads all layers.
pub(super) fn read(options: &LoadOptions) -> Result<Layers, Error> {
    let mut layers = Layers { values: BTreeMap::new(), file: None, warnings: Vec::new() };
    read_text(&mut layers, EXAMPLE, Path::new("config.yml.example"), true)?;
    if let Some((path, text)) = find(options)? {
        read_text(&mut layers, &text, &path, false)?;
        layers.file = Some(path);
    }
    read_environment(&mut layers, options)?;
    for (name, value) in &options.flags {
        match keys::in_file(name) {
            Name::Known(key) => layers.set(key.name, Value::String(value.clone()), Origin::Flag)?,
            Name::Legacy(name) => layers.warnings.push(legacy(name, &Origin::Flag)),
            Name::Unknown(like) => return Err(unknown(name, Origin::Flag, like)),
        }
    }
    if options.for_node {
        take_foreign(&mut layers, options)?;
    }
    Ok(layers)
}

/// Takes the settings of Simple Scheduler for keys that no layer of ours sets.
fn take_foreign(layers: &mut Layers, options: &LoadOptions) -> Result<(), Error> {
    let is_free = |key: &str| *layers.get(key).1 == Origin::Default;
    let simple_scheduler::Found { values, warnings } =
        simple_scheduler::read(&options.env, is_free)?;
    for (key, value, origin) in values {
        layers.set(key, Value::String(value), origin)?;
    }
    layers.warnings.extend(warnings);
    Ok(())
}

/// The file to read: the one named, else the first that exists.
fn find(options: &LoadOptions) -> Result<Option<(PathBuf, String)>, Error> {
    if options.no_file {
        return Ok(None);
    }
    if let Some(path) = &options.path {
        let text = std::fs::read_to_string(path)
            .map_err(|source| Error::Read { path: path.clone(), source })?;
        return Ok(Some((path.clone(), text)));
    }
    for place in std::iter::once(&options.work_dir).chain(&options.binary_dir) {
        let path = place.join(FILE);
        match std::fs::read_to_string(&path) {
            Ok(text) => return Ok(Some((path, text))),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
            Err(source) => return Err(Error::Read { path, source }),
        }
    }
    Ok(None)
}

fn read_text(layers: &mut Layers, text: &str, path: &Path, default: bool) -> Result<(), Error> {
    let syntax = |message: String| Error::Syntax { path: path.to_owned(), message };
    // A byte order mark may begin a YAML text (YAML 1.2, 5.2).
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let entries = match serde_yaml::from_str(text).map_err(|e| syntax(e.to_string()))? {
        Value::Mapping(entries) => entries,
        Value::Null => return Ok(()),
        _ => return Err(syntax("expected lines of the form `Key: value`".to_owned())),
    };
    let origin = if default { Origin::Default } else { Origin::File(path.to_owned()) };
    let mut seen: BTreeMap<&'static str, String> = BTreeMap::new();
    for (name, value) in entries {
        let Value::String(name) = name else {
            return Err(syntax("every key must be text".to_owned()));
        };
        match keys::in_file(&name) {
            Name::Known(key) => {
                if let Some(other) = seen.insert(key.name, name.clone()) {
                    return Err(syntax(format!("{other} and {name} set the same key")));
                }
                layers.set(key.name, value, origin.clone())?;
            }
            Name::Legacy(name) => layers.warnings.push(legacy(name, &origin)),
            Name::Unknown(like) => return Err(unknown(&name, origin, like)),
        }
    }
    Ok(())
}

fn read_environment(layers: &mut Layers, options: &LoadOptions) -> Result<(), Error> {
    for (variable, value) in options.env.iter().filter(|(name, _)| name.starts_with(keys::PREFIX)) {
        let origin = Origin::Environment(variable.clone());
        if keys::is_service_link(variable, value) {
            layers.warnings.push(format!(
                "{variable} is ignored: it looks like a service link of Kubernetes or Docker \
                 (enableServiceLinks: false turns them off)"
            ));
            continue;
        }
        if let Some(key) = keys::in_secret_file(variable) {
            if !value.is_empty() {
                read_secret(layers, options, key, value, origin)?;
            }
            continue;
        }
        match keys::in_environment(variable) {
            Name::Known(key) => layers.set(key.name, Value::String(value.clone()), origin)?,
            Name::Legacy(name) => layers.warnings.push(legacy(name, &origin)),
            Name::Unknown(Some(like)) => {
                return Err(Error::Unknown { key: variable.clone(), origin, nearest: Some(like) });
            }
            Name::Unknown(None) => {
                layers.warnings.push(format!("{variable} is ignored: no key has this variable"));
            }
        }
    }
    Ok(())
}

/// A secret that is in a file of its own.
fn read_secret(
    layers: &mut Layers,
    options: &LoadOptions,
    key: &'static keys::Key,
    path: &str,
    origin: Origin,
) -> Result<(), Error> {
    let wrong =
        |message| Error::Invalid { key: key.name.to_owned(), origin: origin.clone(), message };
    let plain = format!("{}{}", keys::PREFIX, key.variable);
    if options.env.get(&plain).is_some_and(|value| !value.trim().is_empty()) {
        return Err(wrong(format!("{plain} is set as well: unset one of the two")));
    }
    let secret = files::read(&options.work_dir.join(path)).map_err(wrong)?;
    // The contents of a file are taken literally, with quotes.
    layers.values.insert(key.name, (Value::String(secret.to_string()), origin));
    Ok(())
}

/// Returns whether a text is enclosed in quotes of one kind, like `"./data"`.
fn in_quotes(text: &str) -> bool {
    let text = text.trim();
    text.len() >= 2
        && ['"', '\''].iter().any(|mark| text.starts_with(*mark) && text.ends_with(*mark))
}

fn legacy(name: &str, origin: &Origin) -> String {
    format!("{name} ({origin}) is ignored: it has no meaning here")
}

fn unknown(key: &str, origin: Origin, nearest: Option<String>) -> Error {
    Error::Unknown { key: key.to_owned(), origin, nearest }
}

/// Returns whether the example names exactly the known keys, in their order; for tests.
#[cfg(test)]
pub(super) fn example_is_complete() -> bool {
    let example: serde_yaml::Mapping = serde_yaml::from_str(EXAMPLE).unwrap();
    let named: Vec<_> = example.keys().filter_map(Value::as_str).collect();
    named == keys::KEYS.iter().map(|k| k.name).collect::<Vec<_>>()
}
