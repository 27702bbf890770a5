//! Whether a block printed what the document shows. What differs from run to run may differ; the
//! rules stand in the head of `docs`. Called by `docs` alone.

use chrono::DateTime;

/// How far from now an instant may lie and count as one that differs from run to run.
const NEAR_MS: i64 = 8 * 24 * 3_600_000;

const WEEKDAYS: &[&str] =
    &["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    /// `...`: anything.
    Any,
    /// An instant as RFC 3339.
    Instant(String),
    /// A day in words, or a time of day with seconds.
    Moment,
    /// `3 ms`, `12.5 s`, `31 MB`.
    Amount,
    /// An execution id.
    Execution,
    /// 16 hex digits or more, a UUID, a key or a secret.
    Random,
    /// `node 2`.
    Node,
    /// All else: a word or a sign.
    Word(String),
}

/// Compares; the error shows both.
pub(super) fn compare(shown: &str, printed: &str, now: i64) -> Result<(), String> {
    let lines = |text: &str| -> Vec<Vec<Token>> {
        text.trim().lines().map(|line| tokens(line.trim_end())).collect()
    };
    let (wanted, found) = (lines(shown), lines(printed));
    if all(&wanted, &found, &|a, b| same_line(a, b, now), &|line| line == &[Token::Any]) {
        return Ok(());
    }
    Err(format!("the document shows\n{}\nit printed\n{}", shown.trim_end(), printed.trim_end()))
}

fn same_line(wanted: &[Token], found: &[Token], now: i64) -> bool {
    all(wanted, found, &|a, b| same(a, b, now), &|token| *token == Token::Any)
}

fn same(wanted: &Token, found: &Token, now: i64) -> bool {
    match (wanted, found) {
        (Token::Instant(a), Token::Instant(b)) => {
            let near = DateTime::parse_from_rfc3339(b)
                .is_ok_and(|at| (at.timestamp_millis() - now).abs() < NEAR_MS);
            a == b || near
        }
        (a, b) => a == b,
    }
}

/// Whether two lists agree, where `gap` in the first stands for any stretch of the second.
fn all<T>(
    wanted: &[T],
    found: &[T],
    same: &dyn Fn(&T, &T) -> bool,
    gap: &dyn Fn(&T) -> bool,
) -> bool {
    match (wanted.split_first(), found.split_first()) {
        (None, rest) => rest.is_none(),
        (Some((first, rest)), _) if gap(first) => {
            (0..=found.len()).any(|skip| all(rest, &found[skip..], same, gap))
        }
        (Some((first, rest)), Some((here, after))) => {
            same(first, here) && all(rest, after, same, gap)
        }
        (Some(_), None) => false,
    }
}

fn tokens(line: &str) -> Vec<Token> {
    let mut found = Vec::new();
    let mut rest = line;
    while let Some(first) = rest.chars().next() {
        if first.is_whitespace() {
            rest = rest.trim_start();
        } else if let Some(after) = rest.strip_prefix("...") {
            found.push(Token::Any);
            rest = after;
        } else if first.is_alphanumeric() || first == '_' {
            let end = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
            // The full stop of a sentence is no part of its last word.
            let end =
                rest[..end].trim_end_matches(['.', ':', '-', '+']).len().max(first.len_utf8());
            take_word(&rest[..end], &mut found);
            rest = &rest[end..];
        } else {
            found.push(Token::Word(first.to_string()));
            rest = &rest[first.len_utf8()..];
        }
    }
    found
}

fn is_part(c: char) -> bool {
    c.is_alphanumeric() || "_-:.+".contains(c)
}

/// One word; with those before it, it may be an amount, a node or a day.
fn take_word(word: &str, found: &mut Vec<Token>) {
    let number = |token: Option<&Token>| matches!(token, Some(Token::Word(text)) if text.parse::<f64>().is_ok());
    let last = found.last();
    if DateTime::parse_from_rfc3339(word).is_ok() {
        found.push(Token::Instant(word.to_owned()));
    } else if is_clock(word) {
        found.push(Token::Moment);
    } else if matches!(word, "ms" | "s" | "MB") && number(last) {
        found.pop();
        found.push(Token::Amount);
    } else if is_execution(word) {
        found.push(Token::Execution);
    } else if is_random(word) {
        found.push(Token::Random);
    } else if word.parse::<u64>().is_ok() && last == Some(&Token::Word("node".to_owned())) {
        found.pop();
        found.push(Token::Node);
    } else if word.len() == 4 && number(Some(&Token::Word(word.to_owned()))) && is_day(found) {
        found.truncate(found.len() - 3);
        found.push(Token::Moment);
    } else {
        found.push(Token::Word(word.to_owned()));
    }
}

/// `Saturday 21 November`, before the year.
fn is_day(found: &[Token]) -> bool {
    let [.., Token::Word(weekday), Token::Word(_), Token::Word(_)] = found else { return false };
    WEEKDAYS.contains(&weekday.as_str())
}

/// `10:17:37`.
fn is_clock(word: &str) -> bool {
    let parts: Vec<_> = word.split(':').collect();
    parts.len() == 3 && parts.iter().all(|p| p.len() >= 2 && p.parse::<f64>().is_ok())
}

fn is_execution(word: &str) -> bool {
    let parts: Vec<_> = word.split('-').collect();
    let hex = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_hexdigit());
    (3..=4).contains(&parts.len())
        && parts[0].len() == 8
        && hex(parts[0])
        && hex(parts[1])
        && parts[2].len() > 6
        && hex(parts[2])
}

fn is_random(word: &str) -> bool {
    let digits = word.chars().filter(char::is_ascii_hexdigit).count();
    let hex = digits >= 16 && word.chars().all(|c| c.is_ascii_hexdigit() || c == '-');
    hex || word.starts_with("s0_") || word.starts_with("whsec_")
}

#[cfg(test)]
mod tests {
    use super::*;

    // 2026-11-21T12:00:00Z.
    const NOW: i64 = 1_795_262_400_000;

    fn agree(shown: &str, printed: &str) -> bool {
        compare(shown, printed, NOW).is_ok()
    }

    #[test]
    fn what_differs_from_run_to_run_may_differ() {
        for (shown, printed) in [
            ("a  b", "a b\n\n"),
            ("due 2026-01-01T00:00:00Z.", "due 2026-11-22T10:00:00.123Z."),
            ("took 3 ms, 1 s", "took 12.5 ms, 0 s"),
            ("run 1db0fe50-7-1a1fd8bccc0 by node 2", "run aaaaaaaa-7-1bbbbbbbbbb by node 3"),
            ("key s0_abc", "key s0_xyz"),
            ("on Saturday 21 November 2026 at 10:17:37", "on Sunday 1 March 2027 at 00:00:00"),
            ("a\n...\nc", "a\nb\nb\nc"),
            ("a\n...", "a"),
            ("{\"n\":...}", "{\"n\":7}"),
            ("[{\"id\":1,...", "[{\"id\":1,\"more\":2}]"),
        ] {
            assert!(agree(shown, printed), "{shown:?} and {printed:?}");
        }
    }

    #[test]
    fn all_else_may_not() {
        for (shown, printed) in [
            ("a", "b"),
            ("a", "a\nb"),
            ("job 7", "job 8"),
            // Instants far away are what the example is about.
            ("2027-03-28T01:00:00Z", "2027-03-28T02:00:00Z"),
            ("{\"id\":1}", "{\"id\":2}"),
            ("a ... c", "a b d"),
            ("3 ms", "3 jobs"),
        ] {
            assert!(!agree(shown, printed), "{shown:?} and {printed:?}");
        }
    }
}
