//! Instances of templates: made of a payload, and listed. Their life is that of any one-off.

use std::sync::Arc;

use uuid::Uuid;

use crate::app::actor::Actor;
use crate::app::authz::{Action, Resource, authorize};
use crate::app::error::{Error, refused};
use crate::app::fields::check_text;
use crate::app::idempotency::Key;
use crate::app::jobs::{JobRecord, LONGEST_BY, Records, add_labels};
use crate::app::page::{After, Page, PageWriter};
use crate::app::reads::ReadPhase;
use crate::app::state::App;
use crate::app::templates::edit::start_in_seconds;
use crate::app::templates::fields::value::Encoding;
use crate::app::templates::forms::check_payload;
use crate::app::templates::read::missing_template;
use crate::app::write::{ATTEMPTS, is_stale};
use crate::command::{Command, CreateJobs, NewJob, Outcome};
use crate::model::Millis;
use crate::model::job::JobDefinition;
use crate::model::template::Template;
use crate::store::template_jobs::{self, InstanceFilter, InstanceOrder};
use crate::store::{jobs, templates};

/// An instance as a request gives it.
#[derive(Clone, Debug)]
pub struct InstanceInput {
    /// The payload, as JSON.
    pub payload: String,
    /// The origin of the payload.
    pub encoding: Encoding,
    /// The seconds before it is due, instead of the template's.
    pub start_in_seconds: Option<u64>,
    /// The client's own id of the job.
    pub external_id: Option<String>,
    /// Labels over those of the template, as JSON.
    pub labels: Option<String>,
    /// The name that the creator gives itself.
    pub created_by: Option<String>,
}

impl App {
    /// Checks a payload for a template, and gives the data that a job would carry, as JSON. Nothing
    /// is written.
    ///
    /// # Errors
    ///
    /// `Payload` with all fields that are wrong; `NotFound` where there is no such template.
    pub async fn validate_payload(
        &self,
        actor: &Actor,
        id: u64,
        payload: &str,
        encoding: Encoding,
    ) -> Result<String, Error> {
        authorize(actor, Action::TemplatesRead, Resource::Any)?;
        let (payload, now) = (payload.to_owned(), self.now());
        // A check may take a while, so it has its place among those who read.
        let checked = self.read_at(actor, ReadPhase::BeforeWrite, move |conn| {
            let template = templates::get(conn, id)?;
            Ok(template.map(|template| check_payload(&template, &payload, encoding, now)))
        });
        checked.await?.ok_or_else(missing_template)?
    }

    /// Makes an instance of a template: a one-off job that carries the payload.
    ///
    /// # Errors
    ///
    /// `Payload` with all fields that are wrong; `Conflict` where the template is inactive or makes
    /// its instances itself, or the external id is taken; `NotFound` where there is no such
    /// template; `KeyReused` where the key came with another request.
    pub async fn create_instance(
        &self,
        actor: &Actor,
        key: Option<Key>,
        id: u64,
        input: InstanceInput,
    ) -> Result<JobRecord, Error> {
        authorize(actor, Action::TemplatesRun, Resource::Any)?;
        match self.instantiate(actor, key, id, &Arc::new(input)).await {
            Ok(record) => Ok(record),
            // It may have been valid when it was first sent: the template has changed since, or an
            // instant in the payload has passed.
            Err(error) => {
                let before = self.jobs_created_before(actor, key).await?;
                let before = before.and_then(|before| before.jobs.first());
                match before {
                    Some(job) => self.load_record(actor, job, ReadPhase::AfterWrite).await,
                    None => Err(error),
                }
            }
        }
    }

    async fn instantiate(
        &self,
        actor: &Actor,
        key: Option<Key>,
        id: u64,
        input: &Arc<InstanceInput>,
    ) -> Result<JobRecord, Error> {
        for _ in 0..ATTEMPTS {
            self.linearize().await?;
            let (given, now) = (Arc::clone(input), self.now());
            let made = self.read_at(actor, ReadPhase::BeforeWrite, move |conn| {
                let Some(template) = templates::get(conn, id)? else { return Ok(None) };
                let has_live = !template_jobs::live(conn, id, 1)?.is_empty();
                Ok(Some(instance_of(&template, has_live, &given, now)))
            });
            let (mut definition, data) = made.await?.ok_or_else(missing_template)??;
            let external = input.external_id.as_deref();
            self.check_instance(actor, &mut definition, &data, external).await?;
            let external_id = input.external_id.clone();
            let new = CreateJobs {
                request: Uuid::now_v7().as_u128(),
                definitions: vec![definition],
                jobs: vec![NewJob { data, external_id, ..NewJob::default() }],
                staged: false,
            };
            match self.propose(actor, Key::wrap(key, Command::CreateJobs(new))).await? {
                outcome if is_stale(&outcome) => {}
                Outcome::Jobs { jobs, .. } => {
                    let job = jobs.first().map_or(0, |(first, _)| *first);
                    return self.load_record(actor, job, ReadPhase::AfterWrite).await;
                }
                Outcome::Rejected(no) => {
                    let error = Error::from(no);
                    let of_id = error.message().starts_with("externalId");
                    return Err(if of_id { error.field("externalId") } else { error });
                }
                other => return Err(refused(other)),
            }
        }
        Err(Error::unavailable(
            "template is being changed by others all the time, nothing was written: try again",
        ))
    }

    /// Writes a page of the instances of a template, by the ids of their jobs.
    ///
    /// # Errors
    ///
    /// `NotFound` where there is no such template; `TooSlow` or `Busy` when it cannot be read in
    /// time.
    pub async fn list_instances<W: PageWriter<JobRecord>>(
        &self,
        actor: &Actor,
        filter: InstanceFilter,
        page: Page<InstanceOrder>,
        mut writer: W,
    ) -> Result<W::Written, Error> {
        authorize(actor, Action::TemplatesRead, Resource::Any)?;
        let (now, retry_max) = (self.now(), self.config.job_execution_retry_max);
        let written = self.read(actor, move |conn| {
            if templates::get(conn, filter.template)?.is_none() {
                return Ok(None);
            }
            writer.begin(template_jobs::count(conn, &filter)?.into());
            let mut records = Records::new(conn, now, retry_max)?;
            for id in template_jobs::page(conn, &filter, &page)? {
                let Some(job) = jobs::get(conn, id)? else { continue };
                if !writer.push(records.record(job)?, After { key: None, id }) {
                    break;
                }
            }
            Ok(Some(writer.end()))
        });
        written.await?.ok_or_else(missing_template)
    }
}

/// The definition and the data of an instance. `has_live` says whether the template has another one
/// that is live.
fn instance_of(
    template: &Template,
    has_live: bool,
    input: &InstanceInput,
    now: Millis,
) -> Result<(JobDefinition, String), Error> {
    if !template.user_triggered {
        return Err(Error::conflict(match (template.active, has_live, template.reschedule) {
            (true, true, true) => {
                "this template keeps one instance by itself: terminate that one, and the next begins"
            }
            (true, true, false) => "this template makes its instance itself, and has one",
            _ => {
                "this template makes its instances itself, and has none: make it inactive and \
                 active again, and one begins"
            }
        }));
    }
    let data = check_payload(template, &input.payload, input.encoding, now)?;
    if !template.active {
        return Err(Error::conflict("template is inactive: activate it first (active true)"));
    }
    let start = match input.start_in_seconds {
        Some(seconds) => Millis::from(start_in_seconds(seconds)?) * 1_000,
        None => template.start(),
    };
    let mut definition = template.instance(start);
    add_labels(&mut definition, input.labels.as_deref())?;
    if let Some(by) = &input.created_by {
        check_text("createdBy", by, LONGEST_BY)?;
        definition.created_by = Some(by.clone());
    }
    Ok((definition, data))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::error::ErrorKind;
    use crate::model::job::Timing;
    use crate::model::template::PayloadSchema;

    fn template() -> Template {
        Template {
            id: 3,
            version: 2,
            kind: "send_mail".into(),
            user_triggered: true,
            active: true,
            start_in_seconds: 5,
            schema: PayloadSchema::Fields(r#"{"user_id":{"type":"uint"}}"#.into()),
            ..Template::default()
        }
    }

    fn input(payload: &str) -> InstanceInput {
        InstanceInput {
            payload: payload.into(),
            encoding: Encoding::Json,
            start_in_seconds: None,
            external_id: None,
            labels: None,
            created_by: Some("me".into()),
        }
    }

    #[test]
    fn an_instance_has_the_terms_of_its_template_and_its_own_start() {
        let (definition, data) =
            instance_of(&template(), false, &input(r#"{"user_id":7}"#), 0).unwrap();
        assert_eq!((definition.timing, data.as_str()), (Timing::After(5_000), r#"{"user_id":7}"#));
        let later = InstanceInput { start_in_seconds: Some(60), ..input(r#"{"user_id":7}"#) };
        let (definition, _) = instance_of(&template(), false, &later, 0).unwrap();
        assert_eq!(definition.timing, Timing::After(60_000));
        assert_eq!(definition.created_by.as_deref(), Some("me"));
    }

    #[test]
    fn what_cannot_be_made_says_why() {
        let system = Template { user_triggered: false, ..template() };
        let inactive = Template { active: false, ..template() };
        for (template, payload, kind) in [
            (&system, "{}", ErrorKind::Conflict),
            (&inactive, r#"{"user_id":7}"#, ErrorKind::Conflict),
            (&inactive, "{}", ErrorKind::Payload),
            (&template(), r#"{"user_id":-1}"#, ErrorKind::Payload),
        ] {
            let error = instance_of(template, false, &input(payload), 0).unwrap_err();
            assert_eq!(error.kind(), kind, "{error}");
        }
        for (active, has_live, says) in [
            (true, true, "terminate that one"),
            (true, false, "has none: make it inactive and active again"),
            (false, false, "has none: make it inactive and active again"),
        ] {
            let system = Template { active, reschedule: true, ..system.clone() };
            let error = instance_of(&system, has_live, &input("{}"), 0).unwrap_err();
            assert!(error.message().contains(says), "{error}");
        }
        let late = InstanceInput { start_in_seconds: Some(1 << 40), ..input(r#"{"user_id":7}"#) };
        let error = instance_of(&template(), false, &late, 0).unwrap_err();
        assert_eq!(error.field_name(), Some("startInSeconds"));
    }
}
