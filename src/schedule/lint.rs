//! Warnings about a spec that is valid and probably a mistake: a step larger than its field. The
//! API and the command line pass them on; nothing is refused here.

use super::field::{Item, Unit};
use super::parse::{Fields, Spec};

/// Warnings about a spec, each a sentence that names the field and what it means; none for a spec
/// that does not parse.
pub fn warnings(spec: &str) -> Vec<String> {
    match Spec::parse(spec) {
        Ok(Spec::Cron { fields, .. }) => {
            Unit::ALL.into_iter().flat_map(|unit| steps(unit, &fields)).collect()
        }
        Ok(Spec::Every { .. }) | Err(_) => Vec::new(),
    }
}

/// The steps of a field that reach nothing after the first value.
fn steps(unit: Unit, fields: &Fields) -> Vec<String> {
    let (min, max) = unit.bounds();
    let (name, items) = (unit.name(), fields.items(unit));
    // The grammar makes one item of each text between two commas.
    let texts = fields.text[unit as usize].split(',').zip(items);
    let stepped = texts.filter_map(|(text, item)| Some((text.split_once('/')?.1, text, item)));
    let warned = stepped.filter_map(|(step, text, item)| {
        let (lo, hi, first) = match *item {
            Item::Any { .. } => (min, max, Some(min)),
            Item::Range { lo, hi, .. } => (lo, hi, Some(lo)),
            Item::Hash { lo, hi, .. } => (lo, hi, None),
            _ => return None,
        };
        let Ok(step) = step.trim_start_matches('0').parse::<u32>() else { return None };
        if step <= u32::from(hi - lo) {
            return None;
        }
        let only = first.map_or_else(|| "one value".to_owned(), |first| unit.label(first));
        let larger = if matches!(item, Item::Any { .. }) { "its field" } else { "its range" };
        let said = format!(
            "{name} field: the step of {text:?} is larger than {larger}, so it means {only} alone"
        );
        let letter = match (unit, item) {
            (Unit::Second, Item::Any { .. }) => "s",
            (Unit::Minute, Item::Any { .. }) => "m",
            (Unit::Hour, Item::Any { .. }) => "h",
            _ => return Some(said),
        };
        Some(format!("{said}; for a period of {step}{letter} write @every {step}{letter}"))
    });
    warned.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_larger_than_its_field_is_told_with_what_it_means() {
        let minute = "minute field: the step of \"*/90\" is larger than its field, so it means 0 \
            alone; for a period of 90m write @every 90m";
        for (spec, said) in [
            ("*/90 * * * *", vec![minute]),
            ("CRON_TZ=Asia/Tokyo */90 * * * *", vec![minute]),
            (
                "0 */24 * * *",
                vec![
                    "hour field: the step of \"*/24\" is larger than its field, so it means 0 \
                     alone; for a period of 24h write @every 24h",
                ],
            ),
            (
                "0 9 */100,1-7 * MON",
                vec![
                    "day-of-month field: the step of \"*/100\" is larger than its field, so it \
                     means 1 alone",
                ],
            ),
            (
                "50-55/20,59/5 * * */13 */7",
                vec![
                    "minute field: the step of \"50-55/20\" is larger than its range, so it means \
                     50 alone",
                    "minute field: the step of \"59/5\" is larger than its range, so it means 59 \
                     alone",
                    "month field: the step of \"*/13\" is larger than its field, so it means \
                     January alone",
                    "day-of-week field: the step of \"*/7\" is larger than its field, so it means \
                     Sunday alone",
                ],
            ),
            (
                "H/99 * * * *",
                vec![
                    "minute field: the step of \"H/99\" is larger than its range, so it means one \
                     value alone",
                ],
            ),
            ("*/59 */23 */30 */11 */6", vec![]),
            ("0/30 * 5W * FRI#2", vec![]),
            ("@every 90m", vec![]),
            ("@daily", vec![]),
            ("61 * * * *", vec![]),
        ] {
            assert_eq!(warnings(spec), said, "{spec}");
        }
    }

    #[test]
    fn a_warning_fits_into_a_header() {
        let spec = "*/99999999999999999999,*/4294967295 * * * *";
        for said in warnings(spec) {
            assert!(said.bytes().all(|b| b.is_ascii_graphic() || b == b' '), "{said}");
        }
        assert_eq!(warnings(spec).len(), 1, "what no u32 holds is none's step by mistake");
    }
}
