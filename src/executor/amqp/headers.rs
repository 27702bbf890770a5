//! The headers of messages as they are written for each job: values keep their JSON types, and in
//! texts placeholders are filled in. `plan` makes them of what `tables` has checked.

use serde_json::{Map, Value};

use super::fields::placeholders;
use super::tables::{MOST_BYTES, size};
use crate::delivery::executor::Invalid;
use crate::executor::template::{Bounded, Fill, Full, Place, Template};

/// The headers.
#[derive(Debug, Default)]
pub(super) struct Headers {
    /// The headers that are the same for all jobs.
    fixed: Map<String, Value>,
    /// The headers that something is filled into.
    filled: Vec<(String, Node)>,
}

/// A value.
#[derive(Debug)]
enum Node {
    Fixed(Value),
    Text(Template),
    List(Vec<Node>),
    Table(Vec<(String, Node)>),
}

/// The error of headers that are too large with what is filled in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("headers would have more than {MOST_BYTES} bytes with what is filled in")]
pub(super) struct TooLarge;

impl Headers {
    /// Reads headers.
    ///
    /// # Errors
    ///
    /// `Invalid` for a placeholder that nobody fills in.
    pub(super) fn new(field: &'static str, table: &Map<String, Value>) -> Result<Self, Invalid> {
        let mut headers = Self::default();
        for (name, value) in table {
            match Node::new(field, value)? {
                Node::Fixed(value) => drop(headers.fixed.insert(name.clone(), value)),
                node => headers.filled.push((name.clone(), node)),
            }
        }
        Ok(headers)
    }

    /// The headers for a job.
    pub(super) fn render(&self, fill: &Fill<'_>) -> Result<Map<String, Value>, TooLarge> {
        let mut headers = self.fixed.clone();
        if self.filled.is_empty() {
            return Ok(headers);
        }
        for (name, node) in &self.filled {
            headers.insert(name.clone(), node.render(fill)?);
        }
        if size(&headers) > MOST_BYTES { Err(TooLarge) } else { Ok(headers) }
    }
}

impl Node {
    fn new(field: &'static str, value: &Value) -> Result<Self, Invalid> {
        let is_fixed = |node: &Self| matches!(node, Self::Fixed(_));
        Ok(match value {
            Value::String(text) => {
                let template = placeholders(field, text, Place::Plain)?;
                match template.fixed() {
                    Some(text) => Self::Fixed(text.into()),
                    None => Self::Text(template),
                }
            }
            Value::Array(list) => {
                let nodes: Vec<_> =
                    list.iter().map(|value| Self::new(field, value)).collect::<Result<_, _>>()?;
                // Texts without placeholders may still have a literal `{{` to be written.
                if nodes.iter().all(is_fixed) {
                    Self::Fixed(nodes.into_iter().filter_map(Self::into_fixed).collect())
                } else {
                    Self::List(nodes)
                }
            }
            Value::Object(table) => {
                let node =
                    |(name, value): (&String, &Value)| Ok((name.clone(), Self::new(field, value)?));
                let nodes: Vec<_> = table.iter().map(node).collect::<Result<_, Invalid>>()?;
                if nodes.iter().all(|(_, node)| is_fixed(node)) {
                    let fixed = |(name, node): (String, Self)| Some((name, node.into_fixed()?));
                    Self::Fixed(nodes.into_iter().filter_map(fixed).collect())
                } else {
                    Self::Table(nodes)
                }
            }
            other => Self::Fixed(other.clone()),
        })
    }

    fn into_fixed(self) -> Option<Value> {
        match self {
            Self::Fixed(value) => Some(value),
            _ => None,
        }
    }

    fn render(&self, fill: &Fill<'_>) -> Result<Value, TooLarge> {
        Ok(match self {
            Self::Fixed(value) => value.clone(),
            Self::Text(template) => {
                let mut out = Bounded::new(MOST_BYTES);
                template.fill(fill, Place::Plain, &mut out).map_err(|Full| TooLarge)?;
                out.into_text().into()
            }
            Self::List(nodes) => {
                nodes.iter().map(|node| node.render(fill)).collect::<Result<_, _>>()?
            }
            Self::Table(nodes) => {
                let value = |(name, node): &(String, Self)| Ok((name.clone(), node.render(fill)?));
                nodes.iter().map(value).collect::<Result<_, TooLarge>>()?
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const FIELD: &str = "amqp.headers";

    fn rendered(given: &Value, data: &str) -> Result<Value, TooLarge> {
        let fill =
            Fill { execution_id: "c1-4d", job: 77, scheduled: 0, attempt: 2, data, template: "" };
        let headers = Headers::new(FIELD, given.as_object().unwrap()).unwrap();
        headers.render(&fill).map(Value::Object)
    }

    #[test]
    fn types_are_kept_and_placeholders_filled_in_within_texts() {
        let given = json!({
            "n": 5, "f": 0.5, "b": true, "z": null, "t": "{{jobId}} {{data}}", "l": "{{{{}}",
            "list": [1, "{{attempt}}", ["{{{{}}", {"a": "{{executionId}}"}]],
            "table": {"at": "{{scheduledAt}}", "x": [null]}, "fixed": {"a": ["b"]},
        });
        let expected = json!({
            "n": 5, "f": 0.5, "b": true, "z": null, "t": "77 5", "l": "{{",
            "list": [1, "2", ["{{", {"a": "c1-4d"}]],
            "table": {"at": "1970-01-01T00:00:00Z", "x": [null]}, "fixed": {"a": ["b"]},
        });
        assert_eq!(rendered(&given, "5").unwrap(), expected);
    }

    #[test]
    fn what_is_filled_in_is_bounded() {
        let given = json!({"a": "{{data}}", "b": ["{{data}}"]});
        assert!(rendered(&given, &"x".repeat(4_000)).is_ok());
        for length in [4_200, 10_000] {
            assert_eq!(rendered(&given, &"x".repeat(length)), Err(TooLarge));
        }
    }

    fn values() -> impl Strategy<Value = Value> {
        let text = prop::collection::vec(
            prop_oneof![Just("{{data}}"), Just("{{jobId}}"), Just("{{{{}}"), Just("é\" x")],
            0..4,
        );
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            text.prop_map(|parts| parts.concat().into()),
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[a-z]{1,3}", inner, 0..4)
                    .prop_map(|table| table.into_iter().collect()),
            ]
        })
    }

    /// The value with placeholders filled in by replacing text.
    fn expected(value: &Value, data: &str) -> Value {
        match value {
            Value::String(text) => {
                let text = text.replace("{{{{}}", "\u{1}").replace("{{jobId}}", "77");
                text.replace("{{data}}", data).replace('\u{1}', "{{").into()
            }
            Value::Array(list) => list.iter().map(|value| expected(value, data)).collect(),
            Value::Object(table) => {
                table.iter().map(|(name, value)| (name.clone(), expected(value, data))).collect()
            }
            other => other.clone(),
        }
    }

    proptest! {
        #[test]
        fn any_value_keeps_its_shape(
            table in prop::collection::btree_map("[a-z]{1,5}", values(), 0..6),
            data in "[a-z\"{}é]{0,20}",
        ) {
            let given: Value = table.into_iter().collect();
            prop_assert_eq!(rendered(&given, &data).unwrap(), expected(&given, &data));
        }
    }
}
