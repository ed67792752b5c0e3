//! The process that `aerie-agent run` starts as, where that is root's.

use std::{
    ffi::OsString,
    io,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use aerie_protocol::key::DeviceKey;
use nix::unistd::User;
use tokio::{
    process::{Child, Command},
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{SeparationError, root::serve, socket::pair};
use crate::{
    host::{Direct, Roots},
    policy::Policy,
    state::{Owner, Running},
};

/// The account to run under, and the one that every system has.
const OWN_ACCOUNT: &str = "aerie-agent";
const SHARED_ACCOUNT: &str = "nobody";
/// What the worker keeps of the environment.
const KEPT: [&str; 1] = ["RUST_LOG"];
/// How long a goodbye may take, with programs in terminals that take their time.
const FAREWELL: Duration = Duration::from_secs(10);
/// How long either side may outlive the other.
const LINGER: Duration = Duration::from_secs(4);

/// What `aerie-agent run` was told.
#[derive(Debug)]
pub struct Setup {
    /// The state directory.
    pub state: PathBuf,
    /// What this device allows.
    pub policy: Policy,
    /// The key to offer to the device.
    pub key: Option<DeviceKey>,
    /// The account to run under; without one, the usual ones are tried.
    pub user: Option<String>,
}

/// Starts the worker and serves it until either is asked to stop or ends. Answers how the worker
/// ended.
pub async fn start(setup: Setup, stop: &CancellationToken) -> Result<ExitStatus, SeparationError> {
    let Setup { state, policy, key, user } = setup;
    let account = account(user.as_deref())?;
    let owner = Owner { uid: account.uid.as_raw(), gid: account.gid.as_raw() };
    // Held until both processes have ended.
    let running = Running::hand_over(&state, owner).map_err(SeparationError::State)?;
    let (ours, theirs) = pair().map_err(SeparationError::Spawn)?;
    let mut worker = spawn(&state, &running, owner, theirs).map_err(SeparationError::Spawn)?;
    tracing::info!(
        account = account.name,
        process = worker.id(),
        "what touches the network runs in a process of its own, without root's rights"
    );
    let roots = Roots::default();
    let direct = Direct::new(policy, roots.sys.clone()).with_passwords(&roots, &state);
    attend(serve(ours, direct, &roots, key, stop), &mut worker, stop).await
}

/// Serves the worker until one of both ends, and sees to it that both have.
async fn attend(
    serving: impl Future<Output = Result<(), SeparationError>>,
    worker: &mut Child,
    stop: &CancellationToken,
) -> Result<ExitStatus, SeparationError> {
    let overdue = async {
        stop.cancelled().await;
        sleep(FAREWELL).await;
    };
    let mut serving = std::pin::pin!(serving);
    let served = tokio::select! {
        served = &mut serving => Some(served),
        _ = worker.wait() => None,
        () = overdue => None,
    };
    let status = end(worker).await.map_err(SeparationError::Spawn)?;
    let served = match served {
        Some(served) => served,
        // The socket is closed with the worker. Whatever still holds an end of it is no worker.
        None => timeout(LINGER, serving).await.unwrap_or(Ok(())),
    };
    match served {
        // A worker that ended by itself has said why.
        Err(error) if status.code().is_none_or(|code| code == 0) => Err(error),
        _ => Ok(status),
    }
}

async fn end(worker: &mut Child) -> io::Result<ExitStatus> {
    if let Ok(status) = timeout(LINGER, worker.wait()).await {
        return status;
    }
    tracing::warn!("the unprivileged process does not end: killing it");
    worker.start_kill()?;
    worker.wait().await
}

fn account(name: Option<&str>) -> Result<User, SeparationError> {
    let account = if let Some(name) = name {
        find(name)?.ok_or_else(|| SeparationError::NoAccount { name: name.to_owned() })?
    } else if let Some(account) = find(OWN_ACCOUNT)? {
        account
    } else {
        tracing::warn!(
            "there is no account `{OWN_ACCOUNT}`: sharing `{SHARED_ACCOUNT}` with whatever else uses it"
        );
        find(SHARED_ACCOUNT)?.ok_or(SeparationError::NoUsualAccount)?
    };
    if account.uid.is_root() || account.gid.as_raw() == 0 {
        return Err(SeparationError::Root { name: account.name });
    }
    Ok(account)
}

fn find(name: &str) -> Result<Option<User>, SeparationError> {
    User::from_name(name).map_err(|errno| SeparationError::Lookup(errno.into()))
}

/// Starts this very program again, as somebody without rights, in the state directory: from there
/// it reaches its state even if it may not walk the whole way to it.
fn spawn(state: &Path, running: &Running, owner: Owner, socket: OwnedFd) -> io::Result<Child> {
    // The running program even after an update has replaced the file, and wherever it lies.
    let mut command = Command::new("/proc/self/exe");
    command
        .arg0("aerie-agent")
        .arg("worker")
        .arg("--state")
        .arg(state)
        .env_clear()
        .envs(KEPT.iter().filter_map(|name| Some((*name, std::env::var_os(name)?))))
        .envs(authorities()?.map(|path| ("SSL_CERT_FILE", path)))
        .stdin(Stdio::from(socket))
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .gid(owner.gid)
        // The standard library drops root's supplementary groups along with the user id.
        .uid(owner.uid);
    running.enter()?;
    let worker = command.spawn();
    std::env::set_current_dir("/")?;
    worker
}

/// A path counts from the directory that the agent was started in.
fn authorities() -> io::Result<Option<OsString>> {
    let named = std::env::var_os("SSL_CERT_FILE");
    Ok(named.map(std::path::absolute).transpose()?.map(PathBuf::into_os_string))
}
