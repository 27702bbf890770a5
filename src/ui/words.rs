//! Numbers, lengths and instants in words. Pure.

use crate::model::Millis;

/// A number with separators: `1,204`.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A number with the noun that it counts: `1 job`, `1,204 jobs`.
pub(crate) fn counted(number: u64, noun: &str) -> String {
    let ending = match noun.as_bytes().last() {
        _ if number == 1 => "",
        Some(b's') => "es",
        _ => "s",
    };
    format!("{} {noun}{ending}", count(number))
}

/// A length of time: `812 ms`, `1.2 s`, `1m 12s`, `2h 5m`, `3d 4h`.
pub(crate) fn length(ms: Millis) -> String {
    let ms = ms.max(0);
    let seconds = ms / 1_000;
    match seconds {
        0 => format!("{ms} ms"),
        1..=9 => format!("{}.{} s", seconds, ms % 1_000 / 100),
        10..=59 => format!("{seconds} s"),
        60..=3_599 => two(seconds / 60, 'm', seconds % 60, 's'),
        3_600..=86_399 => two(seconds / 3_600, 'h', seconds / 60 % 60, 'm'),
        _ => two(seconds / 86_400, 'd', seconds / 3_600 % 24, 'h'),
    }
}

fn two(large: i64, unit: char, small: i64, smaller: char) -> String {
    if small == 0 { format!("{large}{unit}") } else { format!("{large}{unit} {small}{smaller}") }
}

/// An instant as seen from another: `in 4 min`, `12 s ago`, `now`. The script has the same rule.
pub(crate) fn relative(at: Millis, now: Millis) -> String {
    let seconds = (at - now).abs() / 1_000;
    let length = match seconds {
        0 => return "now".to_owned(),
        1..=59 => format!("{seconds} s"),
        60..=3_599 => format!("{} min", seconds / 60),
        3_600..=172_799 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    };
    if at > now { format!("in {length}") } else { format!("{length} ago") }
}

/// A text cut to some characters, with an ellipsis where something is missing.
pub(crate) fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

/// Bytes: `19 B`, `1.2 kB`, `3.4 MB`.
pub(crate) fn bytes(number: usize) -> String {
    match number {
        0..1_000 => format!("{number} B"),
        1_000..1_000_000 => format!("{:.1} kB", number as f64 / 1e3),
        _ => format!("{:.1} MB", number as f64 / 1e6),
    }
}

/// A share in per cent, with as many digits as tell it from all: `99.998 %`.
pub(crate) fn percent(part: u64, whole: u64) -> String {
    if whole == 0 {
        return "–".to_owned();
    }
    if part == whole {
        return "100 %".to_owned();
    }
    let share = part as f64 * 100.0 / whole as f64;
    // A share that is not all never reads as all.
    if share < 99.0 { format!("{share:.1} %") } else { format!("{:.3} %", share.min(99.999)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_lengths_and_instants_read_well() {
        assert_eq!([0, 999, 1_000, 1_204_567].map(count), ["0", "999", "1,000", "1,204,567"]);
        assert_eq!(counted(1, "job"), "1 job");
        assert_eq!(counted(0, "pass"), "0 passes");
        let lengths = [-5, 812, 1_250, 12_000, 72_000, 3_600_000, 7_500_000, 100 * 3_600_000];
        let wanted = ["0 ms", "812 ms", "1.2 s", "12 s", "1m 12s", "1h", "2h 5m", "4d 4h"];
        assert_eq!(lengths.map(length), wanted);
        let seen = [0, 999, 4_000, -240_000, 7_200_000, -200_000_000].map(|at| relative(at, 0));
        assert_eq!(seen, ["now", "now", "in 4 s", "4 min ago", "in 2 h", "2 d ago"]);
        assert_eq!(cut("naïve", 3), "naï…");
        assert_eq!(cut("abc", 3), "abc");
        assert_eq!([19, 1_240, 3_400_000].map(bytes), ["19 B", "1.2 kB", "3.4 MB"]);
        assert_eq!(percent(99_998, 100_000), "99.998 %");
        assert_eq!(percent(9_999_999, 10_000_000), "99.999 %");
        assert_eq!([percent(1, 3), percent(0, 0), percent(5, 5)], ["33.3 %", "–", "100 %"]);
    }
}
