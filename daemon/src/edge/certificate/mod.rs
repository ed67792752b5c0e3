//! The certificates that TLS shows: made here, given by a CA over ACME, or the owner's own.
//!
//! One [`Certificates`] handle holds which of the three is wanted and what there is of each. What
//! is shown is swapped while connections live; when something fails, what was shown before stays.
//! [`keeping`] renews, watches files and warns. [`Certificates::changes`] tells the rest of the
//! house: whether device keys must allow an untrusted certificate, and whether port 80 may be open.
//!
//! Invariants: there is always something to show. Private keys are sealed in the store. No change
//! takes effect before it is durable.

mod acme;
mod chain;
mod describe;
mod error;
mod keeping;
mod live;
mod names;
mod own;
mod self_signed;
mod standing;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use jiff::Timestamp;
use rustls::server::ResolvesServerCert;
use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, watch};
use uuid::Uuid;

use self::acme::Issued;
use self::live::{Live, Shown};
use self::own::{Own, ReadOwn, Stamp};
use self::self_signed::SelfSigned;
use crate::audit;
use crate::clock::Clock;
use crate::outbound::{Outbound, OutboundError};
use crate::seal::Seal;
use crate::store::{Reader, Store, StoreError, Writer, tables};

pub use self::acme::{AcmeSettings, AcmeStatus, Challenge, Check, Failure};
pub use self::describe::CertificateInfo;
pub use self::error::{CertificateError, Unfit};
pub(super) use self::live::CHALLENGE;
pub use self::names::NameCheck;
pub use self::own::{OwnFiles, OwnPem};
pub use self::standing::{CertificateStatus, Mode, OwnStatus, Serving};

/// The setting that says which certificate is wanted.
const SETTING: &str = "certificate";
/// Where a challenge is looked for on port 80 (RFC 8555, section 8.3).
pub(super) const CHALLENGE_PATH: &str = "/.well-known/acme-challenge/";

/// Which certificate is wanted, as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Wanted {
    SelfSigned,
    Acme(AcmeSettings),
    Upload,
    Files(OwnFiles),
}

/// The rooms that certificates stand on.
#[derive(Clone)]
pub struct Foundation {
    /// Where settings and sealed keys are.
    pub store: Store,
    /// Seals the private keys.
    pub seal: Seal,
    /// Wall clock.
    pub clock: Clock,
    /// The way to a CA.
    pub outbound: Outbound,
}

/// The certificates in use. Cheap to clone.
#[derive(Clone)]
pub struct Certificates {
    shared: Arc<Shared>,
}

struct Shared {
    ground: Foundation,
    live: Arc<Live>,
    state: tokio::sync::Mutex<State>,
    serving: watch::Sender<Serving>,
    /// Counts the changes of what is wanted: an attempt for something else is given up.
    wanted: watch::Sender<u64>,
    /// Somebody asked for an attempt now.
    now: Notify,
    asked: AtomicBool,
}

/// What there is.
struct State {
    wanted: Wanted,
    host: Option<String>,
    self_signed: SelfSigned,
    own: Option<Own>,
    issued: Option<Issued>,
    status: AcmeStatus,
    /// How watched files were when they were read last.
    stamp: Option<Stamp>,
    file_error: Option<String>,
}

impl State {
    fn mode(&self) -> Mode {
        match self.wanted {
            Wanted::SelfSigned => Mode::SelfSigned,
            Wanted::Acme(_) => Mode::Acme,
            Wanted::Upload | Wanted::Files(_) => Mode::Own,
        }
    }

    /// What to show: what is wanted, or else what was shown before, or else our own.
    fn shown(&self) -> Shown {
        let own = self.own.as_ref().map(|own| own.shown.clone());
        let issued = self.issued.as_ref();
        let issued = issued.map(|issued| Shown { main: issued.chain.clone(), rsa: None });
        let shown = match self.mode() {
            Mode::SelfSigned => None,
            Mode::Acme => issued.or(own),
            Mode::Own => own.or(issued),
        };
        shown.unwrap_or_else(|| Shown { main: self.self_signed.chain.clone(), rsa: None })
    }

    fn serving(&self, shown: &Shown, now: Timestamp) -> Serving {
        let mode = self.mode();
        let covers = self.host.as_deref().is_none_or(|host| shown.main.info.covers(host));
        Serving {
            mode,
            untrusted: !covers || !shown.main.is_vouched_for(now),
            self_made: mode == Mode::SelfSigned || (self.own.is_none() && self.issued.is_none()),
            port_80_closed: mode == Mode::Own,
        }
    }
}

/// Whether the owner brings the certificate, before there is a handle to ask. `named`: the boot file
/// names one.
pub(super) fn brings_own(reader: &Reader, named: bool) -> Result<bool, StoreError> {
    let wanted: Option<String> = reader.get(tables::SETTINGS, SETTING)?;
    let wanted = wanted.and_then(|text| serde_json::from_str(&text).ok());
    Ok(wanted.map_or(named, |wanted| matches!(wanted, Wanted::Upload | Wanted::Files(_))))
}

impl Certificates {
    /// Reads what is wanted and what there is, and makes a certificate where there is none or it
    /// does not cover `host`, the host name of the set-up. `files` are those of the boot file; what
    /// an admin chose since then counts more.
    pub async fn load(
        ground: &Foundation,
        host: Option<&str>,
        files: Option<OwnFiles>,
    ) -> Result<Self, CertificateError> {
        let Foundation { store, seal, clock, .. } = ground;
        let now = clock.now();
        let self_signed = SelfSigned::load(store, seal, now, host).await?;
        let read = store.read(|reader| {
            let wanted = reader.get(tables::SETTINGS, SETTING)?;
            Ok((wanted, Own::stored(reader)?, Issued::stored(reader)?, AcmeStatus::stored(reader)?))
        });
        let (wanted, own, issued, status) = read.await?;
        let wanted = wanted.and_then(|text| serde_json::from_str(&text).ok());
        let wanted = wanted.or(files.map(Wanted::Files)).unwrap_or(Wanted::SelfSigned);
        let mut state = State {
            wanted,
            host: host.map(str::to_owned),
            self_signed,
            own: own.map(|own| Own::open(seal, &own)).transpose()?,
            issued: issued.map(|issued| Issued::open(seal, &issued)).transpose()?,
            status,
            stamp: None,
            file_error: None,
        };
        keeping::read_files(ground, &mut state).await?;
        let shown = state.shown();
        let serving = state.serving(&shown, now);
        let serving = watch::Sender::new(serving);
        let shared = Shared {
            ground: ground.clone(),
            live: Arc::new(Live::new(shown)),
            state: tokio::sync::Mutex::new(state),
            serving,
            wanted: watch::Sender::new(0),
            now: Notify::new(),
            asked: AtomicBool::new(false),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Whether no public authority vouches for what is shown, so that device keys have to allow
    /// that.
    pub fn is_untrusted(&self) -> bool {
        self.shared.serving.borrow().untrusted
    }

    /// Whether what is shown is of the appliance's own making, and not from a CA or the owner.
    pub fn is_self_made(&self) -> bool {
        self.shared.serving.borrow().self_made
    }

    /// The SHA-256 of the certificate that is shown now.
    pub fn fingerprint(&self) -> String {
        self.shared.live.shown().main.info.sha256
    }

    /// What the rest of the house has to know, and every change of it.
    pub fn changes(&self) -> watch::Receiver<Serving> {
        self.shared.serving.subscribe()
    }

    /// What port 80 answers to a CA that asks for this token.
    pub fn http01(&self, token: &str) -> Option<String> {
        self.shared.live.http(token)
    }

    /// Whether a CA is about to look into TLS itself.
    pub(super) fn awaits_tls_challenge(&self) -> bool {
        self.shared.live.awaits_tls()
    }

    /// What TLS asks.
    pub(super) fn resolver(&self) -> Arc<dyn ResolvesServerCert> {
        Arc::clone(&self.shared.live) as Arc<dyn ResolvesServerCert>
    }

    /// From now on the appliance's own certificate, which nobody vouches for.
    pub async fn use_self_signed(&self, by: Uuid) -> Result<(), CertificateError> {
        let mut state = self.shared.state.lock().await;
        let also = |writer: &Writer<'_>| {
            Own::delete(writer)?;
            Issued::delete(writer)
        };
        self.want(Wanted::SelfSigned, by, "self-signed", also).await?;
        (state.own, state.issued, state.status) = (None, None, AcmeStatus::default());
        self.turn_to(&mut state, Wanted::SelfSigned);
        Ok(())
    }

    /// From now on a certificate from a CA. What is shown now stays until there is one.
    pub async fn use_acme(&self, settings: AcmeSettings, by: Uuid) -> Result<(), CertificateError> {
        let settings = settings.checked()?;
        let outbound = &self.shared.ground.outbound;
        outbound.tls(settings.extra_root.as_deref()).map_err(CertificateError::Directory)?;
        match outbound.check(&settings.directory).await {
            // A name server that is down today is no reason to refuse.
            Ok(_) | Err(OutboundError::NotFound(..)) => {}
            Err(error) => return Err(CertificateError::Directory(error)),
        }
        let mut state = self.shared.state.lock().await;
        let status = AcmeStatus { last_success: state.status.last_success, ..Default::default() };
        let about = settings.names.join(" ");
        let wanted = Wanted::Acme(settings);
        self.want(wanted.clone(), by, &format!("acme {about}"), status.kept()).await?;
        state.status = AcmeStatus { working: true, ..status };
        self.shared.asked.store(true, Ordering::Release);
        self.turn_to(&mut state, wanted);
        Ok(())
    }

    /// Asks the CA now instead of at the next attempt.
    pub async fn retry(&self) -> Result<(), CertificateError> {
        let mut state = self.shared.state.lock().await;
        if state.mode() != Mode::Acme {
            return Err(CertificateError::NotAcme);
        }
        state.status.working = true;
        self.shared.asked.store(true, Ordering::Release);
        self.shared.now.notify_one();
        Ok(())
    }

    /// What an own certificate would look like, and what would be mended or is worth knowing.
    pub async fn judge(
        &self,
        pem: &OwnPem,
    ) -> Result<(Vec<CertificateInfo>, Vec<String>), CertificateError> {
        let ReadOwn { own, mut notes, .. } = Own::read(pem, self.shared.ground.clock.now())?;
        let Shown { main, rsa } = own.shown;
        let host = self.shared.state.lock().await.host.clone();
        if let Some(host) = host.filter(|host| !main.info.covers(host)) {
            notes
                .push(format!("It does not cover {host}, under which devices know the appliance."));
        }
        if !main.is_vouched_for(self.shared.ground.clock.now()) {
            notes.push(
                "No public authority vouches for it. Browsers need its root, and device keys will \
                 allow an untrusted certificate."
                    .to_owned(),
            );
        }
        Ok((std::iter::once(main).chain(rsa).map(|chain| chain.info).collect(), notes))
    }

    /// From now on the owner's certificate.
    pub async fn use_own(&self, pem: &OwnPem, by: Uuid) -> Result<(), CertificateError> {
        let read = Own::read(pem, self.shared.ground.clock.now())?;
        let mut state = self.shared.state.lock().await;
        self.install(&mut state, read, Wanted::Upload, by).await
    }

    /// From now on the owner's certificate from files, and again whenever they change.
    pub async fn use_own_files(&self, files: OwnFiles, by: Uuid) -> Result<(), CertificateError> {
        if !files.chain_file.is_absolute() || !files.key_file.is_absolute() {
            let sentence = "the files' paths must begin with /";
            return Err(CertificateError::Wanted(sentence));
        }
        // Before they are read: a change in between is read again.
        let stamp = files.stamp().await;
        let read = Own::read(&files.read().await?, self.shared.ground.clock.now())?;
        let mut state = self.shared.state.lock().await;
        self.install(&mut state, read, Wanted::Files(files), by).await?;
        state.stamp = Some(stamp);
        Ok(())
    }

    async fn install(
        &self,
        state: &mut State,
        read: ReadOwn,
        wanted: Wanted,
        by: Uuid,
    ) -> Result<(), CertificateError> {
        let keep = read.kept(&self.shared.ground.seal)?;
        let also = move |writer: &Writer<'_>| {
            Issued::delete(writer)?;
            keep(writer)
        };
        let about = format!("own {}", read.own.shown.main.info.sha256);
        self.want(wanted.clone(), by, &about, also).await?;
        (state.own, state.issued) = (Some(read.own), None);
        (state.stamp, state.file_error, state.status) = (None, None, AcmeStatus::default());
        self.turn_to(state, wanted);
        Ok(())
    }

    /// Writes what is wanted, who wants it, and what belongs to it.
    async fn want<F>(
        &self,
        wanted: Wanted,
        by: Uuid,
        about: &str,
        also: F,
    ) -> Result<(), CertificateError>
    where
        F: Fn(&Writer<'_>) -> Result<(), StoreError> + Send + 'static,
    {
        let text = serde_json::json!(wanted).to_string();
        let (at, about) = (self.shared.ground.clock.now(), about.to_owned());
        let written = self.shared.ground.store.write(move |writer| {
            writer.put(tables::SETTINGS, SETTING, &text)?;
            also(writer)?;
            audit::append(writer, at, &by.to_string(), "certificate", &about)
        });
        written.await?;
        Ok(())
    }

    fn turn_to(&self, state: &mut State, wanted: Wanted) {
        state.wanted = wanted;
        self.show(state);
        self.shared.wanted.send_modify(|count| *count += 1);
    }

    /// Puts what there is before everybody's eyes.
    fn show(&self, state: &State) {
        let shown = state.shown();
        let serving = state.serving(&shown, self.shared.ground.clock.now());
        self.shared.live.show(shown);
        self.shared.serving.send_if_modified(|before| {
            let changed = *before != serving;
            *before = serving;
            changed
        });
    }
}
