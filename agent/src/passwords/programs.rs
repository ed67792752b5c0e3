//! The two programs of the machine that are asked: `chpasswd` and `unix_chkpwd`.
//!
//! Both get what they need by a pipe, since everybody reads a process's arguments, and both have
//! a time in which they must be done.

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    process::{Child, Command},
    time::timeout,
};
use zeroize::Zeroizing;

/// Where a system's programs are. Not the `PATH` that the agent was started with: this is root's.
const FOLDERS: [&str; 4] = ["/usr/sbin", "/sbin", "/usr/bin", "/bin"];
/// How long a program may take. The appliance has to hear from the device meanwhile.
const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes of a complaint that are passed on.
const LONGEST_COMPLAINT: usize = 240;
/// What `unix_chkpwd` says of a wrong password (`PAM_AUTH_ERR`).
const WRONG: i32 = 7;

/// What a program says to a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Yes,
    No,
    /// There is no such program, or it does not say.
    None,
}

/// Gives an account an entry. `holding` is closed with the last process that changes accounts.
pub(super) async fn set(account: &str, entry: &str, holding: File) -> Result<(), String> {
    let mut command = chpasswd()?;
    command.arg("-e").stdout(Stdio::from(holding)).stderr(Stdio::piped());
    let line = Zeroizing::new(format!("{account}:{entry}\n"));
    let run = async {
        let mut child = start(command, line.as_bytes()).await?;
        let mut complaint = String::new();
        if let Some(errors) = child.stderr.take() {
            let limit = u64::try_from(LONGEST_COMPLAINT).unwrap_or(u64::MAX);
            // What is no text says nothing to anybody.
            drop(errors.take(limit).read_to_string(&mut complaint).await);
        }
        let status = child.wait().await.map_err(|error| format!("chpasswd: {error}"))?;
        let complaint = complaint.split_whitespace().collect::<Vec<_>>().join(" ");
        if status.success() { Ok(()) } else { Err(format!("chpasswd: {status}: {complaint}")) }
    };
    timeout(PATIENCE, run).await.unwrap_or_else(|_| {
        Err(format!(
            "chpasswd did not end within {} s: is another program changing accounts on the device?",
            PATIENCE.as_secs()
        ))
    })
}

/// Whether PAM's own checker lets somebody in with this password.
pub(super) async fn check(account: &str, password: &str) -> Answer {
    let Some(program) = find("unix_chkpwd") else { return Answer::None };
    let mut command = Command::new(program);
    command.arg(account).arg("nonull").stdout(Stdio::null()).stderr(Stdio::null());
    let mut input = Zeroizing::new(Vec::with_capacity(password.len() + 1));
    input.extend_from_slice(password.as_bytes());
    input.push(0);
    let run =
        async { start(command, &input).await?.wait().await.map_err(|error| error.to_string()) };
    match timeout(PATIENCE, run).await {
        Ok(Ok(status)) if status.success() => Answer::Yes,
        Ok(Ok(status)) if status.code() == Some(WRONG) => Answer::No,
        other => {
            tracing::debug!(?other, "unix_chkpwd does not say");
            Answer::None
        }
    }
}

/// Starts a program and gives it all its input.
async fn start(mut command: Command, input: &[u8]) -> Result<Child, String> {
    command.env_clear().env("LC_ALL", "C").current_dir("/").stdin(Stdio::piped());
    let mut child = command.kill_on_drop(true).spawn().map_err(|error| {
        format!("cannot start {}: {error}", command.as_std().get_program().display())
    })?;
    if let Some(mut stdin) = child.stdin.take() {
        // One that has ended already says by its status why.
        drop(stdin.write_all(input).await);
    }
    Ok(child)
}

/// The one of shadow-utils, or that of `BusyBox`.
fn chpasswd() -> Result<Command, String> {
    if let Some(program) = find("chpasswd") {
        return Ok(Command::new(program));
    }
    Err("this device has no chpasswd, which sets passwords: install the package with it (Debian: passwd; elsewhere shadow-utils, or a BusyBox with the applet)".to_owned())
}

fn find(program: &str) -> Option<PathBuf> {
    FOLDERS.iter().map(|folder| Path::new(folder).join(program)).find(|path| path.is_file())
}
