//! Shell text as far as the documents need it: which commands of ours are in it, word by word, and
//! whether the command line understands them. Runs nothing. Called by `docs` alone.

use clap::Parser as _;
use clap::error::ErrorKind;
use scheduler0::cli::Cli;

/// The command lines in a shell block that our own command line does not understand.
pub(super) fn misunderstood(code: &str) -> Vec<String> {
    commands(code).iter().filter_map(|words| refused(words, &[])).collect()
}

/// Checks a command in a sentence, such as `scheduler0 explain JOB`: its values are placeholders
/// and may be left out, but its names must be known.
pub(super) fn misnamed(code: &str) -> Option<String> {
    let lenient = [
        ErrorKind::ValueValidation,
        ErrorKind::InvalidValue,
        ErrorKind::MissingRequiredArgument,
        ErrorKind::MissingSubcommand,
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand,
    ];
    let known = code.replace(" ...", "").replace(" | ", "|");
    commands(&known).iter().find_map(|words| refused(words, &lenient))
}

fn refused(words: &[String], lenient: &[ErrorKind]) -> Option<String> {
    match Cli::try_parse_from(words) {
        Ok(_) => None,
        Err(e) if lenient.contains(&e.kind()) => None,
        Err(e) if matches!(e.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => None,
        Err(e) => Some(format!("{}: {e}", words.join(" "))),
    }
}

/// Our commands in a block. Variables and command substitutions stand as `1`, the value that most
/// arguments take.
fn commands(code: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for words in simple_commands(code) {
        let skipped = |word: &&String| {
            let assigns = word.split_once('=').is_some_and(|(name, _)| {
                !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
            });
            assigns
                || matches!(word.as_str(), "do" | "then" | "else" | "until" | "while" | "if" | "!")
        };
        let words: Vec<_> = words.iter().skip_while(skipped).cloned().collect();
        let text: Vec<_> = words.iter().map(String::as_str).collect();
        match text[..] {
            ["scheduler0", ..] => found.push(words),
            ["cargo", "run", "--", ..] => {
                let ours = std::iter::once("scheduler0".to_owned());
                found.push(ours.chain(words[3..].iter().cloned()).collect());
            }
            _ => {}
        }
    }
    found
}

fn simple_commands(code: &str) -> Vec<Vec<String>> {
    let code = code.replace("\\\n", " ");
    let mut done = Vec::new();
    let (mut words, mut word): (Vec<String>, Option<String>) = (Vec::new(), None);
    let (mut quote, mut redirects) = (None, false);
    let mut chars = code.chars().peekable();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (Some(q), c) if q == c => quote = None,
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None | Some('"'), '$') => {
                let mut depth = 0;
                while let Some(next) = chars.peek() {
                    match next {
                        '(' | '{' => depth += 1,
                        ')' | '}' if depth > 0 => depth -= 1,
                        c if depth == 0 && !c.is_alphanumeric() && *c != '_' => break,
                        _ => {}
                    }
                    let closed = matches!(chars.next(), Some(')' | '}'));
                    if closed && depth == 0 {
                        break;
                    }
                }
                word.get_or_insert_default().push('1');
            }
            (None, '#') if word.is_none() => {
                while chars.peek().is_some_and(|c| *c != '\n') {
                    chars.next();
                }
            }
            (None, '>' | '<') => {
                // `2>`: the number is no argument.
                word.take_if(|w| w.chars().all(|c| c.is_ascii_digit()));
                redirects = true;
            }
            (None, c) if c.is_whitespace() || ";|&()".contains(c) => {
                if let Some(word) = word.take()
                    && !std::mem::take(&mut redirects)
                {
                    words.push(word);
                }
                // `2>&1` is one thing.
                if (c == '\n' || ";|&()".contains(c)) && !redirects {
                    done.push(std::mem::take(&mut words));
                }
            }
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    if let Some(word) = word.filter(|_| !redirects) {
        words.push(word);
    }
    done.push(words);
    done.retain(|words| !words.is_empty());
    done
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_commands_are_found_word_by_word() {
        let code = "A=1 scheduler0 start 2> node.log & # scheduler0 nonsense\n\
                    until scheduler0 'get' job \"$JOB\"; do sleep 1; done\n\
                    echo $(scheduler0 x) | scheduler0 next \\\n  --ndjson > /dev/null 2>&1\n\
                    cargo run -- dev";
        let found: Vec<_> = commands(code).iter().map(|words| words.join(" ")).collect();
        let wanted = [
            "scheduler0 start",
            "scheduler0 get job 1",
            "scheduler0 next --ndjson",
            "scheduler0 dev",
        ];
        assert_eq!(found, wanted);
        assert_eq!(misunderstood(code), Vec::<String>::new());
        assert_eq!(misunderstood("scheduler0 pause 1; scheduler0 status --loud").len(), 2);
    }

    #[test]
    fn a_command_in_a_sentence_may_have_placeholders_but_no_wrong_names() {
        for fine in
            ["scheduler0 explain JOB INSTANT", "scheduler0 cluster ...", "scheduler0 get job"]
        {
            assert_eq!(misnamed(fine), None, "{fine}");
        }
        for wrong in ["scheduler0 pause", "scheduler0 cluster recover --i-understood"] {
            assert!(misnamed(wrong).is_some(), "{wrong}");
        }
    }
}
