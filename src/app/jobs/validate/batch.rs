//! The checks of new jobs. They are pure: the clock's reading comes with the rules, and
//! `command::apply` decides whether a project exists.
//!
//! A request of thousands has a handful of different definitions: [`Batch`] checks each definition
//! once, and the fields of each job here.

use std::collections::{HashMap, HashSet};

use crate::app::error::Error;
use crate::app::jobs::input::{DefinitionInput, JobInput, Names};
use crate::app::jobs::validate::definition::Base;
use crate::app::jobs::validate::instants::{self, ends_after_it_begins, pause_until};
use crate::app::jobs::validate::own_fields::{self, by, external_id};
use crate::app::jobs::validate::payload::{Measure, check_payload};
use crate::app::jobs::validate::refusals::unprocessable;
use crate::app::jobs::validate::rules::Rules;
use crate::app::jobs::validate::seen::SeenValues;
use crate::app::warnings::Warnings;
use crate::command::NewJob;
use crate::model::ProjectId;
use crate::model::job::{JobDefinition, JobStatus};

/// The checked jobs of one request, grouped by definition.
#[derive(Debug)]
pub struct NewJobs {
    /// The definitions that `jobs` refer to.
    pub(in crate::app::jobs) definitions: Vec<JobDefinition>,
    /// The jobs, in the order of the request.
    pub(in crate::app::jobs) jobs: Vec<NewJob>,
}

/// The check of the jobs of one request, which come one by one.
pub struct Batch<'a> {
    rules: Rules,
    definitions: Vec<JobDefinition>,
    jobs: Vec<NewJob>,
    measures: Vec<Option<Measure>>,
    known: HashMap<DefinitionInput<'a>, u32>,
    last: Option<(DefinitionInput<'a>, u32)>,
    seen: SeenValues,
    externals: HashSet<(ProjectId, String)>,
}

impl<'a> Batch<'a> {
    /// An empty batch.
    pub fn new(rules: Rules) -> Self {
        Self {
            rules,
            definitions: Vec::new(),
            jobs: Vec::new(),
            measures: Vec::new(),
            known: HashMap::new(),
            last: None,
            seen: SeenValues::default(),
            externals: HashSet::new(),
        }
    }

    /// Checks a job and adds it.
    ///
    /// # Errors
    ///
    /// `Invalid`, `Unprocessable` or `TooLarge`, with the name of the field.
    pub fn add(&mut self, input: JobInput<'a>) -> Result<(), Error> {
        let zoned = input.definition.timezone.is_some();
        let definition = self.definition(input.definition)?;
        let place = definition as usize;
        let (rules, known) = (&self.rules, &self.definitions[place]);
        let status = own_fields::status(input.status.as_deref())?.unwrap_or(JobStatus::Active);
        let at = input.at.map(|text| instants::at(rules, known, &text, zoned, None)).transpose()?;
        let pause_until = input
            .pause_until
            .map(|text| pause_until("pauseUntil", rules.now, known, &text))
            .transpose()?;
        // A pause with an end says more than a status could.
        let status = if pause_until.is_some() { JobStatus::Active } else { status };
        let external_id = external_id(input.external_id.as_deref())?;
        if let Some(id) = &external_id
            && !self.externals.insert((known.project, id.clone()))
        {
            let message = format!("job externalId {id} is given twice in this request");
            return Err(unprocessable("externalId", message));
        }
        let data = input.data.map(String::from).unwrap_or_default();
        check_payload(rules, known, &mut self.measures[place], &data)?;
        self.jobs.push(NewJob { definition, data, status, at, pause_until, external_id });
        Ok(())
    }

    /// Takes the warnings about jobs that are valid.
    pub fn warnings(&mut self) -> Warnings {
        std::mem::take(&mut self.seen.warnings)
    }

    /// The jobs that were added.
    ///
    /// # Errors
    ///
    /// `Malformed` where there are none.
    pub fn finish(self) -> Result<NewJobs, Error> {
        let Self { definitions, jobs, .. } = self;
        if jobs.is_empty() {
            return Err(Error::malformed("jobs is empty: send at least one job"));
        }
        Ok(NewJobs { definitions, jobs })
    }

    fn definition(&mut self, input: DefinitionInput<'a>) -> Result<u32, Error> {
        if let Some((last, number)) = &self.last
            && *last == input
        {
            return Ok(*number);
        }
        let number = if let Some(number) = self.known.get(&input) {
            *number
        } else {
            let fresh = JobDefinition {
                execution_type: "http".to_owned(),
                casing: self.rules.casing,
                ..JobDefinition::default()
            };
            let base = Base { definition: fresh, old: None, nulls: Names::default() };
            let mut definition = self.seen.definition(&self.rules, base, &input)?;
            ends_after_it_begins(&self.rules, &definition)?;
            definition.created_by = by("createdBy", input.created_by.as_deref())?;
            let number = self.definitions.len() as u32;
            self.definitions.push(definition);
            self.measures.push(None);
            self.known.insert(input.clone(), number);
            number
        };
        self.last = Some((input, number));
        Ok(number)
    }
}

#[cfg(test)]
#[path = "batch_tests.rs"]
mod tests;
