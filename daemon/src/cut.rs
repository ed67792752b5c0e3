//! Where tests cut the power: the process aborts at a chosen step, so that what a crash leaves
//! behind is seen at every step and not at those that luck hits.
//!
//! In a debug build `AERIE_CUT=point:n` aborts the process at the n-th passing of a point, all work
//! together. A release build has nothing of it. The points of the daemon, in the order in which one
//! device's password passes them:
//!
//! | point | what is durable | what the device knows |
//! |---|---|---|
//! | `job-granted` | the vault's grant, no job | nothing |
//! | `job-stored` | the job and its items | nothing |
//! | `rotation-begun` | as before | nothing |
//! | `rotation-made` | the vault has counted a candidate, nobody has it | nothing |
//! | `rotation-stored` | the candidate | nothing |
//! | `rotation-sent` | the candidate | perhaps the new password |
//! | `rotation-replied` | the candidate | the new password, or its refusal is lost |
//! | `rotation-committed` | the password is proven, the item done | the new password |
//! | `rotation-held` | what the device said when asked is not stored | as before |
//! | `hello-heard` | what the hello says of passwords is not stored | as before |
//! | `hello-stored` | it is | as before |
//! | `item-failed` | the item's failure | as before |
//! | `job-ended` | the job's end; the vault's grant still lives | as before |
//!
//! Those of a provisioning file's way, first in `aerie first-boot` and then in the daemon:
//!
//! | point | what is durable |
//! |---|---|
//! | `first-boot-key-made` | the machine key |
//! | `first-boot-key-copied` | the machine key, in its former place too |
//! | `provision-pending` | the order, in the machine's directory; the file as it was |
//! | `provision-host` | the machine's part too |
//! | `provision-ordered` | the daemon's part too |
//! | `provision-renamed` | the file has another name and is about to be wiped |
//! | `provision-wiped` | the file is gone |
//! | `provision-found` | as before; the daemon starts |
//! | `provision-stored` | account, host and ports, and that the order was done |
//!
//! Those of the vault's process, which the daemon starts with the same variable. Cut there, the
//! daemon lives on and starts another one:
//!
//! | point | what is durable in the vault's directory | what the daemon has |
//! |---|---|---|
//! | `vault-granting` | the log says that a job was granted; no grant | no answer |
//! | `vault-granted` | the grant | no answer |
//! | `vault-making` | nothing of the secrets that were made | no answer |
//! | `vault-counted` | they are counted in the grant, and not in the log | no answer |
//! | `vault-logged` | both | no answer |
//! | `vault-answering` | all that the answer stands on | no answer |
//! | `vault-opening` | nothing of the secret that is to be shown | no answer |
//! | `vault-opened` | the opening is counted, and not in the log | no answer |

/// Every point of the daemon, for tests that cut at each.
pub const POINTS: [&str; 13] = [
    "job-granted",
    "job-stored",
    "rotation-begun",
    "rotation-made",
    "rotation-stored",
    "rotation-sent",
    "rotation-replied",
    "rotation-committed",
    "rotation-held",
    "hello-heard",
    "hello-stored",
    "item-failed",
    "job-ended",
];

/// Every point of `aerie first-boot` that a provisioning file passes.
pub const FIRST_BOOT_POINTS: [&str; 5] = [
    "provision-pending",
    "provision-host",
    "provision-ordered",
    "provision-renamed",
    "provision-wiped",
];

/// Every point of the daemon that an order of the first boot passes.
pub const PROVISION_POINTS: [&str; 2] = ["provision-found", "provision-stored"];

/// Every point of the vault's process.
pub const VAULT_POINTS: [&str; 8] = [
    "vault-granting",
    "vault-granted",
    "vault-making",
    "vault-counted",
    "vault-logged",
    "vault-answering",
    "vault-opening",
    "vault-opened",
];

/// Where a debug build reads which point it is.
#[cfg(debug_assertions)]
const VARIABLE: &str = "AERIE_CUT";

/// Passes a point.
#[cfg(debug_assertions)]
pub fn cut(point: &str) {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU32, Ordering};
    static WANTED: OnceLock<Option<(String, u32)>> = OnceLock::new();
    static PASSED: AtomicU32 = AtomicU32::new(0);
    let wanted = WANTED.get_or_init(|| {
        let text = std::env::var(VARIABLE).ok()?;
        let (point, passing) = text.split_once(':')?;
        Some((point.to_owned(), passing.parse().ok()?))
    });
    if let Some((wanted, passing)) = wanted
        && wanted == point
        && PASSED.fetch_add(1, Ordering::AcqRel) + 1 == *passing
    {
        std::process::abort();
    }
}

/// Passes a point.
#[cfg(not(debug_assertions))]
#[inline]
pub fn cut(_: &str) {}

/// A child is cut where its parent would be.
#[cfg(debug_assertions)]
pub fn inherit(child: &mut std::process::Command) {
    if let Some(wanted) = std::env::var_os(VARIABLE) {
        child.env(VARIABLE, wanted);
    }
}

/// A child is cut where its parent would be.
#[cfg(not(debug_assertions))]
#[inline]
pub fn inherit(_: &mut std::process::Command) {}
