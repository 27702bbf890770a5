//! Sessions that go on: refreshed before they end, by one process at a time, and over when the
//! provider says so.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

use super::provider::Behavior;
use super::setup::Setup;
use crate::harness::Running;

/// The longest wait for a process to come to the lock.
const PATIENCE: Duration = Duration::from_mins(1);

/// Waits until a process has the lock file open: it holds the lock, or waits for it.
fn wait_at_the_lock(process: &Running) {
    let folder = format!("/proc/{}/fd", process.id());
    let is_at_lock = || {
        let open = fs::read_dir(&folder).unwrap().flatten();
        open.filter_map(|entry| fs::read_link(entry.path()).ok())
            .any(|target| target.ends_with("scheduler0/sessions.lock"))
    };
    let begun = Instant::now();
    while !is_at_lock() {
        assert!(begun.elapsed() < PATIENCE, "the process never came to the lock");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn of_two_processes_one_refreshes_and_the_other_takes_what_it_got() {
    // The first access token ends within the half minute before which one is refreshed.
    let setup = Setup::new(Behavior { first_life: 25, ..Behavior::default() });
    setup.log_in();
    setup.provider.open_gate(false);
    let both = [(); 2].map(|()| setup.start(&["list", "projects"], &[], ""));
    for process in &both {
        wait_at_the_lock(process);
    }
    setup.provider.open_gate(true);
    for ended in both.map(Running::end) {
        assert_eq!(ended.code, 0, "{}", ended.err);
    }
    assert_eq!(setup.provider.known().refreshes, 1);
    assert_eq!(
        (&setup.session()["accessToken"], setup.shown("authorization").as_str()),
        (&"at-2".into(), "Bearer at-2")
    );
    assert_eq!(setup.session()["refreshToken"], "rt-2", "the old one is used up");
    assert_eq!(setup.run(&["list", "projects"]).code, 0);
    assert_eq!(setup.provider.known().refreshes, 1, "the new token lasts an hour");
}

#[test]
fn a_session_that_the_provider_has_ended_says_how_to_begin_another() {
    let behavior =
        Behavior { first_life: 25, refresh_error: Some("invalid_grant"), ..Behavior::default() };
    let setup = Setup::new(behavior);
    setup.log_in();
    let ended = setup.run(&["list", "projects"]);
    assert_eq!(ended.code, 3, "{}", ended.err);
    let login = format!("scheduler0 login --server {}", setup.node.url);
    assert!(ended.err.contains("the session has ended"), "{}", ended.err);
    assert!(ended.err.contains("error=invalid_grant") && ended.err.contains(&login));
    assert!(!ended.err.contains("rt-1"), "{}", ended.err);

    // A provider that is out of order ends nothing: the old token is good to its last second.
    setup.provider.known().behavior.refresh_error = Some("temporarily_unavailable");
    let ended = setup.run(&["list", "projects"]);
    assert_eq!(
        (ended.code, setup.shown("authorization").as_str()),
        (0, "Bearer at-1"),
        "{}",
        ended.err
    );
}

#[test]
fn a_node_that_takes_the_session_no_more_says_how_to_begin_another() {
    let setup = Setup::new(Behavior::default());
    setup.log_in();
    setup.provider.known().access.clear();
    let ended = setup.run(&["whoami"]);
    assert_eq!(ended.code, 3);
    let login = format!("scheduler0 login --server {}", setup.node.url);
    assert!(ended.err.contains(&login), "{}", ended.err);
}

#[test]
fn a_session_file_that_others_may_read_is_refused() {
    let setup = Setup::new(Behavior::default());
    setup.log_in();
    for (path, wide, right) in
        [(setup.file(), 0o644, 0o600), (setup.file().parent().unwrap().to_owned(), 0o755, 0o700)]
    {
        fs::set_permissions(&path, fs::Permissions::from_mode(wide)).unwrap();
        for arguments in [&["list", "projects"][..], &["logout"], &["login", "--no-browser"]] {
            let ended = setup.run(arguments);
            assert_eq!(ended.code, 2, "{arguments:?}: {}", ended.err);
            let fix = format!("chmod {right:o} {}", path.display());
            assert!(ended.err.contains(&fix), "{}", ended.err);
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(right)).unwrap();
    }
    assert_eq!(setup.run(&["list", "projects"]).code, 0);
}
