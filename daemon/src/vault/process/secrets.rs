//! Sealing and opening: for people, for jobs, for an export.

use std::thread;

use uuid::Uuid;

use super::keeper::{Inner, Keeper, failed, reason};
use super::making;
use super::unsealing::Keys;
use crate::cut::cut;
use crate::vault::SecretText;
use crate::vault::crypto::{Bound, CryptoError, PublicKey};
use crate::vault::protocol::{
    AT_ONCE, Form, GRANTED, Key, Made, Pass, Plain, Refusal, SECRET_BYTES, Sealed,
};

/// Threads that seal or open a batch, and the fewest secrets of each.
const TOGETHER: usize = 4;
const OF_EACH: usize = 8;
/// Bytes of such a thread's stack.
const STACK: usize = 512 * 1_024;

/// What secrets are sealed with: no secret in it.
struct Sealing {
    vault: Uuid,
    epoch: u32,
    key: PublicKey,
}

impl Inner {
    fn sealing(&self) -> Result<Sealing, Refusal> {
        let state = self.made()?;
        let key = PublicKey::from_bytes(&state.public).map_err(crypto)?;
        Ok(Sealing { vault: state.id, epoch: state.epoch, key })
    }

    /// From now on this vault is never made anew: there is something that only it opens.
    fn use_it(&mut self) -> Result<(), Refusal> {
        let mut state = self.made()?.clone();
        if state.used {
            return Ok(());
        }
        state.used = true;
        self.save(state)
    }
}

impl Sealing {
    fn seal(&self, credential: Uuid, version: u64, secret: &SecretText) -> Result<Sealed, Refusal> {
        let bound = Bound { vault: self.vault, epoch: self.epoch, credential, version };
        let bytes = self.key.seal(&bound, secret.expose().as_bytes()).map_err(crypto)?;
        Ok(Sealed { credential, version, bytes })
    }
}

impl Keeper {
    pub(super) fn store(&self, secrets: Vec<Plain>) -> Result<Vec<Sealed>, Refusal> {
        at_once(secrets.len())?;
        if secrets.iter().any(|plain| plain.secret.expose().len() > SECRET_BYTES) {
            return Err(Refusal::Form(format!("a secret has {SECRET_BYTES} bytes at most")));
        }
        let sealing = {
            let mut inner = self.lock();
            inner.use_it()?;
            inner.sealing()?
        };
        side_by_side(secrets, |plain| sealing.seal(plain.credential, plain.version, &plain.secret))
    }

    /// The count and the log stand on the disk before the secret is answered.
    pub(super) fn open_one(
        &self,
        pass: Option<&Pass>,
        why: &str,
        sealed: &Sealed,
    ) -> Result<SecretText, Refusal> {
        let (why, now) = (reason(why)?, self.now());
        let mut inner = self.lock();
        let (keys, an_hour) = (inner.opened()?, inner.made()?.an_hour);
        inner.require_pass(pass, now)?;
        let secret = keys.open(sealed)?;
        cut("vault-opening");
        inner.count(now, |counter| {
            counter.open(an_hour, now.lived).map_err(|seconds| Refusal::Limit { seconds })
        })?;
        cut("vault-opened");
        inner.note(now, &[("opened", format!("{}: {why}", named(sealed)))])?;
        Ok(secret)
    }

    pub(super) fn grant(
        &self,
        pass: Option<&Pass>,
        why: &str,
        job: Uuid,
        (credentials, each): (Vec<Uuid>, u32),
    ) -> Result<(), Refusal> {
        let why = reason(why)?;
        if credentials.is_empty() || credentials.len() > GRANTED {
            return Err(Refusal::Form(format!("a grant is for 1 to {GRANTED} credentials")));
        }
        if !(1..=super::grants::EACH).contains(&each) {
            return Err(Refusal::Form("a grant is for 1 to 100 secrets of each".to_owned()));
        }
        let now = self.now();
        let mut inner = self.lock();
        inner.made()?;
        inner.require_pass(pass, now)?;
        inner.grants.end_old(now.lived).map_err(|error| failed(&error))?;
        if !inner.grants.has_room_for(job) {
            let told = "the vault has granted as many jobs as it may; end one of them first";
            return Err(Refusal::Form(told.to_owned()));
        }
        let count = credentials.len();
        let told = format!("job {job}, {count} credentials, {each} secrets of each: {why}");
        inner.note(now, &[("granted", told)])?;
        cut("vault-granting");
        let added = inner.grants.add(job, credentials, each, now.lived);
        added.map_err(|error| failed(&error))?;
        cut("vault-granted");
        Ok(())
    }

    pub(super) fn end_grant(&self, job: Uuid) -> Result<(), Refusal> {
        let now = self.now();
        let mut inner = self.lock();
        inner.made()?;
        if inner.grants.end(job).map_err(|error| failed(&error))? {
            inner.note(now, &[("grant-ended", format!("job {job}"))])?;
        }
        Ok(())
    }

    pub(super) fn make(
        &self,
        job: Uuid,
        wanted: Vec<(Uuid, u64)>,
        form: Form,
    ) -> Result<Vec<Made>, Refusal> {
        at_once(wanted.len())?;
        let credentials: Vec<Uuid> = wanted.iter().map(|(credential, _)| *credential).collect();
        let sealing = {
            let mut inner = self.lock();
            let sealing = inner.sealing()?;
            if !inner.grants.allow(job, &credentials) {
                return Err(Refusal::NoGrant);
            }
            inner.use_it()?;
            sealing
        };
        let made = side_by_side(wanted, |(credential, version)| {
            let secret = making::password(form)?;
            Ok(Made { sealed: sealing.seal(credential, version, &secret)?, secret })
        })?;
        cut("vault-making");
        let told = format!("job {job}, {} secrets", made.len());
        self.take(job, &credentials, &[("made", told)])?;
        Ok(made)
    }

    pub(super) fn open_for_job(
        &self,
        job: Uuid,
        sealed: Vec<Sealed>,
    ) -> Result<Vec<SecretText>, Refusal> {
        at_once(sealed.len())?;
        let credentials: Vec<Uuid> = sealed.iter().map(|sealed| sealed.credential).collect();
        let keys = {
            let inner = self.lock();
            let keys = inner.opened()?;
            if !inner.grants.allow(job, &credentials) {
                return Err(Refusal::NoGrant);
            }
            keys
        };
        let entry = |sealed| ("opened-for-job", format!("job {job}, {}", named(sealed)));
        let entries: Vec<_> = sealed.iter().map(entry).collect();
        let opened = side_by_side(sealed, |sealed| keys.open(&sealed))?;
        self.take(job, &credentials, &entries)?;
        Ok(opened)
    }

    /// Takes secrets out of a grant, before they are answered: the file and the log first.
    fn take(
        &self,
        job: Uuid,
        credentials: &[Uuid],
        entries: &[(&str, String)],
    ) -> Result<(), Refusal> {
        let now = self.now();
        let mut inner = self.lock();
        inner.grants.end_old(now.lived).map_err(|error| failed(&error))?;
        if !inner.grants.take(job, credentials).map_err(|error| failed(&error))? {
            return Err(Refusal::NoGrant);
        }
        cut("vault-counted");
        inner.note(now, entries)?;
        cut("vault-logged");
        Ok(())
    }

    pub(super) fn export(
        &self,
        key: &Key,
        why: &str,
        sealed: Vec<Sealed>,
    ) -> Result<Vec<SecretText>, Refusal> {
        at_once(sealed.len())?;
        let (why, count) = (reason(why)?, sealed.len());
        self.lock().opened()?;
        self.verify(key)?;
        let keys = self.lock().opened()?;
        let opened = side_by_side(sealed, |sealed| keys.open(&sealed))?;
        let now = self.now();
        self.lock().note(now, &[("exported", format!("{count} secrets: {why}"))])?;
        Ok(opened)
    }

    pub(super) fn reseal(&self, sealed: Vec<Sealed>) -> Result<Vec<Sealed>, Refusal> {
        at_once(sealed.len())?;
        let (keys, sealing) = {
            let inner = self.lock();
            (inner.opened()?, inner.sealing()?)
        };
        side_by_side(sealed, |sealed| {
            let secret = keys.open(&sealed)?;
            if crate::vault::crypto::epoch_of(&sealed.bytes) == Some(sealing.epoch) {
                return Ok(sealed);
            }
            sealing.seal(sealed.credential, sealed.version, &secret)
        })
    }
}

impl Keys {
    /// Opens what one of the key pairs sealed.
    fn open(&self, sealed: &Sealed) -> Result<SecretText, Refusal> {
        let epoch = crate::vault::crypto::epoch_of(&sealed.bytes).ok_or(Refusal::Seal)?;
        let Sealed { credential, version, .. } = *sealed;
        let bound = Bound { vault: self.vault, epoch, credential, version };
        let of_epoch = self.of(epoch).ok_or(Refusal::Seal)?;
        of_epoch.open(&bound, &sealed.bytes).map_err(|_| Refusal::Seal)
    }
}

fn named(sealed: &Sealed) -> String {
    format!("{} version {}", sealed.credential, sealed.version)
}

fn at_once(count: usize) -> Result<(), Refusal> {
    if count > AT_ONCE {
        return Err(Refusal::Form(format!("one question is about {AT_ONCE} secrets at most")));
    }
    Ok(())
}

pub(super) fn crypto(error: CryptoError) -> Refusal {
    Refusal::Failed(format!("the vault could not seal: {error}"))
}

/// Works on a batch with all cores, and keeps its order.
fn side_by_side<T: Send, R: Send>(
    mut items: Vec<T>,
    work: impl Fn(T) -> Result<R, Refusal> + Sync,
) -> Result<Vec<R>, Refusal> {
    let cores = thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let of_each = items.len().div_ceil(cores.min(TOGETHER)).max(OF_EACH);
    let mut parts = Vec::new();
    while items.len() > of_each {
        parts.push(items.split_off(items.len() - of_each));
    }
    parts.push(items);
    let own = |part: Vec<T>| part.into_iter().map(&work).collect::<Result<Vec<R>, Refusal>>();
    thread::scope(|scope| {
        let mut parts = parts.into_iter().rev();
        let first = parts.next().unwrap_or_default();
        let others: Vec<_> = parts
            .map(|part| {
                let thread = thread::Builder::new().name("sealer".to_owned()).stack_size(STACK);
                thread.spawn_scoped(scope, || own(part))
            })
            .collect();
        let mut done = own(first)?;
        for other in others {
            let other = other.map_err(|error| failed(&error))?.join();
            let stopped = |_| Refusal::Failed("a thread of the vault stopped".to_owned());
            done.extend(other.map_err(stopped)??);
        }
        Ok(done)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn v1_a_batch_keeps_its_order_and_one_refusal_refuses_it() {
        for count in [0, 1, 7, 8, 9, 17, 255, 256] {
            let items: Vec<usize> = (0..count).collect();
            assert_eq!(side_by_side(items.clone(), Ok).unwrap(), items);
            let refused =
                side_by_side(
                    items,
                    |item| {
                        if item + 1 == count { Err(Refusal::Seal) } else { Ok(item) }
                    },
                );
            assert_eq!(refused.is_err(), count > 0, "{count}");
        }
    }
}
