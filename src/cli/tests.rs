//! Tests of the command line's grammar and of the exit codes.

use clap::{CommandFactory, Parser};
use serde_json::json;

use super::*;
use crate::config::{Config, LoadOptions};

fn parse(line: &str) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(line.split_whitespace())
}

#[test]
fn the_tree_is_sound() {
    Cli::command().debug_assert();
    let help = Cli::command().render_long_help().to_string();
    for part in [
        "Exit codes:",
        "3  the node refused",
        "4  the node, or the provider of a login, cannot",
        "--json",
    ] {
        assert!(help.contains(part), "{part}");
    }
}

#[test]
fn the_commands_are_understood_with_their_plurals() {
    for line in [
        "scheduler0 config init --yes --force --port 1 --replica 1,a:1,a:2 --replica 2,b:1,b:2",
        "scheduler0 config init --set MaxWorkers=3 --config /tmp/x.yml",
        "scheduler0 credential init --generate",
        "scheduler0 credential init --yes --force",
        "scheduler0 credential show --reveal -o json",
        "scheduler0 create credential --json",
        "scheduler0 create project --name a --description b",
        "scheduler0 create job --project 1 --spec @daily --url http://x --inactive",
        "scheduler0 create jobs --file jobs.json --server http://x --json",
        "scheduler0 create job --project 1 --spec @daily --executor 3",
        "scheduler0 create executor --file - --json",
        "scheduler0 list executors --order-by name",
        "scheduler0 get executor 3",
        "scheduler0 delete executor 3 --yes",
        "scheduler0 list credentials",
        "scheduler0 list credential --limit 5",
        "scheduler0 list jobs --project 1 --order-by id --desc",
        "scheduler0 list executions --job 1 --state failed --from 2026-01-01T00:00:00Z",
        "scheduler0 get job 7",
        "scheduler0 get async-task abc",
        "scheduler0 delete job 1 2 3",
        "scheduler0 delete project 1 --cascade --yes",
        "scheduler0 archive credential 1 --undo",
        "scheduler0 status --server http://127.0.0.1:1",
        "scheduler0 status --probe",
        "scheduler0 status --probe live",
        "scheduler0 start --weak --insecure",
        "scheduler0 cluster checksum",
        "scheduler0 reset raft --force",
        "scheduler0 version",
        "scheduler0 templates list --project 1 --json",
        "scheduler0 accounts list --limit 10 -o wide",
        "scheduler0 accounts create shop --feature http_targets --limit jobs=10",
        "scheduler0 accounts limit 2 jobs=10 executors=none",
        "scheduler0 accounts feature 2 sub_minute --off",
        "scheduler0 templates import job_templates.json --project 1 --executor 2 --dry-run",
        "scheduler0 templates run 3 --payload {} --after 60 --external-id a",
        "scheduler0 jobs terminate 7 8 --no-reschedule --reason done",
        "scheduler0 jobs edit --filter project=1 --field jitter=30s --dry-run",
        "scheduler0 jobs edit --all --field retryMax=null --yes",
        "scheduler0 next @daily --timezone Europe/Berlin --count 3 --dst-gap skip --dst-fold both",
        "scheduler0 next --ndjson",
    ] {
        parse(line).unwrap_or_else(|e| panic!("{line}: {e}"));
    }
}

#[test]
fn wrong_usage_is_refused() {
    for line in [
        "scheduler0",
        "scheduler0 delete job",
        "scheduler0 delete job x",
        "scheduler0 create job --project 1",
        "scheduler0 create job --file a --project 1",
        "scheduler0 list executions --state maybe",
        "scheduler0 next",
        "scheduler0 next @daily --ndjson",
        "scheduler0 status --set Port",
        "scheduler0 status --probe --wait",
        "scheduler0 status --json -o table",
    ] {
        assert!(parse(line).is_err(), "{line}");
    }
}

#[test]
fn each_failure_has_its_exit_code() {
    let code = |failure: Failure| Failure::code(&anyhow::Error::from(failure).context("while"));
    assert_eq!(code(Failure::Usage(String::new())), 2);
    assert_eq!(code(Failure::Refused { status: 409, message: String::new() }), 3);
    assert_eq!(code(Failure::Unreachable { url: String::new(), reason: String::new() }), 4);
    assert_eq!((code(Failure::NoQuorum), code(Failure::Logged)), (5, 1));
    assert_eq!(Failure::code(&anyhow::anyhow!("else")), 1);
    let folder = tempfile::tempdir().unwrap();
    let missing = LoadOptions { path: Some(folder.path().join("no.yml")), ..Default::default() };
    assert_eq!(Failure::code(&Config::load(&missing).unwrap_err().into()), 2);
}

#[test]
fn a_key_pair_is_there_in_both_casings() {
    for mut data in [
        json!({"id": 1, "apiKey": "k", "apiSecret": "s"}),
        json!({"id": 1, "api_key": "k", "api_secret": "s"}),
    ] {
        create::both_casings(&mut data);
        let expected = json!({
            "id": 1, "apiKey": "k", "api_key": "k", "apiSecret": "s", "api_secret": "s",
        });
        assert_eq!(data, expected);
    }
}
