//! A document taken apart: its fenced blocks with their marks and outputs, its headings, its links.
//! Called by `docs`; runs nothing.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// A document of the repository.
pub(super) struct Page {
    /// Its path below the repository, such as `docs/jobs.md`.
    pub(super) name: String,
    pub(super) blocks: Vec<Block>,
    /// The section of another page whose first shell block runs before everything: page, heading.
    pub(super) begins_with: Option<(String, String)>,
    headings: Vec<Heading>,
    links: Vec<(usize, String)>,
    /// Code between single backticks.
    pub(super) inline: Vec<(usize, String)>,
}

/// A fenced block.
#[derive(Clone, Debug)]
pub(super) struct Block {
    /// The line that its fence opens in, from 1.
    pub(super) line: usize,
    /// `sh`, `js`, `python` ...; empty where the fence names none.
    pub(super) language: String,
    pub(super) code: String,
    pub(super) mark: Option<Mark>,
    /// The block without a language that follows a shell block directly: what that one prints.
    pub(super) output: Option<String>,
    /// The line of the heading that ends its section; none for the last one.
    pub(super) section_end: Option<usize>,
    heading: String,
}

/// What a comment before a block says of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    /// `<!-- not run: REASON -->`.
    NotRun(String),
    /// `<!-- needs a broker -->`: the block is run where RabbitMQ is installed, with a broker of
    /// the test in place of the documented one.
    Broker,
    /// `<!-- runs until the end of the section|page, ready at "TEXT" -->`: the block runs in a
    /// terminal of its own. The page goes on when it has printed the text; ctrl-c ends it.
    Beside { whole_page: bool, ready: String },
}

struct Heading {
    line: usize,
    level: usize,
    text: String,
}

impl Page {
    pub(super) fn read(root: &Path, name: &str) -> Self {
        let text =
            std::fs::read_to_string(root.join(name)).unwrap_or_else(|e| panic!("{name}: {e}"));
        Self::parse(name, &text).unwrap_or_else(|e| panic!("{name}: {e}"))
    }

    pub(super) fn parse(name: &str, text: &str) -> Result<Self, String> {
        let mut page = Self {
            name: name.to_owned(),
            blocks: Vec::new(),
            begins_with: None,
            headings: Vec::new(),
            links: Vec::new(),
            inline: Vec::new(),
        };
        let (mut mark, mut adjacent) = (None, false);
        let mut lines = text.lines().enumerate().map(|(n, line)| (n + 1, line));
        while let Some((number, line)) = lines.next() {
            let indent = line.len() - line.trim_start().len();
            if let Some(language) = line.trim_start().strip_prefix("```") {
                let mut code = String::new();
                loop {
                    let Some((_, line)) = lines.next() else {
                        return Err(format!("the block of line {number} has no end"));
                    };
                    if line.trim() == "```" {
                        break;
                    }
                    code.push_str(line.get(indent..).unwrap_or_default());
                    code.push('\n');
                }
                let language = language.trim().to_owned();
                let prints = language.is_empty() && adjacent && mark.is_none();
                match page.blocks.last_mut().filter(|last| prints && last.language == "sh") {
                    Some(last) => last.output = Some(code),
                    None => page.blocks.push(Block {
                        line: number,
                        language,
                        code,
                        mark: mark.take(),
                        output: None,
                        section_end: None,
                        heading: page.headings.last().map_or_else(String::new, |h| h.text.clone()),
                    }),
                }
                adjacent = true;
                continue;
            }
            if line.trim().is_empty() {
                continue;
            }
            adjacent = false;
            if let Some(said) = line.trim().strip_prefix("<!--") {
                let said = said.trim_end_matches("-->").trim();
                match said.strip_prefix("begins with: ").and_then(|what| what.split_once(", ")) {
                    Some((page_name, heading)) => {
                        page.begins_with = Some((page_name.to_owned(), heading.to_owned()));
                    }
                    None => mark = Some(Mark::parse(said).map_err(|e| format!("{number}: {e}"))?),
                }
                continue;
            }
            if let Some(mark) = mark.take() {
                return Err(format!("{number}: no block follows the comment {mark:?}"));
            }
            page.take_line(number, line);
        }
        page.find_ends();
        Ok(page)
    }

    fn take_line(&mut self, number: usize, line: &str) {
        let level = line.bytes().take_while(|b| *b == b'#').count();
        if level > 0 && line.as_bytes().get(level) == Some(&b' ') {
            let text = line[level..].trim().to_owned();
            self.headings.push(Heading { line: number, level, text });
        }
        for (n, part) in line.split('`').enumerate() {
            if n % 2 == 1 {
                self.inline.push((number, part.to_owned()));
                continue;
            }
            for link in part.split("](").skip(1) {
                self.links.push((number, link.split(')').next().unwrap_or(link).to_owned()));
            }
        }
        // A link whose text is code lies across backticks.
        for link in line.split("`](").skip(1) {
            self.links.push((number, link.split(')').next().unwrap_or(link).to_owned()));
        }
    }

    fn find_ends(&mut self) {
        for block in &mut self.blocks {
            let own = self.headings.iter().rev().find(|h| h.line < block.line);
            let level = own.map_or(0, |h| h.level);
            let end = self.headings.iter().find(|h| h.line > block.line && h.level <= level);
            block.section_end = end.map(|h| h.line);
        }
    }

    /// The first shell block below a heading.
    pub(super) fn first_under(&self, heading: &str) -> Option<&Block> {
        self.blocks.iter().find(|b| b.heading == heading && b.language == "sh")
    }

    /// The links that lead nowhere: to a file that is not there, or a heading that is not in it.
    pub(super) fn dead_links(&self, root: &Path) -> Vec<String> {
        let here = root.join(&self.name);
        let dead = |(line, link): &(usize, String)| {
            if link.contains("://") || link.starts_with("mailto:") {
                return None;
            }
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target: PathBuf =
                if file.is_empty() { here.clone() } else { here.parent()?.join(file) };
            let wrong = |what: &str| Some(format!("{}:{line}: {link}: {what}", self.name));
            if !file.is_empty() && !target.exists() {
                return wrong("no such file");
            }
            if anchor.is_empty() || (file.is_empty() && self.anchors().contains(anchor)) {
                return None;
            }
            let text = std::fs::read_to_string(&target).unwrap_or_default();
            let there =
                Self::parse(&self.name, &text).is_ok_and(|page| page.anchors().contains(anchor));
            if there { None } else { wrong("no such heading") }
        };
        self.links.iter().filter_map(dead).collect()
    }

    /// The headings as GitHub names them in links.
    fn anchors(&self) -> BTreeSet<String> {
        let mut anchors = BTreeSet::new();
        for heading in &self.headings {
            let kept = heading.text.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
            let name: String = kept.flat_map(char::to_lowercase).collect();
            let name = name.replace(' ', "-");
            let mut anchor = name.clone();
            for n in 1.. {
                if anchors.insert(anchor) {
                    break;
                }
                anchor = format!("{name}-{n}");
            }
        }
        anchors
    }
}

impl Mark {
    fn parse(said: &str) -> Result<Self, String> {
        if let Some(reason) = said.strip_prefix("not run: ").filter(|reason| !reason.is_empty()) {
            return Ok(Self::NotRun(reason.to_owned()));
        }
        if said == "needs a broker" {
            return Ok(Self::Broker);
        }
        let beside = said.strip_prefix("runs until the end of the ").and_then(|rest| {
            let (what, ready) = rest.split_once(", ready at ")?;
            let ready = ready.strip_prefix('"')?.strip_suffix('"')?.to_owned();
            let whole_page = ["section", "page"].iter().position(|known| *known == what)? == 1;
            Some(Self::Beside { whole_page, ready })
        });
        beside.ok_or_else(|| format!("a comment that means nothing here: {said}"))
    }
}
