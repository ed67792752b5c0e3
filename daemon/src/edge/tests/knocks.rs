//! Devices at the door.

use std::num::NonZeroU32;

use aerie_protocol::inform::{self, FromDevice, Hello, from_appliance, from_device};
use aerie_protocol::key::DeviceKey;
use aerie_protocol::noise::{FirstContact, StaticKey};

use super::*;

#[tokio::test]
async fn d1_a_device_that_knocks_at_the_root_gets_through_to_the_devices() {
    let house = house(false).await;
    let (stream, head) = house.knock(house.https(), &knock_of("other, aerie.inform.v1")).await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    assert!(head.contains("sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"), "{head}");
    assert!(head.contains("sec-websocket-protocol: aerie.inform.v1\r\n"), "{head}");

    let mut socket = WebSocketStream::from_raw_socket(stream, Role::Client, None).await;
    let key = DeviceKey::parse(&house.devices.keys().device_key().unwrap()).unwrap();
    let own = StaticKey::generate().unwrap();
    let (handshake, opening) = FirstContact::start(&own, &key.secret).unwrap();
    socket.send(Message::Binary(opening.into())).await.unwrap();
    let reply = next(&mut socket).await;
    let reply = handshake.read_reply(&reply, |appliance| Some(*appliance) == key.pin).unwrap();
    let mut session = reply.session;
    socket.send(Message::Binary(reply.third.unwrap().into())).await.unwrap();
    let hello = Hello { mac: vec![2; 6], hostname: "mast-1".to_owned(), ..Hello::default() };
    let (mut plain, mut sealed) = (Vec::new(), Vec::new());
    let hello = FromDevice::from(from_device::Body::Hello(hello));
    inform::encode_from_device(&hello, &mut plain).unwrap();
    session.seal(&plain, &mut sealed).unwrap();
    socket.send(Message::Binary(sealed.into())).await.unwrap();
    let answer = next(&mut socket).await;
    let mut plain = Vec::new();
    session.open(&answer, &mut plain).unwrap();
    let answer = inform::decode_from_appliance(&plain).unwrap().body;
    assert!(matches!(answer, Some(from_appliance::Body::Waiting(_))), "{answer:?}");
    assert_eq!(house.devices.counts().unauthorized, 1);
}

#[tokio::test]
async fn what_a_device_sends_right_behind_its_knock_is_not_lost() {
    let house = house(false).await;
    let mut stream = house.tls(house.https()).await;
    let mut request = knock_of("aerie.inform.v1").into_bytes();
    // A masked binary frame of one byte: no opening of any handshake.
    request.extend([0x82, 0x81, 0, 0, 0, 0, 0xff]);
    stream.write_all(&request).await.unwrap();
    let answer = rest(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
    assert!(answer.ends_with("device key not accepted"), "{answer}");
    assert!(logged(&house.devices).contains("127.0.0.1 was refused"));
}

#[tokio::test]
async fn a_vendors_device_is_answered_politely_and_listed() {
    let house = house(false).await;
    let (mut stream, head) = house.knock(house.https(), &knock_of("unms2")).await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    assert!(head.contains("sec-websocket-protocol: unms2\r\n"), "{head}");
    let mut close = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut close)).await.unwrap().unwrap();
    // Final, close, its length, code 1000.
    assert_eq!(close[..4], [0x88, u8::try_from(close.len() - 2).unwrap(), 0x03, 0xe8]);
    assert!(close.ends_with(b"not public"));
    assert!(logged(&house.devices).contains("vendor device was seen at 127.0.0.1"));
}

#[tokio::test]
async fn a_knock_that_is_none_of_ours_is_told_what_to_do() {
    let house = house(false).await;
    let (_stream, head) = house.knock(house.https(), &knock_without()).await;
    assert!(head.starts_with("HTTP/1.1 400 "), "{head}");
    assert!(head.contains("x-content-type-options: nosniff"), "{head}");
    let (_stream, head) = house.knock(house.https(), &knock_of("mqtt")).await;
    assert!(head.starts_with("HTTP/1.1 400 "), "{head}");
    let old = knock_of("aerie.inform.v1").replace("Version: 13", "Version: 8");
    let (_stream, head) = house.knock(house.https(), &old).await;
    assert!(head.starts_with("HTTP/1.1 426 "), "{head}");
    assert!(head.contains("sec-websocket-version: 13"), "{head}");
    let keyless = knock_of("aerie.inform.v1").replace("dGhl", "");
    let (_stream, head) = house.knock(house.https(), &keyless).await;
    assert!(head.starts_with("HTTP/1.1 400 "), "{head}");
}

#[tokio::test]
async fn a_separate_inform_port_serves_devices_alone_and_the_gui_port_none() {
    let house = house(true).await;
    let (gui, inform) = (house.https(), house.inform());
    for request in [get_request("/"), get_request("/who"), get_request("/healthz")] {
        let answer = house.ask(inform, &request).await;
        assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
    }
    let (_stream, head) = house.knock(inform, &knock_of("aerie.inform.v1")).await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    let knock = knock_of("aerie.inform.v1").replace("HTTP/1.1", "HTTP/1.1\r\nx: y");
    let (mut stream, head) = house.knock(gui, &knock).await;
    assert!(head.starts_with("HTTP/1.1 404 "), "{head}");
    let mut advice = [0; 24];
    stream.read_exact(&mut advice).await.unwrap();
    assert_eq!(&advice, b"Devices connect to port ");
    assert!(house.ask(gui, &get_request("/")).await.ends_with("the GUI"));
}

#[tokio::test]
async fn a_storm_of_devices_is_told_when_to_come_back() {
    let connects_per_second = NonZeroU32::MIN;
    let house = house_with(false, Tuning { connects_per_second, ..Tuning::default() }).await;
    let mut later = 0;
    for _ in 0..5 {
        let (_stream, head) = house.knock(house.https(), &knock_of("aerie.inform.v1")).await;
        if head.starts_with("HTTP/1.1 503 ") {
            let (_, wait) = head.split_once("retry-after: ").unwrap();
            let seconds: u64 = wait.lines().next().unwrap().parse().unwrap();
            assert!((1..60).contains(&seconds), "{head}");
            later += 1;
        }
    }
    assert!(later >= 3, "only {later} of 5 were sent away");
}
