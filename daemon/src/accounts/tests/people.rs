//! Admins and other accounts, and the tokens that they make.

use super::tokens::token;
use super::*;
use crate::store::records::{FactorsRecord, PasskeyRecord};
use crate::store::tables::AUDIT;

/// The password of everybody but the first.
const OTHER: &str = "nine herons on a long pier";

pub(super) struct Scene {
    pub(super) room: Room,
    pub(super) owner: Actor,
    pub(super) token: LoginToken,
}

pub(super) async fn scene() -> Scene {
    let room = room().await;
    let token = room.set_up().await;
    let account = room.accounts.authenticate(token.expose()).await.unwrap().account;
    Scene { room, owner: by(account), token }
}

pub(super) fn by(account: Uuid) -> Actor {
    Actor { account, address: client().address }
}

fn new(name: &str, role: Role) -> NewPerson {
    NewPerson {
        username: Some(name.to_owned()),
        email: format!("{name}@example.net"),
        first_name: String::new(),
        last_name: String::new(),
        role,
        enabled: true,
        force_password_change: false,
    }
}

impl Scene {
    pub(super) async fn person(&self, name: &str, role: Role) -> Uuid {
        let made = self.room.accounts.create_person(self.owner, new(name, role), OTHER);
        made.await.unwrap()
    }

    pub(super) async fn log_in(&self, name: &str) -> LoginToken {
        self.room.accounts.login(name, OTHER, None, &client()).await.unwrap().1
    }

    pub(super) async fn change(&self, id: Uuid, change: PersonChange) -> Result<(), AccountError> {
        self.room.accounts.change_person(self.owner, id, change, None).await
    }

    pub(super) fn admit(&self, token: &LoginToken) -> Result<Login, AccountError> {
        self.room.accounts.admit(token.expose(), client().address)
    }

    pub(super) async fn told(&self, id: Uuid) -> Vec<String> {
        let notices = self.room.accounts.notices(id).await.unwrap();
        notices.into_iter().map(|notice| notice.message).collect()
    }

    /// What was done to what, and from where.
    async fn deeds(&self) -> Vec<(String, String)> {
        let entries = self.room.store.read(|reader| reader.all(AUDIT)).await.unwrap();
        let told = entries.into_iter().map(|(_, entry)| {
            let from =
                entry.address.map_or_else(String::new, |address| format!(", from {address}"));
            (entry.what, format!("{}{from}", entry.about))
        });
        told.collect()
    }

    /// As part of the room that adds factors does it.
    async fn give_factor(&self, id: Uuid) {
        let passkey = PasskeyRecord {
            id: Uuid::nil(),
            name: "phone".to_owned(),
            host: "aerie.example".to_owned(),
            credential: "{}".to_owned(),
            created: 0,
            last_used: None,
        };
        let factors = FactorsRecord { passkeys: vec![passkey], ..FactorsRecord::default() };
        self.room.store.write(move |writer| writer.put(FACTORS, &id, &factors)).await.unwrap();
        self.room.accounts.inner.standings.set_factor(id, true);
    }

    pub(super) async fn restarted(&self) -> Accounts {
        let (store, clock) = (self.room.store.clone(), self.room.accounts.inner.clock.clone());
        let (seal, data) = (&self.room.seal, self.room.data.path());
        Accounts::start(store, seal, clock, data, &Supervisor::new()).await.unwrap()
    }
}

pub(super) fn lower() -> PersonChange {
    PersonChange { role: Some(Role::ReadOnly), ..PersonChange::default() }
}

#[tokio::test]
async fn l4_of_two_admins_who_lower_each_other_at_the_same_moment_one_stays() {
    let scene = scene().await;
    let second = scene.person("nina", Role::Admin).await;
    let (first, accounts) = (scene.owner.account, &scene.room.accounts);
    let (one, other) = tokio::join!(
        accounts.change_person(by(first), second, lower(), None),
        accounts.change_person(by(second), first, lower(), None),
    );
    let won = [&one, &other].into_iter().filter(|done| done.is_ok()).count();
    assert_eq!(won, 1, "{one:?} {other:?}");
    let people = accounts.people().await.unwrap();
    let admins = people.iter().filter(|person| person.account.role == Role::Admin).count();
    assert_eq!(admins, 1);
}

#[tokio::test]
async fn l4_the_last_admin_and_oneself_are_neither_lowered_nor_disabled_nor_deleted() {
    let scene = scene().await;
    let (owner, accounts) = (scene.owner.account, &scene.room.accounts);
    let disable = || PersonChange { enabled: Some(false), ..PersonChange::default() };
    for change in [lower(), disable()] {
        let refused = scene.change(owner, change).await;
        assert!(matches!(refused, Err(AccountError::LastAdmin)), "{refused:?}");
    }
    let refused = accounts.delete_person(scene.owner, owner).await;
    assert!(matches!(refused, Err(AccountError::LastAdmin)));
    let refused = accounts.offboard(scene.owner, owner).await;
    assert!(matches!(refused, Err(AccountError::LastAdmin)));
    // An admin that may not log in is none.
    let second = scene.person("nina", Role::Admin).await;
    scene.change(second, disable()).await.unwrap();
    assert!(matches!(scene.change(owner, lower()).await, Err(AccountError::LastAdmin)));
    let enable = PersonChange { enabled: Some(true), ..PersonChange::default() };
    scene.change(second, enable).await.unwrap();
    for change in [lower(), disable()] {
        let refused = scene.change(owner, change).await;
        assert!(matches!(refused, Err(AccountError::Yourself)), "{refused:?}");
    }
    let refused = accounts.delete_person(scene.owner, owner).await;
    assert!(matches!(refused, Err(AccountError::Yourself)));
    accounts.delete_person(by(second), owner).await.unwrap();
    // And who was an admin a moment ago changes nothing any more.
    let refused = accounts.change_person(scene.owner, second, lower(), None).await;
    assert!(matches!(refused, Err(AccountError::NotAdmin)));
}

#[tokio::test]
async fn l4_a_new_role_ends_the_logins_and_holds_at_once() {
    let scene = scene().await;
    let nina = scene.person("nina", Role::Admin).await;
    let login = scene.log_in("nina").await;
    let mut ended = scene.room.accounts.ended();
    scene.change(nina, lower()).await.unwrap();
    assert_eq!(ended.recv().await.unwrap(), LoginId::of_token(login.expose()));
    assert!(matches!(scene.admit(&login), Err(AccountError::NoLogin)));
    assert_eq!(scene.admit(&scene.log_in("nina").await).unwrap().role, Role::ReadOnly);
    assert_eq!(scene.told(nina).await, ["Olga changed: role guest."]);
}

#[tokio::test]
async fn l1_a_disabled_or_deleted_account_has_no_login_and_gets_none() {
    let scene = scene().await;
    let nina = scene.person("nina", Role::ReadOnly).await;
    let first = scene.log_in("nina").await;
    let disabled = PersonChange { enabled: Some(false), ..PersonChange::default() };
    scene.change(nina, disabled).await.unwrap();
    assert!(scene.admit(&first).is_err());
    let refused = scene.room.accounts.login("nina", OTHER, None, &client()).await;
    assert!(matches!(refused, Err(AccountError::Wrong)), "like a wrong password");
    let enabled = PersonChange { enabled: Some(true), ..PersonChange::default() };
    scene.change(nina, enabled).await.unwrap();
    assert!(scene.admit(&first).is_err(), "it does not come back");
    let second = scene.log_in("nina").await;
    scene.room.accounts.delete_person(scene.owner, nina).await.unwrap();
    assert!(scene.admit(&second).is_err());
    let refused = scene.room.accounts.login("nina@example.net", OTHER, None, &client()).await;
    assert!(matches!(refused, Err(AccountError::Wrong)));
    // Its names are free again.
    scene.person("nina", Role::ReadOnly).await;
}

#[tokio::test]
async fn l1_a_login_that_began_under_the_old_password_is_worth_nothing() {
    let scene = scene().await;
    let accounts = &scene.room.accounts;
    let before = accounts.record(scene.owner.account).await.unwrap();
    // Its password was right; before it is in the list, the password changes.
    let late = accounts.begin(scene.owner.account, &before, None, &client()).unwrap();
    let login = accounts.authenticate(scene.token.expose()).await.unwrap();
    let fresh = accounts.change_password(&login, PASSWORD, OTHER, &client()).await.unwrap();
    let (id, record) = (late.id, late.record.clone());
    let put = move |writer: &Writer<'_>| Begun::put(writer, id, &record, &[]);
    scene.room.store.write(put).await.unwrap();
    accounts.inner.logins.put(late.id, late.record, Role::Admin);
    assert!(scene.admit(&late.token).is_err());
    assert!(!accounts.is_live(&late.id));
    scene.admit(&fresh).unwrap();
    let again = scene.restarted().await;
    assert!(again.admit(late.token.expose(), client().address).is_err());
    again.admit(fresh.expose(), client().address).unwrap();
}

#[tokio::test]
async fn l1_a_password_change_asks_for_the_present_one_and_ends_all_logins() {
    let scene = scene().await;
    let accounts = &scene.room.accounts;
    let other = accounts.login("olga", PASSWORD, None, &client()).await.unwrap().1;
    let login = accounts.authenticate(scene.token.expose()).await.unwrap();
    let change = async |current: &'static str, new: &'static str| {
        accounts.change_password(&login, current, new, &client()).await
    };
    assert!(matches!(change("wrong", OTHER).await, Err(AccountError::Wrong)));
    assert!(matches!(change(PASSWORD, PASSWORD).await, Err(AccountError::SamePassword)));
    let short = change(PASSWORD, "fourteen chars").await;
    assert!(matches!(short, Err(AccountError::Password(PasswordError::TooShort(14, 15)))));
    scene.admit(&other).unwrap();
    let fresh = change(PASSWORD, OTHER).await.unwrap();
    scene.admit(&fresh).unwrap();
    assert!(scene.admit(&other).is_err() && scene.admit(&scene.token).is_err());
    accounts.login("olga", OTHER, None, &client()).await.unwrap();
    let old = accounts.login("olga", PASSWORD, None, &client()).await;
    assert!(matches!(old, Err(AccountError::Wrong)));
    let changed = ("password-changed".to_owned(), "Olga, from 198.51.100.7".to_owned());
    assert!(scene.deeds().await.contains(&changed));
}

#[tokio::test]
async fn l1_guesses_at_the_present_password_are_throttled() {
    let scene = scene().await;
    let accounts = &scene.room.accounts;
    let login = accounts.authenticate(scene.token.expose()).await.unwrap();
    let mut wrong = 0;
    // The first waits may be over before a busy machine has hashed the guess.
    while wrong < 20 {
        match accounts.change_password(&login, "a guess", OTHER, &client()).await {
            Err(AccountError::Wrong) => wrong += 1,
            Err(AccountError::TooMany(_)) => break,
            other => panic!("{:?}", other.err()),
        }
    }
    assert!((10..20).contains(&wrong), "{wrong}");
    let refused = accounts.change_password(&login, PASSWORD, OTHER, &client()).await;
    assert!(matches!(refused, Err(AccountError::TooMany(_))));
}

#[tokio::test]
async fn l1_beside_a_second_factor_eight_characters_are_enough() {
    let scene = scene().await;
    let accounts = &scene.room.accounts;
    let person = accounts.person(scene.owner.account).await.unwrap();
    assert_eq!((person.password_min, person.has_factor()), (15, false));
    scene.give_factor(scene.owner.account).await;
    let person = accounts.person(scene.owner.account).await.unwrap();
    assert_eq!((person.password_min, person.has_factor()), (8, true));
    let login = accounts.authenticate(scene.token.expose()).await.unwrap();
    let short = accounts.change_password(&login, PASSWORD, "7 chars", &client()).await;
    assert!(matches!(short, Err(AccountError::Password(PasswordError::TooShort(7, 8)))));
    accounts.change_password(&login, PASSWORD, "8 heron!", &client()).await.unwrap();
}

#[tokio::test]
async fn l1_after_a_reset_by_an_admin_a_new_password_is_due() {
    let scene = scene().await;
    let nina = scene.person("nina", Role::ReadOnly).await;
    let before = scene.log_in("nina").await;
    let (accounts, keep) = (&scene.room.accounts, PersonChange::default);
    let reset = "forty two geese on ice";
    accounts.change_person(scene.owner, nina, keep(), Some(reset)).await.unwrap();
    assert!(scene.admit(&before).is_err());
    let token = accounts.login("nina", reset, None, &client()).await.unwrap().1;
    let login = scene.admit(&token).unwrap();
    assert_eq!(login.due, Some(Due::Password));
    assert!(accounts.is_due(&login.id));
    assert_eq!(
        scene.told(nina).await,
        ["Olga changed: password reset, has to choose a new password."]
    );
    let token = accounts.change_password(&login, reset, OTHER, &client()).await.unwrap();
    assert_eq!(scene.admit(&token).unwrap().due, None);
    let own = accounts.change_person(scene.owner, scene.owner.account, keep(), Some(reset)).await;
    assert!(matches!(own, Err(AccountError::Invalid(_))), "one's own needs the present one");
}

#[tokio::test]
async fn l4_who_requires_a_second_factor_of_all_has_one_and_it_is_due_of_the_others() {
    let scene = scene().await;
    let accounts = &scene.room.accounts;
    let refused = accounts.require_two_factor(scene.owner, true).await;
    assert!(matches!(refused, Err(AccountError::NoFactor)));
    scene.give_factor(scene.owner.account).await;
    let nina = scene.person("nina", Role::ReadOnly).await;
    let login = scene.log_in("nina").await;
    assert_eq!(scene.admit(&login).unwrap().due, None);
    accounts.require_two_factor(scene.owner, true).await.unwrap();
    assert_eq!(scene.admit(&login).unwrap().due, Some(Due::SecondFactor));
    assert_eq!(scene.admit(&scene.token).unwrap().due, None);
    let again = scene.restarted().await;
    let login = again.admit(login.expose(), client().address).unwrap();
    assert_eq!(login.due, Some(Due::SecondFactor), "over a restart too");
    scene.give_factor(nina).await;
    let off = PersonChange { factors_off: true, ..PersonChange::default() };
    scene.change(nina, off).await.unwrap();
    let login = scene.admit(&scene.log_in("nina").await).unwrap();
    assert_eq!(login.due, Some(Due::SecondFactor));
    assert_eq!(scene.told(nina).await, ["Olga changed: second factors removed."]);
}

#[tokio::test]
async fn l2_an_accounts_idle_time_holds_for_its_next_logins_and_has_bounds() {
    let scene = scene().await;
    let timeout = |idle| AccountChange { session_timeout: Some(idle), ..Default::default() };
    for bad in [-1, 1, 30 * 60_000 - 1, 30 * 24 * 3_600_000 + 1] {
        let refused = scene.room.accounts.change(scene.owner, timeout(bad)).await;
        assert!(matches!(refused, Err(AccountError::Invalid(_))), "{bad}");
    }
    scene.room.accounts.change(scene.owner, timeout(30 * 60_000)).await.unwrap();
    let short = scene.room.accounts.login("olga", PASSWORD, None, &client()).await.unwrap().1;
    scene.room.hand.advance(Duration::from_mins(29));
    scene.admit(&short).unwrap();
    scene.room.hand.advance(Duration::from_mins(29));
    scene.admit(&short).unwrap();
    scene.room.hand.advance(Duration::from_mins(31));
    assert!(scene.admit(&short).is_err());
    scene.admit(&scene.token).unwrap();
    scene.room.accounts.change(scene.owner, timeout(30 * 24 * 3_600_000)).await.unwrap();
    let long = scene.room.accounts.login("olga", PASSWORD, None, &client()).await.unwrap().1;
    scene.room.hand.advance(Duration::from_hours(15 * 24));
    scene.admit(&long).unwrap();
    // Use extends it, and a month after its beginning it ends all the same.
    scene.room.hand.advance(Duration::from_hours(15 * 24));
    assert!(scene.admit(&long).is_err());
}

#[tokio::test]
async fn l4_offboarding_leaves_nothing_and_lists_what_was_seen() {
    let scene = scene().await;
    let accounts = &scene.room.accounts;
    let nina = scene.person("nina", Role::Admin).await;
    let login = scene.log_in("nina").await;
    let (_, secret) = accounts.make_token(by(nina), token(Role::Admin)).await.unwrap();
    let app_key = NewToken { kind: Kind::AppKey { write: true }, ..token(Role::ReadOnly) };
    let (_, app_key) = accounts.make_token(by(nina), app_key).await.unwrap();
    for _ in 0..2 {
        accounts.shows_secret(by(nina), "device key 01020304".to_owned()).await.unwrap();
    }
    accounts.shows_secret(scene.owner, "another".to_owned()).await.unwrap();
    let mut ended = accounts.ended();
    let gone = accounts.offboard(scene.owner, nina).await.unwrap();
    assert_eq!((gone.logins, gone.tokens, gone.app_keys), (1, 1, 1));
    let seen: Vec<&str> = gone.secrets.iter().map(|secret| secret.about.as_str()).collect();
    assert_eq!(seen, ["device key 01020304"]);
    for token in [&login, &secret, &app_key] {
        assert!(matches!(scene.admit(token), Err(AccountError::NoLogin)));
        ended.recv().await.unwrap();
    }
    let refused = accounts.login("nina", OTHER, None, &client()).await;
    assert!(matches!(refused, Err(AccountError::Wrong)));
    let again = accounts.offboard(scene.owner, nina).await.unwrap();
    assert_eq!((again.logins, again.tokens, again.app_keys), (0, 0, 0));
}

#[tokio::test]
async fn names_are_one_accounts_alone_and_names_that_cannot_be_are_refused() {
    let scene = scene().await;
    let accounts = &scene.room.accounts;
    let nina = scene.person("nina", Role::ReadOnly).await;
    let make = async |person: NewPerson| accounts.create_person(scene.owner, person, OTHER).await;
    let refused = make(new("OLGA", Role::ReadOnly)).await;
    assert!(matches!(refused, Err(AccountError::UsernameTaken)));
    let taken = NewPerson { email: "Olga@Example.net".to_owned(), ..new("nora", Role::ReadOnly) };
    assert!(matches!(make(taken).await, Err(AccountError::Email)));
    for bad in "@{}()<>/+*'\";=%\0\n \u{202e}\u{200b}".chars() {
        let username = Some(format!("no{bad}ra"));
        let refused = make(NewPerson { username, ..new("nora", Role::ReadOnly) }).await;
        assert!(matches!(refused, Err(AccountError::Username)), "{bad:?}");
    }
    for bad in ["a\0b".to_owned(), "x".repeat(65), "tab\t".to_owned()] {
        let person = NewPerson { first_name: bad, ..new("nora", Role::ReadOnly) };
        assert!(matches!(make(person).await, Err(AccountError::Invalid(_))));
    }
    let renamed = PersonChange { username: Some("olga".to_owned()), ..PersonChange::default() };
    assert!(matches!(scene.change(nina, renamed).await, Err(AccountError::UsernameTaken)));
    let renamed = PersonChange { username: Some("nora".to_owned()), ..PersonChange::default() };
    scene.change(nina, renamed).await.unwrap();
    scene.log_in("nora").await;
    let old = accounts.login("nina", OTHER, None, &client()).await;
    assert!(matches!(old, Err(AccountError::Wrong)));
}
