//! What systemd does for a service: it keeps our listeners over a restart, waits until it is up, and
//! starts it anew when it hangs.
//!
//! Each listener is handed to the descriptor store when it is opened (`sd_pid_notify_with_fds(3)`),
//! so that it is there after a crash too, and comes back at the next start (`sd_listen_fds(3)`).
//! Meanwhile the kernel queues who connects. Without systemd nothing happens here.

use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, AsRawFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ::systemd::daemon;
use tokio::task::JoinHandle;

/// The listeners that systemd kept. They are handed out once; later calls get none.
pub fn inherited() -> Vec<TcpListener> {
    static TAKEN: AtomicBool = AtomicBool::new(false);
    if TAKEN.swap(true, Ordering::AcqRel) {
        return Vec::new();
    }
    let descriptors = match daemon::listen_fds_with_names() {
        Ok(descriptors) => descriptors,
        Err(error) => {
            tracing::warn!(%error, "what systemd has kept cannot be read; opening ports anew");
            return Vec::new();
        }
    };
    let listeners = descriptors.iter().filter_map(|(descriptor, name)| {
        let listener = daemon::tcp_listener(descriptor);
        if let Err(error) = &listener {
            tracing::warn!(%error, ?name, "systemd kept something that is no listener");
        }
        listener.ok()
    });
    listeners.collect()
}

/// Hands a listener to the descriptor store, under its address.
pub fn keep(address: SocketAddr, listener: &impl AsFd) {
    let name = name(address);
    let state = [(daemon::STATE_FDSTORE, "1"), (daemon::STATE_FDNAME, &name)];
    tell(address, daemon::pid_notify_with_fds(0, state.iter(), &[listener.as_fd().as_raw_fd()]));
}

/// Takes it out again: the port is closed for good.
pub fn forget(address: SocketAddr) {
    let name = name(address);
    let state = [(daemon::STATE_FDSTOREREMOVE, "1"), (daemon::STATE_FDNAME, &name)];
    tell(address, daemon::notify(state.iter()));
}

/// Within which time systemd wants to hear that the process lives; none where it does not care.
pub fn watchdog() -> Option<Duration> {
    match daemon::watchdog_enabled() {
        Ok(0) => None,
        Ok(microseconds) => Some(Duration::from_micros(microseconds)),
        Err(error) => {
            tracing::warn!(%error, "what systemd's watchdog wants cannot be read");
            None
        }
    }
}

/// Says something about the process, such as `READY` and `1` (`sd_notify(3)`): beside, since a
/// systemd that is frozen takes nothing, and then saying it waits. That nobody hears it is no reason
/// to end. To be called in a runtime.
pub fn say(lines: Vec<(&'static str, String)>) -> JoinHandle<()> {
    static FAILED: AtomicBool = AtomicBool::new(false);
    tokio::task::spawn_blocking(move || match daemon::notify(lines.iter()) {
        Ok(_) => FAILED.store(false, Ordering::Release),
        Err(error) if !FAILED.swap(true, Ordering::AcqRel) => {
            tracing::warn!(%error, "systemd does not hear; going on");
        }
        Err(_) => {}
    })
}

/// Says that the process ends because it is to.
pub fn stopping() {
    drop(say(vec![(daemon::STATE_STOPPING, "1".to_owned())]));
}

fn tell(address: SocketAddr, told: ::systemd::Result<bool>) {
    if let Err(error) = told {
        // The port works all the same; after a restart it is opened anew.
        tracing::warn!(%error, %address, "systemd's descriptor store did not answer");
    }
}

/// A colon separates names.
fn name(address: SocketAddr) -> String {
    format!("listener-{address}").replace(':', "_")
}
