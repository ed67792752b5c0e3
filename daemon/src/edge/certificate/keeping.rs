//! What happens by itself: renewal, watched files, warnings before the end.

use std::sync::atomic::Ordering;
use std::time::Duration;

use rustls_acme::acme::Account;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use zeroize::Zeroizing;

use super::acme::order::Attempt;
use super::acme::{AccountKey, AcmeSettings, Failure, Issued};
use super::error::{CertificateError, Unfit, day};
use super::own::{Own, OwnFiles, ReadOwn};
use super::{Certificates, Foundation, Mode, State, Wanted};
use crate::devices::Devices;
use crate::devices::events::{Event, Events, Level};
use crate::seal::random;
use crate::supervisor::Heartbeat;

/// How often somebody looks, at least. The wall clock is compared each time, so that one which was
/// set anew is noticed.
const LOOK: Duration = Duration::from_secs(30);
/// And at most.
const PAUSE: Duration = Duration::from_secs(1);
/// How often watched files are looked at.
const FILE_LOOK: Duration = Duration::from_secs(5);
/// Time for one attempt, all names together.
const ATTEMPT_TIME: Duration = Duration::from_mins(20);
/// What these events are about, in the published API's words.
const TAG: &str = "uisp-general";

impl Certificates {
    /// Keeps the certificates fresh, for ever.
    pub(in crate::edge) async fn keep(self, devices: Devices, mut heartbeat: Heartbeat) {
        let mut hosts = devices.keys().hosts();
        let mut wanted = self.shared.wanted.subscribe();
        loop {
            let host = hosts.borrow_and_update().clone();
            wanted.borrow_and_update();
            self.look(host, devices.events()).await;
            devices.keys().set_untrusted(self.is_untrusted());
            // A CA takes its time, and has a bound of its own.
            if heartbeat.during(self.try_if_due(&mut wanted, devices.events())).await {
                continue;
            }
            let next = self.next_look().await;
            let waiting = async {
                tokio::select! {
                    () = sleep(next) => {}
                    () = self.shared.now.notified() => {}
                    _ = wanted.changed() => {}
                    changed = hosts.changed() => if changed.is_err() {
                        // The rooms below are gone: the daemon ends.
                        std::future::pending::<()>().await;
                    }
                }
            };
            heartbeat.during(waiting).await;
        }
    }

    /// Makes an attempt if one is due, and gives it up when something else is wanted.
    async fn try_if_due(&self, wanted: &mut watch::Receiver<u64>, events: &Events) -> bool {
        let Some(attempt) = self.due(events).await else { return false };
        tokio::select! {
            () = Box::pin(self.attempt(&attempt, events)) => {}
            _ = wanted.changed() => {}
        }
        true
    }

    async fn attempt(&self, attempt: &Attempt, events: &Events) {
        let made = timeout(ATTEMPT_TIME, attempt.run()).await;
        let made = made.unwrap_or_else(|_| Err(Failure::stuck("The CA took too long.")));
        self.conclude(&attempt.settings, made, events).await;
    }

    /// Everything that needs no CA.
    pub(super) async fn look(&self, host: Option<String>, events: &Events) {
        let ground = &self.shared.ground;
        let mut state = self.shared.state.lock().await;
        let now = ground.clock.now();
        state.host = host;
        let host = state.host.clone();
        let fresh = state.self_signed.refresh(&ground.store, &ground.seal, now, host.as_deref());
        if let Err(error) = fresh.await {
            // The old one still works, for a month.
            tracing::error!(%error, "the certificate could not be renewed; trying again");
        }
        self.follow_files(&mut state, events).await;
        if state.mode() == Mode::Own {
            self.warn(&mut state, events).await;
        }
        self.show(&state);
    }

    async fn follow_files(&self, state: &mut State, events: &Events) {
        let before = state.file_error.clone();
        let read = match read_files(&self.shared.ground, state).await {
            Ok(read) => read,
            Err(error) => {
                return tracing::error!(%error, "the certificate's files could not be stored");
            }
        };
        if read {
            let message = "The certificate's files have changed; the new certificate is shown";
            events.record(Event::quiet(Level::Info, TAG, message.to_owned()));
        } else if let Some(why) = state.file_error.as_ref().filter(|_| state.file_error != before) {
            let message = format!("The certificate's files cannot be used: {why}");
            events.record(Event::quiet(Level::Warning, TAG, message));
        }
    }

    /// Tells the owner that an own certificate ends, on each of the set days once.
    async fn warn(&self, state: &mut State, events: &Events) {
        let ground = &self.shared.ground;
        let now = ground.clock.now();
        let Some(own) = &mut state.own else { return };
        let Some(due) = own.new_warning(now) else { return };
        let end = day(own.shown.main.info.not_after);
        let (level, message) = match due {
            0 => (Level::Error, format!("The appliance's certificate expired on {end}")),
            1 => (
                Level::Error,
                format!("The appliance's certificate expires within a day, on {end}"),
            ),
            days => (
                Level::Warning,
                format!("The appliance's certificate expires within {days} days, on {end}"),
            ),
        };
        // Told first: a warning twice is better than none.
        let told = events.record_durably(Event::quiet(level, TAG, message)).await;
        let remembered = ground.store.write(own.warned(due)).await;
        if let Err(error) = told.and(remembered) {
            tracing::error!(%error, "a warning about the certificate could not be stored");
        }
    }

    /// An attempt, if one is due. From then on it counts as being made.
    async fn due(&self, events: &Events) -> Option<Attempt> {
        let ground = &self.shared.ground;
        let mut state = self.shared.state.lock().await;
        let Wanted::Acme(settings) = &state.wanted else { return None };
        let settings = settings.clone();
        let current = state.issued.as_ref().is_some_and(|issued| issued.fits(&settings));
        let asked = self.shared.asked.swap(false, Ordering::AcqRel);
        if !asked && !state.status.is_due(ground.clock.now(), current) {
            state.status.working = false;
            return None;
        }
        state.status.working = true;
        match account_key(ground, &settings.directory).await {
            Ok(account) => Some(Attempt {
                outbound: ground.outbound.clone(),
                clock: ground.clock.clone(),
                live: self.shared.live.clone(),
                settings,
                account,
            }),
            Err(error) => {
                drop(state);
                self.conclude(&settings, Err(Failure::ours(&error)), events).await;
                None
            }
        }
    }

    /// Takes over what came of an attempt.
    async fn conclude(
        &self,
        settings: &AcmeSettings,
        made: Result<(Issued, Zeroizing<Vec<u8>>), Failure>,
        events: &Events,
    ) {
        let mut state = self.shared.state.lock().await;
        if !matches!(&state.wanted, Wanted::Acme(wanted) if wanted == settings) {
            return;
        }
        let names = settings.names.join(", ");
        let taken = match made {
            Ok((issued, key)) => self.take_over(&mut state, issued, &key).await,
            Err(failure) => Err(failure),
        };
        let event = match taken {
            Ok(until) => Event::quiet(
                Level::Info,
                TAG,
                format!("New certificate for {names}, until {until}"),
            ),
            Err(failure) => {
                let message =
                    format!("No new certificate for {names}: {} {}", failure.what, failure.todo);
                let spread = random::<1>().map_or(0, |[byte]| byte % 4);
                let mut status = state.status.clone();
                status.failed(self.shared.ground.clock.now(), failure, spread);
                if let Err(error) = self.shared.ground.store.write(status.kept()).await {
                    tracing::error!(%error, "how the certificate stands could not be stored");
                }
                state.status = status;
                Event::quiet(Level::Warning, TAG, message)
            }
        };
        self.show(&state);
        drop(state);
        events.record(event);
    }

    /// Stores a new certificate and shows it. Until when it counts.
    async fn take_over(
        &self,
        state: &mut State,
        issued: Issued,
        key: &[u8],
    ) -> Result<String, Failure> {
        let ground = &self.shared.ground;
        let mut status = state.status.clone();
        status.succeeded(ground.clock.now(), &issued.chain);
        let keep = issued.kept(&ground.seal, key).map_err(|error| Failure::ours(&error))?;
        let how_it_stands = status.kept();
        let written = ground.store.write(move |writer| {
            Own::delete(writer)?;
            keep(writer)?;
            how_it_stands(writer)
        });
        written.await.map_err(|error| Failure::ours(&error))?;
        let until = day(issued.chain.info.not_after);
        (state.issued, state.own, state.status) = (Some(issued), None, status);
        Ok(until)
    }

    async fn next_look(&self) -> Duration {
        let state = self.shared.state.lock().await;
        match state.wanted {
            Wanted::Files(_) => return FILE_LOOK,
            Wanted::SelfSigned | Wanted::Upload => return LOOK,
            Wanted::Acme(_) => {}
        }
        state.status.due_in(self.shared.ground.clock.now()).clamp(PAUSE, LOOK)
    }
}

/// Reads watched files, where they have changed. Whether a new certificate came out; if they cannot
/// be used, the one from before stays and the reason is kept.
pub(super) async fn read_files(
    ground: &Foundation,
    state: &mut State,
) -> Result<bool, CertificateError> {
    let Wanted::Files(files) = &state.wanted else { return Ok(false) };
    let stamp = files.stamp().await;
    if state.stamp == Some(stamp) {
        return Ok(false);
    }
    let read = match read_own(ground, files).await {
        Ok(read) => read,
        Err(unfit) => {
            (state.stamp, state.file_error) = (Some(stamp), Some(unfit.to_string()));
            return Ok(false);
        }
    };
    let before = state.own.as_ref().map(|own| own.shown.main.info.sha256.clone());
    let is_new = before.as_ref() != Some(&read.own.shown.main.info.sha256);
    if is_new {
        ground.store.write(read.kept(&ground.seal)?).await?;
        state.own = Some(read.own);
    }
    (state.stamp, state.file_error) = (Some(stamp), None);
    Ok(is_new)
}

async fn read_own(ground: &Foundation, files: &OwnFiles) -> Result<ReadOwn, Unfit> {
    Own::read(&files.read().await?, ground.clock.now())
}

/// The key of the account at a directory; a new one is durable before the CA hears of it.
async fn account_key(ground: &Foundation, directory: &str) -> Result<AccountKey, CertificateError> {
    let stored = ground.store.read(AccountKey::stored).await?;
    if let Some(key) = AccountKey::open(&ground.seal, stored.as_ref(), directory)? {
        return Ok(key);
    }
    let key = AccountKey(Zeroizing::new(Account::generate_key_pair()));
    ground.store.write(key.kept(&ground.seal, directory)?).await?;
    Ok(key)
}
