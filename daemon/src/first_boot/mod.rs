//! What happens to a machine before anybody has seen it, and before the daemon starts: its key, its
//! name and network, and what an integrator's provisioning file asks for.
//!
//! [`first_boot`] runs as root at each boot and does only what is not done yet. The daemon's part,
//! [`provision`], writes account, host and ports in one transaction before any room is built, so
//! that nobody ever sees half of it. [`data_fault`] is what answers instead of the daemon where
//! there are no data.
//!
//! Invariants: no key is made where something is sealed that it would not open. A provisioning file
//! is followed whole, once, and never on an appliance that has an account. At each step the power
//! may go: the next boot goes on from there.

mod data_fault;
mod files;
mod host;
mod machine_key;
mod media;
mod pending;
mod provisioned;
pub mod provisioning;
mod word;

#[cfg(test)]
mod tests;

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;
use tracing::{error, info, warn};
use uuid::Uuid;

use self::media::Found;
use self::pending::Pending;
use self::provisioning::{Faulty, Provisioning};
use self::word::{Order, Word};
use crate::config::Config;
use crate::cut::cut;
use crate::seal::SealError;
use crate::store::StoreError;
use crate::store::tables::ACCOUNTS;

pub use self::data_fault::{DataFaultError, serve as data_fault};
pub use self::provisioned::provision;

/// Why the first boot, or the provisioning, could not be done.
#[derive(Debug, Error)]
pub enum FirstBootError {
    /// A file of the machine's.
    #[error("the machine's file {} cannot be used", path.display())]
    Machine {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// The key, and what it sealed.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// There are secrets, and the daemon's former key opens them.
    #[error(
        "the machine key {} does not open what is in the store, and {} does: an older machine's \
         data were put here. Move that file over the first and start again", path.display(),
        former.display()
    )]
    OtherKey {
        /// The machine's key.
        path: PathBuf,
        /// The one that fits.
        former: PathBuf,
    },
    /// There are secrets, and no key opens them.
    #[error(
        "the machine key {} does not open what is in the store; put the key that belongs to this \
         store back from a backup. No new one was made", .0.display()
    )]
    WrongKey(PathBuf),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What is put into place at each boot.
    #[error("{} cannot be written", path.display())]
    Host {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// The word between the first boot and the daemon.
    #[error("{} cannot be written or deleted", path.display())]
    Word {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// The file that was named cannot be read.
    #[error("the provisioning file {} cannot be read", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// It says something that cannot be.
    #[error(transparent)]
    Faulty(#[from] Faulty),
    /// It asks for what only root can do.
    #[error(
        "{}: [network] and [time] ntp are put into place by `aerie first-boot`, as root; take them \
         out of the file, or lay it where that looks", .0.display()
    )]
    NeedsFirstBoot(PathBuf),
}

impl FirstBootError {
    /// Whether a person has to do something: starting again does not mend it.
    pub fn is_for_people(&self) -> bool {
        match self {
            Self::Seal(error) => matches!(error, SealError::KeyMissing(_) | SealError::KeyForm(_)),
            Self::OtherKey { .. }
            | Self::WrongKey(_)
            | Self::Faulty(_)
            | Self::Unreadable { .. }
            | Self::NeedsFirstBoot(_) => true,
            Self::Machine { .. } | Self::Store(_) | Self::Host { .. } | Self::Word { .. } => false,
        }
    }
}

fn machine_file(path: &Path, source: io::Error) -> FirstBootError {
    FirstBootError::Machine { path: path.to_owned(), source }
}

/// Where the machine's things are. Tests have a machine of their own.
#[derive(Clone, Debug)]
pub struct Roots {
    /// The machine's directory, root's alone.
    pub machine_dir: PathBuf,
    /// What is gone at the next boot.
    pub run_dir: PathBuf,
    /// Above `/sys`, `/proc`, `/dev` and `/efi`.
    pub sys_dir: PathBuf,
}

/// Does what has to be done before the daemon starts. An error is about the key alone: for
/// everything else the daemon can start, and says what is wrong.
pub async fn first_boot(config: &Config, roots: &Roots) -> Result<(), FirstBootError> {
    make_folder(&roots.machine_dir).map_err(|error| machine_file(&roots.machine_dir, error))?;
    if let Some(done) = machine_key::settle(&roots.machine_dir, &config.data_dir).await? {
        info!("{done}");
    }
    if let Err(problem) = look_for_provisioning(config, roots).await {
        tell("a provisioning file could not be followed", &problem);
    }
    if let Err(problem) = host::apply(roots) {
        tell("the machine's name, network or time could not be set", &problem);
    }
    Ok(())
}

/// Reads a provisioning file and does nothing: every fault of it.
pub fn check(config: &Config, file: &Path) -> Result<(), FirstBootError> {
    let unreadable = |source| FirstBootError::Unreadable { path: file.to_owned(), source };
    let bytes = files::read(file, provisioning::MOST_BYTES).map_err(unreadable)?;
    let bytes = bytes.ok_or_else(|| unreadable(io::ErrorKind::NotFound.into()))?;
    let read = provisioning::read(&bytes, config);
    read.map(|_| ()).map_err(|faults| Faulty { path: file.to_owned(), faults }.into())
}

fn make_folder(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// With what made it happen, since nobody hands it on.
fn tell(what: &str, problem: &FirstBootError) {
    let mut text = problem.to_string();
    let mut cause = std::error::Error::source(problem);
    while let Some(because) = cause {
        text = format!("{text}: {because}");
        cause = because.source();
    }
    error!("{what}: {text}");
}

async fn look_for_provisioning(config: &Config, roots: &Roots) -> Result<(), FirstBootError> {
    let pending = Pending::of(roots);
    pending.resume(config)?;
    // A store that cannot be read is told by who needs it.
    if !is_configured(&config.data_dir).await.unwrap_or(true) {
        media::appear(&roots.run_dir, &roots.sys_dir).await;
    }
    match media::find(&roots.machine_dir, &roots.run_dir, &roots.sys_dir) {
        Some(found) => follow(found, config, &pending).await?,
        None => forget_faults(config)?,
    }
    pending.end()
}

async fn follow(found: Found, config: &Config, pending: &Pending) -> Result<(), FirstBootError> {
    if is_configured(&config.data_dir).await? {
        warn!(place = found.place, "{TOO_LATE}");
        return Word::Refused { place: found.place }.leave(&config.data_dir);
    }
    let faults = match provisioning::read(&found.bytes, config) {
        Ok(provisioning) => return take(found, provisioning, config, Some(pending)),
        Err(faults) => faults,
    };
    let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
    error!(
        "{}: the provisioning file has faults, and nothing of it is done\n  {}",
        found.place,
        faults.join("\n  ")
    );
    if matches!(Word::find(&config.data_dir), Some(Word::Provision(_))) {
        // An earlier file is on its way, and its part for the machine is done already.
        return Ok(());
    }
    Word::Faulty { place: found.place, faults }.leave(&config.data_dir)
}

/// What is said of a file that came too late.
const TOO_LATE: &str = "a provisioning file is left alone: this appliance is set up already";

/// A faulty file that is gone is nobody's trouble any more.
fn forget_faults(config: &Config) -> Result<(), FirstBootError> {
    match Word::find(&config.data_dir) {
        Some(Word::Faulty { .. } | Word::Refused { .. }) => Word::wipe(&config.data_dir),
        _ => Ok(()),
    }
}

/// Whether there is an account.
async fn is_configured(data_dir: &Path) -> Result<bool, FirstBootError> {
    let Some(store) = machine_key::open(data_dir)? else { return Ok(false) };
    let file = store.file();
    let accounts = store.read(|reader| reader.all(ACCOUNTS)).await;
    drop(store);
    file.closed().await;
    Ok(!accounts?.is_empty())
}

/// Makes an order of a file: what it asks for is durable elsewhere before it is wiped. `pending`
/// is there where the machine's part is done too.
fn take(
    found: Found,
    provisioning: Provisioning,
    config: &Config,
    pending: Option<&Pending>,
) -> Result<(), FirstBootError> {
    let place = found.place.clone();
    let mut order = Order { id: Uuid::new_v4(), provisioning, left_at: Some(place.clone()) };
    if let Some(pending) = pending {
        pending.begin(&order)?;
        cut("provision-pending");
        pending.keep_host(&order)?;
        cut("provision-host");
    }
    Word::Provision(Box::new(order.clone())).leave(&config.data_dir)?;
    cut("provision-ordered");
    match found.wipe() {
        Ok(()) => {
            info!(place, "the provisioning file is taken and wiped");
            order.left_at = None;
            Word::Provision(Box::new(order)).leave(&config.data_dir)?;
            cut("provision-wiped");
        }
        Err(error) => {
            warn!(%error, place, "the provisioning file is taken and could not be wiped");
        }
    }
    Ok(())
}
