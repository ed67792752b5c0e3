//! Builds the rooms in order, from the ground up, and takes them down again.

use std::error::Error;
use std::fs;
use std::io::IsTerminal;
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{error, info, warn};
use tracing_subscriber::filter::LevelFilter;

use crate::accounts::{Account, AccountError, Accounts};
use crate::clock::Clock;
use crate::config::{Config, Level};
use crate::console;
use crate::devices::connection_key::ConnectionKeys;
use crate::devices::events::{self, Event, Events};
use crate::devices::rotation::Rotation;
use crate::devices::{Devices, DevicesError, Ground, Tuning, rotation};
use crate::edge::{
    self, Accepting, Behind, Certificates, Foundation, Opening, OwnFiles, Ports, Security,
    TokenSeen,
};
use crate::first_boot::{self, DataFaultError, Roots};
use crate::jobs::Jobs;
use crate::outbound::{Outbound, own_addresses};
use crate::seal::Seal;
use crate::store::reserve::{self, Room};
use crate::store::tables::SECRETS;
use crate::store::{Store, StoreFile};
use crate::supervisor::{DEADLINE, Ended, Supervisor};
use crate::vault::Vault;
use crate::vault::credentials::Credentials;
use crate::vault::link::Process;
use crate::vault::process::{self, ProcessError, Running};
use crate::watchdog::Watchdog;
use crate::web::{self, Rooms, StoreProbe};

/// From SIGTERM to the end of all tasks. With the two below, ten seconds at most.
const GRACE: Duration = Duration::from_secs(7);
/// From there until the store's file is closed.
const CLOSING: Duration = Duration::from_millis(1_500);
/// From there until what still blocks is left behind.
const BLOCKING: Duration = Duration::from_secs(1);

/// Why the daemon ended though nobody asked it to.
#[derive(Debug, Error)]
#[error("{0}; the daemon ends, so that it is started anew")]
struct Broken(String);

/// Why the data directory cannot be used.
#[derive(Debug, Error)]
#[error(
    "the data directory {path} cannot be used; make it writable for this user, or set data_dir"
)]
struct DataDir {
    path: String,
    #[source]
    source: std::io::Error,
}

/// Runs the appliance until SIGTERM or SIGINT, or until something essential fails. `provisioning` is
/// a file that the command line names.
pub fn serve(config: &Config, provisioning: Option<&Path>) -> Result<(), Box<dyn Error>> {
    log_to_stderr(config.log.level);
    data_dir(&config.data_dir)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    drop(runtime.spawn_blocking(edge::gather_entropy));
    let done = runtime.block_on(run(config, provisioning));
    runtime.shutdown_timeout(BLOCKING);
    done
}

/// Does what has to be done before the daemon starts.
pub fn first_boot(config: &Config, roots: &Roots) -> Result<(), Box<dyn Error>> {
    log_to_stderr(config.log.level);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    Ok(runtime.block_on(first_boot::first_boot(config, roots))?)
}

/// Serves one page that says why there are no data, until SIGTERM or SIGINT.
pub fn data_fault(text_file: &Path, addresses: &[SocketAddr]) -> Result<(), DataFaultError> {
    log_to_stderr(Level::default());
    first_boot::data_fault(text_file, addresses)
}

/// Runs the vault's process until its daemon is gone, or, as a unit, until SIGTERM or SIGINT.
pub fn vault(running: &Running, level: Level) -> Result<(), ProcessError> {
    log_to_stderr(level);
    process::run(running)
}

fn log_to_stderr(level: Level) {
    let level = match level {
        Level::Error => LevelFilter::ERROR,
        Level::Warn => LevelFilter::WARN,
        Level::Info => LevelFilter::INFO,
        Level::Debug => LevelFilter::DEBUG,
        Level::Trace => LevelFilter::TRACE,
    };
    tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(std::io::stderr)
        // In a file or the journal, colours are dirt.
        .with_ansi(std::io::stderr().is_terminal())
        .init();
}

fn data_dir(path: &Path) -> Result<(), DataDir> {
    let prepare = || {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o700))
    };
    prepare().map_err(|source| DataDir { path: path.display().to_string(), source })
}

async fn run(config: &Config, provisioning: Option<&Path>) -> Result<(), Box<dyn Error>> {
    let (supervisor, ended) = Supervisor::watched();
    let signals = Signals::listen()?;
    let store = open(config, provisioning, &supervisor).await?;
    let outcome = wait(&supervisor, ended, signals).await;
    if tokio::time::timeout(CLOSING, store.closed()).await.is_err() {
        // Nothing is lost: what was acknowledged is on the disk, and the next start mends the rest.
        warn!("something still holds the store; it is left open");
    }
    outcome
}

/// Builds the rooms in order.
async fn open(
    config: &Config,
    provisioning: Option<&Path>,
    supervisor: &Supervisor,
) -> Result<StoreFile, Box<dyn Error>> {
    let data_dir = &config.data_dir;
    let clock = Clock::system();
    let room = reserve::settle(data_dir);
    let store = Store::open(&data_dir.join("store.redb"))?;
    // Before any room reads what it changes.
    let faults = first_boot::provision(config, &store, clock.now(), provisioning).await?;
    let (opening, ports) = Opening::open(config, &store, crate::systemd::inherited()).await?;
    watch(&store, supervisor);
    let seal = open_seal(&store, data_dir).await?;
    let accounts = open_accounts(config, &store, &seal, &clock, supervisor).await?;
    let vault = Vault::start(vault_process(config), supervisor).await;
    let keys = ConnectionKeys::load(&store, &seal).await?;
    let outbound = Outbound::load(&store).await?;
    let foundation =
        Foundation { store: store.clone(), seal, clock: clock.clone(), outbound: outbound.clone() };
    let files = own_files(config);
    let certificates = Certificates::load(&foundation, keys.host().as_deref(), files).await?;
    keys.set_untrusted(certificates.is_untrusted());
    let events = Events::load(store.clone(), clock.clone(), supervisor).await?;
    say_room(room, data_dir, &events);
    let ground = Ground { store: store.clone(), clock: clock.clone(), keys, events };
    let tuning = Tuning {
        connects_per_second: config.devices.connects_per_second,
        status_interval: config.devices.status_interval,
    };
    let devices = Devices::start(ground, tuning, supervisor).await?;
    let watchdog = Watchdog::new(supervisor, store.clone(), vault.clone());
    let telling = console_tells(&watchdog, &certificates, &ports);
    console::serve(accounts.clone(), telling, data_dir, supervisor);
    let accepting = Accepting::default();
    let security = Security::load(&store).await?;
    let token_seen = token_seen(&accounts, &devices, supervisor);
    let credentials = Credentials::start(store.clone(), vault.clone(), clock.clone(), supervisor);
    let rotation = start_rotation(devices.clone(), &store, vault, &clock, supervisor).await?;
    let router = web::router(Rooms {
        accounts,
        credentials,
        rotation,
        ports: ports.clone(),
        security: security.clone(),
        certificates: certificates.clone(),
        outbound,
        devices: devices.clone(),
        clock,
        accepting: accepting.clone(),
        provisioning_faults: faults.into(),
        store: store_probe(&store),
        supervisor: supervisor.clone(),
    });
    let behind = Behind { certificates, router, devices, accepting, security, token_seen };
    edge::start(opening, behind, data_dir, supervisor)?;
    // Who hears that the appliance is up may rely on it.
    store.probe().await?;
    watchdog.start();
    say_what_is_open(&ports);
    Ok(store.file())
}

fn say_what_is_open(ports: &Ports) {
    let listeners = &ports.picture().listeners;
    let open = listeners.iter().map(|one| format!("{} {}", one.listening.name(), one.address));
    info!(open = ?open.collect::<Vec<_>>(), "aerie is up");
}

async fn open_accounts(
    config: &Config,
    store: &Store,
    seal: &Seal,
    clock: &Clock,
    supervisor: &Supervisor,
) -> Result<Accounts, AccountError> {
    let data_dir = &config.data_dir;
    let accounts =
        Accounts::start(store.clone(), seal, clock.clone(), data_dir, supervisor).await?;
    accounts.set_bcrypt_cost(config.accounts.bcrypt_cost);
    if !accounts.is_configured() {
        info!(file = %data_dir.join("setup-code").display(), "not set up yet; the code is in");
    }
    Ok(accounts)
}

/// A store whose file is broken ends the daemon.
fn watch(store: &Store, supervisor: &Supervisor) {
    let (broken, stop) = (store.file(), supervisor.token());
    supervisor.spawn_essential("store", DEADLINE, async move |mut heartbeat| {
        stop.run_until_cancelled(heartbeat.during(broken.broken())).await;
    });
}

/// Where something is sealed already, the key has to be there.
async fn open_seal(store: &Store, data_dir: &Path) -> Result<Seal, Box<dyn Error>> {
    let sealed = store.read(|reader| Ok(!reader.all(SECRETS)?.is_empty())).await?;
    Ok(if sealed { Seal::open_existing(data_dir) } else { Seal::open(data_dir) }?)
}

/// Jobs, and the kind that there is.
async fn start_rotation(
    devices: Devices,
    store: &Store,
    vault: Vault,
    clock: &Clock,
    supervisor: &Supervisor,
) -> Result<Rotation, DevicesError> {
    let (store, clock) = (store.clone(), clock.clone());
    let jobs = Jobs::new(store.clone(), clock.clone(), supervisor);
    Rotation::start(rotation::Ground { devices, store, vault, jobs, clock }, supervisor).await
}

/// Ends a login whose token came over plain HTTP, without making who sent it wait.
fn token_seen(accounts: &Accounts, devices: &Devices, supervisor: &Supervisor) -> Arc<TokenSeen> {
    let (accounts, events) = (accounts.clone(), devices.events().clone());
    let supervisor = supervisor.clone();
    Arc::new(move |token, from| {
        let Some(login) = accounts.leaked(token) else { return };
        let (accounts, events) = (accounts.clone(), events.clone());
        supervisor.spawn("leaked login", async move {
            match accounts.end_leaked(login).await {
                Ok(Some(account)) => events.record(leak(&account, from)),
                Ok(None) => {}
                Err(error) => error!(%error, "a login that leaked could not be ended"),
            }
        });
    })
}

/// Where the vault's process is.
fn vault_process(config: &Config) -> Process {
    match &config.vault.socket {
        Some(socket) => Process::Unit(socket.clone()),
        None => Process::Child {
            // Our own, also after it was replaced on the disk.
            program: "/proc/self/exe".into(),
            directory: config.data_dir.join("vault"),
        },
    }
}

/// The owner's certificate that the boot file names.
fn own_files(config: &Config) -> Option<OwnFiles> {
    let files = config.certificate.chain.clone().zip(config.certificate.key.clone());
    files.map(|(chain_file, key_file)| OwnFiles { chain_file, key_file })
}

/// What the console's socket tells of the daemon.
fn console_tells(
    watchdog: &Watchdog,
    certificates: &Certificates,
    ports: &Ports,
) -> Box<console::Telling> {
    let (watchdog, certificates, ports) = (watchdog.clone(), certificates.clone(), ports.clone());
    Box::new(move || console::Running {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        certificate: certificates.fingerprint(),
        fault: watchdog.fault().map(|fault| fault.to_string()),
        urls: ports.picture().urls(&own_addresses()),
    })
}

/// How the web finds out whether the store writes, without knowing it.
fn store_probe(store: &Store) -> StoreProbe {
    let (writing, sizing) = (store.clone(), store.clone());
    let write = move || {
        let store = writing.clone();
        async move { store.probe().await.map_err(|error| error.to_string()) }
    };
    StoreProbe::new(write, move || sizing.bytes())
}

/// Tells the owner of a disk that is full.
fn say_room(room: Room, data_dir: &Path, events: &Events) {
    if room == Room::Enough {
        return;
    }
    warn!("the disk is full; the reserve is given up, so that the owner can make room");
    let message = format!(
        "The disk that holds {} is full. The appliance runs on a reserve of some megabytes, so that \
         you can make room: delete what you do not need, or give it a larger disk. Nothing that \
         was acknowledged is lost; what finds no room any more is refused.",
        data_dir.display(),
    );
    events.record(Event::quiet(events::Level::Error, "nms-error", message));
}

fn leak(account: &Account, from: SocketAddr) -> Event {
    let message = format!(
        "A login of {} was ended: its token came from {} over plain HTTP, where anybody on the \
         way could read it. Mend the script or bookmark that says http:// instead of https://.",
        account.username,
        from.ip().to_canonical(),
    );
    Event::quiet(events::Level::Warning, "login", message).by(account.id).at_once()
}

async fn wait(
    supervisor: &Supervisor,
    mut ended: Ended,
    mut signals: Signals,
) -> Result<(), Box<dyn Error>> {
    let broken = tokio::select! {
        reason = ended.reason() => Some(Broken(reason)),
        name = signals.next() => {
            info!(signal = name, "stopping");
            None
        }
    };
    crate::systemd::stopping();
    tokio::select! {
        in_time = supervisor.shutdown(GRACE) => {
            if !in_time {
                error!("some tasks did not end in {} s and are cut off", GRACE.as_secs());
            }
        }
        // A second signal: now.
        _ = signals.next() => {}
    }
    match broken {
        Some(broken) => Err(Box::new(broken)),
        None => Ok(()),
    }
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}
