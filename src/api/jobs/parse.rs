//! Reading jobs out of a request. One pass over the body, text borrowed from it, each job handed on
//! as soon as it is read, so that a request of thousands costs a row's memory and not a tree's.
//!
//! `super::check` takes what is read here; `super` calls [`each`] and [`one`]. It knows the names and
//! types of fields and nothing of what their values may be.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::values::{Number, Text, data, dst};
use crate::api::casing::canonical;
use crate::api::error::Error;
use crate::api::fields::bad_json;
use crate::api::reply::Unknown;
use crate::schedule::DstRule;

/// A job as a request gives it; what is absent, null or empty is `None`.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct JobInput<'a> {
    /// What many jobs have in common.
    pub(super) shape: ShapeInput<'a>,
    /// Text, or the JSON of something else.
    pub(super) data: Option<Cow<'a, str>>,
    pub(super) status: Option<Cow<'a, str>>,
    pub(super) modified_by: Option<Cow<'a, str>>,
}

/// The part of a job that makes its shape.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct ShapeInput<'a> {
    pub(super) project: Option<u64>,
    pub(super) spec: Option<Cow<'a, str>>,
    pub(super) timezone: Option<Cow<'a, str>>,
    pub(super) callback_url: Option<Cow<'a, str>>,
    pub(super) execution_type: Option<Cow<'a, str>>,
    pub(super) start_date: Option<Cow<'a, str>>,
    pub(super) end_date: Option<Cow<'a, str>>,
    pub(super) executor: Option<u64>,
    pub(super) retry_max: Option<u64>,
    pub(super) created_by: Option<Cow<'a, str>>,
    pub(super) dst: Option<DstRule>,
}

/// Reads a list of jobs, or a single one, and hands each to `sink` with its index. Stops at the
/// first that cannot be read or that `sink` refuses; the error names the index.
pub(super) fn each<'a>(
    body: &'a [u8],
    sink: &mut dyn FnMut(usize, JobInput<'a>) -> Result<(), Error>,
) -> Result<Unknown, Error> {
    let first = body.trim_ascii_start().first();
    let place = Place::default();
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

/// Reads one job, for an edit.
pub(super) fn one(body: &[u8]) -> Result<(JobInput<'_>, Unknown), Error> {
    if body.trim_ascii_start().first() != Some(&b'{') {
        let any = serde_json::from_slice::<IgnoredAny>(body);
        return Err(any.map_or_else(
            |e| bad_json(&e),
            |_| Error::unprocessable("a job must be a JSON object"),
        ));
    }
    let place = Place::default();
    let mut json = serde_json::Deserializer::from_slice(body);
    let read = Single(&place).deserialize(&mut json).and_then(|job| json.end().map(|()| job));
    match read {
        Ok(job) => place.finish(Ok(())).map(|unknown| (job, unknown)),
        Err(error) => Err(place.blame(&error)),
    }
}

/// Where the reader is, so that an error can say so.
#[derive(Default)]
struct Place {
    index: Cell<Option<usize>>,
    field: Cell<Option<&'static str>>,
    refused: RefCell<Option<Error>>,
    unknown: RefCell<Unknown>,
}

impl Place {
    /// Keeps a refusal while serde unwinds.
    fn keep<E: de::Error>(&self, error: Error) -> E {
        *self.refused.borrow_mut() = Some(match self.index.get() {
            Some(index) => error.at(index),
            None => error,
        });
        E::custom("refused")
    }

    fn finish(self, read: Result<(), serde_json::Error>) -> Result<Unknown, Error> {
        match read {
            Ok(()) => Ok(self.unknown.into_inner()),
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
    place: &'p Place,
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
struct Single<'p>(&'p Place);

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
        let shape = &mut job.shape;
        while let Some(name) = map.next_key_seed(NameSeed(self.0))? {
            self.0.field.set(name.camel());
            match name {
                Name::Project => shape.project = map.next_value_seed(Number)?,
                Name::Spec => shape.spec = map.next_value_seed(Text)?,
                Name::Timezone => shape.timezone = map.next_value_seed(Text)?,
                Name::CallbackUrl => shape.callback_url = map.next_value_seed(Text)?,
                Name::ExecutionType => shape.execution_type = map.next_value_seed(Text)?,
                Name::StartDate => shape.start_date = map.next_value_seed(Text)?,
                Name::EndDate => shape.end_date = map.next_value_seed(Text)?,
                Name::Executor => {
                    shape.executor = map.next_value_seed(Number)?.filter(|id| *id > 0);
                }
                Name::RetryMax => shape.retry_max = map.next_value_seed(Number)?,
                Name::CreatedBy => shape.created_by = map.next_value_seed(Text)?,
                Name::Dst => shape.dst = dst(map.next_value()?)?,
                Name::Data => job.data = data(map.next_value()?)?,
                Name::Status => job.status = map.next_value_seed(Text)?,
                Name::ModifiedBy => job.modified_by = map.next_value_seed(Text)?,
                Name::Ignored => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
            self.0.field.set(None);
        }
        Ok(job)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Name {
    Project,
    Spec,
    Timezone,
    CallbackUrl,
    ExecutionType,
    StartDate,
    EndDate,
    Executor,
    RetryMax,
    CreatedBy,
    Dst,
    Data,
    Status,
    ModifiedBy,
    /// Known, and given by us only; or not known at all.
    Ignored,
}

impl Name {
    fn camel(self) -> Option<&'static str> {
        Some(match self {
            Self::Project => "projectId",
            Self::Spec => "spec",
            Self::Timezone => "timezone",
            Self::CallbackUrl => "callbackUrl",
            Self::ExecutionType => "executionType",
            Self::StartDate => "startDate",
            Self::EndDate => "endDate",
            Self::Executor => "executorId",
            Self::RetryMax => "retryMax",
            Self::CreatedBy => "createdBy",
            Self::Dst => "dst",
            Self::Data => "data",
            Self::Status => "status",
            Self::ModifiedBy => "modifiedBy",
            Self::Ignored => return None,
        })
    }

    /// `None` for a name that nobody knows.
    fn of(given: &str) -> Option<Self> {
        Some(match given {
            "spec" => Self::Spec,
            "project_id" | "projectId" => Self::Project,
            "callback_url" | "callbackUrl" => Self::CallbackUrl,
            "data" => Self::Data,
            "timezone" => Self::Timezone,
            "execution_type" | "executionType" => Self::ExecutionType,
            _ => match canonical(given, &mut [0; 24])? {
                "spec" => Self::Spec,
                "projectid" => Self::Project,
                "callbackurl" => Self::CallbackUrl,
                "data" => Self::Data,
                "timezone" => Self::Timezone,
                "executiontype" => Self::ExecutionType,
                "startdate" => Self::StartDate,
                "enddate" => Self::EndDate,
                "executorid" => Self::Executor,
                "retrymax" => Self::RetryMax,
                "createdby" => Self::CreatedBy,
                "dst" => Self::Dst,
                "status" => Self::Status,
                "modifiedby" => Self::ModifiedBy,
                "id" | "timezoneoffset" | "lastexecutiondate" | "nextexecutiondate"
                | "executionid" | "datecreated" | "datemodified" | "accountid" | "deletedby" => {
                    Self::Ignored
                }
                _ => return None,
            },
        })
    }
}

#[derive(Clone, Copy)]
struct NameSeed<'p>(&'p Place);

impl<'de> DeserializeSeed<'de> for NameSeed<'_> {
    type Value = Name;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Name, D::Error> {
        from.deserialize_str(self)
    }
}

impl Visitor<'_> for NameSeed<'_> {
    type Value = Name;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a field")
    }

    fn visit_str<E>(self, given: &str) -> Result<Name, E> {
        Ok(Name::of(given).unwrap_or_else(|| {
            self.0.unknown.borrow_mut().note(given);
            Name::Ignored
        }))
    }
}

#[cfg(test)]
#[path = "parse_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "parse_fuzz.rs"]
mod fuzz;
