//! `aerie-agent`: arguments in, exit code out. What happens in between is the library's.

use std::{
    convert::Infallible,
    fmt,
    fs::File,
    future::pending,
    io::{self, IsTerminal as _, Read, Write as _},
    os::fd::AsFd as _,
    path::{Path, PathBuf},
    process::{ExitCode, ExitStatus},
};

use aerie_agent::{
    Agent,
    chain::Chain,
    connect::TlsDialer,
    host::{LinuxHost, Privileges, Roots},
    policy::{Policy, PolicyError},
    separation::{self, SeparationError},
    state::{Directory, Known, Offer, State, StateError},
    trust::{Trust, TrustError},
};
use aerie_protocol::key::{DeviceKey, KeyError, MAX_KEY_BYTES};
use clap::{Args, Parser, Subcommand};
use nix::unistd::geteuid;
use thiserror::Error;
use tokio::{
    runtime::Runtime,
    signal::unix::{SignalKind, signal},
};
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
        /// Started as root: the account for what touches the network [default: aerie-agent, if
        /// there is one, else nobody].
        #[arg(long, value_name = "NAME")]
        user: Option<String>,
    },
    /// What `run` starts as another account when it was started as root.
    #[command(hide = true)]
    Worker {
        /// What the current directory is called.
        #[arg(long, value_name = "DIR")]
        state: PathBuf,
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
    #[error("--user works for root only: leave it out, or start the agent as root")]
    UserWithoutRoot,
    #[error(transparent)]
    Separation(SeparationError),
    #[error("the unprivileged process ended: {0}")]
    Worker(ExitStatus),
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
            | Self::Trust(_)
            | Self::UserWithoutRoot
            | Self::Separation(
                SeparationError::NoAccount { .. }
                | SeparationError::NoUsualAccount
                | SeparationError::Root { .. }
                | SeparationError::NotAWorker,
            ) => EXIT_CONFIG,
            // What was wrong there is wrong here.
            Self::Worker(status) => {
                status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(EXIT_FAILURE)
            }
            Self::State(_) | Self::Separation(_) | Self::Start(_) => EXIT_FAILURE,
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
        Command::Run { state, key, policy, user } => run(state, &key, policy.as_deref(), user),
        Command::Worker { state } => worker(&state),
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
fn run(
    state: PathBuf,
    key: &KeyArguments,
    policy: Option<&Path>,
    user: Option<String>,
) -> Result<(), Failure> {
    let policy = policy.map_or_else(Policy::load_default, Policy::load).map_err(Failure::Policy)?;
    let key = key.read()?;
    if geteuid().is_root() {
        return as_root(separation::Setup { state, policy, key, user });
    }
    if user.is_some() {
        return Err(Failure::UserWithoutRoot);
    }
    let directory = Directory::prepare(&state).map_err(Failure::State)?;
    let running = directory.claim().map_err(Failure::State)?;
    let state = State::open_in(directory).map_err(Failure::State)?;
    runtime()?.block_on(async move {
        let stop = CancellationToken::new();
        serve(LinuxHost::new(policy), state, key, &stop, pending()).await?;
        drop(running);
        Ok(())
    })
}

/// One thread is plenty for one device.
fn runtime() -> Result<Runtime, Failure> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::Start)
}

/// Root's process: it keeps away from the network and serves the one that does not.
fn as_root(setup: separation::Setup) -> Result<(), Failure> {
    runtime()?.block_on(async {
        let stop = CancellationToken::new();
        let asked = until_asked_to_stop().map_err(Failure::Start)?;
        let ended = separation::start(setup, &stop);
        let status = tokio::select! {
            ended = ended => ended.map_err(Failure::Separation)?,
            never = stopping(asked, &stop) => match never {},
        };
        if status.success() { Ok(()) } else { Err(Failure::Worker(status)) }
    })
}

/// The other one: standard input is the socket to root's.
fn worker(state: &Path) -> Result<(), Failure> {
    separation::confine().map_err(Failure::Separation)?;
    let socket = io::stdin().as_fd().try_clone_to_owned().map_err(Failure::Start)?;
    runtime()?.block_on(async {
        let (remote, link, given) = separation::join(socket).await.map_err(Failure::Separation)?;
        let directory = Directory::current(state).prepared().map_err(Failure::State)?;
        let state = State::open_in(directory).map_err(Failure::State)?;
        let host =
            LinuxHost::over(remote, Roots::default()).with_serial_number(given.serial_number);
        let stop = CancellationToken::new();
        let linked = async { Failure::Separation(link.run(&stop).await) };
        serve(host, state, given.key, &stop, linked).await
    })
}

/// Serves until asked to stop; says goodbye then. A `broken` host ends it at once.
async fn serve<P: Privileges>(
    host: LinuxHost<P>,
    mut state: State,
    key: Option<DeviceKey>,
    stop: &CancellationToken,
    broken: impl Future<Output = Failure>,
) -> Result<(), Failure> {
    let asked = until_asked_to_stop().map_err(Failure::Start)?;
    let dialer = TlsDialer::new(Trust::system().map_err(Failure::Trust)?);
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
    let mut agent = Agent::new(host, dialer, state);
    tokio::select! {
        () = agent.run(stop) => Ok(()),
        failure = broken => Err(failure),
        never = stopping(asked, stop) => match never {},
    }
}

/// Passes the wish on; whoever serves comes to an end then.
async fn stopping(asked: impl Future<Output = ()>, stop: &CancellationToken) -> Infallible {
    asked.await;
    stop.cancel();
    pending().await
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
    let directory =
        Directory::as_its_owner(state).and_then(Directory::prepared).map_err(Failure::State)?;
    directory.load_or_create().map_err(Failure::State)?;
    directory.change(|known| known.start_over(key)).map_err(Failure::State)?;
    say(&"Adopted: the agent uses the new key at its next connect (a running one within a minute).")
}

fn status(state: PathBuf) -> Result<(), Failure> {
    let directory =
        Directory::as_its_owner(state).and_then(Directory::used).map_err(Failure::State)?;
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
        match known.addresses().as_slice() {
            [] => writeln!(out, "address     none: give the device a key")?,
            [first, others @ ..] => {
                writeln!(out, "address     {} port {}", first.host(), first.port())?;
                for other in others {
                    writeln!(out, "else        {} port {}", other.host(), other.port())?;
                }
            }
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
