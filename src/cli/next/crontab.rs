//! `next --crontab`: reads each line of a crontab file as this program would fire it. Called by
//! `next` alone. It does not know a user column, as in /etc/crontab, and never runs a command.

use chrono_tz::Tz;
use serde_json::{Value, json};

use super::flags::{Flags, weekday};
use super::wrong_lines::WrongLines;
use crate::cli::output::{Format, Output, json_line, line, say, show, table};
use crate::model::time::rfc3339;
use crate::schedule::{
    Preview, Schedule, asked_anchor, describe, parse_zone, preview_in, warnings,
};

/// A line of the file that has a schedule.
#[derive(Debug)]
struct Entry<'a> {
    spec: String,
    command: &'a str,
}

/// The kinds of lines.
#[derive(Debug)]
enum Line<'a> {
    /// Blank, or a comment.
    Nothing,
    /// A setting of the environment: name and value.
    Setting(&'a str, &'a str),
    Entry(Entry<'a>),
}

/// The zones that lines before have set.
struct Zones {
    default: Tz,
    /// `CRON_TZ` goes before `TZ`; the number of the line where one is not known.
    cron: Option<Result<Tz, usize>>,
    environment: Option<Result<Tz, usize>>,
}

/// A line's answer.
#[derive(Debug)]
struct Answer {
    zone: Tz,
    occurrences: Vec<Preview>,
    warnings: Vec<String>,
}

/// Shows when each line of a crontab fires next, and says at the end which lines were wrong.
pub(super) fn show_all(text: &str, flags: &Flags, output: Output) -> anyhow::Result<WrongLines> {
    let mut wrong = WrongLines::default();
    let mut rows = Vec::new();
    let mut zones = Zones { default: flags.zone, cron: None, environment: None };
    for text in text.lines() {
        wrong.lines += 1;
        let number = wrong.lines;
        let (entry, answer) = match Line::read(text) {
            Line::Nothing => continue,
            Line::Setting(name, value) => match zones.set(name, value, number) {
                Ok(()) => continue,
                Err(message) => (None, Err(message)),
            },
            Line::Entry(entry) => {
                let answer = zones.now().and_then(|zone| answer(&entry, zone, flags));
                (Some(entry), answer)
            }
        };
        if answer.is_err() {
            wrong.add();
        }
        match output.format {
            Format::Json => json_line(&json(number, entry.as_ref(), &answer))?,
            Format::Table | Format::Wide => rows.extend(row(number, entry.as_ref(), &answer)),
        }
    }
    if !rows.is_empty() {
        let titles = ["line", "schedule", "zone", "next", "", "command"];
        line(&table(titles.into_iter(), rows.into_iter()))?;
    }
    Ok(wrong)
}

impl<'a> Line<'a> {
    fn read(text: &'a str) -> Self {
        let text = text.trim();
        if text.is_empty() || text.starts_with('#') {
            return Self::Nothing;
        }
        if let Some((name, value)) = setting(text) {
            // `CRON_TZ=Zone 0 9 * * * command`: a zone for this line alone.
            let is_entry =
                matches!(name, "CRON_TZ" | "TZ") && text.starts_with(&format!("{name}="));
            match value.split_once(char::is_whitespace) {
                Some((zone, rest)) if is_entry && !zone.starts_with(['"', '\'']) => {
                    let Entry { spec, command } = Entry::read(rest);
                    let spec = format!("CRON_TZ={zone} {spec}");
                    return Self::Entry(Entry { spec, command });
                }
                _ => return Self::Setting(name, unquoted(value)),
            }
        }
        Self::Entry(Entry::read(text))
    }
}

/// `NAME = value`, if that is what a line is; fields begin with no letter.
fn setting(text: &str) -> Option<(&str, &str)> {
    let (name, value) = text.split_once('=')?;
    let name = unquoted(name.trim());
    let letters = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    (is_name && name.chars().all(letters)).then(|| (name, value.trim()))
}

fn unquoted(text: &str) -> &str {
    let inner = |quote: char| text.strip_prefix(quote)?.strip_suffix(quote);
    inner('"').or_else(|| inner('\'')).unwrap_or(text)
}

impl<'a> Entry<'a> {
    /// The schedule, and the rest: the command.
    fn read(text: &'a str) -> Self {
        let text = text.trim_start();
        let count = match text.split_whitespace().next() {
            Some("@every") => 2,
            Some(word) if word.starts_with('@') => 1,
            _ => 5,
        };
        let (mut rest, mut fields) = (text, Vec::new());
        while fields.len() < count && !rest.is_empty() {
            let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
            fields.push(&rest[..end]);
            rest = rest[end..].trim_start();
        }
        Self { spec: fields.join(" "), command: rest }
    }

    /// Doubts about an entry that is valid.
    fn warnings(&self) -> Vec<String> {
        let mut said = warnings(&self.spec);
        match self.command.split_whitespace().next() {
            None => said.push("there is no command after the schedule".to_owned()),
            Some(word) if looks_like_a_field(word) => said.push(format!(
                "the command begins with {word:?}: a line of a crontab has five fields, without \
                 seconds or a year"
            )),
            Some(_) => {}
        }
        said
    }
}

fn looks_like_a_field(word: &str) -> bool {
    let of_fields = |c: char| c.is_ascii_digit() || matches!(c, '*' | '?' | ',' | '-' | '/');
    let is_day = |day: &&str| word.eq_ignore_ascii_case(day);
    if ["sun", "mon", "tue", "wed", "thu", "fri", "sat"].iter().any(is_day) {
        return true;
    }
    word.chars().all(of_fields) && word.contains(|c: char| c.is_ascii_digit() || "*?".contains(c))
}

impl Zones {
    fn set(&mut self, name: &str, value: &str, number: usize) -> Result<(), String> {
        let place = match name {
            "CRON_TZ" => &mut self.cron,
            "TZ" => &mut self.environment,
            _ => return Ok(()),
        };
        let read = if value.is_empty() { None } else { Some(parse_zone(value)) };
        *place = read.clone().map(|read| read.map_err(|_| number));
        match read {
            Some(Err(error)) => Err(error.to_string()),
            _ => Ok(()),
        }
    }

    /// The zone in force. A line below a wrong zone has none: any other would be a guess.
    fn now(&self) -> Result<Tz, String> {
        let unknown = |line| format!("its timezone is not known, line {line} is wrong");
        self.cron.or(self.environment).unwrap_or(Ok(self.default)).map_err(unknown)
    }
}

fn answer(entry: &Entry<'_>, zone: Tz, flags: &Flags) -> Result<Answer, String> {
    if entry.spec == "@reboot" {
        let message = "@reboot is not known here: a cluster is not started with a machine; \
            a job with after: 0s runs once, at once";
        return Err(message.to_owned());
    }
    let schedule = Schedule::parse(&entry.spec, zone, flags.dst, flags.job);
    let schedule = schedule.map_err(|e| e.to_string())?;
    let anchor = asked_anchor(flags.from);
    let occurrences = preview_in(zone, &schedule, anchor, flags.from, flags.count.unwrap_or(1));
    let mut warnings = entry.warnings();
    if Schedule::is_seed_dependent(&entry.spec) && flags.job == 0 {
        warnings.push("H depends on the job: this is job 0, --job shows another".to_owned());
    }
    Ok(Answer { zone: schedule.zone().unwrap_or(zone), occurrences, warnings })
}

fn json(number: usize, entry: Option<&Entry<'_>>, answer: &Result<Answer, String>) -> Value {
    let mut said = json!({ "line": number });
    if let Some(entry) = entry {
        said["spec"] = entry.spec.as_str().into();
        said["command"] = entry.command.into();
    }
    match answer {
        Ok(answer) => {
            said["timezone"] = answer.zone.name().into();
            if let Some(entry) = entry {
                said["description"] = describe(&entry.spec).into();
            }
            said["next"] = answer.occurrences.iter().map(|one| rfc3339(one.utc)).collect();
            if !answer.warnings.is_empty() {
                said["warnings"] = answer.warnings.clone().into();
            }
        }
        Err(message) => said["error"] = message.as_str().into(),
    }
    said
}

/// The rows of a line, one for each occurrence; what is wrong or doubtful is said on stderr.
fn row(
    number: usize,
    entry: Option<&Entry<'_>>,
    answer: &Result<Answer, String>,
) -> Vec<Vec<String>> {
    let answer = match answer {
        Ok(answer) => answer,
        Err(message) => {
            say(&format!("line {number}: {message}"));
            return Vec::new();
        }
    };
    for warning in &answer.warnings {
        say(&format!("line {number}: warning: {warning}"));
    }
    let Some(entry) = entry else { return Vec::new() };
    let plain = |text: &str| show(&Value::from(text));
    let cells = |weekday: String, local: String| {
        let (spec, command) = (plain(&entry.spec), plain(entry.command));
        vec![number.to_string(), spec, answer.zone.name().to_owned(), weekday, local, command]
    };
    if answer.occurrences.is_empty() {
        return vec![cells("never".to_owned(), String::new())];
    }
    let shown = |one: &Preview| cells(weekday(one), one.local.clone());
    answer.occurrences.iter().map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::time::parse_rfc3339;
    use crate::schedule::DstRule;

    fn flags() -> Flags {
        Flags {
            zone: Tz::UTC,
            dst: DstRule::default(),
            from: parse_rfc3339("2026-01-01T00:00:00Z").unwrap(),
            count: None,
            job: 0,
        }
    }

    /// The answers to the lines of a file, by their numbers.
    fn read(text: &str) -> Vec<Value> {
        let mut zones = Zones { default: Tz::UTC, cron: None, environment: None };
        let lines = text.lines().enumerate().filter_map(|(at, text)| match Line::read(text) {
            Line::Nothing => None,
            Line::Setting(name, value) => {
                let message = zones.set(name, value, at + 1).err()?;
                Some(json(at + 1, None, &Err(message)))
            }
            Line::Entry(entry) => {
                let answer = zones.now().and_then(|zone| answer(&entry, zone, &flags()));
                Some(json(at + 1, Some(&entry), &answer))
            }
        });
        lines.collect()
    }

    #[test]
    fn a_crontab_is_read_line_by_line() {
        let said = read(
            "# nightly\n\
             SHELL=/bin/sh\n\
             MAILTO = \"ops@example.org\"\n\
             \n\
             0 9 * * 1-5  /usr/bin/report --all # daily\n\
             CRON_TZ=Asia/Tokyo\n\
             \t30 2 * * *\tA=1 /usr/bin/backup  now\n\
             @daily echo 50% done\n\
             CRON_TZ=\n\
             TZ = 'Europe/Berlin'\n\
             @hourly true\n\
             CRON_TZ=America/New_York 0 12 * * * lunch\n\
             @every 15m ping",
        );
        let told: Vec<_> = said
            .iter()
            .map(|one| {
                let text = |name: &str| one[name].as_str().unwrap_or("-").to_owned();
                let next = one["next"][0].as_str().unwrap_or("-").to_owned();
                (
                    one["line"].as_u64().unwrap(),
                    text("spec"),
                    text("command"),
                    text("timezone"),
                    next,
                )
            })
            .collect();
        let wanted = [
            (5, "0 9 * * 1-5", "/usr/bin/report --all # daily", "UTC", "2026-01-01T09:00:00Z"),
            (7, "30 2 * * *", "A=1 /usr/bin/backup  now", "Asia/Tokyo", "2026-01-01T17:30:00Z"),
            (8, "@daily", "echo 50% done", "Asia/Tokyo", "2026-01-01T15:00:00Z"),
            (11, "@hourly", "true", "Europe/Berlin", "2026-01-01T01:00:00Z"),
            (
                12,
                "CRON_TZ=America/New_York 0 12 * * *",
                "lunch",
                "America/New_York",
                "2026-01-01T17:00:00Z",
            ),
            (13, "@every 15m", "ping", "Europe/Berlin", "2026-01-01T00:15:00Z"),
        ];
        let wanted = wanted.map(|(line, spec, command, zone, next)| {
            (line, spec.to_owned(), command.to_owned(), zone.to_owned(), next.to_owned())
        });
        assert_eq!(told, wanted);
    }

    #[test]
    fn what_is_wrong_or_doubtful_is_said_of_its_line() {
        let said = read(
            "*-5 * * * * a\n\
             0 9 * * b\n\
             @reboot c\n\
             TZ=Mars/Base\n\
             @daily d\n\
             TZ=UTC\n\
             */90 * * * * e\n\
             0 9 * * *\n\
             0 0 9 * * MON f\n\
             0 3 9 * * * g\n\
             rubbish",
        );
        for (line, key, part) in [
            (1, "error", "is not understood; write */5 for a step of 5"),
            (2, "error", "day-of-week field"),
            (3, "error", "@reboot is not known here"),
            (4, "error", "Mars/Base"),
            (5, "error", "line 4 is wrong"),
            (7, "warnings", "the step of"),
            (8, "warnings", "no command"),
            (9, "warnings", "the command begins with \\\"MON\\\""),
            (10, "warnings", "the command begins with \\\"*\\\""),
            (11, "error", "found 1 fields"),
        ] {
            let one = said.iter().find(|one| one["line"] == line);
            let one = one.unwrap_or_else(|| panic!("nothing of line {line}"));
            assert!(one[key].to_string().contains(part), "{line}: {one}");
        }
    }
}
