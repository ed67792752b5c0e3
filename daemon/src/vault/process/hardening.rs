//! What the process gives up before it touches a secret: core dumps, being looked into, more
//! privileges, swap.

use std::io;

use nix::sys::prctl;
use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit, setrlimit};
use nix::sys::stat::{Mode, umask};
use rustix::mm::{MlockAllFlags, mlockall};

/// Memory that may be locked, in bytes, below which locking is not tried: the process maps less,
/// and one that reaches the bound could not get memory any more.
const ENOUGH: u64 = 512 * 1_024 * 1_024;

/// Gives all of it up but swap.
pub(super) fn harden() -> io::Result<()> {
    umask(Mode::from_bits_truncate(0o077));
    setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
    prctl::set_dumpable(false)?;
    prctl::set_no_new_privs()?;
    // For lists of processes; it does without.
    prctl::set_name(c"aerie-vault").ok();
    Ok(())
}

/// Keeps all memory, what comes later too, out of swap. Whether that was possible.
pub(super) fn lock_memory() -> bool {
    let Ok((_, hard)) = getrlimit(Resource::RLIMIT_MEMLOCK) else { return false };
    setrlimit(Resource::RLIMIT_MEMLOCK, hard, hard).ok();
    let enough = hard == RLIM_INFINITY || hard >= ENOUGH || may_lock_all();
    // On fault: what is mapped and never used needs no place in memory.
    let all = MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT;
    enough && mlockall(all).is_ok()
}

/// Whether the bound does not count for this process (`CAP_IPC_LOCK`).
fn may_lock_all() -> bool {
    const IPC_LOCK: u64 = 1 << 14;
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let held = line.and_then(|line| u64::from_str_radix(line.trim(), 16).ok());
    held.is_some_and(|held| held & IPC_LOCK != 0)
}
