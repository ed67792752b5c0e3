//! A crowd of devices: the agent's own code over invented machines, thousands in one process.
//!
//! Prints one JSON line a second: how many are connected, enrolled, waiting, and how many attempts failed.

mod crowd;
mod cut;
mod machine;
mod passwords;

use aerie_protocol::key::DeviceKey;
use aerie_tests::allow_open_files;
use clap::Parser;
use crowd::{Crowd, Plan};
use passwords::{Fault, PasswordPlan, Truth};
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
    /// The local accounts whose passwords each device lets the appliance set.
    #[arg(long, value_delimiter = ',', default_value = "admin")]
    accounts: Vec<String>,
    /// What goes wrong where a password is set: a list, which the devices take in turn by their number.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "acknowledge")]
    faults: Vec<Fault>,
    /// How many times it goes wrong on each device, before everything goes well there.
    #[arg(long, default_value_t = 1)]
    fault_times: u32,
    /// Writes what passwords the devices really have into this file, at the end and at SIGUSR1: a JSON line a device.
    #[arg(long)]
    passwords_to: Option<PathBuf>,
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

fn key(arguments: &Arguments) -> Result<DeviceKey, String> {
    let text = match (&arguments.key, &arguments.key_file) {
        (Some(key), _) => key.clone(),
        (None, Some(file)) => {
            std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?
        }
        (None, None) => return Err("give the device key with --key or --key-file".to_owned()),
    };
    DeviceKey::parse(&text).map_err(|error| error.to_string())
}

fn run(arguments: Arguments) -> Result<(), String> {
    if !(arguments.rate > 0.0 && arguments.rate <= 100_000.0) {
        return Err("--rate is a number of devices a second, above 0 and up to 100000".to_owned());
    }
    let key = key(&arguments)?;
    allow_open_files(u64::from(arguments.devices) + 256)?;
    let truth = Truth::default();
    let write = || match &arguments.passwords_to {
        Some(path) => truth.write(path).map_err(|error| format!("{}: {error}", path.display())),
        None => Ok(()),
    };
    let plan = Plan {
        key,
        devices: arguments.devices,
        between: Duration::from_secs_f64(1.0 / arguments.rate),
        state: arguments.state,
        spread: arguments.spread,
        drop_half_every: arguments.drop_half_every.map(Duration::from_secs),
        passwords: PasswordPlan {
            accounts: arguments.accounts,
            faults: arguments.faults,
            times: arguments.fault_times,
            truth: truth.clone(),
        },
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
        let mut wanted = signal(SignalKind::user_defined1()).map_err(|error| error.to_string())?;
        let on_request = async {
            while wanted.recv().await.is_some() {
                if let Err(error) = write() {
                    eprintln!("{error}");
                }
            }
        };
        tokio::select! {
            () = crowd.run() => {}
            () = on_request => {}
            () = enough => {}
            _ = terminate.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
        crowd.print_line();
        write()
    })
}
