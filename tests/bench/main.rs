//! `make bench`: measures the figures of `docs/benchmarks.md` on this machine, and writes them there with `--write`.

mod calls;
mod crowd;
mod figures;
mod flood;
mod guesses;
mod handshakes;
mod start;
mod strangers;
mod vault;

use aerie_tests::{Appliance, ApplianceOptions, allow_open_files};
use clap::Parser;
use figures::Figures;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use tempfile::TempDir;

/// How long a daemon is left alone before its memory is looked at.
const SETTLE: Duration = Duration::from_secs(5);

/// Measures on this machine. Run it on one that does nothing else.
#[derive(Parser)]
struct Arguments {
    /// How many simulated devices.
    #[arg(long, default_value_t = 10_000)]
    devices: u32,
    /// How many strangers knock with a good generic key.
    #[arg(long, default_value_t = 100_000)]
    strangers: u32,
    /// Measures this part and nothing else.
    #[arg(long, conflicts_with = "write")]
    only: Option<Part>,
    /// Writes the figures into docs/benchmarks.md.
    #[arg(long)]
    write: bool,
}

/// A part that can be measured by itself.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// TLS handshakes.
    Handshakes,
    /// Devices: messages, connects, memory, new passwords.
    Devices,
    /// Logged-in calls, and a flood of wrong logins.
    Accounts,
    /// The vault, and a rotation of all devices.
    Vault,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let measured = allow_open_files(u64::from(arguments.devices) + 1_024).and_then(|()| {
        let runtime = tokio::runtime::Runtime::new().map_err(|error| error.to_string())?;
        runtime.block_on(measure(&arguments))
    });
    let written = measured.and_then(|figures| {
        println!("{}", figures.table());
        if arguments.write { figures.write().map_err(|error| error.to_string()) } else { Ok(()) }
    });
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("aerie-bench: {error}");
            ExitCode::FAILURE
        }
    }
}

/// A program that was built beside this one.
fn beside(name: &str) -> PathBuf {
    std::env::current_exe().expect("own path").with_file_name(name)
}

async fn measure(arguments: &Arguments) -> Result<Figures, String> {
    let devices = arguments.devices;
    let options = ApplianceOptions { binary: Some(beside("aerie")), ..ApplianceOptions::default() };
    let mut figures = Figures::of_this_machine(devices);
    match arguments.only {
        Some(Part::Accounts) => {
            measure_accounts(&mut figures, options).await?;
            return Ok(figures);
        }
        Some(Part::Vault) => {
            measure_vault(&mut figures, options, devices).await?;
            return Ok(figures);
        }
        Some(Part::Devices) => {
            let appliance = Appliance::start_with(options).await;
            measure_devices(&mut figures, appliance, devices).await?;
            return Ok(figures);
        }
        Some(Part::Handshakes) | None => {}
    }
    let mut appliance = measure_program(&mut figures, &options).await?;
    handshakes::measure(&mut appliance, &mut figures).await;
    if arguments.only.is_none() {
        measure_devices(&mut figures, appliance, devices).await?;
        vault::sealing(options.clone(), &mut figures).await;
        measure_accounts(&mut figures, options.clone()).await?;
        measure_strangers(&mut figures, options, arguments.strangers).await;
    }
    Ok(figures)
}

/// What devices cost: messages, connects, memory, new passwords.
async fn measure_devices(
    figures: &mut Figures,
    mut appliance: Appliance,
    devices: u32,
) -> Result<(), String> {
    let owner = appliance.set_up().await;
    say("status messages");
    let rate = flood::status_messages(&mut appliance, &owner).await;
    figures.add("status messages taken in per second and core", thousands(rate), "100,000 or more");

    say(&format!("enrolling {devices} devices (some minutes)"));
    let crowd = crowd::enrol(&appliance, &owner, devices).await?;
    crowd.freeze();

    say("start with all devices in the store");
    let first = start::first_answer(&mut appliance).await;
    figures.add(
        "start to first answer, all devices in the store",
        format!("{} ms", first.as_millis()),
        "100 ms or less",
    );
    crowd::part(crowd.id(), &mut appliance).await?;
    tokio::time::sleep(SETTLE).await;
    let records = appliance.process().resident_memory();
    figures.add("resident memory, all devices in the store, none connected", mib(records), "");

    say("everybody connects at once");
    let owner = appliance.log_in().await;
    let before = appliance.process().processor_time();
    crowd.thaw();
    crowd::wait_for_sessions(&owner, devices).await;
    let spent = appliance.process().processor_time().saturating_sub(before);
    figures.add(
        "full connects per second and core",
        thousands(per_second(devices.into(), spent)),
        "2,200 or more",
    );

    say("memory of idle sessions");
    tokio::time::sleep(Duration::from_secs(30)).await;
    let connected = appliance.process().resident_memory();
    let each = connected.saturating_sub(records) / u64::from(devices);
    figures.add("resident memory, all connected and idle", mib(connected), "");
    let each_kib = format!("{}.{} KiB", each / 1024, each % 1024 * 10 / 1024);
    figures.add("memory per idle enrolled session", each_kib, "14 KiB or less");
    vault::rotation(&owner, devices, figures).await;
    drop((crowd, appliance));
    Ok(())
}

async fn measure_vault(
    figures: &mut Figures,
    options: ApplianceOptions,
    devices: u32,
) -> Result<(), String> {
    vault::sealing(options.clone(), figures).await;
    let mut appliance = Appliance::start_with(options).await;
    let owner = appliance.set_up().await;
    say(&format!("enrolling {devices} devices (some minutes)"));
    let crowd = crowd::enrol(&appliance, &owner, devices).await?;
    crowd::part(crowd.id(), &mut appliance).await?;
    let owner = appliance.log_in().await;
    crowd::wait_for_sessions(&owner, devices).await;
    vault::rotation(&owner, devices, figures).await;
    Ok(())
}

/// What the program weighs before it does anything. It goes on running.
async fn measure_program(
    figures: &mut Figures,
    options: &ApplianceOptions,
) -> Result<Appliance, String> {
    let program = std::fs::metadata(beside("aerie"))
        .map_err(|error| format!("target/release/aerie: {error}"))?;
    figures.add("release binary, stripped, GUI inside", mib(program.len()), "16 MiB or less");

    say("idle memory");
    let folder = TempDir::new().map_err(|error| error.to_string())?;
    let mut appliance = Appliance::start_in(folder, options.clone()).await;
    tokio::time::sleep(SETTLE).await;
    figures.add(
        "resident memory, idle, no device",
        mib(appliance.process().resident_memory()),
        "24 MiB or less",
    );
    Ok(appliance)
}

async fn measure_accounts(figures: &mut Figures, options: ApplianceOptions) -> Result<(), String> {
    let mut appliance = Appliance::start_with(options).await;
    let owner = appliance.set_up().await;
    calls::measure(&mut appliance, &owner, figures).await;
    // The flood and the devices come from this process.
    let (own, cores) = (std::process::id(), crowd::cores());
    crowd::part(own, &mut appliance).await?;
    guesses::measure(&appliance, &owner, figures).await;
    crowd::keep_to(own, &format!("0-{}", cores - 1))
}

async fn measure_strangers(figures: &mut Figures, options: ApplianceOptions, strangers: u32) {
    say(&format!("{strangers} strangers with a good generic key"));
    let mut appliance = Appliance::start_with(options).await;
    let owner = appliance.set_up().await;
    let flood = strangers::flood(&mut appliance, &owner, strangers).await;
    let what =
        format!("{} strangers: heard to the end of their hello", thousands(strangers.into()));
    figures.add(&what, thousands(flood.heard.into()), "");
    let honest = format!("{} ms", flood.honest.as_millis());
    figures.add("the same: an honest new device is seen after", honest, "it arrives");
    figures.add("the same: the daemon's memory has grown by", mib(flood.grown), "bounded");
}

fn say(what: &str) {
    eprintln!("measuring: {what}");
}

fn per_second(count: u64, spent: Duration) -> u64 {
    let micros = u64::try_from(spent.as_micros()).unwrap_or(u64::MAX).max(1);
    count.saturating_mul(1_000_000) / micros
}

fn mib(bytes: u64) -> String {
    format!("{}.{} MiB", bytes >> 20, ((bytes % (1 << 20)) * 10) >> 20)
}

fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}
