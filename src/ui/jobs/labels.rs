//! Labels as a text of the editor: one on a line, as `name=value`. A value that a line would not
//! keep is written as JSON writes texts. Pure; `fields` calls it.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::app::Error;

/// The text for labels.
pub(crate) fn shown(labels: &BTreeMap<String, String>) -> String {
    let lines = labels.iter().map(|(key, value)| {
        let is_kept =
            value.trim() == value && !value.starts_with('"') && !value.contains(char::is_control);
        if is_kept { format!("{key}={value}") } else { format!("{key}={}", Value::from(&**value)) }
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// The labels of a text.
///
/// # Errors
///
/// `Invalid` for a line without `=`, and for a name that is there twice.
pub(crate) fn read(text: &str) -> Result<Map<String, Value>, Error> {
    let mut labels = Map::new();
    for line in text.split(['\n', '\r']).map(str::trim).filter(|line| !line.is_empty()) {
        let wrong = |why: &str| Error::invalid("labels", format!("labels: {line} {why}"));
        let (key, value) = line
            .split_once('=')
            .ok_or_else(|| wrong("has no value: give each on a line of its own, as name=value"))?;
        let (key, value) = (key.trim(), value.trim());
        let value = serde_json::from_str::<String>(value).unwrap_or_else(|_| value.to_owned());
        if labels.insert(key.to_owned(), value.into()).is_some() {
            return Err(wrong("has a name that is there twice"));
        }
    }
    Ok(labels)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_comes_back_as_it_was() {
        let values =
            ["a,b", " a ", "a\nb", "a\r\nb=c", "\"quoted\"", "", "x=y", "\\n", "\t", "\u{a0}x"];
        let labels: BTreeMap<_, _> =
            values.iter().enumerate().map(|(at, v)| (format!("k{at}"), (*v).to_owned())).collect();
        // A browser sends pairs at the ends of lines.
        let text = shown(&labels).replace('\n', "\r\n");
        let back = read(&text).unwrap();
        for (key, value) in &labels {
            assert_eq!(back[key], **value, "{text}");
        }
        assert_eq!(back.len(), labels.len());
    }

    #[test]
    fn what_is_no_label_is_refused_with_its_line() {
        for bad in ["team", "a=1\nteam\nb=2", "team=1\nteam=2"] {
            let error = read(bad).unwrap_err();
            assert_eq!(error.field_name(), Some("labels"));
            assert!(error.detail().contains("team"), "{error}");
        }
        assert!(read(" \r\n").unwrap().is_empty());
    }
}
