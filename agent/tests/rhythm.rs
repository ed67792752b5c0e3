//! Time: keep-alive, silence, reports, renewal, pauses. The clock is the test's.

use std::time::Duration;

use aerie_agent::state::State;
use aerie_protocol::inform::{
    Enrolled, Goodbye, GoodbyeReason, KeepAlive, Reporting, from_appliance, from_device,
};
use futures_util::SinkExt as _;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::{Instant, sleep, timeout},
};
use tokio_tungstenite::tungstenite::Message;

use crate::{
    appliance::Appliance,
    simulated::{Device, Setup},
};

#[tokio::test(start_paused = true)]
async fn a_silent_appliance_is_left_after_thirty_seconds() {
    let appliance = Appliance::new();
    let mut device = Device::start(appliance.enrolled_state());
    let mut peer = appliance.welcome(device.dialled().await).await;
    peer.settle(1).await;
    let heard = Instant::now();
    while peer.next().await.is_some() {}
    let silence = heard.elapsed();
    assert!((30..=31).contains(&silence.as_secs()), "{silence:?}");
    appliance.welcome(device.dialled().await).await;
    assert!(device.diary().contains(&"left Silent".to_owned()), "{:?}", device.diary());
}

#[tokio::test(start_paused = true)]
async fn unproven_signs_of_life_do_not_count() {
    let appliance = Appliance::new();
    let mut device = Device::start(appliance.enrolled_state());
    let mut peer = appliance.welcome(device.dialled().await).await;
    peer.settle(1).await;
    let heard = Instant::now();
    // Anybody on the way can ping.
    loop {
        let ping = peer.socket.send(Message::Ping(vec![1].into())).await;
        if ping.is_err() || timeout(Duration::from_secs(5), peer.next()).await == Ok(None) {
            break;
        }
    }
    assert!((30..=36).contains(&heard.elapsed().as_secs()), "{:?}", heard.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_living_appliance_is_never_left() {
    let appliance = Appliance::new();
    let mut device = Device::start(appliance.enrolled_state());
    let mut peer = appliance.welcome(device.dialled().await).await;
    peer.serve(Duration::from_hours(2)).await;
    assert!(device.dialled.try_recv().is_err(), "it connected again: {:?}", device.diary());
}

#[tokio::test(start_paused = true)]
async fn reports_come_once_a_minute_or_as_the_appliance_says() {
    let appliance = Appliance::new();
    let mut device = Device::start(appliance.enrolled_state());
    let mut peer = appliance.welcome(device.dialled().await).await;
    let count = |came: &[(Duration, from_device::Body)]| {
        came.iter().filter(|(_, body)| matches!(body, from_device::Body::Status(_))).count()
    };
    assert_eq!(count(&peer.serve(Duration::from_secs(601)).await), 11);
    peer.send(from_appliance::Body::Reporting(Reporting { interval_seconds: 2 })).await;
    assert_eq!(count(&peer.serve(Duration::from_secs(61)).await), 30);
    // Nonsense is taken for the nearest sense.
    peer.send(from_appliance::Body::Reporting(Reporting { interval_seconds: 0 })).await;
    assert_eq!(count(&peer.serve(Duration::from_millis(10_500)).await), 10);
    peer.send(from_appliance::Body::Reporting(Reporting { interval_seconds: u32::MAX })).await;
    assert_eq!(count(&peer.serve(Duration::from_secs(3599)).await), 1, "the one planned before");
    assert_eq!(count(&peer.serve(Duration::from_secs(3)).await), 1);
}

#[tokio::test(start_paused = true)]
async fn the_first_report_waits_for_no_interval() {
    let appliance = Appliance::new();
    let mut device = Device::start(State::in_memory(appliance.new_device()));
    let mut peer = appliance.welcome(device.dialled().await).await;
    let enrolled = Enrolled { device_id: vec![5; 16], name: "roof".to_owned() };
    peer.send(from_appliance::Body::Enrolled(enrolled)).await;
    peer.send(from_appliance::Body::Reporting(Reporting { interval_seconds: 60 })).await;
    let asked = Instant::now();
    assert!(matches!(peer.next().await, Some(from_device::Body::Status(_))));
    assert!(asked.elapsed() < Duration::from_secs(1), "{:?}", asked.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_waiting_device_reports_nothing_until_it_is_enrolled() {
    let appliance = Appliance::new();
    let mut device = Device::start(State::in_memory(appliance.new_device()));
    let mut peer = appliance.welcome(device.dialled().await).await;
    peer.send(from_appliance::Body::Reporting(Reporting { interval_seconds: 1 })).await;
    assert!(peer.serve(Duration::from_mins(5)).await.is_empty());
    peer.enrol("roof").await;
    let came = peer.serve(Duration::from_secs(5)).await;
    assert!(came.iter().any(|(_, body)| matches!(body, from_device::Body::Status(_))), "{came:?}");
}

#[tokio::test(start_paused = true)]
async fn keys_are_renewed_once_a_day() {
    let appliance = Appliance::new();
    let mut device = Device::start(appliance.enrolled_state());
    let mut peer = appliance.welcome(device.dialled().await).await;
    let came = peer.serve(Duration::from_hours(25)).await;
    let (when, last) = came.last().unwrap();
    let from_device::Body::Goodbye(goodbye) = last else { panic!("{last:?}") };
    assert_eq!(goodbye.reason(), GoodbyeReason::Rehandshake);
    assert!((23..=24).contains(&(when.as_secs() / 3600)), "{when:?}");
    drop(peer);
    let back = Instant::now();
    assert!(!appliance.welcome(device.dialled().await).await.first_contact);
    assert!(back.elapsed() <= Duration::from_secs(2));
}

#[tokio::test(start_paused = true)]
async fn keys_are_renewed_after_so_many_messages() {
    let appliance = Appliance::new();
    let setup = Setup { messages: 1000, ..Setup::default() };
    let mut device = Device::start_as(appliance.enrolled_state(), setup);
    let mut peer = appliance.welcome(device.dialled().await).await;
    let mut answered = 0;
    loop {
        let alive = from_appliance::Body::KeepAlive(KeepAlive { sequence: 1 });
        // It may be leaving already: then its goodbye is still to be read.
        drop(peer.try_send(alive).await);
        match peer.answer().await {
            Some(from_device::Body::KeepAlive(_)) => answered += 1,
            Some(from_device::Body::Goodbye(goodbye)) => {
                assert_eq!(goodbye.reason(), GoodbyeReason::Rehandshake);
                break;
            }
            other => panic!("{other:?}"),
        }
    }
    assert!((490..=500).contains(&answered), "{answered}");
    appliance.welcome(device.dialled().await).await;
}

#[tokio::test(start_paused = true)]
async fn an_appliance_that_goes_away_can_say_when_to_come_back() {
    let appliance = Appliance::new();
    let mut device = Device::start(appliance.enrolled_state());
    for reason in [GoodbyeReason::ShuttingDown, GoodbyeReason::Overloaded] {
        let mut peer = appliance.welcome(device.dialled().await).await;
        let goodbye = Goodbye { reason: reason.into(), retry_after_seconds: 40 };
        peer.send(from_appliance::Body::Goodbye(goodbye)).await;
        while peer.next().await.is_some() {}
        let left = Instant::now();
        let stream = device.dialled().await;
        assert!((40..=52).contains(&left.elapsed().as_secs()), "{:?}", left.elapsed());
        // The next round's.
        drop(stream);
    }
}

#[tokio::test(start_paused = true)]
async fn a_replaced_session_does_not_fight_for_its_place() {
    let appliance = Appliance::new();
    let mut device = Device::start(appliance.enrolled_state());
    let mut peer = appliance.welcome(device.dialled().await).await;
    let goodbye = Goodbye { reason: GoodbyeReason::Replaced.into(), retry_after_seconds: 0 };
    peer.send(from_appliance::Body::Goodbye(goodbye)).await;
    let left = Instant::now();
    device.dialled().await;
    assert!(left.elapsed() >= Duration::from_secs(30), "{:?}", left.elapsed());
}

#[tokio::test(start_paused = true)]
async fn an_overloaded_appliance_is_obeyed_before_it_has_proven_anything_but_not_for_long() {
    let appliance = Appliance::new();
    let mut device = Device::start(appliance.enrolled_state());
    for (retry_after, least, most) in [("20", 20, 27), ("999999999", 300, 380), ("soon", 0, 60)] {
        let mut stream = device.dialled().await;
        let mut request = [0; 4096];
        assert!(stream.read(&mut request).await.unwrap() > 0);
        let answer = format!(
            "HTTP/1.1 503 Service Unavailable\r\nretry-after: {retry_after}\r\ncontent-length: 0\r\n\r\n"
        );
        stream.write_all(answer.as_bytes()).await.unwrap();
        let left = Instant::now();
        let next = device.dialled().await;
        let pause = left.elapsed().as_secs();
        assert!((least..=most).contains(&pause), "{retry_after}: {pause}");
        drop(next);
    }
}

#[tokio::test(start_paused = true)]
async fn failures_make_pauses_longer_up_to_a_minute() {
    let appliance = Appliance::new();
    let mut device = Device::start(appliance.enrolled_state());
    let mut pauses = Vec::new();
    for _ in 0..40 {
        drop(device.dialled().await);
        let left = Instant::now();
        device.dialled.recv().await.map(drop).unwrap();
        pauses.push(left.elapsed());
    }
    assert!(pauses.iter().all(|pause| *pause <= Duration::from_secs(61)), "{pauses:?}");
    let late: Duration = pauses.iter().skip(10).sum();
    assert!(late > Duration::from_mins(5), "30 pauses of 0 to 60 s: {late:?}");
}

#[tokio::test(start_paused = true)]
async fn a_stopped_agent_says_goodbye() {
    let appliance = Appliance::new();
    let mut device = Device::start(appliance.enrolled_state());
    let mut peer = appliance.welcome(device.dialled().await).await;
    peer.settle(1).await;
    device.ask_to_stop();
    let Some(from_device::Body::Goodbye(goodbye)) = peer.answer().await else { panic!() };
    assert_eq!(goodbye.reason(), GoodbyeReason::ShuttingDown);
    let stopped = timeout(Duration::from_secs(5), device.stop()).await.unwrap();
    assert!(stopped.state().known().enrolment.is_some());
}

#[tokio::test(start_paused = true)]
async fn an_agent_stops_at_once_in_a_pause_and_in_a_connect() {
    let appliance = Appliance::new();
    let mut device = Device::start(appliance.enrolled_state());
    let _hanging = device.dialled().await;
    timeout(Duration::from_secs(1), device.stop()).await.unwrap();

    let mut device = Device::start(appliance.enrolled_state());
    for _ in 0..8 {
        drop(device.dialled().await);
    }
    sleep(Duration::from_millis(1)).await;
    timeout(Duration::from_secs(1), device.stop()).await.unwrap();
}
