//! Tests of the flags of `bench`.

use std::time::Duration;

use clap::Parser;

use super::super::{Cli, Command, Failure};
use super::flags::Plan;

fn plan(flags: &str) -> anyhow::Result<Plan> {
    let line = format!("scheduler0 bench {flags}");
    match Cli::try_parse_from(line.split_whitespace())?.command {
        Command::Bench(bench) => bench.plan(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_spread_load_takes_the_period_but_no_more_than_a_minute() {
    for (flags, spec, seconds) in [
        ("", "@every 1m", 60),
        ("--every 10s", "@every 10s", 10),
        ("--every 2h", "@every 2h", 60),
        ("--phase same", "0 */1 * * * *", 0),
        ("--every 1s --phase same", "*/1 * * * * *", 0),
        ("--every 6h --phase same", "0 0 */6 * * *", 0),
    ] {
        let expected = Plan { spec: spec.to_owned(), over: Duration::from_secs(seconds) };
        assert_eq!(plan(flags).unwrap(), expected, "{flags}");
    }
}

#[test]
fn what_cannot_be_meant_is_refused() {
    for flags in ["--every 7s --phase same", "--every soon", "--every 90m --phase same"] {
        assert_eq!(Failure::code(&plan(flags).unwrap_err()), 2, "{flags}");
    }
    for flags in [
        "--jobs 0",
        "--nodes 0",
        "--every 1m --spec @daily",
        "--target http://a:1 --kill leader",
        "--amqp amqp://u:p@h --single",
        "--amqp amqp://u:p@h --urls 2",
        "--workers 0",
        "--workers 4 --kill leader",
        "--workers 4 --seconds 5",
    ] {
        assert!(plan(flags).unwrap_err().is::<clap::Error>(), "{flags}");
    }
}

#[test]
fn flags_do_not_show_the_password_of_the_broker() {
    let line = "scheduler0 bench --amqp amqp://u:hunter2@h:1";
    let command = Cli::try_parse_from(line.split_whitespace()).unwrap().command;
    assert!(!format!("{command:?}").contains("hunter2"), "{command:?}");
    let Command::Bench(bench) = command else { panic!("{command:?}") };
    assert_eq!(bench.broker().unwrap().unwrap().address(), "amqp://h:1/%2F");
}
