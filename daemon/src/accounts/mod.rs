//! Accounts: who logs in, with which role, and which logins are live.

mod logins;
mod passwords;
mod roles;
mod setup_code;
mod throttle;

#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use jiff::Timestamp;
use thiserror::Error;
use tokio::sync::broadcast;
use uuid::Uuid;

pub use self::logins::{LoginId, LoginToken};
use self::logins::{Logins, begin, new_token, stepped_up_until};
pub use self::passwords::{MAX_BYTES, MIN_CHARS, PasswordError};
use self::passwords::{PasswordHash, Passwords};
pub use self::roles::Role;
use self::setup_code::{CodeError, SetupCode};
pub use self::throttle::TooMany;
use self::throttle::{Target, Throttle};
use crate::audit;
use crate::clock::Clock;
use crate::seal::{Seal, SealError};
use crate::store::records::{AccountRecord, LoginRecord};
use crate::store::tables::{ACCOUNT_NAMES, ACCOUNTS, LOGINS};
use crate::store::{Store, StoreError};
use crate::supervisor::{Essential, Supervisor};

/// Ended logins that a slow listener may be behind.
const ENDED: usize = 1024;
/// How often logins that ended by time are put out.
const SWEEP: Duration = Duration::from_secs(5);
/// Characters that no user name may have, as published.
const FORBIDDEN: &str = "@{}()<>/+*'\";=%";
/// Characters of a user name.
const NAME_CHARS: usize = 64;

/// Why an account could not be made, or a login not begun.
#[derive(Debug, Error)]
pub enum AccountError {
    /// Wrong name or password; which one is not told.
    #[error("wrong user name or password")]
    Wrong,
    /// Guessed too often.
    #[error("too many attempts; try again in {} s", .0.retry_after.as_secs() + 1)]
    TooMany(TooMany),
    /// The set-up code does not fit.
    #[error(
        "the setup code is wrong; it stands in the file setup-code in the appliance's data \
         directory, and may be a new one after many wrong guesses"
    )]
    SetupCode,
    /// There is an account already.
    #[error("this appliance is set up already; log in")]
    AlreadyConfigured,
    /// A user name that cannot be.
    #[error("the user name needs 1 to {NAME_CHARS} characters, and none of {FORBIDDEN} or spaces")]
    Username,
    /// An e-mail address that cannot be.
    #[error("this is no e-mail address; it needs a form like olga@example.net")]
    Email,
    /// A password that is not taken.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// No login, or it has ended.
    #[error("log in first; the login has ended or was never there")]
    NoLogin,
    /// The store.
    #[error("the account could not be stored or read")]
    Store(#[from] StoreError),
    /// Keys, files, randomness.
    #[error("the appliance's keys could not be used")]
    Seal(#[from] SealError),
}

/// A person who logs in.
#[derive(Clone, Debug)]
pub struct Account {
    /// Its id.
    pub id: Uuid,
    /// User name.
    pub username: String,
    /// E-mail address.
    pub email: String,
    /// First name.
    pub first_name: String,
    /// Last name.
    pub last_name: String,
    /// What it may do.
    pub role: Role,
    /// May log in.
    pub enabled: bool,
    /// Time zone name.
    pub timezone: String,
    /// Country code.
    pub country: String,
    /// Idle time of its logins, in milliseconds.
    pub session_timeout: i64,
    /// GUI preferences as JSON text.
    pub preferences: String,
    /// Last change.
    pub updated: Timestamp,
}

/// What the first account is made of.
#[derive(Clone, Debug)]
pub struct NewAccount {
    /// User name.
    pub username: String,
    /// E-mail address.
    pub email: String,
    /// Time zone name.
    pub timezone: String,
    /// Country code.
    pub country: String,
}

/// What an account changes about itself. `None` keeps.
#[derive(Clone, Debug, Default)]
pub struct AccountChange {
    /// First name.
    pub first_name: Option<String>,
    /// Last name.
    pub last_name: Option<String>,
    /// E-mail address.
    pub email: Option<String>,
    /// GUI preferences as JSON text.
    pub preferences: Option<String>,
}

/// Who asks.
#[derive(Clone, Debug)]
pub struct ClientInfo {
    /// Where from.
    pub address: IpAddr,
    /// User agent.
    pub agent: String,
}

/// A live login.
#[derive(Clone, Copy, Debug)]
pub struct Login {
    /// Its name.
    pub id: LoginId,
    /// Whose.
    pub account: Uuid,
    /// What it may do.
    pub role: Role,
    /// When it began.
    pub created: Timestamp,
    /// When it ends unless it is used.
    pub expires: Timestamp,
    /// Until when it may do what needs a step-up.
    pub stepped_up_until: Timestamp,
}

/// The room's handle. Cheap to clone.
#[derive(Clone)]
pub struct Accounts {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    clock: Clock,
    data_dir: PathBuf,
    passwords: Passwords,
    logins: Logins,
    throttle: Throttle,
    configured: AtomicBool,
    setup_code: RwLock<Option<Arc<SetupCode>>>,
    ended: broadcast::Sender<LoginId>,
}

impl Accounts {
    /// Reads the live logins, and makes the setup code while there is no account.
    pub async fn start(
        store: Store,
        seal: &Seal,
        clock: Clock,
        data_dir: &Path,
        supervisor: &Supervisor,
    ) -> Result<Self, AccountError> {
        let passwords = Passwords::start(seal.peppers().clone()).await?;
        let (accounts, live) =
            store.read(|reader| Ok((reader.all(ACCOUNTS)?, reader.all(LOGINS)?))).await?;
        let configured = !accounts.is_empty();
        let setup_code = if configured {
            SetupCode::remove(data_dir);
            None
        } else {
            Some(Arc::new(SetupCode::open(data_dir)?))
        };
        let logins = Logins::default();
        for (hash, record) in live {
            logins.put(hash.into(), record);
        }
        let accounts = Self {
            inner: Arc::new(Inner {
                store,
                clock,
                data_dir: data_dir.to_owned(),
                passwords,
                logins,
                throttle: Throttle::default(),
                configured: AtomicBool::new(configured),
                setup_code: RwLock::new(setup_code),
                ended: broadcast::channel(ENDED).0,
            }),
        };
        supervisor.spawn("logins sweeper", Essential::Yes, accounts.clone().sweep(supervisor));
        Ok(accounts)
    }

    fn sweep(self, supervisor: &Supervisor) -> impl Future<Output = ()> + Send + 'static {
        let token = supervisor.token();
        async move {
            let mut passes = tokio::time::interval(SWEEP);
            loop {
                tokio::select! {
                    () = token.cancelled() => return,
                    _ = passes.tick() => {}
                }
                for id in self.inner.logins.expired(self.inner.clock.now()) {
                    if let Err(error) = self.logout(id).await {
                        tracing::error!(%error, "an ended login could not be removed");
                    }
                }
            }
        }
    }

    /// There is an account.
    pub fn is_configured(&self) -> bool {
        self.inner.configured.load(Ordering::Acquire)
    }

    /// Logins that end from now on: what hangs on them has to close.
    pub fn ended(&self) -> broadcast::Receiver<LoginId> {
        self.inner.ended.subscribe()
    }

    /// Makes the first account, once, for who knows the setup code, and logs it in.
    pub async fn set_up(
        &self,
        code: &str,
        new: NewAccount,
        password: &str,
        client: &ClientInfo,
    ) -> Result<(Account, LoginToken), AccountError> {
        if self.is_configured() {
            return Err(AccountError::AlreadyConfigured);
        }
        let setup_code =
            self.inner.setup_code.read().unwrap_or_else(PoisonError::into_inner).clone();
        let setup_code = setup_code.ok_or(AccountError::AlreadyConfigured)?;
        setup_code.check(code).map_err(|error| match error {
            CodeError::Wrong => AccountError::SetupCode,
            CodeError::TooMany(retry_after) => AccountError::TooMany(TooMany { retry_after }),
        })?;
        check_names(&new)?;
        passwords::acceptable(password, &new.username)?;
        let hash = self.inner.passwords.hash(password).await?;
        let record = first_account(new, hash, self.inner.clock.now());
        let id = Uuid::new_v4();
        self.insert_first(id, record.clone()).await?;
        self.inner.configured.store(true, Ordering::Release);
        *self.inner.setup_code.write().unwrap_or_else(PoisonError::into_inner) = None;
        SetupCode::remove(&self.inner.data_dir);
        let token = self.begin_login(id, &record, None, client).await?;
        Ok((account(id, record), token))
    }

    /// One transaction looks and writes, so that of a hundred set-ups one wins.
    async fn insert_first(&self, id: Uuid, record: AccountRecord) -> Result<(), AccountError> {
        let at = self.inner.clock.now();
        let written = self.inner.store.write(move |writer| {
            if writer.len(ACCOUNTS)? > 0 {
                return Ok(false);
            }
            writer.put(ACCOUNTS, &id, &record)?;
            for name in [&record.username, &record.email] {
                writer.put(ACCOUNT_NAMES, fold(name).as_str(), &id)?;
            }
            audit::append(writer, at, &id.to_string(), "set-up", &record.username)?;
            Ok(true)
        });
        if written.await? { Ok(()) } else { Err(AccountError::AlreadyConfigured) }
    }

    /// Begins a login. `idle` is the wanted idle time in milliseconds. A wrong name and a wrong
    /// password look alike and take the same time.
    pub async fn login(
        &self,
        name: &str,
        password: &str,
        idle: Option<i64>,
        client: &ClientInfo,
    ) -> Result<(Account, LoginToken), AccountError> {
        let target = Target::new(name, client.address);
        self.inner.throttle.guess(&target).map_err(AccountError::TooMany)?;
        let found = self.by_name(name).await?;
        let hash = found.as_ref().map(|(_, record)| hash_of(record));
        let right = self.inner.passwords.check(password, hash.as_ref()).await?;
        match found.filter(|(_, record)| right && record.enabled) {
            Some((id, record)) => {
                self.inner.throttle.right(&target);
                let token = self.begin_login(id, &record, idle, client).await?;
                Ok((account(id, record), token))
            }
            None => Err(AccountError::Wrong),
        }
    }

    async fn by_name(&self, name: &str) -> Result<Option<(Uuid, AccountRecord)>, StoreError> {
        let name = fold(name);
        self.inner
            .store
            .read(move |reader| {
                let Some(id) = reader.get(ACCOUNT_NAMES, name.as_str())? else { return Ok(None) };
                Ok(reader.get(ACCOUNTS, &id)?.map(|record| (id, record)))
            })
            .await
    }

    async fn begin_login(
        &self,
        id: Uuid,
        record: &AccountRecord,
        idle: Option<i64>,
        client: &ClientInfo,
    ) -> Result<LoginToken, AccountError> {
        let token = new_token()?;
        let login = LoginId::of_token(token.expose());
        let mut begun =
            begin(id, idle.or(record.session_timeout), self.inner.clock.now());
        begun.address = client.address.to_canonical().to_string();
        begun.client = client.agent.chars().take(200).collect();
        let written = begun.clone();
        self.inner
            .store
            .write(move |writer| writer.put(LOGINS, login.as_bytes(), &written))
            .await?;
        self.inner.logins.put(login, begun);
        Ok(token)
    }

    /// The login that a token proves; its use extends it.
    pub async fn authenticate(&self, token: &str) -> Result<Login, AccountError> {
        let id = LoginId::of_token(token);
        let used =
            self.inner.logins.touch(&id, self.inner.clock.now()).ok_or(AccountError::NoLogin)?;
        let account = self.account(used.record.account).await?;
        if !account.enabled {
            return Err(AccountError::NoLogin);
        }
        if used.to_write {
            let record = used.record.clone();
            self.inner
                .store
                .write(move |writer| writer.put(LOGINS, id.as_bytes(), &record))
                .await?;
        }
        Ok(login(id, &used.record, account.role))
    }

    /// Whether a login is live, without extending it.
    pub fn is_live(&self, id: &LoginId) -> bool {
        let now = self.inner.clock.now().as_millisecond();
        self.inner.logins.get(id).is_some_and(|record| now < record.expires)
    }

    /// Ends a login at once.
    pub async fn logout(&self, id: LoginId) -> Result<(), AccountError> {
        if self.inner.logins.remove(&id).is_some() {
            // Nobody listens: then nothing hangs on it.
            self.inner.ended.send(id).ok();
        }
        self.inner
            .store
            .write(move |writer| writer.delete(LOGINS, id.as_bytes()).map(|_| ()))
            .await?;
        Ok(())
    }

    /// Ends all logins of an account.
    pub async fn logout_all(&self, account: Uuid) -> Result<(), AccountError> {
        for id in self.inner.logins.of_account(account) {
            self.logout(id).await?;
        }
        Ok(())
    }

    /// Proves once more who sits there.
    pub async fn step_up(
        &self,
        id: LoginId,
        password: &str,
        client: &ClientInfo,
    ) -> Result<Login, AccountError> {
        let record = self.inner.logins.get(&id).ok_or(AccountError::NoLogin)?;
        let owner = self.record(record.account).await?;
        let target = Target::new(&owner.username, client.address);
        self.inner.throttle.guess(&target).map_err(AccountError::TooMany)?;
        if !self.inner.passwords.check(password, Some(&hash_of(&owner))).await? {
            return Err(AccountError::Wrong);
        }
        self.inner.throttle.right(&target);
        let stepped =
            self.inner.logins.step_up(&id, self.inner.clock.now()).ok_or(AccountError::NoLogin)?;
        let (written, at) = (stepped.clone(), self.inner.clock.now());
        self.inner
            .store
            .write(move |writer| {
                writer.put(LOGINS, id.as_bytes(), &written)?;
                audit::append(writer, at, &written.account.to_string(), "step-up", "login")
            })
            .await?;
        let role = Role::from_name(&owner.role).unwrap_or(Role::ReadOnly);
        Ok(login(id, &stepped, role))
    }

    /// An account.
    pub async fn account(&self, id: Uuid) -> Result<Account, AccountError> {
        Ok(account(id, self.record(id).await?))
    }

    async fn record(&self, id: Uuid) -> Result<AccountRecord, AccountError> {
        let found = self.inner.store.read(move |reader| reader.get(ACCOUNTS, &id)).await?;
        found.ok_or(AccountError::NoLogin)
    }

    /// Changes what an account says of itself.
    pub async fn change(&self, id: Uuid, change: AccountChange) -> Result<Account, AccountError> {
        if let Some(email) = &change.email {
            check_email(email)?;
        }
        let now = self.inner.clock.now().as_millisecond();
        let written = self.inner.store.write(move |writer| {
            let Some(mut record) = writer.get(ACCOUNTS, &id)? else { return Ok(None) };
            let change = change.clone();
            if let Some(email) = change.email {
                writer.delete(ACCOUNT_NAMES, fold(&record.email).as_str())?;
                writer.put(ACCOUNT_NAMES, fold(&email).as_str(), &id)?;
                record.email = email;
            }
            record.first_name = change.first_name.unwrap_or(record.first_name);
            record.last_name = change.last_name.unwrap_or(record.last_name);
            record.preferences = change.preferences.unwrap_or(record.preferences);
            record.updated = now;
            writer.put(ACCOUNTS, &id, &record)?;
            Ok(Some(record))
        });
        Ok(account(id, written.await?.ok_or(AccountError::NoLogin)?))
    }
}

fn fold(name: &str) -> String {
    name.trim().to_lowercase()
}

fn hash_of(record: &AccountRecord) -> PasswordHash {
    PasswordHash { bcrypt: record.password_hash.clone(), pepper: record.pepper.clone() }
}

fn check_names(new: &NewAccount) -> Result<(), AccountError> {
    let chars = new.username.chars().count();
    let forbidden = |letter: char| {
        FORBIDDEN.contains(letter) || letter.is_whitespace() || letter.is_control()
    };
    if !(1..=NAME_CHARS).contains(&chars) || new.username.chars().any(forbidden) {
        return Err(AccountError::Username);
    }
    check_email(&new.email)
}

fn check_email(email: &str) -> Result<(), AccountError> {
    let sound = email.len() <= 254
        && !email.chars().any(|letter| letter.is_whitespace() || letter.is_control())
        && email.split_once('@').is_some_and(|(local, domain)| {
            !local.is_empty() && domain.len() >= 3 && domain.contains('.') && !domain.contains('@')
        });
    if sound { Ok(()) } else { Err(AccountError::Email) }
}

fn first_account(new: NewAccount, hash: PasswordHash, now: Timestamp) -> AccountRecord {
    AccountRecord {
        username: new.username,
        email: new.email,
        first_name: String::new(),
        last_name: String::new(),
        role: Role::Admin.name().to_owned(),
        password_hash: hash.bcrypt,
        pepper: hash.pepper,
        enabled: true,
        timezone: new.timezone,
        country: new.country,
        session_timeout: None,
        preferences: String::new(),
        created: now.as_millisecond(),
        updated: now.as_millisecond(),
    }
}

fn account(id: Uuid, record: AccountRecord) -> Account {
    Account {
        id,
        role: Role::from_name(&record.role).unwrap_or(Role::ReadOnly),
        username: record.username,
        email: record.email,
        first_name: record.first_name,
        last_name: record.last_name,
        enabled: record.enabled,
        timezone: record.timezone,
        country: record.country,
        session_timeout: record.session_timeout.unwrap_or(logins::IDLE),
        preferences: record.preferences,
        updated: Timestamp::from_millisecond(record.updated).unwrap_or_default(),
    }
}

fn login(id: LoginId, record: &LoginRecord, role: Role) -> Login {
    let time = |millis| Timestamp::from_millisecond(millis).unwrap_or_default();
    Login {
        id,
        account: record.account,
        role,
        created: time(record.created),
        expires: time(record.expires),
        stepped_up_until: stepped_up_until(record),
    }
}
