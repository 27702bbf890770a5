//! The template that the fields of a request make of an old one, or of none. `create`, `update` and
//! `import` call it. Pure; whether the target is there and takes the data is asked afterwards.

use serde_json::{Value, from_str};

use crate::app::error::Error;
use crate::app::fields::check_text;
use crate::app::jobs::input::JobInput;
use crate::app::jobs::{Rules, TemplateTerms};
use crate::app::patch::Patch;
use crate::app::templates::fields::cache;
use crate::app::templates::fields::errors::FieldErrors;
use crate::app::templates::fields::ordered::{compact, is_too_deep};
use crate::app::templates::fields::payload::{PayloadRules, is_type_of_job};
use crate::app::templates::fields::schema::{Field, Schema};
use crate::app::templates::fields::value::{Encoding, MOST_BYTES, check};
use crate::app::templates::input::{
    LONGEST_DESCRIPTION, LONGEST_LABEL, LONGEST_TYPE, TemplateInput,
};
use crate::app::warnings::Warnings;
use crate::model::Millis;
use crate::model::template::{KEPT, LONGEST_START, MOST_KEPT, PayloadSchema, Template};

/// The facts beside a request that a template depends on.
pub(super) struct Context<'a> {
    /// The rules of its jobs.
    pub(super) rules: &'a Rules,
    /// The moment of the check.
    pub(super) now: Millis,
    /// Defaults that do not fit are a warning, unless nobody would correct them later.
    pub(super) lenient: bool,
}

impl TemplateInput<'_> {
    /// The template after the change; a new one of no old one. Its instances' data is checked where
    /// it makes them itself.
    pub(super) fn apply_to(
        &self,
        context: &Context<'_>,
        old: Option<&Template>,
        warnings: &mut Warnings,
    ) -> Result<Template, Error> {
        let mut new = match old {
            Some(old) => old.clone(),
            None => self.blank()?,
        };
        if self.project.is_some_and(|project| project != new.project) {
            let message = "projectId of a template cannot change: make another template";
            return Err(Error::invalid("projectId", message));
        }
        self.set_fields(&mut new)?;
        let mut errors = FieldErrors::default();
        self.set_schema(&mut new, &mut errors);
        // Of two schemas there is none that the payload could be checked against.
        let has_two = self.payload_schema.is_some() && self.json_schema.is_some();
        if !has_two && old.is_none_or(|old| has_other_data(old, &new)) {
            // Defaults that were there before are no fault of this change.
            let has_same_defaults = old.is_some_and(|old| has_same_defaults(old, &new));
            let lenient = context.lenient || has_same_defaults;
            let context = Context { lenient, ..*context };
            check_payload(&mut new, &context, warnings, &mut errors);
        }
        errors.or(()).map_err(FieldErrors::into_template_error)?;
        self.set_definition(&mut new, context.rules, old, warnings)?;
        let has_target = new.has_target();
        if old.is_none() && self.active.is_none() {
            new.active = has_target;
        }
        if new.active && !has_target {
            let message = "a template without a target cannot be active: give it target, such as \
                           {\"callbackUrl\": \"https://...\"}";
            return Err(Error::unprocessable(message).field("target"));
        }
        if !has_target {
            warnings.say(&format!("template {} needs a target and is inactive", new.kind));
        }
        if new.user_triggered && new.reschedule {
            let kind = &new.kind;
            warnings.say(&format!("an instance of {kind} comes again until somebody ends it"));
        }
        if old.is_some() {
            new.modified_by.clone_from(&self.modified_by);
        }
        Ok(new)
    }

    /// A new template with what it must have.
    fn blank(&self) -> Result<Template, Error> {
        let Some(kind) = &self.kind else {
            return Err(Error::invalid("type", "type is required: the name of the template"));
        };
        let Some(project) = self.project.filter(|project| *project > 0) else {
            return Err(Error::invalid("projectId", "projectId is required"));
        };
        Ok(Template {
            kind: kind.clone(),
            project,
            user_triggered: true,
            keep_completed: KEPT,
            created_by: self.created_by.clone(),
            ..Template::default()
        })
    }

    fn set_fields(&self, new: &mut Template) -> Result<(), Error> {
        if let Some(kind) = &self.kind {
            let is_plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
            if kind.is_empty() || kind.len() > LONGEST_TYPE || !kind.bytes().all(is_plain) {
                let message =
                    format!("type must be 1 to {LONGEST_TYPE} of the characters A-Z a-z 0-9 . _ -");
                return Err(Error::invalid("type", message));
            }
            new.kind.clone_from(kind);
        }
        for (field, given, longest, place) in [
            ("label", &self.label, LONGEST_LABEL, &mut new.label),
            ("description", &self.description, LONGEST_DESCRIPTION, &mut new.description),
        ] {
            if let Some(given) = given {
                check_text(field, given, longest)?;
                place.clone_from(given);
            }
        }
        if let Some(seconds) = self.start_in_seconds {
            new.start_in_seconds = start_in_seconds(seconds)?;
        }
        new.user_triggered = self.user_triggered.unwrap_or(new.user_triggered);
        new.reschedule = self.reschedule.unwrap_or(new.reschedule);
        new.active = self.active.unwrap_or(new.active);
        match self.keep_completed {
            Patch::Keep => {}
            Patch::Clear => new.keep_completed = KEPT,
            Patch::Set(most) if most > u64::from(MOST_KEPT) => {
                let message = format!("keepCompleted must be at most {MOST_KEPT}");
                return Err(Error::invalid("keepCompleted", message));
            }
            Patch::Set(most) => new.keep_completed = most as u32,
        }
        Ok(())
    }

    fn set_schema(&self, new: &mut Template, errors: &mut FieldErrors) {
        match (&self.payload_schema, &self.json_schema) {
            (Some(_), Some(_)) => {
                errors.add("jsonSchema", "stands beside payloadSchema: give one of them");
            }
            (Some(fields), None) => new.schema = PayloadSchema::Fields(compact(fields)),
            (None, Some(schema)) => new.schema = PayloadSchema::Json(compact(schema)),
            (None, None) => {}
        }
        match &self.payload {
            Patch::Keep => {}
            Patch::Clear => new.payload.clear(),
            Patch::Set(payload) if payload.len() > MOST_BYTES || is_too_deep(payload) => {
                errors
                    .add("payload", format!("must have at most {MOST_BYTES} bytes, in 32 levels"));
            }
            Patch::Set(payload) => new.payload = compact(payload),
        }
    }

    fn set_definition(
        &self,
        new: &mut Template,
        rules: &Rules,
        old: Option<&Template>,
        warnings: &mut Warnings,
    ) -> Result<(), Error> {
        let none = JobInput::default();
        let policies = match &self.policies {
            Patch::Keep => None,
            Patch::Clear => Some(&none),
            Patch::Set(policies) => Some(policies),
        };
        let terms = TemplateTerms { target: self.target.as_ref(), policies };
        let known = old.map(|old| &old.definition);
        if known.is_some() && terms.target.is_none() && terms.policies.is_none() {
            return Ok(());
        }
        new.definition = terms.definition(rules, new.project, known, warnings)?;
        new.definition.created_by.clone_from(&new.created_by);
        Ok(())
    }
}

/// Says whether two templates have the same schema and the same defaults.
fn has_same_defaults(old: &Template, new: &Template) -> bool {
    // A client that sends back what it was shown writes JSON in its own way.
    let same = |a: &str, b: &str| {
        a == b || matches!((from_str::<Value>(a), from_str::<Value>(b)), (Ok(a), Ok(b)) if a == b)
    };
    let same_schema = match (&old.schema, &new.schema) {
        (PayloadSchema::Fields(a), PayloadSchema::Fields(b))
        | (PayloadSchema::Json(a), PayloadSchema::Json(b)) => same(a, b),
        _ => false,
    };
    same_schema && same(&old.payload, &new.payload)
}

/// Says whether a change may make other data of the payload.
fn has_other_data(old: &Template, new: &Template) -> bool {
    let parts = |one: &Template| (one.kind.clone(), one.user_triggered);
    old.schema != new.schema || old.payload != new.payload || parts(old) != parts(new)
}

/// Checks the seconds before an instance is due.
pub(super) fn start_in_seconds(seconds: u64) -> Result<u32, Error> {
    if seconds > LONGEST_START {
        let message =
            format!("startInSeconds must be from 0 to {LONGEST_START}, which is 366 days");
        return Err(Error::invalid("startInSeconds", message));
    }
    Ok(seconds as u32)
}

/// Checks schema and defaults. A system template gets the data of its instances.
fn check_payload(
    new: &mut Template,
    context: &Context<'_>,
    warnings: &mut Warnings,
    errors: &mut FieldErrors,
) {
    let (schema, defaults) = match cache::read(&new.schema, &new.payload) {
        Ok(read) => read,
        Err(wrong) => return wrong.iter().for_each(|(field, error)| errors.add(field, error)),
    };
    check_rule_defaults(&schema, context.now, errors);
    let rules =
        PayloadRules { schema: &schema, defaults: &defaults, kind: &new.kind, now: context.now };
    if !new.user_triggered {
        let payload = if new.payload.is_empty() { "{}" } else { &new.payload };
        match rules.check(payload, Encoding::Json) {
            Ok(data) => new.data = data,
            Err(wrong) => errors.add_all("payload", wrong),
        }
        return;
    }
    new.data.clear();
    let wrong = unfit_defaults(&rules, &new.payload);
    if context.lenient {
        for (field, error) in wrong.iter() {
            let kind = &new.kind;
            warnings.say(&format!(
                "template {kind}: the default of {field} {error}; its form starts without one"
            ));
        }
    } else {
        errors.add_all("payload", wrong);
    }
}

/// Refuses defaults in rules that do not fit them: nobody could leave such a field out.
fn check_rule_defaults(schema: &Schema, now: Millis, errors: &mut FieldErrors) {
    match schema {
        Schema::Fields(fields) => {
            for Field { name, rule } in fields {
                let Some(default) = &rule.default else { continue };
                if let Err(error) = check(&rule.kind, default, Encoding::Json, now) {
                    errors.add(&format!("payloadSchema.{name}"), format!("default {error}"));
                }
            }
        }
        Schema::Json(schema) => {
            for (name, error) in schema.unfit_defaults() {
                errors.add(&format!("jsonSchema.{name}"), format!("default does not fit: {error}"));
            }
        }
    }
}

/// What is wrong with the defaults of a template that others trigger. An empty text is none.
fn unfit_defaults(rules: &PayloadRules<'_>, payload: &str) -> FieldErrors {
    if payload.is_empty() {
        return FieldErrors::default();
    }
    let wrong = rules.check(payload, Encoding::Json).err().unwrap_or_default();
    let mut unfit = FieldErrors::default();
    for (field, error) in wrong.iter() {
        // What is absent is what the form asks for.
        let top = field.split('/').next().unwrap_or(field);
        let is_given = rules.defaults.get(top).is_some_and(|json| json != "null");
        let of_job = match rules.schema {
            Schema::Fields(fields) => {
                fields.iter().any(|one| one.name == field && is_type_of_job(&one.name, &one.rule))
            }
            Schema::Json(_) => false,
        };
        if is_given && !of_job {
            unfit.add(field, error);
        }
    }
    unfit
}

#[cfg(test)]
#[path = "edit_tests.rs"]
mod tests;
