//! `make demo`: the release build with a sample network, five live agents on this machine.
//!
//! Each agent is the real one with a state folder and a policy file of its own; it reports what this machine reports, under a
//! name and a MAC of its own, and its terminal is your shell. Only "restart" is played.

mod neighbour;
mod network;

use aerie_agent::Agent;
use aerie_agent::connect::TlsDialer;
use aerie_agent::host::LinuxHost;
use aerie_agent::policy::Policy;
use aerie_agent::state::State;
use aerie_agent::trust::Trust;
use aerie_protocol::key::DeviceKey;
use aerie_tests::{Client, Process, user_name};
use neighbour::{NEIGHBOURS, Neighbour};
use nix::sys::signal::Signal;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;
use tokio::process::Command;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

const CONFIG: &str = "\
# Made by `make demo`.
data_dir = \"var/demo/data\"

[http]
listen = [\"0.0.0.0:8080\"]

[https]
listen = [\"0.0.0.0:8443\"]
";

fn main() -> ExitCode {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    match runtime.block_on(run()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("The demo stopped: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), String> {
    let folder = Path::new("var/demo");
    std::fs::create_dir_all(folder.join("data"))
        .map_err(|error| format!("{}: {error}", folder.display()))?;
    std::fs::write(folder.join("aerie.toml"), CONFIG).map_err(|error| error.to_string())?;
    let mut daemon = start_daemon(folder)?;
    let client = Client::new(SocketAddr::from(([127, 0, 0, 1], 8443)));
    wait_for(&client, &mut daemon).await?;

    let owner = network::enter(&client, folder).await?;
    let key = network::device_key(&owner.client).await?;
    let stop = CancellationToken::new();
    let mut agents = start_agents(folder, &key, &stop).await?;
    network::furnish(&owner.client).await?;

    println!();
    println!("  Aerie is running:  https://localhost:8443");
    println!("  Your browser will warn once: the certificate is the appliance's own.");
    println!("  Account:           {}", network::ACCOUNT);
    println!("  Password:          {}", owner.password);
    println!("  Five devices on this machine; their terminals are your shell.");
    println!("  Data:              ./var/demo     Stop with Ctrl-C");
    println!();

    let mut terminate = signal(SignalKind::terminate()).map_err(|error| error.to_string())?;
    let ended = tokio::select! {
        _ = tokio::signal::ctrl_c() => None,
        _ = terminate.recv() => None,
        status = daemon.ended(Duration::from_hours(24 * 365)) => Some(status),
    };
    stop.cancel();
    while agents.join_next().await.is_some() {}
    if let Some(status) = ended {
        return Err(format!(
            "the daemon ended with {status}; what it said is in var/demo/aerie.log"
        ));
    }
    // Ctrl-C in a terminal reaches the daemon too.
    if daemon.status().is_none() {
        daemon.signal(Signal::SIGTERM);
        daemon.ended(Duration::from_secs(15)).await;
    }
    Ok(())
}

fn start_daemon(folder: &Path) -> Result<Process, String> {
    let own = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut command = Command::new(own.with_file_name("aerie"));
    command.args(["serve", "--config", "var/demo/aerie.toml"]);
    let log = folder.join("aerie.log");
    drop(std::fs::remove_file(&log));
    Ok(Process::start("aerie", command, &log))
}

async fn wait_for(client: &Client, daemon: &mut Process) -> Result<(), String> {
    loop {
        if let Some(status) = daemon.status() {
            return Err(format!("the daemon ended with {status}:\n{}", daemon.printed()));
        }
        if client.health().await == Some(200) {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn start_agents(
    folder: &Path,
    key: &DeviceKey,
    stop: &CancellationToken,
) -> Result<JoinSet<()>, String> {
    let trust = Trust::system().map_err(|error| error.to_string())?;
    let mut agents = JoinSet::new();
    for neighbour in NEIGHBOURS {
        let home: PathBuf = folder.join("agents").join(neighbour.name);
        std::fs::create_dir_all(&home).map_err(|error| error.to_string())?;
        let policy = home.join("policy.toml");
        if !policy.exists() {
            let text = format!("[terminal]\nmode = \"shell\"\nuser = \"{}\"\n", user_name());
            std::fs::write(&policy, text).map_err(|error| error.to_string())?;
        }
        let policy = Policy::load(&policy).map_err(|error| error.to_string())?;
        let mut state = State::open(home.join("state")).map_err(|error| error.to_string())?;
        state.offer(key.clone()).await.map_err(|error| error.to_string())?;
        let host = Neighbour::new(neighbour, LinuxHost::new(policy));
        let mut agent = Agent::new(host, TlsDialer::new(trust.clone()), state);
        let stop = stop.clone();
        agents.spawn(async move { agent.run(&stop).await });
    }
    Ok(agents)
}
