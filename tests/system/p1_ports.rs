//! Which ports are open, seen from another machine, and what is behind each.

use aerie_protocol::noise::StaticKey;
use aerie_tests::{
    Appliance, ApplianceOptions, Authority, Client, Listen, PATIENCE, PRIVATE, PUBLIC, RawDevice,
    Stage, Wire, on_stage, within,
};
use hyper::{HeaderMap, Method};
use serde_json::json;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// Every port of an address that takes a connection from the other end of the link.
async fn open_ports(stage: &Stage, address: IpAddr) -> Vec<u16> {
    stage
        .outside(async move || {
            let mut tries = JoinSet::new();
            let mut open = Vec::new();
            for port in 1..=u16::MAX {
                if tries.len() >= 256 {
                    open.extend(tries.join_next().await.and_then(Result::unwrap));
                }
                tries.spawn(async move {
                    TcpStream::connect((address, port)).await.is_ok().then_some(port)
                });
            }
            open.extend(tries.join_all().await.into_iter().flatten());
            open.sort_unstable();
            open
        })
        .await
}

async fn appliance(listen: Listen) -> Appliance {
    let options = ApplianceOptions { listen: Some(listen), ..ApplianceOptions::default() };
    Appliance::start_with(options).await
}

fn everywhere(port: u16) -> Vec<SocketAddr> {
    vec![SocketAddr::from(([0, 0, 0, 0], port))]
}

/// The status of GET `path` at the other end.
async fn asked_from_outside(stage: &Stage, to: SocketAddr, path: &'static str) -> u16 {
    stage
        .outside(async move || {
            let answer =
                Client::new(to).send(Method::GET, path, HeaderMap::new(), Vec::new()).await;
            answer.status
        })
        .await
}

/// The first line of the answer to a device's knock from outside.
async fn knocked(stage: &Stage, to: SocketAddr) -> String {
    stage
        .outside(async move || {
            let wire = Wire::offering(to, aerie_protocol::SUBPROTOCOL).await.expect("an answer");
            wire.answer.lines().next().unwrap_or_default().to_owned()
        })
        .await
}

#[test]
fn p1_by_default_the_network_sees_ports_80_and_443_and_no_other() {
    on_stage(
        "p1_ports::p1_by_default_the_network_sees_ports_80_and_443_and_no_other",
        async |stage| {
            let listen =
                Listen { http: everywhere(80), https: everywhere(443), inform: Vec::new() };
            let _appliance = appliance(listen).await;
            for address in [PRIVATE, PUBLIC] {
                assert_eq!(open_ports(&stage, address).await, [80, 443]);
            }
            assert_eq!(asked_from_outside(&stage, (PUBLIC, 443).into(), "/healthz").await, 200);
            let knock = knocked(&stage, (PUBLIC, 443).into()).await;
            assert!(knock.contains(" 101 "), "{knock}");
            let redirect = stage.outside(async || {
                let plain = Client::new((PUBLIC, 80).into());
                plain.send_plain(Method::GET, "aerie.example", "/devices").await
            });
            let redirect = redirect.await;
            let target = redirect.header("location");
            assert_eq!((redirect.status, target), (308, Some("https://aerie.example/devices")));
        },
    );
}

#[test]
fn p5_a_separate_inform_port_serves_devices_alone_and_the_gui_is_on_the_private_address_alone() {
    on_stage(
        "p1_ports::p5_a_separate_inform_port_serves_devices_alone_and_the_gui_is_on_the_private_address_alone",
        async |stage| {
            let (gui, inform) = (SocketAddr::from((PRIVATE, 443)), SocketAddr::from((PUBLIC, 443)));
            let http = vec![SocketAddr::from((PRIVATE, 80))];
            let appliance =
                appliance(Listen { http, https: vec![gui], inform: vec![inform] }).await;
            let owner = appliance.set_up().await;
            assert_eq!(open_ports(&stage, PRIVATE).await, [80, 443]);
            assert_eq!(open_ports(&stage, PUBLIC).await, [443]);

            let knock = knocked(&stage, gui).await;
            assert!(knock.contains(" 404 "), "the GUI's port let a device in: {knock}");
            for path in ["/", "/nms/", "/nms/api/v2.1/nms/setup", "/healthz", "/metrics", "/nms/ws"]
            {
                let status = asked_from_outside(&stage, inform, path).await;
                assert_eq!(status, 404, "{path} on the inform port");
                let status = asked_from_outside(&stage, gui, path).await;
                assert_ne!(status, 404, "{path} on the GUI's port");
            }
            let knock = knocked(&stage, inform).await;
            assert!(knock.contains(" 101 "), "{knock}");

            let key = owner.key.clone();
            let device = stage.outside(async move || {
                let own = StaticKey::generate().expect("a key");
                RawDevice::knock(inform, &key, &own, "router").await.is_some()
            });
            assert!(device.await, "a device does not get in by the inform port");
            assert_eq!(owner.sees(1).await[0]["identification"]["hostname"], "router");
        },
    );
}

#[test]
fn p1_a_plain_port_that_nobody_wants_is_not_open() {
    on_stage("p1_ports::p1_a_plain_port_that_nobody_wants_is_not_open", async |stage| {
        let listen = Listen { https: everywhere(8443), ..Listen::default() };
        let mut appliance = appliance(listen).await;
        assert_eq!(open_ports(&stage, PUBLIC).await, [8443]);
        // When it has ended, nothing is left open.
        appliance.terminate().await;
        within(Duration::from_secs(10), "all ports are closed", async || {
            open_ports(&stage, PUBLIC).await.is_empty().then_some(())
        })
        .await;
    });
}

#[test]
fn p3_with_the_owners_own_certificate_port_80_is_not_open_at_all() {
    on_stage(
        "p1_ports::p3_with_the_owners_own_certificate_port_80_is_not_open_at_all",
        async |stage| {
            let listen =
                Listen { http: everywhere(80), https: everywhere(443), inform: Vec::new() };
            let appliance = appliance(listen).await;
            let owner = appliance.set_up_as("aerie.example").await;
            assert_eq!(open_ports(&stage, PUBLIC).await, [80, 443]);
            let own = Authority::new().issue(&["aerie.example"], 90);
            appliance.use_certificate(&owner, &own).await;
            within(PATIENCE, "port 80 is closed", async || {
                (open_ports(&stage, PUBLIC).await == [443]).then_some(())
            })
            .await;
            owner.step_up().await;
            let back = owner.client.put("/nms/certificate/self-signed", json!({})).await;
            back.expect(200);
            within(PATIENCE, "port 80 is open again", async || {
                (open_ports(&stage, PUBLIC).await == [80, 443]).then_some(())
            })
            .await;
        },
    );
}
