//! What answers where the data partition cannot be used.

use aerie_tests::{Client, Process, binary, until, with_own_accounts};
use hyper::Method;
use nix::sys::signal::Signal;
use std::net::SocketAddr;
use std::time::Duration;
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::process::Command;

#[test]
fn a2_a_data_fault_is_told_on_one_page_without_a_privilege() {
    let test = "a2_data_fault::a2_a_data_fault_is_told_on_one_page_without_a_privilege";
    with_own_accounts(test, "aerie", "unused", async || {
        let folder = TempDir::new().expect("a folder");
        let fault = folder.path().join("fault");
        std::fs::write(&fault, "The data partition is missing.\x1b[2J Put it back.\n")
            .expect("written");
        let mut command = Command::new(binary("aerie"));
        command.args(["data-fault", "--listen", "127.0.0.1:0", "--text-file"]).arg(&fault);
        let mut process = Process::start("aerie", command, &folder.path().join("log"));
        let address: SocketAddr = until("it listens", async || {
            let printed = process.printed();
            let address = printed.split_once("address=")?.1;
            address.split_whitespace().next()?.parse().ok()
        })
        .await;
        until("it is nobody special", async || {
            let status = std::fs::read_to_string(format!("/proc/{}/status", process.id()));
            let status = status.expect("its status");
            let has = |line: &str| status.lines().any(|one| one == line);
            (has("Uid:\t4711\t4711\t4711\t4711")
                && has("Gid:\t4711\t4711\t4711\t4711")
                && has("CapEff:\t0000000000000000"))
            .then_some(())
        })
        .await;
        // More than it takes in at once, and none of them says anything.
        let mut silent = Vec::new();
        for _ in 0..100 {
            silent.push(TcpStream::connect(address).await.expect("a connection"));
        }
        for path in ["/", "/nms/login?x=y", "/healthz"] {
            let answer = Client::new(address).send_plain(Method::GET, "box.example", path).await;
            assert_eq!(answer.status, 503, "{path}");
            let page = answer.text();
            assert!(page.contains("data partition is missing.[2J Put it back."), "{page}");
            for (name, value) in [
                ("content-type", "text/plain; charset=utf-8"),
                ("x-content-type-options", "nosniff"),
                ("x-frame-options", "DENY"),
                ("cache-control", "no-store"),
                ("retry-after", "30"),
            ] {
                assert_eq!(answer.header(name), Some(value), "{name}");
            }
        }
        drop(silent);
        process.signal(Signal::SIGTERM);
        assert!(process.ended(Duration::from_secs(10)).await.success());
    });
}
