//! Runs the documents as a reader follows them: every fenced block of README.md, docs/*.md and the
//! other pages, in order. A page is one shell session in a fresh folder; it starts its own nodes,
//! and changes nothing outside of that folder.
//!
//! A block fails when a command in it fails, when it prints an answer of the API that is no
//! success, or when it prints something else than the block without a language that follows it.
//!
//! The language of a block says what is done with it:
//!
//! - `sh`: it is run.
//! - `js`, `python`: it is written to the file that its first line names (`// demo.js`), which a
//!   later block runs.
//! - `json`, `yaml`: it is parsed.
//! - others: nothing. A block without a language after an `sh` block is its output.
//!
//! A comment before a block says how it is run:
//!
//! - `<!-- not run: REASON -->`: only its syntax is checked, and that our command line understands
//!   each command of ours.
//! - `<!-- runs until the end of the section, ready at "TEXT" -->`: it runs in a terminal of its
//!   own (`page`: to the end of the page); ctrl-c ends it.
//! - `<!-- needs a broker -->`: it is run where RabbitMQ and Python's `pika` are installed; the
//!   test puts a broker of its own in the place of the documented one.
//! - `<!-- begins with: PAGE, HEADING -->`: the first shell block there is run before this page.
//!
//! In an output these may differ: instants within eight days of now; days in words and times of
//! day; amounts of `ms`, `s` and `MB`; execution ids; keys, secrets and long hexadecimal numbers;
//! the number after `node`; the width of blanks. `...` matches anything, in a line or over lines.
//! Everything else must be as shown. The reader sees the documented ports; the test uses free ones.

mod broker;
mod facts;
mod page;
mod printed;
mod session;
mod words;

use std::path::Path;
use std::process::Command;

use scheduler0::clock::{Clock as _, SystemClock};

use self::page::{Block, Mark, Page};
use self::session::Session;

/// What the pages need beside a shell.
const TOOLS: &[&str] = &["bash", "curl", "jq", "node", "python3"];

#[test]
#[cfg_attr(not(feature = "slow"), ignore = "slow")]
fn the_readme_does_what_it_says() {
    play("README.md");
}

#[test]
#[cfg_attr(not(feature = "slow"), ignore = "slow")]
fn the_page_of_jobs_does_what_it_says() {
    play("docs/jobs.md");
}

#[test]
#[cfg_attr(not(feature = "slow"), ignore = "slow")]
fn the_page_of_operations_does_what_it_says() {
    play("docs/operations.md");
}

#[test]
fn all_other_pages_do_what_they_say() {
    let mut pages = Vec::new();
    for folder in [".", "docs", "docs/decisions", "tests"] {
        let entries = std::fs::read_dir(root().join(folder)).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
        let folder = folder.trim_start_matches('.');
        let path = |name: String| format!("{folder}/{name}").trim_start_matches('/').to_owned();
        pages.extend(names.filter(|name| is_page(name)).map(path));
    }
    let others = ["README.md", "docs/jobs.md", "docs/operations.md"];
    pages.retain(|name| !others.contains(&name.as_str()));
    pages.sort();
    for page in pages {
        play(&page);
    }
}

fn is_page(name: &str) -> bool {
    Path::new(name).extension().is_some_and(|extension| extension == "md")
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn play(name: &str) {
    let missing: Vec<_> = TOOLS.iter().filter(|tool| !has(tool)).collect();
    if !missing.is_empty() {
        assert!(
            std::env::var_os("CI").is_none(),
            "{name} cannot be played: {missing:?} is missing"
        );
        eprintln!("SKIPPED: {name} is not played, {missing:?} is missing");
        return;
    }
    let page = Page::read(root(), name);
    let mut wrong = page.dead_links(root());
    wrong.extend(faults(&page));
    assert!(wrong.is_empty(), "{name} does not do what it says:\n\n{}", wrong.join("\n\n"));
}

fn has(tool: &str) -> bool {
    let found = Command::new(tool).arg("--version").output();
    found.is_ok_and(|said| said.status.success())
}

/// Plays a page, and tells what of it does not hold.
fn faults(page: &Page) -> Vec<String> {
    let mut wrong = Vec::new();
    for (line, code) in &page.inline {
        let misnamed = code.starts_with("scheduler0 ").then(|| words::misnamed(code)).flatten();
        wrong.extend(misnamed.map(|e| format!("{}:{line}: {e}", page.name)));
    }
    let mut session = Session::begin();
    if let Some((name, heading)) = &page.begins_with {
        let other = Page::read(root(), name);
        let block = other.first_under(heading).unwrap_or_else(|| panic!("{name} has no {heading}"));
        let done = session.run(&block.code);
        assert!(done.failed.is_empty(), "{name}, {heading}: {:?}\n{}", done.failed, done.printed);
    }
    for block in &page.blocks {
        let ended = session.end_before(block.line);
        let outcome = ended.and_then(|()| step(&mut session, block));
        if let Err(e) = outcome {
            wrong.push(format!("{}:{}: {e}\n{}", page.name, block.line, indented(&block.code)));
        }
        if session.is_over() {
            return wrong;
        }
    }
    wrong.extend(session.end_before(usize::MAX).err().map(|e| format!("{}: {e}", page.name)));
    wrong
}

fn step(session: &mut Session, block: &Block) -> Result<(), String> {
    if block.mark == Some(Mark::Broker) {
        let Some(code) = broker::with_broker(session, &block.code) else { return Ok(()) };
        let mut own = block.clone();
        (own.mark, own.code) = (None, code);
        return step(session, &own);
    }
    match (block.language.as_str(), &block.mark) {
        ("sh", Some(Mark::NotRun(_))) => understood(&block.code),
        ("sh", Some(Mark::Beside { whole_page, ready })) => {
            let end = if *whole_page { None } else { block.section_end };
            let printed = session.run_beside(&block.code, ready, end.unwrap_or(usize::MAX))?;
            block.output.as_ref().map_or(Ok(()), |shown| printed::compare(shown, &printed, now()))
        }
        ("sh", None) => {
            let done = session.run(&block.code);
            if !done.failed.is_empty() {
                return Err(format!("failed: {:?}, it printed\n{}", done.failed, done.printed));
            }
            if let Some(shown) = &block.output {
                return printed::compare(shown, &done.printed, now());
            }
            if done.printed.contains("\"success\":false") {
                return Err(format!("the API refused:\n{}", done.printed));
            }
            Ok(())
        }
        ("js" | "python", None) => {
            let first = block.code.lines().next().unwrap_or_default();
            let name = first.trim_start_matches(['/', '#', ' ']).split(':').next().unwrap_or("");
            if name.is_empty() || name.contains(['/', ' ']) {
                return Err("the first line names no file".to_owned());
            }
            session.write(name, &block.code);
            Ok(())
        }
        ("json", None) => serde_json::from_str::<serde_json::Value>(&block.code)
            .map(|_| ())
            .map_err(|e| e.to_string()),
        ("yaml", None) => serde_yaml::from_str::<serde_yaml::Value>(&block.code)
            .map(|_| ())
            .map_err(|e| e.to_string()),
        ("bash" | "shell" | "console", _) => Err("shell blocks are marked sh".to_owned()),
        _ => Ok(()),
    }
}

/// Whether a block that is not run could be.
fn understood(code: &str) -> Result<(), String> {
    let said = Command::new("bash").args(["-n", "-c", code]).output().unwrap();
    if !said.status.success() {
        return Err(String::from_utf8_lossy(&said.stderr).into_owned());
    }
    let wrong = words::misunderstood(code);
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n")) }
}

fn now() -> i64 {
    SystemClock.wall()
}

fn indented(code: &str) -> String {
    format!("    {}", code.trim_end().replace('\n', "\n    "))
}

#[test]
fn a_page_that_is_wrong_is_found_out() {
    if !TOOLS.iter().all(|tool| has(tool)) {
        return;
    }
    let text = "# A page\n\
                [gone](gone.md) [here](#a-page) [nowhere](#nowhere)\n\
                `scheduler0 pause 7`\n\n\
                ```sh\nx=$(false | cat); true\n```\n\
                ```sh\necho '{\"data\":\"no\",\"success\":false}'\n```\n\
                ```sh\ncat note.txt\n```\n\n```\nbe\n```\n\
                ```js\n// note.txt\nbe\n```\n\
                ```sh\ncat note.txt\n```\n\n```\n...\nbe\n```\n\
                <!-- not run: a test -->\n```sh\nscheduler0 pause 7; touch here\n```\n\
                <!-- not run: a test -->\n```sh\nif\n```\n\
                <!-- runs until the end of the section, ready at \"up\" -->\n\
                ```sh\ntrap 'exit 7' INT; echo up; while :; do sleep 0.1; done\n```\n\
                # Next\n\
                ```sh\ntest ! -e here\n```\n";
    let page = Page::parse("docs/page.md", text).unwrap();
    let dead = page.dead_links(root());
    assert_eq!(dead.len(), 2, "{dead:?}");
    let found = faults(&page);
    let lines: Vec<_> =
        found.iter().map(|fault| fault.split(':').nth(1).unwrap_or_default()).collect();
    assert_eq!(lines, ["3", "5", "8", "11", "31", "35", "43"], "{found:#?}");
    for wrong in ["```sh\n", "<!-- run it -->\n```sh\n```", "<!-- not run: x -->\ntext"] {
        assert!(Page::parse("x", wrong).is_err(), "{wrong}");
    }
}
