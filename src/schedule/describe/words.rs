//! The words of one field: values, ranges, steps and the day extensions. Called by `describe` and
//! `explain`; knows nothing of the other fields.

use super::super::field::{Item, Unit};

/// The most values of a step that are listed.
const VALUES: usize = 12;

/// Returns whether the field restricts nothing.
pub(super) fn is_any(items: &[Item]) -> bool {
    items.iter().any(|item| matches!(item, Item::Any { step: 1 }))
}

/// The values, in order, if the field is nothing but single values and steps that are no period.
pub(super) fn points(unit: Unit, items: &[Item]) -> Option<Vec<u8>> {
    if is_even(unit, items) {
        return None;
    }
    let mut values = Vec::new();
    for item in simplified(unit, items) {
        match item {
            Item::Range { lo, hi, .. } if lo == hi => values.push(lo),
            Item::Range { lo, hi, step: step @ 2.. } => values.extend(few(lo, hi, step)?),
            Item::Any { step: step @ 2.. } => {
                let (lo, hi) = unit.bounds();
                values.extend(few(lo, hi, step)?);
            }
            _ => return None,
        }
    }
    values.sort_unstable();
    values.dedup();
    Some(values)
}

/// Returns whether the field is a step that divides it evenly, so that it is a period from one end
/// of the field to the next: `*/15` of the minutes, not `*/7`.
pub(super) fn is_even(unit: Unit, items: &[Item]) -> bool {
    let (min, max) = unit.bounds();
    let clock = matches!(unit, Unit::Second | Unit::Minute | Unit::Hour);
    matches!(items, [Item::Any { step }] if clock && (max - min + 1).is_multiple_of(*step) && *step <= max)
}

/// A field as a phrase of its own: `at minute 5`, `every 2 hours`, `in March`.
pub(in super::super) fn words(unit: Unit, items: &[Item]) -> String {
    let name = name(unit);
    if is_any(items) {
        return if unit == Unit::Dow {
            "every day of the week".into()
        } else {
            format!("every {name}")
        };
    }
    if let [Item::Any { step }] = *items
        && is_even(unit, items)
    {
        return format!("every {step} {name}s");
    }
    let place = match unit {
        Unit::Dom | Unit::Dow => "on",
        Unit::Hour if items.iter().all(|item| in_numbers(unit, *item)) => "in",
        Unit::Second | Unit::Minute | Unit::Hour => "at",
        Unit::Month => "in",
    };
    format!("{place} {}", which(unit, items, " and "))
}

/// The values of a clock field without a preposition: `hours 0, 6, 12, 18`, `minute 5`.
pub(super) fn values(unit: Unit, items: &[Item]) -> String {
    which(unit, items, ", ")
}

/// The choice of days, without the preposition: `Sunday, Tuesday or the last Friday of the month`.
pub(super) fn either(unit: Unit, items: &[Item]) -> String {
    which(unit, items, " or ")
}

fn name(unit: Unit) -> &'static str {
    match unit {
        Unit::Dom => "day",
        Unit::Dow => "weekday",
        unit => unit.name(),
    }
}

/// Everything that a field chooses; `last` is put before the last of several.
fn which(unit: Unit, items: &[Item], last: &str) -> String {
    let name = name(unit);
    let simple = simplified(unit, items);
    let plain = simple.iter().all(|item| in_numbers(unit, *item));
    let phrases: Vec<_> = simple.iter().flat_map(|item| named(unit, *item, plain)).collect();
    let many = simple.len() > 1
        || phrases.len() > 1
        || simple.iter().any(|item| matches!(item, Item::Range { lo, hi, .. } if lo != hi));
    let (listing, many) = (joined(&phrases, last), if many { "s" } else { "" });
    match unit {
        Unit::Second | Unit::Minute | Unit::Hour if plain => format!("{name}{many} {listing}"),
        Unit::Dom if plain => format!("day{many} {listing} of the month"),
        _ => listing,
    }
}

/// The phrases of an item; among others that are no numbers, numbers say what they count.
fn named(unit: Unit, item: Item, plain: bool) -> Vec<String> {
    let phrases = phrase(unit, item);
    if plain || !unit.names().is_empty() || !in_numbers(unit, item) {
        return phrases;
    }
    let one = phrases.len() == 1 && matches!(item, Item::Range { lo, hi, .. } if lo == hi);
    let many = if one { "" } else { "s" };
    vec![format!("{}{many} {}", name(unit), joined(&phrases, " and "))]
}

/// The items without single values that others hold already, and with steps that reach nothing as
/// the one value that they are.
fn simplified(unit: Unit, items: &[Item]) -> Vec<Item> {
    let (min, max) = unit.bounds();
    let mut simple: Vec<Item> = Vec::new();
    for item in items {
        let item = match *item {
            Item::Any { step } if step > max - min => Item::Range { lo: min, hi: min, step: 1 },
            Item::Range { lo, hi, step } if step > hi - lo => Item::Range { lo, hi: lo, step: 1 },
            other => other,
        };
        if !simple.contains(&item) {
            simple.push(item);
        }
    }
    let all = simple.clone();
    let held = |value: u8, by: &Item| match *by {
        Item::Range { lo, hi, step } if lo != hi => {
            (lo..=hi).step_by(step.into()).any(|one| one == value)
        }
        _ => false,
    };
    simple.retain(|item| match *item {
        Item::Range { lo, hi, .. } if lo == hi => !all.iter().any(|other| held(lo, other)),
        _ => true,
    });
    simple
}

/// Returns whether an item is described by its values alone.
fn in_numbers(unit: Unit, item: Item) -> bool {
    match item {
        Item::Range { lo, hi, step } => step == 1 || few(lo, hi, step).is_some(),
        Item::Any { step } => {
            let (lo, hi) = unit.bounds();
            few(lo, hi, step).is_some()
        }
        _ => false,
    }
}

/// The values of a step, when they are few.
fn few(lo: u8, hi: u8, step: u8) -> Option<Vec<u8>> {
    let values: Vec<u8> = (lo..=hi).step_by(step.into()).collect();
    (values.len() <= VALUES).then_some(values)
}

/// An item, without the preposition: several phrases where it is a list of values.
fn phrase(unit: Unit, item: Item) -> Vec<String> {
    let name = name(unit);
    let label = |value: u8| unit.label(value);
    vec![match item {
        Item::Range { lo, hi, .. } if lo == hi => label(lo),
        Item::Range { lo, hi, step: 1 } => format!("{} to {}", label(lo), label(hi)),
        Item::Range { lo, hi, step } => return stepped(unit, lo, hi, step),
        Item::Any { step: 1 } => format!("every {name}"),
        Item::Any { step } => {
            let (lo, hi) = unit.bounds();
            return stepped(unit, lo, hi, step);
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
    }]
}

/// Few values are listed; of many the step is named.
fn stepped(unit: Unit, lo: u8, hi: u8, step: u8) -> Vec<String> {
    if let Some(values) = few(lo, hi, step) {
        return values.into_iter().map(|value| unit.label(value)).collect();
    }
    let (lo, hi) = (unit.label(lo), unit.label(hi));
    let month = if unit == Unit::Dom { " of the month" } else { "" };
    vec![format!("every {} {} from {lo} to {hi}{month}", ordinal(step), name(unit))]
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
    joined(words, " and ")
}

fn joined(words: &[String], last: &str) -> String {
    match words {
        [] => String::new(),
        [only] => only.clone(),
        [first @ .., end] => format!("{}{last}{end}", first.join(", ")),
    }
}
