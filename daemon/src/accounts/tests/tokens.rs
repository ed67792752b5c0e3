//! API tokens and app keys.

use super::people::{by, lower, scene};
use super::*;
use crate::store::tables::TOKENS;

pub(super) fn token(role: Role) -> NewToken {
    NewToken {
        kind: Kind::Token,
        name: "script".to_owned(),
        meta: String::new(),
        role,
        expires: None,
        step_up: false,
        addresses: Vec::new(),
    }
}

#[tokio::test]
async fn l4_a_token_never_reaches_further_than_its_maker() {
    let scene = scene().await;
    let accounts = &scene.room.accounts;
    let nina = scene.person("nina", Role::Admin).await;
    let (_, all) = accounts.make_token(by(nina), token(Role::Admin)).await.unwrap();
    let (_, looks) = accounts.make_token(by(nina), token(Role::ReadOnly)).await.unwrap();
    assert_eq!(scene.admit(&all).unwrap().role, Role::Admin);
    assert_eq!(scene.admit(&looks).unwrap().role, Role::ReadOnly);
    let mut ended = accounts.ended();
    scene.log_in("nina").await;
    scene.change(nina, lower()).await.unwrap();
    let mut closed = Vec::new();
    for _ in 0..3 {
        closed.push(ended.recv().await.unwrap());
    }
    assert!(closed.contains(&LoginId::of_token(all.expose())), "its sockets close");
    assert_eq!(scene.admit(&all).unwrap().role, Role::ReadOnly);
    for wanted in [
        token(Role::Admin),
        NewToken { kind: Kind::AppKey { write: false }, ..token(Role::ReadOnly) },
        NewToken { step_up: true, addresses: vec!["::1".to_owned()], ..token(Role::ReadOnly) },
    ] {
        let refused = accounts.make_token(by(nina), wanted).await;
        assert!(matches!(refused, Err(AccountError::NotAdmin)));
    }
    let disabled = PersonChange { enabled: Some(false), ..PersonChange::default() };
    scene.change(nina, disabled).await.unwrap();
    assert!(matches!(scene.admit(&looks), Err(AccountError::TokenMaker)));
    assert!(!accounts.is_live(&LoginId::of_token(looks.expose())));
    accounts.delete_person(scene.owner, nina).await.unwrap();
    assert!(matches!(scene.admit(&looks), Err(AccountError::NoLogin)));
    assert!(scene.room.store.read(|reader| reader.all(TOKENS)).await.unwrap().is_empty());
}

#[tokio::test]
async fn l4_a_tokens_networks_are_checked_on_every_use() {
    let scene = scene().await;
    let accounts = &scene.room.accounts;
    let wanted = NewToken {
        step_up: true,
        addresses: vec!["198.51.100.0/24".to_owned()],
        ..token(Role::Admin)
    };
    let (_, risky) = accounts.make_token(scene.owner, wanted).await.unwrap();
    let inside = accounts.admit(risky.expose(), "::ffff:198.51.100.9".parse().unwrap()).unwrap();
    assert_eq!(inside.stepped_up_until, Timestamp::MAX);
    let outside = accounts.admit(risky.expose(), "198.51.101.9".parse().unwrap());
    assert!(matches!(outside, Err(AccountError::TokenAddress(_))));
    let (_, plain) = accounts.make_token(scene.owner, token(Role::Admin)).await.unwrap();
    let login = scene.admit(&plain).unwrap();
    assert_eq!(login.stepped_up_until, Timestamp::UNIX_EPOCH, "never fresh enough");
}

#[tokio::test]
async fn l1_a_token_ends_at_its_time_and_outlives_a_restart_until_then() {
    let scene = scene().await;
    let accounts = &scene.room.accounts;
    let now = accounts.inner.clock.now();
    let expires = now + jiff::SignedDuration::from_hours(1);
    let wanted = NewToken { expires: Some(expires), ..token(Role::ReadOnly) };
    let (entry, hour) = accounts.make_token(scene.owner, wanted).await.unwrap();
    let (_, ever) = accounts.make_token(scene.owner, token(Role::ReadOnly)).await.unwrap();
    scene.admit(&hour).unwrap();
    accounts.pass(true).await.unwrap();
    let again = scene.restarted().await;
    let entries = again.entries(Some(scene.owner.account)).await.unwrap();
    let kept = entries.iter().find(|kept| kept.id == entry.id).unwrap();
    assert_eq!((kept.last_used, kept.expires), (Some(now), Some(expires)), "and its last use");
    assert_eq!(kept.address, "198.51.100.7");
    scene.room.hand.advance(Duration::from_hours(1));
    let late = again.admit(hour.expose(), client().address);
    assert!(matches!(late, Err(AccountError::TokenExpired)));
    again.admit(ever.expose(), client().address).unwrap();
    for malformed in ["", "token", &"x".repeat(42), &"é".repeat(21)] {
        let refused = again.admit(malformed, client().address);
        assert!(matches!(refused, Err(AccountError::Malformed)), "{malformed}");
    }
    let unknown = again.admit(&"x".repeat(43), client().address);
    assert!(matches!(unknown, Err(AccountError::NoLogin)));
}

#[tokio::test]
async fn l1_only_the_hash_of_a_token_is_stored() {
    let scene = scene().await;
    let made = scene.room.accounts.make_token(scene.owner, token(Role::ReadOnly)).await;
    let (entry, secret) = made.unwrap();
    let stored = scene.room.store.read(|reader| reader.all(TOKENS)).await.unwrap();
    assert_eq!(&stored[0].0, LoginId::of_token(secret.expose()).as_bytes());
    assert!(!format!("{stored:?} {entry:?}").contains(secret.expose()));
}

#[tokio::test]
async fn l1_a_list_shows_ones_own_and_ends_them_and_an_admin_everybodys() {
    let scene = scene().await;
    let accounts = &scene.room.accounts;
    let nina = scene.person("nina", Role::ReadOnly).await;
    let login = scene.log_in("nina").await;
    let (made, _) = accounts.make_token(by(nina), token(Role::ReadOnly)).await.unwrap();
    assert_eq!(accounts.entries(Some(nina)).await.unwrap().len(), 2);
    assert_eq!(accounts.entries(None).await.unwrap().len(), 3);
    let owners = accounts.entries(Some(scene.owner.account)).await.unwrap()[0].id;
    let refused = accounts.end_entry(by(nina), Role::ReadOnly, owners).await;
    assert!(matches!(refused, Err(AccountError::NoToken)), "as if it were not there");
    let id = LoginId::of_token(login.expose()).guid();
    accounts.end_entry(scene.owner, Role::Admin, id).await.unwrap();
    accounts.end_entry(scene.owner, Role::Admin, made.id).await.unwrap();
    assert!(scene.admit(&login).is_err());
    assert_eq!(
        scene.told(nina).await,
        [
            "Olga ended one of your logins, last used from 198.51.100.7.",
            "Olga deleted your API token \"script\"."
        ]
    );
    let again = scene.restarted().await;
    assert!(again.entries(Some(nina)).await.unwrap().is_empty());
}

#[tokio::test]
async fn l1_a_token_that_came_over_plain_http_is_deleted_and_its_maker_told() {
    let scene = scene().await;
    let accounts = &scene.room.accounts;
    let (_, secret) = accounts.make_token(scene.owner, token(Role::ReadOnly)).await.unwrap();
    let id = accounts.leaked(secret.expose()).unwrap();
    assert!(matches!(scene.admit(&secret), Err(AccountError::Leaked)));
    assert_eq!(accounts.end_leaked(id).await.unwrap().unwrap().id, scene.owner.account);
    assert!(scene.room.store.read(|reader| reader.all(TOKENS)).await.unwrap().is_empty());
    assert!(scene.told(scene.owner.account).await[0].contains("plain HTTP"));
}
