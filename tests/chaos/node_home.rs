//! The environment of the nodes of a run: the command that starts a node, and its folder with disk,
//! clock and log. `hosts` starts the nodes, `inject` fills disks and sets clocks. It holds no
//! process.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use serde_json::{Value, json};

use crate::net::{Net, run_command};

/// The requests that a node has under way at most. This bounds what may still come from a node that
/// was frozen after its lease check.
pub(crate) const MAX_WORKERS: usize = 16;
/// The paths of Debian's libfaketime.
const FAKETIME: &[&str] = &[
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketime.so.1",
];
/// The size of a node's disk, and the part of it that is kept free by refusing writes, in MB.
const DISK_MB: u64 = 192;
const RESERVE_MB: u64 = 24;

/// The kinds of fault that this machine allows.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a question of its own")]
pub(crate) struct Abilities {
    /// Namespaces and dropped packets.
    pub(crate) spaces: bool,
    /// Small disks (tmpfs).
    pub(crate) disks: bool,
    /// Clocks that can be set (libfaketime).
    pub(crate) clocks: bool,
    /// A broker (`RabbitMQ`).
    pub(crate) broker: bool,
}

/// The path of libfaketime, where it is installed.
pub(crate) fn faketime() -> Option<&'static str> {
    FAKETIME.iter().copied().find(|path| Path::new(path).exists())
}

/// The environment of all nodes.
#[derive(Clone)]
pub(crate) struct NodeHome {
    /// Their network.
    pub(crate) net: Arc<Net>,
    /// The folder of data and logs.
    pub(crate) folder: PathBuf,
    /// The binary of a node.
    pub(crate) binary: PathBuf,
    /// The kinds of fault that this machine allows.
    pub(crate) can: Abilities,
    /// The addresses at which the nodes reach each other, by id.
    pub(crate) proxies: Vec<SocketAddr>,
}

impl NodeHome {
    /// The ids of all nodes.
    pub(crate) fn ids(&self) -> std::ops::RangeInclusive<u64> {
        1..=self.proxies.len() as u64
    }

    /// The folder of a node.
    pub(crate) fn disk(&self, id: u64) -> PathBuf {
        self.folder.join(format!("node{id}"))
    }

    /// Creates the folder, on a small disk of its own where the machine allows it.
    pub(crate) fn make_disk(&self, id: u64) -> anyhow::Result<()> {
        let disk = self.disk(id);
        fs::create_dir_all(&disk)?;
        if self.can.disks {
            let size = format!("size={DISK_MB}m");
            run_command(
                Command::new("mount").args(["-t", "tmpfs", "-o", &size, "s0chaos"]).arg(&disk),
            )?;
        }
        Ok(())
    }

    /// The file that a node's stderr goes to.
    pub(crate) fn log(&self, id: u64) -> PathBuf {
        self.folder.join(format!("node{id}.log"))
    }

    /// The command that starts a node.
    pub(crate) fn node(&self, id: u64) -> anyhow::Result<Command> {
        let replica = |id: u64| {
            json!({
                "address": format!("http://{}", self.net.api(id)),
                "raft_address": self.proxies[id as usize - 1].to_string(),
                "nodeId": id,
            })
        };
        let replicas: Vec<Value> = self.ids().map(replica).collect();
        let log = OpenOptions::new().create(true).append(true).open(self.log(id))?;
        let mut command = self.net.command(id, &self.binary);
        let api = self.net.api(id);
        command
            .args(["start", "--weak"])
            .current_dir(&self.folder)
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("SCHEDULER0_SECRET_KEY", "5a".repeat(32))
            .env("SCHEDULER0_AUTH_USERNAME", "admin")
            .env("SCHEDULER0_AUTH_PASSWORD", "admin-password")
            .env("SCHEDULER0_NODE_ID", id.to_string())
            .env("SCHEDULER0_HOST", api.ip().to_string())
            .env("SCHEDULER0_PORT", api.port().to_string())
            .env("SCHEDULER0_RAFT_ADDRESS", format!("0.0.0.0:{}", self.net.raft(id).port()))
            .env("SCHEDULER0_BOOTSTRAP", if id == 1 { "true" } else { "false" })
            .env("SCHEDULER0_REPLICAS", Value::from(replicas).to_string())
            .env("SCHEDULER0_DATA_DIR", self.disk(id).join("data"))
            .env("SCHEDULER0_DISK_RESERVE_MB", RESERVE_MB.to_string())
            .env("SCHEDULER0_MAX_WORKERS", MAX_WORKERS.to_string())
            .env("SCHEDULER0_BREAKER_COOLDOWN_SECONDS", "1")
            .env("SCHEDULER0_RAFT_SNAPSHOT_INTERVAL", "5")
            .env("SCHEDULER0_RAFT_SNAPSHOT_THRESHOLD", "1024")
            .env("RUST_BACKTRACE", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::from(log));
        if let Some(library) = faketime().filter(|_| self.can.clocks) {
            command
                .env("LD_PRELOAD", library)
                .env("FAKETIME_TIMESTAMP_FILE", self.clock_path(id))
                .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
                .env("FAKETIME_CACHE_DURATION", "1");
        }
        Ok(command)
    }

    fn clock_path(&self, id: u64) -> PathBuf {
        self.folder.join(format!("node{id}.clock"))
    }

    /// Sets a node's wall clock off by `seconds`; the node follows within about a second.
    pub(crate) fn set_clock(&self, id: u64, seconds: i64) -> anyhow::Result<()> {
        let new = self.clock_path(id).with_extension("new");
        fs::write(&new, format!("{seconds:+}\n"))?;
        Ok(fs::rename(new, self.clock_path(id))?)
    }

    /// Fills a node's disk to the last byte.
    pub(crate) fn fill_disk(&self, id: u64) -> anyhow::Result<()> {
        let mut ballast = File::create(self.disk(id).join("ballast"))?;
        let mut chunk = vec![0_u8; 1 << 20];
        while !chunk.is_empty() {
            if ballast.write_all(&chunk).is_err() {
                chunk.truncate(chunk.len() / 2);
            }
        }
        Ok(())
    }

    /// Frees a filled disk.
    pub(crate) fn free_disk(&self, id: u64) {
        // A disk that was not filled has no such file.
        let _ = fs::remove_file(self.disk(id).join("ballast"));
    }
}
