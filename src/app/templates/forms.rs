//! What a form of a template is made of: its fields with their rules and starting values. The pages
//! show it; what they send back goes the way of any payload, with [`Encoding::Form`].

use crate::app::error::Error;
use crate::app::templates::fields::cache;
use crate::app::templates::fields::defaults::Defaults;
use crate::app::templates::fields::errors::FieldErrors;
use crate::app::templates::fields::payload::PayloadRules;
use crate::app::templates::fields::rule::{Kind, Rule};
use crate::app::templates::fields::schema::Schema;
use crate::app::templates::fields::value::Encoding;
use crate::model::Millis;
use crate::model::template::Template;

/// The form of a template.
#[derive(Debug)]
pub struct TemplateForm {
    /// Its schema.
    pub schema: Schema,
    /// Its fields that have rules and are shown, in order; none for a JSON Schema.
    pub fields: Vec<FormField>,
    /// The defaults of the template, also those that fit no rule.
    pub defaults: Defaults,
}

/// A field of a form.
#[derive(Clone, Debug)]
pub struct FormField {
    /// Its name in the payload.
    pub name: String,
    /// Its rule.
    pub rule: Rule,
    /// The value that the form begins with, as JSON.
    pub value: Option<String>,
}

impl TemplateForm {
    /// The form of a template, at a moment.
    ///
    /// # Errors
    ///
    /// `Internal` where the stored schema cannot be read, which a saved one always can.
    pub fn of(template: &Template, now: Millis) -> Result<Self, Error> {
        let (schema, defaults) = read(template)?;
        let rules =
            PayloadRules { schema: &schema, defaults: &defaults, kind: &template.kind, now };
        let shown = match &schema {
            Schema::Fields(fields) => fields.as_slice(),
            Schema::Json(_) => &[],
        };
        let shown = shown.iter().filter(|field| !matches!(field.rule.kind, Kind::Any));
        let fields = shown.map(|field| FormField {
            name: field.name.clone(),
            rule: field.rule.clone(),
            value: rules.fitting_default(&field.name, &field.rule),
        });
        let fields = fields.collect();
        Ok(Self { schema, fields, defaults })
    }
}

/// The data that a payload becomes by a template's schema. `payload` is JSON.
pub(super) fn check_payload(
    template: &Template,
    payload: &str,
    encoding: Encoding,
    now: Millis,
) -> Result<String, Error> {
    let (schema, defaults) = read(template)?;
    let rules = PayloadRules { schema: &schema, defaults: &defaults, kind: &template.kind, now };
    rules.check(payload, encoding).map_err(FieldErrors::into_payload_error)
}

/// Schema and defaults of a stored template.
fn read(template: &Template) -> Result<(Schema, Defaults), Error> {
    cache::read(&template.schema, &template.payload).map_err(|errors| {
        let all: Vec<_> = errors.iter().map(|(field, error)| format!("{field} {error}")).collect();
        let error = all.join(", ");
        tracing::error!(template = template.id, %error, "a stored template cannot be read");
        Error::internal()
    })
}
