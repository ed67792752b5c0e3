//! Accounts: who logs in, with which role, and which logins are live.
//!
//! A password is checked by [`passwords`], whose turn it is knows [`hashing`], guessing is slowed by
//! [`throttle`], which networks an account knows stands in [`homes`]. The first account needs the
//! [`setup_code`]. A login lives in [`logins`], in memory and in the store; when it ends,
//! for whatever reason, [`Accounts::ended`] tells so. [`tokens`] stand for programs as logins do for
//! people, and [`callers`] says whom one of them lets in, by the [`standing`] of its account.
//! [`people`] is what admins do with accounts, [`own`] what an account does with itself,
//! [`at_console`] what root does on the machine.

mod account;
mod at_console;
mod audited;
mod callers;
mod error;
mod factors;
mod guessed;
mod hashing;
mod homes;
mod leaked;
mod leaving;
mod logins;
mod notices;
mod own;
mod passkeys;
mod passwords;
mod pending;
mod people;
mod person;
mod proving;
mod provisioned;
mod recovery;
mod roles;
mod second_step;
mod setup_code;
mod standing;
mod throttle;
mod tokens;
mod totp;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::broadcast;
use uuid::Uuid;
use zeroize::Zeroizing;

use self::account::{check_names, first_record, fold, role};
use self::leaked::Leaked;
use self::leaving::Shown;
use self::logins::{Logins, begin, new_token};
use self::passkeys::Asked;
use self::passwords::Passwords;
use self::pending::Pending;
use self::proving::Refusals;
use self::second_step::{Entering, Waiting};
use self::setup_code::{CodeError, SetupCode};
use self::standing::{RULES, Rules, Standings, has_factor};
use self::throttle::Throttle;
use self::tokens::Tokens;
use crate::audit::Deed;
use crate::clock::Clock;
use crate::seal::Seal;
use crate::store::records::{AccountRecord, LoginRecord};
use crate::store::tables::{ACCOUNT_NAMES, ACCOUNTS, FACTORS, LOGINS, SETTINGS, THROTTLE, TOKENS};
use crate::store::{Store, StoreError, Writer};
use crate::supervisor::{DEADLINE, Supervisor};

pub use self::account::{Account, AccountChange, NewAccount};
pub use self::at_console::KnownAccount;
pub use self::audited::{AuditEntry, AuditPage};
pub use self::callers::TokenEntry;
pub use self::error::AccountError;
pub use self::factors::FactorError;
pub use self::leaving::{Offboarded, SecretSeen};
pub use self::logins::{Kind, Login, LoginId, LoginToken};
pub use self::notices::Notice;
pub use self::passkeys::{Answer, NewPasskey, PasskeyInfo, Question, RelyingParty};
pub use self::passwords::{MAX_BYTES, MIN_CHARS, MIN_CHARS_OF_TWO, PasswordError};
pub use self::people::{Actor, NewPerson, PersonChange};
pub use self::person::{Factors, Person};
pub use self::provisioned::{FirstAdmin, hash_for_provisioning};
pub use self::recovery::RecoveryCodes;
pub use self::roles::Role;
pub use self::second_step::FactorDue;
pub use self::setup_code::new_code;
pub use self::standing::Due;
pub use self::throttle::TooMany;
pub use self::tokens::NewToken;
pub use self::totp::{NewTotp, TotpConfirmation};

/// Ended logins that a slow listener may be behind.
const ENDED: usize = 1024;
/// How often logins that ended by time are put out, and uses that are due are written.
const SWEEP: Duration = Duration::from_secs(5);
/// Characters of a client's name that are kept.
const AGENT_CHARS: usize = 200;

/// Who asks.
#[derive(Clone, Debug)]
pub struct ClientInfo {
    /// Where from.
    pub address: IpAddr,
    /// User agent.
    pub agent: String,
}

/// The room's handle. Cheap to clone.
#[derive(Clone)]
pub struct Accounts {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    seal: Seal,
    clock: Clock,
    data_dir: PathBuf,
    passwords: Passwords,
    logins: Logins,
    tokens: Tokens,
    standings: Standings,
    shown: Shown,
    leaked: Leaked,
    throttle: Throttle,
    refusals: Refusals,
    /// Some account, looked up in place of those that are not there: both take the same time.
    stand_in: OnceLock<Uuid>,
    /// Logins that wait for their second factor.
    waiting: Pending<Waiting>,
    /// Questions to passkeys.
    asked: Pending<Asked>,
    configured: AtomicBool,
    setup_code: RwLock<Option<Arc<SetupCode>>>,
    /// One set-up at a time: the others need no hash to be told that they are late.
    setting_up: tokio::sync::Mutex<()>,
    ended: broadcast::Sender<LoginId>,
}

/// A login on its way into the store.
struct Begun {
    token: LoginToken,
    id: LoginId,
    record: LoginRecord,
    /// Logins that make room for it.
    surplus: Vec<LoginId>,
}

impl Begun {
    fn put(
        writer: &Writer<'_>,
        id: LoginId,
        record: &LoginRecord,
        surplus: &[LoginId],
    ) -> Result<(), StoreError> {
        for other in surplus {
            writer.delete(LOGINS, other.as_bytes())?;
        }
        writer.put(LOGINS, id.as_bytes(), record)?;
        let at = Timestamp::from_millisecond(record.created).unwrap_or_default();
        let who = record.account.to_string();
        let deed = Deed::new(&who, "login", &record.client);
        let from = record.address.parse().ok();
        from.map_or(deed, |address| deed.sent_from(address)).write(writer, at)?;
        homes::note(writer, id, record)
    }
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
        let (accounts, live, wrong) = store
            .read(|reader| Ok((reader.all(ACCOUNTS)?, reader.all(LOGINS)?, reader.all(THROTTLE)?)))
            .await?;
        let (factors, tokens, rules) = store
            .read(|reader| {
                let rules = reader.get(SETTINGS, RULES)?;
                Ok((reader.all(FACTORS)?, reader.all(TOKENS)?, Rules::read(rules.as_deref())))
            })
            .await?;
        let stand_in = accounts.first().map_or_else(OnceLock::new, |(id, _)| OnceLock::from(*id));
        let passwords = Passwords::start(seal.peppers().clone())?;
        for (_, account) in &accounts {
            passwords.has_seen(&account.password_hash);
        }
        let key = seal.peppers().newest().ok_or(PasswordError::PepperMissing)?.key();
        let throttle = Throttle::restored(key, wrong, clock.now());
        let configured = !accounts.is_empty();
        let setup_code = if configured {
            SetupCode::remove(data_dir);
            None
        } else {
            Some(Arc::new(SetupCode::open(data_dir)?))
        };
        let accounts = Self {
            inner: Arc::new(Inner {
                store,
                seal: seal.clone(),
                clock,
                data_dir: data_dir.to_owned(),
                passwords,
                standings: Standings::load(&accounts, &factors, rules),
                logins: restored(accounts, live),
                tokens: Tokens::load(tokens),
                shown: Shown::default(),
                leaked: Leaked::default(),
                throttle,
                refusals: Refusals::default(),
                stand_in,
                waiting: Pending::default(),
                asked: Pending::default(),
                configured: AtomicBool::new(configured),
                setup_code: RwLock::new(setup_code),
                setting_up: tokio::sync::Mutex::default(),
                ended: broadcast::channel(ENDED).0,
            }),
        };
        let room = accounts.clone();
        pass_by_pass(supervisor, "logins sweeper", SWEEP, move |last| {
            let room = room.clone();
            async move {
                if let Err(error) = room.pass(last).await {
                    // The next pass tries again; nothing but a minute of idle time is at stake.
                    tracing::error!(%error, "the logins could not be brought up to date");
                }
            }
        });
        accounts.keep_counts(supervisor);
        Ok(accounts)
    }

    /// The cost of bcrypt from now on. A cheaper hash is made anew at its account's next login.
    pub fn set_bcrypt_cost(&self, cost: u32) {
        self.inner.passwords.set_cost(cost);
    }

    /// Puts out logins that have ended by time, and writes uses that are due, or all at the `last`
    /// pass.
    async fn pass(&self, last: bool) -> Result<(), AccountError> {
        self.end(self.inner.logins.expired(self.inner.clock.now())).await?;
        if !self.is_configured() {
            // Who set it up may have left between the commit and the answer.
            let accounts = self.inner.store.read(|reader| reader.all(ACCOUNTS)).await?;
            if !accounts.is_empty() {
                for (id, record) in &accounts {
                    self.inner.standings.know(*id, record);
                }
                self.close_set_up();
            }
        }
        self.write_token_uses(last).await?;
        let uses = Arc::new(self.inner.logins.unwritten(last));
        if uses.is_empty() {
            return Ok(());
        }
        let written = Arc::clone(&uses);
        let write = move |writer: &Writer<'_>| {
            for (id, record) in written.iter() {
                // Not one that has ended meanwhile.
                if writer.get(LOGINS, id.as_bytes())?.is_some() {
                    writer.put(LOGINS, id.as_bytes(), record)?;
                }
            }
            Ok(())
        };
        self.inner.store.write(write).await?;
        self.inner.logins.written(&uses);
        Ok(())
    }

    /// There is an account.
    pub fn is_configured(&self) -> bool {
        self.inner.configured.load(Ordering::Acquire)
    }

    /// The set-up code, until there is an account.
    pub fn setup_code(&self) -> Option<Zeroizing<String>> {
        let code = self.inner.setup_code.read().unwrap_or_else(PoisonError::into_inner);
        code.as_ref().map(|code| code.code())
    }

    /// Makes the first account, once, for who knows the setup code, and logs it in: in one
    /// transaction, so that of a hundred one wins.
    pub async fn set_up(
        &self,
        code: &str,
        new: NewAccount,
        password: &str,
        client: &ClientInfo,
    ) -> Result<(Account, LoginToken), AccountError> {
        let setup_code =
            self.inner.setup_code.read().unwrap_or_else(PoisonError::into_inner).clone();
        let setup_code = setup_code.ok_or(AccountError::AlreadyConfigured)?;
        setup_code.check(code).map_err(|error| match error {
            CodeError::Wrong => AccountError::SetupCode,
            CodeError::TooMany(retry_after) => AccountError::TooMany(TooMany { retry_after }),
        })?;
        check_names(&new)?;
        passwords::acceptable(password, &format!("{} {}", new.username, new.email), MIN_CHARS)?;
        let _one = self.inner.setting_up.lock().await;
        if self.is_configured() {
            return Err(AccountError::AlreadyConfigured);
        }
        let hash = self.inner.passwords.hash(password).await?;
        let record = first_record(new, hash, self.inner.clock.now());
        let account = Uuid::new_v4();
        let begun = self.begin(account, &record, None, client)?;
        let (written, id, login) = (record.clone(), begun.id, begun.record.clone());
        let (room, from) = (self.clone(), client.address);
        let first = self.inner.store.write(move |writer| {
            if !account::put_first(writer, account, &written)? {
                return Ok(false);
            }
            let at = Timestamp::from_millisecond(written.created).unwrap_or_default();
            let who = account.to_string();
            Deed::new(&who, "set-up", &written.username).sent_from(from).write(writer, at)?;
            room.inner.standings.know(account, &written);
            Begun::put(writer, id, &login, &[]).map(|()| true)
        });
        let first = first.await?;
        self.close_set_up();
        if !first {
            return Err(AccountError::AlreadyConfigured);
        }
        self.inner.stand_in.get_or_init(|| account);
        self.inner.logins.put(begun.id, begun.record, role(&record));
        Ok((Account::from_record(account, record), begun.token))
    }

    /// There is an account: the code is worth nothing any more.
    fn close_set_up(&self) {
        self.inner.configured.store(true, Ordering::Release);
        *self.inner.setup_code.write().unwrap_or_else(PoisonError::into_inner) = None;
        SetupCode::remove(&self.inner.data_dir);
    }

    /// Begins a login. `idle` is the wanted idle time in milliseconds. A wrong name and a wrong
    /// password look alike and take the same time. Where the account has a second factor, the
    /// right password is answered with [`AccountError::FactorDue`].
    pub async fn login(
        &self,
        name: &str,
        password: &str,
        idle: Option<i64>,
        client: &ClientInfo,
    ) -> Result<(Account, LoginToken), AccountError> {
        let (account, era) = self.credentials(name, password, client).await?;
        let factors = self.factors(account).await?;
        if has_factor(&factors) {
            return Err(self.ask_for_factor((account, era), idle, &factors, client));
        }
        // Not where a factor was set up this moment.
        let alone = move |writer: &Writer<'_>| {
            let factors = writer.get(FACTORS, &account)?.unwrap_or_default();
            Ok(!has_factor(&factors))
        };
        let entering = Entering { account, era: Some(era), idle, factor: false };
        self.enter(entering, client, alone).await?.ok_or(AccountError::Wrong)
    }

    /// Whether name and password belong to an account that may log in; otherwise a refusal.
    pub async fn check_credentials(
        &self,
        name: &str,
        password: &str,
        client: &ClientInfo,
    ) -> Result<(), AccountError> {
        self.credentials(name, password, client).await.map(|_| ())
    }

    /// The account of this name and password, if it may log in, and its count as of then.
    async fn credentials(
        &self,
        name: &str,
        password: &str,
        client: &ClientInfo,
    ) -> Result<(Uuid, u32), AccountError> {
        let found = self.by_name(name).await?;
        let known = found.as_ref().map(|(id, record)| (*id, record));
        let right = self.prove(&fold(name), known, password, client).await?;
        let found = found.filter(|(_, record)| right && record.enabled);
        found.map(|(account, record)| (account, record.era)).ok_or(AccountError::Wrong)
    }

    fn stand_in(&self) -> Uuid {
        self.inner.stand_in.get().copied().unwrap_or_default()
    }

    async fn by_name(&self, name: &str) -> Result<Option<(Uuid, AccountRecord)>, StoreError> {
        let (name, stand_in) = (fold(name), self.stand_in());
        self.inner
            .store
            .read(move |reader| {
                let id = reader.get(ACCOUNT_NAMES, name.as_str())?;
                // Nobody's account takes as long to be looked up as somebody's.
                let record = reader.get(ACCOUNTS, &id.unwrap_or(stand_in))?;
                Ok(id.zip(record))
            })
            .await
    }

    fn begin(
        &self,
        account: Uuid,
        record: &AccountRecord,
        idle: Option<i64>,
        client: &ClientInfo,
    ) -> Result<Begun, AccountError> {
        let token = new_token()?;
        let id = LoginId::of_token(token.expose());
        let mut begun = begin(account, idle.or(record.session_timeout), self.inner.clock.now());
        begun.address = client.address.to_canonical().to_string();
        begun.client = client.agent.chars().take(AGENT_CHARS).collect();
        begun.era = record.era;
        begun.seen = vec![(begun.address.clone(), begun.created, begun.created)];
        Ok(Begun { token, id, record: begun, surplus: self.inner.logins.surplus(account) })
    }

    /// Proves once more who sits there.
    pub async fn step_up(
        &self,
        id: LoginId,
        password: &str,
        client: &ClientInfo,
    ) -> Result<Login, AccountError> {
        let now = self.inner.clock.now();
        let account = self.inner.logins.get(&id, now).ok_or(AccountError::NoLogin)?.account;
        self.prove_again(account, password, client).await?;
        self.stepped_up(id, false, client).await
    }

    /// An account.
    pub async fn account(&self, id: Uuid) -> Result<Account, AccountError> {
        Ok(Account::from_record(id, self.record(id).await?))
    }

    async fn record(&self, id: Uuid) -> Result<AccountRecord, AccountError> {
        let found = self.inner.store.read(move |reader| reader.get(ACCOUNTS, &id)).await?;
        found.ok_or(AccountError::NoLogin)
    }
}

/// Runs a pass now and then, and once more, as the last, when the daemon stops.
fn pass_by_pass<P, W>(supervisor: &Supervisor, name: &'static str, every: Duration, pass: P)
where
    P: Fn(bool) -> W + Send + 'static,
    W: Future<Output = ()> + Send,
{
    let token = supervisor.token();
    supervisor.spawn_essential(name, DEADLINE, async move |mut heartbeat| {
        let mut passes = tokio::time::interval(every);
        passes.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut last = false;
        while !last {
            tokio::select! {
                () = token.cancelled() => last = true,
                _ = heartbeat.during(passes.tick()) => {}
            }
            pass(last).await;
        }
    });
}

/// The logins of the last life. Those of accounts that are gone or locked end at the first pass.
fn restored(accounts: Vec<(Uuid, AccountRecord)>, live: Vec<([u8; 32], LoginRecord)>) -> Logins {
    let accounts: HashMap<Uuid, AccountRecord> = accounts.into_iter().collect();
    let logins = Logins::default();
    for (hash, mut record) in live {
        let counts = |owner: &&AccountRecord| owner.enabled && owner.era == record.era;
        let owner = accounts.get(&record.account).filter(counts);
        if owner.is_none() {
            record.expires = 0;
        }
        logins.put(hash.into(), record, owner.map_or(Role::ReadOnly, role));
    }
    logins
}
