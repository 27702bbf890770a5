//! An edit of many jobs gives each of them what a patch of it alone gives: two stores get the same
//! log up to the edit, one is patched and the other one is edited, and both must be equal, byte for
//! byte.

use rusqlite::Connection;
use tempfile::TempDir;

use crate::app::jobs::bulk_edit::batches::Batches;
use crate::app::jobs::bulk_edit::plan::{BulkPlan, Looked};
use crate::app::jobs::input::Name;
use crate::app::jobs::validate::edit::{EditMode, edited};
use crate::app::jobs::validate::fixtures::{NOW, input, read, rules};
use crate::app::warnings::Warnings;
use crate::command::{Change, Command, CreateJobs, Error, JobAction, NewProject, Outcome, apply};
use crate::model::Millis;
use crate::model::job::Job;
use crate::store::{Store, Writer, jobs};

const HOUR: Millis = 3_600_000;

/// A store with a log that is applied to it.
struct Applied {
    _dir: TempDir,
    store: Store,
    writer: Writer,
    index: u64,
}

impl Applied {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let (store, writer) = Store::open(dir.path()).unwrap();
        let mut state = Self { _dir: dir, store, writer, index: 0 };
        state.apply(NOW - 2 * HOUR, &Command::Init { cluster: 7 });
        for name in ["p", "q"] {
            let new = NewProject { name: name.into(), ..NewProject::default() };
            state.apply(NOW - 2 * HOUR, &Command::CreateProject(new));
        }
        state
    }

    fn apply(&mut self, stamp: Millis, command: &Command) -> Outcome {
        self.index += 1;
        let index = self.index;
        let mut change = Change::default();
        let done = self
            .writer
            .transaction(|tx| apply(tx, index, stamp, (None, None), command, &mut change))
            .unwrap_or_else(|e: Error| panic!("the store failed: {e}"));
        assert!(!matches!(done, Outcome::Rejected(_)), "{command:?}: {done}");
        done
    }

    /// A job that was made an hour ago, with what happened to it since.
    fn with_job(body: &str, since: &[Command]) -> Self {
        let mut state = Self::new();
        let mut rules = rules();
        rules.now = NOW - HOUR;
        let (definitions, jobs) = read(body, rules).unwrap();
        let new = CreateJobs { request: 1, definitions, jobs, staged: false };
        state.apply(NOW - HOUR, &Command::CreateJobs(new));
        for command in since {
            state.apply(NOW - HOUR / 2, command);
        }
        state
    }

    fn read<T>(&self, f: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> T {
        self.store.read(f).unwrap()
    }

    fn job(&self) -> Job {
        self.read(|conn| jobs::get(conn, 1)).unwrap()
    }

    fn patch(&mut self, set: &str) {
        let (mut warnings, set) = (Warnings::default(), input(set));
        let edit = edited(&rules(), &self.job(), &set, EditMode::Patch, &mut warnings).unwrap();
        self.apply(NOW, &Command::UpdateJob(Box::new(edit)));
    }

    fn edit(&mut self, set: &str) {
        let (set, job) = (input(set), self.job());
        let mut plan = BulkPlan::new(rules(), set.clone());
        let looked = self.store.read(|conn| plan.look(conn, &job)).unwrap();
        let Looked::Changes(edit) = looked else { panic!("it is refused, or so already") };
        let cleared = set.nulls.has(Name::Data).then(String::new);
        let data = set.data.as_ref().map(ToString::to_string).or(cleared);
        let again = set.definition.rare(Name::After).is_some();
        let by = set.modified_by.as_ref().map(ToString::to_string);
        let mut batches = Batches::new(data, by, (set.at.is_some(), again));
        batches.add(&job, *edit);
        for command in batches.finish() {
            let done = self.apply(NOW, &Command::ReshapeJobs(Box::new(command)));
            let Outcome::Reshaped(done) = done else { panic!("{done}") };
            assert_eq!((done.changed, done.refused), (1, 0), "{done:?}");
        }
    }
}

#[test]
fn an_edit_of_one_job_gives_byte_for_byte_what_a_patch_gives() {
    let url = "\"projectId\":1,\"callbackUrl\":\"http://localhost/\",\"data\":\"d\"";
    let every = format!("{{{url},\"spec\":\"@every 7m\",\"timezone\":\"UTC\",\"jitter\":\"30s\"}}");
    let cron = format!(
        "{{{url},\"spec\":\"0 9 * * *\",\"timezone\":\"Europe/Berlin\",\"externalId\":\"e\",\
         \"labels\":{{\"team\":\"shop\",\"old\":\"x\"}},\"retryMax\":4}}"
    );
    let ended = format!(
        "{{{url},\"spec\":\"*/15 * * * *\",\"timezone\":\"UTC\",\"endDate\":\"2026-11-20T19:30:00Z\"}}"
    );
    let at = format!("{{{url},\"at\":\"2026-11-20T21:00:00Z\"}}");
    let after = format!("{{{url},\"after\":\"90m\"}}");
    let http = "{\"projectId\":1,\"spec\":\"@daily\",\"timezone\":\"UTC\",\"overlap\":\"skip\",\
                \"http\":{\"url\":\"https://a.example/x\"},\"runTimeout\":60}";
    let pause = |until| Command::ChangeJobs {
        jobs: vec![(1, 1)],
        action: JobAction::Pause { until },
        by: None,
    };
    let end = || Command::TerminateJob { id: 1, reschedule: None, reason: None };
    let (held, stopped, over) = (vec![pause(Some(NOW + HOUR))], vec![pause(None)], vec![end()]);
    let gone = vec![pause(Some(NOW - HOUR / 4))];
    let none = Vec::new();
    let cases = [
        (&every, &none, r#"{"spec":"@every 5m"}"#),
        (&every, &none, r#"{"jitter":null}"#),
        (&every, &none, r#"{"retryMax":3,"modifiedBy":"me"}"#),
        (&every, &held, r#"{"jitter":"40s"}"#),
        (&every, &held, r#"{"spec":"H * * * *"}"#),
        (&every, &stopped, r#"{"spec":"@every 9m","timezone":"Europe/Berlin"}"#),
        (&every, &gone, r#"{"startDate":"2026-12-01T00:00:00Z"}"#),
        (&every, &none, r#"{"at":"2026-11-20T21:00:00Z"}"#),
        (&every, &none, r#"{"after":"20m"}"#),
        (&every, &none, r#"{"data":"new"}"#),
        (&every, &none, r#"{"data":null}"#),
        (&every, &none, r#"{"projectId":2}"#),
        (&cron, &none, r#"{"labels":{"team":"b","old":null},"retryMax":null}"#),
        (&cron, &held, r#"{"spec":"H 9 * * *"}"#),
        (&cron, &none, r#"{"timezone":"America/New_York"}"#),
        (&cron, &none, r#"{"dst":{"gap":"skip"},"misfire":{"policy":"all"}}"#),
        (&cron, &none, r#"{"callbackUrl":"http://localhost/other","endDate":null}"#),
        (&cron, &none, r#"{"http":{"url":"https://b.example/"},"overlap":"queue_one"}"#),
        (&ended, &none, r#"{"endDate":"2026-12-01T00:00:00Z"}"#),
        (&at, &none, r#"{"at":"2026-11-20T22:00:00Z"}"#),
        (&at, &none, r#"{"jitter":"5m"}"#),
        (&at, &held, r#"{"retryMax":1}"#),
        (&at, &stopped, r#"{"after":"10m"}"#),
        (&at, &over, r#"{"labels":{"a":"b"}}"#),
        (&at, &over, r#"{"spec":"@daily"}"#),
        (&at, &over, r#"{"at":"2026-11-20T22:00:00Z"}"#),
        (&after, &none, r#"{"after":"90m"}"#),
        (&after, &over, r#"{"after":"5m"}"#),
        (&after, &none, r#"{"deleteAfterRun":true}"#),
        (&after, &none, r#"{"spec":"@hourly"}"#),
        (&http.to_owned(), &stopped, r#"{"http":{"method":"PUT"},"overlap":null}"#),
    ];
    for (body, since, set) in cases {
        let (mut one, mut many) = (Applied::with_job(body, since), Applied::with_job(body, since));
        assert_eq!(one.read(Store::hash), many.read(Store::hash), "before: {body}");
        one.patch(set);
        many.edit(set);
        assert_eq!(many.job(), one.job(), "{body} {since:?} {set}");
        assert_eq!(many.read(Store::hash), one.read(Store::hash), "{body} {since:?} {set}");
    }
}

#[test]
fn the_edit_of_a_definition_is_made_once_and_fits_each_job_by_its_own_data() {
    let mut state = Applied::new();
    let job = |data: &str| {
        format!(
            "{{\"projectId\":1,\"spec\":\"@daily\",\"timezone\":\"UTC\",\"data\":\"{data}\",\
             \"callbackUrl\":\"http://localhost/\"}}"
        )
    };
    let body = format!("[{},{}]", job("fits"), job(&"x".repeat(9_000)));
    let (definitions, jobs) = read(&body, rules()).unwrap();
    let new = CreateJobs { request: 1, definitions, jobs, staged: false };
    state.apply(NOW, &Command::CreateJobs(new));
    let set = r#"{"http":{"url":"http://a.example/","headers":{"X-A":"{{data}}"}}}"#;
    let mut plan = BulkPlan::new(rules(), input(set));
    let mut look = |id| {
        state.read(|conn| {
            let job = jobs::get(conn, id)?.unwrap();
            plan.look(conn, &job)
        })
    };
    assert!(matches!(look(1), Looked::Changes(_)));
    let Looked::Refused(error) = look(2) else { panic!("its data are too long for a header") };
    assert_eq!(error.field_name(), Some("http.headers"));
    let same = BulkPlan::new(rules(), input(r#"{"timezone":"UTC"}"#)).look_at(&state, 1);
    assert!(matches!(same, Looked::Same));
    let stray = BulkPlan::new(rules(), input(r#"{"projectId":9}"#)).look_at(&state, 1);
    let Looked::Refused(error) = stray else { panic!("there is no such project") };
    assert_eq!(error.field_name(), Some("projectId"));
    let stray = BulkPlan::new(rules(), input(r#"{"executorId":9}"#)).look_at(&state, 1);
    let Looked::Refused(error) = stray else { panic!("there is no such executor") };
    assert_eq!(error.field_name(), Some("executorId"));
}

impl BulkPlan {
    /// Looks at a job of a store.
    fn look_at(mut self, state: &Applied, id: u64) -> Looked {
        state.read(|conn| {
            let job = jobs::get(conn, id)?.unwrap();
            self.look(conn, &job)
        })
    }
}
