//! The search of jobs: one text of words, such as `status:active label:team=shop`, made a filter. A
//! value with blanks is quoted: `"nightly report"`, `label:team="the shop"`.

use crate::app::Error;
use crate::app::jobs::{Filter, check_label, check_label_count};
use crate::model::execution_id::parse_execution_id;
use crate::model::job::JobStatus;
use crate::model::{JobId, Millis};
use crate::ui::context::Page;
use crate::ui::lists::Projects;

/// The kind of a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Status,
    Project,
    Label,
    Id,
    Name,
    Spec,
    Zone,
}

/// A word of a search that is understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Term {
    /// As it was written.
    pub(crate) text: String,
    /// What it means.
    pub(crate) meaning: String,
    kind: Kind,
}

/// A search.
#[derive(Clone, Debug, Default)]
pub(crate) struct Search {
    pub(crate) filter: Filter,
    pub(crate) terms: Vec<Term>,
    /// What is wrong with it, in a sentence.
    pub(crate) problem: Option<String>,
}

/// Where a search for exactly one thing leads.
pub(crate) enum Direct {
    /// A job by its number.
    Job(JobId),
    /// An execution by its id.
    Execution(String),
}

/// The one thing that a search names: a number or an execution id.
pub(crate) fn direct(text: &str) -> Option<Direct> {
    let text = text.trim();
    let number = text.strip_prefix('#').or_else(|| text.strip_prefix("id:")).unwrap_or(text);
    if let Ok(id) = number.parse() {
        return Some(Direct::Job(id));
    }
    let is_id = text.len() > 10 && parse_execution_id(text).is_some();
    is_id.then(|| Direct::Execution(text.to_owned()))
}

impl Search {
    /// Reads a search.
    pub(crate) fn read(text: &str, projects: &Projects, now: Millis) -> Self {
        let mut search = Self::default();
        for word in words(text) {
            if let Err(problem) = word.and_then(|word| search.take(word, projects, now)) {
                search.problem.get_or_insert(problem);
            }
        }
        search
    }

    fn take(&mut self, word: Word, projects: &Projects, now: Millis) -> Result<(), String> {
        let (kind, value) = word.kind();
        // A filter has one of these: a second one would replace the first without a word.
        let once = match kind {
            Kind::Name => Some("name, and put one with blanks in quotes: \"nightly report\""),
            Kind::Status => Some("status"),
            Kind::Project => Some("project"),
            Kind::Spec => Some("schedule, and put one with blanks in quotes: spec:\"0 9 * * *\""),
            Kind::Zone => Some("zone"),
            Kind::Label | Kind::Id => None,
        };
        if let Some(once) = once.filter(|_| self.terms.iter().any(|term| term.kind == kind)) {
            return Err(format!("{} is one too many: give one {once}", word.text));
        }
        let meaning = match kind {
            Kind::Status => self.status(value, now),
            Kind::Project => self.project(value, projects),
            Kind::Label => self.label(value),
            Kind::Id => self.id(value),
            Kind::Name => Ok(self.name(value)),
            Kind::Spec => Ok(self.spec(value)),
            Kind::Zone => Ok(self.zone(value)),
        };
        self.terms.push(Term { meaning: meaning?, kind, text: word.text });
        Ok(())
    }

    /// The search with a status that was chosen beside its text, in place of one in the text.
    pub(crate) fn choose_status(&mut self, status: JobStatus, now: Millis) {
        self.filter.status = Some((status, now));
        self.terms.retain(|term| term.kind != Kind::Status);
    }

    /// The text of the search without one of its words.
    pub(crate) fn without(&self, term: &Term) -> String {
        joined(self.terms.iter().filter(|other| *other != term))
    }

    /// The text of the search without its status.
    pub(crate) fn without_status(&self) -> String {
        joined(self.terms.iter().filter(|term| term.kind != Kind::Status))
    }

    /// The text of the search without what it says of schedules.
    pub(crate) fn without_schedule(&self) -> String {
        let is_other = |term: &&Term| !matches!(term.kind, Kind::Spec | Kind::Zone);
        joined(self.terms.iter().filter(is_other))
    }

    fn status(&mut self, value: &str, now: Millis) -> Result<String, String> {
        let status = status_named(value).ok_or_else(|| {
            format!("status:{value} is none of active, paused, completed, disabled")
        })?;
        self.filter.status = Some((status, now));
        Ok(format!("status {value}"))
    }

    fn project(&mut self, value: &str, projects: &Projects) -> Result<String, String> {
        let by_name = projects.0.values().find(|one| one.project.name == value);
        let id = by_name.map(|one| one.project.id).or_else(|| value.parse().ok());
        let id = id.ok_or_else(|| format!("there is no project {value}"))?;
        self.filter.project = Some(id);
        Ok(format!("project {}", projects.name(id)))
    }

    fn label(&mut self, value: &str) -> Result<String, String> {
        let (key, text) = value
            .split_once('=')
            .ok_or_else(|| format!("label:{value} needs a value: label:key=value"))?;
        check_label(key, text).map_err(|error| error.to_string())?;
        let count = self.filter.labels.len() + 1;
        check_label_count("label", count).map_err(|error| error.to_string())?;
        self.filter.labels.push((key.to_owned(), text.to_owned()));
        Ok(format!("label {value}"))
    }

    fn id(&mut self, value: &str) -> Result<String, String> {
        let id = value.parse().map_err(|_| format!("id:{value} is no number"))?;
        self.filter.ids.get_or_insert_default().push(id);
        Ok(format!("job {value}"))
    }

    fn spec(&mut self, value: &str) -> String {
        self.filter.spec = Some(value.to_owned());
        format!("schedule {value}")
    }

    fn zone(&mut self, value: &str) -> String {
        self.filter.timezone = Some(value.to_owned());
        format!("zone {value}")
    }

    fn name(&mut self, value: &str) -> String {
        self.filter.external_id = Some(value.to_owned());
        format!("named {value}")
    }
}

fn joined<'t>(terms: impl Iterator<Item = &'t Term>) -> String {
    terms.map(|term| term.text.as_str()).collect::<Vec<_>>().join(" ")
}

impl Page {
    /// Reads the projects, and those that a search names, wherever they are in the list.
    ///
    /// # Errors
    ///
    /// As [`Page::projects`].
    pub(crate) async fn projects_of_search(&self, text: &str) -> Result<Projects, Error> {
        let mut projects = self.projects().await?;
        for name in projects_in(text) {
            if !projects.0.values().any(|one| one.project.name == name)
                && let Some(record) = self.ui.app.find_project(&self.actor, name).await?
            {
                projects.0.insert(record.project.id, record);
            }
        }
        Ok(projects)
    }
}

/// The names of projects that a search has.
fn projects_in(text: &str) -> Vec<String> {
    let words = words(text).into_iter().flatten();
    let named = words.filter(|word| word.kind().0 == Kind::Project);
    named.map(|word| word.kind().1.to_owned()).collect()
}

/// A value as a search has it: in quotes where it would be torn apart or be read as another word.
pub(crate) fn quoted(value: &str) -> String {
    let is_plain = !value.is_empty() && !value.contains(|c: char| c.is_whitespace() || c == '"');
    if is_plain {
        return value.to_owned();
    }
    format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))
}

/// A word of a search.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Word {
    /// As it was written.
    text: String,
    /// Without its quotes.
    plain: String,
    /// It begins with a quote: it is a name, whatever is in it.
    is_name: bool,
}

impl Word {
    /// The kind of the word, and its value.
    fn kind(&self) -> (Kind, &str) {
        let (name, value) = self.plain.split_once(':').unwrap_or(("", &self.plain));
        match name {
            _ if self.is_name => (Kind::Name, &self.plain),
            "status" => (Kind::Status, value),
            "project" => (Kind::Project, value),
            "label" => (Kind::Label, value),
            "id" => (Kind::Id, value),
            "name" => (Kind::Name, value),
            "spec" => (Kind::Spec, value),
            "zone" => (Kind::Zone, value),
            // A name may have colons of its own.
            _ => (Kind::Name, &self.plain),
        }
    }
}

/// The words of a search. A quote opens at the beginning of a word or of a value, and holds up to
/// the next one; a backslash in quotes stands for the character behind it.
fn words(text: &str) -> Vec<Result<Word, String>> {
    let mut found = Vec::new();
    let mut chars = text.chars().peekable();
    loop {
        while chars.next_if(|c| c.is_whitespace()).is_some() {}
        if chars.peek().is_none() {
            return found;
        }
        let mut word = Word { is_name: chars.peek() == Some(&'"'), ..Word::default() };
        let mut is_open = false;
        while let Some(c) = chars.next_if(|c| is_open || !c.is_whitespace()) {
            word.text.push(c);
            let opens = word.plain.is_empty() || word.plain.ends_with([':', '=']);
            match c {
                '"' if is_open => is_open = false,
                '"' if opens => is_open = true,
                '\\' if is_open => {
                    let escaped = chars.next();
                    word.text.extend(escaped);
                    word.plain.extend(escaped);
                }
                _ => word.plain.push(c),
            }
        }
        found.push(if is_open {
            Err(format!("the quotes of {} are not closed", word.text))
        } else {
            Ok(word)
        });
    }
}

/// A status by the word that people see.
pub(crate) fn status_named(word: &str) -> Option<JobStatus> {
    Some(match word {
        "active" => JobStatus::Active,
        "paused" | "inactive" => JobStatus::Inactive,
        "completed" => JobStatus::Completed,
        "disabled" => JobStatus::Disabled,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_is_read_word_by_word() {
        let none = Projects(std::collections::BTreeMap::new());
        let search = Search::read("status:paused label:team=shop project:3 night:ly", &none, 5);
        assert_eq!(search.filter.status, Some((JobStatus::Inactive, 5)));
        assert_eq!(search.filter.labels, [("team".to_owned(), "shop".to_owned())]);
        assert_eq!(search.filter.project, Some(3));
        assert_eq!(search.filter.external_id.as_deref(), Some("night:ly"));
        assert_eq!(search.without(&search.terms[1]), "status:paused project:3 night:ly");
        assert_eq!(search.problem, None);
        let quoted = "spec:\"0 9 * * *\" zone:Europe/Berlin \"night ly\" status:active";
        let search = Search::read(quoted, &none, 5);
        assert_eq!(search.filter.spec.as_deref(), Some("0 9 * * *"));
        assert_eq!(search.filter.timezone.as_deref(), Some("Europe/Berlin"));
        assert_eq!(search.filter.external_id.as_deref(), Some("night ly"));
        assert_eq!(search.without(&search.terms[3]), &quoted[..quoted.len() - 14]);
        assert_eq!(search.without_schedule(), "\"night ly\" status:active");
        for bad in ["status:x", "label:a", "project:nobody", "id:x"] {
            assert!(Search::read(bad, &none, 0).problem.is_some(), "{bad}");
        }
    }

    #[test]
    fn a_second_value_of_a_kind_is_refused_and_never_replaces_the_first() {
        let none = Projects(std::collections::BTreeMap::new());
        for twice in
            ["nightly report", "project:1 project:2", "status:active status:paused", "name:a b"]
        {
            let problem = Search::read(twice, &none, 0).problem;
            assert!(problem.is_some_and(|told| told.contains("one too many")), "{twice}");
        }
        assert_eq!(Search::read("label:a=1 label:b=2 id:1 id:2", &none, 0).problem, None);
    }

    #[test]
    fn a_value_in_quotes_is_one_whatever_is_in_it() {
        let none = Projects(std::collections::BTreeMap::new());
        let named = |text: &str| {
            let search = Search::read(text, &none, 0);
            assert_eq!(search.problem, None, "{text}");
            search.filter.external_id.unwrap()
        };
        assert_eq!(named("\"nightly report\""), "nightly report");
        assert_eq!(named("name:\"nightly report\""), "nightly report");
        assert_eq!(named("\"status:x\""), "status:x");
        for name in ["a b", "status:x y", "\"x\" \\ y", "a\"b", "job1\"><b>", " ", "a=\"b"] {
            let written = quoted(name);
            assert_eq!(named(&format!("name:{written}")), name, "{written}");
            let label = Search::read(&format!("label:k={written} project:3"), &none, 0);
            assert_eq!(label.filter.labels, [("k".to_owned(), name.to_owned())]);
            assert_eq!(label.without(&label.terms[1]), format!("label:k={written}"));
        }
        assert!(Search::read("\"open", &none, 0).problem.is_some());
        assert_eq!(projects_in("a project:\"two words\" project:3"), ["two words", "3"]);
    }

    #[test]
    fn a_status_that_is_chosen_takes_the_place_of_the_one_in_the_text() {
        let none = Projects(std::collections::BTreeMap::new());
        let mut search = Search::read("status:paused project:3", &none, 0);
        assert_eq!(search.without_status(), "project:3");
        search.choose_status(JobStatus::Active, 7);
        assert_eq!(search.filter.status, Some((JobStatus::Active, 7)));
        assert_eq!(search.terms.len(), 1, "no chip says paused: {:?}", search.terms);
    }

    #[test]
    fn a_number_and_an_execution_id_lead_straight_there() {
        assert!(matches!(direct(" 42 "), Some(Direct::Job(42))));
        assert!(matches!(direct("#42"), Some(Direct::Job(42))));
        assert!(matches!(direct("id:42"), Some(Direct::Job(42))));
        assert!(matches!(direct("deadbeef-4d-19a"), Some(Direct::Execution(_))));
        for other in ["", "order-77", "a-b", "status:active"] {
            assert!(direct(other).is_none(), "{other}");
        }
    }
}
