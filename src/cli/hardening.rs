//! Keeps secrets out of core dumps and out of reach of other processes. `cli::main` calls [`apply`]
//! before any secret is read. It opens no file and never fails.
//!
//! Every command holds secrets (the node's password and key, or a client's), so every command is
//! hardened. In return, a debugger or profiler needs the rights of root (`CAP_SYS_PTRACE`), also
//! for a process of the same user.

use rustix::process::{Resource, Rlimit, setrlimit};

/// Forbids core dumps, and on Linux that others attach to the process or read its memory.
pub(super) fn apply() {
    let nothing = Rlimit { current: Some(0), maximum: Some(0) };
    if let Err(error) = setrlimit(Resource::Core, nothing) {
        super::output::say(&format!("warning: core dumps cannot be switched off: {error}"));
    }
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{DumpableBehavior, set_dumpable_behavior};
        if let Err(error) = set_dumpable_behavior(DumpableBehavior::NotDumpable) {
            super::output::say(&format!(
                "warning: other processes of this user may read this one's memory: {error}"
            ));
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use rustix::process::{DumpableBehavior, dumpable_behavior, getrlimit};

    use super::*;

    #[test]
    fn no_core_dump_and_no_debugger() {
        apply();
        let core = getrlimit(Resource::Core);
        assert_eq!((core.current, core.maximum), (Some(0), Some(0)));
        assert_eq!(dumpable_behavior().unwrap(), DumpableBehavior::NotDumpable);
        let limits = std::fs::read_to_string("/proc/self/limits").unwrap();
        let line = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
        let words: Vec<&str> = line.split_whitespace().skip(4).take(2).collect();
        assert_eq!(words, ["0", "0"], "{line}");
        // The process can still read its own entries there.
        assert!(std::fs::read_dir("/proc/self/fd").unwrap().count() > 2);
        assert!(std::fs::read_to_string("/proc/self/status").unwrap().contains("RssAnon"));
    }
}
