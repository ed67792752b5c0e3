//! `aerie-agent`: arguments in, exit code out. What happens in between is the library's.

use std::{
    fmt,
    fs::File,
    io::{self, IsTerminal as _, Read, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
};

use aerie_agent::{
    Agent,
    chain::Chain,
    connect::TlsDialer,
    host::LinuxHost,
    policy::{Policy, PolicyError},
    state::{Directory, Known, Offer, State, StateError},
    trust::{Trust, TrustError},
};
use aerie_protocol::key::{DeviceKey, KeyError, MAX_KEY_BYTES};
use clap::{Args, Parser, Subcommand};
use thiserror::Error;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::{EnvFilter, filter::LevelFilter};
use zeroize::Zeroizing;

/// Exit code of a bad configuration (`EX_CONFIG` of sysexits.h).
const EXIT_CONFIG: u8 = 78;
/// Exit code of everything else.
const EXIT_FAILURE: u8 = 1;

/// Connects this device to an Aerie appliance.
#[derive(Parser)]
#[command(name = "aerie-agent", version, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Connect, and stay connected until told to stop (SIGTERM).
    Run {
        /// The directory where the device keeps its identity; made if it is not there.
        #[arg(long, value_name = "DIR")]
        state: PathBuf,
        #[command(flatten)]
        key: KeyArguments,
        /// What this device allows [default: /etc/aerie-agent.toml, if it is there].
        #[arg(long, value_name = "FILE")]
        policy: Option<PathBuf>,
    },
    /// Forget the appliance this device belongs to; use another key at the next connect.
    Adopt {
        /// The device's state directory.
        #[arg(long, value_name = "DIR")]
        state: PathBuf,
        #[command(flatten)]
        key: KeyArguments,
    },
    /// Say who this device is and where it belongs. Shows no secret.
    Status {
        /// The device's state directory.
        #[arg(long, value_name = "DIR")]
        state: PathBuf,
    },
}

#[derive(Args)]
struct KeyArguments {
    /// The device key; everybody on this device can read it in the process list.
    #[arg(long, value_name = "KEY", conflicts_with = "key_file")]
    key: Option<String>,
    /// A file with the device key; `-` reads it from standard input.
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
}

/// Why the program ends.
#[derive(Debug, Error)]
enum Failure {
    #[error("the policy cannot be used")]
    Policy(#[source] PolicyError),
    #[error("the device key cannot be used")]
    Key(#[source] KeyError),
    #[error("cannot read the device key from {}", path.display())]
    KeyFile { path: PathBuf, source: io::Error },
    #[error("no device key: give one with --key-file FILE (or `-` for standard input)")]
    NoKey,
    #[error("the device's state cannot be used")]
    State(#[source] StateError),
    #[error("no outer connection can be made")]
    Trust(#[source] TrustError),
    #[error("cannot start")]
    Start(#[source] io::Error),
}

impl Failure {
    fn exit_code(&self) -> u8 {
        match self {
            Self::Policy(_)
            | Self::Key(_)
            | Self::KeyFile { .. }
            | Self::NoKey
            | Self::Trust(_) => EXIT_CONFIG,
            Self::State(_) | Self::Start(_) => EXIT_FAILURE,
        }
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let filter =
        EnvFilter::builder().with_default_directive(LevelFilter::INFO.into()).from_env_lossy();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .init();
    let done = match arguments.command {
        Command::Run { state, key, policy } => run(state, &key, policy.as_deref()),
        Command::Adopt { state, key } => adopt(state, &key),
        Command::Status { state } => status(state),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            tracing::error!("{}", Chain(&failure));
            ExitCode::from(failure.exit_code())
        }
    }
}

/// Everything that can be wrong is found before the first packet.
fn run(state: PathBuf, key: &KeyArguments, policy: Option<&Path>) -> Result<(), Failure> {
    let policy = policy.map_or_else(Policy::load_default, Policy::load).map_err(Failure::Policy)?;
    let key = key.read()?;
    // One thread is plenty for one device.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Failure::Start)?;
    let directory = Directory::prepare(&state).map_err(Failure::State)?;
    let running = directory.claim().map_err(Failure::State)?;
    let mut state = State::open(state).map_err(Failure::State)?;
    let dialer = TlsDialer::new(Trust::system().map_err(Failure::Trust)?);
    runtime.block_on(async move {
        if let Some(key) = key
            && state.offer(key).await.map_err(Failure::State)? == Offer::Enrolled
        {
            tracing::warn!(
                "the key given is not used: this device belongs to an appliance already, and leaves it with `aerie-agent adopt` only"
            );
        }
        if state.known().key.is_none() {
            return Err(Failure::NoKey);
        }
        let stop = CancellationToken::new();
        let mut agent = Agent::new(LinuxHost::new(policy), dialer, state);
        let serving = agent.run(&stop);
        let asked = until_asked_to_stop().map_err(Failure::Start)?;
        let stopping = async {
            asked.await;
            stop.cancel();
        };
        tokio::join!(serving, stopping);
        drop(running);
        Ok(())
    })
}

/// SIGTERM, or Ctrl-C of somebody who tries it out.
fn until_asked_to_stop() -> io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => tracing::info!("asked to stop (SIGTERM)"),
            _ = interrupt.recv() => tracing::info!("asked to stop (SIGINT)"),
        }
    })
}

fn adopt(state: PathBuf, key: &KeyArguments) -> Result<(), Failure> {
    let key = key.read()?.ok_or(Failure::NoKey)?;
    let directory = Directory::prepare(state).map_err(Failure::State)?;
    directory.load_or_create().map_err(Failure::State)?;
    let adopt = |known: &mut Known| {
        known.key = Some(key);
        known.enrolment = None;
    };
    directory.change(adopt).map_err(Failure::State)?;
    say(&"Adopted: the agent uses the new key at its next connect (a running one within a minute).")
}

fn status(state: PathBuf) -> Result<(), Failure> {
    let directory = Directory::existing(state).map_err(Failure::State)?;
    say(&Summary(directory.load().map_err(Failure::State)?))
}

fn say(text: &dyn fmt::Display) -> Result<(), Failure> {
    writeln!(io::stdout(), "{text}").map_err(Failure::Start)
}

/// What a person at the device wants to know, and nobody must keep secret.
struct Summary(Known);

impl fmt::Display for Summary {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(known) = self;
        writeln!(out, "device      {}", known.identity.public().fingerprint())?;
        match &known.key {
            Some(key) => writeln!(out, "address     {} port {}", key.host, key.port)?,
            None => writeln!(out, "address     none: give the device a key")?,
        }
        match &known.enrolment {
            Some(enrolment) => {
                writeln!(out, "enrolled    yes, as \"{}\"", enrolment.name)?;
                write!(out, "appliance   {}", enrolment.appliance.fingerprint())
            }
            None => write!(out, "enrolled    no: an admin authorises it on the appliance"),
        }
    }
}

impl KeyArguments {
    fn read(&self) -> Result<Option<DeviceKey>, Failure> {
        let text = match (&self.key, &self.key_file) {
            (Some(key), _) => Zeroizing::new(key.clone()),
            (None, Some(path)) => {
                read_key(path).map_err(|source| Failure::KeyFile { path: path.clone(), source })?
            }
            (None, None) => return Ok(None),
        };
        DeviceKey::parse(&text).map(Some).map_err(Failure::Key)
    }
}

fn read_key(path: &Path) -> io::Result<Zeroizing<String>> {
    let mut text = Zeroizing::new(String::with_capacity(2 * MAX_KEY_BYTES));
    let source: Box<dyn Read> = if path == Path::new("-") {
        Box::new(io::stdin().lock())
    } else {
        Box::new(File::open(path)?)
    };
    // A little more than a key, so that a longer one is refused and not cut.
    source.take(u64::try_from(MAX_KEY_BYTES + 64).unwrap_or(u64::MAX)).read_to_string(&mut text)?;
    Ok(text)
}
