//! Passwords over a session: who is told what, and when. How one is set is the library's own test.

use std::collections::BTreeMap;

use aerie_agent::{
    host::{Host as _, LinuxHost},
    passwords::{Accounts, Home, Memory, Moment, PasswordError, Passwords},
    policy::{PasswordPolicy, Policy},
    state::State,
};
use aerie_protocol::inform::{
    HeldPassword, HeldPasswords, Hello, RefusalReason, Reply, Request, SetPassword, TryPassword,
    from_appliance, from_device, reply::Outcome, request::Verb,
};
use tokio::io::DuplexStream;

use crate::{
    appliance::{Appliance, Peer},
    simulated::{Device, Setup},
};

/// Accounts in a book: an entry is the password with a number before it.
pub(crate) struct Book {
    entries: BTreeMap<String, String>,
    made: u32,
}

/// A book with these accounts, all of which the policy names.
pub(crate) fn book(accounts: &[&str]) -> Passwords<Book> {
    let accounts: Vec<_> = accounts.iter().map(|account| (*account).to_owned()).collect();
    let entries = accounts.iter().map(|account| (account.clone(), "0 factory".to_owned()));
    let book = Book { entries: entries.collect(), made: 0 };
    let home = Home::in_memory(Memory::default());
    Passwords::new(book, PasswordPolicy { accounts }, "/etc/aerie-agent.toml".into(), home)
}

impl Accounts for Book {
    fn entry(&mut self, account: &str) -> Result<Option<String>, String> {
        Ok(self.entries.get(account).cloned())
    }

    fn entry_for(&mut self, password: &str) -> Result<String, String> {
        self.made += 1;
        Ok(format!("{} {password}", self.made))
    }

    async fn set(&mut self, account: &str, entry: &str) -> Result<(), String> {
        self.entries.insert(account.to_owned(), entry.to_owned());
        Ok(())
    }

    async fn authenticates(&mut self, account: &str, password: &str) -> Result<bool, String> {
        let entry = self.entries.get(account).and_then(|entry| entry.split_once(' '));
        Ok(entry.is_some_and(|(_, holds)| holds == password))
    }

    fn now(&self) -> Moment {
        Moment { boot: "one".to_owned(), seconds: 5 }
    }
}

fn set(version: u64) -> Verb {
    Verb::SetPassword(SetPassword {
        account: "admin".to_owned(),
        credential_id: vec![7; 16],
        version,
        password: format!("secret {version}").into_bytes(),
        sealed: vec![1, 2, 3],
    })
}

fn attempt(password: &str) -> Verb {
    Verb::TryPassword(TryPassword { account: "admin".to_owned(), password: password.into() })
}

async fn ask(peer: &mut Peer<DuplexStream>, verb: Verb) -> Reply {
    let request = Request { request_id: 99, verb: Some(verb) };
    peer.send(from_appliance::Body::Request(request)).await;
    let Some(from_device::Body::Reply(reply)) = peer.answer().await else { panic!("no reply") };
    reply
}

async fn hello(peer: &mut Peer<DuplexStream>) -> Hello {
    match peer.answer().await {
        Some(from_device::Body::Hello(hello)) => hello,
        other => panic!("{other:?}"),
    }
}

fn held(reply: Reply) -> Vec<HeldPassword> {
    match reply.outcome {
        Some(Outcome::Passwords(passwords)) => passwords.held,
        other => panic!("{other:?}"),
    }
}

fn refused(reply: Reply) -> (RefusalReason, String) {
    match reply.outcome {
        Some(Outcome::Refusal(refusal)) => (refusal.reason(), refusal.detail),
        other => panic!("{other:?}"),
    }
}

fn with_an_account() -> Setup {
    Setup { accounts: &["admin"], ..Setup::default() }
}

#[tokio::test(start_paused = true)]
async fn v4_a_set_password_is_answered_and_told_in_the_identity_and_what_is_sealed_only_when_asked()
{
    let appliance = Appliance::new();
    let mut device = Device::start_as(appliance.enrolled_state(), with_an_account());
    let mut peer = appliance.accept(device.dialled().await).await;
    let before = HeldPassword { account: "admin".to_owned(), ..HeldPassword::default() };
    assert_eq!(hello(&mut peer).await.passwords, [before]);

    let after = HeldPassword {
        account: "admin".to_owned(),
        credential_id: vec![7; 16],
        version: 4,
        newest: 4,
        sealed: Vec::new(),
    };
    assert_eq!(held(ask(&mut peer, set(4)).await), std::slice::from_ref(&after));
    assert_eq!(hello(&mut peer).await.passwords, std::slice::from_ref(&after));
    let all = held(ask(&mut peer, Verb::HeldPasswords(HeldPasswords {})).await);
    assert_eq!(all, [HeldPassword { sealed: vec![1, 2, 3], ..after }]);

    let (reason, detail) = refused(ask(&mut peer, set(4)).await);
    assert_eq!(reason, RefusalReason::Outdated);
    assert!(detail.contains("version 4"), "{detail}");
    let right = ask(&mut peer, attempt("secret 4")).await;
    assert!(matches!(right.outcome, Some(Outcome::Done(_))), "{right:?}");
    for _ in 0..5 {
        assert_eq!(refused(ask(&mut peer, attempt("x")).await).0, RefusalReason::Wrong);
    }
    assert_eq!(refused(ask(&mut peer, attempt("secret 4")).await).0, RefusalReason::Busy);
}

#[tokio::test(start_paused = true)]
async fn v4_a_device_in_quarantine_tells_nobody_of_its_accounts_and_sets_nothing() {
    let appliance = Appliance::new();
    let mut device = Device::start_as(State::in_memory(appliance.new_device()), with_an_account());
    let mut peer = appliance.accept(device.dialled().await).await;
    assert_eq!(hello(&mut peer).await.passwords, []);
    for verb in [set(1), attempt("factory"), Verb::HeldPasswords(HeldPasswords {})] {
        assert_eq!(refused(ask(&mut peer, verb).await).0, RefusalReason::NotAuthorized);
    }
    let enrolled =
        aerie_protocol::inform::Enrolled { device_id: vec![5; 16], name: "x".to_owned() };
    peer.send(from_appliance::Body::Enrolled(enrolled)).await;
    assert_eq!(hello(&mut peer).await.passwords.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn v4_a_device_whose_file_names_no_account_says_which_lines_to_write() {
    let appliance = Appliance::new();
    let mut device = Device::start(appliance.enrolled_state());
    let mut peer = appliance.welcome(device.dialled().await).await;
    let (reason, detail) = refused(ask(&mut peer, set(1)).await);
    assert_eq!(reason, RefusalReason::NotAllowed);
    for part in ["`[passwords]`", "`accounts = [\"admin\"]`", "/etc/aerie-agent.toml"] {
        assert!(detail.contains(part), "{detail}");
    }
}

#[tokio::test]
async fn v4_an_agent_without_roots_rights_says_so() {
    let passwords = PasswordPolicy { accounts: vec!["root".to_owned()] };
    let mut host = LinuxHost::new(Policy { passwords, ..Policy::default() });
    let Verb::SetPassword(set) = set(1) else { panic!() };
    let error = host.set_password(set).await.unwrap_err();
    assert!(matches!(error, PasswordError::NotAllowed(_)));
    assert!(error.to_string().contains("start it as root"), "{error}");
}
