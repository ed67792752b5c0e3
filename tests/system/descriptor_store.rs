//! Listeners outlive the daemon in systemd's descriptor store. The test plays systemd's part: it takes what the daemon
//! hands out over `NOTIFY_SOCKET` and gives it to the next life as `LISTEN_FDS`, by the documented protocol.

use aerie_tests::{Appliance, ApplianceOptions, binary, until};
use rustix::io::{FdFlags, fcntl_dupfd_cloexec, fcntl_setfd};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, recvmsg};
use std::fmt::Write as _;
use std::io::IoSliceMut;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use tokio::net::TcpStream;

/// Numbers from here on are not among those that a fresh process has.
const FAR: i32 = 100;

struct Manager {
    socket: UnixDatagram,
    kept: Vec<(String, OwnedFd)>,
    list: PathBuf,
}

impl Manager {
    fn new(folder: &Path) -> Self {
        let socket = UnixDatagram::bind(folder.join("notify")).expect("a socket");
        socket.set_nonblocking(true).expect("a socket that does not wait");
        Self { socket, kept: Vec::new(), list: folder.join("kept") }
    }

    /// A program that starts the daemon as systemd would.
    fn starter(&self, folder: &Path) -> PathBuf {
        let script = format!(
            "#!/bin/bash\nexport NOTIFY_SOCKET='{}'\nn=3 names=\n\
             if [ -s '{kept}' ]; then\n  while read -r name fd; do\n    eval \"exec $n<&$fd\"\n    \
             names=$names:$name n=$((n + 1))\n  done < '{kept}'\n  \
             export LISTEN_PID=$$ LISTEN_FDS=$((n - 3)) LISTEN_FDNAMES=${{names#:}}\nfi\n\
             exec '{}' \"$@\"\n",
            folder.join("notify").display(),
            binary("aerie").display(),
            kept = self.list.display(),
        );
        let path = folder.join("start");
        std::fs::write(&path, script).expect("a script");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("its mode");
        path
    }

    /// Takes in all messages that have come.
    fn listen(&mut self) {
        let mut text = [0; 4096];
        let mut room = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(8))];
        loop {
            let mut ancillary = RecvAncillaryBuffer::new(&mut room);
            let mut into = [IoSliceMut::new(&mut text)];
            let Ok(got) = recvmsg(&self.socket, &mut into, &mut ancillary, RecvFlags::CMSG_CLOEXEC)
            else {
                return;
            };
            assert!(!got.flags.contains(ReturnFlags::TRUNC), "a message was cut");
            let handed: Vec<OwnedFd> = ancillary
                .drain()
                .filter_map(|message| match message {
                    RecvAncillaryMessage::ScmRights(handed) => Some(handed),
                    _ => None,
                })
                .flatten()
                .collect();
            let said = String::from_utf8_lossy(&text[..got.bytes]).into_owned();
            let value =
                |key: &str| said.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
            let name = value("FDNAME").unwrap_or_default().to_owned();
            if value("FDSTORE").is_some() {
                self.kept.extend(handed.into_iter().map(|handed| (name.clone(), handed)));
            } else if value("FDSTOREREMOVE").is_some() {
                self.kept.retain(|(kept, _)| *kept != name);
            }
        }
    }

    /// Opens what was kept to the next process that is started.
    fn hand_on(&self) -> Vec<OwnedFd> {
        let mut list = String::new();
        let mut open = Vec::new();
        for (name, kept) in &self.kept {
            let far = fcntl_dupfd_cloexec(kept, FAR).expect("a twin");
            fcntl_setfd(&far, FdFlags::empty()).expect("an open one");
            writeln!(list, "{name} {}", far.as_raw_fd()).expect("text");
            open.push(far);
        }
        std::fs::write(&self.list, list).expect("a list");
        open
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_connects_while_the_daemon_is_down_is_served_when_it_is_back() {
    let folder = TempDir::new().expect("a folder");
    let mut manager = Manager::new(folder.path());
    let starter = manager.starter(folder.path());
    let options = ApplianceOptions { binary: Some(starter), ..ApplianceOptions::default() };
    let mut appliance = Appliance::start_with(options).await;
    let owner = appliance.set_up().await;
    manager.listen();
    assert_eq!(manager.kept.len(), 2, "HTTP and HTTPS: {:?}", manager.kept);
    appliance.kill().await;

    // The kernel queues whoever comes now.
    let early = TcpStream::connect(appliance.https()).await.expect("the port is still open");
    let open = manager.hand_on();
    appliance.start_again().await;
    drop(open);
    until("the early one gets its answer", async || {
        owner.client.get("/nms/version").await.expect(200);
        Some(())
    })
    .await;
    let greeted = owner.client.greet(early).await;
    assert!(greeted.is_ok(), "who came early was dropped: {greeted:?}");

    // A port that is closed for good leaves the store.
    manager.kept.clear();
    manager.listen();
    let before = manager.kept.len();
    assert_eq!(before, 2, "they are handed out again: {:?}", manager.kept);
    let mut ports = owner.client.get("/nms/ports").await.expect(200).json()["applied"].clone();
    ports["http"] = serde_json::json!([]);
    owner.step_up().await;
    owner.client.put("/nms/ports", ports).await.expect(200);
    until("it is taken out of the store", async || {
        manager.listen();
        (manager.kept.len() == before - 1).then_some(())
    })
    .await;
}
