//! Ports that change while everything runs.

use super::super::ports::{PortSettings, PortsError, Standing, Wanted};
use super::*;

fn wanted(settings: PortSettings) -> Wanted {
    Wanted { public_host: None, settings }
}

fn anywhere() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

impl House {
    fn applied(&self) -> PortSettings {
        self.ports.picture().applied.clone()
    }

    fn waiting(&self) -> Option<PortSettings> {
        self.ports.picture().waiting.as_ref().map(|waiting| waiting.wanted.clone())
    }

    async fn serves_people(&self, at: SocketAddr) -> bool {
        self.ask(at, &get_request("/")).await.ends_with("the GUI")
    }
}

/// Polls: an accept loop may take a moment to close.
async fn is_closed(at: SocketAddr) -> bool {
    for _ in 0..300 {
        if TcpStream::connect(at).await.is_err() {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    false
}

#[tokio::test]
async fn p1_a_new_https_port_is_confirmed_by_itself_and_the_old_one_goes() {
    let house = house(false).await;
    let old = house.applied();
    let next = PortSettings { https: vec![anywhere()], ..old.clone() };
    let code = house.ports.change(wanted(next)).await.unwrap().expect("a code");
    let new = house.waiting().unwrap().https[0];
    assert_ne!(new.port(), 0);
    // Both ways are open, and neither is lost while nobody has confirmed.
    assert!(house.serves_people(new).await && house.serves_people(old.https[0]).await);
    let busy = house.ports.change(wanted(old.clone())).await;
    assert!(matches!(busy, Err(PortsError::Busy)));
    let confirm = |code: &str, way| house.ports.confirm(code.to_owned(), way);
    assert!(matches!(confirm("another", new).await, Err(PortsError::WrongCode)));
    let by_the_old = confirm(code.expose(), old.https[0]).await;
    assert!(matches!(by_the_old, Err(PortsError::WrongWay)));
    confirm(code.expose(), new).await.unwrap();
    assert_eq!(house.applied().https, [new]);
    assert!(is_closed(old.https[0]).await && is_closed(old.https[1]).await);
    assert!(house.serves_people(new).await);
    assert!(matches!(confirm(code.expose(), new).await, Err(PortsError::NothingPending)));
    // The redirect follows.
    let mut tcp = TcpStream::connect(old.http[0]).await.unwrap();
    tcp.write_all(get_request("/").as_bytes()).await.unwrap();
    let answer = rest(&mut tcp).await;
    assert!(answer.contains(&format!("location: https://localhost:{}/", new.port())), "{answer}");
    let told = std::fs::read_to_string(house.data.path().join("addresses.json")).unwrap();
    assert!(told.contains(&new.to_string()), "{told}");
}

#[tokio::test]
async fn p1_what_nobody_confirms_is_undone_after_a_minute() {
    let house = house(false).await;
    let old = house.applied();
    let next = PortSettings { https: vec![anywhere()], ..old.clone() };
    house.ports.change(wanted(next)).await.unwrap().expect("a code");
    let new = house.waiting().unwrap().https[0];
    let (mut before, mut after) = (house.ports.picture(), house.ports.picture());
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(59)).await;
    before = if house.waiting().is_some() { before } else { after.clone() };
    assert!(before.waiting.is_some(), "undone too early");
    while house.waiting().is_some() {
        tokio::time::advance(Duration::from_millis(500)).await;
        after = house.ports.picture();
    }
    tokio::time::resume();
    assert_eq!(after.applied, old);
    assert!(is_closed(new).await);
    assert!(house.serves_people(old.https[0]).await);
}

#[tokio::test]
async fn what_cannot_be_opened_changes_nothing() {
    let house = house(false).await;
    let old = house.ports.picture();
    let stranger = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let taken = stranger.local_addr().unwrap();
    for https in [vec![taken], vec!["192.0.2.77:0".parse().unwrap()], Vec::new()] {
        let next = PortSettings { https, ..old.applied.clone() };
        house.ports.change(wanted(next)).await.map(|code| code.is_some()).unwrap_err();
        assert_eq!(house.ports.picture(), old);
    }
    let crossed =
        PortSettings { http: Vec::new(), inform: old.applied.http.clone(), ..old.applied.clone() };
    let refused = house.ports.change(wanted(crossed)).await.map(|code| code.is_some());
    assert!(matches!(refused, Err(PortsError::OtherPurpose(..))));
}

#[tokio::test]
async fn p5_a_port_of_their_own_takes_devices_away_from_the_gui() {
    let house = house(false).await;
    let next = PortSettings { inform: vec![anywhere()], ..house.applied() };
    assert!(house.ports.change(wanted(next)).await.unwrap().is_none(), "it locks nobody out");
    let inform = house.applied().inform[0];
    let knock = knock_of(aerie_protocol::SUBPROTOCOL);
    let (_, head) = house.knock(inform, &knock).await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    let (_, head) = house.knock(house.https(), &knock).await;
    assert!(head.starts_with("HTTP/1.1 404 "), "{head}");
    let gui = house.ask(inform, &get_request("/")).await;
    assert!(gui.starts_with("HTTP/1.1 404 "), "{gui}");
    assert!(house.devices.keys().device_key().unwrap().contains(&format!(":{}+", inform.port())));
    // And back.
    let next = PortSettings { inform: Vec::new(), ..house.applied() };
    assert!(house.ports.change(wanted(next)).await.unwrap().is_none());
    assert!(is_closed(inform).await);
    let (_, head) = house.knock(house.https(), &knock).await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
}

#[tokio::test]
async fn p5_one_port_can_be_divided_by_address() {
    let house = house(false).await;
    let port = house.https().port();
    let all: SocketAddr = format!("0.0.0.0:{port}").parse().unwrap();
    let mine: SocketAddr = format!("127.0.0.1:{port}").parse().unwrap();
    let next = PortSettings { https: vec![all], ..house.applied() };
    let code = house.ports.change(wanted(next)).await.unwrap().expect("a code");
    house.ports.confirm(code.expose().clone(), all).await.unwrap();
    let next = PortSettings {
        https: vec![mine],
        inform: vec![format!("127.0.0.2:{port}").parse().unwrap()],
        ..house.applied()
    };
    let code = house.ports.change(wanted(next)).await.unwrap().expect("a code");
    house.ports.confirm(code.expose().clone(), mine).await.unwrap();
    assert!(house.serves_people(mine).await);
    let gui = house.ask(house.applied().inform[0], &get_request("/")).await;
    assert!(gui.starts_with("HTTP/1.1 404 "), "{gui}");
    let elsewhere: SocketAddr = format!("127.0.0.3:{port}").parse().unwrap();
    assert!(is_closed(elsewhere).await, "the port on all addresses is closed");
}

#[tokio::test]
async fn changed_ports_outlive_the_daemon_and_its_boot_file() {
    let house = house(false).await;
    let next = PortSettings {
        inform: vec![anywhere()],
        inform_port: Some(443),
        trusted_proxies: vec!["192.0.2.0/24".parse().unwrap()],
        ..house.applied()
    };
    house.ports.change(wanted(next)).await.unwrap();
    let (applied, store) = (house.applied(), house.store.clone());
    house.supervisor.shutdown(PATIENCE).await;
    let config = config(house.data.path(), false);
    let (opening, ports) = Opening::open(&config, &store, Vec::new()).await.unwrap();
    assert_eq!(ports.picture().applied, applied);
    assert!(ports.picture().changed);
    drop(opening);
    // Where they cannot be opened any more, the boot file lets the owner in.
    let taken = std::net::TcpListener::bind(applied.https[0]).unwrap();
    let (_opening, ports) = Opening::open(&config, &store, Vec::new()).await.unwrap();
    assert_ne!(ports.picture().applied.https, applied.https);
    assert_eq!(ports.picture().applied.trusted_proxies, applied.trusted_proxies);
    drop(taken);
}

#[tokio::test]
async fn a_listener_that_was_kept_is_used_again_with_who_waits_in_it() {
    let house = house(false).await;
    let (applied, store) = (house.applied(), house.store.clone());
    house.ports.change(wanted(applied.clone())).await.unwrap();
    house.supervisor.shutdown(PATIENCE).await;
    let config = config(house.data.path(), false);
    let kept = std::net::TcpListener::bind(applied.https[0]).unwrap();
    let mut waiting = std::net::TcpStream::connect(applied.https[0]).unwrap();
    std::io::Write::write_all(&mut waiting, b"hello").unwrap();
    let left_over = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let forgotten = left_over.local_addr().unwrap();
    let inherited = vec![left_over, kept];
    let (_opening, ports) = Opening::open(&config, &store, inherited).await.unwrap();
    assert_eq!(ports.picture().applied.https, applied.https);
    assert!(is_closed(forgotten).await);
    assert_eq!(waiting.take_error().unwrap().map(|error| error.kind()), None, "not reset");
}

#[tokio::test]
async fn a_proxy_in_front_is_believed_when_it_is_listed() {
    let house = house(false).await;
    let request =
        get_request("/who").replace("\r\n\r\n", "\r\nX-Forwarded-For: 203.0.113.9\r\n\r\n");
    assert!(house.ask(house.https(), &request).await.contains("\r\n\r\n127.0.0.1 "));
    let trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    let next = PortSettings { trusted_proxies, ..house.applied() };
    house.ports.change(wanted(next)).await.unwrap();
    assert!(house.ask(house.https(), &request).await.contains("\r\n\r\n203.0.113.9 "));
}

#[tokio::test]
async fn every_listener_is_shown_with_how_it_stands() {
    let house = house(false).await;
    let old = house.applied();
    let next = PortSettings { https: vec![old.https[0], anywhere()], ..old.clone() };
    house.ports.change(wanted(next)).await.unwrap().expect("a code");
    let picture = house.ports.picture();
    let standing = |at: SocketAddr| {
        picture.listeners.iter().find(|shown| shown.address == at).unwrap().standing
    };
    let new = house.waiting().unwrap().https[1];
    assert_eq!(standing(old.https[0]), Standing::Open);
    assert_eq!(standing(old.https[1]), Standing::Leaving);
    assert_eq!(standing(new), Standing::New);
    house.ports.revert().await.unwrap();
    assert!(is_closed(new).await);
    assert!(matches!(house.ports.revert().await, Err(PortsError::NothingPending)));
}
