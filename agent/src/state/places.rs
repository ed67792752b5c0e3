//! Where a device looks for its appliance, in which order.
//!
//! The key's own address is never overwritten: it is one more place to look when an announced one
//! turns out to be wrong, and the same key given again at the next start must not undo a move.

use aerie_protocol::{address::Address, key::DeviceKey};

use super::Known;

/// Where the appliance was found, other than where the device key says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Places {
    /// The first place to look: the appliance said so and was found there.
    pub announced: Option<Address>,
    /// The place before that one, in case the move is taken back.
    pub former: Option<Address>,
}

impl Known {
    /// Where to look for the appliance, the likeliest place first; empty without a device key.
    pub fn addresses(&self) -> Vec<Address> {
        let of_key = self.key.as_ref().and_then(|key| key.address().ok());
        let Places { announced, former } = &self.places;
        let mut addresses = Vec::new();
        let Some(of_key) = &of_key else { return addresses };
        for address in [announced.as_ref().or(Some(of_key)), former.as_ref(), Some(of_key)] {
            if let Some(address) = address.filter(|address| !addresses.contains(*address)) {
                addresses.push(address.clone());
            }
        }
        addresses
    }

    /// Belongs to nobody any more; uses this key at the next connect.
    pub fn start_over(&mut self, key: DeviceKey) {
        self.key = Some(key);
        self.enrolment = None;
        self.places = Places::default();
    }

    /// Another key of the same appliance: its address comes first, and where the appliance was
    /// found until now is not forgotten.
    pub(super) fn follow(&mut self, key: DeviceKey) {
        self.places.former = self.addresses().into_iter().next();
        self.places.announced = None;
        self.key = Some(key);
    }

    /// The appliance was found at `address`, which comes first from now on.
    pub(super) fn settle(&mut self, address: Address) {
        let first = self.addresses().into_iter().next();
        if first.as_ref() != Some(&address) {
            self.places = Places { announced: Some(address), former: first };
        }
    }
}

#[cfg(test)]
mod tests {
    use aerie_protocol::{
        key::KeySecret,
        noise::{PublicKey, StaticKey},
    };

    use super::*;
    use crate::state::{Enrolment, Offer, State};

    fn key(host: &str, pin: Option<PublicKey>) -> DeviceKey {
        let secret = KeySecret::from_bytes(&[7; 36]).unwrap();
        DeviceKey { host: host.to_owned(), port: 443, secret, allow_untrusted: false, pin }
    }

    fn place(host: &str) -> Address {
        Address::new(host, 443).unwrap()
    }

    fn hosts(known: &Known) -> Vec<String> {
        known.addresses().iter().map(|address| address.host().to_owned()).collect()
    }

    async fn enrolled(state: &mut State) -> PublicKey {
        let appliance = StaticKey::generate().unwrap().public();
        state.offer(key("first.example", Some(appliance))).await.unwrap();
        let enrolment = Enrolment { appliance, device_id: [9; 16], name: "mast".to_owned() };
        assert!(state.enrol(enrolment).await.unwrap());
        appliance
    }

    #[tokio::test]
    async fn a_move_is_kept_with_the_place_before_it_and_that_of_the_key() {
        let folder = tempfile::tempdir().unwrap();
        let mut state = State::open(folder.path()).unwrap();
        assert!(hosts(state.known()).is_empty());
        let appliance = enrolled(&mut state).await;
        let before = state.known().clone();
        for (to, places) in [
            ("second.example", vec!["second.example", "first.example"]),
            ("third.example", vec!["third.example", "second.example", "first.example"]),
            ("third.example", vec!["third.example", "second.example", "first.example"]),
            ("second.example", vec!["second.example", "third.example", "first.example"]),
            ("first.example", vec!["first.example", "second.example"]),
        ] {
            assert!(state.settle(appliance, place(to)).await.unwrap());
            let kept = State::open(folder.path()).unwrap().known().clone();
            assert_eq!(hosts(&kept), places);
            assert_eq!(kept.identity.public(), before.identity.public());
            assert_eq!(kept.key, before.key, "the pin with it");
            assert_eq!(kept.enrolment, before.enrolment);
        }
    }

    #[tokio::test]
    async fn only_the_own_appliance_moves_a_device() {
        let mut state = State::in_memory(Known::fresh().unwrap());
        let stranger = StaticKey::generate().unwrap().public();
        state.offer(key("first.example", None)).await.unwrap();
        assert!(!state.settle(stranger, place("bad.example")).await.unwrap());
        enrolled(&mut state).await;
        assert!(!state.settle(stranger, place("bad.example")).await.unwrap());
        assert_eq!(hosts(state.known()), ["first.example"]);
    }

    #[tokio::test]
    async fn the_same_key_at_the_next_start_does_not_undo_a_move_and_another_one_counts() {
        let folder = tempfile::tempdir().unwrap();
        let mut state = State::open(folder.path()).unwrap();
        let appliance = enrolled(&mut state).await;
        state.settle(appliance, place("second.example")).await.unwrap();
        let same = key("first.example", Some(appliance));
        assert_eq!(state.offer(same).await.unwrap(), Offer::Same);
        assert_eq!(hosts(state.known()), ["second.example", "first.example"]);
        let other = key("third.example", Some(appliance));
        assert_eq!(state.offer(other).await.unwrap(), Offer::Taken);
        assert_eq!(hosts(state.known()), ["third.example", "second.example"]);
    }

    #[tokio::test]
    async fn a_forgotten_device_still_looks_where_the_appliance_was_and_an_adopted_one_does_not() {
        let mut state = State::in_memory(Known::fresh().unwrap());
        let appliance = enrolled(&mut state).await;
        state.settle(appliance, place("second.example")).await.unwrap();
        state.forget(appliance).await.unwrap();
        assert_eq!(hosts(state.known()), ["second.example", "first.example"]);
        state.offer(key("other.example", None)).await.unwrap();
        assert_eq!(hosts(state.known()), ["other.example"]);
    }

    #[test]
    fn a_state_file_of_before_opens_and_keeps_its_bytes_until_the_first_move() {
        let secret = "ERERERERERERERERERERERERERERERERERERERERERE";
        let old = format!(
            "{{\n  \"format\": 1,\n  \"static_key\": \"{secret}\",\n  \"device_key\": null,\n  \
             \"enrolment\": null\n}}\n"
        );
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("device.json");
        std::fs::write(&file, &old).unwrap();
        let state = State::open(folder.path()).unwrap();
        assert_eq!(state.known().places, Places::default());
        let encoded = super::super::record::encode(state.known()).unwrap();
        assert_eq!(std::str::from_utf8(&encoded).unwrap(), old);
    }
}
