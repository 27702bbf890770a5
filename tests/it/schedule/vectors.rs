//! The vectors of robfig/cron, written down by that engine: where it errs, brute force decides.

use chrono_tz::Tz;
use scheduler0::schedule::{Millis, Schedule};
use serde::Deserialize;

use super::brute_force::BruteForce;
use super::text::{EXACT, instant, shown, zone};

const VECTORS: &str = include_str!("../../data/cron_vectors.json");
const RANDOM: &str = include_str!("../../data/cron_random.ndjson");

#[derive(Deserialize)]
struct File {
    vectors: Vec<Vector>,
}

#[derive(Deserialize)]
struct Vector {
    id: String,
    parser: String,
    spec: String,
    from: String,
    tz: String,
    kind: String,
    expected: Option<String>,
    expected_next: Option<String>,
    wallclock_expected: Option<String>,
    lenient_expected: Option<String>,
}

impl Vector {
    /// A parser with seconds and an optional weekday reads five fields as second to month.
    fn spec(&self) -> String {
        let bare = self.spec.split(' ').skip_while(|word| word.contains('=')).count();
        if self.parser == "seconds" && bare == 5 {
            format!("{} *", self.spec)
        } else {
            self.spec.clone()
        }
    }
}

/// True for `L`, `W`, `#`, full names and periods in days, which robfig/cron refuses and we accept.
fn is_extension(spec: &str) -> bool {
    if matches!(spec, "@every 1d" | "@every 1w") {
        return true;
    }
    spec.split(' ').any(|word| {
        let stem = word.trim_start_matches(|c: char| c.is_ascii_digit());
        matches!(stem, "L" | "W") || word.contains('#') || matches!(word, "sunday" | "january")
    })
}

/// True for signs, empty list items and text after a star, which robfig/cron accepts and we refuse.
fn is_typo(spec: &str) -> bool {
    let empty = |field: &str| field.split(',').any(str::is_empty);
    spec.contains('+') || spec.contains("*-") || spec.split_whitespace().any(empty)
}

#[test]
fn all_vectors_of_robfig_cron() {
    let vectors = serde_json::from_str::<File>(VECTORS).unwrap().vectors;
    assert_eq!(vectors.len(), 4340);
    let mut wrong = Vec::new();
    for vector in &vectors {
        let from = instant(&vector.from);
        let parsed = Schedule::parse(&vector.spec(), zone(&vector.tz), EXACT, 0);
        // robfig/cron counts `@every` from the whole second.
        let next = parsed
            .as_ref()
            .ok()
            .and_then(|schedule| schedule.next(from.div_euclid(1000) * 1000, from));
        let wanted = vector.wallclock_expected.as_ref().or(vector.lenient_expected.as_ref());
        let wanted = wanted.or(vector.expected.as_ref()).map(|text| instant(text));
        let right = match vector.kind.as_str() {
            _ if is_typo(&vector.spec) => {
                // A stored job with such a spec keeps its meaning.
                let stored = Schedule::stored(&vector.spec(), zone(&vector.tz), EXACT, 0);
                parsed.is_err() && stored.ok().and_then(|stored| stored.next(0, from)) == wanted
            }
            "error" if vector.lenient_expected.is_some() => next == wanted,
            "error" if is_extension(&vector.spec) => parsed.is_ok(),
            // A spec that never fires is refused at once.
            "error" | "never" => parsed.is_err(),
            "is" | "next" => next == wanted,
            "isnot" => {
                let after = vector.expected_next.as_ref().map(|text| instant(text));
                next != wanted && (after.is_none() || next == after)
            }
            kind => panic!("kind {kind}"),
        };
        if !right {
            wrong.push(format!(
                "{} {:?} {} from {}: {} instead of {} ({:?})",
                vector.id,
                vector.spec,
                vector.tz,
                vector.from,
                shown(next),
                shown(wanted),
                parsed
            ));
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

/// True when brute force finds the same first match.
fn judged(spec: &str, from: Millis, result: Option<Millis>, tz: Tz) -> bool {
    // Further than any gap between two occurrences that the random set holds.
    let limit = result.unwrap_or(from + 1000 * 86_400 * 366 * 9);
    BruteForce::new(spec).first(from, limit, tz) == result
}

/// True for a range of weekdays up to Sunday by name, which robfig/cron reads as 0.
fn ends_on_sunday(spec: &str) -> bool {
    spec.to_lowercase().contains("-sun")
}

#[test]
fn the_random_set_of_robfig_cron_or_else_brute_force() {
    let (mut count, mut refused, mut by_hand) = (0, 0, 0);
    for line in RANDOM.lines() {
        let vector: Vector = serde_json::from_str(line).unwrap();
        let (from, tz, spec) = (instant(&vector.from), zone(&vector.tz), vector.spec());
        let parsed = Schedule::parse(&spec, tz, EXACT, 0);
        count += 1;
        if vector.kind != "next" {
            refused += 1;
            assert!(
                parsed.is_err() || ends_on_sunday(&spec),
                "{} {spec:?} is {}: {parsed:?}",
                vector.id,
                vector.kind
            );
            continue;
        }
        let wanted = vector.wallclock_expected.as_ref().or(vector.expected.as_ref());
        let wanted = wanted.map(|text| instant(text));
        let next = parsed.ok().and_then(|schedule| schedule.next(0, from));
        if next != wanted {
            by_hand += 1;
            assert!(
                judged(&spec, from, next, tz),
                "{} {spec:?} {tz} from {}: {} instead of {}",
                vector.id,
                vector.from,
                shown(next),
                shown(wanted)
            );
        }
    }
    assert_eq!(count, 8_000);
    assert!(refused > 1_000, "{refused}");
    // robfig/cron errs in about one of 500, and the file says where.
    assert!(by_hand * 1_000 < count, "{by_hand} of {count} differ");
}
