//! `aerie`: parses the command line and hands over.

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

use aerie::config::Config;
use clap::{Args, Parser, Subcommand};

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
    Serve(BootFile),
    /// Check a boot file and say what is wrong with it.
    CheckConfig {
        /// The boot file.
        file: Option<PathBuf>,
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
        Command::Serve(boot_file) => boot_file.load().map(|config| {
            aerie::run::serve(&config).map_or_else(
                |error| {
                    complain(error.as_ref());
                    ExitCode::FAILURE
                },
                |()| ExitCode::SUCCESS,
            )
        }),
        Command::CheckConfig { file, boot_file } => {
            BootFile { config: file.or(boot_file.config) }.load().map(|_| ExitCode::SUCCESS)
        }
    };
    done.unwrap_or_else(|refused| refused)
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
