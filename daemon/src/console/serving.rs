//! The daemon's end of the socket.

use std::fs::{self, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use nix::unistd::geteuid;
use tokio::net::{UnixListener, UnixStream};

use super::frame::{ANSWER_BYTES, QUESTION_BYTES};
use super::welcome::welcome;
use super::{Answer, Question, SOCKET, Telling, answer, frame};
use crate::accounts::Accounts;
use crate::supervisor::{Heartbeat, Supervisor};

/// How long one question may take, its hash included.
const PATIENCE: Duration = Duration::from_secs(30);
/// The deadline of the task: twice that.
const DEADLINE: Duration = Duration::from_mins(1);

/// Who can answer.
struct Desk {
    accounts: Accounts,
    telling: Box<Telling>,
}

/// Listens beside the store, whose lock says that no other daemon does. Where the system gives no
/// socket, the daemon runs without: stopped, the console still works on the store.
pub fn serve(accounts: Accounts, telling: Box<Telling>, data_dir: &Path, supervisor: &Supervisor) {
    let path = data_dir.join(SOCKET);
    let listener = match listen(&path) {
        Ok(listener) => listener,
        Err(error) => {
            let file = path.display();
            tracing::warn!(%error, %file, "the console's socket cannot be opened");
            return;
        }
    };
    let stop = supervisor.token();
    supervisor.spawn_essential("console", DEADLINE, async move |heartbeat| {
        let desk = Desk { accounts, telling };
        stop.run_until_cancelled(one_by_one(&desk, &listener, heartbeat)).await;
        fs::remove_file(&path).ok();
    });
}

fn listen(path: &Path) -> io::Result<UnixListener> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    fs::set_permissions(path, Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// One after the other: nobody but the owner comes here.
async fn one_by_one(desk: &Desk, listener: &UnixListener, mut heartbeat: Heartbeat) {
    loop {
        let served = match heartbeat.during(listener.accept()).await {
            Ok((stream, _)) => tokio::time::timeout(PATIENCE, talk(desk, stream)).await,
            Err(error) => {
                tracing::warn!(%error, "the console's socket does not accept");
                // Out of descriptors, most likely: they come back.
                tokio::time::sleep(Duration::from_secs(1)).await;
                continue;
            }
        };
        match served {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "a talk on the console failed"),
            Err(_) => tracing::warn!("a talk on the console took too long"),
        }
    }
}

async fn talk(desk: &Desk, mut stream: UnixStream) -> io::Result<()> {
    let peer = stream.peer_cred()?.uid();
    if !may_ask(peer, geteuid().as_raw()) {
        return Err(io::Error::new(ErrorKind::PermissionDenied, format!("user {peer} asked")));
    }
    let question = frame::read(&mut stream, QUESTION_BYTES).await?;
    let answer = match question {
        Question::Running => Answer::Running((desk.telling)()),
        Question::Welcome => {
            let code = desk.accounts.setup_code();
            Answer::Done(welcome((desk.telling)().urls, code.as_ref().map(|code| code.as_str())))
        }
        question => answer(&desk.accounts, &question).await,
    };
    frame::write(&mut stream, &answer, ANSWER_BYTES).await
}

/// Root, and whoever the daemon runs as.
fn may_ask(peer: u32, own: u32) -> bool {
    peer == 0 || peer == own
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn l3_root_and_the_daemons_own_user_may_ask_and_nobody_else() {
        assert!(may_ask(0, 990) && may_ask(990, 990));
        assert!(!may_ask(1000, 990) && !may_ask(990, 0));
    }
}
