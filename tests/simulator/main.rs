//! A crowd of devices: the agent's own code over invented machines, thousands in one process.
//!
//! Prints one JSON line a second: how many are connected, enrolled, waiting, and how many attempts failed.

mod crowd;
mod machine;

use aerie_protocol::key::DeviceKey;
use aerie_tests::allow_open_files;
use clap::Parser;
use crowd::{Crowd, Plan};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

/// Opens many simulated devices to one appliance.
#[derive(Parser)]
struct Arguments {
    /// The device key. It shows in process lists: prefer --key-file for a real one.
    #[arg(long, required_unless_present = "key_file")]
    key: Option<String>,
    /// A file with the device key.
    #[arg(long, conflicts_with = "key")]
    key_file: Option<PathBuf>,
    /// How many devices.
    #[arg(long, default_value_t = 100)]
    devices: u32,
    /// How many are started a second.
    #[arg(long, default_value_t = 100.0)]
    rate: f64,
    /// Keeps each device's identity below this folder, so that the same devices come back next time.
    #[arg(long)]
    state: Option<PathBuf>,
    /// Stop after so many seconds; without it, at Ctrl-C.
    #[arg(long)]
    seconds: Option<u64>,
    /// Come from many loopback networks (127.x.y.z), as devices of many customers would. For an appliance on this
    /// machine only.
    #[arg(long)]
    spread: bool,
    /// Every so many seconds half of the devices lose their connection at once.
    #[arg(long)]
    drop_half_every: Option<u64>,
}

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("aerie-simulator: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> Result<(), String> {
    let text = match (arguments.key, arguments.key_file) {
        (Some(key), _) => key,
        (None, Some(file)) => std::fs::read_to_string(&file)
            .map_err(|error| format!("{}: {error}", file.display()))?,
        (None, None) => return Err("give the device key with --key or --key-file".to_owned()),
    };
    if !(arguments.rate > 0.0 && arguments.rate <= 100_000.0) {
        return Err("--rate is a number of devices a second, above 0 and up to 100000".to_owned());
    }
    let key = DeviceKey::parse(&text).map_err(|error| error.to_string())?;
    allow_open_files(u64::from(arguments.devices) + 256)?;
    let plan = Plan {
        key,
        devices: arguments.devices,
        between: Duration::from_secs_f64(1.0 / arguments.rate),
        state: arguments.state,
        spread: arguments.spread,
        drop_half_every: arguments.drop_half_every.map(Duration::from_secs),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?;
    runtime.block_on(async {
        let crowd = Crowd::new(plan)?;
        let mut terminate = signal(SignalKind::terminate()).map_err(|error| error.to_string())?;
        let enough = async {
            match arguments.seconds {
                Some(seconds) => tokio::time::sleep(Duration::from_secs(seconds)).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = crowd.run() => {}
            () = enough => {}
            _ = terminate.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
        crowd.print_line();
        Ok(())
    })
}
