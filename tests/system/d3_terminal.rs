//! The terminal goes through the device's own session, and the device decides who may have it.

use aerie_tests::{
    Agent, AgentOptions, Appliance, Owner, TerminalSocket, open_socket, open_socket_from, within,
};
use futures_util::{SinkExt, StreamExt};
use serde_json::json;
use std::time::Duration;
use tokio_tungstenite::tungstenite::Message;

async fn scene(options: &AgentOptions) -> (Appliance, Owner, Agent, String) {
    let appliance = Appliance::start().await;
    let owner = appliance.set_up().await;
    let agent = Agent::start_with(&owner.key, options);
    let id = owner.admit_one().await;
    (appliance, owner, agent, id)
}

#[tokio::test(flavor = "multi_thread")]
async fn d3_a_terminal_echoes_resizes_and_tells_how_it_ended() {
    let (_appliance, owner, _agent, id) = scene(&AgentOptions::default()).await;
    let mut terminal = TerminalSocket::open(&owner, &id).await;
    terminal.type_in("stty size; echo six times seven is $((6*7))\n").await;
    terminal.shows("24 80").await;
    terminal.shows("six times seven is 42").await;
    terminal.control(json!({"type": "resize", "rows": 30, "columns": 100})).await;
    terminal.type_in("stty size\n").await;
    terminal.shows("30 100").await;
    terminal.type_in("exit 3\n").await;
    let closed = terminal.closes().await;
    assert_eq!(closed["exitStatus"], 3, "{closed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn d3_an_untouched_device_asks_for_its_own_account_and_password() {
    let (_appliance, owner, _agent, id) = scene(&AgentOptions::with_login()).await;
    let mut terminal = TerminalSocket::open(&owner, &id).await;
    terminal.shows("login:").await;
    terminal.type_in("nobody-of-this-name\n").await;
    terminal.shows("assword:").await;
    terminal.type_in("wrong\n").await;
    terminal.shows("incorrect").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn d3_a_device_that_allows_no_terminal_gives_none() {
    let (_appliance, owner, _agent, id) = scene(&AgentOptions::without_terminal()).await;
    let device = owner.client.get(&format!("/devices/{id}")).await.expect(200).json();
    assert_eq!(device["aerie"]["terminalAllowed"], false);
    let refused = TerminalSocket::try_open(&owner, &id, None).await;
    assert!(refused.is_err(), "a terminal opened");
}

#[tokio::test(flavor = "multi_thread")]
async fn d3_endless_output_waits_for_the_reader_and_not_in_memory() {
    let (mut appliance, owner, _agent, id) = scene(&AgentOptions::default()).await;
    let mut terminal = TerminalSocket::open(&owner, &id).await;
    terminal.type_in("yes aerie\n").await;
    terminal.shows("aerie\r\naerie").await;
    let before = appliance.process().resident_memory();

    // A reader who acknowledges nothing gets 64 KiB and then silence, whatever the device prints.
    let mut came = terminal.unread();
    while tokio::time::timeout(Duration::from_secs(2), terminal.read_unacknowledged()).await.is_ok()
    {
        came = terminal.unread();
        assert!(came <= 128 * 1024, "{came} bytes came without being acknowledged");
    }
    assert!(came > 8 * 1024, "flow control holds back far too early: {came}");
    let after = appliance.process().resident_memory();
    assert!(
        after < before + (4 << 20),
        "waiting output grew the daemon by {} bytes",
        after - before
    );

    // And with acknowledgements it goes on.
    let waiting = terminal.unread();
    terminal.control(json!({"type": "ack", "bytes": waiting})).await;
    terminal.shows("aerie").await;
    terminal.type_in("\u{3}exit 0\n").await;
    assert_eq!(terminal.closes().await["exitStatus"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn d3_a_lost_terminal_comes_back_to_the_same_login_only() {
    let (appliance, owner, _agent, id) = scene(&AgentOptions::default()).await;
    let mut terminal = TerminalSocket::open(&owner, &id).await;
    terminal.type_in("mark=carried; echo re''ady\n").await;
    terminal.shows("ready").await;
    let terminal = terminal.vanish();

    let another = appliance.log_in().await;
    let refused = TerminalSocket::try_open(&another, &id, Some(&terminal)).await;
    assert!(refused.is_err(), "another login took the terminal over");

    let mut again = TerminalSocket::try_open(&owner, &id, Some(&terminal)).await.expect("attached");
    again.type_in("echo $mark over\n").await;
    again.shows("carried over").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn d3_logging_out_ends_the_terminal() {
    let (_appliance, owner, _agent, id) = scene(&AgentOptions::default()).await;
    let mut terminal = TerminalSocket::open(&owner, &id).await;
    terminal.type_in("echo he''re\n").await;
    terminal.shows("here").await;
    owner.client.post("/user/logout", json!({})).await.expect(200);
    let ended = tokio::time::timeout(Duration::from_secs(5), async {
        while terminal.read_unacknowledged().await {}
    });
    ended.await.expect("the terminal ends within five seconds");
}

#[tokio::test(flavor = "multi_thread")]
async fn d3_nothing_typed_is_kept() {
    let (mut appliance, owner, _agent, id) = scene(&AgentOptions::default()).await;
    let mut terminal = TerminalSocket::open(&owner, &id).await;
    terminal.type_in("stty -echo; echo spe''ak; read -r answer; stty echo\n").await;
    terminal.shows("speak").await;
    terminal.type_in("Tr0ub4dor-and-3-swans\n").await;
    terminal.type_in("echo length ${#answer}\n").await;
    terminal.shows("length 21").await;
    drop(terminal);
    appliance.terminate().await;
    for file in walk(&appliance.data()).into_iter().chain([appliance.folder().join("aerie.log")]) {
        let bytes = std::fs::read(&file).expect("a file");
        let found = bytes.windows(21).any(|window| window == b"Tr0ub4dor-and-3-swans");
        assert!(!found, "{} holds what was typed", file.display());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn d3_a_ticket_opens_one_socket_once_and_only_from_here() {
    let (_appliance, owner, _agent, id) = scene(&AgentOptions::default()).await;
    let ticket = owner.ticket("terminal", Some(&id)).await;
    let first = json!({"ticket": ticket, "rows": 24, "columns": 80}).to_string();

    let foreign = open_socket_from(&owner.client, "/nms/shell", "https://elsewhere.example").await;
    assert!(foreign.is_err(), "another origin was let in");

    let live =
        json!({"ticket": owner.ticket("live", None).await, "rows": 24, "columns": 80}).to_string();
    assert!(!opens(&owner, &live).await, "a ticket for the live socket opened a terminal");
    assert!(opens(&owner, &first).await, "a good ticket was refused");
    assert!(!opens(&owner, &first).await, "a ticket worked twice");
}

async fn opens(owner: &Owner, first: &str) -> bool {
    let mut socket = open_socket(&owner.client, "/nms/shell").await.expect("a socket");
    socket.send(Message::text(first)).await.expect("sent");
    within(Duration::from_secs(10), "an answer", async || match socket.next().await {
        Some(Ok(Message::Text(text))) => Some(text.contains("\"opened\"")),
        Some(Ok(Message::Ping(_) | Message::Pong(_))) => None,
        _ => Some(false),
    })
    .await
}

fn walk(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries =
        std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    entries.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
}
