//! The lines by which a command tells how far it is: `progress 40` or `progress 40 copying files`,
//! on its standard error. Pure.

use crate::model::offer::MAX_MESSAGE;

/// The progress of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RunProgress {
    /// Per cent, 0 to 100.
    pub(super) percent: u8,
    /// The command's words.
    pub(super) message: Option<String>,
}

/// Reads a line; `None` for one that says something else.
pub(super) fn read(line: &str) -> Option<RunProgress> {
    let rest = line.strip_prefix("progress")?;
    let rest = rest.strip_prefix([' ', '\t'])?.trim();
    let (number, words) = rest.split_once([' ', '\t']).unwrap_or((rest, ""));
    let number = number.strip_suffix('%').unwrap_or(number);
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    let percent = number.parse().ok().filter(|percent| is_number && *percent <= 100)?;
    let words = words.trim();
    let words = &words[..words.floor_char_boundary(MAX_MESSAGE)];
    Some(RunProgress { percent, message: (!words.is_empty()).then(|| words.to_owned()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_progress_are_told_from_others() {
        let progress = |percent, message: Option<&str>| {
            Some(RunProgress { percent, message: message.map(str::to_owned) })
        };
        for (line, expected) in [
            ("progress 40 copying files", progress(40, Some("copying files"))),
            ("progress 40", progress(40, None)),
            ("progress 100%", progress(100, None)),
            ("progress\t0%   begun  ", progress(0, Some("begun"))),
            ("progress 007 x", progress(7, Some("x"))),
            ("progress 101", None),
            ("progress -1", None),
            ("progress +1", None),
            ("progress 1.5", None),
            ("progress", None),
            ("progress ", None),
            ("progress %", None),
            ("progress4", None),
            ("progressing 40", None),
            (" progress 40", None),
            ("Progress 40", None),
            ("progress 99999999999999999999", None),
        ] {
            assert_eq!(read(line), expected, "{line:?}");
        }
        let long = read(&format!("progress 1 {}", "ä".repeat(1_000))).unwrap();
        assert_eq!(long.message.unwrap().len(), MAX_MESSAGE);
    }
}
