//! What answers instead of the daemon where the data partition cannot be used: one page that says
//! what is wrong, on plain HTTP, with no store, no key and no privilege.

use std::io;
use std::net::SocketAddr;
use std::path::Path;

use nix::errno::Errno;
use nix::unistd::{User, geteuid, setgid, setgroups, setuid};
use thiserror::Error;

use super::files;
use crate::edge::{FaultPage, ListenError};

/// Bytes of the text that is shown.
const BOUND: usize = 4 * 1024;
/// Who serves it where root began.
const USER: &str = "aerie";
/// What is shown where nobody has written what is wrong.
const UNKNOWN: &str =
    "The appliance's data cannot be used, and nothing tells why. Look at its console.";
/// Before what is wrong.
const HEAD: &str = "Aerie cannot start.";

/// Why the page is not served.
#[derive(Debug, Error)]
pub enum DataFaultError {
    /// No runtime.
    #[error("the system gives no event loop")]
    Runtime(#[source] io::Error),
    /// No address.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// Root stays root.
    #[error("root's privileges could not be given up for the user {USER}, so nothing is served")]
    Privileges(#[source] Errno),
    /// There is nobody to be.
    #[error("there is no user {USER}, and root serves nothing; run systemd-sysusers")]
    NoUser,
}

/// Serves the page at these addresses until SIGTERM or SIGINT. Blocks.
pub fn serve(text_file: &Path, addresses: &[SocketAddr]) -> Result<(), DataFaultError> {
    let text = page(text_file);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(DataFaultError::Runtime)?.block_on(async {
        let page = FaultPage::open(addresses, text)?;
        if geteuid().is_root() {
            drop_privileges()?;
        }
        page.serve().await.map_err(DataFaultError::Runtime)
    })
}

/// What is shown: the file's text without what is no text.
fn page(text_file: &Path) -> String {
    let bytes = files::read(text_file, BOUND).ok().flatten().unwrap_or_default();
    let bytes = bytes.get(..BOUND).unwrap_or(&bytes);
    let mut text = String::from_utf8_lossy(bytes).into_owned();
    text.retain(|letter| letter == '\n' || !letter.is_control());
    let text = text.trim();
    format!("{HEAD}\n\n{}\n", if text.is_empty() { UNKNOWN } else { text })
}

fn drop_privileges() -> Result<(), DataFaultError> {
    let user = User::from_name(USER).map_err(DataFaultError::Privileges)?;
    let user = user.ok_or(DataFaultError::NoUser)?;
    setgroups(&[])
        .and_then(|()| setgid(user.gid))
        .and_then(|()| setuid(user.uid))
        .map_err(DataFaultError::Privileges)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a2_the_page_is_the_files_text_bounded_and_never_empty() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("fault");
        assert!(page(&file).contains("nothing tells why"));
        std::fs::write(&file, "The data partition is missing.\n\u{1b}[31mPut it back.\n").unwrap();
        let told = page(&file);
        assert!(told.starts_with(HEAD) && told.contains("missing.\n[31mPut it back."), "{told}");
        std::fs::write(&file, "x".repeat(1 << 20)).unwrap();
        assert!(page(&file).len() < BOUND + 100);
    }
}
