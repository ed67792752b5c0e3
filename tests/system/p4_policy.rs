//! What TLS the ports speak, asked by OpenSSL and by a client with ideas of its own, and what a crowd of halves costs.

use aerie_tests::{
    Appliance, ApplianceOptions, Printed, accept_any_certificate, accept_any_certificate_with,
    allow_open_files, run_tool,
};
use rustls::crypto::aws_lc_rs::{self, kx_group};
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, NamedGroup};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio_rustls::TlsConnector;

const MIB: u64 = 1 << 20;

async fn both_ports() -> (Appliance, [SocketAddr; 2]) {
    let options = ApplianceOptions { separate_inform: true, ..ApplianceOptions::default() };
    let appliance = Appliance::start_with(options).await;
    let ports = [appliance.https(), appliance.inform()];
    (appliance, ports)
}

/// `openssl s_client`, which asks for a page and waits for the answer.
async fn s_client(to: SocketAddr, arguments: &[&str]) -> Printed {
    let request = r"printf 'GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n'";
    let mut command = Command::new("sh");
    command.args([
        "-c",
        &format!("{request} | openssl s_client -ign_eof -connect {to} \"$@\""),
        "-",
    ]);
    command.args(arguments);
    run_tool(command).await
}

#[tokio::test(flavor = "multi_thread")]
async fn p4_openssl_resumes_its_sessions_in_both_versions_on_both_ports() {
    let (appliance, ports) = both_ports().await;
    for to in ports {
        for (version, name) in [("-tls1_3", "TLSv1.3"), ("-tls1_2", "TLSv1.2")] {
            let file = appliance.folder().join(format!("session-{}{version}", to.port()));
            let file = file.to_str().expect("a path");
            let first = s_client(to, &[version, "-sess_out", file]).await;
            assert!(first.output.contains(&format!("New, {name}")), "{}", first.everything);
            let again = s_client(to, &[version, "-sess_in", file]).await;
            assert!(again.output.contains(&format!("Reused, {name}")), "{}", again.everything);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p4_old_versions_and_weak_suites_are_refused() {
    let (appliance, ports) = both_ports().await;
    for to in ports {
        for refused in [
            &["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"][..],
            &["-tls1", "-cipher", "ALL:@SECLEVEL=0"],
            &["-tls1_2", "-cipher", "kRSA:@SECLEVEL=0"],
            &["-tls1_2", "-cipher", "kDHE:@SECLEVEL=0"],
            &["-tls1_2", "-cipher", "ECDHE+AES+SHA1:ECDHE+AES+SHA256:ECDHE+SHA384:@SECLEVEL=0"],
            &["-tls1_2", "-cipher", "aNULL:eNULL:@SECLEVEL=0"],
            &["-tls1_3", "-groups", "P-521"],
        ] {
            let printed = s_client(to, refused).await;
            let said = printed.everything;
            assert!(said.contains("Cipher is (NONE)"), "{refused:?} was taken: {said}");
            assert!(said.contains("alert"), "{refused:?} was not told why: {said}");
        }
    }
    assert_eq!(appliance.client().health().await, Some(200));
}

#[tokio::test(flavor = "multi_thread")]
async fn p4_a_name_that_is_not_ours_and_no_name_get_the_default_certificate() {
    let (_appliance, ports) = both_ports().await;
    for to in ports {
        let mut shown = Vec::new();
        for name in [
            &["-servername", "localhost"][..],
            &["-servername", "bank.example"],
            &["-noservername"],
        ] {
            let printed = s_client(to, name).await;
            let (_, rest) = printed.output.split_once("-----BEGIN CERTIFICATE-----").expect("one");
            shown.push(rest.split("-----END").next().unwrap_or_default().to_owned());
        }
        assert!(shown.iter().all(|one| *one == shown[0]), "{shown:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p4_the_hybrid_exchange_is_chosen_wherever_a_client_comes_with_it() {
    let (_appliance, ports) = both_ports().await;
    let hybrid = kx_group::X25519MLKEM768;
    let classic = [kx_group::X25519, kx_group::SECP256R1, kx_group::SECP384R1];
    // A client that puts the hybrid first sends a share of X25519 beside it, so that the server has the choice.
    let mut offers = vec![(vec![hybrid, kx_group::X25519], NamedGroup::X25519MLKEM768)];
    offers.extend(classic.map(|group| (vec![group], group.name())));
    for to in ports {
        for (groups, expected) in &offers {
            let mut provider = aws_lc_rs::default_provider();
            provider.kx_groups.clone_from(groups);
            let config = accept_any_certificate_with(provider);
            let tcp = TcpStream::connect(to).await.expect("a connection");
            let name = ServerName::try_from("localhost").expect("a name");
            let connector = TlsConnector::from(Arc::new(config));
            let stream = connector.connect(name, tcp).await.expect("a handshake");
            let group = stream.get_ref().1.negotiated_key_exchange_group().expect("a group");
            assert_eq!(group.name(), *expected);
        }
    }
}

/// The first half of a client's first message.
fn half_a_hello() -> Vec<u8> {
    let name = ServerName::try_from("localhost").expect("a name");
    let mut client = ClientConnection::new(Arc::new(accept_any_certificate()), name).expect("one");
    let mut hello = Vec::new();
    client.write_tls(&mut hello).expect("a hello");
    hello.truncate(hello.len() / 2);
    hello
}

#[tokio::test(flavor = "multi_thread")]
async fn p4_ten_thousand_halves_of_a_handshake_cost_little_and_keep_nobody_out() {
    const CROWD: usize = 10_000;
    allow_open_files(2 * CROWD as u64).expect("open files");
    let mut appliance = Appliance::start().await;
    let owner = appliance.set_up().await;
    let before = appliance.process().resident_memory();
    let (to, hello) = (appliance.https(), half_a_hello());
    let mut halves = Vec::with_capacity(CROWD);
    for number in 0..CROWD {
        let mut tcp = TcpStream::connect(to).await.expect("a connection");
        // Some have been sent away already when later ones come.
        drop(tcp.write_all(&hello).await);
        halves.push(tcp);
        if number % 2_500 == 0 {
            owner.client.get("/devices").await.expect(200);
        }
    }
    // All of them at once, and somebody who has to prove a password as well.
    let fresh = appliance.log_in().await;
    fresh.client.get("/devices").await.expect(200);
    let grown = appliance.process().resident_memory().saturating_sub(before);
    assert!(grown < 96 * MIB, "{CROWD} half handshakes cost {} MiB", grown / MIB);
    // None of them is kept for ever.
    for mut half in halves {
        let ended = async { while half.read_u8().await.is_ok() {} };
        tokio::time::timeout(Duration::from_secs(90), ended).await.expect("sent away in time");
    }
}
