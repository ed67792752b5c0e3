//! Whether the appliance on this machine is well, asked from outside of its process: what confirms
//! an update rests on it, so it believes in no unit's state and asks the daemon itself.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use thiserror::Error;
use tokio::time::{Instant, sleep, timeout};

use crate::config::Config;
use crate::console::{self, ConsoleError};
use crate::network;
use crate::outbound::{self, OutboundError};

/// Time for one look.
const LOOK: Duration = Duration::from_secs(20);
/// Between two looks.
const PAUSE: Duration = Duration::from_secs(1);
/// What this program is.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Why the appliance is not well, or cannot be asked.
#[derive(Debug, Error)]
pub enum HealthyError {
    /// The daemon cannot be asked.
    #[error("the daemon cannot be asked how it is")]
    Console(#[from] ConsoleError),
    /// Another program.
    #[error(
        "the daemon that runs is version {running} and this program is {VERSION}; restart it: \
         systemctl restart aerie.service"
    )]
    Version {
        /// What runs.
        running: String,
    },
    /// It says itself that it is not well.
    #[error("{0}")]
    Fault(String),
    /// No ports.
    #[error("{path} tells no port for HTTPS; the daemon is not up yet")]
    Addresses {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: std::io::Error,
    },
    /// No answer.
    #[error("the daemon's own port gives no answer")]
    Port(#[from] OutboundError),
    /// An answer that is not good.
    #[error("the daemon says at its own port {address}: {told}")]
    Unwell {
        /// The port.
        address: SocketAddr,
        /// Its words.
        told: String,
    },
    /// Too slow.
    #[error("the daemon does not answer within {} s", LOOK.as_secs())]
    Slow,
    /// This program cannot work.
    #[error("this program cannot work")]
    Runtime(#[source] std::io::Error),
}

/// Returns once the appliance is well, or says why it is not, at the latest after `within`. Blocks.
pub fn healthy(config: &Config, within: Duration) -> Result<(), HealthyError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(HealthyError::Runtime)?.block_on(async {
        let end = Instant::now() + within;
        loop {
            let looked = timeout(LOOK, Box::pin(look(config))).await;
            let Err(why) = looked.unwrap_or(Err(HealthyError::Slow)) else { return Ok(()) };
            if Instant::now() + PAUSE > end {
                return Err(why);
            }
            sleep(PAUSE).await;
        }
    })
}

async fn look(config: &Config) -> Result<(), HealthyError> {
    let running = console::running(config).await?;
    if running.version != VERSION {
        return Err(HealthyError::Version { running: running.version });
    }
    if let Some(fault) = running.fault {
        return Err(HealthyError::Fault(fault));
    }
    let address = network::reachable(https(&config.data_dir)?);
    let answer = outbound::ask_own(address, &running.certificate, "/healthz").await?;
    if answer.status.as_u16() == 200 {
        return Ok(());
    }
    let told = String::from_utf8_lossy(&answer.body).trim().to_owned();
    Err(HealthyError::Unwell { address, told })
}

/// The first port of GUI and API.
fn https(data_dir: &Path) -> Result<SocketAddr, HealthyError> {
    #[derive(Deserialize)]
    struct Addresses {
        https: Vec<SocketAddr>,
    }
    let path = data_dir.join("addresses.json");
    let read = fs::read(&path).and_then(|bytes| {
        let addresses: Addresses = serde_json::from_slice(&bytes)?;
        addresses.https.first().copied().ok_or_else(|| std::io::ErrorKind::NotFound.into())
    });
    read.map_err(|source| HealthyError::Addresses { path, source })
}
