//! What every test starts from: the real daemon on free ports, real agents, an attacker in the middle, raw devices.
//!
//! Nothing here waits for a fixed time: [`until`] polls with a bound and says what it waited for.

mod agent;
mod appliance;
mod authenticator;
mod authority;
mod book;
mod booted;
mod client;
mod credentials;
mod frames;
mod hand;
mod impostor;
mod inside;
mod interceptor;
mod limits;
mod machine;
mod monitor;
mod namespace;
mod nginx;
mod pebble;
mod people;
mod process;
mod raw;
mod sockets;
mod tool;
mod vault;

pub use agent::{Agent, AgentOptions, user_name};
pub use appliance::{Appliance, ApplianceOptions, Listen, Owner, PASSWORD, id_of, setup_request};
pub use authenticator::Authenticator;
pub use authority::{Authority, Issued};
pub use book::Book;
pub use booted::Booted;
pub use client::{Answer, Client, accept_any_certificate, accept_any_certificate_with};
pub use credentials::{MasterKey, VaultBeside};
pub use frames::{Frame, frame_from_device, from_device, from_server};
pub use hand::{AtHand, HandAppliance};
pub use impostor::Impostor;
pub use interceptor::{Direction, Interceptor, forged_certificate, self_signed_pem};
pub use limits::allow_open_files;
pub use machine::{Arch, BOOT, Machine, MachineOptions};
pub use monitor::Monitor;
pub use namespace::{PRIVATE, PUBLIC, Stage, on_small_disk, on_stage, with_own_accounts};
pub use nginx::Nginx;
pub use pebble::{Pebble, PebbleOptions};
pub use people::Route;
pub use process::{Process, binary};
pub use raw::{RawDevice, Wire, hello, mac_of};
pub use sockets::{LiveSocket, TerminalSocket, open_socket, open_socket_from};
pub use tool::{Printed, run_tool, tool};
pub use vault::{VaultUnit, answers, children_of, vault_child, vault_config};

use std::time::Duration;
use tokio::time::Instant;

/// How long anything on a loaded two-core machine may take before a test gives up.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// Asks again and again until `probe` has an answer; panics with `what` after [`PATIENCE`].
pub async fn until<T>(what: &str, probe: impl AsyncFnMut() -> Option<T>) -> T {
    within(PATIENCE, what, probe).await
}

/// Like [`until`], with a bound of its own.
pub async fn within<T>(
    bound: Duration,
    what: &str,
    mut probe: impl AsyncFnMut() -> Option<T>,
) -> T {
    let deadline = Instant::now() + bound;
    let mut pause = Duration::from_millis(5);
    loop {
        if let Some(found) = probe().await {
            return found;
        }
        assert!(Instant::now() < deadline, "waited {bound:?} in vain: {what}");
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_millis(200));
    }
}
