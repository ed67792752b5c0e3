//! Accounts on a store in memory.

mod people;
mod second_factors;
mod tokens;

use std::time::Duration;

use super::*;
use crate::audit;
use crate::clock::ClockHand;

const PASSWORD: &str = "a mast in the meadow";

struct Room {
    accounts: Accounts,
    hand: ClockHand,
    store: Store,
    seal: Seal,
    data: tempfile::TempDir,
}

async fn room() -> Room {
    let data = tempfile::tempdir().unwrap();
    let seal = Seal::open(data.path()).unwrap();
    let store = Store::memory().unwrap();
    let (clock, hand) = Clock::manual("2026-11-24T08:00:00Z".parse().unwrap());
    let accounts = Accounts::start(store.clone(), &seal, clock, data.path(), &Supervisor::new())
        .await
        .unwrap();
    accounts.set_bcrypt_cost(4);
    Room { accounts, hand, store, seal, data }
}

fn olga() -> NewAccount {
    NewAccount {
        username: "Olga".to_owned(),
        email: "olga@example.net".to_owned(),
        timezone: "Europe/Berlin".to_owned(),
        country: "DE".to_owned(),
    }
}

fn client() -> ClientInfo {
    ClientInfo { address: "198.51.100.7".parse().unwrap(), agent: "test".to_owned() }
}

impl Room {
    fn code(&self) -> String {
        std::fs::read_to_string(self.data.path().join("setup-code")).unwrap()
    }

    async fn set_up(&self) -> LoginToken {
        self.accounts.set_up(&self.code(), olga(), PASSWORD, &client()).await.unwrap().1
    }
}

#[tokio::test]
async fn l1_the_token_of_the_set_up_is_a_login_and_only_its_hash_is_stored() {
    let room = room().await;
    let token = room.set_up().await;
    let login = room.accounts.authenticate(token.expose()).await.unwrap();
    assert_eq!(login.role, Role::Admin);
    let stored = room.store.read(|reader| reader.all(LOGINS)).await.unwrap();
    assert_eq!(stored.len(), 1);
    assert_eq!(&stored[0].0, LoginId::of_token(token.expose()).as_bytes());
    assert!(!room.data.path().join("setup-code").exists());
    room.accounts.authenticate("another token").await.unwrap_err();
}

#[tokio::test]
async fn l1_of_a_hundred_set_ups_at_once_one_wins() {
    let room = room().await;
    let code = room.code();
    let mut racing = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let (accounts, code) = (room.accounts.clone(), code.clone());
        racing.spawn(
            async move { accounts.set_up(&code, olga(), PASSWORD, &client()).await.is_ok() },
        );
    }
    let won = racing.join_all().await.into_iter().filter(|won| *won).count();
    assert_eq!(won, 1);
    assert_eq!(room.store.read(|reader| reader.all(ACCOUNTS)).await.unwrap().len(), 1);
}

#[tokio::test]
async fn l1_a_wrong_setup_code_makes_nothing() {
    let room = room().await;
    let refused = room.accounts.set_up("00000-00000", olga(), PASSWORD, &client()).await;
    assert!(matches!(refused, Err(AccountError::SetupCode)));
    assert!(!room.accounts.is_configured());
}

#[tokio::test]
async fn l1_login_by_name_or_address_whatever_the_case() {
    let room = room().await;
    room.set_up().await;
    for name in ["olga", "OLGA", "Olga@Example.net"] {
        room.accounts.login(name, PASSWORD, None, &client()).await.unwrap();
    }
    for (name, password) in [("olga", "a mast in the meadov"), ("nobody", PASSWORD)] {
        let refused = room.accounts.login(name, password, None, &client()).await;
        assert!(matches!(refused, Err(AccountError::Wrong)));
    }
}

#[tokio::test]
async fn l1_logout_ends_the_login_and_tells_who_hangs_on_it() {
    let room = room().await;
    let token = room.set_up().await;
    let mut ended = room.accounts.ended();
    let login = room.accounts.authenticate(token.expose()).await.unwrap();
    room.accounts.logout(login.id).await.unwrap();
    assert_eq!(ended.recv().await.unwrap(), login.id);
    room.accounts.authenticate(token.expose()).await.unwrap_err();
}

#[tokio::test]
async fn l1_a_login_survives_a_restart() {
    let room = room().await;
    let token = room.set_up().await;
    let (clock, _hand) = Clock::manual("2026-11-24T09:00:00Z".parse().unwrap());
    let again = Accounts::start(
        room.store.clone(),
        &room.seal,
        clock,
        room.data.path(),
        &Supervisor::new(),
    )
    .await
    .unwrap();
    again.authenticate(token.expose()).await.unwrap();
    assert!(again.is_configured());
}

#[tokio::test]
async fn l1_use_extends_a_login_and_a_month_ends_it() {
    let room = room().await;
    let token = room.set_up().await;
    let hour = Duration::from_hours(1);
    for _ in 0..(29 * 2) {
        room.hand.advance(12 * hour);
        room.accounts.authenticate(token.expose()).await.unwrap();
    }
    room.hand.advance(25 * hour);
    room.accounts.authenticate(token.expose()).await.unwrap_err();
}

#[tokio::test]
async fn l1_an_idle_login_ends_after_a_day_or_its_own_time() {
    let room = room().await;
    let day = room.set_up().await;
    let half_hour = 30 * 60 * 1000;
    let short = room.accounts.login("olga", PASSWORD, Some(half_hour), &client()).await.unwrap().1;
    room.hand.advance(Duration::from_mins(31));
    room.accounts.authenticate(short.expose()).await.unwrap_err();
    room.accounts.authenticate(day.expose()).await.unwrap();
    room.hand.advance(Duration::from_mins(24 * 60 + 1));
    room.accounts.authenticate(day.expose()).await.unwrap_err();
}

#[tokio::test]
async fn l1_step_up_lasts_five_minutes() {
    let room = room().await;
    let token = room.set_up().await;
    room.hand.advance(Duration::from_secs(301));
    let login = room.accounts.authenticate(token.expose()).await.unwrap();
    assert!(login.stepped_up_until < room.accounts.inner.clock.now());
    let wrong = room.accounts.step_up(login.id, "wrong", &client()).await;
    assert!(matches!(wrong, Err(AccountError::Wrong)));
    let stepped = room.accounts.step_up(login.id, PASSWORD, &client()).await.unwrap();
    assert!(stepped.stepped_up_until > room.accounts.inner.clock.now());
}

#[tokio::test]
async fn l6_the_store_holds_bcrypt_and_no_password() {
    let room = room().await;
    room.accounts.set_bcrypt_cost(12);
    room.set_up().await;
    let accounts = room.store.read(|reader| reader.all(ACCOUNTS)).await.unwrap();
    assert!(accounts[0].1.password_hash.starts_with("$2b$12$"));
    assert!(!format!("{accounts:?}").contains(PASSWORD));
}

#[tokio::test]
async fn names_that_cannot_be_are_refused() {
    let room = room().await;
    for username in ["", "o lga", "olga@home", "<olga>", &"o".repeat(65)] {
        let new = NewAccount { username: username.to_owned(), ..olga() };
        let refused = room.accounts.set_up(&room.code(), new, PASSWORD, &client()).await;
        assert!(matches!(refused, Err(AccountError::Username)), "{username}");
    }
    for email in ["", "olga", "@example.net", "olga@net", "ol ga@example.net", "ol\u{202e}ga@a.net"]
    {
        let new = NewAccount { email: email.to_owned(), ..olga() };
        let refused = room.accounts.set_up(&room.code(), new, PASSWORD, &client()).await;
        assert!(matches!(refused, Err(AccountError::Email)), "{email}");
    }
    for bad in ["x".repeat(65), "Vien\0na".to_owned()] {
        let zone = NewAccount { timezone: bad.clone(), ..olga() };
        let country = NewAccount { country: bad.clone(), ..olga() };
        for new in [zone, country] {
            let refused = room.accounts.set_up(&room.code(), new, PASSWORD, &client()).await;
            assert!(matches!(refused, Err(AccountError::Invalid(_))), "{bad}");
        }
    }
}

#[tokio::test]
async fn l1_a_use_of_a_login_is_written_behind_and_kept_at_the_end() {
    let room = room().await;
    let token = room.set_up().await;
    let id = LoginId::of_token(token.expose());
    let stored = async || {
        let read = room.store.read(move |reader| reader.get(LOGINS, id.as_bytes()));
        read.await.unwrap().unwrap().last_used
    };
    let begun = stored().await;
    room.hand.advance(Duration::from_secs(59));
    room.accounts.authenticate(token.expose()).await.unwrap();
    room.accounts.pass(false).await.unwrap();
    assert_eq!(stored().await, begun);
    room.accounts.pass(true).await.unwrap();
    assert_eq!(stored().await, begun + 59_000);
}

#[tokio::test]
async fn l1_a_use_does_not_bring_an_ended_login_back() {
    let room = room().await;
    let token = room.set_up().await;
    let id = LoginId::of_token(token.expose());
    let login = room.accounts.inner.logins.get(&id, room.accounts.inner.clock.now()).unwrap();
    room.accounts.logout(id).await.unwrap();
    // As if it had been used while it was being ended.
    let login = LoginRecord { last_used: login.last_used - 120_000, ..login };
    room.accounts.inner.logins.put(id, login, Role::Admin);
    room.accounts.authenticate(token.expose()).await.unwrap();
    room.accounts.pass(true).await.unwrap();
    assert!(room.store.read(|reader| reader.all(LOGINS)).await.unwrap().is_empty());
}

#[tokio::test]
async fn l1_what_ends_by_time_is_told_and_deleted() {
    let room = room().await;
    let token = room.set_up().await;
    let mut ended = room.accounts.ended();
    room.hand.advance(Duration::from_hours(25));
    room.accounts.pass(false).await.unwrap();
    assert_eq!(ended.recv().await.unwrap(), LoginId::of_token(token.expose()));
    assert!(room.store.read(|reader| reader.all(LOGINS)).await.unwrap().is_empty());
}

#[tokio::test]
async fn l1_a_set_up_whose_caller_left_is_noticed() {
    let room = room().await;
    let now = room.accounts.inner.clock.now();
    let hash = passwords::PasswordHash { bcrypt: String::new(), pepper: String::new() };
    let record = first_record(olga(), hash, now);
    room.store
        .write(move |writer| account::put_first(writer, Uuid::nil(), &record).map(|_| ()))
        .await
        .unwrap();
    room.accounts.pass(false).await.unwrap();
    assert!(room.accounts.is_configured());
    assert!(!room.data.path().join("setup-code").exists());
}

#[tokio::test]
async fn l3_guessing_is_held_back_under_every_spelling_of_the_name() {
    let room = room().await;
    room.set_up().await;
    for _ in 0..10 {
        let refused = room.accounts.login("olga", "wrong", None, &client()).await;
        assert!(matches!(refused, Err(AccountError::Wrong)));
    }
    for name in ["olga", "Olga "] {
        let refused = room.accounts.login(name, PASSWORD, None, &client()).await;
        assert!(matches!(refused, Err(AccountError::TooMany(_))), "{name}");
    }
}

#[tokio::test]
async fn l1_a_lost_pepper_is_told_and_costs_no_guess() {
    let room = room().await;
    room.set_up().await;
    std::fs::remove_file(room.data.path().join("peppers")).unwrap();
    let seal = Seal::open(room.data.path()).unwrap();
    let again = Accounts::start(
        room.store.clone(),
        &seal,
        room.accounts.inner.clock.clone(),
        room.data.path(),
        &Supervisor::new(),
    )
    .await
    .unwrap();
    for _ in 0..20 {
        let refused = again.login("olga", PASSWORD, None, &client()).await;
        let Err(AccountError::Password(error)) = refused else { panic!("it was not told") };
        assert_eq!(error, PasswordError::PepperMissing);
    }
}

#[tokio::test]
async fn an_account_changes_itself_and_takes_no_address_of_another() {
    let room = room().await;
    let token = room.set_up().await;
    let id = room.accounts.authenticate(token.expose()).await.unwrap().account;
    room.store
        .write(|writer| writer.put(ACCOUNT_NAMES, "taken@example.net", &Uuid::nil()))
        .await
        .unwrap();
    let email = |email: &str| AccountChange { email: Some(email.to_owned()), ..Default::default() };
    let by = Actor { account: id, address: client().address };
    let refused = room.accounts.change(by, email("Taken@example.net")).await;
    assert!(matches!(refused, Err(AccountError::Email)));
    let changed = room.accounts.change(by, email("new@example.net")).await.unwrap();
    assert_eq!((changed.email.as_str(), changed.username.as_str()), ("new@example.net", "Olga"));
    room.accounts.login("new@example.net", PASSWORD, None, &client()).await.unwrap();
    let gone = room.accounts.login("olga@example.net", PASSWORD, None, &client()).await;
    assert!(matches!(gone, Err(AccountError::Wrong)));
}

#[tokio::test]
async fn what_accounts_do_stands_in_the_audit() {
    let room = room().await;
    let token = room.set_up().await;
    let login = room.accounts.authenticate(token.expose()).await.unwrap();
    room.accounts.step_up(login.id, PASSWORD, &client()).await.unwrap();
    room.accounts.logout(login.id).await.unwrap();
    let entries = room.store.read(|reader| reader.all(crate::store::tables::AUDIT)).await.unwrap();
    let deeds: Vec<&str> = entries.iter().map(|(_, entry)| entry.what.as_str()).collect();
    assert_eq!(deeds, ["set-up", "login", "step-up", "logout"]);
    assert!(entries.iter().all(|(_, entry)| entry.who == login.account.to_string()));
    assert_eq!(room.store.read(audit::first_broken).await.unwrap(), None);
}

/// From the `number`th of many networks.
fn stranger(number: u8) -> ClientInfo {
    ClientInfo { address: [203, 0, number, 7].into(), agent: "stranger".to_owned() }
}

#[tokio::test]
async fn l3_a_crowd_of_strangers_does_not_lock_the_owner_out_at_home() {
    let room = room().await;
    room.set_up().await;
    let mut wrong = 0;
    for number in 0..60 {
        match room.accounts.login("olga", "wrong", None, &stranger(number)).await {
            Err(AccountError::Wrong) => wrong += 1,
            Err(AccountError::TooMany(_)) => {}
            _ => panic!("neither wrong nor throttled"),
        }
    }
    assert_eq!(wrong, 50);
    let right = room.accounts.login("olga", PASSWORD, None, &stranger(200)).await;
    assert!(matches!(right, Err(AccountError::TooMany(_))), "the day's number is used up");
    let (account, _) = room.accounts.login("olga", PASSWORD, None, &client()).await.unwrap();
    room.accounts.keep(false).await.unwrap();
    let told = room.accounts.notices(account.id).await.unwrap();
    assert_eq!(told.iter().filter(|notice| notice.message.contains("guessed")).count(), 1);
}

#[tokio::test]
async fn l3_a_home_stays_one_without_a_live_login() {
    let room = room().await;
    let token = room.set_up().await;
    let login = room.accounts.authenticate(token.expose()).await.unwrap();
    room.accounts.logout_all(login.account).await.unwrap();
    assert!(room.accounts.at_home(Some(login.account), &client()).await.unwrap());
    assert!(!room.accounts.at_home(Some(login.account), &stranger(1)).await.unwrap());
    assert!(!room.accounts.at_home(None, &client()).await.unwrap());
}

#[tokio::test]
async fn l3_a_login_from_a_new_network_is_told_and_the_first_is_not() {
    let room = room().await;
    let token = room.set_up().await;
    let id = room.accounts.authenticate(token.expose()).await.unwrap().account;
    room.accounts.login("olga", PASSWORD, None, &client()).await.unwrap();
    assert!(room.accounts.notices(id).await.unwrap().is_empty());
    for _ in 0..2 {
        room.accounts.login("olga", PASSWORD, None, &stranger(1)).await.unwrap();
    }
    let told = room.accounts.notices(id).await.unwrap();
    assert_eq!(told.len(), 1);
    assert!(told[0].message.contains("203.0.1.7"), "{}", told[0].message);
    let entries = room.store.read(|reader| reader.all(crate::store::tables::AUDIT)).await.unwrap();
    let new = entries.iter().filter(|(_, entry)| entry.what == "login-new-network");
    let from: Vec<Option<&str>> = new.map(|(_, entry)| entry.address.as_deref()).collect();
    assert_eq!(from, [Some("203.0.1.7")]);
}

#[tokio::test]
async fn l3_an_account_keeps_fifty_networks_and_the_least_recent_goes() {
    let room = room().await;
    let token = room.set_up().await;
    let id = room.accounts.authenticate(token.expose()).await.unwrap().account;
    for number in 0..50 {
        room.hand.advance(Duration::from_secs(1));
        room.accounts.login("olga", PASSWORD, None, &stranger(number)).await.unwrap();
    }
    assert!(!room.accounts.at_home(Some(id), &stranger(60)).await.unwrap());
    let homes = room.store.read(move |reader| reader.get(crate::store::tables::HOMES, &id)).await;
    let homes = homes.unwrap().unwrap().networks;
    assert_eq!(homes.len(), 50);
    assert!(homes.iter().all(|(network, ..)| network != "198.51.100.0/24"));
}

#[tokio::test]
async fn l3_wrong_passwords_stand_in_the_audit_with_their_origin_and_names_that_slipped_do_not() {
    let room = room().await;
    room.set_up().await;
    for name in ["olga", "a password in the wrong field"] {
        let refused = room.accounts.login(name, "wrong", None, &stranger(1)).await;
        assert!(matches!(refused, Err(AccountError::Wrong)));
    }
    room.accounts.keep(false).await.unwrap();
    let entries = room.store.read(|reader| reader.all(crate::store::tables::AUDIT)).await.unwrap();
    let refused: Vec<_> =
        entries.iter().filter(|(_, entry)| entry.what == "password-refused").collect();
    assert_eq!(refused.len(), 1);
    assert_eq!(refused[0].1.address.as_deref(), Some("203.0.1.7"));
    assert_eq!(room.store.read(audit::first_broken).await.unwrap(), None);
}

#[tokio::test]
async fn l6_a_cheap_hash_is_made_anew_at_the_next_login_and_counts_after_a_restart() {
    let room = room().await;
    room.set_up().await;
    let cost = async || {
        let accounts = room.store.read(|reader| reader.all(ACCOUNTS)).await.unwrap();
        accounts[0].1.password_hash[..7].to_owned()
    };
    assert_eq!(cost().await, "$2b$04$");
    room.accounts.set_bcrypt_cost(5);
    assert!(room.accounts.login("olga", "wrong", None, &client()).await.is_err());
    assert_eq!(cost().await, "$2b$04$", "a wrong password is not hashed anew");
    room.accounts.login("olga", PASSWORD, None, &client()).await.unwrap();
    assert_eq!(cost().await, "$2b$05$");
    room.accounts.login("olga", PASSWORD, None, &client()).await.unwrap();
}

#[tokio::test]
async fn l3_what_nobody_can_have_is_refused_and_counts_as_no_guess() {
    let room = room().await;
    room.set_up().await;
    let (name, password) = ("o".repeat(255), "p".repeat(1025));
    for (name, password) in [
        (name.as_str(), PASSWORD),
        ("olga", password.as_str()),
        ("ol\0ga", PASSWORD),
        ("olga", "a mast\0 in the meadow"),
    ] {
        for _ in 0..11 {
            let refused = room.accounts.login(name, password, None, &client()).await;
            assert!(matches!(refused, Err(AccountError::CredentialForm)));
        }
    }
    room.accounts.login("olga", PASSWORD, None, &client()).await.unwrap();
}

#[tokio::test]
async fn l3_networks_that_try_many_names_are_noted_and_a_crowd_of_them_does_not_fill_the_audit() {
    let room = room().await;
    room.set_up().await;
    for number in 0..3 {
        for name in 0..50 {
            let (name, from) = (format!("{name}"), stranger(number));
            let refused = room.accounts.login(&name, "wrong", None, &from).await;
            assert!(matches!(refused, Err(AccountError::Wrong)));
        }
    }
    room.accounts.keep(false).await.unwrap();
    let entries = room.store.read(|reader| reader.all(crate::store::tables::AUDIT)).await.unwrap();
    let throttled = entries.iter().filter(|(_, entry)| entry.what == "network-throttled");
    let about: Vec<&str> = throttled.map(|(_, entry)| entry.about.as_str()).collect();
    assert_eq!(about, ["203.0.0.0/24"]);
}

/// A room whose first account a provisioning file brought, with the hash of this password.
async fn provisioned(password: &str) -> Room {
    let room = room().await;
    let admin = FirstAdmin {
        username: "Olga".to_owned(),
        email: String::new(),
        timezone: String::new(),
        password_hash: bcrypt::hash(password, 5).unwrap(),
    };
    let at = Timestamp::UNIX_EPOCH;
    room.store.write(move |writer| admin.put(writer, at)).await.unwrap().unwrap();
    let Room { store, seal, data, .. } = room;
    let (clock, hand) = Clock::manual("2026-11-24T08:00:00Z".parse().unwrap());
    let supervisor = Supervisor::new();
    let accounts =
        Accounts::start(store.clone(), &seal, clock, data.path(), &supervisor).await.unwrap();
    accounts.set_bcrypt_cost(4);
    Room { accounts, hand, store, seal, data }
}

#[tokio::test]
async fn l6_a_provisioned_account_logs_in_and_then_has_the_houses_own_hash() {
    let room = provisioned(PASSWORD).await;
    assert!(room.accounts.is_configured());
    assert!(!room.data.path().join("setup-code").exists());
    let pepper = async || {
        let accounts = room.store.read(|reader| reader.all(ACCOUNTS)).await.unwrap();
        accounts[0].1.pepper.clone()
    };
    let refused = room.accounts.login("olga", "another password", None, &client()).await;
    assert!(matches!(refused, Err(AccountError::Wrong)));
    assert_eq!(pepper().await, "plain", "a wrong password is not hashed anew");
    assert!(matches!(
        room.accounts.login("", PASSWORD, None, &client()).await,
        Err(AccountError::Wrong)
    ));
    for _ in 0..2 {
        let (_, token) = room.accounts.login("olga", PASSWORD, None, &client()).await.unwrap();
        let login = room.accounts.authenticate(token.expose()).await.unwrap();
        assert_eq!((login.role, login.due), (Role::Admin, None));
        assert_eq!(pepper().await, room.seal.peppers().newest().unwrap().id);
    }
}

#[tokio::test]
async fn l6_a_provisioned_password_that_the_rules_refuse_has_to_be_changed_first() {
    let room = provisioned("short").await;
    let (_, token) = room.accounts.login("olga", "short", None, &client()).await.unwrap();
    let login = room.accounts.authenticate(token.expose()).await.unwrap();
    assert_eq!(login.due, Some(Due::Password));
    let changed = room.accounts.change_password(&login, "short", PASSWORD, &client()).await;
    let login = room.accounts.authenticate(changed.unwrap().expose()).await.unwrap();
    assert_eq!(login.due, None);
}
