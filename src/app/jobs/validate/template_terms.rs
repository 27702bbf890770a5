//! The definition that a template's instances share: its target, and the policies of its jobs, by
//! the rules of jobs. `app::templates` calls it; instant, data and mark come later. Pure.

use crate::app::error::Error;
use crate::app::jobs::input::{DefinitionInput, JobInput, Name, Names};
use crate::app::jobs::validate::definition::Base;
use crate::app::jobs::validate::policy;
use crate::app::jobs::validate::rules::Rules;
use crate::app::jobs::validate::seen::SeenValues;
use crate::app::warnings::Warnings;
use crate::model::ProjectId;
use crate::model::job::{JobDefinition, Timing};

/// An executor that stands for a target that is not there yet; no executor has the number.
const NO_TARGET: u64 = u64::MAX;

/// The parts of a template that are those of a job.
#[derive(Clone, Copy, Debug, Default)]
pub struct TemplateTerms<'a> {
    /// The target; `None` keeps the old one.
    pub target: Option<&'a JobInput<'a>>,
    /// The policies; `None` keeps the old ones.
    pub policies: Option<&'a JobInput<'a>>,
}

impl TemplateTerms<'_> {
    /// The definition that the parts make of an old one, or of none. Without a target it has none.
    pub(in crate::app) fn definition(
        self,
        rules: &Rules,
        project: ProjectId,
        old: Option<&JobDefinition>,
        warnings: &mut Warnings,
    ) -> Result<JobDefinition, Error> {
        let Self { target, policies } = self;
        target.map_or(Ok(()), only_target)?;
        policies.map_or(Ok(()), only_policies)?;
        let fresh = JobDefinition {
            execution_type: "http".to_owned(),
            casing: rules.casing,
            timing: Timing::After(0),
            ..JobDefinition::default()
        };
        let mut base = match old {
            Some(old) if policies.is_none() => old.clone(),
            Some(old) => JobDefinition {
                casing: old.casing,
                callback_url: old.callback_url.clone(),
                http: old.http.clone(),
                target: old.target.clone(),
                executor: old.executor,
                message: old.message.clone(),
                ..fresh
            },
            None => fresh,
        };
        let mut input = policies.map(|input| input.definition.clone()).unwrap_or_default();
        if let Some(JobInput { definition: target, .. }) = target {
            base.message = None;
            input.callback_url.clone_from(&target.callback_url);
            input.executor = target.executor;
            input.settings.clone_from(&target.settings);
            input.rare.extend(target.rare.iter().cloned());
        }
        input.project = Some(project);
        let has_none = base.callback_url.is_empty()
            && base.http.is_none()
            && base.target.is_none()
            && base.executor.is_none();
        if has_none && input.names_target() {
            // The first target is called as the request that names it is cased.
            base.casing = rules.casing;
        } else if has_none {
            base.executor = Some(NO_TARGET);
        }
        let base = Base { definition: base, old, nulls: Names::default() };
        let mut seen = SeenValues::default();
        let mut definition = seen.definition(rules, base, &input)?;
        warnings.merge(seen.warnings);
        definition.executor = definition.executor.filter(|id| *id != NO_TARGET);
        Ok(definition)
    }
}

/// Refuses other fields than those of a target.
fn only_target(input: &JobInput<'_>) -> Result<(), Error> {
    let given = &input.definition;
    let mut kept = DefinitionInput {
        callback_url: given.callback_url.clone(),
        executor: given.executor,
        settings: given.settings.clone(),
        ..DefinitionInput::default()
    };
    let of_target = |name: &Name| matches!(name, Name::Http | Name::Message);
    kept.rare.extend(given.rare.iter().filter(|(name, _)| of_target(name)).cloned());
    if *given == kept && has_no_own_fields(input) && kept.names_target() {
        return Ok(());
    }
    let message = "target takes one of callbackUrl, http, executorId (with message) and the \
                   settings of another kind, and nothing else: policies go into job";
    Err(Error::invalid("target", message))
}

/// Refuses other fields than policies.
fn only_policies(input: &JobInput<'_>) -> Result<(), Error> {
    let given = &input.definition;
    let kept = DefinitionInput {
        retry_max: given.retry_max,
        rare: given.rare.clone(),
        ..DefinitionInput::default()
    };
    let others = [Name::After, Name::Http, Name::Message, Name::Dst];
    let is_policy = given.rare.iter().all(|(name, _)| !others.contains(name));
    if *given == kept && is_policy && has_no_own_fields(input) {
        return Ok(());
    }
    let message = "job takes the policies of the template's jobs, such as retryMax, timeout, \
                   runTimeout, heartbeatTimeout, overlap and labels: the target goes into target, \
                   and the instant follows from startInSeconds";
    Err(Error::invalid("job", message))
}

/// Says whether a job's own fields are all absent: an instance gets them in another way.
fn has_no_own_fields(input: &JobInput<'_>) -> bool {
    let JobInput { data, status, at, pause_until, external_id, modified_by, .. } = input;
    [data, status, at, pause_until, external_id, modified_by].iter().all(|own| own.is_none())
}

/// Reads the labels of an instance, given as JSON, over those of its template.
pub(in crate::app) fn add_labels(
    definition: &mut JobDefinition,
    labels: Option<&str>,
) -> Result<(), Error> {
    if let Some(labels) = labels {
        definition.labels.extend(policy::labels(labels)?);
        // Together they may be too many.
        let all = serde_json::to_string(&definition.labels).map_err(|_| Error::internal())?;
        policy::labels(&all)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::jobs::json_text::JsonText;
    use crate::app::jobs::validate::fixtures::rules;
    use crate::model::job::Casing;

    fn input(callback: Option<&'static str>, rare: &[(Name, &'static str)]) -> JobInput<'static> {
        let rare = rare.iter().map(|(name, json)| (*name, JsonText::from(*json))).collect();
        let callback_url = callback.map(Into::into);
        let definition = DefinitionInput { callback_url, rare, ..DefinitionInput::default() };
        JobInput { definition, ..JobInput::default() }
    }

    fn made(
        target: Option<&JobInput<'_>>,
        policies: Option<&JobInput<'_>>,
        old: Option<&JobDefinition>,
    ) -> Result<JobDefinition, Error> {
        let terms = TemplateTerms { target, policies };
        terms.definition(&rules(), 1, old, &mut Warnings::default())
    }

    #[test]
    fn target_and_policies_change_by_themselves() {
        let url = "https://example.com/a";
        let target = input(Some(url), &[]);
        let policies = input(None, &[(Name::RetryDelay, "\"5s\"")]);
        let first = made(Some(&target), Some(&policies), None).unwrap();
        assert_eq!((first.callback_url.as_str(), first.executor), (url, None));
        assert_eq!(first.delivery.retry_delay, Some(5_000));
        let other = input(Some("https://example.com/b"), &[]);
        let second = made(Some(&other), None, Some(&first)).unwrap();
        assert_eq!(second.delivery, first.delivery, "policies stay");
        let third = made(None, Some(&input(None, &[])), Some(&second)).unwrap();
        assert_eq!(third.callback_url, second.callback_url, "the target stays");
        assert_eq!(third.delivery.retry_delay, None);
    }

    #[test]
    fn a_template_may_have_no_target_yet() {
        let none = made(None, Some(&input(None, &[(Name::Overlap, "\"skip\"")])), None).unwrap();
        assert_eq!((none.executor, none.callback_url.as_str()), (None, ""));
        let target = input(Some("https://example.com/a"), &[]);
        let field = made(Some(&target), None, Some(&none)).unwrap_err();
        assert_eq!(field.field_name(), Some("overlap"), "batches know none: {field}");
    }

    #[test]
    fn the_first_target_is_called_in_the_casing_of_its_request() {
        let terms = |target| TemplateTerms { target, policies: None };
        let by = |casing| Rules { casing, ..rules() };
        let mut warnings = Warnings::default();
        let none = terms(None).definition(&by(Casing::Camel), 1, None, &mut warnings).unwrap();
        let url = input(Some("https://example.com/a"), &[]);
        let mut first =
            |old| terms(Some(&url)).definition(&by(Casing::Snake), 1, old, &mut warnings).unwrap();
        let cased = first(Some(&none));
        assert_eq!(cased.casing, Casing::Snake);
        let kept = JobDefinition { casing: Casing::Camel, ..cased };
        assert_eq!(first(Some(&kept)).casing, Casing::Camel, "another target changes nothing");
    }

    #[test]
    fn each_part_has_its_own_fields() {
        let spec = JobInput {
            definition: DefinitionInput { spec: Some("@daily".into()), ..Default::default() },
            ..JobInput::default()
        };
        let data = JobInput { data: Some("x".into()), ..JobInput::default() };
        let after = input(None, &[(Name::After, "\"5s\"")]);
        let url = input(Some("https://example.com/a"), &[]);
        for (target, policies, field) in [
            (None, Some(&spec), "job"),
            (None, Some(&data), "job"),
            (None, Some(&after), "job"),
            (None, Some(&url), "job"),
            (Some(&spec), None, "target"),
            (Some(&after), None, "target"),
        ] {
            let error = made(target, policies, None).unwrap_err();
            assert_eq!(error.field_name(), Some(field), "{error}");
        }
    }

    #[test]
    fn an_instance_adds_labels() {
        let labels = [("team".to_owned(), "a".to_owned())].into();
        let mut definition = JobDefinition { labels, ..JobDefinition::default() };
        add_labels(&mut definition, Some(r#"{"user":"7","team":"b"}"#)).unwrap();
        let labels: Vec<_> = definition.labels.iter().map(|(k, v)| (&**k, &**v)).collect();
        assert_eq!(labels, [("team", "b"), ("user", "7")]);
        assert!(add_labels(&mut definition, Some("[1]")).is_err());
    }
}
