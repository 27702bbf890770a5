//! Import of templates from a file such as the original's `job_templates.json`: each is made or
//! changed by its type. Either all of them are valid, or nothing is written.

use std::collections::HashSet;

use crate::app::actor::Actor;
use crate::app::authz::{Action, Resource, authorize};
use crate::app::error::{Error, refused};
use crate::app::jobs::Rules;
use crate::app::jobs::input::{DefinitionInput, JobInput};
use crate::app::state::App;
use crate::app::templates::edit::Context;
use crate::app::templates::fields::errors::FieldErrors;
use crate::app::templates::input::TemplateInput;
use crate::app::warnings::Warnings;
use crate::command::{Command, Outcome};
use crate::model::job::Casing;
use crate::model::template::Template;
use crate::model::{Millis, ProjectId};
use crate::store::templates;

/// The most templates of one import.
const MOST: usize = 500;

/// An import as a request gives it.
#[derive(Clone, Debug)]
pub struct Import<'a> {
    /// The project of all templates.
    pub project: ProjectId,
    /// The executor of all templates; without it they keep the target that they have.
    pub executor: Option<u64>,
    /// Nothing is written.
    pub dry_run: bool,
    /// The templates by their types, in the order of the file.
    pub templates: Vec<(String, TemplateInput<'a>)>,
}

/// What became of an import.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImportReport {
    /// The templates that are new.
    pub created: Vec<Imported>,
    /// The templates that changed.
    pub updated: Vec<Imported>,
    /// The templates that are as the file says already.
    pub unchanged: Vec<Imported>,
    /// What is valid and probably not meant.
    pub warnings: Vec<String>,
}

/// A template of an import.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    /// Its number; `None` for one that a dry run would make.
    pub id: Option<u64>,
    /// Its type.
    pub kind: String,
    /// It has a target, and instances of it can be made.
    pub active: bool,
}

impl App {
    /// Imports templates. With `dry_run` it only says what would become of each. `casing` is that
    /// of the callbacks of their jobs.
    ///
    /// # Errors
    ///
    /// `Unprocessable` with all fields that are wrong, by type; then nothing is written.
    /// `Malformed` where project or executor does not exist; `Conflict` where others change a
    /// template at the same time: those before it are written then, and the import can be repeated.
    pub async fn import_templates(
        &self,
        actor: &Actor,
        import: Import<'_>,
        casing: Casing,
    ) -> Result<ImportReport, Error> {
        let project = Resource::of_project(Some(import.project));
        authorize(actor, Action::TemplatesWrite, project)?;
        if import.templates.len() > MOST {
            let message = format!("an import takes at most {MOST} templates: split the file");
            return Err(Error::malformed(message));
        }
        self.linearize().await?;
        self.check_places(actor, import.project, import.executor).await?;
        let (dry_run, mut warnings) = (import.dry_run, Vec::new());
        let mut made: Vec<(Option<Template>, Template)> = Vec::new();
        let mut errors = FieldErrors::default();
        let mut kinds = HashSet::new();
        for (kind, input) in import.templates {
            if !kinds.insert(kind.clone()) {
                errors.add(&kind, "is there twice: give it once");
                continue;
            }
            let old = self.template_of_type(actor, import.project, &kind).await?;
            let input = completed(input, &kind, (import.project, import.executor), old.as_ref());
            let mut said = Warnings::default();
            let rules = self.job_rules(casing);
            match imported(&input, &kind, (&rules, self.now()), old.as_ref(), &mut said) {
                Ok(mut new) => match self.check_target(actor, &mut new).await {
                    Ok(()) => made.push((old, new)),
                    Err(error) => add(&mut errors, &kind, &error),
                },
                Err(error) => add(&mut errors, &kind, &error),
            }
            warnings.extend(said.lines());
        }
        errors.or(()).map_err(FieldErrors::into_template_error)?;
        let mut report = ImportReport { warnings, ..ImportReport::default() };
        for (old, new) in made {
            let (kind, active) = (new.kind.clone(), new.active);
            let same = old.as_ref().is_some_and(|old| old.content() == new.content());
            let id = match &old {
                Some(old) if same || dry_run => Some(old.id),
                None if dry_run => None,
                _ => Some(self.put_imported(actor, old.as_ref(), new).await?),
            };
            let list = match old {
                None => &mut report.created,
                Some(_) if same => &mut report.unchanged,
                Some(_) => &mut report.updated,
            };
            list.push(Imported { id, kind, active });
        }
        Ok(report)
    }

    async fn template_of_type(
        &self,
        actor: &Actor,
        project: ProjectId,
        kind: &str,
    ) -> Result<Option<Template>, Error> {
        let kind = kind.to_owned();
        let found =
            self.read(actor, move |conn| match templates::id_by_type(conn, project, &kind)? {
                Some(id) => templates::get(conn, id),
                None => Ok(None),
            });
        found.await
    }

    async fn put_imported(
        &self,
        actor: &Actor,
        old: Option<&Template>,
        new: Template,
    ) -> Result<u64, Error> {
        let (id, expect) = old.map_or((0, None), |old| (old.id, Some(old.version)));
        let command = Command::PutTemplate { id, expect, template: Box::new(new) };
        match self.propose(actor, command).await? {
            Outcome::Created(new) => Ok(new),
            Outcome::Done => Ok(id),
            other => Err(refused(other)),
        }
    }
}

/// The input of one template, with what the import says of all.
fn completed<'a>(
    input: TemplateInput<'a>,
    kind: &str,
    (project, executor): (ProjectId, Option<u64>),
    old: Option<&Template>,
) -> TemplateInput<'a> {
    let target = executor.map(|executor| JobInput {
        definition: DefinitionInput { executor: Some(executor), ..DefinitionInput::default() },
        ..JobInput::default()
    });
    let gets_target = target.is_some() && old.is_some_and(|old| !old.has_target());
    TemplateInput {
        project: Some(project),
        kind: Some(input.kind.unwrap_or_else(|| kind.to_owned())),
        active: input.active.or(gets_target.then_some(true)),
        target: target.or(input.target),
        ..input
    }
}

/// The template that one of a file makes.
fn imported(
    input: &TemplateInput<'_>,
    key: &str,
    (rules, now): (&Rules, Millis),
    old: Option<&Template>,
    warnings: &mut Warnings,
) -> Result<Template, Error> {
    if input.kind.as_deref() != Some(key) {
        let message = format!("type must be {key}, the name that it has in the file");
        return Err(Error::invalid("type", message));
    }
    let context = Context { rules, now, lenient: true };
    input.apply_to(&context, old, warnings)
}

/// Adds the error of a template to those of its import.
fn add(errors: &mut FieldErrors, kind: &str, error: &Error) {
    for (field, message) in error.fields() {
        errors.add(&format!("{kind}.{field}"), message);
    }
    if error.fields().is_empty() {
        let field = error.field_name().map_or_else(|| kind.to_owned(), |f| format!("{kind}.{f}"));
        errors.add(&field, error.detail());
    }
}
