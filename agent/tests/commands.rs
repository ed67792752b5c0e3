//! What an appliance can ask for, and what it gets when it may not or cannot.

use aerie_agent::state::State;
use aerie_protocol::{
    MAX_MESSAGE,
    inform::{
        Locate, RefusalReason, Rename, Reply, ReportNow, Request, Restart, TerminalOpen,
        from_appliance, from_device, reply::Outcome, request::Verb,
    },
};
use futures_util::SinkExt as _;
use tokio::{io::DuplexStream, time::Instant};
use tokio_tungstenite::tungstenite::Message;

use crate::{
    appliance::{Appliance, Peer},
    simulated::{Device, Setup},
};

async fn ask(peer: &mut Peer<DuplexStream>, verb: Verb) -> Reply {
    let request = Request { request_id: 99, verb: Some(verb) };
    peer.send(from_appliance::Body::Request(request)).await;
    let Some(from_device::Body::Reply(reply)) = peer.answer().await else { panic!("no reply") };
    reply
}

fn refused(reply: &Reply) -> RefusalReason {
    match &reply.outcome {
        Some(Outcome::Refusal(refusal)) => refusal.reason(),
        other => panic!("{other:?}"),
    }
}

fn is_done(reply: &Reply) -> bool {
    reply.request_id == 99 && matches!(reply.outcome, Some(Outcome::Done(_)))
}

#[tokio::test(start_paused = true)]
async fn a_restart_is_answered_before_it_is_done() {
    let appliance = Appliance::new();
    let mut device = Device::start(appliance.enrolled_state());
    let mut peer = appliance.welcome(device.dialled().await).await;
    assert!(is_done(&ask(&mut peer, Verb::Restart(Restart {})).await));
    assert!(matches!(peer.answer().await, Some(from_device::Body::Goodbye(_))));
    let gone = Instant::now();
    // Back after the time a machine takes to boot, should it still be the same process.
    appliance.welcome(device.dialled().await).await;
    assert_eq!(gone.elapsed().as_secs(), 90);
    assert!(device.diary().contains(&"restart".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_device_that_must_not_restart_says_so_and_goes_on() {
    let appliance = Appliance::new();
    let setup = Setup { may_restart: false, ..Setup::default() };
    let mut device = Device::start_as(appliance.enrolled_state(), setup);
    let mut peer = appliance.welcome(device.dialled().await).await;
    let reply = ask(&mut peer, Verb::Restart(Restart {})).await;
    assert_eq!(refused(&reply), RefusalReason::NotAllowed);
    peer.settle(1).await;
    assert!(!device.diary().contains(&"restart".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_device_shows_itself_for_a_while_and_not_for_ever() {
    let appliance = Appliance::new();
    let mut device = Device::start(appliance.enrolled_state());
    let mut peer = appliance.welcome(device.dialled().await).await;
    for seconds in [30, 0, u32::MAX] {
        assert!(is_done(&ask(&mut peer, Verb::Locate(Locate { seconds })).await));
    }
    let diary = device.diary();
    let located: Vec<_> = diary.iter().filter(|note| note.starts_with("locate")).collect();
    assert_eq!(located, ["locate Some(30s)", "locate None", "locate Some(3600s)"]);
}

#[tokio::test(start_paused = true)]
async fn a_name_is_cleaned_and_kept() {
    let appliance = Appliance::new();
    let folder = tempfile::tempdir().unwrap();
    let mut state = State::open(folder.path()).unwrap();
    let known = appliance.enrolled_device();
    state.offer(known.key.unwrap()).await.unwrap();
    state.enrol(known.enrolment.unwrap()).await.unwrap();
    let mut device = Device::start(state);
    let mut peer = appliance.welcome(device.dialled().await).await;
    let name = "south\u{202e} mast\n".to_owned();
    assert!(is_done(&ask(&mut peer, Verb::Rename(Rename { name })).await));
    let kept = State::open(folder.path()).unwrap();
    assert_eq!(kept.known().enrolment.as_ref().unwrap().name, "south mast");
}

#[tokio::test(start_paused = true)]
async fn a_report_comes_when_it_is_asked_for() {
    let appliance = Appliance::new();
    let mut device = Device::start(appliance.enrolled_state());
    let mut peer = appliance.welcome(device.dialled().await).await;
    peer.settle(1).await;
    let request = Request { request_id: 99, verb: Some(Verb::ReportNow(ReportNow {})) };
    peer.send(from_appliance::Body::Request(request)).await;
    assert!(matches!(peer.next().await, Some(from_device::Body::Status(_))));
    let Some(from_device::Body::Reply(reply)) = peer.next().await else { panic!("no reply") };
    assert!(is_done(&reply));
}

#[tokio::test(start_paused = true)]
async fn before_it_is_enrolled_a_device_does_nothing_for_anybody() {
    let appliance = Appliance::new();
    let mut device = Device::start(State::in_memory(appliance.new_device()));
    let mut peer = appliance.welcome(device.dialled().await).await;
    for verb in [
        Verb::Restart(Restart {}),
        Verb::Locate(Locate { seconds: 5 }),
        Verb::Rename(Rename { name: "mine".to_owned() }),
        Verb::ReportNow(ReportNow {}),
    ] {
        assert_eq!(refused(&ask(&mut peer, verb).await), RefusalReason::NotAuthorized);
    }
    let open = TerminalOpen { channel: 1, rows: 24, columns: 80, credit: 1000 };
    peer.send(from_appliance::Body::TerminalOpen(open)).await;
    let Some(from_device::Body::TerminalClosed(closed)) = peer.answer().await else { panic!() };
    assert_eq!(closed.refusal.unwrap().reason(), RefusalReason::NotAuthorized);
    assert_eq!(device.diary(), ["connected enrolled=false"]);
}

/// A protobuf field with nested bytes.
fn field(number: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![number << 3 | 2, u8::try_from(content.len()).unwrap()];
    bytes.extend_from_slice(content);
    bytes
}

#[tokio::test(start_paused = true)]
async fn what_a_later_version_asks_is_refused_and_not_punished() {
    let appliance = Appliance::new();
    let mut device = Device::start(appliance.enrolled_state());
    let mut peer = appliance.welcome(device.dialled().await).await;
    // A request (field 5) with id 9 and verb 15; and a message of kind 15.
    let later_verb = [vec![1 << 3, 9], field(15, &[])].concat();
    for (plain, id) in [(field(5, &later_verb), 9), (field(15, b"news"), 0)] {
        peer.send_plain(&plain).await;
        let Some(from_device::Body::Reply(reply)) = peer.answer().await else { panic!() };
        assert_eq!(reply.request_id, id);
        assert_eq!(refused(&reply), RefusalReason::UnknownRequest);
    }
    peer.settle(1).await;
}

#[tokio::test(start_paused = true)]
async fn what_makes_no_sense_ends_the_session_and_nothing_else() {
    let appliance = Appliance::new();
    let mut device = Device::start(appliance.enrolled_state());
    for nonsense in [vec![0xff; 40], vec![], field(2, b"\xff\xff")] {
        let mut peer = appliance.welcome(device.dialled().await).await;
        peer.settle(1).await;
        peer.send_plain(&nonsense).await;
        while peer.next().await.is_some() {}
    }
    assert!(!appliance.welcome(device.dialled().await).await.first_contact);
}

#[tokio::test(start_paused = true)]
async fn d2_repeated_reordered_cut_and_oversized_frames_end_the_session() {
    let appliance = Appliance::new();
    let mut device = Device::start(appliance.enrolled_state());
    let seal = |peer: &mut Peer<DuplexStream>| {
        let mut sealed = Vec::new();
        let alive =
            from_appliance::Body::KeepAlive(aerie_protocol::inform::KeepAlive { sequence: 3 });
        let mut plain = Vec::new();
        aerie_protocol::inform::encode_from_appliance(&alive.into(), &mut plain).unwrap();
        peer.noise.seal(&plain, &mut sealed).unwrap();
        sealed
    };
    for fault in ["repeated", "reordered", "cut", "oversized", "empty"] {
        let mut peer = appliance.welcome(device.dialled().await).await;
        peer.settle(1).await;
        let (first, second) = (seal(&mut peer), seal(&mut peer));
        let frames = match fault {
            "repeated" => vec![first.clone(), first],
            "reordered" => vec![second, first],
            "cut" => vec![first[..first.len() - 1].to_vec()],
            "oversized" => vec![vec![0; MAX_MESSAGE + 1]],
            _ => vec![vec![]],
        };
        for frame in frames {
            // The device may have left after the first of them.
            if peer.socket.send(Message::Binary(frame.into())).await.is_err() {
                break;
            }
        }
        let mut answers = 0;
        while peer.answer().await.is_some() {
            answers += 1;
        }
        assert_eq!(answers, i32::from(fault == "repeated"), "{fault}");
    }
    assert!(!appliance.welcome(device.dialled().await).await.first_contact);
}
