//! Second factors on a store in memory. The codes are made here, from the secret that was handed
//! out.

use totp_rs::{Builder, Secret as TotpSecret};

use super::*;
use crate::accounts::recovery;
use crate::store::tables::{AUDIT, SETTINGS};

struct WithApp {
    room: Room,
    token: LoginToken,
    secret: String,
    codes: Vec<String>,
}

impl WithApp {
    async fn new() -> Self {
        let room = room().await;
        let token = room.set_up().await;
        let login = room.accounts.authenticate(token.expose()).await.unwrap();
        let new = room.accounts.new_totp(login.account, "localhost").await.unwrap();
        let secret = new.base32.expose().clone();
        let code = code_of(&secret, &room, 0);
        let confirmation = confirmation(PASSWORD, &secret, &code);
        let codes = room.accounts.confirm_totp(&login, confirmation, &client()).await.unwrap();
        let codes = codes.unwrap().expose().map(str::to_owned).collect();
        let app = Self { room, token, secret, codes };
        app.next_step();
        app
    }

    /// The code of the present step, or of one `shift` away.
    fn code(&self, shift: i64) -> String {
        code_of(&self.secret, &self.room, shift)
    }

    /// A code that is none of the present ones.
    fn wrong(&self) -> String {
        let taken: Vec<String> = (-1..=1).map(|shift| self.code(shift)).collect();
        let mut codes = (0..10).map(|number| format!("{number:06}"));
        codes.find(|code| !taken.contains(code)).unwrap()
    }

    fn next_step(&self) {
        self.room.hand.advance(Duration::from_secs(30));
    }

    async fn login(&self) -> Login {
        self.room.accounts.authenticate(self.token.expose()).await.unwrap()
    }

    /// The first step of a login.
    async fn password(&self) -> Box<FactorDue> {
        match self.room.accounts.login("olga", PASSWORD, None, &client()).await {
            Err(AccountError::FactorDue(due)) => due,
            Err(error) => panic!("{error}"),
            Ok(_) => panic!("the password alone was enough"),
        }
    }

    async fn enter(&self, code: &str) -> Result<LoginToken, AccountError> {
        let due = self.password().await;
        self.second(&due, code).await
    }

    /// The second step of a login.
    async fn second(&self, due: &FactorDue, code: &str) -> Result<LoginToken, AccountError> {
        let client = client();
        let entered = self.room.accounts.login_with_code(due.id.expose(), code, None, &client);
        entered.await.map(|(_, token)| token)
    }

    async fn told(&self) -> String {
        let account = self.login().await.account;
        let notices = self.room.accounts.notices(account).await.unwrap();
        notices.into_iter().map(|notice| notice.message + "\n").collect()
    }

    async fn audited(&self) -> Vec<String> {
        let entries = self.room.store.read(|reader| reader.all(AUDIT)).await.unwrap();
        entries.into_iter().map(|(_, entry)| entry.what).collect()
    }

    /// The same appliance after a restart.
    async fn again(self) -> Self {
        let clock = self.room.accounts.inner.clock.clone();
        let Room { hand, store, seal, data, .. } = self.room;
        let supervisor = Supervisor::new();
        let started = Accounts::start(store.clone(), &seal, clock, data.path(), &supervisor);
        let room = Room { accounts: started.await.unwrap(), hand, store, seal, data };
        Self { room, ..self }
    }
}

fn confirmation<'a>(password: &'a str, base32: &'a str, code: &'a str) -> TotpConfirmation<'a> {
    TotpConfirmation { password, base32, code }
}

fn code_of(secret: &str, room: &Room, shift: i64) -> String {
    let app = Builder::new().with_secret(TotpSecret::try_from_base32(secret).unwrap());
    let second = room.accounts.inner.clock.now().as_second() + shift * 30;
    app.build().unwrap().generate(second.try_into().unwrap()).to_string()
}

fn is_wrong<T>(refused: &Result<T, AccountError>) -> bool {
    matches!(refused, Err(AccountError::Factor(FactorError::CodeWrong)))
}

fn is_gone<T>(refused: &Result<T, AccountError>) -> bool {
    matches!(refused, Err(AccountError::Factor(FactorError::Gone)))
}

#[tokio::test]
async fn l5_a_code_counts_once_also_after_a_restart() {
    let app = WithApp::new().await;
    let code = app.code(0);
    app.enter(&code).await.unwrap();
    assert!(is_wrong(&app.enter(&code).await));
    let app = app.again().await;
    assert!(is_wrong(&app.enter(&code).await));
    // Nor does the step before it, which is still within the app's time.
    assert!(is_wrong(&app.enter(&app.code(-1)).await));
    app.next_step();
    app.enter(&app.code(0)).await.unwrap();
    app.enter(&app.code(1)).await.unwrap();
}

#[tokio::test]
async fn l5_the_code_that_confirmed_the_app_does_not_log_in() {
    let app = WithApp::new().await;
    assert!(is_wrong(&app.enter(&app.code(-1)).await));
    app.enter(&app.code(0)).await.unwrap();
}

#[tokio::test]
async fn l5_of_many_logins_with_one_code_one_begins() {
    let app = WithApp::new().await;
    let code = app.code(0);
    let mut racing = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let due = app.password().await;
        let (accounts, code) = (app.room.accounts.clone(), code.clone());
        racing.spawn(async move {
            accounts.login_with_code(due.id.expose(), &code, None, &client()).await.is_ok()
        });
    }
    assert_eq!(racing.join_all().await.into_iter().filter(|won| *won).count(), 1);
}

#[tokio::test]
async fn l5_the_second_step_is_for_the_network_of_the_first_and_ends_it() {
    let app = WithApp::new().await;
    let due = app.password().await;
    assert!(due.totp && due.recovery_codes && due.passkey_hosts.is_empty());
    let elsewhere = ClientInfo { address: "203.0.113.9".parse().unwrap(), agent: String::new() };
    let (id, code) = (due.id.expose(), app.code(0));
    let refused = app.room.accounts.login_with_code(id, &code, None, &elsewhere).await;
    assert!(is_gone(&refused));
    app.second(&due, &code).await.unwrap();
    assert!(is_gone(&app.second(&due, &app.code(1)).await));
}

#[tokio::test]
async fn l5_five_wrong_codes_end_a_login_that_waits_and_are_told() {
    let app = WithApp::new().await;
    let due = app.password().await;
    for _ in 0..5 {
        assert!(is_wrong(&app.second(&due, &app.wrong()).await));
    }
    let right = app.code(0);
    assert!(is_gone(&app.second(&due, &right).await));
    assert!(app.told().await.contains("5 wrong codes, from 198.51.100.7"));
    assert!(app.audited().await.contains(&"second-factor-refused".to_owned()));
    app.enter(&right).await.unwrap();
}

#[tokio::test]
async fn l5_wrong_codes_are_counted_for_the_account_and_not_only_for_one_login() {
    let app = WithApp::new().await;
    let mut wrong = 0;
    // The first waits may be over before a busy machine has hashed the password.
    while wrong < 20 {
        match app.enter(&app.wrong()).await {
            Err(AccountError::TooMany(_)) => break,
            refused => assert!(is_wrong(&refused)),
        }
        wrong += 1;
    }
    assert!((10..20).contains(&wrong), "{wrong}");
    // A recovery code has a count of its own.
    app.enter(&app.codes[0]).await.unwrap();
}

#[tokio::test]
async fn l5_a_recovery_code_counts_once_and_is_told_and_audited() {
    let app = WithApp::new().await;
    let typed = app.codes[3].to_lowercase().replace('-', " ");
    app.enter(&typed).await.unwrap();
    assert!(is_wrong(&app.enter(&app.codes[3]).await));
    let app = app.again().await;
    assert!(is_wrong(&app.enter(&app.codes[3]).await));
    let account = app.login().await.account;
    let person = app.room.accounts.person(account).await.unwrap();
    assert_eq!(person.factors.recovery_codes_left, 9);
    let told = app.told().await;
    assert!(told.contains("recovery code took the place of your second factor"), "{told}");
    assert!(app.audited().await.contains(&"recovery-code-used".to_owned()));
}

#[tokio::test]
async fn l5_secret_and_codes_are_not_stored_as_they_are() {
    let app = WithApp::new().await;
    let kept = app.room.store.read(|reader| reader.all(FACTORS)).await.unwrap();
    let (account, record) = kept.first().unwrap();
    let stored = format!("{record:?}");
    let totp = record.totp.as_ref().unwrap();
    let secret = TotpSecret::try_from_base32(&app.secret).unwrap();
    assert!(!totp.sealed.windows(20).any(|window| window == secret.as_bytes()));
    let name = format!("totp/{account}");
    let opened = app.room.seal.open_secret(&name, &totp.sealed).unwrap();
    assert_eq!(opened.as_slice(), secret.as_bytes());
    assert!(app.codes.iter().all(|code| !stored.contains(code)));
    assert!(app.codes.iter().all(|code| recovery::hash_of(code).is_some()));
}

#[tokio::test]
async fn l5_a_step_up_takes_a_code_and_factors_change_with_one_alone() {
    let app = WithApp::new().await;
    app.room.hand.advance(Duration::from_secs(301));
    let login = app.login().await;
    app.room.accounts.step_up(login.id, PASSWORD, &client()).await.unwrap();
    let refused = app.room.accounts.new_recovery_codes(&login, &client()).await;
    assert!(matches!(refused, Err(AccountError::Factor(FactorError::ProveFactor))));
    let refused = app.room.accounts.disable_totp(&login, PASSWORD, &client()).await;
    assert!(matches!(refused, Err(AccountError::Factor(FactorError::ProveFactor))));
    let wrong = app.room.accounts.step_up_with_code(login.id, &app.wrong(), &client()).await;
    assert!(is_wrong(&wrong));
    let code = app.code(0);
    let stepped = app.room.accounts.step_up_with_code(login.id, &code, &client()).await.unwrap();
    assert!(stepped.stepped_up_until > app.room.accounts.inner.clock.now());
    let again = app.room.accounts.step_up_with_code(login.id, &code, &client()).await;
    assert!(is_wrong(&again), "a code counts once there too");
    let codes = app.room.accounts.new_recovery_codes(&login, &client()).await.unwrap();
    assert!(is_wrong(&app.enter(&app.codes[0]).await), "the old ones are void");
    app.enter(codes.expose().next().unwrap()).await.unwrap();
}

#[tokio::test]
async fn l5_the_last_factor_stays_while_one_is_required() {
    let app = WithApp::new().await;
    let required = |asked: bool| {
        let text = serde_json::json!({"twoFactorRequired": asked}).to_string();
        app.room.store.write(move |writer| writer.put(SETTINGS, "accounts", &text))
    };
    let login = app.login().await;
    app.room.accounts.step_up_with_code(login.id, &app.code(0), &client()).await.unwrap();
    required(true).await.unwrap();
    let refused = app.room.accounts.disable_totp(&login, PASSWORD, &client()).await;
    assert!(matches!(refused, Err(AccountError::Factor(FactorError::Last))));
    let wrong = app.room.accounts.disable_totp(&login, "a wrong one", &client()).await;
    assert!(matches!(wrong, Err(AccountError::Wrong)));
    required(false).await.unwrap();
    app.room.accounts.disable_totp(&login, PASSWORD, &client()).await.unwrap();
    assert!(!app.room.accounts.has_factor(login.account).await.unwrap());
    let left = app.room.accounts.person(login.account).await.unwrap().factors;
    assert_eq!(left.recovery_codes_left, 0, "the recovery codes went with it");
    app.room.accounts.login("olga", PASSWORD, None, &client()).await.unwrap();
    assert!(app.told().await.contains("turned off as your second factor"));
}

#[tokio::test]
async fn l5_factors_taken_off_by_another_end_the_logins_and_are_told() {
    let app = WithApp::new().await;
    let waiting = app.password().await;
    let account = app.login().await.account;
    assert!(app.room.accounts.factors_off(account, "console").await.unwrap());
    app.room.accounts.authenticate(app.token.expose()).await.unwrap_err();
    assert!(is_gone(&app.second(&waiting, &app.code(0)).await));
    let (_, token) = app.room.accounts.login("olga", PASSWORD, None, &client()).await.unwrap();
    let app = WithApp { token, ..app };
    assert!(app.told().await.contains("Your second factors and recovery codes were removed"));
    assert!(app.audited().await.contains(&"factors-off".to_owned()));
    assert!(!app.room.accounts.factors_off(account, "console").await.unwrap());
}

#[tokio::test]
async fn l5_an_app_is_confirmed_by_password_and_code_and_once() {
    let room = room().await;
    let token = room.set_up().await;
    let login = room.accounts.authenticate(token.expose()).await.unwrap();
    let new = room.accounts.new_totp(login.account, "localhost").await.unwrap();
    let secret = new.base32.expose();
    let code = code_of(secret, &room, 0);
    let far = code_of(secret, &room, 3);
    let confirm = async |password: &str, code: &str| {
        let confirmation = confirmation(password, secret, code);
        room.accounts.confirm_totp(&login, confirmation, &client()).await
    };
    assert!(matches!(confirm("another one", &code).await, Err(AccountError::Wrong)));
    assert!(is_wrong(&confirm(PASSWORD, &far).await));
    assert!(is_wrong(&confirm(PASSWORD, "").await));
    assert!(!room.accounts.has_factor(login.account).await.unwrap());
    confirm(PASSWORD, &code).await.unwrap();
    let refused = confirm(PASSWORD, &code).await;
    assert!(matches!(refused, Err(AccountError::Factor(FactorError::TotpOn))));
    let refused = room.accounts.new_totp(login.account, "localhost").await;
    assert!(matches!(refused, Err(AccountError::Factor(FactorError::TotpOn))));
}
