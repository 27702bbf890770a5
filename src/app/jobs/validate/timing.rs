//! The schedule of a job in a request: exactly one of `spec`, `at` and `after`, and a zone.
//! `definition` calls it; `instants` reads a job's own instant.

use serde_json::Value;

use crate::app::error::Error;
use crate::app::jobs::input::{DefinitionInput, Name, Names};
use crate::app::jobs::validate::policy;
use crate::app::jobs::validate::refusals::{at_most_one, shortened, unprocessable};
use crate::app::jobs::validate::rules::Rules;
use crate::app::jobs::validate::seen::SeenValues;
use crate::model::Millis;
use crate::model::job::{JobDefinition, Timing};
use crate::schedule::{
    DstRule, LAST, Schedule, describe_after, parse_duration, parse_zone, warnings,
};

const LONGEST_SPEC: usize = 512;
const LONGEST_ZONE: usize = 64;

impl SeenValues {
    /// Sets the schedule from exactly one of `spec`, `at` and `after`.
    pub(in crate::app::jobs) fn timing(
        &mut self,
        rules: &Rules,
        definition: &mut JobDefinition,
        nulls: Names,
        input: &DefinitionInput<'_>,
    ) -> Result<(), Error> {
        let after = input.rare(Name::After);
        at_most_one(&[
            ("spec", input.spec.is_some()),
            ("at", input.at),
            ("after", after.is_some()),
        ])?;
        if nulls.has(Name::Spec) {
            definition.spec.clear();
        }
        let gone = match definition.timing {
            Timing::Spec => false,
            Timing::At => nulls.has(Name::At),
            Timing::After(_) => nulls.has(Name::After),
        };
        if gone {
            definition.timing = Timing::Spec;
        }
        if nulls.has(Name::Timezone) {
            definition.timezone.clear();
        }
        if let Some(zone) = &input.timezone {
            definition.timezone = zone.to_string();
        }
        if let Some(spec) = &input.spec {
            definition.spec = spec.to_string();
            definition.timing = Timing::Spec;
        }
        if input.at {
            definition.timing = Timing::At;
        }
        if let Some(json) = after {
            definition.timing = Timing::After(delay(rules, json)?);
        }
        if definition.is_one_off() {
            definition.spec.clear();
            definition.period = None;
            if definition.timezone.is_empty() {
                "UTC".clone_into(&mut definition.timezone);
            }
            if input.timezone.is_some() {
                zone(&definition.timezone)?;
            }
            return Ok(());
        }
        // A spec that was valid when it was made is not checked again.
        if input.spec.is_some()
            || input.timezone.is_some()
            || definition.spec.is_empty()
            || definition.timezone.is_empty()
        {
            definition.period = self.period(&definition.spec, &definition.timezone)?;
        }
        Ok(())
    }

    /// The period of a spec (`None` for other schedules than `@every`), if spec and zone are valid.
    fn period(&mut self, given_spec: &str, given_zone: &str) -> Result<Option<Millis>, Error> {
        if let Some(period) = self.specs.get(given_zone).and_then(|specs| specs.get(given_spec)) {
            return Ok(*period);
        }
        let bad =
            || Error::invalid("spec", format!("job spec is not valid {}", shortened(given_spec)));
        if given_spec.is_empty() {
            return Err(bad().because("give one of spec, at and after: found none of them"));
        }
        if given_spec.len() > LONGEST_SPEC {
            return Err(bad().because(format_args!("it has more than {LONGEST_SPEC} bytes")));
        }
        let tz = zone(given_zone)?;
        // The rule for clock changes decides when the schedule fires, not whether it is valid.
        let schedule =
            Schedule::parse(given_spec, tz, DstRule::default(), 0).map_err(|e| bad().because(e))?;
        for sentence in warnings(given_spec) {
            self.warnings.say(&format!("job spec: {sentence}"));
        }
        let specs = self.specs.entry(given_zone.to_owned()).or_default();
        specs.insert(given_spec.to_owned(), schedule.period());
        Ok(schedule.period())
    }
}

/// The zone of a name.
pub(in crate::app::jobs) fn zone(given: &str) -> Result<chrono_tz::Tz, Error> {
    let bad = || {
        let shown = shortened(given);
        let message = format!("job timezone is not valid, provided timezone is {shown}");
        Error::invalid("timezone", message)
    };
    if given.is_empty() {
        return Err(bad().says("timezone is required, such as UTC"));
    }
    if given.len() > LONGEST_ZONE {
        return Err(bad().because(format_args!("it has more than {LONGEST_ZONE} bytes")));
    }
    parse_zone(given).map_err(|e| bad().because(e))
}

/// Reads `after`: a text with units. A number has no unit, so only 0 is clear.
fn delay(rules: &Rules, json: &str) -> Result<Millis, Error> {
    const FIELD: &str = "after";
    let text = match policy::value(FIELD, json).map_err(Error::into_unprocessable)? {
        Value::String(text) => text,
        Value::Number(n) if n.as_f64() == Some(0.0) => "0".to_owned(),
        Value::Number(n) => {
            let message = format!(
                "job after is not valid: {n} has no unit, write a duration such as \"{n}s\" or \"{n}m\""
            );
            return Err(unprocessable(FIELD, message));
        }
        _ => {
            let message = "job after is not valid: write a duration such as \"20m\" or \"1h30m\"";
            return Err(unprocessable(FIELD, message));
        }
    };
    let delay = parse_duration(&text)
        .map_err(|e| unprocessable(FIELD, format!("job after is not valid: {e}")))?;
    match rules.now.checked_add(delay) {
        Some(at) if at <= LAST => Ok(delay),
        _ => {
            let meant = describe_after(delay);
            let message =
                format!("job after is not valid: understood as {meant:?}, beyond the year 9999");
            Err(unprocessable(FIELD, message))
        }
    }
}

#[cfg(test)]
#[path = "timing_tests.rs"]
mod tests;
