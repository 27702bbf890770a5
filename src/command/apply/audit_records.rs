//! Records whose fields the audit shows in another form than they are stored in: jobs, whose
//! definition many share, and keys. The rules of both call it.

use serde_json::{Map, Value, json};

use super::audit_diff::{
    FieldChange, difference, new_address, new_digest, new_field, new_text, word,
};
use super::entry::Entry;
use crate::command::CreateJobs;
use crate::model::ProjectId;
use crate::model::account::{Account, AccountEdit, Limits};
use crate::model::credential::Credential;
use crate::model::feature::{Feature, Features};
use crate::model::job::{Job, JobDefinition};
use crate::model::key_terms::KeyTerms;

impl Entry<'_, '_> {
    /// Notes jobs that are created. Of one job its schedule, target and data are shown; of many
    /// the schedule, where they share one. It is the same for the smallest request as for the
    /// largest: nothing is computed for each job.
    pub(super) fn note_new_jobs(&mut self, new: &CreateJobs, project: Option<ProjectId>) {
        if let Some(project) = project {
            self.notes.project(project);
        }
        self.notes.changed_with(|| {
            let mut fields = match &new.definitions[..] {
                [definition] => new_definition(definition),
                _ => Vec::new(),
            };
            if let [job] = &new.jobs[..] {
                fields.push(new_digest("data", &job.data));
                fields.extend(job.external_id.as_deref().map(|id| new_text("externalId", id)));
            }
            fields
        });
    }

    /// Notes a job as it was and as it is.
    pub(super) fn note_job(&mut self, old: Option<&Job>, new: Option<&Job>) {
        for job in [old, new].into_iter().flatten() {
            self.notes.project(job.definition.project);
        }
        self.notes.changed_with(|| {
            difference(old.map(job_fields).as_ref(), new.map(job_fields).as_ref())
        });
    }
}

/// What is shown of the definition of new jobs.
fn new_definition(definition: &JobDefinition) -> Vec<FieldChange> {
    let mut fields = Vec::with_capacity(6);
    if !definition.spec.is_empty() {
        fields.push(new_text("spec", &definition.spec));
    }
    if !definition.callback_url.is_empty() {
        fields.push(new_address("callbackUrl", &definition.callback_url));
    }
    if let Some(http) = &definition.http {
        fields.push(new_address("http.url", &http.url));
    }
    fields.extend(definition.executor.map(|id| new_field("executor", id)));
    fields.extend(definition.template.map(|of| new_field("template", of.id)));
    fields
}

/// The fields of a job as one record.
fn job_fields(job: &Job) -> Value {
    let mut fields = match serde_json::to_value(&*job.definition) {
        Ok(Value::Object(fields)) => fields,
        // A definition is always an object.
        _ => Map::new(),
    };
    let mut add = |name: &str, value: Value| fields.insert(name.to_owned(), value);
    add("data", job.data.as_str().into());
    add("status", format!("{:?}", job.status).to_lowercase().into());
    add("external_id", job.external_id.clone().into());
    if job.definition.is_one_off() {
        add("at", job.anchor.into());
    }
    Value::Object(fields)
}

/// What is shown of a new key: never its secret or what that is checked against.
pub(super) fn new_key(new: &Credential) -> Vec<FieldChange> {
    let mut fields = vec![new_text("apiKey", &new.api_key), word("secret", "set")];
    fields.extend(new.parent.map(|parent| new_field("parent", parent)));
    fields.extend(difference(None, Some(&terms_fields(&new.terms))));
    fields
}

/// The terms in which a key changed.
pub(super) fn terms_changed(old: &KeyTerms, new: &KeyTerms) -> Vec<FieldChange> {
    difference(Some(&terms_fields(old)), Some(&terms_fields(new)))
}

/// The terms of a key, with scopes and networks as the API names them.
fn terms_fields(terms: &KeyTerms) -> Value {
    let KeyTerms { name, scopes, expires, allowed, projects, rate } = terms;
    let allowed: Vec<_> = allowed.iter().map(ToString::to_string).collect();
    json!({
        "name": name,
        "scopes": scopes.map(|scopes| scopes.to_string()),
        "expiresAt": expires,
        "allowedIps": (!allowed.is_empty()).then_some(allowed),
        "projects": projects,
        "ratePerSecond": rate,
    })
}

/// The fields of a new account.
pub(super) fn new_account(name: &str, features: Features, limits: Limits) -> Vec<FieldChange> {
    difference(None, Some(&account_fields(name, features, limits)))
}

/// The fields in which an account changed.
pub(super) fn account_changed(old: &Account, new: &AccountEdit) -> Vec<FieldChange> {
    let old = account_fields(&old.name, old.features, old.limits);
    difference(Some(&old), Some(&account_fields(&new.name, new.features, new.limits)))
}

/// The fields of an account, with its features by their names.
fn account_fields(name: &str, features: Features, limits: Limits) -> Value {
    let features: Vec<_> = features.iter().map(Feature::name).collect();
    json!({ "name": name, "features": features, "limits": limits })
}
