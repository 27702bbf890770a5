//! Templates that are read once and filled in often. Kinds whose requests share a template for many
//! jobs make one for each text.

use super::fill::{Bounded, Fault, Fill, Full, OPEN, Piece, Place, pieces};
use super::length::Length;
use crate::model::time::rfc3339;

/// A template.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::executor) struct Template {
    parts: Vec<Part>,
    length: Length,
}

/// A part of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    /// Text that is written as it is.
    Text(Box<str>),
    /// The literal `{{`.
    Open,
    ExecutionId,
    JobId,
    ScheduledAt,
    Attempt,
    Data,
    TemplateType,
}

impl Template {
    /// Reads a template whose values are written in the way of `place`.
    ///
    /// # Errors
    ///
    /// `Fault::Unknown`, if a text in double braces is no placeholder.
    pub(in crate::executor) fn new(text: &str, place: Place) -> Result<Self, Fault> {
        let unknown = |name: &str| Err(Fault::Unknown(name.chars().take(40).collect()));
        let mut parts = Vec::new();
        for piece in pieces(text) {
            parts.push(match piece {
                Piece::Text("") => continue,
                Piece::Text(text) => Part::Text(text.into()),
                Piece::Unclosed(rest) => return unknown(rest),
                Piece::Name(OPEN) => Part::Open,
                Piece::Name("executionId") => Part::ExecutionId,
                Piece::Name("jobId") => Part::JobId,
                Piece::Name("scheduledAt") => Part::ScheduledAt,
                Piece::Name("attempt") => Part::Attempt,
                Piece::Name("data") => Part::Data,
                Piece::Name("template") => Part::TemplateType,
                Piece::Name(name) => return unknown(name),
            });
        }
        Ok(Self { parts, length: Length::of(text, (Place::Plain, place)) })
    }

    /// The text, if nothing is filled in.
    pub(in crate::executor) fn fixed(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [] => Some(""),
            [Part::Text(text)] => Some(text),
            [Part::Open] => Some(OPEN),
            _ => None,
        }
    }

    /// The length of the longest text that it can become.
    pub(in crate::executor) fn length(&self) -> Length {
        self.length
    }

    /// Whether nothing but `{{data}}` is filled in.
    pub(in crate::executor) fn takes_only_data(&self) -> bool {
        let fits = |part: &Part| matches!(part, Part::Text(_) | Part::Open | Part::Data);
        self.parts.iter().all(fits)
    }

    /// Writes it with the values in their places.
    ///
    /// # Errors
    ///
    /// `Full`, if it would pass the bound.
    pub(in crate::executor) fn fill(
        &self,
        fill: &Fill<'_>,
        place: Place,
        out: &mut Bounded,
    ) -> Result<(), Full> {
        self.parts.iter().try_for_each(|part| match part {
            Part::Text(text) => out.push(text),
            Part::Open => place.write(OPEN, out),
            Part::ExecutionId => place.write(fill.execution_id, out),
            Part::JobId => place.write(&fill.job.to_string(), out),
            Part::ScheduledAt => place.write(&rfc3339(fill.scheduled), out),
            Part::Attempt => place.write(&fill.attempt.to_string(), out),
            Part::Data => place.write(fill.data, out),
            Part::TemplateType => place.write(fill.template, out),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::fill_in;
    use super::*;

    const FILL: Fill<'_> = Fill {
        execution_id: "c1-4d-19aa0",
        job: 77,
        scheduled: 1_763_700_000_000,
        attempt: 2,
        data: "a/b \"q\"\n?",
        template: "send_mail",
    };

    proptest! {
        #[test]
        fn a_compiled_template_is_filled_in_as_its_text_is(
            text in "([a-z]|\\{\\{|\\}\\}|\\{\\{(data|jobId|attempt|executionId|scheduledAt|template)\\}\\}|\\{\\{\\{\\{\\}\\}){0,12}",
            max in 0_usize..200,
        ) {
            for place in [Place::Plain, Place::Json] {
                let mut expected = Bounded::new(max);
                let plain = fill_in(&text, &FILL, (Place::Plain, place), &mut expected);
                let mut out = Bounded::new(max);
                match Template::new(&text, place) {
                    Ok(template) => {
                        let filled = template.fill(&FILL, place, &mut out);
                        prop_assert_eq!(filled.map_err(Fault::from), plain);
                        let length = template.length().with(place.length(FILL.data));
                        if template.fixed().is_some() {
                            prop_assert_eq!(template.fixed().unwrap().len(), length);
                        }
                        let mut whole = Bounded::new(length);
                        prop_assert_eq!(template.fill(&FILL, place, &mut whole), Ok(()));
                    }
                    // The text may be full before the unknown name is reached.
                    Err(fault) => prop_assert!(plain == Err(fault) || plain == Err(Fault::Full)),
                }
            }
        }
    }

    #[test]
    fn a_template_says_whether_something_is_filled_in() {
        let new = |text| Template::new(text, Place::Plain).unwrap();
        assert_eq!((new("").fixed(), new("a.b").fixed()), (Some(""), Some("a.b")));
        assert_eq!((new("{{{{}}").fixed(), new("a{{data}}").fixed()), (Some("{{"), None));
        assert!(new("a{{data}}{{{{}}").takes_only_data() && !new("{{jobId}}").takes_only_data());
    }
}
