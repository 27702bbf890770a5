//! The words of one field: values, ranges, steps and the day extensions. Called by `describe` only;
//! knows nothing of the other fields.

use super::super::field::{Item, Unit};

/// Whether the field restricts nothing.
pub(super) fn is_any(items: &[Item]) -> bool {
    items.iter().any(|item| matches!(item, Item::Any { step: 1 }))
}

/// The values, in order, if the field is nothing but single values.
pub(super) fn points(items: &[Item]) -> Option<Vec<u8>> {
    let mut values = items
        .iter()
        .map(|item| match item {
            Item::Range { lo, hi, .. } if lo == hi => Some(*lo),
            _ => None,
        })
        .collect::<Option<Vec<u8>>>()?;
    values.sort_unstable();
    values.dedup();
    Some(values)
}

/// One field as a phrase that can stand alone: `at minute 5`, `every 2 hours`, `in March`.
pub(in super::super) fn words(unit: Unit, items: &[Item]) -> String {
    let name = match unit {
        Unit::Dom => "day",
        Unit::Dow => "weekday",
        unit => unit.name(),
    };
    if is_any(items) {
        return if unit == Unit::Dow {
            "every day of the week".into()
        } else {
            format!("every {name}")
        };
    }
    if let [Item::Any { step }] = *items
        && unit.names().is_empty()
    {
        let (min, max) = unit.bounds();
        if (max - min + 1) % step == 0 && unit != Unit::Dom && step <= max {
            return format!("every {step} {name}s");
        }
    }
    let many = items.len() > 1 || !matches!(items, [Item::Range { lo, hi, .. }] if lo == hi);
    let plain =
        |item: &Item| matches!(item, Item::Range { lo, hi, step } if *step == 1 || lo == hi);
    let listing = listed(&items.iter().map(|item| phrase(unit, name, *item)).collect::<Vec<_>>());
    let in_numbers = items.iter().all(plain);
    match unit {
        Unit::Second | Unit::Minute | Unit::Hour if in_numbers => {
            let place = if unit == Unit::Hour { "in" } else { "at" };
            format!("{place} {name}{} {listing}", if many { "s" } else { "" })
        }
        Unit::Second | Unit::Minute | Unit::Hour => format!("at {listing}"),
        Unit::Dom if in_numbers => {
            format!("on day{} {listing} of the month", if many { "s" } else { "" })
        }
        Unit::Dom | Unit::Dow => format!("on {listing}"),
        Unit::Month => format!("in {listing}"),
    }
}

/// One item, without the preposition.
fn phrase(unit: Unit, name: &str, item: Item) -> String {
    let label = |value: u8| label(unit, value);
    match item {
        Item::Range { lo, hi, .. } if lo == hi => label(lo),
        Item::Range { lo, hi, step: 1 } => format!("{} to {}", label(lo), label(hi)),
        Item::Range { lo, hi, step } => stepped(unit, name, lo, hi, step),
        Item::Any { step } => {
            let (lo, hi) = unit.bounds();
            stepped(unit, name, lo, hi, step)
        }
        Item::Hash { lo, hi, step: None } => {
            let article = if unit == Unit::Hour { "an" } else { "a" };
            format!(
                "{article} {name} from {} to {} that the job's id chooses",
                label(lo),
                label(hi)
            )
        }
        Item::Hash { lo, hi, step: Some(step) } => {
            let (step, lo, hi) = (ordinal(step), label(lo), label(hi));
            format!("every {step} {name} from {lo} to {hi}, begun where the job's id says")
        }
        Item::Last { back: 0 } => "the last day of the month".to_owned(),
        Item::Last { back } => {
            let days = if back == 1 { "day" } else { "days" };
            format!("the day {back} {days} before the last of the month")
        }
        Item::LastWeekday => "the last Monday-to-Friday day of the month".to_owned(),
        Item::Nearest { dom } => format!("the Monday-to-Friday day nearest to day {dom}"),
        Item::Nth { dow, nth } => format!("the {} {} of the month", ordinal(nth), label(dow)),
        Item::LastDow { dow } => format!("the last {} of the month", label(dow)),
    }
}

/// Names are few: list them. Numbers: say the step.
fn stepped(unit: Unit, name: &str, lo: u8, hi: u8, step: u8) -> String {
    if unit.names().is_empty() {
        let (lo, hi) = (label(unit, lo), label(unit, hi));
        format!("every {} {name} from {lo} to {hi}", ordinal(step))
    } else {
        let values = (lo..=hi).step_by(step.into()).map(|value| label(unit, value));
        listed(&values.collect::<Vec<_>>())
    }
}

/// A value as people write it: `9`, `March`, `Sunday`.
fn label(unit: Unit, value: u8) -> String {
    let place = if unit == Unit::Dow { value % 7 } else { value - unit.bounds().0 };
    match unit.names().get(usize::from(place)) {
        None => value.to_string(),
        Some(name) => format!("{}{}", name[..1].to_ascii_uppercase(), &name[1..]),
    }
}

fn ordinal(n: u8) -> String {
    let ending = match (n % 10, n % 100) {
        (_, 11..=13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    };
    format!("{n}{ending}")
}

/// `a`, `a and b`, `a, b and c`.
pub(super) fn listed(words: &[String]) -> String {
    match words {
        [] => String::new(),
        [only] => only.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}
