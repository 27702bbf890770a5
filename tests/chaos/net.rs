//! The network of a run: a bridge and a namespace for each node, so that each node is a host with
//! an address of its own whose packets can be dropped. Without the rights for that the nodes get
//! addresses of the loopback, which cannot be cut. `hosts` and `proxy` ask it for addresses,
//! `inject` drops packets with it. It removes what it created, and what a killed run has left
//! behind.

use std::ffi::OsStr;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Command, Stdio};

use anyhow::{Context, bail};

/// The port of a node's API.
const API: u16 = 9091;
/// The port of a node for the other nodes.
const RAFT: u16 = 7071;
/// The beginning of all names that a run creates; the process id of the run follows.
const PREFIX: &str = "s0c";

/// The network; dropping it removes it.
pub(crate) struct Net {
    tag: String,
    base: [u8; 3],
    spaces: bool,
    /// The ports of the nodes for each other, by id; all the same where the nodes are hosts.
    raft_ports: Vec<u16>,
}

impl Net {
    /// Creates it. The error says that this machine does not allow it; nothing is left behind then.
    pub(crate) fn build(nodes: u64) -> anyhow::Result<Self> {
        let run = std::process::id();
        sweep();
        let base = [10, 192 + (run % 60) as u8, (run / 60 % 256) as u8];
        let raft_ports = vec![RAFT; nodes as usize];
        let net = Self { tag: format!("{PREFIX}{run}"), base, spaces: true, raft_ports };
        net.create(nodes)?;
        Ok(net)
    }

    /// Uses addresses of the loopback.
    pub(crate) fn loopback(nodes: u64) -> anyhow::Result<Self> {
        let run = std::process::id();
        let base = [127, 64 + (run % 60) as u8, (run / 60 % 256) as u8];
        let ports = (0..nodes).map(|_| {
            let listener = std::net::TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0))?;
            Ok(listener.local_addr()?.port())
        });
        let raft_ports = ports.collect::<anyhow::Result<_>>()?;
        Ok(Self { tag: String::new(), base, spaces: false, raft_ports })
    }

    fn create(&self, nodes: u64) -> anyhow::Result<()> {
        let tag = &self.tag;
        let [a, b, c] = self.base;
        if capture("ip", &["-4", "addr"])?.contains(&format!("inet {a}.{b}.{c}.")) {
            bail!("{a}.{b}.{c}.0/24 is in use on this machine");
        }
        ip(&format!("link add {tag} type bridge"))?;
        ip(&format!("addr add {}/24 dev {tag}", self.gateway()))?;
        for id in 1..=nodes {
            ip(&format!("addr add {}/24 dev {tag}", self.proxy_address(id)))?;
        }
        ip(&format!("link set {tag} up"))?;
        for id in 1..=nodes {
            let (space, outer, inner) = (self.space(id), format!("{tag}v{id}"), format!("{tag}e"));
            ip(&format!("netns add {space}"))?;
            ip(&format!("link add {outer} type veth peer name {inner}"))?;
            ip(&format!("link set {inner} netns {space}"))?;
            ip(&format!("link set {outer} master {tag} up"))?;
            ip(&format!("-n {space} link set lo up"))?;
            ip(&format!("-n {space} addr add {}/24 dev {inner}", self.host(id)))?;
            ip(&format!("-n {space} link set {inner} up"))?;
            // An error here means that no packets can be dropped.
            self.drop_packets(id, "INPUT -s 192.0.2.1")?;
            self.pass_packets(id, "INPUT -s 192.0.2.1")?;
        }
        Ok(())
    }

    fn at(&self, last: u64) -> Ipv4Addr {
        let [a, b, c] = self.base;
        Ipv4Addr::new(a, b, c, last as u8)
    }

    /// The address of clients and receivers.
    pub(crate) fn gateway(&self) -> Ipv4Addr {
        self.at(1)
    }

    /// A node's own address.
    pub(crate) fn host(&self, id: u64) -> Ipv4Addr {
        self.at(10 + id)
    }

    /// The address of a node's proxy. The other nodes reach the node there, and its connections to
    /// them come from there.
    pub(crate) fn proxy_address(&self, id: u64) -> Ipv4Addr {
        self.at(100 + id)
    }

    /// The address of a node's API.
    pub(crate) fn api(&self, id: u64) -> SocketAddr {
        (self.host(id), API).into()
    }

    /// The address of a node for the other nodes.
    pub(crate) fn raft(&self, id: u64) -> SocketAddr {
        (self.host(id), self.raft_ports[id as usize - 1]).into()
    }

    /// The node with an address; `None` where nodes are no hosts.
    pub(crate) fn node_at(&self, address: SocketAddr) -> Option<u64> {
        let SocketAddr::V4(address) = address else { return None };
        let last = u64::from(address.ip().octets()[3]);
        (self.spaces && last > 10 && last < 100).then(|| last - 10)
    }

    fn space(&self, id: u64) -> String {
        format!("{}n{id}", self.tag)
    }

    /// A command that runs a program in a node's namespace, in a process of its own.
    pub(crate) fn command(&self, id: u64, program: impl AsRef<OsStr>) -> Command {
        if !self.spaces {
            return Command::new(program);
        }
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.space(id)]).arg(program);
        command
    }

    /// Drops the packets that a rule (chain and match) describes, on a node's host. Calls add up.
    pub(crate) fn drop_packets(&self, id: u64, rule: &str) -> anyhow::Result<()> {
        self.iptables(id, "-A", rule)
    }

    /// Removes one such rule.
    pub(crate) fn pass_packets(&self, id: u64, rule: &str) -> anyhow::Result<()> {
        self.iptables(id, "-D", rule)
    }

    fn iptables(&self, id: u64, what: &str, rule: &str) -> anyhow::Result<()> {
        let mut command = self.command(id, "iptables");
        command.args(["-w", what]).args(rule.split(' ')).args(["-j", "DROP"]);
        run_command(&mut command)
    }
}

impl Net {
    /// Removes it now, although others may still hold it.
    pub(crate) fn end(&self) {
        if self.spaces {
            take_down(&self.tag);
        }
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        self.end();
    }
}

/// Removes the namespaces and links of a run. A missing one is no error.
fn take_down(tag: &str) {
    let spaces = capture("ip", &["netns", "list"]).unwrap_or_default();
    let ours = spaces.lines().filter_map(|line| line.split(' ').next());
    for space in ours.filter(|name| name.starts_with(&format!("{tag}n"))) {
        // The kernel removes a namespace later, but a link with both of its ends at once.
        let _ = ip(&format!("link del {}", space.replacen('n', "v", 1)));
        let _ = ip(&format!("netns del {space}"));
    }
    let _ = ip(&format!("link del {tag}"));
}

/// Removes the namespaces of killed runs with the processes in them.
fn sweep() {
    let spaces = capture("ip", &["netns", "list"]).unwrap_or_default();
    for space in spaces.lines().filter_map(|line| line.split(' ').next()) {
        let Some((run, _)) = space.strip_prefix(PREFIX).and_then(|rest| rest.split_once('n'))
        else {
            continue;
        };
        let numeric = !run.is_empty() && run.bytes().all(|b| b.is_ascii_digit());
        if !numeric || std::path::Path::new(&format!("/proc/{run}")).exists() {
            continue;
        }
        for pid in capture("ip", &["netns", "pids", space]).unwrap_or_default().lines() {
            let pid = pid.trim().parse().ok().and_then(rustix::process::Pid::from_raw);
            if let Some(pid) = pid {
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            }
        }
        take_down(&format!("{PREFIX}{run}"));
    }
}

fn ip(arguments: &str) -> anyhow::Result<()> {
    run_command(Command::new("ip").args(arguments.split(' ')))
}

/// Runs a command; the error has its stderr.
pub(crate) fn run_command(command: &mut Command) -> anyhow::Result<()> {
    let name = format!("{command:?}");
    let output = command.stdin(Stdio::null()).output().with_context(|| name.clone())?;
    if !output.status.success() {
        bail!("{name}: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

fn capture(program: &str, arguments: &[&str]) -> anyhow::Result<String> {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output();
    Ok(String::from_utf8_lossy(&output.context(program.to_owned())?.stdout).into_owned())
}
