//! `aerie`: parses the command line and hands over.

use std::alloc::System;
use std::error::Error;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use aerie::config::{Config, Level};
use aerie::console::{self, ConsoleError, Question};
use aerie::first_boot::{self, FirstBootError, Roots};
use aerie::healthy;
use aerie::vault::process::Running;
use clap::{Args, Parser, Subcommand};
use zeroizing_alloc::ZeroAlloc;

/// Wipes memory when it is given back, whoever had it: buffers of TLS, HTTP and JSON hold secrets
/// that pass through, and none of those libraries wipes them.
#[global_allocator]
static WIPING: ZeroAlloc<System> = ZeroAlloc(System);

/// Exit status for a bad boot file (`EX_CONFIG` of sysexits.h): systemd does not try again.
const EXIT_CONFIG: u8 = 78;

/// Keeps an internet provider's network devices, subscribers and credentials in one safe place.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the appliance.
    Serve {
        /// A provisioning file for an appliance that nobody has set up: read once, and wiped.
        #[arg(long, value_name = "FILE")]
        provision: Option<PathBuf>,
        #[command(flatten)]
        boot_file: BootFile,
    },
    /// Check a boot file and say what is wrong with it.
    CheckConfig {
        /// The boot file.
        file: Option<PathBuf>,
        #[command(flatten)]
        boot_file: BootFile,
    },
    /// Run the vault's process as a unit of its own, behind the socket that the boot file names.
    Vault {
        /// As the daemon's child with this directory, over standard input.
        #[arg(long, hide = true, value_name = "DIRECTORY")]
        child: Option<PathBuf>,
        /// Go on where memory cannot be kept out of swap. In a debug build alone, for tests.
        #[cfg(debug_assertions)]
        #[arg(long, hide = true)]
        swap: bool,
        #[command(flatten)]
        boot_file: BootFile,
    },
    /// Say whether the appliance that runs on this machine is well: its tasks, its store, its vault,
    /// its port, and that it is this version. For whoever may read its data directory.
    Healthy {
        /// Wait for it so long.
        #[arg(long, value_name = "SECONDS", default_value_t = 0)]
        within: u32,
        #[command(flatten)]
        boot_file: BootFile,
    },
    /// Say where the appliance that runs on this machine is opened and, until somebody has set it up,
    /// its set-up code. For whoever may read its data directory.
    Welcome(BootFile),
    /// Do what has to be done before the daemon starts, as root and at each boot: the machine key, a
    /// provisioning file, name and network.
    FirstBoot {
        /// The machine's directory.
        #[arg(long, value_name = "DIR", default_value = "/var/lib/aerie-machine")]
        machine_dir: PathBuf,
        /// What is gone at the next boot.
        #[arg(long, value_name = "DIR", default_value = "/run")]
        run_dir: PathBuf,
        /// Above /sys, /proc, /dev and /efi.
        #[arg(long, value_name = "DIR", default_value = "/")]
        sys_dir: PathBuf,
        #[command(flatten)]
        boot_file: BootFile,
    },
    /// Check a provisioning file and say everything that is wrong with it.
    CheckProvisioning {
        /// The provisioning file.
        file: PathBuf,
        #[command(flatten)]
        boot_file: BootFile,
    },
    /// Make the hash of a password that a provisioning file carries. The password is asked for, or
    /// read from standard input.
    HashPassword(BootFile),
    /// Serve one page that says why the data cannot be used, instead of the appliance.
    DataFault {
        /// What is wrong and what to do.
        #[arg(long, value_name = "FILE")]
        text_file: PathBuf,
        /// Where; more than one may be named.
        #[arg(long, value_name = "ADDRESS", default_values = ["0.0.0.0:80", "[::]:80"])]
        listen: Vec<SocketAddr>,
    },
    /// The way back in, for who is on this machine as root or as the daemon's own user.
    Account {
        #[command(subcommand)]
        command: AccountCommand,
    },
}

#[derive(Subcommand)]
enum AccountCommand {
    /// Show every account: user name, e-mail address, role, whether it is enabled, its factors.
    List(BootFile),
    /// Set an account's password anew and end all its logins. The password is asked for, or read
    /// from standard input.
    ResetPassword {
        /// The user name or the e-mail address.
        name: String,
        /// Make a password and print it.
        #[arg(long)]
        generate: bool,
        #[command(flatten)]
        boot_file: BootFile,
    },
    /// Switch an account's second factors off.
    #[command(name = "disable-2fa")]
    DisableFactors {
        /// The user name or the e-mail address.
        name: String,
        #[command(flatten)]
        boot_file: BootFile,
    },
}

#[derive(Args)]
struct BootFile {
    /// The boot file (TOML); without it /etc/aerie/aerie.toml, where there is one.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl BootFile {
    fn load(self) -> Result<Config, ExitCode> {
        let loaded = self.config.map_or_else(Config::load_default, |path| Config::load(&path));
        loaded.map_err(|error| {
            complain(&error);
            ExitCode::from(EXIT_CONFIG)
        })
    }
}

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Serve { provision, boot_file } => {
            boot_file.load().map(|config| ended(aerie::run::serve(&config, provision.as_deref())))
        }
        Command::FirstBoot { machine_dir, run_dir, sys_dir, boot_file } => {
            let roots = Roots { machine_dir, run_dir, sys_dir };
            boot_file.load().map(|config| ended(aerie::run::first_boot(&config, &roots)))
        }
        Command::CheckProvisioning { file, boot_file } => check_provisioning(&file, boot_file),
        Command::HashPassword(boot_file) => hash_password(boot_file),
        Command::DataFault { text_file, listen } => {
            let served = aerie::run::data_fault(&text_file, &listen);
            Ok(ended(served.map_err(Into::into)))
        }
        Command::CheckConfig { file, boot_file } => {
            BootFile { config: file.or(boot_file.config) }.load().map(|_| ExitCode::SUCCESS)
        }
        #[cfg(debug_assertions)]
        Command::Vault { child, swap, boot_file } => vault(child, !swap, boot_file),
        #[cfg(not(debug_assertions))]
        Command::Vault { child, boot_file } => vault(child, true, boot_file),
        Command::Healthy { within, boot_file } => healthy(within, boot_file),
        Command::Welcome(boot_file) => boot_file.load().and_then(|c| told(console::welcome(&c))),
        Command::Account { command } => command.run(),
    };
    done.unwrap_or_else(|refused| refused)
}

/// How the program ends.
fn ended(done: Result<(), Box<dyn Error>>) -> ExitCode {
    let Err(error) = done else { return ExitCode::SUCCESS };
    complain(error.as_ref());
    let for_people = error.downcast_ref().is_some_and(FirstBootError::is_for_people);
    if for_people { ExitCode::from(EXIT_CONFIG) } else { ExitCode::FAILURE }
}

fn check_provisioning(file: &Path, boot_file: BootFile) -> Result<ExitCode, ExitCode> {
    let checked = first_boot::check(&boot_file.load()?, file);
    if checked.is_ok() {
        print("The provisioning file is good.\n");
    }
    Ok(ended(checked.map_err(Into::into)))
}

fn hash_password(boot_file: BootFile) -> Result<ExitCode, ExitCode> {
    let hashed = console::hash_for_provisioning(&boot_file.load()?);
    let hash = hashed.map_err(|error| {
        complain(&error);
        ExitCode::FAILURE
    })?;
    print(&format!("{hash}\n"));
    Ok(ExitCode::SUCCESS)
}

fn vault(child: Option<PathBuf>, locked: bool, boot_file: BootFile) -> Result<ExitCode, ExitCode> {
    let (running, level) = if let Some(directory) = child {
        (Running::Child { directory }, Level::default())
    } else {
        let Config { vault, log, .. } = boot_file.load()?;
        let Some(socket) = vault.socket else {
            complain(&NoSocket);
            return Err(ExitCode::from(EXIT_CONFIG));
        };
        let (directory, daemon) = (vault.dir, vault.user);
        (Running::Unit { directory, socket, daemon, locked }, log.level)
    };
    aerie::run::vault(&running, level).map_err(|error| {
        complain(&error);
        ExitCode::FAILURE
    })?;
    Ok(ExitCode::SUCCESS)
}

fn healthy(within: u32, boot_file: BootFile) -> Result<ExitCode, ExitCode> {
    let within = Duration::from_secs(within.into());
    healthy::healthy(&boot_file.load()?, within).map_err(|error| {
        complain(&error);
        ExitCode::FAILURE
    })?;
    Ok(ExitCode::SUCCESS)
}

/// The boot file says nothing of a vault that is a unit of its own.
#[derive(Debug, thiserror::Error)]
#[error(
    "the boot file names no [vault] socket, so the daemon runs the vault as its child; name one \
         to run it as a unit of its own"
)]
struct NoSocket;

impl AccountCommand {
    fn run(self) -> Result<ExitCode, ExitCode> {
        let done = match self {
            Self::List(boot_file) => console::ask(&boot_file.load()?, &Question::Accounts),
            Self::ResetPassword { name, generate, boot_file } => {
                reset_password(&boot_file.load()?, name, generate)
            }
            Self::DisableFactors { name, boot_file } => {
                console::ask(&boot_file.load()?, &Question::DisableFactors { name })
            }
        };
        told(done)
    }
}

fn told(done: Result<String, ConsoleError>) -> Result<ExitCode, ExitCode> {
    let text = done.map_err(|error| {
        complain(&error);
        ExitCode::FAILURE
    })?;
    print(&text);
    Ok(ExitCode::SUCCESS)
}

fn reset_password(config: &Config, name: String, generate: bool) -> Result<String, ConsoleError> {
    let password = if generate { console::new_password()? } else { console::password()? };
    let question = Question::ResetPassword { name, password: password.as_str().to_owned() };
    let mut text = console::ask(config, &question)?;
    if generate {
        text.push_str("The new password is ");
        text.push_str(&password);
        text.push('\n');
    }
    Ok(text)
}

#[expect(clippy::print_stdout, reason = "the one place that answers who asked on the console")]
fn print(text: &str) {
    print!("{text}");
}

/// Says on standard error what happened, and what made it happen.
#[expect(clippy::print_stderr, reason = "the one place that speaks before and after the log")]
fn complain(error: &dyn Error) {
    eprint!("aerie: {error}");
    let mut cause = error.source();
    while let Some(error) = cause {
        eprint!(": {error}");
        cause = error.source();
    }
    eprintln!();
}
