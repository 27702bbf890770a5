//! Reading of the jobs in a request: one pass over the body. Texts are borrowed from it, and the
//! reader calls `sink` with each job as soon as it has read it, so that a request of thousands
//! costs the memory of one row and not of a tree.
//!
//! The handlers call [`each`] and [`one`]. The reader knows names and types of fields, and nothing
//! of what their values may be.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::api::http::error::Error;
use crate::api::http::fields::bad_json;
use crate::api::jobs::input::names::named;
use crate::api::jobs::input::values::{Number, Text, data};
use crate::app::fields::canonical;
use crate::app::jobs::JsonText;
use crate::app::jobs::input::{JobInput, Name, Names};
use crate::app::warnings::Warnings;

/// Reads a list of jobs, or a single one, and calls `sink` with each and its index. Stops at the
/// first job that cannot be read or that `sink` refuses; the error names the index.
/// `kinds` are the names of the kinds whose settings a job may hold.
pub(crate) fn each<'a>(
    body: &'a [u8],
    kinds: &[&'static str],
    sink: &mut dyn FnMut(usize, JobInput<'a>) -> Result<(), Error>,
) -> Result<Warnings, Error> {
    let first = body.trim_ascii_start().first();
    let place = Place::new(kinds);
    let mut json = serde_json::Deserializer::from_slice(body);
    let read = match first {
        Some(b'[') => {
            place.index.set(Some(0));
            json.deserialize_seq(List { place: &place, sink })
        }
        Some(b'{') => Single(&place)
            .deserialize(&mut json)
            .and_then(|job| sink(0, job).map_err(|error| place.keep(error))),
        _ => {
            let any = serde_json::from_slice::<IgnoredAny>(body);
            return Err(any.map_or_else(
                |e| bad_json(&e),
                |_| Error::unprocessable("jobs must be a JSON array of jobs, or a single job"),
            ));
        }
    };
    place.finish(read.and_then(|()| json.end()))
}

/// Reads one job, for an edit. `kinds` are as in [`each`].
pub(crate) fn one<'a>(
    body: &'a [u8],
    kinds: &[&'static str],
) -> Result<(JobInput<'a>, Warnings), Error> {
    if body.trim_ascii_start().first() != Some(&b'{') {
        let any = serde_json::from_slice::<IgnoredAny>(body);
        return Err(any.map_or_else(
            |e| bad_json(&e),
            |_| Error::unprocessable("a job must be a JSON object"),
        ));
    }
    let place = Place::new(kinds);
    let mut json = serde_json::Deserializer::from_slice(body);
    let read = Single(&place).deserialize(&mut json).and_then(|job| json.end().map(|()| job));
    match read {
        Ok(job) => place.finish(Ok(())).map(|warnings| (job, warnings)),
        Err(error) => Err(place.blame(&error)),
    }
}

/// The position of the reader, for errors, and the names that it knows beside those of all jobs.
#[derive(Default)]
struct Place<'k> {
    /// The kinds whose settings a job may hold.
    kinds: &'k [&'static str],
    index: Cell<Option<usize>>,
    field: Cell<Option<&'static str>>,
    refused: RefCell<Option<Error>>,
    warnings: RefCell<Warnings>,
}

impl<'k> Place<'k> {
    fn new(kinds: &'k [&'static str]) -> Self {
        Self { kinds, ..Self::default() }
    }

    /// Keeps a refusal while serde unwinds.
    fn keep<E: de::Error>(&self, error: Error) -> E {
        *self.refused.borrow_mut() = Some(match self.index.get() {
            Some(index) => error.at(index),
            None => error,
        });
        E::custom("refused")
    }

    fn finish(self, read: Result<(), serde_json::Error>) -> Result<Warnings, Error> {
        match read {
            Ok(()) => Ok(self.warnings.into_inner()),
            Err(error) => Err(self.blame(&error)),
        }
    }

    fn blame(&self, error: &serde_json::Error) -> Error {
        if let Some(refused) = self.refused.take() {
            return refused;
        }
        if !error.is_data() {
            return bad_json(error);
        }
        let blamed = match self.field.get() {
            Some(field) => Error::invalid(field, format!("job {field} is not valid: {error}")),
            None => Error::bad_request(format!("job is not valid: {error}")),
        };
        match self.index.get() {
            Some(index) => blamed.at(index),
            None => blamed,
        }
    }
}

struct List<'p, 's, 'a> {
    place: &'p Place<'p>,
    sink: &'s mut dyn FnMut(usize, JobInput<'a>) -> Result<(), Error>,
}

impl<'a> Visitor<'a> for List<'_, '_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of jobs")
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut list: A) -> Result<(), A::Error> {
        let mut index = 0;
        while let Some(job) = list.next_element_seed(Single(self.place))? {
            (self.sink)(index, job).map_err(|error| self.place.keep::<A::Error>(error))?;
            index += 1;
            self.place.index.set(Some(index));
        }
        Ok(())
    }
}

#[derive(Clone, Copy)]
struct Single<'p>(&'p Place<'p>);

impl<'a> DeserializeSeed<'a> for Single<'_> {
    type Value = JobInput<'a>;

    fn deserialize<D: Deserializer<'a>>(self, from: D) -> Result<JobInput<'a>, D::Error> {
        from.deserialize_map(self)
    }
}

impl<'a> Visitor<'a> for Single<'_> {
    type Value = JobInput<'a>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a job object")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<JobInput<'a>, A::Error> {
        let mut job = JobInput::default();
        let nulls = &mut job.nulls;
        let definition = &mut job.definition;
        while let Some(field) = map.next_key_seed(FieldSeed(self.0))? {
            let name = match field {
                Field::Settings(kind) => {
                    self.0.field.set(Some(kind));
                    let json = map.next_value::<&RawValue>()?.get();
                    let json = Some(json).filter(|json| *json != "null");
                    note(Name::Settings, json.is_none(), nulls);
                    definition.settings.retain(|(known, _)| *known != kind);
                    definition.settings.push((kind, json.map(JsonText::from)));
                    self.0.field.set(None);
                    continue;
                }
                Field::Named(name) => name,
            };
            self.0.field.set(name.camel());
            match name {
                Name::Project => definition.project = number(&mut map, name, nulls)?,
                Name::Spec => definition.spec = text(&mut map, name, nulls)?,
                Name::Timezone => definition.timezone = text(&mut map, name, nulls)?,
                Name::CallbackUrl => definition.callback_url = text(&mut map, name, nulls)?,
                Name::ExecutionType => definition.execution_type = text(&mut map, name, nulls)?,
                Name::StartDate => definition.start_date = text(&mut map, name, nulls)?,
                Name::EndDate => definition.end_date = text(&mut map, name, nulls)?,
                Name::Executor => {
                    definition.executor = number(&mut map, name, nulls)?.filter(|id| *id > 0);
                }
                Name::RetryMax => definition.retry_max = number(&mut map, name, nulls)?,
                Name::CreatedBy => definition.created_by = text(&mut map, name, nulls)?,
                Name::Data => {
                    job.data = data(map.next_value()?)?;
                    note(name, job.data.is_none(), nulls);
                }
                Name::Status => job.status = text(&mut map, name, nulls)?,
                Name::At => {
                    job.at = text(&mut map, name, nulls)?;
                    definition.at = job.at.is_some();
                }
                Name::PauseUntil => job.pause_until = text(&mut map, name, nulls)?,
                Name::ExternalId => job.external_id = text(&mut map, name, nulls)?,
                Name::ModifiedBy => job.modified_by = text(&mut map, name, nulls)?,
                // Settings were read above, under the name of their kind.
                Name::Ignored | Name::Settings => {
                    map.next_value::<IgnoredAny>()?;
                }
                Name::After
                | Name::Dst
                | Name::Http
                | Name::Jitter
                | Name::Message
                | Name::Misfire
                | Name::RetryDelay
                | Name::RetryFactor
                | Name::RetryMaxDelay
                | Name::Timeout
                | Name::Overlap
                | Name::RunTimeout
                | Name::HeartbeatTimeout
                | Name::StartTimeout
                | Name::CancelTimeout
                | Name::RetryOn
                | Name::MaxQueue
                | Name::WorkerName
                | Name::AllowConcurrentRuns
                | Name::DeleteAfterRun
                | Name::Labels => {
                    let json = map.next_value::<&RawValue>()?.get();
                    note(name, json == "null", nulls);
                    definition.rare.retain(|(known, _)| *known != name);
                    if json != "null" {
                        definition.rare.push((name, json.into()));
                    }
                }
            }
            self.0.field.set(None);
        }
        if definition.executor.is_some() && definition.callback_url.is_some() {
            // The published clients send both; the URL counts.
            definition.executor = None;
            self.0
                .warnings
                .borrow_mut()
                .say("job executorId was ignored: callbackUrl is given too, and counts alone");
        }
        Ok(job)
    }
}

/// Reads a text. An empty one becomes `None`; a null is noted.
fn text<'a, A: MapAccess<'a>>(
    map: &mut A,
    name: Name,
    nulls: &mut Names,
) -> Result<Option<Cow<'a, str>>, A::Error> {
    let text = map.next_value_seed(Text)?;
    note(name, text.is_none(), nulls);
    Ok(text.filter(|text| !text.is_empty()))
}

fn number<'a, A: MapAccess<'a>>(
    map: &mut A,
    name: Name,
    nulls: &mut Names,
) -> Result<Option<u64>, A::Error> {
    let number = map.next_value_seed(Number)?;
    note(name, number.is_none(), nulls);
    Ok(number)
}

fn note(name: Name, null: bool, nulls: &mut Names) {
    if null {
        nulls.add(name);
    }
}

/// A field of a job.
#[derive(Clone, Copy)]
enum Field {
    /// A field that all programs know.
    Named(Name),
    /// The settings of a kind.
    Settings(&'static str),
}

#[derive(Clone, Copy)]
struct FieldSeed<'p>(&'p Place<'p>);

impl<'de> DeserializeSeed<'de> for FieldSeed<'_> {
    type Value = Field;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Field, D::Error> {
        from.deserialize_str(self)
    }
}

impl Visitor<'_> for FieldSeed<'_> {
    type Value = Field;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a field")
    }

    fn visit_str<E>(self, given: &str) -> Result<Field, E> {
        if let Some(name) = named(given) {
            return Ok(Field::Named(name));
        }
        let mut buffer = [0; 24];
        let plain = canonical(given, &mut buffer);
        let same = |kind: &&&'static str| plain.is_some() && canonical(kind, &mut [0; 24]) == plain;
        if let Some(kind) = self.0.kinds.iter().find(same) {
            return Ok(Field::Settings(kind));
        }
        self.0.warnings.borrow_mut().unknown_field(given);
        Ok(Field::Named(Name::Ignored))
    }
}

#[cfg(test)]
#[path = "parse_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "parse_fuzz.rs"]
mod fuzz;
